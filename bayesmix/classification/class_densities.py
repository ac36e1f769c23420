"""Class densities of ``MixtureClassifier``: one mixture for all classes, or one for each."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from itertools import starmap
from operator import itemgetter
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.classification.class_probabilities import bic_of_densities, brier_score
from bayesmix.core.mixture import Mixture as Density
from bayesmix.core.nouns import counted
from bayesmix.core.random import root_seed
from bayesmix.core.rows import SideInformation
from bayesmix.em.under_a_prior import VariationalBayes
from bayesmix.errors import (
    BayesmixError,
    BayesmixWarning,
    DegenerateComponentWarning,
    FlatDirectionWarning,
    InvalidInputError,
    warn,
)
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.mixture import Mixture
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.search.screening import finalists
from bayesmix.selection.structures import without_posterior
from bayesmix.sources.memory import ArraySource

# Numbers of components of a class that "auto" compares, as mclust does.
NUMBERS = tuple(range(1, 6))
# Structures with diagonal covariances, which fewer samples than features can determine.
DIAGONAL = {
    *("EII", "VII", "EEI", "VEI", "EVI", "VVI"),
    *("spherical", "diag", "tied_spherical", "tied_diag"),
}
# Folds that compare structures where BIC has no value.
FOLDS = 5


class ClassDensities(ABC):
    """Class densities that EM fits in turn with the classes of unlabelled samples."""

    def __init__(
        self, classifier: Any, source: ArraySource, codes: Integers, numbers: list[int | None]
    ) -> None:
        self.classifier, self.source, self.codes, self.numbers = classifier, source, codes, numbers

    @property
    def n_classes(self) -> int:
        return len(self.numbers)

    @property
    def labelled(self) -> Booleans:
        return self.codes >= 0

    @abstractmethod
    def fit(self) -> None:
        """Choose structures and fit them, before classes of unlabelled samples are known."""

    @property
    @abstractmethod
    def settled(self) -> bool:
        """Whether no further EM steps are needed."""

    @abstractmethod
    def refit(self, shares: Array) -> None:
        """Fit again, with responsibilities (n, G) of the classes."""

    @abstractmethod
    def models(self) -> dict[Any, Mixture]:
        """Return the mixture of each class."""

    def priors(self, shares: Array) -> Array:
        """Return class probabilities (G,) by sums of responsibilities."""
        totals = self.source.rows.weights_or_ones @ shares[:, : self.n_classes]
        return totals / totals.sum()


class Together(ClassDensities):
    """A mixture with known labels and one component per class."""

    @property
    def _source(self) -> ArraySource:
        return replace(self.source, side=SideInformation(self.codes))

    def fit(self) -> None:
        source = self._source
        if self.classifier.novelty:
            # Samples of no known class would widen the others.
            source = source.subset(np.flatnonzero(self.labelled))
        self.model = self._best(source)

    def _best(self, source: ArraySource) -> Mixture:
        """Return the structure with the best BIC or ELBO.

        Where class covariances are singular, likelihoods have no maximum and BIC no value: then
        variational fits are compared by the Brier score of held-out samples.
        """
        classifier, last = self.classifier, None
        best: tuple[float, Mixture] | None = None
        for structure in classifier._structures:
            try:
                model = self._fitted(source, structure, classifier.inference)
            except BayesmixError as problem:
                last = problem
                continue
            result = model.result_
            if result.degenerate is not None:
                if len(classifier._structures) > 1:
                    return self._best_by_folds(source)
                held = {k for event in result.events for k in event.components}
                names = ", ".join(str(classifier.classes_[k]) for k in sorted(held))
                warn(
                    f"the covariance of class {names} is singular, so it was raised to the "
                    "resolution of the data: use covariance_type='auto', "
                    "inference=bayesmix.VariationalBayes(), or more samples of that class",
                    DegenerateComponentWarning,
                )
                return model
            value = result.objective
            if not result.variational:  # BIC in mclust's convention
                value = bic_of_densities(result, source)
            if best is None or value > best[0]:
                best = value, model
        if best is None:
            counts = np.bincount(self.codes[self.labelled])
            raise InvalidInputError(
                f"no covariance structure can be fitted, because class "
                f"{classifier.classes_[counts.argmin()]!s} has {counts.min()} samples ({last}): "
                "use inference=bayesmix.VariationalBayes(), or more samples"
            )
        return best[1]

    def _fitted(self, source: ArraySource, structure: Any, inference: Any) -> Mixture:
        model: Mixture = self.classifier._mixture(self.n_classes, structure)
        model.set_params(inference=inference)
        with warnings.catch_warnings():
            for category in (DegenerateComponentWarning, FlatDirectionWarning):
                warnings.simplefilter("ignore", category)
            model._fit(partial(incoming.same_rows, model, source))
        return model

    def _best_by_folds(self, source: ArraySource) -> Mixture:
        """Return the variational fit with the best class probabilities of held-out samples."""
        labels: Any = source.side.labels
        labelled = np.flatnonzero(labels >= 0)
        codes, inference = labels[labelled], VariationalBayes()
        n_folds = min(FOLDS, int(np.bincount(codes).min()))
        names = [name for name in self.classifier._structures if not without_posterior(name)]
        if n_folds < 2 or len(names) < 2:
            fits = [self._fitted(source, name, inference) for name in names or ["full"]]
            return max(fits, key=lambda model: model.result_.objective)
        seed = root_seed(self.classifier.random_state)
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed % 2**32)
        totals = np.zeros(len(names))
        for train, test in folds.split(labelled, codes):
            held, part = np.asarray(source.values[labelled[test]]), source.subset(labelled[train])
            try:
                models = [self._fitted(part, name, inference) for name in names]
            except InvalidInputError:  # a column without values, or with a single one
                continue
            for i, model in enumerate(models):
                totals[i] += brier_score(model.result_, held, codes[test])
        return self._fitted(source, names[int(totals.argmin())], inference)

    @property
    def settled(self) -> bool:
        return not self.classifier.novelty or bool(self.labelled.all())

    def priors(self, shares: Array) -> Array:
        return self.model.weights_

    def refit(self, shares: Array) -> None:
        """Fit again, each sample weighted by its probability of belonging to a known class."""
        factors = shares[:, : self.n_classes].sum(axis=1)
        factors[self.labelled] = 1.0
        _go_on(self.model, self._source.reweighted(factors))

    def models(self) -> dict[Any, Mixture]:
        return dict.fromkeys(self.classifier.classes_.tolist(), self.model)


class Apart(ClassDensities):
    """A separate mixture for each class."""

    def fit(self) -> None:
        self.mixtures = [self._class(k) for k in range(self.n_classes)]

    def _class(self, k: int) -> Mixture:
        samples, name = self.source.subset(self.codes == k), self.classifier.classes_.tolist()[k]
        if samples.shape[0] < 2:
            raise InvalidInputError(
                f"class {name!s} has 1 sample, but needs 2: add samples, or leave out the class"
            )
        # With few samples a likelihood may have no maximum.
        for inference in (self.classifier.inference, VariationalBayes()):
            try:
                return self._best(samples, self.numbers[k], inference)
            except BayesmixError as problem:
                last = problem
            if self.classifier.inference is not None:
                break
        raise InvalidInputError(
            f"class {name!s} with {samples.shape[0]} samples cannot be fitted: give it fewer "
            f"components, as n_components={{{name!r}: 1}}, or more samples; {last}"
        )

    def _best(self, mine: ArraySource, number: int | None, inference: Any) -> Mixture:
        """Return the number of components and the structure that suit a class best."""
        variational = inference is not None and inference.variational
        if variational and inference.weights is None:
            inference = replace(inference, weights=DirichletPrior(1.0))
        structures = [
            name
            for name in self.classifier._structures
            if name is not None and not (variational and without_posterior(name))
        ]
        n_samples, n_features = mine.shape
        if structures and n_samples <= n_features:
            # Other covariances would be singular, and exclude all new samples off their plane.
            structures = [name for name in structures if name in DIAGONAL]
            if not structures:
                raise InvalidInputError(
                    f"covariances of {counted(n_samples, 'sample')} are singular in "
                    f"{counted(n_features, 'feature')}: use covariance_type='diag', or one "
                    "component for all classes"
                )
        estimators = [
            self.classifier._mixture(K, name).set_params(search="short", inference=inference)
            for K in (NUMBERS if number is None else (number,))
            for name in structures or [None]
        ]

        log_n = math.log(self.source.total_weight)
        pairs = [(each._model_of(each._model(), mine), each) for each in estimators]
        candidates = [(model, each._settings(model, mine)) for model, each in pairs]

        def criterion(value: float, K: int, n_parameters: int) -> float:
            """Return ELBO + log K!, or BIC with the total sample size, so that classes add up."""
            if variational:
                return value + math.lgamma(K + 1)
            few = n_parameters >= n_samples
            return -np.inf if few else value - 0.5 * n_parameters * log_n

        def fitted(number: int, near: Density) -> tuple[float, int, Mixture]:
            fit = estimators[number]
            try:
                fit._fit(partial(incoming.same_rows, fit, mine), warm_starts=(near,))
            except BayesmixError:
                return -np.inf, number, fit
            result = fit.result_
            value = result.objective if variational else result.log_likelihood
            value = criterion(value, result.n_components, result.n_parameters)
            return (-np.inf if result.degenerate else value), number, fit

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayesmixWarning)
            fits = list(starmap(fitted, finalists(candidates, mine, criterion)))
            best = max(fits, key=itemgetter(0), default=(-np.inf, 0, estimators[0]))
            if best[0] == -np.inf:
                raise InvalidInputError("all covariances are singular")
            # Splits of the best mixture find optima with one component more that starts miss.
            while (more := best[1] + len(structures or [None])) < len(estimators):
                grown = fitted(more, best[2].result_.mixture)
                if grown[0] <= best[0]:
                    break
                best = grown
        return best[2]

    @property
    def settled(self) -> bool:
        return bool(self.labelled.all())

    def refit(self, shares: Array) -> None:
        """Fit each class again, with samples weighted by its probability."""
        for k, model in enumerate(self.mixtures):
            _go_on(model, self.source.reweighted(shares[:, k]))

    def models(self) -> dict[Any, Mixture]:
        return dict(zip(self.classifier.classes_.tolist(), self.mixtures, strict=True))


def _go_on(model: Mixture, source: ArraySource) -> None:
    model.set_params(warm_start=True, search=None)
    model._fit(partial(incoming.same_rows, model, source.present()))
