"""Covariance models: their algebra, how they lie in arrays, their M-steps."""
