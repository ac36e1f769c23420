"""A fitted search with all its candidates as records and arrays, and back."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

from bayesmix.errors import BayesmixWarning, DamagedFileError, UnsupportedError, warn
from bayesmix.io.saved import mixture_records
from bayesmix.io.saved.records import Reader, Writer
from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.clustering.clusters import clusters_of_components

NAME = "MixtureSearch"
HOME = "bayesmix.estimators.search"
# What stays of a search beside its candidates.
KEPT = (
    "criterion_",
    "cautions_",
    "interrupted_",
    "_summary",
    "_details",
    "_prior_over_k",
    "_clusters",
)


def described(search: Any, writer: Writer) -> dict[str, Any]:
    """A fitted search: its parameters, what it said, and every candidate with its fit."""
    rows = search.candidates_
    if any(hasattr(row.estimator, "steps") for row in rows):
        raise UnsupportedError(
            "a search of pipelines cannot be saved: save the mixture that it chose, with "
            "best_estimator_[-1].save(path), and its table with results_.to_csv(path)"
        )
    return {
        "class": NAME,
        "parameters": _parameters(search, writer),
        "estimator": _unfitted(search.estimator, writer),
        "kept": writer.value({name: getattr(search, name) for name in KEPT}),
        "folds": search.folds_.to_dict("split")["data"],
        "candidates": [
            {
                "row": writer.value(replace(row, estimator=None, begin=None)),
                "model": row.estimator and mixture_records.described(row.estimator, writer),
            }
            for row in rows
        ],
    }


def _parameters(search: Any, writer: Writer) -> dict[str, Any]:
    """Those that a file can hold; others become the default, aloud."""
    saved, defaults = {}, type(search)().get_params(deep=False)
    for name, value in search.get_params(deep=False).items():
        try:
            kept = tuple(value) if isinstance(value, range) else value
            saved[name] = writer.value(None if name == "estimator" else kept)
        except UnsupportedError:
            saved[name] = writer.value(defaults[name])
            warn(
                f"{name} is a {type(value).__name__} and is not saved: the loaded search has "
                f"{name}={defaults[name]!r}",
                BayesmixWarning,
            )
    return saved


def _unfitted(estimator: Any, writer: Writer) -> dict[str, Any] | None:
    if estimator is None:
        return None
    name = mixture_records.class_name(estimator)
    return {"class": name, "parameters": mixture_records.parameters(estimator, writer, None)}


def _renamed(saved: dict[str, Any]) -> dict[str, Any]:
    """A candidate as versions before 0.3.0 wrote it, with the fields that it has now."""
    fields = dict(saved["fields"])
    objection, refuted = fields.pop("objection", ""), fields.pop("refuted", False)
    if objection or refuted:
        fields["dropped"] = objection or "worse in cross-validation"
    return {**saved, "fields": fields}


def restored(described: dict[str, Any], reader: Reader) -> Any:
    """The fitted search that was described."""
    search = mixture_records.made(getattr(importlib.import_module(HOME), NAME), described, reader)
    if described["estimator"] is not None:
        search.estimator = mixture_records.unfitted(described["estimator"], reader)
    rows = []
    for each in described["candidates"]:
        row = reader.value(_renamed(each["row"]))
        if not isinstance(row, Candidate):
            raise DamagedFileError("is damaged: it holds no candidate")
        model = each["model"]
        rows.append(replace(row, estimator=model and mixture_records.restored(model, reader)))
    kept = reader.value(described["kept"])
    # Versions before 0.3.0 had one text, and no clusters.
    kept.setdefault("_details", kept.get("_summary"))
    best = rows[0].result if rows else None
    if best is not None:
        kept.setdefault("_clusters", clusters_of_components(best))
    if set(kept) != set(KEPT):
        raise DamagedFileError("is damaged: it holds no search")
    search._restore(rows, kept, described["folds"])
    return search
