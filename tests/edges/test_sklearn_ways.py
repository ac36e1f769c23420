"""What scikit-learn's tools expect of a transformer and of weights: names, frames, routing."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm

X = bm.datasets.load_faithful()
COUNTS = np.tile([1.0, 2.0], 136)
PLAIN = {"n_components": 2, "search": None, "random_state": 0}
ESTIMATORS = [
    bm.GaussianMixture(**PLAIN),
    bm.BayesianGaussianMixture(**PLAIN),
    bm.Mixture(**PLAIN),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_transform_is_the_probabilities_of_the_components(estimator):
    model = clone(estimator).fit(X)
    assert np.array_equal(model.transform(X), model.predict_proba(X))
    names = model.get_feature_names_out()
    prefix = type(model).__name__.lower()
    assert names.tolist() == [f"{prefix}{k}" for k in range(model.n_components_)]


def test_frames_come_out_on_request():
    model = bm.GaussianMixture(**PLAIN).set_output(transform="pandas").fit(X)
    frame = model.transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == ["gaussianmixture0", "gaussianmixture1"]
    assert frame.index.equals(X.index)
    assert np.array_equal(frame, model.predict_proba(X))


def test_a_mixture_is_a_step_of_a_pipeline():
    long = X["eruptions"] > 3
    steps = make_pipeline(StandardScaler(), bm.GaussianMixture(**PLAIN), LogisticRegression())
    assert steps.fit(X, long).score(X, long) > 0.95
    assert steps[:-1].get_feature_names_out().tolist() == ["gaussianmixture0", "gaussianmixture1"]


def test_weights_are_routed_to_fit_and_score():
    with config_context(enable_metadata_routing=True):
        model = bm.GaussianMixture(**PLAIN)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        given = {"sample_weight": COUNTS}
        found = cross_validate(model, X.to_numpy(), cv=2, params=given, return_estimator=True)
    first = found["estimator"][0]
    half = slice(136, None)
    expected = clone(first).fit(X.to_numpy()[half], sample_weight=COUNTS[half])
    assert np.array_equal(first.means_, expected.means_)
    held = expected.score(X.to_numpy()[:136], sample_weight=COUNTS[:136])
    assert found["test_score"][0] == pytest.approx(held, rel=1e-12)


def test_columns_of_a_frame_are_found_by_name():
    X = bm.datasets.load_iris()
    fitted = bm.GaussianMixture(3, random_state=0).fit(X)
    turned = X[X.columns[::-1]]
    assert (fitted.predict_proba(turned) == fitted.predict_proba(X)).all()
    assert fitted.bic(turned) == fitted.bic(X)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(turned.rename(columns={"petal_width": "width"}))


def test_a_lazy_frame_is_collected():
    class LazyFrame:
        def collect(self):
            return bm.datasets.load_faithful()

    fitted = bm.GaussianMixture(2, random_state=0).fit(LazyFrame())
    assert list(fitted.feature_names_in_) == ["eruptions", "waiting"]
    expected = bm.GaussianMixture(2, random_state=0).fit(bm.datasets.load_faithful())
    assert (fitted.predict_proba(LazyFrame()) == expected.predict_proba(LazyFrame())).all()
    search = bm.MixtureSearch(n_components=(1, 2), random_state=0).fit(LazyFrame())
    assert search.best_params_ == {"n_components": 2}
