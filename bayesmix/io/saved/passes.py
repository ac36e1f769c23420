"""Finished passes of one long fit on disk: a fit that was killed makes them no second time.

All that a fit does follows from its passes over the rows. So what each pass added up is kept under
a digest of what it was asked (mixture, form, rows), and the fit, begun again, takes the same way
with the same bits up to where it was. Every few seconds the new ones become a file of their own.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import ref

import numpy as np

from bayesmix.errors import (
    BayesmixWarning,
    DamagedFileError,
    FileAccessError,
    UnsupportedError,
    warn,
)
from bayesmix.families.factor_analytic.factor_analysers import ProjectedMoments
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.independent.linear import Sums
from bayesmix.families.product.layout import ProductStatistics
from bayesmix.families.student_t.components import WeightedMoments
from bayesmix.io.saved.checkpoint import fingerprint, some_rows
from bayesmix.io.saved.container import PASSES, opened, pack, unpack
from bayesmix.io.saved.records import Reader, Writer
from bayesmix.numerics.features import cost_of
from bayesmix.protocols import Source
from bayesmix.records import ChunkSums, FeatureSums, Mixture
from bayesmix.version import __version__
from bayesmix.writing import write

SUFFIX = ".passes"
SECONDS_BETWEEN_FILES = 10.0
# In rows times components times what a row costs: less is made again sooner than it is read.
LEAST_WORK = 2**24
MOST_BYTES = 2**30
# What a pass may add up.
OF_PASSES = (np.ndarray, Moments, WeightedMoments, ProjectedMoments, Sums, ProductStatistics)


@dataclass
class Passes:
    """What passes of one fit added up, and where it is kept."""

    folder: Path
    known: dict[str, ChunkSums] = field(default_factory=dict)
    fresh: dict[str, ChunkSums] = field(default_factory=dict)
    n_bytes: int = 0
    told: bool = False
    written_at: float = field(default_factory=time.perf_counter)
    lock: Lock = field(default_factory=Lock)
    digests: dict[int, tuple[ref[Source], str]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Passes:
        """Those that a folder holds; ``DamagedFileError`` names a file that cannot be read."""
        found = cls(folder)
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            with opened(path) as stream:
                header, arrays = unpack(stream, PASSES)
                value = Reader(arrays).value
                found.known |= {key: _read(value(one)) for key, one in header["passes"].items()}
            found.n_bytes += path.stat().st_size
        return found

    def summed(
        self, source: Source, mixture: Mixture, form: str, work: Callable[[], ChunkSums]
    ) -> ChunkSums:
        """The sums of a pass: as they were, or by ``work`` and kept from now on."""
        n_rows, n_columns = source.shape
        if n_rows * mixture.n_components * cost_of(n_columns) < LEAST_WORK:
            return work()
        key = self._key(source, mixture, form)
        if key is None:
            return work()
        with self.lock:
            found = self.known.get(key)
        if found is None:
            found = work()
            with self.lock:
                self.known[key] = self.fresh[key] = found
                late = time.perf_counter() - self.written_at > SECONDS_BETWEEN_FILES
            if late:
                self.write()
        return _of_mixture(found, mixture)

    def write(self) -> None:
        """What came since the last time, as a file; a disk that is full is said once."""
        with self.lock:
            fresh, self.fresh = self.fresh, {}
            self.written_at = time.perf_counter()
            if not fresh or self.n_bytes > MOST_BYTES:
                return
            writer = Writer()
            try:
                passes = {key: writer.value(_written(one)) for key, one in fresh.items()}
                content = pack({"bayesmix": __version__, "passes": passes}, writer.arrays, PASSES)
                digest = hashlib.sha256(content).hexdigest()[:16]
                write(self.folder / f"{digest}{SUFFIX}", content)
                self.n_bytes += len(content)
            except FileAccessError as problem:
                self.fresh = fresh  # the disk may have room the next time
                self._tell(str(problem))
            except UnsupportedError as problem:
                self._tell(str(problem))

    def leave_out(self, what: str) -> None:
        """Say, once, what is made again."""
        self._tell(what)

    def _key(self, source: Source, mixture: Mixture, form: str) -> str | None:
        writer = Writer()
        asked = {"form": form, "rows": self._digest(source)}
        try:
            asked["mixture"] = writer.value(mixture)
            return hashlib.sha256(pack(asked, writer.arrays, PASSES)).hexdigest()
        except UnsupportedError as problem:  # a family of one's own
            self._tell(str(problem))
            return None

    def _digest(self, source: Source) -> str:
        """A digest of rows and their weights, made once."""
        known, said = self.digests.get(id(source), (None, ""))
        if known is None or known() is not source:
            rows, weights = some_rows(source)
            said = f"{source.shape} {source.total_weight!r} {fingerprint(rows)} "
            said += fingerprint(weights)
            self.digests[id(source)] = ref(source), said
        return said

    def _tell(self, reason: str) -> None:
        if not self.told:
            self.told = True
            warn(
                f"the fit goes on, but its checkpoint does not hold all of it: {reason}",
                BayesmixWarning,
            )


def _written(one: ChunkSums) -> tuple[Any, ...]:
    sums = one.statistics
    kept = sums.sums if isinstance(sums, FeatureSums) else sums
    return float(one.log_normaliser), float(one.magnitude), kept


def _read(value: Any) -> ChunkSums:
    match value:
        case (float(), float(), sums) if isinstance(sums, OF_PASSES):
            return ChunkSums(*value)
    raise DamagedFileError(f"is damaged: it holds no pass; {PASSES.again}")


def _of_mixture(found: ChunkSums, mixture: Mixture) -> ChunkSums:
    """Sums of features, of which a file holds the numbers, with the linear form they are of."""
    if isinstance(found.statistics, np.ndarray):
        return replace(found, statistics=FeatureSums(mixture.linear, found.statistics))
    return found
