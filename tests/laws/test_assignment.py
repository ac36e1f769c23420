"""How sure the component of a row is: entropy, and intervals of probabilities over draws."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.errors import InvalidInputError
from bayesmix.posterior import labels as assignment
from bayesmix.posterior.bands import drawn_mixtures
from bayesmix.posterior.labels import assignment_band
from bayesmix.sources.memory import ArraySource
from laws.cases import COVARIANCES
from laws.test_bands import shuffled
from laws.test_posterior import PLAIN, counted, dense, fitted, rows_of

every_structure = pytest.mark.parametrize("structure", COVARIANCES)


def probabilities_by_scipy(structure, sample, rows):
    """p(k | x, draw) (S, n, K), from what a user sees of the draws."""
    matrices = dense(structure, sample.covariances, *sample.means.shape[1:])
    terms = np.empty((len(sample), len(rows), sample.weights.shape[1]))
    for s, k in np.ndindex(sample.weights.shape):
        one = stats.multivariate_normal(sample.means[s, k], matrices[s, k])
        terms[s, :, k] = sample.weights[s, k] * one.pdf(rows)
    return terms / terms.sum(axis=2, keepdims=True)


@every_structure
def test_intervals_are_quantiles_of_the_probabilities_of_draws(structure):
    model, rows = fitted(structure), rows_of()[:6]
    each = probabilities_by_scipy(structure, model.sample_posterior(200, random_state=3), rows)
    expected = np.moveaxis(np.quantile(each, [0.1, 0.9], axis=0), 0, -1)
    found = model.assignment_interval(rows, 0.8, n_draws=200, random_state=3)
    assert found.shape == (6, 3, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_a_wider_level_has_wider_intervals_around_the_probabilities():
    model, rows = fitted("full", 2), rows_of()[:30]
    narrow, wide = (model.assignment_interval(rows, level, random_state=1) for level in (0.5, 0.99))
    assert (wide[..., 0] <= narrow[..., 0]).all()
    assert (wide[..., 1] >= narrow[..., 1]).all()
    probabilities = model.predict_proba(rows)
    assert ((wide[..., 0] <= probabilities) & (probabilities <= wide[..., 1])).all()


def test_shuffled_labels_are_put_back_before_intervals_are_taken():
    model, rows = fitted("full", 3), rows_of()
    drawn = drawn_mixtures(model, "variational", None, 60, 1)
    drawn = replace(drawn, align_by=ArraySource(rows))
    asked = ArraySource(rows[:8])
    aligned = assignment_band(drawn, asked, 0.8)
    mixed = shuffled(drawn, 5)
    np.testing.assert_allclose(assignment_band(mixed, asked, 0.8), aligned, atol=1e-12)
    raw = assignment_band(replace(mixed, align_by=None), asked, 0.8)
    assert np.abs(raw - aligned).max() > 0.3


def test_gibbs_draws_of_a_pruned_fit_have_the_components_of_the_fit():
    rows = rows_of(200)
    model = bm.BayesianGaussianMixture(5, random_state=0).fit(rows)
    assert model.n_components_ < 5
    found = model.assignment_interval(rows[:7], 0.8, 60, 1, method="gibbs", data=rows)
    assert found.shape == (7, model.n_components_, 2)
    assert ((found >= 0.0) & (found <= 1.0) & (found[..., :1] <= found)).all()


def test_refits_of_a_maximum_likelihood_fit_have_its_labels():
    rows = rows_of(400)
    model = bm.GaussianMixture(2, **PLAIN).fit(rows)
    found = model.assignment_interval(rows[:50], 0.99, 200, 1, method="bootstrap", data=rows)
    probabilities = model.predict_proba(rows[:50])
    lower, upper = np.moveaxis(found, -1, 0)
    assert ((lower < probabilities) & (probabilities < upper)).mean() > 0.95
    sure = probabilities.max(axis=1) > 0.999
    assert sure.sum() > 10
    assert (upper[sure].max(axis=1) > 0.99).all()


@pytest.mark.parametrize("name", ["bernoulli", "poisson"])
def test_counts_have_intervals(name):
    model, rows = counted(name)
    lower, upper = np.moveaxis(model.assignment_interval(rows, 0.99), -1, 0)
    probabilities = model.predict_proba(rows)
    assert ((lower < probabilities) & (probabilities < upper)).all()


def test_neither_blocks_nor_threads_matter(monkeypatch):
    model, rows = fitted("full"), rows_of()
    expected = model.assignment_interval(rows, 0.9, 100, 1)
    model.set_params(n_jobs=2)
    np.testing.assert_array_equal(model.assignment_interval(rows, 0.9, 100, 1), expected)
    monkeypatch.setattr(assignment, "BATCH_VALUES", 300 * 7)
    np.testing.assert_allclose(model.assignment_interval(rows, 0.9, 100, 1), expected, rtol=1e-9)


# Entropy


def test_entropy_is_that_of_the_probabilities():
    model, rows = fitted("full"), rows_of()
    p = model.predict_proba(rows)
    np.testing.assert_allclose(model.assignment_entropy(rows), stats.entropy(p, axis=1), atol=1e-12)


def test_entropy_is_zero_for_one_component_and_log_k_for_equal_ones():
    rows = np.linspace(-3.0, 3.0, 7)[:, None]
    alone = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    assert (alone.assignment_entropy(rows) == 0.0).all()
    same = bm.GaussianMixture.from_parameters([0.25] * 4, [[0.0]] * 4, [[[1.0]]] * 4)
    np.testing.assert_allclose(same.assignment_entropy(rows), np.log(4.0), rtol=1e-12)
    # A row that no component can produce is equally far from all.
    never = bm.GaussianMixture.from_parameters([1.0, 0.0], [[0.0], [5.0]], [[[1.0]]] * 2)
    assert (never.assignment_entropy(rows) == 0.0).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"level": 0.0}, "level"),
        ({"n_draws": 10}, "n_draws must be at least 20"),
        ({"n_draws": "many"}, "n_draws"),
        ({"X": [[1.0]]}, "features"),
    ],
)
def test_intervals_that_cannot_be_made_are_refused(arguments, words):
    model = fitted("diag", 1)
    with pytest.raises(InvalidInputError, match=words):
        model.assignment_interval(**{"X": rows_of()[:3]} | arguments)
