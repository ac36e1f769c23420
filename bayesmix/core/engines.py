"""Protocols of a run: objective, stopping rule and guard against degenerate components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeVar

from bayesmix.core.mixture import Expectation, Mixture, Repair
from bayesmix.core.rows import Event, Frame
from bayesmix.numerics.arrays import Array, Integers, Stored

if TYPE_CHECKING:
    from bayesmix.core.components import Densities
    from bayesmix.core.priors import Prior, WeightsPrior
    from bayesmix.core.restrictions import Restriction


M = TypeVar("M", contravariant=True)  # mixtures of a family


class Objective(Protocol):
    """Objective to maximise: likelihood, posterior density or evidence bound."""

    @property
    def name(self) -> str: ...

    @property
    def variational(self) -> bool:
        """Whether components are posteriors."""

    @property
    def weights_prior(self) -> WeightsPrior:
        """Prior of the weights, once resolved against the data."""

    @property
    def restriction(self) -> Restriction | None:
        """Parameters that are held, or equal in several components."""

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Run the M-step: maximise the objective at fixed responsibilities."""

    def regulariser(self, mixture: Mixture) -> float:
        """Return 0, the log prior, or minus the KL divergences; added to Σ w log normaliser."""


class Bayesian(Objective, Protocol):
    """An objective with a prior over component parameters."""

    @property
    def parameters_prior(self) -> Prior:
        """Prior of θ, once resolved against the data."""


class Stopping(Protocol):
    """A rule on the objective of consecutive passes."""

    def converged(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool: ...

    def expected(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether the last passes suggest convergence, to be confirmed by plain passes."""

    def is_small(self, gain: float, n_rows: float) -> bool:
        """Whether a gain is so small that convergence should be checked."""


class Resolved(Protocol):
    """Floors of several families' columns, more than one array."""

    def __len__(self) -> int:
        """Return the number of components with separate floors, 1 if shared."""


class Whole(Protocol):
    """A mixture of all columns, for the guard of some of them."""

    @property
    def columns(self) -> Integers:
        """The columns of the guard."""

    def log_joint(self, values: Stored, components: Densities) -> Array:
        """Return log joints (n, K) of all columns, with ``components`` for those of the guard."""


class GuardOf(Protocol[M]):
    """Guard against degenerate components; the only object that may change an updated mixture."""

    @property
    def resolution(self) -> Array | None:
        """Variance below which data are rounding, for all components from the start, or None."""

    def among(self, whole: Whole) -> Self:
        """Return the guard of some columns in a mixture of all columns."""

    def examine(
        self, mixture: M, resolution: Array | None, events: tuple[Event, ...], thorough: bool
    ) -> Repair | None:
        """Return a repair, or None if no component collapsed; ``events`` are of the run."""

    def spurious(self, mixture: M) -> tuple[int, ...]:
        """Return the components that describe an accident of the sample, see ``is_valueless``."""


# Guard of any family, as in ``components``.
Guard: TypeAlias = GuardOf[Any]
