"""Messy files: the same columns and answers in the shell and in Python, with any workers."""

import contextlib
import gzip
import io
import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import BayesmixWarning
from bayesmix.shell.app import app
from bayesmix.shell.shown_tables import candidate_table

RNG = np.random.default_rng(66)
N = 90
GROUP = RNG.integers(0, 2, N)
HEIGHT = (160 + 20 * GROUP + RNG.normal(0, 4, N)).round(1)


def german(i):
    """Decimal commas, tabs, percent signs, a phone, and an empty last column."""
    height = "k.A." if i % 10 == 3 else str(HEIGHT[i]).replace(".", ",")
    return f"{i}\t0{30 + i % 7}/{5551234 + i}\t{height}\t{i % 13},5 %\t{'mw'[GROUP[i]]}\t\r\n"


def clinic(i):
    """Identifiers with letters, times of visits, yes and no, a free text, units in the name."""
    name = f"P-{i:04d},2024-03-{1 + i % 28:02d}T08:15:00,{HEIGHT[i]}"
    note = "" if i % 3 else f'"seen, well {i}"'
    return f"{name},{'Yes' if GROUP[i] else 'No'},{note},n/a\n"


def sheet(i):
    """Row names without a title, thousands separators, codes of groups, years, blank lines."""
    pay = 1000 * (1 + GROUP[i]) + 37 * (i % 11)
    blank = "\n" if i == N - 1 else ""
    return f'{i + 1};"{pay:,}";{HEIGHT[i] / 100:.3f};{1 + GROUP[i]};{1999 + i % 20}\n{blank}'


def customers(i):
    """A dash among decimal commas, postal codes with leading zeros, two scales, a broken line."""
    height = "-" if i % 9 == 4 else str(HEIGHT[i]).replace(".", ",")
    answers = ";".join(str(1 + (2 * GROUP[i] + i % (2 + k)) % 5) for k in range(3))
    note = '"calls; later\nagain"' if i == 3 else ""
    return f"{1067 + i % 30:05d};{height};{answers};{(3 * GROUP[i] + i % 2) % 5};{note};;\r\n"


FILES = {
    "customers.csv": ("\ufeffPLZ;height;q1;q2;q3;again;note;;\r\n", customers, []),
    "german.txt": ("Nr\tTelefon\tGröße (cm)\tAnteil\tGeschlecht\t\r\n", german, ["k.A."]),
    "clinic.csv.gz": ("patient,visit,height [cm],smoker,note,score\n", clinic, []),
    "sheet.csv": (";pay;height;region;year\n", sheet, []),
}
KEPT = {
    "customers.csv": ["height", "q1", "q2", "q3", "again"],
    "german.txt": ["Größe (cm)", "Anteil", "Geschlecht"],
    "clinic.csv.gz": ["height [cm]", "smoker"],
    "sheet.csv": ["height", "region"],
}
OPTIONS = ("--components", "1:2", "--criterion", "bic", "--json")


def in_shell(path, *options):
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
        pytest.raises(SystemExit) as end,
    ):
        app(["select", str(path), *OPTIONS, *options], prog_name="bayesmix")
    assert end.value.code == 0
    return json.loads(out.getvalue())


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_messy_files_have_the_same_columns_and_answers_in_the_shell_and_in_python(tmp_path, name):
    header, row, codes = FILES[name]
    content = (header + "".join(map(row, range(N)))).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    said = in_shell(path, *(("--na", ",".join(codes)) if codes else ()))
    table = bm.read_table(path, na=codes)
    search = bm.select(table, (1, 2), criterion="bic", missing="use", n_jobs=1)
    assert said["data"]["columns"] == list(search.feature_names_in_) == KEPT[name]
    assert said["best"]["bic"] == pytest.approx(search.best_score_, rel=1e-8)
    assert said["chosen"]["n_components"] == search.n_components_ == 2
    out = search.columns_[search.columns_["kind"] == "exclude"]
    assert len(out) == table.shape[1] - len(KEPT[name])
    assert said["summary"] == search.summary()
    assert said["n_clusters"] == search.n_clusters_
    rows = re.compile(r" in row \d+")  # from 1 in the shell, from 0 in Python
    words = [
        {place: rows.sub("", why) for place, why in dict(each).items()}
        for each in (said["data"]["left_out"], out["reason"])
    ]
    assert words[0] == words[1]


def kinds_of_input():
    frame = pd.DataFrame({"x": HEIGHT, "y": RNG.normal(3 * GROUP)})
    items = [np.clip(np.round(RNG.normal(2 + 2 * GROUP, 0.8)), 1, 5).astype(int) for _ in "abc"]
    yield "continuous", frame, {}
    yield "counts", pd.DataFrame({"n": RNG.poisson(2 + 10 * GROUP), "x": HEIGHT}), {}
    yield "ratings", pd.DataFrame(dict(zip("abc", items, strict=True))), {}
    yield "text", frame.assign(sex=np.where(GROUP, "f", "m")), {}
    yield "missing", frame.assign(x=frame["x"].mask(RNG.random(N) < 0.1)), {"missing": "use"}
    yield "weights", frame.assign(w=RNG.integers(1, 4, N)), {"weight": "w"}


INPUTS = list(kinds_of_input())


@pytest.mark.slow
@pytest.mark.parametrize("case", INPUTS, ids=[name for name, *_ in INPUTS])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_workers_change_no_answer_in_python_and_in_the_shell(tmp_path, case):
    _, frame, how = case
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    weight, missing = how.get("weight"), how.get("missing", "error")
    rows = frame if weight is None else frame.drop(columns=weight)
    weights = None if weight is None else frame[weight]
    given = () if weight is None else ("--weight", weight)
    answers = []
    for jobs in (1, 2, 4):
        search = bm.select(
            rows, (1, 2), criterion="bic", sample_weight=weights, missing=missing, n_jobs=jobs
        )
        table = search.results_.drop(columns="seconds")
        said = in_shell(path, "--jobs", str(jobs), *given)
        candidates = [{**row, "seconds": 0} for row in said["candidates"]]
        answers.append((table, search.predict(rows), candidates, said["summary"]))
    (table, labels, candidates, summary), *parallel = answers
    for other in parallel:
        pd.testing.assert_frame_equal(other[0], table, check_exact=True)
        np.testing.assert_array_equal(other[1], labels)
        assert other[2:] == (candidates, summary)
    assert candidates[0]["bic"] == pytest.approx(table["bic"].iloc[0], rel=1e-8)


def test_every_reader_sees_the_same_missing_cells(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text("a,b\n" + "".join(f"{'?' if i % 4 == 0 else i},{i % 5}.5\n" for i in range(40)))
    with warnings.catch_warnings(action="ignore"):
        read = bm.read(path, missing="keep").values
        table = bm.read_table(path)
    np.testing.assert_array_equal(np.isnan(read[:, 0]), np.arange(40) % 4 == 0)
    np.testing.assert_array_equal(table["a"].isna().to_numpy(), np.arange(40) % 4 == 0)


def test_codes_and_leading_zeros_survive_decimal_commas(tmp_path):
    path = tmp_path / "table.csv"
    lines = [f"0{1000 + i};{'-' if i == 3 else f'{i},5'};?;;" for i in range(12)]
    path.write_text("\n".join(["PLZ;cm;n;;", *lines]))
    table = bm.read_table(path)
    assert table["PLZ"].tolist() == [f"0{1000 + i}" for i in range(12)]
    expected = [np.nan if i == 3 else i + 0.5 for i in range(12)]
    np.testing.assert_array_equal(table["cm"].to_numpy(), expected)
    assert list(table) == ["PLZ", "cm", "n"]


def test_a_typographic_minus_sign_is_a_minus_sign(tmp_path):
    path, numbers = tmp_path / "balance.csv", np.where(np.arange(40) % 3, -1.0, 1.0) * HEIGHT[:40]
    rows = [f"{number},{i % 7}.25\n" for i, number in enumerate(numbers)]
    path.write_text(("x,y\n" + "".join(rows)).replace("-", "\u2212"), encoding="utf-8")
    search = bm.select(bm.read_table(path), (1,), criterion="bic")
    assert list(search.columns_["kind"]) == ["continuous", "continuous"]
    assert search.best_estimator_.means_[0, 0] == pytest.approx(numbers.mean())
    said = in_shell(path)
    assert said["data"]["columns"] == ["x", "y"]


@pytest.mark.parametrize("code", [-999, -9, 9999])
def test_a_repeated_outlying_code_is_named(code):
    values = np.where(np.arange(N) % 20 == 7, code, np.arange(N) % 8 + 0.25)
    with pytest.warns(BayesmixWarning, match=rf"x \({code} in 5 rows may mean missing\)"):
        search = bm.select(pd.DataFrame({"x": values, "y": HEIGHT}), (1,), criterion="bic")
    assert search.columns_.loc["x", "kind"] == "continuous"


@pytest.mark.parametrize("family", ["categorical", "ordinal"])
@pytest.mark.slow
def test_a_named_family_of_levels_has_the_levels_of_the_file_in_the_shell_too(tmp_path, family):
    """Numbers are levels, not codes from 0: a level that no row has costs parameters."""
    path = tmp_path / "answers.csv"
    answers = np.clip(np.round(RNG.normal(2 + 2 * GROUP, 0.8, (2, N))), 1, 5)
    pd.DataFrame(answers.T.astype(int), columns=["a", "b"]).to_csv(path, index=False)
    said = in_shell(path, "--family", family)
    search = bm.select(bm.read_table(path), (1, 2), criterion="bic", family=family)
    assert said["best"]["bic"] == pytest.approx(search.best_score_, rel=1e-8)
    # The table of the shell names families that are compared.
    assert (candidate_table(search).columns[0].header == "family") == (family == "ordinal")


def test_the_shell_leaves_out_row_numbers_and_text_beside_limits_and_says_so(tmp_path, capsys):
    path = tmp_path / "water.csv"
    cells = ["<160" if v < 160 else f"{v:.1f}" for v in HEIGHT]
    table = pd.DataFrame({"Id": np.arange(N) + 1, "lead": cells, "other": RNG.normal(size=N)})
    table.assign(site=np.where(GROUP, "N", "S"), batch=np.arange(N) % 3).to_csv(path, index=False)
    with pytest.raises(SystemExit) as end:
        app(["select", str(path), "--components", "1", "--json"], prog_name="bayesmix")
    out, notes = capsys.readouterr()
    assert end.value.code == 0
    assert json.loads(out)["data"]["columns"] == ["lead", "other"]
    assert "left out: site (text), batch (categories), Id (row numbers)" in notes


def lines_of(n=40):
    rows = zip(HEIGHT[:n], HEIGHT[:n] / 2 + np.arange(n) % 5, "mw" * n, strict=False)
    return ["height,mass,sex", *(f"{height},{mass:.2f},{sex}" for height, mass, sex in rows)]


def plain_table(tmp_path):
    (tmp_path / "plain.csv").write_text("\n".join(lines_of()))
    return bm.read_table(tmp_path / "plain.csv")


def below(words, compute):
    """Return lines with a last row that computes something of the others."""
    lines = lines_of()
    numbers = np.array([line.split(",")[:2] for line in lines[1:]], dtype=float)
    return [*lines, ",".join([*(f"{value:.2f}" for value in compute(numbers, axis=0)), words])]


OTHER_ROWS = {
    "header": (
        [*lines_of()[:26], lines_of()[0], *lines_of()[26:]],
        "row 26 of .* repeats the names of the columns",
    ),
    "units": (
        [lines_of()[0], "cm,kg,", *lines_of()[1:]],
        r"row 1 of .* has units or further names \('cm', 'kg'\)",
    ),
    "total": (below("Total", np.sum), "row 41 of .* is 'Total', the sum"),
    "mean": (below("Mean:", np.mean), "row 41 of .* is 'Mean:', the mean"),
    "total and mean": (
        [*below("Total", np.sum), ",,", below("average", np.mean)[-1]],
        "row 41 of .* is 'Total', the sum; row 43 of .* is 'average', the mean",
    ),
}


@pytest.mark.parametrize("kind", OTHER_ROWS)
def test_rows_that_are_no_observations_are_left_out(tmp_path, kind):
    lines, words = OTHER_ROWS[kind]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    with pytest.warns(BayesmixWarning, match=f"left out: {words}"):
        table = bm.read_table(tmp_path / "table.csv")
    table = table.dropna(how="all").reset_index(drop=True)
    pd.testing.assert_frame_equal(table, plain_table(tmp_path), check_dtype=False)
    assert table.dtypes.iloc[0] == np.float64


def test_a_last_row_that_computes_nothing_is_data_with_a_doubt(tmp_path):
    (tmp_path / "table.csv").write_text("\n".join([*lines_of(), "171.0,83.5,Total"]))
    table = bm.read_table(tmp_path / "table.csv")
    assert len(table) == 41
    with pytest.warns(BayesmixWarning, match="row 'Total' at the end may summarise the others"):
        bm.select(table, (1,), criterion="bic")
    whole = plain_table(tmp_path).replace("m", "total")  # a category
    with warnings.catch_warnings(action="error"):
        bm.select(whole, (1,), criterion="bic")


def test_frames_with_rows_of_names_or_units_are_refused(tmp_path):
    table = plain_table(tmp_path).astype(object)
    names = pd.DataFrame([list(table)], columns=table.columns)
    with pytest.raises(ValueError, match=r"row 20 of X repeats the names of the columns: drop it"):
        bm.select(pd.concat([table[:20], names, table[20:]], ignore_index=True))
    units = pd.DataFrame([["cm", "kg", None]], columns=table.columns)
    with pytest.raises(ValueError, match=r"row 0 of X has units or further names \('cm', 'kg'\)"):
        bm.select(pd.concat([units, table], ignore_index=True))


@pytest.mark.parametrize("above", ["Size,,Who", "Size,Size,Who"])
def test_names_in_two_rows_are_refused_as_such(tmp_path, above):
    (tmp_path / "table.csv").write_text("\n".join([above, *lines_of()]))
    with pytest.raises(ValueError, match=r"names of columns in two rows, Size, .* above 'height'"):
        bm.read_table(tmp_path / "table.csv")
