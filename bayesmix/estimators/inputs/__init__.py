"""What users hand over: rows, parameters, weights, checked and turned into sources."""
