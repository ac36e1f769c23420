"""A density averaged over candidates: no single number of components has to be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.random import Purpose, root_seed, stream
from bayesmix.selection.folds import last_step, log_density, n_rows_of, rows_of

MOST_ROWS_TOGETHER = 5_000
# Candidates whose share is below this change no digit that anybody reads.
LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class AveragedDensity:
    """Σ_c a_c p_c(x): fitted candidates and their shares a_c, most probable first.

    ``how`` says where the shares are from: the evidence, or stacking of held-out densities.
    """

    estimators: tuple[Any, ...]
    shares: Array
    labels: tuple[str, ...]
    how: str

    def score_samples(self, X: Any) -> Array:
        """Log density (n,) in nats."""
        terms = [log_density(estimator, X) for estimator in self.estimators]
        logs: Array = logsumexp(np.column_stack(terms), axis=1, b=self.shares)
        return logs

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Rows (n, D) drawn from the averaged density, candidate by candidate."""
        if n_samples < 1:
            raise InvalidInputError(f"n_samples must be at least 1, got {n_samples}")
        for estimator in self.estimators:
            if estimator is not last_step(estimator):
                raise UnsupportedError("a pipeline cannot undo its steps: sample its last step")
        seed = root_seed(random_state)
        counts = stream(seed, Purpose.SAMPLE).multinomial(n_samples, self.shares)
        parts = [
            estimator.result_.draw(int(count), stream(seed, Purpose.SAMPLE, number + 1))[0]
            for number, (estimator, count) in enumerate(zip(self.estimators, counts, strict=True))
            if count
        ]
        return np.concatenate(parts)

    def co_clustering(self, X: Any, rows: Any = None) -> Array:
        """Probability (m, m) that two rows come from one component, averaged over candidates.

        Parameters
        ----------
        X : array, frame or source (n, D)
        rows : array of row numbers (m,), optional
            Which rows; needed above 5,000, where the whole matrix would not fit.
        """
        if rows is None and n_rows_of(X) > MOST_ROWS_TOGETHER:
            raise InvalidInputError(
                f"rows must name some of the {n_rows_of(X):,} rows: a matrix of all pairs is only "
                f"made up to {MOST_ROWS_TOGETHER:,}"
            )
        chosen = X if rows is None else rows_of(X, rows)
        together = np.zeros((n_rows_of(chosen),) * 2)
        for share, estimator in zip(self.shares, self.estimators, strict=True):
            probabilities = estimator.predict_proba(chosen)
            together += share * (probabilities @ probabilities.T)
        np.fill_diagonal(together, 1.0)
        return together

    def plot(self, X: Any = None, ax: Any = None, **options: Any) -> Any:
        """The averaged density over one column, with those of the candidates behind it."""
        from bayesmix.plots import plot_averaged

        return plot_averaged(self, X, ax=ax, **options)

    def __repr__(self) -> str:
        lines = [f"AveragedDensity of {len(self.shares)} candidates, shares by {self.how}"]
        lines += [
            f"  {share:6.3f}  {label}"
            for share, label in zip(self.shares, self.labels, strict=True)
        ]
        return "\n".join(lines)


def averaged(estimators: list[Any], shares: Array, labels: list[str], how: str) -> AveragedDensity:
    """The average of those candidates whose share counts, largest first."""
    order = [i for i in np.argsort(-shares, kind="stable") if shares[i] > LEAST_SHARE]
    kept = shares[order] / shares[order].sum()
    return AveragedDensity(
        tuple(estimators[i] for i in order), kept, tuple(labels[i] for i in order), how
    )
