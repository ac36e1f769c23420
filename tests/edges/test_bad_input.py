"""What cannot be used is refused by name, and leaves an estimator as it was."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bayesmix as bm
from bayesmix import (
    BayesianGaussianMixture,
    GaussianMixture,
    Mixture,
    MixtureSearch,
)
from bayesmix.errors import (
    BayesmixError,
    DegenerateComponentWarning,
    FlatDirectionWarning,
    InvalidInputError,
)
from bayesmix.shell.options import families
from bayesmix.sources.memory import ArraySource

KINDS = [GaussianMixture, BayesianGaussianMixture, Mixture]


def rows(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return np.vstack([rng.normal(0, 1, (n // 2, 2)), rng.normal(5, 1, (n - n // 2, 2))])


X = rows()
NAN, INFINITE = X.copy(), X.copy()
NAN[3, 1], INFINITE[7, 0] = np.nan, -np.inf

# What comes in, and what the message has to say: the name, what came, what to do.
UNUSABLE = {
    "nan": (NAN, ["X", "NaN", "row 3, column 1", "drop or impute"]),
    "infinity": (INFINITE, ["X", "infinity", "row 7, column 0", "drop or impute"]),
    "nan in a frame": (
        pd.DataFrame(NAN, columns=["a", "b"]),
        ["X", "NaN", "row 3, column 'b'", "drop or impute"],
    ),
    "missing value of pandas": (
        pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": [1.0, 2.0, 3.0]}),
        ["X", "NaN", "row 1, column 'a'", "drop or impute"],
    ),
    "text columns": (
        pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "z"], "c": ["u", "v", "w"]}),
        ["X must be numeric", "'b'", "'c'", "drop or encode"],
    ),
    "categories": (
        pd.DataFrame({"a": pd.Categorical(["x", "y", "x"]), "b": [1.0, 2.0, 3.0]}),
        ["X must be numeric", "'a'", "category", "drop or encode"],
    ),
    "dates": (
        pd.DataFrame({"a": pd.to_datetime(["2020-01-01"] * 3), "b": [1.0, 2.0, 3.0]}),
        ["X must be numeric", "'a'", "datetime", "drop or encode"],
    ),
    "text": (X.astype(str), ["X must be numeric", "<U32", "encode or drop"]),
    "bytes": (X.astype("S"), ["X must be numeric", "|S32", "encode or drop"]),
    "dates in an array": (
        np.array([["2020-01-01", "2020-01-02"]] * 3, dtype="datetime64[D]"),
        ["X must be numeric", "datetime64", "encode or drop"],
    ),
    "a list with text": ([["a", 1.0], ["b", 2.0]], ["X must be numeric", "<U", "encode"]),
    "complex": (X + 1j, ["X", "Complex data not supported", "two columns"]),
    "dictionaries": (np.array([[{}] * 2] * 3), ["X", "number", "dict"]),
    "one dimension": (X[:, 0], ["X", "two dimensions", "(60,)", "Reshape your data"]),
    "a series": (pd.Series([1.0, 2.0, 3.0]), ["X", "Series", "DataFrame"]),
    "three dimensions": (X[None], ["X", "dim 3", "two dimensions"]),
    "a number": (3.0, ["X", "two dimensions", "()", "Reshape your data"]),
    "nothing": (None, ["X", "NoneType", "give an array"]),
    "a ragged list": ([[1.0, 2.0], [3.0]], ["X", "inhomogeneous", "rows of equal length"]),
    "no rows": (X[:0], ["X", "0 sample(s)", "(0, 2)", "give at least|two rows"]),
    "no columns": (X[:, :0], ["X", "0 feature(s)", "(60, 0)", "at least one row and one column"]),
    "a sparse array": (sp.csr_array(X), ["X", "sparse matrix", "toarray"]),
}


def says(message, parts):
    """Whether a message has every part; "a|b" is either."""
    return all(any(each in message for each in part.split("|")) for part in parts)


# Mixture reads frames by their kinds of columns.
READ_BY_KIND = ("text columns", "categories", "dates")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (kind, what)
        for kind in KINDS
        for what in UNUSABLE
        if not (kind is Mixture and what in READ_BY_KIND)
    ],
)
def test_rows_that_cannot_be_used_are_refused_at_fit(kind, what):
    value, parts = UNUSABLE[what]
    model = kind(n_components=2)
    with pytest.raises(ValueError) as refusal:  # noqa: PT011  (the message is looked at below)
        model.fit(value)
    assert says(str(refusal.value), parts), str(refusal.value)
    assert untouched(model)


@pytest.mark.parametrize("what", UNUSABLE)
def test_rows_that_cannot_be_used_are_refused_at_predict_time(what):
    value, parts = UNUSABLE[what]
    names = list(value.columns) if isinstance(value, pd.DataFrame) else None
    width = len(names) if names else 2
    known = np.hstack([X, X[:, :1] ** 2])[:, :width]
    model = GaussianMixture(2, random_state=0)
    model.fit(known if names is None else pd.DataFrame(known, columns=names))
    for method in ("predict", "predict_proba", "score", "score_samples", "responsibilities"):
        with pytest.raises(ValueError) as refusal:  # noqa: PT011  (the message is looked at below)
            getattr(model, method)(value)
        assert says(str(refusal.value), parts), str(refusal.value)


def untouched(model):
    """Whether nothing of a fit is left in an estimator."""
    return not [name for name in vars(model) if name.endswith("_")]


def test_one_row_has_no_spread_and_is_refused():
    with pytest.raises(ValueError, match=r"1 sample.*at least two rows"):
        GaussianMixture(1).fit(X[:1])
    with pytest.raises(ValueError, match=r"at least 2 rows.*n_samples = 1"):
        GaussianMixture(1).fit(X, sample_weight=np.eye(60)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_rows_than_components_are_refused_with_the_largest_number(kind):
    with pytest.raises(ValueError, match=r"n_components=7 .*n_samples = 6.*at most 6") as refusal:
        kind(n_components=7).fit(X[:6])
    assert isinstance(refusal.value, InvalidInputError)


def test_more_full_covariances_than_rows_determine_are_fitted_and_have_no_value():
    few = np.repeat(X[:8], 5, axis=0)
    too_few = r"n_components=3 .*at least 9 distinct observations, but X has 8 .*at most 2"
    gm = GaussianMixture(3, random_state=0)
    with pytest.warns(DegenerateComponentWarning, match=too_few):
        gm.fit(few)
    assert np.isfinite(gm.score_samples(few)).all()
    assert np.isfinite(gm.log_likelihood_)
    assert "at most 2" in gm.result_.degenerate
    search = MixtureSearch(gm, n_components=(1, 3), random_state=0).fit(few)
    assert search.best_params_ == {"n_components": 1}
    assert np.isnan(search.results_["bic"][1])


@pytest.mark.parametrize("structure", ["tied", "VEE", "EEV", "VVE"])
def test_axes_in_common_of_fewer_rows_than_columns_have_no_value(structure):
    """Rows then lie on a plane, where the likelihood has no maximum, whatever is shared."""
    few = np.random.default_rng(0).normal(size=(12, 15))
    gm = GaussianMixture(1, covariance_type=structure)
    with pytest.warns((DegenerateComponentWarning, FlatDirectionWarning)) as told:
        gm.fit(few)
    assert any(
        "at least 16 distinct observations, but X has 12 (in" in str(one.message) for one in told
    )
    assert any("12 observations cannot determine" in str(one.message) for one in told)
    assert gm.result_.degenerate


@pytest.mark.parametrize("kind", KINDS)
def test_other_columns_than_at_fit_are_refused(kind):
    model = kind(n_components=2, random_state=0).fit(X)
    for other in (X[:, :1], np.hstack([X, X])):
        width = other.shape[1]
        with pytest.raises(ValueError, match=rf"X has {width} features.*expecting 2.*of the fit"):
            model.predict(other)
        with pytest.raises(ValueError, match=rf"X has {width} features.*expecting 2.*of the fit"):
            model.predict(ArraySource(other))
        with pytest.raises(ValueError, match=rf"X has {width} features"):
            model.bic(other)


def test_sources_are_checked_as_arrays_are():
    with pytest.raises(ValueError, match="NaN in row 3, column 1"):
        GaussianMixture(2).fit(ArraySource(NAN))
    with pytest.raises(ValueError, match="sample_weight must be None for a source"):
        GaussianMixture(2).fit(ArraySource(X, np.ones(60)), sample_weight=np.ones(60))
    with pytest.raises(ValueError, match="sample_weight must be finite and not negative"):
        GaussianMixture(2).fit(ArraySource(X, -np.ones(60)))
    named = ArraySource(X, columns=("a", "b"))
    model = GaussianMixture(2, random_state=0).fit(named)
    assert list(model.feature_names_in_) == ["a", "b"]
    np.testing.assert_array_equal(model.predict(named), model.predict(ArraySource(X)))
    with pytest.raises(ValueError, match="columns b, a, but the fit had a, b: pass"):
        model.predict(ArraySource(X, columns=("b", "a")))
    assert not hasattr(model.fit(ArraySource(X)), "feature_names_in_")


# Weights

BAD_WEIGHTS = {
    "negative": (-np.ones(60), ["sample_weight", "not negative", "-1.0", "row 0", "weight 0"]),
    "nan": (np.full(60, np.nan), ["sample_weight", "finite", "nan", "row 0"]),
    "infinite": (np.full(60, np.inf), ["sample_weight", "finite", "inf", "row 0"]),
    "wrong length": (np.ones(3), ["sample_weight", "60 rows", "(3,)"]),
    "wrong shape": (np.ones((60, 1)), ["sample_weight", "60 rows", "(60, 1)"]),
    "all zero": (np.zeros(60), ["sample_weight", "zero for every row", "positive"]),
    "zero": (0.0, ["sample_weight", "zero for every row", "positive"]),
    "text": (["a"] * 60, ["sample_weight", "60 rows", "'a'"]),
    "complex": (np.ones(60) * 1j, ["sample_weight", "60 rows"]),
    "ragged": ([1.0, [2.0]], ["sample_weight", "60 rows"]),
    "a negative number": (-2, ["sample_weight", "not negative"]),
}


@pytest.mark.parametrize("what", BAD_WEIGHTS)
def test_bad_sample_weights_are_refused(what):
    value, parts = BAD_WEIGHTS[what]
    model = GaussianMixture(2)
    with pytest.raises(InvalidInputError) as refusal:
        model.fit(X, sample_weight=value)
    assert says(str(refusal.value), parts), str(refusal.value)
    assert untouched(model)
    fitted = GaussianMixture(2, random_state=0).fit(X)
    for method in (fitted.score, fitted.bic):
        with pytest.raises(InvalidInputError, match="sample_weight"):
            method(X, sample_weight=value)
    with pytest.raises(InvalidInputError, match="sample_weight needs data"):
        fitted.bic(sample_weight=np.ones(60))


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_zero_is_no_row(kind):
    weights = np.ones(60)
    weights[::3] = 0
    left = kind(n_components=2, random_state=0).fit(X[weights > 0])
    out = kind(n_components=2, random_state=0).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(out.means_, left.means_)
    np.testing.assert_array_equal(out.weights_, left.weights_)
    assert out.bic() == left.bic()
    assert out.bic(X, sample_weight=weights) == pytest.approx(left.bic(), rel=1e-13)
    assert out.score(X, sample_weight=weights) == pytest.approx(left.score(X[weights > 0]))


def test_one_number_weighs_every_row():
    twice = GaussianMixture(2, random_state=0).fit(X, sample_weight=2)
    once = GaussianMixture(2, random_state=0).fit(X)
    assert twice.log_likelihood_ == pytest.approx(2 * once.log_likelihood_, rel=1e-12)
    np.testing.assert_allclose(twice.means_, once.means_, rtol=1e-9)


def test_rows_are_named_by_the_numbers_that_the_user_gave_them():
    # Rows 40 to 47 coincide; the first twenty have weight zero.
    values = rows(80, seed=3)
    values[40:48] = [30.0, 30.0]
    weights = np.ones(80)
    weights[:20] = 0
    start = np.zeros(80, dtype=int)
    start[40:48] = 1
    model = GaussianMixture(2, covariance_type="diag", init_params=start)
    model.fit(values, sample_weight=weights)
    moved = [event for event in model.result_.events if event.kind == "relocated"]
    assert moved[0].rows == tuple(range(40, 48))
    assert "8 observations (rows 40, 41, 42, 43, 44, ...)" in moved[0].text


# Parameters

BAD_PARAMETERS = {
    "n_components": [0, -1, 1.0, "2", True, None],
    "tol": [-1e-3, "automatic", None, np.nan, True, [1e-3]],
    "max_iter": [-1, 1.5, "100", None, True],
    "n_init": [0, 1.5, None],
    "init_params": ["k_means", None, 3, [[1.0], [2.0, 3.0]], np.ones((5, 2)), np.ones(60)],
    "random_state": [-1, "0", 1.5, [1]],
    "warm_start": ["yes", 1, None],
    "verbose": [-1, "loud", None, 0.5],
    "verbose_interval": [0, 1.5],
    "search": ["yes", True, 3],
    "acceleration": ["squarem", True, 1],
    "max_passes": [0, 1.5, "1"],
    "max_seconds": [0, -1.0, "1", np.inf],
    "n_jobs": [0, 1.5, "all", True],
    "progress": ["yes", 1],
}
OF_GAUSSIANS = {
    "covariance_type": ["fulll", None, 3],
    "reg_covar": [-1e-6, "none", None, np.inf],
}
OF_THE_POINT = {
    "weights_init": [[0.5], [0.2, 0.2], [1.5, -0.5], [np.nan, 1.0], ["a", "b"]],
    "means_init": [[[0.0, 0.0]], [["a", "b"], ["c", "d"]], np.full((2, 2), np.inf), 3],
    "precisions_init": [np.eye(2), np.zeros((2, 2, 2)), "full"],
    "prior": ["weak", 3, True],
    "weight_concentration_prior": [1.0],  # without a prior
}
OF_THE_POSTERIOR = {
    "weight_concentration_prior_type": ["dirichlet", None],
    "weight_concentration_prior": [0, -1.0, "1", np.inf],
    "mean_precision_prior": [0, -1.0, "1", np.nan, [1.0], True],
    "mean_prior": [[0.0], [np.nan, 0.0], ["a", "b"], 3.0],
    "degrees_of_freedom_prior": [1.0, 0, "3", np.inf],
    "covariance_prior": [np.eye(3), -np.eye(2), [[1.0, 0.5], [0.0, 1.0]], "full", 1.0],
    "prune": ["yes", None, 1],
}
OF_ANY = {
    "family": ["gaussians", 3, bm.Gaussian],
    "inference": ["em", 3, bm.VariationalBayes],
    "prune": ["yes", None, 1],
}


def bad_parameters():
    for kind, tables in (
        (GaussianMixture, (BAD_PARAMETERS, OF_GAUSSIANS, OF_THE_POINT)),
        (BayesianGaussianMixture, (BAD_PARAMETERS, OF_GAUSSIANS, OF_THE_POSTERIOR)),
        (Mixture, (BAD_PARAMETERS, OF_ANY)),
    ):
        for table in tables:
            for name, values in table.items():
                for value in values:
                    yield pytest.param(
                        kind, name, value, id=f"{kind.__name__}-{name}-{value!r:.30}"
                    )


@pytest.mark.parametrize(("kind", "name", "value"), list(bad_parameters()))
def test_a_bad_parameter_is_refused_by_name(kind, name, value):
    model = kind(**{"n_components": 2, name: value})
    with pytest.raises(InvalidInputError, match=rf"\b{name}\b") as refusal:
        model.fit(X)
    message = str(refusal.value)
    assert "must" in message or "needs" in message
    assert untouched(model)


def test_a_misspelt_value_is_answered_with_a_suggestion():
    X = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(InvalidInputError, match=r"got 'fulll': did you mean 'full'\?"):
        bm.GaussianMixture(covariance_type="fulll").fit(X)
    with pytest.raises(InvalidInputError, match=r"got 'Poison': did you mean 'poisson'\?"):
        bm.Mixture(1, family="Poison").fit(X)
    with pytest.raises(InvalidInputError, match=r"got 'gausian': did you mean 'gaussian'\?"):
        families("gausian")
    with pytest.raises(InvalidInputError, match=r"got 7$"):
        bm.GaussianMixture(covariance_type=7).fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_parameter_is_refused_by_name(kind):
    with pytest.raises(TypeError, match="n_component"):
        kind(n_component=2)
    with pytest.raises(ValueError, match="n_component"):
        kind().set_params(n_component=2)


def test_a_prior_of_a_posterior_mode_must_have_a_mode():
    with pytest.raises(
        InvalidInputError, match=r"weight_concentration_prior .*at least 1, got 0.5"
    ):
        GaussianMixture(2, prior="auto", weight_concentration_prior=0.5).fit(X)


def test_a_prior_object_names_what_is_wrong_in_it():
    for given in ({"mean": [1.0]}, {"covariance": np.eye(3)}, {"mean_precision": -1.0}):
        with pytest.raises(InvalidInputError, match="prior"):
            GaussianMixture(2, prior=bm.GaussianPrior(**given)).fit(X)


def test_values_that_a_family_cannot_produce_are_refused():
    with pytest.raises(ValueError, match="zeros and ones"):
        Mixture(2, family=bm.Bernoulli()).fit(X)
    with pytest.raises(ValueError, match="counts"):
        Mixture(2, family=bm.Poisson()).fit(X)


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None])
def test_a_bad_number_of_samples_is_refused(value):
    model = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(InvalidInputError, match="n_samples must be an integer of at least 1"):
        model.sample(value)


def test_criteria_without_rows_need_a_fit_to_rows():
    model = GaussianMixture.from_parameters([0.3, 0.7], [[1.0], [3.0]], [1.0, 2.0])
    with pytest.raises(InvalidInputError, match="not fitted to data: pass X"):
        model.bic()


# What was there stays


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_fails_leaves_the_last_one_as_it_was(kind):
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = kind(n_components=2, random_state=0).fit(frame)
    before = dict(vars(model))
    failures = [
        lambda: model.fit(NAN),
        lambda: model.fit(np.hstack([X, NAN])),
        lambda: model.fit(X, sample_weight=np.zeros(60)),
        lambda: model.fit(X[:2] * 0, sample_weight=[1.0, -1.0]),
        lambda: model.set_params(n_init=0).fit(np.hstack([X, X])),
    ]
    for fails in failures:
        with pytest.raises(ValueError):  # noqa: PT011  (which one does not matter here)
            fails()
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is before[name] for name in before if name != "n_init")
        model.set_params(n_init=1)
        assert model.predict(frame).shape == (60,)


def test_an_error_in_a_callable_start_leaves_nothing():
    def broken(X, K, generator):
        raise ZeroDivisionError("on purpose")

    model = GaussianMixture(2, init_params=broken)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        model.fit(X)
    assert untouched(model)


def test_a_second_fit_keeps_nothing_of_the_first():
    model = Mixture(2, inference=bm.VariationalBayes(), random_state=0).fit(X)
    assert hasattr(model, "elbo_")
    model.set_params(inference=None).fit(X)
    for name in ("elbo_", "mean_prior_", "weight_concentration_"):
        assert not hasattr(model, name)


def test_every_refusal_is_one_class_and_a_value_error():
    assert issubclass(BayesmixError, ValueError)
    with pytest.raises(TypeError):
        GaussianMixture(2).fit(sp.csr_array(X))  # as scikit-learn has it
    with pytest.raises(BayesmixError):
        GaussianMixture(2).fit(sp.csr_array(X))


NO_TABLES = {
    "a path": ("data.csv", r"'data.csv': read a file with bayesmix.read"),
    "nothing": (None, r"got NoneType: give an array"),
    "a dict": ({"a": [1, 2]}, r"got dict: .*pandas.DataFrame"),
    "dicts": ([{"a": 1}, {"a": 2}], r"got a list of dict: .*pandas.DataFrame"),
    "a set": ({1.0, 2.0}, r"got set: .*list\(X\)"),
    "a number": (3.0, r"two dimensions"),
    "a ragged list": ([[1.0, 2.0], [3.0]], r"rows of equal length"),
    "records": (np.zeros(3, [("a", float), ("b", float)]), r"records of a, b: give pandas"),
    "columns of one name": (
        pd.DataFrame(np.eye(4), columns=["a", "b", "a", "c"]),
        r"unique names, but more than one is called 'a': rename them",
    ),
}


@pytest.mark.parametrize("what", NO_TABLES)
@pytest.mark.parametrize(
    "asked", [lambda X: bm.GaussianMixture(1).fit(X), bm.select, bm.MixtureSearch().fit]
)
def test_what_is_no_table_is_refused_with_what_to_give(what, asked):
    given, said = NO_TABLES[what]
    with pytest.raises(InvalidInputError, match=said):
        asked(given)
    with pytest.raises(InvalidInputError, match="of an iterator"):
        asked(iter([[1.0], [2.0]]))


@pytest.mark.parametrize("path", [None, 3, pd.DataFrame({"a": [1.0]})])
@pytest.mark.parametrize("asked", [bm.load, bm.read])
def test_what_is_no_path_is_refused_by_name(path, asked):
    with pytest.raises(InvalidInputError, match=r"path must be the path of a file .* got "):
        asked(path)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (X[:, 0], r"save rows\[:, None\]"),
        (X + 1j, "a column for each part"),
        (np.zeros(3, [("a", float)]), "a column for each part or field"),
        (X.astype(object), r"save rows.astype\(float\)"),
    ],
)
def test_an_array_file_that_is_no_table_says_what_to_save(array, said, tmp_path):
    np.save(tmp_path / "rows.npy", array)
    with pytest.raises(InvalidInputError, match=said):
        bm.read(tmp_path / "rows.npy")


@pytest.mark.parametrize("sizes", [(5, 5), (5, 7)])
def test_a_list_of_sequences_is_refused_with_lengths(sizes):
    sequences = [np.zeros((size, 1)) for size in sizes]
    with pytest.raises(InvalidInputError, match=r"give numpy\.concatenate\(X\) and lengths="):
        bm.HiddenMarkovModel(1).fit(sequences)


def test_other_columns_are_refused_with_those_of_the_fit():
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["a", "b"])
    model = bm.GaussianMixture(1).fit(rows)
    with pytest.raises(InvalidInputError, match=r"(?s)- c\n.*- b: pass the columns of the fit"):
        model.predict(rows.rename(columns={"b": "c"}))


def test_an_arrow_table_is_taken_in_the_order_of_the_fit():
    arrow = pytest.importorskip("pyarrow")
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["a", "b"])
    model = bm.GaussianMixture(1).fit(rows)
    table = arrow.table({"b": rows["b"], "a": rows["a"]})
    assert np.array_equal(model.score_samples(table), model.score_samples(rows))
    assert model.impute(table).equals(table)


def test_a_frame_whose_columns_have_no_names_is_imputed_by_place():
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["a", "b"])
    model = bm.GaussianMixture(1).fit(rows)
    gaps = rows.set_axis([0, 1], axis=1)
    gaps.loc[3, 1] = np.nan
    with pytest.warns(UserWarning, match="valid feature names"):
        filled = model.impute(gaps)  # had no columns
    assert list(filled.columns) == [0, 1]
    assert filled.notna().all(axis=None)


def test_select_names_its_own_arguments_when_one_is_unknown():
    with pytest.raises(TypeError, match="select has no argument 'k', it has n_components, cov"):
        bm.select(X, k=3)


def test_fewer_observations_than_variables_are_not_called_redundant_columns():
    wide = np.random.default_rng(5).normal(size=(20, 40))
    said = (
        "20 observations cannot determine a covariance matrix of 40 variables: the data vary in 19"
    )
    with pytest.warns(FlatDirectionWarning, match=said):
        BayesianGaussianMixture(1).fit(wide)


def test_errors_have_numbers_as_a_person_writes_them():
    error = InvalidInputError(f"got {np.int64(5)!r} and {np.float64(0.5)!r}")
    assert str(error) == "got 5 and 0.5"
    with pytest.raises(InvalidInputError, match=r"got \(0, 2\)$"):
        bm.select(np.zeros((9, 1)), n_components=(np.int64(0), np.int64(2)))
