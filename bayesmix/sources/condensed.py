"""Cells: small groups of observations that share their responsibilities.

A cell is one sample whose weight is that of its members and whose *features* are the mean of
theirs. A log joint that is linear in features then averages exactly over a cell, so that E-steps,
M-steps, priors and moves work on cells unchanged, at a cost that does not depend on the number of
observations. What they reach is a lower bound of the objective on all data, which every pass over
all data raises (Verbeek, Nunnink & Vlassis 2006; Kurihara, Welling & Vlassis 2007).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from bayesmix.core.mixture import FeatureSums
from bayesmix.core.rows import Rows
from bayesmix.numerics.gaps import patterns
from bayesmix.numerics.memo import cached
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.components import Additive, Densities, Linear
    from bayesmix.core.families import Family
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.rows import Frame, Summary
    from bayesmix.core.sources import Source
    from bayesmix.numerics.arrays import Array, Integers
    from bayesmix.numerics.cell_coordinates import Coordinates

# Features of members that are computed together (32 MB).
VALUES_AT_ONCE = 2**22
# Share of the observations with a pattern of missing values from which it is filled in by others,
# and fewest complete observations for that.
SHARED, FEWEST_DONORS = 0.03, 30


def is_condensed(source: Any) -> TypeGuard[CellSource]:
    """Whether the samples of a source are cells."""
    return isinstance(source, CellSource)


def members_of(source: Any) -> Any:
    """Return the observations behind cells; other sources as they are."""
    return source.members if is_condensed(source) else source


Key: TypeAlias = tuple[tuple[int, ...], str]


@dataclass(frozen=True)
class PartRead:
    """What a family reads of values (n, D): some columns, or coordinates of them, of a kind."""

    columns: tuple[int, ...]
    kind: str = ""
    coordinates: Coordinates | None = None

    @property
    def key(self) -> Key:
        """Columns and kind, which decide what is read of given data."""
        return self.columns, self.kind

    def __call__(self, values: Array) -> Array:
        own = values if self.columns == tuple(range(values.shape[1])) else values[:, self.columns]
        return own if self.coordinates is None else self.coordinates(own)


@dataclass(frozen=True)
class OfCells:
    """How the samples of a chunk of cells were seen: by the means of their features."""

    def log_joint(self, mixture: Mixture[Densities], rows: CellRows) -> Array:
        """Return the means of E[log π_k] + E[log p(x_n | θ_k)] (L, K) over the cells."""
        linear: Any = mixture
        features = rows.features(linear.linear, mixture.frame)
        joint: Array = (linear.coefficients @ features).T
        return joint

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return log densities in the frame minus those in data units (L,)."""
        return np.full(len(rows), mixture.frame.log_volume)


@dataclass(frozen=True)
class CellRows(Rows):
    """A chunk of cells: mean values (L, D), weights, and some of the cells of a source."""

    cells: CellSource = field(kw_only=True)
    chosen: Integers | None = None

    @property
    def observation(self) -> Any:
        return OfCells()

    def keeps_features(self, n_features: int) -> bool:
        return True

    def features(self, form: Any, frame: Frame) -> Array:
        """Return the mean features (F, L) of the cells."""
        features = self.cells.mean_features(form, frame)
        return features if self.chosen is None else features[:, self.chosen]

    def statistics(self, family: Any, frame: Frame, shares: Array) -> Additive:
        """Return the sums of the members under weighted responsibilities (L, K) of the cells."""
        form = self.cells.form(family, frame)
        return FeatureSums(form, shares.T @ self.features(form, frame).T)

    def some(self, chosen: Any) -> CellRows:
        places = np.arange(len(self))[chosen]
        return replace(
            self,
            values=self.values[places],
            weights=self.weights_or_ones[places],
            chosen=places if self.chosen is None else self.chosen[places],
        )

    def blocks(self, size: int) -> list[Rows]:
        return [self]

    def cut(self, size: int) -> list[Rows]:
        return [self]


@dataclass(frozen=True, repr=False)
class CellSource(ArraySource):
    """Cells of observations: ``values`` (L, D) are means, ``weights`` (L,) those of the members.

    The summary is that of the ``members``.
    """

    members: Source = field(kw_only=True)

    def __repr__(self) -> str:
        return f"CellSource of {self.shape[0]:,} cells of {self.members.shape[0]:,} samples"

    @property
    def looked_at(self) -> Array:
        """Values (n, D) of members in memory, all or a sample, without gaps."""
        raise NotImplementedError

    def read(self, reading: PartRead) -> CellSource:
        """Return the same cells of what is read of their members."""
        raise NotImplementedError

    def _mean_features(self, form: Linear, frame: Frame) -> Array:
        """Return the mean features (F, L) in a frame, in one pass over the members."""
        raise NotImplementedError

    @cached_property
    def summary(self) -> Summary:
        return self.members.summary

    @cached_property
    def rows(self) -> CellRows:
        return CellRows(self.values, self.weights, inside=self.inside, cells=self)

    def reduce(self, step: Any, width: int, mapped: bool = False) -> Any:
        return step(self.rows)

    def idle(self, width: int) -> int:
        return 0

    def form(self, family: Family, frame: Frame) -> Linear:
        """Return the linear form of a family, whose features and sums do not depend on parameters.

        It is that of one component of the means of all cells.
        """

        def of_one() -> Linear:
            weights = cast("Any", self.weights)[:, None]
            statistics = family.statistics(self.rows.framed(frame), weights)
            if family.has_posterior:
                prior: Any = family.reference_prior(self.summary, frame)
                return cast("Linear", prior.posterior(statistics).linear)
            components: Any = family.maximum_likelihood(statistics, None, None, frame)
            return cast("Linear", components.linear)

        forms: list[tuple[Family, Frame, Linear]] = cached(self, ("forms",), list)
        for known, like, form in forms:
            if known == family and like.equals(frame):
                return form
        forms.append((family, frame, of_one()))
        return forms[-1][2]

    def mean_features(self, form: Linear, frame: Frame) -> Array:
        """Return the mean features (F, L) in a frame, in one pass over the members."""
        for known, features in self._kept_features(form):
            if known.equals(frame):
                return features
        return self.keep_features(form, frame, self._mean_features(form, frame))

    def keep_features(self, form: Linear, frame: Frame, features: Array) -> Array:
        """Keep mean features (F, L) in a frame, and return them."""
        features.flags.writeable = False
        self._kept_features(form).append((frame, features))
        return features

    def _kept_features(self, form: Linear) -> list[tuple[Frame, Array]]:
        kept: list[tuple[Frame, Array]] = cached(self, ("features", form.kind), list)
        return kept


@dataclass(frozen=True, repr=False)
class LabelledCells(CellSource):
    """Cells of observations in memory, by the cell (n,) of each, ``labels``."""

    members: ArraySource = field(kw_only=True)
    labels: Integers = field(kw_only=True, repr=False)

    def along(self, frame: Frame) -> CellSource:
        """Return the cells of the coordinates along the basis of a frame."""

        def projected() -> CellSource:
            values = frame.apply(self.values)
            members = self.members.along(frame)
            bare: dict[str, Any] = {"columns": None, "coding": None, "inside": frame}
            return replace(self, values=values, members=members, **bare)

        assert frame.basis is not None
        key = (part.tobytes() for part in (frame.centre, frame.scale, frame.basis))
        return cached(self, ("coordinates", *key), projected)

    @cached_property
    def looked_at(self) -> Array:
        return filled(self.members.values)

    def read(self, reading: PartRead) -> CellSource:
        values = reading(self.looked_at)
        return condensed(ArraySource(values, self.members.weights), self.labels)

    def _mean_features(self, form: Linear, frame: Frame) -> Array:
        rows, n_cells = self.members.rows, len(self.values)
        total: Any = 0.0
        size = max(1, VALUES_AT_ONCE // form.coefficients.shape[1])
        for block in rows.cut(size):
            features = form.features(block.framed(frame))
            place = slice(block.first, block.first + len(block))
            entries = block.weights_or_ones, self.labels[place], np.arange(len(block) + 1)
            members = csr_array(entries, shape=(len(block), n_cells))
            total = total + members.T @ features.T
        return np.ascontiguousarray((total / cast("Any", self.weights)[:, None]).T)


def filled(values: Any) -> Array:
    """Return values with missing ones filled in: where many are, from the nearest complete row.

    Others are the median of the column, but many equal values would look like a cluster.
    """
    values = np.asarray(values, dtype=np.float64)
    missing = np.isnan(values)
    if not missing.any():
        return values
    out = np.where(missing, np.nanmedian(values, axis=0), values)
    donors = values[~missing.any(axis=1)]
    if len(donors) < FEWEST_DONORS:
        return out
    spread, generator = donors.std(axis=0), np.random.default_rng(0)
    for columns, rows in patterns(values):
        if len(rows) < SHARED * len(values) or len(columns) == values.shape[1]:
            continue
        near = columns[spread[columns] > 0.0]
        chosen: Any = generator.integers(len(donors), size=len(rows))
        if len(near):
            tree = KDTree(donors[:, near] / spread[near])
            chosen = tree.query(values[np.ix_(rows, near)] / spread[near])[1]
        out[rows] = np.where(missing[rows], donors[chosen], values[rows])
    return out


def condensed(source: ArraySource, labels: Integers) -> LabelledCells:
    """Return the cells of a source, given by the cell of each observation.

    Cells without members, or without weight, are dropped.
    """
    given = source.rows.weights_or_ones
    used = np.bincount(labels, given) > 0.0
    labels = np.where(used[labels], (np.cumsum(used) - 1)[labels], 0)
    weights: Array = np.bincount(labels, given, int(used.sum())).astype(np.float64)
    values = np.asarray(source.values)
    totals = [np.bincount(labels, given * column, len(weights)) for column in values.T]
    return LabelledCells(
        np.stack(totals, axis=1) / weights[:, None],
        weights,
        source.n_jobs,
        source.columns,
        coding=source.coding,
        inside=source.inside,
        members=source,
        labels=labels,
    )
