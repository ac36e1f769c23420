"""The evidence and leave-one-out densities, by weights, bridges and bounds."""
