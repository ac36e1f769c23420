"""Saving and loading of fitted estimators and searches, without pickle."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, replace
from os import PathLike
from typing import Any

from bayesmix.errors import (
    BayesmixWarning,
    DamagedFileError,
    InvalidInputError,
    UnsupportedError,
    warn,
)
from bayesmix.io import records as mixture_records
from bayesmix.io.container import opened, pack, unpack
from bayesmix.io.records import Reader, Writer
from bayesmix.relevance.relevance_search import FeatureSelection
from bayesmix.selection.answer import Answer
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.clusters import clusters_of_components, sizes_by_counts
from bayesmix.selection.criteria import RULE, RULE_BEFORE
from bayesmix.sources.writing import absent, file_to_write, path_text, write
from bayesmix.version import __version__

# Name of the model in the folder that --out names.
OF_THE_SHELL = "model.bayesmix"

# Attributes of a search that are saved besides its candidates.
KEPT = (
    *("criterion_", "cautions_", "interrupted_"),
    *("_prior_over_k", "_coding", "_hierarchy", "answer_"),
)


def described(search: Any, writer: Writer) -> dict[str, Any]:
    """Describe a fitted search: parameters, results, and candidates with fits."""
    rows = search.candidates_
    if any(hasattr(row.estimator, "steps") for row in rows):
        raise UnsupportedError(
            "a search of pipelines cannot be saved: save the mixture that it chose, with "
            "best_estimator_[-1].save(path), and its table with results_.to_csv(path)"
        )
    return {
        "class": "MixtureSearch",
        "parameters": _parameters(search, writer),
        "estimator": None
        if search.estimator is None
        else {
            "class": mixture_records.class_name(search.estimator),
            "parameters": mixture_records.parameters(search.estimator, writer, None),
        },
        "kept": writer.value({name: getattr(search, name) for name in KEPT}),
        "folds": writer.value(search.folds_.to_dict("split")["data"]),
        "candidates": [
            {
                "row": writer.value(replace(row, estimator=None, begin=None)),
                "model": row.estimator and mixture_records.described(row.estimator, writer),
            }
            for row in rows
        ],
        "features": _features(search, writer),
    }


def _features(search: Any, writer: Writer) -> dict[str, Any] | None:
    """The features that were selected, and the fit of the others."""
    if search._selected is None:
        return None
    others = search._others
    return {
        "selected": writer.value(asdict(search._selected)),
        "others": None if others is None else mixture_records.described(others, writer),
        "names": writer.value(search._feature_names_given()),
    }


def _parameters(search: Any, writer: Writer) -> dict[str, Any]:
    """Return the parameters that can be saved; others become defaults, with a warning."""
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


def _renamed(saved: dict[str, Any]) -> dict[str, Any]:
    """Return a candidate with its current fields, also from earlier versions."""
    fields = {name: value for name, value in saved["fields"].items() if name != "dropped"}
    return {**saved, "fields": fields}


def restored(described: dict[str, Any], reader: Reader) -> Any:
    """Return the fitted search of a description."""
    search = mixture_records.unfitted(described, reader)
    if described["estimator"] is not None:
        search.estimator = mixture_records.unfitted(described["estimator"], reader)
    rows = []
    for each in described["candidates"]:
        row = reader.value(_renamed(each["row"]))
        if not isinstance(row, Candidate):
            raise DamagedFileError("is damaged: it contains no candidate")
        model = each["model"]
        scores = {
            RULE if name == RULE_BEFORE else name: score for name, score in row.scores.items()
        }
        fit = model and mixture_records.restored(model, reader)
        rows.append(replace(row, scores=scores, estimator=fit))
    kept = reader.value(described["kept"])
    kept.setdefault("_coding", None)
    kept.setdefault("_hierarchy", None)
    if rows and "answer_" not in kept:
        kept["answer_"] = _answer_of_before(rows[0], kept)
    if kept.get("criterion_") == RULE_BEFORE:
        kept["criterion_"] = RULE
    if set(kept) != set(KEPT):
        raise DamagedFileError("is damaged: it contains no search")
    search._restore(rows, kept, reader.value(described["folds"]))
    if features := described.get("features"):
        others = features["others"] and mixture_records.restored(features["others"], reader)
        selection = FeatureSelection(**reader.value(features["selected"]))
        search._restore_features(selection, others, reader.value(features["names"]))
    return search


def _answer_of_before(best: Candidate, kept: dict[str, Any]) -> Answer:
    """Return the answer by other attributes of a file, and remove these.

    Files of 0.2.0 have a single text, and no clusters.
    """
    text, labels, result = kept.pop("_summary"), kept.pop("_clusters", None), best.result
    if result is None or not isinstance(text, str):
        raise DamagedFileError("is damaged: it contains no search")
    if labels is None:
        labels = clusters_of_components(result)
    first = text.splitlines()[0]
    said = re.match(r"\d[\d,]* (class|cluster|component|state)", first)
    sizes, outlying = sizes_by_counts(result.counts, labels, result.total_weight)
    return Answer(
        said[1] if said else "cluster",
        labels,
        sizes,
        outlying,
        first.split(": ")[0],
        text,
        kept.pop("_details", text),
        kept.pop("_cluster_probabilities", {}),
        names=kept.pop("_names", None),
    )


def _classifier_described(classifier: Any, writer: Writer) -> dict[str, Any]:
    """Describe a fitted classifier: its parameters, mixtures and state."""
    models = {id(model): model for model in classifier.models_.values()}.values()
    return {
        "class": "MixtureClassifier",
        "parameters": mixture_records.parameters(classifier, writer, None),
        "models": [mixture_records.described(model, writer) for model in models],
        "state": writer.value(classifier._state()),
    }


def _classifier_restored(described: dict[str, Any], reader: Reader) -> Any:
    """Return the fitted classifier of a description."""
    classifier = mixture_records.unfitted(described, reader)
    models = [mixture_records.restored(each, reader) for each in described["models"]]
    classifier._restore(models, reader.value(described["state"]))
    return classifier


# How each kind of model is described and restored.
MIXTURE = mixture_records.described, mixture_records.restored
KINDS = {
    "MixtureSearch": (described, restored),
    "MixtureClassifier": (_classifier_described, _classifier_restored),
}


def save(model: Any, path: str | PathLike[str]) -> None:
    """Save a fitted estimator to one file; ``load`` reads it.

    The file contains parameters, the complete ``result_`` and feature names. It contains no data
    except labels and covariates, and those of a RegressionMixture, which standard errors need. It
    replaces an existing file only when complete. Functions and generators are not saved: a
    generator as ``random_state`` becomes the seed that was drawn from it, and a callable
    ``init_params`` becomes the default, with a warning.

    Parameters
    ----------
    model : mixture, RegressionMixture or a MixtureSearch of mixtures
        Fitted. A search is saved with all its candidates; ``best_estimator_`` can be saved alone.
    path : path
        File to write or replace.

    Raises
    ------
    UnsupportedError
        For other models, and for families or priors defined by the user.
    InvalidInputError
        If the path is not a possible file; a device or pipe is never replaced.
    FileAccessError
        If writing fails, as on a full disk; an existing file is then unchanged.

    Examples
    --------
    >>> import os, tempfile, bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> path = os.path.join(tempfile.mkdtemp(), "faithful.bayesmix")
    >>> gm.save(path)
    >>> bool((bm.load(path).score_samples(X) == gm.score_samples(X)).all())
    True
    """
    place = file_to_write(path)
    writer = Writer()
    describe, _ = KINDS.get(type(model).__name__, MIXTURE)
    write(place, pack({"bayesmix": __version__} | describe(model, writer), writer.arrays))


def load(path: str | PathLike[str]) -> Any:
    """Load a fitted estimator saved by ``save``; its predictions are identical.

    Parameters
    ----------
    path : path
        A file written by this or an older version of bayesmix.

    Returns
    -------
    Estimator or MixtureSearch

    Raises
    ------
    DamagedFileError
        If the file is truncated, altered, of a newer format or not a saved model. Files contain no
        code, so opening any file is safe.
    FileAccessError
        If there is no such file.
    """
    path = path_text("path", path)
    if not os.path.isfile(path):
        if not os.path.exists(path):
            raise absent("a saved model", path)
        kind = "a folder" if os.path.isdir(path) else "not a file"
        inside = os.path.join(path, OF_THE_SHELL)
        remedy = f": {inside} is one" if os.path.isfile(inside) else ""
        raise InvalidInputError(f"path must name a saved model, but {path} is {kind}{remedy}")
    with opened(path) as stream:
        return _model(*unpack(stream))


def _model(header: dict[str, Any], arrays: list[Any]) -> Any:
    _, restore = KINDS.get(header["class"], MIXTURE)
    try:
        return restore(header, Reader(arrays))
    except DamagedFileError as problem:
        writer = header.get("bayesmix")
        if writer == __version__ or "unknown to this" not in str(problem):
            raise
        raise DamagedFileError(f"{problem}: it was saved by bayesmix {writer}") from None
