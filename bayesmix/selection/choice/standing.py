"""Which candidates may be chosen: every component must hold rows enough, and more than one value.

A likelihood, and an evidence, gains from a component on a single outlier or on one value of a
rounded column. Neither is a cluster, and neither is the reason for a choice; both are said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.families.level_probabilities import level_probabilities
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import Source
from bayesmix.selection.candidates.row import Row

# A column is a lattice where this share of its rows has a value that others have too, and where all
# values are whole numbers of steps apart, but for so much of a step.
TIED_SHARE = 0.5
OFF_THE_LATTICE = 1e-3
# Of more steps than these no digits are left to tell whether they are whole.
MOST_STEPS = 1e10
# A component narrower than this many steps holds, for the most part, one value: two neighbours, in
# equal shares, have a standard deviation of half a step. Where all rows together have no more, as
# those of two values, it is measured by theirs: a cluster is not wider than all rows.
STEPS_OF_ONE_VALUE = 0.5
# A rating of 0 to 10 has no more values than this, and is not normal within a component.
FEW_VALUES = 11
MOST_ROWS = 20_000
# Few rows are no outliers where all components hold few, as those of many columns do.
SMALL_SHARE = 0.1
# Zeros are many in a column of counts where they are more than half, and a component is of them
# alone where other counts are less than a tenth.
MANY_ZEROS = 0.5
ZEROS_ALONE = 0.9
# Of a row: a component that holds less of any holds none.
LEAST_HELD = 0.5


@dataclass(frozen=True)
class Lattice:
    """A column whose values lie on a grid, or are few."""

    column: int
    name: str
    step: float
    n_values: int
    tied: float  # the share of rows whose value another row has too
    spread: float  # the standard deviation of all rows
    even: bool = True  # whether values are whole numbers of steps apart

    @property
    def of_two_values(self) -> bool:
        """Whether a component on a single value is what any cluster may be."""
        return self.n_values == 2

    @property
    def of_one_value(self) -> float:
        """The standard deviation below which a component holds one value for the most part."""
        most = STEPS_OF_ONE_VALUE * self.step
        return most if self.spread > most else STEPS_OF_ONE_VALUE * self.spread

    def __str__(self) -> str:
        steps = f" in steps of {self.step:g}" if self.even else ""
        return f"{self.name} ({self.n_values} values{steps})"


def lattices(source: Source | None) -> tuple[Lattice, ...]:
    """The columns of a source that are rounded to a step."""
    if source is None:
        return ()
    names = column_names(source.columns, source.shape[1])
    first = source.in_memory(slice(MOST_ROWS)).values
    found = []
    for d, gap in enumerate(source.summary.gap):
        if gap <= 0.0:
            continue
        column = np.asarray(first[:, d], dtype=np.float64)
        column = column[~np.isnan(column)]
        values, times = np.unique(column, return_counts=True)
        tied = float(times[times > 1].sum() / len(column))
        step = step_of(values, float(gap))
        # Few values are a scale whatever lies between them.
        if tied >= TIED_SHARE and (step > 0.0 or 1 < len(values) <= FEW_VALUES):
            spread = float(column.std())
            even, step = step > 0.0, step or float(gap)
            found.append(Lattice(d, names[d], step, len(values), tied, spread, even))
    return tuple(found)


def column_names(columns: Sequence[str] | None, n_columns: int) -> list[str]:
    """The names of columns, or what those without names are called."""
    return [str(each) for each in columns or (f"column {d}" for d in range(n_columns))]


def step_of(values: Array, gap: float) -> float:
    """The step that sorted distinct values are whole numbers of, ``gap`` or nearly; 0 for none."""
    if len(values) < 2 or gap <= 0.0:
        return 0.0
    # As the whole width gives it: the smallest difference has lost digits.
    width = float(values[-1] - values[0])
    step = width / max(1.0, np.rint(width / gap))
    steps = (values - values[0]) / step
    on_grid = np.abs(steps - np.rint(steps)).max() < OFF_THE_LATTICE and steps[-1] < MOST_STEPS
    return step if on_grid else 0.0


def _of_several(row: Row) -> Any:
    """The fit of a candidate whose components may be no clusters, or None."""
    result = row.sound
    if result is None or not result.family.continuous or result.n_components == 1:
        return None
    return result


def few_rows(row: Row) -> str:
    """Which components hold fewer rows than make a cluster, in words that follow "since"."""
    few = few_counts(row)
    if not few:
        return ""
    sizes = ", ".join(f"{count:.1f}" for count in sorted(few.values())[:3])
    more = ", ..." if len(few) > 3 else ""
    return (
        f"{_components(list(few))} fewer than {_needed(_of_several(row))} rows ({sizes}{more}): "
        "outliers, or nothing, and no cluster"
    )


def few_counts(row: Row) -> dict[int, float]:
    """How many rows each component holds that holds fewer than make a cluster."""
    result = _of_several(row)
    counts = [] if result is None else result.counts.tolist()
    return {k: count for k, count in enumerate(counts) if count < _needed(result)}


def _needed(result: Any) -> int:
    """Rows that make a cluster: one more than its directions."""
    own = result.family.own_directions
    return 1 + int(result.n_features if own is None else own)


def leads_without(gained: Array, weights: Array, few: Array, lead: float) -> Integers | None:
    """Rows that components of few rows may hold, where a lead is not of them; None where it is.

    ``gained`` (n,): log density over that of the candidate which is behind by ``lead`` nats. So
    many rows as those components hold, ``few`` of each, give back what they gain, the greatest
    gains first. A component on a few rows alone gains no more than that; one that takes outliers
    off the others, which then describe all other rows better, does.
    """
    order = np.argsort(-gained, kind="stable")
    mine = order[: int(np.searchsorted(np.cumsum(weights[order]), few.sum())) + 1]
    return mine if few.min() >= LEAST_HELD and weights[mine] @ gained[mine] < lead else None


def outliers(row: Row) -> str:
    """Which components of few rows have far less than a share, in words that follow "since"."""
    result = row.sound
    fair = 0.0 if result is None else float(result.counts.mean())
    return few_rows(row) if result and result.counts.min() < SMALL_SHARE * fair else ""


def on_one_value(row: Row, grid: tuple[Lattice, ...]) -> str:
    """Which component sits on one value, or on tied rows, in words that follow "since"."""
    result = _of_several(row)
    if result is None:
        return ""
    on_one = narrow(result, tuple(each for each in grid if not each.of_two_values))
    if on_one:
        k, lattice = on_one[0]
        return (
            f"component {k} sits on one value of {lattice.name}, which moves in steps of "
            f"{lattice.step:g}{'' if lattice.even else ' and more'}"
        )
    # On a column of 0 and 1 the rows of any cluster may be tied.
    if any(each.of_two_values for each in grid):
        return ""
    held = [event for event in result.events if event.kind == "held" and event.components]
    return f"component {held[0].components[0]} sits on tied rows" if held else ""


def narrow(result: Any, grid: tuple[Lattice, ...]) -> list[tuple[int, Lattice]]:
    """Components that hold one value of a lattice, and the lattice."""
    grid = _of_densities(result, grid)
    if not grid:
        return []
    spread = result.plug_in.components.unframed(result.mixture.frame).deviations
    return [
        (k, lattice)
        for k in range(result.n_components)
        for lattice in grid
        if spread[k, lattice.column] < lattice.of_one_value
    ]


def _of_densities(result: Any, grid: tuple[Lattice, ...]) -> tuple[Lattice, ...]:
    """The lattices that a fit describes by a density."""
    family = result.family
    return tuple(each for each in grid if family.marginal(np.array([each.column])).continuous)


def coarse(rows: list[Row], grid: tuple[Lattice, ...]) -> list[Lattice]:
    """Lattices on one value of which a component of some candidate sits, or of few values at all.

    The latter where the first candidate, which was chosen, has several components.
    """
    found = {
        lattice.column: lattice
        for row in rows
        if row.sound is not None and row.sound.family.continuous
        for _, lattice in narrow(row.sound, grid)
    }
    chosen = rows[0].sound
    if chosen is not None and chosen.n_components > 1:
        few = (each for each in _of_densities(chosen, grid) if each.n_values <= FEW_VALUES)
        found |= {each.column: each for each in few}
    return [found[column] for column in sorted(found)]


def zeros_alone(result: Any) -> dict[int, tuple[float, list[int]]]:
    """Columns of counts with many zeros: their share, and the components that have no more."""
    found, point = {}, result.plug_in.components
    levels = level_probabilities(result.family, point)
    for d in range(result.n_features):
        place = np.array([d])
        if d in levels or result.family.marginal(place).continuous:
            continue
        shares = np.exp(point.marginal(place).expected_log_density(np.zeros((1, 1))))[0]
        total, alone = float(result.mixture.mean_weights @ shares), shares > ZEROS_ALONE
        if total > MANY_ZEROS and alone.any() and not alone.all():
            found[d] = total, np.flatnonzero(alone).tolist()
    return found


def _components(numbers: Any) -> str:
    if len(numbers) == 1:
        return f"component {numbers[0]} holds"
    return f"{len(numbers)} components hold"
