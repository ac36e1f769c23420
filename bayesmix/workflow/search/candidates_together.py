"""Where candidates of a search begin that differ in covariance and K: all of them fitted at once.

Each begins with the clusters of one hierarchy, then where others lead as well: candidates of as
many components, one less with a component split, and one more with two merged. What few passes show
to be behind is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from bayesmix.families.gaussian.covariance.models import NAMED, contained
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.gaussian.together.many_mixtures import Bundle, SharedRows
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Source
from bayesmix.random import Purpose, stream
from bayesmix.records import Mixture
from bayesmix.weights import PointWeights
from bayesmix.workflow.search.hierarchy import MOST_ROWS, clusters_of
from bayesmix.workflow.search.side_by_side import Ends, run
from bayesmix.workflow.search.starts import one_hot

# Rows that tell as much as beginnings need.
ENOUGH_ROWS = 2000
# Passes that a start is run for, those that show whether it is behind, and by how many nats.
PASSES, FIRST_PASSES, BEHIND = 60, 3, 1.0
# Of as many components, so many of the best by BIC are gone on from; of one more, so many merges.
NEIGHBOURS, MERGES = 2, 4
# What is gained is more than rounding.
GAINED = 1e-6

Candidate = tuple[str, int]


def begun_together(
    source: Source, candidates: Sequence[Candidate], seed: int
) -> dict[Candidate, Mixture]:
    """Mixtures by maximum likelihood of (structure, K), but for those that collapsed.

    Rows without gaps; of many a sample. None are found where rows lie on a plane.
    """
    field = _Field.of(source, candidates, seed)
    if field is None:
        return {}
    with single_threaded_blas(), np.errstate(all="ignore"):
        field.begin(source, seed)
        field.try_neighbours()
        field.try_splits()
        field.try_neighbours()
        field.try_splits()
        # Two that lie in one cluster are seen once there are too many.
        field.try_merges()
        field.try_splits()
        field.try_neighbours()
    return field.mixtures()


def mixture_of(rows: SharedRows, structure: str, sums: Array) -> Mixture:
    """The mixture that maximises, of its sums."""
    counts = sums[:, 0]
    weights = PointWeights(counts / counts.sum())
    return Mixture(weights, rows.components(structure, sums), rows.frame)


@dataclass
class _Field:
    """The candidates, and the best of each so far: values (C,) and sums (M, F)."""

    rows: SharedRows
    candidates: list[Candidate]
    bundle: Bundle
    best: Ends

    @classmethod
    def of(cls, source: Source, candidates: Sequence[Candidate], seed: int) -> _Field | None:
        """Nothing fitted yet."""
        order = {name: place for place, name in enumerate(dict.fromkeys(n for n, _ in candidates))}
        listed = sorted(candidates, key=lambda each: (order[each[0]], each[1]))
        family = Gaussian("EVE")
        frame = family.frame(source.summary)
        if family.set_aside(frame, source)[0] is not frame:
            return None
        sample = source.sample(ENOUGH_ROWS, stream(seed, Purpose.SUBSAMPLE, 0, 2)).in_memory()
        sample = sample.standing_for(source.total_weight)
        floor = family.guard(source, frame, source.summary, True).floor
        weights = sample.rows.weights_or_ones
        rows = SharedRows(frame.apply(sample.rows.values), weights, frame, floor)
        bundle = Bundle(tuple(n for n, _ in listed), np.array([k for _, k in listed]))
        n_features = len(rows.features)
        shape = (int(bundle.sizes.sum()), n_features)
        return cls(rows, listed, bundle, Ends(np.full(len(listed), -np.inf), np.ones(shape)))

    def begin(self, source: Source, seed: int) -> None:
        """From the clusters of a hierarchy of some of the rows."""
        few = source.sample(MOST_ROWS, stream(seed, Purpose.SUBSAMPLE, 0, 3)).in_memory()
        few = few.standing_for(source.total_weight)
        weights = few.rows.weights_or_ones
        values = self.rows.frame.apply(few.rows.values)
        rows = SharedRows(values, weights, self.rows.frame, self.rows.floor)
        sums: dict[int, Array] = {}
        for number in np.unique(self.bundle.sizes):
            labels = clusters_of(few, int(number))
            if labels is not None:
                sums[int(number)] = rows.sums(one_hot(labels, int(number)).T)
        starts = [(i, sums[k]) for i, (_, k) in enumerate(self.candidates) if k in sums]
        self._try(starts, first=0)

    def try_neighbours(self) -> None:
        """From the best of as many components, and the best of those that each contains."""
        _, sums = self._expected()
        bic = self._bic()
        simpler = {name: contained(name) for name, _ in self.candidates}
        sound = np.flatnonzero(np.isfinite(bic))
        by_bic, by_value = (sound[np.argsort(-each[sound])] for each in (bic, self.best.values))
        starts = []
        for i, (name, number) in enumerate(self.candidates):
            if number == 1:
                continue
            same = [j for j in by_bic if self.bundle.sizes[j] == number and j != i]
            inside = (j for j in by_value if self.bundle.sizes[j] == number)
            inside = (j for j in inside if self.candidates[j][0] in simpler[name])
            chosen = [*same[:NEIGHBOURS], *islice(inside, 1)]
            starts += [(i, sums[self._lines(j)]) for j in dict.fromkeys(chosen)]
        self._try(starts)

    def try_splits(self) -> None:
        """From one component less, each of them split."""
        place = {each: i for i, each in enumerate(self.candidates)}
        coefficients, sums = self._expected()
        halves = self.rows.halves(self.bundle, coefficients, sums)
        starts = []
        for i, (name, number) in enumerate(self.candidates):
            j = place.get((name, number - 1))
            if j is None or not np.isfinite(self.best.values[j]):
                continue
            whole, half = sums[self._lines(j)], halves[self._lines(j)]
            for k in range(number - 1):
                split = np.vstack([whole, half[k]])
                split[k] -= half[k]
                starts.append((i, split))
        self._try(starts)

    def try_merges(self) -> None:
        """From one component more, two of them merged: the pairs that lose least by it."""
        place = {each: i for i, each in enumerate(self.candidates)}
        _, sums = self._expected()
        starts = []
        for i, (name, number) in enumerate(self.candidates):
            j = place.get((name, number + 1))
            if j is None or not np.isfinite(self.best.values[j]):
                continue
            whole = sums[self._lines(j)]
            one, other = np.triu_indices(number + 1, 1)
            lost = self.rows.losses(whole[one], whole[other])
            for pair in np.argsort(lost)[:MERGES]:
                merged = whole[one[pair]] + whole[other[pair]]
                rest = np.delete(whole, [one[pair], other[pair]], axis=0)
                starts.append((i, np.vstack([rest, merged])))
        self._try(starts)

    def mixtures(self) -> dict[Candidate, Mixture]:
        """The best of each, of those that have not collapsed."""
        return {
            each: mixture_of(self.rows, each[0], self.best.sums[self._lines(i)])
            for i, each in enumerate(self.candidates)
            if np.isfinite(self.best.values[i])
        }

    def _expected(self) -> tuple[Array, Array]:
        """Of the best of all, what it makes of the rows: coefficients and sums (M, F)."""
        coefficients, _, _ = self.rows.maximised(self.bundle, self.best.sums, {})
        return coefficients, self.rows.expected(self.bundle, coefficients)[1]

    def _try(self, starts: list[tuple[int, Array]], first: int = FIRST_PASSES) -> None:
        """Run starts (candidate, sums), in the order of candidates, and keep what is better."""
        if not starts:
            return
        whose = np.array([i for i, _ in starts])
        bundle, sums = self._bundle(whose), np.concatenate([sums for _, sums in starts])
        if first:
            ends = run(self.rows, bundle, sums, first)
            keep = self._promising(whose, ends.values)
            if not keep.any():
                return
            sums = ends.sums[bundle.division.spread(keep)]
            whose, bundle = whose[keep], bundle.subset(keep)
        ends = run(self.rows, bundle, sums, PASSES)
        for i, value, begun in zip(whose, ends.values, bundle.division.starts, strict=True):
            if value > self.best.values[i] + GAINED:
                size = self.bundle.sizes[i]
                self.best.values[i] = value
                self.best.sums[self._lines(i)] = ends.sums[begun : begun + size]

    def _promising(self, whose: Integers, values: Array) -> Booleans:
        """The best start of every candidate, unless it is behind."""
        keep = np.zeros(len(whose), dtype=np.bool_)
        order = np.argsort(-values, kind="stable")
        _, firsts = np.unique(whose[order], return_index=True)
        best = order[firsts]
        keep[best[values[best] > self.best.values[whose[best]] - BEHIND]] = True
        return keep

    def _bundle(self, whose: Integers) -> Bundle:
        names = tuple(self.candidates[i][0] for i in whose)
        return Bundle(names, self.bundle.sizes[whose])

    def _lines(self, i: int) -> slice:
        first = int(self.bundle.division.starts[i])
        return slice(first, first + int(self.bundle.sizes[i]))

    def _bic(self) -> Array:
        n_features = self.rows.values.shape[1]
        free = [
            NAMED[name].n_parameters(k, n_features) + k * (n_features + 1) - 1
            for name, k in self.candidates
        ]
        bic: Array = self.best.values - 0.5 * np.log(self.rows.total) * np.array(free)
        return bic
