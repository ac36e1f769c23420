"""The README's figure: `python docs/figures.py` writes docs/_static/faithful.png."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

import bayesmix as bm

TARGET = Path(__file__).parent / "_static" / "faithful.png"


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


if __name__ == "__main__":
    draw()
