"""The Gaussian family and its covariance structures."""
