"""Latent classes of ordered answers and counts against output of Latent GOLD 6.1.

Tables and listings: cases o02, o03 and o04 of ``equivalence/latentgold-ordinal`` in the source of
the R package latents (Saqr & López-Pernas 2026), by maximum likelihood without Bayes constants.
"""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.latent_class_analysis.class_tests import described

# Counts by levels of the columns, the last one in rows.
THREE_CLASSES = """
    7 4 1 1 1 6 0 1 0 3 3 0 0 1    11 5 9 3 3 7 4 6 5 1 0 0 1 0   5 3 1 6 4 3 1 2 3 0 2 1 0 0
    2 6 6 4 4 3 1 2 0 2 0 0 0 0    3 5 3 2 0 0 0 0 0 0 0 0 0 0    30 13 4 4 3 2 3 3 4 0 2 0 1 0
    33 19 7 11 6 5 5 8 8 2 3 0 1 0  10 15 9 8 2 7 2 4 6 4 1 0 1 0  6 9 12 11 7 4 2 2 0 0 1 0 1 0
    7 13 19 8 6 2 1 1 1 0 0 1 0 0  79 23 11 1 4 1 1 1 0 0 1 0 0 0
    67 30 13 10 2 3 1 3 2 2 2 1 0 0  16 15 9 6 2 4 2 2 1 0 0 0 0 0
    3 17 5 5 6 0 0 0 0 0 0 0 0 0   4 14 4 7 0 1 0 0 1 0 1 0 0 0"""
COUNTS = """
    9 22 41 27 14 13 7 1 1 1   8 24 37 38 12 11 11 2 1 0   13 23 21 11 11 5 2 1 0 0
    23 14 9 2 2 1 1 0 0 0      29 21 9 5 1 0 0 0 0 0       15 18 13 4 1 1 0 0 0 0
    14 10 4 1 0 0 0 0 0 0      6 9 2 0 0 0 0 0 0 0         3 2 3 0 0 0 0 0 0 0
    3 4 1 0 0 0 0 0 0 0        0 0 1 0 0 0 0 0 0 0         0 1 0 0 0 0 0 0 0 0"""
RATINGS = """
    6 7 17 2 1    7 13 15 9 7    3 4 3 1 0   6 10 15 7 7   8 16 14 7 11   3 5 5 7 1
    5 15 21 17 27  8 18 19 21 23  7 10 6 5 4  6 20 42 52 43  5 18 13 29 29  4 3 3 5 5"""
TABLES = {
    "three classes": (THREE_CLASSES, (3, 5, 14)),
    "counts": (COUNTS, (12, 10)),
    "ratings": (RATINGS, (4, 3, 5)),
}
FAMILIES = {
    "three classes": bm.Product({("a", "b"): bm.Ordinal(degree=1), "c": bm.Poisson()}),
    "counts": bm.Poisson(),
    "ratings": bm.Ordinal(degree=1),
}
# LL, parameters, AIC, BIC, SABIC, CAIC and AWE (with the entropy), and the entropies.
STATISTICS = {
    "three classes": [-4007.0573, 15, 8044.1145, 8116.1504, 8068.5129, 8131.1504, 8872.3185],
    "counts": [-2212.0996, 5, 4434.1992, 4456.1839, 4440.3103, 4461.1839, 4746.0312],
    "ratings": [-2649.6377, 13, 5325.2753, 5384.4394, 5343.1618, 5397.4394, 6035.6988],
}
ENTROPY = {"three classes": 304.5661, "counts": 121.4313, "ratings": 263.5477}
# Sizes, then estimates of some rows, each with its standard error, by class.
PROFILES = {
    "three classes": {
        ("share", "", ""): [(0.2323, 0.0206), (0.3732, 0.0283), (0.3945, 0.0341)],
        ("probability", "a", 3): [(0.1899, 0.0265), (0.6445, 0.0309), (0.3572, 0.0292)],
        ("probability", "b", 1): [(0.2007, 0.0264), (0.4891, 0.0347), (0.0360, 0.0133)],
        ("probability", "b", 5): [(0.0410, 0.0128), (0.0023, 0.0013), (0.2667, 0.0314)],
        ("rate", "c", ""): [(6.3914, 0.2556), (0.3767, 0.0573), (1.9100, 0.1171)],
    },
    "counts": {
        ("share", "", ""): [(0.4467, 0.0271), (0.5533, 0.0271)],
        ("rate", "a", ""): [(4.3117, 0.1592), (0.8687, 0.0678)],
        ("rate", "b", ""): [(0.9105, 0.0703), (2.8555, 0.1039)],
    },
    "ratings": {
        ("share", "", ""): [(0.4993, 0.0576), (0.5007, 0.0576)],
        ("probability", "a", 4): [(0.1308, 0.0425), (0.6599, 0.0565)],
        ("probability", "b", 1): [(0.3172, 0.0322), (0.6138, 0.0381)],
        ("probability", "c", 3): [(0.2763, 0.0192), (0.2181, 0.0187)],
        ("probability", "c", 5): [(0.0952, 0.0237), (0.3559, 0.0335)],
    },
}


@pytest.mark.parametrize(
    "name", [pytest.param("three classes", marks=pytest.mark.slow), "counts", "ratings"]
)
def test_statistics_profiles_and_standard_errors_are_those_of_latent_gold(name):
    text, sizes = TABLES[name]
    cells = np.indices(sizes).reshape(len(sizes), -1).T
    cells[:, np.less_equal(sizes, 5)] += 1  # answers are counted from 1
    rows = pd.DataFrame(
        cells.repeat(np.int_(text.split()), axis=0), columns=list("abc"[: len(sizes)])
    )
    family, expected = FAMILIES[name], PROFILES[name]
    K = len(expected["share", "", ""])
    m = bm.Mixture(K, family=family, inference=bm.MaximumLikelihood(), random_state=0).fit(rows)
    values = described(m.result_, m._seen(rows).in_memory())
    criteria = (
        "log_likelihood",
        "n_parameters",
        "aic",
        "bic",
        "sabic",
        "caic",
        "awe_classification",
    )
    found = [*map(values.get, criteria)]
    np.testing.assert_allclose(found[:6], STATISTICS[name][:6], rtol=0.0, atol=2e-4)
    # Entropies, and AWE with them, change in first order where likelihoods change in second.
    assert found[6] == pytest.approx(STATISTICS[name][6], rel=3e-6)
    assert m.result_.plug_in_sums.entropy == pytest.approx(ENTROPY[name], rel=3e-5)
    table = m.parameter_table(rows)[["estimate", "standard_error"]]
    by_row = dict(iter(table.groupby(level=["parameter", "column", "level"], sort=False)))
    first = by_row["share", "", ""]["estimate"].to_numpy()
    order = [int(np.abs(first - size).argmin()) for size, _ in expected["share", "", ""]]
    for place, pairs in expected.items():
        np.testing.assert_allclose(by_row[place].to_numpy()[order], pairs, atol=1e-4)
