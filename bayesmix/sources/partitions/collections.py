"""Dask arrays and frames as sources: on the current client, or by the threads of this process.

A client keeps the rows on its workers, as arrays, while a source is there; what was persisted is
used where it lies. Without a client blocks are computed by Dask's own scheduler: the first of them
are kept, and the others computed again in every pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Stored
from bayesmix.sources.border import is_collection
from bayesmix.sources.partitions.partitioned import PartitionedSource, counted
from bayesmix.sources.workers.local import Local

# Bytes of blocks that are kept where there is no client.
MOST_KEPT = 2**28


def columns_of(X: Any) -> tuple[str, ...] | None:
    """Names of the columns of a Dask frame, of which all are to be numbers; None of an array."""
    if not hasattr(X, "columns"):
        return None
    kinds = zip(X.columns, X.dtypes, strict=True)
    wrong = [
        f"{name!r} ({kind})" for name, kind in kinds if getattr(kind, "kind", "O") not in "fiub"
    ]
    if wrong:
        raise InvalidInputError(
            f"X must be numeric, but these columns are not: {', '.join(wrong)}: drop or encode them"
        )
    return tuple(map(str, X.columns))


def collected(X: Any, sample_weight: Any, n_jobs: int | None) -> PartitionedSource:
    """The rows of a Dask collection, one partition a block."""
    columns = columns_of(X)
    blocks = _blocks(X, sample_weight)
    names = tuple(f"block {number}" for number in range(len(blocks)))
    client = current_client()
    n_features = int(X.shape[1])
    if client is None:
        held, lengths = _held(blocks)
        return PartitionedSource.of(Local(held), lengths, n_features, names, columns, n_jobs)
    from bayesmix.sources.workers.cluster import DaskEngine

    engine = DaskEngine(client, client.compute(blocks))
    lengths = counted(engine, len(blocks))
    return PartitionedSource.of(engine, lengths, n_features, names, columns, n_jobs)


def gathered(X: Any) -> Any:
    """The rows of a Dask collection as a source, which refuses to bring too many here; all else."""
    return collected(X, None, 1) if is_collection(X) else X


def current_client() -> Any:
    """The client that Dask's own work would go to, None where there is none."""
    try:
        from distributed import default_client
    except ImportError:
        return None
    try:
        return default_client()
    except ValueError:
        return None


def whole_rows(X: Any) -> Any:
    """A Dask array with all columns of a row in one block; a frame as it is."""
    if hasattr(X, "columns"):
        return X
    if X.ndim != 2:
        raise InvalidInputError(
            f"X must have two dimensions, rows and columns, got shape {X.shape}"
        )
    return X if X.numblocks[1] == 1 else X.rechunk({1: -1})


def _blocks(X: Any, sample_weight: Any) -> list[Any]:
    """Delayed (values, weights) of every block."""
    from dask import delayed

    make = delayed(_rows_of, pure=False)
    if hasattr(X, "columns") and hasattr(sample_weight, "to_frame"):
        # As one frame: Dask may read fewer columns of a file in fewer blocks.
        joined = X.assign(**{_new_name(X.columns): sample_weight})
        return [make(block, None, number, True) for number, block in enumerate(joined.to_delayed())]
    rows = np.ravel(np.array(whole_rows(X).to_delayed(), dtype=object)).tolist()
    weights: list[Any] = [None] * len(rows)
    if sample_weight is not None:
        if not is_collection(sample_weight):
            raise InvalidInputError(
                "sample_weight beside a Dask collection must be one as well, with the same blocks, "
                f"got {type(sample_weight).__name__}: give dask.array.from_array(weights, "
                "chunks=X.chunks[0])"
            )
        weights = np.ravel(np.array(sample_weight.to_delayed(), dtype=object)).tolist()
        if len(weights) != len(rows):
            raise InvalidInputError(
                f"sample_weight must have the {len(rows)} blocks that X has, got {len(weights)}: "
                "rechunk it"
            )
    return [
        make(block, own, number)
        for number, (block, own) in enumerate(zip(rows, weights, strict=True))
    ]


@dataclass(frozen=True)
class BlockAtHand:
    """A block that is here."""

    values: Stored
    weights: Array | None

    def __call__(self) -> tuple[Stored, Array | None]:
        return self.values, self.weights


class Computed:
    """A block that is computed whenever it is asked for."""

    def __init__(self, block: Any) -> None:
        self.block = block

    def __call__(self) -> tuple[Stored, Array | None]:
        found: tuple[Stored, Array | None] = self.block.compute(scheduler="synchronous")
        return found


def _held(blocks: list[Any]) -> tuple[tuple[Any, ...], list[int]]:
    """Who hands out each block, and how many rows it has."""
    loaders: list[Any] = []
    lengths: list[int] = []
    n_bytes = 0
    for block in blocks:
        values, weights = block.compute()
        n_bytes += values.nbytes
        loaders.append(BlockAtHand(values, weights) if n_bytes <= MOST_KEPT else Computed(block))
        lengths.append(len(values))
    return tuple(loaders), lengths


def _new_name(columns: Any) -> str:
    """One that no column has."""
    return "_".join(["weight", *map(str, columns)])


def _rows_of(
    block: Any, weights: Any, number: int, weights_last: bool = False
) -> tuple[Array, Array | None]:
    """A block as contiguous numbers; its last column may be the weights."""
    if weights_last:
        block, weights = block.iloc[:, :-1], block.iloc[:, -1]
    values = numbers_of(block)
    if weights is None:
        return values, None
    own = np.asarray(weights, dtype=np.float64).ravel()
    if len(own) != len(values):
        raise InvalidInputError(
            f"sample_weight must be one number for each row, but in block {number} there are "
            f"{len(own)} for {len(values)} rows"
        )
    return values, own


def numbers_of(block: Any) -> Array:
    """What a block holds as float32 or float64, what is missing as NaN."""
    if hasattr(block, "iloc"):
        kinds = set(block.dtypes)
        single = kinds == {np.dtype(np.float32)}
        values = block.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)
    else:
        values = np.asarray(block)
        if values.dtype not in (np.float32, np.float64) or not values.dtype.isnative:
            values = values.astype(np.float64)
    return np.ascontiguousarray(values)
