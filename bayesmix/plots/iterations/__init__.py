"""Figures of a fit as it runs."""
