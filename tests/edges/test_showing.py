"""What a fit and a search show of themselves, and the figures of many columns."""

from dataclasses import replace
from functools import partial
from html import escape
from inspect import signature

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.em import progress_bar
from bayesmix.errors import InvalidInputError, UnsupportedError

X = bm.datasets.load_faithful()
IRIS = bm.datasets.load_iris()


@pytest.fixture(scope="module")
def mixture():
    return bm.GaussianMixture(2, random_state=0).fit(X)


@pytest.fixture(scope="module")
def search():
    structures = ("full", "tied")
    return bm.MixtureSearch(
        n_components=(1, 2, 3), covariance_type=structures, random_state=0, criterion="bic"
    ).fit(X)


@pytest.fixture(scope="module")
def variational():
    return bm.select(X, (2,), "full")


def test_a_fit_says_its_answer_after_its_parameters(mixture):
    first, *answer = repr(mixture).split("\n", 1)
    assert first == "GaussianMixture(n_components=2, random_state=0)"
    assert answer == [mixture.summary()]
    assert "2 components" in mixture.summary()
    assert "starts reached the best optimum" in mixture.summary()
    assert repr(clone(mixture)) == first


def test_a_search_says_its_answer_after_its_parameters(search):
    assert repr(search).endswith(search.summary())
    assert repr(clone(search)) not in (repr(search), "")


def test_a_mixture_within_a_pipeline_is_broken_into_lines_as_others_are(mixture):
    steps = make_pipeline(
        StandardScaler(),
        bm.BayesianGaussianMixture(
            8, covariance_type="tied", weight_concentration_prior_type="dirichlet_distribution"
        ),
    )
    assert len(repr(steps).splitlines()) >= 4
    assert "components" not in repr(steps).replace("n_components", "")


@pytest.mark.parametrize("kind", ["mixture", "search"])
def test_a_notebook_shows_answer_and_figure_above_the_diagram(kind, request):
    fitted = request.getfixturevalue(kind)
    for html in (fitted._repr_mimebundle_()["text/html"], fitted._repr_html_()):
        answer, figure = html.index("2 components"), html.index("data:image/png")
        assert answer < figure < html.index("sk-top-container")
    assert "data:image/png" not in clone(fitted)._repr_html_()


def test_a_search_says_who_its_clusters_are_in_a_notebook(search):
    answer, _, rest = search._repr_html_().partition("Cluster 1 (64 %, n = 175): ")
    assert "3 components by BIC" in answer
    assert "Cluster 2 (36 %, n = 97): " in rest


WEIGHTS = np.random.default_rng(3).integers(1, 4, len(X))
NAMED = X.assign(
    id=range(len(X)), day=pd.date_range("2020", periods=len(X)), side=np.arange(272) % 5
)


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (X, {}),
        (X, {"sample_weight": WEIGHTS}),
        (NAMED, {"exclude": ["side"]}),
        (X[["eruptions"]].assign(long=np.where(X["eruptions"] > 3.5, "yes", "no")), {}),
        (X.mask(np.random.default_rng(4).random(X.shape) < 0.1), {"missing": "use"}),
    ],
    ids=["numbers", "weights", "identifier and date", "mixed", "missing"],
)
@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")
def test_a_notebook_says_of_clusters_what_describe_says_of_the_data(frame, options, tmp_path):
    search = bm.select(frame, (1, 2), "full", **options)
    weights = {name: options[name] for name in options if name == "sample_weight"}
    sentences = search.describe(frame, **weights).sentences
    assert sentences
    assert all(escape(sentence) in search._answer_html() for sentence in sentences)
    search.names = ("long", "short")
    search.save(tmp_path / "search.bayesmix")
    loaded = bm.load(tmp_path / "search.bayesmix")
    for each in (search, loaded):
        named = each.describe(frame, **weights).sentences
        assert named[0].startswith("Long (")
        assert all(escape(sentence) in each._answer_html() for sentence in named)


def test_sentences_that_are_of_draws_are_said_to_be(search):
    drawn = clone(search).fit(X)
    drawn._told = replace(drawn.answer_, sentences=())  # as of an older file, or of data in parts
    assert "20,000 draws from the fitted model" in drawn._answer_html()
    assert "draws" not in search._answer_html()


def test_a_search_that_kept_no_fit_is_shown_without_a_figure():
    page = bm.MixtureSearch(n_components=(1, 2), refit=False).fit(X)._repr_html_()
    assert "2 components by BIC" in page
    assert "data:image/png" not in page


def test_a_family_without_a_figure_is_shown_without_one():
    rows = np.random.default_rng(0).integers(0, 2, (60, 3))
    fitted = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(rows)
    html = fitted._repr_html_()
    assert "img" not in html.split("sk-top-container")[0]
    assert "2 classes" in html


def test_candidates_are_ranked_and_say_how_far_behind_they_are(search):
    table = search.results_
    assert search.best_index_ == 0
    assert table["bic"].is_monotonic_increasing
    assert table["behind"].to_numpy() == pytest.approx(table["bic"] - search.best_score_)
    assert list(table.columns[:5]) == [
        "covariance_type", "n_components", "found_components", "bic", "behind",
    ]  # fmt: skip
    for row, fitted in zip(table.itertuples(), search.estimators_, strict=True):
        assert fitted.n_components_ == row.n_components
        assert fitted.covariance_type == row.covariance_type
        assert fitted.bic() == row.bic


def test_folds_and_restarts_number_candidates_as_the_table_does():
    by_folds = bm.MixtureSearch(n_components=(1, 2, 3), criterion="cv", cv=3, random_state=0)
    by_folds.fit(X)
    table = by_folds.results_
    assert not table["cv"].is_monotonic_increasing
    means = by_folds.folds_.groupby("candidate")[["held_out", "rows"]].apply(
        lambda folds: (folds["held_out"] * folds["rows"]).sum()
    )
    assert means.to_numpy() == pytest.approx(table["cv"].to_numpy(), rel=1e-10)


def test_pairs_are_columns_alone_and_together():
    fitted = bm.GaussianMixture(3, random_state=0).fit(IRIS)
    axes = bm.plot_pairs(fitted, IRIS, axes=Figure(figsize=(7, 7)).subplots(4, 4))
    for row in range(4):
        for place in range(4):
            ax = axes[row, place]
            low, high = ax.get_xlim()
            column = IRIS.iloc[:, place]
            assert low <= column.min()
            assert column.max() <= high
            ellipses = [patch for patch in ax.patches if type(patch).__name__ == "Ellipse"]
            assert len(ellipses) == (6 if row > place else 0)
    drawn = sum(len(points.get_offsets()) for points in axes[2, 1].collections)
    assert drawn == len(IRIS)
    unsure = int((fitted.predict_proba(IRIS).max(axis=1) < 0.9).sum())
    assert f"{unsure} of 150 rows" in axes[0, 3].get_title(loc="right")
    assert [ax.get_xlabel() for ax in axes[3]] == list(IRIS.columns)


@pytest.mark.slow
def test_pairs_of_many_columns_take_those_that_tell_components_apart():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 8))
    rows[100:, [1, 6]] += 6.0
    fitted = bm.GaussianMixture(2, covariance_type="diag", random_state=0).fit(rows)
    axes = bm.plot_pairs(fitted, axes=Figure().subplots(5, 5))
    named = [ax.get_xlabel() for ax in axes[4]]
    assert {"x1", "x6"} <= set(named)
    assert "5 of 8 columns" in axes[0, 4].get_title(loc="right")
    two = bm.plot_pairs(fitted, rows, axes=Figure().subplots(2, 2), columns=[6, 1])
    assert [ax.get_xlabel() for ax in two[1]] == ["x6", "x1"]
    for wrong in ([1], [1, 1], "x1", [1, 99]):
        with pytest.raises(InvalidInputError, match="columns must be"):
            bm.plot_pairs(fitted, rows, columns=wrong)
    with pytest.raises(InvalidInputError, match="axes must be an array"):
        bm.plot_pairs(fitted, rows, axes=Figure().subplots(2, 2))


def mixed_table(n=120):
    rng = np.random.default_rng(5)
    kind = rng.integers(0, 2, n)
    table = pd.DataFrame(
        {
            "bill": rng.normal(5.0 * kind),
            "island": np.where(rng.random(n) < 0.2 + 0.6 * kind, "north", "south"),
            "food": rng.choice(["fish", "krill", "squid"], n),
            "eggs": rng.poisson(1.0 + 3.0 * kind),
            "flipper": rng.normal(3.0 * kind, 2.0),
        }
    )
    table.loc[3, "bill"] = np.nan
    table.loc[[4, 5], "island"] = None
    return table


@pytest.mark.slow
def test_pairs_of_a_mixed_table_show_shares_of_levels_and_every_row_that_has_both():
    table = mixed_table()
    family = bm.Product(
        {
            ("bill", "flipper"): bm.Gaussian(),
            "eggs": bm.Poisson(),
            "island": bm.Categorical(),
            "food": bm.Categorical(),
        }
    )
    fitted = bm.Mixture(2, family=family, missing="use", random_state=0).fit(table)
    axes = bm.plot_pairs(fitted, table, axes=Figure(figsize=(9, 9)).subplots(5, 5))
    columns = list(table.columns)
    assert [ax.get_xlabel() for ax in axes[4]] == columns
    for row in range(5):
        for place in range(row):
            ax = axes[row, place]
            (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
            drawn = np.vstack([each.get_offsets() for each in axes[row, place].collections])
            both = table.iloc[:, [row, place]].notna().all(axis=1).sum()
            assert len(drawn) == both
            inside = (drawn >= [low, bottom]) & (drawn <= [high, top])
            assert inside.all(axis=1).sum() >= both - 2
    # The parts of every level add up to its probability under the mixture.
    diagonal = axes[1, 1]
    under = axes[4, 1]
    assert [each.get_text() for each in under.get_xticklabels()] == ["north", "south"]
    parts = [patch for patch in diagonal.patches if patch.get_facecolor()[:3] != (0.85, 0.85, 0.85)]
    shares = fitted.components_["island"]["probabilities"]
    north = fitted.weights_ @ shares[:, 0]
    tops = [one.get_y() + one.get_height() for one in parts if abs(one.get_center()[0]) < 0.1]
    assert max(tops[1:]) == pytest.approx(north)
    grey = diagonal.patches[:2]
    seen = table["island"].value_counts(normalize=True)
    assert [one.get_height() for one in grey] == pytest.approx([seen["north"], seen["south"]])
    few = bm.plot_pairs(fitted, axes=Figure().subplots(2, 2), columns=["food", "eggs"])
    assert [ax.get_xlabel() for ax in few[1]] == ["food", "eggs"]
    wider = table.assign(other0="no", other1="yes")
    wider.loc[::2, "other0"], wider.loc[::3, "other1"] = "yes", "no"
    parts = {**dict.fromkeys(["island", "food", "other0", "other1"], bm.Categorical())}
    parts |= {("bill", "flipper"): bm.Gaussian(), "eggs": bm.Poisson()}
    of_seven = bm.Mixture(2, family=bm.Product(parts), missing="use", random_state=0).fit(wider)
    axes = bm.plot_pairs(of_seven, axes=Figure().subplots(5, 5))
    named = {ax.get_xlabel() for ax in axes[4]}
    assert {"bill", "eggs"} <= named
    assert "5 of 7 columns" in axes[0, 4].get_title(loc="right")


def test_pairs_of_counts_and_of_answers_are_drawn_and_one_column_is_refused():
    counts = np.random.default_rng(0).poisson(3.0, (50, 2))
    fitted = bm.Mixture(1, family=bm.Poisson()).fit(counts)
    axes = bm.plot_pairs(fitted, counts, axes=Figure().subplots(2, 2))
    low, high = axes[1, 0].get_xlim()
    assert low <= counts[:, 0].min() - 0.5
    assert high >= counts[:, 0].max() + 0.5
    answers = (counts > 2).astype(int)
    coins = bm.Mixture(1, family=bm.Bernoulli()).fit(answers)
    axes = bm.plot_pairs(coins, answers, axes=Figure().subplots(2, 2))
    assert [each.get_text() for each in axes[1, 1].get_xticklabels()] == ["0", "1"]
    alone = bm.Mixture(1, family=bm.Poisson()).fit(counts[:, :1])
    with pytest.raises(UnsupportedError, match="two columns"):
        bm.plot_pairs(alone)


def test_many_rows_are_binned():
    rows = np.random.default_rng(0).normal(size=(6000, 2))
    fitted = bm.GaussianMixture(1, random_state=0).fit(rows)
    axes = bm.plot_pairs(fitted, rows, axes=Figure().subplots(2, 2))
    (bins,) = (each for each in axes[1, 0].collections if each.get_array() is not None)
    seen = np.ones(len(rows), dtype=bool)
    for values, (low, high) in zip(
        rows.T, (axes[1, 0].get_xlim(), axes[1, 0].get_ylim()), strict=True
    ):
        seen &= (values >= low) & (values <= high)
    assert bins.get_array().sum() == seen.sum()


def test_a_profile_has_the_mean_of_every_component_in_every_column():
    fitted = bm.GaussianMixture(3, random_state=0).fit(IRIS)
    ax = bm.plot_profile(fitted, ax=Figure().subplots(), standardised=False)
    lines = [line for line in ax.lines if len(line.get_xdata()) == 4]
    for line, mean in zip(lines, fitted.means_, strict=True):
        assert list(line.get_xdata()) == list(mean)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(IRIS.columns)
    whole = bm.plot_profile(fitted, ax=Figure().subplots(), columns=["petal_width"])
    spread = IRIS["petal_width"].std(ddof=0)
    (first, *_) = (line for line in whole.lines if line.get_marker() == "o")
    assert first.get_xdata()[0] == pytest.approx(
        (fitted.means_[0, 3] - IRIS["petal_width"].mean()) / spread, rel=1e-6
    )
    with pytest.raises(InvalidInputError, match="columns must be among"):
        bm.plot_profile(fitted, columns=["petal"])


@pytest.mark.slow
def test_a_profile_has_a_line_for_every_level_of_a_category():
    penguins = bm.datasets.load_penguins()[["island", "body_mass_g", "sex"]].dropna()
    fitted = bm.Mixture(2, family="auto", random_state=0).fit(penguins)
    ax = bm.plot_profile(fitted, ax=Figure().subplots(), standardised=False)
    islands = ["island: Biscoe", "island: Dream", "island: Torgersen"]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [*islands, "body_mass_g", "sex: male"]
    first, second = (line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 5)
    shares = fitted.components_["island"]["probabilities"]
    assert [*first[:3], *second[:3]] == pytest.approx(list(np.ravel(shares)))
    # Standardised, a level is the yes or no that its share is the mean of.
    ax = bm.plot_profile(fitted, ax=Figure().subplots(), columns=["sex"])
    (line, *_) = (line for line in ax.lines if line.get_marker() == "o")
    p = fitted.components_["sex"]["probabilities"].ravel()
    share = fitted.weights_ @ p
    assert line.get_xdata()[0] == pytest.approx((p[0] - share) / np.sqrt(share * (1 - share)))
    survey = pd.DataFrame({"a": [*"xyz"] * 20, "b": [*"uuvv"] * 15})
    classes = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(survey)
    ax = bm.plot_profile(classes, ax=Figure().subplots())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a: x", "a: y", "a: z", "b: v"]
    assert ax.get_xlabel() == "probability"


FIGURES = sorted(bm.plots.__all__)
# What stands between the thing to draw and what is optional.
NEEDED = {
    "plot_conditional_mean": ("eruptions", "waiting"),
    "plot_directions": (X,),
    "plot_em_steps": (X,),
    "plot_states": (X,),
    "plot_wave_profiles": ([["a"], ["b"]],),
}
WRONG = {
    "a number": 42,
    "nothing": None,
    "rows": X,
    "of scikit-learn": SklearnMixture(2).fit(X),
    "an unfitted search": bm.MixtureSearch(n_components=(1, 2)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_a_wrong_thing_says_in_words_what_it_takes(name, wrong):
    words = rf" must be .*, got {type(wrong).__name__}"
    with pytest.raises(InvalidInputError, match=words):
        getattr(bm.plots, name)(wrong, *NEEDED.get(name, ()))


def test_a_figure_of_another_of_our_own_things_says_what_it_takes(mixture):
    for plot, words in (
        (bm.plots.plot_averaged, "average must be a fitted search"),
        (bm.plots.plot_nested, "a NestedResult"),
        (bm.plots.plot_sensitivity, "a PriorSensitivity"),
        (bm.plots.plot_region, "a DensityRegion"),
        (bm.plot_selection, "search must be a fitted MixtureSearch"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            plot(mixture)


# Figures of other models, or of fits with covariates.
OF_OTHERS = ("plot_classes", "plot_gate", "plot_regression", "plot_states", "plot_trajectories")
OF_OTHERS += ("plot_alluvial", "plot_transitions")
OF_A_FIT = [
    name
    for name in FIGURES
    if name not in OF_OTHERS and "model" in signature(getattr(bm.plots, name)).parameters
]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OF_A_FIT, "plot_em_steps", "plot_objective"])
def test_figures_take_a_fit_or_a_search_alike(name, variational):
    rows = () if name == "plot_objective" else (X,)
    between = NEEDED[name] if name == "plot_conditional_mean" else ()
    drawn = [
        getattr(bm.plots, name)(one, *between, *rows)
        for one in (variational, variational.best_estimator_)
    ]
    labels = [np.ravel(axes)[0].get_xlabel() for axes in drawn]
    assert labels[0] == labels[1]
    pyplot.close("all")


def test_a_search_can_be_drawn_averaged(search):
    ax = bm.plots.plot_averaged(search, X, ax=Figure().subplots(), columns="waiting")
    assert ax.get_xlabel() == "waiting"


def test_the_old_order_of_em_steps_still_works():
    start = bm.GaussianMixture(2, init_params=(np.arange(272) % 2))
    with pytest.warns(FutureWarning, match=r"now plot_em_steps\(start, X\)"):
        old = bm.plot_em_steps(X, start, (1,), Figure().subplots(1, 1))
    new = bm.plot_em_steps(start, X, (1,), Figure().subplots(1, 1))
    assert old[0].get_title(loc="left") == new[0].get_title(loc="left")


def test_levels_are_shown_by_their_names():
    answers = np.repeat(["yes", "no"], 30)
    table = np.column_stack([answers, answers])
    fitted = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(table)
    rows = [line.split()[3:] for line in fitted.summary().splitlines()[2:4]]
    assert sorted(rows) == [["no", "(0.99)"] * 2, ["yes", "(0.99)"] * 2]


def test_notebooks_without_ipywidgets_show_no_bar_and_no_warning_of_rich(monkeypatch):
    notebook = partial(progress_bar.Console, force_jupyter=True)
    monkeypatch.setattr(progress_bar, "Console", notebook)
    for found, shown in ((None, False), ("spec", True)):
        monkeypatch.setattr(progress_bar, "find_spec", lambda _, found=found: found)
        assert (progress_bar.console_for(None) is not None) == shown
