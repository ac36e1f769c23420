"""What a person reads in the terminal: tables and sentences, at any width."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bayesmix.cli.inputs.rows_of_data import name_of
from bayesmix.cli.outputs.describe import column_names
from bayesmix.cli.wording import printable, worded
from bayesmix.families.gaussian.covariance.models import label
from bayesmix.protocols import Source
from bayesmix.selection.criteria.registry import record

# Criteria beside the one that chose; so many have room in 80 columns.
BESIDE = ("elbo", "bic", "icl", "aic")
MOST_BESIDE = 3
HEADS = {"evidence_folds": "EVIDENCE"}
NO_VALUE = "-"
# Of more structures each has a row instead of a column.
MOST_ACROSS = 6
MOST_DIGITS = 6
NAMES_SHOWN = 8


class Terminal(Console):
    """Standard output, whose reader may have heard enough: then the work goes on in silence."""

    def on_broken_pipe(self) -> None:
        """What is still to be said goes nowhere."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Screen:
    """Sentences and tables on standard output, notes on standard error.

    ``quiet`` leaves the answer and the notes, ``machine`` (``--json``) the notes.
    """

    def __init__(self, quiet: bool = False, machine: bool = False) -> None:
        self.out = Terminal(file=sys.stdout, highlight=False)
        self.quiet = quiet
        self.machine = machine
        self.noted: set[str] = set()
        self.remembered: list[str] = []

    @property
    def progress(self) -> bool | None:
        """The ``progress`` of estimators: a bar where somebody looks."""
        return False if self.quiet or self.machine else None

    def answer(self, text: str) -> None:
        """What was asked for; on a terminal broken at words, in a pipe one line a sentence."""
        if not self.machine:
            self.out.print(worded(text), markup=False, soft_wrap=not self.out.is_terminal)

    def say(self, text: str = "") -> None:
        """What goes with it."""
        if not self.quiet:
            self.answer(text)

    def heading(self, text: str) -> None:
        """A question that the next lines answer."""
        if not (self.quiet or self.machine):
            self.out.print(f"\n[bold]{text}[/]")

    def table(self, table: Table) -> None:
        """A table with its caption, unless only the answer is wanted."""
        while self.remembered:
            self.note(self.remembered.pop())
        caption, table.caption = table.caption, None
        if not (self.quiet or self.machine):
            self.out.print()
            self.out.print(table)
            if caption:
                self.out.print(caption, style="dim")

    def wrote(self, place: Path, paths: Sequence[str]) -> None:
        """Which files are there now."""
        self.say(f"\nWrote to {place}: {', '.join(Path(path).name for path in paths)}")

    def remember(self, text: str) -> None:
        """A note that goes with what is found: of a command that fails, one line is said."""
        self.remembered.append(text)

    def note(self, text: str) -> None:
        """Something that the user can act on, once."""
        text = worded(" ".join(text.split()))
        if text not in self.noted:
            self.noted.add(text)
            print(f"note: {text}", file=sys.stderr)

    @contextmanager
    def noting_warnings(self) -> Iterator[list[str]]:
        """Warnings meant for users become notes; yields the list that holds them at the end."""
        heard: list[str] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield heard
        for warning in caught:
            if issubclass(warning.category, UserWarning):
                heard.append(str(warning.message))
                self.note(heard[-1])


def rows_sentence(path: str, source: Source, weight: str | None) -> str:
    """Which rows and columns are used."""
    n_rows, n_columns = source.shape
    names = column_names(source.columns, n_columns)[:NAMES_SHOWN]
    more = f" and {n_columns - len(names)} more" if n_columns > len(names) else ""
    weighed = f", weighted by {weight} (sum {source.total_weight:g})" if weight else ""
    plural = "column" if n_columns == 1 else "columns"
    return f"{name_of(path)}: {n_rows:,} rows, {plural} {', '.join(names)}{more}{weighed}"


def candidate_table(search: Any) -> Table:
    """All candidates of a search: a grid over K and covariance, or one row each."""
    results = search.results_
    n_structures = results["covariance_type"].nunique() if "covariance_type" in results else 1
    if n_structures > MOST_ACROSS:
        return _matrix(search)
    return _grid(search) if n_structures > 1 else _rows(search)


def _matrix(search: Any) -> Table:
    """Nats behind the best, a row a structure from simple to rich, a column a number."""
    matrix, criterion = search.matrix(), search.criterion_
    best = matrix.attrs["best"]
    table = new_table(f"{_name(criterion)}: nats behind the best ({best[0][2]:,.2f})")
    table.add_column("covariance")
    for k in matrix.index:
        table.add_column(str(k), justify="right")
    places = [(structure, k) for structure, k, _ in best]
    for structure in matrix.columns:
        cells = []
        for k in matrix.index:
            cell = _number(best[0][2] - matrix.loc[k, structure], digits=1)
            if (structure, k) in places:
                place = places.index((structure, k)) + 1
                cell = f"[bold green]{cell} ({place})[/]"
            cells.append(cell)
        table.add_row(label(structure), *cells)
    named = ", ".join(f"({i}) {label(s)}, {k}" for i, (s, k) in enumerate(places, start=1))
    table.caption = f"columns are numbers of components; the best three: {named}"
    if matrix.isna().to_numpy().any():
        table.caption += f"\n{NO_VALUE}  no value: a component collapsed, or the fit failed"
    return table


def _grid(search: Any) -> Table:
    """Nats behind the best, a column per covariance structure, the best one first."""
    results, criterion = search.results_, search.criterion_
    structures = list(dict.fromkeys(results["covariance_type"]))
    table = new_table(f"{_name(criterion)}: nats behind the best ({search.best_score_:,.2f})")
    table.add_column("components", justify="right")
    for structure in structures:
        table.add_column(structure, justify="right", min_width=9)
    for K in sorted(set(results["n_components"])):
        cells = []
        for structure in structures:
            here = results[
                (results["n_components"] == K) & (results["covariance_type"] == structure)
            ]
            cells.append(_behind(search, here.index[0]) if len(here) else "")
        table.add_row(str(K), *cells)
    if results[criterion].isna().any():
        table.caption = f"{NO_VALUE}  no value: a component collapsed, or the fit failed"
    return table


def _rows(search: Any) -> Table:
    """A row per candidate, with the other criteria beside the one that chose."""
    results, criterion = search.results_, search.criterion_
    table = new_table(f"{_name(criterion)}: candidates, in nats, greater is better")
    errors = results.get(f"{criterion}_se")
    found = results["found_components"]
    pruned = bool((found != results["n_components"]).any())
    beside = [name for name in BESIDE if name in results and name != criterion][:MOST_BESIDE]
    table.add_column("components", justify="right")
    if pruned:
        table.add_column("found", justify="right")
    table.add_column(HEADS.get(criterion, criterion.upper()), justify="right")
    table.add_column("behind", justify="right", min_width=9)
    for name in beside:
        table.add_column(name.upper(), justify="right", style="dim")
    for row in results.index:
        error = "" if errors is None else f" ({errors[row]:,.2f})"
        table.add_row(
            str(results["n_components"][row]),
            *([str(found[row])] if pruned else []),
            _number(results[criterion][row], error),
            _behind(search, row),
            *(_number(results[name][row]) for name in beside),
        )
    if errors is not None:
        table.caption = "in brackets the standard error"
    return table


def _behind(search: Any, row: Any) -> str:
    if row == search.best_index_:
        return "[bold green]best[/]"
    return _number(search.results_["behind"][row])


def _number(value: Any, error: str = "", digits: int = 2) -> str:
    return f"{value:,.{digits}f}{error}" if math.isfinite(value) else NO_VALUE


def _name(criterion: str) -> str:
    name = record(criterion).label
    return name[:1].upper() + name[1:]


def component_table(model: Any, width: int) -> Table:
    """A row per component: its share, and mean (standard deviation) in as many columns as fit."""
    names = column_names(getattr(model, "feature_names_in_", None), model.n_features_in_)
    names = [printable(name) for name in names]
    cells = _cells(model, len(names))
    table = new_table("")
    table.add_column("component", justify="right")
    table.add_column("share", justify="right")
    room, shown = width - 23, 0
    for name, column in zip(names, cells, strict=True):
        room -= 2 + max(len(name), *map(len, column))
        if room < 0 and shown:
            break
        table.add_column(escape(f"x{name}" if name.isdigit() else name), justify="right")
        shown += 1
    for k in range(model.n_components_):
        table.add_row(str(k), f"{model.weights_[k]:.3f}", *(cells[d][k] for d in range(shown)))
    noise = model.result_.mixture.noise
    if noise is not None:
        table.add_row("noise", f"{noise.weight:.3f}", *("" for _ in range(shown)))
    mixed = getattr(model, "components_", None) is not None
    table.caption = "mean (standard deviation)"
    if mixed:
        table.caption = "mean ± standard deviation; of categories the most probable, and its share"
    if shown < len(names):
        left = len(names) - shown
        table.caption += f"; {left} more column{'s do' if left > 1 else ' does'} not fit here"
    return table


def _cells(model: Any, n_columns: int) -> list[list[str]]:
    """What stands in every column of the table of components."""
    if getattr(model, "components_", None) is not None:
        from bayesmix.workflow.display import cells_of

        point = model.result_.unframed.plug_in()
        return [cells_of(model.result_, point, d) for d in range(n_columns)]
    deviations = standard_deviations(model)
    return [_means(model.means_[:, d], deviations[:, d]) for d in range(n_columns)]


def standard_deviations(model: Any) -> Any:
    """Of every component in every column (K, D)."""
    components = model.result_.unframed
    K, D = components.means.shape
    spread = components.structure.algebra.spread(components.blocks, K, D)
    return spread**0.5


def _means(means: Any, deviations: Any) -> list[str]:
    """Means with standard deviations: two digits of the largest, at least one of the smallest."""
    pairs = list(zip(means, deviations, strict=True))
    first, last = deviations.max(), deviations.min()
    digits = max(1 - math.floor(math.log10(first)), -math.floor(math.log10(last)), 0)
    if digits > MOST_DIGITS:
        return [f"{mean:.6g} ({deviation:.1e})" for mean, deviation in pairs]
    return [f"{mean:,.{digits}f} ({deviation:,.{digits}f})" for mean, deviation in pairs]


def fit_sentence(model: Any) -> str:
    """What was fitted, and how it ended."""
    result = model.result_
    K = model.n_components_
    asked = result.requested_components
    of = f" of at most {asked}" if asked != K else ""
    how = {
        "maximum_likelihood": f"log likelihood {result.log_likelihood:,.2f}",
        "maximum_a_posteriori": f"log posterior {result.objective:,.2f}",
        "variational_bayes": f"evidence lower bound {result.objective:,.2f}",
    }[result.inference.name]
    ended = "converged" if result.converged else f"stopped ({result.status})"
    iterations = len(result.trace)
    after = f" after {iterations} iteration{'s' if iterations != 1 else ''}" if iterations else ""
    coding = result.family.coding
    varied = coding is None or set(coding.numbers) > set(coding.counts)  # columns of a covariance
    plain = model.covariance_type is None or not varied
    structure = "" if plain else f", {model.covariance_type} covariance"
    noise = "" if result.mixture.noise is None else " and noise"
    size = f"{K} component{'s' if K != 1 else ''}{of}{noise}"
    return f"{size}{structure}: {how} nats, {ended}{after}."


def frame_table(title: str, frame: Any) -> Table:
    """A table of numbers and words, a row each."""
    table = new_table(title)
    for name in frame.columns:
        table.add_column(escape(str(name)), justify="right")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else NO_VALUE
    return escape(printable(str(value)))


def new_table(title: str) -> Table:
    """A table without a frame, its title on the left."""
    return Table(
        box=SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="",
        show_edge=False,
        pad_edge=False,
    )
