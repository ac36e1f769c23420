"""A start made explicit, so that runs of any length from it are parts of one run."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_array

from bayesmix.families.gaussian.covariance.models import NAMED
from bayesmix.numerics.arrays import Array
from bayesmix.plots.subject import raw_rows
from bayesmix.protocols import FittedMixture, Procedure
from bayesmix.random import Purpose, root_seed, stream
from bayesmix.records import Rows
from bayesmix.sources import as_source
from bayesmix.workflow.search.starts import given_start, named_start


class Startable(Procedure, Protocol):
    """An estimator that may have a prior, and takes a start."""

    prior: object


@dataclass(frozen=True)
class ExplicitStart:
    """An estimator with an explicit start, and what there is to show of the start itself."""

    estimator: Startable
    opening: FittedMixture | Array | None  # a mixture, responsibilities (n, K), or None

    def after(self, iteration: int, X: Any, sample_weight: Any) -> Any:
        """The model after so many iterations from the start."""
        model = clone(self.estimator).set_params(max_iter=iteration)
        with warnings.catch_warnings():
            # That it has not converged is the point.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(X, sample_weight=sample_weight)


def explicit(start: Any, X: Any) -> ExplicitStart:
    """The start made explicit, so that runs of any length are parts of one run."""
    options = {"search": None, "acceleration": None, "prune": False, "progress": False}
    parameters = start.get_params(deep=False)
    estimator = clone(start).set_params(
        warm_start=False, **{key: value for key, value in options.items() if key in parameters}
    )
    if getattr(getattr(start, "result_", None), "status", "") == "given":
        given = {
            "weights_init": start.weights_,
            "means_init": start.means_,
            "precisions_init": start.precisions_,
        }
        return ExplicitStart(estimator.set_params(**given), start)
    given = {name: parameters.get(f"{name}_init") for name in ("weights", "means", "precisions")}
    if all(value is not None for value in given.values()):
        return ExplicitStart(estimator, _given_mixture(start, **given))
    if any(value is not None for value in given.values()):
        return ExplicitStart(estimator, None)
    responsibilities = _responsibilities(start, X)
    return ExplicitStart(estimator.set_params(init_params=responsibilities), responsibilities)


def _given_mixture(start: Any, weights: Any, means: Any, precisions: Any) -> Any:
    """The start as a mixture; always of full covariances, whose shape says what they are."""
    means = np.asarray(means, dtype=np.float64)
    structure = NAMED[start.covariance_type]
    blocks = structure.blocks.from_covariances(np.asarray(precisions, dtype=np.float64))
    dense = structure.algebra.dense(blocks, *means.shape)
    return type(start).from_parameters(weights, means, np.linalg.inv(dense))


def _responsibilities(start: Any, X: Any) -> Array:
    """What ``init_params`` stands for, as responsibilities (n, K)."""
    values = check_array(raw_rows(X)[0])
    n_rows, n_components = len(values), start.n_components
    value, seed = start.init_params, root_seed(start.random_state)
    if isinstance(value, str):
        source = as_source(values)
        named = named_start(value, source, source.summary, n_components, seed, 0)
        return named(Rows(values))
    if callable(value):
        value = value(values, n_components, stream(seed, Purpose.START, 0))
    return given_start(value, n_rows, n_components)(Rows(values))
