"""Factor analysers: covariances of a few factors and a noise a column, linear in the columns."""
