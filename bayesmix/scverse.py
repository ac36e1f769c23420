"""Clusters of cells in AnnData objects, by the conventions of scanpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.palette import colour
from bayesmix.errors import InvalidInputError, InvalidTypeError, missing_extra
from bayesmix.estimators.clustering import MixtureClustering
from bayesmix.numerics.arrays import Array


def cluster(
    adata: Any,
    *,
    use_rep: str | None = None,
    n_pcs: int | None = None,
    n_clusters: Any = None,
    key_added: str = "bayesmix",
    random_state: Any = 0,
    copy: bool = False,
    **options: Any,
) -> Any:
    """Cluster the cells of an AnnData object, as ``scanpy.tl.leiden`` does, without a resolution.

    Parameters
    ----------
    adata : AnnData (n, genes)
        The cells.
    use_rep : str, optional
        Representation in ``adata.obsm``, or "X" for ``adata.X``. None: "X_pca", and ``adata.X`` if
        it is dense and there is none.
    n_pcs : int, optional
        Number of its leading columns to use; None: all.
    n_clusters : int or sequence of int, optional
        None: the number of clusters is found; otherwise as in ``MixtureClustering``.
    key_added : str, default="bayesmix"
        Key of the results.
    random_state : default=0
    copy : bool, default=False
        Whether to return a copy with the results instead of adding them to ``adata``.
    **options
        Further parameters of ``MixtureClustering``, such as ``covariance_type="full"``.

    Returns
    -------
    AnnData or None
        With ``copy=True``. The results are ``obs[key_added]``, categories "0", "1", ... by size,
        missing for cells in no cluster; ``obsm[key_added + "_probabilities"]`` (n, C);
        ``uns[key_added]`` with ``params``, ``n_clusters``, ``probabilities`` of each number of
        clusters, and ``summary``; and ``uns[key_added + "_colors"]``.

    Raises
    ------
    InvalidInputError
        If the representation is unknown, sparse or has values that are not finite.

    Examples
    --------
    >>> import anndata, bayesmix.scverse  # doctest: +SKIP
    >>> import numpy as np  # doctest: +SKIP
    >>> rng = np.random.default_rng(0)  # doctest: +SKIP
    >>> X = rng.normal(size=(300, 5)) + 6.0 * (np.arange(300) % 3 == 0)[:, None]  # doctest: +SKIP
    >>> adata = anndata.AnnData(X)  # doctest: +SKIP
    >>> bayesmix.scverse.cluster(adata, use_rep="X")  # doctest: +SKIP
    >>> adata.obs["bayesmix"].value_counts().tolist()  # doctest: +SKIP
    [200, 100]
    """
    try:
        from anndata import AnnData
    except ImportError as problem:
        raise missing_extra("bayesmix.scverse", "scverse") from problem
    if not isinstance(adata, AnnData):
        raise InvalidTypeError(
            f"adata must be an AnnData object, got {type(adata).__name__}: "
            "bayesmix.select takes arrays and frames"
        )
    used, values = representation(adata, use_rep, n_pcs)
    clustering = MixtureClustering(n_clusters, random_state=random_state, **options).fit(values)
    adata = adata.copy() if copy else adata
    names = [str(each) for each in range(clustering.n_clusters_)]
    labels = pd.Categorical.from_codes(clustering.labels_, pd.Index(names))
    answer = clustering.search_.answer_
    adata.obs[key_added] = labels
    adata.obsm[f"{key_added}_probabilities"] = clustering.predict_proba(values)
    adata.uns[key_added] = {
        "params": {"use_rep": used, "n_pcs": values.shape[1], "random_state": str(random_state)}
        | {name: str(value) for name, value in options.items()},
        "n_clusters": clustering.n_clusters_,
        "probabilities": {str(number): p for number, p in answer.probabilities.items()},
        "summary": clustering.summary(),
    }
    adata.uns[f"{key_added}_colors"] = np.array([colour(each) for each in range(len(names))])
    return adata if copy else None


def representation(adata: Any, use_rep: str | None, n_pcs: int | None) -> tuple[str, Array]:
    """Return the name and the values (n, D) of a representation of the cells."""
    name = use_rep or ("X_pca" if "X_pca" in adata.obsm else "X")
    if name != "X" and name not in adata.obsm:
        known = ", ".join(map(repr, [*map(str, adata.obsm), "X"]))
        raise InvalidInputError(f"use_rep must be one of {known}, got {name!r}")
    values = adata.X if name == "X" else adata.obsm[name]
    if values is None:
        raise InvalidInputError("adata has no X: name a representation in obsm with use_rep")
    if hasattr(values, "nnz"):
        raise InvalidInputError(
            f"the representation {name!r} is sparse: reduce it to a dense one, such as "
            "scanpy.pp.pca, and name it with use_rep"
        )
    values = np.asarray(values, dtype=np.float64)
    if n_pcs is not None:
        if not 1 <= n_pcs <= values.shape[1]:
            raise InvalidInputError(
                f"n_pcs must be between 1 and {values.shape[1]}, the columns of {name!r}, got "
                f"{n_pcs}"
            )
        values = values[:, :n_pcs]
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise InvalidInputError(
            f"the representation {name!r} has values that are not finite in {len(bad)} cells, the "
            f"first {adata.obs_names[bad[0]]!r}: leave these cells out"
        )
    return name, values
