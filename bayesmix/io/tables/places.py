"""Files of rows: what their names end in, whether they are URLs, how they are opened."""

from __future__ import annotations

import zlib
from typing import Any

from bayesmix.errors import FileAccessError, InvalidInputError, missing_extra

TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SPREADSHEET = (".xlsx",)
PARQUET = (".parquet", ".pq")
NUMPY = (".npy",)
# Files of a folder: one of text in a folder may be a note about it.
ENDINGS = (*TEXT, *PARQUET, *NUMPY)
ENDINGS_ALONE = (*TEXT, ".txt", *SPREADSHEET, *PARQUET, *NUMPY)
# What readers raise of a part that is damaged or no longer there.
UNREADABLE = (ArithmeticError, EOFError, LookupError, OSError, TypeError, ValueError, zlib.error)


def is_url(place: str) -> bool:
    """Whether fsspec has to open it."""
    return "://" in place


def opened(place: str) -> Any:
    """A file to read bytes of, as a context."""
    if not is_url(place):
        return open(place, "rb")
    try:
        import fsspec
    except ImportError:
        raise missing_extra("fsspec", "dask") from None
    return fsspec.open(place, "rb").open()


def unreadable(place: str, problem: BaseException) -> Exception:
    """The error for a part that cannot be read, with its name."""
    if isinstance(problem, InvalidInputError):
        return problem
    kind = FileAccessError if isinstance(problem, OSError) else InvalidInputError
    return kind(f"{place} cannot be read: {problem!r:.200}")
