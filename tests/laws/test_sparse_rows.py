"""Sparse rows of counts and of binary columns: the same fits as of dense rows, and what refuses."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import InvalidInputError, InvalidTypeError

WITH_PRIOR = [bm.Multinomial(), bm.Poisson(), bm.Bernoulli()]
FAMILIES = [*WITH_PRIOR, bm.VonMisesFisher()]
ML = bm.MaximumLikelihood()
INFERENCES = [ML, bm.MaximumAPosteriori(), bm.VariationalBayes()]
CASES = [*product(WITH_PRIOR, INFERENCES), (bm.VonMisesFisher(), ML)]


@pytest.fixture(scope="module")
def words() -> np.ndarray:
    """Counts of 40 words, most of them 0, in 200 texts about three subjects."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(40, 0.2), 3)
    totals = rng.integers(5, 60, 200)
    subjects = rng.integers(0, 3, 200)
    X = [rng.multinomial(t, shares[k]) for t, k in zip(totals, subjects, strict=True)]
    return np.array(X, dtype=float)


def of_family(family, X) -> np.ndarray:
    if family.name == "von_mises_fisher":
        return X / np.linalg.norm(X, axis=1, keepdims=True)
    return (X > 0.0).astype(float) if family.name == "bernoulli" else X


@pytest.mark.parametrize(
    ("family", "inference"), CASES, ids=lambda part: getattr(part, "name", type(part).__name__)
)
def test_sparse_rows_have_the_fit_of_dense_rows(words, family, inference) -> None:
    X = of_family(family, words)
    start = np.random.default_rng(1).dirichlet(np.ones(3), len(X))
    weights = np.random.default_rng(2).integers(1, 4, len(X)).astype(float)
    settings = {"family": family, "inference": inference, "random_state": 0, "max_iter": 1000}
    settings |= {"init_params": start, "prune": False}
    dense = bm.Mixture(3, **settings).fit(X, sample_weight=weights)
    rows = sp.csr_array(X)
    sparse = bm.Mixture(3, **settings).fit(rows, sample_weight=weights)
    assert sparse.result_.form == "sparse rows"
    assert sparse.result_.objective == pytest.approx(dense.result_.objective, rel=1e-9)
    assert np.diff(sparse.objective_trace_).min() > -1e-8
    np.testing.assert_allclose(sparse.score_samples(rows), sparse.score_samples(X), rtol=1e-9)
    np.testing.assert_array_equal(sparse.predict(rows), sparse.predict(X))
    assert sparse.bic(rows) == pytest.approx(sparse.bic(X), rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_search_of_sparse_rows_ends_where_that_of_dense_rows_does(words, family) -> None:
    X = of_family(family, words)
    dense = bm.Mixture(3, family=family, random_state=0).fit(X)
    for made in (sp.csr_matrix, sp.csc_array, sp.coo_array):
        sparse = bm.Mixture(3, family=family, random_state=0).fit(made(X))
        assert sparse.log_likelihood_ == pytest.approx(dense.log_likelihood_, rel=1e-6)


def test_select_finds_the_subjects_of_sparse_rows(words) -> None:
    search = bm.select(sp.csr_array(words), [2, 3, 4], family=bm.Multinomial())
    assert search.n_clusters_ == 3
    assert search.predict(sp.csr_array(words)).shape == (200,)


def test_summaries_of_sparse_columns_are_those_of_dense_ones(words) -> None:
    from bayesmix.sources.memory import ArraySource, with_sparse_rows

    weights = np.random.default_rng(2).integers(0, 3, len(words)).astype(float)
    for given in (None, weights):
        dense = ArraySource(words, given).present().summary
        sparse = ArraySource(with_sparse_rows(sp.csr_array(words)).values, given).present().summary
        for name in ("centre", "scale", "minimum", "maximum", "mean", "lower", "upper"):
            expected = getattr(dense, name)
            np.testing.assert_allclose(getattr(sparse, name), expected, rtol=1e-12, err_msg=name)


def test_groups_states_errors_and_descriptions_of_sparse_rows_are_those_of_dense_rows() -> None:
    rng = np.random.default_rng(5)
    shares, states = rng.dirichlet(np.full(30, 0.3), 2), rng.integers(0, 2, 60)
    X = np.array([rng.multinomial(20, shares[states[i // 4]]) for i in range(240)]).astype(float)
    rows, groups = sp.csr_array(X), np.arange(240) // 4
    dense, sparse = (
        bm.Mixture(2, family=bm.Multinomial(), random_state=0).fit(given, groups=groups)
        for given in (X, rows)
    )
    assert sparse.log_likelihood_ == pytest.approx(dense.log_likelihood_, rel=1e-9)
    dense, sparse = (
        bm.HiddenMarkovModel(2, family=bm.Multinomial(), random_state=0).fit(given, groups=groups)
        for given in (X, rows)
    )
    assert sparse.log_likelihood_ == pytest.approx(dense.log_likelihood_, rel=1e-9)
    model = bm.Mixture(2, family=bm.Poisson(), random_state=0).fit(X)
    columns = ["estimate", "standard_error"]
    of_dense, of_sparse = (model.parameter_table(given)[columns] for given in (X, rows))
    np.testing.assert_allclose(of_sparse, of_dense, rtol=1e-6)
    described = model.describe(rows).table
    assert described.equals(model.describe(X).table)


def test_families_that_read_dense_rows_and_wrong_entries_are_named(words) -> None:
    rows = sp.csr_array(words)
    for model in (bm.GaussianMixture(2), bm.Mixture(2, family=bm.NegativeBinomial())):
        with pytest.raises(InvalidTypeError, match=r"got a sparse matrix: pass X.toarray\(\)"):
            model.fit(rows)
    with pytest.raises(InvalidTypeError, match="sparse matrix"):
        bm.select(rows)
    with pytest.raises(InvalidTypeError, match="sparse matrix"):
        bm.GaussianMixture(1).fit(words[:, :2]).predict(rows[:, :2])
    model = bm.Mixture(2, family=bm.Poisson())
    with pytest.raises(InvalidTypeError, match="dense for partial_fit"):
        model.partial_fit(rows)
    wrong = words.copy()
    wrong[7, 3] = 0.5
    with pytest.raises(InvalidInputError, match=r"got 0\.5 in row 7, column 3"):
        model.fit(sp.csr_array(wrong))
    wrong[7, 3] = np.nan
    with pytest.raises(InvalidInputError, match="got nan in row 7, column 3"):
        model.fit(sp.csr_array(wrong))


def test_lengths_of_sparse_directions_are_checked_by_row(words) -> None:
    X = words / np.linalg.norm(words, axis=1, keepdims=True)
    X[7] *= 2.0
    model = bm.Mixture(2, family=bm.VonMisesFisher())
    with pytest.raises(InvalidInputError, match="got length 2 in row 7"):
        model.fit(sp.csr_array(X))
    X[7] = 0.0
    with pytest.raises(InvalidInputError, match="got length 0 in row 7"):
        model.fit(sp.csr_array(X))


@pytest.mark.slow
def test_directions_of_texts_tell_their_subjects(words) -> None:
    """Rows as those of scikit-learn's ``TfidfVectorizer``; subjects are drawn as in ``words``."""
    rng = np.random.default_rng(0)
    rng.dirichlet(np.full(40, 0.2), 3)
    rng.integers(5, 60, 200)
    subjects = rng.integers(0, 3, 200)
    rows = TfidfTransformer().fit_transform(sp.csr_array(words))
    search = bm.select(rows, [1, 2, 3], family="von_mises_fisher")
    assert search.n_components_ == 3
    assert adjusted_rand_score(search.predict(rows), subjects) > 0.95
