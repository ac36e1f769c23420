"""Priors of a product: those of its parts, independent of one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.families.product.components import ProductDraws, Products
from bayesmix.families.product.guard import of_parts
from bayesmix.families.product.layout import Layout
from bayesmix.families.product.statistics import ProductStatistics
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import ComponentsTwin, Prior, PriorChoice, Pymc
from bayesmix.records import Frame

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
        from bayesmix.families.product.twin import declared

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
