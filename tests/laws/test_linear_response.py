"""Linear response: how q follows a tilt, against refits, closed forms and the posterior itself.

The independent truths: coordinate ascent run again with a row's weight changed a little, or with a
prior changed a little for one component; Monte Carlo moments of q; Gibbs draws.
"""

from dataclasses import replace

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame
from bayesmix.em.expectation import CENTRED, ExpectationStep
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.categorical import LevelProbabilities
from bayesmix.families.gaussian.wishart_scale import Wishart
from bayesmix.families.rates import GammaFactors
from bayesmix.families.successes import BetaFactors
from bayesmix.families.transformed import TransformedComponents, _renamed
from bayesmix.posterior.linear_response import linear_response
from bayesmix.sources.memory import ArraySource
from laws.cases import (
    BINOMIAL_CASE,
    CASES,
    COVARIANCES,
    EVERY_CASE,
    GAUSSIAN_CASES,
    LEVEL_CASE,
    TRANSFORMED_CASES,
    estimator,
    generator,
    identity,
)

every_case = pytest.mark.parametrize("case", CASES, ids=identity)
# A comparison fails by chance once in 3.5 million; some hundreds are made.
Z = 5.1


def close_groups(case, n=80, n_features=2):
    """Rows of two overlapping groups, and letters of a prior."""
    rng = generator(3)
    letters = case.letters(rng, n_features)
    if case.continuous:
        rows = case.rows(rng, n, n_features)
        normal = rows if case not in TRANSFORMED_CASES else case.moved(rows)[0]
        by = np.where(np.arange(n) % 3 == 0, 2.2, 0.0)[:, None] * normal.std()
        return case.shifted(rows, by), letters
    shares = np.where(np.arange(n) % 3 == 0, 0.75, 0.3)[:, None]
    drawn = rng.random((n, n_features + 1)) < shares
    if case.name not in ("bernoulli", "poisson"):
        rows = case.grouped(rng, shares)
    else:
        rows = drawn if case.name == "bernoulli" else rng.poisson(8.0 * shares, (n, 2))
    return rows.astype(float), case.letters(rng, rows.shape[1])


def converged(case, rows, n_components=2, weights=None, letters=None, **options):
    """A fit under a proper prior, run to the rounding of its bound."""
    inference = bm.VariationalBayes(prior=case.choice(letters), weights=weights)
    options = {"tol": 1e-13, "max_iter": 20_000, "search": None, "random_state": 0} | options
    return estimator(case, n_components, inference, **options).fit(rows)


def faithful(n_components, **options):
    X = bm.datasets.load_faithful().to_numpy()
    options = {"tol": 1e-12, "max_iter": 5000, "random_state": 0, "prune": False} | options
    return bm.BayesianGaussianMixture(n_components, **options).fit(X), X


def ascended(result, source, objective=None, passes=3000):
    """Coordinate ascent from the fit's q to the fixed point, the textbook's way."""
    mixture, objective = result.mixture, objective or result.inference
    for _ in range(passes):
        sums = source.reduce(ExpectationStep(mixture, CENTRED), mixture.n_components).finished()
        following = objective.update(sums, mixture, mixture.frame, None)
        if np.abs(following.weights.mean() - mixture.weights.mean()).max() < 1e-15:
            return following
        mixture = following
    return mixture


def expected(mixture):
    """E_q of everything that has a standard deviation, flat, in data units."""
    q, frame = mixture.components, mixture.frame
    values = {"weights": mixture.weights.mean()}
    if isinstance(q, BetaFactors):
        return values | {"probabilities": q.shares.ravel(), "means": q.means.ravel()}
    if isinstance(q, LevelProbabilities):
        return values | {"probabilities": q.shares.ravel(), "means": q.means.ravel()}
    if isinstance(q, GammaFactors):
        return values | {"rates": q.rates.ravel(), "means": q.means.ravel()}
    if isinstance(q, TransformedComponents):
        inner = q.function.frame(frame.scale)
        named = expected(Mixture(mixture.weights, q.normals, inner))
        return _renamed(q.function, q.normals.structure, named)
    values["means"] = frame.undo(q.means).ravel()
    algebra, precisions = q.structure.algebra, q.precisions
    freedom = precisions.degrees_of_freedom - precisions.dimension - 1.0
    inverse = precisions.scale_inverse / freedom.reshape(
        freedom.shape + (1,) * (precisions.scale_inverse.ndim - freedom.ndim)
    )
    values["covariances"] = algebra.lift(inverse, frame, 0.0).ravel()
    if isinstance(q.scale, Wishart):
        values["scale"] = algebra.lift(q.scale.mean, frame, 0.0).ravel()
    return values


def followed(response, row):
    """d E_q / d (weight of a row) by linear response."""
    whole, mixture = response._coordinates, response.result.mixture
    values = mixture.frame.apply(row[None])
    shares, _ = mixture.responsibilities(values)
    pull = np.zeros(whole.size)
    for k, share in enumerate(shares[0]):
        places, slopes = whole.slopes(values, k)
        pull[places] += share * slopes[0]
    moved = response._response @ pull
    return {name: one.across @ moved for name, one in response._spreads.items()}


def assert_follows(response, result, rows, number, step=1e-4, rtol=2e-5):
    ends = []
    for sign in (1.0, -1.0):
        weights = np.ones(len(rows))
        weights[number] += sign * step
        ends.append(expected(ascended(result, ArraySource(rows, weights))))
    predictions = followed(response, rows[number])
    # E[x] of a transformed column is not linear in what follows exactly.
    for name in ends[0].keys() & predictions.keys():
        predicted = predictions[name]
        slope = (ends[0][name] - ends[1][name]) / (2.0 * step)
        # Off-diagonal zeros of axes aside, everything moves.
        np.testing.assert_allclose(
            predicted, slope, rtol=rtol, atol=rtol * np.abs(slope).max() + 1e-9, err_msg=name
        )


# The derivative


@pytest.mark.parametrize("weights", [bm.DirichletPrior(0.8), bm.StickBreakingPrior(1.3)])
@pytest.mark.parametrize("case", [*EVERY_CASE, LEVEL_CASE, BINOMIAL_CASE], ids=identity)
def test_q_follows_the_weight_of_a_row_as_refits_do(case, weights):
    rows, letters = close_groups(case)
    model = converged(case, rows, weights=weights, letters=letters)
    response = linear_response(model, rows)
    assert 0.02 < response.rate < 1.0
    for number in (0, 4):
        assert_follows(response, model.result_, rows, number)


@pytest.mark.parametrize("structure", COVARIANCES)
def test_a_learned_scale_follows_as_well(structure):
    model, X = faithful(3, covariance_type=structure, mean_precision_prior=0.1)
    response = linear_response(model, X)
    assert "scale" in response._spreads
    assert_follows(response, model.result_, X, 5, step=1e-3, rtol=1e-4)


def test_three_components_follow_in_any_order_of_chunks_and_threads():
    case = GAUSSIAN_CASES[0]
    rows, letters = close_groups(case, n=300)
    model = converged(case, rows, 3, bm.DirichletPrior(1.0), letters=letters)
    alone, together = (linear_response(model, rows, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(alone._response, together._response)
    assert_follows(alone, model.result_, rows, 7)


def test_log_weights_respond_to_the_concentration_of_one_component_with_their_covariance():
    """The tilt ε log π_1 is α_1 + ε: d E[log π] / dα_1 is a column of the covariance itself."""
    case = GAUSSIAN_CASES[2]
    rows, letters = close_groups(case)
    prior = bm.DirichletPrior(0.8)
    model = converged(case, rows, weights=prior, letters=letters)
    response, ends, step = linear_response(model, rows), [], 1e-4
    for sign in (1.0, -1.0):
        tilted = replace(prior, concentration=0.8 + sign * step * np.array([1.0, 0.0]))
        objective = replace(model.result_.inference, weights=tilted)
        ends.append(ascended(model.result_, ArraySource(rows), objective).weights.expected_log())
    root = response._coordinates.root
    n = root.shape[1]
    covariance = root @ response._response[:n, :n] @ root.T
    np.testing.assert_allclose(covariance[:, 0], (ends[0] - ends[1]) / (2 * step), rtol=1e-6)


def test_a_weight_of_two_is_the_row_twice():
    case = GAUSSIAN_CASES[1]
    rows, letters = close_groups(case, n=60)
    weights = np.where(np.arange(60) % 4 == 0, 2.0, 1.0)
    repeated = np.concatenate([rows, rows[::4]])
    inference = bm.VariationalBayes(case.choice(letters), bm.DirichletPrior(1.0))
    options = {"tol": 1e-13, "max_iter": 20_000, "search": None, "random_state": 0}
    weighted = estimator(case, 2, inference, **options).fit(rows, sample_weight=weights)
    plain = estimator(case, 2, inference, **options).fit(repeated)
    one = linear_response(weighted, rows, sample_weight=weights)
    other = linear_response(plain, repeated)
    for (name, mine), (_, theirs) in zip(
        one.standard_deviations.items(), other.standard_deviations.items(), strict=True
    ):
        np.testing.assert_allclose(np.sort(mine, 0), np.sort(theirs, 0), rtol=1e-4, err_msg=name)


# What q itself has


@every_case
def test_at_one_component_it_is_the_covariance_of_q(case):
    rng = generator(5)
    rows, letters = case.rows(rng, 40, 3), case.letters(rng, 3)
    model = converged(case, rows, 1, bm.DirichletPrior(1.0), letters=letters)
    response = linear_response(model, rows)
    assert response.rate < 1e-12
    for (name, mine), (_, q) in zip(
        response.standard_deviations.items(), response.of_q.items(), strict=True
    ):
        np.testing.assert_allclose(mine, q, rtol=1e-8, err_msg=name)
    drawn = response.sample(50, random_state=4)
    own = model.sample_posterior(50, random_state=4)
    np.testing.assert_allclose(drawn.means, own.means, rtol=1e-8)


@every_case
def test_standard_deviations_of_q_are_those_of_its_draws(case):
    rows, letters = close_groups(case)
    model = converged(case, rows, weights=bm.DirichletPrior(2.0), letters=letters)
    of_q, n_draws = linear_response(model, rows).of_q, 40_000
    drawn = model.sample_posterior(n_draws, random_state=1)
    for name, deviations in of_q.items():
        away = getattr(drawn, name) - getattr(drawn, name).mean(axis=0)
        squares = away**2
        error = squares.std(axis=0) / np.sqrt(n_draws)
        assert (np.abs(squares.mean(axis=0) - deviations**2) <= Z * error + 1e-12).all(), name


@pytest.mark.parametrize("structure", COVARIANCES)
def test_q_varies_with_its_coordinates_as_its_draws_say(structure):
    """Log densities of rows at draws from q: their covariance, and that with every parameter."""
    model, X = faithful(2, covariance_type=structure)
    mixture, n_draws = model.result_.mixture, 40_000
    q, frame = mixture.components, Frame(np.array([1.0, 2.0]), np.array([3.0, 0.5]))
    coordinates, draws = q.coordinates(), q.draws(n_draws, generator(6))
    values = mixture.frame.apply(X[:3])
    logs = draws.components.expected_log_density(values).reshape(3, n_draws, 2)
    logs = np.moveaxis(logs, 1, 2).reshape(6, n_draws)
    slopes = np.zeros((3, 2, coordinates.size))
    for k in range(2):
        slopes[:, k, coordinates.places(k)] = coordinates.slopes(values, k)
    slopes = slopes.reshape(6, -1)
    drawn = draws.parameters(frame)
    names = {"means": "means", "covariances": "covariances", "scale": "covariance_prior"}
    pairs = [(logs, slopes @ slopes.T)]
    pairs += [
        (drawn[names[name]][1].reshape(n_draws, -1).T, one.across @ slopes.T)
        for name, one in coordinates.parameters(frame).items()
    ]
    centred_logs = logs - logs.mean(axis=1, keepdims=True)
    for values_of_draws, covariance in pairs:
        away = values_of_draws - values_of_draws.mean(axis=1, keepdims=True)
        products = away[:, None] * centred_logs
        error = products.std(axis=2) / np.sqrt(n_draws)
        assert (np.abs(products.mean(axis=2) - covariance) <= Z * error).all()


def test_slopes_are_over_what_a_family_reads_in_a_row():
    from bayesmix.families.independent.linear import Plain
    from bayesmix.families.rates import ExponentialRates

    class HalfSquares(Plain):  # what a Rayleigh reads
        def totals(self, values):
            return 0.5 * (values * values).T

    q = ExponentialRates(np.array([[3.0, 5.0], [9.0, 2.0]]), np.array([[1.0, 4.0], [2.0, 8.0]]))
    values = generator(5).uniform(0.1, 3.0, (7, 2))
    plain = q.coordinates()
    squared = replace(plain, reading=HalfSquares())
    for k in range(2):
        assert (squared.slopes(values, k) == plain.slopes(0.5 * values**2, k)).all()
        assert (squared.slopes(values, k) != plain.slopes(values, k))[:, :2].all()


def test_components_far_apart_have_what_q_says():
    rng = generator(8)
    rows = rng.normal(size=(200, 2)) + np.where(np.arange(200) % 2, 50.0, 0.0)[:, None]
    model = bm.BayesianGaussianMixture(2, covariance_prior=np.eye(2), random_state=0).fit(rows)
    ratio = linear_response(model, rows).ratio
    for name, values in ratio.items():
        np.testing.assert_allclose(values, 1.0, atol=1e-6, err_msg=name)


# Units, frames, shapes


@pytest.mark.parametrize("structure", COVARIANCES)
def test_standard_deviations_have_the_units_and_shapes_of_the_parameters(structure):
    model, X = faithful(2, covariance_type=structure)
    units = np.array([1.0, 1.0]) if structure == "spherical" else np.array([1024.0, 1.0])
    far = bm.BayesianGaussianMixture(
        2, covariance_type=structure, tol=1e-12, max_iter=5000, random_state=0, prune=False
    ).fit(X * units + 4096.0)
    here, there = linear_response(model, X), linear_response(far, X * units + 4096.0)
    sample = model.sample_posterior(2)
    for name, values in here.standard_deviations.items():
        assert values.shape == getattr(sample, name).shape[1:]
    np.testing.assert_allclose(
        there.standard_deviations.means, here.standard_deviations.means * units, rtol=1e-4
    )
    np.testing.assert_allclose(there.ratio.covariances, here.ratio.covariances, rtol=1e-4)
    for name in ("weights", "means", "covariances", "scale"):
        covariance = here.covariance(name)
        np.testing.assert_allclose(
            np.sqrt(np.diag(covariance)),
            getattr(here.standard_deviations, name).ravel(),
            rtol=1e-9,
            atol=1e-12,
        )
        assert np.linalg.eigvalsh(covariance)[0] > -1e-9 * np.abs(covariance).max()


def test_a_constant_column_has_no_doubt():
    _, X = faithful(1)
    wide = np.column_stack([X[:, 0], np.full(len(X), 7.0), X[:, 1]])
    with pytest.warns(bm.errors.FlatDirectionWarning):
        model = bm.BayesianGaussianMixture(2, random_state=0, tol=1e-12, max_iter=5000).fit(wide)
    narrow, _ = faithful(2)
    found = linear_response(model, wide).standard_deviations
    plain = linear_response(narrow, X).standard_deviations
    assert (found.means[:, 1] == 0.0).all()
    np.testing.assert_allclose(found.means[:, [0, 2]], plain.means, rtol=1e-4)


def test_where_q_has_no_variance_the_standard_deviation_is_infinite_and_the_ratio_unknown():
    """An inverse Wishart in two dimensions has a variance from five degrees of freedom on."""
    rows = generator(17).normal(size=(3, 2))
    model = bm.BayesianGaussianMixture(
        1, degrees_of_freedom_prior=1.5, covariance_prior=np.eye(2), random_state=0
    ).fit(rows)
    response = linear_response(model, rows)
    assert np.isinf(response.standard_deviations.covariances).all()
    assert np.isnan(response.ratio.covariances).all()
    assert np.isfinite(response.standard_deviations.means).all()
    assert "covariances" not in response.summary()


# Against the posterior


@pytest.mark.slow
def test_it_is_nearer_to_the_posterior_than_q_where_components_overlap():
    """Gibbs of a mixture of two normals 2.2 standard deviations apart, labels by the mean."""
    rng = generator(11)
    rows = rng.normal(size=(400, 1)) + np.where(rng.random(400) < 0.4, 2.6, 0.0)[:, None]
    fixed = {
        "mean_prior": [1.0], "mean_precision_prior": 0.1, "covariance_prior": [[3.0]],
        "degrees_of_freedom_prior": 5.0, "weight_concentration_prior": 2.0,
        "weight_concentration_prior_type": "dirichlet_distribution",
    }  # fmt: skip
    model = bm.BayesianGaussianMixture(2, random_state=0, tol=1e-12, max_iter=5000, **fixed)
    response = linear_response(model.fit(rows), rows)
    sampled = bm.gibbs(model, rows, n_draws=1500, chains=4, random_state=1, n_jobs=1)
    means = sampled.parameters["means"][..., 0].reshape(-1, 2)
    weights = sampled.weights.reshape(-1, 2)
    order = np.argsort(means, axis=1)
    own_order = np.argsort(model.means_[:, 0])
    for values, name in ((means, "means"), (weights, "weights")):
        truth = np.take_along_axis(values, order, axis=1).std(axis=0)
        of_response = getattr(response.standard_deviations, name).reshape(2)[own_order]
        of_q = getattr(response.of_q, name).reshape(2)[own_order]
        assert (np.abs(np.log(of_response / truth)) < 0.5 * np.abs(np.log(of_q / truth))).all()
        assert (of_q < 0.6 * truth).all()


def test_draws_moved_apart_are_as_wide_as_it_says():
    model, X = faithful(3, covariance_type="tied")
    response = linear_response(model, X)
    drawn = response.sample(20_000, random_state=2)
    np.testing.assert_allclose(drawn.weights.sum(axis=1), 1.0, rtol=1e-12)
    logs = np.log(drawn.weights)
    root = response._coordinates.root
    expected_variance = np.diag(root @ response._response[:3, :3] @ root.T)
    # Normalising draws of log π takes from them what is common to all: second order.
    np.testing.assert_allclose(logs.var(axis=0), expected_variance, rtol=0.1)
    np.testing.assert_allclose(
        drawn.means.std(axis=0), response.standard_deviations.means, rtol=0.05
    )
    assert (np.linalg.eigvalsh(drawn.covariances)[:, 0] > 0.0).all()


# What is refused


def test_a_fit_that_has_not_converged_is_refused_with_what_to_do():
    X = bm.datasets.load_faithful().to_numpy()
    model = bm.BayesianGaussianMixture(3, covariance_type="tied", tol=1.0, random_state=0,
                                       search=None).fit(X)  # fmt: skip
    with pytest.raises(InvalidInputError, match=r"smaller tol, such as"):
        linear_response(model, X)


def test_a_saddle_point_is_no_optimum():
    """Two components that coincide: coordinate ascent stays there, and would leave it if pushed."""
    rng = generator(12)
    rows = rng.normal(size=(300, 1)) + np.where(np.arange(300) % 2, 6.0, 0.0)[:, None]
    even = np.full((300, 2), 0.5)
    model = bm.BayesianGaussianMixture(
        2, init_params=even, search=None, acceleration=None, prune=False, tol=1e-12, max_iter=50,
        covariance_prior=[[1.0]], mean_precision_prior=0.1,
        weight_concentration_prior_type="dirichlet_distribution",
    ).fit(rows)  # fmt: skip
    with pytest.raises(InvalidInputError, match="not at a maximum of its ELBO"):
        linear_response(model, rows)


def test_what_has_no_q_or_no_prior_is_refused_by_name():
    X = bm.datasets.load_faithful().to_numpy()
    point = bm.GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(InvalidInputError, match="model must be a variational fit"):
        bm.linear_response(point, X)
    free = bm.BayesianGaussianMixture(
        2, weight_concentration_prior_type="type2_ml", random_state=0
    ).fit(X)
    with pytest.raises(UnsupportedError, match="weights with a prior"):
        bm.linear_response(free, X)
    model, _ = faithful(2)
    with pytest.raises(InvalidInputError, match="X must hold the data of the fit"):
        bm.linear_response(model, X[:-1])
    with pytest.raises(InvalidInputError, match="model must be a fitted mixture"):
        bm.linear_response(object(), X)
    with pytest.raises(InvalidInputError, match="name must be one of weights, means"):
        bm.linear_response(model, X).covariance("variances")
    with pytest.raises(InvalidInputError, match="n_draws must be an integer of at least 1"):
        bm.linear_response(model, X).sample(0)


def test_too_many_parameters_are_refused_before_any_matrix_is_made():
    rng = generator(13)
    rows = rng.normal(size=(400, 50))
    model = bm.BayesianGaussianMixture(
        3, max_iter=5, tol=1e6, search=None, prune=False, random_state=0
    ).fit(rows)
    with pytest.raises(InvalidInputError, match="at most 3,000 parameters"):
        bm.linear_response(model, rows)


def test_the_summary_names_every_field():
    model, X = faithful(2)
    text = bm.linear_response(model, X).summary()
    for name in ("weights", "means", "covariances", "scale"):
        assert f"{name}: " in text
    assert "nan" not in text
