"""The PyMC model of a mixture of regressions has the prior and the likelihood of the fit."""

import warnings

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from scipy.stats import dirichlet, gamma, multivariate_normal, norm

import bayesmix as bm
from bayesmix.errors import UnsupportedError
from bayesmix.mcmc.regression_check import quantities
from bayesmix.mcmc.sampling import NutsRun
from laws.cases import generator

pytestmark = pytest.mark.filterwarnings("ignore")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pm = pytest.importorskip("pymc")

PRIOR = bm.RegressionPrior(mean_precision=0.3, shape=2.0, rate=1.5)


def two_lines(n, seed):
    rng = generator(seed)
    X, z = rng.normal(size=(n, 1)), rng.normal(size=(n, 1))
    upper = rng.random(n) < 1.0 / (1.0 + np.exp(-z[:, 0]))
    return X, z, 1.0 + np.where(upper, 3.0, -3.0) * X[:, 0] + 0.5 * rng.normal(size=n)


def standardised(X):
    return np.column_stack([np.ones(len(X)), (X - X.mean(axis=0)) / X.std(axis=0)])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "gate", "units"])
def test_the_density_is_prior_times_likelihood(kind):
    X, z, y = two_lines(40, 61)
    units = np.arange(40) if kind != "units" else generator(62).permutation(np.arange(40) // 2)
    vb = bm.RegressionMixture(2, inference=bm.VariationalBayes(prior=PRIOR), random_state=0)
    vb.fit(X, y, gate=z if kind == "gate" else None, groups=units if kind == "units" else None)
    model = bm.pymc_model(vb)
    names = [variable.name for variable in model.free_RVs]
    rng = generator(63)
    values = {
        "precision": rng.gamma(3.0, 1.0, 2),
        "standardised": rng.normal(size=(2, 2)),
        "weights": np.array([0.3, 0.7]),
        "free_gate": rng.normal(size=2),
    }
    values = {name: values[name] for name in names}
    lam, beta = values["precision"], values["standardised"]
    design = standardised(X)
    density = norm.logpdf((y - y.mean())[:, None], design @ beta.T, 1.0 / np.sqrt(lam))
    sums = np.zeros((units.max() + 1, 2))
    np.add.at(sums, units, density)
    if kind == "gate":
        odds = standardised(z) @ values["free_gate"]
        logs = log_softmax(np.column_stack([np.zeros(40), odds]), axis=1)
        spread = 2.0 * np.diag([np.pi**2 / 6.0, 1.0 / 0.16])
        weights_prior = multivariate_normal.logpdf(values["free_gate"], np.zeros(2), spread)
    else:
        logs = np.log(values["weights"])
        weights_prior = dirichlet.logpdf(values["weights"], [1.0, 1.0])
    expected = logsumexp(sums + logs, axis=1).sum() + weights_prior
    expected += gamma.logpdf(lam, 2.0, scale=1.0 / 1.5).sum()
    expected += norm.logpdf(beta, 0.0, 1.0 / np.sqrt(0.3 * lam)[:, None]).sum()
    point = {}
    for variable in model.free_RVs:
        transform = model.rvs_to_transforms[variable]
        value = values[variable.name]
        if transform is not None:
            value = transform.forward(value, *variable.owner.inputs).eval()
        point[model.rvs_to_values[variable].name] = value
    compiled = model.compile_fn(model.logp(jacobian=False), mode="FAST_COMPILE")
    assert float(compiled(point)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.slow
def test_random_effects_integrate_to_the_log_likelihood_of_the_fit():
    X, _, y = two_lines(60, 65)
    fit = bm.RegressionMixture(1, random=("intercept", 0)).fit(X, y, groups=np.arange(60) // 6)
    components, model = fit._mixture.components, bm.pymc_model(fit)
    moments = components.moments(fit._data.products)
    root = np.linalg.cholesky(components.covariances[0])
    # log p(y | b) + log p(b) is quadratic in b, with its maximum at the predicted effects.
    z = np.linalg.solve(root, moments.effects[0].T).T
    variance = components.dispersion[0]
    values = {
        "standardised": components.coefficients[0],
        "weights": np.ones(1),
        "residual_deviation": np.sqrt([variance]),
        "effect_root": root[np.tril_indices(2)],
        "standard_effects": z,
    }
    names, wanted = [each.name for each in model.free_RVs], ["log_likelihood", "covariance"]
    compiled = model.compile_fn(
        [model[name] for name in wanted], inputs=model.free_RVs, point_fn=False,
        mode="FAST_COMPILE", on_unused_input="ignore",
    )  # fmt: skip
    density, covariance = compiled(*[values[name] for name in names])
    curvature = np.eye(2) + root.T @ moments.designs @ root / variance
    integral = density - 0.5 * (z**2).sum() - 0.5 * np.linalg.slogdet(curvature)[1].sum()
    assert integral == pytest.approx(fit.log_likelihood_, rel=1e-10)
    assert np.allclose(covariance, fit.random_covariance_[0])


@pytest.mark.parametrize("random", [None, ()])
def test_the_model_of_maximum_likelihood_has_the_log_likelihood_of_the_fit(random):
    X, _, y = two_lines(60, 66)
    fit = bm.RegressionMixture(2, random=random, n_init=4, random_state=0)
    fit.fit(X, y, groups=np.arange(60) // 3)
    components, model = fit._mixture.components, bm.pymc_model(fit)
    values = {
        "weights": fit.weights_,
        "standardised": components.coefficients.ravel(),
        "residual_deviation": fit.scale_ if random is None else fit.scale_[:1],
    }
    compiled = model.compile_fn(
        model["log_likelihood"], inputs=model.free_RVs, point_fn=False, mode="FAST_COMPILE"
    )
    density = compiled(*[values[each.name] for each in model.free_RVs])
    assert density == pytest.approx(fit.log_likelihood_, rel=1e-10)


def test_draws_of_other_labels_are_those_of_the_fit():
    X, z, y = two_lines(200, 67)
    vb = bm.RegressionMixture(2, inference=bm.VariationalBayes(prior=PRIOR), random_state=0)
    vb.fit(X, y, gate=z)
    table, rng = vb.coefficients().loc[["gate", "coefficient"]], generator(68)
    estimates, errors = (table[name].to_numpy() for name in ("estimate", "standard_error"))
    draws = estimates + errors * rng.normal(size=(2000, len(table)))
    swapped = rng.random(2000) < 0.5
    coefficients = draws[:, 2:].reshape(2000, 2, 2).copy()
    gate = np.stack([np.zeros((2000, 2)), draws[:, :2]], axis=1)
    coefficients[swapped], gate[swapped] = coefficients[swapped, ::-1], gate[swapped, ::-1]
    values = {"coefficients": coefficients, "gate": gate}
    values = {name: each.reshape(2, 1000, *each.shape[1:]) for name, each in values.items()}
    found = quantities(vb, NutsRun(values, np.zeros((2, 1000), dtype=bool), 0.0, 0.0))
    assert [each.name for each in found] == [
        f"{part}[{k}, {term}]" for part, k, term in table.index
    ]
    sampled = np.column_stack([each.sampled.ravel() for each in found])
    assert np.allclose(sampled, draws)
    fitted = np.column_stack([each.fitted for each in found])
    assert np.allclose(fitted.mean(axis=0), estimates)
    assert np.allclose(fitted.std(axis=0), errors, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("random", [("intercept",), None])
def test_the_sampler_agrees_with_maximum_likelihood(random):
    X, _, y = two_lines(300, 69)
    y = y + 0.7 * np.repeat(generator(70).normal(size=60), 5)
    units = np.arange(300) // 5
    fit = bm.RegressionMixture(1, random=random).fit(X, y, groups=units)
    check = bm.crosscheck(fit, n_draws=800, chains=2, random_state=1)
    assert check.agrees or {each.kind for each in check.findings} == {"convergence"}
    assert (check.parameters["difference"].abs() < 0.5).all()
    assert "Regressions against NUTS" in check.summary()


@pytest.mark.slow
def test_the_sampler_agrees_with_the_fit():
    pytest.importorskip("nutpie")
    X, _, y = two_lines(150, 64)
    vb = bm.RegressionMixture(2, inference=bm.VariationalBayes(), random_state=0).fit(X, y)
    with bm.pymc_model(vb):
        draws = pm.sample(300, tune=300, chains=2, random_seed=1, nuts_sampler="nutpie")
    table = vb.coefficients().loc["coefficient"]
    sampled = draws.posterior["coefficients"].to_numpy().reshape(-1, 4)
    errors = table["standard_error"].to_numpy()
    assert (np.abs(sampled.mean(axis=0) - table["estimate"]) < 0.3 * errors).all()
    ratio = sampled.std(axis=0) / errors
    assert ((ratio > 0.8) & (ratio < 1.25)).all()
    with pytest.raises(UnsupportedError, match="regressions have no Gibbs sampler"):
        bm.crosscheck(vb, X, sampler="gibbs")
