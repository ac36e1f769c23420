"""Laws of choosing: folds see nothing held out, errors are paired, averages are densities."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.optimize import minimize
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.model_selection import GroupKFold, KFold, RepeatedKFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

import bayesmix as bm
from bayesmix.assess.averaging import stacking
from bayesmix.assess.prior_sensitivity import grid
from bayesmix.em.display import of_search
from bayesmix.errors import BayesmixError, SelectionWarning, UnsupportedError
from bayesmix.families.product.prior import label_of
from bayesmix.selection.criteria import within_one_error
from bayesmix.selection.pipelines import log_stretch
from bayesmix.selection.scores import HeldOut, Score, combined, make_splits
from bayesmix.selection.sweep import Sweep
from bayesmix.selection.tasks import Task

FAITHFUL = bm.datasets.load_faithful().to_numpy()


def two_groups(n=120, seed=0):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.0, 1.0, (n // 2, 2)), rng.normal(5.0, 1.0, (n - n // 2, 2))
    return rng.permutation(np.vstack([first, second]))


def variational(**options):
    return bm.BayesianGaussianMixture(
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
        random_state=0,
        **options,
    )


def swept(estimator, X, splits, numbers=(1, 2, 3), **options):
    candidates = [{"n_components": k} for k in numbers]
    sweep = Sweep(Task(estimator._fitter(X), splits, **options), [candidates])
    list(sweep.fit_all(1))
    return sweep


# Folds


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator", [bm.GaussianMixture(random_state=0), variational()], ids=["em", "variational"]
)
def test_no_fit_of_a_fold_changes_when_its_held_out_rows_do(estimator):
    X = two_groups()
    splits = make_splits(3, X, 0)
    changed = X.copy()
    changed[splits[1].test] = changed[splits[1].test] * 1e6 + 1e8
    before, after = swept(estimator, X, splits), swept(estimator, changed, splits)
    fits = [row.begin for row in before.done(0, 1)], [row.begin for row in after.done(0, 1)]
    for one, other in zip(*fits, strict=True):
        assert np.array_equal(one.components.means, other.components.means)
        assert np.array_equal(one.frame.scale, other.frame.scale)
        assert np.array_equal(one.weights.mean(), other.weights.mean())
    others = [row.begin for row in before.done(0, 0)], [row.begin for row in after.done(0, 0)]
    assert not np.array_equal(others[0][1].components.means, others[1][1].components.means)


def test_held_out_density_is_that_of_separate_fits_to_the_folds():
    X = two_groups()
    search = bm.MixtureSearch(n_components=(2,), criterion="cv", cv=KFold(4), random_state=0).fit(X)
    total = 0.0
    for train, test in KFold(4).split(X):
        model = bm.GaussianMixture(2, search="short", random_state=0).fit(X[train])
        total += model.score_samples(X[test]).sum()
    assert search.best_score_ == pytest.approx(total, rel=1e-12)
    assert len(search.folds_) == 4
    assert search.folds_["held_out"] @ search.folds_["rows"] == pytest.approx(total)


@pytest.mark.slow
def test_workers_change_no_number(monkeypatch):
    X = two_groups()
    options = {"n_components": (1, 2, 3), "criterion": "cv", "cv": 3, "random_state": 3}
    alone = bm.MixtureSearch(n_jobs=1, **options).fit(X)
    monkeypatch.setattr("bayesmix.core.parallel.SECONDS_ALONE", -1.0)
    together = bm.MixtureSearch(n_jobs=2, **options).fit(X)
    timed = ["seconds"]
    pd.testing.assert_frame_equal(
        alone.results_.drop(columns=timed), together.results_.drop(columns=timed), check_exact=True
    )
    pd.testing.assert_frame_equal(
        alone.folds_.drop(columns=timed).sort_values(["candidate", "fold"], ignore_index=True),
        together.folds_.drop(columns=timed).sort_values(["candidate", "fold"], ignore_index=True),
        check_exact=True,
    )


def test_rows_that_weigh_twice_are_held_out_twice():
    X = two_groups(60)
    weights = np.where(np.arange(60) % 3 == 0, 2.0, 1.0)
    search = bm.MixtureSearch(n_components=(2,), criterion="cv", cv=KFold(3), random_state=0)
    score = search.fit(X, sample_weight=weights).best_score_
    held = search.held_out_[0]
    assert held.weights == pytest.approx(weights)
    assert score == pytest.approx(held.density @ weights)


def test_groups_and_order_in_time_are_kept():
    X = two_groups(60)
    groups = np.repeat(np.arange(12), 5)
    for split in make_splits(GroupKFold(3), X, 0, groups):
        assert not set(groups[split.train]) & set(groups[split.test])
    search = bm.MixtureSearch(n_components=(1, 2), criterion="cv", cv=TimeSeriesSplit(3))
    held = search.fit(X).held_out_[0]
    assert (held.weights[:15] == 0).all()
    assert (held.weights[15:] == 1).all()
    with pytest.raises(ValueError, match="groups need a splitter"):
        bm.MixtureSearch(n_components=(1,), criterion="cv").fit(X, groups=groups)


def test_a_row_of_repeated_folds_has_the_mean_of_its_densities():
    X = two_groups(40)
    cv = RepeatedKFold(n_splits=4, n_repeats=3, random_state=0)
    search = bm.MixtureSearch(n_components=(2,), criterion="cv", cv=cv, random_state=0).fit(X)
    held = search.held_out_[0]
    assert (held.weights == 1).all()
    assert len(search.folds_) == 12
    parts = [(np.array([0, 1]), np.array([-1.0, -2.0])), (np.array([1]), np.array([-4.0]))]
    assert combined(parts, np.ones(3)).density.tolist() == [-1.0, -3.0, 0.0]
    assert combined(parts, np.ones(3)).weights.tolist() == [1.0, 1.0, 0.0]


# Scores


def test_the_error_of_a_difference_is_that_of_pairs():
    rng = np.random.default_rng(0)
    common, own = rng.normal(0, 10, 200), rng.normal(0, 0.1, 200)
    one, other = HeldOut(common + own, np.ones(200)), HeldOut(common, np.ones(200))
    difference = one.less(other)
    assert difference.value == pytest.approx(own.sum())
    assert difference.standard_error == pytest.approx(own.std(ddof=1) * math.sqrt(200))
    assert one.score.standard_error > 50 * difference.standard_error


def test_one_standard_error_takes_the_fewest_parameters_that_are_not_worse():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, 400)
    best = HeldOut(noise, np.ones(400))
    close = HeldOut(noise - 0.01 + 0.5 * (-1.0) ** np.arange(400), np.ones(400))
    far = HeldOut(noise - 1.0, np.ones(400))
    assert best.less(close).value < best.less(close).standard_error
    assert within_one_error([far, close, best, None], [1, 2, 3, 0]) == 1
    assert within_one_error([far, None, best], [1, 2, 3]) == 2


def test_stacking_maximises_the_mixed_density():
    rng = np.random.default_rng(2)
    densities = rng.normal(-3, 1, (300, 3))
    weights = rng.integers(1, 4, 300).astype(float)

    def loss(free):
        shares = np.exp(free - free.max())
        shares /= shares.sum()
        return -weights @ np.log(np.exp(densities) @ shares)

    found = stacking(densities, weights)
    assert found.sum() == pytest.approx(1.0)
    best = minimize(loss, np.zeros(3), tol=1e-12)
    assert -weights @ np.log(np.exp(densities) @ found) == pytest.approx(best.fun, abs=1e-5)


def test_every_criterion_is_its_formula():
    search = bm.MixtureSearch(n_components=(1, 3), random_state=0).fit(FAITHFUL)
    (model, one), table = search.estimators_, search.results_
    row, p, n = table.iloc[0], 17, 272
    log_likelihood = model.score(FAITHFUL) * n
    r = model.predict_proba(FAITHFUL)
    entropy = -np.sum(r * np.log(np.maximum(r, 1e-300)))
    assert row["bic"] == pytest.approx(-2 * log_likelihood + p * math.log(n))
    assert row["bic"] == pytest.approx(model.bic(FAITHFUL))
    assert row["sabic"] == pytest.approx(-2 * log_likelihood + p * math.log((n + 2) / 24))
    assert row["hqc"] == pytest.approx(-2 * log_likelihood + 2 * p * math.log(math.log(n)))
    assert row["aic"] == pytest.approx(-2 * log_likelihood + 2 * p)
    assert row["aicc"] == pytest.approx(row["aic"] + 2 * p * (p + 1) / (n - p - 1))
    assert row["icl"] == pytest.approx(row["bic"] - 2 * np.log(r.max(axis=1)).sum())
    assert row["icl_soft"] == pytest.approx(row["bic"] + 2 * entropy)
    assert search.best_score_ == row["bic"]
    assert table["behind"][1] == pytest.approx(table["bic"][1] - row["bic"])
    assert row["nec"] == pytest.approx(entropy / (log_likelihood - one.score(FAITHFUL) * n))
    assert table["nec"][1] == 1.0


@pytest.mark.slow
def test_hannan_quinn_is_computed_by_hand_and_undefined_below_three_samples(tmp_path):
    X = np.random.default_rng(0).normal(3, 2, (60, 1))
    by_hand = 60 * (math.log(2 * math.pi * X.var()) + 1) + 2 * 2 * math.log(math.log(60))
    search = bm.MixtureSearch(n_components=(1, 2), criterion="hqc").fit(X)
    one = search.results_.set_index("n_components").loc[1]
    assert one["hqc"] == pytest.approx(by_hand)
    assert search.best_score_ == search.results_["hqc"].min()
    assert "best by Hannan-Quinn criterion" in search.summary()
    search.report(tmp_path / "search.html")
    assert ">Hannan-Quinn criterion (used)<" in (tmp_path / "search.html").read_text("utf-8")
    few = bm.MixtureSearch(n_components=(1, 2)).fit(X, sample_weight=np.full(60, 0.04))
    assert few.results_["hqc"].tolist() == [math.inf, math.inf]  # log log 2.4 < 0
    assert math.isfinite(few.best_score_)


def test_a_criterion_of_ones_own_stands_beside_the_others():
    def parameters(result, source):
        return Score(-result.n_parameters, 0.5, "")

    search = bm.MixtureSearch(n_components=(1, 2), criterion=parameters, also="cv", cv=3)
    search.fit(two_groups(60))
    assert search.best_params_ == {"n_components": 1}
    assert search.results_["parameters_se"].tolist() == [0.5, 0.5]
    assert {"bic", "icl", "cv", "cv_se", "cv_behind"} <= set(search.results_)


def test_a_candidate_that_fails_in_a_fold_is_a_row_with_its_reason():
    X = two_groups(8)  # enough for two full covariances; the five rows left by a fold are not
    search = bm.MixtureSearch(n_components=(1, 2), criterion="cv", cv=3, random_state=0).fit(X)
    last = search.results_.iloc[1]
    assert math.isfinite(last["bic"])
    assert math.isnan(last["cv"])
    assert "fold 0: failed: the likelihood has no maximum: n_components=2 needs" in last["note"]
    assert search.best_params_["n_components"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("criterion", "factor"), [("bic", 1e-3), ("icl", 1e3), ("elbo_log_k", 1e3), ("cv", 1e-3)]
)
def test_units_change_no_choice(criterion, factor):
    structures = ["full", "diag"]
    X = FAITHFUL[::2]
    plain = bm.select(X, (1, 2, 3, 4), structures, criterion)
    scaled = bm.select(X * factor, (1, 2, 3, 4), structures, criterion)
    assert scaled.best_params_ == plain.best_params_


# In sentences


def test_one_component_is_not_compared_with_itself_by_another_name():
    rows = np.random.default_rng(0).normal(size=(200, 2)) @ np.array([[1.0, 0.9], [0.0, 0.5]])
    search = bm.select(rows, n_components=[1, 2], random_state=0, n_jobs=1)
    assert search.summary().startswith("1 cluster (probability 0.99).\nCluster 1 (100 %, n = 200)")
    assert "Model: 1 normal component with full covariance (n = 200, " in search.summary()
    assert "1 component, tied" not in search.summary(verbose=True)


@pytest.mark.slow
def test_a_summary_answers_in_lines_of_known_order():
    search = bm.select(FAITHFUL)
    name = "ELBO + log K! + log P(K)"
    k, behind = search.k_probabilities_.nlargest(3), search.results_["behind"]
    assert behind.min() == 0.0
    assert search.summary().splitlines() == [
        "2 clusters (probability 0.99).",
        *search.describe(FAITHFUL).sentences,
        "",
        "Model: 2 normal components with full covariance (n = 272, 2 features).",
        "Chosen: 2 components, full covariance (the simplest within 10 nats of the best with 2 "
        f"clusters). Best by {name}: 3 components, tied covariance (+{behind[0]:.2f} nats).",
        "Other criteria: BIC 3 (tied), ICL 2 (full), AIC 4 (tied).",
    ]
    verbose = search.summary(verbose=True)
    assert verbose.startswith(search.summary())
    gained = f"3 components, tied covariance (+{behind[0]:.2f} nats); "
    assert f"Compared with the chosen one by {name}: {gained}" in verbose
    assert search.answer_.choice in search.summary()
    assert "The prior over K decreases with K" in verbose
    numbers = ", ".join(f"{n} ({p:.2f})" for n, p in k.items())
    assert f"Number of components by evidence alone: {numbers}." in verbose


@pytest.mark.slow
def test_a_summary_says_what_another_criterion_was_worth_and_what_came_next():
    search = bm.select(FAITHFUL, criterion="bic")
    lines, first, second = search.summary().splitlines(), *search.candidates_[:2]
    bic = search.results_["bic"]
    assert lines[0] == "3 components by BIC form 2 clusters (probability 0.99)."
    assert lines[4] == "Model: 3 normal components with tied covariance (n = 272, 2 features)."
    assert "Labels: predict_clusters for clusters, predict for components." in lines[5]
    assert (
        "Chosen: 3 components, tied covariance (best by BIC, "
        f"{first.estimator.bic(FAITHFUL):,.1f}). Next: {second.n_components} "
        f"components, {second.parameters['covariance_type']} covariance (+{bic[1] - bic[0]:.2f})."
    ) in lines
    others = next(line for line in lines if line.startswith("Other criteria"))
    assert "BIC" not in others


def test_a_search_of_candidates_with_noise_compares_by_bic():
    lines = bm.select(FAITHFUL, 2, "full", noise=True).summary().splitlines()
    line = next(line for line in lines if line.startswith("Chosen: "))
    assert line.startswith("Chosen: 2 components, full covariance (best by BIC, 2,")


def test_the_prior_over_k_is_in_the_verbose_summary():
    flat = bm.MixtureSearch(variational(), n_components=(1, 2)).fit(two_groups(40))
    assert "The prior over K is uniform from 1 to 2" in flat.summary(verbose=True)
    given = bm.MixtureSearch(variational(), n_components=(1, 2), prior_over_k={1: 1, 2: 3})
    assert "The prior over K was given by the user" in given.fit(two_groups(40)).summary(
        verbose=True
    )


def test_other_criteria_are_named_whatever_they_choose_and_asked_what_for_in_the_verbose_summary():
    search = bm.select(bm.datasets.load_iris(), (1, 2, 3, 4), "full")
    assert "Other criteria: BIC 2, ICL 2, AIC 4." in search.summary()
    assert "ICL estimates the number of well-separated clusters." in search.summary(verbose=True)


def test_one_move_and_one_component_are_not_plural():
    start = SimpleNamespace(stage="start", objective=-10.0)
    move = SimpleNamespace(stage="swap", objective=-9.0, gain=1.0, accepted=True)
    assert "1 of 1 split-and-merge moves" in of_search([start, move], 10.0, 1e-4)
    assert "2 of 2 split-and-merge moves" in of_search([start, move, move], 10.0, 1e-4)
    alone = bm.select(two_groups(40), (1,), "full")
    assert alone.summary().startswith("1 cluster.\n")
    assert "Model: 1 normal component with full" in alone.summary()


# Probabilities and averages


@pytest.fixture(scope="module")
def bayesian():
    return bm.MixtureSearch(variational(), n_components=(1, 2, 3)).fit(FAITHFUL)


def test_probabilities_over_k_are_bound_times_prior(bayesian):
    found = bayesian.k_probabilities_
    bounds = bayesian.results_.set_index("n_components")["elbo_log_k"].sort_index()
    assert list(found.index) == list(bounds.index)
    expected = np.exp(bounds - bounds.max())
    assert found.to_numpy() == pytest.approx((expected / expected.sum()).to_numpy())
    assert found.attrs["prior"] == {1: 1 / 3, 2: 1 / 3, 3: 1 / 3}
    assert "approximation" in found.attrs["evidence"]


def test_a_prior_over_k_multiplies_the_odds(bayesian):
    search = bm.MixtureSearch(variational(), n_components=(2, 3), prior_over_k={2: 1, 3: 9})
    found = search.fit(FAITHFUL).k_probabilities_
    flat = bayesian.k_probabilities_
    assert found[3] / found[2] == pytest.approx(9 * flat[3] / flat[2])
    for wrong in ({7: 1.0}, {2: -1.0, 3: 2.0}, "uniform"):
        with pytest.raises(ValueError, match="prior_over_k"):
            bm.MixtureSearch(variational(), n_components=(2,), prior_over_k=wrong).fit(FAITHFUL)


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (bm.GaussianMixture(), "have no log evidence"),
        (bm.BayesianGaussianMixture(), "number of occupied components"),
        (
            bm.BayesianGaussianMixture(
                weight_concentration_prior_type="dirichlet_distribution",
                weight_concentration_prior=0.01,
            ),
            "below 1",
        ),
    ],
    ids=["likelihood", "sticks", "sparse"],
)
def test_no_probabilities_where_there_is_no_evidence(estimator, reason):
    search = bm.MixtureSearch(estimator, n_components=(1, 2)).fit(two_groups(40))
    assert not hasattr(search, "k_probabilities_")
    with pytest.raises(ValueError, match=reason):
        _ = search.k_probabilities_


@pytest.mark.parametrize("criterion", ["bic", "aic", "cv"])
def test_an_averaged_density_integrates_to_one(criterion):
    X = FAITHFUL[:, :1]
    search = bm.MixtureSearch(n_components=(1, 2, 3), criterion=criterion, random_state=0).fit(X)
    average = search.averaged_
    grid = np.linspace(-20, 30, 20_001)[:, None]
    density = np.exp(average.score_samples(grid))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1.0, abs=1e-6)
    parts = [np.exp(each.score_samples(X)) for each in average.estimators]
    assert np.exp(average.score_samples(X)) == pytest.approx(average.shares @ np.array(parts))


def test_the_averaged_density_is_sampled(bayesian):
    average = bayesian.averaged_
    drawn = average.sample(20_000, random_state=0)
    assert drawn.shape == (20_000, 2)
    assert np.array_equal(drawn, average.sample(20_000, random_state=0))
    means = sum(
        share * each.weights_ @ each.means_
        for share, each in zip(average.shares, average.estimators, strict=True)
    )
    error = FAITHFUL.std(axis=0) / math.sqrt(20_000)
    # 5 standard errors: a false alarm in two million.
    assert (np.abs(drawn.mean(axis=0) - means) < 5 * error).all()


def frames_with_further_columns():
    """Columns to fit, and frames of them that ``predict`` reads: by names, in any order."""
    faithful = bm.datasets.load_faithful()
    rng, n = np.random.default_rng(8), len(faithful)
    beside = {"id": range(n), "day": pd.date_range("2020", periods=n)}
    levels = np.where(rng.random(n) < 0.2 + 0.6 * (faithful["eruptions"] > 3.0), "a", "b")
    amounts = pd.DataFrame({"paid": np.exp(faithful["eruptions"]), "z": rng.normal(size=n)})
    for name, plain in {
        "numbers": faithful,
        "mixed": faithful.assign(kind=levels),
        "amounts": amounts,
    }.items():
        named = plain.assign(**beside)[["day", *plain.columns, "id"]]
        yield pytest.param(plain, named, id=name)
    text = faithful.assign(waiting=[f"{value:.0f} min" for value in faithful["waiting"]])
    yield pytest.param(faithful, text.assign(**beside), id="text")


@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")
@pytest.mark.parametrize(("plain", "named"), [*frames_with_further_columns()])
def test_averages_and_regions_read_frames_as_predictions_do(plain, named):
    first, second = (bm.select(frame, (1, 2), "full") for frame in (plain, named))
    named = named[named.columns[::-1]]
    average, other = first.averaged_, second.averaged_
    np.testing.assert_allclose(other.score_samples(named), average.score_samples(plain), rtol=1e-6)
    np.testing.assert_allclose(second.score_samples(named), first.score_samples(plain), rtol=1e-6)
    bands = [
        search.density_interval(frame[:3], data=frame, n_draws=20)
        for search, frame in ((first, plain), (second, named), (average, plain), (other, named))
    ]
    for band in bands[1:]:
        np.testing.assert_allclose(band, bands[0], rtol=1e-6)
    together = [each.co_clustering(X, [0, 1, 5]) for each, X in ((average, plain), (other, named))]
    np.testing.assert_allclose(*together, rtol=1e-6)
    drawn = pd.DataFrame(other.sample(20, random_state=0), columns=[*second.feature_names_in_])
    assert np.isfinite(second.score_samples(drawn)).all()
    inside = [
        bm.conformal_region(search, frame, random_state=0).contains(frame)
        for search, frame in ((first, plain), (second, named))
    ]
    np.testing.assert_array_equal(*inside)
    if second.best_estimator_.result_.family.drawn_columns:
        place = str(plain.columns[0])
        for model in (second, other):
            ax = bm.plot_density(model, named, Figure().subplots(), columns=place)
            assert ax.get_xlabel() == place


def test_co_clustering_is_averaged_over_candidates(bayesian):
    together = bayesian.averaged_.co_clustering(FAITHFUL)
    assert together.shape == (272, 272)
    assert together == pytest.approx(together.T)
    assert (np.diag(together) == 1.0).all()
    assert together.min() >= 0.0
    assert together.max() <= 1.0 + 1e-12
    some = bayesian.averaged_.co_clustering(FAITHFUL, rows=[3, 50, 7])
    assert some == pytest.approx(together[np.ix_([3, 50, 7], [3, 50, 7])])
    with pytest.raises(ValueError, match="rows must select at most"):
        bayesian.averaged_.co_clustering(np.zeros((6000, 2)))


def test_a_criterion_about_clusters_gives_no_average():
    search = bm.MixtureSearch(n_components=(1, 2), criterion="icl").fit(two_groups(40))
    with pytest.raises(ValueError, match="gives no weights for model averaging"):
        _ = search.averaged_


# Pipelines


def test_densities_of_a_pipeline_are_in_units_of_the_rows():
    X = two_groups() * [1.0, 1000.0]
    plain = bm.MixtureSearch(n_components=(2,), criterion="cv", random_state=0).fit(X)
    piped = make_pipeline(StandardScaler(), bm.GaussianMixture(random_state=0))
    scaled = bm.MixtureSearch(piped, n_components=(2,), criterion="cv", random_state=0).fit(X)
    assert scaled.best_score_ == pytest.approx(plain.best_score_, rel=1e-8)
    scaler = StandardScaler().fit(X)
    assert log_stretch(make_pipeline(scaler), X) == pytest.approx(-np.log(scaler.scale_).sum())


def test_steps_that_are_not_affine_have_no_held_out_density():
    X = np.exp(two_groups(60) / 5)
    piped = make_pipeline(PowerTransformer(), bm.GaussianMixture(random_state=0))
    search = bm.MixtureSearch(piped, n_components=(1,), criterion="cv", cv=3)
    with pytest.raises(ValueError, match="not affine"):
        search.fit(X)


# Nested cross-validation


@pytest.mark.slow
def test_nested_densities_are_those_of_the_procedure_run_on_each_fold():
    X = two_groups(90)
    search = bm.MixtureSearch(n_components=(1, 2, 3), random_state=0)
    found = bm.nested_cv({"em": search, "one": bm.GaussianMixture(random_state=0)}, X, cv=KFold(3))
    expected, numbers = np.zeros(90), []
    for train, test in KFold(3).split(X):
        expected[test] = search.fit(X[train]).score_samples(X[test])
        numbers.append(search.best_estimator_.n_components)
    assert found.held["em"].density == pytest.approx(expected, rel=1e-12)
    assert found.scores.loc["em", "held_out"] == pytest.approx(expected.mean())
    assert found.score("em").standard_error == pytest.approx(expected.std(ddof=1) / math.sqrt(90))
    difference = found.differences.iloc[0]
    paired = found.held["em"].density - found.held["one"].density
    assert difference["difference"] == pytest.approx(paired.mean())
    assert difference["standard_error"] == pytest.approx(paired.std(ddof=1) / math.sqrt(90))
    assert found.table.query("procedure == 'em'")["n_components"].tolist() == numbers
    assert "em is better than one" in found.summary()


def test_nested_results_do_not_depend_on_workers():
    X = two_groups(60)
    procedures = {"cv": bm.MixtureSearch(n_components=(1, 2), criterion="cv", cv=3)}
    one, two = (bm.nested_cv(procedures, X, 3, n_jobs=n, random_state=1) for n in (1, 2))
    assert np.array_equal(one.held["cv"].density, two.held["cv"].density)
    columns = ["n_components", "held_out", "naive"]
    pd.testing.assert_frame_equal(one.table[columns], two.table[columns], check_exact=True)


def test_preprocessing_happens_inside_the_folds():
    X = two_groups(60)
    X[0] = 1e4  # moves the scaler of every fold that is fitted to it
    piped = make_pipeline(StandardScaler(), bm.GaussianMixture(2, random_state=0))
    found = bm.nested_cv(piped, X, cv=KFold(3))
    first, rest = np.arange(20), np.arange(20, 60)
    scaler = StandardScaler().fit(X[rest])
    model = bm.GaussianMixture(2, random_state=0).fit(scaler.transform(X[rest]))
    expected = model.score_samples(scaler.transform(X[first])) - np.log(scaler.scale_).sum()
    assert found.held["procedure"].density[first] == pytest.approx(expected)


def test_what_is_no_procedure_is_refused():
    with pytest.raises(ValueError, match="fit and score_samples"):
        bm.nested_cv({"a": 3}, FAITHFUL)
    with pytest.raises(ValueError, match="at least one"):
        bm.nested_cv({}, FAITHFUL)
    with pytest.raises(ValueError, match="failed in every fold"):
        bm.nested_cv(bm.GaussianMixture(40), two_groups(20), cv=2)


@pytest.mark.slow
def test_the_score_that_chose_is_optimistic():
    """Twelve candidates that differ by chance alone: the best one's own score is too good.

    Each is a normal density that its prior fixes, at a distance of 1 from where the rows come from.
    """
    priors = [
        bm.GaussianPrior(
            mean=sign * axis, mean_precision=1e9, degrees_of_freedom=1e9, covariance=np.full(6, 1e9)
        )
        for axis in np.eye(6)
        for sign in (-1.0, 1.0)
    ]
    search = bm.MixtureSearch(
        bm.GaussianMixture(covariance_type="diag", search=None),
        n_components=1,
        param_grid={"prior": priors},
        criterion="cv",
        cv=3,
    )
    optimism = []
    for seed in range(6):
        X = np.random.default_rng(seed).normal(size=(40, 6))
        found = bm.nested_cv(search, X, cv=3, n_jobs=1, random_state=0)
        optimism.append(found.scores["optimism"].iloc[0])
    error = np.std(optimism, ddof=1) / math.sqrt(len(optimism))
    # Expected are 0.38 nats per observation, with an error of 0.06.
    assert np.mean(optimism) > 3 * error


def test_a_search_without_any_value_says_why():
    search = bm.MixtureSearch(bm.BayesianGaussianMixture(), (1, 4), criterion="auto")
    with pytest.raises(ValueError, match="stick-breaking"):
        search.fit(two_groups(60))


def test_estimators_of_scikit_learn_are_procedures_too():
    found = bm.nested_cv(SklearnMixture(2, random_state=0), two_groups(60), cv=3)
    assert found.table["n_components"].tolist() == [2, 2, 2]


# Priors


@pytest.mark.slow
def test_the_number_of_components_under_a_grid_of_priors():
    X = two_groups(80)
    search = bm.select(X, (1, 2, 3), "diag", "elbo_log_k")
    found = bm.prior_sensitivity(search, X, n_components=(1, 2), n_jobs=1)
    assert len(found.table) == 27
    assert found.probabilities.sum(axis=1).to_numpy() == pytest.approx(np.ones(27))
    chosen = found.table["chosen"]
    assert f"K=2 under {(chosen == 2).sum()} of 27 priors" in found.summary()
    assert found.shares.sum() == pytest.approx(1.0)
    ax = bm.plots.plot_sensitivity(found, ax=Figure().subplots())
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == [f"{k}\n{(chosen == k).sum()} of 27" for k in (1, 2)]
    heights = np.sort(np.concatenate([line.get_ydata() for line in ax.get_lines()]))
    assert np.array_equal(heights, np.sort(found.probabilities.to_numpy().ravel()))
    assert len({tuple(row) for row in found.table.iloc[:, :4].astype(str).to_numpy()}) == 27
    with pytest.raises(ValueError, match="have no log evidence"):
        bm.prior_sensitivity(bm.select(X, (1, 2), "diag", "bic"), X)


@pytest.mark.slow
def test_the_number_of_classes_under_other_masses_of_the_prior_over_levels():
    rng = np.random.default_rng(3)
    own = rng.integers(0, 2, 90)
    answers = rng.integers(0, 2, (90, 4)) + own[:, None]
    table = pd.DataFrame(np.array(["no", "some", "yes"])[answers], columns=list("abcd"))
    table.loc[::9, "a"] = None
    search = bm.select(table, (1, 2), "full", "elbo_log_k", family=bm.Categorical(), missing="use")
    assert "a (3 levels)" in search.summary(verbose=True)
    found = bm.prior_sensitivity(search, table, n_jobs=1)
    assert len(found.table) == 15
    assert set(found.table["mass"]) == {0.25, 0.5, 1.0, 2.0, 4.0}
    assert found.probabilities.sum(axis=1).to_numpy() == pytest.approx(np.ones(15))
    default = (found.table["mass"] == 1.0) & (found.table["weight_concentration"] == 1.0)
    expected = search.k_probabilities_.to_numpy()
    assert found.probabilities[default].to_numpy()[0] == pytest.approx(expected, rel=1e-3)
    # Each prior is really fitted with: no two give the same probability.
    assert found.probabilities[1].nunique() == 15


def test_components_of_zeros_alone_are_named():
    rng = np.random.default_rng(4)
    visits = np.where(rng.random(150) < 0.6, 0, 1 + rng.poisson(5.0, 150))
    table = pd.DataFrame({"visits": visits, "calls": rng.poisson(3.0, 150)})
    with pytest.warns(SelectionWarning, match=r"Many zeros: visits \(57 %; component 1\)"):
        search = bm.select(table, (1, 2), criterion="bic", family=bm.Poisson())
    assert any("Many zeros: visits" in line for line in search.summary().splitlines())
    alone = bm.MixtureSearch(bm.Mixture(family=bm.Poisson()), (1, 2)).fit(table[["calls"]])
    assert alone.cautions_ == []


def test_zeros_are_looked_for_in_their_own_column_beside_a_repeated_one():
    rng = np.random.default_rng(4)
    visits = np.where(rng.random(150) < 0.6, 0, 1 + rng.poisson(5.0, 150))
    length = rng.normal(size=150)
    noisy = length / 2 + 0.3 * rng.normal(size=150)
    table = pd.DataFrame({"cm": length, "inch": noisy, "visits": visits})
    search = bm.select(table, (1, 2), criterion="bic", counts=["visits"])
    assert any("Many zeros: visits" in line for line in search.cautions_)


def test_a_category_in_one_fold_alone_is_the_reason_where_no_candidate_can_be_held_out():
    table = pd.DataFrame({"colour": ["red", "blue"] * 10 + ["green"]})
    with pytest.raises(BayesmixError, match="the other folds lack their categories"):
        bm.select(table, (1, 2), criterion="cv")


def test_masses_are_varied_of_the_parts_of_a_product_that_have_levels():
    family = bm.Product(
        {"a": bm.Categorical([["n", "y", "z"]]), "b": bm.Poisson(), 2: bm.Bernoulli()}
    )
    inference = bm.VariationalBayes(prior=bm.ProductPrior({"b": bm.GammaPrior(2.0, 1.0)}))
    priors = list(grid(bm.Mixture(family=family, inference=inference), family, None))
    assert len(priors) == 15
    parts = {
        label_of(key): prior for key, prior in priors[0].parameters["inference"].prior.parts.items()
    }
    assert parts == {
        "a": bm.CategoricalPrior(per_share=0.25),
        "b": bm.GammaPrior(2.0, 1.0),
        "2": bm.BetaPrior(0.25, 0.25),
    }
    with pytest.raises(UnsupportedError, match="got Poisson"):
        grid(bm.Mixture(family=bm.Poisson()), bm.Poisson(), None)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("high", "must return a number or a bayesmix.Score, got 'high'"),
        (math.nan, "no candidate has a value of mine: it is not finite for any fit"),
    ],
)
def test_a_criterion_of_the_user_that_has_no_number_says_so(value, why):
    def mine(fit, source):
        return value

    with pytest.raises(BayesmixError, match=why):
        bm.MixtureSearch(n_components=(1, 2), criterion=mine, n_jobs=1).fit(two_groups())
