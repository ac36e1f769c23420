"""What a saved model says of rows, in the shell."""

from __future__ import annotations

import codecs
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bayesmix.cli.inputs.rows_of_data import STANDARD_INPUT, of_data, read_rows, with_values
from bayesmix.cli.outputs import describe, files
from bayesmix.cli.outputs.show import Screen
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Booleans
from bayesmix.writing import written


def predict(
    screen: Screen,
    model_path: str,
    path: str,
    columns: list[str] | None,
    out: str | None,
    keep: list[str],
    rows: bool,
) -> None:
    """Component, probability and log density of every row, as CSV or, with ``rows``, as JSON."""
    from bayesmix.workflow.result import most_probable

    place = None if out is None else files.labels_place(out)
    model = model_of("predict", model_path, path)
    source, some = rows_for(screen, model, path, columns)
    probabilities = model.predict_proba(source)
    labels = most_probable(probabilities, model.n_components_)
    densities = model.score_samples(source)
    kept = kept_of(path, keep)
    table = PredictionTable(labels, densities, probabilities, model.n_components_, kept, some)
    if place is not None:
        with written(place) as stream:
            table.write(codecs.getwriter("utf-8")(stream))
    elif not screen.machine:
        table.write(sys.stdout)
        return
    counts = np.bincount(labels[labels >= 0], minlength=model.n_components_).tolist()
    n_noise = len(labels) - sum(counts)
    values = describe.described("predict", path, source, None)
    values |= {
        "model": model_path,
        "rows_per_component": counts,
        **({} if model.result_.mixture.noise is None else {"rows_of_noise": n_noise}),
        "mean_log_density": float(densities.mean()),
        "files": [] if out is None else [out],
    }
    if rows:
        values["rows"] = [dict(zip(table.names, row, strict=True)) for row in table.rows()]
    screen.answer(
        f"{len(labels):,} rows to {model.n_components_} components: "
        + ", ".join(f"{count:,}" for count in counts)
        + (f", {n_noise:,} of noise" if n_noise else "")
        + f"; mean log density {densities.mean():.4f} nats"
    )
    if out is not None:
        screen.say(f"Wrote {out}")
    if screen.machine:
        print(files.as_json(describe.plain(values)))


def model_of(command: str, model_path: str, path: str) -> Any:
    """The saved model, unless it and the rows changed places."""
    from bayesmix.io import load

    if not model_path.endswith(".bayesmix") and path.endswith(".bayesmix"):
        raise InvalidInputError(f"the model comes first: bayesmix {command} {path} {model_path}")
    return load(model_path)


def rows_for(
    screen: Screen,
    model: Any,
    path: str,
    columns: Sequence[str] | None,
    weight: str | None = None,
) -> tuple[Any, Booleans]:
    """The rows that a model is asked about, and which of all (n,) they are.

    Rows without any value are left out where others may have gaps.
    """
    source = _all_rows_for(model, path, columns, weight)
    if model.missing == "use":
        return with_values(screen.note, source)
    return source, np.ones(source.shape[0], dtype=bool)


def spread(values: Any, some: Booleans) -> list[Any]:
    """A value for every row (n,): None for those that nothing is said of."""
    said = iter(values)
    return [next(said) if one else None for one in some.tolist()]


def _all_rows_for(model: Any, path: str, columns: Sequence[str] | None, weight: str | None) -> Any:
    """Its own columns by name, unless others are named."""
    kept = "keep" if model.missing == "use" else "error"
    if columns is not None:
        # Asked for one by one, they may have other names than at the fit.
        source: Any = read_rows(path, columns, weight, kept)  # a record, of either kind
        return replace(source, columns=None)
    coding, names = model.result_.family.coding, getattr(model, "feature_names_in_", None)
    if coding is not None and coding.has_levels and names is not None:
        from bayesmix.io.tables.mixed_tables import read_as

        named = replace(coding, names=tuple(map(str, names)))
        return of_data(path, lambda place: read_as(place, named, weight, kept == "keep"))
    if names is None or path.lower().endswith(".npy"):
        return read_rows(path, None, weight, kept)
    return read_rows(path, list(names), weight, kept)


def kept_of(path: str, keep: list[str]) -> dict[str, list[Any]]:
    """Columns of DATA that are carried along, as they are."""
    if not keep:
        return {}
    from bayesmix.io.tables.mixed_tables import kept_columns

    if path == STANDARD_INPUT:
        raise InvalidInputError("--keep reads DATA again: give it as a file, not by a pipe")
    kept: dict[str, list[Any]] = of_data(path, lambda place: kept_columns(place, keep))
    return kept


class PredictionTable:
    """A line per row: what is carried along, its component, how probable, its log density.

    Of rows that are not among ``some`` nothing is said.
    """

    def __init__(
        self,
        labels: Any,
        densities: Any,
        probabilities: Any,
        n_components: int,
        kept: Mapping[str, list[Any]],
        some: Booleans,
    ) -> None:
        each = [f"p{k}" for k in range(n_components)]
        if probabilities.shape[1] > n_components:
            each.append("p_noise")
        self.names = [*kept, "component", "probability", "log_density", *each]
        found = [labels, probabilities.max(axis=1), densities, *probabilities.T]
        self.columns = [*kept.values(), *(spread(column.tolist(), some) for column in found)]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The lines, as plain numbers."""
        return zip(*self.columns, strict=True)

    def write(self, stream: Any) -> None:
        """As CSV."""
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.names)
        writer.writerows(self.rows())
