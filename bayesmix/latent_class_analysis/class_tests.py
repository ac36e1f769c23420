"""Criteria of class enumeration, and tests of K - 1 against K classes.

Bootstrap (McLachlan 1987): simulated data sets get the search that the observed data need, as fewer
starts would make p-values too small (Nylund et al. 2007). Vuong, Lo, Mendell & Rubin need no
simulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.allocation.gate import shares_of
from bayesmix.assess.stability import quiet
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import part_index
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, drawn_labels, stream
from bayesmix.core.sources import InMemory
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.em.run import AMONG_CANDIDATES
from bayesmix.latent_class_analysis.class_fits import (
    SAME_LIKELIHOOD,
    STARTS,
    best_of,
    from_start,
    further_ends,
    race,
    random_end,
)
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.parameter_errors import ParameterScores
from bayesmix.selection.criteria import PLUG_IN
from bayesmix.selection.tasks import Fitter
from bayesmix.starts.responsibilities import OfMixture

# Definitions of entropy, and words for notes.
ENTROPIES = {"relative": "relative", "sum": "summed over the sample", "mean": "per observation"}


def information_criteria(sums: DensitySums, p: int) -> dict[str, float]:
    """Return criteria of a fit with p parameters.

    AIC, BIC, sample-size adjusted BIC and ICL (of hard assignments); CAIC: Bozdogan 1987; AWE =
    -2 log L + 2 p (log n + 3/2) and SIC = -BIC / 2: Masyn 2013. ``awe_classification`` has twice
    the entropy in addition (Banfield & Raftery 1993).
    """
    values = {name: -2.0 * PLUG_IN[name](sums, p) for name in ("aic", "bic", "sabic", "icl")}
    awe = 2.0 * (p * (1.5 + math.log(sums.n)) - sums.log_likelihood)
    return values | {
        "caic": values["bic"] + p,
        "awe": awe,
        "sic": -0.5 * values["bic"],
        "awe_classification": awe + 2.0 * sums.entropy,
    }


def entropy_of(total: float, n: float, n_classes: int, definition: str = "relative") -> float:
    """Return the entropy of the assignment E by its definition.

    "relative": 1 - E / (n log K), as in Mplus, tidyLPA and lcmm (Ramaswamy et al. 1993), NaN at
    K = 1; "sum": E; "mean": E / n.
    """
    validation.one_of("entropy_definition", definition, tuple(ENTROPIES))
    if definition == "relative":
        return 1.0 - total / (n * math.log(n_classes)) if n_classes > 1 else math.nan
    return total if definition == "sum" else total / n


def mean_posteriors(shares: Array, weights: Array, noun: str = "class") -> pd.DataFrame:
    """Return mean posterior probabilities (K, K) of the columns among samples assigned to a row.

    The diagonal has the average posterior probabilities of assignment (AvePP; Nagin 2005). Rows
    without samples are NaN.
    """
    index = part_index(noun, shares.shape[1])
    assigned = np.eye(len(index))[shares.argmax(axis=1)] * weights[:, None]
    with np.errstate(invalid="ignore"):
        means = (assigned.T @ shares) / assigned.sum(axis=0)[:, None]
    return pd.DataFrame(means, index=index.rename(f"assigned {noun}"), columns=index)


def described(result: FitResult, source: InMemory) -> dict[str, float]:
    """Return criteria, relative entropy, sizes of classes and mean posteriors of a fit."""
    sums, n, p = result.plug_in_sums, result.total_weight, result.n_parameters
    shares = result.hard_counts / n
    posteriors, _ = result.mixture.responsibilities(source.rows)
    certain = mean_posteriors(posteriors, source.rows.weights_or_ones).to_numpy().diagonal()
    return {
        "log_likelihood": result.log_likelihood,
        "n_parameters": p,
        **information_criteria(sums, p),
        "entropy": entropy_of(sums.entropy, n, result.n_components),
        "smallest": float(shares.min()),
        "largest": float(shares.max()),
        "min_probability": float(np.nanmin(certain)),
        "max_probability": float(np.nanmax(certain)),
    }


# Exceedances after which a test with early stopping ends (Besag & Clifford 1991).
EXCEEDANCES = 10
# Samples whose quick searches tell how large ratios are under the smaller model, and multiple of
# the largest of them beyond which no further search of samples changes the p-value: further
# searches raised the largest of 30 by a quarter to a half, in two of 12 sets twofold (100 x 4).
PILOT, FAR = 20, 3.0
# Searches of samples even where the data need one, as a quick search alone misses the best fit of
# most samples (100 x 4, free covariances: 5 to 15 below in log L).
FEWEST_SEARCHES = 2
# Terms of the inversion, and standard deviations that hold all but rounding of a distribution.
TERMS, WIDE = 20_000, 14.0
# Weights relative to the largest below which a chi-squared variable adds nothing.
NO_WEIGHT = 1e-8


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """Compare two fits to the data with fits to samples that are simulated from the smaller one.

    The statistic is that of the table. All samples get the searches after which the data have the
    larger fit of the table, so that a poor search of samples makes no p-value too small. A search
    ends where the ratio reaches that of the data.
    """

    fitter: Fitter
    smaller: FitResult
    larger: FitResult
    seed: int

    @property
    def statistic(self) -> float:
        """Twice the difference of the two log likelihoods."""
        return max(2.0 * (self.larger.log_likelihood - self.smaller.log_likelihood), 0.0)

    def run(self, n: int, early: bool) -> tuple[float, int, str]:
        """Return the p-value, the number of samples and a note.

        A sample whose fits fail counts as having at least the observed ratio. There is no p-value
        if no search of the data reaches the fit of the table again.
        """
        with single_threaded_blas():
            first = range(min(n, PILOT))
            quick = [self.ratio(self.simulated(number), 1) for number in first]
            largest = max((ratio for ratio in quick if np.isfinite(ratio)), default=np.inf)
            searches = self.n_searches if self.statistic < FAR * largest else 1
            if not searches:
                return np.nan, 0, "no bootstrap p: searches of samples would miss the best fit"
            exceeding = failed = 0
            for number in range(n):
                ratio = self.ratio(self.simulated(number), searches)
                failed += np.isnan(ratio)
                exceeding += not ratio < self.statistic
                if early and exceeding == EXCEEDANCES:
                    return exceeding / (number + 1), number + 1, ""
        note = f"{failed} of {n} samples could not be fitted" if failed else ""
        return (1 + exceeding) / (1 + n), n, note

    @property
    def n_searches(self) -> int:
        """Number of searches after which the data have the larger fit of the table; 0: never."""
        least = self.larger.log_likelihood - SAME_LIKELIHOOD
        for number, fit in enumerate(self._searches(self.fitter.table, self.smaller), start=1):
            if fit is not None and fit.log_likelihood > least:
                return max(number, FEWEST_SEARCHES)
        return 0

    def ratio(self, source: Any, n_searches: int) -> float:
        """Return twice the log likelihood ratio after some searches, or once it is large enough.

        The smaller model, from which a sample is simulated, gets a full search only where the
        ratio is large enough. NaN without fits.
        """
        K = self.smaller.n_components
        with suppress(ValueError):
            smaller = self._continued(source, self.smaller)
            lowest, highest, sure = smaller.log_likelihood, -np.inf, K == 1
            for larger in islice(self._searches(source, smaller), n_searches):
                if (best := best_of([larger])) is not None:
                    highest = max(highest, best.log_likelihood)
                if not sure and 2.0 * (highest - lowest) >= self.statistic:
                    full = self._full(source, K, smaller)
                    lowest, sure = max(lowest, full.log_likelihood), True
                if 2.0 * (highest - lowest) >= self.statistic:
                    break
            ratio = 2.0 * (highest - lowest)
            return max(ratio, 0.0) if np.isfinite(ratio) else np.nan
        return np.nan

    def _searches(self, source: Any, smaller: FitResult) -> Iterator[FitResult | None]:
        """Yield the best fit of the larger model by each search of the table, None if it fails.

        The cheapest come first: a quick search from the smaller model, a race of random starts,
        full searches from the smaller model and without it, random starts to convergence, a full
        search from the best fit so far, and further random starts.
        """
        K = smaller.n_components + 1
        best: FitResult | None = None
        searches: tuple[Callable[[], FitResult | None], ...] = (
            lambda: self._quick(source, K, smaller),
            lambda: best_of(race(self.larger, source, self.seed, STARTS)),
            lambda: self._full(source, K, smaller),
            lambda: self._full(source, K),
            lambda: best_of(random_end(self.larger, source, self.seed, i) for i in range(STARTS)),
            lambda: best and self._full(source, K, best),
            lambda: best_of(further_ends(self.larger, source, self.seed)),
        )
        for search in searches:
            fit: FitResult | None = None
            with suppress(ValueError):
                fit = search()
            best = best_of([best, fit])
            yield fit

    def _full(self, source: Any, n_components: int, *near: FitResult) -> FitResult:
        fitter: Any = replace(self.fitter, source=source)  # type: ignore[type-var]  # of a source
        starts = tuple(result.mixture for result in near)
        return quiet(fitter.fit)(fitter.candidate({"n_components": n_components}), starts)

    def _quick(self, source: Any, n_components: int, near: FitResult) -> FitResult:
        # The search ignores covariates; the model then takes them up from where it ended.
        side, plain = source.side, source
        if side.covariates is not None:
            plain = replace(source, side=replace(side, covariates=None, design=None))
        fitter: Any = replace(self.fitter, source=plain)  # type: ignore[type-var]
        candidate = fitter.candidate({"n_components": n_components, "search": "short"})
        result = quiet(fitter.fit)(candidate, (_averaged(near, side.covariates),))
        return result if side.covariates is None else self._continued(source, result)

    def _continued(self, source: Any, near: FitResult) -> FitResult:
        """Return the fit of a sample that starts at another fit."""
        start = OfMixture(_averaged(near, source.side.covariates))
        return from_start(near, source, start, AMONG_CANDIDATES)

    def simulated(self, number: int) -> Any:
        """Return a sample from the smaller model, with covariates and missing cells as observed."""
        source: Any = self.fitter.table
        n, density, K = source.shape[0], self.smaller.density, self.smaller.n_components
        generator = stream(self.seed, Purpose.RESAMPLE, K + 1, number)
        covariates, weights = source.side.covariates, self.smaller.mixture.weights
        shares = shares_of(density.weights if covariates is None else weights, covariates, n)
        labels, values = drawn_labels(shares, generator), np.empty((n, self.smaller.n_features))
        counts = np.bincount(labels, minlength=K)
        rows = density.drawn(counts, generator)
        values[np.argsort(labels, kind="stable")] = rows
        values[np.isnan(np.asarray(source.values, dtype=np.float64))] = np.nan
        return replace(source, values=values)


def _averaged(fit: FitResult, covariates: Any) -> Mixture:
    """Return the mixture of a fit, with average weights if there are covariates."""
    if covariates is None:
        return fit.mixture
    return replace(fit.mixture, weights=fit.density.weights)


def vuong_lo_mendell_rubin(smaller: ParameterScores, larger: ParameterScores) -> dict[str, float]:
    """Return p-values of twice the log likelihood ratio as a weighted sum of chi-squared.

    Vuong 1989, theorem 3.3 (i); Lo, Mendell & Rubin 2001, with their ad hoc adjusted statistic
    ``lmr``, which is divided by 1 + 1 / (Δp log n). The weights are the eigenvalues of a matrix of
    scores and information of both models. The proof fails where the smaller model is at
    the boundary of the larger, as here (Jeffries 2003), and in simulations the test rejects true
    numbers of classes too often: prefer the bootstrap. Probabilities at 0 or 1 are fixed there, as
    in Mplus. NaN if a model is not identified.
    """
    models = (larger, smaller)
    ratio, added = (
        first - second
        for first, second in (
            [model.result.log_likelihood for model in models],
            [model.result.n_parameters for model in models],
        )
    )
    adjusted = 2.0 * ratio / (1.0 + 1.0 / (added * math.log(larger.result.total_weight)))
    values = {"vlmr": 2.0 * ratio, "vlmr_p": np.nan, "lmr": adjusted, "lmr_p": np.nan}
    if not all(model.identified for model in models):
        return values
    scores = [model.weights[:, None] * model.scores for model in models]
    matrix = [
        [sign * first.T @ second @ of.inverse[0] for second, of in zip(scores, models, strict=True)]
        for sign, first in zip((1.0, -1.0), scores, strict=True)
    ]
    weights = np.linalg.eigvals(np.block(matrix)).real
    p = {f"{name}_p": weighted_chi_squared(values[name], weights) for name in ("vlmr", "lmr")}
    return values | p


def weighted_chi_squared(x: float, weights: Array) -> float:
    """Return P(Σ_i w_i χ²_1 > x) by inversion of the characteristic function (Davies 1973)."""
    if not len(weights) or np.abs(weights).max() == 0.0:
        return float(x < 0.0)
    weights = weights[np.abs(weights) > NO_WEIGHT * np.abs(weights).max()]
    mean, deviation = weights.sum(), np.sqrt(2.0 * (weights**2).sum())
    if abs(x - mean) > WIDE * deviation:
        return float(x < mean)
    step = np.pi / (2.0 * WIDE * deviation)
    u = step * (np.arange(TERMS) + 0.5)
    # log φ(u) - i u x, accumulated weight by weight to save memory
    exponent = -1j * u * x
    for weight in weights:
        exponent -= 0.5 * np.log1p(-2j * u * weight)
    total = (np.exp(exponent).imag / (np.arange(TERMS) + 0.5)).sum() / np.pi
    return float(np.clip(0.5 + total, 0.0, 1.0))
