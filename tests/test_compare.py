"""Comparison of fitted models: sums by hand, and errors that say what to do."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

import bayesmix as bm
from bayesmix.errors import InvalidInputError

X = bm.datasets.load_faithful().to_numpy()[::3]


def test_held_out_differences_are_those_of_refits_by_hand():
    models = {k: bm.GaussianMixture(k, random_state=0).fit(X) for k in (1, 2)}
    folds = KFold(3, shuffle=True, random_state=1)
    found = bm.compare(models, X, cv=folds, n_jobs=1)
    densities = np.zeros((2, len(X)))
    for fit, test in folds.split(X):
        for place, k in enumerate((1, 2)):
            own = bm.GaussianMixture(k, random_state=0).fit(X[fit])
            densities[place, test] = own.score_samples(X[test])
    table, away = found.table, densities[0] - densities[1]
    assert table.index.tolist() == ["1", "2"]
    assert table["held_out"].tolist() == pytest.approx(densities.sum(axis=1).tolist())
    assert table["held_out_difference"].tolist() == pytest.approx([away.sum(), 0.0])
    error = np.sqrt(len(X)) * away.std(ddof=1)
    assert table["held_out_error"].tolist() == pytest.approx([error, 0.0])
    assert table["loo"].isna().all()
    assert found.summary().startswith("2 has the largest held-out log density.\n1: -")


def test_leave_one_out_differences_are_paired():
    fits = [bm.BayesianGaussianMixture(k, random_state=0).fit(X) for k in (1, 2)]
    one, two = (bm.leave_one_out(fit, X) for fit in fits)
    away = two.compare(one)
    values = two.values - one.values
    assert away.value == pytest.approx(two.total - one.total)
    assert away.standard_error == pytest.approx(np.sqrt(len(X)) * values.std())
    assert one.compare(one).value == one.compare(one).standard_error == 0.0
    found = bm.compare(fits, X, cv=2, n_jobs=1)
    assert found.table["loo_difference"].tolist() == pytest.approx([-away.value, 0.0])
    assert found.table["loo_error"].iloc[0] == pytest.approx(away.standard_error)
    with pytest.raises(InvalidInputError, match="same observations and sample weights, got 91"):
        one.compare(bm.leave_one_out(bm.BayesianGaussianMixture(1).fit(X[:50]), X[:50]))
    with pytest.raises(InvalidInputError, match="other must be a LeaveOneOut"):
        one.compare(3.0)


def test_models_to_compare_are_fitted_and_several():
    fit = bm.GaussianMixture(1).fit(X)
    for models, told in (
        ([fit], "at least two models, got 1"),
        (fit, "a sequence or a dict of fitted models, got GaussianMixture"),
        ([fit, bm.GaussianMixture(2)], "model 2 is not .a GaussianMixture.: call fit first"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            bm.compare(models, X)


def test_probabilities_of_clusters_are_sums_over_their_components():
    search = bm.select(X, 3, "tied", criterion="bic", n_jobs=1)
    of_clusters, of_components = search.predict_proba_clusters(X), search.predict_proba(X)
    assert of_clusters.shape == (len(X), search.n_clusters_)
    for cluster, members in enumerate(search.answer_.members):
        expected = of_components[:, list(members)].sum(axis=1)
        assert of_clusters[:, cluster] == pytest.approx(expected)
    assert (of_clusters.argmax(axis=1) == search.predict_clusters(X)).all()


@pytest.mark.parametrize("frame", [False, True])
def test_select_uses_missing_values_and_says_so_once(frame):
    rows = X.copy()
    rows[[3, 8], [0, 1]] = np.nan
    if frame:
        rows = pd.DataFrame(rows, columns=["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = bm.select(rows, 2, "full", n_jobs=1)
        given = bm.select(rows, 2, "full", missing="use", n_jobs=1)
    assert search.summary().count("missing values") == 1
    assert "2 observations with missing values: integrated out." in search.summary()
    assert "missing values" not in given.summary()
    assert search.best_score_ == given.best_score_
    with pytest.raises(InvalidInputError, match="must have no missing values"):
        bm.select(rows, 2, "full", missing="error", n_jobs=1)
    with pytest.raises(InvalidInputError, match="must have no missing values"):
        bm.MixtureSearch(n_components=2).fit(rows)
