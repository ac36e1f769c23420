"""Each law once, for every family and every source."""
