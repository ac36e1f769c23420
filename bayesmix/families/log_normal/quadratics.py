"""Log densities of log-normal columns as linear forms in the logarithms of a row.

log p(x) = log N(log x | μ, σ²) - log x is quadratic in y = log x: a normal's form, with its mean
moved from μ to μ - σ².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.quadratic import Quadratics
from bayesmix.families.log_normal.logs import log_density, rows_of
from bayesmix.numerics import features
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.filled import filled_at_once
from bayesmix.numerics.once import once
from bayesmix.protocols import Seen


@filled_at_once
@dataclass(frozen=True)
class LogQuadratics:
    """K log densities of positive rows, from the ``normals`` of their logarithms."""

    normals: Quadratics

    @property
    def kind(self) -> int:
        return features.LOGS

    @property
    def n_components(self) -> int:
        return self.normals.n_components

    @property
    def linear(self) -> LogQuadratics:
        """Itself: to an E-step, linear forms are components."""
        return self

    @once
    def moved(self) -> Quadratics:
        """The forms with - Σ log x in them."""
        normals = self.normals
        structure, means = normals.structure, normals.means
        variances = structure.algebra.spread(normals.covariance, *means.shape)
        less = 0.5 * variances - means
        by_column = normals.column_offset
        return Quadratics(
            structure,
            normals.offset + less.sum(axis=1),
            means - variances,
            normals.root,
            None if by_column is None else by_column + less,
        )

    def features(self, values: Array, out: Array | None = None) -> Array:
        """[1, log x, (log x)²] (F, n)."""
        return self.normals.features(np.log(values), out)

    @property
    def coefficients(self) -> Array:
        """Θ (K, F) with Θ φ(x) = log density."""
        return self.moved.coefficients

    def from_sums(self, sums: Array) -> Moments:
        """Centred moments of logarithms."""
        return self.normals.from_sums(sums)

    def expected_log_density(self, values: Array) -> Array:
        """(n, K), centred form."""
        return log_density(self.normals, values)

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        """Centred moments of logarithms."""
        return self.normals.statistics(np.log(values), responsibilities)

    def subset(self, keep: Integers) -> LogQuadratics:
        return LogQuadratics(self.normals.subset(keep))

    def near(self, log_weights: Array) -> Array:
        """As of the normals: what component k may take of j's rows is the same over logarithms."""
        return self.normals.near(log_weights)

    def expected_log_likelihood(self, statistics: Moments) -> float:
        """Σ_k Σ_n r_nk E[log p(x_n | θ_k)] without - Σ log x, which no parameter touches."""
        return self.normals.expected_log_likelihood(statistics)

    def loss(self, statistics: Moments, most: float = 0.0) -> float:
        """Bound on the rounding error of Σ w log p(x) through the features, in nats."""
        return self.moved.loss(statistics, most)

    # Rows with gaps

    @property
    def patterned(self) -> Booleans:
        """All columns."""
        return self.normals.patterned

    @property
    def dense(self) -> bool:
        """No column depends on others, given the component."""
        return False

    def seen_in(self, columns: Integers) -> LogQuadratics:
        """The forms of rows that have only these columns."""
        return LogQuadratics(self.normals.marginal(columns))

    def seen(self, values: Array) -> Seen:
        """The forms of rows with gaps, and what makes their moments."""
        logs = np.log(values)
        density, statistics = self.normals.seen(logs)
        return density - np.nansum(logs, axis=1)[:, None], statistics

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Rows with their gaps drawn from the components ``labels``."""
        drawn = rows_of(self.normals.filled(np.log(values), labels, generator))
        return np.where(np.isnan(values), drawn, values)

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        """The rows: factors are left out."""
        return values
