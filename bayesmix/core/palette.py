"""Colours of clusters, classes, states and components, the same in every figure, table and file."""

from __future__ import annotations

# Neighbours differ in luminance. The first eight are of Okabe & Ito (2008) and Tol (2021). The last
# ten differ from all others at least as much as those do from one another, also for protanopes and
# deuteranopes (CIELAB distances, with the matrices of Machado et al. 2009).
COLOURS = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#7A1F4F",  # wine
    "#009E73",  # green
    "#56B4E9",  # sky
    "#D55E00",  # vermillion
    "#332288",  # indigo
    "#CC79A7",  # purple
    "#6B3E12",  # brown
    "#999933",  # olive
    "#0044FF",  # ultramarine
    "#88CC77",  # light green
    "#DD3355",  # red
    "#55CCDD",  # turquoise
    "#663377",  # plum
    "#7777FF",  # periwinkle
    "#881133",  # crimson
    "#88CCAA",  # mint
    "#5522BB",  # violet
    "#8899FF",  # pale blue
)
OF_NOISE = "#595959"


def colour(k: int) -> str:
    """Return the colour of group or component k; -1 is noise, or outlying."""
    return COLOURS[k % len(COLOURS)] if k >= 0 else OF_NOISE
