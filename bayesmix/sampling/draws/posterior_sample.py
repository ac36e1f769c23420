"""Posterior draws as a user has them: weights and parameters, in data units.

A draw is one whole mixture. Components keep their places from draw to draw: q has one labelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bayesmix import validation
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Named, PointComponents, Source
from bayesmix.random import Purpose, stream
from bayesmix.records import Frame, Mixture, Rows
from bayesmix.sampling.draws.by_parameter import ByParameter, refuse_parts
from bayesmix.sampling.draws.likelihood import log_densities
from bayesmix.sampling.draws.parameters import Draws, draws_of
from bayesmix.weights import PointWeights
from bayesmix.workflow.result import FitResult

# The others are of evidence (0, 1, 2, 6, 7) and of Gibbs runs (4, 5).
OF_THE_POSTERIOR = 3


@dataclass(frozen=True, repr=False)
class PosteriorSample(ByParameter):
    """S draws of a mixture of K components, from q or refits of a bootstrap, in data units.

    Attributes
    ----------
    weights : array (S, K)
    means : array (S, K, D)
        Of Bernoulli mixtures the probabilities, of Poisson mixtures the rates.
    covariances : array, Gaussian mixtures
        (S, K, D, D) full, (S, D, D) tied, (S, K, D) diag, (S, K) spherical.
    scale : array, Gaussian mixtures whose prior learned its scale
        Shaped as ``covariance_prior_`` after the first axis.
    probabilities, rates : array (S, K, D)
        Of Bernoulli and of Poisson mixtures.
    log_means, log_variances : array (S, K, D)
        Of log-normal mixtures, of the logarithms.
    shapes : array, Gamma mixtures
        As ``rates``.
    scales, degrees_of_freedom : array, Student-t mixtures
        Scale matrices shaped as ``covariances``, and one number a component.
    """

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        shapes = [f"{name} {value.shape}" for name, value in self.items()]
        return f"<PosteriorSample: {len(self)} draws, {', '.join(shapes)}>"


def refuse_many(result: FitResult, n_draws: int) -> None:
    """Refuse draws that this machine could not hold, in the fit's frame and in data units."""
    n_bytes = 2.0 * 8.0 * n_draws * result.n_parameters
    validation.in_memory(f"{n_draws:,} draws", n_bytes, "ask for fewer draws")


def posterior_draws(result: FitResult, n_draws: int, seed: int) -> Draws:
    """Draws from q in the fit's frame, the same for all that asks for as many with this seed.

    Raises ``UnsupportedError`` where the fit has no posterior.
    """
    result.refuse_noise("a draw")
    if not result.variational:
        words = result.inference.name.replace("_", " ")
        raise UnsupportedError(
            f"a {words} fit is one point, with no posterior to draw from: fit a variational one "
            "(BayesianGaussianMixture, or Mixture with inference=VariationalBayes()), or for bands "
            "refit to reweighted rows (method='bootstrap')"
        )
    refuse_many(result, n_draws)
    return draws_of(result.posterior, n_draws, stream(seed, Purpose.DRAW, OF_THE_POSTERIOR))


def posterior_sample(result: FitResult, n_draws: int, seed: int) -> PosteriorSample:
    """Draws from q in data units; see ``sample_posterior`` of the estimators."""
    return sample_of(result, posterior_draws(result, n_draws, seed))


def sample_of(result: FitResult, draws: Draws) -> PosteriorSample:
    """Draws in the fit's frame in data units."""
    return as_sample(draws, parameters_of(result, draws))


def as_sample(draws: Draws, named: Named) -> PosteriorSample:
    """Weights of draws, and their parameters by name."""
    refuse_parts(named, "posterior sample")
    values = {name: value for name, (_, value) in named.items()}
    # Rates and probabilities are means: those come first.
    values.setdefault("means", next(iter(values.values())))
    return PosteriorSample(np.exp(draws.weights.log_weights), **values)


def parameters_of(result: FitResult, draws: Draws) -> Named:
    """The parameters of draws in data units by name, with what axes after the first stand for.

    The scale of the prior is among them where it is learned.
    """
    named = draws.components.parameters(result.mixture.frame)
    drawn = named.pop("covariance_prior", None)
    prior: Any = result.bayesian.parameters_prior if drawn is not None else None
    if drawn is not None and prior.scale.learned:
        named["scale"] = drawn
    return named


def mixtures_of(result: FitResult, draws: Draws) -> Iterator[Mixture[PointComponents]]:
    """Every draw as a mixture at a point, in the fit's frame."""
    for draw, log_weights in enumerate(draws.weights.log_weights):
        weights = np.exp(log_weights)
        yield Mixture(
            # To the last digit the sum of exponentials is not 1.
            PointWeights(weights / weights.sum()),
            draws.components.at(draw),
            result.mixture.frame,
        )


def log_densities_at(result: FitResult, draws: Draws, source: Source) -> Array:
    """log p(x_n | draw) (n, S) of any rows, those off the plane of the fit included."""
    densities = log_densities(result, draws, source)
    frame = result.mixture.frame
    if frame.flat is not None:
        densities += source.map(partial(_off_the_plane, frame), 1)[:, None]
    return densities


def _off_the_plane(frame: Frame, rows: Rows) -> Any:
    return frame.log_flat(rows.values)
