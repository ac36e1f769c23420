"""A small fit of every kind that a file can hold, and the files of each version.

``python tests/saved_models.py``, run once before a version's number changes, writes what that
version saves into ``tests/data/saved/VERSION``; ``edges/test_old_files.py`` loads them for ever.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd

import bayesmix as bm

GENERATOR = np.random.default_rng(7)
ROWS = np.vstack([GENERATOR.normal(0, 1, (40, 2)), GENERATOR.normal(6, 2, (30, 2))])
BITS = GENERATOR.integers(0, 2, (60, 3)).astype(float)
COUNTS = GENERATOR.poisson([[2.0, 9.0]], (60, 2)).astype(float)
STRUCTURES = ("full", "tied", "diag", "spherical")
PLAIN = {"search": None, "tol": 1e-2, "random_state": 0}


def gaussian(**parameters):
    return bm.GaussianMixture(**{"n_components": 2, **PLAIN, **parameters}).fit(ROWS)


def bayesian(**parameters):
    return bm.BayesianGaussianMixture(**{"n_components": 3, **PLAIN, **parameters}).fit(ROWS)


def any_family(rows, **parameters):
    return bm.Mixture(**{"n_components": 2, **PLAIN, **parameters}).fit(rows)


MODELS = {
    **{f"em {s}": functools.partial(gaussian, covariance_type=s) for s in STRUCTURES},
    **{
        f"map {s}": functools.partial(gaussian, covariance_type=s, prior="auto") for s in STRUCTURES
    },
    **{f"vb {s}": functools.partial(bayesian, covariance_type=s) for s in STRUCTURES},
    "vb dirichlet": lambda: bayesian(weight_concentration_prior_type="dirichlet_distribution"),
    "vb type 2": lambda: bayesian(weight_concentration_prior_type="type2_ml"),
    "vb fixed scale": lambda: bayesian(
        covariance_prior=np.eye(2), mean_prior=[0.0, 1.0], mean_precision_prior=np.float64(0.5)
    ),
    "map given": lambda: gaussian(prior=bm.GaussianPrior(mean_precision=0.1)),
    "ridge": lambda: gaussian(reg_covar=1e-3, init_params=np.repeat([0, 1], 35)),
    "searched": lambda: bm.GaussianMixture(2, random_state=0).fit(bm.datasets.load_faithful()),
    "weighted": lambda: bm.GaussianMixture(2, **PLAIN).fit(ROWS, sample_weight=np.ones(70) * 1.5),
    "given": lambda: bm.GaussianMixture.from_parameters(
        [0.3, 0.7], [[1.0], [3.0]], [[[1.69]], [[2.56]]]
    ),
    "bernoulli em": lambda: any_family(BITS, family=bm.Bernoulli()),
    "bernoulli map": lambda: any_family(
        BITS, family=bm.Bernoulli(), inference=bm.MaximumAPosteriori()
    ),
    "bernoulli vb": lambda: any_family(
        BITS, family=bm.Bernoulli(), inference=bm.VariationalBayes(bm.BetaPrior(2.0, 2.0))
    ),
    "poisson em": lambda: any_family(COUNTS, family=bm.Poisson()),
    "poisson map": lambda: any_family(
        COUNTS, family=bm.Poisson(), inference=bm.MaximumAPosteriori()
    ),
    "poisson vb": lambda: any_family(
        COUNTS,
        family=bm.Poisson(),
        inference=bm.VariationalBayes(weights=bm.StickBreakingPrior(0.5)),
    ),
    "any gaussian": lambda: any_family(ROWS, family=bm.Gaussian("tied")),
}


SAVED = Path(__file__).parent / "data" / "saved"
PREDICTIONS = ("predict", "predict_proba", "score_samples", "responsibilities")
NUMBERS = ("weights_", "n_components_", "n_iter_", "log_likelihood_", "elbo_", "converged_")


def predictions(model, rows):
    """What a model says of rows, given with the names of its columns where it knows them."""
    names = getattr(model, "feature_names_in_", None)
    X = np.array(rows) if names is None else pd.DataFrame(rows, columns=names)
    return {name: getattr(model, name)(X).tolist() for name in PREDICTIONS}


def numbers(model):
    """The numbers of the fit."""
    return {name: np.asarray(getattr(model, name, None)).tolist() for name in NUMBERS}


def expected(model):
    """What a file must give back: rows with their predictions, and the numbers of the fit."""
    rows = np.round(model.sample(6, random_state=0)[0], 3).tolist()
    return {
        "class": type(model).__name__,
        "rows": rows,
        "predictions": predictions(model, rows),
        "numbers": numbers(model),
    }


def write(folder):
    """A file of every model, and ``expected.json``."""
    folder.mkdir(parents=True)
    found = {}
    for number, (name, make) in enumerate(MODELS.items()):
        model = make()
        file = f"{number:02d}-{name.replace(' ', '-')}.bayesmix"
        model.save(folder / file)
        found[file] = expected(model)
    (folder / "expected.json").write_text(json.dumps(found) + "\n", "utf-8")


if __name__ == "__main__":
    write(SAVED / bm.__version__)
