"""Student-t components, for clusters with heavy tails."""
