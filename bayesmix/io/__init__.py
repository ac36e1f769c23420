"""L6: files in and out: tables of rows, and fitted models without pickle."""

from bayesmix.io.saved.model_files import load, save
from bayesmix.io.tables.readers import read

__all__ = ["load", "read", "save"]
