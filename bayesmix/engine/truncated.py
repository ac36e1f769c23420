"""Many components: every row knows only a few of them (Lücke & Eggert 2010; Forster & Lücke 2018).

A row's candidates are the neighbours of its *anchor*, the component that last had most of it. With
candidates fixed a pass is coordinate ascent on a lower bound of the objective: responsibilities
are zero elsewhere. From time to time anchors and neighbours are found anew, which begins a segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.engine.compiled import of_sweep, sweep
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.logsumexp import normalise
from bayesmix.protocols import Source
from bayesmix.records import Expectation, Known, Mixture, Rows

MANY = 100
WIDTHS = (8, 12, 16, 24, 32, 48, 64)  # numbers of candidates, of which the first that will do
# Passes between two looks for candidates: soon where more than a share of the anchors still moves.
SOON = 5
LATER = 20
SETTLED = 1e-3
# On so many rows the bound is compared with the exact one, and may be so far below (nats a row).
LOOK_AT = 2000
MOST_LOST = 5e-4
# Share of those whose anchor may be another than the best.
MOST_ASTRAY = 2e-3


@dataclass(frozen=True)
class Truncated:
    """A form of the E-step: anchors (N,) of the rows and neighbours (K, G) of components."""

    anchors: Any
    neighbours: Any
    moved: float = 1.0  # share of rows whose anchor changed when they were last looked for

    def is_due(self, passes: int) -> bool:
        """Whether candidates are to be looked for after so many passes."""
        return passes >= (SOON if self.moved > SETTLED else LATER)

    def of(self, rows: Rows, describe: bool = False) -> Known:
        """What the rows of a chunk know."""
        anchors = self.anchors[rows.first : rows.first + len(rows)]
        sizes = np.bincount(anchors, minlength=len(self.neighbours))
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        return Known(np.argsort(anchors, kind="stable"), bounds, self.neighbours, describe)


@dataclass(frozen=True)
class TruncatedStep:
    """What a pass does to a chunk."""

    mixture: Mixture
    form: Truncated

    def __call__(self, rows: Rows) -> Expectation:
        return of_sweep(*sweep(self.mixture, rows, self.form.of(rows)))


@dataclass(frozen=True)
class AnchorStep:
    """The candidate of every row that has most of it; of all components without a form."""

    mixture: Mixture
    form: Truncated | None

    def __call__(self, rows: Rows) -> Any:
        n_components = self.mixture.n_components
        if self.form is None:
            known = Known.everything(len(rows), n_components, describe=True)
        else:
            known = self.form.of(rows, describe=True)
        return sweep(self.mixture, rows, known)[0].best.astype(_index_type(n_components))


def first_truncation(source: Source, mixture: Mixture) -> Truncated:
    """Candidates for rows of which nothing is known yet."""
    joint = joint_of_some(source, mixture)
    return _wide_enough(joint, mixture, _every_anchor(source, mixture), 1.0)


def refreshed(source: Source, mixture: Mixture, form: Truncated) -> Truncated:
    """Anchors among the candidates, and neighbours, at the present mixture.

    Where some of the rows show that others have lost theirs, it is looked for everywhere.
    """
    anchors = source.map(AnchorStep(mixture, form), 1)
    moved = float(np.mean(anchors != form.anchors))
    joint = joint_of_some(source, mixture)
    if np.mean(joint.argmax(axis=1) != anchors[: len(joint)]) > MOST_ASTRAY:
        anchors = _every_anchor(source, mixture)
    return _wide_enough(joint, mixture, anchors, moved)


def _every_anchor(source: Source, mixture: Mixture) -> Any:
    """The most responsible component of every row: a pass over all rows and all components."""
    return source.map(AnchorStep(mixture, None), mixture.n_components)


def _wide_enough(joint: Array, mixture: Mixture, anchors: Any, moved: float) -> Truncated:
    """As few neighbours as leave the bound high enough."""
    nearest = neighbours(mixture, WIDTHS[-1])
    for width in WIDTHS:
        found = Truncated(anchors, np.sort(nearest[:, :width], axis=1), moved)
        if lost(joint, found) <= MOST_LOST:
            break
    return found


def neighbours(mixture: Mixture, width: int) -> Any:
    """Of each component those that are nearest to it by its family's measure (K, G), in order."""
    near = mixture.components.linear.near(mixture.finite_log_weights)
    np.fill_diagonal(near, np.inf)
    return np.argsort(-near, axis=1, kind="stable")[:, :width]


def joint_of_some(source: Any, mixture: Mixture) -> Array:
    """Log joints (n, K) of some of the rows and all components: what candidates are held to."""
    return mixture.log_joint(mixture.frame.apply(source.subset(slice(0, LOOK_AT)).values))


def lost(joint: Array, form: Truncated) -> float:
    """How far the truncated bound is below the exact one, in nats a row, on those rows."""
    known = form.neighbours[form.anchors[: len(joint)]]
    some = np.take_along_axis(joint, known, axis=1)
    return float(np.mean(normalise(joint.copy()) - normalise(some)))


def _index_type(n_components: int) -> Any:
    """The smallest that counts components: rows are sorted by it fastest."""
    return np.uint16 if n_components <= 2**16 else np.int32
