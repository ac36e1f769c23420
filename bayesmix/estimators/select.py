"""``select``: how many components, and of what kind, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.em.objectives import VariationalBayes
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.bayesian import BayesianGaussianMixture
from bayesmix.estimators.fit_columns import coding_of_table, is_mixed_table
from bayesmix.estimators.gaussian import GaussianMixture
from bayesmix.estimators.mixture import Mixture
from bayesmix.estimators.search import MixtureSearch
from bayesmix.families.gaussian.covariance.models import OF_ONE_COLUMN, SCIKIT_LEARNS
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.registry import family_named
from bayesmix.selection.candidates import have_posteriors, last_step
from bayesmix.selection.criteria import POSTERIOR

POLISH = 6.0


def select(
    X: Any,
    n_components: Any = None,
    covariance_type: str | Sequence[str] | None = None,
    criterion: Any = "auto",
    sample_weight: Any = None,
    random_state: Any = 0,
    noise: Any = False,
    missing: str = "error",
    family: Any = None,
    variable_selection: bool = False,
    *,
    labels: Any = None,
    **options: Any,
) -> MixtureSearch:
    """How many components, and of what kind: sensible candidates, fitted and compared.

    By default variational fits: the number of components by its evidence, among the structures
    that predict held-out rows no worse than the best by more than one standard error. Measured
    against others in the benchmarks.

    Parameters
    ----------
    X : array, frame or source (n, D)
        Of a frame with columns of categories, text or truth values these are levels; dates and keys
        are left out, with a warning. See ``Mixture(family="auto")``.
    n_components : int or sequence of int, optional
        None: K grows from 1 until more components are far behind, under a prior over K that falls
        with it (beta-negative-binomial); at most 30.
    covariance_type : str or sequence of str, optional
        None: scikit-learn's four, or of one column "full" and "tied", which the others then equal.
        "all": mclust's fourteen by criteria of maximum likelihood, such as "bic"; by those of a
        posterior the six that have one. Where one of those named has none, as "VVE" or
        ``FactorAnalytic(2)``, "auto" is "bic".
    criterion : str or callable, default="auto"
        As in ``MixtureSearch``. A variational estimator is used where the criterion is of a
        posterior, maximum likelihood otherwise.
    sample_weight : array (n,), optional
    random_state : default=0
    noise : bool or as of ``GaussianMixture``, default=False
        Whether rows may belong to no component; True is "uniform". "auto" is then "bic", and what
        the evidence or a posterior is needed for is refused. Of several families the Gaussian
        ones have it.
    missing : {"error", "use", "drop"}, default="error"
        What missing values mean, as of ``GaussianMixture``.
    family : Family or sequence of them, optional
        Of ``Mixture``: one, or several that compete in one table, such as
        ``[bm.Gaussian(), bm.StudentT()]``. None is Gaussian, or what the columns of a frame are.
        Where one of them is fitted by maximum likelihood alone, as ``Gamma()``, "auto" is "bic".
    variable_selection : bool, default=False
        Whether to choose the features that distinguish the clusters first, as in
        ``MixtureSearch``.
    labels : array (n,) or (n, K), optional
        Known components, -1 where unknown; every candidate has at least as many. P(K | data) then
        answers whether there are classes that nobody has labelled.
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
        X,
        n_components,
        covariance_type,
        criterion,
        random_state,
        noise=noise,
        missing=missing,
        family=family,
        variable_selection=variable_selection,
        **options,
    )
    return search.fit(X, sample_weight=sample_weight, labels=labels)


def procedure(
    X: Any,
    n_components: Any = None,
    covariance_type: str | Sequence[str] | None = None,
    criterion: Any = "auto",
    random_state: Any = 0,
    estimator: Any = None,
    noise: Any = False,
    missing: str = "error",
    family: Any = None,
    **options: Any,
) -> MixtureSearch:
    """The search that ``select`` fits to such rows, not fitted yet."""
    if isinstance(noise, bool):
        noise = "uniform" if noise else None
    several = isinstance(family, Sequence) and not isinstance(family, str)
    families = [family_named(one) for one in family] if several else [family_named(family)]
    compared = noise is None and all(getattr(one, "has_posterior", True) for one in families)
    if criterion == "auto" and not (compared and have_posteriors(covariance_type)):
        criterion = "bic"
    numbers = columns_of_numbers(X)
    if noise is not None and is_mixed_table(X):
        raise UnsupportedError(
            "noise is for columns of numbers: leave out the others, or the noise"
        )
    if family is not None:
        if estimator is not None:
            raise InvalidInputError("select takes family alone: give it to the estimator")
        beside = [one for one in families if isinstance(one, Gaussian)]
        if noise is not None and not beside:
            raise UnsupportedError(
                "noise is beside Gaussians: leave it out, or have Gaussian() among the families"
            )
        inference = VariationalBayes(weights=DirichletPrior(1.0))
        estimator = Mixture(
            family=families[0] if noise is None else beside[0],
            inference=inference if criterion in POSTERIOR else None,
            prune=False,
            search="short",
            noise=noise,
        )
        if len(families) > 1:
            more = options.get("param_grid", {})
            options["param_grid"] = (
                [
                    {"family": [one], "noise": [noise if one in beside else None]} | more
                    for one in families
                ]
                if noise is not None
                else {"family": families} | more
            )
    if estimator is None:
        estimator = comparable(X) if criterion in POSTERIOR else likely(X)
        # Of many candidates each begins where the one before ended; moves would hardly add to that.
        estimator.set_params(search="short", **({} if noise is None else {"noise": noise}))
    if missing != "error":
        estimator = clone(estimator)
        last_step(estimator).set_params(missing=missing)
    structured = all(one is None or hasattr(one, "covariance") for one in families)
    if covariance_type is None and numbers != 0 and structured:
        covariance_type = OF_ONE_COLUMN if numbers == 1 else SCIKIT_LEARNS
    return MixtureSearch(
        estimator,
        n_components,
        covariance_type,
        criterion=criterion,
        random_state=random_state,
        **{"polish": POLISH} | options,
    )


def comparable(X: Any = None) -> Any:
    """A variational estimator whose bounds are about K: one symmetric prior, nothing pruned."""
    if is_mixed_table(X):
        prior = VariationalBayes(weights=DirichletPrior(1.0))
        return Mixture(family="auto", inference=prior, prune=False)
    return BayesianGaussianMixture(
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
    )


def likely(X: Any = None) -> Any:
    """A maximum likelihood estimator for such columns."""
    return Mixture(family="auto") if is_mixed_table(X) else GaussianMixture()


def columns_of_numbers(X: Any) -> int:
    """How many columns of a table are of numbers; of other rows about as many as there are."""
    coding = coding_of_table(X)
    if coding is not None:
        return len(coding.numbers) - len(coding.counts)
    one_column = getattr(X, "ndim", 2) == 2 and getattr(X, "shape", (0, 2))[1] == 1
    return 1 if one_column else 2
