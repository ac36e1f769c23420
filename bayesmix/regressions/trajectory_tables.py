"""Classes of trajectories: separation, curves, likelihood ratios, outcomes and the checklist.

Average posterior probabilities by assigned class and odds of correct classification: Nagin 2005,
section 5.5. The checklist is that of van de Schoot et al. (2017), "The GRoLTS-Checklist: Guidelines
for Reporting on Latent Trajectory Studies", Structural Equation Modeling 24.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import entr, ndtri
from sklearn.utils.validation import check_is_fitted

from bayesmix.allocation.gate import shares_of
from bayesmix.core import validation
from bayesmix.core.nouns import part_index, part_names
from bayesmix.core.printed_numbers import percent
from bayesmix.core.random import Purpose, drawn_labels, root_seed, stream
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.regressions import DESIGN
from bayesmix.latent_class_analysis.class_tests import entropy_of, mean_posteriors
from bayesmix.latent_class_analysis.distal import class_means
from bayesmix.numerics.arrays import Array, Booleans
from bayesmix.posterior.bands import checked_level
from bayesmix.regressions.regression_vector import ParameterVector
from bayesmix.selection.summary_text import four_digits
from bayesmix.version import __version__

# Starts of each fit to simulated data; the ratio of the data has those of the search.
STARTS_OF_REPLICATE = 4
# Places along a column at which curves are evaluated.
MOST_PLACES = 60
# Rounding of columns that were standardised, relative to their spread.
EXACT = 1e-9


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
        raise UnsupportedError(
            "trajectories need units: fit with groups=, or use summary() and plot()"
        )
    return model, data.posterior(model._mixture)[0]


def fits_by_number(search: Any) -> dict[int, Any]:
    """Return the best fits of a search, or one fit, by number of classes in ascending order."""
    fits = [fit for fit in getattr(search, "estimators_", [search]) if fit is not None]
    # The first of a number is the best.
    return dict(sorted({fit.n_components_: fit for fit in reversed(fits)}.items()))


def time_of(data: Any, time: Any, argument: str = "time") -> tuple[int, Array]:
    """Return the place among columns of X, and the values (n,) in data units, of one column."""
    place = data.design.place(time, f"{argument} must be one of the names or indices")
    return place, columns_of_fit(data)[:, place]


def columns_of_fit(data: Any) -> Array:
    """Return the columns (n, P) of X of a fit in data units."""
    design = data.design
    first = DESIGN + design.intercept
    standardised = data.values[:, first : first + len(design.names)]
    return np.asarray(standardised * design.scale + design.centre)


def rows_along(model: Any, place: int, columns: Array | None = None) -> tuple[Array, Array]:
    """Return places (T,) along a column of X, and the row of response, offset and design there.

    Places are those of the fit, or of other ``columns`` (n, P). Terms in the column have their
    values there, and the other columns have their means in the data of the fit. Offsets are 0.
    """
    data, fitted = model._data, columns_of_fit(model._data)
    columns = fitted if columns is None else columns
    weights = data.unit_weights[... if data.units is None else data.units]
    places, firsts = np.unique(columns[:, place], return_index=True)
    shown = np.linspace(0, len(places) - 1, min(len(places), MOST_PLACES)).astype(int)
    places, terms = places[shown], terms_in(model, place, fitted)
    means = np.average(fitted, axis=0, weights=weights)
    along = np.tile(means, (len(places), 1))
    along[:, terms] = columns[firsts[shown]][:, terms]
    for made, (power, factor) in products_with(place, fitted, terms).items():
        along[:, made] = places**power * means[factor]
    none = np.zeros(len(places))
    return places, data.arranged(none, none, none + 1.0, along)


def terms_in(model: Any, place: int, columns: Array) -> list[int]:
    """Return the columns that are functions of one: powers or splines of time, polynomials.

    Of columns (n, P) that a user made, these are the exact polynomials of a degree up to P.
    """
    if model._time is not None:
        return list(range(model._time.n_curves)) if place == 0 else [place]
    centred = columns[:, place] - columns[:, place].mean()
    powers = np.vander(centred / np.abs(centred).max(), columns.shape[1] + 1)
    rest = columns - powers @ np.linalg.lstsq(powers, columns)[0]
    return np.flatnonzero(_vanishes(rest, columns)).tolist()


def products_with(place: int, columns: Array, terms: list[int]) -> dict[int, tuple[int, int]]:
    """Return the columns that are exact products of a power of one and another, and these two."""
    others = [column for column in range(columns.shape[1]) if column not in terms]
    products = {}
    for power, factor in product(range(1, len(terms) + 1), others):
        made = columns[:, [place]] ** power * columns[:, [factor]]
        for column in np.flatnonzero(_vanishes(columns - made, columns)).tolist():
            products[column] = (power, factor)
    return products


def _vanishes(rest: Array, columns: Array) -> Booleans:
    """Return which columns (P,) of a remainder are rounding, relative to the spread of columns."""
    spread = np.abs(columns - columns.mean(axis=0)).max(axis=0)
    return np.asarray(np.abs(rest).max(axis=0) <= EXACT * spread)


def unit_table(model: Any) -> pd.DataFrame:
    """Return the most probable class, from 1, probabilities and predicted effects of each unit.

    Effects are deviations from the mean curve, averaged over classes (best linear unbiased
    predictions), in units of the data. The index has the identifiers of the units.
    """
    model, joint = fitted_units(model)
    data = model._data
    index = pd.Index(data.labels or range(len(joint)))
    table = pd.DataFrame({"class": joint.argmax(axis=1) + 1}, index=index)
    for k, column in enumerate(joint.T, 1):
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
    model, joint = fitted_units(model)
    K, sample_weights = joint.shape[1], model._data.unit_weights
    counts = np.bincount(joint.argmax(axis=1), minlength=K)
    mean = mean_posteriors(joint, sample_weights).to_numpy().diagonal()
    weights = np.average(joint, axis=0, weights=sample_weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = (mean / (1.0 - mean)) / (weights / (1.0 - weights))
    values = (weights, counts, counts / len(joint), mean, odds)
    names = ("weight", "units", "share", "mean_probability", "odds_of_correct_classification")
    index = part_index("class", K)
    table = pd.DataFrame(dict(zip(names, values, strict=True)), index)
    entropy = float(entr(joint).sum(axis=1) @ sample_weights)
    table.attrs["relative_entropy"] = entropy_of(entropy, sample_weights.sum(), K)
    return table


def trajectory_table(search: Any) -> pd.DataFrame:
    """Return fit and separation of the classes for each number of classes of a search.

    BIC is given with the number of units and, as some programs print it, of visits.
    """
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

    Its powers, splines and other polynomials change with it, as do its products with other columns,
    which are at their means; offsets are 0. Intervals are those of the mean curve, symmetric on the
    scale of its linear predictor.
    """
    model, _ = fitted_units(model)
    data, level = model._data, checked_level(level)
    times, rows = rows_along(model, time_of(data, time)[0])
    predictors = model._mixture.components.predictors(rows).T
    half = ndtri(0.5 + 0.5 * level) * ParameterVector(data, model._mixture).curve_errors(rows).T
    ends = {"mean": predictors, "lower": predictors - half, "upper": predictors + half}
    curves = {name: model._response.mean(each).ravel() for name, each in ends.items()}
    K, T = predictors.shape
    places = {"class": np.repeat(part_names("class", K), T), "time": np.tile(times, K)}
    return pd.DataFrame(places | curves)


def simulated_response(model: Any, generator: np.random.Generator) -> Array:
    """Return responses (n,) drawn from a fit by units, with the design of its data."""
    model, joint = fitted_units(model)
    data, components = model._data, model._mixture.components
    covariates = None if data.gate is None else data.covariates[data.starts]
    shares = shares_of(model._mixture.weights, covariates, len(joint))
    units, values = data.units, data.values
    labels, rows = drawn_labels(shares, generator)[units], np.arange(len(units))
    eta = components.predictors(values)[rows, labels]
    if model.random is not None:
        return np.asarray(eta + components.deviations(values, units, labels, generator))
    spread = components.dispersions(values)
    scales = spread[labels] if spread.ndim == 1 else spread[rows, labels]
    distribution = model._response.distribution(values[:, 2], eta, scales)
    return np.asarray(distribution.ppf(generator.random(len(rows))), np.float64)


def trajectory_test(
    search: Any, n_components: int, n_resamples: int = 99, random_state: Any = 0
) -> float:
    """Return the bootstrap p-value of K - 1 against ``n_components`` = K classes (McLachlan 1987).

    Both are fits of a search; data are simulated from that of K - 1. Replicates have four starts
    for each fit.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"id": np.repeat(np.arange(40), 4), "t": np.tile(np.arange(4.0), 40)})
    >>> frame["y"] = np.where(frame["id"] < 20, frame["t"], 3.0 - frame["t"])
    >>> frame["y"] += rng.normal(0, 0.5, 160)
    >>> search = bm.trajectories(
    ...     frame, y="y", time="t", unit="id", n_components=(1, 2), random_state=0
    ... )
    >>> bm.trajectory_test(search, 2, n_resamples=9)
    0.1
    """
    fits, n_components = fits_by_number(search), validation.integer("n_components", n_components, 2)
    for K in (n_components - 1, n_components):
        if K not in fits:
            raise InvalidInputError(
                f"n_components={n_components!r} needs fits of both numbers of classes, but the "
                f"search has {sorted(fits)}: add {K} to its n_components"
            )
    smaller, larger = fits[n_components - 1], fits[n_components]
    observed = 2.0 * (larger.log_likelihood_ - smaller.log_likelihood_)
    n_resamples, seed = validation.integer("n_resamples", n_resamples, 1), root_seed(random_state)
    as_large = 0
    for number in range(n_resamples):
        y = simulated_response(smaller, stream(seed, Purpose.SAMPLE, number))
        ends = [
            smaller._log_likelihood_of(y, K, STARTS_OF_REPLICATE, seed + number)
            for K in (n_components - 1, n_components)
        ]
        as_large += 2.0 * (ends[1] - ends[0]) >= observed
    return (1 + as_large) / (1 + n_resamples)


def trajectory_outcomes(
    model: Any, outcome: Any, correction: str | None = "ML", level: float = 0.95
) -> pd.DataFrame:
    """Return the mean or the distribution of an outcome of units in each class, as ``distal``.

    ``outcome`` has one value for each unit: a series by identifiers of the units, or an array in
    the order of their first rows. Standard errors are given the classes, which suffices for well
    separated classes.
    """
    model, joint = fitted_units(model)
    level = checked_level(level)
    labels = model._data.labels
    if labels and hasattr(outcome, "reindex"):
        by_default = isinstance(outcome.index, pd.RangeIndex)
        outcome = outcome.set_axis(
            outcome.index.map(lambda i: i if isinstance(i, int | float) else str(i))
        )
        absent = set(labels).difference(outcome.index)
        of_rows = len(outcome) == model._data.n_rows > len(joint)
        wrong = of_rows or len(absent) == len(labels) or (by_default and bool(absent))
        if wrong or outcome.index.duplicated().any():
            raise InvalidInputError(
                "outcome must have identifiers of the units as its index, each of them once, such "
                f"as {labels[0]!r}, got {outcome.index.tolist()[0]!r} in {len(outcome)} values"
            )
        outcome = outcome.reindex(list(labels))
    if np.shape(outcome) != joint.shape[:1]:
        raise InvalidInputError(
            f"outcome must have one value for each of the {len(joint)} units, got shape "
            f"{np.shape(outcome)}"
        )
    weights = model._data.unit_weights
    series = pd.Series(np.asarray(outcome))
    return class_means(series, joint, weights, correction, float(ndtri(0.5 + 0.5 * level)))


def trajectory_checklist(search: Any) -> pd.DataFrame:
    """Return the items of the GRoLTS checklist with what the fits of a search answer.

    Items that only the authors of a study know have an empty answer. Index is the number of the
    item.
    """
    model, _ = fitted_units(search)
    if model._outcomes is not None:
        raise UnsupportedError(
            "the checklist does not support several outcomes: use trajectory_table and "
            "class_assignment"
        )
    data, table, classes = model._data, trajectory_table(search), class_assignment(search)
    terms, K = ", ".join(data.design.terms), model.n_components_
    sizes = np.bincount(data.units)
    time, y = time_of(data, 0)[1], data.values[:, 0]
    effects, covariances = "none", "none"
    if model.random is not None:
        effects = ", ".join(data.random.names) or "none"
        residual = model.residual_variance or "shared"
        covariances = f"covariance {model.random_covariance}, residual variance {residual}"
        if model.residual_correlation is not None:
            covariances += f", residual correlation {model.residual_correlation}"
    counted = "; ".join(
        f"{k} class{'es' if k > 1 else ''}: " + ", ".join(map(str, class_assignment(each)["units"]))
        for k, each in fits_by_number(search).items()
    )
    gate = "none" if data.gate is None else ", ".join(data.gate.terms[1:])
    fits = f"{len(table)}: {', '.join(map(str, table.index))} classes"
    described = "; ".join(
        f"{k}: n = {row.units:.0f} ({percent(row.share, 1)}), mean posterior "
        f"{row.mean_probability:.2f}"
        for k, row in classes.iterrows()
    )
    coefficients = model.coefficients().loc["coefficient"]
    criterion, parameters = getattr(search, "criterion", "none"), model.get_params()
    settings = ", ".join(f"{k}={v!r}" for k, v in parameters.items() if k != "columns")
    items = (
        ("1", "Metric of time", data.design.names[0]),
        ("2", "Mean and variance of time", f"mean {four_digits(time.mean())}, variance "
         f"{four_digits(time.var())}"),
        ("3a", "Missing data mechanism", ""),
        ("3b", "Variables related to missing data", ""),
        ("3c", "Missing data in the analysis", f"maximum likelihood; {sizes.min()} to "
         f"{sizes.max()} visits of a unit; rows without a response are left out beforehand"),
        ("4", "Distribution of the response", f"{model.response}; mean {four_digits(y.mean())}, "
         f"standard deviation {four_digits(y.std())}, range {four_digits(y.min())} to "
         f"{four_digits(y.max())}"),
        ("5", "Software", f"bayesmix {__version__}"),
        ("6a", "Heterogeneity within classes", f"random effects: {effects}"),
        ("6b", "Differences of covariances between classes", covariances),
        ("7", "Shape of the trajectories", terms),
        ("8", "Covariates", f"of membership: {gate}; in the design: {terms}"),
        ("9", "Random starts and iterations", f"{model.n_init} starts, "
         f"all run to convergence; {model.n_iter_} iterations"),
        ("10", "Model comparison", f"{criterion}; n of BIC is the number of units"),
        ("11", "Number of fitted models", fits),
        ("12", "Units in each class of each model", counted),
        ("13", "Relative entropy", f"{classes.attrs['relative_entropy']:.3f}"),
        ("14a", "Plot of the mean trajectories", "plot_trajectories(search)"),
        ("14b", "Plots of all models", "plot_trajectories(estimator) for search.estimators_"),
        ("14c", "Mean and observed trajectories", "plot_trajectories(search)"),
        ("15", "Final classes", f"{K} classes. {described}. Coefficients: "
         + "; ".join(f"{term} ({'all classes' if k == 'all' else k}) "
                     f"{four_digits(row.estimate)} [{four_digits(row.lower)}, "
                     f"{four_digits(row.upper)}]"
                     for (k, term), row in coefficients.iterrows())),
        ("16", "Syntax", f"RegressionMixture({settings})"),
    )  # fmt: skip
    return pd.DataFrame(items, columns=["item", "content", "answer"]).set_index("item")
