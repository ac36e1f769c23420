"""Level 8: comparison of variational fits with MCMC."""
