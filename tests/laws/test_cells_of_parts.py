"""Cells of data in parts are those of the same rows in memory, and a search on them ends alike."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, TooManyRowsError
from bayesmix.estimators.searching.fitters import SourceFitter
from bayesmix.selection.merge_tree import cells_of_parts, readings_of, tree_of
from bayesmix.selection.tasks import Task
from bayesmix.sources.condensed import condensed
from bayesmix.sources.drawn_rows import one_of_each
from bayesmix.sources.local_workers import Local
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.partitions_of_rows import PartitionedSource
from laws.test_condensed import FAMILIES

CUTS = (0, 500, 501, 1500, 2400)


def _rows(values, weights, read):
    read.append(len(values))
    return values, weights


def in_parts(X, weights=None, cuts=CUTS, n_jobs=1):
    """Return rows as a source of parts, and what counts the rows that are read."""
    cuts, read = [*(cut for cut in cuts if cut < len(X)), len(X)], []
    lengths = [stop - start for start, stop in pairwise(cuts)]
    loaders = tuple(
        partial(_rows, X[a:b], None if weights is None else weights[a:b], read)
        for a, b in pairwise(cuts)
    )
    names = tuple(f"part {number}" for number in range(len(loaders)))
    source = PartitionedSource.of(Local(loaders), lengths, X.shape[1], names, None, n_jobs)
    return source, read


@pytest.fixture
def out_of_core(monkeypatch):
    """Let few rows be too many for memory; the sample of the first pass still has all of them."""
    monkeypatch.setattr(PartitionedSource, "is_brought_whole", property(lambda source: False))


def groups(n, seed=0, spacing=7.0):
    """Return observations of six groups, one after another in a cycle."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 6
    centres = spacing * np.array([[i, j, (i + j) % 2] for i in range(3) for j in range(2)])
    return centres[labels] + rng.normal(size=(n, 3)), labels


@pytest.fixture(params=[*FAMILIES, "gamma"])
def cells(request):
    """Return a family, and its cells of parts and of the same rows in memory."""
    rng = np.random.default_rng(5)
    family, data = FAMILIES.get(request.param, (bm.Gaussian, None))
    X = rng.gamma(3.0, size=(240, 2)) if data is None else data(rng)
    weights = rng.integers(1, 4, len(X)).astype(float)
    whole, (parts, read) = ArraySource(X, weights), in_parts(X, weights, (0, 50, 51, 120))
    if request.param == "gamma":  # a part without sums, whose tree is that of coordinates
        family = partial(bm.Product, {(0,): bm.Gaussian("diag"), (1,): bm.Gamma()})
    model = bm.Mixture(2, family=family(), inference=bm.MaximumLikelihood())
    family = model._model_of(model._model(), whole).family
    found = cells_of_parts(parts, [family], 20, 0)
    return family, found, condensed(whole, found.nearest(X)), read


def test_cells_of_parts_are_those_in_memory(cells):
    family, parts, memory, _ = cells
    np.testing.assert_allclose(parts.weights, memory.weights, rtol=1e-12)
    np.testing.assert_allclose(parts.values, memory.values, rtol=1e-12, atol=1e-12)
    for own, reading in readings_of(family, memory.looked_at):
        of_parts, of_memory = parts.read(reading), memory.read(reading)
        np.testing.assert_allclose(of_parts.values, of_memory.values, rtol=1e-12, atol=1e-12)
        frame = own.frame(of_memory.summary)
        features = [one.mean_features(one.form(own, frame), frame) for one in (of_parts, of_memory)]
        np.testing.assert_allclose(*features, rtol=1e-12, atol=1e-12)


def test_a_tree_needs_no_further_pass_and_is_that_in_memory(cells):
    family, parts, memory, read = cells
    before = sum(read)
    trees = tree_of(family, parts), tree_of(family, memory)
    assert sum(read) == before
    np.testing.assert_array_equal(trees[0].merges, trees[1].merges)
    np.testing.assert_allclose(trees[0].evidence, trees[1].evidence, rtol=1e-9, atol=1e-7)


def test_what_was_not_asked_for_takes_a_pass_and_is_the_same():
    X = np.random.default_rng(1).normal(size=(240, 3))
    parts, read = in_parts(X, cuts=(0, 100))
    found = cells_of_parts(parts, [bm.Gaussian("spherical")], 10, 0)
    memory, family = condensed(ArraySource(X), found.nearest(X)), bm.Gaussian("full")
    frame, before = family.frame(parts.summary), sum(read)
    features = [one.mean_features(one.form(family, frame), frame) for one in (found, memory)]
    np.testing.assert_allclose(*features, rtol=1e-12, atol=1e-12)
    assert sum(read) == before + 240


def test_cells_have_the_bits_of_the_parts_whatever_the_number_of_threads():
    X, _ = groups(3000)
    families = [bm.Gaussian("full"), bm.Gaussian("tied")]
    first, second = (
        cells_of_parts(in_parts(X, n_jobs=n_jobs)[0], families, 50, 0) for n_jobs in (1, 2)
    )
    for family in families:
        frame = family.frame(first.summary)
        features = [one.mean_features(one.form(family, frame), frame) for one in (first, second)]
        np.testing.assert_array_equal(*features)


@pytest.mark.parametrize("every", [1, 2, 7, 80])
def test_a_spread_sample_has_one_row_of_each_run_in_any_parts(every):
    n = 8_003
    whole = one_of_each(every, 0, n)
    np.testing.assert_array_equal(whole // every, np.arange(len(whole)))
    assert len(whole) in (n // every, -(-n // every))
    cuts = [0, 1, 90, 91, 4_000, n]
    pieces = [start + one_of_each(every, start, stop - start) for start, stop in pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_a_spread_sample_of_data_with_a_period_has_all_phases():
    phases = one_of_each(40, 0, 400_000) % 40
    assert stats.chisquare(np.bincount(phases, minlength=40)).pvalue > 1e-4


def told(search):
    """The number of clusters, and the model with its choice; data in parts are not described."""
    first, _, details = search.summary().partition("\n")
    return first, details.partition("\n\n")[2]


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["auto", "bic"])
def test_a_search_of_parts_ends_like_one_in_memory(out_of_core, criterion):
    X, labels = groups(3000)
    source, _ = in_parts(X)
    options = {"criterion": criterion, "n_jobs": 1, "column_powers": False}
    parts, memory = bm.select(source, **options), bm.select(X, **options)
    assert parts.best_params_ == memory.best_params_
    assert parts.best_score_ == pytest.approx(memory.best_score_, abs=0.1)
    np.testing.assert_array_equal(parts.predict(X), memory.predict(X))
    np.testing.assert_array_equal(parts.predict_clusters(source), memory.predict_clusters(X))
    assert parts.cluster_probabilities_.equals(memory.cluster_probabilities_)
    assert told(parts) == told(memory)
    assert adjusted_rand_score(labels, parts.predict(X)) > 0.99
    ours, theirs = (one.results_[["covariance_type", "n_components"]] for one in (parts, memory))
    assert set(map(tuple, ours.to_numpy())) == set(map(tuple, theirs.to_numpy()))


@pytest.mark.slow
def test_a_search_reads_few_passes_and_no_more_rows_than_a_sample(monkeypatch):
    # Of 12,000 rows, 2,000 are brought to the driver.
    for module in ("memory", "partitions_of_rows"):
        monkeypatch.setattr(f"bayesmix.sources.{module}.MOST_SORTED", 2_000)
    monkeypatch.setattr("bayesmix.search.optimum.SAMPLED_ABOVE", 0)
    monkeypatch.setattr("bayesmix.search.optimum.MOST_ROWS", 1_000)
    monkeypatch.setattr("bayesmix.selection.data_checks.MOST_ROWS", 1_000)
    X, labels = groups(12_000)
    source, read = in_parts(X, cuts=range(0, 12_000, 1_500))
    in_memory = PartitionedSource._in_memory

    def some(source, rows):
        if rows is None:
            raise TooManyRowsError("all of them")
        return in_memory(source, rows)

    monkeypatch.setattr(PartitionedSource, "_in_memory", some)
    search = bm.select(source)
    assert sum(read) <= 60 * len(X)
    assert search.n_clusters_ == 6
    assert adjusted_rand_score(labels, search.predict_clusters(X)) > 0.99
    assert search.best_estimator_.result_.n_rows == len(X)
    assert search.answer_.sizes.sum() == pytest.approx(len(X))
    listed = bm.select(source, (2, 6), ("diag", "spherical"))
    assert listed.best_params_ == {"covariance_type": "spherical", "n_components": 6}


@pytest.mark.slow
def test_families_without_sums_are_compared_on_a_sample_of_parts(out_of_core):
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.gamma(40.0, 1.0, (2500, 1)), rng.gamma(9.0, 9.0, (2500, 1))])
    source, _ = in_parts(rng.permutation(X))
    search = bm.select(source, family=bm.Gamma(), most_samples=2_500)
    assert search.best_params_["n_components"] == 2
    assert search.best_estimator_.result_.n_rows == 5_000
    assert search.results_["note"].str.contains("2,500 observations").any()


@pytest.mark.slow
def test_an_interrupt_among_cells_fits_the_best_to_all_parts(out_of_core, monkeypatch):
    X, _ = groups(3000)
    fit, seen = Task.__call__, []

    def interrupted(task, question):
        seen.append(question)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return fit(task, question)

    monkeypatch.setattr(Task, "__call__", interrupted)
    with pytest.warns(BayesmixWarning, match="interrupted: compared the first 5 candidates"):
        search = bm.select(in_parts(X)[0])
    assert search.interrupted_
    assert search.best_estimator_.result_.n_rows == 3000


@pytest.mark.slow
def test_an_interrupt_on_the_way_to_all_rows_ends_the_search(out_of_core, monkeypatch):
    X, _ = groups(3000)
    fit, kinds = SourceFitter.fit, []

    def interrupted(fitter, candidate, warm_starts=()):
        result = fit(fitter, candidate, warm_starts)
        kinds.append(type(fitter.source).__name__)
        if kinds[-1] == "ArraySource":  # the sample, before all rows
            object.__setattr__(result, "status", "interrupted")
        return result

    monkeypatch.setattr(SourceFitter, "fit", interrupted)
    with pytest.warns(BayesmixWarning, match="interrupted"):
        search = bm.select(in_parts(X)[0])
    assert search.interrupted_
    assert kinds.count("PartitionedSource") == 1
    assert search.best_estimator_.result_.n_rows == 3000


@pytest.mark.slow
def test_few_rows_in_parts_are_searched_in_memory():
    X, _ = groups(600)
    parts, memory = bm.select(in_parts(X)[0]), bm.select(X)
    assert told(parts) == told(memory)
    np.testing.assert_array_equal(parts.best_estimator_.means_, memory.best_estimator_.means_)
