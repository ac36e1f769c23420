"""Clusters of components: where the density has a valley, components stay apart."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.assess.merging import merge_components
from bayesmix.errors import InvalidInputError
from bayesmix.selection.clusters import N_DRAWS


def normals(weights, means, variances):
    return bm.GaussianMixture.from_parameters(weights, means, variances)


@pytest.fixture(scope="module")
def faithful():
    return bm.datasets.load_faithful().to_numpy()


@pytest.fixture(scope="module")
def five(faithful):
    return bm.GaussianMixture(5, random_state=0).fit(faithful)


@pytest.mark.parametrize(("apart", "spread"), [(2.0, 1.0), (3.0, 1.5), (4.0, 0.7)])
def test_overlap_is_the_share_of_the_lighter_group_that_falls_to_the_other(apart, spread):
    model = normals([0.6, 0.4], [[0.0], [apart]], [1.0, spread**2])
    x = np.linspace(-12, 16, 40_001)
    shares = model.predict_proba(x[:, None])
    density = np.exp(model.score_samples(x[:, None]))
    expected = np.trapezoid(density * shares[:, 0] * shares[:, 1], x) / 0.4
    # Half of a standard deviation is the most that a product of responsibilities has; z = 4.
    overlap = merge_components(model).tree["overlap"].item()
    assert overlap == pytest.approx(expected, abs=4 * 0.25 / np.sqrt(N_DRAWS))


def test_the_overlap_does_not_depend_on_units():
    rng = np.random.default_rng(0)
    transform = rng.normal(size=(4, 4))
    covariance = transform @ transform.T
    means = np.array([np.zeros(4), transform @ [3.0, 0.0, 0.0, 0.0]])
    model = normals([0.5, 0.5], means, np.array([covariance, covariance]))
    line = normals([0.5, 0.5], [[0.0], [3.0]], [1.0, 1.0])
    first, second = (merge_components(one).tree["overlap"].item() for one in (model, line))
    assert first == pytest.approx(second, abs=4 * 0.25 * np.sqrt(2 / N_DRAWS))


@pytest.mark.parametrize(("apart", "clusters"), [(2.9, 1), (3.6, 2)])
def test_equal_normal_densities_are_two_clusters_from_3_2_deviations_on(apart, clusters):
    assert (
        merge_components(normals([0.5, 0.5], [[0.0], [apart]], [1.0, 1.0])).n_clusters == clusters
    )


@pytest.mark.slow
def test_two_skewed_clusters_of_many_components_come_back():
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, size=(600, 2)) + np.repeat([[0.0, 0.0], [9.0, 9.0]], 300, axis=0)
    merging = merge_components(bm.GaussianMixture(6, random_state=0).fit(X))
    assert merging.n_clusters == 2
    truth = np.repeat([0, 1], 300)
    agreement = (merging.predict(X) == truth).mean()
    assert max(agreement, 1 - agreement) > 0.98


def test_the_tree_joins_two_groups_at_each_step(five):
    merging = merge_components(five)
    assert merging.tree["n_clusters"].tolist() == [4, 3, 2, 1]
    for n_clusters, (first, second) in merging.tree[["n_clusters", "merged"]].to_numpy():
        before, after = merging.groups(n_clusters + 1), merging.groups(n_clusters)
        assert {first, second} <= set(before)
        assert set(after) - set(before) == {tuple(sorted(first + second))}
    assert merging.groups(5) == tuple((k,) for k in np.argsort(-five.weights_, kind="stable"))


def test_clusters_share_the_density(faithful, five):
    merging = merge_components(five, faithful)
    for n_clusters in (None, 1, 2, 3, 4, 5):
        shares = merging.predict_proba(faithful, n_clusters)
        np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)
        for cluster, group in enumerate(merging.groups(n_clusters)):
            own = five.predict_proba(faithful)[:, list(group)].sum(axis=1)
            np.testing.assert_allclose(shares[:, cluster], own, rtol=1e-12)
        labels = merging.predict(faithful, n_clusters)
        np.testing.assert_array_equal(labels, shares.argmax(axis=1))


def test_labels_name_the_heaviest_cluster_first(faithful, five):
    merging = merge_components(five, faithful)
    for n_clusters in range(1, 6):
        labels = merging.labels(n_clusters)
        weights = np.bincount(labels, five.weights_)
        assert len(weights) == n_clusters
        assert (np.diff(weights) <= 0).all()
        for cluster, group in enumerate(merging.groups(n_clusters)):
            np.testing.assert_array_equal(np.flatnonzero(labels == cluster), group)


def test_outlying_components_are_no_clusters():
    rng = np.random.default_rng(0)
    clean = np.vstack([rng.normal(0, 1, (60, 2)), rng.normal(8, 1, (60, 2))])
    outliers = np.array([[60.0, -60.0], [60.2, -59.9]])
    X = np.vstack([clean, outliers])
    model = bm.GaussianMixture(3, reg_covar=1e-2, random_state=0).fit(X)
    merging = merge_components(model, X)
    assert (merging.n_components, merging.n_clusters) == (3, 2)
    np.testing.assert_array_equal(merging.predict(outliers), [-1, -1])
    assert set(merging.predict(clean)) == {0, 1}
    assert "Outlying, too small to be a cluster: " in merging.summary()
    assert merging.groups(3)[-1] == tuple(np.flatnonzero(merging.clusters == -1))


def test_a_component_narrower_than_the_rounding_is_no_cluster():
    rng = np.random.default_rng(0)
    narrow = np.repeat([-1.0, 0.0, 1.0], [3, 34, 3])[:, None]
    rounded = np.vstack([narrow, np.round(rng.normal(30, 3, (860, 1)))])
    model = bm.GaussianMixture(2, random_state=0).fit(rounded)
    assert merge_components(model).n_clusters == 2
    merging = merge_components(model, rounded)
    assert merging.n_clusters == 1
    np.testing.assert_array_equal(merging.predict(rounded[:40]), np.full(40, -1))
    # A twentieth of the observations is a cluster, however narrow.
    many = np.vstack([narrow, rounded[40:500]])
    assert merge_components(model.fit(many), many).n_clusters == 2


def test_one_component_is_one_cluster(faithful):
    merging = merge_components(bm.GaussianMixture(1).fit(faithful))
    assert merging.n_clusters == 1
    assert len(merging.tree) == 0
    assert merging.summary() == "1 component forms 1 cluster."
    np.testing.assert_array_equal(merging.predict(faithful[:3]), [0, 0, 0])


def test_summary_and_repr_name_the_clusters(faithful):
    merging = merge_components(bm.GaussianMixture(4, random_state=0).fit(faithful), faithful)
    assert repr(merging) == "<Merging: 4 components in 2 clusters: 1 3 | 2 4>"
    text = merging.summary()
    assert text.startswith("4 components form 2 clusters.")
    assert "Merged: cluster 1 is components 1 and 3; cluster 2 is components 2 and 4." in text


@pytest.mark.slow
def test_a_pipeline_and_other_families_are_merged_too(faithful):
    pipeline = make_pipeline(StandardScaler(), bm.GaussianMixture(3, random_state=0)).fit(faithful)
    merging = merge_components(pipeline)
    assert merging.predict(faithful).max() == merging.n_clusters - 1
    rng = np.random.default_rng(0)
    counts = np.vstack([rng.poisson(3, (80, 2)), rng.poisson(20, (80, 2))])
    model = bm.Mixture(2, family=bm.Poisson(), random_state=0).fit(counts)
    assert merge_components(model, counts).n_clusters == 2
    one = bm.Mixture(2, family=bm.Poisson(), random_state=0).fit(rng.poisson(6, (160, 2)))
    assert merge_components(one).n_clusters == 1
    variational = bm.BayesianGaussianMixture(4, random_state=0).fit(faithful)
    assert merge_components(variational, faithful).n_components == variational.n_components_


def test_data_with_missing_values_have_clusters(faithful):
    missing = faithful.copy()
    missing[::5, 1] = np.nan
    gm = bm.GaussianMixture(3, missing="use", random_state=0).fit(missing)
    merging = merge_components(gm, missing)
    assert merging.n_clusters == 2
    assert merging.predict(missing).max() == 1
    some = np.isnan(missing).any(axis=1)
    options = {"n_resamples": 5, "random_state": 0, "progress": False}
    fits = bm.goodness_of_fit(gm, missing, **options)
    assert fits.n_rows == pytest.approx(217)
    assert "217 of 272 observations without missing values" in fits.summary()
    alone = bm.goodness_of_fit(gm, missing[~some], **options)
    np.testing.assert_array_equal(fits.shares, alone.shares)
    with pytest.raises(InvalidInputError, match="all 55 have missing values"):
        bm.goodness_of_fit(gm, missing[some])


@pytest.mark.slow
def test_a_search_has_components_and_clusters(faithful, tmp_path):
    search = bm.select(faithful, n_jobs=1)
    assert (search.n_components_, search.n_clusters_) == (2, 2)
    merging = merge_components(search)
    np.testing.assert_array_equal(search.clusters_, merging.clusters)
    labels = search.predict_clusters(faithful)
    np.testing.assert_array_equal(labels, merging.predict(faithful))
    search.save(tmp_path / "search.bayesmix")
    loaded = bm.load(tmp_path / "search.bayesmix")
    assert loaded.n_clusters_ == 2
    np.testing.assert_array_equal(loaded.predict_clusters(faithful), labels)


@pytest.mark.slow
def test_noise_is_in_no_cluster(faithful):
    rng = np.random.default_rng(0)
    X = np.vstack([faithful, rng.uniform([0, 30], [8, 120], (30, 2))])
    search = bm.select(X, (2, 3), noise=True, n_jobs=1)
    labels = search.predict_clusters(X)
    np.testing.assert_array_equal(labels == -1, search.predict(X) == -1)
    assert (labels == -1).any()


def test_what_cannot_be_merged_is_refused(faithful, five):
    with pytest.raises(InvalidInputError, match="call fit first"):
        merge_components(bm.GaussianMixture(2), faithful)
    with pytest.raises(ValueError, match="2 features"):
        merge_components(five, faithful[:, :1])
    with pytest.raises(InvalidInputError, match="sample_weight"):
        merge_components(five, faithful, np.ones(3))
    with pytest.raises(InvalidInputError, match="NaN"):
        merge_components(five, np.full((3, 2), np.nan))
    with pytest.raises(InvalidInputError, match="n_clusters must be from 1 to the 5"):
        merge_components(five, faithful).groups(6)
