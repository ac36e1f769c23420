"""Mixtures of regressions and trajectories: estimator, data, search, tables, figures."""
