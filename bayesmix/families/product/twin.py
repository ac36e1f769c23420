"""The twin in PyMC of a product: those of its parts, in one model under names of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from bayesmix.families.product.components import ProductDraws, named_axis
from bayesmix.families.product.layout import Layout
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import ComponentsTwin, NamedTensors, Prior, Pymc, Tensor
from bayesmix.records import Frame

# Axes that all parts share.
OF_ALL = ("component", "row")


@dataclass(frozen=True)
class ProductTwin:
    """K densities in PyMC: the products of those of the parts."""

    layout: Layout
    parts: tuple[ComponentsTwin, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the parts, as they stand in a model."""
        return labels_of(self.layout)

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        """Σ_i log p(x_i | θ_ki) (n, K)."""
        given = zip(self.labels, self.parts, self.layout.split(values), strict=True)
        return sum(
            part.log_density(cast("Pymc", PartOfModel(pm, label)), np.ascontiguousarray(own))
            for label, part, own in given
        )

    def named(self, frame: Frame) -> NamedTensors:
        """Parameters in data units, as "species: probabilities"."""
        named = {}
        frames = self.layout.frames(frame)
        for label, part, own in zip(self.labels, self.parts, frames, strict=True):
            for name, (axes, tensor) in part.named(own).items():
                of_part = tuple(named_axis(label, axis) for axis in axes)
                named[_of_part(label, name)] = of_part, tensor
        return named

    @property
    def drawn(self) -> dict[str, Tensor]:
        """What draws of every part are made of."""
        return {
            _of_part(label, name): tensor
            for label, part in zip(self.labels, self.parts, strict=True)
            for name, tensor in part.drawn.items()
        }

    def draws(self, values: Mapping[str, Array]) -> ProductDraws:
        """S draws from the values (S, ...) of ``drawn``."""
        made = (
            part.draws({name: values[_of_part(label, name)] for name in part.drawn})
            for label, part in zip(self.labels, self.parts, strict=True)
        )
        return ProductDraws(self.layout, tuple(made))

    def point(self, draws: ProductDraws) -> dict[str, Array]:
        """Values (S, ...) of the model's variables at draws."""
        given = zip(self.labels, self.parts, draws.parts, strict=True)
        return {
            _of_part(label, name): values
            for label, part, own in given
            for name, values in part.point(own).items()
        }


class PartOfModel:
    """PyMC as a part of a product sees it: what it names, and its axes, have the part's label."""

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
        """Functions of tensors, which have no names."""
        return self.pm.math

    def modelcontext(self, model: Any) -> CoordinatesOfPart:
        """The model, to say what the part's axes stand for."""
        return CoordinatesOfPart(self.pm.modelcontext(model), self.label)


@dataclass(frozen=True)
class CoordinatesOfPart:
    """What a part adds to the axes of a model."""

    model: Tensor
    label: str

    def add_coord(self, axis: str, values: Any) -> None:
        """Name the values of an axis."""
        self.model.add_coord(named_axis(self.label, axis), values)


def declared(
    pm: Pymc, layout: Layout, priors: Sequence[Prior], q: Any, n_components: int
) -> ProductTwin:
    """The parameters of every part under its prior, declared in the model at hand."""
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
            prior.pymc_distribution(cast("Pymc", PartOfModel(pm, label)), own, n_components)
            for label, prior, own in given
        ),
    )


def labels_of(layout: Layout) -> tuple[str, ...]:
    """Labels of parts without commas, by which nutpie joins the names of axes."""
    return tuple(label.replace(",", "") for label in layout.labels)


def _of_part(label: str, name: str) -> str:
    return f"{label}: {name}"


def _axes(label: str, axes: Any) -> Any:
    named = [axes] if isinstance(axes, str) else list(axes)
    return tuple(axis if axis in OF_ALL else named_axis(label, axis) for axis in named)
