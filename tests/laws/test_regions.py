"""Regions of highest density: what they hold, calibrated and not, and tails that agree with them.

Coverage is exact where it can be: over one column a region is a union of intervals, and the law
that rows are drawn from has a distribution function.
"""

import numpy as np
import pytest
from scipy import stats
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.posterior.regions import TIE, Scores
from laws.cases import generator

# Two-sided, of a normal mean: a false alarm in 1.7 million; of a Kolmogorov test the same.
Z = 5.0
ALARM = 6e-7
QUICK = {"search": None, "random_state": 0, "n_jobs": 1}

# Laws that a mixture of two normals is not.
SKEWED = stats.lognorm(0.9)
HEAVY = stats.t(1.5)
misspecified = pytest.mark.parametrize("law", [SKEWED, HEAVY], ids=["skewed", "heavy-tailed"])


def rows_of(law, n, *seed):
    return law.rvs(n, random_state=generator(*seed))[:, None]


def held_by(law, region):
    """The share of the law that the region holds, exactly."""
    return float(np.diff(law.cdf(region.intervals()), axis=1).sum())


def assert_beta(coverages, n, level):
    """Coverages over sets of calibration rows have the mean and the law of Beta(n + 1 - k, k)."""
    k = int((1.0 - level) * (n + 1) + 1e-9)
    law = stats.beta(n + 1 - k, k)
    assert abs(np.mean(coverages) - law.mean()) < Z * law.std() / np.sqrt(len(coverages))
    assert stats.kstest(coverages, law.cdf).pvalue > ALARM


# Calibrated


@pytest.mark.slow
@misspecified
@pytest.mark.parametrize(("n", "level"), [(30, 0.9), (99, 0.5)])
def test_over_calibration_sets_coverage_is_beta_distributed_whatever_the_model(law, n, level):
    model = bm.GaussianMixture(2, **QUICK).fit(rows_of(law, 200, 1))
    coverages = []
    for number in range(80):
        region = model.density_region(level, calibration=rows_of(law, n, 2, number))
        coverages.append(held_by(law, region))
    assert_beta(coverages, n, level)


def test_a_region_over_two_columns_holds_its_share_of_skewed_rows_with_heavy_tails():
    def drawn(n, *seed):
        rng = generator(*seed)
        radius = rng.standard_t(2.0, n)
        return np.column_stack([np.exp(rng.normal(size=n)), radius + rng.exponential(2.0, n)])

    model = bm.BayesianGaussianMixture(2, **QUICK).fit(drawn(300, 1))
    every = np.sort(model.score_samples(drawn(200_000, 2)))
    n, level, coverages = 60, 0.8, []
    for number in range(400):
        region = model.density_region(level, calibration=drawn(n, 3, number))
        coverages.append(1.0 - np.searchsorted(every, region.threshold - TIE) / len(every))
    assert_beta(coverages, n, level)


@pytest.mark.slow
@misspecified
def test_fit_and_choice_of_components_included_the_region_holds_its_share(law):
    search = bm.MixtureSearch(
        bm.GaussianMixture(**QUICK), n_components=(1, 2), n_jobs=1, progress=False
    )
    coverages = []
    for number in range(60):
        rows = rows_of(law, 90, 4, number)
        region = bm.conformal_region(search, rows, 0.8, 40, random_state=number)
        coverages.append(held_by(law, region))
    assert_beta(coverages, 40, 0.8)


def test_the_interval_of_coverage_is_that_of_the_beta_law():
    model = bm.GaussianMixture(1, **QUICK).fit(rows_of(SKEWED, 50, 1))
    region = model.density_region(0.9, calibration=rows_of(SKEWED, 105, 2))
    assert region.n_calibration == 105.0
    law = stats.beta(96, 10)
    np.testing.assert_allclose(region.coverage_interval(0.8), law.ppf([0.1, 0.9]), rtol=1e-10)
    assert region.expected_coverage == pytest.approx(law.mean(), rel=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.75, 0.9, 0.95])
def test_a_row_is_outside_exactly_where_its_tail_probability_says_so(level):
    model = bm.GaussianMixture(2, **QUICK).fit(rows_of(SKEWED, 100, 1))
    # Rounded, so that rows tie with one another and with the threshold.
    calibration = rows_of(SKEWED, 59, 2).round(1)
    rows = np.vstack([rows_of(SKEWED, 300, 3).round(1), calibration, [[-50.0]]])
    probabilities = model.tail_probability(rows, calibration=calibration)
    inside = model.density_region(level, calibration=calibration).contains(rows)
    np.testing.assert_array_equal(inside, probabilities > 1.0 - level + 1e-12)
    assert probabilities.min() == 1 / 60
    assert probabilities.max() <= 1.0


def test_the_threshold_is_the_order_statistic_that_leaves_the_level_above_it():
    scores = Scores.of(np.array([3.0, 1.0, 2.0, 5.0, 4.0, 9.0, 8.0, 7.0, 6.0]))
    assert [scores.threshold(level) for level in (0.9, 0.89, 0.8, 0.75, 0.1)] == [1, 1, 2, 2, 9]
    np.testing.assert_allclose(scores.tail(np.array([0.5, 1.0, 8.5, 9.5])), [0.1, 0.2, 0.9, 1.0])


@pytest.mark.slow
def test_conformal_tail_probabilities_of_new_rows_are_uniform_on_their_grid():
    model = bm.GaussianMixture(2, **QUICK).fit(rows_of(HEAVY, 200, 1))
    n, sets = 19, 3000
    rng = generator(2)
    found = [
        model.tail_probability(rows[:1], calibration=rows[1:])[0]
        for rows in HEAVY.rvs((sets, n + 1, 1), random_state=rng)
    ]
    counts = np.bincount(np.rint(np.multiply(found, n + 1)).astype(int), minlength=n + 2)[1:]
    assert stats.chisquare(counts).pvalue > ALARM


def test_weights_are_repeated_calibration_rows():
    model = bm.GaussianMixture(2, **QUICK).fit(rows_of(SKEWED, 100, 1))
    calibration, weights = rows_of(SKEWED, 40, 2), generator(3).integers(0, 4, 40)
    repeated = np.repeat(calibration, weights, axis=0)
    weighted = model.density_region(0.8, calibration, sample_weight=weights)
    plain = model.density_region(0.8, repeated)
    assert weighted.threshold == pytest.approx(plain.threshold, abs=1e-12)
    assert weighted.n_calibration == plain.n_calibration == weights.sum()
    rows = rows_of(SKEWED, 50, 4)
    np.testing.assert_allclose(
        model.tail_probability(rows, calibration, sample_weight=weights),
        model.tail_probability(rows, repeated),
        rtol=1e-12,
    )


def test_the_split_takes_rows_with_their_weights_and_is_that_of_the_seed():
    rows = np.arange(60.0)[:, None] ** 1.5
    weights = np.arange(60) % 3
    model = bm.GaussianMixture(1, search=None)
    found = [bm.conformal_region(model, rows, 0.8, 0.5, weights, 7) for _ in range(2)]
    assert found[0].threshold == found[1].threshold
    assert found[0].model.result_.total_weight + found[0].n_calibration == weights.sum()
    assert not hasattr(model, "result_")
    other = bm.conformal_region(model, rows, 0.8, 0.5, weights, 8)
    assert other.threshold != found[0].threshold


def test_a_source_brings_its_weights_and_a_column_of_that_name_does_not():
    import pandas as pd

    from bayesmix.sources.memory import ArraySource

    rows, weights = rows_of(SKEWED, 60, 1), 1.0 + np.arange(60) % 2
    model = bm.GaussianMixture(1, **QUICK).fit(rows)
    given = model.density_region(0.8, rows, sample_weight=weights)
    assert model.density_region(0.8, ArraySource(rows, weights)).threshold == given.threshold
    split = bm.conformal_region(model, rows, 0.8, 30, weights, 0)
    by_source = bm.conformal_region(model, ArraySource(rows, weights), 0.8, 30, random_state=0)
    assert by_source.threshold == split.threshold
    assert by_source.n_calibration == split.n_calibration
    frame = pd.DataFrame(rows, columns=["weights"])
    assert bm.conformal_region(model, frame, 0.8, 30, random_state=0).n_calibration == 30.0
    named = bm.GaussianMixture(1, **QUICK).fit(frame)
    assert named.density_region(0.8, calibration=frame).n_calibration == 60.0


def test_a_pipeline_is_fitted_whole_to_the_first_part():
    rows = rows_of(SKEWED, 300, 5)
    pipeline = make_pipeline(StandardScaler(), bm.GaussianMixture(2, **QUICK))
    region = bm.conformal_region(pipeline, rows, 0.9, 99, random_state=1)
    assert region.model[0].n_samples_seen_ == 201
    fresh = rows_of(SKEWED, 20_000, 6)
    low, high = region.coverage_interval(1.0 - ALARM)
    assert low < region.coverage(fresh) < high
    for ask in (region.intervals, lambda: region.plot(rows)):
        with pytest.raises(UnsupportedError, match=r"pipeline|one column"):
            ask()
    # Not affine: the region is one of rows all the same.
    bent = make_pipeline(PowerTransformer(), bm.GaussianMixture(1, **QUICK))
    assert low < bm.conformal_region(bent, rows, 0.9, 99, random_state=1).coverage(fresh) < high


# By the density itself


def test_the_region_of_a_normal_is_the_shortest_interval():
    normal = bm.GaussianMixture.from_parameters([1.0], [[3.0]], [[[4.0]]])
    region = normal.density_region(0.9, n_draws=50_000, random_state=1)
    (ends,) = region.intervals()
    assert not region.calibrated
    assert region.n_calibration == 0.0
    np.testing.assert_allclose(ends.mean(), 3.0, atol=1e-6)
    held = stats.norm(3.0, 2.0).cdf(ends[1]) - stats.norm(3.0, 2.0).cdf(ends[0])
    low, high = region.coverage_interval(1.0 - ALARM)
    assert low < held < high


def test_tail_probabilities_of_a_normal_are_those_of_both_its_tails():
    normal = bm.GaussianMixture.from_parameters([1.0], [[3.0]], [[[4.0]]])
    places, m = np.array([[3.0], [4.0], [-1.0], [9.0]]), 40_000
    found = normal.tail_probability(places, n_draws=m, random_state=2)
    expected = 2.0 * stats.norm.sf(np.abs(places[:, 0] - 3.0) / 2.0)
    error = np.sqrt(expected * (1.0 - expected) / m)
    assert (np.abs(found - expected) <= Z * error + 1.5 / m).all()


def test_the_rows_behind_a_region_are_not_those_that_sample_gives():
    normal = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    rows, _ = normal.sample(100, random_state=3)
    found = normal.tail_probability(rows, n_draws=100, random_state=3)
    assert len(np.unique(found)) < 100
    assert stats.kstest(found, "uniform").pvalue > ALARM


@pytest.mark.parametrize("threshold", [1e-6, 0.003, 0.02, 0.15, 0.3])
def test_intervals_are_where_the_density_is_that_high(threshold):
    weights, means, sds = [0.5, 0.49, 0.01], np.array([0.0, 4.0, 9.0]), np.array([1.0, 0.5, 1e-3])
    model = bm.GaussianMixture.from_parameters(weights, means[:, None], sds[:, None, None] ** 2)
    level = 0.9
    region = model.density_region(level, n_draws=1000)
    region = type(region)(
        region.density, level, Scores(np.full(99, np.log(threshold)), np.arange(1.0, 100.0)), True
    )
    intervals = region.intervals()
    grid = np.concatenate([np.linspace(-8.0, 12.0, 20_001), 9.0 + np.linspace(-0.01, 0.01, 2001)])
    within = ((grid[:, None] >= intervals[:, 0]) & (grid[:, None] <= intervals[:, 1])).any(axis=1)
    np.testing.assert_array_equal(within, np.exp(model.score_samples(grid[:, None])) >= threshold)
    ends = np.exp(model.score_samples(intervals.reshape(-1, 1)))
    np.testing.assert_allclose(ends, threshold, rtol=1e-6)


def test_heavy_tails_of_a_predictive_density_are_followed_out():
    model = bm.BayesianGaussianMixture(1, covariance_type="spherical", **QUICK)
    model.fit([[0.0], [1.0], [3.0]])
    far = np.full((9, 1), 1e6)
    ((low, high),) = model.density_region(0.9, calibration=far).intervals()
    assert high == pytest.approx(1e6, rel=1e-6)
    assert low == pytest.approx(2.0 * model.means_[0, 0] - 1e6, rel=1e-6)


def test_a_region_follows_the_units_and_the_kind_of_the_rows():
    import pandas as pd

    rows, calibration = rows_of(SKEWED, 150, 1), rows_of(SKEWED, 99, 2)
    factor = 1000.0
    first = bm.GaussianMixture(2, **QUICK).fit(rows).density_region(0.8, calibration)
    second = bm.GaussianMixture(2, **QUICK).fit(factor * rows)
    second = second.density_region(0.8, factor * calibration)
    assert second.threshold == pytest.approx(first.threshold - np.log(factor), abs=1e-8)
    np.testing.assert_allclose(second.intervals(), factor * first.intervals(), rtol=1e-8)
    frame = pd.DataFrame(rows.astype(np.float32), columns=["length"])
    named = bm.GaussianMixture(2, **QUICK).fit(frame)
    region = named.density_region(0.8, pd.DataFrame(calibration, columns=["length"]))
    assert region.threshold == pytest.approx(first.threshold, abs=1e-3)
    with pytest.raises(InvalidInputError, match="columns length"):
        region.contains(frame.rename(columns={"length": "width"}))


def test_parts_of_a_density_have_regions_of_their_own():
    rng = generator(8)
    x = rng.normal(size=400)
    rows = np.column_stack([x, 2.0 * x + rng.normal(size=400)])
    model = bm.GaussianMixture(1, **QUICK).fit(rows)
    at = model.conditional({0: 1.0})
    ((low, high),) = at.density_region(0.9, n_draws=50_000, random_state=0).intervals()
    mean = at.means_[0, 0]
    residual = np.sqrt(np.linalg.det(model.covariances_[0]) / model.covariances_[0][0, 0])
    np.testing.assert_allclose([low, high], stats.norm(mean, residual).ppf([0.05, 0.95]), rtol=0.05)
    assert 0.0 < at.tail_probability([[mean + 5.0 * residual]], n_draws=9999)[0] < 0.01


def test_counts_have_regions_that_hold_at_least_their_share():
    rows = generator(9).poisson([[3.0]] * 200).astype(float)
    model = bm.Mixture(1, family=bm.Poisson(), random_state=0).fit(rows)
    fresh = generator(10).poisson([[3.0]] * 400).astype(float)
    region = model.density_region(0.8, calibration=fresh)
    law = stats.poisson(3.0)
    places = np.arange(30.0)[:, None]
    held = law.pmf(places[region.contains(places), 0]).sum()
    assert held > region.coverage_interval(1.0 - ALARM)[0]
    for ask in (region.intervals, region.plot):
        with pytest.raises(UnsupportedError, match="continuous"):
            ask()


# Refusals, and words


@pytest.mark.parametrize(("level", "fewest"), [(0.9, 9), (0.99, 99), (0.5, 1)])
def test_too_few_rows_for_a_level_are_refused_and_just_enough_are_not(level, fewest):
    normal = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    rows = generator(1).normal(size=(fewest, 1))
    region = normal.density_region(level, calibration=rows)
    assert region.contains(rows).all()
    short = rows[: fewest - 1]
    if len(short):
        with pytest.raises(
            InvalidInputError, match=f"calibration must be at least {fewest} samples"
        ):
            normal.density_region(level, calibration=short)
        with pytest.raises(InvalidInputError, match=f"n_draws must be at least {fewest} samples"):
            normal.density_region(level, n_draws=fewest - 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"level": 1.0}, "level must be a number"),
        ({"level": "high"}, "level must be a number"),
        ({"level": True}, "level must be a number"),
        ({"n_draws": 0}, "n_draws must be an integer"),
        ({"n_draws": 2.5}, "n_draws must be an integer"),
        ({"sample_weight": [1.0]}, "pass calibration too"),
        (
            {"calibration": [[1.0]] * 9, "sample_weight": [1.0] * 8},
            "one number for each of the 9 rows",
        ),
        ({"calibration": [[1.0]] * 9, "sample_weight": [-1.0] * 9}, "not negative"),
        ({"calibration": [[1.0]] * 9, "sample_weight": "many"}, "sample_weight"),
        ({"calibration": [[1.0, 2.0]] * 9}, "shape"),
        ({"calibration": [[np.nan]] * 9}, "finite"),
        ({"random_state": "seed"}, "random_state"),
    ],
)
def test_regions_that_cannot_be_made_are_refused(arguments, words):
    normal = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    with pytest.raises(InvalidInputError, match=words):
        normal.density_region(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"calibration_size": 0.0}, "calibration_size"),
        ({"calibration_size": 49}, "calibration_size must be a fraction .* up to 48"),
        ({"calibration_size": True}, "calibration_size"),
        ({"calibration_size": 5}, "calibration must be at least 9"),
        (
            {"sample_weight": np.ones(49)},
            "sample_weight must be one number for each",
        ),
        ({"sample_weight": 1.0 * (np.arange(50) < 8)}, "calibration must be at least 9"),
        ({"model": "model"}, "model must be a mixture estimator"),
        ({"model": StandardScaler()}, "model must be a fitted mixture"),
    ],
)
def test_splits_that_cannot_be_made_are_refused(arguments, words):
    model = bm.GaussianMixture(1, **QUICK)
    with pytest.raises(InvalidInputError, match=words):
        bm.conformal_region(**{"model": model, "X": rows_of(SKEWED, 50, 1)} | arguments)


def test_a_region_of_several_columns_has_no_intervals():
    model = bm.GaussianMixture(1, **QUICK).fit(generator(1).normal(size=(50, 3)))
    region = model.density_region(0.9)
    for ask in (region.intervals, region.plot):
        with pytest.raises(UnsupportedError, match=r"marginal\(column"):
            ask()


def test_a_region_says_what_it_rests_on():
    model = bm.GaussianMixture(1, **QUICK).fit(rows_of(SKEWED, 50, 1))
    by_model = model.density_region(0.9)
    assert "model-based" in repr(by_model)
    assert "assumes a correct model" in by_model.summary()
    calibrated = model.density_region(0.9, calibration=rows_of(SKEWED, 99, 2))
    assert "calibrated on 99 samples" in repr(calibrated)
    assert "Expected coverage 0.900" in calibrated.summary()
    assert calibrated.summary().splitlines()[1] in calibrated._repr_html_()
