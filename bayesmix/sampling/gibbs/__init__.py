"""Gibbs sampling of a variational fit's model, with K known and unknown."""
