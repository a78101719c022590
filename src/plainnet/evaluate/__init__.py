"""Evaluation of a model: scores, baselines, duplicates, findings and the verdict."""
