"""Figures: what is drawn is what the model says, and nothing else in the session changes."""

import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.mixture import GaussianMixture as TheirMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.errors import InvalidInputError, MissingExtraError, UnsupportedError
from bayesmix.plots import style
from bayesmix.plots.density import histogram, holding, kernel_density
from bayesmix.sources.memory import ArraySource

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (after the backend is chosen)
from matplotlib.collections import PathCollection  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Ellipse  # noqa: E402

STRUCTURES = ("full", "tied", "diag", "spherical")
SEVEN = np.array([-3.0, -2.5, -1.0, 0.0, 2.0, 4.0, 5.0])[:, None]


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture(scope="module")
def two(faithful):
    return bm.GaussianMixture(2, random_state=0).fit(faithful)


@pytest.fixture(scope="module")
def waiting(faithful):
    return faithful[["waiting"]]


@pytest.fixture(scope="module")
def search(faithful):
    return bm.MixtureSearch(
        n_components=(1, 2, 3), covariance_type=("full", "tied"), random_state=0
    ).fit(faithful)


@pytest.fixture
def ax():
    return Figure(figsize=(6.4, 4.4)).subplots()


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.poisson(3.0, 150), rng.poisson(14.0, 80)])[:, None]


def labelled(ax, label):
    """The artist that the legend shows under a label."""
    legend = ax.get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    return legend.legend_handles[texts.index(label)]


def thickest_line(ax):
    return max(ax.lines, key=lambda line: line.get_linewidth())


def clouds(ax):
    """The points, one collection a component."""
    return [each for each in ax.collections if isinstance(each, PathCollection)]


def drawn_texts(ax):
    return [text.get_text() for text in ax.texts]


# One column


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("variational", [False, True])
def test_the_curve_is_the_density_that_score_samples_gives(ax, waiting, structure, variational):
    kind = bm.BayesianGaussianMixture if variational else bm.GaussianMixture
    model = kind(2, covariance_type=structure, search=None, random_state=0).fit(waiting)
    bm.plot_density(model, waiting, ax)
    x, y = thickest_line(ax).get_data()
    frame = pd.DataFrame({"waiting": x})
    np.testing.assert_allclose(y, np.exp(model.score_samples(frame)), rtol=1e-12)


def test_weighted_components_add_up_to_the_density(ax, waiting):
    model = bm.GaussianMixture(3, random_state=0, prior="auto").fit(waiting)
    bm.plot_density(model, waiting, ax, kde=False)
    x, whole = thickest_line(ax).get_data()
    parts = [line for line in ax.lines if len(line.get_xdata()) == len(x)]
    parts.remove(thickest_line(ax))
    assert len(parts) == 3
    np.testing.assert_allclose(sum(part.get_ydata() for part in parts), whole, rtol=1e-12)
    expected = model.weights_[1] * stats.norm.pdf(
        x, model.means_[1, 0], np.sqrt(model.covariances_[1, 0, 0])
    )
    np.testing.assert_allclose(parts[1].get_ydata(), expected, rtol=1e-9, atol=1e-300)
    assert [text for text in drawn_texts(ax) if text] == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["eruptions", "waiting"])
def test_the_histogram_integrates_to_one_and_weights_are_repetitions(faithful, name):
    values = faithful[name].to_numpy(dtype=float)
    weights = np.random.default_rng(1).integers(1, 4, len(values))
    low, high = values.min() - 1, values.max() + 1
    heights, edges = histogram(values, weights.astype(float), low, high)
    assert (heights * np.diff(edges)).sum() == pytest.approx(1.0, abs=1e-12)
    repeated = histogram(np.repeat(values, weights), None, low, high)
    np.testing.assert_allclose(heights, repeated[0], rtol=1e-12)
    np.testing.assert_allclose(edges, repeated[1], rtol=1e-12)


def test_bars_over_rounded_values_hold_equally_many_of_them(waiting):
    values = waiting["waiting"].to_numpy(dtype=float)
    _, edges = histogram(values, None, values.min(), values.max())
    held = {int(np.floor(high) - np.floor(low)) for low, high in pairwise(edges)}
    assert held == {2}
    assert not np.isin(edges, np.unique(values)).any()


def test_rows_outside_the_view_are_counted_and_kept_in_the_total(ax):
    model = bm.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0])
    rows = np.append(model.sample(99, random_state=0)[0], [[1e9]], axis=0)
    bm.plot_density(model, rows, ax)
    assert ax.get_title(loc="right") == "1 of 100 observations outside the view"
    assert ax.get_xlim()[1] < 30
    heights, edges = histogram(rows[:, 0], None, *ax.get_xlim())
    assert (heights * np.diff(edges)).sum() == pytest.approx(0.99)


def test_the_kernel_density_estimate_is_scipys(ax, waiting):
    values = waiting["waiting"].to_numpy(dtype=float)
    grid = np.linspace(40, 100, 50)
    weights = np.random.default_rng(1).integers(1, 4, len(values))
    np.testing.assert_allclose(
        kernel_density(values, None, grid), stats.gaussian_kde(values)(grid), rtol=1e-10
    )
    np.testing.assert_allclose(
        kernel_density(values, weights.astype(float), grid),
        stats.gaussian_kde(np.repeat(values, weights))(grid),
        rtol=1e-9,
    )
    many = np.random.default_rng(0).normal(size=20_000)
    np.testing.assert_allclose(
        kernel_density(many, None, grid - 70), stats.gaussian_kde(many)(grid - 70), atol=1e-4
    )


def test_a_spike_is_cut_off_and_named(ax):
    model = bm.GaussianMixture.from_parameters([0.9, 0.1], [[0.0], [0.5]], [1.0, 1e-8])
    rows = np.random.default_rng(0).normal(size=(100, 1))
    bm.plot_density(model, rows, ax)
    assert "is cut off" in ax.get_title(loc="right")
    assert ax.get_ylim()[1] < 10


def test_rows_that_all_agree_are_drawn(ax):
    model = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0])
    bm.plot_density(model, np.zeros((5, 1)), ax)
    assert ax.get_xlabel() == "x"


# Two columns


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("variational", [False, True])
def test_ellipses_have_the_covariances_eigenvalues_as_axes(ax, faithful, structure, variational):
    kind = bm.BayesianGaussianMixture if variational else bm.GaussianMixture
    model = kind(2, covariance_type=structure, search=None, random_state=0).fit(faithful)
    bm.plot_density(model, faithful, ax)
    ellipses = [patch for patch in ax.patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 2 * model.n_components_
    precisions = {
        "full": lambda k: model.precisions_[k],
        "tied": lambda k: model.precisions_,
        "diag": lambda k: np.diag(model.precisions_[k]),
        "spherical": lambda k: np.eye(2) * model.precisions_[k],
    }[structure]
    for k in range(model.n_components_):
        variances = np.linalg.eigvalsh(np.linalg.inv(precisions(k)))
        for deviations in (1, 2):
            ellipse = ellipses[2 * k + deviations - 1]
            axes = sorted([ellipse.width, ellipse.height])
            np.testing.assert_allclose(axes, 2 * deviations * np.sqrt(variances), rtol=1e-8)
            np.testing.assert_allclose(ellipse.center, model.means_[k], rtol=1e-12)
            # A point of the rim lies at that many standard deviations.
            rim = ellipse.get_patch_transform().transform([1.0, 0.0]) - ellipse.center
            assert rim @ precisions(k) @ rim == pytest.approx(deviations**2, rel=1e-6)


def test_every_row_is_drawn_once_with_its_components_colour_and_marker(ax, faithful, two):
    bm.plot_density(two, faithful, ax)
    labels = two.predict(faithful)
    assert len(clouds(ax)) == 2
    for k, cloud in enumerate(clouds(ax)):
        rows = faithful.to_numpy()[labels == k]
        np.testing.assert_array_equal(cloud.get_offsets(), rows)
        colours = np.tile(to_rgb(style.colour(k)), (len(rows), 1))
        np.testing.assert_allclose(cloud.get_facecolors()[:, :3], colours)
    first, second = (len(cloud.get_paths()[0].vertices) for cloud in clouds(ax))
    assert first != second


@pytest.fixture(scope="module")
def beside_noise():
    rng = np.random.default_rng(3)
    parts = rng.normal(0.0, 1.0, (200, 2)), rng.normal(6.0, 0.7, (150, 2))
    rows = np.vstack([*parts, rng.uniform(-12.0, 15.0, (40, 2))])
    return bm.GaussianMixture(2, noise="uniform", random_state=0).fit(rows), rows


def test_rows_of_noise_are_grey_crosses_and_its_weight_is_named(ax, beside_noise):
    gm, rows = beside_noise
    bm.plot_density(gm, rows, ax=ax)
    drawn = {
        style.colour(k): part.get_offsets()
        for k in (-1, 0, 1)
        for part in ax.collections
        if isinstance(part, PathCollection)
        and np.allclose(part.get_facecolor()[0, :3], to_rgb(style.colour(k)))
    }
    labels = gm.predict(rows)
    assert (labels == -1).sum() > 20
    for k in (-1, 0, 1):
        np.testing.assert_array_equal(drawn[style.colour(k)], rows[labels == k])
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"noise ({100 * gm.noise_weight_:.2g} %)" in named
    assert f"component 1 ({100 * gm.weights_[0]:.0f} %)" in named


def test_beside_noise_the_curve_is_the_components_part_of_the_density(ax, beside_noise):
    _, rows = beside_noise
    gm = bm.GaussianMixture(2, noise="uniform", random_state=0).fit(rows[:, :1])
    bm.plot_density(gm, rows[:, :1], ax=ax)
    x, y = ax.get_lines()[0].get_data()
    noise = gm.result_.mixture.noise
    everything = np.exp(gm.score_samples(x[:, None]))
    inside = np.isfinite(noise.density.log_density(x[:, None]))
    own = gm.noise_weight_ * np.exp(noise.density.log_density(x[:, None]))
    np.testing.assert_allclose(y[inside], (everything - own)[inside], atol=1e-12)


@pytest.mark.parametrize("plot", [bm.plot_pairs, bm.plot_assignment, bm.plot_profile])
def test_other_figures_of_rows_beside_noise_are_drawn(plot, beside_noise):
    gm, rows = beside_noise
    assert plot(gm, rows) is not None


def test_doubt_has_the_colour_of_no_component(ax, faithful, two):
    bm.plot_assignment(two, faithful, ax)
    (rows,) = (each for each in ax.collections if each.get_array() is not None)
    colours = rows.get_cmap()(np.linspace(0.0, 1.0, 9))[:, :3]
    assert np.ptp(colours, axis=1).max() < 1e-6  # greys
    assert (np.diff(colours[:, 0]) < 0.0).all()


def test_small_densities_have_their_power_of_ten_above_the_axis(ax):
    galaxies = bm.datasets.load_galaxies()
    bm.plot_density(bm.GaussianMixture(2, random_state=0).fit(galaxies), galaxies, ax)
    ax.figure.draw_without_rendering()
    assert "10^{−4}" in ax.yaxis.get_offset_text().get_text()


def test_figures_that_do_not_show_noise_refuse_it(beside_noise):
    gm, rows = beside_noise
    with pytest.raises(UnsupportedError, match="does not support noise"):
        bm.plot_uncertainty(gm, rows)


def test_surer_rows_are_larger_and_more_opaque(ax, faithful, two):
    bm.plot_density(two, faithful, ax)
    certainty = two.predict_proba(faithful).max(axis=1)
    labels = two.predict(faithful)
    for k, cloud in enumerate(clouds(ax)):
        order = np.argsort(certainty[labels == k])
        assert (np.diff(cloud.get_sizes()[order]) >= 0).all()
        assert (np.diff(cloud.get_facecolors()[order, 3]) >= 0).all()
        assert cloud.get_sizes()[order[0]] < cloud.get_sizes()[order[-1]]


def test_the_area_of_a_point_is_proportional_to_its_weight(ax, faithful, two):
    weights = np.where(np.arange(272) < 136, 2.0, 1.0)
    bm.plot_density(two, faithful, ax, sample_weight=weights)
    plain = Figure().subplots()
    bm.plot_density(two, faithful, plain)
    labels = two.predict(faithful)
    for k, (cloud, other) in enumerate(zip(clouds(ax), clouds(plain), strict=True)):
        ratio = cloud.get_sizes() / other.get_sizes()
        np.testing.assert_allclose(ratio, weights[labels == k] / weights.mean())


def test_shaded_regions_hold_the_shares_they_are_said_to_hold():
    side = np.linspace(-6, 6, 401)
    x, y = np.meshgrid(side, side)
    density = stats.norm.pdf(x) * stats.norm.pdf(y)
    shares = (0.95, 0.75, 0.5, 0.25)
    levels = holding(density.ravel(), (side[1] - side[0]) ** 2, shares)
    # Of two standard normals the region above a level t holds 1 - 2π t.
    np.testing.assert_allclose(1 - 2 * np.pi * levels, shares, atol=2e-3)


def test_many_rows_are_thinned_and_it_is_said(ax, two, faithful):
    rows = pd.concat([faithful] * 30)
    bm.plot_density(two, rows, ax)
    assert ax.get_title(loc="right") == "5,000 of 8,160 observations drawn"


# Some of the columns


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_marginal_is_the_density_with_the_other_column_integrated_out(ax, faithful, structure):
    model = bm.BayesianGaussianMixture(
        2, covariance_type=structure, search=None, random_state=0
    ).fit(faithful.to_numpy())
    bm.plot_density(model, None, ax, columns=1)
    x, y = thickest_line(ax).get_data()
    chosen = np.linspace(0, len(x) - 1, 7).astype(int)
    # Student-t tails are heavy: integrate over t with eruptions = 3 + sinh(t).
    t = np.linspace(-12, 12, 4001)
    for place in chosen:
        points = np.column_stack([3 + np.sinh(t), np.full(len(t), x[place])])
        integral = np.trapezoid(np.exp(model.score_samples(points)) * np.cosh(t), t)
        assert y[place] == pytest.approx(integral, rel=1e-6)


def test_the_pair_of_columns_that_separates_best_is_chosen_and_named(ax):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 4))
    rows[:100, [1, 3]] += 6.0
    rows[:50, 3] -= 12.0
    model = bm.GaussianMixture(3, covariance_type="diag", random_state=0).fit(rows)
    bm.plot_density(model, rows, ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "x3")
    assert ax.get_title(loc="right") == "marginal of 2 of 4 columns"


def test_points_of_a_frame_are_those_of_the_columns_of_the_fit():
    iris = bm.datasets.load_iris()
    search = bm.select(iris, 3, covariance_type="full")
    turned = iris[iris.columns[::-1]].assign(species="setosa")
    drawn = [
        [points.get_offsets().tolist() for points in axes.collections]
        for model in (search, search.best_estimator_)
        for X in (iris, turned)
        if (axes := bm.plot_density(model, X, Figure().subplots()))
    ]
    assert drawn[0] == drawn[1] == drawn[2] == drawn[3]


@pytest.mark.parametrize("columns", [("petal_length", "sepal_width"), (2, 1)])
def test_columns_are_chosen_by_name_or_number(ax, columns):
    iris = bm.datasets.load_iris()
    model = bm.GaussianMixture(2, random_state=0).fit(iris)
    bm.plot_density(model, iris, ax, columns=columns)
    assert ax.get_xlabel() == "petal_length"
    assert ax.get_ylabel() == "sepal_width"


def test_a_frame_names_the_axes_of_a_mixture_that_has_no_names(ax, faithful, two):
    given = bm.GaussianMixture.from_parameters(two.weights_, two.means_, two.covariances_)
    bm.plot_density(given, faithful, ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("eruptions", "waiting")


@pytest.mark.parametrize("columns", ["height", 2, (0, 0), (0, 1, 0), -1, ()])
def test_columns_that_are_none_are_refused(ax, two, columns):
    with pytest.raises(InvalidInputError, match="columns must be"):
        bm.plot_density(two, None, ax, columns=columns)


# Counts


@pytest.mark.parametrize("inference", [None, bm.VariationalBayes()])
def test_bars_over_counts_are_the_probabilities_that_score_samples_gives(ax, counts, inference):
    model = bm.Mixture(2, family=bm.Poisson(), inference=inference, random_state=0).fit(counts)
    bm.plot_density(model, counts, ax)
    bars, outlines = ax.containers
    places = [bar.get_x() + bar.get_width() / 2 for bar in outlines]
    np.testing.assert_allclose(
        [bar.get_height() for bar in outlines],
        np.exp(model.score_samples(np.round(places)[:, None])),
        rtol=1e-10,
    )
    shares = np.bincount(counts.ravel(), minlength=len(places))[: len(places)] / len(counts)
    np.testing.assert_allclose([bar.get_height() for bar in bars], shares)
    assert ax.get_ylabel() == "probability"


def test_counts_in_several_columns_are_drawn_one_at_a_time(ax, counts):
    rows = np.column_stack([counts, counts[::-1]])
    model = bm.Mixture(2, family=bm.Poisson(), random_state=0).fit(rows)
    with pytest.raises(UnsupportedError, match="columns='x0'"):
        bm.plot_density(model, rows, ax)
    bm.plot_density(model, rows, ax, columns=1)
    assert ax.get_xlabel() == "x1"


@pytest.mark.slow
def test_a_family_without_a_picture_is_refused(ax):
    rows = np.random.default_rng(0).integers(0, 2, (50, 3))
    model = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(rows)
    with pytest.raises(UnsupportedError, match="support continuous columns and counts"):
        bm.plot_density(model, rows, ax, columns=0)


# What comes in, and what comes out


def test_the_axes_that_were_given_are_drawn_on_and_returned(ax, faithful, two, search):
    assert bm.plot_density(two, faithful, ax) is ax
    assert bm.plot_objective(two, ax) is ax
    assert bm.plot_selection(search, ax) is ax
    axes = Figure().subplots(1, 2)
    assert list(bm.plot_em_steps(two, faithful, (0, 1), axes)) == list(axes)
    assert two.plot(faithful, ax) is ax
    assert search.plot(ax) is ax
    assert plt.get_fignums() == []


def test_without_axes_a_figure_is_made(two):
    ax = bm.plot_density(two)
    assert plt.get_fignums() == [ax.figure.number]


def test_of_a_search_the_best_estimator_is_drawn(ax, faithful, search):
    bm.plot_density(search, faithful, ax)
    ellipses = [patch for patch in ax.patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 2 * search.best_estimator_.n_components_


def test_a_source_brings_its_own_weights(ax, two, faithful):
    given = bm.GaussianMixture.from_parameters(two.weights_, two.means_, two.covariances_)
    weights = np.where(np.arange(272) < 136, 2.0, 1.0)
    bm.plot_density(given, ArraySource(faithful.to_numpy(), weights), ax)
    sizes = np.concatenate([cloud.get_sizes() for cloud in clouds(ax)])
    assert np.ptp(sizes) > 0.5 * sizes.mean()


def test_models_that_cannot_be_drawn_are_refused_with_the_remedy(ax, faithful):
    with pytest.raises(InvalidInputError, match="call fit first"):
        bm.plot_density(bm.GaussianMixture(2), faithful, ax)
    with pytest.raises(InvalidInputError, match="from_sklearn"):
        bm.plot_density(TheirMixture(2).fit(faithful), faithful, ax)
    pipeline = make_pipeline(StandardScaler(), bm.GaussianMixture(2, random_state=0)).fit(faithful)
    with pytest.raises(UnsupportedError, match="last step"):
        bm.plot_density(pipeline, faithful, ax)
    with pytest.raises(InvalidInputError, match="MixtureSearch"):
        bm.plot_selection(bm.GaussianMixture(2), ax)


def test_weights_that_do_not_fit_the_rows_are_refused(ax, two, faithful):
    with pytest.raises(InvalidInputError, match="each of the 272 rows"):
        bm.plot_density(two, faithful, ax, sample_weight=[1.0])
    with pytest.raises(InvalidInputError, match="pass X"):
        bm.plot_density(two, None, ax, sample_weight=[1.0])


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, two, search, faithful):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for draw in (
        lambda: bm.plot_density(two),
        lambda: bm.plot_objective(two),
        lambda: bm.plot_selection(search),
        lambda: bm.plot_em_steps(two, faithful, (1,)),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'bayesmix\[plot\]'"):
            draw()


@pytest.mark.slow
@pytest.mark.parametrize("one_column", [False, True])
def test_the_legend_lies_above_everything_drawn(faithful, waiting, one_column):
    rows = waiting if one_column else faithful
    model = bm.GaussianMixture(3, prior="auto", random_state=0).fit(rows)
    ax = bm.plot_density(model, rows)
    ax.figure.draw_without_rendering()
    if one_column:
        heights = [bar.get_data().values.max() for bar in ax.patches if hasattr(bar, "get_data")]
        top = max(thickest_line(ax).get_ydata().max(), *heights)
    else:
        top = faithful["waiting"].max()
    assert ax.get_legend().get_window_extent().y0 >= ax.transData.transform([0.0, top])[1]


def test_neighbouring_components_differ_in_luminance_marker_and_line():
    def luminance(k):
        linear = np.array(to_rgb(style.colour(k))) ** 2.2
        return linear @ [0.2126, 0.7152, 0.0722]

    for k in range(len(style.COLOURS) - 1):
        bright, dark = sorted([luminance(k), luminance(k + 1)], reverse=True)
        assert (bright + 0.05) / (dark + 0.05) > 1.4
    pairs = {(style.colour(k), style.marker(k), str(style.line(k))) for k in range(50)}
    assert len(pairs) == 50
    assert len(set(style.MARKERS)) == len({str(each) for each in style.LINES}) == 10


# The objective


def test_the_objective_is_drawn_as_it_was_with_a_line_a_segment(ax, faithful):
    model = bm.BayesianGaussianMixture(8, search=None, max_iter=500, random_state=0).fit(faithful)
    bm.plot_objective(model, ax)
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    starts = [start for start in model.result_.segments if start < model.n_iter_]
    assert len(lines) == len(starts) > 1
    np.testing.assert_array_equal(
        np.concatenate([line.get_ydata() for line in lines]), model.objective_trace_
    )
    np.testing.assert_array_equal(
        np.concatenate([line.get_xdata() for line in lines]), np.arange(model.n_iter_) + 1
    )
    assert ax.get_ylabel() == "ELBO (nats)"
    assert "pruned" in ax.get_title(loc="right")


def test_the_inset_shows_the_gap_on_a_log_scale(ax, two):
    # A run from the optimum of a search gains less than matters: no inset, and no axis of rounding.
    plain = bm.plot_objective(two, Figure().subplots())
    assert not plain.child_axes
    assert np.ptp(plain.get_ylim()) == pytest.approx(0.1)
    model = bm.GaussianMixture(3, search=None, random_state=0).fit(bm.datasets.load_faithful())
    bm.plot_objective(model, ax)
    (inset,) = ax.child_axes
    assert inset.get_yscale() == "log"
    drawn = inset.lines[0].get_ydata()
    gap = model.objective_trace_[-1] - model.objective_trace_
    np.testing.assert_array_equal(drawn[gap > 0], gap[gap > 0])
    assert np.isnan(drawn[gap <= 0]).all()


def test_a_run_of_one_iteration_is_a_point_without_inset(ax, faithful):
    one = bm.GaussianMixture(1, random_state=0, max_iter=1, tol=1.0)
    with pytest.warns(Warning, match="did not converge"):
        one.fit(faithful)
    bm.plot_objective(one, ax)
    assert not ax.child_axes
    assert ax.get_xlabel() == "iteration (max iter)"


def test_the_objective_stands_beside_what_the_search_tried():
    X = bm.datasets.load_faithful()
    gm = bm.GaussianMixture(4, random_state=0).fit(X)
    ax = bm.plot_objective(gm, ax=Figure().subplots())
    tried = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert {line.get_label() for line in tried} >= {"start", "converged run"}
    points = sorted((x, y) for line in tried for x, y in line.get_xydata())
    assert max(x for x, _ in points) < 0
    # In the order of the search, where each ended.
    np.testing.assert_array_equal(
        [y for _, y in points], [record.objective for record in gm.result_.search_trace]
    )
    assert min(ax.get_xticks()) >= 1


def test_parameters_that_were_not_fitted_have_no_objective(ax):
    given = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0])
    with pytest.raises(UnsupportedError, match="no objective trace"):
        bm.plot_objective(given, ax)


# The search


def table(**columns):
    frame = pd.DataFrame({"n_components": [1, 2, 3], **columns})
    return SimpleNamespace(results_=frame, criterion_="bic", best_index_=frame["bic"].idxmin())


def test_selection_draws_a_line_a_structure_and_rings_the_best(ax, search):
    bm.plot_selection(search, ax)
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    results = search.results_
    structures = list(dict.fromkeys(results["covariance_type"]))
    for line, structure in zip(lines, structures, strict=True):
        rows = results[results["covariance_type"] == structure].sort_values("n_components")
        np.testing.assert_array_equal(line.get_ydata(), rows["bic"] - search.best_score_)
    best = results.loc[search.best_index_]
    ring = max(ax.lines, key=lambda line: line.get_markersize())
    assert ring.get_xdata() == [best["n_components"]]
    assert ring.get_ydata() == [0.0]
    assert labelled(ax, f"chosen: {best['n_components']} components, {best['covariance_type']}")
    assert list(ax.get_xticks()) == [1, 2, 3]


def test_another_criterion_can_be_drawn(ax, search):
    bm.plot_selection(search, ax, criterion="aic")
    assert ax.get_ylabel() == "AIC above the best"
    with pytest.raises(InvalidInputError, match="column of results_"):
        bm.plot_selection(search, ax, criterion="waic")


def test_standard_errors_are_drawn_where_there_are_some(ax):
    given = table(found_components=[1, 2, 3], bic=[-30.0, -20.0, -21.0], bic_se=[1.0, 2.0, 3.0])
    bm.plot_selection(given, ax)
    segments = ax.collections[0].get_segments()
    np.testing.assert_allclose([np.ptp(each[:, 1]) / 2 for each in segments], [1.0, 2.0, 3.0])


def test_candidates_without_a_value_are_crosses_on_the_edge(ax):
    given = table(found_components=[1, 2, 3], bic=[30.0, 20.0, np.nan])
    bm.plot_selection(given, ax)
    (cross,) = (line for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata()))
    assert list(cross.get_xdata()) == [3]
    given = table(found_components=[1, 2, 3], bic=[30.0, np.inf, 20.0])
    bm.plot_selection(given, Figure().subplots())


def test_one_component_is_not_plural(ax):
    given = table(found_components=[1, 2, 3], bic=[20.0, 21.0, 22.0])
    bm.plot_selection(given, ax)
    assert labelled(ax, "chosen: 1 component")


def test_all_candidates_are_in_the_picture_and_the_close_ones_apart(ax):
    given = table(found_components=[1, 2, 3], bic=[3000.0, 21.0, 20.0])
    bm.plot_selection(given, ax)
    hopeless, close, best = ax.transAxes.inverted().transform(
        ax.transData.transform([(1, 2980.0), (2, 1.0), (3, 0.0)])
    )[:, 1]
    assert 0.0 < hopeless < 0.2
    assert 0.02 < best - close < 0.2
    assert best < 1.0


def test_no_candidate_is_above_the_best_and_the_chosen_one_has_the_ring(ax):
    given = table(
        covariance_type=["full", "full", "diag"],
        found_components=[1, 2, 3],
        bic=[10.0, 11.0, 20.0],
    )
    given.best_index_ = 2
    bm.plot_selection(given, ax)
    assert labelled(ax, "chosen: 3 components, diag")
    line = next(line for line in ax.lines if len(line.get_xdata()) == 2)
    assert line.get_ydata().tolist() == [0.0, 1.0]
    ring = next(line for line in ax.lines if line.get_markersize() == 15)
    assert ring.get_xydata().tolist() == [[3.0, 10.0]]


# EM step by step


def test_panels_show_the_published_iterations(textbook):
    example = textbook["seven_points_1d"]
    init = example["init"]
    start = bm.GaussianMixture.from_parameters(
        init["weights"], np.array(init["means"], float)[:, None], init["variances"]
    )
    axes = bm.plot_em_steps(start, SEVEN, (0, 1, 2, 5))
    likelihoods = example["nll_at_init_and_after_each_iteration"]
    for ax, i in zip(axes, (0, 1, 2, 5), strict=True):
        at = init if i == 0 else example["iterations"][i - 1]
        x, y = thickest_line(ax).get_data()
        expected = sum(
            w * stats.norm.pdf(x, m, np.sqrt(v))
            for w, m, v in zip(at["weights"], at["means"], at["variances"], strict=True)
        )
        np.testing.assert_allclose(y, expected, rtol=1e-8, atol=1e-12)
        first, second = ax.get_title(loc="left").split("\n")
        assert first == ("start" if i == 0 else f"iteration {i}")
        assert second == f"log likelihood −{likelihoods[i]:.2f}"


@pytest.fixture(scope="module")
def textbook():
    import json
    from pathlib import Path

    path = Path(__file__).parents[1] / "data" / "textbook_examples.json"
    return json.loads(path.read_text("utf-8"))


def test_a_start_from_responsibilities_shows_the_rows_alone(faithful):
    labels = (np.arange(272) % 2).astype(int)
    axes = bm.plot_em_steps(bm.GaussianMixture(2, init_params=labels), faithful, (0, 1, 30))
    assert not axes[0].patches
    assert len(axes[1].patches) == 4
    np.testing.assert_array_equal(
        axes[0].collections[0].get_offsets(), faithful.to_numpy()[labels == 0]
    )


def test_all_panels_are_one_run_even_of_a_random_start_without_a_seed(faithful):
    start = bm.BayesianGaussianMixture(3, init_params="random")
    axes = bm.plot_em_steps(start, faithful, (0, 1, 2, 4))
    bounds = [float(ax.get_title(loc="left").split("−")[1]) for ax in axes[1:]]
    assert bounds == sorted(bounds, reverse=True)
    assert all(len(ax.patches) == 6 for ax in axes[1:])
    assert not hasattr(start, "result_")


@pytest.mark.parametrize("structure", STRUCTURES)
def test_explicit_parameters_are_the_first_panel(faithful, structure):
    precisions = {
        "full": [np.diag([4.0, 0.02])] * 2,
        "tied": np.diag([4.0, 0.02]),
        "diag": [[4.0, 0.02], [0.02, 4.0]],
        "spherical": [4.0, 0.02],
    }[structure]
    start = bm.GaussianMixture(
        2,
        covariance_type=structure,
        weights_init=[0.5, 0.5],
        means_init=[[2.5, 90.0], [4.5, 50.0]],
        precisions_init=precisions,
    )
    axes = bm.plot_em_steps(start, faithful, (0, 3))
    sides = {
        "full": (0.5, 50**0.5),
        "tied": (0.5, 50**0.5),
        "diag": (0.5, 50**0.5),
        "spherical": (0.5, 0.5),
    }[structure]
    first = axes[0].patches[0]
    np.testing.assert_allclose(sorted([first.width, first.height]), 2 * np.array(sides))
    np.testing.assert_allclose(first.center, [2.5, 90.0])
    expected = bm.GaussianMixture(**{**start.get_params(), "max_iter": 3, "search": None})
    with pytest.warns(Warning, match="did not converge"):
        expected.fit(faithful)
    np.testing.assert_allclose(axes[1].patches[2].center, expected.means_[1], rtol=1e-12)


def test_panels_share_columns_and_limits():
    iris = bm.datasets.load_iris()
    start = bm.GaussianMixture(3, covariance_type="diag", init_params="k-means++", random_state=0)
    axes = bm.plot_em_steps(start, iris, (0, 1, 3, 8))
    assert {(ax.get_xlim(), ax.get_ylim()) for ax in axes} == {
        (axes[0].get_xlim(), axes[0].get_ylim())
    }
    assert axes[0].get_ylabel() == "petal_width"


def test_counts_have_steps_too(counts):
    start = bm.Mixture(2, family=bm.Poisson(), init_params="random", random_state=1)
    axes = bm.plot_em_steps(start, counts, (0, 1, 60))
    assert axes[0].get_ylabel() == "probability"
    assert "(converged at" in axes[2].get_title(loc="left")


def test_steps_that_cannot_be_shown_are_refused(faithful):
    start = bm.GaussianMixture(2, means_init=[[2.0, 50.0], [4.0, 80.0]], random_state=0)
    with pytest.raises(InvalidInputError, match="give all three"):
        bm.plot_em_steps(start, faithful, (0, 1))
    assert len(bm.plot_em_steps(start, faithful, (1,))) == 1
    for wrong in ((), (-1, 2)):
        with pytest.raises(InvalidInputError, match="at least 0"):
            bm.plot_em_steps(start, faithful, wrong)
    with pytest.raises(InvalidInputError, match="ax must contain 2 axes"):
        bm.plot_em_steps(start, faithful, (1, 2), Figure().subplots(1, 3))
    with pytest.raises(InvalidInputError, match="X must have numbers only"):
        bm.plot_em_steps(bm.Mixture(2), pd.DataFrame({"kind": ["a", "b"] * 9}))


def test_a_density_without_a_limit_at_0_has_contours():
    X = np.random.default_rng(0).lognormal(size=(60, 2))
    vb = bm.Mixture(2, family="log_normal", inference=bm.VariationalBayes(), random_state=0).fit(X)
    axes = bm.plot_pairs(vb)
    assert len(axes[0, 1].collections[0].get_paths()[-1].vertices)


def test_steps_of_a_fit_with_missing_values_are_shown():
    X = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0.0], [5.0]], 30, axis=0)
    X[::7, 0] = np.nan
    assert len(bm.plot_em_steps(bm.GaussianMixture(2, missing="use"), X, (0, 3))) == 2


def test_data_in_place_of_axes_are_refused(faithful):
    fit = bm.GaussianMixture(2, random_state=0).fit(faithful)
    with pytest.raises(InvalidInputError, match="ax must be matplotlib axes, got DataFrame"):
        bm.plot_objective(fit, faithful)


def test_the_band_of_residuals_is_that_of_order_statistics():
    values = np.array([0.1, np.nan, -3.5, 0.8, 4.2])
    ax = bm.plots.plot_residuals(values[:, None], ax=Figure().subplots())
    low, high = stats.norm.ppf(stats.beta.ppf([[0.025], [0.975]], [1, 2, 3, 4], [4, 3, 2, 1]))
    known = np.sort(values[~np.isnan(values)])
    outside = ((known < low) | (known > high)).sum()
    assert outside == 2
    assert f"outside: {outside} residuals" in [t.get_text() for t in ax.get_legend().get_texts()]
    (band,) = ax.collections
    assert band.get_datalim(ax.transData).ymin == pytest.approx(low[0])


@pytest.mark.filterwarnings("ignore:columns")
def test_a_profile_with_many_levels_fits_a_page_and_keeps_the_names_of_levels():
    rng = np.random.default_rng(6)
    z = rng.integers(0, 2, 400)
    frame = pd.DataFrame({
        "x": rng.normal(size=400) + 4 * z,
        "state": np.array([f"S{i:02d}" for i in range(50)])[rng.integers(0, 50, 400)],
        "How often do you read a newspaper on weekdays?": np.array(["never", "often"])[z],
    })  # fmt: skip
    model = bm.Mixture(2, random_state=0).fit(frame)
    plot = bm.plot_profile(model, frame)
    names = [text.get_text() for text in plot.get_yticklabels()]
    assert plot.figure.get_size_inches()[1] <= 12.0
    assert len(names) == 34
    assert names[0] == "x"
    assert names[-1] == "How often do you read a …:\noften"
    assert plot.get_title(loc="right") == "34 of 52 lines, largest differences"
    plt.close(plot.figure)
