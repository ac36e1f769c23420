"""Fits of all candidates, to all data and to folds; can be stopped at any time.

Candidates form chains over K, per fold or on all data. Each fit starts from the previous ones in
its chain and from simpler structures with the same K on the same data. Nothing is shared between
folds, so fits may run in any process once those they start from are finished.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from bayesmix.core.parallel import in_turn
from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates import (
    Candidate,
    SimplerCandidates,
    asked,
    chains_by_level,
    simpler_candidates,
)
from bayesmix.selection.scores import Fold, Score, combined
from bayesmix.selection.tasks import ALL_DATA, Question, Task

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters


@dataclass
class Sweep:
    """All chains and their progress: ``rows`` are the fitted candidates by (chain, fold)."""

    task: Task
    chains: list[list[Parameters]]
    rows: dict[tuple[int, int], list[Candidate]] = field(default_factory=dict)

    compared_on = ""  # candidates are compared on all observations

    @property
    def folds(self) -> list[int]:
        """Indices of what candidates are fitted to: all data, and each fold."""
        return [ALL_DATA, *range(len(self.task.splits))]

    @property
    def total(self) -> int:
        return len(self.folds) * self.n_candidates

    @property
    def n_candidates(self) -> int:
        """Number of candidates."""
        return sum(map(len, self.chains))

    @property
    def n_found(self) -> int:
        """Number of candidates fitted so far."""
        return sum(len(self.done(chain, ALL_DATA)) for chain in range(len(self.chains)))

    def done(self, chain: int, fold: int) -> list[Candidate]:
        """Return the finished candidates of a chain, given by its index."""
        return self.rows.setdefault((chain, fold), [])

    def fit_all(self, workers: int) -> Iterator[Candidate]:
        """Yield all fits, K by K from simple to rich structures; may be stopped at any time."""
        began = time.process_time()
        for k in sorted({asked(parameters) for chain in self.chains for parameters in chain}):
            for level in self.levels:
                ready = [
                    (chain, fold)
                    for chain in level
                    for fold in self.folds
                    if self._next(chain, fold) == k
                ]
                questions = [(self._question(*pair),) for pair in ready]
                fits = in_turn(self.task.fit_or_load, questions, workers, began)
                for pair, row in zip(ready, fits, strict=True):
                    self._note(self.done(*pair), row)
                    yield row

    def with_folds(self, splits: tuple[Fold, ...]) -> Sweep:
        """Return the sweep over the same candidates, of which folds are left to fit."""
        chains = [chain[: len(self.done(i, ALL_DATA))] for i, chain in enumerate(self.chains)]
        return Sweep(replace(self.task, splits=splits), chains, self.rows)

    @cached_property
    def simpler(self) -> SimplerCandidates:
        """Map (chain, place) of each candidate to simpler candidates with the same K."""
        return simpler_candidates(self.chains)

    @cached_property
    def levels(self) -> list[list[int]]:
        """Chains, those after the chains of simpler structures that they contain."""
        return chains_by_level(self.simpler, len(self.chains))

    def _next(self, chain: int, fold: int) -> int | None:
        """Return the next K of a chain, None after its end."""
        candidates, place = self.chains[chain], len(self.done(chain, fold))
        if place == len(candidates) or self.task.given_up(self.done(chain, fold)):
            return None
        return asked(candidates[place])

    def _question(self, chain: int, fold: int) -> Question:
        """Return the next fit of a chain."""
        place = len(rows := self.done(chain, fold))
        parameters, number = self.chains[chain][place], self.number(chain, place)
        simpler_fits = [
            self.done(other, fold)[position : position + 1]
            for other, position in self.simpler[chain, place]
        ]
        simpler = [row for fits in simpler_fits for row in fits if row.begin is not None]
        # Simpler fits that are not the best one have also led to better optima (wine, VVE).
        best = sorted(simpler, key=lambda row: row.reached)[-max(1, len(simpler) // 2) :]
        warm_starts = [row.begin for row in [*rows[-1:], *best] if row.begin is not None]
        return Question(parameters, number, fold, tuple(warm_starts))

    def number(self, chain: int, place: int) -> int:
        """Return the index of a candidate."""
        return sum(map(len, self.chains[:chain])) + place

    def _note(self, rows: list[Candidate], row: Candidate) -> None:
        """Record a finished fit; an interrupted one is kept only on all data, and ends the sweep.

        The held-out density of an interrupted fit would be meaningless.
        """
        self.task.repeat_warnings(row)
        if not row.interrupted or row.estimator is not None:
            rows.append(row)
        if row.interrupted:
            raise KeyboardInterrupt

    def candidates(self, weights: Array) -> list[Candidate]:
        """Return all fitted candidates with their held-out scores."""
        return [
            self._with_folds(row, chain, place, weights)
            for chain in range(len(self.chains))
            for place, row in enumerate(self.done(chain, ALL_DATA))
        ]

    def _with_folds(self, row: Candidate, chain: int, place: int, weights: Array) -> Candidate:
        if not self.task.splits or row.sound is None:
            return row
        held_out = []
        for fold, split in enumerate(self.task.splits):
            rows = self.done(chain, fold)
            fit = rows[place] if len(rows) > place else None
            if fit is None or fit.density is None:
                reason = "interrupted" if fit is None else fit.note
                scores = row.scores | {"cv": Score(math.nan)}
                note = "; ".join(filter(None, [row.note, f"fold {fold}: {reason}"]))
                return replace(row, scores=scores, note=note)
            held_out.append((split.test, fit.density))
        held = combined(held_out, weights)
        return replace(row, scores=row.scores | {"cv": held.score}, held=held)

    def fits_to_folds(self) -> list[tuple[int, int, Candidate]]:
        """Return (candidate, fold, fit) of all fits to folds."""
        return [
            (self.number(chain, place), fold, row)
            for (chain, fold), rows in sorted(self.rows.items())
            if fold != ALL_DATA
            for place, row in enumerate(rows)
        ]
