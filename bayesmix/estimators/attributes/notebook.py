"""The answer of a fitted estimator for a notebook: words, table and a small figure."""

from __future__ import annotations

import base64
import io
import warnings

from bayesmix.errors import UnsupportedError
from bayesmix.estimators.base import Showing

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
