"""Variational mixtures of normal regressions: exact evidence, bounds and invariances."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp, softmax
from scipy.stats import multivariate_t

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from laws.cases import generator

PRIOR = bm.RegressionPrior(mean_precision=0.3, shape=2.0, rate=1.5)


def fitted(K, X, y, prior=PRIOR, **data):
    inference = bm.VariationalBayes(prior=prior, weights=bm.DirichletPrior(1.0))
    return bm.RegressionMixture(K, inference=inference, random_state=0).fit(X, y, **data)


def evidence(design, y, prior=PRIOR):
    """Exact log evidence of a Bayesian linear regression (Bishop 2006, exercise 3.23)."""
    scale = np.eye(len(y)) + design @ design.T / prior.mean_precision
    scale *= prior.rate / prior.shape
    return multivariate_t(np.zeros(len(y)), scale, df=2.0 * prior.shape).logpdf(y)


def standardised(X):
    return np.column_stack([np.ones(len(X)), (X - X.mean(axis=0)) / X.std(axis=0)])


def two_lines(n, seed):
    rng = generator(seed)
    X = rng.uniform(0.0, 10.0, (n, 1))
    upper = rng.random(n) < 0.5
    return X, np.where(upper, 20.0 - X[:, 0], 2.0 * X[:, 0]) + rng.normal(size=n)


def test_the_bound_at_one_component_is_the_exact_evidence():
    rng = generator(1)
    X = rng.normal(5.0, [1.0, 100.0], (40, 2))
    y = 3.0 + X @ [1.0, 0.02] + rng.normal(size=40)
    expected = evidence(standardised(X), y - y.mean())
    assert fitted(1, X, y).elbo_ == pytest.approx(expected, rel=1e-12)
    offset = rng.normal(size=40)
    moved = fitted(1, X, y + offset, offset=offset)
    assert moved.elbo_ == pytest.approx(expected, rel=1e-10)


def test_the_posterior_at_one_component_is_the_exact_one():
    rng = generator(2)
    X = rng.normal(size=(30, 1))
    y = 1.0 + 2.0 * X[:, 0] + rng.normal(size=30)
    design, away = standardised(X), y - y.mean()
    precision = design.T @ design + PRIOR.mean_precision * np.eye(2)
    mean = np.linalg.solve(precision, design.T @ away)
    shape = PRIOR.shape + 15.0
    rate = PRIOR.rate + 0.5 * (away @ away - mean @ precision @ mean)
    table = fitted(1, X, y).coefficients(level=0.9)
    slope = table.loc[("coefficient", "class 1", "x0")]
    assert slope["estimate"] == pytest.approx(mean[1] / X.std(), rel=1e-10)
    variance = rate / (shape - 1.0) * np.linalg.inv(precision)[1, 1] / X.var()
    assert slope["standard_error"] == pytest.approx(np.sqrt(variance), rel=1e-10)
    # 1 / λ is inverse gamma.
    scale, residual = table.loc[("scale", "class 1", "")], stats.invgamma(shape, scale=rate)
    mean_root = residual.expect(np.sqrt)
    spread = np.sqrt(residual.mean() - mean_root**2)
    assert scale["standard_error"] == pytest.approx(spread, rel=1e-6)
    assert [scale["lower"], scale["upper"]] == pytest.approx(np.sqrt(residual.interval(0.9)))


def test_the_bound_is_below_the_evidence_summed_over_all_assignments():
    X, y = two_lines(9, 3)
    design, away = standardised(X), y - y.mean()
    terms = []
    for assigned in product((0, 1), repeat=9):
        z = np.array(assigned)
        counts = np.bincount(z, minlength=2)
        weights = gammaln(2.0) - gammaln(11.0) + gammaln(1.0 + counts).sum()
        parts = [evidence(design[z == k], away[z == k]) for k in range(2) if counts[k]]
        terms.append(weights + sum(parts))
    exact = logsumexp(terms)
    bound = fitted(2, X, y).elbo_
    assert bound < exact
    # The other labelling doubles the posterior mass near the mode.
    assert exact - bound < np.log(2.0) + 1.5


def test_the_bound_never_falls_and_ranks_the_truth_first():
    X, y = two_lines(150, 4)
    regressions = bm.RegressionMixture(inference=bm.VariationalBayes())
    search = bm.MixtureSearch(regressions, [1, 2, 3], criterion="elbo_log_k", random_state=0)
    model = search.fit(X, y).best_estimator_
    assert model.n_components_ == 2
    bounds = search.results_.set_index("n_components").sort_index()["elbo"]
    expected = softmax(bounds + gammaln([2.0, 3.0, 4.0]))
    np.testing.assert_allclose(search.k_probabilities_, expected, atol=1e-12)
    assert expected[1] > 0.8
    assert (np.diff(model.objective_trace_) > -1e-9).all()


def test_units_move_the_bound_by_their_jacobian_only():
    X, y = two_lines(80, 5)
    prior = bm.RegressionPrior()
    one = fitted(2, X, y, prior)
    other = fitted(2, 100.0 * X - 3.0, 10.0 * y + 7.0, prior)
    assert other.elbo_ + 80.0 * np.log(10.0) == pytest.approx(one.elbo_, rel=1e-8)
    np.testing.assert_allclose(other.coef_, 0.1 * one.coef_, rtol=1e-4)


def test_groups_and_weights_count_as_in_maximum_likelihood():
    X, y = two_lines(60, 6)
    twice = fitted(1, np.repeat(X, 2, axis=0), np.repeat(y, 2))
    weighted = fitted(1, X, y, sample_weight=np.full(60, 2.0))
    assert weighted.elbo_ == pytest.approx(twice.elbo_, rel=1e-12)
    alone = fitted(2, X, y, groups=np.arange(60))
    assert alone.elbo_ == pytest.approx(fitted(2, X, y).elbo_, rel=1e-10)


@pytest.mark.slow
def test_npreg_has_two_regressions():
    table = pd.read_csv("tests/data/npreg.csv").assign(square=lambda t: t.x**2)
    inference = bm.VariationalBayes()
    search = bm.MixtureSearch(
        bm.RegressionMixture(inference=inference), [1, 2, 3], criterion="auto", random_state=0
    )
    model = search.fit(table[["x", "square"]], table.yn).best_estimator_
    assert model.n_components_ == 2
    # flexmix's maximum likelihood estimates, in posterior standard deviations
    rows = model.coefficients().loc["coefficient"]
    order = np.argsort(-model.intercept_)
    expected = np.array([[14.718, 9.845, -0.968], [-0.208, 4.815, 0.036]])[np.argsort(order)]
    away = np.abs(rows["estimate"] - expected.ravel()) / rows["standard_error"]
    assert away.max() < 0.6


def test_the_bound_with_a_gate_is_below_the_evidence_and_never_falls():
    rng = generator(41)
    X, z = rng.normal(size=(7, 1)), rng.normal(size=(7, 1))
    y = np.where(z[:, 0] > 0.0, 3.0, -3.0) * X[:, 0] + rng.normal(size=7)
    model = bm.RegressionMixture(2, inference=bm.VariationalBayes(prior=PRIOR), random_state=0)
    model.fit(X, y, gate=z)
    design, gate, y = standardised(X), standardised(z), y - y.mean()
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    # Differences of two coefficients with precisions 6 / π² and 0.16.
    first, second = np.meshgrid(nodes * np.pi / np.sqrt(3.0), nodes * np.sqrt(2.0 / 0.16))
    odds = gate @ np.array([first.ravel(), second.ravel()])
    terms = []
    for labels in product((0, 1), repeat=7):
        upper = np.array(labels, dtype=bool)
        shares = -np.logaddexp(0.0, np.where(upper[:, None], -odds, odds)).sum(axis=0)
        terms.append(
            logsumexp(shares, b=np.outer(weights, weights).ravel() / (2.0 * np.pi))
            + sum(evidence(design[own], y[own]) for own in (upper, ~upper) if own.any())
        )
    assert logsumexp(terms) - 3.0 < model.elbo_ < logsumexp(terms)
    assert (np.diff(model.objective_trace_) >= -1e-10).all()


@pytest.mark.slow
def test_a_variational_gate_is_near_maximum_likelihood_on_many_samples():
    rng = generator(42)
    X, z = rng.normal(size=(2000, 1)), pd.DataFrame({"age": rng.normal(50.0, 10.0, 2000)})
    upper = rng.random(2000) < 1.0 / (1.0 + np.exp(5.0 - 0.1 * z["age"].to_numpy()))
    y = np.where(upper, 3.0, -3.0) * X[:, 0] + rng.normal(size=2000)
    point = bm.RegressionMixture(2, random_state=0).fit(X, y, gate=z)
    model = bm.RegressionMixture(2, inference=bm.VariationalBayes(), random_state=0)
    model.fit(X, y, gate=z)
    expected, table = point.coefficients().loc["gate"], model.coefficients().loc["gate"]
    away = np.abs(table["estimate"] - expected["estimate"]) / expected["standard_error"]
    assert away.max() < 0.1
    np.testing.assert_allclose(table["standard_error"], expected["standard_error"], rtol=0.02)
    assert "the ELBO is not tight" in model.summary()
    search = bm.MixtureSearch(bm.RegressionMixture(inference=bm.VariationalBayes()), [1, 2])
    with pytest.raises(UnsupportedError, match="gate the variational bound is not tight"):
        search.fit(X, y, gate=z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"response": "poisson"}, "does not support response='poisson'"),
        ({"fixed": [0]}, "does not support fixed"),
    ],
)
def test_what_has_no_conjugate_prior_is_refused(options, message):
    X, y = two_lines(30, 7)
    model = bm.RegressionMixture(2, inference=bm.VariationalBayes(), **options)
    with pytest.raises(UnsupportedError, match=message):
        model.fit(X, np.rint(np.abs(y)))


def test_bad_priors_are_named():
    X, y = two_lines(30, 8)
    with pytest.raises(InvalidInputError, match="mean_precision must be a number above 0"):
        fitted(1, X, y, bm.RegressionPrior(mean_precision=0.0))
    with pytest.raises(InvalidInputError, match="prior must be a RegressionPrior"):
        fitted(1, X, y, bm.BetaPrior())
    with pytest.raises(InvalidInputError, match="inference must be None"):
        bm.RegressionMixture(1, inference=bm.MaximumAPosteriori()).fit(X, y)
