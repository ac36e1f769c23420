"""Step three after latent classes: coverage of 95 % intervals, and level of the tests at 5 %.

``python -m benchmarks.step_three classes --seed 7 --sets 400`` draws three classes from six yes/no
items, 1,000 observations each, with relative entropy .6 and .8. The classes depend on ``z`` and not
on ``none``; the mean of ``y`` differs between classes, that of ``same`` does not. ``--draws 0`` has
the standard errors for given classes, without refits. ``waves``: 300 persons of two latent classes
in three waves whose items do not change, and a covariate that has no effect.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import softmax, xlogy
from threadpoolctl import threadpool_limits

import bayesmix as bm

N = 1000
INTERCEPTS, SLOPES = np.array([0.0, -0.2, 0.2]), np.array([0.0, 0.8, -0.6])
MEANS = np.array([0.0, 1.0, 2.0])
# Probability of the answer that is typical of a class, for each entropy.
TYPICAL = {0.6: 0.78, 0.8: 0.865}
METHODS = ("ML", "BCH")


def drawn(rng: np.random.Generator, typical: float) -> tuple[Any, Any, Any]:
    """Answers (N, 6), predictors and outcomes of three classes."""
    z = rng.normal(size=(N, 2))
    shares = softmax(INTERCEPTS + np.outer(z[:, 0], SLOPES), axis=1)
    classes = (rng.random(N)[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    answers = (rng.random((N, 6)) < items(typical)[classes]).astype(float)
    outcomes = {"y": rng.normal(MEANS[classes], 1.0), "same": rng.normal(size=N)}
    return answers, pd.DataFrame(z, columns=["z", "none"]), outcomes


def items(typical: float) -> Any:
    """The probabilities (3, 6) of yes."""
    table = np.full((3, 6), typical)
    table[1, 3:] = table[2] = 1.0 - typical
    return table


def counted(seed: int, entropy: float, n_draws: int, number: int) -> dict[str, list[float]]:
    """Intervals that hold the truth (1 or 0) and tests that reject, of one data set."""
    rng = np.random.default_rng([105, seed, number])
    answers, predictors, outcomes = drawn(rng, TYPICAL[entropy])
    model = bm.Mixture(3, family=bm.Bernoulli(), random_state=0).fit(answers)
    found = {"entropy": [relative_entropy(model.predict_proba(answers))]}
    by_truth = matched(model, answers)
    options: dict[str, Any] = {"n_draws": n_draws}
    for method in METHODS:
        table = bm.class_predictors(model, answers, predictors, method, **options)
        tests = table.attrs["tests"]
        found[f"{method}: slopes covered"] = [
            within(np.log(row), SLOPES[b] - SLOPES[a])
            for a, b in ((0, 1), (0, 2))
            for row in [limits(table, by_truth[b], by_truth[a])]
        ]
        found[f"{method}: no effect rejected"] = [float(tests["none"]["p"] < 0.05)]
        if n_draws or method == "ML":
            means = bm.distal(model, answers, outcomes, method, **options)
            held = means["y"][["lower", "upper"]].to_numpy()[by_truth]
            found[f"{method}: means covered"] = [
                within(row, mean) for row, mean in zip(held, MEANS, strict=True)
            ]
            p = means["same"].attrs["tests"]["all"]["p"]
            found[f"{method}: equal means rejected"] = [float(p < 0.05)]
    return found


def of_waves(seed: int, number: int) -> dict[str, list[float]]:
    """Tests that reject, of one panel: items of each wave, and effects of a covariate."""
    rng = np.random.default_rng([106, seed, number])
    n, n_waves = 300, 3
    states = np.empty((n, n_waves), bool)
    states[:, 0] = rng.random(n) < 0.5
    for wave in range(1, n_waves):
        states[:, wave] = states[:, wave - 1] ^ (rng.random(n) < 0.15)
    yes = rng.random((n, n_waves, 5)) < np.where(states[..., None], 0.85, 0.2)
    answers, person = yes.astype(float).reshape(-1, 5), np.repeat(np.arange(n), n_waves)
    model = bm.HiddenMarkovModel(
        2, family="bernoulli", inference=bm.MaximumLikelihood(), random_state=0
    )
    waves = bm.wave_similarity(model, answers, groups=person)["p"]
    age = pd.DataFrame({"age": np.repeat(rng.normal(size=n), n_waves)})
    plain = model.fit(answers, groups=person).log_likelihood_
    found = {
        "one item differs: rejected": [float(p < 0.05) for p in waves.filter(like="free: ")],
        "items differ: rejected": [float(waves["free"] < 0.05)],
    }
    for effects, df in (("first", 1), ("all", 3)):
        model.set_params(covariate_effects=effects).fit(answers, groups=person, covariates=age)
        p = stats.chi2.sf(2.0 * (model.log_likelihood_ - plain), df)
        found[f"covariate, {effects}: rejected"] = [float(p < 0.05)]
    return found


def relative_entropy(shares: Any) -> float:
    """1 where classes are certain, 0 where nothing is known (Celeux & Soromenho 1996)."""
    return float(1.0 + xlogy(shares, shares).sum() / (len(shares) * np.log(shares.shape[1])))


def matched(model: Any, answers: Any) -> list[int]:
    """The fitted class of each true one."""
    fitted = np.array([answers[model.predict(answers) == k].mean(axis=0) for k in range(3)])
    true = items(0.9)
    orders = list(permutations(range(3)))
    return list(min(orders, key=lambda order: np.square(fitted[list(order)] - true).sum()))


def limits(table: Any, k: int, reference: int) -> Any:
    """Limits of the odds ratio of ``z`` for a class against another."""
    names = [f"class {k + 1}", f"class {reference + 1}", "z"]
    if k < reference:
        low, high = table.loc[(names[1], names[0], "z"), ["lower", "upper"]]
        return np.array([1.0 / high, 1.0 / low])
    return table.loc[tuple(names), ["lower", "upper"]].to_numpy(float)


def within(limits: Any, value: float) -> float:
    return float(limits[0] <= value <= limits[1])


def main() -> None:
    """Print shares over the data sets, with 95 % intervals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step_three", description=__doc__)
    parser.add_argument("part", choices=("classes", "waves"))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--entropy", type=float, nargs="*", default=list(TYPICAL))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    if chosen.part == "waves":
        show("panels", [of_waves(chosen.seed, number) for number in range(chosen.sets)])
        return
    for entropy in chosen.entropy:
        given = chosen.seed, entropy, chosen.draws
        show("classes", [counted(*given, number) for number in range(chosen.sets)])


def show(name: str, found: list[dict[str, list[float]]]) -> None:
    """Print the share of ones over data sets."""
    of_all: dict[str, list[float]] = defaultdict(list)
    for one in found:
        for key, values in one.items():
            of_all[key] += values
    reached = of_all.pop("entropy", None)
    print(
        f"{name}, {len(found)} sets", "" if reached is None else f"entropy {np.mean(reached):.2f}"
    )
    for key, values in of_all.items():
        share, n = float(np.mean(values)), len(values)
        low, high = stats.binomtest(int(sum(values)), n).proportion_ci(method="wilson")
        print(f"  {key}: {share:.3f} ({low:.3f} to {high:.3f}, {n})", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
