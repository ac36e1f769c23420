"""Rows in partitions that somebody else holds, known by one look at all of them."""
