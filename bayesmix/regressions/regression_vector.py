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
from bayesmix.allocation.gate import SEPARATED, Gate, penalty_matrix
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import ordered_index, part_name
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.parameters import NOT_NEGATIVE, REAL, SHARE, Domain
from bayesmix.core.printed_numbers import significant
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import Rows
from bayesmix.em.run import Monitor, begin_at, run
from bayesmix.errors import UnsupportedError
from bayesmix.families.regressions import coefficient_places
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.bootstrap import MOST_PASSES
from bayesmix.posterior.free_allocation import FreeAllocation, chain_parameters
from bayesmix.posterior.gate_errors import DIFFERENCE, wald_errors
from bayesmix.posterior.parameter_errors import KINDS, bounded_intervals

if TYPE_CHECKING:
    import pandas as pd

Names = list[tuple[str, int | str, str]]
# Parts for which a test of 0 means nothing, with the domain of their values.
UNTESTED: dict[str, Domain] = {
    "share": SHARE,
    "start": SHARE,
    "transition": SHARE,
    "transition rate": NOT_NEGATIVE,
    "scale": NOT_NEGATIVE,
    "dispersion": NOT_NEGATIVE,
    "variance": NOT_NEGATIVE,
    "covariance": REAL,
    "further": REAL,
    "log ratio of variances": REAL,
}


def domains_of(parts: Iterable[str]) -> list[Domain]:
    """Return the domains of parameters by the parts of a table that they belong to."""
    return [UNTESTED.get(part, REAL) for part in parts]


class FittedRegressions(ABC):
    """Data of a fit by units; without groups, every sample is a unit."""

    weights: Array | None  # of rows
    family: Any
    design: Standardised
    gate: Standardised | None
    inflation: Standardised | None  # columns of the log odds of extra zeros
    form: Any  # an E-step that gives densities and sums
    starts: Any  # first of the rows of each unit
    chain: Any  # prior of a Markov chain, or None

    @property
    @abstractmethod
    def n_units(self) -> int: ...
    @abstractmethod
    def blocks(self) -> Iterable[Rows]:
        """Return rows in blocks that end where units end."""

    @abstractmethod
    def of_units(self, values: Array) -> Array:
        """Return sums by unit of values that belong to rows."""

    @property
    @abstractmethod
    def residual_unknowns(self) -> Array:
        """Unknown variances and correlations of residuals (m,), which come last."""

    @abstractmethod
    def at(self, unknowns: Array) -> Any:
        """Return the data at other ``residual_unknowns``."""

    @abstractmethod
    def residual_score(self, components: Any, shares: Array) -> Array:
        """Return the gradient (m,) in them, for weighted responsibilities (U, K)."""

    @abstractmethod
    def further_terms(self, mixture: Mixture) -> tuple[Names, Array, Array]:
        """Return names, values (m,) and slopes (m, size) of parameters beside coefficients."""

    @property
    def noun(self) -> str:
        """Name of a component in tables."""
        return "class"

    @property
    def independent_weights(self) -> Array:
        """Weights of independent units."""
        return self.unit_weights

    def of_independent(self, values: Array) -> Array:
        """Return sums by independent unit of values that belong to rows."""
        return self.of_units(values)

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
    """Free parameters of weights or a chain, coefficients, and then dispersions or variances."""

    data: FittedRegressions
    mixture: Mixture

    @property
    def components(self) -> Any:
        return self.mixture.components

    @cached_property
    def weights(self) -> Any:
        """The allocation; weights without covariates are a gate with intercepts alone."""
        weights: Any = self.mixture.weights
        if self.data.chain is not None or isinstance(weights, Gate):
            return weights
        shares = weights.mean()
        logs: Array = np.log(np.maximum(shares, 1e-300))
        return Gate(np.asarray(logs - logs[0])[:, None], shares, np.zeros(1))

    @cached_property
    def allocation(self) -> FreeAllocation:
        return FreeAllocation.of(self.weights, bool(getattr(self.data.chain, "stationary", False)))

    @cached_property
    def gate(self) -> Array:
        """Free coefficients of the gates, which come first; log odds of a chain have none."""
        return np.asarray(getattr(self.weights, "free", np.empty(0)))

    @cached_property
    def places(self) -> Integers:
        """Places (K, P) of coefficients among the unknowns, the shared ones first."""
        return coefficient_places(self.data.fixed, *self.components.coefficients.shape)

    @property
    def held(self) -> Integers:
        """Places of held coefficients in ``theta``."""
        held = self.data.family.held
        none = np.empty(0, dtype=int)
        return none if held is None else self.allocation.size + self.places[held.held]

    @property
    def n_located(self) -> int:
        """Number of coefficients of gate and components."""
        return self.allocation.size + int(self.places.max(initial=-1)) + 1

    @cached_property
    def theta(self) -> Array:
        """The parameters of the fit; those of the allocation are steps from there."""
        coefficients = np.empty(self.places.max(initial=-1) + 1)
        coefficients[self.places] = self.components.coefficients
        still, residual = np.zeros(self.allocation.size), self.data.residual_unknowns
        return np.concatenate([still, coefficients, self.components.further, residual])

    @cached_property
    def residual(self) -> slice:
        """Places of the unknowns of residuals, which come last."""
        return slice(len(self.theta) - len(self.data.residual_unknowns), None)

    @cached_property
    def scale(self) -> Array:
        """Scale of each parameter: residual standard deviations for normal coefficients."""
        components, scale = self.components, np.ones(len(self.theta))
        if components.response.gaussian:
            scale[self.allocation.size + self.places] = np.sqrt(components.dispersion)[:, None]
        scale[self.n_located : self.residual.start] = components.further_scale
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
        own, diagonal = slice(self.allocation.size), information.diagonal()
        # Variances and dispersions at their boundary are not at a maximum, and are fixed there.
        bounded = self.n_located + np.flatnonzero(diagonal[self.n_located :] <= 0.0)
        if isinstance(self.weights, Gate):
            K = self.mixture.n_components
            information[own, own] += penalty_matrix(K, self.weights.precisions)
        else:  # probabilities of a chain that are 0
            low = np.flatnonzero(diagonal[own] < SEPARATED * self.data.n_samples)
            bounded = np.append(low, bounded)
        bounded = np.append(self.held, bounded)
        information[bounded] = information[:, bounded] = 0.0
        return information

    def moved(self, theta: Array) -> Any:
        """Return the components at parameters."""
        coefficients = theta[self.allocation.size :][self.places]
        return self.components.moved(coefficients, theta[self.n_located : self.residual.start])

    def _allocated(self, theta: Array, rows: Rows) -> tuple[Any, Array, Any, Array]:
        """Return the function of sums, responsibilities (n, K), the allocation and its score."""
        size = self.allocation.size
        components = self.moved(theta)
        weights = self.allocation.moved(theta[:size])
        joint, sums = self.data.form.densities(components, rows.values)
        if rows.side.covariates is None and isinstance(weights, Gate):
            side = replace(rows.side, covariates=np.ones((len(joint), 1)))
            rows = replace(rows, side=side)
        allocated = weights.allocate(joint, rows)
        return sums, joint, allocated, self.allocation.score(weights, allocated.statistics)

    @property
    def variances(self) -> slice:
        """Places of residual variances, the last of ``further`` of components that have them."""
        structure = self.data.family.covariance
        n = structure.n_variances(len(self.components.dispersion))
        return slice(self.residual.start - n, self.residual.start)

    def score(self, theta: Array) -> Array:
        """Return the gradient of the log likelihood."""
        return self.log_likelihood_and_score(theta)[1]

    def log_likelihood_and_score(self, theta: Array) -> tuple[float, Array]:
        """Return the log likelihood and its gradient."""
        value, total = 0.0, np.zeros(len(theta))
        coefficients, further = np.split(
            total[self.allocation.size : self.residual.start],
            [self.n_located - self.allocation.size],
        )
        data, parts = self.data.at(theta[self.residual]), list[Array]()
        for rows in data.blocks():
            sums, joint, allocated, score = self._allocated(theta, rows)
            value += float(allocated.log_normaliser @ rows.weights_or_ones)
            parts.append(joint * rows.weights_or_ones[:, None])
            statistics = sums(parts[-1])
            total[: self.allocation.size] += score
            np.add.at(coefficients, self.places, statistics.score)
            further += statistics.further_score
        if len(total[self.residual]):
            moved = self.moved(theta)
            total[self.residual] = data.residual_score(moved, np.concatenate(parts))
        return value, total

    def unit_scores(self) -> Array:
        """Return gradients (U, size) of log densities of units in units of ``scale``.

        With a chain units are sequences.
        """
        out = []
        for step in np.diag(DIFFERENCE * self.scale):
            ends = [
                np.concatenate([
                    self.data.of_independent(self._allocated(theta, rows)[2].log_normaliser)
                    for rows in self.data.at(theta[self.residual]).blocks()
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
        back[:, self.held] = 0.0
        errors = wald_errors(self.information, back, self.data.n_samples)
        errors[errors == 0.0] = np.nan  # probabilities of 0 and 1
        if not robust:
            return errors
        weights = self.data.independent_weights
        if len(weights) == 1:
            raise UnsupportedError(
                "sandwich standard errors need two sequences or more, got one: use those of the "
                "information"
            )
        scores = self.unit_scores() * (weights if sampling else np.sqrt(weights))[:, None]
        inverse = np.linalg.pinv(self.information, rcond=1e-12, hermitian=True)
        sandwich = np.sqrt(((scores @ inverse @ back.T) ** 2).sum(axis=0))
        return np.where(np.isnan(errors), np.nan, sandwich)

    def curve_errors(self, rows: Array) -> Array:
        """Return standard errors (T, K) of linear predictors of the means at rows."""
        errors, gradients = [], self.components.gradients(rows)
        for k, own in enumerate(self.places):
            back = np.zeros((len(rows), len(self.theta)))
            back[:, self.allocation.size + own] = gradients[:, k]
            errors.append(self.errors(back))
        return np.stack(errors, axis=1)

    @property
    def _gates(self) -> tuple[Names, Array, Array]:
        """Names, values and slopes of the coefficients of gates, as ``reported``."""
        design, back = self.data.gate, np.zeros((self.gate.size, len(self.theta)))
        if design is None:
            return [], np.empty(0), back[:0]
        names: Names = []
        first = 0
        for (*before, k), places in zip(
            self.weights.free_rows, self.weights.free_terms, strict=True
        ):
            own, last = design.restricted(places), first + len(places)
            # Of a chain the state before comes first; none for first states alone.
            state, to = (before[0], f"to {k + 1}: ") if before else (k, "")
            names += [("gate", state, f"{to}{term}") for term in own.terms]
            back[first:last, first:last] = own.back
            first = last
        # Those of first states last, as levels are in the order of the table, which has states.
        order = np.argsort([name[1] == "first" for name in names], kind="stable")
        back = back[order]
        return [names[place] for place in order], back[:, :first] @ self.gate, back

    @property
    def reported(self) -> tuple[Names, Array, Array]:
        """Names and values (m,) of parameters in data units, and slopes (m, size) in unknowns."""
        data, size = self.data, len(self.theta)
        names: Names = []
        rows: list[Array] = []

        def add(part: str, design: Any, places: Integers, shared: set[int]) -> None:
            for k, own in enumerate(places):
                for p, (term, row) in enumerate(zip(design.terms, design.back, strict=True)):
                    if (k and p in shared) or own[p] in held:
                        continue
                    names.append((part, "all" if p in shared else k, term))
                    rows.append(np.zeros(size))
                    rows[-1][own] = row

        shared, terms = set(data.fixed.tolist()), len(data.design.terms)
        held = set(self.held.tolist())
        places = self.allocation.size + self.places
        add("coefficient", data.design, places[:, :terms], shared)
        if data.inflation is not None:
            beyond = {p - terms for p in shared}
            add(self.components.response.part, data.inflation, places[:, terms:], beyond)
        further, values, slopes = data.further_terms(self.mixture)
        back = np.zeros((len(rows) + len(further), size))
        back[: len(rows)] = np.reshape(rows, (-1, size))
        back[len(rows) :, self.n_located :] = slopes
        of_gates, gates, back_of_gates = self._gates
        return (
            of_gates + names + further,
            np.concatenate([gates, back[: len(rows)] @ self.theta, values]),
            np.concatenate([back_of_gates, back]),
        )

    @property
    def _shares(self) -> tuple[Names, Array, Array]:
        """Names, values and slopes of shares, or of the probabilities of a chain."""
        K, size = self.mixture.n_components, len(self.theta)
        if K == 1 or (self.data.gate is not None and self.data.chain is None):
            return [], np.empty(0), np.empty((0, size))
        if self.data.chain is None:
            shares = self.mixture.weights.mean()
            slope = np.zeros((K, size))
            slope[:, : K - 1] = (np.diag(shares) - np.outer(shares, shares))[:, 1:]
            return [("share", k, "") for k in range(K)], shares, slope
        (rows,) = self.data.blocks()
        smoothed = self.mixture.responsibilities(rows)[0]

        def vector(step: Array) -> Array:
            table = chain_parameters(self.allocation.moved(step), rows.side, smoothed)
            return np.concatenate([own.values for own in table])

        names: Names = [("start", k, "") for k in range(K)]
        parts = ["transition"] if rows.side.elapsed is None else ["transition", "transition rate"]
        names += [(part, j, f"to {k + 1}") for part in parts for j in range(K) for k in range(K)]
        slope = np.zeros((len(names), size))
        for place, step in enumerate(DIFFERENCE * np.eye(self.allocation.size)):
            slope[:, place] = (vector(step) - vector(-step)) / (2.0 * DIFFERENCE)
        return names, vector(np.zeros(self.allocation.size)), slope

    @property
    def all_parameters(self) -> tuple[Names, Array, Array]:
        """As ``reported``, with the shares of the classes and scales or dispersions."""
        names, located, back = self.reported
        components = self.components
        further: Names = []
        shares = self._shares
        values, slopes = [shares[1], located], [shares[2], back]
        response = components.response
        if response.dispersed and not self.data.further_terms(self.mixture)[0]:
            spread, shared = components.dispersion, components.shared_dispersion
            spread = spread[:1] if shared else spread
            slope = np.zeros((len(spread), len(self.theta)))
            rate = 1.0  # of the logarithm of what is shown by that of the dispersion
            if response.spread == "scale":
                spread, rate = np.sqrt(spread), 0.5
            slope[:, self.n_located :] = rate * np.diag(spread)
            further = [(response.spread, "all" if shared else k, "") for k in range(len(spread))]
            values, slopes = [*values, spread], [*slopes, slope]
        return shares[0] + names + further, np.concatenate(values), np.concatenate(slopes)


def regression_table(
    data: Any, mixture: Mixture, kind: str, level: float, n_draws: int, random_state: Any
) -> pd.DataFrame:
    """Return estimates, standard errors and intervals by parameter, column and class.

    Bootstrap: refits to random weights of the units, from the fit.
    """
    validation.one_of("standard_errors", kind, KINDS)
    level, vector = checked_level(level), ParameterVector(data, mixture)
    names, estimates, back = vector.all_parameters
    if kind == "bootstrap" and len(data.residual_unknowns):
        raise UnsupportedError(
            "the bootstrap does not support variances by time and correlations of residuals: use "
            "standard_errors='information' or 'sandwich'"
        )
    if kind == "bootstrap" and data.chain is not None:
        raise UnsupportedError(
            "the bootstrap does not support sequences of regressions: use "
            "standard_errors='information', or 'sandwich' with two sequences or more"
        )
    with single_threaded_blas():
        if kind == "bootstrap":
            n_draws = validation.integer("n_draws", n_draws, 2)
            draws = [_refit(data, mixture, root_seed(random_state), one) for one in range(n_draws)]
            errors = np.std(
                [ParameterVector(data, own).all_parameters[1] for own in draws], 0, ddof=1
            )
        else:
            errors = vector.errors(back, kind == "sandwich")
    rows = [(part, term, part_name(data.noun, k)) for part, k, term in names]
    index = ordered_index(rows, ["parameter", "column", data.noun])
    domains = domains_of(part for part, *_ in names)
    return bounded_intervals(index, estimates, errors, float(ndtri(0.5 + 0.5 * level)), domains)


def coefficient_table(
    data: Any, mixture: Mixture, q: Any, level: float, robust: bool, sampling: bool
) -> pd.DataFrame:
    """Return estimates, standard errors, intervals and tests by part, class and term.

    With ``q`` of a variational fit, coefficients and scales are those of their posterior.
    """
    vector, quantile = ParameterVector(data, mixture), float(ndtri(0.5 + 0.5 * level))
    names, estimates, back = vector.all_parameters
    errors = vector.errors(back, robust, sampling)
    rows = [(part, part_name(data.noun, k), term) for part, k, term in names]
    index = ordered_index(rows, ["part", data.noun, "term"])
    domains = domains_of(part for part, *_ in names)
    table = bounded_intervals(index, estimates, errors, quantile, domains)
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
    shown = table.apply(lambda column: column.map(texts[column.name], na_action="ignore"))
    return shown.astype(object).fillna("")


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
