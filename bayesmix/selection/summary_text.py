"""Summary of a search, the same text in the shell, the report and notebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.families.product.family import level_probabilities
from bayesmix.numerics.arrays import Integers
from bayesmix.selection.candidates import Candidate, noun_of
from bayesmix.selection.clusters import OUTLYING
from bayesmix.selection.criteria import RECORDS, record
from bayesmix.selection.data_checks import (
    FEW_VALUES,
    Duplicates,
    LogScale,
    RoundedFeature,
    column_names,
    is_density,
    narrower,
)
from bayesmix.selection.probability import Probabilities, totals_over_k
from bayesmix.selection.rule import NAME as RULE
from bayesmix.selection.rule import RULED_OUT, Judgement
from bayesmix.selection.scores import Score

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

    ``left_out``: structures that so few observations cannot estimate; ``grows``: no K was given;
    ``few_features``: a note if only some features seem to distinguish clusters.
    """

    numbers: list[int]
    grows: bool
    shape: tuple[int, int]
    left_out: tuple[str, ...]
    rounded: tuple[RoundedFeature, ...]
    duplicates: Duplicates
    logs: LogScale
    few_features: str = ""
    of_features: bool = True  # whether components are distributions of the features

    def notes(self, candidates: list[Candidate], clusters: Integers) -> list[str]:
        """Return notes on the best candidate; ``clusters`` (K,) are those of its components."""
        chosen = candidates[0]
        result, noun = chosen.sound, noun_of(chosen.estimator)
        notes = [*filter(None, [self.few_features]), *self._range(chosen)]
        if not self.of_features:
            return notes
        if result is not None:
            notes += components(result, clusters, self.rounded, noun)
        if self.duplicates.n_copies:
            notes.append(
                f"{self.duplicates.n_copies} of {self.duplicates.n_rows} observations are "
                "duplicates: remove them, or divide sample weights by the number of copies."
            )
        if self.duplicates.values and chosen.asked > 1:
            notes.append(
                f"Repeated values: {listed(self.duplicates.values)}. A {noun} may model nothing "
                "but these values."
            )
        if rounded := self._coarse(candidates, binary=False):
            notes.append(
                f"Rounded features: {listed(rounded)}. Some {noun}s may model only the rounding; "
                "consider a family for counts."
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
                "A single log-normal distribution has a better BIC: consider taking logs of "
                f"{listed(self.logs.columns)}."
            )
        if result is not None and (zeros := _zeros(result, noun)):
            notes.append(f"Many zeros: {listed(zeros)}. Compare with a fit without these features.")
        return notes

    def _range(self, chosen: Candidate) -> list[str]:
        """Return notes on structures left out, and on K at an end of the range."""
        if self.grows and self.numbers == [1]:
            return [
                f"Too few observations for {self.shape[1]} variables, so only K = 1 was fitted; "
                "set n_components or use factor analysers."
            ]
        notes = []
        if self.left_out:
            n, features = self.shape[0], counted(self.shape[1], "feature")
            notes.append(
                f"Not tried: {phrase(self.left_out)} covariance (too many parameters for n = {n:,} "
                f"and {features})."
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
        elif chosen.asked > max(1, chosen.n_labelled):
            notes.append(f"K is at the lower end of the range ({chosen.asked}); compare fewer.")
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
    result: Any, clusters: Integers, rounded: Sequence[RoundedFeature], noun: str
) -> list[str]:
    """Return notes on components that are not clusters."""
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
        one = f"{noun.capitalize()} {empty[0]} is"
        notes.append(f"{one if len(empty) == 1 else f'{len(empty)} {noun}s are'} almost empty.")
    if narrow := _narrow(result, rounded):
        k, feature = narrow[0]
        notes.append(f"{noun.capitalize()} {k} is narrower than the rounding of {feature.name}.")
    elif held := _held(result):
        notes.append(f"{noun.capitalize()} {min(held)} collapsed onto identical observations.")
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
    columns, point = {}, result.plug_in.components
    levels = level_probabilities(result.family, point)
    for d in range(result.n_features):
        place = np.array([d])
        if d in levels or result.family.marginal(place).continuous:
            continue
        shares = np.exp(point.marginal(place).expected_log_density(np.zeros((1, 1))))[0]
        total, alone = float(result.mixture.mean_weights @ shares), shares > ZEROS_ALONE
        if total > MANY_ZEROS and alone.any() and not alone.all():
            columns[d] = total, np.flatnonzero(alone).tolist()
    return columns


def _zeros(result: Any, noun: str) -> list[str]:
    """Describe count columns with many zeros, and the components of zeros alone."""
    names = column_names(result.columns, result.n_features)
    return [
        f"{names[d]} ({share:.0%}; {noun}{'s' * (len(alone) > 1)} "
        f"{phrase([str(k) for k in alone])})"
        for d, (share, alone) in zeros_alone(result).items()
    ]


def listed(names: Sequence[str]) -> str:
    """Return the first few names, separated by commas, and the number of further ones."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def phrase(names: Sequence[str]) -> str:
    """Join names in one phrase: "BIC, ICL and AIC"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


MOST_LINES = 6
MOST_NOTES = 3
WIDTH = 120
# Larger approximate probabilities are not printed, because approximations are overconfident.
SUREST = 0.95
LEAST_PROBABILITY = 0.005
NUMBERS_SHOWN = 3


def label(candidate: Candidate) -> str:
    """Describe a candidate: "3 components, tied covariance"."""
    parts = [counted(candidate.n_components, noun_of(candidate.estimator))]
    for key, value in candidate.parameters.items():
        name = key.split("__")[-1]
        if name == "covariance_type":
            parts.append(f"{value} covariance")
        elif name != "n_components":
            parts.append(f"{name}={value}")
    return ", ".join(parts)


def short_label(candidate: Candidate) -> str:
    """Describe a candidate without K: "tied"."""
    values = {
        key.split("__")[-1]: value
        for key, value in candidate.parameters.items()
        if key.split("__")[-1] != "n_components"
    }
    return ", ".join(
        str(value) if name == "covariance_type" else f"{name}={value}"
        for name, value in values.items()
    )


def worse(best: Candidate, other: Candidate, column: str) -> Score:
    """Return the difference to the best candidate in a criterion, paired if cross-validated."""
    if column == "cv" and best.held is not None and other.held is not None:
        return best.held.less(other.held)
    return Score(best.value(column) - other.value(column))


def order(best: Candidate, unordered: Candidate | None, criterion: str) -> str:
    """Say whether the order of samples matters: the best chain and the best mixture."""
    if unordered is None:
        return ""
    behind = worse(best, unordered, record(criterion).column)
    matters = "matters" if behind.value > 0.0 else "does not matter"
    if abs(behind.value) < behind.standard_error:
        matters = "may not matter"
    return f"The order of samples {matters}. Best mixture: {label(unordered)} ({gap(behind)})."


def counted(n: int, noun: str) -> str:
    """Return a number with a noun: "1 row", "3,000 rows"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def number(value: float, decimals: int | None = None) -> str:
    """Format a number as journals do: three significant digits, at most six before the point.

    ``decimals=None``: as many as three digits need, at most two.
    """
    size = abs(value)
    if size >= 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if decimals is None:
        decimals = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{value:,.{decimals}f}"


def gap(behind: Score) -> str:
    """Format the difference to the best model, with its standard error if there is one."""
    if math.isfinite(behind.standard_error):
        return f"{difference(behind)} nats"
    return f"{number(-behind.value)} nats"


def difference(behind: Score) -> str:
    """Format the difference to the best model: "-3.8 ± 2.9"."""
    error = behind.standard_error
    decimals = 0 if error >= 10.0 else 1 if error >= 0.1 else 2
    return f"{number(-behind.value, decimals)} ± {number(error, decimals)}"


@dataclass(frozen=True)
class Answer:
    """Result of a search, best candidate first; ``n`` is the sum of the sample weights.

    ``n_clusters`` is None if components were not merged; ``n_outlying`` counts outlying components;
    ``features`` says which features were selected.
    """

    judgement: Judgement
    criterion: str
    n: float
    probabilities: Probabilities | None
    notes: Sequence[str] = ()
    n_clusters: int | None = None
    n_outlying: int = 0
    features: str = ""

    @property
    def candidates(self) -> list[Candidate]:
        return self.judgement.candidates

    @property
    def best(self) -> Candidate:
        return self.candidates[0]

    @cached_property
    def several(self) -> bool:
        """Whether there are several structures."""
        return len({candidate.structure for candidate in self.candidates}) > 1

    def summary(self) -> str:
        """Return in six lines the best model, its uncertainty, other criteria and warnings."""
        lines = [line for line in self._main() if line]
        room = min(MOST_NOTES, MOST_LINES - len(lines))
        notes = [_shortened(note) for note in self.notes]
        if len(notes) > room:
            more = counted(len(notes) - room + 1, "further note")
            notes = [*notes[: room - 1], f"{more}: summary(verbose=True)."]
        return "\n".join([*lines, *notes])

    def verbose(self) -> str:
        """Return the full summary with all notes, next candidates and the criteria's aims."""
        lines = [*self._main(), *self.notes, *self._details()]
        return "\n".join(line for line in lines if line)

    def _main(self) -> list[str]:
        rule = self.criterion == RULE
        return [
            self._model(),
            self.features,
            "" if rule else self._by_criterion(),
            self._probable(),
            self._structures() if rule else "",
            self._other_criteria(),
        ]

    def _model(self) -> str:
        result, n = self.best.result, f"{self.n:,.10g}"
        features = "" if result is None else f", {counted(result.n_features, 'feature')}"
        text = f"Best model: {label(self.best)} (n = {n}{features})"
        if self.n_clusters is None or self.best.n_components == 1:
            return f"{text}."
        clusters = counted(self.n_clusters, "cluster")
        if not self.n_outlying:
            return f"{text}; they form {clusters}."
        outlying = counted(self.n_outlying, "component")
        return f"{text}: {clusters}, plus {outlying} of suspected outliers."

    def _by_criterion(self) -> str:
        """Return the criterion, unless it is the default, and the next candidate."""
        column = record(self.criterion).column
        text = (
            f"Chosen by {record(self.criterion).label} ({number(self.best.value(column), 1)} nats)"
        )
        if column == "cv" and self.best.held is not None:
            judged = float(self.best.held.weights.sum())
            text += f" on {judged:,.10g} observations" if judged < 0.99 * self.n else ""
        if self.best.result is not None and self.best.result.mixture.noise is not None:
            text += ", because noise has no log evidence" if self.criterion == "bic" else ""
        following = self._next()
        return f"{text}; next best: {following[0]}." if following else f"{text}."

    def _next(self) -> list[str]:
        column = record(self.criterion).column
        shown = []
        for candidate in self.candidates[1:]:
            if candidate.dropped or not math.isfinite(candidate.value(column)):
                break
            behind = worse(self.best, candidate, column)
            if self.best.asked == candidate.asked == 1 and abs(behind.value) < 1e-9 * self.n:
                continue  # structures that are the same model for K = 1
            shown.append(f"{label(candidate)} ({gap(behind)})")
        return shown[:NUMBERS_SHOWN]

    def _probable(self) -> str:
        """Return P(K | data) of the most probable K, and why another K was chosen."""
        probabilities = self.probabilities
        if probabilities is None or len(probabilities.prior) < 2:
            return ""
        totals = totals_over_k(self.candidates, probabilities)
        ranked = sorted(totals, key=lambda k: -totals[k])[:NUMBERS_SHOWN]
        exact = probabilities.criterion == "evidence"
        parts = [
            f"{k}: {'> ' if not exact and totals[k] > SUREST else ''}"
            f"{totals[k] if exact else min(totals[k], SUREST):.2f}"
            for k in ranked
            if totals[k] >= LEAST_PROBABILITY
        ]
        how = "" if exact else " (by BIC)" if probabilities.criterion == "bic" else " (approximate)"
        text = f"P(K | data): {', '.join(parts)}{how}"
        if ranked[0] != self.best.asked:
            if self.criterion != RULE:
                text += f"; {record(self.criterion).label} chose K = {self.best.asked}"
            elif self.several:
                text += f", summed over structures; the best single model has K = {self.best.asked}"
            else:
                text += f"; the log evidence is largest at K = {self.best.asked}"
        return f"{text}."

    def _structures(self) -> str:
        """Return the cross-validated comparison of structures, shortened to fit the line."""
        if not self.several:
            return ""
        names = {candidate.structure: short_label(candidate) for candidate in self.candidates}
        only = all(name == name.split(", ")[0] and "=" not in name for name in names.values())
        text = f"{'Covariance' if only else 'Structure'}: {short_label(self.best)}."
        behind = self.judgement.behind
        if not behind:
            why = self.judgement.why_no_folds
            return _shortened(f"{text} Chosen by log evidence alone{f': {why}' if why else ''}.")
        out, worse, level = dict[str, str](), dict[str, str](), list[str]()
        for same in self._models(list(behind)):
            score, name = behind[same[0]], "/".join(names[candidate] for candidate in same)
            if score.value > score.standard_error:
                ruled_out = score.value >= RULED_OUT * score.standard_error
                (out if ruled_out else worse)[name] = difference(score)
            elif self.best.structure not in same:
                level.append(name)
        if not (out or worse or level):  # with one component all are the same model
            return ""
        for gaps in ("out, worse", "worse", ""):
            line = f"{text} Cross-validation {_compared(out, worse, level, gaps)}."
            if len(line) <= WIDTH:
                return line
        gone = len(out) + len(worse)
        verb = f"drops {gone} structures" if gone else f"does not distinguish {len(level)} others"
        return f"{text} Cross-validation {verb}."

    def _models(self, structures: list[str]) -> list[list[str]]:
        """Group structures that are the same model for K = 1."""
        groups: dict[Any, list[str]] = {}
        alone = {
            candidate.structure: round(candidate.held.score.value, 6)
            for candidate in self.candidates
            if candidate.held is not None and candidate.asked == 1
        }
        for structure in structures:
            groups.setdefault(alone.get(structure, structure), []).append(structure)
        return list(groups.values())

    def _other_criteria(self) -> str:
        parts = []
        for other in RECORDS.values():
            # The rule computes these only for candidates that may win.
            partial = self.criterion == RULE and other.name in ("evidence", "cv")
            same = other.name == record(self.criterion).column
            choice = max(self.candidates, key=lambda candidate: candidate.comparable(other.name))
            valued = math.isfinite(choice.value(other.name))
            if other.others and valued and not (partial or same):
                structure = f" ({short_label(choice)})" if self.several else ""
                parts.append(f"{other.label} {choice.n_components}{structure}")
        return _shortened(f"Other criteria: {', '.join(parts)}.") if parts else ""

    def _details(self) -> list[str]:
        """Return details for ``verbose=True``."""
        lines, column = [], record(self.criterion).column
        numbers = sorted({candidate.asked for candidate in self.candidates})
        span = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
        lines.append(f"{counted(len(self.candidates), 'candidate')} compared, K = {span}.")
        if following := self._next():
            lines.append(f"Next best by {record(self.criterion).label}: {'; '.join(following)}.")
        dropped = [
            candidate
            for candidate in self.candidates
            if candidate.dropped and candidate.sound is not None
        ]
        if dropped:
            ahead = max(dropped, key=lambda candidate: candidate.comparable(column))
            gain = ahead.value(column) - self.best.value(column)
            if gain > 0.0:
                lines.append(
                    f"Largest log evidence: {label(ahead)} (+{number(gain)} nats). This model was "
                    f"not chosen because it is {ahead.dropped}."
                )
        if self.criterion == RULE:
            bic = max(self.candidates, key=lambda candidate: candidate.comparable("bic"))
            if bic.n_components != self.best.n_components:
                lines.append("BIC disagrees: the data do not clearly determine K.")
        if self.probabilities is not None and len(self.probabilities.prior) > 1:
            lines.append(f"P(K | data) uses {self.probabilities.source}.")
            lines.append(f"The prior over K {self._prior()}.")
        if self.criterion == "cv_1se":
            lines += self._simpler()
        noun = noun_of(self.best.estimator)
        asked: dict[str, list[str]] = {}
        for criterion in RECORDS.values():
            if criterion.name == self.criterion or criterion.others:
                asked.setdefault(criterion.question, []).append(criterion.label)
        for question, names in asked.items():
            verb = "estimates" if len(names) == 1 else "estimate"
            text = f"{phrase(names)} {verb} {question.format(noun)}."
            lines.append(text[0].upper() + text[1:])
        failed = sum(
            candidate.note.startswith(("failed", "degenerate")) for candidate in self.candidates
        )
        if failed:
            lines.append(
                f"{failed} of {len(self.candidates)} candidates failed; the column note of "
                "results_ has the reasons."
            )
        coding = getattr(getattr(self.best.result, "family", None), "coding", None)
        if coding is not None and self.best.result is not None:
            columns = self.best.result.columns
            named = coding if columns is None else replace(coding, names=columns)
            lines.append(f"Columns: {named.sentence}.")
        return lines

    def _prior(self) -> str:
        assert self.probabilities is not None
        prior = self.probabilities.prior
        if len(set(prior.values())) == 1:
            return f"is uniform from {min(prior)} to {max(prior)}"
        return "decreases with K" if self.probabilities.falls else "was given by the user"

    def _simpler(self) -> list[str]:
        """Return the loss in log density that the one-standard-error rule accepts."""
        leader = self.candidates[1] if len(self.candidates) > 1 else self.best
        if self.best.held is None or leader.held is None:
            return []
        behind = leader.held.less(self.best.held)
        if behind.value <= 0.0:
            return ["The chosen model also has the best cross-validated log density."]
        gap = f"{number(behind.value)} ± {number(behind.standard_error)}"
        return [f"Best cross-validated log density: {label(leader)} (+{gap} nats)."]


def _compared(out: dict[str, str], worse: dict[str, str], level: list[str], gaps: str) -> str:
    """Describe the result of cross-validation; ``gaps`` selects the differences to print."""
    if not (out or worse):
        return f"does not distinguish it from {phrase(level)}"
    clauses = []
    if out:
        shown = [f"{name} ({gap})" if "out" in gaps else name for name, gap in out.items()]
        clauses.append(f"rules out {phrase(shown)}")
    if worse:
        shown = [f"{name} ({gap})" if "worse" in gaps else name for name, gap in worse.items()]
        if not out:
            clauses.append(f"finds {phrase(shown)} slightly worse")
        elif len(shown) > 1:
            clauses.append(f"{phrase(shown)} are slightly worse")
        else:
            name, *gap = shown[0].split(" (")
            clauses.append(" (".join([f"{name} is slightly worse", *gap]))
    return "; ".join(clauses).replace(")", " nats)", 1)


def _shortened(text: str) -> str:
    """At most 120 characters."""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3].rstrip()}..."
