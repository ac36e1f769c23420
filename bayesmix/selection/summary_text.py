"""Notes on the data and the chosen candidate of a search, and words that its texts share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.core.nouns import counted, part_name, parts_in_words, plural
from bayesmix.core.printed_numbers import percent
from bayesmix.core.procedures import noun_of
from bayesmix.numerics.arrays import Integers
from bayesmix.numerics.rounding import FEW_VALUES
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.clusters import OUTLYING
from bayesmix.selection.data_checks import (
    Duplicates,
    LogScale,
    RoundedFeature,
    column_names,
    is_density,
    narrower,
)
from bayesmix.selection.spread_values import SpreadFeature
from bayesmix.selection.structures import in_words

# Expected number of observations that prints as zero.
EMPTY = 0.5
# A count column has many zeros if they are more than half. A component is of zeros alone if other
# counts are less than a tenth.
MANY_ZEROS = 0.5
ZEROS_ALONE = 0.9
NAMES_SHOWN = 3


@dataclass(frozen=True)
class DataChecks:
    """Findings about the data, and the range of K.

    ``limit``: the largest K of the automatic range, None where K was given; ``left_out``:
    structures that so few observations cannot estimate; ``few_features``: a note if only some
    features seem to distinguish clusters.
    """

    numbers: list[int]
    limit: int | None
    shape: tuple[int, int]
    left_out: tuple[str, ...]
    rounded: tuple[RoundedFeature, ...]
    duplicates: Duplicates
    logs: LogScale
    few_features: str = ""
    of_features: bool = True  # whether components are distributions of the features
    spread: tuple[SpreadFeature, ...] = ()  # features of which the search spread rounded values
    copies: str = ""  # a note, if all observations occur several times and were used once
    repeated: bool = False  # whether some observations occur several times
    directions: bool = False  # whether all observations have length 1

    def notes(
        self, candidates: list[Candidate], clusters: Integers, ended: bool = False
    ) -> list[str]:
        """Return notes on the chosen candidate; ``clusters`` (K,) are those of its components."""
        chosen = candidates[0]
        result, noun = chosen.sound, noun_of(chosen.estimator)
        notes = [*filter(None, [self.few_features]), *self._range(ended, chosen)]
        if not self.of_features:
            return [*notes, *self._changed()]
        zeros = {} if result is None else _zeros(result, noun)
        several = chosen.asked > 1 and (result is None or result.family.measure_apart is None)
        repeated = [
            text
            for text in self.duplicates.values
            if several and not any(text.startswith(f"{name} (") for name in zeros)
        ]
        if result is not None:
            notes += components(result, clusters, self.rounded, noun, bool(repeated))
            flat = [event.text for event in result.events if event.kind == "flat"]
            notes += [f"{text[0].upper()}{text[1:].rstrip('.')}." for text in flat]
        if self.duplicates.n_copies:
            notes.append(
                f"{self.duplicates.n_copies} of {self.duplicates.n_rows} observations are "
                "duplicates: remove them, or divide sample weights by the number of copies."
            )
        if repeated:
            notes.append(
                f"Repeated values: {listed(repeated)}. A {noun} may model nothing but these "
                "values: compare with a fit without these features."
            )
        if rounded := self._coarse(candidates, binary=False):
            notes.append(
                f"Rounded features: {listed(rounded)}. Some {noun}s may model only the rounding; "
                'consider bm.Measured(X, step="auto"), or a family for counts or ratings.'
            )
        if binary := self._coarse(candidates, binary=True):
            notes.append(
                f"Binary features: {listed(binary)}. Some {noun}s may only separate the two values."
            )
        ahead = self.logs.bic - float(
            np.nanmax([candidate.value("bic") for candidate in candidates])
        )
        if result is not None and chosen.asked > 1 and result.family.any_real and ahead > 0.0:
            notes.append(
                "A single log-normal distribution has a better BIC than every candidate: consider "
                f"taking logs of {listed(self.logs.columns)}."
            )
        # Densities on the sphere have no columns to draw.
        if self.directions and result is not None and result.family.drawn_columns:
            notes.append(
                "All observations have length 1, as directions have: compare "
                "family='von_mises_fisher'."
            )
        if zeros:
            notes.append(
                f"Many zeros: {listed([*zeros.values()])}. Compare with a fit without these "
                "features."
            )
        return [*notes, *self._changed()]

    @property
    def spread_over_steps(self) -> str:
        """Which rounded features the search spread, without those whose values heap; or ""."""
        plain = [
            f"{feature.name} (steps of {feature.grids.step:.4g})"
            for feature in self.spread
            if not feature.heaps
        ]
        return f"Rounded values, spread over their steps: {listed(plain)}." if plain else ""

    def ended(self, *candidates: Candidate) -> bool:
        """Whether the automatic range of K ended at the chosen candidate, or at the best one.

        A range that the user gave has no end to be told.
        """
        limit = self.limit or 1
        return limit > 1 and any(row.asked >= limit for row in candidates)

    def _changed(self) -> list[str]:
        """Return notes on copies that were left out, and on values that heap."""
        notes = [self.copies] if self.copies else []
        if named := listed([feature.heaps for feature in self.spread if feature.heaps]):
            notes.append(
                f"Values heap on round numbers: {named}. The search spread them over their steps."
            )
        return notes

    def _range(self, ended: bool, chosen: Candidate) -> list[str]:
        """Return notes on structures left out, and on K at the end of the automatic range."""
        if self.limit == 1:
            few = "Too few distinct" if self.repeated else "Too few"
            return [
                f"{few} observations for {self.shape[1]} variables, so only K = 1 was fitted; "
                "set n_components or use factor analysers."
            ]
        notes = []
        if self.left_out:
            n, features = self.shape[0], counted(self.shape[1], "feature")
            notes.append(
                f"Not tried: {phrase(self.left_out)} covariance (too many parameters for n = {n:,} "
                f"and {features})."
            )
        if ended:
            parts = plural(noun_of(chosen.estimator))
            limit = (
                f"The density with the most evidence has {self.limit} {parts}, the automatic limit"
            )
            if self.ended(chosen):
                limit = f"K reached the automatic limit of {self.limit}"
            notes.append(f"{limit}; set n_components to search further.")
        return notes

    def _coarse(self, candidates: list[Candidate], binary: bool) -> list[str]:
        """Return rounded features that components of a candidate may fit."""
        several = candidates[0].sound is not None and candidates[0].sound.n_components > 1
        narrow = {
            feature.column
            for candidate in candidates
            if candidate.sound is not None and candidate.sound.family.continuous
            for _, feature in narrower(candidate.sound, self.rounded)
        }
        shown = []
        for feature in self.rounded:
            few = (
                several
                and feature.n_values <= FEW_VALUES
                and is_density(candidates[0].sound, feature)
            )
            if (feature.n_values == 2) == binary and (few or feature.column in narrow):
                shown.append(feature.name if binary else str(feature))
        return shown


def suspected_outliers(
    result: Any, clusters: Integers, rounded: Sequence[RoundedFeature]
) -> list[int]:
    """Return components with too few observations to be clusters."""
    excused = _held(result) | {k for k, _ in _narrow(result, rounded)}
    few = np.flatnonzero((clusters == OUTLYING) & (result.counts >= EMPTY)).tolist()
    return [k for k in few if k not in excused]


def components(
    result: Any,
    clusters: Integers,
    rounded: Sequence[RoundedFeature],
    noun: str,
    repeated: bool = False,
) -> list[str]:
    """Return notes on components that are not clusters.

    ``repeated``: another note is on repeated values, onto which a component collapsed.
    """
    notes = []
    if few := suspected_outliers(result, clusters, rounded):
        n = round(float(result.counts[few].sum()))
        verb = (
            "observation is a suspected outlier"
            if n == 1
            else "observations are suspected outliers"
        )
        place = (
            f"its {noun} is"
            if len(few) == 1 and n == 1
            else (f"their {noun} is" if len(few) == 1 else f"their {len(few)} {noun}s are")
        )
        notes.append(f"{n:,} {verb}: {place} too small to be a cluster.")
    if empty := np.flatnonzero((clusters == OUTLYING) & (result.counts < EMPTY)).tolist():
        single = f"{part_name(noun, empty[0]).capitalize()} is"
        notes.append(f"{single if len(empty) == 1 else f'{len(empty)} {noun}s are'} almost empty.")
    if narrow := _narrow(result, rounded):
        k, feature = narrow[0]
        name = part_name(noun, k).capitalize()
        notes.append(f"{name} is narrower than the rounding of {feature.name}.")
    elif (held := _held(result)) and not repeated:
        name = part_name(noun, min(held)).capitalize()
        notes.append(f"{name} collapsed onto identical observations.")
    return notes


def _held(result: Any) -> set[int]:
    """Return components that collapsed onto identical observations."""
    if result.n_components == 1:
        return set()
    return {k for event in result.events if event.kind == "held" for k in event.components}


def _narrow(result: Any, rounded: Sequence[RoundedFeature]) -> list[tuple[int, RoundedFeature]]:
    """Return components narrower than the rounding of a feature, unless there is one component."""
    several = [feature for feature in rounded if feature.n_values > 2 and result.n_components > 1]
    return narrower(result, several) if result.family.continuous else []


def zeros_alone(result: Any) -> dict[int, tuple[float, list[int]]]:
    """Return count columns with many zeros: their share, and components of zeros alone."""
    places = [np.array([d]) for d in range(result.n_features)]
    counts = [d for d in places if not result.family.marginal(d).continuous]
    if not counts:
        return {}
    columns, point = {}, result.plug_in.components.unframed(result.mixture.frame)
    levels = result.family.level_probabilities(point)
    for place in [place for place in counts if int(place[0]) not in levels]:
        shares = np.exp(point.marginal(place).expected_log_density(np.zeros((1, 1))))[0]
        total, alone = float(result.mixture.mean_weights @ shares), shares > ZEROS_ALONE
        if total > MANY_ZEROS and alone.any() and not alone.all():
            columns[int(place[0])] = total, np.flatnonzero(alone).tolist()
    return columns


def _zeros(result: Any, noun: str) -> dict[str, str]:
    """Describe count columns with many zeros, and the components of zeros alone."""
    names = column_names(result.columns, result.n_features)
    return {
        names[d]: f"{names[d]} ({percent(share)}; {parts_in_words(noun, alone)})"
        for d, (share, alone) in zeros_alone(result).items()
    }


def listed(names: Sequence[str]) -> str:
    """Return the first few names, separated by commas, and the number of further ones."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def phrase(names: Sequence[str]) -> str:
    """Join names in one phrase: "BIC, ICL and AIC"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def four_digits(value: float, separator: str = "") -> str:
    """Return a number with four digits, large ones such as log likelihoods with a decimal."""
    if not 1e3 <= abs(value) < 1e7:
        return f"{value:{separator}.4g}"
    return f"{value:{separator}.{0 if value == int(value) else 1}f}"


# Effects of covariates on a chain.
EFFECTS = {
    "none": "no covariates",
    "first": "covariates of first states",
    "transitions": "covariates of transitions",
    "all": "covariates of first states and transitions",
}


def setting(name: str, value: Any) -> str:
    """Return a parameter of a candidate in words, or as given to the estimator."""
    if name == "family" and not isinstance(value, str):
        return str(value.adjective)
    if name == "noise" and value == "uniform":
        return "uniform noise"
    return EFFECTS[value] if name == "covariate_effects" else f"{name}={value}"


def cell(name: str, value: Any) -> str:
    """Return a parameter of a candidate for a table or a legend; "" for one that has none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return setting(name, value).removeprefix(f"{name}=")


def label(candidate: Candidate) -> str:
    """Describe a candidate: "3 components, tied covariance"."""
    parts = [counted(candidate.n_components, noun_of(candidate.estimator))]
    for key, value in candidate.parameters.items():
        name = key.split("__")[-1]
        if name == "covariance_type":
            parts.append(in_words(value))
        elif name != "n_components":
            parts.append(setting(name, value))
    return ", ".join(parts)
