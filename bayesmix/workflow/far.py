"""What a mixture says of rows at any distance: squares of distances need not be doubles.

A far row is 2^e times one of about unit length, in the frame. Under Student components its log
density is finite and found from log distances; normal ones give it none, and it belongs to the
widest of them, which is the limit of its probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from scipy.special import xlogy

from bayesmix.engine.expectation import Assessment, AssessmentStep
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import has_gaps, patterns
from bayesmix.numerics.logsumexp import normalise
from bayesmix.protocols import Densities, Family, FarDensities
from bayesmix.records import Frame, Mixture, Rows

# Lengths, in standard deviations, whose squares and sums of squares are doubles.
LONGEST = 1e150
# Exponents of far rows are multiples of this: rows of one exponent are looked at together.
STEP = 64


def described(mixture: Mixture[Densities], values: Array, family: Family) -> tuple[Array, Array]:
    """Probabilities of the components (n, K) and the log density (n,), framed, of stored rows.

    (n, K + 1) with noise, which is last.
    """
    if has_gaps(values):
        shares, log_normaliser = (
            np.empty((len(values), mixture.n_components)),
            np.empty(len(values)),
        )
        for columns, rows in patterns(values, mixture.patterned):
            seen = values[np.ix_(rows, columns)]
            shares[rows], log_normaliser[rows] = _described(mixture.marginal(columns), seen, family)
        return shares, log_normaliser
    return _described(mixture, values, family)


def _described(mixture: Mixture[Densities], values: Array, family: Family) -> tuple[Array, Array]:
    """The same of rows that have all columns, but for factors that are left out."""
    if mixture.noise is not None:
        shares, log_density = described(replace(mixture, noise=None), values, family)
        log_density += mixture.noise.log_rest
        return mixture.with_noise(shares, log_density, np.asarray(values, dtype=np.float64))
    frame = mixture.frame
    if not has_far_rows(mixture, values, family):
        return mixture.responsibilities(frame.apply(values))
    components = cast("FarDensities", mixture.components)
    limit = _reach(components, frame.n_directions) * frame.scale
    shares, log_density = np.empty((len(values), mixture.n_components)), np.empty(len(values))
    distant = (np.abs(values - frame.centre) > limit).any(axis=1)
    near = np.flatnonzero(~distant)
    if len(near):
        shares[near], log_density[near] = mixture.responsibilities(frame.apply(values[near]))
    far = np.flatnonzero(distant)
    units, exponents = _scaled(frame, values[far])
    for exponent in np.unique(exponents):
        some = exponents == exponent
        joint, beyond = components.beyond(units[some], int(exponent))
        joint += mixture.log_weights
        log_density[far[some]] = normalise(joint) + beyond
        shares[far[some]] = joint
    return shares, log_density


def has_far_rows(mixture: Mixture[Densities], values: Array, family: Family) -> bool:
    """Whether squares of some rows' distances may be no doubles; rows without gaps."""
    bounds = limits(mixture, family)
    if bounds is None:
        return False
    lowest, highest = bounds
    return bool((values.max(axis=0) > highest).any() or (values.min(axis=0) < lowest).any())


def limits(mixture: Mixture[Densities], family: Family) -> tuple[Array, Array] | None:
    """The lowest and highest values (D,) whose squared distances are doubles; None: any."""
    if not family.far_densities:
        return None
    frame = mixture.frame
    limit = _reach(cast("FarDensities", mixture.components), frame.n_directions) * frame.scale
    return frame.centre - limit, frame.centre + limit


def log_density(mixture: Mixture[Densities], values: Array, family: Family) -> Array:
    """log p(x) (n,) in nats and data units, of what rows have; of counts a log probability."""
    if has_gaps(values):
        out = np.empty(len(values))
        for columns, rows in patterns(values, mixture.patterned):
            seen = mixture.marginal(columns)
            out[rows] = _log_density(seen, values[np.ix_(rows, columns)], family)
        return out
    return _log_density(mixture, values, family)


def _log_density(mixture: Mixture[Densities], values: Array, family: Family) -> Array:
    """The same of rows that have all columns, but for factors that are left out."""
    _, found = _described(mixture, values, family)
    if family.continuous:
        found = found - mixture.frame.log_volume
        found += mixture.frame.log_flat(values)
    return found


def _reach(components: FarDensities, n_features: int) -> float:
    """How far out, in the frame, squares of distances are doubles for every component."""
    largest = max(1.0, float(np.abs(components.precision_root).max()))
    return LONGEST / (4.0 * n_features * largest)


def _scaled(frame: Frame, values: Array) -> tuple[Array, Array]:
    """Framed rows (n, D') divided by 2^e, with e (n,): no coordinate is above 1."""
    away = values - frame.centre
    exponents = (np.frexp(away)[1] - np.frexp(frame.scale)[1]).max(axis=1) + 1
    exponents = -(-exponents // STEP) * STEP
    half = (exponents // 2)[:, None]
    # In two steps: either alone may leave what doubles hold.
    units = np.ldexp(np.ldexp(away, -half) / frame.scale, half - exponents[:, None])
    return (units if frame.basis is None else units @ frame.basis), exponents


@dataclass(frozen=True)
class AtAnyDistance:
    """What a chunk says of a density, also where squares of distances are no doubles."""

    family: Family
    mixture: Mixture

    def __call__(self, rows: Rows) -> Assessment:
        values = np.asarray(rows.values)
        plain = self.mixture.noise is not None or has_gaps(values)
        if plain or not has_far_rows(self.mixture, values, self.family):
            return AssessmentStep(self.mixture)(rows)
        shares, log_density = described(self.mixture, values, self.family)
        weights, largest = rows.weights_or_ones, shares.max(axis=1)
        hard = np.bincount(shares.argmax(axis=1), weights, self.mixture.n_components)
        return Assessment(
            float(log_density[weights > 0.0] @ weights[weights > 0.0]),
            float(-(xlogy(shares, shares).sum(axis=1) @ weights)),
            float(np.log(largest) @ weights),
            weights @ shares,
            hard.astype(np.float64),
        )
