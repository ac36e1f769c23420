"""Score tests of pairs of answers that may depend on each other within classes.

The test of a log odds ratio that is free, shared by all classes, instead of 0 (Oberski, van
Kollenburg & Vermunt 2013). Half of its statistic is about the gain in log likelihood, and the
efficient score over its information about the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.families.dependent_categorical import (
    DependentCategorical,
    DependentCategoricals,
    DependentLevels,
)
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.parameter_errors import ParameterScores
from bayesmix.posterior.unit_scores import FLAT
from bayesmix.sources.survey_weights import are_sampling

# A bivariate residual from which on a pair is tested, and the number of pairs: each takes a second.
LARGE, MOST_PAIRS = 10.0, 10
COLUMNS = ["residual", "statistic", "df", "p_value", "gain", "log_odds_ratio"]


def dependence_tests(
    scores: ParameterScores, residuals: pd.DataFrame, fitted: DependentCategorical | None
) -> pd.DataFrame:
    """Return tests of the pairs with residuals above 10, the largest first.

    ``fitted`` is the family of the fit, None if all its columns are independent.
    """
    large: Any = residuals.stack()
    large = large[large > LARGE].sort_values(ascending=False)[:MOST_PAIRS]
    places = {name: place for place, name in enumerate(residuals.index)}
    known: Any = () if fitted is None else fitted.local_dependence
    by_class, free = fitted is not None and fitted.by_class, set(map(frozenset, known))

    def tested(pair: tuple[int, int]) -> tuple[Any, ...]:
        levels: Any = scores.components.reading.numbers
        family = DependentCategorical(
            (*known, pair), by_class, tuple(map(tuple, map(range, levels)))
        )
        return _score_test(scores, pair, family)

    rows = {
        pair: (residual, *tested((places[pair[0]], places[pair[1]])))
        for pair, residual in large.items()
        if frozenset((places[pair[0]], places[pair[1]])) not in free
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["first", "second"]) if rows else None
    table = pd.DataFrame(list(rows.values()), index=index, columns=COLUMNS)
    return table.astype({"df": int})


def _score_test(
    scores: ParameterScores, pair: tuple[int, int], family: DependentCategorical
) -> tuple[Any, ...]:
    """Return statistic, degrees of freedom, p-value, gain, and first log odds ratio of a pair."""
    result = scores.result
    components = with_blocks(scores.components, family.reading)
    mixture = replace(result.mixture, components=components)
    wider = ParameterScores(replace(result, family=family, mixture=mixture), scores.source)
    new = [each.place[:2] == pair and len(each.place) == 4 for each in wider.coordinates]
    chosen = np.zeros(wider.places[0], dtype=bool)
    for is_new, at in zip(new, wider.places[1], strict=True):
        chosen[at] |= is_new
    # Outer products of the scores: the observed information may be indefinite away from a maximum.
    weights, of_rows = wider.weights, wider.scores
    repeated = not are_sampling(weights, None)
    weighted = weights[:, None] * of_rows
    information = (of_rows if repeated else weighted).T @ weighted
    rest = ~chosen & (information.diagonal() > FLAT * float(weights.sum()))
    total = weighted.sum(axis=0)
    crossed = information[np.ix_(chosen, rest)] @ np.linalg.pinv(
        information[np.ix_(rest, rest)], hermitian=True, rcond=FLAT
    )
    variance = information[np.ix_(chosen, chosen)] - crossed @ information[np.ix_(rest, chosen)]
    efficient = total[chosen] - crossed @ total[rest]
    change = np.linalg.pinv(variance, hermitian=True, rcond=FLAT) @ efficient
    statistic, df = float(efficient @ change), int(chosen.sum())
    return statistic, df, float(stats.chi2.sf(statistic, df)), 0.5 * statistic, float(change[0])


def with_blocks(components: Any, reading: DependentLevels) -> DependentCategoricals:
    """Return the same densities with tables of the larger blocks of ``reading``."""
    tables = []
    for number, block in enumerate(reading.blocks):
        grid = np.full((len(reading.answers[number][0]), len(reading.numbers)), np.nan)
        grid[:, list(block)] = reading.answers[number].T
        tables.append(np.exp(_log_density(components, grid)).T)
    return DependentCategoricals(np.hstack(tables), reading)


def _log_density(components: Any, grid: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(components.linear.seen(grid)[0])


def note_of(tests: pd.DataFrame) -> Sequence[str]:
    """Return a note that proposes the pair with the largest gain."""
    if tests.empty:
        return ()
    best: Any = next(tests.sort_values("gain", ascending=False).iterrows())
    pair, best = best
    return (
        f"Columns {pair[0]} and {pair[1]} depend on each other within classes (bivariate residual "
        f"{best['residual']:.1f}). family=DependentCategorical([{pair!r}]) would gain about "
        f"{best['gain']:.1f} in log likelihood (score test: {best['statistic']:.1f} with "
        f"{best['df']:.0f} degrees of freedom)",
    )
