"""Level 8: mixtures of regressions and trajectories: estimator, data, search, tables, figures."""
