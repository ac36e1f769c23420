"""Rows of any array library, on any device: the same fits, and answers where the rows are."""

import warnings

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import CENTRED, LINEAR, AssessmentStep, ExpectationStep
from bayesmix.errors import UnsupportedError
from bayesmix.families.gaussian.covariance.models import STRUCTURES
from bayesmix.numerics.arrays import is_elsewhere
from bayesmix.numerics.device_arrays import host
from bayesmix.sources import device_steps as device_passes
from bayesmix.sources.device_steps import on_device

strict = pytest.importorskip("array_api_strict")

# NumPy cannot look at what lies on the second of these by itself.
DEVICES = ("CPU_DEVICE", "device1", "torch")
every_structure = pytest.mark.parametrize("covariance", STRUCTURES)


def rows(n=400):
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0, 0.0], [6.0, 0.0, 3.0], [0.0, 7.0, -2.0]])
    return centres[rng.integers(0, 3, n)] + rng.normal(size=(n, 3))


def there(values, name="device1"):
    if name == "torch":
        return pytest.importorskip("torch").asarray(values)
    return strict.asarray(values, device=strict.Device(name))


def fitted(model, values, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(values, **options)


def models(covariance):
    options = {"covariance_type": covariance, "random_state": 0, "search": None, "max_iter": 15}
    yield bm.GaussianMixture(3, **options)
    if STRUCTURES[covariance].nearest is None:
        yield bm.GaussianMixture(3, prior="auto", **options)
        yield bm.BayesianGaussianMixture(3, **options)


@every_structure
@pytest.mark.parametrize("place", ["device1", "torch"])
def test_a_fit_where_rows_lie_is_that_on_the_host(covariance, place, monkeypatch):
    passes = []
    sums = device_passes.device_sums
    monkeypatch.setattr(
        "bayesmix.sources.device_steps.device_sums", lambda *given: passes.append(1) or sums(*given)
    )
    X, weights = rows(), np.random.default_rng(1).integers(0, 3, 400).astype(float)
    for here, away in zip(models(covariance), models(covariance), strict=True):
        for own in (None, weights):
            passes.clear()
            fitted(here, X, sample_weight=own)
            assert not passes
            shares = None if own is None else there(own, place)
            fitted(away, there(X, place), sample_weight=shares)
            assert len(passes) > 1
            first, second = here.result_, away.result_
            assert second.objective == pytest.approx(first.objective, rel=1e-11)
            assert second.log_likelihood == pytest.approx(first.log_likelihood, rel=1e-11)
            np.testing.assert_allclose(away.means_, here.means_, rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(away.covariances_, here.covariances_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("kind", [bm.GaussianMixture, bm.BayesianGaussianMixture])
def test_what_is_said_of_rows_lies_where_they_do(kind, name):
    X = rows()
    Y, model = there(X, name), fitted(kind(3, random_state=0), X)
    for say in ("predict", "predict_proba", "score_samples", "responsibilities"):
        here, away = getattr(model, say)(X), getattr(model, say)(Y)
        assert away.device == Y.device
        np.testing.assert_allclose(host(away), here, rtol=1e-12, atol=1e-14)
    assert model.score(Y) == pytest.approx(model.score(X), rel=1e-13)


def test_parts_of_the_rows_add_up(monkeypatch):
    X, weights = rows(), np.random.default_rng(2).uniform(0.5, 2.0, 400)
    whole = fitted(bm.GaussianMixture(3, random_state=0, search=None), X, sample_weight=weights)
    monkeypatch.setattr("bayesmix.sources.devices.PART_VALUES", 150)
    parts = fitted(
        bm.GaussianMixture(3, random_state=0, search=None), there(X), sample_weight=weights
    )
    assert parts.result_.objective == pytest.approx(whole.result_.objective, rel=1e-11)
    np.testing.assert_allclose(host(whole.predict_proba(there(X))), whole.predict_proba(X))


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("form", [LINEAR, CENTRED], ids=lambda form: form.name)
def test_a_pass_there_is_the_pass_here(covariance, form):
    X, weights = rows(), np.random.default_rng(2).uniform(0.5, 2.0, 400)
    mixture = fitted(bm.GaussianMixture(3, covariance_type=covariance), X).result_.mixture
    step = ExpectationStep(mixture, form)
    here, away = (
        sums.finished() for sums in (step(Rows(X, weights)), on_device(step, there(X), weights))
    )
    assert away.log_normaliser == pytest.approx(here.log_normaliser, rel=1e-13)
    assert away.magnitude == pytest.approx(here.magnitude, rel=1e-13)
    np.testing.assert_allclose(away.statistics.pack(), here.statistics.pack(), rtol=1e-9, atol=1e-8)
    assess = AssessmentStep(mixture)
    one, other = assess(Rows(X, weights)), on_device(assess, there(X), weights)
    for name in ("log_likelihood", "entropy", "log_largest", "counts", "hard_counts"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-9)


def test_far_rows_and_noise_take_the_way_over_the_host():
    X = rows()
    far = np.vstack([X[:5], [[1e200, 0.0, 0.0]]])
    model = fitted(bm.GaussianMixture(3, random_state=0), X)
    np.testing.assert_allclose(
        host(model.predict_proba(there(far))), model.predict_proba(far), atol=1e-14
    )
    noisy = fitted(bm.GaussianMixture(3, random_state=0, noise="uniform"), there(X))
    np.testing.assert_allclose(host(noisy.predict_proba(there(X))), noisy.predict_proba(X))


def test_other_families_take_the_way_over_the_host():
    counts = np.random.default_rng(0).poisson([[1.0, 9.0]] * 100 + [[8.0, 2.0]] * 100)
    here = fitted(bm.Mixture(2, family=bm.Poisson(), random_state=0), counts)
    away = fitted(bm.Mixture(2, family=bm.Poisson(), random_state=0), there(counts))
    assert away.result_.objective == pytest.approx(here.result_.objective, rel=1e-11)
    assert np.array_equal(host(away.predict(there(counts))), here.predict(counts))


def test_single_precision_is_taken_and_summed_in_double():
    X = rows().astype(np.float32)
    here, away = (
        fitted(bm.GaussianMixture(3, random_state=0, search=None), values)
        for values in (X, there(X))
    )
    assert away.result_.objective == pytest.approx(here.result_.objective, rel=1e-11)


def test_batches_may_lie_on_a_device():
    X = rows()
    here, away = (bm.BayesianGaussianMixture(3, random_state=0) for _ in range(2))
    for start in (0, 200):
        own = X[start : start + 200]
        here.partial_fit(own, batch=start)
        away.partial_fit(there(own), batch=start)
    assert away.elbo_ == pytest.approx(here.elbo_, rel=1e-10)


def test_what_a_device_cannot_do_is_refused_by_name():
    gaps = rows()
    gaps[3, 1] = np.nan
    with pytest.raises(UnsupportedError, match="device array"):
        bm.GaussianMixture(3, missing="use").fit(there(gaps))
    with pytest.raises(ValueError, match="row 3"):
        bm.GaussianMixture(3).fit(there(gaps))
    single = strict.asarray(rows(), dtype=strict.float32, device=strict.Device("no_float64"))
    with pytest.raises(UnsupportedError, match="double precision"):
        bm.GaussianMixture(3).fit(single)
    with pytest.raises(ValueError, match="two dimensions"):
        bm.GaussianMixture(3).fit(there(rows()[:, 0]))


def test_arrays_of_numpy_are_here():
    for here in (rows(), np.float64(1.0), [1.0], np.ma.array([1.0]), None, "auto"):
        assert not is_elsewhere(here)
    assert is_elsewhere(there(rows()))
