"""Model, objective and settings of a fit, and their resolution into a ``Problem``.

objective(θ) = Σ_n w_n log Σ_k exp(E[log π_k] + E[log p(x_n | θ_k)]) + regulariser(θ); for optimal
q(Z) the variational objective is the exact bound (Bishop 2006, eq. 10.70).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from bayesmix.allocation.point import FreeWeights
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import NO_SIDE_INFORMATION, Event, Frame, Rows, SideInformation
from bayesmix.core.validation import in_memory
from bayesmix.em.expectation import CENTRED, ON_CELLS, SPARSE, Form, Linear
from bayesmix.em.restricted import Restricted
from bayesmix.em.run import ROUGH, Monitor, Problem, State
from bayesmix.em.under_a_prior import with_priors
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers, cost_of
from bayesmix.numerics.memo import cached
from bayesmix.numerics.sparse import is_sparse
from bayesmix.observation.missing import Gapped
from bayesmix.sources.condensed import is_condensed, members_of
from bayesmix.sources.memory import ArraySource, has_sparse_rows

if TYPE_CHECKING:
    from bayesmix.core.engines import Objective, Stopping
    from bayesmix.core.families import Family
    from bayesmix.core.priors import WeightsPrior
    from bayesmix.core.restrictions import Restriction
    from bayesmix.core.sources import Source
    from bayesmix.em.start import Fit, GivenNoise


@dataclass(frozen=True)
class MaximumLikelihood:
    """Log likelihood without a regulariser: EM (Dempster, Laird & Rubin 1977)."""

    family: Family | None = None
    weights: WeightsPrior | None = None
    name = "maximum_likelihood"
    variational = False
    restriction = None

    @property
    def weights_prior(self) -> WeightsPrior:
        return self.weights  # type: ignore[return-value]  # ``_of_components`` fills it in

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Return relative counts and moments (Bishop 2006, eq. 9.24 to 9.26)."""
        family = cast("Family", self.family)
        components = family.maximum_likelihood(
            expectation.statistics, previous and previous.components, resolution, frame
        )
        return Mixture(self.weights_prior.mode(expectation.of_allocation), components, frame)

    def regulariser(self, mixture: Mixture) -> float:
        return 0.0


LOOSE_BOUND = (
    "With covariates the ELBO is not tight (Böhning's bound of the softmax): do not use it to "
    "compare numbers of components"
)

# A function that returns responsibilities (n, K) of observations, the first of a run.
Assign: TypeAlias = Callable[[Rows], Array]

# Labels (n,) of partitions of some data into K clusters, for a family and a seed.
Partitions: TypeAlias = "Callable[[Family, ArraySource, int, int], Iterator[Integers]]"

# With fewer iterations the user wants a few EM steps, not an optimum.
FEW_ITERATIONS = 10

# Above this number of components, large data are not searched, and covariates are refused.
MANY = 100

# Both triangles of the scatter, the covariance and the roots of covariance and precision.
BYTES_OF_A_PARAMETER = 64
# Observations times components times ``cost_of`` above which a pass takes over half a millisecond.
LARGE = 700_000


@dataclass(frozen=True)
class Model:
    """K components of a family, and an inference whose missing priors are filled in later."""

    n_components: int
    family: Family
    inference: Objective
    prune: bool = False
    noise: GivenNoise | None = None
    restriction: Restriction | None = None  # parameters that are held or equal


# Fits of other candidates to the same data, as further starts; None: the fit is no candidate.
WarmStarts: TypeAlias = tuple[Mixture, ...] | None


@dataclass(frozen=True)
class Settings:
    """Computational settings of a fit."""

    stopping: Stopping
    max_iter: int = 100
    n_init: int = 1
    init: str | Assign = "kmeans"
    search: bool = True
    moves: bool = True  # whether the search tries moves after its starts
    accelerate: bool = True
    seed: int = 0
    sort: bool = True
    warm_starts: tuple[Mixture, ...] = ()  # fits of other candidates to the same data
    # whether the fit is a candidate, so that one without a comparable value is refused
    compared: bool = False
    partitions: Partitions | None = None  # trees whose partitions are starts of a search
    spurious: str = "warn"  # whether a search may return spurious components: "warn" or "allow"

    def among(self, warm_starts: WarmStarts) -> Settings:
        """Return the settings of a candidate; unchanged for None."""
        if warm_starts is None:
            return self
        return replace(self, warm_starts=warm_starts, compared=True)

    def roughly(self) -> Settings:
        """Return the settings of a candidate among many on a sample."""
        return replace(self, stopping=ROUGH)

    @property
    def rough(self) -> bool:
        """Whether fits end once little is left to gain."""
        return self.stopping == ROUGH

    def continuing(self, assign: Assign) -> Settings:
        """Return the settings of one run from responsibilities, in the order of components."""
        return replace(self, init=assign, n_init=1, search=False, sort=False, compared=True)


@dataclass(frozen=True)
class Attempt:
    """A run of a fit: its problem, its number among ``n_init``, and what its start may need."""

    problem: Problem
    model: Model
    settings: Settings
    monitor: Monitor
    source: Source  # the data, of which ``problem.source`` may have coordinates
    fit: Fit  # fits other models
    index: int = 0

    @property
    def few(self) -> bool:
        """Whether the user wants a few EM steps, not an optimum."""
        return self.settings.max_iter < FEW_ITERATIONS


def resolve(model: Model, source: Source, settings: Settings) -> Problem:
    """Return the problem: frame, resolved priors and guard, from one pass over the data."""
    _check_size(model, source)
    few = _too_few_rows(model, source)
    if few and settings.compared:
        raise InvalidInputError(few[0].text)
    frame, notes = working_frame(model, source)
    objective = resolve_objective(model, source, frame)
    if side_of(source).covariates is not None and objective.variational:
        notes += (Event("loose bound", LOOSE_BOUND),)
    return posed(model, source, settings, frame, objective, few + notes)


def posed(
    model: Model,
    source: Source,
    settings: Settings,
    frame: Frame,
    objective: Objective,
    notes: tuple[Event, ...] = (),
) -> Problem:
    """Return the problem in a given frame, under an objective with resolved priors."""
    family = model.family
    return Problem(
        source=passed_over(model, source, frame),
        family=family,
        objective=objective,
        frame=frame,
        guard=family.guard(source, frame, source.summary, is_repaired(objective)),
        stopping=settings.stopping,
        accelerate=settings.accelerate,
        form=first_form(model, source, frame, settings.seed),
        notes=notes,
        gives_up=is_repaired(objective) and settings.compared,
        # Structures of a subspace share what is beyond it, and states are told by their order too.
        refuses_spurious=settings.search
        and settings.spurious == "warn"
        and frame.rest is None
        and not side_of(source).ordered,
    )


def passed_over(model: Model, source: Source, frame: Frame) -> Source:
    """Return the data that passes read: the few coordinates of complete data in a subspace."""
    if frame.rest is None or model.noise is not None or not isinstance(source, ArraySource):
        return source
    return source if source.summary.n_missing or source.inside else source.along(frame)


def side_of(source: Source) -> SideInformation:
    """Return the side information of a source; only data in memory have some."""
    return getattr(source, "side", NO_SIDE_INFORMATION)


def is_repaired(objective: Objective) -> bool:
    """Whether the guard may move a collapsed component: only a likelihood is unbounded there."""
    return objective.name == "maximum_likelihood"


def first_form(model: Model, source: Source, frame: Frame, seed: int) -> Form:
    """Choose the E-step of a run by the size of the problem."""
    measurement, family = side_of(source).measurement, model.family
    if measurement is not None:
        return cast("Form", measurement.form(family, model.inference.variational, seed))
    if is_condensed(source):
        return ON_CELLS
    if has_sparse_rows(source):
        return SPARSE
    if source.summary.n_missing:
        return Gapped(seed)
    return complete_form(family, source, frame, model.n_components)


def complete_form(family: Family, source: Source, frame: Frame, n_components: int) -> Form:
    """Choose the E-step of complete data."""
    if not (family.linear and family.linear_is_faster(frame.n_directions)):
        return CENTRED
    return Linear(_is_large(source, n_components))


def too_many_to_search(source: Source, n_components: int) -> bool:
    """Whether a search of moves would take too long."""
    return n_components > MANY and _is_large(source, n_components)


def _is_large(source: Source, n_components: int) -> bool:
    n_rows, n_features = source.shape
    return n_rows * n_components * cost_of(n_features) >= LARGE


def working_frame(model: Model, source: Source) -> tuple[Frame, tuple[Event, ...]]:
    """Return the working frame of a fit, and events for directions that were set aside.

    Under a prior of fixed scale none are set aside, so that the bound at K = 1 is the exact
    evidence; nor are those of measured values, which say nothing of the true ones.
    """
    if isinstance(source, ArraySource) and source.inside is not None:  # coordinates already
        return source.inside, ()
    frame = model.family.frame(source.summary)
    prior = getattr(model.inference, "prior", None)
    measurement = side_of(source).measurement
    if measurement is not None:
        return frame, measurement.notes(model.family, source.columns)
    if prior is not None and prior.fixes_scale:
        return frame, ()
    return model.family.set_aside(frame, members_of(source))


def resolve_objective(model: Model, source: Source, frame: Frame) -> Objective:
    """Return the inference with resolved priors, and with noise if the model has any."""
    objective = _of_components(model, source, frame)
    if model.restriction is not None:
        objective = Restricted(objective, model.family, model.restriction)
    return objective if model.noise is None else model.noise.over(objective, source, model.family)


def _of_components(model: Model, source: Source, frame: Frame) -> Objective:
    """Return the inference with resolved priors."""
    inference, family = model.inference, model.family
    if (design := side_of(source).design) is not None:
        inference = design.gated(inference, source, model.n_components)
    if (elapsed := side_of(source).elapsed) is not None:
        inference = elapsed.timed(inference)
    if isinstance(inference, MaximumLikelihood):
        return replace(inference, family=family, weights=inference.weights or FreeWeights())

    return with_priors(inference, family, source, frame, model.n_components)


def _check_size(model: Model, source: Source) -> None:
    K, (n_rows, n_features) = model.n_components, source.shape
    if n_rows < K:
        raise InvalidInputError(
            f"n_components={K} must not be larger than the number of rows, got n_samples = "
            f"{n_rows}: use at most {n_rows} components"
        )
    if n_rows < 2:
        raise InvalidInputError(
            f"a mixture needs at least 2 rows, got n_samples = {n_rows}: one row has no variance"
        )
    side = side_of(source)
    if model.noise is not None and (side or side.measurement is not None):
        raise UnsupportedError(
            "noise does not support labels, groups, covariates and measured data: use noise=None"
        )
    if side_of(source).covariates is not None and K > MANY:
        raise UnsupportedError(f"covariates need at most {MANY} components, got {K}")
    labels, largest = side_of(source).labels, side_of(source).largest_label
    if labels is not None and labels.ndim == 2 and labels.shape[1] != K:
        raise InvalidInputError(
            f"labels as a matrix must have a column for each of n_components={K} components, got "
            f"{labels.shape[1]}"
        )
    if largest >= K:
        raise InvalidInputError(
            f"labels count from 0, so that label {largest} needs n_components={largest + 1} or "
            f"more, got n_components={K}"
        )
    in_memory(
        f"a fit of {K} components to {n_features} columns",
        BYTES_OF_A_PARAMETER * model.family.n_parameters(K, n_features),
        "use covariance_type='diag', bm.FactorAnalytic, fewer columns or fewer components",
    )


def _too_few_rows(model: Model, source: Source) -> tuple[Event, ...]:
    """Return an event if there are too few observations for the likelihood to have a maximum."""
    K, (n_rows, n_features) = model.n_components, source.shape
    if not model.family.continuous:
        return ()
    if not isinstance(model.inference, MaximumLikelihood):
        n_distinct = count_distinct(source, K + 1)
        if n_distinct > K or n_distinct == n_rows:
            return ()
        from bayesmix.em.identifiability import few_points

        return (few_points(K, n_rows, n_distinct),)
    n_distinct = count_distinct(source, K * (n_features + 1))
    largest = model.family.max_components(n_distinct, n_features)
    if largest is None or largest >= K:
        return ()
    errors = source.summary.known_errors
    if errors is not None and errors.all():  # they bound the likelihood
        return ()
    from bayesmix.em.identifiability import too_few_rows

    return (too_few_rows(model, n_rows, n_features, n_distinct, largest),)


def count_distinct(source: Source, needed: int) -> int:
    """Count distinct observations, up to about ``needed``."""
    source = members_of(source)
    return cached(source, ("n_distinct", needed), partial(_counted_distinct, source, needed))


def _counted_distinct(source: Source, needed: int) -> int:
    n_rows = source.shape[0]
    size = max(4 * needed, 256)
    start, seen = 0, None
    while start < n_rows:
        rows = source.in_memory(slice(start, start + size)).rows
        values = np.asarray(rows.values, dtype=np.float64)
        if rows.weights is not None:
            values = values[rows.weights > 0]
        seen = np.unique(values if seen is None else np.vstack([seen, values]), axis=0)
        if len(seen) >= needed:
            break
        start += size
    return 0 if seen is None else len(seen)


def _checked(family: Family, rows: Rows) -> int:
    family.check(np.asarray(rows.values), rows.first)
    return len(rows)


def check_values(family: Family, source: Source, width: int) -> None:
    """Check all values by the family, unless it accepts any real number."""
    measurement = side_of(source).measurement
    if measurement is not None:
        measurement.check(family, source.columns)
    elif family.needs_measurement is not None:
        raise InvalidInputError(family.needs_measurement)
    values = getattr(source, "values", None)
    if is_sparse(values):
        family.check_sparse(values)
    elif not (family.any_real or is_condensed(source)):  # the members of cells were checked
        source.reduce(partial(_checked, family), width)


def is_valueless(problem: Problem, state: State) -> bool:
    """Whether the likelihood owes its value to a component that was held, or is spurious."""
    return is_repaired(problem.objective) and (state.holds or is_spurious(problem, state))


def is_spurious(problem: Problem, state: State) -> bool:
    """Whether a search refuses a state for its spurious components.

    One rule for all searches: such a component is narrow against the data, on few observations, and
    these do not confirm it when held out.
    """
    if not problem.refuses_spurious or state.mixture is None:
        return False
    mixture, key = state.mixture, ("spurious", id(problem.source))
    return bool(cached(state, key, lambda: problem.guard.spurious(mixture)))


def rank(problem: Problem, state: State) -> tuple[int, float]:
    """Return the sort key of states: spurious components rank below none, held ones last."""
    if is_repaired(problem.objective) and state.holds:
        return 0, state.objective
    return (1 if is_spurious(problem, state) else 2), state.objective
