"""L1: what comes from outside and has no types: that it does is said at least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from bayesmix.numerics.arrays import Array

# Rows as a user hands them in: an array, a frame, a list, a source.
UserRows: TypeAlias = Any
# What a user may set of an estimator, by name.
Parameters: TypeAlias = dict[str, Any]


class Procedure(Protocol):
    """What is fitted to rows as scikit-learn does it, and gives rows a density.

    A mixture estimator, a pipeline that ends in one, a search over them.
    """

    @property
    def fit(self) -> Callable[..., object]:
        """``fit(X, y=None, ...)``, which returns the procedure itself."""
        ...

    @property
    def score_samples(self) -> Callable[[UserRows], Array]:
        """Log density (n,) in nats."""
        ...


class FittedMixture(Procedure, Protocol):
    """One whose density is a mixture: an estimator, or a pipeline that ends in one."""

    @property
    def predict_proba(self) -> Callable[[UserRows], Array]:
        """Probabilities of the components (n, K)."""
        ...
