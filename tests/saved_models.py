"""A small fit of every kind that a file can hold, and the files of each version.

``python tests/saved_models.py VERSION``, run once before a version's number changes, writes what
that version saves into ``tests/data/saved/VERSION``; ``edges/test_old_files.py`` loads them for
ever.
"""

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import bayesmix as bm
from bayesmix.io import save

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


REALS = np.exp(ROWS / 4.0)
MIXED = np.column_stack([ROWS[:60], COUNTS[:, 0], BITS[:, 0]])
MISSING = np.where(GENERATOR.random(ROWS.shape) < 0.1, np.nan, ROWS)
COVARIATES = GENERATOR.normal(size=(70, 1))
LABELS = np.repeat([0.0, np.nan, 1.0], [10, 40, 20])
LENGTHS = (30, 40)
SLOPES = np.where(GENERATOR.random(70) < 0.5, 1.0, -2.0) * ROWS[:, 0] + 3.0
SHORT = {"search": "short", "random_state": 0}


def streamed(cls=bm.GaussianMixture):
    model = cls(2, random_state=0)
    for batch in np.array_split(ROWS, 2):
        model.partial_fit(batch)
    return model


def chain(X=ROWS, **parameters):
    return bm.HiddenMarkovModel(2, **PLAIN, **parameters).fit(X, lengths=LENGTHS)


def regression(**parameters):
    return bm.RegressionMixture(2, random_state=0, **parameters).fit(
        COVARIATES + ROWS[:, :1], SLOPES
    )


def search(model, *data, criterion="bic", **options):
    return bm.MixtureSearch(model, (1, 2), criterion=criterion, random_state=0).fit(
        *data, **options
    )


VARIATIONAL = {"inference": bm.VariationalBayes()}
# The other families and estimators, and the other fields of a result: since version 0.2.0.
MORE_MODELS = {
    "exponential": lambda: any_family(REALS, family="exponential"),
    "exponential vb": lambda: any_family(REALS, family="exponential", **VARIATIONAL),
    "gamma": lambda: any_family(REALS, family="gamma"),
    "log-normal": lambda: any_family(REALS, family="log_normal"),
    "transformed": lambda: any_family(REALS, family=bm.Transformed(bm.Gaussian(), "sqrt")),
    "binomial": lambda: any_family(np.minimum(COUNTS, 9.0), family=bm.Binomial([9, 9])),
    "binomial vb": lambda: any_family(
        np.minimum(COUNTS, 9.0), family=bm.Binomial([9, 9]), **VARIATIONAL
    ),
    "categorical": lambda: any_family(BITS, family="categorical"),
    "categorical vb": lambda: any_family(BITS, family="categorical", **VARIATIONAL),
    "product": lambda: any_family(
        MIXED, family=bm.Product({(0, 1): bm.Gaussian(), 2: bm.Poisson(), 3: bm.Bernoulli()})
    ),
    "product vb": lambda: any_family(
        MIXED,
        family=bm.Product({(0, 1): bm.Gaussian(), 2: bm.Poisson(), 3: bm.Bernoulli()}),
        **VARIATIONAL,
    ),
    "student-t": lambda: any_family(ROWS, family="student_t"),
    "student-t vb": lambda: any_family(ROWS, family="student_t", **VARIATIONAL),
    "factor-analytic": lambda: any_family(np.tile(ROWS, 2), family=bm.FactorAnalytic(1)),
    **{
        f"structure {name}": functools.partial(gaussian, covariance_type=name)
        for name in ("EEI", "VEV", "EVE")
    },
    "missing": lambda: bm.GaussianMixture(2, missing="use", **PLAIN).fit(MISSING),
    "missing vb": lambda: bm.BayesianGaussianMixture(2, missing="use", **PLAIN).fit(MISSING),
    "noise": lambda: gaussian(noise="uniform"),
    "labels": lambda: bm.GaussianMixture(2, **PLAIN).fit(ROWS, labels=LABELS),
    "covariates": lambda: bm.GaussianMixture(2, **PLAIN).fit(ROWS, covariates=COVARIATES),
    "flat": lambda: bm.GaussianMixture(2, **PLAIN).fit(np.column_stack([ROWS, np.ones(70)])),
    "stream": streamed,
    "stream vb": lambda: streamed(bm.BayesianGaussianMixture),
    "many components": lambda: bm.GaussianMixture(
        101, covariance_type="spherical", prior="auto", max_iter=3, random_state=0
    ).fit(np.random.default_rng(0).normal(size=(400, 2))),
    "chain": chain,
    "chain vb": lambda: chain(**VARIATIONAL),
    "chain poisson": lambda: chain(np.abs(np.round(ROWS)), family="poisson"),
    "regression": regression,
    "regression vb": lambda: regression(**VARIATIONAL),
    "regression poisson": lambda: bm.RegressionMixture(2, response="poisson", random_state=0).fit(
        COVARIATES, np.round(np.abs(SLOPES))
    ),
    "classifier": lambda: bm.MixtureClassifier(1, random_state=0).fit(
        ROWS, np.repeat(["a", "b"], [40, 30])
    ),
    "search": lambda: search(bm.GaussianMixture(**SHORT), ROWS),
    "search auto": lambda: search(
        bm.Mixture(inference=bm.VariationalBayes(), **SHORT), ROWS, criterion="auto"
    ),
    "search chain": lambda: search(bm.HiddenMarkovModel(**SHORT), ROWS, lengths=LENGTHS),
    "search regression": lambda: search(bm.RegressionMixture(random_state=0), COVARIATES, SLOPES),
    "select": lambda: bm.select(ROWS, n_components=(1, 2), family="gaussian", random_state=0),
    "select features": lambda: bm.select(
        np.column_stack([ROWS, COVARIATES]),
        n_components=(1, 2),
        covariance_type="diag",
        variable_selection=True,
        random_state=0,
    ),
}


SAVED = Path(__file__).parent / "data" / "saved"
PREDICTIONS = ("predict", "predict_proba", "score_samples", "responsibilities")
NUMBERS = ("weights_", "n_components_", "n_iter_", "log_likelihood_", "elbo_", "converged_")


def predictions(model, rows):
    """What a model says of rows, given with the names of its columns where it knows them."""
    names = getattr(model, "feature_names_in_", None)
    X = np.array(rows, dtype=float) if names is None else pd.DataFrame(rows, columns=names)
    covariates = {"covariates": COVARIATES[: len(rows)]} if gated(model) else {}
    names = ("predict",) if regresses(model) else PREDICTIONS
    found = [name for name in names if hasattr(model, name)]
    return {name: np.asarray(getattr(model, name)(X, **covariates)).tolist() for name in found}


def gated(model):
    """Whether predictions need covariates."""
    side = getattr(getattr(model, "result_", None), "side", None)
    return bool(side) and side.covariates is not None


def regresses(model):
    """Whether densities need responses."""
    return isinstance(getattr(model, "best_estimator_", model), bm.RegressionMixture)


def numbers(model):
    """The numbers of the fit."""
    return {name: np.asarray(getattr(model, name, None)).tolist() for name in NUMBERS}


def expected(model):
    """What a file must give back: rows with their predictions, and the numbers of the fit."""
    if hasattr(model, "sample") and not gated(model) and not regresses(model):
        rows = np.round(model.sample(6, random_state=0)[0], 3).tolist()
    else:
        rows = ROWS[30:50:4, : 1 if regresses(model) else None].tolist()
    return {
        "class": type(model).__name__,
        "rows": rows,
        "predictions": predictions(model, rows),
        "numbers": numbers(model),
    }


def write(folder, models):
    """Add a file of every model, and its entries in ``expected.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "expected.json"
    found = json.loads(index.read_text("utf-8")) if index.exists() else {}
    for number, (name, make) in enumerate(models.items(), len(found)):
        model = make()
        file = f"{number:02d}-{name.replace(' ', '-')}.bayesmix"
        save(model, folder / file)
        found[file] = expected(model)
    index.write_text(json.dumps(found) + "\n", "utf-8")


if __name__ == "__main__":
    write(SAVED / sys.argv[1], MODELS | MORE_MODELS)
