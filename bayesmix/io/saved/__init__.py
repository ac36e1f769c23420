"""Fitted models and finished fits on disk, without pickle."""
