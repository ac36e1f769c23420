"""A density averaged over candidates: no single number of components has to be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesmix import validation
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import FittedMixture
from bayesmix.random import Purpose, root_seed, stream
from bayesmix.selection.criteria.folds import n_rows_of, rows_of
from bayesmix.selection.pipelines import last_step, log_density
from bayesmix.sources.partitions.collections import gathered

if TYPE_CHECKING:
    from bayesmix.sampling.draws.mixtures import DrawnMixtures

MOST_ROWS_TOGETHER = 5_000
# Candidates whose share is below this change no digit that anybody reads.
LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class AveragedDensity:
    """Σ_c a_c p_c(x): fitted candidates and their shares a_c, most probable first.

    ``how`` says where the shares are from: the evidence, or stacking of held-out densities.
    """

    estimators: tuple[FittedMixture, ...]
    shares: Array
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
        n_draws: int = 1000,
        random_state: Any = None,
        method: Any = None,
        data: Any = None,
    ) -> Array:
        """Credible band (n, 2) of the density at rows: of candidates and of their parameters.

        Draws are of the candidates in proportion to their shares, so that the band knows that the
        number of components and the structure were chosen.

        Parameters
        ----------
        X : array, frame or source (n, D)
        level : float, default=0.9
        simultaneous : bool, default=False
            Whether ``level`` of the drawn densities lie inside at all rows at once; otherwise the
            quantiles over draws, row by row.
        n_draws : int, default=1000
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
        from bayesmix.sampling.density.credible_bands import averaged_band, checked_level

        number, whole = checked_level(level), validation.flag("simultaneous", simultaneous)
        most = validation.integer("n_draws", n_draws, 1)
        seed = root_seed(0 if random_state is None else random_state)
        chosen, draws = zip(*self.drawn(most, seed, method, data), strict=True)
        rows = [estimator._rows(own, None) for estimator, own in _with_rows(chosen, X)]
        return averaged_band(list(zip(draws, rows, strict=True)), number, whole)

    def drawn(
        self, n_draws: int, seed: int, method: Any = None, data: Any = None
    ) -> list[tuple[Any, DrawnMixtures]]:
        """Candidates, each with draws of its mixture in proportion to its share.

        ``method`` and ``data`` as in ``density_interval``.
        """
        from bayesmix.sampling.band_draws import drawn_mixtures

        self._refuse_pipelines("a band over candidates")
        if method is None:
            method = "variational" if data is None else "gibbs"
        allotted = zip(self.estimators, _allotted(self.shares, n_draws), strict=True)
        return [
            (estimator, drawn_mixtures(estimator, method, data, number, seed + place))
            for place, (estimator, number) in enumerate(allotted)
            if number
        ]

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

    def __repr__(self) -> str:
        lines = [f"AveragedDensity of {len(self.shares)} candidates, shares by {self.how}"]
        lines += [
            f"  {share:6.3f}  {label}"
            for share, label in zip(self.shares, self.labels, strict=True)
        ]
        return "\n".join(lines)


def _with_rows(estimators: Iterable[Any], X: Any) -> Iterator[tuple[Any, Any]]:
    """Estimators, each with the rows; that these have no names the first alone has to say."""
    for place, estimator in enumerate(estimators):
        names = getattr(estimator, "feature_names_in_", None)
        unnamed = isinstance(X, np.ndarray) and names is not None
        yield estimator, pd.DataFrame(X, columns=names) if place and unnamed else X


def _allotted(shares: Array, n_draws: int) -> list[int]:
    """So many draws in proportion to shares, the largest remainders first."""
    exact = shares * n_draws
    counts = np.floor(exact).astype(int)
    for place in np.argsort(counts - exact, kind="stable")[: n_draws - int(counts.sum())]:
        counts[place] += 1
    return [int(count) for count in counts]


def averaged(estimators: list[Any], shares: Array, labels: list[str], how: str) -> AveragedDensity:
    """The average of those candidates whose share counts, largest first."""
    order = [i for i in np.argsort(-shares, kind="stable") if shares[i] > LEAST_SHARE]
    kept = shares[order] / shares[order].sum()
    return AveragedDensity(
        tuple(estimators[i] for i in order), kept, tuple(labels[i] for i in order), how
    )
