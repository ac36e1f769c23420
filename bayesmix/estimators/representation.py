"""What a fitted estimator shows of itself: its answer, above scikit-learn's diagram."""

from __future__ import annotations

import base64
import io
import warnings
from abc import abstractmethod
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils._pprint import _EstimatorPrettyPrinter

from bayesmix.errors import UnsupportedError

# Inches of the figure in a notebook, and its dots an inch.
FIGURE = (4.4, 3.0)
DOTS_PER_INCH = 110


class Showing(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """``repr`` and the HTML of a notebook hold the answer once there is one."""

    # The attribute that a fit sets.
    _answer = "result_"

    @abstractmethod
    def summary(self) -> str:
        """The answer in words."""

    @abstractmethod
    def _answer_html(self) -> str:
        """The answer as a notebook shows it."""

    @abstractmethod
    def plot(self, *arguments: Any, **options: Any) -> Any:
        """The answer as a figure."""

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
        return f"<div>{self._answer_html()}{_small(self)}</div>"


# Estimators within estimators are broken into lines by their ``__repr__``.
_EstimatorPrettyPrinter._dispatch[Showing.__repr__] = _EstimatorPrettyPrinter._pprint_estimator


def _small(estimator: Showing) -> str:
    """The figure of a fit; nothing where it has none, or where nothing is there to draw it."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return ""
    figure = Figure(figsize=FIGURE, layout="constrained")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.plot(ax=figure.subplots())
    except UnsupportedError:
        return ""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH)
    encoded = base64.b64encode(picture.getvalue()).decode()
    return (
        f'<img alt="" style="max-width:100%; background:#fff" width="{96 * FIGURE[0]:.0f}" '
        f'src="data:image/png;base64,{encoded}">'
    )
