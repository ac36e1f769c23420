"""How a search has its candidates fitted: rows are checked once, and nobody sees how."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.searching.fitters import SourceFitter
from bayesmix.estimators.searching.table_fitter import TableFitter
from bayesmix.selection.tasks import Effort
from laws.cases import generator


def clusters(n=200, seed=0):
    rng = generator(seed)
    return 5.0 * rng.integers(3, size=(n, 1)) + rng.normal(size=(n, 2))


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["bic", "cv", "auto"])
def test_the_rows_of_a_search_are_checked_once(monkeypatch, criterion):
    seen = []
    checked = incoming.validated

    def counted(estimator, X, *arguments, **options):
        seen.append(X)
        return checked(estimator, X, *arguments, **options)

    monkeypatch.setattr(incoming, "validated", counted)
    bm.select(clusters(), (1, 2, 3), criterion=criterion, n_jobs=1)
    assert len(seen) == 1


def test_a_pipeline_has_the_fits_of_a_mixture_of_its_transformed_rows():
    X = clusters()
    options = {"n_components": (1, 2, 3, 4), "random_state": 0, "n_jobs": 1}
    mixture = bm.GaussianMixture(search="short")
    of_rows = bm.MixtureSearch(mixture, **options).fit(StandardScaler().fit_transform(X))
    of_steps = bm.MixtureSearch(make_pipeline(StandardScaler(), mixture), **options).fit(X)
    names = ["bic", "log_likelihood", "n_components", "note", "warnings"]
    found, expected = of_steps.results_[names], of_rows.results_[names]
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert [type(step) for _, step in of_steps.best_estimator_.steps] == [
        StandardScaler,
        bm.GaussianMixture,
    ]


def test_folds_of_a_pipeline_are_fitted_and_scored_in_units_of_the_rows():
    X = clusters()
    options = {"n_components": (2, 3), "criterion": "cv", "random_state": 0, "n_jobs": 1}
    of_rows = bm.MixtureSearch(**options).fit(X)
    of_steps = bm.MixtureSearch(make_pipeline(StandardScaler(), bm.GaussianMixture()), **options)
    found, expected = of_steps.fit(X).results_["cv"], of_rows.results_["cv"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_estimator_with_a_fit_of_its_own_is_fitted_by_it():
    calls = []

    class Told(bm.GaussianMixture):
        def fit(self, X, y=None, sample_weight=None):
            calls.append(len(X))
            return super().fit(X, y, sample_weight)

    X = clusters(90)
    options = {"n_components": (1, 2), "criterion": "cv", "cv": 3, "random_state": 0, "n_jobs": 1}
    bm.MixtureSearch(Told(), **options).fit(X)
    assert sorted(set(calls)) == [60, 90]


def test_how_far_a_search_goes_is_said_in_one_place():
    X = clusters(60)
    for asked in ("auto", "short", None):
        for fitter in (
            bm.GaussianMixture(search=asked)._fitter(X),
            TableFitter(make_pipeline(bm.GaussianMixture(search=asked)), X, None, None),
        ):
            found = partial(fitter.candidate, {})
            last = [found(effort=effort) for effort in Effort]
            last = [one[-1] if hasattr(one, "steps") else one for one in last]
            short = "short" if asked == "auto" else asked
            assert [one.search for one in last] == [asked, short, asked and "auto"]
            assert fitter.searches is (asked is not None)


@pytest.mark.parametrize("large", [False, True])
def test_only_with_large_data_a_candidate_goes_on_from_a_fit_of_itself_alone(monkeypatch, large):
    if large:
        monkeypatch.setattr("bayesmix.search.optimum.SAMPLED_ABOVE", 0)
    fitter = bm.GaussianMixture(random_state=0)._fitter(clusters(3000))
    fits = {}
    for structure in ("full", "diag"):
        of_three = {"n_components": 3, "covariance_type": structure}
        fits[structure] = fitter.fit(fitter.candidate(of_three, Effort.STARTS))
    fold = fitter.on(np.arange(2400))
    for structure in ("full", "diag"):
        candidate = fold.candidate({"n_components": 3, "covariance_type": "full"}, Effort.STARTS)
        result = fold.fit(candidate, (fits[structure].mixture,))
        assert (result.search_trace == ()) is (large and structure == "full")


def test_weights_and_names_come_through():
    X = pd.DataFrame(clusters(80), columns=["a", "b"])
    row_weights = generator(1).integers(0, 3, 80).astype(float)
    search = bm.MixtureSearch(n_components=(2,), random_state=0, n_jobs=1)
    found = search.fit(X, sample_weight=row_weights).best_estimator_
    alone = bm.GaussianMixture(2, random_state=0).fit(X, sample_weight=row_weights)
    np.testing.assert_array_equal(found.means_, alone.means_)
    assert list(found.feature_names_in_) == ["a", "b"]
    assert found.n_features_in_ == 2


def test_a_fitter_travels_without_what_rows_keep():
    fitter = bm.GaussianMixture(2, random_state=0)._fitter(clusters(500))
    assert isinstance(fitter, SourceFitter)
    before = len(pickle.dumps(fitter))
    expected = fitter.fit(fitter.candidate({}))
    again = pickle.loads(pickle.dumps(fitter))
    assert len(pickle.dumps(fitter)) < 1.5 * before
    assert again.fit(again.candidate({})).objective == expected.objective
