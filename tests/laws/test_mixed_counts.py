"""Classes of mixed tables are counted as they are; those of measurements alone are merged."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.selection.clusters import COMPONENTS, MERGED, counted_as

EXACT = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))


def table(n=400, seed=3):
    """Two classes that levels tell apart, whose measurements overlap."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 2
    levels = {
        f"colour {j}": np.where(rng.random(n) < np.where(group, 0.85, 0.2), "red", "blue")
        for j in range(3)
    }
    return pd.DataFrame({"size": rng.normal(1.5 * group), **levels})


@pytest.mark.parametrize(
    ("columns", "counted"),
    [
        (["size", "colour 0"], COMPONENTS),
        (["colour 0", "colour 1"], COMPONENTS),
        (["size"], MERGED),
        (["size", "hour"], MERGED),
    ],
)
@pytest.mark.filterwarnings("ignore:columns")
def test_tables_with_levels_count_components(columns, counted):
    frame = table(60).assign(hour=np.linspace(0.0, 23.9, 60))[columns]
    fit = bm.Mixture(2, family="auto", inference=EXACT, random_state=0).fit(frame)
    assert counted_as(fit.result_) == counted


def test_overlapping_classes_of_a_mixed_table_are_not_merged():
    frame = table()
    search = bm.select(frame, [1, 2, 3], covariance_type="diag")
    assert search.n_clusters_ == 2
    assert str(search.summary()).startswith("2 clusters")
    merged = bm.select(frame, [1, 2, 3], covariance_type="diag", clusters="merged")
    assert merged.n_clusters_ == 1
