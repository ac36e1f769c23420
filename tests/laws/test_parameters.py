"""Declared parameters: their number is that of the criteria, and errors are those of the Hessian.

The laws run over the registry, all covariance structures and numbers of factors. A family of
somebody else that breaks the law has no errors by derivatives, and says why.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

import bayesmix as bm
from bayesmix.errors import BayesmixWarning
from bayesmix.families.gaussian.covariance.models import STRUCTURES
from bayesmix.families.registry import FAMILIES
from bayesmix.posterior.parameter_errors import scores_of
from laws.families import EVERY_FAMILY, FamilyCase, factors, heavy, levels, normal, positive
from laws.skew_normal import SkewNormal

FAST = {"n_init": 1, "search": "short", "random_state": 0, "n_jobs": 1}
OTHERS = {
    **{name: FamilyCase(bm.Gaussian(name), normal) for name in STRUCTURES if name != "full"},
    "student, shared": FamilyCase(bm.StudentT("tied", degrees_of_freedom="shared"), heavy),
    "student, given": FamilyCase(bm.StudentT("diag", degrees_of_freedom=5.0), heavy),
    "ordinal of degree 1": FamilyCase(bm.Ordinal(degree=1), levels),
    "log-normal, spherical": FamilyCase(bm.LogNormal("spherical"), positive),
    "factors, 1": FamilyCase(bm.FactorAnalytic(1), factors),
    "factors, 3": FamilyCase(bm.FactorAnalytic(3), factors),
    "factors, shared": FamilyCase(bm.FactorAnalytic(2, "CUU"), factors),
    "factors, equal noise": FamilyCase(bm.FactorAnalytic(2, "UUC"), factors),
}
CASES = EVERY_FAMILY | OTHERS


def fitted(case, rows, **options):
    model = bm.Mixture(2, family=case.family, inference=bm.MaximumLikelihood(), **FAST | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(rows)


def test_every_family_of_the_registry_has_a_case():
    # Directions of a common subspace are estimated too, so that it has no errors by derivatives.
    assert set(EVERY_FAMILY) == set(FAMILIES) - {"common_subspace"}


@pytest.mark.parametrize("name", CASES)
def test_coordinates_are_as_many_as_parameters_and_all_change_the_density(name):
    rows = CASES[name].rows()
    model = fitted(CASES[name], rows)
    scores = scores_of(model, rows)
    assert scores.places[0] == model.result_.n_parameters
    more = CASES[name].rows(1_000, seed=1)
    derivatives = scores_of(fitted(CASES[name], more, max_iter=2), more).scores
    sizes = np.linalg.norm(derivatives, axis=0)
    assert np.linalg.svd(derivatives / sizes, compute_uv=False)[-1] > 1e-5


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "VEV"])
def test_a_constant_column_has_no_parameters_and_no_errors(covariance):
    case = FamilyCase(bm.Gaussian(covariance), factors)
    rows = case.rows(150)[:, :3]
    wide = np.insert(rows, 2, 7.0, axis=1)
    model = fitted(case, wide)
    assert scores_of(model, wide).places[0] == model.result_.n_parameters
    plain, table = fitted(case, rows).parameter_table(rows), model.parameter_table(wide)
    assert table["standard_error"].unstack("column")[2].loc[["mean", "variance"]].isna().all()
    others = table.drop(2, level="column")["standard_error"]
    np.testing.assert_allclose(others, plain["standard_error"], rtol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_the_information_is_minus_the_curvature_of_score_samples(name):
    rows = CASES[name].rows()
    # Factor analysers approach their optimum slowly, and only there are the two equal.
    precise = {"tol": 1e-9, "max_iter": 20_000} if name == "factors, 1" else {}
    model = fitted(CASES[name], rows, **precise)
    scores, result = scores_of(model, rows), model.result_

    def total(steps):
        model.result_ = replace(result, mixture=scores.moved(steps))
        return model.score_samples(rows).sum()

    scale = np.where(scores.inside, 1.0 / np.sqrt(np.abs(scores.information.diagonal())), 0.0)
    for direction in np.random.default_rng(0).normal(size=(8, len(scale))) * scale:
        step = 0.01 * direction / np.sqrt(len(scale))
        there = [total(length * step) for length in (-2.0, -1.0, 0.0, 1.0, 2.0)]
        curvature = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) @ there / 12.0  # of fourth order
        assert -curvature == pytest.approx(step @ scores.information @ step, rel=1e-3)


class OneMoreParameter(bm.Poisson):
    """A family that counts a parameter that its components do not declare."""

    def n_parameters(self, n_components, n_features):
        return super().n_parameters(n_components, n_features) + 1


def test_undeclared_parameters_give_no_errors_but_the_reason_and_the_remedy():
    case = EVERY_FAMILY["poisson"]
    rows = case.rows()
    model = fitted(replace(case, family=OneMoreParameter()), rows)
    assert np.isfinite([model.bic(rows), model.icl(rows)]).all()
    with pytest.warns(BayesmixWarning, match="counts 5 .* declare 4 .*bootstrap"):
        table = model.parameter_table(rows)
    assert table["standard_error"].isna().all()
    drawn = model.parameter_table(rows, "bootstrap", n_draws=20)["standard_error"]
    assert (drawn > 0.0).all()


def skewed(n, seed):
    """Two groups of skew-normal columns, with shape parameters of 4 and -3 (SciPy's)."""
    group = np.random.default_rng(seed).random(n) < 0.4
    columns = [
        stats.skewnorm.rvs(4.0, 8.0 * group, 1.0, n, random_state=seed + 1),
        stats.skewnorm.rvs(-3.0, -6.0 * group, 2.0, n, random_state=seed + 2),
    ]
    return np.column_stack(columns)


def test_a_family_of_somebody_else_has_the_density_and_errors_of_its_parameters():
    rows = skewed(600, 0)
    model = fitted(FamilyCase(SkewNormal(), None), rows)
    point = model.result_.unframed
    shape, scale = (
        point.slopes / np.sqrt(point.variances),
        np.hypot(point.slopes, point.variances**0.5),
    )
    joint = stats.skewnorm.logpdf(rows[:, None], shape, point.locations, scale).sum(axis=2)
    expected = special.logsumexp(joint + np.log(model.weights_), axis=1)
    np.testing.assert_allclose(model.score_samples(rows), expected, rtol=1e-10)
    table = model.parameter_table(rows)
    assert (table["standard_error"] > 0.0).all()
    refits = bm.weighted_bootstrap(model, rows, n_draws=20, n_jobs=1)
    assert refits.sample.slopes.shape == (20, 2, 2)
    assert refits.standard_deviations.variances.shape == (2, 2)


@pytest.mark.slow
def test_errors_of_a_family_of_somebody_else_are_those_of_its_bootstrap():
    rows = skewed(800, 10)
    model = fitted(FamilyCase(SkewNormal(), None), rows)
    found, drawn = (
        model.parameter_table(rows, kind, **options)["standard_error"]
        for kind, options in (("sandwich", {}), ("bootstrap", {"n_draws": 250}))
    )
    # A standard deviation of 250 draws has a relative error of 1 / √500.
    np.testing.assert_allclose(found, drawn, rtol=4.0 / np.sqrt(500.0))


def test_a_family_of_somebody_else_has_errors_in_products_and_chains():
    rows = skewed(240, 20)
    family = bm.Product({0: SkewNormal(), 1: bm.Gaussian("spherical")})
    model = fitted(FamilyCase(family, None), rows)
    assert scores_of(model, rows).places[0] == model.result_.n_parameters
    assert (model.parameter_table(rows)["standard_error"] > 0.0).all()
    chain = bm.HiddenMarkovModel(
        2, family=SkewNormal(), inference=bm.MaximumLikelihood(), n_init=1, random_state=0
    ).fit(rows, lengths=[60] * 4)
    errors = chain.parameter_table(rows)["standard_error"]
    assert (errors.drop("start") > 0.0).all()
