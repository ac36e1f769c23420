"""Tests of K - 1 against K classes: parametric bootstrap, and Vuong, Lo, Mendell & Rubin.

Bootstrap (McLachlan 1987): the observed and all simulated data sets get the same quick search, as
warm starts for one of the two models alone would make p-values too small (Nylund et al. 2007).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.assess.stability import quiet
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, stream
from bayesmix.em.model import Model, Settings
from bayesmix.em.result import FitResult
from bayesmix.em.run import AMONG_CANDIDATES
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.drawing import drawn_labels
from bayesmix.posterior.parameter_errors import ParameterScores
from bayesmix.search.fit import fit
from bayesmix.search.starts import OfMixture
from bayesmix.selection.tasks import Fitter

MOST_PASSES = 1000
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
        fitter: Any = replace(self.fitter, source=source)  # type: ignore[type-var]  # of a source
        covariates = source.side.covariates is not None
        plain = replace(fitter, source=without_covariates(source)) if covariates else fitter
        near: Mixture = self.null.mixture
        if covariates:
            near = replace(near, weights=self.null.density.weights)
        values = []
        try:
            for K in (self.n_classes - 1, self.n_classes):
                candidate = plain.candidate({"n_components": K, "search": "short"})
                result = quiet(plain.fit)(candidate, (near,))
                near = result.mixture
                if covariates:
                    result = quiet(_with_covariates)(result, source)
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
        source: Any = self.fitter.table
        with single_threaded_blas():
            observed = self.ratio(source)
            if np.isnan(observed):
                return np.nan, np.nan, 0, "a variance is at its floor, or no start succeeded"
            exceeding = failed = drawn = 0
            for number in range(n):
                ratio = self.ratio(self.simulated(number))
                drawn += 1
                failed += np.isnan(ratio)
                exceeding += not ratio < observed
                if early and exceeding == EXCEEDANCES:
                    return observed, exceeding / drawn, drawn, ""
        note = f"{failed} of {n} samples could not be fitted" if failed else ""
        return observed, (1 + exceeding) / (1 + n), drawn, note

    def simulated(self, number: int) -> Any:
        """Return a sample from the null model, with covariates and missing cells as observed."""
        source: Any = self.fitter.table
        generator = stream(self.seed, Purpose.RESAMPLE, self.n_classes, number)
        n, density = source.shape[0], self.null.density
        shares = np.broadcast_to(density.weights.mean(), (n, self.null.n_components))
        if source.side.covariates is not None:
            gate: Any = self.null.mixture.weights
            shares = np.exp(gate.log_weights(source.side.covariates))
        labels = drawn_labels(shares, generator)
        counts = np.bincount(labels, minlength=self.null.n_components)
        values = np.empty((n, self.null.n_features))
        rows = density.frame.undo(density.components.draw(counts, generator))
        values[np.argsort(labels, kind="stable")] = rows
        values[np.isnan(np.asarray(source.values, dtype=np.float64))] = np.nan
        return replace(source, values=values)


def without_covariates(source: Any) -> Any:
    """Return the data without covariates of the weights."""
    return replace(source, side=replace(source.side, covariates=None, design=None))


def _with_covariates(result: FitResult, source: Any) -> FitResult:
    """Return the fit with covariates that starts at a fit without them."""
    inference: Any = result.inference
    model = Model(result.n_components, result.family, replace(inference, weights=None))
    settings = Settings(
        AMONG_CANDIDATES, MOST_PASSES, init=OfMixture(result.mixture), search=False, sort=False
    )
    return fit(model, source, settings)


def vuong_lo_mendell_rubin(smaller: ParameterScores, larger: ParameterScores) -> float:
    """Return the p-value of twice the log likelihood ratio as a weighted sum of chi-squared.

    Vuong 1989, theorem 3.3 (i); Lo, Mendell & Rubin 2001. The weights are the eigenvalues of a
    matrix of scores and information of both models. The proof fails where the smaller model is at
    the boundary of the larger, as here (Jeffries 2003), and in simulations the test rejects true
    numbers of classes too often: prefer the bootstrap. NaN if a model is not identified.
    """
    statistic = 2.0 * (larger.result.log_likelihood - smaller.result.log_likelihood)
    models = (larger, smaller)
    if any(model.inverse[1].shape[1] for model in models):
        return float("nan")
    inverses = [model.inverse[0] for model in models]
    weighted = [model.weights[:, None] * model.scores for model in models]
    rows = []
    for sign, first in zip((1.0, -1.0), weighted, strict=True):
        rows.append(
            [sign * first.T @ second @ own for second, own in zip(weighted, inverses, strict=True)]
        )
    return weighted_chi_squared(statistic, np.linalg.eigvals(np.block(rows)).real)


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
