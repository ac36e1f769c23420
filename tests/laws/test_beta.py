"""Beta mixtures: densities, shapes, the optimum, masses at 0 and 1, and the rounding floor."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import minimize
from scipy.special import logsumexp, psi, softmax

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.beta import Betas, BetasWithMasses, shapes_of


@pytest.fixture(scope="module")
def cover() -> tuple[np.ndarray, np.ndarray]:
    """Shares of two groups in two columns; zeros in one group, ones in the other."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    first, second = rng.beta(2.0, 12.0, (400, 2)), rng.beta(20.0, 4.0, (400, 2))
    X = np.where(labels[:, None] == 0, first, second)
    X[(labels == 0) & (rng.random(400) < 0.3), 0] = 0.0
    X[(labels == 1) & (rng.random(400) < 0.2), 1] = 1.0
    return X, labels


def test_shapes_are_recovered_from_mean_logarithms() -> None:
    rng = np.random.default_rng(1)
    a, b = 10.0 ** rng.uniform(-2.0, 5.0, (2, 1000))
    found = shapes_of(psi(a) - psi(a + b), psi(b) - psi(a + b))
    np.testing.assert_allclose(found[0], a, rtol=1e-6)
    np.testing.assert_allclose(found[1], b, rtol=1e-6)


def test_densities_are_those_of_scipy_and_integrate_to_one_with_the_masses() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0.5, 9.0, (2, 3, 2))
    X = rng.random((50, 2))
    expected = stats.beta(a, b).logpdf(X[:, None]).sum(axis=2)
    np.testing.assert_allclose(Betas(a, b).expected_log_density(X), expected, rtol=1e-9)
    masses = np.array([[0.2]]), np.array([[0.1]])
    point = BetasWithMasses(*masses, a[:1, :1], b[:1, :1])
    at_ends = np.exp(point.expected_log_density(np.array([[0.0], [1.0]]))).ravel()
    np.testing.assert_allclose(at_ends, [0.2, 0.1], rtol=1e-12)

    def density(x: float) -> float:
        return float(np.exp(point.expected_log_density(np.array([[x]])))[0, 0])

    assert integrate.quad(density, 0.0, 1.0)[0] + at_ends.sum() == pytest.approx(1.0, rel=1e-6)
    drawn = point.draw(np.array([200_000]), rng).ravel()
    error = point.deviations.item() / np.sqrt(200_000)
    assert abs(drawn.mean() - point.means.item()) < 4.0 * error
    assert drawn.std() == pytest.approx(point.deviations.item(), rel=0.01)


def test_the_fit_is_at_the_optimum_of_l_bfgs(cover) -> None:
    X, labels = cover
    model = bm.Mixture(2, family=bm.Beta(), random_state=0, max_iter=1000).fit(X)
    components = model.result_.unframed
    assert (model.predict(X) == labels).mean() > 0.98 or (model.predict(X) != labels).mean() > 0.98
    shapes = np.stack([components.left_shapes, components.right_shapes])
    masses = np.stack([components.zeros, components.ones])
    inside = 1.0 - masses.sum(axis=0)
    some = masses > 0.0

    def negative(free) -> float:
        weights = softmax(np.append(0.0, free[0]))
        a, b = shapes * np.exp(free[1:9].reshape(2, 2, 2))
        odds = np.zeros((2, 2, 2))
        odds[some] = (masses / inside)[some] * np.exp(free[9:])
        rest = 1.0 / (1.0 + odds.sum(axis=0))
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = stats.beta(a, b).logpdf(X[:, None]) + np.log(rest)
            logs = np.where(X[:, None] == 0.0, np.log(odds[0] * rest), logs)
            logs = np.where(X[:, None] == 1.0, np.log(odds[1] * rest), logs)
        return -float(logsumexp(logs.sum(axis=2) + np.log(weights), axis=1).sum())

    start = np.zeros(9 + some.sum())
    start[0] = np.log(model.weights_[1] / model.weights_[0])
    best = minimize(negative, start, options={"gtol": 1e-6})
    assert -negative(start) == pytest.approx(model.log_likelihood_)
    assert negative(start) - best.fun < 1e-6
    assert model.n_parameters_ == 1 + 2 * 2 * 4
    assert np.diff(model.objective_trace_).min() > -1e-8


def test_masses_are_shares_of_zeros_and_ones_in_one_component(cover) -> None:
    X = cover[0]
    model = bm.Mixture(1, family=bm.Beta(), random_state=0).fit(X)
    np.testing.assert_allclose(model.zeros_[0], (X == 0.0).mean(axis=0))
    np.testing.assert_allclose(model.ones_[0], (X == 1.0).mean(axis=0))
    errors = model.parameter_table(X)["standard_error"].loc["zero"].to_numpy()[0]
    share = (X[:, 0] == 0.0).mean()
    assert errors == pytest.approx(np.sqrt(share * (1.0 - share) / len(X)), rel=1e-3)


def test_shares_without_zeros_and_ones_have_two_parameters_each(cover) -> None:
    X = np.clip(cover[0], 0.01, 0.99)
    model = bm.Mixture(2, family=bm.Beta(), random_state=0).fit(X)
    assert model.n_parameters_ == 1 + 2 * 2 * 2
    search = bm.select(X, family=[bm.Beta(), bm.Gaussian()], n_components=[1, 2])
    assert search.best_estimator_.result_.family.name == "beta"


def test_equal_values_are_held_at_the_rounding_floor() -> None:
    X = np.round(np.random.default_rng(2).beta(4.0, 9.0, (200, 1)), 1).clip(0.1, 0.9)
    with pytest.warns(Warning, match="collapsed onto equal values"):
        model = bm.Mixture(3, family=bm.Beta(), random_state=0).fit(X)
    floor = 0.1**2 / 12.0
    assert (model.result_.unframed.deviations**2 > 0.9 * floor).all()


def test_a_saved_model_predicts_the_same(cover, tmp_path) -> None:
    X = cover[0]
    model = bm.Mixture(2, family="beta", random_state=0).fit(X)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(bm.load(tmp_path / "model").predict(X), model.predict(X))


def test_percentages_and_other_measures_say_what_to_do(cover) -> None:
    X = cover[0]
    with pytest.raises(InvalidInputError, match="divide percentages by 100"):
        bm.Mixture(2, family=bm.Beta()).fit(100.0 * X)
    with pytest.raises(InvalidInputError, match=r"use Beta\(masses=True\)"):
        bm.Mixture(2, family=bm.Beta(masses=False)).fit(X)
    with pytest.raises(UnsupportedError, match="shares with masses at 0 and 1, which cannot be"):
        bm.select(X, family=[bm.Beta(), bm.Gaussian()])
