"""Columns with masses: which values are masses, units, exact evidence, predictions and draws."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad, trapezoid
from scipy.stats import gamma, norm

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.searching.column_masses import with_masses
from bayesmix.numerics.masses import masses_of


def amounts(seed, n=160, share=0.3):
    """Amounts of one kind, and zeros."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < share, 0.0, rng.lognormal(2.0, 0.5, n))[:, None]


def normal_beside_limit(seed, n=240):
    """Two groups of normal values, of which a tenth has a limit, beside a second column."""
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 2, n)
    X = np.column_stack([rng.normal(4.0 * z), rng.normal(3.0 * z)])
    X[rng.random(n) < 0.12, 0] = 10.0
    return X, z


def fit(X, n_components, covariance_type="full", **options):
    """A variational fit of a candidate of ``select`` to divided columns."""
    inference = options.pop("inference", bm.VariationalBayes(weights=DirichletPrior(1.0)))
    source = with_masses(X, None, "auto", "error")[0]
    assert source.coding.masses
    model = bm.Mixture(
        n_components,
        family="auto",
        inference=inference,
        covariance_type=covariance_type,
        missing="use",
        random_state=0,
        search=None,
        tol=1e-9,
        max_iter=500,
    )
    return model.fit(source)


def test_values_that_many_share_and_no_neighbour_are_masses():
    rng = np.random.default_rng(0)
    x = rng.normal(50.0, 10.0, 400)
    assert masses_of(x) == ()
    assert masses_of(np.where(np.arange(400) < 20, 0.0, x)) == (0.0,)
    assert masses_of(np.minimum(x, 60.0)) == (60.0,)
    assert masses_of(np.where(np.arange(400) < 20, x[300], x)) == (x[300],)
    assert masses_of(np.where(np.arange(400) < 9, 0.0, x)) == ()  # below 3 %
    both = np.where(np.arange(400) < 20, 0.0, np.minimum(x, 60.0))
    assert masses_of(both) == (0.0, 60.0)
    with_gaps = np.where(np.arange(400) > 380, np.nan, both)
    assert masses_of(with_gaps) == (0.0, 60.0)


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0, 5.0])
def test_rounded_values_and_round_numbers_are_no_masses(step):
    rng = np.random.default_rng(1)
    x = rng.normal(50.0, 8.0, 600)
    assert masses_of(np.round(x / step) * step) == ()
    coarse = np.where(rng.random(600) < 0.6, np.round(x / 5.0) * 5.0, np.round(x))
    assert masses_of(coarse) == ()
    # Revolutions per minute of 93 cars (Lock 1993): 10 have 5200, and 14 have 6000.
    revolutions = [
        3800,
        4000,
        4100,
        4200,
        4400,
        4500,
        4600,
        4800,
        5000,
        5100,
        5200,
        5300,
        5400,
        5500,
        5550,
        5600,
        5700,
        5750,
        5800,
        5900,
        6000,
        6200,
        6300,
        6500,
    ]
    times = [1, 2, 1, 3, 1, 1, 4, 13, 10, 1, 10, 1, 4, 8, 1, 6, 2, 1, 4, 1, 14, 1, 1, 2]
    assert masses_of(np.repeat(np.array(revolutions, float), times)) == ()
    assert masses_of(rng.poisson(1.0, 600).astype(float)) == ()
    assert masses_of(rng.integers(0, 2, 600).astype(float)) == ()


def test_the_evidence_of_one_component_is_that_of_quadrature():
    """Beta × normal-gamma: the share, the mean and the precision of logarithms are integrated."""
    x = amounts(3, n=40)
    m0, beta0, nu0, scale = 1.5, 0.5, 3.0, 0.7
    logs, n_zeros = np.log(x[x > 0.0]), int((x == 0.0).sum())
    of_logs = bm.LogNormalPrior([m0], beta0, nu0, [scale])
    family = bm.Product({"amount": bm.LogNormal(), "amount = 0": bm.Bernoulli()})
    source = with_masses(pd.DataFrame({"amount": x[:, 0]}), None, "auto", "error")[0]
    prior = bm.ProductPrior({"amount": of_logs})
    model = bm.Mixture(1, family=family, inference=bm.VariationalBayes(prior=prior), missing="use")
    found = model.fit(source).result_.objective

    # The share has a Beta integral; the mean and log precision are integrated on a grid.
    share, _ = quad(lambda q: q**n_zeros * (1.0 - q) ** (len(x) - n_zeros), 0.0, 1.0, epsabs=0.0)
    means, log_precisions = np.linspace(-1.5, 5.5, 1401), np.linspace(-3.0, 4.0, 701)
    mean, precision = means[:, None], np.exp(log_precisions)
    deviations = 1.0 / np.sqrt(precision)
    squares = ((logs - logs.mean()) ** 2).sum() + len(logs) * (logs.mean() - mean) ** 2
    total = 0.5 * len(logs) * np.log(precision / (2.0 * np.pi)) - 0.5 * precision * squares
    total += norm.logpdf(mean, m0, deviations / np.sqrt(beta0))
    total += gamma.logpdf(precision, nu0 / 2.0, scale=2.0 / scale) + log_precisions
    total -= logs.sum()
    peak = total.max()
    area = trapezoid(trapezoid(np.exp(total - peak), log_precisions), means)
    assert found == pytest.approx(np.log(share) + np.log(area) + peak, abs=1e-6)


@pytest.mark.parametrize("unit", [0.01, 100.0])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_gains_between_candidates_do_not_change_with_the_unit(unit, covariance_type):
    X, _ = normal_beside_limit(4)
    scaled = X * [unit, 1.0]
    gains = [
        fit(rows, 2, covariance_type).result_.objective
        - fit(rows, 1, covariance_type).result_.objective
        for rows in (X, scaled)
    ]
    assert gains[0] == pytest.approx(gains[1], abs=1e-4)
    assert abs(gains[0]) > 1.0


def test_gains_of_amounts_do_not_change_with_the_unit():
    rng = np.random.default_rng(5)
    x = np.where(rng.random(160) < 0.3, 0.0, rng.lognormal(3.0 * (np.arange(160) % 2), 0.5))[
        :, None
    ]
    gains = [
        fit(rows, 2).result_.objective - fit(rows, 1).result_.objective for rows in (x, 100.0 * x)
    ]
    assert gains[0] == pytest.approx(gains[1], abs=1e-3)


def test_densities_are_shares_times_the_density_of_the_rest():
    x = amounts(6)
    model = fit(x, 1, inference=bm.MaximumLikelihood())
    rest, share = x[x > 0.0], np.mean(x == 0.0)
    expected = np.log1p(-share) + norm.logpdf(rest, rest.mean(), rest.std())
    np.testing.assert_allclose(model.score_samples(rest[:, None]), expected, rtol=1e-6)
    np.testing.assert_allclose(model.score_samples(np.zeros((1, 1))), np.log(share), rtol=1e-6)


def test_select_reads_masses_of_arrays_and_frames_and_predicts_from_the_given_columns():
    X, z = normal_beside_limit(7)
    frame = pd.DataFrame(X, columns=["mark", "other"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = bm.select(X, n_components=(1, 2), covariance_type="diag")
        named = bm.select(frame, n_components=(1, 2), covariance_type="diag")
        assert np.array_equal(search.predict(X), named.predict(frame))
    assert search.n_clusters_ == 2
    assert search.best_score_ == pytest.approx(named.best_score_, rel=1e-9)
    agreement = np.mean(search.predict(X) == z)
    assert max(agreement, 1.0 - agreement) > 0.9
    assert "mark (12 % at the limit 10)" in str(named.summary())
    assert "2 features" in str(named.summary())
    assert named.columns_.loc["mark", "reason"] == "12 % at the limit 10"
    drawn = search.best_estimator_.sample(500, random_state=0)[0]
    assert drawn.shape == (500, 2)
    assert np.mean(drawn[:, 0] == 10.0) == pytest.approx(0.12, abs=0.05)
    of_frame = named.best_estimator_.sample(50, random_state=0)[0]
    assert list(of_frame.columns) == ["mark", "other"]
    assert search.score(X) == pytest.approx(named.score(frame))
    assert "mark = 10: yes" in str(named.describe(frame))
    for model, rows in ((search, X), (named, frame)):
        labels = model.predict(rows * [np.nan, 1.0])  # missing values are used by default
        assert len(labels) == len(rows)
    with pytest.raises(InvalidInputError, match="X must have the 2 columns of the fit, got 1"):
        search.predict(X[:, :1])


def test_a_searched_table_with_masses_is_saved(tmp_path):
    X, _ = normal_beside_limit(8)
    search = bm.select(X, n_components=(1, 2), covariance_type="diag")
    search.save(tmp_path / "search.bayesmix")
    loaded = bm.load(tmp_path / "search.bayesmix")
    assert np.array_equal(loaded.predict(X), search.predict(X))
    assert str(loaded.summary()) == str(search.summary())


def test_masses_are_declared_or_left_out():
    X, _ = normal_beside_limit(9)
    frame = pd.DataFrame(X, columns=["mark", "other"])
    options = {"n_components": (1,), "covariance_type": "diag"}
    for search in (
        bm.select(X, masses=None, **options),
        bm.select(frame, masses={}, **options),
        bm.select(frame, columns={"mark": "continuous"}, **options),
        bm.select(X, family=bm.Gaussian(), **options),
    ):
        assert "Masses" not in str(search.summary())
    X[:4, 1] = 99.0
    search = bm.select(X, masses={1: 99.0}, **options)
    assert "x1 (2 % at the limit 99)" in str(search.summary())


@pytest.mark.parametrize(
    ("masses", "problem"),
    [
        ({"none": 0.0}, "masses must name continuous columns"),
        ({0: 1234.0}, "masses must be values of a part of the observations"),
        (0, "masses must be 'auto', None, or map columns"),
    ],
)
def test_masses_that_cannot_be_are_refused(masses, problem):
    X, _ = normal_beside_limit(10)
    with pytest.raises(InvalidInputError, match=problem):
        bm.select(X, masses=masses)
    with pytest.raises(InvalidInputError, match="masses needs the default criterion"):
        bm.select(X, masses={0: 10.0}, criterion="bic")


def test_mixed_tables_have_masses_beside_other_kinds():
    rng = np.random.default_rng(11)
    z = rng.integers(0, 2, 200)
    amount = np.where(rng.random(200) < 0.3, 0.0, rng.lognormal(1.0 + 3.0 * z, 0.4))
    frame = pd.DataFrame({"amount": amount, "sex": rng.choice(["f", "m"], 200)})
    frame["amount2"] = frame["amount"] + (frame["amount"] > 0.0) * rng.normal(0.0, 0.1, 200)
    source = with_masses(*bm_typed(frame), "auto", "error")[0]
    assert [mass.column for mass in source.coding.masses] == ["amount", "amount2"]
    assert source.coding.names == ("amount", "sex", "amount2", "amount = 0", "amount2 = 0")
    joined = source.coding.joined(source.values)
    np.testing.assert_array_equal(joined[:, 0], amount)
    assert not np.isnan(joined).any()


def bm_typed(frame):
    """A frame as select reads it."""
    from bayesmix.data.coded_frames import typed_rows

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return typed_rows(frame, None)[:2]
