"""The von Mises family: evidence by quadrature, units, turns, and densities that integrate to 1."""

import numpy as np
import pytest
from scipy import integrate, special, stats

import bayesmix as bm
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.von_mises import Circle, VonMisesPrior
from bayesmix.numerics.circular import ConcentrationDensity

EXACT = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))


def hours(n=40, seed=0, centre=23.5, kappa=4.0):
    rng = np.random.default_rng(seed)
    return np.mod(centre + rng.vonmises(0.0, kappa, n) * 12.0 / np.pi, 24.0)[:, None]


def evidence(values, period, most):
    """Log ∫∫ p(κ) Π p(x | μ, κ) dμ dκ / 2π, the inner integral by the trapezoidal rule."""
    angles = 2.0 * np.pi * values.ravel() / period
    grid = np.linspace(-np.pi, np.pi, 2000, endpoint=False)
    cosines = np.cos(angles[:, None] - grid).sum(axis=0)
    n, total = len(angles), 2.0 * (1.0 - (1.0 + most) ** -0.5)

    def of_kappa(log):
        kappa = np.expm1(log)
        density = kappa * (cosines - n) - n * np.log(special.i0e(kappa))
        top = density.max()
        inner = np.log(np.exp(density - top).mean()) + top
        return inner - 0.5 * log - np.log(total)

    logs = np.linspace(0.0, np.log1p(most), 400)
    top = max(map(of_kappa, logs))
    at = logs[np.argmax([of_kappa(log) for log in logs])]
    pieces = [(0.0, at), (at, at + 1.0), (at + 1.0, np.log1p(most))]
    value = sum(
        integrate.quad(lambda log: np.exp(of_kappa(log) - top), *ends, limit=200, epsabs=1e-13)[0]
        for ends in pieces
    )
    return np.log(value) + top - n * np.log(period)


@pytest.mark.parametrize(("n", "kappa"), [(3, 4.0), (40, 4.0), (40, 0.2)])
def test_the_bound_of_one_component_is_the_evidence_by_quadrature(n, kappa):
    X = hours(n, kappa=kappa)
    fit = bm.Mixture(1, family=bm.VonMises(24), inference=EXACT).fit(X)
    np.testing.assert_allclose(fit.elbo_, evidence(X, 24.0, 1e6), atol=1e-7)


@pytest.mark.parametrize(("amount", "length"), [(0.0, 0.0), (1.0, 1.0), (1.0, 0.2)])
def test_the_prior_has_total_one_and_one_observation_is_uniform(amount, length):
    density = ConcentrationDensity(np.array(amount), np.array(length), 1e6)
    if amount == 0.0:
        np.testing.assert_allclose(density.log_normalisers, 0.0, atol=1e-12)
    if length == amount:
        np.testing.assert_allclose(density.log_normalisers, 0.0, atol=1e-12)
    assert np.isfinite(density.log_normalisers)


def test_evidence_is_that_of_the_unit():
    X = hours()
    of_hours, of_minutes = (
        bm.Mixture(1, family=bm.VonMises(24 * unit), inference=EXACT).fit(unit * X).elbo_
        for unit in (1.0, 60.0)
    )
    np.testing.assert_allclose(of_minutes, of_hours - len(X) * np.log(60.0), rtol=1e-12)


@pytest.mark.parametrize("turned", [3.25, -7.0, 24.0, -240.0])
def test_a_turn_of_all_values_changes_nothing_but_the_means(turned):
    X = hours()
    plain, other = (
        bm.Mixture(1, family=bm.VonMises(24), inference=EXACT).fit(rows) for rows in (X, X + turned)
    )
    np.testing.assert_allclose(other.elbo_, plain.elbo_, rtol=1e-12)
    np.testing.assert_allclose(other.means_, np.mod(plain.means_ + turned, 24.0), atol=1e-9)


def test_the_predictive_density_is_the_ratio_of_evidence_and_integrates_to_one():
    X = hours(12)
    fit = bm.Mixture(1, family=bm.VonMises(24), inference=EXACT).fit(X)
    grid = np.linspace(0.0, 24.0, 500, endpoint=False)[:, None]
    predictive = fit.result_.mixture.components.predictive()
    np.testing.assert_allclose(np.exp(predictive.expected_log_density(grid)).mean() * 24.0, 1.0)
    new = np.array([[5.0]])
    both = evidence(np.vstack([X, new]), 24.0, 1e6) - evidence(X, 24.0, 1e6)
    np.testing.assert_allclose(predictive.expected_log_density(new)[0, 0], both, atol=1e-6)


def test_maximum_likelihood_is_that_of_scipy():
    X = hours(60)
    fit = bm.Mixture(1, family=bm.VonMises(24), inference=bm.MaximumLikelihood()).fit(X)
    kappa, angle, _ = stats.vonmises.fit(2.0 * np.pi * X.ravel() / 24.0, fscale=1.0)
    np.testing.assert_allclose(fit.concentrations_, [[kappa]], rtol=1e-6)
    np.testing.assert_allclose(fit.means_, [[np.mod(angle * 12.0 / np.pi, 24.0)]], rtol=1e-6)
    density = stats.vonmises.logpdf(2.0 * np.pi * X.ravel() / 24.0, kappa, loc=angle)
    np.testing.assert_allclose(
        fit.log_likelihood_, (density + np.log(2.0 * np.pi / 24.0)).sum(), rtol=1e-9
    )


@pytest.mark.parametrize("n", [0, 2, 50])
def test_draws_have_the_expectations_of_the_posterior(n):
    reading = Circle(24.0)
    family = bm.VonMises(24)
    prior = VonMisesPrior(1e4, reading)
    rows = hours(max(n, 1))[:n] if n else np.zeros((1, 1))
    q = prior.given(family.statistics(rows, np.full((len(rows), 1), 1.0 if n else 0.0)))
    drawn = q.draws(20_000, np.random.default_rng(1))
    # Bounded functions, as concentrations of the prior have heavy tails.
    kappas = drawn.concentrations.ravel()
    shares = special.i1e(kappas) / special.i0e(kappas) * np.cos(drawn.angles.ravel())
    angle = np.arctan2(*np.split(q.resultants[0], 2)[::-1])[0]
    exact = q._density.expected_length.ravel()[0] * np.cos(angle)
    np.testing.assert_allclose(shares.mean(), exact, atol=4.0 * shares.std() / np.sqrt(20_000))


def test_a_group_around_midnight_is_one_component():
    rng = np.random.default_rng(4)
    X = np.concatenate([rng.normal(0.0, 1.0, 100), rng.normal(10.0, 2.0, 80)])[:, None] % 24.0
    fit = bm.Mixture(2, family=bm.VonMises(24), inference=EXACT, random_state=0).fit(X)
    labels = fit.predict(X)
    assert len(np.unique(labels[:100])) == 1
    assert (labels[100:] != labels[0]).mean() > 0.95


@pytest.mark.filterwarnings("ignore:X has only 7 distinct")
def test_recorded_values_limit_concentrations():
    X = np.tile(np.arange(7.0), 100)[:, None]
    options = {"family": bm.VonMises(7), "inference": EXACT, "prune": False, "random_state": 0}
    one, seven = (bm.Mixture(K, **options).fit(X).elbo_ for K in (1, 7))
    assert one > seven + np.log(5040.0)


def test_means_are_in_the_turn_that_begins_at_start():
    family = bm.VonMises(2.0 * np.pi, start=-np.pi)
    fit = bm.Mixture(1, family=family, inference=EXACT).fit(np.linspace(-1.2, -0.8, 20)[:, None])
    np.testing.assert_allclose(fit.means_, [[-1.0]])
    drawn = fit.sample(100, random_state=0)[0]
    assert (np.abs(drawn) <= np.pi).all()


def test_frames_leave_the_components_as_they_are():
    X = hours()
    fit = bm.Mixture(1, family=bm.VonMises(24), inference=EXACT).fit(X)
    components = fit.result_.mixture.components
    assert components.unframed(Frame.identity(1)) is components


@pytest.mark.parametrize(
    ("given", "named"), [({"period": 0.0}, "period"), ({"start": np.nan}, "start")]
)
def test_wrong_periods_are_refused(given, named):
    with pytest.raises(InvalidInputError, match=named):
        bm.VonMises(**given)


def test_there_is_no_posterior_mode():
    with pytest.raises(UnsupportedError, match="posterior mode"):
        bm.Mixture(1, family=bm.VonMises(24), inference=bm.MaximumAPosteriori()).fit(hours())
