"""Binomial mixtures with trials for each cell: the optimum, exact evidence, errors, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, logsumexp
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import BayesmixError, InvalidInputError, UnsupportedError

INFERENCES = [bm.MaximumLikelihood(), bm.MaximumAPosteriori(), bm.VariationalBayes()]


@pytest.fixture(scope="module")
def reads() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Methylated reads, coverage with cells of 0, and labels of three groups."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 300)
    shares = np.array([[0.2, 0.8, 0.4, 0.8], [0.7, 0.3, 0.6, 0.2], [0.3, 0.4, 0.9, 0.5]])
    trials = rng.integers(0, 40, (300, 4))
    return rng.binomial(trials, shares[labels]), trials, labels


def fitted(reads, n_components=3, **settings) -> bm.Mixture:
    X, trials, _ = reads
    settings = {"family": bm.Binomial(), "random_state": 0, "max_iter": 2000} | settings
    return bm.Mixture(n_components, **settings).fit(X, trials=trials)


def log_densities(X, trials, shares) -> np.ndarray:
    return np.stack([stats.binom(trials, own).logpmf(X).sum(axis=1) for own in shares], axis=1)


def test_the_fit_is_at_the_optimum_of_l_bfgs(reads) -> None:
    X, trials, labels = reads
    model = fitted(reads)
    assert adjusted_rand_score(labels, model.predict(X, trials=trials)) > 0.85
    expected = logsumexp(log_densities(X, trials, model.probabilities_), axis=1, b=model.weights_)
    np.testing.assert_allclose(model.score_samples(X, trials=trials), expected, rtol=1e-10)

    def negative(free) -> float:
        weights, shares = np.exp(free[:3]), 1.0 / (1.0 + np.exp(-free[3:].reshape(3, 4)))
        logs = log_densities(X, trials, shares)
        return -float(logsumexp(logs, axis=1, b=weights / weights.sum()).sum())

    odds = np.log(model.probabilities_ / (1.0 - model.probabilities_)).ravel()
    start = np.append(np.log(model.weights_), odds)
    best = minimize(negative, start, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-8})
    assert -negative(start) == pytest.approx(model.log_likelihood_, rel=1e-12)
    assert negative(start) - best.fun < 1e-6
    assert model.n_parameters_ == 2 + 3 * 4


def test_elbo_of_one_component_is_the_exact_evidence(reads) -> None:
    X, trials, _ = reads
    model = fitted(reads, 1, inference=bm.VariationalBayes())
    a, b = 1.0 + X.sum(axis=0), 1.0 + (trials - X).sum(axis=0)
    coefficients = gammaln(trials + 1) - gammaln(X + 1) - gammaln(trials - X + 1)
    assert model.elbo_ == pytest.approx((betaln(a, b)).sum() + coefficients.sum(), rel=1e-12)
    density = stats.betabinom(trials, a, b).logpmf(X).sum(axis=1)
    np.testing.assert_allclose(model.score_samples(X, trials=trials), density, rtol=1e-8)


def test_the_mode_adds_half_a_success_and_half_a_failure(reads) -> None:
    X, trials, _ = reads
    model = fitted(reads, 1, inference=bm.MaximumAPosteriori())
    expected = (X.sum(axis=0) + 0.5) / (trials.sum(axis=0) + 1.0)
    np.testing.assert_allclose(model.probabilities_[0], expected, rtol=1e-12)


def test_errors_of_one_component_are_those_of_shares(reads) -> None:
    X, trials, _ = reads
    table = fitted(reads, 1).parameter_table(bm.Measured(X, trials=trials))
    shares = X.sum(axis=0) / trials.sum(axis=0)
    errors = table.loc["probability", "standard_error"].to_numpy()
    expected = np.sqrt(shares * (1.0 - shares) / trials.sum(axis=0))
    np.testing.assert_allclose(errors, expected, rtol=1e-4)


@pytest.mark.parametrize("inference", INFERENCES, ids=["ml", "map", "vb"])
def test_equal_trials_are_those_of_the_family(reads, inference) -> None:
    X = np.minimum(reads[0], 20)
    start = np.random.default_rng(1).dirichlet(np.ones(2), len(X))
    settings = {"inference": inference, "init_params": start, "prune": False}
    of_cells = fitted((X, 20, None), 2, **settings)
    of_columns = bm.Mixture(
        2, family=bm.Binomial([20] * 4), random_state=0, max_iter=2000, **settings
    ).fit(X)
    assert of_cells.result_.objective == pytest.approx(of_columns.result_.objective, rel=1e-9)
    np.testing.assert_allclose(
        of_cells.score_samples(X, trials=20), of_columns.score_samples(X), rtol=1e-5
    )


@pytest.mark.parametrize("inference", INFERENCES, ids=["ml", "map", "vb"])
def test_weights_repeat_rows_and_the_objective_never_falls(reads, inference) -> None:
    X, trials, _ = reads
    weights = np.random.default_rng(5).integers(1, 4, len(X))
    model = bm.Mixture(3, family="binomial", inference=inference, random_state=0)
    repeated = clone(model)
    model.fit(X, sample_weight=weights, trials=trials)
    repeated.fit(np.repeat(X, weights, axis=0), trials=np.repeat(trials, weights, axis=0))
    assert model.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-8)
    assert np.diff(model.objective_trace_).min() > -1e-8


def test_missing_cells_have_no_trials(reads) -> None:
    X, trials, _ = reads
    without = np.where(trials == 0, np.nan, X)
    with pytest.raises(InvalidInputError, match="missing"):
        bm.Mixture(2, family=bm.Binomial()).fit(without, trials=trials)
    model = fitted((without, trials, None), missing="use")
    assert model.log_likelihood_ == pytest.approx(fitted(reads).log_likelihood_, rel=1e-9)


def test_trials_of_rows_columns_and_frames_are_those_of_cells(reads) -> None:
    X = np.minimum(reads[0], 5)
    of_rows = np.random.default_rng(2).integers(5, 30, len(X))
    whole = np.repeat(of_rows[:, None], 4, axis=1)
    expected = fitted((X, whole, None), 2).log_likelihood_
    for given in (of_rows, of_rows[:, None]):
        assert fitted((X, given, None), 2).log_likelihood_ == expected
    frame = pd.DataFrame(X, columns=list("abcd"))
    turned = pd.DataFrame(whole, columns=list("abcd"))[list("dcba")]
    assert fitted((frame, turned, None), 2).log_likelihood_ == expected
    of_columns = fitted((X, [5, 6, 7, 8], None), 2).log_likelihood_
    assert of_columns == fitted((X, np.tile([5, 6, 7, 8], (300, 1)), None), 2).log_likelihood_


def test_select_finds_the_groups_where_coverage_differs(reads) -> None:
    X, trials, labels = reads
    search = bm.select(X, trials=trials)
    assert search.n_clusters_ == 3
    found = search.predict_clusters(X, trials=trials)
    assert adjusted_rand_score(labels, found) > 0.85
    by_hand = bm.MixtureSearch(bm.Mixture(family=bm.Binomial()), [2, 3], criterion="bic")
    assert by_hand.fit(X, trials=trials).n_components_ == 3


@pytest.mark.parametrize("inference", INFERENCES, ids=["ml", "map", "vb"])
def test_a_saved_model_predicts_the_same(reads, tmp_path, inference) -> None:
    X, trials, _ = reads
    model = fitted(reads, 2, inference=inference)
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.score_samples(X, trials=trials), model.score_samples(X, trials=trials)
    )


def test_draws_have_the_shares_of_their_component(reads) -> None:
    for inference in INFERENCES:
        model = fitted(reads, 2, inference=inference)
        drawn, labels = model.sample(20_000, trials=50, random_state=1)
        for k in (0, 1):
            shares, own = model.probabilities_[k], drawn[labels == k] / 50.0
            error = 6.0 * np.sqrt(shares * (1.0 - shares) / (50 * len(own)))
            assert (np.abs(own.mean(axis=0) - shares) < error + 1e-3).all()
    drawn, _ = model.sample(trials=[[1, 2, 3, 4], [0, 0, 0, 9]], random_state=0)
    assert drawn.shape == (2, 4)
    assert not drawn[1, :3].any()


def test_what_is_wrong_with_trials_is_said(reads) -> None:
    X, trials, _ = reads
    model = bm.Mixture(2, family=bm.Binomial())
    cases: list[tuple[dict, str]] = [
        ({}, r"Binomial\(\) needs numbers of trials: pass trials"),
        ({"trials": np.maximum(X - 1, 0)}, r"successes in .* trials in row \d+, column \d"),
        ({"trials": trials + 0.5}, r"whole numbers from 0 on, got 48.5|in row 0, column 0"),
        ({"trials": trials[:10]}, r"trials must have shape"),
        ({"trials": "many"}, "trials must hold numbers"),
    ]
    for given, message in cases:
        with pytest.raises(InvalidInputError, match=message):
            model.fit(X, **given)
    with pytest.raises(InvalidInputError, match="numbers of successes"):
        model.fit(X + 0.5, trials=trials + 1)
    for family in (bm.Gaussian(), bm.Binomial([40] * 4)):
        with pytest.raises(InvalidInputError, match=r"trials needs family=Binomial\(\)"):
            bm.Mixture(2, family=family).fit(X, trials=trials)
    with pytest.raises(InvalidInputError, match="trials cannot be combined with limits"):
        bm.Measured(X, trials=trials, limits=(0, 3))
    model.fit(X, trials=trials)
    with pytest.raises(InvalidInputError, match="needs numbers of trials"):
        model.predict(X)
    with pytest.raises(UnsupportedError, match="trials="):
        model.sample(3)
    with pytest.raises(InvalidInputError, match="totals must be left out"):
        model.sample(3, totals=4)
    with pytest.raises(BayesmixError):
        bm.gibbs(model, bm.Measured(X, trials=trials), n_draws=10)


def test_a_description_without_data_asks_for_them(reads) -> None:
    X, trials, _ = reads
    fit = fitted(reads)
    with pytest.raises(InvalidInputError, match="X must be given to describe this model"):
        fit.describe()
    table = fit.describe(bm.Measured(X, trials=trials)).table
    assert list(table.index) == ["class 1", "class 2", "class 3"]
