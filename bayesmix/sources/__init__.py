"""L2: where rows come from; the only place that knows of chunks and threads."""

from bayesmix.sources.array import ArraySource
from bayesmix.sources.border import all_weights, as_source, is_source
from bayesmix.sources.file import open_npy

__all__ = ["ArraySource", "all_weights", "as_source", "is_source", "open_npy"]
