"""The number of clusters of ``select`` and its probability."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import bayesmix as bm
from bayesmix.core.printed_numbers import probability
from bayesmix.errors import UndefinedError
from bayesmix.selection import clusters
from bayesmix.selection.answer_text import AnswerText, likely_range
from bayesmix.selection.clusters import ClusterNumbers, number_of, overlapping
from bayesmix.selection.tasks import Assignments

FAITHFUL = bm.datasets.load_faithful()


def three(n, seed=0, distance=7.0):
    """Three normal clusters, ``distance`` standard deviations apart."""
    rng = np.random.default_rng(seed)
    corners = distance * np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
    return corners[rng.integers(0, 3, n)] + rng.normal(size=(n, 2))


@pytest.fixture(scope="module")
def faithful():
    return bm.select(FAITHFUL, n_components=(1, 2, 3, 4))


@pytest.mark.parametrize("n", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_the_probability_of_separated_clusters_is_near_one_and_does_not_fall(n):
    search = bm.select(three(n), covariance_type=("full", "spherical"))
    assert search.n_clusters_ == 3
    assert search.cluster_probabilities_[3] >= 0.95


def test_probabilities_depend_on_neither_seed_nor_order():
    X = three(180, seed=5, distance=3.8)
    options = {"n_components": (1, 2, 3, 4), "noise": False}
    first = bm.select(X, random_state=0, **options).cluster_probabilities_
    assert len(first) > 1
    for seed, order in itertools.product((0, 7), (np.arange(180)[::-1], np.argsort(X[:, 0]))):
        again = bm.select(X[order], random_state=seed, **options).cluster_probabilities_
        assert again.index.equals(first.index)
        np.testing.assert_allclose(again, first, atol=0.02)


def test_a_rare_cluster_is_certain_when_it_is_far():
    rng = np.random.default_rng(4)
    rare = rng.normal([0.0, 9.0], size=(20, 2))
    common = [rng.normal([mean, 0.0], size=(1500, 2)) for mean in (0.0, 9.0)]
    rows = np.vstack([*common, rare])
    search = bm.select(rows, n_components=(2, 3, 4), covariance_type="full")
    assert search.n_clusters_ == 3
    assert search.cluster_probabilities_[3] >= 0.95
    assert (search.predict_clusters(rare) == search.predict_clusters(rare)[0]).all()


def test_some_observations_of_large_data_tell_which_components_are_one_cluster(monkeypatch):
    rng = np.random.default_rng(5)
    rows = np.vstack([three(1200, 5), rng.uniform([20.0, 0.0], [26.0, 1.0], size=(600, 2))])
    options = {"n_components": (4, 5, 6), "covariance_type": "diag", "column_powers": False}
    of_all = bm.select(rows, **options)
    assert of_all.n_components_ > of_all.n_clusters_ == 4  # the rectangle is several components
    monkeypatch.setattr(clusters, "MOST_ASSIGNED", 500)
    monkeypatch.setattr(clusters, "MOST_WEIGHTED", 300)
    of_some = bm.select(rows, **options)
    assert of_some.clusters_.tolist() == of_all.clusters_.tolist()
    assert of_some.cluster_probabilities_[4] >= 0.95


def assert_agreement(search, rows):
    probabilities, number = search.cluster_probabilities_, search.n_clusters_
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities.idxmax() == number or probabilities.max() < 0.5
    assert search.clusters_.max() + 1 == number
    assert set(search.predict_clusters(rows)) <= set(range(-1, number))
    assert bm.merge_components(search).n_clusters == number
    answer = search.answer_
    assert (answer.number, answer.probabilities[number]) == (number, probabilities[number])
    labels = search.predict_clusters(rows)
    assert answer.sizes.tolist() == [(labels == c).sum() for c in range(number)]
    assert answer.outlying == (labels == -1).sum()
    assert search.summary().startswith(f"{answer.headline}.\n")
    low, high, likely = likely_range(answer.probabilities, number)
    told = f"{min(likely, 0.99):.2f}"
    assert f"(probability {told}" in answer.headline
    assert answer.headline.startswith(str(low) if low == high else f"{low} to {high} ")


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_is_the_most_probable_number_and_nothing_contradicts_it(seed):
    rows = three(120, seed, distance=3.3)
    assert_agreement(bm.select(rows, range(1, 6), ("full", "diag")), rows)


@pytest.mark.parametrize(
    ("probabilities", "number"),
    [
        ({1: 0.03, 2: 0.97}, 2),
        ({2: 0.5, 3: 0.2, 4: 0.3}, 2),
        ({3: 0.45, 4: 0.4, 5: 0.15}, 3),
        ({1: 0.26, 3: 0.2, 4: 0.22, 5: 0.2, 6: 0.12}, 4),
        ({2: 0.16, 3: 0.04, 4: 0.1, 5: 0.13, 6: 0.15, 7: 0.14, 8: 0.12, 9: 0.1, 13: 0.06}, 6),
        ({2: 0.16, 3: 0.02, 8: 0.2, 9: 0.21, 10: 0.2, 11: 0.21}, 9),
    ],
)
def test_an_isolated_mode_is_no_answer(probabilities, number):
    assert ClusterNumbers({}, probabilities).likeliest == number


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "block", [0, *(pytest.param(b, marks=pytest.mark.nightly) for b in range(1, 10))]
)
def test_nothing_contradicts_the_answer_on_two_hundred_sets(block):
    """Up to three skewed, wide-tailed, rounded or normal groups that overlap or do not."""
    rng = np.random.default_rng([59, block])
    for _ in range(20):
        n_groups, D = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        errors = rng.normal(size=(30 * n_groups, D))
        shape = rng.integers(4)
        errors = [errors, np.exp(errors / 2), np.sinh(errors), errors.round(1)][shape]
        rows = errors + rng.uniform(2, 6) * np.repeat(np.arange(n_groups), 30)[:, None]
        assert_agreement(bm.select(rows, range(1, 5), "diag"), rows)


def test_probabilities_survive_a_file_and_any_number_of_workers(faithful, tmp_path):
    faithful.save(tmp_path / "search.bayesmix")
    loaded = bm.load(tmp_path / "search.bayesmix")
    pd.testing.assert_series_equal(
        loaded.cluster_probabilities_, faithful.cluster_probabilities_, check_exact=True
    )
    assert loaded.summary() == faithful.summary()
    assert bm.merge_components(loaded).n_clusters == faithful.n_clusters_
    one = bm.select(FAITHFUL, n_components=(1, 2, 3, 4), n_jobs=1)
    assert one.cluster_probabilities_.equals(faithful.cluster_probabilities_)


def test_names_of_clusters_are_predicted_and_saved(tmp_path):
    search = bm.select(FAITHFUL, 2, "full")
    with pytest.raises(ValueError, match="each of the 2 clusters, got 1"):
        search.names = ("long",)
    numbers = search.predict_clusters(FAITHFUL[:9])
    search.names = ("long", "short")
    named = search.predict_clusters(FAITHFUL[:9])
    assert named.tolist() == [("long", "short")[k] for k in numbers]
    search.save(tmp_path / "search.bayesmix")
    assert bm.load(tmp_path / "search.bayesmix").names == ("long", "short")


def test_components_are_counted_as_they_are_where_that_is_asked():
    search = bm.select(FAITHFUL, 3, "tied", clusters="components")
    assert search.n_clusters_ == 3
    assert search.clusters_.tolist() == [0, 1, 2]
    merged = bm.select(FAITHFUL, 3, "tied")
    assert merged.n_clusters_ == 2
    with pytest.raises(ValueError, match="clusters must be"):
        bm.select(FAITHFUL, 3, clusters="groups")


def test_latent_classes_are_not_merged():
    rng = np.random.default_rng(3)
    z = rng.integers(0, 2, 500)
    answers = (rng.random((500, 6)) < np.where(z[:, None] == 1, 0.7, 0.3)).astype(float)
    search = bm.select(answers, (1, 2, 3), family=bm.Bernoulli())
    assert search.n_clusters_ == search.n_components_ == 2
    assert search.summary().startswith("2 classes (probability ")


def test_overlap_of_held_out_assignments_is_the_share_that_changes():
    """Four of ten samples of the second component go to the first one when held out."""
    full = np.repeat(np.eye(2), (30, 10), axis=0)
    held_out = full.copy()
    held_out[30:34] = [1.0, 0.0]
    hierarchy = overlapping(Assignments(full, held_out), np.ones(40))
    assert hierarchy.weights == pytest.approx([0.75, 0.25])
    # The mean of the two directions: 0 of 30 and 4 of 10, over the lighter component.
    assert hierarchy.joins[0].overlap == pytest.approx(0.5 * 4 / 10)


def test_rounding_of_one_feature_throws_no_cluster_away():
    rng = np.random.default_rng(5)
    z = rng.integers(0, 3, 300)
    centres = np.array([[36.6, 70.0, 120.0], [37.0, 90.0, 140.0], [39.2, 110.0, 110.0]])
    rows = centres[z] + rng.normal(size=(300, 3)) * [0.2, 6.0, 7.0]
    rows[:, 0] = np.round(2.0 * rows[:, 0]) / 2.0
    rows[:, 1:] = np.round(rows[:, 1:])
    search = bm.select(rows, n_components=(2, 3, 4))
    assert search.n_clusters_ == 3
    assert (search.predict_clusters(rows) == -1).mean() < 0.05


def test_a_search_that_was_saved_before_has_no_probabilities_and_says_so(faithful):
    kept = faithful.answer_
    faithful._told = replace(kept, probabilities={})
    with pytest.raises(UndefinedError, match="needs data in memory"):
        _ = faithful.cluster_probabilities_
    faithful._told = kept


@pytest.mark.nightly
@pytest.mark.slow
def test_high_probabilities_are_right():
    """Of the answers said to be at least 0.9 probable, the share right is no less than said.

    40 sets of two to four normal clusters, 4 to 6 standard deviations apart.
    """
    said, right = [], []
    for seed in range(7100, 7140):
        rng = np.random.default_rng(seed)
        K, distance = int(rng.integers(2, 5)), rng.uniform(4.0, 6.0)
        centres = distance * np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.87], [1.5, 0.87]])[:K]
        rows = centres[np.arange(200) % K] + rng.normal(size=(200, 2))
        search = bm.select(rows, n_components=range(1, 6), covariance_type=("full", "spherical"))
        said.append(search.cluster_probabilities_.max())
        right.append(search.n_clusters_ == K)
    said, right = np.array(said), np.array(right)
    sure = said >= 0.9
    assert sure.mean() >= 0.6
    error = np.sqrt(0.9 * 0.1 / sure.sum())
    assert right[sure].mean() >= said[sure].mean() - 0.03 - error


def test_pairs_of_overlapping_components_merge_in_order():
    shares = np.array([[0.8, 0.2, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]])
    hierarchy = overlapping(
        Assignments(np.repeat(shares, 5, 0), np.repeat(shares, 5, 0)), np.ones(15)
    )
    assert hierarchy.groups(2) == ((0, 1), (2,))
    assert all(a.overlap >= b.overlap for a, b in itertools.pairwise(hierarchy.joins))


# The number of clusters where K ended at its limit, and how probabilities are told


@pytest.fixture(scope="module")
def fitted():
    return bm.select(bm.datasets.load_faithful(), range(1, 7), "tied")


def ended(search, probabilities, labels):
    """The answer of a search that ended at its automatic limit, a cluster for each component."""
    sizes = np.bincount(labels).astype(float)
    candidates = sorted(search.candidates_, key=lambda row: row.asked != len(labels))
    return AnswerText(
        candidates, "elbo_prior", 272.0, None, (), labels, sizes, 0.0, probabilities,
        ended=True,
    )  # fmt: skip


def test_at_least_is_said_of_a_number_that_is_reached_as_probably_as_said(fitted):
    rng = np.random.default_rng(12)
    for _ in range(50):
        shares = rng.dirichlet(np.full(6, 0.5))
        probabilities = dict(enumerate(shares.tolist(), start=1))
        labels = np.arange(1 + int(shares.argmax()))
        answer = ended(fitted, probabilities, labels).answer()
        reached = {k: sum(p for j, p in probabilities.items() if j >= k) for k in probabilities}
        least = max(k for k in range(1, number_of(labels) + 1) if reached[k] >= 0.8)
        said = re.match(r"at least (\d+) clusters? \(probability ([^)]*)", answer.headline)
        assert answer.at_least == bool(said) == (least > 1)
        if said:
            assert int(said[1]) == least
            assert said[2] == probability(reached[least])


def test_at_least_five_clusters_are_not_said_where_four_are_as_probable_as_one_in_four(fitted):
    answer = ended(fitted, {4: 0.23, 5: 0.77}, np.arange(5)).answer()
    assert answer.headline == "at least 4 clusters (probability 0.99); 5 are described"
    assert "Number of clusters: 5 (0.77), 4 (0.23)." in answer.text


def test_at_least_one_cluster_is_not_said(fitted):
    answer = ended(fitted, {1: 1.0}, np.zeros(1, int)).answer()
    assert answer.headline == "1 cluster (probability 0.99)"
    assert not answer.at_least


def test_text_and_bars_tell_a_probability_alike_and_as_it_is_stored(fitted):
    stored = fitted.cluster_probabilities_[2]
    assert stored == pytest.approx(1.0, abs=1e-6)
    axes = fitted.plot(None, Figure().subplots(1, 2))
    (label,) = [text.get_text() for text in axes[0].texts]
    assert label == "0.99"
    assert f"(probability {label})" in fitted.summary()
    told = {0.004: "0.00", 0.5: "0.50", 0.99: "0.99", 0.994: "0.99", 0.996: "0.99", 1.0: "0.99"}
    assert {value: probability(value) for value in told} == told
