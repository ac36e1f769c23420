"""Rows that belong to no component: mclust's fits, the bound by the slow reference, and what a far
row may do.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from reference import prior_from_covariance
from reference import slow_vb as vb
from scipy import stats
from scipy.special import betaln, digamma, xlogy
from scipy.stats import multivariate_normal

import bayesmix as bm
from bayesmix.allocation.noise import hypervolume
from bayesmix.assess.uniform_noise import gain_of_noise
from bayesmix.errors import BayesmixWarning, InvalidInputError, SelectionWarning, UnsupportedError
from bayesmix.selection.scores import make_splits
from bayesmix.sources.memory import ArraySource
from laws.cases import generator

FAR = np.array(
    [
        [1, 3, 5.5, 0.5, 5.2, 4.8, 1.2, 3.2, 2, 4],
        [95, 100, 45, 60, 100, 50, 90, 40, 75, 60],
    ]
).T

# mclust 6.0.0, R 4: with X the rows of ``geysers``, z the indicators of the labels,
# me(X, modelName, z, Vinv = hypvol(X, reciprocal = TRUE), control = emControl(1e-14, itmax = 1e5)).
MCLUST = {
    "full": (-1221.1444442814868, 0.070307190626951677),
    "tied": (-1232.9240752547969, 0.063395011082370931),
    "diag": (-1231.7460295826529, 0.099498769852207666),
    "spherical": (-1546.031247697154, 0.79235876059331845),
    "EEI": (-1243.3394293915264, 0.091311560912718345),
    "EII": (-1547.8455987524192, 0.79200358732866594),
    "VEI": (-1239.4809233527442, 0.09063353844263905),
    "EVI": (-1237.54443153444, 0.095076360614978442),
}
OF_ONE_COLUMN = (-305.00507647695582, 0.099539013570207502)
TURNED = (-2071.8153604025929, 0.051962106634536882)


def geysers():
    """Old Faithful with ten rows that are none of its eruptions, and labels to begin at."""
    own = bm.datasets.load_faithful().to_numpy(float)
    labels = np.where(own[:, 0] > 3, 0, 1)
    return np.vstack([own, FAR]), np.append(labels, np.full(len(FAR), -1))


def contaminated(seed, far=60.0):
    """495 normal rows and five far ones."""
    rng = generator(seed)
    return np.vstack([rng.normal(size=(495, 2)), rng.uniform(-far, far, (5, 2))])


def from_labels(labels, **options):
    return bm.GaussianMixture(2, noise="uniform", init_params=labels, max_iter=10**5, **options)


# Other programs, other formulas


@pytest.mark.parametrize("covariance", MCLUST)
def test_mclusts_fits_with_noise(covariance):
    rows, labels = geysers()
    model = from_labels(labels, covariance_type=covariance).fit(rows)
    log_likelihood, weight = MCLUST[covariance]
    assert model.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-6)
    assert model.noise_weight_ == pytest.approx(weight, abs=1e-4)
    assert model.noise_weight_ + model.weights_.sum() == pytest.approx(1.0)


def test_mclusts_fits_with_noise_of_one_column_and_along_principal_axes():
    rows, labels = geysers()
    of_one = from_labels(labels).fit(rows[:, :1])
    assert of_one.log_likelihood_ == pytest.approx(OF_ONE_COLUMN[0], abs=1e-6)
    turned = (rows * [10.0, 1.0]) @ np.array([[1.0, -1.0], [1.0, 1.0]])
    model = from_labels(labels).fit(turned)
    assert np.exp(hypervolume(turned).log_volume) == pytest.approx(8471.15)
    assert model.log_likelihood_ == pytest.approx(TURNED[0], abs=1e-6)


@pytest.mark.parametrize("weights", ["dirichlet_distribution", "dirichlet_process"])
@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_the_bound_is_that_of_the_components_and_of_a_weight_split_off_before_theirs(
    covariance, weights
):
    rows, labels = geysers()
    scale = np.diag([0.5, 40.0])
    given = {"full": scale, "tied": scale, "diag": np.diag(scale), "spherical": 3.0}[covariance]
    letters = prior_from_covariance(
        covariance, covariance_prior=given, nu0=4.0, beta0=0.1, m0=[3.0, 70.0], alpha0=0.8
    )
    model = bm.BayesianGaussianMixture(
        2,
        covariance_type=covariance,
        weight_concentration_prior_type=weights,
        weight_concentration_prior=0.8,
        mean_precision_prior=0.1,
        mean_prior=[3.0, 70.0],
        degrees_of_freedom_prior=4.0,
        covariance_prior=given,
        prune=False,
        noise="uniform",
        init_params=labels,
        max_iter=10**5,
    ).fit(rows)
    shares = model.responsibilities(rows)
    assert shares.shape == (282, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    kind = {"dirichlet_distribution": "dirichlet", "dirichlet_process": "dp_closed"}[weights]
    q = vb.m_step(rows, shares[:, :2], covariance, kind, letters)
    noisy = shares[:, 2].sum()
    a, b = 1.0 + noisy, 1.0 + len(rows) - noisy
    log_weight, log_rest = digamma([a, b]) - digamma(a + b)
    of_noise = noisy * (log_weight - np.log(np.ptp(rows, axis=0)).sum())
    of_noise += (len(rows) - noisy) * log_rest - xlogy(shares[:, 2], shares[:, 2]).sum()
    kl = (a - 1.0) * log_weight + (b - 1.0) * log_rest - betaln(a, b)
    expected = vb.elbo(rows, shares[:, :2], q, letters) + of_noise - kl
    assert model.elbo_ == pytest.approx(expected, rel=1e-8)
    assert model.noise_weight_ == pytest.approx(a / (a + b), rel=1e-5)


def test_the_density_is_that_of_components_and_box_and_rows_are_drawn_from_it():
    rows, labels = geysers()
    model = from_labels(labels).fit(rows)
    box = np.array([rows.min(axis=0), rows.max(axis=0)])
    rng = generator(1)
    some = np.vstack([rng.uniform(*box, (50, 2)), box, [[3.0, 120.0]]])
    parts = zip(model.weights_, model.means_, model.covariances_, strict=True)
    density = sum(w * multivariate_normal(m, c).pdf(some) for w, m, c in parts)
    inside = ((some >= box[0]) & (some <= box[1])).all(axis=1)
    density = density + model.noise_weight_ * inside / np.prod(box[1] - box[0])
    np.testing.assert_allclose(np.exp(model.score_samples(some)), density, rtol=1e-9)
    drawn, whose = model.sample(20_000, random_state=0)
    share = (whose == -1).mean()
    # z = 4.5 standard errors of a share.
    spread = np.sqrt(model.noise_weight_ * (1.0 - model.noise_weight_) / 20_000)
    assert abs(share - model.noise_weight_) < 4.5 * spread
    noise = drawn[whose == -1]
    assert (noise >= box[0]).all()
    assert (noise <= box[1]).all()
    np.testing.assert_allclose(noise.mean(axis=0), box.mean(axis=0), rtol=0.1)


def test_the_box_holds_the_rows_it_was_made_of_wherever_they_lie():
    rng = generator(2)
    for offset in (0.0, 1e8):
        rows = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)) + offset
        box = hypervolume(rows)
        assert box.axes is not None
        assert box.inside(rows).all()
        assert not box.inside(rows + 100.0).any()
        drawn = box.draw(1_000, rng)
        assert box.inside(drawn).all()


# What it is for


@pytest.mark.parametrize("seed", range(3))
def test_five_far_rows_are_noise_and_the_others_one_cluster(seed):
    rows = contaminated(seed)
    search = bm.select(rows, n_components=[1, 2, 3], covariance_type="full", noise=True)
    best = search.best_estimator_
    assert search.best_params_["n_components"] == 1
    labels = best.predict(rows)
    inner = np.abs(rows[495:]).max(axis=1) < 5.0
    assert (labels[495:][~inner] == -1).all()
    assert (labels[:495] == 0).mean() > 0.99
    assert search.predict_proba(rows).shape == (500, 2)
    assert len(best.get_feature_names_out()) == 2


def test_a_search_over_many_components_goes_from_one_fit_with_noise_to_the_next():
    rng = generator(9)
    rows = rng.standard_t(2, (600, 2))
    rows[:300, 0] += 12.0
    estimator = bm.GaussianMixture(search="short", noise="uniform", max_iter=1000)
    search = bm.MixtureSearch(estimator, [1, 2, 3, 4], criterion="bic", random_state=0).fit(rows)
    assert search.results_["bic"].notna().all()
    assert search.best_params_["n_components"] >= 2


@pytest.mark.slow
def test_a_search_chooses_whether_there_is_noise():
    rng = generator(10)
    rows = np.vstack([rng.normal(size=(195, 2)), rng.uniform(-60, 60, (5, 2))])
    search = bm.MixtureSearch(
        bm.GaussianMixture(),
        n_components=(1, 2),
        param_grid={"noise": [None, "uniform"]},
        criterion="bic",
        random_state=0,
    ).fit(rows)
    assert len(search.results_) == 4
    assert search.best_params_["n_components"] == 1
    assert search.best_params_["noise"] == "uniform"
    assert (search.predict(rows)[-5:] == -1).all()


@pytest.mark.slow
def test_a_variational_fit_drops_what_it_does_not_need_beside_the_noise():
    rows = contaminated(4)
    model = bm.BayesianGaussianMixture(3, noise="uniform", random_state=0, max_iter=500).fit(rows)
    assert model.n_components_ == 1
    assert 3 <= (model.predict(rows) == -1).sum() <= 7


def test_a_row_very_far_away_changes_nothing():
    rng = generator(5)
    rows = np.vstack([rng.normal(size=(250, 2)), rng.normal(8.0, 1.5, size=(250, 2))])
    labels = np.repeat([0, 1], 250)
    alone = bm.GaussianMixture(2, init_params=labels, max_iter=10**5).fit(rows)
    far = np.vstack([rows, [[1e6, -1e6]]])
    model = from_labels(np.append(labels, -1)).fit(far)
    np.testing.assert_allclose(model.means_, alone.means_, atol=1e-6)
    np.testing.assert_allclose(model.covariances_, alone.covariances_, atol=1e-6)
    assert model.predict(far)[-1] == -1
    assert model.noise_weight_ == pytest.approx(1 / 501, rel=1e-4)


def test_rows_beyond_all_rows_of_the_fit_are_noise():
    rows = contaminated(6)
    model = bm.GaussianMixture(1, noise="uniform", random_state=0).fit(rows)
    beyond = np.array([[1e3, 0.0], [0.0, 1e200], [0.0, 0.0]])
    assert model.predict(beyond).tolist() == [-1, -1, 0]
    np.testing.assert_array_equal(model.predict_proba(beyond)[:2], [[0.0, 1.0]] * 2)


def test_noise_has_its_share_where_clusters_are_too_far_apart_for_features():
    rng = generator(9)
    far = 1e5 * np.ones(3)
    rows = np.vstack([rng.normal(size=(150, 3)), far + rng.normal(size=(100, 3))])
    rows = np.vstack([rows, rng.uniform(0.0, 1e5, (20, 3))])
    labels = np.repeat([0, 1, -1], [150, 100, 20])
    model = from_labels(labels).fit(rows)
    assert model.result_.form == "centred"
    assert model.noise_weight_ == pytest.approx(20 / 270, abs=1e-6)
    assert model.result_.objective == pytest.approx(model.score_samples(rows).sum(), abs=1e-6)


# What stays as it was


@pytest.mark.parametrize(
    "model",
    [
        bm.GaussianMixture(2, noise="uniform", random_state=0, acceleration=None, max_iter=300),
        bm.GaussianMixture(2, prior="auto", covariance_type="diag", noise="uniform"),
        bm.BayesianGaussianMixture(3, covariance_type="tied", noise="uniform"),
    ],
    ids=["em", "map", "variational"],
)
def test_the_objective_never_falls_and_weights_of_rows_are_repetitions(model):
    rows, labels = geysers()
    start = np.clip(labels, -1, 1)
    model.set_params(init_params=start, max_iter=3000, random_state=0, prune=False) if hasattr(
        model, "prune"
    ) else model.set_params(init_params=start, max_iter=3000, random_state=0)
    model.fit(rows)
    trace = model.objective_trace_
    assert np.diff(trace).min() >= -1e-12 * np.abs(trace).max()
    once = np.append(rows, rows[-20:], axis=0)
    repeated = model.set_params(init_params=np.append(start, start[-20:])).fit(once)
    bound, weight = repeated.lower_bound_, repeated.noise_weight_
    counts = np.append(np.ones(262), np.full(20, 2.0))
    weighted = model.set_params(init_params=start).fit(rows, sample_weight=counts)
    assert weighted.lower_bound_ == pytest.approx(bound, rel=1e-7)
    assert weighted.noise_weight_ == pytest.approx(weight, rel=1e-3)


def test_criteria_count_the_weight_of_the_noise_and_no_component_more():
    rows, labels = geysers()
    model = from_labels(labels).fit(rows)
    assert model.result_.n_parameters == 11 + 1
    assert model.n_components_ == 2
    assert model.bic() == pytest.approx(-2.0 * model.log_likelihood_ + 12 * np.log(282))
    assert model.bic(rows) == pytest.approx(model.bic())


def test_a_saved_mixture_with_noise_says_the_same(tmp_path):
    rows, labels = geysers()
    turned = rows @ np.array([[1.0, -1.0], [1.0, 1.0]])
    fits = [
        from_labels(labels).fit(rows),
        bm.BayesianGaussianMixture(2, noise="uniform", init_params=labels, max_iter=500).fit(
            turned
        ),
    ]
    for place, model in enumerate(fits):
        model.save(tmp_path / str(place))
        loaded = bm.load(tmp_path / str(place))
        np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
        np.testing.assert_array_equal(loaded.score_samples(turned), model.score_samples(turned))
        assert loaded.noise_weight_ == model.noise_weight_


# A density of one's own


def test_noise_may_have_any_density(tmp_path):
    rows, labels = geysers()
    wide = bm.GaussianMixture(1, reg_covar=100.0).fit(rows)
    beside = from_labels(labels).set_params(noise=wide).fit(rows)
    by_hand = from_labels(labels).set_params(noise=lambda x: wide.score_samples(x)).fit(rows)
    assert beside.log_likelihood_ == pytest.approx(by_hand.log_likelihood_, rel=1e-12)
    shares = beside.predict_proba(rows)
    joint = np.log(beside.noise_weight_) + wide.score_samples(rows)
    np.testing.assert_allclose(np.log(shares[:, 2]), joint - beside.score_samples(rows), atol=1e-8)
    assert (beside.sample(500, random_state=0)[1] == -1).any()
    with pytest.raises(UnsupportedError, match="noise given as a function"):
        by_hand.sample(500, random_state=0)
    with pytest.raises(UnsupportedError, match="cannot be saved"):
        beside.save(tmp_path / "model")


@pytest.mark.parametrize("noise", ["normal", 0.1])
def test_what_is_no_density_is_refused(noise):
    with pytest.raises(InvalidInputError, match="noise must be None, a boolean, 'uniform'"):
        bm.GaussianMixture(1, noise=noise).fit(contaminated(7))


def test_rows_without_volume_are_refused():
    rows = np.column_stack([contaminated(8), np.ones(500)])
    with pytest.raises(InvalidInputError, match="the data is 0"):
        bm.GaussianMixture(1, noise="uniform").fit(rows)


def test_rows_that_are_fewer_than_columns_have_no_volume():
    few = np.random.default_rng(0).normal(size=(5, 6))
    with pytest.raises(InvalidInputError, match="5 observations need fewer than 5 columns"):
        bm.GaussianMixture(1, noise="uniform").fit(few)


def test_what_does_not_know_of_noise_refuses_it():
    rows, labels = geysers()
    point = from_labels(labels).fit(rows)
    vb_fit = bm.BayesianGaussianMixture(
        2, noise="uniform", init_params=labels, max_iter=500, prune=False
    ).fit(rows)
    for refused in (
        lambda: vb_fit.density_interval(rows),
        lambda: vb_fit.sample_posterior(),
        lambda: vb_fit.marginal([0]),
        lambda: bm.gibbs(vb_fit, rows),
        lambda: bm.plot_density(point, rows[:, :1], columns=0, band=0.9),
        lambda: bm.merge_components(point, rows),
        lambda: bm.likelihood_ratio_test(point, rows, n_resamples=3),
        point.to_sklearn,
    ):
        with pytest.raises(UnsupportedError, match="does not support noise"):
            refused()
    with pytest.raises(UnsupportedError, match="partial_fit does not support noise"):
        bm.GaussianMixture(2, noise="uniform").partial_fit(rows)
    with pytest.raises(InvalidInputError, match="criterion='evidence' does not support noise"):
        bm.select(rows, criterion="evidence", noise=True)


def test_the_table_of_components_has_a_line_for_noise():
    rows, labels = geysers()
    gm = from_labels(labels).fit(rows)
    table = gm.summary().splitlines()
    noise = next(line.split() for line in table if line.split()[0] == "noise")
    first = next(line.split() for line in table if line.split()[0] == "1")
    assert float(noise[1]) == pytest.approx(gm.noise_weight_, abs=5e-4)
    assert float(noise[2]) == pytest.approx(gm.predict_proba(rows)[:, -1].sum(), abs=0.06)
    assert float(first[1]) == pytest.approx(gm.weights_[0], abs=5e-4)


def test_noise_and_heavy_tails_compete_in_one_table_by_one_criterion():
    rng = np.random.default_rng(21)
    rows = np.vstack([rng.normal(size=(95, 2)), rng.uniform(-60.0, 60.0, (5, 2))])
    families = [bm.StudentT(degrees_of_freedom=4), bm.Gaussian()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)
        search = bm.select(rows, (1, 2), "full", noise=True, family=families)
    table = search.results_
    assert len(table) == 4
    beside = table["noise"] == "uniform"
    assert {one.name for one in table["family"][beside]} == {"gaussian"}
    assert {one.name for one in table["family"][~beside]} == {"student_t"}
    assert search.best_params_["noise"] == "uniform"
    alone = bm.GaussianMixture(1, noise="uniform", random_state=0).fit(rows)
    assert search.best_estimator_.log_likelihood_ == pytest.approx(alone.log_likelihood_, abs=1e-4)
    same = bm.Mixture(1, family=bm.Gaussian(), noise="uniform", random_state=0).fit(rows)
    assert same.log_likelihood_ == alone.log_likelihood_
    assert same.noise_weight_ == alone.noise_weight_
    with pytest.raises(UnsupportedError, match="or a Product, got family=Poisson"):
        bm.Mixture(1, family=bm.Poisson(), noise="uniform").fit(np.abs(rows).round())
    with pytest.raises(UnsupportedError, match=r"needs Gaussian\(\) or a Product"):
        bm.select(rows, (1, 2), noise=True, family=bm.StudentT())


def mixed_table_with_noise():
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 2, 300)
    levels = np.array(["u", "v", "w"])
    clusters = {
        "a": rng.normal(8.0 * cluster),
        "b": rng.normal(-6.0 * cluster),
        "c": levels[np.where(rng.random(300) < 0.8, cluster, 2)],
        "n": rng.poisson(1.0 + 6.0 * cluster),
    }
    far = {
        "a": rng.uniform(-40.0, 40.0, 9),
        "b": rng.uniform(-40.0, 40.0, 9),
        "c": rng.choice(levels, 9),
        "n": rng.integers(0, 12, 9),
    }
    return pd.concat([pd.DataFrame(clusters), pd.DataFrame(far)], ignore_index=True)


def test_noise_of_a_mixed_table_is_uniform_over_intervals_levels_and_counts():
    table = mixed_table_with_noise()
    with pytest.warns(BayesmixWarning, match="columns: counts: n"):
        model = bm.Mixture(2, family="auto", noise=True, random_state=0).fit(table)
    numbers = table[["a", "b"]].to_numpy()
    normals, levels, counts = (model.components_[name] for name in ("a", "c", "n"))
    codes = [levels.levels[0].index(level) for level in table["c"]]
    density = np.zeros(len(table))
    for k, weight in enumerate(model.weights_):
        normal = multivariate_normal(normals["means"][k], normals["covariances"][k]).pdf(numbers)
        probabilities = np.ravel(levels["probabilities"][k])[codes]
        poisson = stats.poisson.pmf(table["n"], np.ravel(counts["rates"][k])[0])
        density += weight * normal * probabilities * poisson
    volume = np.ptp(numbers, axis=0).prod() * 3 * (np.ptp(table["n"]) + 1)
    density += model.noise_weight_ / volume
    np.testing.assert_allclose(model.score_samples(table), np.log(density), atol=1e-12)
    assert (model.predict(table)[300:] == -1).sum() >= 7
    drawn, labels = model.sample(2000, random_state=0)
    noise = drawn[labels == -1]
    assert len(noise) > 20
    assert set(noise["c"]) == {"u", "v", "w"}
    assert (noise["n"] == noise["n"].round()).all()
    assert noise["n"].between(table["n"].min(), table["n"].max()).all()


def test_the_order_of_tied_samples_changes_no_start():
    X = np.random.default_rng(2).integers(0, 5, (30, 2)).astype(float)
    model = bm.GaussianMixture(
        2, noise="uniform", covariance_type="diag", prior="auto", random_state=0, search=None
    )
    orders = [np.random.default_rng(seed).permutation(30) for seed in range(4)]
    objectives = [model.fit(X[rows]).result_.objective for rows in orders]
    assert np.ptp(objectives) < 1e-9


# A note of ``select``


def three_groups(n_scattered, seed):
    rng = np.random.default_rng([86, seed])
    groups = [rng.normal(centre, 1.0, (150, 3)) for centre in ([0, 0, 0], [7, 0, 0], [0, 7, 0])]
    return np.vstack([*groups, rng.uniform(-4.0, 11.0, (n_scattered, 3))])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_bic_names_noise_where_observations_are_scattered_and_the_evidence_takes_it(seed):
    rows = three_groups(24, seed)
    with pytest.warns(SelectionWarning, match="With uniform noise, .* set noise=True"):
        search = bm.select(rows, criterion="bic")
    assert "set noise=True" in search.summary()
    taken = bm.select(rows)
    assert taken.n_clusters_ == 3
    assert taken.best_params_["noise"] == "uniform"
    clean = three_groups(0, seed)
    for criterion in ("auto", "bic"):
        found = bm.select(clean, criterion=criterion)
        assert found.best_estimator_.result_.mixture.noise is None
        assert not any("noise" in caution for caution in found.cautions_)


def test_noise_is_not_fitted_where_it_gains_nothing():
    rows = np.random.default_rng(0).normal(size=(300, 2))
    one = bm.BayesianGaussianMixture(1, random_state=0).fit(rows)
    source = ArraySource(rows)
    assert gain_of_noise(one, source, make_splits(5, source, 0)).value == -np.inf
