"""A hidden Markov chain: each sample's component depends on that of the sample before it.

Statistics are expected counts of first states and of transitions (Baum et al. 1970; Rabiner 1989);
a variational posterior has a Dirichlet distribution for the first state and for each row of the
transition matrix (MacKay 1997; Beal 2003, ch. 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax, xlogy

from bayesmix.allocation.dirichlet import Dirichlet, DirichletPrior
from bayesmix.allocation.forward_backward import (
    drawn_paths,
    forward_backward,
    logs,
    most_probable_paths,
)
from bayesmix.allocation.point import PointWeights, add_labels, no_log_weights
from bayesmix.allocation.point_draws import WeightDraws, densities_of_draws
from bayesmix.core.components import Named
from bayesmix.core.priors import Assign, NamedTensors, Pymc, Tensor
from bayesmix.core.restrictions import Restriction
from bayesmix.core.rows import (
    LOWEST_LOG,
    NO_SIDE_INFORMATION,
    AddedByField,
    Allocated,
    Rows,
    SideInformation,
)
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers, normalise

if TYPE_CHECKING:
    from bayesmix.allocation.gated_chain import GatedChain, GatedSums

# Smallest transition probability of a chain whose first state is stationary.
LEAST_MOVE = 1e-12
# Iterations for such a chain: of 100 transitions for each first state they gain two digits each.
MOST_ITERATIONS = 20
# Change of transitions whose square, by which the objective differs, is a rounding error.
SQUARE_ROUNDED = 1e-9
# Steps of a constrained M-step, halvings of each, and relative gain at which it ends.
MOST_STEPS, MOST_HALVED, GAIN_ROUNDED = 200, 40, 1e-15


def stationary_distribution(transition: Array) -> Array:
    """Return the distribution (..., K) that transitions preserve; of several the most even one."""
    K = transition.shape[-1]
    balance = np.eye(K) - np.swapaxes(transition, -1, -2)
    system = np.concatenate([balance, np.ones((*transition.shape[:-2], 1, K))], axis=-2)
    inverse = np.linalg.pinv(system, rcond=(K + 1) * np.finfo(float).eps)
    distribution: Array = np.maximum(inverse[..., -1], 0.0)
    distribution /= distribution.sum(axis=-1, keepdims=True)
    return distribution


def log_stationary_slopes(transition: Array, steady: Array, counts: Array) -> Array:
    """Return the derivatives (K, K) of Σ n_k log π_k in the transitions, which preserve π.

    A change dA of the transitions changes π by π dA (I - A + 1π)⁻¹ (Schweitzer 1968).
    """
    passed = np.linalg.solve(np.eye(len(steady)) - transition + steady, counts / steady)
    return np.outer(steady, passed)


def ascended(
    start: Array, value: Callable[[Array], float], further: Callable[[Array], Array]
) -> Array:
    """Return a point with at least the value of ``start``, on the way to proposed ones.

    A step is halved until it gains, which all steps on the way do in a convex set of points.
    """
    at, best = start, value(start)
    for _ in range(MOST_STEPS):
        proposed = further(at)
        sizes = 0.5 ** np.arange(MOST_HALVED)
        tried = ((at + size * (proposed - at)) for size in sizes)
        gaining = next(((new, v) for new in tried if (v := value(new)) > best), None)
        if gaining is None:
            return at
        at, before, best = gaining[0], best, gaining[1]
        if best - before <= GAIN_ROUNDED * abs(best):
            return at
    return at


@dataclass(frozen=True)
class ChainSums(AddedByField):
    """Expected counts of first states (K,) and of transitions (K, K)."""

    initial: Array
    transitions: Array

    def pack(self) -> Array:
        return np.append(self.initial, self.transitions)

    def unpack(self, vector: Array) -> ChainSums:
        K = len(self.initial)
        return ChainSums(vector[:K], vector[K:].reshape(K, K))

    def units(self) -> Array:
        """Return 1 / number of samples."""
        packed = self.pack()
        return np.full(len(packed), 1.0 / packed.sum())

    @property
    def feasible(self) -> bool:
        return bool(self.pack().min() >= 0.0)


def allocate_sequences(
    chain: MarkovChain | DirichletChain | GatedChain, joint: Array, rows: Rows
) -> Allocated:
    """Turn log densities (n, K) into smoothed probabilities in place, sequence by sequence.

    Samples outside sequences are independent, from the stationary distribution.
    """
    add_labels(joint, rows)
    if rows.side.begins is None:
        joint += np.maximum(PointWeights(chain.mean()).expected_log(), LOWEST_LOG)
        return Allocated(normalise(joint))
    initial, transition = (np.exp(part) for part in chain.expected_logs(rows.side))
    starts, weights = rows.side.starts, rows.weights
    if weights is not None:  # the pairs of each sample have its weight
        transition = np.broadcast_to(transition, (len(rows), *transition.shape))
    chained = forward_backward(joint, starts, initial, transition).weighted(starts, weights)
    joint[:] = chained.shares
    moves = chained.transitions if weights is None else chained.transitions.sum(axis=0)
    return Allocated(chained.log_predictive, ChainSums(chained.initial, moves))


@dataclass(frozen=True)
class ChainDraws:
    """S draws of a chain: log probabilities of the first state (S, K) and of moves (S, K, K)."""

    log_initial: Array
    log_transitions: Array

    @cached_property
    def log_weights(self) -> Array:
        """Logarithms (S, K) of the stationary distributions."""
        return logs(stationary_distribution(np.exp(self.log_transitions)))

    def named(self) -> Named:
        return {
            "startprob": (("component",), np.exp(self.log_initial)),
            "transmat": (("component", "other_component"), np.exp(self.log_transitions)),
        }

    def rows(self) -> list[Array]:
        """Return log probabilities (S, K) of the first state and of the moves from each state."""
        return [self.log_initial, *self.log_transitions.swapaxes(0, 1)]

    def chains(self) -> Iterator[MarkovChain]:
        return map(MarkovChain, np.exp(self.log_initial), np.exp(self.log_transitions))

    def log_density(self, joint: Array, rows: Rows) -> Array:
        """Return log densities (S, n) of samples given those before, from those of states.

        Samples outside sequences are from the stationary distribution.
        """
        if rows.side.begins is None:
            return densities_of_draws(self, joint, rows)
        allocated = map(MarkovChain.allocate, self.chains(), joint.transpose(0, 2, 1), repeat(rows))
        return np.array([of_draw.log_normaliser for of_draw in allocated])

    def shares(self, joint: Array, rows: Rows) -> None:
        for chain, of_draw in zip(self.chains(), joint.swapaxes(0, 1), strict=True):
            chain.allocate(of_draw, rows)

    def assign(
        self, joint: Array, rows: Rows, assign: Assign, generator: np.random.Generator
    ) -> Allocated:
        """Turn log densities (n, K) into drawn paths in place, with their transitions."""
        K, starts = joint.shape[1], rows.side.starts
        initial, transition = np.exp(self.log_initial[0]), np.exp(self.log_transitions[0])
        log_predictive, path = drawn_paths(joint, starts, initial, transition, generator)
        joint[:] = path[:, None] == np.arange(K)
        moves = np.delete(path[:-1] * K + path[1:], starts[1:] - 1)
        transitions = np.bincount(moves, minlength=K * K).reshape(K, K).astype(np.float64)
        return Allocated(log_predictive, ChainSums(joint[starts].sum(axis=0), transitions))


def paths(
    chain: MarkovChain | DirichletChain | GatedChain,
    log_density: Array,
    smoothed: Array,
    allocated: Allocated,
    rows: Rows,
) -> tuple[float, float]:
    """Return the entropy of the paths of all sequences, and log P of the most probable paths.

    States are dependent given the samples, so sums over samples would exceed the entropy.
    """
    side, weights = rows.side, rows.weights_or_ones
    starts, (log_initial, log_moves) = side.starts, chain.expected_logs(side)
    sums = cast("ChainSums | GatedSums", allocated.statistics)
    total = float(np.add.reduce(weights * allocated.log_normaliser))
    if total == -np.inf:
        return 0.0, 0.0  # no path is possible
    counts = weights[:, None] * smoothed
    expected = float((counts * np.where(smoothed > 0.0, log_density, 0.0)).sum())
    expected += float((counts[starts] * log_initial).sum() + (sums.transitions * log_moves).sum())
    path = most_probable_paths(log_density, starts, np.exp(log_initial), np.exp(log_moves))
    steps = np.append(0.0, log_moves[path[:-1], path[1:]])
    first = np.broadcast_to(log_initial, (len(starts), len(log_moves)))
    steps[starts] = first[np.arange(len(starts)), path[starts]]
    best = float(weights @ (log_density[np.arange(len(path)), path] + steps))
    return total - expected, best - total


@dataclass(frozen=True)
class MarkovChain:
    """Probabilities of the first state (K,) and of transitions (K, K) from row to column."""

    initial: Array
    transition: Array
    exchangeable = True
    expected_log, allocate, path_probabilities = no_log_weights, allocate_sequences, paths

    @property
    def n_components(self) -> int:
        return len(self.initial)

    def mean(self) -> Array:
        return stationary_distribution(self.transition)

    def averaged(self) -> MarkovChain:
        return self

    def expected_logs(self, side: SideInformation = NO_SIDE_INFORMATION) -> tuple[Array, Array]:
        return logs(self.initial), logs(self.transition)

    def first_states(self, side: SideInformation) -> Array:
        """Return the probabilities (K,) of the first state of all sequences."""
        return self.initial

    def transitions_at(self, side: SideInformation) -> Array:
        """Return the probabilities (K, K) of all transitions."""
        return self.transition

    def proportional(self, shares: Array) -> MarkovChain:
        """Return the chain with transitions to each state changed in proportion to ``shares``."""
        factors = shares / np.maximum(self.mean(), LEAST_MOVE)
        moves = np.maximum(self.transition, LEAST_MOVE) * factors
        initial = np.maximum(self.initial, LEAST_MOVE) * factors
        return MarkovChain(initial / initial.sum(), moves / moves.sum(axis=1, keepdims=True))

    def restricted(self, restriction: Restriction) -> MarkovChain:
        """Return the chain under a restriction, from that which maximises the likelihood."""
        first, moves = (restriction.of(name) for name in ("startprob", "transmat"))
        return MarkovChain(
            self.initial if first is None else first.shared_out(self.initial),
            self.transition if moves is None else moves.shared_out(self.transition),
        )

    def subset(self, keep: Integers, counts: Array) -> MarkovChain:
        rows = [PointWeights.shares(row).probabilities for row in self.transition[keep][:, keep]]
        return MarkovChain(PointWeights.shares(self.initial[keep]).probabilities, np.array(rows))


@dataclass(frozen=True)
class DirichletChain:
    """q of a chain: Dirichlet concentrations of the first state (K,) and of each row (K, K)."""

    initial: Array
    transitions: Array
    exchangeable = True
    expected_log, allocate, path_probabilities = no_log_weights, allocate_sequences, paths

    @property
    def n_components(self) -> int:
        return len(self.initial)

    @property
    def dirichlets(self) -> list[Dirichlet]:
        """Distributions of the first state and of the rows."""
        return [Dirichlet(row) for row in (self.initial, *self.transitions)]

    def averaged(self) -> MarkovChain:
        initial, *rows = (row.mean() for row in self.dirichlets)
        return MarkovChain(initial, np.array(rows))

    def mean(self) -> Array:
        """Return the stationary distribution (K,) of the mean transitions."""
        return self.averaged().mean()

    def expected_logs(self, side: SideInformation = NO_SIDE_INFORMATION) -> tuple[Array, Array]:
        initial, *moves = (row.expected_log() for row in self.dirichlets)
        return initial, np.array(moves)

    def draws(self, n_draws: int, generator: np.random.Generator) -> ChainDraws:
        initial, *moves = (row.draws(n_draws, generator).log_weights for row in self.dirichlets)
        return ChainDraws(initial, np.stack(moves, axis=1))

    def log_density_of(self, draws: ChainDraws) -> Array:
        rows = zip(self.dirichlets, map(WeightDraws, draws.rows()), strict=True)
        return np.sum([row.log_density_of(drawn) for row, drawn in rows], axis=0)

    def subset(self, keep: Integers, counts: Array) -> DirichletChain:
        """Select states, under which Dirichlet distributions are closed."""
        return DirichletChain(self.initial[keep], self.transitions[keep][:, keep])


@dataclass(frozen=True)
class ChainTwin:
    """A chain in PyMC, with probabilities of the first state (K,) and of transitions (K, K)."""

    startprob: Tensor
    transmat: Tensor

    @cached_property
    def drawn(self) -> dict[str, Tensor]:
        from pytensor import tensor as pt

        return {"log_initial": pt.log(self.startprob), "log_transitions": pt.log(self.transmat)}

    def log_likelihood(self, pm: Pymc, joint: Tensor, rows: Rows) -> Tensor:
        """Return log p(X) from log densities (n, K), paths summed out.

        The forward recursion is a product of matrices (K, K), one per sample, which is taken by
        pairs. Where a sequence begins, the matrix forgets the state before.
        """
        from pytensor import tensor as pt

        n, (initial, transitions) = len(rows), self.drawn.values()
        begins = np.isin(np.arange(n), rows.side.starts)[:, None, None]
        moves = pt.where(begins, initial, transitions) + joint[:, None, :]
        while n > 1:
            pairs = moves[: n - n % 2 : 2, :, :, None] + moves[1:n:2, None, :, :]
            moves = pt.concatenate([pm.math.logsumexp(pairs, axis=2), moves[n - n % 2 : n]])
            n -= n // 2
        return pm.math.logsumexp(moves[0, 0])

    def named(self) -> NamedTensors:
        """Return the stationary distribution π, which solves (I - Aᵀ + 1 1ᵀ) π = 1."""
        from pytensor import tensor as pt

        balance = pt.eye(self.transmat.shape[0]) - self.transmat.T + 1.0
        return {"weights": (("component",), pt.linalg.solve(balance, pt.ones_like(self.startprob)))}

    def draws(self, values: Mapping[str, Array], n_draws: int) -> ChainDraws:
        return ChainDraws(**values)

    def point(self, draws: ChainDraws) -> dict[str, Array]:
        return {name: values for name, (_, values) in draws.named().items()}


@dataclass(frozen=True)
class DirichletChainPrior:
    """Symmetric Dirichlet priors of the first state and of each row of the transition matrix.

    With concentration 1 the mode is the maximum of the likelihood. ``stationary``: the first state
    has the stationary distribution of the transitions.
    """

    row_concentration: float = 1.0
    stationary: bool = False
    name = "dirichlet_chain"

    @property
    def of_row(self) -> DirichletPrior:
        return DirichletPrior(self.row_concentration)

    def posterior(self, statistics: ChainSums) -> DirichletChain:
        """Return the posterior concentrations: prior plus expected counts."""
        return DirichletChain(
            statistics.initial + self.row_concentration,
            statistics.transitions + self.row_concentration,
        )

    def mode(self, statistics: ChainSums) -> MarkovChain:
        """Return counts plus α0 - 1, normalised; α0 < 1 is an error."""
        if self.row_concentration < 1.0:
            raise InvalidInputError(
                "transition_prior must be at least 1 for a maximum a posteriori fit (below 1 the "
                f"posterior density has no maximum), got {self.row_concentration}"
            )
        more = self.row_concentration - 1.0
        initial = statistics.initial + (0.0 if self.stationary else more)
        return _most_probable(initial, statistics.transitions + more, self.stationary)

    def stationary_mode(self, statistics: ChainSums, restriction: Restriction) -> MarkovChain:
        """Return the likeliest chain with a stationary first state and restricted transitions."""
        initial, counted, held = (
            statistics.initial,
            statistics.transitions,
            restriction.of("transmat"),
        )
        if held is None:
            return self.mode(statistics)

        def of_counts(counts: Array) -> Array:
            rows = [PointWeights.shares(row).probabilities for row in np.maximum(counts, 0.0)]
            return held.shared_out(np.array(rows))

        def value(moves: Array) -> float:
            steady = np.maximum(stationary_distribution(moves), LEAST_MOVE)
            logs_of_moves = np.log(np.maximum(moves, LEAST_MOVE))
            return float((initial * np.log(steady)).sum() + (counted * logs_of_moves).sum())

        def further(moves: Array) -> Array:
            steady = np.maximum(stationary_distribution(moves), LEAST_MOVE)
            return of_counts(counted + moves * log_stationary_slopes(moves, steady, initial))

        moves = ascended(of_counts(counted), value, further)
        return MarkovChain(stationary_distribution(moves), moves)

    def kl(self, chain: DirichletChain) -> float:
        return sum(self.of_row.kl(row) for row in chain.dirichlets)

    def log_density(self, chain: MarkovChain) -> float:
        """Return the log prior density of a chain; a stationary first state has none."""
        rows = list(chain.transition)
        if not self.stationary:
            rows.append(chain.initial)
        return sum(self.of_row.log_density(PointWeights(row)) for row in rows)

    def log_density_of(self, draws: ChainDraws) -> Array:
        rows = map(WeightDraws, draws.rows())
        return np.sum([self.of_row.log_density_of(row) for row in rows], axis=0)

    def pymc_distribution(self, pm: Pymc, q: DirichletChain, n_components: int) -> ChainTwin:
        concentration = np.full((n_components, n_components), float(self.row_concentration))
        startprob = pm.Dirichlet("startprob", a=concentration[0], dims="component")
        axes = ("component", "other_component")
        return ChainTwin(startprob, pm.Dirichlet("transmat", a=concentration, dims=axes))

    def n_parameters(self, n_components: int) -> int:
        return (n_components - 1) * (n_components + (not self.stationary))


def _most_probable(initial: Array, transitions: Array, stationary: bool) -> MarkovChain:
    """Return the chain that maximises Σ n_k log π_k + Σ n_jk log a_jk."""
    rows = np.array([PointWeights.shares(row).probabilities for row in transitions])
    if not stationary:
        return MarkovChain(PointWeights.shares(initial).probabilities, rows)
    moves = _with_stationary_start(initial, transitions, rows)
    if moves is not None:
        return MarkovChain(stationary_distribution(moves), moves)
    K = len(rows)
    total = float(transitions.sum() + initial.sum())

    def loss(logits: Array) -> tuple[float, Array]:
        moves = softmax(logits.reshape(K, K), axis=1)
        steady = np.maximum(stationary_distribution(moves), LEAST_MOVE)
        value = xlogy(initial, steady).sum() + xlogy(transitions, moves).sum()
        slope = transitions / np.maximum(moves, LEAST_MOVE)
        slope += log_stationary_slopes(moves, steady, initial)
        slope = moves * (slope - (moves * slope).sum(axis=1, keepdims=True))
        return -float(value) / total, -slope.ravel() / total

    logits = np.log(np.maximum(rows, LEAST_MOVE))
    options: Any = {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 200}
    optimum = minimize(loss, logits.ravel(), jac=True, method="L-BFGS-B", options=options)
    moves = softmax(optimum.x.reshape(K, K), axis=1)
    return MarkovChain(stationary_distribution(moves), moves)


def _with_stationary_start(initial: Array, transitions: Array, rows: Array) -> Array | None:
    """Return transitions whose derivatives vanish, by iteration from ``rows``; None if it fails.

    Derivatives of Σ n_k log π_k act as further transitions, few unless most sequences are short.
    """
    moves = np.maximum(rows, LEAST_MOVE)
    for _ in range(MOST_ITERATIONS):
        steady = np.maximum(stationary_distribution(moves), LEAST_MOVE)
        counts = transitions + moves * log_stationary_slopes(moves, steady, initial)
        totals = counts.sum(axis=1, keepdims=True)
        if not (counts.min() >= 0.0 and totals.min() > 0.0):
            return None
        before, moves = moves, np.maximum(counts / totals, LEAST_MOVE)
        if np.abs(moves - before).max() < SQUARE_ROUNDED:
            return moves
    return None
