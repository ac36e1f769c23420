"""Panels: what criteria count, sizes of states by wave, and Mplus' latent transition analysis.

``lsay_science.csv`` are answers to five items on science in grades 7 and 10 of the Longitudinal
Study of American Youth, with the outputs of Mplus 8.11 of an online course (see tests/data).
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError

DATA = Path(__file__).parent.parent / "data"


def lsay():
    """Return items (2n, 5) of the pupils wave by wave, their numbers, and covariates."""
    table = pd.read_csv(DATA / "lsay_science.csv", dtype=str, keep_default_na=False)
    table = table.loc[table.index.repeat(table["count"].astype(int))].reset_index(drop=True)
    digits = [[list(row) for row in table[grade]] for grade in ("grade7", "grade10")]
    items = np.where(np.array(digits) == "-", "nan", digits).astype(float)
    X = pd.DataFrame(items.transpose(1, 0, 2).reshape(-1, 5), columns=list("mtuwx"))
    covariates = table[["female", "minority"]].replace("-", np.nan).astype(float)
    return X, np.repeat(np.arange(len(table)), 2), covariates


@pytest.fixture(scope="module")
def pupils():
    X, persons, _ = lsay()
    model = bm.HiddenMarkovModel(4, family="bernoulli", missing="use", n_init=3, random_state=0)
    return model.fit(X, groups=persons), X, persons


def panel(n_persons=60, n_waves=3, seed=0):
    """Return values of two states, and persons."""
    rng = np.random.default_rng(seed)
    states = rng.integers(2, size=(n_persons, n_waves))
    X = rng.normal(4.0 * states.ravel())[:, None]
    return X, np.repeat(np.arange(n_persons), n_waves)


@pytest.mark.slow
def test_likelihood_and_criteria_of_a_latent_transition_analysis_are_those_of_mplus(pupils):
    model, X, persons = pupils
    assert model.log_likelihood_ == pytest.approx(-14542.768, abs=1e-3)
    assert model.result_.n_parameters == 35
    assert model.aic() == pytest.approx(29155.536, abs=2e-3)
    assert model.bic() == pytest.approx(29366.816, abs=2e-3)  # 24 pupils have no answer
    assert model.bic(X, groups=persons) == pytest.approx(model.bic())
    assert "count 3,092 persons (6,232 person-waves, 913 of them empty)" in model.summary()


@pytest.mark.slow
def test_sizes_of_states_by_wave_are_class_proportions_of_mplus(pupils):
    model, X, _ = pupils
    proportions = np.array([[0.29017, 0.26980, 0.14263, 0.29740],
                            [0.34970, 0.33059, 0.16336, 0.15635]])  # fmt: skip
    np.testing.assert_allclose(model.state_shares(), proportions, atol=3e-4)
    profiles = bm.class_profiles(model, X)
    np.testing.assert_allclose(profiles.waves["share"], model.state_shares().to_numpy().ravel())
    text = str(profiles.to_apa("waves"))
    assert "Wave 2" in text
    assert "N = 3,092 persons" in text
    assert "N = 3,092 persons" in str(profiles.to_apa())


@pytest.mark.parametrize(
    ("n_persons", "n_waves", "given", "n", "counted"),
    [
        (60, 3, "groups", "auto", 60),
        (60, 3, "groups", "rows", 180),
        (60, 3, "lengths", "auto", 180),
        (60, 3, "lengths", "persons", 60),
        (4, 45, "groups", "auto", 180),  # few long series
        (4, 45, "groups", "persons", 4),
    ],
)
def test_criteria_count_persons_of_panels_and_rows_of_series(n_persons, n_waves, given, n, counted):
    X, persons = panel(n_persons, n_waves)
    sequences = {"groups": persons} if given == "groups" else {"lengths": [n_waves] * n_persons}
    model = bm.HiddenMarkovModel(2, n=n, n_init=1, search="short", random_state=0)
    model.fit(X, **sequences)
    p = model.result_.n_parameters
    expected = -2.0 * model.log_likelihood_ + p * np.log(counted)
    assert model.bic() == pytest.approx(expected)
    assert model.bic(X, **sequences) == pytest.approx(expected)
    unit = f"{counted} rows" if counted == 180 else f"{counted} persons (180 person-waves)"
    assert f"Information criteria count {unit}." in model.summary()


def test_persons_without_any_value_are_not_counted():
    X, persons = panel()
    empty = np.concatenate([X, np.full((6, 1), np.nan)])
    model = bm.HiddenMarkovModel(2, missing="use", n_init=1, search="short", random_state=0)
    one = model.fit(X, groups=persons)
    bic = one.bic()
    more = model.fit(empty, groups=np.append(persons, np.repeat([100, 101], 3)))
    assert more.bic() == pytest.approx(bic, abs=1e-6)
    assert "60 persons (186 person-waves, 6 of them empty)" in more.summary()


def test_searches_count_persons_and_say_so(tmp_path):
    X, persons = panel()
    quick = bm.HiddenMarkovModel(n_init=1, search="short", random_state=0)
    search = bm.MixtureSearch(quick, [1, 2], criterion="bic").fit(X, groups=persons)
    best = search.best_estimator_
    assert search.best_score_ == pytest.approx(best.bic())
    assert best.bic() < -2.0 * best.log_likelihood_ + best.result_.n_parameters * np.log(100)
    assert "n = 60 persons (180 person-waves)" in search.summary()
    best.save(tmp_path / "panel.bayesmix")
    assert bm.load(tmp_path / "panel.bayesmix").bic() == best.bic()


def test_unknown_n_and_sizes_of_series_are_refused():
    X, persons = panel()
    with pytest.raises(InvalidInputError, match="n must be"):
        bm.HiddenMarkovModel(2, n="units").fit(X, groups=persons)
    series = bm.HiddenMarkovModel(2, n_init=1, search="short", random_state=0).fit(X)
    with pytest.raises(InvalidInputError, match="of a panel"):
        bm.class_profiles(series, X).to_apa("waves")
