"""Figures of the documentation: `python docs/figures.py` writes them into docs/_static.

The README's is drawn anew; that of optimism from the newest figures in benchmarks/results.
"""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

import bayesmix as bm

STATIC = Path(__file__).parent / "_static"
TARGET = STATIC / "faithful.png"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def draw() -> None:
    """How many kinds of eruption Old Faithful has, and what the chosen density looks like."""
    X = bm.datasets.load_faithful()
    search = bm.select(X, n_components=range(1, 10))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 4.2), layout="constrained", width_ratios=(1.0, 1.25)
    )
    bm.plot_selection(search, left)
    bm.plot_density(search, X, right)
    right.set_xlabel("length of an eruption (minutes)")
    right.set_ylabel("time until the next one (minutes)")
    TARGET.parent.mkdir(exist_ok=True)
    # Without the date and the version of matplotlib the same picture is the same file.
    figure.savefig(TARGET, dpi=130, metadata={"Software": None})


def draw_optimism() -> None:
    """The promise of the best candidate, nested cross-validation, and the truth."""
    newest = [
        found
        for path in sorted(RESULTS.glob("*.json"))
        if (found := json.loads(path.read_text("utf-8")).get("optimism"))
    ][-1]
    numbers = [row["candidates"] for row in newest]
    figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    lines = {
        "own_score": ("the winner's own score", "#D55E00", "o-"),
        "true_at_all_rows": ("truth, all rows", "#1a1a1a", "s--"),
        "nested": ("nested cross-validation", "#0072B2", "D-"),
        "true_at_the_folds_rows": ("truth, as many rows as an outer fold has", "#767676", "^--"),
    }
    for name, (label, colour, kind) in lines.items():
        ax.plot(numbers, [row[name] for row in newest], kind, color=colour, label=label)
    ax.set_xscale("log", base=2)
    ax.set_xticks(numbers, [str(n) for n in numbers])
    ax.set_xlabel("candidates that differ by chance alone")
    ax.set_ylabel("log density of a row\n(nats, greater is better)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylim(top=ax.get_ylim()[1] + 0.05)
    ax.legend(fontsize="small", frameon=False, ncols=2, loc="upper left")
    figure.savefig(STATIC / "optimism.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    draw()
    draw_optimism()
