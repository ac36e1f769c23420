"""Checks of a fit or a whole procedure on resampled, drawn or held-out rows."""
