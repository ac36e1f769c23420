"""Figures of papers on latent classes: profiles, item probabilities, enumeration, classification.

All are legible in grey: classes differ in marker, line and luminance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.core import validation
from bayesmix.errors import InvalidInputError
from bayesmix.plots.style import (
    INK,
    Axes,
    axes_or_new,
    colour,
    expect,
    finished,
    line,
    marker,
    panels,
    whole_numbers,
)

# Inches of a panel, and of a figure of one journal column and a half.
PANEL, WIDTH, HEIGHT = 2.6, 5.2, 3.4
# Share of the distance between indicators by which classes are set apart.
APART = 0.06
# Luminance above which text in a cell is dark.
PALE = 0.55
LABELS = {"aic": "AIC", "bic": "BIC", "sabic": "Adjusted BIC", "caic": "CAIC", "awe": "AWE"}


def plot_class_profiles(
    profiles: Any, ax: Axes | None = None, units: str = "z", standard_errors: bool = True
) -> Axes:
    """Plot means of all classes as connected lines, or item probabilities as bars.

    Parameters
    ----------
    profiles : ClassProfiles
    ax : matplotlib axes, optional
    units : {"z", "raw"}, default="z"
        Means in standard deviations from the mean of all samples, or in units of the data.
    standard_errors : bool, default=True
        Whether to draw one standard error to both sides.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_iris()
    >>> profiles = bm.class_profiles(bm.GaussianMixture(3, random_state=0).fit(X), X)
    >>> bm.plots.plot_class_profiles(profiles, ax=Figure().subplots()).get_ylabel()
    'Mean (z)'
    """
    expect("profiles", profiles, "a ClassProfiles", "profiles", "classification")
    validation.one_of("units", units, ("z", "raw"))
    table = profiles.profiles
    kinds = table.index.get_level_values("parameter")
    if not (kinds == "mean").any():
        return _bars(profiles, table, ax, standard_errors)
    means = table[kinds == "mean"]
    estimate, error = ("z", "z_error") if units == "z" else ("estimate", "standard_error")
    values = means[estimate].unstack("class")
    errors = means[error].unstack("class")
    order = list(dict.fromkeys(means.index.get_level_values("column")))
    values, errors = (
        own.droplevel(["parameter", "level"]).loc[order].to_numpy() for own in (values, errors)
    )
    ax = axes_or_new(ax, max(WIDTH, 0.8 * len(order)), HEIGHT)
    key: dict[str, Any] = {}
    K = values.shape[1]
    places = np.arange(len(order))
    for k, share in enumerate(profiles.sizes["share"]):
        key[f"Class {k + 1} ({share:.0%})"] = ax.errorbar(
            places + APART * (k - 0.5 * (K - 1)),
            values[:, k],
            yerr=errors[:, k] if standard_errors else None,
            color=colour(k),
            marker=marker(k),
            linestyle=line(k),
            capsize=2.5,
            markersize=5,
            linewidth=1.4,
        )
    if units == "z":
        ax.axhline(0.0, color=INK, linewidth=0.6, zorder=0)
    ax.set_xticks(places, list(map(str, order)))
    _slanted(ax, order)
    return finished(ax, key, ylabel="Mean (z)" if units == "z" else "Mean")


def _bars(profiles: Any, table: Any, ax: Axes | None, standard_errors: bool) -> Axes:
    """Plot probabilities or rates of all items, but for the first of several levels, as bars."""
    rows: list[tuple[str, Any]] = []
    for (kind, column), own in table.groupby(level=["parameter", "column"], sort=False):
        levels = list(dict.fromkeys(own.index.get_level_values("level")))
        for level in levels[1:] if len(levels) > 1 else levels:
            name = str(column) if level == "" else f"{column}: {level}"
            rows.append((name, own.xs((kind, column, level))))
    K, n = profiles.n_classes, len(rows)
    ax = axes_or_new(ax, max(WIDTH, 0.28 * K * n), HEIGHT)
    key: dict[str, Any] = {}
    width = 0.8 / K
    hatches = ("", "///", "...", "\\\\\\", "xxx", "ooo")
    for k, share in enumerate(profiles.sizes["share"]):
        own = [values.loc[k + 1] for _, values in rows]
        errors = [row["standard_error"] for row in own]  # NaN, at a boundary, draws nothing
        key[f"Class {k + 1} ({share:.0%})"] = ax.bar(
            np.arange(n) + width * (k - 0.5 * (K - 1)),
            [row["estimate"] for row in own],
            width,
            yerr=errors if standard_errors else None,
            color=colour(k),
            edgecolor="white",
            hatch=hatches[k % len(hatches)],
            error_kw={"elinewidth": 0.8, "capsize": 2.0},
        )
    names = [name for name, _ in rows]
    ax.set_xticks(range(n), names)
    _slanted(ax, names)
    rates = set(table.index.get_level_values("parameter")) == {"rate"}
    ax.set_ylim(0.0, None if rates else 1.0)
    return finished(ax, key, ylabel="Rate" if rates else "Probability")


def _slanted(ax: Axes, names: Any) -> None:
    if sum(len(str(name)) for name in names) > 40:  # characters side by side on a column and a half
        for label in ax.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")


def plot_enumeration(
    enumeration: Any, axes: Any = None, criteria: Any = ("aic", "bic", "sabic")
) -> Any:
    """Plot criteria against the number of classes; elbows are where the lines flatten.

    Parameters
    ----------
    enumeration : Enumeration
    axes : array of matplotlib axes, optional
        One for each criterion.
    criteria : sequence of str, default=("aic", "bic", "sabic")

    Returns
    -------
    array of matplotlib.axes.Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_iris()
    >>> classes = bm.enumerate_classes(X, range(1, 4), 1, n_bootstrap=0, random_state=0)
    >>> axes = bm.plots.plot_enumeration(classes, Figure().subplots(1, 1, squeeze=False), ("bic",))
    >>> axes[0].get_ylabel()
    'BIC'
    """
    expect("enumeration", enumeration, "an Enumeration", "table", "suggested")
    table = enumeration.table
    if unknown := [name for name in criteria if name not in table]:
        raise InvalidInputError(
            f"criteria must be columns of the table ({', '.join(table)}), got {unknown[0]!r}"
        )
    n = len(criteria)
    axes = panels(axes, 1, n, (PANEL * n + 0.4, PANEL + 0.4))
    for ax, name in zip(axes, criteria, strict=True):
        key: dict[str, Any] = {}
        for number, (model, own) in enumerate(table.groupby("model", sort=False)):
            label = f"Model {model}" if len(enumeration.models) > 1 else ""
            (key[label],) = ax.plot(
                own["n_classes"],
                own[name],
                color=colour(number),
                marker=marker(number),
                linestyle=line(number),
                markersize=4.5,
                linewidth=1.2,
            )
        best = table.loc[table[name].idxmin()]
        ax.plot(best["n_classes"], best[name], "o", ms=11, mfc="none", mec=INK, mew=1.0)
        whole_numbers(ax, sorted(table["n_classes"].unique()))
        shown = key if len(key) > 1 and ax is axes[-1] else None
        finished(ax, shown, xlabel="Classes", ylabel=LABELS.get(name, name))
    return axes


def plot_classification(profiles: Any, ax: Axes | None = None) -> Axes:
    """Plot mean posterior probabilities of all classes by assigned class.

    Parameters
    ----------
    profiles : ClassProfiles
    ax : matplotlib axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_iris()
    >>> profiles = bm.class_profiles(bm.GaussianMixture(2, random_state=0).fit(X), X)
    >>> bm.plots.plot_classification(profiles, ax=Figure().subplots()).get_xlabel()
    'Class'
    """
    expect("profiles", profiles, "a ClassProfiles", "profiles", "classification")
    matrix = profiles.classification.to_numpy()
    K = len(matrix)
    ax = axes_or_new(ax, 1.4 + 0.6 * K, 1.2 + 0.6 * K)
    ax.imshow(matrix, cmap="Greys", vmin=0.0, vmax=1.0)
    for (row, column), value in np.ndenumerate(matrix):
        text = "–" if np.isnan(value) else f"{value:.2f}".replace("0.", ".", 1)
        dark = not value > PALE
        ax.text(column, row, text, ha="center", va="center", color=INK if dark else "white")
    ax.set_xticks(range(K), [str(k + 1) for k in range(K)])
    sizes = profiles.sizes["n_assigned"]
    ax.set_yticks(range(K), [f"{k} (n = {size:,.0f})" for k, size in sizes.items()])
    ax.spines[:].set(visible=True, color=INK, linewidth=0.6)
    ax.tick_params(length=0)
    ax.set(xlabel="Class", ylabel="Assigned class")
    return ax
