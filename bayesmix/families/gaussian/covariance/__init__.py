"""Covariance structures: their algebra, array layout and M-steps."""
