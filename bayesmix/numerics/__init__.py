"""Numerical routines without reference to mixtures."""
