"""A number that is printed in two places is one number: answer, table, JSON, report and figure."""

import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import bayesmix as bm
from bayesmix.core.printed_numbers import probability
from bayesmix.report.subject import subject_of
from bayesmix.shell.result_files import as_json, description_values, plain, search_values

UNDRAWN = ("bayesmix.report.figures.svg", lambda draw, size, height: b"<svg/>")


def table(seed):
    """One to four groups in skewed, rounded and normal columns and levels, some with gaps."""
    draw = np.random.default_rng([103, seed])
    n, K = int(draw.integers(60, 160)), int(draw.integers(1, 5))
    group = draw.integers(0, K, n)
    frame = pd.DataFrame(
        {
            "length": draw.normal(10.0 * group, 2.0).round(1),
            "income": np.exp(draw.normal(9.0 + group, 0.5)).round(0),
            "visits": draw.poisson(0.3 + 3.0 * group).astype(float),
            "discount": np.where(draw.random(n) < 0.4, 0.0, draw.gamma(2.0, 5.0, n).round(2)),
            "home": np.where(draw.random(n) < 0.2 + 0.15 * group, "own", "rent"),
        }
    )
    columns = draw.choice(frame.columns, int(draw.integers(2, 5)), replace=False)
    return frame[[name for name in frame if name in {*columns, "length"}]]


def texts_of_page(path):
    """The text of a page without its marks, spaces single."""
    source = path.read_text("utf-8").split("<body>")[1]
    text = unescape(re.sub(r"<[^>]+>", " ", source)).replace("−", "-")
    return " ".join(text.split())


def assert_one_number(frame, criterion, folder):
    search = bm.select(frame, (1, 2, 3), "diag", criterion=criterion, n_jobs=1)
    answer, described = search.answer_, search.describe(frame)
    values = json.loads(as_json(plain(search_values(search) | description_values(described))))
    page = texts_of_page(search.report(folder / "report.html", frame))
    summary = search.summary()
    # The choice is one sentence, and its value that of the table.
    assert answer.choice in summary
    assert values["choice"] == answer.choice
    assert answer.choice in page
    results = search.results_
    assert values["chosen"][search.criterion_] == pytest.approx(results.iloc[0][search.criterion_])
    assert search.best_score_ == results.iloc[0][search.criterion_]
    best = results.loc[results["behind"].idxmin()]
    assert values["best"]["n_components"] == best["n_components"]
    gained = re.search(r"Best by .*\(\+([\d.]+)", answer.choice)
    assert bool(gained) == (best.name != 0)
    if gained:
        assert float(gained[1]) == pytest.approx(results["behind"][0], abs=0.05)
    # Clusters have one size and one sentence everywhere.
    sizes = [group["size"] for group in values["answer"]["groups"]]
    assert (
        sizes == answer.sizes.tolist() == described.table[("size", "rows")].tolist()[: len(sizes)]
    )
    for sentence, size in zip(described.sentences, sizes, strict=False):
        assert f"n = {size:,.0f})" in sentence
        assert sentence in summary
        # The report of one cluster has no list of what tells clusters apart.
        assert answer.number == 1 or sentence in page.replace("\u00a0", " ")
        assert sentence in values["description"]["sentences"]
        assert sentence.replace('"', "&quot;") in search._answer_html()
    # Means and medians in sentences are those of the tables.
    wide, narrow = described.to_apa(), described.to_fit(1)
    for sentence, (name, row) in zip(described.sentences, described.table.iterrows(), strict=False):
        told = re.findall(r'"(\w+)" [a-z ]+ \((mean|median) ([\d.,-]+)', sentence)
        for column, statistic, printed in told:
            (variable,) = [each for each in described.variables if each.name == column]
            assert printed == variable.number(row[(column, statistic)])
            place = wide.columns.index(str(name).capitalize())
            (cells,) = [cells for cells in wide.rows if cells[0] == f"{column}{variable.remarks}"]
            assert cells[place].split(" ")[0] == printed
            assert ("[" in cells[place]) == (statistic == "median")
            for part in narrow:
                if str(name).capitalize() in part.columns:
                    (cells,) = [
                        c for c in part.rows if c[0] == f"{column}, {statistic}{variable.remarks}"
                    ]
                    assert cells[part.columns.index(str(name).capitalize())] == printed
    # The figure of the report shows the means, medians and shares of the table.
    subject = subject_of(search, frame)
    for line in subject.differences:
        part = line.level or ("median" if line.median else "mean")
        shown = described.table[line.name, part].to_numpy()[: len(subject.clusters)]
        np.testing.assert_array_equal(line.middles, shown)
    # Probabilities have one form in text, on bars and in the report.
    axes = search.plot(None, Figure().subplots(1, 2))
    bars = [text.get_text() for text in axes[0].texts]
    shown = [p for p in answer.probabilities.values() if p >= 0.005]
    assert bars == [probability(p) for p in shown]
    for p in shown:
        assert probability(p) in page
    assert values["cluster_probabilities"] == pytest.approx(
        {str(k): p for k, p in answer.probabilities.items()}
    )
    assert not re.search(r"nats|tied|averaged_|labels of", "\n".join(summary.splitlines()[:3]))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 30))]
)
@pytest.mark.filterwarnings("ignore")
def test_a_number_in_two_places_is_one_number(seed, tmp_path, monkeypatch):
    monkeypatch.setattr(*UNDRAWN)
    assert_one_number(table(seed), ("auto", "bic", "auto")[seed % 3], tmp_path)
