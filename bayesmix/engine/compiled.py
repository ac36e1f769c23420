"""The E-step of large problems: the same two forms by compiled kernels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from bayesmix.engine.expectation import Form, linear
from bayesmix.numerics.arrays import Array
from bayesmix.records import Expectation, Frame, Mixture, Rows

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
        frame, values = self.mixture.frame, rows.values
        if frame.basis is not None:
            # Kernels shift and scale columns; a plane of its own the rows are brought to here.
            values, frame = frame.apply(values), Frame.identity(frame.n_directions)
        weights = NO_WEIGHTS if rows.weights is None else rows.weights
        run = self._linear if self.form is linear else self._centred
        log_normaliser, magnitude, statistics = run(stored_rows(values), frame, weights)
        return Expectation(log_normaliser, magnitude, statistics.counts, statistics)

    @property
    def _log_weights(self) -> Array:
        logs: Array = np.maximum(self.mixture.weights.expected_log(), LOWEST_LOG)
        return logs

    def _centred(self, values: Any, frame: Frame, weights: Array) -> tuple[float, float, Any]:
        form = self.mixture.components.linear
        result: tuple[float, float, Any] = form.centred_pass(
            values, frame, weights, self._log_weights
        )
        return result

    def _linear(self, values: Any, frame: Frame, weights: Array) -> tuple[float, float, Any]:
        from bayesmix.numerics.compiled import linear_pass

        form = self.mixture.components.linear
        coefficients = form.coefficients.copy()
        coefficients[:, 0] += self._log_weights
        sums = np.zeros_like(coefficients)
        log_normaliser, magnitude = linear_pass(
            values, frame.centre, 1.0 / frame.scale, weights, coefficients, form.kind, sums
        )
        return log_normaliser, magnitude, form.from_sums(sums)


def stored_rows(values: Any) -> Any:
    """Rows as kernels read them: contiguous, native, float32 or float64, and not to be written."""
    kept = values.dtype in (np.float32, np.float64) and values.dtype.isnative
    stored = np.ascontiguousarray(values, dtype=None if kept else np.float64).view(np.ndarray)
    stored.flags.writeable = False
    return stored
