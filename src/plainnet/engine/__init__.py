"""Faster ways to compute the same numbers; nothing else depends on how they work."""
