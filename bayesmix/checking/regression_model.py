"""The PyMC model of a variational mixture of normal regressions, with allocations summed out."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.allocation.gate import Gate, penalty_matrix
from bayesmix.core.priors import Pymc, PymcModel, Tensor
from bayesmix.families.regressions import DESIGN


def regression_model(pm: Pymc, estimator: Any) -> PymcModel:
    """Return the model of a fit, on the data that the fit keeps.

    Variables are "precision" (K,) and "standardised" coefficients (K, P), whose response is less
    its mean; "coefficients" are those of the data, and "gate" those of the weights.
    """
    from pytensor import tensor as pt

    data, q, result = estimator._data, estimator._q, estimator.result_
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
        of_units = pt.inc_subtensor(pt.zeros((len(firsts), K))[units], density)
        log_likelihood = pm.math.logsumexp(log_weights + of_units, axis=1)
        pm.Potential("log_likelihood", (log_likelihood * rows.weights_or_ones[firsts]).sum())
    return model
