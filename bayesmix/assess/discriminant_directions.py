"""Directions along which components or classes differ most (Scrucca 2010, 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import eigh

from bayesmix.core import validation
from bayesmix.core.protocols import Procedure
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array

# Eigenvalues below this share of the largest separate nothing.
NEGLIGIBLE = 1e-8


@dataclass(frozen=True)
class DiscriminantDirections:
    """Discriminant directions of a fit.

    ``directions`` (D, d) have unit variance within components; ``eigenvalues`` (d,) are the
    separation along each of them, in decreasing order; ``centre`` (D,) is the mean of the density.
    """

    directions: Array
    eigenvalues: Array
    centre: Array
    features: tuple[str, ...]
    model: Procedure

    def transform(self, X: Any) -> Array:
        """Return samples (n, D) in these directions (n, d), about the mean of the density."""
        if hasattr(X, "columns") and set(self.features) <= set(X.columns):
            X = X[list(self.features)]
        values = np.asarray(X, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.centre):
            raise InvalidInputError(
                f"X must have the {len(self.centre)} features of the fit, got shape {values.shape}"
            )
        return (values - self.centre) @ self.directions

    def frame(self) -> pd.DataFrame:
        """Return the coefficients, a row per feature."""
        names = [f"direction {i + 1}" for i in range(len(self.eigenvalues))]
        return pd.DataFrame(self.directions, index=list(self.features), columns=names)

    def summary(self) -> str:
        """Return the separation along each direction, and the coefficients."""
        shares = self.eigenvalues / self.eigenvalues.sum()
        listed = ", ".join(f"{share:.3f}" for share in shares)
        return f"Shares of the separation: {listed}.\n{self.frame().round(3).to_string()}"

    def __repr__(self) -> str:
        count, features = len(self.eigenvalues), len(self.centre)
        largest = 100.0 * self.eigenvalues[0] / self.eigenvalues.sum()
        return (
            f"<DiscriminantDirections: {count} of {features} features, the first with "
            f"{largest:.0f} % of the separation>"
        )

    def plot(self, X: Any, y: Any = None, ax: Any = None) -> Any:
        """Plot samples along the first two directions; see ``plot_directions``."""
        from bayesmix.plots import plot_directions

        return plot_directions(self, X, y, ax)


def discriminant_directions(model: Any, differences: str = "means") -> DiscriminantDirections:
    """Return the directions along which the components of a mixture, or classes, differ most.

    With ``"means"`` they are the eigenvectors of the covariance between components relative to
    that within, as in linear discriminant analysis; at most K - 1. With ``"means and covariances"``
    differences of the covariances count as well (Scrucca 2010, eq. 5).

    Parameters
    ----------
    model : fitted Gaussian mixture, search or MixtureClassifier
        For a classifier with several components per class, the classes are compared.
    differences : {"means", "means and covariances"}, default="means"

    Raises
    ------
    ValueError
        For a fit of a single component, or of another family.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = bm.MixtureClassifier(covariance_type="tied").fit(X, y)
    >>> directions = bm.discriminant_directions(classifier)
    >>> directions.directions.shape, directions.transform(X).shape
    ((4, 2), (150, 2))
    """
    validation.one_of("differences", differences, ("means", "means and covariances"))
    model = getattr(model, "best_estimator_", model)
    weights, means, covariances = _moments(model)
    if len(weights) < 2:
        raise InvalidInputError("model must have at least two components or classes, got 1")
    centre = weights @ means
    away = means - centre
    between = (weights[:, None] * away).T @ away
    within = np.einsum("k,kij->ij", weights, covariances)
    kernel, metric, most = between, within, len(weights) - 1
    if differences != "means":
        total, most = within + between, len(centre)
        kernel = between @ np.linalg.pinv(total) @ between
        for weight, deviation in zip(weights, covariances - within, strict=True):
            kernel = kernel + weight * deviation @ np.linalg.pinv(total) @ deviation
        metric = total
    values, vectors = eigh(kernel, metric)
    if values.max() < NEGLIGIBLE:
        raise InvalidInputError(
            "the means of the components or classes are equal, so no direction separates them: use "
            "differences='means and covariances'"
        )
    order = np.argsort(-values)[: min(most, len(centre))]
    order = order[values[order] > NEGLIGIBLE * values.max()]
    directions = vectors[:, order]
    directions /= np.sqrt(np.einsum("id,ij,jd->d", directions, within, directions))
    # The coefficient of the largest size is positive.
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(len(order))])
    names = getattr(model, "feature_names_in_", range(len(centre)))
    return DiscriminantDirections(
        directions, values[order], centre, tuple(str(name) for name in names), model
    )


def _moments(model: Any) -> tuple[Array, Array, Array]:
    """Return weights (K,), means (K, D) and covariances (K, D, D) of components or classes."""
    if not hasattr(model, "classes_"):
        return _of_components(model)
    models = list(model.models_.values())
    if all(one is models[0] for one in models) and models[0].n_components_ == len(models):
        _, means, covariances = _of_components(models[0])
        return model.priors_, means, covariances
    of_classes = [_of_components(one) for one in models]
    means = np.array([w @ m for w, m, _ in of_classes])
    covariances = np.array(
        [
            np.einsum("k,kij->ij", w, c) + (w[:, None] * (m - mean)).T @ (m - mean)
            for (w, m, c), mean in zip(of_classes, means, strict=True)
        ]
    )
    return model.priors_, means, covariances


def _of_components(model: Any) -> tuple[Array, Array, Array]:
    result = getattr(model, "result_", None)
    if result is None:
        raise InvalidInputError("model must be a fitted mixture, search or classifier: call fit")
    if result.family.name != "gaussian":
        raise UnsupportedError(
            f"discriminant directions need Gaussian components, got {result.family.title}"
        )
    components, shape = result.unframed, model.means_.shape
    covariances = components.structure.algebra.dense(components.blocks, *shape)
    return model.weights_, model.means_, np.broadcast_to(covariances, (*shape, shape[1]))
