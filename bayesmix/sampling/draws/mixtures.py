"""Draws of whole mixtures, whatever they come from: what bands and intervals are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.protocols import PointComponents, Source
from bayesmix.records import Mixture
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.sampling.draws.posterior_sample import log_densities_at, mixtures_of
from bayesmix.workflow.result import FitResult


@dataclass(frozen=True)
class DrawnMixtures:
    """S draws of (π, θ) in the frame of a fit: from its q, by Gibbs sampling, or by a bootstrap.

    ``parts`` are the draws with equally many components: one, unless K is drawn too. ``align_by``:
    rows by which labels of components can be told from draw to draw, where labels change; None
    where component k is the same one in all draws, as in the fit.
    """

    result: FitResult
    parts: tuple[Draws, ...]
    align_by: Source | None = None

    @property
    def n_draws(self) -> int:
        return sum(part.n_draws for part in self.parts)

    def log_densities(self, source: Source) -> Array:
        """log p(x_n | draw) (n, S) in nats and data units."""
        each = [log_densities_at(self.result, part, source) for part in self.parts]
        return each[0] if len(each) == 1 else np.concatenate(each, axis=1)

    def mixtures(self) -> Iterator[Mixture[PointComponents]]:
        """Every draw as a mixture at a point."""
        return chain.from_iterable(mixtures_of(self.result, part) for part in self.parts)

    def at_most(self, n_draws: int) -> DrawnMixtures:
        """So many of the draws, evenly spaced; all where there are no more."""
        if self.n_draws <= n_draws:
            return self
        numbers = np.linspace(0, self.n_draws - 1, n_draws).astype(np.int64)
        kept, first = [], 0
        for part in self.parts:
            mine = numbers[(numbers >= first) & (numbers < first + part.n_draws)] - first
            first += part.n_draws
            if len(mine):
                kept.append(part.some(mine))
        return replace(self, parts=tuple(kept))
