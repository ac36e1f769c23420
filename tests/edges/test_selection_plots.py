"""Figures around a fitted mixture: they show what the results hold, and nothing hides anything."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.assess.goodness_of_fit import goodness_of_fit
from bayesmix.assess.likelihood_ratio import LikelihoodRatioTest
from bayesmix.assess.merging import merge_components
from bayesmix.assess.stability import Stability
from bayesmix.errors import InvalidInputError
from bayesmix.plots import style
from bayesmix.plots.assess import (
    plot_goodness_of_fit,
    plot_likelihood_ratio,
    plot_merging,
    plot_stability,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (after the backend is chosen)
from matplotlib.colors import to_hex  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def ax():
    return Figure(figsize=(6.4, 4.4), layout="constrained").subplots()


@pytest.fixture(scope="module")
def merging(faithful):
    return merge_components(bm.GaussianMixture(6, random_state=0).fit(faithful), faithful)


@pytest.fixture(scope="module")
def fit(faithful):
    model = bm.GaussianMixture(2, random_state=0, n_jobs=1).fit(faithful)
    return goodness_of_fit(model, faithful, n_resamples=19, random_state=0, n_jobs=1)


@pytest.fixture(scope="module")
def ratio_of_two(faithful):
    model = bm.GaussianMixture(2, random_state=0, n_jobs=1).fit(faithful)
    replicates = np.append(np.random.default_rng(0).chisquare(6, 60), [np.nan, np.nan])
    return LikelihoodRatioTest(2, 31.7, 3 / 63, replicates, model.result_, model.result_)


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "split": np.arange(20) // 2,
            "n_components": [2] * 11 + [3] * 8 + [pd.NA],
            "adjusted_rand": np.append(np.r_[np.full(11, 0.71), rng.uniform(0.8, 1, 8)], np.nan),
            "between_halves": np.where(np.arange(20) % 2, np.nan, rng.uniform(0.6, 1, 20)),
            "note": [""] * 19 + ["failed: for a reason"],
        }
    )
    return Stability(table, 3, None, "half")


def boxes(artists, ax):
    ax.figure.draw_without_rendering()
    return [artist.get_window_extent() for artist in artists]


def apart(boxes):
    return not any(first.overlaps(second) for i, first in enumerate(boxes) for second in boxes[:i])


def texts(ax):
    return [text for text in ax.texts if text.get_text()]


def test_the_tree_has_a_branch_for_every_component_in_the_colour_of_its_cluster(merging, ax):
    plot_merging(merging, ax=ax)
    colours = [line.get_color() for line in ax.lines]
    for cluster in range(merging.n_clusters):
        assert colours.count(style.colour(cluster)) == (merging.clusters == cluster).sum()
    numbers = [text.get_text() for text in texts(ax) if "%" not in text.get_text()]
    assert sorted(numbers) == list("123456")
    overlaps = [text.get_text() for text in texts(ax) if "%" in text.get_text()]
    assert overlaps == [f"{100 * overlap:.0f} %" for overlap in merging.tree["overlap"]]


def test_the_cut_crosses_as_many_branches_as_there_are_clusters(merging, ax):
    plot_merging(merging, ax=ax)
    *branches, cut = ax.lines
    height = cut.get_ydata()[0]
    vertical = [line for line in branches if np.ptp(line.get_xdata()) == 0]
    crossed = [line for line in vertical if min(line.get_ydata()) < height < max(line.get_ydata())]
    assert len(crossed) == merging.n_clusters


@pytest.mark.slow
@pytest.mark.parametrize("n_components", [1, 2, 6, 12])
def test_no_text_of_the_tree_hides_another(faithful, n_components):
    model = bm.GaussianMixture(n_components, covariance_type="diag", random_state=0).fit(faithful)
    ax = merge_components(model, faithful).plot()
    assert apart(boxes([*texts(ax), ax.xaxis.label], ax))


def test_the_shares_are_drawn_in_their_band(fit, ax):
    assert fit.plot(ax) is ax
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), fit.shares - fit.grid)
    low, high = ax.get_ylim()
    band = ax.collections[0].get_paths()[0].get_extents()
    assert low < band.y0 < 0 < band.y1 < high
    legend = ax.get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == [
        "95 % of data sets of this model",
        f"272 observations (p = {fit.p_value:.2g})",
    ]
    ax.figure.draw_without_rendering()
    drawn = ax.transData.transform([(0.5, max(band.y1, ax.lines[-1].get_ydata().max()))])[0, 1]
    assert legend.get_window_extent().y0 > drawn


def test_a_model_that_does_not_fit_has_another_colour(fit, ax):
    wrong = bm.GaussianMixture(1, n_jobs=1).fit(bm.datasets.load_faithful())
    other = goodness_of_fit(
        wrong, bm.datasets.load_faithful(), n_resamples=19, random_state=0, n_jobs=1
    )
    plot_goodness_of_fit(other, ax=ax)
    alarmed = ax.lines[-1].get_color()
    calm = plot_goodness_of_fit(fit, ax=Figure().subplots()).lines[-1].get_color()
    assert to_hex(alarmed) != to_hex(calm)


def test_the_ratio_of_the_rows_stands_among_the_replicates(ratio_of_two, ax):
    assert ratio_of_two.plot(ax) is ax
    assert sum(bar.get_height() for bar in ax.patches) == 60
    observed = ax.collections[-1].get_paths()[0].vertices[0, 0]
    assert observed == ratio_of_two.statistic
    low, high = ax.get_xlim()
    assert low <= 0 < ratio_of_two.statistic < high
    assert ax.get_xlabel() == "twice the log likelihood ratio of K=3 to K=2"
    assert "2 data sets have no value" in ax.get_title(loc="right")
    ax.figure.draw_without_rendering()
    top = ax.transData.transform([(0, max(bar.get_height() for bar in ax.patches))])[0, 1]
    assert ax.get_legend().get_window_extent().y0 >= top


def test_every_resample_is_a_point_that_none_hides(found, ax):
    assert found.plot(ax) is ax
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in points] == [11, 8, 10]
    places = np.vstack([line.get_xydata() for line in points])
    ax.figure.draw_without_rendering()
    pixels = ax.transData.transform(places)
    gaps = np.linalg.norm(pixels[:, None] - pixels, axis=-1)[np.triu_indices(len(pixels), 1)]
    # A third of a marker may be covered, no more.
    assert gaps.min() > 0.6 * 7 * ax.figure.dpi / 72
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["2\n11 of 20", "3\n8 of 20\nas in all data", "halves\ncompared\n10 pairs"]
    assert "1 of 20 could not be fitted" in ax.get_title(loc="right")
    assert apart(boxes([*ax.get_xticklabels(), ax.xaxis.label], ax))


def test_only_results_are_drawn(faithful):
    for plot in (plot_merging, plot_stability, plot_goodness_of_fit, plot_likelihood_ratio):
        with pytest.raises(InvalidInputError, match="must be a"):
            plot(faithful.to_numpy())


@pytest.mark.slow
def test_structures_by_numbers_show_how_far_each_is_behind_and_frame_the_best_three(ax, faithful):
    search = bm.select(faithful, (1, 2, 3), "all", criterion="bic", random_state=0, n_jobs=1)
    bm.plot_structures(search, ax)
    matrix = search.matrix()
    rows = [each.get_text() for each in ax.get_yticklabels()]
    assert rows[0] == "EII"
    assert len(rows) == 14
    shown = [each.get_text() for each in ax.texts]
    behind = matrix.loc[2, "tied"] - search.best_score_
    assert shown[3 * rows.index("tied (EEE)") + 1] == f"{behind:.0f}"
    assert shown[3 * rows.index("tied (EEE)") + 2] == "0.0 *"
    frames = {(frame.get_x(), frame.get_y()): frame.get_linewidth() for frame in ax.patches}
    best = [
        (k - 1 - 0.47, list(matrix.columns).index(structure) - 0.45)
        for structure, k, _ in matrix.attrs["best"]
    ]
    assert [frames.pop(place) for place in best] == [3.0, 2.0, 1.0]
    assert frames == {}
    by_two = bm.plot_structures(search, criterion="icl")
    assert "ICL" in by_two.get_title(loc="left")
    with pytest.raises(InvalidInputError, match="over covariance structures"):
        bm.plot_structures(faithful)
    free = search.matrix("n_parameters")
    assert free.loc[3, "full"] == 3 * 6 - 1
    assert free.loc[3, "EII"] == 3 * 3


def test_the_chosen_candidate_is_in_view_below_a_better_one_or_the_legend(ax, faithful):
    search = bm.select(faithful, n_components=(1, 2, 3))
    assert search.results_["behind"][0] > search.results_["behind"].min() == 0.0
    assert bm.plot_selection(search, ax).get_ylabel().endswith("nats below the best")
    alone = bm.select(faithful, n_components=(1, 2, 3), covariance_type="full")
    for drawn, figure in ((search, (3.0, 2.0)), (alone, (3.0, 2.0)), (alone, (6.4, 4.4))):
        axes = bm.plot_selection(drawn, Figure(figsize=figure, layout="constrained").subplots())
        axes.figure.canvas.draw()
        height = axes.get_window_extent().height / axes.figure.dpi * 72.0
        below = drawn.results_["behind"][0]
        _, ring = axes.transAxes.inverted().transform(axes.transData.transform((2.0, below)))
        assert 7.5 < (1.0 - ring) * height < height / 2.0  # points; the ring has a diameter of 15
