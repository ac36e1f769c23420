"""PyMC models of mixtures of regressions, with the likelihood of the fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.allocation.gate import Gate, penalty_matrix
from bayesmix.core.priors import Pymc, PymcModel, Tensor
from bayesmix.errors import UnsupportedError
from bayesmix.families.regressions import DESIGN, coefficient_places
from bayesmix.numerics.arrays import Array, Integers

# Prior deviation of coefficients, in standard deviations of the response, where fits have no prior.
WIDE = 10.0


def log_likelihood(log_weights: Tensor, density: Tensor, units: Integers, weights: Array) -> Tensor:
    """Return Σ_i w_i log Σ_k π_ik Π p(y_ij | k), from log densities (n, K) of rows of units."""
    from pytensor import tensor as pt

    sums = pt.inc_subtensor(pt.zeros((len(weights), density.shape[1]))[units], density)
    return (pt.logsumexp(log_weights + sums, axis=1) * weights).sum()


def regression_model(pm: Pymc, estimator: Any) -> PymcModel:
    """Return the model of a fit, on the data that the fit keeps.

    Variables are "precision" (K,) and "standardised" coefficients (K, P), whose response is less
    its mean; "coefficients" are those of the data, and "gate" those of the weights.
    """
    from pytensor import tensor as pt

    data, q, result = estimator._data, estimator._q, estimator.result_
    if data.chain is not None:
        raise UnsupportedError("the PyMC model of regressions does not support sequences")
    prior, weights, design = result.inference.prior, result.inference.weights_prior, data.design
    K, rows = q.n_components, data.rows
    units = np.arange(len(rows)) if data.units is None else data.units
    firsts = np.unique(units, return_index=True)[1]
    terms = {"term": design.terms} | ({"gate_term": data.gate.terms} if data.gate else {})
    with pm.Model(coords={"component": np.arange(K), **terms}) as model:
        if data.gate is None:
            twin = weights.pymc_distribution(pm, estimator._fit_mixture.weights, K)
            log_weights: Tensor = twin.log_weights
        else:
            gate: Gate = estimator._fit_mixture.weights
            precision = penalty_matrix(K, gate.precisions)
            start = gate.coefficients[1:].ravel()
            free = pm.MvNormal("free_gate", np.zeros(len(start)), tau=precision, initval=start)
            whole = pt.concatenate([pt.zeros((1, len(gate.precisions))), free.reshape((K - 1, -1))])
            pm.Deterministic("gate", whole @ data.gate.back.T, dims=("component", "gate_term"))
            log_weights = pt.special.log_softmax(data.covariates[firsts] @ whole.T, axis=1)
        # PyTensor divides by Python's 1.5 in single precision.
        shapes, rates = np.full(K, prior.shape), np.full(K, prior.rate)
        precisions = pm.Gamma(
            "precision", shapes, rates, dims="component", initval=q.shape / q.rate
        )
        deviations = 1.0 / pt.sqrt(precisions * prior.mean_precision)
        standardised = pm.Normal(
            "standardised", 0.0, deviations[:, None], dims=("component", "term"), initval=q.means
        )
        centre = np.eye(len(design.terms))[0] * q.family.centre
        pm.Deterministic(
            "coefficients", (standardised + centre) @ design.back.T, dims=("component", "term")
        )
        away = q.family.response(rows.values)[:, None] - rows.values[:, DESIGN:] @ standardised.T
        density = 0.5 * (pt.log(precisions / (2.0 * np.pi)) - precisions * away**2)
        unit_weights = rows.weights_or_ones[firsts]
        pm.Potential("log_likelihood", log_likelihood(log_weights, density, units, unit_weights))
    return model


def weak_model(pm: Pymc, estimator: Any) -> PymcModel:
    """Return the model of a normal fit by maximum likelihood, given the random effects of units.

    Priors are weak: with the standard deviation s of the response, coefficients of the standardised
    design have N(0, (10 s)²), deviations of effects and residuals |N(0, s²)|, correlations LKJ(1),
    and weights Dirichlet(1). "coefficients" and "covariance" are in units of the data.
    """
    from pytensor import tensor as pt

    data, components, mixture = estimator._data, estimator._regressions, estimator._mixture
    random: Any = getattr(data, "random", None)
    for name, used in (
        ("gate", data.gate is not None),
        ("sequences", data.chain is not None),
        (f"response={estimator.response!r}", estimator.response != "normal"),
        (f"random_covariance={estimator.random_covariance!r}",
         random is not None and estimator.random_covariance != "shared"),
        ("residual_variance='shared'", random is None and components.shared_dispersion),
        ("hold", data.family.held is not None),
        ("residual variances by time and residual_correlation", len(data.residual_unknowns) > 0),
    ):  # fmt: skip
        if used:
            raise UnsupportedError(
                f"the PyMC model of a fit by maximum likelihood does not support {name}"
            )
    K, values, firsts = mixture.n_components, data.values, components.dispersion
    names = () if random is None else random.names
    units = np.arange(len(values)) if data.units is None else data.units
    if random is not None and estimator.residual_variance != "free":
        firsts = firsts[:1]
    places = coefficient_places(data.fixed, *components.coefficients.shape)
    first = np.empty(places.max() + 1)
    first[places] = components.coefficients
    coords = {"component": np.arange(K), "term": data.design.terms, "effect": names,
              "effect_2": names, "unit": getattr(data, "labels", np.unique(units))}  # fmt: skip
    deviation, X, q = float(values[:, 0].std()), values[:, DESIGN:], len(names)
    away = values[:, 0] - values[:, 1]
    with pm.Model(coords=coords) as model:
        start_weights = mixture.weights.mean()
        weights = pm.Dirichlet("weights", np.ones(K), dims="component", initval=start_weights)
        unknown = pm.Normal("standardised", 0.0, WIDE * deviation, shape=len(first), initval=first)
        coefficients = unknown[places]
        pm.Deterministic("coefficients", coefficients @ data.design.back.T,
                         dims=("component", "term"))  # fmt: skip
        if q:
            start = np.linalg.cholesky(components.covariances[0])
            if q > 1:
                deviations = pm.HalfNormal.dist(deviation, size=q)
                root, _, _ = pm.LKJCholeskyCov("effect_root", n=q, eta=1.0, sd_dist=deviations)
                model.set_initval(model["effect_root"], start[np.tril_indices(q)])
            else:
                root = pm.HalfNormal("effect_deviation", deviation, shape=1, initval=start[0])
                root = root[:, None]
            pm.Deterministic("covariance", random.back @ root @ root.T @ random.back.T,
                             dims=("effect", "effect_2"))  # fmt: skip
            effects = pm.Normal("standard_effects", 0.0, 1.0, dims=("unit", "effect")) @ root.T
            away = away - ((X @ random.matrix) * effects[units]).sum(axis=1)
        residual = pm.HalfNormal("residual_deviation", deviation, initval=np.sqrt(firsts),
                                 shape=len(firsts))  # fmt: skip
        away = pt.reshape(away, (-1, 1)) - X @ coefficients.T
        density = -0.5 * (away / residual) ** 2 - pt.log(residual) - 0.5 * np.log(2.0 * np.pi)
        total = log_likelihood(pt.log(weights), density, units, data.unit_weights)
        pm.Potential("log_likelihood", total)
    return model
