"""Log densities that are linear in sufficient statistics, and their sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesmix.core.components import DensitiesAndStatistics
from bayesmix.core.families import Rearranged
from bayesmix.numerics.arrays import (
    UNIT_ROUNDOFF,
    Array,
    Booleans,
    Integers,
    has_gaps,
    without_gaps,
)
from bayesmix.numerics.gaps import seen
from bayesmix.numerics.memo import once
from bayesmix.numerics.sparse import summed
from bayesmix.numerics.special import log_choices, log_factorials

if TYPE_CHECKING:
    from bayesmix.families.independent.columns import Columns


@dataclass(frozen=True)
class Sums(Rearranged):
    """Counts (K,) Σ w r and totals (K, F) Σ w r t(x).

    ``known_counts`` (K, F) are Σ w r over the observed cells, None without missing values.
    """

    counts: Array
    totals: Array
    measured: bool = False  # whether totals have units, rather than counting events
    known_counts: Array | None = None
    shared = False

    @property
    def counts_of_totals(self) -> Array:
        """Σ w r behind each total (K, F), or (K, 1) if all are equal."""
        return self.counts[:, None] if self.known_counts is None else self.known_counts

    def __add__(self, other: Sums) -> Sums:
        known = None
        if self.known_counts is not None or other.known_counts is not None:
            known = self.counts_of_totals + other.counts_of_totals
        counts, totals = self.counts + other.counts, self.totals + other.totals
        return Sums(counts, totals, self.measured, known)

    def _each(self, change: Callable[[Array], Array]) -> Sums:
        known = None if self.known_counts is None else change(self.known_counts)
        return Sums(change(self.counts), change(self.totals), self.measured, known)

    def scaled(self, factor: float) -> Sums:
        return self._each(lambda sums: factor * sums)

    def subset(self, keep: Integers) -> Sums:
        return self._each(lambda sums: sums[keep])

    def pooled(self, groups: Integers) -> Sums:
        """Return for each component the sums of all components with its label (K,)."""
        alike = (groups[:, None] == groups).astype(np.float64)
        return self._each(lambda sums: alike @ sums)

    def pooled_in_cells(self, cells: Integers, trials: Array | float) -> Sums:
        """Return for each total the sums of all totals with its label (K, F).

        ``trials`` (F,) are those of a value of each total, 1 where values are no successes.
        """
        place = np.unique(cells, return_inverse=True)[1].reshape(cells.shape)
        counts = trials * np.broadcast_to(self.counts_of_totals, cells.shape)
        known, totals = (
            np.asarray(np.bincount(place.ravel(), sums.ravel())[place], dtype=np.float64)
            for sums in (counts, self.totals)
        )
        return replace(self, totals=trials * totals, known_counts=known)

    @classmethod
    def joined(cls, parts: Sequence[Sums]) -> Sums:
        known = None
        if any(part.known_counts is not None for part in parts):
            known = np.concatenate(
                [np.broadcast_to(p.counts_of_totals, p.totals.shape) for p in parts]
            )
        return Sums(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.totals for part in parts]),
            parts[0].measured,
            known,
        )

    def pack(self) -> Array:
        known = [] if self.known_counts is None else [self.known_counts.ravel()]
        return np.concatenate([self.counts, self.totals.ravel(), *known])

    def units(self) -> Array | float:
        """Return 1 for counts of events; otherwise scale totals to columns of mean 1."""
        if not self.measured:
            return 1.0
        n_components, total = len(self.counts), self.totals.sum(axis=0)
        unit = self.counts_of_totals.sum(axis=0) / np.where(total > 0.0, total, 1.0)
        of_known = np.ones(0 if self.known_counts is None else self.known_counts.size)
        return np.concatenate([np.ones(n_components), np.tile(unit, n_components), of_known])

    def unpack(self, vector: Array) -> Sums:
        n_components = len(self.counts)
        totals, known = vector[n_components:], None
        if self.known_counts is not None:
            totals, known = (half.reshape(self.totals.shape) for half in np.split(totals, 2))
        totals = totals.reshape(self.totals.shape)
        return replace(self, counts=vector[:n_components], totals=totals, known_counts=known)

    def shares(self, where_empty: Array | float) -> Array:
        """Return totals / counts, or ``where_empty`` without observations."""
        out = np.broadcast_to(np.asarray(where_empty, dtype=float), self.totals.shape).copy()
        np.divide(self.totals, self.counts_of_totals, out=out, where=self.counts_of_totals > 0)
        return out


def towards_zero(proposed: Array, present: Array) -> Array:
    """Return extrapolated sums of events, but at least a tenth of the present ones.

    At 0 they would stay, as EM does not leave a probability of 0.
    """
    return np.maximum(proposed, 0.1 * np.maximum(present, 0.0))


# Finite stand-in for log 0, where it may be multiplied by 0.
NEVER = -1e200


class Reading:
    """Sufficient statistics t(x) in log p(x | θ) = η(θ) t(x) + c(θ) + log h(x), by default x.

    ``measured``: whether t(x) has units; ``has_base``: whether log h(x) differs from 0.
    """

    measured: bool = False
    has_base: bool = False

    @property
    def most(self) -> Array | float:
        """Return the number of trials of successes, by column (D,) or for all."""
        return 1.0

    def totals(self, values: Array) -> Array:
        """Return t(x) (F, n)."""
        return values.T

    def log_base(self, values: Array) -> Array:
        """Return log h(x) (n,) over all columns, 0 for a column of 0."""
        return np.zeros(len(values))

    def spread(self, values: Array) -> Array:
        """Repeat values of columns (..., D) for each total (..., F)."""
        return values

    def observed(self, values: Array) -> Observed:
        """Return t(x) of values (n, D), of which missing ones are NaN."""
        if not has_gaps(values):
            return Totals(self, self.totals(values))
        present = seen(values)
        return Totals(self, totals_of_seen(self, without_gaps(values), present), present)


@dataclass(frozen=True)
class Plain(Reading):
    """The columns themselves."""

    measured: bool = False


@dataclass(frozen=True)
class Counts(Reading):
    """Poisson counts, with base -Σ log x!."""

    has_base = True

    def log_base(self, values: Array) -> Array:
        return -summed(log_factorials, values)


PLAIN, MEASURED, COUNTS = Plain(), Plain(measured=True), Counts()


class Observed(Protocol):
    """Sufficient statistics t(x) of the observed cells of a chunk."""

    def products(self, slopes: Array) -> Array:
        """Return Σ_f η_kf t_f(x) (n, K) for slopes (K, F)."""

    def sums(self, responsibilities: Array) -> Sums:
        """Return sums under responsibilities (n, K)."""


@dataclass(frozen=True)
class Totals:
    """t(x) (F, n), 0 for missing values, and 1 for observed cells (n, D), None if all are."""

    reading: Reading
    totals: Array
    present: Array | None = None

    def products(self, slopes: Array) -> Array:
        return (slopes @ self.totals).T

    def sums(self, responsibilities: Array) -> Sums:
        if self.present is not None:
            return sums_of_seen(self.reading, self.totals, self.present, responsibilities)
        totals = (self.totals @ responsibilities).T
        return Sums(responsibilities.sum(axis=0), totals, self.reading.measured)


def totals_of_seen(reading: Reading, complete: Array, present: Array) -> Array:
    """Return t(x) (F, n) with 0 for missing values, which are 0 in ``complete``."""
    return reading.totals(complete) * reading.spread(present).T


def sums_of_seen(reading: Reading, totals: Array, present: Array, responsibilities: Array) -> Sums:
    """Return sums over the observed cells."""
    known = reading.spread((present.T @ responsibilities).T)
    counts = responsibilities.sum(axis=0)
    return Sums(counts, (totals @ responsibilities).T, reading.measured, known)


@dataclass(frozen=True)
class LinearInTotals:
    """K log densities Σ_d c_kd + Σ_f η_kf t_f(x) + log h(x), linear in features.

    ``exact`` is False where infinities would cancel for an impossible outcome.
    """

    constants: Array  # c (K, D)
    slopes: Array  # η (K, F)
    reading: Reading = PLAIN
    exact: bool = True

    @once
    def coefficients(self) -> Array:
        """Coefficients of [1, t(x)] or of [1, t(x), log h(x)]."""
        base = [np.ones((len(self.slopes), 1))] if self.reading.has_base else []
        return np.hstack([self.constants.sum(axis=1, keepdims=True), self.slopes, *base])

    @property
    def kind(self) -> type[Reading]:
        return type(self.reading)

    def features(self, values: Array, out: Array | None = None) -> Array:
        """Return [1, t(x)] or [1, t(x), log h(x)] (F, n)."""
        totals = self.reading.totals(values)
        if out is None:
            out = np.empty((self.coefficients.shape[1], totals.shape[1]))
        out[0] = 1.0
        out[1 : 1 + len(totals)] = totals
        if self.reading.has_base:
            out[-1] = self.reading.log_base(values)
        return out

    @property
    def n_components(self) -> int:
        return len(self.slopes)

    @property
    def linear(self) -> LinearInTotals:
        return self

    @property
    def dense(self) -> bool:
        return False

    def seen(self, values: Array) -> DensitiesAndStatistics:
        observed = self.reading.observed(values)
        out = observed.products(self.slopes)
        if self.constants.any():
            out += seen(values) @ self.constants.T
        if self.reading.has_base:
            out += self.reading.log_base(without_gaps(values))[:, None]
        return out, observed.sums

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return values

    def subset(self, keep: Integers) -> LinearInTotals:
        return LinearInTotals(self.constants[keep], self.slopes[keep], self.reading, self.exact)

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return self.reading.observed(values).sums(responsibilities)

    def expected_log_density(self, values: Array) -> Array:
        out = self.reading.observed(values).products(self.slopes)
        out += self.constants.sum(axis=1)
        if self.reading.has_base:
            out += self.reading.log_base(values)[:, None]
        return out

    def in_trials(self, successes: Array, trials: Array) -> Array:
        """Return log densities (n, K) of successes in numbers of trials (n, D) of each cell.

        Coefficients are those of a single trial.
        """
        out: Array = successes @ self.slopes.T + trials @ self.constants.T
        out += log_choices(successes, trials)[:, None]
        return out

    def from_sums(self, summed: Array) -> Sums:
        n_features = summed.shape[1] - 1 - self.reading.has_base
        totals = summed[:, 1 : 1 + n_features].copy()
        return Sums(summed[:, 0].copy(), totals, self.reading.measured)

    def expected_log_likelihood(self, statistics: Sums) -> float:
        constants, slopes = self.coefficients[:, 0], self.coefficients[:, 1:]
        totals = statistics.totals
        of_totals = np.vdot(slopes[:, : totals.shape[1]], totals)
        return float(constants @ statistics.counts + of_totals)

    def loss(self, statistics: Sums, most: float = 0.0) -> float:
        if not self.exact:
            return np.inf
        sizes = np.concatenate([statistics.counts[:, None], statistics.totals], axis=1)
        weight = float(np.einsum("kf,kf->", np.abs(self.coefficients[:, : sizes.shape[1]]), sizes))
        return 2.0 * UNIT_ROUNDOFF * float(self.coefficients.shape[1]) * weight


@dataclass(frozen=True)
class SeenTotals:
    """Linear forms for data with missing values."""

    form: LinearInTotals

    @property
    def n_components(self) -> int:
        return self.form.n_components

    @property
    def patterned(self) -> Booleans:
        return np.zeros(self.form.constants.shape[1], dtype=bool)

    def seen_in(self, columns: Integers) -> SeenTotals:
        """Return self, as missing cells are left out in all columns."""
        return self

    def expected_log_density(self, values: Array) -> Array:
        return self.form.seen(values)[0]


@dataclass(frozen=True)
class SeenColumns:
    """Densities of independent columns for data with missing values, column by column."""

    columns: Columns

    @property
    def n_components(self) -> int:
        return self.columns.n_components

    @property
    def patterned(self) -> Booleans:
        return self.columns.patterned

    def seen_in(self, columns: Integers) -> SeenColumns:
        return SeenColumns(self.columns.marginal(columns))

    def expected_log_density(self, values: Array) -> Array:
        gaps = np.isnan(values)
        some = gaps.any(axis=0)
        whole = np.flatnonzero(~some)
        out = np.zeros((len(values), self.n_components))
        if len(whole):
            out += self.columns.marginal(whole).expected_log_density(values[:, whole])
        for column in np.flatnonzero(some):
            rows = np.flatnonzero(~gaps[:, column])
            alone = self.columns.marginal(np.array([column]))
            out[rows] += alone.expected_log_density(values[rows][:, [column]])
        return out


def filled(
    columns: Columns, values: Array, labels: Integers, generator: np.random.Generator
) -> Array:
    """Draw missing cells from the components ``labels``."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=columns.n_components)
    drawn = np.empty(values.shape)
    drawn[order] = columns.draw(counts, generator)
    return np.where(np.isnan(values), drawn, values)
