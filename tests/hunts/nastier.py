"""Random problems as those of ``hunts.hard``, of everything that can be fitted.

Every family and inference, noise and gaps; rows as any kind of array or a frame; more components
than rows; weights of zero and of 1e-300. A fit is refused by name, or sound: it answers for its own
rows and for far ones, and samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from hunts.hard import GAUSSIAN, POISSON, Nasty

import bayesmix as bm

KINDS = (
    *("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"),
    "VVV",
)

Generator = np.random.Generator


def _positive(generator: Generator, n: int, d: int) -> Any:
    called = str(generator.choice(["normal", "dice", "repeated", "powers", "tails", "outlier"]))
    return np.abs(GAUSSIAN[called](generator, n, d)) + generator.integers(0, 2) * 1e-300


def _counts(generator: Generator, n: int, d: int) -> Any:
    return POISSON[str(generator.choice(list(POISSON)))](generator, n, d)


def _trials(generator: Generator, n: int, d: int) -> Any:
    most = int(generator.choice([1, 2, 7, 10**6]))
    return generator.binomial(most, generator.choice([0.0, 1e-9, 0.3, 1.0]), (n, d)).astype(float)


def _levels(generator: Generator, n: int, d: int) -> Any:
    levels = generator.integers(0, int(generator.integers(1, 9)), (n, d))
    names = np.array(["", "a", "a ", "nan", "None", "ä", "1", "0.5", "x" * 300, "\x1b[31m"])
    return [levels.astype(float), levels, names[levels], levels.astype(str).astype(object)][
        generator.integers(4)
    ]


def _frame(generator: Generator, n: int, d: int) -> Any:
    tall = [name for name in GAUSSIAN if name != "wide"]
    makers: list[Callable[[Generator, int, int], Any]] = [
        *(_counts, _levels, _positive),
        GAUSSIAN[str(generator.choice(tall))],
    ]
    return pd.DataFrame(
        {f"column {j}": makers[generator.integers(4)](generator, n, 1)[:, 0] for j in range(d)}
    )


def _numbers(generator: Generator, n: int, d: int) -> Any:
    return GAUSSIAN[str(generator.choice(list(GAUSSIAN)))](generator, n, d)


def _as_another(generator: Generator, rows: Any) -> tuple[str, Any]:
    """The same rows, or nearly, as another kind of array."""
    with np.errstate(over="ignore", invalid="ignore"):
        ways: dict[str, Callable[[], Any]] = {
            "as they are": lambda: rows,
            "float32": lambda: rows.astype(np.float32),
            "float16": lambda: rows.astype(np.float16),
            "longdouble": lambda: rows.astype(np.longdouble),
            "int64": lambda: np.clip(np.round(rows), -(2.0**62), 2.0**62).astype(np.int64),
            "uint8": lambda: np.clip(np.round(np.abs(rows)), 0, 255).astype(np.uint8),
            "bool": lambda: rows > np.median(rows),
            "object": lambda: rows.astype(object),
            "text": lambda: rows.astype(str),
            "big-endian": lambda: rows.astype(">f8"),
            "Fortran order": lambda: np.asfortranarray(rows),
            "strided": lambda: np.repeat(np.repeat(rows, 2, axis=0), 3, axis=1)[::2, ::3],
            "backwards": lambda: np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1],
            "broadcast": lambda: np.broadcast_to(rows[0], rows.shape),
            "list": lambda: rows.tolist(),
            "frame": lambda: pd.DataFrame(rows),
            "frame of objects": lambda: pd.DataFrame(rows).astype(object),
            "nullable frame": lambda: pd.DataFrame(rows).convert_dtypes(),
            "masked nowhere": lambda: np.ma.masked_array(rows, mask=np.zeros(rows.shape, bool)),
            "masked": lambda: np.ma.masked_array(rows, mask=generator.random(rows.shape) < 0.1),
            "read-only": lambda: _read_only(rows),
        }
        called = str(generator.choice(list(ways)))
        return called, ways[called]()


def _read_only(rows: Any) -> Any:
    copy = rows.copy()
    copy.flags.writeable = False
    return copy


def _weights(generator: Generator, n: int) -> tuple[str, Any]:
    wild = 10.0 ** generator.uniform(-6, 6, n)
    ways: dict[str, Callable[[], Any]] = {
        "whole": lambda: generator.integers(0, 4, n),
        "wild": lambda: wild,
        "zeros": lambda: np.where(generator.random(n) < 0.5, 0.0, wild),
        "one row": lambda: np.where(np.arange(n) == generator.integers(n), 5.0, 0.0),
        "1e-300 among": lambda: np.where(generator.random(n) < 0.3, 1e-300, wild),
        "1e-300 each": lambda: np.full(n, 1e-300),
        "1e300 each": lambda: np.full(n, 1e300),
        "both ends": lambda: 10.0 ** generator.uniform(-300, 300, n),
        "none": lambda: np.zeros(n),
        "subnormal": lambda: np.full(n, 5e-324),
        "a list of int": lambda: [3] * n,
        "float32": lambda: wild.astype(np.float32),
        "masked": lambda: np.ma.masked_array(wild, mask=generator.random(n) < 0.1),
    }
    called = str(generator.choice(list(ways)))
    return f"weights {called}", ways[called]()


def _options(generator: Generator) -> dict[str, Any]:
    return {
        "random_state": 0,
        "search": [None, "short", "auto"][generator.integers(3)],
        "init_params": str(generator.choice(["kmeans", "k-means++", "random", "random_from_data"])),
    }


def _gaussian(generator: Generator, n_components: int, options: dict[str, Any]) -> Any:
    kind = str(generator.choice([*KINDS, "full", "tied", "diag", "spherical"]))
    options = options | {
        "noise": [None, None, "uniform"][generator.integers(3)],
        "missing": ["error", "use", "drop"][generator.integers(3)],
    }
    prior = [None, "auto"][generator.integers(2)]
    return kind, bm.GaussianMixture(n_components, covariance_type=kind, prior=prior, **options)


def _bayesian(generator: Generator, n_components: int, options: dict[str, Any]) -> Any:
    kind = str(generator.choice(["full", "tied", "diag", "spherical", "EEI", "EII"]))
    weights = str(generator.choice(["dirichlet_process", "dirichlet_distribution", "type2_ml"]))
    missing = ["error", "use"][generator.integers(2)]
    return kind, bm.BayesianGaussianMixture(
        n_components,
        covariance_type=kind,
        weight_concentration_prior_type=weights,
        missing=missing,
        **options,
    )


FAMILIES: dict[str, tuple[Callable[[], Any], Callable[[Generator, int, int], Any]]] = {
    "Bernoulli": (bm.Bernoulli, lambda generator, n, d: _counts(generator, n, d).clip(0, 1)),
    "Poisson": (bm.Poisson, _counts),
    "Exponential": (bm.Exponential, _positive),
    "Gamma": (bm.Gamma, _positive),
    "LogNormal": (bm.LogNormal, _positive),
    "Categorical": (bm.Categorical, _levels),
    "StudentT": (bm.StudentT, _numbers),
    "StudentT diag": (lambda: bm.StudentT("diag", "shared"), _numbers),
    "FactorAnalytic": (lambda: bm.FactorAnalytic(1), _numbers),
    "auto": (lambda: "auto", _frame),
}
INFERENCES = {"ml": lambda: None, "map": bm.MaximumAPosteriori, "vb": bm.VariationalBayes}


def problem(seed: int) -> Nasty:
    """The problem of a seed."""
    generator = np.random.default_rng([2027, seed])
    n, d = int(generator.integers(1, 60)), int(generator.integers(1, 6))
    n_components = int(generator.integers(1, 9)) + int(generator.random() < 0.1) * n
    options = _options(generator)
    family = str(generator.choice(["Gaussian", "Bayesian", "Binomial", "Product", *FAMILIES]))
    inference = str(generator.choice(list(INFERENCES)))
    if family in ("Gaussian", "Bayesian"):
        rows = _numbers(generator, n, d)
        make = _gaussian if family == "Gaussian" else _bayesian
        said, estimator = make(generator, n_components, options)
    else:
        if family == "Binomial":
            rows = _trials(generator, n, d)
            most = int(max(1.0, rows.max()))
            of_rows: Any = bm.Binomial((most,) * rows.shape[1])
        elif family == "Product":
            rows = _frame(generator, n, 3)
            of_rows = bm.Product(
                {
                    0: [bm.Gaussian("diag"), bm.Poisson(), bm.Categorical()][generator.integers(3)],
                    1: [bm.LogNormal(), bm.Exponential(), bm.Categorical()][generator.integers(3)],
                    2: [bm.Gaussian(), bm.Categorical()][generator.integers(2)],
                }
            )
        else:
            makes, maker = FAMILIES[family]
            rows, of_rows = maker(generator, n, d), makes()
        said = inference
        estimator = bm.Mixture(
            n_components,
            family=of_rows,
            inference=INFERENCES[inference](),
            missing=["error", "use"][generator.integers(2)],
            **options,
        )
    form = "frame"
    if not isinstance(rows, pd.DataFrame):
        if rows.dtype == float and generator.random() < 0.15:
            rows = np.where(generator.random(rows.shape) < 0.2, np.nan, rows)
        form = "as they are"
        if rows.dtype == float and generator.random() < 0.5:
            form, rows = _as_another(generator, rows)
    how, weights = "", None
    if generator.random() < 0.3:
        how, weights = _weights(generator, len(rows))
    words = (family, said, form, np.shape(rows), f"K={n_components}", *options.values(), how)
    return Nasty(" ".join(map(str, words)), rows, weights, estimator)
