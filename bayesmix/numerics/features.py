"""Kinds of features of a row that log densities can be linear in, and what a pass costs."""

from __future__ import annotations

TOTALS = 0  # [1, x]
COUNTS = 1  # [1, x, -Σ log x!]
AXES = 2  # [1, x, x²]
DENSE = 3  # [1, x, x_i x_j (i <= j)]
COLUMNS_FIRST = (AXES, DENSE)  # rows may be framed where their features are made
PRODUCT = -2  # those of the parts of a product, side by side
CHOICES = 4  # [1, x, Σ log of the binomial coefficients]
LEVELS = 5  # [1, which level each column has]
WITH_LOGS = 7  # [1, x, log x]
TRANSFORMED = 8  # more than the kind of the Gaussian's features: these of g(x), and the Jacobian
# An exponential, in products.
EXPONENTIAL = 16


def n_features_of(kind: int, n_columns: int) -> int:
    """F: how many features a row of so many columns has."""
    more = (0, 1, n_columns, n_columns * (n_columns + 1) // 2)
    return 1 + n_columns + more[kind]


def cost_of(n_columns: int) -> int:
    """What a row costs a component in a pass: products of two columns, and an exponential."""
    return n_features_of(DENSE, n_columns) + EXPONENTIAL
