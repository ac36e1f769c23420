"""Model assessment: goodness of fit, nested cross-validation, stability, prior sensitivity."""

LEVEL = 0.05  # of tests, by convention
