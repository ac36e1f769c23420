"""Posterior draws come true as often as they say, for data drawn from the prior itself.

``benchmarks.posterior.sbc`` does the same with 500 data sets, and from starts that know no truth.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.allocation.chain import ChainDraws
from bayesmix.allocation.point_draws import WeightDraws
from bayesmix.core.random import Purpose, stream
from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.families.rates import PoissonDraws
from bayesmix.posterior.chains import blocked_gibbs, each_repetition
from bayesmix.posterior.posterior_draws import Draws, joined, sample_of
from bayesmix.sources.memory import ArraySource
from benchmarks import posterior

# A false alarm in a million, for every one of some ten p-values.
SURELY = 1e-6


def test_parameters_of_the_data_sets_have_their_prior():
    truths = [posterior.drawn(seed)[0] for seed in range(2000)]
    weights, means, variances = (np.concatenate(part) for part in zip(*truths, strict=True))
    laws = {
        "weights": (weights[:, 0], stats.beta(2.0, 2.0)),
        "precisions": (1.0 / variances[:, 1], stats.gamma(3.0, scale=1.0 / 3.0)),
        "means": (means[:, 0] / np.sqrt(variances[:, 0] / 0.2), stats.norm()),
    }
    for name, (values, law) in laws.items():
        assert stats.kstest(values, law.cdf).pvalue > SURELY, name


def test_quantities_do_not_know_labels_and_their_joint_density_is_that_of_the_package():
    truth, rows = posterior.drawn(3)
    plain = posterior.quantities(truth, rows)
    swapped = posterior.quantities(tuple(part[:, ::-1] for part in truth), rows)
    for name, value in plain.items():
        np.testing.assert_allclose(swapped[name], value, rtol=1e-12, err_msg=name)
    model = posterior.fitted(rows)
    found = bm.gibbs(model, rows, n_draws=20, chains=1, warmup=0, random_state=0)
    means, variances = (found.parameters[name].reshape(-1, 2) for name in ("means", "covariances"))
    joint = posterior.quantities((found.weights[0], means, variances), rows)["log joint density"]
    # A density over the coordinates of the fit's frame: a constant away.
    np.testing.assert_allclose(np.ptp(joint - found.log_joint[0]), 0.0, atol=1e-8)


def test_bands_hold_uniform_numbers_as_often_as_they_say():
    grid, n, n_sets = np.arange(1, 20) / 20.0, 100, 2000
    band = posterior.simultaneous_band(n, grid)
    rng = np.random.default_rng(5)
    away = [posterior.ecdf_difference(rng.random(n), grid) for _ in range(n_sets)]
    inside = np.mean([((one >= band[:, 0]) & (one <= band[:, 1])).all() for one in away])
    # The band is itself simulated: 4,000 sets, so that errors of both count; 5 of them.
    error = np.sqrt(0.05 * 0.95 * (1.0 / n_sets + 1.0 / 4000.0))
    # Counts are whole: a band is a little wider than asked for.
    assert 0.95 - 5.0 * error < inside < 0.98 + 5.0 * error
    narrow = posterior.ecdf_difference(rng.beta(0.5, 0.5, 400), grid)
    assert not ((narrow >= band[:, 0]) & (narrow <= band[:, 1])).all()


def chain(seed, length):
    """Where the truth stands among itself and the sweeps before and after it.

    Given the assignments, sweeps run alike in both directions, so that from a truth of the prior
    they make a stationary chain that passes through it at any place: its rank is uniform whatever
    the autocorrelation is (Gandy & Scott 2020, sec. 3). No warm-up, and no thinning.
    """
    (weights, means, variances), rows = posterior.drawn(seed)
    result = cheaply_fitted(rows).result_
    sampler = blocked_gibbs(result, ArraySource(rows), each_repetition)
    frame, structure = result.mixture.frame, result.mixture.components.structure
    roots = (frame.scale[0] / np.sqrt(variances))[:, :, None, None]
    scale = np.ones_like(roots[:, :1])
    framed = frame.apply(means.reshape(-1, 1)).reshape(1, 2, 1)
    truth = Draws(WeightDraws(np.log(weights)), GaussianDraws(structure, framed, roots, scale, 0.2))
    rng = stream(seed, Purpose.DRAW, 99)
    sample = sample_of(result, sweeps_around(truth, sampler, seed, length, rng))
    found = sample.weights, sample.means[..., 0], sample.covariances[..., 0, 0]
    expected = posterior.quantities((weights, means, variances), rows)
    return {
        name: posterior.place_of(float(expected[name][0]), values, rng)
        for name, values in posterior.quantities(found, rows).items()
    }


def sweeps_around(truth, sampler, seed, length, rng):
    """The draws of all sweeps before and after a truth at a random place among them."""
    before, others = int(rng.integers(length + 1)), []
    for direction, n_sweeps in enumerate((before, length - before)):
        draw = truth
        for sweep in range(n_sweeps):
            _, conditional = sampler.sweep(draw, rng, (seed, 98, direction, sweep))
            draw = sampler.drawn(conditional, rng)
            others.append(draw)
    return joined(others)


def hidden_markov_chain(seed, length):
    """The same for two sequences of counts and their hidden Markov model."""
    truth, rows = posterior.drawn_sequences(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = posterior.fitted_sequences(rows, n_init=1, max_iter=2).result_
    sampler = blocked_gibbs(result, replace(ArraySource(rows), side=result.side), each_repetition)
    initial, transition, rates = (np.log(part) for part in truth)
    draw = Draws(ChainDraws(initial, transition), PoissonDraws(rates[:, :, None]))
    rng = stream(seed, Purpose.DRAW, 97)
    sample = sample_of(result, sweeps_around(draw, sampler, seed, length, rng))
    found = sample.startprob, sample.transmat, sample.rates[:, :, 0]
    expected = posterior.quantities_of_sequences(truth, rows)
    return {
        name: posterior.place_of(float(expected[name][0]), values, rng)
        for name, values in posterior.quantities_of_sequences(found, rows).items()
    }


def cheaply_fitted(rows):
    """A fit for its frame and its prior alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = bm.BayesianGaussianMixture(
            2, prune=False, search=None, max_iter=2, random_state=0, **posterior.PRIOR
        )
        return model.fit(rows)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(("places_of", "n_sets"), [(chain, 200), (hidden_markov_chain, 80)])
def test_the_truth_is_anywhere_among_gibbs_sweeps_that_begin_at_it(places_of, n_sets):
    places = [places_of(seed, 40) for seed in range(n_sets)]
    for name in places[0]:
        values = np.array([one[name] for one in places])
        # Shifted, or too narrow and too wide: a false alarm in ten thousand for all twelve.
        assert stats.kstest(values, "uniform").pvalue > 1e-4 / 12, name
        assert stats.kstest(np.abs(2.0 * values - 1.0), "uniform").pvalue > 1e-4 / 12, name


def test_a_table_of_coverage_has_a_row_for_every_quantity_and_method():
    rng = np.random.default_rng(6)
    table = posterior.ranked({"Gibbs": {"uniform": rng.random(300), "off": rng.random(300) ** 2}})
    assert [row["uniform_within_the_95%_band"] for row in table] == ["yes", "no"]
    assert table[0]["covered_of_90%"] == pytest.approx(0.9, abs=5.0 * np.sqrt(0.09 / 300))
