"""Families for the data of a fit: covariance structures, levels, columns of several kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.names import family_named
from bayesmix.sources.memory import coding_of, is_collection, is_source

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.families.coding import Coding


def knowing_levels(estimator: Any, source: Source) -> Any:
    """Return an estimator whose family has the levels of all data, so that every part agrees."""
    family = family_named(getattr(estimator, "family", None))
    if not hasattr(family, "levels"):
        return estimator
    from bayesmix.families.independent.levels import LevelsFamily

    if not isinstance(family, LevelsFamily) or family.levels is not None:
        return estimator
    from bayesmix.estimators.regression.coded_frames import family_for

    return clone(estimator).set_params(family=family_for(family, source))


def with_structure(family: Any, covariance: str | None) -> Any:
    """Return a family with this covariance structure for its Gaussians; None changes nothing."""
    if covariance is None:
        return family
    if isinstance(family, Gaussian):
        return replace(family, covariance=covariance)
    from bayesmix.families.product.family import Product
    from bayesmix.families.student_t.family import StudentT

    if isinstance(family, StudentT):
        return replace(family, covariance=covariance)
    if not isinstance(family, Product):
        return family
    parts = [replace(part, family=with_structure(part.family, covariance)) for part in family.parts]
    return replace(family, parts=tuple(parts))


def is_mixed_table(X: Any) -> bool:
    """Whether data are, or come from, a frame with columns that are not continuous."""
    coding = coding_of_table(X)
    return coding is not None and (coding.has_levels or bool(coding.counts))


def coding_of_table(X: Any, columns: Any = None) -> Coding | None:
    """Return the coding of a table with columns of several kinds; None for other data.

    ``columns`` maps names to kinds.
    """
    if X is None or is_source(X):
        return None if X is None else coding_of(X)
    if isinstance(X, np.ndarray) or is_collection(X):
        return None
    from bayesmix.io.table_columns import coded, declared_kinds, is_frame

    return coded(X, declared_kinds(list(X.columns), columns, {}))[1] if is_frame(X) else None
