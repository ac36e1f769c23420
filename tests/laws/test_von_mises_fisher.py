"""Directions: SciPy's density, Bessel functions by mpmath, stationary fits, plain EM by hand."""

import mpmath
import numpy as np
import pytest
from scipy import special, stats

import bayesmix as bm
from bayesmix.errors import (
    BayesmixWarning,
    DegenerateComponentWarning,
    InvalidInputError,
    UnsupportedError,
)
from bayesmix.families.von_mises_fisher import (
    VonMisesFishers,
    log_constants,
    mean_lengths,
    most_likely_concentrations,
)
from bayesmix.numerics.bessel import log_bessel_and_ratio
from laws.cases import assert_same, generator, soft_assignments

PLAIN = {"random_state": 0, "n_jobs": 1}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def point(seed, n_features, concentrations):
    directions = unit(generator(seed).normal(size=(len(concentrations), n_features)))
    return VonMisesFishers(directions, np.array(concentrations))


def log_density(point, rows):
    """By SciPy's Bessel functions."""
    order = rows.shape[1] / 2 - 1
    kappa = point.concentrations
    bessel = np.log(special.ive(order, kappa)) + kappa
    constants = order * np.log(kappa) - (order + 1) * np.log(2 * np.pi) - bessel
    return constants + rows @ (kappa[:, None] * point.directions).T


@pytest.mark.parametrize("order", [0, 0.5, 24, 99.5, 2047])
def test_bessel_functions_are_those_of_mpmath(order):
    arguments = np.array([1e-8, 0.3, 5.0, 49.0, 51.0, 300.0, 1e4])
    logs, ratios = log_bessel_and_ratio(order, arguments)
    with mpmath.workdps(30):
        for x, log, ratio in zip(arguments, logs, ratios, strict=True):
            value = mpmath.besseli(order, x)
            expected = mpmath.log(value) - x - order * mpmath.log(mpmath.mpf(x) / 2)
            assert log == pytest.approx(float(expected), rel=1e-13, abs=1e-12)
            own = mpmath.besseli(order + 1, x) / value
            assert ratio == pytest.approx(float(own), rel=1e-14)
            alone = log_bessel_and_ratio(order, np.array([x]))  # moderate ones by SciPy
            assert alone[0][0] == pytest.approx(float(expected), rel=1e-13, abs=1e-12)
            assert alone[1][0] == pytest.approx(float(own), rel=1e-13)
    log, ratio = log_bessel_and_ratio(order, np.zeros(1))
    assert log[0] == pytest.approx(-special.gammaln(order + 1.0), rel=1e-14, abs=1e-12)
    assert ratio[0] == 0.0


@pytest.mark.parametrize("n_features", [2, 3, 50])
def test_the_density_is_scipys_and_uniform_at_zero(n_features):
    own = point(1, n_features, [0.0, 0.7, 20.0, 1e4])
    rows = unit(generator(2).normal(size=(9, n_features)))
    found = own.expected_log_density(rows)
    for k in (1, 2, 3):
        expected = stats.vonmises_fisher(own.directions[k], own.concentrations[k]).logpdf(rows)
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-10, atol=1e-8)
    half = 0.5 * n_features
    surface = np.log(2.0) + half * np.log(np.pi) - special.gammaln(half)
    np.testing.assert_allclose(found[:, 0], -surface, rtol=1e-12)
    np.testing.assert_allclose(own.linear.expected_log_density(rows), found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_features", [2, 3, 4096])
def test_concentrations_solve_their_equation(n_features):
    concentrations = np.array([0.0, 1e-3, 0.5, 10.0, 1e3, 1e6])
    lengths = mean_lengths(n_features, concentrations)
    found = most_likely_concentrations(n_features, lengths, 1e10)
    np.testing.assert_allclose(found, concentrations, rtol=1e-8)  # 1 - A has ten digits
    assert most_likely_concentrations(n_features, np.ones(1), 1e7)[0] == 1e7


def test_draws_have_the_means_and_covariances():
    own = point(3, 4, [0.0, 3.0, 400.0])
    rows = own.draw(np.full(3, 20_000), generator(4)).reshape(3, 20_000, 4)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=2), 1.0, rtol=1e-12)
    errors = 5.0 * np.sqrt(np.diagonal(own.covariances, axis1=1, axis2=2) / 20_000)
    assert (np.abs(rows.mean(axis=1) - own.means) < errors).all()
    for k in range(3):
        expected = own.covariances[k]
        spread = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert (np.abs(np.cov(rows[k].T) - expected) < 0.05 * spread).all()


def test_maximum_likelihood_is_stationary_and_statistics_add_up():
    rows, shares = (
        unit(generator(5).normal(size=(60, 3)) + 1.0),
        soft_assignments(generator(6), 60, 2),
    )
    family = bm.VonMisesFisher()
    whole = family.statistics(rows, shares)
    assert_same(
        family.statistics(rows[:9], shares[:9]) + family.statistics(rows[9:], shares[9:]),
        whole,
        rtol=1e-12,
    )
    best = family.maximum_likelihood(whole)

    def value(size, turn):
        directions = unit(best.directions + size * turn[:, :3])
        moved = VonMisesFishers(directions, best.concentrations * np.exp(size * turn[:, 3]))
        return (shares * log_density(moved, rows)).sum()

    for seed in range(4):
        turn = generator(7, seed).normal(size=(2, 4))
        assert abs(value(1e-4, turn) - value(-1e-4, turn)) / 2e-4 < 1e-4
        assert value(0.02, turn) < value(0.0, turn) > value(-0.02, turn)


def groups(seed, n, n_features, n_groups, concentration):
    rng = generator(seed)
    own = VonMisesFishers(
        unit(rng.normal(size=(n_groups, n_features))), np.full(n_groups, concentration)
    )
    return own.draw(np.full(n_groups, n // n_groups), rng)


def plain_em(rows, n_components, rng, passes=40):
    """EM by hand from random rows as mean directions."""
    directions = rows[rng.choice(len(rows), n_components, replace=False)]
    own = VonMisesFishers(directions, np.full(n_components, float(rows.shape[1])))
    weights, last = np.full(n_components, 1.0 / n_components), -np.inf
    for _ in range(passes):
        joint = own.expected_log_density(rows) + np.log(weights)
        logs = np.logaddexp.reduce(joint, axis=1)
        shares = np.exp(joint - logs[:, None])
        counts = shares.sum(axis=0)
        means = shares.T @ rows / counts[:, None]
        lengths = np.linalg.norm(means, axis=1)
        concentrations = most_likely_concentrations(rows.shape[1], lengths, 1e8)
        own, weights = VonMisesFishers(unit(means), concentrations), counts / len(rows)
        if logs.sum() - last < 1e-6:
            break
        last = logs.sum()
    return logs.sum()


@pytest.mark.slow
def test_a_default_fit_is_at_least_as_good_as_plain_em_from_twenty_starts():
    rows = groups(8, 160, 3, 4, 12.0)
    model = bm.Mixture(4, family="von_mises_fisher", max_iter=1000, **PLAIN).fit(rows)
    best = max(plain_em(rows, 4, generator(9, start)) for start in range(20))
    assert model.log_likelihood_ >= best - 1e-3
    total = log_density(model.result_.unframed, rows) + np.log(model.weights_)
    assert model.log_likelihood_ == pytest.approx(
        np.logaddexp.reduce(total, axis=1).sum(), rel=1e-9
    )
    assert np.diff(model.objective_trace_).min() >= -1e-9


def test_identical_directions_are_held_and_named():
    rows = np.vstack([groups(10, 60, 3, 1, 5.0), np.tile([[0.0, 0.0, 1.0]], (20, 1))])
    labels = np.repeat([0, 1], [60, 20])
    with pytest.warns(DegenerateComponentWarning, match="identical directions"):
        model = bm.Mixture(
            2, family=bm.VonMisesFisher(), init_params=labels, search=None, **PLAIN
        ).fit(rows)
    assert np.isfinite(model.log_likelihood_)
    assert np.isfinite(log_constants(3, model.result_.unframed.concentrations)).all()


@pytest.mark.slow
def test_products_saved_files_and_wide_directions(tmp_path):
    rows = groups(11, 120, 600, 2, 900.0)
    family = bm.Product({tuple(range(600)): bm.VonMisesFisher(), 600: bm.Gaussian()})
    more = np.column_stack([rows, np.repeat([0.0, 3.0], 60) + generator(12).normal(size=120)])
    model = bm.Mixture(2, family=family, **PLAIN).fit(more)
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(more), model.predict_proba(more))
    assert (np.diff(model.predict(more)) != 0).sum() == 1
    alone = bm.Mixture(2, family=bm.VonMisesFisher(), **PLAIN).fit(rows)
    drawn, _ = alone.sample(7, random_state=0)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1.0)


def test_what_a_direction_does_not_do_is_refused_by_name():
    rows = groups(13, 20, 3, 1, 5.0)
    with pytest.raises(InvalidInputError, match="got length 2 in row 3: divide each row"):
        bm.Mixture(1, family=bm.VonMisesFisher()).fit(
            rows * np.where(np.arange(20) == 3, 2, 1)[:, None]
        )
    with pytest.raises(UnsupportedError, match="use inference=MaximumLikelihood"):
        bm.Mixture(1, family=bm.VonMisesFisher(), inference=bm.VariationalBayes()).fit(rows)
    with pytest.raises(UnsupportedError, match="has no marginals"):
        bm.Mixture(1, family=bm.VonMisesFisher(), **PLAIN).fit(rows).marginal([0])


def tracks(seed, n=240):
    """Steps and turning angles of an animal; some angles, steps and whole rows are missing."""
    rng = generator(seed)
    states = np.repeat(rng.integers(0, 2, n // 10), 10)
    angle = rng.vonmises(0.0, np.where(states, 4.0, 0.3))
    step = rng.gamma(2.0, np.where(states, 3.0, 0.5)) * (rng.random(n) > 0.05)
    rows = np.column_stack([step, np.cos(angle), np.sin(angle)])
    rows[rng.random(n) < 0.2, 1:] = np.nan
    rows[rng.random(n) < 0.1, 0] = np.nan
    return rows


TRACK = bm.Product({0: bm.ZeroOr(bm.Gamma()), (1, 2): bm.VonMisesFisher()})


def track_joint(model, rows):
    """Log densities (n, 2) of steps and angles by SciPy, 0 where missing."""
    amounts, directions = model.result_.unframed.parts
    step, seen = rows[:, :1], ~np.isnan(rows[:, 1])
    shape, rate, zero = (getattr(amounts, own)[:, 0] for own in ("shapes", "rates", "zeros"))
    density = stats.gamma(shape, scale=1.0 / rate).logpdf(step) + np.log1p(-zero)
    joint = np.where(step == 0.0, np.log(zero), density)
    joint[np.isnan(step[:, 0])] = 0.0
    cosines = rows[seen, 1:] @ directions.directions.T
    kappa = directions.concentrations
    joint[seen] += kappa * (cosines - 1.0) - np.log(2.0 * np.pi * special.i0e(kappa))
    return joint


def test_angles_or_steps_missing_within_a_row_are_integrated_out():
    rows = tracks(14)
    model = bm.Mixture(2, family=TRACK, missing="use", **PLAIN)
    with pytest.warns(BayesmixWarning, match="rows without any value are left out"):
        model.fit(rows)
    some = rows[~np.isnan(rows).all(axis=1)]
    joint = track_joint(model, some) + np.log(model.weights_)
    expected = special.logsumexp(joint, axis=1)
    np.testing.assert_allclose(model.score_samples(some), expected, rtol=1e-9)
    assert model.log_likelihood_ == pytest.approx(expected.sum(), rel=1e-10)
    # Stationary: mean directions of the angles that are seen.
    seen = ~np.isnan(some[:, 1])
    shares = np.exp(joint - expected[:, None])[seen]
    means = shares.T @ some[seen, 1:] / shares.sum(axis=0)[:, None]
    np.testing.assert_allclose(model.result_.unframed.parts[1].means, means, atol=2e-4)


def test_tracks_with_missing_angles_have_the_likelihood_of_the_forward_algorithm():
    rows = tracks(15, 120)
    model = bm.HiddenMarkovModel(2, family=TRACK, missing="use", n_init=2, **PLAIN)
    model.fit(rows, lengths=[50, 70])
    joint, total = track_joint(model, rows), 0.0
    for begin, end in ((0, 50), (50, 120)):
        state = model.startprob_ * np.exp(joint[begin])
        for density in np.exp(joint[begin + 1 : end]):
            state = (state @ model.transmat_) * density
        total += np.log(state.sum())
    assert model.log_likelihood_ == pytest.approx(total, rel=1e-10)
    rows[3, 1:] = [np.nan, 1.0]
    with pytest.raises(InvalidInputError, match="missing as a whole"):
        model.score_samples(rows)
    with pytest.raises(InvalidInputError, match="missing as a whole, got row 3"):
        model.fit(rows, lengths=[50, 70])
