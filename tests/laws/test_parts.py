"""Rows that are never in one array: what asks a source asks only for what every source has."""

import numpy as np
import pytest
from sklearn.base import clone

import bayesmix as bm
from bayesmix.errors import InvalidInputError, TooManyRowsError, UnsupportedError
from bayesmix.plots import plot_density
from laws.cases import generator
from laws.parts import Parts

ESTIMATORS = {
    "likelihood": bm.GaussianMixture(4, random_state=0),
    "no search": bm.GaussianMixture(4, covariance_type="tied", search=None, random_state=0),
    "posterior mode": bm.GaussianMixture(3, prior="auto", search="short", random_state=0),
    "variational": bm.BayesianGaussianMixture(n_components=6, random_state=0),
    "counts": bm.Mixture(3, family=bm.Poisson(), random_state=0),
}


def clusters(n, D, K, seed=0):
    rng = generator(seed)
    return 10.0 + 4.0 * rng.normal(size=(K, D))[rng.integers(K, size=n)] + rng.normal(size=(n, D))


def rows_for(name, n=400):
    values = clusters(n, 2, 4)
    return np.round(np.abs(values)) if name == "counts" else values


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_one_part_has_the_bits_of_an_array(name, weighted):
    X = rows_for(name)
    row_weights = generator(1).integers(0, 3, len(X)).astype(float) if weighted else None
    expected = clone(ESTIMATORS[name]).fit(X, sample_weight=row_weights)
    source = Parts.of(X, [], row_weights)
    found = clone(ESTIMATORS[name]).fit(source)
    np.testing.assert_array_equal(found.objective_trace_, expected.objective_trace_)
    np.testing.assert_array_equal(found.means_, expected.means_)
    np.testing.assert_array_equal(found.predict_proba(source), expected.predict_proba(X))
    assert found.score(source) == expected.score(X, sample_weight=row_weights)
    assert found.bic(source) == expected.bic(X, sample_weight=row_weights)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.slow
def test_several_parts_differ_by_rounding(name):
    X = rows_for(name)
    expected = clone(ESTIMATORS[name]).fit(X)
    source = Parts.of(X, [100, 333, 334])
    found = clone(ESTIMATORS[name]).fit(source)
    assert found.result_.objective == pytest.approx(expected.result_.objective, rel=1e-12)
    np.testing.assert_allclose(found.means_, expected.means_, rtol=1e-9)
    np.testing.assert_array_equal(found.predict(source), expected.predict(X))
    np.testing.assert_allclose(found.score_samples(source), expected.score_samples(X), rtol=1e-9)


@pytest.mark.slow
def test_no_fit_of_many_rows_has_them_all_at_hand():
    X = clusters(60_000, 3, 4)
    source = Parts.of(X, [10_000, 33_333, 50_000], at_hand=4_096)
    expected = bm.GaussianMixture(4, random_state=0).fit(X)
    found = bm.GaussianMixture(4, random_state=0).fit(source)
    assert found.log_likelihood_ == pytest.approx(expected.log_likelihood_, rel=1e-12)
    np.testing.assert_array_equal(found.predict(source), expected.predict(X))
    with pytest.raises(TooManyRowsError, match="60,000 rows"):
        plot_density(found, source, columns=(0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_a_search_over_candidates_takes_them(criterion):
    X = clusters(400, 2, 3)
    options = {"n_components": (1, 2, 3, 4), "criterion": criterion, "random_state": 0, "n_jobs": 1}
    expected = bm.MixtureSearch(**options).fit(X)
    found = bm.MixtureSearch(**options).fit(Parts.of(X, [150]))
    assert found.best_params_ == expected.best_params_
    scores = found.results_[criterion], expected.results_[criterion]
    np.testing.assert_allclose(*scores, rtol=1e-9)


def test_a_search_of_them_goes_on_from_its_checkpoint(tmp_path):
    X = clusters(200, 2, 2)
    options = {"n_components": (1, 2), "random_state": 0, "n_jobs": 1, "checkpoint": tmp_path}
    first = bm.MixtureSearch(**options).fit(Parts.of(X, [50]))
    again = bm.MixtureSearch(**options).fit(Parts.of(X, [50]))
    assert again.best_score_ == first.best_score_
    with pytest.raises(InvalidInputError, match="other rows"):
        bm.MixtureSearch(**options).fit(Parts.of(X + 1.0, [50]))


def test_what_is_asked_of_a_posterior_takes_them():
    X = clusters(120, 2, 2)
    source = Parts.of(X, [40])
    prior = {"weight_concentration_prior_type": "dirichlet_distribution"}
    model = bm.BayesianGaussianMixture(n_components=2, random_state=0, **prior).fit(X)
    options = {"n_draws": 20, "chains": 2, "random_state": 0, "progress": False}
    # Assignments are drawn chunk by chunk: of other parts they are others.
    chains = bm.gibbs(model, Parts.of(X, []), **options)
    expected = bm.gibbs(model, X, **options)
    np.testing.assert_array_equal(
        chains.co_clustering([3, 50, 1]), expected.co_clustering([3, 50, 1])
    )
    assert bm.leave_one_out(model, source).total == pytest.approx(bm.leave_one_out(model, X).total)
    bands = [model.density_interval(rows, random_state=0) for rows in (source, X)]
    np.testing.assert_allclose(*bands, rtol=1e-9)


def test_bad_rows_are_named_by_their_number_among_all():
    X = clusters(60, 2, 2)
    for value, words in ((np.nan, "NaN in row 41, column 1"), (1e200, "1e.200 in row 41, column")):
        bad = X.copy()
        bad[41, 1] = value
        with pytest.raises(InvalidInputError, match=words):
            bm.GaussianMixture(2).fit(Parts.of(bad, [20, 40]))
    weights = np.ones(60)
    weights[45] = -1.0
    with pytest.raises(InvalidInputError, match=r"weights of X .* got -1 for row 45"):
        bm.GaussianMixture(2).fit(Parts.of(X, [20, 40], weights))
    named = Parts.of(X, [20], columns=("a", "b"))
    model = bm.GaussianMixture(2, random_state=0).fit(named)
    assert list(model.feature_names_in_) == ["a", "b"]
    with pytest.raises(InvalidInputError, match="columns b, a, but the fit had a, b: pass"):
        model.predict(Parts.of(X, [20], columns=("b", "a")))


LENGTHS = (60, 90, 50, 120, 80)


def sequences_in_files(folder, cuts):
    rng, lengths = generator(46, 30), np.array(LENGTHS)
    states = np.concatenate([np.cumsum(rng.random(n) < 0.1) % 3 for n in lengths])
    X = 3.0 * states[:, None] * [1.0, -0.5] + rng.normal(size=(lengths.sum(), 2))
    for number, part in enumerate(np.split(X, cuts)):
        np.save(folder / f"part-{number}.npy", part)
    return X, bm.read(folder)


@pytest.mark.parametrize("inference", [None, bm.VariationalBayes()])
def test_sequences_in_parts_are_fitted_as_in_one_array(inference, tmp_path):
    X, parts = sequences_in_files(tmp_path, (150, 320))
    model = bm.HiddenMarkovModel(3, inference=inference, n_init=2, search="short", random_state=0)
    expected = clone(model).fit(X, lengths=LENGTHS)
    found = clone(model).fit(parts, lengths=LENGTHS)
    groups = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    with_workers = clone(model).set_params(n_jobs=3).fit(parts, groups=groups)
    np.testing.assert_array_equal(found.objective_trace_, with_workers.objective_trace_)
    np.testing.assert_array_equal(found.transmat_, with_workers.transmat_)
    assert found.result_.objective == pytest.approx(expected.result_.objective, rel=1e-12)
    np.testing.assert_allclose(found.transmat_, expected.transmat_, rtol=1e-6)
    assert found.score(parts, lengths=LENGTHS) == pytest.approx(
        expected.score(X, lengths=LENGTHS), rel=1e-12
    )
    assert found.icl() == pytest.approx(expected.icl(X, LENGTHS), rel=1e-9)
    for method in ("predict_proba", "filter_proba", "score_samples"):
        values = [getattr(m, method)(x, LENGTHS) for m, x in ((found, parts), (expected, X))]
        np.testing.assert_allclose(*values, atol=1e-8)


@pytest.mark.slow
def test_sequences_that_do_not_fit_into_memory_start_from_some_of_them(tmp_path, monkeypatch):
    X, parts = sequences_in_files(tmp_path, (150, 320))
    monkeypatch.setattr("bayesmix.sequences.sequence_data.MOST_AT_HAND", X.size - 1)
    monkeypatch.setattr("bayesmix.sequences.sequence_data.MOST_SORTED", len(X) // 2)
    monkeypatch.setattr("bayesmix.sources.partitions_of_rows.MOST_AT_HAND", X.size - 1)
    model = bm.HiddenMarkovModel(3, n_init=2, random_state=0)
    expected, found = clone(model).fit(X, lengths=LENGTHS), clone(model).fit(parts, lengths=LENGTHS)
    assert found.log_likelihood_ == pytest.approx(expected.log_likelihood_, rel=1e-8)


def test_sequences_across_parts_are_refused(tmp_path):
    _, parts = sequences_in_files(tmp_path, (149, 320))
    model = bm.HiddenMarkovModel(2, random_state=0)
    for given in ({"lengths": LENGTHS}, {}):
        with pytest.raises(InvalidInputError, match=r"row 149 \(row 0 of .*part-1.npy\) begins in"):
            model.fit(parts, **given)
    assert not hasattr(model, "result_")
    search = bm.MixtureSearch(model, n_components=[1, 2])
    with pytest.raises(UnsupportedError, match="needs X in memory"):
        search.fit(parts, lengths=LENGTHS)
    with pytest.raises(UnsupportedError, match="have no subsets"):
        parts.in_sequences(np.isin(np.arange(400), [0, 149, 320])).subset(slice(100))
