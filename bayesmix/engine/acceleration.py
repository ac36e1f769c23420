"""Anderson acceleration of the map (statistics -> update -> E-step -> statistics), safeguarded.

Walker & Ni 2011, applied where a mixture's update is a fixed-point map in its summed statistics, so
that it serves every family and every objective. The run accepts an extrapolated point only if the
objective there is not below the last accepted one; otherwise it takes the plain step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.records import Expectation

MEMORY = 8
WARM_UP = 4


@dataclass(frozen=True)
class Anderson:
    """The last few (input, output) pairs of the map, as packed statistics."""

    inputs: tuple[Array, ...] = ()
    outputs: tuple[Array, ...] = ()
    memory: int = MEMORY

    def remembered(self, source: Array, result: Array) -> Anderson:
        """With one more pair."""
        return replace(
            self,
            inputs=(*self.inputs, source)[-self.memory :],
            outputs=(*self.outputs, result)[-self.memory :],
        )

    def forgotten(self) -> Anderson:
        """Without history: after a refused step, a repair or a move."""
        return replace(self, inputs=(), outputs=())

    def proposal(self, counts: Array) -> Array | None:
        """The combination of outputs whose combined residual is smallest, or None."""
        if len(self.inputs) < 2:
            return None
        outputs = np.array(self.outputs)
        residuals = outputs - np.array(self.inputs)
        if not np.isfinite(residuals).all():
            return None
        differences = np.diff(residuals, axis=0)
        gram = differences @ differences.T
        scale = float(np.trace(gram))
        if not scale > 0.0:
            return None
        gram[np.diag_indices_from(gram)] += 1e-14 * scale
        try:
            mix = np.linalg.solve(gram, differences @ residuals[-1])
        except np.linalg.LinAlgError:
            return None
        combined: Array = outputs[-1] - mix @ np.diff(outputs, axis=0)
        return combined


def extrapolated(expectation: Expectation, vector: Array) -> Expectation | None:
    """The expectation whose statistics pack to ``vector``; None where counts would be negative."""
    statistics: Any = expectation.statistics.unpack(vector)
    counts = np.array(statistics.counts)
    if not (np.isfinite(vector).all() and (counts >= 0).all()):
        return None
    return replace(expectation, counts=counts, statistics=statistics)
