"""The answer of a search in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise

from bayesmix.core.nouns import counted, plural
from bayesmix.core.printed_numbers import number, percent, probability
from bayesmix.core.procedures import noun_of
from bayesmix.em.display import sample_in_words
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.selection.answer import Answer
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.clusters import (
    OUTLYING,
    WITHIN,
    number_of,
)
from bayesmix.selection.criteria import RECORDS, RULE, Probabilities, over_k, record
from bayesmix.selection.scores import Score
from bayesmix.selection.structures import in_words as structure_in_words
from bayesmix.selection.summary_text import label, phrase, setting

MOST_NOTES = 3
WIDTH = 120
# Share of outlying observations above which the summary names them first.
MOST_OUTLYING = 0.05
LEAST_PROBABILITY = 0.005
UNSURE_BELOW = 0.5  # the number of clusters is more probably another one
# Least probability of a range that is told instead of one number, and of a number that is certain.
CERTAIN = 0.8
NUMBERS_SHOWN = 3
ROUNDING = 1e-9  # of sums of probabilities, and of criteria for each observation


def short_label(candidate: Candidate) -> str:
    """Describe a candidate without K: "tied"."""
    values = {
        key.split("__")[-1]: value
        for key, value in candidate.parameters.items()
        if key.split("__")[-1] != "n_components"
    }
    return ", ".join(
        str(value) if name == "covariance_type" else setting(name, value)
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
    other = f"{label(unordered)} ({gap(behind, criterion)})"
    return f"The order of samples {matters}. Best mixture: {other}."


def likely_range(probabilities: Mapping[int, float], chosen: int) -> tuple[int, int, float]:
    """Return ends and probability of the numbers that are told: the chosen one, or more around it.

    They are the shortest range around the chosen number with a probability of ``CERTAIN``; the
    chosen number alone if it has one half. Of equal ranges, the more probable one.
    """
    if probabilities.get(chosen, 0.0) >= UNSURE_BELOW:
        return chosen, chosen, probabilities[chosen]
    numbers = sorted({*probabilities, chosen})
    ranges = [
        (low, high, sum(p for k, p in probabilities.items() if low <= k <= high))
        for low, high in combinations(numbers, 2)
        if low <= chosen <= high
    ]
    certain = [each for each in ranges if each[2] >= CERTAIN - ROUNDING]
    return min(certain, key=lambda each: (each[1] - each[0], -each[2]))


def span(low: int, high: int) -> str:
    """Return a range in words: "2", or "2 to 7"."""
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def model(candidate: Candidate) -> str:
    """Describe a candidate: "2 normal components with full covariance"."""
    result = candidate.result
    family = None if result is None else result.family
    noun = noun_of(candidate.estimator)
    words = "" if family is None else family.adjective
    K = candidate.n_components
    text = f"{K:,} {words} {noun if K == 1 else plural(noun)}".replace("  ", " ")
    settings = [
        structure_in_words(value)
        if key.split("__")[-1] == "covariance_type"
        else setting(key, value)
        for key, value in candidate.parameters.items()
        if key.split("__")[-1] not in ("n_components", "family")
    ]
    noisy = result is not None and result.mixture.noise is not None
    if noisy and "noise" not in candidate.parameters:  # it was asked for
        settings.append("noise")
    return f"{text} with {phrase(settings)}" if settings else text


def gap(behind: Score, criterion: str) -> str:
    """Format the published difference to the best model, with its standard error if any."""
    scale = record(criterion)
    if math.isfinite(behind.standard_error):
        return f"{difference(behind)} nats"
    value = -scale.factor * behind.value
    return f"{'+' if value > 0.0 else ''}{number(value)}{scale.unit}"


def difference(behind: Score) -> str:
    """Format the difference to the best model: "-3.8 ± 2.9"."""
    error = behind.standard_error
    decimals = 0 if error >= 10.0 else 1 if error >= 0.1 else 2
    return f"{number(-behind.value, decimals)} ± {number(error, decimals)}"


@dataclass(frozen=True)
class AnswerText:
    """Result of a search, chosen candidate first, and its text; ``n``: sum of the sample weights.

    ``labels`` (K,): cluster of each component of the chosen candidate, with the ``sizes`` (C,) of
    the clusters, the observations in none, and the probabilities of their number; ``features`` says
    which features were selected. ``criterion_asked``: whether the user named the criterion, whose
    number then comes first.
    """

    candidates: list[Candidate]
    criterion: str
    n: float
    probabilities: Probabilities | None
    notes: Sequence[str]
    labels: Integers
    sizes: Array
    outlying: float
    cluster_probabilities: Mapping[int, float]
    features: str = ""
    rounding: str = ""  # which rounded features the search spread over their steps
    compared_on: str = ""  # on how many observations, if not on all
    unordered: Candidate | None = None  # the best mixture beside chains
    criterion_asked: bool = False
    n_between_gaps: int | None = None  # number of groups of clusters that gaps separate
    by_gaps: bool = False  # whether gaps separate the clusters
    ended: bool = False  # whether the automatic range of K ended at the chosen or best candidate
    reason: str = ""  # why a candidate that is not the best was chosen, if not by the criterion

    def answer(self) -> Answer:
        """Return the answer, with its text."""
        return Answer(
            self.noun,
            self.labels,
            self.sizes,
            self.outlying,
            self.headline,
            self.text(),
            self.details(),
            dict(self.cluster_probabilities),
            self.least > 1,
            choice=self.choice,
        )

    @property
    def chosen(self) -> Candidate:
        return self.candidates[0]

    @cached_property
    def best(self) -> Candidate:
        """The candidate with the greatest value of the criterion; of equal ones the chosen one."""
        column = record(self.criterion).column
        leading = max(self.candidates, key=lambda candidate: candidate.comparable(column))
        ahead = leading.comparable(column) - self.chosen.comparable(column)
        return leading if ahead > ROUNDING * self.n else self.chosen

    @cached_property
    def several(self) -> bool:
        """Whether there are several structures."""
        return len({candidate.structure for candidate in self.candidates}) > 1

    def text(self) -> str:
        """Return the headline, and below it the model, the choice, other criteria and notes."""
        lines = [line for line in self._main() if line]
        notes = [_shortened(note) for note in self.notes]
        if len(notes) > MOST_NOTES:
            more = counted(len(notes) - MOST_NOTES, "further note")
            notes = [*notes[:MOST_NOTES], f"{more}: summary(verbose=True)."]
        return "\n".join([f"{self.headline}.", "", *lines, *notes])

    def details(self) -> str:
        """Return the text with all notes, next candidates and the criteria's aims."""
        lines = [line for line in [*self._main(), *self.notes, *self._details()] if line]
        return "\n".join([f"{self.headline}.", "", *lines])

    def _main(self) -> list[str]:
        return [
            f"Model: {model(self.chosen)} ({self._data()}).",
            self._outlying(),
            self.rounding,
            self.features or order(self.chosen, self.unordered, self.criterion),
            self._numbers(),
            self._gaps(),
            self.choice,
            self._other_criteria(),
        ]

    @property
    def noun(self) -> str:
        """Name of what is counted: clusters, classes, states or components."""
        result, noun = self.chosen.result, noun_of(self.chosen.estimator)
        if noun == "regression":
            return "class" if result is None else result.class_noun
        if noun != "component" or result is None:
            return noun
        if not result.family.continuous:
            return "class"
        merged = len(self.labels) != len(set(self.labels.tolist()) - {OUTLYING})
        known = result.side.labels is not None
        return "component" if known and not merged else "cluster"

    @property
    def _form_clusters(self) -> bool:
        """Whether clusters, which components form, are counted."""
        noun = self.noun
        return noun == "cluster"

    @cached_property
    def headline(self) -> str:
        """The number of clusters with its probability, or of components by a criterion."""
        if self.criterion_asked:
            return self._by_name()
        return self._groups(self._overlapping)

    def _by_name(self) -> str:
        """Return the number that the criterion chose: "3 components by BIC form 2 clusters"."""
        noun = noun_of(self.chosen.estimator) if self._form_clusters else self.noun
        criterion = record(self.criterion)
        K = self.chosen.n_components
        text = f"{counted(K, noun)} by {criterion.short or criterion.label}"
        if not self._form_clusters or K == 1:
            return text
        return f"{text} form {self._groups()}"

    def _groups(self, components: tuple[int, int, float] | None = None) -> str:
        """Return the number of clusters with its probability: "2 clusters (probability 0.99)".

        ``components``: ends and probability of the number of overlapping components, where they
        are one cluster.
        """
        chosen = number_of(self.labels)
        if self.least > 1:
            return self._at_least(chosen)
        text = counted(chosen, self.noun)
        if components is not None:
            text += " without gaps"
        alone = all(candidate.asked == 1 for candidate in self.candidates)  # no choice
        if self.cluster_probabilities and not alone:
            low, high, sure = likely_range(self.cluster_probabilities, chosen)
            told = ""
            if low < high:
                text = f"{span(low, high)} {plural(self.noun)}"
                told = f"; {chosen:,} {'is' if chosen == 1 else 'are'} described"
            text += f" (probability {probability(sure)}){told}"
        if components is not None:
            low, high, sure = components
            noun = plural(noun_of(self.chosen.estimator))
            text += f", of {span(low, high)} overlapping {noun} ({probability(sure)})"
        return text + self._scattered

    @property
    def _scattered(self) -> str:
        """The observations of noise that the search chose: " and 5 % scattered observations"."""
        result = self.chosen.result
        if result is None or result.mixture.noise is None or not self.outlying:
            return ""
        if "noise" not in self.chosen.parameters:  # asked for
            return ""
        share = 1.0 - float(result.counts.sum()) / result.total_weight
        return f" and {percent(max(0.01, share))} scattered observations"

    @cached_property
    def least(self) -> int:
        """The number of clusters that there are at least, if the automatic range of K ended; or 1.

        It is the largest number up to the chosen one that is reached with probability ``CERTAIN``.
        """
        if not self.ended:
            return 1
        numbers = [k for k in self.cluster_probabilities if k <= number_of(self.labels)]
        certain = [k for k in numbers if self._reached(k) >= CERTAIN - ROUNDING]
        return max(certain, default=number_of(self.labels))

    def _reached(self, number: int) -> float:
        """Return the probability of at least this number of clusters."""
        return sum(p for k, p in self.cluster_probabilities.items() if k >= number)

    def _at_least(self, chosen: int) -> str:
        """Return the least number of clusters: "at least 30 clusters (probability 0.98)"."""
        text = f"at least {counted(self.least, self.noun)}"
        if not self.cluster_probabilities:
            return text
        told = "" if self.least == chosen else f"; {chosen:,} are described"
        return f"{text} (probability {probability(self._reached(self.least))}){told}"

    @property
    def _likely(self) -> float:
        return self.cluster_probabilities.get(number_of(self.labels), 0.0)

    @cached_property
    def _overlapping(self) -> tuple[int, int, float] | None:
        """Ends and probability of the number of components in one cluster, if both are certain."""
        one = number_of(self.labels) == 1 and self._likely >= CERTAIN
        outlying = OUTLYING in self.labels
        if not one or outlying or self.chosen.n_components == 1 or self._over_k is None:
            return None
        low, high, sure = likely_range(self._over_k, self.chosen.n_components)
        return (low, high, sure) if low > 1 and self._over_k.get(1, 0.0) <= 1.0 - CERTAIN else None

    @cached_property
    def _over_k(self) -> dict[int, float] | None:
        """P(K | data) of the number of components; None without evidence, or for one number."""
        probabilities = self.probabilities
        if probabilities is None or len(probabilities.prior) < 2:
            return None
        return dict(over_k(self.candidates, probabilities).to_dict())

    def _data(self) -> str:
        """Return the numbers of observations and features."""
        result, n = self.chosen.result, f"{self.n:,.10g}"
        if result is not None and result.side.of_persons:
            n = sample_in_words(result)
        elif result is not None and result.total_weight < self.n:
            n = f"{result.total_weight:,.10g} units, {n} observations"  # of regressions by unit
        if result is None:
            return f"n = {n}"
        coding = result.family.coding
        of_masses = 0 if coding is None else len(coding.names_of_masses)
        return f"n = {n}, {counted(result.n_features - of_masses, 'feature')}"

    def _of_components(self) -> str:
        """Return how components and clusters are related, where they differ."""
        members = self.labels[self.labels != OUTLYING]
        merged = len(members) > len(set(members.tolist()))
        labels = "Labels: predict_clusters for clusters, predict for components."
        these = "Components without gaps" if self.by_gaps else "Overlapping components"
        text = "" if self._overlapping else f"{these} form one cluster. "
        return f"{text}{labels}" if merged else ""

    def _outlying(self) -> str:
        """Return how many observations belong to no cluster, if they are more than a few."""
        result = self.chosen.result
        if result is None:
            return ""
        outlying = float(result.counts[self.labels == OUTLYING].sum())
        if outlying <= MOST_OUTLYING * self.n:
            return ""
        return f"{number(outlying, 0)} observations are in components too small to be clusters."

    def _numbers(self) -> str:
        """Return how clusters and components are related, and the probabilities of numbers."""
        text, shown = self._of_components(), self.cluster_probabilities
        if len(shown) < 2:
            return text
        return f"{text} {_listed_numbers(f'Number of {plural(self.noun)}', shown)}".strip()

    def _gaps(self) -> str:
        """Return how many groups of clusters gaps of the density separate, if not all of them."""
        n = self.n_between_gaps
        if n is None or n >= number_of(self.labels):
            return ""
        if n == 1:
            return "The clusters overlap: no gap in the density separates them."
        return f'Some clusters overlap: gaps in the density separate {n} groups (clusters="gaps").'

    def _components(self) -> str:
        """Return P(K | data) of the most probable numbers of components."""
        noun = noun_of(self.chosen.estimator)
        if self._over_k is None:
            return ""
        return _listed_numbers(f"Number of {plural(noun)} by evidence alone", self._over_k)

    @cached_property
    def choice(self) -> str:
        """Which candidate was chosen and how, and what another one would have gained."""
        best = self.best is self.chosen
        how = self._as_best() if best else self.reason or self._by_rule()
        text = f"Chosen: {label(self.chosen)} ({how})."
        if not best:
            behind = worse(self.chosen, self.best, record(self.criterion).column)
            name = record(self.criterion).label
            return f"{text} Best by {name}: {label(self.best)} ({gap(behind, self.criterion)})."
        following = self._next()
        return f"{text} Next: {following[0]}." if following else text

    def _by_rule(self) -> str:
        """Return why the chosen candidate is not the best one."""
        if self.criterion == RULE:
            number_chosen = counted(number_of(self.labels), self.noun)
            return f"the simplest within {WITHIN:g} nats of the best with {number_chosen}"
        return "the simplest within one standard error of the best"

    def _as_best(self) -> str:
        """Return that the chosen candidate is the best by the criterion, with its value."""
        criterion = record(self.criterion)
        value = criterion.factor * self.chosen.value(criterion.column)
        text = f"best by {criterion.label}, {number(value, 1)}{criterion.unit}"
        result = self.chosen.result
        if criterion.folds and self.chosen.held is not None:
            judged = float(self.chosen.held.weights.sum())
            n = self.n if result is None else min(self.n, result.total_weight)  # units, if any
            text += f" on {judged:,.10g} observations" if judged < 0.99 * n else ""
        return text

    def _next(self) -> list[str]:
        column = record(self.criterion).column
        shown = []
        for candidate in self.candidates[1:]:
            if not math.isfinite(candidate.value(column)):
                break
            behind = worse(self.chosen, candidate, column)
            if self.chosen.asked == candidate.asked == 1 and abs(behind.value) < ROUNDING * self.n:
                continue  # structures that are the same model for K = 1
            shown.append(f"{label(candidate)} ({gap(behind, self.criterion)})")
        return shown[:NUMBERS_SHOWN]

    def _other_criteria(self) -> str:
        parts = []
        for other in RECORDS.values():
            same = other.name == record(self.criterion).column
            choice = max(self.candidates, key=lambda candidate: candidate.comparable(other.name))
            valued = math.isfinite(choice.value(other.name))
            if other.others and valued and not same:
                structure = f" ({short_label(choice)})" if self.several else ""
                parts.append(f"{other.label} {choice.n_components}{structure}")
        return _shortened(f"Other criteria: {', '.join(parts)}.") if parts else ""

    def _details(self) -> list[str]:
        """Return details for ``verbose=True``."""
        numbers = sorted({candidate.asked for candidate in self.candidates})
        span = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
        compared = counted(len(self.candidates), "candidate")
        lines = [f"{compared} compared{self.compared_on}, K = {span}."]
        if following := self._next():
            label_of = record(self.criterion).label
            lines.append(f"Compared with the chosen one by {label_of}: {'; '.join(following)}.")
        if self.criterion == RULE:
            bic = max(self.candidates, key=lambda candidate: candidate.comparable("bic"))
            if bic.n_components != self.chosen.n_components and self._likely < CERTAIN:
                lines.append("BIC disagrees: the data do not clearly determine K.")
        lines.append(self._components())
        if self.probabilities is not None and len(self.probabilities.prior) > 1:
            lines.append(f"P(K | data) uses {self.probabilities.source}.")
            lines.append(f"The prior over K {self._prior()}.")
        noun = noun_of(self.chosen.estimator)
        asked: dict[str, list[str]] = {}
        for criterion in RECORDS.values():
            if criterion.name == self.criterion or criterion.others:
                asked.setdefault(criterion.question, []).append(criterion.label)
        for question, names in asked.items():
            verb = "estimates" if len(names) == 1 else "estimate"
            text = f"{phrase(names)} {verb} {question.format(noun)}."
            lines.append(text[0].upper() + text[1:])
        if failed := sum(row.note.startswith(("failed", "degenerate")) for row in self.candidates):
            part = f"{failed} of {len(self.candidates)} candidates"
            lines.append(f"{part} failed; the column note of results_ has the reasons.")
        coding = getattr(getattr(self.chosen.result, "family", None), "coding", None)
        if coding is not None and self.chosen.result is not None:
            columns = self.chosen.result.columns
            named = coding if columns is None else replace(coding, names=columns)
            lines.append(f"Columns: {named.sentence}.")
        return lines

    def _prior(self) -> str:
        assert self.probabilities is not None
        prior = self.probabilities.prior
        if len(set(prior.values())) == 1:
            return f"is uniform from {min(prior)} to {max(prior)}"
        falls = all(prior[k] > prior[j] for k, j in pairwise(sorted(prior)))
        return "decreases with K" if falls else "was given by the user"


def _listed_numbers(what: str, probabilities: Mapping[int, float]) -> str:
    """Return the most probable numbers: "Number of clusters: 2 (0.61), 3 (0.38)."; "" for one."""
    ranked = sorted(probabilities.items(), key=lambda item: (-item[1], item[0]))[:NUMBERS_SHOWN]
    shown = [f"{k} ({probability(p)})" for k, p in ranked if p >= LEAST_PROBABILITY]
    return f"{what}: {', '.join(shown)}." if len(shown) > 1 else ""


def _shortened(text: str) -> str:
    """Return the sentences that fit in a line, and the first one in any case."""
    if len(text) <= WIDTH:
        return text
    end = max(text.rfind(". ", 0, WIDTH), text.find(". "))
    return text[: end + 1] if end > 0 else text
