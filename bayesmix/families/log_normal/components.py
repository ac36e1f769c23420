"""Log-normal components at a point, under q, drawn, integrated out: the normals of logarithms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import Field, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.families.gaussian.prior.normal_wishart import GaussianPosterior
from bayesmix.families.gaussian.prior.wishart_scale import FixedScale, Wishart
from bayesmix.families.gaussian.students import Students
from bayesmix.families.gaussian.uncertainty.coordinates_of_q import GaussianCoordinates
from bayesmix.families.log_normal.logs import frame_of_logs, log_density, means_of, rows_of
from bayesmix.families.log_normal.quadratics import LogQuadratics
from bayesmix.numerics.arrays import Array, Booleans, Integers, diagonal_matrices
from bayesmix.numerics.filled import filled_at_once
from bayesmix.numerics.once import once
from bayesmix.protocols import Incomplete, Named
from bayesmix.records import Frame, Spread

Value = TypeVar("Value")
N = TypeVar("N", Gaussians, GaussianPosterior)
# What parameters of the normals are called.
NAMES = {
    "means": "log_means",
    "covariances": "log_variances",
    "scale": "scale",
    "covariance_prior": "covariance_prior",
}


def of_logs(named: dict[str, Value]) -> dict[str, Value]:
    """Parameters of the normals of logarithms, by names that say so."""
    return {NAMES[name]: value for name, value in named.items()}


class OfLogs(ABC):
    """K densities of columns, by densities of their logarithms."""

    @property
    @abstractmethod
    def of_logs(self) -> Incomplete:
        """The densities of logarithms."""

    @property
    @abstractmethod
    def means(self) -> Array:
        """E[x | k] (K, D)."""

    @property
    def n_components(self) -> int:
        return self.of_logs.n_components

    def expected_log_density(self, values: Array) -> Array:
        """E[log p(x | k)] (n, K)."""
        return log_density(self.of_logs, values)

    @property
    def patterned(self) -> Booleans:
        """All columns."""
        return self.of_logs.patterned

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | k] (n, K, C), whatever the given values (n, G) are."""
        own = self.means[:, columns]
        return np.broadcast_to(own, (len(values), *own.shape))


class NormalsOfLogs(OfLogs, Generic[N]):
    """Those of a fit: by the ``normals`` of logarithms, at a point or under q."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    normals: N

    @property
    def of_logs(self) -> N:
        return self.normals

    @once
    def linear(self) -> LogQuadratics:
        """(E of) log p(x | θ_k), quadratic in the logarithms of a row."""
        return LogQuadratics(self.normals.linear)

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        """Centred moments of logarithms."""
        return self.linear.statistics(values, responsibilities)

    def subset(self, keep: Integers) -> Self:
        return replace(self, normals=self.normals.subset(keep))

    def released(self) -> Self:
        return replace(self, normals=self.normals.released())

    def unframed(self, frame: Frame) -> Self:
        return replace(self, normals=self.normals.unframed(frame_of_logs(frame)))

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Rows with their gaps drawn from the components ``labels``."""
        return self.linear.filled(values, labels, generator)


@filled_at_once
@dataclass(frozen=True)
class LogNormals(NormalsOfLogs[Gaussians]):
    """Columns whose logarithms are independent ``normals``."""

    normals: Gaussians

    @property
    def log_means(self) -> Array:
        """μ (K, D), means of logarithms."""
        return self.normals.means

    @property
    def log_variances(self) -> Array:
        """σ² (K, D), variances of logarithms."""
        return self.normals.blocks

    @property
    def means(self) -> Array:
        """E[x | k] (K, D)."""
        return means_of(self.log_means, self.log_variances)

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D)."""
        return self.means * np.sqrt(np.expm1(self.log_variances))

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D): given the component, columns are independent."""
        return diagonal_matrices(self.deviations**2)

    def seen_in(self, columns: Integers) -> LogNormals:
        """The densities of rows that have only these columns."""
        return self.marginal(columns)

    def marginal(self, columns: Integers) -> LogNormals:
        """The densities of some columns."""
        return LogNormals(self.normals.marginal(columns))

    def conditional(self, columns: Integers, given: Integers, values: Array) -> LogNormals:
        """The densities of ``columns``: given the component, columns are independent."""
        return self.marginal(columns)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order."""
        return rows_of(self.normals.draw(counts, generator))

    def plug_in(self) -> LogNormals:
        """Itself: a point."""
        return self

    def predictive(self) -> LogNormals:
        """Itself: nothing is integrated out."""
        return self


@dataclass(frozen=True)
class LogStudents(OfLogs):
    """Columns whose logarithms are ``students``: they have no mean, and no variance."""

    students: Students

    @property
    def of_logs(self) -> Students:
        return self.students

    @property
    def means(self) -> Array:
        """E[x | k] (K, D): infinite, as an exponential of a t is."""
        return np.full_like(self.students.means, np.inf)

    @property
    def covariances(self) -> Array:
        """NaN (K, D, D): there are none."""
        n_components, n_features = self.students.means.shape
        return np.full((n_components, n_features, n_features), np.nan)

    def unframed(self, frame: Frame) -> LogStudents:
        return LogStudents(self.students.unframed(frame_of_logs(frame)))

    def seen_in(self, columns: Integers) -> LogStudents:
        """The densities of rows that have only these columns."""
        return self.marginal(columns)

    def marginal(self, columns: Integers) -> LogStudents:
        """The densities of some columns."""
        return LogStudents(self.students.marginal(columns))

    def conditional(self, columns: Integers, given: Integers, values: Array) -> LogStudents:
        """The densities of ``columns``: given the component, columns are independent."""
        return self.marginal(columns)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order."""
        return rows_of(self.students.draw(counts, generator))


@dataclass(frozen=True)
class LogNormalDraws:
    """S draws of the normals of logarithms."""

    normals: GaussianDraws

    @cached_property
    def components(self) -> LogQuadratics:
        """All S K densities, those of a draw together."""
        return LogQuadratics(self.normals.components)

    def subset(self, keep: Integers) -> LogNormalDraws:
        """Some components of every draw."""
        return LogNormalDraws(self.normals.subset(keep))

    def at(self, draw: int) -> LogNormals:
        """One of the draws as K densities at a point."""
        return LogNormals(self.normals.at(draw))

    def parameters(self, frame: Frame) -> Named:
        """Means (S, K, D) of logarithms and their variances, means in data units, and the scale."""
        named = of_logs(self.normals.parameters(frame_of_logs(frame)))
        axes, logs = named["log_means"]
        means = means_of(logs, named["log_variances"][1])
        return named | {"means": (axes, means)}


@dataclass(frozen=True)
class LogCoordinates:
    """q(μ, σ²) in the coordinates of the normals of logarithms."""

    normals: GaussianCoordinates

    @property
    def size(self) -> int:
        """P."""
        return self.normals.size

    def places(self, k: int) -> Integers:
        """What the log density of component k depends on."""
        return self.normals.places(k)

    def slopes(self, values: Array, k: int) -> Array:
        """d E[log p(x | θ_k)] / d E[z] (n, p) over ``places(k)``, for framed rows."""
        return self.normals.slopes(np.log(values), k)

    def coupling(self) -> Array:
        """Second derivatives of what couples components beside the rows."""
        return self.normals.coupling()

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Means and variances of logarithms, means, to first order, and the scale."""
        named = of_logs(self.normals.parameters(frame_of_logs(frame)))
        logs, variances = named["log_means"], named["log_variances"]
        points = self.normals.q.unframed(frame_of_logs(frame))
        means = means_of(points.means, points.blocks).ravel()
        # Under q neither knows of the other.
        across = means[:, None] * (logs.across + 0.5 * variances.across)
        own = np.multiply.outer(means, means) * (logs.own + 0.25 * variances.own)
        return named | {"means": Spread(logs.shape, across, own)}

    @property
    def moved(self) -> Integers:
        """Coordinates that ``standardised`` has."""
        return self.normals.moved

    def standardised(self, draws: LogNormalDraws) -> Array:
        """Draws of q in unconstrained coordinates (S, ...)."""
        return self.normals.standardised(draws.normals)

    def drawn(self, standardised: Array) -> LogNormalDraws:
        """The draws that have these unconstrained coordinates."""
        return LogNormalDraws(self.normals.drawn(standardised))


@filled_at_once
@dataclass(frozen=True)
class LogNormalPosterior(NormalsOfLogs[GaussianPosterior]):
    """q(μ, σ²): that of the ``normals`` of logarithms."""

    normals: GaussianPosterior

    @property
    def prior_mean_precision(self) -> float:
        """β0."""
        return self.normals.prior_mean_precision

    @property
    def scale(self) -> Wishart | FixedScale:
        """q(S), or the fixed S."""
        return self.normals.scale

    @property
    def means(self) -> Array:
        """E[x | k] (K, D) at E[μ] and 1 / E[1 / σ²]."""
        return self.plug_in().means

    @property
    def expected_totals(self) -> Array:
        """E[x | k] (K, D)."""
        return self.means

    def seen_in(self, columns: Integers) -> LogQuadratics:
        """The densities of rows that have only these columns."""
        return self.linear.seen_in(columns)

    def plug_in(self) -> LogNormals:
        """E[μ] and 1 / E[1 / σ²]."""
        return LogNormals(self.normals.plug_in())

    def predictive(self) -> LogStudents:
        """p(x | k, data): parameters integrated out."""
        return LogStudents(self.normals.predictive())

    def draws(self, n_draws: int, generator: np.random.Generator) -> LogNormalDraws:
        """Independent draws of (μ, σ²), and of a learned scale."""
        return LogNormalDraws(self.normals.draws(n_draws, generator))

    def coordinates(self) -> LogCoordinates:
        """Those of the normals."""
        return LogCoordinates(self.normals.coordinates())

    def log_factors(self, draws: LogNormalDraws) -> tuple[Array, Array]:
        """log q of draws in parts: see ``GaussianPosterior.log_factors``."""
        return self.normals.log_factors(draws.normals)
