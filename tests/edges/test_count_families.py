"""Counts of frames are Poisson or negative binomial, as held-out observations decide."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import BayesmixWarning


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("size", "mean", "n", "seed"), [(2, 12, 200, 3), (10, 10, 300, 1)])
def test_half_zeros_beside_a_negative_binomial_are_no_poisson_components(size, mean, n, seed):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(size, size / (size + mean), n)
    frame = pd.DataFrame({"visits": np.where(rng.random(n) < 0.5, 0, counts)})
    with pytest.warns(BayesmixWarning, match="counts are negative binomial: visits"):
        search = bm.select(frame, (1, 2, 3), n_jobs=1)
    assert search.n_components_ <= 2
    assert search.best_estimator_.components_["visits"]["sizes"].shape == (search.n_components_, 1)
    assert search.columns_.loc["visits", "kind"] == "counts"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("criterion", ["bic", "icl"])
def test_counts_are_negative_binomial_also_by_criteria_of_likelihood(criterion):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"visits": rng.negative_binomial(2, 2 / 14, 200)})
    with pytest.warns(BayesmixWarning, match="counts are negative binomial: visits"):
        search = bm.select(frame, (1, 2, 3), criterion=criterion, n_jobs=1)
    assert (search.n_components_, search.criterion) == (1, criterion)
    assert search.best_estimator_.components_["visits"]["sizes"].shape == (1, 1)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.slow
def test_poisson_counts_stay_poisson():
    rng = np.random.default_rng(4)
    group = rng.integers(0, 2, 200)
    frame = pd.DataFrame({"visits": rng.poisson(np.where(group, 12.0, 3.0))})
    frame["clicks"] = rng.poisson(np.where(group, 2.0, 9.0))
    search = bm.select(frame, (1, 2, 3), n_jobs=1)
    assert search.n_components_ == 2
    assert set(search.best_estimator_.components_["visits"]) == {"rates"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_counts_of_large_tables_are_compared_on_a_sample(monkeypatch):
    rng = np.random.default_rng(5)
    group = rng.integers(0, 2, 5000)
    mean = np.where(group, 15.0, 5.0)
    frame = pd.DataFrame({"n_visits": rng.negative_binomial(4, 4 / (4 + mean))})
    frame["height"] = rng.normal(4.0 * group)
    compared = []
    fit = bm.MixtureSearch.fit

    def noted(search, X, *args, **named):
        compared.append(X.shape[0])
        return fit(search, X, *args, **named)

    monkeypatch.setattr(bm.MixtureSearch, "fit", noted)
    with pytest.warns(BayesmixWarning, match="counts are negative binomial: n_visits"):
        search = bm.select(frame, (1, 2, 3), n_jobs=1)
    assert compared == [2000, 5000]
    assert search.n_components_ == 2
