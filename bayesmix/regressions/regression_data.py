"""Data of a mixture of regressions: starts, predictions, standard errors."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, cast

import numpy as np
from scipy import stats

from bayesmix.allocation.designs import Standardised, columns_of, row_label
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.gate import GatePrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.allocation.timed_chain import Elapsed
from bayesmix.core.given_arrays import finite_array
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import part_name
from bayesmix.core.priors import AllocationPrior
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Frame, Rows, SideInformation
from bayesmix.em.expectation import CENTRED
from bayesmix.em.model import MaximumLikelihood
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.em.run import (
    AMONG_CANDIDATES,
    Aitken,
    Monitor,
    Problem,
    State,
    assessed,
    begin_at,
    run,
    step,
)
from bayesmix.em.under_a_prior import VariationalBayes
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.bayesian_regression import (
    BayesianRegressionFamily,
    RegressionPosterior,
    RegressionPrior,
)
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.regressions import DESIGN, RegressionFamily, Regressions, held
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.observation.instrument import refuse_measured
from bayesmix.regressions.regression_vector import FittedRegressions, Names
from bayesmix.sources.memory import ArraySource, is_source
from bayesmix.starts.chain_starts import STICKY, sums_of_assignment
from bayesmix.starts.responsibilities import ROUNDED, Given, begun, one_hot, sort_keys

# Units of which starts are compared on large data.
MOST_UNITS = 10_000
# Starts of a chain, two of each kind, after which others are left out if all reached one optimum,
# and the difference in nats per observation of objectives that are the same.
AGREEING, SAME = 8, 1e-6
# Steps of a single regression after convergence: gains of rounding size still improve coefficients.
LAST_STEPS = 6


@dataclass(frozen=True)
class Predicted:
    """Predictive distributions of new samples."""

    components: Regressions
    values: Array
    weights: Array  # (n, K)

    @property
    def predictors(self) -> Array:
        return self.components.predictors(self.values)

    @cached_property
    def distributions(self) -> Any:
        """SciPy's distributions (n, K) of the response in the components."""
        spread, trials = self.components.dispersions(self.values), self.values[:, 2:3]
        return self.components.response.distribution(trials, self.predictors, spread)

    def cdf(self, y: Array) -> Array:
        """Return P(response <= y) (n,)."""
        return (self.weights * self.distributions.cdf(y[:, None])).sum(axis=1)

    def quantile(self, level: float) -> Array:
        """Return quantiles (n,) of the mixtures by bisection between those of components."""
        discrete = self.components.response.discrete
        ends: Array = np.asarray(self.distributions.ppf(level))
        lowest = ends.min(axis=1)
        low, high = lowest - discrete, ends.max(axis=1)
        for _ in range(60):
            middle = 0.5 * (low + high)
            middle = np.floor(middle) if discrete else middle
            above = self.cdf(middle) >= level
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        # Bisection would end just above a limit of the response.
        return np.where(self.cdf(lowest) >= level, lowest, high)


def arranged(
    design: Standardised,
    further: Standardised | None,
    y: Array,
    offset: Array,
    trials: Array,
    X: Array,
) -> Array:
    """Return rows of response, offset, trials and design, and columns of ``further`` if any."""
    parts = [y, offset, trials, design.apply(X)]
    if further is not None and further.intercept:
        parts.append(further.apply(X[:, [design.names.index(name) for name in further.names]]))
    elif further is not None:  # levels, whose columns are not those of X
        parts.append(np.ones((len(y), len(further.names))))
    return np.column_stack(parts)


class UnitData(FittedRegressions):
    """Data of a fit, of which EM reads ``rows``."""

    variational: Any  # ``VariationalBayes`` with its priors, or None
    labels: tuple[str | float, ...]  # identifiers of the units
    chain: Any  # prior of a Markov chain that assigns the samples of sequences, or None

    @property
    @abstractmethod
    def fewest(self) -> int:
        """Smallest number of observations of a component that is not spurious."""

    @property
    @abstractmethod
    def rows(self) -> Rows: ...
    @property
    @abstractmethod
    def eligible(self) -> Integers:
        """Units with weight, from which starts are drawn."""

    @abstractmethod
    def subset(self, chosen: Any) -> Self:
        """Return the data of EM of some units."""

    def reordered(self, order: Integers) -> Self:
        """Return the data of components in another order."""
        return self

    def rank(self, state: State) -> tuple[bool, bool, float]:
        """Return the rank of a run: sound fits without spurious components first."""
        supported = float(state.expectation.counts.min()) >= self.fewest
        return not state.holds, supported, state.objective

    def name_of(self, k: int) -> str:
        """Return how messages name a component."""
        return part_name(self.noun, k)

    def for_starts(self, seed: int) -> Self:
        """Return a random sample of the units of large data, among which starts are compared."""
        if len(self.eligible) <= MOST_UNITS:
            return self
        chosen = stream(seed, Purpose.SUBSAMPLE).choice(self.eligible, MOST_UNITS, False)
        return self.subset(np.sort(chosen))

    def begun(self, problem: Problem, shares: Array, number: int) -> State:
        """Return a numbered start of EM from responsibilities (n, K)."""
        return begun(problem, Given(shares), shares.shape[1])

    def posterior(self, mixture: Mixture) -> tuple[Array, Array]:
        """Return P(component | y_i) (U, K) and log densities (U,) of the units."""
        parts = [mixture.responsibilities(rows) for rows in self.blocks()]
        joint, log_density = (np.concatenate(part) for part in zip(*parts, strict=True))
        return joint[self.starts], self.of_units(log_density)

    def arranged(self, y: Array, offset: Array, trials: Array, X: Array) -> Array:
        """Return rows of response, offset, trials and design."""
        return arranged(self.design, self.inflation, y, offset, trials, X)

    def problem(self) -> Problem:
        """Return the problem of EM."""
        rows, family = self.rows, self.family
        floor, weights = family.floor, cast("Any", FreeWeights())
        if self.chain is not None:
            weights = self.chain
        elif rows.side.covariates is not None:
            weights = GatePrior.normal(rows.side.covariates.shape[1])
        objective: Any = MaximumLikelihood(family=family, weights=weights)
        if self.variational is not None:
            objective, floor, family = self.variational, 0.0, self.variational.prior.family
            if self.chain is not None:
                objective = replace(objective, weights=weights)
            elif rows.side.covariates is not None:
                objective = replace(objective, weights=GatePrior.variational(rows))
        source = ArraySource(rows.values, rows.weights, side=rows.side)
        guard: Any = FloorGuard(np.array([floor]), held)
        frame = Frame.identity(rows.values.shape[1])
        return Problem(
            source, family, objective, frame, guard, Aitken(), accelerate=True, form=self.form
        )


@dataclass(frozen=True)
class Data(UnitData):
    """Data of a fit, and how they were arranged."""

    values: Array
    weights: Array | None
    units: Integers | None  # ascending numbers (n,) of units
    covariates: Array | None
    family: RegressionFamily
    design: Standardised
    gate: Standardised | None
    variational: VariationalBayes | None = None  # with its priors
    inflation: Standardised | None = None  # columns of the log odds of extra zeros
    labels: tuple[str | float, ...] = ()  # identifiers of the units
    begins: Booleans | None = None  # where sequences begin (n,)
    chain: AllocationPrior | None = None
    elapsed: Elapsed | None = None  # times between samples of sequences
    form = CENTRED
    residual_unknowns = np.empty(0)

    @property
    def n_rows(self) -> int:
        return len(self.values)

    @cached_property
    def starts(self) -> Integers:
        """First rows (U,) of the units; every row without groups."""
        return np.arange(len(self.values)) if self.units is None else first_rows(self.units)

    @property
    def n_units(self) -> int:
        return len(self.starts)

    @property
    def eligible(self) -> Integers:
        return np.flatnonzero(self.unit_weights > 0.0)

    @property
    def rows(self) -> Rows:
        """All samples, with covariates and groups or sequences."""
        side = SideInformation(covariates=self.covariates)
        if self.chain is not None:
            side = replace(side, begins=self.begins, design=self.gate, elapsed=self.elapsed)
        elif self.units is not None:
            begins = np.diff(self.units, prepend=-1) > 0
            side = replace(side, begins=begins, grouped=True)
        return Rows(self.values, self.weights, side=side)

    @property
    def fewest(self) -> int:
        """Two for each parameter of a component whose dispersion may approach 0."""
        own = self.values.shape[1] - DESIGN + 1
        return 2 * own if self.family.response.dispersed and self.variational is None else 0

    def blocks(self) -> tuple[Rows, ...]:
        """Return all rows as one block."""
        return (self.rows,)

    def of_units(self, values: Array) -> Array:
        return np.asarray(np.add.reduceat(values, self.starts))

    @property
    def noun(self) -> str:
        return "class" if self.chain is None else "state"

    @property
    def independent_weights(self) -> Array:
        """Weights of units; sequences have none."""
        return self.unit_weights if self.chain is None else np.ones(len(self.rows.side.starts))

    def of_independent(self, values: Array) -> Array:
        starts = self.starts if self.chain is None else self.rows.side.starts
        return np.asarray(np.add.reduceat(values, starts))

    def begun(self, problem: Problem, shares: Array, number: int) -> State:
        state = super().begun(problem, shares, number)
        if self.chain is None:
            return state
        # Pairs of starts from the same kind of assignment differ in how long states last.
        stickiness = STICKY if number // 2 % 2 == 0 else 0.0
        sums: Any = sums_of_assignment(shares, cast("Booleans", self.begins), stickiness)
        return replace(state, expectation=replace(state.expectation, allocation=sums))

    def with_response(self, y: Array) -> Data:
        """Return the data with another response (n,)."""
        return replace(self, values=np.column_stack([y, self.values[:, 1:]]))

    def for_starts(self, seed: int) -> Data:
        if self.chain is None or self.n_rows <= MOST_UNITS:
            return super().for_starts(seed)
        # Neighbours in time stay together.
        first = int(stream(seed, Purpose.SUBSAMPLE).integers(0, self.n_rows - MOST_UNITS + 1))
        return self.subset(np.arange(first, first + MOST_UNITS))

    def fitted(
        self, n_components: int, n_init: int, max_iter: int, seed: int
    ) -> tuple[Data, State]:
        """Return the data and their best run."""
        return self, best_run(self, n_components, n_init, max_iter, seed)

    def subset(self, chosen: Integers) -> Data:
        rows = chosen if self.units is None else np.flatnonzero(np.isin(self.units, chosen))
        units, others = self.units, (self.weights, self.covariates)
        weights, covariates = (None if part is None else part[rows] for part in others)
        units = None if units is None else np.unique(units[rows], return_inverse=True)[1]
        begins: Any = self.begins
        if begins is not None:
            begins = begins[rows] | (np.diff(rows, prepend=-2) > 1)
        elapsed = None if self.elapsed is None else self.elapsed[rows]
        return replace(
            self, values=self.values[rows], weights=weights, units=units, covariates=covariates,
            begins=begins, elapsed=elapsed,
        )  # fmt: skip

    def start(self, n_components: int, number: int, seed: int) -> Array:
        """Return responsibilities (n, K) of a numbered start, by lines through a few samples.

        Odd starts take samples that are near each other in a random direction; every second of them
        in time, if there are sequences. The order of the columns changes nothing, nor does that of
        samples without sequences.
        """
        generator = stream(seed, Purpose.START, number)
        y, offset, _ = self.values[:, :DESIGN].T
        # Linear predictors of the response alone, less the offset.
        target = self.family.response.first_predictors(self.values) - offset
        unit = self.family.response.start_scale(self.values)
        design = self.values[:, DESIGN : DESIGN + len(self.design.terms)]
        n, size = design.shape[0], design.shape[1] + 1
        distances = np.empty((n, n_components))
        rows = np.lexsort((*design.T, *sort_keys(design), offset, y))
        along = design[rows] @ (generator.normal(size=n) @ design[rows])
        order = rows[np.argsort(np.round(along, ROUNDED), kind="stable")]
        if self.chain is not None and number % 4 == 3:
            order = np.arange(n)
        if not design.shape[1]:  # components differ in their dispersions alone
            sizes = np.sort(generator.choice(np.abs(target), n_components))
            distances = np.abs(np.abs(target)[:, None] - sizes)
        for k in range(n_components * bool(design.shape[1])):
            among = rows
            if number % 2:
                width = min(n, max(size, n // n_components))
                begin = int(generator.integers(0, n - width + 1))
                among = order[begin : begin + width]
            sample = generator.choice(among, size)
            line = np.linalg.lstsq(design[sample], target[sample])[0]
            distances[:, k] = (target - design @ line) ** 2 / unit
        if self.units is not None:
            distances = self.of_units(distances)[self.units]
        # Lines through a sample are equally near, up to rounding.
        labels = np.round(distances / (target.var() or 1.0), ROUNDED).argmin(axis=1)
        return 0.9 * one_hot(labels, n_components) + 0.1 / n_components

    def of_sequences(
        self,
        rows: tuple[Array, ...],
        covariates: Array | None,
        begins: Booleans,
        elapsed: Elapsed | None = None,
    ) -> Data:
        """Return the data of new sequences, with response, offset, trials and X of samples."""
        return replace(
            self, values=self.arranged(*rows), weights=None, covariates=covariates, begins=begins,
            elapsed=elapsed,
        )  # fmt: skip

    def of_new(self, rows: tuple[Array, ...], covariates: Array | None, sizes: Integers) -> Data:
        """Return the data of new units, whose ordered samples have response, offset, trials and X.

        ``covariates`` (U, P) are those of the units, and ``sizes`` (U,) numbers of samples.
        """
        units, values = np.repeat(np.arange(len(sizes)), sizes), self.arranged(*rows)
        covariates = None if covariates is None else covariates[units]
        return replace(self, values=values, weights=None, units=units, covariates=covariates)

    def warnings(self, state: State, order: list[int]) -> list[str]:
        """Return a sentence for each component that has coefficients without a finite maximum.

        ``order`` has the components of the state in the order of the fit.
        """
        texts = gate_warning(self, state)
        if not self.family.response.discrete:
            return texts
        sums = cast("Any", state.expectation).statistics
        for component, direction in self.family.flat_directions(sums):
            part = np.abs(direction)
            # The intercept is named only where no column takes part.
            part[: int(self.design.intercept)] *= 0.1
            which = "fixed" if component is None else self.name_of(order.index(component))
            if part.argmax() >= len(self.design.terms):
                texts.append(f"{which}: {self.family.response.boundary}, or fewer components")
                continue
            name = self.design.terms[int(part.argmax())]
            texts.append(
                f"{which}: {name!r} predicts responses completely (separation), so its "
                "coefficient has no finite estimate: leave the column out, merge its levels, or "
                "use fewer components"
            )
        return texts

    def at(self, unknowns: Array) -> Data:
        """Return the data, whose residuals have no structure."""
        return self

    def residual_score(self, components: Any, shares: Array) -> Array:
        return np.empty(0)

    # Standard errors

    def credible(self, q: RegressionPosterior, level: float) -> tuple[Array, ...]:
        """Return means, deviations and limits of Student-t marginals of coefficients."""
        back = self.design.back
        scales, freedom = q.deviations(back), 2.0 * q.shape[:, None]
        half = stats.t.ppf(0.5 + 0.5 * level, freedom) * scales
        deviations = scales * np.sqrt(freedom / np.maximum(freedom - 2.0, 1e-300))
        means = q.plug_in().coefficients @ back.T
        return means.ravel(), deviations.ravel(), (means - half).ravel(), (means + half).ravel()

    def further_terms(self, mixture: Mixture) -> tuple[Names, Array, Array]:
        """Return names, values and slopes of parameters beside coefficients in tables: none."""
        return [], np.empty(0), np.empty((0, len(cast("Any", mixture.components).further)))


def result_of(data: Any, mixture: Mixture, state: State, seed: int) -> FitResult:
    """Return the result of a run, whose components are sorted in ``mixture``."""
    problem = data.problem()
    assessment = assessed(problem.source, point_of(mixture))
    sums = DensitySums.of(assessment, data.n_samples, 0.0)
    return replace(
        FitResult.of_run(problem, state, mixture, assessment, sums),
        total_weight=data.n_samples,
        n_rows=data.n_rows,
        n_features=len(data.design.terms) - data.design.intercept,
        seed=seed,
        side=problem.source.side,
    )


def point_of(mixture: Mixture) -> Mixture:
    """Return the point estimates of a fit."""
    components: Any = mixture.components
    if not isinstance(components, RegressionPosterior):
        return mixture
    point: Any = components.plug_in()
    return Mixture(mixture.weights.averaged(), point, mixture.frame)


def gate_warning(data: Any, state: State) -> list[str]:
    """Return a sentence if the gate of a run separates components completely."""
    expectation = cast("Any", state.expectation)
    if data.gate is None:
        return []
    if data.chain is not None:
        texts: list[str] = data.chain.without_effect(data.gate.names)
        certain = expectation.allocation.separation(data.gate.terms)
        if certain is not None:
            texts.append(f"{certain[0]}: use fewer covariates or fewer states")
        return texts
    if not expectation.allocation.separated:
        return []
    coefficients = expectation.allocation.gate.coefficients
    term = np.abs(coefficients).max(axis=0)[1:].argmax()
    return [
        "covariates of the weights separate classes completely (most: "
        f"{data.gate.names[term]}), so their coefficients have no finite estimate: use fewer "
        "covariates or fewer components"
    ]


def variational_inference(
    inference: Any,
    family: RegressionFamily,
    gate: Any,
    intercept: bool,
    values: Array,
    weights: Array | None,
) -> VariationalBayes:
    """Return variational inference with its priors, for responses and designs that have them."""
    if not isinstance(inference, VariationalBayes):
        raise InvalidInputError(
            f"inference must be None, MaximumLikelihood() or VariationalBayes(), got {inference!r}"
        )
    normal = family.response.name == "normal"
    if not normal or len(family.fixed):
        name = "fixed" if normal else f"response={family.response.name!r}"
        raise UnsupportedError(f"VariationalBayes() does not support {name}: use inference=None")
    if gate is not None and inference.weights not in (None, DirichletPrior(1.0)):
        raise UnsupportedError("gate replaces the prior of the weights: leave out weights")
    prior = RegressionPrior() if inference.prior is None else inference.prior
    if not isinstance(prior, RegressionPrior):
        raise InvalidInputError(f"prior must be a RegressionPrior, got {prior!r}")
    response = values[:, 0] - values[:, 1]
    centre = float(np.average(response, weights=weights))
    variance = float(np.average((response - centre) ** 2, weights=weights))
    resolved: Any = prior.over(variance, BayesianRegressionFamily(centre if intercept else 0.0))
    return VariationalBayes(prior=resolved, weights=inference.weights or DirichletPrior(1.0))


def check_table(X: Any, y: Any = None) -> None:
    """Raise ``InvalidInputError`` for missing values, text, or a y of another length than X."""
    if is_source(y):
        raise InvalidInputError("y must be an array or a series: pass its values, without errors")
    if is_source(X):
        refuse_measured(X, "RegressionMixture")
        raise InvalidInputError("X must be an array or a frame: pass the values of the source")
    if hasattr(X, "columns") or (getattr(X, "ndim", 0) == 2 and X.dtype.kind == "f"):
        columns_of("X", X, len(X))
    if y is None or np.ndim(y) != 1:
        return
    if np.ndim(X) == 2 and len(X) != len(y):
        raise InvalidInputError(
            f"y must have a value for each of the {len(X)} rows of X, got {len(y)} values"
        )
    if np.iscomplexobj(y):
        raise InvalidInputError("y must be real numbers: Complex data not supported")
    import pandas as pd

    wrong, text = np.asarray(pd.isna(y)), "have no missing values, got one"
    if not wrong.any():
        given = "dates" if np.asarray(y).dtype.kind in "mM" else "text"
        try:
            numbers = np.asarray(y, np.float64)
        except (TypeError, ValueError):
            numbers = None
        if numbers is None or np.asarray(y).dtype.kind in "mMSU":
            raise InvalidInputError(f"y must be numbers, got {given}: code it as numbers")
        wrong, text = np.isinf(numbers), "be finite, got an infinite value"
    if wrong.any():
        row = row_label(y, int(np.argmax(wrong)))
        raise InvalidInputError(f"y must {text} in row {row}: drop such rows")


def ordered(units: Integers, *arrays: Array | None) -> Any:
    """Return arrays ordered by unit: as they are if the rows of a unit already stand together."""
    if (units[1:] >= units[:-1]).all():
        return arrays
    order = np.argsort(units, kind="stable")
    return tuple(None if each is None else each[order] for each in arrays)


def first_rows(units: Integers) -> Integers:
    """Return the first row (U,) of each unit, numbered in order of appearance."""
    highest = np.maximum.accumulate(units)
    return np.append(0, 1 + np.flatnonzero(highest[1:] > highest[:-1]))


def offsets(offset: Any, n: int) -> Array:
    """Return offsets (n,), by default 0, which take no memory."""
    return np.broadcast_to(0.0, n) if offset is None else finite_array("offset", offset, (n,))


def trial_numbers(trials: Any, n: int) -> Array:
    """Return numbers of trials (n,), by default 1, which take no memory."""
    if trials is None:
        return np.broadcast_to(1.0, n)
    numbers: Array = finite_array("trials", trials, (n,))
    wrong = (numbers < 0.0) | (numbers != np.floor(numbers))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise InvalidInputError(
            f"trials must be whole numbers of at least 0, got {numbers[place]:g} in row "
            f"{row_label(trials, place)}"
        )
    return numbers


def check_response(response: Any, y: Array, trials: Array, y_given: Any) -> None:
    """Raise ``InvalidInputError`` for responses outside the support; ``y_given`` names the row."""
    wrong, support = response.wrong(y, trials)
    if wrong.any():
        place = int(np.argmax(wrong))
        tried = f" of {trials[place]:g} trials" if response.name == "binomial" else ""
        raise InvalidInputError(
            f"y must be {support} for response={response.name!r}, got {y[place]:g}{tried} in row "
            f"{row_label(y_given, place)}: correct such rows, or use another response"
        )


def best_run(data: Any, n_components: int, n_init: int, max_iter: int, seed: int) -> State:
    """Return the best of numbered starts, each run to convergence."""
    sample, monitor = data.for_starts(seed), Monitor()
    problem = sample.problem()
    quick = replace(problem, stopping=AMONG_CANDIDATES)
    ends: list[State] = []
    for number in range(n_init if n_components > 1 else 1):
        begin = sample.begun(problem, sample.start(n_components, number, seed), number)
        ends.append(run(quick, begin, monitor, max_iter))
        if data.chain is not None and number + 1 == AGREEING and _agree(ends, data.n_samples):
            break
    best = max(ends, key=data.rank)
    if sample is not data:
        problem = data.problem()
        best = begin_at(problem, best.current_mixture())
    best = run(problem, best, monitor, max_iter)
    for _ in range(LAST_STEPS if n_components == 1 else 0):
        best = step(problem, best, monitor)
    return best


def _agree(ends: list[State], n_samples: float) -> bool:
    """Whether all runs reached the same optimum."""
    values = [state.objective for state in ends]
    return max(values) - min(values) < SAME * n_samples
