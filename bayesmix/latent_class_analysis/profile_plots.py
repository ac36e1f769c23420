"""Figures of papers on latent classes: profiles, item probabilities, enumeration, classification.

All are legible in grey: classes differ in marker, line and luminance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.assess.apa import bounded
from bayesmix.core import validation
from bayesmix.core.nouns import plural
from bayesmix.errors import InvalidInputError
from bayesmix.latent_class_analysis.enumeration import warn_of_awe
from bayesmix.numerics.arrays import Array
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

# Inches of a panel, of a figure of one journal column and a half, and across a page.
PANEL, WIDTH, HEIGHT, PAGE = 2.6, 5.2, 3.4, 9.0
# Share of the distance between indicators by which classes are set apart.
APART = 0.06
# Characters that fit side by side below a column and a half.
MOST_CHARACTERS = 40
# Luminance above which text in a cell is dark.
PALE = 0.55
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "ooo")
CRITERIA = ("aic", "bic", "sabic")
GREATER = ("sic", "cmp")  # is better
LABELS = {name: name.upper() for name in (*CRITERIA, "caic", "awe", "icl", "sic")}


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
    rows, means = shown_rows(profiles)
    ax = axes_or_new(ax, *profiles_size(profiles))
    shares = profiles.sizes["share"].to_numpy()
    key = drawn_profiles(ax, profiles, rows, means, shares, units, standard_errors)
    return finished(ax, key, ylabel=label_of_values(profiles, means, units))


def plot_wave_profiles(
    profiles: Any,
    columns: Any,
    axes: Any = None,
    units: str = "z",
    standard_errors: bool = True,
    items: Any = None,
) -> Any:
    """Plot the profiles of the states of a panel by wave, where measurement is free by wave.

    Items then have a column for each wave. A panel for each wave is drawn as in
    ``plot_class_profiles``, with the shares of the states at this wave.

    Parameters
    ----------
    profiles : ClassProfiles
        Of a hidden Markov model.
    columns : mapping of wave to sequence of columns, or sequence of these
        Columns of each wave, with the same items in the same order.
    axes : array of matplotlib axes, optional
        One for each wave.
    units, standard_errors
        As in ``plot_class_profiles``.
    items : sequence of str, optional
        Names of the items; by default the columns of each wave.

    Returns
    -------
    array of matplotlib.axes.Axes

    Raises
    ------
    InvalidInputError
        For columns that are not in the profiles, and waves with different numbers of items.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> states = rng.random((100, 2)) < 0.5
    >>> X = np.full((100, 2, 4), np.nan)  # columns a1 and b1 of wave 1, a2 and b2 of wave 2
    >>> for wave in (0, 1):
    ...     chances = np.where(states[:, [wave]], 0.9, 0.1)
    ...     X[:, wave, 2 * wave : 2 * wave + 2] = rng.random((100, 2)) < chances
    >>> X = pd.DataFrame(X.reshape(200, 4), columns=["a1", "b1", "a2", "b2"])
    >>> hmm = bm.HiddenMarkovModel(2, family="bernoulli", missing="use", random_state=0)
    >>> hmm = hmm.fit(X, groups=np.repeat(np.arange(100), 2))
    >>> profiles = bm.class_profiles(hmm, X)
    >>> waves = {"Wave 1": ["a1", "b1"], "Wave 2": ["a2", "b2"]}
    >>> axes = Figure().subplots(1, 2)
    >>> axes = bm.plots.plot_wave_profiles(profiles, waves, axes, items=["a", "b"])
    >>> axes[1].get_title()
    'Wave 2'
    """
    expect("profiles", profiles, "a ClassProfiles", "profiles", "classification")
    validation.one_of("units", units, ("z", "raw"))
    waves = _columns_of_waves(profiles, columns, items)
    parts = [shown_rows(profiles, own, items) for own in waves.values()]
    means, n = parts[0][1], len(waves)
    width = 0.8 + (0.35 if means else 0.2 * profiles.n_classes) * max(len(own) for own, _ in parts)
    inches = min(max(WIDTH, n * width), PAGE)
    axes = panels(axes, 1, n, (inches, HEIGHT))
    of_all = profiles.sizes["share"].to_numpy()
    by_wave = np.tile(of_all, (n, 1))
    if profiles.waves is not None and len(profiles.waves) == by_wave.size:
        by_wave = profiles.waves["share"].to_numpy().reshape(n, -1)
    given: Any = units, standard_errors, MOST_CHARACTERS * inches / n / WIDTH
    keys = []
    for ax, (rows, _), shares in zip(axes, parts, by_wave, strict=True):
        keys.append(drawn_profiles(ax, profiles, rows, means, shares, *given))
    limits = [ax.get_ylim() for ax in axes]
    low, high = min(bottom for bottom, _ in limits), max(top for _, top in limits)
    for ax, key, wave in zip(axes, keys, waves, strict=True):
        ax.set_ylim(low, high)
        label = label_of_values(profiles, means, units) if ax is axes[0] else ""
        finished(ax, key, ylabel=label, title=str(wave))
    return axes


def _columns_of_waves(profiles: Any, columns: Any, items: Any) -> dict[Any, list[Any]]:
    """Return the columns of each wave after checks."""
    if not isinstance(columns, Mapping):
        columns = {f"Wave {place}": own for place, own in enumerate(columns, start=1)}
    waves = {wave: [own] if isinstance(own, str) else list(own) for wave, own in columns.items()}
    known = profiles.profiles.index.unique("column")
    unknown = [column for own in waves.values() for column in own if column not in known]
    if unknown:
        raise InvalidInputError(
            f"columns has {unknown[0]!r}, which is not in the profiles, only "
            f"{', '.join(map(str, known))}"
        )
    sizes = {len(own) for own in waves.values()} | ({len(items)} if items is not None else set())
    if len(waves) < 2 or len(sizes) > 1 or 0 in sizes:
        numbers = ", ".join(f"{len(own)} for {wave!r}" for wave, own in waves.items())
        raise InvalidInputError(
            "columns must name as many columns for each of two waves or more, one for each of the "
            f"items, got {numbers or 'none'}{'' if items is None else f', and {len(items)} items'}"
        )
    return waves


def label_of_values(profiles: Any, means: bool, units: str) -> str:
    """Return the label of the values of a figure of profiles."""
    if means:
        return "Mean (z)" if units == "z" else "Mean"
    return "Rate" if _are_rates(profiles) else "Probability"


def _are_rates(profiles: Any) -> bool:
    """Whether all columns are counts."""
    return bool(profiles.profiles.index.unique("parameter").tolist() == ["rate"])


def drawn_profiles(
    ax: Axes,
    profiles: Any,
    rows: dict[str, Any],
    means: bool,
    shares: Array,
    units: str,
    standard_errors: bool,
    most_characters: float = MOST_CHARACTERS,
) -> dict[str, Any]:
    """Draw rows of profiles; return what is drawn by class, with its share.

    Names of more than ``most_characters`` are rotated.
    """
    z = means and units == "z"
    K, places = profiles.n_classes, np.arange(len(rows))
    values, errors = (
        np.array([profile[column].to_numpy() for profile in rows.values()])
        for column in (("z", "z_error") if z else ("estimate", "standard_error"))
    )
    errors = errors if standard_errors else np.full_like(errors, np.nan)  # NaN draws nothing
    key: dict[str, Any] = {}
    for k, share in enumerate(shares):
        middle, label = k - 0.5 * (K - 1), f"{profiles.heads[k]} ({share:.0%})"
        if means:
            style = {"marker": marker(k), "linestyle": line(k), "markersize": 5, "linewidth": 1.4}
            key[label] = ax.errorbar(
                places + APART * middle, values[:, k], errors[:, k], color=colour(k), capsize=2.5,
                **style,
            )  # fmt: skip
        else:
            key[label] = ax.bar(
                places + 0.8 / K * middle, values[:, k], 0.8 / K, yerr=errors[:, k],
                color=colour(k), edgecolor="white", hatch=HATCHES[k % len(HATCHES)],
                error_kw={"elinewidth": 0.8, "capsize": 2.0},
            )  # fmt: skip
    if z:
        ax.axhline(0.0, color=INK, linewidth=0.6, zorder=0)
    ax.set_xticks(places, list(rows), parse_math=False)  # names may have dollar signs
    if sum(map(len, rows)) > most_characters:
        ax.tick_params("x", rotation=35)
        for text in ax.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
    if not means:
        rates = _are_rates(profiles)
        ax.set_ylim(0.0, None if rates else 1.0)
        if not rates:
            ax.set_yticks(np.linspace(0.0, 1.0, 6))  # none above, beside the legend
    return key


def shown_rows(
    profiles: Any, columns: Any = None, items: Any = None
) -> tuple[dict[str, Any], bool]:
    """Return the rows that ``plot_class_profiles`` shows by name, and whether they are means.

    ``columns`` are those that are shown, by default all, under the names of ``items``.
    """
    kinds = profiles.profiles.index.get_level_values("parameter")
    means, rows = bool((kinds == "mean").any()), {}
    shown = profiles.profiles[kinds == "mean"] if means else profiles.profiles
    of_columns = dict(list(shown.groupby(level="column", sort=False)))
    columns = list(of_columns) if columns is None else columns
    for column, item in zip(columns, columns if items is None else items, strict=True):
        profile = of_columns[column]
        levels = list(profile.index.unique("level"))
        for level in levels[len(levels) == 2 :]:  # the first of two levels is the rest
            alone = level == "" or (items is not None and len(levels) <= 2)
            rows[str(item) if alone else f"{item}: {level}"] = profile.xs(level, level="level")
    return rows, means


def profiles_size(profiles: Any) -> tuple[float, float]:
    """Return width and height in inches of the figure of profiles, legible on a page."""
    rows, means = shown_rows(profiles)
    width = (0.8 if means else 0.28 * profiles.n_classes) * len(rows)
    return min(max(WIDTH, width), PAGE), HEIGHT


def plot_enumeration(enumeration: Any, axes: Any = None, criteria: Any = CRITERIA) -> Any:
    """Plot criteria against the number of classes; elbows are where the lines flatten.

    One class, whose values are often far above the others, is shown beside fewer than three other
    numbers, or where a criterion is smallest there.

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
    if criteria is not CRITERIA and "awe" in criteria:
        warn_of_awe()
    table = shown_fits(table, criteria)
    n, heads = len(criteria), plural(enumeration.noun).title()
    axes = panels(axes, 1, n, (PANEL * n + 0.4, PANEL + 0.4))
    for ax, name in zip(axes, criteria, strict=True):
        key: dict[str, Any] = {}
        for k, (model, rows) in enumerate(table.groupby("model", sort=False)):
            style = {"color": colour(k), "marker": marker(k), "linestyle": line(k)}
            (key[f"Model {model}"],) = ax.plot(
                rows["n_classes"], rows[name], markersize=4.5, linewidth=1.2, **style
            )
        best = table.loc[table[name].idxmax() if name in GREATER else table[name].idxmin()]
        ax.plot(best["n_classes"], best[name], "o", ms=11, mfc="none", mec=INK, mew=1.0)
        whole_numbers(ax, sorted(table["n_classes"].unique()))
        shown = key if len(key) > 1 and ax is axes[-1] else None
        finished(ax, shown, xlabel=heads, ylabel=LABELS.get(name, name))
    return axes


def shown_fits(table: Any, criteria: Any = CRITERIA) -> Any:
    """Return the rows of an enumeration that ``plot_enumeration`` shows."""
    several = table[table["n_classes"] > 1]
    best_rows = [
        table[name].idxmax() if name in GREATER else table[name].idxmin() for name in criteria
    ]
    best_numbers = table.loc[best_rows, "n_classes"]
    return several if several["n_classes"].nunique() > 2 and best_numbers.min() > 1 else table


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
    'Profile'
    """
    expect("profiles", profiles, "a ClassProfiles", "profiles", "classification")
    matrix = profiles.classification.to_numpy()
    K = len(matrix)
    ax = axes_or_new(ax, 1.4 + 0.6 * K, 1.2 + 0.6 * K)
    ax.imshow(matrix, cmap="Greys", vmin=0.0, vmax=1.0)
    for (row, column), value in np.ndenumerate(matrix):
        ink = "white" if value > PALE else INK
        ax.text(column, row, bounded(value), ha="center", va="center", color=ink)
    ax.set_xticks(range(K), [str(k + 1) for k in range(K)])
    sizes = profiles.sizes["n_assigned"]
    ax.set_yticks(range(K), [f"{k} (n = {size:,.0f})" for k, size in enumerate(sizes, 1)])
    ax.spines[:].set(visible=True, color=INK, linewidth=0.6)
    ax.tick_params(length=0)
    ax.set(xlabel=profiles.noun.title(), ylabel=f"Assigned {profiles.noun}")
    return ax
