"""``plot_structures``: a criterion as a matrix, structures by numbers of components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.covariance.models import label
from bayesmix.plots import style
from bayesmix.selection.criteria.registry import record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Nats behind up to which colours follow the differences, and at which a cell is blank.
NEAR, BLANK = 1.0, 1000.0
# Cells darker than this share bear light numbers.
DARK = 0.55


def plot_structures(search: Any, ax: Axes | None = None, *, criterion: str | None = None) -> Axes:
    """How many nats behind the best every candidate is, a row a structure, a column a K.

    The darker, the closer to the best; the best three have a frame, the better the wider. Rows go
    from simple to rich. A dash is a candidate without a value (failed or degenerate); with one
    component structures that are one model show its value.

    Parameters
    ----------
    search : fitted MixtureSearch
        Over covariance structures.
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.
    criterion : str, optional
        A column of ``results_``; None is the criterion that chose.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> search = bm.select(bm.datasets.load_faithful(), (2, 3), "all", criterion="bic")
    >>> bm.plot_structures(search, ax=Figure().subplots()).get_title()
    'nats behind the best by BIC (EEE, 3: -1157.15)'
    """
    results = getattr(search, "results_", None)
    if results is None or "covariance_type" not in results:
        raise InvalidInputError(
            "search must be a fitted MixtureSearch over covariance structures, got "
            f"{type(search).__name__}"
        )
    name = record(criterion or search.criterion_).column
    if name not in results.columns:
        raise InvalidInputError(f"criterion must be a column of results_, got {name!r}")
    matrix = search.matrix(name)
    best = matrix.attrs["best"]
    behind = best[0][2] - matrix.to_numpy(dtype=float).T
    if ax is None:
        size = 2.0 + 0.62 * len(matrix), 1.2 + 0.33 * matrix.shape[1]
        ax = style.axes_or_new(None, *size)
    close = _close(behind)
    ax.imshow(close, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), value in np.ndenumerate(behind):
        colour = "white" if close[i, j] > DARK else style.INK
        ax.text(j, i, _number(value), ha="center", va="center", size="small", color=colour)
    numbers, structures = list(matrix.index), list(matrix.columns)
    for place, (structure, k, _) in enumerate(best, start=1):
        _framed(ax, numbers.index(k), structures.index(structure), 4.0 - place)
    ax.set_xticks(range(len(numbers)), [str(k) for k in numbers])
    ax.set_yticks(range(len(structures)), [label(each) for each in structures])
    ax.set_xlabel("components")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    first = f"{label(best[0][0])}, {best[0][1]}: {best[0][2]:.2f}"
    ax.set_title(f"nats behind the best by {record(name).label} ({first})", size="medium")
    return ax


def _close(behind: Any) -> Any:
    """1 for the best, about logarithmic to 0."""
    scaled = np.arcsinh(np.maximum(behind, 0.0) / NEAR) / np.arcsinh(BLANK / NEAR)
    return 0.9 * np.clip(1.0 - np.nan_to_num(scaled, nan=1.0, posinf=1.0), 0.0, 1.0)


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def _framed(ax: Axes, column: int, row: int, width: float) -> None:
    from matplotlib.patches import Rectangle

    corner = column - 0.47, row - 0.45
    ax.add_patch(Rectangle(corner, 0.94, 0.9, fill=False, ec=style.COLOURS[1], lw=width))
