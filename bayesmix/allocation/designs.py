"""Design matrices: an intercept and standardised columns, and coefficients in their own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.sources import Source

# Rows of a block: its columns fit into some megabytes.
ROWS_AT_ONCE = 2**16


@dataclass(frozen=True)
class Standardised:
    """A design with an intercept and columns of mean 0 and standard deviation 1."""

    names: tuple[str, ...]
    centre: Array
    scale: Array
    intercept: bool = True

    @classmethod
    def of(
        cls, argument: str, values: Array, names: tuple[str, ...], intercept: bool = True
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
        design = cls(names, centre, scale, intercept)
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

    @property
    def terms(self) -> list[str]:
        """Names of the coefficients."""
        return [*(["intercept"] if self.intercept else []), *self.names]


@dataclass(frozen=True)
class TimeColumns:
    """Powers of time, or B-splines beside time itself, and other columns of a long table.

    Powers are those of the time since ``origin``. Time itself comes first, so that it can have a
    random slope.
    """

    time: str
    degree: int = 1
    origin: float = 0.0
    knots: tuple[float, ...] = ()
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, time: Any, degree: int, n_knots: int | None = None, others: Any = ()) -> Self:
        """Return the columns for times (a series), with knots at quantiles."""
        values, name = np.asarray(time, np.float64), str(time.name)
        n_times, needed = len(np.unique(values)), degree + (n_knots or 2) - 1
        if n_times < needed:
            raise InvalidInputError(
                f"time: column {name!r} has too few different values ({n_times}) for curves with "
                f"{needed} coefficients: lower degree or n_knots"
            )
        if n_knots is not None:
            # Quantiles of visits at the same time coincide.
            knots = np.unique(np.quantile(values, np.linspace(0.0, 1.0, n_knots)))
            return cls(name, degree, 0.0, tuple(knots.tolist()), tuple(others))
        # Powers of times far from 0, such as years, are collinear in double precision.
        far = np.ptp(values) < 0.1 * np.abs(values).max()
        return cls(name, degree, float(values.min()) if far else 0.0, (), tuple(others))

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
            columns, without = ", ".join(self.names), ", ".join(absent)
            raise InvalidInputError(f"X must have the columns {columns}, but {without} is absent")
        if hasattr(table, "iloc"):
            table = table[list(self.names)]
        else:
            import pandas as pd

            table = pd.DataFrame({name: table[name].to_list() for name in self.names})
        if features and (gaps := table.isna()).any(axis=None):
            row, column = np.argwhere(gaps.to_numpy())[0]
            name = self.names[column]
            raise InvalidInputError(
                f"X: column {name!r} is missing in row {row_label(table, row)}: drop such rows"
            )
        columns = indicated("X" if features else "fixed", table, features)
        values = columns[self.time].to_numpy()
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
        rest = {name: columns[name] for name in list(columns)[1:]}
        return type(columns)({self.time: values} | curves | rest, index=columns.index)


def row_label(values: Any, place: int) -> Any:
    """Return how messages name a row: by the index of a frame or series, else by its number."""
    return values.index[place] if hasattr(values, "iloc") else place


def indicator_name(column: Any, level: str, reference: str) -> str:
    """Return the name of the indicator of a level, which tells the level that it is compared to."""
    return f"{column} ({level} vs. {reference})"


def variable_of(term: str) -> str:
    """Return the variable behind a term: the column of an indicator, else the term itself."""
    return term.rpartition(" (")[0] if " vs. " in term else term


def indicated(argument: str, values: Any, expected: tuple[str, ...] = ()) -> Any:
    """Return a pandas frame with indicators of all levels but the first in place of text.

    ``expected`` are the columns of a fit; they may name the reference, as in "sex (f vs. m)".
    Raises ``InvalidInputError`` for missing values, and for levels that the fit has not seen.
    """
    if not hasattr(values, "iloc") or not hasattr(values, "columns"):
        return values
    columns: dict[str, Any] = {}
    for name, column in values.items():
        if column.dtype.kind in "mM":
            raise InvalidInputError(f"{argument}: column {name!r} has dates: count days from one")
        try:
            columns[str(name)] = column.astype(np.float64)
            continue
        except (TypeError, ValueError):
            if column.isna().any():
                row = row_label(values, int(np.argmax(column.isna())))
                raise InvalidInputError(
                    f"{argument} must have no missing values, got one in row {row}, column "
                    f"{name!r}: drop or impute such rows"
                ) from None
        text = column.astype(str)
        levels = sorted(text.unique())
        if not expected and len(levels) == 1:
            raise InvalidInputError(f"{argument}: column {name!r} is constant: leave it out")
        if not expected and 2 * len(levels) > len(text):
            raise InvalidInputError(
                f"{argument} must be numbers or categories, but column {name!r} has {len(levels)} "
                f"different texts, such as {levels[0]!r}: write numbers without signs, or leave "
                "it out"
            )
        inside = {e: e[len(str(name)) + 2 : -1] for e in expected if e.startswith(f"{name} (")}
        against = {e: pair.rsplit(" vs. ", 1) for e, pair in inside.items() if " vs. " in pair}
        if against:
            if unseen := set(levels).difference(*against.values()):
                raise InvalidInputError(
                    f"{argument}: column {name!r} has {min(unseen)!r}, which the fit has not seen"
                )
            for term, (level, _) in against.items():
                columns[term] = (text == level).astype(np.float64)
            continue
        coded = [each.removeprefix(f"{name}_") for each in expected if each.startswith(f"{name}_")]
        # The first level of the fit has no indicator; it comes before the others.
        first = [level for level in levels if level not in coded]
        if coded and (len(first) > 1 or (first and first[0] > coded[0])):
            raise InvalidInputError(
                f"{argument}: column {name!r} has {first[-1]!r}, which the fit has not seen"
            )
        for level in coded or levels[1:]:
            columns[f"{name}_{level}"] = (text == level).astype(np.float64)
    return type(values)(columns, index=values.index)


def columns_of(
    argument: str, values: Any, n: int, expected: tuple[str, ...] = ()
) -> tuple[Array, tuple[str, ...]]:
    """Return covariates (n, P) of any container, and the names of their columns.

    Text in frames becomes indicators, of the levels in the ``expected`` columns of a fit. Raises
    ``InvalidInputError`` for other text, missing values or a wrong length.
    """
    values = indicated(argument, values, expected)
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
    return table, labels
