"""Student-t components: clusters with heavy tails."""
