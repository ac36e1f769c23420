"""Figures of components and clusters: which rows, what sets them apart, what comes back."""
