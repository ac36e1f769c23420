"""What came out of blocked Gibbs sampling: draws of (π, θ) in chains, and what they say.

Draws of several chains, arranged as (C, S, ...): what all samplers' results show of them.

Chains that take a step each in turn, so that an interrupt leaves all with as many draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from scipy.special import entr

from bayesmix.core.components import Named, Posterior
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, stream
from bayesmix.core.sources import Source
from bayesmix.em.display import FitProgress
from bayesmix.em.result import FitResult
from bayesmix.errors import DegenerateFitError, InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.arviz_groups import ToArviz, inference_data
from bayesmix.posterior.density import averaged_density
from bayesmix.posterior.labels import co_clustered
from bayesmix.posterior.posterior_draws import Draws, parameters_of


def in_chains(values: Array, n_chains: int) -> Array:
    """Values (C S, ...), chain after chain, as (C, S, ...), not to be written."""
    arranged: Array = values.reshape(n_chains, -1, *values.shape[1:])
    arranged.flags.writeable = False
    return arranged


@dataclass(frozen=True, repr=False, eq=False)
class DrawsInChains:
    """Draws from p(π, θ | X) for a known K, whichever sampler they are from."""

    result: FitResult
    source: Source
    draws: Draws
    log_likelihood: Array
    log_joint: Array

    @property
    def n_chains(self) -> int:
        return len(self.log_joint)

    @property
    def n_draws(self) -> int:
        """Of every chain."""
        return int(self.log_joint.shape[1])

    @property
    def n_components(self) -> int:
        """K of the model, occupied or not."""
        return int(self.draws.weights.log_weights.shape[1])

    @cached_property
    def weights(self) -> Array:
        """π (C, S, K)."""
        return in_chains(np.exp(self.draws.weights.log_weights), self.n_chains)

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """θ by name, (C, S, ...) in data units.

        Gaussian: "means" (C, S, K, D), "covariances" in scikit-learn's shape for the structure, and
        "scale" where the prior learns it. Bernoulli: "probabilities", Poisson: "rates", both
        (C, S, K, D).
        """
        return {name: values for name, (_, values) in self.named_parameters.items()}

    @cached_property
    def named_parameters(self) -> Named:
        """``parameters``, with what axes after chain and draw stand for."""
        named = parameters_of(self.result, self.draws)
        return {
            name: (axes, in_chains(values, self.n_chains)) for name, (axes, values) in named.items()
        }

    def score_samples(self, X: Any) -> Array:
        """Log of the posterior mean density (n,) in nats of rows: π and θ averaged over."""
        return averaged_density(self.result, [self.draws], X, self.source.n_jobs)


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
        from bayesmix.plots.posterior import plot_occupied

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
    from bayesmix.posterior.arviz_groups import convergence

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


# Stream of parameters and of assignments; what else draws from posteriors has other numbers.
OF_PARAMETERS, OF_ASSIGNMENTS = 4, 5

# Where a chain is, its generator, the key of its assignments -> what is kept, where it is then.
State: TypeAlias = "Mixture[Posterior]"
Step: TypeAlias = Callable[[State, np.random.Generator, tuple[int, ...]], tuple[Any, State]]


@dataclass(frozen=True)
class Plan:
    """How many chains, sweeps left out and draws kept; and the seed of them all."""

    n_chains: int
    n_warm: int
    n_draws: int
    seed: int

    def generators(self) -> list[np.random.Generator]:
        """One of parameters for every chain."""
        return [
            stream(self.seed, Purpose.DRAW, OF_PARAMETERS, chain) for chain in range(self.n_chains)
        ]


def run_in_rounds(
    step: Step,
    states: Sequence[State],
    generators: Sequence[np.random.Generator],
    plan: Plan,
    bar: FitProgress,
) -> tuple[list[list[Any]], str]:
    """What every chain kept, draw by draw, and whether the run was "finished" or "interrupted"."""
    rounds: list[list[Any]] = []
    try:
        for sweep in range(plan.n_warm + plan.n_draws):
            kept, following = [], []
            for chain, (state, generator) in enumerate(zip(states, generators, strict=True)):
                key = (plan.seed, OF_ASSIGNMENTS, chain, sweep)
                one, state = _sampled(step, state, generator, key)
                kept.append(one)
                following.append(state)
            states = following
            if sweep >= plan.n_warm:
                rounds.append(kept)
            bar.advance("")
    except KeyboardInterrupt:
        if not rounds:
            raise
        return _by_chain(rounds), "interrupted"
    return _by_chain(rounds), "finished"


def _by_chain(rounds: list[list[Any]]) -> list[list[Any]]:
    return [list(chain) for chain in zip(*rounds, strict=True)]


def _sampled(
    step: Step, state: Mixture[Posterior], generator: np.random.Generator, key: tuple[int, ...]
) -> tuple[Any, Mixture[Posterior]]:
    try:
        return step(state, generator, key)
    except DegenerateFitError as problem:
        raise InvalidInputError(
            f"the posterior of model cannot be sampled where X has so many tied rows: {problem}"
        ) from problem
