"""Von Mises-Fisher family: unit vectors (directions) in D dimensions, by maximum likelihood.

Log p(x | μ, κ) = log C_D(κ) + κ μᵀx with respect to the surface of the sphere, where C_D(κ) =
κ^ν / ((2 π)^(ν + 1) I_ν(κ)) and ν = D / 2 - 1 (Mardia & Jupp 2000, section 9.3.2). E[x] = A(κ) μ
with A = I_ν+1 / I_ν. Mixtures: Banerjee et al. 2005.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn, cast

import numpy as np

from bayesmix.core.components import Predictive
from bayesmix.core.families import AtAPoint, FamilyOf
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import DIRECTION, NOT_NEGATIVE, ReportedQuantity, parameter
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR
from bayesmix.families.independent.columns import ByComponent
from bayesmix.families.independent.linear import PLAIN as PLAIN_SUMS
from bayesmix.families.independent.linear import LinearInTotals, SeenTotals, Sums, filled
from bayesmix.families.without_prior import WithoutPrior, events_of_limited
from bayesmix.numerics.arrays import LOG_2PI, Array, Booleans, Integers, Stored
from bayesmix.numerics.bessel import log_bessel_and_ratio
from bayesmix.numerics.rounding import LENGTH_ROUNDING
from bayesmix.numerics.sparse import SparseRows, is_sparse

# Concentrations are at most this multiple of that of all data, as for variances on unit scale.
NARROWEST = 1e6
# Largest concentration: angles of 1e-5, where the rounding of single precision begins.
LARGEST = 1e10
# Newton steps, of which about three reach the precision from within a few percent.
STEPS, PRECISION = 12, 1e-13
NO_PARTS = "the columns of a direction depend on one another through its length: use all of them"


def log_constants(n_features: int, concentrations: Array) -> Array:
    """Return log C_D(κ) + κ, which is log density at the mean direction."""
    order = 0.5 * n_features - 1.0
    log_bessel, _ = log_bessel_and_ratio(order, concentrations)
    # (κ / 2)^ν cancels against that of the Bessel function.
    return order * np.log(2.0) - (order + 1.0) * LOG_2PI - log_bessel


def mean_lengths(n_features: int, concentrations: Array) -> Array:
    """Return A_D(κ), the length of E[x]."""
    return log_bessel_and_ratio(0.5 * n_features - 1.0, concentrations)[1]


def most_likely_concentrations(n_features: int, lengths: Array, most: Array | float) -> Array:
    """Solve A_D(κ) = ``lengths`` by Newton's method between 0 and ``most``.

    The start is within a few percent (Banerjee et al. 2005), and A' = 1 - A² - (D - 1) A / κ.
    """
    rest = np.maximum((1.0 - lengths) * (1.0 + lengths), 0.5 * n_features / LARGEST)
    found = np.minimum(lengths * (n_features - lengths**2) / rest, most)
    for _ in range(STEPS):
        at = mean_lengths(n_features, found)
        safe = np.where(found > 0.0, found, 1.0)
        slope = np.where(found > 0.0, 1.0 - at**2 - (n_features - 1.0) * at / safe, 1.0)
        moved = found - (at - lengths) / np.where(slope > 0.0, slope, np.inf)
        last, found = found, np.clip(moved, 0.0, np.minimum(2.0 * found, most))
        if (np.abs(found - last) <= PRECISION * found).all():
            break
    return found


@dataclass(frozen=True)
class SeenDirections(SeenTotals):
    """Densities of directions, 1 where they are missing."""

    def expected_log_density(self, values: Array) -> Array:
        refuse_in_part(values)
        return self.form.seen(values)[0]


def refuse_in_part(values: Stored, first: int = 0) -> None:
    """Raise an error for directions (n, D) with some of their columns missing."""
    gaps = np.isnan(values)
    if (in_part := gaps.any(axis=1) & ~gaps.all(axis=1)).any():
        raise InvalidInputError(
            f"X must hold directions that are observed or missing as a whole, got row "
            f"{first + int(np.argmax(in_part))} with some of its columns missing: write NaN in all "
            "columns of the direction"
        )


@dataclass(frozen=True)
class VonMisesFishers(AtAPoint, ByComponent):
    """Mean directions (K, D) of length 1 and concentrations (K,) at a point; 0 is uniform."""

    directions: Array = field(metadata=parameter(DIRECTION, units="units_across"))
    concentrations: Array = field(metadata=parameter(NOT_NEGATIVE))

    named = ("means", "concentrations")
    reports = (
        ReportedQuantity("direction", lambda components: components.directions),
        ReportedQuantity(
            "concentration", lambda components: components.concentrations, NOT_NEGATIVE
        ),
    )

    @property
    def units_across(self) -> Array:
        """About the deviation of a sample across the mean direction (K,)."""
        return np.asarray(1.0 / np.sqrt(1.0 + self.concentrations))

    @property
    def n_components(self) -> int:
        return len(self.directions)

    @property
    def n_features(self) -> int:
        return self.directions.shape[-1]

    @cached_property
    def linear(self) -> LinearInTotals:
        slopes = self.concentrations[:, None] * self.directions
        constants = log_constants(self.n_features, self.concentrations) - self.concentrations
        # In equal parts, as a direction is observed or missing in all columns.
        of_columns = np.repeat(constants[:, None] / self.n_features, self.n_features, axis=1)
        return LinearInTotals(of_columns, slopes, PLAIN_SUMS)

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K) by κ (1 - μᵀx) = κ |x - μ|² / 2, free of cancellation.

        Of sparse rows by μᵀx, as differences would be dense.
        """
        if is_sparse(values):
            return values @ self.linear.slopes.T + self.linear.coefficients[:, 0]
        out = np.empty((len(values), self.n_components), order="F")
        constants = log_constants(self.n_features, self.concentrations)
        for k, (direction, concentration) in enumerate(
            zip(self.directions, self.concentrations, strict=True)
        ):
            away = values - direction
            out[:, k] = constants[k] - 0.5 * concentration * np.einsum("nd,nd->n", away, away)
        return out

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return PLAIN_SUMS.observed(values).sums(responsibilities)

    @property
    def expected_totals(self) -> Array:
        return self.means

    @property
    def means(self) -> Array:
        """E[x | k] (K, D), of length A(κ)."""
        return mean_lengths(self.n_features, self.concentrations)[..., None] * self.directions

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D): A / κ across the mean direction, A' along it."""
        D, at = self.n_features, mean_lengths(self.n_features, self.concentrations)
        known = self.concentrations > 0.0
        across = np.divide(at, self.concentrations, out=np.full_like(at, 1.0 / D), where=known)
        along = 1.0 - at**2 - (D - 1.0) * across
        outer = self.directions[:, :, None] * self.directions[:, None, :]
        return across[:, None, None] * np.eye(D) + (along - across)[:, None, None] * outer

    @property
    def deviations(self) -> Array:
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def patterned(self) -> Booleans:
        return np.zeros(self.n_features, dtype=bool)

    def seen_in(self, columns: Integers) -> SeenDirections:
        return SeenDirections(self.linear)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        return filled(cast("Any", self), values, labels, generator)

    def marginal(self, columns: Integers) -> Predictive:
        if not np.array_equal(np.sort(columns), np.arange(self.n_features)):
            raise UnsupportedError(f"a von Mises-Fisher mixture has no marginals: {NO_PARTS}")
        return VonMisesFishers(self.directions[:, columns], self.concentrations)

    def conditional(self, columns: Integers, given: Integers, values: Array) -> NoReturn:
        raise UnsupportedError(f"a von Mises-Fisher mixture has no conditionals: {NO_PARTS}")

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> NoReturn:
        raise UnsupportedError(f"a von Mises-Fisher mixture has no conditionals: {NO_PARTS}")

    def unframed(self, frame: Frame) -> VonMisesFishers:
        return self

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """Draw the cosine with the mean direction by rejection, and the rest uniformly."""
        out = np.empty((int(counts.sum()), self.n_features))
        ends = np.cumsum(counts)
        for k, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
            cosines = _cosines(end - start, self.n_features, self.concentrations[k], generator)
            across = generator.standard_normal((end - start, self.n_features))
            across -= (across @ self.directions[k])[:, None] * self.directions[k]
            across /= np.sqrt((across**2).sum(axis=1, keepdims=True))
            sines = np.sqrt((1.0 - cosines) * (1.0 + cosines))
            out[start:end] = cosines[:, None] * self.directions[k] + sines[:, None] * across
        return out


def _cosines(n: int, n_features: int, concentration: float, rng: np.random.Generator) -> Array:
    """Draw n cosines with density (1 - w²)^((D - 3) / 2) exp(κ w) (Wood 1994)."""
    m = n_features - 1.0
    b = m / (2.0 * concentration + np.hypot(2.0 * concentration, m))
    x = (1.0 - b) / (1.0 + b)
    # 1 - x² = 4 b / (1 + b)².
    c = concentration * x + m * np.log(4.0 * b / (1.0 + b) ** 2)
    out = np.empty(0)
    while len(out) < n:
        size = 2 * (n - len(out)) + 16
        z, u = rng.beta(0.5 * m, 0.5 * m, size), 1.0 - rng.random(size)
        w = (1.0 - (1.0 + b) * z) / (1.0 - (1.0 - b) * z)
        accepted = concentration * w + m * np.log1p(-x * w) - c >= np.log(u)
        out = np.concatenate([out, w[accepted]])
    return out[:n]


@dataclass(frozen=True)
class VonMisesFisher(WithoutPrior, FamilyOf[Sums, VonMisesFishers]):
    """Directions: rows of length 1 in two or more dimensions, dense or sparse.

    Maximum likelihood only. The density is with respect to the surface of the sphere.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).normal(size=(200, 3)) + np.repeat([[4], [-4]], 100, axis=0)
    >>> rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    >>> m = bm.Mixture(2, family=bm.VonMisesFisher(), random_state=0).fit(rows)
    >>> m.weights_.round(2)
    array([0.5, 0.5])
    """

    name = "von_mises_fisher"
    adjective = "von Mises-Fisher"
    continuous = True
    any_real = False
    drawn_columns = 0
    linear = True
    takes_sparse = True
    takes_gaps = True
    no_prior = (
        "a VonMisesFisher has no prior here: use inference=MaximumLikelihood(), or Gaussian() "
        "without the unit length"
    )

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for rows that are neither unit vectors nor missing as a whole."""
        refuse_in_part(values, first)
        self._check_lengths(np.sqrt(np.einsum("nd,nd->n", values, values, dtype=np.float64)), first)

    def check_sparse(self, values: SparseRows) -> None:
        """Raise an error for sparse rows that are no unit vectors."""
        self._check_lengths(np.sqrt(values.row_sums(values.matrix.data**2)))

    def _check_lengths(self, lengths: Array, first: int = 0) -> None:
        wrong = np.abs(lengths - 1.0) > LENGTH_ROUNDING
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InvalidInputError(
                f"X must hold unit vectors for a von Mises-Fisher mixture, got length "
                f"{lengths[row]:.6g} in row {first + row}: divide each row by its length; "
                "angles become columns of their cos and sin"
            )

    def frame(self, summary: Summary) -> Frame:
        if summary.n_features < 2:
            raise InvalidInputError("a von Mises-Fisher mixture needs at least 2 columns, got 1")
        return Frame.identity(summary.n_features)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return PLAIN_SUMS.observed(values).sums(responsibilities)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: VonMisesFishers | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> VonMisesFishers:
        """Match the mean of the vectors, with concentrations up to 1 / ``resolution``."""
        n_features = statistics.totals.shape[1]
        # An empty component keeps its previous parameters, if there are any.
        same = previous is not None and len(previous.directions) == len(statistics.counts)
        means = statistics.shares(previous.means if previous is not None and same else 0.0)
        lengths = np.sqrt((means**2).sum(axis=1))
        first = np.eye(1, n_features)
        directions = np.where(
            lengths[:, None] > 0.0, means / np.where(lengths > 0.0, lengths, 1.0)[:, None], first
        )
        most = LARGEST if resolution is None else 1.0 / resolution[:, 0]
        concentrations = most_likely_concentrations(n_features, np.minimum(lengths, 1.0), most)
        return VonMisesFishers(directions, concentrations)

    def feasible(self, statistics: Sums) -> bool:
        """Whether means are within the sphere."""
        squares = (statistics.totals**2).sum(axis=1)
        counts = statistics.counts_of_totals[:, 0]
        return bool((counts >= 0.0).all() and (squares <= counts**2).all())

    def guard(
        self, source: Source, frame: Frame, summary: Summary, repair: bool
    ) -> FloorGuard[VonMisesFishers]:
        """Return the guard that bounds concentrations by a multiple of that of all data."""
        length = np.minimum(np.sqrt((summary.mean**2).sum(keepdims=True)), 1.0)
        all_data = most_likely_concentrations(summary.n_features, length, LARGEST)
        most = np.minimum(NARROWEST * np.maximum(all_data, summary.n_features), LARGEST)
        return FloorGuard(1.0 / most, held)


def held(mixture: Mixture[VonMisesFishers], floor: Array) -> list[Event]:
    """Return events for components with a concentration at its limit."""
    low = 1.0 / np.maximum(mixture.components.concentrations, 1e-300) <= AT_THE_FLOOR * floor[0]
    return events_of_limited(
        low,
        "{which} collapsed onto identical directions, so the likelihood has no maximum. The "
        "concentration was limited: use fewer components",
    )
