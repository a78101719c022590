"""What the network learned, and what went wrong; reads, never trains."""
