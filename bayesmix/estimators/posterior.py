"""How sure, and of which columns: what fitted estimators answer beside their density."""

from __future__ import annotations

from typing import Any

from bayesmix.errors import InvalidInputError
from bayesmix.estimators import incoming, validation
from bayesmix.numerics.arrays import Array
from bayesmix.random import root_seed
from bayesmix.sampling import arviz_tree, bands, posterior
from bayesmix.sampling.density import MixtureDensity, density_of
from bayesmix.sampling.posterior import PosteriorSample


def density_interval(
    estimator: Any, X: Any, level: Any, simultaneous: Any, n_draws: Any, random_state: Any
) -> Array:
    """See ``MixtureEstimator.density_interval``."""
    result = estimator._fitted()
    number = _level(level)
    whole = validation.flag("simultaneous", simultaneous)
    draws = validation.integer("n_draws", n_draws, 1)
    source = incoming.new_rows(estimator, X)
    return bands.density_band(result, source, number, whole, draws, _seed(estimator, random_state))


def conditional_interval(
    estimator: Any, X_given: Any, columns: Any, level: Any, n_draws: Any, random_state: Any
) -> Array:
    """See ``MixtureEstimator.conditional_interval``."""
    result = estimator._fitted()
    number = _level(level)
    draws = validation.integer("n_draws", n_draws, 1)
    free, known, values = density(estimator).given_rows(X_given, columns)
    seed = _seed(estimator, random_state)
    return bands.conditional_band(result, free, known, values, number, draws, seed)


def sample_posterior(estimator: Any, n_draws: Any, random_state: Any) -> PosteriorSample:
    """See ``MixtureEstimator.sample_posterior``."""
    result = estimator._fitted()
    draws = validation.integer("n_draws", n_draws, 1)
    return posterior.posterior_sample(result, draws, _seed(estimator, random_state))


def to_arviz(estimator: Any, X: Any, n_draws: Any, random_state: Any) -> Any:
    """See ``MixtureEstimator.to_arviz``."""
    result = estimator._fitted()
    draws = validation.integer("n_draws", n_draws, 1)
    source = None if X is None else incoming.new_rows(estimator, X)
    seed = _seed(estimator, random_state)
    return arviz_tree.variational_tree(result, _names(estimator), source, draws, seed)


def density(estimator: Any) -> MixtureDensity:
    """The fitted density over all columns, for parts of it."""
    return density_of(estimator._fitted(), _names(estimator))


def _level(value: Any) -> float:
    level = validation.number("level", value, 0.0, strict=True)
    if level >= 1.0:
        raise InvalidInputError(f"level must be below 1, such as 0.9, got {value!r}")
    return level


def _names(estimator: Any) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(map(str, names))


def _seed(estimator: Any, random_state: Any) -> int:
    """None: the estimator's own, as in ``sample``."""
    return root_seed(estimator.random_state if random_state is None else random_state)
