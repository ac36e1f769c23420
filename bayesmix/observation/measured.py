"""Data with how they were measured: ``Measured``, and the posterior of true values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.core.rows import Rows, SideInformation
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Booleans
from bayesmix.numerics.rounding import rounded_step
from bayesmix.observation.cells import true_moments
from bayesmix.observation.deconvolution import (
    blocks_of,
    components_of,
    convolved,
    drawn_errors,
    framed,
)
from bayesmix.observation.instrument import Errors, Instrument, Intervals, Region
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.em.result import FitResult

# Eigenvalues of a covariance relative to the largest that are rounding.
ROUNDING = 1e-12


class TrueValues(NamedTuple):
    """Posterior means and standard deviations (n, D) of the true values of samples."""

    mean: Array
    standard_deviation: Array


def true_values(result: FitResult, rows: Rows) -> TrueValues:
    """Return the posterior of the true values of measured samples, averaged over components."""
    mixture = result.density
    if not isinstance(rows.side.measurement, Instrument):
        raise InvalidInputError("X must be measured data: pass bayesmix.Measured(X, error=...)")
    if result.family.name != "gaussian":
        mean, variance = true_moments(mixture, rows)
        return TrueValues(mean, np.sqrt(variance))
    shares, _ = mixture.responsibilities(rows)
    components = components_of(mixture)
    first, second = np.zeros((2, len(rows), len(mixture.frame.centre)))
    C = components.covariances
    for indices, block in blocks_of(mixture, rows):
        part, own = convolved(components, framed(mixture, block)), shares[indices].T
        mean = components.means.T[..., None] + np.einsum("kab,bkn->akn", C, part.scores)
        variance = np.diagonal(C, axis1=1, axis2=2).T[..., None] - part.explained(C)
        first[indices] = np.einsum("kn,dkn->nd", own, mean)
        second[indices] = np.einsum("kn,dkn->nd", own, mean * mean + variance)
    deviation = np.sqrt(np.maximum(second - first * first, 0.0)) * mixture.frame.scale
    return TrueValues(mixture.frame.undo(first), deviation)


def with_errors(values: Array, error: Any, generator: np.random.Generator) -> Array:
    """Return true values (n, D) with draws of errors of measurement."""
    errors = _Table(np.array(values, dtype=np.float64), None).errors(error)
    own = np.moveaxis(errors.distinct[errors.numbers], 0, -1)
    return values + drawn_errors(own, generator.standard_normal(values.shape))


def Measured(
    X: Any,
    *,
    error: Any = None,
    limits: Any = None,
    lower: Any = None,
    upper: Any = None,
    step: Any = None,
    truncated: Any = None,
) -> ArraySource:
    """Data with how they were measured, for the X of any method.

    The mixture is that of the true values (extreme deconvolution; Bovy, Hogg & Roweis 2011), before
    censoring, rounding and truncation. ``log_likelihood_`` and ``score_samples`` are of what was
    measured; ``true_values`` returns the posterior of the true values.

    Parameters
    ----------
    X : array or frame (n, D)
        Measured values; missing values need ``missing="use"``. Cells such as ``"<0.5"`` or
        ``">100"`` are limits.
    error : array (D,), (n, D) or (n, D, D), optional
        Standard deviations of the errors, for all samples or for each, or their covariances. An
        infinite standard deviation or variance is a missing value.
    limits : (low, high), each a number or (D,), optional
        Limits of detection: values at or beyond them are censored there. Infinite: no limit.
    lower, upper : array (n, D), optional
        The value lies between them; it is exact where they are equal, and X tells it where both are
        NaN. Infinite bounds, or one of them alone, are open ends.
    step : float, (D,) or "auto", optional
        Resolution of each column, 0 for none: the value lies within half a step of X. "auto" finds
        the grid of columns in which most values are tied.
    truncated : (low, high), each a number, (D,), (n, D) or, of one column, (n,), optional
        Samples with measured values (before rounding) beyond these bounds were never recorded.
        ``weights_`` are then shares among recorded samples, ``population_weights_`` those before
        truncation, which predictions for other data use.

    Returns
    -------
    source

    Raises
    ------
    ValueError
        If errors, bounds or steps do not fit X; the message names row and column.

    Notes
    -----
    An interval contributes the logarithm of its probability, a rounded value log(P / step). If
    columns are dependent (full and tied covariances, correlated errors), each sample may have two
    censored values; in samples with more than two in steps, a step is approximated by an error of
    variance step² / 12 (Sheppard). All but errors, with truncation of one column, also fits
    ``Exponential``, ``Gamma``, ``LogNormal``, ``NegativeBinomial``, ``Poisson``, ``Weibull`` and
    a ``Product`` of these and of normal columns.

    Examples
    --------
    >>> import numpy as np
    >>> import bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> true = rng.normal(0.0, 1.0, (500, 1))
    >>> error = rng.uniform(0.5, 2.0, (500, 1))
    >>> X = bm.Measured(true + error * rng.normal(size=(500, 1)), error=error)
    >>> gm = bm.GaussianMixture(1).fit(X)
    >>> gm.covariances_.ravel().round(1)
    array([1.])
    >>> values = gm.true_values(X)
    >>> bool(np.abs(values.mean - true).mean() < np.abs(X.values - true).mean())
    True

    Values below a limit of detection of -0.5:

    >>> censored = bm.Measured(true, limits=(-0.5, np.inf))
    >>> bm.GaussianMixture(1).fit(censored).covariances_.ravel().round(1)
    array([1.])
    """
    names = getattr(X, "columns", None)
    columns = None if names is None else tuple(map(str, names))
    try:
        values = np.array(X, dtype=np.float64)
    except (TypeError, ValueError):  # text, or pandas' own missing values
        values, *written = _table_of(X)
        lower, upper = (
            told if given is None else np.where(np.isnan(given), told, given)
            for given, told in zip((lower, upper), written, strict=True)
        )
    if values.ndim != 2:
        raise InvalidInputError(
            f"X must have two dimensions, rows and columns, got shape {values.shape}"
        )
    data = _Table(values, columns)
    errors = data.errors(np.zeros(values.shape[1]) if error is None else error)
    given = data.intervals(lower, upper, limits, step)
    region = None if truncated is None else data.region(truncated, given)
    intervals = None if np.isnan(given.lower).all() else given
    if intervals is not None:
        data.spread_out(intervals)
    side = SideInformation(measurement=Instrument(errors, intervals, region))
    return ArraySource(values, columns=columns, side=side)


class _Table(NamedTuple):
    """Values (n, D), which its methods complete, and names of columns."""

    values: Array
    columns: tuple[str, ...] | None

    def place(self, wrong: Booleans) -> tuple[int, int, str]:
        """Return the first place (n, D) with a fault: row, column and both in words."""
        row, column = np.argwhere(wrong)[0].tolist()
        name = column if self.columns is None else repr(self.columns[column])
        return row, column, f"row {row}, column {name}"

    def errors(self, error: Any) -> Errors:
        """Return the errors; values with infinite ones become missing."""
        given = np.array(error, dtype=np.float64)
        n, D = self.values.shape
        if given.shape not in ((D,), (n, D), (n, D, D)):
            raise InvalidInputError(
                f"error must have shape ({D},), ({n}, {D}) or ({n}, {D}, {D}) for X of shape "
                f"{self.values.shape}, got {given.shape}"
            )
        spread = np.broadcast_to(given, (n, D)) if given.ndim < 3 else np.diagonal(given, 0, 1, 2)
        wrong = ~(spread >= 0.0)
        if wrong.any():
            row, column, where = self.place(wrong)
            raise InvalidInputError(
                f"error must not be negative or missing, got {spread[row, column]:g} in {where}: "
                "pass infinity where the value is unknown"
            )
        unknown = np.isinf(spread)
        self.values[unknown] = np.nan
        if given.ndim == 3:
            given[unknown[:, :, None] | unknown[:, None, :]] = 0.0
            _refuse_no_covariance(given)
            given = given if D > 1 else given[:, :, 0]
        else:
            given = np.where(np.isinf(given), 0.0, given) ** 2
        if given.ndim == 1:
            return Errors(given[None], np.zeros(n, dtype=np.intp))
        distinct, numbers = np.unique(given, axis=0, return_inverse=True)
        if 2 * len(distinct) > n:  # where few are equal, their order is that of the samples
            return Errors(given, np.arange(n))
        return Errors(distinct, numbers.ravel())

    def intervals(self, lower: Any, upper: Any, limits: Any, step: Any) -> Intervals:
        """Return the intervals; values that bounds tell exactly, or not at all, are set."""
        values = self.values
        low, high = np.full((2, *values.shape), np.nan)
        for name, bound, given in (("lower", low, lower), ("upper", high, upper)):
            if given is not None:
                bound[:] = self._as_wide(name, given, (values.shape,))
        told = ~(np.isnan(low) & np.isnan(high))
        low[told & np.isnan(low)], high[told & np.isnan(high)] = -np.inf, np.inf
        if (low > high).any():
            row, column, where = self.place(low > high)
            raise InvalidInputError(
                f"lower must not be above upper, got {low[row, column]:g} and "
                f"{high[row, column]:g} in {where}: exchange them"
            )
        exact, unknown = low == high, np.isneginf(low) & np.isposinf(high)
        values[exact], values[unknown] = low[exact], np.nan
        told &= ~exact & ~unknown
        if limits is not None:
            least, most = self._pair("limits", limits, (values.shape[1:], ()))
            with np.errstate(invalid="ignore"):
                below, above = ~told & (values <= least), ~told & (values >= most)
            low, high = np.where(below, -np.inf, low), np.where(below, least, high)
            low, high = np.where(above, most, low), np.where(above, np.inf, high)
            told |= below | above
        steps = self._steps(step, ~told)
        rounded = ~told & ~np.isnan(values) & (steps > 0.0)
        low = np.where(rounded, values - 0.5 * steps, np.where(told, low, np.nan))
        high = np.where(rounded, values + 0.5 * steps, np.where(told, high, np.nan))
        return Intervals(low, high, rounded, steps)

    def _steps(self, step: Any, exact: Booleans) -> Array:
        values, D = self.values, self.values.shape[1]
        if isinstance(step, str):
            if step != "auto":
                raise InvalidInputError(f"step must be 'auto' or numbers, got {step!r}")
            known = exact & ~np.isnan(values)
            return np.array([rounded_step(values[known[:, d], d]) for d in range(D)])
        steps = np.zeros(D) if step is None else self._as_wide("step", step, ((D,), ()))
        wrong = ~((steps >= 0.0) & np.isfinite(steps))
        if wrong.any():
            _, column, where = self.place(np.broadcast_to(wrong, values.shape))
            raise InvalidInputError(
                f"step must be finite and not negative, got {steps[column]:g} in {where}: pass 0 "
                "for a column that is not rounded"
            )
        return steps

    def region(self, truncated: Any, intervals: Intervals) -> Region:
        """Return the region of recorded values, to which intervals are cut."""
        n, D = self.values.shape
        least, most = self._pair("truncated", truncated, ((D,), (), (n, D), (n,)[: 2 - D]))
        for bound in (intervals.lower, intervals.upper):
            np.clip(bound, least, most, out=bound)
        outside = (self.values < least) | (self.values > most)
        outside &= np.isnan(intervals.lower)
        outside |= intervals.lower >= intervals.upper
        if outside.any():
            row, column, where = self.place(outside)
            raise InvalidInputError(
                f"X must lie within the bounds of truncated, got {self.values[row, column]:g} in "
                f"{where}: leave out that row, or pass the bounds at which samples were lost"
            )
        shape = (n, D) if max(least.ndim, most.ndim) == 2 else (1, D)
        return Region(np.broadcast_to(least, shape).copy(), np.broadcast_to(most, shape).copy())

    def _as_wide(self, name: str, given: Any, shapes: tuple[tuple[int, ...], ...]) -> Array:
        """Return bounds or steps as numbers (D,) or (n, D)."""
        array = np.array(given, dtype=np.float64)
        if array.shape not in shapes:
            allowed = " or ".join(str(shape) for shape in dict.fromkeys(shapes) if shape)
            raise InvalidInputError(
                f"{name} must have shape {allowed} for X of shape {self.values.shape}, got "
                f"{array.shape}"
            )
        if array.ndim == 1 and len(array) != self.values.shape[1]:
            return array[:, None]
        return array if array.ndim else np.full(self.values.shape[1], float(array))

    def _pair(
        self, name: str, given: Any, shapes: tuple[tuple[int, ...], ...]
    ) -> tuple[Array, Array]:
        """Return lower and upper bounds; None is no bound."""
        if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != 2:
            raise InvalidInputError(f"{name} must be a pair (low, high), got {given!r}")
        least, most = (
            self._as_wide(name, open_end if bound is None else bound, shapes)
            for bound, open_end in zip(given, (-np.inf, np.inf), strict=True)
        )
        wrong = ~(least < most)
        if wrong.any():
            _, _, where = self.place(np.broadcast_to(wrong, self.values.shape))
            raise InvalidInputError(
                f"{name} must have a low bound below the high one in each column, which fails in "
                f"{where}: pass -inf and inf where there is none"
            )
        return least, most

    def spread_out(self, intervals: Intervals) -> None:
        """Set values in intervals to points of them, spread evenly so that starts see no ties."""
        values, n_features = self.values, self.values.shape[1]
        inside = ~np.isnan(intervals.lower)
        ratio = 2.0
        for _ in range(64):
            ratio = (1.0 + ratio) ** (1.0 / (n_features + 1))
        # An additive sequence that fills the unit cube evenly (Roberts 2018).
        along = np.arange(1, len(values) + 1)[:, None] / ratio ** np.arange(1, n_features + 1)
        share = (0.5 + along) % 1.0
        ends = np.where(np.isinf(intervals.lower), intervals.upper, intervals.lower)
        ends = np.where(inside, ends, values)
        width = np.nanstd(ends, axis=0)
        width = np.where(width > 0.0, width, np.where(np.abs(ends[0]) > 0.0, np.abs(ends[0]), 1.0))
        low, high = intervals.lower, intervals.upper
        # Open ends of columns without negative numbers begin at 0.
        ends[np.isneginf(ends)] = 0.0
        told = np.where(intervals.rounded, values, ends)
        least = np.where((np.nanmin(told, axis=0) >= 0.0) & (high >= 0.0), 0.0, -np.inf)
        low = np.maximum(np.where(np.isneginf(low), high - width, low), least)
        high = np.where(np.isposinf(high), low + width, high)
        points = low + share * (high - low)
        # In columns of whole numbers, so are points, but for rounded values.
        whole = (ends == np.floor(ends)) | np.isnan(ends)
        whole = whole.all(axis=0) & ~intervals.rounded.any(axis=0)
        points = np.where(whole, np.clip(np.rint(points), np.ceil(low), np.floor(high)), points)
        values[inside] = points[inside]


def _refuse_no_covariance(covariances: Array) -> None:
    """Raise an error for the first matrix that is not symmetric and positive semidefinite."""
    size = np.abs(covariances).max(axis=(1, 2))
    least = ROUNDING * size
    uneven = np.abs(covariances - covariances.swapaxes(1, 2)).max(axis=(1, 2)) > least
    symmetric = np.isfinite(covariances).all(axis=(1, 2)) & ~uneven
    lowest = np.full(len(size), -np.inf)
    lowest[symmetric] = np.linalg.eigvalsh(covariances[symmetric])[:, 0]
    wrong = np.flatnonzero(~(lowest >= -least))
    if len(wrong):
        raise InvalidInputError(
            f"error must hold symmetric, positive semidefinite covariances, but that of row "
            f"{wrong[0]} is not: check its units and signs"
        )


class WrittenValues(NamedTuple):
    """Values, lower and upper bounds (n,) or (n, D), NaN where there is none."""

    values: Array
    lower: Array
    upper: Array

    @property
    def limited(self) -> bool:
        """Whether any cell is a limit."""
        return not bool(np.isnan(self.lower).all() and np.isnan(self.upper).all())


def column_of(column: pd.Series[Any]) -> WrittenValues | None:
    """Return the numbers and limits of a column, None if it holds anything else."""
    import pandas as pd

    unknown = np.full(len(column), np.nan)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return WrittenValues(column.to_numpy(np.float64, na_value=np.nan), unknown, unknown)
    text = column.astype("string").fillna("").str.strip()
    parts = text.str.extract(r"^([<>])?=?\s*(.*)$")
    numbers = pd.to_numeric(parts[1].replace("", None), errors="coerce").to_numpy(
        np.float64, na_value=np.nan
    )
    if (np.isnan(numbers) & ~text.isin(["", "nan"]).to_numpy(bool)).any():
        return None
    below, above = (parts[0].fillna("").to_numpy(str) == side for side in "<>")
    bounds = np.where(above, numbers, np.nan), np.where(below, numbers, np.nan)
    return WrittenValues(np.where(below | above, np.nan, numbers), *bounds)


def _table_of(X: Any) -> WrittenValues:
    """Return the numbers of a table (n, D) and limits such as ``<0.5``; refuse other text."""
    import pandas as pd

    frame = pd.DataFrame(X)
    columns = {name: column_of(column) for name, column in frame.items()}
    if wrong := [repr(name) for name, cells in columns.items() if cells is None]:
        raise InvalidInputError(
            f"X must hold numbers, or limits such as '<0.5', but these columns do not: "
            f"{', '.join(wrong)}: leave them out"
        )
    return WrittenValues(*(np.column_stack(part) for part in zip(*columns.values(), strict=True)))
