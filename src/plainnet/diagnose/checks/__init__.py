"""Checks of the doctor, by subject."""
