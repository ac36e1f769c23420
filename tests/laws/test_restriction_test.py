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


def likeliest(free, log_densities, shares, seed, starts=8):
    """The largest log likelihood of mixtures, over ``free`` parameters and the log odds of a class.

    ``log_densities(theta)`` (n, 2) are those of both classes, ``shares`` the weights of rows.
    """
    rng = generator(seed)

    def negative(theta):
        joint = log_softmax([0.0, theta[0]]) + log_densities(theta[1:])
        return -shares @ logsumexp(joint, axis=1)

    ends = [
        minimize(negative, rng.normal(size=1 + free), method="BFGS", options={"gtol": 1e-7}).fun
        for _ in range(starts)
    ]
    return -min(ends)


def test_one_class_has_the_same_probability_for_all_items():
    X = answers(300, 11, last=0.8)
    equal = {"probabilities": [[0, 0, 0, 0, 0]]}
    same = bm.Mixture(2, family=bm.Bernoulli(), equal=equal, **EXACT).fit(X)
    x = X.to_numpy()

    def log_densities(theta):
        logits = np.array([np.repeat(theta[0], 5), theta[1:]])
        return -(x @ np.logaddexp(0.0, -logits).T + (1 - x) @ np.logaddexp(0.0, logits).T)

    expected = likeliest(6, log_densities, np.ones(300), 12)
    assert same.log_likelihood_ == pytest.approx(expected, abs=1e-5)
    assert np.ptp(same.probabilities_[0]) == 0.0
    assert np.ptp(same.probabilities_[1]) > 0.1
    assert same.n_parameters_ == 7
    free = bm.Mixture(2, family=bm.Bernoulli(), **EXACT).fit(X)
    test = bm.likelihood_ratio_test(same, X, against=free)
    assert test.degrees_of_freedom == 4
    errors = same.parameter_table(X).xs("class 1", level="class")["standard_error"]
    assert np.ptp(errors["probability"]) < 1e-8
    # Half of them in each class, as each has a label of its own there.
    two = np.arange(2)[:, None] * 2 + [0, 0, 0, 1, 1]
    both = bm.Mixture(2, family=bm.Bernoulli(), equal={"probabilities": two}, random_state=0).fit(X)
    assert both.n_parameters_ == 5
    assert (np.ptp(both.probabilities_[:, :3], axis=1) == 0.0).all()
    assert (np.ptp(both.probabilities_[:, 3:], axis=1) == 0.0).all()


def test_thresholds_of_ratings_are_equal_across_items():
    rng = generator(13)
    n, K, D = 250, 2, 4
    classes = rng.integers(K, size=n)
    shares = np.array([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]])
    x = np.array([[rng.choice(3, p=shares[c]) for _ in range(D)] for c in classes])
    labels = np.repeat(np.arange(K)[:, None], D, axis=1)
    settings = {"family": bm.Categorical(levels=[[1, 2, 3]] * D), **EXACT}
    same = bm.Mixture(K, equal={"probabilities": labels}, **settings).fit(x + 1)
    counts = (x[:, :, None] == np.arange(3)).sum(axis=1)

    def log_densities(theta):
        logs = log_softmax(np.column_stack([np.zeros(2), theta.reshape(2, 2)]), axis=1)
        return counts @ logs.T

    expected = likeliest(4, log_densities, np.ones(n), 14)
    assert same.log_likelihood_ == pytest.approx(expected, abs=1e-5)
    assert same.n_parameters_ == 5
    free = bm.Mixture(K, **settings).fit(x + 1)
    assert bm.likelihood_ratio_test(same, x + 1, against=free).degrees_of_freedom == 12


def test_thresholds_are_equal_across_waves_of_a_panel():
    rng = generator(15)
    persons, waves, items = 60, 3, 2
    states = np.cumsum(rng.random((persons, waves)) < 0.3, axis=1) % 2
    x = (rng.random((persons, waves, items)) < np.where(states, 0.8, 0.25)[..., None]).astype(float)
    wide = np.full((persons, waves, waves * items), np.nan)  # a column for each item and wave
    for wave in range(waves):
        wide[:, wave, wave * items : (wave + 1) * items] = x[:, wave]
    wide = wide.reshape(persons * waves, -1)
    # The first item has the same probabilities at all waves, the second its own.
    columns = np.array([0, 1, 0, 2, 0, 3])
    labels = np.arange(2)[:, None] * 4 + columns
    settings = {"family": "bernoulli", "missing": "use", "random_state": 0, "n_init": 6}
    settings |= {"max_iter": 5000, "tol": 1e-11}
    model = bm.HiddenMarkovModel(2, equal={"probabilities": labels}, **settings)
    model.fit(wide, lengths=[waves] * persons)
    assert model.n_parameters_ == 3 + 8

    def negative(theta):
        logits = theta[3:][labels].reshape(2, waves, items)
        logs = np.einsum("pwi,kwi->pwk", x, -np.logaddexp(0.0, -logits))
        logs += np.einsum("pwi,kwi->pwk", 1 - x, -np.logaddexp(0.0, logits))
        ahead = log_softmax([0.0, theta[0]]) + logs[:, 0]
        moves = log_softmax(np.array([[0.0, theta[1]], [0.0, theta[2]]]), axis=1)
        for wave in (1, 2):
            ahead = logsumexp(ahead[:, :, None] + moves, axis=1) + logs[:, wave]
        return -logsumexp(ahead, axis=1).sum()

    ends = [
        minimize(negative, rng.normal(size=11), method="BFGS", options={"gtol": 1e-6}).fun
        for _ in range(12)
    ]
    assert model.log_likelihood_ == pytest.approx(-min(ends), abs=1e-5)
    free = bm.HiddenMarkovModel(2, **settings).fit(wide, lengths=[waves] * persons)
    test = bm.likelihood_ratio_test(model, wide, against=free)
    assert test.degrees_of_freedom == 4


@pytest.mark.parametrize("n_trials", [None, [3, 7, 2]])
def test_counts_of_one_class_are_equal_across_columns_at_the_optimum(n_trials):
    rng = generator(16)
    classes, trials = rng.random(200) < 0.5, np.array([3, 7, 2])
    weights = rng.integers(1, 3, 200)
    if n_trials is None:
        family, name = bm.Poisson(), "rates"
        X = rng.poisson(np.where(classes[:, None], 3.0, [0.5, 1.0, 6.0]))
    else:
        family, name = bm.Binomial(n_trials), "probabilities"
        X = rng.binomial(trials, np.where(classes[:, None], 0.7, [0.1, 0.3, 0.5]))
    labels = [[0, 0, 0]]
    model = bm.Mixture(2, family=family, equal={name: labels}, **EXACT)
    model.fit(X, sample_weight=weights)

    def log_densities(theta):
        own = [np.repeat(theta[0], 3), theta[1:]]
        if n_trials is None:
            logs = [stats.poisson(np.exp(row)).logpmf(X) for row in own]
        else:
            logs = [stats.binom(trials, 1.0 / (1.0 + np.exp(-row))).logpmf(X) for row in own]
        return np.sum(logs, axis=2).T

    expected = likeliest(4, log_densities, weights, 17)
    assert model.log_likelihood_ == pytest.approx(expected, abs=1e-5)
    assert model.n_parameters_ == 5


@pytest.mark.parametrize("missing", [False, True])
def test_means_and_variances_of_one_profile_are_equal_across_columns(missing):
    rng = generator(18)
    n = 240
    classes = rng.random(n) < 0.4
    means = np.where(classes[:, None], [4.0, 4.0, 4.0], [0.0, 1.0, -2.0])
    X = means + rng.normal(size=(n, 3)) * np.where(classes[:, None], 1.0, [0.5, 1.5, 3.0])
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    cells = [[0, 0, 0], [1, 2, 3]]
    equal = {"means": cells, "covariances": [[0, 0, 0]]}
    settings = {"covariance_type": "diag", **EXACT, "missing": "use" if missing else "error"}
    model = bm.GaussianMixture(2, equal=equal, **settings).fit(X)
    assert model.n_parameters_ == 13 - 4
    assert np.ptp(model.means_, axis=1).round(12).tolist()[0] == 0.0
    assert np.ptp(model.covariances_, axis=1).round(12).tolist()[0] == 0.0

    def log_densities(theta):
        rows = [(np.repeat(theta[0], 3), np.repeat(theta[4], 3)), (theta[1:4], theta[5:])]
        logs = [stats.norm(m, np.exp(s)).logpdf(X) for m, s in rows]
        return np.nansum(logs, axis=2).T

    expected = likeliest(8, log_densities, np.ones(n), 19, starts=4)
    assert model.log_likelihood_ == pytest.approx(expected, abs=1e-5)


def test_equal_cells_take_the_value_that_one_of_them_holds():
    X = answers(300, 20)
    hold = {"probabilities": [[np.nan, 0.8, np.nan, np.nan, np.nan]]}
    equal = {"probabilities": [[0, 0, 0, 0, 1]]}
    model = bm.Mixture(2, family=bm.Bernoulli(), hold=hold, equal=equal, random_state=0).fit(X)
    assert (model.probabilities_[0, :4] == 0.8).all()
    assert model.n_parameters_ == 1 + 1 + 5
    text = bm.class_profiles(model, X).to_apa().to_markdown()
    assert text.count(".80 (held)") == 4


@pytest.mark.parametrize("weights", [[0, 0, 1], {"hold": [0.5]}])
def test_weights_and_whole_covariances_are_at_the_optimum(weights):
    rng = generator(21)
    means = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    X = means[rng.choice(3, 150, p=[0.5, 0.3, 0.2])] + rng.normal(size=(150, 2))
    held = np.array([[1.2, 0.3], [0.3, 0.9]])
    nan = np.full((2, 2), np.nan)
    hold, equal = {"covariances": [held, nan, nan]}, {"covariances": [0, 1, 1]}
    if isinstance(weights, dict):
        hold["weights"] = weights["hold"]
    else:
        equal["weights"] = weights
    model = bm.GaussianMixture(3, hold=hold, equal=equal, **EXACT).fit(X)

    def negative(theta):
        log_weights = log_softmax([0.0, 0.0, theta[0]])
        if isinstance(weights, dict):
            log_weights = np.log(0.5) + np.append(0.0, log_softmax([0.0, theta[0]]))
        root = np.array([[np.exp(theta[7]), 0.0], [theta[8], np.exp(theta[9])]])
        covariances = [held, root @ root.T, root @ root.T]
        logs = [
            w + stats.multivariate_normal(m, c).logpdf(X)
            for w, m, c in zip(log_weights, theta[1:7].reshape(3, 2), covariances, strict=True)
        ]
        return -logsumexp(logs, axis=0).sum()

    ends = []
    for order in ([0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0], [2, 1, 0]):
        start = np.r_[0.0, means[order].ravel(), 0.0, 0.0, 0.0]
        ends.append(minimize(negative, start, method="BFGS", options={"gtol": 1e-7}).fun)
    assert model.log_likelihood_ == pytest.approx(-min(ends), abs=1e-5)
    assert model.n_parameters_ == 10
    free = bm.GaussianMixture(3, **EXACT).fit(X)
    assert bm.likelihood_ratio_test(model, X, against=free).degrees_of_freedom == 17 - 10
    text = bm.class_profiles(model, X).to_apa().to_markdown()
    assert text.count("(held)") == 2  # deviations of the held covariance
    errors = model.parameter_table(X)["standard_error"]
    assert (errors.loc["share"] == 0.0).tolist() == [isinstance(weights, dict), False, False]


def test_a_saved_model_keeps_the_columns_that_are_equal(fits, tmp_path):
    same = fits[1]
    same.save(tmp_path / "same.bayesmix")
    loaded = bm.load(tmp_path / "same.bayesmix")
    assert loaded.n_parameters_ == same.n_parameters_
    (own,), (again,) = (tuple(one.result_.inference.restriction) for one in (same, loaded))
    assert (own.columns == again.columns).all()


def test_a_saved_model_keeps_the_cells_that_are_equal(tmp_path):
    X = answers(300, 26)
    equal = {"probabilities": [[0, 0, 1, 1, 2]]}
    model = bm.Mixture(2, family=bm.Bernoulli(), equal=equal, random_state=0).fit(X)
    model.save(tmp_path / "cells.bayesmix")
    loaded = bm.load(tmp_path / "cells.bayesmix")
    assert loaded.n_parameters_ == model.n_parameters_ == 1 + 3 + 5
    pd.testing.assert_frame_equal(loaded.parameter_table(X), model.parameter_table(X))


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
def test_true_equal_items_of_a_class_are_rejected_at_the_level():
    p = []
    for seed in range(40):
        rng = generator(1000 + seed)
        classes = rng.random(400) < 0.5
        shares = np.where(classes[:, None], 0.85, [0.1, 0.2, 0.3, 0.15])
        X = (rng.random((400, 4)) < shares).astype(int)
        equal = {"probabilities": [[0, 0, 0, 0]]}
        settings = {"family": bm.Bernoulli(), "random_state": 0, "search": "short"}
        same = bm.Mixture(2, equal=equal, **settings).fit(X)
        free = bm.Mixture(2, **settings).fit(X)
        p.append(bm.likelihood_ratio_test(same, X, against=free).p_value)
    # More rejections than that have a probability of at most .01.
    assert (np.array(p) < 0.05).sum() <= stats.binom.ppf(0.99, 40, 0.05)
    assert stats.kstest(p, "uniform").pvalue > 0.001


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


def test_enumerations_take_equal_items_and_held_weights():
    X = answers(400, 22, last=0.9).astype(str)
    options = {"n_bootstrap": 0, "random_state": 0}
    found = bm.enumerate_classes(
        X, range(1, 4), equal={"probabilities": [[0, 0, 0, 0, 0]]}, **options
    )
    assert found.table["n_parameters"].tolist() == [1, 7, 13]
    held = bm.enumerate_classes(X, range(1, 4), equal={"weights": True}, **options)
    assert held.table["n_parameters"].tolist() == [5, 10, 15]


def test_held_transitions_are_called_held():
    rng = generator(23)
    states = np.repeat([0, 1], 3)[None].repeat(60, axis=0).ravel()
    X = (rng.random((360, 4)) < np.where(states[:, None], 0.8, 0.2)).astype(float)
    hold = {"transmat": [[np.nan, np.nan], [0.0, 1.0]], "startprob": [1.0, 0.0]}
    model = bm.HiddenMarkovModel(2, family="bernoulli", hold=hold, random_state=0)
    model.fit(X, lengths=[6] * 60)
    text = bm.class_profiles(model, X).to_apa("transitions").to_markdown()
    assert "| From State 2 | .00 (held) | 1.00 (held) |" in text
    errors = model.parameter_table(X)["standard_error"]
    assert (errors.loc["start"] == 0.0).all()
    assert (errors.loc["transition"].to_numpy() == 0.0).tolist() == [False, False, True, True]


ITEMS = {"family": bm.Categorical(levels=[[0, 1], [0, 1, 2]])}


@pytest.mark.parametrize(
    ("settings", "restrictions", "words"),
    [
        ({}, {"equal": {"probabilities": [[0, 0, 0]]}}, "must have a row of 2 labels"),
        ({}, {"equal": {"probabilities": [[0, 0], [0]]}}, "must have a row of 2 labels"),
        ({}, {"equal": {"probabilities": [[0.5, 0.5]]}}, "must have a row of 2 labels"),
        ({}, {"equal": {"probabilities": [[0, 1], [2, 3], [4, 5]]}}, "each of n_components=2"),
        (ITEMS, {"equal": {"probabilities": [[0, 0]]}}, r"levels \[0, 1\] and \[0, 1, 2\] differ"),
        (
            {},
            {"equal": {"probabilities": [[0, 0]]}, "hold": {"probabilities": [[0.2, 0.3]]}},
            "different values for column '0' of component 0 and column '1' of component 0",
        ),
        (
            {},
            {"equal": {"weights": True}, "hold": {"weights": [0.6]}},
            r"hold\['weights'\] with equal\['weights'\] must sum to 1, got a sum of 1.2",
        ),
        ({}, {"equal": {"weights": [[0, 1]]}}, r"equal\['weights'\] must be True, or a label"),
    ],
)
def test_contradicting_labels_of_columns_are_named(settings, restrictions, words):
    X = np.random.default_rng(24).integers(0, 2, (50, 2))
    model = bm.Mixture(2, **({"family": bm.Bernoulli()} | settings), **restrictions)
    with pytest.raises(InvalidInputError, match=words):
        model.fit(X)
    assert not hasattr(model, "result_")


def test_columns_that_cannot_be_equal_are_refused_with_the_reason():
    X = np.random.default_rng(25).normal(size=(60, 2))
    for equal in ({"means": [[0, 0]]}, {"covariances": [[0, 0]]}):
        model = bm.GaussianMixture(2, equal=equal)
        with pytest.raises(UnsupportedError, match="must be independent within components"):
            model.fit(X)
    model = bm.GaussianMixture(2, equal={"covariances": {0: True}}, covariance_type="diag")
    with pytest.raises(UnsupportedError, match="use labels of shape"):
        model.fit(X)


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
