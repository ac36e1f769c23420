"""``compare``: held-out and leave-one-out log densities of fitted models, with paired differences.

Differences and their standard errors are those of Vehtari, Gelman & Gabry 2017 (section 5.2), with
log densities of cross-validation as well as of importance sampling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.assess.fit_evidence import leave_one_out
from bayesmix.assess.nested import nested_cv
from bayesmix.core.procedures import last_step
from bayesmix.em.display import shortened
from bayesmix.em.result import FitResult
from bayesmix.em.shown import Shown, ShownTable
from bayesmix.errors import InvalidInputError
from bayesmix.posterior.leave_one_out import LeaveOneOut
from bayesmix.posterior.pareto import TRUSTED_UP_TO


@dataclass(frozen=True, repr=False, eq=False)
class ModelComparison:
    """Log densities of fitted models on new data; see ``compare``.

    Attributes
    ----------
    table : DataFrame
        A row per model. "held_out": total cross-validated log density in nats;
        "held_out_difference" to the best model, and "held_out_error", the standard error of the
        paired difference. The same for "loo", leave-one-out by importance sampling, with
        "pareto_k", the largest; NaN for models without a posterior.
    leave_one_out : dict of str to LeaveOneOut
        Of the models with a posterior.
    """

    table: pd.DataFrame
    leave_one_out: dict[str, LeaveOneOut]

    @property
    def shown(self) -> Shown:
        """What text, notebooks and files show."""
        best = str(self.table["held_out_difference"].idxmax())
        lines = [
            f"{name}: {row['held_out_difference']:+.1f} ± {row['held_out_error']:.1f} nats."
            for name, row in self.table.iterrows()
            if name != best
        ]
        doubtful = self.table.index[self.table["pareto_k"] > TRUSTED_UP_TO].tolist()
        cautions = (
            (f"Pareto k is above {TRUSTED_UP_TO} for {', '.join(doubtful)}: use held_out.",)
            if doubtful
            else ()
        )
        title = f"{best} has the largest held-out log density."
        table = ShownTable("models", "Log densities in nats", self.table.reset_index())
        return Shown(title, tuple(lines), (table,), cautions)

    def summary(self) -> str:
        """Return the best model, and the differences of the others from it."""
        return self.shown.text()

    def __repr__(self) -> str:
        lines = [f"  {line}" for line in self.summary().splitlines()]
        return shortened([f"<ModelComparison: {len(self.table)} models>", *lines])

    def _repr_html_(self) -> str:
        return self.shown.html()


def compare(
    models: Any,
    X: Any,
    cv: Any = 5,
    sample_weight: Any = None,
    n_draws: int = 1000,
    n_jobs: int | None = None,
    random_state: Any = 0,
) -> ModelComparison:
    """Compare fitted models by cross-validated and leave-one-out log densities.

    Every model is fitted again, with its parameters, to the training part of each fold. Of a search
    the chosen model is compared. For procedures whose choices belong to the comparison use
    ``nested_cv``.

    Parameters
    ----------
    models : sequence or dict of fitted mixtures, pipelines or searches
        At least two; those of a sequence are called "model 1", "model 2".
    X : array or frame (n, D)
        The data of the fits.
    cv : int or splitter, default=5
        Folds, the same for all models.
    sample_weight : array (n,), optional
    n_draws : int, default=1000
        Posterior draws for leave-one-out densities.
    n_jobs : int, optional
        Number of worker processes, which does not change results; None: all cores.
    random_state : None, int, RandomState or Generator, default=0

    Returns
    -------
    ModelComparison

    Raises
    ------
    ValueError
        For fewer than two models, models that are not fitted, and data that do not fit them.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> models = {str(k): bm.GaussianMixture(k, random_state=0).fit(X) for k in (1, 2)}
    >>> bm.compare(models, X, n_jobs=1).table["held_out_difference"].idxmax()
    '2'
    """
    fitted = _fitted(models)
    held = nested_cv(
        fitted, X, cv, sample_weight, n_jobs=n_jobs, random_state=random_state, progress=False
    ).held
    totals = {name: one.score.value for name, one in held.items()}
    best = max(totals, key=totals.__getitem__)
    left_out = {
        name: leave_one_out(model, X, n_draws, sample_weight, random_state)
        for name, model in fitted.items()
        if last_step(model).result_.variational
    }
    first = max(left_out, key=lambda name: left_out[name].total, default=None)
    rows = []
    for name in fitted:
        behind = held[name].less(held[best])
        row = {
            "held_out": totals[name],
            "held_out_difference": behind.value,
            "held_out_error": behind.standard_error,
        }
        if first is not None and name in left_out:
            away = left_out[name].compare(left_out[first])
            row |= {
                "loo": left_out[name].total,
                "loo_difference": away.value,
                "loo_error": away.standard_error,
                "pareto_k": float(np.max(left_out[name].pareto_k)),
            }
        rows.append(row)
    columns = ["held_out", "held_out_difference", "held_out_error"]
    columns += ["loo", "loo_difference", "loo_error", "pareto_k"]
    index = pd.Index([*fitted], name="model")
    return ModelComparison(pd.DataFrame(rows, index, columns, dtype=np.float64), left_out)


def _fitted(models: Any) -> dict[str, Any]:
    """Return the fitted models by name; of searches the chosen ones."""
    if isinstance(models, Mapping):
        named = {str(name): model for name, model in models.items()}
    elif isinstance(models, list | tuple):
        named = {f"model {number}": model for number, model in enumerate(models, 1)}
    else:
        raise InvalidInputError(
            f"models must be a sequence or a dict of fitted models, got {type(models).__name__}"
        )
    if len(named) < 2:
        raise InvalidInputError(f"models must have at least two models, got {len(named)}")
    chosen = {name: getattr(model, "best_estimator_", model) for name, model in named.items()}
    for name, model in chosen.items():
        if not isinstance(getattr(last_step(model), "result_", None), FitResult):
            raise InvalidInputError(
                f"models must be fitted, but {name} is not (a {type(model).__name__}): call fit "
                "first"
            )
    return chosen
