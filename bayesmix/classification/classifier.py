"""``MixtureClassifier``: a mixture for each class, with known and unknown labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.stats import multivariate_t
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from bayesmix.assess.description import Description
from bayesmix.classification.class_densities import Apart, Together
from bayesmix.classification.class_probabilities import (
    by_component,
    density_over_classes,
    log_densities,
    normalised,
)
from bayesmix.core import validation
from bayesmix.core.missing_marks import is_missing
from bayesmix.core.nouns import counted, part_names
from bayesmix.core.random import root_seed
from bayesmix.data.coded_frames import as_coded, typed_rows
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.estimators.inputs import described_columns as columns
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.incoming import store_parameters
from bayesmix.estimators.mixture import Mixture
from bayesmix.estimators.showing import Showing
from bayesmix.families.coding import Coding
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.names import AUTO
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.observation.instrument import refuse_measured
from bayesmix.selection.scores import n_rows_of, rows_of
from bayesmix.selection.structures import structures_asked
from bayesmix.sources.containers import tabular
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.survey_weights import warn_of_order, weighted

# Gain in nats per observation below which alternating fits have converged.
SETTLED = 1e-6
# Spread of the density of no known class, in standard deviations of all data.
BREADTH = 5.0

# Keys of a saved classifier, and its attributes.
STATE = {"samples": "_samples", "novel": "_novel", "coding": "_coding"} | {
    name: f"{name}_"
    for name in ("priors", "novelty_weight", "log_likelihood", "joint_log_likelihood", "n_iter")
}


class MixtureClassifier(ClassifierMixin, Showing):  # type: ignore[misc]  # scikit-learn is untyped
    """Classifier with a mixture density for each class.

    With one component per class this is EDDA (Bensmail & Celeux 1996): all classes have the same
    covariance model, which is selected by BIC. With several components it is mixture discriminant
    analysis (MclustDA, Fraley & Raftery 2002). Samples without a class are used as unlabelled data.

    Parameters
    ----------
    n_components : int, "auto" or mapping of class to either, default=1
        Number of components of each class; "auto" selects 1 to 5 for each class by BIC.
    covariance_type : str, FactorAnalytic, CommonSubspace, or sequence of these, default="auto"
        Structures to compare; "auto": the fourteen of mclust, or for variational inference the six
        with a conjugate prior.
    family : Family, "auto" or str, optional
        Family of the components, as in ``Mixture``; None is Gaussian, and for frames "auto", which
        chooses by the kind of each column.
    inference : optional
        ``MaximumLikelihood()`` (default), ``MaximumAPosteriori()`` or ``VariationalBayes()``. With
        ``VariationalBayes()``, class probabilities are averaged over the posterior of the
        parameters, and models are compared by the ELBO.
    priors : "empirical", sequence or mapping of class to number, default="empirical"
        Class probabilities used in predictions.
    novelty : bool, default=False
        Whether samples may belong to no known class. Such samples have a broad density: a
        multivariate t with one degree of freedom, centred at the mean of all data, with five times
        their standard deviations.
    unlabelled : optional
        Value of y that marks samples without a class, in addition to None, NaN and pandas' NA.
    missing : {"error", "use", "drop"}, default="error"
        Treatment of missing values of X, as in ``Mixture``.
    max_iter : int, default=100
        Largest number of EM iterations.
    columns : mapping of name to kind, optional
        Kinds of columns of a frame, as in ``Mixture``. Row numbers, identifiers, dates and constant
        columns are no features unless named as "continuous".
    random_state : None, int, RandomState or Generator, optional
    n_jobs : int, optional

    Attributes
    ----------
    classes_ : array (G,)
    models_ : dict
        The mixture of each class. With one component per class, all entries are the same mixture,
        in which component g is class g.
    priors_ : array (G,)
    log_likelihood_ : float
        Total log density of X, summed over the classes.
    joint_log_likelihood_ : float
        Total log density of X and the known classes, which EM maximises.
    n_parameters_ : int
    structures_ : DataFrame
    novelty_weight_ : float
        Mixing weight of the density of unknown classes; only with ``novelty=True``.

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
    _coding: Coding | None = None

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
        columns: Any = None,
    ) -> None:
        store_parameters(self, locals())

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, weight_type: str | None = None
    ) -> Self:
        """Fit the class densities.

        Parameters
        ----------
        X : array or frame (n, D)
        y : array (n,)
            Classes; None, NaN or NA where unknown.
        sample_weight : array (n,), optional
        weight_type : {None, "frequency", "sampling"}, optional
            As in ``GaussianMixture.fit``.

        Raises
        ------
        ValueError
            For data, classes or parameters that cannot be used; the estimator is then unchanged.
        """
        with incoming.unchanged_on_error(self):
            self._fit(*weighted(X, sample_weight, weight_type), y)
        return self

    def _fit(self, X: Any, sample_weight: Any, y: Any) -> None:
        validation.integer("max_iter", self.max_iter, 1)
        n_jobs = validation.jobs(self.n_jobs)
        self._mixture(1)._model()  # checks family and inference
        self._coding = None
        X = tabular(X)
        warn_of_order(X, y)
        if self.family in (None, AUTO):
            X, sample_weight, self._coding = typed_rows(X, sample_weight, self.columns)
        source = incoming.training_rows(self, X, sample_weight, n_jobs)
        refuse_measured(source, "MixtureClassifier")
        if not isinstance(source, ArraySource):
            raise UnsupportedError("MixtureClassifier needs X in memory: give an array or frame")
        if validation.flag("novelty", self.novelty) and (
            not self._is_gaussian or source.summary.n_missing
        ):
            raise UnsupportedError("novelty=True needs numerical features without missing values")
        classes, codes = _classes_of(y, n_rows_of(X), self.unlabelled)
        codes = codes if source.numbers is None else codes[source.numbers]
        counts = np.bincount(codes[codes >= 0], minlength=len(classes))
        if not counts.all():
            raise InvalidInputError(
                f"y has no sample of class {classes[counts.argmin()]!s} with a positive weight: "
                "leave out that class, or the samples of weight 0"
            )
        self.classes_ = classes
        numbers = self._numbers(classes)
        given = None if self.priors == "empirical" else _priors_of(self.priors, classes)
        self._samples, self._novel = counts, None
        if self.novelty and (name := self._all_classes[-1]) in classes:
            raise InvalidInputError(
                f"y must not contain the class {name!s}, which novelty=True uses for unusual "
                "samples: rename it"
            )
        values, weights = np.asarray(source.values), source.rows.weights_or_ones
        if self.novelty:
            covariance = np.cov(values.T, aweights=source.weights, bias=True)
            centre = np.average(values, axis=0, weights=source.weights)
            self._novel = centre, BREADTH**2 * np.atleast_2d(covariance)
        kind = Together if numbers == [1] * len(classes) else Apart
        fits = kind(self, source, codes, numbers)
        fits.fit()
        total, labelled = -np.inf, codes >= 0
        shares = np.zeros((len(codes), len(classes)))
        shares[labelled, codes[labelled]] = 1.0
        for iteration in range(1, self.max_iter + 1):
            self.n_iter_, last = iteration, total
            self.models_, self.priors_ = fits.models(), fits.priors(shares)
            if self.novelty:
                novel = float((weights @ shares[:, len(classes) :]).sum())
                self.novelty_weight_ = (novel + 1.0) / (source.total_weight + 2.0)
            joint = self._log_joint(values, self.novelty)
            density = density_over_classes(joint)
            of_class = joint[np.arange(len(codes)), np.maximum(codes, 0)]
            total = float(weights @ np.where(labelled, of_class, density))
            if fits.settled or total - last < SETTLED * source.total_weight:
                break
            shares = np.exp(joint - density[:, None])
            shares[labelled] = np.eye(joint.shape[1])[codes[labelled]]
            fits.refit(shares)
        self.joint_log_likelihood_ = total
        self.priors_ = self.priors_ if given is None else given
        self.log_likelihood_ = float(weights @ self._log_density(values))

    def _numbers(self, classes: Any) -> list[int | None]:
        asked = self.n_components
        numbers = [asked] * len(classes)
        if isinstance(asked, Mapping):
            names = list(map(str, classes))
            if unknown := [key for key in asked if str(key) not in names]:
                raise InvalidInputError(
                    f"n_components names class {unknown[0]!r}, but the classes are "
                    f"{', '.join(names)}"
                )
            by_name = {str(key): number for key, number in asked.items()}
            numbers = [by_name.get(name, 1) for name in names]
        return [
            None
            if isinstance(number, str) and number == "auto"
            else validation.integer("n_components", number, 1)
            for number in numbers
        ]

    def _mixture(self, n_components: int, structure: Any = None) -> Mixture:
        return Mixture(
            n_components,
            family=self._chosen_family,
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
        asked: Any = self.covariance_type
        if isinstance(asked, str) and asked == "auto":
            asked = "all" if self._is_gaussian else None
        variational = bool(getattr(self.inference, "variational", False))
        return structures_asked(asked, self.n_features_in_, variational)

    @property
    def _chosen_family(self) -> Any:
        """The family that was named; "auto" if none was, and columns are of several kinds."""
        coding = self._coding
        mixed = coding is not None and coding.is_mixed
        return AUTO if self.family is None and mixed else self.family

    @property
    def _is_gaussian(self) -> bool:
        family = self._chosen_family
        return family in (None, "gaussian") or isinstance(family, Gaussian)

    @property
    def _densities(self) -> list[tuple[Any, Any]]:
        """Density of each class and its family."""
        models = list(self.models_.values())
        if all(model is models[0] for model in models) and models[0].n_components_ == len(models):
            return by_component(models[0].result_)
        return [(model.result_.density, model.result_.family) for model in models]

    @property
    def n_parameters_(self) -> int:
        """Number of parameters of class densities, without class probabilities (as in mclust)."""
        models = {id(model): model for model in self.models_.values()}.values()
        total = sum(model.n_parameters_ for model in models)
        return total if len(models) == len(self.classes_) else total - (len(self.classes_) - 1)

    @property
    def structures_(self) -> pd.DataFrame:
        """Numbers of samples and components, and covariance structure, of each class."""
        results = [model.result_ for model in self.models_.values()]
        alone = [density.n_components for density, _ in self._densities]
        columns = {
            "samples": self._samples,
            "components": alone,
            "covariance_type": [
                " x ".join(
                    str(next(family.structures(len(columns)), (family.name,))[0])
                    for columns, family in result.family.families_of_columns(result.n_features)
                )
                for result in results
            ],
        }
        return pd.DataFrame(columns, index=pd.Index(self.classes_, name="class"))

    def _values(self, X: Any) -> Array:
        check_is_fitted(self, "classes_")
        reader: Any = next(iter(self.models_.values()))
        values = np.asarray(reader._seen(as_coded(X, self._coding)).in_memory().values)
        if not len(values):
            raise InvalidInputError("X must have at least one row, but it has none")
        return values

    def _log_joint(self, values: Array, novelty: bool) -> Array:
        """Return log joint densities (n, G) of samples and classes; with the novel class last."""
        with np.errstate(divide="ignore"):
            joint = log_densities(self._densities, values) + np.log(self.priors_)
        if not novelty:
            return joint
        assert self._novel is not None
        weight = self.novelty_weight_
        broad = multivariate_t(*self._novel, df=1, allow_singular=True).logpdf(values)
        return np.column_stack([joint + np.log1p(-weight), np.log(weight) + broad])

    def _log_density(self, values: Array) -> Array:
        return density_over_classes(self._log_joint(values, False))

    def predict_log_proba(self, X: Any) -> Array:
        """Return log probabilities (n, G) of the classes; with ``novelty`` (n, G + 1).

        With ``novelty``, the last column is for samples of no known class.
        """
        joint = self._log_joint(self._values(X), self.novelty)
        if (impossible := np.isneginf(joint).all(axis=1)).any():
            warn(
                "a sample is impossible in every class: its probabilities are priors_",
                BayesmixWarning,
            )
            joint[impossible] = np.log(self.priors_)
        return normalised(joint)

    def predict_proba(self, X: Any) -> Array:
        """Return probabilities (n, G) of the classes; with ``novelty`` (n, G + 1)."""
        shares: Array = np.exp(self.predict_log_proba(X))
        return shares / shares.sum(axis=1, keepdims=True)  # logarithms are rounded

    def predict(self, X: Any) -> Any:
        """Return the most probable class (n,); -1 or "novel" for samples of no known class."""
        best = self.predict_log_proba(X).argmax(axis=1)
        return self._all_classes[best]

    @property
    def _all_classes(self) -> Any:
        if not self.novelty:
            return self.classes_
        return np.append(self.classes_, [-1 if self.classes_.dtype.kind in "biuf" else "novel"])

    def describe(self, X: Any, level: float = 0.9, *, sample_weight: Any = None) -> Description:
        """Describe the predicted classes by the columns of X, as ``MixtureSearch.describe``."""
        probabilities = self.predict_proba(X)
        return columns.describe(
            None,
            X,
            probabilities=probabilities,
            groups=np.arange(probabilities.shape[1]),
            names=tuple(str(name) for name in self._all_classes),
            noun="class",
            level=level,
            sample_weight=sample_weight,
        )

    def score_samples(self, X: Any) -> Array:
        """Return the log density (n,) of samples under the known classes, in nats."""
        return self._log_density(self._values(X))

    def bic(self, X: Any, y: Any = None) -> float:
        """Return BIC of the density of X, -2 log L + p log n; lower is better.

        As in mclust, class probabilities do not count as parameters; the sign is that of
        scikit-learn. ``y`` is ignored.
        """
        density = self.score_samples(X)
        return float(-2.0 * density.sum() + self.n_parameters_ * np.log(len(density)))

    def parameter_table(
        self, X: Any, y: Any = None, standard_errors: str = "information", **options: Any
    ) -> pd.DataFrame:
        """Return the parameters of all class densities with standard errors and intervals.

        ``X`` and ``y`` are the data of the fit; options are those of ``parameter_table`` of the
        mixtures. With several components per class, ``y`` is needed, and "group" is the class.
        """
        first, *others = self.models_.values()
        values = tabular(X)
        if others and all(model is first for model in others):
            table = first.parameter_table(values, standard_errors, **options)
            names = dict(zip(part_names("class", len(self.classes_)), self.classes_, strict=True))
            return table.rename(index=names, level="class")
        _, codes = _classes_of(y, n_rows_of(values), self.unlabelled)
        if (codes < 0).any():
            raise UnsupportedError(
                "parameter_table with several components per class needs the class of every "
                "sample: fit without the samples of unknown class"
            )
        tables = {
            name: model.parameter_table(
                rows_of(values, np.flatnonzero(codes == g)), standard_errors, **options
            )
            for g, (name, model) in enumerate(self.models_.items())
        }
        return pd.concat(tables, names=["group"])

    def summary(self) -> str:
        """Return the classes with components and covariance structures, and the log likelihood."""
        check_is_fitted(self, "classes_")
        table = self.structures_.assign(prior=self.priors_.round(3))
        kind = "EDDA" if (self.structures_["components"] == 1).all() else "mixture per class"
        return (
            f"Mixture classifier ({kind}): "
            f"{counted(len(self.classes_), 'class')}, "
            f"{counted(self.n_features_in_, 'feature')}, log likelihood "
            f"{self.log_likelihood_:.2f}, {self.n_parameters_} parameters.\n{table.to_string()}"
        )

    def _answer_html(self) -> str:
        head, _, _ = self.summary().partition("\n")
        return f"<p>{head}</p>{self.structures_.to_html()}"

    def plot(self, X: Any = None, y: Any = None, **options: Any) -> Any:
        """Plot the regions of the classes over two features; see ``plot_classes``."""
        from bayesmix.plots import plot_classes

        return plot_classes(self, X, y, **options)

    def _state(self) -> dict[str, Any]:
        state = {key: getattr(self, name, 0.0) for key, name in STATE.items()}
        dtype = self.classes_.dtype.str
        return {"classes": self.classes_.tolist(), "dtype_of_classes": dtype} | state

    def _restore(self, models: list[Any], state: dict[str, Any]) -> None:
        self.classes_ = np.array(state["classes"], state.get("dtype_of_classes"))
        together = models * len(self.classes_) if len(models) == 1 else models
        self.models_ = dict(zip(self.classes_.tolist(), together, strict=True))
        for key, name in STATE.items():
            if self.novelty or key != "novelty_weight":
                setattr(self, name, state.get(key))  # older files have no coding
        self.n_features_in_ = models[0].n_features_in_
        if hasattr(models[0], "feature_names_in_"):
            self.feature_names_in_ = models[0].feature_names_in_


def _classes_of(y: Any, n_rows: int, unlabelled: Any) -> tuple[Any, Integers]:
    """Return the sorted classes, and that of each sample (n,), -1 where unknown, after checks."""
    if y is None:
        raise InvalidInputError(
            "MixtureClassifier requires y to be passed, but the target y is None: give the class "
            "of each sample, NaN where unknown"
        )
    if np.ma.isMaskedArray(y):
        y = np.array(y.tolist(), dtype=object)
    given: Any = y.to_numpy() if hasattr(y, "iloc") else np.asarray(y)
    if given.ndim == 2:
        given = column_or_1d(given, warn=True)
    if given.shape != (n_rows,):
        raise InvalidInputError(
            f"y must have one class for each of the {n_rows} samples, got shape {given.shape}"
        )
    numeric = given.dtype.kind in "biuf"
    unknown = np.isnan(given) if numeric else np.array([is_missing(label) for label in given])
    if unlabelled is not None:
        if not np.isscalar(unlabelled):
            raise InvalidInputError(f"unlabelled must be a single value of y, got {unlabelled!r}")
        unknown |= given == unlabelled
    labels = given[~unknown]
    if not len(labels):
        raise InvalidInputError("y must have at least one class, but every sample is unlabelled")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise InvalidInputError("y must hold classes, but it contains infinity")
    if labels.dtype.kind == "O":
        if len({isinstance(label, str) for label in labels}) > 1:
            raise InvalidInputError(
                "y must hold classes of one type, but it has both text and other values: convert "
                "all classes to text"
            )
        labels = np.array(labels.tolist())
    try:
        check_classification_targets(labels)
    except ValueError as problem:
        # The words of scikit-learn, whose checks look for them.
        of_fractions = (
            "y must hold classes, but it has fractions (Unknown label type: continuous): fit a "
            "mixture of regressions, or cut y into classes"
        )
        of_others = f"y must hold classes: {problem}"
        raise InvalidInputError(of_fractions if labels.dtype.kind == "f" else of_others) from None
    if unknown.any() and labels.dtype.kind == "f" and np.all(labels == np.rint(labels)):
        labels = labels.astype(np.int64)  # NaN made floats of integers
    classes, inverse = np.unique(labels, return_inverse=True)
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
    return given / given.sum()
