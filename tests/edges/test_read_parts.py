"""Many files, or a large one, as one source: read in parts, again in every pass."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import bayesmix as bm
from bayesmix.errors import BayesmixError, InvalidInputError

parquet = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed"
)
KINDS = [pytest.param("parquet", marks=parquet), "npy", "csv", "csv.gz"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    values = 6.0 * rng.integers(3, size=(600, 1)) + rng.normal(size=(600, 3))
    frame = pd.DataFrame(values, columns=["a", "b", "c"])
    return frame.assign(n=rng.integers(0, 3, 600).astype(float))


def written(folder, kind, frame, cuts=(0, 200, 201, 450)):
    for number, (start, stop) in enumerate(zip(cuts, [*cuts[1:], len(frame)], strict=True)):
        place, part = folder / f"part-{number + 8}.{kind}", frame[start:stop]
        if kind == "parquet":
            part.to_parquet(place, row_group_size=100, index=False)
        elif kind == "npy":
            np.save(place, part.to_numpy())
        else:
            part.to_csv(place, index=False)
    return folder


def rows_of(source):
    return source.in_memory().values


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_its_files_by_name_with_numbers_as_numbers(kind, table, tmp_path):
    source = bm.read(written(tmp_path, kind, table))
    np.testing.assert_array_equal(rows_of(source), table.to_numpy())
    assert source.columns == (None if kind == "npy" else ("a", "b", "c", "n"))
    assert len(source.parts) == 4
    pattern = bm.read(tmp_path / f"part-[89].{kind}")
    np.testing.assert_array_equal(rows_of(pattern), table.to_numpy()[:201])


@pytest.mark.parametrize("kind", KINDS)
def test_columns_and_a_weight_are_those_of_an_array(kind, table, tmp_path):
    columns, weight = ([2, 0], 3) if kind == "npy" else (["c", "a"], "n")
    source = bm.read(written(tmp_path, kind, table), columns=columns, weight=weight)
    X, weights = table[["c", "a"]].to_numpy(), table["n"].to_numpy()
    np.testing.assert_array_equal(rows_of(source), X)
    np.testing.assert_array_equal(source.in_memory().weights, weights)
    model = bm.GaussianMixture(3, random_state=0)
    expected = clone(model).fit(X, sample_weight=weights)
    found = clone(model).fit(source)
    assert found.result_.objective == pytest.approx(expected.result_.objective, rel=1e-12)
    np.testing.assert_array_equal(found.predict(source), expected.predict(X))


@parquet
def test_parquet_and_arrays_of_one_layout_have_the_same_bits(table, tmp_path):
    frame = table[["a", "b", "c"]]
    for kind in ("parquet", "npy"):
        (tmp_path / kind).mkdir()
        written(tmp_path / kind, kind, frame)
    models = [
        bm.BayesianGaussianMixture(5, random_state=0, n_jobs=jobs).fit(bm.read(tmp_path / kind))
        for kind, jobs in (("parquet", 1), ("npy", 2))
    ]
    np.testing.assert_array_equal(models[0].means_, models[1].means_)
    np.testing.assert_array_equal(*(model.objective_trace_ for model in models))


@parquet
def test_row_groups_are_parts_and_few_rows_are_read_together(table, tmp_path, monkeypatch):
    monkeypatch.setattr("bayesmix.io.folders.FEW_ROWS", 150)
    monkeypatch.setattr("bayesmix.io.readers.LARGE_PARQUET", 0)
    table.to_parquet(tmp_path / "rows.parquet", row_group_size=100)
    source = bm.read(tmp_path / "rows.parquet", columns=["b"])
    assert [part.n_rows for part in source.parts] == [200, 200, 200]
    np.testing.assert_array_equal(rows_of(source), table[["b"]].to_numpy())
    assert "row groups 2 to 3" in source.names[1]


@parquet
def test_columns_that_are_read_some_at_a_time_lie_side_by_side(tmp_path):
    names = [f"x{place}" for place in range(11)]
    frame = pd.DataFrame(np.random.default_rng(6).normal(size=(9_000, 11)), columns=names)
    frame.iloc[::7, 10] = np.nan
    frame["n"] = np.arange(9_000) % 4
    frame.to_parquet(tmp_path / "part.parquet", row_group_size=4_000)
    source = bm.read(tmp_path, columns=names[::-1], weight="n").in_memory()
    np.testing.assert_array_equal(source.values, frame[names[::-1]].to_numpy())
    np.testing.assert_array_equal(source.weights, frame["n"])


@parquet
def test_kinds_of_numbers(tmp_path):
    frame = pd.DataFrame(
        {
            "i": np.arange(9),
            "f": np.linspace(0, 1, 9, dtype=np.float32),
            "flag": np.arange(9) % 2 == 0,
            "text": list("abcdefghi"),
        }
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    source = bm.read(tmp_path)
    assert source.columns == ("i", "f", "flag")
    np.testing.assert_array_equal(
        rows_of(source), frame[["i", "f", "flag"]].to_numpy(dtype=np.float64)
    )
    single = bm.read(tmp_path, columns="f")
    assert rows_of(single).dtype == np.float32
    with pytest.raises(InvalidInputError, match=r"must be numeric, but 'text' in .* is not"):
        bm.read(tmp_path, columns=["i", "text"])


@parquet
def test_what_is_missing_is_named_by_file_and_row(table, tmp_path):
    frame = table.copy()
    frame.loc[203, "b"] = np.nan
    source = bm.read(written(tmp_path, "parquet", frame))
    with pytest.raises(
        InvalidInputError, match=r"NaN in row 203 \(row 2 of .*part-10.parquet, row groups 0 to 2\)"
    ):
        bm.GaussianMixture(2).fit(source)


def test_text_is_refused_with_its_file(table, tmp_path):
    written(tmp_path, "csv", table)
    (tmp_path / "part-9.csv").write_text("a,b,c,n\n1,2,x,1\n")
    with pytest.raises(InvalidInputError, match=r"'c' in .*part-9.csv is not"):
        bm.read(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_is_gone_or_damaged_is_named(kind, table, tmp_path):
    source = bm.read(written(tmp_path, kind, table))
    place = tmp_path / f"part-10.{kind}"
    content = place.read_bytes()
    for damage in (place.unlink, lambda: place.write_bytes(content[: len(content) // 2])):
        damage()
        with pytest.raises(BayesmixError, match=r"part-10"):
            bm.GaussianMixture(2, random_state=0).fit(source)


def test_files_that_do_not_go_together_are_refused(table, tmp_path):
    for content, words in (
        ([], "path must name a data file, but .* has no file"),
        ([("a.npy", np.zeros((3, 2))), ("b.npy", np.zeros((3, 3)))], "b.npy must have 2 columns"),
        ([("a.npy", np.zeros((3, 2))), ("b.csv", None)], "of one kind, got .csv and .npy"),
        ([("a.npy", np.zeros((0, 2)))], "must contain rows"),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, values in content:
            if values is None:
                table.to_csv(folder / name)
            else:
                np.save(folder / name, values)
        with pytest.raises(InvalidInputError, match=words):
            bm.read(folder)
    with pytest.raises(InvalidInputError, match="is no file"):
        bm.read(tmp_path / "*.npy")


@pytest.mark.parametrize("kind", KINDS)
def test_urls_are_read_where_fsspec_is_there(kind, table):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    for number, part in enumerate((table[:300], table[300:])):
        with fsspec.open(f"memory://rows-{kind}/part-{number}.{kind}", "wb") as stream:
            if kind == "parquet":
                part.to_parquet(stream, index=False)
            elif kind == "npy":
                np.save(stream, part.to_numpy())
            else:
                part.to_csv(stream, index=False, compression="gzip" if "gz" in kind else None)
    for place in (f"memory://rows-{kind}", f"memory://rows-{kind}/part-*.{kind}"):
        np.testing.assert_array_equal(rows_of(bm.read(place)), table.to_numpy())
    with pytest.raises(InvalidInputError, match="is no file"):
        bm.read("memory://nothing")
    files.rm(f"/rows-{kind}", recursive=True)
