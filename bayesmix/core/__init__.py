"""Shared protocols and records, validation, random streams and threads."""
