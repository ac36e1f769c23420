"""Prior probabilities of the number of components."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from scipy.special import betaln

from bayesmix.errors import InvalidInputError


def prior_over(numbers: list[int], given: Any) -> dict[int, float]:
    """Return p(K) over the given numbers: uniform, or from a mapping or function; sums to 1."""
    if given is None:
        weights = dict.fromkeys(numbers, 1.0)
    elif isinstance(given, Mapping):
        weights = {k: float(given.get(k, 0.0)) for k in numbers}
    elif isinstance(given, Callable):  # type: ignore[arg-type]  # an abstract class works here
        weights = {k: float(given(k)) for k in numbers}
    else:
        raise InvalidInputError(
            "prior_over_k must be None, a mapping from K to its weight or a function "
            f"of K, got {given!r}"
        )
    total = sum(weights.values())
    if not all(math.isfinite(w) and w >= 0.0 for w in weights.values()) or total <= 0.0:
        raise InvalidInputError(
            "prior_over_k must give non-negative weights, not all 0, to the compared numbers of "
            f"components, got {weights!s:.300}"
        )
    return {k: weight / total for k, weight in weights.items()}


def beta_negative_binomial(k: int, alpha: float = 1.0, a: float = 4.0, b: float = 3.0) -> float:
    """Return p(K) for K - 1 ~ BNB(α, a, b) (Frühwirth-Schnatter et al. 2021, sec. 3.1).

    With (1, 4, 3) the mean is K = 2, p(1) is 4/7, and the tail falls as K^-5.
    """
    log = betaln(alpha + a, k - 1.0 + b) - betaln(a, b)
    # Γ(α + k - 1) / (Γ(α) Γ(k)) through B(α, k).
    return math.exp(log - betaln(alpha, k) - math.log(alpha + k - 1.0))
