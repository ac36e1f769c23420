"""Quantities, distances, modes and invariance tests that compare a fit with posterior draws.

Fits started at assignments of the draws show which modes the chains visit. One sweep of Gibbs
sampling leaves draws from the model's posterior unchanged in distribution, and moves others.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.special import entr

from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, stream
from bayesmix.core.sources import Source
from bayesmix.em.model import Model, Settings, posed
from bayesmix.em.result import FitResult
from bayesmix.em.run import Aitken, Monitor, begin, run
from bayesmix.errors import missing_extra
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.posterior import BATCH_VALUES
from bayesmix.posterior.bands import labels_of, named_draws, tails
from bayesmix.posterior.chains import blocked_gibbs, each_repetition
from bayesmix.posterior.evidence import log_mean, variance_of_mean
from bayesmix.posterior.labels import Alignment, in_order
from bayesmix.posterior.posterior_draws import (
    Draws,
    joined,
    log_densities_at,
    log_likelihoods,
    log_prior,
    mixtures_of,
    posterior_draws,
    shares_of,
)
from bayesmix.posterior.subject import log_volume
from bayesmix.sources.memory import as_source

# Quantiles of the samples whose log density is compared.
PLACES = (0.05, 0.5, 0.95)
# Rounding of a responsibility of 1.
CERTAIN = 1e-15
# Relative variation that counts as rounding, as of the variance of a constant feature.
ROUNDING = 1e-10
OCCUPIED = "occupied components"


@dataclass(frozen=True)
class FitDraws:
    """Draws from q, with log p(X | π, θ) and log p(X, π, θ) (M,) in nats and data units."""

    draws: Draws = field(repr=False)
    log_likelihood: Array = field(repr=False)
    log_joint: Array = field(repr=False)


def fit_draws(result: FitResult, source: Source, n_draws: int, seed: int) -> FitDraws:
    """Return draws from q with their log densities."""
    draws = posterior_draws(result, n_draws, seed)
    likelihood = log_likelihoods(result, draws, source)
    return FitDraws(draws, likelihood, likelihood + log_prior(result.bayesian, draws))


@dataclass(frozen=True)
class Quantity:
    """One scalar per draw: ``fitted`` (M,) under q, NaN where undefined; ``sampled`` (C, S)."""

    name: str
    fitted: Array = field(repr=False)
    sampled: Array = field(repr=False)


def of_parameters(
    result: FitResult, fit_draws: Draws, draws: Draws, alignment: Alignment, n_chains: int
) -> list[Quantity]:
    """Weights and parameters of the fit's components in data units; of matrices one triangle."""
    of_fit, of_sampler = named_draws(result, fit_draws), named_draws(result, draws)
    quantities = []
    for kind, (axes, values) in of_sampler.items():
        fitted = of_fit[kind][1]
        arranged = in_order(values, axes, alignment.order[:, : result.n_components])
        columns = fitted.reshape(len(fitted), -1).T
        sampled_columns = arranged.reshape(len(arranged), -1).T
        for number, name in labels_of(kind, axes, fitted.shape[1:], result):
            sampled = sampled_columns[number].reshape(n_chains, -1)
            quantities.append(Quantity(name, columns[number], sampled))
    return _that_vary(quantities)


def of_all_draws(
    result: FitResult, source: Source, fit_draws: FitDraws, sampler: Any, alignment: Alignment
) -> list[Quantity]:
    """Return label-invariant quantities such as densities, sorted weights and entropy."""
    draws, n_chains = sampler.draws, sampler.n_chains
    fit_weights, sampled_weights = _by_size(fit_draws.draws), _by_size(draws)
    pairs: dict[str, tuple[Array, Array]] = {}
    # The prior density of sticks depends on the order of the components.
    if result.posterior.weights.exchangeable:
        # Densities for different numbers of components are not comparable.
        same_size = fit_weights.shape[1] == sampled_weights.shape[1]
        unknown = np.full(len(fit_draws.log_joint), np.nan)
        pairs["log joint density"] = (
            fit_draws.log_joint if same_size else unknown,
            sampler.log_joint.ravel(),
        )
    pairs["log likelihood"] = fit_draws.log_likelihood, sampler.log_likelihood.ravel()
    # Samples from the tail to the middle of a component.
    density = result.log_density(source.in_memory(alignment.rows).values)
    places = (np.array(PLACES) * (len(density) - 1)).round().astype(np.intp)
    rows = np.unique(alignment.rows[np.argsort(density, kind="stable")][places])
    placed = as_source(source.in_memory(rows).values)  # without the order of sequences
    densities = (log_densities_at(result, drawn, placed) for drawn in (fit_draws.draws, draws))
    for row, fitted, sampled in zip(rows, *densities, strict=True):
        pairs[f"log density of sample {row}"] = fitted, sampled
    for place in range(fit_weights.shape[1]):
        pairs[f"weight {place + 1} by size"] = (fit_weights[:, place], sampled_weights[:, place])
    pairs["entropy of the weights"] = (entropies(fit_draws.draws), entropies(draws))
    if not result.side.ordered:  # states of a sequence are dependent
        with single_threaded_blas():
            rows = alignment.rows
            pairs[OCCUPIED] = (
                occupied(result, source, fit_draws.draws, rows),
                occupied(result, source, draws, rows),
            )
    both = pairs.items()
    return _that_vary([Quantity(name, q, mcmc.reshape(n_chains, -1)) for name, (q, mcmc) in both])


def _by_size(draws: Draws) -> Array:
    return -np.sort(-np.exp(draws.weights.log_weights), axis=1)


def entropies(draws: Draws) -> Array:
    """Return the entropy -Σ π log π (S,) in nats."""
    return entr(np.exp(draws.weights.log_weights)).sum(axis=1)


def occupied(result: FitResult, source: Source, draws: Draws, rows: Integers) -> Array:
    """Return E[number of occupied components | π, θ, X] (S,), extrapolated from some samples."""
    samples = source.in_memory(rows).rows
    framed = result.mixture.frame.apply(samples.values)
    counted = samples.weights_or_ones
    counted = counted * (source.total_weight / counted.sum())
    size = max(1, BATCH_VALUES // (draws.n_components * len(rows)))
    numbers = []
    for part in draws.in_parts(size):
        shares = shares_of(part, framed, samples)
        without = np.log(np.maximum(1.0 - shares, CERTAIN))
        numbers.append(-np.expm1(np.tensordot(counted, without, axes=1)).sum(axis=1))
    return np.concatenate(numbers)


def _that_vary(quantities: list[Quantity]) -> list[Quantity]:
    def least(one: Quantity) -> float:
        return 0.01 if one.name == OCCUPIED else ROUNDING * float(np.abs(one.sampled).max())

    return [one for one in quantities if one.sampled.std() > least(one)]


OF_ROWS = 10  # random stream; lower numbers belong to other posterior methods
# Level of the fit's interval whose posterior probability is reported.
LEVEL = 0.9
# Samples at which predictive densities are compared, and most draws averaged.
N_ROWS, MOST_DRAWS = 2000, 1000
COLUMNS = (
    "fit_mean", "fit_sd", "sampler_mean", "sampler_sd", "difference", "ratio", "covered", "rhat",
    "ess", "fit_5%", "fit_95%", "sampler_5%", "sampler_95%",
)  # fmt: skip


def table(quantities: Sequence[Quantity]) -> pd.DataFrame:
    """Return one line per quantity; R-hat and bulk effective sample size need ArviZ.

    ``difference`` of means (sampler - fit) is in posterior standard deviations, ``ratio`` is the
    sampler's standard deviation over the fit's, ``covered`` the share of the sampler's draws in the
    fit's central 90 % interval.
    """
    arviz = required_arviz()
    rows = [_row(one, arviz) for one in quantities]
    index = pd.Index([one.name for one in quantities], name="quantity", dtype=object)
    return pd.DataFrame(rows, index, columns=COLUMNS)


def slowest(quantities: Sequence[Quantity], *tables: pd.DataFrame) -> Quantity:
    """Return the quantity with the largest R-hat."""
    rhat = np.concatenate([table["rhat"].to_numpy() for table in tables])
    return quantities[int(np.argmax(rhat))]


def required_arviz() -> Any:
    """Import ArviZ without its announcement of future changes."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        try:
            import arviz
        except ImportError:
            raise missing_extra("ArviZ", "pymc") from None
    return arviz


def _row(one: Quantity, arviz: Any) -> dict[str, float]:
    ends = tails(LEVEL)
    mean, sd = float(one.sampled.mean()), float(one.sampled.std())
    own_mean, own_sd = float(one.fitted.mean()), float(one.fitted.std())
    low, high = np.quantile(one.fitted, ends)
    inside = float(((one.sampled >= low) & (one.sampled <= high)).mean())
    lowest, highest = np.quantile(one.sampled, ends)
    return {
        "fit_mean": own_mean,
        "fit_sd": own_sd,
        "sampler_mean": mean,
        "sampler_sd": sd,
        "difference": (mean - own_mean) / sd,
        "ratio": sd / own_sd if own_sd > 0.0 else math.nan,
        "covered": inside if math.isfinite(own_sd) else math.nan,
        # One chain, as an interrupted run may leave, cannot show convergence.
        "rhat": float(arviz.rhat(one.sampled)) if len(one.sampled) > 1 else math.inf,
        "ess": float(arviz.ess(one.sampled)),
        "fit_5%": float(low),
        "fit_95%": float(high),
        "sampler_5%": float(lowest),
        "sampler_95%": float(highest),
    }


@dataclass(frozen=True)
class Distance:
    """Total variation distance of two densities, from 0 (identical) to 1.

    ``standard_error`` covers the evaluation points and the number of draws; averaging over few
    draws also biases the distance upwards.
    """

    value: float
    standard_error: float


def spaced(n_draws: int, n_chains: int, n_chosen: int) -> Integers:
    """Return evenly spaced indices of draws, ``n_chosen`` of each chain."""
    numbers = np.arange(n_draws).reshape(n_chains, -1)
    places = np.linspace(0, numbers.shape[1] - 1, n_chosen).round().astype(np.intp)
    return numbers[:, places].ravel()


def predictive_distance(result: FitResult, draws: Draws, n_chains: int, seed: int) -> Distance:
    """Return the distance between the fit's predictive density and that averaged over draws.

    ½ ∫ |p - p'| is the mean of |p - p'| / (p + p') over points drawn half from each. The error due
    to the number of draws is half the distance between two halves of them.
    """
    generator = stream(seed, Purpose.DRAW, OF_ROWS)
    n_chosen = min(draws.n_draws, MOST_DRAWS) // n_chains
    chosen = draws.some(spaced(draws.n_draws, n_chains, n_chosen))
    half = N_ROWS // 2
    rows = np.concatenate(
        [result.draw(half, generator)[0], _rows_of_draws(result, chosen, half, generator)]
    )
    logs = log_densities_at(result, chosen, as_source(rows))
    later = np.tile(np.arange(n_chosen) >= n_chosen // 2, n_chains)
    of_fit = result.log_density(rows)
    halves = logs[:, ~later], logs[:, later]
    first, second, of_draws = (log_mean(part, 1) for part in (*halves, logs))
    total = np.logaddexp(of_fit, of_draws)
    apart = np.abs(np.exp(of_fit - total) - np.exp(of_draws - total))
    halves_apart = np.abs(np.exp(first - total) - np.exp(second - total))
    error = float(apart.std()) / math.sqrt(len(rows))
    return Distance(float(apart.mean()), math.hypot(error, 0.5 * float(halves_apart.mean())))


def _rows_of_draws(
    result: FitResult, draws: Draws, n_rows: int, generator: np.random.Generator
) -> Array:
    """Return points (n, D) from the density averaged over draws, equally many per draw."""
    rows = []
    share, more = divmod(n_rows, draws.n_draws)
    for number, mixture in enumerate(mixtures_of(result, draws)):
        n = share + (number < more)
        if n:
            counts = generator.multinomial(n, mixture.weights.mean())
            rows.append(mixture.drawn(counts, generator))
    return np.concatenate(rows)


OF_RESTARTS = 13  # random stream; lower numbers belong to other posterior methods
# Most starts per chain, fewer for large data, and most passes of each.
MOST_STARTS, LEAST_STARTS, MOST_RESTART_WORK = 10, 2, 4e7
MOST_PASSES = 500
# Optima that assign at most this share of samples differently count as one.
SAME = 0.05


@dataclass(frozen=True)
class Mode:
    """One optimum; the first in a list is that of the fit.

    ``init_params=mode.responsibilities`` starts a fit there.

    Attributes
    ----------
    share : float
        Share of the restarts from posterior draws that reach this mode.
    by_chain : tuple of float
        The same share for each chain.
    elbo : float
        In nats and data units.
    away : float
        Share of the samples assigned to other components than in the fit.
    weights : tuple of float
        Largest first.
    responsibilities : array (n, K)
    """

    share: float
    by_chain: tuple[float, ...]
    elbo: float
    away: float
    weights: tuple[float, ...]
    responsibilities: Array = field(repr=False, compare=False)


def modes_of(
    result: FitResult, source: Source, draws: Draws, n_chains: int, rows: Integers, seed: int
) -> tuple[Mode, ...]:
    """Return the fit's optimum, then others by the share of restarts that reach them."""
    numbers = np.arange(draws.n_draws).reshape(n_chains, -1)
    n_components = draws.n_components
    work = source.shape[0] * source.shape[1] * n_components * n_chains
    n_starts = int(np.clip(MOST_RESTART_WORK / work, LEAST_STARTS, MOST_STARTS))
    # Restarts use the last draws of a chain, because its first depend on the fit.
    chosen = np.array([part[-1] for part in np.array_split(np.arange(numbers.shape[1]), n_starts)])
    whole = source.in_memory().rows
    counted = whole.weights_or_ones[rows]
    counted = counted / counted.sum()
    with single_threaded_blas():
        of_fit = np.zeros((len(rows), n_components))
        of_fit[:, : result.n_components] = result.mixture.responsibilities(whole)[0][rows]
        fits = _fits(result, source, draws, numbers[:, chosen].ravel(), seed)
    leaders, optima = [of_fit], [(result.mixture, result.objective)]
    which = []
    for mixture, elbo in fits:
        responsibilities = mixture.responsibilities(whole)[0][rows]
        distances = [apart(responsibilities, one, counted) for one in leaders]
        if min(distances) > SAME:
            leaders.append(responsibilities)
            optima.append((mixture, elbo))
            distances.append(0.0)
        which.append(int(np.argmin(distances)))
    by_chain = np.array(which).reshape(n_chains, -1)
    modes = [
        Mode(
            share=float((by_chain == mode).mean()),
            by_chain=tuple(float(share) for share in (by_chain == mode).mean(axis=1)),
            elbo=elbo,
            away=apart(leaders[mode], of_fit, counted),
            weights=tuple((-np.sort(-mixture.weights.mean())).tolist()),
            responsibilities=frozen(mixture.responsibilities(whole)[0]),
        )
        for mode, (mixture, elbo) in enumerate(optima)
    ]
    return (modes[0], *sorted(modes[1:], key=lambda mode: -mode.share))


def _fits(
    result: FitResult, source: Source, draws: Draws, chosen: Integers, seed: int
) -> list[tuple[Mixture, float]]:
    """Return the responsibilities and ELBO that each restart converges to."""
    sampler = blocked_gibbs(result, source, each_repetition)
    model = Model(draws.n_components, result.family, result.inference)
    problem = posed(model, source, Settings(Aitken()), result.mixture.frame, result.inference)
    fits = []
    for number in chosen:
        draw = draws.some(np.array([number]))
        start = sampler.assigned(draw, (seed, OF_RESTARTS, int(number)))
        state = run(problem, begin(problem, start, result.mixture), Monitor(), MOST_PASSES)
        fits.append((state.current_mixture(), state.objective - log_volume(result, source)))
    return fits


def apart(first: Array, second: Array, counted: Array) -> float:
    """Return the share of samples that two responsibilities (n, K) assign differently.

    Labels are matched; the share is the mean total variation distance with weights (n,) that sum to
    one.
    """
    overlap = np.array([[counted @ np.minimum(a, b) for b in second.T] for a in first.T])
    matched = linear_sum_assignment(overlap, maximize=True)
    return max(0.0, 1.0 - float(overlap[matched].sum()))


# Random streams; lower numbers belong to other posterior methods.
OF_STEPS, OF_SWEEPS = 11, 12
# Most draws that take a step, those of a default run, and fewer for large data: the standard error
# of a mean log prior of 50 parameters is 0.1 nats then.
MOST_STEPS, LEAST_STEPS, MOST_SWEEP_WORK = 4000, 40, 2e9
# Level of the test of a change, for which four are tested: one false alarm in 2,500 comparisons.
FALSE_ALARM = 1e-4
# Batches for the standard error: with 20, changes would have to be 1.2 times as large.
N_BATCHES = 40


@dataclass(frozen=True)
class Moved:
    """Mean change of one function of the draws in one Gibbs sweep, with its p-value."""

    name: str
    change: float
    standard_error: float
    p_value: float

    @property
    def for_certain(self) -> bool:
        return self.p_value < FALSE_ALARM


def moved_by_gibbs(
    result: FitResult, source: Source, draws: Draws, n_chains: int, seed: int
) -> tuple[Moved, ...]:
    """Return the mean change in one sweep of log priors, log likelihood and weight entropy.

    The sweep leaves labels as they are: stick-breaking weights have a posterior for each order of
    the components, and a chain may keep its order.
    """
    work = source.shape[0] * source.shape[1] * draws.n_components
    wanted = int(np.clip(MOST_SWEEP_WORK / work, LEAST_STEPS, MOST_STEPS))
    n_chosen = max(1, min(wanted, draws.n_draws) // n_chains)
    chosen = spaced(draws.n_draws, n_chains, n_chosen)
    generator = stream(seed, Purpose.DRAW, OF_STEPS)
    with single_threaded_blas():
        sampler = blocked_gibbs(result, source, each_repetition)
        after = []
        for number in chosen:
            key = (seed, OF_SWEEPS, int(number))
            _, conditional = sampler.sweep(draws.some(np.array([number])), generator, key)
            after.append(sampler.drawn(conditional, generator))
    here, there = draws.some(chosen), joined(after)
    of_weights, of_parameters = result.bayesian.weights_prior, result.bayesian.parameters_prior
    functions = {
        "log prior density of weights": lambda drawn: of_weights.log_density_of(drawn.weights),
        "log prior density of parameters": lambda drawn: of_parameters.log_density_of(
            drawn.components
        ),
        "log likelihood": lambda drawn: log_likelihoods(result, drawn, source),
        "entropy of the weights": entropies,
    }
    return tuple(
        _moved(name, (function(there) - function(here)).reshape(n_chains, -1))
        for name, function in functions.items()
    )


def _moved(name: str, changes: Array) -> Moved:
    if changes.size < 2 * N_BATCHES or np.ptp(changes) == 0.0:
        return Moved(name, float(changes.mean()), 0.0, 1.0)
    error = variance_of_mean(changes, N_BATCHES) ** 0.5
    change = float(changes.mean())
    p_value = 2.0 * float(stats.t.sf(abs(change) / error, N_BATCHES - 1))
    return Moved(name, change, error, p_value)
