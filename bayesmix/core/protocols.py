"""What the kernel asks of estimators, and of objects that extensions hand over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans

if TYPE_CHECKING:
    from bayesmix.core.engines import Objective
    from bayesmix.core.sources import Source

# Data of the user: an array, a frame, a list or a source.
UserRows: TypeAlias = object

# Parameters of an estimator by name.
Parameters: TypeAlias = dict[str, object]


class Procedure(Protocol):
    """An estimator in scikit-learn's sense with a density: a mixture, pipeline or search."""

    @property
    def fit(self) -> Callable[..., object]:
        """Method ``fit(X, y=None, ...)``, which returns the estimator."""

    @property
    def score_samples(self) -> Callable[[UserRows], Array]:
        """Method that returns the log density (n,) in nats."""


class FittedMixture(Procedure, Protocol):
    """An estimator, or a pipeline that ends in one, whose density is a mixture."""

    @property
    def predict_proba(self) -> Callable[[UserRows], Array]:
        """Method that returns probabilities of the components (n, K)."""


class ColumnCoding(Protocol):
    """Coding of the columns of a table as numbers, as ``families.coding.Coding``."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def levels(self) -> tuple[tuple[str | int | float | bool, ...] | None, ...]: ...

    @property
    def names_of_masses(self) -> set[str]:
        """Columns that tell which observations have a value of another column."""


class ElapsedTimes(Protocol):
    """Times since the sample before, of a chain in continuous time."""

    @property
    def unit(self) -> float:
        """Mean of these times, by which they are divided."""

    def __getitem__(self, rows: object, /) -> Self:
        """Return the times of some samples."""

    @property
    def exact(self) -> Booleans | None:
        """Which times are those of entering an absorbing state."""

    @property
    def between(self) -> Array:
        """Times (n,) since the sample before."""

    @property
    def inexact(self) -> Self:
        """Times none of which is exact."""

    def timed(self, inference: Objective) -> Objective:
        """Return the inference with a chain in continuous time."""


class Design(Protocol):
    """A design of covariates, on which the weights depend."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the covariates."""

    @property
    def terms(self) -> list[str]:
        """Names of the coefficients."""

    @property
    def intercept(self) -> bool: ...

    @property
    def variables(self) -> dict[str, list[int]]:
        """Places among ``terms`` of what each column of the frame makes."""

    @property
    def centre(self) -> Array:
        """Means of the columns, subtracted."""

    @property
    def scale(self) -> Array:
        """Standard deviations of the columns, which divide them."""

    @property
    def back(self) -> Array:
        """Matrix (P, P) from coefficients of the design to those of the columns as given."""

    def in_units(self, coefficients: Array) -> Array:
        """Return coefficients (..., P) of the columns as given."""

    def restricted(self, places: Sequence[int]) -> Design:
        """Return the design of the intercept and some other columns, by places among ``terms``."""

    def apply(self, values: Array) -> Array:
        """Return the design matrix (n, P)."""

    def gated(self, inference: Objective, source: Source, n_components: int) -> Objective:
        """Return the inference with weights that depend on the covariates."""


class NoiseDensity(Protocol):
    """A fixed density in data coordinates."""

    @property
    def n_learned(self) -> int:
        """Number of parameters that were learned from the data."""

    def log_density(self, values: Array) -> Array:
        """Return the log density (n,)."""

    def draw(self, n: int, generator: np.random.Generator) -> Array:
        """Draw n observations."""


class MixtureNoise(Protocol):
    """Noise of a mixture, beside its components: E[log ε], E[log (1 - ε)] and E[ε]."""

    @property
    def density(self) -> NoiseDensity: ...

    @property
    def log_weight(self) -> float: ...

    @property
    def log_rest(self) -> float: ...

    @property
    def weight(self) -> float: ...

    @property
    def averaged(self) -> Self:
        """The noise at its mean weight."""

    def joined(
        self, joint: Array, log_normaliser: Array, values: Array, log_volume: Array | float
    ) -> tuple[Array, Array]:
        """Return the log normaliser with noise, and the responsibility (n,) of the noise."""


class RowsRead(Protocol):
    """Counter of observations read."""

    n_rows: int


class Batches(Protocol):
    """Batches of an incremental fit."""

    @property
    def n_batches(self) -> int: ...
