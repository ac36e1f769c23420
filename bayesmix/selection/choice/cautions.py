"""What a person should know beside a choice: edges, few rows, what is repeated or on a lattice."""

from __future__ import annotations

from typing import Any

from bayesmix.selection.candidates.row import Row
from bayesmix.selection.choice.one_of_logarithms import OneOfLogarithms
from bayesmix.selection.choice.repetitions import Repetitions
from bayesmix.selection.choice.standing import (
    Lattice,
    coarse,
    column_names,
    on_one_value,
    outliers,
    zeros_alone,
)


def cautions(
    rows: list[Row],
    numbers: list[int],
    grows: bool,
    grid: tuple[Lattice, ...],
    repeated: Repetitions,
    logarithms: OneOfLogarithms,
) -> list[str]:
    """What is at an edge, which components hold few rows, what is repeated or on a lattice.

    Of the first candidate, which was chosen.
    """
    row, notes = rows[0], []
    if row.asked == max(numbers) and len(numbers) > 1:
        limit = (
            "as far as K grows by itself for so many rows" if grows else "the most that were tried"
        )
        text = f"{row.asked} components are {limit}: more may describe these rows better"
        notes.append(f"{text}. Compare larger numbers.")
    elif grows and len(numbers) == 1:
        notes.append(
            "One component alone was tried: for so many columns the rows are too few for K to grow "
            "by itself. Name numbers (n_components); bm.FactorAnalytic(1) as covariance_type needs "
            "fewer rows."
        )
    elif row.asked == min(numbers) > 1:
        notes.append(f"{row.asked} components are the fewest that were tried: fewer may do.")
    if few := outliers(row):
        notes.append(
            f"Of the candidate that was chosen {few}. Look at these rows (predict says which they "
            "are); leave them out where they are errors, or let them be noise (noise)."
        )
    elif on_one := on_one_value(row, grid):
        notes.append(f"Of the candidate that was chosen {on_one}.")
    notes += repeated.notes(row.asked) + logarithms.notes(rows)
    found = coarse(rows, grid)
    if rounded := [str(each) for each in found if not each.of_two_values]:
        notes.append(
            f"Rounded columns: {listed(rounded)}. Components may describe "
            "such values rather than clusters; those that sit on a single one are not chosen. "
            "Treat these columns as categories or counts, compare without them, or measure finer."
        )
    if of_two := [each.name for each in found if each.of_two_values]:
        notes.append(
            f"Columns of two values: {listed(of_two)}. Components may be there for one value each "
            "rather than for clusters. Treat these columns as categories, or compare without them."
        )
    if row.sound is not None and (zeros := _zeros(row.sound)):
        notes.append(
            f"Many zeros: {listed(zeros)}. Whether those that are zeros alone are kinds, or zeros "
            "have a cause of their own within kinds, which a Poisson does not know, the table "
            "cannot say: compare without such columns, or with zero or not as a category."
        )
    return notes


def _zeros(result: Any) -> list[str]:
    """Columns of counts with many zeros, and the components of zeros alone."""
    names = column_names(result.columns, result.n_features)
    return [
        f"{names[d]} ({share:.0%}; component{'s' * (len(alone) > 1)} "
        f"{listed([str(k) for k in alone])})"
        for d, (share, alone) in zeros_alone(result).items()
    ]


def listed(names: list[str]) -> str:
    """Names in one phrase: "BIC, ICL and AIC"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
