"""Negative binomial counts under variational Bayes: Beta posteriors at learned sizes."""

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

import bayesmix as bm
from bayesmix.families.count_posterior import (
    BetaNegativeBinomials,
    CountPosterior,
    SizePrior,
    log_beta,
    log_ends,
)
from bayesmix.families.negative_binomial import CountTables

VARIATIONAL = {"inference": bm.VariationalBayes(), "prune": False, "random_state": 0, "n_jobs": 1}


def log_evidence(counts, size, mean):
    """Log ∫ Π NB(x | size, p) dBeta(p | 1, 1 + size / mean) by quadrature."""
    log_chance = stats.nbinom.logpmf

    def joint(p, shift=0.0):
        likelihood = log_chance(counts, size, 1.0 - p).sum()
        return np.exp(likelihood + stats.beta.logpdf(p, 1.0, 1.0 + size / mean) - shift)

    top = counts.mean() / (counts.mean() + size)
    shift = log_chance(counts, size, 1.0 - top).sum()
    value, _ = integrate.quad(joint, 0.0, 1.0, args=(shift,), points=[top], epsabs=1e-13)
    return shift + np.log(value)


def test_the_bound_of_one_component_is_the_evidence_at_the_most_likely_size():
    counts = np.random.default_rng(0).negative_binomial(2, 0.25, 30).astype(float)
    model = bm.Mixture(1, family=bm.NegativeBinomial(), **VARIATIONAL).fit(counts[:, None])
    size = model.result_.unframed.sizes[0, 0]
    mean = counts.mean()
    assert model.elbo_ == pytest.approx(log_evidence(counts, size, mean), abs=1e-6)
    best = optimize.minimize_scalar(
        lambda log_size: -log_evidence(counts, np.exp(log_size), mean),
        bounds=(np.log(0.3), np.log(30.0)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    assert np.log(size) == pytest.approx(best.x, abs=1e-3)
    assert model.elbo_ == pytest.approx(-best.fun, abs=1e-6)


def test_counts_that_vary_less_than_their_mean_have_the_evidence_of_a_poisson():
    counts = np.random.default_rng(1).binomial(10, 0.5, (60, 1)).astype(float)
    limit = bm.Mixture(1, family=bm.NegativeBinomial(), **VARIATIONAL).fit(counts)
    poisson = bm.Mixture(1, family=bm.Poisson(), **VARIATIONAL).fit(counts)
    # The largest size is 1e4 times the mean, so the variance exceeds the mean by 1e-4 of it.
    assert limit.elbo_ == pytest.approx(poisson.elbo_, abs=1e-4 * len(counts))
    np.testing.assert_allclose(limit.rates_, poisson.rates_, rtol=1e-3)
    held_out = np.arange(12.0)[:, None]
    np.testing.assert_allclose(
        limit.score_samples(held_out), poisson.score_samples(held_out), atol=5e-3
    )


@pytest.mark.parametrize("missing", [False, True])
def test_the_objective_does_not_fall_and_sizes_are_those_of_the_data(missing):
    rng = np.random.default_rng(2)
    group = rng.integers(0, 2, 1500)
    means = np.where(group[:, None], [20.0, 3.0, 5.0], [4.0, 12.0, 5.0])
    counts = rng.negative_binomial([3.0, 1e5, 1.0], 1.0 / (1.0 + means / [3.0, 1e5, 1.0]))
    counts = np.where(missing & (rng.random(counts.shape) < 0.05), np.nan, counts)
    counts = counts[~np.isnan(counts).all(axis=1)]
    options = VARIATIONAL | ({"missing": "use"} if missing else {})
    model = bm.Mixture(2, family=bm.NegativeBinomial(), **options).fit(counts)
    trace = np.array(model.result_.trace)
    assert (np.diff(trace) > -1e-12 * np.abs(trace).max()).all()
    order = np.argsort(-model.rates_[:, 0])
    np.testing.assert_allclose(model.rates_[order], [[20.0, 3.0, 5.0], [4.0, 12.0, 5.0]], rtol=0.15)
    sizes = model.result_.unframed.sizes[0]
    assert sizes[0] == pytest.approx(3.0, rel=0.2)
    assert sizes[1] > 100.0
    assert sizes[2] == pytest.approx(1.0, rel=0.2)


def test_predictive_densities_are_those_of_the_beta_negative_binomial():
    own = BetaNegativeBinomials(*(np.array([[value]]) for value in (2.5, 6.0, 4.0)))
    x = np.arange(4000.0)
    density = np.exp(own.expected_log_density(x[:, None]))[:, 0]
    expected = stats.betanbinom.pmf(x[:50], 4.0, 6.0, 2.5)
    np.testing.assert_allclose(density[:50], expected, rtol=1e-9)
    mean = density @ x
    assert own.means[0, 0] == pytest.approx(mean, rel=1e-6)
    assert own.deviations[0, 0] == pytest.approx(np.sqrt(density @ (x - mean) ** 2), rel=1e-4)
    drawn = own.draw(np.array([40_000]), np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(mean, abs=4.0 * own.deviations[0, 0] / 200.0)


def test_divergence_from_the_prior_and_draws_follow_scipys_beta():
    prior = SizePrior(np.array([3.0]))
    q = CountPosterior(*(np.array([[value]]) for value in (7.0, 9.0, 4.0)))
    before, after = stats.beta(1.0, 1.0 + 4.0 / 3.0), stats.beta(7.0, 9.0)
    divergence = after.expect(lambda p: after.logpdf(p) - before.logpdf(p))
    assert prior.kl(q) == pytest.approx(divergence, rel=1e-6)
    draws = q.draws(2000, np.random.default_rng(0))
    chances = np.exp(draws.log_successes[:, 0, 0])
    assert stats.kstest(chances, after.cdf).pvalue > 0.01
    np.testing.assert_allclose(draws.rates[:, 0, 0], 4.0 * chances / (1.0 - chances), rtol=1e-9)
    log_prior = prior.log_density_of(draws)
    np.testing.assert_allclose(log_prior, before.logpdf(chances), rtol=1e-9)
    shared, factors = q.log_factors(draws)
    np.testing.assert_allclose(shared + factors[:, 0, 0], after.logpdf(chances), rtol=1e-9)


def test_logarithms_of_a_poisson_limit_keep_their_digits():
    import mpmath

    a, b = 3001.0, 3.5e7
    with mpmath.workdps(40):
        beta = mpmath.log(mpmath.beta(a, b))
        ends = mpmath.digamma(b) - mpmath.digamma(a + b)
    assert log_beta(np.array(a), np.array(b)) == pytest.approx(float(beta), rel=1e-13)
    assert log_ends(np.array(a), np.array(b)) == pytest.approx(float(ends), rel=1e-12)
    assert special.betaln(a, b) != pytest.approx(float(beta), rel=1e-13)  # loses them


@pytest.mark.parametrize("size", [0.2, 3.0, 50.0])
def test_given_sums_have_the_most_likely_size(size):
    counts = np.random.default_rng(4).negative_binomial(size, size / (size + 6.0), 200)
    counts, mean = counts.astype(float), counts.mean()
    q = SizePrior(np.array([mean])).given(CountTables.of(counts[:, None], np.ones((200, 1))))
    best = optimize.minimize_scalar(
        lambda log_size: -log_evidence(counts, np.exp(log_size), mean),
        bounds=(np.log(size) - 2.0, np.log(size) + 2.0),
        method="bounded",
        options={"xatol": 1e-7},
    )
    assert np.log(q.sizes[0, 0]) == pytest.approx(best.x, abs=1e-4)


def test_gibbs_steps_hold_the_sizes_of_the_draw():
    counts = np.random.default_rng(3).negative_binomial(3, 0.3, (80, 2)).astype(float)
    statistics = CountTables.of(counts, np.ones((80, 1)))
    prior = SizePrior(counts.mean(axis=0))
    q = prior.posterior(statistics)
    step = prior.conditional(statistics, q.draws(1, np.random.default_rng(0)), None)
    for name in ("successes", "failures", "sizes"):
        np.testing.assert_allclose(getattr(step, name), getattr(q, name))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_searches_with_overdispersed_counts_have_everything_that_posteriors_have(tmp_path):
    import pandas as pd

    rng = np.random.default_rng(4)
    group = rng.integers(0, 2, 300)
    mean = np.where(group, 15.0, 4.0)
    frame = pd.DataFrame({"visits": rng.negative_binomial(2, 2.0 / (2.0 + mean))})
    frame["height"], frame["smokes"] = rng.normal(5.0 * group), np.where(group, "yes", "no")
    search = bm.select(frame, (1, 2, 3), n_jobs=1)
    model = search.best_estimator_
    assert (search.criterion_, search.n_components_) == ("elbo_prior", 2)
    assert "visits: rates" in model.to_arviz(frame, n_draws=20).posterior
    assert np.isfinite(bm.log_evidence(model, frame, n_draws=200).estimate)
    chains = bm.gibbs(model, frame, 20, chains=1, warmup=10, n_jobs=1)
    assert chains is not None
    path = tmp_path / "search.bayesmix"
    model.save(path)
    loaded = bm.load(path)
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    assert search.columns_["family"].tolist() == ["negative binomial", "normal", "Bernoulli"]
    assert "visits" in search.describe(frame).to_markdown()
    assert len(search.sample(20)[0]) == 20
