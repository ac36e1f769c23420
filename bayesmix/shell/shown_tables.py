"""Tables and sentences for terminals of any width."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from bayesmix.core.nouns import counted
from bayesmix.core.printed_numbers import percent
from bayesmix.errors import UnsupportedError
from bayesmix.selection.structures import in_words
from bayesmix.selection.summary_text import cell, four_digits
from bayesmix.shell.data import n_rows_text
from bayesmix.shell.screen import printable, worded
from bayesmix.sources.memory import ArraySource, all_weights, coding_of

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.assess.description import Description
    from bayesmix.core.sources import Source

# Further criteria in the table; three fit into 80 columns.
OTHER_CRITERIA = ("elbo", "bic", "icl", "aic")
HEADS = {"elbo_prior": "ELBO+PRIOR"}
NO_VALUE = "-"
CHOSEN_CAPTION = "*  chosen"
NO_VALUE_CAPTION = f"{NO_VALUE}  no value: a component collapsed, or the fit failed"
# Above this number of structures the table has them as lines.
MOST_ACROSS = 6
NAMES_SHOWN = 8
# Features beyond this many are only in result.json.
FEATURES_SHOWN = 40


def rows_sentences(path: str, source: Source, weight: str | None) -> str:
    """Describe the file, its rows, the columns used, and their types unless all are continuous.

    The types have what the note on guessed types says.
    """
    n_rows, n_columns = source.shape
    names = column_names(source.columns, n_columns)[:NAMES_SHOWN]
    more = f" and {n_columns - len(names)} more" if n_columns > len(names) else ""
    weighted = f", weighted by {weight} (sum {source.total_weight:g})" if weight else ""
    name = "standard input" if path == "-" else path
    plural = "column" if n_columns == 1 else "columns"
    text = f"{name}: {n_rows_text(n_rows)}, {plural} {', '.join(names)}{more}{weighted}"
    coding = coding_of(source)
    if coding is None or not coding.is_mixed:
        return text
    return f"{text}\nColumns: {worded(coding.account)}"


def column_names(names: Any, n_columns: int) -> list[str]:
    """Return the names of columns, or their positions."""
    return list(map(str, range(n_columns) if names is None else names))


def fit_sentence(model: Any) -> str:
    """Describe size, structure, objective and status of a fit."""
    result = model.result_
    K, asked = model.n_components_, result.requested_components
    size = counted(K, result.noun)
    size += f" of at most {asked}" if asked != K else ""
    size += "" if result.mixture.noise is None else " and noise"
    coding = result.family.coding
    gaussian = coding is None or bool(coding.continuous)
    if model.covariance_type is not None and gaussian:
        size += f", {in_words(model.covariance_type)}"
    bound = "evidence lower bound" + (" (not tight)" if result.side.design is not None else "")
    objective = {
        "maximum_likelihood": f"log likelihood {result.log_likelihood:,.2f}",
        "maximum_a_posteriori": f"log posterior {result.objective:,.2f}",
        "variational_bayes": f"{bound} {result.objective:,.2f}",
    }[result.inference.name]
    ended = "converged" if result.converged else f"stopped ({result.status})"
    if iterations := len(result.trace):
        ended += f" after {iterations} iteration{'s' if iterations != 1 else ''}"
    return f"{size}: {objective} nats, {ended}."


# What covariates of candidates affect in a chain.
EFFECTS_SHOWN = {
    "none": "none",
    "first": "first states",
    "transitions": "transitions",
    "all": "both",
}


def candidate_table(search: Any) -> Table:
    """Return the table of candidates: K by covariance structure, or one per line."""
    results = search.results_
    n_structures = results["covariance_type"].nunique() if "covariance_type" in results else 1
    if n_structures > MOST_ACROSS:
        return _line_per_structure(search)
    return _column_per_structure(search) if n_structures > 1 else _line_per_candidate(search)


def _line_per_structure(search: Any) -> Table:
    """Return distances to the best: structures as lines, from simple to rich, K as columns."""
    from bayesmix.selection.structures import labels_beside

    matrix = search.matrix()
    best = matrix.attrs["best"]
    places = [(structure, k) for structure, k, _ in best]
    table, label = new_table(_above(search, best[0][2])), labels_beside(list(matrix.columns))
    table.add_column("covariance")
    for k in matrix.index:
        table.add_column(str(k), justify="right")
    for structure in matrix.columns:
        away = (matrix[structure] - best[0][2]).abs()
        cells = [_number(away[k], digits=1) for k in matrix.index]
        for place, (chosen, k) in enumerate(places, start=1):
            if chosen == structure:
                column = list(matrix.index).index(k)
                cells[column] = f"[bold green]{cells[column]} ({place})[/]"
        table.add_row(label[structure], *cells)
    named = ", ".join(f"({i}) {label[s]}, {k}" for i, (s, k) in enumerate(places, start=1))
    table.caption = f"columns are numbers of components; the best three: {named}"
    if matrix.isna().to_numpy().any():
        table.caption += f"\n{NO_VALUE_CAPTION}"
    return table


def _column_per_structure(search: Any) -> Table:
    """Return distances to the best: K as lines, covariance structures as columns."""
    results = search.results_
    best = results["behind"].idxmin()
    structures = list(dict.fromkeys(results["covariance_type"]))
    table = new_table(_above(search, results[_column(search)][best]))
    table.add_column("components", justify="right")
    for structure in structures:
        table.add_column(structure, justify="right", min_width=9)
    for K, of_size in results.groupby("n_components"):
        places = {s: row for row, s in of_size["covariance_type"].iloc[::-1].items()}
        cells = [_below(search, places[s]) if s in places else "" for s in structures]
        table.add_row(str(K), *cells)
    table.caption = CHOSEN_CAPTION
    if len({cell("family", family) for family in results.get("family", ())}) > 1:
        table.caption += "; each with its best family"
    if results[_column(search)].isna().any():
        table.caption += f"\n{NO_VALUE_CAPTION}"
    return table


def _line_per_candidate(search: Any) -> Table:
    from bayesmix.selection.criteria import record

    results, criterion = search.results_, search.criterion_
    table = new_table(f"{_criterion(search)}: candidates, {_direction(search)}")
    errors = results.get(f"{criterion}_se")
    remaining = results["found_components"]
    pruned = bool((remaining != results["n_components"]).any())
    criteria = [name for name in OTHER_CRITERIA if name in results and name != criterion][:3]
    families = [cell("family", family) for family in results.get("family", ())]
    several = len(set(families)) > 1
    if several:
        table.add_column("family")
    effects = results.get("covariate_effects")
    if effects is not None:
        table.add_column("covariates of")
    table.add_column("components", justify="right")
    if pruned:
        table.add_column("found", justify="right")
    table.add_column(HEADS.get(criterion, criterion.upper()), justify="right")
    table.add_column("from best", justify="right", min_width=9)
    for name in criteria:
        table.add_column(name.upper(), justify="right", style="dim")
    for place, row in enumerate(results.index):
        error = "" if errors is None else f" ({errors[row]:,.2f})"
        table.add_row(
            *([families[place]] if several else []),
            *([] if effects is None else [EFFECTS_SHOWN[effects[row]]]),
            str(results["n_components"][row]),
            *([str(remaining[row])] if pruned else []),
            _number(results[criterion][row], error),
            _below(search, row),
            *(_number(results[name][row]) for name in criteria),
        )
    table.caption = CHOSEN_CAPTION
    if errors is not None:
        table.caption += "; in brackets the standard error"
    smaller = [name.upper() for name in criteria if record(name).factor < 0.0]
    if smaller and record(criterion).factor > 0.0:
        table.caption += f"; {', '.join(smaller)}: smaller is better"
    return table


def _column(search: Any) -> str:
    from bayesmix.selection.criteria import record

    return record(search.criterion_).column


def _below(search: Any, row: Any) -> str:
    """Return how far a candidate is from the best one; the chosen one is marked."""
    text = _number(search.results_["behind"][row])
    return f"[bold green]{text} *[/]" if row == search.best_index_ else text


def _number(value: Any, error: str = "", digits: int = 2) -> str:
    return f"{value:,.{digits}f}{error}" if math.isfinite(value) else NO_VALUE


def _above(search: Any, value: float) -> str:
    """Return the title of a table of distances to the best value."""
    from bayesmix.selection.criteria import record

    distance = record(search.criterion_).distance
    return f"{distance[:1].upper()}{distance[1:]} ({value:,.2f})"


def _direction(search: Any) -> str:
    from bayesmix.selection.criteria import record

    smaller = record(search.criterion_).factor < 0.0
    return "smaller is better" if smaller else "in nats, greater is better"


def _criterion(search: Any) -> str:
    from bayesmix.selection.criteria import record

    name = record(search.criterion_).label
    return f"{name[:1].upper()}{name[1:]}"


def cluster_tables(search: Any, width: int) -> list[Table]:
    """Return sizes and features of clusters that cannot be described, and of their components."""
    answer, best = search.answer_, search.best_estimator_
    lead = {
        answer.noun: list(answer.words),
        "share": [percent(share) for share in answer.shares],
        "n": [f"{size:,.6g}" for size in answer.sizes],
    }
    noise = best.result_.mixture.noise is not None
    if len(answer.words) == len(answer.labels) and not noise:
        return component_tables(best, width, lead)
    table = new_table("")
    members = [", ".join(str(k + 1) for k in group) for group in answer.members]
    lead[f"{best.result_.noun}s"] = members
    if answer.outlying:
        outside = [
            "none",
            percent(1.0 - answer.shares.sum()),
            f"{answer.outlying:,.6g}",
            "",
        ]
        lead = {
            name: [*cells, cell] for (name, cells), cell in zip(lead.items(), outside, strict=True)
        }
    for name in lead:
        table.add_column(name, justify="right")
    for cells in zip(*lead.values(), strict=True):
        table.add_row(*map(escape, cells))
    return [table, *component_tables(best, width)]


def described(
    model: Any, source: Source, beside: dict[str, Any], frame: pd.DataFrame | None = None
) -> Description | None:
    """Return the description of the groups of a model by its data, or else by draws from it.

    ``beside`` has what belongs to the data; ``frame`` has the data with further columns, if there
    are any. None where neither is supported.
    """
    of_rows = {name: value for name, value in beside.items() if name != "weight_type"}
    tries: list[tuple[Any, dict[str, Any]]] = [(source, of_rows), (None, {})]
    if frame is not None:
        tries.insert(0, (frame, of_rows | {"sample_weight": all_weights(source)}))
    for X, of_data in tries[not isinstance(source, ArraySource) :]:
        with suppress(UnsupportedError):
            description: Description = model.describe(X, **of_data)
            return description
    return None


def description_tables(description: Description, width: int) -> list[Table]:
    """Return the most telling columns of a description in tables that fit the width."""
    tables = []
    for printed in description.to_fit(width):
        table = Table(box=SIMPLE_HEAD, header_style="", show_edge=False, padding=(0, 1, 0, 0))
        for place, name in enumerate(printed.columns):
            table.add_column(escape(printable(name)), justify="right" if place else "left")
        for row in printed.rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        tables.append(table)
    caption = "\n".join(filter(None, (printed.note, *description.notes)))
    tables[-1].caption = escape(worded(caption))
    return tables


def component_tables(
    model: Any, width: int, lead: dict[str, list[str]] | None = None
) -> list[Table]:
    """Return weights and features of components, in several tables if they are wide.

    ``lead``: other first columns, of which the first is repeated.
    """
    from bayesmix.em.display import cells_of, component_heads

    result, D = model.result_, model.n_features_in_
    given = getattr(model, "feature_names_in_", result.columns)
    names = column_names(given, D)[:FEATURES_SHOWN]
    heads = [f"x{name}" if name.isdigit() else printable(name) for name in names]
    point, noise = result.unframed.plug_in(), result.mixture.noise
    first: list[str] = [str(k + 1) for k in range(model.n_components_)]
    weights = [f"{weight:.3f}" for weight in model.weights_]
    if noise is not None:
        first.append("noise")
        weights.append(f"{noise.weight:.3f}")
    if lead is None:
        lead = dict(zip(component_heads(result), (first, weights), strict=True))
    room = 0
    tables: list[tuple[Table, list[list[str]]]] = []
    for d, head in enumerate(heads):
        cells = [*cells_of(result, point, d), *([""] if noise is not None else [])]
        size = 3 + max(len(head), *map(len, cells))
        if size > room:
            shown = dict(list(lead.items())[: 1 if tables else None])
            table = new_table("")
            tables.append((table, list(shown.values())))
            for name in shown:
                table.add_column(name, justify="right")
            room = width - sum(3 + max(map(len, [name, *own])) for name, own in shown.items())
        tables[-1][0].add_column(escape(head), justify="right", no_wrap=True)
        tables[-1][1].append(cells)
        room -= size
    for table, columns in tables:
        for line in zip(*columns, strict=True):
            table.add_row(*map(escape, line))
    coding = result.family.coding
    kinds = ["mean ± standard deviation"] * (coding is None or len(coding.numbers) > 0)
    if coding is not None and coding.has_levels:
        kinds.append("the most probable category and its probability")
    if len(heads) < D:
        kinds.append(f"{D - len(heads):,} more columns are not shown")
    tables[-1][0].caption = "; ".join(kinds)
    return [table for table, _ in tables]


# Headers and columns that leave room for numbers in a terminal of 80 columns.
SHORT, MOST_SPACED, TERMINAL = {"standard_error": "error"}, 6, 80


def frame_table(title: str, frame: pd.DataFrame) -> Table:
    """Return a frame of numbers and text as a table, whose numbers are never shortened."""
    from bayesmix.core.printed_numbers import significant
    from bayesmix.regressions.regression_vector import printed_p

    table, wide = new_table(title), frame.shape[1] > MOST_SPACED
    digits: Callable[[float], str] = significant if wide else four_digits
    heads = [escape(SHORT.get(str(name), str(name))) for name in frame.columns]
    columns = [
        [_cell(value, printed_p if name == "p" else digits) for value in column]
        for name, column in frame.items()
    ]
    widths = [max(map(len, (head, *cells))) for head, cells in zip(heads, columns, strict=True)]
    if wide:  # two spaces between columns, or one
        table.padding = (0, 0, 0, int(sum(widths) + 2 * (len(widths) - 1) <= TERMINAL))
    for head, width, (_, column) in zip(heads, widths, frame.items(), strict=True):
        of_numbers = column.dtype.kind in "biuf"
        table.add_column(
            head,
            justify="right" if of_numbers else "left",
            no_wrap=not of_numbers,
            min_width=width if of_numbers else None,
        )
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    return table


def _cell(value: Any, printed: Callable[[float], str]) -> str:
    if isinstance(value, float):
        return printed(value) if math.isfinite(value) else NO_VALUE
    return escape(printable(str(value)))


def new_table(title: str) -> Table:
    """Return an empty table; the screen prints its title and caption."""
    return Table(box=SIMPLE_HEAD, title=title, header_style="", show_edge=False, pad_edge=False)
