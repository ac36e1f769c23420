"""``Mixture``: any family with any inference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.core import validation
from bayesmix.data.column_families import family_for
from bayesmix.em.model import MaximumLikelihood, Model
from bayesmix.em.result import FitResult
from bayesmix.em.under_a_prior import MaximumAPosteriori
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.attributes.posterior_methods import ComponentsByColumn, parameters_of
from bayesmix.estimators.base import MixtureEstimator, describe_gaussian, describe_weights
from bayesmix.estimators.inputs.incoming import is_mixed, noise_density, store_parameters
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.independent.levels import LevelsFamily
from bayesmix.families.names import AUTO, family_named
from bayesmix.numerics.arrays import Array
from bayesmix.sources.memory import coding_of

if TYPE_CHECKING:
    from bayesmix.core.engines import Objective
    from bayesmix.core.sources import Source
    from bayesmix.families.product.components import Products
    from bayesmix.families.product.family import Product

# Attributes that only some families have.
OF_ONE_FAMILY = ("means_", "covariances_", "precisions_", "precisions_cholesky_")


def default_inference(family: Any) -> Objective:
    """Return the inference of estimators that name none."""
    return MaximumAPosteriori() if family.prefers_prior else MaximumLikelihood()


class Mixture(MixtureEstimator):
    """Mixture model for any family of components and any inference method.

    Parameters
    ----------
    n_components : int, default=1
    family : Family, "auto", optional
        Family of the components, such as ``Bernoulli()``, ``Poisson()`` or ``Product({column:
        family})``, or its name; None: ``Gaussian("full")``, and for frames "auto". "auto" chooses
        by the kind of each column of a frame: one multivariate Gaussian for continuous columns,
        Poisson for counts, Categorical for ratings, text, categories and booleans. Dates,
        identifiers and constant columns are left out, with a warning.
    inference : optional
        ``MaximumLikelihood()`` (default), ``MaximumAPosteriori()`` (default with ``Ordinal``) or
        ``VariationalBayes()``, optionally with priors.
    covariance_type : str, FactorAnalytic or CommonSubspace, optional
        Covariance structure of Gaussians; None: that of the family.
    prune : bool, default=True
        For variational fits: whether to remove components with less than one observation, if the
        bound does not decrease.
    tol, max_iter, n_init, init_params, random_state, warm_start, verbose, verbose_interval
        As in ``GaussianMixture``.
    search, acceleration, max_passes, max_seconds, n_jobs, progress, missing
        As in ``GaussianMixture``.
    noise : None, bool, "uniform" or density, default=None
        As in ``GaussianMixture``, for Gaussian families and products. In a product, each discrete
        column has a uniform distribution over its values.
    columns : mapping of name to kind, optional
        Kinds of columns of a frame where no family is named: "continuous", "counts", "ratings",
        "categorical" or "exclude". By default they follow from names, dtypes and values.
    unseen : {"missing", "error"}, default="missing"
        Categories of new data that the fit has not seen: missing values, with a warning.
    spurious : {"warn", "allow"}, default="warn"
        As in ``GaussianMixture``.
    hold : mapping of name to array, optional
        Parameters that keep these values, in the units of the data and NaN where they are free:
        "weights" (K,), "means" and "covariances", "rates", or
        "probabilities". Values of fewer than K components are those of the
        first. Needs maximum likelihood. See the page on held parameters.
    equal : mapping of name to labels, optional
        Parameters that components share: ``{"means": [0, 0, 1]}`` for one mean of the first two,
        ``{"weights": True}`` for equal weights, ``{"probabilities": {"item": True}}`` for one
        column. Rows (K, D) of labels make columns equal: ``{"probabilities": [[0, 0, 0]]}`` for one
        probability of three items in the first component.

    Attributes
    ----------
    weights_ : array (K,)
    means_ : array (K, D)
        Mean of every component; Gaussian families have all attributes of ``GaussianMixture``.
    rates_, shapes_, scales_, sizes_, ... : arrays (K, D)
        Parameters of the family in the units of the data, posterior means for variational fits:
        ``rates_`` of ``Poisson`` and ``Exponential``, ``shapes_`` and ``rates_`` of ``Gamma``,
        ``shapes_`` and ``scales_`` of ``Weibull``, ``rates_`` and ``sizes_`` (or ``extra_zeros_``)
        of other counts, ``log_means_`` of ``LogNormal``, ``degrees_of_freedom_`` of ``StudentT``,
        ``probabilities_`` of ``Bernoulli`` and ``Binomial``.
    probabilities_ : list of arrays (K, levels), for ``Categorical`` and ``Ordinal``
        Probabilities of the ``levels_`` of each column.
    components_ : mapping, for products
        Parameters of each part, by column, such as ``components_["eggs"]["rates"]``. Products have
        no ``means_``.
    log_likelihood_, elbo_ : float
        Total in nats; ``elbo_`` for variational fits.
    result_ : FitResult
        ``result_.unframed`` has the components with the parameters of their family.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.poisson(2.0, (100, 2)), rng.poisson(20.0, (50, 2))])
    >>> m = bm.Mixture(n_components=2, family=bm.Poisson(), random_state=0).fit(X)
    >>> m.weights_.round(2)
    array([0.67, 0.33])
    >>> m.rates_.round()
    array([[ 2.,  2.],
           [20., 20.]])
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        family: Any = None,
        inference: Any = None,
        covariance_type: str | None = None,
        prune: bool = True,
        tol: str | float = "auto",
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Any = "kmeans",
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        search: str | None = "auto",
        acceleration: str | None = "auto",
        max_passes: int | None = None,
        max_seconds: float | None = None,
        n_jobs: int | None = None,
        progress: bool | None = None,
        missing: str = "error",
        noise: Any = None,
        columns: Any = None,
        unseen: str = "missing",
        hold: Any = None,
        equal: Any = None,
        spurious: str = "warn",
    ) -> None:
        store_parameters(self, locals())

    def __getattr__(self, name: str) -> Any:
        parts = vars(self).get("components_", {}).values()
        if parts and (name in OF_ONE_FAMILY or any(name == f"{own}_" for p in parts for own in p)):
            keys = ", ".join(f"components_[{key!r}]" for key in self.components_)
            raise AttributeError(f"a product of families has no {name}: use that of a part, {keys}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _model(self) -> Model:
        n_components = validation.integer("n_components", self.n_components, 1)
        family = Gaussian() if self.family in (None, AUTO) else family_named(self.family)
        if isinstance(family, type) or not hasattr(family, "maximum_likelihood"):
            raise InvalidInputError(
                "family must be a family such as Gaussian(), Categorical() or Poisson(), got "
                f"{self.family!r}"
            )
        inference = default_inference(family) if self.inference is None else self.inference
        if isinstance(inference, type) or not hasattr(inference, "regulariser"):
            raise InvalidInputError(
                "inference must be MaximumLikelihood(), MaximumAPosteriori() or "
                f"VariationalBayes(), got {self.inference!r}"
            )
        prune, noise = validation.flag("prune", self.prune), noise_density(self.noise)
        if noise is not None and not family.takes_noise:
            raise UnsupportedError(
                f"noise needs Gaussian() or a Product, got family={self.family!r}: use noise=None"
            )
        return Model(n_components, family, inference, prune=prune, noise=noise)

    def _model_of(self, model: Model, source: Source) -> Model:
        family: Any = model.family
        coding = None if self.family is not None else coding_of(source)
        if is_mixed(self.family) or coding is not None:
            family = family_for(self.family or AUTO, source)
            if self.inference is None:
                of_weights: Any = model.inference  # of a chain, for example
                inference: Any = default_inference(family)
                model = replace(model, inference=replace(inference, weights=of_weights.weights))
        if self.covariance_type is not None:
            family = family.with_covariance(self.covariance_type)
        family = family.knowing(source.summary)
        return self._restricted(replace(model, family=family), source)

    def _parameters(self, result: FitResult) -> dict[str, Array]:
        """Return the parameters of one family by name but for means, in the units of the data."""
        named = parameters_of(result.family, cast("Any", result.unframed).plug_in())
        return {name: values for name, values in named.items() if name != "means"}

    def _describe(self, result: FitResult) -> None:
        if result.family.name in ("gaussian", "factor_analytic"):
            describe_gaussian(self, result)
            return
        if result.family.name == "product":
            self.components_ = ComponentsByColumn(
                cast("Product", result.family), cast("Products", result.unframed)
            )
        else:
            self.means_ = result.unframed.means.copy()
            named: dict[str, Any] = {**self._parameters(result)}
            if isinstance(result.family, LevelsFamily):
                self.levels_ = levels = result.family.levels
                ends = np.cumsum([len(of_column) for of_column in levels or ()])[:-1]
                named["probabilities"] = np.split(named["probabilities"], ends, axis=1)
            for name, values in named.items():
                setattr(self, f"{name}_", values)
        if result.variational:
            describe_weights(self, result)
