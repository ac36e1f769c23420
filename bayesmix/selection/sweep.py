"""One pass over the candidates, on all rows and on folds; it may be left at any time.

Candidates come in chains that differ in K alone, on all rows or on those of one fold. Each begins
near the one before it in its chain, and near the better half of those that it contains (as many
components, a simpler structure) on the same rows. So nothing crosses the border of a fold, and
fits may be made anywhere, once those that they begin near are there, without changing a number.

Where a range of K that takes care of itself ends: where more components are far behind the best.

K grows until the evidence of the last few is far behind the best. Evidence may stand still for many
K before it rises (twenty-five equal clusters are nearly as well described by twelve as by sixteen):
so a variational fit that begins with too many components and prunes them looks ahead.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import SECONDS_ALONE
from bayesmix.core.sources import Parameters
from bayesmix.errors import BayesmixError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates import Candidate, Contents, asked, contents, simplest_first
from bayesmix.selection.scores import Score, combined
from bayesmix.selection.tasks import WHOLE, Effort, Fitter, Question, Task

# How many of a chain's latest steps tell what the next ones may gain.
STEPS_SEEN = 3


@dataclass
class Sweep:
    """All chains and how far each has come: rows by (chain, part)."""

    task: Task
    chains: list[list[Parameters]]
    whole: bool = True  # whether all are fitted to all rows, and not to those of folds alone
    rows: dict[tuple[int, int], list[Candidate]] = field(default_factory=dict)
    at_least: int = 0  # so many of every chain, whatever is given up
    seen: Mixture | None = None  # where candidates of as many components begin as well

    @property
    def parts(self) -> list[int]:
        return [*([WHOLE] if self.whole else []), *range(len(self.task.splits))]

    @property
    def total(self) -> int:
        return len(self.parts) * self.n_candidates

    @property
    def n_candidates(self) -> int:
        """How many candidates there are."""
        return sum(map(len, self.chains))

    @property
    def n_found(self) -> int:
        """How many of them were fitted so far, to all rows where they are."""
        return sum(len(self.done(number, self.parts[0])) for number in range(len(self.chains)))

    def done(self, chain: int, part: int) -> list[Candidate]:
        """The rows that this chain has so far."""
        return self.rows.setdefault((chain, part), [])

    def one_by_one(self) -> Iterator[Candidate]:
        """Candidate after candidate, each with all its folds; may be left at any time."""
        for number, place in self._in_order():
            for part in self.parts:
                rows = self.done(number, part)
                if len(rows) > place or self._ended(number, part):
                    continue
                row = self.task.kept(self._question(number, part))
                self._note(rows, row)
                yield row

    def _in_order(self) -> list[tuple[int, int]]:
        """(chain, place) of all candidates: chain by chain, or all chains side by side."""
        order = simplest_first(self.inside, len(self.chains))
        found = [(number, place) for number in order for place in range(len(self.chains[number]))]
        return sorted(found, key=lambda each: each[1]) if self.side_by_side else found

    @property
    def side_by_side(self) -> bool:
        """Whether chains wait for one another: where one ends depends on the others."""
        return self.task.ended is not None

    def every(self, workers: int) -> Iterator[Candidate]:
        """All rows as they come; worker processes join in once it takes a while."""
        began = time.perf_counter()
        for row in self.one_by_one():
            yield row
            busy = time.perf_counter() - began > SECONDS_ALONE
            if busy and workers > 1 and len(self.unfinished) > 1:
                yield from self.in_workers(workers)
                return

    def in_workers(self, workers: int) -> Iterator[Candidate]:
        """What is left, in worker processes: again and again the next of every chain that can."""
        from joblib import Parallel, delayed

        with Parallel(n_jobs=workers, return_as="generator") as parallel:
            while ready := self.ready:
                finished = parallel(
                    delayed(self.task.kept)(self._question(*each)) for each in ready
                )
                for key, row in zip(ready, finished, strict=True):
                    self._note(self.done(*key), row)
                    yield row

    @cached_property
    def inside(self) -> Contents:
        """(chain, place) of every candidate -> those of the candidates that it contains."""
        return contents(self.chains)

    def _question(self, chain: int, part: int) -> Question:
        """What is next asked for in a chain."""
        place = len(rows := self.done(chain, part))
        parameters, number = self.chains[chain][place], self.number(chain, place)
        there = [self.done(other, part)[at : at + 1] for other, at in self.inside[chain, place]]
        simpler = [row for found in there for row in found if row.begin is not None]
        # A poorer one that is not the best has led a rich one to a better place (wine, VVE).
        best = sorted(simpler, key=lambda row: row.reached)[-max(1, len(simpler) // 2) :]
        led = [*rows[-1:], *best]
        near = [row.begin for row in led if row.begin is not None]
        if self.seen is not None and self.seen.n_components == asked(parameters):
            near.append(self.seen)
        return Question(parameters, number, part, tuple(near))

    @property
    def ready(self) -> list[tuple[int, int]]:
        """Where the next candidate contains none that is left; the richest, slow ones first."""
        left = self.unfinished
        if self.side_by_side:
            first = min(len(self.done(*each)) for each in left) if left else 0
            left = [each for each in left if len(self.done(*each)) == first]
        return [
            (chain, part)
            for chain, part in reversed(left)
            if not any(
                (other, part) in left and len(self.done(other, part)) <= at
                for other, at in self.inside[chain, len(self.done(chain, part))]
            )
        ]

    @property
    def unfinished(self) -> list[tuple[int, int]]:
        """The chains and parts in which something is left to do, the simplest first."""
        return [
            (number, part)
            for number in simplest_first(self.inside, len(self.chains))
            for part in self.parts
            if len(self.done(number, part)) < len(self.chains[number])
            and not self._ended(number, part)
        ]

    def _ended(self, number: int, part: int) -> bool:
        """Whether nothing more of a chain is to be tried."""
        rows = self.done(number, part)
        if len(rows) < self.at_least:
            return False
        if self.task.given_up(rows) or not self.side_by_side:
            return self.task.given_up(rows)
        others = [self.done(other, part) for other in range(len(self.chains)) if other != number]
        return hopeless(rows, others, self.task.watched, self.task.given_up)

    def number(self, chain: int, place: int) -> int:
        """The candidate's number among all."""
        return sum(map(len, self.chains[:chain])) + place

    def _note(self, rows: list[Candidate], row: Candidate) -> None:
        """Keep a row; one that Ctrl-C ended is kept of a fit to all rows only, and ends the sweep.

        Held-out density of a fit that was broken off would say nothing of the candidate.
        """
        self.task.heard(row)
        if not row.interrupted or row.estimator is not None:
            rows.append(row)
        if row.interrupted:
            raise KeyboardInterrupt

    def candidates(self, weights: Array) -> list[Candidate]:
        """A row per candidate that was fitted, with its held-out score."""
        found = []
        for number in range(len(self.chains)):
            for place, row in enumerate(self.done(number, self.parts[0])):
                if not self.whole:
                    row = Candidate(row.parameters, row.n_components, {}, row.seconds)
                found.append(self._with_folds(row, number, place, weights))
        return found

    def fitted_to_all(self, candidate: int) -> Candidate:
        """A candidate's row on all rows, after those of its chain before it."""
        number = 0
        while candidate >= len(self.chains[number]):
            candidate -= len(self.chains[number])
            number += 1
        done = self.done(number, WHOLE)
        while len(done) <= candidate:
            self._note(done, self.task.kept(self._question(number, WHOLE)))
        return done[candidate]

    def _with_folds(self, row: Candidate, number: int, place: int, weights: Array) -> Candidate:
        if not self.task.splits or (self.whole and row.sound is None):
            return row
        parts = []
        for part, split in enumerate(self.task.splits):
            rows = self.done(number, part)
            one = rows[place] if len(rows) > place else None
            if one is None or one.density is None:
                reason = "interrupted" if one is None else one.note
                scores = row.scores | {"cv": Score(math.nan)}
                note = "; ".join(filter(None, [row.note, f"fold {part}: {reason}"]))
                return replace(row, scores=scores, note=note)
            parts.append((split.test, one.density))
        held = combined(parts, weights)
        return replace(row, scores=row.scores | {"cv": held.score}, held=held)

    def folds(self) -> list[tuple[int, int, Candidate]]:
        """(candidate, fold, row) of all fits to folds."""
        return [
            (self.number(number, place), part, row)
            for (number, part), rows in sorted(self.rows.items())
            if part != WHOLE
            for place, row in enumerate(rows)
        ]


def hopeless(
    chain: list[Candidate],
    others: Sequence[list[Candidate]],
    name: str,
    ended: Callable[[list[Candidate]], bool],
) -> bool:
    """Whether a chain, at the rate of its last steps, cannot reach a richer one that has ended.

    The evidence (column ``name``) is slow to see that a rich structure predicts better, so that it
    may be believed where it says so all the same. The chain may gain as much again as all steps so
    far would have at the rate of the best of the last few.
    """
    values = [row.value(name) for row in chain]
    steps = np.diff(values[-1 - STEPS_SEEN :])
    if len(steps) < STEPS_SEEN or not np.isfinite(steps).all():
        return False
    reach = values[-1] + max(float(steps.max()), 0.0) * len(chain)
    return any(
        other
        and _richer(other, chain)
        and ended(other)
        and reach
        < max((row.value(name) for row in other if row.sound is not None), default=-np.inf)
        for other in others
    )


def _richer(one: list[Candidate], other: list[Candidate]) -> bool:
    """Whether a chain has more parameters at a number of components: at one many have as many."""
    there = {row.asked: row.sound.n_parameters for row in other if row.sound is not None}
    return any(
        row.sound.n_parameters > there[row.asked]
        for row in one
        if row.sound is not None and row.asked in there
    )


# K grows no further than this by itself.
LARGEST = 30
# Nats by which so many K in a row must be behind the best one of their structure.
FAR_BEHIND, IN_A_ROW = 10.0, 3
# How far beyond what the pruned fit found K is tried.
BEYOND = 2
# It is made where there are so many rows a component of the largest K tried, times columns and one:
# with fewer there is nothing more to be found.
ROWS_TO_LOOK = 4.0
ROWS_LOOKED_AT = 3000


def ended(values: Sequence[float]) -> bool:
    """Whether the latest few of a chain, by K, are all far behind the best."""
    late = values[-IN_A_ROW:]
    if len(values) <= IN_A_ROW:
        return False
    best = np.nanmax(values) if np.isfinite(values).any() else np.nan
    return bool(all(not value > best - FAR_BEHIND for value in late)) and bool(np.isfinite(best))


def looked_ahead(task: Task, parameters: dict[str, Any], most: int) -> Mixture | None:
    """What a fit that begins with ``most`` components keeps; None where it fails."""
    fitter = _some(task.fitter)
    model = fitter.sparse(parameters, most)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = fitter.fit(model)
        except BayesmixError:
            return None
    if result.status == "interrupted":
        raise KeyboardInterrupt
    return result.mixture


def _some(fitter: Fitter) -> Fitter:
    """With rows enough to tell how many components there are, evenly spaced."""
    n_rows = fitter.source.shape[0]
    every = -(-n_rows // ROWS_LOOKED_AT)
    return fitter if every == 1 else fitter.on(np.arange(0, n_rows, every))


def worth_a_look(row: Candidate, tried: int) -> bool:
    """Whether rows are many enough for more components than were tried to be found."""
    result = row.result
    if result is None:
        return False
    return result.total_weight > ROWS_TO_LOOK * (result.n_features + 1) * tried


def finished(sweep: Sweep, most: int, run: Callable[[Sweep], None]) -> bool:
    """Look ahead, and go on where that says so.

    False where Ctrl-C came: what was found so far stays.
    """
    try:
        if grown(sweep, most):
            run(sweep)
    except KeyboardInterrupt:
        return False
    return True


def grown(sweep: Sweep, most: int) -> bool:
    """Whether a pruned fit found more than some chain tried: how far all go is then noted.

    Candidates of as many components as it found are fitted once more, from there.
    """
    chains = [sweep.done(number, WHOLE) for number in range(len(sweep.chains))]
    longest = max(map(len, sweep.chains))  # others end where they have too few observations
    valued = [row for rows in chains for row in rows if row.value(sweep.task.watched) > -np.inf]
    if not valued:
        return False
    best = max(valued, key=lambda row: row.value(sweep.task.watched))
    tried = min(
        len(rows) for rows, chain in zip(chains, sweep.chains, strict=True) if len(chain) == longest
    )
    if tried >= most or not worth_a_look(best, tried):
        return False
    sweep.seen = looked_ahead(sweep.task, best.parameters, most)
    if sweep.seen is None:
        return False
    found = sweep.seen.n_components
    for rows in chains:
        for place, row in enumerate(rows):
            if row.asked == found and row.sound is not None:
                rows[place] = sweep.task.again(row, sweep.seen, Effort.STARTS)
    sweep.at_least = min(most, found + BEYOND)
    return sweep.at_least > tried
