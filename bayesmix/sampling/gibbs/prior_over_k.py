"""The prior over K, in the words of a user: nothing, a mapping from K to its weight, a function.

Where K is unknown, nothing means the beta-negative-binomial of Frühwirth-Schnatter, Malsiner-Walli
& Grün (2021); between candidates it means the same weight for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from scipy.special import betaln

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array

# A function of K is asked so far, and further where its weights are not below rounding yet.
FIRST_ASKED, LAST_ASKED = 64, 4096
BELOW_ROUNDING = 1e-16
# Of its last half, at most; beyond K = 4,096 the default has 1e-12.
MOST_LEFT = 1e-6


def prior_over(numbers: list[int], given: Any) -> dict[int, float]:
    """The prior over K: the same for all, a mapping K -> weight, or a function of K; sums to 1."""
    if given is None:
        weights = dict.fromkeys(numbers, 1.0)
    elif isinstance(given, Mapping):
        weights = {k: float(given.get(k, 0.0)) for k in numbers}
    elif isinstance(given, Callable):  # type: ignore[arg-type]  # an abstract class will do
        weights = {k: float(given(k)) for k in numbers}
    else:
        raise InvalidInputError(
            "prior_over_k must be None, a mapping from K to its weight or a function "
            f"of K, got {given!r}"
        )
    total = sum(weights.values())
    if not all(math.isfinite(w) and w >= 0.0 for w in weights.values()) or total <= 0.0:
        raise InvalidInputError(
            "prior_over_k must give weights of at least 0, not all of them 0, to the numbers of "
            f"components that are compared, got {weights!s:.300}"
        )
    return {k: weight / total for k, weight in weights.items()}


def prior_of_unknown(given: Any) -> Array:
    """p(K) of K = 1, 2, ... up to the last that has any, or to where the rest is below rounding.

    None: the beta-negative-binomial.
    """
    if isinstance(given, Mapping):
        return _table(max(_numbers_of(given)), given)
    given = beta_negative_binomial if given is None else given
    asked, left = FIRST_ASKED, 1.0
    while True:
        table = _table(asked, given)
        left = float(table[asked // 2 :].sum())
        if left <= BELOW_ROUNDING or asked == LAST_ASKED:
            break
        asked *= 2
    if left > MOST_LEFT:
        raise InvalidInputError(
            f"prior_over_k must have nearly all of its weight below K = {LAST_ASKED:,} where K is "
            f"unknown, got a function with {left:.1%} between {LAST_ASKED // 2:,} and there: give "
            "one that falls off, or a mapping, as {k: 1 for k in range(1, 31)}"
        )
    return table


def beta_negative_binomial(k: int, alpha: float = 1.0, a: float = 4.0, b: float = 3.0) -> float:
    """p(K) where K - 1 ~ BNB(α, a, b) (Frühwirth-Schnatter et al. 2021, sec. 3.1).

    A negative binomial number whose odds are Beta(a, b); with (1, 4, 3) its mean is K = 2, p(1) is
    4/7, and the tail falls as K^-5.
    """
    log = betaln(alpha + a, k - 1.0 + b) - betaln(a, b)
    # Γ(α + k - 1) / (Γ(α) Γ(k)) through B(α, k).
    return math.exp(log - betaln(alpha, k) - math.log(alpha + k - 1.0))


def _table(last: int, given: Any) -> Array:
    table = np.array(list(prior_over(list(range(1, last + 1)), given).values()))
    return table[: 1 + int(np.flatnonzero(table)[-1])]


def _numbers_of(given: Mapping[Any, Any]) -> list[int]:
    for k in given:
        if isinstance(k, bool) or not isinstance(k, Integral) or not 1 <= int(k) <= LAST_ASKED:
            raise InvalidInputError(
                "prior_over_k must map numbers of components from 1 to "
                f"{LAST_ASKED:,} to their weights where K is unknown, got {k!r}"
            )
    return [int(k) for k in given] or [1]
