"""Clusterings: components merged, their overlap, and what comes back."""
