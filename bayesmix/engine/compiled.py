"""The E-step of large problems: the same two forms by compiled kernels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from bayesmix.engine.expectation import Assessment, Form, linear
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.warming import told_when_long
from bayesmix.records import Expectation, Frame, Known, Mixture, Rows, Sweep

COMPILE_ABOVE = 500_000
# A weight of zero has log weight minus infinity, which would meet features of zero.
LOWEST_LOG = -1e300
NO_WEIGHTS = np.zeros(0)


def compiled_pays(n_rows: int, n_features: int, n_components: int) -> bool:
    """Whether a pass is worth a compiler, from the problem's size and numba's presence alone.

    Small work never waits: below this a whole fit in NumPy takes less time than loading numba.
    """
    width = 1 + n_features * (n_features + 3) // 2
    return n_rows * n_components * width >= COMPILE_ABOVE and find_spec("numba") is not None


def has_kernel(mixture: Mixture, form: Form) -> bool:
    """Whether this form of these components has a compiled twin."""
    return form is linear or hasattr(mixture.components.linear, "centred_pass")


@dataclass(frozen=True)
class CompiledStep:
    """What a pass does to a chunk; picklable, as ``ExpectationStep``."""

    mixture: Mixture
    form: Form

    def __call__(self, rows: Rows) -> Expectation:
        stored = stored_rows(rows, self.mixture.frame)
        known = Known.everything(len(rows), self.mixture.n_components)
        if self.form is linear:
            return self._linear(stored, known)
        sweep, statistics = swept(self.mixture, stored, known)
        return Expectation(sweep.log_normaliser, sweep.magnitude, statistics.counts, statistics)

    def _linear(self, stored: Stored, known: Known) -> Expectation:
        from bayesmix.numerics.compiled import linear_pass

        form = self.mixture.components.linear
        coefficients = form.coefficients.copy()
        coefficients[:, 0] += log_weights(self.mixture)
        sums = np.zeros_like(coefficients)
        with told_when_long(linear_pass):
            log_normaliser, magnitude = linear_pass(
                stored.values,
                stored.frame.centre,
                1.0 / stored.frame.scale,
                stored.weights,
                known.order,
                coefficients,
                form.kind,
                sums,
            )
        statistics = form.from_sums(sums)
        return Expectation(log_normaliser, magnitude, statistics.counts, statistics)


@dataclass(frozen=True)
class CompiledAssessment:
    """``AssessmentStep`` by the compiled centred form."""

    mixture: Mixture

    def __call__(self, rows: Rows) -> Assessment:
        known = Known.everything(len(rows), self.mixture.n_components, describe=True)
        sweep, statistics = swept(self.mixture, stored_rows(rows, self.mixture.frame), known)
        return Assessment(
            sweep.log_normaliser,
            sweep.entropy,
            sweep.log_largest,
            statistics.counts,
            sweep.hard_counts,
        )


@dataclass(frozen=True)
class Stored:
    """Rows as kernels read them, and the frame that is still to be applied."""

    values: Any
    weights: Array
    frame: Frame


def swept(mixture: Mixture, stored: Stored, known: Known) -> tuple[Sweep, Any]:
    """One pass of the compiled centred form."""
    result: tuple[Sweep, Any] = mixture.components.linear.centred_pass(
        stored.values, stored.frame, stored.weights, log_weights(mixture), known
    )
    return result


def log_weights(mixture: Mixture) -> Array:
    """E[log π_k] (K,), finite."""
    logs: Array = np.maximum(mixture.weights.expected_log(), LOWEST_LOG)
    return logs


def stored_rows(rows: Rows, frame: Frame) -> Stored:
    """Values contiguous, native, float32 or float64, and not to be written."""
    values = rows.values
    if frame.basis is not None:
        # Kernels shift and scale columns; a plane of its own the rows are brought to here.
        values, frame = frame.apply(values), Frame.identity(frame.n_directions)
    kept = values.dtype in (np.float32, np.float64) and values.dtype.isnative
    stored = np.ascontiguousarray(values, dtype=None if kept else np.float64).view(np.ndarray)
    stored.flags.writeable = False
    return Stored(stored, NO_WEIGHTS if rows.weights is None else rows.weights, frame)
