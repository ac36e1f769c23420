"""Methods of fitted estimators: intervals, regions, marginals, tables, imputation."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core import validation
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import Frame
from bayesmix.data.coded_frames import decoded, like_given
from bayesmix.em.model import Model
from bayesmix.em.refusals import refuse_covariates
from bayesmix.em.result import FitResult
from bayesmix.estimators.inputs.given_sources import new_rows
from bayesmix.estimators.inputs.missing_rows import refuse_gaps
from bayesmix.numerics.arrays import Array
from bayesmix.observation.instrument import refuse_measured
from bayesmix.observation.true_values import true_values
from bayesmix.posterior import DRAWS
from bayesmix.sources.containers import native
from bayesmix.sources.room import few_enough

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.core.sources import Source
    from bayesmix.families.coding import Level
    from bayesmix.families.product.components import Products
    from bayesmix.families.product.family import Product
    from bayesmix.observation.true_values import TrueValues
    from bayesmix.posterior.density import MixtureDensity
    from bayesmix.posterior.posterior_draws import PosteriorSample
    from bayesmix.posterior.regions import DensityRegion

MOST_SHOWN = 12


class PartParameters(UserDict[str, Array]):
    """Parameters of a part by name, each (K, ...), such as ``means`` or ``rates``.

    ``family`` is the family of the part; ``columns`` and ``levels`` label the axes after the first.
    """

    family: Family
    columns: tuple[str, ...]
    levels: tuple[tuple[Level, ...] | None, ...]

    def __repr__(self) -> str:
        lines = [f"<{self.family!r} of {', '.join(self.columns)}>"]
        for name, values in self.items():
            lines.append(f"  {name}:")
            shown = np.array2string(values[:MOST_SHOWN], precision=4, suppress_small=True)
            lines += [f"    {line}" for line in shown.splitlines()]
        named = [levels for levels in self.levels if levels is not None]
        lines += [f"  levels: {', '.join(map(str, levels))}" for levels in named]
        return "\n".join(lines)


def parameters_of(family: Any, point: Any) -> dict[str, Array]:
    """Return the parameters (K, ...) of components at a point by name, in the units they have."""
    drawn = family.as_draws([point]).parameters(Frame.identity(point.means.shape[1]))
    return {name: array[0] for name, (_, array) in drawn.items() if name != "covariance_prior"}


class ComponentsByColumn(Mapping[Any, PartParameters]):
    """The parts of a product, by key or by any of their columns."""

    def __init__(self, family: Product, components: Products) -> None:
        names = family.names or tuple(map(str, range(family.layout.n_columns)))
        coding = family.coding
        self._parts: dict[Any, PartParameters] = {}
        point = components.plug_in()
        for part, part_components, columns in zip(
            family.parts, point.parts, family.layout.columns, strict=True
        ):
            parameters = PartParameters(parameters_of(part.family, part_components))
            parameters.family = part.family
            parameters.columns = tuple(names[column] for column in columns)
            parameters.levels = tuple(None if coding is None else coding.levels[d] for d in columns)
            self._parts[part.columns if len(part.columns) > 1 else part.columns[0]] = parameters

    def __getitem__(self, key: Any) -> PartParameters:
        if key in self._parts:
            return self._parts[key]
        for columns, part in self._parts.items():
            if isinstance(columns, tuple) and key in columns:
                return part
        raise KeyError(f"{key!r}: the parts are {', '.join(map(repr, self._parts))}")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return "\n".join(f"{key!r}: {part!r}" for key, part in self._parts.items())


class PosteriorMethods:
    """Methods that all estimators share: uncertainty, marginal densities, regions, imputation.

    Bands and intervals are computed from draws of whole mixtures, with these parameters:

    n_draws : int, default=1000
        Number of draws. If ``method`` contains draws, at most this many are used, evenly spaced.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        "variational": draws from q of a variational fit; fast, but too narrow for overlapping
        components. "gibbs": posterior draws by ``bayesmix.gibbs``. "bootstrap": refits to
        reweighted data by ``bayesmix.weighted_bootstrap``, also for maximum likelihood. The last
        two need ``data``. A result of these two functions is used as it is; with ``gibbs(...,
        n_components=None)`` bands average over the number of components.
    data : array, frame or source (n, D), optional
        The data of the fit, which an estimator does not store. For weighted data, pass a source
        with weights, or draws.

    ``random_state=None`` uses the estimator's own.
    """

    _fitted: Callable[[], FitResult]
    _map: Callable[..., Any]

    def density_interval(
        self,
        X: Any,
        level: float = 0.9,
        simultaneous: bool = False,
        n_draws: int = 1000,
        random_state: Any = None,
        method: Any = "variational",
        data: Any = None,
    ) -> Array:
        """Return a credible band (n, 2) of the density (not its logarithm), in data units.

        Bands are pointwise quantiles over draws; with ``simultaneous`` a fraction ``level`` of the
        drawn densities lie inside at all points together. Labels of components do not matter.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
        >>> vb.density_interval(X[:1], level=0.9).round(3).tolist()
        [[0.007, 0.013]]
        >>> vb.density_interval(X[:1], level=0.9, method="gibbs", data=X).round(3).tolist()
        [[0.007, 0.013]]
        """
        from bayesmix.posterior.bands import checked_level, density_band, drawn_mixtures

        number, whole = checked_level(level), validation.flag("simultaneous", simultaneous)
        drawn = drawn_mixtures(self, method, data, n_draws, seed_of(self, random_state))
        return density_band(drawn, new_rows(self, X), number, whole)

    def conditional_interval(
        self,
        X_given: Any,
        columns: Any,
        level: float = 0.9,
        n_draws: int = 1000,
        random_state: Any = None,
        method: Any = "variational",
        data: Any = None,
    ) -> Array:
        """Return a credible band (n, rest, 2) of the conditional mean of each sample."""
        from bayesmix.posterior.bands import checked_level, conditional_band, drawn_mixtures

        number = checked_level(level)
        free, known, values = density(self).given_rows(X_given, columns)
        drawn = drawn_mixtures(self, method, data, n_draws, seed_of(self, random_state))
        return conditional_band(drawn, free, known, values, number)

    def assignment_interval(
        self,
        X: Any,
        level: float = 0.9,
        n_draws: int = 1000,
        random_state: Any = None,
        method: Any = "variational",
        data: Any = None,
    ) -> Array:
        """Return credible intervals (n, K, 2) of the component probabilities of each sample.

        ``predict_proba`` averages over parameters; these intervals show how much it depends on
        them. Components are those of the fit: Gibbs draws are relabelled (Stephens 2000), and
        pruned components are left out.
        """
        from bayesmix.posterior.bands import checked_level, drawn_mixtures
        from bayesmix.posterior.labels import assignment_band

        number = checked_level(level)
        drawn = drawn_mixtures(self, method, data, n_draws, seed_of(self, random_state))
        with single_threaded_blas():
            rows = few_enough(new_rows(self, X), 2 * self._fitted().n_components)
            return assignment_band(drawn, rows, number)

    def assignment_entropy(self, X: Any, covariates: Any = None) -> Array:
        """Return the entropy -Σ p log p (n,) of ``predict_proba``, in nats.

        It ranges from 0 (one component is certain) to log K (all are equally probable).
        """
        from bayesmix.posterior.predictive_sums import entropies

        return self._map(X, entropies, covariates=covariates)

    def density_region(
        self,
        level: float = 0.9,
        calibration: Any = None,
        sample_weight: Any = None,
        n_draws: int = DRAWS,
        random_state: Any = None,
    ) -> DensityRegion:
        """Return the region of highest density; see ``MixtureDensity.density_region``.

        ``conformal_region`` fits and calibrates in one call, on separate parts of the data.
        """
        seed = seed_of(self, random_state)
        return density(self).density_region(level, calibration, sample_weight, n_draws, seed)

    def tail_probability(
        self,
        X: Any,
        calibration: Any = None,
        sample_weight: Any = None,
        n_draws: int = DRAWS,
        random_state: Any = None,
    ) -> Array:
        """Return the probability (n,) of a density at most as high as the sample's.

        Small values mark anomalies; see ``MixtureDensity.tail_probability``.
        """
        seed = seed_of(self, random_state)
        return density(self).tail_probability(X, calibration, sample_weight, n_draws, seed)

    def sample_posterior(self, n_draws: int = 1000, random_state: Any = None) -> PosteriorSample:
        """Draw weights and parameters from the variational posterior."""
        from bayesmix.posterior.posterior_draws import posterior_sample

        draws = validation.integer("n_draws", n_draws, 1)
        return posterior_sample(self._fitted(), draws, seed_of(self, random_state))

    def credible_interval(
        self,
        level: float = 0.9,
        n_draws: int = 4000,
        random_state: Any = None,
        method: Any = "variational",
        data: Any = None,
    ) -> Any:
        """Return credible intervals of the weights and parameters.

        Means and equal-tailed intervals over draws, in data units, for the components of the fit;
        Gibbs draws are relabelled to it (Stephens 2000).

        Returns
        -------
        DataFrame
            Columns ``parameter``, ``mean``, ``lower`` and ``upper``; a row for every weight and
            parameter, as ``means[component 1, eruptions]``.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
        >>> vb.credible_interval(level=0.9).head(3).round(2)
                              parameter  mean  lower  upper
        0          weights[component 1]  0.64   0.60   0.69
        1          weights[component 2]  0.36   0.31   0.40
        2  means[component 1, eruptions]  4.29   4.24   4.34
        """
        from bayesmix.posterior.bands import checked_level, drawn_mixtures
        from bayesmix.posterior.labels import credible_intervals

        share, seed = checked_level(level), seed_of(self, random_state)
        return credible_intervals(drawn_mixtures(self, method, data, n_draws, seed), share)

    def to_arviz(self, X: Any = None, n_draws: int = 1000, random_state: Any = None) -> Any:
        """Return posterior draws, trace and prior for ArviZ.

        With data, groups "log_likelihood" and "posterior_predictive" are added, for ``az.loo``,
        ``az.compare`` and ``az.plot_ppc``. With the data of the fit, draws are resampled by
        importance weights if Pareto k is at most 0.7, so that they follow the posterior rather than
        its approximation, and ``az.loo`` agrees with ``bm.leave_one_out``; the attribute ``note``
        says so. Draws are independent, in one chain, and marked ``inference="variational"``: R-hat
        is not informative for them.
        """
        return arviz_draws(self, X, n_draws, random_state, partial(new_rows, self))

    def parameter_table(self, X: Any, standard_errors: str = "information", **options: Any) -> Any:
        """Return shares, means, variances, probabilities and rates with standard errors.

        A hidden Markov model has start and transition probabilities instead of shares.

        Parameters
        ----------
        X : array or frame (n, D)
            The data of a maximum likelihood fit.
        standard_errors : {"information", "sandwich", "bootstrap"}, default="information"
            Observed information (Louis 1982); robust to misspecification (White 1982); refits to
            randomly weighted samples. The last two are by sequence for a hidden Markov model.
        **options
            ``sample_weight``; ``clusters`` and ``strata`` (n,) of a survey, not for "information";
            intervals then use t with clusters minus strata degrees of freedom; ``level`` (0.95);
            ``n_draws`` (200) and ``random_state`` of "bootstrap".

        Returns
        -------
        DataFrame
            ``estimate``, ``standard_error``, ``lower`` and ``upper`` by parameter, column, level
            and class, from 1. Errors are NaN at a boundary and where the fit is not identified.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> gm = bm.GaussianMixture(2, random_state=0).fit(X)
        >>> gm.parameter_table(X)["standard_error"]["share"].round(3).tolist()
        [0.029, 0.029]
        """
        from bayesmix.posterior.parameter_errors import parameter_table

        return parameter_table(self, X, standard_errors, **options)

    def gate_coefficients(
        self,
        X: Any,
        level: float = 0.95,
        sample_weight: Any = None,
        *,
        weight_type: str | None = None,
        reference: str = "first",
    ) -> Any:
        """Return coefficients of the covariates, with standard errors and Wald intervals.

        Coefficients are log odds of each component against the first, per unit of the covariate.
        Standard errors come from the observed information of all parameters (Louis 1982), which
        takes a few hundred passes over ``X``, the data of the fit (of a chain a few). With
        ``weight_type="sampling"`` they are those of the sandwich (White 1982). With
        ``reference="staying"`` log odds of the transitions of a hidden Markov model are those
        against staying in the state, as in LMest and msm.

        Returns
        -------
        DataFrame
            Columns ``estimate``, ``standard_error``, ``lower`` and ``upper``; a row for every
            component but the first and every term. NaN if the information is singular.

        Examples
        --------
        >>> import numpy as np, pandas as pd, bayesmix as bm
        >>> rng = np.random.default_rng(0)
        >>> age = rng.uniform(20, 80, 500)
        >>> second = rng.random(500) < 1 / (1 + np.exp(6 - 0.1 * age))
        >>> X = rng.normal(size=(500, 2)) + 3.0 * second[:, None]
        >>> gm = bm.GaussianMixture(2, random_state=0).fit(X, covariates=pd.DataFrame({"age": age}))
        >>> table = gm.gate_coefficients(X)
        >>> table.columns.tolist()
        ['estimate', 'standard_error', 'lower', 'upper']
        >>> row = table.loc[("class 2", "age")]
        >>> bool(row["lower"] < 0.1 < row["upper"])
        True
        """
        from bayesmix.posterior.gate_errors import gate_coefficients

        return gate_coefficients(self, X, level, sample_weight, weight_type, reference)

    def marginal(self, columns: Any) -> MixtureDensity:
        """Return the marginal density of some columns, by name or index."""
        return density(self).marginal(columns)

    def conditional(self, given: Any) -> MixtureDensity:
        """Return the conditional density of the other columns given ``{column: value}``."""
        return density(self).conditional(given)

    def conditional_mean(self, X_given: Any, columns: Any) -> Array:
        """Return E[other columns | given columns] (n, rest), in the order of the fit.

        ``columns`` names the columns of X_given (n, g).
        """
        return density(self).conditional_mean(X_given, columns)

    def true_values(self, X: Any, n_draws: int = 0, random_state: Any = None) -> TrueValues:
        """Return the posterior of true values: their ``mean`` and ``standard_deviation`` (n, D).

        Parameters
        ----------
        X : ``bayesmix.Measured`` (n, D)
            Data with known errors of measurement; any samples, those of the fit or others.
        n_draws : int
            Number of posterior ``draws`` (n_draws, n, D) of the true values.
        random_state : optional
            None uses the estimator's own.
        """
        rows = new_rows(self, X, gaps=True).in_memory().rows
        generator = stream(seed_of(self, random_state), Purpose.GAPS)
        number = validation.integer("n_draws", n_draws, 0)
        return true_values(self._fitted(), rows, number, generator)

    def impute(self, X: Any, n_draws: int | None = None, random_state: Any = None) -> Any:
        """Fill in missing values (NaN).

        Parameters
        ----------
        X : array, frame or source (n, D)
            Every sample needs at least one observed value; observed values do not change.
        n_draws : int, optional
            None returns one table of conditional means, and most probable levels for categories. A
            number returns this many tables of draws, for multiple imputation. Draws of a
            variational fit include its posterior uncertainty.
        random_state : optional
            None uses the estimator's own.

        Returns
        -------
        array (n, D) or (n_draws, n, D)
            For a frame (pandas, polars): a frame with its columns and levels, or a list of n_draws
            frames.

        Examples
        --------
        >>> import numpy as np
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> X.loc[::10, "waiting"] = np.nan
        >>> vb = bm.BayesianGaussianMixture(2, missing="use", random_state=0).fit(X)
        >>> vb.impute(X).head(2).round(1)
           eruptions  waiting
        0        3.6     76.1
        1        1.8     54.0
        >>> tables = vb.impute(X, n_draws=100, random_state=0)
        >>> np.std([table.loc[0, "waiting"] for table in tables]).round(1)
        np.float64(5.3)
        """
        from bayesmix.posterior.imputation import expected, imputations

        result = self._fitted()
        refuse_covariates(result, "impute")
        refuse_gaps(Model(result.n_components, result.family, result.inference))
        X = native(X)
        names = getattr(self, "feature_names_in_", None)
        rows = new_rows(self, X, gaps=True).in_memory()
        refuse_measured(rows, "impute")
        values = np.array(rows.values, dtype=np.float64)
        if n_draws is None:
            return like_given(decoded(result.family, expected(result, values)), X, names)
        number = validation.integer("n_draws", n_draws, 1)
        validation.in_memory(f"n_draws={number:,}", 8.0 * number * values.size, "draw fewer")
        seed = seed_of(self, random_state)
        drawn_tables = imputations(result, values, number, stream(seed, Purpose.GAPS))
        tables = [like_given(decoded(result.family, table), X, names) for table in drawn_tables]
        return np.stack(tables) if isinstance(tables[0], np.ndarray) else tables


def density(estimator: Any) -> MixtureDensity:
    """Return the fitted density over all columns, from which marginals are taken."""
    from bayesmix.posterior.density import density_of

    names = getattr(estimator, "feature_names_in_", None)
    return density_of(estimator._fitted(), None if names is None else tuple(map(str, names)))


def arviz_draws(
    estimator: Any, X: Any, n_draws: Any, random_state: Any, seen: Callable[[Any], Source]
) -> Any:
    """Return draws of a variational fit for ArviZ; ``seen`` checks the data."""
    from bayesmix.posterior.subject import are_of_fit
    from bayesmix.posterior.variational_export import variational_tree

    result = estimator._fitted()
    draws = validation.integer("n_draws", n_draws, 1)
    source = None if X is None else seen(X)
    of_fit = source is not None and are_of_fit(estimator, X)
    return variational_tree(result, source, of_fit, draws, seed_of(estimator, random_state))


def seed_of(estimator: Any, random_state: Any) -> int:
    """Return the seed of a method; None uses the estimator's ``random_state``."""
    return root_seed(estimator.random_state if random_state is None else random_state)
