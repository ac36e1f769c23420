"""``trajectories``: classes of courses over time, from a long table, in one call."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.allocation.designs import TimeColumns
from bayesmix.allocation.outcome_rows import OutcomeColumns
from bayesmix.core import validation
from bayesmix.core.nouns import counted
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.estimators.search import MixtureSearch
from bayesmix.families.random_effects import INTERCEPT
from bayesmix.regressions.regression_mixture import RegressionMixture

if TYPE_CHECKING:
    import pandas as pd

# Distributions of outcomes that are measured at visits.
MEASURED = ("normal", "bernoulli", "poisson")


def trajectories(
    frame: Any,
    *,
    y: str | None = None,
    time: str,
    unit: str,
    responses: Mapping[str, str] | None = None,
    survival: Any = None,
    hazard: Any = "weibull",
    n_components: Any = None,
    degree: Any = 1,
    n_knots: int | None = None,
    random: Any = (INTERCEPT,),
    fixed: Any = (),
    class_predictors: Any = (),
    response: str = "normal",
    limits: Any = None,
    inflation: Any = None,
    random_covariance: str = "shared",
    residual_variance: str | None = None,
    residual_correlation: str | None = None,
    offset: str | None = None,
    trials: str | None = None,
    sample_weight: str | None = None,
    weight_type: str | None = None,
    missing: str = "error",
    criterion: Any = "bic",
    random_state: Any = None,
    **options: Any,
) -> MixtureSearch:
    """Fit mixtures of curves over time, one class per unit, and select the number of classes.

    Growth mixture models have random effects of units; latent class growth analysis and group-based
    trajectories have none (``random=()`` or ``None``). n of BIC is the number of units, and
    ``criterion="cv_1se"`` leaves out units: the fewest classes within a standard error of the best.

    Parameters
    ----------
    frame : DataFrame or path
        Long table: one row per visit; or its file, of which only the columns are read. Rows
        without a response are left out, with a warning.
    y, time, unit : str
        Columns of the response, of the time, and of the identifier of the unit.
    responses : mapping of column to distribution, optional
        Several outcomes in place of ``y``, such as ``{"math": "normal", "passed": "bernoulli"}``;
        also "poisson". They are independent given the class, each has its own curve and variance
        in each class, and may be missing at some visits. Without random effects.
    survival : (time, event), optional
        Columns with the time of dropout or of the end of observation, counted from 0 for all units,
        and with 1 for dropout and 0 for censored. The hazard differs between classes, so that
        dropout may depend on the class (joint latent class model). With ``responses``.
    hazard : "weibull" or sequence of numbers, default="weibull"
        Hazard of ``survival``: Weibull with a shape for each class, or constant between times.
    n_components : int or sequence of int, optional
        Numbers of classes to compare; by default 1 to 5, or as many as there are degrees.
    degree : int or sequence of int, default=1
        Degree of the polynomial in time; of the splines with ``n_knots``. A sequence has the degree
        of each class, such as ``(2, 1, 0)`` for a curve, a line and a constant. Powers of times far
        from 0, such as years, are of the time since the first, as their names say.
    n_knots : int, optional
        Number of knots of B-splines over time, at quantiles; linear beyond the last knots.
    random : sequence of str, default=("intercept",)
        Random effects, such as ``("intercept", time)``; None: none, with a residual variance for
        each class. Only for a normal response.
    fixed : sequence of str, default=()
        Columns with the same coefficient in all classes; text becomes indicators.
    class_predictors : sequence of str, default=()
        Columns that predict class membership, constant within a unit.
    response, limits, inflation, random_covariance
        As in ``RegressionMixture``; columns of inflation are those of time, such as ``(time,)``.
    residual_variance, residual_correlation
        As in ``RegressionMixture``: variances "shared", "free" (by class), by "time" or by both
        ("free_time"), and "ar1" or "car1" within units; variances by time and correlations need
        ``random``, of which ``()`` is none.
    offset, trials, sample_weight, weight_type
        As in ``RegressionMixture.fit``, with the names of columns.
    missing : {"error", "drop"}, default="error"
        Whether rows without a time, a unit or a covariate are left out, with a warning.
    criterion, random_state, **options
        As in ``MixtureSearch``.

    Returns
    -------
    MixtureSearch
        ``best_estimator_`` is the selected ``RegressionMixture``; ``plot_trajectories`` shows it.
        It predicts long tables with the columns of ``time`` and ``fixed``.

    Raises
    ------
    InvalidInputError
        For columns that are not in the frame, missing or too few times, a response that is no
        number, and units with several values of a class predictor.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"id": np.repeat(np.arange(60), 5), "t": np.tile(np.arange(5.0), 60)})
    >>> level = np.where(frame["id"] < 30, frame["t"], 4.0 - frame["t"])
    >>> frame["score"] = level + rng.normal(0, 0.5, 300)
    >>> search = bm.trajectories(
    ...     frame, y="score", time="t", unit="id", n_components=(1, 2), random_state=0
    ... )
    >>> search.best_params_
    {'n_components': 2}
    """
    if responses is not None or survival is not None:
        given = {
            "y": y, "limits": limits, "inflation": inflation, "offset": offset, "trials": trials,
            "residual_variance": residual_variance, "residual_correlation": residual_correlation,
            "n_knots": n_knots,
        }  # fmt: skip
        return _of_outcomes(
            frame, responses, survival, hazard, time, unit, n_components, degree, random,
            _names(fixed), _names(class_predictors), sample_weight, weight_type,
            missing, given,
            {"criterion": criterion, "random_state": random_state, **options},
        )  # fmt: skip
    if y is None:
        raise InvalidInputError("y must name the column of the response, or responses several")
    fixed, gate = _names(fixed), _names(class_predictors)
    named = (("offset", offset), ("trials", trials), ("sample_weight", sample_weight))
    given = {argument: column for argument, column in named if column is not None}
    validation.one_of("missing", missing, ("error", "drop"))
    arguments = [("fixed", name) for name in fixed]
    arguments += [*(("class_predictors", name) for name in gate), *given.items()]
    frame = _table(frame, y, time, unit, arguments, missing == "drop")
    twice = frame.duplicated([unit, time, y]) & (response == "normal")
    if n_twice := int(twice.sum()):
        text = (
            f"{counted(n_twice, 'row')} repeat{'s' * (n_twice == 1)} unit, time and response of "
            f"another, the first is row {frame.index[twice][0]}: drop duplicates"
        )
        warn(text, BayesmixWarning)
    n_components, degrees = _classes(n_components, degree, n_knots)
    degree = max(degrees)
    n_knots = None if n_knots is None else validation.integer("n_knots", n_knots, 2)
    if response != "normal" and random in (INTERCEPT, (INTERCEPT,), [INTERCEPT]):
        random = None
    columns = TimeColumns.of(frame[time], degree, n_knots, frame[fixed])
    if columns.origin and random is not None and {INTERCEPT, time} <= {*_names(random)}:
        warn(
            f"random intercepts and their variance are those at {time} = 0, far from the data: "
            f"subtract an origin such as {columns.origin:g} from {time!r}",
            BayesmixWarning,
        )
    design = columns.frame(frame)
    estimator = RegressionMixture(
        response=response, limits=limits, inflation=inflation, random=random,
        random_covariance=random_covariance, residual_variance=residual_variance,
        residual_correlation=residual_correlation, residual_time=time,
        fixed=list(design)[columns.n_curves :] or None, hold=_held(degrees, design.shape[1]),
        columns=dict.fromkeys(map(str, design), "continuous"),
    )  # fmt: skip
    search = MixtureSearch(
        estimator, n_components, criterion=criterion, random_state=random_state, **options
    )
    beside: dict[str, Any] = {name: frame[column] for name, column in given.items()}
    if gate:
        beside["gate"] = frame[gate]
        beside["gate"].attrs["argument"] = "class_predictors"  # the name in messages
    search.fit(design, frame[y], groups=frame[unit], weight_type=weight_type, **beside)
    if not search.refit:
        return search
    fits = [fit for fit in search.estimators_ if fit is not None]
    for fit in fits:
        fit._time = columns
    search.best_estimator_._warn()
    one = next((fit for fit in fits if fit.n_components_ == 1), None)
    if estimator.random and one is not None and search.n_components_ > 1:
        for text in one._data.skewness_texts(one._mixture):
            warn(f"with one class, {text}", BayesmixWarning)
    return search


def _of_outcomes(
    frame: Any, responses: Any, survival: Any, hazard: Any, time: str, unit: str,
    n_components: Any, degree: Any, random: Any, fixed: list[str], gate: list[str],
    sample_weight: str | None, weight_type: str | None, missing: str, given: dict[str, Any],
    of_search: dict[str, Any],
) -> MixtureSearch:  # fmt: skip
    """Return the search over classes of several outcomes, and of times of dropout."""
    validation.one_of("missing", missing, ("error", "drop"))
    if not isinstance(responses, Mapping) or not responses:
        raise InvalidInputError(
            "responses must map columns to distributions, such as {'math': 'normal'}, got "
            f"{responses!r:.60}"
        )
    for name, kind in responses.items():
        validation.one_of(f"responses[{name!r}]", kind, MEASURED)
    for name, value in given.items():
        if value is not None:
            raise InvalidInputError(f"{name} must be left out with responses and survival")
    if random not in (None, (), INTERCEPT, (INTERCEPT,), [INTERCEPT]):
        raise UnsupportedError(
            "several outcomes do not support random effects: outcomes are independent given the "
            "class; leave out random"
        )
    columns = () if survival is None else tuple(survival)
    if len(columns) not in (0, 2) or isinstance(survival, str):
        raise InvalidInputError(
            f"survival must be (time, event), the names of two columns, got {survival!r:.60}"
        )
    cuts = None
    if not isinstance(hazard, str):
        cuts = tuple(validation.number("hazard", each, 0.0) for each in hazard)
        if not cuts or (np.diff(cuts, prepend=0.0) <= 0.0).any():
            raise InvalidInputError(f"hazard must be ascending times above 0, got {hazard!r:.60}")
    else:
        validation.one_of("hazard", hazard, ("weibull",))
    arguments = [("fixed", name) for name in fixed]
    arguments += [("class_predictors", name) for name in gate]
    arguments += [("survival", name) for name in columns]
    if sample_weight is not None:
        arguments.append(("sample_weight", sample_weight))
    tables = []
    used = dict.fromkeys((*responses, time, unit, *(name for _, name in arguments)))
    frame = _frame(frame, list(used))
    if len(frame.columns) > len(used):
        frame = frame[[name for name in frame.columns if name in used]]
    frame = frame.reset_index(drop=True)  # rows of the outcomes are put together by it
    for name in responses:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "rows without a value", BayesmixWarning)
            tables.append(_table(frame, name, time, unit, arguments, missing == "drop")[name])
    whole = _table(frame, None, time, unit, arguments, missing == "drop")
    for name, own in zip(responses, tables, strict=True):
        whole[name] = own  # as numbers, missing in other rows
    n_components, degrees = _classes(n_components, validation.integer("degree", degree, 1), None)
    curves = TimeColumns.of(whole[time], degrees[0], None, whole[fixed])
    outcomes = OutcomeColumns(curves, dict(responses), unit, columns, cuts)
    rows = outcomes.stacked(whole)
    kinds = dict.fromkeys(map(str, rows.design), "continuous")
    estimator = RegressionMixture(
        response=outcomes.responses, fixed=outcomes.fixed or None, fit_intercept=False,
        columns=kinds,
    )  # fmt: skip
    beside: dict[str, Any] = {}
    if sample_weight is not None:
        beside["sample_weight"] = whole[sample_weight].to_numpy()[rows.places]
    if gate:
        beside["gate"] = whole[gate].iloc[rows.places].reset_index(drop=True)
        beside["gate"].attrs["argument"] = "class_predictors"
    search = MixtureSearch(estimator, n_components, **of_search)
    search.fit(rows.design, rows.y, groups=rows.units, weight_type=weight_type, **beside)
    if not search.refit:
        return search
    for fit in search.estimators_:
        if fit is not None:
            fit._outcomes = outcomes
    search.best_estimator_._warn()
    return search


def _classes(n_components: Any, degree: Any, n_knots: int | None) -> tuple[Any, list[int]]:
    """Return the numbers of classes, and the degree of each class or of all."""
    if np.ndim(degree) == 0:
        degrees = [validation.integer("degree", degree, 1)]
        return (1, 2, 3, 4, 5) if n_components is None else n_components, degrees
    degrees = [validation.integer("degree", each, 0) for each in degree]
    if not any(degrees):
        raise InvalidInputError(f"degree must be 1 or more in some class, got {degree!r}")
    if n_knots is not None:
        raise InvalidInputError("degree must be one number with n_knots: leave n_knots out")
    K = len(degrees)
    if n_components is not None and np.ravel(n_components).tolist() != [K]:
        raise InvalidInputError(
            f"degree has {K} values, one for each class, but n_components is {n_components!r}: "
            "leave n_components out"
        )
    return (K,), degrees


def _held(degrees: list[int], n_columns: int) -> dict[str, list[list[float]]] | None:
    """Return coefficients of 0 where the degree of a class is lower than that of others."""
    highest = max(degrees)
    if min(degrees) == highest:
        return None
    of_curve = [[np.nan] * degree + [0.0] * (highest - degree) for degree in degrees]
    return {"coef": [row + [np.nan] * (n_columns - highest) for row in of_curve]}


def _names(columns: Any) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns)


def _table(
    frame: Any,
    y: str | None,
    time: str,
    unit: str,
    arguments: list[tuple[str, str]],
    complete: bool,
) -> pd.DataFrame:
    """Return rows with a response as numbers; ``complete`` ones have a value in all columns.

    ``arguments`` are further arguments with their columns. Without ``y`` all rows remain.
    """
    names: list[Any] = [y, time, unit]
    if any(map(np.ndim, names)) or len(set(names)) < 3:
        raise InvalidInputError(
            f"y, time and unit must name 3 columns, got {y!r:.40}, {time!r:.40} and {unit!r:.40}; "
            "DataFrame.melt makes a long table of one with a column per visit"
        )
    if any(np.ndim(name) for _, name in arguments):
        raise InvalidInputError(
            "fixed, class_predictors, offset, trials and sample_weight must be names of columns of "
            "the frame, got values"
        )
    given = [] if y is None else [y]
    used = list(dict.fromkeys((*given, time, unit, *(name for _, name in arguments))))
    frame = _frame(frame, used)
    for name in used:
        if (number := list(frame.columns).count(name)) != 1:
            remedy = ": use frame.reset_index()" if name in frame.index.names else ""
            raise InvalidInputError(
                f"frame has {number or 'no'} column{'s' if number else ''} {name!r}; its columns "
                f"are {', '.join(map(str, frame.columns))}{remedy}"
            )
    gaps, n_units = frame[used if complete else given].isna(), frame[unit].nunique()
    if gaps.any(axis=None):
        without, columns = gaps.any(axis=1), ", ".join(map(repr, gaps.columns[gaps.any()]))
        frame = frame[~without]
        n_units -= frame[unit].nunique()
        of_units = f", among them all rows of {counted(n_units, 'unit')}" if n_units else ""
        text = f"rows without a value of {columns} are left out: {without.sum()}{of_units}"
        warn(text, BayesmixWarning)
    if frame.empty:
        raise InvalidInputError(f"frame must have rows with a value of {y!r}, got none")
    for argument, name in (("unit", unit), ("time", time), *arguments):
        if (absent := frame[name].isna()).any():
            raise InvalidInputError(
                f"{argument}: column {name!r} is missing in row {frame.index[absent][0]}: use "
                "missing='drop'"
            )
    units = frame[unit].unique()
    if len(set(map(str, units))) < len(units):
        raise InvalidInputError(
            f"unit: column {unit!r} has the same identifiers as numbers and as text: use "
            f"frame[{unit!r}].astype(str)"
        )
    remedy = (
        "write NaN for missing, two levels as 0 and 1 with response='binomial', and ordered levels "
        "as 0, 1, ... with response='ordinal'"
    )
    table: pd.DataFrame = frame.copy(deep=False)
    if y is not None:
        table[y] = _numbers("y", frame[y], remedy)
    remedy = (
        "give the time since an origin, such as days since the first visit of each unit (in "
        "pandas: (time - time.groupby(unit).transform('min')).dt.days)"
    )
    table[time] = _numbers("time", frame[time], remedy)
    return table


def _frame(frame: Any, used: list[str]) -> Any:
    """Return a frame of pandas, with the columns that are used if it is a path."""
    from bayesmix.data.table_columns import as_pandas, is_frame

    if isinstance(frame, (str, PathLike)):
        from bayesmix.io.readers import read_table

        return read_table(frame, used)
    if not is_frame(frame):
        raise InvalidInputError(
            f"frame must be a DataFrame or the path of a file, got {type(frame).__name__}"
        )
    return frame if hasattr(frame, "iloc") else as_pandas(frame)


def _numbers(argument: str, column: Any, remedy: str) -> Any:
    """Return a column of a frame as numbers."""
    if column.dtype.kind in "biuf":
        return column
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError):
        import pandas as pd

        wrong = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
        got = f"{wrong.iloc[0]!r} in row {wrong.index[0]}" if len(wrong) else column.dtype
        raise InvalidInputError(
            f"{argument}: column {str(column.name)!r} must be numbers, got {got}: {remedy}"
        ) from None
