"""Data of a fit of regressions from checked tables: designs, weights, units and their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.allocation.designs import Standardised, columns_of, row_label
from bayesmix.core import validation
from bayesmix.em.model import MaximumLikelihood
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.inputs.constraints import group_codes, unequal
from bayesmix.estimators.inputs.sample_weights import row_weights
from bayesmix.estimators.regression import regression_data
from bayesmix.estimators.regression.random_effect_data import COVARIANCES, RandomEffectData
from bayesmix.estimators.regression.regression_columns import arranged, configured, shared_places
from bayesmix.estimators.regression.regression_data import Data
from bayesmix.families.regressions import RegressionFamily
from bayesmix.numerics.arrays import Array

# Smallest standard deviation of a residual, in that of the response.
RELATIVE_FLOOR = 1e-4


def training_data(
    estimator: Any,
    response: Any,
    X: Array,
    y: Array,
    names: tuple[str, ...],
    *,
    given: Any,
    gate: Any,
    groups: Any,
    offset: Any,
    trials: Any,
    weight: Any,
) -> Data | RandomEffectData:
    """Return the data of a fit of an estimator, ordered by unit.

    ``given`` is the response as it came, whose index names rows.
    """
    n, bayes = len(y), None
    intercept = validation.flag("fit_intercept", estimator.fit_intercept)
    design = Standardised.of("X", X, names, intercept)
    if trials is not None and response.name != "binomial":
        raise InvalidInputError("trials need response='binomial': leave them out")
    trials = regression_data.trial_numbers(trials, n)
    offset = regression_data.offsets(offset, n)
    response, inflation = configured(estimator, response, y, X, design)
    regression_data.check_response(response, y, trials, given)
    places, floor = shared_places(estimator.fixed, design), 0.0
    if inflation is not None and response.name == "ordinal":
        # All components share the coefficients of levels.
        places = np.append(places, len(design.terms) + np.arange(len(inflation.names)))
    if response.gaussian:
        floor = max((RELATIVE_FLOOR * float(y.std())) ** 2, 1e-300)
    weights: Any = None if weight is None else row_weights(weight, n)
    of_bayes = not isinstance(estimator.inference, MaximumLikelihood | None)
    units: Any = None if groups is None else group_codes(groups, n, n)
    firsts = np.arange(n) if units is None else regression_data.first_rows(units)
    covariates: Any = None
    gate_design, labels = None, tuple[str | float, ...]()
    if gate is not None:
        argument = getattr(gate, "attrs", {}).get("argument", "gate")
        table, gate_names = columns_of(argument, gate, n)
        gate_design = Standardised.of(argument, table, gate_names, True)
        covariates = gate_design.apply(table)
    if units is not None:
        if weights is not None and (weights != weights[firsts][units]).any():
            place = int(np.argmax(weights != weights[firsts][units]))
            raise InvalidInputError(
                "sample_weight must be equal within a unit, but differs in row "
                f"{row_label(given, place)}: use one value for each unit"
            )
        if gate_design is not None and (
            found := unequal(gate_design.terms, covariates, firsts[units])
        ):
            raise InvalidInputError(
                f"{argument} must be equal within a unit, but column {found[0]!r} differs in row "
                f"{row_label(gate, found[1])}: use one value for each unit, such as its mean"
            )
        y, offset, trials, X = regression_data.ordered(units, y, offset, trials, X)
        labels = tuple(each if isinstance(each, int | float) else str(each)
                       for each in np.asarray(groups)[firsts].tolist())  # fmt: skip
    if estimator.random is not None:
        check_random(estimator, of_bayes, units is not None)
        weights, covariates = (
            None if each is None else each[firsts] for each in (weights, covariates)
        )
        return RandomEffectData.of(
            estimator, y, offset, X, np.bincount(units), design, places, floor, weights=weights,
            covariates=covariates, gate=gate_design, labels=labels,
        )  # fmt: skip
    family = RegressionFamily(response, places, floor)
    values = arranged(design, inflation, y, offset, trials, X)
    if units is not None:
        weights, covariates = regression_data.ordered(units, weights, covariates)
        units = np.sort(units)
    if of_bayes:
        bayes = regression_data.variational_inference(
            estimator.inference, family, gate, intercept, values, weights
        )
    return Data(
        values, weights, units, covariates, family, design, gate_design, bayes, inflation, labels
    )


def check_random(estimator: Any, of_bayes: bool, of_units: bool) -> None:
    """Raise an error for settings that do not go with random effects."""
    validation.one_of("random_covariance", estimator.random_covariance, tuple(COVARIANCES))
    validation.one_of("residual_variance", estimator.residual_variance, ("shared", "free"))
    plain = estimator.response == "normal"
    if of_bayes or not plain:
        name = "VariationalBayes()" if plain else f"response={estimator.response!r}"
        raise UnsupportedError(f"random effects do not support {name}: use random=None")
    if not of_units:
        raise InvalidInputError("random effects need units: give groups= with the unit of each row")
