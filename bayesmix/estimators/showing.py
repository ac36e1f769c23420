"""What fitted estimators show of themselves, in text and in notebooks."""

from __future__ import annotations

import base64
import io
import warnings
from abc import abstractmethod
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils._pprint import _EstimatorPrettyPrinter
from sklearn.utils.validation import check_is_fitted

from bayesmix.errors import UndefinedError, UnsupportedError


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

    def _draw_small(self, figure: Any) -> None:
        """Draw the answer in the figure of a notebook."""
        self.plot(ax=figure.subplots())

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
        return f"<div>{self._answer_html()}{small_figure(self)}</div>"


# Nested estimators call this through their ``__repr__``.
_EstimatorPrettyPrinter._dispatch[Showing.__repr__] = _EstimatorPrettyPrinter._pprint_estimator


# Size in inches and resolution of the figure in a notebook.
FIGURE = (4.4, 3.0)
DOTS_PER_INCH = 110


def small_figure(estimator: Showing) -> str:
    """Return a figure of the fit; empty if there is none, or Matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return ""
    figure = Figure(figsize=FIGURE, layout="constrained")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator._draw_small(figure)
    except (UnsupportedError, UndefinedError):
        return ""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH)
    encoded = base64.b64encode(picture.getvalue()).decode()
    width, _ = figure.get_size_inches()
    return (
        f'<img alt="" style="max-width:100%; background:#fff" width="{96 * width:.0f}" '
        f'src="data:image/png;base64,{encoded}">'
    )
