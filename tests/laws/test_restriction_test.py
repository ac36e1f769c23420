"""Columns that are equal in several classes, and tests of restrictions, by direct maximisation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from laws.cases import generator

EXACT = {"random_state": 0, "max_iter": 5000, "tol": 1e-10}


def answers(n, seed, last=0.3):
    """Two classes that differ in four items; the last item has one probability in both."""
    rng = generator(seed)
    classes = rng.random(n) < 0.4
    shares = np.where(classes[:, None], [0.85, 0.8, 0.7, 0.9, last], [0.2, 0.2, 0.2, 0.2, 0.3])
    return pd.DataFrame((rng.random((n, 5)) < shares).astype(int), columns=list("abcde"))


def maximum(X, equal):
    """The largest log likelihood of two classes, with the last item equal or not."""
    x = X.to_numpy()

    def negative(theta):
        last = [theta[9], theta[9 if equal else 10]]
        logits = np.column_stack([theta[1:9].reshape(2, 4), last])
        joint = log_softmax([0.0, theta[0]])
        joint = joint - x @ np.logaddexp(0.0, -logits).T - (1 - x) @ np.logaddexp(0.0, logits).T
        return -logsumexp(joint, axis=1).sum()

    start = np.r_[0.0, np.repeat([-1.0, 1.0], 4), 0.0, 0.0]
    return -minimize(negative, start, method="BFGS", options={"gtol": 1e-7}).fun


@pytest.fixture(scope="module")
def fits():
    X = answers(700, 1, last=0.45)
    equal = {"probabilities": {"e": True}}
    same = bm.Mixture(2, family=bm.Bernoulli(), equal=equal, **EXACT).fit(X)
    return X, same, bm.Mixture(2, family=bm.Bernoulli(), **EXACT).fit(X)


def test_one_item_is_equal_in_all_classes_at_the_optimum(fits):
    X, same, free = fits
    assert same.log_likelihood_ == pytest.approx(maximum(X, True), abs=1e-5)
    assert np.ptp(same.probabilities_[:, 4]) == 0.0
    assert np.ptp(same.probabilities_[:, :4], axis=0).min() > 0.2
    assert same.n_parameters_ == free.n_parameters_ - 1
    errors = same.parameter_table(X).xs("e", level="column")["standard_error"]
    assert errors.iloc[0] == pytest.approx(errors.iloc[1])
    by_number = bm.Mixture(2, family=bm.Bernoulli(), equal={"probabilities": {4: [0, 0]}}, **EXACT)
    assert by_number.fit(X).log_likelihood_ == pytest.approx(same.log_likelihood_)
    text = bm.Mixture(2, family=bm.Categorical(), equal={"probabilities": {"e": True}}, **EXACT)
    assert text.fit(X.astype(str)).log_likelihood_ == pytest.approx(same.log_likelihood_)
    assert text.n_parameters_ == same.n_parameters_


def test_items_have_restrictions_of_their_own():
    X = answers(500, 2)
    equal = {"probabilities": {"e": True, "a": [0, 1, 1], "b": [0, 0, 1]}}
    hold = {"probabilities": np.full((3, 5), np.nan)}
    hold["probabilities"][0, 2] = 0.25
    model = bm.Mixture(3, family=bm.Bernoulli(), equal=equal, hold=hold, random_state=0).fit(X)
    p = model.probabilities_
    assert p[1, 0] == p[2, 0] != p[0, 0]
    assert p[0, 1] == p[1, 1] != p[2, 1]
    assert np.ptp(p[:, 4]) == 0.0
    assert p[0, 2] == 0.25
    assert model.n_parameters_ == 17 - 1 - 1 - 2 - 1


def test_one_mean_is_equal_in_all_profiles():
    rng = generator(3)
    X = rng.normal(size=(300, 2)) + np.column_stack([np.repeat([0.0, 5.0], 150), np.zeros(300)])
    settings = {"covariance_type": "spherical", "random_state": 0, "max_iter": 3000, "tol": 1e-10}
    model = bm.GaussianMixture(2, equal={"means": {1: True}}, **settings).fit(X)
    assert model.means_[0, 1] == model.means_[1, 1]
    # The mean is weighted by the precisions.
    r = model.predict_proba(X) / model.covariances_
    assert model.means_[0, 1] == pytest.approx((r * X[:, [1]]).sum() / r.sum(), abs=1e-6)
    with pytest.raises(UnsupportedError, match="cannot name columns, which must be independent"):
        bm.GaussianMixture(2, equal={"means": {1: True}}).fit(X)


def test_a_saved_model_keeps_the_columns_that_are_equal(fits, tmp_path):
    same = fits[1]
    same.save(tmp_path / "same.bayesmix")
    loaded = bm.load(tmp_path / "same.bayesmix")
    assert loaded.n_parameters_ == same.n_parameters_
    (own,), (again,) = (tuple(one.result_.inference.restriction) for one in (same, loaded))
    assert (own.columns == again.columns).all()


def test_the_ratio_of_nested_models_is_that_of_direct_maximisation(fits):
    X, same, free = fits
    test = bm.likelihood_ratio_test(same, X, against=free)
    expected = 2.0 * (maximum(X, False) - maximum(X, True))
    assert test.statistic == pytest.approx(expected, abs=1e-4)
    assert test.degrees_of_freedom == 1
    assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, 1))
    assert "χ²(1)" in test.summary()


def test_repeated_observations_in_clusters_add_nothing_to_a_scaled_ratio(fits):
    X, same, free = fits
    one = bm.likelihood_ratio_test(same, X, against=free, clusters=np.arange(len(X)))
    twice = pd.concat([X, X], ignore_index=True)
    equal = {"probabilities": {"e": True}}
    pair = [
        bm.Mixture(2, family=bm.Bernoulli(), equal=each, **EXACT).fit(twice)
        for each in (equal, None)
    ]
    clusters = np.tile(np.arange(len(X)), 2)
    two = bm.likelihood_ratio_test(pair[0], twice, against=pair[1], clusters=clusters)
    assert two.scaling == pytest.approx(2.0 * one.scaling, rel=1e-3)
    assert two.statistic == pytest.approx(one.statistic, rel=1e-3)
    # Under the model the factor is 1 but for chance.
    assert one.scaling == pytest.approx(1.0, abs=0.5)


@pytest.mark.slow
def test_true_restrictions_are_rejected_at_the_level():
    p = []
    for seed in range(60):
        X = answers(400, 100 + seed)
        same, free = (
            bm.Mixture(2, family=bm.Bernoulli(), equal=equal, random_state=0, search="short").fit(X)
            for equal in ({"probabilities": {"e": True}}, None)
        )
        p.append(bm.likelihood_ratio_test(same, X, against=free).p_value)
    # Kolmogorov's test of uniform p-values at .001.
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_enumerations_take_restrictions():
    X = answers(400, 5).astype(str)
    found = bm.enumerate_classes(
        X, range(1, 3), equal={"probabilities": {"e": True}}, n_bootstrap=0, random_state=0
    )
    assert found.table["n_parameters"].tolist() == [5, 10]
    assert found.table["replicated"].tolist() == [20, 20]
    same = found.fit("local independence", 2)
    assert np.ptp(same.probabilities_[4][:, 0]) == 0.0


def test_held_values_are_called_held_also_at_their_limits():
    X = answers(400, 6)
    hold = {"probabilities": [[0.0, 0.2, np.nan, np.nan, np.nan]]}
    model = bm.Mixture(2, family=bm.Bernoulli(), hold=hold, random_state=0).fit(X)
    errors = model.parameter_table(X)["standard_error"].loc["probability"].unstack("class")
    assert (errors.loc[["a", "b"], "class 1"] == 0.0).all()
    assert (errors.loc[["c", "d", "e"]] > 0.0).all(axis=None)
    text = bm.class_profiles(model, X).to_apa().to_markdown()
    assert ".00 (held)" in text
    assert ".20 (held)" in text
    assert "boundary" not in text


@pytest.mark.parametrize(
    ("equal", "hold", "words"),
    [
        ({"probabilities": {"f": True}}, None, "has no column 'f', only a, b, c, d, e"),
        (
            {"probabilities": {"e": [0, 0, 0]}},
            None,
            r"'\]\['e'\] must be True",
        ),
        ({"probabilities": {"e": True, 4: True}}, None, "has column 4 more than once"),
        (
            {"probabilities": {"e": True}},
            {"probabilities": [[np.nan] * 4 + [0.2], [np.nan] * 4 + [0.3]]},
            "has different values for components 0 and 1",
        ),
    ],
)
def test_restrictions_that_contradict_each_other_are_named(fits, equal, hold, words):
    X, _, _ = fits
    model = bm.Mixture(2, family=bm.Bernoulli(), equal=equal, hold=hold)
    with pytest.raises(InvalidInputError, match=words):
        model.fit(X)
    assert not hasattr(model, "result_")


def test_pairs_that_are_not_nested_are_refused(fits):
    X, same, free = fits
    with pytest.raises(InvalidInputError, match="model must be the restricted one"):
        bm.likelihood_ratio_test(free, X, against=same)
    one = bm.Mixture(1, family=bm.Bernoulli()).fit(X)
    with pytest.raises(InvalidInputError, match="for which the ratio is not chi-squared"):
        bm.likelihood_ratio_test(one, X, against=free)
    fewer = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(X[:300])
    with pytest.raises(InvalidInputError, match="fitted to the same data, got 700 and 300"):
        bm.likelihood_ratio_test(same, X, against=fewer)
    with pytest.raises(UnsupportedError, match="need against"):
        bm.likelihood_ratio_test(free, X, clusters=np.arange(700))
    with pytest.raises(InvalidInputError, match="n_components cannot be given with against"):
        bm.likelihood_ratio_test(same, X, 2, against=free)
