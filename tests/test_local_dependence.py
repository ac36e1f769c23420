"""Dependence within components against textbook measures of association."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.assess.group_statistics import Variable, normal_scores
from bayesmix.assess.local_dependence import local_dependence

ALL = ~np.eye(2, dtype=bool)


def strength(*variables, labels=None):
    """Association of two variables within known groups."""
    n, names = len(variables[0].values), tuple(variable.name for variable in variables)
    shares = np.ones((n, 1)) if labels is None else np.eye(labels.max() + 1)[labels]
    return local_dependence(variables, shares, np.ones(n), ALL).get(names)


def test_association_is_that_of_textbooks_less_its_expectation_by_chance():
    draw, n = np.random.default_rng(1), 800
    x = draw.normal(size=n)
    y = 0.7 * x + draw.normal(size=n)
    codes = np.digitize(x + 0.5 * draw.normal(size=n), [-0.8, 0.3]).astype(float)
    others = np.digitize(x + 0.5 * draw.normal(size=n), [-0.5, 0.0, 0.6]).astype(float)
    one, two = Variable("x", x), Variable("y", y)
    three, four = Variable("c", codes, ("a", "b", "c")), Variable("d", others, tuple("pqrs"))
    everything = np.ones(n, bool)
    scores = [normal_scores(values, everything) for values in (x, y)]
    r = np.corrcoef(scores)[0, 1]
    assert strength(one, two) == pytest.approx(np.sqrt(r**2 - 1.0 / n))
    groups = [scores[0][codes == code] for code in range(3)]
    within = sum(((g - g.mean()) ** 2).sum() for g in groups)
    eta = 1.0 - within / ((scores[0] - scores[0].mean()) ** 2).sum()
    assert strength(one, three) == pytest.approx(np.sqrt(eta - 2.0 / n))
    table = pd.crosstab(codes, others)
    v = stats.contingency.association(table.to_numpy(), method="cramer")
    assert strength(three, four) == pytest.approx(np.sqrt(v**2 - 6.0 / n / 2.0))


def test_dependence_of_a_column_with_gaps_is_that_of_its_rows():
    draw, labels = np.random.default_rng(5), np.repeat([0, 1], [800, 100])
    codes = np.where(labels, draw.integers(0, 2, 900), 0)
    y = np.where(labels, 2.5 * codes + draw.normal(size=900), np.nan)
    pair = Variable("c", codes * 1.0, ("a", "b")), Variable("y", y)
    inside = labels == 1
    r = np.corrcoef(codes[inside], normal_scores(y, inside)[inside])[0, 1]
    assert strength(*pair, labels=labels) == pytest.approx(np.sqrt(r**2 - 1.0 / 100))


def test_columns_that_differ_only_between_groups_are_not_named():
    draw, labels = np.random.default_rng(2), np.repeat([0, 1], 300)
    x, y = 5.0 * labels + draw.normal(size=(2, 600))
    assert strength(Variable("x", x), Variable("y", y)) > 0.6
    assert strength(Variable("x", x), Variable("y", y), labels=labels) is None


def test_descriptions_name_what_the_fit_treats_as_independent_only():
    draw, group = np.random.default_rng(3), np.repeat([0, 1], 200)
    frame = pd.DataFrame({"x": 6.0 * group + draw.normal(size=400)})
    frame["y"] = 0.8 * frame["x"] + 0.6 * draw.normal(size=400)
    frame["home"] = np.where(draw.random(400) < 0.5 + 0.2 * group, "own", "rent")
    frame["room"] = np.where(
        draw.random(400) < 0.2, draw.choice(["own", "rent"], 400), frame["home"]
    )
    family = bm.Product(
        {("x", "y"): bm.Gaussian("full"), "home": bm.Bernoulli(), "room": bm.Bernoulli()}
    )
    (note,) = [
        note
        for note in bm.Mixture(2, family=family, random_state=0).fit(frame).describe(frame).notes
        if "depend on each other" in note
    ]
    assert "home and room (0." in note
    assert "x and y" not in note
    diagonal = bm.GaussianMixture(2, covariance_type="diag", random_state=0).fit(frame[["x", "y"]])
    assert any("x and y (0." in note for note in diagonal.describe(frame).notes)
    full = bm.GaussianMixture(2, random_state=0).fit(frame[["x", "y"]])
    assert not any("depend on each other" in note for note in full.describe(frame).notes)
