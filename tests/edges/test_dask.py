"""Dask arrays and frames, and rows on the workers of a cluster: the same bits as here."""

import os
import pickle
import signal
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from typer.testing import CliRunner

import bayesmix as bm
from bayesmix.core.tree_sums import height
from bayesmix.em.expectation import LINEAR
from bayesmix.errors import InvalidInputError, TooManyRowsError
from bayesmix.shell.app import app
from bayesmix.sources.dask_workers import collected
from bayesmix.sources.local_workers import climbed, packed, runs, unpacked
from bayesmix.sources.partitions_of_rows import PartitionedSource

pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
da, dd = pytest.importorskip("dask.array"), pytest.importorskip("dask.dataframe")
from distributed import Client, LocalCluster  # noqa: E402

CHUNKS = (300, 1, 500, 199)
COLUMNS = ["a", "b", "c"]
MODELS = {
    "likelihood": bm.GaussianMixture(3, random_state=0),
    "variational": bm.BayesianGaussianMixture(4, random_state=0, search="short"),
    "counts": bm.Mixture(2, family=bm.Poisson(), random_state=0, search="short"),
}
quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def rows(seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=sum(CHUNKS))
    return 9.0 + 8.0 * np.eye(3)[labels] + rng.normal(size=(len(labels), 3))


def parts_of(X, folder, cuts=CHUNKS):
    ends = np.cumsum(cuts)
    for number, (end, n) in enumerate(zip(ends, cuts, strict=True)):
        np.save(folder / f"part-{number}.npy", X[end - n : end])
    return bm.read(folder)


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_collections_have_the_bits_of_files_of_the_same_parts(name, client, tmp_path):
    X = np.abs(np.round(rows())) if name == "counts" else rows()
    expected = clone(MODELS[name]).fit(parts_of(X, tmp_path))
    array = da.from_array(X, chunks=(CHUNKS, 2))
    on_workers = bm.read(tmp_path, scheduler=client)
    for given in (array, array.persist(), on_workers):
        found = clone(MODELS[name]).fit(given)
        np.testing.assert_array_equal(found.objective_trace_, expected.objective_trace_)
        np.testing.assert_array_equal(found.means_, expected.means_)
    assert found.score(array) == expected.score(parts_of(X, tmp_path))
    np.testing.assert_array_equal(found.predict(array).compute(), expected.predict(X))


def test_what_is_said_of_rows_is_lazy_and_in_the_index_of_a_frame():
    X = rows()
    model = bm.GaussianMixture(3, random_state=0).fit(pd.DataFrame(X, columns=COLUMNS))
    index = 5 * np.arange(len(X))
    pandas = pd.DataFrame(X, columns=COLUMNS, index=index)
    frame = dd.from_pandas(pandas, npartitions=3)
    labels = model.predict(frame)
    assert isinstance(labels, dd.Series)
    computed = frame.assign(label=labels).compute()
    np.testing.assert_array_equal(computed["label"], model.predict(pandas))
    np.testing.assert_array_equal(computed.index, index)
    proba = model.predict_proba(frame)
    assert list(proba.columns) == [0, 1, 2]
    np.testing.assert_array_equal(proba.compute().to_numpy(), model.predict_proba(pandas))
    array = da.from_array(X, chunks=(CHUNKS, 1))
    array = array[array[:, 0] > 9.0]  # of unknown chunk sizes
    kept = X[X[:, 0] > 9.0]
    unnamed = bm.GaussianMixture(3, random_state=0).fit(X)
    for method in ("score_samples", "predict", "predict_proba", "responsibilities"):
        lazy = getattr(unnamed, method)(array)
        assert isinstance(lazy, da.Array)
        said = lazy.compute()
        assert said.dtype == lazy.dtype
        np.testing.assert_array_equal(said, getattr(unnamed, method)(kept))
    with pytest.raises(InvalidInputError, match="columns b, a, c, but the fit had a, b, c: pass"):
        model.predict(frame[["b", "a", "c"]])
    with pytest.raises(InvalidInputError, match="X has 2 features"):
        model.predict(array[:, :2])


def test_weights_are_a_column_of_the_frame_that_dask_reads(tmp_path, monkeypatch):
    monkeypatch.setattr("bayesmix.sources.dask_workers.current_client", lambda: None)
    pandas = pd.DataFrame(rows(), columns=COLUMNS).assign(n=np.arange(1000) % 3 + 1)
    for number in range(5):
        pandas[200 * number : 200 * number + 200].to_parquet(tmp_path / f"part-{number}.parquet")
    # Of one column Dask reads several of these files in one block.
    frame = dd.read_parquet(tmp_path)
    X, weights = frame[COLUMNS], frame["n"]
    found = bm.GaussianMixture(3, random_state=0).fit(X, sample_weight=weights)
    read = bm.read(tmp_path, columns=COLUMNS, weight="n")
    expected = bm.GaussianMixture(3, random_state=0).fit(read)
    np.testing.assert_array_equal(found.means_, expected.means_)
    assert found.score(X, sample_weight=weights) == expected.score(read)
    assert bm.select(X, (1, 3), "diag", criterion="bic").best_params_["n_components"] == 3


@pytest.mark.filterwarnings("ignore:Running on a single-machine")  # said by older Dask
def test_without_a_client_blocks_are_computed_here(tmp_path, monkeypatch):
    monkeypatch.setattr("bayesmix.sources.dask_workers.current_client", lambda: None)
    X = rows()
    weights = (np.arange(len(X)) % 3).astype(float)
    expected = bm.GaussianMixture(3, random_state=0).fit(X, sample_weight=weights)
    array = da.from_array(X, chunks=(CHUNKS, 3))
    array = array[array[:, 0] > -np.inf]
    counts = da.from_array(weights, chunks=(CHUNKS,))
    found = []
    for most in (2**28, 10_000):
        monkeypatch.setattr("bayesmix.sources.dask_workers.MOST_KEPT", most)
        found.append(bm.GaussianMixture(3, random_state=0).fit(array, sample_weight=counts))
    assert found[0].result_.objective == pytest.approx(expected.result_.objective, rel=1e-12)
    np.testing.assert_array_equal(found[0].means_, found[1].means_)
    assert found[0].result_.total_weight == weights.sum()
    with pytest.raises(InvalidInputError, match="sample_weight must be a Dask collection"):
        bm.GaussianMixture(3).fit(array, sample_weight=weights)
    with pytest.raises(InvalidInputError, match="the 4 blocks that X has, got 2"):
        bm.GaussianMixture(3).fit(array, sample_weight=da.from_array(weights, chunks=500))


def test_bad_rows_of_a_collection_are_named_with_their_block(client):
    X = rows()
    X[305, 1] = np.nan
    array = da.from_array(X, chunks=(CHUNKS, 3))
    with pytest.raises(InvalidInputError, match=r"NaN in row 305 \(row 4 of block 2\), column 1"):
        bm.GaussianMixture(2).fit(array)
    model = bm.GaussianMixture(2, random_state=0).fit(rows())
    with pytest.raises(InvalidInputError, match=r"in one of its blocks, .* NaN in row 4, column 1"):
        model.predict(array).compute()
    counts = da.from_array(rows(), chunks=(CHUNKS, 3))
    with pytest.raises(InvalidInputError, match="must hold counts"):
        bm.Mixture(2, family=bm.Poisson()).fit(counts)
    frame = dd.from_pandas(pd.DataFrame({"a": [1.0, 2.0], "t": ["x", "y"]}), npartitions=1)
    with pytest.raises(InvalidInputError, match=r"not: 't'"):
        bm.GaussianMixture(1).fit(frame)


LOOKING_AGAIN = {
    "conformal_region": lambda model, X: bm.conformal_region(clone(model), X).n_calibration,
    "stability": lambda model, X: bm.stability(
        clone(model), X, n_resamples=2, random_state=0
    ).adjusted_rand["mean"],
    "leave_one_out": lambda model, X: bm.leave_one_out(model, X).total,
    "plot_density": lambda model, X: len(bm.plot_density(model, X, kde=False).lines),
    "plot_pairs": lambda model, X: bm.plot_pairs(model, X).shape,
    "plot_em_steps": lambda model, X: bm.plot_em_steps(model, X, (0, 1)).shape,
    "density_region": lambda model, X: model.density_region(0.9).contains(X).sum(),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", LOOKING_AGAIN)
def test_what_needs_all_rows_takes_collections_and_refuses_by_size(what, monkeypatch):
    monkeypatch.setattr("bayesmix.sources.dask_workers.current_client", lambda: None)
    pandas = pd.DataFrame(rows(), columns=COLUMNS)
    frame = dd.from_pandas(pandas, npartitions=3)
    array = da.from_array(pandas.to_numpy(), chunks=(CHUNKS, 3))
    look = LOOKING_AGAIN[what]
    for given, own in ((frame, pandas), (array, pandas.to_numpy())):
        model = bm.BayesianGaussianMixture(3, random_state=0, search="short").fit(own)
        assert look(model, given) == pytest.approx(look(model, own), rel=1e-9)
    monkeypatch.setattr("bayesmix.sources.partitions_of_rows.MOST_AT_HAND", 900)
    with pytest.raises(TooManyRowsError, match="1,000 rows"):
        look(model, array)


def test_what_travels_is_no_larger_than_what_it_says():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 12))
    model = bm.GaussianMixture(20, search=None, max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture = model.fit(X).result_.mixture
    needed = 8 * 20 * (1 + 12 + 12 * 13 // 2)
    step = LINEAR.step(mixture)
    step.mixture.coefficients  # noqa: B018  (a cache, that stays here)
    content = packed(step)
    assert len(content) < 1.1 * needed + 1500 < len(pickle.dumps(step))
    again = unpacked(content)
    np.testing.assert_array_equal(again.mixture.coefficients, mixture.coefficients)
    for array in (np.tril(rng.normal(size=(3, 6, 6))), np.triu(rng.normal(size=(2, 5, 5)))):
        assert len(packed(array)) < len(pickle.dumps(array))
        np.testing.assert_array_equal(unpacked(packed(array)), array)
    for array in (rng.normal(size=(4, 4)), np.eye(5)[None], np.full((2, 4, 4), np.nan)):
        np.testing.assert_array_equal(unpacked(packed(array)), array)


@pytest.mark.parametrize("n_parts", [1, 2, 7, 13, 64])
def test_pieces_of_the_tree_added_apart_are_the_tree(n_parts):
    from bayesmix.core.tree_sums import reduced

    values = np.random.default_rng(n_parts).normal(size=n_parts) * 10.0 ** np.arange(n_parts)
    whole = reduced(lambda i: values[i], range(n_parts), 1)
    for most in (1, 2, 5, n_parts):
        for holders in (None, [number // 3 % 2 for number in range(n_parts)]):
            nodes = runs(n_parts, most, holders)
            assert [p for node in nodes for p in range(node.start, node.stop)] == [*range(n_parts)]
            sums = [
                (node, reduced(lambda i: values[i], range(node.start, node.stop), 1))
                for node in nodes
            ]
            assert climbed(sums, n_parts) == whole
    assert height(1) == 0


def killed_in_mid_fit(model, source, kill):
    """A fit in whose eighth pass a worker is killed, and how many passes it made."""
    engine, passes = source.engine, []
    reduce = engine.reduce

    def counting(*arguments):
        passes.append(1)
        if len(passes) == 8:
            kill()
        return reduce(*arguments)

    engine.reduce = counting
    return model.fit(source), len(passes)


@pytest.mark.slow
@quiet
def test_a_killed_worker_changes_no_bit(tmp_path):
    X = rows()
    model = bm.GaussianMixture(4, search=None, acceleration=None, max_iter=12, random_state=0)
    # Workers begin in a moment, and a cluster waits for one that a busy machine starts again.
    quick = {"distributed.worker.multiprocessing-method": "forkserver"}
    patient = {"distributed.deploy.lost-worker-timeout": "10 minutes"}
    with warnings.catch_warnings(), dask.config.set(quick | patient):
        warnings.simplefilter("ignore")  # it does not converge
        expected = clone(model).fit(parts_of(X, tmp_path))
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            array = da.from_array(X, chunks=(CHUNKS, 3))
            victims = iter(client.run(os.getpid).values())
            for source in (
                bm.read(tmp_path, scheduler=client),
                collected(array, None, 1),
            ):
                found, passes = killed_in_mid_fit(
                    clone(model), source, lambda: os.kill(next(victims), signal.SIGKILL)
                )
                assert passes > 12
                np.testing.assert_array_equal(found.objective_trace_, expected.objective_trace_)
                np.testing.assert_array_equal(found.means_, expected.means_)


@pytest.fixture
def out_of_core(monkeypatch):
    """Let few rows be too many for memory."""
    monkeypatch.setattr(PartitionedSource, "is_brought_whole", property(lambda source: False))


def six_groups(n=3000):
    """Return observations of six groups in one order."""
    rng = np.random.default_rng(6)
    centres = 7.0 * np.array([[i, j, (i + j) % 2] for i in range(3) for j in range(2)])
    return centres[np.arange(n) % 6] + rng.normal(size=(n, 3))


@pytest.mark.slow
@quiet
def test_select_reads_collections_where_they_are_and_a_killed_worker_changes_no_bit(
    out_of_core, tmp_path
):
    X = six_groups()
    chunks = (700, 1, 1_500, 799)
    expected = bm.select(parts_of(X, tmp_path, chunks))
    assert expected.best_params_["n_components"] == 6
    quick = {"distributed.worker.multiprocessing-method": "forkserver"}
    patient = {"distributed.deploy.lost-worker-timeout": "10 minutes"}
    with warnings.catch_warnings(), dask.config.set(quick | patient):
        warnings.simplefilter("ignore")
        for n_workers in (1, 2):
            with (
                LocalCluster(
                    n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
                ) as cluster,
                Client(cluster) as client,
            ):
                array = da.from_array(X, chunks=(chunks, 3))
                source = collected(array, None, 1)
                reduce, passes = source.engine.reduce, []

                # Among cells, and among all rows.
                kills = (2, 6) if n_workers == 2 else ()

                def counting(*given, client=client, reduce=reduce, passes=passes, kills=kills):
                    passes.append(1)
                    if len(passes) in kills:
                        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
                    return reduce(*given)

                source.engine.reduce = counting
                found = bm.select(source)
                assert 6 < len(passes) <= 60
                best, other = found.best_estimator_, expected.best_estimator_
                np.testing.assert_array_equal(best.objective_trace_, other.objective_trace_)
                np.testing.assert_array_equal(best.means_, other.means_)
                assert found.summary() == expected.summary()


@pytest.mark.slow
@quiet
def test_select_of_a_frame_leaves_its_rows_where_they_are(client, out_of_core, monkeypatch):
    X = six_groups()
    pandas = pd.DataFrame(X, columns=COLUMNS)
    frame = dd.from_pandas(pandas, npartitions=4)

    def refused(*arguments, **options):
        raise AssertionError("collected")

    monkeypatch.setattr(type(frame), "compute", refused)
    search = bm.select(frame)
    assert search.best_params_["n_components"] == 6
    assert list(search.feature_names_in_) == COLUMNS
    labels, clusters = search.predict(frame), search.predict_clusters(frame)
    monkeypatch.undo()
    np.testing.assert_array_equal(labels.compute(), search.predict(pandas))
    np.testing.assert_array_equal(clusters.compute(), search.predict_clusters(pandas))
    search.names = tuple("abcdef")
    assert set(search.predict_clusters(frame).compute()) == set("abcdef")


@pytest.mark.slow
@quiet
def test_a_search_goes_on_after_its_scheduler_is_gone(out_of_core, tmp_path):
    parts_of(rows(), tmp_path)
    options = {"n_components": (1, 2, 3, 4), "criterion": "bic", "random_state": 0}
    expected = bm.MixtureSearch(**options).fit(bm.read(tmp_path))
    search = bm.MixtureSearch(checkpoint=tmp_path / "kept", **options)
    began = []
    for restarted in (False, True):
        with (
            LocalCluster(
                n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            source = bm.read(tmp_path, scheduler=client)
            reduce, passes = source.engine.reduce, []

            def counting(*arguments, cluster=cluster, passes=passes, reduce=reduce):
                passes.append(1)
                if not began and len(list((tmp_path / "kept").glob("*.fit"))) == 2:
                    cluster.close()
                return reduce(*arguments)

            source.engine.reduce = counting
            if restarted:
                search.fit(source)
            else:
                with pytest.raises(
                    ConnectionError, match="the scheduler of the cluster no longer answers"
                ):
                    search.fit(source)
            began.append(len(passes))
    assert search.best_score_ == expected.best_score_
    best, other = search.best_estimator_, expected.best_estimator_
    np.testing.assert_array_equal(best.objective_trace_, other.objective_trace_)
    np.testing.assert_array_equal(best.means_, other.means_)


@pytest.mark.slow
def test_the_shell_and_searches_work_on_a_cluster(client, tmp_path):
    X = rows()
    parts_of(X, tmp_path)
    words = ["fit", str(tmp_path), "--components", "3", "--json"]
    assert CliRunner().invoke(app, words).exit_code == 0
    # A cluster in this process has no address that others reach.
    with dask.config.set({"distributed.comm.timeouts.connect": "500ms"}):
        refused = CliRunner().invoke(app, [*words, "--scheduler", "tcp://127.0.0.1:9"])
    assert refused.exit_code == 2
    assert "no scheduler answers at tcp://127.0.0.1:9" in refused.output
    array = da.from_array(X, chunks=(CHUNKS, 3))
    search = bm.MixtureSearch(n_components=(2, 3), criterion="bic", random_state=0).fit(array)
    assert search.best_params_["n_components"] == 3
    assert isinstance(search.predict(array), da.Array)


def test_sequences_are_fitted_where_their_blocks_are(client, tmp_path):
    X = rows()
    model = bm.HiddenMarkovModel(2, n_init=2, search="short", random_state=0)
    lengths = [length for n in CHUNKS for length in (n // 2, n - n // 2) if length]
    expected = clone(model).fit(parts_of(X, tmp_path), lengths=lengths)
    blocks = da.from_array(X, chunks=(CHUNKS, 2))
    groups = da.from_array(np.repeat(np.arange(len(lengths)), lengths), chunks=(CHUNKS,))
    found = clone(model).fit(blocks, groups=groups)
    np.testing.assert_array_equal(found.objective_trace_, expected.objective_trace_)
    np.testing.assert_array_equal(found.predict(blocks, groups=groups), found.predict(X, lengths))
    assert found.score(blocks, groups=groups) == pytest.approx(
        found.score(X, lengths=lengths), rel=1e-12
    )
