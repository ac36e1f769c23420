"""``trajectories``: classes of courses over time, from a long table, in one call."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.preprocessing import SplineTransformer

from bayesmix.allocation.designs import indicated
from bayesmix.core import validation
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
    n_components: Any = (1, 2, 3, 4, 5),
    degree: int = 1,
    n_knots: int | None = None,
    random: Any = (INTERCEPT,),
    fixed: Any = (),
    class_predictors: Any = (),
    response: str = "normal",
    limits: Any = None,
    inflation: Any = None,
    random_covariance: str = "shared",
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
    n_components : int or sequence of int, default=(1, 2, 3, 4, 5)
        Numbers of classes to compare.
    degree : int, default=1
        Degree of the polynomial in time; of the splines with ``n_knots``.
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
    criterion, random_state, **options
        As in ``MixtureSearch``.

    Returns
    -------
    MixtureSearch
        ``best_estimator_`` is the selected ``RegressionMixture``; ``plot_trajectories`` shows it.

    Raises
    ------
    InvalidInputError
        For columns that are not in the frame, missing times, and units with several values of a
        class predictor.

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
    used = list(dict.fromkeys((y, time, unit, *fixed, *gate)))
    if isinstance(frame, (str, PathLike)):
        from bayesmix.io.readers import read_table

        frame = read_table(frame, used)
    elif hasattr(frame, "columns") and not hasattr(frame, "iloc"):
        from bayesmix.io.table_columns import as_pandas

        frame = as_pandas(frame)
    for name in used:
        if name not in getattr(frame, "columns", ()):
            columns = ", ".join(map(str, getattr(frame, "columns", ())))
            raise InvalidInputError(f"frame has no column {name!r}; its columns are {columns}")
    if frame[unit].isna().any():
        row = int(np.flatnonzero(frame[unit].isna())[0])
        raise InvalidInputError(f"unit: column {unit!r} is missing in row {row}: drop such rows")
    if n_missing := int(frame[y].isna().sum()):
        warn(f"{n_missing} rows without a value of {y!r} are left out", BayesmixWarning)
        frame = frame[frame[y].notna()]
    design = time_columns(frame[time], validation.integer("degree", degree, 1), n_knots)
    times = list(design)
    if fixed:
        others = indicated("fixed", frame[fixed])
        fixed = list(others)
        design[fixed] = others
    if response != "normal" and _names(random or ()) == [INTERCEPT]:
        random = None
    estimator = RegressionMixture(
        response=response, limits=limits, inflation=inflation, random=random,
        random_covariance=random_covariance, fixed=fixed or None,
        columns=dict.fromkeys(list(map(str, times)), "continuous"),
    )  # fmt: skip
    search = MixtureSearch(
        estimator, n_components, criterion=criterion, random_state=random_state, **options
    )
    given = {"gate": frame[gate]} if gate else {}
    search.fit(design, frame[y], groups=frame[unit], **given)
    if estimator.random:
        _warn_of_skewness(search)
    return search


def _warn_of_skewness(search: MixtureSearch) -> None:
    """Warn of several classes where the effects of one class are skewed."""
    several = search.n_components_ > 1
    for one in search.estimators_:
        if several and one is not None and one.n_components_ == 1:
            for text in one._data.skewness_texts(one._mixture):
                warn(f"with one class, {text}", BayesmixWarning)


def _names(columns: Any) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns)


def time_columns(time: Any, degree: int, n_knots: int | None = None) -> pd.DataFrame:
    """Return powers of time, or B-splines beside time itself, as columns of a design.

    Time itself comes first, so that it can have a random slope.
    """
    import pandas as pd

    name = str(time.name)
    if time.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"time: column {name!r} must be numbers, got {time.dtype}: give the time since an "
            "origin, such as days since the first visit"
        )
    values = time.to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values))[0])
        raise InvalidInputError(f"time: column {name!r} is missing in row {row}: drop such rows")
    if n_knots is None:
        powers = {name: values} | {f"{name}^{p}": values**p for p in range(2, degree + 1)}
        return pd.DataFrame(powers, index=time.index, copy=False)
    knots = validation.integer("n_knots", n_knots, 2)
    splines = SplineTransformer(knots, degree, knots="quantile", extrapolation="linear")
    basis = splines.fit_transform(values[:, None])
    # Splines sum to 1 and contain time: two columns follow from the intercept and time.
    columns = {f"{name} spline {p}": basis[:, p] for p in range(1, basis.shape[1] - 1)}
    return pd.DataFrame({name: values} | columns, index=time.index)
