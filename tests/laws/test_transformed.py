"""Transformed columns are normal columns of g(x), with the Jacobian: in every number."""

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.errors import DegenerateComponentWarning, InvalidInputError
from bayesmix.families.gaussian.covariance.models import STRUCTURES
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.monotone import LOG
from bayesmix.families.registry import BY_NAME, FAMILIES
from bayesmix.families.transformed import TransformedComponents
from bayesmix.sources.memory import ArraySource
from laws.cases import TRANSFORMED_CASES, generator, identity, soft_assignments
from laws.test_pymc_model import Case

INFERENCES = {
    "ml": bm.MaximumLikelihood(),
    "map": bm.MaximumAPosteriori(),
    "vb": bm.VariationalBayes(),
    "sticks": bm.VariationalBayes(weights=bm.StickBreakingPrior(1.0)),
}


def skewed(seed, n=150):
    """Two groups of rows with long tails, and their logarithms."""
    rng = generator(seed)
    rows = np.vstack(
        [rng.lognormal([0.0, 3.0], 0.5, (n, 2)), rng.lognormal([2.0, 1.0], [0.3, 0.8], (n, 2))]
    )
    return rows, np.log(rows)


def both(seed, inference, **options):
    """The same fit to rows and to their logarithms."""
    rows, logs = skewed(seed)
    options = {"random_state": 0, "max_iter": 2000, "n_jobs": 1} | options
    K = options.pop("n_components", 2)
    own = bm.Mixture(K, family=bm.LogNormal(), inference=inference, **options).fit(rows)
    normal = bm.Mixture(K, family=bm.Gaussian("diag"), inference=inference, **options).fit(logs)
    return own, normal, rows, logs


def test_the_density_is_scipys_in_both_forms_and_statistics_are_those_of_logarithms():
    rng = generator(1)
    rows, shares = rng.lognormal(1.0, 2.0, (40, 3)), soft_assignments(rng, 40, 2)
    means, variances = rng.normal(size=(2, 3)), rng.uniform(0.1, 2.0, (2, 3))
    point = TransformedComponents(LOG, Gaussians(STRUCTURES["diag"], means, variances))
    logs = stats.lognorm.logpdf(rows[:, None], np.sqrt(variances), scale=np.exp(means))
    expected = logs.sum(axis=2)
    np.testing.assert_allclose(point.expected_log_density(rows), expected, rtol=1e-12)
    linear = (point.linear.coefficients @ point.linear.features(rows)).T
    np.testing.assert_allclose(linear, expected, rtol=1e-10)
    np.testing.assert_allclose(
        point.means, stats.lognorm.mean(np.sqrt(variances), scale=np.exp(means)), rtol=1e-12
    )
    np.testing.assert_allclose(
        point.deviations, stats.lognorm.std(np.sqrt(variances), scale=np.exp(means)), rtol=1e-12
    )
    assert (point.expected_log_density(-rows) == -np.inf).all()
    direct = point.statistics(rows, shares)
    summed = point.linear.from_sums((point.linear.features(rows) @ shares).T)
    np.testing.assert_allclose(direct.means, shares.T @ np.log(rows) / direct.counts[:, None])
    np.testing.assert_allclose(summed.scatter, direct.scatter, rtol=1e-9)


@pytest.mark.parametrize("name", INFERENCES)
def test_every_number_is_that_of_normals_over_logarithms(name):
    own, normal, rows, logs = both(2, INFERENCES[name])
    jacobian = -logs.sum(axis=1)
    assert own.result_.objective == pytest.approx(
        normal.result_.objective + jacobian.sum(), abs=1e-6
    )
    assert own.log_likelihood_ == pytest.approx(normal.log_likelihood_ + jacobian.sum(), abs=1e-5)
    np.testing.assert_allclose(
        own.score_samples(rows), normal.score_samples(logs) + jacobian, atol=1e-4
    )
    np.testing.assert_allclose(own.predict_proba(rows), normal.predict_proba(logs), atol=1e-4)
    for criterion in ("bic", "icl", "aicc"):
        moved = getattr(normal, criterion)() - 2.0 * jacobian.sum()
        assert getattr(own, criterion)() == pytest.approx(moved, abs=1e-3)
    trace = own.objective_trace_
    assert np.diff(trace).min() >= -1e-12 * np.abs(trace).max()


@pytest.mark.slow
def test_the_bound_at_one_component_and_the_evidence_are_those_of_logarithms():
    prior = bm.LogNormalPrior([0.5, 1.5], 0.3, 3.5, [0.4, 0.6])
    given = bm.GaussianPrior([0.5, 1.5], 0.3, 3.5, [0.4, 0.6])
    rows, logs = skewed(3, n=15)
    jacobian = -logs.sum()
    for K in (1, 2):
        options = {"random_state": 0, "max_iter": 2000, "prune": False}
        own = bm.Mixture(
            K, family=bm.LogNormal(), inference=bm.VariationalBayes(prior=prior), **options
        ).fit(rows)
        normal = bm.Mixture(
            K, family=bm.Gaussian("diag"), inference=bm.VariationalBayes(prior=given), **options
        ).fit(logs)
        assert own.elbo_ == pytest.approx(normal.elbo_ + jacobian, abs=1e-7)
        exact = bm.log_evidence(own, rows, random_state=0).estimate
        if K == 1:  # the bound is the evidence
            assert own.elbo_ == pytest.approx(exact, abs=1e-7)
        beside = bm.log_evidence(normal, logs, random_state=0).estimate + jacobian
        assert exact == pytest.approx(beside, abs=1e-4)


def test_draws_bands_and_gibbs_are_those_of_logarithms():
    own, normal, rows, logs = both(6, bm.VariationalBayes(), prune=False)
    jacobian = -logs.sum(axis=1)
    low, high = np.log(own.density_interval(rows[:9], random_state=0)).T
    expected = np.log(normal.density_interval(logs[:9], random_state=0)) + jacobian[:9, None]
    np.testing.assert_allclose(np.column_stack([low, high]), expected, atol=1e-3)
    ours, theirs = (
        bm.gibbs(m, x, n_draws=20, chains=1, warmup=5, random_state=0)
        for m, x in ((own, rows), (normal, logs))
    )
    np.testing.assert_allclose(
        ours.parameters["log_means"], theirs.parameters["means"], rtol=1e-5, atol=1e-5
    )
    assert "log_means" in own.to_arviz(rows, n_draws=20).posterior
    drawn = own.sample_posterior(4000, random_state=0)
    assert drawn.log_variances.shape == (4000, 2, 2)


def test_in_other_units_the_bits_are_the_same():
    rows, _ = skewed(9)
    fits = [bm.Mixture(2, family=bm.LogNormal(), random_state=0).fit(x) for x in (rows, 8.0 * rows)]
    first, second = (fit.result_.mixture.components.normals for fit in fits)
    np.testing.assert_array_equal(second.means, first.means)
    np.testing.assert_array_equal(second.blocks, first.blocks)
    np.testing.assert_allclose(fits[1].means_, 8.0 * fits[0].means_, rtol=1e-14)
    np.testing.assert_array_equal(fits[1].predict_proba(8.0 * rows), fits[0].predict_proba(rows))


def test_columns_are_the_same_beside_others_and_in_files(tmp_path):
    rows, _ = skewed(10)
    beside = bm.Product({0: bm.LogNormal(), 1: bm.LogNormal()})
    options = {"random_state": 0, "max_iter": 2000, "search": None}
    alone = bm.Mixture(2, family=bm.LogNormal(), **options).fit(rows)
    parts = bm.Mixture(2, family=beside, **options).fit(rows)
    assert parts.log_likelihood_ == pytest.approx(alone.log_likelihood_, abs=1e-5)
    bound = bm.Mixture(2, family=beside, inference=bm.VariationalBayes(), **options).fit(rows)
    assert np.diff(bound.objective_trace_).min() > -1e-9
    point, predictive = (
        alone,
        bm.Mixture(2, family=bm.LogNormal(), inference=bm.VariationalBayes(), **options).fit(rows),
    )
    for model in (point, predictive):
        one = model.marginal([1])
        grid = np.exp(np.linspace(-12.0, 14.0, 40_001))
        density = np.exp(one.score_samples(grid[:, None]))
        assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=2e-4)
        assert model.conditional({0: 1.0}).sample(3, random_state=0)[0].min() > 0.0
    # A Student-t of the logarithm has no mean on the scale of the data.
    assert np.isinf(predictive.conditional_mean([[1.0]], [0])).all()
    assert np.isfinite(point.conditional_mean([[1.0]], [0])).all()
    for place, model in enumerate((point, predictive, parts, bound)):
        model.save(tmp_path / str(place))
        loaded = bm.load(tmp_path / str(place))
        np.testing.assert_array_equal(loaded.score_samples(rows), model.score_samples(rows))


def test_an_atom_is_held_alone_and_in_a_product():
    rows, _ = skewed(11, n=60)
    rows = np.vstack([rows, np.full((20, 2), 500.0)])
    labels = np.repeat([0, 1, 2], [60, 60, 20])
    for family in (bm.LogNormal(), bm.Product({(0, 1): bm.LogNormal()})):
        with pytest.warns(DegenerateComponentWarning, match="collapsed onto"):
            model = bm.Mixture(
                3, family=family, init_params=labels, search=None, random_state=0
            ).fit(rows)
        assert np.isfinite(model.log_likelihood_)


def test_what_has_no_logarithm_or_no_extent_is_refused():
    rows, _ = skewed(12)
    with pytest.raises(InvalidInputError, match="positive numbers for a log-normal mixture, got 0"):
        bm.Mixture(2, family=bm.LogNormal()).fit(np.vstack([rows, [[0.0, 1.0]]]))
    with pytest.raises(InvalidInputError, match="all values of column 1 are equal"):
        bm.Mixture(2, family=bm.LogNormal()).fit(np.column_stack([rows[:, 0], np.ones(300)]))
    with pytest.raises(InvalidInputError, match="prior"):
        bm.Mixture(
            2, family=bm.LogNormal(), inference=bm.VariationalBayes(prior=bm.BetaPrior(1, 1))
        ).fit(rows)


def test_it_competes_with_normals_in_one_table():
    rows, _ = skewed(13)
    search = bm.MixtureSearch(
        bm.Mixture(search="short", random_state=0),
        [1, 2, 3],
        param_grid={"family": [bm.Gaussian("diag"), bm.LogNormal()]},
        criterion="bic",
    ).fit(rows)
    assert search.best_params_ == {"family": bm.LogNormal(), "n_components": 2}


def test_over_every_transform_and_structure_a_fit_is_that_of_normals():
    for case in TRANSFORMED_CASES:
        rng = generator(31)
        rows = case.rows(rng, 120, 2)
        rows[::2] = case.shifted(rows[::2], 2.0)
        moved, jacobian = case.moved(rows)
        labels = np.arange(120) % 2
        for inference in (bm.MaximumLikelihood(), bm.VariationalBayes()):
            options = {"inference": inference, "init_params": labels, "search": None}
            options |= {"tol": 1e-9, "max_iter": 20_000, "prune": False, "random_state": 0}
            own = bm.Mixture(2, family=case.family, **options).fit(rows)
            normal = bm.Mixture(2, family=case.normal.family, **options).fit(moved)
            assert own.log_likelihood_ == pytest.approx(
                normal.log_likelihood_ + jacobian.sum(), abs=1e-4
            )
            if inference.name == "variational_bayes":
                assert own.elbo_ == pytest.approx(normal.elbo_ + jacobian.sum(), abs=1e-4)
            np.testing.assert_allclose(
                own.score_samples(rows), normal.score_samples(moved) + jacobian, atol=1e-3
            )
            assert own.result_.n_parameters == normal.result_.n_parameters
            np.testing.assert_array_equal(own.predict(rows), normal.predict(moved))


def test_the_jacobian_is_exact_at_a_point():
    for case in TRANSFORMED_CASES:
        rng = generator(32)
        point, rows = case.point(rng, 3, 2), case.rows(rng, 50, 2)
        moved, jacobian = case.function.apply(rows), case.moved(rows)[1]
        expected = point.normals.expected_log_density(moved) + jacobian[:, None]
        np.testing.assert_allclose(point.expected_log_density(rows), expected, rtol=1e-14)
        linear = point.linear
        of_features = (linear.coefficients @ linear.features(rows)).T
        np.testing.assert_allclose(of_features, expected, rtol=1e-9, atol=1e-9)
        outside = rows.copy()
        outside[:, 1] = 0.0
        assert (point.expected_log_density(outside) == -np.inf).all()


def test_conditional_means_and_marginals_of_dense_structures_are_those_of_draws():
    for case in TRANSFORMED_CASES:
        rng = generator(33)
        point = case.point(rng, 1, 2)
        if case.transform == "log":
            blocks = 0.1 * point.normals.blocks
            point = TransformedComponents(
                case.function, Gaussians(point.normals.structure, point.normals.means, blocks)
            )
        at = point.means[:, :1]
        given = point.conditional(np.array([1]), np.array([0]), at[0])
        drawn = given.draw(np.array([200_000]), rng)
        expected = point.conditional_means(np.array([1]), np.array([0]), at)[0, 0]
        error = drawn.std() / np.sqrt(len(drawn))
        assert abs(drawn.mean() - expected[0]) < 5.0 * error
        both = point.expected_log_density(np.array([[at[0, 0], expected[0]]]))
        beside = point.marginal(np.array([0])).expected_log_density(at)
        beside += given.expected_log_density(expected[None])
        np.testing.assert_allclose(both, beside, rtol=1e-9)


@pytest.mark.parametrize("case", TRANSFORMED_CASES[:4], ids=identity)
def test_missing_values_are_those_of_normals(case):
    rng = generator(34)
    rows = case.rows(rng, 150, 3)
    rows[::2] = case.shifted(rows[::2], 2.0)
    moved, _ = case.moved(rows)
    away = rng.random(rows.shape) < 0.15
    away[:, 0] = False
    jacobian = -np.where(away, 0.0, case.function.log_slopes(rows, moved)).sum()
    rows[away], moved[away] = np.nan, np.nan
    options = {"init_params": np.arange(150) % 2, "search": None, "missing": "use"}
    options |= {"tol": 1e-9, "max_iter": 20_000, "random_state": 0}
    own = bm.Mixture(2, family=case.family, **options).fit(rows)
    normal = bm.Mixture(2, family=case.normal.family, **options).fit(moved)
    assert own.log_likelihood_ == pytest.approx(normal.log_likelihood_ - jacobian, abs=1e-4)
    filled = own.impute(rows, random_state=0)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~away], rows[~away])
    case.family.check(filled)


# What PyTensor says of BLAS on this machine is no failure of the package.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:PyTensor could not link")
@pytest.mark.parametrize("case", TRANSFORMED_CASES, ids=identity)
def test_files_products_twins_and_words_of_every_transform(case, tmp_path):
    rng = generator(35)
    rows = case.rows(rng, 60, 2)
    options = {"inference": bm.VariationalBayes(), "prune": False, "random_state": 0}
    model = bm.Mixture(2, family=case.family, **options).fit(rows)
    Case(model, ArraySource(rows)).assert_equal(5)
    beside = np.column_stack([rows, rng.poisson(3.0, 60)])
    family = bm.Product({(0, 1): case.family, 2: bm.Poisson()})
    parts = bm.Mixture(2, family=family, **options).fit(beside)
    for place, (one, X) in enumerate(((model, rows), (parts, beside))):
        one.save(tmp_path / str(place))
        loaded = bm.load(tmp_path / str(place))
        np.testing.assert_array_equal(loaded.score_samples(X), one.score_samples(X))
    assert eval(repr(case.family), vars(bm) | {"LogNormal": bm.LogNormal}) == case.family
    drawn = model.sample_posterior(5, random_state=0)
    assert getattr(drawn, f"{case.function.prefix}_means").shape == (5, 2, 2)
    np.testing.assert_array_equal(drawn.means.shape, (5, 2, 2))


def test_what_is_no_transform_is_refused():
    for transform in ("cube", 0.0, -1.0, np.inf, None):
        with pytest.raises(InvalidInputError, match="transform must be one of 'log'"):
            bm.Transformed(bm.Gaussian(), transform)
    with pytest.raises(InvalidInputError, match="family must be a Gaussian"):
        bm.Transformed(bm.Poisson(), "log")
    with pytest.raises(InvalidInputError, match="between 0 and 1 for a logit-normal"):
        bm.Mixture(1, family=bm.Transformed(bm.Gaussian(), "logit")).fit([[0.5], [0.2], [1.0]])


@pytest.mark.slow
def test_a_family_is_the_one_of_its_name():
    rng = generator(36)
    rows = rng.lognormal(size=(80, 2))
    for name, family in (("log_normal", bm.LogNormal()), ("student_t", bm.StudentT())):
        named, given = (
            bm.Mixture(2, family=one, random_state=0).fit(rows) for one in (name, family)
        )
        assert named.result_.family == family
        assert named.log_likelihood_ == given.log_likelihood_
    found = bm.select(rows, [1, 2], family=["gamma", "log_normal"])
    assert found.best_estimator_.result_.family in (bm.Gamma(), bm.LogNormal())
    answers = rng.integers(0, 3, (80, 3))
    assert bm.Mixture(2, family="categorical", random_state=0).fit(answers).n_components_ == 2
    with pytest.raises(InvalidInputError, match="family must be 'auto', one of 'gaussian'"):
        bm.Mixture(2, family="cauchy").fit(rows)
    assert all(hasattr(FAMILIES[name].make(), "maximum_likelihood") for name in BY_NAME)
    assert all(entry.homes.keys() == set(entry.public) for entry in FAMILIES.values())
