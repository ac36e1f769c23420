"""Data of a mixture of regressions with random effects: starts, predictions, standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from pandas import unique
from scipy import stats
from sklearn.cluster import KMeans

from bayesmix.allocation.gate import Gate, GatePrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.core import validation
from bayesmix.core.designs import Standardised
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Frame, Rows, SideInformation
from bayesmix.em.expectation import CENTRED
from bayesmix.em.objectives import MaximumLikelihood
from bayesmix.em.result import FitResult
from bayesmix.em.run import AMONG_CANDIDATES, Aitken, Monitor, Problem, State, run
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.regression_columns import arranged
from bayesmix.estimators.regression_data import DIFFERENCE, MOST_UNITS, Data, Predicted
from bayesmix.families.effect_covariances import (
    EffectCovariance,
    FreeCovariance,
    ProportionalCovariance,
    SharedCovariance,
    vech_basis,
)
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.random_effects import (
    INTERCEPT,
    RandomEffectFamily,
    RandomEffectRegressions,
    RandomEffects,
    coefficient_places,
    cross_products,
)
from bayesmix.families.regressions import DESIGN, OFFSET, RESPONSE, held
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.gate_errors import wald_errors
from bayesmix.search.starts import Given, begun, one_hot

COVARIANCES: dict[str, type[EffectCovariance]] = {
    "shared": SharedCovariance,
    "proportional": ProportionalCovariance,
    "free": FreeCovariance,
}
# Passes of the regressions of single units from which starts are made.
PASSES_OF_UNITS = 50
# Eigenvalue of the correlations of random effects, and variance relative to the residual's, that
# are 0.
BOUNDARY = 1e-6
# p-value of the skewness of predicted effects below which they are not normal, and the fewest units
# of its test (D'Agostino 1970).
NOT_NORMAL, FEWEST_UNITS = 0.001, 20


@dataclass(frozen=True)
class RandomEffectData:
    """Data of a fit, ordered by unit; see ``regression_data.Data``."""

    values: Array
    weights: Array | None
    units: Integers  # ascending numbers (n,) of units
    covariates: Array | None
    family: RandomEffectFamily
    design: Standardised
    gate: Standardised | None
    random: RandomEffects
    labels: tuple[str | int, ...] = ()  # identifiers of the units
    variational = inflation = None
    # Passes of the starts, and how many go on; distinct starts of few passes may rank wrongly.
    race = ((6, 15), (20, 5))

    @classmethod
    def of(
        cls, data: Data, random: Any, covariance: str, shared: bool, groups: Any
    ) -> RandomEffectData:
        """Return the data of a fit of normal regressions, with random effects.

        Raises ``InvalidInputError`` for random effects of columns that are constant within units.
        """
        if data.units is None:
            raise InvalidInputError(
                "random effects need units: give groups= with the unit of each row"
            )
        effects = RandomEffects.of(random, data.design)
        starts = np.flatnonzero(np.append(True, data.units[1:] != data.units[:-1]))
        X = data.values[:, DESIGN:]
        for name in effects.names:
            if name == INTERCEPT:
                continue
            column = X[:, data.design.terms.index(name)]
            lowest, highest = (f.reduceat(column, starts) for f in (np.minimum, np.maximum))
            if not (lowest < highest).any():
                raise InvalidInputError(
                    f"random: column {name!r} is constant within all units, so its effect cannot "
                    "vary between units: use random=('intercept',)"
                )
        if (np.diff(np.append(starts, len(X))) == 1).all() and effects.names:
            raise InvalidInputError(
                "random effects need units with several rows, but each unit has one row: leave out "
                "random"
            )
        target = data.values[:, RESPONSE] - data.values[:, OFFSET]
        origin = np.asarray(np.linalg.lstsq(X, target)[0], np.float64)
        structure = COVARIANCES[covariance] if effects.names else SharedCovariance
        spread = max(float(((target - X @ origin) ** 2).mean()), data.family.floor)
        family = RandomEffectFamily(
            data.family.fixed,
            effects.matrix,
            origin,
            spread,
            structure(shared),
            data.family.floor,
        )
        labels = tuple(each if isinstance(each, int) else str(each)
                       for each in unique(np.asarray(groups)).tolist())  # fmt: skip
        return cls(data.values, data.weights, data.units, data.covariates, family, data.design,
                   data.gate, effects, labels)  # fmt: skip

    @cached_property
    def starts(self) -> Integers:
        """First rows (U,) of the units."""
        return np.flatnonzero(np.append(True, self.units[1:] != self.units[:-1]))

    @property
    def sizes(self) -> Integers:
        """Numbers of rows (U,) of the units."""
        return np.diff(np.append(self.starts, len(self.values)))

    @property
    def n_units(self) -> int:
        return len(self.starts)

    @property
    def n_samples(self) -> float:
        """Number of units, which counts in BIC."""
        return float(self.n_units if self.weights is None else self.weights[self.starts].sum())

    @property
    def size_text(self) -> str:
        return f"n = {self.n_samples:.0f} units, {len(self.values)} observations"

    def further_attributes(self, mixture: Mixture) -> dict[str, Any]:
        """Return covariances (K, q, q) of random effects in units of the data."""
        covariances = cast("RandomEffectRegressions", mixture.components).covariances
        return {"random_covariance_": self.random.back @ covariances @ self.random.back.T}

    @cached_property
    def rows(self) -> Rows:
        """Cross-products of the units, with weights and covariates."""
        X = self.values[:, DESIGN:]
        target = self.values[:, RESPONSE] - self.values[:, OFFSET] - X @ self.family.origin
        products = cross_products(np.column_stack([target, X]), self.starts)
        first = self.starts
        covariates = None if self.covariates is None else self.covariates[first]
        weights = None if self.weights is None else self.weights[first]
        return Rows(products, weights, side=SideInformation(covariates=covariates))

    def arranged(self, y: Array, offset: Array, trials: Array, X: Array) -> Array:
        """Return rows of response, offset, trials and design."""
        return arranged(self.design, None, y, offset, trials, X)

    def for_starts(self, seed: int) -> RandomEffectData:
        """Return a random sample of the units of large data, among which starts are compared."""
        weighted = self.units if self.weights is None else self.units[self.weights > 0.0]
        eligible = np.unique(weighted)
        if len(eligible) <= MOST_UNITS:
            return self
        chosen = stream(seed, Purpose.SUBSAMPLE).choice(eligible, MOST_UNITS, False)
        rows = np.flatnonzero(np.isin(self.units, chosen))
        return replace(
            self,
            values=self.values[rows],
            weights=None if self.weights is None else self.weights[rows],
            units=np.unique(self.units[rows], return_inverse=True)[1],
            covariates=None if self.covariates is None else self.covariates[rows],
        )

    @cached_property
    def unit_coefficients(self) -> Array:
        """Coefficients (U, p) of regressions of single units, shrunk to their mean and whitened."""
        own = np.setdiff1d(np.arange(len(self.family.origin)), self.family.fixed)
        effects = np.eye(len(self.family.origin))[:, own]
        family = replace(self.family, effects=effects, covariance=SharedCovariance())
        data = replace(self, family=family)
        problem = replace(data.problem(), stopping=AMONG_CANDIDATES)
        everyone = Given(np.ones((self.n_units, 1)))
        state = run(problem, begun(problem, everyone, 1), Monitor(), PASSES_OF_UNITS)
        components = cast("RandomEffectRegressions", state.current_mixture().components)
        coefficients = components.moments(components.units_of(data.rows.values))[0].effects
        values, axes = np.linalg.eigh(components.covariances[0])
        wide = values > BOUNDARY * values[-1]
        return np.asarray(coefficients @ axes[:, wide] / np.sqrt(values[wide]))

    def start(self, n_components: int, number: int, seed: int) -> Array:
        """Return responsibilities (U, K) of a numbered start, by k-means of units' coefficients.

        Odd starts stretch the coordinates at random, so that other partitions are found.
        """
        generator, place = stream(seed, Purpose.START, number), self.unit_coefficients
        if number % 2:
            turned = np.linalg.qr(generator.normal(size=(place.shape[1],) * 2))[0]
            place = place @ turned * np.exp(generator.normal(size=place.shape[1]))
        n_distinct = len(np.unique(place, axis=0))
        means = KMeans(
            min(n_components, n_distinct), n_init=1 if number else 10, max_iter=20,
            random_state=int(generator.integers(2**31)),
        )  # fmt: skip
        return 0.9 * one_hot(means.fit_predict(place), n_components) + 0.1 / n_components

    def problem(self) -> Problem:
        """Return the problem of EM, whose observations are units."""
        from bayesmix.sources.memory import ArraySource

        rows = self.rows
        weights: Any = FreeWeights()
        if rows.side.covariates is not None:
            weights = GatePrior.normal(rows.side.covariates.shape[1])
        family: Any = self.family
        objective: Any = MaximumLikelihood(family=family, weights=weights)
        frame = Frame.identity(rows.values.shape[1])
        guard: Any = FloorGuard(np.array([self.family.floor]), held)
        source = ArraySource(rows.values, rows.weights, side=rows.side)
        return Problem(source, family, objective, frame, guard, Aitken(), True, CENTRED)

    def result(self, mixture: Mixture, point: Mixture, state: State, seed: int) -> FitResult:
        """Return the result of a run."""
        return Data.result(cast("Any", self), mixture, point, state, seed)

    def separation(self, state: State, order: list[int]) -> list[str]:
        """Return sentences on separated gates, and on variances of random effects that are 0."""
        components = cast("RandomEffectRegressions", state.current_mixture().components)
        texts = Data.separation(cast("Any", self), state, order)
        found = []
        for k in order[: 1 if isinstance(self.family.covariance, SharedCovariance) else None]:
            D, residual = components.covariances[k], components.dispersion[k]
            zero = np.diag(D) < BOUNDARY * residual
            names = [name for name, none in zip(self.random.names, zero, strict=True) if none]
            deviations = np.sqrt(np.diag(D))[~zero]
            correlations = D[np.ix_(~zero, ~zero)] / deviations / deviations[:, None]
            which = f"component {order.index(k)}"
            if isinstance(self.family.covariance, SharedCovariance):
                which = "all components"
            if names:
                found.append(
                    f"{which}: the variance of the random effect {', '.join(map(repr, names))} is "
                    "estimated as 0 (boundary), so its standard errors do not hold: leave it out "
                    "of random"
                )
            elif len(deviations) > 1 and np.linalg.eigvalsh(correlations)[0] < BOUNDARY:
                found.append(
                    f"{which}: random effects are perfectly correlated (boundary), so standard "
                    "errors of their covariance do not hold: use fewer random effects"
                )
        mixture = state.current_mixture()
        for name, skewness in self.skewed_effects(mixture).items():
            found.append(
                f"predicted effects of {name!r} are not normal (skewness {skewness:.1f}), so "
                "several classes may describe one class with skewed effects: transform the "
                "response, or compare with fewer random effects"
            )
        return texts + found

    def skewed_effects(self, mixture: Mixture) -> dict[str, float]:
        """Return the skewness of predicted effects that are not normal (Bauer & Curran 2003).

        Components are drawn from their probabilities; effects, divided by their standard deviations
        under the model, are then standard normal (pseudo-classes of Wang et al. 2005).
        """
        components, rows = cast("RandomEffectRegressions", mixture.components), self.rows
        if self.n_units < FEWEST_UNITS or rows.weights is not None:
            return {}
        joint, _ = mixture.responsibilities(rows)
        moments = components.moments(components.units_of(rows.values))
        draws = stream(self.n_units, Purpose.SAMPLE).random((self.n_units, 1))
        drawn = np.minimum((joint.cumsum(axis=1) < draws).sum(axis=1), len(moments) - 1)
        every = np.arange(self.n_units)
        effects = np.stack([each.effects for each in moments])[drawn, every]
        left = np.stack([each.spreads.effect_covariances for each in moments])[drawn, every]
        variances = np.einsum("uqq->uq", components.covariances[drawn] - left)
        certain = variances > BOUNDARY * components.dispersion[drawn, None]
        found = {}
        for place, name in enumerate(self.random.names):
            own = certain[:, place]
            if own.sum() < FEWEST_UNITS:
                continue
            values = effects[own, place] / np.sqrt(variances[own, place])
            if stats.skewtest(values).pvalue < NOT_NORMAL:
                found[name] = float(stats.skew(values))
        return found

    # Predictions

    def predicted(self, values: Array, shares: Array, components: Any) -> Predicted:
        """Return marginal predictive distributions of samples of new units."""
        spread = components.sample_variances(values)
        return Predicted(values, components.predictors(values), shares, components.response, spread)

    def posterior(
        self, mixture: Mixture, values: Array, covariates: Array | None, units: Integers
    ) -> tuple[Array, Array]:
        """Return probabilities (n, K) and log densities (n,) of ordered samples.

        The log density of a unit is divided equally among its samples.
        """
        data = replace(self, values=values, weights=None, units=units, covariates=covariates)
        joint, log_density = mixture.responsibilities(data.rows)
        sizes = data.sizes
        return np.repeat(joint, sizes, axis=0), np.repeat(log_density / sizes, sizes)

    def predicted_effects(self, mixture: Mixture) -> Array:
        """Return E[b_i | y_i, k] (U, K, q) in units of the data."""
        components = cast("RandomEffectRegressions", mixture.components)
        units, back = components.units_of(self.rows.values), self.random.back
        effects = [each.effects for each in components.moments(units)]
        return np.stack(effects, axis=1) @ back.T

    # Standard errors

    def wald(
        self, mixture: Mixture, robust: bool = False
    ) -> tuple[list[tuple[str, int | str, str]], Array, Array]:
        """Return names, estimates and standard errors, in data units.

        ``robust`` standard errors are those of the sandwich with the scores of units (White 1982).
        """
        layout = EffectVector(self, mixture)
        names, back = layout.back()
        return names, back @ layout.theta, self._errors(layout, back, robust)

    def curve_errors(self, mixture: Mixture, rows: Array) -> Array:
        """Return standard errors (T, K) of mean responses at rows."""
        layout = EffectVector(self, mixture)
        errors = []
        for own in layout.places:
            back = np.zeros((len(rows), len(layout.theta)))
            back[:, layout.gate.size + own] = rows[:, DESIGN:]
            errors.append(self._errors(layout, back, False))
        return np.stack(errors, axis=1)

    def _errors(self, layout: EffectVector, back: Array, robust: bool) -> Array:
        """Return standard errors of linear combinations ``back`` of the parameters."""
        scale, scaled = layout.scale, layout.information
        back = back * scale
        errors = wald_errors(scaled, back, self.n_samples)
        if not robust:
            return errors
        scores = layout.scores(np.zeros(len(scale))) * scale
        if self.rows.weights is not None:
            scores /= np.sqrt(np.maximum(self.rows.weights, 1e-300))[:, None]
        bread = np.linalg.pinv(scaled, rcond=1e-12, hermitian=True) @ back.T
        sandwich = np.sqrt(((scores @ bread) ** 2).sum(axis=0))
        return np.where(np.isnan(errors), np.nan, sandwich)


def with_random_effects(estimator: Any, data: Data, groups: Any) -> Any:
    """Return the data of a fit with the random effects that an estimator asks for."""
    covariance = validation.one_of(
        "random_covariance", estimator.random_covariance, tuple(COVARIANCES)
    )
    residual = validation.one_of(
        "residual_variance", estimator.residual_variance, ("shared", "free")
    )
    for name, used in (
        (f"response={estimator.response!r}", estimator.response != "normal"),
        ("VariationalBayes()", data.variational is not None),
    ):
        if used:
            raise UnsupportedError(f"random effects do not support {name}: leave out random")
    return RandomEffectData.of(data, estimator.random, covariance, residual == "shared", groups)


@dataclass(frozen=True)
class EffectVector:
    """All parameters as a vector: gate or log odds of weights, coefficients, variances."""

    data: RandomEffectData
    mixture: Mixture

    @property
    def components(self) -> RandomEffectRegressions:
        return cast("RandomEffectRegressions", self.mixture.components)

    @property
    def covariates(self) -> Array:
        given = self.data.rows.side.covariates
        return np.ones((self.data.n_units, 1)) if given is None else given

    @cached_property
    def gate(self) -> Array:
        """Coefficients (K - 1, P) of the gate, an intercept alone without one."""
        weights: Any = self.mixture.weights
        if isinstance(weights, Gate):
            return weights.coefficients[1:]
        logs: Array = np.log(np.maximum(weights.mean(), 1e-300))
        return np.asarray(logs - logs[0])[1:, None]

    @cached_property
    def places(self) -> Integers:
        return coefficient_places(self.data.family.fixed, *self.components.coefficients.shape)

    @cached_property
    def theta(self) -> Array:
        """The parameters of the fit; variances are (D_0, log ratios or further D_k, σ²)."""
        places, components = self.places, self.components
        coefficients = np.empty(places.max() + 1)
        coefficients[places] = components.coefficients
        structure = self.data.family.covariance
        variances = structure.unknowns(components.covariances)
        residual = components.dispersion[: structure.n_variances(components.n_components)]
        return np.concatenate([self.gate.ravel(), coefficients, variances, residual])

    @cached_property
    def scale(self) -> Array:
        """Scale of each parameter, for differences and conditions."""
        components = self.components
        residual = float(components.dispersion.mean())
        scale = np.ones(len(self.theta))
        first = self.gate.size
        last = first + int(self.places.max()) + 1
        scale[first:last] = np.sqrt(residual)
        scale[last:] = residual
        K, structure = components.n_components, self.data.family.covariance
        d = len(vech_basis(components.covariances.shape[1]))
        ratios = slice(last + d * len(structure.matrices(K)), -structure.n_variances(K))
        scale[ratios] = 1.0
        return scale

    @cached_property
    def information(self) -> Array:
        """Observed information of all parameters in units of ``scale``, from exact scores."""
        size, scale = len(self.theta), self.scale
        hessian = np.empty((size, size))
        for place in range(size):
            step = np.zeros(size)
            step[place] = DIFFERENCE * scale[place]
            rise = self.scores(step).sum(axis=0) - self.scores(-step).sum(axis=0)
            hessian[place] = rise / (2.0 * step[place])
        return np.asarray(-0.5 * scale[:, None] * (hessian + hessian.T) * scale)

    def scores(self, step: Array) -> Array:
        """Return gradients (U, size) of weighted log densities of units at ``theta + step``."""
        data, places, at = self.data, self.places, self.components
        structure = data.family.covariance
        gate: Array = (self.theta + step)[: self.gate.size].reshape(self.gate.shape)
        coefficients = (self.theta + step)[gate.size :][places]
        moved = step[gate.size + places.max() + 1 :]
        n_residual, K = structure.n_variances(at.n_components), at.n_components
        components = replace(
            at,
            coefficients=coefficients,
            covariances=structure.linear(at.covariances, moved),
            dispersion=at.dispersion + moved[-n_residual:],
        )
        whole = np.concatenate([np.zeros_like(self.gate, shape=(1, self.gate.shape[1])), gate])
        allocation = Gate(whole, np.full(K, 1.0 / K), np.zeros(self.gate.shape[1]))
        units = components.units_of(data.rows.values)
        moments = components.moments(units)
        logs = allocation.log_weights(self.covariates)
        joint = logs + np.stack([each.log_density for each in moments], axis=1)
        shares = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))
        q = at.covariances.shape[1]
        ZX, basis = data.family.effects.T @ units.designs, vech_basis(q)
        jacobian = structure.jacobian(components.covariances)
        out = np.zeros((len(joint), len(self.theta)))
        away = shares[:, 1:] - np.exp(logs)[:, 1:]
        out[:, : gate.size] = (away[:, :, None] * self.covariates[:, None, :]).reshape(len(out), -1)
        variances = out[:, gate.size + places.max() + 1 :]
        for k, each in enumerate(moments):
            share = shares[:, k, None]
            score = each.residual_products - np.einsum("uqp,uq->up", ZX, each.effects)
            out[:, gate.size + places[k]] += share * score / components.dispersion[k]
            variances += share * (each.variance_scores(basis) @ jacobian[k])
        return out * data.rows.weights_or_ones[:, None]

    def back(self) -> tuple[list[tuple[str, int | str, str]], Array]:
        """Return names, and the matrix from the parameters to those in data units."""
        data, places, random = self.data, self.places, self.data.random
        names: list[tuple[str, int | str, str]] = []
        rows: list[Array] = []

        def add(name: tuple[str, int | str, str], where: Any, values: Any) -> None:
            names.append(name)
            rows.append(np.zeros(len(self.theta)))
            rows[-1][where] = values

        width, first = self.gate.shape[1], self.gate.size
        if data.gate is not None:
            for k in range(len(self.gate)):
                for term, row in zip(data.gate.terms, data.gate.back, strict=True):
                    add(("gate", k + 1, term), slice(k * width, (k + 1) * width), row)
        shared = set(data.family.fixed.tolist())
        for k, own in enumerate(places):
            for p, (term, row) in enumerate(zip(data.design.terms, data.design.back, strict=True)):
                if p not in shared or not k:
                    add(("coefficient", "all" if p in shared else k, term), first + own, row)
        structure, K = data.family.covariance, self.components.n_components
        q = len(random.names)
        basis = vech_basis(q)
        d, last = len(basis), first + int(places.max()) + 1
        n_residual = structure.n_variances(K)
        pairs: Sequence[tuple[int, int]] = list(zip(*np.tril_indices(q), strict=True))
        matrices = structure.matrices(K)
        for place, component in enumerate(matrices):
            for i, j in pairs:
                row = np.einsum("r,ars,s->a", random.back[i], basis, random.back[j])
                term = f"{random.names[j]}, {random.names[i]}" if i > j else random.names[i]
                part = "covariance" if i > j else "variance"
                begin = last + place * d
                add((part, component, term), slice(begin, begin + d), row)
        n_ratios = len(self.theta) - n_residual - last - d * len(matrices)
        for k in range(n_ratios):
            add(("log ratio of variances", k + 1, "to component 0"), last + d + k, 1.0)
        for k in range(n_residual):
            component = "all" if structure.shared_residual else k
            add(("variance", component, "residual"), len(self.theta) - n_residual + k, 1.0)
        return names, np.array(rows)
