"""L6: files in and out: tables of rows, and fitted models without pickle."""

from bayesmix.io.models import load, save
from bayesmix.io.tables import read

__all__ = ["load", "read", "save"]
