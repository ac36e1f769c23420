"""The answer of ``select`` in other units: equal bits for powers of 2, equal labels for others.

Groups are drawn far apart, so that what they are does not depend on a threshold.
"""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.families.monotone import Logarithms
from bayesmix.selection.clusters import LARGE_SHARE, too_small


def groups(seed, n=90, n_groups=2):
    """Normal groups (n, 1), 8 standard deviations apart, and the group of each sample."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % n_groups
    return rng.normal(8.0 * group, 1.0)[:, None], group


def table(seed):
    """A frame of a normal, a log-normal and a text column, whose groups are the same."""
    x, group = groups(seed)
    rng = np.random.default_rng([seed, 1])  # not the draws of x again
    waiting = np.exp(0.5 * (rng.normal(size=90) + 6.0 * group))
    colour = np.where(rng.random(90) < 0.2 + 0.6 * group, "red", "blue")
    return pd.DataFrame({"length": x[:, 0], "waiting": waiting, "colour": colour})


def reported(search, X):
    """What is reported per unit, of data without units."""
    model = search.best_estimator_
    probabilities = [*search.cluster_probabilities_.items()]
    return search.best_params_, probabilities, model.predict_proba(X), search.predict_clusters(X)


LEARNED = {
    "powers": bm.YeoJohnson.of,
    "logarithms": lambda rows: Logarithms.of_columns(rows, np.array([True, False])),
}


@pytest.mark.parametrize("learned", LEARNED.values(), ids=LEARNED)
@pytest.mark.parametrize("inference", [None, bm.VariationalBayes()], ids=["ml", "vb"])
def test_powers_of_two_change_no_bit_of_transformed_columns(learned, inference):
    near = np.exp(0.7 * np.random.default_rng(7).normal(size=(90, 2)) + [[0.0, 4.0]])
    factors = 2.0 ** np.array([-17, 9])
    models = []
    for rows in (near, near * factors):
        family = bm.Transformed(bm.Gaussian("full"), learned(rows))
        start = np.where(near[:, :1] > 1.0, [0.9, 0.1], [0.2, 0.8])
        model = bm.Mixture(2, family=family, inference=inference, init_params=start, n_init=1)
        models.append(model.set_params(search=None, max_iter=400).fit(rows))
    one, other = models
    np.testing.assert_array_equal(one.predict_proba(near), other.predict_proba(near * factors))
    np.testing.assert_array_equal(one.weights_, other.weights_)
    np.testing.assert_array_equal(one.means_, other.means_ / factors)
    for name in ("transformed_means_", "transformed_covariances_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    shift = len(near) * np.log(factors).sum()
    assert other.result_.objective + shift == pytest.approx(one.result_.objective, rel=1e-13)
    densities = other.score_samples(near * factors) + np.log(factors).sum()
    np.testing.assert_allclose(densities, one.score_samples(near), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["length", "waiting"])
@pytest.mark.parametrize("power", [-17, 9])
def test_powers_of_two_change_no_bit(column, power):
    near = table(1)
    far = near.assign(**{column: near[column] * 2.0**power})
    one, other = (bm.select(frame, (1, 2, 3), random_state=0) for frame in (near, far))
    for before, after in zip(reported(one, near), reported(other, far), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["length", "waiting"])
@pytest.mark.parametrize("power", [-6, 3])
def test_powers_of_ten_change_no_label(column, power):
    near = table(2)
    far = near.assign(**{column: near[column] * 10.0**power})
    one, other = (bm.select(frame, (1, 2, 3), random_state=0) for frame in (near, far))
    assert one.n_clusters_ == other.n_clusters_ == 2
    np.testing.assert_array_equal(one.predict_clusters(near), other.predict_clusters(far))


@pytest.mark.slow
@pytest.mark.parametrize("family", [None, bm.LogNormal(), bm.Gamma()], ids=repr)
@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e6])
def test_groups_of_amounts_are_clusters_in_every_unit(family, factor):
    """Log-normal groups, of which the lower one has a thousandth of the spread of both."""
    logs, group = groups(3)
    x = factor * np.exp(logs)
    search = bm.select(x, (1, 2, 3), family=family, random_state=0)
    assert search.n_clusters_ == 2
    labels = search.predict_clusters(x)
    assert len(set(zip(labels.tolist(), group.tolist(), strict=True))) == 2
    assert labels.min() == 0


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.0, 0.01, 1000.0])
def test_a_narrow_group_is_a_cluster_beside_a_wide_one(factor):
    rng = np.random.default_rng(4)
    x = factor * np.concatenate([rng.normal(0.0, 1e-3, 200), rng.normal(0.0, 0.3, 200)])[:, None]
    search = bm.select(x, (1, 2, 3), random_state=0)
    assert search.n_clusters_ == 2
    assert search.predict_clusters(x).min() == 0


@pytest.mark.parametrize("factor", [1.0, 0.01])
@pytest.mark.parametrize("share", [0.02, 0.25])
@pytest.mark.filterwarnings("ignore::bayesmix.errors.DegenerateComponentWarning")
def test_equal_values_are_outliers_only_where_they_are_few(factor, share):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(600, 1))
    values[: int(600 * share)] = 9.0
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    model = bm.Mixture(2, inference=inference, prune=False, random_state=0).fit(factor * values)
    small = too_small(model.result_)
    np.testing.assert_array_equal(small, [False, share < LARGE_SHARE])


@pytest.mark.slow
@pytest.mark.parametrize("family", [bm.Gaussian(), bm.StudentT()], ids=repr)
def test_a_shift_by_a_hundred_deviations_changes_no_label(family):
    x, _ = groups(6)
    far = x + 100.0 * x.std()
    one, other = (bm.select(rows, (1, 2, 3), family=family, random_state=0) for rows in (x, far))
    assert one.n_clusters_ == other.n_clusters_ == 2
    np.testing.assert_array_equal(one.predict_clusters(x), other.predict_clusters(far))
