"""Products of families: different families for different columns."""
