"""Family of factor analysers, for many columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np

from bayesmix.core import validation
from bayesmix.core.families import FamilyOf
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import NO_ROWS, Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.factor_analytic.factor_analysers import (
    FactorAnalysers,
    FactorModel,
    ProjectedMoments,
    projected_moments,
)
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR, variance_floor
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.numerics.arrays import Array, Integers

COLUMNS_NAMED = 5


def held_noise(summary: Summary, mixture: Mixture[FactorAnalysers], floor: Array) -> list[Event]:
    """Return events for components with noise at the floor in more columns than factors."""
    components = mixture.components
    least = components.model.of_noise(floor[None])
    low = (components.noise <= AT_THE_FLOOR * least) & ~summary.constant
    rows = mixture.weights.mean() * summary.total_weight
    run_out = np.flatnonzero(low.sum(axis=1) > components.model.n_factors).tolist()
    return [_named(k, np.flatnonzero(low[k]), rows[k]) for k in run_out]


def _named(k: int, columns: Integers, rows: float) -> Event:
    named = ", ".join(map(str, columns[:COLUMNS_NAMED]))
    more = ", ..." if len(columns) > COLUMNS_NAMED else ""
    return Event(
        "held",
        f"{{which}} (about {rows:.1f} observations) has zero noise variance in {len(columns)} "
        f"columns ({named}{more}), so the likelihood has no maximum. The noise variance was "
        "limited to the resolution of the data: use fewer components, fewer factors or "
        "FactorAnalytic(..., kind='UUC'), or drop redundant columns",
        components=(k,),
    )


# (Shared loadings, isotropic noise) by letters: loadings, noise across components, noise across
# columns; C means constrained.
KINDS = {"UUU": (False, False), "CUU": (True, False), "UUC": (False, True)}
# Number of directions beyond the factors at a start.
MORE_DIRECTIONS = 10


@dataclass(frozen=True)
class FactorAnalytic(FamilyOf[ProjectedMoments, FactorAnalysers]):
    """Factor-analytic covariances Λ Λᵀ + Ψ with diagonal noise, for ``covariance_type``.

    The cost is linear in the columns, which may outnumber observations (Ghahramani & Hinton
    1997; McNicholas & Murphy 2008). Fitted by maximum likelihood.

    Parameters
    ----------
    n_factors : int
        Number of factors, less than the number of columns.
    kind : {"UUU", "CUU", "UUC"}, default="UUU"
        "UUU": separate loadings and noise for each component; "CUU": shared loadings; "UUC": one
        noise variance for all columns of a component (probabilistic principal components).

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> loadings = rng.normal(size=(2, 40, 2))
    >>> X = np.vstack([rng.normal(size=(30, 2)) @ one.T + rng.normal(size=(30, 40)) + 4 * k
    ...                for k, one in enumerate(loadings)])
    >>> gm = bm.GaussianMixture(2, covariance_type=bm.FactorAnalytic(2), random_state=0).fit(X)
    >>> gm.loadings_.shape, gm.noise_variances_.shape
    ((2, 40, 2), (2, 40))
    """

    n_factors: int
    kind: str = "UUU"

    name = "factor_analytic"
    continuous = True
    far_densities = True
    rearranged = has_posterior = False

    @property
    def n_extended_directions(self) -> int:
        return self.n_factors

    def __post_init__(self) -> None:
        validation.integer("n_factors", self.n_factors, 1)
        validation.one_of("kind", self.kind, tuple(KINDS))

    def __repr__(self) -> str:
        kind = "" if self.kind == "UUU" else f", {self.kind!r}"
        return f"FactorAnalytic({self.n_factors}{kind})"

    @property
    def model(self) -> FactorModel:
        return FactorModel(self.n_factors, *KINDS[self.kind])

    def made(self, components: Any) -> bool:
        return bool(components.model == self.model)

    def frame(self, summary: Summary) -> Frame:
        """Return the frame by robust scales, a common one for isotropic noise."""
        if self.n_factors >= summary.n_features:
            raise InvalidInputError(
                f"FactorAnalytic({self.n_factors}) needs more columns than factors, got "
                f"{summary.n_features}: use fewer factors, or covariance_type='full'"
            )
        if summary.constant.all():
            raise InvalidInputError(
                f"X must have distinct rows, but all {summary.n_rows} are equal"
            )
        return Gaussian("spherical" if self.model.isotropic_noise else "diag").frame(summary)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Return the frame unchanged, and an event that names constant columns."""
        columns = np.flatnonzero(source.summary.constant)
        if not len(columns) or self.model.isotropic_noise:
            return frame, ()
        names = ", ".join(map(str, columns))
        what = f"column {names} is" if len(columns) == 1 else f"columns {names} are"
        text = (
            f"{what} constant and does not affect the clusters; drop constant columns to silence "
            "this"
        )
        return frame, (Event("flat", text),)

    def statistics(self, values: Array, responsibilities: Array) -> ProjectedMoments:
        """Return moments along arbitrary directions, where no mixture is known.

        They are a fixed test matrix (Halko, Martinsson & Tropp 2011).
        """
        n_features = values.shape[1]
        shape = (n_features, min(n_features, self.n_factors + MORE_DIRECTIONS))
        test = stream(0, Purpose.START, *shape).standard_normal(shape)
        directions = np.broadcast_to(test, (responsibilities.shape[1], *shape))
        return projected_moments(self.model, values, responsibilities, directions)

    def maximum_likelihood(
        self,
        statistics: ProjectedMoments,
        previous: FactorAnalysers | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> FactorAnalysers:
        """Return estimates from the moments; see ``FactorModel.updated``."""
        loadings, noise = statistics.estimate
        means = statistics.means
        empty = statistics.counts <= NO_ROWS
        if empty.any():
            # Weight zero: the mean only matters to later moves.
            same = previous is not None and previous.means.shape == means.shape
            before = previous.means if previous is not None and same else np.zeros_like(means)
            means = np.where(empty[:, None], before, means)
            loadings = np.where(empty[:, None, None], 0.0, loadings)
            noise = np.where(empty[:, None], 1.0, noise)
        if resolution is not None:
            noise = np.maximum(noise, self.model.of_noise(resolution))
        return FactorAnalysers(self.model, means, loadings, noise)

    def feasible(self, statistics: ProjectedMoments) -> bool:
        return bool(statistics.estimate[1].min() >= 0.0)

    def reference_prior(self, summary: Summary, frame: Frame) -> NoReturn:
        raise UnsupportedError(
            "factor analysers have no conjugate prior and no variational fit: use GaussianMixture "
            "without a prior (in a search, MixtureSearch(GaussianMixture())), or "
            "covariance_type='diag', which has a conjugate prior"
        )

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> NoReturn:
        raise UnsupportedError(
            "factor analysers do not support priors: use prior=None, or covariance_type='diag', "
            "the most similar structure that does"
        )

    def as_draws(self, points: Sequence[FactorAnalysers]) -> NoReturn:
        raise UnsupportedError(
            "factor analysers have no posterior draws, because factors can rotate between draws: "
            "use covariance_type='diag' or 'full'"
        )

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count free parameters (McNicholas & Murphy 2008, table 1)."""
        return n_components * n_features + self.model.n_parameters(n_components, n_features)

    def guard(
        self, source: Source, frame: Frame, summary: Summary, repair: bool
    ) -> FloorGuard[FactorAnalysers]:
        """Return the guard that reports noise at the floor."""
        floor = variance_floor(summary.scale / frame.scale, summary.gap / frame.scale)
        return FloorGuard(floor, partial(held_noise, summary))
