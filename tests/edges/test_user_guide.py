"""What scikit-learn's user guide and example gallery do with mixtures, with the import changed.

Each test is the computation of one page, in our own words: ``modules/mixture`` and the examples
``plot_gmm_selection``, ``plot_gmm_pdf``, ``plot_gmm_covariances``, ``plot_gmm_init``, ``plot_gmm``,
``plot_gmm_sin`` and ``plot_concentration_prior``; then the tools of the rest of scikit-learn.
"""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_clusterer
from sklearn.cluster import kmeans_plusplus
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_dataframe_column_names_consistency

from bayesmix import BayesianGaussianMixture, GaussianMixture, Mixture

STRUCTURES = ["spherical", "tied", "diag", "full"]


def two_blobs(n=500, seed=0):
    """One component stretched by a matrix, one round and shifted."""
    rng = np.random.RandomState(seed)
    stretched = rng.randn(n, 2) @ np.array([[0.0, -0.1], [1.7, 0.4]])
    shifted = 0.7 * rng.randn(n, 2) + np.array([-4, 1])
    return np.concatenate([stretched, shifted])


@pytest.mark.slow
def test_plot_gmm_selection_grid_search_with_a_bic_scorer():
    X = two_blobs(200)

    def gmm_bic_score(estimator, X):
        return -estimator.bic(X)

    grid = GridSearchCV(
        GaussianMixture(random_state=0),
        param_grid={"n_components": range(1, 4), "covariance_type": STRUCTURES},
        scoring=gmm_bic_score,
        cv=3,
    ).fit(X)
    frame = pd.DataFrame(grid.cv_results_)[
        ["param_n_components", "param_covariance_type", "mean_test_score"]
    ]
    assert len(frame) == 12
    assert np.isfinite(frame["mean_test_score"]).all()
    assert grid.best_params_ == {"covariance_type": "full", "n_components": 2}
    model = grid.best_estimator_
    assert adjusted_rand_score(grid.predict(X), np.repeat([0, 1], 200)) > 0.9
    for mean, covariance in zip(model.means_, model.covariances_, strict=True):
        values, vectors = np.linalg.eigh(covariance)
        assert mean.shape == (2,)
        assert (values > 0).all()
        assert vectors.shape == (2, 2)


def test_plot_gmm_pdf_density_on_a_grid():
    rng = np.random.RandomState(0)
    shifted = rng.randn(300, 2) + np.array([20, 20])
    stretched = rng.randn(300, 2) @ np.array([[0.0, -0.7], [3.5, 0.7]])
    clf = GaussianMixture(n_components=2, covariance_type="full")
    clf.fit(np.vstack([shifted, stretched]))
    x, y = np.meshgrid(np.linspace(-20.0, 30.0), np.linspace(-20.0, 40.0))
    Z = -clf.score_samples(np.array([x.ravel(), y.ravel()]).T).reshape(x.shape)
    assert Z.shape == x.shape
    assert (Z > 0).all()
    lowest = np.unravel_index(Z.argmin(), Z.shape)
    nearest = np.abs(clf.means_ - [x[lowest], y[lowest]]).max(axis=1).min()
    assert nearest < 2.0


def test_plot_gmm_covariances_started_at_the_classes_means():
    iris = load_iris()
    folds = StratifiedKFold(n_splits=4)
    train, test = next(iter(folds.split(iris.data, iris.target)))
    X, y = iris.data[train], iris.target[train]
    n_classes = len(np.unique(y))
    estimators = {
        kind: GaussianMixture(
            n_components=n_classes, covariance_type=kind, max_iter=200, random_state=0
        )
        for kind in STRUCTURES
    }
    for kind, estimator in estimators.items():
        # The example sets the attribute after the constructor.
        estimator.means_init = np.array([X[y == i].mean(axis=0) for i in range(n_classes)])
        estimator.fit(X)
        # The start keeps its order, so that components are classes.
        accuracy = np.mean(estimator.predict(iris.data[test]) == iris.target[test])
        assert accuracy > 0.75, kind
        covariances = estimator.covariances_
        ellipse = {
            "full": lambda n, c=covariances: c[n][:2, :2],
            "tied": lambda n, c=covariances: c[:2, :2],
            "diag": lambda n, c=covariances: np.diag(c[n][:2]),
            "spherical": lambda n, c=covariances: np.eye(2) * c[n],
        }[kind]
        assert np.linalg.eigvalsh(ellipse(0)).min() > 0


# From the rows that "random_from_data" draws with this seed, EM climbs by more than 1e-9 nats a
# row for 2,000 iterations; scikit-learn's does too.
@pytest.mark.filterwarnings("ignore:.*did not converge.*")
@pytest.mark.parametrize("method", ["kmeans", "random_from_data", "k-means++", "random"])
def test_plot_gmm_init_means_from_each_start(method):
    X = make_blobs(n_samples=4000, centers=4, cluster_std=0.60, random_state=0)[0][:, ::-1]

    def initial_means(X, init_params):
        # The example's own trick: no iteration, a tiny tolerance.
        gmm = GaussianMixture(
            n_components=4, init_params=init_params, tol=1e-9, max_iter=0, random_state=0
        ).fit(X)
        return gmm.means_

    start = initial_means(X, method)
    gmm = GaussianMixture(
        n_components=4, means_init=start, tol=1e-9, max_iter=2000, random_state=0
    ).fit(X)
    assert gmm.n_iter_ >= 1
    assert start.shape == gmm.means_.shape == (4, 2)


@pytest.mark.slow
def test_plot_gmm_bayesian_and_classical_side_by_side():
    X = two_blobs()
    gmm = GaussianMixture(n_components=5, covariance_type="full").fit(X)
    dpgmm = BayesianGaussianMixture(n_components=5, covariance_type="full").fit(X)
    for model in (gmm, dpgmm):
        labels = model.predict(X)
        used = [i for i in range(len(model.means_)) if np.any(labels == i)]
        for i in used:
            v, w = np.linalg.eigh(model.covariances_[i])
            assert (v > 0).all()
            assert np.isclose(np.linalg.norm(w[0]), 1.0)
    # The example's point: the Bayesian mixture uses what it needs.
    assert dpgmm.n_components_ == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_plot_gmm_sin_scikit_learns_priors_and_samples():
    rng = np.random.RandomState(0)
    step = 4.0 * np.pi / 100
    x = np.arange(100) * step - 6.0
    X = np.column_stack([x, 3.0 * (np.sin(x) + rng.normal(0, 0.2, 100))])
    for concentration in (1e-2, 1e2):
        dpgmm = BayesianGaussianMixture(
            n_components=10,
            covariance_type="full",
            weight_concentration_prior=concentration,
            weight_concentration_prior_type="dirichlet_process",
            mean_precision_prior=1e-2,
            covariance_prior=1e0 * np.eye(2),
            init_params="random",
            max_iter=100,
            random_state=2,
        ).fit(X)
        X_s, y_s = dpgmm.sample(n_samples=2000)
        assert X_s.shape == (2000, 2)
        assert set(y_s) <= set(range(dpgmm.n_components_))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("kind", "concentrations"),
    [
        ("dirichlet_distribution", [0.001, 1, 1000]),
        ("dirichlet_process", [1, 1000, 100000]),
    ],
)
def test_plot_concentration_prior(kind, concentrations):
    rng = np.random.RandomState(2)
    counts, means = [100, 250, 100], np.array([[0.0, -0.70], [0.0, 0.0], [0.0, 0.70]])
    X = np.vstack(
        [rng.multivariate_normal(means[j], np.diag([0.7, 0.1]) ** 2, counts[j]) for j in range(3)]
    )
    effective = []
    for concentration in concentrations:
        estimator = BayesianGaussianMixture(
            weight_concentration_prior_type=kind,
            n_components=6,
            reg_covar=0,
            init_params="random",
            max_iter=1500,
            mean_precision_prior=0.8,
            random_state=2,
        )
        # The example sets the prior on the instance.
        estimator.weight_concentration_prior = concentration
        estimator.fit(X)
        assert estimator.weights_.sum() == pytest.approx(1.0)
        effective.append(np.exp(-(estimator.weights_ * np.log(estimator.weights_)).sum()))
    if kind == "dirichlet_distribution":
        # A larger concentration uses no fewer components.
        assert effective[0] <= effective[-1]
    else:
        # The three of the page at 1. At 100,000 scikit-learn's sticks are even because it
        # renormalises them; in the truncated process of Blei & Jordan the last takes the rest.
        assert effective[0] == pytest.approx(3.0, abs=0.5)


def test_the_guides_criteria_by_hand():
    X = two_blobs(100)
    model = GaussianMixture(2, random_state=0).fit(X)
    p = (2 - 1) + 2 * 2 + 2 * 3
    assert model.bic(X) == pytest.approx(-2 * 200 * model.score(X) + p * np.log(200))
    assert model.aic(X) == pytest.approx(-2 * 200 * model.score(X) + 2 * p)


def test_anomalies_by_the_density_of_a_pipeline():
    X = two_blobs()
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(2, random_state=0)).fit(X)
    density = pipeline.score_samples(X)
    threshold = np.quantile(density, 0.02)
    far = pipeline.score_samples([[10.0, 10.0], [-4.0, 1.0]])
    assert far[0] < threshold < far[1]
    assert pipeline.score(X) == pytest.approx(density.mean())
    assert pipeline.predict(X).shape == (1000,)
    assert pipeline.predict_proba(X).shape == (1000, 2)
    assert pipeline.fit_predict(X).shape == (1000,)
    assert "GaussianMixture" in repr(pipeline)
    assert "GaussianMixture" in pipeline._repr_html_()


@pytest.mark.slow
def test_grid_search_over_a_pipelines_step_by_held_out_likelihood():
    X = two_blobs(150)
    pipeline = Pipeline([("scale", StandardScaler()), ("gmm", GaussianMixture(random_state=0))])
    grid = GridSearchCV(
        pipeline,
        {"gmm__n_components": [1, 2], "gmm__covariance_type": ["full", "diag"]},
        cv=KFold(3, shuffle=True, random_state=0),
    ).fit(X)
    assert grid.best_params_["gmm__n_components"] == 2
    random = RandomizedSearchCV(
        pipeline, {"gmm__n_components": [1, 2, 3]}, n_iter=2, cv=3, random_state=0
    ).fit(X)
    assert np.isfinite(random.cv_results_["mean_test_score"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_cross_validation_scores_are_held_out_log_densities(kind):
    X = two_blobs(100)
    model = kind(n_components=2, random_state=0)
    folds = KFold(4, shuffle=True, random_state=0)
    scores = cross_val_score(model, X, cv=folds)
    by_hand = [clone(model).fit(X[train]).score(X[test]) for train, test in folds.split(X)]
    np.testing.assert_allclose(scores, by_hand, rtol=1e-12)
    both = cross_validate(model, X, cv=folds, return_train_score=True, return_estimator=True)
    assert len(both["estimator"]) == 4
    np.testing.assert_allclose(both["test_score"], scores, rtol=1e-12)


@pytest.mark.slow
def test_cross_validation_in_worker_processes_gives_the_same_numbers():
    X = two_blobs(60)
    model = GaussianMixture(2, random_state=0)
    alone = cross_val_score(model, X, cv=3, n_jobs=1)
    np.testing.assert_array_equal(cross_val_score(model, X, cv=3, n_jobs=2), alone)


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_clone_pickle_and_joblib_keep_an_estimator(kind, tmp_path):
    X = two_blobs(100)
    model = kind(n_components=3, covariance_type="diag", random_state=7, tol=1e-4)
    assert clone(model).get_params() == model.get_params()
    model.fit(X)
    assert not hasattr(clone(model), "means_")
    joblib.dump(model, tmp_path / "model.joblib")
    for other in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")):
        assert other.get_params() == model.get_params()
        np.testing.assert_array_equal(other.means_, model.means_)
        np.testing.assert_array_equal(other.score_samples(X), model.score_samples(X))
        assert repr(other.result_) == repr(model.result_)


def test_frames_carry_their_names():
    X = pd.DataFrame(two_blobs(50), columns=["eruption", "waiting"])
    model = GaussianMixture(2, random_state=0).fit(X)
    assert list(model.feature_names_in_) == ["eruption", "waiting"]
    assert model.n_features_in_ == 2
    assert (model.predict(X[["waiting", "eruption"]]) == model.predict(X)).all()
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X.rename(columns={"eruption": "length"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X.to_numpy())


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture, Mixture])
def test_names_of_columns_are_checked_as_in_all_of_scikit_learn(kind):
    """But for their order: columns are found by name, and all else of that check holds."""
    with pytest.raises(AssertionError, match="did not raise") as problem:
        check_dataframe_column_names_consistency(kind.__name__, kind())
    assert "same order" in str(problem.getrepr(showlocals=True))
    X = pd.DataFrame(two_blobs(50), columns=["eruption", "waiting"])
    model = kind(random_state=0).fit(X)
    for names, said in (
        (["another", "waiting"], "unseen at fit time:\n- another"),
        (["one", "two"], "yet now missing:\n- eruption"),
    ):
        for method in (model.predict, model.score_samples, model.transform):
            with pytest.raises(ValueError, match="feature names should match") as refused:
                method(X.set_axis(names, axis=1))
            assert said.splitlines()[0] in str(refused.value)


def test_parameters_are_set_as_scikit_learn_sets_them():
    model = GaussianMixture()
    assert model.set_params(n_components=2, covariance_type="diag") is model
    assert model.n_components == 2
    with pytest.raises(ValueError, match="Invalid parameter 'n_component'"):
        model.set_params(n_component=2)
    assert not is_clusterer(model)
    assert repr(model) == "GaussianMixture(covariance_type='diag', n_components=2)"


def test_max_iter_too_small_warns_as_scikit_learn_does():
    with pytest.warns(ConvergenceWarning):
        GaussianMixture(2, init_params="random", max_iter=2, random_state=0).fit(two_blobs(50))


def test_kmeans_plusplus_centres_are_usable_as_means_init():
    X = two_blobs(100)
    centres, _ = kmeans_plusplus(X, 2, random_state=0)
    model = GaussianMixture(2, means_init=centres, reg_covar=1e-6, tol=1e-3).fit(X)
    assert adjusted_rand_score(model.predict(X), np.repeat([0, 1], 100)) > 0.95


def test_sample_weights_pass_through_a_pipeline():
    X = two_blobs(100)
    weights = np.repeat([0.0, 1.0], 100)
    pipeline = Pipeline([("scale", StandardScaler()), ("gmm", GaussianMixture(1))])
    pipeline.fit(X, gmm__sample_weight=weights)
    alone = GaussianMixture(1).fit(pipeline["scale"].transform(X)[100:])
    np.testing.assert_array_equal(pipeline["gmm"].means_, alone.means_)
