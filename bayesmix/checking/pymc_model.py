"""PyMC model of a variational fit: same prior and likelihood, assignments summed out."""

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

# Random stream of starting points; other numbers belong to other posterior methods.
OF_BEGINNINGS = 14


def pymc_model(model: Any, X: Any, sample_weight: Any = None) -> Any:
    """Return the PyMC model of a variational fit: same prior and likelihood, up to rounding.

    Assignments are summed out, so all variables are continuous. They use the fit's coordinates
    (features shifted and scaled), and deterministics give data units under the names of
    ``to_arviz``: "weights", "means", "covariances", a learned "scale", "probabilities", "rates".
    Components are not ordered.

    The number of components is that requested for the fit, before pruning. A learned scale is a
    variable; β0 and type-II weights stay at their learned values. The initial point is
    approximately a draw from q. Means and Wishart factors enter as potentials, so PyMC cannot
    sample the prior.

    Parameters
    ----------
    model : fitted variational mixture or search
    X : array, frame or source (n, D)
        The data that the model was fitted to.
    sample_weight : array (n,), optional
        As in the fit. Weights multiply log densities; non-integers give a weighted likelihood.

    Returns
    -------
    pymc.Model
        With dimensions "component", "feature" and "row".

    Raises
    ------
    InvalidInputError
        If the fit has no posterior, or X is not the data of the fit.
    MissingExtraError
        If PyMC is not installed.

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
    """The PyMC model in the fit's coordinates, with the conversion of its draws to ``Draws``."""

    model: Tensor
    result: FitResult
    n_components: int
    weights: WeightsTwin
    components: ComponentsTwin

    @property
    def named(self) -> NamedTensors:
        """Derived weights and parameters in data units, by name."""
        return {**self.weights.named(), **self.components.named(self.result.mixture.frame)}

    @property
    def drawn(self) -> dict[str, Tensor]:
        """Tensors in the fit's coordinates from which ``draws`` are made."""
        return {**self.weights.drawn, **self.components.drawn}

    def draws(self, values: dict[str, Array], n_draws: int) -> Draws:
        """Return S draws from the values (S, ...) of ``drawn``."""
        weights = {name: values[name] for name in self.weights.drawn}
        components = {name: values[name] for name in self.components.drawn}
        return Draws(self.weights.draws(weights, n_draws), self.components.draws(components))

    def point(self, draws: Draws) -> dict[str, Array]:
        """Return the values (S, ...) of the model's variables at draws."""
        return {**self.weights.point(draws.weights), **self.components.point(draws.components)}


def twin(result: FitResult, source: Source) -> Twin:
    """Return the PyMC model of a fit for its data."""
    pm = _pymc()
    mixture, inference = result.posterior, result.bayesian
    # Point weights cover only the components that were not pruned.
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
    """Return a function from an integer seed to a starting point, approximately a draw from q.

    Draws from the conditional posterior at the expected statistics, pruned components included.
    """
    with single_threaded_blas():
        sampler = blocked_gibbs(found.result, source, each_repetition)

    def begin(number: int) -> dict[str, Array]:
        generator = stream(seed, Purpose.DRAW, OF_BEGINNINGS, number)
        try:
            draw = sampler.drawn(sampler.beginning(found.n_components, generator), generator)
        except DegenerateFitError as problem:
            raise InvalidInputError(
                f"the posterior cannot be sampled because X has too many duplicates: {problem}"
            ) from problem
        return {name: values[0] for name, values in found.point(draw).items()}

    return begin


def _pymc() -> Pymc:
    try:
        return import_module("pymc")
    except ImportError:
        raise missing_extra("PyMC", "pymc") from None
