"""Fitted estimators to one file and back, without pickle: nothing in the file is ever executed."""

from __future__ import annotations

import importlib
import os
import warnings
from os import PathLike, fspath
from typing import Any

import numpy as np

from bayesmix.errors import (
    BayesmixWarning,
    DamagedFileError,
    InvalidInputError,
    UnsupportedError,
)
from bayesmix.io.container import opened, pack, unpack
from bayesmix.io.records import Reader, Writer, fits
from bayesmix.version import __version__
from bayesmix.workflow.result import FitResult
from bayesmix.writing import file_to_write, write

# Estimators lie above this layer: the file names the class, and its home is looked up here.
ESTIMATORS = {
    "GaussianMixture": "bayesmix.estimators.gaussian",
    "BayesianGaussianMixture": "bayesmix.estimators.bayesian",
    "Mixture": "bayesmix.estimators.mixture",
}


def save(model: Any, path: str | PathLike[str]) -> None:
    """Write a fitted estimator to one file; ``load`` reads it.

    The file holds the parameters, the whole ``result_`` and the names of the features, not the
    data. It appears under its name only when it is complete. Parameters that are code or a state
    are not kept: a ``random_state`` that is a generator becomes the seed that was drawn from it,
    with which the fit can be repeated, and a callable ``init_params`` becomes the default, with a
    warning.

    Parameters
    ----------
    model : GaussianMixture, BayesianGaussianMixture or Mixture
        Fitted. Of a ``MixtureSearch`` save ``best_estimator_``.
    path : path
        Where to write; a file that is there is replaced.

    Raises
    ------
    UnsupportedError
        For other models, and for families or priors that are not bayesmix's own.
    InvalidInputError
        For a path that is no place of a file; a device or a pipe is never replaced.
    FileAccessError
        Where the system refuses, as on a full disk: what was there is as it was.

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
    name = _class_name(model)
    if not hasattr(model, "result_"):
        raise UnsupportedError(f"this {name} is not fitted yet: fit it before saving it")
    place = file_to_write(path)
    writer = Writer()
    described = {
        "bayesmix": __version__,
        "class": name,
        "parameters": _parameters(model, writer),
        "features": list(map(str, getattr(model, "feature_names_in_", ()))),
        "result": writer.value(model.result_),
    }
    write(place, pack(described, writer.arrays))


def _class_name(model: Any) -> str:
    name = type(model).__name__
    if ESTIMATORS.get(name) == type(model).__module__:
        return name
    if hasattr(model, "best_estimator_"):
        raise UnsupportedError(
            f"a {name} holds all its candidates and is not saved whole: save what it chose, with "
            "best_estimator_.save(path), and its table with results_.to_csv(path)"
        )
    raise UnsupportedError(
        f"only {', '.join(ESTIMATORS)} can be saved, got {type(model).__module__}.{name}"
    )


def _parameters(model: Any, writer: Writer) -> dict[str, Any]:
    saved = {}
    defaults = type(model)().get_params(deep=False)
    for name, value in model.get_params(deep=False).items():
        if isinstance(value, np.random.Generator | np.random.RandomState):
            value = model.result_.seed
        elif callable(value):
            value = defaults[name]
            warnings.warn(
                f"{name} is a function and is not saved: the loaded model has {name}={value!r}",
                BayesmixWarning,
                stacklevel=4,
            )
        try:
            saved[name] = writer.value(value)
        except UnsupportedError as problem:
            raise UnsupportedError(f"{name} cannot be saved: {problem}") from None
    return saved


def load(path: str | PathLike[str]) -> Any:
    """The fitted estimator that ``save`` wrote: it predicts the same, to the last bit.

    Parameters
    ----------
    path : path
        A file that ``save`` wrote, by this version of bayesmix or an older one.

    Returns
    -------
    GaussianMixture, BayesianGaussianMixture or Mixture

    Raises
    ------
    DamagedFileError
        For files that are truncated or altered, of a newer format, or no saved models at all.
        Files are safe to open wherever they come from: they hold no code.
    """
    path = fspath(path)
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "no file"
        what = f"{path} is {kind}" if os.path.exists(path) else f"there is no {path}"
        raise InvalidInputError(f"path must name a saved model, but {what}")
    with opened(path) as stream:
        return _model(*unpack(stream))


def _model(header: dict[str, Any], arrays: list[Any]) -> Any:
    reader = Reader(arrays)
    try:
        return _fitted(
            header["class"],
            {name: reader.value(value) for name, value in header["parameters"].items()},
            header["features"],
            reader.value(header["result"]),
        )
    except DamagedFileError as problem:
        writer = header.get("bayesmix")
        if writer == __version__ or "does not know" not in str(problem):
            raise
        raise DamagedFileError(f"{problem}: it was saved by bayesmix {writer}") from None


def _fitted(name: str, parameters: dict[str, Any], features: Any, result: Any) -> Any:
    if name not in ESTIMATORS:
        raise DamagedFileError(f"holds a {name!r}, which this bayesmix does not know")
    estimator = getattr(importlib.import_module(ESTIMATORS[name]), name)
    if unknown := sorted(parameters.keys() - estimator().get_params(deep=False).keys()):
        raise DamagedFileError(
            f"holds a {name} with {', '.join(map(repr, unknown))}, which this bayesmix does not "
            "know"
        )
    model = estimator(**parameters)
    adopt(model, result, features)
    return model


def adopt(model: Any, result: Any, features: Any) -> None:
    """Make an estimator a fitted one; ``DamagedFileError`` for a result that does not hold up."""
    _check(result, features)
    model._adopt(result)
    if features:
        model.feature_names_in_ = np.array(features, dtype=object)
    # A trial row: what does not fit together fails here, not in the user's hands.
    trial = result.mixture.frame.centre[None]
    shares = result.n_components + (result.mixture.noise is not None)
    if (
        result.log_density(trial).shape != (1,)
        or result.probabilities(trial).shape != (1, shares)
        or result.responsibilities(trial).shape != (1, shares)
    ):
        raise DamagedFileError("is damaged: its parts do not fit together")


def _check(result: Any, features: Any) -> None:
    """The sizes that must agree, before anything is computed with them."""
    if not isinstance(result, FitResult):
        raise DamagedFileError("is damaged: it holds no result")
    if not fits(features, list[str]) or len(features) not in (0, result.n_features):
        raise DamagedFileError(f"is damaged: it has {result.n_features} features, named {features}")
    K, D = result.n_components, result.n_features
    sizes = {
        "components": (result.mixture.components.means.shape, (K, D)),
        "weights": (result.mixture.weights.mean().shape, (K,)),
        "centre": (result.mixture.frame.centre.shape, (D,)),
        "scale": (result.mixture.frame.scale.shape, (D,)),
        "counts": (result.counts.shape, (K,)),
        "hard counts": (result.hard_counts.shape, (K,)),
    }
    if result.stream is not None:
        total = result.stream.total
        sizes["sums"] = (total.statistics.counts.shape, (K,))
        sizes["entropies"] = (total.entropies.shape, (K,))
    for part, (found, expected) in sizes.items():
        if found != expected:
            raise DamagedFileError(
                f"is damaged: its {part} should have the shape {expected} and have {found}"
            )
