"""How often bands and regions hold what they should.

``bands``: data sets from known mixtures of two normals; bands of the density by every method, row
by row at nine quantiles of the truth, and as a whole over a grid of 41 places. ``conformal``:
regions of highest density of mixtures that cannot be right (skewed and heavy-tailed rows), over
many sets of calibration rows; coverage is exact, by the intervals of each region.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy import stats

import bayesmix
from benchmarks.recipes import new_seed

ROWS = 200
DRAWS = 200
# Weights, means and standard deviations: at best 2 % and 8 % of the rows are assigned wrongly.
TRUTHS = {
    "apart": ((0.6, 0.4), (0.0, 4.0), (1.0, 1.0)),
    "overlapping": ((0.6, 0.4), (0.0, 2.5), (1.0, 0.8)),
}
METHODS = ("variational", "gibbs", "bootstrap", "bootstrap of maximum likelihood")
LEVELS = (0.5, 0.9)


def bands(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Coverage of bands, a row per problem and method; standard errors are over data sets."""
    n_sets = 6 if quick else 100
    table = []
    for name in TRUTHS:
        found = Parallel(n_jobs=-1)(delayed(_covered)(name, seed) for seed in range(n_sets))
        for place, method in enumerate(METHODS):
            values = np.array([each[place] for each in found])
            row: dict[str, Any] = {"groups": name, "method": method, "data_sets": n_sets}
            columns = _columns()
            for column, each in zip(columns, values.T, strict=True):
                row[column] = float(each.mean())
            spread = values.std(axis=0, ddof=1) / np.sqrt(n_sets)
            row["largest_standard_error"] = float(spread[:-2].max())
            table.append(row)
            print("  ", row, flush=True)
    return table


def _columns() -> list[str]:
    kinds = [f"{kind}_{100 * level:.0f}%" for level in LEVELS for kind in ("pointwise", "whole")]
    return [*kinds, "half_width_of_90%", "seconds"]


def _covered(name: str, seed: int) -> list[list[float]]:
    """Of one data set, for every method: whether each kind of band held, its width, seconds."""
    warnings.simplefilter("ignore")
    rows, grid, points = _drawn(name, seed)
    vb = bayesmix.BayesianGaussianMixture(
        2,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
        random_state=seed,
        n_jobs=1,
    ).fit(rows)
    ml = bayesmix.GaussianMixture(2, random_state=seed, n_jobs=1).fit(rows)
    table = []
    for method in METHODS:
        model = ml if "likelihood" in method else vb
        began = time.perf_counter()
        draws: Any = method
        if method == "gibbs":
            draws = bayesmix.gibbs(
                vb, rows, DRAWS, chains=4, warmup=DRAWS // 2, random_state=seed, n_jobs=1
            )
        elif method != "variational":
            draws = bayesmix.weighted_bootstrap(model, rows, DRAWS, random_state=seed, n_jobs=1)
        options = {"n_draws": 4 * DRAWS, "method": draws}
        row = []
        for level in LEVELS:
            single = model.density_interval(points, level, **options)
            whole = model.density_interval(grid, level, True, **options)
            row += [_inside(name, points, single).mean(), _inside(name, grid, whole).all()]
        half = 0.5 * np.diff(single, axis=1)[:, 0] / _density(name, points[:, 0])
        table.append([*map(float, row), float(half.mean()), time.perf_counter() - began])
    return table


def _drawn(name: str, seed: int) -> tuple[Any, Any, Any]:
    """Rows of a known mixture, the grid of the whole band, and nine quantiles of the truth."""
    weights, means, deviations = (np.array(each) for each in TRUTHS[name])
    generator = np.random.default_rng([seed, list(TRUTHS).index(name)])
    labels = generator.random(ROWS) >= weights[0]
    rows = generator.normal(means[labels * 1], deviations[labels * 1])[:, None]
    grid = np.linspace(*_quantiles(name, (0.005, 0.995)), 41)[:, None]
    return rows, grid, _quantiles(name, np.linspace(0.1, 0.9, 9))[:, None]


AFTER_SELECTION = ("variational", "gibbs")


def bands_after_selection(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """The same for the band of ``select``, which chose K and structure; 20 data sets a repeat."""
    seed, n_sets = new_seed(), 6 if quick else 20 * repeats
    print(f"  seed {seed}", flush=True)
    table: list[dict[str, Any]] = [{"seed": seed}]
    for name in TRUTHS:
        jobs = (delayed(_selected)(name, seed + number) for number in range(n_sets))
        found = np.array(Parallel(n_jobs=-1)(jobs))
        for place, method in enumerate(AFTER_SELECTION):
            row = {"groups": name, "method": method, "data_sets": n_sets}
            row |= dict(zip(SELECTED, found[:, place].mean(axis=0).tolist(), strict=True))
            table.append(row)
            print("  ", row, flush=True)
    return table


SELECTED = ("pointwise_90%", "whole_90%", "half_width_of_90%", "seconds", "K")


def _selected(name: str, seed: int) -> list[list[float]]:
    """Of one data set, for every method, the columns of ``SELECTED``."""
    warnings.simplefilter("ignore")
    rows, grid, points = _drawn(name, seed)
    search: Any = bayesmix.select(rows, n_jobs=1, random_state=seed, progress=False)
    table = []
    for method in AFTER_SELECTION:
        began = time.perf_counter()
        options = {"data": rows if method == "gibbs" else None, "random_state": seed}
        single = search.density_interval(points, 0.9, **options)
        whole = search.density_interval(grid, 0.9, simultaneous=True, **options)
        held = _inside(name, points, single).mean(), _inside(name, grid, whole).all()
        half = 0.5 * np.diff(single, axis=1)[:, 0] / _density(name, points[:, 0])
        K = search.best_estimator_.n_components_
        table.append([*map(float, held), half.mean(), time.perf_counter() - began, float(K)])
    return table


def _density(name: str, places: Any) -> Any:
    weights, means, deviations = TRUTHS[name]
    return stats.norm.pdf(np.asarray(places)[:, None], means, deviations) @ np.array(weights)


def _quantiles(name: str, shares: Any) -> Any:
    weights, means, deviations = TRUTHS[name]
    places = np.linspace(-10.0, 15.0, 100_001)
    below = stats.norm.cdf(places[:, None], means, deviations) @ np.array(weights)
    return np.interp(shares, below, places)


def _inside(name: str, places: Any, band: Any) -> Any:
    truth = _density(name, places[:, 0])
    return (band[:, 0] <= truth) & (truth <= band[:, 1])


LAWS: dict[str, Any] = {
    "skewed (lognormal, 0.9)": stats.lognorm(0.9),
    "heavy tails (t, 1.5)": stats.t(1.5),
}


def conformal(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Coverage of regions of level 0.9, a row per law and number of calibration rows."""
    n_sets = 50 if quick else 1000
    table = []
    for name, law in LAWS.items():
        rows = law.rvs((ROWS, 1), random_state=np.random.default_rng(0))
        search = bayesmix.MixtureSearch(
            bayesmix.GaussianMixture(random_state=0, n_jobs=1), range(1, 5), n_jobs=1
        )
        model = search.fit(rows).best_estimator_
        by_model = _held(law, model.density_region(0.9, n_draws=100_000, random_state=0))
        for n in (20, 50, 200, 1000) if not quick else (20,):
            parts = Parallel(n_jobs=-1)(
                delayed(_coverages)(law, model, n, range(first, n_sets, 4)) for first in range(4)
            )
            coverages = np.concatenate(parts)
            k = int(0.1 * (n + 1) + 1e-9)
            beta = stats.beta(n + 1 - k, k)
            low, high = np.quantile(coverages, [0.05, 0.95])
            table.append(
                {
                    "rows": name,
                    "components": model.n_components_,
                    "held_by_the_model's_own": by_model,
                    "calibration_rows": n,
                    "mean_coverage": float(coverages.mean()),
                    "standard_error": float(coverages.std(ddof=1) / np.sqrt(n_sets)),
                    "expected": float(beta.mean()),
                    "nine_in_ten": f"{low:.3f} to {high:.3f}",
                    "by_the_beta_law": f"{beta.ppf(0.05):.3f} to {beta.ppf(0.95):.3f}",
                }
            )
            print("  ", table[-1], flush=True)
    return table


def _coverages(law: Any, model: Any, n: int, seeds: Any) -> list[float]:
    found = []
    for seed in seeds:
        fresh = law.rvs((n, 1), random_state=np.random.default_rng([1, n, seed]))
        found.append(_held(law, model.density_region(0.9, calibration=fresh)))
    return found


def _held(law: Any, region: Any) -> float:
    return float(np.diff(law.cdf(region.intervals()), axis=1).sum())
