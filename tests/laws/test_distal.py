"""Outcomes of classes: corrections for errors of assignment against closed forms and the truth."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError
from laws.cases import generator

MEANS, SHARES = np.array([-1.0, 1.0, 0.0]), np.array([0.2, 0.5, 0.8])


def responses(n, separation, seed):
    """Three classes, six binary items, a normal and a binary outcome (Bakk & Kuha 2018)."""
    rng = generator(seed)
    classes = rng.integers(0, 3, n)
    items = np.full((3, 6), separation)
    items[1, 3:] = items[2] = 1.0 - separation
    X = (rng.random((n, 6)) < items[classes]).astype(float)
    return X, rng.normal(MEANS[classes], 1.0), rng.random(n) < SHARES[classes], classes


@pytest.fixture(scope="module")
def measured():
    X, y, yes, classes = responses(3000, 0.85, 1)
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0).fit(X)
    order = [int(np.bincount(model.predict(X)[classes == k]).argmax()) for k in range(3)]
    return model, X, y, yes, order


def errors_of(model, X):
    shares, modal = model.predict_proba(X), model.predict(X)
    return (shares.T @ np.eye(3)[modal]) / shares.sum(axis=0)[:, None], modal


def test_bch_solves_the_equations_of_misclassification(measured):
    model, X, y, _, _ = measured
    errors, modal = errors_of(model, X)
    sums = np.array([[(modal == s).sum(), y[modal == s].sum()] for s in range(3)])
    counts, totals = np.linalg.solve(errors.T, sums).T
    table = bm.distal(model, X, y, "BCH")
    np.testing.assert_allclose(table["mean"], totals / counts, rtol=1e-10)


def test_ml_of_a_category_is_the_saturated_solution(measured):
    # Classes times levels are as many cells as parameters, so ML and BCH agree inside (0, 1).
    model, X, _, yes, _ = measured
    ml, bch = bm.distal(model, X, yes), bm.distal(model, X, yes, "BCH")
    np.testing.assert_allclose(ml["probability"], bch["probability"], atol=1e-4)
    np.testing.assert_allclose(ml["standard_error"], bch["standard_error"], rtol=0.1)


@pytest.mark.parametrize("correction", ["ML", "BCH"])
def test_corrections_recover_the_truth_that_assignment_alone_misses(measured, correction):
    model, X, y, yes, order = measured
    table = bm.distal(model, X, y, correction).loc[order]
    assert (np.abs(table["mean"] - MEANS) < 4.0 * table["standard_error"]).all()
    shares = bm.distal(model, X, yes, correction).xs(True, level="level").loc[order]
    assert (np.abs(shares["probability"] - SHARES) < 4.0 * shares["standard_error"]).all()
    naive = bm.distal(model, X, y, None).loc[order]
    assert np.ptp(naive["mean"]) < 0.9 * np.ptp(table["mean"])


@pytest.mark.parametrize("correction", ["ML", "BCH", None])
def test_without_errors_of_assignment_means_are_those_of_the_classes(correction):
    rng = generator(2)
    classes = np.repeat([0, 1], [100, 60])
    X = rng.normal(size=(160, 1)) + 100.0 * classes[:, None]
    half = rng.normal(size=80)
    y = np.concatenate([half[:50], -half[:50], half[50:], -half[50:]]) + 3.0 * classes
    gm = bm.GaussianMixture(2, random_state=0).fit(X)
    table = bm.distal(gm, X, y, correction)
    np.testing.assert_allclose(table["mean"], [0.0, 3.0], atol=1e-6)
    spread = [y[classes == k].std() / np.sqrt((classes == k).sum()) for k in range(2)]
    np.testing.assert_allclose(table["standard_error"], spread, rtol=1e-4)


@pytest.mark.parametrize("correction", ["ML", "BCH", None])
def test_weights_repeat_observations_and_missing_outcomes_are_left_out(measured, correction):
    _, X, y, _, _ = measured
    X, y = X[:400], y[:400]
    weights = np.tile([1.0, 2.0], 200)
    whole = np.repeat(np.arange(400), weights.astype(int))
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0).fit(X[whole])
    one = bm.distal(model, X, y, correction, sample_weight=weights)
    two = bm.distal(model, X[whole], y[whole], correction)
    pd.testing.assert_frame_equal(one, two, rtol=1e-6)
    gaps = np.where(np.arange(len(whole)) < 20, np.nan, y[whole])
    assert not one.equals(bm.distal(model, X[whole], gaps, correction))


def test_bad_outcomes_are_named(measured):
    model, X, y, _, _ = measured
    with pytest.raises(InvalidInputError, match="one value for each of the 3000 samples"):
        bm.distal(model, X, y[:-1])
    with pytest.raises(InvalidInputError, match="outcome must be finite"):
        bm.distal(model, X, np.where(y > 2.0, np.inf, y))
    with pytest.raises(InvalidInputError, match="correction must be"):
        bm.distal(model, X, y, "bch")
    with pytest.raises(InvalidInputError, match="assigned to class"):
        bm.distal(model, X, np.where(model.predict(X) == 0, np.nan, y))
