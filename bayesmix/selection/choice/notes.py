"""Notes beside the answer that change what a user should do, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.families.level_probabilities import level_probabilities
from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.clustering.clusters import too_small
from bayesmix.selection.data_checks import (
    FEW_VALUES,
    Duplicates,
    LogScale,
    RoundedFeature,
    column_names,
    is_density,
    narrower,
)

# An expected number of observations that prints as none.
EMPTY = 0.05
# Zeros are many in a column of counts where they are more than half, and a component is of zeros
# alone where other counts are less than a tenth.
MANY_ZEROS = 0.5
ZEROS_ALONE = 0.9
NAMES_SHOWN = 3


@dataclass(frozen=True)
class DataChecks:
    """What was found in the data, and which numbers of components were to be tried.

    ``left_out``: structures that so few observations cannot estimate; ``grows``: K was not named.
    """

    numbers: list[int]
    grows: bool
    n_features: int
    left_out: tuple[str, ...]
    rounded: tuple[RoundedFeature, ...]
    duplicates: Duplicates
    logs: LogScale

    def notes(self, candidates: list[Candidate]) -> list[str]:
        """Notes on the first candidate, which was chosen, the most important first."""
        chosen = candidates[0]
        result = chosen.sound
        notes = [*self._range(chosen)]
        if result is not None:
            notes += components(result, self.rounded)
        if self.duplicates.n_copies:
            notes.append(
                f"{self.duplicates.n_copies} of {self.duplicates.n_rows} observations are "
                "duplicates; remove them if they were recorded twice."
            )
        if self.duplicates.values and chosen.asked > 1:
            notes.append(
                f"Repeated values: {listed(self.duplicates.values)}; components may fit these "
                "values only."
            )
        if rounded := self._coarse(candidates, binary=False):
            notes.append(
                f"Rounded features: {listed(rounded)}; components may fit the rounding. Treat as "
                "counts?"
            )
        if binary := self._coarse(candidates, binary=True):
            notes.append(
                f"Binary features: {listed(binary)}; components may only separate their two values."
            )
        ahead = self.logs.bic - float(np.nanmax([each.value("bic") for each in candidates]))
        if result is not None and chosen.asked > 1 and result.family.any_real and ahead > 0.0:
            notes.append(
                f"Skewed features: one normal on the log scale ({listed(self.logs.columns)}) fits "
                f"better than any mixture. Take logs?"
            )
        if result is not None and (zeros := _zeros(result)):
            notes.append(f"Many zeros: {listed(zeros)}; compare without these columns.")
        return notes

    def _range(self, chosen: Candidate) -> list[str]:
        """Structures that were left out, and K at an end of the range."""
        if self.grows and self.numbers == [1]:
            return [
                f"Too few observations for {self.n_features} variables, so only K = 1 was fitted; "
                "set n_components or use factor analysers."
            ]
        notes = []
        if self.left_out:
            notes.append(
                f"Too few observations for {listed(self.left_out)} covariance, which "
                f"{'was' if len(self.left_out) == 1 else 'were'} left out."
            )
        if len(self.numbers) == 1 or min(self.numbers) < chosen.asked < max(self.numbers):
            return notes
        if chosen.asked == max(self.numbers):
            automatic = f"K reached the automatic limit of {chosen.asked}"
            notes.append(
                f"{automatic}; set n_components to search further."
                if self.grows
                else f"K is at the upper end of the range ({chosen.asked}); compare larger numbers."
            )
        elif chosen.asked > 1:
            notes.append(f"K is at the lower end of the range ({chosen.asked}); compare fewer.")
        return notes

    def _coarse(self, candidates: list[Candidate], binary: bool) -> list[str]:
        """Rounded features that components of a candidate may follow."""
        several = candidates[0].sound is not None and candidates[0].sound.n_components > 1
        narrow = {
            each.column
            for candidate in candidates
            if candidate.sound is not None and candidate.sound.family.continuous
            for _, each in narrower(candidate.sound, self.rounded)
        }
        shown = []
        for each in self.rounded:
            few = several and each.n_values <= FEW_VALUES and is_density(candidates[0].sound, each)
            if (each.n_values == 2) == binary and (few or each.column in narrow):
                shown.append(each.name if binary else str(each))
        return shown


def components(result: Any, rounded: Sequence[RoundedFeature]) -> list[str]:
    """Components that are no clusters: of few observations, of identical ones, below rounding."""
    small, counts = too_small(result, rounded), result.counts
    if result.n_components == 1 or not small.any():
        return []
    narrow = narrower(result, [each for each in rounded if each.n_values > 2])
    held = {k for event in result.events if event.kind == "held" for k in event.components}
    width = held | {k for k, _ in narrow}
    empty = [k for k in np.flatnonzero(small) if counts[k] < EMPTY]
    few = [k for k in np.flatnonzero(small) if counts[k] >= EMPTY and k not in width]
    notes = []
    if few:
        sizes = ", ".join(f"{counts[k]:.1f}" for k in few[:NAMES_SHOWN])
        more = ", ..." if len(few) > NAMES_SHOWN else ""
        noun = "component" if len(few) == 1 else "components"
        notes.append(
            f"Suspected outliers in {len(few)} {noun} ({sizes}{more} observations), which are not "
            "counted as clusters."
        )
    if empty:
        noun = f"Component {empty[0]} is" if len(empty) == 1 else f"{len(empty)} components are"
        notes.append(f"{noun} almost empty (0.0 observations).")
    if narrow:
        k, feature = narrow[0]
        notes.append(f"Component {k} is narrower than the rounding of {feature.name}.")
    elif held:
        notes.append(f"Component {min(held)} collapsed onto identical observations.")
    return notes


def zeros_alone(result: Any) -> dict[int, tuple[float, list[int]]]:
    """Columns of counts with many zeros: their share, and the components of zeros alone."""
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


def _zeros(result: Any) -> list[str]:
    """Columns of counts with many zeros, and the components of zeros alone, in words."""
    names = column_names(result.columns, result.n_features)
    return [
        f"{names[d]} ({share:.0%}; component{'s' * (len(alone) > 1)} "
        f"{phrase([str(k) for k in alone])})"
        for d, (share, alone) in zeros_alone(result).items()
    ]


def listed(names: Sequence[str]) -> str:
    """The first few names with commas, and how many there are besides."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def phrase(names: Sequence[str]) -> str:
    """Names in one phrase: "BIC, ICL and AIC"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
