"""``MixtureDensity``: a mixture over some columns of a fit, alone or given others.

The predictive density of a sampler: the average of the densities of its draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.special import logsumexp

from bayesmix.core import validation
from bayesmix.core.coding import Coding, Level, named, shown
from bayesmix.core.components import Predictive
from bayesmix.core.families import Family
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import Rows
from bayesmix.em.result import FitResult, log_density
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.posterior import DRAWS
from bayesmix.posterior import bands as partition
from bayesmix.posterior.bands import BLOCK_VALUES, checked_values
from bayesmix.posterior.posterior_draws import DrawnMixtures, Draws
from bayesmix.posterior.regions import DensityRegion, Scores, region_of, repetitions
from bayesmix.sources.border import as_source, is_source

# Of rows that stand for the density, the stream.
OF_SCORES = 1


@dataclass(frozen=True)
class MixtureDensity:
    """A mixture over some columns of a fit: what ``marginal`` and ``conditional`` return.

    Of a variational fit it is the predictive density, its parameters integrated out. Columns keep
    the names and numbers that they have in the fit, in all methods.

    Attributes
    ----------
    mixture : core.mixture.Mixture
        Weights and components, in the mixture's own frame.
    family : Family
    columns : tuple of int
        Which columns of the fit.
    names : tuple of str, optional
        Their names, where they have any.
    given : dict
        Values of other columns that the density is conditional on.
    coding : core.coding.Coding, optional
        What codes of columns of levels stand for. Levels go by their names in all methods.

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
        """Weights (K,); given values, how probable the components are."""
        weights: Array = self.mixture.weights.mean().copy()
        return weights

    @property
    def means_(self) -> Array:
        """Means of the components (K, d), in data units."""
        return self.mixture.frame.undo(self.mixture.components.means)

    def score_samples(self, X: Any) -> Array:
        """Log density (n,) in nats of rows (n, d) of these columns."""
        return self._log_densities(self._rows("X", X, range(len(self.columns))))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: Any = 1, random_state: Any = None) -> tuple[Any, Integers]:
        """Rows (n, d) drawn from the density, and the components (n,) that they came from.

        Where columns have levels, or are those of a product, a frame.
        """
        number = validation.integer("n_samples", n_samples, 1)
        rows, components = self._drawn(number, stream(root_seed(random_state), Purpose.SAMPLE))
        if self.coding is None:
            return rows, components
        names = tuple(map(str, self._labels))
        return replace(self.coding, names=names).decoded(rows), components

    def marginal(self, columns: Any) -> MixtureDensity:
        """The density of some of these columns, by name or number: the others integrated out."""
        places = self._places("columns", columns)
        self._check_varying(places)
        mixture = partition.marginal(self.mixture, places)
        return self._over(places, mixture, {})

    def conditional(self, given: Any) -> MixtureDensity:
        """The density of the other columns where those that are given have these values."""
        if not isinstance(given, Mapping) or not given:
            raise InvalidInputError(
                f"given must be a dict of columns and their values, got {given!r:.60}"
            )
        known, free = self._split("given", list(given))
        pairs = zip(known, given.items(), strict=True)
        values = np.array([[self._number(place, *each) for place, each in pairs]])
        self.family.marginal(known).check(values)
        mixture = partition.conditional(self.mixture, free, known, values[0])
        labels = [self._labels[place] for place in known]
        return self._over(free, mixture, dict(zip(labels, given.values(), strict=True)))

    def conditional_mean(self, X_given: Any, columns: Any) -> Array:
        """E[other columns | those given] (n, rest): ``columns`` says which X_given (n, g) holds."""
        free, known, values = self.given_rows(X_given, columns)
        source = as_source(values, n_jobs=None)

        def means(rows: Rows) -> Array:
            return partition.conditional_means(self.mixture, free, known, rows.values)

        found: Array = source.map(means, self.n_components_ * len(self.columns))
        return found

    def given_rows(self, X_given: Any, columns: Any) -> tuple[Integers, Integers, Array]:
        """Places of the columns asked for and of those given, and the latter's rows, checked."""
        known, free = self._split("columns", columns)
        values = self._rows("X_given", X_given, known)
        return free, known, values

    def density_region(
        self,
        level: float = 0.9,
        calibration: Any = None,
        sample_weight: Any = None,
        n_draws: int = DRAWS,
        random_state: Any = None,
    ) -> DensityRegion:
        """Where the density is highest, so that the share ``level`` of new rows lies inside.

        Parameters
        ----------
        level : float, default=0.9
        calibration : array or frame (n, d), optional
            Rows that fit, K and prior have not seen. The level then holds on average over such sets
            of rows, whether the model is right or not, where new rows come as those did (split
            conformal prediction). None: by rows drawn from the density, as right as it is.
        sample_weight : array (n,), optional
            How often each calibration row counts: a weight of 2 is the row twice.
        n_draws : int, default=10000
            Rows drawn where there is no ``calibration``.
        random_state : None, int, RandomState or Generator
            Of those.

        Raises
        ------
        InvalidInputError
            Where rows are too few for the level: 0.9 needs 9, 0.99 needs 99.
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
        """How probable (n,) a row is that is no denser than this one: small where it is an anomaly.

        Of m rows that were not seen, drawn from the density or given as ``calibration``, (1 + how
        many are no denser) / (m + 1). Drawn ones are right as far as the density is, with a
        standard error of √(p (1 - p) / m). With calibration rows it is a conformal p-value:
        whatever the model, a row that comes as those did has one of at most p with probability of
        at most p. A row is outside of ``density_region(level)`` of the same calibration rows if and
        only if its tail probability is at most 1 - level.
        """
        scores = self._scores(calibration, sample_weight, n_draws, random_state)
        return scores.tail(self.score_samples(X))

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """The density with its components, over one or two of its columns (``columns=``)."""
        from bayesmix.plots.pairs import plot_part

        return plot_part(self, ax=ax, **options)

    def __repr__(self) -> str:
        of = ", ".join(map(str, self._labels))
        given = ", ".join(f"{label}={shown(value)}" for label, value in self.given.items())
        bar = f" | {given}" if given else ""
        return f"MixtureDensity of {of}{bar}: {self.n_components_} components"

    def _scores(
        self, calibration: Any, sample_weight: Any, n_draws: Any, random_state: Any
    ) -> Scores:
        """Log densities of calibration rows with their weights, or of rows drawn."""
        if calibration is None:
            if sample_weight is not None:
                raise InvalidInputError(
                    "sample_weight needs the rows that it belongs to: give calibration"
                )
            number = validation.integer("n_draws", n_draws, 1)
            # Not what ``sample`` gives with the same seed: those rows may be asked about.
            generator = stream(root_seed(random_state), Purpose.SAMPLE, 0, OF_SCORES)
            return Scores.of(self._log_densities(self._drawn(number, generator)[0]))
        log_densities = self.score_samples(calibration)
        given = sample_weight
        if given is None and is_source(calibration):
            given = calibration.in_memory().weights
        counts = None if given is None else repetitions(given, len(log_densities))
        return Scores.of(log_densities, counts)

    def _drawn(self, n_rows: int, generator: np.random.Generator) -> tuple[Array, Integers]:
        mixture = self.mixture
        counts = generator.multinomial(n_rows, mixture.weights.mean())
        values = mixture.frame.undo(mixture.components.draw(counts, generator))
        return values, np.repeat(np.arange(mixture.n_components), counts)

    def _log_densities(self, values: Array) -> Array:
        """Log density (n,) of rows of numbers."""
        source = as_source(values, n_jobs=None)
        log_densities: Array = source.map(self._log_density, self.n_components_)
        return log_densities

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
        """The levels of columns, None of numbers."""
        return [None if self.coding is None else self.coding.levels[place] for place in places]

    def _number(self, place: int, column: Any, value: Any) -> float:
        """A given value as a number: of a column of levels its code."""
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
        """Places of the columns that are named, in the order named."""
        listed = [columns] if isinstance(columns, str | Integral) else list(columns)
        places = [self._place(name, column) for column in listed]
        if not places or len(set(places)) < len(places):
            raise InvalidInputError(f"{name} must be one or more different ones, got {columns!r}")
        return np.array(places)

    def _split(self, name: str, columns: Any) -> tuple[Integers, Integers]:
        """Places of the columns that are given, and of the others, which are asked for."""
        known = self._places(name, columns)
        free = np.setdiff1d(np.arange(len(self.columns)), known)
        if not len(free):
            raise InvalidInputError(
                f"{name} must leave some others to say something about, got all: {columns!r}"
            )
        self._check_varying(free)
        return known, free

    def _check_varying(self, places: Integers) -> None:
        basis = self.mixture.frame.basis
        if basis is not None and not basis[places].any():
            names = ", ".join(str(self._labels[place]) for place in places)
            raise InvalidInputError(
                f"columns must hold one that differs among the rows of the fit, got {names}: a "
                "constant has no density"
            )

    def _rows(self, name: str, X: Any, places: Sequence[int] | Integers) -> Array:
        labels = [self._labels[place] for place in places]
        values = checked_values(name, X, labels, self._levels(places))
        self.family.marginal(np.asarray(places)).check(values)
        return values


def density_of(result: FitResult, names: Sequence[str] | None) -> MixtureDensity:
    """The predictive density of a fit over all of its columns."""
    result.refuse_noise("the density of columns and of regions")
    return MixtureDensity(
        result.density,
        result.family,
        tuple(range(result.n_features)),
        None if names is None else tuple(map(str, names)),
        {},
        result.family.coding,
    )


def averaged_density(
    result: FitResult, parts: Sequence[Draws], X: Any, n_jobs: int | None
) -> Array:
    """log (1/S) Σ_s p(x_n | draw s) (n,) in nats and data units, of rows that are checked here."""
    columns = result.columns
    values = checked_values("X", X, range(result.n_features) if columns is None else columns)
    result.family.check(values)
    source = as_source(values, n_jobs=n_jobs)
    drawn = DrawnMixtures(result, tuple(parts))
    size = max(1, BLOCK_VALUES // drawn.n_draws)
    starts = range(0, len(values), size)
    blocks = (drawn.log_densities(source.subset(slice(at, at + size))) for at in starts)
    averaged: Array = np.concatenate([logsumexp(block, axis=1) for block in blocks])
    averaged -= np.log(drawn.n_draws)
    return averaged
