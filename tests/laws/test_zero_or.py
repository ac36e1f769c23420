"""Amounts with a mass at zero: densities, the optimum, missing values, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.zero_or import ZeroOrGammas, ZeroOrLogNormals, ZeroOrWeibulls

BASES = [bm.Gamma(), bm.Weibull(), bm.LogNormal()]
POINTS = {"gamma": ZeroOrGammas, "weibull": ZeroOrWeibulls, "log_normal": ZeroOrLogNormals}


@pytest.fixture(scope="module")
def rain() -> tuple[np.ndarray, np.ndarray]:
    """Amounts of two groups in two columns, with zeros."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 300)
    light, heavy = rng.gamma(2.0, 1.0, (300, 2)), rng.gamma(20.0, 0.5, (300, 2))
    X = np.where(labels[:, None] == 0, light, heavy)
    X[rng.random((300, 2)) < np.where(labels[:, None] == 0, 0.4, 0.1)] = 0.0
    return X, labels


def by_scipy(name, first, second):
    """The distribution of amounts with two parameters of a column."""
    return {
        "gamma": lambda: stats.gamma(first, scale=1.0 / second),
        "weibull": lambda: stats.weibull_min(first, scale=second),
        "log_normal": lambda: stats.lognorm(np.sqrt(second), scale=np.exp(first)),
    }[name]()


def log_densities(name, X, zeros, first, second) -> np.ndarray:
    with np.errstate(divide="ignore"):
        inside = by_scipy(name, first, second).logpdf(np.where(X > 0.0, X, 1.0)[:, None])
        logs = np.where(X[:, None] > 0.0, inside + np.log1p(-zeros), np.log(zeros))
    return logs.sum(axis=2)


@pytest.mark.parametrize("name", POINTS)
def test_densities_are_those_of_scipy_and_integrate_to_one_with_the_mass(name, rain) -> None:
    rng = np.random.default_rng(1)
    zeros, first, second = rng.uniform(0.1, 0.6, (3, 2)), *rng.uniform(0.5, 3.0, (2, 3, 2))
    point = POINTS[name](zeros, first, second)
    expected = log_densities(name, rain[0], zeros, first, second)
    np.testing.assert_allclose(point.expected_log_density(rain[0]), expected, rtol=1e-9)
    one = POINTS[name](*(own[:1, :1] for own in (zeros, first, second)))

    def density(x: float) -> float:
        return float(np.exp(one.expected_log_density(np.array([[x]])))[0, 0])

    inside = integrate.quad(density, 0.0, 1.0)[0] + integrate.quad(density, 1.0, np.inf)[0]
    assert inside + density(0.0) == pytest.approx(1.0, rel=1e-6)
    assert density(-1.0) == 0.0
    drawn = one.draw(np.array([100_000]), rng).ravel()
    error = one.deviations.item() / np.sqrt(100_000)
    assert abs(drawn.mean() - one.means.item()) < 5.0 * error
    assert abs((drawn == 0.0).mean() - zeros[0, 0]) < 5.0 * 0.5 / np.sqrt(100_000)


@pytest.mark.parametrize("base", BASES, ids=lambda family: family.name)
def test_the_fit_is_at_the_optimum_of_l_bfgs(base, rain) -> None:
    X, labels = rain
    model = bm.Mixture(2, family=bm.ZeroOr(base), random_state=0, max_iter=2000).fit(X)
    assert max((model.predict(X) == labels).mean(), (model.predict(X) != labels).mean()) > 0.97
    own = model.result_.unframed
    first, second = (getattr(own, name) for name in own.named[1:3])

    def negative(free) -> float:
        weights, moves = softmax(np.append(0.0, free[0])), free[1:].reshape(3, 2, 2)
        odds = own.zeros / (1.0 - own.zeros) * np.exp(moves[0])
        moved = first + moves[1] if base.name == "log_normal" else first * np.exp(moves[1])
        logs = log_densities(base.name, X, odds / (1 + odds), moved, second * np.exp(moves[2]))
        return -float(logsumexp(logs + np.log(weights), axis=1).sum())

    start = np.zeros(13)
    start[0] = np.log(model.weights_[1] / model.weights_[0])
    best = minimize(negative, start, options={"gtol": 1e-6})
    assert -negative(start) == pytest.approx(model.log_likelihood_)
    assert negative(start) - best.fun < 1e-6
    assert model.n_parameters_ == 1 + 2 * 2 * 3
    assert np.diff(model.objective_trace_).min() > -1e-8


@pytest.mark.parametrize("base", BASES, ids=lambda family: family.name)
def test_one_component_has_the_shares_of_zeros_and_the_fit_of_the_amounts(base, rain) -> None:
    x = rain[0][:, :1]
    model = bm.Mixture(1, family=bm.ZeroOr(base), max_iter=1000).fit(x)
    assert model.zeros_.item() == pytest.approx((x == 0.0).mean())
    share, n = (x > 0.0).mean(), len(x)
    amounts = bm.Mixture(1, family=base, max_iter=1000).fit(x[x[:, 0] > 0.0])
    of_zeros = n * (share * np.log(share) + (1.0 - share) * np.log(1.0 - share))
    expected = amounts.log_likelihood_ + of_zeros
    assert model.log_likelihood_ == pytest.approx(expected, rel=1e-9)
    error = model.parameter_table(x).loc["zero", "standard_error"].to_numpy()[0]
    assert error == pytest.approx(np.sqrt(share * (1.0 - share) / n), rel=1e-3)


def test_units_change_the_log_likelihood_by_the_positive_values_alone(rain) -> None:
    X = rain[0]
    family = bm.ZeroOr(bm.Gamma())
    plain, scaled = (
        bm.Mixture(2, family=family, random_state=0).fit(factor * X) for factor in (1.0, 1e6)
    )
    moved = (X > 0.0).sum() * np.log(1e6)
    assert scaled.log_likelihood_ + moved == pytest.approx(plain.log_likelihood_, rel=1e-7)


@pytest.mark.parametrize("base", [bm.Gamma(), bm.LogNormal()], ids=["gamma", "log_normal"])
def test_equal_amounts_are_held_at_the_resolution_of_the_values(base) -> None:
    wide = np.random.default_rng(3).gamma(20.0, 0.5, 200)
    X = np.concatenate([wide, np.full(60, 3.0), np.zeros(40)])[:, None]
    with pytest.warns(Warning, match="collapsed onto equal values"):
        model = bm.Mixture(2, family=bm.ZeroOr(base), random_state=0).fit(X)
    assert np.isfinite(model.log_likelihood_)


def test_missing_values_are_neither_zeros_nor_amounts(rain) -> None:
    X = rain[0].copy()
    X[::7, 0] = np.nan
    model = bm.Mixture(1, family=bm.ZeroOr(), missing="use").fit(X)
    seen = X[~np.isnan(X[:, 0]), 0]
    assert model.zeros_[0, 0] == pytest.approx((seen == 0.0).mean())
    alone = bm.Mixture(1, family=bm.ZeroOr()).fit(seen[:, None])
    assert model.rates_[0, 0] == pytest.approx(alone.rates_.item(), rel=1e-6)


def test_states_of_steps_and_rests_are_found(rain) -> None:
    rng = np.random.default_rng(4)
    states = np.repeat([0, 1, 0, 1, 0], 40)
    steps = rng.gamma(np.where(states, 9.0, 2.0), 1.0) * (rng.random(200) > 0.5 - 0.5 * states)
    chain = bm.HiddenMarkovModel(2, family=bm.ZeroOr(), random_state=0).fit(steps[:, None])
    found = chain.predict(steps[:, None])
    assert max((found == states).mean(), (found != states).mean()) > 0.9


def test_families_with_the_mass_are_compared_with_each_other_only(rain, tmp_path) -> None:
    X = rain[0]
    families = [bm.ZeroOr(base) for base in BASES]
    search = bm.select(X, [1, 2], family=families)
    assert search.n_components_ == 2
    assert search.best_params_["family"] == bm.ZeroOr(bm.Gamma())
    search.best_estimator_.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), search.best_estimator_.predict(X))
    with pytest.raises(UnsupportedError, match="amounts with a mass at 0, which cannot be"):
        bm.select(X, family=[bm.ZeroOr(), bm.Gaussian()])


def test_what_is_no_amount_is_refused_with_a_remedy(rain) -> None:
    X = rain[0].copy()
    with pytest.raises(InvalidInputError, match=r"Gamma\(\), LogNormal\(\) or Weibull\(\), got"):
        bm.ZeroOr(bm.Poisson())
    with pytest.raises(InvalidInputError, match="column 1 has only zeros: leave it out"):
        bm.Mixture(1, family=bm.ZeroOr()).fit(X * [1.0, 0.0])
    X[3, 1] = -2.0
    with pytest.raises(InvalidInputError, match="got -2 in row 3, column 1"):
        bm.Mixture(1, family=bm.ZeroOr()).fit(X)
    with pytest.raises(UnsupportedError, match="no conjugate prior"):
        bm.Mixture(1, family=bm.ZeroOr(), inference=bm.VariationalBayes()).fit(rain[0])
