"""L1: what a run asks: what to maximise, when to stop, and what to watch for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeAlias, TypeVar

from bayesmix.core.components import Densities
from bayesmix.core.mixture import ChunkSums, Expectation, Mixture, Repair
from bayesmix.core.priors import Prior, WeightsPrior
from bayesmix.core.rows import Event, Frame
from bayesmix.core.sources import Source
from bayesmix.numerics.arrays import Array, Integers, Stored

M = TypeVar("M", contravariant=True)  # mixtures of a family


class Objective(Protocol):
    """What is maximised: likelihood, posterior density or evidence bound."""

    @property
    def name(self) -> str: ...

    @property
    def variational(self) -> bool:
        """Whether components are a posterior, so that pruning and predictives make sense."""
        ...

    @property
    def weights_prior(self) -> WeightsPrior:
        """How weights follow from counts, once it is resolved against the rows."""
        ...

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """The M-step: the mixture that maximises the objective at fixed responsibilities."""
        ...

    def regulariser(self, mixture: Mixture) -> float:
        """0, the log prior, or minus the KL divergences; added to Σ w log normaliser."""
        ...


class Bayesian(Objective, Protocol):
    """An objective with a prior over the parameters of components."""

    @property
    def parameters_prior(self) -> Prior:
        """What θ follows, once it is resolved against the rows."""
        ...


class PassesKept(Protocol):
    """Remembers what passes over rows added up, so that none has to be made twice."""

    def summed(
        self, source: Source, mixture: Mixture, form: str, work: Callable[[], ChunkSums]
    ) -> ChunkSums:
        """The sums of a pass in a form of that name, made by ``work`` where they are not known."""
        ...

    def write(self) -> None:
        """Put what is new in a safe place."""
        ...

    def leave_out(self, what: str) -> None:
        """Say, once, which passes are made again."""
        ...


class Stopping(Protocol):
    """A rule that looks at the objective of consecutive passes."""

    def converged(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool: ...

    def expected(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether the last passes look like the end, which plain passes are to confirm."""
        ...

    def is_small(self, gain: float, n_rows: float) -> bool:
        """Whether after such a jump it is worth to look if that was the end."""
        ...


class Resolved(Protocol):
    """What rows resolve of several families' columns: more than one array."""

    def __len__(self) -> int:
        """For how many components, or 1 for all."""
        ...


class Whole(Protocol):
    """A mixture of whole rows, for the guard of some of their columns."""

    @property
    def columns(self) -> Integers:
        """Which columns of the rows these are."""
        ...

    def log_joint(self, values: Stored, components: Densities) -> Array:
        """Log joints (n, K) of whole rows as stored, under such components of these columns."""
        ...


class GuardOf(Protocol[M]):
    """Watches updated mixtures before they are used, and the only one who may change them."""

    @property
    def resolution(self) -> Array | None:
        """Variance below which the rows say nothing, for all components from the start, or None."""
        ...

    def among(self, whole: Whole) -> Self:
        """The same watch over some columns of rows whose components all columns tell apart."""
        ...

    def examine(
        self,
        mixture: M,
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        """None where no component has collapsed; ``events`` are those of the run so far."""
        ...


# Of any family, as in ``components``.
Guard: TypeAlias = GuardOf[Any]
