"""Weibull columns: SciPy's density and fit, updates that never fall, narrow columns held."""

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.errors import DegenerateComponentWarning, InvalidInputError, UnsupportedError
from bayesmix.families.weibull import PowerSums, Weibulls
from laws.cases import assert_same, generator, soft_assignments

PLAIN = {"random_state": 0, "n_jobs": 1, "max_iter": 2000}


def durations(seed, n=100):
    """Two groups of durations in two columns."""
    rng = generator(seed)
    early = [2.0, 9.0] * rng.weibull([0.9, 4.0], (n, 2))
    return np.vstack([early, [60.0, 3.0] * rng.weibull([8.0, 1.5], (n, 2))])


def log_density(point, rows):
    return stats.weibull_min.logpdf(rows[:, None], point.shapes, scale=point.scales).sum(axis=2)


def test_the_density_is_scipys_and_draws_have_its_moments():
    rng = generator(1)
    point = Weibulls(np.array([[0.5, 1.5], [30.0, 200.0]]), rng.uniform(0.2, 50.0, (2, 2)))
    rows = point.draw(np.array([20_000, 0]), rng)
    some = rows[:50]
    np.testing.assert_allclose(
        point.expected_log_density(some)[:, 0], log_density(point, some)[:, 0], rtol=1e-11
    )
    assert (point.expected_log_density(np.array([[0.0, 1.0], [-1.0, 1.0]])) == -np.inf).all()
    exact = stats.weibull_min(point.shapes, scale=point.scales)
    np.testing.assert_allclose(point.means, exact.mean(), rtol=1e-12)
    np.testing.assert_allclose(point.deviations, exact.std(), rtol=1e-8)
    error = 5.0 * point.deviations[0] / np.sqrt(20_000)
    assert (np.abs(rows.mean(axis=0) - point.means[0]) < error).all()


@pytest.mark.parametrize(("shape", "scale"), [(0.3, 3.0), (8.0, 100.0), (300.0, 2.0)])
def test_one_component_is_at_least_as_likely_as_scipys_fit(shape, scale):
    rows = scale * generator(2).weibull(shape, (300, 1))
    model = bm.Mixture(1, family=bm.Weibull(), **PLAIN).fit(rows)
    own, _, own_scale = stats.weibull_min.fit(rows[:, 0], floc=0.0)
    found = model.result_.unframed
    assert found.shapes[0, 0] == pytest.approx(own, rel=1e-4)
    assert found.scales[0, 0] == pytest.approx(own_scale, rel=1e-4)
    best = stats.weibull_min.logpdf(rows, own, scale=own_scale).sum()
    assert model.log_likelihood_ == pytest.approx(best, abs=1e-5)
    assert model.log_likelihood_ >= best - 1e-9


def test_an_update_is_a_lower_bound_whatever_the_shape_before():
    rows, rng = durations(3), generator(4)
    shares = soft_assignments(rng, 200, 2)
    for _ in range(20):
        before = Weibulls(
            np.exp(rng.normal(0.0, 1.0, (2, 2))), np.exp(rng.normal(2.0, 1.0, (2, 2)))
        )
        after = bm.Weibull().maximum_likelihood(before.statistics(rows, shares))
        gain = (shares * (log_density(after, rows) - log_density(before, rows))).sum()
        assert gain >= -1e-9


def test_the_objective_never_falls_and_the_end_is_stationary():
    rows, start = durations(5), soft_assignments(generator(6), 200, 2)
    model = bm.Mixture(2, family=bm.Weibull(), init_params=start, search=None, **PLAIN).fit(rows)
    trace = model.objective_trace_
    assert np.diff(trace).min() >= -1e-12 * np.abs(trace).max()
    found = model.result_.unframed

    def at(size, turn):
        moved = Weibulls(
            found.shapes * np.exp(size * turn[0]), found.scales * np.exp(size * turn[1])
        )
        joint = log_density(moved, rows) + np.log(model.weights_)
        return np.logaddexp.reduce(joint, axis=1).sum()

    assert at(0.0, np.zeros((2, 2, 2))) == pytest.approx(model.log_likelihood_, abs=1e-7)
    for seed in range(3):
        turn = generator(7, seed).normal(size=(2, 2, 2))
        assert abs(at(1e-4, turn) - at(-1e-4, turn)) / 2e-4 < 0.5
        assert at(0.01, turn) < at(0.0, turn) > at(-0.01, turn)


def test_sums_add_up_with_missing_values_and_unpack():
    rows, rng = durations(8, n=20), generator(9)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    shares = soft_assignments(rng, 40, 3)
    at = Weibulls(rng.uniform(0.5, 3.0, (3, 2)), rng.uniform(1.0, 9.0, (3, 2)))
    whole = PowerSums.of(rows, shares, at)
    both = PowerSums.of(rows[:7], shares[:7], at) + PowerSums.of(rows[7:], shares[7:], at)
    assert_same(both, whole, rtol=1e-12)
    after, packed = (
        bm.Weibull().maximum_likelihood(s) for s in (whole, whole.unpack(whole.pack()))
    )
    assert_same(packed, after, rtol=1e-12)
    parts = [whole.subset(np.array([own])) for own in range(3)]
    assert_same(PowerSums.joined(parts), whole, rtol=0.0)
    np.testing.assert_allclose(whole.known[0], shares[:, 0] @ ~np.isnan(rows), rtol=1e-12)


def test_an_update_with_values_above_a_bound_is_a_lower_bound_with_their_survival():
    rows, rng = durations(13), generator(14)
    shares, above = soft_assignments(rng, 200, 2), rng.random(rows.shape) < 0.6
    for _ in range(20):
        before = Weibulls(
            np.exp(rng.normal(0.0, 1.0, (2, 2))), np.exp(rng.normal(2.0, 1.0, (2, 2)))
        )
        sums = before.statistics(np.where(above, -rows, rows), shares)
        gain = 0.0
        for point, sign in ((bm.Weibull().maximum_likelihood(sums), 1.0), (before, -1.0)):
            life = stats.weibull_min(point.shapes, scale=point.scales)
            x = rows[:, None]
            logs = np.where(above[:, None], life.logsf(x), life.logpdf(x)).sum(axis=2)
            gain += sign * (shares * logs).sum()
        assert gain >= -1e-9


def test_the_exponential_is_a_weibull_of_shape_one_in_any_units():
    rows = generator(10).exponential(3.0, (300, 1))
    model = bm.Mixture(1, family=bm.Weibull(), **PLAIN).fit(rows)
    exponential = bm.Mixture(1, family=bm.Exponential(), **PLAIN).fit(rows)
    assert model.log_likelihood_ >= exponential.log_likelihood_
    other = bm.Mixture(1, family=bm.Weibull(), **PLAIN).fit(1024.0 * rows)
    assert other.result_.unframed.shapes == model.result_.unframed.shapes


def test_products_saved_files_missing_values_and_bootstrap(tmp_path):
    rows = durations(11, n=60)
    family = bm.Product({0: bm.Weibull(), 1: bm.LogNormal()})
    model = bm.Mixture(2, family=family, **PLAIN).fit(rows)
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_samples(rows), model.score_samples(rows))
    rows[:20, 0] = np.nan
    gappy = bm.Mixture(1, family="weibull", missing="use", **PLAIN).fit(rows)
    point = gappy.result_.unframed
    seen = stats.weibull_min.logpdf(rows, point.shapes, scale=point.scales)
    assert gappy.log_likelihood_ == pytest.approx(np.nansum(seen), rel=1e-10)
    refits = bm.weighted_bootstrap(
        bm.Mixture(1, family="weibull", **PLAIN).fit(rows[20:]), rows[20:], 5
    )
    assert refits.standard_deviations.shapes.shape == (1, 2)


def test_equal_durations_are_held_and_named_and_what_is_no_duration_is_refused():
    rows = np.vstack([durations(12, n=30), np.full((20, 2), 500.0)])
    labels = np.repeat([0, 1, 2], [30, 30, 20])
    with pytest.warns(DegenerateComponentWarning, match="shape parameter was limited"):
        model = bm.Mixture(3, family=bm.Weibull(), init_params=labels, search=None, **PLAIN).fit(
            rows
        )
    assert np.isfinite(model.log_likelihood_)
    with pytest.raises(InvalidInputError, match="positive numbers for a Weibull mixture, got 0"):
        bm.Mixture(1, family=bm.Weibull()).fit([[1.0], [0.0]])
    with pytest.raises(UnsupportedError, match="a Weibull has no conjugate prior"):
        bm.Mixture(1, family=bm.Weibull(), inference=bm.VariationalBayes()).fit(rows[:60])
