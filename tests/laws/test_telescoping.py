"""The telescoping sampler against the enumeration of all assignments under every K.

p(K | X) ∝ p(K) Σ_Z p(Z | K) p(X | Z). Comparisons are over independent chains, as in
``test_gibbs``: a mean over 24 of them is 6.5 standard errors off once in a million (Student's t),
and about 500 means are looked at.
"""

import math
import sys
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from reference import exact
from scipy import stats
from scipy.special import logsumexp

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core.random import Purpose, stream
from bayesmix.errors import (
    BayesmixWarning,
    InvalidInputError,
    MissingExtraError,
    UnsupportedError,
)
from bayesmix.families.gaussian.draws import coloured
from bayesmix.families.gaussian.prior import FixedScale
from bayesmix.plots.posterior import plot_over_k
from bayesmix.posterior import gibbs as module
from bayesmix.posterior.chains import blocked_gibbs, each_repetition
from bayesmix.posterior.gibbs import gibbs
from bayesmix.posterior.labels import co_clustered
from bayesmix.posterior.posterior_draws import Draws, log_densities_at
from bayesmix.posterior.telescoping import (
    KGivenPartition,
    TelescopingStep,
    beta_negative_binomial,
    prior_of_unknown,
    prior_over,
)
from bayesmix.sources.memory import ArraySource
from laws.cases import CASES, GAUSSIAN_CASES, generator, identity
from laws.test_gibbs import N_CHAINS, assert_near, fitted, two_groups

every_case = pytest.mark.parametrize("case", CASES, ids=identity)
STATIC = 0.7
OVER_K = {1: 0.3, 2: 0.5, 3: 0.2}


@cache
def faithful(n_components=3, concentration=1.0):
    X = bm.datasets.load_faithful().to_numpy()
    vb = bm.BayesianGaussianMixture(
        n_components, weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=concentration, random_state=0, n_jobs=1,
    )  # fmt: skip
    return vb.fit(X), X


def sampled(vb, rows, **options):
    """Many short chains, whose means are independent."""
    options = {"n_draws": 60, "chains": N_CHAINS, "warmup": 15, "random_state": 1} | options
    return gibbs(vb, rows, n_components=None, **options)


def enumerated(rows, over_k, family_of, weights_of):
    """An enumeration and log (p(K) p(X | K)) for every K."""
    found = {}
    for k, weight in over_k.items():
        one = exact.enumerate_assignments(rows, k, family_of(k), weights_of(k))
        found[k] = one, math.log(weight) + one.log_evidence
    return found


def probabilities_of(found):
    """p(K | X) by K."""
    logs = np.array([log for _, log in found.values()])
    return dict(zip(found, np.exp(logs - logsumexp(logs)), strict=True))


def shares_by_chain(numbers, last):
    return (numbers[:, :, None] == np.arange(last + 1)).mean(axis=1)


def assert_exact(found, rows, expected):
    """K, occupied components and co-clustering, chain by chain, against enumerations."""
    last, probabilities = max(expected), probabilities_of(expected)
    of_k = np.array([probabilities.get(k, 0.0) for k in range(last + 1)])
    assert_near(shares_by_chain(found.n_components, last), of_k)
    assert_near(found.k_of_chains, of_k[1 : 1 + found.k_of_chains.shape[1]])
    occupied = np.zeros(last + 1)
    together = 0.0
    for k, (one, _) in expected.items():
        occupied[: k + 1] += probabilities[k] * exact.occupied_distribution(one)
        together = together + probabilities[k] * exact.co_clustering(one)
    assert_near(shares_by_chain(found.n_occupied, last), occupied)
    np.testing.assert_allclose(found.occupied.to_numpy(), occupied[occupied > 0], atol=0.1)
    framed = found.result.mixture.frame.apply(rows)
    own = np.zeros((found.n_chains, len(rows), len(rows)))
    for group in found.groups:
        for chain in np.unique(group.places // found.n_draws):
            mine = np.flatnonzero(group.places // found.n_draws == chain)
            own[chain] += len(mine) * co_clustered(group.draws.some(mine), framed)
    n = len(rows)
    assert_near(own / found.n_draws, together[:n, :n])


# Exactness


@pytest.mark.slow
@every_case
def test_k_is_distributed_as_enumerating_all_assignments_under_every_k_says(case):
    rows, letters = two_groups(case, 20, 6)
    vb = fitted(case, rows, letters, 2, DirichletPrior(STATIC))
    found = sampled(vb, rows, prior_over_k=OVER_K)
    expected = enumerated(
        rows, OVER_K, lambda k: case.exact_family(letters, k),
        lambda k: exact.dirichlet_weights(STATIC),
    )  # fmt: skip
    assert_exact(found, rows, expected)


@pytest.mark.slow
def test_a_row_of_weight_two_is_two_rows_with_components_of_their_own():
    case = CASES[-1]
    rows, letters = two_groups(case, 21, 3)
    row_weights = np.array([3.0, 1.0, 2.0])
    repeated = np.concatenate([rows, rows[[0, 0, 2]]])
    vb = fitted(case, rows, letters, 2, DirichletPrior(STATIC), row_weights)
    found = sampled(vb, rows, prior_over_k=OVER_K, sample_weight=row_weights)
    expected = enumerated(
        repeated, OVER_K, lambda k: case.exact_family(letters, k),
        lambda k: exact.dirichlet_weights(STATIC),
    )  # fmt: skip
    assert_exact(found, rows, expected)


@pytest.mark.parametrize("case", [CASES[1], CASES[-1]], ids=identity)
@pytest.mark.slow
def test_a_dynamic_concentration_has_the_same_sum_for_every_k(case):
    rows, letters = two_groups(case, 20, 6)
    vb = fitted(case, rows, letters, 3, DirichletPrior(STATIC))
    found = sampled(vb, rows, prior_over_k=OVER_K, concentration="dynamic")
    np.testing.assert_allclose(found.concentration, 3 * STATIC / np.array([1, 2, 3]))
    expected = enumerated(
        rows, OVER_K, lambda k: case.exact_family(letters, k),
        lambda k: exact.dirichlet_weights(3 * STATIC / k),
    )  # fmt: skip
    assert_exact(found, rows, expected)


@pytest.mark.parametrize("concentration", ["static", "dynamic"])
@pytest.mark.slow
def test_under_the_default_prior_k_is_distributed_as_all_partitions_say(concentration):
    """A partition into K+ groups has K! / (K - K+)! labellings; all are alike."""
    case = CASES[-1]
    rows, letters = two_groups(case, 5, 5)
    vb = fitted(case, rows, letters, 2, DirichletPrior(STATIC))
    found = sampled(vb, rows, concentration=concentration)
    numbers = np.arange(1, 120)
    log_prior = np.log([beta_negative_binomial(int(k)) for k in numbers])
    log_likelihood = case.exact_family(letters, len(rows))(rows)
    total = np.full(len(numbers), -np.inf)
    for partition in partitions(len(rows)):
        n_groups = max(partition) + 1
        for place, k in enumerate(numbers[numbers >= n_groups], start=n_groups - 1):
            gamma = STATIC if concentration == "static" else 2 * STATIC / k
            counts = np.bincount(partition, minlength=k)
            log = exact.dirichlet_weights(gamma)(counts) + math.log(math.perm(k, n_groups))
            total[place] = np.logaddexp(total[place], log + log_likelihood(partition))
    expected = np.exp(total + log_prior - logsumexp(total + log_prior))
    assert_near(found.k_of_chains[:, :12], expected[:12])
    # Of larger K some chains have no draw.
    assert_near(shares_by_chain(found.n_components, 5)[:, 1:], expected[:5])


def partitions(n):
    """All partitions of n rows, as labels that come in the order of their first rows."""
    for labels in product(range(n), repeat=n):
        if all(label <= max(labels[:place], default=-1) + 1 for place, label in enumerate(labels)):
            yield labels


@pytest.mark.slow
@pytest.mark.parametrize("case", GAUSSIAN_CASES[:2], ids=identity)
def test_under_a_learned_scale_k_is_distributed_as_quadrature_says(case):
    """Empty components are integrated out where S is drawn."""
    rng = generator(3)
    rows = np.concatenate([rng.normal(size=(2, 1)), 2.5 + 0.3 * rng.normal(size=(2, 1))])
    vb = bm.BayesianGaussianMixture(
        2, covariance_type=case.name, prune=False, search=None, random_state=0, n_jobs=1,
        mean_precision_prior=0.3, weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=STATIC,
    ).fit(rows)  # fmt: skip
    prior, over_k = vb.result_.prior, {1: 0.2, 2: 0.4, 3: 0.4}
    of_scale = prior.scale.prior
    letters = {"m0": prior.mean, "beta0": prior.mean_precision, "nu0": prior.degrees_of_freedom}
    # s = exp(t): the trapezoidal rule converges geometrically.
    step = 0.5
    logs = np.arange(-10.0, 6.0, step)
    shape = of_scale.degrees_of_freedom[0] / 2.0
    density = stats.gamma(shape, scale=2.0 / of_scale.scale_inverse[0, 0, 0])
    log_weights = density.logpdf(np.exp(logs)) + logs + math.log(step)

    def given(t, k):
        family = exact.gaussian_family(case.name, letters | {"W0": np.exp([[-t]])}, k)
        return enumerated(rows, {k: over_k[k]}, lambda _: family, weights_of)[k]

    def weights_of(k):
        return exact.dirichlet_weights(STATIC)

    expected = {}
    for k in over_k:
        parts = [(w, *given(t, k)) for t, w in zip(logs, log_weights, strict=True)]
        joint = logsumexp([w + one.log_joint for w, one, _ in parts], axis=0)
        whole = parts[0][1]._replace(log_joint=joint)
        expected[k] = whole, math.log(over_k[k]) + whole.log_evidence
    found = sampled(vb, rows, prior_over_k=over_k)
    assert_exact(found, rows, expected)


def test_rows_in_a_frame_are_known_by_the_names_of_their_columns():
    rows = bm.datasets.load_faithful()
    vb = bm.BayesianGaussianMixture(
        2, search=None, weight_concentration_prior_type="dirichlet_distribution", random_state=0
    ).fit(rows)
    found = gibbs(vb, rows, n_draws=5, chains=1, n_components=None)
    new = rows[:3]
    assert np.array_equal(found.score_samples(new), found.score_samples(new.to_numpy()))
    further = new.assign(day="Monday")[["waiting", "day", "eruptions"]]
    assert np.array_equal(found.score_samples(further), found.score_samples(new))
    with pytest.raises(InvalidInputError, match="columns eruptions, waiting, got waiting"):
        found.score_samples(new[["waiting"]])


@pytest.mark.parametrize("case", [CASES[0], CASES[-1]], ids=identity)
@pytest.mark.slow
def test_the_density_is_the_exact_predictive_averaged_over_k(case):
    rows, letters = two_groups(case, 20, 5)
    vb = fitted(case, rows, letters, 2, DirichletPrior(STATIC))
    found = sampled(vb, rows, prior_over_k=OVER_K)
    new = rows[:2] + 1.0
    expected = enumerated(
        rows, OVER_K, lambda k: case.exact_family(letters, k),
        lambda k: exact.dirichlet_weights(STATIC),
    )  # fmt: skip
    density = sum(
        p
        * np.exp(
            exact.log_predictive(
                new, rows, k, case.exact_family(letters, k), exact.dirichlet_weights(STATIC)
            )
        )
        for k, p in probabilities_of(expected).items()
    )
    own = np.zeros((found.n_chains, 2))
    for group in found.groups:
        densities = np.exp(log_densities_at(found.result, group.draws, ArraySource(new)))
        np.add.at(own, group.places // found.n_draws, densities.T)
    own /= found.n_draws
    assert_near(own, density)
    np.testing.assert_allclose(np.exp(found.score_samples(new)), own.mean(axis=0), rtol=1e-9)


@pytest.mark.parametrize("gamma", [STATIC, 2.0])
@pytest.mark.parametrize("counts", [[3.0], [2.0, 1.0], [1.0, 1.0, 1.0]], ids=str)
def test_k_given_a_partition_counts_its_labellings(gamma, counts):
    prior = prior_of_unknown({1: 1, 2: 3, 3: 2, 4: 0, 5: 1})
    sizes = np.array([gamma, gamma, gamma / 2, 1.0, gamma])
    found = KGivenPartition(prior, sizes, 3.0)(np.array(counts))
    expected = np.zeros(5)
    for k in range(1, 6):
        for labels in product(range(k), repeat=3):
            of_groups = np.bincount(labels, minlength=k)
            same = labels[0] == labels[1] if len(counts) == 2 else len(set(labels)) != 2
            if sorted(of_groups[of_groups > 0]) == sorted(counts) and same:
                log = exact.dirichlet_weights(sizes[k - 1])(of_groups)
                expected[k - 1] += prior[k - 1] * math.exp(log)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-12)


@pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)
@pytest.mark.slow
def test_where_rows_are_drawn_anew_in_every_sweep_k_has_its_prior(case):
    """Geweke 2004: K, θ, X | K, θ, ... leaves the prior, that of a learned scale too."""
    rows = generator(9).normal(size=(4, 2)) * [1.0, 3.0]
    vb = bm.BayesianGaussianMixture(
        2, covariance_type=case.name, prune=False, search=None, random_state=0,
        mean_precision_prior=0.5, weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.3,
    ).fit(rows)  # fmt: skip
    result = vb.result_
    prior, frame = result.inference.prior, result.mixture.frame
    algebra = prior.structure.algebra
    of_k = np.array([0.5, 0.3, 0.2])
    over_k = KGivenPartition(of_k, np.full(3, 1.3), 4.0)

    def from_prior(rng):
        k = 1 + int(rng.choice(3, p=of_k))
        nothing = result.family.statistics(np.zeros((1, 2)), np.zeros((1, k)))
        scale = FixedScale(algebra, algebra.gram(prior.scale.prior.draw(1, rng)[0]))
        components = prior._given(nothing, scale, prior.mean_precision, None)
        weights = DirichletPrior(1.3).posterior(nothing.counts)
        return Draws(weights.draws(1, rng), components.draws(1, rng))

    def functions(draw):
        """Bounded, so that heavy tails do not matter."""
        components, logs = draw.components, draw.weights.log_weights[0]
        scale = algebra.log_det(components.scale_roots[0]).sum()
        found = [len(logs) == 1, len(logs) == 2, logs.max() > -0.4, scale > -3.0]
        found += [np.tanh(components.means[0, -1, 1]), np.tanh(components.log_det[0, 0] - 3.0)]
        return np.array(found, dtype=float)

    sampler = blocked_gibbs(result, ArraySource(rows), each_repetition)
    expected, means = [], []
    for chain in range(N_CHAINS):
        rng = stream(5, Purpose.DRAW, chain)
        expected.append(np.mean([functions(from_prior(rng)) for _ in range(40)], axis=0))
        draw, values = from_prior(rng), []
        for sweep in range(30):
            log_weights = draw.weights.log_weights[0]
            shares = np.exp(log_weights - logsumexp(log_weights))
            labels = rng.choice(len(shares), size=4, p=shares)
            roots = draw.components.flat_roots[None]
            away = coloured(algebra, rng.normal(size=(1, 4, 2)), roots[:, labels])
            rows_now = draw.components.means[0, labels] + away[0]
            anew = replace(sampler, source=ArraySource(frame.undo(rows_now)))
            step = TelescopingStep(replace(anew), over_k)
            draw = after(step, draw, rng, (6, chain, sweep))
            values.append(functions(draw))
        means.append(np.mean(values, axis=0))
    assert_near(np.array(means) - np.array(expected), 0.0)


def after(step, draw, rng, key):
    """The draw that follows a given one."""

    class Here:
        def draws(self, n_draws, generator):
            return draw.weights

        exchangeable = True

    class There(Here):
        def draws(self, n_draws, generator):
            return draw.components

    state = type(step.sampler.mixture)(Here(), There(), step.sampler.mixture.frame)
    _, following = step(state, rng, key)
    return step.sampler.drawn(following, rng)


# What comes with draws


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_draws_depend_on_the_seed_and_not_on_threads():
    rows = generator(1).normal(size=(120_000, 2))
    rows[:50_000] += 4.0
    vb = bm.BayesianGaussianMixture(
        4, search=None, max_iter=2, prune=False, random_state=0,
        weight_concentration_prior_type="dirichlet_distribution", weight_concentration_prior=1.0,
    ).fit(rows)  # fmt: skip
    runs = [sampled(vb, rows, n_draws=2, chains=2, warmup=1, n_jobs=n) for n in (1, 2, 3)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.log_likelihood, runs[0].log_likelihood)
        np.testing.assert_array_equal(run.parameters["means"], runs[0].parameters["means"])
    other = sampled(vb, rows, n_draws=2, chains=2, warmup=1, random_state=4)
    assert (other.log_likelihood != runs[0].log_likelihood).all()


@every_case
def test_arrays_have_numbers_for_the_components_of_a_draw_and_nan_beyond(case):
    rows, letters = two_groups(case, 3, 20)
    vb = fitted(case, rows, letters, 2)
    found = sampled(vb, rows, n_draws=30, chains=2)
    shape = found.n_components.shape
    assert shape == (2, 30)
    there = np.arange(found.n_components.max()) < found.n_components[:, :, None]
    np.testing.assert_array_equal(np.isfinite(found.weights), there)
    np.testing.assert_allclose(np.nansum(found.weights, axis=2), 1.0)
    each = {"means", "probabilities", "rates"} | ({"covariances"} - {case.name == "tied"})
    for name, values in found.parameters.items():
        assert values.shape[:2] == shape
        whole = np.isfinite(values).reshape(*shape, values.shape[2], -1).all(axis=3)
        of_components = name in each and not (name == "covariances" and case.name == "tied")
        np.testing.assert_array_equal(whole, there if of_components else True)
    assert (found.n_occupied <= found.n_components).all()
    for array in (found.weights, found.n_components, found.k_of_chains, found.log_likelihood):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0


def test_parameters_of_a_draw_give_its_log_likelihood():
    vb, X = faithful()
    found = sampled(vb, X, n_draws=5, chains=2)
    for place in np.ndindex(2, 5):
        k = found.n_components[place]
        weights, means = found.weights[place][:k], found.parameters["means"][place][:k]
        covariances = found.parameters["covariances"][place][:k]
        model = bm.GaussianMixture.from_parameters(weights / weights.sum(), means, covariances)
        total = model.score_samples(X).sum()
        assert found.log_likelihood[place] == pytest.approx(total, rel=1e-8)


def test_co_clustering_of_some_rows_is_a_part_of_that_of_all():
    vb, X = faithful()
    found = sampled(vb, X, n_draws=20, chains=2)
    whole = found.co_clustering()
    np.testing.assert_allclose(np.diagonal(whole), 1.0)
    some = [3, 200, 7]
    np.testing.assert_allclose(found.co_clustering(some), whole[np.ix_(some, some)], atol=1e-12)
    with pytest.raises(InvalidInputError, match="rows must be sample indices from 0 to 271"):
        found.co_clustering([272])


def test_a_prior_on_one_k_is_that_model():
    vb, X = faithful()
    found = sampled(vb, X, n_draws=50, chains=2, prior_over_k={2: 7.0})
    assert found.k_probabilities.to_dict() == {1: 0.0, 2: 1.0}
    assert (found.n_components == 2).all()
    with_k = gibbs(vb, X, 50, 2, 15, n_components=2)
    assert abs(found.log_likelihood.mean() - with_k.log_likelihood.mean()) < 2.0


def test_words_name_k_and_what_is_occupied():
    vb, X = faithful()
    found = sampled(vb, X, n_draws=50, chains=3)
    lines = found.summary().splitlines()
    assert lines[0] == "3 chains of 50 draws after 15 warm-up sweeps, K unknown."
    assert lines[1].startswith("Components (K): ")
    assert lines[2].startswith("Occupied components: ")
    assert repr(found).startswith("<GibbsOverK: 3 x 50 draws, components ")
    series = found.k_probabilities
    assert series.index.name == "n_components"
    assert 1.0 - 1e-4 <= series.sum() <= 1.0 + 1e-12
    assert series.attrs["prior"][1] == pytest.approx(4.0 / 7.0)


def test_the_figure_shows_both_posteriors_and_the_prior():
    from matplotlib.figure import Figure

    vb, X = faithful()
    found = sampled(vb, X, n_draws=50, chains=3)
    ax = found.plot(ax=Figure().subplots())
    heights = np.array([bar.get_height() for bar in ax.patches])
    shown = len(heights) // 2
    occupied = found.occupied.reindex(range(1, shown + 1), fill_value=0.0)
    np.testing.assert_allclose(heights[:shown], occupied.to_numpy())
    np.testing.assert_allclose(heights[shown:], found.k_of_chains.mean(axis=0)[:shown])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), found.prior_over_k[:shown])
    assert (
        bm.plots.plot_occupied(found, ax=Figure().subplots()).get_title(loc="right") == "K unknown"
    )
    with pytest.raises(InvalidInputError, match="found must be a GibbsOverK"):
        plot_over_k(vb)


def test_ctrl_c_keeps_the_draws_so_far(monkeypatch):
    vb, X = faithful()

    class Interrupted(module.FitProgress):
        def advance(self, label):
            super().advance(label)
            if self.done == 8:
                raise KeyboardInterrupt

    whole = sampled(vb, X, n_draws=20, chains=2, warmup=5)
    monkeypatch.setattr(module, "FitProgress", Interrupted)
    with pytest.warns(BayesmixWarning, match="the first 3 of 20 draws of every chain"):
        found = sampled(vb, X, n_draws=20, chains=2, warmup=5)
    assert found.status == "interrupted"
    assert "The run was interrupted" in found.summary()
    np.testing.assert_array_equal(found.n_components, whole.n_components[:, :3])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_arviz_is_handed_k_and_what_is_occupied():
    pytest.importorskip("arviz", reason="ArviZ is not installed: bayesmix[pymc]")
    vb, X = faithful()
    found = sampled(vb, X, n_draws=20, chains=2)
    idata = found.to_arviz()
    for name in ("n_components", "n_occupied", "entropy"):
        np.testing.assert_array_equal(idata.posterior[name].values, getattr(found, name))
        assert idata.posterior[name].dims == ("chain", "draw")
    likelihoods = idata.sample_stats["total_log_likelihood"].values
    np.testing.assert_array_equal(likelihoods, found.log_likelihood)
    of_observations = idata.log_likelihood["X"].values
    np.testing.assert_allclose(of_observations.sum(axis=2), found.log_likelihood, rtol=1e-9)
    assert idata.posterior_predictive["X"].shape == (2, 20, *X.shape)
    np.testing.assert_array_equal(idata.constant_data["prior_over_k"].values, found.prior_over_k)
    assert "R-hat" in found.summary()


def test_without_arviz_the_rest_works_and_its_absence_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    vb, X = faithful()
    found = sampled(vb, X, n_draws=5, chains=2)
    assert "R-hat" not in found.summary()
    with pytest.raises(MissingExtraError, match="ArviZ is needed"):
        found.to_arviz()


# The prior over K


def test_the_default_prior_is_the_beta_negative_binomial_of_the_paper():
    table = prior_of_unknown(None)
    numbers = np.arange(1, len(table) + 1)
    assert table[0] == pytest.approx(4.0 / 7.0, rel=1e-11)
    assert table @ numbers == pytest.approx(2.0, rel=1e-6)
    # With one failure to wait for, K - 1 is geometric with odds that are Beta(4, 3).
    p = (np.arange(200_000) + 0.5) / 200_000
    odds = stats.beta(4.0, 3.0).ppf(p)
    geometric = [(odds * (1.0 - odds) ** (k - 1)).mean() for k in (1, 2, 5)]
    np.testing.assert_allclose(table[[0, 1, 4]], geometric, rtol=1e-6)


def test_a_prior_is_a_mapping_or_a_function_as_in_a_search():
    uniform = prior_of_unknown(dict.fromkeys(range(1, 31), 1))
    np.testing.assert_allclose(uniform, np.full(30, 1 / 30))
    poisson = prior_of_unknown(lambda k: math.exp(-1) / math.factorial(k - 1))
    np.testing.assert_allclose(poisson[:40], stats.poisson(1).pmf(np.arange(40)), rtol=1e-12)
    assert prior_over([2, 3], {2: 1, 3: 3}) == {2: 0.25, 3: 0.75}


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (lambda k: 1.0, "prior_over_k must have nearly all of its weight below K = 2,048"),
        (lambda k: -1.0, "prior_over_k must give non-negative weights"),
        ({}, "prior_over_k must give non-negative weights"),
        ({0: 1.0}, "prior_over_k must map numbers of components from 1 to 4,096"),
        ({2.5: 1.0}, "prior_over_k must map numbers of components"),
        ("uniform", "prior_over_k must be None"),
    ],
)
def test_a_prior_that_is_none_is_refused(prior, message):
    vb, X = faithful()
    with pytest.raises(InvalidInputError, match=message):
        gibbs(vb, X, n_components=None, prior_over_k=prior)


# Refusals


def test_sticks_and_options_without_effect_are_refused():
    case = CASES[0]
    rows, letters = two_groups(case, 3, 20)
    sticks = fitted(case, rows, letters, 2, StickBreakingPrior(1.0))
    with pytest.raises(UnsupportedError, match="n_components=None needs Dirichlet weights"):
        gibbs(sticks, rows, n_components=None)
    vb, X = faithful()
    with pytest.raises(InvalidInputError, match="prior_over_k applies only to an unknown number"):
        gibbs(vb, X, prior_over_k={1: 1.0})
    with pytest.raises(InvalidInputError, match="concentration applies only to an unknown number"):
        gibbs(vb, X, n_components=3, concentration="dynamic")
    with pytest.raises(InvalidInputError, match="concentration must be one of 'static', 'dynamic'"):
        gibbs(vb, X, n_components=None, concentration="sparse")
    with pytest.raises(InvalidInputError, match="n_components must be 'fit', a number or None"):
        gibbs(vb, X, n_components="all")
    with pytest.raises(InvalidInputError, match="n_components must be an integer of at least 1"):
        gibbs(vb, X, n_components=0)
    found = sampled(vb, X, n_draws=3, chains=1)
    for wrong in (X[:, :1], "rows", np.full((2, 2), np.nan)):
        with pytest.raises(InvalidInputError, match="X must"):
            found.score_samples(wrong)
