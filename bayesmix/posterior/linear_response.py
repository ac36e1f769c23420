"""Linear response: posterior covariances implied by a variational fit (Giordano et al. 2018).

Tilt the posterior, log p + ε'g(θ), and let the fit follow: Cov(g) ~ d E_q[g] / dε. In uncorrelated
coordinates z of q(π, θ) with unit variance, sample n has log joints with slopes J_n, and

    G = Σ_n w_n J_nᵀ (diag(r_n) - r_n r_nᵀ) J_n + couplings of parameters in the prior,
    Cov(g) = Cov_q(g) + Cov_q(g, z) G (I - G)⁻¹ Cov_q(z, g).

I - G is minus the Hessian of the ELBO. The largest eigenvalue of G is the rate of coordinate ascent
and the largest fraction of missing information (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
from scipy.linalg import solve_triangular

from bayesmix.allocation.point import FreeWeights, WeightDraws
from bayesmix.core import validation
from bayesmix.core.components import Coordinates, Posterior
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.priors import VaryingWeights
from bayesmix.core.random import root_seed
from bayesmix.core.rows import Rows, Spread, WeightSpread
from bayesmix.core.sources import Source
from bayesmix.em.expectation import CENTRED
from bayesmix.em.result import FitResult
from bayesmix.em.run import summed
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.posterior.posterior_draws import (
    Draws,
    OfParameters,
    PosteriorSample,
    of_parameters,
    posterior_draws,
    sample_of,
)
from bayesmix.posterior.subject import WITHOUT_A_PRIOR, rows_of_fit, variational_fit

BLOCK_VALUES = 2**20


@dataclass(frozen=True)
class AllCoordinates:
    """Coordinates of the weights (log π - E[log π] = ``root`` z), then of the components."""

    mixture: Mixture[Posterior]
    weights: WeightSpread
    root: Array  # (K, K), or (1, 0) for one component
    components: Coordinates

    @property
    def size(self) -> int:
        return int(self.root.shape[1] + self.components.size)

    @property
    def of_components(self) -> tuple[slice, slice]:
        """Return the index of the components' block in a matrix of all pairs."""
        return (slice(self.root.shape[1], None),) * 2

    def of_logs(self, logs: Array) -> Array:
        """Return z (m, ...) of centred log weights (m, K)."""
        if not self.root.size:
            return logs[:, :0]
        return solve_triangular(self.root, logs.T, lower=True).T

    def slopes(self, values: Array, k: int) -> tuple[Integers, Array]:
        """Return indices and the derivatives d l_nk / d E[z] (n, p) there."""
        n_weights = self.root.shape[1]
        of_weights = np.broadcast_to(self.root[k], (len(values), n_weights))
        places = np.concatenate([np.arange(n_weights), n_weights + self.components.places(k)])
        return places, np.hstack([of_weights, self.components.slopes(values, k)])

    def parameters(self) -> dict[str, Spread]:
        n_weights, K = self.root.shape[1], self.mixture.n_components
        across = np.zeros((K, self.size))
        across[:, :n_weights] = self.of_logs(self.weights.across)
        found = {"weights": Spread((K,), across, self.weights.of_weights)}
        for name, one in self.components.parameters(self.mixture.frame).items():
            padded = np.hstack([np.zeros((len(one.across), n_weights)), one.across])
            found[name] = Spread(one.shape, padded, one.own)
        return found


def coordinates_of(mixture: Mixture[Posterior]) -> AllCoordinates:
    """Return q in uncorrelated coordinates of unit variance."""
    weights = cast("VaryingWeights", mixture.weights).spread()
    many = len(weights.of_logs) > 1
    root: Array = np.asarray(np.linalg.cholesky(weights.of_logs)) if many else np.zeros((1, 0))
    return AllCoordinates(mixture, weights, root, mixture.components.coordinates())


def _gains(mixture: Mixture, coordinates: AllCoordinates, rows: Rows) -> Array:
    """Return Σ_n w_n Jᵀ (diag(r) - r rᵀ) J (P, P) over a chunk."""
    size = coordinates.size
    total = np.zeros((size, size))
    for block in rows.blocks(max(16, BLOCK_VALUES // size)):
        values = mixture.frame.apply(block.values)
        shares, _ = mixture.responsibilities(values)
        weights = block.weights_or_ones[:, None]
        average = np.zeros((len(block), size))
        for k in range(shares.shape[1]):
            places, slopes = coordinates.slopes(values, k)
            shared = slopes * shares[:, k, None]
            total[np.ix_(places, places)] += (slopes * weights).T @ shared
            average[:, places] += shared
        total -= (average * weights).T @ average
    return total


# At this size a matrix of all pairs takes 72 MB, and its eigenvalues about ten seconds.
MOST_COORDINATES = 3_000
# Largest distance of the fit from its optimum, in standard deviations of q.
MOST_AWAY = 0.3


@dataclass(frozen=True, repr=False, eq=False)
class LinearResponse:
    """Standard deviations of a variational fit's parameters by linear response.

    Attributes
    ----------
    result : FitResult
        The variational fit.
    standard_deviations : OfParameters
        Linear-response standard deviations, in data units.
    of_q : OfParameters
        Standard deviations under q, which treats assignments as independent of parameters.
    rate : float
        The largest fraction of missing information on any combination of parameters, due to unknown
        assignments (and a learned scale): near 0 for well separated components, near 1 for
        components that hardly differ. It is also the convergence rate of coordinate ascent.
    """

    result: FitResult
    standard_deviations: OfParameters
    of_q: OfParameters
    rate: float
    _coordinates: AllCoordinates
    _response: Array  # (I - G)⁻¹ (P, P)
    _spreads: dict[str, Spread]

    @cached_property
    def ratio(self) -> OfParameters:
        """Ratio of the standard deviations to those of q; NaN where q has none."""
        return self.standard_deviations.combined_with(self.of_q, _quotient)

    def covariance(self, name: str = "means") -> Array:
        """Return the covariance (m, m) of the m values of one parameter, in data units."""
        if name not in self._spreads:
            raise InvalidInputError(
                f"name must be one of {', '.join(self._spreads)}, got {name!r:.40}"
            )
        spread, follow = self._spreads[name], self._response - np.eye(len(self._response))
        return spread.own + spread.across @ follow @ spread.across.T

    def draws(self, n_draws: int, seed: int) -> Draws:
        """Return draws from q rescaled by linear response, in the fit's coordinates.

        Rescaling is linear in unconstrained coordinates (log weights and log precisions).
        """
        drawn = posterior_draws(self.result, n_draws, seed)
        whole, coordinates = self._coordinates, self._coordinates.components
        n_weights = whole.root.shape[1]
        moved = np.concatenate([np.arange(n_weights), n_weights + coordinates.moved])
        values, axes = np.linalg.eigh(self._response[np.ix_(moved, moved)])
        logs = drawn.weights.log_weights - self.result.mixture.weights.expected_log()
        standardised = np.hstack([whole.of_logs(logs), coordinates.standardised(drawn.components)])
        apart = ((standardised @ axes) * np.sqrt(values)) @ axes.T
        logs = self.result.mixture.weights.expected_log() + apart[:, :n_weights] @ whole.root.T
        logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
        return Draws(WeightDraws(logs), coordinates.drawn(apart[:, n_weights:]))

    def sample(self, n_draws: int = 1000, random_state: Any = 0) -> PosteriorSample:
        """Return draws from q rescaled to the linear-response covariance.

        Parameters
        ----------
        n_draws : int, default=1000
        random_state : None, int, RandomState or Generator, default=0
            With the same seed, ``sample_posterior`` returns the draws before rescaling.
        """
        number = validation.integer("n_draws", n_draws, 1)
        return sample_of(self.result, self.draws(number, root_seed(random_state)))

    def summary(self) -> str:
        """Return the missing information and the ratio of standard deviations to those of q."""
        lines = [
            f"Largest fraction of missing information: {self.rate:.0%} (unknown assignments and a "
            "learned scale, which q treats as known).",
            "Standard deviations by linear response, as multiples of those of q:",
        ]
        for name, values in self.ratio.distinct():
            known = values[np.isfinite(values)]
            if known.size:
                lines.append(
                    f"  {name}: {known.min():.2f} to {known.max():.2f}, "
                    f"median {np.median(known):.2f}"
                )
        return "\n".join(lines)

    def __repr__(self) -> str:
        median = np.nanmedian(self.ratio.means)
        return f"<LinearResponse: standard deviations of means {median:.2f} times those of q>"


def linear_response(
    model: Any, X: Any, sample_weight: Any = None, n_jobs: int | None = None
) -> LinearResponse:
    """Correct the standard deviations of a variational fit by linear response.

    q treats assignments as independent of parameters and so underestimates uncertainty. The
    response of the fit to a small change of the prior corrects this with one pass over the data and
    one matrix of all pairs of parameters (Giordano et al. 2018). Estimates and labels are those of
    the fit. Only its mode is covered; ``gibbs`` can cover several. A learned β0 is treated as
    known.

    Parameters
    ----------
    model : fitted variational mixture or search
        Converged, with Dirichlet or stick-breaking weights and at most 3,000 parameters.
    X : array, frame or source (n, D)
        The data that the model was fitted to.
    sample_weight : array (n,), optional
        As in the fit.
    n_jobs : int, optional
        Number of threads (results do not depend on it); None: all cores.

    Returns
    -------
    LinearResponse

    Raises
    ------
    InvalidInputError
        If the fit has no posterior, X is not the data of the fit, there are too many parameters, or
        the fit has not converged.
    UnsupportedError
        If the weights have no prior, or a component is degenerate.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> response = bm.linear_response(vb, X)
    >>> response.standard_deviations.means.round(2).tolist()
    [[0.03, 0.46], [0.03, 0.6]]
    >>> response.of_q.weights.round(3).tolist()
    [0.029, 0.029]
    """
    estimator = variational_fit(model)
    result: FitResult = estimator.result_
    if isinstance(result.inference.weights_prior, FreeWeights):
        raise UnsupportedError(WITHOUT_A_PRIOR)
    if any(event.kind == "held" and event.components for event in result.events):
        raise UnsupportedError(
            "a component of this fit is degenerate (singular covariance), so the "
            "ELBO has no maximum: use fewer components, or a covariance_prior"
        )
    source = rows_of_fit(estimator, X, sample_weight, n_jobs)
    coordinates = coordinates_of(result.posterior)
    if coordinates.size > MOST_COORDINATES:
        raise InvalidInputError(
            f"model must have at most {MOST_COORDINATES:,} parameters for a matrix of all pairs, "
            f"got {coordinates.size:,}: use fewer components, a simpler covariance_type, or gibbs"
        )
    with single_threaded_blas():
        step = partial(_gains, result.mixture, coordinates)
        gain: Array = source.reduce(step, result.n_components)
        gain[coordinates.of_components] += coordinates.components.coupling()
        rates, axes = np.linalg.eigh(0.5 * (gain + gain.T))
        spreads = coordinates.parameters()
        of_q = _deviations(spreads, None)
        _check_optimum(result, source, of_q, float(rates[-1]))
        response: Array = (axes / (1.0 - rates)) @ axes.T
    return LinearResponse(
        result=result,
        standard_deviations=_deviations(spreads, response),
        of_q=of_q,
        rate=max(0.0, float(rates[-1])),
        _coordinates=coordinates,
        _response=frozen(response),
        _spreads=spreads,
    )


def _deviations(spreads: dict[str, Spread], response: Array | None) -> OfParameters:
    """Return standard deviations, those of q without a response."""
    found = {}
    for name, spread in spreads.items():
        variance = np.diag(spread.own).copy()
        if response is not None:
            # (I - G)⁻¹ - I is not positive where a learned scale couples components.
            wider = ((spread.across @ response) * spread.across).sum(axis=1)
            variance += wider - (spread.across**2).sum(axis=1)
        found[name] = np.sqrt(np.maximum(variance, 0.0)).reshape(spread.shape)
    return of_parameters(found)


def _quotient(above: Array, below: Array) -> Array:
    ratio = np.full(above.shape, np.nan)
    known = np.isfinite(above) & (below > 0.0)
    np.divide(above, below, out=ratio, where=known)
    return ratio


def _check_optimum(result: FitResult, source: Source, of_q: OfParameters, rate: float) -> None:
    """Raise if the fit is not at, or too far from, a maximum of the ELBO."""
    remedy = "fit again with a smaller tol, such as tol=1e-10, and a larger max_iter"
    if rate >= 1.0:
        raise InvalidInputError(
            f"the fit is not at a maximum of its ELBO (rate {rate:.3g}): {remedy}"
        )
    mixture = result.mixture
    expectation = summed(source, mixture, CENTRED)
    following = result.inference.update(expectation, mixture, mixture.frame, None)
    away = max(
        _furthest(following.weights.mean() - mixture.weights.mean(), of_q.weights),
        _furthest(_means(following) - _means(mixture), of_q.means),
    ) / (1.0 - rate)
    if away > MOST_AWAY:
        raise InvalidInputError(
            f"the fit has not converged: its optimum is about {away:.2g} standard deviations away: "
            f"{remedy}"
        )


def _means(mixture: Mixture) -> Array:
    return mixture.frame.undo(mixture.components.means)


def _furthest(steps: Array, deviations: Array) -> float:
    known = (deviations > 0.0) & np.isfinite(deviations)
    return float(np.abs(steps[known] / deviations[known]).max(initial=0.0))
