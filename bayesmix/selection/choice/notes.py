"""Notes beside the answer that change what a user should do, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.families.level_probabilities import level_probabilities
from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.choice.data_checks import (
    FEW_VALUES,
    Duplicates,
    LogScale,
    RoundedFeature,
    column_names,
)

# A small component is worth a note where others are ten times as large: among many features all
# components may be small.
SMALL_SHARE = 0.1
# A component is narrower than rounding where its standard deviation is that of two neighbours.
NARROW = 0.5
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
            few = several and each.n_values <= FEW_VALUES and _is_density(candidates[0].sound, each)
            if (each.n_values == 2) == binary and (few or each.column in narrow):
                shown.append(each.name if binary else str(each))
        return shown


def components(result: Any, rounded: Sequence[RoundedFeature]) -> list[str]:
    """Components that are no clusters: of few observations, of identical ones, below rounding."""
    if not result.family.continuous or result.n_components == 1:
        return []
    notes, counts = [], result.counts
    own = result.family.own_directions
    needed = 1 + int(result.n_features if own is None else own)
    small = np.flatnonzero((counts < needed) & (counts.min() < SMALL_SHARE * counts.mean()))
    empty = [k for k in small if counts[k] < EMPTY]
    few = [k for k in small if counts[k] >= EMPTY]
    if empty:
        notes.append(f"{_components(empty)} almost empty (0.0 observations).")
    if few:
        sizes = ", ".join(f"{counts[k]:.1f}" for k in few[:NAMES_SHOWN])
        more = ", ..." if len(few) > NAMES_SHOWN else ""
        notes.append(
            f"Suspected outliers: {_components(few).lower()} too small to be a cluster "
            f"({sizes}{more} observations)."
        )
    held = [event for event in result.events if event.kind == "held" and event.components]
    narrow = narrower(result, [each for each in rounded if each.n_values > 2])
    if narrow:
        k, feature = narrow[0]
        notes.append(f"Component {k} is narrower than the rounding of {feature.name}.")
    elif held and not any(each.n_values == 2 for each in rounded):
        k = held[0].components[0]
        notes.append(f"Component {k} collapsed onto identical observations.")
    return notes


def narrower(result: Any, rounded: Sequence[RoundedFeature]) -> list[tuple[int, RoundedFeature]]:
    """Components that are narrower than the rounding of a feature, and the feature."""
    rounded = [each for each in rounded if _is_density(result, each)]
    if not rounded:
        return []
    deviations = result.plug_in.components.unframed(result.mixture.frame).deviations
    return [
        (k, each)
        for k in range(result.n_components)
        for each in rounded
        if deviations[k, each.column] < NARROW * (each.step or each.gap)
    ]


def _is_density(result: Any, each: RoundedFeature) -> bool:
    """Whether a fit describes a feature by a density."""
    return bool(result.family.marginal(np.array([each.column])).continuous)


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


def _components(numbers: Sequence[int]) -> str:
    first = f"Component {numbers[0]} is"
    return first if len(numbers) == 1 else f"{len(numbers)} components are"


def listed(names: Sequence[str]) -> str:
    """The first few names with commas, and how many there are besides."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def phrase(names: Sequence[str]) -> str:
    """Names in one phrase: "BIC, ICL and AIC"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
