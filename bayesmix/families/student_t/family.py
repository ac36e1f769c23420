"""The Student-t family: normals with precision scaled by u ~ Gamma(ν/2, ν/2) per observation.

EM treats u as hidden (Peel & McLachlan 2000), with scales over Σ r E[u] for speed (Kent, Tyler &
Vardi 1994).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.core.components import Components
from bayesmix.core.families import Family, FamilyOf
from bayesmix.core.parameters import Parameter
from bayesmix.core.rows import NO_ROWS, Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.core.validation import one_of
from bayesmix.errors import InvalidInputError
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.gaussian.collapse import NEAR_THE_FLOOR, without_flat_directions
from bayesmix.families.gaussian.covariance.models import SCIKIT_LEARNS, STRUCTURES, Structure
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.gaussian.moments import moments
from bayesmix.families.student_t.components import (
    FIRST,
    GRID,
    FreedomPrior,
    StudentComponents,
    WeightedMoments,
    at_least,
    floor_of_scales,
    floors,
    held_scales,
    point_freedom,
    tails_of,
)
from bayesmix.families.student_t.posterior import NormalWishartFreedom, StudentDraws
from bayesmix.numerics.arrays import Array, Booleans

if TYPE_CHECKING:
    from bayesmix.families.gaussian.prior import NormalWishart
    from bayesmix.families.student_t.posterior import NormalWishartFreedom, StudentDraws


@dataclass(frozen=True)
class StudentT(FamilyOf[WeightedMoments, StudentComponents]):
    """Student-t components with scale matrices "full", "tied", "diag" or "spherical".

    ``degrees_of_freedom``: a number; "shared", learned for all; None or "free", learned
    for each component, from 0.5 to 500. Under a prior they are on a grid (``StudentPrior``), and
    the variational bound is not exact even for K = 1.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.standard_t(3, (300, 2)), 12 + rng.standard_t(3, (300, 2))])
    >>> m = bm.Mixture(2, family=bm.StudentT(degrees_of_freedom=3.0), random_state=0).fit(X)
    >>> m.weights_.round(2)
    array([0.5, 0.5])
    """

    covariance: str = "full"
    degrees_of_freedom: float | str | None = None
    name = "student_t"
    adjective = "Student-t"
    continuous = True
    heavy_tails = True
    far_densities = True
    rearranged = False

    def __post_init__(self) -> None:
        one_of("covariance", self.covariance, SCIKIT_LEARNS)
        nu = self.degrees_of_freedom
        number = isinstance(nu, (int, float)) and not isinstance(nu, bool)
        if nu not in (None, "free", "shared") and not (number and 0.0 < float(nu) < np.inf):
            raise InvalidInputError(
                "degrees_of_freedom must be a positive number, 'shared', 'free' or None, got "
                f"{nu!r:.60}"
            )

    @property
    def structure(self) -> Structure:
        return STRUCTURES[self.covariance]

    def with_covariance(self, covariance: str | Family) -> StudentT:
        return replace(self, covariance=cast("str", covariance))

    def structures(self, n_columns: int) -> Iterator[tuple[str, int]]:
        yield self.covariance, n_columns

    @property
    def _normal(self) -> Gaussian:
        return Gaussian(self.covariance)

    def made(self, components: Components) -> bool:
        return (
            isinstance(components, StudentComponents)
            and components.structure.name == self.covariance
        )

    def frame(self, summary: Summary) -> Frame:
        """Return medians and robust scales, rounded to powers of two."""
        return self._normal.frame(summary)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        return without_flat_directions(self.structure, frame, source)

    def statistics(self, values: Array, responsibilities: Array) -> WeightedMoments:
        """Return moments with full weights, where no components are known."""
        plain = moments(self.structure, values, responsibilities)
        return WeightedMoments(plain.counts, plain, tails_of(FIRST) * plain.counts)

    def maximum_likelihood(
        self,
        statistics: WeightedMoments,
        previous: StudentComponents | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> StudentComponents:
        """Update means, scales and degrees of freedom without lowering the likelihood."""
        weighted, structure = statistics.weighted, self.structure
        n_features = weighted.means.shape[1]
        means, before = weighted.means, None if previous is None else previous.blocks
        if previous is not None and len(previous.means) == len(means):
            means = np.where((weighted.counts > NO_ROWS)[:, None], means, previous.means)

        def scales(counts: Array) -> Array:
            counts = structure.blocks.counts(np.maximum(counts, NO_ROWS), n_features)
            return structure.estimate(weighted.scatter, counts, before)

        # Shared scales use counts, as Σ r E[u] differs between components.
        blocks = scales(statistics.counts if structure.shared else weighted.counts)
        if resolution is not None:
            floor = floors(structure, resolution[0], means)
            free, blocks = blocks, at_least(blocks, floor)
            low = (blocks != free).any(axis=tuple(range(1, free.ndim)))
            if low.any() and not structure.shared:
                # A scale over Σ r E[u] is optimal only if no floor binds.
                of_rows = at_least(scales(statistics.counts), floor)
                blocks = np.where(low.reshape(-1, *[1] * (free.ndim - 1)), of_rows, blocks)
        components = StudentComponents(
            structure,
            means,
            blocks,
            point_freedom(self.degrees_of_freedom, statistics.counts, statistics.tails),
        )
        # Raise the error for outliers beyond double precision here.
        _ = components.precision_root
        return components

    def feasible(self, statistics: WeightedMoments) -> bool:
        """Whether counts and variances of columns are not negative.

        Matrices are checked when factorised, including what a prior adds; otherwise a component on
        a single observation would end extrapolation.
        """
        weighted = statistics.weighted
        counts = (weighted.counts, weighted.counts_of_means, statistics.counts)
        if min(float(part.min()) for part in counts) < 0.0:
            return False
        return weighted.scatter.ndim == 3 or self._normal.feasible(weighted)

    def reference_prior(self, summary: Summary, frame: Frame) -> NormalWishartFreedom:
        return self._with_freedom(self._normal.reference_prior(summary, frame))

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> NormalWishartFreedom:
        """Return the Gaussian MAP prior, and degrees of freedom on a grid."""
        return self._with_freedom(self._normal.map_prior(source, frame, n_components))

    def _with_freedom(self, normals: NormalWishart) -> NormalWishartFreedom:
        nu = self.degrees_of_freedom
        values = GRID if nu is None or isinstance(nu, str) else (float(nu),)
        return NormalWishartFreedom(normals, FreedomPrior(np.array(values), nu))

    def as_draws(self, points: Sequence[StudentComponents]) -> StudentDraws:
        freedom = np.array([point.degrees_of_freedom for point in points])
        return StudentDraws(self._normal.as_draws([point.normals for point in points]), freedom)

    def parameters(self, components: StudentComponents) -> tuple[Parameter, ...]:
        """Return the parameters that a fit estimates: degrees of freedom unless they are given."""
        *normal, freedom = components.parameters
        nu = self.degrees_of_freedom
        if nu is not None and not isinstance(nu, str):
            return tuple(normal)
        return (*normal, replace(freedom, shared=nu == "shared"))

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count free parameters of means, scales and degrees of freedom."""
        learned = {"shared": 1, "free": n_components, None: n_components}
        nu = self.degrees_of_freedom
        freedom = learned[nu] if nu is None or isinstance(nu, str) else 0
        return freedom + self._normal.n_parameters(n_components, n_features)

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        return self._normal.max_components(n_distinct, n_features)

    def at_floor(self, components: StudentComponents, resolution: Any) -> Booleans:
        scales = components.structure.algebra.dense(components.blocks, *components.means.shape)
        near = np.diagonal(scales, axis1=1, axis2=2) < NEAR_THE_FLOOR * resolution
        return np.asarray(near.all(axis=1))

    def guard(
        self, source: Source, frame: Frame, summary: Summary, repair: bool
    ) -> FloorGuard[StudentComponents]:
        """Return the guard that bounds scales by the resolution of the data."""
        return FloorGuard(floor_of_scales(frame, summary), held_scales)
