"""What must not matter does not: weights or repetitions, order, units, distance from the origin.

From an explicit start a run makes the same passes on both sides of each law (issue 2, point 7);
from the default start it comes to the same answer.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from laws.cases import COVARIANCES, PLAIN, generator

METHODS = {
    "ml": {},
    "map": {"prior": "auto"},
    "vb dirichlet": {"weight_concentration_prior_type": "dirichlet_distribution"},
    "vb sticks": {"weight_concentration_prior_type": "dirichlet_process"},
    "vb free": {"weight_concentration_prior_type": "type2_ml"},
}
every_method = pytest.mark.parametrize("method", METHODS)
every_structure = pytest.mark.parametrize("covariance", COVARIANCES)

N, D, K, PASSES = 150, 3, 3, 15


@dataclass(frozen=True)
class Problem:
    """Rows, where they start, and a prior for the methods that take one, in the rows' units."""

    rows: np.ndarray
    start: np.ndarray
    scale: np.ndarray
    weights: np.ndarray | None = None

    def fitted(self, method, covariance, fixed_prior=False, **options):
        options = METHODS[method] | {"init_params": self.start} | options
        if method.startswith("vb"):
            estimator = bm.BayesianGaussianMixture
            options = {"prune": False} | options
            if fixed_prior:
                options |= self.fixed_prior(covariance)
        else:
            estimator = bm.GaussianMixture
        model = estimator(self.start.shape[1], covariance_type=covariance, n_jobs=1, **options)
        if options.get("tol") == 0.0:
            with pytest.warns(ConvergenceWarning):
                return model.fit(self.rows, sample_weight=self.weights)
        return model.fit(self.rows, sample_weight=self.weights)

    def fixed_prior(self, covariance):
        """A prior that moves with the units: the columns' spread and centre."""
        dense = np.outer(self.scale, self.scale) * (0.5 + 0.5 * np.eye(D))
        block = {
            "full": dense,
            "tied": dense,
            "diag": self.scale**2,
            "spherical": float(self.scale[0] ** 2),
        }[covariance]
        return {
            "mean_prior": np.zeros(D),
            "mean_precision_prior": 0.1,
            "degrees_of_freedom_prior": D + 2.0,
            "covariance_prior": block,
        }


# A few passes, exactly so many: the two sides of a law never stop at different places.
FEW = {"tol": 0.0, "max_iter": PASSES, "search": None, "acceleration": None}


def problem():
    """Three overlapping clusters and soft responsibilities for them."""
    rng = generator(0)
    labels = rng.integers(0, K, N)
    centres = rng.normal(0.0, 3.0, (K, D))
    rows = centres[labels] + rng.normal(size=(N, D)) @ (np.eye(D) + 0.3 * rng.normal(size=(D, D)))
    start = 0.7 * np.eye(K)[labels] + 0.3 * rng.dirichlet(np.ones(K), N)
    return Problem(rows, start, np.ones(D))


def total(model):
    """The objective, in nats: likelihood, log joint density or bound."""
    return model.result_.objective


def assert_same_fit(left, right, rtol, order=slice(None)):
    """Two fits to the same rows agree; component k of ``right`` is ``order[k]`` of ``left``."""
    assert left.n_components_ == right.n_components_
    assert total(right) == pytest.approx(total(left), rel=rtol)
    assert right.log_likelihood_ == pytest.approx(left.log_likelihood_, rel=rtol)
    np.testing.assert_allclose(right.weights_, left.weights_[order], rtol=rtol)
    np.testing.assert_allclose(right.means_, left.means_[order], rtol=rtol, atol=rtol)
    tied = left.covariances_.ndim == 2 and left.covariance_type == "tied"
    expected = left.covariances_ if tied else left.covariances_[order]
    np.testing.assert_allclose(right.covariances_, expected, rtol=rtol, atol=rtol)


# Weights are repetitions


@every_method
@every_structure
def test_a_sample_weight_of_two_is_the_row_twice(method, covariance):
    given = problem()
    weighted = Problem(given.rows, given.start, given.scale, np.full(N, 2.0))
    twice = Problem(np.repeat(given.rows, 2, 0), np.repeat(given.start, 2, 0), given.scale)
    left = weighted.fitted(method, covariance, **FEW)
    assert_same_fit(left, twice.fitted(method, covariance, **FEW), rtol=1e-10)
    assert left.result_.total_weight == 2 * N


@every_method
@every_structure
def test_sample_weights_of_zero_to_three_are_rows_that_many_times(method, covariance):
    given, counts = problem(), np.arange(N) % 4
    weighted = Problem(given.rows, given.start, given.scale, counts.astype(float))
    copied = Problem(
        np.repeat(given.rows, counts, 0), np.repeat(given.start, counts, 0), given.scale
    )
    left = weighted.fitted(method, covariance, **FEW)
    right = copied.fitted(method, covariance, **FEW)
    assert_same_fit(left, right, rtol=1e-9)
    for criterion in ("bic", "aic", "aicc", "icl"):
        assert getattr(left, criterion)() == pytest.approx(getattr(right, criterion)(), rel=1e-9)


# Order


@every_method
@every_structure
def test_the_order_of_rows_changes_rounding_only(method, covariance):
    given, order = problem(), generator(1).permutation(N)
    shuffled = Problem(given.rows[order], given.start[order], given.scale)
    left, right = (p.fitted(method, covariance, **FEW) for p in (given, shuffled))
    assert_same_fit(left, right, rtol=1e-10)
    np.testing.assert_allclose(
        right.responsibilities(given.rows), left.responsibilities(given.rows), atol=1e-10
    )


@every_method
@every_structure
def test_the_order_of_columns_changes_rounding_only(method, covariance):
    given, order = problem(), np.array([2, 0, 1])
    turned = Problem(given.rows[:, order], given.start, given.scale)
    left, right = (p.fitted(method, covariance, **FEW) for p in (given, turned))
    assert total(right) == pytest.approx(total(left), rel=1e-10)
    np.testing.assert_allclose(right.weights_, left.weights_, rtol=1e-10)
    np.testing.assert_allclose(right.means_, left.means_[:, order], rtol=1e-9, atol=1e-10)
    expected = left.covariances_
    if covariance == "diag":
        expected = expected[:, order]
    elif covariance in ("full", "tied"):
        expected = expected[..., order, :][..., order]
    np.testing.assert_allclose(right.covariances_, expected, rtol=1e-9, atol=1e-10)


def test_starts_on_ratings_do_not_depend_on_the_order_of_columns():
    """Rows that swap two answers have equal norms, and many are equally far from two centres."""
    answers = np.clip(np.round(generator(3).normal(3.0, 1.2, (60, 3))), 1, 5)
    starts = []
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        model = bm.Mixture(3, family="categorical", search="short", random_state=0)
        records = model.fit(answers[:, order]).result_.search_trace
        # The first is the partition of a tree, whose cells depend on the order.
        started = [record.objective for record in records if record.stage == "start"]
        starts.append(started[1:])
    np.testing.assert_allclose(starts, np.tile(starts[0], (3, 1)), rtol=1e-9)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "vb sticks"])
@every_structure
def test_the_order_of_components_changes_rounding_only(method, covariance):
    """Sticks excepted: there the order is part of the model."""
    given, order = problem(), np.array([1, 2, 0])
    renamed = Problem(given.rows, given.start[:, order], given.scale)
    left, right = (p.fitted(method, covariance, **FEW) for p in (given, renamed))
    assert_same_fit(left, right, rtol=1e-10, order=order)


# Units


def in_units(given, factor):
    """The same problem in other units; factor (D,)."""
    return Problem(given.rows * factor, given.start, given.scale * factor)


def assert_rescaled(left, right, factor, rtol):
    """``right`` is ``left`` in units multiplied by ``factor``; rtol 0 is to the bit."""

    def same(actual, expected):
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=0.0)

    same(right.weights_, left.weights_)
    outer = np.outer(factor, factor)
    squared = {"full": outer, "tied": outer, "diag": factor**2, "spherical": factor[0] ** 2}
    scale = squared[left.covariance_type]
    # Entries that are nearly nothing beside their rows and columns are compared on those' scale.
    atol = rtol * np.abs(left.covariances_).max() * 10.0
    np.testing.assert_allclose(right.covariances_ / scale, left.covariances_, rtol=rtol, atol=atol)
    atol = rtol * np.abs(left.means_).max() * 10.0
    np.testing.assert_allclose(right.means_ / factor, left.means_, rtol=rtol, atol=atol)
    assert right.n_iter_ == left.n_iter_


def volume_shift(model, factor):
    """By how much the units move the log of a density over rows, and of MAP's over parameters."""
    rows = -N * np.log(factor).sum()
    if model.result_.inference.name != "maximum_a_posteriori":
        return rows
    n_means = K * np.log(factor).sum()
    return rows - n_means - 2.0 * covariance_volume(model, factor)


def covariance_volume(model, factor):
    """log of the Jacobian of the free covariance entries, over two."""
    blocks = 1 if model.covariance_type == "tied" else K
    if model.covariance_type in ("full", "tied"):
        return blocks * (D + 1) / 2.0 * np.log(factor).sum()
    if model.covariance_type == "diag":
        return blocks * np.log(factor).sum()
    return blocks * np.log(factor[0])


@every_method
@every_structure
@pytest.mark.parametrize("fixed_prior", [False, True])
@pytest.mark.parametrize("accelerated", [False, True])
def test_columns_scaled_by_powers_of_two_change_no_bit(
    method, covariance, fixed_prior, accelerated
):
    exponents = np.array([20, -31, 3]) if covariance != "spherical" else np.array([9, 9, 9])
    factor = np.exp2(exponents)
    given = problem()
    options = {"max_iter": 3000} if accelerated else FEW
    left = given.fitted(method, covariance, fixed_prior, **options)
    right = in_units(given, factor).fitted(method, covariance, fixed_prior, **options)
    assert_rescaled(left, right, factor, rtol=0.0)
    np.testing.assert_array_equal(
        right.responsibilities(given.rows * factor), left.responsibilities(given.rows)
    )
    np.testing.assert_array_equal(
        right.predict_proba(given.rows * factor), left.predict_proba(given.rows)
    )
    shift = volume_shift(left, factor)
    assert total(right) == pytest.approx(total(left) + shift, rel=1e-12)
    np.testing.assert_allclose(
        right.score_samples(given.rows * factor),
        left.score_samples(given.rows) - np.log(factor).sum(),
        atol=1e-12,
    )


@every_method
@every_structure
@pytest.mark.parametrize("fixed_prior", [False, True])
def test_columns_scaled_by_any_factor_change_rounding_only(method, covariance, fixed_prior):
    factor = np.array([1e8, 1e-8, 1.0])
    if covariance == "spherical":
        factor = np.full(3, 1e-8)
    given = problem()
    left = given.fitted(method, covariance, fixed_prior, **FEW)
    right = in_units(given, factor).fitted(method, covariance, fixed_prior, **FEW)
    assert_rescaled(left, right, factor, rtol=1e-9)
    shift = volume_shift(left, factor)
    assert total(right) == pytest.approx(total(left) + shift, rel=1e-9)


# Distance from the origin


@every_method
@every_structure
def test_far_from_the_origin_the_fit_is_that_of_the_rows_as_stored(method, covariance):
    """Y = X + 1e8 standard deviations as stored, against Y minus the shift (exact) and X."""
    given = problem()
    shift = 1e8 * given.rows.std(axis=0)
    stored = given.rows + shift
    far = Problem(stored, given.start, given.scale).fitted(method, covariance, **FEW)
    back = Problem(stored - shift, given.start, given.scale).fitted(method, covariance, **FEW)
    near = given.fitted(method, covariance, **FEW)
    for other, rtol in ((back, 1e-10), (near, 1e-6)):
        assert total(far) == pytest.approx(total(other), rel=rtol)
        np.testing.assert_allclose(far.weights_, other.weights_, rtol=rtol)
        np.testing.assert_allclose(far.covariances_, other.covariances_, rtol=rtol, atol=10 * rtol)
        # A mean near 1e8 is stored to 1e-8.
        np.testing.assert_allclose(far.means_ - shift, other.means_, atol=max(1e-6, 10 * rtol))
        np.testing.assert_allclose(
            far.responsibilities(stored), other.responsibilities(stored - shift), atol=100 * rtol
        )


@every_method
@every_structure
def test_one_column_far_from_the_origin_does_not_matter_either(method, covariance):
    given = problem()
    shift = np.array([0.0, -1e8, 1e3])
    stored = given.rows + shift
    far = Problem(stored, given.start, given.scale).fitted(method, covariance, **FEW)
    back = Problem(stored - shift, given.start, given.scale).fitted(method, covariance, **FEW)
    assert total(far) == pytest.approx(total(back), rel=1e-10)
    np.testing.assert_allclose(far.covariances_, back.covariances_, rtol=1e-10, atol=1e-9)


# From the default start


def faithful():
    return np.asarray(bm.datasets.load_faithful(), dtype=float)


def iris():
    return np.asarray(bm.datasets.load_iris().iloc[:, :4], dtype=float)


DATA = {"faithful": faithful, "iris": iris}
every_data_set = pytest.mark.parametrize("data", DATA)


def from_default(rows, method, covariance, weights=None):
    options = METHODS[method] | {"random_state": 0, "max_iter": 3000, "n_jobs": 1}
    estimator = bm.BayesianGaussianMixture if method.startswith("vb") else bm.GaussianMixture
    return estimator(3, covariance_type=covariance, **options).fit(rows, sample_weight=weights)


@pytest.mark.slow
@every_data_set
@pytest.mark.parametrize("method", ["ml", "map", "vb sticks"])
@every_structure
def test_from_the_default_start_the_answer_is_the_same(data, method, covariance):
    """Weights as rows, order, units, origin: same K, labels, and log likelihood within 1e-6 a row.

    Labels are compared where they are not a matter of 1e-6: no row may be that near to a tie.
    """
    rows = DATA[data]()
    n, n_features = rows.shape
    base = from_default(rows, method, covariance)
    labels, rng = base.predict(rows), generator(2)
    order = rng.permutation(n)
    columns = rng.permutation(n_features)
    factor = np.full(n_features, 1e5)
    if covariance != "spherical":
        factor = 10.0 ** rng.integers(-6, 7, n_features)
    shift = 1e8 * rows.std(axis=0)
    stored = rows + shift
    variants = {
        "rows in another order": (rows[order], order, 0.0),
        "columns in another order": (rows[:, columns], slice(None), 0.0),
        "other units": (rows * factor, slice(None), -np.log(factor).sum()),
        "far from the origin": (stored, slice(None), 0.0),
    }
    for name, (values, kept, offset) in variants.items():
        model = from_default(values, method, covariance)
        assert model.n_components_ == base.n_components_, name
        # As stored near 1e8 the rows themselves are other rows, by 1e-8 of their spread.
        gap = (model.log_likelihood_ - base.log_likelihood_) / n - offset
        assert abs(gap) < 1e-6, name
        np.testing.assert_array_equal(model.predict(values), labels[kept], err_msg=name)
    twice = from_default(np.repeat(rows, 2, 0), method, covariance)
    weighted = from_default(rows, method, covariance, np.full(n, 2.0))
    assert twice.n_components_ == weighted.n_components_
    assert abs(twice.log_likelihood_ - weighted.log_likelihood_) / (2 * n) < 1e-6
    np.testing.assert_array_equal(twice.predict(rows), weighted.predict(rows))


@pytest.mark.slow
@every_data_set
@every_structure
def test_the_default_start_scaled_by_powers_of_two_changes_no_bit(data, covariance):
    rows = DATA[data]()
    exponents = generator(4).integers(-40, 40, rows.shape[1])
    factor = np.exp2(exponents if covariance != "spherical" else np.full(rows.shape[1], 17))
    left = from_default(rows, "ml", covariance)
    right = from_default(rows * factor, "ml", covariance)
    np.testing.assert_array_equal(right.weights_, left.weights_)
    np.testing.assert_array_equal(right.means_ / factor, left.means_)
    np.testing.assert_array_equal(right.predict_proba(rows * factor), left.predict_proba(rows))


def test_plain_options_are_those_of_a_textbook():
    assert PLAIN["search"] is None
    assert PLAIN["acceleration"] is None
