"""Criteria of class enumeration, and tests of K - 1 against K classes.

Bootstrap (McLachlan 1987): the observed and all simulated data sets get the same quick search, as
warm starts for one of the two models alone would make p-values too small (Nylund et al. 2007).
Vuong, Lo, Mendell & Rubin need no simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.allocation.gate import shares_of
from bayesmix.assess.stability import quiet
from bayesmix.core import validation
from bayesmix.core.nouns import part_index
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, drawn_labels, stream
from bayesmix.core.sources import InMemory
from bayesmix.em.model import Model, Settings
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.em.run import AMONG_CANDIDATES
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.bootstrap import MOST_PASSES
from bayesmix.posterior.parameter_errors import ParameterScores
from bayesmix.search.fit import fit
from bayesmix.search.starts import OfMixture
from bayesmix.selection.criteria import PLUG_IN
from bayesmix.selection.tasks import Fitter

# Definitions of entropy, and words for notes.
ENTROPIES = {"relative": "relative", "sum": "summed over the sample", "mean": "per observation"}


def information_criteria(sums: DensitySums, p: int) -> dict[str, float]:
    """Return AIC, BIC, sample-size adjusted BIC, ICL (of hard assignments), CAIC and AWE.

    CAIC: Bozdogan 1987; AWE = -2 log L + 2 E + 2 p (3/2 + log n) (Banfield & Raftery 1993).
    """
    values = {name: -2.0 * PLUG_IN[name](sums, p) for name in ("aic", "bic", "sabic", "icl")}
    awe = 2.0 * (sums.entropy - sums.log_likelihood + p * (1.5 + math.log(sums.n)))
    return values | {"caic": values["bic"] + p, "awe": awe}


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
# Terms of the inversion, and standard deviations that hold all but rounding of a distribution.
TERMS, WIDE = 20_000, 14.0
# Weights relative to the largest below which a chi-squared variable adds nothing.
NO_WEIGHT = 1e-8


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """Simulate data from ``null`` and fit one class less and ``n_classes`` to them."""

    fitter: Fitter
    null: FitResult
    n_classes: int
    seed: int

    def ratio(self, source: Any) -> float:
        """Return twice the log likelihood ratio after a quick search; NaN for failed fits."""
        # The search ignores covariates; both models then take them up from where it ended.
        side, near = source.side, self.null.mixture
        covariates = side.covariates is not None
        plain, values = source, []
        if covariates:
            plain = replace(source, side=replace(side, covariates=None, design=None))
            near = replace(near, weights=self.null.density.weights)
        fitter: Any = replace(self.fitter, source=plain)  # type: ignore[type-var]  # of a source
        try:
            for K in (self.n_classes - 1, self.n_classes):
                candidate = fitter.candidate({"n_components": K, "search": "short"})
                result = quiet(fitter.fit)(candidate, (near,))
                near = result.mixture
                if covariates:
                    result = from_start(result, source, OfMixture(near), AMONG_CANDIDATES)
                if result.degenerate is not None:
                    return np.nan
                values.append(result.log_likelihood)
        except ValueError:
            return np.nan
        return max(2.0 * (values[1] - values[0]), 0.0)

    def run(self, n: int, early: bool) -> tuple[float, float, int, str]:
        """Return the observed ratio, the p-value, the number of samples and a note.

        A sample whose fits fail counts as having at least the observed ratio.
        """
        with single_threaded_blas():
            observed = self.ratio(self.fitter.table)
            if np.isnan(observed):
                return np.nan, np.nan, 0, "a variance is at its floor, or no start succeeded"
            exceeding = failed = 0
            for number in range(n):
                ratio = self.ratio(self.simulated(number))
                failed += np.isnan(ratio)
                exceeding += not ratio < observed
                if early and exceeding == EXCEEDANCES:
                    return observed, exceeding / (number + 1), number + 1, ""
        note = f"{failed} of {n} samples could not be fitted" if failed else ""
        return observed, (1 + exceeding) / (1 + n), n, note

    def simulated(self, number: int) -> Any:
        """Return a sample from the null model, with covariates and missing cells as observed."""
        source: Any = self.fitter.table
        generator = stream(self.seed, Purpose.RESAMPLE, self.n_classes, number)
        n, density, K = source.shape[0], self.null.density, self.null.n_components
        weights = density.weights if source.side.covariates is None else self.null.mixture.weights
        shares = shares_of(weights, source.side.covariates, n)
        labels, values = drawn_labels(shares, generator), np.empty((n, self.null.n_features))
        counts = np.bincount(labels, minlength=K)
        rows = density.frame.undo(density.components.draw(counts, generator))
        values[np.argsort(labels, kind="stable")] = rows
        values[np.isnan(np.asarray(source.values, dtype=np.float64))] = np.nan
        return replace(source, values=values)


def from_start(result: FitResult, source: Any, start: Any, stopping: Any) -> FitResult:
    """Return a fit of the same model that runs to convergence from a start."""
    inference: Any = result.inference
    if source.side.covariates is not None:
        inference = replace(inference, weights=None)
    model = Model(result.n_components, result.family, inference)
    settings = Settings(stopping, MOST_PASSES, init=start, search=False, sort=False)
    return quiet(lambda model, _: fit(model, source, settings))(model)


def vuong_lo_mendell_rubin(smaller: ParameterScores, larger: ParameterScores) -> float:
    """Return the p-value of twice the log likelihood ratio as a weighted sum of chi-squared.

    Vuong 1989, theorem 3.3 (i); Lo, Mendell & Rubin 2001. The weights are the eigenvalues of a
    matrix of scores and information of both models. The proof fails where the smaller model is at
    the boundary of the larger, as here (Jeffries 2003), and in simulations the test rejects true
    numbers of classes too often: prefer the bootstrap. Probabilities at 0 or 1 are fixed there, as
    in Mplus. NaN if a model is not identified.
    """
    models = (larger, smaller)
    if not all(model.identified for model in models):
        return float("nan")
    scores = [model.weights[:, None] * model.scores for model in models]
    matrix = [
        [sign * first.T @ second @ of.inverse[0] for second, of in zip(scores, models, strict=True)]
        for sign, first in zip((1.0, -1.0), scores, strict=True)
    ]
    statistic = 2.0 * (larger.result.log_likelihood - smaller.result.log_likelihood)
    return weighted_chi_squared(statistic, np.linalg.eigvals(np.block(matrix)).real)


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
