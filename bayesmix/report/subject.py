"""Views of a fitted search, or of one fitted mixture, for a report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.core.nouns import counted
from bayesmix.core.procedures import last_step, noun_of
from bayesmix.core.protocols import UserRows
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UndefinedError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.plots.assignment import Line, lines_of
from bayesmix.plots.subject import column_names
from bayesmix.selection.criteria import record
from bayesmix.selection.structures import in_words
from bayesmix.selection.summary_text import cell, setting
from bayesmix.sources.memory import is_source

if TYPE_CHECKING:
    from bayesmix.assess.description import Description

MOST_NAMES = 12
# Columns of which the clusters explain a smaller share of the variance look the same in a figure.
LEAST_APART = 0.1
# Columns, or levels, beside the clusters: as many as fit a screen, in inches, but at least three.
MOST_LINES, LEAST_LINES, TALLEST = 8, 3, 6.0
# Height in inches of a column of the figure of clusters, and of each cluster in it.
OF_COLUMN, OF_CLUSTER = 0.42, 0.15


@dataclass(frozen=True)
class Cluster:
    """A cluster for people: a name, its share and number of observations, and its components."""

    name: str
    share: float
    count: float
    components: tuple[int, ...]
    colour: str


@dataclass(frozen=True)
class Difference:
    """A column, or a level: the middle (C,) of each cluster, and the ends (C,) of its bar.

    They are mean ± standard deviation, or median and quartiles, or the share of a level.
    """

    name: str
    level: str  # of a category, or ""
    middles: Array
    lower: Array
    upper: Array
    median: bool = False

    @property
    def title(self) -> str:
        """The name with its statistic: "income, median"."""
        return f"{self.name}, median" if self.median else self.name


class Subject:
    """A fitted search, the data to show (or None), and the names of their rows if any.

    ``given`` are the data with all columns; ``described`` is a description by further columns.
    """

    def __init__(
        self,
        search: Any,
        X: UserRows = None,
        row_names: Any = None,
        given: UserRows = None,
        described: Description | None = None,
    ) -> None:
        self.search = search
        self.X = X
        self.row_names = row_names
        self.given = given
        self.described = described

    @cached_property
    def estimator(self) -> Any:
        """The mixture of the chosen candidate, for a pipeline its last step."""
        return last_step(self.search.best_estimator_)

    @cached_property
    def result(self) -> FitResult:
        """The fit of the chosen candidate, with column names if known."""
        result: FitResult = self.estimator.result_
        return replace(result, columns=tuple(self.columns))

    @property
    def noun(self) -> str:
        """What a component is called: a state in sequences."""
        return noun_of(self.estimator)

    @cached_property
    def steps(self) -> Any:
        """The fitted steps before the mixture, or None."""
        best: Any = self.search.best_estimator_
        return best[:-1] if len(getattr(best, "steps", ())) > 1 else None

    @cached_property
    def rows(self) -> Any:
        """The data as the mixture reads them: transformed by a pipeline, with names if possible."""
        if self.X is None or self.steps is None:
            return self.X
        values = self.steps.transform(self.X)
        return pd.DataFrame(getattr(values, "values", values), columns=self.columns)

    @cached_property
    def columns(self) -> list[str]:
        """Names of the mixture's columns."""
        n_features = self.estimator.result_.n_features
        if self.steps is not None:
            try:
                named = [str(name) for name in self.steps.get_feature_names_out()]
            except (AttributeError, ValueError):
                # Steps may not know the names of their output.
                named = []
            if len(named) == n_features:
                return named
        return column_names(self.estimator, self.X if self.steps is None else None)

    @property
    def columns_given(self) -> list[str]:
        """Names of the columns of the data, also of those that were not selected."""
        selects = getattr(self.search, "_selected", None) is not None
        return self.search._feature_names() if selects else self.columns

    @property
    def table(self) -> Any:
        """One row per candidate."""
        return self.search.results_

    @property
    def criterion(self) -> str:
        """Column by which candidates were compared; the one-standard-error rule uses "cv"."""
        return record(str(self.search.criterion_)).column

    @property
    def criterion_name(self) -> str:
        """Name of the criterion for use in a sentence."""
        return record(self.criterion).label

    @cached_property
    def parameters(self) -> list[str]:
        """Columns that describe a candidate, without its number of components."""
        columns = list(self.table.columns)
        named = columns[: columns.index("found_components")]
        return [name for name in named if name != "n_components"]

    @cached_property
    def probabilities(self) -> Any:
        """P(K | data) as a Series; None if candidates have no evidence."""
        try:
            return self.search.k_probabilities_
        except UndefinedError:
            return None

    @property
    def kind(self) -> str:
        """What a cluster is called: a cluster, a class, a component, a state."""
        return str(self.search.answer_.noun)

    @cached_property
    def description(self) -> Description | None:
        """The clusters described by the data, or by draws from the fit; None where unsupported."""
        if self.described is not None:
            return self.described
        describe = getattr(self.search, "describe", None)
        # Sequences, and weights beside a frame, are not in the data.
        weighted = self.result.total_weight != self.result.n_rows and not is_source(self.given)
        for X in [None] if self.noun == "state" or weighted else [self.given, None]:
            with suppress(UnsupportedError, InvalidInputError, TypeError):
                described: Description | None = describe and describe(X)
                return described
        return None

    @cached_property
    def sentences(self) -> list[str]:
        """Model, choice and other lines below the clusters, without the warnings that follow."""
        return self._without_warnings(self.search.answer_.text.splitlines()[1:])

    @cached_property
    def details(self) -> list[str]:
        """The further lines of the verbose summary."""
        lines = self.search.answer_.details.splitlines()[1:]
        return [line for line in self._without_warnings(lines) if line not in self.sentences]

    def _without_warnings(self, lines: list[str]) -> list[str]:
        cautions = tuple(self.search.cautions_)
        starts = (line.removesuffix("...") for line in lines)
        return [
            line
            for line, start in zip(lines, starts, strict=True)
            if line
            and not any(caution.startswith(start) for caution in cautions)
            and "summary(verbose=True)" not in line
        ]

    def label(self, place: Any) -> str:
        """Describe a candidate: "3 components, tied covariance"."""
        row = self.table.loc[place]
        parts = [counted(int(row["found_components"]), self.noun)]
        for name in self.parameters:
            known = name == "covariance_type"
            if cell(name, row[name]):
                parts.append(in_words(row[name]) if known else setting(name, row[name]))
        return ", ".join(parts)

    @property
    def labels(self) -> Integers:
        """The cluster of each component (K,), -1 for outlying components."""
        return np.asarray(self.search.answer_.labels)

    @cached_property
    def clusters(self) -> list[Cluster]:
        """The clusters of the answer; components outside them, and the noise, are not listed."""
        answer = self.search.answer_
        columns = (answer.words, answer.shares, answer.sizes, answer.members, answer.colours)
        return [Cluster(*each) for each in zip(*columns, strict=True)]

    @cached_property
    def differences(self) -> list[Difference]:
        """Middle and spread of each cluster in the columns that tell them apart, largest first.

        Columns are ordered by the share of their variance that is between clusters, and keep their
        units; a categorical column has a line for each level. The numbers are those of the
        description, or of the fit where there is none.
        """
        lines = lines_of(self.result.family, self.result.unframed.plug_in(), self.columns)
        shares = np.array([cluster.share for cluster in self.clusters])
        shares /= shares.sum()
        merged = [self._merged(line) for own in lines for line in own]
        apart = [line.apart(shares) for line in merged]
        order = np.argsort(-np.array(apart), kind="stable")
        most = min(max(int(TALLEST / self.inches_per_column), LEAST_LINES), MOST_LINES)
        telling = [merged[d] for d in order if apart[d] >= LEAST_APART][:most]
        return [self._difference(line) for line in telling]

    def _difference(self, line: Line) -> Difference:
        """Return the numbers of a line as the description has them."""
        name, level, means = line.name, line.level, line.means
        spread = 0.0 * means if line.of_level else line.deviations
        described = None if self.description is None else self.description.table
        if described is not None and len(described) >= len(self.clusters):
            numbers = described.iloc[: len(self.clusters)]
            if (name, level) in numbers:
                means = numbers[name, level].to_numpy()
            elif (name, "median") in numbers:
                middle, lower, upper = (
                    numbers[name, part].to_numpy()
                    for part in ("median", "lower quartile", "upper quartile")
                )
                return Difference(name, level, middle, lower, upper, median=True)
            elif (name, "mean") in numbers and not level:
                means, spread = (numbers[name, part].to_numpy() for part in ("mean", "sd"))
        return Difference(name, level, means, means - spread, means + spread)

    @property
    def inches_per_column(self) -> float:
        """Height of a column in the figure of clusters."""
        return OF_COLUMN + OF_CLUSTER * len(self.clusters)

    def _merged(self, line: Line) -> Line:
        weights = self.result.mixture.mean_weights
        moments = np.array([
            _moments(line, np.array(cluster.components), weights) for cluster in self.clusters
        ])  # fmt: skip
        return replace(line, means=moments[:, 0], deviations=moments[:, 1])


def _moments(line: Line, members: Integers, weights: Array) -> tuple[float, float]:
    """Return mean and standard deviation of a mixture of some components in one column."""
    shares = weights[members] / weights[members].sum()
    mean = float(shares @ line.means[members])
    variance = shares @ (line.deviations[members] ** 2 + (line.means[members] - mean) ** 2)
    return mean, float(np.sqrt(variance))


def subject_of(search: Any, X: Any, described: Description | None = None) -> Subject:
    """Return the subject of a report, or raise for a search that kept no fitted model."""
    if not hasattr(search, "results_") or not hasattr(search, "criterion_"):
        what = type(search).__name__
        unfitted = what == "MixtureSearch"
        raise InvalidInputError(
            f"search must be a fitted MixtureSearch, got {what}{': call fit first' * unfitted}"
        )
    read = X if X is None else search.features_read(X)
    subject = Subject(search, read, getattr(X, "index", None), X, described)
    # Raises an error that says what to do if the search kept no model.
    _ = subject.estimator
    return subject


def listed(names: Sequence[str], most: int = MOST_NAMES, between: str = ", ") -> str:
    """Return the first ``most`` names, and the number of the others."""
    more = len(names) - most
    return between.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def capital(text: str) -> str:
    """Capitalise, without an article."""
    text = text.removeprefix("the ")
    return text[:1].upper() + text[1:]
