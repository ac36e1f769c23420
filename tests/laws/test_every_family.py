"""What every family of the registry can do: files, missing values, refits, products and chains.

Families and samples are those of ``families.py``; ``test_parameters.py`` has the laws of errors.
"""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

import bayesmix as bm
from bayesmix.core.parameters import NO_COLUMN, POSITIVE, REAL, SHARE, Reported, declared
from bayesmix.posterior.parameter_errors import bounded_intervals, scores_of
from laws.families import EVERY_FAMILY

FAST = {"n_init": 1, "search": "short", "random_state": 0, "n_jobs": 1}
every_family = pytest.mark.parametrize("name", EVERY_FAMILY)


def fitted(model, rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(rows, **options)


def mixture(family, **options):
    return bm.Mixture(2, family=family, inference=bm.MaximumLikelihood(), **FAST | options)


@every_family
def test_a_loaded_model_has_the_same_densities_and_errors(name, tmp_path):
    rows = EVERY_FAMILY[name].rows()
    model = fitted(mixture(EVERY_FAMILY[name].family), rows)
    model.save(tmp_path / "model.bayesmix")
    loaded = bm.load(tmp_path / "model.bayesmix")
    np.testing.assert_array_equal(loaded.score_samples(rows), model.score_samples(rows))
    pd.testing.assert_frame_equal(loaded.parameter_table(rows), model.parameter_table(rows))


# Directions are missing as a whole, see test_von_mises_fisher.
TAKE_GAPS = [name for name, case in EVERY_FAMILY.items() if case.family.takes_gaps]
TAKE_GAPS.remove("von_mises_fisher")


@pytest.mark.parametrize("name", TAKE_GAPS)
def test_a_sample_with_missing_values_has_the_density_of_its_other_columns(name):
    rows = EVERY_FAMILY[name].rows()
    model = fitted(mixture(EVERY_FAMILY[name].family, missing="use"), rows)
    short = rows.copy()
    short[:, -1] = np.nan
    columns = np.arange(rows.shape[1] - 1)
    densities = model.result_.unframed.marginal(columns).expected_log_density(rows[:, columns])
    expected = logsumexp(densities + np.log(model.weights_), axis=1)
    np.testing.assert_allclose(model.score_samples(short), expected, rtol=1e-8)


# Products have several sets of parameters, and factors may rotate between refits.
WITH_REFITS = [name for name in EVERY_FAMILY if name not in ("product", "factor_analytic")]


@pytest.mark.parametrize("name", WITH_REFITS)
def test_refits_have_the_parameters_that_the_family_declares(name):
    rows = EVERY_FAMILY[name].rows()
    model = fitted(mixture(EVERY_FAMILY[name].family), rows)
    sample = bm.weighted_bootstrap(model, rows, n_draws=3, n_jobs=1).sample
    assert len(sample) == 3
    assert {len(values) for _, values in sample.items()} == {3}
    point = model.result_.unframed
    for own in declared(point):
        if own.label in sample.values:
            assert sample.values[own.label].shape[1:2] == (2,)


# Factor analysers are no parts of products, as ``components_`` shows parameters of draws.
PARTS = [name for name in EVERY_FAMILY if name not in ("product", "factor_analytic")]


@pytest.mark.parametrize("name", PARTS)
def test_a_product_has_the_parameters_of_its_parts(name):
    rows = EVERY_FAMILY[name].rows()
    D = rows.shape[1]
    wide = np.column_stack([rows, np.random.default_rng(5).normal(size=len(rows))])
    alone = EVERY_FAMILY[name].family
    if hasattr(alone, "levels"):
        alone = replace(alone, levels=[range(int(column.max()) + 1) for column in rows.T])
    family = bm.Product({tuple(range(D)): alone, D: bm.Gaussian("spherical")})
    model = fitted(mixture(family), wide)
    scores = scores_of(model, wide)
    assert scores.places[0] == model.result_.n_parameters
    assert np.isfinite(model.parameter_table(wide)["estimate"]).all()


@pytest.mark.slow
@every_family
def test_a_chain_has_errors_of_all_parameters_inside_their_domains(name):
    rows = EVERY_FAMILY[name].rows()
    chain = bm.HiddenMarkovModel(
        2, family=EVERY_FAMILY[name].family, inference=bm.MaximumLikelihood(), n_init=1
    )
    chain.set_params(search="short", random_state=0, n_jobs=1)
    table = fitted(chain, rows, lengths=[50] * 4).parameter_table(rows)
    table = table.sort_index().drop("start")
    shares = table.index.get_level_values(0).isin(["probability", "transition"])
    inside = ~shares | table["estimate"].between(1e-4, 1.0 - 1e-4).to_numpy()
    assert (table["standard_error"][inside] > 0.0).all()


# What no sample can have, by the meaning of the quantity.
NOT_BELOW_0 = {"variance", "rate", "concentration", "trait deviation", "dispersion"}
OF_AMOUNTS = {"gamma", "weibull", "log_normal", "exponential", "zero_or", "beta"}
FRACTIONS = {"share", "probability", "zero", "one"}


@every_family
def test_intervals_hold_no_value_that_the_quantity_cannot_have(name):
    rows = EVERY_FAMILY[name].rows()
    model = fitted(mixture(EVERY_FAMILY[name].family), rows)
    table = model.parameter_table(rows, level=0.9999).dropna()  # wide enough to reach beyond
    limits = table[["lower", "upper"]].groupby(level=0).agg({"lower": "min", "upper": "max"})
    for kind, (lower, upper) in limits.iterrows():
        if kind in NOT_BELOW_0 | FRACTIONS or (kind == "mean" and name in OF_AMOUNTS):
            assert lower >= 0.0, kind
        if kind in FRACTIONS or (kind == "mean" and name == "beta"):
            assert upper <= 1.0, kind
    assert (table["lower"] <= table["estimate"] + 1e-12).all()
    assert (table["upper"] >= table["estimate"] - 1e-12).all()


def test_the_interval_of_a_quantity_follows_its_domain_and_not_its_label():
    half = np.array([3.0])
    entry = Reported("half-life", NO_COLUMN, None, np.array([2.0]), POSITIVE)
    index = pd.MultiIndex.from_tuples([("half-life", 0, "", "all")])
    table = bounded_intervals(index, entry.values, half, 1.0, [entry.domain])
    # by the delta method on the logarithm: exp(log 2 ± 3 / 2)
    np.testing.assert_allclose(table[["lower", "upper"]], [[2 * np.exp(-1.5), 2 * np.exp(1.5)]])
    plain = bounded_intervals(index, entry.values, half, 1.0, [REAL])
    np.testing.assert_allclose(plain[["lower", "upper"]], [[-1.0, 5.0]])


def test_an_estimate_without_an_error_has_no_interval():
    index = pd.MultiIndex.from_tuples([("a", 0, "", "all"), ("b", 0, "", "all")])
    table = bounded_intervals(
        index, np.array([0.3, 2.0]), np.array([np.nan, np.nan]), 1.0, [SHARE, POSITIVE]
    )
    assert table[["lower", "upper"]].isna().all(axis=None)
