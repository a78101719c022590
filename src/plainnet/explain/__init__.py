"""Explanations of one example and of a whole model."""
