"""The PyMC model of a fit is the fit's own model: joint densities are equal, point by point.

At random points of the unconstrained space, in which samplers move: PyMC's density, Jacobians of
its transforms included, against log prior + log likelihood of the package at the parameters that
the point stands for, plus the log determinant of the derivative of those parameters, taken by
automatic differentiation. A learned scale is a variable there and integrated out here, so that its
conditional density, by SciPy, is added.
"""

import sys
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.errors import InvalidInputError, MissingExtraError, UnsupportedError
from bayesmix.families.product.prior import PartPriors
from bayesmix.posterior.posterior_draws import draws_of, log_likelihoods, log_prior, parameters_of
from bayesmix.sources.memory import ArraySource
from laws.cases import (
    BINOMIAL_CASE,
    COLUMN_CASES,
    COUNT_CASES,
    GAUSSIAN_CASES,
    LEVEL_CASE,
    POOLED_CASES,
    WEIGHT_PRIORS,
    estimator,
    generator,
    identity,
)

# What PyTensor says of compilers and BLAS on this machine is no failure of the package.
pytestmark = pytest.mark.filterwarnings("ignore")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pm = pytest.importorskip("pymc")
    pytensor = pytest.importorskip("pytensor")
    from pytensor import tensor as pt
    from pytensor.gradient import jacobian
    from pytensor.graph.replace import clone_replace

from bayesmix.mcmc.sampling import pymc_model, twin  # noqa: E402

# Needs no C compiler, and little time.
MODE = "FAST_COMPILE"
K, D, N = 3, 2, 30
EXACT = 1e-8


@dataclass(frozen=True)
class Case:
    """A fit, its rows, and both densities at points."""

    vb: object
    source: ArraySource

    @cached_property
    def twin(self):
        return twin(self.vb.result_, self.source)

    @cached_property
    def function(self):
        """Point -> PyMC's density, the derivative of the parameters, what draws are made of."""
        model, drawn = self.twin.model, self.twin.drawn
        outputs = model.replace_rvs_by_values(list(drawn.values()))
        coordinates = pt.concatenate(
            [
                COORDINATES[of_part(name)](output)
                for name, output in zip(drawn, outputs, strict=True)
                if COORDINATES[of_part(name)] is not None
            ]
        )
        parts = jacobian(coordinates, model.value_vars, disconnected_inputs="ignore")
        size = coordinates.shape[0]
        derivative = pt.concatenate([part.reshape((size, -1)) for part in parts], axis=1)
        return pytensor.function(
            model.value_vars,
            [model.logp(), derivative, *outputs],
            mode=MODE,
            on_unused_input="ignore",
        )

    def point(self, rng):
        model = self.twin.model
        start = model.initial_point()
        return [rng.normal(scale=0.7, size=start[value.name].shape) for value in model.value_vars]

    def both(self, point):
        """PyMC's log density and the package's."""
        density, derivative, *outputs = self.function(*point)
        values = {name: one[None] for name, one in zip(self.twin.drawn, outputs, strict=True)}
        draws = self.twin.draws(values, 1)
        result = self.vb.result_
        ours = log_prior(result.inference, draws) + log_likelihoods(result, draws, self.source)
        return float(density), float(
            ours[0]
            + np.linalg.slogdet(derivative)[1]
            + log_of_scale(result.inference.prior, draws.components)
        )

    def assert_equal(self, *seed):
        rng = generator(*seed)
        for _ in range(2):
            theirs, ours = self.both(self.point(rng))
            assert theirs == pytest.approx(ours, rel=EXACT, abs=EXACT)


def of_part(name):
    """A name of a product without the part that it is of."""
    return name.rpartition(": ")[2]


def elements(roots):
    """The elements of U Uᵀ that vary, of a stack of roots or over axes."""
    if roots.ndim < 3:
        return (roots * roots).ravel()
    upper = np.triu_indices(roots.type.shape[-1])
    return (roots @ roots.transpose(0, 2, 1))[:, upper[0], upper[1]].ravel()


# The coordinates of the package's densities, from what PyMC's draws are made of.
COORDINATES = {
    "log_weights": lambda logs: pt.exp(logs)[:-1],
    "log_first": pt.exp,
    "log_rest": None,
    "log_initial": lambda logs: pt.exp(logs)[:-1],
    "log_transitions": lambda logs: pt.exp(logs)[:, :-1].ravel(),
    "means": lambda means: means.ravel(),
    "roots": elements,
    "scale_roots": elements,
    "log_successes": lambda logs: pt.exp(logs).ravel(),
    "log_failures": None,
    "log_rates": lambda logs: pt.exp(logs).ravel(),
    "log_probabilities": lambda logs: pt.exp(logs).reshape((K, D, -1))[:, :, :-1].ravel(),
}


def log_of_scale(prior, draws):
    """log p(S | Λ), by SciPy: S is Wishart with g + B ν0 degrees of freedom and V⁻¹ + Σ Λ."""
    if isinstance(prior, PartPriors):
        return sum(map(log_of_scale, prior.parts, draws.parts))
    if not getattr(getattr(prior, "scale", None), "learned", False):
        return 0.0
    prior, draws = getattr(prior, "normals", prior), getattr(draws, "normals", draws)
    roots, scale, given = draws.roots[0], draws.scale_roots[0], prior.scale.prior
    freedom = given.degrees_of_freedom + len(roots) * prior.degrees_of_freedom
    if roots.ndim == 3:
        inverse = given.scale_inverse[0] + np.einsum("bij,bkj->ik", roots, roots)
        return stats.wishart.logpdf(scale[0] @ scale[0].T, freedom[0], np.linalg.inv(inverse))
    inverse = given.scale_inverse + (roots**2).sum(axis=0)
    return stats.gamma.logpdf(scale**2, freedom / 2.0, scale=2.0 / inverse).sum()


def fitted(case, weights="dirichlet_distribution", fixed=False, n_components=K, **options):
    """A fit to rows of two groups, away from the origin and in different units."""
    rng = generator(30, len(case.name))
    rows, letters = case.rows(rng, N, D), case.letters(rng, D)
    if case.continuous:
        rows[: N // 2] += 2.0
        rows = rows * [1.0, 8.0] + [3.0, 100.0]
    prior = case.choice(letters) if fixed else None
    inference = bm.VariationalBayes(prior=prior, weights=WEIGHT_PRIORS[weights](0.7))
    vb = estimator(case, n_components, inference, max_iter=200, **options).fit(rows)
    return Case(vb, ArraySource(rows))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "fixed"),
    [*((weights, False) for weights in WEIGHT_PRIORS), ("dirichlet_distribution", True)],
)
@pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)
def test_the_joint_density_is_that_of_the_fit(case, weights, fixed):
    fitted(case, weights, fixed).assert_equal(31)


@pytest.mark.slow
@pytest.mark.parametrize("case", POOLED_CASES, ids=identity)
def test_the_joint_density_of_shared_variances_is_that_of_the_fit(case):
    fitted(case).assert_equal(31)


@pytest.mark.slow
@pytest.mark.parametrize("weights", WEIGHT_PRIORS)
@pytest.mark.parametrize("case", COUNT_CASES, ids=identity)
def test_the_joint_density_of_counts_is_that_of_the_fit(case, weights):
    fitted(case, weights, fixed=True).assert_equal(32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [*COLUMN_CASES[len(COUNT_CASES) :], LEVEL_CASE, BINOMIAL_CASE], ids=identity
)
def test_the_joint_density_of_columns_is_that_of_the_fit(case):
    fitted(case, "dirichlet_distribution", fixed=True).assert_equal(32)


def mixed_fit():
    """A fit to a Gaussian block, levels, counts and an answer, columns in another order."""
    rng = generator(45)
    kind = rng.integers(0, 2, N)
    rows = np.column_stack(
        [
            rng.normal(50.0 + 8.0 * kind),
            rng.poisson(1.0 + 3.0 * kind),
            rng.random(N) < 0.2 + 0.5 * kind,
            rng.integers(0, 3, N),
            rng.normal(2.0 * kind),
            rng.integers(0, 3, N),
        ]
    )
    levels = bm.Categorical(((0, 1, 2), (0, 1, 2)))
    family = bm.Product({(4, 0): bm.Gaussian(), 2: bm.Bernoulli(), (3, 5): levels, 1: bm.Poisson()})
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(0.7))
    options = {"prune": False, "random_state": 0, "n_jobs": 1}
    return Case(bm.Mixture(K, family=family, inference=inference, **options).fit(rows), rows)


@pytest.mark.slow
def test_the_joint_density_of_a_product_is_that_of_the_fit():
    case = mixed_fit()
    Case(case.vb, ArraySource(case.source)).assert_equal(46)


@pytest.mark.slow
def test_draws_of_a_product_go_into_the_model_and_come_out_by_part():
    case = mixed_fit()
    drawn, model, found = as_in_the_frame(Case(case.vb, ArraySource(case.source)), 3)
    expected = parameters_of(case.vb.result_, drawn)
    expected["weights"] = (("component",), np.exp(drawn.weights.log_weights))
    # What the prior of a block learned is called by its prior among draws.
    expected["4, 0: scale"] = expected.pop("4, 0: covariance_prior")
    # Names in a model have no commas, by which nutpie joins those of axes.
    named = {
        name.replace(",", ""): (tuple(axis.replace(",", "") for axis in axes), values)
        for name, (axes, values) in expected.items()
    }
    assert set(found) == {"weights"} | {name for name in named if name in model.named_vars}
    assert {"4 0: covariances", "3 5: probabilities"} <= set(found)
    for name, values in found.items():
        axes, theirs = named[name]
        assert model.named_vars_to_dims[name] == axes
        np.testing.assert_allclose(values, theirs, rtol=1e-10, err_msg=name)


def fitted_chain(case, lengths, n_components=K):
    """A hidden Markov model of sequences."""
    rows = case.rows(generator(462, len(case.name)), sum(lengths), D)
    vb = bm.HiddenMarkovModel(
        n_components,
        family=case.family,
        inference=bm.VariationalBayes(prior=case.choice(case.letters(generator(463), D))),
        transition_prior=0.8,
        n_init=1,
        max_iter=20,
        tol=0.0,
        random_state=0,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vb.fit(rows, lengths=lengths)
    return Case(vb, replace(ArraySource(rows), side=vb.result_.side))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "lengths", "n_components"),
    [
        (GAUSSIAN_CASES[0], [30], 3),
        (GAUSSIAN_CASES[2], [7, 1, 12, 9], 3),
        (COUNT_CASES[1], [2, 5], 2),
        (COUNT_CASES[0], [1, 2], 1),
    ],
)
def test_the_joint_density_of_a_chain_is_that_of_the_fit(case, lengths, n_components):
    fitted_chain(case, lengths, n_components).assert_equal(464)


@pytest.mark.slow
def test_a_chain_has_the_names_of_its_draws_and_refuses_other_sequences():
    case = fitted_chain(COUNT_CASES[1], [8, 12])
    drawn, model, found = as_in_the_frame(case, 3)
    assert {"startprob", "transmat"} <= {variable.name for variable in model.free_RVs}
    np.testing.assert_allclose(found["weights"], np.exp(drawn.weights.log_weights), rtol=1e-10)
    rows = case.source.values
    assert pymc_model(case.vb, rows, groups=np.repeat(["a", "b"], [8, 12])) is not None
    with pytest.raises(InvalidInputError, match="lengths must be those of the fit"):
        pymc_model(case.vb, rows, lengths=[10, 10])
    rows = np.where(np.arange(20)[:, None] == 5, np.nan, rows)
    gaps = bm.HiddenMarkovModel(
        2, family=bm.Poisson(), inference=bm.VariationalBayes(), missing="use", random_state=0
    ).fit(rows)
    with pytest.raises(UnsupportedError, match="sequences with missing values"):
        pymc_model(gaps, rows)


def flat_rows():
    rows = generator(33).normal(size=(N, 3)) * [1.0, 2.0, 1.0]
    rows[:, 2] = rows[:, 0] - rows[:, 1]  # a plane
    return rows


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning")
def test_it_is_where_rows_lie_in_a_plane():
    rows = flat_rows()
    vb = bm.BayesianGaussianMixture(2, prune=False, random_state=0, n_jobs=1).fit(rows)
    assert vb.result_.mixture.frame.n_directions == 2
    Case(vb, ArraySource(rows)).assert_equal(34)


@pytest.mark.slow
def test_a_weight_of_a_row_multiplies_its_log_density():
    case, row_weights = fitted(GAUSSIAN_CASES[2]), generator(35).uniform(0.3, 3.0, N)
    weighted = Case(case.vb, ArraySource(case.source.values, row_weights))
    weighted.assert_equal(36)


@pytest.mark.slow
def test_one_component_is_a_mixture_too():
    for weights in ("dirichlet_distribution", "dirichlet_process"):
        fitted(GAUSSIAN_CASES[0], weights, n_components=1).assert_equal(37)


@pytest.mark.slow
def test_a_single_column_has_no_entries_above_the_diagonal():
    rows = bm.datasets.load_galaxies().to_numpy().reshape(-1, 1)
    vb = bm.BayesianGaussianMixture(3, prune=False, random_state=0, n_jobs=1).fit(rows)
    case = Case(vb, ArraySource(rows))
    assert not [name for name in case.twin.model.named_vars if "above" in name]
    case.assert_equal(38)


# What is in the model


def pruned(weights):
    rows = generator(39).normal(size=(60, 2))
    vb = bm.BayesianGaussianMixture(
        5,
        weight_concentration_prior_type=weights,
        weight_concentration_prior=None if weights == "type2_ml" else 0.1,
        random_state=0,
        n_jobs=1,
    )
    vb.fit(rows)
    assert vb.n_components_ < 5
    return Case(vb, ArraySource(rows))


@pytest.mark.slow
def test_a_pruned_fit_has_all_the_components_that_it_was_asked_for():
    case = pruned("dirichlet_distribution")
    assert len(case.twin.model.coords["component"]) == 5
    case.assert_equal(40)


@pytest.mark.slow
def test_weights_by_type_ii_maximum_likelihood_are_those_of_the_components_that_are_left():
    case = pruned("type2_ml")
    assert len(case.twin.model.coords["component"]) == case.vb.n_components_
    case.assert_equal(41)


def as_in_the_frame(case, numbers):
    """Draws from q, and what the model makes of them where PyMC's variables are at them."""
    drawn = draws_of(case.vb.result_.mixture, numbers, generator(42))
    model = pymc_model(case.vb, case.source.values)
    points = case.twin.point(drawn)
    names = [variable.name for variable in model.free_RVs]
    assert sorted(names) == sorted(points)
    named = [name for name in model.named_vars if of_part(name) in NAMED]
    outputs = [model[name] for name in named]
    given = {variable: variable.type() for variable in model.free_RVs}
    function = pytensor.function(
        list(given.values()),
        clone_replace(outputs, given),
        mode=MODE,
        on_unused_input="ignore",
    )
    found = [function(*(points[name][number] for name in names)) for number in range(numbers)]
    return (
        drawn,
        model,
        {
            name: np.array(values)
            for name, values in zip(named, zip(*found, strict=True), strict=True)
        },
    )


NAMED = ("weights", "means", "covariances", "scale", "probabilities", "rates")


@pytest.mark.parametrize("weights", ["dirichlet_distribution", "dirichlet_process"])
@pytest.mark.parametrize("case", GAUSSIAN_CASES + COUNT_CASES, ids=identity)
def test_draws_go_into_the_model_and_come_out_in_data_units(case, weights):
    case = fitted(case, weights)
    drawn, model, found = as_in_the_frame(case, 3)
    expected = parameters_of(case.vb.result_, drawn)
    expected["weights"] = (("component",), np.exp(drawn.weights.log_weights))
    assert sorted(found) == sorted(expected)
    for name, (axes, values) in expected.items():
        assert model.named_vars_to_dims[name] == axes
        np.testing.assert_allclose(found[name], values, rtol=1e-10, err_msg=name)


def test_it_begins_where_the_posterior_is():
    case = fitted(GAUSSIAN_CASES[0])
    model = pymc_model(case.vb, case.source.values)
    drawn = draws_of(case.vb.result_.mixture, 200, generator(44))
    typical = log_likelihoods(case.vb.result_, drawn, case.source)
    potential = model["log_likelihood"]
    density = model.compile_logp(vars=[potential], mode=MODE, on_unused_input="ignore")
    begun = density(model.initial_point())
    assert typical.min() - 10.0 < begun < typical.max() + 10.0


def test_features_have_the_names_of_the_columns():
    X = bm.datasets.load_faithful()
    vb = bm.BayesianGaussianMixture(2, random_state=0, n_jobs=1).fit(X)
    model = pymc_model(vb, X)
    assert model.coords["feature"] == tuple(X.columns)
    assert model.named_vars_to_dims["means"] == ("component", "feature")


def test_rows_in_single_precision_are_the_same_rows():
    X = bm.datasets.load_faithful().to_numpy().astype(np.float32)
    vb = bm.BayesianGaussianMixture(2, random_state=0, n_jobs=1).fit(X)
    single, double = pymc_model(vb, X), pymc_model(vb, X.astype(np.float64))
    assert single["rows"].dtype == "float64"
    np.testing.assert_array_equal(single["rows"].get_value(), double["rows"].get_value())


def test_a_search_gives_the_model_of_its_best_estimator():
    X = bm.datasets.load_galaxies().to_numpy().reshape(-1, 1)
    estimator = bm.BayesianGaussianMixture(random_state=0, n_jobs=1, search=None)
    search = bm.MixtureSearch(estimator, n_components=(1, 2), criterion="elbo", n_jobs=1).fit(X)
    expected = search.best_estimator_.result_.requested_components
    assert len(pymc_model(search, X).coords["component"]) == expected


# What cannot be


def test_a_fit_without_a_posterior_is_refused():
    rows = generator(43).normal(size=(N, 2))
    point = bm.GaussianMixture(2, random_state=0, n_jobs=1).fit(rows)
    with pytest.raises(InvalidInputError, match="which has a prior, got maximum likelihood"):
        pymc_model(point, rows)
    with pytest.raises(InvalidInputError, match="call fit first"):
        pymc_model(bm.BayesianGaussianMixture(2), rows)


def test_other_rows_than_those_of_the_fit_are_refused():
    case = fitted(GAUSSIAN_CASES[3])
    with pytest.raises(InvalidInputError, match=r"X must hold the data of the fit, \(30, 2\)"):
        pymc_model(case.vb, case.source.values[1:])
    with pytest.raises(InvalidInputError, match=r"total weight of 30, got .* with 60"):
        pymc_model(case.vb, case.source.values, sample_weight=np.full(N, 2.0))


def test_without_pymc_it_is_said_what_to_install(monkeypatch):
    case = fitted(GAUSSIAN_CASES[3])
    monkeypatch.setitem(sys.modules, "pymc", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bayesmix\[pymc\]'"):
        pymc_model(case.vb, case.source.values)
