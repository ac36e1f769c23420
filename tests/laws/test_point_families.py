"""Families without a conjugate prior: the laws that hold at a point, each for every family.

Densities are SciPy's, statistics add up, maximum likelihood is stationary, fits never get worse,
missing values are factors that are left out, and saved models predict the same.
"""

import warnings
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
from scipy import special, stats
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.independent.levels import Levels
from bayesmix.families.negative_binomial import (
    LARGEST_OF_FIT,
    OverdispersedCounts,
    most_likely_sizes,
)
from bayesmix.families.ordinal import most_likely
from bayesmix.families.zero_inflated import ZeroInflatedPoissons, rates_of_positive
from laws.cases import arrays_of, assert_same, generator, identity, soft_assignments

PLAIN = {"random_state": 0, "n_jobs": 1}


@dataclass(frozen=True)
class OrdinalCase:
    degree: int = 2
    numbers = (5, 3)
    discrete = True

    @property
    def name(self):
        return f"ordinal of degree {self.degree}"

    @property
    def family(self):
        return bm.Ordinal([range(number) for number in self.numbers], self.degree)

    def rows(self, rng, n, groups=1):
        up = np.linspace(0.2, 0.8, groups)[rng.integers(groups, size=n)]
        return rng.binomial(np.array(self.numbers) - 1, up[:, None], (n, 2)).astype(float)

    def point(self, rng, n_components):
        reading = Levels(self.numbers)
        totals = rng.gamma(1.0, 5.0, (n_components, sum(self.numbers)))
        return most_likely(totals, reading, None, self.degree)

    def log_density(self, point, rows):
        """A softmax of the definition, by SciPy."""
        out, first = np.zeros((len(rows), len(point.slopes))), 0
        for d, number in enumerate(self.numbers):
            scores = np.arange(number) - (number - 1) / 2
            squares = scores**2 - (scores**2).mean()
            for k in range(len(point.slopes)):
                logits = point.intercepts[first : first + number] + point.slopes[k, d] * scores
                logs = special.log_softmax(logits + point.curvatures[k, d] * squares)
                out[:, k] += logs[rows[:, d].astype(int)]
            first += number
        return out

    def nudged(self, point, rng, size):
        moved = {
            name: getattr(point, name) + size * rng.normal(size=getattr(point, name).shape)
            for name in ("intercepts", "slopes", "curvatures")[: 1 + self.degree]
        }
        return replace(point, **moved)

    def support(self):
        return np.array(list(product(*map(range, self.numbers))), dtype=float)


@dataclass(frozen=True)
class NegativeBinomialCase:
    name = "negative_binomial"
    discrete = True
    family = bm.NegativeBinomial()

    def rows(self, rng, n, groups=1):
        rates = np.geomspace(2.0, 30.0, groups)[rng.integers(groups, size=n)][:, None] * [1.0, 0.5]
        return rng.poisson(rates * rng.gamma(2.0, 0.5, (n, 2))).astype(float)

    def point(self, rng, n_components):
        rates = rng.uniform(0.3, 9.0, (n_components, 2))
        return OverdispersedCounts(rates, np.exp(rng.uniform(0.0, 7.0, rates.shape)))

    def log_density(self, point, rows):
        chance = point.sizes / (point.sizes + point.rates)
        return stats.nbinom.logpmf(rows[:, None], point.sizes, chance).sum(axis=2)

    def nudged(self, point, rng, size):
        turns = np.exp(size * rng.normal(size=(2, *point.rates.shape)))
        return OverdispersedCounts(point.rates * turns[0], point.sizes * turns[1])

    def support(self):
        return np.array(list(product(range(200), repeat=2)), dtype=float)


@dataclass(frozen=True)
class ZeroInflatedCase:
    name = "zero_inflated_poisson"
    discrete = True
    family = bm.ZeroInflatedPoisson()

    def rows(self, rng, n, groups=1):
        rates = np.geomspace(2.0, 30.0, groups)[rng.integers(groups, size=n)][:, None] * [1.0, 0.5]
        return rng.poisson(rates) * (rng.random((n, 2)) < [0.6, 0.9]).astype(float)

    def point(self, rng, n_components):
        shape = (n_components, 2)
        return ZeroInflatedPoissons(rng.uniform(0.05, 0.9, shape), rng.uniform(0.3, 9.0, shape))

    def log_density(self, point, rows):
        share = point.extra_zeros
        rest = np.log1p(-share) + stats.poisson.logpmf(rows[:, None], point.rates)
        zeros = np.where(rows[:, None] == 0.0, np.log(share), -np.inf)
        return np.logaddexp(rest, zeros).sum(axis=2)

    def nudged(self, point, rng, size):
        turns = size * rng.normal(size=(2, *point.rates.shape))
        share = special.expit(special.logit(point.extra_zeros) + turns[0])
        return ZeroInflatedPoissons(share, point.rates * np.exp(turns[1]))

    def support(self):
        return np.array(list(product(range(60), repeat=2)), dtype=float)


CASES = (OrdinalCase(), OrdinalCase(1), NegativeBinomialCase(), ZeroInflatedCase())
every_case = pytest.mark.parametrize("case", CASES, ids=identity)


@every_case
def test_the_density_is_scipys_and_sums_to_one(case):
    point = case.point(generator(1), 3)
    rows = case.rows(generator(2), 40)
    expected = case.log_density(point, rows)
    np.testing.assert_allclose(point.expected_log_density(rows), expected, rtol=1e-10, atol=1e-10)
    total = np.exp(point.expected_log_density(case.support())).sum(axis=0)
    np.testing.assert_allclose(total, 1.0, atol=1e-9)


@every_case
def test_means_and_deviations_are_those_of_draws(case):
    point = case.point(generator(3), 2)
    rows = point.draw(np.array([0, 20_000]), generator(4))
    error = point.deviations[1] / np.sqrt(20_000)
    assert (np.abs(rows.mean(axis=0) - point.means[1]) < 5.0 * error).all()
    np.testing.assert_allclose(rows.std(axis=0), point.deviations[1], rtol=0.15)


@every_case
def test_statistics_add_up_scale_and_unpack(case):
    rng = generator(5)
    rows, shares = case.rows(rng, 50), soft_assignments(rng, 50, 3)
    whole = case.family.statistics(rows, shares)
    parts = [case.family.statistics(rows[own], shares[own]) for own in np.split(np.arange(50), [7])]
    assert_same(parts[0] + parts[1], whole, rtol=1e-12)
    twice = case.family.statistics(np.vstack([rows, rows]), np.vstack([shares, shares]))
    assert_same(whole.scaled(2.0), twice, rtol=1e-12)
    assert_same(whole.unpack(whole.pack()), whole, rtol=0.0)
    joined = type(whole).joined([whole.subset(np.array([2])), whole.subset(np.array([0, 1]))])
    assert_same(joined, whole.subset(np.array([2, 0, 1])), rtol=0.0)


@every_case
def test_maximum_likelihood_is_stationary_and_permutes(case):
    rng = generator(6)
    rows, shares = case.rows(rng, 80, groups=2), soft_assignments(rng, 80, 2)
    best = case.family.maximum_likelihood(case.family.statistics(rows, shares))

    def value(point):
        return (shares * case.log_density(point, rows)).sum()

    top = value(best)
    for turn in range(4):
        forth, back = (value(case.nudged(best, generator(7, turn), size)) for size in (1e-4, -1e-4))
        assert abs(forth - back) / 2e-4 < 1e-3
        assert max(forth, back) <= top + 1e-9
        assert value(case.nudged(best, generator(8, turn), 0.05)) < top
    turned = case.family.maximum_likelihood(case.family.statistics(rows, shares[:, ::-1]))
    assert_same(turned, best.subset(np.array([1, 0])), rtol=1e-6, atol=1e-8)


@every_case
def test_a_component_without_rows_has_finite_parameters(case):
    rows = case.rows(generator(9), 30)
    shares = np.column_stack([np.ones(30), np.zeros(30)])
    point = case.family.maximum_likelihood(case.family.statistics(rows, shares))
    assert all(np.isfinite(array).all() for array in arrays_of(point).values())
    assert np.isfinite(point.expected_log_density(rows)).all()


@every_case
@pytest.mark.parametrize("acceleration", [None, "auto"])
def test_the_objective_never_falls_and_is_the_log_likelihood(case, acceleration):
    rows = case.rows(generator(10), 150, groups=2)
    start = soft_assignments(generator(11), 150, 2)
    model = bm.Mixture(
        2,
        family=case.family,
        inference=bm.MaximumLikelihood(),
        init_params=start,
        search=None,
        acceleration=acceleration,
        max_iter=500,
        **PLAIN,
    )
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit(rows)
    trace = model.objective_trace_
    assert np.diff(trace).min() >= -1e-12 * np.abs(trace).max()
    joint = case.log_density(model.result_.unframed, rows) + np.log(model.weights_)
    total = np.logaddexp.reduce(joint, axis=1).sum()
    assert model.log_likelihood_ == pytest.approx(total, rel=1e-10)


@every_case
def test_missing_values_are_factors_that_are_left_out(case):
    rng = generator(12)
    rows = case.rows(rng, 120, groups=2)
    rows[:30, 0], rows[30:60, 1] = np.nan, np.nan
    model = bm.Mixture(2, family=case.family, missing="use", **PLAIN).fit(rows)
    point = model.result_.unframed
    joint = np.log(model.weights_) + np.zeros((120, 2))
    for d in range(2):
        seen = ~np.isnan(rows[:, d])
        joint[seen] += point.marginal(np.array([d])).expected_log_density(rows[seen][:, [d]])
    expected = np.logaddexp.reduce(joint, axis=1)
    np.testing.assert_allclose(model.score_samples(rows), expected, rtol=1e-9)


@every_case
def test_products_saved_files_weights_and_bootstrap(case, tmp_path):
    rng = generator(13)
    rows = np.column_stack([case.rows(rng, 150, groups=2), rng.normal(size=150)])
    own = case.family.marginal(np.array([0])), case.family.marginal(np.array([1]))
    family = bm.Product({0: own[0], 1: own[1], 2: bm.Gaussian()})
    model = bm.Mixture(2, family=family, **PLAIN).fit(rows)
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    assert len(model.sample(5)[0]) == 5
    counts = rng.integers(1, 4, 150)
    alone = bm.Mixture(1, family=case.family, **PLAIN)
    weighted = alone.fit(rows[:, :2], sample_weight=counts).log_likelihood_
    repeated = alone.fit(np.repeat(rows[:, :2], counts, axis=0)).log_likelihood_
    assert weighted == pytest.approx(repeated, rel=1e-9)
    refits = bm.weighted_bootstrap(alone.fit(rows[:, :2]), rows[:, :2], 5)
    assert refits.standard_deviations.means.shape[0] == 1


@every_case
def test_fits_under_a_prior_are_refused_by_name(case):
    rows = case.rows(generator(14), 40)
    has_posterior = case.family.has_posterior
    inference = bm.MaximumAPosteriori() if has_posterior else bm.VariationalBayes()
    with pytest.raises(UnsupportedError, match="use inference="):
        bm.Mixture(1, family=case.family, inference=inference).fit(rows)


# Ordinal


def test_two_levels_are_a_bernoulli_and_three_are_free():
    rng = generator(20)
    for number in (2, 3):
        totals = rng.gamma(1.0, 9.0, (4, number))
        point = most_likely(totals, Levels((number,)), None, 2)
        free = totals / totals.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(point.probabilities, free, rtol=1e-6)


def test_one_class_has_the_shares_of_all_levels_and_the_parameters_of_as_many():
    totals = generator(21).gamma(1.0, 9.0, (1, 6))
    for degree in (1, 2):
        point = most_likely(totals, Levels((6,)), None, degree)
        np.testing.assert_allclose(point.probabilities, totals / totals.sum(), rtol=1e-6)
        assert bm.Ordinal([range(6)], degree).n_parameters(1, 1) == 5
    assert bm.Ordinal([range(6), range(3)], 1).n_parameters(4, 2) == 4 * 2 + 4 + 1
    assert bm.Ordinal([range(6), range(3), range(2)]).n_parameters(4, 3) == 4 * 5 + 3


def test_an_update_from_the_last_one_never_falls_and_ends_at_the_maximum():
    """The levels of the columns differ in number, and one level of a class is empty."""
    totals, reading = generator(23).gamma(0.4, 9.0, (3, 12)), Levels((5, 3, 4))
    totals[0, 1] = 0.0
    totals, later = totals + 1e-3, totals[::-1] + 1e-3
    for degree in (1, 2):
        point, best = (most_likely(sums, reading, None, degree) for sums in (totals, later))
        values = [np.vdot(later, point.log_probabilities)]
        for _ in range(30):
            point = most_likely(later, reading, point, degree)
            values.append(np.vdot(later, point.log_probabilities))
        assert np.diff(values).min() > -1e-10
        np.testing.assert_allclose(point.probabilities, best.probabilities, rtol=1e-6, atol=1e-9)
        again = point.subset(np.arange(3))  # computed anew
        np.testing.assert_allclose(again.log_probabilities, point.log_probabilities, atol=1e-12)


def ratings(seed, n=300):
    """Three classes of answers from 1 to 5 to six questions."""
    rng = generator(seed)
    own = rng.integers(0, 3, n)
    up = np.array([0.12, 0.5, 0.88])[own]
    return rng.binomial(4, up[:, None], (n, 6)) + 1, own


def test_the_coding_changes_nothing_and_all_answers_in_one_cell_stay_finite():
    rows, _ = ratings(22)
    rows[rows[:, 0] < 4, 0] = 3
    fits = [
        bm.Mixture(3, family="ordinal", **PLAIN).fit(coded)
        for coded in (rows, rows - 1, rows * 10, rows / 2)
    ]
    for model in fits[1:]:
        assert model.log_likelihood_ == fits[0].log_likelihood_
    assert fits[2].levels_[1] == (10, 20, 30, 40, 50)
    assert np.isfinite(fits[0].result_.unframed.log_probabilities).all()
    assert np.abs(fits[0].result_.unframed.slopes).max() < 50.0


def test_the_default_is_the_mode_with_one_further_observation_in_each_column_and_class():
    rows, _ = ratings(23)
    model = bm.Mixture(1, family="ordinal", **PLAIN).fit(rows)
    assert model.result_.inference.name == "maximum_a_posteriori"
    for d in range(6):
        counts = np.bincount(rows[:, d] - 1, minlength=5) + 0.2
        own = model.result_.unframed.marginal(np.array([d])).probabilities[0]
        np.testing.assert_allclose(own, counts / counts.sum(), rtol=1e-6)


def test_select_finds_three_classes_of_ratings_that_differ_by_slopes_only():
    rows, own = ratings(24)  # binomial: logits of levels are linear in the scores
    search = bm.select(rows, (2, 3, 4), family="ordinal")
    assert search.n_components_ == 3
    assert search.best_estimator_.family == bm.Ordinal(degree=1)
    table = np.zeros((3, 3))
    np.add.at(table, (own, search.predict(rows)), 1.0)
    assert table.max(axis=1).sum() > 0.95 * len(rows)


def test_a_search_over_ratings_keeps_free_probabilities_where_levels_have_no_order():
    rng = generator(25)
    own = rng.integers(0, 2, 300)
    away = np.array([[0.45, 0.05, 0.05, 0.45], [0.05, 0.45, 0.05, 0.45]])
    rows = np.stack([[rng.choice(4, p=away[k]) for _ in range(8)] for k in own])
    search = bm.select(rows, (1, 2, 3), family="ordinal")
    assert search.n_components_ == 2
    assert search.best_estimator_.family == bm.Categorical()
    by_family = {type(one).__name__ for one in search.results_["family"]}
    assert by_family == {"Ordinal", "Categorical"}


def test_ratings_have_degree_1_or_2():
    with pytest.raises(InvalidInputError, match="degree must be 1 or 2, got 3"):
        bm.Ordinal(degree=3)
    assert repr(bm.Ordinal(degree=1)) == "Ordinal(degree=1)"
    assert repr(bm.Categorical([("a", "b")])) == "Categorical(levels=(('a', 'b'),))"


# Counts


def test_sizes_solve_the_equation_or_are_the_poisson_limit():
    rng = generator(30)
    rows = np.column_stack([rng.negative_binomial(2.5, 0.1, 400), rng.binomial(10, 0.5, 400)])
    model = bm.Mixture(1, family=bm.NegativeBinomial(), **PLAIN).fit(rows)
    point = model.result_.unframed
    np.testing.assert_allclose(point.rates[0], rows.mean(axis=0), rtol=1e-12)
    (size, limit), mean = point.sizes[0], rows[:, 0].mean()
    rate = np.mean(special.digamma(size + rows[:, 0])) - special.digamma(size)
    assert rate + np.log(size / (size + mean)) == pytest.approx(0.0, abs=1e-9)
    poisson = stats.poisson.logpmf(rows[:, 1], rows[:, 1].mean()).sum()
    own = model.marginal([1]).score_samples(rows[:, [1]]).sum()
    assert limit > 1e8
    assert own == pytest.approx(poisson, abs=1e-4)


def test_counts_that_are_all_zero_or_all_equal_have_finite_fits():
    for value in (0.0, 7.0):
        for family in (bm.NegativeBinomial(), bm.ZeroInflatedPoisson()):
            model = bm.Mixture(1, family=family, **PLAIN).fit(np.full((20, 1), value))
            expected = 20.0 * stats.poisson.logpmf(value, value)
            assert model.log_likelihood_ == pytest.approx(expected, abs=1e-4)
    tables = np.zeros((1, 1, 1001))
    tables[0, 0, [0, 1000]] = 1e6, 1.0
    assert 0.0 < most_likely_sizes(tables, np.full((1, 1), 1e-3), np.ones((1, 1)))[0, 0] < 1e-3


def test_rates_of_positive_counts_solve_their_equation():
    means = np.array([1.0, 1.0 + 1e-12, 1.0 + 1e-6, 1.2, 3.0, 40.0, 1e5])
    rates = rates_of_positive(means)
    assert rates[0] == 0.0
    np.testing.assert_allclose(rates[1:] / -np.expm1(-rates[1:]), means[1:], rtol=1e-12)
    np.testing.assert_allclose(rates[1:3], 2.0 * (means[1:3] - 1.0), rtol=1e-5)


def test_an_inflated_count_is_one_class_and_fewer_zeros_than_a_poisson_are_a_poisson():
    rng = generator(31)
    rows = rng.poisson(4.0, (500, 1)) * (rng.random((500, 1)) < 0.6)
    search = bm.select(rows, family="zero_inflated_poisson")
    assert search.n_components_ == 1
    few = rng.poisson(4.0, (400, 1))
    few = few[few[:, 0] > 0][:, :1]
    model = bm.Mixture(1, family="zero_inflated_poisson", **PLAIN).fit(few)
    assert model.result_.unframed.extra_zeros[0, 0] == 0.0
    assert model.means_[0, 0] == pytest.approx(few.mean())


def test_overdispersed_replaces_poisson_parts_only():
    family = bm.Product({"a": bm.Poisson(), "b": bm.Gaussian()})
    other = bm.overdispersed(family)
    assert [part.family for part in other.parts] == [bm.NegativeBinomial(), bm.Gaussian()]
    assert bm.overdispersed(bm.Gaussian()) == bm.Gaussian()


def test_counts_too_large_for_tables_and_values_that_are_no_counts_are_refused():
    for family in (bm.NegativeBinomial(), bm.ZeroInflatedPoisson()):
        with pytest.raises(InvalidInputError, match=r"counts .* got 1.5"):
            bm.Mixture(1, family=family).fit([[1.0], [1.5]])
    with pytest.raises(InvalidInputError, match="up to 100,000 for a negative binomial"):
        bm.Mixture(1, family="negative_binomial").fit([[1.0], [LARGEST_OF_FIT + 1.0]])
