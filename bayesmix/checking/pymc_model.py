"""The model of a variational fit in PyMC: the same prior and likelihood, assignments summed out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from bayesmix.allocation.point import FreeWeights
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.priors import ComponentsTwin, NamedTensors, Pymc, Tensor, WeightsTwin
from bayesmix.core.random import Purpose, stream
from bayesmix.core.sources import Source
from bayesmix.em.result import FitResult
from bayesmix.errors import DegenerateFitError, InvalidInputError, missing_extra
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.gibbs_sweep import blocked_gibbs, each_repetition
from bayesmix.posterior.posterior_draws import Draws
from bayesmix.posterior.subject import rows_of_fit, variational_fit

# Stream of beginnings; what else draws from posteriors has other numbers.
OF_BEGINNINGS = 14


def pymc_model(model: Any, X: Any, sample_weight: Any = None) -> Any:
    """The PyMC model of a variational fit: same prior, same likelihood, up to rounding.

    Assignments are summed out, so that all variables are continuous. It works in the frame of the
    fit, columns shifted and divided by a power of two, where samplers do best; what a person reads
    is in data units, under the names of ``to_arviz``: "weights", and "means", "covariances" and a
    learned "scale", or "probabilities", or "rates". No order is imposed on components.

    Wishart matrices are drawn through their triangular factors. A scale that the prior learns is a
    variable of the model; β0, which a fit learns by type-II maximum likelihood, stays at its value,
    and so do type-II weights. The model has as many components as the fit was asked for, pruned
    ones included. Its initial point is nearly a draw from q. Densities of means and of Wishart
    matrices are potentials: PyMC cannot draw from the prior, only from the posterior.

    Parameters
    ----------
    model : fitted variational mixture or search
    X : array, frame or source (n, D)
        The rows that it was fitted to.
    sample_weight : array (n,), optional
        As in the fit. Log densities of rows are multiplied by them: a whole number repeats a row,
        any other makes a weighted likelihood, which is the posterior of no rows.

    Returns
    -------
    pymc.Model
        With dimensions "component", "feature" (by name where the fit knows names), "row".

    Raises
    ------
    InvalidInputError
        For a fit without a posterior, and other rows than those of the fit.
    MissingExtraError
        Where PyMC is not installed.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> model = bm.pymc_model(vb, X)  # doctest: +SKIP
    >>> idata = pm.sample(model=model)  # doctest: +SKIP
    """
    estimator = variational_fit(model)
    source = rows_of_fit(estimator, X, sample_weight)
    found = twin(estimator.result_, source)
    pm = _pymc()
    start = beginnings(found, source, seed=0)(0)
    for variable in found.model.free_RVs:
        found.model.set_initval(variable, start[variable.name])
    with found.model:
        for name, (axes, values) in found.named.items():
            pm.Deterministic(name, values, dims=axes)
    return found.model


@dataclass(frozen=True)
class Twin:
    """The model without its data units, and what its draws are as ``Draws``."""

    model: Tensor  # a PyMC model
    result: FitResult
    n_components: int
    weights: WeightsTwin
    components: ComponentsTwin

    @property
    def named(self) -> NamedTensors:
        """Weights and parameters that are not variables themselves, in data units."""
        return {**self.weights.named(), **self.components.named(self.result.mixture.frame)}

    @property
    def drawn(self) -> dict[str, Tensor]:
        """Tensors in the frame of the fit that ``draws`` are made of."""
        return {**self.weights.drawn, **self.components.drawn}

    def draws(self, values: dict[str, Array], n_draws: int) -> Draws:
        """S draws from the values (S, ...) of ``drawn``."""
        weights = {name: values[name] for name in self.weights.drawn}
        components = {name: values[name] for name in self.components.drawn}
        return Draws(self.weights.draws(weights, n_draws), self.components.draws(components))

    def point(self, draws: Draws) -> dict[str, Array]:
        """Values (S, ...) of the model's variables at draws."""
        return {**self.weights.point(draws.weights), **self.components.point(draws.components)}


def twin(result: FitResult, source: Source) -> Twin:
    """The model of a fit for its rows."""
    pm = _pymc()
    mixture, inference = result.posterior, result.bayesian
    # Weights at a point are those of the components that are left.
    fixed = isinstance(inference.weights_prior, FreeWeights)
    n_components = result.n_components if fixed else result.requested_components
    names = result.columns
    coords = {
        "component": np.arange(n_components),
        "feature": np.arange(result.n_features) if names is None else list(names),
        "other_feature": np.arange(result.n_features) if names is None else list(names),
        "direction": np.arange(mixture.frame.n_directions),
        "row": np.arange(source.shape[0]),
    }
    with pm.Model(coords=coords) as model:
        weights = inference.weights_prior.pymc_distribution(pm, mixture.weights, n_components)
        components = inference.parameters_prior.pymc_distribution(
            pm, mixture.components, n_components
        )
        rows = source.in_memory().rows
        framed = mixture.frame.apply(rows.values)
        joint = weights.log_weights + components.log_density(pm, framed)
        densities = pm.math.logsumexp(joint, axis=1) - result.log_volume
        if rows.weights is not None:
            densities = densities * pm.Data("row_weights", rows.weights, dims="row")
        pm.Potential("log_likelihood", densities.sum())
    return Twin(model, result, n_components, weights, components)


def beginnings(found: Twin, source: Source, seed: int) -> Callable[[int], dict[str, Array]]:
    """Values of the model's variables for any whole number: nearly a draw from q.

    From the conditional posterior at the expected statistics under q, components that were pruned
    included.
    """
    with single_threaded_blas():
        sampler = blocked_gibbs(found.result, source, each_repetition)

    def begin(number: int) -> dict[str, Array]:
        generator = stream(seed, Purpose.DRAW, OF_BEGINNINGS, number)
        try:
            draw = sampler.drawn(sampler.beginning(found.n_components, generator), generator)
        except DegenerateFitError as problem:
            raise InvalidInputError(
                f"the posterior of model cannot be sampled where X has so many tied rows: {problem}"
            ) from problem
        return {name: values[0] for name, values in found.point(draw).items()}

    return begin


def _pymc() -> Pymc:
    try:
        return import_module("pymc")
    except ImportError:
        raise missing_extra("PyMC", "pymc") from None
