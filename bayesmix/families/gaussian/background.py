"""A prior of normal components from a fitted mixture: adaptation of a background model.

Each component has ``strength`` pseudo-observations with the mean and covariance that it had in the
background model, so that its mode with weight α = n / (n + strength) is that of the new data
(Gauvain & Lee 1994; Reynolds, Quatieri & Dunn 2000, eq. 11 to 14).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from bayesmix.core.parameters import REAL, SHARE, within
from bayesmix.core.rows import Frame
from bayesmix.core.validation import number, one_of
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.family import Gaussians, maximum_likelihood
from bayesmix.families.gaussian.moments import Moments
from bayesmix.numerics.arrays import Array


@dataclass(frozen=True)
class BackgroundPrior:
    """Pseudo-observations of each component, in a frame; see ``from_model``."""

    structure: Structure
    means: Array = field(metadata=within(REAL))
    blocks: Array = field(metadata=within(REAL))
    strength: float
    adapts_covariances: bool
    fixes_scale = True
    conjugate = False

    @property
    def pseudo(self) -> Moments:
        """Statistics of the pseudo-observations."""
        counts = np.full(len(self.means), self.strength)
        moments = Moments(self.structure, counts, self.means, np.zeros_like(self.blocks))
        per_block = moments.block_counts
        shape = per_block.shape + (1,) * (self.blocks.ndim - per_block.ndim)
        return replace(moments, scatter=per_block.reshape(shape) * self.blocks)

    def mode(
        self, statistics: Moments, previous: Gaussians | None = None, resolution: Any = None
    ) -> Gaussians:
        """Return the mode of means, and of covariances if they are adapted."""
        sums = statistics + self.pseudo
        if self.adapts_covariances:
            return maximum_likelihood(self.structure, sums, previous, resolution, None)
        return Gaussians(self.structure, sums.means, self.blocks, resolution)

    def log_density(self, components: Gaussians) -> float:
        """Return the log density of the pseudo-observations."""
        return components.linear.expected_log_likelihood(self.pseudo)

    def unframed(self, frame: Frame) -> BackgroundPrior:
        own = Gaussians(self.structure, self.means, self.blocks).unframed(frame)
        return replace(self, means=own.means, blocks=own.blocks)

    def posterior(self, *arguments: Any) -> NoReturn:
        raise UnsupportedError("a background model gives modes only: use GaussianMixture")

    kl = log_density_of = conditional = posterior


@dataclass(frozen=True)
class Background:
    """A fitted mixture of normal components as a prior, in data units; made by ``from_model``."""

    structure: Structure
    weights: Array = field(metadata=within(SHARE))
    means: Array = field(metadata=within(REAL))
    blocks: Array = field(metadata=within(REAL))
    strength: float
    adapts_all: bool
    fixes_scale = True

    def __repr__(self) -> str:
        kind = "all parameters" if self.adapts_all else "means"
        size = f"{len(self.means)} normal components"
        return f"<prior from {size} for {kind}, strength={self.strength:g}>"

    def framed(self, frame: Frame) -> Gaussians:
        """Return the components in the frame of new data."""
        n_features = self.means.shape[1]
        if len(frame.centre) != n_features or frame.basis is not None:
            raise InvalidInputError(
                f"X must have the {n_features} features of the background model, linearly "
                f"independent, got {len(frame.centre)}"
            )
        return Gaussians(self.structure, self.means, self.blocks).framed(frame)

    def over(self, default: Any, frame: Frame) -> BackgroundPrior:
        """Return the prior in the frame of new data."""
        own = self.framed(frame)
        return BackgroundPrior(
            self.structure, own.means, own.blocks, self.strength, self.adapts_all
        )

    def check(self, n_components: int, family: Any) -> None:
        """Raise an error unless a model has the components of the background model."""
        structure = getattr(family, "structure", None)
        if n_components != len(self.means) or structure is not self.structure:
            name = getattr(structure, "name", family.name)
            raise InvalidInputError(
                "n_components and covariance_type must be those of the background model, "
                f"{len(self.means)} and {self.structure.name!r}, got {n_components} and {name!r}"
            )


def from_model(model: Any, strength: float = 16.0, parameters: str = "means") -> Background:
    """Return a prior from a fitted mixture of normal components.

    As the ``prior`` of ``GaussianMixture`` it adapts a background model of many samples to few:
    components with many new samples move to them, the others stay. The fit starts at the background
    model and keeps the order of its components, so that log likelihood ratios compare the two.

    Parameters
    ----------
    model : fitted mixture
        ``GaussianMixture``, ``BayesianGaussianMixture`` or ``Mixture`` of normal components.
    strength : float, default=16
        Number of pseudo-observations of each component (relevance factor): with n new samples, a
        mean has weight n / (n + strength) on theirs.
    parameters : {"means", "all"}, default="means"
        "means": weights and covariances stay; the fit is the posterior mode of the means. "all":
        all are adapted by the equations of Reynolds, Quatieri & Dunn (2000). That of the weights
        is no mode; its steps are shortened where the posterior density would fall.

    Returns
    -------
    Background

    Raises
    ------
    InvalidInputError
        For an unfitted model, other components, or a strength that is not positive.

    References
    ----------
    Reynolds, D. A., Quatieri, T. F., & Dunn, R. B. (2000). Speaker verification using adapted
    Gaussian mixture models. Digital Signal Processing, 10, 19-41.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> everyone = rng.normal(3.0 * rng.integers(0, 2, (2000, 1)), 1.0)
    >>> background = bm.GaussianMixture(2, random_state=0).fit(everyone)
    >>> one = rng.normal(3.8, 1.0, (40, 1))
    >>> adapted = bm.GaussianMixture(2, prior=bm.from_model(background)).fit(one)
    >>> bool(adapted.score(one) > background.score(one))
    True
    """
    one_of("parameters", parameters, ("means", "all"))
    number("strength", strength, 0.0, strict=True)
    result = getattr(model, "result_", None)
    if result is None:
        raise InvalidInputError(f"model must be a fitted mixture, got {model!r:.80}")
    components = result.unframed.plug_in()
    if not isinstance(components, Gaussians) or result.mixture.noise is not None:
        raise InvalidInputError(
            "model must be a mixture of normal components without noise, got "
            f"{type(model).__name__} of family {result.family.name!r}"
        )
    weights = np.array(result.mixture.weights.mean())
    return Background(
        components.structure,
        weights,
        components.means,
        components.blocks,
        float(strength),
        parameters == "all",
    )
