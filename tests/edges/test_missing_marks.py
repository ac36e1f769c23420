"""Marks that mean "missing" in files and frames, options that are ticked, and second headers."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.data.column_kinds import kinds_of
from bayesmix.data.table_columns import coded, recoded
from bayesmix.errors import BayesmixWarning, InvalidInputError

MARKS = ("?", "-", ".", "N/A", "n.a.", "Missing", "#NULL!", "NR", "\u2014", "#N/A", ".a")
# Readers of files have nothing in place of these.
BLANK = {"csv": ("N/A", "#N/A"), "xlsx": ("N/A", "#N/A", "#NULL!")}
N = 200


def survey(mark, seed=3):
    """Return a table with a mark in every tenth cell of a column of words and one of numbers."""
    rng = np.random.default_rng(seed)
    jobs = rng.choice(["clerk", "farm", "craft"], N).astype(object)
    hours = rng.normal(40.0, 8.0, N).round(2).astype(str).astype(object)
    jobs[::10] = hours[5::10] = mark
    return pd.DataFrame({"job": jobs, "hours": hours, "x": rng.normal(size=N).round(3)})


def saved(frame, path):
    """Write a table to a file, and read it back with its warnings."""
    getattr(frame, {"csv": "to_csv", "xlsx": "to_excel", "parquet": "to_parquet"}[path.suffix[1:]])(
        path, index=False
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = bm.read_table(path)
    return read, [str(each.message) for each in caught]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet", None])
def test_marks_are_missing_in_files_and_frames_and_said(tmp_path, mark, ending):
    frame, said = survey(mark), []
    if ending is not None:
        frame, said = saved(frame, tmp_path / f"table.{ending}")
        assert frame["hours"].dtype == np.float64
    made, coding = coded(frame)
    assert coding.levels == (("clerk", "craft", "farm"), None, None)
    assert np.flatnonzero(made["job"].isna()).tolist() == list(range(0, N, 10))
    assert np.flatnonzero(made["hours"].isna()).tolist() == list(range(5, N, 10))
    if mark in BLANK.get(ending, ()):
        return
    if ending is None:
        assert f"40 cells of 2 columns hold {mark!r}, read as missing" in coding.marks
    else:
        assert said[0].endswith(f"20 cells of 1 column hold {mark!r}, read as missing")
        assert f"20 cells of 1 column hold {mark!r}, read as missing" in coding.marks
    pd.testing.assert_frame_equal(recoded(frame, coding), made)


def test_numbers_among_words_are_missing_and_numbers_among_numbers_a_question():
    frame = survey("-99")
    coding = coded(frame[["job"]])[1]
    assert coding.levels == (("clerk", "craft", "farm"),)
    assert "20 cells of 1 column hold '-99', read as missing" in coding.marks
    doubts = coded(pd.DataFrame({"hours": pd.to_numeric(frame["hours"])}))[1].doubts
    assert "hours (-99 in 20 rows may mean missing)" in doubts


def test_a_column_named_categorical_keeps_its_marks_as_levels():
    frame = survey("?")
    coding = coded(frame, {"job": "categorical"})[1]
    assert coding.levels[0] == ("?", "clerk", "craft", "farm")
    assert coding.marks == "20 cells of 1 column hold '?', read as missing"  # the hours
    assert "set columns={'job': 'categorical'}" in coded(frame)[1].marks


def test_marks_beside_a_single_level_are_levels():
    rng = np.random.default_rng(1)
    for levels in (("+", "-"), ("NR", "R")):
        frame = pd.DataFrame({"result": rng.choice(levels, N), "x": rng.normal(size=N)})
        coding = coded(frame)[1]
        assert (coding.levels[0], coding.marks) == (levels, "")


def test_a_fit_of_marks_is_that_of_missing_values():
    frame = survey("?")[["job", "x"]]
    blank = frame.replace("?", None)
    with pytest.warns(BayesmixWarning, match=r"20 cells of 1 column hold '\?', read as missing"):
        marked = bm.Mixture(1, family="auto", random_state=0).fit(frame)
    missing = bm.Mixture(1, family="auto", missing="use", random_state=0).fit(blank)
    np.testing.assert_array_equal(marked.score_samples(frame), missing.score_samples(blank))
    with pytest.raises(InvalidInputError, match="must have no missing values"):
        bm.Mixture(1, family="auto").fit(blank)
    with pytest.warns(BayesmixWarning, match="read as missing"):
        search = bm.select(frame, (1, 2), random_state=0)
    assert search.predict(frame).shape == (N,)
    with pytest.warns(BayesmixWarning, match="read as missing|without any value"):
        levels = bm.Mixture(1, family="categorical", random_state=0).fit(frame[["job"]])
    known = frame["job"][frame["job"] != "?"]
    shares = known.value_counts(normalize=True)[["clerk", "craft", "farm"]]
    new = pd.DataFrame({"job": shares.index})
    np.testing.assert_allclose(np.exp(levels.score_samples(new)), shares, rtol=1e-6)


def test_answers_in_words_that_may_mean_missing_stay_a_question():
    frame = survey("Refused")
    assert "job (Refused in 20 rows may mean missing)" in coded(frame[["job"]])[1].doubts
    answers = np.random.default_rng(2).choice(["Y", "N"], N).astype(object)
    for code in ("-9", -9, "9", "99"):
        answers[::10] = code
        said = coded(pd.DataFrame({"smokes": answers}))[1].doubts
        assert f"smokes ({code} in 20 rows may mean missing)" in said


def test_a_zero_beside_answers_from_one_is_a_question():
    rng = np.random.default_rng(4)
    likert = rng.integers(1, 6, N)
    likert[::12] = 0
    rare = 1 + rng.binomial(4, rng.choice([0.2, 0.8], N))
    rare[::20] = 0
    for values, n in ((likert, 17), (rare, 10)):
        doubts = coded(pd.DataFrame({"q": values}))[1].doubts
        assert f"q (0 in {n} rows may mean missing)" in doubts
    others = {
        "0 to 4": rng.integers(0, 5, N),
        "0 to 10": rng.integers(0, 11, N),
        "counts": rng.poisson(2.0, N),
        "days": rng.choice(8, N, p=[0.6, *[0.4 / 7] * 7]),
    }
    for values in others.values():
        assert not coded(pd.DataFrame({"q": values}))[1].doubts


def test_none_is_an_answer_in_spreadsheets_as_in_text(tmp_path):
    frame = pd.DataFrame({"alcohol": ["None", "Light", "Heavy", "None"] * 5, "x": range(20)})
    for ending in ("csv", "xlsx"):
        read, said = saved(frame, tmp_path / f"table.{ending}")
        assert read["alcohol"].tolist() == frame["alcohol"].tolist()
        assert not said


@pytest.mark.parametrize("tick", ["x", "X", "TRUE", "1", 1, True, "Yes", None])
@pytest.mark.parametrize("blank", [None, "", np.nan])
def test_ticked_options_are_yes_or_no(tick, blank):
    rng = np.random.default_rng(2)
    ticked = rng.random((N, 3)) < 0.4
    options = ["Apple pie", "Pumpkin", "Lime"]
    frame = pd.DataFrame(
        {
            option: [(option if tick is None else tick) if on else blank for on in column]
            for option, column in zip(options, ticked.T, strict=True)
        }
    )
    made, coding = coded(frame)
    np.testing.assert_array_equal(made.to_numpy(), ticked)
    assert coding.guesses() == (
        "categorical: Apple pie, Pumpkin, Lime (ticked, or blank for no); to overrule, set "
        "columns={'Apple pie': 'exclude', 'Pumpkin': 'exclude', 'Lime': 'exclude'}"
    )
    pd.testing.assert_frame_equal(recoded(frame[::-1], coding), made[::-1])


def test_a_constant_with_missing_values_is_no_option():
    country = ["US"] * N
    country[3] = None
    for values in (country, ["2.5", *[None] * (N - 1)], [2.5, *[None] * (N - 1)]):
        assert kinds_of(pd.DataFrame({"where": values}), {})["where"].why == "one value"
    # Two columns whose cells are missing in the same rows are no options either.
    both = pd.DataFrame(
        {"country": country, "currency": ["USD" if each else None for each in country]}
    )
    assert not coded(both.assign(x=range(N), y=np.arange(N) ** 0.5))[1].has_levels


def answers(n=60, seed=4):
    rng = np.random.default_rng(seed)
    asked = ("Do you smoke?", "Do you gamble?", "Do you speed?")
    columns = {question: rng.choice(["Yes", "No"], n) for question in asked}
    return pd.DataFrame(columns).assign(Gender=rng.choice(["F", "M"], n))


@pytest.mark.parametrize(
    "above",
    [
        [["Response"] * 4],
        [["Q1 text", "Q2 text", "Q3 text", "Selected"], ['{"ImportId":"QID1"}'] * 4],
    ],
)
def test_further_header_rows_of_a_file_of_words_are_left_out(tmp_path, above):
    frame = answers()
    extra = pd.DataFrame(above, columns=frame.columns)
    for ending in ("csv", "xlsx"):
        read, said = saved(pd.concat([extra, frame]), tmp_path / f"table.{ending}")
        pd.testing.assert_frame_equal(read, frame, check_dtype=False)
        assert all(f"row {i + 1} of" in said[0] for i in range(len(above)))
    with pytest.raises(InvalidInputError, match="row 0 of X has units or further names"):
        coded(pd.concat([extra, frame], ignore_index=True))


def test_a_first_respondent_with_answers_of_others_is_kept(tmp_path):
    frame = answers()
    frame.iloc[0, :3] = "Rather not"  # but a gender that others have
    read, said = saved(frame, tmp_path / "table.csv")
    assert (len(read), said) == (60, [])


def test_a_named_family_of_levels_reads_ticks_too():
    rng = np.random.default_rng(8)
    ticked = rng.random((N, 2)) < 0.3
    frame = pd.DataFrame({f"{x}": np.where(ticked[:, j], x, None) for j, x in enumerate("ab")})
    with pytest.warns(BayesmixWarning, match="a, b: ticked, or blank for no"):
        fit = bm.Mixture(1, family="categorical", random_state=0).fit(frame)
    shares = [
        np.prod(np.where(row, ticked.mean(axis=0), 1 - ticked.mean(axis=0))) for row in ticked
    ]
    np.testing.assert_allclose(np.exp(fit.score_samples(frame)), shares, rtol=1e-6)


def test_respondents_who_tick_all_options_repeat_no_names(tmp_path):
    frame = pd.DataFrame({name: [name, None, name, None] * 10 for name in ("tea", "milk", "wine")})
    read, said = saved(frame, tmp_path / "table.csv")
    assert (len(read), said) == (40, [])
