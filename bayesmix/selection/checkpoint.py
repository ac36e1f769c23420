"""Finished fits of a search on disk, so that an interrupt or a kill costs at most one of them.

A folder: ``search.json`` says which search it belongs to, and each finished fit is a file of its
own, written beside and renamed, so that a kill at any moment leaves whole files only.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.version import __version__

IDENTITY = "search.json"
MOST_BYTES_HASHED = 2**22


@dataclass(frozen=True)
class Checkpoint:
    """Where finished fits are kept. Its files are pickles: resume only from those you wrote."""

    folder: Path

    def get(self, name: str) -> Any:
        """What was finished under this name, or None."""
        path = self._path(name)
        if not path.exists():
            return None
        return pickle.loads(path.read_bytes())

    def put(self, name: str, finished: Any) -> None:
        """Keep it: all of it or nothing."""
        written(self._path(name), pickle.dumps(finished, protocol=pickle.HIGHEST_PROTOCOL))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.fit"


def written(path: Path, content: bytes) -> None:
    """Write a file that is either there whole or not at all."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def identity(settings: dict[str, Any], X: Any, sample_weight: Any, groups: Any) -> dict[str, Any]:
    """What makes a search the same one: its settings, and digests of its rows and their weights."""
    weights = getattr(X, "weights", None) if sample_weight is None else sample_weight
    return {name: said(value) for name, value in settings.items()} | {
        "rows": fingerprint(X.values if hasattr(X, "subset") else X),
        "weights": fingerprint(weights),
        "groups": fingerprint(groups),
    }


def said(value: Any) -> str:
    """A setting in words that two different ones do not share: arrays by their digest."""
    if isinstance(value, np.ndarray):
        return fingerprint(value)
    if hasattr(value, "get_params"):
        parameters = sorted(value.get_params(deep=False).items())
        inside = ", ".join(f"{name}={said(one)}" for name, one in parameters)
        return f"{type(value).__qualname__}({inside})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {said(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(said, value)) + "]"
    if callable(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return repr(value)


def opened(path: Any, identity: dict[str, Any], seed: int, seeded: bool) -> tuple[Checkpoint, int]:
    """The checkpoint at ``path`` and the seed to go on with.

    ``seeded``: whether the user chose the seed; otherwise the one of the first run is taken up.

    Raises
    ------
    InvalidInputError
        Where the folder holds another search (other rows, candidates, parameters or version).
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"checkpoint must name a folder, and {path} is a file")
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / IDENTITY
    identity = identity | {"version": __version__}
    if not place.exists():
        if any(folder.iterdir()):
            raise InvalidInputError(
                f"checkpoint must name an empty folder or one of an earlier search, and {path} "
                "holds other files"
            )
        written(place, json.dumps(identity | {"seed": seed}, indent=1).encode())
        return Checkpoint(folder), seed
    earlier = json.loads(place.read_text("utf-8"))
    first = int(earlier.pop("seed"))
    if seeded:
        earlier, identity = earlier | {"random_state": first}, identity | {"random_state": seed}
    different = sorted(
        key for key in earlier.keys() | identity.keys() if earlier.get(key) != identity.get(key)
    )
    if different:
        raise InvalidInputError(
            f"checkpoint {path} belongs to a search with other {', '.join(different)}: name "
            "another folder, or remove this one to begin anew"
        )
    return Checkpoint(folder), first


def fingerprint(array: Any) -> str:
    """A digest of an array: all of a small one, evenly spaced rows of a large one."""
    if array is None:
        return "none"
    values = np.asarray(array)
    digest = hashlib.sha256(f"{values.shape} {values.dtype}".encode())
    step = max(1, values.nbytes // MOST_BYTES_HASHED)
    digest.update(np.ascontiguousarray(values[::step]).tobytes())
    return digest.hexdigest()
