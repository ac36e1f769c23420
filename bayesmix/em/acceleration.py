"""Safeguarded Anderson acceleration of EM in its summed statistics, for any family and objective.

Sources: Walker & Ni 2011; SQUAREM (Varadhan & Roland 2008).
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
    """The last input-output pairs of the EM map, as packed statistics, with their scales."""

    inputs: tuple[Array, ...] = ()
    outputs: tuple[Array, ...] = ()
    units: Array | float = 1.0
    memory: int = MEMORY

    def remembered(self, source: Array, result: Expectation) -> Anderson:
        """Append a pair; start afresh if the statistics changed length."""
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
        """Return an empty history, for use after a rejected step, a repair or a move."""
        return Anderson(memory=self.memory)

    def proposal(self) -> Array | None:
        """Return the combination of outputs with the smallest combined residual, or None."""
        if len(self.inputs) < 2:
            return None
        outputs = np.array(self.outputs)
        residuals = outputs - np.array(self.inputs)
        if not np.isfinite(residuals).all():
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # non-finite values are rejected below
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
            # Growing steps lead away from a saddle point, whereas their secant points back to it.
            mix = -np.abs(mix)
        combined: Array = outputs[-1] - mix @ (outputs[1:] - outputs[:-1])
        return combined


def extrapolated(expectation: Expectation, vector: Array) -> Expectation | None:
    """Return the expectation that packs to ``vector``, or None if counts are negative."""
    jump = expectation.unpacked(vector)
    if not (np.isfinite(vector).all() and jump.counts.min() >= 0.0):
        return None
    if jump.allocation is not None and jump.allocation.pack().min() < 0.0:
        return None
    return jump
