"""Views of a fitted search for a report: best fit, candidates, and their names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import pandas as pd

from bayesmix.core.sources import UserRows
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UndefinedError, UnsupportedError
from bayesmix.plots.subject import column_names
from bayesmix.selection.candidates import last_step, noun_of
from bayesmix.selection.criteria import record
from bayesmix.selection.summary_text import counted

MOST_NAMES = 12
WORDS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)


class Subject:
    """A fitted search, and the data to show (or None)."""

    def __init__(self, search: Any, X: UserRows = None) -> None:
        self.search = search
        self.X = X

    @cached_property
    def estimator(self) -> Any:
        """The mixture of the best candidate, for a pipeline its last step."""
        return last_step(self.search.best_estimator_)

    @cached_property
    def result(self) -> FitResult:
        """The fit of the best candidate, with column names if known."""
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

    @cached_property
    def sentences(self) -> list[str]:
        """The summary of the search."""
        return str(self.search.summary()).splitlines()

    @cached_property
    def details(self) -> list[str]:
        """The verbose summary."""
        return str(self.search.summary(verbose=True)).splitlines()

    def label(self, place: Any) -> str:
        """Describe a candidate: "3 components, tied covariance"."""
        row = self.table.loc[place]
        parts = [counted(int(row["found_components"]), self.noun)]
        for name in self.parameters:
            known = name == "covariance_type"
            parts.append(f"{row[name]} covariance" if known else f"{name}={row[name]}")
        return ", ".join(parts)

    def headline(self) -> str:
        """Return the answer: "Three Gaussian components with tied covariance"."""
        result = self.result
        n, name = result.n_components, family_title(result.family)
        number = WORDS[n].capitalize() if n < len(WORDS) else f"{n:,}"
        text = f"{number} {name} {self.noun}{'' if n == 1 else 's'}"
        covariance = getattr(result.family, "covariance", None)
        if covariance is not None:
            text += f" with {covariance} covariance"
        given = {key.split("__")[-1]: value for key, value in self.search.best_params_.items()}
        others = given.keys() - {"n_components", "covariance_type"}
        return ", ".join([text, *(f"{key}={given[key]}" for key in given if key in others)])


def subject_of(search: Any, X: Any) -> Subject:
    """Return the subject of a report, or raise for a search that kept no fitted model."""
    if not hasattr(search, "results_") or not hasattr(search, "criterion_"):
        what = type(search).__name__
        unfitted = what == "MixtureSearch"
        raise InvalidInputError(
            f"search must be a fitted MixtureSearch, got {what}{': call fit first' * unfitted}"
        )
    if noun_of(search) == "regression":
        raise UnsupportedError("reports do not support regressions: use summary() and plot()")
    subject = Subject(search, X if X is None else search.features_read(X))
    # Raises an error that says what to do if the search kept no model.
    _ = subject.estimator
    return subject


def listed(names: Sequence[str], most: int = MOST_NAMES, between: str = ", ") -> str:
    """Return the first ``most`` names, and the number of the others."""
    more = len(names) - most
    return between.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def family_title(family: Any) -> str:
    """Return the name of a family for the start of a phrase: "Student t"."""
    return "Mixed-type" if family.name == "product" else capital(family.name.replace("_", " "))


def capital(text: str) -> str:
    """Capitalise, without an article."""
    text = text.removeprefix("the ")
    return text[:1].upper() + text[1:]


def finite(value: Any) -> bool:
    """Whether a cell of the table is a finite number."""
    return isinstance(value, float | int) and math.isfinite(value)
