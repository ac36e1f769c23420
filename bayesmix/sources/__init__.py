"""L2: where rows come from; the only place that knows of chunks, threads, files and workers."""

from bayesmix.sources.array import ArraySource
from bayesmix.sources.border import all_weights, as_source, coding_of, is_source, processes
from bayesmix.sources.file import open_npy
from bayesmix.sources.local import Local
from bayesmix.sources.partitioned import PartitionedSource, counted

__all__ = [
    "ArraySource",
    "Local",
    "PartitionedSource",
    "all_weights",
    "as_source",
    "coding_of",
    "counted",
    "is_source",
    "open_npy",
    "processes",
]
