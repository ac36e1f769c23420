"""Figures of bands and of parts of a density: what is drawn is what the methods say."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.plots.density import DRAWS, band_of, draw_curve
from bayesmix.plots.subject import sample_of, view_of

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib.collections import PolyCollection  # noqa: E402  (after the backend is chosen)
from matplotlib.figure import Figure  # noqa: E402


@pytest.fixture
def ax():
    return Figure(figsize=(6.4, 4.4)).subplots()


@pytest.fixture(scope="module")
def waiting(faithful):
    return faithful[["waiting"]]


@pytest.fixture(scope="module")
def one_column(waiting):
    return bm.BayesianGaussianMixture(2, search=None, random_state=0).fit(waiting)


def drawn(ax, model, level, X=None):
    view = view_of(model, None, X)
    band = band_of(model, view, level)
    draw_curve(ax, view, sample_of(model, view, X, None), True, True, band)
    return shades(ax)


def shades(ax):
    return [each for each in ax.collections if isinstance(each, PolyCollection)]


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_shade_is_the_pointwise_interval(ax, one_column, waiting):
    (shade,) = drawn(ax, one_column, 0.9, waiting)
    outline = shade.get_paths()[0].vertices
    places = np.unique(outline[:, 0])[::40]
    frame = waiting.iloc[:0].reindex(range(len(places))).assign(waiting=places)
    ends = one_column.density_interval(frame, 0.9, random_state=0)
    for place, (lower, upper) in zip(places, ends, strict=True):
        heights = outline[outline[:, 0] == place, 1]
        assert heights.min() == pytest.approx(lower, rel=1e-5)
        assert heights.max() == pytest.approx(upper, rel=1e-5)
    assert texts(ax)[:2] == ["density", "90 % band"]
    assert ax.get_ylim()[1] >= outline[:, 1].max()


def test_without_a_level_no_band_is_drawn(ax, one_column, waiting):
    bm.plot_density(one_column, waiting, ax=ax)
    assert shades(ax) == []
    assert not any("band" in text for text in texts(ax))


@pytest.mark.parametrize("level", [0.0, 1.0, 0.9999, -1, "wide", True, np.nan])
def test_levels_that_draws_do_not_reach_are_refused(one_column, level):
    with pytest.raises(InvalidInputError, match="band must be a level above 0"):
        bm.plot_density(one_column, band=level)


def test_a_band_is_of_curves_over_one_column_and_has_its_draws(faithful, waiting):
    rows = np.arange(30.0)[:, None]
    counts = bm.Mixture(1, family=bm.Poisson(), inference=bm.VariationalBayes()).fit(rows)
    with pytest.raises(UnsupportedError, match="need a continuous column"):
        bm.plot_density(counts, band=0.9)
    with pytest.raises(UnsupportedError, match="plot_uncertainty"):
        bm.plot_density(bm.BayesianGaussianMixture(1).fit(faithful), band=0.9)
    with pytest.raises(UnsupportedError, match="method='bootstrap'"):
        bm.plot_density(bm.GaussianMixture(1).fit(waiting), band=0.9)
    with pytest.raises(InvalidInputError, match="needs the data of the fit"):
        bm.plot_density(bm.GaussianMixture(1).fit(waiting), band=0.9, method="bootstrap")


def test_one_of_several_columns_has_the_band_of_its_marginal(ax, faithful):
    model = bm.BayesianGaussianMixture(2, search=None, random_state=0).fit(faithful)
    bm.plot_density(model, faithful, ax=ax, columns="waiting", band=0.9)
    (shade,) = shades(ax)
    outline = shade.get_paths()[0].vertices
    x, y = max(ax.lines, key=lambda line: line.get_linewidth()).get_data()
    for place, height in zip(x[::60], y[::60], strict=True):
        ends = outline[outline[:, 0] == place, 1]
        assert ends.min() < height < ends.max()


@pytest.mark.slow
def test_a_band_can_be_of_draws_that_need_the_rows(ax, waiting):
    model = bm.BayesianGaussianMixture(1, search=None, random_state=0).fit(waiting)
    for method in ("gibbs", bm.weighted_bootstrap(model, waiting, n_draws=50)):
        bm.plot_density(model, waiting, ax=ax, band=0.9, method=method)
    assert len(shades(ax)) == 2


# Two columns


def test_beside_the_density_is_its_relative_uncertainty(faithful):
    model = bm.BayesianGaussianMixture(2, search=None, random_state=0).fit(faithful)
    left, right = bm.plot_uncertainty(model, faithful, axes=Figure().subplots(1, 2), level=0.9)
    assert right.get_xlim() == left.get_xlim()
    assert right.get_ylim() == left.get_ylim()
    filled = right.collections[0]
    levels, draws = filled.levels, DRAWS
    places = np.array([[4.3, 80.0], [2.0, 54.0], [3.6, 66.0]])
    points = pd.DataFrame(places, columns=faithful.columns)
    lower, upper = model.density_interval(points, 0.9, n_draws=draws, random_state=0).T
    shares = 0.5 * (upper - lower) / np.exp(model.score_samples(points))
    for point, share in zip(places, shares, strict=True):
        # The colours change between the grid's places: near a step either side will do.
        near = [np.searchsorted(levels, share * factor) - 1 for factor in (0.93, 1.07)]
        inside = [path.contains_point(point) for path in filled.get_paths()]
        assert inside.index(True) in near


def test_of_counts_it_is_said_what_to_ask_instead():
    rows = np.random.default_rng(0).poisson(3.0, size=(40, 2)).astype(float)
    model = bm.Mixture(2, family=bm.Poisson(), inference=bm.VariationalBayes(), random_state=0)
    model.fit(rows)
    for figure, instead in (
        (lambda: bm.plot_uncertainty(model, rows), "use density_interval"),
        (lambda: bm.plot_assignment(model, rows), "use assignment_entropy"),
        (lambda: bm.plot_conditional_mean(model, 0, 1, rows), "use conditional_mean"),
        (lambda: model.density_region(random_state=0).plot(), "use contains"),
        (lambda: model.density_region(random_state=0).intervals(), "use contains"),
    ):
        with pytest.raises(UnsupportedError, match=instead):
            figure()


@pytest.mark.slow
def test_uncertainty_is_over_two_columns_of_fits_that_have_draws(faithful, waiting):
    with pytest.raises(UnsupportedError, match="needs two columns"):
        bm.plot_uncertainty(bm.BayesianGaussianMixture(1).fit(waiting))
    point = bm.GaussianMixture(2, search=None, random_state=0).fit(faithful)
    with pytest.raises(UnsupportedError, match="method='bootstrap'"):
        bm.plot_uncertainty(point, faithful)
    with pytest.raises(InvalidInputError, match="axes must be an array"):
        bm.plot_uncertainty(bm.BayesianGaussianMixture(1).fit(faithful), axes=Figure().subplots())
    found = bm.weighted_bootstrap(point, faithful, n_draws=100)
    bm.plot_uncertainty(point, faithful, axes=Figure().subplots(1, 2), method=found)
    wide = faithful.assign(more=np.arange(len(faithful)) % 7)
    model = bm.BayesianGaussianMixture(2, search=None, random_state=0).fit(wide)
    _, right = bm.plot_uncertainty(
        model, wide, axes=Figure().subplots(1, 2), columns=["waiting", "more"]
    )
    assert right.get_ylabel() == "more"


# Assignment


def test_probabilities_along_one_column_have_their_intervals(ax, one_column, waiting):
    bm.plot_assignment(one_column, waiting, ax=ax, level=0.9)
    assert len(shades(ax)) == 2
    x, y = ax.lines[0].get_data()
    frame = waiting.iloc[:0].reindex(range(len(x))).assign(waiting=x)
    np.testing.assert_allclose(y, one_column.predict_proba(frame)[:, 0])
    assert "90 % intervals" in texts(ax)


def test_rows_over_two_columns_have_the_colour_of_their_entropy(ax, faithful):
    model = bm.GaussianMixture(2, search=None, random_state=0).fit(faithful)
    bm.plot_assignment(model, faithful, ax=ax)
    (points,) = (each for each in ax.collections if each.get_array() is not None)
    expected = np.sort(model.assignment_entropy(faithful))
    np.testing.assert_allclose(points.get_array(), expected, atol=1e-12)


def test_assignments_that_cannot_be_drawn_say_why(faithful, one_column):
    model = bm.GaussianMixture(2, search=None, random_state=0).fit(faithful)
    for options, words in (
        ({}, "pass X"),
        ({"X": faithful, "level": 0.9}, "assignment_interval"),
        ({"X": faithful, "columns": "waiting"}, "choose two columns"),
    ):
        with pytest.raises(UnsupportedError, match=words):
            bm.plot_assignment(model, **options)
    with pytest.raises(InvalidInputError, match="level must be a level above 0"):
        bm.plot_assignment(one_column, level=1.0)


# Conditional means


@pytest.mark.parametrize(("given", "of"), [("waiting", "eruptions"), (0, 1)])
def test_the_curve_is_the_conditional_mean_within_its_band(ax, faithful, given, of):
    model = bm.BayesianGaussianMixture(2, search=None, random_state=0).fit(faithful)
    bm.plot_conditional_mean(model, given, of, faithful, ax=ax, level=0.9)
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(y, model.conditional_mean(x[:, None], given).ravel())
    (shade,) = shades(ax)
    outline = shade.get_paths()[0].vertices
    ends = [outline[outline[:, 0] == place, 1] for place in x]
    assert all(end.min() < mean < end.max() for end, mean in zip(ends, y, strict=True))
    assert ax.get_xlabel() == (given if given else "eruptions")


def test_the_wanted_one_of_many_columns_is_drawn(ax):
    iris = bm.datasets.load_iris().iloc[:, :4]
    model = bm.GaussianMixture(2, search=None, random_state=0).fit(iris)
    bm.plot_conditional_mean(model, 2, 1, iris, ax=ax)
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(y, model.conditional_mean(x[:, None], 2)[:, 1])
    with pytest.raises(InvalidInputError, match="columns must be"):
        bm.plot_conditional_mean(model, 2, 2)


# Regions


def test_a_region_over_one_column_is_shaded_where_its_intervals_are(ax, one_column, waiting):
    region = one_column.density_region(0.8)
    region.plot(waiting, ax=ax)
    ends = [np.sort(each.get_paths()[0].vertices[:, 0])[[0, -1]] for each in shades(ax)]
    np.testing.assert_allclose(np.sort(ends, axis=0), region.intervals())
    outside = next(line for line in ax.lines if line.get_marker() == "X")
    assert len(outside.get_xdata()) == (~region.contains(waiting)).sum()


def test_a_region_over_two_columns_is_drawn_with_the_rows_outside(ax, faithful):
    region = bm.conformal_region(
        bm.GaussianMixture(2, search=None), faithful, 0.9, 100, random_state=0
    )
    region.plot(faithful, ax=ax)
    outside = next(line for line in ax.lines if line.get_marker() == "X")
    assert len(outside.get_xdata()) == (~region.contains(faithful)).sum()
    assert "contains 90 %, calibrated" in texts(ax)
    rim = ax.collections[1].get_paths()[0].vertices
    scores = region.density.score_samples(rim[::25])
    np.testing.assert_allclose(scores, region.threshold, atol=0.1)


# Parts of a density


@pytest.mark.parametrize("kind", [bm.GaussianMixture, bm.BayesianGaussianMixture])
@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_a_part_is_drawn_as_its_density(ax, faithful, kind, structure):
    model = kind(2, covariance_type=structure, search=None, random_state=0).fit(faithful)
    part = model.conditional({"eruptions": 3.0})
    part.plot(ax=ax)
    x, y = max(ax.lines, key=lambda line: line.get_linewidth()).get_data()
    np.testing.assert_allclose(y, np.exp(part.score_samples(x[:, None])), rtol=1e-11)
    assert ax.get_xlabel() == "waiting"
    assert ax.get_title(loc="right") == "given eruptions = 3"


def test_two_columns_of_a_part_are_a_plane_and_more_are_to_be_named(ax):
    iris = bm.datasets.load_iris().iloc[:, :4]
    part = bm.BayesianGaussianMixture(3, search=None, random_state=0).fit(iris).conditional({0: 5})
    with pytest.raises(InvalidInputError, match="one or two columns"):
        part.plot(ax=ax)
    part.plot(ax=ax, columns=[2, 3])
    assert ax.get_xlabel() == iris.columns[2]
    assert ax.get_ylabel() == iris.columns[3]


def test_a_part_of_counts_is_bars(ax):
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.poisson(3.0, (80, 2)), rng.poisson(12.0, (40, 2))])
    model = bm.Mixture(2, family=bm.Poisson(), inference=bm.VariationalBayes(), random_state=0)
    part = model.fit(rows).conditional({1: 3})
    part.plot(ax=ax)
    places = np.array([bar.get_x() + bar.get_width() / 2 for bar in ax.patches])
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, np.exp(part.score_samples(places.round()[:, None])))
    assert ax.get_ylabel() == "probability"


@pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning")
def test_columns_beside_a_constant_one_can_be_drawn(ax, faithful):
    wide = faithful.assign(always=2.0)[["always", "eruptions", "waiting"]]
    model = bm.BayesianGaussianMixture(2, search=None, random_state=0).fit(wide)
    bm.plot_density(model, wide, ax=ax, columns=["waiting"], kde=False)
    x, y = max(ax.lines, key=lambda line: line.get_linewidth()).get_data()
    expected = np.exp(model.marginal("waiting").score_samples(x[:, None]))
    np.testing.assert_allclose(y, expected, rtol=1e-11)
    bm.plot_density(model, wide, ax=Figure().subplots())
    with pytest.raises(InvalidInputError, match="one of always, waiting is constant"):
        bm.plot_density(model, wide, columns=["always", "waiting"])
    with pytest.raises(UnsupportedError, match="constant column"):
        model.conditional({"waiting": 60.0}).plot()


def test_plot_density_draws_the_band_that_is_asked_for(ax, one_column, waiting):
    bm.plot_density(one_column, waiting, ax=ax, band=0.8)
    assert "80 % band" in texts(ax)


# A density averaged over candidates


@pytest.fixture(scope="module")
def average(waiting):
    return bm.select(waiting, range(1, 4), covariance_type="full", random_state=0).averaged_


def test_the_band_of_an_average_is_its_density_interval(ax, average, waiting):
    bm.plots.plot_averaged(average, waiting, ax=ax, band=0.8)
    assert "80 % band" in texts(ax)
    outline = shades(ax)[0].get_paths()[0].vertices
    places = np.unique(outline[:, 0])[::40]
    band = average.density_interval(pd.DataFrame({"waiting": places}), 0.8)
    for place, ends in zip(places, band, strict=True):
        drawn = outline[outline[:, 0] == place, 1]
        np.testing.assert_allclose([drawn.min(), drawn.max()], ends, rtol=1e-9)


def test_an_average_has_a_band_where_its_candidates_have_a_posterior(ax, average, waiting):
    assert "90 % band" in texts(bm.plots.plot_averaged(average, waiting, ax=ax))
    likelihood = bm.MixtureSearch(
        bm.GaussianMixture(search=None), (1, 2), "full", criterion="bic", random_state=0
    ).fit(waiting)
    other = Figure().subplots()
    assert "90 % band" not in texts(bm.plots.plot_averaged(likelihood.averaged_, waiting, ax=other))


def test_an_average_over_two_columns_has_no_band(ax, faithful):
    average = bm.select(faithful, (1, 2), covariance_type="tied", random_state=0).averaged_
    with pytest.raises(UnsupportedError, match="columns=0"):
        bm.plots.plot_averaged(average, faithful, ax=ax, band=0.9)
