"""Checkpoints: finished fits of a search, saved to disk.

A folder has ``search.json``, which identifies the search, and one file per finished fit in the
format of saved models, which contains no code. The file name is a digest of all that the fit
depends on: search, candidate, data and starts. Processes that share a folder therefore write
identical files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bayesmix.core.procedures import last_step
from bayesmix.core.sources import Source
from bayesmix.errors import (
    BayesmixWarning,
    DamagedFileError,
    InvalidInputError,
    UnsupportedError,
    warn,
)
from bayesmix.io.container import FINISHED_FIT, opened, pack, unpack
from bayesmix.io.records import Reader, Writer, adopt
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.pipelines import steps_before
from bayesmix.selection.tasks import ALL_DATA, Question
from bayesmix.sources.memory import is_source
from bayesmix.sources.writing import PARTIAL, folder_to_write, write
from bayesmix.version import __version__

FORMAT = FINISHED_FIT.version
MOST_BYTES_HASHED = 2**22


@dataclass
class Checkpoint:
    """Finished fits of one search, whose digest is ``search``."""

    folder: Path
    search: str
    told: bool = False

    def get(self, question: Question, model: Any, X: Any) -> Candidate | None:
        """Return the saved result of a fit, with the unfitted ``model`` as its estimator, or None.

        Steps of a pipeline before the mixture are refitted to ``X``. If they differ, as steps
        without a seed do, the saved fit is not used.
        """
        try:
            digest = self._digest(question)
        except UnsupportedError:  # values that cannot be saved
            return None
        path = self._path(question, digest)
        if not os.path.lexists(path):
            return None
        with opened(path) as stream:
            header, arrays = unpack(stream, FINISHED_FIT)
            if header["question"] != digest:
                raise DamagedFileError(f"contains another fit; {FINISHED_FIT.again}")
            return _row(header, Reader(arrays), question.parameters, model, X)

    def put(self, question: Question, row: Candidate, X: Any) -> None:
        digest = self._digest(question)
        writer = Writer()
        # A fit to all data is saved as its result, from which the estimator is rebuilt.
        plain = replace(row, parameters={}, estimator=None)
        model = row.estimator
        described: dict[str, Any] = {"bayesmix": __version__, "question": digest}
        if model is not None:
            plain = replace(plain, begin=None)
            names = getattr(last_step(model), "feature_names_in_", ())
            described["result"] = writer.value(row.result)
            described["features"] = list(map(str, names))
            described["steps"] = _made_of(steps_before(model), X)
        described["row"] = writer.value(plain)
        write(self._path(question, digest), pack(described, writer.arrays, FINISHED_FIT))

    def tell(self, reason: str) -> None:
        """Warn, once, that fits are not saved."""
        if not self.told:
            self.told = True
            warn(
                f"the search continues, but its checkpoint is incomplete: {reason}", BayesmixWarning
            )

    def _path(self, question: Question, digest: str) -> Path:
        fold = "all" if question.fold == ALL_DATA else f"fold-{question.fold}"
        return self.folder / f"candidate-{question.number}-{fold}-{digest[:16]}.fit"

    def _digest(self, question: Question) -> str:
        writer = Writer()
        asked = {
            "search": self.search,
            "parameters": said(question.parameters),
            "number": question.number,
            "part": question.fold,
            "near": writer.value(question.warm_starts),
        }
        return hashlib.sha256(pack(asked, writer.arrays, FINISHED_FIT)).hexdigest()


def _row(
    header: dict[str, Any], reader: Reader, parameters: dict[str, Any], model: Any, X: Any
) -> Candidate | None:
    row = reader.value(header["row"])
    if not isinstance(row, Candidate):
        raise DamagedFileError("is damaged: it contains no fit")
    row = replace(row, parameters=parameters)
    if "result" not in header:
        if row.scores:
            raise DamagedFileError("is damaged: it contains scores without a fit")
        return row
    if (steps := steps_before(model)) is not None:
        with warnings.catch_warnings(action="ignore"):  # keep those of the first attempt
            steps.fit_transform(X)
        if _made_of(steps, X) != header["steps"]:
            return None
        model.steps[:-1] = steps.steps
    result = reader.value(header["result"])
    adopt(last_step(model), result, header["features"])
    begin = None if result.degenerate is not None else result.mixture
    return replace(row, estimator=model, begin=begin)


def _made_of(steps: Any, X: Any) -> str:
    """Return a digest of the output of fitted steps."""
    return fingerprint(None if steps is None else steps.transform(X))


def open_checkpoint(
    path: Any, identity: dict[str, Any], seed: int, seeded: bool, of: str = "search"
) -> tuple[Checkpoint, int]:
    """Return the checkpoint of a search or an enumeration, and the seed to continue with.

    ``seeded``: whether the user chose the seed; otherwise that of the first attempt is used.
    Raises ``InvalidInputError`` if the folder belongs to a {of} with other data, candidates,
    parameters or version, ``FileAccessError`` or ``DamagedFileError``.
    """
    folder = folder_to_write(path, "checkpoint")
    place = folder / f"{of}.json"
    identity = identity | {"version": __version__, "format": FORMAT}
    if not place.exists():
        if any(not one.name.endswith(PARTIAL) for one in folder.iterdir()):
            raise InvalidInputError(
                f"checkpoint must be an empty folder or that of an earlier {of}, but {path} "
                "contains other files"
            )
        write(place, json.dumps(identity | {"seed": seed}, indent=1).encode())
        return _of_search(folder, identity, seed), seed
    with opened(place) as stream:
        earlier: Any = json.loads(stream.read().decode("utf-8"))
        if not isinstance(earlier, dict) or type(earlier.get("seed")) is not int:
            raise DamagedFileError("is damaged: its search is unknown; use another folder")
    anew = "use another folder, or delete this one"
    if "format" not in earlier:
        raise InvalidInputError(
            f"checkpoint {path} contains pickles of an earlier version, which can run code and are "
            f"not opened: {anew}"
        )
    first = earlier.pop("seed")
    same = identity | {"random_state": seed} if seeded else identity
    if seeded:
        earlier["random_state"] = first
    different = sorted(
        key for key in earlier.keys() | same.keys() if earlier.get(key) != same.get(key)
    )
    if different:
        raise InvalidInputError(
            f"checkpoint {path} belongs to a search with other {', '.join(different)}: {anew}"
        )
    return _of_search(folder, identity, first), first


def _of_search(folder: Path, identity: dict[str, Any], seed: int) -> Checkpoint:
    text = json.dumps(identity | {"seed": seed}, sort_keys=True)
    return Checkpoint(folder, hashlib.sha256(text.encode()).hexdigest())


def search_identity(
    settings: dict[str, Any], X: Any, sample_weight: Any, groups: Any
) -> dict[str, Any]:
    """Return the settings of a search, with digests of its data and weights, that identify it."""
    rows, weights = some_rows(X) if is_source(X) else (X, sample_weight)
    return {name: said(value) for name, value in settings.items()} | {
        "shape": str(np.shape(X)),
        "rows": fingerprint(rows),
        "weights": fingerprint(weights),
        "groups": fingerprint(groups),
    }


def some_rows(source: Source) -> tuple[Any, Any]:
    """Return evenly spaced rows of a source for a digest, and their weights."""
    n_rows, n_features = source.shape
    step = max(1, 8 * n_rows * n_features // MOST_BYTES_HASHED)
    some = source.in_memory(slice(None, None, step)).rows
    return some.values, some.weights


def said(value: Any) -> str:
    """Return a setting as unique text; arrays are replaced by digests."""
    if isinstance(value, np.ndarray):
        return fingerprint(value)
    if hasattr(value, "get_params"):
        return _called(value, sorted(value.get_params(deep=False).items()))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return _called(value, fields)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {said(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(said, value)) + "]"
    if callable(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return repr(value)


def _called(value: Any, parameters: list[tuple[str, Any]]) -> str:
    inside = ", ".join(f"{name}={said(one)}" for name, one in parameters)
    return f"{type(value).__qualname__}({inside})"


def fingerprint(array: Any) -> str:
    """Return a digest of an array; for large ones, of evenly spaced rows."""
    if array is None:
        return "none"
    values = np.asarray(array)
    if values.dtype == object:  # bytes of objects are addresses
        values = np.array(list(map(repr, values.ravel().tolist()))).reshape(values.shape)
    digest = hashlib.sha256(f"{values.shape} {values.dtype}".encode())
    step = max(1, values.nbytes // MOST_BYTES_HASHED)
    digest.update(np.ascontiguousarray(values[::step]).tobytes())
    return digest.hexdigest()


# Parameters of a search that do not change its candidates.
CHANGE_NOTHING = {"checkpoint", "n_jobs", "progress", "random_state", "refit"}


def checkpoint_of(search: Any, X: Any, seed: int, weights: Any, groups: Any) -> tuple[int, Any]:
    """Return the seed to continue with, and what an earlier attempt at the same stored, if any."""
    parameters = search.get_params(deep=False).items()
    settings = {name: value for name, value in parameters if name not in CHANGE_NOTHING}
    identity = search_identity(settings, X, weights, groups)
    checkpoint, seed = open_checkpoint(
        search.checkpoint, identity, seed, search.random_state is not None
    )
    return seed, checkpoint
