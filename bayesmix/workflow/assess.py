"""What criteria need of a density and rows: a few sums, at any size of the data."""

from __future__ import annotations

from dataclasses import dataclass

from bayesmix.engine.run import assessed
from bayesmix.protocols import Family, Source
from bayesmix.records import Mixture


@dataclass(frozen=True)
class DensitySums:
    """Totals in nats and data units, over ``n`` rows (Σ w)."""

    log_likelihood: float
    entropy: float  # -Σ w Σ r log r
    log_largest: float  # Σ w log max r
    n: float


def assess(family: Family, mixture: Mixture, source: Source, log_volume: float) -> DensitySums:
    """The sums of a density over rows."""
    assessment = assessed(family, source, mixture)
    n = source.total_weight
    log_likelihood = assessment.log_likelihood - n * log_volume + assessment.unseen_volume
    return DensitySums(log_likelihood, assessment.entropy, assessment.log_largest, n)
