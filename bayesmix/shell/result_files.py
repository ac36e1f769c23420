"""Output files: ``result.json`` and its values, tables, saved models, figures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from bayesmix.core.procedures import takes_sequences
from bayesmix.core.rows import Frame
from bayesmix.core.sources import Source
from bayesmix.em.prediction import most_probable
from bayesmix.errors import BayesmixError, UndefinedError
from bayesmix.selection.clusters import most_probable_clusters, shares_of_clusters
from bayesmix.selection.criteria import record
from bayesmix.shell.data import csv_text
from bayesmix.shell.shown_tables import column_names
from bayesmix.sources.memory import ArraySource, coding_of
from bayesmix.sources.writing import write, written
from bayesmix.version import CORE_PACKAGES, __version__, versions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmix.assess.description import Description

UNITS = "AIC, BIC and ICL: -2 log likelihood, smaller is better; others: nats, greater is better"
PANEL = (6.4, 4.4)
INCHES_OF_A_LEVEL = 0.3
DOTS_PER_INCH = 150
# Largest number of evenly spaced rows in a density figure.
MOST_DRAWN = 200_000


@dataclass(frozen=True)
class Figure:
    """A figure of ``size`` in inches, drawn without pyplot on axes of ``subplots(**panels)``."""

    draw: Callable[[Axes], object]
    size: tuple[float, float] = PANEL
    panels: Mapping[str, object] = field(default_factory=dict)

    def save(self, path: Path, note: Callable[[str], None]) -> bool:
        """Draw and save; return False, with a note, if that is impossible."""
        try:
            from matplotlib.figure import Figure as Canvas
        except ImportError:
            note("no figures: matplotlib is not installed (pip install 'bayesmix[plot]')")
            return False
        figure = Canvas(figsize=self.size, layout="constrained")
        try:
            self.draw(cast("Any", figure).subplots(**self.panels))
        except BayesmixError as problem:
            note(f"no {path.name}: {problem}")
            return False
        with written(path) as stream:
            figure.savefig(stream, dpi=DOTS_PER_INCH, format=path.suffix[1:])
        return True


def save(
    place: Path, contents: Mapping[str, Any], values: dict[str, Any], note: Callable[[str], None]
) -> None:
    """Write text, models and figures by name, then ``result.json``, which lists them."""
    names = [str(place / "result.json")]
    for name, content in contents.items():
        path = place / name
        if isinstance(content, Figure):
            if not content.save(path, note):
                continue
        elif isinstance(content, str):
            write(path, content.encode("utf-8"))
        else:
            content.save(path)
        names.append(str(path))
    values["files"] = names + values.get("files", [])
    write(place / "result.json", f"{as_json(values)}\n".encode())


def as_json(values: dict[str, Any]) -> str:
    """Return readable, strict JSON."""
    return json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return lists, dicts, text and numbers for JSON; null for other values."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return _nine_digits(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _nine_digits(value: float) -> float:
    """Return a number with nine significant digits, and no more decimals unless it is tiny."""
    shown = float(f"{value:.9g}")
    return shown if abs(shown) < 1e-4 else round(shown, 9)


def header(command: str, path: str, source: Source, weight: str | None) -> dict[str, Any]:
    """Return the header of every result: program, versions and data."""
    n_rows, n_columns = source.shape
    coding = coding_of(source)
    taken = {}
    if coding is not None and not coding.is_plain:
        pairs = zip(coding.names, coding.levels, strict=True)
        taken["levels"] = plain({name: levels for name, levels in pairs if levels is not None})
        taken["left_out"] = dict(coding.left_out)
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
            **taken,
            "weight": weight,
        },
    }


def _parameters(model: Any) -> dict[str, Any]:
    parts = getattr(model, "components_", None)
    if parts is not None:
        columns = ("columns", "levels")
        return {
            "parts": [
                {**{name: getattr(part, name) for name in columns}, "parameters": dict(part)}
                for part in parts.values()
            ]
        }
    if hasattr(model, "covariances_"):
        return {"means": model.means_, "covariances": model.covariances_}
    draws = model.result_.family.as_draws([model.result_.unframed.plug_in()])
    named = draws.parameters(Frame.identity(model.n_features_in_))
    return {"parameters": {name: values[0] for name, (_, values) in named.items()}}


def model_values(model: Any) -> dict[str, Any]:
    """Return the values of a fitted mixture."""
    result = model.result_
    return {
        "class": type(model).__name__,
        "n_components": model.n_components_,
        "covariance_type": model.covariance_type,
        "weights": model.weights_,
        **({} if result.mixture.noise is None else {"noise_weight": model.noise_weight_}),
        **_parameters(model),
        "rows_per_component": result.counts,
        "log_likelihood": model.log_likelihood_,
        "objective": {"name": result.inference.name, "value": result.objective},
        "bic": model.bic(),
        "aic": model.aic(),
        "icl": model.icl(),
        "converged": model.converged_,
        "status": result.status,
        "iterations": model.n_iter_,
        "seconds": result.seconds,
        "seed": result.seed,
        "events": [event.in_words(result.noun) for event in result.events],
    }


def search_values(search: Any) -> dict[str, Any]:
    """Return the values of a search: choice, P(K) and candidates."""
    best, features = search.best_estimator_, {}
    if search.variable_selection:
        table = search.feature_evidence_.assign(relevant=search.get_support())
        features["features"] = table.reset_index().to_dict("records")
    return {
        "criterion": search.criterion_,
        "best": best_candidate(search),
        "chosen": {**search.best_params_, search.criterion_: search.best_score_},
        "choice": search.answer_.choice,
        "n_clusters": search.n_clusters_,
        "cluster_probabilities": search.answer_.probabilities or None,
        "answer": answer_values(search.answer_),
        **_k_probabilities(search),
        "cautions": search.cautions_,
        "summary": search.summary(),
        **features,
        "candidates": search.results_.to_dict("records"),
        "model": model_values(best),
    }


def best_candidate(search: Any) -> dict[str, Any]:
    """Return the parameters of the candidate with the best value of the criterion, and the value.

    "chosen" has those of the chosen one.
    """
    results = search.results_
    best = results.loc[results["behind"].idxmin()]
    names = list(results.columns[: results.columns.get_loc("found_components")])
    value = best[record(search.criterion_).column]
    return {**best[names].to_dict(), search.criterion_: value}


def answer_values(answer: Any) -> dict[str, Any]:
    """Return the clusters: words, sizes, colours, and components as indices of other lists."""
    names = ("name", "size", "share", "components", "colour")
    columns = (answer.words, answer.sizes, answer.shares, answer.members, answer.colours)
    return {
        "headline": answer.headline,
        "noun": answer.noun,
        "at_least": answer.at_least,
        "groups": [dict(zip(names, group, strict=True)) for group in zip(*columns, strict=True)],
        "outlying": answer.outlying,
    }


def _k_probabilities(search: Any) -> dict[str, Any]:
    """Return P(K | data), its evidence and its prior; None if the criterion gives none."""
    try:
        series = search.k_probabilities_
    except UndefinedError:
        return {"k_probabilities": None}
    evidence = series.attrs["evidence"]
    return {
        "k_probabilities": dict(zip(series.index.tolist(), series.tolist(), strict=True)),
        "k_evidence": evidence,
        "k_approximate": "approximation" in evidence,
        "k_prior": series.attrs["prior"],
    }


def check_values(check: Any) -> dict[str, Any]:
    """Return the values of a comparison with MCMC."""
    predictive, evidence = check.predictive, check.evidence
    return {
        "agrees": check.agrees,
        "undecided": check.undecided,
        "verdict": check.verdict,
        "findings": [{"kind": finding.kind, "text": finding.text} for finding in check.findings],
        "sampler": check.sampler,
        "note": check.note,
        "chains": check.found.n_chains,
        "draws": check.found.n_draws,
        "divergences": check.n_divergent,
        "overconfidence": check.overconfidence,
        "pareto_k": check.pareto_k,
        "predictive_distance": {
            name: getattr(predictive, name) for name in ("value", "standard_error")
        },
        "log_evidence": {
            name: getattr(evidence, name)
            for name in ("lower", "estimate", "standard_error", "upper", "upper_error", "note")
        },
        "modes": [
            {name: value for name, value in vars(mode).items() if name != "responsibilities"}
            for mode in check.modes
        ],
        "parameters": check.parameters.reset_index().to_dict("records"),
        "invariants": check.invariants.reset_index().to_dict("records"),
        "interrupted": check.found.status != "finished",
    }


def rows_content(search: Any, source: Source) -> dict[str, str]:
    """Return ``rows.csv``: cluster, its probability, and component of each row of data in memory.

    All are numbered from 1. There is none with covariates, or for states of sequences.
    """
    best = search.best_estimator_
    gated = best.result_.side.design is not None
    if not isinstance(source, ArraySource) or gated or takes_sequences(best):
        return {}
    probabilities = search.predict_proba(source)
    numbers = np.arange(len(probabilities)) if source.numbers is None else source.numbers
    frame = pd.DataFrame({"row": numbers + 1} | labels_from_one(search, probabilities))
    return {"rows.csv": csv_text(frame)}


def labels_from_one(search: Any, probabilities: Any) -> dict[str, Any]:
    """Return the cluster of each row with its probability, and its component; both from 1.

    Rows in no cluster, and noise, have -1.
    """
    labels = search.answer_.labels
    return {
        "cluster": from_one(most_probable_clusters(probabilities, labels)),
        "probability": shares_of_clusters(probabilities, labels).max(axis=1),
        "component": from_one(most_probable(probabilities, len(labels))),
    }


def from_one(labels: Any) -> Any:
    """Return labels from 1; -1 is unchanged."""
    return np.where(labels < 0, labels, labels + 1)


def description_content(description: Description | None) -> dict[str, str]:
    """Return ``description.csv``: a row per column and statistic, a column per cluster."""
    return (
        {} if description is None else {"description.csv": csv_text(description.to_frame(), True)}
    )


def description_values(description: Description | None) -> dict[str, Any]:
    """Return the sentences, notes and effects of a description."""
    if description is None:
        return {"description": None}
    typical = description.typical.reset_index().rename(columns={description.noun: "name"})
    return {
        "description": {
            "sentences": description.sentences,
            "notes": description.notes,
            "certainty": description.certainty.to_dict(),
            "level": description.level,
            "effects": typical.to_dict("records"),
        }
    }


def feature_contents(search: Any) -> dict[str, Any]:
    """Return ``features.csv`` and ``features.png`` if features were selected."""
    from bayesmix.plots import plot_feature_evidence

    if not search.variable_selection:
        return {}
    return {
        "features.csv": csv_text(
            search.feature_evidence_.assign(relevant=search.get_support()), index=True
        ),
        "features.png": Figure(lambda ax: plot_feature_evidence(search, ax=ax)),
    }


def density_figure(shown: Any, source: Source) -> dict[str, Figure]:
    """Return ``density.png``; ``profile.png`` for mixed tables; ``transitions.png`` of states."""
    from bayesmix.plots import plot_density, plot_profile

    model = getattr(shown, "best_estimator_", shown)
    if takes_sequences(model):
        return {"transitions.png": Figure(lambda ax: model.plot(ax=ax))}
    family = model.result_.family
    if family.drawn_columns:
        few = source if source.shape[0] <= MOST_DRAWN else source.spread(MOST_DRAWN)
        return {"density.png": Figure(lambda ax: plot_density(shown, few, ax=ax))}
    levels = family.coding.levels if family.coding is not None else ()
    height = INCHES_OF_A_LEVEL * sum(len(names or ("",)) for names in levels)
    size = (PANEL[0], max(PANEL[1], height))
    return {"profile.png": Figure(lambda ax: plot_profile(shown, ax=ax), size)}
