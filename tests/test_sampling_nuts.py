"""NUTS draws from the posterior of a fit's model: once for real, against a closed form.

One Gaussian component in one column, under a fixed prior, has a posterior that is known (Bishop
2006, sec. 2.3.6): every mean over draws is compared at 5 standard errors, of which one in a million
false alarms comes for each of four. What an interrupt leaves and bad input need no long chains.
"""

import contextlib
import math
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError, MissingExtraError

# What PyTensor says of compilers and BLAS on this machine is no failure of the package.
pytestmark = pytest.mark.filterwarnings("ignore")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pymc")
    pytest.importorskip("pytensor")
    arviz = pytest.importorskip("arviz")

from bayesmix.mcmc import sampling as samplers  # noqa: E402
from bayesmix.mcmc.sampling import nuts  # noqa: E402
from bayesmix.posterior.posterior_draws import log_q  # noqa: E402
from bayesmix.sources.memory import as_source  # noqa: E402

Z = 5.0
MEAN, MEAN_PRECISION, FREEDOM, COVARIANCE = 1.0, 0.5, 4.0, 3.0


@pytest.fixture(scope="module")
def fit():
    rows = np.random.default_rng(50).normal(2.0, 1.5, size=(12, 1))
    prior = bm.GaussianPrior([MEAN], MEAN_PRECISION, FREEDOM, [COVARIANCE])
    inference = bm.VariationalBayes(prior=prior, weights=bm.DirichletPrior(1.0))
    vb = bm.Mixture(1, family=bm.Gaussian("diag"), inference=inference, random_state=0, n_jobs=1)
    return vb.fit(rows), rows


@pytest.fixture(scope="module")
def found(fit):
    pytest.importorskip("nutpie")
    vb, rows = fit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nuts(vb, rows, n_draws=1000, chains=2, warmup=500, n_jobs=1, progress=False)


def assert_near(values, expected):
    error = values.std() / math.sqrt(float(arviz.ess(values)))
    assert abs(values.mean() - expected) <= Z * error


@pytest.mark.slow
def test_draws_are_those_of_the_closed_form(fit, found):
    rows = fit[1].ravel()
    beta, nu = MEAN_PRECISION + len(rows), FREEDOM + len(rows)
    mean = (MEAN_PRECISION * MEAN + rows.sum()) / beta
    scale = COVARIANCE + ((rows - rows.mean()) ** 2).sum()
    scale += MEAN_PRECISION * len(rows) / beta * (rows.mean() - MEAN) ** 2
    means, variances = (found.parameters[name].reshape(2, -1) for name in ("means", "covariances"))
    assert_near(means, mean)
    assert_near((means - mean) ** 2, scale / (nu - 2.0) / beta)
    assert_near(variances, scale / (nu - 2.0))
    assert_near(1.0 / variances, nu / scale)


@pytest.mark.slow
def test_draws_come_with_their_densities(found):
    assert found.log_joint.shape == found.log_likelihood.shape == (2, 1000)
    assert found.weights.shape == (2, 1000, 1)
    assert (found.weights == 1.0).all()
    # log p(X, θ) - log q(θ) is the log evidence in every draw, where q is exact.
    evidence = found.log_joint.ravel() - log_q(found.result.mixture, found.draws)
    np.testing.assert_allclose(evidence, found.result.objective, rtol=1e-9)


@pytest.mark.slow
def test_the_record_says_what_was_done(found):
    assert (found.sampler, found.status, found.warmup) == ("nutpie", "finished", 500)
    assert found.diverging.shape == (2, 1000)
    assert found.seconds > 0.0
    assert found.compile_seconds > 0.0
    assert repr(found).startswith("<NutsDraws: 2 x 1000 draws by nutpie, ")


@pytest.mark.slow
def test_chains_start_in_the_order_of_the_fit():
    """Sticks have a posterior for each order of the components, and NUTS keeps its order."""
    rng = np.random.default_rng(3)
    rows = np.r_[rng.normal(size=(20, 1)), rng.normal(9.0, 1.0, (40, 1))]
    vb = bm.BayesianGaussianMixture(2, random_state=0, n_jobs=1).fit(rows)
    source = as_source(rows)
    begin = samplers.beginnings(samplers.twin(vb.result_, source), source, seed=0)
    first = [-np.expm1(-begin(number)["stick_log_rest"])[0] for number in range(40)]
    assert vb.weights_[0] > 0.6
    # 40 of 60 rows: the weight of the first component is 0.66 with deviation 0.06.
    assert min(first) > 0.66 - 5 * 0.06
    assert abs(np.mean(first) - 0.66) < 5 * 0.06 / np.sqrt(40)


@pytest.mark.slow
def test_arviz_has_draws_divergences_and_rows(found):
    posterior, statistics = found.to_arviz()["posterior"], found.to_arviz()["sample_stats"]
    assert posterior["means"].dims == ("chain", "draw", "component", "feature")
    np.testing.assert_array_equal(posterior["means"], found.parameters["means"])
    np.testing.assert_array_equal(statistics["diverging"], found.diverging)
    assert found.to_arviz()["observed_data"]["X"].shape == (12, 1)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_draws_on_any_number_of_cores(fit, found):
    vb, rows = fit
    again = nuts(vb, rows, n_draws=1000, chains=2, warmup=500, n_jobs=2, progress=False)
    np.testing.assert_array_equal(again.log_joint, found.log_joint)


@pytest.mark.slow
def test_an_interrupt_of_nutpie_keeps_the_draws_so_far(fit, monkeypatch):
    nutpie = pytest.importorskip("nutpie")
    sample = nutpie.sample

    class Background:
        def __init__(self, *inputs, **options):
            self.sampler = sample(*inputs, **options)

        def wait(self):
            with contextlib.suppress(TimeoutError):
                self.sampler.wait(timeout=2.0)
            raise KeyboardInterrupt

        def abort(self):
            return self.sampler.abort()

    monkeypatch.setattr(nutpie, "sample", Background)
    vb, rows = fit
    with pytest.warns(BayesmixWarning, match=r"interrupted: the result has \d+ of \d+ draws"):
        kept = nuts(vb, rows, n_draws=10**7, chains=2, warmup=50, n_jobs=2, progress=False)
    assert kept.status == "interrupted"
    assert 0 < kept.n_draws < 10**7
    assert np.isfinite(kept.log_joint).all()


def chains_of(*lengths):
    """Chains of one number each, and their divergences."""
    chains = [{"value": np.full(length, float(number))} for number, length in enumerate(lengths)]
    return chains, [np.zeros(length, dtype=bool) for length in lengths]


@pytest.mark.parametrize(
    ("lengths", "kept"),
    [
        ((5, 5, 5), {0: 5, 1: 5, 2: 5}),
        ((9, 0, 7, 0), {0: 7, 2: 7}),  # two of four had begun
        ((9, 1, 1), {0: 9}),
        ((4, 6, 5, 6), {0: 4, 1: 4, 2: 4, 3: 4}),
    ],
)
def test_of_interrupted_chains_those_are_kept_that_hold_most(lengths, kept):
    run = samplers.arranged(*chains_of(*lengths), 0.0, 0.0)
    values = run.values["value"]
    assert {int(chain[0]): len(chain) for chain in values} == kept
    assert run.diverging.shape == values.shape


def test_an_interrupt_before_the_first_draw_is_passed_on():
    with pytest.raises(KeyboardInterrupt):
        samplers.arranged(*chains_of(0, 0), 0.0, 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 0}, "n_draws must be an integer of at least 1, got 0"),
        ({"chains": 2.5}, "chains must be an integer of at least 1, got 2.5"),
        ({"warmup": -1}, "warmup must be an integer of at least 0, got -1"),
    ],
)
def test_what_cannot_be_used_is_named(fit, options, message):
    vb, rows = fit
    with pytest.raises(InvalidInputError, match=message):
        nuts(vb, rows, **options)


@pytest.mark.slow
@pytest.mark.parametrize(("package", "name"), [("pymc", "PyMC"), ("nutpie", "nutpie")])
def test_a_sampler_that_is_not_installed_is_named(fit, monkeypatch, package, name):
    vb, rows = fit
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{name} is needed.*'bayesmix\[pymc\]'"):
        nuts(vb, rows)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_product_of_numbers_levels_and_counts_is_sampled_too():
    rng = np.random.default_rng(4)
    one = rng.random(60) < 0.5
    frame = pd.DataFrame(
        {
            "width": np.where(one, 4.0, 0.0) + rng.normal(size=60),
            "kind": np.where(one, "a", rng.choice(["b", "c"], 60)),
            "eggs": rng.poisson(np.where(one, 6.0, 1.0)),
        }
    )
    family = bm.Product({"width": bm.Gaussian(), "kind": bm.Categorical(), "eggs": bm.Poisson()})
    vb = bm.Mixture(2, family=family, inference=bm.VariationalBayes(), random_state=0).fit(frame)
    found = nuts(vb, frame, n_draws=60, chains=2, warmup=120, n_jobs=1, progress=False)
    assert {"kind: probabilities", "eggs: rates"} <= set(found.parameters)
    # The weight of the larger class, whichever label it has.
    larger = found.weights.max(axis=2).mean()
    assert abs(larger - vb.weights_.max()) < 0.05


def small_models():
    """Ten small models by name: a family, its data (24, D), K, and a prior of the weights."""
    draw = np.random.default_rng(103)
    first = np.arange(24)[:, None] < 15
    counts = draw.poisson(np.where(first, [2.0, 3.0], [12.0, 1.0]))
    bits = (draw.random((24, 3)) < np.where(first, 0.2, 0.8)).astype(float)
    times = draw.exponential(np.where(first, [1.0, 4.0], [9.0, 0.5]))
    normal = np.where(first, 0.0, 4.0) + draw.normal(size=(24, 1))
    sticks = bm.StickBreakingPrior(1.0)
    return {
        "counts": (bm.Poisson(), counts, 2, None),
        "one column of counts": (bm.Poisson(), counts[:, :1], 2, None),
        "counts in one component": (bm.Poisson(), counts, 1, None),
        "counts by sticks": (bm.Poisson(), counts, 2, sticks),
        "bits": (bm.Bernoulli(), bits, 2, None),
        "bits in one component": (bm.Bernoulli(), bits, 1, None),
        "bits by sticks": (bm.Bernoulli(), bits, 2, sticks),
        "times": (bm.Exponential(), times, 2, None),
        "times in one component": (bm.Exponential(), times, 1, None),
        "numbers": (bm.Gaussian("diag"), normal, 2, None),
    }


def invariants(weights, parameters):
    """Statistics (chains, draws) that no order of the components changes, by name."""
    found = {"squares of weights": (weights**2).sum(axis=-1)}
    for name in {"means", "rates", "probabilities"} & {*parameters}:
        values = np.asarray(parameters[name])
        for d in range(values.shape[3]):
            of_column = values[..., d].reshape(*weights.shape)
            found[f"{name} {d}"] = (weights * of_column).sum(axis=-1)
            found[f"squares of {name} {d}"] = (weights * of_column**2).sum(axis=-1)
    return found


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("name", list(small_models()))
def test_gibbs_sampling_agrees_with_nuts(name):
    """PyMC's NUTS knows no density of the package; PyTensor without a compiler starts at once."""
    import pymc as pm

    family, X, K, weights = small_models()[name]
    options = {} if weights is None else {"weights": weights}
    inference = bm.VariationalBayes(**options)
    vb = bm.Mixture(K, family=family, inference=inference, prune=False, random_state=0, n_jobs=1)
    vb.fit(X)
    ours = bm.gibbs(vb, X, n_draws=1000, chains=2, n_jobs=1, progress=False)
    with bm.pymc_model(vb, X):
        trace = pm.sample(
            80, tune=80, chains=2, cores=1, random_seed=1, progressbar=False,
            compute_convergence_checks=False, compile_kwargs={"mode": "FAST_COMPILE"},
        )  # fmt: skip
    theirs = invariants(np.asarray(trace.posterior["weights"]), trace.posterior)
    found = invariants(ours.weights, ours.parameters)
    assert len({*found} & {*theirs}) > 1
    for statistic in {*found} & {*theirs}:
        values, other = found[statistic], theirs[statistic]
        if K == 1 and statistic == "squares of weights":
            continue  # constant
        errors = [each.std() / math.sqrt(float(arviz.ess(each))) for each in (values, other)]
        assert abs(values.mean() - other.mean()) <= Z * math.hypot(*errors), statistic
