"""The result of a fit, without the data."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import NO_SIDE_INFORMATION, Event, Frame, SideInformation
from bayesmix.em.expectation import Assessment
from bayesmix.em.prediction import Predictions, at_any_distance
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, frozen
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.components import (
        FittedComponents,
        PointComponents,
        Posterior,
        Predictive,
    )
    from bayesmix.core.engines import Bayesian, Objective, Resolved
    from bayesmix.core.families import Family
    from bayesmix.core.priors import Prior
    from bayesmix.core.protocols import Batches
    from bayesmix.core.sources import Source
    from bayesmix.em.run import Problem, State


TOO_FEW_ROWS, FEW_POINTS = "too few rows", "few points"  # kinds of events
# Events after which a maximised likelihood cannot be compared: a held component, or more components
# than the data determine.
VALUELESS = ("held", TOO_FEW_ROWS)


@dataclass(frozen=True)
class DensitySums:
    """Sums that criteria need, in nats and data units."""

    log_likelihood: float
    entropy: float  # -Σ w Σ r log r
    log_largest: float  # Σ w log max r
    n: float  # Σ w over samples; over persons of a panel

    @classmethod
    def of(
        cls, assessment: Assessment, total_weight: float, log_volume: float, n: float | None = None
    ) -> DensitySums:
        """Return the sums of an assessment in data units; n is the total weight by default."""
        unframed = assessment.log_likelihood - total_weight * log_volume + assessment.unseen_volume
        n = total_weight if n is None else n
        return cls(unframed, assessment.entropy, assessment.log_largest, n)


def sample_size(source: Source) -> float:
    """Return n of information criteria: Σ w over samples, or over persons of a panel.

    Persons without any value are not counted, as their likelihood is 1.
    """
    side = getattr(source, "side", NO_SIDE_INFORMATION)
    if not side.of_persons:
        return source.total_weight
    if not isinstance(source, ArraySource):
        return float(len(side.starts))
    weights = source.rows.weights_or_ones[side.starts]
    seen = np.logical_or.reduceat(~empty_rows(source), side.starts)
    return float(weights[seen].sum())


def empty_rows(source: ArraySource) -> Booleans:
    """Return which samples (n,) have no value."""
    if not source.summary.n_missing:
        return np.zeros(source.shape[0], dtype=bool)
    return np.asarray(np.isnan(np.asarray(source.values)).all(axis=1))


@dataclass(frozen=True)
class SearchRecord:
    """A start or move of a search, or the run that follows it."""

    stage: str  # "start", "settle", "swap", "split", "merge", "prune"
    description: str
    objective: float
    gain: float
    accepted: bool
    passes: int

    def summary(self) -> str:
        """The step in one sentence."""
        outcome = "accepted" if self.accepted else "rejected"
        return (
            f"{self.stage} ({self.description}): objective {self.objective:.3f} after "
            f"{self.passes} passes, gain {self.gain:.3g} nats, {outcome}."
        )


@dataclass(frozen=True, repr=False)
class FitResult(Predictions):
    """Result of a fit; ``mixture`` is in the coordinates of the fit, ``unframed`` in data units.

    Objectives, log likelihoods and traces are totals in nats and data units.
    """

    family: Family
    inference: Objective  # objective with resolved priors, in the mixture's frame
    requested_components: int
    mixture: Mixture
    objective: float
    log_likelihood: float  # Σ w log p(x) of the plug-in density
    trace: Array
    segments: tuple[int, ...]  # indices into the trace after a repair, pruning or move
    status: str  # "converged", "max_iter", "interrupted", "max_passes", "max_seconds", ...
    events: tuple[Event, ...]
    counts: Array  # expected observations per component
    hard_counts: Array
    entropy: float  # -Σ w Σ r log r
    plug_in_sums: DensitySums  # of ``plug_in`` over the data of the fit
    total_weight: float
    n_rows: int
    n_features: int
    passes: int
    seconds: float
    seed: int
    form: str  # E-step with which the run ended
    search_trace: tuple[SearchRecord, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    resolution: Array | Resolved | None = None  # floors of degenerate components, framed, in blocks
    stream: Batches | None = None  # state from which ``partial_fit`` continues
    n_missing: int = 0  # missing values
    n_empty: int = 0  # samples of sequences without any value
    # labels, groups and covariates of the fit's samples
    side: SideInformation = NO_SIDE_INFORMATION

    @classmethod
    def of_run(
        cls, problem: Problem, state: State, mixture: Any, assessment: Assessment, sums: DensitySums
    ) -> FitResult:
        """Return the result of a run, whose components are sorted in ``mixture``."""
        n_rows, n_features = problem.source.shape
        return cls(
            family=problem.family,
            inference=problem.objective,
            requested_components=mixture.n_components,
            mixture=mixture,
            objective=state.objective,
            log_likelihood=sums.log_likelihood,
            trace=np.array(state.trace),
            segments=state.segments,
            status=state.status,
            events=state.events,
            counts=assessment.counts,
            hard_counts=assessment.hard_counts,
            entropy=assessment.entropy,
            plug_in_sums=sums,
            total_weight=problem.source.total_weight,
            n_rows=n_rows,
            n_features=n_features,
            passes=state.passes,
            seconds=0.0,
            seed=0,
            form=state.form.name,
        )

    def __post_init__(self) -> None:
        frozen(self)

    def __getstate__(self) -> dict[str, Any]:
        # Derived values are computed again when needed.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        frozen(self)

    @property
    def converged(self) -> bool:
        return self.status == "converged"

    @property
    def n_components(self) -> int:
        return self.mixture.n_components

    @property
    def variational(self) -> bool:
        return bool(self.inference.variational)

    @property
    def degenerate(self) -> str | None:
        """Reason why the likelihood cannot be compared with others, or None."""
        if self.inference.name != "maximum_likelihood":
            return None
        reasons = [event.in_words(self.noun) for event in self.events if event.kind in VALUELESS]
        return reasons[-1] if reasons else None

    @property
    def noun(self) -> str:
        """What a component is called: "state" of sequences, "class" of discrete data."""
        return "component" if self.family.continuous and not self.side.ordered else self.class_noun

    @property
    def class_noun(self) -> str:
        """What tables of the components call one: "class", in hidden Markov models "state"."""
        return "state" if self.side.ordered else "class"

    @property
    def n_parameters(self) -> int:
        """Number of free parameters, for AIC and BIC; noise adds its weight."""
        K, noise = self.n_components, self.mixture.noise is not None
        of_weights = self.inference.weights_prior.n_parameters(K)
        frame = self.mixture.frame
        of_components = self.family.n_parameters(K, frame.n_directions)
        restriction = self.inference.restriction
        lost = 0 if restriction is None else restriction.n_restrictions
        return noise + of_weights + of_components + frame.n_parameters - lost

    @property
    def n_parameters_(self) -> int:
        """Number of free parameters, under the attribute name of fitted estimators."""
        return self.n_parameters

    @cached_property
    def unframed(self) -> FittedComponents:
        """Components in data coordinates: point densities, or q(θ) of variational fits."""
        return frozen(self.mixture.components.unframed(self.mixture.frame))

    @cached_property
    def prior(self) -> Prior:
        """Prior in data coordinates."""
        return frozen(self.bayesian.parameters_prior.unframed(self.mixture.frame))

    @property
    def bayesian(self) -> Bayesian:
        """``inference`` of a fit with a prior."""
        if self.inference.name == "maximum_likelihood":
            raise UnsupportedError("a maximum likelihood fit has no prior")
        return cast("Bayesian", self.inference)

    @property
    def posterior(self) -> Mixture[Posterior]:
        """``mixture`` of a variational fit, with components q(θ)."""
        assert self.variational
        return cast("Mixture[Posterior]", self.mixture)

    @cached_property
    def density(self) -> Mixture[Predictive]:
        """Predictive density as a mixture, which ``score_samples`` evaluates."""
        return frozen(_averaged(self.mixture, self.mixture.components.predictive()))

    @cached_property
    def plug_in(self) -> Mixture[PointComponents]:
        """Point density at E[π] and the plug-in components, which criteria use."""
        return frozen(plug_in_density(self.mixture))

    @property
    def log_volume(self) -> float:
        """Log density in the frame minus log density in data units."""
        return self.mixture.frame.log_volume if self.family.continuous else 0.0


def plug_in_density(mixture: Mixture) -> Mixture[PointComponents]:
    """Return the mixture at E[π] and at the plug-in components."""
    return _averaged(mixture, mixture.components.plug_in())


def _averaged(mixture: Mixture, components: Predictive) -> Mixture[Any]:
    noise = mixture.noise and mixture.noise.averaged
    return Mixture(PointWeights(mixture.weights.mean()), components, mixture.frame, noise)


def units_of(family: Family, objective: Objective, mixture: Mixture, total_weight: float) -> float:
    """Return the change of an objective from the frame to data units."""
    frame = mixture.frame
    shift = -total_weight * frame.log_volume if family.continuous else 0.0
    if objective.name == "maximum_a_posteriori":
        prior: Any = objective.prior  # type: ignore[attr-defined]  # MAP has a prior
        # Directions that were set aside have no prior, so only the others change units.
        units = Frame(
            np.zeros(frame.n_directions), 1.0 / frame.directions(np.ones(len(frame.scale)))
        )
        shift += prior.unframed(units).log_density(
            mixture.components.unframed(units)
        ) - prior.log_density(mixture.components)
    return shift


def assess(family: Family, mixture: Mixture, source: Source, log_volume: float) -> DensitySums:
    """Return the sums of a density over the data."""
    step = partial(at_any_distance, family, mixture)
    assessment: Assessment = source.reduce(step, mixture.n_components)
    return DensitySums.of(assessment, source.total_weight, log_volume, sample_size(source))
