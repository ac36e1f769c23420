"""The rule of select: no undefined number decides, and what decided is said."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.core.parallel import in_turn
from bayesmix.errors import BayesmixWarning, SelectionWarning, UndefinedError
from bayesmix.selection.criteria import probabilities
from bayesmix.selection.data_checks import (
    Duplicates,
    LogScale,
    duplicates,
    log_scale,
    rounded_features,
)
from bayesmix.selection.scores import make_splits
from bayesmix.selection.structures import largest_number
from bayesmix.selection.summary_text import components
from bayesmix.sources.memory import ArraySource


def rotated(n_features=10, per_component=70, seed=0):
    """Three clusters, each with an orientation of its own."""
    rng = np.random.default_rng(seed)
    return np.vstack(
        [
            rng.normal(size=n_features) * 1.5
            + rng.normal(size=(per_component, n_features))
            @ (rng.normal(size=(n_features, n_features)) / math.sqrt(n_features))
            for _ in range(3)
        ]
    )


@pytest.fixture(scope="module")
def wine():
    return bm.select(load_wine().data)


# What evidence and clusters decide


def test_rotated_clusters_are_found_where_columns_are_many():
    assert bm.select(rotated()).best_params_ == {"covariance_type": "full", "n_components": 3}


@pytest.mark.slow
def test_probabilities_are_the_posterior_over_all_structures(wine):
    probabilities = wine.k_probabilities_
    assert probabilities.sum() == pytest.approx(1.0)
    table = wine.results_[wine.results_["elbo_log_k"].notna()]
    prior, alone = probabilities.attrs["prior"], (table["n_components"] == 1).sum()
    share = table["n_components"].map(prior) * np.where(table["n_components"] == 1, 4 / alone, 1.0)
    logs = table["elbo_log_k"] + np.log(share)
    expected = np.exp(logs - logs.max()).groupby(table["n_components"]).sum()
    expected = (expected / expected.sum()).reindex(probabilities.index)
    assert probabilities.to_numpy() == pytest.approx(expected.to_numpy())


@pytest.mark.slow
def test_a_structure_that_fails_hands_its_prior_share_to_nobody():
    rows = bm.datasets.load_faithful().to_numpy()[::3]
    both = bm.select(rows, (1, 2, 3), ("full", "tied"), criterion="elbo_log_k")
    first = replace(both._rows[0], estimator=None)
    before = probabilities(both._rows, both._prior_over_k).values[1:]
    after = probabilities([first, *both._rows[1:]], both._prior_over_k).values[1:]
    assert after / after.sum() == pytest.approx(before / before.sum())


@pytest.mark.slow
def test_twenty_five_clusters_lie_beyond_a_plateau():
    rng = np.random.default_rng(1)
    centres = np.array([[5.0 * i, 5.0 * j] for i in range(5) for j in range(5)])
    rows = np.repeat(centres, 40, axis=0) + rng.normal(size=(1000, 2))
    assert bm.select(rows, covariance_type="spherical").best_params_["n_components"] == 25


def test_folds_that_cannot_be_made_leave_clusters_to_draws_from_the_density():
    rows = np.random.default_rng(0).normal(size=(4, 1))
    search = bm.select(rows, (1, 2), ("full", "tied"))
    assert search.n_clusters_ == 1


@pytest.mark.slow
def test_a_leave_one_out_estimate_that_disowns_itself_chooses_nothing():
    with pytest.warns(UserWarning, match="no reliable loo.*so cv was used"):
        search = bm.select(rotated(), range(1, 6), "full", criterion="loo")
    assert search.criterion_ == "cv"
    assert search.best_params_["n_components"] == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "n_features", [2, *(pytest.param(d, marks=pytest.mark.nightly) for d in (1, 5))]
)
def test_one_normal_is_one_component(n_features):
    rng = np.random.default_rng([5, n_features])
    chosen = []
    for _ in range(6):
        rows = rng.normal(size=(60, n_features)) @ rng.normal(size=(n_features, n_features))
        chosen.append(bm.select(rows).best_params_["n_components"])
    # At 5 % each: more than one of six is a false alarm in thirty.
    assert sum(k > 1 for k in chosen) <= 1


@pytest.mark.slow
def test_an_interrupt_after_the_fits_keeps_what_they_say(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesmix.selection.clusters._choices", interrupted)
    search = bm.select(rotated(2, 600), covariance_type=("tied", "diag"))
    assert search.interrupted_
    assert search.best_estimator_.n_components_ >= 1


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"criterion": "bic"}, {"most_samples": 300}])
def test_an_interrupt_in_a_full_search_keeps_the_quick_fits(options, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    # Quick fits make no moves.
    monkeypatch.setattr("bayesmix.search.improver.Improver.improved", interrupted)
    with pytest.warns(BayesmixWarning, match="interrupted: compared the first"):
        search = bm.select(rotated(2, 600), covariance_type=("tied", "diag"), **options)
    assert search.interrupted_
    assert search.best_estimator_.n_components_ >= 1


# What is not counted as a cluster, and excludes nothing


@pytest.mark.slow
def test_five_outliers_are_no_five_components():
    rng = np.random.default_rng(3)
    rows = np.vstack([rng.normal(size=(495, 2)), rng.uniform(-20, 20, (5, 2))])
    assert bm.select(rows, noise=False).best_params_["n_components"] == 2
    search = bm.select(rows)
    assert search.best_params_["n_components"] == 1
    assert search.best_params_["noise"] == "uniform"


@pytest.mark.parametrize("n_clusters", [1, 2])
def test_a_lone_observation_is_no_part_of_a_cluster_though_many_shares_are_stray(n_clusters):
    rng = np.random.default_rng([86, n_clusters])
    groups = [rng.normal([9.0 * k, 0.0], 1.0, (199, 2)) for k in range(n_clusters)]
    rows = np.vstack([*groups, [[15.0, -12.0]]])
    with pytest.warns(SelectionWarning, match="1 observation is a suspected outlier"):
        search = bm.select(rows)
    assert search.n_clusters_ == n_clusters
    np.testing.assert_array_equal(
        np.flatnonzero(search.predict_clusters(rows) == -1), [len(rows) - 1]
    )


@pytest.mark.slow
def test_one_observation_far_away_hides_no_clusters():
    rng = np.random.default_rng(5)
    rows = np.vstack([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 8.0, [[1e6, 1e6]]])
    with pytest.warns(SelectionWarning, match="1 observation is a suspected outlier"):
        alone = bm.select(rows, noise=False)
    for search in (alone, bm.select(rows)):
        labels = search.predict_clusters(rows)
        assert labels[-1] == -1
        assert search.n_clusters_ == 2
        assert [len(set(labels[a:b])) for a, b in ((0, 60), (60, 120), (0, 121))] == [1, 1, 3]
    # By any criterion.
    with pytest.warns(SelectionWarning, match="too small to be a cluster"):
        bm.select(rows, (1, 2, 3), covariance_type="tied", criterion="bic")


def test_an_outlier_that_widens_a_cluster_is_given_a_component():
    rng = np.random.default_rng(0)
    arms = [rng.normal(size=(60, 2)) * scales for scales in ([6.0, 0.3], [0.3, 6.0])]
    with pytest.warns(SelectionWarning, match="1 observation is a suspected outlier"):
        search = bm.select(np.vstack([*arms, [[40.0, -30.0]]]), (1, 2, 3), "full", noise=False)
    assert (search.n_components_, search.n_clusters_) == (3, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "D"), [(45, 10), (60, 60), (60, 200)])
def test_clusters_far_apart_are_found_where_features_are_many(n, D):
    # A component of 20 observations was said to hold fewer than 31: one component, "1.00".
    g, z = np.random.default_rng(0), np.repeat([0, 1, 2], n // 3)
    rows = g.normal(size=(n, D))
    rows[:, 0] += 8 * z
    rows[:, 1] += 8 * (z == 1)
    search = bm.select(rows)
    assert (search.n_components_, search.n_clusters_) == (3, 3)
    assert all(len(set(search.predict(rows)[z == k])) == 1 for k in range(3))


@pytest.mark.slow
def test_structures_that_the_observations_cannot_estimate_are_left_out_in_a_line():
    rows = np.random.default_rng(1).normal(size=(30, 200))
    with pytest.warns(SelectionWarning, match="Not tried: full and tied covariance"):
        search = bm.select(rows)
    assert set(search.results_["covariance_type"]) == {"diag", "spherical"}
    assert max(map(len, re.findall(r"\d+", search.summary(verbose=True)))) <= 6


@pytest.mark.slow
def test_a_column_narrower_than_its_step_bars_no_clusters():
    # But for one row the last column is constant: whoever describes it is narrower than a step.
    rng = np.random.default_rng(5)
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    nearly_constant = np.where(np.arange(240) == 7, 6.0, 5.0)
    clusters = np.repeat(centres, 80, axis=0) + rng.normal(size=(240, 2))
    with pytest.warns(SelectionWarning, match="Binary features"):
        search = bm.select(np.column_stack([clusters, nearly_constant]))
    assert search.best_params_["n_components"] == 3


def test_a_column_that_names_the_clusters_hides_none():
    # Whatever describes them sits on one of its two values: one component was chosen, "1.00".
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], 60)
    rows = np.column_stack([rng.normal(size=(120, 2)) + 9.0 * labels[:, None], labels])
    with pytest.warns(SelectionWarning, match="Binary features: column 2"):
        search = bm.select(rows)
    assert search.best_params_["n_components"] == 2
    assert len(set(zip(search.predict(rows), labels, strict=True))) == 2


def test_a_component_of_too_few_observations_is_reported_with_its_size():
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(60, 2)), [[30.0, 30.0]]])
    labels = np.r_[np.zeros(60, int), 1]
    model = bm.BayesianGaussianMixture(
        2, prune=False, search=None, init_params=labels, random_state=0
    ).fit(rows)
    assert components(model.result_, np.array([0, -1]), (), "component") == [
        "1 observation is a suspected outlier: its component is too small to be a cluster."
    ]
    alone = bm.GaussianMixture(1).fit(rows).result_
    assert components(alone, np.array([0]), (), "component") == []


def test_rounded_features_are_told_from_others():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(1, 6, 200), rng.normal(size=200), np.zeros(200)])
    rows[:, 2] = np.round(rng.normal(size=200), 1)
    found = rounded_features(ArraySource(rows, columns=("score", "plain", "rounded")))
    assert [each.name for each in found] == ["score", "rounded"]
    assert found[0].step == 1.0
    assert found[0].n_values == 5
    assert found[1].step == pytest.approx(0.1)


def test_few_values_are_rounded_however_far_apart():
    # Weeks 0, 2, 4, 6 and 11 were five components at probability 1.00, without a word.
    weeks = np.random.default_rng(0).choice([0.0, 2.0, 4.0, 6.0, 11.0], (200, 1))
    found = rounded_features(ArraySource(weeks, columns=("week",)))
    assert [str(each) for each in found] == ["week (5 values)"]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_scale_of_few_values_is_said_wherever_components_are_found_on_it(seed):
    rows = np.random.default_rng([7, seed]).integers(1, 8, (300, 4)).astype(float)
    with pytest.warns(SelectionWarning, match=r"Rounded features: column 0 \(7 values in steps"):
        search = bm.select(rows, (1, 2, 3, 4), covariance_type="tied")
    assert search.best_params_["n_components"] > 1
    alone = bm.select(rows, (1,), covariance_type="tied")
    assert alone.cautions_ == []


@pytest.mark.slow
def test_components_narrower_than_rounding_are_reported_and_no_clusters():
    rng = np.random.default_rng(2)
    rows = rng.integers(1, 6, (200, 4)).astype(float)
    with pytest.warns(SelectionWarning, match=r"Rounded features: column \d \(5 values in steps"):
        search = bm.select(rows)
    result = search.best_estimator_.result_
    deviations = result.plug_in.components.unframed(result.mixture.frame).deviations
    narrow = (deviations < 0.5).any(axis=1)
    assert set(search.clusters_[narrow]) <= {-1} or narrow.all()
    assert narrow.any() == any("narrower than the rounding" in each for each in search.cautions_)


@pytest.mark.slow
def test_observations_recorded_ten_times_are_reported():
    rows = np.random.default_rng(8).normal(size=(60, 2))
    with pytest.warns(SelectionWarning, match="Every observation occurs 10 times"):
        search = bm.select(np.tile(rows, (10, 1)), (1, 2, 20), covariance_type="full")
    assert "the search used each once (n = 60)" in search.summary()


def test_folds_keep_copies_together():
    distinct = np.tile(np.arange(50), 3)
    splits = make_splits(5, np.zeros((150, 1)), 0, None, distinct)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(150))
    assert not any(set(distinct[s.train]) & set(distinct[s.test]) for s in splits)


def test_what_is_repeated_is_told_from_what_is_rounded():
    rng = np.random.default_rng(1)
    plain, rounded = rng.normal(size=(200, 2)), np.round(rng.normal(size=(200, 2)), 1)
    for rows in (plain, rounded, rng.integers(0, 6, (300, 1)), np.log(rng.poisson(9.0, (300, 2)))):
        assert duplicates(ArraySource(rows * 1.0)) == Duplicates()
    twice = duplicates(ArraySource(np.vstack([rounded, rounded])))
    assert twice.n_copies >= 200
    some = duplicates(ArraySource(np.vstack([plain, plain[:40]])))
    assert (some.n_copies, int(some.distinct.max())) == (40, 199)
    amounts = np.where(rng.random(400) < 0.4, 0.0, np.round(rng.gamma(2.0, 9.0, 400), 1))
    found = duplicates(ArraySource(np.column_stack([amounts, rng.normal(size=400)])))
    assert found.n_copies == 0
    assert len(found.values) == 1
    assert found.values[0].startswith("column 0 (0 in 39 %")


def test_many_zeros_among_amounts_are_said():
    rng = np.random.default_rng(1)
    amounts = np.where(rng.random(300) < 0.4, 0.0, rng.gamma(2.0, 9.0, 300))
    rows = np.column_stack([amounts, rng.normal(size=300)])
    with pytest.warns(SelectionWarning, match=r"Repeated values: column 0 \(0 in 4"):
        search = bm.select(rows, (1, 2, 3), covariance_type="diag", masses=None)
    assert "Repeated values" in search.summary()


def test_one_log_normal_of_many_components_is_said_to_be_skewed():
    # Six components at probability 0.9 and more, and no word.
    amounts = np.exp(np.random.default_rng(4).normal(size=(300, 2)) * [1.5, 1.0])
    with pytest.warns(
        SelectionWarning,
        match="has a better BIC than every candidate: consider taking logs of column 0, col",
    ):
        bm.select(amounts, (1, 2, 3), covariance_type="diag", column_powers=False)


def test_one_normal_on_the_log_scale_is_compared_by_its_bic():
    rng = np.random.default_rng(4)
    rows = np.column_stack([np.exp(rng.normal(size=80)), rng.normal(size=80)])
    weights = rng.integers(1, 4, 80) * 1.0
    logs = np.column_stack([np.log(rows[:, 0]), rows[:, 1]])
    one = stats.multivariate_normal(
        np.average(logs, axis=0, weights=weights), np.cov(logs.T, aweights=weights, ddof=0)
    )
    bic = weights @ (one.logpdf(logs) - logs[:, 0]) - 2.5 * np.log(weights.sum())
    found = log_scale(ArraySource(rows, weights, columns=("amount", "other")))
    assert found.columns == ("amount",)
    assert found.bic == pytest.approx(bic, rel=1e-12)
    doubled = log_scale(ArraySource(rows[:, [0, 0]]))
    assert doubled == log_scale(ArraySource(rng.normal(size=(80, 2)))) == LogScale()


def test_probabilities_of_intervals_are_not_compared_with_densities_of_logarithms():
    edges = np.arange(1.0, 40.0, 1.5)[:, None]
    measured = bm.Measured(edges + 0.75, lower=edges, upper=edges + 1.5)
    assert log_scale(measured) == LogScale()


# What is said


def test_a_candidate_of_one_component_more_describes_rows_as_well():
    # Ten components had lost 221 nats to nine, which were chosen as if ten were no edge.
    rng = np.random.default_rng(4)
    places = [np.array([6.0 * i, 6.0 * j]) for i in range(5) for j in range(5)]
    rows = np.vstack([rng.normal(size=(30, 2)) + place for place in places])
    search = bm.select(rows, range(1, 11), covariance_type="full")
    likelihoods = search.results_.set_index("n_components")["log_likelihood"].sort_index()
    assert (np.diff(likelihoods) > -1.0).all()
    assert search.best_params_["n_components"] == 10


@pytest.mark.slow
def test_what_larger_candidates_find_is_passed_down_to_the_smaller():
    # Four of these were 34 nats behind what six found, two of them next to empty.
    rng = np.random.default_rng([55, 34])
    n_clusters, n_features, n_rows = (
        int(rng.integers(*ends)) for ends in ((2, 7), (2, 8), (30, 120))
    )
    assert n_clusters == 4
    rows = np.vstack(
        [
            5.0 * np.outer(rng.normal(size=n_rows), rng.normal(size=n_features))
            + 0.3 * rng.normal(size=(n_rows, n_features))
            + 2.0 * rng.normal(size=n_features)
            for _ in range(n_clusters)
        ]
    )
    search = bm.select(rows, criterion="elbo_log_k")
    assert search.best_params_["n_components"] == 4


def test_a_range_of_the_user_has_no_warning_at_its_ends():
    rows, normal = rotated(2, 50), np.random.default_rng(0).normal(size=(80, 1))
    assert bm.select(rows, (1, 2), "full").cautions_ == []
    two = np.repeat([[0.0], [9.0]], 40, axis=0) + normal
    assert bm.select(two, (2, 3), "full").cautions_ == []
    assert bm.select(rows, 2, "full").cautions_ == []


def test_the_end_of_the_automatic_range_is_said():
    # Six observations estimate at most three variances.
    rows = np.repeat([[0.0], [50.0], [100.0]], 2, axis=0) + [[0.0], [1.0]] * 3
    with pytest.warns(SelectionWarning, match="K reached the automatic limit of 3"):
        search = bm.select(rows)
    assert search.n_components_ == 3


# Where K ends


def test_k_grows_as_far_as_the_observations_can_estimate_covariances():
    # (full, tied, diag, spherical)
    for n, D, expected in (
        (60, 30, (1, 30, 30, 30)),
        (60, 60, (0, 0, 30, 30)),
        (40, 35, (1, 5, 20, 20)),
        (500, 2, (166, 250, 250, 250)),
    ):
        found = [largest_number(each, n, D) for each in ("full", "tied", "diag", "spherical")]
        assert tuple(found) == expected
    assert largest_number(bm.FactorAnalytic(2), 60, 500) == 20


def test_too_few_observations_for_all_structures_leave_one_component():
    rows = np.random.default_rng(1).normal(size=(12, 50))
    with pytest.warns(SelectionWarning, match="Too few observations for 50 variables, so only K ="):
        search = bm.select(rows, covariance_type="full", n_jobs=1)
    assert "set n_components or use factor analysers." in search.summary()
    assert "Number of" not in search.summary()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["yes or no", "categories", "counts", "yes or no beside lengths"])
def test_k_of_independent_columns_is_not_limited_by_their_number(kind):
    rng, family = np.random.default_rng([86, 4]), None
    classes = rng.integers(0, 3, 100)
    shares = rng.choice([0.2, 0.5, 0.8], size=(3, 110))[classes]
    frame = pd.DataFrame(rng.random(shares.shape) < shares).add_prefix("q")
    if kind == "counts":
        frame, family = pd.DataFrame(rng.poisson(5.0 * shares)), bm.Poisson()
    elif kind == "categories":
        frame = (frame.astype(int) + (rng.random(shares.shape) < shares)).map("abc".__getitem__)
    elif kind == "yes or no beside lengths":
        frame["length"] = rng.normal(20.0, 2.0, len(frame))
    search = bm.select(frame, family=family, n_jobs=1)
    assert adjusted_rand_score(classes, search.predict_clusters(frame)) > 0.9
    assert search.n_clusters_ == 3


def test_jobs_in_turn_come_back_in_order_from_workers_too(monkeypatch):
    monkeypatch.setattr("bayesmix.core.parallel.SECONDS_ALONE", -1.0)
    assert list(in_turn(pow, [(2, 3), (3, 2), (5, 1)], 2, 0.0)) == [8, 9, 5]


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["bic", "elbo_log_k", "auto"])
def test_units_change_neither_choice_nor_criterion(criterion):
    rows = load_wine().data[:, :5]
    units = 10.0 ** np.array([3.0, -2.0, 0.0, 5.0, -1.0])
    structures = ("full", "tied", "diag")
    plain = bm.select(rows, (1, 2, 3), structures, criterion)
    scaled = bm.select(rows * units, (1, 2, 3), structures, criterion)
    assert scaled.best_params_ == plain.best_params_
    name = plain.criterion_
    jacobian = len(rows) * np.log(units).sum()
    if criterion == "bic":  # -2 log likelihood
        jacobian *= -2.0
    assert scaled.results_[name].to_numpy() + jacobian == pytest.approx(
        plain.results_[name].to_numpy(), abs=1e-4
    )


# Bands


@pytest.fixture(scope="module")
def few_eruptions():
    """Rows, of which it is open how many components they have, and their average."""
    rows = bm.datasets.load_faithful().to_numpy()[::3]
    return rows, bm.select(rows, (2, 3), "tied", criterion="elbo_log_k").averaged_


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("method", ["variational", "gibbs"])
def test_a_band_over_candidates_holds_that_of_each(few_eruptions, method, simultaneous):
    rows, average = few_eruptions
    options = {"level": 0.9, "simultaneous": simultaneous, "method": method, "data": rows}
    of_each = [
        estimator.density_interval(rows[:5], n_draws=30, random_state=place, **options)
        for place, estimator in enumerate(average.estimators)
    ]
    assert len(of_each) == 2
    band = average.density_interval(rows[:5], n_draws=30, random_state=0, **options)
    lowest, highest = np.min(of_each, axis=0)[:, 0], np.max(of_each, axis=0)[:, 1]
    np.testing.assert_array_equal(band, np.column_stack([lowest, highest]))
    assert all((band != one).any() for one in of_each)


def test_a_band_leaves_out_what_rows_made_less_probable_than_its_level_lets(few_eruptions):
    rows, average = few_eruptions
    first = average.estimators[0]
    alone = first.density_interval(rows[:5], n_draws=400, random_state=0)
    for prior, left_out in ((0.9, True), (0.6, True), (0.4, False), (0.1, False)):
        given = replace(
            average, shares=np.array([0.95, 0.05]), prior=np.array([1.0 - prior, prior])
        )
        band = given.density_interval(rows[:5], level=0.9, random_state=0)
        assert np.array_equal(band, alone) == left_out
    # Of a level of one half no more is left than what rows made at least half as probable.
    given = replace(given, prior=np.array([0.89, 0.11]))
    assert given.plausible(0.5) == [True, False]


@pytest.mark.slow
def test_shares_before_the_rows_are_the_prior_that_was_asked(few_eruptions):
    rows, average = few_eruptions
    np.testing.assert_array_equal(average.prior, [0.5, 0.5])
    search = bm.select(rows, (1, 2, 3), ("full", "tied"), "elbo_log_k", prior_over_k={1: 1, 2: 3})
    for label, prior in zip(search.averaged_.labels, search.averaged_.prior, strict=True):
        assert prior == pytest.approx(0.25 / 2 if label.startswith("1 ") else 0.75 / 2)
    held_out = bm.select(rows, (1, 2), "tied", criterion="cv").averaged_
    np.testing.assert_array_equal(held_out.prior, 1 / 2)


def test_a_band_needs_a_posterior():
    search = bm.MixtureSearch(n_components=(1, 2), random_state=0).fit(rotated(2, 40))
    with pytest.raises((UndefinedError, ValueError), match="posterior"):
        search.density_interval(rotated(2, 5))


def test_rows_of_length_one_are_told_as_directions(run, tmp_path):
    rng = np.random.default_rng(90)
    rows = rng.normal(size=(200, 3)) + 4.0 * np.eye(3)[rng.integers(0, 2, 200)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    told = "All observations have length 1, as directions have: compare family='von_mises_fisher'."
    assert told in bm.select(rows, (1, 2)).summary()
    assert told not in bm.select(rows[:, :2], (1, 2)).summary()
    assert told not in bm.select(rows, (1, 2), family="von_mises_fisher").summary()
    pd.DataFrame(rows, columns=["x", "y", "z"]).to_csv(tmp_path / "rows.csv", index=False)
    shown = run("select", "rows.csv", "--components", "1:2", "--quiet").output
    assert "--family von_mises_fisher" in " ".join(shown.split())
