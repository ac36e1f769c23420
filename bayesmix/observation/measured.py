"""Data with how they were measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.core.rows import SideInformation
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.rounding import steps_of
from bayesmix.observation.deconvolution import drawn_errors
from bayesmix.observation.instrument import Instrument
from bayesmix.observation.trials import SuccessesInTrials
from bayesmix.sources.containers import tabular
from bayesmix.sources.memory import ArraySource, is_source
from bayesmix.sources.survey_weights import warn_of_order

if TYPE_CHECKING:
    import pandas as pd

# Eigenvalues of a covariance relative to the largest that are rounding.
ROUNDING = 1e-12
# Cells that stand for values below the limit of detection in ``limits``.
UNDETECTED = ("nd", "n.d.", "n.d", "n/d", "bdl", "<lod", "< lod", "<dl", "not detected")


def with_errors(values: Array, error: Any, generator: np.random.Generator) -> Array:
    """Return true values (n, D) plus draws of errors, NaN where these are infinite."""
    distinct, numbers, unknown = _Table(values, None).errors(error)
    errors = np.moveaxis(distinct[numbers], 0, -1)
    measured = values + drawn_errors(errors, generator.standard_normal(values.shape))
    return np.where(unknown, np.nan, measured)


def Measured(
    X: Any,
    *,
    error: Any = None,
    limits: Any = None,
    lower: Any = None,
    upper: Any = None,
    step: Any = None,
    truncated: Any = None,
    trials: Any = None,
) -> ArraySource:
    """Data with how they were measured, for the X of any method.

    The mixture is that of the true values (extreme deconvolution; Bovy, Hogg & Roweis 2011), before
    censoring, rounding and truncation. ``log_likelihood_`` and ``score_samples`` are of what was
    measured; ``true_values`` returns the posterior of the true values.

    Parameters
    ----------
    X : array or frame (n, D)
        Measured values; missing values need ``missing="use"``. Cells such as ``"<0.5"`` or
        ``">100"`` are limits; ``"ND"`` is a value below that of ``limits``. Frames and series below
        may have its columns in another order.
    error : number or array (D,), (n, D) or (n, D, D), optional
        Standard deviations, for all samples or for each, or covariances; infinite: missing value.
    limits : (low, high), each a number, (D,) or (n, D), optional
        Limits of detection: values at or beyond them are censored there. Infinite: no limit.
    lower, upper : array (n, D), optional
        The value lies between them, exact where they are equal, and is that of X where both are
        NaN. Infinite bounds, or one of them alone, are open ends.
    step : float, (D,) or "auto", optional
        Resolution of each column, 0 for none: the value lies within half a step of X. "auto" finds
        the grid of columns in which most values are tied, and coarser grids of some values.
    truncated : (low, high), each a number, (D,) or (n, D), optional
        Samples with measured values (before rounding) beyond these bounds were never recorded;
        missing values of recorded samples lie within them.
        ``weights_`` are then shares among recorded samples, ``population_weights_`` those before
        truncation, which predictions for other data use.
    trials : int or array (D,), (n,), (n, 1) or (n, D), optional
        Numbers of trials of ``Binomial()``: X has the numbers of successes in them. A cell of 0
        trials tells nothing. No other option goes with it.

    Raises
    ------
    InvalidInputError
        For values that contradict the options, with the row and column of the first.

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
    if is_source(X):
        raise InvalidInputError("X must be an array or a frame: pass all options of Measured once")
    X = tabular(X)
    written: Any = None, None
    if np.ndim(X) != 2:
        raise InvalidInputError(f"X must have two dimensions, got {X!r:.60}")
    try:
        values = _doubles(X)
    except (TypeError, ValueError):  # text, or pandas' own missing values
        values, *written = _table_of(X)
    if not values.size:
        raise InvalidInputError(f"X must have at least one row and column, got {values.shape}")
    data = _Table(values, X)
    if trials is not None:
        given = {"error": error, "limits": limits, "lower": lower, "upper": upper, "step": step}
        given |= {"truncated": truncated}
        if others := [name for name, value in given.items() if value is not None]:
            raise InvalidInputError(f"trials cannot be combined with {others[0]}: leave one out")
        return data.successes_in(trials)
    low, high = data.intervals(lower=(written[0], lower), upper=(written[1], upper))
    errors, groups, unknown = data.errors(0.0 if error is None else error)
    values[unknown] = low[unknown] = high[unknown] = np.nan
    least, most = data.pair("limits", limits)
    below = np.isnan(low) & (values <= least) & (least > -np.inf)
    above = np.isnan(low) & (values >= most) & (most < np.inf)
    low = np.where(below, -np.inf, np.where(above, most, low))
    high = np.where(below, least, np.where(above, np.inf, high))
    exact = np.isnan(low) & ~np.isnan(values)
    data.refuse(
        exact & np.isinf(values),
        "X must be finite or have limits, got {:g} in {place}, which 'ND' stands for too: pass "
        "limits for that column, or NaN if the value is missing",
        values,
    )
    steps = np.where(exact, data.steps(step, exact), 0.0)
    low = np.where(steps > 0.0, values - 0.5 * steps, low)
    high = np.where(steps > 0.0, values + 0.5 * steps, high)
    least, most = data.pair("truncated", truncated)
    # A missing value of a recorded sample lies within the bounds.
    lost = np.isnan(values) & np.isnan(low) & (np.isfinite(least) | np.isfinite(most))
    low, high = np.where(lost, least, low), np.where(lost, most, high)
    low, high = np.clip(low, least, most), np.clip(high, least, most)
    data.refuse(
        np.where(np.isnan(low), (values < least) | (values > most), low >= high),
        "X must lie within the bounds of truncated, got {:g} in {place}: leave out that row, "
        "or pass the bounds at which samples were lost",
        values,
    )
    data.spread_out(low, high, steps > 0.0)
    instrument = Instrument(errors, groups, low, high, steps, least, most)
    return ArraySource(values, columns=data.columns, side=SideInformation(measurement=instrument))


def _doubles(given: Any) -> Array:
    """Return numbers, NaN where they are masked."""
    return np.ma.filled(np.ma.array(given, np.float64, copy=True), np.nan)


class _Table(NamedTuple):
    """Values (n, D), which its methods complete, and the data of the user that hold them."""

    values: Array
    data: Any

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the columns."""
        return tuple(map(str, self.data.columns)) if hasattr(self.data, "columns") else None

    def refuse(self, wrong: Booleans, text: str, *shown: Array) -> None:
        """Raise an error for the first place (n, D) with a fault; the text shows numbers there."""
        wrong = np.broadcast_to(wrong, self.values.shape)
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            name = column if self.columns is None else repr(self.columns[column])
            numbers = (np.broadcast_to(part, wrong.shape)[row, column] for part in shown)
            place = f"row {row}, column {name}"
            raise InvalidInputError(text.format(*numbers, place=place, row=row))

    def numbers(self, name: str, given: Any, *shapes: tuple[int, ...]) -> Array:
        """Return numbers (1, D), (n, D) or (n, D, D), in the order of the columns if named."""
        if hasattr(given, "reindex"):
            warn_of_order(self.data, given, name)
            labels, columns = list(given.axes[-1]), list(getattr(self.data, "columns", ()))
            named = len(labels) == len(columns) and not set(labels).isdisjoint(columns)
            if named and labels != columns:
                if set(labels) != set(columns) or not given.axes[-1].is_unique:
                    raise InvalidInputError(
                        f"{name} must have the columns {columns} of X, got {labels}: rename these, "
                        "or pass an array in the order of X"
                    )
                given = given.reindex(columns, axis=given.ndim - 1)
            given = given.astype(object).where(given.notna(), np.nan)
        try:
            array = _doubles(given)
        except (TypeError, ValueError):
            raise InvalidInputError(f"{name} must hold numbers, got {given!r:.60}") from None
        n, D = self.values.shape
        if D == 1 and array.shape == (n,) and (n, D) in shapes:
            array = array[:, None]
        if array.shape not in shapes:
            allowed = " or ".join(dict.fromkeys(str(shape) for shape in shapes if shape))
            raise InvalidInputError(
                f"{name} must have shape {allowed} for X of shape {(n, D)}, got {array.shape}"
            )
        return array if array.ndim > 1 else np.broadcast_to(array, (1, D))

    def errors(self, error: Any) -> tuple[Array, Integers, Booleans]:
        """Return distinct errors, their numbers, and which values (n, D) have infinite ones."""
        n, D = self.values.shape
        given = self.numbers("error", error, (D,), (), (n, D), (n, D, D))
        spread = np.diagonal(given, 0, 1, 2) if given.ndim == 3 else given
        if np.isnan(spread).any():  # so may be those of missing values
            spread = np.where(np.isnan(spread) & np.isnan(self.values), np.inf, spread)
        self.refuse(
            ~(spread >= 0.0),
            "error must not be negative or missing, got {:g} in {place}: pass infinity where the "
            "value is unknown",
            spread,
        )
        unknown = np.isinf(spread)
        if given.ndim == 3:
            given = np.where(unknown[:, :, None] | unknown[:, None, :], 0.0, given)
            finite = np.where(np.isfinite(given), given, 0.0)
            rounding = ROUNDING * np.abs(finite).max(axis=(1, 2))
            even = np.abs(given - finite.swapaxes(1, 2)).max(axis=(1, 2)) <= rounding
            self.refuse(
                ~(even & (np.linalg.eigvalsh(finite)[:, 0] >= -rounding))[:, None],
                "error must hold symmetric, positive semidefinite covariances, but that of row "
                "{row} is not: check its units and signs",
            )
            given = given if D > 1 else given[:, :, 0]
        else:
            given = np.where(unknown, 0.0, given) ** 2
        unknown = np.broadcast_to(unknown, (n, D))
        distinct, numbers = np.unique(given, axis=0, return_inverse=True)
        if 2 * len(distinct) > n:  # where few are equal, their order is that of the samples
            return given, np.arange(n), unknown
        return distinct, np.broadcast_to(numbers.ravel(), n), unknown

    def intervals(self, **bounds: Any) -> tuple[Array, Array]:
        """Return bounds (n, D) from those given and written; values that these tell are set."""
        values, (low, high) = self.values, np.full((2, *self.values.shape), np.nan)
        for bound, (name, parts) in zip((low, high), bounds.items(), strict=True):
            for given in parts:
                if given is not None:
                    numbers = self.numbers(name, given, values.shape)
                    np.copyto(bound, numbers, where=~np.isnan(numbers))
        told = ~(np.isnan(low) & np.isnan(high))
        low[told & np.isnan(low)], high[told & np.isnan(high)] = -np.inf, np.inf
        self.refuse(
            low > high,
            "lower must not be above upper, got {:g} and {:g} in {place}: exchange them",
            low,
            high,
        )
        exact, unknown = low == high, np.isneginf(low) & np.isposinf(high)
        np.copyto(values, low, where=exact | (told & np.isnan(values)))
        values[unknown] = np.nan
        low[exact | unknown] = high[exact | unknown] = np.nan
        return low, high

    def steps(self, step: Any, exact: Booleans) -> Array:
        """Return the resolution (1, D) of the columns, or (n, D) of the values; 0 for none."""
        n, D = self.values.shape
        if isinstance(step, str) and step == "auto":
            steps = np.zeros((n, D))
            for d in range(D):
                steps[exact[:, d], d] = steps_of(self.values[exact[:, d], d])
            return steps
        if isinstance(step, str):
            raise InvalidInputError(f"step must be 'auto' or numbers, got {step!r}")
        steps = self.numbers("step", 0.0 if step is None else step, (D,), ())
        self.refuse(
            ~((steps >= 0.0) & np.isfinite(steps)),
            "step must be finite and not negative, got {:g} in {place}: pass 0 for a column that "
            "is not rounded",
            steps,
        )
        return steps

    def successes_in(self, given: Any) -> ArraySource:
        """Return the source of shares of successes, the values, in given numbers of trials."""
        successes, (n, D) = self.values, self.values.shape
        if np.shape(given) == (n,) and n != D:
            given = np.asarray(given)[:, None]
        trials = np.broadcast_to(self.numbers("trials", given, (D,), (), (n, 1), (n, D)), (n, D))
        missing = np.isnan(successes)
        self.refuse(
            ~missing & ~((trials >= 0.0) & (trials % 1.0 == 0.0) & np.isfinite(trials)),
            "trials must be whole numbers from 0 on, got {:g} in {place}: correct it",
            trials,
        )
        self.refuse(
            ~missing & ~((successes >= 0.0) & (successes % 1.0 == 0.0)),
            "X must hold numbers of successes (0, 1, 2, ...), got {:g} in {place}: pass counts, "
            "not shares",
            successes,
        )
        self.refuse(
            successes > trials,
            "X must be at most the number of trials, got {:g} successes in {:g} trials in {place}: "
            "correct X or trials",
            successes,
            trials,
        )
        trials = np.where(missing, 0.0, trials)
        successes = np.where(missing, 0.0, successes)
        # Cells of 0 trials are in the middle of their column.
        middle = successes.sum(axis=0) / np.maximum(trials.sum(axis=0), 1.0)
        values = np.where(trials > 0.0, successes / np.maximum(trials, 1.0), middle)
        values[missing] = np.nan
        side = SideInformation(measurement=SuccessesInTrials(successes, trials))
        return ArraySource(values, columns=self.columns, side=side)

    def pair(self, name: str, given: Any) -> Array:
        """Return both bounds (2, 1, D) or (2, n, D)."""
        n, D = self.values.shape
        given = (None, None) if given is None else given
        if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != 2:
            raise InvalidInputError(f"{name} must be a pair (low, high), got {given!r}")
        ends = (
            self.numbers(name, open_end if end is None else end, (D,), (), (n, D))
            for end, open_end in zip(given, (-np.inf, np.inf), strict=True)
        )
        least, most = bounds = np.array(np.broadcast_arrays(*ends))
        self.refuse(
            ~(least < most),
            f"{name} must have a low bound below the high one in each column, which fails in "
            "{place}: pass -inf and inf where there is none",
        )
        return bounds

    def spread_out(self, low: Array, high: Array, rounded: Booleans) -> None:
        """Set values in intervals to points of them, spread evenly so that starts see no ties."""
        values, (n, D) = self.values, self.values.shape
        inside = ~np.isnan(low)
        if not inside.any():
            return
        # An additive sequence that fills the unit cube evenly (Niederreiter 1972).
        share = np.arange(1, n + 1)[:, None] * 2.0 ** (np.arange(1, D + 1) / (D + 1))
        ends = np.where(inside, np.where(np.isinf(low), high, low), values)
        width = np.ma.masked_invalid(ends).std(axis=0).filled(0.0)
        width = np.where(width > 0.0, width, np.fmax.reduce(np.abs(ends), axis=0, initial=0.0))
        # Columns without negative numbers begin at 0.
        positive = ~(np.where(inside, high, values) < 0.0).any(axis=0)
        low = np.where(np.isneginf(low), high - width, low)
        low = np.where(positive & (high > 0.0), np.maximum(low, 0.0), low)
        high = np.where(np.isposinf(high), low + width, high)
        points = low + share % 1.0 * (high - low)
        # In columns of whole numbers, so are points, but for rounded values; durations exceed 0.
        whole = (ends == np.floor(ends)) | np.isnan(ends) | (inside & ~inside.all(axis=0))
        first, last = np.ceil(low) + (low == 0.0), np.floor(high)
        whole = whole.all(axis=0) & ~rounded.any(axis=0) & (first <= last)
        points = np.where(whole, np.clip(np.rint(points), first, last), points)
        values[inside] = points[inside]


def column_of(column: pd.Series[Any]) -> Array | None:
    """Return values, lower and upper bounds (3, n) of a column, None if it holds anything else."""
    bounds, other = _bounds_of(column)
    return None if other.any() else bounds


def _bounds_of(column: pd.Series[Any]) -> tuple[Array, Booleans]:
    """Return values, lower and upper bounds (3, n), and which cells hold anything else."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype):
        none = np.full((2, len(column)), np.nan)
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        return np.vstack([numbers, none]), np.zeros(len(column), dtype=bool)
    text = column.astype("string").fillna("").str.strip().str.translate(str.maketrans("≤≥", "<>"))
    undetected = text.str.lower().isin(UNDETECTED).to_numpy(bool)
    parts = text.mask(undetected, "").str.extract(r"^([<>])?=?\s*(.*)$")
    digits = parts[1].replace("", None)
    # Decimal commas, unless three digits after all of them may be thousands.
    if digits.str.contains(r",(?!\d{3}$)").any() and not digits.str.contains(r"\.").any():
        digits = digits.str.replace(",", ".")
    read = pd.to_numeric(digits, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    numbers = np.where(undetected, -np.inf, read)
    other = np.isnan(numbers) & ~text.isin(["", "nan"]).to_numpy(bool)
    below, above = (parts[0].fillna("").to_numpy(str) == side for side in "<>")
    return np.where([below | above, ~above, ~below], np.nan, numbers), other


def _table_of(X: Any) -> Array:
    """Return the numbers of a table (3, n, D) and limits such as ``<0.5``; refuse other text."""
    import pandas as pd

    table = pd.DataFrame(X)
    read = [_bounds_of(column) for _, column in table.items()]
    if wrong := [
        f"{name!r} (row {row}: {table.iat[row, d]!r:.30})"
        for d, (name, (_, other)) in enumerate(zip(table, read, strict=True))
        for row in np.flatnonzero(other)[:1].tolist()
    ]:
        raise InvalidInputError(
            "X must hold numbers in one notation, or limits such as '<0.5', but these columns do "
            f"not: {', '.join(wrong)}: correct their cells, or leave them out"
        )
    return np.stack([bounds for bounds, _ in read], axis=-1)
