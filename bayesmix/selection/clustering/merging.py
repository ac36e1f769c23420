"""Components joined into clusters, those first that the rows tell apart least.

A mixture needs several normal components for one cluster that is not normal. Baudry, Raftery,
Celeux, Lo & Gottardo (2010) keep the density and merge components, pair by pair, where that takes
most from the entropy of the assignment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import entr

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import FittedMixture
from bayesmix.records import Mixture
from bayesmix.selection.clustering.overlap import Overlap, OverlapStep, membership
from bayesmix.selection.fitted import fitted_mixture, seen_rows

# Doubt before any merge, and after the last: between them alone, two components are merged where
# their doubt is over 1/4, as that of two equal normal densities 3 standard deviations apart.
AT_FIRST, AT_LAST = 1.0, 1.0 / 16.0
# Doubt under this is none (normal densities 6 standard deviations apart).
NONE = 0.005
# Of fewer points the two lines that fit best meet in the same place whatever the points are.
FEWEST_FOR_LINES = 4

Group = tuple[int, ...]


@dataclass(frozen=True, repr=False, eq=False)
class Merging:
    """The hierarchy of clusters that the components of a mixture make; see ``merge_components``.

    Attributes
    ----------
    model : the fitted model; its density stays as it is
    tree : DataFrame
        A row for K, ..., 1 clusters: ``merged`` (the two groups of components joined in this step),
        ``entropy`` left (nats, Σ w over rows), ``entropy_drop``, ``rows_merged`` (expected rows in
        the two), ``rows_cumulative``, and ``doubt``: the drop as a share of what the entropy of
        these rows would be if they said nothing, from 0 (told apart) to 1.
    weights : array (K,)
        Of the components.
    n_clusters : int
        The number suggested.
    n_rows : float
        How many rows were looked at (Σ w).
    """

    model: FittedMixture
    tree: pd.DataFrame
    weights: Array
    n_clusters: int
    n_rows: float

    @property
    def n_components(self) -> int:
        """K, where the hierarchy begins."""
        return len(self.weights)

    @property
    def entropies(self) -> Array:
        """Entropy of the assignment to K, ..., 1 clusters (K,), total, in nats."""
        return self.tree["entropy"].to_numpy(dtype=np.float64)

    @property
    def elbow(self) -> int | None:
        """The number of clusters where two straight lines fit the entropies best (Baudry et al.).

        Over the number of clusters; None for less than four components, whose place is given.
        """
        K = self.n_components
        if K < FEWEST_FOR_LINES:
            return None
        return K - bend(np.arange(K, dtype=np.float64), self.entropies)

    def groups(self, n_clusters: int | None = None) -> tuple[Group, ...]:
        """The components of every cluster, the heaviest cluster first."""
        n_clusters = self._checked(n_clusters)
        groups: set[Group] = {(k,) for k in range(self.n_components)}
        for pair in self.tree["merged"].iloc[1 : self.n_components - n_clusters + 1]:
            groups = (groups - set(pair)) | {joined(pair)}
        return tuple(sorted(groups, key=lambda group: (-self.weights[list(group)].sum(), group)))

    def labels(self, n_clusters: int | None = None) -> Integers:
        """The cluster of every component (K,)."""
        labels = np.empty(self.n_components, dtype=np.int64)
        for cluster, group in enumerate(self.groups(n_clusters)):
            labels[list(group)] = cluster
        return labels

    def predict_proba(self, X: Any, n_clusters: int | None = None) -> Array:
        """Probabilities of the clusters for every row: those of their components, added."""
        probabilities: Array = self.model.predict_proba(X)
        return probabilities @ membership(self.groups(n_clusters), self.n_components)

    def predict(self, X: Any, n_clusters: int | None = None) -> Integers:
        """The most probable cluster of every row (n,)."""
        labels: Integers = self.predict_proba(X, n_clusters).argmax(axis=1)
        return labels

    def summary(self) -> str:
        """The clusters in words, and how clear the cut is."""
        K, C = self.n_components, self.n_clusters
        lines = [f"{_count(K, 'component')} make{'s' if K == 1 else ''} {_count(C, 'cluster')}."]
        if C < K:
            together = [group for group in self.groups() if len(group) > 1]
            lines.append(f"Together: {'; '.join(map(_listed, together))}.")
            last = self.tree.iloc[K - C]
            lines.append(f"The last merge joined {_apart(last)}.")
        if C > 1:
            following = self.tree.iloc[K - C + 1]
            lines.append(f"The next would join {_apart(following)}.")
        if K > 1:
            lines.append("Doubt is 0% where rows tell two clusters apart, 100% where they do not.")
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """The tree of merges with the suggested cut; see ``plot_merging``."""
        from bayesmix.plots.clusters.merging import plot_merging

        return plot_merging(self, ax=ax)

    def __repr__(self) -> str:
        groups = " | ".join(" ".join(map(str, group)) for group in self.groups())
        return (
            f"<Merging: {_count(self.n_components, 'component')} in "
            f"{_count(self.n_clusters, 'cluster')}: {groups}>"
        )

    def _checked(self, n_clusters: int | None) -> int:
        number = self.n_clusters if n_clusters is None else n_clusters
        if number not in range(1, self.n_components + 1):
            raise InvalidInputError(
                f"n_clusters must be from 1 to the {self.n_components} components, got {number!r}"
            )
        return int(number)


def merge_components(model: Any, X: Any, sample_weight: Any = None) -> Merging:
    """Clusters out of components: the hierarchy of merges, and where to stop.

    Each step joins the two clusters i, j for which the entropy of the assignment falls most, by
    Σ_n w_n [(t_ni + t_nj) log(t_ni + t_nj) - t_ni log t_ni - t_nj log t_nj], t the probabilities of
    the clusters (Baudry et al. 2010, sec. 2). The density remains what it was.

    Where to stop: a merge is judged by its *doubt*, the fall of the entropy as a share of the most
    that it could be for two clusters with so many rows. (Two equal normal densities leave a doubt
    of 0.51, 0.24, 0.09, 0.02 where they are 2, 3, 4, 5 standard deviations apart.) Suggested is the
    number of clusters at which the doubt of the next merge is the smallest share of that of the
    last one; where nothing was merged yet the last one is 1, where nothing is left to merge the
    next one is 1/16. So components far from one another remain apart, components that the rows
    hardly tell apart become one, and in between the largest contrast decides. ``elbow`` is the rule
    of Baudry et al. (sec. 4), two straight lines through the entropies, which always finds a bend;
    ``groups(n)`` gives any cut. All of it is advice.

    Parameters
    ----------
    model : fitted estimator, search or pipeline
    X : array, frame or source (n, D)
        The rows of the fit.
    sample_weight : array (n,), optional
        How often each row counts.

    Returns
    -------
    Merging

    Raises
    ------
    ValueError
        For a model that is not fitted, and rows that do not fit it.

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
    estimator, rows = fitted_mixture(model, X)
    source = seen_rows(estimator, rows, sample_weight)
    density: Mixture = estimator.result_.density
    K = density.n_components
    groups: list[Group] = [(k,) for k in range(K)]
    gains = np.zeros((K, K))
    newest = tuple(range(K))
    table: list[dict[str, Any]] = [_row(K)]
    with single_threaded_blas():
        while len(groups) > 1:
            step = OverlapStep(density, membership(groups, K), newest)
            overlap: Overlap = source.reduce(step, K)
            gains[list(newest)] = overlap.gains
            gains[:, list(newest)] = overlap.gains.T
            table[-1]["entropy"] = overlap.entropy
            upper = np.where(np.tri(len(groups), dtype=bool), -np.inf, gains)
            i, j = (int(place) for place in np.unravel_index(upper.argmax(), upper.shape))
            table.append(_merged(table[-1], (groups[i], groups[j]), overlap.sizes[[i, j]]))
            table[-1]["entropy_drop"] = max(float(gains[i, j]), 0.0)
            table[-1]["doubt"] = _doubt(table[-1]["entropy_drop"], overlap.sizes[[i, j]])
            groups[i] = joined((groups[i], groups[j]))
            del groups[j]
            gains = np.delete(np.delete(gains, j, axis=0), j, axis=1)
            newest = (i,)
    tree = pd.DataFrame(table)
    weights = frozen(density.weights.mean().copy())
    return Merging(model, tree, weights, suggested(tree), source.total_weight)


def joined(pair: tuple[Group, Group]) -> Group:
    """The components of two groups, in order."""
    return tuple(sorted((*pair[0], *pair[1])))


def suggested(tree: pd.DataFrame) -> int:
    """The number of clusters that ``merge_components`` explains."""
    doubt = np.maximum(tree["doubt"].to_numpy(dtype=np.float64)[1:], NONE)
    last, following = np.append(AT_FIRST, doubt), np.append(doubt, AT_LAST)
    return len(tree) - int(np.argmax(last / following)) if len(doubt) else 1


def bend(x: Array, y: Array) -> int:
    """Where the two lines meet that fit y best: the place of the last point of the first."""
    inner = range(1, len(x) - 1)
    return min(inner, key=lambda c: _misfit(x[: c + 1], y[: c + 1]) + _misfit(x[c:], y[c:]))


def _misfit(x: Array, y: Array) -> float:
    """Sum of squares around the straight line through the points."""
    x, y = x - x.mean(), y - y.mean()
    spread = float(x @ x)
    slope = float(x @ y) / spread if spread > 0 else 0.0
    away = y - slope * x
    return float(away @ away)


def _row(n_clusters: int) -> dict[str, Any]:
    return {
        "n_clusters": n_clusters,
        "merged": (),
        "entropy": 0.0,
        "entropy_drop": 0.0,
        "rows_merged": 0.0,
        "rows_cumulative": 0.0,
        "doubt": np.nan,
    }


def _merged(before: dict[str, Any], pair: tuple[Group, Group], sizes: Array) -> dict[str, Any]:
    rows = float(sizes.sum())
    return {
        **_row(before["n_clusters"] - 1),
        "merged": pair,
        "rows_merged": rows,
        "rows_cumulative": before["rows_cumulative"] + rows,
    }


def _doubt(drop: float, sizes: Array) -> float:
    """The drop as a share of that of rows which say nothing; 1 where a cluster has no rows."""
    most = float(entr(sizes).sum() - entr(sizes.sum()))
    return min(drop / most, 1.0) if most > 0 else 1.0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(group: Group) -> str:
    named = [str(k) for k in group]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _apart(step: Any) -> str:
    first, second = step["merged"]
    return f"{_listed(first)} with {_listed(second)} (doubt {step['doubt']:.0%})"
