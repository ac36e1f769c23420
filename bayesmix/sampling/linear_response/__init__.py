"""Covariances that a variational fit implies, but q does not show."""
