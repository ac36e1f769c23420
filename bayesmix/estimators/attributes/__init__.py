"""Fitted attributes."""
