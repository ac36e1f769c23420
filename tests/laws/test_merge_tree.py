"""Trees of merges: evidences of clusters are exact, and merges gain what sums tell."""

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.core.pair_merges import clusters_of, fixed_prior
from bayesmix.selection.merge_tree import (
    cell_labels,
    cells_of_tree,
    log_partition,
    tree_of,
    usual_number,
)
from bayesmix.sources.condensed import condensed
from bayesmix.sources.memory import ArraySource

STRUCTURES = ("full", "tied", "diag", "spherical")


def prior_and_sums(structure, X, labels):
    """Return the reference prior of a structure and the moments of clusters, in a frame."""
    family, source = bm.Gaussian(structure), ArraySource(X)
    frame = family.frame(source.summary)
    shares = np.eye(labels.max() + 1)[labels]
    prior = family.reference_prior(source.summary, frame)
    return prior, family.statistics(frame.apply(X), shares), frame.apply(X)


def test_few_observations_are_their_own_cells():
    X = np.random.default_rng(15).normal(size=(120, 3))
    cells = [cells_of_tree(ArraySource(X), bm.Gaussian(), usual_number(120), s) for s in (0, 1)]
    assert (np.sort(cells[0]) == np.arange(120)).all()
    trees = [tree_of(bm.Gaussian(), condensed(ArraySource(X), own)) for own in cells]
    for k in (2, 5, 60):  # whatever the seed of k-means
        one, other = (tree.clusters(k)[own] for tree, own in zip(trees, cells, strict=True))
        assert adjusted_rand_score(one, other) == 1.0


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_the_evidence_of_a_cluster_is_the_product_of_its_predictive_densities(structure):
    X = np.random.default_rng(0).normal(size=(12, 2)) * [1.0, 3.0]
    one = np.zeros(12, int)
    prior, sums, values = prior_and_sums(structure, X, one)
    fixed = fixed_prior(prior, sums)
    told = 0.0
    for n in range(12):
        before = type(sums).about_origin(
            sums.structure,
            np.array([float(n)]),
            values[:n].sum(axis=0)[None],
            bm.Gaussian(structure).statistics(values[:n], np.ones((n, 1))).second
            if n
            else 0.0 * sums.second,
        )
        predictive = fixed.posterior(before).predictive()
        told += float(predictive.expected_log_density(values[n : n + 1])[0, 0])
    assert fixed.component_evidence(sums)[0] == pytest.approx(told, rel=1e-10)


def test_one_cluster_of_a_shared_covariance_is_one_of_its_own():
    X = np.random.default_rng(1).normal(size=(40, 3))
    one = np.zeros(40, int)
    values = []
    for structure in ("full", "tied"):
        prior, sums, _ = prior_and_sums(structure, X, one)
        values.append(clusters_of(prior, sums).value())
    assert values[0] == pytest.approx(values[1], rel=1e-10)


def test_structures_of_one_column_are_one_model():
    X = np.random.default_rng(2).normal(size=(30, 1))
    labels = np.repeat([0, 1, 2], 10)
    values = []
    for structure in ("full", "diag", "spherical"):
        prior, sums, _ = prior_and_sums(structure, X, labels)
        values.append(clusters_of(prior, sums).value())
    np.testing.assert_allclose(values, values[0], rtol=1e-10)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_merge_gains_the_difference_of_evidences(structure):
    X = np.random.default_rng(3).normal(size=(60, 2)) + np.repeat([[0, 0], [3, 0], [0, 4]], 20, 0)
    labels = np.repeat(np.arange(6), 10)
    prior, sums, _ = prior_and_sums(structure, X, labels)
    clusters = clusters_of(prior, sums)
    first, second = np.array([0, 1, 4]), np.array([1, 3, 5])
    gains = clusters.gains(first, second)
    for gain, i, j in zip(gains, first, second, strict=True):
        merged = clusters_of(prior, sums)
        merged.fixed = clusters.fixed
        before = merged.value()
        merged.merge(int(i), int(j))
        # Of a shared scatter, terms of the prior mean are of first order.
        tolerance = {"abs": 0.1} if structure == "tied" else {"rel": 1e-9}
        assert merged.value() - before == pytest.approx(gain, **tolerance)


def test_partitions_are_nested_and_have_as_many_clusters_as_asked():
    X = np.random.default_rng(4).normal(size=(300, 2))
    source = ArraySource(X)
    cells = cells_of_tree(source, bm.Gaussian(), usual_number(300), 0)
    tree = tree_of(bm.Gaussian(), condensed(source, cells))
    assert tree.n_cells == cells.max() + 1
    for k in range(1, tree.n_cells):
        fewer, more = tree.clusters(k), tree.clusters(k + 1)
        assert len(np.unique(fewer)) == k
        assert all(len(np.unique(fewer[more == j])) == 1 for j in range(k + 1))
    assert len(tree.losses) == tree.n_cells - 1


@pytest.mark.parametrize(
    ("family", "n_groups"),
    [(bm.Gaussian("full"), 6), (bm.Gaussian("tied"), 6), (bm.Gaussian("spherical"), 6)],
)
def test_the_top_of_a_tree_is_the_number_of_groups_that_are_apart(family, n_groups):
    rng = np.random.default_rng(5)
    labels = np.arange(900) % n_groups
    angle = 2 * np.pi * labels / n_groups
    X = 9.0 * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(size=(900, 2))
    source = ArraySource(X)
    cells = cells_of_tree(source, family, usual_number(900), 0)
    tree = tree_of(family, condensed(source, cells))
    assert tree.best == n_groups
    assert adjusted_rand_score(labels, tree.clusters(n_groups)[cells]) > 0.99


def test_cells_of_few_distinct_values_are_these_values():
    X = np.random.default_rng(6).integers(0, 3, (500, 2)).astype(float)
    labels = cell_labels(X, np.ones(500), 20, 0)
    assert len(np.unique(labels)) == 9
    assert all(len(np.unique(X[labels == c], axis=0)) == 1 for c in np.unique(labels))


def test_a_partition_has_the_probability_that_uniform_weights_give_it():
    # Of three labelled observations: the integral of the product of their weights.
    draws = np.random.default_rng(7).dirichlet(np.ones(2), 200_000)
    exact = logsumexp(2 * np.log(draws[:, 0]) + np.log(draws[:, 1])) - np.log(len(draws))
    assert log_partition(np.array([2.0, 1.0])) == pytest.approx(exact + np.log(2), abs=0.01)


def test_families_without_sums_have_trees_of_normal_coordinates():
    rng = np.random.default_rng(8)
    labels = np.arange(400) % 2
    X = rng.gamma(9.0, np.where(labels, 40.0, 1.0)[:, None], (400, 2))
    source = ArraySource(X)
    cells = cells_of_tree(source, bm.Gamma(), usual_number(400), 0)
    tree = tree_of(bm.Gamma(), condensed(source, cells))
    assert adjusted_rand_score(labels, tree.clusters(2)[cells]) > 0.99
