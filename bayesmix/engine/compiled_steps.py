"""The E-step of large problems: the same two arithmetics by compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np

from bayesmix.engine.expectation import Assessment, AssessmentStep
from bayesmix.numerics.features import cost_of
from bayesmix.numerics.gaps import has_gaps
from bayesmix.protocols import Additive, Components
from bayesmix.records import (
    ChunkSums,
    FeatureSums,
    KernelTotals,
    Known,
    Mixture,
    Rows,
    centred_pass,
)

# In rows times components times ``cost_of`` one row for one of them.
COMPILE_ABOVE = 700_000

# A pass over rows that know some of the components: what it adds up, and their statistics.
Kernel: TypeAlias = Callable[["Mixture[Components]", Rows, Known], tuple[KernelTotals, Additive]]


def compiled_pays(n_rows: int, n_features: int, n_components: int) -> bool:
    """Whether a pass is worth a compiler, from the problem's size and numba's presence alone.

    Small work never waits: below this a whole fit in NumPy takes less time than loading numba.
    """
    work = n_rows * n_components * cost_of(n_features)
    return work >= COMPILE_ABOVE and find_spec("numba") is not None


def linear_pass(
    mixture: Mixture[Components], rows: Rows, known: Known
) -> tuple[KernelTotals, Additive]:
    """One pass of the compiled linear form."""
    form, coefficients = mixture.linear, mixture.coefficients
    sums = np.zeros(coefficients.shape)
    found = known.run_kernel(
        "linear_pass", rows.stored(mixture.frame), (coefficients, form.kind), (sums,)
    )
    return found, FeatureSums(form, sums)


def kernel_view(mixture: Mixture[Components]) -> Mixture[Components]:
    """The mixture as kernels see it, its linear forms alone: that is what a step takes along."""
    return replace(mixture, components=mixture.linear)


@dataclass(frozen=True)
class KernelStep:
    """What a pass does to a chunk; picklable, as ``ExpectationStep``."""

    mixture: Mixture[Components]
    kernel: Kernel

    def __call__(self, rows: Rows) -> ChunkSums:
        known = Known.everything(len(rows), self.mixture.n_components)
        return of_sweep(*self.kernel(self.mixture, rows, known))


def of_sweep(sweep: KernelTotals, statistics: Additive) -> ChunkSums:
    """What a pass adds up."""
    log_normaliser, magnitude, _, _ = sweep.totals
    return ChunkSums(log_normaliser, magnitude, statistics)


@dataclass(frozen=True)
class CompiledAssessment:
    """``AssessmentStep`` by the compiled centred form."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> Assessment:
        if has_gaps(rows.values):
            return AssessmentStep(self.mixture)(rows)
        known = Known.everything(len(rows), self.mixture.n_components, describe=True)
        sweep, statistics = centred_pass(self.mixture, rows, known)
        log_likelihood, _, entropy, log_largest = sweep.totals
        return Assessment(
            log_likelihood, entropy, log_largest, statistics.counts, sweep.hard_counts
        )
