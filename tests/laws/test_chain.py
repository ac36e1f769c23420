"""Hidden Markov models against sums over all paths, and against published fits."""

import warnings
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import digamma, gammaln, logsumexp
from scipy.stats import multivariate_normal, norm, poisson
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix.allocation.chain import (
    ChainSums,
    DirichletChain,
    DirichletChainPrior,
    MarkovChain,
    stationary_distribution,
)
from bayesmix.allocation.forward_backward import (
    Segments,
    forward_backward,
    forward_backward_of_many,
    most_probable_paths,
)
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.errors import InvalidInputError, UnsupportedError
from laws.cases import generator

EARTHQUAKES = pd.read_csv(Path(__file__).parents[1] / "data" / "earthquakes.csv", index_col="year")
LENGTHS = [(8,), (1, 7), (5, 8, 3), (2, 2, 8, 1)]


def starts_of(lengths):
    return np.cumsum((0, *lengths[:-1]))


def parts_of(lengths):
    return [slice(start, stop) for start, stop in pairwise([*starts_of(lengths), sum(lengths)])]


def random_chain(rng, K):
    return rng.dirichlet(np.ones(K)), rng.dirichlet(np.ones(K), K)


def paths_of(T, K):
    return np.array(list(product(range(K), repeat=T)))


def log_paths(log_density, initial, transition):
    """Log joint densities of the samples and of all K^T paths."""
    paths = paths_of(*log_density.shape)
    with np.errstate(divide="ignore"):
        log_joint = np.log(initial)[paths[:, 0]]
        log_joint += np.log(transition)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    return log_joint + log_density[np.arange(len(log_density)), paths].sum(axis=1)


def by_paths(log_density, initial, transition):
    """Log likelihood, smoothed probabilities, transitions and best path: all K^T paths."""
    paths, K = paths_of(*log_density.shape), log_density.shape[1]
    log_joint = log_paths(log_density, initial, transition)
    total = logsumexp(log_joint)
    weights, one_hot = np.exp(log_joint - total), np.eye(K)[paths]
    smoothed = np.einsum("p,ptk->tk", weights, one_hot)
    moves = np.einsum("p,ptj,ptk->jk", weights, one_hot[:, :-1], one_hot[:, 1:])
    return total, smoothed, moves, paths[log_joint.argmax()]


def viterbi(log_density, initial, transition):
    """The most probable path of one sequence, step by step."""
    with np.errstate(divide="ignore"):
        value, moves, before = np.log(initial) + log_density[0], np.log(transition), []
    for row in log_density[1:]:
        through = value[:, None] + moves
        before.append(through.argmax(axis=0))
        value = through.max(axis=0) + row
    path = [value.argmax()]
    for best in reversed(before):
        path.append(best[path[-1]])
    return path[::-1]


@pytest.mark.parametrize("lengths", [(300,), (1, 90, 30, 7)])
@pytest.mark.parametrize("one_way", [False, True])
def test_the_most_probable_paths_of_long_sequences_are_those_of_single_steps(lengths, one_way):
    rng, starts = generator(4614, len(lengths)), starts_of(lengths)
    initial, transition = random_chain(rng, 3)
    if one_way:  # states that are left are not visited again
        transition = np.triu(transition) / np.triu(transition).sum(axis=1, keepdims=True)
    log_density = rng.normal(size=(sum(lengths), 3))
    assert not Segments.cut(starts, sum(lengths), 3).begins.all()
    paths = most_probable_paths(log_density, starts, initial, transition)
    for part in parts_of(lengths):
        np.testing.assert_array_equal(paths[part], viterbi(log_density[part], initial, transition))


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("K", [1, 2, 3])
def test_forward_backward_is_the_sum_over_all_paths(lengths, K):
    rng = generator(len(lengths) + K)
    initial, transition = random_chain(rng, K)
    log_density = 3.0 * rng.normal(size=(sum(lengths), K))
    log_density[1] = 0.0  # a step without evidence
    chained = forward_backward(log_density, starts_of(lengths), initial, transition)
    present = forward_backward(log_density, starts_of(lengths), initial, transition, smooth=False)
    paths = most_probable_paths(log_density, starts_of(lengths), initial, transition)
    moves, firsts = np.zeros((K, K)), np.zeros(K)
    for part in parts_of(lengths):
        total, smoothed, own, best = by_paths(log_density[part], initial, transition)
        assert chained.log_predictive[part].sum() == pytest.approx(total, abs=1e-12)
        np.testing.assert_allclose(chained.shares[part], smoothed, atol=1e-13)
        np.testing.assert_array_equal(paths[part], best)
        for stop in range(part.start + 1, part.stop + 1):
            before = log_density[part.start : stop]
            filtered = by_paths(before, initial, transition)[1][-1]
            np.testing.assert_allclose(present.shares[stop - 1], filtered, atol=1e-13)
        moves, firsts = moves + own, firsts + smoothed[0]
    np.testing.assert_allclose(chained.transitions, moves, atol=1e-12)
    np.testing.assert_allclose(chained.initial, firsts, atol=1e-12)


@pytest.mark.parametrize("lengths", [[300], [50, 3, 1, 7]])
@pytest.mark.parametrize("K", [1, 2, 5])
def test_chains_that_are_passed_side_by_side_are_those_alone(lengths, K):
    rng, starts = generator(7 * len(lengths) + K), starts_of(lengths)
    initial = rng.dirichlet(np.ones(K), 9)
    transition = rng.dirichlet(np.full(K, 0.3), (9, K))
    transition[3] = np.eye(K)  # no other state follows
    transition[5] = 1e-200 * transition[5] + (1.0 - 1e-200) * np.eye(K)
    log_density = 3.0 * rng.normal(size=(9, sum(lengths), K))
    together = forward_backward_of_many(log_density, starts, initial, transition)
    for number, given in enumerate(zip(initial, transition, strict=True)):
        alone = forward_backward(log_density[number], starts, *given)
        for name, values in vars(alone).items():
            np.testing.assert_allclose(getattr(together, name)[number], values, atol=1e-11)


def test_impossible_transitions_and_far_observations_keep_their_digits():
    log_density = np.zeros((8, 2))
    log_density[:2, 1], log_density[2, 0], log_density[3:, 1] = -900.0, -600.0, -300.0
    for transition in ([[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.5, 0.5]]):
        initial, transition = np.array([1.0, 0.0]), np.array(transition)
        total, smoothed, moves, _ = by_paths(log_density, initial, transition)
        chained = forward_backward(log_density, np.array([0]), initial, transition)
        assert chained.log_predictive.sum() == pytest.approx(total, rel=1e-13)
        np.testing.assert_allclose(chained.shares, smoothed, atol=1e-13)
        np.testing.assert_allclose(chained.transitions, moves, atol=1e-12)
        log_density[2, 0] = -6000.0


def test_contradicting_densities_and_transitions_are_the_sum_over_all_paths():
    rng, mended = generator(46, 21), 0
    for _ in range(150):
        K, T = rng.integers(2, 4), rng.integers(3, 7)
        log_density = 700.0 * rng.normal(size=(T, K))
        transition = rng.dirichlet(np.full(K, 0.1), K)
        transition[rng.random((K, K)) < 0.3] = 0.0
        transition[np.diag_indices(K)] += 1e-3
        transition /= transition.sum(axis=1, keepdims=True)
        initial = rng.dirichlet(np.full(K, 0.3))
        # Beside a sequence without evidence.
        both = np.vstack([log_density, np.zeros((40, K))])
        chained = forward_backward(both, np.array([0, T]), initial, transition)
        alone = forward_backward(both[T:], np.array([0]), initial, transition)
        total, smoothed, moves, _ = by_paths(log_density, initial, transition)
        mended += (log_density.max() - log_density.min()) > 700.0
        assert chained.log_predictive[:T].sum() == pytest.approx(total, rel=1e-12)
        np.testing.assert_allclose(chained.shares[:T], smoothed, atol=1e-9)
        np.testing.assert_allclose(chained.transitions - alone.transitions, moves, atol=1e-8)
        np.testing.assert_allclose(chained.shares[T:], alone.shares, atol=1e-13)
    assert mended > 100


@pytest.mark.parametrize("smooth", [False, True])
def test_a_state_that_underflows_may_return_after_many_observations(smooth):
    log_density = np.zeros((1000, 2))
    log_density[0, 1], log_density[1:, 0] = -900.0, -1.0  # the second is better by 99 in all
    chained = forward_backward(log_density, np.array([0]), np.full(2, 0.5), np.eye(2), smooth)
    total = np.logaddexp(*log_density.sum(axis=0)) - np.log(2.0)
    assert chained.log_predictive.sum() == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(chained.shares[-1], [0.0, 1.0], atol=1e-12)
    if smooth:
        np.testing.assert_allclose(chained.shares[0], [0.0, 1.0], atol=1e-12)
        np.testing.assert_allclose(chained.transitions, np.diag([0.0, 999.0]), atol=1e-9)


def test_equal_rows_of_transitions_are_the_mixture():
    rng = generator(1)
    weights = rng.dirichlet(np.ones(3))
    log_density = rng.normal(size=(500, 3))
    chained = forward_backward(log_density, np.array([0, 100]), weights, np.tile(weights, (3, 1)))
    joint = log_density + np.log(weights)
    np.testing.assert_allclose(chained.log_predictive, logsumexp(joint, axis=1), atol=1e-12)
    shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(chained.shares, shares, atol=1e-12)


@pytest.mark.parametrize("n", [100_000, 1_000_000])
def test_long_sequences_do_not_underflow(n):
    rng = generator(2)
    initial, transition = random_chain(rng, 2)
    # One density is constant: the likelihood of both states alike is known.
    log_density = np.repeat(rng.normal(-50.0, 10.0, (n, 1)), 2, axis=1)
    chained = forward_backward(log_density, np.array([0]), initial, transition)
    assert chained.log_predictive.sum() == pytest.approx(log_density[:, 0].sum(), rel=1e-12)
    np.testing.assert_allclose(chained.shares.sum(axis=1), 1.0, atol=1e-10)
    assert chained.transitions.sum() == pytest.approx(n - 1, rel=1e-10)
    steady = stationary_distribution(transition)
    np.testing.assert_allclose(chained.shares[-1], steady, atol=1e-10)


# The allocation


def test_the_kl_divergence_of_a_chain_is_that_of_its_rows():
    rng = generator(3)
    q = DirichletChain(rng.gamma(2.0, size=3), rng.gamma(2.0, size=(3, 3)))
    draws = [rng.dirichlet(row, 200_000) for row in (q.initial, *q.transitions)]

    def log_dirichlet(x, a):
        return gammaln(a.sum()) - gammaln(a).sum() + np.log(x) @ (a - 1.0)

    prior = np.full(3, 1.5)
    pairs = zip(draws, (q.initial, *q.transitions), strict=True)
    ratios = sum(log_dirichlet(x, a) - log_dirichlet(x, prior) for x, a in pairs)
    error = ratios.std() / np.sqrt(len(ratios))
    assert DirichletChainPrior(1.5).kl(q) == pytest.approx(ratios.mean(), abs=5.0 * error)


def test_a_stationary_chain_maximises_its_expected_log_likelihood():
    rng = generator(4)
    sums = ChainSums(rng.gamma(2.0, size=3), 10.0 * rng.gamma(1.0, size=(3, 3)))
    chain = DirichletChainPrior(stationary=True).mode(sums)
    np.testing.assert_allclose(chain.initial @ chain.transition, chain.initial, atol=1e-12)

    def value(transition):
        steady = stationary_distribution(transition)
        return sums.initial @ np.log(steady) + (sums.transitions * np.log(transition)).sum()

    best = value(chain.transition)
    for _ in range(200):
        other = chain.transition * np.exp(0.01 * rng.normal(size=(3, 3)))
        assert value(other / other.sum(axis=1, keepdims=True)) < best


def test_states_are_relabelled_with_their_transitions():
    rng = generator(5)
    chain = MarkovChain(*random_chain(rng, 3))
    order = np.array([2, 0, 1])
    turned = chain.subset(order, np.ones(3))
    log_density = rng.normal(size=(20, 3))
    rows = Rows(np.zeros((20, 1)), side=SideInformation(begins=np.arange(20) == 0))
    joint, permuted = log_density.copy(), log_density[:, order]
    one = chain.allocate(joint, rows).log_normaliser
    np.testing.assert_allclose(turned.allocate(permuted, rows).log_normaliser, one, atol=1e-12)
    np.testing.assert_allclose(permuted, joint[:, order], atol=1e-12)


# Fits


def gaussian_sequences(rng, lengths, missing=False):
    X = rng.normal(size=(sum(lengths), 2)) @ np.array([[1.0, 0.4], [0.0, 0.8]])
    X += 2.5 * rng.integers(0, 2, (len(X), 1))
    if missing:
        X[rng.random(X.shape) < 0.2] = np.nan
        X[3] = np.nan
    return X


FAMILIES = {
    "full": (bm.Gaussian("full"), lambda X: X),
    "tied": (bm.Gaussian("tied"), lambda X: X),
    "diag": (bm.Gaussian("diag"), lambda X: X),
    "VVE": (bm.Gaussian("VVE"), lambda X: X),
    "poisson": (bm.Poisson(), lambda X: np.rint(np.exp(0.5 * X))),
}


def densities(model, X, structure):
    """Log density (n, K) of the observed cells, by SciPy."""
    out = np.zeros((len(X), model.n_components))
    for n, x in enumerate(X):
        seen = ~np.isnan(x)
        for k in range(model.n_components):
            mean = model.means_[k][seen]
            if not seen.any():
                continue
            if isinstance(model.family, bm.Poisson):
                out[n, k] = poisson.logpmf(x[seen], mean).sum()
            else:
                covariance = np.asarray(model.covariances_)
                covariance = covariance if structure == "tied" else covariance[k]
                covariance = np.diag(covariance) if structure == "diag" else covariance
                block = covariance[np.ix_(seen, seen)]
                out[n, k] = multivariate_normal(mean, block).logpdf(x[seen])
    return out


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.slow
def test_fits_of_every_family_are_sums_over_all_paths(name, missing):
    if missing and name == "VVE":
        pytest.skip("takes no missing values")
    rng, lengths = generator(6), (8, 5, 8, 8, 7, 8)
    family, change = FAMILIES[name]
    X = change(gaussian_sequences(rng, lengths, missing))
    model = bm.HiddenMarkovModel(
        2,
        family=family,
        missing="use" if missing else "error",
        random_state=0,
        n_init=2,
        max_iter=30,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, lengths=lengths)
    log_density = densities(model, X, name)
    total = 0.0
    for part in parts_of(lengths):
        own, smoothed, _, best = by_paths(log_density[part], model.startprob_, model.transmat_)
        total += own
        np.testing.assert_allclose(model.predict_proba(X, lengths)[part], smoothed, atol=1e-10)
        viterbi = model.predict(X, lengths, algorithm="viterbi")[part]
        np.testing.assert_array_equal(viterbi, best)
    assert model.log_likelihood_ == pytest.approx(total, rel=1e-10)
    assert model.score_samples(X, lengths).sum() == pytest.approx(total, rel=1e-10)
    assert (np.diff(model.objective_trace_) > -1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("K", "log_likelihood"), [(1, -391.9189), (2, -341.8787), (3, -328.5275), (4, -326.4106)]
)
def test_earthquakes(K, log_likelihood):
    """Zucchini, MacDonald & Langrock 2016; for four states the best optimum is 0.13 nats higher."""
    model = bm.HiddenMarkovModel(K, family=bm.Poisson(), random_state=0).fit(EARTHQUAKES)
    assert model.log_likelihood_ > log_likelihood - 1e-3
    if K < 4:
        assert model.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-3)
    assert model.bic() == pytest.approx(
        -2.0 * model.log_likelihood_ + (K * K + K - 1) * np.log(107)
    )


@pytest.mark.slow
def test_earthquakes_from_the_stationary_distribution():
    """Zucchini, MacDonald & Langrock 2016, table 3.1: -log L of 342.3183 and 329.4603."""
    for K, log_likelihood in ((2, -342.3183), (3, -329.4603)):
        model = bm.HiddenMarkovModel(
            K, family=bm.Poisson(), initial="stationary", random_state=0
        ).fit(EARTHQUAKES)
        assert model.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-4)
        np.testing.assert_allclose(model.startprob_, model.stationary_distribution_)
        assert model.n_parameters_ == K * K


def test_one_state_is_the_exact_evidence_of_the_mixture():
    X = generator(7).normal(size=(40, 2))
    chain = bm.HiddenMarkovModel(1, inference=bm.VariationalBayes(), random_state=0).fit(
        X, lengths=[30, 10]
    )
    mixture = bm.Mixture(1, inference=bm.VariationalBayes(), random_state=0).fit(X)
    assert chain.elbo_ == pytest.approx(mixture.elbo_, rel=1e-12)


@pytest.mark.parametrize("missing", [False, True])
def test_the_bound_is_that_of_all_paths_and_never_falls(missing):
    rng, lengths = generator(8), (8, 6, 8, 8)
    X = gaussian_sequences(rng, lengths, missing)
    model = bm.HiddenMarkovModel(
        2, family=bm.Gaussian("diag"), inference=bm.VariationalBayes(), transition_prior=0.7,
        missing="use" if missing else "error", random_state=0,
    ).fit(X, lengths=lengths)  # fmt: skip
    assert (np.diff(model.objective_trace_) > -1e-9).all()
    result = model.result_
    q, components = result.mixture.weights, result.mixture.components
    initial = np.exp(digamma(q.initial) - digamma(q.initial.sum()))
    transition = np.exp(digamma(q.transitions) - digamma(q.transitions.sum(axis=1, keepdims=True)))
    frame = result.mixture.frame
    expected = np.zeros((len(X), 2))
    for n, x in enumerate(frame.apply(X)):
        seen = np.flatnonzero(~np.isnan(x))
        if len(seen):
            expected[n] = components.seen_in(seen).expected_log_density(x[None, seen])[0]
            expected[n] -= np.log(frame.scale[seen]).sum()
    total = sum(by_paths(expected[part], initial, transition)[0] for part in parts_of(lengths))
    total += result.inference.regulariser(result.mixture)
    assert model.elbo_ == pytest.approx(total, rel=1e-10)


def test_a_missing_observation_is_a_step_without_evidence():
    X = EARTHQUAKES.to_numpy(dtype=float, copy=True)
    model = bm.HiddenMarkovModel(2, family=bm.Poisson(), missing="use", random_state=0).fit(X)
    X = X[:6]
    X[[2, 3]] = np.nan
    filtered = model.filter_proba(X)
    step = model.transmat_
    np.testing.assert_allclose(filtered[3], filtered[1] @ step @ step, atol=1e-12)
    np.testing.assert_allclose(model.score_samples(X)[[2, 3]], 0.0, atol=1e-12)
    ahead = model.forecast(X[:2], 2)
    np.testing.assert_allclose(ahead.state_probabilities[1], filtered[3], atol=1e-12)


@pytest.mark.slow
def test_forecasts_and_pseudo_residuals_of_a_known_model():
    model = bm.HiddenMarkovModel(2, random_state=0)
    rng = generator(10)
    states = (np.arange(600) // 30) % 2
    X = rng.normal(4.0 * states, 1.0)[:, None]
    model.fit(X)
    residuals = model.pseudo_residuals(X)[:, 0]
    # Against the exact distribution functions.
    deviations = np.sqrt(np.ravel(model.covariances_))
    predicted = np.vstack([model.startprob_, model.filter_proba(X)[:-1] @ model.transmat_])
    exact = (predicted * norm.cdf(X, model.means_[:, 0], deviations)).sum(axis=1)
    np.testing.assert_allclose(norm.cdf(residuals), exact, atol=5.0 * 0.5 / np.sqrt(20_000))
    far = model.forecast(X, 500, level=0.8)
    np.testing.assert_allclose(
        far.state_probabilities[-1], model.stationary_distribution_, atol=1e-6
    )
    inside = (far.lower[-1] < X) & (far.upper[-1] > X)
    assert inside.mean() == pytest.approx(0.8, abs=0.05)


def test_samples_follow_the_chain():
    model = bm.HiddenMarkovModel(3, family=bm.Poisson(), random_state=0).fit(EARTHQUAKES)
    X, states = model.sample(20_000, random_state=1)
    moves = np.zeros((3, 3))
    np.add.at(moves, (states[:-1], states[1:]), 1.0)
    rows = moves.sum(axis=1, keepdims=True)
    error = np.sqrt(model.transmat_ * (1.0 - model.transmat_) / rows)
    assert (np.abs(moves / rows - model.transmat_) <= 5.0 * error).all()
    for k in range(3):
        own = X[states == k, 0]
        assert own.mean() == pytest.approx(
            model.means_[k, 0], abs=5.0 * own.std() / len(own) ** 0.5
        )


def test_groups_are_lengths():
    X = EARTHQUAKES.to_numpy()
    groups = np.repeat(["a", "b", "c"], [40, 30, 37])
    model = bm.HiddenMarkovModel(2, family=bm.Poisson(), random_state=0)
    by_groups = model.fit(X, groups=groups).predict_proba(X, groups=groups)
    by_lengths = model.fit(X, lengths=[40, 30, 37]).predict_proba(X, [40, 30, 37])
    np.testing.assert_array_equal(by_groups, by_lengths)


def test_saved_models_predict_the_same(tmp_path):
    for inference in (None, bm.VariationalBayes()):
        model = bm.HiddenMarkovModel(2, family=bm.Poisson(), inference=inference, random_state=0)
        model.fit(EARTHQUAKES).save(tmp_path / "chain.bayesmix")
        loaded = bm.load(tmp_path / "chain.bayesmix")
        np.testing.assert_array_equal(
            loaded.predict_proba(EARTHQUAKES), model.predict_proba(EARTHQUAKES)
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": [100, 5]}, "must sum to the number of samples, 107"),
        ({"lengths": [107, 0]}, "leave out empty sequences"),
        ({"lengths": [53.5, 53.5]}, "must be a sequence of integers"),
        ({"lengths": [107], "groups": [0] * 107}, "not both"),
        ({"groups": [0, 1] * 53 + [0]}, "groups must be contiguous"),
        ({"lengths": [1] * 107}, "use Mixture"),
    ],
)
def test_wrong_sequences_are_refused(arguments, message):
    model = bm.HiddenMarkovModel(2, family=bm.Poisson())
    with pytest.raises(InvalidInputError, match=message):
        model.fit(EARTHQUAKES, **arguments)


def test_what_sequences_do_not_support_is_refused():
    with pytest.raises(InvalidInputError, match="must not be larger than the number of rows"):
        bm.HiddenMarkovModel(200, family=bm.Poisson()).fit(EARTHQUAKES)
    with pytest.raises(UnsupportedError, match="no conjugate prior"):
        bm.HiddenMarkovModel(
            2, family=bm.Poisson(), inference=bm.VariationalBayes(), initial="stationary"
        ).fit(EARTHQUAKES)
    with pytest.raises(InvalidInputError, match="transition_prior needs a fit with a prior"):
        bm.HiddenMarkovModel(2, family=bm.Poisson(), transition_prior=2.0).fit(EARTHQUAKES)
    model = bm.HiddenMarkovModel(
        2, family=bm.Poisson(), inference=bm.VariationalBayes(), random_state=0
    ).fit(EARTHQUAKES)
    found = bm.gibbs(model, EARTHQUAKES, n_draws=2, chains=1)
    for refused in (
        lambda: bm.stability(model, EARTHQUAKES),
        lambda: bm.goodness_of_fit(model, EARTHQUAKES),
        lambda: bm.merge_components(model, EARTHQUAKES),
        lambda: bm.log_evidence(model, EARTHQUAKES),
        lambda: bm.leave_one_out(model, EARTHQUAKES),
        lambda: bm.nested_cv(model, EARTHQUAKES),
        lambda: bm.plot_em_steps(model, EARTHQUAKES),
        lambda: model.impute(EARTHQUAKES),
        lambda: model.assignment_entropy(EARTHQUAKES),
        lambda: model.assignment_interval(EARTHQUAKES),
        lambda: found.co_clustering(),
        lambda: bm.gibbs(model, EARTHQUAKES, n_components=None),
        lambda: bm.gibbs(model, EARTHQUAKES, n_components=3),
        lambda: bm.weighted_bootstrap(model, EARTHQUAKES),
    ):
        with pytest.raises(UnsupportedError, match="sequences"):
            refused()
    with pytest.raises(UnsupportedError, match="sequences"):
        model.partial_fit(EARTHQUAKES)
    point = bm.HiddenMarkovModel(2, family=bm.Poisson(), random_state=0).fit(EARTHQUAKES)
    with pytest.raises(UnsupportedError, match=r"\(HiddenMarkovModel with inference=Variational"):
        point.sample_posterior()


def test_missing_values_do_not_make_samples_independent():
    counts = EARTHQUAKES.astype(float)
    counts.iloc[7] = np.nan
    model = bm.HiddenMarkovModel(2, family=bm.Poisson(), missing="use", random_state=0).fit(counts)
    for refused in (bm.goodness_of_fit, bm.merge_components):
        with pytest.raises(UnsupportedError, match="sequences"):
            refused(model, counts)


@pytest.mark.slow
def test_heavy_tails_and_factors_are_states():
    X = gaussian_sequences(generator(11), (60, 60))
    for family in (bm.StudentT(), bm.FactorAnalytic(1)):
        model = bm.HiddenMarkovModel(2, family=family, n_init=2, random_state=0).fit(
            X, lengths=[60, 60]
        )
        total = model.score_samples(X, [60, 60]).sum()
        assert model.log_likelihood_ == pytest.approx(total, rel=1e-9)
        assert (np.diff(model.objective_trace_) > -1e-9).all()


def test_figures_show_every_state_and_the_probable_transitions():
    model = bm.HiddenMarkovModel(3, family=bm.Poisson(), random_state=0).fit(EARTHQUAKES)
    ax = model.plot(EARTHQUAKES)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "state 1", "state 2", "state 3",
    ]  # fmt: skip
    assert ax.get_ylabel() == "count"
    assert ax.get_xlabel() == "year"
    assert ax.lines[0].get_xdata()[[0, -1]].tolist() == [1900, 2006]
    texts = [text.get_text() for text in model.plot().texts]
    shown = model.transmat_[~np.eye(3, dtype=bool)]
    assert {f"{p:.2f}" for p in shown if p >= 0.005} <= set(texts)
    assert sum(f"{model.expected_durations_[0]:.3g} in a row" in text for text in texts) == 1


def test_probabilities_in_the_graph_are_on_the_arrows_of_their_transitions():
    model = bm.HiddenMarkovModel(2, family=bm.Poisson(), random_state=0).fit(EARTHQUAKES)
    ax = model.plot()
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    ax.figure.canvas.draw()
    for (j, k), arrow in zip(((0, 1), (1, 0)), arrows, strict=True):
        middle = arrow.arrow_patch.get_path().vertices[1]  # of the two ends and the bend
        bend = ax.transData.inverted().transform(
            arrow.arrow_patch.get_transform().transform(middle)
        )
        (label,) = [t for t in ax.texts if t.get_text() == f"{model.transmat_[j, k]:.2f}"]
        assert label.get_position()[1] * bend[1] > 0.0


def test_the_figure_of_several_sequences_has_a_line_for_each():
    model = bm.HiddenMarkovModel(2, family=bm.Poisson(), n_init=2, random_state=0)
    model.fit(EARTHQUAKES, lengths=[50, 57])
    ax = model.plot(EARTHQUAKES, lengths=[50, 57])
    assert [len(line.get_xdata()) for line in ax.lines] == [50, 57, 2]
    search = bm.MixtureSearch(bm.HiddenMarkovModel(family=bm.Poisson()), [2], random_state=0)
    assert bm.plots.plot_states(search.fit(EARTHQUAKES), EARTHQUAKES).get_xlabel() == "year"


def test_the_summary_speaks_of_states_and_prints_the_transitions():
    model = bm.HiddenMarkovModel(2, family=bm.Poisson(), n_init=2, random_state=0)
    text = model.fit(EARTHQUAKES).summary()
    assert "component" not in text
    assert "2 states" in text.splitlines()[0]
    for k, row in enumerate(model.transmat_):
        cells = [str(k + 1), *(f"{p:.3f}" for p in row), f"{1.0 / (1.0 - row[k]):.3g}"]
        assert cells in [line.split() for line in text.splitlines()]
        assert f"{row[k]:.3f}" in model._repr_html_()


def test_criteria_of_new_data_are_those_of_their_sequences():
    model = bm.HiddenMarkovModel(2, family=bm.Poisson(), n_init=2, random_state=0)
    model.fit(EARTHQUAKES, lengths=[50, 57])
    total = model.score_samples(EARTHQUAKES, [50, 57]).sum()
    assert model.aic(EARTHQUAKES, [50, 57]) == pytest.approx(-2.0 * total + 2.0 * 5)
    assert model.bic(EARTHQUAKES, groups=[0] * 50 + [1] * 57) == pytest.approx(model.bic())
    with pytest.raises(InvalidInputError, match="must sum to"):
        model.icl(EARTHQUAKES, [50, 5])


@pytest.mark.parametrize("missing", [False, True])
def test_icl_has_the_most_probable_path_and_icl_soft_the_entropy_of_the_paths(missing):
    rng, lengths = generator(46, 11), (6, 5, 8)
    X = gaussian_sequences(rng, lengths, missing)
    model = bm.HiddenMarkovModel(
        2, missing="use" if missing else "error", random_state=0, n_init=1, max_iter=3
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, lengths=lengths)
    log_density, entropy, log_largest = densities(model, X, "full"), 0.0, 0.0
    for part in parts_of(lengths):
        log_probability = log_paths(log_density[part], model.startprob_, model.transmat_)
        log_probability -= logsumexp(log_probability)
        entropy -= np.exp(log_probability) @ np.maximum(log_probability, -1e300)
        log_largest += log_probability.max()
    sums = model.result_.plug_in_sums
    assert sums.entropy == pytest.approx(entropy, abs=1e-9)
    assert sums.log_largest == pytest.approx(log_largest, abs=1e-9)
    assert model.icl() == pytest.approx(model.bic() - 2.0 * log_largest)


def test_categorical_columns_have_no_means_intervals_and_residuals():
    rng = generator(46, 9)
    X = pd.DataFrame({"word": rng.choice(["u", "v", "w"], 60), "size": rng.normal(size=60)})
    family = bm.Product({"word": bm.Categorical(), "size": bm.Gaussian()})
    model = bm.HiddenMarkovModel(2, family=family, n_init=2, random_state=0).fit(X)
    ahead = model.forecast(X, 2)
    for values in (ahead.mean, ahead.lower, ahead.upper, model.pseudo_residuals(X)):
        assert np.isnan(values[:, 0]).all()
        assert np.isfinite(values[:, 1]).all()


def test_values_outside_the_support_are_refused_before_the_starts():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidInputError, match="X must hold counts"):
            bm.HiddenMarkovModel(2, family=bm.Poisson()).fit([[1.5], [-2.5], [0.5], [3.5]])


def test_the_figure_of_a_categorical_column_has_its_levels():
    X = pd.DataFrame({"word": generator(46, 10).choice(["u", "v", "w"], 60)})
    model = bm.HiddenMarkovModel(2, family=bm.Categorical(), n_init=2, random_state=0).fit(X)
    ax = model.plot(X)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["u", "v", "w"]
    assert ax.lines[0].get_ydata().tolist() == [list("uvw").index(word) for word in X["word"]]


def test_an_impossible_observation_has_no_density_and_the_others_keep_theirs():
    initial, transition = np.array([0.5, 0.5]), np.array([[0.7, 0.3], [0.2, 0.8]])
    log_density = np.log(np.array([[0.5, 0.1], [0.2, 0.6], [0.3, 0.3]]))
    log_density[1] = -np.inf
    chained = forward_backward(log_density, np.array([0, 2]), initial, transition)
    assert np.isneginf(chained.log_predictive).tolist() == [False, True, False]
    assert np.allclose(chained.log_predictive[[0, 2]], np.log([0.3, 0.3]))
    assert np.allclose(chained.shares.sum(axis=1), 1.0, rtol=0.0, atol=1e-15)


def test_an_unseen_level_is_impossible_in_every_criterion():
    seen = pd.DataFrame({"s": pd.Categorical(list("ABACABABCA" * 4), categories=list("ABCD"))})
    new = pd.DataFrame({"s": list("ABD")})
    model = bm.HiddenMarkovModel(2, family=bm.Categorical(), random_state=0).fit(seen)
    assert model.score(new) == -np.inf
    assert [model.bic(new), model.aic(new), model.icl(new)] == [np.inf] * 3


@pytest.mark.parametrize("smooth", [True, False])
def test_probabilities_of_long_chains_lie_within_zero_and_one(smooth):
    rng = np.random.default_rng(5)
    log_density = rng.normal(size=(5000, 3)) * 20.0
    chained = forward_backward(log_density, np.array([0]), *random_chain(rng, 3), smooth)
    assert chained.shares.min() >= 0.0
    assert chained.shares.max() <= 1.0
    assert np.abs(chained.shares.sum(axis=1) - 1.0).max() < 1e-15
