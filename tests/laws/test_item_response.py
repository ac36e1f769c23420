"""Rasch and two-parameter logistic mixtures: printed fits, direct maximisation, quadrature."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats
from scipy.special import expit, log_expit, logsumexp

import bayesmix as bm
from bayesmix.errors import BayesmixWarning
from bayesmix.families.item_response import RaschItems, TwoParameterItems
from bayesmix.posterior.parameter_errors import scores_of

LSAT = pd.read_csv(Path(__file__).parent.parent / "data" / "lsat.csv")
ITEMS = [f"item{number}" for number in range(1, 6)]
FAST = {"n_init": 1, "search": None, "random_state": 0, "n_jobs": 1}


def people(section):
    return np.repeat(LSAT[ITEMS].to_numpy(), LSAT[f"section{section}"], axis=0)


def table_of(model, rows, name):
    return model.parameter_table(rows).xs(name, level="parameter")


def test_the_rasch_model_of_section_6_is_that_of_ltm():
    """Rizopoulos 2006, p. 10: his difficulties are ours over the deviation of the trait."""
    rows = people(6)
    m = bm.Mixture(1, family=bm.Rasch()).fit(rows)
    assert m.log_likelihood_ == pytest.approx(-2466.938, abs=5e-4)
    assert m.aic(rows) == pytest.approx(4945.875, abs=2e-3)
    assert m.bic(rows) == pytest.approx(4975.322, abs=2e-3)
    deviation = table_of(m, rows, "trait deviation")
    assert deviation["estimate"].item() == pytest.approx(0.7551, abs=2e-4)
    assert deviation["standard_error"].item() == pytest.approx(0.0694, abs=1e-4)
    difficulties = m.difficulties_[0] / m.trait_deviations_[0]
    np.testing.assert_allclose(
        difficulties, [-3.6153, -1.3224, -0.3176, -1.7301, -2.7802], rtol=1e-3
    )


def test_two_parameters_of_section_6_are_those_of_ltm():
    """Printed by ltm's summary, which stopped at gradients of 0.024."""
    rows = people(6)
    m = bm.Mixture(1, family=bm.TwoParameterLogistic()).fit(rows)
    assert m.log_likelihood_ == pytest.approx(-2466.653, abs=5e-4)
    printed = {
        "difficulty": (
            [-3.3597, -1.3696, -0.2799, -1.8659, -3.1236],
            [0.8669, 0.3073, 0.0997, 0.4341, 0.8700],
        ),
        "discrimination": (
            [0.8254, 0.7229, 0.8905, 0.6886, 0.6575],
            [0.2581, 0.1867, 0.2326, 0.1852, 0.2100],
        ),
    }
    for name, (estimates, errors) in printed.items():
        table = table_of(m, rows, name)
        np.testing.assert_allclose(table["estimate"], estimates, atol=3e-3)
        np.testing.assert_allclose(table["standard_error"], errors, rtol=3e-3)


def test_two_parameters_of_section_7_are_those_of_mirt():
    rows = people(7)
    m = bm.Mixture(1, family="two_parameter_logistic").fit(rows)
    assert m.log_likelihood_ == pytest.approx(-2658.805, abs=5e-4)
    assert m.bic(rows) == pytest.approx(5386.688, abs=2e-3)
    np.testing.assert_allclose(
        m.discriminations_[0], [0.988, 1.081, 1.706, 0.765, 0.736], atol=3e-3
    )
    np.testing.assert_allclose(m.intercepts_[0], [1.856, 0.808, 1.804, 0.486, 1.855], atol=3e-3)


def two_classes(seed, n=600, D=6):
    """Rows of two classes with opposite difficulties."""
    rng = np.random.default_rng(seed)
    sign = np.where(rng.random((n, 1)) < 0.4, -1.0, 1.0)
    log_odds = 1.2 * rng.normal(size=(n, 1)) - sign * np.linspace(-2.5, 2.5, D)
    return (rng.logistic(size=log_odds.shape) < log_odds).astype(float)


def direct(rows, K, start, own_slopes):
    """Maximise the likelihood by BFGS, at 61 Gauss-Hermite nodes of our own."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    logs, D = np.log(weights / weights.sum()), rows.shape[1]

    def minus(theta):
        shares = np.append(0.0, theta[: K - 1])
        shares -= logsumexp(shares)
        intercepts = theta[K - 1 : K - 1 + K * D].reshape(K, D)
        rest = theta[K - 1 + K * D :]
        slopes = rest.reshape(K, D) if own_slopes else np.repeat(rest[:, None], D, axis=1)
        odds = intercepts[:, :, None] + slopes[:, :, None] * nodes
        yes, no = log_expit(odds), log_expit(-odds)
        joint = rows @ yes + (1.0 - rows) @ no + shares[:, None, None] + logs  # (K, n, Q)
        total = logsumexp(joint, axis=(0, 2))
        r = np.exp(joint - total[:, None])
        gap = rows.T @ r - r.sum(axis=1)[:, None] * np.exp(yes)
        of_slopes = gap @ nodes
        of_shares = (r.sum(axis=(1, 2)) - len(rows) * np.exp(shares))[1:]
        slopes_score = of_slopes if own_slopes else of_slopes.sum(axis=1)
        score = np.concatenate([of_shares, gap.sum(axis=2).ravel(), slopes_score.ravel()])
        return -total.sum(), -score

    found = optimize.minimize(minus, start, jac=True, method="BFGS", options={"gtol": 1e-6})
    return -found.fun


@pytest.mark.parametrize(
    "own_slopes", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["rasch", "two"]
)
def test_a_mixture_is_at_the_maximum_of_direct_maximisation(own_slopes):
    rows = two_classes(2101)
    family = bm.TwoParameterLogistic() if own_slopes else bm.Rasch()
    m = bm.Mixture(2, family=family, **FAST).fit(rows)
    intercepts, slopes = m.result_.unframed.log_odds
    slopes = slopes if own_slopes else slopes[:, 0]
    share = np.log(m.weights_[1] / m.weights_[0])
    start = np.concatenate([[share], intercepts.ravel(), slopes.ravel()])
    assert direct(rows, 2, start, own_slopes) == pytest.approx(m.log_likelihood_, abs=1e-6)
    far = start + np.random.default_rng(1).normal(0.0, 0.3, len(start))
    assert direct(rows, 2, far, own_slopes) <= m.log_likelihood_ + 1e-6


def test_densities_are_integrals_over_the_trait_and_sum_to_one():
    items = TwoParameterItems(
        np.array([[0.5, -1.0, 2.0], [0.0, 3.0, -1.5]]), np.array([[1.0, 2.5, 0.5], [4.0, 0.0, 1.5]])
    )
    rows = np.indices((2, 2, 2)).reshape(3, -1).T.astype(float)
    densities = np.exp(items.expected_log_density(rows))
    np.testing.assert_allclose(densities.sum(axis=0), 1.0, rtol=1e-12)
    for k, row in ((0, rows[3]), (1, rows[6])):

        def integrand(trait, k=k, row=row):
            p = expit(items.intercepts[k] + items.discriminations[k] * trait)
            return np.prod(np.where(row == 1.0, p, 1.0 - p)) * stats.norm.pdf(trait)

        exact = integrate.quad(integrand, -12, 12, epsabs=1e-12, limit=200)[0]
        assert densities[np.flatnonzero((rows == row).all(axis=1))[0], k] == pytest.approx(
            exact, rel=1e-7
        )


def test_moments_conditionals_and_draws_agree_with_the_density():
    items = RaschItems(np.array([[-1.0, 0.0, 1.5]]), np.array([1.3]))
    rows = np.indices((2, 2, 2)).reshape(3, -1).T.astype(float)
    p = np.exp(items.expected_log_density(rows))[:, 0]
    np.testing.assert_allclose(items.means[0], p @ rows, rtol=1e-10)
    np.testing.assert_allclose(
        items.covariances[0], np.cov(rows.T, aweights=p, bias=True), rtol=1e-9
    )
    given, wanted = np.array([0, 2]), np.array([1])
    matching = (rows[:, 0] == 1.0) & (rows[:, 2] == 0.0)
    share = p[matching & (rows[:, 1] == 1.0)].sum() / p[matching].sum()
    answers = np.array([1.0, 0.0])
    assert items.conditional(wanted, given, answers).means.item() == pytest.approx(share)
    assert items.conditional_means(wanted, given, answers[None]).item() == pytest.approx(share)
    drawn = items.draw(np.array([40_000]), np.random.default_rng(7))
    codes = np.bincount((drawn @ [4, 2, 1]).astype(int), minlength=8) / len(drawn)
    assert (np.abs(codes - p) < 5.0 * np.sqrt(p / len(drawn))).all()
    part = np.array([[1.0, np.nan, 0.0]] * 20_000)
    filled = items.filled(part, np.zeros(20_000, dtype=int), np.random.default_rng(8))
    assert filled[:, 1].mean() == pytest.approx(share, abs=5.0 * 0.5 / np.sqrt(20_000))


def test_missing_answers_are_left_out():
    rows = two_classes(2102)
    rows[np.random.default_rng(3).random(rows.shape) < 0.15] = np.nan
    m = bm.Mixture(2, family=bm.Rasch(), missing="use", **FAST).fit(rows)
    scores = scores_of(m, rows)
    totals = np.abs(scores.scores.sum(axis=0))
    assert (totals < 1e-2 * np.linalg.norm(scores.scores, axis=0)).all()
    empty = np.full((1, 6), np.nan)
    with pytest.warns(BayesmixWarning, match="no value in row 0"):
        np.testing.assert_allclose(m.predict_proba(empty)[0], m.weights_, rtol=1e-9)


def test_an_item_with_one_answer_in_a_class_has_no_error_and_nothing_is_nan():
    rows = two_classes(2103, n=300)
    rows[:150, 0] = 1.0
    labels = np.repeat([0, 1], 150)
    m = bm.Mixture(2, family=bm.Rasch(), **FAST).fit(rows, labels=labels)
    assert np.isfinite(m.difficulties_).all()
    assert np.isfinite(m.score_samples(rows)).all()
    first = np.argmin(m.difficulties_[:, 0])
    assert m.difficulties_[first, 0] < -10.0


@pytest.mark.parametrize("family", [bm.Rasch(), bm.TwoParameterLogistic()])
def test_wrong_data_are_refused_by_name(family):
    rows = two_classes(2104, n=60)
    with pytest.raises(ValueError, match="zeros and ones"):
        bm.Mixture(1, family=family).fit(2.0 * rows)
    with pytest.raises(ValueError, match="no constant columns"):
        bm.Mixture(1, family=family).fit(np.column_stack([rows, np.ones(60)]))
    with pytest.raises(ValueError, match="at least"):
        bm.Mixture(1, family=family).fit(rows[:, :1])
    with pytest.raises(ValueError, match="has no prior"):
        bm.Mixture(1, family=family, inference=bm.VariationalBayes()).fit(rows)
    with pytest.raises(ValueError, match="no parameter 'difficulties'"):
        bm.Mixture(1, family=family, hold={"difficulties": [[0.0] * 6]}).fit(rows)
