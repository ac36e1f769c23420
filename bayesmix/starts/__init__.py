"""Starts of mixtures with noise and of hidden Markov models."""
