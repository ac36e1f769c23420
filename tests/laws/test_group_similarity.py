"""Similarity of classes across groups, against direct maximisation and other fits."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

import bayesmix as bm


@pytest.fixture(scope="module")
def sexes():
    """Two groups of different sizes, spreads and class sizes; equal means."""
    generator = np.random.default_rng(63)
    sex = np.repeat(["f", "m"], (90, 130))
    second = generator.random(220) < np.where(sex == "f", 0.7, 0.3)
    x = generator.normal(3.5 * second, np.where(sex == "f", 1.0, 0.5))
    return x[:, None], sex


@pytest.mark.slow
def test_every_model_has_the_maximum_that_direct_maximisation_finds(sexes):
    X, sex = sexes
    found = bm.group_similarity(
        bm.GaussianMixture(2, covariance_type="diag"), X, sex, random_state=0
    )
    groups = [X[sex == name, 0] for name in ("f", "m")]
    # of a group's five parameters: log odds, two means, two log deviations
    of_models = {
        "configural": ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9]),
        "structural": ([0, 1, 2, 3, 4], [5, 1, 2, 6, 7]),
        "dispersion": ([0, 1, 2, 3, 4], [5, 1, 2, 3, 4]),
        "distributional": ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
    }
    for name, places in of_models.items():

        def loss(theta, places=places):
            total = 0.0
            for x, own in zip(groups, places, strict=True):
                odds, *rest = theta[own]
                joint = norm.logpdf(x[:, None], rest[:2], np.exp(rest[2:]))
                total -= logsumexp(joint + log_softmax([0.0, odds]), axis=1).sum()
            return total

        start = np.zeros(max(max(own) for own in places) + 1)
        start[[own[2] for own in places]] = 3.5
        best = minimize(loss, start, options={"gtol": 1e-6})
        row = found.table.loc[name]
        assert row["log_likelihood"] == pytest.approx(-best.fun, abs=1e-4)
        assert row["n_parameters"] == len(start)
    assert found.suggested == "structural"
    assert found.table["p"]["dispersion"] < 0.01  # deviations differ
    means = found.estimates.xs("mean", level="parameter")["structural"].unstack("group")
    np.testing.assert_allclose(means["f"], means["m"])
    np.testing.assert_allclose(found.sizes.sum(axis=1), 1.0)


SHARED = {
    "configural": (),
    "structural": ("means",),
    "dispersion": ("means", "variances"),
    "distributional": ("means", "variances", "weights"),
}


def by_em(X, group, n_classes, shared, generator):
    """Log likelihood of an EM run of independent normals from random centres; -inf for spikes."""
    (n, D), G = X.shape, group.max() + 1
    means = np.repeat(X[None, generator.choice(n, n_classes, replace=False)], G, axis=0)
    variances = np.tile(X.var(axis=0) / generator.choice([1.0, 4.0]), (G, n_classes, 1))
    weights, indicators = np.full((G, n_classes), 1.0 / n_classes), np.eye(G)[group]
    before = -np.inf
    for _ in range(2000):
        away = norm.logpdf(X[:, None], means[group], np.sqrt(variances[group])).sum(axis=2)
        joint = away + np.log(weights)[group]
        totals = logsumexp(joint, axis=1)
        if totals.sum() - before < 1e-9:
            break
        before = totals.sum()
        shares = indicators[:, :, None] * np.exp(joint - totals[:, None])[:, None]  # (n, G, K)
        counts = shares.sum(axis=0)
        sizes = counts.sum(axis=0) if "variances" in shared else counts
        if sizes.min() < 5.0 * (D + 1) or variances.min() < 1e-3:
            return -np.inf
        weights = counts / counts.sum(axis=1, keepdims=True)
        if "weights" in shared:
            weights = np.tile(counts.sum(axis=0) / n, (G, 1))
        sums = np.einsum("ngk,nd->gkd", shares, X)
        means = sums / np.maximum(counts, 1e-300)[..., None]
        if "means" in shared:  # weighted by precision
            precision = (counts[..., None] / variances).sum(axis=0)
            means = np.tile((sums / variances).sum(axis=0) / precision, (G, 1, 1))
        squares = np.stack(
            [np.einsum("nk,nkd->kd", shares[:, g], (X[:, None] - means[g]) ** 2) for g in range(G)]
        )
        variances = squares / np.maximum(counts, 1e-300)[..., None]
        if "variances" in shared:
            variances = np.tile(squares.sum(axis=0) / counts.sum(axis=0)[:, None], (G, 1, 1))
    return before


def groups_of_classes(seed):
    """Two or three groups of different spreads, and two or three classes that may overlap."""
    generator = np.random.default_rng([97, seed])
    K, D, G = generator.integers(2, 4), generator.integers(1, 4), generator.integers(2, 4)
    group = np.arange(generator.integers(60, 160) * G) % G
    weights = generator.dirichlet(np.full(K, 2.0), G).cumsum(axis=1)
    place = (generator.random(len(group))[:, None] > weights[group]).sum(axis=1).clip(max=K - 1)
    means = generator.normal(0.0, generator.uniform(1.2, 2.5), (K, D))
    deviations = np.exp(generator.normal(0.0, 0.5, (G, K, D)))
    shifts = seed % 2 * generator.normal(0.0, 0.5, (G, K, D))  # means differ between groups
    noise = deviations[group, place] * generator.normal(size=(len(group), D))
    return means[place] + shifts[group, place] + noise, group, int(K)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 5, 100])
def test_no_model_ends_below_an_independent_fit(seed):
    X, group, K = groups_of_classes(seed)
    model = bm.GaussianMixture(K, covariance_type="diag")
    table = bm.group_similarity(model, X, group, random_state=0).table
    assert table["log_likelihood"].is_monotonic_decreasing
    generator = np.random.default_rng(seed)
    for name, shared in SHARED.items():
        runs = [by_em(X, group, K, shared, generator) for _ in range(10)]
        assert table["log_likelihood"][name] > max(runs) - 1e-3


@pytest.mark.slow
def test_dispersion_similarity_is_a_fit_with_the_group_as_covariate():
    generator = np.random.default_rng(7)
    country = generator.integers(3, size=400)
    second = generator.random(400) < np.array([0.2, 0.5, 0.8])[country]
    items = (generator.random((400, 4)) < np.where(second[:, None], 0.85, 0.2)).astype(int)
    items = pd.DataFrame(items, columns=list("abcd")).astype("category")
    family = bm.Categorical()
    frame = items.assign(country=country)
    found = bm.group_similarity(bm.Mixture(2, family=family), frame, "country", random_state=0)
    assert list(found.table.index) == ["configural", "structural", "distributional"]
    dummies = np.eye(3)[country][:, 1:]
    gated = bm.Mixture(2, family=family, random_state=0).fit(items, covariates=dummies)
    pooled = bm.Mixture(2, family=family, random_state=0).fit(items)
    values = found.table["log_likelihood"]
    assert values["structural"] == pytest.approx(gated.log_likelihood_, abs=1e-4)
    assert values["distributional"] == pytest.approx(pooled.log_likelihood_, abs=1e-4)
    assert found.table["n_parameters"].tolist() == [27, 11, 9]


def test_scaling_at_one_class_follows_from_the_fourth_moment():
    x = np.random.default_rng(3).gamma(2.0, size=(300, 1))
    group = np.arange(300) % 2
    found = bm.group_similarity(bm.GaussianMixture(1, covariance_type="diag"), x, group)
    # Of each group one for the mean, and (kurtosis - 1) / 2 for the variance.
    kurtosis = [
        ((y := x[group == g, 0] - x[group == g, 0].mean()) ** 4).mean() / y.var() ** 2
        for g in (0, 1)
    ]
    expected = np.mean([1.0, 1.0, *((k - 1.0) / 2.0 for k in kurtosis)])
    assert found.table["scaling"]["configural"] == pytest.approx(expected, rel=1e-4)


def test_pairs_as_clusters_double_the_scaling_and_weights_repeat_samples():
    x = np.random.default_rng(3).gamma(2.0, size=(200, 1))
    group, model = np.arange(200) % 2, bm.GaussianMixture(1, covariance_type="diag")
    plain = bm.group_similarity(model, x, group).table
    twice, at = np.repeat(x, 2, axis=0), np.repeat(np.arange(200), 2)
    pairs = bm.group_similarity(model, twice, group[at], clusters=at).table
    np.testing.assert_allclose(pairs["scaling"], 2.0 * plain["scaling"] * 200 / 199, rtol=1e-3)
    weights = {"sample_weight": np.full(200, 2.0), "weight_type": "frequency"}
    weighted = bm.group_similarity(model, x, group, **weights).table
    survey = bm.group_similarity(model, x, group, sample_weight=np.full(200, 2.0)).table
    np.testing.assert_allclose(survey["log_likelihood"], plain["log_likelihood"])
    np.testing.assert_allclose(weighted["log_likelihood"], pairs["log_likelihood"])
    np.testing.assert_allclose(weighted["chi_squared"], plain["chi_squared"], rtol=1e-3)


def test_tables_and_refusals(sexes):
    X, sex = sexes
    model = bm.GaussianMixture(2, covariance_type="EEI")
    found = bm.group_similarity(model, X, sex, random_state=0)
    assert "Structural" in str(found.to_apa())
    assert found.to_apa().title == "Similarity of the Profiles Across Groups"
    assert "similarity" in found.summary()
    with pytest.raises(ValueError, match="at least two values"):
        bm.group_similarity(model, X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="column of X"):
        bm.group_similarity(model, X, "sex")
    with pytest.raises(ValueError, match="maximum likelihood"):
        bm.group_similarity(bm.BayesianGaussianMixture(2), X, sex)
