"""`bayesmix.read`: every file becomes the same rows, and every bad one a sentence."""

import gzip
import os
import sys
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, FileAccessError, InvalidInputError, MissingExtraError

FAITHFUL = bm.datasets.load_faithful()


@pytest.fixture
def file(tmp_path):
    """Writes text or bytes to a file and gives its path."""

    def write(content, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refused(path, **options):
    with pytest.raises(InvalidInputError) as problem:
        bm.read(path, **options)
    text = str(problem.value)
    assert "\n" not in text
    return text


WRITERS = {
    "rows.csv": lambda path: FAITHFUL.to_csv(path, index=False),
    "rows.csv.gz": lambda path: FAITHFUL.to_csv(path, index=False),
    "rows.tsv": lambda path: FAITHFUL.to_csv(path, index=False, sep="\t"),
    "ROWS.TSV.GZ": lambda path: FAITHFUL.to_csv(path, index=False, sep="\t", compression="gzip"),
    "rows.parquet": lambda path: FAITHFUL.to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows_and_names(tmp_path, name):
    WRITERS[name](tmp_path / name)
    rows = bm.read(tmp_path / name)
    assert rows.columns == ("eruptions", "waiting")
    assert rows.weights is None
    assert np.array_equal(rows.values, FAITHFUL.to_numpy())


def test_a_file_fits_as_its_frame_does_and_keeps_the_names(tmp_path):
    path = tmp_path / "rows.csv"
    FAITHFUL.to_csv(path, index=False)
    estimator = bm.GaussianMixture(n_components=2, random_state=0)
    of_file = estimator.fit(bm.read(path)).score_samples(bm.read(path))
    of_frame = bm.GaussianMixture(n_components=2, random_state=0).fit(FAITHFUL)
    assert np.array_equal(of_file, of_frame.score_samples(FAITHFUL))
    assert list(estimator.feature_names_in_) == ["eruptions", "waiting"]
    assert np.array_equal(estimator.predict(FAITHFUL), of_frame.predict(FAITHFUL))


def test_names_stay_with_subsets_samples_and_other_weights(file):
    rows = bm.read(file("a,b\n1,2\n3,4\n5,6\n"))
    for part in (
        rows.subset([0, 2]),
        rows.sample(2, np.random.default_rng(0)),
        rows.reweighted(np.ones(3)),
    ):
        assert part.columns == ("a", "b")


def test_numbers_in_text_are_read_to_the_last_bit(file):
    generator = np.random.default_rng(0)
    numbers = generator.standard_normal(2000) * 10.0 ** generator.integers(-300, 300, 2000)
    rows = bm.read(file("a\n" + "\n".join(map(repr, numbers.tolist()))))
    assert np.array_equal(rows.values[:, 0], numbers)


def test_columns_come_in_the_order_asked_for(file):
    rows = bm.read(file("a,b,c\n1,2,3\n4,5,6\n"), columns=["c", "a"])
    assert rows.columns == ("c", "a")
    assert rows.values.tolist() == [[3, 1], [6, 4]]


def test_without_columns_every_numeric_one_with_a_name_is_taken(file):
    rows = bm.read(file(",a,kind,flag\n0,1.5,x,True\n1,2.5,y,False\n"))
    assert rows.columns == ("a", "flag")
    assert rows.values.tolist() == [[1.5, 1.0], [2.5, 0.0]]


def test_a_weight_is_no_feature(file):
    rows = bm.read(file("a,n\n1,2\n3,4\n"), weight="n")
    assert rows.columns == ("a",)
    assert rows.weights.tolist() == [2.0, 4.0]
    assert rows.total_weight == 6.0


@pytest.mark.parametrize("content", ["\ufeffa, b\n1, 2\n", '"a","b"\n"1","2"\n', "\n\na,b\n1,2\n"])
def test_marks_spaces_quotes_and_empty_lines_are_no_content(file, content):
    rows = bm.read(file(content))
    assert rows.columns == ("a", "b")
    assert rows.values.tolist() == [[1.0, 2.0]]


def test_parquet_takes_nullable_columns_and_leaves_the_index_out(tmp_path):
    path = tmp_path / "rows.parquet"
    frame = pd.DataFrame(
        {"a": pd.array([1, 2], dtype="Int64"), "b": [0.5, 1.5], "c": ["x", "y"]}, index=[7, 9]
    )
    frame.to_parquet(path)
    rows = bm.read(path)
    assert rows.columns == ("a", "b")
    assert rows.values.tolist() == [[1.0, 0.5], [2.0, 1.5]]
    assert bm.read(path, columns="b", weight="a").weights.tolist() == [1.0, 2.0]


def test_an_npy_file_is_mapped_not_read(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(12.0).reshape(4, 3))
    rows = bm.read(path)
    assert isinstance(rows.values, np.memmap)
    assert rows.columns is None
    assert bm.read(path, columns=[2, 0]).values.tolist()[1] == [5.0, 3.0]
    assert bm.read(path, columns="1", weight="0").weights.tolist() == [0.0, 3.0, 6.0, 9.0]
    assert bm.read(path, weight=2).shape == (4, 2)


def test_missing_values_are_refused_with_their_rows(file):
    content = "a,b\n" + "1,\n,2\n3,4\n" * 4
    text = refused(file(content))
    assert "8 of 12 rows have some: 1 (b), 2 (a), 4 (b), 5 (a), 7 (b) and 3 more" in text
    assert "drop these rows" in text
    assert "4 of 12 rows" in refused(file(content), columns="a")
    assert bm.read(file("a,b\n1,\n2,3\n"), columns=["a"]).shape == (2, 1)


@pytest.mark.parametrize("missing", ["", "NA", "nan", "null"])
def test_what_counts_as_missing(file, missing):
    assert "1 of 2 rows have some: 2 (b)" in refused(file(f"a,b\n1,2\n3,{missing}\n"))


def test_the_answer_none_is_an_answer_among_words_and_a_gap_among_numbers(file):
    path = file("exercise,age\nNone,3\nOften,None\nNone,5\n,6\n")
    with pytest.warns(BayesmixWarning, match="1 cell of 1 column holds 'None', read as missing"):
        frame = bm.read_table(path)
    assert frame["exercise"].tolist()[:3] == ["None", "Often", "None"]
    assert frame["exercise"].isna().tolist() == [False, False, False, True]
    assert frame["age"].tolist()[::2] == [3.0, 5.0]
    assert np.isnan(frame["age"][1])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", "age;income\n34,5;2.100,50\n28;1.900\n41,25;NA\n"),
        ("rows.csv.gz", gzip.compress(b"age;income\n34,5;2.100,50\n28;1.900\n41,25;\n", mtime=0)),
        ("rows.tsv", "age\tincome\n34,5\t2.100,50\n28\t1.900\n41,25\t\n"),
        ("rows.txt", "age income\n34,5 2.100,50\n28 1.900\n41,25 NA\n"),
    ],
)
def test_decimal_commas_are_found_in_the_text(file, name, content):
    rows = bm.read(file(content, name), missing="keep")
    assert rows.columns == ("age", "income")
    expected = [[34.5, 2100.5], [28.0, 1900.0], [41.25, np.nan]]
    np.testing.assert_array_equal(rows.values, expected)


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("a;b\n1.5;2\n3;4\n", {}, [[1.5, 2.0], [3.0, 4.0]]),
        ("a;b\n1.500;2\n3.000;4\n", {"decimal": "."}, [[1.5, 2.0], [3.0, 4.0]]),
        ("a;b\n1.500;2\n3.000;4\n", {"decimal": ","}, [[1500.0, 2.0], [3000.0, 4.0]]),
        ("a|b\n1,5|2\n3,25|4\n", {"sep": "|"}, [[1.5, 2.0], [3.25, 4.0]]),
        ('a,b\n"1,5",2\n"3,25",4\n', {"decimal": ","}, [[1.5, 2.0], [3.25, 4.0]]),
        ("größe;b\n1,5;2\n3,5;4\n".encode("cp1252"), {"encoding": "cp1252"}, [[1.5, 2], [3.5, 4]]),
    ],
)
def test_signs_and_encoding_can_be_named(file, content, options, expected):
    np.testing.assert_array_equal(bm.read(file(content), **options).values, expected)


def test_dots_between_thousands_need_a_decimal_comma_somewhere(file):
    rows = bm.read(file("a;b;c\n1.500;0,5;1.25\n3.000;2,5;2.5\n"))
    np.testing.assert_array_equal(rows.values, [[1500.0, 0.5, 1.25], [3000.0, 2.5, 2.5]])
    doubtful = "a;b\n1.500;0.25\n3.000;1.5\n"
    with pytest.warns(BayesmixWarning, match=r"'1.500' in column 'a' is .* set decimal=','"):
        rows = bm.read(file(doubtful))
    np.testing.assert_array_equal(rows.values, [[1.5, 0.25], [3.0, 1.5]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bm.read(file(doubtful), decimal=".")


def test_a_column_without_values_is_left_out_with_a_warning(file):
    with pytest.warns(BayesmixWarning, match="columns without values are left out: 'b'"):
        rows = bm.read(file("a,b,c\n1,,2\n3,,4\n"))
    assert rows.columns == ("a", "c")


def test_the_first_sheet_of_a_workbook_is_a_table(tmp_path):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame({"a": [1.5, 2.5], "kind": ["x", "y"], "b": [3, 4]})
    frame.to_excel(tmp_path / "rows.xlsx", index=False)
    rows = bm.read(tmp_path / "rows.xlsx")
    assert rows.columns == ("a", "b")
    np.testing.assert_array_equal(rows.values, [[1.5, 3.0], [2.5, 4.0]])


def test_missing_values_far_down_a_mapped_file_are_found(tmp_path):
    values = np.zeros((300_000, 2))
    values[299_999, 1] = np.nan
    np.save(tmp_path / "rows.npy", values)
    assert "1 of 300,000 rows have some: 300,000 (column 1)" in refused(tmp_path / "rows.npy")


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("a,b\n1,inf\n2,3\n", {}, "no infinite values, but 1 of 2 rows have some: 1 (b)"),
        ("a,b\n1,1e400\n2,3\n", {}, "no infinite values"),
        ("a,kind\n1,x\n2,y\n", {"columns": "kind"}, "'kind' in"),
        ("a,b\n1,x\n2,3\n", {"columns": "b"}, "1 of 2 values are not numbers, the first is 'x'"),
        ("sepal,petal\n1,2\n", {"columns": "petl"}, "there is no column 'petl': did you mean 'pet"),
        ("Waiting\n1\n", {"columns": "waiting"}, "did you mean 'Waiting'?"),
        ("a,b\n1,2\n", {"columns": "zzz"}, "it has 'a' and 'b'"),
        ("a,b\n1,2\n", {"columns": []}, "columns must name at least one column"),
        ("a,b\n1,2\n", {"columns": ["a", "a"]}, "columns must name a column once"),
        ("a,b\n1,2\n", {"columns": "a", "weight": "a"}, "weight must not be one of the columns"),
        ("a,b\n1,2\n", {"weight": "w"}, "weight must be found in"),
        ("a,b\n1,x\n2,y\n", {"weight": "b"}, "weight must be numeric"),
        ("a,b\n1,-1\n2,3\n", {"weight": "b"}, "weight must not be negative"),
        ("a,b\n1,0\n2,0\n", {"weight": "b"}, "weight must not be zero in every row"),
        ("kind\nx\ny\n", {}, "must have a numeric column"),
        ("a;b\n1,5;2,5\n", {"sep": ";", "decimal": "."}, "numbers with decimal commas"),
        ("a\n1\n", {"decimal": ";"}, "decimal must be"),
        ("a,b\n1,2\n", {"sep": ",", "decimal": ","}, "sep and decimal must differ"),
        ("a,b\n1,2\n", {"encoding": "utf-9"}, "encoding must be one that Python supports"),
        ("a,a\n1,2\n", {}, "more than one is called 'a'"),
        ("", {}, "is empty"),
        ("\n\n", {}, "is empty"),
        ("a,b\n", {}, "must contain rows"),
        ("1.5,2\n3,4\n", {}, "must name the columns, got the numbers '1.5' and '2'"),
        ("7,x\n8,y\n9,x\n", {}, "must name the columns, got the numbers '7'"),
        ("a,b\n1,2,3\n", {}, "as many names in its first line"),
        ("a,b\n1,2\n3,4,5\n", {"columns": "a"}, "got 3 in line 3"),
        (b"a\n\xff\n", {}, "must be text in UTF-8"),
        (b"a\n\xff\n", {}, "encoding='cp1252'"),
    ],
)
def test_bad_tables_are_refused_with_the_reason(file, content, options, said):
    path = file(content)
    text = refused(path, **options)
    assert said in text
    assert text.startswith(("columns", "weight", "sep", "decimal", "encoding")) or str(path) in text


def test_a_line_of_years_can_be_asked_for_as_names(file):
    path = file("2019,2020\n1,2\n3,4\n")
    assert "if they are names" in refused(path)
    assert bm.read(path, columns=["2020"]).values.tolist() == [[2.0], [4.0]]


def test_files_that_are_not_there_or_nothing_we_read(tmp_path, file):
    for read in (bm.read, bm.read_table):
        with pytest.raises(FileAccessError, match=r"no\.csv does not exist"):
            read(tmp_path / "no.csv")
    assert "but folder" in refused(tmp_path)
    assert "must end in .csv, .tsv" in refused(file("a", "rows.ods"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv.gz", b"a,b\n1,2\n"),
        # mtime: two workers that collect in different seconds must see the same test
        ("rows.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9, mtime=0)[:-9]),
        ("rows.parquet", b"PAR1"),
        ("rows.parquet", b"a,b\n1,2\n"),
        ("rows.npy", b""),
        ("rows.npy", b"\x80\x04\x95"),
        ("rows.npy", b"\x93NUMPY\x01\x00"),
    ],
)
def test_damaged_files_are_refused(file, name, content):
    assert name in refused(file(content, name))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(3),
        np.zeros((0, 2)),
        np.zeros((2, 0)),
        np.zeros((2, 2), dtype=complex),
        np.array([["a"]]),
        np.array([[1.0, np.inf]]),
    ],
)
def test_arrays_without_rows_of_numbers_are_refused(tmp_path, values):
    np.save(tmp_path / "rows.npy", values)
    assert "rows.npy" in refused(tmp_path / "rows.npy")


@pytest.mark.parametrize("options", [{"columns": "a"}, {"columns": [3]}, {"weight": -1}])
def test_columns_of_an_array_are_positions(tmp_path, options):
    np.save(tmp_path / "rows.npy", np.zeros((4, 3)))
    assert "positions from 0 to 2" in refused(tmp_path / "rows.npy", **options)


def test_an_array_with_objects_is_never_unpickled(tmp_path):
    np.save(tmp_path / "rows.npy", np.array([[{}]]), allow_pickle=True)
    assert "not a readable .npy file" in refused(tmp_path / "rows.npy")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    FAITHFUL.to_parquet(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bayesmix\[parquet\]'"):
        bm.read(path)


def damaged(contents: bytes, generator: np.random.Generator) -> bytes:
    """Contents with some bytes changed, most of them near an end, or cut short."""
    changed = bytearray(contents)
    reach = len(changed) if generator.random() < 0.3 else min(len(changed), 128)
    for _ in range(int(generator.integers(1, 6))):
        place = int(generator.integers(reach))
        changed[place if generator.random() < 0.5 else -1 - place] = int(generator.integers(256))
    if generator.random() < 0.2:
        del changed[int(generator.integers(len(changed))) :]
    return bytes(changed)


@pytest.mark.parametrize("ending", ["npy", "parquet", "csv.gz"])
@pytest.mark.slow
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path, ending):
    generator = np.random.default_rng(5)
    frame = pd.DataFrame(generator.normal(size=(20, 3)), columns=["a", "b", "c"])
    path = tmp_path / f"rows.{ending}"
    if ending == "npy":
        np.save(path, frame.to_numpy())
    elif ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path)
    contents = path.read_bytes()
    for _ in range(300):
        path.write_bytes(damaged(contents, generator))
        try:
            bm.read(path)
        except InvalidInputError as problem:
            assert "rows." in str(problem)  # noqa: PT017  (most are refused, some are read)


@pytest.mark.parametrize("line", [b"1,1\n", b",", b"1,"])
def test_a_small_file_that_unpacks_to_more_than_memory_is_refused_on_the_way(
    tmp_path, monkeypatch, line
):
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + line * 5_000_000))
    pages = {"SC_PHYS_PAGES": 2_560, "SC_PAGE_SIZE": 4_096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    tracemalloc.start()
    with pytest.raises(InvalidInputError, match=r"bomb.csv.gz would take .* drop rows"):
        bm.read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


class ComparedName(str):
    """A name that counts how often it is compared with others."""

    comparisons = 0

    def __eq__(self, other):
        ComparedName.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.slow
def test_names_of_ten_thousand_columns_are_compared_a_few_times_each(tmp_path):
    """Looking every name up in a list of all compared each of them with all others."""
    path = tmp_path / "wide.csv"
    names = [f"c{number}" for number in range(10_000)]
    lines = [",".join(names), ",".join(["1"] * 10_000), ",".join(["2.5"] * 10_000)]
    path.write_text("\n".join(lines) + "\n")
    rows = bm.read(path, columns=list(map(ComparedName, names[1:])), weight="c0")
    assert rows.shape == (2, 9_999)
    assert 0 < ComparedName.comparisons < 100 * len(names)
