"""Rows at predict time: values that no fit takes are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GENERATOR = np.random.default_rng(0)
ROWS = {
    "bernoulli": GENERATOR.integers(0, 2, (60, 3)).astype(float),
    "poisson": GENERATOR.poisson(4.0, (60, 3)).astype(float),
}
FAMILIES = {"bernoulli": bm.Bernoulli(), "poisson": bm.Poisson()}
WRONG = {"bernoulli": [2.0, -1.0, 0.5, 1e308], "poisson": [-1.0, 0.5, 1e300, 1.7e308]}
METHODS = ("predict", "predict_proba", "responsibilities", "score_samples", "score", "bic")


def fitted(name: str) -> Any:
    model = bm.Mixture(2, family=FAMILIES[name], inference=bm.VariationalBayes(), random_state=0)
    return model.fit(ROWS[name])


@pytest.mark.parametrize("name", FAMILIES)
def test_values_that_no_fit_takes_are_refused_by_row_and_column_at_predict_time(name: str) -> None:
    model = fitted(name)
    asked: list[Callable[[Any], Any]] = [getattr(model, method) for method in METHODS]
    asked += [model.marginal([0, 1, 2]).score_samples, model.tail_probability]
    for value in WRONG[name]:
        rows = ROWS[name].copy()
        rows[7, 1] = value
        for ask in asked:
            with pytest.raises(InvalidInputError, match=r"X must hold .* row 7, column 1"):
                ask(rows)


@pytest.mark.parametrize("name", FAMILIES)
def test_searches_and_averages_refuse_the_same_values(name: str) -> None:
    estimator = bm.Mixture(family=FAMILIES[name], inference=bm.VariationalBayes(), random_state=0)
    found = bm.MixtureSearch(
        estimator, n_components=(1, 2), criterion="elbo_log_k", random_state=0
    ).fit(ROWS[name])
    rows = ROWS[name].copy()
    rows[7, 1] = WRONG[name][0]
    for ask in (found.predict, found.score_samples, found.averaged_.score_samples):
        with pytest.raises(InvalidInputError, match=r"X must hold .* row 7, column 1"):
            ask(rows)


STRUCTURES = ("full", "tied", "diag", "spherical")
CLUSTERS = np.concatenate(
    [GENERATOR.normal(0.0, 1.0, (60, 3)), GENERATOR.normal(6.0, 3.0, (60, 3))]
)
# Some of which overflow when squared, some when divided by the scale of a column.
FAR = (1e100, -1e140, 1e154, 1e156, 1e200, -1e300, 1.7e308)


def far_rows(n_far_columns: int) -> np.ndarray:
    rows = np.tile(CLUSTERS[:1], (len(FAR), 1))
    rows[:, :n_far_columns] = np.array(FAR)[:, None]
    return rows


@pytest.mark.parametrize("n_far_columns", [1, 3])
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("kind", [bm.GaussianMixture, bm.BayesianGaussianMixture])
def test_a_far_row_fails_no_batch(kind: Any, structure: str, n_far_columns: int) -> None:
    model = kind(2, covariance_type=structure, random_state=0).fit(CLUSTERS)
    rows = np.concatenate([CLUSTERS[:3], far_rows(n_far_columns)])
    for shares in (model.predict_proba(rows), model.responsibilities(rows)):
        assert shares.sum(axis=1) == pytest.approx(1.0)
    scores = model.score_samples(rows)
    assert scores[:3] == pytest.approx(model.score_samples(CLUSTERS[:3]), rel=1e-12)
    if kind is bm.BayesianGaussianMixture:
        assert np.isfinite(scores).all()
    else:
        assert np.isfinite(scores[3])
        assert (scores[5:] < -1e280).all()
        spreads = [np.trace(each) for each in model.result_.plug_in.components.covariances]
        if structure != "tied":
            assert (model.predict(rows)[3:] == int(np.argmax(spreads))).all()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_far_out_a_student_density_falls_by_a_power_of_the_distance(structure: str) -> None:
    model = bm.BayesianGaussianMixture(1, covariance_type=structure, random_state=0).fit(CLUSTERS)
    students = model.result_.density.components
    power = float((students.degrees_of_freedom + students.joint_columns).sum())
    scores = model.score_samples(np.array([[1e60], [1e100], [1e140]]) * np.ones(3))
    decades = np.array([40.0, 40.0])
    assert np.diff(scores) == pytest.approx(-power * np.log(10.0) * decades, rel=1e-12)


def test_densities_fall_beyond_squares_that_are_doubles_as_powers_do() -> None:
    model = bm.BayesianGaussianMixture(2, random_state=0).fit(CLUSTERS)
    rows = np.array([[1e20], [1e140], [1e240]]) * np.ones(3)
    near, far, farther = model.score_samples(rows)
    assert (near - far) / 120.0 == pytest.approx((far - farther) / 100.0, rel=1e-9)


def test_marginal_densities_of_far_rows_are_finite_under_students() -> None:
    model = bm.BayesianGaussianMixture(2, random_state=0).fit(CLUSTERS)
    assert np.isfinite(model.marginal([0, 2]).score_samples(far_rows(3)[:, [0, 2]])).all()
