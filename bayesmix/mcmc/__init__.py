"""Comparison of variational fits with MCMC."""
