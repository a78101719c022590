"""Scores, curves and intervals: arrays in, numbers out."""
