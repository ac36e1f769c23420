"""Gaussian families over a monotone transform of each column.

log p(x) = log N(g(x) | μ, Σ) + Σ_d log g'(x_d), so bounds and evidence are those of x. For bounded
g(x), as of square roots, the density integrates to less than 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, singledispatch
from inspect import ismethod
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.core.components import Densities, DensitiesAndStatistics, Named, elliptical
from bayesmix.core.engines import Whole
from bayesmix.core.families import Support
from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.parameters import MOMENTS, MOMENTS_OF_AMOUNTS, Coordinate, Reported, reported
from bayesmix.core.priors import NamedTensors, Prior, Pymc, Tensor
from bayesmix.core.rows import Event, Frame, Rows, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.collapse import GaussianGuard
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.families.gaussian.family import Gaussian, Gaussians
from bayesmix.families.gaussian.given_prior import GaussianPrior
from bayesmix.families.gaussian.moments import Moments, Quadratics
from bayesmix.families.gaussian.prior import GaussianPosterior, NormalWishart
from bayesmix.families.gaussian.prior_mode import map_prior
from bayesmix.families.gaussian.students import Students
from bayesmix.families.gaussian.unusable_columns import refuse_constant
from bayesmix.families.independent.columns import refuse_not_positive, refuse_where
from bayesmix.families.monotone import LOG, Function, function_of
from bayesmix.numerics.arrays import Array, Integers, Stored
from bayesmix.numerics.cell_coordinates import Coordinates, StandardisedCells
from bayesmix.numerics.distributions import ColumnDistribution, DistributionFunctions

if TYPE_CHECKING:
    from bayesmix.families.gaussian_twin import GaussianTwin

Value = TypeVar("Value")
# Normal components at a point, posterior, quadratic forms or Student-t predictives.
Normals: TypeAlias = Any


@dataclass(frozen=True)
class TransformedFrame(Frame):
    """Coordinates of g(x) for framed observations."""

    function: Function = field(kw_only=True)
    outer: Frame = field(kw_only=True)

    def apply(self, values: Any, room: Array | None = None) -> Array:
        return self.function.apply(self.outer.apply(values, room))


def _diagonal(covariances: Array) -> Array:
    return np.diagonal(covariances, axis1=1, axis2=2)


def _variances(covariances: Array, structure: Structure, shape: tuple[int, ...]) -> Array:
    """Return variances (..., K, D) from covariances in scikit-learn's shape."""
    if structure.blocks.dense:
        covariances = np.diagonal(covariances, axis1=-2, axis2=-1)
    elif structure.isotropic:
        covariances = covariances[..., None]
    if structure.shared:
        covariances = covariances[..., None, :]
    return np.broadcast_to(covariances, shape)


def _renamed(
    function: Function, structure: Structure, named: Mapping[str, Value]
) -> dict[str, Value]:
    """Rename parameters of Gaussians to say that they describe g(x)."""
    second = "covariances" if structure.blocks.dense else "variances"
    names = {"means": f"{function.prefix}_means", "covariances": f"{function.prefix}_{second}"}
    return {names.get(name, name): value for name, value in named.items()}


class Over:
    """Wrapper of a Gaussian object that applies g to arguments and wraps results.

    Subclasses define methods that take data or a frame; others are those of the Gaussian.
    """

    if TYPE_CHECKING:

        @property
        def function(self) -> Function: ...

        @property
        def normals(self) -> Any: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle ask for these before fields exist
            raise AttributeError(name)
        found = getattr(self.normals, name)
        if not ismethod(found):
            return lifted(found, self.function)
        return lambda *given, **same: lifted(found(*map(_lowered, given), **same), self.function)


@singledispatch
def lifted(value: Any, function: Function) -> Any:
    """Return a result of the normal components of g(x) as one of x; others are unchanged."""
    return value


def _lowered(value: Any) -> Any:
    return value.normals if isinstance(value, Over) else value


def _moved_inside(moved: Any, components: Any, steps: Array) -> Any:
    return replace(components, normals=moved(components.normals, steps))


@dataclass(frozen=True)
class TransformedComponents(Over):
    """K densities of x from those of g(x): at a point, posterior or predictive."""

    function: Function
    normals: Normals
    reads_bounds = False

    def expected_log_density(self, values: Array) -> Array:
        lower, upper = self.function.lower, self.function.upper
        inside = np.clip(values, self.function.least, np.nextafter(upper, lower))
        transformed = self.function.apply(inside)
        out: Array = self.normals.expected_log_density(transformed)
        out += self.function.log_jacobian(inside, transformed)[:, None]
        out[((values <= lower) | (values >= upper)).any(axis=1)] = -np.inf
        return out

    @property
    def support(self) -> Support:
        """Values of a column."""
        return Support.REAL if np.isneginf(self.function.lower) else Support.POSITIVE

    @property
    def distribution(self) -> ColumnDistribution:
        normals = self.normals.distribution.continuous
        return ColumnDistribution(DistributionOfInverse(self.function, normals))

    def coordinates(self, family: Any) -> list[Coordinate[Any]]:
        """Return the coordinates of the normal densities of g(x)."""
        point: Any = self.normals
        inside = point.coordinates(family.family)
        return [replace(own, moved=partial(_moved_inside, own.moved)) for own in inside]

    def reported(self, columns: tuple[int, ...] | None = None) -> list[Reported]:
        positive = self.function.lower == 0.0
        return reported(self, MOMENTS_OF_AMOUNTS if positive else MOMENTS, columns)

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        return self.normals.statistics(self.function.apply(values), responsibilities)

    def unframed(self, frame: Frame) -> Any:
        normals = self.normals.unframed(self.function.frame(frame.scale))
        return lifted(normals, self.function.over(1.0 / frame.scale))

    @property
    def means(self) -> Array:
        if isinstance(self.normals, Students):
            return self._no_means(self.normals.means)
        point = self.normals.plug_in()
        return self.function.means(point.means, _diagonal(point.covariances))

    def _no_means(self, means: Array) -> Array:
        """Return E[x] for Student-t g(x): infinite for logarithms, NaN otherwise."""
        return np.full_like(means, np.inf if self.function == LOG else np.nan)

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D), NaN for Student-t g(x)."""
        if isinstance(self.normals, Students):
            return np.full_like(self.normals.covariances, np.nan)
        return self.function.covariances(self.normals.means, self.normals.covariances)

    @property
    def deviations(self) -> Array:
        return np.sqrt(_diagonal(self.covariances))

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        drawn = self.normals.filled(self.function.apply(values), labels, generator)
        return np.where(np.isnan(values), self.function.inverse(drawn), values)

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Any:
        transformed = self.function.at(given).apply(values)
        found = self.normals.conditional(columns, given, transformed)
        return lifted(found, self.function.at(columns))

    def marginal(self, columns: Integers) -> Any:
        return lifted(self.normals.marginal(columns), self.function.at(columns))

    def seen_in(self, columns: Integers) -> Any:
        return lifted(self.normals.seen_in(columns), self.function.at(columns))

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        transformed = self.function.at(given).apply(values)
        means = self.normals.conditional_means(columns, given, transformed)
        if isinstance(self.normals, Students):
            return self._no_means(means)
        # The conditional covariance of a normal does not depend on the given values.
        one = self.normals.conditional(columns, given, np.zeros(len(given)))
        return self.function.at(columns).means(means, _diagonal(one.covariances))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        return self.function.inverse(self.normals.draw(counts, generator))


@elliptical.register
def _(components: TransformedComponents) -> tuple[Any, Array]:
    """Return the densities of g(x)."""
    return elliptical(components.normals)


@dataclass(frozen=True)
class DistributionOfInverse:
    """Distribution of x where g(x) is normal."""

    function: Function
    normals: DistributionFunctions

    def support(self) -> tuple[float, float]:
        return self.function.lower, self.function.upper

    def cdf(self, value: float) -> Array | float:
        return self.normals.cdf(self._transformed(value))

    def sf(self, value: float) -> Array | float:
        return self.normals.sf(self._transformed(value))

    def isf(self, shares: Array) -> Array:
        return self.function.inverse(self.normals.isf(shares)[:, None])[:, 0]

    def _transformed(self, value: float) -> float:
        lower, upper = self.function.lower, self.function.upper
        if lower < value < upper:
            return float(self.function.apply(np.array([[value]]))[0, 0])
        return -np.inf if value <= lower else np.inf


class TransformedLinear(TransformedComponents):
    """Linear forms over g(x): features of the normals, and the Jacobian with coefficient 1.

    ``loss`` ignores the rounding of the Jacobian, which is that of any sum.
    """

    @property
    def kind(self) -> object:
        return "transformed", self.function, self.normals.kind

    def features(self, values: Array, out: Array | None = None) -> Array:
        transformed = self.function.apply(values)
        jacobian = self.function.log_jacobian(values, transformed)
        if out is None:
            return np.vstack([self.normals.features(transformed), jacobian])
        self.normals.features(transformed, out[:-1])
        out[-1] = jacobian
        return out

    @property
    def coefficients(self) -> Array:
        """Θ (K, F) with Θ φ(x) = log density."""
        return np.hstack([self.normals.coefficients, np.ones((self.n_components, 1))])

    def from_sums(self, sums: Array) -> Moments:
        return self.normals.from_sums(sums[:, :-1])

    def seen(self, values: Array) -> DensitiesAndStatistics:
        transformed = self.function.apply(values)
        density, statistics = self.normals.seen(transformed)
        return density + self.function.log_jacobian(values, transformed)[:, None], statistics

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return self.filled(values, labels, generator) if self.dense else values


@dataclass(frozen=True)
class TransformedDraws(Over):
    """S draws of normals over g(x)."""

    function: Function
    normals: GaussianDraws

    def parameters(self, frame: Frame) -> Named:
        named = self.normals.parameters(self.function.frame(frame.scale))
        axes, means = named["means"]
        variances = _variances(named["covariances"][1], self.normals.structure, means.shape)
        in_units = self.function.over(1.0 / frame.scale)
        expected = {"means": (axes, in_units.means(means, variances))}
        return _renamed(self.function, self.normals.structure, named) | expected


@dataclass(frozen=True)
class TransformedPrior(Over):
    """Normal-Wishart prior over g(x) of framed observations."""

    function: Function
    normals: Prior

    def unframed(self, frame: Frame) -> TransformedPrior:
        normals = self.normals.unframed(self.function.frame(frame.scale))
        return TransformedPrior(self.function.over(1.0 / frame.scale), normals)

    def with_choice(self, choice: GaussianPrior, frame: Frame) -> TransformedPrior:
        """Return the prior with the user's hyperparameters for g(x) in data units."""
        return replace(self, normals=choice.over(self.normals, self.function.frame(frame.scale)))


@dataclass(frozen=True)
class TransformedTwin(Over):
    """K transformed Gaussians of a draw, in PyMC."""

    function: Function
    normals: GaussianTwin

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        transformed = self.function.apply(values)
        jacobian = self.function.log_jacobian(values, transformed)
        base = pm.Data("log_base", jacobian, dims="row")
        return self.normals.log_density(pm, transformed) + base[:, None]

    def named(self, frame: Frame) -> NamedTensors:
        named = self.normals.named(self.function.frame(frame.scale))
        return _renamed(self.function, self.normals.structure, named)


@dataclass(frozen=True)
class WholeSamples:
    """Log joints of all columns, for the guard of the normals."""

    whole: Whole
    function: Function

    @property
    def columns(self) -> Integers:
        return self.whole.columns

    def log_joint(self, values: Stored, components: Densities) -> Array:
        transformed: Any = TransformedComponents(self.function, components)
        return self.whole.log_joint(values, transformed)


@dataclass(frozen=True)
class Alone:
    """Log joints of data without other columns."""

    mixture: Mixture
    columns: Integers

    def log_joint(self, values: Stored, components: Densities) -> Array:
        mixture: Mixture = replace(self.mixture, components=cast("Any", components))
        return mixture.log_joint(Rows(values))


@dataclass(frozen=True)
class TransformedGuard(Over):
    """Guard against collapse that uses that of the normals over g(x)."""

    function: Function
    normals: GaussianGuard

    def examine(
        self,
        mixture: Mixture[Any],
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        guard, inner = self._of_normals(mixture)
        repair = guard.examine(inner, resolution, events, thorough)
        if repair is None or repair.mixture is None:
            return repair
        components = lifted(repair.mixture.components, self.function)
        moved = replace(mixture, weights=repair.mixture.weights, components=components)
        return Repair(repair.events, repair.resolution, moved)

    def spurious(self, mixture: Mixture[Any]) -> tuple[int, ...]:
        guard, inner = self._of_normals(mixture)
        return guard.spurious(inner)

    def _of_normals(self, mixture: Mixture[Any]) -> tuple[GaussianGuard, Mixture[Any]]:
        """Return the guard of the normals over g(x), and their mixture."""
        frame: Any = replace(cast("Any", self.normals.frame), outer=mixture.frame)
        inner = Mixture(mixture.weights, mixture.components.normals, frame)
        whole = self.normals.whole or Alone(mixture, np.arange(len(frame.centre)))
        return self.normals.among(WholeSamples(whole, self.function)), inner


def _by(over: Callable[[Function, Any], Over]) -> Callable[[Any, Function], Over]:
    return lambda value, function: over(function, value)


for of_normals, over in (
    (Gaussians, TransformedComponents),
    (GaussianPosterior, TransformedComponents),
    (Students, TransformedComponents),
    (Quadratics, TransformedLinear),
    (GaussianDraws, TransformedDraws),
    (NormalWishart, TransformedPrior),
    (GaussianGuard, TransformedGuard),
):
    lifted.register(of_normals, _by(over))


@dataclass(frozen=True, repr=False)
class Transformed(Over):
    """Gaussian components over a monotone transform of each column.

    Parameters
    ----------
    family : Gaussian
        Gaussian family of the transformed columns, with any covariance structure.
    transform : {"log", "sqrt", "logit"}, float or YeoJohnson
        Transform; a positive number is a Box-Cox power. "logit" takes numbers between 0 and 1,
        ``YeoJohnson`` all numbers, the others take positive numbers. Densities, bounds and criteria
        refer to the data, so they can be compared with those of other families. The prior is a
        ``GaussianPrior`` of the transformed values.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> X = np.random.default_rng(0).normal(5.0, 0.5, (200, 2)) ** 2
    >>> family = bm.Transformed(bm.Gaussian("full"), "sqrt")
    >>> bm.Mixture(1, family=family).fit(X).means_.round()
    array([[25., 25.]])
    """

    family: Gaussian
    transform: str | float | Function = "log"
    far_densities = takes_noise = False
    drawn_columns = 2

    def __post_init__(self) -> None:
        if not isinstance(self.family, Gaussian):
            raise InvalidInputError(f"family must be a Gaussian(), got {self.family!r}")
        function_of(self.transform)

    def __repr__(self) -> str:
        if self == LogNormal(self.family.covariance):
            return f"LogNormal({'' if self == LogNormal() else repr(self.family.covariance)})"
        return f"Transformed({self.family!r}, {self.transform!r})"

    @property
    def normals(self) -> Gaussian:
        return self.family

    @property
    def function(self) -> Function:
        return function_of(self.transform)

    @property
    def name(self) -> str:
        return self.function.normal.removeprefix("a ").replace("-", "_").lower()

    @property
    def title(self) -> str:
        return self.adjective

    def families_of_columns(self, n_columns: int) -> list[tuple[list[int], Any]]:
        return [(list(range(n_columns)), self)]

    def knowing(self, summary: Summary) -> Transformed:
        return self

    def with_covariance(self, covariance: Any) -> Transformed:
        family: Any = self.family.with_covariance(covariance)
        return replace(self, family=family)

    @property
    def takes_intervals(self) -> bool:
        """Whether values may be intervals, as of log-normal densities."""
        return self.name == "log_normal"

    @property
    def adjective(self) -> str:
        return self.function.adjective

    def made(self, components: Any) -> bool:
        same = isinstance(components, TransformedComponents) and components.function
        return same == self.function.framed and self.family.made(components.normals)

    @property
    def least(self) -> float:
        return self.function.least

    @property
    def any_real(self) -> bool:
        return self.function.lower == -np.inf

    @property
    def n_learned(self) -> int:
        return self.function.n_learned

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count the parameters of the normals, and powers that were learned from the data."""
        return self.n_learned + self.family.n_parameters(n_components, n_features)

    def marginal(self, columns: Integers) -> Transformed:
        function = self.function.at(columns)
        return self if function is self.function else replace(self, transform=function)

    def refitted(self, values: Array, responsibilities: Array) -> Transformed:
        function = self.function.refitted(values, responsibilities)
        return self if function is self.function else replace(self, transform=function)

    def check(self, values: Stored, first: int = 0) -> None:
        if self.function.lower == -np.inf:
            return None
        if self.function.upper == np.inf:
            return refuse_not_positive(values, first, self.function.normal)
        outside = (values <= self.function.lower) | (values >= self.function.upper)
        wanted = f"numbers between 0 and 1 for {self.function.normal}"
        return refuse_where(
            outside, values, first, wanted, "move values away from the limits, or rescale"
        )

    def coordinates(self, values: Array) -> Coordinates:
        return StandardisedCells.of(values, self.function.apply)

    def frame(self, summary: Summary) -> Frame:
        return self.function.working_frame(summary)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Return the frame; constant columns are an error, as their density is unbounded."""
        refuse_constant(source, mixture=f" for {self.function.normal} mixture")
        return frame, ()

    def _inner(self, summary: Summary, frame: Frame) -> tuple[Summary, TransformedFrame]:
        """Return the summary of g(x), and its frame."""
        origin, unit = np.zeros(summary.n_features), np.ones(summary.n_features)
        inner = TransformedFrame(origin, unit, function=self.function.framed, outer=frame)
        return self.function.framed.summary(summary, frame), inner

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        return self.family.statistics(self.function.framed.apply(values), responsibilities)

    def maximum_likelihood(
        self,
        statistics: Moments,
        previous: TransformedComponents | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> TransformedComponents:
        inner = None if frame is None else self.function.frame(frame.scale)
        normals = self.family.maximum_likelihood(statistics, _lowered(previous), resolution, inner)
        return TransformedComponents(self.function.framed, normals)

    def reference_prior(self, summary: Summary, frame: Frame) -> TransformedPrior:
        inner = self.function.framed.summary(summary, frame)
        normals = self.family.reference_prior(inner, Frame.identity(inner.n_features))
        return TransformedPrior(self.function.framed, normals)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> TransformedPrior:
        inner, coordinates = self._inner(source.summary, frame)
        normals = map_prior(self.family.structure, source, inner, coordinates, n_components)
        return TransformedPrior(self.function.framed, replace(normals, mean=inner.centre))

    def as_draws(self, points: Sequence[TransformedComponents]) -> TransformedDraws:
        normals = self.family.as_draws([point.normals for point in points])
        return TransformedDraws(points[0].function, normals)

    def guard(
        self, source: Source, frame: Frame, summary: Summary, repair: bool
    ) -> TransformedGuard:
        of, inner = self._inner(summary, frame)
        normals = self.family.guard(source, inner, of, repair)
        return TransformedGuard(self.function.framed, normals)


def LogNormal(covariance: str = "diag") -> Transformed:
    """Return the log-normal family, for positive columns with long right tails such as incomes.

    Columns are independent by default.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).lognormal([0.0, 3.0], 0.5, (200, 2))
    >>> m = bm.Mixture(1, family=bm.LogNormal()).fit(rows)
    >>> m.log_means_.round(1)
    array([[-0.,  3.]])
    """
    return Transformed(Gaussian(covariance), "log")


def LogNormalPrior(
    mean: ArrayLike | None = None,
    mean_precision: float | None = None,
    degrees_of_freedom: float | None = None,
    variance: ArrayLike | None = None,
) -> GaussianPrior:
    """Return the prior of log-normal components: a ``GaussianPrior`` of the logarithms.

    Parameters
    ----------
    mean : array (D,), optional
        Mean m0 of log x in data units; None means the default, here and below.
    mean_precision : float, optional
        β0 > 0.
    degrees_of_freedom : float, optional
        ν0 > 0.
    variance : array (D,), optional
        Fixed scale of the variances of log x. The default scale is learned by variational
        Bayes.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.LogNormalPrior(mean_precision=0.5).mean_precision
    0.5
    """
    return GaussianPrior(mean, mean_precision, degrees_of_freedom, variance)
