"""Fits under Fraley & Raftery's prior, one M-step and whole, against mclust's.

mclust has priors for ten models. Left out are two whose fits are not at their formulas there: EII,
which leaves the prior's scale out, and whole fits of EEI, whose means are not drawn to the prior's.
"""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix.families.gaussian.covariance.models import NAMED
from gold.data import read_csv, read_json

K, SHRINKAGE = 3, 0.01


def prior_of(rows, name):
    """mclust's defaultPrior: a share of the covariance of all rows, or of its mean variance."""
    n_features = rows.shape[1]
    covariance = np.cov(rows.T) / K ** (2.0 / n_features)
    shape = NAMED[name].blocks.one_shape(n_features)
    if len(shape) < 2:
        covariance = np.full(shape, np.trace(covariance) / n_features)
    return bm.GaussianPrior(rows.mean(axis=0), SHRINKAGE, n_features + 2.0, covariance)


def one_step(name, prior):
    rows = read_csv("iris.csv", usecols=range(4)).astype(float)
    options = {"search": None, "acceleration": None, "random_state": 0}
    start = read_csv("iris_z_G3.csv").astype(float)
    model = bm.GaussianMixture(
        K, covariance_type=name, prior=prior(rows), init_params=start, max_iter=1, **options
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows)


@pytest.mark.parametrize("name", ["VII", "EEI", "VVI", "EEE", "VVV"])
def test_covariances_are_those_of_mclust(name):
    model = one_step(name, lambda rows: prior_of(rows, name))
    theirs = read_json("mclust_prior_iris.json")["sigma"][name]
    np.testing.assert_allclose(model.result_.unframed.covariances, theirs, rtol=1e-12, atol=1e-15)


def test_one_variance_for_all_is_fraley_and_rafterys_formula():
    """Their table 1: (ς² + Σ tr) / (ν + (n + G) d + 2); mclust 6.0.0 leaves ς² out."""
    rows = read_csv("iris.csv", usecols=range(4)).astype(float)
    start = read_csv("iris_z_G3.csv").astype(float)
    prior = prior_of(rows, "EII")
    total = float(prior.covariance)
    for shares in start.T:
        n = shares.sum()
        mean = shares @ rows / n
        total += (shares[:, None] * (rows - mean) ** 2).sum()
        total += SHRINKAGE * n / (SHRINKAGE + n) * ((mean - prior.mean) ** 2).sum()
    expected = total / (6.0 + (150 + K) * 4 + 2)
    model = one_step("EII", lambda rows: prior)
    assert model.covariances_ == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["VII", "VEI", "EVI", "VVI", "EEE", "EEV", "VEV", "VVV"])
def test_whole_fits_are_those_of_mclust(name):
    rows = read_csv("iris.csv", usecols=range(4)).astype(float)
    model = bm.GaussianMixture(
        K,
        covariance_type=name,
        prior=prior_of(rows, name),
        init_params=read_csv("iris_z_G3.csv").astype(float),
        search=None,
        max_iter=1000,
        tol=1e-14,
    ).fit(rows)
    theirs = read_json("mclust_prior_iris.json")["fits"][name]
    assert np.diff(model.objective_trace_).min() > -1e-9
    assert model.log_likelihood_ == pytest.approx(theirs["loglik"], abs=1e-4)
    assert model.bic() == pytest.approx(-theirs["bic"], abs=2e-4)
    np.testing.assert_allclose(model.weights_, theirs["proportions"], atol=1e-5)
    np.testing.assert_allclose(model.means_, theirs["means"], atol=1e-5)
    np.testing.assert_allclose(model.result_.unframed.covariances, theirs["sigma"], atol=1e-5)
