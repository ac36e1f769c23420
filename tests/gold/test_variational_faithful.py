"""Variational Gaussian mixtures on Old Faithful, K = 6, against an independent implementation.

Twelve cases: four covariance structures × Dirichlet, type-II maximum likelihood and closed sticks
(Blei & Jordan 2006; the file's `dp`, all sticks free, is another model). Start and prior are the
file's. It records the bound after each M-step and after each E-step; the package's trace is the
latter. Its converged values belong to the last M-step, with the responsibilities before it.
"""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from gold.data import read_csv, read_json

WEIGHTS = {
    "dirichlet": "dirichlet_distribution",
    "ml": "type2_ml",
    "dp_closed": "dirichlet_process",
}
CASES = {
    name.removeprefix("faithful_std_K6/"): case
    for name, case in read_json("variational_faithful.json")["cases"].items()
    if name.split("/")[2] in WEIGHTS
}
every_case = pytest.mark.parametrize("name", CASES)


def fitted(name, n_iterations=None):
    """Exactly as many M-steps as the case has, from its start, with its prior."""
    gold, (covariance, weights) = CASES[name], name.split("/")
    prior, scale = gold["prior"], np.asarray(gold["prior"]["W0"])
    model = bm.BayesianGaussianMixture(
        6,
        covariance_type=covariance,
        weight_concentration_prior_type=WEIGHTS[weights],
        weight_concentration_prior=None if weights == "ml" else prior["alpha0"],
        mean_precision_prior=prior["beta0"],
        mean_prior=prior["m0"],
        degrees_of_freedom_prior=prior["nu0"],
        covariance_prior=np.linalg.inv(scale) if scale.ndim == 2 else 1.0 / scale,
        init_params=read_csv("vb_r0_faithful_K6.csv"),
        tol=0.0,
        max_iter=n_iterations or gold["n_M_steps"],
        search=None,
        acceleration=None,
        prune=False,
    )
    with pytest.warns(ConvergenceWarning):
        return model.fit(read_csv("faithful_std.csv"))


def concentration(model, q):
    """The posterior of the weights beside the file's, in the file's names."""
    if "pi" in q:
        return {"pi": model.weights_}
    if "alpha" in q:
        return {"alpha": model.weight_concentration_}
    first, rest = model.weight_concentration_
    return {"v_a": first, "v_b": rest}


def parameters(model, covariance):
    """The posterior of means and precisions in the file's letters: E[Λ] = ν W."""
    nu = model.degrees_of_freedom_
    if covariance == "tied":
        nu = nu[0]
        scale = model.precisions_ / nu
    else:
        scale = model.precisions_ / nu.reshape((-1,) + (1,) * (model.precisions_.ndim - 1))
    return {"beta": model.mean_precision_, "m": model.means_, "nu": nu, "W": scale}


def assert_posterior(model, name, q, rtol):
    found = parameters(model, name.split("/")[0]) | concentration(model, q)
    assert set(found) == set(q) - {"kind", "weights"}
    for letter, value in found.items():
        np.testing.assert_allclose(value, q[letter], rtol=rtol, atol=1e-9, err_msg=letter)


def test_there_are_twelve_cases():
    assert len(CASES) == 12


@every_case
def test_the_first_m_step_is_the_references(name):
    assert_posterior(fitted(name, 1), name, CASES[name]["first_M_step"], rtol=1e-10)


@every_case
def test_the_first_e_step_is_the_references(name):
    gold = CASES[name]
    rows = read_csv("faithful_std.csv")[gold["r0_rows_0based"]][:3]
    shares = fitted(name, 1).responsibilities(rows)
    np.testing.assert_allclose(shares, gold["first_E_step_rows0_2"], rtol=1e-9, atol=1e-14)


@every_case
def test_the_first_ten_bounds_are_the_references(name):
    trace = fitted(name).objective_trace_
    np.testing.assert_allclose(trace[:10], CASES[name]["elbo_after_E_first10"], rtol=1e-9)


@every_case
def test_after_the_cases_own_m_steps_everything_is_the_references(name):
    gold, model = CASES[name], fitted(name)
    assert model.n_iter_ == gold["n_M_steps"]
    assert model.elbo_ == pytest.approx(gold["elbo_converged"], rel=1e-8)
    assert_posterior(model, name, gold["q"], rtol=1e-6)
    np.testing.assert_allclose(model.weights_, gold["mean_weights"], rtol=1e-6, atol=1e-9)
    log_density = model.score_samples(np.array(gold["new_points"]))
    np.testing.assert_allclose(log_density, gold["ln_predictive"], rtol=1e-6)


@every_case
def test_the_responsibilities_before_the_last_m_step_are_the_references(name):
    gold = CASES[name]
    model, rows = fitted(name, gold["n_M_steps"] - 1), read_csv("faithful_std.csv")
    shares = model.responsibilities(rows)
    np.testing.assert_allclose(shares[:3], gold["responsibilities_first3"], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(shares.sum(axis=0), gold["N_k"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.result_.counts, gold["N_k"], rtol=1e-6, atol=1e-9)


def run_on(name, **options):
    """To the end, by the package's own rule."""
    options = fitted(name, 1).get_params() | {"tol": "auto", "max_iter": 20_000} | options
    return bm.BayesianGaussianMixture(**options).fit(read_csv("faithful_std.csv"))


@every_case
def test_run_to_the_end_the_bound_is_the_references(name):
    model = run_on(name)
    assert model.converged_
    assert model.elbo_ == pytest.approx(CASES[name]["elbo_converged"], rel=1e-8)


@every_case
def test_where_an_accelerated_run_ends_plain_passes_gain_nothing(name):
    """It may end in another optimum than the plain one, but it ends in an optimum."""
    model, rows = run_on(name, acceleration="auto"), read_csv("faithful_std.csv")
    assert model.converged_
    options = {"tol": 0.0, "max_iter": 100, "init_params": model.responsibilities(rows)}
    again = bm.BayesianGaussianMixture(**model.get_params() | options | {"acceleration": None})
    with pytest.warns(ConvergenceWarning):
        again.fit(rows)
    assert -1e-9 < again.elbo_ - model.elbo_ < 1e-8 * len(rows)
