"""Diagnose data, networks and trainings: measurements, checks and findings."""
