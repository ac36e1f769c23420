"""Parameters that keep given values, and components or columns that share a value.

The M-step maximises over the other parameters: in closed form, or one block of parameters given the
others (ECM: Meng & Rubin 1993), so that the likelihood does not fall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Integers

# Parameters of mixing weights and Markov chains.
OF_ALLOCATION = ("weights", "startprob", "transmat", "generator")
# Those with a row for each state that is left, and a column for each that is entered.
OF_MOVES = ("transmat", "generator")


@dataclass(frozen=True)
class HeldValues:
    """A parameter (K, ...), in data units, with ``values`` where it is ``held`` (K, ...).

    Components with the same label in ``groups`` (K,) share the parameter. ``counted`` (...) tells
    which cells of a component are free parameters. The components of a ``simplex`` sum to 1, such
    as mixing weights (K,) or transition probabilities (K, K), with components in columns.
    ``columns`` (...) are the cells of a component that are concerned, None for all: where only some
    columns are equal, others of the parameter have a record of their own. Cells (K, F) of a
    component with the same label in ``cells`` are equal, also those of different columns; no
    components are then grouped.
    """

    name: str
    values: Array
    held: Booleans
    groups: Integers
    counted: Array
    simplex: bool = False
    columns: Booleans | None = None
    cells: Integers | None = None

    @cached_property
    def grouped(self) -> bool:
        """Whether components, or cells, share a value."""
        return self.cells is not None or len(np.unique(self.groups)) < len(self.groups)

    @cached_property
    def leaders(self) -> Integers:
        """First component (K,) of the group of each."""
        _, first, place = np.unique(self.groups, return_index=True, return_inverse=True)
        out: Integers = first[place]
        return out

    @cached_property
    def members(self) -> list[tuple[Integers, Booleans]]:
        """Components of each group, and which cells of theirs are free."""
        groups = [np.flatnonzero(self.groups == label) for label in np.unique(self.groups)]
        return [(group, ~self.held[group[0]]) for group in groups]

    def first_of_equals(self, estimates: Array) -> Array:
        """Return estimates with each value replaced by the first of those that are equal to it."""
        if self.cells is None:
            return estimates[self.leaders]
        _, first, place = np.unique(self.cells, return_index=True, return_inverse=True)
        return np.asarray(estimates.ravel()[first[place]].reshape(estimates.shape))

    @property
    def determined(self) -> Booleans:
        """Values that are held, or follow from those that are, as a share beside held ones."""
        free = ~self.held
        if self.simplex:
            return self.held | (free & (free.sum(axis=-1, keepdims=True) == 1))
        if self.name == "generator":  # no jumps, so that no state is left either
            return self.held | (np.eye(len(free), dtype=bool) & (free.sum(axis=1) == 1)[:, None])
        return self.held

    @property
    def n_restrictions(self) -> int:
        """Number of free parameters that are lost."""
        free = ~self.held
        if self.cells is not None:
            counted = np.broadcast_to(self.counted, self.cells.shape).ravel()
            first = np.unique(self.cells, return_index=True)[1]
            return int(counted.sum() - (counted * free.ravel())[first].sum())
        first = np.unique(self.leaders)
        if self.simplex:
            rows = np.atleast_2d(free)
            left = np.maximum(rows[:, first].sum(axis=1) - 1, 0)
            return int((rows.shape[1] - 1 - left).sum())
        lost = len(free) - free[first].sum(axis=0)
        return int((self.counted * lost).sum())

    @property
    def by_component(self) -> tuple[Booleans, Array]:
        """What is held of each component (K, m), and the values."""
        held, values = self.held, self.values
        if self.name in OF_MOVES:  # from a component, and to it
            held, values = np.hstack([held, held.T]), np.hstack([values, values.T])
        return held.reshape(len(self.groups), -1), values.reshape(len(self.groups), -1)

    def imposed(self, estimates: Array) -> Array:
        """Return estimates with the held values in their places."""
        out: Array = np.where(self.held, self.values, estimates)
        return out

    def replaced(self, estimates: Array, others: Array) -> Array:
        """Return estimates with the held values in their places, and other columns."""
        values = self.imposed(estimates)
        return values if self.columns is None else np.where(self.columns, values, others)

    def shared_out(self, shares: Array) -> Array:
        """Return probabilities (..., K) that maximise Σ n log p, from the unrestricted ones."""
        if self.grouped:
            member = (self.groups[:, None] == np.unique(self.groups)).astype(np.float64)
            shares = shares @ (member / member.sum(axis=0)) @ member.T
        free: Array = np.where(self.held, 0.0, shares)
        total, left = free.sum(axis=-1, keepdims=True), 1.0 - self._taken
        even = ~self.held / np.maximum((~self.held).sum(axis=-1, keepdims=True), 1)
        free = left * np.where(total > 0.0, free / np.where(total > 0.0, total, 1.0), even)
        return self.imposed(free)

    @cached_property
    def _taken(self) -> Array:
        return np.where(self.held, self.values, 0.0).sum(axis=-1, keepdims=True)


def equals_in_component(cells: Integers, k: int) -> tuple[int, ...]:
    """Return which cells of a component are equal, the same for components that may be exchanged.

    Labels (K, F) that other components have too are kept; others are replaced by places.
    """
    others, row = np.delete(cells, k, axis=0), cells[k].tolist()
    return tuple(label if (others == label).any() else -1 - row.index(label) for label in row)


@dataclass(frozen=True)
class Restriction:
    """What the parameters of a mixture of K components must satisfy, by parameter."""

    parameters: tuple[HeldValues, ...]

    def __iter__(self) -> Iterator[HeldValues]:
        return iter(self.parameters)

    def of(self, name: str) -> HeldValues | None:
        """Return what is known of a parameter, None if it is free."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def named(self, name: str) -> list[HeldValues]:
        """Return what is known of a parameter, by columns if these differ."""
        return [parameter for parameter in self.parameters if parameter.name == name]

    @cached_property
    def of_components(self) -> Restriction:
        """What concerns the components."""
        return Restriction(tuple(each for each in self if each.name not in OF_ALLOCATION))

    @cached_property
    def of_allocation(self) -> Restriction:
        """What concerns mixing weights, or the chain."""
        return Restriction(tuple(each for each in self if each.name in OF_ALLOCATION))

    def __bool__(self) -> bool:
        return bool(self.parameters)

    @property
    def n_restrictions(self) -> int:
        """Number of free parameters that are lost."""
        return sum(parameter.n_restrictions for parameter in self)

    def classes(self, n_components: int) -> Integers:
        """Return labels (K,) of components that may be exchanged: nothing of theirs is held."""
        keys: list[tuple[object, ...]] = []
        of_components = [parameter for parameter in self if len(parameter.groups) == n_components]
        for k in range(n_components):
            key: tuple[object, ...] = ()
            for parameter in of_components:
                held, values = parameter.by_component
                size = int((parameter.groups == parameter.groups[k]).sum())
                group = parameter.groups[k] if size > 1 else -1
                key += (int(group), tuple(np.where(held[k], values[k], np.nan).astype(str)))
                if parameter.cells is not None:
                    key += equals_in_component(parameter.cells, k)
            keys.append(key)
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        return np.array([first[key] for key in keys])

    def sorted(self, order: Integers) -> Integers:
        """Return an order that differs from 0, 1, ... only among components that are alike."""
        classes, out = self.classes(len(order)), np.arange(len(order))
        for label in np.unique(classes):
            out[classes == label] = [k for k in order if classes[k] == label]
        return out

    def placements(self, n_components: int, most: int) -> list[Integers]:
        """Return orders in which clusters may become components, [] if there are over ``most``.

        Orders that differ by an exchange of free components are one.
        """
        classes = self.classes(n_components)
        orders = [(np.full(n_components, -1), tuple(range(n_components)))]
        for label in np.unique(classes):
            places = np.flatnonzero(classes == label)
            longer = []
            for order, rest in orders:
                for chosen in combinations(rest, len(places)):
                    following = order.copy()
                    following[places] = chosen
                    longer.append((following, tuple(j for j in rest if j not in chosen)))
                    if len(longer) > most:
                        return []
            orders = longer
        return [order for order, _ in orders]
