"""The E-step of large problems: the same two forms by compiled kernels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from bayesmix.engine.expectation import Assessment, Form, centred, linear
from bayesmix.numerics.features import cost_of
from bayesmix.records import Expectation, FeatureSums, Known, Mixture, Rows, Sweep

# In rows times components times ``cost_of`` one row for one of them.
COMPILE_ABOVE = 700_000


def compiled_pays(n_rows: int, n_features: int, n_components: int) -> bool:
    """Whether a pass is worth a compiler, from the problem's size and numba's presence alone.

    Small work never waits: below this a whole fit in NumPy takes less time than loading numba.
    """
    work = n_rows * n_components * cost_of(n_features)
    return work >= COMPILE_ABOVE and find_spec("numba") is not None


def has_kernel(mixture: Mixture, form: Form) -> bool:
    """Whether this form of these components has a compiled twin."""
    return form is linear or hasattr(getattr(mixture.components, "linear", None), "centred_pass")


@dataclass(frozen=True)
class CompiledStep:
    """What a pass does to a chunk; picklable, as ``ExpectationStep``."""

    mixture: Mixture
    form: Form

    def __call__(self, rows: Rows) -> Expectation:
        known = Known.everything(len(rows), self.mixture.n_components)
        return of_sweep(*swept(self.mixture, self.form, rows, known))


def swept(mixture: Mixture, form: Form, rows: Rows, known: Known) -> tuple[Sweep, Any]:
    """One pass of a form over rows that know some of the components."""
    return linear_sweep(mixture, rows, known) if form is linear else mixture.sweep(rows, known)


def sweep(mixture: Mixture, rows: Rows, known: Known) -> tuple[Sweep, Any]:
    """A pass over rows that know some of the components, in the form that keeps most digits."""
    return swept(mixture, centred if has_kernel(mixture, centred) else linear, rows, known)


def linear_sweep(mixture: Mixture, rows: Rows, known: Known) -> tuple[Sweep, Any]:
    """One pass of the compiled linear form."""
    form, coefficients = mixture.components.linear, mixture.coefficients
    sums = np.zeros(coefficients.shape)
    found = known.swept(
        "linear_pass", rows.stored(mixture.frame), len(sums), coefficients, form.kind, sums
    )
    return found, FeatureSums(form, sums)


def of_sweep(sweep: Sweep, statistics: Any) -> Expectation:
    """The sums that an update sees."""
    log_normaliser, magnitude, _, _ = sweep.totals
    return Expectation(log_normaliser, magnitude, statistics.counts, statistics)


@dataclass(frozen=True)
class CompiledAssessment:
    """``AssessmentStep`` by the compiled centred form."""

    mixture: Mixture

    def __call__(self, rows: Rows) -> Assessment:
        known = Known.everything(len(rows), self.mixture.n_components, describe=True)
        sweep, statistics = self.mixture.sweep(rows, known)
        log_likelihood, _, entropy, log_largest = sweep.totals
        return Assessment(
            log_likelihood, entropy, log_largest, statistics.counts, sweep.hard_counts
        )
