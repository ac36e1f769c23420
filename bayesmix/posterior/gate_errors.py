"""Standard errors of the coefficients of a gate from the observed information of all parameters.

The other parameters θ follow the gate's coefficients γ: EM's statistics s satisfy s = G(s, γ), so
ds/dγ = (I - ∂G/∂s)⁻¹ ∂G/∂γ, and minus the derivative of the score of γ along the way is the Schur
complement of the information (Louis 1982; Oakes 1999; Murphy & van der Vaart 2000). This holds for
any family, and parameters at their boundary stay there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import block_diag
from scipy.sparse.linalg import LinearOperator, gmres
from scipy.special import ndtri

from bayesmix.allocation.gate import SEPARATED
from bayesmix.core import validation
from bayesmix.core.mixture import Expectation
from bayesmix.core.nouns import ordered_index, part_name, part_names
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.sources import Source
from bayesmix.em.expectation import Form
from bayesmix.em.model import Model, first_form
from bayesmix.em.result import FitResult
from bayesmix.em.run import e_step
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.subject import rows_of_fit
from bayesmix.sources.survey_weights import weighted

if TYPE_CHECKING:
    import pandas as pd

# Step of central differences, in shares of the data and in coefficients.
DIFFERENCE = 1e-5
SOLVED = 1e-5  # relative residual of the linear equations
MOST_STEPS = 200  # of their solution
# Eigenvalue of the information per sample below which differences are rounding.
ROUNDING = 1e-11


# Against which state log odds of transitions are.
REFERENCES = ("first", "staying")


@dataclass(frozen=True)
class PassDerivatives:
    """Derivatives of a pass of EM at a fit."""

    result: FitResult
    source: Source
    form: Form
    at: Expectation

    def moved(self, statistics: Array, coefficients: Array) -> tuple[Array, Array]:
        """Return scaled statistics and the score of the gate after an M-step and an E-step."""
        gate: Any = self.result.mixture.weights
        units, size = self.units, len(statistics)
        free = gate.free + coefficients
        vector = np.append(self.at.pack()[:size] + statistics / units, free)
        result, frame = self.result, self.result.mixture.frame
        expectation = self.at.unpacked(vector)
        resolution: Any = result.resolution
        mixture = result.inference.update(expectation, result.mixture, frame, resolution)
        after, _ = e_step(self.source, mixture, self.form)
        sums: Any = after.allocation
        return units * after.pack()[:size], sums.penalised[0]

    @property
    def units(self) -> Array:
        """Units of all statistics but the coefficients, which are last."""
        sums: Any = self.at.allocation
        units = self.at.units()
        return units[: len(units) - len(sums.penalised[0])]

    def along(self, statistics: Array, coefficients: Array) -> tuple[Array, Array]:
        """Return the derivatives of both along a direction."""
        largest = max(np.abs(statistics).max(), np.abs(coefficients).max())
        if largest == 0.0:
            return np.zeros_like(statistics), np.zeros_like(coefficients)
        step = DIFFERENCE / largest
        up = self.moved(step * statistics, step * coefficients)
        down = self.moved(-step * statistics, -step * coefficients)
        return (up[0] - down[0]) / (2.0 * step), (up[1] - down[1]) / (2.0 * step)

    def information(self) -> Array:
        """Return the information of the gate, with all other parameters free."""
        sums: Any = self.at.allocation
        n_statistics, n_coefficients = len(self.units), len(sums.penalised[0])
        still = np.zeros(n_coefficients)
        remaining = LinearOperator(
            (n_statistics, n_statistics),
            lambda v: v.ravel() - self.along(v.ravel(), still)[0],
            dtype=np.float64,
        )
        rows, most = np.empty((n_coefficients, n_coefficients)), min(n_statistics, MOST_STEPS)
        for place, direction in enumerate(np.eye(n_coefficients)):
            pushed, _ = self.along(np.zeros(n_statistics), direction)
            follow, _ = gmres(remaining, pushed, rtol=SOLVED, restart=most, maxiter=1)
            rows[place] = -self.along(follow, direction)[1]
        return 0.5 * (rows + rows.T)


def gate_coefficients(
    estimator: Any,
    X: Any,
    level: float = 0.95,
    sample_weight: Any = None,
    weight_type: str | None = None,
    reference: str = "first",
) -> pd.DataFrame:
    """Return coefficients of the gate with standard errors and Wald intervals.

    ``X`` are the data of the fit. Standard errors are NaN where the information is singular, and
    after separation a warning names the covariate. With sampling weights they are those of the
    sandwich. By ``reference`` "staying" log odds of transitions are against staying.
    """
    result: FitResult = estimator._fitted()
    if weight_type is not None:
        X, sample_weight = weighted(X, sample_weight, weight_type)
    design = result.side.design
    if design is None:
        raise InvalidInputError(
            "gate_coefficients needs a fit with covariates: fit(X, covariates=)"
        )
    level = checked_level(level)
    gate: Any = result.mixture.weights
    designs = [design.restricted(places) for places in gate.free_terms]
    back: Array = np.asarray(block_diag(*(own.back for own in designs)), np.float64)
    noun, free = result.class_noun, zip(gate.free_rows, designs, strict=True)
    parts = [([part_name(noun, number) for number in row], own.terms) for row, own in free]
    rows = [(*names, term) for names, terms in parts for term in terms]
    if validation.one_of("reference", reference, REFERENCES) == "staying":
        against, rows = _against_staying(gate, rows)
        back = against @ back
    if weight_type == "sampling":
        from bayesmix.posterior.parameter_errors import scores_of

        own = slice(gate.free.size)
        with single_threaded_blas():
            covariance = scores_of(estimator, X, sample_weight).covariance("sandwich")[own, own]
        errors = np.sqrt(np.einsum("ip,pq,iq->i", back, covariance, back))
        errors[errors == 0.0] = np.nan  # at a boundary
    else:
        sequences: Any = {} if result.side.ordered else None
        source: Any = rows_of_fit(
            estimator,
            X,
            sample_weight,
            gaps=True,
            covariates=True,
            sequences=sequences,
            weighted_sequences=True,
        )
        model = Model(result.n_components, result.family, result.inference)
        form = first_form(model, source, result.mixture.frame, result.seed).surer
        with single_threaded_blas():
            information = _of_chain(result, source, back.shape[1])
            if information is None:
                at, _ = e_step(source, result.mixture, form)
                information = PassDerivatives(result, source, form, at).information()
        errors = wald_errors(information, back, source.total_weight)
    for event in result.events:
        if event.kind == "separated":
            warn(event.in_words(result.noun), BayesmixWarning)
    estimates = back @ gate.free
    index = ordered_index(rows, [*gate.free_names[:-1], noun, "term"])
    return interval_table(index, estimates, errors, float(ndtri(0.5 + 0.5 * level)) * errors)


def _against_staying(gate: Any, rows: list[Any]) -> tuple[Array, list[Any]]:
    """Return contrasts of the coefficients of transitions with those of staying, and their rows.

    ``rows`` have state before, state and term. Coefficients of state 1 are 0.
    """
    if gate.free_names[0] != "from" or hasattr(gate, "log_rates"):
        raise InvalidInputError(
            "reference='staying' needs transitions that depend on covariates, in discrete time: "
            "set covariate_effects"
        )
    places = {row: place for place, row in enumerate(rows)}
    contrasts, names, states = [], [], part_names("state", gate.n_components)
    for before in dict.fromkeys(row[0] for row in rows):
        stays = before if before in states else states[0]  # first states are against state 1
        terms = dict.fromkeys(row[2] for row in rows if row[0] == before)
        for state, term in product(states, terms):
            if state == stays:
                continue
            contrast = np.zeros(len(rows))
            for of_state, sign in ((state, 1.0), (stays, -1.0)):
                if (before, of_state, term) in places:
                    contrast[places[before, of_state, term]] = sign
            contrasts.append(contrast)
            names.append((before, state, term))
    return np.array(contrasts), names


def _of_chain(result: FitResult, source: Source, n_coefficients: int) -> Array | None:
    """Return the information of the gates of a chain, with all other parameters free.

    None if its parameters are not all free, or not declared.
    """
    from bayesmix.posterior.chain_scores import ChainScores, has_chain_scores

    likelihood = result.inference.name == "maximum_likelihood"
    if not (likelihood and has_chain_scores(result)) or result.inference.restriction is not None:
        return None
    scores = ChainScores(result, source.in_memory())
    if scores.undeclared is not None:
        return None
    whole, own = scores.information, np.arange(len(scores.information)) < n_coefficients
    others = ~own & scores.inside
    between = whole[np.ix_(others, own)]
    follow = np.linalg.pinv(whole[np.ix_(others, others)], hermitian=True) @ between
    return np.asarray(whole[np.ix_(own, own)] - between.T @ follow)


def wald_errors(information: Array, back: Array, n: float) -> Array:
    """Return standard errors of linear combinations ``back`` of parameters on a common scale.

    They are NaN for combinations whose likelihood is flat, and where it has no maximum at all.
    """
    values, vectors = np.linalg.eigh(information)
    if not len(values) or values[0] < -SEPARATED * n:
        return np.full(len(back), np.nan)
    roots = (back @ vectors) / np.sqrt(np.maximum(values, ROUNDING * n))
    variances: Array = (roots**2).sum(axis=1)
    flat = variances * SEPARATED * n > (back**2).sum(axis=1)
    return np.where(flat, np.nan, np.sqrt(variances))


def interval_table(
    index: Any, estimates: Array, errors: Array, half: Array, name: str = "estimate"
) -> pd.DataFrame:
    """Return estimates with standard errors, and intervals of a half width."""
    import pandas as pd

    lower, upper = estimates - half, estimates + half
    columns = {name: estimates, "standard_error": errors, "lower": lower, "upper": upper}
    return pd.DataFrame(columns, index=index)
