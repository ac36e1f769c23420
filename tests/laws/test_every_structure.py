"""Searches over all structures: each model once, as a matrix, and at least as good as mclust's."""

import numpy as np
import pytest
from gold.data import read_csv, read_json

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UndefinedError
from bayesmix.families.gaussian.covariance.models import NAMED, STRUCTURES
from bayesmix.selection.candidates import candidate_chains
from bayesmix.selection.structures import contains, each_once, structures_asked

SIX = ["EII", "spherical", "EEI", "tied", "diag", "full"]


def test_all_are_the_fourteen_and_under_a_posterior_the_six_that_have_one():
    assert set(structures_asked("all", 4, variational=False)) == set(STRUCTURES)
    assert set(structures_asked("all", 4, variational=True)) == set(SIX)
    assert set(structures_asked("all", None, variational=True)) == set(SIX)
    assert structures_asked(None, 4, variational=False) == [None]


@pytest.mark.parametrize("asked", ["fll", ["full", "diga"]])
def test_a_structure_that_is_none_is_refused_before_anything_is_fitted(asked):
    # Beside others it was a row of the table, and the choice was by BIC without a word.
    with pytest.raises(InvalidInputError, match="covariance_type must be one of 'full', 'tied'"):
        bm.select(np.eye(6), (1, 2), covariance_type=asked)


def test_with_one_column_there_are_two_models():
    assert structures_asked("all", 1, variational=False) == ["tied", "full"]
    assert structures_asked(["diag", "full", "EEV", "VEV", "EII"], 1, False) == ["diag", "EEV"]


def test_names_of_one_model_are_one_candidate_under_the_first():
    assert structures_asked(["VVV", "full", "tied_diag", "EEI"], 3, False) == ["VVV", "tied_diag"]


def test_with_one_component_there_are_three_models_and_each_is_fitted_once():
    names = structures_asked("all", 3, variational=False)
    chains = each_once(candidate_chains([1, 2], names, None))
    alone = [each["covariance_type"] for chain in chains for each in chain if "1" in str(each)]
    letters = sorted(NAMED[name].letters for name in alone)
    assert len(letters) == 3
    assert [sum(each["n_components"] == 2 for each in chain) for chain in chains] == [1] * 14
    four = candidate_chains([1, 2], ["full", "tied"], None)
    assert each_once(four) == four


@pytest.fixture(scope="module")
def search():
    rows = read_csv("faithful.csv")
    return bm.select(rows, (1, 2, 3), "all", criterion="bic", random_state=0, n_jobs=1)


@pytest.mark.slow
def test_the_matrix_is_that_of_mclust_or_higher(search):
    table = read_json("mclust_bic_faithful.json")["tight_tol"]
    matrix = search.matrix()
    assert matrix.shape == (3, 14)
    for name in matrix.columns:
        for k in matrix.index:
            theirs = table["bic"][NAMED[name].letters][str(k)]
            assert -matrix.loc[k, name] >= theirs - 2e-3
    best = matrix.attrs["best"]
    assert len(best) == 3
    assert best[0] == ("tied", 3, pytest.approx(search.best_score_))
    assert [value for *_, value in best] == sorted(value for *_, value in best)


def test_each_model_has_one_row_in_results(search):
    results = search.results_
    assert len(results) == 3 + 2 * 14
    alone = results[results["n_components"] == 1]
    assert alone["log_likelihood"].round(6).nunique() == 3


def test_richer_structures_reach_as_much_as_those_that_they_contain(search):
    table = search.results_.set_index(["covariance_type", "n_components"])["log_likelihood"]
    for name, structure in STRUCTURES.items():
        for other in STRUCTURES:
            if contains(structure, other):
                for k in (2, 3):
                    assert table[name, k] >= table[other, k] - 1e-3, (name, other, k)


@pytest.mark.slow
def test_to_nine_components_the_best_three_reach_mclusts_likelihoods():
    rows, theirs = read_csv("faithful.csv"), read_json("mclust_bic_faithful.json")
    search = bm.select(rows, range(1, 10), "all", criterion="bic", random_state=0, n_jobs=1)
    table = search.matrix("log_likelihood")
    assert table.notna().to_numpy().all()
    known = theirs["default_tol"]["loglik"]
    assert search.best_params_ == {"covariance_type": "tied", "n_components": 3}
    for name, k, _ in search.matrix().attrs["best"]:
        assert table.loc[k, name] >= known[NAMED[name].letters][str(k)] - 2e-3


def test_the_figure_names_the_best_three(search):
    from matplotlib.figure import Figure

    ax = search.plot(ax=Figure().subplots())
    written = [text.get_text() for text in ax.texts]
    assert [each for each in written if each.startswith(("1.", "2.", "3."))] == [
        f"{place + 1}. {name}, {k}"
        for place, (name, k, _) in enumerate(search.matrix().attrs["best"])
    ]


def test_under_a_posterior_the_number_of_components_has_probabilities():
    rows = read_csv("iris.csv", usecols=range(2))
    search = bm.select(rows, (1, 2), "all", criterion="elbo_log_k", random_state=0, n_jobs=1)
    assert set(search.results_["covariance_type"]) == set(SIX)
    assert np.isclose(search.k_probabilities_.sum(), 1.0)


def test_a_search_by_bic_has_no_probabilities_of_k(search):
    with pytest.raises(UndefinedError, match="fit BayesianGaussianMixture"):
        _ = search.k_probabilities_
    assert "Probability" not in search.summary()


@pytest.mark.slow
def test_models_that_are_one_with_one_component_share_its_prior():
    rows = np.random.default_rng(0).normal(size=(60, 2))
    options = {"criterion": "elbo_log_k", "prior_over_k": None, "n_jobs": 1}
    six, four = (
        bm.select(rows, (1, 2), names, **options).k_probabilities_
        for names in ("all", ("full", "tied", "diag", "spherical"))
    )
    assert six.attrs["prior"] == four.attrs["prior"]
    # Of three models each has a third of what one component has, of six a sixth of two.
    search = bm.select(rows, (1, 2), "all", **options)
    table = search.results_
    shares = np.exp(table["elbo_log_k"] - table["elbo_log_k"].max())
    shares *= table["n_components"].map(six.attrs["prior"])
    shares /= table["n_components"].map(table["n_components"].value_counts())
    by_k = shares.groupby(table["n_components"]).sum() / shares.sum()
    np.testing.assert_allclose(six, by_k.sort_index(), rtol=1e-9)
