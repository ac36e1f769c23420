"""Rows as their logarithms: their frame, and what is known of them before a fit.

The normals live over logarithms of framed rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayesmix.families.independent.positive import SMALLEST
from bayesmix.numerics.arrays import Array, Stored
from bayesmix.protocols import Densities
from bayesmix.records import Frame, Summary

# Of how many standard deviations of a normal its quartiles are apart.
IQR_OF_NORMAL = 1.349
# The largest logarithm of a row that is drawn, and less its sign the smallest: doubles go so far.
LARGEST_LOG = 690.0


def frame_of_logs(frame: Frame) -> Frame:
    """What takes logarithms of framed rows to those of rows in data units."""
    return Frame(np.log(frame.scale), np.ones(len(frame.scale)))


def summary_of_logs(summary: Summary, frame: Frame) -> Summary:
    """What is known of logarithms of framed rows; a step between values is that at the median."""
    middle = summary.centre
    scale = np.log(summary.upper / summary.lower) / IQR_OF_NORMAL
    return replace(
        summary,
        centre=np.log(middle / frame.scale),
        scale=np.where(scale > 0.0, scale, np.log1p(summary.scale / middle)),
        minimum=np.log(summary.minimum / frame.scale),
        maximum=np.log(summary.maximum / frame.scale),
        gap=np.log1p(summary.gap / middle),
        mean=np.log(summary.mean / frame.scale),
        lower=np.log(summary.lower / frame.scale),
        upper=np.log(summary.upper / frame.scale),
    )


@dataclass(frozen=True)
class LogFrame:
    """The frame of logarithms, for what looks at rows as they are stored."""

    frame: Frame

    def apply(self, values: Stored) -> Array:
        logs: Array = np.log(self.frame.apply(values))
        return logs


def means_of(log_means: Array, log_variances: Array) -> Array:
    """E[x] = exp(μ + σ²/2); a mean beyond doubles is infinite."""
    with np.errstate(over="ignore"):
        means: Array = np.exp(log_means + 0.5 * log_variances)
    return means


def rows_of(logs: Array) -> Array:
    """Rows with these logarithms, none of them zero or infinite."""
    rows: Array = np.exp(np.clip(logs, -LARGEST_LOG, LARGEST_LOG))
    return rows


def log_density(normals: Densities, values: Array) -> Array:
    """log p(x | k) (n, K) from densities of logarithms; minus infinity where x is not positive."""
    logs = np.log(np.maximum(values, SMALLEST))
    out = normals.expected_log_density(logs)
    out -= logs.sum(axis=1)[:, None]
    out[(values <= 0.0).any(axis=1)] = -np.inf
    return out
