"""Many mixtures of any structure over the same rows, each step of all of them made at once."""
