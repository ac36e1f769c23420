"""Protocols and records that all parts share, validation, random streams and threads."""
