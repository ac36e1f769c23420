"""What ``noise=`` may be."""

from __future__ import annotations

from typing import Any

from bayesmix.errors import InvalidInputError
from bayesmix.records import NoiseDensity, OwnNoise


def noise_density(value: Any) -> NoiseDensity | str | None:
    """The density of rows that belong to no component; "uniform" is made of the rows of the fit."""
    if value is None or (isinstance(value, str) and value == "uniform"):
        return value
    if hasattr(value, "score_samples"):
        return OwnNoise(value.score_samples, getattr(value, "sample", None) and _Draws(value))
    if callable(value) and not isinstance(value, type):
        return OwnNoise(value)
    raise InvalidInputError(
        "noise must be None, 'uniform', a fitted estimator with score_samples, or a function of "
        f"rows that returns log densities, got {value!r:.60}"
    )


class _Draws:
    """Rows of an estimator, as scikit-learn's mixtures draw them."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def __call__(self, n: int, generator: Any) -> Any:
        drawn = self.estimator.sample(n) if n else []
        return drawn[0] if isinstance(drawn, tuple) else drawn
