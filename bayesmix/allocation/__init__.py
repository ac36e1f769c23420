"""Allocation of observations to components: mixing weights at a point or with a posterior."""
