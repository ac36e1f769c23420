"""What was found, as plain values: the content of ``result.json`` and of ``--json``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.errors import UndefinedError
from bayesmix.protocols import Source
from bayesmix.sources import coding_of
from bayesmix.version import CORE_PACKAGES, __version__, versions

UNITS = "log densities and criteria in nats, criteria greater is better"


def plain(value: Any) -> Any:
    """Lists, dicts, text and numbers that JSON can hold; null where there is no number."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def described(command: str, path: str, source: Source, weight: str | None) -> dict[str, Any]:
    """The head of every result: who made it, of which rows."""
    n_rows, n_columns = source.shape
    return {
        "bayesmix": __version__,
        "versions": versions(CORE_PACKAGES),
        "command": command,
        "units": UNITS,
        "data": {
            "file": path,
            "rows": n_rows,
            "total_weight": source.total_weight,
            "columns": column_names(source.columns, n_columns),
            **_taken(source),
            "weight": weight,
        },
    }


def _taken(source: Source) -> dict[str, Any]:
    """What columns that are no numbers were taken for, and which were left out, where it is known.

    Nothing of a table of numbers alone.
    """
    coding = coding_of(source)
    if coding is None:
        return {}
    levels = {n: own for n, own in zip(coding.names, coding.levels, strict=True) if own is not None}
    return {"levels": plain(levels), "left_out": dict(coding.left_out)}


def column_names(names: Any, n_columns: int) -> list[str]:
    """The names of columns; their positions where they have none."""
    if names is None:
        return [str(place) for place in range(n_columns)]
    return [str(name) for name in names]


def model_values(model: Any) -> dict[str, Any]:
    """A fitted mixture."""
    result = model.result_
    values = {
        "class": type(model).__name__,
        "n_components": model.n_components_,
        "covariance_type": model.covariance_type,
        "weights": model.weights_,
        **({} if result.mixture.noise is None else {"noise_weight": model.noise_weight_}),
        **_parameters(model),
        "rows_per_component": result.counts,
        "log_likelihood": model.log_likelihood_,
        "objective": {"name": result.inference.name, "value": result.objective},
        "bic": -0.5 * model.bic(),
        "aic": -0.5 * model.aic(),
        "icl": -0.5 * model.icl(),
        "converged": model.converged_,
        "status": result.status,
        "iterations": model.n_iter_,
        "seconds": result.seconds,
        "seed": result.seed,
        "events": [event.text for event in result.events],
    }
    found: dict[str, Any] = plain(values)
    return found


def _parameters(model: Any) -> dict[str, Any]:
    """Means and covariances; of a product the parameters of every part, by its columns."""
    parts = getattr(model, "components_", None)
    if parts is None:
        return {"means": model.means_, "covariances": model.covariances_}
    return {
        "parts": [
            {"columns": part.columns, "levels": part.levels, "parameters": dict(part)}
            for part in parts.values()
        ]
    }


def search_values(search: Any) -> dict[str, Any]:
    """A fitted search: what it chose, and every candidate."""
    best = search.best_estimator_
    found: dict[str, Any] = plain(
        {
            "criterion": search.criterion_,
            "best": {**search.best_params_, search.criterion_: search.best_score_},
            "chosen": {
                "n_components": best.n_components_,
                "covariance_type": best.covariance_type,
            },
            **_k_probabilities(search),
            "cautions": search.cautions_,
            "summary": search.summary(),
            "candidates": search.results_.to_dict("records"),
            "model": model_values(best),
        }
    )
    return found


def _k_probabilities(search: Any) -> dict[str, Any]:
    """P(K | rows), from which evidence and under which prior; None where the criterion gives none.

    ``k_approximate``: a bound or BIC stands for the evidence.
    """
    try:
        found = search.k_probabilities_
    except UndefinedError:
        return {"k_probabilities": None}
    source = found.attrs["evidence"]
    return {
        "k_probabilities": dict(zip(found.index.tolist(), found.tolist(), strict=True)),
        "k_evidence": source,
        "k_approximate": "approximation" in source,
        "k_prior": found.attrs["prior"],
    }
