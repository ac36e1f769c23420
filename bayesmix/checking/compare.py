"""Tables of a fit beside a sampler, and how far apart their predictive densities are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.checking.quantities import Quantity
from bayesmix.errors import missing_extra
from bayesmix.numerics.arrays import Array
from bayesmix.random import Purpose, stream
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.sampling.draws.posterior_sample import log_densities_at, mixtures_of
from bayesmix.sources import as_source
from bayesmix.workflow.result import FitResult

OF_ROWS = 10  # stream; others of the posterior have lower numbers
# The interval of q of which is counted how much of the sampler's posterior it holds.
LEVEL = 0.9
# Rows at which predictive densities are compared, and at most so many draws behind the sampler's.
N_ROWS, MOST_DRAWS = 2000, 1000
COLUMNS = (
    "fit_mean", "fit_sd", "sampler_mean", "sampler_sd", "difference", "ratio", "covered", "rhat",
    "ess", "fit_5%", "fit_95%", "sampler_5%", "sampler_95%",
)  # fmt: skip


def table(quantities: Sequence[Quantity]) -> pd.DataFrame:
    """A row per quantity; needs ArviZ for R-hat (rank-normalised) and effective draws (bulk).

    ``difference`` is that of the means (sampler - fit) in standard deviations of the sampler,
    ``ratio`` the sampler's standard deviation over the fit's, ``covered`` the share of the
    sampler's draws within the fit's central 90% interval.
    """
    arviz = required_arviz()
    rows = [_row(one, arviz) for one in quantities]
    index = pd.Index([one.name for one in quantities], name="quantity", dtype=object)
    return pd.DataFrame(rows, index, columns=COLUMNS)


def slowest(quantities: Sequence[Quantity], *tables: pd.DataFrame) -> Quantity:
    """That of all tables with the largest R-hat: chains that are stuck differ in it the most."""
    rhat = np.concatenate([table["rhat"].to_numpy() for table in tables])
    return quantities[int(np.argmax(rhat))]


def required_arviz() -> Any:
    """ArviZ, without what it announces of its own future where it is first imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            import arviz
        except ImportError:
            raise missing_extra("ArviZ", "pymc") from None
    return arviz


def _row(one: Quantity, arviz: Any) -> dict[str, float]:
    ends = ((1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0)
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
        # One chain, as an interrupted run may leave, cannot show that it has converged.
        "rhat": float(arviz.rhat(one.sampled)) if len(one.sampled) > 1 else math.inf,
        "ess": float(arviz.ess(one.sampled)),
        "fit_5%": float(low),
        "fit_95%": float(high),
        "sampler_5%": float(lowest),
        "sampler_95%": float(highest),
    }


@dataclass(frozen=True)
class Distance:
    """Total variation distance of two densities, from 0 (the same) to 1.

    ``standard_error`` is Monte Carlo: of the rows at which they were compared, and of the draws
    over which the sampler's density is an average. The latter also makes the distance too large.
    """

    value: float
    standard_error: float


def predictive_distance(result: FitResult, draws: Draws, n_chains: int, seed: int) -> Distance:
    """Between the fit's predictive density and the average of the densities of the draws.

    ½ ∫ |p - p'| is the mean of |p - p'| / (p + p') over rows half of which are from either. The
    error of the average over draws is half of the distance between those over two halves of them.
    """
    generator = stream(seed, Purpose.DRAW, OF_ROWS)
    numbers = np.arange(draws.n_draws).reshape(n_chains, -1)
    each = min(numbers.shape[1], MOST_DRAWS // n_chains)
    spaced = np.linspace(0, numbers.shape[1] - 1, each).round().astype(np.intp)
    some = draws.some(numbers[:, spaced].ravel())
    half = N_ROWS // 2
    rows = np.concatenate(
        [result.draw(half, generator)[0], _rows_of_draws(result, some, half, generator)]
    )
    logs = log_densities_at(result, some, as_source(rows))
    later = np.tile(np.arange(each) >= each // 2, n_chains)
    own = result.log_density(rows)
    first, second = _log_mean(logs[:, ~later]), _log_mean(logs[:, later])
    whole = _log_mean(logs)
    both = np.logaddexp(own, whole)
    apart = np.abs(np.exp(own - both) - np.exp(whole - both))
    halves_apart = np.abs(np.exp(first - both) - np.exp(second - both))
    error = float(apart.std()) / math.sqrt(len(rows))
    return Distance(float(apart.mean()), math.hypot(error, 0.5 * float(halves_apart.mean())))


def _rows_of_draws(
    result: FitResult, draws: Draws, n_rows: int, generator: np.random.Generator
) -> Array:
    """Rows (n, D) from the average over draws: as many from each as there are, or one more."""
    rows = []
    share, more = divmod(n_rows, draws.n_draws)
    for number, mixture in enumerate(mixtures_of(result, draws)):
        n = share + (number < more)
        if n:
            counts = generator.multinomial(n, mixture.weights.mean())
            rows.append(mixture.frame.undo(mixture.components.draw(counts, generator)))
    return np.concatenate(rows)


def _log_mean(logs: Array) -> Any:
    return np.logaddexp.reduce(logs, axis=1) - math.log(logs.shape[1])
