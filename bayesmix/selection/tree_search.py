"""The search of ``select``: from the tops of trees to the best candidate, neighbour by neighbour.

A candidate is a structure and family with a number of components K. Each structure has a tree of
merges (``merge_tree``), whose partitions are starts and whose top is its first K. Then neighbours
of the best candidates are fitted until none within reach is left: one component more or less, and
other structures with as many. Of many observations, candidates are compared on cells, small groups
that share their responsibilities; the best go on to all observations.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from bayesmix.selection.candidates import Candidate, asked
from bayesmix.selection.criteria import ON_SAMPLE
from bayesmix.selection.merge_tree import usual_number
from bayesmix.selection.scores import Score
from bayesmix.selection.tasks import ALL_DATA, Effort, Question, Task

if TYPE_CHECKING:
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.protocols import Parameters
    from bayesmix.numerics.arrays import Array, Integers
    from bayesmix.selection.merge_tree import MergeTree, PartitionTree

# A candidate: the number of its structure, and K - 1.
Key: TypeAlias = tuple[int, int]


class Proposal(Protocol):
    """Proposes further candidates once those of the chains are fitted."""

    @property
    def least_gain(self) -> float:
        """Nats by which the best of them must be better than the best before, to stay."""

    @property
    def needs_observations(self) -> bool:
        """Whether its candidates cannot be compared on cells."""

    def __call__(
        self, candidates: Sequence[tuple[Candidate, float]]
    ) -> Sequence[tuple[Parameters, int]]:
        """Return parameters to change in a structure, and the K to begin with.

        ``candidates`` are the fits of the structure, with their criterion.
        """


# Automatic limit of K: half of the largest number of cells.
LARGEST = 1000
# Observations from which candidates are compared on cells: with fewer, passes over all are as fast,
# and cells of fewer members than columns hide groups (4 tied ones in 4,854 x 57).
CONDENSED = 2000
# Cells are doubled while the best tree keeps more than this share of them.
KEPT, MOST_CELLS = 0.25, 2000
# Nats below the best within which a candidate has neighbours: e^-7 is a thousandth.
REACH = 7.0
# A structure is left out if it is worse by so many nats and so many paired standard errors,
STRUCTURES_REACH, STANDARD_ERRORS = 10.0, 3.0
# where there are at least so many observations for each column.
FEWEST_FOR_COLUMN = 10
# Proposed noise that is more than this share of the observations is a uniform group.
MOST_NOISE = 0.5
# Distances in K at which neighbours of the best are tried: the gain of one component may hide
# behind the loss of another.
FURTHER = 2
# Full searches, of the best first.
MOST_SEARCHED = 4
# Nats that make a better fit a new start for its neighbours.
A_GAIN = 1.0


@dataclass
class TreeSearch:
    """Candidates in chains over K, and those fitted to what is compared and to all data."""

    task: Task
    compared: Task
    chains: list[list[Parameters]]
    trees: list[PartitionTree | None]
    n_cells: int
    log_prior: Callable[[int], float]
    every: bool = False  # whether every candidate was asked for
    reach_of_full: float | None = None  # nats behind the best for a full search, None for none
    proposals: Sequence[Proposal] = ()
    fits: dict[Key, Candidate] = field(default_factory=dict)
    on_all: dict[Key, Candidate] = field(default_factory=dict)
    behind: dict[tuple[Key, Key], float] = field(default_factory=dict)  # standard errors
    # Neighbours from which each candidate was fitted.
    begun_from: defaultdict[Key, set[Key]] = field(default_factory=partial(defaultdict, set))
    between: Task | None = None  # on a sample of data in parts, by whose way candidates go to all
    on_rows: bool = False  # whether what is compared is observations, which favour no candidate

    total = None  # the number of fits is not known beforehand

    def __post_init__(self) -> None:
        # Structures from here on are walked; of others every candidate is fitted.
        self.first_walked = len(self.chains) if self.every else 0
        self._n_asked = len(self.chains)  # those after them were proposed
        self._numbers = [list(map(asked, chain)) for chain in self.chains]

    @property
    def compared_on(self) -> str:
        """On what candidates were compared, "" for all observations."""
        if not self.condensed:
            return ""
        fitter = self.compared.fitter
        return f"{fitter.source.shape[0]:,} {fitter.noun}"

    @property
    def trees_of_structures(self) -> dict[str, MergeTree]:
        """The trees by structure, as candidates name it."""
        named = [Candidate(chain[0], 0, {}, 0.0).structure for chain in self.chains]
        pairs = zip(named, self.trees, strict=True)
        return {name: tree.tree for name, tree in pairs if tree is not None}

    @property
    def condensed(self) -> bool:
        """Whether candidates are compared on less than all observations."""
        return self.compared is not self.task

    @property
    def followed(self) -> list[Proposal]:
        """The proposals that can be compared on what the others are."""
        return [each for each in self.proposals if not (self.condensed and each.needs_observations)]

    @property
    def n_candidates(self) -> int:
        """Largest number of candidates."""
        return sum(map(len, self.chains))

    @property
    def n_found(self) -> int:
        """Number of candidates fitted so far."""
        return len(self.fits)

    def fit_all(self, workers: int) -> Iterator[Candidate]:
        """Yield all fits; may be stopped at any time, with the best so far.

        Fits use the ``workers``, not the search.
        """
        try:
            for keys in self._asked_for() if self.every else self._first():
                yield from self._fitted(keys)
            yield from self._walked()
            for proposal in self.followed:
                yield from self._changed(proposal)
            if self.reach_of_full is not None:
                yield from self._searched(self.reach_of_full)
        except KeyboardInterrupt:
            if self.condensed and self.fits:
                yield self._fit_to_all(self.best)
            raise
        if self.condensed:
            yield from self._to_all_data()

    def candidates(self, weights: Array | None = None) -> list[Candidate]:
        """Return all candidates; those compared on cells alone have no fit and no other scores."""
        if not self.condensed:
            return [self.fits[key] for key in sorted(self.fits) if not self._is_uniform(key)]
        # Those of a sample alone were not fitted to cells.
        rows = [self.on_all[key] for key in sorted(self.on_all.keys() - self.fits.keys())]
        for key in sorted(self.fits):
            row, fit = self.fits[key], self.on_all.get(key)
            score = {ON_SAMPLE: Score(row.value(self.column))}
            if fit is not None:
                rows.append(replace(fit, scores=fit.scores | score))
            elif row.sound is None:
                rows.append(row)
            else:
                text = f"compared on {self.compared_on} alone"
                bare = replace(row, scores=score, estimator=None, begin=None, note=text)
                rows.append(bare)
        return rows

    def fits_to_folds(self) -> list[tuple[int, int, Candidate]]:
        """Return nothing: there are no folds."""
        return []

    @property
    def column(self) -> str:
        """Column of the criterion."""
        return self.task.watched

    def worth(self, key: Key) -> float:
        """Return the criterion of a candidate, with its prior; minus infinity without a value."""
        return -math.inf if self._is_uniform(key) else self._value(self.fits[key])

    def _value(self, row: Candidate) -> float:
        value = -math.inf if row.sound is None else row.comparable(self.column)
        return value + self.log_prior(row.asked)

    def _is_uniform(self, key: Key) -> bool:
        """Whether a proposed candidate is mostly noise, in the place of its components."""
        result = self.fits[key].sound
        if key[0] < self._n_asked or result is None or result.mixture.noise is None:
            return False
        return bool(result.mixture.noise.weight > MOST_NOISE)

    # What is fitted next.

    def _asked_for(self) -> Iterator[list[Key]]:
        """Yield all candidates, from few to many components."""
        numbers = sorted({asked(parameters) for chain in self.chains for parameters in chain})
        for k in numbers:
            yield [key for n in range(len(self.chains)) if (key := self._at(n, k)) is not None]

    def _first(self) -> Iterator[list[Key]]:
        """Yield the candidates of one component, and those at the tops of the trees."""
        structures = range(len(self.chains))
        yield list(dict.fromkeys([*((n, 0) for n in structures), *map(self._top, structures)]))

    def _walked(self) -> Iterator[Candidate]:
        """Fit neighbours of the best until none within reach is left.

        Then those within reach are fitted again from neighbours that were fitted after them.
        """
        while True:
            if keys := self._next():
                yield from self._fitted(keys)
            elif link := self._unlinked():
                yield self._from(*link)
            else:
                return

    def _top(self, number: int) -> Key:
        """Return the candidate of a structure at which its tree is best."""
        tree, numbers = self.trees[number], self._numbers[number]
        return number, 0 if tree is None else max(0, bisect_right(numbers, tree.best) - 1)

    def _changed(self, proposal: Proposal) -> Iterator[Candidate]:
        """Fit candidates with proposed parameters, from the K proposed and the tops of trees on.

        Each structure has its own proposals. They stay if the best of them gains enough.
        """
        before, n_before = self.best, len(self.chains)
        for of_structure, chain in enumerate(list(self.chains)):
            fitted = [key for key in self.fits if key[0] == of_structure]
            candidates = [(self.fits[key], self.worth(key)) for key in fitted]
            for parameters, n_components in proposal(candidates):
                number, numbers = len(self.chains), list(map(asked, chain))
                self.chains.append([own | parameters for own in chain])
                self.trees.append(self.compared.fitter.tree(self.chains[-1][0], self.n_cells))
                self._numbers.append(numbers)
                near = number, max(0, bisect_right(numbers, n_components) - 1)
                yield from self._fitted(list(dict.fromkeys([near, self._top(number)])))
        yield from self._walked()
        gain = self.worth(self.best) - self.worth(before)
        if not gain > proposal.least_gain:
            self.fits = {key: row for key, row in self.fits.items() if key[0] < n_before}
            for parts in (self.chains, self.trees, self._numbers):
                del parts[n_before:]
            # The keys may come again, for other parameters.
            for key in [key for key in self.begun_from if key[0] >= n_before]:
                del self.begun_from[key]
            self.behind = {
                pair: error
                for pair, error in self.behind.items()
                if max(pair[0][0], pair[1][0]) < n_before
            }

    def _at(self, number: int, n_components: int) -> Key | None:
        """Return the candidate of a structure with so many components, if there is one."""
        place = bisect_right(self._numbers[number], n_components) - 1
        there = place >= 0 and self._numbers[number][place] == n_components
        return (number, place) if there else None

    @property
    def best(self) -> Key:
        """The best candidate of those compared."""
        return max(self.fits, key=self.worth)

    def _best_of(self, number: int) -> Key:
        return max((key for key in self.fits if key[0] == number), key=self.worth)

    def _next(self) -> list[Key]:
        """Return candidates to fit next, none at the end."""
        best = self.best
        if not math.isfinite(self.worth(best)):
            return []
        walked = range(self.first_walked, len(self.chains))
        likely = [number for number in walked if self._may_win(number)]
        least = self.worth(best) - REACH
        within = [key for key in self.fits if self.worth(key) >= least]
        wanted = [self._onward(number) for number in likely]
        wanted += [
            [*self._beside(key, 1), *self._alike(key, likely)]
            for key in sorted(within, key=self.worth, reverse=True)
        ]
        wanted.append(self._beside(best, FURTHER))
        for keys in wanted:
            if new := [key for key in dict.fromkeys(keys) if key not in self.fits]:
                return new
        return []

    def _beside(self, key: Key, distance: int) -> list[Key]:
        """Return the candidates of the same structure with so many components more or less."""
        number, place = key
        places = (place + distance, place - distance)
        return [(number, p) for p in places if 0 <= p < len(self.chains[number])]

    def _alike(self, key: Key, likely: Sequence[int]) -> list[Key]:
        """Return other structures with as many components."""
        k = self._numbers[key[0]][key[1]]
        return [near for n in likely if (near := self._at(n, k)) is not None]

    def _onward(self, number: int) -> list[Key]:
        """Return the next K on both sides of the best K of a structure.

        While steps away from the top of the tree gain, each is as long as all before it.
        """
        place, top = self._best_of(number)[1], self._top(number)[1]
        fitted = [p for n, p in self.fits if n == number]
        above, below = place + 1, place - 1
        if place == max(fitted):
            above = place + max(1, place - top)
        elif place == min(p for p in fitted if p or not place):
            below = place - max(1, top - place)
        last = len(self.chains[number]) - 1
        return [(number, max(0, below)), (number, min(above, last))]

    def _may_win(self, number: int) -> bool:
        """Whether a structure is not clearly worse than the best candidate.

        Paired differences of log densities tell how sure that is.
        """
        best, own = self.best, self._best_of(number)
        most = max(row.asked for key, row in self.fits.items() if key[0] == number)
        if own[0] == best[0] or most < self.fits[best].asked:
            return True
        n, n_columns = self.task.fitter.source.shape
        if n < FEWEST_FOR_COLUMN * n_columns:
            return True
        return self._near(own, best)

    def _near(self, key: Key, best: Key) -> bool:
        """Whether a candidate is not clearly worse than the best."""
        lost = self.worth(best) - self.worth(key)
        if not lost > STRUCTURES_REACH:
            return True
        return lost <= STRUCTURES_REACH + STANDARD_ERRORS * self._standard_error(key, best)

    def _standard_error(self, key: Key, other: Key) -> float:
        """Return that of the difference of two log likelihoods, 0 where a fit has none."""
        if (key, other) not in self.behind:
            estimators = [self.fits[k].estimator for k in (key, other)]
            if any(self.fits[k].sound is None for k in (key, other)):
                return 0.0
            fitter = self.compared.fitter
            ours, theirs = (np.asarray(fitter.log_density(e)) for e in estimators)  # type: ignore[arg-type]
            weights = fitter.source.in_memory().rows.weights_or_ones
            away = ours - theirs
            away -= np.average(away, weights=weights)
            self.behind[key, other] = math.sqrt(float(weights @ (away * away)))
        return self.behind[key, other]

    # Fits.

    def _fitted(self, keys: list[Key]) -> Iterator[Candidate]:
        """Fit candidates to what is compared."""
        for key in keys:
            row = self.compared.fit_or_load(self._question(*key))
            self._keep(self.compared, self.fits, key, row)
            yield row

    def _unlinked(self) -> tuple[Key, Key] | None:
        """Return a candidate within reach, or beside one, and a neighbour it did not start from."""
        least = self.worth(self.best) - REACH
        within = [key for key in self.fits if self.worth(key) >= least]
        near = [other for key in within for other in self._beside(key, 1) if other in self.fits]
        for key in sorted({*within, *near}, key=self.worth, reverse=True):
            for other in self._beside(key, 1):
                if other in self.fits and other not in self.begun_from[key]:
                    return key, other
        return None

    def _from(self, key: Key, other: Key) -> Candidate:
        """Fit a candidate again from a neighbour, and keep the better fit."""
        self.begun_from[key].add(other)
        before = self.fits[key].reached
        row = self.compared.refit(self.fits[key], self.fits[other].begin, Effort.STARTS)
        self.fits[key] = row
        if row.reached > before + A_GAIN:
            for near in self._beside(key, 1):
                self.begun_from[near].discard(key)
        return row

    def _keep(self, task: Task, fits: dict[Key, Candidate], key: Key, row: Candidate) -> None:
        task.repeat_warnings(row)
        if not row.interrupted or row.estimator is not None:
            fits[key] = row
        if row.interrupted:
            raise KeyboardInterrupt

    def _index(self, key: Key) -> int:
        return sum(map(len, self.chains[: key[0]])) + key[1]

    def _question(self, number: int, place: int) -> Question:
        """Return a fit that starts from the tree, from its neighbours and from other structures."""
        parameters, key = self.chains[number][place], (number, place)
        starts = self._starts_of_tree(number, parameters)
        fitted = [k for k in self._beside(key, 1) if k in self.fits]
        near = [self.fits[k] for k in fitted]
        alike = [
            row for k, row in self.fits.items() if k[0] != number and row.asked == asked(parameters)
        ]
        best = sorted(alike, key=self._value)[-1:]
        starts += [row.begin for row in (*near, *best) if row.begin is not None]
        self.begun_from[key].update(fitted)
        return Question(parameters, self._index(key), ALL_DATA, tuple(starts))

    def _starts_of_tree(self, number: int, parameters: Parameters) -> list[Mixture]:
        tree, K = self.trees[number], asked(parameters)
        if tree is None or K == 1 or tree.n_cells < K:
            return []
        start = self.compared.fitter.begun_at(parameters, tree.labels(K))
        return [] if start is None else [start]

    def _searched(self, reach: float) -> Iterator[Candidate]:
        """Give the best candidates a full search; neighbours start from what it gains."""
        done: set[Key] = set()
        while len(done) < MOST_SEARCHED and self.compared.fitter.searches:
            key = max((k for k in self.fits if k not in done), key=self.worth, default=None)
            if key is None or not self.worth(key) >= self.worth(self.best) - reach:
                return
            done.add(key)
            before = self.fits[key].reached
            self.fits[key] = self.compared.refit(self.fits[key], self.fits[key].begin, Effort.FULL)
            yield self.fits[key]
            if self.fits[key].reached > before + A_GAIN:
                near = {*self._beside(key, 1), *self._alike(key, range(len(self.chains)))}
                for other in sorted(near & self.fits.keys() - done):
                    begin = self.fits[key].begin
                    self.fits[other] = self.compared.refit(self.fits[other], begin, Effort.STARTS)
                yield from self._walked()

    # From cells to all observations.

    def _to_all_data(self) -> Iterator[Candidate]:
        """Fit the best to all observations, and those that may be better there."""
        if self.between is not None:
            yield from self._by_way_of(self.between)
            return
        key: Key | None = self.best
        while key is not None:
            if key not in self.fits:
                yield from self._fitted([key])
            yield self._fit_to_all(key)
            key = self._next_on_all()

    def _by_way_of(self, between: Task) -> Iterator[Candidate]:
        """Do the same for observations of a sample, and go on from the best of these.

        A fit to a sample costs less than a pass over all data in parts.
        """
        first = replace(self, task=between, between=None, on_all={})
        last = replace(
            self,
            compared=between,
            trees=[None] * len(self.chains),
            fits=first.on_all,
            behind={},
            begun_from=defaultdict(set),
            between=None,
            on_rows=True,
        )
        try:
            yield from first._to_all_data()
        except KeyboardInterrupt:
            known = last if last.fits else self
            yield known._fit_to_all(known.best)
            raise
        yield from last._to_all_data()

    def _fit_to_all(self, key: Key) -> Candidate:
        """Fit a candidate to all observations, from its fit to what is compared."""
        row = self.fits[key]
        begin = () if row.begin is None else (row.begin,)
        fit = self.task.fit_or_load(Question(row.parameters, self._index(key), ALL_DATA, begin))
        self._keep(self.task, self.on_all, key, fit)
        return fit

    def _next_on_all(self) -> Key | None:
        """Return the most promising candidate that was not fitted to all observations."""
        best = max(self.on_all, key=lambda key: self._value(self.on_all[key]))
        least, most = self.worth(best) - REACH, self._value(self.on_all[best])
        near = sorted(key for key in self._beside(best, 1) if key not in self.on_all)
        if self.on_rows:  # more observations make a smaller candidate no better
            compared = self.fits.keys() if best in self.fits else set[Key]()
            near = [k for k in near if k > best or k not in compared or self._near(k, best)]
        for key in near:  # the smaller first, as cells favour more components
            if key not in self.fits or self.fits[key].sound is not None:
                return key
        # Of one structure those beyond a worse one, with more components, lose more.
        worse = [k for k in self.on_all if k[0] == best[0] and k > best]
        worse = [key for key in worse if self._value(self.on_all[key]) < most - REACH]
        left = [
            key
            for key, row in self.fits.items()
            if key not in self.on_all and row.sound is not None and self.worth(key) >= least
            if not any(key[0] == other[0] and key > other for other in worse)
        ]
        return max(left, key=self.worth, default=None)


def search_by_tree(
    task: Task,
    sample: Integers | None,
    chains: list[list[Parameters]],
    prior: dict[int, float],
    every: bool,
    reach_of_full: float | None,
    proposals: Sequence[Proposal] = (),
) -> TreeSearch:
    """Return the search of chains over K, on cells of many observations or on a sample of them.

    ``prior`` has the prior probability of each K, nothing if the criterion has none.
    """
    n, n_columns = task.fitter.source.shape
    compared, n_cells = task, usual_number(n)
    many = n > CONDENSED and n >= n_cells * n_columns
    first = [chain[0] for chain in chains]
    while True:
        if sample is not None or (many and not every):
            # Criteria of the data are none of the means of cells.
            cells = task.fitter.on_cells(n_cells, first) if many and not task.criteria else None
            if cells is not None:
                compared = replace(task, fitter=cells, checkpoint=None)
            elif sample is not None:
                compared = task.on(sample, roughly=True)
        trees = [compared.fitter.tree(parameters, n_cells) for parameters in first]
        tops = [(tree.tree.evidence.max(), tree.best) for tree in trees if tree is not None]
        enough = min(2 * n_cells, MOST_CELLS, n // 2)
        if not tops or max(tops)[1] <= KEPT * n_cells or enough <= n_cells:
            break
        n_cells = enough
    logs = {k: math.log(p) if p > 0.0 else -math.inf for k, p in prior.items()}
    log_prior = partial(_log_of, logs)
    search = TreeSearch(
        task, compared, chains, trees, n_cells, log_prior, every, reach_of_full, proposals
    )
    if compared is not task and (sample_of_parts := task.fitter.of_sample()) is not None:
        search.between = replace(task, fitter=sample_of_parts, checkpoint=None)
    return search


def _log_of(logs: dict[int, float], k: int) -> float:
    return logs.get(k, 0.0)
