"""Hidden Markov models beside hmmlearn: milliseconds a pass, optima reached, and the right K.

hmmlearn, where it is installed, uses scaling; its best of ten starts is compared with one default
fit. Its fits with a variance below 1e-4 do not count. Seconds are of the processor, one thread.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import numpy as np

import bayesmix as bm
from bayesmix.starts.given_starts import StartAt
from benchmarks.recipes import make

SEED = 20261126
# Free first state: Zucchini, MacDonald & Langrock 2016.
EARTHQUAKES = {1: -391.9189, 2: -341.8787, 3: -328.5275, 4: -326.4106}


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Rows of all four questions; the last two have ten chains per repeat."""
    warnings.simplefilter("ignore")
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    rows = list(_rows(2 if quick else 10 * repeats, 10_000 if quick else 100_000))
    print(*rows, sep="\n")
    return rows


def _rows(n_chains: int, n: int) -> Iterator[dict[str, Any]]:
    X = bm.datasets.load_earthquakes()
    for K, published in EARTHQUAKES.items():
        model = bm.HiddenMarkovModel(K, family=bm.Poisson(), random_state=0).fit(X)
        yield {"earthquakes": K, "published": published, "bayesmix": model.log_likelihood_}
    if find_spec("hmmlearn") is None:
        print("  hmmlearn: not installed, skipped")
        return
    X, _ = make("chain", np.random.default_rng(SEED), n, 5, 5, 0.8, 1.0)
    for structure in ("diag", "full"):
        for parts in (1, 100):
            lengths = [n // parts] * parts
            row = {"covariance": structure, "sequences": parts}
            yield row | {
                f"{f.__name__}_ms": _pass(f, X, structure, lengths) for f in (ours, theirs)
            }
    yield from map(optimum, range(n_chains))
    yield from map(right_k, range(n_chains))


def _pass(fit: Callable[..., int], *data: Any) -> float:
    """Milliseconds a pass: the difference of a long and a short fit over that of their passes."""
    times = []
    for _ in range(3):
        clock, passes = [time.process_time()], []
        for most in (5, 25):
            passes.append(fit(*data, most))
            clock.append(time.process_time())
        times.append((clock[2] - 2.0 * clock[1] + clock[0]) / (passes[1] - passes[0]))
    return round(1e3 * float(np.median(times)), 1)


class Started(bm.HiddenMarkovModel):
    """A fit that begins at a rough one, of the first samples."""

    def _start(self, *arguments: Any) -> Any:
        return StartAt(self.start)


def ours(X: Any, structure: str, lengths: list[int], most: int) -> int:
    """Run ``most`` passes, and return their number."""
    options = {"covariance_type": structure, "random_state": 0, "n_init": 1, "search": "short"}
    model = Started(5, **options, max_iter=most, acceleration=None, tol=0.0, n_jobs=1)
    model.start = bm.HiddenMarkovModel(5, **options, max_iter=1).fit(X[:1000]).result_.mixture
    return int(model.fit(X, lengths=lengths).n_iter_)


def theirs(X: Any, structure: str, lengths: list[int], most: int) -> int:
    """Run ``most`` passes of hmmlearn, and return their number."""
    return int(_hmmlearn(5, structure, 0, most, -np.inf).fit(X, lengths).monitor_.iter)


def _hmmlearn(K: int, structure: str, seed: int, most: int = 1000, tol: float = 1e-6) -> Any:
    from hmmlearn.hmm import GaussianHMM

    options = {"n_iter": most, "tol": tol, "random_state": seed, "implementation": "scaling"}
    return GaussianHMM(K, structure, covars_prior=0.0, **options)


def best_of_starts(X: Any, K: int) -> tuple[float, float, float]:
    """Log likelihood, smallest variance and BIC of hmmlearn's best of ten starts, diagonal."""
    best = -np.inf, np.nan, np.inf
    for seed in range(10):
        with suppress(ValueError):  # a state without samples, or probabilities that are NaN
            model = _hmmlearn(K, "diag", seed).fit(X)
            variance = float(model.covars_.diagonal(axis1=1, axis2=2).min())
            if variance > 1e-4:
                best = max(best, (float(model.score(X)), variance, float(model.bic(X))))
    return best


def optimum(number: int) -> dict[str, float]:
    """Default fit against the best of ten starts, on a new chain of 2 to 5 states."""
    rng = np.random.default_rng([SEED, 1, number])
    K, D, n = int(rng.integers(2, 6)), int(rng.integers(1, 4)), int(rng.integers(150, 500))
    X, _ = make("chain", rng, n, D, K, rng.uniform(0.6, 0.97), rng.uniform(1.0, 2.5))
    began = time.process_time()
    model = bm.HiddenMarkovModel(K, covariance_type="diag", random_state=0, n_jobs=1).fit(X)
    middle = time.process_time()
    other, variance, _ = best_of_starts(X, K)
    row = {"chain": number, "n": n, "D": D, "K": K, "ahead": model.log_likelihood_ - other}
    row |= {"least_variance": model.covariances_.min(), "hmmlearn_variance": variance}
    row |= {"bayesmix_s": middle - began, "hmmlearn_s": time.process_time() - middle}
    return {name: round(float(value), 4) for name, value in row.items()}


def right_k(number: int) -> dict[str, Any]:
    """Number of states by the bound, and by BIC of the best of ten starts, on a new chain."""
    rng = np.random.default_rng([SEED, 2, number])
    K = int(rng.integers(2, 5))
    X, _ = make("chain", rng, 300, 2, K, 0.85, 2.0)
    search = bm.select(X, range(1, 6), "diag", lengths=[len(X)], random_state=0)
    bic = 1 + int(np.argmin([best_of_starts(X, k)[2] for k in range(1, 6)]))
    return {"chain": number, "K": K, "bound": search.n_components_, "bic": bic}
