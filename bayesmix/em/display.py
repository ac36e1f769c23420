"""Text and HTML views of a fit."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.nouns import counted, plural
from bayesmix.core.printed_numbers import LARGE, number, probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmix.core.components import PointComponents, Predictive
    from bayesmix.em.result import FitResult
    from bayesmix.numerics.arrays import Array


MOST_COMPONENTS = 12
MOST_COLUMNS = 6
WIDTH = 100
OBJECTIVES = {
    "maximum_likelihood": "log likelihood",
    "maximum_a_posteriori": "log posterior",
    "variational_bayes": "ELBO",
}
CELL = (
    "padding:.15em .8em; text-align:right; white-space:nowrap; "
    "border-bottom:1px solid rgba(128,128,128,.35)"
)
FAINT = "opacity:.65"
# Bar behind a weight; this grey is visible on light and on dark backgrounds.
BAR = "background:linear-gradient(to right,rgba(128,128,128,.3) {0:.0f}%,transparent {0:.0f}%)"


@dataclass(frozen=True)
class ComponentTable:
    """Headers and cells as text; ``more`` tells how many components and columns are not shown."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shares: tuple[float, ...]
    more: str


def as_text(result: FitResult) -> str:
    """Return the ``repr`` of a fit."""
    happened = [f"  {event}" for event in events(result)]
    return shortened([f"<FitResult: {sentence(result)}>", *happened])


def shortened(lines: Sequence[str], n_lines: int = 5) -> str:
    """Cut text to ``n_lines`` for ``repr``, with a pointer to ``summary()``."""
    if len(lines) <= n_lines:
        return "\n".join(lines)
    return "\n".join([*lines[: n_lines - 1], f"  ... {len(lines) - n_lines + 1} more in summary()"])


def summary(result: FitResult) -> str:
    """Return the fit in words: the model, its components, events and the search."""
    # Few components leave room for more columns.
    most_columns = MOST_COLUMNS * (2 if result.n_components <= MOST_COMPONENTS // 2 else 1)
    table = component_table(result, MOST_COMPONENTS, most_columns)
    notes = [f"  {note}" for note in (table.more, *events(result)) if note]
    shown = columns_of([table.heads, *table.rows], 3)
    lines = [_capital(f"{sentence(result)}."), *shown, *notes]
    if result.search_trace:
        lines.append(_capital(f"{result.search_summary}."))
    return "\n".join(lines)


def columns_of(lines: Sequence[Sequence[str]], n_repeated: int) -> list[str]:
    """Return cells as right-aligned columns; wide tables are split, the first ones repeated."""
    columns = list(zip(*lines, strict=True))
    tables = [columns[:n_repeated]]
    for column in columns[n_repeated:]:
        if sum(2 + max(map(len, cells)) for cells in [*tables[-1], column]) > WIDTH:
            tables.append(columns[:n_repeated])
        tables[-1] = [*tables[-1], column]
    text = []
    for table in tables:
        widths = [max(map(len, column)) for column in table]
        text += [
            "  " + "  ".join(map(str.rjust, line, widths)) for line in zip(*table, strict=True)
        ]
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def as_html(result: FitResult) -> str:
    """Return the notebook view of a fit: its events, then its components."""
    table = component_table(result)
    notes = "".join(f"<div>{html.escape(note)}</div>" for note in events(result))
    more = f'<div style="{FAINT}">{html.escape(table.more)}</div>' if table.more else ""
    return (
        f"<div><div>{html.escape(_capital(sentence(result)))}</div>{notes}"
        f"{html_table(table.heads, table.rows, table.shares)}{more}</div>"
    )


def summary_html(
    text: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    n_rows: int,
) -> str:
    """Return the notebook view of a search: answer, clusters, model and the first candidates."""
    told, _, model = text.partition("\n\n")
    answer, *clusters = told.splitlines()
    more = f"... and {n_rows - len(rows)} more in results_" if n_rows > len(rows) else ""
    groups, notes = (
        "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        for lines in (clusters, model.splitlines())
    )
    lists = "".join(f'<ul style="margin:.3em 0">{items}</ul>' for items in (groups, notes) if items)
    return (
        f'<div style="max-width:60em"><b>{html.escape(answer)}</b>{lists}</div>'
        f'{html_table(heads, rows)}<div style="{FAINT}">{more}</div>'
    )


def html_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float] | None = None
) -> str:
    """Return a table, with bars of these shares behind the second column."""
    bars = [""] * len(rows) if shares is None else [f"; {BAR.format(100.0 * s)}" for s in shares]
    body = [_cells(row, "td", CELL, bar) for row, bar in zip(rows, bars, strict=True)]
    return (
        '<table style="border-collapse:collapse; margin:.4em 0; background:none; color:inherit">'
        f"<thead>{_cells(heads, 'th', f'{CELL}; {FAINT}')}</thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _cells(texts: Sequence[str], tag: str, style: str, second: str = "") -> str:
    """Return a row of a table; the second cell has a further style."""
    cells = [
        f'<{tag} style="{style}{second if place == 1 else ""}">{html.escape(text)}</{tag}>'
        for place, text in enumerate(texts)
    ]
    return f"<tr>{''.join(cells)}</tr>"


def effects_in_words(effects: Sequence[tuple[str, Sequence[int]]], names: Sequence[str]) -> str:
    """Return what depends on which covariates, such as "first states and transitions by age".

    ``effects`` pairs names with places of covariates, of which 0 is the constant.
    """
    parts: dict[str, list[str]] = {}
    for what, places in effects:
        if columns := ", ".join(names[place - 1] for place in places if place):
            parts.setdefault(columns, []).append(what)
    return ", ".join(f"{' and '.join(what)} by {columns}" for columns, what in parts.items())


def sentence(result: FitResult) -> str:
    """Return model, size, objective and status of a fit in one line."""
    asked, n_components = result.requested_components, result.n_components
    family = result.family.title
    size = counted(n_components, result.noun)
    size += f" of {asked}" if asked != n_components else ""
    noise = result.mixture.noise
    size += f" and noise of weight {noise.weight:.3f}" if noise is not None else ""
    if result.side.design is not None:
        gate: Any = result.mixture.weights
        if effects := effects_in_words(gate.effects, result.side.design.names):
            size += f", {effects}"
    name = OBJECTIVES[result.inference.name]
    if result.status == "given":
        return f"{family}, {size}, given"
    if result.stream is not None:
        bound = name if result.variational else "free energy"
        return (
            f"{family}, {size}, {bound} {result.objective:.6g} of {result.n_rows} rows "
            f"in {result.stream.n_batches} batches"
        )
    value = "undefined (degenerate)" if result.degenerate else f"{result.objective:.6g}"
    iterations = len(result.trace)
    return (
        f"{family}, {size}, {name} {value}, {result.status} after {iterations} "
        f"iteration{'s' if iterations != 1 else ''} ({result.passes} passes over the "
        f"data, {_duration(result.seconds)})"
    )


def sample_in_words(result: FitResult) -> str:
    """Return what information criteria count: "3,092 persons (6,232 person-waves)", or rows."""
    empty = f", {result.n_empty:,} of them empty" if result.n_empty else ""
    if not result.side.of_persons:
        return f"{number(result.plug_in_sums.n, 0)} rows{empty}"
    n = number(result.plug_in_sums.n, 0)
    return f"{n} persons ({counted(result.n_rows, 'person-wave')}{empty})"


def component_heads(result: FitResult) -> tuple[str, str]:
    """Return the heads of the columns with numbers and weights of components, or of states."""
    return result.noun, "long-run share" if result.side.ordered else "weight"


def component_table(
    result: FitResult, most_components: int = MOST_COMPONENTS, most_columns: int = MOST_COLUMNS
) -> ComponentTable:
    """Return weight, expected observations, and mean ± standard deviation of each column.

    The weights of states are their shares in the long run, the stationary distribution.
    """
    point = result.unframed.plug_in()
    weights, noise = result.mixture.mean_weights, result.mixture.noise
    shown = range(min(result.n_components, most_components))
    columns = [cells_of(result, point, d) for d in range(min(result.n_features, most_columns))]
    names = result.columns or tuple(f"x{d}" for d in range(result.n_features))
    heads = (*component_heads(result), "n", *names[:most_columns])
    counted = result.n_rows > 0
    rows = [
        (
            str(k + 1),
            f"{weights[k]:.3f}",
            f"{result.counts[k]:.1f}" if counted else "-",
            *(cells[k] for cells in columns),
        )
        for k in shown
    ]
    shares = weights[: len(shown)].tolist()
    if noise is not None:
        remaining = f"{result.total_weight - result.counts.sum():.1f}" if counted else "-"
        rows.append(("noise", f"{noise.weight:.3f}", remaining, *("" for _ in columns)))
        shares.append(noise.weight)
    left_out = [
        f"{remaining} more {what if remaining == 1 else plural(what)}"
        for remaining, what in (
            (result.n_components - most_components, result.noun),
            (result.n_features - most_columns, "column"),
        )
        if remaining > 0
    ]
    more = f"... and {' and '.join(left_out)}" if left_out else ""
    return ComponentTable(heads, tuple(rows), tuple(shares), more)


def cells_of(result: FitResult, point: PointComponents, column: int) -> list[str]:
    """Return mean ± standard deviation, or the most probable level, of a column by component."""
    named = result.family.coding or result.family
    levels = (getattr(named, "levels", None) or {column: None})[column]
    return cells(levels, point, point.deviations, column)


def cells(
    levels: Sequence[Any] | None, components: Predictive, deviations: Array, column: int
) -> list[str]:
    """Return the cells of a column with these levels (None: numeric), one per component."""
    if levels is None:
        pairs = zip(components.means[:, column], deviations[:, column], strict=True)
        return [_mean_and_spread(mean, spread) for mean, spread in pairs]
    marginal = components.marginal(np.array([column]))
    codes = np.arange(len(levels), dtype=np.float64)
    shares = np.exp(marginal.expected_log_density(codes[:, None]))
    return [
        f"{levels[level]} ({probability(shares[level, k])})"
        for k, level in enumerate(shares.argmax(0))
    ]


def events(result: FitResult) -> list[str]:
    """Return a line for each kind of event, with the text of its last occurrence."""
    last = {event.kind: event for event in result.events}
    many = {kind: sum(event.kind == kind for event in result.events) for kind in last}
    texts = {kind: _capital(event.in_words(result.noun)) for kind, event in last.items()}
    return [
        f"{text}{f' ({many[kind]} times)' if many[kind] > 1 else ''}"
        for kind, text in texts.items()
    ]


def _mean_and_spread(mean: float, deviation: float) -> str:
    """Format a mean with the decimals that its standard deviation justifies."""
    if not (math.isfinite(deviation) and deviation > 0):
        return f"{mean:.6g}"
    size = math.floor(math.log10(deviation))
    if size >= -4 and max(abs(mean), deviation) < LARGE:
        decimals = max(0, 2 - size)
        return f"{number(mean, decimals)} ± {number(deviation, decimals)}"
    digits = min(15, max(3, 3 + math.floor(math.log10(max(abs(mean), deviation))) - size))
    return f"{mean:.{digits}g} ± {deviation:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 1.0:
        return f"{math.ceil(1000 * seconds)} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def of_search(records: Any, total_weight: float, alike: float) -> str:
    """Summarise a search; starts within ``alike`` nats per observation share an optimum."""
    starts = sorted((r.objective for r in records if r.stage == "start"), reverse=True)
    if not starts:
        return "no search: one start was run to convergence"
    best = [value for value in starts if value > starts[0] - alike * total_weight]
    text = f"{len(best)} of {len(starts)} starts reached the best optimum"
    if len(best) < len(starts):
        away = (starts[0] - starts[len(best)]) / total_weight
        text += f"; the next best optimum is {away:.2g} nats per observation lower"
    moves = [r for r in records if r.stage not in ("start", "settle")]
    taken = [r for r in moves if r.accepted]
    if moves:
        gained = sum(r.gain for r in taken) / total_weight
        text += f"; {len(taken)} of {len(moves)} split-and-merge moves improved it"
        text += f", by {gained:.2g} nats per observation" if taken else ""
    return text


# Short computations show no bar.
