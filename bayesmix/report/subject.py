"""What a report is about: a fitted search, its best fit, its candidates in words.

What a report reads of a fitted search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from bayesmix.core.sources import FittedMixture, Parameters, Procedure, UserRows
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UndefinedError
from bayesmix.plots.subject import column_names
from bayesmix.selection.candidates import last_step
from bayesmix.selection.criteria import record
from bayesmix.selection.scores import ScoreFunction

if TYPE_CHECKING:
    import pandas as pd


class Search(Protocol):
    """A fitted ``MixtureSearch``: what it was asked for, and what it chose."""

    estimator: Procedure
    n_components: int | Sequence[int] | None
    criterion: str | ScoreFunction
    cv: object
    polish: float | None
    random_state: object
    best_estimator_: FittedMixture
    best_index_: int
    best_params_: Parameters
    best_score_: float
    criterion_: str
    results_: pd.DataFrame
    folds_: pd.DataFrame
    cautions_: list[str]

    @property
    def k_probabilities_(self) -> pd.Series[float]:
        """Raises ``UndefinedError`` where candidates have no evidence."""
        ...

    def summary(self, verbose: bool = False) -> str: ...

    def matrix(self, criterion: str | None = None) -> pd.DataFrame: ...


MOST_NAMES = 12
WORDS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)


@dataclass(frozen=True)
class Subject:
    """A fitted search and the rows to show, None where there are none."""

    search: Search
    X: UserRows = None

    @cached_property
    def estimator(self) -> Any:
        """The best candidate's mixture, of a pipeline its last step."""
        return last_step(self.search.best_estimator_)

    @cached_property
    def result(self) -> FitResult:
        """Its fit, with names for its columns where they can be known."""
        result: FitResult = self.estimator.result_
        return replace(result, columns=tuple(self.columns))

    @cached_property
    def steps(self) -> Any:
        """The fitted steps before the mixture, None where there are none."""
        best: Any = self.search.best_estimator_
        return best[:-1] if len(getattr(best, "steps", ())) > 1 else None

    @cached_property
    def rows(self) -> Any:
        """The rows as the mixture reads them: of a pipeline transformed, with names if they fit."""
        if self.X is None or self.steps is None:
            return self.X
        import pandas as pd

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
                # Steps need not know the names of what they make.
                named = []
            if len(named) == n_features:
                return named
        return column_names(self.estimator, self.X if self.steps is None else None)

    @property
    def table(self) -> Any:
        """A row per candidate."""
        return self.search.results_

    @property
    def criterion(self) -> str:
        """The column that candidates were compared by: the one-standard-error rule is on "cv"."""
        name = str(self.search.criterion_)
        return record(name).column

    @cached_property
    def parameters(self) -> list[str]:
        """The columns that say what a candidate is, but for its number of components."""
        columns = list(self.table.columns)
        return [
            name for name in columns[: columns.index("found_components")] if name != "n_components"
        ]

    @cached_property
    def probabilities(self) -> Any:
        """P(K | rows) as a Series; None where candidates have no evidence."""
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
        """A candidate in a few words: "3 components, tied covariance"."""
        row = self.table.loc[place]
        parts = [counted(int(row["found_components"]), "component")]
        for name in self.parameters:
            known = name == "covariance_type"
            parts.append(f"{row[name]} covariance" if known else f"{name}={row[name]}")
        return ", ".join(parts)

    def headline(self) -> str:
        """The answer: "Three Gaussian components with tied covariance"."""
        result = self.result
        n, name = result.n_components, result.family.name.capitalize()
        number = WORDS[n].capitalize() if n < len(WORDS) else f"{n:,}"
        text = f"{number} {name} component{'' if n == 1 else 's'}"
        covariance = getattr(result.family, "covariance", None)
        if covariance is not None:
            text += f" with {covariance} covariance"
        others = [
            f"{name}={self.search.best_params_[key]}"
            for key in self.search.best_params_
            if (name := key.split("__")[-1]) not in ("n_components", "covariance_type")
        ]
        return ", ".join([text, *others])


def subject_of(search: Any, X: Any) -> Subject:
    """The subject of a report, checked.

    Raises
    ------
    ValueError
        Where the search is none, is not fitted or has kept no model.
    """
    if not hasattr(search, "results_") or not hasattr(search, "criterion_"):
        what = type(search).__name__
        unfitted = what == "MixtureSearch"
        raise InvalidInputError(
            f"search must be a fitted MixtureSearch, got {what}{': call fit first' * unfitted}"
        )
    found = Subject(search, X if X is None else search.features_read(X))
    # Raises what to do where the search has kept no model.
    _ = found.estimator
    return found


def counted(n: int, what: str) -> str:
    """A number and a noun: "1 row", "3,000 rows"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def listed(names: Sequence[str], most: int = MOST_NAMES, between: str = ", ") -> str:
    """Names with commas, the first dozen of them."""
    more = len(names) - most
    return between.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def criterion_name(criterion: str) -> str:
    """A criterion as it stands in a sentence."""
    return record(criterion).label


def capital(text: str) -> str:
    """With a capital letter first, and no article before it."""
    text = text.removeprefix("the ")
    return text[:1].upper() + text[1:]


def finite(value: Any) -> bool:
    """Whether a cell of the table is a number."""
    return isinstance(value, float | int) and math.isfinite(value)
