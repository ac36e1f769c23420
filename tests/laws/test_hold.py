"""Held and equal parameters: the optimum of a direct optimiser, degrees of freedom, errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, logsumexp, softmax
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError

NAN = np.nan
OPTIMUM = 1e-6  # largest gain of a direct optimiser, in nats


def clusters(seed: int = 5, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Three correlated clusters in columns of unlike units, and their means."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0.0, 3.0, (3, 2))
    turns = 0.5 * rng.normal(size=(3, 2, 2)) + np.eye(2)
    labels = rng.integers(0, 3, n)
    away = np.einsum("nij,nj->ni", turns[labels], rng.normal(size=(n, 2)))
    scale, origin = np.array([100.0, 0.1]), np.array([5000.0, 2.0])
    return (means[labels] + away) * scale + origin, means * scale + origin


def log_likelihood(X, weights, means, covariances) -> float:
    logs = [
        np.log(w) + stats.multivariate_normal(m, c).logpdf(X)
        for w, m, c in zip(weights, means, covariances, strict=True)
    ]
    return float(logsumexp(logs, axis=0).sum())


def gain_of_free_steps(negative, steps) -> float:
    """The gain of L-BFGS from a fit, at which ``steps`` are 0."""
    best = minimize(negative, steps, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-8})
    return float(negative(steps) - best.fun)


def moved_normals(model, steps, units, free_means, groups, free_covariances):
    """Weights, means and full covariances at steps along free parameters."""
    D = model.means_.shape[1]
    steps = iter(steps)
    means, covariances = model.means_.copy(), model.covariances_.copy()
    for label in np.unique(groups):
        members = groups == label
        for d in range(D):
            if free_means[members, d].all():
                means[members, d] += units[d] * next(steps)
    places = np.tril_indices(D)
    for k in np.flatnonzero(free_covariances):
        root = np.linalg.cholesky(covariances[k])
        root[places] *= 1.0 + np.array([next(steps) for _ in places[0]])
        covariances[k] = root @ root.T
    return means, covariances, np.array(list(steps))


@pytest.mark.slow
@pytest.mark.parametrize("groups", [[0, 1, 2], [0, 0, 1]])
@pytest.mark.parametrize("held_covariance", [False, True])
@pytest.mark.parametrize("part", [False, True])
def test_partly_held_and_equal_normals_are_at_the_optimum_of_l_bfgs(groups, held_covariance, part):
    X, centres = clusters()
    groups, hold = np.array(groups), {}
    free_means, free_covariances = np.ones((3, 2), dtype=bool), np.ones(3, dtype=bool)
    if part:
        hold["means"] = np.full((3, 2), NAN)
        hold["means"][2] = centres[2]
        hold["means"][0, 1] = centres[0, 1]
        free_means = np.isnan(hold["means"])
    if held_covariance:
        hold["covariances"] = np.full((3, 2, 2), NAN)
        hold["covariances"][1] = np.diag([1e4, 0.01]) + 2.0 * (1 - np.eye(2))
        free_covariances[1] = False
    model = bm.GaussianMixture(
        3, hold=hold, equal={"means": groups}, random_state=0, max_iter=3000
    ).fit(X)
    units = X.std(axis=0)

    def negative(steps) -> float:
        means, covariances, rest = moved_normals(
            model, steps, units, free_means, groups, free_covariances
        )
        weights = softmax(np.log(model.weights_) + np.append(0.0, rest))
        return -log_likelihood(X, weights, means, covariances)

    assert -negative(np.zeros(model.n_parameters_)) == pytest.approx(model.log_likelihood_)
    assert gain_of_free_steps(negative, np.zeros(model.n_parameters_)) < OPTIMUM
    assert np.diff(model.objective_trace_).min() > -1e-9
    held = ~free_means
    assert (model.means_[held] == np.asarray(hold.get("means", model.means_))[held]).all()
    for label in np.unique(groups):
        assert (np.ptp(model.means_[groups == label], axis=0) == 0.0).all()


def test_the_gradient_of_free_weights_vanishes_beside_held_ones() -> None:
    X, _ = clusters(6)
    model = bm.GaussianMixture(3, hold={"weights": [NAN, 0.3, NAN]}, random_state=0).fit(X)
    assert model.weights_[1] == 0.3

    def likelihood(steps) -> float:
        weights = model.weights_ + np.array([steps[0], 0.0, -steps[0]])
        return log_likelihood(X, weights, model.means_, model.covariances_)

    assert abs(approx_fprime(np.zeros(1), likelihood, 1e-7)[0]) < 0.1
    assert model.n_parameters_ == bm.GaussianMixture(3).fit(X).n_parameters_ - 1


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["tied", "diag", "spherical", "EII", "EEI", "VEE", "EVI"])
def test_every_covariance_structure_allows_held_means(structure) -> None:
    X, centres = clusters(7)
    X, centres = X / X.std(axis=0), centres / X.std(axis=0)
    hold = {"means": [[centres[0, 0], NAN], centres[1]]}
    settings = {"covariance_type": structure, "random_state": 0, "max_iter": 2000}
    model = bm.GaussianMixture(3, hold=hold, **settings).fit(X)
    assert model.means_[0, 0] == centres[0, 0]
    assert (model.means_[1] == centres[1]).all()
    assert np.diff(model.objective_trace_).min() > -1e-9
    free = bm.GaussianMixture(3, **settings).fit(X)
    assert model.n_parameters_ == free.n_parameters_ - 3
    covariances = np.array([part.covariances[0] for part in parts_of(model)])

    def likelihood(steps) -> float:
        means = model.means_.copy()
        means[0, 1] += steps[0]
        means[2] += steps[1:]
        return log_likelihood(X, model.weights_, means, covariances)

    assert np.abs(approx_fprime(np.zeros(3), likelihood, 1e-7)).max() < 0.1


def parts_of(model):
    components = model.result_.unframed
    return [components.predictive().marginal(np.arange(2)).subset(np.array([k])) for k in range(3)]


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_equal_covariances_are_the_average_scatter_of_their_components(structure) -> None:
    X, _ = clusters(8)
    X = X / X.std(axis=0)
    model = bm.GaussianMixture(
        3,
        covariance_type=structure,
        equal={"covariances": [0, 1, 1]},
        random_state=0,
        max_iter=2000,
    ).fit(X)
    shares = model.predict_proba(X)[:, 1:]
    scatter = sum(
        (shares[:, k, None] * (X - mean)).T @ (X - mean) for k, mean in enumerate(model.means_[1:])
    )
    expected = scatter / shares.sum()
    if structure == "diag":
        expected = expected.diagonal()
    elif structure == "spherical":
        expected = expected.diagonal().mean()
    np.testing.assert_allclose(model.covariances_[1], expected, rtol=1e-3)
    np.testing.assert_array_equal(model.covariances_[1], model.covariances_[2])


def test_held_rates_are_at_the_optimum() -> None:
    rng = np.random.default_rng(1)
    X = rng.poisson(np.array([[3.0, 8.0], [9.0, 5.0]])[rng.integers(0, 2, 400)])
    hold = {"rates": [[3.0, NAN]]}
    model = bm.Mixture(2, family=bm.Poisson(), hold=hold, random_state=0, max_iter=2000).fit(X)
    assert model.rates_[0, 0] == pytest.approx(3.0, rel=1e-15)

    def negative(steps) -> float:
        rates = model.rates_.copy()
        rates.ravel()[1:] *= np.exp(steps[:3])
        weights = softmax(np.log(model.weights_) + np.array([0.0, steps[3]]))
        logs = stats.poisson(rates).logpmf(X[:, None]).sum(axis=2) + np.log(weights)
        return -float(logsumexp(logs, axis=1).sum())

    assert -negative(np.zeros(4)) == pytest.approx(model.log_likelihood_)
    assert gain_of_free_steps(negative, np.zeros(4)) < OPTIMUM
    assert model.n_parameters_ == 4


@pytest.mark.slow
def test_states_with_equal_rates_differ_in_their_durations() -> None:
    rng = np.random.default_rng(2)
    stays = rng.choice([3, 40], 60)
    paths = np.concatenate([np.r_[np.zeros(stay), np.ones(10)] for stay in stays]).astype(int)
    X = rng.poisson(np.array([2.0, 12.0])[paths])[:, None]
    settings = {"family": bm.Poisson(), "random_state": 0}
    model = bm.HiddenMarkovModel(3, equal={"rates": [0, 0, 1]}, **settings).fit(X)
    assert model.rates_[0] == model.rates_[1]
    plain = bm.HiddenMarkovModel(2, **settings).fit(X)
    assert model.log_likelihood_ > plain.log_likelihood_ + 10.0
    assert model.n_parameters_ == 2 + 6 + 2


def test_held_probabilities_are_at_the_optimum() -> None:
    rng = np.random.default_rng(2)
    truth = np.array([[0.9, 0.8, 0.2], [0.3, 0.4, 0.7]])
    X = (rng.random((500, 3)) < truth[rng.integers(0, 2, 500)]).astype(int)
    hold = {"probabilities": [[0.9, NAN, 0.2], [NAN, 0.4, NAN]]}
    model = bm.Mixture(
        2, family=bm.Bernoulli(), hold=hold, equal={"weights": True}, random_state=0, max_iter=2000
    ).fit(X)
    free = np.isnan(hold["probabilities"])
    assert (model.weights_ == 0.5).all()

    def negative(steps) -> float:
        p = model.probabilities_.copy()
        p[free] = expit(np.log(p[free] / (1.0 - p[free])) + steps)
        logs = (X[:, None] * np.log(p) + (1 - X[:, None]) * np.log1p(-p)).sum(axis=2)
        return -float(logsumexp(logs + np.log(0.5), axis=1).sum())

    assert -negative(np.zeros(3)) == pytest.approx(model.log_likelihood_)
    assert gain_of_free_steps(negative, np.zeros(3)) < OPTIMUM
    assert model.n_parameters_ == 3


def test_rows_of_probabilities_of_levels_are_held() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 400)
    X = np.c_[np.where(rng.random(400) < 0.8, labels, 1 - labels), rng.integers(0, 3, 400)]
    hold = {"probabilities": [[[0.8, 0.2]], None]}
    model = bm.Mixture(2, family=bm.Categorical(), hold=hold, random_state=0).fit(X)
    assert model.probabilities_[0][0].tolist() == [0.8, 0.2]
    free = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(X)
    assert model.n_parameters_ == free.n_parameters_ - 1


@pytest.mark.slow
def test_transitions_that_are_held_at_zero_order_the_states() -> None:
    rng = np.random.default_rng(4)
    moves = np.array([[0.9, 0.1, 0.0], [0.0, 0.93, 0.07], [0.0, 0.0, 1.0]])
    paths = []
    for _ in range(20):
        path = [0]
        for _ in range(39):
            path.append(rng.choice(3, p=moves[path[-1]]))
        paths += path
    X = rng.normal(np.array([0.0, 2.0, 0.5])[paths], 1.0)[:, None]
    hold = {"transmat": [[NAN, NAN, 0], [0, NAN, NAN], [0, 0, 1]], "startprob": [1, 0, 0]}
    model = bm.HiddenMarkovModel(3, hold=hold, random_state=0).fit(X, lengths=[40] * 20)
    assert model.n_parameters_ == 8
    assert np.abs(model.transmat_ - moves).max() < 0.05

    def negative(steps) -> float:
        move, deviations = model.transmat_.copy(), np.sqrt(model.covariances_.ravel())
        for j in (0, 1):
            move[j, j] = expit(np.log(move[j, j] / move[j, j + 1]) + steps[j])
            move[j, j + 1] = 1.0 - move[j, j]
        density = stats.norm(model.means_.ravel() + steps[2:5], deviations * np.exp(steps[5:]))
        likelihood = density.pdf(X).reshape(20, 40, 3)
        total = 0.0
        for sequence in likelihood:
            state = np.array([1.0, 0.0, 0.0])
            for now, here in enumerate(sequence):
                state = (state @ move if now else state) * here
                total += np.log(state.sum())
                state /= state.sum()
        return -total

    assert -negative(np.zeros(8)) == pytest.approx(model.log_likelihood_)
    assert gain_of_free_steps(negative, np.zeros(8)) < OPTIMUM


def test_held_parameters_have_no_standard_errors_and_equal_ones_the_same() -> None:
    X, centres = clusters(9, 400)
    model = bm.GaussianMixture(
        3, hold={"means": [centres[0]]}, equal={"covariances": [0, 1, 1]}, random_state=0
    ).fit(X)
    for kind in ("information", "sandwich"):
        errors = model.parameter_table(X, kind)["standard_error"]
        assert (errors.loc["mean", :, :, "class 1"] == 0.0).all()
        own = [errors.loc["variance", :, :, f"class {k}"].to_numpy() for k in (2, 3)]
        np.testing.assert_allclose(*own, rtol=1e-6)


def test_errors_beside_a_held_mean_are_those_of_the_curvature() -> None:
    X = np.random.default_rng(3).normal(1.0, 2.0, (200, 1))
    model = bm.GaussianMixture(1, hold={"means": [[0.5]]}, random_state=0).fit(X)
    variance = float(((X - 0.5) ** 2).mean())
    assert model.covariances_.item() == pytest.approx(variance)
    errors = model.parameter_table(X)["standard_error"]
    assert errors.loc["variance"].item() == pytest.approx(variance * np.sqrt(2 / 200), rel=1e-4)


def test_the_held_component_keeps_its_place_and_the_others_are_sorted() -> None:
    rng = np.random.default_rng(5)
    X = np.r_[rng.normal(0, 1, 50), rng.normal(20, 1, 100), rng.normal(40, 1, 300)][:, None]
    hold = {"means": [[NAN], [0.0]]}
    model = bm.GaussianMixture(3, hold=hold, random_state=0).fit(X)
    np.testing.assert_allclose(model.means_.ravel(), [40.0, 0.0, 20.0], atol=0.5)


def test_a_search_counts_components_beside_the_held_one() -> None:
    rng = np.random.default_rng(6)
    X = np.r_[rng.normal(0, 1, 200), rng.normal(6, 1, 200)][:, None]
    search = bm.select(X, hold={"means": [[0.0]]}, n_components=[1, 2, 3])
    assert search.best_params_["n_components"] == 2
    assert search.best_estimator_.means_[0, 0] == 0.0


@pytest.mark.slow
def test_noise_missing_values_labels_and_batches_go_with_held_means() -> None:
    X, centres = clusters(10)
    hold = {"means": [centres[1]]}
    given = {"hold": hold, "random_state": 0}
    gaps = X.copy()
    gaps[::9, 0] = NAN
    known = np.where(np.arange(len(X)) < 30, 0, -1)
    batches = bm.GaussianMixture(3, **given).partial_fit(X[:150])
    with pytest.warns(ConvergenceWarning):
        one_step = bm.GaussianMixture(3, max_iter=1, **given).fit(X)
    for model in (
        bm.GaussianMixture(3, noise=True, **given).fit(X),
        bm.GaussianMixture(3, missing="use", **given).fit(gaps),
        bm.GaussianMixture(3, **given).fit(X, labels=known),
        one_step,
        batches.partial_fit(X[150:]),
    ):
        assert (model.means_[0] == centres[1]).all()


def test_a_saved_model_keeps_what_was_held(tmp_path) -> None:
    X, centres = clusters(11)
    model = bm.GaussianMixture(3, hold={"means": [centres[0]]}, random_state=0).fit(X)
    model.save(tmp_path / "held.bayesmix")
    loaded = bm.load(tmp_path / "held.bayesmix")
    assert loaded.n_parameters_ == model.n_parameters_
    assert loaded.hold["means"][0].tolist() == centres[0].tolist()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"hold": {"mean": [[0.0, 0.0]]}},
            r"no parameter 'mean'.* weights and means",
        ),
        ({"hold": {"means": [[0.0]]}}, r"shape \(2, 2\)"),
        ({"hold": {"means": np.zeros((3, 2))}}, "3 rows, but n_components=2"),
        ({"hold": {"means": [[0.0, np.inf]]}}, r"hold\['means'\]\[0, 1\] must be finite"),
        ({"hold": {"weights": [0.5, 0.6]}}, "must sum to 1, got a sum of 1.1"),
        ({"hold": {"weights": [1.0]}}, "leaves nothing for component 2"),
        ({"hold": {"weights": [-0.1]}}, r"hold\['weights'\]\[0\]"),
        ({"hold": {"covariances": [[[1.0, 2.0], [2.0, 1.0]]]}}, r"\[0\] must be positive definite"),
        ({"hold": {"covariances": [[[1.0, NAN], [0.0, 1.0]]]}}, r"cell \[0, 1\]"),
        ({"hold": [0.0]}, "hold must map names"),
        ({"equal": {"means": [0, 0, 1]}}, "n_components=2"),
        ({"equal": {"weights": False}}, "must be True"),
        (
            {"hold": {"means": [[0.0, 1.0], [0.0, 2.0]]}, "equal": {"means": True}},
            "different values for components 0 and 1",
        ),
        ({"hold": {"means": [[0.0, 0.0]]}, "prior": "auto"}, "need maximum likelihood"),
        (
            {"hold": {"covariances": [np.eye(2)]}, "covariance_type": "VEE"},
            "cannot be held or equal",
        ),
    ],
)
def test_wrong_restrictions_name_the_cell(given, words) -> None:
    X, _ = clusters(12)
    with pytest.raises((InvalidInputError, UnsupportedError), match=words):
        bm.GaussianMixture(2, random_state=0, **given).fit(X)


def test_families_with_several_parameters_hold_only_weights() -> None:
    with pytest.raises(InvalidInputError, match=r"only weights: .* Gaussian, Poisson"):
        bm.Mixture(2, family=bm.Gamma(), hold={"rates": [[1.0]]}).fit([[1.0], [2.0], [3.0]])
    with pytest.raises(InvalidInputError, match=r"hold\['rates'\]\[0, 0\] must be at least 0"):
        bm.Mixture(2, family=bm.Poisson(), hold={"rates": [[-1.0]]}).fit([[1], [2], [3]])


def test_select_says_that_held_parameters_have_no_posterior():
    rows = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(UnsupportedError, match=r"need maximum likelihood fits.*'elbo_log_k'.*bic"):
        bm.select(rows, criterion="elbo_log_k", hold={"means": [[0.0, 0.0]]})
