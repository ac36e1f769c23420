"""``select``: how many components, and of what kind, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bayesmix.estimators.bayesian import BayesianGaussianMixture
from bayesmix.estimators.gaussian import GaussianMixture
from bayesmix.estimators.search import MixtureSearch
from bayesmix.families.gaussian.covariance.models import OF_ONE_COLUMN, SCIKIT_LEARNS
from bayesmix.selection.criteria.scores import OF_A_POSTERIOR

POLISH = 6.0


def select(
    X: Any,
    n_components: Any = None,
    covariance_type: str | Sequence[str] | None = None,
    criterion: Any = "auto",
    sample_weight: Any = None,
    random_state: Any = 0,
    noise: Any = False,
    **options: Any,
) -> MixtureSearch:
    """How many components, and of what kind: sensible candidates, fitted and compared.

    By default variational fits: the number of components by its evidence, among the structures
    that predict held-out rows no worse than the best by more than one standard error. Measured
    against others in the benchmarks.

    Parameters
    ----------
    X : array, frame or source (n, D)
    n_components : int or sequence of int, optional
        None: K grows from 1 until more components are refuted, under a prior over K that falls
        with it (beta-negative-binomial); at most 30.
    covariance_type : str or sequence of str, optional
        None: all four, or of one column "full" and "tied", which the others then equal.
    criterion : str or callable, default="auto"
        As in ``MixtureSearch``. A variational estimator is used where the criterion is of a
        posterior, maximum likelihood otherwise.
    sample_weight : array (n,), optional
    random_state : default=0
    noise : bool or as of ``GaussianMixture``, default=False
        Whether rows may belong to no component; True is "uniform". "auto" is then "bic", and what
        the evidence or a posterior is needed for is refused.
    **options
        Further options of ``MixtureSearch``.

    Returns
    -------
    MixtureSearch
        Fitted.

    Examples
    --------
    >>> import bayesmix as bm
    >>> search = bm.select(bm.datasets.load_faithful())
    >>> search.best_params_
    {'covariance_type': 'tied', 'n_components': 3}
    """
    search = procedure(
        X, n_components, covariance_type, criterion, random_state, noise=noise, **options
    )
    return search.fit(X, sample_weight=sample_weight)


def procedure(
    X: Any,
    n_components: Any = None,
    covariance_type: str | Sequence[str] | None = None,
    criterion: Any = "auto",
    random_state: Any = 0,
    estimator: Any = None,
    noise: Any = False,
    **options: Any,
) -> MixtureSearch:
    """The search that ``select`` fits to such rows, not fitted yet."""
    if isinstance(noise, bool):
        noise = "uniform" if noise else None
    if noise is not None and criterion == "auto":
        criterion = "bic"
    if estimator is None:
        estimator = comparable() if criterion in OF_A_POSTERIOR else GaussianMixture()
        # Of many candidates each begins where the one before ended; moves would hardly add to that.
        estimator.set_params(search="short", noise=noise)
    if covariance_type is None:
        one_column = getattr(X, "ndim", 2) == 2 and getattr(X, "shape", (0, 2))[1] == 1
        covariance_type = OF_ONE_COLUMN if one_column else SCIKIT_LEARNS
    return MixtureSearch(
        estimator,
        n_components,
        covariance_type,
        criterion=criterion,
        random_state=random_state,
        **{"polish": POLISH} | options,
    )


def comparable() -> Any:
    """A variational estimator whose bounds are about K: one symmetric prior, nothing pruned."""
    return BayesianGaussianMixture(
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
    )
