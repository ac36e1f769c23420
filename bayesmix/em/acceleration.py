"""Anderson acceleration of the map (statistics -> update -> E-step -> statistics), safeguarded.

Walker & Ni 2011, applied where a mixture's update is a fixed-point map in its summed statistics, so
that it serves every family and every objective. The run accepts an extrapolated point only if the
objective there is not below the last accepted one; otherwise it takes plain steps and begins anew
with one secant, which always leads ahead (as in SQUAREM: Varadhan & Roland 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dgesv

from bayesmix.core.mixture import Expectation
from bayesmix.numerics.arrays import Array

MEMORY = 8


@dataclass(frozen=True)
class Anderson:
    """The last few (input, output) pairs of the map, as packed statistics, and their units."""

    inputs: tuple[Array, ...] = ()
    outputs: tuple[Array, ...] = ()
    units: Array | float = 1.0
    memory: int = MEMORY

    def remembered(self, source: Array, result: Expectation) -> Anderson:
        """With one more pair; afresh where sums came from other rows, of which more is counted."""
        packed = result.pack()
        if len(source) != len(packed):
            return self.forgotten()
        return Anderson(
            (*self.inputs, source)[-self.memory :],
            (*self.outputs, packed)[-self.memory :],
            self.units if self.inputs else result.units(),
            self.memory,
        )

    def forgotten(self) -> Anderson:
        """Without history: after a refused step, a repair or a move."""
        return Anderson(memory=self.memory)

    def proposal(self) -> Array | None:
        """The combination of outputs whose combined residual is smallest, or None."""
        if len(self.inputs) < 2:
            return None
        outputs = np.array(self.outputs)
        residuals = outputs - np.array(self.inputs)
        if not np.isfinite(residuals).all():
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
            latest = residuals[-1] * self.units
            differences = (residuals[1:] - residuals[:-1]) * self.units
            gram = differences @ differences.T
        diagonal = np.einsum("ii->i", gram)
        scale = float(diagonal.sum())
        if not 0.0 < scale < np.inf:
            return None
        diagonal += 1e-14 * scale
        _, _, mix, singular = dgesv(gram, differences @ latest)
        if singular:
            return None
        if len(mix) == 1:
            # Steps that grow lead away from a saddle, and their secant back to it: go ahead.
            mix = -np.abs(mix)
        combined: Array = outputs[-1] - mix @ (outputs[1:] - outputs[:-1])
        return combined


def extrapolated(expectation: Expectation, vector: Array) -> Expectation | None:
    """The expectation whose statistics pack to ``vector``; None where counts would be negative."""
    jump = expectation.unpacked(vector)
    if not (np.isfinite(vector).all() and jump.counts.min() >= 0.0):
        return None
    if jump.allocation is not None and jump.allocation.pack().min() < 0.0:
        return None
    return jump
