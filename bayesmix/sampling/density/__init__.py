"""Densities of mixtures: over some columns, given others, their regions and bands."""
