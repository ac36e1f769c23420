"""Model-averaged density over the candidates of a search."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesmix.core import validation
from bayesmix.core.procedures import last_step
from bayesmix.core.protocols import FittedMixture, UserRows
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.em.display import shortened
from bayesmix.errors import InvalidInputError, UndefinedError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.bands import (
    DRAWS_OF_EACH,
    checked_level,
    density_band,
    drawn_mixtures,
    hull,
)
from bayesmix.posterior.labels import MOST_ROWS_TOGETHER
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import Probabilities, prior_weights, record
from bayesmix.selection.pipelines import density_in_data_units
from bayesmix.selection.scores import finite, n_rows_of, rows_of
from bayesmix.selection.summary_text import label
from bayesmix.sources.dask_workers import gathered

if TYPE_CHECKING:
    from bayesmix.posterior.posterior_draws import DrawnMixtures

# Candidates with less weight than this do not change printed digits.
LEAST_SHARE = 1e-6
WEIGHTS_OF_AKAIKE = ("aic", "aicc")


@dataclass(frozen=True, repr=False)
class AveragedDensity:
    """Average Σ_c a_c p_c(x) of fitted candidates with weights a_c, largest weight first.

    ``how`` is the source of the weights: evidence, or stacking. ``prior`` (C,) has the prior
    weights. ``features_read`` reads data as the predictions of the search do.
    """

    estimators: tuple[FittedMixture, ...]
    shares: Array
    prior: Array
    labels: tuple[str, ...]
    how: str
    features_read: Callable[[UserRows], UserRows]

    def score_samples(self, X: Any) -> Array:
        """Return the log density (n,) in nats."""
        terms = [
            density_in_data_units(estimator, rows)
            for estimator, rows in _with_rows(self.estimators, self.features_read(X))
        ]
        return logsumexp(np.column_stack(terms), axis=1, b=self.shares)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log density in nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Draw samples (n, D) from the candidates, in proportion to their weights.

        Returns a frame for columns of levels and products of families.
        """
        n_rows = validation.integer("n_samples", n_samples, 1)
        mixtures = [last_step(estimator) for estimator in self.estimators]
        if any(
            mixture is not whole for mixture, whole in zip(mixtures, self.estimators, strict=True)
        ):
            raise UnsupportedError("sample does not support pipelines: sample from the last step")
        seed = root_seed(random_state)
        counts = stream(seed, Purpose.SAMPLE).multinomial(n_rows, self.shares)
        parts = [
            mixture.sample(int(count), stream(seed, Purpose.SAMPLE, number + 1))[0]
            for number, (mixture, count) in enumerate(zip(mixtures, counts, strict=True))
            if count
        ]
        framed = isinstance(parts[0], pd.DataFrame)
        return pd.concat(parts, ignore_index=True) if framed else np.concatenate(parts)

    def density_interval(
        self,
        X: Any,
        level: float = 0.9,
        simultaneous: bool = False,
        n_draws: int = DRAWS_OF_EACH,
        random_state: Any = None,
        method: Any = None,
        data: Any = None,
    ) -> Array:
        """Return a credible band (n, 2) of the density that includes model uncertainty.

        The band is the union of the candidates' credible bands of this level. Candidates are left
        out if their posterior weight is less than 1 - level times their prior weight. The true
        candidate is left out with probability at most 1 - level, averaged over its prior. The band
        therefore includes the uncertainty of K and structure.

        Parameters
        ----------
        X : array, frame or source (n, D)
        level : float, default=0.9
        simultaneous : bool, default=False
            Whether a fraction ``level`` of each candidate's draws lies inside at all samples at
            once; otherwise the band is pointwise.
        n_draws : int, default=400
            Number of draws per candidate.
        random_state : None, int, RandomState or Generator
        method : {"variational", "gibbs"}, optional
            None: "gibbs" if ``data`` are given, otherwise "variational" (too narrow for overlapping
            components).
        data : array, frame or source, optional
            The data of the fits.

        Raises
        ------
        UnsupportedError
            For maximum likelihood fits, which have no posterior, and for pipelines.
        """
        number, whole = checked_level(level), validation.flag("simultaneous", simultaneous)
        seed = root_seed(0 if random_state is None else random_state)
        chosen, draws = zip(*self.drawn(number, n_draws, seed, method, data), strict=True)
        tables = _with_rows(chosen, self.features_read(X))
        rows = [estimator._rows(table, None) for estimator, table in tables]
        parts = zip(draws, rows, strict=True)
        return hull([density_band(drawn, source, number, whole) for drawn, source in parts])

    def drawn(
        self, level: float, n_draws: int, seed: int, method: Any = None, data: Any = None
    ) -> list[tuple[Any, DrawnMixtures]]:
        """Return the candidates of a band, each with draws of its mixture.

        ``method`` and ``data`` as in ``density_interval``.
        """
        if any(estimator is not last_step(estimator) for estimator in self.estimators):
            raise UnsupportedError(
                "a band over candidates does not support pipelines: transform the data before the "
                "search"
            )
        if method is None:
            method = "variational" if data is None else "gibbs"
        data = data if data is None else self.features_read(data)
        among = zip(self.estimators, self.plausible(level), strict=True)
        return [
            (estimator, drawn_mixtures(estimator, method, data, n_draws, seed + place))
            for place, (estimator, plausible) in enumerate(among)
            if plausible
        ]

    def plausible(self, level: float) -> list[bool]:
        """Whether each candidate's weight is at least (1 - level) times its prior weight.

        p(X | others) / p(X | true) has mean 1 under the true candidate, so it exceeds 1 / (1 -
        level) with probability at most 1 - level (Markov).
        """
        return (self.shares >= (1.0 - level) * self.prior).tolist()

    def co_clustering(self, X: Any, rows: Any = None) -> Array:
        """Return the probability (m, m) that two samples share a component.

        Parameters
        ----------
        X : array, frame or source (n, D)
        rows : array of row numbers (m,), optional
            Row numbers of the samples; required above 5,000 samples, whose full matrix would be too
            large.
        """
        X = gathered(self.features_read(X))
        if rows is None and n_rows_of(X) > MOST_ROWS_TOGETHER:
            raise InvalidInputError(
                f"rows must select at most {MOST_ROWS_TOGETHER:,} of the {n_rows_of(X):,} "
                "samples, because the matrix of all pairs would be too large"
            )
        chosen = X if rows is None else rows_of(X, rows)
        together = np.zeros((n_rows_of(chosen),) * 2)
        for share, (estimator, data) in zip(
            self.shares, _with_rows(self.estimators, chosen), strict=True
        ):
            probabilities = estimator.predict_proba(data)
            together += share * (probabilities @ probabilities.T)
        np.fill_diagonal(together, 1.0)
        return together

    def plot(self, X: Any = None, ax: Any = None, **options: Any) -> Any:
        """Plot the averaged density with its band and the candidates; see ``plot_averaged``."""
        from bayesmix.plots import plot_averaged

        return plot_averaged(self, X, ax=ax, **options)

    def summary(self) -> str:
        """Return the candidates with their weights, largest first."""
        head = f"Average of {len(self.shares)} candidates, weighted by {self.how}."
        return "\n".join([head, *self._lines])

    @property
    def _lines(self) -> list[str]:
        pairs = zip(self.shares, self.labels, strict=True)
        return [f"  {share:6.3f}  {label}" for share, label in pairs]

    def __repr__(self) -> str:
        head = f"<AveragedDensity: {len(self.shares)} candidates, weighted by {self.how}>"
        return shortened([head, *self._lines])


def _with_rows(estimators: Iterable[Any], X: Any) -> Iterator[tuple[Any, Any]]:
    """Return estimators with the data; only the first warns of missing column names.

    Raises ``InvalidInputError`` for data with features that were not selected.
    """
    n_columns = getattr(X, "shape", (0,))[-1]
    for place, estimator in enumerate(estimators):
        n_features = getattr(estimator, "n_features_in_", n_columns)
        if n_columns > n_features:
            raise InvalidInputError(
                f"X must have the {n_features} features of the candidates, got {n_columns}: with "
                "variable_selection, pass search.transform(X)"
            )
        names = getattr(estimator, "feature_names_in_", None)
        unnamed = isinstance(X, np.ndarray) and names is not None
        yield estimator, pd.DataFrame(X, columns=names) if place and unnamed else X


def averaged_over(
    rows: list[Candidate],
    criterion: str,
    probabilities: Probabilities | None,
    features_read: Callable[[UserRows], UserRows],
) -> AveragedDensity:
    """Return the model-averaged density.

    Weights come from stacking for cross-validation (Yao et al. 2018), from posterior probabilities
    if there is an evidence, and are exp(criterion) for BIC and AIC (Akaike weights); criteria of
    clusters have none (``UndefinedError``).
    """
    prior: Array | None = None
    if record(criterion).folds:
        numbers = [i for i, row in enumerate(rows) if row.held is not None and finite(row.held)]
        held = [rows[i].held for i in numbers]
        densities = np.column_stack([held_out.density for held_out in held if held_out is not None])
        assert held[0] is not None
        shares = stacking(densities, held[0].weights)
        how = "stacking of held-out densities"
    elif probabilities is not None:
        numbers = [int(i) for i in np.flatnonzero(probabilities.values > 0)]
        shares, how = probabilities.values[numbers], f"their probabilities ({probabilities.source})"
        weights = prior_weights(rows, probabilities.prior)
        prior = weights[numbers] / weights.sum()
    elif record(criterion).log_evidence or criterion in WEIGHTS_OF_AKAIKE:
        numbers = [i for i, row in enumerate(rows) if np.isfinite(row.value(criterion))]
        values = np.array([rows[i].value(criterion) for i in numbers])
        shares, how = np.exp(values - logsumexp(values)), f"exp({record(criterion).label})"
    else:
        raise UndefinedError(
            f"{record(criterion).label} gives no weights for model averaging: use "
            "criterion='cv', 'bic', 'aic' or a variational estimator"
        )
    if prior is None:
        prior = np.full(len(shares), 1.0 / len(shares))
    order = [i for i in np.argsort(-shares, kind="stable") if shares[i] > LEAST_SHARE]
    best = [rows[numbers[i]] for i in order]
    return AveragedDensity(
        tuple(row.estimator for row in best if row.estimator is not None),
        shares[order] / shares[order].sum(),
        prior[order],
        tuple(label(row) for row in best),
        how,
        features_read,
    )


STACKING_PASSES = 10_000
STACKING_GAIN = 1e-10


def stacking(densities: Array, weights: Array) -> Array:
    """Return weights (C,) of candidates that maximise Σ_n w_n log Σ_c a_c p_c(x_n | fold).

    ``densities`` (n, C) are held-out log densities (Yao, Vehtari, Simpson & Gelman 2018). EM from
    equal weights solves this concave problem.
    """
    counted = weights > 0
    relative = densities[counted] - densities[counted].max(axis=1, keepdims=True)
    terms, mass = np.exp(relative), weights[counted] / weights[counted].sum()
    shares = np.full(densities.shape[1], 1.0 / densities.shape[1])
    before = -math.inf
    for _ in range(STACKING_PASSES):
        mixed = terms @ shares
        value = float(mass @ np.log(mixed))
        shares = shares * (terms.T @ (mass / mixed))
        if value - before < STACKING_GAIN:
            break
        before = value
    return shares / shares.sum()
