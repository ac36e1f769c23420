"""L0: numerics that know nothing of mixtures."""
