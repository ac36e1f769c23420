"""Draws from fitted posteriors and importance-sampling estimates of evidence and prediction."""

# Default number of samples drawn to represent a density.
DRAWS = 10_000
# Values held in memory at a time, and most log densities of observations under draws.
BATCH_VALUES, MOST_VALUES = 2**21, 5e7
