"""Parameters of a mixture of regressions as a vector, their information and their table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from bayesmix.allocation.designs import Standardised
from bayesmix.allocation.gate import Gate, penalty_matrix
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import ordered_index, part_name
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.printed_numbers import significant
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import Rows
from bayesmix.em.run import Monitor, begin_at, run
from bayesmix.families.regressions import coefficient_places
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.bootstrap import MOST_PASSES
from bayesmix.posterior.gate_errors import DIFFERENCE, wald_errors
from bayesmix.posterior.parameter_errors import KINDS, bounded_intervals

if TYPE_CHECKING:
    import pandas as pd

Names = list[tuple[str, int | str, str]]
# Parts for which a test of 0 means nothing.
UNTESTED = ("share", "scale", "dispersion", "variance", "covariance", "log ratio of variances")


class FittedRegressions(ABC):
    """Data of a fit by units; without groups, every sample is a unit."""

    weights: Array | None  # of rows
    family: Any
    design: Standardised
    gate: Standardised | None
    inflation: Standardised | None  # columns of the log odds of extra zeros
    form: Any  # an E-step that gives densities and sums
    starts: Any  # first of the rows of each unit

    @property
    @abstractmethod
    def n_units(self) -> int: ...
    @abstractmethod
    def blocks(self) -> Iterable[Rows]:
        """Return rows in blocks that end where units end."""

    @abstractmethod
    def of_units(self, values: Array) -> Array:
        """Return sums by unit of values that belong to rows."""

    @abstractmethod
    def further_terms(self, mixture: Mixture) -> tuple[Names, Array, Array]:
        """Return names, values (m,) and slopes (m, size) of parameters beside coefficients."""

    @property
    def fixed(self) -> Integers:
        """Columns of the design with the same coefficient in all components."""
        return np.asarray(self.family.fixed)

    @property
    def unit_weights(self) -> Array:
        return np.ones(self.n_units) if self.weights is None else self.weights[self.starts]

    @property
    def n_samples(self) -> float:
        """Number of units, which counts in BIC."""
        return float(self.unit_weights.sum())


@dataclass(frozen=True)
class ParameterVector:
    """Gate or log odds of weights, coefficients, and then dispersions or variances."""

    data: FittedRegressions
    mixture: Mixture

    @property
    def components(self) -> Any:
        return self.mixture.components

    @cached_property
    def gate(self) -> Array:
        """Coefficients (K - 1, P) of the gate, an intercept alone without one."""
        weights: Any = self.mixture.weights
        if isinstance(weights, Gate):
            return weights.coefficients[1:]
        logs: Array = np.log(np.maximum(weights.mean(), 1e-300))
        return np.asarray(logs - logs[0])[1:, None]

    @property
    def precisions(self) -> Array:
        """Prior precisions (P,) of the gate, 0 for maximum likelihood."""
        return np.asarray(getattr(self.mixture.weights, "precisions", np.zeros(self.gate.shape[1])))

    @cached_property
    def places(self) -> Integers:
        """Places (K, P) of coefficients among the unknowns, the shared ones first."""
        return coefficient_places(self.data.fixed, *self.components.coefficients.shape)

    @property
    def n_located(self) -> int:
        """Number of coefficients of gate and components."""
        return self.gate.size + int(self.places.max()) + 1

    @cached_property
    def theta(self) -> Array:
        """The parameters of the fit."""
        coefficients = np.empty(self.places.max() + 1)
        coefficients[self.places] = self.components.coefficients
        return np.concatenate([self.gate.ravel(), coefficients, self.components.further])

    @cached_property
    def scale(self) -> Array:
        """Scale of each parameter: residual standard deviations for normal coefficients."""
        components, scale = self.components, np.ones(len(self.theta))
        if components.response.gaussian:
            scale[self.gate.size + self.places] = np.sqrt(components.dispersion)[:, None]
        scale[self.n_located :] = components.further_scale
        return scale

    @cached_property
    def information(self) -> Array:
        """Observed information in units of ``scale``, by differences of the exact score."""
        size, scale = len(self.theta), self.scale
        hessian = np.empty((size, size))
        for place, step in enumerate(np.diag(DIFFERENCE * scale)):
            rise = self.score(self.theta + step) - self.score(self.theta - step)
            hessian[place] = rise * scale / (2.0 * DIFFERENCE)
        information = -0.5 * (hessian + hessian.T)
        gate, K = slice(self.gate.size), self.mixture.n_components
        information[gate, gate] += penalty_matrix(K, self.precisions)
        # Variances and dispersions at their boundary are not at a maximum, and are fixed there.
        bounded = self.n_located + np.flatnonzero(information.diagonal()[self.n_located :] <= 0.0)
        information[bounded] = information[:, bounded] = 0.0
        return information

    def _allocated(self, theta: Array, rows: Rows) -> tuple[Any, Array, Any]:
        """Return the function of sums, responsibilities (n, K) and the allocation at parameters."""
        gate = theta[: self.gate.size].reshape(self.gate.shape)
        coefficients = theta[gate.size :][self.places]
        components = self.components.moved(coefficients, theta[self.n_located :])
        whole = np.concatenate([np.zeros_like(gate, shape=(1, self.gate.shape[1])), gate])
        allocation = Gate(whole, np.full(len(whole), 1.0 / len(whole)), self.precisions)
        joint, sums = self.data.form.densities(components, rows.values)
        if rows.side.covariates is None:
            side = replace(rows.side, covariates=np.ones((len(joint), 1)))
            rows = replace(rows, side=side)
        return sums, joint, allocation.allocate(joint, rows)

    def score(self, theta: Array) -> Array:
        """Return the gradient of the log likelihood."""
        total = np.zeros(len(theta))
        coefficients = total[self.gate.size : self.n_located]
        for rows in self.data.blocks():
            sums, joint, allocated = self._allocated(theta, rows)
            statistics = sums(joint * rows.weights_or_ones[:, None])
            total[: self.gate.size] += allocated.statistics.gradient[1:].ravel()
            np.add.at(coefficients, self.places, statistics.score)
            total[self.n_located :] += statistics.further_score
        return total

    def unit_scores(self) -> Array:
        """Return gradients (U, size) of log densities of units in units of ``scale``."""
        out = []
        for step in np.diag(DIFFERENCE * self.scale):
            ends = [
                np.concatenate([
                    self.data.of_units(self._allocated(theta, rows)[2].log_normaliser)
                    for rows in self.data.blocks()
                ])
                for theta in (self.theta + step, self.theta - step)
            ]  # fmt: skip
            out.append((ends[0] - ends[1]) / (2.0 * DIFFERENCE))
        return np.stack(out, axis=1)

    def errors(self, back: Array, robust: bool = False, sampling: bool = False) -> Array:
        """Return standard errors of linear combinations ``back`` of the parameters.

        ``robust`` ones are those of the sandwich with the scores of units (White 1982); weights
        are numbers of units, or with ``sampling`` inverse probabilities of one unit.
        """
        back = back * self.scale
        errors = wald_errors(self.information, back, self.data.n_samples)
        if not robust:
            return errors
        weights = self.data.unit_weights
        scores = self.unit_scores() * (weights if sampling else np.sqrt(weights))[:, None]
        inverse = np.linalg.pinv(self.information, rcond=1e-12, hermitian=True)
        sandwich = np.sqrt(((scores @ inverse @ back.T) ** 2).sum(axis=0))
        return np.where(np.isnan(errors), np.nan, sandwich)

    def curve_errors(self, rows: Array) -> Array:
        """Return standard errors (T, K) of linear predictors of the means at rows."""
        errors, gradients = [], self.components.gradients(rows)
        for k, own in enumerate(self.places):
            back = np.zeros((len(rows), len(self.theta)))
            back[:, self.gate.size + own] = gradients[:, k]
            errors.append(self.errors(back))
        return np.stack(errors, axis=1)

    @property
    def reported(self) -> tuple[Names, Array, Array]:
        """Names and values (m,) of parameters in data units, and slopes (m, size) in unknowns."""
        data, size = self.data, len(self.theta)
        names: Names = []
        rows: list[Array] = []

        def add(part: str, design: Any, places: Integers, first: int, shared: set[int]) -> None:
            for k, own in enumerate(places, first):
                for p, (term, row) in enumerate(zip(design.terms, design.back, strict=True)):
                    if k and p in shared:
                        continue
                    names.append((part, "all" if p in shared else k, term))
                    rows.append(np.zeros(size))
                    rows[-1][own] = row

        if data.gate is not None:
            add("gate", data.gate, np.arange(self.gate.size).reshape(self.gate.shape), 1, set())
        shared, terms = set(data.fixed.tolist()), len(data.design.terms)
        places = self.gate.size + self.places
        add("coefficient", data.design, places[:, :terms], 0, shared)
        if data.inflation is not None:
            beyond = {p - terms for p in shared}
            add(self.components.response.part, data.inflation, places[:, terms:], 0, beyond)
        further, values, slopes = data.further_terms(self.mixture)
        back = np.zeros((len(rows) + len(further), size))
        back[: len(rows)] = rows
        back[len(rows) :, self.n_located :] = slopes
        return names + further, np.append(back[: len(rows)] @ self.theta, values), back

    @property
    def all_parameters(self) -> tuple[Names, Array, Array]:
        """As ``reported``, with the shares of the classes and scales or dispersions."""
        names, located, back = self.reported
        components, K = self.components, self.mixture.n_components
        further: Names = []
        values, slopes = [located], [back]
        if self.data.gate is None and K > 1:
            shares = self.mixture.weights.mean()
            slope = np.zeros((K, len(self.theta)))
            slope[:, : K - 1] = (np.diag(shares) - np.outer(shares, shares))[:, 1:]
            names = [("share", k, "") for k in range(K)] + names
            values, slopes = [shares, *values], [slope, *slopes]
        response = components.response
        if response.dispersed and not self.data.further_terms(self.mixture)[0]:
            spread, slope = components.dispersion, np.zeros((K, len(self.theta)))
            rate = 1.0  # of the logarithm of what is shown by that of the dispersion
            if response.spread == "scale":
                spread, rate = np.sqrt(spread), 0.5
            slope[:, self.n_located :] = rate * np.diag(spread)
            further = [(response.spread, k, "") for k in range(K)]
            values, slopes = [*values, spread], [*slopes, slope]
        return names + further, np.concatenate(values), np.concatenate(slopes)


def regression_table(
    data: Any, mixture: Mixture, kind: str, level: float, n_draws: int, random_state: Any
) -> pd.DataFrame:
    """Return estimates, standard errors and intervals by parameter, column and class.

    Bootstrap: refits to random weights of the units, from the fit.
    """
    validation.one_of("standard_errors", kind, KINDS)
    level, vector = checked_level(level), ParameterVector(data, mixture)
    names, estimates, back = vector.all_parameters
    with single_threaded_blas():
        if kind == "bootstrap":
            n_draws = validation.integer("n_draws", n_draws, 2)
            draws = [_refit(data, mixture, root_seed(random_state), one) for one in range(n_draws)]
            errors = np.std(
                [ParameterVector(data, own).all_parameters[1] for own in draws], 0, ddof=1
            )
        else:
            errors = vector.errors(back, kind == "sandwich")
    rows = [(part, term, part_name("class", k)) for part, k, term in names]
    index = ordered_index(rows, ["parameter", "column", "class"])
    return bounded_intervals(index, estimates, errors, float(ndtri(0.5 + 0.5 * level)))


def coefficient_table(
    data: Any, mixture: Mixture, q: Any, level: float, robust: bool, sampling: bool
) -> pd.DataFrame:
    """Return estimates, standard errors, intervals and tests by part, class and term.

    With ``q`` of a variational fit, coefficients and scales are those of their posterior.
    """
    vector, quantile = ParameterVector(data, mixture), float(ndtri(0.5 + 0.5 * level))
    names, estimates, back = vector.all_parameters
    errors = vector.errors(back, robust, sampling)
    rows = [(part, part_name("class", k), term) for part, k, term in names]
    table = bounded_intervals(
        ordered_index(rows, ["part", "class", "term"]), estimates, errors, quantile
    )
    parts = table.index.get_level_values("part")
    if q is not None:
        table[parts == "coefficient"] = np.transpose(data.credible(q, level))
        table[parts == "scale"] = np.transpose(q.scales(level))
        return table
    z = (table["estimate"] / table["standard_error"]).where(~parts.isin(UNTESTED))
    return table.assign(z=z, p=2.0 * ndtr(-z.abs()))


def printed_coefficients(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of coefficients as text."""
    texts = dict.fromkeys(table.columns, significant) | {"p": printed_p}
    return table.apply(lambda column: column.map(texts[column.name], na_action="ignore")).fillna("")


def printed_p(p: float) -> str:
    """Return a p-value with three decimals."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _refit(data: Any, mixture: Mixture, seed: int, number: int) -> Mixture:
    """Return the optimum nearest to a fit for random weights of the units."""
    problem = data.problem()
    factors = stream(seed, Purpose.RESAMPLE, number).standard_exponential(data.n_units)
    factors /= factors.mean()
    rows = problem.source.shape[0]
    by_row = factors if rows == data.n_units else factors[data.units]
    problem = replace(problem, source=problem.source.reweighted(by_row))
    state = run(problem, begin_at(problem, mixture), Monitor(), MOST_PASSES)
    if state.status == "interrupted":
        raise KeyboardInterrupt
    return state.current_mixture()
