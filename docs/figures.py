"""Figures of the documentation: `python docs/figures.py` writes them into docs/_static.

The README's is drawn anew; that of optimism from the newest figures in benchmarks/results,
that of calibration from the places saved there.
"""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesmix as bm

STATIC = Path(__file__).parent / "_static"
TARGET = STATIC / "faithful.png"
COLOURS = ("#0072B2", "#E69F00", "#009E73")
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def draw() -> None:
    """Draw the probability of each number of clusters for Old Faithful, and the clusters."""
    X = bm.datasets.load_faithful()
    figure, axes = plt.subplots(
        1, 2, figsize=(10.5, 4.2), layout="constrained", width_ratios=(1.0, 3.0)
    )
    _, right = bm.plot_answer(bm.select(X), X, axes)
    right.set_xlabel("duration of the eruption (minutes)")
    right.set_ylabel("waiting time until the next (minutes)")
    TARGET.parent.mkdir(exist_ok=True)
    # Without the date and the version of matplotlib the same picture is the same file.
    figure.savefig(TARGET, dpi=130, metadata={"Software": None})


def draw_optimism() -> None:
    """Draw the score of the best candidate, nested cross-validation, and the truth."""
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
    ax.set_xlabel("number of candidates that differ by chance only")
    ax.set_ylabel("log density per observation\n(nats, greater is better)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylim(top=ax.get_ylim()[1] + 0.05)
    ax.legend(fontsize="small", frameon=False, ncols=2, loc="upper left")
    figure.savefig(STATIC / "optimism.png", dpi=130, metadata={"Software": None})


# p(K | rows) and p(K+ | rows), K = 3, 4, ...: a run of Richardson & Green's program, and what the
# authors of the telescoping sampler print. docs/explanation/galaxies.md says where they stand.
PUBLISHED = {
    "Nmix": (
        [0.0392, 0.1243, 0.2076, 0.2210, 0.1683, 0.1090, 0.0536, 0.0354, 0.0196, 0.0096],
        [0.0472, 0.1507, 0.2649, 0.2492, 0.1559, 0.0787, 0.0301, 0.0145, 0.0059, 0.0020],
    ),
    "telescope": ([0.05, 0.15, 0.21, 0.20, 0.16, 0.11, 0.06, 0.03, 0.02, 0.01], None),
}
VARIANCES = (1.0, 2.0, 4.0)


def draw_galaxies(n_draws: int = 10_000) -> None:
    """Draw posteriors of K and K+ for 82 galaxies under three priors, and published ones."""
    X = bm.datasets.load_galaxies().to_numpy() / 1000.0
    extent = float(X.max() - X.min())
    numbers = np.arange(3, 13)
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.0), layout="constrained", sharey=True)
    for expected, colour, kind in zip(VARIANCES, COLOURS, ("o-", "s-", "D-"), strict=True):
        vb = bm.BayesianGaussianMixture(
            n_components=6,
            weight_concentration_prior_type="dirichlet_distribution",
            weight_concentration_prior=1.0,
            mean_prior=[(X.max() + X.min()) / 2.0],
            mean_precision_prior=expected / extent**2,
            degrees_of_freedom_prior=4.0,
            covariance_prior=[[2.0 * expected]],
            random_state=0,
        ).fit(X)
        found = bm.gibbs(
            vb, X, n_draws=n_draws, n_components=None, prior_over_k=dict.fromkeys(range(1, 31), 1)
        )
        print(f"E[variance] = {expected:g}", found.summary(), f"{found.seconds:.0f} s", sep="\n")
        shares = (found.k_probabilities, found.occupied)
        for ax, own in zip(axes, shares, strict=True):
            own = own.reindex(numbers, fill_value=0.0)
            print(own.round(3).to_list())
            ax.plot(numbers, own, kind, color=colour, label=f"prior mean of variances {expected:g}")
    for (name, published), kind in zip(PUBLISHED.items(), ("x--", "+:"), strict=True):
        for ax, values in zip(axes, published, strict=True):
            if values is not None:
                ax.plot(numbers, values, kind, color="#1a1a1a", label=f"published ({name})")
    for ax, label in zip(axes, ("components K", "occupied components K+"), strict=True):
        ax.set_xlabel(label)
        ax.set_xticks(numbers)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("posterior probability")
    axes[0].set_ylim(bottom=0.0)
    axes[0].legend(fontsize="small", frameon=False, loc="upper right")
    figure.savefig(STATIC / "galaxies.png", dpi=130, metadata={"Software": None})


def draw_uncertainty() -> None:
    """Draw a density over two features and its relative uncertainty."""
    X = bm.datasets.load_faithful()
    vb = bm.BayesianGaussianMixture(n_components=8, random_state=0).fit(X)
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.2), layout="constrained")
    bm.plot_uncertainty(vb, X, axes)
    figure.savefig(STATIC / "uncertainty.png", dpi=130, metadata={"Software": None})


def draw_region() -> None:
    """Draw a calibrated highest-density region over two features and over one."""
    X = bm.datasets.load_faithful()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 4.2), layout="constrained", width_ratios=(1.25, 1.0)
    )
    for ax, columns in ((left, ["eruptions", "waiting"]), (right, ["waiting"])):
        search = bm.MixtureSearch(n_components=(1, 2, 3), random_state=0)
        region = bm.conformal_region(search, X[columns], level=0.9, random_state=0)
        region.plot(X[columns], ax=ax)
    figure.savefig(STATIC / "region.png", dpi=130, metadata={"Software": None})


def draw_orders() -> None:
    """Draw the density of the tutorial on large data, with every tenth observation."""
    rng = np.random.default_rng(0)
    nights = []
    for _ in range(8):
        kind = rng.choice(3, size=2_500, p=[0.6, 0.3, 0.1])
        items = rng.normal(np.array([3.0, 8.0, 15.0])[kind], 1.0)
        euros = np.array([20.0, 60.0, 55.0])[kind] + rng.normal(0.0, 6.0, 2_500)
        nights.append(pd.DataFrame({"items": items, "euros": euros}))
    orders = pd.concat(nights, ignore_index=True)
    gm = bm.GaussianMixture(3, random_state=0).fit(orders)
    figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    bm.plot_density(gm, orders[::10], ax)
    figure.savefig(STATIC / "orders.png", dpi=130, metadata={"Software": None})


def draw_calibration() -> None:
    """Draw ECDFs of the rank of the truth among draws, minus the diagonal, and a uniform band."""
    from benchmarks.posterior import METHODS, RANKS, ecdf_difference, simultaneous_band

    places = json.loads((RESULTS / RANKS.name).read_text("utf-8"))
    names = list(places["Gibbs"])
    grid = np.arange(1, 200) / 200.0
    figure, axes = plt.subplots(
        2, 3, figsize=(9.6, 5.2), sharex=True, sharey=True, layout="constrained"
    )
    lines = dict(zip(METHODS, (("#0072B2", "-"), ("#D55E00", "--")), strict=False))
    for name, ax in zip(names, axes.flat, strict=True):
        band = simultaneous_band(len(places["Gibbs"][name]), grid)
        ax.fill_between(
            grid, *band.T, color="#dcdcdc", linewidth=0, label="uniform ranks stay here (95 %)"
        )
        for method, (colour, kind) in lines.items():
            values = np.array(places[method][name])
            away = ecdf_difference(values[np.isfinite(values)], grid)
            ax.plot(grid, away, kind, color=colour, linewidth=1.6, label=method)
        ax.set_title(name, fontsize="medium", loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("rank of the truth among the draws", fontsize="medium")
    figure.supylabel("ECDF of the rank minus the diagonal", fontsize="medium")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(STATIC / "calibration.png", dpi=130, metadata={"Software": None})


def draw_covariances() -> None:
    """Draw three ellipses of every covariance structure, as in Celeux & Govaert 1995."""
    from bayesmix.families.gaussian.covariance.models import STRUCTURES

    angles = np.linspace(0.0, 2.0 * np.pi, 200)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    centres = ((-1.6, -1.0), (1.7, -0.9), (0.1, 1.6))
    # By letter: the same for all, or one each; volumes, ratios of the axes' variances, directions.
    volumes = {"E": (0.5, 0.5, 0.5), "V": (0.2, 0.5, 1.0)}
    ratios = {"I": (1.0, 1.0, 1.0), "E": (3.0, 3.0, 3.0), "V": (1.3, 7.0, 2.6)}
    directions = {"I": (0.0, 0.0, 0.0), "E": (0.6, 0.6, 0.6), "V": (0.6, 2.1, -0.5)}
    figure, axes = plt.subplots(3, 5, figsize=(10.0, 6.6), layout="constrained")
    shown = sorted(STRUCTURES.values(), key=lambda each: each.n_parameters(2, 3))
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    for structure, ax in zip(shown, axes.flat, strict=False):
        volume, shape, direction = structure.letters
        parts = zip(volumes[volume], ratios[shape], directions[direction], strict=True)
        for centre, colour, (size, ratio, angle) in zip(centres, COLOURS, parts, strict=True):
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            lengths = np.sqrt(size * np.array([ratio**0.5, ratio**-0.5]))
            line = turn @ (lengths[:, None] * circle)
            ax.plot(centre[0] + line[0], centre[1] + line[1], color=colour, linewidth=1.8)
        name = structure.letters
        other = "" if structure.name == name else f" ({structure.name})"
        ax.set_title(f"{name}{other}", fontsize="medium", loc="left")
        ax.set(xlim=(-3.2, 3.4), ylim=(-2.5, 3.1), xticks=[], yticks=[], aspect="equal")
        ax.spines[:].set_color("#bbbbbb")
    figure.savefig(STATIC / "covariances.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    draw()
    draw_covariances()
    draw_optimism()
    draw_galaxies()
    draw_uncertainty()
    draw_region()
    draw_orders()
    draw_calibration()
