"""Which candidates of a search are first fitted all at once: mixtures of many structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.families.gaussian.covariance.models import NAMED, SCIKIT_LEARNS
from bayesmix.protocols import Parameters, Source
from bayesmix.records import Mixture
from bayesmix.selection.candidates.structures_asked import ONE

if TYPE_CHECKING:
    from bayesmix.estimators.base import MixtureEstimator

STRUCTURE = "covariance_type"
# Of a range of K that takes care of itself the first, as mclust has them.
FIRST = 9
# Sums of products of more columns take longer together than one by one.
MOST_COLUMNS = 32


def first_fits(
    estimator: MixtureEstimator,
    source: Source,
    chains: list[list[Parameters]],
    grows: bool,
    seed: int,
) -> dict[tuple[int, int], Mixture]:
    """(chain, place) -> where a candidate begins without a search of its own."""
    places = {
        (NAMED[parameters[STRUCTURE]].name, parameters[ONE]): (number, place)
        for number, chain in enumerate(chains)
        for place, parameters in enumerate(chain)
        if parameters.keys() == {STRUCTURE, ONE}
        and parameters[STRUCTURE] in NAMED
        and not (grows and parameters[ONE] > FIRST)
    }
    # Searches of scikit-learn's four alone are few enough to be fitted one by one.
    if all(name in SCIKIT_LEARNS for name, _ in places) or not _plain(estimator, source):
        return {}
    from bayesmix.workflow.search.candidates_together import begun_together

    found = begun_together(source, list(places), seed)
    return {places[each]: mixture for each, mixture in found.items()}


def _plain(estimator: Any, source: Source) -> bool:
    """Whether these are Gaussian mixtures by maximum likelihood, with short searches."""
    model = estimator._model()
    if model.inference.name != "maximum_likelihood" or model.family.name != "gaussian":
        return False
    if model.noise is not None or model.family.ridge is not None or source.summary.n_missing:
        return False
    settings = estimator._settings(model, source)
    return settings.search and not settings.moves and source.shape[1] <= MOST_COLUMNS
