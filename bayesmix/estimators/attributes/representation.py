"""What all fitted estimators share: ``repr`` and notebook view with the answer, and ``save``."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils._pprint import _EstimatorPrettyPrinter
from sklearn.utils.validation import check_is_fitted


class Showing(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Shows the answer in ``repr`` and notebooks once the estimator is fitted, and saves it."""

    # Attribute that a fit sets.
    _answer = "result_"

    @abstractmethod
    def summary(self) -> str:
        """Return the answer in words."""

    @abstractmethod
    def _answer_html(self) -> str:
        """Return the answer for a notebook."""

    @abstractmethod
    def plot(self, *arguments: Any, **options: Any) -> Any:
        """Plot the answer."""

    def save(self, path: Any) -> None:
        """Save the fit to one file without pickle; ``bayesmix.load`` reads it.

        The file of a search has all candidates. That of a mixture of regressions has the data of
        the fit, which ``coefficients`` needs.
        """
        from bayesmix.io import save

        check_is_fitted(self, self._answer)
        save(self, path)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        plain: str = super().__repr__(N_CHAR_MAX)
        return f"{plain}\n{self.summary()}" if self._answer in vars(self) else plain

    def _repr_html_inner(self) -> str:
        diagram: str = super()._repr_html_inner()
        return self._shown() + diagram

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**options)
        if "text/html" in bundle:
            bundle["text/html"] = self._shown() + bundle["text/html"]
        return bundle

    def _shown(self) -> str:
        if self._answer not in vars(self):
            return ""
        from bayesmix.estimators.attributes.notebook import small_figure

        return f"<div>{self._answer_html()}{small_figure(self)}</div>"


# Nested estimators call this through their ``__repr__``.
_EstimatorPrettyPrinter._dispatch[Showing.__repr__] = _EstimatorPrettyPrinter._pprint_estimator
