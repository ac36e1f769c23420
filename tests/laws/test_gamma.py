"""Gamma columns: SciPy's density and fit, shapes that solve their equation, narrow columns held."""

import numpy as np
import pytest
from scipy import optimize, special, stats

import bayesmix as bm
from bayesmix.errors import (
    DegenerateComponentWarning,
    InvalidInputError,
    UnsupportedError,
)
from bayesmix.families.gamma import Gammas, log_constant, log_less_digamma, most_likely_shapes
from laws.cases import generator, soft_assignments

OPTIONS = {"random_state": 0, "max_iter": 3000, "n_jobs": 1}


def amounts(seed, n=200):
    """Two groups of amounts in two columns."""
    rng = generator(seed)
    return np.vstack(
        [rng.gamma([2.0, 9.0], [1.0, 0.5], (n, 2)), rng.gamma([60.0, 3.0], [0.5, 4.0], (n, 2))]
    )


def test_the_density_is_scipys_also_where_columns_are_narrow():
    rng = generator(1)
    shapes = np.array([[0.3, 4.0], [99.0, 101.0], [1e4, 1e7]])
    rates = rng.uniform(0.2, 5.0, shapes.shape)
    point = Gammas(shapes, rates)
    rows = np.vstack([point.draw(np.full(3, 4), rng), [[0.0, 1.0], [-1.0, 1.0]]])
    logs = stats.gamma.logpdf(rows[:12, None], shapes, scale=1.0 / rates).sum(axis=2)
    found = point.expected_log_density(rows)
    # SciPy's loses what terms of 1e8 nats lose.
    np.testing.assert_allclose(found[:12, :2], logs[:, :2], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[:12, 2], logs[:, 2], rtol=1e-9, atol=1e-6)
    assert (found[12:] == -np.inf).all()
    np.testing.assert_allclose(point.means, stats.gamma.mean(shapes, scale=1.0 / rates))
    np.testing.assert_allclose(point.deviations, stats.gamma.std(shapes, scale=1.0 / rates))


def test_shapes_solve_their_equation_and_series_meet_the_functions():
    spread = np.exp(np.linspace(np.log(1e-7), np.log(500.0), 300))
    shapes = most_likely_shapes(spread)
    np.testing.assert_allclose(log_less_digamma(shapes), spread, rtol=1e-12)
    for one in (1e-3, 0.5, 40.0):
        root = optimize.brentq(lambda k, s=one: np.log(k) - special.digamma(k) - s, 1e-4, 1e4)
        assert most_likely_shapes(np.array(one)) == pytest.approx(root, rel=1e-9)
    near = np.array([99.999, 100.001])
    for function in (log_less_digamma, log_constant):
        below, above = function(near)
        assert below == pytest.approx(above, rel=1e-4)
    exact = near * np.log(near) - near - special.gammaln(near)
    np.testing.assert_allclose(log_constant(near), exact, rtol=1e-12)


def test_one_component_is_scipys_fit():
    rows = generator(2).gamma(3.0, 2.0, (300, 1))
    model = bm.Mixture(1, family=bm.Gamma(), **OPTIONS).fit(rows)
    shape, _, scale = stats.gamma.fit(rows[:, 0], floc=0.0)
    found = model.result_.unframed
    assert found.shapes[0, 0] == pytest.approx(shape, rel=1e-5)
    assert 1.0 / found.rates[0, 0] == pytest.approx(scale, rel=1e-5)
    expected = stats.gamma.logpdf(rows, shape, scale=scale).sum()
    assert model.log_likelihood_ == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("acceleration", [None, "auto"])
def test_the_objective_never_falls_and_maximum_likelihood_is_stationary(acceleration):
    rows = amounts(3)
    start = soft_assignments(generator(4), 400, 3)
    model = bm.Mixture(
        3, family=bm.Gamma(), init_params=start, search=None, acceleration=acceleration, **OPTIONS
    ).fit(rows)
    trace = model.objective_trace_
    assert np.diff(trace).min() >= -1e-12 * np.abs(trace).max()
    found, rng = model.result_.unframed, generator(5)

    def at(step, turn):
        moved = Gammas(found.shapes * np.exp(step * turn[0]), found.rates * np.exp(step * turn[1]))
        joint = moved.expected_log_density(rows) + np.log(model.weights_)
        return np.logaddexp.reduce(joint, axis=1).sum()

    assert at(0.0, np.zeros((2, 3, 2))) == pytest.approx(model.log_likelihood_, abs=1e-7)
    for _ in range(3):
        turn = rng.normal(size=(2, 3, 2))
        assert abs(at(1e-4, turn) - at(-1e-4, turn)) / 2e-4 < 0.5
        assert at(0.01, turn) < at(0.0, turn) > at(-0.01, turn)


def test_the_exponential_is_a_gamma_of_shape_one_and_is_never_likelier():
    rows = generator(6).exponential(3.0, (400, 1))
    gamma = bm.Mixture(2, family=bm.Gamma(), **OPTIONS).fit(rows)
    exponential = bm.Mixture(2, family=bm.Exponential(), **OPTIONS).fit(rows)
    assert gamma.log_likelihood_ >= exponential.log_likelihood_ - 1e-6


def test_in_other_units_and_at_other_weights_the_fit_is_the_same():
    rows = amounts(7)
    one, other = (bm.Mixture(2, family=bm.Gamma(), **OPTIONS).fit(x) for x in (rows, 8.0 * rows))
    np.testing.assert_array_equal(one.result_.unframed.shapes, other.result_.unframed.shapes)
    np.testing.assert_array_equal(8.0 * one.means_, other.means_)
    counts = generator(8).integers(1, 4, len(rows)).astype(float)
    start = one.predict_proba(rows)
    weighted = bm.Mixture(2, family=bm.Gamma(), init_params=start, search=None, **OPTIONS).fit(
        rows, sample_weight=counts
    )
    repeats = np.repeat(np.arange(len(rows)), counts.astype(int))
    repeated = bm.Mixture(
        2, family=bm.Gamma(), init_params=start[repeats], search=None, **OPTIONS
    ).fit(rows[repeats])
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_, abs=1e-5)


def test_rows_that_agree_are_held_and_named():
    rows = np.vstack([amounts(9, n=60), np.full((20, 2), 500.0)])
    labels = np.repeat([0, 1, 2], [60, 60, 20])
    for family in (bm.Gamma(), bm.Product({0: bm.Gamma(), 1: bm.Gamma()})):
        with pytest.warns(DegenerateComponentWarning, match="shape parameter was limited"):
            model = bm.Mixture(3, family=family, init_params=labels, search=None, **OPTIONS).fit(
                rows
            )
        assert np.isfinite(model.log_likelihood_)
        assert model.result_.degenerate is not None


def test_columns_beside_others_files_and_rows_drawn(tmp_path):
    rows = amounts(10)
    beside = bm.Product({0: bm.Gamma(), 1: bm.LogNormal()})
    start = np.repeat([0, 1], 200)
    for place, family in enumerate((bm.Gamma(), beside)):
        model = bm.Mixture(2, family=family, init_params=start, **OPTIONS).fit(rows)
        model.save(tmp_path / str(place))
        loaded = bm.load(tmp_path / str(place))
        np.testing.assert_array_equal(loaded.score_samples(rows), model.score_samples(rows))
        one = model.marginal([0])
        grid = np.exp(np.linspace(-14.0, 6.0, 20_001))
        density = np.exp(one.score_samples(grid[:, None]))
        assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-4)
        drawn, _ = model.sample(4000, random_state=0)
        error = 5.0 * drawn[:, 0].std() / np.sqrt(4000)
        assert abs(drawn[:, 0].mean() - rows[:, 0].mean()) < error
        assert model.conditional({1: 10.0}).sample(3, random_state=0)[0].min() > 0.0
    refits = bm.weighted_bootstrap(bm.Mixture(1, family=bm.Gamma()).fit(rows), rows, 20)
    assert refits.standard_deviations.shapes.shape == (1, 2)
    search = bm.MixtureSearch(
        bm.Mixture(search="short", random_state=0),
        [1, 2, 3],
        param_grid={"family": [bm.Gamma(), bm.Exponential()]},
        criterion="bic",
    ).fit(rows)
    assert search.best_params_ == {"family": bm.Gamma(), "n_components": 2}
    beside = bm.select(rows, (1, 2), family=[bm.Gamma(), bm.Exponential()])
    assert beside.best_params_ == search.best_params_


def test_what_a_gamma_does_not_do_is_refused_by_name():
    rows = amounts(11)
    for inference in (bm.VariationalBayes(), bm.MaximumAPosteriori()):
        with pytest.raises(UnsupportedError, match="a Gamma has no conjugate prior"):
            bm.Mixture(2, family=bm.Gamma(), inference=inference).fit(rows)
    with pytest.raises(InvalidInputError, match="positive numbers for a Gamma mixture, got 0"):
        bm.Mixture(2, family=bm.Gamma()).fit(np.vstack([rows, [[0.0, 1.0]]]))
    with pytest.raises(InvalidInputError, match="all values of column 1 are equal"):
        bm.Mixture(2, family=bm.Gamma()).fit(np.column_stack([rows[:, 0], np.ones(400)]))
