"""The predictive density of Student-t components: a mixture over the hidden precision of a row.

Given u, the mean and the precision integrate out: p(x | u) is a Student-t with ν + 1 - D degrees of
freedom whose shape matrix is (1/u + 1/β) / (1 + 1/β) times that of a normal component's predictive.
Over u, Gamma(ν/2, ν/2) under q(ν), it is a trapezoidal sum in log u, which converges exponentially.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincinv, logsumexp
from scipy.stats import gamma

from bayesmix.families.gaussian.prior.normal_wishart import GaussianPosterior
from bayesmix.families.gaussian.students import Students
from bayesmix.families.student_t.freedom_prior import FreedomFactor
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Frame

# Values of ν that are less probable are left out.
RARE = 1e-6
# Steps of the sum, in standard deviations of log u about, and what lies beyond its ends.
STEP = 0.35
BEYOND = 1e-16
BLOCK_ROWS = 2048
# In place of a squared distance of 0 whose logarithm is taken.
TINY = 1e-300


@dataclass(frozen=True)
class MixedStudents:
    """K mixtures of Students that differ in width: ``students`` times ``widths`` (K, Q).

    ``log_shares`` (K, Q) are those of the widths, minus infinity where a component has fewer;
    ``spread`` (K,) is what variances are multiplied by, NaN where there are none.
    """

    students: Students
    widths: Array
    log_shares: Array
    spread: Array

    @property
    def n_components(self) -> int:
        return self.students.n_components

    @property
    def means(self) -> Array:
        """E[x | k] (K, D), where there is one."""
        return self.students.means

    @property
    def precision_root(self) -> Array:
        """U with shape⁻¹ = U Uᵀ, of width 1."""
        return self.students.precision_root

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D), NaN where there are none."""
        return self.students.covariances * self.spread[:, None, None]

    def expected_log_density(self, values: Array) -> Array:
        """log p(x | k, data) (n, K) of framed rows."""
        out = np.empty((len(values), self.n_components))
        for start in range(0, len(values), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            with np.errstate(divide="ignore"):
                logs = np.log(self.students.squares(values[rows]))
            out[rows] = self._mixed(logs)
        return out

    def beyond(self, units: Array, exponent: int) -> tuple[Array, Array | float]:
        """The same of framed rows ``units`` times 2^exponent, and 0 to add to it."""
        students = replace(self.students, means=np.ldexp(self.students.means, -exponent))
        logs = np.log(np.maximum(students.squares(units), TINY)) + 2.0 * exponent * np.log(2.0)
        return self._mixed(logs), 0.0

    def _mixed(self, log_squares: Array) -> Array:
        """Log density (n, K) from log squared distances (n, K, G) of groups of columns."""
        out = np.empty(log_squares.shape[:2])
        for k in range(self.n_components):
            out[:, k] = logsumexp(self._by_width(log_squares[:, k], k), axis=1)
        return out

    def _by_width(self, log_squares: Array, k: int) -> Array:
        """Log density times share (n, Q) at every width of component k."""
        students, log_widths = self.students, np.log(self.widths[k])
        n_joint = students.joint_columns
        total = np.broadcast_to(self.log_shares[k], (len(log_squares), len(log_widths))).copy()
        pairs = zip(students.freedoms[k], students.constants[k], log_squares.T, strict=True)
        for nu, constant, logs in pairs:
            widened = np.logaddexp(0.0, logs[:, None] - log_widths - np.log(nu))
            total += constant - 0.5 * n_joint * log_widths - 0.5 * (nu + n_joint) * widened
        return total

    def unframed(self, frame: Frame) -> MixedStudents:
        return replace(self, students=self.students.unframed(frame))

    def marginal(self, columns: Integers) -> MixedStudents:
        """The densities of some columns: of the same widths."""
        return replace(self, students=self.students.marginal(columns))

    def conditional(self, columns: Integers, given: Integers, values: Array) -> MixedStudents:
        """The densities of ``columns`` where those ``given`` have these values (G,).

        What is given says how wide the component is there as well.
        """
        students = self.students.conditional(columns, given, values)
        if not len(given):
            return replace(self, students=students)
        known = self.marginal(given)
        squares = known.students.squares(values[None])
        with np.errstate(divide="ignore"):
            logs = np.log(squares)
        shares = np.concatenate([known._by_width(logs[:, k], k) for k in range(self.n_components)])
        shares -= logsumexp(shares, axis=1, keepdims=True)
        widths = self.widths
        if self.students.joint:
            nu = self.students.freedoms
            widths = (nu * widths + squares[0]) / (nu + squares[0])
        return MixedStudents(students, widths, shares, self.spread)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | x_given, k] (n, K, C) for rows of the given columns (n, G)."""
        return self.students.conditional_means(columns, given, values)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order (n, D)."""
        labels = np.repeat(np.arange(self.n_components), counts)
        reached = np.cumsum(np.exp(self.log_shares), axis=1)
        uniform = generator.random(len(labels)) * reached[labels, -1]
        places = (reached[labels] < uniform[:, None]).sum(axis=1)
        centre = self.students.means[labels]
        away = self.students.draw(counts, generator) - centre
        rows: Array = centre + away * np.sqrt(self.widths[labels, places])[:, None]
        return rows


def mixed_students(q: GaussianPosterior, freedom: FreedomFactor) -> MixedStudents:
    """p(x | k, data) under q(μ, Λ) q(ν)."""
    n_components = q.n_components
    probable = freedom.probabilities > RARE
    each = [_nodes(nu) for nu in freedom.values]
    rows = []
    for k in range(n_components):
        own = freedom.probabilities[min(k, len(freedom.probabilities) - 1)]
        mine = [
            (precisions, logs + np.log(own[j]))
            for j, (precisions, logs) in enumerate(each)
            if own[j] > RARE
        ]
        rows.append([np.concatenate(parts) for parts in zip(*mine, strict=True)])
    most = max(len(precisions) for precisions, _ in rows)
    widths, log_shares = np.ones((n_components, most)), np.full((n_components, most), -np.inf)
    beside = 1.0 / np.broadcast_to(q.mean_precision, (n_components,))
    for k, (precisions, logs) in enumerate(rows):
        widths[k, : len(logs)] = (1.0 / precisions + beside[k]) / (1.0 + beside[k])
        log_shares[k, : len(logs)] = logs - logsumexp(logs)
    nu, shares = freedom.values, np.where(probable, freedom.probabilities, 0.0)
    inverse = np.full(len(nu), np.nan)
    np.divide(nu, nu - 2.0, out=inverse, where=nu > 2.0)
    expected = np.where(shares > 0.0, shares * inverse, 0.0).sum(axis=1)
    spread = (expected + beside) / (1.0 + beside)
    return MixedStudents(q.predictive(), widths, log_shares, spread)


def _nodes(nu: float) -> tuple[Array, Array]:
    """Values of u ~ Gamma(ν/2, rate ν/2), and the logarithms of their shares."""
    half = 0.5 * nu
    low, high = gammaincinv(half, BEYOND), gamma.isf(BEYOND, half)
    step = STEP * min(1.0, 1.0 / np.sqrt(half))
    logs = np.arange(np.log(low), np.log(high) + step, step)
    shares = half * logs - np.exp(logs)
    return np.exp(logs) / half, shares - logsumexp(shares)
