"""What scikit-learn's tools expect of a transformer and of weights: names, frames, routing."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    TimeSeriesSplit,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError, InvalidTypeError

X = bm.datasets.load_faithful()
PLAIN_MIXTURE = bm.GaussianMixture(random_state=0)
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
    wider = turned.assign(species="setosa", cluster=0)
    assert (fitted.predict_proba(wider) == fitted.predict_proba(X)).all()
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(turned.rename(columns={"petal_width": "width"}))


@pytest.mark.parametrize(
    "ask",
    [
        lambda average, rows: average.score_samples(rows),
        lambda average, rows: average.co_clustering(rows),
        lambda average, rows: average.density_interval(rows, n_draws=50),
    ],
    ids=["density", "co-clustering", "band"],
)
def test_that_rows_have_no_names_is_said_once_not_for_every_candidate(ask):
    search = bm.MixtureSearch(
        bm.BayesianGaussianMixture(**PLAIN), n_components=(2, 3), criterion="elbo"
    )
    average = search.fit(X).averaged_
    assert len(average.estimators) == 2
    with pytest.warns(UserWarning, match="valid feature names") as heard:
        unnamed = ask(average, X.to_numpy()[:5])
    assert len(heard) == 1
    assert np.array_equal(unnamed, ask(average, X[:5]))


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


def test_a_search_is_a_step_of_a_pipeline():
    long = X["eruptions"] > 3
    search = bm.MixtureSearch(bm.GaussianMixture(random_state=0), (1, 2))
    steps = make_pipeline(StandardScaler(), search, LogisticRegression())
    assert steps.fit(X, long).score(X, long) > 0.95
    assert steps[:-1].get_feature_names_out().tolist() == ["mixturesearch0", "mixturesearch1"]
    frame = clone(search).set_output(transform="pandas").fit(X).transform(X)
    assert list(frame) == ["mixturesearch0", "mixturesearch1"]
    scaled = bm.MixtureSearch(make_pipeline(StandardScaler(), PLAIN_MIXTURE), (1, 2)).fit(X)
    assert np.array_equal(scaled.transform(X), scaled.predict_proba(X))


# Frames of polars


@pytest.fixture(scope="module")
def polars():
    return pytest.importorskip("polars")


def test_frames_of_polars_are_those_of_pandas(polars):
    frame = polars.DataFrame(X.to_dict("list"))
    expected = bm.GaussianMixture(**PLAIN).fit(X)
    for rows in (frame, frame.lazy()):
        model = bm.GaussianMixture(**PLAIN).fit(rows)
        assert list(model.feature_names_in_) == list(X)
        assert np.array_equal(model.means_, expected.means_)
        assert np.array_equal(model.predict(frame.select("waiting", "eruptions")), model.predict(X))
    weighted = model.fit(frame, sample_weight=polars.Series(COUNTS))
    assert np.array_equal(weighted.means_, expected.fit(X, sample_weight=COUNTS).means_)
    yes = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(frame.select(polars.all() > 3.0))
    assert yes.n_features_in_ == 2
    with pytest.raises(ValueError, match=r"not: 'when' \(String\)"):
        model.fit(frame.with_columns(when=polars.lit("today")))


def test_frames_of_polars_come_out_on_request(polars):
    frame = polars.DataFrame(X.to_dict("list"))
    model = bm.GaussianMixture(**PLAIN).set_output(transform="polars").fit(frame)
    for rows in (frame, frame.lazy(), X):
        out = model.transform(rows)
        assert isinstance(out, polars.DataFrame)
        assert out.columns == ["gaussianmixture0", "gaussianmixture1"]
        assert np.array_equal(out.to_numpy(), model.predict_proba(X))
    search = bm.select(frame, (1, 2), "full").set_output(transform="polars")
    assert search.transform(frame).shape == (272, 2)


def test_what_is_filled_in_comes_as_the_frame_that_came_in(polars):
    gaps = X.assign(waiting=X["waiting"].mask(np.arange(272) % 7 == 0)).set_index(X.index + 1000)
    model = bm.GaussianMixture(**PLAIN, missing="use").fit(gaps)
    values = bm.GaussianMixture(**PLAIN, missing="use").fit(gaps.to_numpy()).impute(gaps.to_numpy())
    assert isinstance(values, np.ndarray)
    turned = gaps[["waiting", "eruptions"]]
    pd.testing.assert_frame_equal(
        model.impute(turned), pd.DataFrame(values[:, ::-1], turned.index, turned.columns)
    )
    pieces = {name: [None if v != v else v for v in own] for name, own in gaps.items()}
    for rows in (polars.DataFrame(pieces), polars.LazyFrame(pieces)):
        filled = model.impute(rows)
        assert isinstance(filled, polars.DataFrame)
        assert np.array_equal(filled.to_numpy(), values)
    drawn = model.impute(polars.DataFrame(pieces), n_draws=2)
    assert [type(one) for one in drawn] == [polars.DataFrame] * 2
    kinds = polars.DataFrame(
        {"a": [*"xxyy"] * 10, "n": np.tile([0.0, 0.0, 8.0, 8.0], 10) + np.linspace(0.5, 1.5, 40)}
    )
    mixed = bm.Mixture(2, family="auto", missing="use", random_state=0).fit(kinds)
    some = polars.DataFrame({"a": ["x", None], "n": [0.5, 9.5]})
    assert mixed.impute(some)["a"].to_list() == ["x", "y"]


# Containers of other libraries


class ArrayInterface:
    """An object that has ``__array__`` and nothing else."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


LONG = (X["eruptions"] > 3).to_numpy()
RESPONSE = np.random.default_rng(0).normal(X["waiting"])
EVERY_ESTIMATOR = {
    "mixture": (bm.GaussianMixture(**PLAIN), ()),
    "columns of all kinds": (bm.Mixture(2, family="auto", random_state=0), ()),
    "states": (bm.HiddenMarkovModel(2, n_init=1, search="short", random_state=0), ()),
    "regressions": (bm.RegressionMixture(1, n_init=1, random_state=0), (RESPONSE,)),
    "classes": (bm.MixtureClassifier(1, covariance_type="tied", random_state=0), (LONG,)),
    "search": (bm.MixtureSearch(PLAIN_MIXTURE, (1, 2), criterion="bic"), ()),
}


def containers():
    """The same table in containers that keep its names."""
    pyarrow = pytest.importorskip("pyarrow")
    narwhals = pytest.importorskip("narwhals")
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(X.to_dict("list"))
    return [
        pyarrow.Table.from_pandas(X),
        pyarrow.RecordBatch.from_pandas(X),
        narwhals.from_native(X),
        narwhals.from_native(frame),
        narwhals.from_native(frame.lazy()),
    ]


@pytest.mark.parametrize("estimator", EVERY_ESTIMATOR)
def test_every_estimator_keeps_the_names_of_every_frame(estimator):
    model, response = EVERY_ESTIMATOR[estimator]
    expected = clone(model).fit(X, *response).predict(X)
    for rows in containers():
        fitted = clone(model).fit(rows, *response)
        assert list(fitted.feature_names_in_) == list(X)
        assert np.array_equal(fitted.predict(rows), expected)


@pytest.mark.parametrize("estimator", EVERY_ESTIMATOR)
def test_every_estimator_takes_the_array_interface(estimator):
    model, response = EVERY_ESTIMATOR[estimator]
    values = X.to_numpy()
    expected = clone(model).fit(values, *response).predict(values)
    fitted = clone(model).fit(ArrayInterface(values), *map(ArrayInterface, response))
    assert np.array_equal(fitted.predict(ArrayInterface(values)), expected)


@pytest.mark.parametrize("kind", [csr_array, csr_matrix, coo_array])
@pytest.mark.parametrize("estimator", EVERY_ESTIMATOR)
def test_every_estimator_refuses_sparse_tables_alike(estimator, kind):
    model, response = EVERY_ESTIMATOR[estimator]
    sparse = kind(X.to_numpy())
    with pytest.raises(InvalidTypeError, match=r"X must be dense.* pass X\.toarray\(\)"):
        clone(model).fit(sparse, *response)
    fitted = clone(model).fit(X.to_numpy(), *response)
    with pytest.raises(InvalidTypeError, match=r"X must be dense.* pass X\.toarray\(\)"):
        fitted.predict(sparse)


def test_a_sparse_response_and_columns_named_as_attributes_are_no_sparse_tables():
    names = X.set_axis(["nnz", "column_names"], axis=1)
    assert list(bm.GaussianMixture(**PLAIN).fit(names).feature_names_in_) == list(names)
    with pytest.raises(InvalidTypeError, match="y must be dense"):
        bm.RegressionMixture().fit(X, csr_array(X[["waiting"]].to_numpy()))


def test_select_takes_a_vector_as_one_column_and_estimators_do_not(polars):
    waiting = X["waiting"]
    expected = bm.select(waiting.to_frame(), (1, 2), "full")
    series = [waiting, polars.Series("waiting", waiting.to_list())]
    for vector in [*series, waiting.to_numpy(), waiting.tolist(), ArrayInterface(waiting)]:
        search = bm.select(vector, (1, 2), "full")
        assert search.best_score_ == expected.best_score_
        assert search.n_features_in_ == 1
    for vector in series:
        assert list(bm.select(vector, (1, 2), "full").feature_names_in_) == ["waiting"]
    words = pd.Series([*"xxyy"] * 10, name="answer")
    assert list(bm.select(words, (1, 2)).columns_.index) == ["answer"]
    for estimator in (bm.GaussianMixture(2), bm.MixtureSearch(n_components=(1, 2))):
        with pytest.raises(ValueError, match=r"to_frame\(\)"):
            estimator.fit(waiting)
        with pytest.raises(ValueError, match=r"reshape\(-1, 1\)"):
            estimator.fit(waiting.to_numpy())


# Sequences


def states():
    """Six sequences of forty samples, of two states far apart, and the sequence of each sample."""
    sequences = np.repeat(np.arange(6), 40)
    return np.random.default_rng(0).normal(4.0 * (sequences % 2))[:, None], sequences


CHAIN = bm.HiddenMarkovModel(2, n_init=1, search="short", random_state=0)


def test_lengths_reach_a_hidden_markov_model_at_the_end_of_a_pipeline():
    values, sequences = states()
    scaled = (values - values.mean()) / values.std()
    expected = clone(CHAIN).fit(scaled, lengths=[40] * 6)
    steps = make_pipeline(StandardScaler(), clone(CHAIN))
    steps.fit(values, hiddenmarkovmodel__lengths=[40] * 6)
    assert steps[-1].log_likelihood_ == pytest.approx(expected.log_likelihood_, rel=1e-9)
    steps.fit(values, sequences, hiddenmarkovmodel__lengths=[40] * 6)  # y is ignored
    assert steps[-1].log_likelihood_ == pytest.approx(expected.log_likelihood_, rel=1e-9)


def test_lengths_as_second_argument_are_taken_with_a_warning():
    values, _ = states()
    expected = clone(CHAIN).fit(values, lengths=[40] * 6)
    with pytest.warns(FutureWarning, match="lengths="):
        found = clone(CHAIN).fit(values, [40] * 6)
    assert found.log_likelihood_ == expected.log_likelihood_
    with pytest.warns(FutureWarning, match="lengths="):
        assert found.score(values, [40] * 6) == expected.score(values, lengths=[40] * 6)
    with pytest.raises(InvalidInputError, match="y must have one value for each sample"):
        clone(CHAIN).fit(values, [40] * 6, lengths=[40] * 6)


def test_folds_that_join_samples_apart_in_time_are_told():
    values, sequences = states()
    with pytest.warns(BayesmixWarning, match="no neighbours, in 1 place: use MixtureSearch"):
        cross_validate(clone(CHAIN), values, cv=3)
    with pytest.warns(BayesmixWarning, match="no neighbours, in .* places"):
        GridSearchCV(clone(CHAIN), {"n_components": [2]}, cv=KFold(2, shuffle=True)).fit(values)
    # Neither the first samples nor whole sequences have such joints.
    cross_validate(clone(CHAIN), values, cv=TimeSeriesSplit(3))
    cross_validate(
        clone(CHAIN), values, groups=sequences, cv=GroupKFold(3), params={"groups": sequences}
    )
