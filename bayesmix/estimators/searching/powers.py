"""Yeo-Johnson powers of the columns, as further structures of a search.

Skewed groups of observations need several normal components each, which then overlap with those of
others. On transformed columns they need one. Bounds are those of the columns as they are, so both
are compared; each power that was learned from the data costs what a parameter costs in BIC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.procedures import prefix_of
from bayesmix.families.amounts import logs_of
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.monotone import gain_of, powers_of
from bayesmix.families.transformed import Transformed
from bayesmix.numerics.arrays import Integers
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import NATS_THAT_MATTER, RULE
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters
    from bayesmix.estimators.searching.search_subjects import SubjectOfSamples

# Observations from which powers are learned, of larger data evenly spaced.
MOST_ROWS = 3000


@dataclass(frozen=True)
class ProposedPowers:
    """Proposes the powers with which a fitted candidate has most of the criterion."""

    source: ArraySource
    columns: Integers  # with a power
    # No candidate without powers then matters.
    least_gain = NATS_THAT_MATTER
    needs_observations = False

    def __call__(
        self, candidates: Sequence[tuple[Candidate, float]]
    ) -> list[tuple[Parameters, int]]:
        """Return the family with powers, and the candidate's K; nothing where no power gains."""
        source = self.source
        some = source if source.shape[0] <= MOST_ROWS else source.spread(MOST_ROWS)
        values, scale = np.asarray(some.values), source.total_weight / some.total_weight
        cost = 0.5 * np.log(source.total_weight)
        proposals: list[Any] = []
        for place, (row, worth) in enumerate(candidates):
            if row.sound is None or not np.isfinite(worth):
                continue
            estimator: Any = row.estimator
            shares = estimator.predict_proba(some) * some.rows.weights_or_ones[:, None]
            function, gain = powers_of(values, shares, self.columns)
            if (logs := logs_of(row.sound.family)) is not None:
                gain -= gain_of(logs, values, shares)
            worth += scale * gain - cost * function.n_learned
            if function.n_learned:
                proposals.append((worth, -place, row.asked, function))
        if not proposals:
            return []
        _, _, n_components, function = max(proposals)
        return [({"family": Transformed(Gaussian(), function)}, n_components)]


def proposed_powers(
    search: Any, subject: SubjectOfSamples, chains: Sequence[Sequence[Parameters]], criterion: str
) -> ProposedPowers | None:
    """Return the proposal of a search with ``column_powers``, None where powers have no evidence.

    They have one for variational mixtures of normals of complete columns, or of their logarithms.
    """
    if not search.column_powers:
        return None
    family = family_with_evidence(search, subject, chains, criterion)
    if not isinstance(family, Gaussian) and logs_of(family) is None:
        return None
    source: Any = subject.source
    # Values that were spread within their rounding have no best power.
    columns = np.setdiff1d(np.arange(source.shape[1]), [one.column for one in subject.spread])
    return ProposedPowers(source, columns) if len(columns) else None


def family_with_evidence(
    search: Any, subject: SubjectOfSamples, chains: Sequence[Sequence[Parameters]], criterion: str
) -> Any:
    """Return the family of all candidates, if their evidence compares with other families'.

    None where they are not variational fits of complete columns that vary, under priors from the
    data, with named structures.
    """
    source: Any = subject.source
    estimator: Any = subject.estimator
    if criterion != RULE or not isinstance(source, ArraySource) or prefix_of(estimator):
        return None
    if search.variable_selection or source.side or source.summary.n_missing:
        return None
    if source.summary.constant.any():  # normals alone leave these out
        return None
    if not subject.independent:
        return None
    model = estimator._model_of(estimator._model(), source)
    if model.noise is not None or not model.inference.variational:
        return None
    if any(not isinstance(own.get("covariance_type", ""), str) for own, *_ in chains):
        return None
    if any("family" in own for own, *_ in chains):
        return None
    prior = model.inference.prior
    given = [] if prior is None else [value for value in vars(prior).values() if value is not None]
    return None if given else model.family
