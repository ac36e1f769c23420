"""``merge_components``: the clusters that the components of a fitted mixture form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd

from bayesmix.assess.fit_evidence import fitted_mixture, seen_rows
from bayesmix.core.nouns import counted
from bayesmix.core.printed_numbers import percent
from bayesmix.core.protocols import FittedMixture
from bayesmix.core.validation import one_of
from bayesmix.em.refusals import refuse_order
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.device_arrays import host, like
from bayesmix.selection.answer import Answer
from bayesmix.selection.clusters import (
    GAPS,
    MERGED,
    OUTLYING,
    Group,
    Hierarchy,
    by_gaps,
    labels_of,
    most_probable_clusters,
    number_of,
    too_small,
)
from bayesmix.selection.data_checks import rounded_features
from bayesmix.selection.summary_text import phrase

RULES = {
    "overlap": "Groups that overlap by more than {} are merged.",
    "saddle": "Groups are merged if the density falls to no less than {} of the lower peak.",
}


@dataclass(frozen=True, repr=False, eq=False)
class Merging:
    """Clusters of merged components; see ``merge_components``.

    Attributes
    ----------
    model : the fitted model; its density does not change
    clusters : array (K,)
        The cluster of every component, 0 is the heaviest; -1 for outlying components.
    hierarchy : the merges from K components to one cluster
    searched : bool
        Whether the clusters are the answer of a search.
    """

    model: FittedMixture
    clusters: Integers
    hierarchy: Hierarchy
    searched: bool = False

    @property
    def weights(self) -> Array:
        """Mixing weights of the components (K,)."""
        return self.hierarchy.weights

    @property
    def n_components(self) -> int:
        """The number of components."""
        return len(self.clusters)

    @property
    def n_clusters(self) -> int:
        """The number of clusters; outlying components do not count."""
        return number_of(self.clusters)

    @cached_property
    def n_groups(self) -> int:
        """The number of groups of the hierarchy that are the clusters, with outlying groups."""
        for n in range(self.n_clusters, self.n_components):
            labels = [self.clusters[list(group)] for group in self.hierarchy.groups(n)]
            whole = all((inside == inside[0]).all() for inside in labels)
            if whole and sum(inside[0] != OUTLYING for inside in labels) == self.n_clusters:
                return n
        return self.n_components

    @property
    def tree(self) -> pd.DataFrame:
        """Table of merges, with a row for K - 1, ..., 1 remaining groups.

        ``merged`` is the pair of groups, and ``overlap`` the fraction of the lighter group's mass
        that it shares with the other: 0 if separated, 0.5 if equal groups are inseparable. With
        ``clusters="gaps"``, ``saddle`` is the least density between them, as a fraction of the
        lower peak.
        """
        steps = enumerate(self.hierarchy.joins, 1)
        return pd.DataFrame(
            [
                (self.n_components - step, (join.first, join.second), join.overlap)
                for step, join in steps
            ],
            columns=["n_clusters", "merged", self.hierarchy.measure],
        )

    def groups(self, n_clusters: int | None = None) -> tuple[Group, ...]:
        """Return the components of every cluster, the heaviest cluster first.

        By default outlying components are left out; with ``n_clusters`` all are included.
        """
        if n_clusters is None:
            places = range(self.n_clusters)
            return tuple(tuple(np.flatnonzero(self.clusters == c).tolist()) for c in places)
        if n_clusters not in range(1, self.n_components + 1):
            raise InvalidInputError(
                f"n_clusters must be from 1 to the {self.n_components} components, "
                f"got {n_clusters!r}"
            )
        return self.hierarchy.groups(int(n_clusters))

    def labels(self, n_clusters: int | None = None) -> Integers:
        """Return the cluster of every component (K,), -1 for outlying components."""
        if n_clusters is None:
            return self.clusters
        return labels_of(self.groups(n_clusters), np.zeros(self.n_components, dtype=bool))

    def predict_proba(self, X: Any, n_clusters: int | None = None) -> Array:
        """Return the probabilities of the clusters (n, C), sums over their components."""
        probabilities = self.model.predict_proba(X)
        labels = self.labels(n_clusters)
        sums = host(probabilities) @ np.equal.outer(labels, np.arange(labels.max() + 1))
        # Rounding may exceed 1.
        return cast("Array", like(np.minimum(sums, 1.0), probabilities))

    def predict(self, X: Any, n_clusters: int | None = None) -> Integers:
        """Return the most probable cluster of every observation (n,), -1 for outlying ones."""
        return most_probable_clusters(self.model.predict_proba(X), self.labels(n_clusters))

    def answer(self, X: Any) -> Answer:
        """Return the clusters with their words, sizes in these data, and colours."""
        if self.searched:
            return self.model.answer_  # type: ignore[attr-defined]  # a search
        labels = self.predict(X)
        sizes = np.bincount(labels[labels != OUTLYING], minlength=self.n_clusters).astype(float)
        headline, text = counted(self.n_clusters, "cluster"), self.summary()
        outlying = float((labels == OUTLYING).sum())
        return Answer("cluster", self.clusters, sizes, outlying, headline, text, text)

    def summary(self) -> str:
        """Return the clusters in words."""
        K, C = self.n_components, self.n_clusters
        lines = [f"{counted(K, 'component')} form{'s' if K == 1 else ''} {counted(C, 'cluster')}."]
        if self.searched:
            lines[0] = f"{lines[0][:-1]}, the answer of the search."
        together = [(c, group) for c, group in enumerate(self.groups(), 1) if len(group) > 1]
        if together:
            named = [f"cluster {c} is components {_listed(group)}" for c, group in together]
            lines.append(f"Merged: {'; '.join(named)}.")
        outlying = tuple(np.flatnonzero(self.clusters == OUTLYING).tolist())
        if outlying:
            lines.append(f"Outlying, too small to be a cluster: {_listed(outlying)}.")
        step = K - self.n_groups
        if step > 0:
            lines.append(f"The last merge joined {self._join(step - 1)}.")
        if step < K - 1:
            lines.append(f"The next would join {self._join(step)}.")
        if K > 1 and not self.searched:
            lines.append(RULES[self.hierarchy.measure].format(percent(self.hierarchy.least)))
        return "\n".join(lines)

    def _join(self, step: int) -> str:
        join, measure = self.hierarchy.joins[step], self.hierarchy.measure
        return f"{in_words((join.first, join.second))} ({measure} {percent(join.overlap)})"

    def plot(self, ax: Any = None) -> Any:
        """Draw the tree of merges with the suggested cut; see ``plot_merging``."""
        from bayesmix.plots.assess import plot_merging

        return plot_merging(self, ax=ax)

    def __repr__(self) -> str:
        groups = " | ".join(" ".join(str(k + 1) for k in group) for group in self.groups())
        return (
            f"<Merging: {counted(self.n_components, 'component')} in "
            f"{counted(self.n_clusters, 'cluster')}: {groups}>"
        )


def merge_components(
    model: Any, X: Any = None, sample_weight: Any = None, *, clusters: str | None = None
) -> Merging:
    """Merge the overlapping components of a fitted mixture into clusters.

    Those of a search are its answer, ``search.answer_``; the tree then shows the merges.

    A cluster that is not normal needs several normal components. Clusters are merged in pairs, the
    largest overlap first, while the smaller cluster shares more than 8 % of its mass with the
    other. Overlap is the mean product of responsibilities over draws from the fitted density
    (Hennig 2010). Two equal normal components are merged if their means are less than 3.2 standard
    deviations apart. The density does not change.

    Components are outlying (label -1) if they have too few observations for their parameters,
    consist of identical observations, or are narrower than the rounding of the data, and are not
    merged with others.

    Parameters
    ----------
    model : fitted estimator, search or pipeline
    X : array, frame or source (n, D), optional
        The data of the fit, to find components that are narrower than the rounding of the data. Not
        needed for a search.
    sample_weight : array (n,), optional
        Sample weights of ``X``; samples of weight 0 are left out.
    clusters : {"merged", "gaps"}, optional
        "gaps": components are one cluster unless the density falls below a fifth of the lower peak
        on the ridgeline between them (Ray & Lindsay 2005), for curved groups. None: the answer of
        a search, "merged" for other models.

    Returns
    -------
    Merging

    Raises
    ------
    ValueError
        For a model that is not fitted, and data that do not fit it; with "gaps" also for columns
        of categories, counts or masses.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=4, random_state=0).fit(X)
    >>> merging = bm.merge_components(gm, X)
    >>> merging.n_clusters
    2
    >>> merging.labels()
    array([0, 1, 0, 1])
    """
    one_of("clusters", clusters, (None, MERGED, GAPS))
    estimator, rows = fitted_mixture(model, X)
    refuse_order(estimator.result_, "merge_components")
    rounded: Sequence[Any] = getattr(model, "_rounded", ())
    if X is not None:
        rounded = rounded_features(seen_rows(estimator, rows, sample_weight))
    result = estimator.result_
    if clusters is None and (answer := getattr(model, "answer_", None)) is not None:
        hierarchy = model._hierarchy or Hierarchy.of(result)
        return Merging(model, answer.labels, hierarchy, searched=True)
    hierarchy = by_gaps(result) if clusters == GAPS else Hierarchy.of(result)
    groups = hierarchy.groups(hierarchy.n_suggested)
    return Merging(model, labels_of(groups, too_small(result, rounded)), hierarchy)


def _listed(group: Group) -> str:
    return phrase([str(k + 1) for k in group])


def in_words(pair: Sequence[Group]) -> str:
    """Return a merge in words, components from 1: "1 and 3 with 2"."""
    return " with ".join(map(_listed, pair))
