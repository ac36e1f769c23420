"""Units of a fit with random effects: predicted effects, and how well classes are separated.

Average posterior probabilities by assigned class and odds of correct classification: Nagin 2005,
section 5.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr, ndtri
from sklearn.utils.validation import check_is_fitted

from bayesmix.assess.class_tests import entropy_of, mean_posteriors
from bayesmix.core.random import Purpose, stream
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.regressions import DESIGN, OFFSET
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.regression_vector import ParameterVector

if TYPE_CHECKING:
    import pandas as pd

# Places along a column at which curves are evaluated.
MOST_PLACES = 60
# Jumps between neighbours along a column, relative to the variance, of columns that follow from it.
SMALL_JUMPS = 0.05


def fitted_units(model: Any) -> tuple[Any, Array]:
    """Return the regression mixture of a fit by units, and P(component | y_i) (U, K) of units."""
    model = getattr(model, "best_estimator_", model)
    if getattr(model, "noun", "") != "regression":
        raise InvalidInputError(
            f"model must be a RegressionMixture fitted with groups, got {type(model).__name__}"
        )
    check_is_fitted(model, "log_likelihood_")
    data = model._data
    if data.units is None:
        raise UnsupportedError("trajectories need units: fit with groups=")
    return model, data.posterior(model._mixture)[0]


def fits_by_number(search: Any) -> dict[int, Any]:
    """Return the best fits of a search, or one fit, by number of classes in ascending order."""
    fits = [fit for fit in getattr(search, "estimators_", [search]) if fit is not None]
    numbers = sorted({fit.n_components_ for fit in fits})
    return {K: next(fit for fit in fits if fit.n_components_ == K) for K in numbers}


def time_of(data: Any, time: Any, argument: str = "time") -> tuple[int, Array]:
    """Return the place among columns of X, and the values (n,) in data units, of one column."""
    design = data.design
    place = design.place(time, f"{argument} must be one of the names or indices")
    standardised = data.values[:, DESIGN + design.intercept + place]
    return place, standardised * design.scale[place] + design.centre[place]


def rows_along(values: Array, column: Array) -> tuple[Array, Array]:
    """Return places (T,) along a column (n,), and the row of response, offset and design there.

    Columns that follow from it, such as its powers, have their values there; the others have their
    linear regression on these. Offsets are 0.
    """
    places, firsts = np.unique(column, return_index=True)
    shown = np.linspace(0, len(places) - 1, min(len(places), MOST_PLACES)).astype(int)
    # Rows at the same place are neighbours in any order.
    order = np.lexsort((stream(len(column), Purpose.SAMPLE).random(len(column)), column))
    jumps = (np.diff(values[order], axis=0) ** 2).mean(axis=0)
    follows = jumps <= SMALL_JUMPS * values.var(axis=0)
    basis, rows = np.column_stack([np.ones(len(values)), values[:, follows]]), values[firsts[shown]]
    slopes = np.linalg.lstsq(basis, values[:, ~follows])[0]
    rows[:, ~follows] = basis[firsts[shown]] @ slopes
    rows[:, OFFSET] = 0.0
    return places[shown], rows


def unit_table(model: Any) -> pd.DataFrame:
    """Return the most probable component, probabilities and predicted effects of each unit.

    Effects are deviations from the mean curve, averaged over components (best linear unbiased
    predictions), in units of the data. The index has the identifiers of the units.
    """
    import pandas as pd

    model, joint = fitted_units(model)
    data = model._data
    index = pd.Index(data.labels or range(len(joint)))
    table = pd.DataFrame({"component": joint.argmax(axis=1)}, index=index)
    for k, column in enumerate(joint.T):
        table[f"p_{k}"] = column
    if model.random is None:
        return table
    effects = data.predicted_effects(model._mixture)[0] @ data.random.back.T
    for name, column in zip(data.random.names, (joint[:, :, None] * effects).sum(1).T, strict=True):
        table[name] = column
    return table


def class_assignment(model: Any) -> pd.DataFrame:
    """Return how certainly units are assigned to each class.

    Columns are ``weight``, ``units`` (assigned to the class), ``share`` of these units,
    ``mean_probability`` (average posterior probability of the class among them, 0.7 or more by
    convention) and ``odds_of_correct_classification`` (5 or more; Nagin 2005). ``attrs`` has the
    relative entropy, NaN for one class.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> unit, time = np.repeat(np.arange(60), 5), np.tile(np.arange(5.0), 60)
    >>> y = np.where(unit < 30, time, 4.0 - time) + rng.normal(0, 0.5, 300)
    >>> model = bm.RegressionMixture(2, random=("intercept",), random_state=0)
    >>> table = bm.class_assignment(model.fit(time[:, None], y, groups=unit))
    >>> table["units"].tolist()
    [30, 30]
    """
    import pandas as pd

    model, joint = fitted_units(model)
    K, sample_weights = joint.shape[1], model._data.unit_weights
    counts = np.bincount(joint.argmax(axis=1), minlength=K)
    mean = mean_posteriors(joint, sample_weights).to_numpy().diagonal()
    weights = np.average(joint, axis=0, weights=sample_weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = (mean / (1.0 - mean)) / (weights / (1.0 - weights))
    values = (weights, counts, counts / len(joint), mean, odds)
    names = ("weight", "units", "share", "mean_probability", "odds_of_correct_classification")
    table = pd.DataFrame(dict(zip(names, values, strict=True)), pd.RangeIndex(K, name="component"))
    entropy = float(entr(joint).sum(axis=1) @ sample_weights)
    table.attrs["relative_entropy"] = entropy_of(entropy, sample_weights.sum(), K)
    return table


def trajectory_table(search: Any) -> pd.DataFrame:
    """Return fit and separation of the classes for each number of classes of a search.

    BIC is given with the number of units and, as some programs print it, of visits.
    """
    import pandas as pd

    rows = []
    for K, estimator in fits_by_number(search).items():
        quality, p = class_assignment(estimator), estimator.n_parameters_
        rows.append(
            {
                "classes": K,
                "log_likelihood": estimator.log_likelihood_,
                "parameters": p,
                "aic": estimator.aic(),
                "bic": estimator.bic(),
                "bic_visits": -2.0 * estimator.log_likelihood_ + p * np.log(estimator._data.n_rows),
                "relative_entropy": quality.attrs["relative_entropy"],
                "smallest_share": quality["share"].min(),
                "smallest_mean_probability": quality["mean_probability"].min(),
            }
        )
    return pd.DataFrame(rows).set_index("classes")


def trajectory_curves(model: Any, time: Any = 0, level: float = 0.9) -> pd.DataFrame:
    """Return mean curves of the classes over one column of X, with intervals.

    Columns that follow from it, such as powers of time, change with it, and the others have their
    linear regression on these; offsets are 0. Intervals are those of the mean curve, symmetric on
    the scale of its linear predictor.
    """
    import pandas as pd

    model, _ = fitted_units(model)
    data, level = model._data, checked_level(level)
    times, rows = rows_along(data.values, time_of(data, time)[1])
    predictors = model._mixture.components.predictors(rows).T
    half = ndtri(0.5 + 0.5 * level) * ParameterVector(data, model._mixture).curve_errors(rows).T
    ends = {"mean": predictors, "lower": predictors - half, "upper": predictors + half}
    curves = {name: model._response.mean(each).ravel() for name, each in ends.items()}
    K, T = predictors.shape
    places = {"component": np.repeat(np.arange(K), T), "time": np.tile(times, K)}
    return pd.DataFrame(places | curves)
