"""The choice among candidates by the kernel alone, of fits that are not estimators."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from bayesmix.em.model import MaximumLikelihood, Model, Settings
from bayesmix.em.run import Change
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.search.fit import fit
from bayesmix.selection.criteria import chosen
from bayesmix.selection.scores import make_splits
from bayesmix.selection.sweep import Sweep
from bayesmix.selection.tasks import Effort, Task
from bayesmix.sources.memory import ArraySource

SETTINGS = Settings(Change(1e-6, True), max_iter=500)


@dataclass
class Fit:
    """A model that is fitted, as candidates hold it."""

    model: Model
    result_: Any = field(default=None)


@dataclass(frozen=True)
class FitsOf:
    """Fits of Gaussian mixtures to a source, by K and covariance structure."""

    source: ArraySource
    prefix: str = ""
    units: None = None
    searches: bool = True

    @property
    def table(self):
        return self.source

    def on(self, rows):
        return replace(self, source=self.source.subset(rows))

    def candidate(self, parameters, effort=Effort.AS_ASKED):
        family = Gaussian(parameters["covariance_type"])
        return Fit(Model(parameters["n_components"], family, MaximumLikelihood()))

    def fit(self, candidate, warm_starts=()):
        candidate.result_ = fit(candidate.model, self.source, SETTINGS.among(warm_starts))
        return candidate.result_

    def source_of(self, candidate):
        return self.source

    def log_density(self, candidate):
        return candidate.result_.log_density(self.source.values)


def three_clusters(seed):
    generator = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    return centres[generator.integers(0, 3, 240)] + generator.normal(size=(240, 2))


@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_three_spherical_clusters_are_found(criterion):
    X = three_clusters(2_211)
    source = ArraySource(X)
    splits = make_splits(3, source, 0) if criterion == "cv" else ()
    grid = {"covariance_type": ["full", "spherical"]}
    chains = [
        [{"covariance_type": structure, "n_components": K} for K in (1, 2, 3, 4)]
        for structure in grid["covariance_type"]
    ]
    sweep = Sweep(Task(FitsOf(source), splits, watched=criterion), chains)
    for _ in sweep.fit_all(1):
        pass
    rows = sweep.candidates(np.ones(len(X)))
    best = rows[chosen(rows, criterion)[0]]
    assert best.parameters == {"covariance_type": "spherical", "n_components": 3}
    # Three means, three variances and two free weights; a score is half of minus BIC.
    n_parameters = 6 + 3 + 2
    bic = best.result.log_likelihood - 0.5 * n_parameters * np.log(len(X))
    assert best.value("bic") == pytest.approx(bic, rel=1e-12)
