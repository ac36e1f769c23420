"""Rows in partitions: the bits are those of the layout, whoever reads and in whatever order."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone

import bayesmix as bm
from bayesmix.core.random import root_seed
from bayesmix.core.rows import Rows
from bayesmix.errors import InvalidInputError, TooManyRowsError
from bayesmix.selection.scores import make_splits, places_in, rows_of
from bayesmix.sources.local_workers import Local
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.partitions_of_rows import OfFold, PartitionedSource, hashed
from laws.cases import assert_same, generator

CUTS = (0, 100, 333, 334, 900)


@dataclass(frozen=True)
class Held:
    """Hands out its rows, and counts how often."""

    values: np.ndarray
    weights: np.ndarray | None
    reads: list

    def __call__(self):
        self.reads.append(len(self.values))
        return self.values, self.weights


@dataclass(frozen=True)
class Joined:
    rows: tuple

    def __add__(self, other):
        return Joined((self.rows, other.rows))


def numbers(rows):
    return rows.first + np.arange(len(rows))


def tree(rows):
    return Joined(tuple(range(rows.first, rows.first + len(rows))))


def values_of(rows):
    return np.asarray(rows.values)


def partitions(values, weights=None, cuts=CUTS, n_jobs=1):
    reads = []
    parts = [
        Held(values[a:b], None if weights is None else weights[a:b], reads)
        for a, b in zip(cuts, [*cuts[1:], len(values)], strict=True)
    ]
    names = tuple(f"part {number}" for number in range(len(parts)))
    lengths = [len(part.values) for part in parts]
    source = PartitionedSource.of(
        Local(tuple(parts)), lengths, values.shape[1], names, n_jobs=n_jobs
    )
    return source, reads


def clusters(n, D, K, seed=0):
    rng = generator(seed)
    return 10.0 + 4.0 * rng.normal(size=(K, D))[rng.integers(K, size=n)] + rng.normal(size=(n, D))


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_every_row_comes_once_in_order_and_sums_are_one_tree(n_jobs):
    source, _ = partitions(clusters(1000, 2, 2), n_jobs=n_jobs)
    np.testing.assert_array_equal(source.map(numbers, 1), np.arange(1000))
    parts = [tuple(range(a, b)) for a, b in zip(CUTS, [*CUTS[1:], 1000], strict=True)]
    assert source.reduce(tree, 1).rows == (((parts[0], parts[1]), (parts[2], parts[3])), parts[4])


def test_an_empty_partition_changes_nothing():
    X = clusters(1000, 2, 2)
    source, _ = partitions(X, cuts=(0, 0, 100, 100, 500))
    assert len(source.parts) == 3
    np.testing.assert_array_equal(source.map(values_of, 1), X)


def test_some_rows_are_brought_here():
    X, weights = clusters(1000, 2, 2), np.arange(1000.0)
    source, reads = partitions(X, weights)
    for chosen in (slice(None), slice(90, 400, 7), np.array([3, 335, 999]), np.array([900, 3, 3])):
        some = source.in_memory(chosen)
        np.testing.assert_array_equal(some.values, X[chosen])
        np.testing.assert_array_equal(some.weights, weights[chosen])
    reads.clear()
    source.in_memory(slice(340, 800))
    assert reads == [566]
    here, there = (s.sample(50, generator(1)) for s in (ArraySource(X), source))
    np.testing.assert_array_equal(here.values, there.values)


def test_rows_that_are_chosen_stay_where_they_are(monkeypatch):
    X = clusters(1000, 2, 2)
    weights = (np.arange(1000) % 3 > 0).astype(float)
    source, _ = partitions(X, weights)
    present = source.present()
    own = X[weights > 0]
    np.testing.assert_array_equal(present.map(values_of, 1), own)
    np.testing.assert_array_equal(present.map(numbers, 1), np.arange(len(own)))
    some = np.array([0, 70, 400, 665])
    np.testing.assert_array_equal(present.subset(some).map(values_of, 1), own[some])
    np.testing.assert_array_equal(present.subset(slice(5, 600, 3)).in_memory().values, own[5:600:3])
    halves = [OfFold(7, 2, fold, True) for fold in (0, 1)]
    folds = [present.chosen(half).map(values_of, 1) for half in halves]
    assert sorted(map(tuple, np.vstack(folds))) == sorted(map(tuple, own))
    # A fold of a row is a matter of its number among those that are left.
    np.testing.assert_array_equal(folds[1], own[hashed(np.arange(len(own)), 7) % 2 == 1])
    np.testing.assert_array_equal(folds[1], own[halves[1].places(len(own))])
    monkeypatch.setattr("bayesmix.sources.partitions_of_rows.MOST_AT_HAND", 1000)
    with pytest.raises(TooManyRowsError, match=r"1,000 rows x 2 columns .* rows.sample"):
        partitions(X)[0].in_memory()


def test_a_hash_deals_rows_evenly_and_without_pattern():
    folds = hashed(np.arange(100_000), 3) % 5
    counts = np.bincount(folds.astype(int), minlength=5)
    assert stats.chisquare(counts).pvalue > 1e-5
    pairs = np.bincount((5 * folds[1:] + folds[:-1]).astype(int), minlength=25)
    assert stats.chisquare(pairs).pvalue > 1e-5


@pytest.mark.parametrize("weighted", [False, True])
def test_one_look_tells_what_the_summary_of_an_array_tells(weighted, monkeypatch):
    rng = generator(12)
    X = np.column_stack([rng.normal(size=3000), rng.integers(0, 5, 3000), np.full(3000, 2.0)])
    X[7, 2] = 3.0
    weights = rng.integers(0, 3, 3000).astype(float) if weighted else None
    if weights is not None:
        weights[7] = 1.0
    exact = ArraySource(X, weights).summary
    few, _ = partitions(X, weights)
    assert_same(few.summary, exact, rtol=0)
    for module in ("memory", "partitions_of_rows"):
        monkeypatch.setattr(f"bayesmix.sources.{module}.MOST_SORTED", 1000)
    many, reads = partitions(X, weights)
    assert_same(many.summary, ArraySource(X, weights).summary, rtol=1e-12)
    assert many.total_weight == exact.total_weight
    assert len(reads) == 5
    assert many.spread(100).shape == (100, 3)


@pytest.mark.parametrize(
    "model",
    [bm.GaussianMixture(4, random_state=0), bm.BayesianGaussianMixture(6, random_state=0)],
    ids=["likelihood", "variational"],
)
def test_rows_are_read_once_before_the_first_pass(model, monkeypatch):
    for module in ("memory", "partitions_of_rows"):
        monkeypatch.setattr(f"bayesmix.sources.{module}.MOST_SORTED", 5_000)
    monkeypatch.setattr("bayesmix.search.optimum.SAMPLED_ABOVE", 0)
    X = clusters(20_000, 2, 4)
    source, reads = partitions(X, cuts=(0, 5_000, 12_000, 12_001))
    before = []

    def begun(*arguments, **options):
        before.append(sum(reads))
        return original(*arguments, **options)

    from bayesmix.em.run import e_step as original

    monkeypatch.setattr("bayesmix.em.run.e_step", begun)
    model.fit(source)
    # A count of distinct rows looks at the first of them.
    assert before[0] <= 20_000 + 5_000


def test_a_part_and_its_row_are_named():
    X = clusters(1000, 2, 2)
    X[420, 1] = np.nan
    source, _ = partitions(X)
    with pytest.raises(InvalidInputError, match=r"NaN in row 420 \(row 86 of part 3\), column 1"):
        bm.GaussianMixture(2).fit(source)
    weights = np.ones(1000)
    weights[5] = -1.0
    with pytest.raises(InvalidInputError, match=r"got -1 for row 5 \(row 5 of part 0\)"):
        bm.GaussianMixture(2).fit(partitions(clusters(1000, 2, 2), weights)[0])


def test_a_step_sees_rows_as_they_are_stored():
    X = clusters(1000, 2, 2).astype(np.float32)
    source, _ = partitions(X)
    assert source.map(values_of, 1).dtype == np.float32
    assert [len(block) for block in Rows(X, None, 5).blocks(300)] == [300, 300, 300, 100]


def test_a_source_of_files_travels(tmp_path):
    X = clusters(300, 2, 2)
    for number, part in enumerate(np.array_split(X, 3)):
        np.save(tmp_path / f"part-{number}.npy", part)
    source = bm.read(tmp_path)
    assert source.summary.n_rows == 300
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.in_memory().values, X)


def test_folds_are_dealt_by_hash_and_a_search_compares_by_them(monkeypatch):
    # Few rows are searched in memory.
    monkeypatch.setattr(PartitionedSource, "is_brought_whole", property(lambda source: False))
    X = clusters(400, 2, 3)
    source, _ = partitions(X, cuts=(0, 150, 151))
    splits = make_splits(4, source, 3)
    numbers = [places_in(split.test, 400) for split in splits]
    np.testing.assert_array_equal(np.sort(np.concatenate(numbers)), np.arange(400))
    for split, own in zip(splits, numbers, strict=True):
        np.testing.assert_array_equal(rows_of(source, split.test).in_memory().values, X[own])
        assert rows_of(source, split.train).shape[0] == 400 - len(own)
    options = {"n_components": (1, 3), "criterion": "cv", "random_state": 0, "refit": False}
    found = bm.MixtureSearch(**options).fit(source)
    folds = [(np.setdiff1d(np.arange(400), own), own) for own in _folds_of(source, found)]
    expected = bm.MixtureSearch(cv=folds, **options).fit(X)
    np.testing.assert_allclose(found.results_["cv"], expected.results_["cv"], rtol=1e-6)
    nested = bm.nested_cv(bm.GaussianMixture(2, random_state=0), source, cv=3, random_state=0)
    assert np.isfinite(nested.scores["held_out"]).all()


def _folds_of(source, search):
    seed = root_seed(search.random_state)
    return [places_in(split.test, source.shape[0]) for split in make_splits(5, source, seed)]


@pytest.mark.slow
def test_select_takes_parts_and_goes_on_from_a_checkpoint(tmp_path):
    X = clusters(400, 2, 3)
    source, _ = partitions(X, cuts=(0, 150, 151))
    options = {"n_components": (1, 2, 3), "random_state": 0, "checkpoint": tmp_path}
    first = bm.select(source, covariance_type=("full", "diag"), **options)
    whole = bm.select(X, covariance_type=("full", "diag"), n_components=(1, 2, 3))
    assert first.best_params_["n_components"] == whole.best_params_["n_components"]
    other, _ = partitions(X, cuts=(0, 150, 151))
    again = bm.select(other, covariance_type=("full", "diag"), **options)
    assert again.best_score_ == first.best_score_
    np.testing.assert_array_equal(again.best_estimator_.means_, first.best_estimator_.means_)


def test_no_number_of_every_row_comes_here_unless_it_is_asked_for(monkeypatch):
    X = clusters(1000, 2, 2)
    weights = (np.arange(1000) % 3).astype(float)
    expected = bm.GaussianMixture(2, random_state=0).fit(X, sample_weight=weights)
    gaps = X.copy()
    gaps[::10, 1] = np.nan
    dropping = bm.GaussianMixture(2, missing="drop", random_state=0)
    kept = clone(dropping).fit(gaps, sample_weight=weights)
    monkeypatch.setattr(PartitionedSource, "map", refused)
    source, _ = partitions(X, weights)
    found = bm.GaussianMixture(2, random_state=0).fit(source)
    score = found.score(source)
    assert score == pytest.approx(expected.score(X, sample_weight=weights), rel=1e-12)
    averaged = np.average(expected.score_samples(X), weights=weights)
    assert score == pytest.approx(averaged, rel=1e-12)
    assert found.bic(source) == pytest.approx(expected.bic(X, weights), rel=1e-12)
    with_gaps, _ = partitions(gaps, weights)
    np.testing.assert_allclose(clone(dropping).fit(with_gaps).means_, kept.means_, rtol=1e-9)
    with pytest.raises(InvalidInputError, match="only 1 of 1000 are left"):
        dropping.fit(partitions(np.where(np.arange(1000)[:, None] < 999, np.nan, X))[0])


def refused(*arguments):
    raise AssertionError("a number of every row was brought here")


def test_what_is_asked_of_every_row_is_refused_where_they_are_too_many(monkeypatch):
    source, _ = partitions(clusters(1000, 2, 2))
    model = bm.GaussianMixture(2, random_state=0).fit(source)
    monkeypatch.setattr("bayesmix.sources.partitions_of_rows.MOST_AT_HAND", 1000)
    assert len(model.predict(source)) == 1000
    with pytest.raises(TooManyRowsError, match="2 numbers for each of 1,000 rows"):
        model.predict_proba(source)
    assert model.predict_proba(source.subset(slice(0, 500))).shape == (500, 2)
    with pytest.raises(TooManyRowsError, match=r"rows\.sample"):
        bm.stability(model, source)


@pytest.mark.parametrize("weighted", [False, True])
def test_of_many_rows_folds_judge_one_in_so_many(weighted, monkeypatch):
    monkeypatch.setattr("bayesmix.selection.scores.MOST_HELD_OUT", 300)
    monkeypatch.setattr(PartitionedSource, "is_brought_whole", property(lambda source: False))
    X = clusters(1000, 2, 3)
    weights = (np.arange(1000) % 5).astype(float) if weighted else None
    source, _ = partitions(X, weights)
    source = source.present()
    n_rows = source.shape[0]
    own = X if weights is None else X[weights > 0]
    counts = np.ones(n_rows) if weights is None else weights[weights > 0]
    options = {"n_components": (1, 3), "criterion": "cv", "random_state": 0, "refit": False}
    found = bm.MixtureSearch(**options).fit(source)
    every = -(-n_rows // 300)
    judged = counts[::every].sum()
    assert f" nats on {judged:g} observations). Next: " in found.summary()
    looked_at = np.arange(0, n_rows, every)
    folds = []
    for split in make_splits(5, source, root_seed(0)):
        tested = looked_at[places_in(split.test, len(looked_at))]
        np.testing.assert_array_equal(rows_of(source, split.test).in_memory().values, own[tested])
        left = hashed(np.arange(n_rows), split.test.seed) % 5 != split.test.fold
        np.testing.assert_array_equal(rows_of(source, split.train).in_memory().values, own[left])
        folds.append((np.flatnonzero(left), tested))
    given = {} if weights is None else {"sample_weight": counts}
    expected = bm.MixtureSearch(cv=folds, **options).fit(own, **given)
    np.testing.assert_allclose(found.results_["cv"], expected.results_["cv"], rtol=1e-6)
    with pytest.raises(TooManyRowsError, match="use a number of folds"):
        bm.MixtureSearch(cv=folds, **options).fit(source)
    nested = bm.nested_cv(bm.GaussianMixture(2, random_state=0), source, cv=3, random_state=0)
    assert len(nested.held["procedure"].density) == len(looked_at)
