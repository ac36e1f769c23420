"""Methods of fitted estimators: intervals, marginals, imputation, criteria, ``partial_fit``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from bayesmix.core import validation
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.em.missing_values import drawn
from bayesmix.em.model import Model
from bayesmix.em.result import FitResult, assess
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators import incoming
from bayesmix.estimators.fit_columns import decoded, like_given
from bayesmix.estimators.predictions import entropies
from bayesmix.families.level_probabilities import level_probabilities
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import patterns
from bayesmix.posterior import DRAWS
from bayesmix.sources.border import eager, few_enough

if TYPE_CHECKING:
    from bayesmix.posterior.density import MixtureDensity
    from bayesmix.posterior.posterior_draws import PosteriorSample
    from bayesmix.posterior.regions import DensityRegion


class PosteriorMethods:
    """Methods of every estimator that speak of doubt, of parts of the density and of its regions.

    Bands and intervals are from draws of whole mixtures, and take the same three parameters:

    n_draws : int, default=1000
        How many. Of draws that are given, at most so many, evenly spaced.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Where they are from. "variational": q of a variational fit; quick, and overconfident where
        components overlap. "gibbs": the posterior itself, by ``bayesmix.gibbs``. "bootstrap":
        refits to reweighted rows, by ``bayesmix.weighted_bootstrap``; for maximum likelihood fits
        as well. The last two need ``data``. Or what one of these two functions returned for this
        fit: then nothing is drawn again; with ``gibbs(..., n_components=None)`` bands are over all
        numbers of components.
    data : array, frame or source (n, D), optional
        The rows of the fit, which an estimator does not keep. Where they have weights, a source
        that has them, or draws of your own.

    ``random_state`` None uses the estimator's own.
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
        """Credible band (n, 2) of the density at rows: densities in data units, not logarithms.

        Pointwise the quantiles over draws; ``simultaneous``: ``level`` of the drawn densities lie
        inside at all of the rows at once. Labels of components do not matter.

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
        return density_band(drawn, incoming.new_rows(self, X), number, whole)

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
        """Credible band (n, rest, 2) of the conditional mean, row by row."""
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
        """Credible interval (n, K, 2) of the probability of every component, row by row.

        ``predict_proba`` is an average over parameters; this says how far it depends on them.
        Components are those of the fit: Gibbs draws, whose labels change, are relabelled to it
        (Stephens 2000), and what a pruned fit dropped is left out.
        """
        from bayesmix.posterior.bands import checked_level, drawn_mixtures
        from bayesmix.posterior.labels import assignment_band

        number = checked_level(level)
        drawn = drawn_mixtures(self, method, data, n_draws, seed_of(self, random_state))
        with single_threaded_blas():
            rows = few_enough(incoming.new_rows(self, X), 2 * self._fitted().n_components)
            return assignment_band(drawn, rows, number)

    def assignment_entropy(self, X: Any) -> Array:
        """-Σ p log p (n,) of ``predict_proba``, in nats: 0 where one component is certain.

        At most log K, where all are equally probable.
        """
        entropy: Array = self._map(X, entropies)
        return entropy

    def density_region(
        self,
        level: float = 0.9,
        calibration: Any = None,
        sample_weight: Any = None,
        n_draws: int = DRAWS,
        random_state: Any = None,
    ) -> DensityRegion:
        """Where the density is highest; see ``MixtureDensity.density_region``.

        ``conformal_region`` fits and calibrates in one call, on different rows.
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
        """How probable (n,) a row is that is no denser: small for anomalies.

        See ``MixtureDensity.tail_probability``.
        """
        seed = seed_of(self, random_state)
        return density(self).tail_probability(X, calibration, sample_weight, n_draws, seed)

    def sample_posterior(self, n_draws: int = 1000, random_state: Any = None) -> PosteriorSample:
        """Independent draws of weights and parameters from the variational posterior."""
        from bayesmix.posterior.posterior_draws import posterior_sample

        draws = validation.integer("n_draws", n_draws, 1)
        return posterior_sample(self._fitted(), draws, seed_of(self, random_state))

    def credible_interval(
        self, level: float = 0.9, n_draws: int = 4000, random_state: Any = None
    ) -> Any:
        """Credible intervals of the weights and parameters of a variational fit.

        Posterior means and equal-tailed intervals over draws from q, in data units, with the
        components numbered as in the fit. The intervals are too narrow where components overlap;
        ``bayesmix.linear_response`` and ``bayesmix.gibbs`` correct for that.

        Returns
        -------
        DataFrame
            Columns ``parameter``, ``mean``, ``lower`` and ``upper``; a row for every weight and
            parameter, as ``means[0, eruptions]``.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
        >>> vb.credible_interval(level=0.9).head(3).round(2)
                    parameter  mean  lower  upper
        0          weights[0]  0.64   0.60   0.69
        1          weights[1]  0.36   0.31   0.40
        2  means[0, eruptions]  4.29   4.24   4.34
        """
        from bayesmix.posterior.bands import checked_level, credible_intervals

        number, draws = checked_level(level), validation.integer("n_draws", n_draws, 1)
        return credible_intervals(self._fitted(), number, draws, seed_of(self, random_state))

    def to_arviz(self, X: Any = None, n_draws: int = 1000, random_state: Any = None) -> Any:
        """Posterior draws, trace and prior for ArviZ; of rows also their log likelihood.

        Draws are independent and in one chain, marked ``inference="variational"``: R-hat says
        nothing of them.
        """
        from bayesmix.posterior.arviz_groups import variational_tree

        result = self._fitted()
        draws = validation.integer("n_draws", n_draws, 1)
        source = None if X is None else incoming.new_rows(self, X)
        seed = seed_of(self, random_state)
        return variational_tree(result, source, draws, seed)

    def marginal(self, columns: Any) -> MixtureDensity:
        """The density of some columns, by name or number: the others integrated out."""
        return density(self).marginal(columns)

    def conditional(self, given: Any) -> MixtureDensity:
        """The density of the other columns where some have known values, ``{column: value}``."""
        return density(self).conditional(given)

    def conditional_mean(self, X_given: Any, columns: Any) -> Array:
        """E[other columns | those given] (n, rest), in the order of the fit: mixture regression.

        ``columns`` says, by name or number, which ones X_given (n, g) holds.
        """
        return density(self).conditional_mean(X_given, columns)

    def impute(self, X: Any, n_draws: int | None = None, random_state: Any = None) -> Any:
        """Rows with their missing values (NaN) filled in.

        Parameters
        ----------
        X : array, frame or source (n, D)
            Every row needs one value at least. What is there stays as it is.
        n_draws : int, optional
            None: what is expected given the values that a row has, of categories and of columns
            of 0 and 1 the most probable level; one table. Else so many tables drawn: with the
            spread of the values, and of a variational fit with that of the posterior, as multiple
            imputation needs it.
        random_state : optional
            None uses the estimator's own.

        Returns
        -------
        array (n, D) or (n_draws, n, D)
            Of a frame (pandas, polars) a frame with its columns, categories as levels, or a list of
            n_draws frames.

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
        result = self._fitted()
        refuse_gaps(Model(result.n_components, result.family, result.inference))
        X = eager(X)
        names = getattr(self, "feature_names_in_", None)
        rows = incoming.new_rows(self, X, gaps=True).in_memory()
        values = np.array(rows.values, dtype=np.float64)
        if n_draws is None:
            return like_given(decoded(result.family, expected(result, values)), X, names)
        number = validation.integer("n_draws", n_draws, 1)
        validation.in_memory(f"n_draws={number:,}", 8.0 * number * values.size, "draw fewer")
        seed = seed_of(self, random_state)
        drawn_tables = imputations(result, values, number, stream(seed, Purpose.GAPS))
        tables = [like_given(decoded(result.family, one), X, names) for one in drawn_tables]
        return np.stack(tables) if isinstance(tables[0], np.ndarray) else tables


def density(estimator: Any) -> MixtureDensity:
    """The fitted density over all columns, for parts of it."""
    from bayesmix.posterior.density import density_of

    return density_of(estimator._fitted(), _names(estimator))


def _names(estimator: Any) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(map(str, names))


def seed_of(estimator: Any, random_state: Any) -> int:
    """Return the seed of a method; None is the estimator's ``random_state``."""
    return root_seed(estimator.random_state if random_state is None else random_state)


def refuse_gaps(model: Model) -> None:
    """Refuse models that cannot say what a row with gaps does."""
    family = model.family
    if model.noise is not None:
        raise UnsupportedError(
            "noise takes no missing values yet: drop such rows (missing='drop'), or leave out noise"
        )
    if not family.takes_gaps:
        raise UnsupportedError(
            f"{family!r} takes no missing values: drop such rows (missing='drop'), or use "
            "Gaussian('full') or Gaussian('diag')"
        )


def expected(result: FitResult, values: Array) -> Array:
    """E[gaps | what the row has] in their places, under the predictive density.

    Of columns that have levels the most probable of them.
    """
    from bayesmix.posterior.bands import conditional_means

    out = values.copy()
    for columns, rows in patterns(values):
        hidden = np.setdiff1d(np.arange(values.shape[1]), columns)
        if len(hidden):
            known = values[np.ix_(rows, columns)]
            means = conditional_means(result.density, hidden, columns, known)
            if not np.isfinite(means).all():  # of tails so heavy that a density has no mean
                means = conditional_means(result.plug_in, hidden, columns, known)
            out[np.ix_(rows, hidden)] = means
    shares = result.probabilities(values)
    for column, of_levels in level_probabilities(result.family, result.density.components).items():
        gaps = np.isnan(values[:, column])
        out[gaps, column] = (shares[gaps] @ of_levels).argmax(axis=1)
    return out


def imputations(
    result: FitResult, values: Array, n_draws: int, generator: np.random.Generator
) -> list[Array]:
    """Tables with gaps drawn, each under other parameters where the fit has a posterior."""
    if not result.variational:
        return [drawn(result.plug_in, values, generator) for _ in range(n_draws)]
    from bayesmix.posterior.posterior_draws import Draws, mixtures_of

    q = result.posterior
    draws = Draws(q.weights.draws(n_draws, generator), q.components.draws(n_draws, generator))
    return [drawn(mixture, values, generator) for mixture in mixtures_of(result, draws)]


def information(estimator: Any, criterion: Any, X: Any, sample_weight: Any) -> float:
    """-2 times a criterion in nats: scikit-learn's sign. None for X: of the fit itself."""
    result = estimator._fitted()
    if X is None:
        if result.n_rows == 0:
            raise InvalidInputError("this mixture was not fitted to rows: give X")
        if sample_weight is not None:
            raise InvalidInputError("sample_weight belongs to rows: give X as well")
        if result.stream is not None:
            name = criterion.__name__
            raise UnsupportedError(
                f"{name}() of a stream is not known: its rows went by, and of their likelihood "
                f"only a bound is known (lower_bound_): give rows, {name}(X); of all of them, add "
                "up score_samples batch by batch, and take result_.n_parameters, "
                f"{result.n_parameters}, into account"
            )
        sums = result.plug_in_sums
    else:
        source = estimator._seen(X, sample_weight)
        with single_threaded_blas():
            point = replace(result.plug_in, weights=result.mixture.weights.averaged())
            sums = assess(result.family, point, source, result.log_volume)
    value: float = -2.0 * criterion(sums, result.n_parameters)
    return value


class Transforming(ClassNamePrefixFeaturesOutMixin, TransformerMixin):  # type: ignore[misc]  # scikit-learn is untyped
    """``transform`` with names of what comes out, and ``set_output`` for frames."""

    _fitted: Callable[[], FitResult]

    def transform(self, X: Any) -> Array:
        """The same as ``predict_proba``, for pipelines; a frame after ``set_output``."""
        probabilities: Array = self.predict_proba(X)
        return probabilities

    @property
    def _n_features_out(self) -> int:
        result = self._fitted()
        return result.n_components + (result.mixture.noise is not None)
