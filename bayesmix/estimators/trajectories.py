"""``trajectories``: classes of courses over time, from a long table, in one call."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.allocation.designs import TimeColumns
from bayesmix.core import validation
from bayesmix.core.nouns import counted
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.estimators.regression_mixture import RegressionMixture
from bayesmix.estimators.search import MixtureSearch
from bayesmix.families.random_effects import INTERCEPT

if TYPE_CHECKING:
    import pandas as pd


def trajectories(
    frame: Any,
    *,
    y: str,
    time: str,
    unit: str,
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
    response, limits, inflation, random_covariance, residual_variance
        As in ``RegressionMixture``; columns of inflation are those of time, such as ``(time,)``.
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
    frame: Any, y: str, time: str, unit: str, arguments: list[tuple[str, str]], complete: bool
) -> pd.DataFrame:
    """Return rows with a response as numbers; ``complete`` ones have a value in all columns.

    ``arguments`` are further arguments with their columns.
    """
    if any(map(np.ndim, (y, time, unit))) or len({y, time, unit}) < 3:
        raise InvalidInputError(
            f"y, time and unit must name 3 columns, got {y!r:.40}, {time!r:.40} and {unit!r:.40}; "
            "DataFrame.melt makes a long table of one with a column per visit"
        )
    if any(np.ndim(name) for _, name in arguments):
        raise InvalidInputError(
            "fixed, class_predictors, offset, trials and sample_weight must be names of columns of "
            "the frame, got values"
        )
    used = list(dict.fromkeys((y, time, unit, *(name for _, name in arguments))))
    from bayesmix.io.table_columns import as_pandas, is_frame

    if isinstance(frame, (str, PathLike)):
        from bayesmix.io.readers import read_table

        frame = read_table(frame, used)
    elif not is_frame(frame):
        raise InvalidInputError(
            f"frame must be a DataFrame or the path of a file, got {type(frame).__name__}"
        )
    frame = frame if hasattr(frame, "iloc") else as_pandas(frame)
    for name in used:
        if (number := list(frame.columns).count(name)) != 1:
            remedy = ": use frame.reset_index()" if name in frame.index.names else ""
            raise InvalidInputError(
                f"frame has {number or 'no'} column{'s' if number else ''} {name!r}; its columns "
                f"are {', '.join(map(str, frame.columns))}{remedy}"
            )
    gaps, n_units = frame[used if complete else [y]].isna(), frame[unit].nunique()
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
    table[y] = _numbers("y", frame[y], remedy)
    remedy = (
        "give the time since an origin, such as days since the first visit of each unit (in "
        "pandas: (time - time.groupby(unit).transform('min')).dt.days)"
    )
    table[time] = _numbers("time", frame[time], remedy)
    return table


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
