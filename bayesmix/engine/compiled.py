"""The E-step of large problems: the same two forms by compiled kernels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from bayesmix.engine.expectation import Assessment, Form, linear
from bayesmix.numerics.features import DENSE, n_features_of
from bayesmix.numerics.warming import told_when_long
from bayesmix.records import Expectation, Known, Mixture, Rows

COMPILE_ABOVE = 500_000


def compiled_pays(n_rows: int, n_features: int, n_components: int) -> bool:
    """Whether a pass is worth a compiler, from the problem's size and numba's presence alone.

    Small work never waits: below this a whole fit in NumPy takes less time than loading numba.
    """
    width = n_features_of(DENSE, n_features)
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
        known = Known.everything(len(rows), self.mixture.n_components)
        return (
            self._linear(rows, known) if self.form is linear else swept(self.mixture, rows, known)
        )

    def _linear(self, rows: Rows, known: Known) -> Expectation:
        from bayesmix.numerics.compiled import linear_pass

        form = self.mixture.components.linear
        values, weights, frame = rows.stored(self.mixture.frame)
        coefficients = form.coefficients.copy()
        coefficients[:, 0] += self.mixture.finite_log_weights
        sums = np.zeros(coefficients.shape)
        with told_when_long(linear_pass):
            log_normaliser, magnitude = linear_pass(
                values,
                frame.centre,
                1.0 / frame.scale,
                weights,
                known.order,
                coefficients,
                form.kind,
                sums,
            )
        statistics = form.from_sums(sums)
        return Expectation(log_normaliser, magnitude, statistics.counts, statistics)


def swept(mixture: Mixture, rows: Rows, known: Known) -> Expectation:
    """The sums of one pass of the compiled centred form."""
    sweep, statistics = mixture.sweep(rows, known)
    return Expectation(sweep.log_normaliser, sweep.magnitude, statistics.counts, statistics)


@dataclass(frozen=True)
class CompiledAssessment:
    """``AssessmentStep`` by the compiled centred form."""

    mixture: Mixture

    def __call__(self, rows: Rows) -> Assessment:
        known = Known.everything(len(rows), self.mixture.n_components, describe=True)
        sweep, statistics = self.mixture.sweep(rows, known)
        return Assessment(
            sweep.log_normaliser,
            sweep.entropy,
            sweep.log_largest,
            statistics.counts,
            sweep.hard_counts,
        )
