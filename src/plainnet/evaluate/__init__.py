"""Evaluation beside baselines, duplicates, and the verdict in words."""
