"""Factor analysers: the dense computation, the papers' updates, and what many columns cost."""

import os
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import CENTRED, ExpectationStep
from bayesmix.errors import (
    DegenerateComponentWarning,
    FlatDirectionWarning,
    InvalidInputError,
    UnsupportedError,
)
from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers
from laws.cases import generator

KINDS = ("UUU", "CUU", "UUC")
every_kind = pytest.mark.parametrize("kind", KINDS)
quick = settings(max_examples=25, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
# Two-sided: a false alarm in 100,000 runs.
Z = stats.norm.isf(0.5e-5)


def drawn(rng, kind, K, D, q):
    """Parameters of K factor analysers."""
    model = bm.FactorAnalytic(q, kind).model
    loadings = rng.normal(size=(K, D, q))
    if model.shared_loadings:
        loadings[:] = loadings[0]
    noise = np.exp(rng.normal(size=(K, D)))
    if model.isotropic_noise:
        noise[:] = noise[:, :1]
    return FactorAnalysers(model, rng.normal(size=(K, D)), loadings, noise)


def rows_of(rng, n, D, K, q, apart=1.0, shared=False):
    """Rows of K clusters with q factors each, and which is which."""
    labels = rng.integers(0, K, n)
    loadings, means = rng.normal(size=(K, q, D)), apart * rng.normal(size=(K, D))
    if shared:
        loadings[:] = loadings[0]
    noise = np.sqrt(rng.uniform(0.5, 1.5, (K, D)))
    factors, left = rng.normal(size=(n, 1, q)), rng.normal(size=(n, D))
    rows = (factors @ loadings[labels])[:, 0] + left * noise[labels] + means[labels]
    return rows, labels


@every_kind
@quick
@given(seeds, st.integers(1, 3), st.integers(3, 9), st.integers(1, 2), st.integers(-9, 0))
def test_the_log_density_is_that_of_the_dense_matrices(kind, seed, K, D, q, exponent):
    rng = generator(seed)
    components = drawn(rng, kind, K, D, q)
    components = FactorAnalysers(
        components.model, components.means, components.loadings, components.noise * 4.0**exponent
    )
    rows = components.draw(np.full(K, 4), rng)
    found = components.expected_log_density(rows)
    for k in range(K):
        covariance = components.covariances[k]
        away = rows - components.means[k]
        root = np.linalg.cholesky(covariance)
        dense = -0.5 * (
            np.square(np.linalg.solve(root, away.T)).sum(axis=0)
            + 2.0 * np.log(np.diag(root)).sum()
            + D * np.log(2 * np.pi)
        )
        # The matrix that is compared with loses as many digits as it is ill conditioned.
        lost = 1e-15 * np.linalg.cond(covariance) * D
        np.testing.assert_allclose(found[:, k], dense, rtol=1e-11 + lost, atol=1e-9)


@every_kind
def test_an_update_is_that_of_the_paper(kind):
    """McNicholas & Murphy 2008, sec. 3.2 and table 2, from dense scatters."""
    rng = generator(1)
    K, D, q, n = 3, 6, 2, 60
    before = drawn(rng, kind, K, D, q)
    rows, shares = rng.normal(size=(n, D)) * 2.0, rng.dirichlet(np.ones(K), n)
    statistics = before.statistics(rows, shares)
    after = bm.FactorAnalytic(q, kind).maximum_likelihood(statistics)
    counts = shares.sum(axis=0)
    means = shares.T @ rows / counts[:, None]
    np.testing.assert_allclose(after.means, means, rtol=1e-12)
    scatters, betas, seconds = [], [], []
    for k in range(K):
        away = rows - means[k]
        scatter = (shares[:, k, None] * away).T @ away / counts[k]
        covariance = before.loadings[k] @ before.loadings[k].T + np.diag(before.noise[k])
        beta = before.loadings[k].T @ np.linalg.inv(covariance)
        scatters.append(scatter)
        betas.append(beta)
        seconds.append(np.eye(q) - beta @ before.loadings[k] + beta @ scatter @ beta.T)
    if kind == "CUU":
        loadings = np.empty((D, q))
        for d in range(D):
            left = sum(counts[k] / before.noise[k, d] * seconds[k] for k in range(K))
            right = sum(
                counts[k] / before.noise[k, d] * (scatters[k] @ betas[k].T)[d] for k in range(K)
            )
            loadings[d] = np.linalg.solve(left, right)
        expected = [loadings] * K
    else:
        expected = [scatters[k] @ betas[k].T @ np.linalg.inv(seconds[k]) for k in range(K)]
    for k in range(K):
        np.testing.assert_allclose(after.loadings[k], expected[k], rtol=1e-9, atol=1e-12)
        cross = expected[k] @ betas[k] @ scatters[k]
        full = scatters[k] - cross - cross.T + expected[k] @ seconds[k] @ expected[k].T
        noise = np.diag(full) if kind != "UUC" else np.full(D, np.trace(full) / D)
        np.testing.assert_allclose(after.noise[k], noise, rtol=1e-9)


@every_kind
def test_the_sums_of_a_union_are_the_sum_and_those_of_repeated_rows_are_scaled(kind):
    rng = generator(2)
    components = drawn(rng, kind, 3, 7, 2)
    rows, shares = rng.normal(size=(50, 7)) + 1e6, rng.dirichlet(np.ones(3), 50)
    parts = components.statistics(rows[:20], shares[:20]) + components.statistics(
        rows[20:], shares[20:]
    )
    whole = components.statistics(rows, shares)
    twice = components.statistics(np.vstack([rows, rows]), np.vstack([shares, shares]))
    for left, right in ((parts, whole), (whole.scaled(2.0), twice)):
        np.testing.assert_allclose(left.counts, right.counts, rtol=1e-13)
        np.testing.assert_allclose(left.means, right.means, rtol=1e-13)
        for found, expected in zip(left.estimate, right.estimate, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


@every_kind
def test_moments_put_together_are_those_of_the_components(kind):
    rng = generator(3)
    components = drawn(rng, kind, 4, 6, 2)
    rows, shares = components.draw(np.full(4, 400), rng), np.repeat(np.eye(4), 400, axis=0)
    whole = components.statistics(rows, shares)
    np.testing.assert_allclose(whole.unpack(whole.pack()).pack(), whole.pack(), rtol=1e-12)
    order = np.array([2, 0, 3, 1])
    back = whole.subset(order[:2]).exchanged(np.array([1, 0]), whole.subset(order[2:]))
    np.testing.assert_array_equal(back.means, whole.means[[0, 2, 3, 1]])
    split = whole.subset(np.array([0, 1, 2])).split(1, whole.subset(np.array([1, 3])))
    np.testing.assert_array_equal(split.estimate[1], whole.estimate[1])


@quick
@given(seeds, st.sampled_from(KINDS), st.integers(1, 4), st.integers(2, 7), st.booleans())
def test_the_objective_never_falls(seed, kind, K, D, accelerate):
    rng = generator(seed)
    n = int(rng.integers(max(2, K), 40))
    rows = rows_of(rng, n, D, K, 1, apart=float(rng.choice([0.0, 1.0, 30.0])))[0]
    if kind != "UUC":
        rows = rows * 10.0 ** rng.integers(-6, 7, D) + 1e3
    if rng.random() < 0.3:
        rows = np.round(rows)
    if (rows == rows[0]).all():
        return
    gm = bm.GaussianMixture(
        K,
        covariance_type=bm.FactorAnalytic(int(rng.integers(1, D)), kind),
        init_params=rng.integers(0, K, n),
        acceleration="auto" if accelerate else None,
        max_iter=60,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesmix.search.fit.warn_of", lambda events, noun: None)
        patch.setattr(bm.GaussianMixture, "_warn", lambda self, result: None)
        gm.fit(rows, sample_weight=rng.uniform(0.2, 2.0, n))
    result = gm.result_
    rounding = 1e-12 * (result.total_weight + np.abs(result.trace).max() + abs(result.log_volume))
    starts = set(result.segments)
    for place, (one, other) in enumerate(pairwise(result.trace), 1):
        assert other >= one - 10 * rounding or place in starts


def test_one_component_is_scikit_learns_factor_analysis():
    rows, _ = rows_of(generator(4), 200, 20, 1, 3)
    other = FactorAnalysis(3, tol=1e-10, max_iter=100_000, svd_method="lapack").fit(rows)
    gm = bm.GaussianMixture(1, covariance_type=bm.FactorAnalytic(3), random_state=0).fit(rows)
    assert gm.log_likelihood_ >= other.score(rows) * 200 - 1e-5
    np.testing.assert_allclose(gm.noise_variances_[0], other.noise_variance_, rtol=1e-3)


def test_one_component_with_isotropic_noise_is_the_closed_form():
    """Tipping & Bishop 1999: scikit-learn's PCA has the likelihood at (n - 1)-variances."""
    rows, _ = rows_of(generator(5), 100, 12, 1, 2)
    gm = bm.GaussianMixture(1, covariance_type=bm.FactorAnalytic(2, "UUC"), random_state=0)
    gm.fit(rows)
    values = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    noise = values[2:].mean()
    log_det = np.log(values[:2]).sum() + 10 * np.log(noise)
    expected = -50.0 * (12 * np.log(2 * np.pi) + log_det + 12)
    assert gm.log_likelihood_ == pytest.approx(expected, abs=1e-6)
    assert gm.noise_variances_[0] == pytest.approx(noise, rel=1e-4)
    assert gm.log_likelihood_ >= PCA(2).fit(rows).score(rows) * 100


@pytest.mark.slow
@every_kind
def test_clusters_of_fewer_rows_than_columns_are_found(kind):
    rows, labels = rows_of(generator(6), 90, 120, 3, 2, shared=kind == "CUU")
    gm = bm.GaussianMixture(3, covariance_type=bm.FactorAnalytic(2, kind), random_state=0)
    assert adjusted_rand_score(labels, gm.fit_predict(rows)) > 0.95
    assert gm.converged_


@pytest.mark.slow
def test_bic_finds_the_number_of_factors_beside_that_of_components():
    rows, _ = rows_of(generator(7), 120, 10, 2, 2, apart=2.0)
    search = bm.MixtureSearch(
        bm.GaussianMixture(random_state=0),
        n_components=(1, 2),
        covariance_type=[bm.FactorAnalytic(q) for q in (1, 2, 3)],
        random_state=0,
    ).fit(rows)
    assert search.best_params_ == {
        "covariance_type": bm.FactorAnalytic(2),
        "n_components": 2,
    }
    assert "FactorAnalytic(2)" in search.summary()


def test_select_compares_what_has_no_posterior_by_bic_and_grows_beyond_rows_by_columns():
    rows, _ = rows_of(generator(7), 60, 45, 2, 1, apart=2.0)
    search = bm.select(rows, covariance_type=bm.FactorAnalytic(1), n_jobs=1)
    assert search.best_params_["n_components"] == 2
    assert search.summary().startswith("2 clusters (probability 0.99).")
    assert "Model: 2 factor analytic" in search.summary()
    assert "(best by BIC, " in search.summary()


def test_parameters_are_those_of_the_papers_table():
    """McNicholas & Murphy 2008, table 1, with G means of p columns beside."""
    G, p, q = 3, 10, 2
    pairs = p * q - q * (q - 1) // 2
    expected = {"UUU": G * (pairs + p), "CUU": pairs + G * p, "UUC": G * (pairs + 1)}
    for kind, own in expected.items():
        assert bm.FactorAnalytic(q, kind).n_parameters(G, p) == G * p + own
    # Never more than matrices have.
    assert bm.FactorAnalytic(2).n_parameters(1, 3) == 3 + 6


@pytest.mark.slow
def test_clusters_that_differ_in_their_directions_are_found():
    """Where k-means alone mixes them: a fit begun at the true groups does no better."""
    rng, (K, q, n, D) = generator(27), (4, 1, 400, 30)
    loadings, centres = rng.normal(size=(K, q, D)), 0.1 * rng.normal(size=(K, D))
    groups = rng.integers(0, K, n)
    rows = np.einsum("nq,nqd->nd", rng.normal(size=(n, q)), loadings[groups]) + centres[groups]
    rows += rng.normal(size=rows.shape)
    options = {"covariance_type": bm.FactorAnalytic(q), "random_state": 0}
    begun = bm.GaussianMixture(K, init_params=np.eye(K)[groups], **options).fit(rows)
    assert bm.GaussianMixture(K, **options).fit(rows).log_likelihood_ > begun.log_likelihood_ - 0.01


@pytest.mark.slow
def test_memory_is_linear_in_the_columns():
    peaks = {}
    for D in (500, 3000):
        rows, _ = rows_of(generator(8), 24, D, 2, 1)
        gm = bm.GaussianMixture(
            2, covariance_type=bm.FactorAnalytic(1), search="short", random_state=0, n_jobs=1
        )
        tracemalloc.start()
        gm.fit(rows).predict(rows)
        gm.bic(rows)
        gm.sample(3)
        peaks[D] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[3000] < 0.25 * 8 * 3000**2
    assert peaks[3000] < 9.0 * peaks[500]


@pytest.mark.slow
@every_kind
def test_units_of_columns_change_the_answer_by_their_volume(kind):
    rows, _ = rows_of(generator(9), 80, 8, 2, 2)
    units = 10.0 ** np.linspace(-5, 5, 8) if kind != "UUC" else np.full(8, 1e-5)
    fits = [
        bm.GaussianMixture(2, covariance_type=bm.FactorAnalytic(1, kind), random_state=0).fit(each)
        for each in (rows, rows * units)
    ]
    volume = 80 * np.log(units).sum()
    assert fits[1].log_likelihood_ + volume == pytest.approx(fits[0].log_likelihood_, abs=1e-4)


def fitted(kind="UUU", D=6):
    rows, _ = rows_of(generator(10), 400, D, 2, 2, apart=2.0)
    gm = bm.GaussianMixture(2, covariance_type=bm.FactorAnalytic(2, kind), random_state=0)
    return gm.fit(rows), rows


@every_kind
def test_parts_of_the_density_are_those_of_full_covariances(kind):
    gm, rows = fitted(kind)
    full = bm.GaussianMixture.from_parameters(gm.weights_, gm.means_, gm.covariances_)
    np.testing.assert_allclose(gm.score_samples(rows), full.score_samples(rows), rtol=1e-9)
    np.testing.assert_allclose(gm.precisions_, full.precisions_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(gm.precisions_cholesky_, full.precisions_cholesky_, atol=1e-8)
    some, given_columns = rows[:4, [1, 4]], {0: rows[0, 0], 3: rows[0, 3]}
    np.testing.assert_allclose(
        gm.marginal([1, 4]).score_samples(some), full.marginal([1, 4]).score_samples(some)
    )
    rest = np.delete(rows[:4], [0, 3], axis=1)
    np.testing.assert_allclose(
        gm.conditional(given_columns).score_samples(rest),
        full.conditional(given_columns).score_samples(rest),
    )
    np.testing.assert_allclose(
        gm.conditional_mean(rows[:4, [0, 3]], [0, 3]),
        full.conditional_mean(rows[:4, [0, 3]], [0, 3]),
    )


def test_draws_are_as_far_from_their_means_as_normal_rows():
    gm, _ = fitted()
    rows, labels = gm.sample(20_000, random_state=1)
    away = rows - gm.means_[labels]
    squares = np.einsum("nd,nde,ne->n", away, gm.precisions_[labels], away)
    assert abs(squares.mean() - 6.0) < Z * np.sqrt(2.0 * 6.0 / 20_000)


@every_kind
def test_a_saved_model_is_the_same(kind, tmp_path):
    gm, rows = fitted(kind)
    gm.save(tmp_path / "model.bm")
    loaded = bm.load(tmp_path / "model.bm")
    np.testing.assert_array_equal(loaded.score_samples(rows), gm.score_samples(rows))
    assert loaded.covariance_type == gm.covariance_type
    shapes = {"UUU": ((2, 6, 2), (2, 6)), "CUU": ((6, 2), (2, 6)), "UUC": ((2, 6, 2), (2,))}
    assert (loaded.loadings_.shape, loaded.noise_variances_.shape) == shapes[kind]


def test_threads_change_no_bit():
    rows, _ = rows_of(generator(11), 300, 40, 2, 2)
    found = [
        bm.GaussianMixture(2, covariance_type=bm.FactorAnalytic(2), random_state=0, n_jobs=jobs)
        .fit(rows)
        .loadings_
        for jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*found)


def test_far_rows_belong_to_the_widest_component():
    gm, rows = fitted()
    shares = gm.predict_proba(1e155 * rows[:3])
    np.testing.assert_array_equal(np.sort(shares, axis=1), [[0.0, 1.0]] * 3)
    assert (gm.score_samples(1e155 * rows[:3]) < -1e280).all()


# Where noise runs out


def test_a_column_that_is_a_factor_is_no_collapse():
    """A Heywood case: its noise is at the floor, and the likelihood has a maximum."""
    rng = generator(12)
    rows = rng.normal(size=(200, 5))
    rows[:, 1:3] += 0.5 * rows[:, :1]
    family = bm.FactorAnalytic(1)
    gm = bm.GaussianMixture(1, covariance_type=family, random_state=0, max_iter=2000).fit(rows)
    assert gm.noise_variances_.min() > 0
    assert gm.result_.degenerate is None


def test_components_of_few_rows_are_named_and_have_no_value_in_a_selection():
    rows, _ = rows_of(generator(13), 8, 30, 1, 1)
    gm = bm.GaussianMixture(3, covariance_type=bm.FactorAnalytic(4), random_state=0)
    with pytest.warns(
        DegenerateComponentWarning, match="zero noise variance in .* columns .*kind='UUC'"
    ):
        gm.fit(rows)
    assert np.isfinite(gm.score_samples(rows)).all()
    assert gm.result_.degenerate is not None


def test_constant_columns_are_named_and_say_nothing_of_the_components():
    rows, _ = rows_of(generator(14), 60, 6, 2, 1, apart=3.0)
    rows[:, 2] = 7.0
    gm = bm.GaussianMixture(2, covariance_type=bm.FactorAnalytic(1), random_state=0)
    with pytest.warns(FlatDirectionWarning, match="column 2 is constant"):
        gm.fit(rows)
    np.testing.assert_array_equal(gm.means_[:, 2], 7.0)
    assert gm.noise_variances_[0, 2] == gm.noise_variances_[1, 2]
    rest = bm.GaussianMixture(2, covariance_type=bm.FactorAnalytic(1), random_state=0)
    rest.fit(np.delete(rows, 2, axis=1))
    np.testing.assert_array_equal(rest.predict(np.delete(rows, 2, axis=1)), gm.predict(rows))


# What is refused


def test_a_posterior_and_a_prior_are_refused_by_name():
    _, rows = fitted()
    family = bm.FactorAnalytic(1)
    with pytest.raises(UnsupportedError, match="no variational fit"):
        bm.BayesianGaussianMixture(2, covariance_type=family).fit(rows)
    with pytest.raises(UnsupportedError, match="prior=None"):
        bm.GaussianMixture(2, covariance_type=family, prior="auto").fit(rows)
    with pytest.raises(UnsupportedError, match="partial_fit does not support the family"):
        bm.GaussianMixture(2, covariance_type=family).partial_fit(rows)
    with pytest.raises(UnsupportedError, match="factors can rotate between draws"):
        family.as_draws([])


def test_what_needs_matrices_is_refused():
    _, rows = fitted()
    family = bm.FactorAnalytic(1)
    with pytest.raises(InvalidInputError, match="reg_covar must be 'auto'"):
        bm.GaussianMixture(2, covariance_type=family, reg_covar=1e-3).fit(rows)
    with pytest.raises(InvalidInputError, match="precisions_init must be None"):
        bm.GaussianMixture(2, covariance_type=family, precisions_init=np.ones((2, 6))).fit(rows)
    with pytest.raises(InvalidInputError, match="more columns than factors, got 6"):
        bm.GaussianMixture(2, covariance_type=bm.FactorAnalytic(6)).fit(rows)
    with pytest.raises(InvalidInputError, match="all 9 are equal"):
        bm.GaussianMixture(1, covariance_type=family).fit(np.ones((9, 3)))
    with pytest.raises(InvalidInputError, match="n_factors must be an integer of at least 1"):
        bm.FactorAnalytic(0)
    with pytest.raises(InvalidInputError, match="kind must be one of 'UUU', 'CUU', 'UUC'"):
        bm.FactorAnalytic(1, "UUV")


def test_matrices_that_do_not_fit_into_memory_are_refused_with_their_size(monkeypatch):
    gm, _ = fitted()
    monkeypatch.setattr(os, "sysconf", lambda name: 10 if name == "SC_PHYS_PAGES" else 100)
    with pytest.raises(InvalidInputError, match="covariances_ of 2 components over 6 columns"):
        _ = gm.covariances_
    assert not hasattr(bm.GaussianMixture(), "covariances_")


def test_a_pass_sees_blocks_as_it_sees_all_rows():
    rng = generator(15)
    components = drawn(rng, "UUU", 2, 50, 2)
    mixture = Mixture(PointWeights(np.array([0.3, 0.7])), components, Frame.identity(50))
    rows = components.draw(np.array([700, 900]), rng)
    step = ExpectationStep(mixture, CENTRED)
    whole = step(Rows(rows)).finished()
    parts = (step(Rows(rows[:431])) + step(Rows(rows[431:], first=431))).finished()
    assert parts.log_normaliser == pytest.approx(whole.log_normaliser, rel=1e-12)
    for found, expected in zip(parts.statistics.estimate, whole.statistics.estimate, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
