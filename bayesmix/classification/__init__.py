"""Classifiers by mixtures, and thresholds of their decisions."""
