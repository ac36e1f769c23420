"""Level 6: reading tables, and saving fitted models without pickle."""

from bayesmix.io.readers import read, read_table
from bayesmix.io.saved_files import load, save

__all__ = ["load", "read", "read_table", "save"]
