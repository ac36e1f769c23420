"""Free coordinates of covariance structures at a point: entries of blocks, or of Σ = λ D A Dᵀ.

A structure is one domain over the whole array of blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.linalg import expm

from bayesmix.core.parameters import INFINITY, Coordinate, Domain, Parameter, Place
from bayesmix.numerics.arrays import Array, diagonal_matrices

# Structures whose blocks are free parameters, entry by entry.
FREE_BLOCKS = ("full", "tied", "diag", "spherical", "EII", "EEI")


class CovarianceBlocks(Domain):
    """Blocks of covariance matrices, of which a structure shares or fixes parts."""

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        structure, blocks = components.structure, getattr(components, parameter.field)
        if structure.name not in FREE_BLOCKS:
            yield from _of_letters(structure.letters, _dense(blocks))
            return
        places: list[Place] = [(i,) for i in range(blocks.shape[-1])]
        if blocks.ndim == 3:
            places = [(i, j) for i in range(blocks.shape[-1]) for j in range(i + 1)]
        deviations = components.deviations_of_blocks
        for place in places:
            units = deviations[:, place[0]] * deviations[:, place[-1]]
            yield Coordinate(_Shift(place), units, place[:1], structure.shared, place=place)


COVARIANCE_BLOCKS = CovarianceBlocks(-INFINITY, INFINITY)


def deviations_of_blocks(components: Any) -> Array:
    """Return square roots (K, D) of the diagonals of blocks."""
    dense = components.structure.algebra.dense(components.blocks, *components.means.shape)
    return np.sqrt(np.diagonal(dense, axis1=1, axis2=2))


@dataclass(frozen=True)
class _Shift:
    """Steps of an entry of each block, in both triangles."""

    place: Place

    def __call__(self, values: Array, steps: Array) -> Array:
        blocks = values.copy()
        for entry in {self.place, self.place[::-1]}:
            blocks[(slice(None), *entry)] += steps[: len(blocks)]
        return blocks


def _of_letters(letters: str, covariances: Array) -> Iterator[Coordinate[Array]]:
    """Yield volume, eigenvalues (shape) and rotations (orientation) of Σ_k = λ_k D_k A_k D_kᵀ.

    They are equal (E) or variable (V); the shape or orientation may be fixed (I).
    """
    volume, shape, orientation = tuple(letters)
    K, D, _ = covariances.shape
    one, axes = np.ones(K), _axes(orientation, covariances)
    stretches = [(np.ones(D), volume)]
    if shape != "I":
        stretches += [(np.eye(D)[i] - np.eye(D)[-1], shape) for i in range(D - 1)]
    for logs, letter in stretches:
        yield Coordinate(_Stretch(logs, orientation), one, shared=letter == "E")
    for i, j in combinations(range(D) if orientation != "I" else (), 2):
        plane = axes[:, :, i, None] * axes[:, None, :, j]
        turn = _Rotation(plane - plane.swapaxes(1, 2))
        yield Coordinate(turn, one, shared=orientation == "E")


def _axes(orientation: str, covariances: Array) -> Array:
    """Return the axes (K, D, D) of covariances, in columns."""
    if orientation == "I":
        return np.broadcast_to(np.eye(covariances.shape[1]), covariances.shape)
    if orientation == "E":  # those of a sum in which no two eigenvalues are equal
        total = np.einsum("k,kij->ij", np.sqrt(2.0 + np.arange(len(covariances))), covariances)
        covariances = np.broadcast_to(total, covariances.shape)
    return np.linalg.eigh(covariances)[1]


def _dense(blocks: Array) -> Array:
    return blocks if blocks.ndim == 3 else diagonal_matrices(blocks)


def _turned(blocks: Array, turns: Array) -> Array:
    dense = turns @ _dense(blocks) @ turns.swapaxes(1, 2)
    return dense if blocks.ndim == 3 else np.diagonal(dense, axis1=1, axis2=2).copy()


@dataclass(frozen=True)
class _Stretch:
    """Multiplication of eigenvalues by exp(steps ``logs``)."""

    logs: Array
    orientation: str

    def __call__(self, values: Array, steps: Array) -> Array:
        axes = _axes(self.orientation, _dense(values))
        roots = axes * np.exp(0.5 * steps[:, None, None] * self.logs)
        return _turned(values, roots @ axes.swapaxes(1, 2))


@dataclass(frozen=True)
class _Rotation:
    """Rotations exp(steps ``generators``)."""

    generators: Array

    def __call__(self, values: Array, steps: Array) -> Array:
        return _turned(values, np.asarray(expm(steps[:, None, None] * self.generators)))
