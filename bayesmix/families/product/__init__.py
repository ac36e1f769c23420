"""Products of families: different columns, different families, one mixture."""
