"""Many components: every row knows only a few of them (Lücke & Eggert 2010; Forster & Lücke 2018).

A row's candidates are the neighbours of its *anchor*, the component that last had most of it. With
candidates fixed a pass is coordinate ascent on a lower bound of the objective: responsibilities
are zero elsewhere. From time to time anchors and neighbours are found anew, which begins a segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.engine.compiled_steps import Kernel, kernel_view, linear_pass, of_sweep
from bayesmix.engine.expectation import Densities, LocalRows, Step
from bayesmix.engine.forms import Untruncated
from bayesmix.numerics.arrays import Array, Indices
from bayesmix.numerics.logsumexp import normalise
from bayesmix.protocols import Components, Kept, Source, Statistics
from bayesmix.records import ChunkSums, Expectation, Known, Mixture, Rows

MANY = 100
# Numbers of candidates, of which the first that will do; while rows still move, never very few:
# components find their places by way of rows that they do not have yet.
WIDTHS = (8, 12, 16, 24, 32, 48, 64)
WIDTHS_AT_FIRST = (32, 48, 64)
FURTHER = 4  # times as many candidates are looked at for anchors: fewer rows go astray
# Passes between two looks for candidates: soon where more than a share of the anchors still moves.
SOON = 5
LATER = 20
SETTLED = 1e-3
# On so many rows the bound is compared with the exact one, and may be so far below (nats a row).
LOOK_AT = 2000
MOST_LOST = 2.5e-4


@dataclass(frozen=True)
class Truncated:
    """A form of the E-step: anchors of the rows, kept beside them, and neighbours (K, G).

    Without them (None) nothing is known of the rows yet.
    """

    dense: Untruncated  # what it does where every row knows every component
    anchors: Kept | None = None
    neighbours: Indices | None = None
    moved: float = 1.0  # share of rows whose anchor changed when they were last looked for
    looks: int = 0  # how often they were looked for since the first time

    name = "truncated"
    exact = False

    @property
    def watched(self) -> bool:
        return self.dense.watched

    @property
    def surer(self) -> Truncated:
        return replace(self, dense=self.dense.surer)

    @property
    def regrouped(self) -> Truncated:
        """Nothing is known of the rows; and in the surer form."""
        return Truncated(self.dense.surer)

    @property
    def kernel(self) -> Kernel:
        return self.dense.kernel or linear_pass

    @property
    def finest(self) -> Kernel:
        """The kernel that keeps most digits."""
        return self.dense.surer.kernel or linear_pass

    @property
    def settled(self) -> bool:
        """Whether rows hardly change their anchors any more."""
        return self.moved <= SETTLED

    @property
    def earlier(self) -> Kept | None:
        """The anchors: what a pass asks of the one that found them."""
        return self.anchors

    def step(self, mixture: Mixture[Components]) -> Step:
        return TruncatedStep(kernel_view(mixture), self.kernel, self.found[1])

    def width(self, n_components: int) -> int:
        """A row that knows few components is little work; rows are grouped within a chunk."""
        return 1

    def keeps_digits(self, mixture: Mixture[Components], expectation: Expectation) -> bool:
        return self.dense.keeps_digits(mixture, expectation)

    def renewed(self, source: Source, mixture: Mixture[Components], passes: int) -> Truncated:
        """Which candidates rows know is looked for now and then."""
        if self.neighbours is None or len(self.neighbours) != mixture.n_components:
            return first_truncation(source, mixture, self.dense)
        if passes >= (LATER if self.settled else SOON):
            return refreshed(source, mixture, self)
        return self

    def joints(self, mixture: Mixture[Components], rows: Rows) -> Densities:
        return self.dense.joints(mixture, rows)

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        return self.dense.of_parts(mixture, parts)

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        return rows

    @property
    def found(self) -> tuple[Kept, Indices]:
        """Anchors and neighbours, once they have been looked for."""
        assert self.anchors is not None
        assert self.neighbours is not None
        return self.anchors, self.neighbours


def known(rows: Rows, nearest: Indices, describe: bool = False) -> Known:
    """What the rows of a chunk know: the neighbours (K, G) of their anchors."""
    anchors = rows.earlier
    assert anchors is not None
    sizes = np.bincount(anchors, minlength=len(nearest))
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    return Known(np.argsort(anchors, kind="stable"), bounds, nearest, describe)


@dataclass(frozen=True)
class TruncatedStep:
    """What a pass does to a chunk."""

    mixture: Mixture[Components]
    kernel: Kernel
    nearest: Indices

    def __call__(self, rows: Rows) -> ChunkSums:
        return of_sweep(*self.kernel(self.mixture, rows, known(rows, self.nearest)))


@dataclass(frozen=True)
class AnchorStep:
    """The candidate of every row that has most of it; without neighbours, of all components."""

    mixture: Mixture[Components]
    kernel: Kernel
    nearest: Indices | None = None

    def __call__(self, rows: Rows) -> Any:
        n_components = self.mixture.n_components
        if self.nearest is None:
            candidates = Known.everything(len(rows), n_components, describe=True)
        else:
            candidates = known(rows, self.nearest, describe=True)
        sweep, _ = self.kernel(self.mixture, rows, candidates)
        return sweep.best.astype(_index_type(n_components))


def first_truncation(source: Source, mixture: Mixture[Components], dense: Untruncated) -> Truncated:
    """Candidates for rows of which nothing is known yet."""
    anchors = _every_anchor(source, mixture, dense)
    nearest = neighbours(mixture, WIDTHS[-1])
    some = anchors.some(_some_rows(source.shape[0], 0))
    joint = joint_of_some(source, mixture, 0)
    return _wide_enough(joint, some, Truncated(dense, anchors, nearest))


def refreshed(source: Source, mixture: Mixture[Components], form: Truncated) -> Truncated:
    """Anchors among a few times as many candidates, and neighbours, at the present mixture.

    Where some of the rows, others every time, show that anchors are lost, they are looked for
    everywhere.
    """
    nearest = neighbours(mixture, WIDTHS[-1])
    before, width = form.found[0], form.found[1].shape[1]
    step = AnchorStep(kernel_view(mixture), form.finest, nearest[:, : FURTHER * width])
    anchors = source.keep(step, 1, before)
    moved = anchors.differing(before) / source.shape[0]
    widest = replace(form, anchors=anchors, neighbours=nearest, moved=moved, looks=form.looks + 1)
    joint = joint_of_some(source, mixture, widest.looks)
    some = anchors.some(_some_rows(source.shape[0], widest.looks))
    if lost(joint, nearest[some]) > MOST_LOST:
        anchors = _every_anchor(source, mixture, form.dense)
        widest = replace(widest, anchors=anchors)
        some = anchors.some(_some_rows(source.shape[0], widest.looks))
    return _wide_enough(joint, some, widest)


def _every_anchor(source: Source, mixture: Mixture[Components], dense: Untruncated) -> Kept:
    """The most responsible component of every row: a pass over all rows and all components."""
    return source.keep(
        AnchorStep(kernel_view(mixture), Truncated(dense).finest), mixture.n_components
    )


def _wide_enough(joint: Array, anchors: Indices, widest: Truncated) -> Truncated:
    """As few of the neighbours as leave the bound high enough; never very few while rows move."""
    found, nearest = widest, widest.found[1]
    for width in WIDTHS if widest.settled else WIDTHS_AT_FIRST:
        few = np.sort(nearest[:, :width], axis=1)
        found = replace(widest, neighbours=few)
        if lost(joint, few[anchors]) <= MOST_LOST:
            break
    return found


def neighbours(mixture: Mixture[Components], width: int) -> Any:
    """Of each component those that are nearest to it by its family's measure (K, G), in order."""
    near = mixture.linear.near(mixture.finite_log_weights)
    np.fill_diagonal(near, np.inf)
    return np.argsort(-near, axis=1, kind="stable")[:, :width]


def joint_of_some(source: Source, mixture: Mixture[Components], look: int) -> Array:
    """Log joints (n, K) of some of the rows and all components: what candidates are held to."""
    rows = _some_rows(source.shape[0], look)
    return mixture.log_joint(mixture.frame.apply(source.in_memory(rows).values))


def lost(joint: Array, candidates: Indices) -> float:
    """How far the truncated bound is below the exact one, in nats a row, on those rows.

    They know ``candidates`` (n, G).
    """
    some = np.take_along_axis(joint, candidates, axis=1)
    return float(np.mean(normalise(joint.copy()) - normalise(some)))


def _some_rows(n_rows: int, look: int) -> slice:
    """Other rows at every look, until all have had their turn."""
    first = look % max(1, n_rows // LOOK_AT) * LOOK_AT
    return slice(first, first + LOOK_AT)


def _index_type(n_components: int) -> Any:
    """The smallest that counts components: rows are sorted by it fastest."""
    return np.uint16 if n_components <= 2**16 else np.int32
