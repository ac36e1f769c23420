"""``MixtureDensity``: marginal and conditional densities of a fit, and densities over draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
from scipy.special import logsumexp

from bayesmix.core import validation
from bayesmix.core.components import Predictive
from bayesmix.core.families import Family
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.core.sources import Source
from bayesmix.em.display import cells, columns_of
from bayesmix.em.prediction import log_density
from bayesmix.em.refusals import refuse_noise
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.families.coding import Coding, Level, named, shown
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.posterior import BATCH_VALUES, DRAWS
from bayesmix.posterior import bands as partition
from bayesmix.posterior.bands import checked_values
from bayesmix.posterior.posterior_draws import DrawnMixtures, Draws
from bayesmix.posterior.regions import DensityRegion, Scores, region_of
from bayesmix.sources.memory import as_source, is_source
from bayesmix.sources.sample_weights import row_weights

# Random stream of samples drawn to represent the density.
OF_SCORES = 1


@dataclass(frozen=True)
class MixtureDensity:
    """Marginal or conditional density of a fit, returned by ``marginal`` and ``conditional``.

    For a variational fit this is the predictive density, with parameters integrated out. Features
    keep their names and numbers of the fit.

    Attributes
    ----------
    mixture : core.mixture.Mixture
        Weights and components, in the mixture's coordinates.
    family : Family
    columns : tuple of int
        Indices of the features in the fit.
    names : tuple of str, optional
        Names of the features.
    given : dict
        Values of the conditioning features.
    coding : families.coding.Coding, optional
        Levels of the categorical features; all methods take and return level names.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(n_components=8, random_state=0).fit(X)
    >>> soon = vb.conditional({"eruptions": 2.0})
    >>> soon.means_.round(0).tolist()
    [[67.0], [54.0]]
    >>> soon.weights_.round(2).tolist()
    [0.0, 1.0]
    >>> soon.score_samples([[55.0]]).shape
    (1,)
    """

    mixture: Mixture[Predictive]
    family: Family
    columns: tuple[int, ...]
    names: tuple[str, ...] | None
    given: Mapping[str | int, Level]
    coding: Coding | None = None

    def __post_init__(self) -> None:
        frozen(self.mixture)

    @property
    def n_components_(self) -> int:
        return self.mixture.n_components

    @property
    def weights_(self) -> Array:
        """Weights (K,); for a conditional density, component probabilities given the values."""
        return self.mixture.weights.mean().copy()

    @property
    def means_(self) -> Array:
        """Means of the components (K, d), in data units."""
        return self.mixture.frame.undo(self.mixture.components.means)

    def score_samples(self, X: Any) -> Array:
        """Return the log density of each sample (n,) in nats; X is (n, d)."""
        return self._log_densities(self._rows("X", X, range(len(self.columns))))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log density in nats per observation."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: Any = 1, random_state: Any = None) -> tuple[Any, Integers]:
        """Draw samples (n, d) and return them with their components (n,).

        Returns a frame for categorical features and products of families.
        """
        number = validation.integer("n_samples", n_samples, 1)
        rows, components = self._drawn(number, stream(root_seed(random_state), Purpose.SAMPLE))
        if self.coding is None:
            return rows, components
        if self.coding.unnamed:
            return self.coding.joined(rows), components
        names = tuple(map(str, self._labels))
        return replace(self.coding, names=names).decoded(rows), components

    def marginal(self, columns: Any) -> MixtureDensity:
        """Return the marginal density of some features, by name or number."""
        places = self._places("columns", columns)
        self._check_varying(places)
        mixture = partition.marginal(self.mixture, places)
        return self._over(places, mixture, {})

    def conditional(self, given: Any) -> MixtureDensity:
        """Return the conditional density of the other features given ``{feature: value}``."""
        if not isinstance(given, Mapping) or not given:
            raise InvalidInputError(
                f"given must be a dict of features and their values, got {given!r:.60}"
            )
        given_places, free = self._split("given", list(given))
        pairs = zip(given_places, given.items(), strict=True)
        values = np.array([[self._number(place, *pair) for place, pair in pairs]])
        self.family.marginal(given_places).check(values)
        mixture = partition.conditional(self.mixture, free, given_places, values[0])
        labels = [self._labels[place] for place in given_places]
        return self._over(free, mixture, dict(zip(labels, given.values(), strict=True)))

    def conditional_mean(self, X_given: Any, columns: Any) -> Array:
        """Return E[other features | X_given] (n, rest); ``columns`` names those in X_given."""
        free, given_places, values = self.given_rows(X_given, columns)
        source = as_source(values, n_jobs=None)

        def means(rows: Rows) -> Array:
            return partition.conditional_means(self.mixture, free, given_places, rows.values)

        return source.map(means, self.n_components_ * len(self.columns))

    def given_rows(self, X_given: Any, columns: Any) -> tuple[Integers, Integers, Array]:
        """Return indices of target and conditioning features, and the checked values."""
        given_places, free = self._split("columns", columns)
        values = self._rows("X_given", X_given, given_places)
        return free, given_places, values

    def density_region(
        self,
        level: float = 0.9,
        calibration: Any = None,
        sample_weight: Any = None,
        n_draws: int = DRAWS,
        random_state: Any = None,
    ) -> DensityRegion:
        """Return the highest-density region that contains a share ``level`` of new samples.

        Parameters
        ----------
        level : float, default=0.9
        calibration : array or frame (n, d), optional
            Samples not used to choose or fit the model. The level then holds on average over such
            sets, whether or not the model is correct (split conformal prediction). None: use
            samples drawn from the density, which is valid if the model is correct.
        sample_weight : array (n,), optional
            Weights of the calibration samples; 2 is equivalent to two identical samples.
        n_draws : int, default=10000
            Number of draws without ``calibration``.
        random_state : None, int, RandomState or Generator
            Seed of these draws.

        Raises
        ------
        InvalidInputError
            If there are too few samples for the level: 0.9 needs 9, 0.99 needs 99.
        """
        scores = self._scores(calibration, sample_weight, n_draws, random_state)
        return region_of(self, level, scores, calibration is not None)

    def tail_probability(
        self,
        X: Any,
        calibration: Any = None,
        sample_weight: Any = None,
        n_draws: int = DRAWS,
        random_state: Any = None,
    ) -> Array:
        """Return the probability (n,) of a density at most as high as the observation's.

        Estimated from m samples, drawn from the density or given as ``calibration``, as (1 + number
        with at most this density) / (m + 1). Draws have standard error √(p (1 - p) / m) and assume
        a correct model. With ``calibration`` it is a conformal p-value, valid whether or not the
        model is correct. A sample is outside ``density_region(level)`` with the same calibration
        samples if and only if its tail probability is at most 1 - level.
        """
        scores = self._scores(calibration, sample_weight, n_draws, random_state)
        return scores.tail(self.score_samples(X))

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Plot the density with its components over one or two features (``columns=``)."""
        from bayesmix.plots.pairs import plot_part

        return plot_part(self, ax=ax, **options)

    def summary(self) -> str:
        """Return weights, and mean ± standard deviation or most probable level of each feature."""
        components = self.mixture.components.unframed(self.mixture.frame)
        deviations = np.sqrt(np.diagonal(components.covariances, axis1=1, axis2=2))
        levels = self._levels(range(len(self.columns)))
        columns = [
            [str(label), *cells(levels[place], components, deviations, place)]
            for place, label in enumerate(self._labels)
        ]
        numbers = ["component", *(str(k + 1) for k in range(self.n_components_))]
        weights = ["weight", *(f"{weight:.3f}" for weight in self.weights_)]
        lines = columns_of(list(zip(numbers, weights, *columns, strict=True)), 2)
        return "\n".join([f"{self}.", *lines])

    def __repr__(self) -> str:
        of = ", ".join(map(str, self._labels))
        given = ", ".join(f"{label}={shown(value)}" for label, value in self.given.items())
        bar = f" | {given}" if given else ""
        return f"MixtureDensity of {of}{bar}: {self.n_components_} components"

    def _scores(
        self, calibration: Any, sample_weight: Any, n_draws: Any, random_state: Any
    ) -> Scores:
        """Return log densities of the calibration samples with weights, or of draws."""
        if calibration is None:
            if sample_weight is not None:
                raise InvalidInputError(
                    "sample_weight applies to calibration samples: pass calibration too"
                )
            number = validation.integer("n_draws", n_draws, 1)
            # A separate stream, because the caller may ask about the result of ``sample``.
            generator = stream(root_seed(random_state), Purpose.SAMPLE, 0, OF_SCORES)
            return Scores.of(self._log_densities(self._drawn(number, generator)[0]))
        log_densities = self.score_samples(calibration)
        given = sample_weight
        if given is None and is_source(calibration):
            given = calibration.in_memory().weights
        counts = None if given is None else row_weights(given, len(log_densities))
        return Scores.of(log_densities, counts)

    def _drawn(self, n_rows: int, generator: np.random.Generator) -> tuple[Array, Integers]:
        mixture = self.mixture
        counts = generator.multinomial(n_rows, mixture.weights.mean())
        values = mixture.drawn(counts, generator)
        return values, np.repeat(np.arange(mixture.n_components), counts)

    def _log_densities(self, values: Array) -> Array:
        source = as_source(values, n_jobs=None)
        return source.map(self._log_density, self.n_components_)

    def _log_density(self, rows: Rows) -> Array:
        return log_density(self.mixture, rows.values, self.family)

    def _over(
        self, places: Integers, mixture: Mixture[Predictive], given: Mapping[Any, Level]
    ) -> MixtureDensity:
        return replace(
            self,
            mixture=mixture,
            family=self.family.marginal(places),
            columns=tuple(self.columns[place] for place in places),
            names=None if self.names is None else tuple(self.names[place] for place in places),
            given={**self.given, **given},
            coding=None if self.coding is None else self.coding.some(places),
        )

    def _levels(self, places: Sequence[int] | Integers) -> list[tuple[Level, ...] | None]:
        """Return the levels of features, None for numeric ones."""
        return [None if self.coding is None else self.coding.levels[place] for place in places]

    def _number(self, place: int, column: Any, value: Any) -> float:
        """Return a conditioning value as a number, levels as codes."""
        levels = self._levels([place])[0]
        if levels is not None and value in levels:
            return float(levels.index(value))
        if levels is not None or not isinstance(value, Real) or not np.isfinite(float(value)):
            wanted = "finite numbers" if levels is None else f"levels ({named(levels)})"
            raise InvalidInputError(f"given must hold {wanted}, got {value!r:.40} for {column!r}")
        return float(value)

    @property
    def _labels(self) -> Sequence[str | int]:
        return self.columns if self.names is None else self.names

    def _place(self, name: str, column: Any) -> int:
        if isinstance(column, str) and self.names is not None and column in self.names:
            return self.names.index(column)
        number = isinstance(column, Integral) and not isinstance(column, bool)
        if number and int(column) in self.columns:
            return self.columns.index(int(column))
        listed = ", ".join(map(str, self._labels))
        numbers = "" if self.names is None else f", or their numbers in the fit {self.columns}"
        raise InvalidInputError(f"{name} must be among {listed}{numbers}, got {column!r}")

    def _places(self, name: str, columns: Any) -> Integers:
        """Return the indices of the named features, in the given order."""
        listed = [columns] if isinstance(columns, str | Integral) else list(columns)
        places = [self._place(name, column) for column in listed]
        if not places or len(set(places)) < len(places):
            raise InvalidInputError(
                f"{name} must be one or more distinct features, got {columns!r}"
            )
        return np.array(places)

    def _split(self, name: str, columns: Any) -> tuple[Integers, Integers]:
        """Return the indices of the conditioning features and of the others."""
        given_places = self._places(name, columns)
        free = np.setdiff1d(np.arange(len(self.columns)), given_places)
        if not len(free):
            raise InvalidInputError(
                f"{name} must leave at least one other feature, got all: {columns!r}"
            )
        self._check_varying(free)
        return given_places, free

    def _check_varying(self, places: Integers) -> None:
        basis = self.mixture.frame.basis
        if basis is not None and not basis[places].any():
            names = ", ".join(str(self._labels[place]) for place in places)
            raise InvalidInputError(
                f"columns must include a feature that varied in the fit, got {names}: a "
                "constant has no density"
            )

    def _rows(self, name: str, X: Any, places: Sequence[int] | Integers) -> Array:
        labels = [self._labels[place] for place in places]
        values = checked_values(name, X, labels, self._levels(places))
        self.family.marginal(np.asarray(places)).check(values)
        return values


def density_of(result: FitResult, names: Sequence[str] | None) -> MixtureDensity:
    """Return the predictive density of a fit over all features."""
    refuse_noise(result, "the density of columns and of regions")
    return MixtureDensity(
        result.density,
        result.family,
        tuple(range(result.n_features)),
        None if names is None else tuple(map(str, names)),
        {},
        cast("Coding | None", result.family.coding),
    )


def averaged_density(
    result: FitResult, parts: Sequence[Draws], X: Any, n_jobs: int | None
) -> Array:
    """Return log (1/S) Σ_s p(x_n | draw s) (n,) in nats and data units, after checking X."""
    labels = result.columns or range(result.n_features)
    coding: Any = result.family.coding
    values = checked_values("X", X, labels, () if coding is None else coding.levels)
    result.family.check(values)
    source = as_source(values, n_jobs=n_jobs)
    drawn = DrawnMixtures(result, tuple(parts))
    if result.side.ordered:
        return _density_of_sequence(drawn, source)
    size = max(1, BATCH_VALUES // drawn.n_draws)
    starts = range(0, len(values), size)
    blocks = (drawn.log_densities(source.subset(slice(at, at + size))) for at in starts)
    averaged: Array = np.concatenate([logsumexp(block, axis=1) for block in blocks])
    averaged -= np.log(drawn.n_draws)
    return averaged


def _density_of_sequence(drawn: DrawnMixtures, source: Source) -> Array:
    """Return log densities (n,) of one sequence, each given the samples before it."""
    side = SideInformation(begins=np.arange(source.shape[0]) == 0)
    ordered = replace(source.in_memory(), side=side)  # type: ignore[type-var]  # in memory
    upto = logsumexp(drawn.log_densities(ordered).cumsum(axis=0), axis=1) - np.log(drawn.n_draws)
    return np.diff(upto, prepend=0.0)
