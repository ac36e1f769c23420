"""Factor analysers: covariances with few factors, linear in the number of columns."""
