"""Which class of a family keeps which protocol: see ``bayesmix.conformance``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesmix import protocols as p
    from bayesmix.families import binomial, categorical, exponential
    from bayesmix.families.bernoulli import (
        Bernoulli,
        BernoulliDraws,
        Bernoullis,
        BetaPrior,
        BetaProbabilities,
    )
    from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers, ProjectedMoments
    from bayesmix.families.factor_analytic.family import FactorAnalytic
    from bayesmix.families.floor_guard import FloorGuard
    from bayesmix.families.gamma import Gamma, GammaDraws, Gammas
    from bayesmix.families.gaussian import coordinates as whitened
    from bayesmix.families.gaussian.collapse import GaussianGuard, GaussianMixtures
    from bayesmix.families.gaussian.coordinates import GaussianCoordinates
    from bayesmix.families.gaussian.covariance.algebra import Algebra
    from bayesmix.families.gaussian.covariance.dense import Dense
    from bayesmix.families.gaussian.covariance.diagonal import Axes
    from bayesmix.families.gaussian.covariance.models import Decomposed, Structure
    from bayesmix.families.gaussian.draws import GaussianDraws
    from bayesmix.families.gaussian.family import Gaussian
    from bayesmix.families.gaussian.moments import Moments
    from bayesmix.families.gaussian.point import Gaussians
    from bayesmix.families.gaussian.prior import GaussianPosterior, GaussianPrior, NormalWishart
    from bayesmix.families.gaussian.quadratic import Quadratics
    from bayesmix.families.gaussian.students import Students
    from bayesmix.families.gaussian.twin import GaussianTwin
    from bayesmix.families.gaussian.twin_blocks import AxesTwin, DenseTwin, WishartTwin
    from bayesmix.families.gaussian.wishart_scale import FixedScale, Scale, Wishart
    from bayesmix.families.independent.columns import NoGuard
    from bayesmix.families.independent.coordinates import ColumnCoordinates, TotalsTwin
    from bayesmix.families.independent.levels import LevelCoordinates, LevelsTwin
    from bayesmix.families.independent.linear import LinearInTotals, SeenColumns, SeenTotals, Sums
    from bayesmix.families.independent.negative_binomial import NegativeBinomials
    from bayesmix.families.poisson import GammaPrior, GammaRates, Poisson, PoissonDraws, Poissons
    from bayesmix.families.product.components import (
        LinearProduct,
        ProductCoordinates,
        ProductDraws,
        Products,
    )
    from bayesmix.families.product.family import Product
    from bayesmix.families.product.guard import ProductGuard, Resolutions, WholeRows
    from bayesmix.families.product.layout import ProductStatistics, SomeColumns
    from bayesmix.families.product.prior import PartPriors, ProductPrior, ProductTwin
    from bayesmix.families.student_t.components import StudentComponents, WeightedMoments
    from bayesmix.families.student_t.family import StudentT
    from bayesmix.families.student_t.posterior import (
        MixedStudents,
        NormalWishartFreedom,
        StudentDraws,
        StudentPosterior,
        StudentPrior,
    )

    def _bernoulli(
        family: Bernoulli,
        point: Bernoullis,
        posterior: BetaProbabilities,
        draws: BernoulliDraws,
        prior: BetaPrior,
    ) -> None:
        _family: p.FamilyOf[Sums, Bernoullis] = family
        _point: p.PointComponents = point
        _linear: p.LinearComponents = point
        _linear = posterior
        _posterior: p.PosteriorOf[BernoulliDraws] = posterior
        _incomplete: p.Incomplete = point
        _incomplete = posterior
        _filling: p.Filling = point
        _filling = posterior
        _draws: p.DrawnComponents = draws
        _prior: p.PriorOf[Sums, Bernoullis, BetaProbabilities, BernoulliDraws] = prior
        _choice: p.PriorChoiceOf[BetaPrior] = prior

    def _poisson(
        family: Poisson,
        point: Poissons,
        posterior: GammaRates,
        predictive: NegativeBinomials,
        draws: PoissonDraws,
        prior: GammaPrior,
    ) -> None:
        _family: p.FamilyOf[Sums, Poissons] = family
        _point: p.PointComponents = point
        _linear: p.LinearComponents = point
        _linear = posterior
        _posterior: p.PosteriorOf[PoissonDraws] = posterior
        _predictive: p.Predictive = predictive
        _draws: p.DrawnComponents = draws
        _prior: p.PriorOf[Sums, Poissons, GammaRates, PoissonDraws] = prior
        _choice: p.PriorChoiceOf[GammaPrior] = prior

    def _exponential(
        family: exponential.Exponential,
        point: exponential.Exponentials,
        posterior: exponential.ExponentialRates,
        predictive: exponential.Lomaxes,
        draws: exponential.ExponentialDraws,
        prior: exponential.ExponentialPrior,
        choice: GammaPrior,
    ) -> None:
        _family: p.FamilyOf[Sums, exponential.Exponentials] = family
        _point: p.PointComponents = point
        _posterior: p.PosteriorOf[exponential.ExponentialDraws] = posterior
        _predictive: p.Predictive = predictive
        _draws: p.DrawnComponents = draws
        _prior: p.PriorOf[
            Sums,
            exponential.Exponentials,
            exponential.ExponentialRates,
            exponential.ExponentialDraws,
        ] = prior
        _choice: p.PriorChoiceOf[exponential.ExponentialPrior] = choice

    def _binomial(
        family: binomial.Binomial,
        point: binomial.Binomials,
        posterior: binomial.BinomialProbabilities,
        predictive: binomial.BetaBinomials,
        draws: binomial.BinomialDraws,
        prior: binomial.BinomialPrior,
        choice: BetaPrior,
    ) -> None:
        _family: p.FamilyOf[Sums, binomial.Binomials] = family
        _point: p.PointComponents = point
        _posterior: p.PosteriorOf[binomial.BinomialDraws] = posterior
        _predictive: p.Predictive = predictive
        _draws: p.DrawnComponents = draws
        _prior: p.PriorOf[
            Sums, binomial.Binomials, binomial.BinomialProbabilities, binomial.BinomialDraws
        ] = prior
        _choice: p.PriorChoiceOf[binomial.BinomialPrior] = choice

    def _categorical(
        family: categorical.Categorical,
        point: categorical.Categoricals,
        posterior: categorical.LevelProbabilities,
        draws: categorical.CategoricalDraws,
        coordinates: LevelCoordinates,
        twin: LevelsTwin,
        prior: categorical.CategoricalPrior,
    ) -> None:
        _family: p.FamilyOf[Sums, categorical.Categoricals] = family
        _point: p.PointComponents = point
        _posterior: p.PosteriorOf[categorical.CategoricalDraws] = posterior
        _draws: p.DrawnComponents = draws
        _coordinates: p.Coordinates = coordinates
        _twin: p.ComponentsTwin = twin
        _prior: p.PriorOf[
            Sums,
            categorical.Categoricals,
            categorical.LevelProbabilities,
            categorical.CategoricalDraws,
        ] = prior
        _choice: p.PriorChoiceOf[categorical.CategoricalPrior] = prior

    def _independent_columns(
        statistics: Sums,
        linear: LinearInTotals,
        coordinates: ColumnCoordinates,
        twin: TotalsTwin,
        guard: NoGuard,
        seen: SeenColumns,
        seen_totals: SeenTotals,
    ) -> None:
        _statistics: p.Statistics = statistics
        _linear: p.CompletingOf[Sums] = linear
        _components: p.LinearComponents = linear
        _incomplete: p.Incomplete = seen
        _incomplete = seen_totals
        _coordinates: p.Coordinates = coordinates
        _twin: p.ComponentsTwin = twin
        _guard: p.Guard = guard

    def _product(
        family: Product,
        statistics: ProductStatistics,
        linear: LinearProduct,
        components: Products,
        draws: ProductDraws,
        coordinates: ProductCoordinates,
        prior: PartPriors,
        choice: ProductPrior,
        guard: ProductGuard,
        whole: WholeRows,
        columns: SomeColumns,
        resolution: Resolutions,
        twin: ProductTwin,
    ) -> None:
        _resolution: p.Resolved = resolution
        _twin: p.ComponentsTwinOf[ProductDraws] = twin
        _family: p.FamilyOf[ProductStatistics, Products] = family
        _statistics: p.Statistics = statistics
        _linear: p.CompletingOf[ProductStatistics] = linear
        _incomplete: p.Incomplete = components
        _filling: p.Filling = components
        _point: p.PointComponents = components
        _posterior: p.PosteriorOf[ProductDraws] = components
        _far: p.FarDensities = components
        _draws: p.DrawnComponents = draws
        _coordinates: p.CoordinatesOf[ProductDraws] = coordinates
        _prior: p.PriorOf[ProductStatistics, Products, Products, ProductDraws] = prior
        _choice: p.PriorChoiceOf[PartPriors] = choice
        _guard: p.Guard = guard
        _whole: p.Whole = whole
        _source: p.InMemory = columns

    def _gaussian(
        family: Gaussian,
        statistics: Moments,
        linear: Quadratics,
        point: Gaussians,
        posterior: GaussianPosterior,
        predictive: Students,
        draws: GaussianDraws,
        coordinates: GaussianCoordinates,
        twin: GaussianTwin,
        prior: NormalWishart,
        choice: GaussianPrior,
        guard: GaussianGuard,
    ) -> None:
        _family: p.FamilyOf[Moments, Gaussians] = family
        _statistics: p.Statistics = statistics
        _linear: p.TruncatingOf[Moments] = linear
        _components: p.LinearComponents = linear
        _components = point
        _components = posterior
        _by_pattern: p.ByPatternOf[Moments] = linear
        _portable: p.Portable = linear
        _portable = point
        _portable = posterior
        _on_device: p.OnDevice = linear.on_device
        _incomplete: p.Incomplete = point
        _incomplete = posterior
        _incomplete = predictive
        _filling: p.Filling = point
        _filling = posterior
        _point: p.PointComponents = point
        _posterior: p.PosteriorOf[GaussianDraws] = posterior
        _predictive: p.Predictive = predictive
        _far: p.FarDensities = point
        _far = posterior
        _far = predictive
        _draws: p.DrawnComponents = draws
        _coordinates: p.CoordinatesOf[GaussianDraws] = coordinates
        _twin: p.ComponentsTwinOf[GaussianDraws] = twin
        _prior: p.PriorOf[Moments, Gaussians, GaussianPosterior, GaussianDraws] = prior
        _choice: p.PriorChoiceOf[NormalWishart] = choice
        _guard: p.GuardOf[GaussianMixtures] = guard

    def _factor_analytic(
        family: FactorAnalytic,
        statistics: ProjectedMoments,
        point: FactorAnalysers,
        guard: FloorGuard[FactorAnalysers],
    ) -> None:
        _family: p.FamilyOf[ProjectedMoments, FactorAnalysers] = family
        _statistics: p.Statistics = statistics
        _point: p.PointComponents = point
        _far: p.FarDensities = point
        _guard: p.Guard = guard

    def _gamma(family: Gamma, point: Gammas, draws: GammaDraws) -> None:
        _draws: p.DrawnComponents = draws
        _family: p.FamilyOf[Sums, Gammas] = family
        _point: p.PointComponents = point

    def _student_t(
        family: StudentT,
        statistics: WeightedMoments,
        point: StudentComponents,
        posterior: StudentPosterior,
        predictive: MixedStudents,
        draws: StudentDraws,
        prior: NormalWishartFreedom,
        choice: StudentPrior,
    ) -> None:
        _posterior: p.PosteriorOf[StudentDraws] = posterior
        _predictive: p.Predictive = predictive
        _draws: p.DrawnComponents = draws
        _prior: p.PriorOf[WeightedMoments, StudentComponents, StudentPosterior, StudentDraws]
        _prior = prior
        _choice: p.PriorChoiceOf[NormalWishartFreedom] = choice
        _family: p.FamilyOf[WeightedMoments, StudentComponents] = family
        _statistics: p.Statistics = statistics
        _point: p.PointComponents = point
        _far: p.FarDensities = point
        _far = posterior
        _far = predictive

    def _covariance_models(model: Decomposed) -> None:
        _model: Structure = model

    def _precisions(
        dense: Dense,
        axes: Axes,
        fixed: FixedScale,
        learned: Wishart,
        whitened_dense: whitened.WhitenedMatrices,
        whitened_axes: whitened.WhitenedAxes,
        dense_twin: DenseTwin,
        axes_twin: AxesTwin,
    ) -> None:
        _algebra: Algebra = dense
        _algebra = axes
        _scale: Scale = fixed
        _scale = learned
        _whitened: whitened.Whitened = whitened_dense
        _whitened = whitened_axes
        _twin: WishartTwin = dense_twin
        _twin = axes_twin
