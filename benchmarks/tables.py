"""Results as a page of the documentation."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import pandas as pd

HEAD = """# Benchmarks

Measured on {date} with `python -m benchmarks --docs` on {cores} cores of {processor} ({system}):
{versions}. Both sides run in one process, alternating, with the same cores; ratios are medians of
pairs. Numbers of a shared machine: repeat them on yours with the same command, or a part of it with
`python -m benchmarks passes`. The problems' recipe is in `benchmarks/problems.py`.
"""


def page(results: dict[str, Any], titles: dict[str, str]) -> str:
    """The page, with a table for every part that was measured."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    parts = [HEAD.format(**{"date": results["date"], **machine, "versions": versions})]
    for part, title in titles.items():
        if results.get(part):
            measured = results.get("measured", {}).get(part, results["date"])
            earlier = "" if measured == results["date"] else f"Measured on {measured}.\n\n"
            parts.append(f"## {title}\n\n{earlier}{markdown(results[part])}\n")
    return "\n".join(parts)


def side_by_side(pairs: list[tuple[float, float]], unit: str = "s") -> dict[str, float]:
    """Columns of pairs of seconds (ours, theirs): both medians, and the ratio with its spread."""
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    factor = {"s": 1.0, "ms": 1e3}[unit]
    return {
        f"bayesmix_{unit}": factor * median(ours for ours, _ in pairs),
        f"scikit_learn_{unit}": factor * median(theirs for _, theirs in pairs),
        "times_faster": median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Rows with the same columns as one table each."""
    kinds: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(tuple(row), []).append(row)
    return "\n\n".join(_table(pd.DataFrame(kind)) for kind in kinds.values())


def _table(frame: pd.DataFrame) -> str:
    names = [str(name).replace("_", " ") for name in frame.columns]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for values in frame.itertuples(index=False):
        lines.append(f"| {' | '.join(_shown(value) for value in values)} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if math.isnan(value):  # None beside numbers
        return ""
    return f"{value:.3g}" if abs(value) < 100.0 else f"{value:,.0f}"
