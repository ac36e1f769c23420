"""Label switching undone: known relabellings come back, and the loss is the least of all orders."""

from itertools import permutations

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core.random import Purpose, stream
from bayesmix.posterior import labels as module
from bayesmix.posterior.gibbs import gibbs
from bayesmix.posterior.labels import aligned, relabelling
from bayesmix.posterior.posterior_draws import draws_of, parameters_of
from bayesmix.sources.memory import ArraySource
from laws.cases import CASES, estimator, generator, identity


def loss(responsibilities, order, average, row_weights):
    """Stephens 2000, sec. 4.1: Σ_s Σ_i w_i KL(p_si || average_i) of relabelled responsibilities."""
    relabelled = np.stack([one[mine] for one, mine in zip(responsibilities, order, strict=True)])
    logs = np.log(np.maximum(relabelled, 1e-300)) - np.log(np.maximum(average.T, 1e-300))
    return float(((relabelled * logs).sum(axis=1) @ row_weights).sum())


def drawn(seed, n_draws, n_rows, n_components, spread):
    """Responsibilities (S, K, n) around some of their own, and the orders that hid them."""
    rng = generator(seed)
    centre = rng.dirichlet(np.full(n_components, 0.3), n_rows)
    noisy = [rng.dirichlet(row / spread + 0.05, n_draws) for row in centre]
    straight = np.stack(noisy, axis=2)
    hidden = np.array([rng.permutation(n_components) for _ in range(n_draws)])
    mixed = np.empty_like(straight)
    for one, target, order in zip(straight, mixed, hidden, strict=True):
        target[order] = one
    return centre, straight, mixed, hidden


@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_hidden_orders_come_back(n_components):
    centre, straight, mixed, hidden = drawn(1, 30, 60, n_components, 0.1)
    order, average, _ = relabelling(mixed, centre, np.ones(60))
    np.testing.assert_array_equal(order, hidden)
    np.testing.assert_allclose(average, straight.mean(axis=0).T, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_order_of_any_draw_has_a_smaller_loss(seed):
    """Overlapping components: at the average that was found, all K! orders of every draw."""
    rng = generator(seed, 2)
    row_weights = rng.integers(1, 4, 15).astype(float)
    centre, _, mixed, _ = drawn(seed, 20, 15, 4, 3.0)
    order, average, _ = relabelling(mixed, centre, row_weights)
    for one, mine in zip(mixed, order, strict=True):
        best = loss(one[None], [mine], average, row_weights)
        others = [
            loss(one[None], [np.array(other)], average, row_weights)
            for other in permutations(range(4))
        ]
        assert best <= min(others) + 1e-9 * abs(best)


def test_sweeps_lower_the_loss_below_that_of_the_first_average():
    centre, _, mixed, _ = drawn(3, 40, 30, 4, 3.0)
    ones = np.ones(30)
    order, average, n_sweeps = relabelling(mixed, centre, ones)
    assert n_sweeps > 1
    logs = np.log(np.maximum(centre, module.LEAST_SHARE))
    gains = mixed @ logs
    first = np.array([max(permutations(range(4)), key=lambda p: gain[p, range(4)].sum())
                      for gain in gains])  # fmt: skip
    once = np.mean([one[mine].T for one, mine in zip(mixed, first, strict=True)], axis=0)
    assert loss(mixed, order, average, ones) < loss(mixed, first, once, ones)


def test_a_row_of_weight_two_counts_as_two_rows():
    centre, _, mixed, _ = drawn(4, 20, 10, 3, 5.0)
    twice = np.r_[np.arange(10), 2, 5, 5]
    weights = np.ones(10)
    weights[[2, 5]] = [2.0, 3.0]
    once, _, _ = relabelling(mixed, centre, weights)
    repeated, _, _ = relabelling(mixed[:, :, twice], centre[twice], np.ones(13))
    np.testing.assert_array_equal(once, repeated)


@pytest.mark.parametrize("case", CASES, ids=identity)
def test_shuffled_draws_of_q_come_back_to_the_components_of_the_fit(case):
    rng = generator(5)
    rows = np.concatenate([case.rows(rng, 40, 2), case.rows(rng, 30, 2)])
    rows[:40] = rows[:40] + 9.0 if case.continuous else rows[:40]
    letters = case.letters(rng, 2)
    inference = bm.VariationalBayes(
        prior=case.choice(letters), weights=DirichletPrior(letters["alpha0"])
    )
    model = estimator(case, 2, inference, max_iter=5000).fit(rows)
    result, source = model.result_, ArraySource(rows)
    draws = draws_of(result.mixture, 50, stream(0, Purpose.DRAW, 99))
    found = aligned(result, source, draws)
    weights = np.exp(draws.weights.log_weights)
    if case.continuous:
        np.testing.assert_array_equal(found.order, np.tile([0, 1], (50, 1)))
    np.testing.assert_allclose(found.relabelled(weights).sum(axis=1), 1.0)
    for axes, values in parameters_of(result, draws).values():
        if axes[:1] == ("component",):
            moved = found.relabelled(values)
            assert moved.shape == values.shape
            np.testing.assert_allclose(np.sort(moved, axis=1), np.sort(values, axis=1))


@pytest.mark.slow
def test_gibbs_draws_that_change_labels_line_up_with_the_fit():
    """Two groups of one size, so close that chains change labels now and then."""
    rng = generator(1)
    rows = np.concatenate([rng.normal(size=(25, 1)), 3.2 + rng.normal(size=(25, 1))])
    vb = bm.BayesianGaussianMixture(
        2, prune=False, random_state=0, weight_concentration_prior=1.0,
        weight_concentration_prior_type="dirichlet_distribution",
    ).fit(rows)  # fmt: skip
    found = gibbs(vb, rows, n_draws=400, chains=4, random_state=3)
    means = found.parameters["means"].reshape(-1, 2, 1)[:, :, 0]
    switched = (means[:, 0] > means[:, 1]).mean()
    assert 0.1 < switched < 0.9
    moved = aligned(vb.result_, found.source, found.draws).relabelled(means)
    fitted = vb.means_[:, 0]
    assert (np.sign(moved[:, 0] - moved[:, 1]) == np.sign(fitted[0] - fitted[1])).mean() > 0.97


def test_components_that_the_fit_pruned_come_last():
    rng = generator(3)
    rows = np.concatenate([rng.normal(size=(60, 2)), 12.0 + rng.normal(size=(40, 2))])
    vb = bm.BayesianGaussianMixture(
        5, weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1e-2, random_state=0,
    ).fit(rows)  # fmt: skip
    assert vb.n_components_ == 2
    found = gibbs(vb, rows, n_draws=50, chains=2)
    straight = aligned(vb.result_, found.source, found.draws)
    weights = straight.relabelled(found.weights.reshape(-1, 5))
    assert np.abs(weights[:, :2].mean(axis=0) - vb.weights_).max() < 0.1
    assert (weights[:, :2].sum(axis=1) > 0.8).all()


def test_of_many_rows_and_draws_evenly_spaced_rows_decide(monkeypatch):
    vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X := bm.datasets.load_faithful())
    found = gibbs(vb, X, n_draws=50, chains=2)
    whole = aligned(vb.result_, found.source, found.draws)
    monkeypatch.setattr(module, "MOST_VALUES", 100 * 2 * 40)
    some = aligned(vb.result_, found.source, found.draws)
    assert len(whole.rows) == 272
    assert len(some.rows) <= 40
    np.testing.assert_array_equal(some.order, whole.order)
