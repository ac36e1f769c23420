"""Events of data with too few distinct observations for the components of a model."""

from __future__ import annotations

from bisect import bisect_left

from bayesmix.core.rows import Event
from bayesmix.em.model import Model
from bayesmix.em.result import FEW_POINTS, TOO_FEW_ROWS


def too_few_rows(
    model: Model, n_rows: int, n_features: int, n_distinct: int, largest: int
) -> Event:
    """Return the event that the likelihood of K components has no maximum, with remedies.

    ``largest`` is the largest K for which it has one.
    """
    K = model.n_components
    enough = range(K, K * (n_features + 1))
    least = K + bisect_left(
        enough, K, key=lambda n: model.family.max_components(n, n_features) or 0
    )
    remedies = [f"at most {largest} component{'s' if largest > 1 else ''}"] if largest else []
    remedies.append("a prior (prior='auto')")
    if n_distinct > K:
        remedies.append("covariance_type='diag'")
    *first, last = remedies
    use = f"{', '.join(first)} or {last}" if first else last
    text = (
        f"the likelihood has no maximum: n_components={K} needs at least "
        f"{least if n_distinct > K else K + 1} distinct observations, but X has "
        f"{n_distinct} (in {n_rows} rows). Use {use}"
    )
    return Event(TOO_FEW_ROWS, text)


def few_points(n_components: int, n_rows: int, n_distinct: int) -> Event:
    """Return the event that each component may consist of identical observations."""
    if n_distinct == 1:
        text = f"all {n_rows} observations of X are equal, so there are no clusters to find"
    else:
        text = (
            f"X has only {n_distinct} distinct observations in {n_rows}, so "
            f"n_components={n_components} gives each its own component: use fewer components"
        )
    return Event(FEW_POINTS, text)
