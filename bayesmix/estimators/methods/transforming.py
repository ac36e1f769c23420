"""A mixture, or a search, as a step of a pipeline: rows become probabilities of components."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from bayesmix.numerics.arrays import Array
from bayesmix.workflow.result import FitResult


class Transforming(ClassNamePrefixFeaturesOutMixin, TransformerMixin):  # type: ignore[misc]  # scikit-learn is untyped
    """``transform`` with names of what comes out, and ``set_output`` for frames."""

    _fitted: Callable[[], FitResult]

    def transform(self, X: Any) -> Array:
        """The same as ``predict_proba``, for pipelines; a frame after ``set_output``."""
        probabilities: Array = self.predict_proba(X)
        return probabilities

    @property
    def _n_features_out(self) -> int:
        result = self._fitted()
        return result.n_components + (result.mixture.noise is not None)
