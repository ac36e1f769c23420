"""Columns of the data of a fit: checks, and whether the family codes levels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.families.gaussian.family import Gaussian

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.families.coding import Coding


def adopt_columns(estimator: Any, source: Source) -> None:
    """Set on an estimator what ``validate_data`` sets, for data from a source."""
    estimator.n_features_in_ = source.shape[1]
    if source.columns is not None:
        estimator.feature_names_in_ = np.array(source.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def is_mixed(family: Any) -> bool:
    """Whether a family may be fitted to tables with non-numeric columns."""
    if family is None or isinstance(family, Gaussian):
        return False
    from bayesmix.families.independent.levels import LevelsFamily
    from bayesmix.families.product.family import Product

    by_name = ("auto", "categorical", "ordinal")
    return isinstance(family, Product | LevelsFamily) or family in by_name


def reads_levels(estimator: Any) -> Callable[[Any], tuple[Any, Coding | None]] | None:
    """Return the family or estimator that codes levels as numbers; None if there is none."""
    inner = getattr(estimator, "estimator", estimator)
    family = getattr(inner, "family", None)
    if family is not None:
        from bayesmix.families.names import family_named

        family = family_named(family)
    looks = family is None and hasattr(inner, "columns")
    if not looks and not is_mixed(family):
        return None
    from bayesmix.estimators.regression.coded_frames import coded_for

    return partial(coded_for, family, columns=getattr(inner, "columns", None))
