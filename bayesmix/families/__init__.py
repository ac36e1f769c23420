"""Families of component densities."""
