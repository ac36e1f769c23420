"""Classification by mixtures: mclust's numbers, sums by hand, unlabelled samples, novelty."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from laws.cases import generator

IRIS, SPECIES = load_iris(return_X_y=True)


def test_iris_by_edda_is_that_of_mclust():
    """mclust 6.0.0, MclustDA(iris[, 1:4], iris$Species, modelType = "EDDA")."""
    classifier = bm.MixtureClassifier(random_state=0).fit(IRIS, SPECIES)
    assert set(classifier.structures_["covariance_type"]) == {"VEV"}
    assert classifier.log_likelihood_ == pytest.approx(-187.7097, abs=1e-3)
    assert classifier.joint_log_likelihood_ == pytest.approx(-194.0475, abs=1e-3)
    assert classifier.n_parameters_ == 36
    assert classifier.bic(IRIS, SPECIES) == pytest.approx(555.80, abs=0.01)


@pytest.mark.slow
def test_iris_by_mixtures_of_classes_has_a_bic_at_least_mclusts():
    """mclust 6.0.0, MclustDA(iris[, 1:4], iris$Species): BIC -581.13 in its sign."""
    classifier = bm.MixtureClassifier("auto", random_state=0).fit(IRIS, SPECIES)
    assert classifier.bic(IRIS) <= 581.13
    assert classifier.score(IRIS, SPECIES) >= 0.97


@pytest.mark.parametrize(
    ("structure", "other"),
    [("tied", LinearDiscriminantAnalysis()), ("full", QuadraticDiscriminantAnalysis())],
)
def test_tied_and_full_covariances_are_linear_and_quadratic_discriminant_analysis(structure, other):
    X, y = load_wine(return_X_y=True)
    classifier = bm.MixtureClassifier(covariance_type=structure).fit(X, y)
    # Maximum likelihood against unbiased covariances: n_k and n_k - 1.
    assert np.abs(classifier.predict_proba(X) - other.fit(X, y).predict_proba(X)).max() < 0.03
    assert (classifier.predict(X) == other.predict(X)).mean() > 0.99


def test_log_densities_and_probabilities_by_hand():
    rng = generator(1)
    y = rng.integers(0, 3, 200)
    X = rng.normal(size=(200, 2)) + 2.0 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    classifier = bm.MixtureClassifier(covariance_type="full").fit(X, y)
    joint = np.array(
        [
            multivariate_normal.logpdf(X, X[y == k].mean(0), np.cov(X[y == k].T, bias=True))
            + np.log(np.mean(y == k))
            for k in range(3)
        ]
    ).T
    np.testing.assert_allclose(classifier.score_samples(X), logsumexp(joint, axis=1), rtol=1e-9)
    expected = joint - logsumexp(joint, axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_log_proba(X), expected, rtol=1e-8, atol=1e-9)
    given = bm.MixtureClassifier(covariance_type="full", priors=[1, 1, 2]).fit(X, y)
    joint += np.log([0.25, 0.25, 0.5]) - np.log(np.bincount(y) / len(y))
    np.testing.assert_allclose(given.score_samples(X), logsumexp(joint, axis=1), rtol=1e-9)


def four_known(rng, unknown):
    """Names of the species of four samples each."""
    names = np.array(["a", "b", "c"], dtype=object)[SPECIES]
    y = np.full(150, unknown, dtype=object)
    for k in range(3):
        known = rng.choice(np.flatnonzero(k == SPECIES), 4, replace=False)
        y[known] = names[known]
    return names, y


@pytest.mark.slow
def test_samples_without_a_class_take_part():
    rng = generator(2)
    errors, alone = [], []
    for _ in range(4):
        names, y = four_known(rng, None)
        rest = pd.isna(y)
        both = bm.MixtureClassifier(random_state=0).fit(IRIS, y)
        errors.append((both.predict(IRIS[rest]) != names[rest]).mean())
        few = bm.MixtureClassifier(covariance_type="tied").fit(IRIS[~rest], y[~rest])
        alone.append((few.predict(IRIS[rest]) != names[rest]).mean())
    # mclust's error with four labels a class is 0.083.
    assert np.mean(errors) < 0.083
    assert np.mean(errors) <= np.mean(alone) + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("unknown", [np.nan, pd.NA])
def test_an_unknown_class_may_be_said_in_several_ways(unknown):
    fits = []
    for value in (None, unknown):
        _, y = four_known(generator(2), value)
        fits.append(bm.MixtureClassifier(random_state=0).fit(IRIS, y).predict_proba(IRIS))
    np.testing.assert_array_equal(*fits)


def test_unlabelled_samples_of_mixtures_of_classes():
    rng = generator(3)
    y = rng.integers(0, 2, 400)
    side = rng.integers(0, 2, 400)
    X = rng.normal(size=(400, 2)) + 8.0 * np.stack([side, (side + y) % 2], axis=1)
    labels = np.where(rng.random(400) < 0.2, y, -1)
    classifier = bm.MixtureClassifier(2, unlabelled=-1, random_state=0).fit(X, labels)
    assert classifier.structures_["components"].tolist() == [2, 2]
    assert classifier.score(X, y) > 0.99
    few = bm.MixtureClassifier(2, random_state=0).fit(X[labels >= 0], labels[labels >= 0])
    assert classifier.score_samples(X).sum() > few.score_samples(X).sum()


def test_a_sample_of_no_known_class_is_novel():
    rng = generator(4)
    y = rng.integers(0, 2, 200)
    X = rng.normal(size=(200, 2)) + 6.0 * y[:, None]
    classifier = bm.MixtureClassifier(novelty=True, random_state=0).fit(X, y)
    far = np.array([[-30.0, 40.0], [0.0, 0.0], [6.0, 6.0]])
    assert classifier.predict(far).tolist() == [-1, 0, 1]
    np.testing.assert_allclose(classifier.predict_proba(far).sum(axis=1), 1.0)
    # A tenth of unlabelled samples from elsewhere raises its weight.
    unknown = np.vstack([X, rng.normal(size=(40, 2)) * 3.0 + [-20.0, 20.0]])
    labels = np.append(y, np.full(40, -1))
    learned = bm.MixtureClassifier(novelty=True, unlabelled=-1, random_state=0).fit(unknown, labels)
    assert learned.novelty_weight_ == pytest.approx(40 / 240, abs=0.03)
    assert (learned.predict(unknown[200:]) == -1).mean() > 0.9
    assert learned.score(X, y) > 0.97


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the fit did not converge")
def test_singular_classes_are_fitted_by_their_posterior():
    X, y = load_digits(return_X_y=True)
    train = generator(5).random(len(X)) < 0.5
    classifier = bm.MixtureClassifier(random_state=0).fit(X[train], y[train])
    assert classifier.models_[0].result_.variational
    assert classifier.score(X[~train], y[~train]) > 0.96


def test_mixed_tables_with_missing_values():
    rng = generator(6)
    y = rng.integers(0, 2, 300)
    frame = pd.DataFrame(
        {
            "size": rng.normal(3.0 * y, 1.0),
            "colour": np.where(rng.random(300) < np.where(y == 0, 0.8, 0.2), "red", "blue"),
        }
    )
    frame.loc[::11, "size"] = np.nan
    classifier = bm.MixtureClassifier(family="auto", missing="use", random_state=0).fit(frame, y)
    assert classifier.score(frame, y) > 0.9
    assert np.isfinite(classifier.score_samples(frame)).all()


def test_discriminant_directions_are_those_of_linear_discriminant_analysis():
    classifier = bm.MixtureClassifier(covariance_type="tied").fit(IRIS, SPECIES)
    directions = bm.discriminant_directions(classifier)
    other = LinearDiscriminantAnalysis().fit(IRIS, SPECIES)
    for mine, theirs in zip(directions.transform(IRIS).T, other.transform(IRIS).T, strict=True):
        assert abs(np.corrcoef(mine, theirs)[0, 1]) == pytest.approx(1.0, abs=1e-9)
    shares = directions.eigenvalues / directions.eigenvalues.sum()
    np.testing.assert_allclose(shares, other.explained_variance_ratio_, rtol=1e-6)
    more = bm.discriminant_directions(classifier, "means and covariances")
    np.testing.assert_allclose(np.abs(more.directions), np.abs(directions.directions), rtol=1e-5)
    clusters = bm.GaussianMixture(2, random_state=0).fit(IRIS)
    assert bm.discriminant_directions(clusters, "means and covariances").directions.shape[1] > 1


def test_classifiers_are_saved(tmp_path):
    for n_components, dtype in ((1, "i1"), (2, "U1")):
        classifier = bm.MixtureClassifier(n_components, covariance_type="tied")
        classifier.fit(IRIS, SPECIES.astype(dtype)).save(tmp_path / "classes.bayesmix")
        again = bm.load(tmp_path / "classes.bayesmix")
        np.testing.assert_array_equal(again.predict_proba(IRIS), classifier.predict_proba(IRIS))
        assert again.summary() == classifier.summary()
        assert again.classes_.dtype == again.predict(IRIS).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({}, SPECIES[:5], "one class for each of the 150 samples"),
        ({}, np.full(150, np.nan), "every sample is unlabelled"),
        ({}, IRIS[:, 0] + 0.01, "y must hold classes"),
        ({"n_components": {"rose": 2}}, SPECIES, "names class 'rose'"),
        ({"n_components": 0}, SPECIES, "n_components"),
        ({"priors": [0.5, 0.5]}, SPECIES, "one positive number for each of the 3"),
        ({"priors": {0: 1, 1: 1}}, SPECIES, "no entry for class 2"),
        ({"n_components": 3}, np.r_[np.zeros(148), 1, 1], "class 1.0 with 2 samples"),
        ({}, np.array([1, "a"] * 75, dtype=object), "classes of one type"),
        ({"unlabelled": [0, 1]}, SPECIES, "unlabelled must be a single value"),
        ({"novelty": True}, SPECIES - 1, "y must not contain the class -1"),
        ({"inference": "vb"}, SPECIES, "^inference must be"),
    ],
)
def test_bad_input_is_refused(parameters, y, message):
    with pytest.raises(InvalidInputError, match=message):
        bm.MixtureClassifier(**parameters).fit(IRIS, y)


def test_a_single_class_is_fitted_as_scikit_learn_expects():
    classifier = bm.MixtureClassifier().fit(IRIS, np.full(150, 2))
    assert classifier.summary().startswith("Mixture classifier (EDDA): 1 class, 4 features,")
    assert set(classifier.predict(IRIS).tolist()) == {2}


@pytest.mark.slow
def test_classes_with_fewer_samples_than_features_predict_new_samples():
    rng = generator(7)
    y = np.repeat([0, 1], 100)
    X = rng.normal(size=(200, 15)) + 0.8 * y[:, None]
    train = np.r_[0:10, 100:110]
    classifier = bm.MixtureClassifier("auto", random_state=0).fit(X[train], y[train])
    probability = classifier.predict_proba(X)[np.arange(200), y]
    # Log loss is log 2 for guesses.
    assert -np.log(probability).mean() < np.log(2.0)
    with pytest.raises(InvalidInputError, match="covariances of 10 samples are singular"):
        bm.MixtureClassifier(2, covariance_type="full").fit(X[train], y[train])


def test_a_class_of_one_sample_does_not_decide_the_structure():
    rng = generator(8)
    side = rng.integers(0, 2, 100)
    X = rng.normal(size=(100, 2)) * 0.3 + 4.0 * side[:, None]
    # Two clusters along the diagonal, and a single sample of another class.
    y = np.append(np.zeros(100, dtype=int), 1)
    classifier = bm.MixtureClassifier(random_state=0).fit(np.vstack([X, [[4.0, 0.0]]]), y)
    assert classifier.structures_["covariance_type"].iloc[0] in ("full", "tied", "EEE", "VVV")


def test_novelty_counts_samples_by_their_weights():
    rng = generator(9)
    y = np.append(np.repeat([0, 1], 40), np.full(15, -1))
    X = rng.normal(size=(95, 2)) + 6.0 * y[:, None] + np.where(y == -1, 30.0, 0.0)[:, None]
    weights = rng.integers(1, 4, 95)
    options = {"novelty": True, "unlabelled": -1, "covariance_type": "full"}
    weighted = bm.MixtureClassifier(**options).fit(X, y, sample_weight=weights)
    times = np.repeat(np.arange(95), weights)
    repeated = bm.MixtureClassifier(**options).fit(X[times], y[times])
    assert weighted.novelty_weight_ == pytest.approx(repeated.novelty_weight_, rel=1e-6)
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-6)


def test_masked_classes_are_unknown_and_novelty_keeps_booleans():
    hidden = np.arange(150) % 3 > 0
    masked = bm.MixtureClassifier(random_state=0).fit(IRIS, np.ma.array(SPECIES, mask=hidden))
    assert masked.structures_["samples"].tolist() == [17, 17, 16]
    novel = bm.MixtureClassifier(novelty=True, random_state=0).fit(IRIS, SPECIES == 0)
    assert novel.score(IRIS, SPECIES == 0) > 0.95


def test_directions_of_frames_missing_classes_and_equal_means():
    frame = pd.DataFrame(IRIS, columns=list("abcd"))
    classifier = bm.MixtureClassifier(covariance_type="tied").fit(frame, SPECIES)
    directions = bm.discriminant_directions(classifier)
    np.testing.assert_allclose(
        directions.transform(frame[list("dcba")]), directions.transform(frame)
    )
    names = pd.Series(np.array(["a", "b", "c"])[SPECIES], dtype="string")
    names[::2] = pd.NA
    directions.plot(frame, names)
    classifier.plot(frame, names)
    plt.close("all")
    same = bm.MixtureClassifier(covariance_type="full").fit(
        np.vstack([IRIS, IRIS]), np.repeat([0, 1], 150)
    )
    with pytest.raises(InvalidInputError, match="means of the components or classes are equal"):
        bm.discriminant_directions(same)


def test_novelty_needs_numbers():
    frame = pd.DataFrame({"x": ["a", "b"] * 20})
    with pytest.raises(UnsupportedError, match="novelty"):
        bm.MixtureClassifier(family="auto", novelty=True).fit(frame, [0, 1] * 20)


@pytest.mark.slow
def test_regions_of_classes_are_marginal_and_need_numbers():
    X = np.random.default_rng(0).normal(size=(80, 3)) + np.repeat([[0.0], [4.0]], 40, axis=0)
    y = np.repeat([0, 1], 40)
    students = bm.MixtureClassifier(family="student_t", inference=bm.VariationalBayes())
    assert students.fit(X, y).plot(X, ax=Figure().subplots()).get_images()
    frame = pd.DataFrame({"x": X[:, 0], "kind": np.where(y, "a", "b"), "z": X[:, 1]})
    mixed = bm.MixtureClassifier(family="auto").fit(frame, y)
    with pytest.raises(UnsupportedError, match="kind has levels: choose two other features"):
        mixed.plot()
    assert mixed.plot(features=("x", "z"), ax=Figure().subplots()).get_images()


def test_a_sample_that_no_class_can_have_has_the_shares_of_the_classes():
    values, y = np.array([[0], [1], [1], [0], [1], [2]]), np.array(list("aabbba"))
    family = bm.Categorical([[0, 1, 2]])
    classifier = bm.MixtureClassifier(family=family, inference=bm.MaximumLikelihood())
    classifier.fit(values, y, sample_weight=[1, 1, 1, 1, 1, 0])
    assert classifier.score_samples([[2]])[0] == -np.inf
    with pytest.warns(BayesmixWarning, match="impossible in every class"):
        np.testing.assert_allclose(classifier.predict_proba([[2]]), [classifier.priors_])
    np.testing.assert_allclose(classifier.priors_, [0.4, 0.6])
    with pytest.raises(InvalidInputError, match="at least one row"):
        classifier.predict(values[:0])


def test_the_number_of_components_of_each_class_is_found_at_the_best_bic():
    rng = generator(9)
    y, corner = rng.integers(0, 2, 240), rng.integers(0, 6, 240)
    X = rng.normal(size=(240, 2)) + 9.0 * np.stack([corner % (2 + y), 2 * y], axis=1)
    structures = ("spherical", "tied", "VEI")
    classifier = bm.MixtureClassifier("auto", covariance_type=structures, random_state=0).fit(X, y)
    assert classifier.structures_["components"].tolist() == [2, 3]
    for g, model in classifier.models_.items():
        rest = [
            bm.Mixture(2 + g, covariance_type=name, random_state=1).fit(X[y == g]).result_
            for name in structures
        ]
        best = max(each.log_likelihood - 0.5 * each.n_parameters * np.log(240) for each in rest)
        reached = model.result_.log_likelihood - 0.5 * model.result_.n_parameters * np.log(240)
        assert reached >= best - 1e-4
