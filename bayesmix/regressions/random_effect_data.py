"""Data of a mixture of regressions with random effects: starts, predictions, checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from scipy import optimize, stats
from scipy.spatial.distance import cdist
from sklearn.cluster import kmeans_plusplus

from bayesmix.allocation.designs import Standardised
from bayesmix.core import validation
from bayesmix.core.components import DensitiesAndStatistics
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, drawn_labels, stream
from bayesmix.core.restrictions import HeldValues
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.em.expectation import Centred
from bayesmix.em.run import AMONG_CANDIDATES, Monitor, State, begin_at, run
from bayesmix.errors import InvalidInputError
from bayesmix.families.random_effects import (
    INTERCEPT,
    EffectCovariance,
    RandomEffectFamily,
    RandomEffectRegressions,
    RandomEffects,
    cross_products,
    unpacked,
)
from bayesmix.families.regressions import DESIGN, scaled_solution
from bayesmix.families.residual_structure import CORRELATIONS, ResidualStructure
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.regressions.regression_data import UnitData, best_run, gate_warning
from bayesmix.regressions.regression_vector import Names, ParameterVector
from bayesmix.starts.responsibilities import ROUNDED, Given, begun, one_hot

# Own matrices and ratios of the structures; see ``EffectCovariance``.
COVARIANCES = {"shared": (False, False), "proportional": (False, True), "free": (True, False)}
# Passes of the regressions of single units from which starts are made.
PASSES_OF_UNITS = 50
# Gradient per unit, in parameters of unit scale, at which variances and correlations of residuals
# are found: errors are a thousandth of a standard error for 10,000 units.
GRADIENT = 1e-5
# Units of a block, whose moments fit into some megabytes.
UNITS_AT_ONCE = 2**14
# Eigenvalue of the correlations of random effects, and variance relative to the residual's, that
# are 0.
BOUNDARY = 1e-6
# p-value of the skewness of predicted effects below which they are not normal, and the fewest units
# of its test (D'Agostino 1970).
NOT_NORMAL, FEWEST_UNITS = 0.001, 20


@dataclass(frozen=True)
class FromMoments(Centred):
    """E-step whose densities and sums share the moments of units."""

    def densities(self, components: Any, values: Array) -> DensitiesAndStatistics:
        moments = components.moments(values)
        return moments.log_density, lambda shares: components.sums(moments, shares)


@dataclass(frozen=True)
class RandomEffectData(UnitData):
    """Data of a fit, ordered by unit. EM reads the cross-products of the units alone."""

    products: Array  # (U, W)
    weights: Array | None  # (U,)
    covariates: Array | None  # (U, P)
    family: RandomEffectFamily
    design: Standardised
    gate: Standardised | None
    random: RandomEffects
    response: Array  # (n,)
    offset: Array
    columns: Array  # (n, D), not standardised
    labels: tuple[str | float, ...] = ()  # identifiers of the units
    variational = inflation = chain = None
    form, starts, fewest = FromMoments(), slice(None), 0

    @classmethod
    def of(
        cls,
        estimator: Any,
        response: Array,
        offset: Array,
        columns: Array,
        sizes: Integers,
        design: Standardised,
        fixed: Integers,
        floor: float,
        held: HeldValues | None,
        **others: Any,
    ) -> RandomEffectData:
        """Return the data of a fit of normal regressions, with the random effects of an estimator.

        Raises ``InvalidInputError`` for random effects of columns that are constant within units.
        """
        effects, ends = RandomEffects.of(estimator.random, design), np.cumsum(sizes)
        for name in set(effects.names) - {INTERCEPT}:
            column = columns[:, design.names.index(name)]
            lowest, highest = (f.reduceat(column, ends - sizes) for f in (np.minimum, np.maximum))
            if not (lowest < highest).any():
                raise InvalidInputError(
                    f"random: column {name!r} is constant within all units, so its effect cannot "
                    "vary between units: use random=('intercept',)"
                )
        if effects.names and 1 in (len(sizes), sizes.max()):
            raise InvalidInputError(
                f"random effects need several units, some with several rows, got {len(response)} "
                f"rows of {len(sizes)} units: use random=None"
            )
        origin, rows = np.zeros(len(design.terms)), (response, offset, columns)
        products = cross_products(design, origin, *rows, sizes)
        total = unpacked(products.sum(axis=0, keepdims=True), len(origin))
        origin = scaled_solution(total[3][0], total[2][0])[0]
        residuals, time = structure_of(estimator, design, columns, sizes)
        products = cross_products(design, origin, *rows, sizes, residuals)
        spread = max(float(products[:, 0].sum() / len(response)), floor)
        own, ratios = COVARIANCES[estimator.random_covariance] if effects.names else (False, False)
        shared = estimator.residual_variance not in ("free", "free_time")
        covariance = EffectCovariance(own, ratios, shared)
        family = RandomEffectFamily(
            fixed, effects.matrix, origin, spread, covariance, floor, held, residuals, time
        )
        return cls(
            products, family=family, design=design, random=effects, response=response,
            offset=offset, columns=columns, **others,
        )  # fmt: skip

    @property
    def sizes(self) -> Integers:
        """Numbers of rows (U,) of the units."""
        return self.products[:, 1].astype(np.intp)

    @property
    def units(self) -> Integers:
        """Ascending numbers (n,) of units."""
        return np.repeat(np.arange(self.n_units), self.sizes)

    @property
    def values(self) -> Array:
        """Rows of response, offset, trials and design."""
        ones = np.ones(self.n_rows)
        return self.arranged(self.response, self.offset, ones, self.columns)

    @property
    def n_rows(self) -> int:
        return len(self.response)

    @property
    def n_units(self) -> int:
        return len(self.products)

    @property
    def rows(self) -> Rows:
        """Cross-products of the units, with weights and covariates."""
        side = SideInformation(covariates=self.covariates)
        return Rows(self.products, self.weights, side=side)

    def subset(self, chosen: Any) -> RandomEffectData:
        weights, covariates = (
            None if each is None else each[chosen] for each in (self.weights, self.covariates)
        )
        return replace(self, products=self.products[chosen], weights=weights, covariates=covariates)

    def blocks(self) -> Iterator[Rows]:
        """Return cross-products of blocks of units."""
        for begin in range(0, self.n_units, UNITS_AT_ONCE):
            yield self.subset(slice(begin, begin + UNITS_AT_ONCE)).rows

    def of_units(self, values: Array) -> Array:
        return values

    def with_response(self, y: Array) -> RandomEffectData:
        """Return the data with another response (n,)."""
        return replace(self, response=y).with_products(self.sizes)

    def with_products(self, sizes: Integers) -> RandomEffectData:
        """Return the data with the cross-products of their rows."""
        rows, family = (self.response, self.offset, self.columns), self.family
        products = cross_products(self.design, family.origin, *rows, sizes, family.residuals)
        return replace(self, products=products)

    @cached_property
    def eligible(self) -> Integers:
        """Units with weight, in an order that does not depend on that of the data."""
        keys = self.products[:, : 2 + len(self.family.origin)].T
        keys = np.round(keys / np.abs(keys).max(axis=1, keepdims=True, initial=1e-300), ROUNDED)
        order = np.lexsort(keys)
        return order[self.unit_weights[order] > 0.0]

    @cached_property
    def unit_coefficients(self) -> Array:
        """Coefficients (U, p) of regressions of single units, shrunk to their mean and whitened."""
        own = np.setdiff1d(np.arange(len(self.family.origin)), self.family.fixed)
        effects = np.eye(len(self.family.origin))[:, own]
        data = replace(
            self,
            family=replace(self.family, effects=effects, covariance=EffectCovariance(), held=None),
        )
        residuals = self.family.residuals
        if residuals is not None and residuals.n_classes > 1:
            data = data.with_residuals(residuals.equal.of_classes[0])
        problem = replace(data.problem(), stopping=AMONG_CANDIDATES)
        everyone = Given(np.ones((self.n_units, 1)))
        state = run(problem, begun(problem, everyone, 1), Monitor(), PASSES_OF_UNITS)
        components = cast("RandomEffectRegressions", state.current_mixture().components)
        values, axes = np.linalg.eigh(components.covariances[0])
        wide = values > BOUNDARY * values[-1]
        coefficients = components.moments(data.products).effects[0]
        return np.asarray(coefficients @ axes[:, wide] / np.sqrt(values[wide]))

    def start(self, n_components: int, number: int, seed: int) -> Array:
        """Return responsibilities (U, K) of a numbered start, by the nearest of K units.

        Distances are those of the units' coefficients, and odd starts stretch them at random. Half
        of the starts prefer units that are far apart, which suits classes that are; small classes
        are found from any units. Where covariances are free, the distances of a class have a
        random scale, so that a narrow class within a wide one is found. The order of the units
        changes nothing.
        """
        generator, place = stream(seed, Purpose.START, number), self.unit_coefficients
        if number % 2:
            turned = np.linalg.qr(generator.normal(size=(place.shape[1],) * 2))[0]
            place = place @ turned * np.exp(generator.normal(size=place.shape[1]))
        eligible = place[self.eligible]
        centres = eligible[generator.choice(len(eligible), n_components, replace=False)]
        if number % 4 < 2:
            draw = int(generator.integers(2**31))
            centres, _ = kmeans_plusplus(
                eligible, n_components, random_state=draw, n_local_trials=1
            )
        distances = cdist(place, centres)
        if self.family.covariance.own:
            distances *= np.exp(generator.normal(size=n_components))
        return 0.9 * one_hot(distances.argmin(axis=1), n_components) + 0.1 / n_components

    def warnings(self, state: State, order: list[int]) -> list[str]:
        """Return sentences on separated gates, and on random effects without variance.

        ``order`` has the components of the state in the order of the fit.
        """
        mixture, found = state.current_mixture(), gate_warning(self, state)
        components, structure = cast("Any", mixture.components), self.family.covariance
        own = structure.own or structure.ratios
        for place, k in enumerate(order[: None if own else 1]):
            which = self.name_of(place) if own else "all classes"
            zero, singular = self.boundaries(components, k)
            names = [name for name, none in zip(self.random.names, zero, strict=True) if none]
            if names:
                found.append(
                    f"{which}: the variance of the random effect {', '.join(map(repr, names))} is "
                    "estimated as 0 (boundary), so it has no standard error: leave it out of random"
                )
            elif singular:
                found.append(
                    f"{which}: random effects are perfectly correlated (boundary), so their "
                    "covariance has no standard errors: use fewer random effects"
                )
        found += self.residual_texts()
        if not found and self.sizes.max() <= len(self.random.names):
            found.append(
                "no unit has more rows than random effects, so variances may have no standard "
                "errors: use fewer random effects"
            )
        return found + self.skewness_texts(mixture)

    def boundaries(self, components: Any, k: int) -> tuple[Booleans, bool]:
        """Return which variances (q,) of a component are 0, and if correlations are singular."""
        D = components.covariances[k]
        zero = np.diag(D) < BOUNDARY * components.dispersion[k]
        deviations = np.sqrt(np.diag(D))[~zero]
        correlations = D[np.ix_(~zero, ~zero)] / deviations / deviations[:, None]
        singular = len(deviations) > 1 and np.linalg.eigvalsh(correlations)[0] < BOUNDARY
        return zero, bool(singular)

    def residual_texts(self) -> list[str]:
        """Return sentences on variances and correlations of residuals at their boundaries."""
        residuals = self.family.residuals
        found = list[str]()
        if residuals is None:
            return found
        times = residuals.times
        for own in [] if times is None else residuals.of_classes:
            logs = own.log_variances
            low = cast("Array", times)[logs < np.log(BOUNDARY) + logs.max()]
            if len(low):
                found.append(
                    f"the residual variance at {', '.join(f'{t:g}' for t in low)} is estimated as "
                    "0 (boundary), so it has no standard error: use fewer random effects, or "
                    "residual_variance='shared'"
                )
        if residuals.correlation is not None:
            rho, slope = residuals.correlation.reported(residuals.unknowns[-1])
            if abs(slope) < BOUNDARY:
                found.append(
                    f"the correlation of residuals is estimated as {rho:.3g} (boundary), so it has "
                    "no standard error: leave out residual_correlation, or a random effect"
                )
        return found

    def skewness_texts(self, mixture: Mixture) -> list[str]:
        """Return sentences on predicted effects that are not normal (Bauer & Curran 2003).

        Components are drawn from their probabilities; effects, divided by their standard deviations
        under the model, are then standard normal (pseudo-classes of Wang et al. 2005).
        """
        if self.n_units < FEWEST_UNITS or self.weights is not None:
            return []
        components = cast("RandomEffectRegressions", mixture.components)
        joint, (effects, left) = self.posterior(mixture)[0], self.predicted_effects(mixture)
        drawn, every = np.empty(self.n_units, dtype=np.intp), np.arange(self.n_units)
        generator = stream(self.n_units, Purpose.SAMPLE)
        drawn[self.eligible] = drawn_labels(joint[self.eligible], generator)
        total = np.diagonal(components.covariances, axis1=1, axis2=2)[drawn]
        variances, found = total - left[every, drawn], list[str]()
        for place, name in enumerate(self.random.names):
            certain = variances[:, place] > BOUNDARY * components.dispersion[drawn]
            if certain.sum() < FEWEST_UNITS:
                continue
            values = effects[every, drawn, place][certain] / np.sqrt(variances[certain, place])
            if stats.skewtest(values).pvalue < NOT_NORMAL:
                found.append(
                    f"predicted effects of {name!r} are not normal (skewness "
                    f"{stats.skew(values):.1f}), so several classes may describe one class with "
                    "skewed effects: transform the response, or compare with fewer random effects"
                )
        return found

    # Structure of the residuals

    @property
    def residual_unknowns(self) -> Array:
        residuals = self.family.residuals
        return np.empty(0) if residuals is None else residuals.unknowns

    def at(self, unknowns: Array) -> RandomEffectData:
        """Return the data with other variances and correlations of residuals."""
        residuals = self.family.residuals
        return self if residuals is None else self.with_residuals(residuals.at(unknowns))

    def with_residuals(self, residuals: ResidualStructure) -> RandomEffectData:
        """Return the data with another structure of residuals."""
        family = replace(self.family, residuals=residuals)
        return replace(self, family=family).with_products(self.sizes)

    def reordered(self, order: Integers) -> RandomEffectData:
        """Return the data of classes in another order."""
        residuals = self.family.residuals
        if residuals is None or residuals.n_classes == 1:
            return self
        return self.with_residuals(residuals.reordered(order))

    def residual_score(self, components: Any, shares: Array) -> Array:
        """Return the gradient of the log likelihood in the unknowns of the residuals.

        ``shares`` (U, K) are responsibilities times weights (Fisher's identity).
        """
        residuals = self.family.residuals
        if residuals is None:
            return np.empty(0)
        values, units = self.values, self.units
        time = self.columns[:, residuals.place]
        z = values[:, DESIGN:] @ self.family.effects
        effects, covariances = self.effects_of_units(components)
        left = (values[:, 0] - values[:, 1])[:, None] - values[:, DESIGN:] @ (
            components.coefficients.T
        )
        structures, K = residuals.of_classes, len(components.dispersion)
        of_structures = np.array_split(np.arange(K), len(structures))
        gradient, n = np.zeros(len(residuals.unknowns)), residuals.n_contrasts
        for first, structure, classes in zip(
            np.arange(len(structures)) * n, structures, of_structures, strict=True
        ):
            visits = structure.in_order(time, units)
            order, before = visits.order, np.roll(visits.order, 1)
            own, pairs = np.zeros((2, len(values)))
            for k in classes:
                share = shares[units, k] / components.dispersion[k]
                e = left[:, k] - (z * effects[units, k]).sum(axis=1)
                Gz = np.einsum("nqr,nr->nq", covariances[units, k], z)
                own += (share * (e**2 + (Gz * z).sum(axis=1)))[order]
                pairs += share[order] * (e[order] * e[before] + (Gz[order] * z[before]).sum(axis=1))
            weights = shares[:, classes].sum(axis=1)[units][order]
            score = structure.score(visits, time, weights, own, pairs)
            gradient[first : first + n] += score[:n]
            gradient[len(structures) * n :] += score[n:]
        return gradient

    def fitted(
        self, n_components: int, n_init: int, max_iter: int, seed: int
    ) -> tuple[RandomEffectData, State]:
        """Return the best run, and the data with its structure of the residuals.

        Starts have equal variances and almost no correlation, and then again those of the best run,
        averaged over the classes.
        """
        best = best_run(self, n_components, n_init, max_iter, seed)
        if not len(self.residual_unknowns):
            return self, best
        data, best = self.refined(best, max_iter)
        if n_components == 1:
            return data, best
        structure = data.family.residuals
        assert structure is not None
        equal = data if structure.n_classes == 1 else data.with_residuals(structure.equal)
        again = best_run(equal, n_components, n_init, max_iter, seed)
        if equal is not data:  # runs of one structure and of several are not compared
            other, again = equal.refined(again, max_iter)
            return (other, again) if self.rank(again) > self.rank(best) else (data, best)
        if self.rank(again) > self.rank(best):
            data, best = data.refined(again, max_iter)
        return data, best

    def refined(self, state: State, max_iter: int) -> tuple[RandomEffectData, State]:
        """Return the data and the run at the maximum in the structure of the residuals.

        All parameters move together, by BFGS with the exact score, as EM for given structures is
        slow where random effects explain what autocorrelation also would.
        """
        mixture = state.current_mixture()
        vector = ParameterVector(self, mixture)
        start, scale = vector.theta, vector.scale
        K, q = vector.components.covariances.shape[:2]
        roots = slice(vector.n_located, vector.variances.start)

        def loss(steps: Array) -> tuple[float, Array]:
            theta = start + steps * scale
            if (theta[vector.variances] <= self.family.floor).any():
                return np.inf, np.zeros(len(theta))
            value, score = vector.log_likelihood_and_score(theta)
            score[vector.held] = 0.0
            # Roots of D may change their signs, and scores are those of positive ones.
            score[roots] *= self.family.covariance.signs(theta[roots], K, q)
            return -value / self.n_units, -score * scale / self.n_units

        found = optimize.minimize(
            loss, np.zeros(len(start)), jac=True, method="BFGS", options={"gtol": GRADIENT}
        )
        theta = start + found.x * scale
        data = self.at(theta[vector.residual])
        components = replace(vector.moved(theta), family=data.family)
        # BFGS has converged: EM adds the weights.
        problem = replace(data.problem(), stopping=AMONG_CANDIDATES)
        begin = begin_at(problem, replace(mixture, components=components))
        return data, run(problem, begin, Monitor(), max_iter)

    # Predictions

    def effects_of_units(self, components: Any) -> tuple[Array, Array]:
        """Return E[b_i | y_i, k] (U, K, q) and covariances (U, K, q, q)."""
        parts = []
        for rows in self.blocks():
            moments = components.moments(rows.values)
            effects = moments.effects.transpose(1, 0, 2)
            G = moments.effect_covariances.transpose(1, 0, 2, 3)
            parts.append((effects, np.broadcast_to(G, (*effects.shape, G.shape[-1]))))
        effects, covariances = (np.concatenate(part) for part in zip(*parts, strict=True))
        return effects, covariances

    def predicted_effects(self, mixture: Mixture) -> tuple[Array, Array]:
        """Return E[b_i | y_i, k] and its variances (U, K, q)."""
        effects, covariances = self.effects_of_units(mixture.components)
        return effects, np.diagonal(covariances, axis1=2, axis2=3)

    def of_new(
        self, rows: tuple[Array, ...], covariates: Array | None, sizes: Integers
    ) -> RandomEffectData:
        """Return the data of EM of new units; see ``Data``."""
        y, offset, _, X = rows
        new = replace(self, response=y, offset=offset, columns=X)
        return replace(new.with_products(sizes), weights=None, covariates=covariates)

    def further_terms(self, mixture: Mixture) -> tuple[Names, Array, Array]:
        """Return names and values (m,) of variances in data units, and their slopes (m, size).

        Slopes are those in ``further`` of the components, and NaN for singular covariances.
        """
        components, names = cast("RandomEffectRegressions", mixture.components), Names()
        structure, back, effects = self.family.covariance, self.random.back, self.random.names
        (K, q), logs = components.covariances.shape[:2], slice(1, None if structure.ratios else 1)
        matrices, variances = structure.n_matrices(K), structure.n_variances(K)
        first, second = np.tril_indices(q)

        def reported(further: Array) -> Array:
            at = components.moved(components.coefficients, further)
            D, ratios = back @ at.covariances @ back.T, np.log(structure.factors(at.covariances))
            parts = D[:matrices, first, second].ravel(), ratios[logs], at.dispersion[:variances]
            return np.concatenate(parts)

        theta, scale = components.further, components.further_scale
        # Values are at most quadratic in each parameter, so these differences are exact.
        rises = [reported(theta + step) - reported(theta - step) for step in np.diag(scale)]
        slopes = (0.5 * np.array(rises) / scale[:, None]).T
        for k in range(matrices):
            component = k if structure.own or structure.ratios else "all"
            zero, singular = self.boundaries(components, k)
            if singular or zero.any():
                slopes[k * len(first) : (k + 1) * len(first)] = np.nan
            for i, j in zip(first, second, strict=True):
                term = effects[i] if i == j else f"{effects[j]}, {effects[i]}"
                names.append(("variance" if i == j else "covariance", component, term))
        names += [("log ratio of variances", k, "to the first") for k in range(K)[logs]]
        shared = structure.shared_residual
        names += [("variance", "all" if shared else k, "residual") for k in range(variances)]
        if (residuals := self.family.residuals) is None:
            return names, reported(theta), slopes
        values, size = reported(theta), len(residuals.unknowns)
        slopes = np.hstack([slopes, np.zeros((len(slopes), size))])
        if residuals.times is not None:  # in place of σ²
            before, n = len(names) - variances, residuals.n_contrasts
            parts, rows = [values[:before]], [slopes[:before]]
            del names[before:]
            for k, of_class in enumerate(residuals.of_classes):
                variance, relative = values[before + k], np.exp(of_class.log_variances)
                of_times = np.outer(relative, slopes[before + k])
                own = slice(len(theta) + k * n, len(theta) + (k + 1) * n)
                of_times[:, own] = variance * relative[:, None] * residuals.contrasts
                which = "all" if shared else k
                names += [("variance", which, f"residual at {t:g}") for t in residuals.times]
                parts.append(variance * relative)
                rows.append(of_times)
            values, slopes = np.concatenate(parts), np.vstack(rows)
        if residuals.correlation is not None:
            names.append(("correlation", "all", "residual"))
            rho, slope = residuals.correlation.reported(residuals.unknowns[-1])
            last = np.zeros((1, slopes.shape[1]))
            last[0, -1] = slope
            values, slopes = np.append(values, rho), np.vstack([slopes, last])
        return names, values, slopes


def structure_of(
    estimator: Any, design: Standardised, columns: Array, sizes: Integers
) -> tuple[ResidualStructure | None, Array | None]:
    """Return the structure of the residuals of an estimator, and time in terms of the design."""
    correlation, variance = estimator.residual_correlation, estimator.residual_variance
    by_class, by_time = variance == "free_time", variance in ("time", "free_time")
    validation.one_of("residual_correlation", correlation, (None, *CORRELATIONS))
    if not by_time and correlation is None:
        return None, None
    if estimator.residual_time is None:
        raise InvalidInputError(
            "residual_time must name the column of X with the time of each row, for "
            "residual_variance='time' or 'free_time' and residual_correlation"
        )
    place = design.place(
        estimator.residual_time, "residual_time must be one of the names or indices"
    )
    time, first = np.zeros(len(design.terms)), int(design.intercept)
    time[0], time[first + place] = design.centre[place], design.scale[place]
    units, name = np.repeat(np.arange(len(sizes)), sizes), design.names[place]
    own, n_classes = columns[:, place], estimator.n_components if by_class else 1
    structure = ResidualStructure.of(place, name, own, units, by_time, correlation, n_classes)
    return structure, time
