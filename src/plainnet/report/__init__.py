"""Text, charts and pages that show results."""
