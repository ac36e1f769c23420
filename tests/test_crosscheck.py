"""What a cross-check finds, each with a fit or a sampler that has just that wrong.

Draws are those of Gibbs sampling, so that nothing has to be compiled; sampling by NUTS has tests of
its own.
"""

import json
import re
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.allocation.point import FreeWeights
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixWarning, InvalidInputError, MissingExtraError
from bayesmix.mcmc import crosscheck as module
from bayesmix.mcmc.comparison import (
    FALSE_ALARM,
    apart,
    modes_of,
    moved_by_gibbs,
    occupied,
    predictive_distance,
)
from bayesmix.mcmc.crosscheck import compared, crosscheck
from bayesmix.posterior import gibbs as gibbs_module
from bayesmix.posterior.chains import blocked_gibbs, each_repetition
from bayesmix.posterior.gibbs import gibbs
from bayesmix.posterior.labels import aligned
from bayesmix.posterior.posterior_draws import draws_of, joined, log_prior

pytest.importorskip("arviz", reason="ArviZ is not installed: bayesmix[pymc]")
# ArviZ announces its own changes.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

DIRICHLET = {
    "weight_concentration_prior_type": "dirichlet_distribution",
    "weight_concentration_prior": 1.0,
    "prune": False,
    "random_state": 0,
    "n_jobs": 1,
}


@cache
def groups(distance=6.0, n=60):
    """Two groups of rows in two columns."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(n, 2))
    rows[: n // 3] += distance
    return rows


@cache
def fitted(n_components=2, distance=6.0, **options):
    return bm.BayesianGaussianMixture(n_components, **DIRICHLET | options).fit(groups(distance))


def checked(found, result=None, seed=0):
    """A comparison of any draws with any fit to the same rows."""
    result = found.result if result is None else result
    with FitProgress(1, False) as bar:
        return compared(result, found, seed, "", bar, 0.0)


@cache
def usual():
    return crosscheck(fitted(), groups(), n_draws=300, sampler="gibbs")


def kinds(found):
    return [finding.kind for finding in found.findings]


def narrower(result, factor):
    """A fit that is as sure as if every row had counted so many times."""
    mixture = result.mixture
    q = mixture.components
    known = replace(
        q.precisions,
        degrees_of_freedom=factor * q.precisions.degrees_of_freedom,
        scale_inverse=factor * q.precisions.scale_inverse,
    )
    components = replace(q, mean_precision=factor * q.mean_precision, precisions=known)
    weights = replace(mixture.weights, concentration=factor * mixture.weights.concentration)
    return replace(result, mixture=replace(mixture, weights=weights, components=components))


def three_in_a_line():
    """Three groups for two components: the middle one goes with either of the others."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(60, 1)) + np.repeat([0.0, 11.0, 23.0], 20)[:, None]
    starts = [np.repeat(labels, 20) for labels in ([0, 0, 1], [0, 1, 1])]
    fits = [
        bm.BayesianGaussianMixture(
            2, init_params=start, covariance_prior=[[4.0]], mean_precision_prior=0.01, **DIRICHLET
        ).fit(rows)
        for start in starts
    ]
    return rows, fits


# What is right


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_an_exact_fit_agrees(seed):
    """One component under a fixed prior: q is the posterior itself."""
    rows = np.random.default_rng(seed).normal(size=(30, 2))
    vb = bm.BayesianGaussianMixture(1, covariance_prior=np.eye(2), **DIRICHLET).fit(rows)
    found = crosscheck(vb, rows, n_draws=250, warmup=0, sampler="gibbs", random_state=seed)
    assert found.agrees, found.verdict
    assert found.verdict == "agrees"
    assert found.modes == ()
    assert found.evidence.estimate == pytest.approx(vb.elbo_, abs=1e-7)
    assert found.evidence.upper == pytest.approx(vb.elbo_, abs=1e-7)
    assert found.predictive.value < 4.0 * found.predictive.standard_error + 1e-3
    # 4,000 numbers a side: 5 standard errors.
    assert abs(found.overconfidence - 1.0) < 5.0 / np.sqrt(2 * 1000)
    assert found.parameters["difference"].abs().max() < 5.0 * np.sqrt(2 / 1000)


@pytest.mark.slow
def test_a_chain_of_states_far_apart_agrees():
    rng = np.random.default_rng(465)
    X = rng.poisson(3.0 + 27.0 * (np.arange(48) // 8 % 2))[:, None]
    model = bm.HiddenMarkovModel(
        2, family=bm.Poisson(), inference=bm.VariationalBayes(), random_state=0
    ).fit(X, lengths=[20, 28])
    found = crosscheck(
        model, X, n_draws=300, chains=2, sampler="gibbs", groups=np.repeat([7, 3], [20, 28])
    )
    assert found.agrees, found.verdict
    assert {"startprob[state 2]", "transmat[state 1, state 2]"} <= set(found.parameters.index)
    assert "occupied components" not in found.invariants.index
    assert "evidence of hidden Markov models is not sampled" in found.summary()
    with pytest.raises(InvalidInputError, match="lengths must be those of the fit"):
        crosscheck(model, X, sampler="gibbs", lengths=[30, 18])


@pytest.mark.slow
def test_groups_far_apart_agree_and_everything_is_told():
    found = usual()
    assert found.agrees, found.verdict
    assert found.sampler == "gibbs"
    assert found.n_divergent == 0
    K, D = 2, 2
    assert len(found.parameters) == K + K * D + K * 3 + 3
    assert found.parameters.index[0] == "weights[component 1]"
    assert "covariances[component 2, 0, 1]" in found.parameters.index
    assert "covariances[component 2, 1, 0]" not in found.parameters.index
    assert (found.parameters["rhat"] < 1.01).all()
    assert "log joint density" in found.invariants.index
    evidence = found.evidence
    assert evidence.lower < evidence.estimate < evidence.upper + 5.0 * evidence.upper_error + 0.1
    for part in ("agrees", "R-hat at most", "standard deviations apart", "variation distance"):
        assert part in found.summary()
    for part in ("Pareto k", "bridge sampling", "of sampling"):
        assert part in found.summary()
    assert repr(found).startswith("<CrossCheck: Gaussian, 2 components, against blocked Gibbs")
    page = found._repr_html_()
    assert "<table" in page
    assert "label-invariant" in page
    assert found.to_arviz().posterior["weights"].shape == (4, 300, 2)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answer():
    here, there = (
        crosscheck(fitted(), groups(), n_draws=40, warmup=5, sampler="gibbs", n_jobs=n_jobs)
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(here.parameters.to_numpy(), there.parameters.to_numpy())
    assert here.predictive == there.predictive
    assert here.evidence == there.evidence


# What is wrong


@pytest.mark.slow
def test_a_wrong_prior_in_one_of_the_two_models_is_named():
    here, there = (
        bm.BayesianGaussianMixture(
            2, covariance_prior=scale * np.eye(2), mean_precision_prior=0.1, **DIRICHLET
        ).fit(groups())
        for scale in (1.0, 8.0)
    )
    found = checked(gibbs(there, groups(), n_draws=120), here.result_)
    assert not found.agrees
    assert kinds(found)[0] == "posterior"
    assert found.verdict.startswith("differs: the draws are not from the posterior")
    assert "another prior" in found.verdict


@pytest.mark.slow
def test_a_wrong_concentration_of_the_weights_is_named():
    here, there = (
        bm.BayesianGaussianMixture(
            2, **DIRICHLET | {"weight_concentration_prior": concentration}
        ).fit(groups())
        for concentration in (1.0, 40.0)
    )
    found = checked(gibbs(there, groups(), n_draws=500), here.result_)
    assert kinds(found)[0] == "posterior"


@pytest.mark.slow
def test_a_chain_that_is_stuck_in_another_mode_is_named():
    rows, (here, there) = three_in_a_line()
    most, one = gibbs(here, rows, n_draws=200, chains=3), gibbs(there, rows, n_draws=200, chains=1)
    found = checked(
        replace(
            most,
            draws=joined([most.draws, one.draws]),
            log_joint=np.concatenate([most.log_joint, one.log_joint]),
            log_likelihood=np.concatenate([most.log_likelihood, one.log_likelihood]),
            n_occupied=np.concatenate([most.n_occupied, one.n_occupied]),
        )
    )
    assert kinds(found)[0] == "stuck"
    assert "chains 0, 1 and 2 in that of the fit; chain 3 in another" in found.verdict
    assert "the sampler did not converge" in found.verdict
    assert "take more" not in found.verdict
    # Each of two parts of a posterior is left as it is by Gibbs sampling.
    assert not any(one.for_certain for one in found.moved)
    assert found.modes[1].by_chain == (0.0, 0.0, 0.0, 1.0)
    assert found.modes[1].away == pytest.approx(1.0 / 3.0, abs=0.02)
    assert found.modes[1].elbo == pytest.approx(there.elbo_, abs=1e-3)


@pytest.mark.slow
def test_a_fit_in_another_mode_than_all_chains_is_named():
    rows, (here, there) = three_in_a_line()
    found = checked(gibbs(there, rows, n_draws=300), here.result_)
    assert kinds(found)[0] == "modes"
    assert found.verdict.startswith("differs: all chains are in a different mode from the fit")
    assert "shift" in kinds(found)
    assert "prediction" in kinds(found)
    again = bm.BayesianGaussianMixture(
        2, init_params=found.modes[1].responsibilities, covariance_prior=[[4.0]],
        mean_precision_prior=0.01, **DIRICHLET,
    ).fit(rows)  # fmt: skip
    assert again.elbo_ == pytest.approx(there.elbo_, abs=1e-6)
    side = "above" if there.elbo_ > here.elbo_ else "below"
    assert f"{abs(there.elbo_ - here.elbo_):.1f} {side} the fit's" in found.verdict


def test_too_few_draws_are_named():
    found = crosscheck(fitted(), groups(), n_draws=20, sampler="gibbs")
    assert kinds(found) == ["convergence"]
    assert found.verdict.startswith("undecided: too few draws for the sampler to converge: R-hat")
    assert found.verdict.endswith("take more draws")
    assert found.undecided
    assert not found.agrees
    assert found.summary().splitlines()[0].endswith("4 x 20 draws: undecided.")


@pytest.mark.parametrize(
    ("factor", "words", "by"),
    [(4.0, "MCMC standard deviations are", 2.0), (0.5, "its standard deviations are", 1.4)],
)
@pytest.mark.slow
def test_a_fit_of_the_wrong_width_is_named_with_the_factor(factor, words, by):
    """As sure as if rows counted four times: standard deviations of half the size."""
    found = checked(usual().found, narrower(fitted().result_, factor))
    assert "spread" in kinds(found)
    said = re.search(rf"{words} (\d\.\d) times as large", found.verdict)
    assert float(said[1]) == pytest.approx(by, rel=0.15)
    assert found.overconfidence == pytest.approx(np.sqrt(factor), rel=0.15)


@pytest.mark.slow
def test_divergences_are_named():
    class Diverging:
        def __init__(self, found):
            self.found = found
            self.diverging = np.arange(1200).reshape(4, 300) % 40 == 0
            self.sampler = "nutpie"

        def __getattr__(self, name):
            return getattr(self.found, name)

    found = checked(Diverging(usual().found))
    assert kinds(found) == ["divergences"]
    assert "2.5 % of the draws diverged" in found.verdict
    assert found.n_divergent == 30
    assert "30 divergences" in found.summary()


# The parts


@pytest.mark.slow
def test_gibbs_moves_no_draws_of_its_own_posterior():
    """p-values over 32 functions of 8 runs: none below the false alarm rate, and half below ½."""
    values = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(15, 1)) * rng.choice([1.0, 4.0], size=(15, 1))
        vb = bm.BayesianGaussianMixture(2, search=None, **DIRICHLET).fit(rows)
        found = gibbs(vb, rows, n_draws=50, random_state=seed)
        moved = moved_by_gibbs(vb.result_, found.source, found.draws, 4, seed)
        values += [one.p_value for one in moved]
    assert min(values) > FALSE_ALARM
    # Four functions of a run depend on one another: as of one; of 8 coins all but one or fewer.
    assert 0.05 < np.mean(np.array(values) < 0.5) < 0.95


@pytest.mark.slow
def test_one_sweep_leaves_draws_of_sticks_in_one_labelling_as_they_are():
    """NUTS keeps the order of the components in which it starts; swaps of labels would move it."""
    rng = np.random.default_rng(3)
    rows = np.r_[rng.normal(size=(20, 1)), rng.normal(9.0, 1.0, (40, 1))]
    vb = bm.BayesianGaussianMixture(2, random_state=0, n_jobs=1).fit(rows)
    result, source = vb.result_, gibbs(vb, rows, n_draws=1, chains=1).source
    sampler, generator = blocked_gibbs(result, source, each_repetition), rng
    kept, swapped = [], []
    for chain in range(4):
        state = sampler.beginning(2, generator)
        for sweep in range(250):
            kept.append(sampler.drawn(state, generator))
            swapped.append(sampler.relabelled(state, generator))
            _, state = sampler.sweep(kept[-1], generator, (0, 40, chain, sweep))
    heavy_first = joined(kept).weights.log_weights.argmax(axis=1) == 0
    assert heavy_first.mean() > 0.99
    assert (joined(swapped).weights.log_weights.argmax(axis=1) == 0).mean() < 0.9
    moved = moved_by_gibbs(result, source, joined(kept), 4, 0)
    assert not any(one.for_certain for one in moved)
    moved_by_swaps = log_prior(result.bayesian, joined(swapped)) - log_prior(
        result.bayesian, joined(kept)
    )
    assert abs(moved_by_swaps.mean()) > 5.0 * moved_by_swaps.std() / np.sqrt(1000)


@pytest.mark.slow
def test_the_log_joint_density_of_sticks_is_no_invariant():
    """The prior density depends on the order of the components, which chains may keep."""
    vb = bm.BayesianGaussianMixture(2, random_state=0, n_jobs=1).fit(groups())
    found = crosscheck(vb, groups(), n_draws=150, sampler="gibbs")
    assert "log joint density" not in found.invariants.index
    assert "log likelihood" in found.invariants.index
    assert "log joint density" not in found.found.summary()


@pytest.mark.slow
def test_a_verdict_without_convergence_names_no_difference():
    """A fit of half the width, by fewer effective draws than a comparison needs."""
    found = checked(usual().found, narrower(fitted().result_, 4.0))
    assert found.verdict.startswith("differs: ")
    short = gibbs(fitted(), groups(), n_draws=60)
    found = checked(short, narrower(fitted().result_, 4.0))
    assert found.undecided
    assert "differ" not in found.verdict
    assert kinds(found) == ["convergence"]


def test_predictive_densities_a_known_distance_apart():
    """Of normals δ standard deviations apart it is 2 Φ(δ / 2) - 1."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(20_000, 1))
    vb = bm.BayesianGaussianMixture(1, covariance_prior=[[1.0]], random_state=0).fit(rows)
    result: FitResult = vb.result_
    draws = draws_of(result.mixture, 200, np.random.default_rng(0))
    same = predictive_distance(result, draws, 2, 0)
    assert same.value < 0.01
    deviation = np.sqrt(vb.covariances_[0, 0, 0]) / result.mixture.frame.scale[0]
    for delta in (0.5, 2.0):
        means = draws.components.means + delta * deviation
        moved = replace(draws, components=replace(draws.components, means=means))
        found = predictive_distance(result, moved, 2, 0)
        expected = 2.0 * stats.norm.cdf(delta / 2.0) - 1.0
        assert abs(found.value - expected) < 5.0 * found.standard_error


@pytest.mark.slow
def test_the_expected_number_of_occupied_components_is_that_of_assignments():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(8, 1))
    vb = bm.BayesianGaussianMixture(
        3, search=None, **DIRICHLET | {"weight_concentration_prior": 0.5}
    ).fit(rows)
    found = gibbs(vb, rows, n_draws=120, chains=16, warmup=30)
    expected = occupied(vb.result_, found.source, found.draws, np.arange(8)).reshape(16, -1)
    difference = (found.n_occupied - expected).mean(axis=1)
    error = difference.std(ddof=1) / 4.0
    # 16 chains: Student's t with 15 degrees of freedom, once in 10^4.
    assert abs(difference.mean()) < 5.3 * error


def test_modes_are_apart_by_the_share_of_rows_that_are_elsewhere():
    counted = np.full(10, 0.1)
    first = np.repeat([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 5, axis=0)
    assert apart(first, first[:, [2, 0, 1]], counted) == pytest.approx(0.0, abs=1e-12)
    second = first.copy()
    second[:2] = [0.0, 0.0, 1.0]
    assert apart(first, second, counted) == pytest.approx(0.2)


@pytest.mark.slow
def test_draws_of_a_posterior_with_one_mode_lead_back_to_the_fit():
    found = usual().found
    rows = aligned(found.result, found.source, found.draws).rows
    (only,) = modes_of(found.result, found.source, found.draws, 4, rows, 0)
    assert only.share == 1.0
    assert only.elbo == found.result.objective


# Other models and rows


@pytest.mark.slow
def test_models_are_sampled_by_gibbs_and_the_verdict_says_what_is_shared():
    vb = bm.BayesianGaussianMixture(
        5, **DIRICHLET | {"weight_concentration_prior": 0.01, "prune": True}
    ).fit(groups())
    assert vb.n_components_ == 2
    found = crosscheck(vb, groups(), n_draws=60)
    assert found.sampler == "gibbs"
    assert 'shares the densities of the package; sampler="nuts" does not.' in found.summary()
    assert "2 components of 5" in found.summary()
    occupied_on_average = found.invariants.loc["occupied components", "sampler_mean"]
    used = f"{occupied_on_average:.1f} with MCMC on average"
    line = f"Occupied components: {used}; the fit kept 2 of 5."
    assert line in found.summary().splitlines()
    # Compared in the components that the fit has; densities over five have no like in the fit.
    assert sum(name.startswith("weights[") for name in found.parameters.index) == 2
    assert np.isnan(found.invariants.loc["log joint density", "difference"])
    assert np.isfinite(found.invariants.loc["log likelihood", "difference"])


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["tied", "diag", "spherical"])
def test_other_structures_and_sticks_are_compared_too(covariance):
    vb = bm.BayesianGaussianMixture(
        2, covariance_type=covariance, random_state=0, weight_concentration_prior=0.5
    ).fit(groups())
    found = crosscheck(vb, groups(), n_draws=60, sampler="gibbs")
    n = {"tied": 3, "diag": 4, "spherical": 2}[covariance]
    assert sum(name.startswith("covariances[") for name in found.parameters.index) == n
    assert np.isnan(found.evidence.estimate)
    assert "dirichlet_distribution" in found.summary()


@pytest.mark.slow
@pytest.mark.parametrize("family", [bm.Bernoulli(), bm.Poisson()], ids=["bernoulli", "poisson"])
def test_other_families_are_compared_too(family):
    rng = np.random.default_rng(5)
    rates = np.where(rng.random(80)[:, None] < 0.5, [0.9, 0.1, 0.8], [0.1, 0.9, 0.2])
    rows = (rng.random((80, 3)) < rates).astype(float)
    vb = bm.Mixture(2, family=family, inference=bm.VariationalBayes(), random_state=0).fit(rows)
    found = crosscheck(vb, rows, n_draws=100, sampler="gibbs")
    name = "probabilities[class 1, 1]" if family.name == "bernoulli" else "rates[class 1, 1]"
    assert name in found.parameters.index
    assert np.isfinite(found.predictive.value)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.DegenerateComponentWarning")
@pytest.mark.slow
def test_rows_that_repeat_and_small_numbers_are_compared_too():
    weights = np.r_[np.full(30, 2.0), np.ones(30)]
    vb = bm.BayesianGaussianMixture(2, **DIRICHLET).fit(groups(), sample_weight=weights)
    found = crosscheck(vb, groups(), n_draws=50, sampler="gibbs", sample_weight=weights)
    assert np.isfinite(found.evidence.estimate)
    small = groups().astype(np.float32)
    vb = bm.BayesianGaussianMixture(2, **DIRICHLET).fit(small)
    assert crosscheck(vb, small, n_draws=60, sampler="gibbs").parameters["rhat"].max() < 1.2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning")
def test_what_varies_by_rounding_alone_is_not_compared():
    rows = np.column_stack([groups(), np.full(len(groups()), 1.0)])
    vb = bm.BayesianGaussianMixture(2, **DIRICHLET).fit(rows)
    found = crosscheck(vb, rows, n_draws=60, sampler="gibbs")
    constant = rows.shape[1] - 1
    assert not any(f", {constant}]" in name for name in found.parameters.index)
    assert np.isfinite(found.parameters.to_numpy()).all()


@pytest.mark.slow
def test_columns_have_their_names():
    X = bm.datasets.load_faithful().iloc[:60]
    vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    found = crosscheck(vb, X, n_draws=60, sampler="gibbs")
    assert "means[component 1, waiting]" in found.parameters.index
    assert "covariances[component 2, eruptions, waiting]" in found.parameters.index


# The figure


@pytest.mark.slow
def test_the_figure_shows_both_intervals_and_every_chain():
    from matplotlib.figure import Figure

    left, right = usual().plot(axes=Figure().subplots(1, 2))
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == list(usual().parameters.index)
    legend = [text.get_text() for text in right.get_legend().get_texts()]
    assert legend == ["fit", "chain 0", "chain 1", "chain 2", "chain 3"]
    with pytest.raises(InvalidInputError, match="axes must be an array"):
        usual().plot(axes=Figure().subplots())


# Bad input, and interruption


@pytest.mark.slow
def test_ctrl_c_compares_the_draws_so_far(monkeypatch):
    class Interrupted(FitProgress):
        def advance(self, label):
            super().advance(label)
            if self.done == 70:
                raise KeyboardInterrupt

    monkeypatch.setattr(gibbs_module, "FitProgress", Interrupted)
    with pytest.warns(BayesmixWarning, match="interrupted"):
        found = crosscheck(fitted(), groups(), n_draws=100, warmup=20, sampler="gibbs")
    assert found.found.n_draws == 50
    assert "Sampling was interrupted; these are the draws so far." in found.summary()
    with pytest.warns(BayesmixWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        crosscheck(fitted(), groups(), n_draws=100, warmup=60, sampler="gibbs")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 5}, "n_draws must be an integer of at least 20, got 5"),
        ({"chains": 1}, "chains must be an integer of at least 2"),
        ({"warmup": -1}, "warmup must be an integer of at least 0"),
        ({"sampler": "hmc"}, "sampler must be one of 'auto', 'nuts', 'gibbs', got 'hmc'"),
    ],
)
def test_numbers_and_samplers_are_checked(options, message):
    with pytest.raises(InvalidInputError, match=message):
        crosscheck(fitted(), groups(), **{"sampler": "gibbs"} | options)


def test_fits_without_a_posterior_to_sample_and_other_rows_are_refused():
    point = bm.GaussianMixture(2, random_state=0).fit(groups())
    for sampler in ("auto", "gibbs", "nuts"):
        with pytest.raises(InvalidInputError, match="model must be a variational fit"):
            crosscheck(point, groups(), sampler=sampler)
    with pytest.raises(InvalidInputError, match="call fit first"):
        crosscheck(bm.BayesianGaussianMixture(2), groups())
    free = bm.Mixture(
        2, inference=bm.VariationalBayes(weights=FreeWeights()), random_state=0
    ).fit(groups())  # fmt: skip
    with pytest.raises(InvalidInputError, match="weights with a prior, got type-II"):
        crosscheck(free, groups(), sampler="gibbs")
    with pytest.raises(InvalidInputError, match="X must hold the data of the fit"):
        crosscheck(fitted(), groups()[:30], sampler="gibbs")


def test_without_pymc_it_says_what_to_install_or_to_use_gibbs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymc", None)
    monkeypatch.setitem(sys.modules, "nutpie", None)
    with pytest.raises(MissingExtraError, match=r"bayesmix\[pymc\].*sampler='gibbs'"):
        crosscheck(fitted(), groups(), sampler="nuts")


def test_without_arviz_it_says_what_to_install(monkeypatch):
    # Before it samples, which would take for ever.
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(MissingExtraError, match="ArviZ is needed"):
        crosscheck(fitted(), groups(), n_draws=10**9, sampler="gibbs")


def test_steps_of_the_comparison_are_shown(monkeypatch):
    labels = []

    class Noted(FitProgress):
        def advance(self, label):
            labels.append(label)
            super().advance(label)

    monkeypatch.setattr(module, "FitProgress", Noted)
    crosscheck(fitted(), groups(), n_draws=20, sampler="gibbs")
    assert tuple(labels) == module.STEPS


# In the shell


@pytest.fixture
def shell(run):
    np.savetxt("rows.csv", groups(), delimiter=",", header="a,b", comments="")
    given = ("crosscheck", "rows.csv", "--components", "2", "--sampler", "gibbs")
    return lambda *arguments, code=0: run(*given, *arguments, code=code)


@pytest.mark.slow
def test_the_command_says_whether_they_agree_and_writes_what_was_found(shell, tmp_path):
    out = shell("--draws", "300", "--out", "found", "--seed", "1").stdout
    assert "Gaussian, 2 components, against blocked Gibbs sampling, 4 x 300 draws: agrees." in out
    assert "label-invariant" in out
    names = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert names == [
        "crosscheck.png", "invariants.csv", "model.bayesmix", "parameters.csv", "result.json",
    ]  # fmt: skip
    values = json.loads((tmp_path / "found" / "result.json").read_text("utf-8"))
    assert values["agrees"] is True
    assert values["undecided"] is False
    assert values["verdict"] == "agrees"
    assert values["interrupted"] is False
    assert values["parameters"][0]["quantity"] == "weights[component 1]"
    assert len(values["files"]) == 5


def test_as_json_the_command_prints_nothing_else(shell):
    out = shell("--draws", "20", "--chains", "2", "--json").stdout
    values = json.loads(out)
    assert values["agrees"] is False
    assert values["findings"][0]["kind"] == "convergence"


def test_the_command_names_bad_values(shell):
    result = shell("--draws", "5", code=2)
    assert "'--draws'" in result.output
    assert "20" in result.output
    assert "--sampler" in shell("--sampler", "hmc", code=2).output
