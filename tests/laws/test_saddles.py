"""Saddles between components, and clusters that gaps separate."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import label
from sklearn.datasets import make_circles, make_moons
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.selection.saddles import saddles


def heights(model):
    plug_in = model.result_.plug_in
    found = saddles(np.log(plug_in.weights.mean()), plug_in.components)
    return [height for _, _, height in found]


def between(model):
    return bm.merge_components(model, clusters="gaps")


def flooded(model, low, high, n=400):
    """Return the height at which two peaks on a fine grid of a plane are first one area."""
    axis = np.linspace(low, high, n)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(model.score_samples(grid)).reshape(n, n)
    places = [tuple(np.abs(axis[:, None] - mean).argmin(axis=0)) for mean in model.means_]
    peaks = min(density[place] for place in places)

    def joined(share):
        areas, _ = label(density >= share * peaks)
        return areas[places[0]] == areas[places[1]]

    return max(share for share in np.linspace(0.005, 1.0, 200) if joined(share))


@pytest.mark.parametrize("apart", [3.0, 4.0, 5.0, 6.0])
def test_the_saddle_of_two_equal_normals_is_in_the_middle(apart):
    model = bm.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [apart]], [1.0, 1.0])
    x = np.linspace(-1.0, apart + 1.0, 20_001)[:, None]
    density = model.score_samples(x)
    lowest = model.score_samples([[apart / 2]])[0] - density.max()
    # Peaks are a little beside the centres, by less than 1 % of the density.
    assert heights(model)[0] == pytest.approx(np.exp(lowest), rel=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_saddles_are_those_at_which_a_flooded_landscape_is_joined(seed):
    rng = np.random.default_rng([120, seed])
    roots = rng.normal(size=(2, 2, 2))
    covariances = roots @ roots.transpose(0, 2, 1) + 0.3 * np.eye(2)
    means = np.array([[0.0, 0.0], rng.uniform(2.0, 5.0, 2)])
    model = bm.GaussianMixture.from_parameters([0.6, 0.4], means, covariances)
    # Steps of the grid and of the path; 0.005 are those of the heights.
    expected = flooded(model, -6.0, 11.0)
    assert heights(model)[0] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("apart", "clusters"), [(4.2, 1), (4.4, 2)])
def test_equal_normal_densities_have_a_gap_from_4_3_deviations_on(apart, clusters):
    model = bm.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [apart]], [1.0, 1.0])
    assert between(model).n_clusters == clusters


def test_saddles_do_not_depend_on_units_and_directions():
    rng = np.random.default_rng(3)
    turn = rng.normal(size=(3, 3))
    means = rng.normal(0.0, 3.0, size=(4, 3))
    covariances = np.array([np.diag(row) for row in rng.uniform(0.5, 2.0, size=(4, 3))])
    weights = np.full(4, 0.25)
    plain = bm.GaussianMixture.from_parameters(weights, means, covariances)
    turned = bm.GaussianMixture.from_parameters(
        weights, 7.0 + means @ turn.T, turn @ covariances @ turn.T
    )
    assert heights(turned) == pytest.approx(heights(plain), abs=1e-7)


def test_a_low_peak_between_two_groups_is_no_bridge():
    means = [[-6.0], [6.0], [0.0]]
    model = bm.GaussianMixture.from_parameters([0.47, 0.46, 0.07], means, [1.0, 1.0, 36.0])
    x = np.linspace(-9.0, 9.0, 20_001)[:, None]
    density = np.exp(model.score_samples(x))
    inner, lower = np.abs(x[:, 0]) < 6.0, density[x[:, 0] > 0].max()
    assert heights(model)[1] == pytest.approx(density[inner].min() / lower, rel=0.02)
    merging = between(model)
    assert merging.n_clusters == 2
    assert merging.groups() == ((0, 2), (1,))


def test_a_component_without_a_peak_is_joined_at_full_height():
    means = [[0.0, 0.0], [8.0, 0.0], [0.5, 0.5]]
    model = bm.GaussianMixture.from_parameters([0.5, 0.3, 0.2], means, [1.0, 1.0, 4.0])
    assert heights(model)[0] == pytest.approx(1.0, abs=1e-3)
    assert between(model).groups() == ((0, 2), (1,))


def shapes(seed):
    for noise in (0.05, 0.09):
        yield make_moons(700, noise=noise, random_state=seed)
        yield make_circles(700, noise=noise * 0.8, factor=0.4, random_state=seed)


@pytest.mark.slow
def test_half_moons_and_rings_are_groups_between_gaps():
    for X, groups in shapes(1201):
        search = bm.select(X, clusters="gaps")
        assert search.n_clusters_ == 2
        assert adjusted_rand_score(groups, search.predict_clusters(X)) > 0.97
        assert "Components without gaps form one cluster" in search.summary()


@pytest.fixture(scope="module")
def moons():
    X, groups = make_moons(400, noise=0.06, random_state=8)
    return X, groups, bm.select(X, n_components=range(6, 11))


def test_the_answer_by_overlap_says_what_gaps_separate(moons):
    X, groups, search = moons
    assert search.n_clusters_ > 2
    expected = 'gaps in the density separate 2 groups (clusters="gaps").'
    assert f"Some clusters overlap: {expected}" in search.summary()
    merging = bm.merge_components(search, X, clusters="gaps")
    assert adjusted_rand_score(groups, merging.predict(X)) == 1.0
    assert list(merging.tree.columns) == ["n_clusters", "merged", "saddle"]
    assert merging.tree["saddle"].is_monotonic_decreasing
    assert "Groups are merged if the density falls to no less than 20 %" in merging.summary()


def test_probabilities_come_from_posterior_draws(moons, tmp_path):
    X, *_ = moons
    search = bm.select(X, n_components=range(6, 11), clusters="gaps")
    assert search.n_clusters_ == 2
    assert search.cluster_probabilities_.sum() == pytest.approx(1.0)
    again = bm.select(X, n_components=range(6, 11), clusters="gaps")
    assert search.cluster_probabilities_.equals(again.cluster_probabilities_)
    path = tmp_path / "moons.bayesmix"
    search.save(path)
    loaded = bm.load(path)
    assert loaded.summary() == search.summary()
    assert list(bm.merge_components(loaded).tree.columns)[-1] == "saddle"


def test_a_gap_of_logarithms_is_one_on_the_log_scale():
    rng = np.random.default_rng(5)
    groups = np.repeat([0, 1], 200)
    X = np.exp(np.c_[6.0 * groups + rng.normal(size=400), rng.normal(size=400)])
    model = bm.Mixture(2, family=bm.LogNormal(), random_state=0).fit(X)
    logs = bm.GaussianMixture(2, random_state=0).fit(np.log(X))
    assert heights(model)[0] == pytest.approx(heights(logs)[0], rel=0.05)


@pytest.mark.parametrize("column", ["levels", "masses"])
def test_columns_without_a_density_are_refused_before_the_fits(column):
    rng = np.random.default_rng(6)
    values = rng.choice(list("abc"), 200) if column == "levels" else None
    amounts = np.where(rng.random(200) < 0.4, 0.0, np.exp(rng.normal(size=200)))
    frame = pd.DataFrame({"x": rng.normal(size=200), "y": amounts if values is None else values})
    with pytest.raises(UnsupportedError, match='clusters="gaps" needs a density of continuous'):
        bm.select(frame, clusters="gaps")


def test_other_rules_are_refused():
    with pytest.raises(InvalidInputError, match="clusters must be"):
        bm.merge_components(
            bm.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0]), clusters="components"
        )
