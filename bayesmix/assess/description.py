"""Clusters in the units of the data: sizes, means, shares of levels, and what is typical of each.

There are no tests: the clusters were formed from the same columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.assess.apa import MISSING, MOST_CHARACTERS, ApaTable
from bayesmix.assess.group_statistics import (
    DescribedGroups,
    Variable,
    effects,
    is_skewed,
    statistics,
    telling,
)
from bayesmix.core.nouns import capitalized, counted, plural
from bayesmix.errors import missing_extra
from bayesmix.families.coding import shown
from bayesmix.selection.summary_text import listed
from bayesmix.sources.writing import file_to_write

# A medium effect (Cohen 1988): smaller ones are not put into sentences.
MEDIUM = 0.5
PHRASES = 3
# Levels of a column in the table that is printed; the frames have all.
LEVELS_SHOWN = 6
# Above this share most observations of a cluster have a level.
MOST = 0.5
# Smaller shares would be rounded to 0 percent.
LEAST_WHOLE = 0.005
ALL = "all"
FORMED = "The {} were formed from these columns, so that tests of their differences are not valid."
MEANS, MEDIANS = "mean (SD)", "median [quartiles]"
# Rows of a table that fits a screen.
MOST_ROWS = 20
# Share of missing values from which a table has a row of them.
LEAST_MISSING = 0.01


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
        """Return the numbers with a row per column and statistic, and a column per cluster.

        A single cluster has all observations, so that their column is the only one.
        """
        columns: dict[str, Any] = {ALL: self.overall}
        if len(self.table) > 1:
            columns |= {str(name): row for name, row in self.table.iterrows()}
        return pd.DataFrame(columns).rename_axis(index=["column", "statistic"])

    def to_apa(self) -> ApaTable:
        """Return the printed table: of columns with many levels, the most telling ones."""
        return self._noted(self._printed(True, self.variables))

    def to_fit(self, width: int, most: int = MOST_ROWS) -> list[ApaTable]:
        """Return tables of the most telling columns that fit this many characters.

        Standard deviations and quartiles are left out if that makes one table of several; each row
        then says whether its numbers are means or medians. The notes of the description are not in
        these tables.
        """
        by_name = {variable.name: variable for variable in self.variables}
        telling_names = dict.fromkeys(name for name, _ in self.most_telling())
        kept, n_rows = set[str](), 0
        for name in telling_names or by_name:
            levels = by_name[name].levels
            n_rows += 1 if levels is None else len(self._levels_shown(by_name[name]))
            if kept and n_rows > most:
                break
            kept.add(name)
        variables = [variable for name, variable in by_name.items() if name in kept]
        table = self._printed(True, variables, False)
        if table.length <= width:
            return [table]
        # Outlying observations are no cluster: without them the table may fit.
        return self._printed(False, variables, False, False).split(width)

    def _printed(
        self,
        spread: bool,
        variables: Sequence[Variable],
        missing: bool = True,
        outlying: bool = True,
    ) -> ApaTable:
        """Return the table of some columns, with their spread and shares of missing values."""
        frame: Any = self.to_frame()
        if not outlying:
            frame = frame.drop(columns="outlying", errors="ignore")
        sizes, shares = frame.loc[("size", "rows")], frame.loc[("size", "share")]
        rows = [("n", *(f"{size:,.0f}" for size in sizes))]
        rows.append(("Share", *map(percent, shares)))
        for variable in variables:
            rows += self._rows(variable, frame, spread, missing)
        heads = ("", *(str(name).capitalize() for name in frame.columns))
        title = f"{counted(len(self.certainty), self.noun).capitalize()} by their columns"
        notes = [_statistics_of(variables, self.table)] if spread else []
        if more := len(self.variables) - len(variables):
            kind = "more column" if self.typical.empty else "less telling column"
            notes.append(f"{counted(more, kind)} not shown.")
        return ApaTable(title, heads, tuple(rows), " ".join(filter(None, notes)))

    def _noted(self, table: ApaTable) -> ApaTable:
        """Return a table with all notes below it."""
        return replace(table, note=" ".join(filter(None, (table.note, *self.notes))))

    def _rows(
        self, variable: Variable, frame: Any, spread: bool, missing: bool
    ) -> list[tuple[str, ...]]:
        """Return the printed rows of a column."""
        name, remarks = variable.name, variable.remarks
        block = frame.loc[variable.name]
        rows: list[tuple[str, ...]] = []
        if variable.levels is None:
            middle = _middle(variable, self.table)
            skewed = middle == "median"
            cells = [variable.written(value) for value in block.loc[middle]]
            if not spread:
                name = f"{name}, {middle}"
            else:
                parts = ["lower quartile", "upper quartile"] if skewed else ["sd"]
                inner = zip(*(map(variable.number, block.loc[part]) for part in parts), strict=True)
                form = "{} [{}]" if skewed else "{} ({})"
                pairs = zip(cells, inner, strict=True)
                cells = [form.format(cell, ", ".join(texts)) for cell, texts in pairs]
            cells = [MISSING if cell.startswith("nan") else cell for cell in cells]
            rows.append((f"{name}{remarks}", *cells))
        else:
            name += remarks
            listed_levels = self._levels_shown(variable)
            rows += [
                (f"{name}: {level}", *map(percent, block.loc[level])) for level in listed_levels
            ]
            others = [level for level in variable.levels if level not in listed_levels]
            if len(variable.levels) > 2 and others:  # of two levels one is left out
                label = f"{name}: {counted(len(others), 'other level')}"
                rows.append((label, *map(percent, block.loc[others].sum(axis=0))))
        named = "missing" in (variable.levels or ())
        if missing and not named and "missing" in block.index:
            shares = block.loc["missing"]
            if shares.max() >= LEAST_MISSING:
                rows.append((f"{variable.name}{remarks}: missing", *map(percent, shares)))
        return rows

    def _levels_shown(self, variable: Variable) -> list[str]:
        """Return the levels to print in their own order: of two the last, of many a few."""
        levels = list(variable.levels or ())
        if len(levels) == 2:
            return levels[1:]
        if len(levels) <= LEVELS_SHOWN:
            return levels
        kept = {level for name, level in self.most_telling() if name == variable.name}
        if not kept:  # one cluster is compared with nothing
            shares: Any = self.overall[variable.name]
            kept = set(shares.loc[levels].nlargest(LEVELS_SHOWN).index)
        return [level for level in levels if level in kept]

    def most_telling(self, least: float = -np.inf) -> list[tuple[str, str]]:
        """Return columns and levels, most telling first: of a column at most six levels.

        ``least`` is the smallest effect that must be exceeded in some cluster.
        """
        ranked: Any = telling(self.typical).groupby(level=["column", "level"]).max()
        ranked = ranked[ranked > least].sort_values(ascending=False, kind="stable")
        return list(ranked.groupby(level="column", sort=False).head(LEVELS_SHOWN).index)

    def to_text(self) -> str:
        """Return the sentences, then the table; of wide tables the most telling columns."""
        tables = [self.to_apa()]
        if tables[0].length > MOST_CHARACTERS:
            *first, last = self.to_fit(MOST_CHARACTERS)
            tables = [*first, self._noted(last)]
        return "\n\n".join(["\n".join(self.sentences), *(table.to_text() for table in tables)])

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
    numbers: dict[str, dict[tuple[str, str], float]] = {}
    every = np.ones(len(groups.labels), bool)
    total = sum(groups.sizes.values())
    skewed = {v.name for v in variables if v.levels is None and is_skewed(v, groups)}
    for name, members in [(ALL, every), *groups.members()]:
        size = groups.sizes.get(name, total)
        row = {("size", "rows"): size, ("size", "share"): size / total}
        for variable in variables:
            row |= statistics(variable, members, groups.weights, variable.name in skewed)
        numbers[name] = row
    columns = pd.MultiIndex.from_tuples([*numbers[ALL]], names=["column", "statistic"])
    frame: Any = pd.DataFrame(
        [[row[key] for key in columns] for row in numbers.values()], [*numbers], columns
    )
    table = frame.drop(index=ALL).rename_axis(groups.noun)
    typical = effects(variables, groups, skewed, level, [*map(str, table.index)])
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
    names = [name for name in groups.sizes if name != "outlying"]
    told = [_sentence(name, sizes[name], total, typical, units, table.loc[names]) for name in names]
    if "outlying" in groups.sizes:
        outlying = counted(round(groups.sizes["outlying"]), "observation")
        told.append(f"Outlying: {outlying} outside all {plural(groups.noun)}.")
    formed = [FORMED.format(plural(groups.noun))] if len(groups.sizes) > 1 else []
    remarks = [*formed, *notes]
    overall = frame.loc[ALL]
    return Description(
        table, overall, typical, certainty, tuple(told), tuple(remarks), level, groups.noun,
        tuple(variables),
    )  # fmt: skip


def _sentence(
    name: str,
    size: float,
    total: float,
    typical: Any,
    variables: dict[str, Variable],
    table: Any,
) -> str:
    """Return what distinguishes a group in one sentence."""
    own = typical[typical.index.get_level_values(0) == name].reset_index()
    sure = (own["lower"] * own["upper"] > 0.0) & (own["effect"].abs() >= MEDIUM)
    phrases: dict[str, str] = {}
    for column, rows in own[sure].groupby("column", sort=False):
        variable = variables[str(column)]
        # The level that most have tells more than one that they lack.
        common = rows[(rows["value"] > MOST) & (variable.levels is not None)]
        row = (common if len(common) else rows).iloc[0]
        if text := _phrase(variable, row, _middle(variable, table)):
            phrases[variable.name] = text if variable.fitted else f"{text[:-1]}; not in the fit)"
    title = f"{capitalized(name)} ({percent(size / total, ' %')}, n = {size:,.0f})"
    if typical.empty:
        return f"{title}: all observations, so that there is nothing to compare."
    if len(phrases) < PHRASES:
        phrases |= _between(name, typical, variables, table, phrases)
    if not phrases:
        return f"{title}: no column differs by half a standard deviation from the rest."
    return f"{title}: {', '.join([*phrases.values()][:PHRASES])}."


def _between(
    name: str, typical: Any, variables: dict[str, Variable], table: Any, told: Iterable[str]
) -> dict[str, str]:
    """Return the columns that separate other groups, where this one lies between them.

    Compared with all the others together, such a group differs little.
    """
    ranked: Any = typical["effect"].abs().groupby(level="column").max()
    ranked = ranked[ranked >= MEDIUM].sort_values(ascending=False, kind="stable")
    phrases: dict[str, str] = {}
    for column in ranked.index[:PHRASES]:
        variable = variables[str(column)]
        if variable.levels is not None or variable.name in told or not variable.fitted:
            continue
        middle = _middle(variable, table)
        values: Any = table[variable.name, middle]
        others = values.drop(name)
        printed = variable.number(values[name])
        apart = printed not in {variable.number(other) for other in others}
        if apart and others.min() < values[name] < others.max():
            phrases[variable.name] = (
                f'"{variable.name}" in between ({middle} {variable.written(values[name])})'
            )
    return phrases


def _phrase(variable: Variable, row: Any, middle: str) -> str:
    """Return how a group differs from the rest in one column; "" if the printed values are equal.

    The name of the column is quoted, since it may be any word.
    """
    more, value, rest = row["effect"] > 0.0, row["value"], row["rest"]
    if variable.levels is None:
        before, after = variable.unit
        printed, of_rest = variable.number(value), variable.number(rest)
        if printed == of_rest:
            return ""
        more = value > rest  # a mean may be higher where ranks are lower
        text = f"{middle} {before}{printed} against {before}{of_rest}{after}"
        text += f", {variable.where}" * bool(variable.where)
        return f'"{variable.name}" {"higher" if more else "lower"} ({text})'
    level = row["level"]
    if len(variable.levels) == 2 and not more:
        level, value, rest, more = variable.levels[0], 1.0 - value, 1.0 - rest, True
    if more:
        often = "mostly" if value > MOST else "more often"
    else:
        often = "seldom" if value < MOST else "less often"
    printed, of_rest = percent(value, ""), percent(rest, "")
    if printed == of_rest:
        return ""
    return f'"{variable.name}" {often} "{level}" ({printed} against {of_rest} %)'


def _middle(variable: Variable, table: Any) -> str:
    """Return which statistic stands for the numbers of a column in a table."""
    return "median" if (variable.name, "median") in table.columns else "mean"


def _statistics_of(variables: Sequence[Variable], table: Any) -> str:
    """Return what the numbers of a printed table are; "" for levels alone."""
    middles = {_middle(variable, table) for variable in variables if variable.levels is None}
    if middles == {"mean", "median"}:
        return f"Numbers: {MEANS}, or {MEDIANS} where skewed."
    named = {"mean": MEANS, "median": MEDIANS}
    return f"Numbers: {named[middles.pop()]}." if middles else ""


def percent(share: float, unit: str = "%") -> str:
    """Return a share in percent, with one decimal where it would be rounded to 0."""
    if share != share:
        return MISSING
    decimals = 1 if 0.0 < share < LEAST_WHOLE else 0
    return f"{100.0 * share:.{decimals}f}{unit}"


def level_names(levels: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of levels as they are printed."""
    return tuple(shown(level) for level in levels)


def counted_twice(repeating: Sequence[tuple[str, str]], noun: str) -> list[str]:
    """Return a note on columns that say what others say, with what each says again."""
    if not repeating:
        return []
    texts = [f"{name} {doubt}" for name, doubt in repeating]
    return [
        f"{'; '.join(texts)}. Such columns count twice and can form {plural(noun)} of their own: "
        "leave them out (exclude) to see."
    ]


def not_described(names: Sequence[tuple[str, str]]) -> list[str]:
    """Return a note on columns that are not described, with the reasons."""
    if not names:
        return []
    texts = [f"{name} ({why})" if why else name for name, why in names]
    return [f"Not described: {listed(texts)}."]
