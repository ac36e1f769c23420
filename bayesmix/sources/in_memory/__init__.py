"""Rows of this machine: in memory, or mapped into it."""
