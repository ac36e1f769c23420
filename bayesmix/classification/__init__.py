"""Level 8: classifiers by mixtures, and thresholds of their decisions."""
