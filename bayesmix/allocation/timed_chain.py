"""A Markov chain in continuous time, seen at uneven times.

With generator Q the transitions over a time Δ are exp(QΔ) (Kalbfleisch & Lawless 1985). EM has the
expected numbers of jumps and times in states between samples (Bladt & Sørensen 2005), which are
integrals of products of exponentials. These follow from the eigenvectors of Q, or, where they are
nearly dependent, are blocks of one exponential (Van Loan 1978).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.linalg import expm

from bayesmix.allocation.chain import (
    LEAST_MOVE,
    ChainSums,
    DirichletChainPrior,
    stationary_distribution,
)
from bayesmix.allocation.forward_backward import forward_backward
from bayesmix.allocation.gated_chain import varying_paths
from bayesmix.allocation.point import PointWeights, add_labels, no_log_weights
from bayesmix.core.rows import AddedByField, Allocated, Rows, SideInformation
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers, normalise
from bayesmix.numerics.memo import once

# Transitions of this many samples are added where a chain begins, so that no rate begins at 0.
BEFORE = 0.5
# Condition of the eigenvectors above which exponentials would lose more than six digits.
DEPENDENT = 1e6
# Difference of eigenvalues times Δ below which (exp(x) - 1) / x is 1 to rounding.
CLOSE = 1e-15
# Smallest time in a state and transition by which counts are divided.
LEAST = 1e-300


@dataclass(frozen=True)
class Elapsed:
    """Times since the sample before, in units of their mean ``unit``; 1 at first samples.

    ``codes`` (n,) are the places of those of the samples among the ``distinct`` times.
    """

    distinct: Array
    codes: Integers
    unit: float

    @classmethod
    def of(cls, times: Array, begins: Booleans, unit: float | None = None) -> Self:
        """Return the times since the sample before, from increasing times (n,) of samples."""
        steps = np.diff(times, prepend=times[:1])
        if unit is None:
            unit = float(steps[~begins].mean())
        steps[begins] = unit
        distinct, codes = np.unique(steps / unit, return_inverse=True)
        return cls(distinct, codes, unit)

    def __getitem__(self, rows: Any) -> Self:
        return replace(self, codes=self.codes[rows])

    def timed(self, inference: Any) -> Any:
        """Return the inference with a chain in continuous time."""
        prior = inference.weights
        plain = isinstance(prior, DirichletChainPrior) and not prior.stationary
        if not plain or inference.name != "maximum_likelihood":
            raise UnsupportedError(
                "times need initial='free', no covariates, and maximum likelihood: leave out times "
                "or the others"
            )
        return replace(inference, weights=TimedChainPrior())


@dataclass(frozen=True)
class TimedSums(AddedByField):
    """Expected first states (K,), numbers of jumps (K, K), and times in states (K,)."""

    initial: Array
    jumps: Array
    times: Array

    def pack(self) -> Array:
        return np.concatenate([self.initial, self.jumps.ravel(), self.times])

    def unpack(self, vector: Array) -> TimedSums:
        K = len(self.initial)
        initial, jumps, times = np.split(vector, [K, K + K * K])
        return TimedSums(initial, jumps.reshape(K, K), times)

    def units(self) -> Array:
        """Return 1 / total time, which is about the number of samples."""
        return np.full(len(self.pack()), 1.0 / max(float(self.times.sum()), 1.0))

    @property
    def feasible(self) -> bool:
        return bool(self.pack().min() >= 0.0)


@dataclass(frozen=True)
class TimedChain:
    """Probabilities of the first state (K,), and rates (K, K) whose rows sum to 0."""

    initial: Array
    rates: Array
    exchangeable = True
    expected_log, path_probabilities = no_log_weights, varying_paths

    @classmethod
    def of(cls, initial: Array, jumps: Array) -> TimedChain:
        """Return the chain with rates (K, K) of jumps, whose diagonal is not used."""
        rates = jumps * (1.0 - np.eye(len(jumps)))
        return cls(initial, rates - np.diag(rates.sum(axis=1)))

    @property
    def n_components(self) -> int:
        return len(self.initial)

    @property
    def transition(self) -> Array:
        """Transitions (K, K) over the mean time between samples."""
        return self.transitions_over(np.ones(1))[0]

    @once
    def eigen(self) -> tuple[Array, Array, Array] | None:
        """Eigenvalues (K,), eigenvectors and their inverse; None if they are nearly dependent."""
        values, vectors = np.linalg.eig(self.rates)
        if not np.linalg.cond(vectors) < DEPENDENT:
            return None
        return values, vectors, np.linalg.inv(vectors)

    def transitions_over(self, times: Array) -> Array:
        """Return the transitions (m, K, K) over times (m,), in units of the mean time."""
        if self.eigen is None:
            over: Array = expm(self.rates * times[:, None, None])
        else:
            values, vectors, inverse = self.eigen
            over = ((vectors * np.exp(times[:, None, None] * values)) @ inverse).real
        return np.maximum(over, 0.0)

    def mean(self) -> Array:
        return stationary_distribution(self.transition)

    def averaged(self) -> TimedChain:
        return self

    def first_states(self, side: SideInformation) -> Array:
        """Return the probabilities (K,) of the first state of all sequences."""
        return self.initial

    def transitions_at(self, side: SideInformation) -> Array:
        """Return the probabilities (n, K, K) of the transitions to each sample."""
        elapsed = self.needed(side)
        return self.transitions_over(elapsed.distinct)[elapsed.codes]

    @staticmethod
    def needed(side: SideInformation) -> Any:
        """Return the times between samples, or raise an error if there are none."""
        if side.elapsed is None:
            raise InvalidInputError("times of the samples are needed, as the fit had times")
        return side.elapsed

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log densities (n, K) into smoothed probabilities in place."""
        add_labels(joint, rows)
        side = rows.side
        if side.begins is None:  # samples are independent, from the stationary distribution
            joint += np.log(np.maximum(self.mean(), LEAST))
            return Allocated(normalise(joint))
        if rows.weights is not None:
            raise UnsupportedError("sequences do not support sample_weight: leave it out")
        elapsed = self.needed(side)
        over = self.transitions_over(elapsed.distinct)
        chained = forward_backward(joint, side.starts, self.initial, over[elapsed.codes])
        joint[:] = chained.shares
        pairs = np.zeros_like(over)
        entered = ~side.begins
        np.add.at(pairs, elapsed.codes[entered], chained.transitions[entered])
        integrals = self._integrals(pairs / np.maximum(over, LEAST), elapsed.distinct)
        jumps = np.maximum(self.rates, 0.0) * integrals
        sums = TimedSums(chained.initial, np.maximum(jumps, 0.0), integrals.diagonal().copy())
        return Allocated(chained.log_predictive, sums)

    def _integrals(self, ratios: Array, times: Array) -> Array:
        """Return Σ ∫ P_ik(s) ratio_ij P_lj(Δ - s) ds over times Δ, for all k and l."""
        K, spans = self.n_components, times[:, None, None]
        if self.eigen is None:
            blocks = np.zeros((len(times), 2 * K, 2 * K))
            blocks[:, :K, :K] = blocks[:, K:, K:] = self.rates.T * spans
            blocks[:, :K, K:] = ratios * spans
            return np.asarray(expm(blocks)[:, :K, K:].sum(axis=0))
        values, vectors, inverse = self.eigen
        apart = spans * (values[:, None] - values)
        close = np.abs(apart) < CLOSE
        means = np.where(close, 1.0, np.expm1(apart) / np.where(close, 1.0, apart))
        between = spans * np.exp(spans * values) * means  # ∫ exp(d_a s + d_b (Δ - s)) ds
        turned = (between * (vectors.T @ ratios @ inverse.T)).sum(axis=0)
        return np.asarray((inverse.T @ turned @ vectors.T).real)

    def proportional(self, shares: Array) -> TimedChain:
        """Return the chain with rates of jumps to each state changed in proportion to shares."""
        factors = shares / np.maximum(self.mean(), LEAST_MOVE)
        initial = np.maximum(self.initial, LEAST_MOVE) * factors
        return TimedChain.of(initial / initial.sum(), np.maximum(self.rates, 0.0) * factors)

    def subset(self, keep: Integers, counts: Array) -> TimedChain:
        initial = PointWeights.shares(self.initial[keep]).probabilities
        return TimedChain.of(initial, self.rates[keep][:, keep])


@dataclass(frozen=True)
class TimedChainPrior:
    """Maximum likelihood of a chain in continuous time."""

    name = "timed_chain"

    def mode(self, statistics: TimedSums | ChainSums) -> TimedChain:
        """Return jumps per time in each state; from transitions those per sample."""
        initial = PointWeights.shares(statistics.initial).probabilities
        if isinstance(statistics, ChainSums):
            visits = statistics.transitions.sum(axis=1, keepdims=True) + BEFORE
            begun = statistics.transitions + BEFORE / len(initial)
            return TimedChain.of(initial, begun / visits)
        return TimedChain.of(
            initial, statistics.jumps / np.maximum(statistics.times, LEAST)[:, None]
        )

    def log_density(self, chain: TimedChain) -> float:
        return 0.0

    def n_parameters(self, n_components: int) -> int:
        return (n_components - 1) * (1 + n_components)
