"""Draws of (π, θ) from q, of whole mixtures, and of what a user has of them."""
