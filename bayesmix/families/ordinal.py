"""Ordinal family: independent columns of ordered levels, adjacent-category logits.

Log p(level l | k) = α_l + β_k s_l + γ_k s_l² up to a constant, with scores s_l = l - (L - 1) / 2.
All components share the intercepts α of a column. Each has a slope β and a curvature γ, which are a
location and a spread (Goodman 1979). Degree 1 has γ = 0 (Vermunt & Magidson 2016, section 3.1). The
log likelihood is concave in (α, β, γ).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NoReturn

import numpy as np

from bayesmix.core.components import Named
from bayesmix.core.parameters import INFINITY, Coordinate, Domain, Parameter, Real, parameter
from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.coding import Level
from bayesmix.families.independent.levels import (
    LevelColumns,
    LevelDraws,
    Levels,
    LevelsFamily,
)
from bayesmix.families.independent.linear import NEVER, Sums
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.memo import once

# Newton steps from zero, of which about nine are needed, and halvings of a step.
STEPS = 50
# Gain in nats per observation that is rounding.
ROUNDING = 1e-13
# Ridge of the information, in observations: keeps it invertible where an estimate is infinite.
RIDGE = 1e-10
# Features of a level that may belong to a component: its score, and the square of its score.
MOST_DEGREE = 2
NO_BOUND = (
    "an Ordinal has no exact variational bound: use inference=MaximumAPosteriori(), the default, "
    "or MaximumLikelihood()"
)


@dataclass(frozen=True)
class LevelFeatures:
    """Features of the levels of columns, of which the longest has M levels."""

    reading: Levels
    degree: int

    @cached_property
    def there(self) -> Any:
        """Whether a level exists (D, M)."""
        return np.arange(max(self.reading.numbers)) < self.reading.sizes[:, None]

    @cached_property
    def features(self) -> Array:
        """Powers of the score (P), then orthonormal directions of intercepts (D, M, P + B)."""
        (D, M), P = self.there.shape, self.degree
        out = np.zeros((D, M, P + max(M - 1 - P, 0)))
        for d, number in enumerate(self.reading.numbers):
            score = np.arange(number) - 0.5 * (number - 1.0)
            own = np.column_stack([score, score**2 - (score**2).mean()])[:, : min(P, number - 1)]
            out[d, :number, : own.shape[1]] = own
            every = np.hstack([np.ones((number, 1)), own, np.eye(number)])
            free = np.linalg.qr(every)[0][:, 1 + own.shape[1] :]
            out[d, :number, P : P + free.shape[1]] = free
        return out

    @cached_property
    def of_scores(self) -> Array:
        """Powers of the score (D, P, M)."""
        return np.ascontiguousarray(self.features[:, :, : self.degree].swapaxes(1, 2))

    def padded(self, by_level: Array, beyond: float = 0.0) -> Array:
        """Return values by level (..., F) as (..., D, M), with ``beyond`` after the last level."""
        out = np.full((*by_level.shape[:-1], *self.there.shape), beyond)
        out[..., self.there] = by_level
        return out

    def log_probabilities(self, intercepts: Array, shapes: Array) -> Array:
        """Return log p (D, K, M) of intercepts (D, M), NEVER beyond, and shapes (D, K, P)."""
        logits: Array = shapes @ self.of_scores
        logits += intercepts[:, None]
        logits -= logits.max(axis=-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return logits


@lru_cache
def features_of(reading: Levels, degree: int) -> LevelFeatures:
    """Return the features of these levels, computed once."""
    return LevelFeatures(reading, degree)


class Intercepts(Domain):
    """Intercepts of levels, which components share, beyond the powers of the scores."""

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        one, degree = np.ones(components.n_components), components.degree
        for d, (start, end) in enumerate(components.reading.pairs):
            for place in range(degree, max(end - start - 1, degree)):
                along = np.zeros_like(components.intercepts)
                along[start:end] = components.features.features[d, : end - start, place]
                yield Coordinate(_Along(along), one, (d,), shared=True)


@dataclass(frozen=True)
class _Along:
    direction: Array

    def __call__(self, values: Array, steps: Array) -> Array:
        return np.asarray(values + steps[0] * self.direction)


@dataclass(frozen=True)
class Powers(Real):
    """Coefficients of a power of the scores, in the columns with more levels than that."""

    power: int

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        if self.power <= components.degree:
            for own in super().coordinates(parameter, components):
                if components.reading.numbers[own.place[0]] > self.power:
                    yield own


@dataclass(frozen=True)
class Ordinals(LevelColumns):
    """Intercepts (F,) of levels, column by column, slopes and curvatures (K, D) at a point.

    Intercepts of a column are orthogonal to scores and their squares, so that they are unique.
    """

    intercepts: Array = field(metadata=parameter(Intercepts(-INFINITY, INFINITY)))
    slopes: Array = field(metadata=parameter(Powers(-INFINITY, INFINITY, 1)))
    curvatures: Array = field(metadata=parameter(Powers(-INFINITY, INFINITY, 2)))
    reading: Levels
    degree: int = MOST_DEGREE

    @property
    def features(self) -> LevelFeatures:
        """Features of the levels."""
        return features_of(self.reading, self.degree)

    @property
    def shapes(self) -> Array:
        """Slopes, and curvatures if components have their own (D, K, P)."""
        return np.stack([self.slopes.T, self.curvatures.T][: self.degree], axis=-1)

    @once
    def log_probabilities(self) -> Array:
        scores = self.features
        logs = scores.log_probabilities(scores.padded(self.intercepts, NEVER), self.shapes)
        return logs.transpose(1, 0, 2)[:, scores.there]

    @cached_property
    def probabilities(self) -> Array:
        """Probabilities of levels (K, F)."""
        return np.exp(self.log_probabilities)

    @property
    def expected_totals(self) -> Array:
        return self.probabilities

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return (self.log_probabilities,)

    def subset(self, keep: Integers) -> Ordinals:
        return replace(self, slopes=self.slopes[keep], curvatures=self.curvatures[keep])

    def marginal(self, columns: Integers) -> Ordinals:
        intercepts = self.intercepts[self.reading.places(columns)]
        own = self.slopes[:, columns], self.curvatures[:, columns]
        return Ordinals(intercepts, *own, self.reading.subset(columns), self.degree)


@dataclass(frozen=True)
class OrdinalDraws(LevelDraws):
    """S draws of intercepts (S, F), slopes and curvatures (S, K, D), from bootstrap refits."""

    intercepts: Array
    slopes: Array
    curvatures: Array
    reading: Levels
    degree: int = MOST_DEGREE

    @cached_property
    def sufficient(self) -> tuple[Array, ...]:
        return (np.array([self.at(s).log_probabilities for s in range(len(self.slopes))]),)

    def subset(self, keep: Integers) -> OrdinalDraws:
        return replace(self, slopes=self.slopes[:, keep], curvatures=self.curvatures[:, keep])

    def at(self, draw: int) -> Ordinals:
        own = self.slopes[draw], self.curvatures[draw]
        return Ordinals(self.intercepts[draw], *own, self.reading, self.degree)

    def parameters(self, frame: Frame) -> Named:
        by_feature = ("component", "feature")
        shapes = {"slopes": (by_feature, self.slopes), "curvatures": (by_feature, self.curvatures)}
        return {**shapes, **super().parameters(frame)}


def most_likely(totals: Array, reading: Levels, previous: Ordinals | None, degree: int) -> Ordinals:
    """Return the maximiser of Σ totals · log p by Newton's method, from ``previous`` if it fits.

    ``totals`` (K, F) are expected counts of levels. Slopes and curvatures of different components
    do not interact: they are eliminated from Newton's equations, which leaves the intercepts.
    """
    scores, P = features_of(reading, degree), degree
    counts, features = scores.padded(totals).swapaxes(0, 1), scores.features
    (D, K, M), F = counts.shape, features.shape[2]
    known = counts.sum(axis=-1, keepdims=True)  # (D, K, 1)
    weight = known.sum(axis=(1, 2)) + np.finfo(float).tiny
    if previous is not None and previous.slopes.shape == (K, D):
        intercepts, shapes = scores.padded(previous.intercepts, NEVER), previous.shapes
        steps = 1  # gains, and the next update goes on
    else:
        intercepts = scores.padded(np.zeros(totals.shape[1]), NEVER)
        shapes, steps = np.zeros((D, K, P)), STEPS
    logs = scores.log_probabilities(intercepts, shapes)
    value = (counts * logs).sum(axis=(1, 2))
    for _ in range(steps):
        p = np.exp(logs)
        centred = features[:, None] - (p @ features)[:, :, None]
        p *= known
        further = np.empty((D, K, M, F + 1))
        np.multiply(centred, p[..., None], out=further[..., :F])
        np.subtract(counts, p, out=further[..., F])
        equations = centred.swapaxes(2, 3) @ further  # [information, gradient] (D, K, F, F + 1)
        diagonal = equations.reshape(D, K, -1)[..., :: F + 2]
        diagonal += RIDGE * weight[:, None, None]
        of_shapes = np.linalg.solve(equations[..., :P, :P], equations[..., :P, P:])
        of_all = (equations[..., P:, P:] - equations[..., P:, :P] @ of_shapes).sum(axis=1)
        shared = np.linalg.solve(of_all[..., :-1], of_all[..., -1:])
        turn = (of_shapes[..., -1:] - of_shapes[..., :-1] @ shared[:, None])[..., 0]
        move, step = (features[:, :, P:] @ shared)[..., 0], np.ones((D, 1))
        for _ in range(STEPS):
            tried = intercepts + step * move, shapes + step[..., None] * turn
            logs = scores.log_probabilities(*tried)
            moved = (counts * logs).sum(axis=(1, 2))
            worse = moved < value - ROUNDING * weight
            if not worse.any():
                break
            step[worse] *= 0.5
        gain, (intercepts, shapes), value = moved - value, tried, moved
        if (gain <= ROUNDING * weight).all():
            break
    powers = np.zeros((D, K, MOST_DEGREE))
    powers[..., :P] = shapes
    slopes, curvatures = powers.T
    components = Ordinals(intercepts[scores.there], slopes, curvatures, reading, degree)
    Ordinals.log_probabilities.given(components, logs.swapaxes(0, 1)[:, scores.there])
    return components


@dataclass(frozen=True)
class OrdinalPrior:
    """Log prior Σ (mass / L) log p over components, columns and their L levels, unnormalised.

    The mode is that of the likelihood with ``mass`` further observations of each column and
    component, spread evenly over the levels.

    Parameters
    ----------
    mass : float
        Number of further observations of each column and component.

    Examples
    --------
    >>> import bayesmix as bm
    >>> inference = bm.MaximumAPosteriori(prior=bm.OrdinalPrior(mass=2.0))
    >>> inference.prior.mass
    2.0
    """

    mass: float = 1.0
    reading: Levels | None = None
    degree: int = MOST_DEGREE

    fixes_scale = True
    conjugate = False

    @property
    def further(self) -> Array:
        """Further observations of each level (F,)."""
        assert self.reading is not None
        return self.mass / self.reading.spread(self.reading.sizes)

    def over(self, default: Any, frame: Frame) -> OrdinalPrior:
        """Return this prior for the levels of the default."""
        if not isinstance(default, OrdinalPrior):
            raise InvalidInputError(f"prior must be such as {default!r}, got {self!r}")
        if not self.mass > 0.0:
            raise InvalidInputError(f"mass must be a number above 0, got {self.mass!r}")
        return replace(self, reading=default.reading, degree=default.degree)

    def mode(
        self,
        statistics: Sums,
        previous: Ordinals | None = None,
        resolution: Array | None = None,
    ) -> Ordinals:
        assert self.reading is not None
        return most_likely(statistics.totals + self.further, self.reading, previous, self.degree)

    def log_density(self, components: Ordinals) -> float:
        return float((components.log_probabilities @ self.further).sum())

    def log_density_of(self, draws: OrdinalDraws) -> Array:
        return (draws.sufficient[0] @ self.further).sum(axis=1)

    def unframed(self, frame: Frame) -> OrdinalPrior:
        return self

    def _refuse(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raise an error, as the posterior has no closed form."""
        raise UnsupportedError(NO_BOUND)

    posterior = kl = conditional = pymc_distribution = _refuse


@dataclass(frozen=True, repr=False)
class Ordinal(LevelsFamily[Ordinals]):
    """Independent columns of ordered levels, such as ratings: adjacent-category logits.

    A column has intercepts of its levels that all components share; each component has a slope,
    which moves answers up or down, and a curvature, which narrows or widens them. Only the order of
    levels matters: 0 to 4, 1 to 5 and 10 to 50 are the same. Estimators use
    ``MaximumAPosteriori()`` by default, which keeps estimates finite. ``family="ordinal"`` of
    ``select`` compares both degrees and ``Categorical()``, whose probabilities are free.

    Parameters
    ----------
    levels : sequence of sequences, optional
        Levels of each column from low to high. None takes the sorted values of the data passed to
        ``fit``, and the order of ordered categories and of answers such as "never" to "always";
        other text is sorted alphabetically.
    degree : {1, 2}, default=2
        1: components differ by slopes only, and share the curvature.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> low, high = rng.binomial(4, 0.2, (120, 5)) + 1, rng.binomial(4, 0.8, (80, 5)) + 1
    >>> m = bm.Mixture(2, family=bm.Ordinal(), random_state=0).fit(np.vstack([low, high]))
    >>> m.predict([[1, 1, 2, 2, 1], [5, 4, 4, 5, 5]]).tolist()
    [0, 1]
    """

    levels: tuple[tuple[Level, ...], ...] | None = None
    degree: int = MOST_DEGREE

    name = "ordinal"
    with_article = "an Ordinal"
    ordered = True
    has_posterior = False
    prefers_prior = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.degree not in (1, MOST_DEGREE):
            raise InvalidInputError(f"degree must be 1 or 2, got {self.degree!r}")

    def at_means(self, means: Array) -> NoReturn:
        raise UnsupportedError("shares of levels do not determine the estimates one by one")

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: Ordinals | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> Ordinals:
        return most_likely(statistics.totals, self.reading, previous, self.degree)

    def reference_prior(self, summary: Summary, frame: Frame) -> NoReturn:
        """Raise an error, as there is no conjugate prior."""
        raise UnsupportedError(NO_BOUND)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> OrdinalPrior:
        """Return the prior that adds one observation per column and component, spread evenly."""
        return OrdinalPrior(1.0, self.reading, self.degree)

    def as_draws(self, points: Sequence[Ordinals]) -> OrdinalDraws:
        intercepts, slopes, curvatures = (
            np.array([getattr(point, name) for point in points])
            for name in ("intercepts", "slopes", "curvatures")
        )
        return OrdinalDraws(intercepts, slopes, curvatures, self.reading, self.degree)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count slopes and curvatures, and the free intercepts that components share."""
        of_level = self.reading.sizes - 1.0
        own = np.minimum(of_level, self.degree)
        return int(n_components * own.sum() + (of_level - own).sum())
