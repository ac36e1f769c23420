"""Model assessment: goodness of fit, nested cross-validation, stability, prior sensitivity."""
