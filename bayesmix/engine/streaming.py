"""Sums of rows that went by: a bound on all of them without having them (Hughes & Sudderth 2013).

With the responsibilities q(Z) that the rows of every batch had when they were last visited,
Σ_b H_b + <Σ_b S_b, Θ> + regulariser is a lower bound on the objective over all rows, and of a
variational fit one on the evidence: H_b is the entropy of q(Z), S_b are the sums of the batch. It
rises with every revisit and every update. Sums lie in fixed trees, and nothing is ever subtracted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import entr

from bayesmix.engine.expectation import Form, block_rows
from bayesmix.engine.run import surely_summed
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Components, Objective, Source, Statistics
from bayesmix.records import Expectation, Mixture, Rows

# What a batch is called by, where it may come again.
Name = str | int


@dataclass(frozen=True)
class BatchSums:
    """What is kept of a batch: additive over batches."""

    statistics: Statistics
    free: float  # Σ w l - <statistics, Θ>: the entropy of q(Z), and what no parameter touches
    entropies: Array  # (K,) -Σ w r log r
    hard_counts: Array  # (K,) rows by largest responsibility
    n_rows: int
    weight: float

    def __add__(self, other: BatchSums) -> BatchSums:
        return BatchSums(
            self.statistics + other.statistics,
            self.free + other.free,
            self.entropies + other.entropies,
            self.hard_counts + other.hard_counts,
            self.n_rows + other.n_rows,
            self.weight + other.weight,
        )

    def scaled(self, factor: float) -> BatchSums:
        """Those of the same rows where each counts as ``factor`` rows."""
        return BatchSums(
            self.statistics.scaled(factor),
            factor * self.free,
            factor * self.entropies,
            factor * self.hard_counts,
            self.n_rows,
            factor * self.weight,
        )

    def merged(self, first: int, second: int) -> BatchSums:
        """With ``second`` added to ``first`` and left out; what is lost of the entropy is bounded.

        Of -Σ r log r of the two at most N H(N_1 / N) says which of them (Jensen), N = N_1 + N_2.
        """
        pair = [first, second]
        counts, both = self.statistics.counts[pair], float(self.entropies[pair].sum())
        total = float(counts.sum())
        between = total * float(entr(counts / total).sum()) if total > 0.0 else 0.0
        lost = min(both, between)
        place = first - (second < first)
        entropies, hard = np.delete([self.entropies, self.hard_counts], second, axis=1)
        entropies[place] = both - lost
        hard[place] = self.hard_counts[pair].sum()
        return replace(
            self,
            statistics=self.statistics.merged(first, second),
            free=self.free - lost,
            entropies=entropies,
            hard_counts=hard,
        )


@dataclass(frozen=True)
class NamedBatches:
    """Batches that may come again, as the leaves of a binary tree of sums: ``levels[0]``.

    A leaf that is replaced costs as many additions as the tree is high, and the root is the same
    whatever came before.
    """

    names: tuple[Name, ...] = ()
    levels: tuple[tuple[BatchSums, ...], ...] = ()

    @property
    def total(self) -> tuple[BatchSums, ...]:
        """The root, or nothing."""
        return self.levels[-1] if self.levels else ()

    def get(self, name: Name | None) -> BatchSums | None:
        """The sums of a batch, or None where it is new."""
        return self.levels[0][self.names.index(name)] if name in self.names else None

    def put(self, name: Name, sums: BatchSums) -> NamedBatches:
        """With the sums of one batch, new or in the place of what it had."""
        names = self.names if name in self.names else (*self.names, name)
        place, sums_of_level = names.index(name), sums
        levels = []
        for height in range((len(names) - 1).bit_length() + 1):
            before = self.levels[height] if height < len(self.levels) else ()
            level = (*before[:place], sums_of_level, *before[place + 1 :])
            levels.append(level)
            pair = level[place - place % 2 :][:2]
            sums_of_level = pair[0] + pair[1] if len(pair) == 2 else pair[0]
            place //= 2
        return NamedBatches(names, tuple(levels))

    def each(self, change: Callable[[BatchSums], BatchSums]) -> NamedBatches:
        """With every batch changed."""
        changed = NamedBatches()
        for name, sums in zip(self.names, self.levels[0] if self.levels else (), strict=True):
            changed = changed.put(name, change(sums))
        return changed


@dataclass(frozen=True)
class Stream:
    """Where a stream is: the mixture, and the sums of all rows that it has seen.

    Batches without a name are added up as they come: ``unnamed`` are the sums of runs of them, as
    long as the powers of two that make up their number.
    """

    mixture: Mixture
    resolution: Array | None = None
    named: NamedBatches = field(default_factory=NamedBatches)
    unnamed: tuple[BatchSums, ...] = ()
    n_unnamed: int = 0
    n_visits: int = 0

    @property
    def total(self) -> BatchSums:
        """The sums of all rows."""
        first, *others = (*self.named.total, *self.unnamed)
        for other in others:
            first += other
        return first

    @property
    def n_batches(self) -> int:
        return len(self.named.names) + self.n_unnamed

    def arrived(self, sums: BatchSums, name: Name | None) -> Stream:
        """With one batch more, or with other sums of one that has come again."""
        more = replace(self, n_visits=self.n_visits + 1)
        if name is not None:
            return replace(more, named=self.named.put(name, sums))
        runs, number = self.unnamed, self.n_unnamed
        while number % 2:
            runs, sums, number = runs[:-1], runs[-1] + sums, number // 2
        return replace(more, unnamed=(*runs, sums), n_unnamed=self.n_unnamed + 1)

    def each(self, change: Callable[[BatchSums], BatchSums]) -> Stream:
        """With all sums changed, batch by batch."""
        unnamed = tuple(change(sums) for sums in self.unnamed)
        return replace(self, named=self.named.each(change), unnamed=unnamed)

    def updated(self, objective: Objective) -> Stream:
        """After the M-step on all sums."""
        statistics = self.total.statistics
        known = Expectation(0.0, 0.0, statistics.counts, statistics)
        mixture = objective.update(known, self.mixture, self.mixture.frame, self.resolution)
        return replace(self, mixture=mixture)

    def bound(self, objective: Objective) -> float:
        """Σ_b H_b + <Σ_b S_b, Θ> + regulariser, in the frame."""
        mixture = replace(self.mixture, components=self.mixture.components.released())
        total = self.total
        joint = expected_log_joint(mixture, total.statistics)
        return total.free + joint + objective.regulariser(mixture)


def visited(source: Source, mixture: Mixture, form: Form) -> BatchSums:
    """The E-step on the rows of a batch, and what is kept of it."""
    expectation, _ = surely_summed(source, mixture, form)
    entropies, hard_counts = source.reduce(EntropiesStep(mixture), mixture.n_components)
    statistics = expectation.statistics
    return BatchSums(
        statistics,
        expectation.log_normaliser - expected_log_joint(mixture, statistics),
        entropies,
        hard_counts,
        source.shape[0],
        source.total_weight,
    )


def expected_log_joint(mixture: Mixture[Components], statistics: Statistics) -> float:
    """<S, Θ>: Σ_k Σ_n w r (E[log π_k] + E[log p(x_n | θ_k)]), less what no parameter touches."""
    of_rows = mixture.linear.expected_log_likelihood(statistics)
    return of_rows + float(statistics.counts @ mixture.finite_log_weights)


def is_sound(sums: BatchSums) -> bool:
    """Whether all rows lay where the mixture has a density that is a double."""
    return bool(np.isfinite(sums.free) and np.isfinite(sums.statistics.pack()).all())


def best_merge(objective: Objective, stream: Stream) -> tuple[Stream, tuple[int, int]] | None:
    """The merge of a component with the nearest that raises the bound most, if one does.

    Tried on the sums of all rows together, of which less is known than batch by batch.
    """
    mixture = stream.mixture
    if mixture.n_components < 2:
        return None
    near = mixture.linear.near(mixture.finite_log_weights)
    near = near + near.T
    np.fill_diagonal(near, -np.inf)
    pairs = {(min(j, k), max(j, k)) for k, j in enumerate(near.argmax(axis=1).tolist())}
    together = replace(stream, named=NamedBatches(), unnamed=(stream.total,))
    values = {pair: merged(objective, together, *pair).bound(objective) for pair in sorted(pairs)}
    best = max(values, key=values.__getitem__)
    if values[best] <= stream.bound(objective):
        return None
    return merged(objective, stream, *best), best


def merged(objective: Objective, stream: Stream, first: int, second: int) -> Stream:
    """The stream with two components as one, after an M-step."""
    keep = np.delete(np.arange(stream.mixture.n_components), second)
    counts = stream.total.statistics.counts
    fewer = stream.each(lambda sums: sums.merged(first, second))
    resolution = stream.resolution
    if resolution is not None and len(resolution) > 1:
        resolution = resolution[keep]
    mixture = stream.mixture.subset(keep, counts)
    return replace(fewer, mixture=mixture, resolution=resolution).updated(objective)


@dataclass(frozen=True)
class EntropiesStep:
    """-Σ w r log r of every component, and rows by largest responsibility: (2, K)."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> Array:
        n_components = self.mixture.n_components
        total = np.zeros((2, n_components))
        for block in rows.blocks(block_rows(rows.values.shape[1], n_components)):
            framed = self.mixture.frame.apply(block.values)
            responsibilities, _ = self.mixture.responsibilities(framed)
            weights = block.weights_or_ones
            labels = responsibilities.argmax(axis=1)
            total[0] += weights @ entr(responsibilities)
            total[1] += np.bincount(labels, weights, n_components)
        return total
