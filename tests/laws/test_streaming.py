"""Rows as they arrive: the bound is that of all rows seen with the responsibilities that they had,
computed here from all rows at once by the slow references; it rises in every revisit.
"""

from itertools import pairwise

import numpy as np
import pytest
from reference import slow_vb as vb
from scipy.special import xlogy
from scipy.stats import multivariate_normal
from sklearn.base import clone

import bayesmix as bm
from bayesmix.em.expectation import CENTRED, LINEAR
from bayesmix.em.model import resolve
from bayesmix.em.run import begin_at
from bayesmix.errors import BayesmixError, InvalidInputError, UnsupportedError
from bayesmix.families.independent.linear import Sums
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.streaming import BatchSums, NamedBatches, Stream, visited
from laws.cases import CASES, GAUSSIAN_CASES, PLAIN, estimator, generator, identity
from laws.cases import soft_assignments as soft

every_case = pytest.mark.parametrize("case", CASES, ids=identity)
every_gaussian = pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)

PLAIN = PLAIN | {"max_iter": 5000}
CENTRES = np.array([[0.0, 0.0], [2.5, 1.0], [-1.0, 3.0]])


def batches(seed, n_batches=5, n_rows=60, centres=CENTRES):
    rng = generator(seed)
    return [
        centres[rng.integers(len(centres), size=n_rows)] + rng.normal(size=(n_rows, 2))
        for _ in range(n_batches)
    ]


def streamed(model, parts, laps=1, named=True):
    """A stream over parts, and the responsibilities that the rows of each had when last visited."""
    frozen = {}
    for lap in range(laps):
        for place, part in enumerate(parts):
            first = lap == place == 0
            seen = clone(model).fit(part) if first else model
            frozen[place] = seen.responsibilities(part)
            model.partial_fit(part, batch=place if named else None)
    return model, np.concatenate([frozen[place] for place in range(len(parts))])


# The bound, from all rows at once


@pytest.mark.parametrize("laps", [1, 3])
@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_the_free_energy_of_em_is_that_of_all_rows_with_their_responsibilities(covariance, laps):
    parts = batches(1)
    model = bm.GaussianMixture(3, covariance_type=covariance, **PLAIN)
    model, q = streamed(model, parts, laps)
    rows = np.concatenate(parts)
    dense = {
        "full": lambda c: c,
        "tied": lambda c: np.array([c] * 3),
        "diag": lambda c: np.array([np.diag(each) for each in c]),
        "spherical": lambda c: np.array([each * np.eye(2) for each in c]),
    }[covariance](model.covariances_)
    log_joint = np.log(model.weights_) + np.column_stack(
        [multivariate_normal(m, c).logpdf(rows) for m, c in zip(model.means_, dense, strict=True)]
    )
    free_energy = (q * log_joint - xlogy(q, q)).sum()
    assert model.lower_bound_ * len(rows) == pytest.approx(free_energy, rel=1e-12)
    np.testing.assert_allclose(model.weights_, q.mean(axis=0), rtol=1e-12)
    assert model.lower_bound_ <= model.score(rows)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("weights", ["dirichlet_distribution", "dirichlet_process"])
@every_gaussian
def test_the_bound_is_that_of_all_rows_with_their_responsibilities(case, weights, named):
    rng = generator(4)
    letters = case.letters(rng, 2) | {"alpha0": 0.7}
    parts = batches(2)
    model = bm.BayesianGaussianMixture(
        3,
        covariance_type=case.covariance,
        weight_concentration_prior_type=weights,
        weight_concentration_prior=letters["alpha0"],
        mean_precision_prior=letters["beta0"],
        mean_prior=letters["m0"],
        degrees_of_freedom_prior=letters["nu0"],
        covariance_prior=case.covariance_prior(letters),
        prune=False,
        **PLAIN,
    )
    model, q = streamed(model, parts, laps=2 if named else 1, named=named)
    rows = np.concatenate(parts)
    kind = {"dirichlet_distribution": "dirichlet", "dirichlet_process": "dp_closed"}[weights]
    expected = vb.m_step(rows, q, case.covariance, kind, letters)
    assert model.elbo_ == pytest.approx(vb.elbo(rows, q, expected, letters), rel=1e-11)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("form", [CENTRED, LINEAR])
@pytest.mark.parametrize(
    "inference", [bm.MaximumLikelihood, bm.MaximumAPosteriori, bm.VariationalBayes]
)
@every_case
def test_batches_visited_at_one_mixture_have_the_objective_of_a_whole_pass(case, inference, form):
    rng = generator(5)
    rows, weights = case.rows(rng, 240, 3), rng.uniform(0.5, 2.0, 240)
    given = estimator(case, 3, inference(), max_iter=3, init_params=soft(rng, 240, 3))
    mixture = given.fit(rows, sample_weight=weights).result_.mixture
    source = ArraySource(rows, weights)
    problem = resolve(given._model(), source, given._settings(given._model(), source))
    whole = begin_at(problem, mixture)
    stream = Stream(mixture)
    parts = np.array_split(np.arange(240), 9)
    for name, part in zip(["a", None, "b", None, None, 3, None, "4", 5], parts, strict=True):
        stream = stream.arrived(visited(source.subset(part), mixture, form), name)
    assert stream.n_batches == 9
    assert stream.bound(problem.objective) == pytest.approx(whole.objective, rel=1e-12, abs=1e-9)
    # The M-step is that of a whole pass as well.
    known = whole.expectation
    updated = problem.objective.update(known, mixture, problem.frame, None)
    again = stream.updated(problem.objective).mixture
    np.testing.assert_allclose(again.components.means, updated.components.means, rtol=1e-10)
    # A batch that comes again at the same mixture changes nothing, to the bit.
    twice = stream.arrived(visited(source.subset(parts[2]), mixture, form), "b")
    assert twice.bound(problem.objective) == stream.bound(problem.objective)
    assert twice.n_batches == 9


def test_at_one_component_the_bound_is_the_evidence_of_all_rows_that_went_by():
    case = GAUSSIAN_CASES[0]
    rng = generator(6)
    letters, parts = case.letters(rng, 2), batches(6)
    model = bm.BayesianGaussianMixture(
        1,
        mean_precision_prior=letters["beta0"],
        mean_prior=letters["m0"],
        degrees_of_freedom_prior=letters["nu0"],
        covariance_prior=case.covariance_prior(letters),
    )
    for part in parts:
        model.partial_fit(part)
    evidence = case.log_evidence(np.concatenate(parts), letters)
    assert model.elbo_ == pytest.approx(evidence, rel=1e-11)


# It rises, and where it ends


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        bm.GaussianMixture(3, **PLAIN),
        bm.GaussianMixture(3, covariance_type="VEI", **PLAIN),
        bm.GaussianMixture(3, prior="auto", covariance_type="tied", **PLAIN),
        bm.BayesianGaussianMixture(6, random_state=0, max_iter=500),
        bm.BayesianGaussianMixture(
            5, prune=False, covariance_type="diag", random_state=0, max_iter=500
        ),
        bm.Mixture(3, inference=bm.VariationalBayes(), family=bm.Gaussian("spherical"), **PLAIN),
    ],
    ids=str,
)
def test_the_bound_rises_in_every_revisit_and_ends_where_a_whole_fit_does(model):
    parts = batches(7, n_rows=150)
    streamed(model, parts, laps=12)
    trace = model.objective_trace_
    assert len(trace) == 11 * len(parts) + 1
    assert min(after - before for before, after in pairwise(trace)) >= -1e-12 * abs(trace[-1])
    rows = np.concatenate(parts)
    assert trace[-1] - trace[0] > 1e-4 * len(rows)
    whole = clone(model).set_params(
        search=None, n_components=model.n_components_, init_params=model.responsibilities(rows)
    )
    assert model.score(rows) == pytest.approx(whole.fit(rows).score(rows), abs=5e-3)


def test_the_bound_falls_when_rows_arrive():
    first, second = batches(8, n_batches=2)
    model = bm.BayesianGaussianMixture(3, random_state=0).partial_fit(first, batch="a")
    alone = model.elbo_
    model.partial_fit(second, batch="b")
    assert model.elbo_ < alone
    assert len(model.objective_trace_) == 1
    assert model.result_.n_rows == 120
    # More rows under a name that is known are rows that arrive.
    model.partial_fit(np.concatenate([first, second]), batch="a")
    assert len(model.objective_trace_) == 1
    assert model.result_.n_rows == 180


# Sums


def plain_sums(value):
    return BatchSums(Sums(np.array([value]), np.array([[value]])), value, *[np.ones(1)] * 2, 1, 1.0)


def test_a_tree_of_sums_does_not_know_in_which_order_batches_came():
    rng = generator(11)
    for size in range(1, 20):
        values = rng.normal(size=size) * 10.0 ** rng.integers(-9, 9, size)
        names = tuple(range(size))
        tree = NamedBatches()
        for name in names:
            tree = tree.put(name, plain_sums(rng.normal()))
        for name in rng.permutation(size):
            tree = tree.put(int(name), plain_sums(values[name]))
        fresh = NamedBatches()
        for name in names:
            fresh = fresh.put(name, plain_sums(values[name]))
        (total,), (expected,) = tree.total, fresh.total
        assert total.free == expected.free == in_pairs(list(values))
        assert total.statistics.counts == expected.statistics.counts
        assert tree.names == names


def in_pairs(values):
    """Σ in a binary tree of neighbours."""
    while len(values) > 1:
        pairs = [values[i : i + 2] for i in range(0, len(values), 2)]
        values = [p[0] + p[1] if len(p) == 2 else p[0] for p in pairs]
    return values[0]


def test_batches_without_a_name_leave_no_more_sums_than_their_number_has_digits():
    stream = Stream(None)
    for number in range(1, 200):
        stream = stream.arrived(plain_sums(float(number)), None)
        assert len(stream.unnamed) == number.bit_count()
        assert stream.total.free == number * (number + 1) / 2


# Components that go, and that drift


def test_a_stream_that_forgets_follows_its_data():
    step = np.array([0.25, 0.0])
    moving = [batches(20 + t, 1, 400, CENTRES[:2] + t * step)[0] for t in range(20)]
    ways = {}
    for forgetting in (None, 0.5):
        model = bm.GaussianMixture(2, random_state=0)
        for place, part in enumerate(moving):
            model.partial_fit(part, forgetting=forgetting if place else None)
        ways[forgetting] = model.score(moving[-1])
    assert ways[0.5] > ways[None] + 0.3
    # What is left of n rows a batch where half is forgotten each time: n + n/2 + n/4 + ...
    assert model.result_.total_weight == pytest.approx(800.0, rel=1e-5)


# Files, refusals


@pytest.mark.parametrize("case", [GAUSSIAN_CASES[1], *CASES[-2:]], ids=identity)
def test_a_saved_stream_goes_on_to_the_same_bits(case, tmp_path):
    rng = generator(15)
    parts = [case.rows(rng, 80, 3) for _ in range(6)]
    model = estimator(case, 2, bm.VariationalBayes(), max_iter=5000)
    for place, part in enumerate(parts[:4]):
        model.partial_fit(part, batch=f"part {place}" if place % 2 else None)
    model.save(tmp_path / "stream")
    loaded = bm.load(tmp_path / "stream")
    assert loaded.elbo_ == model.elbo_
    for each in (model, loaded):
        each.partial_fit(parts[4], batch="part 1").partial_fit(parts[5])
    assert loaded.elbo_ == model.elbo_
    np.testing.assert_array_equal(loaded.means_, model.means_)


def test_what_a_stream_does_not_know_it_refuses_with_what_to_do():
    first, second = batches(16, n_batches=2)
    model = bm.GaussianMixture(3, random_state=0).partial_fit(first).partial_fit(second)
    rows = np.concatenate([first, second])
    assert np.isnan(model.log_likelihood_)
    with pytest.raises(UnsupportedError, match=r"bic\(\) of a stream .* Pass data, bic\(X\)"):
        model.bic()
    by_hand = -2.0 * model.score_samples(rows).sum() + model.result_.n_parameters * np.log(120)
    assert model.bic(rows) == pytest.approx(by_hand)
    assert "free energy" in repr(model.result_)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 1.5}, "batch must be a string or an integer"),
        ({"batch": True}, "batch must be a string or an integer"),
        ({"y": "a"}, "y must be None, got 'a': name a batch with batch='a'"),
        ({"forgetting": 1.0}, "forgetting must be a number between 0 and 1"),
        ({"forgetting": 0.1, "batch": "a"}, "forgetting must be None in a stream with named"),
        ({"X": np.zeros((3, 5))}, "5 features"),
        ({"X": np.full((3, 2), 1e140)}, "is singular .* the stream is unchanged"),
    ],
)
def test_what_is_refused_leaves_a_stream_as_it_was(arguments, message):
    first, second = batches(17, n_batches=2)
    model = bm.GaussianMixture(2, random_state=0).partial_fit(first)
    before = dict(model.__dict__)
    with pytest.raises(BayesmixError, match=message):
        model.partial_fit(**({"X": second} | arguments))
    assert model.__dict__ == before


def test_a_stream_says_what_its_first_batch_needs():
    rows = batches(18)[0]
    model = bm.GaussianMixture(3, random_state=0)
    with pytest.raises(InvalidInputError, match=r"at least 9 rows, .*in the first batch"):
        model.partial_fit(rows[:8])
    assert not hasattr(model, "result_")
    constant = np.column_stack([rows, np.ones(len(rows))])
    with (
        pytest.warns(bm.errors.FlatDirectionWarning),
        pytest.raises(InvalidInputError, match="vary in every direction in the first batch"),
    ):
        model.partial_fit(constant)
    assert not hasattr(model, "result_")
    with pytest.warns(bm.errors.BayesmixWarning, match="partial_fit begins a new stream"):
        model.fit(rows[:30]).partial_fit(rows)
    assert model.result_.n_rows == len(rows)
