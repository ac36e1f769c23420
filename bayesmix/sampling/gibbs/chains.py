"""What came out of blocked Gibbs sampling: draws of (π, θ) in chains, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import entr

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Source
from bayesmix.sampling.gibbs.by_chain import DrawsInChains
from bayesmix.sampling.gibbs.inference_data import ToArviz, inference_data
from bayesmix.sampling.labels.co_clustering import co_clustered

MOST_ROWS_TOGETHER = 5_000
# Products of a co-clustering matrix; of more rows and draws than that some draws speak for all.
MOST_PRODUCTS = 2e11


@dataclass(frozen=True, repr=False, eq=False)
class Gibbs(DrawsInChains, ToArviz):
    """Draws from p(π, θ | X) by blocked Gibbs sampling; see ``gibbs``.

    Arrays begin with (C, S): chains and draws. Labels of components mean nothing across draws: the
    posterior is the same in all orders, and chains change between them.

    Attributes
    ----------
    result : FitResult
        The variational fit whose prior this is, and from which chains began.
    source : Source
        The rows, not copied.
    draws : Draws
        All C S draws in the frame of the fit, chain after chain.
    log_likelihood : array (C, S)
        log p(X | π, θ) in nats and data units, assignments summed out.
    log_joint : array (C, S)
        The same plus log p(π, θ), a density over the coordinates of the fit's frame; a learned
        scale of the prior is integrated out.
    n_occupied : array (C, S) of int
        How many components had rows.
    warmup : int
        Sweeps of every chain that were left out.
    status : {"finished", "interrupted"}
    seed : int
    seconds : float
    """

    n_occupied: Integers
    warmup: int
    status: str
    seed: int
    seconds: float

    @cached_property
    def entropy(self) -> Array:
        """-Σ π log π (C, S) in nats: how evenly rows are spread over components."""
        entropy: Array = entr(self.weights).sum(axis=2)
        return entropy

    @cached_property
    def occupied(self) -> Any:
        """Posterior of the number of occupied components: share of the draws by number (Series)."""
        return shares_by_number(self.n_occupied)

    def co_clustering(self, rows: Any = None) -> Array:
        """Probability (m, m) that two rows are in the same component.

        Averaged over draws of (π, θ), given which it is known exactly. Where rows and draws are
        many, evenly spaced draws are taken. Rows of weight 0 are not counted.

        Parameters
        ----------
        rows : array of row numbers (m,), optional
            Which rows; needed above 5,000, where the whole matrix would not fit.
        """
        values = rows_together(self.source, rows)
        n_draws = self.draws.n_draws
        most = max(1, int(MOST_PRODUCTS / (len(values) ** 2 * self.n_components)))
        some = self.draws.some(np.arange(0, n_draws, -(-n_draws // most)))
        with single_threaded_blas():
            return co_clustered(some, self.result.mixture.frame.apply(values))

    def to_arviz(self) -> Any:
        """The draws as ArviZ has them, with observed data and the prior; needs ArviZ."""
        return inference_data(self)

    def summary(self) -> str:
        """The posterior of the number of occupied components, and whether chains agree."""
        lines = [
            f"{self.n_chains} chains of {self.n_draws} draws after {self.warmup} sweeps of warm-up,"
            f" K={self.n_components}.",
            f"Occupied components: {listed(self.occupied)} of the draws.",
            *convergence_lines(
                {
                    "log joint density": self.log_joint,
                    "number occupied": self.n_occupied,
                    "entropy of weights": self.entropy,
                }
            ),
            *closing(self.status),
        ]
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """The posterior of the number of occupied components; see ``plot_occupied``."""
        from bayesmix.plots.posterior.occupied import plot_occupied

        return plot_occupied(self, ax=ax)

    def __repr__(self) -> str:
        shares = ", ".join(f"{number}: {share:.0%}" for number, share in self.occupied.items())
        return f"<Gibbs: {self.n_chains} x {self.n_draws} draws, occupied components {shares}>"


def shares_by_number(n_occupied: Integers) -> Any:
    """Share of the draws by their number of occupied components (Series)."""
    import pandas as pd

    numbers, counts = np.unique(n_occupied, return_counts=True)
    index = pd.Index(numbers, name="occupied components")
    return pd.Series(counts / n_occupied.size, index=index, name="probability")


def rows_together(source: Source, rows: Any) -> Any:
    """Values of the rows, given by number or all, whose co-clustering is asked for; checked."""
    asked = n_rows = source.shape[0]
    numbers: Any = None
    if rows is not None:
        numbers = np.atleast_1d(np.asarray(rows))
        whole = numbers.dtype.kind in "iu" and numbers.ndim == 1 and len(numbers) > 0
        if not whole or numbers.min() < 0 or numbers.max() >= n_rows:
            raise InvalidInputError(
                f"rows must be numbers of rows from 0 to {n_rows - 1}, got {rows!r:.60}"
            )
        asked, numbers = len(numbers), numbers.astype(np.int64)
    if asked > MOST_ROWS_TOGETHER:
        raise InvalidInputError(
            f"rows must name at most {MOST_ROWS_TOGETHER:,} of the {n_rows:,} rows, got "
            f"{asked:,}: a matrix of all pairs is only made up to there"
        )
    return source.in_memory(numbers).values


def listed(shares: Any) -> str:
    """The largest of some shares (Series) in words."""
    largest = shares.sort_values(ascending=False, kind="stable")[:4]
    return ", ".join(f"{number} in {share:.0%}" for number, share in largest.items())


def convergence_lines(measured: Mapping[str, Any]) -> list[str]:
    """How well chains agree on quantities (C, S), by name; nothing where ArviZ is not there."""
    from bayesmix.sampling.gibbs.inference_data import convergence

    return [line for name, values in measured.items() if (line := convergence(name, values))]


def closing(status: str) -> list[str]:
    """What to keep in mind of any such draws, and how the run ended."""
    lines = [
        "Components are not identified: labels change between draws. Read what does not "
        "depend on them."
    ]
    if status != "finished":
        lines.append(f"The run was {status}: these are the draws so far.")
    return lines
