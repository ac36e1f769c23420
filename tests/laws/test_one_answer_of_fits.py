"""Every table, text and figure of a fit has the same word and number for the same class."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import bayesmix as bm

WORDS = re.compile(r"\b(class|state|component|profile) (\d+)\b", re.IGNORECASE)


def generator():
    return np.random.default_rng(12)


def answers():
    g = generator()
    z = g.integers(0, 3, 500)
    p = np.array([[0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9], [0.9, 0.1, 0.9, 0.1]])
    items = pd.DataFrame((g.random((500, 4)) < p[z]).astype(int), columns=list("abcd"))
    return items.astype("category"), pd.DataFrame({"age": z + g.normal(size=500)}), z


def of_classes():
    items, people, _ = answers()
    model = bm.Mixture(3, family=bm.Categorical(), random_state=0).fit(items, covariates=people)
    classes = bm.latent_classes(model, items)
    profiles = bm.class_profiles(model, items, {"age": people["age"]}, covariates=people, n_draws=3)
    return model, "class", {
        "parameters": model.parameter_table(items),
        "gate": model.gate_coefficients(items),
        "probabilities": classes.probabilities,
        "sizes": classes.sizes,
        "of profiles": profiles.sizes,
        "profiles": profiles.profiles,
        "classification": profiles.classification,
        "contrasts": profiles.contrasts,
        "distal": bm.distal(model, items, people["age"], covariates=people, n_draws=3),
        "APA": str(profiles),
        "APA classification": str(profiles.to_apa("classification")),
        "summary": model.summary(),
        "figure of classes": classes.plot(Figure().subplots()),
        "figure of the gate": bm.plots.plot_gate(model, ax=Figure().subplots()),
        "figure of profiles": profiles.plot(Figure().subplots()),
    }  # fmt: skip


def of_normals():
    g = generator()
    centres = np.repeat([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]], [60, 50, 40], axis=0)
    X = pd.DataFrame(centres + g.normal(size=(150, 2)), columns=["x", "y"])
    model = bm.GaussianMixture(3, random_state=0).fit(X)
    profiles = bm.class_profiles(model, X)
    return model, "class", {
        "parameters": model.parameter_table(X),
        "profiles": profiles.profiles,
        "classification": profiles.classification,
        "APA": str(profiles),
        "fit": bm.goodness_of_fit(model, X, n_resamples=2).components,
        "intervals": bm.BayesianGaussianMixture(3, random_state=0).fit(X).credible_interval(
            n_draws=100
        ).set_index("parameter"),
        "summary": model.summary(),
        "marginal": model.marginal(["x"]).summary(),
        "figure": bm.plots.plot_class_profiles(profiles, Figure().subplots()),
    }  # fmt: skip


def of_states():
    g, states = generator(), []
    for number in range(400):
        begins = number % 10 == 0 or g.random() < 0.2
        states.append(int(g.integers(0, 3)) if begins else states[-1])
    X = pd.DataFrame({"x": 5.0 * np.array(states) + g.normal(size=400)})
    lengths, warm = [10] * 40, g.normal(size=40)
    model = bm.HiddenMarkovModel(3, random_state=0).fit(X, lengths=lengths, covariates=warm)
    plain = bm.HiddenMarkovModel(3, random_state=0).fit(X)
    profiles = bm.class_profiles(plain, X)
    return plain, "state", {
        "parameters": plain.parameter_table(X),
        "gate": model.gate_coefficients(X),
        "moves": plain.transition_matrix(X=X),
        "profiles": profiles.profiles,
        "sizes": profiles.sizes,
        "APA": str(profiles),
        "summary": plain.summary(),
        "figure": bm.plots.plot_states(plain, X, ax=Figure().subplots()),
    }  # fmt: skip


def of_regressions():
    g = generator()
    z, x = g.integers(0, 3, 240), g.normal(size=(240, 1))
    y = 6.0 * z + (z - 1.0) * x[:, 0] + 0.4 * g.normal(size=240)
    model = bm.RegressionMixture(3, random_state=0).fit(x, y, gate=g.normal(size=(240, 1)))
    return model, "class", {
        "coefficients": model.coefficients(),
        "parameters": model.parameter_table(),
        "summary": model.summary(),
        "figure": model.plot(ax=Figure().subplots()),
        "figure of the gate": bm.plots.plot_gate(model, ax=Figure().subplots()),
    }  # fmt: skip


def of_courses():
    g = generator()
    unit, time = np.repeat(np.arange(90), 4), np.tile(np.arange(4.0), 90)
    y = 4.0 * (unit % 3) + (unit % 3 - 1.0) * time + 0.4 * g.normal(size=360)
    model = bm.RegressionMixture(3, random_state=0).fit(time[:, None], y, groups=unit)
    return model, "class", {
        "coefficients": model.coefficients(),
        "parameters": model.parameter_table(),
        "assignment": bm.class_assignment(model),
        "curves": bm.trajectory_curves(model),
        "outcomes": bm.trajectory_outcomes(model, g.normal(size=90)),
        "checklist": bm.trajectory_checklist(model)["answer"].loc["15"],
        "summary": model.summary(),
        "figure": bm.plots.plot_trajectories(model, ax=Figure().subplots()),
    }  # fmt: skip


def numbers_in(shown):
    """Return the words and the numbers of the classes that are shown."""
    if isinstance(shown, pd.DataFrame):
        frame = shown.reset_index()
        cells = [*frame.columns, *frame.select_dtypes(["object", "str"]).to_numpy().ravel()]
        text = "; ".join(map(str, cells))
    elif isinstance(shown, str):
        text = shown
    else:
        text = "; ".join(part.get_text() for part in shown.get_legend().get_texts())
    found = WORDS.findall(text)
    return {word.lower() for word, _ in found}, {int(number) for _, number in found}


@pytest.mark.slow
@pytest.mark.parametrize("fit", [of_classes, of_normals, of_states, of_regressions, of_courses])
def test_all_that_is_shown_counts_from_1_with_one_word(fit):
    model, word, shown = fit()
    for name, one in shown.items():
        words, numbers = numbers_in(one)
        if name in ("summary", "marginal") and not numbers:  # a column of numbers under the word
            rows = [line.split() for line in one.splitlines()]
            head = next(row for row in rows if row and row[0] in ("class", "state", "component"))
            at = rows.index(head)
            words = {head[0]}
            numbers = {int(row[0]) for row in rows[at + 1 : at + 1 + model.n_components_]}
        alone = {"gate", "contrasts"} & {name}  # against the first
        assert numbers == ({2, 3} if alone == {"gate"} else {1, 2, 3}), name
        # A density is a component, and papers call a class of numbers a profile.
        assert words <= {word} | ({"component", "profile"} if fit is of_normals else set()), name
        if isinstance(one, pd.DataFrame) and word in one.index.names:
            assert set(one.index.get_level_values(word)) <= {f"{word} {k}" for k in (1, 2, 3)} | {
                "all"
            }
