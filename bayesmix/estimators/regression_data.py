"""Data of a mixture of regressions: starts, predictions, standard errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from scipy import stats

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.gate import Gate, GatePrior, penalty_matrix
from bayesmix.allocation.point import FreeWeights
from bayesmix.core import validation
from bayesmix.core.designs import Standardised, columns_of
from bayesmix.core.given_arrays import finite_array
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Frame, Rows, SideInformation
from bayesmix.em.expectation import CENTRED
from bayesmix.em.objectives import MaximumLikelihood
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
from bayesmix.estimators.regression_columns import arranged
from bayesmix.families.bayesian_regression import (
    BayesianRegressionFamily,
    RegressionPosterior,
    RegressionPrior,
)
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.regressions import DESIGN, RegressionFamily, Regressions, Response, held
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.gate_errors import wald_errors
from bayesmix.search.starts import Given, begun, one_hot
from bayesmix.sources.memory import ArraySource

# Step of the central differences that give the observed information.
DIFFERENCE = 1e-5
# Units of which starts are compared on large data.
MOST_UNITS = 10_000
# Steps of a single regression after convergence: gains of rounding size still improve coefficients.
LAST_STEPS = 6


def beside(covariates: Array | None, units: Integers | None) -> SideInformation:
    """Return covariates and groups from ascending numbers of units."""
    if units is None:
        return SideInformation(covariates=covariates)
    begins = np.append(True, units[1:] != units[:-1])
    return SideInformation(begins=begins, covariates=covariates, grouped=True)


@dataclass(frozen=True)
class Predicted:
    """Predictive distributions of new samples."""

    values: Array
    predictors: Array  # (n, K)
    weights: Array  # (n, K)
    response: Response
    dispersion: Array  # (K,) or (n, K)

    @property
    def distributions(self) -> Any:
        """SciPy's distributions (n, K) of the response in the components."""
        return self.response.distribution(self.values[:, 2:3], self.predictors, self.dispersion)

    def cdf(self, y: Array) -> Array:
        """Return P(response <= y) (n,)."""
        return (self.weights * self.distributions.cdf(y[:, None])).sum(axis=1)

    def quantile(self, level: float) -> Array:
        """Return quantiles (n,) of the mixtures by bisection between those of components."""
        discrete = self.response.discrete
        ends: Array = np.asarray(self.distributions.ppf(level))
        low, high = ends.min(axis=1) - discrete, ends.max(axis=1)
        for _ in range(60):
            middle = 0.5 * (low + high)
            middle = np.floor(middle) if discrete else middle
            above = self.cdf(middle) >= level
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.asarray(high)


@dataclass(frozen=True)
class Data:
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
    # Passes of the starts, and how many of the best are run to convergence.
    race = ((6, 5),)

    @property
    def n_samples(self) -> float:
        """Number of units, which counts in BIC; of samples without groups."""
        first = slice(None) if self.units is None else np.unique(self.units, return_index=True)[1]
        return float(self.n_units if self.weights is None else self.weights[first].sum())

    @property
    def size_text(self) -> str:
        """Number of observations, and of units with groups."""
        if self.units is None:
            return f"n = {self.n_samples:.0f}"
        return f"n = {self.n_samples:.0f} units, {len(self.values)} observations"

    def further_attributes(self, mixture: Mixture) -> dict[str, Any]:
        """Return fitted attributes beside those of all regressions."""
        return {}

    @property
    def n_units(self) -> int:
        return len(self.values) if self.units is None else int(self.units.max()) + 1

    @property
    def rows(self) -> Rows:
        """All samples, with covariates and groups."""
        return Rows(self.values, self.weights, side=beside(self.covariates, self.units))

    def arranged(self, y: Array, offset: Array, trials: Array, X: Array) -> Array:
        """Return rows of response, offset, trials and design."""
        return arranged(self.design, self.inflation, y, offset, trials, X)

    def for_starts(self, seed: int) -> Data:
        """Return a random sample of the units of large data, among which starts are compared."""
        units = np.arange(len(self.values)) if self.units is None else self.units
        weighted = units if self.weights is None else units[self.weights > 0.0]
        eligible = np.unique(weighted)
        if len(eligible) <= MOST_UNITS:
            return self
        generator = stream(seed, Purpose.SUBSAMPLE)
        rows = np.flatnonzero(np.isin(units, generator.choice(eligible, MOST_UNITS, False)))
        return replace(
            self,
            values=self.values[rows],
            weights=None if self.weights is None else self.weights[rows],
            units=None if self.units is None else np.unique(units[rows], return_inverse=True)[1],
            covariates=None if self.covariates is None else self.covariates[rows],
        )

    def start(self, n_components: int, number: int, seed: int) -> Array:
        """Return responsibilities (n, K) of a numbered start, by lines through a few samples.

        Odd starts take samples that are near each other in a random direction.
        """
        generator = stream(seed, Purpose.START, number)
        y, offset, trials = self.values[:, :DESIGN].T
        # Linear predictors of the response alone, less the offset.
        target = np.asarray(self.family.response.first_predictor(y, trials) - offset)
        design = self.values[:, DESIGN : DESIGN + len(self.design.terms)]
        n, size = design.shape[0], design.shape[1] + 1
        distances = np.empty((n, n_components))
        order = np.argsort(design @ generator.normal(size=design.shape[1]), kind="stable")
        for k in range(n_components):
            if number % 2:
                width = min(n, max(size, n // n_components))
                begin = int(generator.integers(0, n - width + 1))
                sample = generator.choice(order[begin : begin + width], size)
            else:
                sample = generator.integers(0, n, size)
            line = np.linalg.lstsq(design[sample], target[sample])[0]
            distances[:, k] = (target - design @ line) ** 2
        if self.units is not None:
            sums = np.zeros((self.units.max() + 1, n_components))
            np.add.at(sums, self.units, distances)
            distances = sums[self.units]
        labels = distances.argmin(axis=1)
        return 0.9 * one_hot(labels, n_components) + 0.1 / n_components

    def predicted(self, values: Array, shares: Array, components: Any) -> Predicted:
        """Return predictive distributions of samples under weights (n, K)."""
        predictors = components.predictors(values)
        spread = components.dispersions(values)
        return Predicted(values, predictors, shares, components.response, spread)

    def posterior(
        self, mixture: Mixture, values: Array, covariates: Array | None, units: Integers
    ) -> tuple[Array, Array]:
        """Return probabilities (n, K) and log densities (n,) of samples ordered by unit."""
        rows = Rows(values, side=beside(covariates, units))
        return mixture.responsibilities(rows)

    def problem(self) -> Problem:
        """Return the problem of EM."""
        source = ArraySource(self.values, self.weights, side=self.rows.side)
        frame = Frame.identity(self.values.shape[1])
        family: Any = self.family
        floor, weights = self.family.floor, cast("Any", FreeWeights())
        if self.covariates is not None:
            weights = GatePrior.normal(self.covariates.shape[1])
        objective: Any = MaximumLikelihood(family=family, weights=weights)
        if self.variational is not None:
            floor, objective = 0.0, cast("Any", self.variational)
            family = objective.prior.family
            if self.covariates is not None:
                objective = replace(objective, weights=GatePrior.variational(self.rows))
        guard: Any = FloorGuard(np.array([floor]), held)
        return Problem(source, family, objective, frame, guard, Aitken(), False, CENTRED)

    def result(self, mixture: Mixture, point: Mixture, state: State, seed: int) -> FitResult:
        """Return the result of a run whose mixture, and its point estimates, are given."""
        problem = self.problem()
        assessment = assessed(problem.source, point)
        sums = DensitySums.of(assessment, self.n_samples, 0.0)
        return FitResult(
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
            total_weight=self.n_samples,
            n_rows=len(self.values),
            n_features=len(self.design.terms) - self.design.intercept,
            passes=state.passes,
            seconds=0.0,
            seed=seed,
            form=state.form.name,
            side=problem.source.side,  # type: ignore[attr-defined]  # in memory
        )

    def separation(self, state: State, order: list[int]) -> list[str]:
        """Return a sentence for each component that has coefficients without a finite maximum.

        ``order`` has the components of the state in the order of the fit.
        """
        texts, expectation = [], cast("Any", state.expectation)
        if self.gate is not None and expectation.allocation.separated:
            coefficients = expectation.allocation.gate.coefficients
            term = np.abs(coefficients).max(axis=0)[1:].argmax()
            texts.append(
                "the gate's covariates separate components completely (most: "
                f"{self.gate.names[term]}), so its coefficients have no finite estimate: use "
                "fewer covariates or fewer components"
            )
        if not self.family.response.discrete:
            return texts
        for component, direction in self.family.flat_directions(expectation.statistics):
            part = np.abs(direction)
            # The intercept is named only where no column takes part.
            part[: int(self.design.intercept)] *= 0.1
            which = "fixed" if component is None else f"component {order.index(component)}"
            if part.argmax() >= len(self.design.terms):
                texts.append(
                    f"{which}: the probability of extra zeros is estimated as 0 or 1 (boundary), "
                    "so its coefficients have no finite estimate: use response='poisson', or fewer "
                    "components"
                )
                continue
            name = self.design.terms[int(part.argmax())]
            texts.append(
                f"{which}: {name!r} predicts responses completely (separation), so its "
                "coefficient has no finite estimate: leave the column out, merge its levels, or "
                "use fewer components"
            )
        return texts

    # Standard errors

    def credible(
        self, q: RegressionPosterior, level: float
    ) -> tuple[list[tuple[str, int | str, str]], Array, Array, Array]:
        """Return names, means, standard deviations and half widths from Student-t marginals."""
        terms, back = self.design.terms, self.design.back
        names: list[tuple[str, int | str, str]] = [
            ("coefficient", k, term) for k in range(q.n_components) for term in terms
        ]
        scales, freedom = q.deviations(back), 2.0 * q.shape[:, None]
        half = stats.t.ppf(0.5 + 0.5 * level, freedom) * scales
        deviations = scales * np.sqrt(freedom / np.maximum(freedom - 2.0, 1e-300))
        means = q.plug_in().coefficients @ back.T
        return names, means.ravel(), deviations.ravel(), half.ravel()

    def wald(
        self, mixture: Mixture, robust: bool = False
    ) -> tuple[list[tuple[str, int | str, str]], Array, Array]:
        """Return names, estimates and standard errors of gate and coefficients, in data units."""
        layout = ParameterVector(self, mixture)
        names, back = layout.back()
        return names, back @ layout.theta, layout.errors(back, robust)

    def curve_errors(self, mixture: Mixture, rows: Array) -> Array:
        """Return standard errors (T, K) of linear predictors of the means at rows."""
        layout, errors = ParameterVector(self, mixture), []
        gradients = layout.components.gradients(rows)
        for k, own in enumerate(layout.places):
            back = np.zeros((len(rows), len(layout.theta)))
            back[:, layout.gate.size + own] = gradients[:, k]
            errors.append(layout.errors(back))
        return np.stack(errors, axis=1)


@dataclass(frozen=True)
class ParameterVector:
    """All parameters as a vector: gate or log odds of weights, coefficients, log dispersions."""

    data: Data
    mixture: Mixture

    @property
    def covariates(self) -> Array:
        values = self.data.covariates
        return np.ones((len(self.data.values), 1)) if values is None else values

    @property
    def gate(self) -> Array:
        """Coefficients (K - 1, P) of the gate, an intercept alone without one."""
        weights: Any = self.mixture.weights
        if isinstance(weights, Gate):
            return weights.coefficients[1:]
        logs: Array = np.log(np.maximum(weights.mean(), 1e-300))
        odds: Array = logs - logs[0]
        return odds[1:, None]

    @property
    def precisions(self) -> Array:
        """Prior precisions (P,) of the gate, 0 for maximum likelihood."""
        return np.asarray(getattr(self.mixture.weights, "precisions", np.zeros(self.gate.shape[1])))

    @property
    def components(self) -> Regressions:
        return cast("Regressions", self.mixture.components)

    @property
    def places(self) -> Integers:
        """Places (K, P) of coefficients among the unknowns, the shared ones first."""
        K, P = self.components.coefficients.shape
        fixed = self.data.family.fixed
        free = np.setdiff1d(np.arange(P), fixed)
        places = np.empty((K, P), dtype=int)
        places[:, fixed] = np.arange(len(fixed))
        places[:, free] = len(fixed) + np.arange(K * len(free)).reshape(K, -1)
        return places

    @property
    def theta(self) -> Array:
        """The parameters of the fit."""
        places = self.places
        coefficients = np.empty(places.max() + 1)
        coefficients[places] = self.components.coefficients
        logs = np.log(self.components.dispersion)
        dispersed = self.data.family.response.dispersed
        return np.concatenate([self.gate.ravel(), coefficients, logs if dispersed else []])

    @property
    def units(self) -> Array:
        """Scale of each parameter: residual standard deviations for normal coefficients."""
        units, components = np.ones(len(self.theta)), self.components
        if components.response.gaussian:
            units[self.gate.size + self.places] = np.sqrt(components.dispersion)[:, None]
        return units

    @cached_property
    def information(self) -> Array:
        """Observed information in the units of the parameters, by differences of the score."""
        theta, size = self.theta, len(self.theta)
        hessian = np.empty((size, size))
        for place in range(size):
            step = np.zeros(size)
            step[place] = DIFFERENCE * (1.0 + abs(theta[place]))
            rise = self.score(theta + step) - self.score(theta - step)
            hessian[place] = rise / (2.0 * step[place])
        information = -0.5 * (hessian + hessian.T)
        gate, K = slice(self.gate.size), self.mixture.n_components
        information[gate, gate] += penalty_matrix(K, self.precisions)
        return np.asarray(self.units[:, None] * information * self.units)

    def errors(self, back: Array, robust: bool = False) -> Array:
        """Return standard errors of linear combinations ``back`` of the parameters."""
        if robust:
            raise UnsupportedError(
                "robust standard errors need random=: random=() has no random effects"
            )
        return wald_errors(self.information, back * self.units, self.data.n_samples)

    def score(self, theta: Array) -> Array:
        """Return the gradient of the log likelihood."""
        data, places = self.data, self.places
        gate = theta[: self.gate.size].reshape(self.gate.shape)
        coefficients = theta[gate.size :][places]
        rest = theta[gate.size + places.max() + 1 :]
        dispersed = data.family.response.dispersed
        dispersion = np.exp(rest) if dispersed else self.components.dispersion
        components = Regressions(data.family.response, coefficients, dispersion)
        whole = np.concatenate([np.zeros_like(gate, shape=(1, self.gate.shape[1])), gate])
        allocation = Gate(whole, np.full(len(whole), 1.0 / len(whole)), self.precisions)
        joint = components.expected_log_density(data.values)
        side = beside(self.covariates, data.units)
        rows = Rows(data.values, data.weights, side=side)
        sums = allocation.allocate(joint, rows).statistics
        joint *= rows.weights_or_ones[:, None]
        summed = np.zeros(places.max() + 1)
        np.add.at(summed, places, components.statistics(data.values, joint).score)
        parts = [cast("Any", sums).gradient[1:].ravel(), summed]
        if dispersed:
            eta = components.predictors(data.values)
            slope = components.response.dispersion_slope(data.values[:, :1], eta, dispersion)
            parts.append((joint * slope).sum(axis=0))
        return np.concatenate(parts)

    def back(self) -> tuple[list[tuple[str, int | str, str]], Array]:
        """Return names, and the matrix from the parameters to coefficients in data units."""
        data, places = self.data, self.places
        names: list[tuple[str, int | str, str]] = []
        rows: list[Array] = []
        size, first = len(self.theta), self.gate.size
        gate = data.gate
        gate_terms = [] if gate is None else list(zip(gate.terms, gate.back, strict=True))
        width = self.gate.shape[1]
        for k in range(len(self.gate)):
            for term, row in gate_terms:
                names.append(("gate", k + 1, term))
                rows.append(np.zeros(size))
                rows[-1][k * width : (k + 1) * width] = row
        shared = set(data.family.fixed.tolist())
        for k, places_of_k in enumerate(places):
            for p, (term, row) in enumerate(zip(data.design.terms, data.design.back, strict=True)):
                if p in shared and k:
                    continue
                names.append(("coefficient", "all" if p in shared else k, term))
                rows.append(np.zeros(size))
                rows[-1][first + places_of_k[: len(row)]] = row
            inflation = data.inflation
            for term, row in zip(inflation.terms, inflation.back, strict=True) if inflation else ():
                names.append(("inflation", k, term))
                rows.append(np.zeros(size))
                rows[-1][first + places_of_k[-len(row) :]] = row
        return names, np.array(rows)


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
    for name, used in (
        (f"response={family.response.name!r}", family.response.name != "normal"),
        ("fixed", len(family.fixed) > 0),
    ):
        if used:
            raise UnsupportedError(
                f"VariationalBayes() does not support {name}: use inference=None"
            )
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


def formula_matrices(formula: str, table: Any, without_response: bool = False) -> tuple[Any, Any]:
    """Return response and design of a formula, without its intercept."""
    try:
        import formulaic
    except ImportError:
        raise UnsupportedError(
            "a formula needs formulaic: pip install formulaic, or give X and y as arrays"
        ) from None
    right = formula.split("~", 1)[1] if without_response else formula
    matrices = formulaic.model_matrix(right, table)
    design = matrices if without_response else matrices.rhs
    response = None if without_response else np.asarray(matrices.lhs)[:, 0]
    return response, design.drop(columns="Intercept", errors="ignore")


def check_table(X: Any, y: Any = None) -> None:
    """Raise ``InvalidInputError`` for missing values in X or y, and text in a frame X or in y."""
    if hasattr(X, "columns") or (getattr(X, "ndim", 0) == 2 and X.dtype.kind == "f"):
        columns_of("X", X, len(X))
    if y is None or np.ndim(y) != 1:
        return
    import pandas as pd

    if (missing := np.asarray(pd.isna(y))).any():
        row = int(np.flatnonzero(missing)[0])
        raise InvalidInputError(
            f"y must have no missing values, got one in row {row}: drop such rows"
        )
    try:
        np.asarray(y).astype(np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError("y must be numbers, got text: code it as numbers") from None


def probability(level: Any) -> float:
    """Return the probability of an interval."""
    level = validation.number("level", level, 0.0, strict=True)
    if level >= 1.0:
        raise InvalidInputError(f"level must be less than 1, got {level:g}: for 90 % use 0.9")
    return float(level)


def trial_numbers(trials: Any, n: int) -> Array:
    """Return numbers of trials (n,), by default 1."""
    if trials is None:
        return np.ones(n)
    numbers: Array = finite_array("trials", trials, (n,))
    wrong = (numbers < 0.0) | (numbers != np.floor(numbers))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InvalidInputError(
            f"trials must be whole numbers of at least 0, got {numbers[row]:g} in row {row}"
        )
    return numbers


def check_response(response: Any, y: Array, trials: Array) -> None:
    """Raise ``InvalidInputError`` for responses outside the support."""
    wrong, support = response.wrong(y, trials)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        tried = f" of {trials[place]:g} trials" if response.name == "binomial" else ""
        raise InvalidInputError(
            f"y must be {support} for response={response.name!r}, got {y[place]:g}{tried} in row "
            f"{place}: correct such rows, or use another response"
        )


def best_run(data: Any, n_components: int, n_init: int, max_iter: int, seed: int) -> State:
    """Return the best of numbered starts: quick runs, the best of which go on."""
    sample, monitor = data.for_starts(seed), Monitor()
    problem = sample.problem()
    numbers = range(n_init if n_components > 1 else 1)
    shares = (Given(sample.start(n_components, number, seed)) for number in numbers)
    begins = [begun(problem, each, n_components) for each in shares]
    quick = replace(problem, stopping=AMONG_CANDIDATES)
    for passes, n_left in data.race:
        advanced = {rank(s): s for s in (run(quick, s, monitor, passes) for s in begins)}
        begins = [advanced[each] for each in sorted(advanced, reverse=True)[:n_left]]
    best = max((run(quick, s, monitor, max_iter) for s in begins), key=rank)
    if sample is not data:
        problem = data.problem()
        best = begin_at(problem, best.current_mixture())
    best = run(problem, best, monitor, max_iter)
    for _ in range(LAST_STEPS if n_components == 1 else 0):
        best = step(problem, best, monitor)
    return best


def rank(state: State) -> tuple[bool, float]:
    """Return the rank of a run: sound fits first."""
    return (not state.holds, state.objective)
