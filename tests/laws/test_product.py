"""Products of families: the laws of components, of the bound and of evidence, over mixed tables."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import exact
from scipy import stats

import bayesmix as bm
from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import CENTRED, LINEAR, ExpectationStep
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.successes import BetaPrior
from bayesmix.sources.memory import ArraySource

from .cases import PLAIN, BernoulliCase, GaussianCase, PoissonCase, generator, soft_assignments

pytestmark = pytest.mark.filterwarnings("ignore:.*did not converge")

# The last and the first column are a Gaussian block; counts and an answer lie between.
FAMILY = bm.Product({(3, 0): bm.Gaussian("full"), 1: bm.Poisson(), 2: bm.Bernoulli()})
PARTS = [([3, 0], GaussianCase("full")), ([1], PoissonCase()), ([2], BernoulliCase())]
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=15)


def mixed_rows(rng, n, K=3, apart=2.0):
    """Rows of K components, and their labels."""
    labels = rng.integers(0, K, n)
    rows = np.empty((n, 4))
    rows[:, [3, 0]] = rng.normal(size=(n, 2)) @ [[1.0, 0.4], [0.0, 0.7]]
    rows[:, [3, 0]] += apart * labels[:, None] * [3.0, -1.0]
    rows[:, 1] = rng.poisson(1.0 + apart * labels)
    rows[:, 2] = rng.random(n) < (1.0 + labels) / (K + 1.0)
    return rows, labels


def point(rng, n_components):
    parts = tuple(case.point(rng, n_components, len(own)) for own, case in PARTS)
    statistics = FAMILY.statistics(np.ones((5, 4)), soft_assignments(rng, 5, n_components))
    return FAMILY.maximum_likelihood(statistics).__class__(FAMILY.layout, parts)


def letters_of(rng):
    return [case.letters(rng, len(own)) for own, case in PARTS]


def prior_of(letters):
    pairs = zip(PARTS, letters, strict=True)
    keys = ("3, 0", "1", "2")
    return bm.ProductPrior(
        dict(zip(keys, (case.choice(own) for (_, case), own in pairs), strict=True))
    )


def fit(rows, inference=None, K=3, family=FAMILY, **options):
    options = {"prune": False, "random_state": 0, "n_jobs": 1} | options
    return bm.Mixture(K, family=family, inference=inference, **options).fit(rows)


def variational(letters, **weights):
    return bm.VariationalBayes(prior_of(letters), bm.DirichletPrior(1.3))


@quick
@given(seeds, st.integers(1, 4))
def test_the_density_is_the_product_of_scipys(seed, n_components):
    rng = generator(seed)
    components, (rows, _) = point(rng, n_components), mixed_rows(rng, 9)
    expected = sum(
        case.log_density_by_scipy(part, rows[:, own])
        for part, (own, case) in zip(components.parts, PARTS, strict=True)
    )
    np.testing.assert_allclose(components.expected_log_density(rows), expected, rtol=1e-11)
    np.testing.assert_allclose(components.linear.expected_log_density(rows), expected, rtol=1e-9)


@quick
@given(seeds, st.integers(1, 4))
def test_both_arithmetics_of_an_e_step_give_the_same_sums(seed, n_components):
    rng = generator(seed)
    rows, _ = mixed_rows(rng, 50)
    weights = rng.uniform(0.2, 2.0, 50)
    mixture = Mixture(
        PointWeights(rng.dirichlet(np.ones(n_components))),
        point(rng, n_components),
        Frame.identity(4),
    )
    centred, linear = (
        ExpectationStep(mixture, arithmetic)(Rows(rows, weights)).finished()
        for arithmetic in (CENTRED, LINEAR)
    )
    assert linear.log_normaliser == pytest.approx(centred.log_normaliser, rel=1e-10)
    np.testing.assert_allclose(
        linear.statistics.pack(), centred.statistics.pack(), rtol=1e-8, atol=1e-8
    )
    loss = mixture.components.linear.loss(linear.statistics)
    assert abs(linear.log_normaliser - centred.log_normaliser) <= loss


@quick
@given(seeds)
def test_statistics_of_a_union_are_the_sum_and_pack_to_vectors(seed):
    rng = generator(seed)
    rows, _ = mixed_rows(rng, 40)
    shares = soft_assignments(rng, 40, 3)
    whole = FAMILY.statistics(rows, shares)
    halves = FAMILY.statistics(rows[:15], shares[:15]) + FAMILY.statistics(rows[15:], shares[15:])
    again = whole.unpack(whole.pack())
    twice = FAMILY.statistics(np.repeat(rows, 2, 0), np.repeat(shares, 2, 0))
    for one, other in ((whole, halves), (whole, again), (whole.scaled(2.0), twice)):
        np.testing.assert_allclose(other.pack(), one.pack(), rtol=1e-9, atol=1e-9)
    assert np.broadcast_shapes(whole.units().shape, whole.pack().shape) == whole.pack().shape
    parted = type(whole).joined([whole.subset([0]), whole.subset([1, 2])])
    np.testing.assert_array_equal(parted.pack(), whole.pack())
    both = whole.merged(0, 2)
    np.testing.assert_allclose(both.counts, [whole.counts[0] + whole.counts[2], whole.counts[1]])


@pytest.mark.parametrize("inference", [None, bm.MaximumAPosteriori(), bm.VariationalBayes()])
def test_the_objective_never_falls_and_the_parts_are_found(inference):
    rng = generator(5)
    rows, labels = mixed_rows(rng, 300)
    m = fit(rows, inference, search=None, init_params="random", max_iter=40)
    trace, cuts = m.objective_trace_, m.result_.segments
    for first, last in zip(cuts, [*cuts[1:], len(trace)], strict=True):
        assert (np.diff(trace[first:last]) > -1e-12 * len(rows) * 20.0).all()
    found = fit(rows, inference)
    agree = pd.crosstab(found.predict(rows), labels).max(axis=1).sum() / len(rows)
    assert agree > 0.95
    assert found.result_.objective >= m.result_.objective - 1e-6


def test_at_one_component_the_bound_is_the_exact_evidence():
    rng = generator(2)
    rows, _ = mixed_rows(rng, 12)
    letters = letters_of(rng)
    m = fit(rows, variational(letters), K=1)
    parts = zip(PARTS, letters, strict=True)
    expected = sum(case.log_evidence(rows[:, own], mine) for (own, case), mine in parts)
    assert m.elbo_ == pytest.approx(expected, rel=1e-11)


def enumerated(rng, n=7, K=2):
    """Rows of few, a fit to them, and what enumeration of all assignments says."""
    rows, _ = mixed_rows(rng, n, K)
    letters = letters_of(rng)

    def of_component(mine):
        parts = zip(PARTS, letters, strict=True)
        return sum(case.log_evidence(mine[:, own], said) for (own, case), said in parts)

    family = exact.independent_family(of_component, K)
    weights = exact.dirichlet_weights(1.3)
    evidence = exact.log_evidence(rows, K, family, weights)
    together = exact.co_clustering(exact.enumerate_assignments(rows, K, family, weights))
    return rows, fit(rows, variational(letters), K=K), evidence, together


@pytest.mark.slow
def test_evidence_and_gibbs_agree_with_enumeration_on_tiny_data():
    rows, m, evidence, together = enumerated(generator(3))
    found = bm.log_evidence(m, rows, n_draws=1000)
    assert m.elbo_ < evidence
    assert abs(found.estimate - evidence) < 4.0 * found.standard_error + 0.02
    g = bm.gibbs(m, rows, n_draws=1000, chains=2, random_state=1, progress=False)
    # 2,000 draws, at least half of them as good as independent: 0.07 is four standard errors.
    assert np.abs(g.co_clustering() - together).max() < 0.07


def test_one_component_of_two_blocks_is_the_block_diagonal_result():
    rng = generator(4)
    rows = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)) + 5.0
    family = bm.Product({(0, 2): bm.Gaussian("full"), (1, 3): bm.Gaussian("full")})
    m = fit(rows, K=1, family=family)
    covariance = np.cov(rows.T, bias=True)
    covariance[np.ix_([0, 2], [1, 3])] = covariance[np.ix_([1, 3], [0, 2])] = 0.0
    expected = stats.multivariate_normal(rows.mean(axis=0), covariance).logpdf(rows)
    np.testing.assert_allclose(m.score_samples(rows), expected, rtol=1e-9)
    np.testing.assert_allclose(m.result_.unframed.covariances[0], covariance, rtol=1e-10)
    assert m.result_.n_parameters == 4 + 3 + 3


DIAGONAL = bm.GaussianPrior(np.zeros(3), 0.3, 4.0, np.array([1.0, 2.0, 0.5]))


@pytest.mark.parametrize("inference", ["ml", "map", "vb"])
def test_diagonal_blocks_on_split_columns_are_one_diagonal_gaussian(inference):
    rng = generator(6)
    rows = rng.normal(size=(90, 3)) + 3.0 * rng.integers(0, 2, 90)[:, None]
    start = soft_assignments(rng, 90, 2)
    halves = {
        key: bm.GaussianPrior(np.zeros(len(own)), 0.3, 4.0, DIAGONAL.covariance[own])
        for key, own in (("2, 0", [2, 0]), ("1", [1]))
    }
    split = bm.Product({(2, 0): bm.Gaussian("diag"), 1: bm.Gaussian("diag")})
    methods = {
        "ml": lambda prior: bm.MaximumLikelihood(),
        "map": lambda prior: bm.MaximumAPosteriori(prior, bm.DirichletPrior(1.3)),
        "vb": lambda prior: bm.VariationalBayes(prior, bm.DirichletPrior(1.3)),
    }
    options = {"K": 2, "init_params": start, "max_iter": 12, **PLAIN}
    one = fit(rows, methods[inference](DIAGONAL), family=bm.Gaussian("diag"), **options)
    two = fit(rows, methods[inference](bm.ProductPrior(halves)), family=split, **options)
    np.testing.assert_allclose(two.objective_trace_, one.objective_trace_, rtol=1e-10)
    np.testing.assert_allclose(two.score_samples(rows), one.score_samples(rows), rtol=1e-9)
    np.testing.assert_allclose(two.predict_proba(rows), one.predict_proba(rows), atol=1e-9)
    assert two.result_.n_parameters == one.result_.n_parameters


def test_units_of_continuous_columns_change_no_assignment_and_shift_the_likelihood():
    rng = generator(7)
    rows, _ = mixed_rows(rng, 200)
    scaled = rows * [1000.0, 1.0, 1.0, 0.25]
    one, two = fit(rows), fit(scaled)
    np.testing.assert_allclose(two.predict_proba(scaled), one.predict_proba(rows), atol=1e-6)
    shift = len(rows) * np.log(1000.0 * 0.25)
    assert two.log_likelihood_ == pytest.approx(one.log_likelihood_ - shift, rel=1e-9)


def test_marginals_and_conditionals_are_one_density():
    rng = generator(8)
    rows, _ = mixed_rows(rng, 200)
    for inference in (None, bm.VariationalBayes()):
        m = fit(rows, inference)
        joint = m.score_samples(rows[:5])
        given = m.marginal([1, 0])
        for row, expected in zip(rows[:5], joint, strict=True):
            known = given.score_samples(row[None, [1, 0]])[0]
            rest = m.conditional({1: row[1], 0: row[0]}).score_samples(row[None, [2, 3]])[0]
            assert known + rest == pytest.approx(expected, rel=1e-9)
        means = m.conditional_mean(rows[:5][:, [1, 0]], [1, 0])
        for row, mean in zip(rows[:5], means, strict=True):
            part = m.conditional({1: row[1], 0: row[0]})
            np.testing.assert_allclose(part.means_.T @ part.weights_, mean, rtol=1e-9)
        chance = m.marginal([2]).score_samples([[0.0], [1.0]])
        assert np.exp(chance).sum() == pytest.approx(1.0)


def test_samples_have_the_moments_of_the_density():
    rng = generator(9)
    rows, _ = mixed_rows(rng, 300)
    m = fit(rows)
    drawn, labels = m.sample(40_000, random_state=1)
    assert set(np.unique(drawn[:, 2])) == {0.0, 1.0}
    for k in range(3):
        own, size = drawn[labels == k], (labels == k).sum()
        mean, spread = m.result_.unframed.means[k], m.result_.unframed.deviations[k]
        assert (np.abs(own.mean(axis=0) - mean) < 5.0 * spread / np.sqrt(size)).all()


def test_a_constant_column_is_set_aside_in_its_part():
    rng = generator(10)
    rows, _ = mixed_rows(rng, 200)
    wide = np.column_stack([rows, np.full(200, 7.0)])
    family = bm.Product({1: bm.Poisson(), (3, 4, 0): bm.Gaussian("full"), 2: bm.Bernoulli()})
    with pytest.warns(bm.errors.FlatDirectionWarning, match="'3, 4, 0'"):
        m = fit(wide, family=family)
    one = fit(rows)
    np.testing.assert_allclose(m.predict_proba(wide), one.predict_proba(rows), atol=1e-6)
    np.testing.assert_allclose(m.result_.unframed.means[:, 4], 7.0)
    assert m.result_.n_parameters == one.result_.n_parameters
    two = bm.Product({(0, 4): bm.Gaussian(), 3: bm.Gaussian(), 1: bm.Poisson(), 2: bm.Bernoulli()})
    with pytest.raises(InvalidInputError, match="products of several continuous parts"):
        fit(wide, family=two)


def test_a_component_on_tied_rows_is_moved_or_held():
    rng = generator(11)
    rows, _ = mixed_rows(rng, 120, apart=0.0)
    rows[:20, [3, 0]] = rows[0, [3, 0]]
    labels = np.where(np.arange(120) < 20, 1, 0)
    with pytest.warns(bm.errors.BayesmixWarning):
        m = fit(rows, K=2, init_params=labels, max_iter=200)
    assert {event.kind for event in m.result_.events} & {"relocated", "held"}
    assert np.isfinite(m.score_samples(rows)).all()


def test_far_rows_have_probabilities():
    rng = generator(12)
    rows, _ = mixed_rows(rng, 200)
    far = rows[:4].copy()
    far[:, 0] = [1e10, -1e160, 1e200, 3.0]
    for inference in (None, bm.VariationalBayes()):
        shares = fit(rows, inference).predict_proba(far)
        np.testing.assert_allclose(shares.sum(axis=1), 1.0)


def test_columns_are_found_by_name_in_any_order():
    rng = generator(13)
    rows, _ = mixed_rows(rng, 150)
    frame = pd.DataFrame(rows, columns=["a", "eggs", "wet", "b"])
    named = bm.Product({("b", "a"): bm.Gaussian(), "eggs": bm.Poisson(), "wet": bm.Bernoulli()})
    m, plain = fit(frame, family=named), fit(rows)
    np.testing.assert_array_equal(m.predict_proba(frame), plain.predict_proba(rows))
    assert m.result_.mixture.components.layout.labels == ("b, a", "eggs", "wet")
    with pytest.raises(InvalidInputError, match="'wet' is in no part"):
        fit(frame, family=bm.Product({("b", "a"): bm.Gaussian(), "eggs": bm.Poisson()}))
    with pytest.raises(InvalidInputError, match="'a' is in two parts"):
        fit(
            frame,
            family=bm.Product({("b", "a"): bm.Gaussian(), ("a", "wet", "eggs"): bm.Poisson()}),
        )
    with pytest.raises(InvalidInputError, match="got 'bill'"):
        fit(frame, family=bm.Product({"bill": bm.Gaussian()}))
    wrong = frame.assign(eggs=frame["eggs"] + 0.5)
    with pytest.raises(InvalidInputError, match="column 'eggs'"):
        fit(wrong, family=named)


@pytest.mark.parametrize("parts", [{}, {"a": "gaussian"}, {("a", 1.5): bm.Gaussian()}])
def test_what_is_no_part_is_refused(parts):
    with pytest.raises(InvalidInputError):
        bm.Product(parts)
    with pytest.raises(UnsupportedError):
        bm.Product({"a": bm.Product({"a": bm.Gaussian()})})


def test_a_prior_of_a_part_that_is_not_there_is_refused():
    rows, _ = mixed_rows(generator(14), 50)
    prior = bm.ProductPrior({"5": BetaPrior()})
    with pytest.raises(InvalidInputError, match="prior must name parts"):
        fit(rows, bm.VariationalBayes(prior))


def test_a_saved_product_predicts_the_same(tmp_path):
    rows, _ = mixed_rows(generator(15), 150)
    for number, inference in enumerate((None, bm.MaximumAPosteriori(), bm.VariationalBayes())):
        m = fit(rows, inference)
        m.save(tmp_path / f"{number}.bayesmix")
        loaded = bm.load(tmp_path / f"{number}.bayesmix")
        np.testing.assert_array_equal(loaded.score_samples(rows), m.score_samples(rows))
        assert repr(loaded.family) == repr(m.family)


def test_threads_and_chunks_change_no_bit():
    rows, _ = mixed_rows(generator(16), 6000)
    source = ArraySource(rows, np.ones(6000), 2)
    one, two = fit(rows, n_jobs=1), fit(source, n_jobs=2)
    np.testing.assert_array_equal(two.objective_trace_, one.objective_trace_)


def test_what_holds_one_family_only_is_refused_with_what_to_do():
    rows, _ = mixed_rows(generator(17), 100)
    m = fit(rows, bm.VariationalBayes())
    with pytest.raises(UnsupportedError, match=r"bayesmix\.gibbs give named draws"):
        m.sample_posterior()


@pytest.mark.parametrize("gaps", [False, True])
def test_parts_of_one_kind_give_in_one_product_what_each_gives_alone(gaps):
    rng, n = generator(18), 60
    levels = tuple((tuple(range(size)),) for size in (3, 2, 12, 40))
    families = {d: bm.Categorical(own) for d, own in enumerate(levels)}
    families |= {4: bm.Poisson(), 5: bm.Gaussian(), 6: bm.Poisson(), 7: bm.Bernoulli()}
    columns = [rng.integers(0, size, n) for size in (3, 2, 12, 40)]
    columns += [rng.poisson(3, n), rng.normal(size=n), rng.poisson(1, n), rng.integers(0, 2, n)]
    rows = np.column_stack(columns).astype(float)
    inference, family = bm.VariationalBayes(), bm.Product(families)
    m = bm.Mixture(2, family=family, inference=inference, prune=False, random_state=0)
    posterior = m.fit(rows).result_.mixture.components
    if gaps:
        rows[rng.random(rows.shape) < 0.3] = np.nan
    shares = np.asfortranarray(soft_assignments(rng, n, 2))
    density, sums = posterior.linear.seen(rows) if gaps else CENTRED.densities(posterior, rows)
    alone = [
        part.linear.seen(own) if gaps else CENTRED.densities(part, own)
        for part, own in zip(posterior.parts, posterior.layout.split(rows), strict=True)
    ]
    np.testing.assert_allclose(density, sum(own for own, _ in alone), rtol=1e-12)
    for together, (_, of_part) in zip(sums(shares).parts, alone, strict=True):
        np.testing.assert_allclose(together.pack(), of_part(shares).pack(), atol=1e-12)


def test_discrete_columns_of_one_family_in_one_part_have_the_same_density():
    rng, n = generator(19), 50
    families = {0: bm.Categorical([(0, 1, 2)]), 1: bm.Poisson(), 2: bm.Categorical([(0, 1)])}
    families |= {3: bm.Gaussian(), 4: bm.Poisson()}
    columns = [rng.integers(0, 3, n), rng.poisson(2, n), rng.integers(0, 2, n), rng.normal(size=n)]
    rows = np.column_stack([*columns, rng.poisson(1, n)]).astype(float)
    family = bm.Product(families)
    joined = family.over(None, 5).by_kind()
    assert [part.columns for part in joined.parts] == [(0, 2), (1, 4), (3,)]
    fits = [bm.Mixture(1, family=own).fit(rows) for own in (family, joined)]
    np.testing.assert_allclose(*(m.score_samples(rows) for m in fits), rtol=1e-12)
