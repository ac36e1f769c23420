"""The Gaussian family with its four covariance structures."""
