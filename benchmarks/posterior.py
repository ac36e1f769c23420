"""Simulation-based calibration of posterior draws.

``sbc``: data sets drawn from a fixed proper prior and the model. The rank of the true value of a
quantity among draws from the posterior is uniform if these are what they say (Talts et al. 2018);
intervals of other draws cover the truth as often as is measured. Quantities do not depend on
labels.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy import stats
from scipy.special import logsumexp

import bayesmix as bm

# K = 2, one dimension, 50 rows: means of components are a few standard deviations apart.
PRIOR = {
    "mean_prior": [0.0],
    "mean_precision_prior": 0.2,
    "degrees_of_freedom_prior": 6.0,
    "covariance_prior": [[6.0]],
    "weight_concentration_prior": 2.0,
    "weight_concentration_prior_type": "dirichlet_distribution",
}
N_ROWS = 50
# Draws that ranks are taken among, sweeps from one to the next, and before the first.
N_RANKED, EVERY, WARMUP = 49, 20, 200
N_DRAWS, N_REFITS = 999, 99
# The bootstrap costs most by far: of so many of the data sets.
N_BOOTSTRAPPED = 200
LEVELS = (0.5, 0.9, 0.95)
METHODS = ("Gibbs", "q", "weighted bootstrap")
RANKS = Path("benchmarks/results/sbc-ranks.json")
# Parameters of mixtures: weights, means and variances, all (S, 2).
Parameters = tuple[Any, Any, Any]


def drawn(seed: int) -> tuple[Parameters, Any]:
    """Parameters from the prior, and rows (n, 1) from the model."""
    generator = np.random.default_rng([seed, 2018])
    weights = generator.dirichlet([2.0, 2.0], 1)
    precisions = generator.gamma(3.0, 1.0 / 3.0, (1, 2))  # Wishart(1/6, 6) in one dimension
    means = generator.normal(0.0, 1.0 / np.sqrt(0.2 * precisions))
    labels = generator.choice(2, N_ROWS, p=weights[0])
    rows = generator.normal(means[0, labels], 1.0 / np.sqrt(precisions[0, labels]))
    return (weights, means, 1.0 / precisions), rows[:, None]


def quantities(parameters: Parameters, rows: Any) -> dict[str, Any]:
    """What does not depend on labels, (S,) each; densities by SciPy, not by the package."""
    weights, means, variances = parameters

    def log_terms(x: Any) -> Any:
        """log π_k N(x | k) (S, 2, n)."""
        normal = stats.norm.logpdf(x, means[:, :, None], np.sqrt(variances)[:, :, None])
        return np.log(weights)[:, :, None] + normal

    terms = log_terms(rows[:, 0])
    density = logsumexp(terms, axis=1)
    precisions = 1.0 / variances
    prior = (
        np.log(weights).sum(axis=1)
        + stats.gamma.logpdf(precisions, 3.0, scale=1.0 / 3.0).sum(axis=1)
        + stats.norm.logpdf(means, 0.0, np.sqrt(variances / 0.2)).sum(axis=1)
    )
    shares = np.exp(terms[:, :, :2] - density[:, None, :2])
    return {
        "larger weight": weights.max(axis=1),
        "distance of the means": np.abs(means[:, 0] - means[:, 1]),
        "log joint density": density.sum(axis=1) + prior,
        "log density at 0": logsumexp(log_terms(0.0), axis=1)[:, 0],
        "log density at 3": logsumexp(log_terms(3.0), axis=1)[:, 0],
        "rows 0 and 1 together": shares.prod(axis=2).sum(axis=1),
    }


def fitted(rows: Any) -> Any:
    """The variational fit under the prior that the rows are from."""
    model = bm.BayesianGaussianMixture(
        2, prune=False, max_iter=5000, random_state=0, n_jobs=1, **PRIOR
    )
    return model.fit(rows)


# Hidden Markov model of two states, two sequences of counts.
LENGTHS = (20, 20)
CHAIN_PRIOR = {"transition_prior": 1.5}
RATE_PRIOR = bm.GammaPrior(2.0, 0.4)


def drawn_sequences(seed: int) -> tuple[Parameters, Any]:
    """First state (1, 2), transitions (1, 2, 2) and rates (1, 2) from the prior, and counts."""
    generator = np.random.default_rng([seed, 2025])
    initial, transition = generator.dirichlet([1.5, 1.5], 1), generator.dirichlet([1.5, 1.5], 2)
    rates = generator.gamma(2.0, 1.0 / 0.4, 2)
    states = []
    for length in LENGTHS:
        state = generator.choice(2, p=initial[0])
        for _ in range(length):
            states.append(state)
            state = generator.choice(2, p=transition[state])
    rows = generator.poisson(rates[states])[:, None].astype(float)
    return (initial, transition[None], rates[None]), rows


def quantities_of_sequences(parameters: Parameters, rows: Any) -> dict[str, Any]:
    """States by their rates, and the log joint density by a plain recursion, (S,) each."""
    order = np.argsort(parameters[2], axis=1)
    initial, rates = (np.take_along_axis(parameters[i], order, axis=1) for i in (0, 2))
    moves = np.take_along_axis(parameters[1], order[:, :, None], axis=1)
    moves = np.take_along_axis(moves, order[:, None, :], axis=2)
    joint = stats.gamma.logpdf(rates, 2.0, scale=1.0 / 0.4).sum(axis=1)
    joint += 0.5 * (np.log(initial).sum(axis=1) + np.log(moves).sum(axis=(1, 2)))
    log_densities = stats.poisson.logpmf(rows, rates[:, None, :])
    for part in np.split(log_densities, np.cumsum(LENGTHS)[:-1], axis=1):
        forward = np.log(initial) + part[:, 0]
        for step in range(1, part.shape[1]):
            forward = logsumexp(forward[:, :, None] + np.log(moves), axis=1) + part[:, step]
        joint += logsumexp(forward, axis=1)
    return {
        "smaller rate": rates[:, 0],
        "larger rate": rates[:, 1],
        "stay at the smaller": moves[:, 0, 0],
        "stay at the larger": moves[:, 1, 1],
        "first at the smaller": initial[:, 0],
        "log joint density": joint,
    }


def fitted_sequences(rows: Any, **options: Any) -> Any:
    """The variational hidden Markov model under the prior that the rows are from."""
    options = {"family": bm.Poisson(), "inference": bm.VariationalBayes(RATE_PRIOR)} | options
    return bm.HiddenMarkovModel(2, random_state=0, **CHAIN_PRIOR, **options).fit(
        rows, lengths=LENGTHS
    )


def places_of_sequences(seed: int) -> dict[str, dict[str, float]]:
    """As ``places``, for hidden Markov models: draws by Gibbs sampling and from q."""
    warnings.simplefilter("ignore")
    truth, rows = drawn_sequences(seed)
    generator = np.random.default_rng([seed, 2])
    model = fitted_sequences(rows)
    found = bm.gibbs(
        model, rows, EVERY * N_RANKED, 1, WARMUP, random_state=seed, n_jobs=1, progress=False
    )
    some = slice(EVERY - 1, None, EVERY)
    names = ("startprob", "transmat", "rates")
    initial, transition, rates = (found.parameters[name][0, some] for name in names)
    sample = model.sample_posterior(N_DRAWS, random_state=seed)
    draws = {
        "Gibbs": (initial, transition, rates[:, :, 0]),
        "q": (sample.startprob, sample.transmat, sample.rates[:, :, 0]),
    }
    expected = quantities_of_sequences(truth, rows)
    return {
        method: {
            name: place_of(float(expected[name][0]), values, generator)
            for name, values in quantities_of_sequences(parameters, rows).items()
        }
        for method, parameters in draws.items()
    }


def sbc_of_sequences(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Places of the truth over 300 data sets of two sequences."""
    found = Parallel(n_jobs=-1)(
        delayed(places_of_sequences)(seed) for seed in range(20 if quick else 300)
    )
    by_method = {
        method: {name: [one[method][name] for one in found] for name in found[0][method]}
        for method in found[0]
    }
    table = ranked(by_method)
    for row in table:
        print("  ", row, flush=True)
    return table


def _of_gibbs(model: Any, rows: Any, seed: int) -> Parameters:
    found = bm.gibbs(
        model, rows, EVERY * N_RANKED, 1, WARMUP, random_state=seed, n_jobs=1, progress=False
    )
    some = slice(EVERY - 1, None, EVERY)
    parameters = found.parameters
    means, variances = (parameters[name].reshape(1, -1, 2) for name in ("means", "covariances"))
    return found.weights[0, some], means[0, some], variances[0, some]


def _of_sample(sample: Any) -> Parameters:
    return sample.weights, sample.means[:, :, 0], sample.covariances[:, :, 0, 0]


def _of_q(model: Any, rows: Any, seed: int) -> Parameters:
    return _of_sample(model.sample_posterior(N_DRAWS, random_state=seed))


def _of_bootstrap(model: Any, rows: Any, seed: int) -> Parameters:
    found = bm.weighted_bootstrap(
        model, rows, N_REFITS, random_state=seed, n_jobs=1, progress=False
    )
    return _of_sample(found.sample)


DRAWS: dict[str, Callable[[Any, Any, int], Parameters]] = dict(
    zip(METHODS, (_of_gibbs, _of_q, _of_bootstrap), strict=True)
)


def places(seed: int, methods: tuple[str, ...] = METHODS) -> dict[str, dict[str, float]]:
    """By method and quantity where the truth of one data set stands among the draws, in (0, 1).

    (rank + U) / (S + 1) with U uniform: exactly uniform where truth and draws are alike, ties
    included. NaN where a method refuses.
    """
    warnings.simplefilter("ignore")
    truth, rows = drawn(seed)
    generator = np.random.default_rng([seed, 1])
    model = fitted(rows)
    expected = quantities(truth, rows)
    out = {}
    for method in methods:
        try:
            found = quantities(DRAWS[method](model, rows, seed), rows)
        except ValueError:
            out[method] = dict.fromkeys(expected, np.nan)
            continue
        out[method] = {
            name: place_of(float(expected[name][0]), values, generator)
            for name, values in found.items()
        }
    return out


def place_of(truth: float, values: Any, generator: np.random.Generator) -> float:
    """(rank + U) / (S + 1), the rank among equal values by chance."""
    below, same = int((values < truth).sum()), int((values == truth).sum())
    rank = below + int(generator.integers(same + 1))
    return float((rank + generator.random()) / (len(values) + 1.0))


def ecdf_difference(values: Any, grid: Any) -> Any:
    """Share of the values up to each point of the grid, less the point."""
    return np.searchsorted(np.sort(values), grid, side="right") / len(values) - grid


def simultaneous_band(n: int, grid: Any, level: float = 0.95, n_simulated: int = 4000) -> Any:
    """Ends (G, 2) that ECDF differences of n uniform numbers keep at all points together.

    Pointwise binomial intervals of a level at which so many simulated ECDFs stay inside (Säilynoja,
    Bürkner & Vehtari 2022, sec. 2.2).
    """
    generator = np.random.default_rng(0)
    simulated = np.sort(generator.random((n_simulated, n)), axis=1)
    counts = np.array([np.searchsorted(one, grid, side="right") for one in simulated])
    tails = np.minimum(stats.binom.cdf(counts, n, grid), stats.binom.sf(counts - 1, n, grid))
    least = np.quantile(tails.min(axis=1), 1.0 - level)
    ends = np.column_stack([stats.binom.ppf(least, n, grid), stats.binom.isf(least, n, grid)])
    return ends / n - grid[:, None]


def ranked(places_of: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per quantity: how often intervals covered the truth, whether places are uniform."""
    grid = np.arange(1, 100) / 100.0
    table = []
    for method, named in places_of.items():
        for name, values in named.items():
            known = np.asarray(values, dtype=float)
            known = known[np.isfinite(known)]
            band = simultaneous_band(len(known), grid)
            away = ecdf_difference(known, grid)
            inside = bool(((away >= band[:, 0]) & (away <= band[:, 1])).all())
            row: dict[str, Any] = {"draws": method, "quantity": name, "data_sets": len(known)}
            for level in LEVELS:
                row[f"covered_of_{level:.0%}"] = float((np.abs(known - 0.5) < level / 2).mean())
            table.append({**row, "uniform_within_the_95%_band": "yes" if inside else "no"})
    return table


def sbc(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Places of the truth over 500 data sets."""
    n_sets = 20 if quick else 500
    began = time.perf_counter()
    found = Parallel(n_jobs=-1)(
        delayed(places)(seed, METHODS if seed < N_BOOTSTRAPPED else METHODS[:-1])
        for seed in range(n_sets)
    )
    by_method = {
        method: {
            name: [one[method][name] for one in found if method in one] for name in found[0][method]
        }
        for method in METHODS
    }
    if not quick:
        RANKS.write_text(json.dumps(by_method), encoding="utf-8")
    table = ranked(by_method)
    for row in table:
        print("  ", row, flush=True)
    print(f"   {time.perf_counter() - began:.0f} seconds", flush=True)
    return table
