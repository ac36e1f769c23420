"""The answer of a search in words, made when it is asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from bayesmix.core.nouns import counted, plural
from bayesmix.core.procedures import noun_of
from bayesmix.numerics.arrays import Integers
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.clusters import COMPONENTS, OUTLYING, counted_as, number_of
from bayesmix.selection.criteria import RECORDS, RULE, Probabilities, over_k, record
from bayesmix.selection.scores import Score
from bayesmix.selection.summary_text import label, phrase

MOST_LINES = 6
MOST_NOTES = 3
WIDTH = 120
# Share of outlying observations above which the summary names them first.
MOST_OUTLYING = 0.05
# Larger probabilities are printed as this one, because none is known better.
SUREST = 0.99
LEAST_PROBABILITY = 0.005
UNSURE_BELOW = 0.5  # the number of clusters is more probably another one
NUMBERS_SHOWN = 3


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
    other = f"{label(unordered)} ({gap(behind, criterion)})"
    return f"The order of samples {matters}. Best mixture: {other}."


def probability(value: float) -> str:
    """Format a probability with two decimals."""
    return f"{min(value, SUREST):.2f}"


# Families whose name is not the word that the field uses.
WORDS_OF_FAMILIES = {
    "Gaussian": "normal",
    "Product": "mixed",
    "RegressionFamily": "",  # "3 regressions"
    "RandomEffectFamily": "",
    "StudentT": "Student-t",
    "Bernoulli": "Bernoulli",
    "Poisson": "Poisson",
    "Weibull": "Weibull",
    "ZeroInflatedPoisson": "zero-inflated Poisson",
    "VonMisesFisher": "von Mises-Fisher",
    "log_normal": "log-normal",
    "yeo_johnson_normal": "Yeo-Johnson-normal",
}


def model(candidate: Candidate) -> str:
    """Describe a candidate: "2 normal components with full covariance"."""
    result = candidate.result
    name = "" if result is None else type(result.family).__name__
    noun = noun_of(candidate.estimator)
    named = name if result is None else result.family.name
    words = WORDS_OF_FAMILIES.get(
        named, WORDS_OF_FAMILIES.get(name, re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower())
    )
    K = candidate.n_components
    text = f"{K:,} {words} {noun if K == 1 else plural(noun)}".replace("  ", " ")
    settings = [
        f"{value} covariance" if key.split("__")[-1] == "covariance_type" else f"{key}={value}"
        for key, value in candidate.parameters.items()
        if key.split("__")[-1] not in ("n_components", "family")
    ]
    return f"{text} with {phrase(settings)}" if settings else text


def number(value: float, decimals: int | None = None) -> str:
    """Format a number as journals do: three significant digits, at most six before the point.

    ``decimals=None``: as many as three digits need, at most two.
    """
    size = abs(value)
    if not math.isfinite(size):
        return str(value)
    if size >= 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if decimals is None:
        decimals = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{value:,.{decimals}f}"


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
class Answer:
    """Result of a search, best candidate first; ``n`` is the sum of the sample weights.

    ``clusters`` (K,): cluster of each component of the best candidate, with the probabilities of
    their number; ``features`` says which features were selected.
    """

    candidates: list[Candidate]
    criterion: str
    n: float
    probabilities: Probabilities | None
    notes: Sequence[str]
    clusters: Integers
    cluster_probabilities: dict[int, float]
    features: str = ""
    compared_on: str = ""  # on how many observations, if not on all
    unordered: Candidate | None = None  # the best mixture beside chains

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
        return [
            self._first_line(),
            self._outlying(),
            self.features or order(self.best, self.unordered, self.criterion),
            self._numbers(),
            self._density() if self.criterion == RULE else self._by_criterion(),
            self._other_criteria(),
        ]

    @property
    def noun(self) -> str:
        """Name of what is counted: clusters, classes, states or components."""
        result, noun = self.best.result, noun_of(self.best.estimator)
        if noun != "component" or result is None:
            return {"regression": "class"}.get(noun, noun)
        if not result.family.continuous:
            return "class"
        merged = len(self.clusters) != len(set(self.clusters.tolist()) - {OUTLYING})
        by_components = counted_as(result) == COMPONENTS
        return "component" if by_components and not merged else "cluster"

    def _first_line(self) -> str:
        """Return the number of clusters, its probability, and the model."""
        result, n = self.best.result, f"{self.n:,.10g}"
        if result is not None and result.total_weight < self.n:
            n = f"{result.total_weight:,.10g} units, {n} observations"  # of regressions by unit
        features = "" if result is None else f", {counted(result.n_features, 'feature')}"
        n_clusters = number_of(self.clusters)
        likely = self.cluster_probabilities.get(n_clusters)
        alone = all(candidate.asked == 1 for candidate in self.candidates)  # no choice
        sure = "" if likely is None or alone else f" (probability {probability(likely)})"
        return f"{counted(n_clusters, self.noun)}{sure}: {model(self.best)} (n = {n}{features})."

    def _outlying(self) -> str:
        """Return how many observations belong to no cluster, if they are more than a few."""
        result = self.best.result
        if result is None:
            return ""
        outlying = float(result.counts[self.clusters == OUTLYING].sum())
        if outlying <= MOST_OUTLYING * self.n:
            return ""
        return f"{number(outlying, 0)} observations are in components too small to be clusters."

    def _numbers(self) -> str:
        """Return the probability of each number of clusters, and of components by evidence."""
        shown = sorted(self.cluster_probabilities.items(), key=lambda item: (-item[1], item[0]))
        shown = [(k, p) for k, p in shown[:NUMBERS_SHOWN] if p >= LEAST_PROBABILITY]
        text = ""
        if len(shown) > 1:
            parts = ", ".join(f"{k} ({probability(p)})" for k, p in shown)
            unsure = " is uncertain" if shown[0][1] < UNSURE_BELOW else ""
            text = f"Number of {plural(self.noun)}{unsure}: {parts}."
        members = self.clusters[self.clusters != OUTLYING]
        if len(members) > len(set(members.tolist())):
            text = f"{text} Overlapping components form one cluster.".strip()
        components = self._components()
        return f"{text} {components}".strip()

    def _components(self) -> str:
        """Return P(K | data) of the most probable numbers of components."""
        probabilities = self.probabilities
        if probabilities is None or len(probabilities.prior) < 2:
            return ""
        totals = over_k(self.candidates, probabilities).to_dict()
        ranked = sorted(totals, key=lambda k: -totals[k])[:NUMBERS_SHOWN]
        parts = ", ".join(
            f"{k}: {probability(totals[k])}" for k in ranked if totals[k] >= LEAST_PROBABILITY
        )
        noun = noun_of(self.best.estimator)
        return f"({plural(noun).capitalize()}, by evidence alone: P(K | data) {parts}.)"

    def _density(self) -> str:
        """Say if another candidate has more evidence, so that its density is better."""
        column = record(self.criterion).column
        ahead = max(self.candidates, key=lambda candidate: candidate.comparable(column))
        gain = ahead.comparable(column) - self.best.comparable(column)
        if not gain > 0.0:
            return ""
        return f"Density: {label(ahead)}, have more evidence (+{number(gain)} nats); see averaged_."

    def _by_criterion(self) -> str:
        """Return the criterion and the next candidates."""
        criterion = record(self.criterion)
        value = criterion.factor * self.best.value(criterion.column)
        text = f"Chosen by {criterion.label} ({number(value, 1)}{criterion.unit})"
        result = self.best.result
        if criterion.folds and self.best.held is not None:
            judged = float(self.best.held.weights.sum())
            n = self.n if result is None else min(self.n, result.total_weight)  # units, if any
            text += f" on {judged:,.10g} observations" if judged < 0.99 * n else ""
        if result is not None and result.mixture.noise is not None:
            text += ", because noise has no log evidence" if self.criterion == "bic" else ""
        following = self._next()
        return f"{text}; next best: {following[0]}." if following else f"{text}."

    def _next(self) -> list[str]:
        column = record(self.criterion).column
        shown = []
        for candidate in self.candidates[1:]:
            if not math.isfinite(candidate.value(column)):
                break
            behind = worse(self.best, candidate, column)
            if self.best.asked == candidate.asked == 1 and abs(behind.value) < 1e-9 * self.n:
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
        if self.criterion == RULE:
            lines.append(self._by_criterion())
        elif following := self._next():
            lines.append(f"Next best by {record(self.criterion).label}: {'; '.join(following)}.")
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
        if failed := sum(row.note.startswith(("failed", "degenerate")) for row in self.candidates):
            part = f"{failed} of {len(self.candidates)} candidates"
            lines.append(f"{part} failed; the column note of results_ has the reasons.")
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
        falls = all(prior[k] > prior[j] for k, j in pairwise(sorted(prior)))
        return "decreases with K" if falls else "was given by the user"

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


def _shortened(text: str) -> str:
    """Return the sentences that fit in a line, and the first one in any case."""
    if len(text) <= WIDTH:
        return text
    end = max(text.rfind(". ", 0, WIDTH), text.find(". "))
    return text[: end + 1] if end > 0 else text
