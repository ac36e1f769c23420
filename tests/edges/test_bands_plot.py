"""Figures of bands and of parts of a density: what is drawn is what the methods say."""

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.plots.bands import band_of
from bayesmix.plots.curve import draw_curve
from bayesmix.plots.subject import sample_of, view_of

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib.collections import PolyCollection  # noqa: E402  (after the backend is chosen)
from matplotlib.figure import Figure  # noqa: E402


@pytest.fixture
def ax():
    return Figure(figsize=(6.4, 4.4)).subplots()


@pytest.fixture(scope="module")
def faithful():
    return bm.datasets.load_faithful()


@pytest.fixture(scope="module")
def waiting(faithful):
    return faithful[["waiting"]]


@pytest.fixture(scope="module")
def one_column(waiting):
    return bm.BayesianGaussianMixture(2, search=None, random_state=0).fit(waiting)


def drawn(ax, model, level, X=None):
    view = view_of(model, None, X)
    draw_curve(ax, view, sample_of(model, view, X, None), True, True, band_of(model, level))
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
    assert drawn(ax, one_column, None, waiting) == []
    assert not any("band" in text for text in texts(ax))


@pytest.mark.parametrize("level", [0.0, 1.0, 0.9999, -1, "wide", True, np.nan])
def test_levels_that_draws_do_not_reach_are_refused(one_column, level):
    with pytest.raises(InvalidInputError, match="band must be None or a level"):
        band_of(one_column, level)


def test_only_variational_gaussian_fits_of_one_column_have_a_band(faithful, waiting):
    rows = np.arange(30.0)[:, None]
    counts = bm.Mixture(1, family=bm.Poisson(), inference=bm.VariationalBayes()).fit(rows)
    for model in (
        bm.GaussianMixture(1).fit(waiting),
        bm.BayesianGaussianMixture(1).fit(faithful),
        counts,
    ):
        with pytest.raises(UnsupportedError, match="variational Gaussian fits of one column"):
            band_of(model, 0.9)


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
    with pytest.raises(InvalidInputError, match="one is constant"):
        bm.plot_density(model, wide, columns=["always", "waiting"])
    with pytest.raises(UnsupportedError, match="constant column"):
        model.conditional({"waiting": 60.0}).plot()


def test_plot_density_draws_the_band_that_is_asked_for(ax, one_column, waiting):
    bm.plot_density(one_column, waiting, ax=ax, band=0.8)
    assert "80 % band" in texts(ax)
    with pytest.raises(UnsupportedError, match="one column"):
        bm.plot_density(bm.GaussianMixture(1).fit(waiting), band=0.8)
