"""Item response families: yes/no answers that depend on a normal trait within a component.

Log odds of item d are intercept_d + slope_d θ with θ ~ N(0, 1), and answers are independent given
θ (Birnbaum 1968). A Rasch model has one slope, the standard deviation of the trait in units of the
difficulties (Rasch 1960; mixtures: Rost 1990). Marginal maximum likelihood: the E-step counts
answers at the nodes of a quadrature, the M-step is logistic regression (Bock & Aitkin 1981).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
from scipy.special import expit, log_expit, logit, logsumexp

from bayesmix.core.components import DensitiesAndStatistics, Predictive
from bayesmix.core.families import AtAPoint, FamilyOf, Rearranged
from bayesmix.core.parameters import NOT_NEGATIVE, REAL, ReportedQuantity, parameter
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.unusable_columns import refuse_constant
from bayesmix.families.independent.columns import ByComponent, NoGuard, refuse_where
from bayesmix.families.without_prior import WithoutPrior
from bayesmix.numerics.arrays import Array, Booleans, Integers, Stored
from bayesmix.numerics.memo import once

# Equal steps are more accurate than as many Gauss-Hermite nodes (decision 67): 121 nodes are exact
# to 1e-5 nats for 60 items with slopes of 5.
NODES = np.linspace(-6.0, 6.0, 121)
LOG_NODE_WEIGHTS = -0.5 * NODES**2 - logsumexp(-0.5 * NODES**2)
# Largest log odds at the mean trait, and largest slope, where the likelihood has no maximum: there
# answers are certain, or jump between two nodes.
LIMIT = 30.0
# Newton steps, of which about six suffice, and halvings of one that overshoots.
STEPS, PRECISION = 40, 1e-12

C = TypeVar("C", bound="Items")


class TraitAnswers(ByComponent, Predictive):
    """K densities of answers, mixtures of independent ones over the nodes of the trait."""

    @property
    @abstractmethod
    def log_odds(self) -> tuple[Array, Array]:
        """Intercepts and slopes (K, D)."""

    @property
    @abstractmethod
    def log_node_weights(self) -> Array:
        """Log probabilities of the nodes (K, Q)."""

    @property
    def n_components(self) -> int:
        return len(self.log_odds[0])

    @property
    def n_features(self) -> int:
        return self.log_odds[0].shape[1]

    @abstractmethod
    def marginal(self, columns: Integers) -> TraitAnswers:
        """Return the densities of some items."""

    @once
    def at_nodes(self) -> tuple[Array, Array]:
        """Log probabilities of yes and of no (K, D, Q) at the nodes."""
        intercepts, slopes = self.log_odds
        odds = intercepts[:, :, None] + slopes[:, :, None] * NODES
        return log_expit(odds), log_expit(-odds)

    @once
    def probabilities_at_nodes(self) -> Array:
        """Probabilities of yes (K, D, Q)."""
        return np.exp(self.at_nodes[0])

    def at_traits(self, values: Array) -> Iterator[tuple[Array, Array]]:
        """Yield log p(x | k) (n,) of the answers seen, and p(node | x, k) (n, Q), by component."""
        seen, (yes, no) = ~np.isnan(values), self.at_nodes
        complete = bool(seen.all())
        agreed = values if complete else np.where(seen, values, 0.0)
        for k in range(self.n_components):
            logs = agreed @ (yes[k] - no[k])
            logs += no[k].sum(axis=0) if complete else seen @ no[k]
            logs += self.log_node_weights[k]
            most = logs.max(axis=1, keepdims=True)
            logs -= most
            shares = np.exp(logs, out=logs)
            totals = shares.sum(axis=1, keepdims=True)
            shares /= totals
            yield (np.log(totals) + most)[:, 0], shares

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K) of the answers that were seen."""
        return np.column_stack([logs for logs, _ in self.at_traits(values)])

    @property
    def means(self) -> Array:
        """Probabilities of yes (K, D)."""
        return np.einsum("kdq,kq->kd", self.probabilities_at_nodes, np.exp(self.log_node_weights))

    @property
    def covariances(self) -> Array:
        means, p = self.means, self.probabilities_at_nodes
        weighted = p * np.exp(self.log_node_weights)[:, None]
        out = weighted @ p.swapaxes(1, 2) - means[:, :, None] * means[:, None]
        diagonal = np.arange(self.n_features)
        out[:, diagonal, diagonal] = means * (1.0 - means)
        return out

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.means * (1.0 - self.means))

    def conditional(self, columns: Integers, given: Integers, values: Array) -> AnswersGiven:
        shares = [each[0] for _, each in self.marginal(given).at_traits(values[None])]
        intercepts, slopes = (each[:, columns] for each in self.log_odds)
        return AnswersGiven(intercepts, slopes, np.array(shares))

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        traits = self.marginal(given).at_traits(values)
        p = self.probabilities_at_nodes[:, columns]
        return np.stack([shares @ p[k].T for k, (_, shares) in enumerate(traits)], axis=1)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        labels = np.repeat(np.arange(self.n_components), counts)
        shares = np.exp(self.log_node_weights)
        return self._answers(labels, shares[labels], generator)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Draw missing cells from components ``labels``, given the observed cells."""
        shares = np.empty((len(values), len(NODES)))
        for k, (_, of_component) in enumerate(self.at_traits(values)):
            shares[labels == k] = of_component[labels == k]
        return np.where(np.isnan(values), self._answers(labels, shares, generator), values)

    def _answers(self, labels: Integers, shares: Array, generator: np.random.Generator) -> Array:
        """Draw answers (n, D) at nodes with probabilities (n, Q)."""
        places = (np.cumsum(shares, axis=1) < generator.random((len(labels), 1))).sum(axis=1)
        p = self.probabilities_at_nodes[labels, :, np.minimum(places, len(NODES) - 1)]
        return (generator.random(p.shape) < p).astype(float)

    def unframed(self, frame: Frame) -> Self:
        return self


@dataclass(frozen=True)
class AnswersGiven(TraitAnswers):
    """K densities of answers given other answers, which tell about the trait."""

    intercepts: Array
    slopes: Array
    node_weights: Array

    @property
    def log_node_weights(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self.node_weights)

    @property
    def log_odds(self) -> tuple[Array, Array]:
        return self.intercepts, self.slopes

    def marginal(self, columns: Integers) -> AnswersGiven:
        own = self.intercepts[:, columns], self.slopes[:, columns]
        return AnswersGiven(*own, self.node_weights)


@dataclass(frozen=True)
class AnswerCounts(Rearranged):
    """Expected numbers of persons (K,), and of yes and no (K, D, Q) by item and node."""

    counts: Array
    successes: Array
    failures: Array

    shared = False

    def __add__(self, other: AnswerCounts) -> AnswerCounts:
        counts = self.counts + other.counts
        return AnswerCounts(
            counts, self.successes + other.successes, self.failures + other.failures
        )

    def scaled(self, factor: float) -> AnswerCounts:
        return AnswerCounts(*(factor * each for each in (self.counts, *self.by_node)))

    @property
    def by_node(self) -> tuple[Array, Array]:
        """Numbers of yes and of no (K, D, Q)."""
        return self.successes, self.failures

    def subset(self, keep: Integers) -> AnswerCounts:
        return AnswerCounts(self.counts[keep], self.successes[keep], self.failures[keep])

    @classmethod
    def joined(cls, parts: Sequence[AnswerCounts]) -> AnswerCounts:
        return cls(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.successes for part in parts]),
            np.concatenate([part.failures for part in parts]),
        )

    def pack(self) -> Array:
        return np.concatenate([self.counts, self.successes.ravel(), self.failures.ravel()])

    def units(self) -> Array | float:
        return 1.0 / max(float(self.counts.sum()), 1.0)

    def unpack(self, vector: Array) -> AnswerCounts:
        K, size = len(self.counts), self.successes.size
        counts, successes, failures = np.split(vector, [K, K + size])
        shape = self.successes.shape
        return AnswerCounts(counts, successes.reshape(shape), failures.reshape(shape))


class Items(AtAPoint, TraitAnswers):
    """K item response densities at a point."""

    @property
    def log_node_weights(self) -> Array:
        return np.broadcast_to(LOG_NODE_WEIGHTS, (self.n_components, len(NODES)))

    @property
    def expected_totals(self) -> Array:
        return self.means

    @property
    def patterned(self) -> Booleans:
        return np.zeros(self.n_features, dtype=bool)

    @property
    def linear(self) -> Self:
        """Return self, as missing answers need no linear form."""
        return self

    dense = False

    def seen_in(self, columns: Integers) -> Self:
        return self.marginal(columns)

    @abstractmethod
    def marginal(self, columns: Integers) -> Self:
        """Return the densities of some items."""

    def seen(self, values: Array) -> DensitiesAndStatistics:
        return self.expected_log_density(values), partial(self.statistics, values)

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return values

    def statistics(self, values: Array, responsibilities: Array) -> AnswerCounts:
        """Count answers at the nodes where persons are expected."""
        seen = ~np.isnan(values)
        agreed = np.where(seen, values, 0.0)
        refused = seen - agreed
        successes = np.empty((self.n_components, self.n_features, len(NODES)))
        failures = np.empty_like(successes)
        for k, (_, shares) in enumerate(self.at_traits(values)):
            shares *= responsibilities[:, k : k + 1]
            successes[k], failures[k] = agreed.T @ shares, refused.T @ shares
        return AnswerCounts(responsibilities.sum(axis=0), successes, failures)

    @property
    @abstractmethod
    def trait_units(self) -> Array:
        """Standard deviation of the trait (K,) in the unit of the difficulties."""

    def traits(self, values: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation (n, K) of the trait given answers."""
        means, squares = np.empty((2, len(values), self.n_components))
        for k, (_, shares) in enumerate(self.at_traits(values)):
            means[:, k], squares[:, k] = shares @ NODES, shares @ NODES**2
        deviations = np.sqrt(np.maximum(squares - means**2, 0.0))
        return self.trait_units * means, self.trait_units * deviations


@dataclass(frozen=True)
class RaschItems(Items):
    """Difficulties (K, D) and standard deviations of the trait (K,)."""

    difficulties: Array = field(metadata=parameter(REAL))
    trait_deviations: Array = field(metadata=parameter(NOT_NEGATIVE))

    named = ("difficulties", "trait_deviations")
    reports = (
        ReportedQuantity("difficulty", lambda own: own.difficulties),
        ReportedQuantity("trait deviation", lambda own: own.trait_deviations, NOT_NEGATIVE),
    )

    @property
    def log_odds(self) -> tuple[Array, Array]:
        slopes = np.broadcast_to(self.trait_deviations[:, None], self.difficulties.shape)
        return -self.difficulties, slopes

    @property
    def trait_units(self) -> Array:
        return self.trait_deviations

    def marginal(self, columns: Integers) -> RaschItems:
        return RaschItems(self.difficulties[:, columns], self.trait_deviations)


@dataclass(frozen=True)
class TwoParameterItems(Items):
    """Intercepts and discriminations (K, D) of items."""

    intercepts: Array = field(metadata=parameter(REAL))
    discriminations: Array = field(metadata=parameter(REAL))

    named = ("intercepts", "discriminations", "difficulties")
    reports = (
        ReportedQuantity("difficulty", lambda own: own.difficulties),
        ReportedQuantity("discrimination", lambda own: own.discriminations),
    )

    @property
    def difficulties(self) -> Array:
        """Trait at which yes and no are equally probable, NaN where answers ignore the trait."""
        slopes = self.discriminations
        return -self.intercepts / np.where(slopes == 0.0, np.nan, slopes)

    @property
    def log_odds(self) -> tuple[Array, Array]:
        return self.intercepts, self.discriminations

    @property
    def trait_units(self) -> Array:
        return np.ones(self.n_components)

    def marginal(self, columns: Integers) -> TwoParameterItems:
        return TwoParameterItems(self.intercepts[:, columns], self.discriminations[:, columns])


def most_likely(
    statistics: AnswerCounts, before: tuple[Array, Array], together: Callable[[Array], Array]
) -> tuple[Array, Array]:
    """Return intercepts and slopes (K, D) that maximise Σ n log p, by Newton's method.

    The start is ``before``. ``together`` sums values (K, D) over the items that share a slope.
    """
    successes, failures = statistics.by_node
    known = successes + failures
    least = np.finfo(float).tiny

    def value_at(intercepts: Array, slopes: Array) -> Array:
        odds = intercepts[:, :, None] + slopes[:, :, None] * NODES
        values = (successes * log_expit(odds) + failures * log_expit(-odds)).sum(axis=2)
        return together(values)

    intercepts, slopes = before
    value = value_at(intercepts, slopes)
    for _ in range(STEPS):
        p = expit(intercepts[:, :, None] + slopes[:, :, None] * NODES)
        rest, curvature = successes - known * p, known * (p * (1.0 - p))
        score, score_of_slope = rest.sum(axis=2), rest @ NODES
        first = curvature.sum(axis=2) + least
        cross, second = curvature @ NODES, curvature @ NODES**2
        # The intercept of each item is eliminated.
        own = together(second - cross**2 / first)
        of_slope = together(score_of_slope - cross / first * score) / np.maximum(own, least)
        of_slope = np.clip(of_slope, -LIMIT, LIMIT)
        move = np.clip((score - cross * of_slope) / first, -LIMIT, LIMIT)
        step = np.ones_like(of_slope)
        for _ in range(STEPS):
            tried = (
                np.clip(intercepts + step * move, -LIMIT, LIMIT),
                np.clip(slopes + step * of_slope, -LIMIT, LIMIT),
            )
            moved = value_at(*tried)
            worse = moved < value
            if not worse.any():
                break
            step = np.where(worse, 0.5 * step, step)
        better = moved >= value
        gain = np.where(better, moved - value, 0.0)
        intercepts = np.where(better, tried[0], intercepts)
        slopes = np.where(better, tried[1], slopes)
        value = np.where(better, moved, value)
        if (gain <= PRECISION * np.abs(value)).all():
            break
    return intercepts, slopes


class ItemFamily(WithoutPrior, FamilyOf[AnswerCounts, C], Generic[C]):
    """Shared methods of item response families."""

    continuous = False
    any_real = False
    drawn_columns = 0
    least = 0.0
    takes_gaps = True
    least_items: ClassVar[int]
    with_article: ClassVar[str]

    @staticmethod
    @abstractmethod
    def together(values: Array) -> Array:
        """Sum values (K, D) over the items that share a slope."""

    @staticmethod
    @abstractmethod
    def of_log_odds(intercepts: Array, slopes: Array) -> C:
        """Return the components with these log odds."""

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values other than 0 and 1."""
        wrong = (values != 0) & (values != 1) & ~np.isnan(values)
        held = f"zeros and ones for {self.with_article}"
        refuse_where(wrong, values, first, held, "code answers as 0 and 1")

    def frame(self, summary: Summary) -> Frame:
        if summary.n_features < self.least_items:
            raise InvalidInputError(
                f"{self.with_article} mixture needs at least {self.least_items} items, got "
                f"{summary.n_features}: use Bernoulli()"
            )
        return Frame.identity(summary.n_features)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        refuse_constant(source, mixture=f" for {self.with_article} mixture")
        return frame, ()

    def level_probabilities(self, components: C) -> dict[int, Array]:
        ones = enumerate(components.means.T)
        return {column: np.column_stack([1.0 - p, p]) for column, p in ones}

    def statistics(self, values: Array, responsibilities: Array) -> AnswerCounts:
        """Return the counts at the log odds of each component, with slopes of 1."""
        seen = ~np.isnan(values)
        # Half a yes and half a no more keep the log odds of a start finite.
        agreed = responsibilities.T @ np.where(seen, values, 0.0) + 0.5
        shares = agreed / (responsibilities.T @ seen.astype(float) + 1.0)
        return self.of_log_odds(logit(shares), np.ones_like(shares)).statistics(
            values, responsibilities
        )

    def maximum_likelihood(
        self,
        statistics: AnswerCounts,
        previous: C | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> C:
        shape = statistics.successes.shape[:2]
        same = previous is not None and previous.log_odds[0].shape == shape
        before = previous.log_odds if previous is not None and same else self._start(shape)
        intercepts, slopes = most_likely(statistics, before, self.together)
        # The likelihood is the same at the opposite slopes.
        signs = np.where(slopes.sum(axis=1, keepdims=True) < 0.0, -1.0, 1.0)
        return self.of_log_odds(intercepts, signs * slopes)

    @staticmethod
    def _start(shape: tuple[int, ...]) -> tuple[Array, Array]:
        return np.zeros(shape), np.ones(shape)

    def feasible(self, statistics: AnswerCounts) -> bool:
        return all((each >= 0.0).all() for each in (statistics.counts, *statistics.by_node))

    def inside(self, statistics: AnswerCounts, present: AnswerCounts) -> AnswerCounts:
        successes, failures = (np.maximum(each, 0.0) for each in statistics.by_node)
        return replace(statistics, successes=successes, failures=failures)

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> NoGuard:
        return NoGuard()


@dataclass(frozen=True)
class Rasch(ItemFamily[RaschItems]):
    """Yes/no answers by a Rasch model in each component: items differ in difficulty.

    The log odds of 1 are θ - difficulty, with a normal trait θ of mean 0 and a standard deviation
    of its own in each component. Maximum likelihood only; missing answers are left out.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> trait, group = rng.normal(size=(600, 1)), np.repeat([[1], [-1]], [400, 200], axis=0)
    >>> log_odds = trait - group * np.linspace(-3, 3, 8)
    >>> rows = (rng.logistic(size=log_odds.shape) < log_odds).astype(int)
    >>> m = bm.Mixture(2, family=bm.Rasch(), random_state=0).fit(rows)
    >>> m.weights_.round(1)
    array([0.7, 0.3])
    >>> m.difficulties_[:, [0, -1]].round(0)
    array([[-3.,  3.],
           [ 3., -3.]])
    """

    name = "rasch"
    adjective = "Rasch"
    with_article = "a Rasch"
    least_items = 2
    no_prior = "a Rasch family has no prior here: use inference=MaximumLikelihood()"

    @staticmethod
    def together(values: Array) -> Array:
        return values.sum(axis=1, keepdims=True)

    @staticmethod
    def of_log_odds(intercepts: Array, slopes: Array) -> RaschItems:
        return RaschItems(-intercepts, slopes[:, 0])

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * (n_features + 1)


@dataclass(frozen=True)
class TwoParameterLogistic(ItemFamily[TwoParameterItems]):
    """Yes/no answers by a two-parameter logistic model in each component.

    The log odds of 1 are intercept + discrimination · θ, with a standard normal trait θ. Maximum
    likelihood only; missing answers are left out.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> log_odds = rng.normal(size=(2000, 1)) * [0.8, 1.2, 1.6, 2.0] + [1.0, 0.5, 0.0, -0.5]
    >>> rows = (rng.logistic(size=log_odds.shape) < log_odds).astype(int)
    >>> m = bm.Mixture(1, family=bm.TwoParameterLogistic()).fit(rows)
    >>> m.discriminations_.round(1)
    array([[0.7, 1. , 1.5, 2.1]])
    """

    name = "two_parameter_logistic"
    adjective = "two-parameter logistic"
    with_article = "a two-parameter logistic"
    least_items = 3
    no_prior = "a TwoParameterLogistic has no prior here: use inference=MaximumLikelihood()"

    @staticmethod
    def together(values: Array) -> Array:
        return values

    @staticmethod
    def of_log_odds(intercepts: Array, slopes: Array) -> TwoParameterItems:
        return TwoParameterItems(intercepts, slopes)
