"""The same prior and likelihood in PyMC."""
