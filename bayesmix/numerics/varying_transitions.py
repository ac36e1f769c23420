"""Forward filtering, backward smoothing and best paths where every step has its own transitions.

All sequences are passed side by side in logarithms, one step at a time, which suits many short
sequences, such as the waves of a panel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import logsumexp

from bayesmix.numerics.arrays import Array, Integers


def _steps(starts: Integers, n_rows: int) -> Iterator[Integers]:
    """Yield the rows of all sequences at their first step, at their second, and so on."""
    lengths = np.diff(np.append(starts, n_rows))
    for step in range(int(lengths.max())):
        yield starts[lengths > step] + step


def smoothed_in_logs(
    log_density: Array, starts: Integers, log_initial: Array, log_moves: Array, smooth: bool
) -> tuple[Array, Array, Array]:
    """Return one-step log densities (n,), probabilities (n, K) and those of pairs (n, K, K).

    ``log_initial`` is (S, K); ``log_moves[n]`` (K, K) leads to observation n from the one before.
    Without ``smooth`` probabilities are filtered, and pairs 0.
    """
    n = len(log_density)
    steps = list(_steps(starts, n))
    filtered, log_predictive = np.empty_like(log_density), np.empty(n)
    for step, rows in enumerate(steps):
        predicted = log_initial
        if step:
            predicted = logsumexp(filtered[rows - 1][:, :, None] + log_moves[rows], axis=1)
        joint = predicted + log_density[rows]
        log_predictive[rows] = logsumexp(joint, axis=1)
        filtered[rows] = joint - log_predictive[rows][:, None]
    pairs, future = np.zeros_like(log_moves), np.zeros_like(log_density)
    if smooth:
        for rows in reversed(steps[1:]):
            ahead = log_density[rows] + future[rows] - log_predictive[rows][:, None]
            through = log_moves[rows] + ahead[:, None, :]
            pairs[rows] = np.exp(filtered[rows - 1][:, :, None] + through)
            future[rows - 1] = logsumexp(through, axis=2)
    shares = np.exp(filtered + future)
    return log_predictive, shares / shares.sum(axis=1, keepdims=True), pairs


def best_paths(
    log_density: Array, starts: Integers, log_initial: Array, log_moves: Array
) -> Integers:
    """Return the most probable states (n,) of each sequence together (Viterbi 1967)."""
    n, K = log_density.shape
    steps = list(_steps(starts, n))
    value, best = log_density.copy(), np.zeros((n, K), dtype=np.intp)
    for step, rows in enumerate(steps):
        if not step:
            value[rows] += log_initial
            continue
        through = value[rows - 1][:, :, None] + log_moves[rows]
        best[rows] = through.argmax(axis=1)
        value[rows] += through.max(axis=1)
    states = value.argmax(axis=1)  # right at the last step of each sequence
    for rows in reversed(steps[1:]):
        states[rows - 1] = best[rows, states[rows]]
    return states
