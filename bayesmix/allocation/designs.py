"""Design matrices: an intercept and standardised columns, and coefficients in their own units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bayesmix.core.missing_marks import MARKS, is_mark, read_as_missing
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.numerics.arrays import Array, Booleans

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.core.sources import Source

# Rows of a block: its columns fit into some megabytes.
ROWS_AT_ONCE = 2**16
# Levels that a message lists.
LEVELS_NAMED = 5


@dataclass(frozen=True)
class CodedColumn:
    """A column of a frame, and the columns of a design that it makes.

    Text makes an indicator of each of its ``levels`` but the first, which is the reference; numbers
    have no levels.
    """

    name: str
    terms: tuple[str, ...]
    levels: tuple[str, ...] = ()

    def indicators(self, argument: str, column: Any) -> dict[str, Any]:
        """Return the columns of the design from a series, or raise an error for other levels."""
        if not self.levels:
            numbers = _numbers(column)
            if numbers is None:
                _refuse_missing(argument, self.name, column)
            return {self.terms[0]: column if numbers is None else numbers}
        text = _texts(argument, self.name, column, self.levels)
        if unseen := sorted(set(text).difference(self.levels)):
            raise InvalidInputError(
                f"{argument}: column {self.name!r} has {unseen[0]!r}, which the fit has not seen; "
                f"its levels are {', '.join(map(repr, self.levels[:LEVELS_NAMED]))}"
                + (", ..." if len(self.levels) > LEVELS_NAMED else "")
            )
        pairs = zip(self.terms, self.levels[1:], strict=True)
        return {term: np.asarray(text == level, np.float64) for term, level in pairs}


@dataclass(frozen=True)
class CodedFrame:
    """A frame as numbers, and the columns that it was made from."""

    table: pd.DataFrame
    coding: tuple[CodedColumn, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.table, dtype)


@dataclass(frozen=True)
class Standardised:
    """A design with an intercept and columns of mean 0 and standard deviation 1.

    ``coding`` has the columns of the frame that ``names`` were made from; arrays have none.
    """

    names: tuple[str, ...]
    centre: Array
    scale: Array
    intercept: bool = True
    coding: tuple[CodedColumn, ...] = ()

    @classmethod
    def of(
        cls,
        argument: str,
        values: Array,
        names: tuple[str, ...],
        intercept: bool = True,
        coding: tuple[CodedColumn, ...] = (),
    ) -> Self:
        """Return the standardisation of columns, which must not follow from one another."""
        centre = values.mean(axis=0) if intercept else np.zeros(values.shape[1])
        blocks = range(0, len(values), ROWS_AT_ONCE)
        squares = [((values[i : i + ROWS_AT_ONCE] - centre) ** 2).sum(axis=0) for i in blocks]
        scale = np.sqrt(np.sum(squares, axis=0) / len(values))
        for name, size, about in zip(names, scale, np.abs(centre), strict=True):
            if not size > 1e-12 * about:
                raise InvalidInputError(
                    f"{argument}: column {name!r} is constant"
                    + (": leave it out, as there is an intercept" if intercept else " and zero")
                )
        design = cls(names, centre, scale, intercept, coding)
        triangle: Any = np.empty((0, len(design.terms)))
        for begin in blocks:
            block = design.apply(values[begin : begin + ROWS_AT_ONCE])
            triangle = np.linalg.qr(np.vstack([triangle, block]), mode="r")
        # The diagonal has what the columns before leave of each.
        rests = np.zeros(len(design.terms))
        rests[: len(triangle)] = np.abs(np.diag(triangle)) / np.sqrt(len(values))
        for place in range(1, len(rests)):
            # Sums of squares of smaller parts would have no digits left.
            if rests[place] < 1e-6:
                name = names[place - intercept]
                raise InvalidInputError(
                    f"{argument}: column {name!r} is a linear combination of the columns before "
                    "it: leave it out, or centre columns before you multiply them"
                )
        return design

    def gated(self, inference: Any, source: Source, n_components: int) -> Any:
        """Return the inference with a gate, or a chain that begins with one, as its weights."""
        from bayesmix.allocation.gated_chain import gated

        return gated(inference, source, n_components)

    def place(self, column: int | str, wanted: str) -> int:
        """Return the place of a column that is given by its name or index."""
        if isinstance(column, str) and column in self.names:
            return self.names.index(column)
        if isinstance(column, (int, np.integer)) and column in range(len(self.names)):
            return int(column)
        raise InvalidInputError(
            f"{wanted} of columns, got {column!r:.60}; the columns are {', '.join(self.names)}"
        )

    def apply(self, values: Array) -> Array:
        """Return the design matrix (n, P)."""
        columns = (values - self.centre) / self.scale
        return np.column_stack([np.ones(len(values)), columns]) if self.intercept else columns

    def restricted(self, places: Sequence[int]) -> Standardised:
        """Return the design of the intercept and some other columns, by places among ``terms``."""
        chosen = [place - 1 for place in places[1:]]
        names = tuple(self.names[place] for place in chosen)
        coding = tuple(
            replace(column, terms=tuple(term for term in column.terms if term in names))
            for column in self.coding
        )
        return Standardised(names, self.centre[chosen], self.scale[chosen], True, coding)

    @property
    def back(self) -> Array:
        """Matrix (P, P) from coefficients of the design to those of the columns as given."""
        plain = np.diag(1.0 / self.scale)
        if not self.intercept:
            return plain
        size = len(self.scale) + 1
        matrix = np.zeros((size, size))
        matrix[0, 0], matrix[0, 1:], matrix[1:, 1:] = 1.0, -self.centre / self.scale, plain
        return matrix

    def in_units(self, coefficients: Array) -> Array:
        """Return coefficients (..., P) of the columns as given; last ones that are absent are 0."""
        return np.asarray(coefficients @ self.back.T[: coefficients.shape[-1]])

    @property
    def terms(self) -> list[str]:
        """Names of the coefficients."""
        return [*(["intercept"] if self.intercept else []), *self.names]

    @property
    def variables(self) -> dict[str, list[int]]:
        """Places among ``terms`` of what each column of the frame makes; without one, of each."""
        coding = self.coding or [CodedColumn(name, (name,)) for name in self.names]
        places: dict[str, list[int]] = {}
        for place, name in enumerate(column.name for column in coding for _ in column.terms):
            places.setdefault(name, []).append(place + self.intercept)
        return places


@dataclass(frozen=True)
class TimeColumns:
    """Powers of time, or B-splines beside time itself, and other columns of a long table.

    Powers are those of the time since ``origin``. Time itself comes first, so that it can have a
    random slope. ``coding`` tells how the ``others`` become numbers.
    """

    time: str
    degree: int = 1
    origin: float = 0.0
    knots: tuple[float, ...] = ()
    others: tuple[str, ...] = ()
    coding: tuple[CodedColumn, ...] = ()

    @classmethod
    def of(cls, time: Any, degree: int, n_knots: int | None = None, others: Any = None) -> Self:
        """Return the columns for times (a series) and a frame of others; knots are quantiles."""
        values, name = np.asarray(time, np.float64), str(time.name)
        n_times, needed = len(np.unique(values)), degree + (n_knots or 2) - 1
        if n_times < needed:
            raise InvalidInputError(
                f"time: column {name!r} has too few different values ({n_times}) for curves with "
                f"{needed} coefficients: lower degree or n_knots"
            )
        coding = () if others is None else coding_of_frame("fixed", others)
        names, knots = tuple(column.name for column in coding), tuple[float, ...]()
        if n_knots is not None:
            # Quantiles of visits at the same time coincide.
            knots = tuple(np.unique(np.quantile(values, np.linspace(0.0, 1.0, n_knots))).tolist())
        # Powers of times far from 0, such as years, are collinear in double precision.
        far = n_knots is None and np.ptp(values) < 0.1 * np.abs(values).max()
        return cls(name, degree, float(values.min()) if far else 0.0, knots, names, coding)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the table."""
        return (self.time, *self.others)

    @property
    def n_curves(self) -> int:
        """Number of columns of time, its powers or splines."""
        return self.degree + max(len(self.knots) - 2, 0)

    def frame(self, table: Any, features: tuple[str, ...] = ()) -> Any:
        """Return the columns of a table as a frame; ``features`` are those of a fit.

        Tables that have these columns already, and arrays, are returned as they are.
        """
        if features and list(map(str, getattr(table, "columns", features))) == list(features):
            return table
        if absent := [name for name in self.names if name not in table.columns]:
            wanted, without = ", ".join(self.names), ", ".join(absent)
            raise InvalidInputError(f"X must have the columns {wanted}, but {without} is absent")
        table = in_pandas(table)[list(self.names)]
        if features and (gaps := table.isna()).any(axis=None):
            row, column = np.argwhere(gaps.to_numpy())[0]
            name = self.names[column]
            raise InvalidInputError(
                f"X: column {name!r} is missing in row {row_label(table, row)}: drop such rows"
            )
        coding = self.coding or tuple(CodedColumn(name, (name,)) for name in self.others)
        coding = (CodedColumn(self.time, (self.time,)), *coding)
        columns: Any = coded_frame("X" if features else "fixed", table, coding).table
        values, taken = np.asarray(columns[self.time], np.float64), list(columns)
        if self.knots:
            from sklearn.preprocessing import SplineTransformer

            knots = np.array(self.knots)[:, None]
            splines = SplineTransformer(knots=knots, degree=self.degree, extrapolation="linear")
            # Splines sum to 1 and contain time: two columns follow from the intercept and time.
            basis = splines.fit(knots).transform(values[:, None])[:, 1:-1]
            curves = {f"{self.time} spline {p}": column for p, column in enumerate(basis.T, 1)}
        else:
            base = f"({self.time} - {self.origin:g})" if self.origin else self.time
            powers = range(2, self.degree + 1)
            curves = {f"{base}^{p}": (values - self.origin) ** p for p in powers}
        curves = {_free(name, taken): column for name, column in curves.items()}
        rest = {name: columns[name] for name in taken[1:]}
        return type(columns)({self.time: values} | curves | rest, index=columns.index)


def row_label(values: Any, place: int) -> Any:
    """Return how messages name a row: by the index of a frame or series, else by its number."""
    return values.index[place] if hasattr(values, "iloc") else place


def in_pandas(values: Any) -> Any:
    """Return a frame of another library as one of pandas, other data as they are."""
    kind = type(values)
    if hasattr(kind, "get_columns"):  # polars, which requires another package for this
        import pandas as pd

        return pd.DataFrame({name: values[name].to_list() for name in values.columns})
    return values.to_pandas() if hasattr(kind, "column_names") else values


def coding_of_frame(argument: str, frame: Any) -> tuple[CodedColumn, ...]:
    """Return how the columns of a frame become numbers; levels of text are in sorted order.

    Raises ``InvalidInputError`` for dates, missing or constant text, and columns of one name.
    """
    taken = [str(name) for name in frame.columns]
    if repeated := sorted({name for name in taken if taken.count(name) > 1}):
        raise InvalidInputError(
            f"{argument}: more than one column is called {repeated[0]!r}: rename them"
        )
    coding = []
    for name, (_, column) in zip(tuple(taken), frame.items(), strict=True):
        if column.dtype.kind in "mM":
            raise InvalidInputError(f"{argument}: column {name!r} has dates: count days from one")
        if _numbers(column.mask(marks_of(column))) is not None:
            coding.append(CodedColumn(name, (name,)))
            continue
        levels = sorted(_texts(argument, name, column).unique())
        if len(levels) == 1:
            raise InvalidInputError(f"{argument}: column {name!r} is constant: leave it out")
        if 2 * len(levels) > len(column):
            raise InvalidInputError(
                f"{argument} must be numbers or categories, but column {name!r} has {len(levels)} "
                f"different texts, such as {levels[0]!r}: write numbers without signs, or leave "
                "it out"
            )
        coding.append(
            CodedColumn(name, indicator_names(name, levels, taken), tuple(map(str, levels)))
        )
    return tuple(coding)


def indicator_names(name: str, levels: Sequence[Any], taken: list[str]) -> tuple[str, ...]:
    """Return names, and note them as taken, of the indicators of all levels but the first.

    A name that another column has tells the reference too.
    """
    names = []
    for level in levels[1:]:
        term = f"{name}_{level}"
        if term in taken:
            term = _free(f"{name} ({level} vs. {levels[0]})", taken)
        names.append(term)
        taken.append(term)
    return tuple(names)


def _free(name: str, taken: Sequence[str]) -> str:
    """Return a name that no other column has."""
    while name in taken:
        name += "'"
    return name


def _numbers(column: Any) -> Array | None:
    """Return a series as numbers, None for text and missing cells beside other objects."""
    try:
        return np.asarray(column.astype(np.float64))
    except (TypeError, ValueError):
        return None


def _texts(argument: str, name: str, column: Any, levels: Collection[str] = ()) -> Any:
    """Return a series as text; raise an error for missing cells and marks of them."""
    _refuse_missing(argument, name, column, levels)
    return column.astype(str)


def _refuse_missing(argument: str, name: str, column: Any, levels: Collection[str] = ()) -> None:
    marks = marks_of(column, levels)
    if not (missing := column.isna().to_numpy() | marks).any():
        return
    place = int(np.argmax(missing))
    got, keep = "one", ""
    if marks[place]:
        got = f"{column.iloc[place]!r}, which means missing,"
        keep = ", or make the column categorical to keep it as a level"
    raise InvalidInputError(
        f"{argument} must have no missing values, got {got} in row {row_label(column, place)}, "
        f"column {name!r}: drop or impute such rows{keep}"
    )


def marks_of(column: Any, levels: Collection[str] = ()) -> Booleans:
    """Return which cells (n,) of a series of text are marks that mean "missing".

    None are marks among categories, which a user has listed, or known ``levels``, or if fewer than
    two other texts are left, such as "+" beside "-".
    """
    none = np.zeros(len(column), dtype=bool)
    if column.dtype.kind in "biufcmM" or hasattr(column, "cat"):
        return none
    present = column.notna().to_numpy()
    cells = column.astype(str).str.strip()
    marks = present & cells.map(is_mark).to_numpy(dtype=bool) & ~cells.isin(levels).to_numpy()
    if not marks.any():
        return none
    others = cells[present & ~marks]
    if _numbers(others) is not None:  # among them -99 can be a measurement
        return np.asarray(marks & cells.str.lower().isin(MARKS).to_numpy())
    return marks if levels or others.nunique() > 1 else none


def without_marks(
    argument: str, frame: Any, levels: Mapping[str, Collection[str]] | None = None
) -> Any:
    """Return a frame whose marks of missing values are missing, and say so in a warning.

    ``levels`` are known levels by column, which are no marks. Other tables are unchanged.
    """
    if not hasattr(frame, "iloc"):
        return frame
    times: Counter[str] = Counter()
    n_columns: Counter[str] = Counter()
    made = {}
    for name, column in frame.items():
        marks = marks_of(column, (levels or {}).get(str(name), ()))
        if marks.any():
            found = Counter(column[marks].astype(str).str.strip())
            times += found
            n_columns += Counter(found.keys())
            rest = column.mask(marks)
            numbers = _numbers(rest)
            made[name] = rest if numbers is None else numbers
    if not made:
        return frame
    warn(f"{argument}: {read_as_missing(times, n_columns)}", BayesmixWarning)
    return frame.assign(**made)


def coded_frame(argument: str, frame: Any, coding: tuple[CodedColumn, ...]) -> CodedFrame:
    """Return a frame as numbers by the coding of a fit.

    Columns are matched by name; a frame may also have those of the design. Raises
    ``InvalidInputError`` for columns that are absent or that the fit did not have, and for levels
    that it has not seen.
    """
    there = list(map(str, frame.columns))
    names = [column.name for column in coding]
    terms = [term for column in coding for term in column.terms]
    if sorted(there) == sorted(terms) != sorted(names):
        coding, names = tuple(CodedColumn(term, (term,)) for term in terms), terms
    if sorted(there) != sorted(names):
        raise InvalidInputError(
            f"{argument} must have the columns of the fit, {', '.join(names)}, got "
            f"{', '.join(there)}"
        )
    made: dict[str, Any] = {}
    for column in coding:
        made |= column.indicators(argument, frame.iloc[:, there.index(column.name)])
    return CodedFrame(type(frame)(made, index=frame.index), coding)


def columns_of(
    argument: str, values: Any, n: int, coding: tuple[CodedColumn, ...] | None = None
) -> tuple[Array, tuple[str, ...], tuple[CodedColumn, ...]]:
    """Return covariates (n, P) of any container, the names of their columns, and their coding.

    Text in frames becomes indicators. ``coding`` is that of a fit, which has none if its covariates
    were an array. Raises ``InvalidInputError`` for other text, missing values or a wrong length.
    """
    coded = values = in_pandas(values)
    if hasattr(values, "iloc") and hasattr(values, "columns"):
        coding = coding_of_frame(argument, values) if coding is None else coding
        coded = coded_frame(argument, values, coding) if coding else values
    coding = ()
    if isinstance(coded, CodedFrame):
        values, coding = coded.table, coded.coding
    names = getattr(values, "columns", None)
    if names is None and getattr(values, "name", None) is not None:  # a series
        names = [values.name]
    given = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or len(given) != n:
        raise InvalidInputError(
            f"{argument} must have one row for each of the {n} samples, got shape {given.shape}"
        )
    default = [f"{argument}{p}" for p in range(given.shape[1])] if names is None else names
    labels = tuple(map(str, default))
    table = np.empty(given.shape)
    for place, name in enumerate(labels):
        try:
            table[:, place] = given[:, place]
        except (TypeError, ValueError):
            raise InvalidInputError(
                f"{argument}: column {name!r} is not numeric: code it as numbers, for example with "
                "pandas.get_dummies(drop_first=True, dtype=float)"
            ) from None
    wrong = ~np.isfinite(table)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        got = "NaN" if np.isnan(table[row, column]) else "infinity"
        raise InvalidInputError(
            f"{argument} must be finite and have no missing values, got {got} in row "
            f"{row_label(values, row)}, column {labels[column]!r}: drop or impute such rows"
        )
    return table, labels, coding
