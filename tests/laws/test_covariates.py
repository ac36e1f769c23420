"""Covariates on the weights: the likelihood, its information, invariances, and what is refused."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from reference.exact import bernoulli_family, bernoulli_log_evidence
from scipy.optimize import minimize
from scipy.special import expit, gammaln, log_softmax, logit, logsumexp
from scipy.stats import multivariate_normal, norm

import bayesmix as bm
from bayesmix.allocation.gate import Gate, GatePrior, penalty_matrix
from bayesmix.errors import (
    BayesmixWarning,
    DegenerateComponentWarning,
    InvalidInputError,
    UnsupportedError,
)
from laws.cases import generator

# Bakk & Kuha 2018: three classes, six binary items, one covariate from 1 to 5.
SLOPES, INTERCEPTS = np.array([0.0, -1.0, 1.0]), np.array([0.0, 2.34459467, -3.65540533])


def bakk(n, separation, seed):
    rng = generator(seed)
    z = rng.integers(1, 6, n).astype(float)
    logits = np.outer(z, SLOPES) + INTERCEPTS
    classes = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    items = np.full((3, 6), separation)
    items[1, 3:] = items[2] = 1.0 - separation
    return (rng.random((n, 6)) < items[classes]).astype(float), pd.DataFrame({"z": z}), classes


def two_normals(n, seed, slope=2.0, distance=2.0):
    rng = generator(seed)
    z = rng.normal(5.0, 1.0, (n, 1))
    second = rng.random(n) < expit(slope * (z[:, 0] - 5.0))
    return rng.normal(size=(n, 2)) + distance * second[:, None], z


def fitted(X, Z, **options):
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0, **options)
    return model.fit(X, covariates=Z)


def design_of(Z):
    return np.column_stack([np.ones(len(Z)), np.asarray(Z)])


def item_log_density(X, p):
    return X @ np.log(p).T + (1.0 - X) @ np.log1p(-p).T


def unpacked(theta, K, D):
    gate = np.vstack([np.zeros(2), theta[: 2 * (K - 1)].reshape(K - 1, 2)])
    return gate, expit(theta[2 * (K - 1) :].reshape(K, D))


def log_likelihood(theta, X, Z, K=3):
    gate, p = unpacked(theta, K, X.shape[1])
    joint = log_softmax(design_of(Z) @ gate.T, axis=1) + item_log_density(X, p)
    return logsumexp(joint, axis=1).sum()


def parameters_of(model):
    gate = np.column_stack([model.gate_intercept_, model.gate_coef_])[1:]
    return np.concatenate([gate.ravel(), logit(model.means_).ravel()])


def hessian(function, x, step=1e-3):
    moves = step * np.eye(len(x))
    return np.array(
        [
            [
                function(x + a + b)
                - function(x + a - b)
                - function(x - a + b)
                + function(x - a - b)
                for b in moves
            ]
            for a in moves
        ]
    ) / (4.0 * step**2)


@pytest.fixture(scope="module")
def survey():
    X, Z, classes = bakk(600, 0.8, 3)
    return X, Z, classes, fitted(X, Z)


def test_the_fit_maximises_the_likelihood_of_classes_given_covariates(survey):
    X, Z, _, model = survey
    theta = parameters_of(model)
    assert log_likelihood(theta, X, Z) == pytest.approx(model.log_likelihood_, rel=1e-12)
    best = minimize(lambda t: -log_likelihood(t, X, Z), theta, method="BFGS")
    assert -best.fun - model.log_likelihood_ < 1e-3
    assert model.n_parameters_ == len(theta)
    assert model.bic() == pytest.approx(
        len(theta) * np.log(len(X)) - 2.0 * model.log_likelihood_, rel=1e-12
    )


@pytest.mark.slow
def test_standard_errors_are_those_of_the_whole_hessian(survey):
    X, Z, _, model = survey
    information = -hessian(lambda t: log_likelihood(t, X, Z), parameters_of(model))
    expected = np.sqrt(np.linalg.inv(information).diagonal()[:4])
    table = model.gate_coefficients(X, level=0.8)
    np.testing.assert_allclose(table["standard_error"], expected, rtol=1e-3)
    half = norm.ppf(0.9) * table["standard_error"]
    np.testing.assert_allclose(table["upper"] - table["estimate"], half, rtol=1e-10)


def covariance(structure, parameters):
    if structure == "diag":
        return np.diag(np.exp(parameters))
    root = np.array([[np.exp(parameters[0]), 0.0], [parameters[2], np.exp(parameters[1])]])
    return root @ root.T


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", "diag", "tied"])
def test_standard_errors_of_gaussian_mixtures_are_those_of_the_whole_hessian(structure):
    X, Z = two_normals(200, 11)
    gm = bm.GaussianMixture(2, covariance_type=structure, max_iter=5000, random_state=0)
    gm.fit(X, covariates=Z)
    size = 2 if structure == "diag" else 3

    def value(theta):
        gate = np.vstack([np.zeros(2), theta[:2]])
        own = theta[6:].reshape(-1, size)
        own = np.repeat(own, 2, axis=0) if structure == "tied" else own
        densities = [
            multivariate_normal.logpdf(X, mean, covariance(structure, each))
            for mean, each in zip(theta[2:6].reshape(2, 2), own, strict=True)
        ]
        logs = log_softmax(design_of(Z) @ gate.T, axis=1)
        return logsumexp(logs + np.array(densities).T, axis=1).sum()

    if structure == "diag":
        spreads = np.log(gm.covariances_).ravel()
    else:
        roots = np.linalg.cholesky(gm.covariances_.reshape(-1, 2, 2))
        spreads = np.array([[np.log(r[0, 0]), np.log(r[1, 1]), r[1, 0]] for r in roots]).ravel()
    gate = [gm.gate_intercept_[1], gm.gate_coef_[1, 0]]
    theta = np.concatenate([gate, gm.means_.ravel(), spreads])
    assert value(theta) == pytest.approx(gm.log_likelihood_, rel=1e-10)
    expected = np.sqrt(np.linalg.inv(-hessian(value, theta)).diagonal()[:2])
    errors = gm.gate_coefficients(X)["standard_error"]
    np.testing.assert_allclose(errors, expected, rtol=2e-3)


def test_coefficients_are_near_the_truth():
    X, Z, classes = bakk(3000, 0.9, 5)
    model = fitted(X, Z)
    order = [int(np.bincount(model.predict(X, Z)[classes == k]).argmax()) for k in range(3)]
    slopes = model.gate_coef_[order, 0] - model.gate_coef_[order[0], 0]
    # Standard errors at this size are at most 0.1.
    np.testing.assert_allclose(slopes, SLOPES, atol=0.4)


def test_a_gate_with_only_an_intercept_is_the_mixture():
    X, _ = two_normals(300, 1, distance=4.0)
    none = np.empty((300, 0))
    plain = bm.GaussianMixture(2, random_state=0).fit(X)
    gated = bm.GaussianMixture(2, random_state=0).fit(X, covariates=none)
    assert gated.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-8)
    assert gated.n_parameters_ == plain.n_parameters_
    np.testing.assert_allclose(gated.predict_proba(X, none), plain.predict_proba(X), atol=1e-3)


def test_units_of_covariates_change_only_their_coefficients(survey):
    X, Z, _, model = survey
    other = fitted(X, 1000.0 * Z - 7.0)
    assert other.log_likelihood_ == pytest.approx(model.log_likelihood_, rel=1e-9)
    np.testing.assert_allclose(1000.0 * other.gate_coef_, model.gate_coef_, rtol=1e-5)
    one, two = model.gate_coefficients(X), other.gate_coefficients(X)
    errors = one.loc[(slice(None), "z"), "standard_error"].to_numpy()
    np.testing.assert_allclose(
        1000.0 * two.loc[(slice(None), "z"), "standard_error"].to_numpy(), errors, rtol=1e-4
    )


@pytest.mark.slow
def test_repeating_samples_is_doubling_their_weights(survey):
    X, Z, _, model = survey
    twice = fitted(np.repeat(X, 2, axis=0), Z.loc[Z.index.repeat(2)])
    weighted = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0)
    weights = np.full(len(X), 2.0)
    weighted.fit(X, sample_weight=weights, covariates=Z)
    for each in (twice, weighted):
        assert each.log_likelihood_ == pytest.approx(2.0 * model.log_likelihood_, rel=1e-8)
    table = weighted.gate_coefficients(X, sample_weight=weights)
    np.testing.assert_allclose(
        np.sqrt(2.0) * table["standard_error"],
        model.gate_coefficients(X)["standard_error"],
        rtol=1e-3,
    )


def test_predictions_are_those_of_bayes_rule(survey):
    X, Z, _, model = survey
    gate = np.column_stack([model.gate_intercept_, model.gate_coef_])
    joint = log_softmax(design_of(Z) @ gate.T, axis=1) + item_log_density(X, model.means_)
    density = logsumexp(joint, axis=1)
    np.testing.assert_allclose(model.score_samples(X, Z), density, atol=1e-9)
    shares = np.exp(joint - density[:, None])
    np.testing.assert_allclose(model.predict_proba(X, Z), shares, atol=1e-9)
    np.testing.assert_array_equal(model.predict(X, Z), shares.argmax(axis=1))
    assert model.score(X, covariates=Z) == pytest.approx(density.mean(), rel=1e-10)
    average = np.exp(log_softmax(design_of(Z) @ gate.T, axis=1)).mean(axis=0)
    np.testing.assert_allclose(model.weights_, average, atol=1e-4)


def test_samples_of_a_group_share_component_and_covariates():
    X, Z, _ = bakk(200, 0.8, 8)
    groups = np.repeat(np.arange(200), 2)
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0)
    # Two halves of a questionnaire with the same items in each.
    halves = X.reshape(400, 3)
    model.fit(halves, groups=groups, covariates=Z.loc[Z.index.repeat(2)])
    gate = np.column_stack([model.gate_intercept_, model.gate_coef_])
    by_group = item_log_density(halves, np.clip(model.means_, 1e-300, 1.0)).reshape(200, 2, 3)
    joint = log_softmax(design_of(Z) @ gate.T, axis=1) + by_group.sum(axis=1)
    assert model.log_likelihood_ == pytest.approx(logsumexp(joint, axis=1).sum(), rel=1e-9)


def test_missing_answers_are_summed_over(survey):
    X, Z, _, _ = survey
    rng = generator(9)
    gaps = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0, missing="use")
    model.fit(gaps, covariates=Z)
    gate = np.column_stack([model.gate_intercept_, model.gate_coef_])
    known = ~np.isnan(gaps)
    zeros = np.where(known, gaps, 0.0)
    joint = zeros @ np.log(model.means_).T
    joint += np.where(known, 1.0 - gaps, 0.0) @ np.log1p(-model.means_).T
    joint += log_softmax(design_of(Z) @ gate.T, axis=1)
    assert model.log_likelihood_ == pytest.approx(logsumexp(joint, axis=1).sum(), rel=1e-10)
    assert np.isfinite(model.gate_coefficients(gaps)["standard_error"]).all()


def test_the_prior_of_slopes_does_not_depend_on_the_reference():
    rng = generator(10)
    prior = GatePrior.normal(3, 0.16)
    coefficients = np.vstack([np.zeros(3), rng.normal(size=(2, 3))])
    gate = Gate(coefficients, np.full(3, 1.0 / 3.0), prior.precisions)
    value = prior.log_density(gate)
    for order in ([1, 0, 2], [2, 1, 0]):
        other = gate.subset(np.array(order), np.ones(3))
        assert prior.log_density(other) == pytest.approx(value, rel=1e-12)
    matrix = penalty_matrix(3, prior.precisions)
    slopes = [place for place in range(6) if place % 3]
    covariance_of_slopes = np.linalg.inv(matrix[np.ix_(slopes, slopes)])
    expected = multivariate_normal.logpdf(
        gate.coefficients[1:].ravel()[slopes], np.zeros(4), covariance_of_slopes
    )
    assert value == pytest.approx(expected, rel=1e-12)


def test_a_prior_keeps_coefficients_finite_where_covariates_separate_components():
    X, _ = two_normals(200, 12, distance=6.0)
    Z = pd.DataFrame({"side": (X[:, 0] > 3.0).astype(float)})
    with pytest.warns(BayesmixWarning, match="separate component 2 .*side"):
        separated = bm.GaussianMixture(2, random_state=0).fit(X, covariates=Z)
    with pytest.warns(BayesmixWarning, match="separate component 2 .*side"):
        errors = separated.gate_coefficients(X)["standard_error"]
    assert np.isnan(errors["class 2", "side"])
    gm = bm.GaussianMixture(2, prior="auto", random_state=0).fit(X, covariates=Z)
    assert abs(gm.gate_coef_[1, 0]) < 100.0
    assert np.isfinite(gm.gate_coefficients(X)["standard_error"]).all()


def test_a_component_that_collapses_is_moved_as_without_covariates():
    rng = generator(0)
    X, covariates = rng.normal(size=(60, 2)), rng.normal(size=(60, 1))
    X[:3] = 4.0
    model = bm.GaussianMixture(
        3, covariance_type="diag", init_params="random_from_data", search=None, random_state=0
    )
    with pytest.warns(DegenerateComponentWarning, match="collapsed"):
        model.fit(X, covariates=covariates)
    assert "relocated" in [event.kind for event in model.result_.events]
    assert np.isfinite(model.log_likelihood_)


def test_intercepts_alone_get_any_shares():
    gate = GatePrior.normal(2).mode(np.array([5.0, 3.0, 2.0])).proportional(np.array([1.0, 1, 2]))
    weights = np.exp(gate.log_weights(np.array([[1.0, 0.7]])))
    np.testing.assert_allclose(weights, [[0.25, 0.25, 0.5]])
    np.testing.assert_allclose(gate.mean(), [0.25, 0.25, 0.5])


def test_a_saved_fit_predicts_the_same(survey, tmp_path):
    X, Z, _, model = survey
    model.save(tmp_path / "model.bayesmix")
    loaded = bm.load(tmp_path / "model.bayesmix")
    np.testing.assert_array_equal(loaded.predict_proba(X, Z), model.predict_proba(X, Z))
    pd.testing.assert_frame_equal(loaded.gate_coefficients(X), model.gate_coefficients(X))


def test_the_plot_shows_the_weights_along_a_covariate(survey):
    model = survey[3]
    ax = bm.plots.plot_gate(model, "z")
    gate = np.column_stack([model.gate_intercept_, model.gate_coef_])
    places = ax.lines[0].get_xdata()
    expected = np.exp(log_softmax(design_of(places) @ gate.T, axis=1))
    np.testing.assert_allclose([each.get_ydata() for each in ax.lines], expected.T, atol=1e-10)
    for wrong in ("age", survey[0]):
        with pytest.raises(InvalidInputError, match="covariate must be one of the names"):
            bm.plots.plot_gate(model, wrong)


BAD = {
    "constant": (lambda Z: Z.assign(one=1.0), "column 'one' is constant"),
    "collinear": (lambda Z: Z.assign(twice=2.0 * Z["z"]), "column 'twice' is a linear combination"),
    "missing": (lambda Z: Z.where(Z > 1.0), "no missing values, got NaN in row"),
    "short": (lambda Z: Z[:-1], "one row for each of the 600 samples"),
    "text": (lambda Z: Z.assign(party="left").to_numpy(), "is not numeric"),
    "signs": (
        lambda Z: Z.assign(share=[f"{i / 8} %" for i in range(len(Z))]),
        "'share' has 600 different texts, such as '0.0 %': write numbers without signs",
    ),
}


@pytest.mark.parametrize("problem", BAD)
def test_bad_covariates_are_named(survey, problem):
    X, Z, _, _ = survey
    change, message = BAD[problem]
    with pytest.raises(InvalidInputError, match=message):
        bm.Mixture(2, family=bm.Bernoulli()).fit(X, covariates=change(Z))


@pytest.mark.parametrize("family", [bm.Bernoulli(), "categorical"])
def test_groups_with_several_values_of_a_covariate_are_named(survey, family):
    X, Z, _, _ = survey
    same = Z.assign(site=np.arange(600) // 2, z=Z["z"].to_numpy()[np.arange(600) // 2])
    with pytest.raises(InvalidInputError, match=r"column 'age' of sample 1 .*use one value for"):
        bm.Mixture(2, family=family).fit(
            X, covariates=same.assign(age=np.arange(600.0) ** 2), groups=np.arange(600) // 2
        )


def test_predictions_need_the_covariates_of_the_fit(survey):
    X, Z, _, model = survey
    with pytest.raises(InvalidInputError, match=r"give covariates= with the columns z"):
        model.predict(X)
    with pytest.raises(InvalidInputError, match="columns of the fit, z, got age"):
        model.predict(X, Z.rename(columns={"z": "age"}))
    with pytest.raises(InvalidInputError, match="the fit had none"):
        bm.Mixture(2, family=bm.Bernoulli()).fit(X).predict(X, Z)
    with pytest.raises(InvalidInputError, match="needs a fit with covariates"):
        bm.Mixture(2, family=bm.Bernoulli()).fit(X).gate_coefficients(X)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            bm.BayesianGaussianMixture(2, weight_concentration_prior=0.3),
            "leave out its concentration",
        ),
        (bm.GaussianMixture(2, noise=True), "noise does not support labels"),
        (bm.GaussianMixture(101), "at most 100 components"),
        (
            bm.GaussianMixture(2, prior="auto", weight_concentration_prior=2.0),
            "leave out its concentration",
        ),
    ],
)
def test_unsupported_models_are_refused(model, message):
    X, Z = two_normals(150, 13)
    with pytest.raises(UnsupportedError, match=message):
        model.fit(X, covariates=Z)


def test_analyses_without_covariates_are_refused(survey):
    X, _, _, model = survey
    for analysis in (
        lambda: model.partial_fit(X),
        lambda: bm.stability(model, X),
        lambda: bm.goodness_of_fit(model, X),
        lambda: bm.nested_cv(model, X),
        lambda: bm.weighted_bootstrap(model, X),
        lambda: model.impute(X),
    ):
        with pytest.raises(UnsupportedError, match="covariates"):
            analysis()


# Students by four kinds of cheating and five groups of grades (Dayton 1998, tables 3.4 and 7.1).
CHEATING = {
    "0000": (51, 63, 35, 30, 24), "0001": (19, 18, 6, 2, 1), "0010": (0, 5, 1, 0, 1),
    "0011": (4, 0, 0, 0, 1), "0100": (4, 4, 4, 0, 1), "0101": (3, 0, 0, 1, 0),
    "0110": (1, 0, 0, 0, 0), "0111": (0, 1, 0, 1, 0), "1000": (5, 4, 0, 0, 1),
    "1001": (2, 1, 0, 0, 0), "1010": (1, 0, 0, 0, 0), "1011": (0, 1, 1, 0, 0),
    "1100": (4, 6, 1, 0, 0), "1101": (4, 0, 0, 0, 0), "1110": (1, 0, 0, 0, 0),
    "1111": (1, 1, 0, 0, 0),
}  # fmt: skip


def test_the_fit_to_students_who_cheat_is_that_of_polca():
    items = np.array([list(pattern) for pattern in CHEATING], dtype=float).repeat(5, axis=0)
    grades, counts = np.tile(np.arange(1.0, 6.0), 16), np.concatenate(list(CHEATING.values()))
    model = bm.Mixture(2, family=bm.Bernoulli(), random_state=0)
    model.fit(items, covariates=grades, sample_weight=counts)
    assert model.log_likelihood_ == pytest.approx(-429.6384, abs=1e-4)
    assert model.gate_intercept_[1] == pytest.approx(0.1134289, abs=2e-5)
    assert model.gate_coef_[1, 0] == pytest.approx(-0.8424836, abs=2e-5)
    assert model.weights_[1] == pytest.approx(0.1781068, abs=1e-5)


def test_criteria_of_the_data_of_the_fit_are_those_of_the_fit(survey):
    X, Z, _, model = survey
    for name in ("bic", "aic", "aicc", "icl"):
        criterion = getattr(model, name)
        assert criterion(X, covariates=Z) == pytest.approx(criterion(), rel=1e-12)
    halves = [model.aic(X[part], covariates=Z[part]) for part in (slice(300), slice(300, None))]
    assert sum(halves) == pytest.approx(model.aic() + 2.0 * model.n_parameters_, rel=1e-12)
    with pytest.raises(InvalidInputError, match="give covariates="):
        model.bic(X)
    with pytest.raises(InvalidInputError, match="covariates needs data"):
        model.bic(covariates=Z)


@pytest.mark.slow
def test_a_search_compares_candidates_with_covariates_by_held_out_density():
    X, Z, _ = bakk(900, 0.9, 20)
    model = bm.Mixture(family=bm.Bernoulli(), random_state=0)
    search = bm.MixtureSearch(model, n_components=(2, 3), criterion="cv", cv=3, random_state=0)
    search.fit(X, covariates=Z)
    assert search.n_components_ == 3
    alone = bm.MixtureSearch(model, n_components=(3,), criterion="cv", cv=3, random_state=0).fit(X)
    # The covariate predicts the class, so that held-out densities given it are higher.
    assert search.best_score_ > alone.best_score_ + 50.0
    with pytest.raises(UnsupportedError, match="bound is not tight, so it cannot compare"):
        bm.select(X, (2, 3), criterion="elbo", covariates=Z)


def log_evidence_with_covariates(X, z, K, slope_precision=0.16):
    """Return log p(X | z) by enumeration of allocations and quadrature over the gate."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24 if K == 2 else 16)
    precisions = [6.0 / np.pi**2, slope_precision][: z.shape[1]]
    axes = (K - 1) * z.shape[1]
    grid = np.array(list(product(nodes, repeat=axes)))
    log_weights = np.log(np.array(list(product(weights, repeat=axes)))).sum(axis=1)
    log_weights -= 0.5 * axes * np.log(2.0 * np.pi)
    # Differences of K independent coefficients from the first one.
    root = np.linalg.cholesky(np.kron(np.eye(K - 1) + 1.0, np.diag(1.0 / np.array(precisions))))
    gates = (grid @ root.T).reshape(len(grid), K - 1, z.shape[1])
    linear = np.einsum("gkp,np->gnk", gates, z)
    shares = log_softmax(np.concatenate([np.zeros_like(linear[:, :, :1]), linear], axis=2), axis=2)
    density = bernoulli_family(1.0, 1.0, K)(X)
    terms = []
    for labels in product(range(K), repeat=len(X)):
        of_gate = shares[:, np.arange(len(X)), labels].sum(axis=1) + log_weights
        terms.append(logsumexp(of_gate) + density(np.array(labels)))
    return logsumexp(terms)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("K", [2, 3])
def test_the_bound_with_covariates_is_below_the_evidence_and_never_falls(seed, K):
    rng = generator(900 + seed)
    z = rng.normal(size=6)
    X = (rng.random((6, 2)) < expit(2.0 * z)[:, None]).astype(float)
    model = bm.Mixture(
        K, family=bm.Bernoulli(), inference=bm.VariationalBayes(), prune=False, random_state=0
    )
    model.fit(X, covariates=z)
    if K == 3:  # quadrature in four dimensions, fewer samples
        X, z = X[:5], z[:5]
        model.fit(X, covariates=z)
    standard = np.column_stack([np.ones(len(z)), (z - z.mean()) / z.std()])
    evidence = log_evidence_with_covariates(X, standard, K)
    assert evidence - 2.0 * K < model.elbo_ < evidence
    assert (np.diff(model.objective_trace_) >= -1e-12 * len(X)).all()


def test_one_component_with_covariates_has_the_exact_evidence():
    X, Z, _ = bakk(50, 0.8, 31)
    model = bm.Mixture(1, family=bm.Bernoulli(), inference=bm.VariationalBayes())
    elbo = model.fit(X, covariates=Z).elbo_
    assert elbo == pytest.approx(bernoulli_log_evidence(X, 1.0, 1.0), rel=1e-12)


@pytest.mark.slow
def test_the_bound_of_an_intercept_is_below_that_of_dirichlet_weights_by_the_curvature():
    n, none = 10_000, np.empty((10_000, 0))
    for shares in ([0.5, 0.5], [0.1, 0.9], [0.2, 0.3, 0.5]):
        K, counts = len(shares), np.array(shares)
        # Components that do not overlap: allocations are known.
        X = np.eye(K)[np.repeat(np.arange(K), np.rint(n * counts).astype(int))]
        options = {"family": bm.Bernoulli(), "prune": False, "random_state": 0}
        vb = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
        dirichlet = bm.Mixture(K, inference=vb, **options).fit(X)
        gated = bm.Mixture(K, inference=bm.VariationalBayes(), **options).fit(X, covariates=none)
        # Densities at the estimates: normal of log odds against Dirichlet(1), a density of
        # log odds of (K - 1)! times the product of the shares.
        odds = np.log(counts[1:] / counts[0])
        spread = (np.eye(K - 1) + 1.0) * np.pi**2 / 6.0
        priors = multivariate_normal.logpdf(odds, np.zeros(K - 1), spread)
        priors -= gammaln(K) + np.log(counts).sum()
        curvature = 0.5 * (np.log(K * 2.0 ** (K - 1)) + np.log(counts).sum())
        assert gated.elbo_ - dirichlet.elbo_ == pytest.approx(priors + curvature, abs=2e-3)


@pytest.mark.slow
def test_variational_coefficients_are_near_maximum_a_posteriori_on_many_samples():
    X, Z, _ = bakk(4000, 0.9, 33)
    point = fitted(X, Z, inference=bm.MaximumAPosteriori())
    model = fitted(X, Z, inference=bm.VariationalBayes())
    errors = model.gate_coefficients(X)
    np.testing.assert_allclose(model.gate_coef_, point.gate_coef_, atol=0.01)
    np.testing.assert_allclose(
        errors["standard_error"], point.gate_coefficients(X)["standard_error"], rtol=0.02
    )
    assert "the ELBO is not tight" in model.summary()


def test_variational_fits_drop_empty_components_and_are_saved(tmp_path):
    X, z = two_normals(400, 34, distance=4.0)
    model = bm.BayesianGaussianMixture(3, random_state=0).fit(X, covariates=z)
    assert model.n_components_ == 2
    with pytest.raises(UnsupportedError, match="posterior draws do not support covariates"):
        model.sample_posterior(10)
    model.save(tmp_path / "model.bayesmix")
    loaded = bm.load(tmp_path / "model.bayesmix")
    np.testing.assert_array_equal(loaded.predict_proba(X, z), model.predict_proba(X, z))
    pd.testing.assert_frame_equal(loaded.gate_coefficients(X), model.gate_coefficients(X))


@pytest.mark.slow
def test_random_starts_of_variational_fits_drop_empty_components():
    X, Z, _ = bakk(300, 0.75, 901)
    vb = {"inference": bm.VariationalBayes(), "random_state": 0}
    three = bm.Mixture(3, family=bm.Bernoulli(), **vb).fit(X, covariates=Z)
    six = bm.Mixture(6, family=bm.Bernoulli(), **vb).fit(X, covariates=Z)
    assert six.n_components_ == three.n_components_ == 3
    assert six.elbo_ == pytest.approx(three.elbo_, abs=1e-6)


def test_standard_errors_of_groups_of_one_are_those_without_groups(survey):
    X, Z, _, model = survey
    order = generator(35).permutation(len(X))
    grouped = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0)
    grouped.fit(X[order], covariates=Z.iloc[order], groups=order)
    np.testing.assert_allclose(
        grouped.gate_coefficients(X[order]), model.gate_coefficients(X), rtol=1e-4
    )


@pytest.mark.slow
def test_standard_errors_with_groups_are_those_of_the_whole_hessian():
    X, Z, _ = bakk(300, 0.8, 36)
    units = generator(37).permutation(np.repeat(np.arange(300), 2))
    place = np.zeros(600, dtype=int)
    place[np.unique(units, return_index=True)[1]] = 1
    # Two halves of a questionnaire with the same items in each, in random order.
    halves = X.reshape(300, 2, 3)[units, place]
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0)
    model.fit(halves, groups=units, covariates=Z.iloc[units])

    def value(theta):
        gate, p = unpacked(theta, 3, 3)
        joint = log_softmax(design_of(Z) @ gate.T, axis=1)
        np.add.at(joint, units, item_log_density(halves, p))
        return logsumexp(joint, axis=1).sum()

    theta = parameters_of(model)
    assert value(theta) == pytest.approx(model.log_likelihood_, rel=1e-10)
    expected = np.sqrt(np.linalg.inv(-hessian(value, theta)).diagonal()[:4])
    table = model.gate_coefficients(halves)
    np.testing.assert_allclose(table["standard_error"], expected, rtol=2e-3)
