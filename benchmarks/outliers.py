"""Far rows and heavy tails: noise beside mclust's, the right K, and what one row may do."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import bayesmix as bm
from bayesmix.numerics.arrays import Array

CANDIDATES = [1, 2, 3, 4]
# Noise fits of mclust from the same labels, to the same end.
SCRIPT = """
suppressMessages(library(mclust))
rows <- as.matrix(read.csv("{folder}/rows.csv", header = FALSE))
z <- unmap(scan("{folder}/labels.csv", quiet = TRUE))
for (model in c({models})) {{
  fit <- me(rows, model, z, Vinv = hypvol(rows, reciprocal = TRUE),
            control = emControl(tol = c(1e-14, 1e-14), itmax = c(1e5, 1e5)))
  cat(model, format(fit$loglik, digits = 17), "\\n")
}}
"""
MODELS = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VVV")
FAR = 1e6


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per kind of rows and model: four sets a repeat, 20 by default."""
    kinds = {
        "495 normal rows and five far ones": (contaminated, 1),
        "two clusters of t with 2 degrees of freedom": (heavy, 2),
    }
    table = []
    for case, (made, right) in kinds.items():
        sets = [made(seed) for seed in range(4 * (1 if quick else repeats))]
        for name, estimator in models().items():
            found = [chosen(estimator, rows) for rows in sets]
            row = {"case": case, "model": name, "sets": len(sets)}
            row |= {"right K": sum(right == K for K in found), "mean K": float(np.mean(found))}
            table.append(row)
            print("  ", row, flush=True)
    return table


def models() -> dict[str, Any]:
    """The estimators that are compared, all by BIC."""
    return {
        "Gaussian": bm.GaussianMixture(search="short", max_iter=1000),
        "Gaussian and noise": bm.GaussianMixture(search="short", noise="uniform", max_iter=1000),
        "Student-t": bm.Mixture(family=bm.StudentT(), search="short", max_iter=1000),
    }


def chosen(estimator: Any, rows: Array) -> int:
    """K by BIC."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = bm.MixtureSearch(estimator, CANDIDATES, criterion="bic", random_state=0).fit(rows)
    return int(search.best_params_["n_components"])


def contaminated(seed: int) -> Array:
    """Normal rows, and five at random in a square 120 standard deviations wide."""
    rng = np.random.default_rng([2614, seed])
    return np.vstack([rng.normal(size=(495, 2)), rng.uniform(-60, 60, (5, 2))])


def heavy(seed: int) -> Array:
    """Two clusters of 300 rows, 12 scales apart."""
    rng = np.random.default_rng([2615, seed])
    return np.vstack(
        [
            stats.multivariate_t([12.0 * cluster, 0.0], np.eye(2), df=2, seed=rng).rvs(300)
            for cluster in range(2)
        ]
    )


def theory(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Nats between noise fits and mclust's; what a row at 1e6 changes, of what theory allows."""
    seeds = range(2 if quick else repeats)
    table = []
    if shutil.which("Rscript") is None:
        print("  mclust: no R, skipped")
    else:
        apart = [abs(ours - theirs) for seed in seeds for ours, theirs in noise_fits(seed)]
        table.append({"case": "noise fits: nats from mclust's", "fits": len(apart)})
        table[-1] |= {"largest": max(apart), "allowed": 1e-6}
    shares = [scale_change(seed, nu, D) for seed in seeds for nu in (2.0, 5.0) for D in (1, 3)]
    table.append(
        {
            "case": "Student-t: own part of the far row in the scale, of (ν + D) / N",
            "fits": len(shares),
            "largest": max(shares),
            "allowed": 1.0,
        }
    )
    moved = [noise_change(seed, D) for seed in seeds for D in (1, 2, 3)]
    table.append(
        {
            "case": "noise: change of a mean or covariance, in units of the columns",
            "fits": len(moved),
            "largest": max(moved),
            "allowed": 1e-6,
        }
    )
    for row in table:
        print("  ", row, flush=True)
    return table


def noise_fits(seed: int) -> list[tuple[float, float]]:
    """Log-likelihoods here and of mclust, model by model, from the true labels."""
    rng = np.random.default_rng([2611, seed])
    D = 2 + seed % 2
    root = np.tril(rng.normal(size=(D, D))) + 2.0 * np.eye(D)
    rows = np.vstack(
        [
            rng.normal(size=(150, D)),
            6.0 + rng.normal(size=(100, D)) @ root.T,
            rng.uniform(-12.0, 18.0, (20, D)),
        ]
    )
    labels = np.repeat([0, 1, -1], [150, 100, 20])
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(Path(folder) / "rows.csv", rows, delimiter=",", fmt="%.17g")
        # unmap takes the noise for the last of the sorted groups.
        np.savetxt(Path(folder) / "labels.csv", np.where(labels < 0, 3, labels + 1), fmt="%d")
        models = ", ".join(f'"{model}"' for model in MODELS)
        script = Path(folder) / "noise.R"
        script.write_text(SCRIPT.format(folder=folder, models=models), encoding="utf-8")
        said = subprocess.run(
            ["Rscript", str(script)], check=True, capture_output=True, text=True
        ).stdout
    found = []
    for line in said.splitlines():
        model, theirs = line.split()
        ours = bm.GaussianMixture(
            2,
            covariance_type=model,
            noise="uniform",
            init_params=labels,
            max_iter=10**5,
            tol=1e-13,
        ).fit(rows)
        found.append((ours.log_likelihood_, float(theirs)))
    return found


def scale_change(seed: int, nu: float, D: int) -> float:
    """How much of (ν + D) / N the far row has in the scale, along the direction where most."""
    rng = np.random.default_rng([2612, seed, D])
    far = np.zeros((1, D))
    far[0, 0] = FAR
    rows = np.vstack(
        [stats.multivariate_t(np.zeros(D), np.eye(D), nu, seed=rng).rvs(300).reshape(-1, D), far]
    )
    family = bm.StudentT(degrees_of_freedom=nu)
    found = bm.Mixture(1, family=family, max_iter=5000, tol=1e-12).fit(rows).result_.unframed
    away, scale = far[0] - found.means[0], found.scales[0]
    weight = (nu + D) / (nu + away @ np.linalg.solve(scale, away))
    own = weight * np.outer(away, away) / len(rows)
    share = np.linalg.eigvals(np.linalg.solve(scale, own)).real.max()
    return float(share / ((nu + D) / len(rows)))


def noise_change(seed: int, D: int) -> float:
    """The largest change of a mean or covariance by a far row, beside noise."""
    rng = np.random.default_rng([2613, seed, D])
    rows = rng.normal(size=(495, D))
    alone = bm.GaussianMixture(1).fit(rows)
    far = np.zeros((1, D))
    far[0, 0] = FAR
    beside = bm.GaussianMixture(1, noise="uniform", max_iter=5000, tol=1e-12, random_state=0)
    beside.fit(np.vstack([rows, far]))
    apart = beside.means_ - alone.means_, beside.covariances_ - alone.covariances_
    return float(max(np.abs(each).max() for each in apart))
