"""What an observation with data of its own for each sample can answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol

import numpy as np

from bayesmix.core.rows import Observation
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Indices

if TYPE_CHECKING:
    from bayesmix.core.components import Densities
    from bayesmix.core.families import Family
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.rows import Event, Rows
    from bayesmix.core.sources import Source


class Measurement(Observation, Protocol):
    """An observation that holds data of its own for each sample."""

    @property
    def has_posterior(self) -> bool:
        """Whether variational fits have a closed form."""
        return False

    def __getitem__(self, rows: Indices | Booleans | slice, /) -> Measurement:
        """Return the measurement of some samples, chosen by slice, mask or indices."""

    def notes(self, family: Family, columns: Sequence[str] | None) -> tuple[Event, ...]:
        """Return events that tell how the samples of a fit were measured."""
        return ()

    def check(self, family: Family, columns: Sequence[str] | None) -> None:
        """Raise ``InvalidInputError`` for what no value of the family can be."""

    def spans(self, rows: Rows) -> tuple[Array, Array]:
        """Return values (n, D) and ends of error bars (2, n, D) for figures, infinite if open."""

    def undetermined(self, mixture: Mixture[Densities], source: Source) -> tuple[Event, ...]:
        """Return events for components that hold too little for an estimate."""
        return ()

    def least_errors(self, rows: Rows) -> Array:
        """Return the smallest variances (D,) of errors of values.

        They are 0 for columns with an exact value, or with intervals alone.
        """

    def form(self, family: Family, variational: bool, seed: int) -> object:
        """Return the E-step, an ``em.expectation.Form``; raise ``UnsupportedError`` if none."""

    def moments(
        self, mixture: Mixture[Densities], rows: Rows, shares: Array
    ) -> tuple[Array, Array]:
        """Return means and mean squares (n, D) of true values in the frame, by shares (n, K)."""
        _refuse_true_values(self)

    def drawn(
        self, mixture: Mixture[Densities], rows: Rows, generator: np.random.Generator
    ) -> Array:
        """Return draws (n, D) of true values given what was measured, in data units."""
        _refuse_true_values(self)


def _refuse_true_values(measurement: Measurement) -> NoReturn:
    raise UnsupportedError(
        "true_values needs errors, limits or rounding, as of bayesmix.Measured(X, error=...), or a "
        f"measurement with moments and drawn, got {type(measurement).__name__}"
    )
