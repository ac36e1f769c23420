"""What an estimator is, beside its fit: its parameters, its result, its budgets, what it says."""

import copy
import io
import sys
import time
from contextlib import redirect_stdout
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import BayesianGaussianMixture, GaussianMixture, Mixture
from bayesmix.core.random import root_seed
from bayesmix.em import progress

KINDS = [GaussianMixture, BayesianGaussianMixture, Mixture]
RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(0, 1, (80, 2)), RNG.normal(4, 1, (40, 2))])
# Crowded, so that plain EM takes a while.
CROWDED = np.vstack([RNG.normal(0, 1, (200, 2)), RNG.normal(1, 1, (200, 2))])


# Parameters


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_come_back_as_they_went_in(kind):
    model = kind(n_components=3, tol=1e-3, random_state=4)
    assert model.get_params()["n_components"] == 3
    assert clone(model).get_params() == model.get_params()
    model.fit(X)
    assert model.get_params()["tol"] == 1e-3
    other = clone(model)
    assert other is not model
    assert not hasattr(other, "result_")
    assert repr(other).startswith(f"{kind.__name__}(")
    assert kind.__name__ in model._repr_html_()
    assert eval(repr(other), {kind.__name__: kind}).get_params() == other.get_params()


def test_objects_as_parameters_are_cloned_and_shown():
    model = Mixture(2, family=bm.Gaussian("diag"), inference=bm.VariationalBayes())
    other = clone(model)
    assert other.family == model.family
    assert other.inference == model.inference
    assert "covariance='diag'" in repr(model)
    prior = bm.GaussianPrior(mean_precision=0.5)
    assert clone(GaussianMixture(prior=prior)).prior == prior


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_every_parameter_of_scikit_learn_is_there_with_its_meaning(kind):
    import sklearn.mixture

    theirs = getattr(sklearn.mixture, kind.__name__)().get_params()
    ours = kind().get_params()
    assert set(theirs) <= set(ours)
    # tol and reg_covar say "auto" where scikit-learn has a number (DESIGN, section 2).
    different = {name for name in theirs if theirs[name] != ours[name]}
    assert different == {"tol", "reg_covar"}


# Randomness


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_fit_every_time(kind):
    fits = [kind(n_components=3, random_state=5).fit(X) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].means_, fits[1].means_)
    assert fits[0].result_.seed == 5


def test_every_kind_of_random_state_does():
    for make in (
        lambda: 3,
        lambda: np.int64(3),
        lambda: np.random.RandomState(3),
        lambda: np.random.default_rng(3),
    ):
        first, second = (
            GaussianMixture(2, init_params="random", search=None, random_state=make()).fit(X)
            for _ in range(2)
        )
        np.testing.assert_array_equal(first.means_, second.means_)
    for state in (None, np.random):
        GaussianMixture(2, random_state=state).fit(X)
    np.random.seed(7)  # noqa: NPY002  (the global state is what is tested)
    first = root_seed(np.random)
    np.random.seed(7)  # noqa: NPY002
    assert root_seed(np.random) == first


def test_a_generator_moves_on_and_a_seed_does_not():
    generator = np.random.default_rng(0)
    model = GaussianMixture(2, random_state=generator).fit(X)
    assert not np.array_equal(model.sample(5)[0], model.sample(5)[0])
    model = GaussianMixture(2, random_state=0).fit(X)
    np.testing.assert_array_equal(model.sample(5)[0], model.sample(5)[0])
    assert not np.array_equal(model.sample(5)[0], model.sample(5, random_state=1)[0])
    rows, labels = model.sample(50)
    assert (np.diff(labels) >= 0).all()
    assert rows.shape == (50, 2)


def test_threads_change_no_bit():
    big = np.random.default_rng(1).normal(size=(60_000, 3))
    one, three = (
        GaussianMixture(3, random_state=0, n_jobs=n, max_passes=30, search=None) for n in (1, 3)
    )
    with pytest.warns(ConvergenceWarning, match="max_passes"):
        one.fit(big)
    with pytest.warns(ConvergenceWarning, match="max_passes"):
        three.fit(big)
    np.testing.assert_array_equal(one.means_, three.means_)
    np.testing.assert_array_equal(one.score_samples(big), three.score_samples(big))


# What came out


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_an_estimator_are_copies_that_may_be_written_to(kind):
    model = kind(n_components=2, random_state=0).fit(X)
    before = model.score_samples(X)
    arrays = {}
    for name, value in vars(model).items():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, np.ndarray):
                arrays[name] = part
    assert {"weights_", "means_", "covariances_", "objective_trace_"} <= arrays.keys()
    for name, array in arrays.items():
        assert array.flags.writeable, name
        array[...] = 0
    np.testing.assert_array_equal(model.score_samples(X), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_immutable_to_the_last_array(kind):
    model = kind(n_components=2, random_state=0).fit(X)
    result = model.result_
    with pytest.raises(AttributeError):
        result.status = "converged"
    again = [copy.deepcopy(result), copy.copy(result)]
    for each in (result, *again):
        for array in (
            each.trace,
            each.counts,
            each.hard_counts,
            each.mixture.components.means,
            each.mixture.frame.centre,
            each.unframed.means,
            each.plug_in.components.means,
            each.density.components.means,
        ):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


def test_a_result_holds_no_rows():
    model = GaussianMixture(2, random_state=0).fit(CROWDED)

    def sizes(value, seen):
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            yield value.size
        elif isinstance(value, (tuple, list)):
            for each in value:
                yield from sizes(each, seen)
        elif hasattr(value, "__dataclass_fields__"):
            for each in vars(value).values():
                yield from sizes(each, seen)

    assert max(sizes(model.result_, set())) < len(CROWDED)


def test_labels_go_from_the_heaviest_component_down():
    for kind in KINDS:
        model = kind(n_components=2, random_state=0).fit(X)
        assert (np.diff(model.weights_) <= 0).all()
        assert np.bincount(model.predict(X)).argmax() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_explicit_start_keeps_its_order(kind):
    labels = np.repeat([1, 0], [80, 40])
    model = kind(n_components=2, init_params=labels).fit(X)
    assert model.weights_[0] < model.weights_[1]
    assert model.means_[0].min() > 2.0 > model.means_[1].max()


@pytest.mark.parametrize("kind", KINDS)
def test_the_trace_has_a_value_an_iteration_and_ends_at_the_bound(kind):
    model = kind(n_components=2, random_state=0, search=None).fit(X)
    assert len(model.objective_trace_) == model.n_iter_ == len(model.lower_bounds_)
    assert model.objective_trace_[-1] == pytest.approx(model.result_.objective, rel=1e-12)
    assert model.lower_bounds_[-1] == pytest.approx(model.lower_bound_, rel=1e-12)
    assert isinstance(model.n_iter_, int)
    assert isinstance(model.converged_, bool)
    assert isinstance(model.lower_bound_, float)


# Starts


def test_responsibilities_labels_and_callables_are_one_start():
    labels = np.repeat([0, 1], [80, 40])
    shares = np.eye(2)[labels]
    seen = []

    def callable_start(values, n_components, generator):
        seen.append((values.shape, n_components, type(generator)))
        return labels

    plain = {"search": None, "acceleration": None, "max_iter": 5, "tol": 0.0}
    with pytest.warns(ConvergenceWarning):
        expected = GaussianMixture(2, init_params=shares, **plain).fit(X)
    for start in (labels, labels.tolist(), shares.tolist(), callable_start):
        with pytest.warns(ConvergenceWarning):
            model = GaussianMixture(2, init_params=start, **plain).fit(X)
        np.testing.assert_array_equal(model.objective_trace_, expected.objective_trace_)
    assert seen == [((120, 2), 2, np.random.Generator)]


# Warm starts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:.*did not converge.*")
def test_a_warm_start_goes_on_where_the_last_fit_ended(kind):
    options = {"search": None, "acceleration": None, "random_state": 0, "init_params": "random"}
    if kind is not GaussianMixture:
        options["prune"] = False
    if kind is BayesianGaussianMixture:
        # Sorting sticks is a step of its own; exchangeable weights are sorted without one.
        options["weight_concentration_prior_type"] = "dirichlet_distribution"
    whole = kind(n_components=2, max_iter=9, **options).fit(CROWDED)
    parts = kind(n_components=2, max_iter=3, warm_start=True, **options)
    trace = np.concatenate([parts.fit(CROWDED).objective_trace_ for _ in range(3)])
    # The order of components is looked at once, after the first fit.
    order = np.argsort(-parts.weights_)
    reference = np.argsort(-whole.weights_)
    np.testing.assert_allclose(trace, whole.objective_trace_, rtol=1e-12)
    np.testing.assert_allclose(parts.means_[order], whole.means_[reference], rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_follows_rows_that_change(kind):
    model = kind(n_components=2, random_state=0, warm_start=True).fit(X)
    moved = X * [1.1, 0.8] + [0.3, -0.5]
    cold = clone(model).set_params(warm_start=False).fit(moved)
    model.fit(moved)
    assert model.lower_bound_ == pytest.approx(cold.lower_bound_, rel=1e-6)
    np.testing.assert_allclose(model.means_, cold.means_, atol=0.01)
    # Of other rows altogether it makes something that can be used, and of another width a new fit.
    assert np.isfinite(model.fit(1000.0 * X).score(1000.0 * X))
    wider = np.hstack([X, X[:, :1] ** 2])
    expected = clone(model).fit(wider)
    np.testing.assert_array_equal(model.fit(wider).means_, expected.means_)


def test_a_warm_start_follows_parameters_that_change():
    model = BayesianGaussianMixture(n_components=2, random_state=0, warm_start=True).fit(X)
    for change in (
        {"weight_concentration_prior_type": "dirichlet_distribution"},
        {"weight_concentration_prior_type": "type2_ml"},
        {"covariance_type": "diag"},
        {"covariance_prior": [1.0, 1.0]},
        {"covariance_type": "tied", "covariance_prior": None},
        {"n_components": 3, "prune": False},
        {"n_components": 2},
    ):
        model.set_params(**change).fit(X)
        cold = clone(model).set_params(warm_start=False, random_state=1).fit(X)
        # At worst a warm start stays at its optimum; on two clear groups it is the best one.
        assert model.lower_bound_ >= cold.lower_bound_ - 0.5
        if model.n_components == 2:
            assert model.lower_bound_ == pytest.approx(cold.lower_bound_, abs=1e-3)


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_a_warm_start_finds_a_cluster_again_that_was_away(kind):
    rng = np.random.default_rng(0)
    model = kind(3, warm_start=True, random_state=0)
    for n_third in (30, 0, 30):
        frame = np.r_[
            rng.normal(size=(60, 2)),
            rng.normal(size=(60, 2)) + 5.0,
            rng.normal((9.0, -4.0), size=(n_third, 2)),
        ]
        model.fit(frame)
    cold = clone(model).set_params(warm_start=False).fit(frame)
    assert model.result_.objective >= cold.result_.objective - 1.5  # order of the sticks
    assert np.sort(model.means_[:, 1])[0] == pytest.approx(-4.0, abs=1.0)


def test_a_warm_start_keeps_the_order_of_components_where_a_fresh_one_wins():
    rng = np.random.default_rng(1)
    centres = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    means = np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 19.0]])
    frame = (centres[:, None] + rng.normal(size=(3, 40, 2))).reshape(-1, 2)
    model = GaussianMixture(3, warm_start=True, random_state=0)
    model._adopt(GaussianMixture.from_parameters([0.3, 0.3, 0.4], means, np.ones(3)).result_)
    model.fit(frame)
    assert np.abs(model.means_[2] - centres[2]).max() < 1.0
    assert np.abs(np.sort(model.means_[:2, 0]) - [0.0, 20.0]).max() < 1.0


# Budgets


@pytest.mark.parametrize("kind", KINDS)
def test_a_budget_of_passes_is_kept(kind):
    for most in (1, 7, 40):
        model = kind(n_components=3, max_passes=most, random_state=0)
        with pytest.warns(ConvergenceWarning, match=f"max_passes={most} before it converged"):
            model.fit(CROWDED)
        # A run that has begun takes the one pass that gives it a mixture.
        assert most <= model.result_.passes <= most + 2
        assert model.result_.status == "max_passes"
        assert not model.converged_
        assert np.isfinite(model.score_samples(CROWDED)).all()


def test_a_budget_of_seconds_is_kept(monkeypatch):
    monkeypatch.setattr("bayesmix.em.run.time.perf_counter", Clock())
    model = GaussianMixture(3, max_seconds=5.0, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"max_seconds=5.0 before it converged"):
        model.fit(CROWDED)
    assert model.result_.passes < 60
    assert np.isfinite(model.score(CROWDED))


class Clock:
    """A clock on which every look takes a tenth of a second."""

    def __init__(self):
        self.now = time.perf_counter()

    def __call__(self):
        self.now += 0.1
        return self.now


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*did not converge.*")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("search", [None, "auto"])
def test_no_more_iterations_than_max_iter(kind, search):
    for most in (1, 4, 12, 40):
        model = kind(n_components=5, max_iter=most, search=search, random_state=0).fit(CROWDED)
        assert model.n_iter_ <= most
        assert len(model.objective_trace_) == model.n_iter_


def test_a_plain_run_makes_as_many_iterations_as_it_is_given():
    labels = np.repeat([0, 1], 200)
    model = GaussianMixture(
        2, init_params=labels, search=None, acceleration=None, tol=0.0, max_iter=17
    )
    with pytest.warns(ConvergenceWarning, match="max_iter=17"):
        model.fit(CROWDED)
    assert model.n_iter_ == 17
    assert (np.diff(model.objective_trace_) > 0).all()


# What it says on the way


def test_nothing_is_said_unasked(capsys):
    GaussianMixture(2, random_state=0).fit(X)
    heard = capsys.readouterr()
    assert heard.out == heard.err == ""


def test_verbose_two_says_time_and_change():
    heard = io.StringIO()
    with redirect_stdout(heard):
        GaussianMixture(2, verbose=2, verbose_interval=1, search=None, random_state=0).fit(X)
    lines = heard.getvalue().splitlines()
    assert lines[0] == "Initialization 0"
    assert "time lapse" in lines[1]
    assert "ll change" in lines[1]
    assert lines[-1].startswith("Initialization converged. time lapse")
    assert "lower bound" in lines[-1]


def test_a_bar_is_drawn_where_asked_and_after_a_while(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BEFORE_BAR", 0.0)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_UPDATES", 0.0)
    GaussianMixture(2, progress=True, random_state=0).fit(X)
    assert "GaussianMixture" in capsys.readouterr().err
    # No terminal here, so that nobody looks.
    GaussianMixture(2, random_state=0).fit(X)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    GaussianMixture(2, progress=False, random_state=0).fit(X)
    assert capsys.readouterr().err == ""


def test_the_bar_of_rows_in_parts_says_rows_a_second(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "SECONDS_BEFORE_BAR", 0.0)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_UPDATES", 0.0)
    np.save(tmp_path / "part-0.npy", X)
    source = bm.read(tmp_path)
    GaussianMixture(2, search=None, progress=True, random_state=0).fit(source)
    assert "rows/s" in capsys.readouterr().err
    assert source.passed.n_rows % len(X) == 0
    speed = progress.Reporter("", 0, 1, None, rows=source.passed)
    source.passed.n_rows += 300
    assert speed._speed(speed.began + 2.0) == "150 rows/s"
    assert speed._speed(speed.began + 3.0) == ""


def test_warnings_point_at_the_users_line():
    with pytest.warns(ConvergenceWarning) as caught:
        GaussianMixture(2, max_iter=1).fit(X)
    assert caught[0].filename == __file__
    with pytest.warns(bm.errors.FlatDirectionWarning) as caught:
        GaussianMixture(1).fit_predict(np.column_stack([X, np.ones(120)]))
    assert caught[0].filename == __file__


# How a result reads


class Tags(HTMLParser):
    """Tags that are open, and whether they closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_shows_its_components_as_text_and_as_html(kind):
    import pandas as pd

    frame = pd.DataFrame(X, columns=["<a> & b", "waiting"])
    model = kind(n_components=2, random_state=0).fit(frame)
    text, html = model.result_.summary(), model.result_._repr_html_()
    assert text.splitlines()[0].startswith("Gaussian, 2 components")
    assert repr(model.result_).startswith("<FitResult: Gaussian, 2 components")
    assert "converged" in text
    for k in range(2):
        line = text.splitlines()[2 + k].split()
        assert line[0] == str(k + 1)
        assert float(line[1]) == pytest.approx(model.weights_[k], abs=6e-4)
        assert float(line[2]) == pytest.approx(model.result_.counts[k], abs=0.06)
        assert float(line[3]) == pytest.approx(model.means_[k, 0], abs=0.01)
        assert float(line[5]) == pytest.approx(np.sqrt(model.covariances_[k, 0, 0]), rel=0.01)
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert "&lt;a&gt; &amp; b" in html
    assert sum(tag == "tr" for tag, _ in tags.seen) == 3
    # Nothing is loaded, nothing is run, and no colour is set that one ground would swallow.
    assert not {"script", "link", "img", "style"} & {tag for tag, _ in tags.seen}
    for _, attributes in tags.seen:
        style = attributes.get("style", "")
        assert "url(" not in style
        assert "color:" not in style.replace("color:inherit", "").replace("background:none", "")


def test_a_result_of_many_components_and_columns_stays_small():
    wide = np.random.default_rng(0).normal(size=(400, 9)) + 5 * np.arange(20).repeat(20)[:, None]
    start = np.arange(20).repeat(20)
    model = GaussianMixture(20, covariance_type="spherical", init_params=start).fit(wide)
    text = model.result_.summary()
    assert "and 8 more components and 3 more columns" in text
    assert len(text.splitlines()) < 33


@pytest.mark.filterwarnings("ignore::bayesmix.errors.DegenerateComponentWarning")
def test_what_happened_is_told():
    repeated = np.vstack([X, np.repeat([[30.0, 30.0]], 8, axis=0)])
    start = np.append(np.zeros(120, dtype=int), np.ones(8, dtype=int))
    model = GaussianMixture(2, covariance_type="diag", init_params=start).fit(repeated)
    assert "omponent 2 collapsed onto 8 observations (rows 120, 121, " in repr(model.result_)
    vb = BayesianGaussianMixture(n_components=9, search=None, max_iter=1000, random_state=0).fit(X)
    assert "of 9" in repr(vb.result_)
    assert "were dropped" in repr(vb.result_)
    assert "ELBO" in repr(vb.result_)


def test_counts_and_coins_have_tables_too():
    counts = np.random.default_rng(0).poisson([[3, 8]] * 40)
    shown = Mixture(1, family=bm.Poisson()).fit(counts).summary()
    assert "Poisson, 1 class," in shown
    mean = counts.mean(axis=0)[0]
    assert f"{mean:.2f} ± {np.sqrt(mean):.2f}" in shown
    given = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [1.0]], [1.0, 1.0])
    assert repr(given.result_).startswith("<FitResult: Gaussian, 2 components, given>")
    given.result_._repr_html_()


def test_a_search_says_what_it_tried_and_gained():
    rng = np.random.default_rng(3)
    rows = np.vstack([rng.normal(centre, 1.0, (150, 2)) for centre in (0.0, 6.0, 12.0)])
    result = bm.GaussianMixture(3, random_state=0).fit(rows).result_
    starts = [record for record in result.search_trace if record.stage == "start"]
    assert f"of {len(starts)} starts reached the best optimum" in result.search_summary
    alone = bm.GaussianMixture(3, search=None, random_state=0).fit(rows).result_
    assert "no search" in alone.search_summary


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.nightly
def test_more_components_never_have_a_lower_likelihood_in_a_search():
    """Each candidate begins at the splits of the one before as well."""
    rng = np.random.default_rng(5)
    rows = np.vstack([rng.normal(centre, 1.0, (60, 2)) for centre in (0.0, 2.0, 4.0)])
    search = bm.MixtureSearch(
        n_components=range(1, 8), covariance_type=["tied", "diag"], random_state=1
    ).fit(rows)
    for _, table in search.results_.groupby("covariance_type"):
        table = table.sort_values("n_components")
        assert (table["log_likelihood"].diff().dropna() > -1e-6).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_search_is_the_same_for_any_number_of_workers(monkeypatch):
    rng = np.random.default_rng(6)
    rows = np.vstack([rng.normal(centre, 1.0, (50, 2)) for centre in (0.0, 3.0)])
    options = {"n_components": (1, 2, 3), "covariance_type": ["full", "diag", "tied"]}
    alone = bm.MixtureSearch(random_state=0, n_jobs=1, **options).fit(rows)
    monkeypatch.setattr("bayesmix.core.parallel.SECONDS_ALONE", -1.0)
    many = bm.MixtureSearch(random_state=0, n_jobs=2, **options).fit(rows)
    columns = ["covariance_type", "n_components", "log_likelihood", "bic"]
    assert many.results_[columns].equals(alone.results_[columns])
