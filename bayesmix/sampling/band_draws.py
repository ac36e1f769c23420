"""Where the draws of a band are from: q, the posterior by Gibbs sampling, or a bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bayesmix import validation
from bayesmix.errors import InvalidInputError
from bayesmix.sampling.draws.mixtures import DrawnMixtures
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.sampling.draws.posterior_sample import posterior_draws
from bayesmix.workflow.result import FitResult

CHAINS = 4
# Where a band has those of several candidates: 1,000 of each would take several times as long.
DRAWS_OF_EACH = 400


def drawn_mixtures(
    estimator: Any, method: Any, data: Any, n_draws: Any, seed: int, sample_weight: Any = None
) -> DrawnMixtures:
    """Draws of a fitted estimator's mixture by a method, or those that are given instead of one."""
    result: FitResult = estimator._fitted()
    result.refuse_noise("a band")
    number = validation.integer("n_draws", n_draws, 1)
    if _has_draws(method):
        return _given(result, method).at_most(number)
    if not isinstance(method, str) or method not in METHODS:
        raise InvalidInputError(
            f"method must be one of {', '.join(map(repr, METHODS))}, or what bayesmix.gibbs or "
            f"bayesmix.weighted_bootstrap returned for this fit, got {method!r:.60}"
        )
    draw = METHODS[method]
    if draw is not _variational and data is None:
        raise InvalidInputError(
            f"data must be the rows of the fit for method={method!r}: an estimator does not keep "
            "them"
        )
    return draw(estimator, data, sample_weight, number, seed)


def _has_draws(method: Any) -> bool:
    """Whether it is what a sampler or a bootstrap returned."""
    return isinstance(getattr(method, "result", None), FitResult) and (
        hasattr(method, "groups") or isinstance(getattr(method, "draws", None), Draws)
    )


def _variational(
    estimator: Any, data: Any, sample_weight: Any, n_draws: int, seed: int
) -> DrawnMixtures:
    result = estimator._fitted()
    return DrawnMixtures(result, (posterior_draws(result, n_draws, seed),))


def _gibbs(estimator: Any, data: Any, sample_weight: Any, n_draws: int, seed: int) -> DrawnMixtures:
    from bayesmix.sampling.gibbs.sampler import gibbs

    each = -(-n_draws // CHAINS)
    found = gibbs(
        estimator,
        data,
        draws=each,
        chains=CHAINS,
        sample_weight=sample_weight,
        random_state=seed,
        n_jobs=estimator.n_jobs,
    )
    return _given(estimator._fitted(), found).at_most(n_draws)


def _bootstrap(
    estimator: Any, data: Any, sample_weight: Any, n_draws: int, seed: int
) -> DrawnMixtures:
    from bayesmix.sampling.weighted_bootstrap import weighted_bootstrap

    found = weighted_bootstrap(
        estimator,
        data,
        draws=n_draws,
        sample_weight=sample_weight,
        random_state=seed,
        n_jobs=estimator.n_jobs,
    )
    return _given(estimator._fitted(), found)


METHODS: Mapping[str, Callable[[Any, Any, Any, int, int], DrawnMixtures]] = {
    "variational": _variational,
    "gibbs": _gibbs,
    "bootstrap": _bootstrap,
}


def _given(result: FitResult, found: Any) -> DrawnMixtures:
    """The draws of a sampler, or of a bootstrap, of this very fit."""
    if found.result.objective != result.objective:
        raise InvalidInputError(
            f"method must be draws of this very fit, got {type(found).__name__} of another: make "
            "them of this model, as in bm.gibbs(model, X)"
        )
    # Where K is drawn too, draws come in groups of equally many components.
    groups = getattr(found, "groups", None) or (found,)
    # Samplers hold their rows. Labels change in their draws; a bootstrap's are those of the fit.
    parts = tuple(group.draws for group in groups)
    return DrawnMixtures(result, parts, getattr(found, "source", None))
