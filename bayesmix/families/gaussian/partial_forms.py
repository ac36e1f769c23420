"""Quadratic forms of some columns or some components: missing cells, neighbours, devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.families.gaussian.moments import Moments, averages
from bayesmix.numerics import arrays as features
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from bayesmix.core.components import Seen
    from bayesmix.families.gaussian.gaps import Pattern
    from bayesmix.families.gaussian.on_device import QuadraticsOnDevice

from bayesmix.families.gaussian.quadratic import Quadratics


class PartialForms:
    """Methods of ``Quadratics`` that a pass over complete samples in memory does not use."""

    @property
    def on_device(self: Any) -> QuadraticsOnDevice:
        from bayesmix.families.gaussian.on_device import QuadraticsOnDevice

        return QuadraticsOnDevice(self)

    @property
    def patterned(self: Any) -> Booleans:
        return np.ones(self.means.shape[1], dtype=bool)

    def seen_in(self: Any, columns: Integers) -> Quadratics:
        return self.marginal(columns)

    def seen(self: Any, values: Array) -> Seen:
        from bayesmix.families.gaussian.gaps import seen_by

        return seen_by(self, values)

    @property
    def dense(self: Any) -> bool:
        return self.structure.algebra.kind == features.DENSE

    def completed(self: Any, columns: Integers, sums: Moments) -> Moments:
        from bayesmix.families.gaussian.gaps import completed

        return completed(self, columns, sums)

    @once
    def patterns(self: Any) -> dict[bytes, Pattern]:
        """Cache of forms by pattern of missing values."""
        return {}

    def marginal(self: Any, columns: Integers) -> Quadratics:
        """Return log ∫ exp(.) over the missing columns as quadratic forms."""
        from bayesmix.families.gaussian.gaps import pattern_of

        return pattern_of(self, columns)[0]

    def filled(self: Any, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        from bayesmix.families.gaussian.gaps import filled

        return filled(self, values, labels, generator)

    def dense_filled(
        self: Any, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return self.filled(values, labels, generator) if self.dense else values

    def near(self: Any, log_weights: Array) -> Array:
        """Return the log density of each mean under other components, relative to its own (K, K).

        Averaged over j under k and k under j, plus half the log weight of k.
        """
        density = self.expected_log_density(np.asfortranarray(self.means))
        apart = density - np.diagonal(density)[:, None]
        return 0.5 * (apart + apart.T + log_weights)

    def local(self: Any, anchors: Integers, candidates: Integers) -> tuple[Quadratics, Array]:
        """Return the forms of candidates about the means of their anchors."""
        places, forms = self.means[anchors], self.subset(candidates.ravel())
        away = forms.means - places.repeat(candidates.shape[1], axis=0)
        local = self.structure, forms.offset, away, forms.root, forms.column_offset
        return Quadratics(*local), places

    def gathered(self: Any, sums: Array, components: Integers, places: Array) -> Moments:
        """Merge moments about local means by component."""
        structure, (n_components, n_features) = self.structure, self.means.shape
        algebra, counts, totals = structure.algebra, sums[:, 0], sums[:, 1 : 1 + n_features]
        local_means = averages(totals, counts[:, None])
        scatter = algebra.second(sums, n_features) - algebra.outer(totals, local_means)
        local_means += places.repeat(len(local_means) // len(places), axis=0)
        of_all = np.bincount(components, counts, n_components).astype(np.float64, copy=False)
        whole = np.zeros((n_components, n_features))
        np.add.at(whole, components, counts[:, None] * local_means)
        means = averages(whole, of_all[:, None])
        away = local_means - means[components]
        scatter += algebra.outer(counts[:, None] * away, away)
        total = np.zeros((n_components, *scatter.shape[1:]))
        np.add.at(total, components, scatter)
        return Moments(structure, of_all, means, structure.blocks.pool(total))
