"""Gaussian mixtures with given parameters, scikit-learn's among them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.core import validation
from bayesmix.core.given_arrays import component_weights, finite_array
from bayesmix.core.mixture import Mixture
from bayesmix.core.priors import Weights
from bayesmix.core.rows import Frame
from bayesmix.core.sources import Source
from bayesmix.em.model import MaximumLikelihood, Model, Settings, resolve, working_frame
from bayesmix.em.refusals import refuse_noise
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.em.run import Monitor, run
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.covariance.models import NAMED, SCIKIT_LEARNS, STRUCTURES
from bayesmix.families.gaussian.family import Gaussian, Gaussians
from bayesmix.numerics.arrays import Array
from bayesmix.starts.named_starts import named_start
from bayesmix.starts.responsibilities import begun
from bayesmix.version import versions

if TYPE_CHECKING:
    from bayesmix.estimators.gaussian import GaussianMixture


def given_mixture(
    kind_of: type[GaussianMixture], weights: Any, means: Any, covariances: Any
) -> GaussianMixture:
    """Return a fitted mixture with given parameters; see ``GaussianMixture.from_parameters``."""
    for name, given in (("weights", weights), ("means", means), ("covariances", covariances)):
        validation.unmasked(name, given)
        validation.written_out(name, given)
    means = np.array(means, dtype=np.float64)
    weights = np.array(weights, dtype=np.float64)
    covariances = np.array(covariances, dtype=np.float64)
    if means.ndim != 2 or weights.shape != (len(means),):
        raise InvalidInputError(
            "weights and means must have shapes (K,) and (K, D), got "
            f"{weights.shape} and {means.shape}"
        )
    if weights.min() < 0 or abs(weights.sum() - 1.0) > 1e-8:
        raise InvalidInputError("weights must not be negative and must sum to 1")
    kind = covariance_type_of(covariances, means)
    model = kind_of(n_components=len(means), covariance_type=kind)
    structure = STRUCTURES[kind]
    components = Gaussians(structure, means, structure.blocks.from_covariances(covariances))
    components.precision_root  # noqa: B018  (raises unless covariances are positive definite)
    model._adopt(point_result(Gaussian(kind), weights, components))
    return model


def given_start(
    estimator: GaussianMixture, model: Model, source: Source, settings: Settings
) -> Mixture:
    """Complete given parameters by an M-step from ``init_params``, as scikit-learn does."""
    K, n_features = model.n_components, source.shape[1]
    weights: Weights | None = None
    given: dict[str, Any] = {}
    if estimator.weights_init is not None:
        weights = PointWeights(component_weights(estimator.weights_init, K))
    if estimator.means_init is not None:
        of = ", (n_components, n_features)"
        shape = (K, n_features)
        given["means"] = finite_array("means_init", estimator.means_init, shape, of=of)
    if estimator.precisions_init is not None:
        kind = estimator.covariance_type
        given["blocks"] = precision_blocks(kind, estimator.precisions_init, K, n_features)
    frame = working_frame(model, source)[0]
    if weights is not None and len(given) == 2:
        components: Any = Gaussians(NAMED[estimator.covariance_type], **given)
    else:
        problem = resolve(model, source, settings)
        start = settings.init
        if isinstance(start, str):
            data = problem.source
            start = named_start(start, data, data.summary, K, settings.seed, 0)
        begin = run(problem, begun(problem, start, K), Monitor(), 1).current_mixture()
        weights, frame = weights or begin.weights, problem.frame
        data_units: Any = begin.components.released().unframed(frame)
        components = replace(data_units, **given)
    return Mixture(weights, components.framed(frame), frame)


def precision_blocks(covariance_type: str, value: Any, K: int, n_features: int) -> Any:
    """Return covariance blocks from precisions in scikit-learn's shape, after a check."""
    structure = NAMED[covariance_type]
    shape = structure.blocks.covariance_shape(K, n_features)
    precisions = finite_array(
        "precisions_init", value, shape, of=f" for covariance_type={covariance_type!r}"
    )
    blocks = structure.blocks.from_covariances(precisions)
    if blocks.ndim == 3:
        symmetric = np.allclose(blocks, blocks.transpose(0, 2, 1))
        if not symmetric or np.linalg.eigvalsh(blocks).min() <= 0:
            raise InvalidInputError(
                "precisions_init must be symmetric and positive definite in every component"
            )
    elif blocks.min() <= 0:
        raise InvalidInputError("precisions_init must be positive")
    root = structure.algebra.root(blocks)
    return structure.algebra.gram(root)


def covariance_type_of(covariances: Array, means: Array) -> str:
    """Return the covariance structure of this shape."""
    K, n_features = means.shape
    shared = covariances.shape == (n_features, n_features) and (
        n_features != K
        or (
            np.allclose(covariances, covariances.T)
            and np.linalg.eigvalsh(covariances)[0] > 0
            and n_features > 1
        )
    )
    for name in SCIKIT_LEARNS:
        structure = STRUCTURES[name]
        shape = structure.blocks.covariance_shape(K, n_features)
        if structure.shared == shared and shape == covariances.shape:
            return name
    raise InvalidInputError(
        f"covariances must have shape ({K}, {n_features}, {n_features}), "
        f"({n_features}, {n_features}), ({K}, {n_features}) or ({K},), got {covariances.shape}"
    )


def point_result(family: Any, weights: Array, components: Any) -> FitResult:
    """Return the result of a mixture with given parameters, without data."""
    K, n_features = components.means.shape
    nan = float("nan")
    return FitResult(
        family=family,
        inference=MaximumLikelihood(family, FreeWeights()),
        requested_components=K,
        mixture=Mixture(PointWeights(weights), components, Frame.identity(n_features)),
        objective=nan,
        log_likelihood=nan,
        trace=np.zeros(0),
        segments=(0,),
        status="given",
        events=(),
        counts=weights.copy(),
        hard_counts=weights.copy(),
        entropy=nan,
        plug_in_sums=DensitySums(nan, nan, nan, 0.0),
        total_weight=1.0,
        n_rows=0,
        n_features=n_features,
        passes=0,
        seconds=0.0,
        seed=0,
        form="centred",
        versions=versions(),
    )


def to_sklearn(model: Any) -> Any:
    """Return scikit-learn's ``GaussianMixture`` with the same parameters.

    A variational fit is exported at the posterior means of its parameters, because scikit-learn has
    no Student-t mixtures. A covariance structure that scikit-learn does not have becomes "full".
    """
    from sklearn import mixture

    result: FitResult = model._fitted()
    refuse_noise(result, "scikit-learn")
    kind = model.covariance_type if model.covariance_type in SCIKIT_LEARNS else "full"
    other = mixture.GaussianMixture(model.n_components_, covariance_type=kind)
    other.weights_, other.means_ = model.weights_.copy(), model.means_.copy()
    if kind == model.covariance_type:
        for name in ("covariances_", "precisions_", "precisions_cholesky_"):
            setattr(other, name, np.array(getattr(model, name)))
    else:
        point = cast("Gaussians", result.unframed.plug_in())
        other.covariances_ = np.array(point.covariances)
        roots = np.linalg.inv(np.linalg.cholesky(other.covariances_))
        other.precisions_cholesky_ = roots.transpose(0, 2, 1)
        other.precisions_ = other.precisions_cholesky_ @ roots
    other.converged_ = model.converged_
    other.n_iter_ = model.n_iter_
    # scikit-learn has the mean log likelihood here; a variational fit has the bound.
    at_point = result.log_likelihood / result.total_weight
    other.lower_bound_ = at_point if result.variational else model.lower_bound_
    other.lower_bounds_ = [at_point] if result.variational else list(model.lower_bounds_)
    other.n_features_in_ = model.n_features_in_
    if hasattr(model, "feature_names_in_"):
        other.feature_names_in_ = model.feature_names_in_
    return other


def from_sklearn(model: Any) -> Any:
    """Convert a fitted scikit-learn ``GaussianMixture``; other models raise an error.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from sklearn.mixture import GaussianMixture
    >>> X = bm.datasets.load_faithful().to_numpy()
    >>> theirs = GaussianMixture(2, random_state=0).fit(X)
    >>> ours = bm.from_sklearn(theirs)
    >>> bool(abs(ours.score(X) - theirs.score(X)) < 1e-12)
    True
    """
    from sklearn import mixture

    from bayesmix.estimators.gaussian import GaussianMixture

    if not isinstance(model, mixture.GaussianMixture):
        raise UnsupportedError(
            f"only scikit-learn's GaussianMixture can be converted, got {type(model).__name__}"
        )
    check_is_fitted(model)
    ours = GaussianMixture(len(model.weights_), covariance_type=model.covariance_type)
    structure = NAMED[model.covariance_type]
    blocks = structure.blocks.from_covariances(np.array(model.covariances_, dtype=np.float64))
    components = Gaussians(structure, np.array(model.means_, dtype=np.float64), blocks)
    result = point_result(Gaussian(model.covariance_type), np.array(model.weights_), components)
    ours._adopt(replace(result, status="converged" if model.converged_ else "max_iter"))
    if hasattr(model, "feature_names_in_"):
        ours.feature_names_in_ = model.feature_names_in_
    return ours


class ParametersOfOthers:
    """Methods of ``GaussianMixture`` that exchange parameters with other programs."""

    @classmethod
    def from_parameters(cls: Any, weights: Any, means: Any, covariances: Any) -> GaussianMixture:
        """Return a fitted mixture with given parameters; shapes determine ``covariance_type``.

        Parameters
        ----------
        weights : array (K,)
        means : array (K, D)
        covariances : array
            (K, D, D) full, (D, D) tied, (K, D) diag, (K,) spherical. If K = D, a symmetric positive
            definite matrix (D, D) is taken as tied.

        Examples
        --------
        >>> import bayesmix as bm
        >>> gm = bm.GaussianMixture.from_parameters([0.3, 0.7], [[1.0], [3.0]], [1.69, 2.56])
        >>> gm.covariance_type
        'spherical'
        """
        return given_mixture(cls, weights, means, covariances)

    def to_sklearn(self: Any) -> Any:
        """Return scikit-learn's ``GaussianMixture`` with these parameters."""
        return to_sklearn(self)
