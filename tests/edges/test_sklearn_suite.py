"""scikit-learn's mixture test-suite, by its public names.

First the suite itself, as installed, run against bayesmix's classes (``run_sklearn_suite``): what
fails is listed here, test by test, with the reason. Then the same facts in a form of our own where
scikit-learn's test rests on a private function, on the wording of a message, or on a choice of its
own. Facts and data shapes after sklearn/mixture/tests of scikit-learn 1.9 (BSD 3-clause, the
scikit-learn developers).
"""

import copy
import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_spd_matrix
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score

from bayesmix import BayesianGaussianMixture, GaussianMixture
from bayesmix.errors import DegenerateComponentWarning

STRUCTURES = ("full", "tied", "diag", "spherical")
PRIORS = ("dirichlet_process", "dirichlet_distribution")

WORDING = "an error or warning of the same class, in other words"
PRIVATE = "calls a private method or function of scikit-learn's class"
CANNOT_HOLD = {
    "test_check_weights": WORDING,
    "test_check_means": WORDING,
    "test_check_precisions": WORDING,
    "test_sample": WORDING,
    "test_gaussian_mixture_fit_convergence_warning": WORDING,
    "test_mixture_n_components_greater_than_n_samples_error": WORDING,
    "test_bayesian_mixture_precisions_prior_initialisation": WORDING,
    "test_gaussian_mixture_n_parameters": PRIVATE,
    "test_gaussian_mixture_aic_bic": PRIVATE,
    "test_gaussian_mixture_precisions_init": PRIVATE,
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": PRIVATE,
    "test_compare_covar_type": PRIVATE,
    "test_bayesian_mixture_mean_prior_initialisation": "wants scikit-learn's default prior, fixed "
    "at the mean with precision 1; ours are the medians and a learned precision (DESIGN, 4)",
    "test_bayesian_mixture_weights": "wants K sticks, renormalised; ours are K - 1, and the last "
    "component takes the rest exactly (Blei & Jordan 2006)",
    "test_check_covariance_precision": "wants n_components components; ours are pruned",
    "test_convergence_detected_with_warm_start": "wants convergence seen in fits of one iteration; "
    "tol='auto' asks for several small gains in a row, a float tol does see it (below)",
    "test_regularisation": "wants reg_covar=0 to fail on two piles of equal rows; ours finds "
    "a density that is finite",
    "test_gaussian_mixture_precisions_init_diag": "wants as many iterations from given precisions "
    "as from those of k-means; ours counts updates, and parameters that are given save the first",
}
ROUNDING = {
    "test_monotonic_likelihood": "wants the bound not to fall by one unit of rounding; ours may by "
    "1e-12 of the sum of its terms (DESIGN, 4)",
    "test_multiple_init": "wants five starts to score no less than one in the last bit; ours reach "
    "one optimum, and on some processors the last bit differs",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "least"),
    [(["test_bayesian_mixture.py", "test_mixture.py"], 13), (["test_gaussian_mixture.py"], 38)],
)
@pytest.mark.nightly
def test_scikit_learns_tests_pass_but_for_those_listed(files, least):
    runner = Path(__file__).with_name("run_sklearn_suite.py")
    done = subprocess.run(
        [sys.executable, str(runner), *files],
        capture_output=True,
        text=True,
        check=True,
    )
    suite = json.loads(done.stdout[done.stdout.index('{\n "') :])
    passed = [name for name, (outcome, _) in suite.items() if outcome == "passed"]
    failed = {name: why for name, (outcome, why) in suite.items() if outcome == "failed"}
    print(f"{len(passed)} of scikit-learn's tests pass, {len(failed)} fail for the reasons listed")
    listed = CANNOT_HOLD | ROUNDING
    assert {name: why for name, why in failed.items() if function_of(name) not in listed} == {}
    # No reason outlives its test.
    here = {function_of(name) for name in suite}
    assert here & set(CANNOT_HOLD) <= {function_of(name) for name in failed}
    assert len(passed) >= least


def function_of(name):
    return name.split("::")[1].split("[")[0]


# The same facts in our own form


class Drawn:
    """Rows of a known mixture, for every structure."""

    def __init__(self, seed=0, n=200, n_components=2, n_features=2, scale=50.0):
        rng = np.random.RandomState(seed)
        K, D = n_components, n_features
        self.n_components, self.n_features = K, D
        weights = 0.5 + rng.rand(K)
        self.weights = weights / weights.sum()
        self.means = rng.rand(K, D) * scale
        full = np.array([make_spd_matrix(D, random_state=rng) * 0.5 for _ in range(K)])
        self.covariances = {
            "full": full,
            "tied": make_spd_matrix(D, random_state=rng),
            "diag": (0.5 + rng.rand(K, D)) ** 2,
            "spherical": 0.5 + rng.rand(K),
        }
        self.labels = np.repeat(np.arange(K), rng.multinomial(n, self.weights))
        self.X = {
            name: self.means[self.labels]
            + np.einsum("nij,nj->ni", self.roots(name)[self.labels], rng.standard_normal((n, D)))
            for name in STRUCTURES
        }

    def dense(self, structure):
        """Covariances (K, D, D)."""
        given, eye = self.covariances[structure], np.eye(self.n_features)
        if structure == "full":
            return given
        if structure == "tied":
            return np.repeat(given[None], self.n_components, axis=0)
        if structure == "diag":
            return np.array([np.diag(row) for row in given])
        return given[:, None, None] * eye

    def roots(self, structure):
        return np.linalg.cholesky(self.dense(structure))

    def precisions(self, structure):
        given = self.covariances[structure]
        return 1.0 / given if structure in ("diag", "spherical") else np.linalg.inv(given)


@pytest.fixture(scope="module")
def drawn():
    return Drawn()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_starting_parameters_are_kept_and_recovered(drawn, structure):
    given = {
        "weights_init": drawn.weights,
        "means_init": drawn.means,
        "precisions_init": drawn.precisions(structure),
    }
    model = GaussianMixture(2, covariance_type=structure, **given)
    labels = model.fit_predict(drawn.X[structure])
    for name, value in given.items():
        np.testing.assert_array_equal(getattr(model, name), value)
    assert adjusted_rand_score(labels, drawn.labels) > 0.95
    np.testing.assert_array_equal(labels, model.predict_proba(drawn.X[structure]).argmax(axis=1))
    np.testing.assert_allclose(model.means_, drawn.means, atol=0.4)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_no_iteration_leaves_the_given_parameters(drawn, structure):
    model = GaussianMixture(
        2,
        covariance_type=structure,
        weights_init=drawn.weights,
        means_init=drawn.means,
        precisions_init=drawn.precisions(structure),
        max_iter=0,
    ).fit(drawn.X[structure])
    assert model.n_iter_ == 0
    assert not model.converged_
    np.testing.assert_allclose(model.weights_, drawn.weights, rtol=1e-12)
    np.testing.assert_allclose(model.means_, drawn.means, rtol=1e-12)
    np.testing.assert_allclose(model.precisions_, drawn.precisions(structure), rtol=1e-10)
    np.testing.assert_allclose(model.covariances_, drawn.covariances[structure], rtol=1e-10)


@pytest.mark.parametrize("start", ["kmeans", "k-means++", "random", "random_from_data"])
def test_no_iteration_gives_distinct_starting_means_within_the_data(drawn, start):
    X = drawn.X["full"]
    model = GaussianMixture(2, init_params=start, max_iter=0, random_state=0).fit(X)
    assert not np.allclose(*model.means_)
    assert (X.min(axis=0) <= model.means_).all()
    assert (model.means_ <= X.max(axis=0)).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights_init", [[0.5], [0.5]]),
        ("weights_init", [1.2, -0.2]),
        ("weights_init", [0.2, 0.2]),
        ("means_init", [[0.0, 0.0]]),
        ("means_init", [["a", "b"], ["c", "d"]]),
        ("precisions_init", np.ones((2, 3, 3))),
        ("precisions_init", np.array([[[1.0, 0.5], [0.0, 1.0]]] * 2)),
        ("precisions_init", np.array([np.diag([1.0, -1.0])] * 2)),
    ],
)
def test_a_bad_starting_parameter_is_named(drawn, name, value):
    with pytest.raises(ValueError, match=name):
        GaussianMixture(2, **{name: value}).fit(drawn.X["full"])


@pytest.mark.parametrize("structure", ["diag", "spherical", "tied"])
def test_negative_precisions_are_refused_in_every_structure(drawn, structure):
    with pytest.raises(ValueError, match="precisions_init"):
        GaussianMixture(
            2, covariance_type=structure, precisions_init=-drawn.precisions(structure)
        ).fit(drawn.X[structure])


@pytest.mark.parametrize("structure", STRUCTURES)
def test_parameters_of_the_generator_are_recovered(structure):
    drawn = Drawn(seed=1, n=2000, scale=20.0)
    model = GaussianMixture(
        2, covariance_type=structure, reg_covar=0, n_init=3, random_state=0
    ).fit(drawn.X[structure])
    theirs, ours = np.argsort(drawn.means[:, 0]), np.argsort(model.means_[:, 0])
    np.testing.assert_allclose(model.weights_[ours], drawn.weights[theirs], atol=0.05)
    np.testing.assert_allclose(model.means_[ours], drawn.means[theirs], atol=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
@pytest.mark.parametrize("max_iter", [2, 300])
@pytest.mark.parametrize("tol", [1e-7, 1e-1])
@pytest.mark.filterwarnings("ignore:.*did not converge.*")
def test_fit_predict_is_fit_then_predict(drawn, kind, max_iter, tol):
    for structure in STRUCTURES:
        model = kind(
            n_components=2, covariance_type=structure, max_iter=max_iter, tol=tol, random_state=0
        )
        X = drawn.X[structure]
        apart = copy.deepcopy(model).fit(X).predict(X)
        np.testing.assert_array_equal(model.fit_predict(X), apart)


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_what_needs_a_fit_says_so(drawn, kind):
    model, X = kind(n_components=2), drawn.X["full"]
    for method in ("predict", "predict_proba", "score", "score_samples", "bic", "aic"):
        with pytest.raises(NotFittedError, match=f"This {kind.__name__} instance is not fitted"):
            getattr(model, method)(X)
    with pytest.raises(NotFittedError, match="not fitted"):
        model.sample(1)


@pytest.mark.parametrize(
    ("structure", "free"), [("full", 41), ("tied", 26), ("diag", 21), ("spherical", 13)]
)
def test_free_parameters_are_counted_as_in_the_criteria(structure, free):
    X = np.random.RandomState(0).randn(50, 5)
    model = GaussianMixture(2, covariance_type=structure, random_state=0).fit(X)
    log_likelihood = 50 * model.score(X)
    assert model.aic(X) == pytest.approx(2 * free - 2 * log_likelihood, rel=1e-12)
    assert model.bic(X) == pytest.approx(free * np.log(50) - 2 * log_likelihood, rel=1e-12)
    assert model.bic() == pytest.approx(model.bic(X), rel=1e-12)


def test_one_component_in_one_dimension_is_the_same_model_in_every_structure():
    X = np.random.RandomState(0).randn(100, 1)
    bic = [GaussianMixture(1, covariance_type=name).fit(X).bic(X) for name in STRUCTURES]
    np.testing.assert_allclose(bic, bic[0], rtol=1e-12)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_precisions_are_inverse_covariances(drawn, structure):
    model = GaussianMixture(2, covariance_type=structure, random_state=0).fit(drawn.X[structure])
    if structure in ("diag", "spherical"):
        np.testing.assert_allclose(model.precisions_ * model.covariances_, 1.0)
        np.testing.assert_allclose(model.precisions_cholesky_**2, model.precisions_)
        return
    roots = model.precisions_cholesky_
    np.testing.assert_allclose(
        model.precisions_ @ model.covariances_,
        np.broadcast_to(np.eye(2), model.covariances_.shape),
        atol=1e-10,
    )
    np.testing.assert_allclose(roots @ np.swapaxes(roots, -1, -2), model.precisions_, rtol=1e-9)
    np.testing.assert_allclose(np.tril(roots, -1), 0.0, atol=0.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*did not converge.*")
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_bound_does_not_fall_over_refits_of_one_iteration(drawn, structure):
    X = drawn.X[structure]
    for kind in (GaussianMixture, BayesianGaussianMixture):
        model = kind(
            n_components=2,
            covariance_type=structure,
            max_iter=1,
            warm_start=True,
            tol=1e-7,
            random_state=0,
            init_params="random",
        )
        before = -np.inf
        for _ in range(300):
            model.fit(X)
            assert model.lower_bound_ >= before - 1e-12 * abs(model.lower_bound_)
            before = model.lower_bound_
            if model.converged_:
                break
        assert model.converged_


@pytest.mark.filterwarnings("ignore:.*did not converge.*")
def test_two_fits_of_one_iteration_are_one_of_two(drawn):
    X = np.random.RandomState(0).rand(500, 2)
    options = {"n_components": 2, "reg_covar": 0, "random_state": 0}
    whole = GaussianMixture(max_iter=2, **options).fit(X)
    halves = GaussianMixture(max_iter=1, warm_start=True, **options).fit(X)
    first = halves.score(X)
    halves.fit(X)
    assert halves.score(X) > first
    for name in ("weights_", "means_", "precisions_"):
        np.testing.assert_allclose(getattr(halves, name), getattr(whole, name), rtol=1e-9)


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_one_iteration_is_counted_as_one_and_warned_of(kind):
    X = np.random.RandomState(0).rand(10, 2)
    with pytest.warns(ConvergenceWarning, match="did not converge within max_iter=1"):
        model = kind(max_iter=1).fit(X)
    assert model.n_iter_ == 1
    assert len(model.lower_bounds_) == 1


@pytest.mark.filterwarnings("ignore:.*did not converge.*")
def test_more_starts_are_never_worse():
    for seed in range(5):
        X = Drawn(seed=seed, n=50, scale=1.0).X["full"]
        one, ten = (
            GaussianMixture(2, n_init=n, max_iter=1, random_state=seed).fit(X).lower_bound_
            for n in (1, 10)
        )
        assert ten >= one


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
def test_samples_have_the_moments_of_their_components(structure):
    drawn = Drawn(seed=2, n_components=3, scale=7.0)
    model = GaussianMixture(3, covariance_type=structure, random_state=0).fit(drawn.X[structure])
    X, labels = model.sample(20_000)
    assert X.shape == (20_000, 2)
    dense = GaussianMixture.from_parameters(model.weights_, model.means_, model.covariances_)
    assert dense.covariance_type == structure
    for k in range(3):
        rows = X[labels == k]
        # Five standard errors of a mean and of a variance: one false alarm in 10,000 runs.
        error = 5.0 * rows.std(axis=0) / np.sqrt(len(rows))
        assert (np.abs(rows.mean(axis=0) - model.means_[k]) < error).all()
    for n in range(1, 20):
        assert model.sample(n)[0].shape == (n, 2)
    with pytest.raises(ValueError, match="n_samples"):
        model.sample(0)


@pytest.mark.filterwarnings("ignore:.*did not converge.*")
def test_verbose_prints_scikit_learns_lines(drawn):
    heard = io.StringIO()
    with redirect_stdout(heard):
        GaussianMixture(
            2, verbose=1, verbose_interval=2, tol=0.0, max_iter=6, search=None, random_state=0,
            n_init=2, init_params="random",
        ).fit(drawn.X["full"][:50])  # fmt: skip
    lines = heard.getvalue().splitlines()
    assert lines[:4] == ["Initialization 0", "  Iteration 2", "  Iteration 4", "  Iteration 6"]
    assert lines[4] == "Initialization 1"
    assert lines[-1] in ("Initialization converged.", "Initialization did not converge.")


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_priors_that_are_given_are_the_ones_used(drawn, prior, structure):
    covariance = {"full": np.eye(2), "tied": np.eye(2), "diag": np.ones(2), "spherical": 1.0}
    model = BayesianGaussianMixture(
        n_components=2,
        covariance_type=structure,
        weight_concentration_prior_type=prior,
        weight_concentration_prior=0.3,
        mean_precision_prior=0.7,
        mean_prior=[1.0, 2.0],
        degrees_of_freedom_prior=4.5,
        covariance_prior=covariance[structure],
        random_state=0,
    ).fit(drawn.X[structure])
    assert model.weight_concentration_prior_ == 0.3
    assert model.mean_precision_prior_ == 0.7
    assert model.degrees_of_freedom_prior_ == 4.5
    np.testing.assert_allclose(model.mean_prior_, [1.0, 2.0], rtol=1e-12)
    np.testing.assert_allclose(model.covariance_prior_, covariance[structure], rtol=1e-12)
    assert adjusted_rand_score(model.predict(drawn.X[structure]), drawn.labels) > 0.95


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_concentration_prior", 0.0),
        ("mean_precision_prior", 0.0),
        ("mean_prior", [1.0, 2.0, 3.0]),
        ("degrees_of_freedom_prior", 1.0),
        ("covariance_prior", np.eye(3)),
        ("covariance_prior", -np.eye(2)),
        ("covariance_prior", [[1.0, 0.5], [0.0, 1.0]]),
    ],
)
def test_a_bad_prior_is_named(drawn, name, value):
    with pytest.raises(ValueError, match=name):
        BayesianGaussianMixture(n_components=2, **{name: value}).fit(drawn.X["full"])


def test_weights_are_the_means_of_their_posteriors():
    X = np.random.RandomState(0).rand(30, 2)
    options = {"n_components": 3, "prune": False, "search": None, "random_state": 0}
    dirichlet = BayesianGaussianMixture(
        weight_concentration_prior_type="dirichlet_distribution", **options
    ).fit(X)
    concentration = dirichlet.weight_concentration_
    np.testing.assert_allclose(dirichlet.weights_, concentration / concentration.sum(), rtol=1e-12)
    sticks = BayesianGaussianMixture(**options).fit(X)
    first, rest = sticks.weight_concentration_
    broken = np.append(first / (first + rest), 1.0)
    left = np.append(1.0, np.cumprod(1.0 - broken[:-1]))
    np.testing.assert_allclose(sticks.weights_, broken * left, rtol=1e-12)
    assert sticks.weights_.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("prior", PRIORS)
def test_a_shift_of_the_data_shifts_the_means_and_nothing_else(prior):
    X = Drawn(seed=3, scale=100.0).X["full"]
    options = {
        "n_components": 4,
        "weight_concentration_prior_type": prior,
        "reg_covar": 0,
        "random_state": 0,
    }
    here = BayesianGaussianMixture(**options).fit(X)
    there = BayesianGaussianMixture(**options).fit(X + 100)
    np.testing.assert_allclose(here.means_, there.means_ - 100, atol=1e-7)
    np.testing.assert_allclose(here.weights_, there.weights_, atol=1e-7)
    np.testing.assert_allclose(here.covariances_, there.covariances_, atol=1e-7)


def test_more_components_than_rows_are_refused_with_both_numbers():
    X = np.random.RandomState(0).rand(10, 5)
    for kind in (GaussianMixture, BayesianGaussianMixture):
        with pytest.raises(ValueError, match=r"n_components=12 .*n_samples = 10"):
            kind(n_components=12).fit(X)


@pytest.mark.parametrize("reg_covar", [0, 1e-2])
def test_two_piles_of_equal_rows_give_a_finite_density(reg_covar):
    X = np.vstack([np.ones((5, 5)), np.zeros((5, 5))])
    model = GaussianMixture(2, covariance_type="diag", reg_covar=reg_covar, random_state=0)
    with pytest.warns(DegenerateComponentWarning, match="the likelihood has no maximum"):
        model.fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    assert (model.covariances_ > reg_covar).all()
    np.testing.assert_allclose(np.sort(model.means_, axis=0), [[0.0] * 5, [1.0] * 5], atol=1e-3)


def test_verbose_names_the_starts_and_moves_that_improved_a_search(drawn):
    heard = io.StringIO()
    with redirect_stdout(heard):
        model = GaussianMixture(3, verbose=1, verbose_interval=1, n_init=5, random_state=0)
        model.fit(drawn.X["full"][:200])
    lines = heard.getvalue().splitlines()
    told = [line for line in lines if line.startswith("  ") and "Iteration" not in line]
    assert len(lines) < 60
    assert lines[0] == "Initialization 0"
    assert sum(line.endswith("first optimum") for line in told) == 5
    for line in told:
        assert re.fullmatch(
            r"  (start \d+|(merge|split|divide) .*): (first optimum|\+.* nats)", line
        )
