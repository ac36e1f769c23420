"""Scattered observations, as further candidates of a search: uniform noise, and heavy tails.

Observations that lie scattered between and around the groups otherwise take a wide component of
their own, which counts as a cluster. Student-t components describe heavy tails, which noise would
only imitate, so both are compared. The limits of the uniform density are those of the data, and
cost what learned parameters cost in BIC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.allocation.noise import hypervolume
from bayesmix.assess.uniform_noise import starts_with_noise
from bayesmix.estimators.searching.powers import family_with_evidence
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.student_t.family import StudentT
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.data_checks import duplicates, rounded_features
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters
    from bayesmix.estimators.searching.search_subjects import SubjectOfSamples


@dataclass(frozen=True)
class ProposedScatter:
    """Proposes noise and heavy tails where noise beside a fitted candidate gains."""

    source: ArraySource
    least_gain = 0.0
    needs_observations = True  # Student-t components are not linear in features

    def __call__(
        self, candidates: Sequence[tuple[Candidate, float]]
    ) -> list[tuple[Parameters, int]]:
        """Return both with the K that noise leaves, nothing where it gains nothing."""
        row, worth = max(candidates, key=lambda each: each[1])
        result = row.sound
        if result is None or not np.isfinite(worth) or not isinstance(result.family, Gaussian):
            return []
        values, weights = np.asarray(self.source.values), self.source.rows.weights_or_ones
        box = hypervolume(values)
        if not np.isfinite(box.log_volume):
            return []
        start = max(starts_with_noise(result, values, weights, box), key=lambda one: one.gain)
        if not start.gain > 0.0:
            return []
        K = start.shares.shape[1]
        return [({"noise": "uniform"}, K), ({"family": StudentT()}, K)]


def proposed_scatter(
    search: Any, subject: SubjectOfSamples, chains: Sequence[Sequence[Parameters]], criterion: str
) -> ProposedScatter | None:
    """Return the proposal of a search that tries noise, None where noise has no evidence.

    It has one for variational mixtures of normals of complete columns without ties, whose density
    is unbounded beside noise. In a single column a wide component is as good as a box.
    """
    if not search.try_noise or subject.source.shape[1] == 1:
        return None
    family = family_with_evidence(search, subject, chains, criterion)
    source: Any = subject.source
    if not isinstance(family, Gaussian):
        return None
    if rounded_features(source) or duplicates(source).values:
        return None
    return ProposedScatter(source)
