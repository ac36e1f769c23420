"""Gaps in columns that are independent given the component, alone and beside Gaussian blocks.

What is missing at random is a factor that is not there, whatever the family.
"""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from laws.skew_normal import SkewNormal

LEVELS = (("a", "b", "c"), ("no", "yes"), (1, 2, 3, 4))
INFERENCES = {
    "likelihood": None,
    "posterior mode": bm.MaximumAPosteriori(),
    "variational": bm.VariationalBayes(),
}
FAMILIES = {
    "bernoulli": bm.Bernoulli(),
    "binomial": bm.Binomial([3, 8, 5]),
    "categorical": bm.Categorical(LEVELS),
    "exponential": bm.Exponential(),
    "gamma": bm.Gamma(),
    "log_normal": bm.LogNormal(),
    "poisson": bm.Poisson(),
}


def product(covariance="full"):
    """A Gaussian block around a count, an answer and a category."""
    parts = {(3, 0): bm.Gaussian(covariance), 1: bm.Poisson(), 2: bm.Bernoulli()}
    return bm.Product(parts | {4: bm.Categorical([[0, 1, 2]])})


def rows_of(name, rng, n=90):
    """Complete rows of two components, as numbers."""
    group = rng.integers(0, 2, (n, 1))
    if name == "bernoulli":
        return (rng.random((n, 3)) < 0.2 + 0.6 * group).astype(float)
    if name == "binomial":
        return rng.binomial([3, 8, 5], 0.2 + 0.6 * group).astype(float)
    if name == "exponential":
        return rng.exponential(1.0 + 4.0 * group, (n, 3))
    if name == "gamma":
        return rng.gamma(3.0, 1.0 + 4.0 * group, (n, 3))
    if name == "log_normal":
        return np.exp(rng.normal(3.0 * group, 1.0, (n, 3)))
    if name == "poisson":
        return rng.poisson(1.0 + 6.0 * group, (n, 3)).astype(float)
    if name == "categorical":
        share = rng.random((n, 3)) ** (1.0 + 2.0 * group)
        return np.floor(share * [3, 2, 4])
    rows = np.empty((n, 5))
    rows[:, [3, 0]] = rng.normal(size=(n, 2)) @ [[1.0, 0.4], [0.0, 0.7]] + 3.0 * group * [1, -1]
    rows[:, 1] = rng.poisson(1.0 + 4.0 * group[:, 0])
    rows[:, 2] = rng.random(n) < 0.2 + 0.6 * group[:, 0]
    rows[:, 4] = np.floor(rng.random(n) ** (1.0 + group[:, 0]) * 3)
    return rows


def with_gaps(rng, rows, share=0.3):
    """The same with gaps; one value is left in every row, and in every column."""
    gaps = rng.random(rows.shape) < share
    gaps[np.arange(len(rows)), rng.integers(rows.shape[1], size=len(rows))] = False
    return np.where(gaps, np.nan, rows)


def table(name, rows):
    """Rows as the family is given them: levels by their names."""
    if name != "categorical":
        return rows
    named = np.empty(rows.shape, dtype=object)
    for column, levels in enumerate(LEVELS):
        own = rows[:, column]
        named[:, column] = [None if np.isnan(code) else levels[int(code)] for code in own]
    return named


def fitted(name, rows, inference=None, K=2, family=None, weights=None, **options):
    family = family or FAMILIES.get(name) or product()
    options = {"missing": "use", "random_state": 0, "n_jobs": 1, "max_iter": 5000} | options
    mixture = bm.Mixture(K, family=family, inference=inference, **options)
    return mixture.fit(table(name, rows), sample_weight=weights)


def log_factor(name, part, k, column, value):
    """log p(x | k) of one value of one column, by SciPy."""
    if name == "bernoulli":
        return stats.bernoulli(part.probabilities[k, column]).logpmf(value)
    if name == "binomial":
        trials = FAMILIES["binomial"].n_trials[column]
        return stats.binom(trials, part.probabilities[k, column]).logpmf(value)
    if name == "exponential":
        return stats.expon(scale=1.0 / part.rates[k, column]).logpdf(value)
    if name == "gamma":
        return stats.gamma(part.shapes[k, column], scale=1 / part.rates[k, column]).logpdf(value)
    if name == "log_normal":
        variance, mean = part.normals.covariances[k, column, column], part.normals.means[k, column]
        return stats.lognorm(np.sqrt(variance), scale=np.exp(mean)).logpdf(value)
    if name == "poisson":
        return stats.poisson(part.rates[k, column]).logpmf(value)
    start = part.reading.starts[column]
    return np.log(part.probabilities[k, int(start + value)])


def log_density(name, part, k, row):
    """log p(what the row has | k)."""
    seen = np.flatnonzero(~np.isnan(row))
    if name in FAMILIES:
        return sum(log_factor(name, part, k, column, row[column]) for column in seen)
    block, *others = part.parts
    total = 0.0
    own = np.flatnonzero(~np.isnan(row[[3, 0]]))
    if len(own):
        covariance = block.structure.algebra.dense(block.blocks, *block.means.shape)[k]
        normal = stats.multivariate_normal(block.means[k, own], covariance[np.ix_(own, own)])
        total += normal.logpdf(row[[3, 0]][own])
    for other, column, kind in zip(
        others, (1, 2, 4), ("poisson", "bernoulli", "categorical"), strict=True
    ):
        if not np.isnan(row[column]):
            total += log_factor(kind, other, k, 0, row[column])
    return total


ALL = (*FAMILIES, "product")
CONJUGATE = sorted(set(ALL) - {"gamma"})
CASES = [
    (name, kind) for name in ALL for kind in INFERENCES if name != "gamma" or kind == "likelihood"
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "inference"), [case for case in CASES if case[1] != "variational"]
)
def test_the_likelihood_is_that_of_what_the_rows_have(name, inference):
    rng = np.random.default_rng(1)
    rows = with_gaps(rng, rows_of(name, rng))
    weights = rng.integers(1, 4, len(rows)).astype(float)
    found = fitted(name, rows, INFERENCES[inference], weights=weights, search=None)
    part, shares = found.result_.unframed, np.log(found.weights_)
    with np.errstate(divide="ignore"):
        expected = np.array(
            [
                logsumexp([shares[k] + log_density(name, part, k, row) for k in range(2)])
                for row in rows
            ]
        )
    assert found.log_likelihood_ == pytest.approx(expected @ weights, rel=1e-10)
    np.testing.assert_allclose(found.score_samples(table(name, rows)), expected, rtol=1e-10)
    if inference == "likelihood":
        total = found.lower_bound_ * weights.sum()
        assert total == pytest.approx(expected @ weights, rel=1e-10)


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - {"log_normal", "gamma"}))
def test_a_bound_at_one_component_is_the_exact_evidence_column_by_column(name):
    """A column by itself has no gaps, where the bound is known to be the evidence."""
    rng = np.random.default_rng(2)
    rows = with_gaps(rng, rows_of(name, rng))
    whole = fitted(name, rows, bm.VariationalBayes(), K=1)
    assert whole.converged_
    alone = 0.0
    for column in range(3):
        family = FAMILIES[name].marginal(np.array([column]))
        values = rows[~np.isnan(rows[:, column])][:, [column]]
        if name == "categorical":
            values = np.array(LEVELS[column], dtype=object)[values.astype(int)]
        alone += bm.Mixture(1, family=family, inference=bm.VariationalBayes()).fit(values).elbo_
    assert whole.elbo_ == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
def test_a_bound_of_a_product_at_one_component_is_the_sum_over_its_parts(covariance):
    rng = np.random.default_rng(3)
    rows = with_gaps(rng, rows_of("product", rng))
    whole = fitted("product", rows, bm.VariationalBayes(), K=1, family=product(covariance))
    alone = 0.0
    for part in product(covariance).parts:
        own = rows[:, list(part.columns)]
        own = own[~np.isnan(own).all(axis=1)]
        vb = bm.Mixture(1, family=part.family, inference=bm.VariationalBayes(), missing="use")
        alone += vb.fit(_named(part.family, own)).elbo_
    assert whole.elbo_ == pytest.approx(alone, rel=1e-9)


def _named(family, rows):
    """The codes of a category as its levels, which are numbers here."""
    return rows.astype(int) if isinstance(family, bm.Categorical) else rows


@pytest.mark.parametrize(("name", "inference"), CASES)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.05, 0.6))
def test_the_objective_never_falls(name, inference, seed, share):
    rng = np.random.default_rng(seed)
    rows = with_gaps(rng, rows_of(name, rng, 60), share)
    start = rng.dirichlet(np.ones(2), len(rows))
    plain = {"search": None, "acceleration": None, "max_iter": 12, "prune": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = fitted(name, rows, INFERENCES[inference], init_params=start, **plain)
    for step in np.split(found.objective_trace_, found.result_.segments[1:]):
        assert (np.diff(step) >= -1e-11 * np.abs(step[1:])).all()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "inference"), CASES)
def test_without_gaps_nothing_changes(name, inference):
    rows = rows_of(name, np.random.default_rng(4))
    plain, used, dropped = (
        fitted(name, rows, INFERENCES[inference], missing=missing, search=None)
        for missing in ("error", "use", "drop")
    )
    for other in (used, dropped):
        np.testing.assert_array_equal(other.objective_trace_, plain.objective_trace_)
        mine, theirs = (m.predict_proba(table(name, rows)) for m in (other, plain))
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", CONJUGATE)
def test_a_predictive_density_is_the_marginal_of_what_a_row_has(name):
    rng = np.random.default_rng(5)
    rows = with_gaps(rng, rows_of(name, rng))
    vb = fitted(name, rows, bm.VariationalBayes())
    some = ~np.isnan(rows[:, 0]) & ~np.isnan(rows[:, 2])
    less = np.full_like(rows[some], np.nan)
    less[:, [0, 2]] = rows[some][:, [0, 2]]
    alone = vb.marginal([0, 2]).score_samples(table(name, rows[some])[:, [0, 2]])
    np.testing.assert_allclose(vb.score_samples(table(name, less)), alone, rtol=1e-9)
    np.testing.assert_allclose(vb.predict_proba(table(name, rows)).sum(axis=1), 1.0)
    np.testing.assert_allclose(vb.responsibilities(table(name, rows)).sum(axis=1), 1.0)


def test_a_gamma_beside_levels_is_fitted_by_what_rows_have_and_filled_in():
    rng = np.random.default_rng(9)
    group = rng.integers(0, 2, 150)
    pay = rng.gamma(4.0, 1.0 + 9.0 * group)
    trade = (rng.random(150) < 0.2 + 0.6 * group).astype(float)
    rows = with_gaps(rng, np.column_stack([pay, trade]), 0.2)
    family = bm.Product({0: bm.Gamma(), 1: bm.Bernoulli()})
    found = fitted("product", rows, family=family)
    gamma, coin = found.components_[0], found.components_[1]["probabilities"][:, 0]
    logs = np.log(found.weights_) + np.zeros((len(rows), 2))
    seen = ~np.isnan(rows)
    density = stats.gamma(gamma["shapes"][:, 0], scale=1.0 / gamma["rates"][:, 0])
    logs[seen[:, 0]] += density.logpdf(rows[seen[:, 0], :1])
    logs[seen[:, 1]] += stats.bernoulli(coin).logpmf(rows[seen[:, 1], 1:])
    expected = logsumexp(logs, axis=1).sum()
    assert found.log_likelihood_ == pytest.approx(expected, rel=1e-10)
    filled = found.impute(rows)
    assert np.array_equal(filled[seen], rows[seen])
    shares = found.predict_proba(rows)[~seen[:, 0]]
    np.testing.assert_allclose(filled[~seen[:, 0], 0], shares @ density.mean())


def test_a_column_by_itself_is_what_those_rows_say_of_it():
    """A component of one has the mean of the values that there are."""
    rng = np.random.default_rng(6)
    rows = with_gaps(rng, rows_of("poisson", rng), 0.4)
    one = fitted("poisson", rows, K=1)
    np.testing.assert_allclose(one.means_[0], np.nanmean(rows, axis=0), rtol=1e-12)


def test_a_density_without_a_mean_is_filled_in_at_the_summary_of_q():
    rng = np.random.default_rng(8)
    rows = with_gaps(rng, rows_of("log_normal", rng))
    found = fitted("log_normal", rows, bm.VariationalBayes())
    assert np.isfinite(found.impute(rows)).all()


def test_rows_that_lack_a_whole_block_say_what_the_others_do():
    """q of a dense covariance weighs what is missing all the same: the bound stays a bound."""
    rng = np.random.default_rng(7)
    rows = rows_of("product", rng, 200)
    rows[::3, [0, 3]] = np.nan
    found = fitted("product", rows, bm.VariationalBayes())
    shares = found.responsibilities(rows[::3])
    assert shares.shape == (67, 2)
    assert np.isfinite(found.elbo_)
    for step in np.split(found.objective_trace_, found.result_.segments[1:]):
        assert (np.diff(step) >= -1e-11 * np.abs(step[1:])).all()


def test_a_family_of_somebody_else_whose_frame_scales_has_the_density_of_the_observed_cells():
    # Its components say nothing of missing values.
    X = 100.0 + stats.skewnorm.rvs(3.0, scale=20.0, size=(300, 2), random_state=0)
    X[::3, 1] = np.nan
    model = bm.Mixture(1, family=SkewNormal(), missing="use", search=None, random_state=0).fit(X)
    location, slope, variance = (
        getattr(model, f"{name}_")[0, 0] for name in ("locations", "slopes", "variances")
    )
    ratio, scale = slope / np.sqrt(variance), np.sqrt(variance + slope**2)
    expected = stats.skewnorm.logpdf(X[::3, 0], ratio, location, scale)
    np.testing.assert_allclose(model.score_samples(X[::3]), expected, rtol=1e-10)
