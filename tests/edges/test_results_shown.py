"""Every result prints in five lines at most, and says the same at length in ``summary()``."""

import html

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm

X = bm.datasets.load_faithful().iloc[:120]
SURVEY = pd.DataFrame({"a": [*"xyz"] * 20, "b": [*"uuvv"] * 15})


@pytest.fixture(scope="module")
def gm():
    return bm.GaussianMixture(2, random_state=0).fit(X)


@pytest.fixture(scope="module")
def vb():
    return bm.BayesianGaussianMixture(
        2,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
        random_state=0,
    ).fit(X)


@pytest.fixture(scope="module")
def search():
    return bm.select(X, n_components=range(1, 8), covariance_type="full", random_state=0)


MADE = {
    "LeaveOneOut": lambda gm, vb, search: bm.loo(vb, X, n_draws=100),
    "Evidence": lambda gm, vb, search: bm.log_evidence(vb, X, n_draws=100, n_sweeps=20),
    "GoodnessOfFit": lambda gm, vb, search: bm.goodness_of_fit(gm, X, n_resamples=9),
    "LikelihoodRatioTest": lambda gm, vb, search: bm.likelihood_ratio_test(gm, X, n_resamples=9),
    "RestrictionTest": lambda gm, vb, search: bm.likelihood_ratio_test(
        bm.GaussianMixture(2, covariance_type="tied", random_state=0).fit(X),
        X,
        against=bm.GaussianMixture(2, random_state=0).fit(X),
    ),
    "Merging": lambda gm, vb, search: bm.merge_components(gm, X),
    "Stability": lambda gm, vb, search: bm.stability(vb, X, n_resamples=2),
    "NestedResult": lambda gm, vb, search: bm.nested_cv(
        {name: bm.GaussianMixture(2, random_state=0) for name in "abcd"}, X, cv=2
    ),
    "ModelComparison": lambda gm, vb, search: bm.compare([gm, gm, gm, gm, vb, vb], X, cv=2),
    "PriorSensitivity": lambda gm, vb, search: bm.prior_sensitivity(search, X),
    "PosteriorSample": lambda gm, vb, search: vb.sample_posterior(10, random_state=0),
    "WeightedBootstrap": lambda gm, vb, search: bm.weighted_bootstrap(vb, X, n_draws=4),
    "Gibbs": lambda gm, vb, search: bm.gibbs(vb, X, n_draws=10, chains=2),
    "GibbsOverK": lambda gm, vb, search: bm.gibbs(vb, X, n_draws=10, chains=2, n_components=None),
    "CrossCheck": lambda gm, vb, search: bm.crosscheck(
        vb, X, n_draws=20, chains=2, sampler="gibbs"
    ),
    "LatentClasses": lambda gm, vb, search: bm.latent_classes(
        bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(SURVEY), SURVEY
    ),
    "Enumeration": lambda gm, vb, search: bm.enumerate_classes(
        X, n_components=(1, 2), models=(1,), n_bootstrap=9, random_state=0
    ),
    "DensityRegion": lambda gm, vb, search: vb.density_region(0.9, n_draws=200),
    "AveragedDensity": lambda gm, vb, search: search.averaged_,
    "DiscriminantDirections": lambda gm, vb, search: bm.discriminant_directions(gm),
    "Forecast": lambda gm, vb, search: (
        bm.HiddenMarkovModel(2, random_state=0).fit(X).forecast(X, 30)
    ),
    "SwitchingAutoregression": lambda gm, vb, search: bm.switching_autoregression(
        X["waiting"].to_numpy(), n_init=2, random_state=0
    ),
    "FitResult": lambda gm, vb, search: vb.result_,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MADE, "SearchRecord"])
def test_a_result_prints_in_five_lines_and_has_a_summary(name, gm, vb, search):
    if name == "SearchRecord":
        result = vb.result_.search_trace[0]
    else:
        result = MADE[name](gm, vb, search)
        assert type(result) is getattr(bm.results, name)
    shown = repr(result)
    assert name in shown
    assert len(shown.splitlines()) <= 5
    assert len(shown) < 1200
    assert result.summary().strip()


def test_every_class_of_results_is_looked_at():
    printed_whole = {"ApaTable", "ClassProfiles", "ClassReport", "GroupSimilarity", "Answer"}
    printed_whole |= {"Description", "Divergence", "DecisionThreshold", "Lagged"}
    printed_whole |= {"LogDensityDifference"}
    assert {*MADE, *printed_whole, "MixtureDensity"} == set(bm.results.__all__)


def test_what_is_left_out_of_a_repr_is_in_the_summary():
    found = bm.nested_cv(
        {name: bm.GaussianMixture(k, random_state=0) for k, name in enumerate("abc", 1)}, X, cv=2
    )
    n_lines = len(found.summary().splitlines())
    assert n_lines > 4
    assert f"... {n_lines - 3} more in summary()" in repr(found)


@pytest.mark.parametrize(
    "name",
    ["Stability", "NestedResult", "PriorSensitivity", "GoodnessOfFit", "LikelihoodRatioTest"],
)
def test_text_html_and_json_of_a_result_show_the_same(name, gm, vb, search):
    result = MADE[name](gm, vb, search)
    shown, page = result.shown, result._repr_html_()
    assert result.summary() == shown.text() == shown.values()["summary"]
    assert all(html.escape(line) in page for line in result.summary().splitlines())
    for table in shown.tables:
        assert len(shown.values()[table.name]) == len(table.frame)
        assert all(f">{html.escape(str(head))}</th>" in page for head in table.frame)


def test_leave_one_out_says_whether_it_is_reliable():
    fine = bm.results.LeaveOneOut(np.array([-1.0, -2.0]), np.array([0.1, 0.2]), -3.0, 0.5)
    assert fine.summary().splitlines() == [
        "Leave-one-out log density: -3.00 ± 0.50 nats (n = 2).",
        "Pareto k is at most 0.20: importance sampling is reliable.",
    ]
    doubtful = bm.results.LeaveOneOut(np.array([-1.0, -2.0]), np.array([0.1, 0.9]), -3.0, 0.5)
    assert "above 0.7 for 1 of 2 observations: use cross-validation" in doubtful.summary()


def test_a_forecast_shows_states_and_intervals_step_by_step():
    values = np.array([[1.25, np.nan]])
    found = bm.results.Forecast(
        np.array([[0.1, 0.9]]), values, values - 1.0, values + 1.0, 0.8, ("count", "kind")
    )
    assert found.summary().splitlines() == [
        "Forecast of 1 step, means and 80 % intervals:",
        "  step  P(state 1)  P(state 2)              count  kind",
        "     1        0.10        0.90  1.25 [0.25, 2.25]     -",
    ]


def test_evidence_without_an_estimate_says_why():
    nan = float("nan")
    found = bm.results.Evidence(nan, nan, 0.9, -530.6, 100, "no estimate: Pareto k is 0.90")
    assert repr(found) == "<Evidence: no estimate, lower bound -530.60>"
    assert found.summary().splitlines() == [
        "Lower bound (ELBO): -530.60 nats.",
        "No estimate: Pareto k is 0.90.",
    ]
