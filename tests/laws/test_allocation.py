"""How samples choose components is one protocol: weights, known labels, and a Markov chain.

The chain is written here, of the protocol alone, and compared with the sum over all paths: what the
engine promises to any allocation.
"""

from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.special import digamma, gammaln, logsumexp
from scipy.stats import norm

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Allocated, Rows, SideInformation
from bayesmix.em.model import Model, Settings, resolve
from bayesmix.em.run import Aitken, Monitor, begin_at, run
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.sources.memory import ArraySource
from laws.cases import PLAIN, generator

K = 3


@dataclass(frozen=True)
class ChainCounts:
    """Expected first states (K,) and transitions (K, K)."""

    first: np.ndarray
    moves: np.ndarray

    def __add__(self, other):
        return ChainCounts(self.first + other.first, self.moves + other.moves)

    def pack(self):
        return np.append(self.first, self.moves)

    def unpack(self, vector):
        return ChainCounts(vector[:K], vector[K:].reshape(K, K))


@dataclass(frozen=True)
class Chain:
    """A hidden Markov chain by the expected logarithms of its probabilities."""

    log_first: np.ndarray
    log_moves: np.ndarray
    concentration: ChainCounts | None = None
    n_components = K

    def expected_log(self):
        return np.zeros(K)

    def mean(self):
        return np.full(K, 1 / K)

    def allocate(self, joint, rows: Rows):
        starts = np.append(np.flatnonzero(rows.side.begins), len(rows))
        log_normaliser, counts = np.empty(len(rows)), ChainCounts(np.zeros(K), np.zeros((K, K)))
        for start, stop in pairwise(starts):
            log_normaliser[start:stop], own = self._sequence(joint[start:stop])
            counts += own
        return Allocated(log_normaliser, counts)

    def _sequence(self, joint):
        """Forward and backward recursions (Rabiner 1989), in logarithms."""
        n = len(joint)
        ahead, back, predictive = np.empty((n, K)), np.zeros((n, K)), np.empty(n)
        before = self.log_first
        for t in range(n):
            ahead[t] = before + joint[t]
            predictive[t] = logsumexp(ahead[t])
            ahead[t] -= predictive[t]
            before = logsumexp(ahead[t][:, None] + self.log_moves, axis=0)
        for t in range(n - 2, -1, -1):
            back[t] = logsumexp(self.log_moves + joint[t + 1] + back[t + 1], axis=1)
            back[t] -= predictive[t + 1]
        moves = np.zeros((K, K))
        for t in range(n - 1):
            log_moves = ahead[t][:, None] + self.log_moves + joint[t + 1] + back[t + 1]
            moves += np.exp(log_moves - predictive[t + 1])
        joint[:] = np.exp(ahead + back)
        return predictive, ChainCounts(joint[0].copy(), moves)


@dataclass(frozen=True)
class ChainPrior:
    """Dirichlet priors of the first state and of each row of the transitions (Beal 2003)."""

    alpha: float = 1.0
    name = "chain"

    def mode(self, counts):
        with np.errstate(divide="ignore"):
            rows = counts.moves / counts.moves.sum(axis=1, keepdims=True)
            return Chain(np.log(counts.first / counts.first.sum()), np.log(rows))

    def posterior(self, counts):
        q = ChainCounts(counts.first + self.alpha, counts.moves + self.alpha)
        log_moves = digamma(q.moves) - digamma(q.moves.sum(axis=1, keepdims=True))
        return Chain(digamma(q.first) - digamma(q.first.sum()), log_moves, q)

    def kl(self, chain):
        rows = [*zip(chain.concentration.moves, chain.log_moves, strict=True)]
        rows.append((chain.concentration.first, chain.log_first))
        return sum(
            gammaln(a.sum()) - gammaln(a).sum() - gammaln(K * self.alpha) + K * gammaln(self.alpha)
            + (a - self.alpha) @ log_p
            for a, log_p in rows
        )  # fmt: skip


def sequences(rng, lengths=(8, 5, 8)):
    """Rows (n, 1) of a few short sequences, and where each of them begins."""
    begins = np.zeros(sum(lengths), dtype=bool)
    begins[np.cumsum((0, *lengths[:-1]))] = True
    return rng.normal(size=(len(begins), 1)) + 3.0 * rng.integers(0, K, (len(begins), 1)), begins


def random_chain(rng):
    return Chain(np.log(rng.dirichlet(np.ones(K))), np.log(rng.dirichlet(np.ones(K), K)))


def by_paths(chain, log_density):
    """Log likelihood, responsibilities and counts of one sequence: a sum over all K^n paths."""
    paths = np.array(list(product(range(K), repeat=len(log_density))))
    log_joint = chain.log_first[paths[:, 0]] + log_density[np.arange(len(log_density)), paths].sum(
        1
    )
    log_joint += chain.log_moves[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    total = logsumexp(log_joint)
    weights = np.exp(log_joint - total)
    one_hot = np.eye(K)[paths]
    responsibilities = np.einsum("p,pnk->nk", weights, one_hot)
    moves = np.einsum("p,pnj,pnk->jk", weights, one_hot[:, :-1], one_hot[:, 1:])
    return total, responsibilities, moves


@pytest.mark.parametrize("seed", range(3))
def test_a_markov_chain_is_the_sum_over_all_paths(seed):
    rng = generator(seed)
    rows, begins = sequences(rng)
    chain = random_chain(rng)
    log_density = norm.logpdf(rows, [0.0, 3.0, 6.0])
    joint = log_density.copy()
    allocated = chain.allocate(joint, Rows(rows, side=SideInformation(begins=begins)))
    ends = np.append(np.flatnonzero(begins), len(rows))
    total, moves = 0.0, np.zeros((K, K))
    for start, stop in pairwise(ends):
        one, shares, own = by_paths(chain, log_density[start:stop])
        np.testing.assert_allclose(joint[start:stop], shares, atol=1e-12)
        total, moves = total + one, moves + own
    assert allocated.log_normaliser.sum() == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(allocated.statistics.moves, moves, atol=1e-12)


def chain_run(rng, prior, inference, passes, accelerate=False):
    """A run of a Gaussian chain by the ordinary engine, from a random mixture."""
    rows, begins = sequences(rng, (8,) * 30)
    source = ArraySource(rows, side=SideInformation(begins=begins))
    settings = Settings(Aitken(), accelerate=accelerate)
    problem = resolve(Model(K, Gaussian("full"), inference), source, settings)
    problem = replace(problem, objective=replace(problem.objective, weights=prior))
    start = bm.GaussianMixture(K, **PLAIN).fit(rows).result_.mixture
    components = problem.family.maximum_likelihood(
        problem.family.statistics(
            problem.frame.apply(rows), start.responsibilities(start.frame.apply(rows))[0]
        ),
        None, None, problem.frame,
    )  # fmt: skip
    if problem.objective.variational:
        shares, _ = start.responsibilities(start.frame.apply(rows))
        sums = problem.family.statistics(problem.frame.apply(rows), shares)
        components = problem.objective.parameters_prior.posterior(sums)
        chain = prior.posterior(ChainCounts(np.ones(K), np.ones((K, K))))
    else:
        chain = random_chain(rng)
    state = begin_at(problem, Mixture(chain, components, problem.frame))
    return rows, begins, run(problem, state, Monitor(), passes)


@pytest.mark.parametrize("accelerate", [False, True])
def test_em_of_a_chain_never_lets_the_likelihood_fall(accelerate):
    _, _, state = chain_run(generator(1), ChainPrior(), bm.MaximumLikelihood(), 40, accelerate)
    trace = np.array(state.trace)
    assert len(trace) > 5
    assert (np.diff(trace) > -1e-9).all()
    assert trace[-1] > trace[0] + 1.0
    expected = state.expectation
    assert expected.allocation.first.sum() == pytest.approx(30)
    np.testing.assert_allclose(expected.allocation.moves.sum(), 30 * 7)


def test_the_bound_of_a_chain_never_falls_and_is_below_the_likelihood_of_its_mode():
    _, _, state = chain_run(generator(2), ChainPrior(), bm.VariationalBayes(), 40)
    trace = np.array(state.trace)
    assert len(trace) > 5
    assert (np.diff(trace) > -1e-9).all()
    assert state.objective < state.expectation.log_normaliser


def test_equal_transitions_are_the_mixture():
    rng = generator(3)
    rows, begins = sequences(rng)
    weights = rng.dirichlet(np.ones(K))
    chain = Chain(np.log(weights), np.log(np.tile(weights, (K, 1))))
    log_density = norm.logpdf(rows, [0.0, 3.0, 6.0])
    joint, mixed = log_density.copy(), log_density + np.log(weights)
    ours = chain.allocate(joint, Rows(rows, side=SideInformation(begins=begins))).log_normaliser
    theirs = PointWeights(weights).allocate(mixed, Rows(rows)).log_normaliser
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    np.testing.assert_allclose(joint, mixed, atol=1e-12)


def test_blocks_end_between_sequences():
    begins = np.zeros(100, dtype=bool)
    begins[[0, 10, 47, 48, 90]] = True
    blocks = Rows(np.zeros((100, 1)), side=SideInformation(begins=begins)).blocks(20)
    assert [(block.first, len(block)) for block in blocks] == [(0, 47), (47, 43), (90, 10)]
    assert all(block.side.begins[0] for block in blocks)


# Known labels


def labelled(labels, inference, prior, passes=30):
    rows = np.concatenate([generator(4).normal(-1, 1, (40, 2)), generator(5).normal(1, 1, (40, 2))])
    source = ArraySource(rows, side=SideInformation(labels=labels))
    problem = resolve(Model(2, Gaussian("full"), inference), source, Settings(Aitken()))
    problem = replace(
        problem, objective=replace(problem.objective, weights=prior), accelerate=False
    )
    sums = problem.family.statistics(problem.frame.apply(rows), np.repeat(np.eye(2), 40, axis=0))
    if problem.objective.variational:
        components = problem.objective.parameters_prior.posterior(sums)
        weights = prior.posterior(np.array([40.0, 40.0]))
    else:
        components = problem.family.maximum_likelihood(sums, None, None, problem.frame)
        weights = PointWeights(np.array([0.5, 0.5]))
    state = begin_at(problem, Mixture(weights, components, problem.frame))
    return run(problem, state, Monitor(), passes)


INFERENCES = [
    (bm.MaximumLikelihood(), FreeWeights()),
    (bm.VariationalBayes(), DirichletPrior(1.0)),
]
every_inference = pytest.mark.parametrize(("inference", "prior"), INFERENCES, ids=["em", "vb"])


@every_inference
def test_unknown_labels_change_no_bit(inference, prior):
    without = labelled(None, inference, prior)
    unknown = labelled(np.full(80, -1), inference, prior)
    assert without.trace == unknown.trace


@every_inference
def test_soft_labels_of_0_and_1_are_hard_labels(inference, prior):
    labels = np.full(80, -1)
    labels[[0, 5, 50, 70]] = [0, 1, 1, 0]
    soft = np.zeros((80, 2))
    soft[[0, 5, 50, 70], [1, 0, 0, 1]] = -np.inf
    np.testing.assert_allclose(
        labelled(labels, inference, prior).trace, labelled(soft, inference, prior).trace, rtol=1e-13
    )


@every_inference
def test_known_labels_are_where_the_samples_are(inference, prior):
    labels = np.repeat([0, 1], 40)
    labels[::3] = -1
    labels[1], labels[50] = 1, 0  # two samples on the wrong side
    state = labelled(labels, inference, prior)
    assert (np.diff(state.trace) > -1e-9).all()
    mixture = state.mixture
    rows = np.concatenate([generator(4).normal(-1, 1, (40, 2)), generator(5).normal(1, 1, (40, 2))])
    shares, _ = mixture.responsibilities(
        mixture.frame.apply(rows), Rows(rows, side=SideInformation(labels=labels))
    )
    known = labels >= 0
    np.testing.assert_array_equal(shares[known].argmax(axis=1), labels[known])
    np.testing.assert_allclose(shares[known].max(axis=1), 1.0, rtol=1e-15)


def test_all_labels_known_the_counts_are_those_of_the_labels():
    labels = np.repeat([0, 1], (30, 50))
    state = labelled(labels, bm.MaximumLikelihood(), FreeWeights())
    np.testing.assert_allclose(state.expectation.counts, [30.0, 50.0], rtol=1e-13)


# Groups


def grouped(sizes, inference, prior, passes=30):
    """A run on pairs of clusters whose samples share components within groups."""
    sizes = np.array(sizes)
    rng = generator(6)
    means = np.repeat(rng.choice([-1.0, 1.5], len(sizes)), sizes)
    rows = means[:, None] + rng.normal(size=(len(means), 2))
    begins = np.zeros(len(rows), dtype=bool)
    begins[np.cumsum(sizes) - sizes] = True
    source = ArraySource(rows, side=SideInformation(begins=begins, grouped=True))
    problem = resolve(Model(2, Gaussian("full"), inference), source, Settings(Aitken()))
    problem = replace(
        problem, objective=replace(problem.objective, weights=prior), accelerate=False
    )
    shares = (rows[:, :1] > 0) @ np.array([[1.0, -1.0]]) + np.array([[0.0, 1.0]])
    sums = problem.family.statistics(problem.frame.apply(rows), shares)
    if problem.objective.variational:
        components = problem.objective.parameters_prior.posterior(sums)
        weights = prior.posterior(np.array([10.0, 8.0]))
    else:
        components = problem.family.maximum_likelihood(sums, None, None, problem.frame)
        weights = PointWeights(np.array([0.5, 0.5]))
    state = begin_at(problem, Mixture(weights, components, problem.frame))
    return rows, begins, run(problem, state, Monitor(), passes)


@every_inference
def test_groups_share_their_component(inference, prior):
    rows, begins, state = grouped([3, 1, 4, 2, 5] * 8, inference, prior)
    assert (np.diff(state.trace) > -1e-9).all()
    mixture = state.mixture
    framed = mixture.frame.apply(rows)
    side = SideInformation(begins=begins, grouped=True)
    shares, log_normaliser = mixture.responsibilities(framed, Rows(rows, side=side))
    log_density = mixture.components.expected_log_density(framed)
    starts = np.flatnonzero(begins)
    joint = np.add.reduceat(log_density, starts, axis=0) + mixture.weights.expected_log()
    total = logsumexp(joint, axis=1)
    assert log_normaliser.sum() == pytest.approx(total.sum(), rel=1e-12)
    posterior = np.exp(joint - total[:, None])
    np.testing.assert_allclose(shares[starts], posterior, atol=1e-12)
    np.testing.assert_allclose(state.expectation.of_allocation, posterior.sum(axis=0), rtol=1e-9)
    assert state.expectation.counts.sum() == pytest.approx(len(rows))


@every_inference
def test_groups_of_one_sample_are_the_mixture(inference, prior):
    _, _, state = grouped([1] * 60, inference, prior)
    rows, _, _ = grouped([1] * 60, inference, prior, passes=1)
    source = ArraySource(rows)
    problem = resolve(Model(2, Gaussian("full"), inference), source, Settings(Aitken()))
    problem = replace(
        problem, objective=replace(problem.objective, weights=prior), accelerate=False
    )
    plain = run(problem, begin_at(problem, state.mixture), Monitor(), 0)
    assert plain.objective == pytest.approx(state.objective, rel=1e-13)
