"""Figures of a search, and of what checks a choice."""
