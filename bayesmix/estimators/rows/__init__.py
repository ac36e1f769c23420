"""Rows that come in, whatever they came as, and which of their columns a fit knows."""
