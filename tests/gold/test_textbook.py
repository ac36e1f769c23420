"""Every number of `textbook_examples.json`, to 1e-10 relative, through the public interface.

The examples are worked in print with a few misprints; the file holds the exact values.

*Seven points in one dimension* (Deisenroth, Faisal & Ong 2020, ch. 11). The second parameter of the
book's N is a variance. The book prints a negative log-likelihood that falls from 28.3 to 14.4 after
five iterations: 14.4 is the value after ONE update, and the value after five is 13.97. The final
parameters that it prints after five iterations are those of convergence. Its N_k (2.058, 2.008,
2.934) are sums of rounded responsibilities; in full precision they are 2.0572, 2.0090, 2.9338.

*Six points in two dimensions* (a lecture). r_31 is printed as 0.003 and is 2.2108e-5; the second
coordinate of the second mean is printed as 6.84 and is 7.5000; the covariance of the second
component is printed with -0.28 off the diagonal and has -0.16669.
"""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from gold.data import read_json

BOOK = read_json("textbook_examples.json")
SEVEN = BOOK["seven_points_1d"]
SIX = BOOK["six_points_2d"]


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=0.0)


def variances(values):
    """(K,) as covariances (K, 1, 1)."""
    return np.array(values, dtype=float)[:, None, None]


def seven_points(n_iterations):
    """EM from the book's start, so many M-steps, nothing else."""
    start = SEVEN["init"]
    model = bm.GaussianMixture(
        3,
        weights_init=start["weights"],
        means_init=np.array(start["means"], dtype=float)[:, None],
        precisions_init=1.0 / variances(start["variances"]),
        tol=0.0,
        max_iter=n_iterations,
        search=None,
        acceleration=None,
    )
    with pytest.warns(ConvergenceWarning):
        return model.fit(np.array(SEVEN["X"])[:, None])


def at(weights, means, covariances):
    return bm.GaussianMixture.from_parameters(weights, means, covariances)


def seven_points_start():
    start = SEVEN["init"]
    return at(
        start["weights"],
        np.array(start["means"], dtype=float)[:, None],
        variances(start["variances"]),
    )


# Seven points in one dimension


def test_seven_points_have_the_books_responsibilities_at_the_start():
    rows, model = np.array(SEVEN["X"])[:, None], seven_points_start()
    assert_close(model.predict_proba(rows), SEVEN["responsibilities"])
    assert_close(model.responsibilities(rows), SEVEN["responsibilities"])
    assert_close(model.predict_proba(rows).sum(axis=0), SEVEN["N_k"])


def test_seven_points_have_the_books_trace():
    likelihoods = -np.array(SEVEN["nll_at_init_and_after_each_iteration"])
    rows = np.array(SEVEN["X"])[:, None]
    assert_close(seven_points_start().score_samples(rows).sum(), likelihoods[0])
    n_iterations = len(likelihoods) - 1
    model = seven_points(n_iterations)
    assert model.n_iter_ == n_iterations
    assert_close(model.objective_trace_, likelihoods[1:])
    assert_close(model.log_likelihood_, likelihoods[-1])
    assert_close(model.lower_bound_, likelihoods[-1] / 7)
    assert_close(model.lower_bounds_, likelihoods[1:] / 7)


@pytest.mark.parametrize("iteration", SEVEN["iterations"], ids=lambda i: i["after_iteration"])
def test_seven_points_have_the_books_parameters_after_every_iteration(iteration):
    model = seven_points(iteration["after_iteration"])
    assert_close(model.weights_, iteration["weights"])
    assert_close(model.means_[:, 0], iteration["means"])
    assert_close(model.covariances_, variances(iteration["variances"]))
    assert_close(model.precisions_, 1.0 / variances(iteration["variances"]))
    assert_close(model.precisions_cholesky_, 1.0 / np.sqrt(variances(iteration["variances"])))


def test_one_m_step_of_seven_points_is_the_books():
    """From the responsibilities themselves: a run begins with the M-step."""
    model = bm.GaussianMixture(
        3,
        init_params=np.array(SEVEN["responsibilities"]),
        tol=0.0,
        max_iter=1,
        search=None,
        acceleration=None,
    )
    with pytest.warns(ConvergenceWarning):
        model.fit(np.array(SEVEN["X"])[:, None])
    assert_close(model.weights_, SEVEN["one_M_step"]["weights"])
    assert_close(model.means_[:, 0], SEVEN["one_M_step"]["means"])
    assert_close(model.covariances_, variances(SEVEN["one_M_step"]["variances"]))


def test_the_published_figures_of_seven_points_hold_to_their_digits_but_for_the_misprints():
    published, trace = SEVEN["published"], SEVEN["nll_at_init_and_after_each_iteration"]
    first, last = seven_points(1), seven_points(12)
    np.testing.assert_allclose(first.means_[:, 0], published["means"], atol=0.05)
    np.testing.assert_allclose(first.covariances_[:, 0, 0], published["variances"], atol=0.005)
    np.testing.assert_allclose(first.weights_, published["weights"], atol=0.005)
    assert round(trace[0], 1) == published["negative_log_likelihood"][0]
    assert round(-first.log_likelihood_, 1) == published["negative_log_likelihood"][1]
    assert round(-seven_points(5).log_likelihood_, 1) == 14.0  # printed: 14.4
    final = "0.29 N(-2.75, 0.06) + 0.28 N(-0.50, 0.25) + 0.43 N(3.64, 1.63)"
    assert published["final"].startswith(final)
    terms = zip(last.weights_, last.means_[:, 0], last.covariances_[:, 0, 0], strict=True)
    assert " + ".join(f"{w:.2f} N({m:.2f}, {v:.2f})" for w, m, v in terms) == final
    counts = seven_points_start().predict_proba(np.array(SEVEN["X"])[:, None]).sum(axis=0)
    np.testing.assert_allclose(counts, published["N_k"], atol=2e-3)
    # Sums of rounded responsibilities: the first two are wrong in their last digit.
    np.testing.assert_array_equal(counts.round(3) == published["N_k"], [False, False, True])


# Six points in two dimensions


def six_points_start():
    identity = np.array([np.eye(2)] * 2)
    return at(SIX["weights"], SIX["means"], identity), np.array(SIX["X"])


def test_six_points_have_the_lectures_densities_and_responsibilities():
    model, rows = six_points_start()
    for k in range(2):
        alone = at([1.0], [SIX["means"][k]], [np.eye(2)])
        assert_close(np.exp(alone.score_samples(rows)), np.array(SIX["densities"])[:, k])
    assert_close(model.predict_proba(rows), SIX["responsibilities"])
    assert_close(model.predict_proba(rows).sum(axis=0), SIX["N_k"])
    assert_close(model.score_samples(rows).sum(), SIX["loglik"])


@pytest.mark.parametrize("from_responsibilities", [False, True])
def test_one_em_step_of_six_points_is_the_lectures(from_responsibilities):
    start = {
        "weights_init": SIX["weights"],
        "means_init": SIX["means"],
        "precisions_init": np.array([np.eye(2)] * 2),
    }
    if from_responsibilities:
        start = {"init_params": np.array(SIX["responsibilities"])}
    model = bm.GaussianMixture(2, tol=0.0, max_iter=1, search=None, acceleration=None, **start)
    with pytest.warns(ConvergenceWarning):
        model.fit(np.array(SIX["X"]))
    for name in ("weights", "means", "covariances"):
        assert_close(getattr(model, f"{name}_"), SIX["one_M_step"][name])


def test_the_misprints_of_six_points_are_not_reproduced():
    model, rows = six_points_start()
    assert model.predict_proba(rows)[2, 0] == pytest.approx(2.2108e-5, rel=1e-4)  # printed 0.003
    step = SIX["one_M_step"]
    assert step["means"][1][1] == pytest.approx(7.5, abs=1e-4)  # printed 6.84
    assert step["covariances"][1][0][1] == pytest.approx(-0.16669, abs=1e-5)  # printed -0.28


# Two densities


def moments_of(weights, means, variances):
    """Mean and variance of a mixture."""
    mean = weights @ means
    return mean, weights @ (variances + (means - mean) ** 2)


def test_the_density_of_three_normals_is_the_books():
    """0.5 N(-2, 1/2) + 0.2 N(1, 2) + 0.3 N(4, 1), the second parameter a variance."""
    book = BOOK["three_normals_density"]
    model = at([0.5, 0.2, 0.3], [[-2.0], [1.0], [4.0]], variances([0.5, 2.0, 1.0]))
    grid = np.array(book["grid"])[:, None]
    assert_close(np.exp(model.score_samples(grid)), book["density_second_parameter_is_variance"])
    mean, variance = moments_of(model.weights_, model.means_[:, 0], np.ravel(model.covariances_))
    assert_close(mean, book["mean"])
    assert_close(variance, book["variance"])


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 1, 1)], ids=["spherical", "diag", "full"])
def test_the_density_of_two_normals_is_the_books(shape):
    """The second parameter is a standard deviation here."""
    book = BOOK["two_normals_1d"]
    covariances = (np.array(book["sigma"]) ** 2).reshape(shape)
    model = at(book["phi"], np.array(book["mu"], dtype=float)[:, None], covariances)
    grid = np.array(book["grid"])[:, None]
    assert_close(np.exp(model.score_samples(grid)), book["density"])
    assert_close(model.predict_proba(grid)[:, 0], book["responsibility_1"])
    mean, variance = moments_of(model.weights_, model.means_[:, 0], np.ravel(model.covariances_))
    assert_close(mean, book["mean"])
    assert_close(variance, book["variance"])
