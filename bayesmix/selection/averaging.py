"""A density averaged over candidates: no single number of components has to be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesmix.core import validation
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.sources import FittedMixture
from bayesmix.em.display import shortened
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.bands import (
    DRAWS_OF_EACH,
    checked_level,
    density_band,
    drawn_mixtures,
    hull,
)
from bayesmix.selection.candidates import last_step, log_density
from bayesmix.selection.scores import n_rows_of, rows_of
from bayesmix.sources.dask_workers import gathered

if TYPE_CHECKING:
    from bayesmix.posterior.posterior_draws import DrawnMixtures

MOST_ROWS_TOGETHER = 5_000
# Candidates whose share is below this change no digit that anybody reads.
LEAST_SHARE = 1e-6


@dataclass(frozen=True, repr=False)
class AveragedDensity:
    """Σ_c a_c p_c(x): fitted candidates and their shares a_c, most probable first.

    ``how`` says where the shares are from: the evidence, or stacking of held-out densities;
    ``prior`` (C,) are those before the rows were seen.
    """

    estimators: tuple[FittedMixture, ...]
    shares: Array
    prior: Array
    labels: tuple[str, ...]
    how: str

    def score_samples(self, X: Any) -> Array:
        """Log density (n,) in nats."""
        terms = [log_density(estimator, rows) for estimator, rows in _with_rows(self.estimators, X)]
        logs: Array = logsumexp(np.column_stack(terms), axis=1, b=self.shares)
        return logs

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Rows (n, D) drawn from the averaged density, candidate by candidate."""
        n_rows = validation.integer("n_samples", n_samples, 1)
        mixtures = [last_step(estimator) for estimator in self.estimators]
        if any(own is not whole for own, whole in zip(mixtures, self.estimators, strict=True)):
            raise UnsupportedError("a pipeline cannot undo its steps: sample its last step")
        seed = root_seed(random_state)
        counts = stream(seed, Purpose.SAMPLE).multinomial(n_rows, self.shares)
        parts = [
            mixture.result_.draw(int(count), stream(seed, Purpose.SAMPLE, number + 1))[0]
            for number, (mixture, count) in enumerate(zip(mixtures, counts, strict=True))
            if count
        ]
        return np.concatenate(parts)

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
        """Band (n, 2) of the density at rows, whichever of the candidates is true.

        It holds the credible bands, each of this level, of all candidates but those that the rows
        speak against: whose share they made less than 1 - level of what it was before, at level 0.9
        a tenth. Of a true candidate that happens with a probability of at most 1 - level, in the
        mean over its prior. So the band knows that K and structure were chosen, and where rows
        leave them open it is wider than that of any one candidate.

        Parameters
        ----------
        X : array, frame or source (n, D)
        level : float, default=0.9
        simultaneous : bool, default=False
            Whether ``level`` of the draws of each candidate lie inside at all rows at once;
            otherwise the quantiles over its draws, row by row.
        n_draws : int, default=400
            Of each candidate.
        random_state : None, int, RandomState or Generator
        method : {"variational", "gibbs"}, optional
            None: Gibbs sampling where ``data`` are given, else q, which is too narrow where
            components overlap.
        data : array, frame or source, optional
            The rows of the fits.

        Raises
        ------
        UnsupportedError
            For maximum likelihood fits, which have no posterior, and for pipelines.
        """
        number, whole = checked_level(level), validation.flag("simultaneous", simultaneous)
        seed = root_seed(0 if random_state is None else random_state)
        chosen, draws = zip(*self.drawn(number, n_draws, seed, method, data), strict=True)
        rows = [estimator._rows(own, None) for estimator, own in _with_rows(chosen, X)]
        parts = zip(draws, rows, strict=True)
        return hull([density_band(drawn, own, number, whole) for drawn, own in parts])

    def drawn(
        self, level: float, n_draws: int, seed: int, method: Any = None, data: Any = None
    ) -> list[tuple[Any, DrawnMixtures]]:
        """The candidates of a band of a level, each with draws of its mixture.

        ``method`` and ``data`` as in ``density_interval``.
        """
        self._refuse_pipelines("a band over candidates")
        if method is None:
            method = "variational" if data is None else "gibbs"
        among = zip(self.estimators, self.not_spoken_against(level), strict=True)
        return [
            (estimator, drawn_mixtures(estimator, method, data, n_draws, seed + place))
            for place, (estimator, kept) in enumerate(among)
            if kept
        ]

    def not_spoken_against(self, level: float) -> list[bool]:
        """Of each candidate, whether its share is no less than 1 - level of that before the rows.

        p(rows | others) / p(rows | true one) has mean 1 where the latter is true, so that it
        exceeds 1 / (1 - level) with a probability of at most 1 - level (Markov).
        """
        kept: list[bool] = (self.shares >= (1.0 - level) * self.prior).tolist()
        return kept

    def _refuse_pipelines(self, what: str) -> None:
        for estimator in self.estimators:
            if estimator is not last_step(estimator):
                raise UnsupportedError(
                    f"{what} needs mixtures of the rows themselves: transform before the search"
                )

    def co_clustering(self, X: Any, rows: Any = None) -> Array:
        """Probability (m, m) that two rows come from one component, averaged over candidates.

        Parameters
        ----------
        X : array, frame or source (n, D)
        rows : array of row numbers (m,), optional
            Which rows; needed above 5,000, where the whole matrix would not fit.
        """
        X = gathered(X)
        if rows is None and n_rows_of(X) > MOST_ROWS_TOGETHER:
            raise InvalidInputError(
                f"rows must name some of the {n_rows_of(X):,} rows: a matrix of all pairs is only "
                f"made up to {MOST_ROWS_TOGETHER:,}"
            )
        chosen = X if rows is None else rows_of(X, rows)
        together = np.zeros((n_rows_of(chosen),) * 2)
        for share, (estimator, own) in zip(
            self.shares, _with_rows(self.estimators, chosen), strict=True
        ):
            probabilities = estimator.predict_proba(own)
            together += share * (probabilities @ probabilities.T)
        np.fill_diagonal(together, 1.0)
        return together

    def plot(self, X: Any = None, ax: Any = None, **options: Any) -> Any:
        """The averaged density with its band and those of the candidates; see ``plot_averaged``."""
        from bayesmix.plots import plot_averaged

        return plot_averaged(self, X, ax=ax, **options)

    def summary(self) -> str:
        """The candidates with their weights in the average, the largest first."""
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
    """Estimators, each with the rows; that these have no names the first alone has to say."""
    for place, estimator in enumerate(estimators):
        names = getattr(estimator, "feature_names_in_", None)
        unnamed = isinstance(X, np.ndarray) and names is not None
        yield estimator, pd.DataFrame(X, columns=names) if place and unnamed else X


def averaged(
    estimators: list[Any], shares: Array, labels: list[str], how: str, prior: Array | None = None
) -> AveragedDensity:
    """The average of those candidates whose share counts, largest first.

    ``prior`` None: before the rows all had the same share.
    """
    order = [i for i in np.argsort(-shares, kind="stable") if shares[i] > LEAST_SHARE]
    kept = shares[order] / shares[order].sum()
    before = np.full(len(shares), 1.0 / len(shares)) if prior is None else prior
    return AveragedDensity(
        tuple(estimators[i] for i in order),
        kept,
        before[order],
        tuple(labels[i] for i in order),
        how,
    )
