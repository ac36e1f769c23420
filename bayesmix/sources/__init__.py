"""Data sources: arrays, files, partitions, Dask collections and devices."""
