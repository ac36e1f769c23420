"""Pairs of runs as columns of a table."""

from __future__ import annotations

from statistics import median


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
