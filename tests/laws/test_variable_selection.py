"""Variable selection: evidence by independent formulas, brute force, and known answers."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.errors import (
    BayesmixError,
    InvalidInputError,
    SelectionWarning,
    UndefinedError,
    UnsupportedError,
)
from bayesmix.estimators.searching.feature_selection import nearer_to_normal
from bayesmix.numerics.arrays import without_gaps
from bayesmix.relevance.dependence import (
    factor_model,
    joint_evidence,
    joint_evidence_under,
    priors,
)
from bayesmix.relevance.relevance import FeatureTable, at, log_prior, over_sets, settled
from bayesmix.sources.memory import summarise


def table_of(values, family, weights=None):
    values = np.asarray(values, dtype=float)
    summary = summarise(values, weights, 1)
    frame = family.frame(summary)
    own = np.ones(len(values)) if weights is None else weights
    return FeatureTable(frame.apply(values), own, family, summary, frame)


def one_after_another(values, predictive):
    """Log evidence by the chain rule, from the predictive density given earlier observations."""
    return sum(predictive(values[:i], values[i]) for i in range(len(values)))


def normal_predictive(table, d):
    prior = table.prior
    m0, b0, nu0 = prior.mean[d], prior.mean_precision, prior.degrees_of_freedom
    s0 = prior.scale.mean[0, d]

    def predictive(x, new):
        n, mean = len(x), np.mean(x) if len(x) else 0.0
        b, nu = b0 + n, nu0 + n
        m = (b0 * m0 + n * mean) / b
        s = s0 + ((x - mean) ** 2).sum() + b0 * n / b * (mean - m0) ** 2
        return stats.t.logpdf(new, nu, m, np.sqrt(s / nu * (b + 1) / b))

    return predictive


def poisson_predictive(table, d):
    a, b = table.prior.shape, table.prior.rate[d]
    return lambda x, new: stats.nbinom.logpmf(new, a + sum(x), (b + len(x)) / (b + len(x) + 1.0))


def exponential_predictive(table, d):
    a, b = table.prior.shape, table.prior.rate[d]
    return lambda x, new: stats.lomax.logpdf(new, a + len(x), scale=b + sum(x))


def bernoulli_predictive(table, d):
    return lambda x, new: np.log((1.0 + sum(x == new)) / (2.0 + len(x)))


def categorical_predictive(table, d):
    n_levels = len(table.family.levels[d])
    mass = n_levels - 1.0  # one observation for each free share
    return lambda x, new: np.log((mass / n_levels + sum(x == new)) / (mass + len(x)))


GENERATOR = np.random.default_rng(20261125)
CASES = {
    "normal": (bm.Gaussian("diag"), GENERATOR.normal(3.0, 2.0, (12, 2)), normal_predictive),
    "counts": (bm.Poisson(), GENERATOR.poisson(4.0, (12, 2)), poisson_predictive),
    "times": (bm.Exponential(), GENERATOR.exponential(2.0, (12, 2)), exponential_predictive),
    "binary": (bm.Bernoulli(), GENERATOR.integers(0, 2, (12, 2)), bernoulli_predictive),
    "levels": (
        bm.Categorical(((0, 1, 2), (0, 1))),
        np.column_stack([GENERATOR.integers(0, 3, 12), GENERATOR.integers(0, 2, 12)]),
        categorical_predictive,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_evidence_of_a_feature_is_the_product_of_predictive_densities(name):
    family, values, predictive_of = CASES[name]
    table = table_of(values, family)
    halves = np.repeat(np.eye(2), 6, axis=0)
    for d in range(2):
        column, predictive = table.values[:, d], predictive_of(table, d)
        whole = one_after_another(column, predictive)
        split = sum(one_after_another(part, predictive) for part in (column[:6], column[6:]))
        gain = table.evidence(halves)[d] - table.evidence_of_one[d]
        assert gain == pytest.approx(split - whole, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n_components", [2, 3, 5])
def test_copies_of_a_component_count_once(name, n_components):
    family, values, _ = CASES[name]
    table = table_of(np.tile(values, (10, 1)), family)
    copies = np.full((len(table.values), n_components), 1.0 / n_components)
    assert table.relabellings(copies) == pytest.approx(0.0, abs=1e-9)
    empty = np.zeros_like(copies)
    empty[:, 0] = 1.0  # the others equal the prior
    assert table.relabellings(empty) == pytest.approx(np.log(n_components), abs=0.1)


def test_components_apart_count_in_every_order():
    groups = np.arange(90) % 3
    values = 50.0 * groups[:, None] + np.random.default_rng(74).normal(size=(90, 2))
    table = table_of(values, bm.Gaussian("diag"))
    shares = np.eye(3)[groups]
    assert table.relabellings(shares) == pytest.approx(np.log(6.0), abs=1e-6)
    assert table.relabellings(shares[:, :1]) == 0.0


def test_both_forms_at_one_component_are_the_bound_of_an_ordinary_fit():
    values = np.random.default_rng(1).normal(5.0, 3.0, (40, 3))
    table = table_of(values, bm.Gaussian("diag"))
    prior = bm.GaussianPrior(
        mean=table.summary.centre,
        mean_precision=table.prior.mean_precision,
        degrees_of_freedom=table.prior.degrees_of_freedom,
        covariance=table.summary.scale**2,
    )
    fit = bm.Mixture(1, family=bm.Gaussian("diag"), inference=bm.VariationalBayes(prior=prior))
    bound = fit.fit(values).elbo_ + 40 * table.frame.log_volume
    assert table.evidence_of_one.sum() == pytest.approx(bound, abs=1e-8)
    assert table.evidence(np.ones((40, 1))).sum() == pytest.approx(bound, abs=1e-8)


def test_log_normal_features_have_the_evidence_of_their_logarithms():
    values = np.random.default_rng(2).lognormal(0.0, 1.0, (30, 2))
    halves = np.repeat(np.eye(2), 15, axis=0)
    positive = table_of(values, bm.LogNormal())
    normal = table_of(np.log(values), bm.Gaussian("diag"))
    gains = [each.evidence(halves) - each.evidence_of_one for each in (positive, normal)]
    # Both priors are centred at the median and scaled by quartiles, which commute with log at odd
    # ranks only.
    assert gains[0] == pytest.approx(gains[1], abs=0.05)


def brute_force(table, features):
    """Exact log evidence of two components that differ in some features, over all labellings."""
    n = len(table.values)
    others = np.setdiff1d(np.arange(table.n_features), features)
    total = []
    for labels in itertools.product((0, 1), repeat=n):
        hard = np.eye(2)[list(labels)]
        counts = hard.sum(axis=0)
        prior = gammaln(2) - gammaln(2 + n) + gammaln(1 + counts).sum()
        total.append(prior + table.evidence(hard)[features].sum())
    return logsumexp(total) + table.evidence_of_one[others].sum()


def test_the_bound_is_below_the_exact_evidence_and_the_set_is_the_best_of_all():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(9, 3))
    values[5:, 0] += 6.0
    table = table_of(values, bm.Gaussian("diag"))
    for _ in range(5):
        responsibilities = rng.dirichlet([1.0, 1.0], 9)
        state = at(table, responsibilities)
        gains = table.evidence(responsibilities) - table.evidence_of_one
        sets = [
            np.array(each) for size in (1, 2, 3) for each in itertools.combinations(range(3), size)
        ]
        values_of_sets = [gains[each].sum() + log_prior(len(each), 3) for each in sets]
        assert state.features.tolist() == sets[int(np.argmax(values_of_sets))].tolist()
        exact = brute_force(table, state.features) + log_prior(len(state.features), 3)
        assert state.bound <= exact
    hard = at(table, np.repeat(np.eye(2), [5, 4], axis=0))
    soft = settled(table, hard, 50, 10)
    exact = brute_force(table, soft.features) + log_prior(len(soft.features), 3)
    assert hard.bound < soft.bound <= exact


def test_the_prior_over_sets_sums_to_one():
    sizes = np.arange(1, 8)
    sets = gammaln(8) - gammaln(sizes + 1) - gammaln(8 - sizes)
    assert np.exp(log_prior(sizes, 7) + sets).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("fewest", [0, 1])
def test_probabilities_and_evidence_sum_over_all_sets(fewest):
    gains = np.array([3.0, -2.0, 0.4, -6.0, 1.1])
    sets = [np.array(each, dtype=bool) for each in itertools.product((0, 1), repeat=5)]
    sets = [each for each in sets if each.sum() >= fewest]
    logs = [gains[each].sum() + log_prior(each.sum(), 5, fewest) for each in sets]
    shares = np.exp(logs - logsumexp(logs))
    probabilities, total = over_sets(gains, fewest)
    assert probabilities.max() <= 1.0
    assert probabilities == pytest.approx(shares @ np.array(sets), abs=1e-9)
    assert total == pytest.approx(logsumexp(logs), abs=1e-9)


def test_a_single_relevant_feature_is_certain_if_there_must_be_one():
    assert over_sets(np.array([-3.0]), 1)[0] == pytest.approx([1.0])
    many = np.append(10.0, np.full(4999, -30.0))
    assert over_sets(many, 1)[0][0] == pytest.approx(1.0, abs=1e-6)


def test_weights_count_repetitions():
    rng = np.random.default_rng(4)
    values, weights = rng.normal(size=(20, 3)), rng.integers(1, 4, 20).astype(float)
    shares = rng.dirichlet([1.0, 1.0], 20)
    table = table_of(values, bm.Gaussian("diag"), weights)
    rows = np.repeat(np.arange(20), weights.astype(int))
    repeated = FeatureTable(
        table.values[rows], np.ones(len(rows)), table.family, table.summary, table.frame
    )
    assert at(table, shares).bound == pytest.approx(at(repeated, shares[rows]).bound, abs=1e-8)


def recipe(d, s, n=200):
    """Three clusters that six of d features tell apart."""
    rng = np.random.default_rng(1000 * d + s)
    z = rng.integers(0, 3, n)
    X = rng.normal(size=(n, d))
    M = np.zeros((3, d))
    M[1, :3] = M[2, 3:6] = 2.1
    return X + M[z], z


@pytest.mark.slow
@pytest.mark.parametrize(("d", "s"), [(20, 50), (300, 52)])
def test_the_six_features_that_differ_are_found(d, s):
    X, z = recipe(d, s)
    search = bm.select(X, variable_selection=True, covariance_type="diag")
    assert search.get_support(indices=True).tolist() == list(range(6))
    assert search.n_components_ == 3
    agreement = pd.crosstab(z, search.predict(X)).to_numpy().max(axis=1).sum()
    assert agreement > 0.85 * len(z)
    table = search.feature_evidence_
    assert table.shape == (d, 2)
    assert (table["probability"][:6] > 0.99).all()
    assert (table["probability"][6:] < 0.5).all()
    assert f"6 of {d} features distinguish the clusters" in search.summary()


@pytest.mark.slow
def test_without_clusters_no_feature_is_relevant():
    for s in range(2):
        X = np.random.default_rng(900 + s).normal(size=(200, 60))
        search = bm.select(X, variable_selection=True)
        assert search.n_components_ == 1
        assert not search.get_support().any()
        assert search.feature_evidence_["probability"].max() < 0.5
        assert "None of 60 features distinguishes clusters." in search.summary()


@pytest.fixture(scope="module")
def small():
    X, _ = recipe(12, 7)
    return X, bm.select(X, variable_selection=True, covariance_type="diag")


@pytest.mark.slow
def test_the_density_is_that_of_the_mixture_times_one_of_the_other_features(small):
    X, search = small
    kept = search.get_support()
    one = bm.BayesianGaussianMixture(
        1, covariance_type="diag", weight_concentration_prior_type="dirichlet_distribution"
    )
    others = one.fit(X[:, ~kept]).score_samples(X[:, ~kept])
    mixture = search.best_estimator_.score_samples(X[:, kept])
    assert search.score_samples(X) == pytest.approx(mixture + others, abs=1e-6)
    assert search.score(X) == pytest.approx((mixture + others).mean(), abs=1e-6)


def test_rows_are_read_and_drawn_with_all_features(small):
    X, search = small
    kept = search.get_support()
    assert np.array_equal(search.transform(X), X[:, kept])
    assert np.array_equal(search.predict(X), search.best_estimator_.predict(X[:, kept]))
    rows, _ = search.sample(4000, random_state=0)
    assert rows.shape == (4000, 12)
    assert np.abs(rows.mean(axis=0) - X.mean(axis=0)).max() < 0.25
    names = [f"x{d}" for d in np.flatnonzero(kept)]
    assert search.get_feature_names_out().tolist() == names
    assert list(search.best_estimator_.result_.columns) == names
    back = search.inverse_transform(search.transform(X))
    assert np.array_equal(back, np.where(kept, X, 0.0))
    with pytest.raises(ValueError, match="12 features"):
        search.predict(X[:, :6])


def test_features_keep_their_number_in_summaries_figures_and_saved_searches(tmp_path):
    X, _ = recipe(8, 48)
    search = bm.select(X[:, ::-1], (2, 3), "diag", variable_selection=True)
    assert search.get_support(indices=True).tolist() == [2, 3, 4, 5, 6, 7]
    search.save(tmp_path / "search.bayesmix")
    for each in (search, bm.load(tmp_path / "search.bayesmix")):
        words = each.best_estimator_.summary().split()
        assert "x7" in words
        assert "x1" not in words
        assert bm.plot_density(each, X[:, ::-1], columns=[0, 5]).get_ylabel() == "x7"


@pytest.mark.slow
def test_the_averaged_density_is_that_of_the_selected_features(small):
    X, search = small
    kept = search.transform(X)
    assert np.isfinite(search.averaged_.score_samples(kept)).all()
    lower, upper = search.averaged_.density_interval(kept, n_draws=100).T
    density = np.exp(search.averaged_.score_samples(kept))
    assert ((lower < density) & (density < upper)).mean() > 0.9
    with pytest.raises(InvalidInputError, match=r"search.transform\(X\)"):
        search.averaged_.co_clustering(X)
    with pytest.raises(UnsupportedError, match=r"averaged_.density_interval\(transform\(X\)\)"):
        search.density_interval(X)
    assert bm.plots.plot_averaged(search, X, columns=[0]).get_xlabel().startswith("x0")


@pytest.mark.slow
def test_a_search_selects_features_in_a_pipeline():
    X, z = recipe(12, 49)
    frame = pd.DataFrame(X, columns=[f"gene {d}" for d in range(12)])
    select = bm.MixtureSearch(
        bm.BayesianGaussianMixture(), (2, 3), "diag", variable_selection=True, random_state=0
    )
    steps = make_pipeline(StandardScaler(), select, LinearDiscriminantAnalysis()).fit(frame, z)
    names = [f"gene {d}" for d in range(6)]
    assert steps[:-1].get_feature_names_out().tolist() == names
    assert steps.score(frame, z) > 0.85
    table = make_pipeline(StandardScaler(), select).set_output(transform="pandas")
    assert table.fit_transform(frame).columns.tolist() == names


def test_a_saved_search_answers_the_same(small, tmp_path):
    X, search = small
    path = tmp_path / "search.bayesmix"
    search.save(path)
    loaded = bm.load(path)
    assert np.array_equal(loaded.get_support(), search.get_support())
    assert np.array_equal(loaded.score_samples(X), search.score_samples(X))
    assert loaded.feature_evidence_.equals(search.feature_evidence_)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:columns. counts")
def test_mixed_tables_have_relevant_features_of_every_kind():
    rng = np.random.default_rng(8)
    z = rng.integers(0, 2, 300)
    frame = pd.DataFrame(
        {
            "height": rng.normal(2.5 * z),
            "noise": rng.normal(size=300),
            "eggs": rng.poisson(2 + 8 * z),
            "visits": rng.poisson(5, 300),
            "colour": np.where(rng.random(300) < 0.1 + 0.8 * z, "red", "blue"),
            "town": rng.choice(["a", "b", "c"], 300),
        }
    )
    search = bm.select(frame, variable_selection=True)
    assert search.transform(frame).columns.tolist() == ["height", "eggs", "colour"]
    assert search.n_components_ == 2
    assert (search.predict(frame) == search.predict(frame[frame.columns[::-1]])).all()
    rows, _ = search.sample(5, random_state=0)
    assert rows.columns.tolist() == frame.columns.tolist()
    assert np.isfinite(search.score_samples(frame)).all()


def test_features_are_not_relevant_for_their_shape():
    rng = np.random.default_rng(4810)
    z = rng.integers(0, 2, 300)
    frame = pd.DataFrame(
        {
            "height": rng.normal(2.5 * z),
            "income": rng.lognormal(10.0, 1.0, 300),
            "wait": rng.gamma(1.5, 3.0, 300),
            "return": rng.standard_t(3, 300),
            "wealth": np.exp(rng.normal(2.5 * z)),
            "colour": np.where(rng.random(300) < 0.1 + 0.8 * z, "red", "blue"),
        }
    )
    search = bm.select(frame, (1, 2, 3), "diag", variable_selection=True)
    assert search.transform(frame).columns.tolist() == ["height", "wealth", "colour"]


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(4811).lognormal(10.0, 1.0, 500),
        -np.random.default_rng(4812).gamma(1.5, 3.0, 500),
        1e8 + np.random.default_rng(4813).standard_t(3, 500),
        np.append(np.random.default_rng(4814).normal(size=500), 1e100),
    ],
)
def test_transformed_features_keep_their_order_and_are_nearer_to_normal(values):
    transformed = nearer_to_normal(values)
    assert (np.diff(transformed[np.argsort(values)]) >= 0.0).all()
    scores = stats.norm.ppf(stats.rankdata(values) / (len(values) + 1.0))
    after, before = (np.corrcoef(scores, each)[0, 1] for each in (transformed, values))
    assert 1.0 - after < 0.5 * (1.0 - before)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(4815).normal(size=300),
        np.random.default_rng(4816).normal(size=300) + np.repeat([0.0, 8.0], [240, 60]),
        np.repeat([0.0, 1.0], [290, 10]),
        np.zeros(0),
    ],
)
def test_normal_features_and_separate_groups_are_not_transformed(values):
    assert nearer_to_normal(values) is values


def test_a_search_without_selection_has_no_support():
    X, _ = recipe(5, 1)
    search = bm.MixtureSearch(n_components=(1, 2), random_state=0).fit(X)
    with pytest.raises(UndefinedError, match="variable_selection=True"):
        search.get_support()
    with pytest.raises(UndefinedError, match="variable_selection=True"):
        bm.plots.plot_feature_evidence(search)


def multivariate_predictive(table):
    """Density of the next observation under a normal-inverse-Wishart prior with ν0 = p + 2."""
    prior, p = table.prior, table.n_features
    m0, b0, nu0, scale = prior.mean, prior.mean_precision, p + 2.0, np.diag(prior.scale.mean[0])

    def predictive(x, new):
        n, mean = len(x), x.mean(axis=0) if len(x) else np.zeros(p)
        b, nu = b0 + n, nu0 + n
        m = (b0 * m0 + n * mean) / b
        away = x - mean
        psi = scale + away.T @ away + b0 * n / b * np.outer(mean - m0, mean - m0)
        freedom = nu - p + 1
        return stats.multivariate_t.logpdf(new, m, psi * (b + 1) / (b * freedom), freedom)

    return predictive


def test_joint_evidence_is_the_product_of_predictive_densities():
    values = np.random.default_rng(10).normal(size=(10, 3)) @ np.array(
        [[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]
    )
    table = table_of(values, bm.Gaussian("diag"))
    predictive = multivariate_predictive(table)
    halves = np.repeat(np.eye(2), [6, 4], axis=0)
    found = of_default(table, halves, shared=False)
    parts = [one_after_another(part, predictive) for part in np.split(table.values, [6])]
    assert found.whole == pytest.approx(sum(parts), abs=1e-9)
    one = of_default(table, np.ones((10, 1)), shared=True)
    assert one.whole == pytest.approx(one_after_another(table.values, predictive), abs=1e-9)


def of_default(table, responsibilities, shared):
    """Joint evidence under the default prior, the first of several."""
    counts = responsibilities.sum(axis=0)
    prior = priors(table, responsibilities, counts)[0]
    return joint_evidence_under(table, responsibilities, counts, shared, *prior)


@pytest.mark.parametrize("shared", [False, True])
def test_evidence_without_a_feature_is_that_of_the_other_features(shared):
    values = np.random.default_rng(13).normal(size=(12, 4)) @ np.tri(4)
    table = table_of(values, bm.Gaussian("diag"))
    halves = np.repeat(np.eye(2), [7, 5], axis=0)
    whole = of_default(table, halves, shared)
    for d in range(4):
        part = table.some(np.delete(np.arange(4), d))
        assert whole.without[d] == pytest.approx(of_default(part, halves, shared).whole)


def test_features_with_one_common_factor_need_one_factor():
    rng = np.random.default_rng(14)
    loadings = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    correlation = np.outer(loadings, loadings) + np.diag(1.0 - loadings**2)
    assert factor_model(correlation, 1) == pytest.approx(correlation, abs=0.02)
    X = rng.normal(size=(300, 10)) + rng.normal(size=(300, 1))
    table = table_of(X, bm.Gaussian("diag"))
    one = np.ones((300, 1))
    assert joint_evidence(table, one, True).whole > of_default(table, one, True).whole + 20.0


@pytest.mark.slow
def test_features_that_are_merely_correlated_are_not_relevant_by_regression():
    X, z = recipe(40, 11)
    factor = np.random.default_rng(12).normal(size=(200, 1))
    X[:, 6:14] = np.sqrt(0.5) * (X[:, 6:14] + factor)
    search = bm.select(X, (1, 2, 3, 4), "diag", variable_selection=True, irrelevant="regression")
    support = search.get_support()
    assert support[:6].all()
    assert not support[6:14].any()
    assert support.sum() <= 7
    assert pd.crosstab(z, search.predict(X)).to_numpy().max(axis=1).sum() > 170
    evidence = search.feature_evidence_["evidence"]
    assert (evidence[:6] > 5.0).all()
    assert (evidence[6:14] < 0.0).all()
    with pytest.raises(UnsupportedError, match="no density of all features"):
        search.score_samples(X)


@pytest.mark.slow
def test_correlated_features_without_clusters_are_irrelevant_by_regression():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 30))
    X[:, :5] += rng.normal(size=(200, 1))
    search = bm.select(X, variable_selection=True, irrelevant="regression")
    assert search.n_components_ == 1
    assert not search.get_support().any()


@pytest.mark.slow
@pytest.mark.parametrize("s", [7201, 7202])
def test_a_copy_of_a_feature_is_irrelevant_given_that_feature(s):
    rng = np.random.default_rng(s)
    X = rng.normal(size=(200, 6))
    X[:, 0] += 4.0 * rng.integers(0, 2, 200)
    X[:, 1] = X[:, 0] + 0.7 * X[:, 1]
    options = {"n_components": (1, 2, 3), "covariance_type": "diag", "variable_selection": True}
    assert bm.select(X, **options).get_support(indices=True).tolist() == [0, 1]
    by_regression = bm.select(X, **options, irrelevant="regression")
    assert by_regression.get_support(indices=True).tolist() == [0]


def test_the_simulated_example_of_clustvarsel_is_solved():
    # Scrucca & Raftery 2018: two features with clusters, one that depends on the first, two others.
    rng = np.random.default_rng(7203)
    z = rng.integers(0, 2, 200)
    covariances = np.array([[[1.0, 0.5], [0.5, 1.0]], [[1.5, -0.7], [-0.7, 1.5]]])
    X = np.array([rng.multivariate_normal([3.0 * k] * 2, covariances[k]) for k in z])
    others = rng.normal(size=(200, 3)) * [1.0, 2.0, 1.0] + [0.0, 1.5, 2.0]
    X = np.column_stack([X, others])
    X[:, 2] += X[:, 0]
    search = bm.select(X, (1, 2, 3), "full", variable_selection=True, irrelevant="regression")
    assert search.get_support(indices=True).tolist() == [0, 1]
    assert search.n_components_ == 2
    assert pd.crosstab(z, search.predict(X)).to_numpy().max(axis=1).sum() > 180


def gaps(X):
    X[::7, 3] = np.nan
    return X


@pytest.mark.slow
@pytest.mark.parametrize(
    ("X", "options", "note"),
    [
        (recipe(30, 65)[0], {}, "Only 6 of 30 features seem"),
        (gaps(recipe(30, 66)[0]), {"missing": "use"}, "Only 6 of 30 features seem"),
        (recipe(1001, 67, 50)[0], {}, "If only some of 1,001 features"),
    ],
)
def test_the_summary_names_the_option_if_few_of_many_features_may_matter(X, options, note):
    with pytest.warns(SelectionWarning, match=note):
        search = bm.select(X, (1, 2), "diag", **options)
    assert "variable_selection=True" in search.summary(verbose=True)


def test_figures_of_a_search_take_the_whole_table(small):
    X, search = small
    own = bm.plot_density(search.best_estimator_, search.transform(X), columns=[0, 1])
    whole = bm.plot_density(search, X, columns=[0, 1])
    assert whole.get_xlim() == own.get_xlim()
    assert bm.plot_pairs(search, X, columns=[0, 1]).shape == (2, 2)


def iris_and_noise():
    iris = bm.datasets.load_iris(with_species=True)
    noise = np.random.default_rng(71).normal(size=(150, 20))
    species = iris["species"].cat.codes.to_numpy().astype(int)
    return np.hstack([iris.iloc[:, :4].to_numpy(), noise]), species


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_features_that_tell_labelled_classes_apart_are_relevant(share):
    X, species = iris_and_noise()
    labels = np.where(np.random.default_rng(72).random(150) < share, species, -1)
    search = bm.select(X, 3, "tied", labels=labels, variable_selection=True)
    assert search.get_support(indices=True).tolist() == [0, 1, 2, 3]
    assert (search.predict(X) == species).mean() > 0.94
    assert np.isfinite(search.score_samples(X)).all()


def test_with_all_labels_the_evidence_of_a_feature_is_exact():
    X, species = iris_and_noise()
    search = bm.select(X, 3, "diag", labels=species, variable_selection=True)
    table = table_of(X, bm.Gaussian("diag"))
    exact = table.evidence(np.eye(3)[species]) - table.evidence_of_one
    assert search.feature_evidence_["evidence"].to_numpy()[:4] == pytest.approx(exact[:4])


def test_permuted_labels_permute_the_components_and_choose_the_same_features():
    X, species = iris_and_noise()
    labels = np.where(np.arange(150) % 10 == 0, species, -1)
    order = np.array([2, 0, 1])
    permuted = np.where(labels >= 0, order[labels], -1)
    one, other = (
        bm.select(X, 3, "diag", labels=each, variable_selection=True) for each in (labels, permuted)
    )
    assert np.array_equal(one.get_support(), other.get_support())
    assert np.array_equal(order[one.predict(X)], other.predict(X))


def test_no_feature_needs_to_tell_labelled_classes_apart():
    X = np.random.default_rng(73).normal(size=(90, 10))
    search = bm.select(X, 3, "diag", labels=np.arange(90) % 3, variable_selection=True)
    assert not search.get_support().any()
    assert search.n_components_ == 3
    assert "None of 10 features distinguishes clusters." in search.summary()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": np.eye(3)[np.arange(30) % 3]}, r"supports labels \(n,\)"),
        ({"labels": np.arange(30) % 3, "irrelevant": "regression"}, "irrelevant='independent'"),
        ({"family": bm.StudentT()}, "supports Gaussian, LogNormal"),
        ({"noise": True}, "does not support noise"),
        ({"family": bm.LogNormal(), "irrelevant": "regression"}, "Gaussian features"),
        ({"family": [bm.Gaussian(), bm.LogNormal()]}, "one family"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_remedy(options, message):
    X = np.abs(np.random.default_rng(9).normal(size=(30, 4)))
    with pytest.raises(UnsupportedError, match=message):
        bm.select(X, variable_selection=True, **options)


def test_all_constant_features_are_refused():
    with pytest.raises(InvalidInputError, match="all its features are constant"):
        bm.select(np.ones((30, 4)), variable_selection=True)
    with pytest.raises(BayesmixError) as raised:
        bm.select(np.ones((30, 4)), (1, 2, 3))
    assert str(raised.value).count("are equal") == 1


@pytest.mark.slow
def test_noise_of_few_values_among_normal_features_is_irrelevant():
    X, _ = recipe(20, 60)
    rng = np.random.default_rng(61)
    X[:, 10], X[:, 11] = rng.integers(0, 2, 200), rng.integers(1, 6, 200)
    search = bm.select(X, (1, 2, 3, 4), "diag", variable_selection=True)
    assert search.get_support(indices=True).tolist() == list(range(6))
    assert (search.feature_evidence_["probability"][10:12] < 0.5).all()


def test_warnings_name_features_of_the_table_that_was_given():
    X, _ = recipe(8, 62)
    X = X[:, ::-1].copy()
    X[:, 5] = np.round(X[:, 5])
    with pytest.warns(SelectionWarning, match="column 5"):
        bm.select(X, (1, 2, 3), "diag", variable_selection=True)


def test_missing_values_are_summed_over():
    cases = [CASES[name] for name in ("normal", "counts", "times", "binary", "levels")]
    halves = np.repeat(np.eye(2), 6, axis=0)
    for family, values, _ in cases:
        gaps = np.array(values, dtype=float)
        gaps[[1, 7, 8], 0] = np.nan
        table = table_of(gaps, family)
        kept = np.setdiff1d(np.arange(12), [1, 7, 8])
        part = FeatureTable(
            table.values[kept], np.ones(9), table.family, table.summary, table.frame
        )
        assert table.evidence(halves)[0] == pytest.approx(part.evidence(halves[kept])[0])
        assert table.evidence(halves)[1] == pytest.approx(
            FeatureTable(
                without_gaps(table.values), np.ones(12), table.family, table.summary, table.frame
            ).evidence(halves)[1]
        )


@pytest.mark.slow
def test_features_are_found_with_missing_values():
    X, _ = recipe(20, 63)
    X[np.random.default_rng(64).random(X.shape) < 0.1] = np.nan
    search = bm.select(X, (1, 2, 3, 4), "diag", variable_selection=True, missing="use")
    assert search.get_support(indices=True).tolist() == list(range(6))
    assert search.k_probabilities_.idxmax() == 3
    assert np.isfinite(search.score_samples(X)).all()
    with pytest.raises(UnsupportedError, match="complete data"):
        bm.select(X, (1, 2), variable_selection=True, missing="use", irrelevant="regression")


def test_latent_classes_in_a_frame_with_numbered_columns():
    rng = np.random.default_rng(8000)
    z = rng.integers(0, 2, 400)
    shares = np.full((2, 12), 0.5)
    shares[:, :4] = [[0.1], [0.9]]
    frame = pd.DataFrame(np.where(rng.random((400, 12)) < shares[z], "yes", "no"))
    search = bm.select(frame, (1, 2, 3), variable_selection=True)
    assert search.get_support(indices=True).tolist() == [0, 1, 2, 3]
    assert pd.crosstab(z, search.predict(frame)).to_numpy().max(axis=1).sum() > 360


@pytest.mark.slow
def test_nested_cross_validation_scores_all_features_in_every_fold():
    X, _ = recipe(20, 700)
    options = {"n_components": (1, 2, 3, 4), "covariance_type": "diag", "random_state": 0}
    both = {
        "chosen": bm.MixtureSearch(bm.BayesianGaussianMixture(), **options, variable_selection=True)
    }
    result = bm.nested_cv(both, X, cv=2)
    assert np.isfinite(result.score("chosen").value)
    assert (result.table["note"] == "").all()


def test_three_observations_are_one_component():
    search = bm.select(np.random.default_rng(0).normal(size=(3, 4)), variable_selection=True)
    assert search.n_components_ == 1
