"""Priors of a product: those of its parts, independent of one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from bayesmix.core.priors import (
    ComponentsTwin,
    NamedTensors,
    Prior,
    PriorChoice,
    Pymc,
    Tensor,
)
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError
from bayesmix.families.product.components import ProductDraws, Products, named_axis
from bayesmix.families.product.guard import of_parts
from bayesmix.families.product.layout import Layout, ProductStatistics
from bayesmix.numerics.arrays import Array

Key: TypeAlias = str | int | tuple[str | int, ...]


@dataclass(frozen=True)
class PartPriors:
    """p(θ) = Π_i p(θ_i), each conjugate to its part."""

    layout: Layout
    parts: tuple[Prior, ...]

    fixes_scale = False

    @property
    def conjugate(self) -> bool:
        """Whether those of all parts are."""
        return all(part.conjugate for part in self.parts)

    def posterior(
        self,
        statistics: ProductStatistics,
        previous: Products | None = None,
        resolution: Array | None = None,
    ) -> Products:
        """q(θ) of every part."""
        given = self._given(statistics, previous, resolution)
        return Products(statistics.layout, tuple(prior.posterior(*each) for prior, *each in given))

    def mode(
        self,
        statistics: ProductStatistics,
        previous: Products | None = None,
        resolution: Array | None = None,
    ) -> Products:
        """The mode of every part."""
        given = self._given(statistics, previous, resolution)
        return Products(statistics.layout, tuple(prior.mode(*each) for prior, *each in given))

    def _given(
        self, statistics: ProductStatistics, previous: Products | None, resolution: Array | None
    ) -> Iterable[tuple[Any, ...]]:
        """Every part's prior, statistics, last components and resolution."""
        n_parts = len(self.parts)
        before = (None,) * n_parts if previous is None else previous.parts
        known = of_parts(resolution, n_parts)
        return zip(self.parts, statistics.parts, before, known, strict=True)

    def kl(self, q: Products) -> float:
        """Σ_i KL(q(θ_i) || p(θ_i))."""
        return float(sum(part.kl(own) for part, own in zip(self.parts, q.parts, strict=True)))

    def log_density(self, components: Products) -> float:
        """Σ_i log p(θ_i) at a point."""
        pairs = zip(self.parts, components.parts, strict=True)
        return float(sum(part.log_density(own) for part, own in pairs))

    def log_density_of(self, draws: ProductDraws) -> Array:
        """Σ_i log p(θ_i) (S,) of draws."""
        pairs = zip(self.parts, draws.parts, strict=True)
        each = [part.log_density_of(own) for part, own in pairs]
        total: Array = np.sum(each, axis=0)
        return total

    def conditional(
        self, statistics: ProductStatistics, last: ProductDraws, generator: np.random.Generator
    ) -> Products:
        """p(θ | X, Z): a step of Gibbs sampling."""
        pairs = zip(self.parts, statistics.parts, last.parts, strict=True)
        return Products(
            statistics.layout,
            tuple(part.conditional(own, drawn, generator) for part, own, drawn in pairs),
        )

    def pymc_distribution(self, pm: Pymc, q: Products, n_components: int) -> ComponentsTwin:
        """The same prior over K components in PyMC, and their densities."""
        return declared(pm, self.layout, self.parts, q, n_components)

    def unframed(self, frame: Frame) -> PartPriors:
        frames = self.layout.frames(frame)
        parts = tuple(part.unframed(own) for part, own in zip(self.parts, frames, strict=True))
        return PartPriors(self.layout.unframed(frame), parts)


@dataclass(frozen=True)
class ProductPrior:
    """Priors for some parts of a product, by the keys of the family; others have the default.

    Parameters
    ----------
    parts : dict
        A key of the ``Product`` -> a prior of that part's family.

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
        """The default with what is said of some parts."""
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
    """What a part is called: its columns, as the user names them."""
    return ", ".join(map(str, key)) if isinstance(key, tuple | list) else str(key)


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
