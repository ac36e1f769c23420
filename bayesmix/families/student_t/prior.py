"""Student-t components under a Normal-Wishart prior: their mode, and their variational posterior.

q(z) q(u | z, ν) q(π) q(μ, Λ) q(ν), u the hidden precision of a row in its component. The E-step has
q(u) at its optimum, a Gamma, so that the objective is a bound. u and θ are independent under q, so
that one component's bound is below its evidence. Degrees of freedom have a discrete prior, as
learning them by maximum would inflate the bound (Svensén & Bishop 2005 have such mixtures).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.prior.given_prior import GaussianPrior
from bayesmix.families.gaussian.prior.normal_wishart import NormalWishart
from bayesmix.families.gaussian.prior.wishart_scale import FixedScale, LearnedScale
from bayesmix.families.student_t.components import StudentComponents
from bayesmix.families.student_t.draws import StudentDraws
from bayesmix.families.student_t.freedom_prior import WORTH_A_PASS, FreedomPrior
from bayesmix.families.student_t.posterior import NO_CONDITIONAL, StudentPosterior
from bayesmix.families.student_t.scale_guard import at_least, floors
from bayesmix.families.student_t.weighted_moments import WeightedMoments
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Pymc
from bayesmix.records import Frame


@dataclass(frozen=True)
class NormalWishartFreedom:
    """(μ_k, Λ_k) ~ ``normals``, ν on a grid."""

    normals: NormalWishart
    freedom: FreedomPrior
    conjugate = False

    def posterior(
        self,
        statistics: WeightedMoments,
        previous: StudentPosterior | None = None,
        resolution: Array | None = None,
    ) -> StudentPosterior:
        """q(μ, Λ) from moments of rows weighted by E[u], and q(ν), in turn where both gain.

        Both at once would be no coordinate ascent: the bound could fall.
        """
        scores = statistics.tails
        known = previous is not None and scores.shape == previous.freedom.probabilities.shape
        if previous is not None and known and not previous.renewed:
            gained = self.freedom.gain(scores, previous.freedom)
            if gained > WORTH_A_PASS * statistics.counts.sum():
                freedom = self.freedom.posterior(scores)
                return replace(previous, freedom=freedom, renewed=True)
        before, held = None if previous is None else previous.normals, None
        if resolution is not None:
            held = self.normals.structure.algebra.of_dense(np.diag(resolution[0]))[None]
        normals = self.normals.posterior(statistics.weighted, before, held)
        rows = self._degrees_of_freedom(statistics)
        precisions = replace(normals.precisions, degrees_of_freedom=rows)
        freedom = self.freedom.first(normals.n_components)
        if previous is not None and known:
            freedom = previous.freedom
        return StudentPosterior(
            replace(normals, precisions=precisions), freedom, self.freedom.shared
        )

    def _degrees_of_freedom(self, statistics: WeightedMoments) -> Array:
        """ν0 and the rows of every block: u moves none of them."""
        n_features = statistics.weighted.means.shape[1]
        rows = self.normals.structure.blocks.counts(statistics.counts, n_features)
        freedom: Array = self.normals.degrees_of_freedom + rows
        return freedom

    def kl(self, q: StudentPosterior) -> float:
        """KL of q(μ, Λ), of q(S) and of q(ν) from their priors."""
        return self.normals.kl(q.normals) + self.freedom.kl(q.freedom)

    def mode(
        self,
        statistics: WeightedMoments,
        previous: StudentComponents | None = None,
        resolution: Array | None = None,
    ) -> StudentComponents:
        """Joint mode in (μ, Σ, ν): as of normals, with scales over rows."""
        normals, structure = self.normals, self.normals.structure
        means, _, precisions = normals.parameters_given(
            statistics.weighted, normals.scale.initial(), normals.mean_precision, None
        )
        leaning = structure.blocks.means_per_block(*means.shape)
        counts = self._degrees_of_freedom(statistics) + (precisions.dimension + 1 + leaning)
        blocks = structure.estimate(precisions.scale_inverse, counts, None)
        if resolution is not None:
            blocks = at_least(blocks, floors(structure, resolution[0], means))
        nu = self.freedom.mode(statistics.counts, statistics.tails)
        return StudentComponents(structure, means, blocks, nu)

    def log_density(self, components: StudentComponents) -> float:
        """log p(μ, Σ); of degrees of freedom a mode knows a flat density."""
        return self.normals.log_density(components.normals)

    def log_density_of(self, draws: StudentDraws) -> NoReturn:
        """Refused: nothing that weighs draws is made for them."""
        raise UnsupportedError(NO_CONDITIONAL)

    def conditional(
        self, statistics: WeightedMoments, last: StudentDraws, generator: np.random.Generator
    ) -> NoReturn:
        """Refused: given labels alone the posterior has no closed form."""
        raise UnsupportedError(NO_CONDITIONAL)

    def pymc_distribution(self, pm: Pymc, q: StudentPosterior, n_components: int) -> NoReturn:
        """Refused: degrees of freedom on a grid are no variable that a gradient moves."""
        raise UnsupportedError(
            "Student-t components have no model in PyMC: the evidence and sample_posterior of a "
            "variational fit, or bayesmix.weighted_bootstrap, tell how sure it is"
        )

    def unframed(self, frame: Frame) -> NormalWishartFreedom:
        return replace(self, normals=self.normals.unframed(frame))

    @property
    def scale(self) -> FixedScale | LearnedScale:
        """That of the prior of the normals."""
        return self.normals.scale


@dataclass(frozen=True)
class StudentPrior:
    """A prior of Student-t components; None leaves the default.

    Parameters
    ----------
    normals : GaussianPrior, optional
        Of means and scale matrices.
    values : sequence of float, optional
        Degrees of freedom that are equally probable; by default 13 from 1 to 128.

    Examples
    --------
    >>> import bayesmix as bm
    >>> prior = bm.StudentPrior(values=[2.0, 4.0, 8.0])
    >>> mixture = bm.Mixture(2, family=bm.StudentT(), inference=bm.VariationalBayes(prior=prior))
    """

    normals: GaussianPrior | None = None
    values: Sequence[float] | None = None

    fixes_scale = False

    def over(self, default: NormalWishartFreedom, frame: Frame) -> NormalWishartFreedom:
        """The default prior with what is given here in its place, in the frame."""
        prior = default
        if self.normals is not None:
            prior = replace(prior, normals=self.normals.over(prior.normals, frame))
        if self.values is not None:
            values = np.unique(np.asarray(self.values, dtype=np.float64))
            if not len(values) or not ((values > 0.0) & (values < np.inf)).all():
                raise InvalidInputError(
                    f"values of StudentPrior must be positive numbers, got {self.values!r:.60}"
                )
            prior = replace(prior, freedom=replace(prior.freedom, values=values))
        return prior
