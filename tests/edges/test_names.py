"""Public names: second names are the same objects, old ones work and warn of the new."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import bayesmix as bm

X = bm.datasets.load_faithful()
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "deprecations.md"
SECOND = {
    "loo": "leave_one_out",
    "log_marginal_likelihood": "log_evidence",
}
MOVED = re.findall(
    r"^\| `bayesmix\.\w+` \| `bayesmix\.(plots|results)\.(\w+)` \|$",
    PAGE.read_text("utf-8"),
    re.MULTILINE,
)


MOVED_MODULES = re.findall(
    r"^\| modules `(bayesmix\.\w+)\.\*` \| `(bayesmix\.\w+)\.\*` \|$",
    PAGE.read_text("utf-8"),
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def vb():
    return bm.BayesianGaussianMixture(2, random_state=0).fit(X)


@pytest.mark.parametrize(("second", "first"), SECOND.items())
def test_a_second_name_is_the_same_object(second, first):
    assert getattr(bm, second) is getattr(bm, first)
    assert second in bm.__all__


@pytest.mark.parametrize(("module", "name"), MOVED)
def test_an_old_name_works_and_warns_of_the_new_one(module, name):
    with pytest.warns(FutureWarning, match=rf"bayesmix\.{name} is now bayesmix\.{module}\.{name};"):
        old = getattr(bm, name)
    assert old is getattr(getattr(bm, module), name)
    assert name not in bm.__all__


def test_results_lists_the_classes_that_moved():
    # Newer classes have had no other place.
    newer = {"DiscriminantDirections", "Forecast", "Answer", "Lagged"}
    newer |= {"Description", "Divergence", "DecisionThreshold", "RestrictionTest"}
    newer |= {"ApaTable", "ClassProfiles", "ClassReport", "Enumeration", "GroupSimilarity"}
    newer |= {"ModelComparison", "LogDensityDifference", "SwitchingAutoregression"}
    moved = {name for module, name in MOVED if module == "results"}
    assert moved == set(bm.results.__all__) - newer


def test_the_page_lists_all_plots_that_moved():
    assert sum(module == "plots" for module, _ in MOVED) == 12


@pytest.mark.slow
def test_the_warning_points_at_the_line_that_uses_the_old_name():
    script = "import bayesmix as bm\nbm.LeaveOneOut\nfrom bayesmix import Merging\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0
    assert "<string>:2: FutureWarning: bayesmix.LeaveOneOut" in done.stderr
    assert "<string>:3: FutureWarning: bayesmix.Merging" in done.stderr


@pytest.mark.parametrize("function", [bm.gibbs, bm.crosscheck, bm.weighted_bootstrap])
def test_the_old_spelling_of_n_draws_works_and_warns(function, vb):
    more = {} if function is bm.weighted_bootstrap else {"chains": 2, "warmup": 2}
    more |= {"sampler": "gibbs"} if function is bm.crosscheck else {}
    new = function(vb, X, n_draws=20, **more)
    with pytest.warns(FutureWarning, match=rf"{function.__name__}\(draws=...\) is now n_draws=..."):
        old = function(vb, X, draws=20, **more)
    draws = [getattr(one, "found", one).draws for one in (old, new)]
    np.testing.assert_array_equal(*(one.weights.log_weights for one in draws))
    with pytest.raises(bm.errors.InvalidInputError, match="use n_draws only"):
        function(vb, X, draws=20, n_draws=20)


@pytest.mark.parametrize("estimator", [bm.GaussianMixture, bm.BayesianGaussianMixture, bm.Mixture])
def test_noise_is_uniform_where_it_is_true(estimator):
    fits = [estimator(2, noise=noise, random_state=0).fit(X) for noise in (True, "uniform")]
    assert fits[0].noise_weight_ == fits[1].noise_weight_
    assert fits[0].n_parameters_ == fits[0].result_.n_parameters_ == 12
    assert estimator(2, noise=False, random_state=0).fit(X).n_parameters_ == 11


def test_credible_intervals_hold_what_draws_from_q_do(vb):
    table = vb.credible_interval(level=0.8, random_state=3).set_index("parameter")
    assert list(table.columns) == ["mean", "lower", "upper"]
    assert "weights[component 2]" in table.index
    assert "covariances[component 2, eruptions, waiting]" in table.index
    assert "covariances[component 2, waiting, eruptions]" not in table.index
    n_draws = 20_000
    drawn = vb.sample_posterior(n_draws, random_state=4)
    for k, name in enumerate(["weights[component 1]", "weights[component 2]"]):
        share = drawn.weights[:, k]
        inside = (share > table.lower[name]) & (share < table.upper[name])
        # 4,000 draws make the ends, 20,000 count: 4.4 standard errors, a false alarm in 10^5.
        assert abs(inside.mean() - 0.8) < 4.4 * 0.4 * (1 / 4000 + 1 / n_draws) ** 0.5
        assert abs(table["mean"][name] - vb.weights_[k]) < 4.4 * share.std() / 4000**0.5


def test_credible_intervals_of_a_maximum_likelihood_fit_are_refused():
    with pytest.raises(bm.errors.UnsupportedError, match="without a posterior"):
        bm.GaussianMixture(2, random_state=0).fit(X).credible_interval()


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EEI", "EII"])
def test_a_variational_fit_goes_to_scikit_learn_at_its_posterior_means(covariance_type):
    vb = bm.BayesianGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    theirs = vb.to_sklearn()
    rows = X.to_numpy()
    at_means = vb.result_.plug_in
    ours = vb.result_.log_density(rows)
    from bayesmix.em.prediction import log_density

    expected = log_density(at_means, rows, vb.result_.family)
    np.testing.assert_allclose(theirs.score_samples(X), expected, rtol=1e-9)
    assert np.abs(ours - expected).max() > 1e-4
    assert theirs.lower_bound_ == pytest.approx(theirs.score(X), rel=1e-9)


@pytest.mark.slow
def test_the_stick_breaking_default_says_what_to_set():
    default = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
    remedy = "weight_concentration_prior_type='dirichlet_distribution'"
    found = bm.log_evidence(default, X)
    assert np.isnan(found.estimate)
    assert f"{remedy} and prune=False" in found.note
    check = bm.crosscheck(default, X, n_draws=20, chains=2, sampler="gibbs")
    assert remedy in check.evidence.note
    with pytest.raises(bm.errors.UnsupportedError, match=remedy):
        bm.gibbs(default, X, n_components=None)
    options = {"weight_concentration_prior_type": "dirichlet_distribution", "prune": False}
    followed = default.set_params(**options).fit(X)
    assert bm.log_evidence(followed, X, n_sweeps=0).note != found.note
    assert bm.gibbs(followed, X, n_draws=5, chains=1, n_components=None).n_draws == 5


@pytest.mark.slow
def test_credible_intervals_of_gibbs_draws_follow_the_components_of_the_fit(vb):
    draws = bm.gibbs(vb, X, n_draws=200, chains=4, random_state=0)
    table = vb.credible_interval(level=0.8, method=draws).set_index("parameter")
    # Component 0 has the longer eruptions: sorting by them relabels the draws.
    means = draws.parameters["means"].reshape(-1, 2, 2)
    order = np.argsort(-means[:, :, 0], axis=1)
    for name, values in (
        ("weights", draws.weights.reshape(-1, 2)),
        ("means", means[:, :, 0]),
    ):
        sorted_values = np.take_along_axis(values, order, axis=1)
        label = f"{name}[{{}}]" if name == "weights" else f"{name}[{{}}, eruptions]"
        for k in range(2):
            limits = np.quantile(sorted_values[:, k], [0.1, 0.9])
            row = table.loc[label.format(f"component {k + 1}"), ["lower", "upper"]]
            np.testing.assert_allclose(row, limits)


def test_credible_intervals_by_refits_need_no_posterior():
    gm = bm.GaussianMixture(2, random_state=0).fit(X)
    table = gm.credible_interval(method="bootstrap", data=X, n_draws=40).set_index("parameter")
    row = table.loc["weights[component 1]"]
    assert row["lower"] < gm.weights_[0] < row["upper"]


@pytest.mark.parametrize(("old", "new"), MOVED_MODULES)
def test_a_module_works_under_its_old_name_and_warns_of_the_new_one(old, new):
    folder = Path(bm.__file__).parents[1].joinpath(*new.split("."))
    moved = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    assert moved
    for module in moved:
        for name in (old, f"{old}.{module}"):
            sys.modules.pop(name, None)
        with pytest.warns(FutureWarning) as warned:
            alias = import_module(f"{old}.{module}")
        new_name = f"{new}.{module}"
        assert f"{old}.{module} is now {new_name}; the old" in str(warned[-1].message)
        home = import_module(new_name)
        public = [name for name in vars(home) if not name.startswith("_")]
        assert all(getattr(alias, name) is getattr(home, name) for name in public)
    with pytest.raises(ModuleNotFoundError, match=rf"{new}\.nothing"):
        import_module(f"{old}.nothing")


def test_the_module_of_files_is_an_attribute_from_the_start():
    code = "import bayesmix; print(bayesmix.io.save.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "save"
