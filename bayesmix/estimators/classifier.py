"""``MixtureClassifier``: a mixture for each class, with known and unknown labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import warnings

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from scipy.stats import multivariate_t
from sklearn.base import ClassifierMixin
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import PointWeights
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture as Density
from bayesmix.core.random import root_seed
from bayesmix.core.rows import SideInformation
from bayesmix.core.sources import Source
from bayesmix.em.objectives import VariationalBayes
from bayesmix.em.result import FitResult, log_density
from bayesmix.errors import (
    BayesmixError,
    BayesmixWarning,
    DegenerateComponentWarning,
    InvalidInputError,
    UnsupportedError,
    warn,
)
from bayesmix.estimators import incoming
from bayesmix.estimators.mixture import Mixture
from bayesmix.estimators.parameters import store_parameters
from bayesmix.estimators.representation import Showing
from bayesmix.estimators.search import MixtureSearch
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.selection.candidates import without_posterior
from bayesmix.selection.candidates import structures_asked
from bayesmix.sources.memory import ArraySource

# Gain in nats per observation below which alternating fits have converged.
SETTLED = 1e-6
# Numbers of components of a class that "auto" compares, as mclust does.
NUMBERS = tuple(range(1, 6))
# Folds that compare structures where BIC has no value.
FOLDS = 5


class MixtureClassifier(ClassifierMixin, Showing):  # type: ignore[misc]  # scikit-learn is untyped
    """Classification by mixture densities, one for each class.

    With one component per class this is EDDA (Bensmail & Celeux 1996), whose covariance model is
    shared by the classes and chosen by BIC; with several components it is mixture discriminant
    analysis (MclustDA, Fraley & Raftery 2002). Samples without a class take part by EM.

    Parameters
    ----------
    n_components : int, "auto" or mapping of class to either, default=1
        Number of components of each class; "auto" chooses 1 to 5 for each class
        by BIC.
    covariance_type : str or sequence of str, default="auto"
        Structures to compare; "auto" compares mclust's fourteen, or the six with a posterior if
        ``inference`` is variational.
    family : Family, "auto" or str, optional
        Distribution of a component, as in ``Mixture``; None is Gaussian, and "auto" reads the
        columns of a frame: numbers, counts and categories.
    inference : optional
        ``MaximumLikelihood()``, ``MaximumAPosteriori()`` or ``VariationalBayes()``; with the last,
        class probabilities are averaged over the posterior of the parameters, and structures and
        numbers of components are compared by the ELBO. None is maximum likelihood.
    priors : "empirical", sequence or mapping of class to number, default="empirical"
        Class probabilities used in predictions.
    novelty : bool, default=False
        Whether samples may belong to no known class: a broad density, a multivariate t with one
        degree of freedom and the mean and covariance of all data, competes with the classes.
    unlabelled : optional
        Value of y that marks samples without a class, besides None, NaN and pandas' NA.
    missing : {"error", "use", "drop"}, default="error"
        How missing values of X are treated, as in ``Mixture``.
    max_iter : int, default=100
        Largest number of EM iterations.
    random_state : None, int, RandomState or Generator, optional
    n_jobs : int, optional

    Attributes
    ----------
    classes_ : array (G,)
    models_ : dict
        The mixture of each class; with one component per class the same for all of them, whose
        component g is class g.
    priors_ : array (G,)
    log_likelihood_ : float
        Total log density of X, with the classes summed over, at the fitted parameters.
    joint_log_likelihood_ : float
        Total log density of X and the known classes, which EM maximises.
    n_parameters_ : int
        Number of parameters of the class densities, without class probabilities, as in mclust.
    structures_ : DataFrame
        Components, covariance structure and number of samples of each class.
    novelty_weight_ : float
        Weight of the density of no known class; only with ``novelty=True``.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = bm.MixtureClassifier(random_state=0).fit(X, y)
    >>> classifier.structures_["covariance_type"].tolist()
    ['VEV', 'VEV', 'VEV']
    >>> round(classifier.log_likelihood_, 3), classifier.n_parameters_
    (-187.71, 36)
    """

    _answer = "classes_"

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "auto",
        family: Any = None,
        inference: Any = None,
        priors: Any = "empirical",
        novelty: bool = False,
        unlabelled: Any = None,
        missing: str = "error",
        max_iter: int = 100,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        store_parameters(self, locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the class densities.

        Parameters
        ----------
        X : array or frame (n, D)
        y : array (n,)
            Classes; None, NaN or NA where unknown.
        sample_weight : array (n,), optional

        Raises
        ------
        ValueError
            For data, classes or parameters that cannot be used; the estimator is then unchanged.
        """
        with incoming.unchanged_on_error(self):
            self._fit(X, y, sample_weight)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        validation.integer("max_iter", self.max_iter, 1)
        n_jobs = validation.jobs(self.n_jobs)
        source = incoming.training_rows(self, X, sample_weight, n_jobs)
        if not isinstance(source, ArraySource):
            raise UnsupportedError("MixtureClassifier needs X in memory: give an array or frame")
        if validation.flag("novelty", self.novelty) and self._novel_density(source) is None:
            raise UnsupportedError("novelty=True needs numerical features without missing values")
        classes, codes = _classes_of(y, _n_given(X), self.unlabelled)
        codes = codes if source.numbers is None else codes[source.numbers]
        counts = np.bincount(codes[codes >= 0], minlength=len(classes))
        if not counts.all():
            raise InvalidInputError(
                f"y has no sample of class {classes[counts.argmin()]!s} with a positive weight: "
                "leave out that class, or the samples of weight 0"
            )
        self.classes_ = classes
        numbers = self._numbers(classes)
        self._novel = self._novel_density(source) if self.novelty else None
        given = None if self.priors == "empirical" else _priors_of(self.priors, classes)
        kinds = _Together if numbers == [1] * len(classes) else _Apart
        fits = kinds(self, source, codes, numbers)
        shares = fits.first()
        last = -np.inf
        for self.n_iter_ in range(1, self.max_iter + 1):
            self._densities, self.priors_ = fits.densities(), fits.priors(shares)
            self.novelty_weight_ = (shares[:, len(classes) :].sum() + 1.0) / (len(codes) + 2.0)
            joint = self._log_joint(np.asarray(source.values), self._novel is not None)
            known = np.where(codes >= 0, joint[np.arange(len(codes)), codes], logsumexp(joint, 1))
            total = float(source.rows.weights_or_ones @ known)
            if fits.settled(self._novel is not None) or total - last < SETTLED * len(codes):
                break
            last, shares = total, np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
            shares[codes >= 0] = np.eye(joint.shape[1])[codes[codes >= 0]]
            fits.refit(shares)
        if self._novel is None:
            del self.novelty_weight_
        self.models_, self.structures_ = fits.models(), fits.structures()
        self.n_parameters_ = fits.n_parameters()
        self.joint_log_likelihood_ = total
        if given is not None:
            self.priors_ = given
        self.log_likelihood_ = float(
            source.rows.weights_or_ones @ self._log_density(np.asarray(source.values))
        )

    def _numbers(self, classes: Any) -> list[int | None]:
        """Return the number of components of each class, None where it is to be chosen."""
        asked = self.n_components
        if isinstance(asked, Mapping):
            names = [str(one) for one in classes]
            if unknown := [key for key in asked if str(key) not in names]:
                raise InvalidInputError(
                    f"n_components names class {unknown[0]!r}, but the classes are "
                    f"{', '.join(names)}"
                )
            by_name = {str(key): number for key, number in asked.items()}
            each = [by_name.get(name, 1) for name in names]
        else:
            each = [asked] * len(classes)
        return [
            None
            if isinstance(one, str) and one == "auto"
            else validation.integer("n_components", one, 1)
            for one in each
        ]

    def _novel_density(self, source: Source) -> Any:
        """Return the broad density of samples of no known class, None if it has none."""
        values = np.asarray(source.in_memory().values, dtype=np.float64)
        if self.family not in (None, "gaussian") or np.isnan(values).any():
            return None
        covariance = np.atleast_2d(np.cov(values.T, aweights=source.in_memory().weights))
        return multivariate_t(values.mean(axis=0), covariance, df=1, allow_singular=True)

    def _mixture(self, n_components: int, structure: Any = None) -> Mixture:
        return Mixture(
            n_components,
            family=self.family,
            inference=self.inference,
            covariance_type=structure,
            prune=False,
            missing=self.missing,
            max_iter=self.max_iter,
            random_state=root_seed(self.random_state),
            n_jobs=self.n_jobs,
        )

    @property
    def _structures(self) -> list[Any]:
        """Covariance structures to compare."""
        asked: Any = self.covariance_type
        if isinstance(asked, str) and asked == "auto":
            gaussian = self.family in (None, "gaussian") or isinstance(self.family, Gaussian)
            asked = "all" if gaussian else None
        return structures_asked(asked, self.n_features_in_, self._variational)

    @property
    def _variational(self) -> bool:
        return bool(getattr(self.inference, "variational", False))

    def _values(self, X: Any) -> Array:
        """Return checked values (n, D) of the fitted features."""
        check_is_fitted(self, "classes_")
        reader: Any = next(iter(self.models_.values()))
        return np.asarray(reader._seen(X).in_memory().values)

    def _log_joint(self, values: Array, novelty: bool) -> Array:
        """Return log joint densities (n, G) of samples and classes; with the novel class last."""
        with np.errstate(divide="ignore"):
            joint = log_densities(self._densities, values) + np.log(self.priors_)
        if not novelty:
            return joint
        weight, broad = self.novelty_weight_, self._novel.logpdf(values)
        beside = np.log(weight) + np.reshape(broad, (-1, 1))
        return np.hstack([joint + np.log1p(-weight), beside])

    def _log_density(self, values: Array) -> Array:
        density: Array = logsumexp(self._log_joint(values, False), axis=1)
        return density

    def predict_log_proba(self, X: Any) -> Array:
        """Return log probabilities (n, G) of the classes; with ``novelty`` (n, G + 1).

        The last column is then that of no known class.
        """
        joint = self._log_joint(self._values(X), self.novelty)
        log_proba: Array = joint - logsumexp(joint, axis=1, keepdims=True)
        return log_proba

    def predict_proba(self, X: Any) -> Array:
        """Return probabilities (n, G) of the classes; with ``novelty`` (n, G + 1)."""
        proba: Array = np.exp(self.predict_log_proba(X))
        return proba

    def predict(self, X: Any) -> Any:
        """Return the most probable class (n,); -1 or "novel" for no known class."""
        best = self.predict_log_proba(X).argmax(axis=1)
        return self._all_classes[best]

    @property
    def _all_classes(self) -> Any:
        if not self.novelty:
            return self.classes_
        numeric = np.issubdtype(self.classes_.dtype, np.number)
        return np.append(self.classes_, [-1 if numeric else "novel"])

    def score_samples(self, X: Any) -> Array:
        """Return the log density (n,) of samples under the known classes, in nats."""
        return self._log_density(self._values(X))

    def bic(self, X: Any, y: Any = None) -> float:
        """Return -2 log L + p log n of X with the classes summed over; lower is better.

        mclust's convention: class probabilities do not count as parameters, and the sign is
        scikit-learn's. ``y`` is ignored.
        """
        density = self.score_samples(X)
        return float(-2.0 * density.sum() + self.n_parameters_ * np.log(len(density)))

    def summary(self) -> str:
        """Classes, their components and covariance structures, and the log likelihood."""
        check_is_fitted(self, "classes_")
        table = self.structures_.assign(prior=self.priors_.round(3))
        kind = "EDDA" if (self.structures_["components"] == 1).all() else "mixture per class"
        return (
            f"Mixture classifier ({kind}): {len(self.classes_)} classes, {self.n_features_in_} "
            f"features, log likelihood {self.log_likelihood_:.2f}, {self.n_parameters_} "
            f"parameters.\n{table.to_string()}"
        )

    def _answer_html(self) -> str:
        head, _, _ = self.summary().partition("\n")
        return f"<p>{head}</p>{self.structures_.to_html()}"

    def plot(self, X: Any = None, y: Any = None, **options: Any) -> Any:
        """Plot the regions of the classes over two features; see ``plot_classes``."""
        from bayesmix.plots import plot_classes

        return plot_classes(self, X, y, **options)

    def save(self, path: Any) -> None:
        """Write the classifier to one file, without pickle; ``bayesmix.load`` reads it."""
        from bayesmix.io import save

        check_is_fitted(self, "classes_")
        save(self, path)


@dataclass
class _Classes:
    """Class densities that EM fits in turn with the classes of unlabelled samples."""

    classifier: MixtureClassifier
    source: ArraySource
    codes: Integers
    numbers: list[int | None]

    @property
    def n_classes(self) -> int:
        return len(self.numbers)

    @property
    def labelled(self) -> Booleans:
        return self.codes >= 0

    def first(self) -> Array:
        """Fit to labelled samples and return responsibilities (n, G)."""
        raise NotImplementedError

    def _one_hot(self) -> Array:
        shares = np.zeros((len(self.codes), self.n_classes))
        shares[self.labelled, self.codes[self.labelled]] = 1.0
        return shares

    def priors(self, shares: Array) -> Array:
        """Return class probabilities (G,) by sums of responsibilities."""
        totals: Array = self.source.rows.weights_or_ones @ shares[:, : self.n_classes]
        return totals / totals.sum()


class _Together(_Classes):
    """One component for each class, of one structure: a mixture with known labels."""

    def first(self) -> Array:
        labelled = replace(self.source, side=SideInformation(self.codes))
        self.model = self._best(labelled)
        return self._one_hot()

    def _best(self, source: ArraySource) -> Mixture:
        """Return the structure with the best BIC or ELBO.

        Where class covariances are singular, likelihoods have no maximum and BIC no value: then
        variational fits are compared by the Brier score of held-out samples.
        """
        classifier, best, last = self.classifier, None, None
        for structure in classifier._structures:
            try:
                model = self._fitted(source, structure, classifier.inference)
            except BayesmixError as problem:
                last = problem
                continue
            if model.result_.degenerate is not None:
                if len(classifier._structures) == 1:
                    warn(model.result_.degenerate, DegenerateComponentWarning)
                    return model
                return self._best_by_folds(source)
            value = self._value(model, source)
            if best is None or value > best[0]:
                best = value, model
        if best is None:
            raise self._too_few(last)
        return best[1]

    def _fitted(self, source: ArraySource, structure: Any, inference: Any) -> Mixture:
        model = self.classifier._mixture(self.n_classes, structure)
        model.set_params(inference=inference)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateComponentWarning)
            model._fit(partial(incoming.same_rows, model, source))
        return model

    def _best_by_folds(self, source: ArraySource) -> Mixture:
        """Return the variational fit with the best class probabilities of held-out samples."""
        labelled = np.flatnonzero(self.labelled)
        codes, inference = self.codes[labelled], VariationalBayes()
        n_folds = min(FOLDS, int(np.bincount(codes).min()))
        names: list[Any] = [
            one for one in self.classifier._structures if not without_posterior(one)
        ]
        if n_folds < 2 or len(names) < 2:
            return self._fitted(source, names[0] if names else "full", inference)
        seed = root_seed(self.classifier.random_state)
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed % 2**32)
        totals = np.zeros(len(names))
        for train, test in folds.split(labelled, codes):
            held = np.asarray(source.values[labelled[test]])
            for i, name in enumerate(names):
                model = self._fitted(source.subset(labelled[train]), name, inference)
                densities = log_densities(by_component(model.result_), held)
                joint = densities + np.log(model.weights_)
                probabilities = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
                totals[i] += ((probabilities - np.eye(self.n_classes)[codes[test]]) ** 2).sum()
        return self._fitted(source, names[int(totals.argmin())], inference)

    def _value(self, model: Mixture, source: ArraySource) -> float:
        """Return the ELBO, or BIC in mclust's convention."""
        result = model.result_
        if result.variational:
            return result.objective
        density = result.log_density(np.asarray(source.values))
        penalty = 0.5 * (result.n_parameters - (self.n_classes - 1)) * np.log(source.total_weight)
        return float(source.rows.weights_or_ones @ density - penalty)

    def _too_few(self, last: BayesmixError | None) -> BayesmixError:
        counts = np.bincount(self.codes[self.labelled])
        return InvalidInputError(
            f"no covariance structure can be fitted, where class "
            f"{self.classifier.classes_[counts.argmin()]!s} has {counts.min()} samples ({last}): "
            "use inference=bayesmix.VariationalBayes(), or more samples"
        )

    def settled(self, novelty: bool) -> bool:
        """Whether EM within the mixture has done all."""
        return not novelty or bool(self.labelled.all())

    def priors(self, shares: Array) -> Array:
        return self.model.weights_

    def refit(self, shares: Array) -> None:
        """Fit again, with samples weighted by the probability that their class is known."""
        factors = shares[:, : self.n_classes].sum(axis=1)
        factors[self.labelled] = 1.0
        labelled = replace(self.source, side=SideInformation(self.codes))
        _go_on(self.model, labelled.reweighted(factors))

    def densities(self) -> list[tuple[Density, Any]]:
        """Return the density of each class and its family."""
        return by_component(self.model.result_)

    def models(self) -> dict[Any, Mixture]:
        return dict.fromkeys(self.classifier.classes_.tolist(), self.model)

    def n_parameters(self) -> int:
        return self.model.n_parameters_ - (self.n_classes - 1)

    def structures(self) -> pd.DataFrame:
        counts = np.bincount(self.codes[self.labelled], minlength=self.n_classes)
        rows = {
            "samples": counts,
            "components": 1,
            "covariance_type": _structure_of(self.model.result_),
        }
        return pd.DataFrame(rows, index=pd.Index(self.classifier.classes_, name="class"))


class _Apart(_Classes):
    """A mixture of its own for each class."""

    def first(self) -> Array:
        self.each = [self._class(k) for k in range(self.n_classes)]
        return self._one_hot()

    def _class(self, k: int) -> Mixture:
        mine, name = self.source.subset(self.codes == k), self.classifier.classes_[k]
        if mine.shape[0] < 2:
            raise InvalidInputError(
                f"class {name!s} has 1 sample, and a mixture needs 2: give it more, or leave it out"
            )
        try:
            return self._best(mine, self.numbers[k], self.classifier.inference)
        except BayesmixError as problem:
            last = problem
        try:
            if self.classifier.inference is None:
                # Too few samples for a likelihood to have a maximum.
                return self._best(mine, self.numbers[k], VariationalBayes())
        except BayesmixError as problem:
            last = problem
        raise InvalidInputError(
            f"class {name!s} with {mine.shape[0]} samples cannot be fitted: give it fewer components "
            f"(n_components={{{name!r}: 1}}) or more samples; {last}"
        )

    def _best(self, mine: ArraySource, number: int | None, inference: Any) -> Mixture:
        """Return the number of components and the structure that suit a class best."""
        variational = inference is not None and inference.variational
        if variational and inference.weights is None:
            inference = replace(inference, weights=DirichletPrior(1.0))
        structures = [
            one
            for one in self.classifier._structures
            if one is not None and not (variational and without_posterior(one))
        ]
        search = MixtureSearch(
            self.classifier._mixture(1).set_params(search="short", inference=inference),
            NUMBERS if number is None else number,
            structures or None,
            criterion="elbo_log_k" if variational else self._bic,
            random_state=root_seed(self.classifier.random_state),
            n_jobs=self.classifier.n_jobs,
            progress=False,
            patience=2,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayesmixWarning)
            return search.fit(mine).best_estimator_  # type: ignore[no-any-return]

    def _bic(self, result: FitResult, source: Source) -> float:
        """BIC with the size of the whole sample, so that the classes add up to that of all.

        Fits with as many parameters as samples are out of the question.
        """
        n = self.source.total_weight
        if result.n_parameters >= result.n_rows:
            return -np.inf
        return result.log_likelihood - 0.5 * result.n_parameters * float(np.log(n))

    def settled(self, novelty: bool) -> bool:
        return bool(self.labelled.all())

    def refit(self, shares: Array) -> None:
        """Fit each class again, with samples weighted by its probability."""
        for k, model in enumerate(self.each):
            _go_on(model, self.source.reweighted(shares[:, k]))

    def densities(self) -> list[tuple[Density, Any]]:
        return [(model.result_.density, model.result_.family) for model in self.each]

    def models(self) -> dict[Any, Mixture]:
        return dict(zip(self.classifier.classes_.tolist(), self.each, strict=True))

    def n_parameters(self) -> int:
        return sum(model.n_parameters_ for model in self.each)

    def structures(self) -> pd.DataFrame:
        rows = {
            "samples": np.bincount(self.codes[self.labelled], minlength=self.n_classes),
            "components": [model.n_components_ for model in self.each],
            "covariance_type": [_structure_of(model.result_) for model in self.each],
        }
        return pd.DataFrame(rows, index=pd.Index(self.classifier.classes_, name="class"))


def _go_on(model: Mixture, source: ArraySource) -> None:
    """Continue a fit on the same samples with other weights."""
    model.set_params(warm_start=True, search=None)
    model._fit(partial(incoming.same_rows, model, source.present()))


def by_component(result: FitResult) -> list[tuple[Density, Any]]:
    """Return the predictive density of each component and its family."""
    mixture, alone = result.mixture, PointWeights(np.ones(1))
    return [
        (
            Density(alone, mixture.components.subset(np.array([k])).predictive(), mixture.frame),
            result.family,
        )
        for k in range(result.n_components)
    ]


def log_densities(densities: list[tuple[Density, Any]], values: Array) -> Array:
    """Return log p(x | class) (n, G) in data units."""
    return np.column_stack([log_density(one, values, family) for one, family in densities])


def _structure_of(result: FitResult) -> str:
    """Return the name of the covariance structure, or that of the family."""
    return str(getattr(result.family, "covariance", result.family.name))


def _n_given(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(np.asarray(X))


def _classes_of(y: Any, n_rows: int, unlabelled: Any) -> tuple[Any, Integers]:
    """Return the classes, sorted, and the class of each sample (n,), -1 where unknown.

    Raises ``InvalidInputError`` for a wrong shape, infinite or continuous values, or no class.
    """
    if y is None:
        raise InvalidInputError(
            "MixtureClassifier requires y to be passed, but the target y is None: give the class "
            "of each sample, NaN where unknown"
        )
    given: Any = y.to_numpy() if hasattr(y, "iloc") else np.asarray(y)
    if given.ndim == 2:
        given = column_or_1d(given, warn=True)
    if given.shape != (n_rows,):
        raise InvalidInputError(
            f"y must have one class for each of the {n_rows} samples, got shape {given.shape}"
        )
    unknown = pd.isna(given)
    if unlabelled is not None:
        unknown |= given == unlabelled
    known = given[~unknown]
    if not len(known):
        raise InvalidInputError("y must have at least one class, but every sample is unlabelled")
    if known.dtype.kind == "f" and not np.isfinite(known).all():
        raise InvalidInputError("y must hold classes, but it contains infinity")
    if known.dtype.kind == "O":
        known = np.array(known.tolist())
    try:
        check_classification_targets(known)
    except ValueError as problem:
        raise InvalidInputError(f"y must hold classes: {problem}") from None
    if unknown.any() and known.dtype.kind == "f" and np.all(known == np.rint(known)):
        known = known.astype(np.int64)  # NaN made floats of integers
    classes, inverse = np.unique(known, return_inverse=True)
    codes = np.full(n_rows, -1, dtype=np.intp)
    codes[~unknown] = inverse
    return classes, codes


def _priors_of(priors: Any, classes: Any) -> Array:
    """Return class probabilities (G,) that sum to 1."""
    if isinstance(priors, Mapping):
        by_name = {str(key): value for key, value in priors.items()}
        if missing := [str(one) for one in classes if str(one) not in by_name]:
            raise InvalidInputError(f"priors has no entry for class {missing[0]}")
        priors = [by_name[str(one)] for one in classes]
    listed = isinstance(priors, Sequence | np.ndarray) and not isinstance(priors, str)
    given = np.asarray(priors, dtype=np.float64) if listed else np.empty(0)
    if given.shape != (len(classes),) or not (np.isfinite(given) & (given > 0.0)).all():
        raise InvalidInputError(
            f"priors must be 'empirical' or one positive number for each of the {len(classes)} "
            f"classes, got {priors!r:.60}"
        )
    shares: Array = given / given.sum()
    return shares
