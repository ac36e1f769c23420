"""Posterior draws of weights and parameters, with their densities under q, prior and data.

Densities use the coordinates of the fit: π_1, ..., π_{K-1} (sticks: v), μ, the elements of Λ,
probabilities, rates. A learned S is drawn and integrated out of the densities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, cast

import numpy as np
from scipy.special import gammaln

from bayesmix.allocation.point import PointWeights
from bayesmix.core import validation
from bayesmix.core.components import Components, DrawnComponents, Named, PointComponents, Posterior
from bayesmix.core.engines import Bayesian
from bayesmix.core.families import Family
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.priors import DrawnWeights, FactorisedWeights
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Frame, Rows
from bayesmix.core.sources import Source
from bayesmix.em.expectation import CENTRED, LINEAR, Arithmetic
from bayesmix.em.prediction import has_far_rows
from bayesmix.em.refusals import refuse_noise
from bayesmix.em.result import FitResult
from bayesmix.em.run import e_step
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers, frozen, has_gaps
from bayesmix.numerics.permanents import log_permanents
from bayesmix.observation.missing import OBSERVED_CELLS, CellsInSubspace
from bayesmix.posterior import BATCH_VALUES
from bayesmix.sources.memory import all_weights


@dataclass(frozen=True, repr=False)
class ByParameter:
    """Arrays by parameter name, as attributes, for the parameters that a family has."""

    values: Mapping[str, Array]

    def __post_init__(self) -> None:
        for array in self.values.values():
            frozen(array)

    def __getattr__(self, name: str) -> Array:
        values: Mapping[str, Array] = self.__dict__.get("values", {})
        if name in values:
            return values[name]
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}: its parameters are "
            f"{', '.join(values)}"
        )

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.values]

    def items(self) -> list[tuple[str, Array]]:
        """Return names and values of the parameters."""
        return list(self.values.items())


@dataclass(frozen=True, repr=False)
class OfParameters(ByParameter):
    """One value for every parameter, such as its standard deviation in data units.

    Attributes
    ----------
    weights : array (K,)
    means : array (K, D)
        Also the probabilities of Bernoulli and the rates of Poisson mixtures.
    covariances : array, Gaussian mixtures
        (K, D, D) full, (D, D) tied, (K, D) diag, (K,) spherical.
    scale : array, Gaussian mixtures whose prior learned its scale
        Shaped as ``covariance_prior_``.
    probabilities, rates : array (K, D)
        Bernoulli and Poisson mixtures.
    log_means, log_variances, log_covariances : array
        Log-normal mixtures: (K, D), then shaped as ``covariances``.
    transformed_means, transformed_variances, transformed_covariances : array
        The same for other transforms.
    shapes : array, Gamma mixtures
        Shaped as ``rates``.
    scales, degrees_of_freedom : array, Student-t mixtures
        Scale matrices shaped as ``covariances``, and one number per component.
    """

    def distinct(self) -> list[tuple[str, Array]]:
        """Return items without means that repeat probabilities or rates."""
        also_means = "covariances" not in self.values
        return [pair for pair in self.items() if not (also_means and pair[0] == "means")]

    def __repr__(self) -> str:
        inner = ",\n".join(f"  {name}={value!r}" for name, value in self.items())
        return f"OfParameters(\n{inner}\n)"


def refuse_parts(names: Iterable[str], what: str) -> None:
    """Raise for a product of families, whose parts have several sets of parameters."""
    if any(": " in name for name in names):
        raise UnsupportedError(
            f"a product of families has no {what} by parameter: to_arviz() and bayesmix.gibbs give "
            "named draws, density_interval and assignment_interval give bands"
        )


def of_parameters(values: Mapping[str, Array]) -> OfParameters:
    """Return values by name, with probabilities and rates as means too."""
    refuse_parts(values, "numbers by parameter")
    of_counts = values.get("probabilities", values.get("rates"))
    return OfParameters(({} if of_counts is None else {"means": of_counts}) | dict(values))


@dataclass(frozen=True)
class Draws:
    """S draws of K weights (``log_weights`` (S, K)) and of the family's parameters."""

    weights: DrawnWeights
    components: DrawnComponents

    @property
    def n_draws(self) -> int:
        return len(self.weights.log_weights)

    @property
    def n_components(self) -> int:
        return int(self.weights.log_weights.shape[1])

    @property
    def bare(self) -> Draws:
        """Draws without cached derived arrays, which are much larger."""
        return Draws(replace(self.weights), replace(self.components))

    def batches(self) -> list[Draws]:
        """Return all draws in order, in batches that limit memory."""
        largest = max(self.n_components, *(a[0].size for a in _arrays(self.components)))
        return self.in_parts(max(1, BATCH_VALUES // (self.n_components * largest)))

    def in_parts(self, size: int) -> list[Draws]:
        """Return all draws in order, in parts of ``size`` draws."""
        starts = range(0, self.n_draws, size)
        return [_each(self, itemgetter(slice(start, start + size))) for start in starts]

    def over_batches(self, values: Callable[[Draws], Array]) -> Array:
        """Return values of all draws (S, ...), computed batch by batch."""
        return np.concatenate([values(batch) for batch in self.batches()])

    def some(self, numbers: Integers) -> Draws:
        return _each(self, itemgetter(numbers))


def joined(parts: Sequence[Draws]) -> Draws:
    """Return the concatenated draws of all parts."""
    queues = [iter(list(_arrays(part))) for part in parts]
    return _each(parts[0], lambda _: np.concatenate([next(queue) for queue in queues]))


def _arrays(record: Any) -> Iterator[Array]:
    """Return the arrays of a record at any depth."""
    for value in (getattr(record, field.name) for field in fields(record)):
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, tuple):
            for inner in filter(is_dataclass, value):
                yield from _arrays(inner)
        elif is_dataclass(value):
            yield from _arrays(value)


def _each(record: Any, change: Callable[[Array], Array]) -> Any:
    """Return the record with ``change`` applied to every array, in the order of ``_arrays``."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            changed[name] = change(value)
        elif isinstance(value, tuple):
            changed[name] = tuple(_each(x, change) if is_dataclass(x) else x for x in value)
        elif is_dataclass(value):
            changed[name] = _each(value, change)
    return replace(record, **changed)


def draws_of(mixture: Mixture[Posterior], n_draws: int, generator: np.random.Generator) -> Draws:
    """Return S independent draws from q."""
    return Draws(
        mixture.weights.draws(n_draws, generator), mixture.components.draws(n_draws, generator)
    )


def log_prior(inference: Bayesian, draws: Draws) -> Array:
    """Return log p(π) + log p(θ) (S,)."""
    density: Array = inference.weights_prior.log_density_of(draws.weights)
    return density + inference.parameters_prior.log_density_of(draws.components)


def log_q(mixture: Mixture[Posterior], draws: Draws) -> Array:
    """Return log q(π, θ) (S,)."""
    shared, pairs = mixture.components.log_factors(draws.components)
    traces = np.trace(pairs, axis1=1, axis2=2)
    return mixture.weights.log_density_of(draws.weights) + shared + traces


def log_q_symmetrised(mixture: Mixture[Posterior], draws: Draws) -> Array:
    """Return the log average (S,) of q(π, θ) over the K! relabellings.

    Requires Dirichlet weights, for which q factorises over components.
    """
    weights = cast("FactorisedWeights", mixture.weights)
    shared, pairs = mixture.components.log_factors(draws.components)
    permanents = log_permanents(pairs + weights.log_factors(draws.weights))
    n_relabellings = gammaln(mixture.n_components + 1.0)
    return weights.log_normaliser() + shared + permanents - n_relabellings


TILE_ROWS = 512
TILE_VALUES = 2**17
# Chunks are sized for this many draws, so that each has enough samples for tiling.
DRAWS_OF_CHUNK = 64
# Rounding of Σ w log p(x) in nats that is negligible beside importance-sampling noise.
MOST_LOSS = 1e-5


@dataclass(frozen=True)
class Tile:
    """Some draws: T draws of weights and T K densities, grouped by draw."""

    weights: DrawnWeights
    components: Components

    def log_density(self, rows: Rows, values: Array, arithmetic: Arithmetic) -> Array:
        """Return log Σ_k π_k p(x | θ_k) (T, n) of rows with scaled values."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            joint = arithmetic.densities(self.components, values)[0].T
            n_draws = len(self.weights.log_weights)
            return self.weights.log_density(joint.reshape(n_draws, -1, len(values)), rows)


@dataclass(frozen=True)
class DensityStep:
    """log p(x_n | draw) (n, S) of a chunk."""

    frame: Frame
    tiles: tuple[Tile, ...]
    arithmetic: Arithmetic

    def __call__(self, rows: Rows) -> Array:
        return np.concatenate([self.block(part).T for part in rows.blocks(TILE_ROWS)])

    def block(self, rows: Rows) -> Array:
        """Return log p(x_n | draw) (S, n) of one block."""
        values, arithmetic = self.frame.apply(rows.values), self.arithmetic
        if has_gaps(rows.values):
            arithmetic = OBSERVED_CELLS
            if self.frame.rest is not None:
                values, arithmetic = np.asarray(rows.values), CellsInSubspace(self.frame)
        return np.concatenate([tile.log_density(rows, values, arithmetic) for tile in self.tiles])

    def likelihoods(self, rows: Rows) -> Array:
        """Return Σ_n w_n log p(x_n | draw) (S,) over a chunk."""
        blocks = rows.blocks(TILE_ROWS)
        parts = [(self.block(part), part.weights) for part in blocks]
        return np.sum([d.sum(axis=1) if w is None else d @ w for d, w in parts], axis=0)


def _is_far(mixture: Mixture, family: Family, rows: Rows) -> int:
    """Return 1 if squared distances overflow for any sample of a chunk, else 0."""
    return int(has_far_rows(mixture, np.asarray(rows.values), family))


def log_likelihoods(result: FitResult, draws: Draws, source: Source) -> Array:
    """Return log p(X | draw) (S,) in nats and data units, streaming the data."""
    total: Array = _over(source.reduce, _step(result, draws, source).likelihoods, draws)
    if result.mixture.frame.rest is None:
        return total - source.total_weight * result.log_volume
    return total - all_weights(source) @ _log_volumes(result, source)


def log_densities(result: FitResult, draws: Draws, source: Source) -> Array:
    """Return log p(x_n | draw) (n, S) in nats and data units."""
    densities: Array = _over(source.map, _step(result, draws, source), draws)
    if result.mixture.frame.rest is None:
        return densities - result.log_volume
    return densities - _log_volumes(result, source)[:, None]


def _log_volumes(result: FitResult, source: Source) -> Array:
    """Return log densities in the frame minus those in data units (n,)."""
    volumes: Array = source.map(partial(_log_volume, result.mixture), 1)
    return volumes


def shares_of(draws: Draws, framed: Array, rows: Rows) -> Array:
    """Return p(z_n = k | X, π_s, θ_s) (n, S, K) of samples, also given as ``framed``."""
    arithmetic: Arithmetic = OBSERVED_CELLS if has_gaps(framed) else CENTRED
    densities = arithmetic.densities(draws.components.components, framed)[0]
    joint: Array = np.ascontiguousarray(densities).reshape(len(framed), draws.n_draws, -1)
    draws.weights.shares(joint, rows)
    return joint


def _over(work: Any, step: Any, draws: Draws) -> Any:
    with single_threaded_blas():
        return work(step, draws.n_components * min(draws.n_draws, DRAWS_OF_CHUNK))


def _step(result: FitResult, draws: Draws, source: Source) -> DensityStep:
    size = max(1, TILE_VALUES // (TILE_ROWS * draws.n_components))
    tiles = tuple(Tile(part.weights, part.components.components) for part in draws.in_parts(size))
    return DensityStep(result.mixture.frame, tiles, _arithmetic(result, source))


def _arithmetic(result: FitResult, source: Source) -> Arithmetic:
    """Return the linear form if it keeps its digits under q, which draws are close to."""
    if not result.family.linear or source.summary.n_missing:
        return CENTRED
    mixture: Mixture = result.mixture
    if source.reduce(partial(_is_far, mixture, result.family), 1):
        return CENTRED
    loss = mixture.linear.loss(e_step(source, mixture, CENTRED)[0].statistics)
    return LINEAR if loss <= MOST_LOSS else CENTRED


# Other streams belong to the log evidence (0, 1, 2, 6, 7) and Gibbs sampling (4, 5).
OF_THE_POSTERIOR = 3


@dataclass(frozen=True, repr=False)
class PosteriorSample(ByParameter):
    """S draws of a mixture of K components, from q or a bootstrap, in data units.

    Attributes
    ----------
    weights : array (S, K)
    means : array (S, K, D)
        Also the probabilities of Bernoulli and the rates of Poisson mixtures.
    covariances : array, Gaussian mixtures
        (S, K, D, D) full, (S, D, D) tied, (S, K, D) diag, (S, K) spherical.
    scale : array, Gaussian mixtures whose prior learned its scale
        Shaped as ``covariance_prior_`` after the first axis.
    probabilities, rates : array (S, K, D)
        Bernoulli and Poisson mixtures.
    log_means, log_variances : array (S, K, D)
        Log-normal mixtures.
    shapes : array, Gamma mixtures
        Shaped as ``rates``.
    scales, degrees_of_freedom : array, Student-t mixtures
        Scale matrices shaped as ``covariances``, and one number per component.
    startprob, transmat : array (S, K), (S, K, K), hidden Markov models
        Weights are those of the stationary distribution.
    """

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        shapes = [f"{name} {value.shape}" for name, value in self.items()]
        return f"<PosteriorSample: {len(self)} draws, {', '.join(shapes)}>"

    def summary(self) -> str:
        """Return the number of draws, and ranges of means and standard deviations by parameter."""
        lines = [f"{len(self):,} draws of a mixture with {self.weights.shape[1]} components."]
        for name, values in self.items():
            means, spread = values.mean(axis=0), values.std(axis=0)
            lines.append(
                f"  {name}: means from {means.min():.4g} to {means.max():.4g}, standard deviations "
                f"from {spread.min():.2g} to {spread.max():.2g}"
            )
        return "\n".join(lines)


def refuse_many(result: FitResult, n_draws: int) -> None:
    """Raise if the draws would not fit in memory."""
    n_bytes = 2.0 * 8.0 * n_draws * result.n_parameters
    validation.in_memory(f"{n_draws:,} draws", n_bytes, "use fewer draws")


def variational_estimator(result: FitResult) -> str:
    """Return what to fit for a posterior."""
    name = "HiddenMarkovModel" if result.side.ordered else "BayesianGaussianMixture, or Mixture"
    return f"{name} with inference=VariationalBayes()"


def posterior_draws(result: FitResult, n_draws: int, seed: int) -> Draws:
    """Return draws from q in the fit's coordinates; equal seeds and sizes give equal draws.

    Raises ``UnsupportedError`` if the fit has no posterior.
    """
    refuse_noise(result, "a draw")
    if not result.variational:
        words = result.inference.name.replace("_", " ")
        bands = "; for bands, method='bootstrap' needs no posterior"
        raise UnsupportedError(
            f"a {words} fit is a point estimate without a posterior: use a variational fit "
            f"({variational_estimator(result)}){'' if result.side.ordered else bands}"
        )
    refuse_many(result, n_draws)
    return draws_of(result.posterior, n_draws, stream(seed, Purpose.DRAW, OF_THE_POSTERIOR))


def posterior_sample(result: FitResult, n_draws: int, seed: int) -> PosteriorSample:
    """Return draws from q in data units; see ``sample_posterior`` of the estimators."""
    return sample_of(result, posterior_draws(result, n_draws, seed))


def sample_of(result: FitResult, draws: Draws) -> PosteriorSample:
    """Convert draws from the fit's coordinates to data units."""
    return as_sample(draws, parameters_of(result, draws))


def as_sample(draws: Draws, named: Named) -> PosteriorSample:
    """Return weights and named parameters as a sample."""
    refuse_parts(named, "posterior sample")
    values = {name: value for name, (_, value) in named.items()}
    # Means repeat rates and probabilities, whose names take precedence.
    values.setdefault("means", next(iter(values.values())))
    return PosteriorSample({"weights": np.exp(draws.weights.log_weights), **values})


def parameters_of(result: FitResult, draws: Draws) -> Named:
    """Return parameters of draws besides π in data units by name, with the names of their axes.

    Includes a learned scale of the prior.
    """
    named = draws.components.parameters(result.mixture.frame) | draws.weights.named()
    drawn = named.pop("covariance_prior", None)
    prior: Any = result.bayesian.parameters_prior if drawn is not None else None
    if drawn is not None and prior.scale.learned:
        named["scale"] = drawn
    return named


def mixtures_of(result: FitResult, draws: Draws) -> Iterator[Mixture[PointComponents]]:
    """Return every draw as a mixture with point parameters, in the fit's coordinates."""
    for draw, log_weights in enumerate(draws.weights.log_weights):
        weights = np.exp(log_weights)
        yield Mixture(
            # Exponentiated log weights sum to 1 only up to rounding.
            PointWeights(weights / weights.sum()),
            draws.components.at(draw),
            result.mixture.frame,
        )


def log_densities_at(result: FitResult, draws: Draws, source: Source) -> Array:
    """Return log p(x_n | draw) (n, S) of any samples, including those off the plane of the fit.

    Of samples with missing values it is the density of the others.
    """
    densities = log_densities(result, draws, source)
    frame = result.mixture.frame
    in_part = result.family.continuous and source.summary.n_missing
    if frame.rest is None and (not frame.is_whole or in_part):
        densities += (result.log_volume - _log_volumes(result, source))[:, None]
    return densities


def _log_volume(mixture: Mixture, rows: Rows) -> Any:
    return rows.observation.log_volume(mixture, rows)


@dataclass(frozen=True)
class DrawnMixtures:
    """S draws of (π, θ) in the coordinates of a fit: from q, Gibbs sampling or a bootstrap.

    ``parts`` groups the draws by number of components. ``align_by``: data for relabelling draws
    with label switching; None if labels are those of the fit.
    """

    result: FitResult
    parts: tuple[Draws, ...]
    align_by: Source | None = None

    @property
    def n_draws(self) -> int:
        return sum(part.n_draws for part in self.parts)

    def log_densities(self, source: Source) -> Array:
        of_parts = [log_densities_at(self.result, part, source) for part in self.parts]
        return of_parts[0] if len(of_parts) == 1 else np.concatenate(of_parts, axis=1)

    def mixtures(self) -> Iterator[Mixture[PointComponents]]:
        return chain.from_iterable(mixtures_of(self.result, part) for part in self.parts)

    def at_most(self, n_draws: int) -> DrawnMixtures:
        if self.n_draws <= n_draws:
            return self
        numbers = np.linspace(0, self.n_draws - 1, n_draws).astype(np.int64)
        parts, first = [], 0
        for part in self.parts:
            of_part = numbers[(numbers >= first) & (numbers < first + part.n_draws)] - first
            first += part.n_draws
            if len(of_part):
                parts.append(part.some(of_part))
        return replace(self, parts=tuple(parts))
