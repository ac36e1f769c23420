"""Sensitivity of the number of components to the prior, over a small grid of priors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.assess.stability import collected
from bayesmix.core.parallel import resolve_jobs
from bayesmix.core.procedures import last_step
from bayesmix.core.protocols import Parameters
from bayesmix.core.rows import Summary
from bayesmix.em.shown import Shown, ShownTable
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.categorical import Categorical, CategoricalPrior
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.gaussian.given_prior import GaussianPrior
from bayesmix.families.product.family import Product
from bayesmix.families.product.prior import ProductPrior
from bayesmix.families.successes import Bernoulli, BetaPrior
from bayesmix.families.transformed import Transformed
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import chosen, over_k, prior_asked, probabilities
from bayesmix.selection.summary_text import label
from bayesmix.selection.sweep import Sweep
from bayesmix.selection.tasks import ALL_DATA, Task

# Number of components on each side of the chosen one.
REACH = 2
CONCENTRATIONS = (1.0, 2.0, 4.0)
MORE_FREEDOM = (0.0, 2.0, 8.0)
# Expected variance under a fixed scale, as a fraction of the total variance.
SHARES = (0.1, 0.5)
FIXED_MEAN_PRECISIONS = {0.1: 0.01, 0.5: 0.1}
# Mass of the Dirichlet prior over levels, relative to the default.
MASSES = (0.25, 0.5, 1.0, 2.0, 4.0)
SETTINGS = {
    "weight_concentration": "the concentration of the weights",
    "degrees_of_freedom": "the degrees of freedom of the precisions",
    "scale": "the scale of the covariances (learned or fixed)",
    "mass": "the mass of the prior over levels",
}


@dataclass(frozen=True)
class PriorSensitivity:
    """Number of components selected under each prior.

    ``table`` has one line per prior: α0, then ν0, β0 (NaN: learned) and scale, or the mass of the
    prior over levels; the choice and its probability. ``probabilities`` is P(K | data, prior), one
    line per prior.
    """

    table: pd.DataFrame
    probabilities: pd.DataFrame
    n_components: int

    @property
    def shares(self) -> Any:
        """Share of the priors under which each K is selected (Series)."""
        return self.table["chosen"].value_counts(normalize=True).sort_index()

    @property
    def shown(self) -> Shown:
        """What text, notebooks and files show."""
        chosen_k = self.table["chosen"]
        same = int((chosen_k == self.n_components).sum())
        line = f"K={self.n_components} under {same} of {len(chosen_k)} priors."
        other_choices = chosen_k[chosen_k != self.n_components].value_counts()
        if len(other_choices):
            said = ", ".join(f"K={k} in {times}" for k, times in other_choices.items())
            line += f" Otherwise {said}."
            part = self._setting_apart()
            if part:
                line += f" The choice depends most on {part}."
        table = ShownTable("priors", "Number of components by prior", self.table)
        return Shown(line, tables=(table,))

    def summary(self) -> str:
        """Return how many priors select the same K, and which priors differ."""
        return self.shown.text()

    def _setting_apart(self) -> str:
        """Return the hyperparameter whose values differ most in how often they agree."""
        agrees = self.table["chosen"] == self.n_components
        spread = {
            name: float(np.ptp(agrees.groupby(self.table[name].astype(str)).mean()))
            for name in SETTINGS
            if name in self.table
        }
        name = max(spread, key=lambda key: spread[key])
        return SETTINGS[name] if spread[name] > 0 else ""

    def plot(self, ax: Any = None) -> Any:
        """Plot P(K | data) under every prior; see ``plot_sensitivity``."""
        from bayesmix.plots import plot_sensitivity

        return plot_sensitivity(self, ax=ax)

    def __repr__(self) -> str:
        return f"PriorSensitivity: {self.summary()}"

    def _repr_html_(self) -> str:
        return self.shown.html()


def prior_sensitivity(
    search: Any,
    X: Any,
    n_components: Any = None,
    sample_weight: Any = None,
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> PriorSensitivity:
    """Return the number of components under 27 priors (Gaussians) or 15 priors (categories).

    Gaussians: α0 = 1, 2, 4; ν0 = default, default + 2, default + 8; scale and β0 learned, or fixed
    with expected variance 0.1 or 0.5 of the total variance and β0 = 0.01 or 0.1. ``Categorical``
    and ``Bernoulli``, alone or in a ``Product``: α0 = 1, 2, 4, and 1/4, 1/2, 1, 2 and 4 times the
    default mass of the prior (one observation for each free share; two for ``Bernoulli``); priors
    of other columns are unchanged.

    Parameters
    ----------
    search : fitted MixtureSearch
        Search over variational estimators whose evidence compares K, as ``select`` with
        ``criterion="elbo_log_k"`` returns it. The structure of its best candidate is used.
    X : array, frame or source (n, D)
        The data of the search.
    n_components : sequence of int, optional
        Numbers of components to compare; None: up to two more and two fewer than the chosen one,
        within the search.
    sample_weight : array (n,), optional
    n_jobs : int, optional
        Number of worker processes (results do not depend on it); None: all cores.
    progress : None or bool
        As in the estimators. Ctrl-C returns the result for the priors so far, with a warning.

    Returns
    -------
    PriorSensitivity

    Raises
    ------
    ValueError
        For a search without evidence, or a family without such a grid.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.select(X, (1, 2), "full", criterion="elbo_log_k")
    >>> print(bm.prior_sensitivity(search, X, n_components=(1, 2)).summary())
    K=2 under 27 of 27 priors.
    """
    if not hasattr(search, "results_"):
        raise InvalidInputError(
            f"search must be a fitted MixtureSearch, got {type(search).__name__}"
        )
    _ = search.k_probabilities_  # raises if the candidates have no evidence
    best = search.best_estimator_
    estimator, X = fitted_mixture(search, X)
    plain = clone(last_step(best)).set_params(n_jobs=1, progress=False)
    source = estimator._seen(X, sample_weight).present()
    numbers = _numbers(search, n_components)
    priors = list(grid(plain, estimator.result_.family, source.summary))
    chains = [[prior.parameters | {"n_components": k} for k in numbers] for prior in priors]
    task, workers = Task(plain._fitter(X, sample_weight)), resolve_jobs(n_jobs)
    # After Ctrl-C, the priors under which every number of components was fitted are kept.
    sweeps = [Sweep(task, chains[i : i + workers]) for i in range(0, len(chains), workers)]
    fits = (row for sweep in sweeps for row in sweep.fit_all(workers))
    collected(fits, len(chains) * len(numbers), "fits", progress, label)
    done, rows = [], []
    for number, prior in enumerate(priors):
        candidates = sweeps[number // workers].done(number % workers, ALL_DATA)
        if len(candidates) == len(numbers):
            done.append(prior)
            rows += candidates
    if not done:
        raise KeyboardInterrupt
    return _collected(done, rows, len(numbers), search.best_estimator_.n_components_)


@dataclass(frozen=True)
class PriorOfGrid:
    """A prior of the grid: its entry in the table, and the estimator's parameters."""

    settings: dict[str, float | str]
    parameters: Parameters


def grid(estimator: Any, family: Any, summary: Summary) -> Iterator[PriorOfGrid]:
    """Return the priors for an estimator of data with this summary."""
    priors = grid_of(family, estimator, summary)
    if priors is None:
        raise UnsupportedError(
            "prior_sensitivity supports BayesianGaussianMixture, Transformed, Categorical and "
            f"Bernoulli, got {family.title}: compare fits with different "
            "VariationalBayes(prior=...)"
        )
    return priors


@singledispatch
def grid_of(family: Any, estimator: Any, summary: Summary) -> Iterator[PriorOfGrid] | None:
    """Return the priors to compare for a family; None if they are not known.

    By default those over levels, of columns that have some.
    """
    prior = prior_of_levels(family)
    return None if prior is None else of_levels(estimator.inference, prior)


@grid_of.register(Gaussian)
def _of_normals(family: Any, estimator: Any, summary: Summary) -> Iterator[PriorOfGrid] | None:
    if "covariance_prior" not in estimator.get_params():
        return None
    return of_gaussians(family, summary.scale)


@grid_of.register(Transformed)
def _of_transformed(family: Any, estimator: Any, summary: Summary) -> Iterator[PriorOfGrid]:
    frame = family.frame(summary)
    scale = family.function.framed.summary(summary, frame).scale
    scale = scale * family.function.frame(frame.scale).scale
    return as_inference(estimator.inference, of_gaussians(family.family, scale))


@singledispatch
def prior_of_levels(family: Any) -> Callable[[float], Any] | None:
    """Return the prior over levels as a function of its mass; None without levels."""
    return None


@prior_of_levels.register(Categorical)
def _of_categories(family: Any) -> Callable[[float], Any]:
    return lambda mass: CategoricalPrior(per_share=mass)


@prior_of_levels.register(Bernoulli)
def _of_answers(family: Any) -> Callable[[float], Any]:
    return lambda mass: BetaPrior(mass, mass)


@grid_of.register(Product)
def _of_parts(family: Any, estimator: Any, summary: Summary) -> Iterator[PriorOfGrid] | None:
    pairs = [(part.columns, prior_of_levels(part.family)) for part in family.parts]
    of_parts = {columns: prior for columns, prior in pairs if prior is not None}
    if not of_parts:
        return None
    given = {} if estimator.inference.prior is None else estimator.inference.prior.parts

    def prior(mass: float) -> ProductPrior:
        return ProductPrior({**given, **{key: own(mass) for key, own in of_parts.items()}})

    return of_levels(estimator.inference, prior)


def of_levels(inference: Any, prior: Callable[[float], Any]) -> Iterator[PriorOfGrid]:
    """Return 15 priors for columns of levels; ``prior`` is that of a given mass."""
    for alpha, mass in product(CONCENTRATIONS, MASSES):
        varied = replace(inference, prior=prior(mass), weights=DirichletPrior(alpha))
        settings: dict[str, float | str] = {"weight_concentration": alpha, "mass": mass}
        # Probabilities near zero have many local optima, which quick searches would miss.
        yield PriorOfGrid(settings, {"inference": varied, "search": "auto"})


def of_gaussians(family: Gaussian, scale: Any) -> Iterator[PriorOfGrid]:
    """Return 27 priors of Gaussians with this structure."""
    structure = family.structure
    dimension = structure.algebra.block_dimension(len(scale))
    default = float(dimension + 2)
    for alpha, more, share in product(CONCENTRATIONS, MORE_FREEDOM, (None, *SHARES)):
        freedom, beta, extent = default + more, np.nan, "learned"
        parameters: dict[str, Any] = {
            "weight_concentration_prior": alpha,
            "degrees_of_freedom_prior": freedom,
        }
        if share is not None:
            beta, extent = FIXED_MEAN_PRECISIONS[share], f"{share:g} of all"
            # E[Σ] = W0⁻¹ / (ν0 - p - 1): ν0 changes the precision of the prior, not its mean.
            block = share * (freedom - dimension - 1.0) * np.diag(scale * scale)
            parameters["mean_precision_prior"] = beta
            fixed = structure.blocks.one_of(structure.blocks.block_of(block))
            parameters["covariance_prior"] = fixed
        settings: dict[str, float | str] = {
            "weight_concentration": alpha,
            "degrees_of_freedom": freedom,
            "mean_precision": beta,
            "scale": extent,
        }
        yield PriorOfGrid(settings, parameters)


def as_inference(inference: Any, priors: Iterator[PriorOfGrid]) -> Iterator[PriorOfGrid]:
    """Return priors of Gaussians as parameters of a ``Mixture``."""
    for prior in priors:
        given: dict[str, Any] = prior.parameters
        choice = GaussianPrior(
            mean_precision=given.get("mean_precision_prior"),
            degrees_of_freedom=given["degrees_of_freedom_prior"],
            covariance=given.get("covariance_prior"),
        )
        weights = DirichletPrior(given["weight_concentration_prior"])
        varied = replace(inference, prior=choice, weights=weights)
        yield PriorOfGrid(prior.settings, {"inference": varied})


def _numbers(search: Any, n_components: Any) -> list[int]:
    compared = sorted(set(search.results_["n_components"]))
    if n_components is not None:
        return sorted({int(k) for k in n_components})
    middle = search.best_estimator_.n_components_
    return [int(k) for k in compared if abs(k - middle) <= REACH]


def _collected(
    priors: list[PriorOfGrid], rows: list[Candidate], length: int, n_components: int
) -> PriorSensitivity:
    """Return the choice under each prior, from its candidates."""
    entries, tables = [], []
    for number, prior in enumerate(priors):
        candidates = rows[number * length : (number + 1) * length]
        prior_over_k = prior_asked([row.asked for row in candidates], None, falls=False)
        series = over_k(candidates, probabilities(candidates, prior_over_k))
        best = candidates[chosen(candidates, "elbo_log_k")[0]]
        tables.append(series.rename(number))
        entries.append(
            prior.settings
            | {"chosen": best.n_components, "probability": float(series[best.n_components])}
        )
    return PriorSensitivity(
        pd.DataFrame(entries), pd.DataFrame(tables).reset_index(drop=True), n_components
    )
