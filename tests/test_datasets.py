"""The bundled data are the published ones, and nobody's changes reach anyone else."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from bayesmix.datasets import (
    load_earthquakes,
    load_faithful,
    load_galaxies,
    load_iris,
    load_npreg,
    load_penguins,
)

DATA = Path(__file__).parent / "data"

IRIS_COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def rows_of(name):
    with (DATA / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize(
    ("load", "name", "columns"),
    [
        (load_faithful, "faithful.csv", ["eruptions", "waiting"]),
        (load_iris, "iris.csv", IRIS_COLUMNS),
        (load_galaxies, "galaxies.csv", ["velocity"]),
    ],
)
def test_values_are_those_of_the_reference_to_the_bit(load, name, columns):
    frame, rows = load(), rows_of(name)
    assert list(frame.columns) == columns
    assert [dtype.kind in "fi" for dtype in frame.dtypes] == [True] * len(columns)
    for column in columns:
        assert frame[column].tolist() == [float(row[column]) for row in rows]


def test_earthquakes_and_npreg_are_those_of_the_reference_to_the_bit():
    rows, frame = rows_of("earthquakes.csv"), load_earthquakes()
    assert frame["earthquakes"].to_dict() == {int(r["year"]): int(r["count"]) for r in rows}
    rows, frame = rows_of("npreg.csv"), load_npreg()
    for column, theirs in (("x", "x"), ("y", "yn"), ("class", "class")):
        assert frame[column].tolist() == [float(row[theirs]) for row in rows]


def test_faithful_has_the_published_means():
    # R 4.2: colMeans(faithful)
    means = load_faithful().mean()
    assert means["eruptions"] == pytest.approx(3.487783, abs=5e-7)
    assert means["waiting"] == pytest.approx(70.89706, abs=5e-6)


def test_iris_has_fishers_means():
    # Fisher 1936, table II: means of the three species.
    means = load_iris(with_species=True).groupby("species", observed=True).mean()
    assert means.loc["setosa"].tolist() == pytest.approx([5.006, 3.428, 1.462, 0.246])
    assert means.loc["versicolor"].tolist() == pytest.approx([5.936, 2.770, 4.260, 1.326])
    assert means.loc["virginica"].tolist() == pytest.approx([6.588, 2.974, 5.552, 2.026])


def test_iris_species_come_on_request_only():
    assert "species" not in load_iris()
    iris = load_iris(with_species=True)
    assert list(iris.columns) == [*IRIS_COLUMNS, "species"]
    assert iris["species"].dtype == "category"
    assert Counter(iris["species"]) == {"setosa": 50, "versicolor": 50, "virginica": 50}
    assert iris["species"].tolist() == [row["species"] for row in rows_of("iris.csv")]


def test_galaxies_keep_the_published_misprint():
    velocity = load_galaxies()["velocity"]
    assert len(velocity) == 82
    assert velocity.iloc[77] == 26690


def test_penguins_are_those_of_the_published_summary():
    # Horst, Hill & Gorman 2022 (R Journal 14/1), and summary(palmerpenguins::penguins) in R.
    penguins = load_penguins()
    assert Counter(penguins["species"]) == {"Adelie": 152, "Gentoo": 124, "Chinstrap": 68}
    assert Counter(penguins["island"]) == {"Biscoe": 168, "Dream": 124, "Torgersen": 52}
    assert Counter(penguins["sex"].dropna()) == {"male": 168, "female": 165}
    assert Counter(penguins["year"]) == {2007: 110, 2008: 114, 2009: 120}
    means = penguins[[name for name in penguins if name.endswith(("_mm", "_g"))]].mean()
    assert means.tolist() == pytest.approx([43.92, 17.15, 200.9, 4202.0], rel=3e-4)


@pytest.mark.parametrize("load", [load_faithful, load_iris, load_galaxies])
def test_each_call_returns_a_frame_of_its_own(load):
    first = load()
    first.iloc[:, 0] = 0
    first["more"] = 1
    second = load()
    assert "more" not in second
    assert (second.iloc[:, 0] > 0).all()
