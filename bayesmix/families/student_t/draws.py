"""Draws of Student-t components from q(μ, Λ) q(ν)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesmix.families.gaussian.covariance.models import STRUCTURES
from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.families.student_t.components import StudentComponents
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.features import DENSE
from bayesmix.protocols import Named
from bayesmix.records import Frame


@dataclass(frozen=True)
class StudentDraws:
    """S draws: of the ``normals`` given u = 1, and degrees of freedom (S, K)."""

    normals: GaussianDraws
    degrees_of_freedom: Array

    @cached_property
    def components(self) -> StudentComponents:
        """All S K densities, those of a draw together: none of them share a scale."""
        normals = self.normals
        algebra, n_features = normals.structure.algebra, normals.means.shape[2]
        blocks = algebra.inverse(normals.flat_roots)
        dense = algebra.kind == DENSE
        if not dense:
            blocks = np.broadcast_to(blocks, (len(blocks), n_features))
        structure = STRUCTURES["full" if dense else "diag"]
        means = normals.means.reshape(-1, n_features)
        return StudentComponents(structure, means, blocks, self.degrees_of_freedom.ravel())

    def subset(self, keep: Integers) -> StudentDraws:
        """Some components of every draw."""
        return StudentDraws(self.normals.subset(keep), self.degrees_of_freedom[:, keep])

    def at(self, draw: int) -> StudentComponents:
        """One of the draws as K densities at a point."""
        point = self.normals.at(draw)
        return StudentComponents(
            point.structure, point.means, point.blocks, self.degrees_of_freedom[draw]
        )

    def parameters(self, frame: Frame) -> Named:
        """Means, scale matrices, degrees of freedom and S in data units."""
        named = self.normals.parameters(frame)
        return {
            "means": named["means"],
            "scales": named["covariances"],
            "degrees_of_freedom": (("component",), self.degrees_of_freedom),
            "covariance_prior": named["covariance_prior"],
        }
