"""Counts of frames are Poisson or negative binomial, as their index of dispersion decides."""

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, DegenerateComponentWarning, InvalidInputError


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("size", "mean", "n", "seed"), [(2, 12, 200, 3), (10, 10, 300, 1)])
def test_half_zeros_beside_a_negative_binomial_are_no_poisson_components(size, mean, n, seed):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(size, size / (size + mean), n)
    frame = pd.DataFrame({"visits": np.where(rng.random(n) < 0.5, 0, counts)})
    with pytest.warns(BayesmixWarning, match="visits .*, negative binomial as the variance is"):
        search = bm.select(frame, (1, 2, 3), n_jobs=1)
    assert search.n_components_ <= 2
    assert search.best_estimator_.components_["visits"]["sizes"].shape == (search.n_components_, 1)
    assert search.columns_.loc["visits", ["kind", "family"]].tolist() == [
        "counts",
        "negative binomial",
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("criterion", ["bic", "icl"])
def test_counts_are_negative_binomial_also_by_criteria_of_likelihood(criterion):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"visits": rng.negative_binomial(2, 2 / 14, 200)})
    with pytest.warns(BayesmixWarning, match="visits .*, negative binomial as the variance is"):
        search = bm.select(frame, (1, 2, 3), criterion=criterion, n_jobs=1)
    assert (search.n_components_, search.criterion) == (1, criterion)
    assert search.best_estimator_.components_["visits"]["sizes"].shape == (1, 1)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.slow
def test_counts_that_groups_overdisperse_are_poisson_within_them():
    rng = np.random.default_rng(4)
    group = rng.integers(0, 2, 200)
    frame = pd.DataFrame({"visits": rng.poisson(np.where(group, 12.0, 3.0))})
    frame["clicks"] = rng.poisson(np.where(group, 2.0, 9.0))
    frame["calls"] = rng.poisson(4.0, 200)
    search = bm.select(frame, (1, 2, 3), n_jobs=1)
    assert search.n_components_ == 2
    assert search.criterion_ == "elbo_prior"
    of_counts = search.best_estimator_.components_
    assert set(of_counts["calls"]) == {"rates"}  # the family of a column depends on it alone
    for name in ("visits", "clicks"):
        means, sizes = of_counts[name]["rates"][:, 0], of_counts[name]["sizes"][:, 0]
        assert (means / sizes < 0.1).all()  # variance / mean - 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_criterion_whichever_counts_are_selected():
    rng = np.random.default_rng(5)
    group = rng.integers(0, 2, 1000)
    mean = np.where(group, 15.0, 5.0)
    frame = pd.DataFrame({"n_visits": rng.negative_binomial(4, 4 / (4 + mean))})
    frame["height"] = rng.normal(4.0 * group)
    frame["n_calls"] = rng.poisson(3.0, 1000)
    for columns in (["n_visits", "height"], ["n_calls", "height"], list(frame)):
        search = bm.select(frame[columns], (1, 2, 3), n_jobs=1)
        assert (search.criterion_, search.n_components_) == ("elbo_prior", 2)
    sizes = search.best_estimator_.components_["n_visits"]["sizes"]
    np.testing.assert_allclose(sizes, 4.0, rtol=0.25)  # about three standard errors


# Exponential waiting times of 0


def test_a_waiting_time_of_zero_has_the_density_of_its_rate():
    x = np.array([[0.0], [1.0], [2.0], [0.5]])
    for inference in (bm.MaximumLikelihood(), bm.MaximumAPosteriori(), bm.VariationalBayes()):
        model = bm.Mixture(1, family=bm.Exponential(), inference=inference, random_state=0).fit(x)
        assert np.isfinite(model.score_samples(x)).all()
    likely = bm.Mixture(1, family=bm.Exponential(), random_state=0).fit(x)
    assert likely.rates_[0, 0] == pytest.approx(1.0 / x.mean(), rel=1e-12)
    assert likely.score_samples(x[:1])[0] == pytest.approx(np.log(1.0 / x.mean()), rel=1e-12)


def test_a_component_of_zeros_alone_is_held_where_its_likelihood_is_unbounded():
    waits = np.random.default_rng(0).exponential(10.0, (200, 1))
    with pytest.warns(DegenerateComponentWarning, match="collapsed onto zeros"):
        model = bm.Mixture(2, family=bm.Exponential(), random_state=0).fit(
            np.vstack([waits, np.zeros((200, 1))])
        )
    assert np.isfinite(model.log_likelihood_)
    # Without zeros the likelihood is bounded, and no mean is.
    small = np.vstack([waits, 1e-6 * waits])
    assert bm.Mixture(2, family=bm.Exponential(), random_state=0).fit(small).means_.min() < 1e-4


@pytest.mark.parametrize(
    ("values", "said"),
    [([[0.0], [0.0]], "column 0 has only zeros"), ([[-1.0], [2.0]], "numbers from 0 on")],
)
def test_waiting_times_that_have_no_rate_are_refused(values, said):
    with pytest.raises(InvalidInputError, match=said):
        bm.Mixture(1, family=bm.Exponential()).fit(values)


# Parameters in the units of the data

GROUP = np.repeat([0, 1], 150)
AMOUNTS = np.random.default_rng(1).gamma(3.0, np.where(GROUP, 40.0, 900.0)[:, None], (300, 2))
COUNTS = np.random.default_rng(2).poisson(np.where(GROUP, 2.0, 12.0)[:, None], (300, 2))
DISTRIBUTIONS = {
    "gamma": (bm.Gamma(), AMOUNTS, lambda m: stats.gamma(m.shapes_, scale=1.0 / m.rates_)),
    "weibull": (bm.Weibull(), AMOUNTS, lambda m: stats.weibull_min(m.shapes_, scale=m.scales_)),
    "exponential": (bm.Exponential(), AMOUNTS, lambda m: stats.expon(scale=1.0 / m.rates_)),
    "log-normal": (
        bm.LogNormal("diag"),
        AMOUNTS,
        lambda m: stats.lognorm(np.sqrt(m.log_variances_), scale=np.exp(m.log_means_)),
    ),
    "poisson": (bm.Poisson(), COUNTS, lambda m: stats.poisson(m.rates_)),
    "negative binomial": (
        bm.NegativeBinomial(),
        np.random.default_rng(3).negative_binomial(2, np.where(GROUP, 0.5, 0.1)[:, None], (300, 2)),
        lambda m: stats.nbinom(m.sizes_, m.sizes_ / (m.sizes_ + m.rates_)),
    ),
    "bernoulli": (bm.Bernoulli(), (COUNTS > 5) * 1, lambda m: stats.bernoulli(m.probabilities_)),
    "binomial": (
        bm.Binomial([40, 50]),
        COUNTS,
        lambda m: stats.binom([[40, 50]], m.probabilities_),
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_densities_follow_from_the_public_parameters(name):
    family, values, distribution = DISTRIBUTIONS[name]
    model = bm.Mixture(2, family=family, random_state=0).fit(values)
    of_components = distribution(model)
    density = getattr(of_components, "pdf", None) or of_components.pmf
    if not family.continuous:
        density = of_components.pmf
    of_values = np.array([density(value).prod(axis=1) @ model.weights_ for value in values[:20]])
    np.testing.assert_allclose(np.exp(model.score_samples(values[:20])), of_values, rtol=1e-9)


def test_levels_have_their_probabilities_by_column():
    answers = pd.DataFrame({"a": list("xyxz") * 25, "b": list("uv") * 50}).astype("category")
    model = bm.Mixture(1, family=bm.Categorical(), random_state=0).fit(answers)
    assert [list(levels) for levels in model.levels_] == [["x", "y", "z"], ["u", "v"]]
    np.testing.assert_allclose(model.probabilities_[0], [[0.5, 0.25, 0.25]])
    np.testing.assert_allclose(model.probabilities_[1], [[0.5, 0.5]])


def test_a_product_names_where_the_parameters_of_its_parts_are():
    product = bm.Product({0: bm.Poisson(), 1: bm.Gamma()})
    values = np.column_stack([COUNTS[:, 0], AMOUNTS[:, 1]])
    model = bm.Mixture(2, family=product, random_state=0).fit(values)
    with pytest.raises(AttributeError, match=r"use that of a part, components_\[0\]"):
        model.rates_  # noqa: B018
    assert model.components_[0]["rates"].shape == (2, 1)


# Trials, impossible and far samples


@pytest.mark.parametrize(
    ("n_trials", "said"),
    [
        (np.full((30, 2), 5), "one number for each column, got shape .*trials="),
        ([5.5, 2], "whole numbers of at least 1"),
        (["a"], "whole numbers of at least 1"),
        ([np.nan, 2], "whole numbers of at least 1"),
        ([np.inf, 2], "whole numbers of at least 1"),
        ([1, [2]], "whole numbers of at least 1"),
        ([], "whole numbers of at least 1"),
    ],
)
def test_numbers_of_trials_are_one_for_each_column(n_trials, said):
    with pytest.raises(InvalidInputError, match=said):
        bm.Binomial(n_trials)


def test_trials_of_rows_are_referred_to_the_argument_of_fit():
    with pytest.raises(InvalidInputError, match=r"use Binomial\(\) and fit\(X, trials="):
        bm.Mixture(1, family=bm.Binomial(np.full(300, 40))).fit(COUNTS)


def test_a_sample_that_is_impossible_everywhere_has_the_shares_before_the_data():
    model = bm.Mixture(2, family=bm.Poisson(), random_state=0).fit(COUNTS * [1, 0])
    new = np.array([[1, 3], [1, 0]])
    assert model.score_samples(new)[0] == -np.inf
    with pytest.warns(BayesmixWarning, match="impossible under every component"):
        shares = model.predict_proba(new)
    np.testing.assert_allclose(shares[0], model.weights_)
    np.testing.assert_array_equal(shares[1], model.predict_proba(new[1:])[0])
    classes = np.repeat(["a", "a", "b"], 100)
    classifier = bm.MixtureClassifier(family=bm.Poisson(), random_state=0)
    classifier.fit(COUNTS * [1, 0], classes)
    with pytest.warns(BayesmixWarning, match="impossible in every class"):
        np.testing.assert_allclose(classifier.predict_proba(new)[0], [2.0 / 3.0, 1.0 / 3.0])


def exact_log_density(model, x):
    """The log density of a Gaussian mixture with full covariances, in many digits."""
    terms = []
    for weight, mean, precision in zip(
        model.weights_, model.means_, model.precisions_, strict=True
    ):
        away = [mpmath.mpf(float(a)) - mpmath.mpf(float(b)) for a, b in zip(x, mean, strict=True)]
        square = sum(
            mpmath.mpf(float(precision[i, j])) * away[i] * away[j]
            for i in range(len(x))
            for j in range(len(x))
        )
        constant = 0.5 * np.linalg.slogdet(precision)[1] - 0.5 * len(x) * np.log(2.0 * np.pi)
        terms.append(np.log(weight) + constant - square / 2)
    return max(terms) + mpmath.log(sum(mpmath.e ** (term - max(terms)) for term in terms))


@pytest.mark.parametrize(
    "x",
    [
        *([1e140, 2.0], [5e149, 1e149], [1e153, 0.0], [1e153, -3e152], [-2e152, 1e140]),
        *([3e145, 3e153], [1e154, 0.0]),
    ],
)
def test_log_densities_are_exact_as_far_as_doubles_reach(x):
    generator = np.random.default_rng(5)
    values = generator.normal(size=(300, 2)) * [2.0, 0.5] + 4.0 * np.repeat([0, 1], 150)[:, None]
    model = bm.GaussianMixture(2, random_state=0).fit(values)
    found = model.score_samples([x])[0]
    assert float(abs(found / exact_log_density(model, x) - 1)) < 1e-13
    both = np.array([x, [0.0, 0.0]])
    assert model.score(both) == pytest.approx(model.score_samples(both).mean(), rel=1e-13)
    aic = -2.0 * model.score_samples(both).sum() + 2.0 * model.n_parameters_
    assert model.aic(both) == pytest.approx(aic, rel=1e-13)


def test_tails_of_powers_go_on_as_far_as_doubles_reach():
    values = np.random.default_rng(5).normal(size=(300, 1))
    model = bm.Mixture(1, family=bm.StudentT(), random_state=0).fit(values)
    t = stats.t(model.degrees_of_freedom_[0], model.means_[0, 0], np.sqrt(model.scales_[0, 0, 0]))
    slope = 1.0 + model.degrees_of_freedom_[0]
    near, far = model.score_samples([[1e20], [1e220]])
    assert near == pytest.approx(t.logpdf(1e20), rel=1e-12)
    assert far == pytest.approx(near - slope * 200.0 * np.log(10.0), rel=1e-12)


def test_the_share_of_one_class_is_known():
    model = bm.GaussianMixture(1, random_state=0).fit(AMOUNTS)
    for kind in ("information", "sandwich", "bootstrap"):
        share = model.parameter_table(AMOUNTS, kind, n_draws=5).loc["share"].iloc[0]
        assert share.tolist() == [1.0, 0.0, 1.0, 1.0]
    chain = bm.HiddenMarkovModel(1, random_state=0).fit(AMOUNTS)
    table = chain.parameter_table(AMOUNTS)
    assert (table.loc[["start", "transition"], "standard_error"] == 0.0).all()
    answers = (COUNTS > 5).astype(int)
    classes = bm.Mixture(1, family=bm.Categorical(), random_state=0).fit(answers)
    assert bm.latent_classes(classes, answers).sizes["standard_error"].tolist() == [0.0]
