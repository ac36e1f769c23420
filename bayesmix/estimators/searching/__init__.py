"""Subjects, fits and results of searches."""
