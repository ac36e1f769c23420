"""Level 6: reading tables, and saving fitted models without pickle."""

from bayesmix.io.readers import read
from bayesmix.io.saved_files import load, save

__all__ = ["load", "read", "save"]
