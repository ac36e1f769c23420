"""The slow references agree with published figures, with one another, with SciPy and mpmath."""

import json
from itertools import product
from pathlib import Path

import mpmath
import numpy as np
import pytest
from reference import COVARIANCE_KINDS, exact, learned_scale, prior_from_covariance
from reference import slow_em as em
from reference import slow_vb as vb
from scipy import integrate, stats
from scipy.special import gammaln, logsumexp

DATA = Path(__file__).parent / "data"
GOLD = json.loads((DATA / "variational_faithful.json").read_text())["cases"]
MCLUST_NAMES = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
NORMALISED_WEIGHTS = ("dirichlet", "dp_closed")


def read_csv(name, **options):
    return np.loadtxt(DATA / name, delimiter=",", skiprows=1, **options)


def make_prior(kind, dimension, seed=0, alpha0=1.5):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(dimension, dimension))
    scale_inverse = {
        "full": root @ root.T + np.eye(dimension),
        "tied": root @ root.T + np.eye(dimension),
        "diag": rng.uniform(0.5, 2, dimension),
        "spherical": 0.8,
    }
    return prior_from_covariance(
        kind,
        covariance_prior=scale_inverse[kind],
        nu0=dimension + 1.7,
        beta0=0.4,
        m0=rng.normal(size=dimension),
        alpha0=alpha0,
    )


def tiny_rows(n, dimension, seed=1):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, dimension))
    rows[: n // 2] += 1.5
    return rows


def random_responsibilities(n, n_components, seed=2):
    return np.random.default_rng(seed).dirichlet(np.ones(n_components), size=n)


def draw_precisions(q_or_prior, kind, dimension, rng, n_draws):
    """Draws of Lambda ~ Wishart(W, nu) or its diag or spherical counterpart, (n_draws, D, D)."""
    scale, dof = q_or_prior
    if kind in ("full", "tied"):
        draws = stats.wishart.rvs(dof, scale, size=n_draws, random_state=rng)
        return draws.reshape(n_draws, dimension, dimension)
    shape = (n_draws, dimension) if kind == "diag" else (n_draws, 1)
    values = rng.gamma(dof / 2, 2 * np.asarray(scale), size=shape)
    return values[:, :, None] * np.eye(dimension)


# EM


def test_em_reproduces_the_textbook_trace_in_one_dimension():
    book = json.loads((DATA / "textbook_examples.json").read_text())["seven_points_1d"]
    rows = np.array(book["X"])[:, None]
    start = em.Mixture(
        np.array(book["init"]["weights"]),
        np.array(book["init"]["means"], dtype=float)[:, None],
        np.array(book["init"]["variances"])[:, None, None],
    )
    likelihoods = -np.array(book["nll_at_init_and_after_each_iteration"])
    assert em.log_likelihood(rows, start) == pytest.approx(likelihoods[0], rel=1e-14)
    responsibilities = em.e_step(rows, start)
    np.testing.assert_allclose(responsibilities, book["responsibilities"], rtol=1e-11)
    n_iterations = len(likelihoods) - 1
    run = em.run_em(rows, responsibilities, "full", n_iterations)
    np.testing.assert_allclose(run.trace, likelihoods[1:], rtol=1e-12)
    last = book["iterations"][n_iterations - 1]
    np.testing.assert_allclose(run.mixture.weights, last["weights"], rtol=1e-12)
    np.testing.assert_allclose(run.mixture.means[:, 0], last["means"], rtol=1e-12)
    np.testing.assert_allclose(run.mixture.covariances[:, 0, 0], last["variances"], rtol=1e-12)


def test_em_reproduces_the_textbook_step_in_two_dimensions():
    book = json.loads((DATA / "textbook_examples.json").read_text())["six_points_2d"]
    rows = np.array(book["X"])
    start = em.Mixture(
        np.array(book["weights"]), np.array(book["means"]), np.array([np.eye(2)] * 2)
    )
    assert em.log_likelihood(rows, start) == pytest.approx(book["loglik"], rel=1e-13)
    step = em.m_step(rows, em.e_step(rows, start), "full")
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(step, name), book["one_M_step"][name], rtol=1e-12)


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_em_reaches_the_likelihood_of_mclust(kind):
    mclust = json.loads((DATA / "mclust_bic_iris.json").read_text())["tight_tol"]["loglik"]
    rows = read_csv("iris.csv", usecols=range(4))
    run = em.run_em(rows, read_csv("iris_z_G3.csv"), kind, 100)
    assert run.trace[-1] == pytest.approx(mclust[MCLUST_NAMES[kind]]["3"], abs=1e-6)
    assert np.diff(run.trace).min() > -1e-10


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_row_weights_of_em_and_map_are_repetition_counts(kind):
    rows, counts = tiny_rows(20, 2), np.arange(20) % 3
    start = random_responsibilities(20, 2)
    repeated = np.repeat(rows, counts, axis=0)
    prior = make_prior(kind, 2)
    weighted = em.run_em(rows, start, kind, 3, counts)
    copied = em.run_em(repeated, np.repeat(start, counts, axis=0), kind, 3)
    np.testing.assert_allclose(weighted.trace, copied.trace, rtol=1e-12)
    weighted = em.run_map(rows, start, kind, prior, 3, counts)
    copied = em.run_map(repeated, np.repeat(start, counts, axis=0), kind, prior, 3)
    np.testing.assert_allclose(weighted.trace, copied.trace, rtol=1e-12)


def nudge(mixture, kind, rng, size):
    """A mixture of the same structure nearby."""
    weights = mixture.weights * np.exp(size * rng.normal(size=mixture.weights.shape))
    means = mixture.means + size * rng.normal(size=mixture.means.shape)
    dimension = means.shape[1]
    noise = size * rng.normal(size=mixture.covariances.shape)
    if kind in ("tied", "spherical"):
        noise[:] = noise[0] if kind == "tied" else noise[:, :1, :1]
    if kind in ("diag", "spherical"):
        noise = noise * np.eye(dimension)
    factors = np.eye(dimension) + noise
    covariances = factors @ mixture.covariances @ factors.transpose(0, 2, 1)
    return em.Mixture(weights / weights.sum(), means, covariances)


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_m_step_of_map_is_the_joint_mode(kind):
    rng = np.random.default_rng(5)
    rows, row_weights = tiny_rows(12, 2), rng.uniform(0.3, 2, 12)
    responsibilities = random_responsibilities(12, 3)
    prior = make_prior(kind, 2)

    def expected_log_joint(mixture):
        shares = row_weights[:, None] * responsibilities
        return np.sum(shares * em.log_joint(rows, mixture)) + em.log_prior(mixture, kind, prior)

    mode = em.map_m_step(rows, responsibilities, kind, prior, row_weights)
    best = expected_log_joint(mode)
    for size in (1e-3, 1e-1):
        for _ in range(20):
            loss = best - expected_log_joint(nudge(mode, kind, rng, size))
            assert 0 < loss < 1e4 * size**2


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_map_objective_never_falls(kind):
    run = em.run_map(
        tiny_rows(40, 2), random_responsibilities(40, 3), kind, make_prior(kind, 2), 60
    )
    assert np.diff(run.trace).min() > -1e-11


def test_log_prior_of_the_weights_is_scipys_dirichlet():
    weights = np.array([0.2, 0.5, 0.3])
    expected = stats.dirichlet.logpdf(weights, np.full(3, 2.5))
    assert em.log_prior_weights(weights, {"alpha0": 2.5}) == pytest.approx(expected, rel=1e-13)


# Variational Bayes


@pytest.mark.parametrize("name", GOLD)
def test_variational_bayes_reproduces_the_gold_file(name):
    gold = GOLD[name]
    _, kind, weights_kind = name.split("/")
    rows, prior = read_csv("faithful_std.csv"), gold["prior"]
    start = read_csv("vb_r0_faithful_K6.csv")
    first = vb.m_step(rows, start, kind, weights_kind, prior)
    # the file's converged values belong to the last M-step with the responsibilities before it
    run = vb.run_vb(rows, start, kind, weights_kind, prior, gold["n_M_steps"] - 1)
    q = vb.m_step(rows, run.responsibilities, kind, weights_kind, prior)
    terms = vb.elbo_terms(rows, run.responsibilities, q, prior)

    def close(actual, expected, rtol=1e-12, atol=1e-12):
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)

    close(run.elbo_after_M[:10], gold["elbo_after_M_first10"])
    close(run.elbo_after_E[:10], gold["elbo_after_E_first10"])
    close(vb.elbo(rows, run.responsibilities, q, prior), gold["elbo_converged"])
    close(run.responsibilities.sum(axis=0), gold["N_k"])
    close(run.responsibilities[:3], gold["responsibilities_first3"])
    close(vb.e_step(rows, first)[gold["r0_rows_0based"]][:3], gold["first_E_step_rows0_2"])
    close(vb.mean_weights(q), gold["mean_weights"])
    assert set(terms) == set(gold["terms_converged"])
    for term, value in gold["terms_converged"].items():
        close(terms[term], value, rtol=1e-12, atol=1e-11)
    for field in set(q) - {"kind", "weights"}:
        close(first[field], gold["first_M_step"][field])
        close(q[field], gold["q"][field])
    close(vb.log_predictive(np.array(gold["new_points"]), q), gold["ln_predictive"], rtol=1e-11)


@pytest.mark.parametrize("weights_kind", vb.WEIGHT_KINDS)
@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_bound_never_falls_with_real_row_weights(kind, weights_kind):
    rows = tiny_rows(30, 3)
    row_weights = np.random.default_rng(0).uniform(0, 3, 30)
    start = random_responsibilities(30, 4)
    run = vb.run_vb(rows, start, kind, weights_kind, make_prior(kind, 3), 30, row_weights)
    steps = np.column_stack([run.elbo_after_M, run.elbo_after_E]).ravel()
    assert np.diff(steps).min() > -1e-11


@pytest.mark.parametrize("weights_kind", vb.WEIGHT_KINDS)
@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_row_weights_of_variational_bayes_are_repetition_counts(kind, weights_kind):
    rows, counts = tiny_rows(15, 2), np.arange(15) % 3
    start, prior = random_responsibilities(15, 3), make_prior(kind, 2)
    weighted = vb.run_vb(rows, start, kind, weights_kind, prior, 4, counts)
    repeated = np.repeat(rows, counts, axis=0)
    copied = vb.run_vb(repeated, np.repeat(start, counts, axis=0), kind, weights_kind, prior, 4)
    np.testing.assert_allclose(weighted.elbo_after_M, copied.elbo_after_M, rtol=1e-12)
    np.testing.assert_allclose(weighted.elbo_after_E, copied.elbo_after_E, rtol=1e-12)


@pytest.mark.parametrize("weights_kind", ["dirichlet", "ml", "dp_closed"])
@pytest.mark.parametrize("dimension", [1, 3])
@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_bound_at_one_component_is_the_exact_log_evidence(kind, dimension, weights_kind):
    rows, prior = tiny_rows(9, dimension), make_prior(kind, dimension)
    row_weights = np.random.default_rng(3).uniform(0, 3, 9)
    run = vb.run_vb(rows, np.ones((9, 1)), kind, weights_kind, prior, 1, row_weights)
    expected = exact.gaussian_log_evidence(rows, kind, prior, row_weights)
    assert run.elbo_after_E[-1] == pytest.approx(expected, rel=1e-13)
    assert run.elbo_after_M[-1] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("weights_kind", ["dirichlet", "ml", "dp_closed"])
@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_bound_stays_below_the_exact_evidence(kind, weights_kind):
    rows, prior = tiny_rows(6, 2), make_prior(kind, 2)
    family = exact.gaussian_family(kind, prior, 2)
    for seed in range(2):
        start = random_responsibilities(6, 2, seed)
        run = vb.run_vb(rows, start, kind, weights_kind, prior, 40)
        weight_prior = {
            "dirichlet": exact.dirichlet_weights(prior["alpha0"]),
            "dp_closed": exact.stick_weights(prior["alpha0"]),
            "ml": exact.fixed_weights(vb.mean_weights(run.q)),
        }[weights_kind]
        gap = exact.log_evidence(rows, 2, family, weight_prior) - run.elbo_after_E[-1]
        assert 0 < gap < 5


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_q_terms_of_the_bound_are_scipys_entropies(kind):
    rows, prior = tiny_rows(10, 2), make_prior(kind, 2)
    responsibilities = random_responsibilities(10, 3)
    for weights_kind in NORMALISED_WEIGHTS:
        q = vb.m_step(rows, responsibilities, kind, weights_kind, prior)
        terms = vb.elbo_terms(rows, responsibilities, q, prior)
        factors = [vb.scale_and_dof(q, k) for k in range(1 if kind == "tied" else 3)]
        if kind in ("full", "tied"):
            entropies = [stats.wishart(dof, scale).entropy() for scale, dof in factors]
        else:
            entropies = [stats.gamma(dof / 2, scale=2 * s).entropy().sum() for s, dof in factors]
        assert terms["E_ln_q_Lambda"] == pytest.approx(-np.sum(entropies), rel=1e-12)
        if weights_kind == "dirichlet":
            entropy = stats.dirichlet(q["alpha"]).entropy()
        else:
            entropy = stats.beta(q["v_a"], q["v_b"]).entropy().sum()
        assert terms["E_ln_q_pi"] == pytest.approx(-entropy, rel=1e-12)
        entropy_z = stats.entropy(responsibilities, axis=1).sum()
        assert terms["E_ln_q_Z"] == pytest.approx(-entropy_z, rel=1e-13)


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_expectations_under_q_are_averages_of_draws(kind):
    # 9 comparisons at 5 standard errors: a false alarm in one of 190,000 runs
    n_draws, dimension = 20_000, 2
    rng = np.random.default_rng(11)
    rows, prior = tiny_rows(10, dimension), make_prior(kind, dimension)
    q = vb.m_step(rows, random_responsibilities(10, 3), kind, "dirichlet", prior)
    for k in range(3):
        precisions = draw_precisions(vb.scale_and_dof(q, k), kind, dimension, rng, n_draws)
        roots = np.linalg.cholesky(np.linalg.inv(q["beta"][k] * precisions))
        normals = rng.normal(size=(n_draws, dimension, 1))
        means = q["m"][k] + (roots @ normals)[:, :, 0]
        for n in range(3):
            shift = rows[n] - means
            quadratic = np.einsum("sd,sde,se->s", shift, precisions, shift)
            log_determinants = np.linalg.slogdet(precisions)[1]
            draws = 0.5 * (log_determinants - dimension * np.log(2 * np.pi) - quadratic)
            error = draws.std() / np.sqrt(n_draws)
            assert abs(draws.mean() - vb.expected_log_density(rows, q)[n, k]) < 5 * error


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_predictive_at_one_component_is_the_exact_one(kind):
    rows, prior = tiny_rows(7, 3), make_prior(kind, 3)
    new_rows = tiny_rows(4, 3, seed=8)
    q = vb.m_step(rows, np.ones((7, 1)), kind, "dirichlet", prior)
    base = exact.gaussian_log_evidence(rows, kind, prior)
    expected = [
        exact.gaussian_log_evidence(np.vstack([rows, new]), kind, prior) - base for new in new_rows
    ]
    np.testing.assert_allclose(vb.log_predictive(new_rows, q), expected, rtol=1e-12)


@pytest.mark.parametrize("weights_kind", ["dirichlet", "ml", "dp_closed"])
@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_predictive_integrates_to_one(kind, weights_kind):
    rows, prior = tiny_rows(8, 1), make_prior(kind, 1)
    q = vb.m_step(rows, random_responsibilities(8, 3), kind, weights_kind, prior)
    total, _ = integrate.quad(
        lambda x: np.exp(vb.log_predictive(np.array([[x]]), q)[0]), -np.inf, np.inf, epsabs=1e-9
    )
    assert total == pytest.approx(1, abs=1e-8)


# Exact evidence


def sequential_log_evidence(rows, assignment, kind, prior):
    """Chain rule: each row under Student's t given the earlier ones, by SciPy's densities."""
    rows, total = np.asarray(rows), 0.0
    for n, (row, k) in enumerate(zip(rows, assignment, strict=True)):
        earlier = rows[:n]
        # all earlier rows are certain members: responsibilities are zeros and ones
        certain = np.zeros((n, max(assignment) + 1))
        certain[np.arange(n), assignment[:n]] = 1
        q = vb.m_step(earlier, certain, kind, "dirichlet", prior)
        total += vb.log_component_predictive(row[None], q, k)[0]
    return total


@pytest.mark.parametrize("dimension", [1, 3])
@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_evidence_given_assignments_obeys_the_chain_rule(kind, dimension):
    rows, prior = tiny_rows(7, dimension), make_prior(kind, dimension)
    for assignment in ([0] * 7, [0, 1, 0, 2, 2, 0, 1]):
        family = exact.gaussian_family(kind, prior, 4)
        expected = sequential_log_evidence(rows, assignment, kind, prior)
        assert family(rows)(assignment) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_evidence_given_assignments_is_an_integral_over_the_precision(kind):
    rows, prior = tiny_rows(5, 1), make_prior(kind, 1)
    scale = float(np.ravel(prior["W0"])[0])
    assignment = np.array([0, 1, 0, 1, 1])

    def likelihood(precision, components):
        value = 1.0
        for k in components:
            own = rows[assignment == k, 0]
            spread = (np.eye(len(own)) + 1 / prior["beta0"]) / precision
            mean = np.full(len(own), prior["m0"][0])
            value *= stats.multivariate_normal.pdf(own, mean, spread)
        return value

    def integral(components):
        density = stats.gamma(prior["nu0"] / 2, scale=2 * scale).pdf
        return integrate.quad(
            lambda u: likelihood(np.exp(u), components) * density(np.exp(u)) * np.exp(u),
            -25,
            8,
            epsabs=0,
            epsrel=1e-11,
            limit=200,
        )[0]

    groups = [(0, 1)] if kind == "tied" else [(0,), (1,)]
    expected = np.log([integral(group) for group in groups]).sum()
    family = exact.gaussian_family(kind, prior, 2)
    assert family(rows)(assignment) == pytest.approx(expected, rel=1e-10)


def test_the_spherical_evidence_is_an_integral_over_the_one_precision():
    rows, prior = tiny_rows(4, 2), make_prior("spherical", 2)

    def integrand(u):
        precision = np.exp(u)
        value = stats.gamma.pdf(precision, prior["nu0"] / 2, scale=2 * prior["W0"]) * precision
        for d in range(2):
            spread = (np.eye(4) + 1 / prior["beta0"]) / precision
            value *= stats.multivariate_normal.pdf(rows[:, d], np.full(4, prior["m0"][d]), spread)
        return value

    total, _ = integrate.quad(integrand, -25, 8, epsabs=0, epsrel=1e-11, limit=200)
    expected = np.log(total)
    assert exact.gaussian_log_evidence(rows, "spherical", prior) == pytest.approx(
        expected, rel=1e-10
    )


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_the_evidence_with_a_wishart_is_the_average_over_draws_of_the_prior(kind):
    # tied: one draw for both components. 5 standard errors: a false alarm in 1,700,000 runs
    rng = np.random.default_rng(4)
    n_draws, rows, prior = 100_000, tiny_rows(3, 2), make_prior(kind, 2)
    assignment = np.array([0, 1, 1])

    def log_likelihoods(precisions, k):
        own = rows[assignment == k] - prior["m0"]
        n = len(own)
        spread = np.eye(n) + 1 / prior["beta0"]
        quadratic = np.einsum("nd,sde,ne->s", own, precisions, np.linalg.solve(spread, own))
        log_determinants = n * np.linalg.slogdet(precisions)[1] - 2 * np.linalg.slogdet(spread)[1]
        return 0.5 * (log_determinants - quadratic - 2 * n * np.log(2 * np.pi))

    factor = (prior["W0"], prior["nu0"])
    draws = draw_precisions(factor, kind, 2, rng, n_draws)
    other = draws if kind == "tied" else draw_precisions(factor, kind, 2, rng, n_draws)
    values = np.exp(log_likelihoods(draws, 0) + log_likelihoods(other, 1))
    exact_value = np.exp(exact.gaussian_family(kind, prior, 2)(rows)(assignment))
    assert abs(values.mean() - exact_value) < 5 * values.std() / np.sqrt(n_draws)


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_row_weights_of_the_exact_evidence_are_repetition_counts(kind):
    rows, counts, prior = tiny_rows(8, 2), np.arange(8) % 4, make_prior(kind, 2)
    weighted = exact.gaussian_log_evidence(rows, kind, prior, counts)
    repeated = exact.gaussian_log_evidence(np.repeat(rows, counts, axis=0), kind, prior)
    assert weighted == pytest.approx(repeated, rel=1e-13)
    nothing = exact.gaussian_log_evidence(rows, kind, prior, np.zeros(8))
    assert nothing == pytest.approx(0, abs=1e-13)


def test_all_structures_have_the_same_evidence_in_one_dimension():
    rows = tiny_rows(6, 1)
    values = []
    for kind, scale in [("full", [[0.7]]), ("tied", [[0.7]]), ("diag", [0.7]), ("spherical", 0.7)]:
        prior = {"beta0": 0.3, "m0": np.array([0.2]), "nu0": 2.5, "W0": scale}
        values.append(exact.gaussian_log_evidence(rows, kind, prior))
    np.testing.assert_allclose(values, values[0], rtol=1e-13)


# Exact posteriors by enumeration


@pytest.mark.parametrize(
    "weight_prior",
    [exact.dirichlet_weights(0.3), exact.stick_weights(0.7), exact.fixed_weights([0.2, 0.3, 0.5])],
)
def test_the_prior_of_the_assignments_sums_to_one(weight_prior):
    logs = [weight_prior(np.bincount(z, minlength=3)) for z in product(range(3), repeat=5)]
    assert logsumexp(logs) == pytest.approx(0, abs=1e-13)


def test_the_prior_of_the_assignments_is_an_integral_over_the_weights():
    counts, alpha0 = np.array([2, 1, 3]), 1.3

    def sticks(second, first):
        weights = np.array([first, (1 - first) * second, (1 - first) * (1 - second)])
        density = stats.beta.pdf(first, 1, alpha0) * stats.beta.pdf(second, 1, alpha0)
        return np.prod(weights**counts) * density

    def dirichlet(second, first):
        weights = np.array([first, second, 1 - first - second])
        return np.prod(weights ** (counts + alpha0 - 1)) * constant

    constant = np.exp(gammaln(3 * alpha0) - 3 * gammaln(alpha0))
    total, _ = integrate.dblquad(sticks, 0, 1, 0, 1, epsabs=1e-12)
    assert exact.stick_weights(alpha0)(counts) == pytest.approx(np.log(total), rel=1e-8)
    total, _ = integrate.dblquad(dirichlet, 0, 1, 0, lambda first: 1 - first, epsabs=1e-12)
    assert exact.dirichlet_weights(alpha0)(counts) == pytest.approx(np.log(total), rel=1e-8)


def test_fixed_weights_of_zero_forbid_only_occupied_components():
    weight_prior = exact.fixed_weights([0.0, 1.0])
    assert weight_prior(np.array([0, 4])) == 0
    assert weight_prior(np.array([1, 3])) == -np.inf


def families(n_components, dimension):
    """Name, rows, new rows, family and the evidence of one component."""
    counts = np.random.default_rng(0).poisson(2.0, size=(7, dimension))
    cases = [
        (
            kind,
            tiny_rows(7, dimension),
            exact.gaussian_family(kind, make_prior(kind, dimension), n_components),
            lambda rows, kind=kind: exact.gaussian_log_evidence(
                rows, kind, make_prior(kind, dimension)
            ),
        )
        for kind in COVARIANCE_KINDS
    ]
    cases.append(
        (
            "bernoulli",
            (counts > 1).astype(float),
            exact.bernoulli_family(0.7, 1.6, n_components),
            lambda rows: exact.bernoulli_log_evidence(rows, 0.7, 1.6),
        )
    )
    cases.append(
        (
            "poisson",
            counts.astype(float),
            exact.poisson_family(1.4, 0.6, n_components),
            lambda rows: exact.poisson_log_evidence(rows, 1.4, 0.6),
        )
    )
    return cases


def test_enumeration_at_one_component_is_the_closed_form():
    for _, rows, family, closed_form in families(1, 2):
        for weight_prior in (exact.dirichlet_weights(0.5), exact.stick_weights(0.5)):
            value = exact.log_evidence(rows, 1, family, weight_prior)
            assert value == pytest.approx(closed_form(rows), rel=1e-13)


@pytest.mark.slow
def test_the_evidence_is_the_product_of_the_exact_predictives():
    for _, rows, family, _ in families(3, 2):
        for weight_prior in (exact.dirichlet_weights(0.5), exact.stick_weights(2.0)):
            rows = rows[:5]
            total = exact.log_evidence(rows[:1], 3, family, weight_prior)
            for n in range(1, 5):
                total += exact.log_predictive(rows[n : n + 1], rows[:n], 3, family, weight_prior)[0]
            expected = exact.log_evidence(rows, 3, family, weight_prior)
            assert total == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", COVARIANCE_KINDS)
def test_the_exact_predictive_is_a_mixture_of_students(kind):
    rows, new_rows, prior = tiny_rows(5, 2), tiny_rows(3, 2, seed=9), make_prior(kind, 2)
    family = exact.gaussian_family(kind, prior, 2)
    weight_prior = exact.dirichlet_weights(prior["alpha0"])
    enumeration = exact.enumerate_assignments(rows, 2, family, weight_prior)
    terms = []
    for assignment, probability in zip(
        enumeration.assignments, enumeration.probabilities, strict=True
    ):
        certain = np.eye(2)[assignment]
        q = vb.m_step(rows, certain, kind, "dirichlet", prior)
        terms.append(np.log(probability) + vb.log_predictive(new_rows, q))
    actual = exact.log_predictive(new_rows, rows, 2, family, weight_prior)
    np.testing.assert_allclose(actual, logsumexp(terms, axis=0), rtol=1e-12)


@pytest.mark.slow
def test_the_exact_predictive_integrates_to_one():
    rows, prior = tiny_rows(3, 1), make_prior("tied", 1)
    family = exact.gaussian_family("tied", prior, 2)
    weight_prior = exact.stick_weights(1.2)
    total, _ = integrate.quad(
        lambda x: np.exp(exact.log_predictive([[x]], rows, 2, family, weight_prior)[0]),
        -np.inf,
        np.inf,
        epsabs=1e-7,
    )
    assert total == pytest.approx(1, abs=1e-6)


def test_co_clustering_and_occupied_components_of_two_rows_by_hand():
    rows, prior = tiny_rows(2, 2), make_prior("full", 2)
    family, alpha0 = exact.gaussian_family("full", prior, 2), 0.8
    enumeration = exact.enumerate_assignments(rows, 2, family, exact.dirichlet_weights(alpha0))
    together = (alpha0 + 1) / (2 * alpha0 + 1)
    joint = np.exp(exact.gaussian_log_evidence(rows, "full", prior))
    apart = np.exp(sum(exact.gaussian_log_evidence(row[None], "full", prior) for row in rows))
    evidence = together * joint + (1 - together) * apart
    probability = together * joint / evidence
    assert enumeration.log_evidence == pytest.approx(np.log(evidence), rel=1e-13)
    np.testing.assert_allclose(
        exact.co_clustering(enumeration), [[1, probability], [probability, 1]], rtol=1e-13
    )
    np.testing.assert_allclose(
        exact.occupied_distribution(enumeration), [0, probability, 1 - probability], rtol=1e-13
    )


def test_exact_posteriors_obey_their_laws():
    for _, rows, family, _ in families(3, 2):
        rows = rows[:5]
        enumeration = exact.enumerate_assignments(rows, 3, family, exact.dirichlet_weights(0.5))
        together = exact.co_clustering(enumeration)
        occupied = exact.occupied_distribution(enumeration)
        assert together.shape == (5, 5)
        assert occupied.shape == (4,)
        np.testing.assert_allclose(np.diag(together), 1, rtol=1e-13)
        np.testing.assert_allclose(together, together.T, rtol=1e-13)
        assert occupied.sum() == pytest.approx(1, rel=1e-13)
        assert occupied[0] == 0
        np.testing.assert_allclose(exact.expected_counts(enumeration), 5 / 3, rtol=1e-12)


# Counts


def test_the_bernoulli_evidence_is_an_integral_and_sums_to_one():
    rows, row_weights = np.array([[1.0], [0.0], [1.0]]), np.array([1.0, 2.5, 0.5])
    exponents = row_weights @ rows, row_weights @ (1 - rows)

    def integrand(p):
        return p ** exponents[0][0] * (1 - p) ** exponents[1][0] * stats.beta.pdf(p, 1.4, 2.3)

    total, _ = integrate.quad(integrand, 0, 1, epsabs=1e-12)
    value = exact.bernoulli_log_evidence(rows, 1.4, 2.3, row_weights)
    assert value == pytest.approx(np.log(total), rel=1e-8)
    a, b = np.array([0.4, 1.2]), np.array([2.0, 0.7])
    logs = [
        exact.bernoulli_log_evidence(np.reshape(bits, (2, 2)), a, b)
        for bits in product([0, 1], repeat=4)
    ]
    assert logsumexp(logs) == pytest.approx(0, abs=1e-13)


def test_the_exponential_evidence_is_an_integral():
    rows, row_weights = np.array([[3.0], [0.2], [1.0]]), np.array([1.0, 2.0, 0.5])

    def integrand(rate):
        log_likelihood = row_weights @ stats.expon.logpdf(rows[:, 0], scale=1.0 / rate)
        return np.exp(log_likelihood) * stats.gamma.pdf(rate, 1.4, scale=1 / 0.6)

    total, _ = integrate.quad(integrand, 0, 60, epsabs=1e-13, limit=200)
    value = exact.exponential_log_evidence(rows, 1.4, 0.6, row_weights)
    assert value == pytest.approx(np.log(total), rel=1e-8)


def test_the_poisson_evidence_is_an_integral_and_a_product_of_negative_binomials():
    rows, row_weights = np.array([[3.0], [0.0], [1.0]]), np.array([1.0, 2.0, 0.5])

    def integrand(rate):
        log_likelihood = row_weights @ stats.poisson.logpmf(rows[:, 0], rate)
        return np.exp(log_likelihood) * stats.gamma.pdf(rate, 1.4, scale=1 / 0.6)

    total, _ = integrate.quad(integrand, 0, 60, epsabs=1e-13, limit=200)
    value = exact.poisson_log_evidence(rows, 1.4, 0.6, row_weights)
    assert value == pytest.approx(np.log(total), rel=1e-8)
    shape, rate = np.array([0.7, 2.0]), np.array([1.1, 0.3])
    one_row = np.array([[2, 5]])
    expected = stats.nbinom.logpmf(one_row[0], shape, rate / (rate + 1)).sum()
    assert exact.poisson_log_evidence(one_row, shape, rate) == pytest.approx(expected, rel=1e-13)


# The learned scale


SCALE_CASES = [
    (1, 1.0, learned_scale.Prior(0.0, 1.0, 3.0, 1.0, 10.0)),
    (5, 1.0, learned_scale.Prior(0.3, 0.5, 3.0, 1.0, 10.0)),
    (30, 3.0, learned_scale.Prior(0.3, 0.01, 3.0, 1.0, 2.0)),
    (80, 0.01, learned_scale.Prior(0.0, 0.01, 3.0, 1.0, 1e3)),
    (4, 1.0, learned_scale.Prior(0.0, 1.0, 0.3, 0.2, 1.0)),
    (40, 1e3, learned_scale.Prior(0.0, 2.0, 5.0, 4.0, 1e-5)),
]


def scale_problem(n, spread):
    rng = np.random.default_rng(n)
    return rng.normal(0.5, spread, n), rng.uniform(0.5, 2.0, n)


@pytest.mark.parametrize(("n", "spread", "prior"), SCALE_CASES)
def test_the_learned_scale_quadrature_is_tricomis_function(n, spread, prior):
    values, row_weights = scale_problem(n, spread)
    quadrature = learned_scale.log_evidence(values, prior, row_weights)
    special = learned_scale.log_evidence_by_special_function(values, prior, row_weights)
    assert quadrature == pytest.approx(special, rel=1e-13)


def test_a_scale_that_is_certain_gives_the_evidence_of_the_fixed_prior():
    values, row_weights = scale_problem(7, 1.0)
    prior = learned_scale.Prior(0.1, 0.5, 3.0, 1e6, 1e6 / 0.8)
    fixed = prior_from_covariance(
        "spherical", covariance_prior=0.8, nu0=3.0, beta0=0.5, m0=np.array([0.1])
    )
    expected = exact.gaussian_log_evidence(values[:, None], "spherical", fixed, row_weights)
    actual = learned_scale.log_evidence(values, prior, row_weights)
    assert actual == pytest.approx(expected, abs=1e-5)


def closed_form_elbo(values, prior, q, row_weights):
    """The bound by digamma functions, in 40 digits."""
    with mpmath.workdps(40):
        log, digamma, loggamma = mpmath.log, mpmath.digamma, mpmath.loggamma
        f = {name: mpmath.mpf(value) for name, value in q._asdict().items()}
        p = {name: mpmath.mpf(value) for name, value in prior._asdict().items()}
        two_pi = 2 * mpmath.pi
        precision = f["dof"] / f["scale_inverse"]
        log_precision = digamma(f["dof"] / 2) - log(f["scale_inverse"] / 2)
        scale = f["scale_dof"] / f["scale_rate"]
        log_scale = digamma(f["scale_dof"] / 2) - log(f["scale_rate"] / 2)

        def normal(point, factor):
            quadratic = precision * (point - f["mean"]) ** 2 + 1 / f["mean_precision"]
            return (log(factor / two_pi) + log_precision - factor * quadratic) / 2

        def gamma_density(dof, log_rate, rate, log_value, value):
            return dof / 2 * log_rate - loggamma(dof / 2) + (dof / 2 - 1) * log_value - rate * value

        total = normal(p["m0"], p["beta0"])
        total -= (log(f["mean_precision"] / two_pi) + log_precision - 1) / 2
        for value, weight in zip(values, row_weights, strict=True):
            total += mpmath.mpf(weight) * normal(mpmath.mpf(value), mpmath.mpf(1))
        total += gamma_density(p["nu0"], log_scale - log(2), scale / 2, log_precision, precision)
        half = f["scale_inverse"] / 2
        total -= gamma_density(f["dof"], log(half), half, log_precision, precision)
        total += gamma_density(p["g_dof"], log(p["h"] / 2), p["h"] / 2, log_scale, scale)
        half = f["scale_rate"] / 2
        total -= gamma_density(f["scale_dof"], log(half), half, log_scale, scale)
        return float(total)


@pytest.mark.parametrize(("n", "spread", "prior"), SCALE_CASES)
@pytest.mark.slow
def test_the_learned_scale_bound_is_exact_stationary_and_below_the_evidence(n, spread, prior):
    values, row_weights = scale_problem(n, spread)
    best = learned_scale.coordinate_ascent(values, prior, row_weights=row_weights)
    bound = learned_scale.elbo(values, prior, best, row_weights)
    assert bound == pytest.approx(closed_form_elbo(values, prior, best, row_weights), rel=1e-12)
    assert bound < learned_scale.log_evidence(values, prior, row_weights)
    for name, value in best._asdict().items():
        for factor in (0.98, 1.03):
            other = best._replace(**{name: factor * value})
            other_bound = learned_scale.elbo(values, prior, other, row_weights)
            reference = closed_form_elbo(values, prior, other, row_weights)
            assert other_bound == pytest.approx(reference, rel=1e-12)
            assert other_bound < bound
