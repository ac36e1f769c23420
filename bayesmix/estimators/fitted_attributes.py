"""Fitted attributes: scikit-learn's for Gaussians, and ``components_`` for products."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.linalg import solve_triangular

from bayesmix.core import validation
from bayesmix.core.rows import FLAT_FLOOR, Frame
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.coding import Level
    from bayesmix.core.families import Family
    from bayesmix.families.gaussian.prior import GaussianPosterior, NormalWishart
    from bayesmix.families.product.components import Products
    from bayesmix.families.product.family import Product


MOST_SHOWN = 12


class PartParameters(UserDict[str, Array]):
    """Parameters of a part by name, each (K, ...), such as ``means`` or ``rates``.

    ``family`` is the family of the part; ``columns`` and ``levels`` label the axes after the first.
    """

    family: Family
    columns: tuple[str, ...]
    levels: tuple[tuple[Level, ...] | None, ...]

    def __repr__(self) -> str:
        lines = [f"<{self.family!r} of {', '.join(self.columns)}>"]
        for name, values in self.items():
            lines.append(f"  {name}:")
            shown = np.array2string(values[:MOST_SHOWN], precision=4, suppress_small=True)
            lines += [f"    {line}" for line in shown.splitlines()]
        named = [levels for levels in self.levels if levels is not None]
        lines += [f"  levels: {', '.join(map(str, levels))}" for levels in named]
        return "\n".join(lines)


class ComponentsByColumn(Mapping[Any, PartParameters]):
    """The parts of a product, by key or by any of their columns."""

    def __init__(self, family: Product, components: Products) -> None:
        names = family.names or tuple(map(str, range(family.layout.n_columns)))
        coding = family.coding
        self._parts: dict[Any, PartParameters] = {}
        point = components.plug_in()
        for part, part_components, columns in zip(
            family.parts, point.parts, family.layout.columns, strict=True
        ):
            drawn = part.family.as_draws([part_components]).parameters(Frame.identity(len(columns)))
            drawn.pop("covariance_prior", None)
            own = PartParameters({name: array[0] for name, (_, array) in drawn.items()})
            own.family, own.columns = part.family, tuple(names[column] for column in columns)
            own.levels = tuple(None if coding is None else coding.levels[d] for d in columns)
            self._parts[part.columns if len(part.columns) > 1 else part.columns[0]] = own

    def __getitem__(self, key: Any) -> PartParameters:
        if key in self._parts:
            return self._parts[key]
        for columns, part in self._parts.items():
            if isinstance(columns, tuple) and key in columns:
                return part
        raise KeyError(f"{key!r}: the parts are {', '.join(map(repr, self._parts))}")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return "\n".join(f"{key!r}: {part!r}" for key, part in self._parts.items())


# Memory for forming matrices, in arrays of their size.
ARRAYS_OF_MATRICES = 2.0


def describe_gaussian(estimator: Any, result: FitResult) -> None:
    """Set means_, covariances_, precisions_, precisions_cholesky_, and the parameters of q."""
    components: Any = result.unframed
    estimator.means_ = components.means.copy()
    if result.family.name == "factor_analytic":
        model, loadings, noise = components.model, components.loadings, components.noise
        estimator.loadings_ = (loadings[0] if model.shared_loadings else loadings).copy()
        estimator.noise_variances_ = (noise[:, 0] if model.isotropic_noise else noise).copy()
        return
    structure = components.structure
    framed: Any = result.mixture.components
    root = structure.algebra.root_of_lifted(framed.blocks, result.mixture.frame, FLAT_FLOOR)
    estimator.covariances_ = structure.blocks.as_covariances(components.blocks)
    estimator.precisions_ = structure.blocks.as_covariances(structure.algebra.gram(root))
    estimator.precisions_cholesky_ = structure.blocks.as_covariances(root)
    if result.variational:
        _describe_posterior(estimator, result, components)


class FormedOnRequest:
    """Matrices (K, D, D) of factor analysers, computed when first read."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, estimator: Any, owner: Any) -> Any:
        if estimator is None:
            return self
        components = estimator._fitted().unframed
        K, D = components.means.shape
        validation.in_memory(
            f"{self.name}_ of {K} components over {D:,} columns",
            ARRAYS_OF_MATRICES * 8.0 * K * D * D,
            "use loadings_ and noise_variances_",
        )
        if self.name != "precisions_cholesky":
            return getattr(components, self.name)
        identity = np.eye(D)
        roots = [
            solve_triangular(np.linalg.cholesky(covariance), identity, lower=True).T
            for covariance in components.covariances
        ]
        return np.array(roots)


def _describe_posterior(estimator: Any, result: FitResult, q: GaussianPosterior) -> None:
    K = q.n_components
    freedom = q.precisions.degrees_of_freedom
    estimator.mean_precision_ = q.mean_precision.copy()
    # With missing values each column of "diag" has its own value, from its own observations.
    by_column = q.mean_precision.ndim == 2 and not q.structure.blocks.isotropic
    if not by_column:
        freedom = np.broadcast_to(freedom if freedom.ndim == 1 else freedom[:, 0], (K,))
    estimator.degrees_of_freedom_ = freedom.copy()
    prior = cast("NormalWishart", result.prior)
    estimator.mean_prior_ = prior.mean.copy()
    estimator.mean_precision_prior_ = float(q.prior_mean_precision)
    estimator.degrees_of_freedom_prior_ = float(prior.degrees_of_freedom)
    # E[S] under q for a learned scale, otherwise the given W0^-1.
    estimator.covariance_prior_ = q.structure.blocks.one_of(q.scale.mean)
    describe_weights(estimator, result)


def describe_weights(estimator: Any, result: FitResult) -> None:
    """Set weight_concentration_ and its prior, if the weights have a posterior."""
    weights: Any = result.mixture.weights
    concentration = getattr(result.inference.weights_prior, "concentration", None)
    if concentration is None:
        return
    estimator.weight_concentration_prior_ = float(concentration)
    if hasattr(weights, "first"):  # sticks
        estimator.weight_concentration_ = (weights.first.copy(), weights.rest.copy())
    else:
        estimator.weight_concentration_ = weights.concentration.copy()
