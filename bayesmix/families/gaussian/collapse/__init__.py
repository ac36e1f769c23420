"""Collapse: the guard, the rows that components hold, directions without extent."""
