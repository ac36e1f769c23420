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
from bayesmix.numerics.device_arrays import here as read_here
from bayesmix.numerics.device_arrays import host, like, on_processor
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
    # PyTorch's arrays on the processor would be read as NumPy's.
    monkeypatch.setattr("bayesmix.numerics.device_arrays.on_processor", lambda X: False)
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


PROCESSORS = ("CPU_DEVICE", "torch")


@pytest.mark.parametrize("name", PROCESSORS)
def test_arrays_on_the_processor_are_read_without_a_copy(name):
    X = rows()
    Y = there(X, name)
    assert on_processor(Y)
    assert not on_processor(there(X))
    assert not on_processor(X)
    assert np.shares_memory(read_here(Y), host(Y))
    assert read_here(X) is X
    away = there(X)
    assert read_here(away) is away
    again = like(X.argmax(axis=1), Y)
    assert type(again) is type(Y)
    assert like(np.array(["a"]), Y).dtype.kind == "U"


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_select_and_clusterings_of_arrays_on_the_processor_are_those_of_numpy(name):
    X = rows()
    Y = there(X, name)
    here, away = (bm.select(values, random_state=0) for values in (X, Y))
    assert away.summary() == here.summary()
    for say in ("predict", "predict_proba", "predict_clusters", "score_samples"):
        told = getattr(away, say)(Y)
        assert type(told) is type(Y)
        assert np.array_equal(host(told), getattr(here, say)(X))
    assert away.describe(Y).sentences == here.describe(X).sentences
    clustering, own = bm.MixtureClustering(), bm.MixtureClustering().fit(X)
    labels = clustering.fit_predict(Y)
    assert type(labels) is type(Y)
    assert np.array_equal(host(labels), own.labels_)
    assert isinstance(clustering.labels_, np.ndarray)
    assert np.array_equal(host(clustering.predict(Y)), own.predict(X))
    assert np.array_equal(host(clustering.predict_proba(Y)), own.predict_proba(X))


@pytest.mark.slow
def test_select_of_arrays_on_a_device_finds_the_clusters():
    X = rows()
    here, away = (bm.select(values, random_state=0) for values in (X, there(X)))
    assert away.n_clusters_ == here.n_clusters_ == 3
    assert np.array_equal(host(away.predict_clusters(there(X))), here.predict_clusters(X))
    away.names = ("a", "b", "c")
    assert set(away.predict_clusters(there(X))) == {"a", "b", "c"}


def test_sparse_tensors_are_refused_by_name():
    sparse = pytest.importorskip("torch").asarray(rows()).to_sparse()
    with pytest.raises(TypeError, match="to_dense"):
        bm.GaussianMixture(3).fit(sparse)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CPU_DEVICE", "device1", "torch"])
def test_checks_of_a_fit_take_arrays_of_other_libraries(name):
    X = rows(200)
    Y = there(X, name)
    model = fitted(bm.GaussianMixture(3, random_state=0), Y)
    own = fitted(bm.GaussianMixture(3, random_state=0), X)
    first, second = (
        bm.stability(side, values, n_resamples=3, random_state=0)
        for side, values in ((model, Y), (own, X))
    )
    assert repr(first) == repr(second)
    search = bm.MixtureSearch(n_components=(2, 3), random_state=0)
    nested = [bm.nested_cv(search, values, cv=2, random_state=0).table for values in (X, Y)]
    assert nested[0]["n_components"].tolist() == nested[1]["n_components"].tolist()
    regions = [bm.conformal_region(search, values, random_state=0) for values in (X, Y)]
    assert regions[0].n_calibration == regions[1].n_calibration
    merged = [bm.merge_components(side) for side in (own, model)]
    assert np.array_equal(host(merged[1].predict(Y)), merged[0].predict(X))
    np.testing.assert_allclose(host(merged[1].predict_proba(Y)), merged[0].predict_proba(X))
    assert model.describe(Y).sentences == own.describe(X).sentences


@pytest.mark.parametrize("name", PROCESSORS)
def test_states_are_told_where_sequences_lie(name):
    X = rows(120)
    Y = there(X, name)
    here, away = (
        fitted(bm.HiddenMarkovModel(2, random_state=0, search=None), values) for values in (X, Y)
    )
    for algorithm in ("smoothing", "viterbi"):
        told = away.predict(Y, algorithm=algorithm)
        assert type(told) is type(Y)
        assert np.array_equal(host(told), here.predict(X, algorithm=algorithm))
    assert type(away.score_samples(Y)) is type(Y)
