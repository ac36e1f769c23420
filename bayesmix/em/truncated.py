"""Truncated E-step for many components: each observation has a few candidate components.

Sources: Lücke & Eggert 2010; Forster & Lücke 2018. Candidates are the neighbours of the
observation's anchor, the component with the largest responsibility when anchors were last updated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import Any, cast

import numpy as np

from bayesmix.core.components import Additive, Components, Statistics, Truncating
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Rows
from bayesmix.core.sources import Kept, Source
from bayesmix.em.expectation import Form, LocalRows, Step, block_rows, block_sums
from bayesmix.numerics.arrays import Array, Indices, Integers
from bayesmix.numerics.logsumexp import normalise

# Numbers of candidates to choose from. Early in a run the smallest are excluded, as components move
# by way of observations that they do not hold yet.
WIDTHS = (8, 12, 16, 24, 32, 48, 64)
WIDTHS_AT_FIRST = (32, 48, 64)
FURTHER = 4  # times as many candidates are searched for anchors, so that fewer are missed
# Passes between updates of the candidates: few while a larger fraction of anchors changes.
SOON = 5
LATER = 20
SETTLED = 1e-3
# Size of the subsample on which the bounds are compared, and the largest loss in nats per
# observation.
LOOK_AT = 2000
MOST_LOST = 2.5e-4
# Most observations whose features are computed together.
ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class Truncated(Form):
    """Truncated form: anchors of the observations and neighbours (K, G), None at first.

    Features are measured from the mean of the anchor, so that the linear form loses no accuracy.
    """

    dense: Form  # form that evaluates all components
    anchors: Kept | None = None
    neighbours: Indices | None = None
    moved: float = 1.0  # fraction of anchors that changed at the last update
    looks: int = 0  # number of updates

    name = "truncated"
    exact = False

    @property
    def regrouped(self) -> Truncated:
        return Truncated(self.dense)

    @property
    def settled(self) -> bool:
        """Whether few anchors still change."""
        return self.moved <= SETTLED

    @property
    def earlier(self) -> Kept | None:
        return self.anchors

    def step(self, mixture: Mixture[Components]) -> Step:
        return TruncatedStep(of_forms(mixture), self.anchors_and_neighbours[1])

    def width(self, n_components: int) -> int:
        """Return 1: few candidates are cheap, and observations are grouped within a chunk."""
        return 1

    def renewed(self, source: Source, mixture: Mixture[Components], passes: int) -> Truncated:
        """Update anchors and candidates if they are due."""
        if self.neighbours is None or len(self.neighbours) != mixture.n_components:
            return first_truncation(source, mixture, self.dense)
        if passes >= (LATER if self.settled else SOON):
            return refreshed(source, mixture, self)
        return self

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        return self.dense.of_parts(mixture, parts)

    @property
    def anchors_and_neighbours(self) -> tuple[Kept, Indices]:
        """Return anchors and neighbours after the first update."""
        assert self.anchors is not None
        assert self.neighbours is not None
        return self.anchors, self.neighbours


@dataclass(frozen=True)
class Grouped:
    """Observations sorted by anchor, with the log joints of their candidates."""

    order: Indices  # (n,) positions in the chunk
    rows: Rows
    bounds: Indices  # (P + 1,) limits of the groups
    candidates: Integers  # (P, G)
    places: Array  # (P, D) origins of the features
    features: Array  # (F, n)
    joint: Array  # (G, n)

    @property
    def groups(self) -> Iterator[slice]:
        return (slice(a, b) for a, b in pairwise(self.bounds.tolist()))


def grouped(mixture: Mixture[Components], rows: Rows, nearest: Indices) -> Iterator[Grouped]:
    """Yield a chunk in parts of a few groups, in the order of the anchors."""
    anchors = rows.earlier
    assert anchors is not None
    form = cast("Truncating", mixture.linear)
    order = np.argsort(anchors, kind="stable")
    ends = np.cumsum(np.bincount(anchors, minlength=len(nearest)))
    start = 0
    while start < len(rows):
        stop = min(start + ROWS_AT_ONCE, len(rows))
        indices = order[start:stop]
        first, last = anchors[indices[0]], anchors[indices[-1]]
        group_anchors = np.arange(first, last + 1)
        inside = np.clip(ends[first : last + 1], start, stop)
        bounds = np.concatenate([[start], inside]) - start
        present = np.diff(bounds) > 0
        group_anchors, bounds = group_anchors[present], np.concatenate([[0], bounds[1:][present]])
        candidates = nearest[group_anchors].astype(np.int64, copy=False)
        local, places = form.local(group_anchors, candidates)
        part = rows.some(indices)
        values = part.framed(mixture.frame)
        values -= places.repeat(np.diff(bounds), axis=0)
        features = local.features(values)
        coefficients = local.coefficients.reshape(*candidates.shape, -1).copy()
        coefficients[:, :, 0] += mixture.finite_log_weights[candidates]
        joint = np.empty((candidates.shape[1], len(indices)))
        of_rows = Grouped(indices, part, bounds, candidates, places, features, joint)
        for group, own_rows in zip(coefficients, of_rows.groups, strict=True):
            joint[:, own_rows] = group @ features[:, own_rows]
        yield of_rows
        start = stop


@dataclass(frozen=True)
class TruncatedStep:
    """Truncated E-step of a chunk."""

    mixture: Mixture[Components]
    nearest: Indices

    def __call__(self, rows: Rows) -> ChunkSums:
        form = cast("Truncating", self.mixture.linear)
        parts = grouped(self.mixture, rows, self.nearest)
        sums = (
            block_sums(self.mixture, part.joint.T, part.rows, partial(_gathered, form, part))
            for part in parts
        )
        return reduce(add, sums)


def _gathered(form: Truncating, grouped_rows: Grouped, shares: Array) -> Additive:
    """Return statistics of all components from responsibilities (n, G) of the candidates."""
    features = grouped_rows.features
    sums = np.stack([shares[group].T @ features[:, group].T for group in grouped_rows.groups])
    flat = sums.reshape(-1, len(features))
    return form.gathered(flat, grouped_rows.candidates.ravel(), grouped_rows.places)


def _anchors(mixture: Mixture[Components], nearest: Indices | None, rows: Rows) -> Any:
    """Return the candidates with the largest responsibility; of all components without any."""
    n_components = mixture.n_components
    # The smallest integer type sorts fastest.
    dtype = np.uint16 if n_components <= 2**16 else np.int32
    if nearest is None:
        blocks = rows.blocks(block_rows(rows.values.shape[1], n_components))
        joints = map(mixture.log_joint, blocks)
        return np.concatenate([joint.argmax(axis=1).astype(dtype) for joint in joints])
    best = np.empty(len(rows), dtype)
    for grouped_rows in grouped(mixture, rows, nearest):
        places = grouped_rows.joint.argmax(axis=0)
        groups = np.repeat(np.arange(len(grouped_rows.candidates)), np.diff(grouped_rows.bounds))
        best[grouped_rows.order] = grouped_rows.candidates[groups, places]
    return best


def first_truncation(source: Source, mixture: Mixture[Components], dense: Form) -> Truncated:
    """Return the first anchors and candidates."""
    anchors = _every_anchor(source, mixture)
    nearest = neighbours(mixture, WIDTHS[-1])
    sampled = anchors.some(_some_rows(source.shape[0], 0))
    joint = joint_of_some(source, mixture, 0)
    return _wide_enough(joint, sampled, Truncated(dense, anchors, nearest))


def refreshed(source: Source, mixture: Mixture[Components], form: Truncated) -> Truncated:
    """Update anchors, from a few times as many candidates, and neighbours.

    If a changing subsample shows that anchors are missed, all components are searched.
    """
    nearest = neighbours(mixture, WIDTHS[-1])
    before, width = form.anchors_and_neighbours[0], form.anchors_and_neighbours[1].shape[1]
    step = partial(_anchors, of_forms(mixture), nearest[:, : FURTHER * width])
    anchors = source.keep(step, 1, before)
    moved = anchors.differing(before) / source.shape[0]
    widest = replace(form, anchors=anchors, neighbours=nearest, moved=moved, looks=form.looks + 1)
    joint = joint_of_some(source, mixture, widest.looks)
    sampled = anchors.some(_some_rows(source.shape[0], widest.looks))
    if lost(joint, nearest[sampled]) > MOST_LOST:
        anchors = _every_anchor(source, mixture)
        widest = replace(widest, anchors=anchors)
        sampled = anchors.some(_some_rows(source.shape[0], widest.looks))
    return _wide_enough(joint, sampled, widest)


def _every_anchor(source: Source, mixture: Mixture[Components]) -> Kept:
    """Return the most responsible of all components for each observation."""
    return source.keep(partial(_anchors, of_forms(mixture), None), mixture.n_components)


def _wide_enough(joint: Array, anchors: Indices, widest: Truncated) -> Truncated:
    """Return the smallest number of candidates whose bound is close enough."""
    form, nearest = widest, widest.anchors_and_neighbours[1]
    for width in WIDTHS if widest.settled else WIDTHS_AT_FIRST:
        few = np.sort(nearest[:, :width], axis=1)
        form = replace(widest, neighbours=few)
        if lost(joint, few[anchors]) <= MOST_LOST:
            break
    return form


def neighbours(mixture: Mixture[Components], width: int) -> Any:
    """Return the nearest components to each component (K, G), in order."""
    near = mixture.linear.near(mixture.finite_log_weights)
    np.fill_diagonal(near, np.inf)
    return np.argsort(-near, axis=1, kind="stable")[:, :width]


def joint_of_some(source: Source, mixture: Mixture[Components], look: int) -> Array:
    """Return log joints (n, K) of a subsample and all components."""
    rows = _some_rows(source.shape[0], look)
    return mixture.log_joint(source.in_memory(rows).rows)


def lost(joint: Array, candidates: Indices) -> float:
    """Return the loss of the truncated bound in nats per observation.

    ``candidates`` (n, G) are those of the observations of ``joint``.
    """
    truncated = np.take_along_axis(joint, candidates, axis=1)
    return float(np.mean(normalise(joint.copy()) - normalise(truncated)))


def _some_rows(n_rows: int, look: int) -> slice:
    """Return a different subsample for each look, cycling through the data."""
    first = look % max(1, n_rows // LOOK_AT) * LOOK_AT
    return slice(first, first + LOOK_AT)


def of_forms(mixture: Mixture[Components]) -> Mixture[Components]:
    """Return the mixture with only the linear forms of its components, for a step."""
    return Mixture(mixture.weights, mixture.linear, mixture.frame, mixture.noise)
