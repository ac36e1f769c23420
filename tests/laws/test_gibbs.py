"""Blocked Gibbs sampling against closed forms and the enumeration of all assignments.

Weights are sparse, so that components are empty now and then. Comparisons are over independent
chains: a mean over 24 of them is 6.5 standard errors off once in a million (Student's t), and about
300 means are looked at.
"""

import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from reference import exact

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core.random import Purpose, stream
from bayesmix.errors import BayesmixWarning, InvalidInputError, MissingExtraError
from bayesmix.families.gaussian.draws import coloured
from bayesmix.families.gaussian.prior import FixedScale
from bayesmix.posterior import gibbs as module
from bayesmix.posterior.chains import blocked_gibbs, each_repetition
from bayesmix.posterior.density import averaged_density
from bayesmix.posterior.gibbs import gibbs
from bayesmix.posterior.labels import co_clustered
from bayesmix.posterior.posterior_draws import Draws, draws_of, log_likelihoods, log_prior
from bayesmix.sources.memory import ArraySource
from laws.cases import (
    BINOMIAL_CASE,
    CASES,
    EVERY_CASE,
    GAUSSIAN_CASES,
    LEVEL_CASE,
    POOLED_CASES,
    TRANSFORMED_CASES,
    elpd_of,
    estimator,
    generator,
    identity,
)

every_case = pytest.mark.parametrize("case", CASES, ids=identity)
every_conjugate = pytest.mark.parametrize("case", GAUSSIAN_CASES + POOLED_CASES, ids=identity)
every_and_pooled = pytest.mark.parametrize("case", EVERY_CASE + POOLED_CASES, ids=identity)
N_CHAINS = 24
SPARSE = 0.4
Z = 6.5
OF_WEIGHTS = {DirichletPrior: exact.dirichlet_weights, StickBreakingPrior: exact.stick_weights}


def fitted(case, rows, letters, n_components, weights=None, row_weights=None):
    """A variational fit under a fixed prior."""
    weights = weights or DirichletPrior(letters["alpha0"])
    inference = bm.VariationalBayes(prior=case.choice(letters), weights=weights)
    model = estimator(case, n_components, inference, max_iter=5000)
    return model.fit(rows, sample_weight=row_weights)


def two_groups(case, seed, n):
    rng = generator(seed)
    rows, letters = case.rows(rng, n, 2), case.letters(rng, 2)
    rows[: n // 2] = case.shifted(rows[: n // 2], 1.0)
    return rows, letters


@cache
def faithful(n_components=3, **options):
    options = {"random_state": 0, "n_jobs": 1} | options
    X = bm.datasets.load_faithful().to_numpy()
    return bm.BayesianGaussianMixture(n_components, **options).fit(X), X


def assert_near(means, expected):
    """Means of independent chains (C, ...) against what they should be."""
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    away = np.abs(means.mean(axis=0) - expected)
    assert (away <= Z * error + 1e-12).all(), (away / np.maximum(error, 1e-300)).max()


def chains_of(found):
    """The draws of each chain."""
    numbers = np.arange(found.draws.n_draws).reshape(found.n_chains, -1)
    return [found.draws.some(mine) for mine in numbers]


def assert_exact(found, rows, expected):
    """Occupied components and co-clustering, chain by chain, against an enumeration."""
    numbers = np.arange(found.n_components + 1)
    shares = (found.n_occupied[:, :, None] == numbers).mean(axis=1)
    assert_near(shares, exact.occupied_distribution(expected))
    framed = found.result.mixture.frame.apply(rows)
    together = np.array([co_clustered(mine, framed) for mine in chains_of(found)])
    n = len(rows)
    assert_near(together, exact.co_clustering(expected)[:n, :n])


# Exactness


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "n_components", "prior"),
    [(case, 2, DirichletPrior) for case in CASES + POOLED_CASES]
    + [(case, 3, DirichletPrior) for case in (CASES[1], CASES[-1])]
    + [(case, 3, StickBreakingPrior) for case in (CASES[0], CASES[-2])],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_draws_are_those_of_enumerating_all_assignments(case, n_components, prior):
    rows, letters = two_groups(case, 20, 6)
    vb = fitted(case, rows, letters, n_components, prior(SPARSE))
    found = gibbs(vb, rows, n_draws=80, chains=N_CHAINS, warmup=15, random_state=1)
    family = case.exact_family(letters, n_components)
    of_assignments = OF_WEIGHTS[prior](SPARSE)
    assert_exact(
        found, rows, exact.enumerate_assignments(rows, n_components, family, of_assignments)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("n_fitted", "n_components"), [(3, 2), (1, 3)])
@pytest.mark.parametrize("prior", [DirichletPrior, StickBreakingPrior])
def test_another_number_of_components_than_that_of_the_fit_is_its_own_model(
    n_fitted, n_components, prior
):
    case = CASES[-1]
    rows, letters = two_groups(case, 20, 6)
    vb = fitted(case, rows, letters, n_fitted, prior(SPARSE))
    found = gibbs(
        vb, rows, n_draws=80, chains=N_CHAINS, warmup=15, random_state=1, n_components=n_components
    )
    assert found.n_components == n_components
    family = case.exact_family(letters, n_components)
    of_assignments = OF_WEIGHTS[prior](SPARSE)
    assert_exact(
        found, rows, exact.enumerate_assignments(rows, n_components, family, of_assignments)
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.DegenerateComponentWarning")
@pytest.mark.parametrize("case", [CASES[0], CASES[-1]], ids=identity)
def test_a_row_of_weight_two_is_two_rows_with_components_of_their_own(case):
    rows, letters = two_groups(case, 21, 3)
    row_weights = np.array([3.0, 1.0, 2.0])
    repeated = np.concatenate([rows, rows[[0, 0, 2]]])
    vb = fitted(case, rows, letters, 2, DirichletPrior(SPARSE), row_weights)
    found = gibbs(
        vb, rows, n_draws=80, chains=N_CHAINS, warmup=15, sample_weight=row_weights, random_state=1
    )
    family = case.exact_family(letters, 2)
    of_assignments = exact.dirichlet_weights(SPARSE)
    expected = exact.enumerate_assignments(repeated, 2, family, of_assignments)
    assert_exact(found, rows, expected)


@cache
def draws_of_one_component(case):
    """Rows, their fit and its draws."""
    rng = generator(1)
    rows, letters = case.rows(rng, 30, 3), case.letters(rng, 3)
    vb = fitted(case, rows, letters, 1)
    return rows, vb, gibbs(vb, rows, n_draws=100, chains=N_CHAINS, warmup=0)


@pytest.mark.slow
@every_and_pooled
def test_draws_of_one_component_have_the_exact_posterior_moments(case):
    _, vb, found = draws_of_one_component(case)
    q = vb.result_.unframed
    # Of rates the posterior mean is that of the rate, and not the inverse of a mean's.
    name, expected = {
        "bernoulli": ("probabilities", q.means),
        "poisson": ("rates", q.means),
        "exponential": ("rates", 1.0 / q.means),
    }.get(case.name, ("means", q.means))
    if case in TRANSFORMED_CASES:
        name, expected = f"{case.function.prefix}_means", q.normals.means
    assert_near(found.parameters[name].mean(axis=1), expected)
    if case.continuous and case not in TRANSFORMED_CASES:
        flat = found.parameters["covariances"].reshape(-1, *vb.covariances_.shape)
        dense = np.array([case.dense(one, 1, 3)[0] for one in flat])
        precisions = np.linalg.inv(dense).reshape(N_CHAINS, -1, 3, 3)
        assert_near(precisions.mean(axis=1), np.linalg.inv(case.dense(vb.covariances_, 1, 3)[0]))
    assert (found.n_occupied == 1).all()
    assert (found.weights == 1.0).all()


@pytest.mark.slow
@pytest.mark.parametrize("case", EVERY_CASE, ids=identity)
def test_the_density_averaged_over_draws_is_the_exact_predictive_one(case):
    rows, vb, found = draws_of_one_component(case)
    new = rows[:4]
    of_chains = [averaged_density(found.result, [mine], new, 1) for mine in chains_of(found)]
    assert_near(np.exp(of_chains), np.exp(vb.score_samples(new)))
    together = np.log(np.exp(of_chains).mean(axis=0))
    assert np.allclose(found.score_samples(new), together, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@every_conjugate
def test_where_rows_are_drawn_anew_in_every_sweep_parameters_have_their_prior(case):
    """Geweke 2004: θ, X | θ, Z | X, θ, θ | X, Z, ... leaves the prior, a learned scale's too."""
    rng = generator(9)
    rows = rng.normal(size=(4, 2)) * [1.0, 3.0]
    vb = bm.BayesianGaussianMixture(
        2, covariance_type=case.name, prune=False, search=None, random_state=0,
        mean_precision_prior=0.5, weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.3,
    ).fit(rows)  # fmt: skip
    result = vb.result_
    prior, frame = result.inference.prior, result.mixture.frame
    nothing = result.family.statistics(np.zeros((1, 2)), np.zeros((1, 2)))
    algebra = prior.structure.algebra

    def from_prior(rng):
        scale = FixedScale(algebra, algebra.gram(prior.scale.prior.draw(1, rng)[0]))
        components = prior._given(nothing, scale, prior.mean_precision, None)
        return result.inference.weights.posterior(nothing.counts), components

    def functions(draw):
        """Bounded, so that heavy tails do not matter."""
        components, logs = draw.components, draw.weights.log_weights[0]
        scale = algebra.log_det(components.scale_roots[0]).sum()
        found = [logs.max() > -0.4, np.tanh(components.means[0, 0, 1])]
        found += [scale > log_scale, np.tanh(components.log_det[0, 0] + log_scale)]
        return np.array(found, dtype=float)

    log_scale = -3.0
    sampler = blocked_gibbs(result, ArraySource(rows), each_repetition)
    expected, means = [], []
    for chain in range(N_CHAINS):
        rng = stream(5, Purpose.DRAW, chain)
        for _ in range(60):
            weights, components = from_prior(rng)
            draw = Draws(weights.draws(1, rng), components.draws(1, rng))
            expected.append(functions(draw))
        values = []
        for sweep in range(40):
            shares = np.exp(draw.weights.log_weights[0])
            labels = rng.choice(2, size=4, p=shares / shares.sum())
            roots = draw.components.flat_roots[None]
            away = coloured(algebra, rng.normal(size=(1, 4, 2)), roots[:, labels])
            values_now = draw.components.means[0, labels] + away[0]
            anew = replace(sampler, source=ArraySource(frame.undo(values_now)))
            _, conditional = anew.sweep(draw, rng, (6, chain, sweep))
            draw = draws_of(conditional, 1, rng)
            values.append(functions(draw))
        means.append(np.mean(values, axis=0))
    expected = np.array(expected).reshape(N_CHAINS, -1, 4).mean(axis=1)
    assert_near(np.array(means) - expected, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("concentration", [0.4, 1.0, 3.0])
def test_new_orders_of_sticks_leave_their_prior_and_the_set_of_weights(concentration):
    prior = StickBreakingPrior(concentration)
    rng = generator(8)
    sticks = prior.posterior(np.zeros(4)).draws(6000, rng)
    firsts, moved = [], 0
    for log_first, log_rest in zip(sticks.log_first, sticks.log_rest, strict=True):
        one = type(sticks)(log_first[None], log_rest[None])
        other, order = prior.reordered(one, rng)
        np.testing.assert_allclose(
            other.log_weights[0], one.log_weights[0, order], rtol=1e-9, atol=1e-9
        )
        firsts.append(np.exp(other.log_first[0]))
        moved += (order != np.arange(4)).any()
    assert moved > 2000
    # E[v] and E[v²] of Beta(1, α0); 6,000 draws in 24 parts.
    firsts = np.array(firsts).reshape(N_CHAINS, -1, 3)
    assert_near(firsts.mean(axis=1), 1.0 / (1.0 + concentration))
    second = 2.0 / ((1.0 + concentration) * (2.0 + concentration))
    assert_near((firsts**2).mean(axis=1), second)


# What comes with draws


@pytest.mark.parametrize(
    "case", [*EVERY_CASE, *POOLED_CASES, LEVEL_CASE, BINOMIAL_CASE], ids=identity
)
def test_densities_of_draws_are_those_of_the_rows_and_of_the_prior(case):
    rows, letters = two_groups(case, 3, 30)
    vb = fitted(case, rows, letters, 2)
    found = gibbs(vb, rows, n_draws=5, chains=2, warmup=1)
    likelihoods = log_likelihoods(vb.result_, found.draws, ArraySource(rows))
    np.testing.assert_allclose(found.log_likelihood.ravel(), likelihoods, rtol=1e-9)
    joint = likelihoods + log_prior(vb.result_.inference, found.draws)
    np.testing.assert_allclose(found.log_joint.ravel(), joint, rtol=1e-9)


def test_a_cluster_too_narrow_for_features_is_looked_at_centred():
    """At 1e7 of its standard deviations from the others, features keep no digit of it."""
    rng = generator(1)
    rows = np.concatenate([rng.normal(size=(40, 1)), 1e7 + rng.normal(size=(10, 1))])
    vb = bm.BayesianGaussianMixture(2, prune=False, random_state=0).fit(rows)
    found = gibbs(vb, rows, n_draws=30, chains=1, warmup=10)
    deviations = np.sqrt(found.parameters["covariances"][0, :, :, 0, 0])
    assert (deviations > 0.3).all()
    assert (deviations < 3.0).all()
    together = found.co_clustering()
    np.testing.assert_allclose(together[:40, :40], 1.0, atol=1e-12)
    np.testing.assert_array_equal(together[:40, 40:], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_in_other_units_draws_are_the_same(covariance):
    vb, X = faithful(covariance_type=covariance)
    factor = 8.0 if covariance == "spherical" else np.array([4.0, 0.5])
    other = bm.BayesianGaussianMixture(3, covariance_type=covariance, random_state=0, n_jobs=1).fit(
        X * factor
    )
    here = gibbs(vb, X, n_draws=5, chains=2, warmup=2).parameters
    there = gibbs(other, X * factor, n_draws=5, chains=2, warmup=2).parameters
    square = {
        "full": np.outer(factor, factor), "tied": np.outer(factor, factor),
        "diag": factor**2, "spherical": np.square(factor),
    }[covariance]  # fmt: skip
    np.testing.assert_allclose(there["means"], here["means"] * factor, rtol=1e-12)
    np.testing.assert_allclose(there["covariances"], here["covariances"] * square, rtol=1e-12)
    np.testing.assert_allclose(there["scale"], here["scale"] * square, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_draws_depend_on_the_seed_and_not_on_threads():
    rows = generator(1).normal(size=(120_000, 2))
    rows[:50_000] += 4.0
    vb = bm.BayesianGaussianMixture(8, search=None, max_iter=2, prune=False, random_state=0)
    vb.fit(rows)
    runs = [gibbs(vb, rows, 2, 2, 1, random_state=3, n_jobs=n_jobs) for n_jobs in (1, 2, 3)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.log_joint, runs[0].log_joint)
        np.testing.assert_array_equal(run.parameters["means"], runs[0].parameters["means"])
    other = gibbs(vb, rows, 2, 2, 1, random_state=4)
    assert (other.log_joint != runs[0].log_joint).all()
    chains = runs[0].log_joint
    assert (chains[0] != chains[1]).all()


@pytest.mark.slow
def test_a_pruned_fit_is_sampled_with_all_components_it_was_asked_for():
    rng = generator(3)
    rows = np.concatenate([rng.normal(size=(60, 2)), 12.0 + rng.normal(size=(40, 2))])
    vb = bm.BayesianGaussianMixture(
        6, weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1e-3, random_state=0,
    ).fit(rows)  # fmt: skip
    assert vb.n_components_ == 2
    found = gibbs(vb, rows, n_draws=100, chains=2)
    assert found.n_components == 6
    assert found.weights.shape == (2, 100, 6)
    np.testing.assert_allclose(found.weights.sum(axis=2), 1.0)
    # With so sparse a prior a third component has less than one chance in a hundred.
    assert found.occupied.idxmax() == 2
    assert found.occupied.sum() == pytest.approx(1.0)


def test_co_clustering_of_some_rows_is_a_part_of_that_of_all():
    vb, X = faithful(2)
    found = gibbs(vb, X, n_draws=20, chains=2)
    whole = found.co_clustering()
    assert whole.shape == (272, 272)
    np.testing.assert_array_equal(np.diagonal(whole), 1.0)
    np.testing.assert_array_equal(whole, whole.T)
    some = [3, 200, 7]
    np.testing.assert_allclose(found.co_clustering(some), whole[np.ix_(some, some)], atol=1e-12)
    for rows in ([272], [-1], [0.5], [], np.zeros((2, 2), int)):
        with pytest.raises(InvalidInputError, match="rows must be sample indices from 0 to 271"):
            found.co_clustering(rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_matrix_of_all_pairs_of_many_rows_is_refused():
    rows = generator(1).normal(size=(5001, 1))
    vb = bm.BayesianGaussianMixture(2, search=None, max_iter=1, random_state=0).fit(rows)
    found = gibbs(vb, rows, n_draws=2, chains=1)
    with pytest.raises(
        InvalidInputError, match="rows must name at most 5,000 of the 5,001 samples"
    ):
        found.co_clustering()
    assert found.co_clustering([0, 5000]).shape == (2, 2)


def test_ctrl_c_keeps_the_draws_so_far(monkeypatch):
    vb, X = faithful(2)

    class Interrupted(module.FitProgress):
        def advance(self, label):
            super().advance(label)
            if self.done == 8:
                raise KeyboardInterrupt

    whole = gibbs(vb, X, n_draws=20, chains=2, warmup=5)
    monkeypatch.setattr(module, "FitProgress", Interrupted)
    with pytest.warns(BayesmixWarning, match="the first 3 of 20 draws of every chain"):
        found = gibbs(vb, X, n_draws=20, chains=2, warmup=5)
    assert found.status == "interrupted"
    assert "The run was interrupted" in found.summary()
    np.testing.assert_array_equal(found.log_joint, whole.log_joint[:, :3])
    with pytest.raises(KeyboardInterrupt):
        gibbs(vb, X, n_draws=20, chains=2, warmup=10)


def test_words_and_figure_say_how_many_components_are_occupied():
    from matplotlib.figure import Figure

    vb, X = faithful(3)
    found = gibbs(vb, X, n_draws=40, chains=3)
    assert "3 chains of 40 draws after 20 warm-up sweeps, K=3." in found.summary()
    assert "not identified" in found.summary()
    assert repr(found).startswith("<Gibbs: 3 x 40 draws, occupied components")
    ax = found.plot(ax=Figure().subplots())
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, found.occupied.to_numpy())
    assert ax.get_xlabel() == "occupied components"


def test_arrays_cannot_be_changed_and_rows_are_left_as_they_were():
    vb, X = faithful(2)
    found = gibbs(vb, X, n_draws=3, chains=1)
    for array in (found.weights, found.log_joint, found.n_occupied, found.parameters["means"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    assert X.flags.writeable


# ArviZ


def test_without_arviz_the_rest_works_and_its_absence_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    vb, X = faithful(2)
    found = gibbs(vb, X, n_draws=5, chains=2)
    assert "R-hat" not in found.summary()
    with pytest.raises(MissingExtraError, match="ArviZ is needed"):
        found.to_arviz()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("case", CASES, ids=identity)
def test_arviz_is_handed_draws_statistics_rows_and_prior(case):
    pytest.importorskip("arviz", reason="ArviZ is not installed: bayesmix[pymc]")
    rows, letters = two_groups(case, 3, 30)
    vb = fitted(case, rows, letters, 2)
    found = gibbs(vb, rows, n_draws=20, chains=2)
    idata = found.to_arviz()
    for name, values in found.parameters.items():
        np.testing.assert_array_equal(idata.posterior[name].values, values)
        assert idata.posterior[name].dims[:2] == ("chain", "draw")
    assert idata.posterior["weights"].dims == ("chain", "draw", "component")
    np.testing.assert_array_equal(idata.sample_stats["lp"].values, found.log_joint)
    assert idata.sample_stats["n_occupied"].dims == ("chain", "draw")
    np.testing.assert_array_equal(idata.observed_data["X"].values, rows)
    assert float(idata.constant_data["prior_weight_concentration"]) == letters["alpha0"]
    if case.continuous:
        assert float(idata.constant_data["prior_mean_precision"]) == letters["beta0"]
    assert "R-hat" in found.summary()
    with pytest.warns(FutureWarning, match=r"idata is now to_arviz\(\)"):
        former = found.idata
    assert former.posterior.equals(idata.posterior)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_arviz_has_a_log_likelihood_and_replicates_of_each_observation():
    arviz = pytest.importorskip("arviz", reason="ArviZ is not installed: bayesmix[pymc]")
    vb, X = faithful(2)
    found = gibbs(vb, X, n_draws=200, chains=2, random_state=0)
    idata = found.to_arviz()
    of_observations = idata.log_likelihood["X"]
    assert of_observations.dims == ("chain", "draw", "row")
    np.testing.assert_allclose(of_observations.sum("row"), found.log_likelihood, rtol=1e-12)
    estimate = arviz.loo(idata)
    assert estimate.n_data_points == len(X)
    left_out = bm.leave_one_out(vb, X)
    # Monte Carlo error is a few tenths of a nat; the standard errors are over the same samples.
    assert abs(elpd_of(estimate) - left_out.total) < 2.0
    assert float(estimate.se) == pytest.approx(left_out.standard_error, rel=0.02)
    replicates = idata.posterior_predictive["X"]
    assert replicates.dims == ("chain", "draw", "row", "feature")
    values = np.asarray(X, dtype=float)
    # The posterior predictive mean and deviation of many observations are those of the data.
    np.testing.assert_allclose(replicates.mean(("chain", "draw", "row")), values.mean(0), rtol=0.03)
    np.testing.assert_allclose(replicates.std(("chain", "draw", "row")), values.std(0), rtol=0.05)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["counts", "gaps", "labels"])
def test_log_likelihoods_of_observations_add_up_to_those_of_draws(kind):
    """Counts of repeated samples are written out; of missing values the others count."""
    pytest.importorskip("arviz", reason="ArviZ is not installed: bayesmix[pymc]")
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(40, 2)) + 4.0 * (np.arange(40) < 15)[:, None]
    options, given, missing = {}, {}, {}
    if kind == "counts":
        options = given = {"sample_weight": np.tile([1.0, 3.0], 20)}
    elif kind == "gaps":
        rows[::6, 1], missing = np.nan, {"missing": "use"}
    else:
        options = {"labels": np.where(np.arange(40) < 10, 0, -1)}
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    model = bm.Mixture(2, inference=inference, prune=False, random_state=0, n_jobs=1, **missing)
    found = gibbs(model.fit(rows, **options), rows, n_draws=10, chains=2, **given)
    idata = found.to_arviz()
    n = 80 if kind == "counts" else 40
    assert idata.observed_data["X"].shape == (n, 2)
    assert idata.posterior_predictive["X"].shape == (2, 10, n, 2)
    sums = idata.log_likelihood["X"].sum("row")
    np.testing.assert_allclose(sums, found.log_likelihood, rtol=1e-9)


# Refusals


def test_fits_without_a_posterior_to_sample_are_refused():
    X = bm.datasets.load_faithful().to_numpy()
    with pytest.raises(InvalidInputError, match="model must be a variational fit"):
        gibbs(bm.GaussianMixture(2, random_state=0).fit(X), X)
    free = bm.VariationalBayes(weights=FreeWeights())
    with pytest.raises(InvalidInputError, match="weights with a prior, got type-II"):
        gibbs(bm.Mixture(2, inference=free, random_state=0).fit(X), X)
    with pytest.raises(InvalidInputError, match="call fit first"):
        gibbs(bm.BayesianGaussianMixture(2), X)


def test_other_rows_and_weights_that_are_not_whole_are_refused():
    vb, X = faithful(2)
    with pytest.raises(InvalidInputError, match="X must hold the data of the fit"):
        gibbs(vb, X[:100])
    with pytest.raises(InvalidInputError, match="X must hold the data of the fit"):
        gibbs(vb, X, sample_weight=np.full(272, 2.0))
    weights = np.full(272, 1.0)
    weights[5] = 1.5
    with pytest.raises(InvalidInputError, match=r"whole numbers, which repeat samples, got 1\.5"):
        gibbs(vb, X, sample_weight=weights)


def test_rows_of_the_right_shape_that_are_not_those_of_the_fit_are_refused():
    vb, X = faithful(2)
    in_seconds = X * [60.0, 60.0]
    for other in (in_seconds, 1.01 * X, np.random.default_rng(0).permuted(X, axis=0)):
        with pytest.raises(
            InvalidInputError, match="X must hold the data of the fit, got other data"
        ):
            gibbs(vb, other, n_draws=1)
    for same in (X[::-1], X.astype(np.float32)):
        assert gibbs(vb, same, n_draws=1, chains=1).n_draws == 1


@pytest.mark.filterwarnings("ignore::bayesmix.errors.DegenerateComponentWarning")
def test_tied_rows_that_make_the_posterior_improper_end_the_run():
    """Under a learned scale; a fixed one holds its components."""
    rows = generator(1).normal(size=(200, 2))
    rows[:60] = 3.0
    options = {"prune": False, "random_state": 0, "n_jobs": 1}
    vb = bm.BayesianGaussianMixture(3, **options).fit(rows)
    with pytest.raises(InvalidInputError, match=r"too many duplicates: .* set covariance_prior"):
        gibbs(vb, rows, n_draws=200, chains=1)
    held = bm.BayesianGaussianMixture(3, covariance_prior=0.1 * np.eye(2), **options).fit(rows)
    found = gibbs(held, rows, n_draws=50, chains=1)
    assert np.linalg.eigvalsh(found.parameters["covariances"][0]).min() > 1e-5


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_draws", 0), ("chains", 2.5), ("warmup", -1), ("n_draws", True), ("n_jobs", 0)],
)
def test_numbers_are_checked(name, value):
    vb, X = faithful(2)
    with pytest.raises(InvalidInputError, match=f"{name} must"):
        gibbs(vb, X, **{name: value})
