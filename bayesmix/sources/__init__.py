"""L2: where rows come from; the only place that knows of chunks, threads, files and workers."""

from bayesmix.sources.border import (
    all_weights,
    as_source,
    coding_of,
    complete,
    eager,
    few_enough,
    is_collection,
    is_source,
    passed,
    processes,
)
from bayesmix.sources.in_memory.array import ArraySource
from bayesmix.sources.in_memory.file import open_npy
from bayesmix.sources.partitions.partitioned import PartitionedSource, Passed, counted
from bayesmix.sources.workers.local import Local

__all__ = [
    "ArraySource",
    "Local",
    "PartitionedSource",
    "Passed",
    "all_weights",
    "as_source",
    "coding_of",
    "complete",
    "counted",
    "eager",
    "few_enough",
    "is_collection",
    "is_source",
    "open_npy",
    "passed",
    "processes",
]
