"""Ctrl-C ends a fit with its best so far, says so, and leaves an estimator that works."""

import signal
import subprocess
import sys

import numpy as np
import pytest

import bayesmix as bm
from bayesmix import BayesianGaussianMixture, GaussianMixture
from bayesmix.em.model import Model, Settings
from bayesmix.em.progress import Reporter
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.run import Change, Monitor
from bayesmix.errors import BayesmixWarning
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.search.fit import fit
from bayesmix.sources.memory import ArraySource

RNG = np.random.default_rng(0)
CROWDED = np.vstack([RNG.normal(0, 1, (150, 2)), RNG.normal(1.5, 1, (150, 2))])


class CtrlC:
    """Presses Ctrl-C when the given pass is done."""

    def __init__(self, at):
        self.at, self.passes = at, 0

    def __call__(self, *_):
        self.passes += 1
        if self.passes == self.at:
            raise KeyboardInterrupt


def interrupted(kind, monkeypatch, at, **options):
    """A model whose fit was interrupted after ``at`` passes, and how many there were."""
    keys = CtrlC(at)
    monkeypatch.setattr(Reporter, "on_pass", keys)
    model = kind(n_components=3, random_state=0, **options)
    with pytest.warns(BayesmixWarning, match="interrupted: this is the best fit so far"):
        model.fit(CROWDED)
    return model, keys.passes


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
@pytest.mark.parametrize("search", [None, "auto"])
@pytest.mark.parametrize("at", [2, 3, 16, 17, 40])
def test_an_interrupted_fit_is_the_best_so_far(kind, search, at, monkeypatch):
    options = {"init_params": "random", "search": search, "acceleration": None, "tol": 1e-12}
    model, passes = interrupted(kind, monkeypatch, at, max_iter=500, **options)
    assert model.result_.status == "interrupted"
    assert not model.converged_
    # The search above the innermost run ends as well.
    assert at <= passes <= at + 2
    assert np.isfinite(model.score_samples(CROWDED)).all()
    assert model.predict_proba(CROWDED).shape == (300, model.n_components_)
    assert model.sample(10)[0].shape == (10, 2)
    assert np.isfinite(model.bic())


@pytest.mark.filterwarnings("ignore:.*did not converge.*")
def test_later_interrupts_are_no_worse(monkeypatch):
    options = {"init_params": "random", "search": None, "acceleration": None, "tol": 0.0}
    bounds = [
        interrupted(GaussianMixture, monkeypatch, at, max_iter=500, **options)[0].lower_bound_
        for at in (2, 5, 20, 80)
    ]
    assert bounds == sorted(bounds)


def test_an_interrupt_in_a_later_run_keeps_the_best_of_the_runs(monkeypatch):
    keys = CtrlC(10**9)
    monkeypatch.setattr(Reporter, "on_pass", keys)
    # One thread: on a slow machine later runs would go to worker processes, which nobody hears.
    options = {"n_components": 3, "search": None, "random_state": 0, "max_iter": 500, "n_jobs": 1}
    first = GaussianMixture(**options).fit(CROWDED)
    one_run = keys.passes
    for extra in (1, 2):
        monkeypatch.setattr(Reporter, "on_pass", CtrlC(one_run + extra))
        model = GaussianMixture(n_init=5, **options)
        with pytest.warns(BayesmixWarning, match="interrupted"):
            model.fit(CROWDED)
        assert model.lower_bound_ >= first.lower_bound_
        assert model.result_.status == "interrupted"


@pytest.mark.slow
def test_an_interrupt_before_there_is_anything_is_an_interrupt(monkeypatch):
    monkeypatch.setattr(Reporter, "on_pass", CtrlC(1))
    model = GaussianMixture(3, search=None, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(CROWDED)
    assert not hasattr(model, "result_")
    monkeypatch.setattr(Reporter, "on_pass", CtrlC(10**9))
    before = model.fit(CROWDED).result_
    monkeypatch.setattr(Reporter, "on_pass", CtrlC(1))
    with pytest.raises(KeyboardInterrupt):
        model.fit(CROWDED[:200])
    assert model.result_ is before


def test_an_interrupt_of_a_race_returns_its_best_start(monkeypatch):
    model, passes = interrupted(GaussianMixture, monkeypatch, 1)
    assert model.result_.status == "interrupted"
    assert 1 <= passes <= 3
    assert np.isfinite(model.score_samples(CROWDED)).all()


@pytest.mark.parametrize("place", ["best_splits", "merge_losses"])
def test_an_interrupt_between_runs_of_the_search_is_heard(place, monkeypatch):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"bayesmix.search.improver.{place}", pressed)
    model = GaussianMixture(3, random_state=0)
    with pytest.warns(BayesmixWarning, match="interrupted"):
        model.fit(CROWDED)
    assert model.result_.status == "interrupted"
    assert np.isfinite(model.score(CROWDED))


@pytest.mark.parametrize("passes", [3, 20, 40, 60])
def test_an_interrupt_while_only_a_sample_was_fitted_has_a_result_on_all_rows(passes, monkeypatch):
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(3.0 * k, 1.0, (1500, 8)) for k in range(6)])
    monkeypatch.setattr(Reporter, "on_pass", CtrlC(passes))
    model = GaussianMixture(8, random_state=0)
    with pytest.warns(BayesmixWarning, match="interrupted"):
        model.fit(rows)
    assert model.result_.status == "interrupted"
    assert np.isfinite(model.result_.objective)
    assert model.result_.log_likelihood == pytest.approx(len(rows) * model.score(rows))


def test_an_interrupt_inside_a_trial_split_is_heard(monkeypatch):
    from bayesmix.em import expectation

    plain, calls = expectation.normalise, iter(range(3))

    def pressed(*given):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(expectation, "normalise", pressed)
    model = GaussianMixture(3, random_state=0)
    with pytest.warns(BayesmixWarning, match="interrupted"):
        model.fit(CROWDED)
    assert np.isfinite(model.score(CROWDED))


def test_a_monitor_of_ones_own_hears_every_pass_and_may_stop():
    heard = []

    def listen(stage, iteration, objective, gain):
        heard.append((iteration, objective))
        if len(heard) == 12:
            raise KeyboardInterrupt

    model = Model(2, Gaussian("diag"), __import__("bayesmix").MaximumLikelihood())
    settings = Settings(stopping=Change(0.0, True), max_iter=100, search=False, accelerate=False)
    result = fit(model, ArraySource(CROWDED), settings, Monitor(on_pass=listen))
    assert result.status == "interrupted"
    assert [iteration for iteration, _ in heard] == list(range(1, 13))
    assert len(result.trace) == 11


SCRIPT = """
import sys, warnings
import numpy as np
import bayesmix as bm

rng = np.random.default_rng(0)
X = np.vstack([rng.normal(0, 1, (20_000, 4)), rng.normal(0.5, 1, (20_000, 4))])
model = bm.GaussianMixture(
    8, init_params="random", search={search!r}, acceleration=None, tol=0.0, max_iter=100_000,
    verbose=1, verbose_interval=1, n_jobs={n_jobs}, random_state=0,
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.fit(X)
said = [str(each.message) for each in caught]
print("SAID", [text for text in said if text.startswith("interrupted")])
print("STATUS", model.result_.status, model.n_iter_, np.isfinite(model.score(X[:100])))
model.set_params(max_iter=2, search=None, verbose=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    print("AGAIN", model.fit(X[:500]).n_iter_)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one child there")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_real_sigint_is_survived(n_jobs):
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", SCRIPT.format(search=None, n_jobs=n_jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in child.stdout:
            if line.strip() == "Iteration 12":
                child.send_signal(signal.SIGINT)
                break
        out, err = child.communicate()
    finally:
        child.kill()
    assert child.returncode == 0, err
    assert "SAID ['interrupted: this is the best fit so far']" in out
    assert "STATUS interrupted" in out
    assert "True" in out
    assert "AGAIN 2" in out


# Fits to many data sets


@pytest.fixture
def ctrl_c_after(monkeypatch):
    """Presses Ctrl-C when so many of the pieces of some work are done."""

    def press(at):
        advance = FitProgress.advance

        def counted(bar, label):
            advance(bar, label)
            if bar.done == at:
                raise KeyboardInterrupt

        monkeypatch.setattr(FitProgress, "advance", counted)

    return press


def rests_on(number, total, what):
    return pytest.warns(BayesmixWarning, match=f"uses the first {number} of {total} {what}")


@pytest.mark.slow
def test_stability_rests_on_the_splits_that_are_done(ctrl_c_after):
    whole = bm.stability(GaussianMixture(2), CROWDED, 8, random_state=0, n_jobs=1)
    ctrl_c_after(2)
    with rests_on(2, 4, "splits"):
        found = bm.stability(GaussianMixture(2), CROWDED, 8, random_state=0, n_jobs=1)
    assert found.table.equals(whole.table[:4])


@pytest.mark.slow
def test_a_likelihood_ratio_is_judged_by_the_data_sets_that_are_done(ctrl_c_after):
    model = GaussianMixture(1, covariance_type="tied")
    ctrl_c_after(5)
    with rests_on(5, 30, "data sets"):
        test = bm.likelihood_ratio_test(model, CROWDED, 1, 30, random_state=0, n_jobs=1)
    assert test.replicates.shape == (5,)
    exceeding = int((test.replicates >= test.statistic).sum())
    assert test.p_value == (1 + exceeding) / 6


def test_absolute_fit_is_judged_by_the_data_sets_that_are_done(ctrl_c_after):
    model = GaussianMixture(2, random_state=0).fit(CROWDED)
    ctrl_c_after(4)
    with rests_on(4, 20, "data sets"):
        found = bm.goodness_of_fit(model, CROWDED, n_resamples=20, random_state=0, n_jobs=1)
    assert found.replicates.shape[0] == 4
    assert found.p_value * 5 == pytest.approx(round(found.p_value * 5))


def test_procedures_are_compared_over_the_folds_that_all_of_them_have(ctrl_c_after):
    procedures = {"one": GaussianMixture(1), "two": GaussianMixture(2)}
    ctrl_c_after(5)
    with rests_on(5, 10, "outer folds"):
        found = bm.nested_cv(procedures, CROWDED, cv=5, random_state=0, n_jobs=1)
    assert found.table["fold"].tolist() == [0, 0, 1, 1]
    assert np.isfinite(found.differences["difference"]).all()


def test_an_interrupt_in_the_first_outer_fold_is_an_interrupt(ctrl_c_after):
    procedures = {"one": GaussianMixture(1), "two": GaussianMixture(2)}
    ctrl_c_after(1)
    with pytest.raises(KeyboardInterrupt), rests_on(1, 10, "outer folds"):
        bm.nested_cv(procedures, CROWDED, cv=5, random_state=0, n_jobs=1)


def test_sensitivity_is_over_the_priors_under_which_all_was_fitted(ctrl_c_after):
    search = bm.select(
        CROWDED, (1, 2), covariance_type="tied", criterion="elbo_log_k", random_state=0, n_jobs=1
    )
    ctrl_c_after(7)
    with rests_on(7, 54, "fits"):
        found = bm.prior_sensitivity(search, CROWDED, n_components=(1, 2), n_jobs=1)
    assert len(found.table) == 3
    assert np.allclose(found.probabilities.sum(axis=1), 1.0)
