"""Gibbs sampling of hidden Markov models against the enumeration of all paths."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from reference import exact
from scipy import stats

import bayesmix as bm
from bayesmix.allocation.chain import (
    ChainDraws,
    ChainSums,
    DirichletChainPrior,
    stationary_distribution,
)
from bayesmix.allocation.forward_backward import drawn_paths, forward_backward
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.posterior.labels import aligned
from bayesmix.posterior.posterior_draws import Draws, log_likelihoods
from bayesmix.sources.memory import ArraySource
from laws.cases import generator
from laws.test_chain import EARTHQUAKES, log_paths, parts_of, paths_of, random_chain, starts_of
from laws.test_gibbs import N_CHAINS, assert_near

ALPHA, SHAPE, RATE = 0.8, 2.0, 0.5
SURELY = 1e-6


def test_a_path_goes_through_a_state_whose_mass_underflowed():
    # State 2 follows only from state 1, whose probability after the first sample is exp(-2000).
    log_density = np.array([[0.0, -2000.0, -2000.0], [-1e5, -1e5, 0.0]])
    transition = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    starts, initial = np.array([0]), np.full(3, 1.0 / 3.0)
    _, path = drawn_paths(log_density, starts, initial, transition, generator(46, 27))
    assert path.tolist() == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("lengths", "K"), [((5,), 3), ((1, 4), 2), ((3, 2, 1), 2)])
def test_drawn_paths_have_the_probabilities_of_all_paths(lengths, K):
    rng = generator(46, 21)
    log_density = rng.normal(size=(sum(lengths), K))
    log_density[-1] = 0.0
    initial, transition = random_chain(rng, K)
    transition[0] = np.eye(K)[-1]  # moves of probability 0
    starts, n_draws = starts_of(lengths), 4_000
    drawn = [drawn_paths(log_density, starts, initial, transition, rng) for _ in range(n_draws)]
    total = forward_backward(log_density, starts, initial, transition).log_predictive
    np.testing.assert_array_equal(drawn[0][0], total)
    expected, codes = np.ones(1), np.zeros(n_draws, dtype=int)
    paths = np.array([path for _, path in drawn])
    for part in parts_of(lengths):
        log_joint = log_paths(log_density[part], initial, transition)
        own = np.exp(log_joint - np.logaddexp.reduce(log_joint))
        expected = np.outer(expected, own).ravel()
        T = part.stop - part.start
        codes = codes * K**T + paths[:, part] @ K ** np.arange(T)[::-1]
    assert (paths_of(T, K) @ K ** np.arange(T)[::-1] == np.arange(K**T)).all()
    counts = np.bincount(codes, minlength=len(expected))
    assert (counts[expected == 0.0] == 0).all()
    often = n_draws * expected > 5.0
    observed = np.append(counts[often], counts[~often].sum())
    wanted = n_draws * np.append(expected[often], expected[~often].sum())
    assert stats.chisquare(observed[wanted > 0], wanted[wanted > 0]).pvalue > SURELY


def test_draws_of_the_chain_have_the_prior_density_and_its_moments():
    rng, K = generator(46, 22), 3
    prior = DirichletChainPrior(0.7)
    q = prior.posterior(ChainSums(np.zeros(K), np.zeros((K, K))))
    draws = q.draws(4000, rng)
    np.testing.assert_allclose(q.log_density_of(draws), prior.log_density_of(draws))
    some = [np.exp(draws.log_initial[0]), *np.exp(draws.log_transitions[0])]
    expected = sum(stats.dirichlet(np.full(K, 0.7)).logpdf(row / row.sum()) for row in some)
    assert prior.log_density_of(draws)[0] == pytest.approx(expected)
    for row in draws.rows():
        ranks = stats.kstest(np.exp(row[:, 0]), stats.beta(0.7, 1.4).cdf)
        assert ranks.pvalue > SURELY
    steady = np.exp(draws.log_weights)
    np.testing.assert_allclose(
        np.einsum("sj,sjk->sk", steady, np.exp(draws.log_transitions)), steady, atol=1e-10
    )
    one = stationary_distribution(np.exp(draws.log_transitions[7]))
    np.testing.assert_allclose(steady[7], one, atol=1e-12)


@cache
def tiny(missing=False):
    """Counts of two sequences, a fit with a fixed prior, and the enumeration of all paths."""
    X = np.array([[1.0], [7.0], [6.0], [0.0], [5.0], [2.0]])
    lengths = (4, 2)
    prior = bm.GammaPrior(SHAPE, RATE)
    model = bm.HiddenMarkovModel(
        2, family=bm.Poisson(), inference=bm.VariationalBayes(prior), transition_prior=ALPHA,
        missing="use" if missing else "error", n_init=2, random_state=0,
    )  # fmt: skip
    family = exact.poisson_family(SHAPE, RATE, 2)
    if missing:
        X[2] = np.nan
        complete = family

        def family(rows):
            seen = ~np.isnan(rows[:, 0])
            log_likelihood = complete(rows[seen])
            return lambda path: log_likelihood(path[seen])

    model.fit(X, lengths=lengths)
    paths = exact.enumerate_paths(X, 2, family, exact.chain_paths(ALPHA, starts_of(lengths)))
    return model, X, lengths, paths


@pytest.mark.slow
@pytest.mark.parametrize("missing", [False, True])
def test_draws_are_those_of_enumerating_all_paths(missing):
    model, X, lengths, paths = tiny(missing)
    found = bm.gibbs(
        model, X, n_draws=100, chains=N_CHAINS, warmup=15, random_state=46, lengths=lengths
    )
    numbers = np.arange(3)
    visited = (found.n_occupied[:, :, None] == numbers).mean(axis=1)
    assert_near(visited, exact.occupied_distribution(paths))
    # Moments that do not depend on labels, given each path in closed form.
    rates, moves = found.parameters["rates"][..., 0], found.parameters["transmat"]
    first, stay = found.parameters["startprob"], np.einsum("cskk->csk", moves)
    expected = np.zeros(4)
    for path, probability in zip(paths.assignments, paths.probabilities, strict=True):
        mean_rate, mean_stay, mean_first = moments_given(path, X, starts_of(lengths))
        expected += probability * np.array(
            [
                mean_rate.sum(),
                mean_rate @ mean_stay,
                mean_rate @ mean_first,
                mean_stay.prod(),
            ]
        )
    drawn = [rates.sum(-1), (rates * stay).sum(-1), (rates * first).sum(-1), stay.prod(-1)]
    assert_near(np.array([values.mean(axis=1) for values in drawn]).T, expected)


def moments_given(path, X, starts):
    """Posterior means of rates, of staying and of the first state given a path."""
    seen, one_hot = ~np.isnan(X[:, 0]), np.eye(2)[path]
    counts, totals = one_hot[seen].sum(axis=0), X[seen, 0] @ one_hot[seen]
    inside = np.setdiff1d(np.arange(1, len(path)), starts)
    moves = one_hot[inside - 1].T @ one_hot[inside]
    stay = (moves.diagonal() + ALPHA) / (moves.sum(axis=1) + 2 * ALPHA)
    first = (one_hot[starts].sum(axis=0) + ALPHA) / (len(starts) + 2 * ALPHA)
    return (SHAPE + totals) / (RATE + counts), stay, first


@pytest.mark.slow
def test_likelihoods_of_prior_draws_average_to_the_evidence_of_all_paths():
    model, X, _, paths = tiny()
    result, rng = model.result_, generator(46, 25)
    assert model.elbo_ < paths.log_evidence
    prior = result.bayesian.parameters_prior
    nothing = result.family.statistics(np.zeros((1, 1)), np.zeros((1, 2)))
    chains = DirichletChainPrior(ALPHA).posterior(ChainSums(np.zeros(2), np.zeros((2, 2))))
    draws = Draws(chains.draws(4000, rng), prior.posterior(nothing).draws(4000, rng))
    source = replace(ArraySource(X), side=result.side)
    ratios = np.exp(log_likelihoods(result, draws, source) - paths.log_evidence)
    assert abs(ratios.mean() - 1.0) < 5.0 * ratios.std() / np.sqrt(4000)
    assert ratios.std() < 3.0


def test_log_likelihoods_and_responsibilities_of_draws_are_those_of_their_chains():
    rng, (S, n, K) = generator(46, 23), (3, 9, 2)
    chains = [random_chain(rng, K) for _ in range(S)]
    logs = [np.log(np.array(part)) for part in zip(*chains, strict=True)]
    draws = ChainDraws(*logs)
    joint = rng.normal(size=(S, K, n))
    begins = np.isin(np.arange(n), [0, 4])
    rows = Rows(np.zeros((n, 1)), side=SideInformation(begins=begins))
    shares = np.ascontiguousarray(joint.transpose(2, 0, 1))
    density = draws.log_density(joint.copy(), rows)
    draws.shares(shares, rows)
    for s, chain in enumerate(chains):
        expected = forward_backward(joint[s].T, np.array([0, 4]), *chain)
        np.testing.assert_allclose(density[s], expected.log_predictive)
        np.testing.assert_allclose(shares[:, s], expected.shares)
    unordered = draws.log_density(joint.copy(), Rows(np.zeros((n, 1))))
    steady = stationary_distribution(chains[1][1])
    np.testing.assert_allclose(unordered[1], np.log(steady @ np.exp(joint[1])))


@cache
def earthquakes():
    model = bm.HiddenMarkovModel(
        2, family=bm.Poisson(), inference=bm.VariationalBayes(), random_state=0
    ).fit(EARTHQUAKES, lengths=[60, 47])
    return model, bm.gibbs(model, EARTHQUAKES, n_draws=100, chains=2, random_state=1)


def test_draws_carry_their_chains_to_every_result():
    model, found = earthquakes()
    moves = found.parameters["transmat"]
    assert moves.shape == (2, 100, 2, 2)
    np.testing.assert_allclose(moves.sum(axis=3), 1.0)
    np.testing.assert_allclose(
        np.einsum("csj,csjk->csk", found.weights, moves), found.weights, atol=1e-10
    )
    exported = found.to_arviz().posterior
    assert exported["transmat"].dims == ("chain", "draw", "component", "other_component")
    np.testing.assert_array_equal(exported["startprob"], found.parameters["startprob"])
    of_fit = model.to_arviz(EARTHQUAKES, n_draws=20, lengths=[60, 47])
    assert of_fit.posterior["transmat"].shape == (1, 20, 2, 2)
    assert "co_clustering" not in found.summary()
    sample = model.sample_posterior(50)
    assert sample.transmat.shape == (50, 2, 2)
    assert sample.startprob.shape == (50, 2)
    # Log likelihoods of samples, each given those before, add up to those of draws.
    of_samples = np.asarray(of_fit.log_likelihood["X"])[0]
    posterior = of_fit.posterior
    for draw in (0, 7):
        chain = (np.asarray(posterior[name])[0, draw] for name in ("startprob", "transmat"))
        rates = np.asarray(posterior["rates"])[0, draw, :, 0]
        log_density = stats.poisson.logpmf(EARTHQUAKES.to_numpy(), rates)
        expected = forward_backward(log_density, np.array([0, 60]), *chain).log_predictive
        np.testing.assert_allclose(of_samples[draw], expected, atol=1e-9)


def test_intervals_of_draws_have_the_states_of_the_fit():
    model, found = earthquakes()
    order = aligned(model.result_, found.source, found.draws).order
    assert {tuple(one) for one in order.tolist()} <= {(0, 1), (1, 0)}
    table = model.credible_interval(method=found).set_index("parameter")["mean"]
    assert table["rates[state 1, count]"] < table["rates[state 2, count]"]
    moves = found.parameters["transmat"].reshape(-1, 2, 2)
    expected = [own[np.ix_(one, one)] for own, one in zip(moves, order, strict=True)]
    mean = np.mean(expected, axis=0)
    for j, k in np.ndindex(2, 2):
        assert table[f"transmat[state {j + 1}, state {k + 1}]"] == pytest.approx(mean[j, k])


def test_the_density_of_a_sequence_is_averaged_over_draws():
    _, found = earthquakes()
    X = EARTHQUAKES.to_numpy()[:5]
    density = found.score_samples(pd.DataFrame(X, columns=["count"]))
    totals = []
    for initial, transition, rates in zip(
        *(found.parameters[name].reshape(200, *found.parameters[name].shape[2:])
          for name in ("startprob", "transmat", "rates")), strict=True,
    ):  # fmt: skip
        log_density = stats.poisson.logpmf(X, rates[:, 0])
        totals.append(
            forward_backward(log_density, np.array([0]), initial, transition).log_predictive
        )
    expected = np.logaddexp.reduce(np.sum(totals, axis=1)) - np.log(200)
    assert density.sum() == pytest.approx(expected, rel=1e-10)
    shorter = found.score_samples(pd.DataFrame(X[:3], columns=["count"]))
    np.testing.assert_allclose(density[:3], shorter)


@pytest.mark.slow
def test_long_sequences_are_sampled_in_segments_and_threads_change_no_bit():
    rng = generator(46, 24)
    states = (np.arange(3000) // 50) % 2
    X = rng.normal(size=(3000, 2)) + 3.0 * states[:, None]
    X[rng.random(X.shape) < 0.1] = np.nan
    X[[5, 100]] = np.nan
    model = bm.HiddenMarkovModel(
        2, inference=bm.VariationalBayes(), missing="use", n_init=1, random_state=0
    ).fit(X, lengths=[1000] * 3)
    found = bm.gibbs(model, X, n_draws=20, chains=2, n_jobs=1)
    again = bm.gibbs(model, X, n_draws=20, chains=2, n_jobs=2, groups=np.repeat([1, 2, 3], 1000))
    np.testing.assert_array_equal(found.parameters["transmat"], again.parameters["transmat"])
    stay = np.einsum("cskk->csk", found.parameters["transmat"])
    assert abs(stay - 0.98).max() < 0.02
    np.testing.assert_allclose(
        np.sort(found.parameters["means"].mean(axis=(0, 1))[:, 0]), [0.0, 3.0], atol=0.2
    )


def test_other_sequences_than_those_of_the_fit_and_weights_are_refused():
    model, _ = earthquakes()
    with pytest.raises(InvalidInputError, match="lengths must be those of the fit"):
        bm.gibbs(model, EARTHQUAKES, lengths=[50, 57])
    with pytest.raises(InvalidInputError, match="X must hold the data of the fit"):
        bm.gibbs(model, EARTHQUAKES + 3)
    with pytest.raises(UnsupportedError, match="does not support weights of sequences"):
        bm.gibbs(model, EARTHQUAKES, sample_weight=np.ones(107))
    mixture = bm.Mixture(
        2, family=bm.Poisson(), inference=bm.VariationalBayes(), random_state=0
    ).fit(EARTHQUAKES)
    with pytest.raises(InvalidInputError, match="lengths needs a hidden Markov model"):
        bm.gibbs(mixture, EARTHQUAKES, lengths=[107])
