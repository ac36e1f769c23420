"""Data and fits of regressions."""
