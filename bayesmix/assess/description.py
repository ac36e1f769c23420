"""Clusters in the units of the data: sizes, means, shares of levels, and what is typical of each.

Effect sizes compare a cluster with all other observations: Cohen's d of numbers, of their normal
scores where they are skewed, and Cohen's h of shares (Cohen 1988). Intervals are those of Hedges &
Olkin 1985 (section 5.E). There are no tests: the clusters were formed from the same columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.assess.apa import ApaTable
from bayesmix.core.nouns import counted
from bayesmix.core.printed_numbers import number
from bayesmix.errors import missing_extra
from bayesmix.families.coding import shown
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.selection.summary_text import listed
from bayesmix.sources.writing import file_to_write

# Skewness within clusters above which a distribution counts as skewed (Bulmer 1979, page 63).
SKEWED = 1.0
# A medium effect (Cohen 1988): smaller ones are not put into sentences.
MEDIUM = 0.5
PHRASES = 4
# Levels of a column in the table that is printed; the frames have all.
LEVELS_SHOWN = 6
# Above this share most observations of a cluster have a level.
MOST = 0.5
ALL = "all"
FORMED = "The clusters were formed from these columns, so differences between them are no tests."


@dataclass(frozen=True)
class Variable:
    """A column to describe: numbers, or codes of levels, NaN where missing.

    ``levels`` is None for numbers; ``unit`` is what stands before and after each number;
    ``fitted``: whether the model was fitted to it.
    """

    name: str
    values: Array
    levels: tuple[str, ...] | None = None
    unit: tuple[str, str] = ("", "")
    fitted: bool = True

    @property
    def observed(self) -> Booleans:
        return ~np.isnan(self.values)

    def written(self, value: float) -> str:
        """Return a number with its unit."""
        before, after = self.unit
        return f"{before}{number(value)}{after}"


@dataclass(frozen=True)
class DescribedGroups:
    """The group of each observation (n,), -1 for outlying ones, with weights and certainty (n,).

    ``names`` has the words for groups 0, 1, ...; ``totals`` replaces their weights, outlying ones
    last, where observations are draws from a model.
    """

    labels: Integers
    weights: Array
    certainty: Array
    names: tuple[str, ...]
    noun: str
    totals: Array | None = None

    @cached_property
    def sizes(self) -> dict[str, float]:
        """Total weight by name; outlying observations are the last group, if there are any."""
        places = [*range(len(self.names)), -1]
        totals = self.totals
        if totals is None:
            totals = np.array([self.weights[self.labels == k].sum() for k in places])
        named = dict(zip([*self.names, "outlying"], totals.tolist(), strict=True))
        if named["outlying"] == 0.0:
            del named["outlying"]
        return named

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yield the name and the observations (n,) of each group."""
        for k, name in enumerate(self.sizes):
            yield name, self.labels == (k if k < len(self.names) else -1)


@dataclass(frozen=True, repr=False, eq=False)
class Description:
    """Clusters described by their columns; see ``MixtureSearch.describe``.

    Attributes
    ----------
    table : DataFrame
        A row per cluster; columns are pairs (column, statistic): "size" with "rows" and "share";
        "mean" and "sd" of numbers, or "median", "lower quartile" and "upper quartile" where they
        are skewed; the share of each level; "missing", the share of missing values, where any are.
    overall : Series
        The same for all observations.
    typical : DataFrame
        By cluster, column and level, most telling first: the ``value`` in the cluster, in the
        ``rest``, the ``effect`` with ``lower`` and ``upper``, its ``measure`` ("d" or "h"), and
        whether the column was ``fitted``.
    certainty : Series
        Mean probability of the assigned cluster.
    sentences : tuple of str
        What distinguishes each cluster, in words.
    notes : tuple of str
        What to bear in mind, and which columns are not described.
    level : float
        Of the intervals.
    noun : str
        What a group is called: "cluster", "component", "class" or "state".
    variables : tuple of Variable
        The columns that were described.
    """

    table: pd.DataFrame
    overall: pd.Series
    typical: pd.DataFrame
    certainty: pd.Series
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    level: float
    noun: str
    variables: tuple[Variable, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers with a row per column and statistic, and a column per cluster."""
        columns: dict[str, Any] = {ALL: self.overall}
        columns |= {str(name): row for name, row in self.table.iterrows()}
        return pd.DataFrame(columns).rename_axis(index=["column", "statistic"])

    def to_apa(self) -> ApaTable:
        """Return the printed table: of columns with many levels, the most telling ones."""
        frame: Any = self.to_frame()
        sizes, shares = frame.loc[("size", "rows")], frame.loc[("size", "share")]
        rows = [("n", *(f"{size:,.0f}" for size in sizes))]
        rows.append(("Share", *(f"{share:.0%}" for share in shares)))
        for variable in self.variables:
            rows += self._rows(variable, frame)
        heads = ("", *(str(name).capitalize() for name in frame.columns))
        title = f"{counted(len(self.certainty), self.noun).capitalize()} by their columns"
        note = " ".join(("Numbers: mean (SD), or median [quartiles] where skewed.", *self.notes))
        return ApaTable(title, heads, tuple(rows), note)

    def _rows(self, variable: Variable, frame: Any) -> list[tuple[str, ...]]:
        """Return the printed rows of a column."""
        name = variable.name + ("" if variable.fitted else " (not in the fit)")
        block = frame.loc[variable.name]
        rows: list[tuple[str, ...]] = []
        if "mean" in block.index and variable.levels is None:
            pairs = zip(block.loc["mean"], block.loc["sd"], strict=True)
            cells = (f"{variable.written(m)} ({number(s)})" if m == m else "–" for m, s in pairs)
            rows.append((name, *cells))
        elif variable.levels is None:
            parts = ("median", "lower quartile", "upper quartile")
            triples = zip(*(block.loc[part] for part in parts), strict=True)
            cells = (
                f"{variable.written(m)} [{number(a)}, {number(b)}]" if m == m else "–"
                for m, a, b in triples
            )
            rows.append((name, *cells))
        else:
            listed_levels = self._levels_shown(variable)
            for level in listed_levels:
                cells = (f"{share:.0%}" if share == share else "–" for share in block.loc[level])
                rows.append((f"{name}: {level}", *cells))
            others = [level for level in variable.levels if level not in listed_levels]
            if len(variable.levels) > 2 and others:  # of two levels one is left out
                sums = block.loc[others].sum(axis=0)
                label = f"{name}: {counted(len(others), 'other level')}"
                rows.append((label, *(f"{share:.0%}" for share in sums)))
        if "missing" in block.index and "missing" not in (variable.levels or ()):
            rows.append((f"{name}: missing", *(f"{share:.0%}" for share in block.loc["missing"])))
        return rows

    def _levels_shown(self, variable: Variable) -> list[str]:
        """Return the levels to print in their own order: of two the last, of many a few."""
        levels = list(variable.levels or ())
        if len(levels) == 2:
            return levels[1:]
        if len(levels) <= LEVELS_SHOWN:
            return levels
        kept = {level for name, level in self.most_telling() if name == variable.name}
        return [level for level in levels if level in kept]

    def most_telling(self, least: float = -np.inf) -> list[tuple[str, str]]:
        """Return columns and levels, most telling first: of a column at most six levels.

        ``least`` is the smallest effect that must be exceeded in some cluster.
        """
        ranked: Any = telling(self.typical).groupby(level=["column", "level"]).max()
        ranked = ranked[ranked > least].sort_values(ascending=False, kind="stable")
        return list(ranked.groupby(level="column", sort=False).head(LEVELS_SHOWN).index)

    def to_text(self) -> str:
        """Return the sentences, then the table."""
        return "\n".join([*self.sentences, "", self.to_apa().to_text()])

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        return self.to_apa().to_markdown()

    def to_latex(self) -> str:
        """Return the table as LaTeX, for the package booktabs."""
        return self.to_apa().to_latex()

    def to_excel(self, path: Any) -> Path:
        """Write sentences, table and effects as sheets of an ``.xlsx`` file (needs openpyxl)."""
        place = file_to_write(path)
        sentences = pd.DataFrame({"description": [*self.sentences, *self.notes]})
        try:
            writer = pd.ExcelWriter(place, engine="openpyxl")
        except ImportError:
            raise missing_extra("openpyxl", "excel") from None
        with writer:
            sentences.to_excel(writer, sheet_name="in words", index=False)
            self.to_frame().reset_index().to_excel(writer, sheet_name="table", index=False)
            self.typical.reset_index().to_excel(writer, sheet_name="typical", index=False)
        return place

    def plot(self, ax: Any = None, most: int = 20) -> Any:
        """Plot the most telling columns and levels; see ``plot_description``."""
        from bayesmix.plots.description import plot_description

        return plot_description(self, ax, most)

    def __repr__(self) -> str:
        return "\n".join([*self.sentences, *self.notes])

    __str__ = to_text

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.sentences)
        return f"<ul>{items}</ul>{self.to_apa().to_html()}"


def description(
    variables: Sequence[Variable], groups: DescribedGroups, level: float, notes: Sequence[str] = ()
) -> Description:
    """Return the description of groups of observations by variables."""
    statistics: dict[str, dict[tuple[str, str], float]] = {}
    every = np.ones(len(groups.labels), bool)
    total = sum(groups.sizes.values())
    skewed = {v.name for v in variables if v.levels is None and _is_skewed(v, groups)}
    for name, members in [(ALL, every), *groups.members()]:
        size = groups.sizes.get(name, total)
        row = {("size", "rows"): size, ("size", "share"): size / total}
        for variable in variables:
            row |= _statistics(variable, members, groups.weights, variable.name in skewed)
        statistics[name] = row
    columns = pd.MultiIndex.from_tuples([*statistics[ALL]], names=["column", "statistic"])
    frame: Any = pd.DataFrame(
        [[row[key] for key in columns] for row in statistics.values()], [*statistics], columns
    )
    table = frame.drop(index=ALL).rename_axis(groups.noun)
    typical = _typical(variables, groups, skewed, level, table)
    sizes = pd.Series(groups.sizes)
    certain = {
        name: float(np.average(groups.certainty[members], weights=groups.weights[members]))
        if groups.weights[members].any()
        else 1.0
        for name, members in groups.members()
        if name != "outlying"
    }
    certainty = pd.Series(certain, name="certainty").rename_axis(groups.noun)
    units = {variable.name: variable for variable in variables}
    told = [
        _sentence(str(name), sizes[name] / total, typical, units)
        for name in groups.sizes
        if name != "outlying"
    ]
    if "outlying" in groups.sizes:
        outlying = counted(round(groups.sizes["outlying"]), "observation")
        told.append(f"Outlying: {outlying} outside all {groups.noun}s.")
    remarks = [FORMED.replace("cluster", groups.noun), *notes]
    overall = frame.loc[ALL]
    return Description(
        table, overall, typical, certainty, tuple(told), tuple(remarks), level, groups.noun,
        tuple(variables),
    )  # fmt: skip


def _is_skewed(variable: Variable, groups: DescribedGroups) -> bool:
    """Whether the distribution within groups is skewed."""
    residuals, weights = [], []
    for _, members in groups.members():
        rows = members & variable.observed & (groups.weights > 0.0)
        if rows.any():
            x, w = variable.values[rows], groups.weights[rows]
            residuals.append(x - np.average(x, weights=w))
            weights.append(w)
    if not residuals:
        return False
    x, w = np.concatenate(residuals), np.concatenate(weights)
    variance = np.average(x**2, weights=w)
    seen = variable.observed & (groups.weights > 0.0)
    lower, upper = _quantiles(variable.values[seen], groups.weights[seen], (0.25, 0.75))
    if variance <= 0.0 or lower == upper:  # of mostly zeros, quartiles say nothing
        return False
    return bool(abs(np.average(x**3, weights=w)) > SKEWED * variance**1.5)


def _statistics(
    variable: Variable, members: Any, weights: Array, skewed: bool
) -> dict[tuple[str, str], float]:
    """Return the statistics of a variable among some observations."""
    name, rows = variable.name, members & variable.observed & (weights > 0.0)
    x, w = variable.values[rows], weights[rows]
    row: dict[tuple[str, str], float] = {}
    if variable.levels is not None:
        total = w.sum()
        for code, level in enumerate(variable.levels):
            row[name, level] = float(w[x == code].sum() / total) if total else np.nan
    elif skewed:
        parts = ("lower quartile", "median", "upper quartile")
        points = _quantiles(x, w, (0.25, 0.5, 0.75)) if len(x) else [np.nan] * 3
        row = {(name, part): float(value) for part, value in zip(parts, points, strict=True)}
    else:
        mean, variance = _moments(x, w)
        row = {(name, "mean"): mean, (name, "sd"): float(np.sqrt(variance))}
    if not variable.observed.all():
        every = weights[members].sum()
        row[name, "missing"] = float(1.0 - w.sum() / every) if every else np.nan
    return row


def _moments(x: Array, w: Array) -> tuple[float, float]:
    """Return the weighted mean, and the variance with the divisor n - 1 (0 for one value)."""
    if not len(x):
        return np.nan, np.nan
    mean = float(np.average(x, weights=w))
    squares = float(w @ (x - mean) ** 2)
    return mean, squares / max(float(w.sum()) - 1.0, 1.0)


def _quantiles(x: Array, w: Array, points: Sequence[float]) -> Array:
    """Return weighted quantiles: interpolated, as those of equal weights usually are."""
    order = np.argsort(x, kind="stable")
    x, w = x[order], w[order]
    middles = np.cumsum(w) - 0.5 * w
    first, last = middles[0], middles[-1]
    places = first + np.asarray(points) * (last - first)
    return np.interp(places, middles, x)


def _typical(
    variables: Sequence[Variable],
    groups: DescribedGroups,
    skewed: set[str],
    level: float,
    table: pd.DataFrame,
) -> pd.DataFrame:
    """Return effect sizes of each group against the rest, most telling first."""
    half, records = float(stats.norm.isf(0.5 * (1.0 - level))), []
    for variable in variables:
        seen = variable.observed & (groups.weights > 0.0)
        scores = _normal_scores(variable.values, seen) if variable.name in skewed else None
        for name, members in groups.members():
            inside, outside = seen & members, seen & ~members
            if name == "outlying" or not inside.any() or not outside.any():
                continue
            w = groups.weights[inside], groups.weights[outside]
            n, m = (float(weights.sum()) for weights in w)
            x = variable.values[inside], variable.values[outside]
            if variable.levels is None:
                values = x if scores is None else (scores[inside], scores[outside])
                effect = _cohen_d(values, w)
                error = np.sqrt((n + m) / (n * m) + 0.5 * effect**2 / (n + m))
                if scores is None:
                    shown_values = tuple(_moments(*pair)[0] for pair in zip(x, w, strict=True))
                else:
                    shown_values = tuple(
                        float(_quantiles(*pair, (0.5,))[0]) for pair in zip(x, w, strict=True)
                    )
                records.append((name, variable, "", *shown_values, effect, error, "d"))
                continue
            levels = list(enumerate(variable.levels))
            for code, one in levels[len(levels) == 2 :]:  # of two levels the last says all
                p, q = (float(v[y == code].sum() / v.sum()) for y, v in zip(x, w, strict=True))
                effect = 2.0 * (np.arcsin(np.sqrt(p)) - np.arcsin(np.sqrt(q)))
                error = np.sqrt(1.0 / n + 1.0 / m)
                records.append((name, variable, one, p, q, float(effect), error, "h"))
    rows = [
        (name, v.name, one, value, rest, effect, effect - half * error, effect + half * error,
         measure, v.fitted)
        for name, v, one, value, rest, effect, error, measure in records
    ]  # fmt: skip
    columns = [groups.noun, "column", "level", "value", "rest", "effect", "lower", "upper"]
    frame = pd.DataFrame(rows, columns=[*columns, "measure", "fitted"])
    place = frame[groups.noun].map({str(name): k for k, name in enumerate(table.index)})
    order = np.lexsort((-telling(frame).to_numpy(), place.to_numpy()))
    return frame.iloc[order].set_index([groups.noun, "column", "level"])


def telling(typical: pd.DataFrame) -> pd.Series[Any]:
    """Return how far effects are from zero at least: by the end of the interval that is nearer.

    Negative where the interval contains zero, so that rare levels are not called telling.
    """
    effect, half = typical["effect"], 0.5 * (typical["upper"] - typical["lower"])
    return effect.abs() - half


def _normal_scores(values: Array, seen: Any) -> Array:
    """Return the normal quantiles of the ranks (Blom 1958), NaN for values not seen."""
    scores = np.full(len(values), np.nan)
    ranks = stats.rankdata(values[seen])
    scores[seen] = stats.norm.ppf((ranks - 0.375) / (len(ranks) + 0.25))
    return scores


def _cohen_d(values: Sequence[Array], weights: Sequence[Array]) -> float:
    """Return the difference of means in pooled standard deviations.

    Without variance within both groups it is in standard deviations of all observations.
    """
    (a, va), (b, vb) = (_moments(x, w) for x, w in zip(values, weights, strict=True))
    n, m = (max(float(w.sum()) - 1.0, 0.0) for w in weights)
    pooled = (n * va + m * vb) / (n + m) if n + m else 0.0
    if pooled <= 0.0:
        pooled = _moments(np.concatenate(values), np.concatenate(weights))[1]
    return float((a - b) / np.sqrt(pooled)) if pooled > 0.0 else 0.0


def _sentence(name: str, share: float, typical: Any, variables: dict[str, Variable]) -> str:
    """Return what distinguishes a group in one sentence."""
    phrases: dict[str, str] = {}
    names = typical.index.get_level_values(0)
    for (_, column, level), row in typical[names == name].iterrows():
        sure = row["lower"] * row["upper"] > 0.0 and abs(row["effect"]) >= MEDIUM
        if column in phrases or not sure or len(phrases) == PHRASES:
            continue
        variable, more = variables[column], row["effect"] > 0.0
        if variable.levels is None:
            before, after = variable.unit
            value, rest = number(row["value"]), number(row["rest"])
            text = f"{'higher' if more else 'lower'} {column}"
            text += f" ({before}{value} against {before}{rest}{after})"
        else:
            what = f"{column} {level}"
            often = f"({row['value']:.0%} against {row['rest']:.0%})".replace("% a", " a")
            few = "seldom" if row["value"] < MOST else "less often"
            text = f"{('mostly' if row['value'] > MOST else 'more often') if more else few} {what}"
            text += f" {often.replace('%', ' %')}"
        phrases[column] = text if variable.fitted else f"{text[:-1]}; not in the fit)"
    title = f"{name[0].upper()}{name[1:]} ({100.0 * share:.0f} %)"
    if not phrases:
        return f"{title}: no column differs by half a standard deviation from the rest."
    return f"{title}: {', '.join(phrases.values())}."


def level_names(levels: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of levels as they are printed."""
    return tuple(shown(level) for level in levels)


def not_described(names: Sequence[tuple[str, str]]) -> list[str]:
    """Return a note on columns that are not described, with the reasons."""
    if not names:
        return []
    texts = [f"{name} ({why})" if why else name for name, why in names]
    return [f"Not described: {listed(texts)}."]
