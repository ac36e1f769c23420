"""Draws from fitted posteriors and importance-sampling estimates of evidence and prediction."""

# Default number of samples drawn to represent a density.
DRAWS = 10_000
