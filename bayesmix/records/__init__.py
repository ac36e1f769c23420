"""L1: the records of the core: frozen dataclasses that are handed from one part to the next.

``rows`` holds what protocols speak of, ``mixture`` what speaks of protocols.
"""

from __future__ import annotations

from bayesmix.records.faults import Fault, Faults
from bayesmix.records.mixture import (
    ChunkSums,
    Expectation,
    FeatureSums,
    Mixture,
    Repair,
    finished,
)
from bayesmix.records.noise import Noise, NoiseDensity, OwnNoise, UniformNoise, hypervolume
from bayesmix.records.rows import (
    FLAT_FLOOR,
    LOWEST_LOG,
    Allocated,
    Event,
    Frame,
    Rows,
    Spread,
    Summary,
    WeightSpread,
)

__all__ = [
    "FLAT_FLOOR",
    "LOWEST_LOG",
    "Allocated",
    "ChunkSums",
    "Event",
    "Expectation",
    "Fault",
    "Faults",
    "FeatureSums",
    "Frame",
    "Mixture",
    "Noise",
    "NoiseDensity",
    "OwnNoise",
    "Repair",
    "Rows",
    "Spread",
    "Summary",
    "UniformNoise",
    "WeightSpread",
    "finished",
    "hypervolume",
]
