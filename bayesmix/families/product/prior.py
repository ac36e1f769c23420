"""Independent priors of the parts of a product, and their PyMC version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from bayesmix.core.priors import ComponentsTwin, NamedTensors, Prior, PriorChoice, Pymc, Tensor
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian_twin import declared_components
from bayesmix.families.product.components import ProductDraws, Products, named_axis
from bayesmix.families.product.family import of_parts
from bayesmix.families.product.layout import Layout, PerPart, ProductStatistics
from bayesmix.numerics.arrays import Array

Key: TypeAlias = str | int | tuple[str | int, ...]


class PartPriors(PerPart):
    """Prior p(θ) = Π_i p(θ_i), each conjugate to its part."""

    fixes_scale = False

    @property
    def conjugate(self) -> bool:
        return all(part.conjugate for part in self.parts)

    def posterior(
        self,
        statistics: ProductStatistics,
        previous: Products | None = None,
        resolution: Array | None = None,
    ) -> Products:
        return self._updated("posterior", statistics, previous, resolution)

    def mode(
        self,
        statistics: ProductStatistics,
        previous: Products | None = None,
        resolution: Array | None = None,
    ) -> Products:
        return self._updated("mode", statistics, previous, resolution)

    def _updated(
        self,
        method: str,
        statistics: ProductStatistics,
        previous: Products | None,
        resolution: Array | None,
    ) -> Products:
        n_parts = len(self.parts)
        before = (None,) * n_parts if previous is None else previous.parts
        known = of_parts(resolution, n_parts)
        return Products(statistics.layout, self.each(method, statistics.parts, before, known))

    def separate(self) -> PartPriors:
        return self.over("separate")

    def feature_evidence(self, statistics: ProductStatistics) -> Array:
        return statistics.layout.together(self.each("feature_evidence", statistics.parts))

    def kl(self, q: Products) -> float:
        return float(sum(self.each("kl", q.parts)))

    def log_density(self, components: Products) -> float:
        return float(sum(self.each("log_density", components.parts)))

    def log_density_of(self, draws: ProductDraws) -> Array:
        return np.sum(self.each("log_density_of", draws.parts), axis=0)

    def conditional(
        self, statistics: ProductStatistics, last: ProductDraws, generator: np.random.Generator
    ) -> Products:
        parts = self.each("conditional", statistics.parts, last.parts, generator=generator)
        return Products(statistics.layout, parts)

    def pymc_distribution(self, pm: Pymc, q: Products, n_components: int) -> ComponentsTwin:
        return declared(pm, self.layout, self.parts, q, n_components)

    def unframed(self, frame: Frame) -> PartPriors:
        parts = self.each("unframed", self.layout.frames(frame))
        return PartPriors(self.layout.unframed(frame), parts)


@dataclass(frozen=True)
class ProductPrior:
    """Priors of some parts of a product; the others have the default.

    Parameters
    ----------
    parts : dict
        Prior by key of the ``Product``.

    Examples
    --------
    >>> import bayesmix as bm
    >>> prior = bm.ProductPrior({"eggs": bm.GammaPrior(1.0, 0.5)})
    >>> family = bm.Product({"eggs": bm.Poisson(), "bill": bm.Gaussian()})
    >>> mixture = bm.Mixture(2, family=family, inference=bm.VariationalBayes(prior=prior))
    """

    parts: Mapping[Key, PriorChoice]

    fixes_scale = False

    def over(self, default: PartPriors, frame: Frame) -> PartPriors:
        """Replace the default priors of the user's parts."""
        labels = default.layout.labels
        said = {label_of(key): prior for key, prior in self.parts.items()}
        if unknown := sorted(set(said) - set(labels)):
            raise InvalidInputError(
                f"prior must name parts of the family ({', '.join(labels)}), got "
                f"{', '.join(unknown)}"
            )
        frames = default.layout.frames(frame)
        return PartPriors(
            default.layout,
            tuple(
                said[label].over(part, own) if label in said else part
                for label, part, own in zip(labels, default.parts, frames, strict=True)
            ),
        )


def label_of(key: Any) -> str:
    """Return the label of a part, from the names of its columns."""
    return ", ".join(map(str, key)) if isinstance(key, tuple | list) else str(key)


# Axes common to all parts.
OF_ALL = ("component", "row")


class ProductTwin(PerPart):
    """K densities in PyMC, products of those of the parts."""

    @property
    def labels(self) -> tuple[str, ...]:
        return labels_of(self.layout)

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        given = zip(self.labels, self.parts, self.layout.split(values), strict=True)
        return sum(
            part.log_density(cast("Pymc", PartOfModel(pm, label)), np.ascontiguousarray(own))
            for label, part, own in given
        )

    def named(self, frame: Frame) -> NamedTensors:
        return {
            _of_part(label, name): (tuple(named_axis(label, axis) for axis in axes), tensor)
            for label, name, (axes, tensor) in self.by_label("named", self.layout.frames(frame))
        }

    @property
    def drawn(self) -> dict[str, Tensor]:
        return {
            _of_part(label, name): tensor
            for label, part in zip(self.labels, self.parts, strict=True)
            for name, tensor in part.drawn.items()
        }

    def draws(self, values: Mapping[str, Array]) -> ProductDraws:
        made = (
            part.draws({name: values[_of_part(label, name)] for name in part.drawn})
            for label, part in zip(self.labels, self.parts, strict=True)
        )
        return ProductDraws(self.layout, tuple(made))

    def point(self, draws: ProductDraws) -> dict[str, Array]:
        found = self.by_label("point", draws.parts)
        return {_of_part(label, name): values for label, name, values in found}


class PartOfModel:
    """PyMC module that prefixes names and axes by the label of a part."""

    def __init__(self, pm: Pymc, label: str) -> None:
        self.pm, self.label = pm, label

    def __getattr__(self, kind: str) -> Any:
        made = getattr(self.pm, kind)

        def declared(name: str, *values: Any, **options: Any) -> Any:
            if options.get("dims"):
                options["dims"] = _axes(self.label, options["dims"])
            return made(_of_part(self.label, name), *values, **options)

        return declared

    @property
    def math(self) -> Any:
        """Functions of tensors, without names."""
        return self.pm.math

    def modelcontext(self, model: Any) -> CoordinatesOfPart:
        return CoordinatesOfPart(self.pm.modelcontext(model), self.label)


@dataclass(frozen=True)
class CoordinatesOfPart:
    """Model whose axes are prefixed by the label of a part."""

    model: Tensor
    label: str

    def add_coord(self, axis: str, values: Any) -> None:
        self.model.add_coord(named_axis(self.label, axis), values)


def declared(
    pm: Pymc, layout: Layout, priors: Sequence[Prior], q: Any, n_components: int
) -> ProductTwin:
    """Declare the parameters of each part under its prior in the current model."""
    model = pm.modelcontext(None)
    features = np.array(model.coords["feature"])
    labels = labels_of(layout)
    for label, columns, framed in zip(labels, layout.columns, layout.framed, strict=True):
        for axis in ("feature", "other_feature"):
            model.add_coord(named_axis(label, axis), features[list(columns)])
        model.add_coord(named_axis(label, "direction"), np.arange(len(framed)))
    given = zip(labels, priors, q.parts, strict=True)
    return ProductTwin(
        layout,
        tuple(
            declared_components(prior, cast("Pymc", PartOfModel(pm, label)), own, n_components)
            for label, prior, own in given
        ),
    )


def labels_of(layout: Layout) -> tuple[str, ...]:
    """Return labels without commas, which nutpie uses as separators."""
    return tuple(label.replace(",", "") for label in layout.labels)


def _of_part(label: str, name: str) -> str:
    return f"{label}: {name}"


def _axes(label: str, axes: Any) -> Any:
    named = [axes] if isinstance(axes, str) else list(axes)
    return tuple(axis if axis in OF_ALL else named_axis(label, axis) for axis in named)
