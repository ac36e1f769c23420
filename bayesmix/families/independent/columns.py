"""Base classes of components, posteriors, draws, priors and families with independent columns.

Arrays are (K, D), in draws (S, K, D).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import Field, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np

from bayesmix.core.components import Densities, DrawnComponents, Posterior, Predictive
from bayesmix.core.engines import Whole
from bayesmix.core.families import AtAPoint, FamilyOf
from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.linear import (
    LinearInTotals,
    Reading,
    SeenColumns,
    SeenTotals,
    Sums,
    filled,
)
from bayesmix.numerics.arrays import (
    Array,
    Booleans,
    Integers,
    Stored,
    diagonal_matrices,
    power_of_two,
)
from bayesmix.numerics.memo import cached

if TYPE_CHECKING:
    from bayesmix.core.restrictions import HeldValues, Restriction

P = TypeVar("P", bound="PointColumns")
Q = TypeVar("Q", bound="PosteriorColumns")


class ByComponent(ABC):
    """A frozen record of arrays with an axis of components."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def picked(self, *places: Any) -> Self:
        """Index all arrays."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {
            name: value[places] for name, value in named.items() if isinstance(value, np.ndarray)
        }
        return replace(self, **arrays)

    def subset(self, keep: Integers) -> Self:
        return self.picked(keep)


class ColumnsOfComponents(ByComponent):
    """K densities of independent columns, at a point or under q, in data coordinates."""

    @property
    @abstractmethod
    def means(self) -> Array:
        """E[x | k] (K, D)."""

    @property
    def n_components(self) -> int:
        return len(self.means)

    @property
    def patterned(self) -> Booleans:
        return np.zeros(self.means.shape[1], dtype=bool)

    def unframed(self, frame: Frame) -> Self:
        return self


class Columns(ColumnsOfComponents, Predictive):
    """K densities of independent columns."""

    @property
    @abstractmethod
    def deviations(self) -> Array:
        """Standard deviation of each column (K, D)."""

    def seen_in(self, columns: Integers) -> Densities:
        return SeenColumns(self.marginal(columns))

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        return filled(self, values, labels, generator)

    @property
    def covariances(self) -> Array:
        return diagonal_matrices(self.deviations**2)

    def marginal(self, columns: Integers) -> Self:
        return self.picked(slice(None), columns)

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Self:
        return self.marginal(columns)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """Return E[x_columns | k] (n, K, C), which does not depend on the given values."""
        means = self.means[:, columns]
        return np.broadcast_to(means, (len(values), *means.shape))


class PointColumns(AtAPoint, Columns):
    """K densities at a point θ."""

    @property
    def independent_columns(self) -> bool:
        return True

    @property
    @abstractmethod
    def linear(self) -> LinearInTotals:
        """Log p(x | θ_k), linear in sufficient statistics."""

    @property
    @abstractmethod
    def sufficient(self) -> tuple[Array, ...]:
        """Statistics (K, F) of θ in log p(θ), such as log θ."""

    @property
    def expected_totals(self) -> Array:
        return self.means

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return self.linear.statistics(values, responsibilities)


class PosteriorColumns(ColumnsOfComponents, Posterior):
    """Posterior q(θ) = Π q(θ_kd), an exponential family in the statistics of θ."""

    @property
    @abstractmethod
    def natural(self) -> tuple[Array, ...]:
        """Natural parameters (K, F) of each of the statistics."""

    @property
    @abstractmethod
    def expected(self) -> tuple[Array, ...]:
        """Expectations (K, F) of the statistics."""

    @property
    @abstractmethod
    def log_normalisers(self) -> Array:
        """Log ∫ exp(natural parameters times statistics) (K, D)."""

    def log_factors(self, draws: Any) -> tuple[Array, Array]:
        pairs = zip(draws.sufficient, self.natural, strict=True)
        logs = sum(drawn @ own.T for drawn, own in pairs) - self.log_normalisers.sum(axis=1)
        return np.zeros(len(logs)), logs.transpose(0, 2, 1)

    @property
    def expected_totals(self) -> Array:
        return self.means

    @property
    @abstractmethod
    def linear(self) -> LinearInTotals:
        """E[log p(x | θ_k)], linear in sufficient statistics."""

    @abstractmethod
    def plug_in(self) -> PointColumns:
        """Return the point E[θ]."""

    def expected_log_density(self, values: Array) -> Array:
        return self.linear.expected_log_density(values)

    def seen_in(self, columns: Integers) -> SeenTotals:
        return SeenTotals(self.linear)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        return self.plug_in().filled(values, labels, generator)

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return self.linear.statistics(values, responsibilities)

    def released(self) -> Self:
        return self


class DrawnColumns(ByComponent, DrawnComponents):
    """S draws of the parameters of K components, fields (S, K, ...)."""

    @property
    @abstractmethod
    def sufficient(self) -> tuple[Array, ...]:
        """Statistics (S, K, F) of θ in log p(θ)."""

    def subset(self, keep: Integers) -> Self:
        return self.picked(slice(None), keep)


def dirichlet_over(prior: Any, default: Any) -> Any:
    """Return a Dirichlet prior with the ``least`` of the default where it has none, checked."""
    if not isinstance(default, type(prior)):
        raise InvalidInputError(f"prior must be such as {default!r}, got {prior!r}")
    if prior.mass is not None and not prior.mass > 0.0:
        raise InvalidInputError(f"mass must be a number above 0, got {prior.mass!r}")
    least = default.least if prior.least is None else prior.least
    return replace(default, mass=prior.mass, least=least)


class ConjugatePrior(ABC, Generic[Q]):
    """Conjugate prior over the parameters of each column and component."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    fixes_scale = True
    conjugate = True

    @abstractmethod
    def given(self, statistics: Sums) -> Q:
        """Return q(θ) given counts and totals."""

    @abstractmethod
    def mode_given(self, statistics: Sums) -> PointColumns:
        """Return the joint posterior mode given counts and totals."""

    def posterior(
        self, statistics: Sums, previous: Q | None = None, resolution: Array | None = None
    ) -> Q:
        return self.given(statistics)

    def mode(
        self,
        statistics: Sums,
        previous: PointColumns | None = None,
        resolution: Array | None = None,
    ) -> PointColumns:
        return self.mode_given(statistics)

    def conditional(self, statistics: Sums, last: Any, generator: np.random.Generator) -> Q:
        return self.given(statistics)

    def unframed(self, frame: Frame) -> Self:
        return self

    def separate(self) -> Self:
        return self

    def _prior(self, n_totals: int) -> Q:
        """Return the prior as the factor of a component without observations."""
        nothing = Sums(np.zeros(1), np.zeros((1, n_totals)))
        return cached(self, ("prior", n_totals), lambda: self.given(nothing))

    def kl(self, q: Q) -> float:
        prior = self._prior(q.natural[0].shape[1])
        each = zip(q.natural, prior.natural, q.expected, strict=True)
        leaning = sum(((own - before) * expected).sum() for own, before, expected in each)
        return float(leaning - (q.log_normalisers - prior.log_normalisers).sum())

    def feature_evidence(self, statistics: Sums) -> Array:
        """Return the log evidence (K, D) of each column, without the base measure."""
        prior = self._prior(statistics.totals.shape[1])
        return self.given(statistics).log_normalisers - prior.log_normalisers

    def fixed_at(self, posterior: Q) -> Any:
        """Return the prior itself, whose hyperparameters are fixed."""
        return self

    def component_evidence(self, statistics: Sums) -> Array:
        """Return the log evidence (K,) of each component, without the base measure."""
        evidence: Array = self.feature_evidence(statistics).sum(axis=1)
        return evidence

    def log_density(self, components: Any) -> float:
        """Return log p(θ) at a point, with 0 log 0 = 0."""
        return float(self.log_density_of(components))

    def log_density_of(self, draws: Any) -> Array:
        n_components, n_totals = draws.sufficient[0].shape[-2:]
        prior = self._prior(n_totals)
        density = -n_components * prior.log_normalisers.sum()
        for own, drawn in zip(prior.natural, draws.sufficient, strict=True):
            finite = np.where(own == 0.0, 0.0, drawn)
            density = density + (own * finite).sum(axis=(-2, -1))
        return np.asarray(density)

    def over(self, default: Any, frame: Frame) -> Any:
        """Return the family's prior with these parameters."""
        names = [field.name for field in fields(self)]
        if not set(names) <= {field.name for field in fields(default)}:
            raise InvalidInputError(
                f"prior must be a prior of this family, such as {default!r}, got {self!r}"
            )
        return replace(default, **{name: getattr(self, name) for name in names})


class ColumnsFamily(FamilyOf[Sums, P], ABC, Generic[P]):
    """Shared methods of families with independent columns."""

    any_real = False  # checked by each family
    drawn_columns = 0
    least = 0.0
    linear = True
    takes_gaps = True

    @property
    @abstractmethod
    def reading(self) -> Reading:
        """Sufficient statistics of an observation."""

    @abstractmethod
    def at_means(self, means: Array) -> P:
        """Return the densities with these means of t(x) (K, F)."""

    @property
    @abstractmethod
    def mean_where_empty(self) -> Array | float:
        """Mean E[t(x)] of a component that never had observations."""

    def frame(self, summary: Summary) -> Frame:
        return Frame.identity(summary.n_features)

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return self.reading.observed(values).sums(responsibilities)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: P | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> P:
        """Match the means of t(x)."""
        # An empty component keeps its previous parameters, if there are any.
        before = None if previous is None else previous.expected_totals
        same = before is not None and before.shape == statistics.totals.shape
        empty = before if before is not None and same else self.mean_where_empty
        return self.at_means(statistics.shares(empty))

    def restricted(
        self,
        statistics: Sums,
        previous: P | None,
        resolution: Array | None,
        frame: Frame,
        restriction: Restriction,
    ) -> P:
        """Return the M-step with sums of equal components added, and held parameters in place."""
        components: Any = self.maximum_likelihood(statistics, previous, resolution, frame)
        for own in restriction:
            estimates = components
            if own.grouped:
                pooled = self._pooled(statistics, own)
                estimates = self.maximum_likelihood(pooled, previous, resolution, frame)
            values = own.replaced(getattr(estimates, own.name), getattr(components, own.name))
            components = replace(components, **{own.name: values})
        return cast("P", components)

    def _pooled(self, statistics: Sums, own: HeldValues) -> Sums:
        if own.cells is None:
            return statistics.pooled(own.groups)
        return statistics.pooled_in_cells(own.cells, self.reading.most)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> NoGuard:
        return NoGuard()


@dataclass(frozen=True)
class NoGuard:
    """Guard of families with bounded likelihood."""

    resolution: None = None

    def among(self, whole: Whole) -> NoGuard:
        return self

    def examine(
        self, mixture: Mixture, resolution: Array | None, events: tuple[Event, ...], thorough: bool
    ) -> Repair | None:
        return None

    def spurious(self, mixture: Mixture) -> tuple[int, ...]:
        return ()


def refuse_where(wrong: Booleans, values: Stored, first: int, held: str, remedy: str) -> None:
    """Raise ``InvalidInputError`` for the first wrong value."""
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InvalidInputError(
            f"X must hold {held} mixture, got {values[row, column]:g} in row {first + row}, "
            f"column {column}: {remedy}"
        )


SMALLEST = float(np.finfo(float).tiny)


def frame_of_positive(summary: Summary) -> Frame:
    """Return powers of two near the medians, without a centre."""
    return Frame(np.zeros(summary.n_features), power_of_two(summary.centre))


def refuse_not_positive(values: Stored, first: int, with_article: str) -> None:
    """Raise an error for values that are not positive, whose density is unbounded."""
    remedy = "replace zeros by half of the measurement resolution, or use another family"
    refuse_where(values <= 0, values, first, f"positive numbers for {with_article}", remedy)
