"""Merging components: the hierarchy is that of a plain loop over all rows and all pairs."""

from itertools import combinations

import numpy as np
import pytest
from scipy.special import xlogy
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.errors import InvalidInputError
from bayesmix.selection.clustering.merging import bend, merge_components
from bayesmix.sources import ArraySource


def entropy(probabilities, weights):
    return float(-(weights @ xlogy(probabilities, probabilities)).sum())


def merged_by_brute_force(probabilities, weights):
    """Groups and entropies of K, ..., 1 clusters, each pair tried on all rows anew."""
    clusters = {(k,): probabilities[:, k] for k in range(probabilities.shape[1])}
    steps = [(set(clusters), entropy(probabilities, weights))]
    while len(clusters) > 1:
        best = None
        for first, second in combinations(sorted(clusters), 2):
            trial = {group: t for group, t in clusters.items() if group not in (first, second)}
            trial[tuple(sorted(first + second))] = clusters[first] + clusters[second]
            left = entropy(np.column_stack(list(trial.values())), weights)
            if best is None or left < best[1]:
                best = trial, left
        clusters = best[0]
        steps.append((set(clusters), best[1]))
    return steps


def normal_clusters(seed, centres, n=60, spread=1.0):
    rng = np.random.default_rng(seed)
    return np.vstack([rng.normal(centre, spread, (n, 2)) for centre in centres])


@pytest.fixture(scope="module")
def faithful():
    return bm.datasets.load_faithful().to_numpy()


@pytest.fixture(scope="module")
def five(faithful):
    return bm.GaussianMixture(5, random_state=0).fit(faithful)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_hierarchy_is_that_of_brute_force(faithful, five, weighted):
    weights = np.random.default_rng(0).uniform(0, 3, len(faithful)) if weighted else None
    merging = merge_components(five, faithful, weights)
    counts = np.ones(len(faithful)) if weights is None else weights
    steps = merged_by_brute_force(five.predict_proba(faithful), counts)
    for n_clusters, (groups, left) in zip(range(5, 0, -1), steps, strict=True):
        assert set(merging.groups(n_clusters)) == groups
        row = merging.tree[merging.tree["n_clusters"] == n_clusters].iloc[0]
        assert row["entropy"] == pytest.approx(left, rel=1e-9, abs=1e-9)
    drops = -np.diff(merging.entropies)
    np.testing.assert_allclose(merging.tree["entropy_drop"][1:], drops, rtol=1e-8, atol=1e-9)


def test_a_weight_of_two_is_the_row_twice(faithful, five):
    weights = np.where(np.arange(len(faithful)) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(faithful, weights.astype(int), axis=0)
    by_weight = merge_components(five, faithful, weights).tree
    by_rows = merge_components(five, twice).tree
    numbers = ["entropy", "entropy_drop", "rows_merged", "rows_cumulative", "doubt"]
    np.testing.assert_allclose(by_weight[numbers], by_rows[numbers], rtol=1e-9, atol=1e-9)
    zero = np.where(np.arange(len(faithful)) < 9, 0.0, 1.0)
    left_out = merge_components(five, faithful, zero).tree
    np.testing.assert_allclose(
        left_out[numbers], merge_components(five, faithful[9:]).tree[numbers], rtol=1e-12
    )


def test_chunks_change_rounding_only(five):
    rows, _ = five.sample(60_000, random_state=1)
    source = ArraySource(rows)
    assert len(source._chunks(5)) > 1
    whole = merge_components(five, source)
    (expected, left), *_ = merged_by_brute_force(five.predict_proba(rows), np.ones(len(rows)))
    assert set(whole.groups(5)) == expected
    assert whole.entropies[0] == pytest.approx(left, rel=1e-9)


def test_clusters_share_the_density_and_one_cluster_has_no_entropy(faithful, five):
    merging = merge_components(five, faithful)
    for n_clusters in range(1, 6):
        shares = merging.predict_proba(faithful, n_clusters)
        assert shares.shape == (len(faithful), n_clusters)
        np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)
        for cluster, group in enumerate(merging.groups(n_clusters)):
            own = five.predict_proba(faithful)[:, list(group)].sum(axis=1)
            np.testing.assert_allclose(shares[:, cluster], own, rtol=1e-12)
        labels = merging.predict(faithful, n_clusters)
        np.testing.assert_array_equal(labels, shares.argmax(axis=1))
    assert merging.entropies[-1] == 0.0
    assert (np.diff(merging.entropies) <= 1e-9).all()
    np.testing.assert_array_equal(merging.predict(faithful, 5), five.predict(faithful))


def test_labels_name_the_heaviest_cluster_first(faithful, five):
    merging = merge_components(five, faithful)
    for n_clusters in range(1, 6):
        labels = merging.labels(n_clusters)
        weights = np.bincount(labels, five.weights_)
        assert len(weights) == n_clusters
        assert (np.diff(weights) <= 0).all()
        for cluster, group in enumerate(merging.groups(n_clusters)):
            np.testing.assert_array_equal(np.flatnonzero(labels == cluster), group)


def test_components_far_from_one_another_remain_clusters():
    X = normal_clusters(0, [(0, 0), (9, 0), (0, 9), (9, 9)])
    merging = merge_components(bm.GaussianMixture(4, random_state=0).fit(X), X)
    assert merging.n_clusters == 4
    assert merging.groups() == ((0,), (1,), (2,), (3,))


@pytest.mark.parametrize(("apart", "clusters"), [(1.0, 1), (6.0, 2)])
def test_two_components_are_one_cluster_where_their_densities_overlap(apart, clusters):
    model = bm.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [apart]], [1.0, 1.0])
    X, _ = model.sample(500, random_state=0)
    assert merge_components(model, X).n_clusters == clusters


def test_doubt_of_equal_normals_is_the_information_that_rows_lack():
    # ∫ Σ_k p(x) h(t(x)) dx / log 2 at 2 and 3 standard deviations, by quadrature.
    x = np.linspace(-12, 15, 40_001)
    for apart in (2.0, 3.0):
        model = bm.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [apart]], [1.0, 1.0])
        weights = np.exp(model.score_samples(x[:, None])) * (x[1] - x[0])
        doubt = merge_components(model, x[:, None], weights).tree["doubt"].iloc[-1]
        two = 0.5 * np.exp(-0.5 * (x[:, None] - [0.0, apart]) ** 2) / np.sqrt(2 * np.pi)
        shares = two / two.sum(axis=1, keepdims=True)
        left = np.trapezoid(-(two * np.log(shares)).sum(axis=1), x)
        assert doubt == pytest.approx(left / np.log(2), rel=1e-6)


def test_two_long_clusters_of_many_components_come_back():
    rng = np.random.default_rng(0)
    along = np.linspace(0, 12, 400)
    one = np.column_stack([along, 0.3 * rng.normal(size=400)])
    X = np.vstack([one, one + np.array([0, 8])])
    centres = [[c, y] for y in (0, 8) for c in (1.5, 4.5, 7.5, 10.5)]
    pieces = np.tile([0.75, 0.09], (8, 1))
    model = bm.GaussianMixture.from_parameters(np.full(8, 1 / 8), centres, pieces)
    merging = merge_components(model, X)
    assert merging.n_clusters == 2
    truth = np.repeat([0, 1], 400)
    found = merging.predict(X)
    assert set(zip(truth, found, strict=True)) in ({(0, 0), (1, 1)}, {(0, 1), (1, 0)})


def test_the_elbow_is_where_two_lines_meet():
    x = np.arange(8.0)
    for place in range(1, 7):
        y = np.where(x <= place, 3.0 * (place - x), 0.1 * (place - x))
        # A point on both lines belongs to both, so the bend is found without doubt.
        assert bend(x, y) == place


def test_one_component_is_one_cluster(faithful):
    merging = merge_components(bm.GaussianMixture(1).fit(faithful), faithful)
    assert merging.n_clusters == 1
    assert merging.elbow is None
    assert merging.summary() == "1 component makes 1 cluster."
    np.testing.assert_array_equal(merging.predict(faithful[:3]), [0, 0, 0])


def test_summary_and_repr_name_the_clusters(faithful):
    merging = merge_components(bm.GaussianMixture(4, random_state=0).fit(faithful), faithful)
    assert repr(merging) == "<Merging: 4 components in 2 clusters: 0 2 | 1 3>"
    text = merging.summary()
    assert text.startswith("4 components make 2 clusters.")
    assert "Together: 0 and 2; 1 and 3." in text


def test_a_pipeline_and_other_families_are_merged_too(faithful):
    pipeline = make_pipeline(StandardScaler(), bm.GaussianMixture(3, random_state=0)).fit(faithful)
    merging = merge_components(pipeline, faithful)
    assert merging.predict(faithful).max() == merging.n_clusters - 1
    rng = np.random.default_rng(0)
    counts = np.vstack([rng.poisson(3, (80, 2)), rng.poisson(20, (80, 2))])
    model = bm.Mixture(2, family=bm.Poisson(), random_state=0).fit(counts)
    assert merge_components(model, counts).n_clusters == 2
    variational = bm.BayesianGaussianMixture(4, random_state=0).fit(faithful)
    assert merge_components(variational, faithful).n_components == variational.n_components_


def test_rows_with_gaps_are_merged_by_the_values_that_they_have(faithful):
    gaps = faithful.copy()
    gaps[::5, 1] = np.nan
    gm = bm.GaussianMixture(3, missing="use", random_state=0).fit(gaps)
    shares = gm.responsibilities(gaps)
    merging = bm.merge_components(gm, gaps)
    assert merging.entropies[0] == pytest.approx(entropy(shares, np.ones(len(gaps))))
    some = np.isnan(gaps).any(axis=1)
    options = {"n_resamples": 5, "random_state": 0, "progress": False}
    fits = bm.goodness_of_fit(gm, gaps, **options)
    assert fits.n_rows == pytest.approx(217)
    assert "217 of 272 rows that have all values" in fits.summary()
    alone = bm.goodness_of_fit(gm, gaps[~some], **options)
    np.testing.assert_array_equal(fits.shares, alone.shares)
    with pytest.raises(InvalidInputError, match="all 55 have some"):
        bm.goodness_of_fit(gm, gaps[some])


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
