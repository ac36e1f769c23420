"""Clusters: components of a fitted mixture, joined where they overlap, and their number.

A cluster that is not normal takes several normal components. Two groups of components are one
cluster where observations of the lighter group often fall to the other group; how often follows
from the fitted density alone, by draws (Hennig 2010, "directly estimated misclassification
probabilities").

Nor can held-out observations tell such components apart. Each fold is fitted from the fit to all
data, so that components keep their identity, and assigns the observations that it has not seen.
Components that fit accidents of the data lose their observations in the folds.

The probability of a number of clusters comes from a Bayesian bootstrap (Rubin 1981) of the
criterion and of these assignments, without further fits: the criterion is a sum of the candidate's
log densities and a penalty, and candidates are compared on weighted observations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, cycle, islice
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.procedures import noun_of
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Rows
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.device_arrays import host, like
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import record
from bayesmix.selection.data_checks import NARROW, RoundedFeature, is_density
from bayesmix.selection.saddles import Saddle, saddles
from bayesmix.selection.scores import Fold
from bayesmix.selection.tasks import Assignments, Fitter, Task

if TYPE_CHECKING:
    from bayesmix.core.components import PointComponents
    from bayesmix.core.mixture import Mixture

Group: TypeAlias = tuple[int, ...]

OUTLYING = -1
# Groups are one cluster if the lighter one shares more than this with the other: equal normal
# densities less than 3.2 standard deviations apart. Chosen and evaluated on different data
# (benchmarks/clusters.py); decision 16 has the alternatives.
OVERLAP = 0.08
# Groups have a gap between them if the density falls below this share of the lower peak on the way:
# equal normal densities more than 4.3 standard deviations apart. Between 0.1 and 0.3 the groups of
# half moons and rings are the same (decision 16).
SADDLE = 0.2
# Number of draws per component; the standard error of a share of 0.08 is then 0.006.
N_DRAWS = 2000
# Minimum weight of a component, so that empty ones have an overlap.
TINY = np.finfo(np.float64).tiny
# Components with fewer observations than this (or D + 1) are outliers if the mean component has ten
# times as many: three outliers in one wide component are not a cluster.
HANDFUL, SMALL_SHARE = 5, 0.1
# Components with this share of the observations are never too small.
LARGE_SHARE = 0.05
NO_GAPS = (
    'clusters="gaps" needs a density of continuous columns without masses, known labels or states: '
    "use clusters=None"
)
# Draws of saddles, whose cost grows as K³: all up to 46 components, in some 20 seconds beyond.
FEWEST_DRAWN, MOST_DRAWN = 10, 20_000_000
# Random stream of the draws of saddles; components have smaller numbers.
OF_GAPS = 1_000_000
# Rounding error of sums of responsibilities.
ROUNDING = 1e-6
MERGED, COMPONENTS, GAPS = "merged", "components", "gaps"


@dataclass(frozen=True)
class Join:
    """Merge of two groups of components.

    ``overlap``: the share of the lighter group's mass in common, or the height of the saddle
    between them as a share of the lower peak.
    """

    first: Group
    second: Group
    overlap: float

    @property
    def group(self) -> Group:
        """Return the components of both groups, in order."""
        return tuple(sorted((*self.first, *self.second)))


@dataclass(frozen=True)
class Hierarchy:
    """Merges from K components to one cluster, largest overlap or highest saddle first."""

    weights: Array
    joins: tuple[Join, ...]
    measure: str = "overlap"

    @property
    def least(self) -> float:
        """The overlap, or height of a saddle, down to which groups are merged."""
        return SADDLE if self.measure == "saddle" else OVERLAP

    @classmethod
    def of(cls, result: FitResult) -> Hierarchy:
        """Return the hierarchy of a fitted mixture, by draws from its density."""
        mixture = replace(result.plug_in, noise=None)
        return cls.by_overlap(mixture.weights.mean(), shared_mass(mixture))

    @classmethod
    def by_saddles(cls, weights: Array, found: Sequence[Saddle]) -> Hierarchy:
        """Return the hierarchy of components (K,) that are joined at these saddles."""
        groups: list[Group] = [(k,) for k in range(len(weights))]
        joins: list[Join] = []
        for i, j, height in found:
            first, second = sorted((groups[i], groups[j]))
            joins.append(Join(first, second, height))
            for k in joins[-1].group:
                groups[k] = joins[-1].group
        return cls(np.maximum(weights, TINY), tuple(joins), "saddle")

    @classmethod
    def by_overlap(cls, weights: Array, shared: Array, above: float = -1.0) -> Hierarchy:
        """Return the hierarchy of components with these weights (K,) and shared mass (K, K).

        It ends where no two groups overlap by more than ``above``.
        """
        weights = np.maximum(weights, TINY)
        masses, lower = weights, np.tri(len(weights), k=-1, dtype=bool)
        groups: list[Group] = [(k,) for k in range(len(weights))]
        joins: list[Join] = []
        while len(groups) > 1:
            overlaps = shared / np.minimum.outer(masses, masses)
            overlaps = np.where(lower[: len(groups), : len(groups)], overlaps, -1.0)
            i, j = divmod(int(overlaps.argmax()), len(groups))
            if not overlaps[i, j] > above:
                break
            joins.append(Join(groups[j], groups[i], float(overlaps[i, j])))
            groups[j] = joins[-1].group
            del groups[i]
            masses = np.array([weights[list(group)].sum() for group in groups])
            shared[j] += shared[i]
            shared[:, j] += shared[:, i]
            shared = np.delete(np.delete(shared, i, axis=0), i, axis=1)
        return cls(weights, tuple(joins))

    @property
    def n_suggested(self) -> int:
        """Number of groups once no two overlap by more, or have a higher saddle, than ``least``."""
        low = (step for step, join in enumerate(self.joins) if join.overlap <= self.least)
        return len(self.weights) - next(low, len(self.joins))

    def groups(self, n_groups: int) -> tuple[Group, ...]:
        """Return the components of every group, heaviest group first."""
        groups: set[Group] = {(k,) for k in range(len(self.weights))}
        for join in self.joins[: len(self.weights) - n_groups]:
            groups = (groups - {join.first, join.second}) | {join.group}
        return tuple(sorted(groups, key=lambda group: (-self.weights[list(group)].sum(), group)))


def _has_density(result: FitResult) -> bool:
    """Whether components are those of a density of all columns, and no labels or states."""
    coding = result.family.coding
    return counted_as(result) == MERGED and (coding is None or not coding.names_of_masses)


def by_gaps(result: FitResult) -> Hierarchy:
    """Return the hierarchy of a fit by the saddles of its density; noise is left out.

    Raises ``UnsupportedError`` for columns of categories, counts or masses, which have no saddles,
    and for states and known labels.
    """
    if not _has_density(result):
        raise UnsupportedError(NO_GAPS)
    weights = np.maximum(result.plug_in.weights.mean(), TINY)
    return Hierarchy.by_saddles(weights, saddles(np.log(weights), result.plug_in.components))


def n_between_gaps(result: FitResult, clusters: Integers) -> int | None:
    """Return the number of groups that gaps separate, without outlying components (K,).

    None if clusters are not those of a density.
    """
    if not _has_density(result):
        return None
    hierarchy = by_gaps(result)
    return number_of(labels_of(hierarchy.groups(hierarchy.n_suggested), clusters == OUTLYING))


def drawn_gaps(result: FitResult, n_draws: int) -> Iterator[Hierarchy]:
    """Yield hierarchies by saddles of posterior draws, or of the fit if it has no posterior.

    With many components there are fewer draws, which are repeated.
    """
    if not result.variational:
        yield from [by_gaps(result)] * n_draws
        return
    q, generator = result.posterior, stream(0, Purpose.DRAW, OF_GAPS)
    n_drawn = min(n_draws, max(FEWEST_DRAWN, MOST_DRAWN // result.n_components**3))
    drawn = q.components.draws(n_drawn, generator)
    logs = q.weights.draws(n_drawn, generator).log_weights
    found = [
        Hierarchy.by_saddles(np.exp(log_weights), saddles(log_weights, drawn.at(place)))
        for place, log_weights in enumerate(logs)
    ]
    yield from islice(cycle(found), n_draws)


def counted_as(result: FitResult) -> str:
    """Return whether components are clusters as they are, or only after merging.

    Components are merged if all columns are continuous, because a cluster that is not normal needs
    several normal components. Classes of categories and counts, alone or beside measurements, are
    defined by the independence of the features within a class: classes of overlapping levels would
    be merged although the evidence is clear (decision 65). Masses belong to continuous columns.
    Known labels are defined by the user, and states by the order of the samples.
    """
    as_they_are = result.side.labels is not None or result.side.ordered
    coding = result.family.coding
    masses: set[str] = set() if coding is None else coding.names_of_masses
    names = () if coding is None else coding.names
    own = {d for d, name in enumerate(names) if name in masses}
    parts = result.family.families_of_columns(result.n_features)
    continuous = all(family.continuous or own.issuperset(columns) for columns, family in parts)
    return COMPONENTS if as_they_are or not continuous else MERGED


def clusters_of_components(
    result: FitResult, rounded: Sequence[RoundedFeature] = (), counted: str | None = None
) -> Integers:
    """Return the cluster of every component (K,): 0, 1, ... from the heaviest, -1 for outlying.

    A group is outlying if all its components are ``too_small``, unless all groups are. ``rounded``:
    rounded features of the data, if known. ``counted``: "merged", "gaps" or "components", by
    default as ``counted_as``.
    """
    return clustering_of(result, rounded, counted).clusters


def number_of(clusters: Integers) -> int:
    """Return the number of clusters, without outlying components."""
    return int(clusters.max()) + 1


def labels_of(groups: Sequence[Group], small: Booleans) -> Integers:
    """Return the cluster of every component (K,); groups of small components are outlying."""
    labels = np.full(len(small), OUTLYING)
    large = [group for group in groups if not small[list(group)].all()]
    for cluster, group in enumerate(large or groups):
        labels[list(group)] = cluster
    return labels


def too_small(result: FitResult, rounded: Sequence[RoundedFeature] = ()) -> Booleans:
    """Return which components (K,) are not clusters: few observations, or zero width.

    Its width is zero if in every feature it is on identical values or narrower than the rounding.
    Limits and zeros with a mass of their own are no rounding.
    """
    narrow = _without_width(result, rounded)
    return too_few(result) | (narrow & (result.counts < LARGE_SHARE * result.total_weight))


def too_few(result: FitResult) -> Booleans:
    """Return which components (K,) have fewer observations than a cluster needs.

    A component needs at least two observations, and as many distinct values as parameters; a few
    observations next to components ten times as large are outliers.
    """
    K, D = result.n_components, result.mixture.frame.n_directions
    n_per_component = result.family.n_parameters(K + 1, D) - result.family.n_parameters(K, D)
    counts = result.counts
    few: Booleans = counts < max(2.0, n_per_component / D) - ROUNDING
    few |= (counts < max(HANDFUL, D + 1)) & (counts < SMALL_SHARE * counts.mean())
    return few & (counts < LARGE_SHARE * result.total_weight)


def _without_width(result: FitResult, rounded: Sequence[RoundedFeature]) -> Booleans:
    """Return which components (K,) collapsed, or are narrower than the rounding of each feature."""
    frame, point = result.mixture.frame, result.plug_in.components
    collapsed: Booleans = result.family.at_floor(point, result.resolution)
    least = np.zeros(len(frame.centre))
    for feature in rounded:
        if feature.n_values > 2 and not feature.masses and is_density(result, feature):
            least[feature.column] = NARROW * (feature.step or feature.gap)
    if frame.flat is not None:  # constant features
        least[(frame.flat**2).sum(axis=1) > 1.0 - ROUNDING] = np.inf
    if not least.all():
        return collapsed
    return collapsed | (point.unframed(frame).deviations < least).all(axis=1)


def most_probable_clusters(shares: Array, clusters: Integers) -> Integers:
    """Return the most probable cluster (n,) by probabilities of components, -1 for none."""
    own = shares_of_clusters(host(shares), clusters)
    return cast("Integers", like(own.argmax(axis=1) + OUTLYING, shares))


def shares_of_clusters(shares: Array, clusters: Integers) -> Array:
    """Return probabilities (n, 1 + C) of being outlying, and of each cluster.

    ``shares`` are those of components (n, K) or (n, K + 1): a last column beyond the components is
    the noise, which is outlying. Answers are in the array library of ``shares``.
    """
    labels = np.append(clusters, np.full(shares.shape[1] - len(clusters), OUTLYING))
    sums = host(shares) @ np.equal.outer(labels, np.arange(OUTLYING, labels.max() + 1))
    return cast("Array", like(sums, shares))


def sizes_of(
    fitter: Fitter, weights: Array, best: Candidate, labels: Integers
) -> tuple[Array, float]:
    """Return the sizes of clusters (C,), and the number of observations in none.

    An observation counts for its most probable cluster; data in parts and regressions have the
    expected numbers of the fit.
    """
    result, shares = best.result, fitter.shares(best.estimator)  # type: ignore[arg-type]  # it is fitted
    assert result is not None  # it has a value
    if shares is None:
        return sizes_by_counts(result.counts, labels, result.total_weight)
    of_rows = most_probable_clusters(shares, labels)
    sums: Array = np.bincount(of_rows - OUTLYING, weights, number_of(labels) + 1).astype(float)
    return sums[1:], float(sums[0])


def sizes_by_counts(counts: Array, labels: Integers, total: float) -> tuple[Array, float]:
    """Return expected sizes (C,) by counts of components (K,), and the remainder of the total."""
    inside = labels != OUTLYING
    sizes: Array = np.bincount(labels[inside], counts[inside], number_of(labels)).astype(float)
    return sizes, max(0.0, total - float(sizes.sum()))


def shared_mass(mixture: Mixture[PointComponents]) -> Array:
    """Return E[r_i r_j] (K, K) over draws of the mixture, where r are responsibilities."""
    weights = mixture.weights.mean()
    shared = np.zeros((len(weights), len(weights)))
    for k, weight in enumerate(weights):
        counts = np.where(np.arange(len(weights)) == k, N_DRAWS, 0)
        draws = mixture.components.draw(counts, stream(0, Purpose.DRAW, k))
        shares = mixture.responsibilities(Rows(mixture.frame.undo(draws)))[0]
        shared += weight / N_DRAWS * (shares.T @ shares)
    return shared


# Draws of the weights, the same ones in every search, so that the data and the fits alone decide.
N_WEIGHTINGS = 200  # the standard error of a probability of 0.9 is then 0.02
# Candidates compared under bootstrap weights, and the share of draws below which one is ignored.
MOST_CONTENDING, SELDOM = 14, 0.02
# Observations that are weighted; of larger data evenly spaced ones.
MOST_WEIGHTED = 20_000
# Observations about which folds are asked. A component of one in a thousand has a hundred of them.
MOST_ASSIGNED = 100_000
# A criterion on other data differs from the observed one by twice the sampling variance of either.
BOTH_SAMPLES = np.sqrt(2.0)


@dataclass(frozen=True)
class Clustering:
    """Clusters (K,) of a candidate's components; their merges, and which are small, if merged."""

    clusters: Integers
    hierarchy: Hierarchy | None = None
    small: Booleans | None = None

    def into(self, number: int) -> Integers | None:
        """Return the components in this number of clusters; None if they do not form it."""
        if number_of(self.clusters) == number:
            return self.clusters
        if self.hierarchy is None or self.small is None:
            return None
        for n_groups in range(number, len(self.clusters) + 1):
            labels = labels_of(self.hierarchy.groups(n_groups), self.small)
            if number_of(labels) == number:
                return labels
        return None


# Nats behind the best candidate with the same number of clusters within which a simpler one is
# chosen. Of 18 labelled sets the mean index of the clusters is .689, .668 by the most evidence.
WITHIN = 10.0


def clustering_of(
    result: FitResult, rounded: Sequence[RoundedFeature], counted: str | None
) -> Clustering:
    """Return the clusters of a fit by its density; see ``clusters_of_components``."""
    if (counted or counted_as(result)) == COMPONENTS:
        return Clustering(np.arange(result.n_components))
    hierarchy = by_gaps(result) if counted == GAPS else Hierarchy.of(result)
    small = too_small(result, rounded)
    groups = hierarchy.groups(hierarchy.n_suggested)
    return Clustering(labels_of(groups, small), hierarchy, small)


@dataclass(frozen=True)
class ClusterNumbers:
    """Clusterings of candidates that may win, by index, and probabilities of their number."""

    clusterings: dict[int, Clustering]
    probabilities: dict[int, float]

    @property
    def likeliest(self) -> int:
        """The most probable number in the shortest range that has half of the probability.

        It is the most probable of all, unless that one is isolated (a half-sample mode: Bickel &
        Frühwirth 2006). Ties go to fewer clusters.
        """
        ranges = combinations_with_replacement(sorted(self.probabilities), 2)
        masses = {
            (low, high): sum(p for n, p in self.probabilities.items() if low <= n <= high)
            for low, high in ranges
        }
        half = [ends for ends, mass in masses.items() if mass >= 0.5 - ROUNDING]
        low, high = min(half, key=lambda ends: (ends[1] - ends[0], -masses[ends], ends))
        inside = [n for n in sorted(self.probabilities) if low <= n <= high]
        return max(inside, key=self.probabilities.__getitem__)

    def simplest(self, values: Sequence[float], within: float = WITHIN) -> int:
        """Return the simplest candidate with the likeliest number within some nats of the best.

        ``values`` are those of the criterion for all candidates. If none forms the number on the
        observed data, candidates are those whose components can be cut into it.
        """
        some = self._formed or self._able or [*self.clusterings]
        least = max(values[i] for i in some) - within
        near = [i for i in some if values[i] >= least]
        return min(near, key=lambda i: len(self.clusterings[i].clusters))

    @property
    def _formed(self) -> list[int]:
        n = self.likeliest
        return [i for i, own in self.clusterings.items() if number_of(own.clusters) == n]

    @property
    def _able(self) -> list[int]:
        n = self.likeliest
        return [i for i, own in self.clusterings.items() if own.into(n) is not None]

    def of(self, candidate: int) -> Integers:
        """Return the clusters of a candidate, in the likeliest number if it can form it."""
        clustering = self.clusterings[candidate]
        cut = clustering.into(self.likeliest)
        return clustering.clusters if cut is None else cut


@single_threaded_blas()
def cluster_numbers(
    task: Task,
    candidates: Sequence[Candidate],
    order: Sequence[int],
    criterion: str,
    weights: Array,
    splits: Callable[[], tuple[Fold, ...]],
    rounded: Sequence[RoundedFeature],
    counted: str | None,
    places: Integers | None = None,
) -> ClusterNumbers:
    """Return the clusters of candidates that may win, and the probability of each number.

    ``order``: indices of the candidates with a value of the criterion, best first. ``counted``:
    "merged", "gaps", "components" or None, as in ``MixtureSearch``. ``places`` (n,) order the
    observations by their values, so that the draws of their weights do not depend on the order of
    the data; None: they are drawn in that order.
    """
    contending = [i for i in order if candidates[i].result is not None][:MOST_CONTENDING]
    drawn = _weights(weights, task.fitter.units, places)
    try:
        choices = _choices(task, candidates, contending, criterion, drawn)
    except UnsupportedError:  # steps of a pipeline without densities in units of the data
        contending = contending[:1]
        choices = np.zeros(N_WEIGHTINGS, dtype=np.intp)
    shares = np.bincount(choices, minlength=len(contending)) / len(choices)
    likely = [place for place, share in enumerate(shares) if share >= SELDOM or place == 0]
    try:
        merged = any(noun_of(candidates[i].estimator) == "component" for i in contending)
        folds = splits() if merged and counted in (None, MERGED) else ()
    except InvalidInputError:  # too few observations for folds
        folds = ()
    clusterings, totals = dict[int, Clustering](), dict[int, float]()
    for place in likely:
        i = contending[place]
        choosing = choices == place
        draws = drawn.values if choosing.all() else drawn.values[choosing]
        clusterings[i], numbers = _merged(
            task, candidates[i], folds, drawn, draws, rounded, counted
        )
        for number in numbers:
            totals[number] = totals.get(number, 0.0) + 1.0
    probabilities = {number: totals[number] / sum(totals.values()) for number in sorted(totals)}
    return ClusterNumbers(clusterings, probabilities)


@dataclass(frozen=True)
class _Weights:
    """Bootstrap weights (B, m) of some observations, and the given ones (m,).

    ``spread`` is the ratio of the standard deviation of a sum over all observations to that of a
    sum over these.
    """

    rows: Integers
    given: Array
    values: Array
    spread: float


def _weights(weights: Array, units: Integers | None, places: Integers | None) -> _Weights:
    """Return weights of which the rows of a unit have the same."""
    generator = stream(0, Purpose.RESAMPLE)
    counted = weights > 0
    unit_of = np.arange(len(weights)) if units is None else units
    numbers = np.cumsum(np.bincount(unit_of[counted]) > 0) - 1
    chosen = numbers % -(-counted.sum() // MOST_WEIGHTED) == 0
    rows = np.flatnonzero(counted)
    rows = rows[chosen[unit_of[rows]]]
    given = weights[rows]
    firsts, of_rows = np.unique(unit_of[rows], return_index=True, return_inverse=True)[1:]
    of_units = given[firsts]
    order = np.arange(len(of_units)) if places is None else np.argsort(places[rows[firsts]])
    drawn = np.empty((N_WEIGHTINGS, len(of_units)))
    drawn[:, order] = generator.standard_gamma(of_units[order], size=drawn.shape)
    drawn *= of_units.sum() / drawn.sum(axis=1, keepdims=True)
    spread = float(np.sqrt(weights.sum() / given.sum()))
    return _Weights(rows, given, drawn[:, of_rows], spread)


def _choices(
    task: Task,
    candidates: Sequence[Candidate],
    contending: Sequence[int],
    name: str,
    drawn: _Weights,
) -> Integers:
    """Return the place of the best candidate (B,) under each draw of the weights."""
    if len(contending) == 1:
        return np.zeros(N_WEIGHTINGS, dtype=np.intp)
    criterion = record(name)
    values = np.array([candidates[i].value(criterion.column) for i in contending])
    densities = []
    for i in contending:
        held = candidates[i].held if criterion.folds else None
        density = (
            task.fitter.log_density(candidates[i].estimator)  # type: ignore[arg-type]  # it is fitted
            if held is None
            else held.density
        )
        densities.append(np.asarray(density)[drawn.rows])
    differences = np.array(densities) - densities[0]
    differences = np.where(np.isfinite(differences), differences, 0.0)
    change = (drawn.values - drawn.given) @ differences.T
    return np.asarray((values + BOTH_SAMPLES * drawn.spread * change).argmax(axis=1))


def _merged(
    task: Task,
    candidate: Candidate,
    folds: tuple[Fold, ...],
    drawn: _Weights,
    draws: Array,
    rounded: Sequence[RoundedFeature],
    counted: str | None,
) -> tuple[Clustering, list[int]]:
    """Return the clusters of a candidate, and their number under each draw (b, m)."""
    result = candidate.result
    assert result is not None  # candidates with a value are fitted
    K = result.n_components
    independent = noun_of(candidate.estimator) == "component"
    if not independent or (counted or counted_as(result)) == COMPONENTS:
        return Clustering(np.arange(K)), [K] * len(draws)
    small = too_small(result, rounded)

    def labels(hierarchy: Hierarchy) -> Integers:
        return labels_of(hierarchy.groups(hierarchy.n_suggested), small)

    if counted == GAPS:
        drawn_numbers = [number_of(labels(own)) for own in drawn_gaps(result, len(draws))]
        return clustering_of(result, rounded, GAPS), drawn_numbers
    fitter, folds, places = _asked(task.fitter, folds, drawn)
    assignments = fitter.assignments(candidate.estimator, folds) if K > 1 and folds else None  # type: ignore[arg-type]
    if assignments is None:
        clustering = clustering_of(result, rounded, MERGED)
        return clustering, [number_of(clustering.clusters)] * len(draws)
    assignments = _of_own_rows(assignments, small, too_few(result))
    hierarchy = overlapping(assignments, np.ones(len(assignments.full)))
    if fitter is not task.fitter:  # sizes are those of all data
        hierarchy = replace(hierarchy, weights=result.counts / result.counts.sum())
    of_drawn = Assignments(assignments.full[places], assignments.held_out[places])
    # Deviations of weights are smaller where the draws stand for more observations.
    observed = (drawn.given + (draw - drawn.given) / drawn.spread for draw in draws)
    numbers = [number_of(labels(overlapping(of_drawn, weights, OVERLAP))) for weights in observed]
    return Clustering(labels(hierarchy), hierarchy, small), numbers


def _asked(
    fitter: Fitter, folds: tuple[Fold, ...], drawn: _Weights
) -> tuple[Fitter, tuple[Fold, ...], Integers]:
    """Return the data about which folds are asked, the folds, and the places of weighted rows.

    Of large data these are evenly spaced observations and the weighted ones.
    """
    n_rows = fitter.source.shape[0]
    if n_rows <= MOST_ASSIGNED:
        return fitter, folds, drawn.rows
    rows = np.union1d(drawn.rows, np.arange(0, n_rows, -(-n_rows // MOST_ASSIGNED)))

    def among(part: Integers) -> Integers:
        inside = np.zeros(n_rows, dtype=bool)
        inside[part] = True
        return np.flatnonzero(inside[rows])

    some = tuple(Fold(among(fold.train), among(fold.test)) for fold in folds)
    return fitter.on(rows), some, np.searchsorted(rows, drawn.rows)


def _of_own_rows(assignments: Assignments, small: Booleans, few: Booleans) -> Assignments:
    """Return assignments in which small components keep their observations.

    Folds cannot confirm components of very few observations, which are outlying, not merged. These
    have a share of their own observations alone: stray shares of many others would outweigh a mass
    of one.
    """
    full, closest = assignments.full, assignments.full.argmax(axis=1)
    held_out = np.where(small[closest][:, None], full, assignments.held_out)
    own = np.equal.outer(closest, np.arange(full.shape[1]))
    counted = own | ~(few & own.any(axis=0))
    return Assignments(np.where(counted, full, 0.0), np.where(counted, held_out, 0.0))


def overlapping(assignments: Assignments, weights: Array, above: float = -1.0) -> Hierarchy:
    """Return merges by the agreement of held-out assignments with those of the whole fit.

    It ends where no two groups overlap by more than ``above``.
    """
    full = assignments.full * weights[:, None]
    shared = full.T @ assignments.held_out
    total = weights.sum()
    return Hierarchy.by_overlap(
        full.sum(axis=0) / total, (shared + shared.T) / (2.0 * total), above
    )
