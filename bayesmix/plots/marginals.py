"""Component densities over some of the columns: the others integrated out."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from bayesmix.errors import UnsupportedError
from bayesmix.families.gaussian.axes import AXES
from bayesmix.families.gaussian.dense import DENSE
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.families.gaussian.structures import Full
from bayesmix.families.gaussian.students import Students
from bayesmix.families.poisson import NegativeBinomials, Poissons
from bayesmix.numerics.arrays import Integers


@singledispatch
def marginal(components: Any, columns: Integers) -> Any:
    """The components' densities over ``columns`` alone, in the same frame."""
    raise UnsupportedError(
        "a density is drawn for Gaussian mixtures, and for Poisson mixtures over one column, "
        f"not for {type(components).__name__}"
    )


@marginal.register
def _(components: Gaussians, columns: Integers) -> Gaussians:
    algebra = components.structure.algebra
    dense = algebra.dense(components.blocks, *components.means.shape)
    return Gaussians(Full(), components.means[:, columns], dense[:, columns][:, :, columns])


@marginal.register
def _(components: Students, columns: Integers) -> Students:
    n_components, n_features = components.means.shape
    means, freedom = components.means[:, columns], components.degrees_of_freedom
    if components.joint_columns < n_features:
        # A product of one t a column: what is left is the product over the columns left.
        return Students(AXES, means, components.blocks[:, columns], freedom[:, columns], 1)
    dense = components.algebra.dense(components.blocks, n_components, n_features)
    block = dense[:, columns][:, :, columns]
    return Students(DENSE, means, block, freedom.ravel(), len(columns))


@marginal.register
def _(components: Poissons, columns: Integers) -> Poissons:
    return Poissons(components.rates[:, columns])


@marginal.register
def _(components: NegativeBinomials, columns: Integers) -> NegativeBinomials:
    return NegativeBinomials(components.shape[:, columns], components.rate[:, columns])
