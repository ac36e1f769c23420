"""Figures of densities: of one column, of two, of pairs of several; bands, regions, averages."""
