"""Shared code of families with independent columns."""
