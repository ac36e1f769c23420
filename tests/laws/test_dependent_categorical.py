"""Latent classes with dependent pairs of answers: direct maximisation, tables, missing answers."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from scipy.special import logsumexp

import bayesmix as bm
from bayesmix.families.dependent_categorical import (
    DependentCategoricals,
    DependentLevels,
    fitted_table,
)
from bayesmix.posterior.parameter_errors import scores_of
from laws.test_published_classes import TABLES

FAST = {"n_init": 3, "search": None, "random_state": 0, "n_jobs": 1}
SIZES = (2, 3, 2, 2, 2)
PAIRS = [("a", "b"), ("d", "e")]
GRID = np.indices(SIZES).reshape(len(SIZES), -1).T


def drawn(seed, n=800, share=0.35):
    """Rows of two classes; b follows a, and e follows d, in a share of both classes."""
    rng = np.random.default_rng(seed)
    second = rng.random(n) < 0.4
    p = np.where(second[:, None], [0.8, 0.7, 0.85, 0.7, 0.75], [0.2, 0.35, 0.15, 0.3, 0.25])
    rows = (rng.random((n, 5)) < p).astype(int)
    rows[:, 1] += rng.random(n) < 0.3
    follows = rng.random((n, 2)) < share
    rows[:, 1] = np.where(follows[:, 0], 2 * rows[:, 0], rows[:, 1])
    rows[:, 4] = np.where(follows[:, 1], rows[:, 3], rows[:, 4])
    return pd.DataFrame(rows, columns=list("abcde"))


def family(by_class=False):
    return bm.DependentCategorical(PAIRS, by_class=by_class)


def indicators(pairs):
    """Indicators of levels but the first (cells, A), and of pairs of such levels (cells, R)."""
    own = [[GRID[:, d] == level for level in range(1, SIZES[d])] for d in range(len(SIZES))]
    both = [a & b for i, j in pairs for a in own[i] for b in own[j]]
    mains = [each for of_column in own for each in of_column]
    return np.array(mains).T * 1.0, np.array(both).T * 1.0


def minus_likelihood(patterns, K, by_class, pairs=((0, 1), (3, 4))):
    """Return minus the log likelihood, and its gradient, of log-linear parameters.

    ``patterns`` are the cells (C,) of the whole table that a row may be in, and numbers of rows.
    """
    mains, both = indicators(pairs)
    A, R = mains.shape[1], both.shape[1]
    member = np.array([cells for cells, _ in patterns])  # (P, C)
    counts = np.array([number for _, number in patterns])

    def minus(theta):
        logits = np.append(0.0, theta[: K - 1])
        shares = np.exp(logits - logsumexp(logits))
        mu = theta[K - 1 : K - 1 + K * A].reshape(K, A)
        ratios = theta[K - 1 + K * A :].reshape(-1, R)
        logs = mu @ mains.T + np.broadcast_to(ratios, (K, R)) @ both.T
        p = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))  # (K, C)
        seen = p @ member.T  # (K, P)
        total = shares @ seen
        weight = counts / total
        gap = (weight @ member) * p - p * (seen @ weight)[:, None]
        gap *= shares[:, None]
        of_shares = shares * (seen @ weight - counts.sum())
        of_ratios = gap @ both if by_class else (gap @ both).sum(axis=0)
        score = np.concatenate([of_shares[1:], (gap @ mains).ravel(), of_ratios.ravel()])
        return -(counts @ np.log(total)), -score

    return minus


def direct(patterns, K, by_class, start):
    """Maximise the likelihood over the whole table of answers."""
    minus = minus_likelihood(patterns, K, by_class)
    found = optimize.minimize(minus, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    return -found.fun


def patterns_of(rows):
    """Possible cells (C,) of each distinct row, and its number of rows."""
    known, numbers = np.unique(np.where(rows.isna(), -1, rows), axis=0, return_counts=True)
    members = (((row < 0) | (row == GRID)).all(axis=1) * 1.0 for row in known)
    return list(zip(members, numbers, strict=True))


def start_of(m, by_class):
    """The log-linear parameters of a fit, and others nearby."""
    p = np.exp(m.result_.unframed.expected_log_density(GRID.astype(float))).T
    mains, both = indicators([(0, 1), (3, 4)])
    design = np.hstack([np.ones((len(GRID), 1)), mains, both])
    each = np.array([np.linalg.lstsq(design, np.log(own), rcond=None)[0] for own in p])
    A = mains.shape[1]
    ratios = each[:, 1 + A :] if by_class else each[:1, 1 + A :]
    share = np.log(m.weights_[1:] / m.weights_[0])
    return np.concatenate([share, each[:, 1 : 1 + A].ravel(), ratios.ravel()])


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_a_fit_is_at_the_maximum_of_direct_maximisation(by_class, missing):
    rows = drawn(3101).astype(float)
    if missing:
        rows = rows.mask(np.random.default_rng(3102).random(rows.shape) < 0.1)
    options = FAST | ({"missing": "use"} if missing else {})
    m = bm.Mixture(2, family=family(by_class), **options).fit(rows)
    assert m.n_parameters_ == 1 + 2 * 6 + 3 * (2 if by_class else 1)
    start = start_of(m, by_class)
    patterns = patterns_of(rows)
    assert direct(patterns, 2, by_class, start) == pytest.approx(m.log_likelihood_, abs=1e-6)
    near = start + np.random.default_rng(5).normal(0.0, 0.3, len(start))
    assert direct(patterns, 2, by_class, near) <= m.log_likelihood_ + 1e-6


def test_log_odds_ratios_are_those_of_the_tables_and_shared():
    m = bm.Mixture(2, family=family(), **FAST).fit(drawn(3103))
    parts = {name: m.result_.unframed.marginal(np.array(at)) for name, at in (("ab", [0, 1]),)}
    table = parts["ab"].cell_probabilities.reshape(2, 2, 3)
    odds = np.log(table[:, 1, 1:] * table[:, :1, 0] / (table[:, 1, :1] * table[:, 0, 1:]))
    np.testing.assert_allclose(m.log_odds_ratios_[:, :2], odds, rtol=1e-8)
    np.testing.assert_allclose(odds[0], odds[1], rtol=1e-6)


def test_two_binary_answers_by_class_are_the_saturated_table():
    counts = np.random.default_rng(3104).integers(1, 40, (3, 2, 2)).astype(float)
    terms = DependentLevels.of((2, 2), [(0, 1)], by_class=True).terms(0)
    np.testing.assert_allclose(fitted_table(counts, terms), counts, rtol=1e-12)


def test_proportional_fitting_keeps_the_margins_and_has_no_interaction_of_three():
    counts = np.random.default_rng(3105).integers(1, 40, (3, 2, 4)).astype(float)
    table = fitted_table(counts, DependentLevels.of((2, 4), [(0, 1)], by_class=False).terms(0))
    for axis in (0, 1, 2):
        np.testing.assert_allclose(table.sum(axis=axis), counts.sum(axis=axis), rtol=1e-10)
    logs = np.log(table)
    contrasts = np.diff(np.diff(logs, axis=1), axis=2)
    np.testing.assert_allclose(
        contrasts, np.broadcast_to(contrasts[:1], contrasts.shape), atol=1e-9
    )


def point(seed=0):
    """A chain of three dependent columns and one other, with random tables."""
    reading = DependentLevels.of((2, 3, 2, 2), [(0, 1), (1, 3)], by_class=False)
    cells = np.random.default_rng(seed).gamma(1.0, size=(2, int(reading.cells.ends[-1])))
    return DependentCategoricals(cells / reading.cells.spread(reading.cells.sums(cells)), reading)


def test_marginals_conditionals_moments_and_draws_agree_with_the_table():
    own = point(3106)
    grid = np.indices((2, 3, 2, 2)).reshape(4, -1).T.astype(float)
    p = np.exp(own.expected_log_density(grid))  # (cells, K)
    np.testing.assert_allclose(p.sum(axis=0), 1.0)
    np.testing.assert_allclose(own.means, p.T @ grid)
    for k in range(2):
        expected = np.cov(grid.T, aweights=p[:, k], bias=True)
        np.testing.assert_allclose(own.covariances[k], expected, atol=1e-12)
    for size in (1, 2, 3):
        for columns in combinations((3, 1, 0, 2), size):
            few, at = np.unique(grid[:, columns], axis=0, return_inverse=True)
            expected = np.array([np.bincount(at.reshape(-1), of_k) for of_k in p.T]).T
            found = np.exp(own.marginal(np.array(columns)).expected_log_density(few))
            np.testing.assert_allclose(found, expected)
            gaps = np.full((len(few), 4), np.nan)
            gaps[:, columns] = few
            np.testing.assert_allclose(np.exp(own.expected_log_density(gaps)), expected)
    given, wanted, answers = np.array([3, 0]), np.array([2, 1]), np.array([1.0, 0.0])
    rest = p * ((grid[:, 3] == 1.0) & (grid[:, 0] == 0.0))[:, None]
    means = (rest.T @ grid[:, wanted]) / rest.sum(axis=0)[:, None]
    np.testing.assert_allclose(own.conditional(wanted, given, answers).means, means)
    found = own.conditional_means(wanted, given, np.array([answers, answers]))
    np.testing.assert_allclose(found[1], means)
    drawn_rows = own.draw(np.array([30_000, 0]), np.random.default_rng(1))
    codes = np.ravel_multi_index(drawn_rows.astype(int).T, (2, 3, 2, 2))
    shares = np.bincount(codes, minlength=len(p)) / 30_000
    assert (np.abs(shares - p[:, 0]) < 5.0 * np.sqrt(p[:, 0] / 30_000) + 1e-9).all()
    gaps = np.tile([[np.nan, np.nan, 1.0, 1.0]], (30_000, 1))
    filled = own.filled(gaps, np.ones(30_000, dtype=int), np.random.default_rng(2))
    rest = p[:, 1] * (grid[:, 2] == 1.0) * (grid[:, 3] == 1.0)
    expected = rest @ grid[:, :2] / rest.sum()
    np.testing.assert_allclose(filled[:, :2].mean(axis=0), expected, atol=0.03)


def test_expected_counts_of_partly_seen_blocks_maximise_the_likelihood():
    rows = drawn(3107).astype(float)
    rows = rows.mask(np.random.default_rng(3108).random(rows.shape) < 0.2)
    m = bm.Mixture(2, family=family(), missing="use", **FAST).fit(rows)
    scores = scores_of(m, rows)
    totals = np.abs(scores.scores.sum(axis=0))
    assert (totals < 1e-2 * np.linalg.norm(scores.scores, axis=0)).all()


def test_the_score_test_is_that_of_outer_products_and_predicts_the_gain():
    rows = drawn(3111, n=2500, share=0.2)
    m = bm.Mixture(2, family=bm.Categorical(), **FAST).fit(rows)
    classes = bm.latent_classes(m, rows)
    tests = classes.dependent_pairs
    assert set(tests.index) >= set(PAIRS)
    for first, second in PAIRS:
        pair = "abcde".index(first), "abcde".index(second)
        p = [np.array(of_column) for of_column in m.probabilities_]
        mains = [np.log(own[:, 1:] / own[:, :1]) for own in p]
        n_ratios = (SIZES[pair[0]] - 1) * (SIZES[pair[1]] - 1)
        share = [np.log(m.weights_[1] / m.weights_[0])]
        null = np.concatenate([share, np.hstack(mains).ravel(), np.zeros(n_ratios)])
        patterns = patterns_of(rows)
        scores = np.array(
            [-minus_likelihood([(cells, 1)], 2, False, (pair,))(null)[1] for cells, _ in patterns]
        )
        counts = np.array([number for _, number in patterns])
        total = counts @ scores
        expected = total @ np.linalg.solve((scores.T * counts) @ scores, total)
        found = tests.loc[(first, second)]
        assert found["statistic"] == pytest.approx(expected, rel=1e-4)
        assert found["df"] == n_ratios
        wider = bm.Mixture(2, family=bm.DependentCategorical([(first, second)]), **FAST).fit(rows)
        assert found["gain"] == pytest.approx(wider.log_likelihood_ - m.log_likelihood_, rel=0.3)
    assert "DependentCategorical([(" in classes.summary()
    both = bm.Mixture(2, family=family(), **FAST).fit(rows)
    after = bm.latent_classes(both, rows)
    assert after.dependent_pairs.empty
    assert after.bivariate_residuals.stack().max() < 10.0
    assert after.degrees_of_freedom == len(GRID) - 1 - both.n_parameters_


def test_residuals_of_a_dependent_pair_compare_the_fitted_table():
    rows = drawn(3112, n=700)
    m = bm.Mixture(2, family=family(by_class=True), **FAST).fit(rows)
    found = bm.latent_classes(m, rows).bivariate_residuals
    p = np.exp(m.result_.unframed.expected_log_density(GRID.astype(float))) @ m.weights_
    observed = np.zeros(SIZES)
    np.add.at(observed, tuple(rows.to_numpy().T), 1.0)
    expected = 700 * p.reshape(SIZES)
    for first, second in ((0, 1), (1, 3)):
        rest = tuple(axis for axis in range(5) if axis not in (first, second))
        here, there = observed.sum(axis=rest), expected.sum(axis=rest)
        statistic = ((here - there) ** 2 / there).sum() / (
            (here.shape[0] - 1) * (here.shape[1] - 1)
        )
        assert found.iloc[first, second] == pytest.approx(statistic, rel=1e-9, abs=1e-9)


def test_carcinoma_has_a_dependent_pair():
    """Two classes and the pair D, F: 4.8 nats better than without (poLCA: -317.2568)."""
    rows = pd.DataFrame(TABLES["carcinoma"], columns=list("ABCDEFG"))
    m = bm.Mixture(2, family=bm.DependentCategorical([("D", "F")]), **FAST).fit(rows)
    free = bm.Mixture(2, family=bm.Categorical(), **FAST).fit(rows)
    assert free.log_likelihood_ == pytest.approx(-317.2568, abs=1e-3)
    assert m.n_parameters_ == free.n_parameters_ + 1
    assert m.log_likelihood_ > free.log_likelihood_ + 4.0


def test_a_saved_model_predicts_the_same(tmp_path):
    rows = drawn(3109, n=300)
    m = bm.Mixture(2, family=family(), **FAST).fit(rows)
    m.save(tmp_path / "m.bayesmix")
    loaded = bm.load(tmp_path / "m.bayesmix")
    np.testing.assert_array_equal(loaded.predict_proba(rows), m.predict_proba(rows))
    np.testing.assert_array_equal(loaded.log_odds_ratios_, m.log_odds_ratios_)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "must be pairs"),
        ("ab", "must be pairs"),
        ([("a", "a")], "different columns"),
        ([("a", "b"), ("b", "a")], "each pair once"),
        ([("a", "z")], "got 'z'"),
        ([("a", 0)], "different columns"),
        ([(0, 7)], "got 7"),
    ],
)
def test_wrong_pairs_are_refused(pairs, said):
    with pytest.raises(ValueError, match=said):
        bm.Mixture(2, family=bm.DependentCategorical(pairs)).fit(drawn(3110, n=50))


def test_restrictions_of_answers_are_refused():
    with pytest.raises(ValueError, match="no parameter 'probabilities'"):
        bm.Mixture(2, family=family(), equal={"probabilities": True}).fit(drawn(3110, n=50))
