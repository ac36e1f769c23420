"""The bootstrap likelihood-ratio test: what is counted, and how often it errs."""

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.assess import stability as resampling
from bayesmix.assess.likelihood_ratio import PairOfFits, likelihood_ratio_test
from bayesmix.assess.stability import to_refit
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.searching.fitters import SourceFitter
from bayesmix.sources.memory import ArraySource


def two_clusters(apart, n=40, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0.0, 1.0, n), rng.normal(apart, 1.0, n)])[:, None]


def quick(**options):
    """One component; fits make one start and end early, which is enough for a ratio."""
    options = {"search": None, **options}
    return bm.GaussianMixture(
        1, covariance_type="tied", tol=1e-4, max_iter=1000, n_jobs=1, **options
    )


@pytest.fixture(scope="module")
def apart():
    return likelihood_ratio_test(
        quick(), two_clusters(6.0), n_resamples=19, n_jobs=1, random_state=0
    )


def test_the_statistic_is_twice_the_difference_of_maximised_likelihoods(apart):
    X = two_clusters(6.0)
    logs = [
        bm.GaussianMixture(k, covariance_type="tied", random_state=0).fit(X).log_likelihood_
        for k in (1, 2)
    ]
    assert apart.statistic == pytest.approx(2.0 * (logs[1] - logs[0]), rel=1e-3)
    assert apart.n_components == 1
    assert (apart.smaller.n_components, apart.larger.n_components) == (1, 2)


def test_two_clusters_reject_one_component_and_not_two(apart):
    assert apart.p_value == 0.05
    assert apart.called_for
    assert apart.summary().startswith("K=1 is rejected in favour of K=2 (p = 0.05)")
    again = likelihood_ratio_test(
        quick(), two_clusters(6.0), n_components=2, n_resamples=19, n_jobs=1, random_state=0
    )
    # Under K=2 the p-value is about uniform: false alarm 1 in 20.
    assert again.p_value > 0.05
    assert not again.called_for


@pytest.mark.nightly
@pytest.mark.slow
def test_p_values_are_uniform_under_the_null():
    # K=1 is true. The p-value of 9 replicates takes 0.1, ..., 1.0, each with probability 1/10, as
    # the statistic does not depend on location and scale (false alarm of each bound: 1 in 10,000).
    n_sets, shares = 40, []
    for seed in range(n_sets):
        X = np.random.default_rng(seed).normal(size=(40, 1))
        test = likelihood_ratio_test(
            quick(),
            X,
            n_resamples=9,
            n_jobs=1,
            random_state=seed,
        )
        shares.append(test.p_value)
    for level in (0.2, 0.5):
        low, high = stats.binom.ppf([5e-5, 1 - 5e-5], n_sets, level)
        assert low <= np.sum(np.array(shares) <= level + 1e-9) <= high


def test_the_ratio_of_nested_fits_is_never_negative(apart):
    assert (apart.replicates >= 0.0).all()


def test_a_data_set_that_fails_counts_as_one_with_a_larger_ratio(monkeypatch):
    def fails_at_odd(self, number):
        return np.nan if number % 2 else 0.0

    monkeypatch.setattr(PairOfFits, "__call__", fails_at_odd)
    test = likelihood_ratio_test(
        quick(), two_clusters(6.0), n_resamples=19, n_jobs=1, random_state=0
    )
    assert test.n_failed == 9
    assert test.p_value == (1 + 9) / 20
    assert "9 of 19 data sets could not be fitted" in test.summary()


def test_a_data_set_whose_fit_collapses_has_no_value():
    null = bm.GaussianMixture(1, random_state=0).fit(np.repeat([0.0, 1.0, 2.0, 3.0], 20)[:, None])

    class Tied(type(null.result_)):
        """Draws rows of which most are the same."""

        def draw(self, n, generator):
            return np.append(np.zeros(n - 30), generator.normal(50.0, 1.0, 30))[:, None], None

    tied = object.__new__(Tied)
    tied.__dict__.update(null.result_.__dict__)
    task = PairOfFits(to_refit(bm.GaussianMixture(1), 0, 1)._fitter, 1, tied, 60, 0)
    assert np.isnan(task(0))


@pytest.mark.slow
def test_workers_change_no_number(monkeypatch):
    X = two_clusters(2.0)
    alone = likelihood_ratio_test(quick(), X, n_resamples=4, n_jobs=1, random_state=5)
    monkeypatch.setattr("bayesmix.core.parallel.SECONDS_ALONE", 0.0)
    monkeypatch.setattr(resampling, "resolve_jobs", lambda n_jobs: n_jobs)
    shared = likelihood_ratio_test(quick(), X, n_resamples=4, n_jobs=2, random_state=5)
    np.testing.assert_array_equal(alone.replicates, shared.replicates)


def test_a_weight_of_two_is_the_row_twice():
    X = two_clusters(3.0)
    twice = likelihood_ratio_test(quick(), np.repeat(X, 2, axis=0), n_resamples=3, random_state=0)
    for rows, weights in ((X, np.full(len(X), 2.0)), (ArraySource(X, np.full(len(X), 2.0)), None)):
        weighted = likelihood_ratio_test(
            quick(), rows, n_resamples=3, sample_weight=weights, random_state=0
        )
        assert weighted.statistic == pytest.approx(twice.statistic, rel=1e-6)
        np.testing.assert_allclose(weighted.replicates, twice.replicates, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_fitted_models_searches_other_families_and_modes_are_tested():
    X = two_clusters(6.0)
    fitted = bm.GaussianMixture(1, covariance_type="tied", random_state=0).fit(X)
    assert likelihood_ratio_test(fitted, X, n_resamples=2, random_state=0).n_components == 1
    search = bm.MixtureSearch(quick(), n_components=(1, 2), random_state=0).fit(X)
    assert likelihood_ratio_test(search, X, n_resamples=1, random_state=0).n_components == 2
    started = bm.GaussianMixture(2, means_init=[[0.0], [6.0]], random_state=0)
    assert likelihood_ratio_test(started, X, n_resamples=1, random_state=0).n_components == 2
    mode = bm.GaussianMixture(1, prior="auto", random_state=0)
    assert np.isfinite(likelihood_ratio_test(mode, X, n_resamples=2, random_state=0).statistic)
    counts = np.random.default_rng(0).poisson([3.0, 30.0], (40, 2)).reshape(-1, 1)
    poisson = bm.Mixture(1, family=bm.Poisson(), random_state=0)
    assert likelihood_ratio_test(
        poisson, counts, n_resamples=19, n_jobs=1, random_state=0
    ).called_for


def test_what_has_no_maximised_likelihood_is_refused():
    X = two_clusters(2.0)
    with pytest.raises(UnsupportedError, match="compare the log evidence"):
        likelihood_ratio_test(bm.BayesianGaussianMixture(2), X)
    with pytest.raises(InvalidInputError, match="mixture estimator"):
        likelihood_ratio_test(object(), X)
    with pytest.raises(InvalidInputError, match="n_components"):
        likelihood_ratio_test(quick(), X, n_components=0)
    with pytest.raises(InvalidInputError, match="n_resamples"):
        likelihood_ratio_test(quick(), X, n_resamples=True)
    tied = np.append(np.zeros(40), np.random.default_rng(0).normal(50.0, 1.0, 30))[:, None]
    with (
        pytest.warns(bm.errors.DegenerateComponentWarning),
        pytest.raises(UnsupportedError, match="use a prior"),
    ):
        likelihood_ratio_test(bm.GaussianMixture(1, random_state=0), tied)


def test_the_larger_fit_begins_near_the_smaller_one_as_well(monkeypatch):
    begun = []
    plain = SourceFitter.fit

    def heard(self, candidate, warm_starts=()):
        begun.extend((candidate.n_components, mixture.n_components) for mixture in warm_starts)
        return plain(self, candidate, warm_starts)

    monkeypatch.setattr(SourceFitter, "fit", heard)
    likelihood_ratio_test(quick(), two_clusters(6.0), n_resamples=2, n_jobs=1, random_state=0)
    assert begun == [(2, 1)] * 3
