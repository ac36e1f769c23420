"""How often bands of the density hold the truth.

``bands``: data sets from known mixtures of two normals; bands of the density by every method, row
by row at nine quantiles of the truth, and as a whole over a grid of 41 places.
``bands_after_selection``: those of ``select``, and of other truths too.
``bands_of_kinds``: those of ``select`` with ``data``, of skewed groups and others; also the log
density of other rows, averaged over the candidates and of the chosen fit.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy import stats

import bayesmix
from benchmarks.recipes import Normals, new_seed

ROWS = 200
DRAWS = 200
PLACES, QUANTILES = 41, 9


@dataclass(frozen=True)
class Truth:
    """A mixture of normals, and the number of rows of a data set."""

    mixture: Normals
    n_rows: int = ROWS

    def density(self, places: Any) -> Any:
        return np.exp(self.mixture.log_density(places))

    def places(self) -> tuple[Any, Any]:
        """Those of the band as a whole, and those of row by row: of two columns rows of its own."""
        if self.mixture.means.shape[1] > 1:
            rows, _ = self.mixture.draw(PLACES, np.random.default_rng(0))
            return rows, rows
        grid = np.linspace(*self._quantiles((0.005, 0.995)), PLACES)
        return grid[:, None], self._quantiles(np.linspace(0.1, 0.9, QUANTILES))[:, None]

    def _quantiles(self, shares: Any) -> Any:
        at = np.linspace(-10.0, 15.0, 100_001)
        deviations = np.sqrt(self.mixture.covariances[:, 0, 0])
        below = stats.norm.cdf(at[:, None], self.mixture.means[:, 0], deviations)
        return np.interp(shares, below @ self.mixture.weights, at)


def _one_column(weights: Any, means: Any, deviations: Any, n_rows: int = ROWS) -> Truth:
    variances = np.array(deviations)[:, None, None] ** 2
    return Truth(Normals(np.array(weights), np.array(means)[:, None], variances), n_rows)


# At best 2 % and 8 % of the rows are assigned wrongly.
TRUTHS = {
    "apart": _one_column((0.6, 0.4), (0.0, 4.0), (1.0, 1.0)),
    "overlapping": _one_column((0.6, 0.4), (0.0, 2.5), (1.0, 0.8)),
}
# Nothing was chosen by these.
OTHER_TRUTHS = {
    "one": _one_column((1.0,), (0.0,), (1.0,)),
    "three, 500 rows": _one_column((0.4, 0.35, 0.25), (0.0, 3.0, 7.0), (1.0, 0.7, 1.5), 500),
    "two of two columns": Truth(
        Normals(
            np.array((0.7, 0.3)),
            np.array(((0.0, 0.0), (2.2, 1.0))),
            np.array((((1.0, 0.5), (0.5, 0.97)), ((0.49, -0.21), (-0.21, 0.39)))),
        ),
        300,
    ),
}
EVERY_TRUTH = TRUTHS | OTHER_TRUTHS
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
    truth = TRUTHS[name]
    vb = _of_known_k(2, seed).fit(rows)
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
            row += [_inside(truth, points, single).mean(), _inside(truth, grid, whole).all()]
        half = 0.5 * np.diff(single, axis=1)[:, 0] / truth.density(points)
        table.append([*map(float, row), float(half.mean()), time.perf_counter() - began])
    return table


def _of_known_k(n_components: int, seed: int) -> Any:
    return bayesmix.BayesianGaussianMixture(
        n_components,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
        random_state=seed,
        n_jobs=1,
    )


def _drawn(name: str, seed: int) -> tuple[Any, Any, Any]:
    """Rows of a known mixture, and its places."""
    generator = np.random.default_rng([seed, list(EVERY_TRUTH).index(name)])
    truth = EVERY_TRUTH[name]
    return truth.mixture.draw(truth.n_rows, generator)[0], *truth.places()


AFTER_SELECTION = ("variational", "gibbs", "gibbs, K and structure known")
SELECTED = ("pointwise_90%", "whole_90%", "half_width_of_90%", "seconds", "K")


def bands_after_selection(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """The same for the band of ``select``, which chose K and structure; 20 data sets a repeat."""
    seed, n_sets = new_seed(), 6 if quick else 20 * repeats
    print(f"  seed {seed}", flush=True)
    table: list[dict[str, Any]] = [{"seed": seed}]
    for name in EVERY_TRUTH:
        jobs = (delayed(_selected)(name, seed + number) for number in range(n_sets))
        found = np.array(Parallel(n_jobs=-1)(jobs))
        for place, method in enumerate(AFTER_SELECTION):
            row = {"groups": name, "method": method, "data_sets": n_sets}
            row |= dict(zip(SELECTED, found[:, place].mean(axis=0).tolist(), strict=True))
            table.append(row)
            print("  ", row, flush=True)
    return table


def _selected(name: str, seed: int) -> list[list[float]]:
    """Of one data set, for every method, the columns of ``SELECTED``."""
    warnings.simplefilter("ignore")
    rows, grid, points = _drawn(name, seed)
    truth = EVERY_TRUTH[name]
    search: Any = bayesmix.select(rows, n_jobs=1, random_state=seed, progress=False)
    known = _of_known_k(len(truth.mixture.weights), seed).fit(rows)
    table = []
    for method, model in zip(AFTER_SELECTION, (search, search, known), strict=True):
        began = time.perf_counter()
        draws: Any = method
        if model is known:
            draws = bayesmix.gibbs(known, rows, DRAWS, chains=4, random_state=seed, n_jobs=1)
        options = {"data": rows, "method": draws, "random_state": seed}
        single = model.density_interval(points, 0.9, **options)
        whole = model.density_interval(grid, 0.9, simultaneous=True, **options)
        held = _inside(truth, points, single).mean(), _inside(truth, grid, whole).all()
        half = 0.5 * np.diff(single, axis=1)[:, 0] / truth.density(points)
        K = search.best_estimator_.n_components_ if model is search else len(truth.mixture.weights)
        table.append([*map(float, held), half.mean(), time.perf_counter() - began, float(K)])
    return table


# Kinds of density: rows, and the distribution. A mixture is a pair of weights and normals.
KINDS: dict[str, tuple[int, Any, Any]] = {
    "gamma": (200, (1.0,), (stats.gamma(3.0),)),
    "log-normal": (200, (1.0,), (stats.lognorm(0.6, scale=np.e),)),
    "two, 1,000 rows": (1000, (0.6, 0.4), (stats.norm(0, 1), stats.norm(4, 1))),
    "two that overlap": (200, (0.6, 0.4), (stats.norm(0, 1), stats.norm(2.5, 0.8))),
    "three, 500 rows": (500, (0.5, 0.3, 0.2), (stats.norm(0), stats.norm(4, 0.7), stats.norm(8))),
    "t with 5 degrees": (400, (1.0,), (stats.t(5),)),
}


def bands_of_kinds(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Pointwise coverage of the 90 % band of ``select``, at nine quantiles; 20 sets a repeat."""
    seed, n_sets = new_seed(), 6 if quick else 20 * repeats
    print(f"  seed {seed}", flush=True)
    table: list[dict[str, Any]] = [{"seed": seed}]
    for name in KINDS:
        jobs = (delayed(_of_kind)(name, seed, number) for number in range(n_sets))
        covered, half, gain = np.array(Parallel(n_jobs=-1)(jobs)).T
        row = {
            "density": name,
            "data_sets": n_sets,
            "pointwise_90%": covered.mean(),
            "standard_error": covered.std(ddof=1) / np.sqrt(n_sets),
            "least_third": np.sort(covered)[: n_sets // 3].mean(),
            "half_width": half.mean(),
            "averaged_minus_chosen": gain.mean(),
        }
        table.append({k: v if isinstance(v, str | int) else float(v) for k, v in row.items()})
        print("  ", table[-1], flush=True)
    return table


def _of_kind(name: str, seed: int, number: int) -> tuple[float, float, float]:
    warnings.simplefilter("ignore")
    n_rows, weights, parts = KINDS[name]
    rng = np.random.default_rng([54, seed, number])

    def drawn(n: int) -> Any:
        chosen = rng.choice(len(parts), n, p=weights)
        values = np.column_stack([part.rvs(n, random_state=rng) for part in parts])
        return values[np.arange(n), chosen][:, None]

    rows, others = drawn(n_rows), drawn(5000)
    at = np.linspace(-20.0, 60.0, 400_001)
    below = sum(w * part.cdf(at) for w, part in zip(weights, parts, strict=True))
    places = np.interp(np.linspace(0.1, 0.9, QUANTILES), below, at)
    truth = sum(w * part.pdf(places) for w, part in zip(weights, parts, strict=True))
    search: Any = bayesmix.select(rows, n_jobs=1, random_state=seed, progress=False)
    band = search.density_interval(places[:, None], 0.9, data=rows, random_state=seed)
    covered = (band[:, 0] <= truth) & (truth <= band[:, 1])
    half = 0.5 * np.diff(band, axis=1)[:, 0] / truth
    gain = search.averaged_.score(others) - search.score(others)
    return float(covered.mean()), float(half.mean()), float(gain)


def _inside(truth: Truth, places: Any, band: Any) -> Any:
    density = truth.density(places)
    return (band[:, 0] <= density) & (density <= band[:, 1])
