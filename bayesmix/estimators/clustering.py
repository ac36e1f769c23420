"""Clusters of a mixture as a clusterer of scikit-learn, for programs that take one."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self, cast

import numpy as np
from sklearn.base import ClusterMixin
from sklearn.utils.validation import check_is_fitted

from bayesmix.core import validation
from bayesmix.estimators.select import select
from bayesmix.estimators.showing import Showing
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.device_arrays import host, like
from bayesmix.selection.clusters import most_probable_clusters, shares_of_clusters


class MixtureClustering(ClusterMixin, Showing):  # type: ignore[misc]  # scikit-learn is untyped
    """Clusters of a mixture, for programs that take a clusterer such as ``KMeans`` or ``HDBSCAN``.

    ``select`` with the attributes of scikit-learn's clusterers. ``GaussianMixture.predict`` returns
    components, of which several may form one cluster; this one returns clusters.

    Parameters
    ----------
    n_clusters : int or sequence of int, optional
        None: the number that ``select`` finds. An integer: as many components, each of which is a
        cluster. A sequence: numbers of components to compare.
    covariance_type, criterion, family, noise, missing, random_state
        As in ``select``.
    n_jobs : int, optional
        Number of processes, as in ``MixtureSearch``.
    options : dict, optional
        Further arguments of ``select``.

    Attributes
    ----------
    labels_ : array (n,)
        Cluster of each sample, 0 being the largest; -1 for outlying samples and noise.
    probabilities_ : array (n,)
        Probability of that cluster; 0 for outlying samples.
    n_clusters_ : int
        Number of clusters.
    search_ : MixtureSearch
        The search, with ``summary``, ``describe`` and ``plot``.

    Examples
    --------
    >>> import bayesmix as bm
    >>> clustering = bm.MixtureClustering().fit(bm.datasets.load_faithful())
    >>> clustering.n_clusters_, clustering.labels_[:4].tolist()
    (2, [0, 1, 0, 1])
    """

    _answer = "search_"

    def __init__(
        self,
        n_clusters: Any = None,
        *,
        covariance_type: Any = None,
        criterion: Any = "auto",
        family: Any = None,
        noise: Any = False,
        missing: str = "error",
        random_state: Any = 0,
        n_jobs: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.family = family
        self.noise = noise
        self.missing = missing
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.options = options

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the clusters.

        Parameters
        ----------
        X : array or frame (n, D)
            As in ``select``.
        y : ignored
            For pipelines.
        sample_weight : array (n,), optional
            Numbers of repetitions.

        Raises
        ------
        ValueError
            If parameters or data are invalid.
        """
        fixed = isinstance(self.n_clusters, Integral)
        if fixed:
            validation.integer("n_clusters", self.n_clusters, 1)
        search = select(
            X,
            [int(self.n_clusters)] if fixed else self.n_clusters,
            self.covariance_type,
            self.criterion,
            sample_weight,
            self.random_state,
            self.noise,
            self.missing,
            self.family,
            n_jobs=self.n_jobs,
            **(self.options or {}),
        )
        self.search_ = search
        self.n_features_in_ = search.n_features_in_
        if hasattr(search, "feature_names_in_"):
            self.feature_names_in_ = search.feature_names_in_
        each_its_own = np.arange(search.n_components_)
        self.cluster_of_component_ = each_its_own if fixed else search.answer_.labels.copy()
        self.n_clusters_ = int(self.cluster_of_component_.max()) + 1
        of_components = host(search.predict_proba(X))
        self.labels_ = most_probable_clusters(of_components, self.cluster_of_component_)
        surest = self._shares(of_components).max(axis=1)
        self.probabilities_ = np.where(self.labels_ >= 0, surest, 0.0)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Integers:
        """Find the clusters; return ``labels_`` in the array library of X."""
        return cast("Integers", like(self.fit(X, y, sample_weight).labels_, X))

    def _shares(self, of_components: Array) -> Array:
        """Return probabilities of clusters (n, C) from those of components."""
        return shares_of_clusters(of_components, self.cluster_of_component_)[:, 1:]

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the clusters (n, C); what is left is that of no cluster."""
        check_is_fitted(self, "search_")
        return self._shares(self.search_.predict_proba(X))

    def predict(self, X: Any) -> Integers:
        """Return the most probable cluster (n,) of new samples; -1 for none."""
        check_is_fitted(self, "search_")
        return most_probable_clusters(self.search_.predict_proba(X), self.cluster_of_component_)

    def summary(self) -> str:
        """Return the answer of the search in words."""
        check_is_fitted(self, "search_")
        return self.search_.summary()

    def plot(self, *arguments: Any, **options: Any) -> Any:
        """Plot the answer, as ``MixtureSearch.plot``."""
        check_is_fitted(self, "search_")
        return self.search_.plot(*arguments, **options)

    def _answer_html(self) -> str:
        return self.search_._answer_html()

    def _draw_small(self, figure: Any) -> None:
        self.search_._draw_small(figure)

    def save(self, path: Any) -> None:
        """Save the search to one file without pickle; ``bayesmix.load`` returns it."""
        check_is_fitted(self, "search_")
        self.search_.save(path)
