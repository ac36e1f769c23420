"""Figures of draws from posteriors, and of fits beside them."""
