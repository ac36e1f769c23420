"""K Student-t densities at a point, and what their E-step adds up (Peel & McLachlan 2000)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma

from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.moments import moments
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.families.gaussian.students import Students
from bayesmix.families.student_t.weighted_moments import WeightedMoments
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.filled import filled_at_once
from bayesmix.numerics.once import once
from bayesmix.records import Frame


@filled_at_once
@dataclass(frozen=True)
class StudentComponents:
    """means (K, D), scale matrices in blocks, degrees of freedom (K,)."""

    structure: Structure
    means: Array
    blocks: Array
    degrees_of_freedom: Array

    @once
    def students(self) -> Students:
        """The densities, one mixing scale for all columns of a row."""
        algebra, n_features = self.structure.algebra, int(self.means.shape[1])
        return Students(algebra, self.means, self.blocks, self.degrees_of_freedom, n_features)

    @property
    def n_components(self) -> int:
        return len(self.means)

    @property
    def scales(self) -> Array:
        """Scale matrices (K, D, D)."""
        return self.structure.algebra.dense(self.blocks, *self.means.shape)

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D), NaN where there are none (ν up to 2)."""
        return self.students.covariances

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D), NaN where there is none."""
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def precision_root(self) -> Array:
        """U with scale⁻¹ = U Uᵀ, in blocks."""
        return self.students.precision_root

    def expected_log_density(self, values: Array) -> Array:
        """log St(x | μ_k, Σ_k, ν_k) (n, K)."""
        return self.students.expected_log_density(values)

    def beyond(self, units: Array, exponent: int) -> tuple[Array, float]:
        """The same of far rows: see ``Students.beyond``."""
        return self.students.beyond(units, exponent)

    def statistics(self, values: Array, responsibilities: Array) -> WeightedMoments:
        """Moments of rows weighted by E[u], and what degrees of freedom are learned from."""
        squared = self.structure.algebra.squared(values, self.means, self.precision_root)
        return hidden_moments(
            self.structure, values, responsibilities, squared, self.degrees_of_freedom
        )

    @property
    def normals(self) -> Gaussians:
        """The normals of rows with hidden precision 1."""
        return Gaussians(self.structure, self.means, self.blocks)

    def subset(self, keep: Integers) -> StudentComponents:
        """Some components, in the order given."""
        return StudentComponents(
            self.structure,
            self.means[keep],
            self.structure.blocks.keep(self.blocks, keep),
            self.degrees_of_freedom[keep],
        )

    def released(self) -> StudentComponents:
        """Itself: nothing held it but a constraint."""
        return self

    def unframed(self, frame: Frame) -> StudentComponents:
        """From a frame into the data's coordinates."""
        lifted = self.students.unframed(frame)
        return replace(self, means=lifted.means, blocks=lifted.blocks)

    def plug_in(self) -> StudentComponents:
        """Itself: a point."""
        return self

    def predictive(self) -> Students:
        """The densities: nothing is integrated out."""
        return self.students

    def marginal(self, columns: Integers) -> Students:
        """The densities of some columns: Students again, with as many degrees of freedom."""
        return self.students.marginal(columns)

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Students:
        """The densities of ``columns`` where those ``given`` have these values (G,)."""
        return self.students.conditional(columns, given, values)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | x_given, k] (n, K, C) for rows of the given columns (n, G)."""
        return self.students.conditional_means(columns, given, values)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order (n, D)."""
        return self.students.draw(counts, generator)


def hidden_moments(
    structure: Structure, values: Array, responsibilities: Array, squared: Array, nu: Array
) -> WeightedMoments:
    """Moments of rows weighted by E[u], u ~ Gamma((ν + D) / 2, (ν + δ²) / 2), and of u itself."""
    half = 0.5 * (nu + values.shape[1])
    mixing = 2.0 * half / (nu + squared)
    logs = np.log(mixing) + digamma(half) - np.log(half)
    counts = responsibilities.sum(axis=0)
    tails = np.einsum("nk,nk->k", responsibilities, logs - mixing)
    return WeightedMoments(counts, moments(structure, values, responsibilities * mixing), tails)
