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
    centred_pass,
    finished,
)
from bayesmix.records.noise import Noise, NoiseDensity, OwnNoise, UniformNoise, hypervolume
from bayesmix.records.rows import (
    FLAT_FLOOR,
    LOWEST_LOG,
    NOT_GIVEN,
    Event,
    Frame,
    KernelTotals,
    Known,
    Rows,
    Spread,
    Summary,
    WeightSpread,
)

__all__ = [
    "FLAT_FLOOR",
    "LOWEST_LOG",
    "NOT_GIVEN",
    "ChunkSums",
    "Event",
    "Expectation",
    "Fault",
    "Faults",
    "FeatureSums",
    "Frame",
    "KernelTotals",
    "Known",
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
    "centred_pass",
    "finished",
    "hypervolume",
]
