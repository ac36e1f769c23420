"""Multinomial mixtures: densities, the optimum, exact evidence, errors, and what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp, softmax
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.multinomial import DirichletShares, Multinomials


@pytest.fixture(scope="module")
def texts() -> tuple[np.ndarray, np.ndarray]:
    """Counts of eight words in 200 texts of unlike length about three subjects."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(8, 2.0), 3)
    totals = np.exp(rng.normal(3.5, 1.2, 200)).astype(int) + 1
    labels = rng.integers(0, 3, 200)
    X = [rng.multinomial(t, shares[k]) for t, k in zip(totals, labels, strict=True)]
    return np.array(X), labels


def by_scipy(X, shares) -> np.ndarray:
    totals = X.sum(axis=1)
    return np.column_stack([stats.multinomial(totals, own).logpmf(X) for own in shares])


def compositions(total: int, n_columns: int) -> np.ndarray:
    """All rows of counts with a total."""
    rows = product(range(total + 1), repeat=n_columns)
    return np.array([row for row in rows if sum(row) == total], dtype=float)


def test_densities_are_those_of_scipy_and_sum_to_one(texts) -> None:
    X = texts[0].astype(float)
    shares = np.random.default_rng(1).dirichlet(np.ones(8), 4)
    point = Multinomials(shares)
    np.testing.assert_allclose(point.expected_log_density(X), by_scipy(X, shares), rtol=1e-10)
    np.testing.assert_allclose(point.linear.expected_log_density(X), by_scipy(X, shares), rtol=1e-9)
    rows = compositions(5, 3)
    concentration = np.array([[0.3, 1.2, 4.0], [2.0, 2.0, 2.0]])
    predictive = DirichletShares(concentration).predictive().expected_log_density(rows)
    expected = [
        stats.dirichlet_multinomial(own, 5).logpmf(rows.astype(int)) for own in concentration
    ]
    np.testing.assert_allclose(predictive.T, expected, rtol=1e-10)
    np.testing.assert_allclose(np.exp(predictive).sum(axis=0), 1.0, rtol=1e-12)


def test_the_fit_is_at_the_optimum_of_l_bfgs(texts) -> None:
    X = texts[0]
    model = bm.Mixture(3, family=bm.Multinomial(), random_state=0).fit(X)
    coefficient = by_scipy(X, np.full((1, 8), 0.125)).sum() + X.sum() * np.log(8)

    def negative(free) -> float:
        weights = softmax(np.append(0.0, free[:2]))
        shares = softmax(np.column_stack([np.zeros(3), free[2:].reshape(3, 7)]), axis=1)
        logs = X @ np.log(shares).T + np.log(weights)
        return -float(logsumexp(logs, axis=1).sum() + coefficient)

    logs = np.log(model.probabilities_)
    start = np.append(np.log(model.weights_[1:] / model.weights_[0]), logs[:, 1:] - logs[:, :1])
    best = minimize(negative, start, options={"gtol": 1e-7})
    assert -negative(start) == pytest.approx(model.log_likelihood_)
    assert negative(start) - best.fun < 1e-6
    assert model.n_parameters_ == 2 + 3 * 7


def test_an_em_step_has_the_equations_of_multmixem(texts) -> None:
    """The E-step and M-step of mixtools' multmixEM (Elmore & Wang 2003)."""
    X = texts[0]
    shares = np.random.default_rng(3).dirichlet(np.ones(3), len(X))
    with pytest.warns(Warning, match="max_iter=1"):
        model = bm.Mixture(
            3, family=bm.Multinomial(), init_params=shares, max_iter=1, random_state=0
        ).fit(X)
    theta = shares.T @ X
    theta = theta / theta.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.probabilities_, theta, rtol=1e-12)
    np.testing.assert_allclose(model.weights_, shares.mean(axis=0), rtol=1e-12)


def test_composition_is_found_where_totals_hide_it_from_poisson(texts) -> None:
    X, labels = texts
    long = X.sum(axis=1) > 30
    model = bm.Mixture(3, family=bm.Multinomial(), random_state=0).fit(X)
    assert adjusted_rand_score(labels[long], model.predict(X)[long]) > 0.9
    poisson = bm.Mixture(3, family=bm.Poisson(), random_state=0).fit(X)
    assert adjusted_rand_score(labels[long], poisson.predict(X)[long]) < 0.3


def test_elbo_of_one_component_is_the_exact_evidence(texts) -> None:
    X = texts[0][:20]
    prior = bm.MultinomialPrior(mass=4.0)
    inference = bm.VariationalBayes(prior=prior)
    model = bm.Mixture(1, family=bm.Multinomial(), inference=inference, random_state=0).fit(X)
    before, after = np.full(8, 0.5), 0.5 + X.sum(axis=0)
    evidence = gammaln(after).sum() - gammaln(after.sum())
    evidence -= gammaln(before).sum() - gammaln(before.sum())
    evidence += (gammaln(X.sum(axis=1) + 1.0) - gammaln(X + 1.0).sum(axis=1)).sum()
    assert model.elbo_ == pytest.approx(evidence, rel=1e-12)


@pytest.mark.parametrize(
    "inference", [bm.MaximumLikelihood(), bm.MaximumAPosteriori(), bm.VariationalBayes()]
)
def test_weights_repeat_rows_and_the_objective_never_falls(texts, inference) -> None:
    X = texts[0]
    weights = np.random.default_rng(5).integers(1, 4, len(X))
    settings = {"family": bm.Multinomial(), "inference": inference, "random_state": 0}
    weighted = bm.Mixture(3, **settings).fit(X, sample_weight=weights)
    repeated = bm.Mixture(3, **settings).fit(np.repeat(X, weights, axis=0))
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-8)
    assert np.diff(weighted.objective_trace_).min() > -1e-8


def test_the_mode_adds_one_count_to_each_component(texts) -> None:
    X = texts[0]
    inference = bm.MaximumAPosteriori()
    model = bm.Mixture(1, family=bm.Multinomial(), inference=inference).fit(X)
    expected = (X.sum(axis=0) + 1 / 8) / (X.sum() + 1)
    np.testing.assert_allclose(model.probabilities_[0], expected, rtol=1e-12)


def test_errors_of_one_component_are_those_of_shares(texts) -> None:
    X = texts[0]
    table = bm.Mixture(1, family=bm.Multinomial()).fit(X).parameter_table(X)
    shares = X.sum(axis=0) / X.sum()
    errors = table.loc["probability", "standard_error"].to_numpy()
    np.testing.assert_allclose(errors, np.sqrt(shares * (1 - shares) / X.sum()), rtol=1e-4)


def test_select_finds_the_number_of_compositions(texts) -> None:
    search = bm.select(texts[0], family=bm.Multinomial())
    assert search.n_clusters_ == 3


def test_a_saved_model_predicts_the_same(texts, tmp_path) -> None:
    X = texts[0]
    model = bm.Mixture(2, family="multinomial", inference=bm.VariationalBayes()).fit(X)
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_samples(X), model.score_samples(X))


def test_whole_rows_of_shares_are_held(texts) -> None:
    X, own = texts[0], np.arange(1.0, 9.0) / 36.0
    model = bm.Mixture(2, family=bm.Multinomial(), hold={"probabilities": [own]}).fit(X)
    np.testing.assert_allclose(model.probabilities_[0], own, rtol=1e-14)
    own[0] = np.nan
    with pytest.raises(UnsupportedError, match="all probabilities of the row, or none"):
        bm.Mixture(2, family=bm.Multinomial(), hold={"probabilities": [own]}).fit(X)


def test_what_a_multinomial_cannot_do_says_why(texts) -> None:
    X = texts[0]
    model = bm.Mixture(2, family=bm.Multinomial(), random_state=0).fit(X)
    with pytest.raises(UnsupportedError, match="given their totals"):
        model.sample(3)
    with pytest.raises(InvalidInputError, match="totals must be whole numbers from 0 on"):
        model.sample(3, totals=2.5)
    with pytest.raises(InvalidInputError, match=r"shape \(n_samples,\) with n_samples=3, got"):
        model.sample(3, totals=[4, 5])
    with pytest.raises(InvalidInputError, match="pass counts, not shares or percentages"):
        model.fit(X / np.maximum(X.sum(axis=1, keepdims=True), 1))
    with pytest.raises(UnsupportedError, match="cannot be compared"):
        bm.select(X, family=[bm.Multinomial(), bm.Poisson()])
    with pytest.raises(InvalidInputError, match=r"must hold counts .* got 0.5 in row 0, column 0"):
        model.fit(np.where(np.indices(X.shape).sum(axis=0) == 0, 0.5, X))


@pytest.mark.parametrize("inference", [bm.MaximumLikelihood(), bm.VariationalBayes()])
def test_draws_have_their_totals_and_the_shares_of_their_component(texts, inference) -> None:
    X = texts[0]
    model = bm.Mixture(3, family=bm.Multinomial(), inference=inference, random_state=0).fit(X)
    totals = np.random.default_rng(1).integers(0, 90, 6000)
    drawn, labels = model.sample(totals=totals, random_state=2)
    np.testing.assert_array_equal(drawn.sum(axis=1), totals)
    assert np.abs(np.bincount(labels) / 6000 - model.weights_).max() < 5.0 * 0.5 / np.sqrt(6000)
    for k in range(3):
        own = drawn[labels == k].sum(axis=0) / drawn[labels == k].sum()
        np.testing.assert_allclose(own, model.probabilities_[k], atol=0.01)


def test_tables_whose_rows_differ_in_totals_are_told_of_it(texts) -> None:
    assert "vary" in bm.select(texts[0], n_components=[1, 2]).summary()
    rng = np.random.default_rng(7)
    alone = rng.poisson(np.array([[3.0, 8.0, 2.0], [9.0, 2.0, 6.0]])[rng.integers(0, 2, 200)])
    assert "Multinomial" not in bm.select(alone, n_components=[1, 2]).summary()


def test_bic_of_counts_is_that_of_shares_plus_that_of_totals(texts) -> None:
    """Independent Poisson counts are a multinomial given a total that is Poisson."""
    X = texts[0][:, :5]
    totals = X.sum(axis=1, keepdims=True)
    shares = bm.Mixture(1, family=bm.Multinomial()).fit(X)
    of_totals = bm.Mixture(1, family=bm.Poisson()).fit(totals)
    both = bm.Mixture(1, family=bm.Poisson()).fit(X)
    assert shares.bic(X) + of_totals.bic(totals) == pytest.approx(both.bic(X), rel=1e-12)


def test_counts_that_come_in_bursts_are_told() -> None:
    rng = np.random.default_rng(11)
    shares, labels = rng.dirichlet(np.full(8, 1.0), 2), rng.integers(0, 2, 200)
    plain = np.array([rng.multinomial(60, shares[k]) for k in labels])
    search = bm.select(plain, [2], family=bm.Multinomial())
    assert "bursts" not in search.summary()
    bursts = np.array([rng.multinomial(60, rng.dirichlet(25.0 * shares[k])) for k in labels])
    summary = bm.select(bursts, [2], family=bm.Multinomial()).summary()
    assert "times as much as a multinomial allows" in " ".join(summary.split())
