"""Views of a fit in a common subspace along its directions, and of columns of other fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from bayesmix.core.rows import Frame
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.plots import subject
from bayesmix.plots.subject import DrawnGroups, Sample, View
from bayesmix.posterior.bands import marginal

# Columns that the label of a direction names, and the letters of a name.
LOADINGS, MOST_LETTERS = 3, 12
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Directions:
    """A fit in a common subspace, with the names of its columns."""

    result: FitResult
    columns: Sequence[str]

    @property
    def frame(self) -> Frame:
        return self.result.mixture.frame

    def name(self, direction: int, between: str = " ") -> str:
        """Return the number of a direction and the columns with the largest loadings on it."""
        assert self.frame.basis is not None
        loadings = self.frame.basis[:, direction]
        largest = np.argsort(-np.abs(loadings), kind="stable")[:LOADINGS]
        signs = np.where(loadings[largest] < 0.0, MINUS, "+")
        columns = [sign + _short(self.columns[d]) for sign, d in zip(signs, largest, strict=True)]
        return f"direction {direction + 1}\n{between.join(columns)}"

    @property
    def moments(self) -> tuple[Array, Array]:
        """Means (K, q) and covariances (K, q, q) of the components along the directions."""
        inside: Any = self.result.plug_in.components
        point = inside.unframed(Frame.identity(self.frame.n_directions))
        return point.means, point.covariances

    def best(self, number: int) -> tuple[int, ...]:
        """Return one or two directions in which components overlap least."""
        q = self.frame.n_directions
        choices = combinations(range(q), min(number, q))
        weights = self.result.density.weights.mean()
        return subject.least_overlap(*self.moments, weights, choices)[0]

    def leading(self, most: int) -> list[int]:
        """Return at most this many directions in which components overlap least."""
        weights = self.result.density.weights.mean()
        choices = [(d,) for d in range(self.frame.n_directions)]
        ranked = subject.least_overlap(*self.moments, weights, choices)
        return sorted(d for (d,) in ranked[:most])

    def view(self, chosen: Integers, groups: DrawnGroups) -> View:
        """Return the view over one or two directions."""
        density, (means, covariances) = self.result.density, self.moments
        frame = Frame.identity(self.frame.n_directions)
        noise = density.noise
        return View(
            density=marginal(replace(density, noise=None, frame=frame), chosen),
            log_volume=0.0,
            means=means[:, chosen],
            covariances=covariances[:, chosen][:, :, chosen],
            names=tuple(self.name(direction) for direction in chosen),
            columns=chosen,
            continuous=True,
            n_features=self.frame.n_directions,
            groups=groups,
            noise=0.0 if noise is None else noise.weight,
            axis="directions",
        )

    def placed(self, sample: Sample | None, model: Any, X: Any) -> Sample | None:
        """Return the coordinates of a sample, expected ones where values are missing."""
        if sample is None:
            return None
        values = sample.values
        if np.isnan(values).any():
            values = np.asarray(model.impute(X), dtype=np.float64)
        return replace(sample, values=np.ascontiguousarray(self.frame.apply(values)))


def directions_of(estimator: Any, columns: Any, X: Any) -> Directions | None:
    """Return the directions of a fit in a common subspace, unless columns are asked for."""
    result: FitResult = estimator.result_
    if columns is not None or result.mixture.frame.rest is None:
        return None
    return Directions(result, subject.column_names(estimator, X))


def view_and_sample(
    model: Any, columns: Any, X: Any, sample_weight: Any
) -> tuple[View, Sample | None]:
    """Return one or two columns of a fit or search, or directions of a common subspace.

    ``X`` has the features that the fit reads.
    """
    estimator = subject.fitted(model, with_noise=True)
    directions = directions_of(estimator, columns, X)
    if directions is None:
        view = subject.view_of(model, columns, X)
        return view, subject.sample_of(estimator, view, X, sample_weight)
    groups = subject.groups_of(model)
    view = directions.view(np.array(directions.best(2)), groups)
    whole = subject.whole_sample(estimator, X, sample_weight, groups)
    sample = directions.placed(whole, estimator, X)
    return view, None if sample is None else sample.over(view.columns)


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
