"""Faster implementations of training and prediction with the same results."""
