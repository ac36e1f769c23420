"""log p(X | draw) for many draws at once, in tiles of rows and draws, and whose rows they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.engine.expectation import CENTRED, LINEAR, Arithmetic, ExpectationStep
from bayesmix.engine.gapped_step import SEEN
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import has_gaps
from bayesmix.numerics.logsumexp import normalise
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Components, Family, Source
from bayesmix.records import LOWEST_LOG, ChunkSums, Frame, Mixture, Rows
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.workflow.far import has_far_rows
from bayesmix.workflow.result import FitResult

TILE_ROWS = 512
TILE_VALUES = 2**17
# Chunks are sized as for this many draws, so that each has rows enough for tiles.
DRAWS_OF_CHUNK = 64
# Rounding of Σ w log p(x), in nats, that is nothing beside the noise of importance weights.
MOST_LOSS = 1e-5


@dataclass(frozen=True)
class Tile:
    """Some of the draws: log weights (T, K) and T K densities, those of a draw together."""

    log_weights: Array
    components: Components

    def log_density(self, values: Array, arithmetic: Arithmetic) -> Array:
        """log Σ_k π_k p(x | θ_k) (T, n) of framed rows."""
        n_draws, n_components = self.log_weights.shape
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            joint = arithmetic.densities(self.components, values)[0].T.reshape(
                n_draws, n_components, len(values)
            )
            joint += self.log_weights[:, :, None]
            largest = joint.max(axis=1)
            distant = ~np.isfinite(largest)
            if distant.any():  # squares of distances are no doubles, and densities zero
                np.nan_to_num(joint, copy=False, nan=-np.inf, posinf=-np.inf, neginf=-np.inf)
                largest[distant] = 0.0
            joint -= largest[:, None]
            np.exp(joint, out=joint)
            log_density: Array = np.log(joint.sum(axis=1))
            log_density += largest
        return log_density


@dataclass(frozen=True)
class DensityStep:
    """log p(x_n | draw) (n, S) of a chunk."""

    frame: Frame
    tiles: tuple[Tile, ...]
    arithmetic: Arithmetic

    def __call__(self, rows: Rows) -> Array:
        return np.concatenate([self.block(part).T for part in rows.blocks(TILE_ROWS)])

    def block(self, rows: Rows) -> Array:
        """log p(x_n | draw) (S, n) of a few rows."""
        values = self.frame.apply(rows.values)
        return np.concatenate([tile.log_density(values, self.arithmetic) for tile in self.tiles])


@dataclass(frozen=True)
class LikelihoodStep:
    """Σ_n w_n log p(x_n | draw) (S,) over a chunk."""

    densities: DensityStep

    def __call__(self, rows: Rows) -> Array:
        total: Array = np.sum([self._block(part) for part in rows.blocks(TILE_ROWS)], axis=0)
        return total

    def _block(self, rows: Rows) -> Array:
        densities = self.densities.block(rows)
        total: Array = densities.sum(axis=1) if rows.weights is None else densities @ rows.weights
        return total


@dataclass(frozen=True)
class FarStep:
    """Whether a chunk has rows so far out that squares of distances are no doubles: 0 or 1."""

    mixture: Mixture
    family: Family

    def __call__(self, rows: Rows) -> int:
        return int(has_far_rows(self.mixture, np.asarray(rows.values), self.family))


def log_likelihoods(result: FitResult, draws: Draws, source: Source) -> Array:
    """log p(X | draw) (S,) in nats and data units, rows streamed."""
    total: Array = _over(source.reduce, LikelihoodStep(_step(result, draws, source)), draws)
    return total - source.total_weight * result.log_volume


def log_densities(result: FitResult, draws: Draws, source: Source) -> Array:
    """log p(x_n | draw) (n, S) in nats and data units."""
    densities: Array = _over(source.map, _step(result, draws, source), draws)
    return densities - result.log_volume


def shares_of(draws: Draws, framed: Array, start: int = 0, stop: int | None = None) -> Array:
    """p(z_n = k | x_n, π_s, θ_s) (n, S, K) of framed rows at draws from ``start`` to ``stop``."""
    log_weights = np.maximum(draws.weights.log_weights[start:stop], LOWEST_LOG)
    n_draws, n_components = log_weights.shape
    places = np.arange(start * n_components, (start + n_draws) * n_components)
    components = draws.components.components.subset(places)
    arithmetic: Arithmetic = SEEN if has_gaps(framed) else CENTRED
    joint: Array = np.ascontiguousarray(arithmetic.densities(components, framed)[0])
    joint = joint.reshape(len(framed), n_draws, n_components)
    joint += log_weights
    normalise(joint.reshape(-1, n_components))
    return joint


def _over(work: Any, step: Any, draws: Draws) -> Any:
    with single_threaded_blas():
        n_draws, n_components = draws.weights.log_weights.shape
        return work(step, n_components * min(n_draws, DRAWS_OF_CHUNK))


def _step(result: FitResult, draws: Draws, source: Source) -> DensityStep:
    log_weights = np.maximum(draws.weights.log_weights, LOWEST_LOG)
    n_draws, n_components = log_weights.shape
    size = max(1, TILE_VALUES // (TILE_ROWS * n_components))
    components = draws.components.components
    tiles = tuple(
        Tile(
            log_weights[start : start + size],
            components.subset(
                np.arange(start * n_components, min(start + size, n_draws) * n_components)
            ),
        )
        for start in range(0, n_draws, size)
    )
    return DensityStep(result.mixture.frame, tiles, _arithmetic(result, source))


def _arithmetic(result: FitResult, source: Source) -> Arithmetic:
    """The linear form where it keeps its digits under q, which draws are not far from."""
    if not result.family.linear:
        return CENTRED
    mixture: Mixture = result.mixture
    if source.reduce(FarStep(mixture, result.family), 1):
        return CENTRED
    expectation: ChunkSums = source.reduce(ExpectationStep(mixture, CENTRED), mixture.n_components)
    loss = mixture.linear.loss(expectation.finished().statistics)
    return LINEAR if loss <= MOST_LOSS else CENTRED
