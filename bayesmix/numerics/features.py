"""Kinds of features in which log densities can be linear, and the cost of a pass."""

from __future__ import annotations

TOTALS = 0  # [1, x]
COUNTS = 1  # [1, x, -Σ log x!]
AXES = 2  # [1, x, x²]
DENSE = 3  # [1, x, x_i x_j (i <= j)]
COLUMNS_FIRST = (AXES, DENSE)  # features may be written in place from framed data
PRODUCT = -2  # features of the parts of a product, concatenated
CHOICES = 4  # [1, x, Σ log of the binomial coefficients]
LEVELS = 5  # [1, indicators of the levels of each column]
WITH_LOGS = 7  # [1, x, log x]
TRANSFORMED = 8  # plus the kind of the normal features: these of g(x), and the Jacobian
# Cost of an exponential, in multiplications.
EXPONENTIAL = 16


def n_features_of(kind: int, n_columns: int) -> int:
    """Return F, the number of features for a number of columns."""
    more = (0, 1, n_columns, n_columns * (n_columns + 1) // 2)
    return 1 + n_columns + more[kind]


def cost_of(n_columns: int) -> int:
    """Return the cost of an observation and a component in a pass, in multiplications."""
    return n_features_of(DENSE, n_columns) + EXPONENTIAL
