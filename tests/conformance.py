"""Which class keeps which protocol: read by the type checker, and by nobody else.

A method of a protocol that a class loses, or has in another shape, is an error here. A new source,
allocation, family or covariance model takes its place below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmix.core.sources import Partitioned

if TYPE_CHECKING:
    from bayesmix.allocation.dirichlet import Dirichlet, DirichletPrior
    from bayesmix.allocation.point import FreeWeights, PointWeights
    from bayesmix.allocation.point_draws import DirichletTwin, PointTwin, WeightDraws
    from bayesmix.allocation.stick_breaking import (
        StickBreaking,
        StickBreakingPrior,
        StickDraws,
        StickTwin,
    )
    from bayesmix.core.components import (
        AlongSubspace,
        ByPatternOf,
        CompletingOf,
        DrawnComponents,
        FarDensities,
        Filling,
        Incomplete,
        InSubspace,
        LinearComponents,
        OfOneColumn,
        PointComponents,
        PosteriorOf,
        Predictive,
        Statistics,
    )
    from bayesmix.core.engines import (
        Bayesian,
        Guard,
        GuardOf,
        Objective,
        Resolved,
        Stopping,
        Whole,
    )
    from bayesmix.core.families import FamilyOf
    from bayesmix.core.group_counts import GroupCounts
    from bayesmix.core.measurement import Measurement
    from bayesmix.core.missing_cells import MissingCells
    from bayesmix.core.priors import (
        AllocationSums,
        ComponentsTwin,
        ComponentsTwinOf,
        DrawnWeights,
        FactorisedWeightsOf,
        OrderedWeightsPriorOf,
        PriorChoiceOf,
        PriorOf,
        SeparablePriorOf,
        WeightsAtAPoint,
        WeightsOf,
        WeightsPriorOf,
        WeightsTwinOf,
    )
    from bayesmix.core.protocols import FittedMixture, Procedure
    from bayesmix.core.rows import Complete, Observation
    from bayesmix.core.sources import Engine, InMemory, PartitionTask
    from bayesmix.em.expectation import (
        Arithmetic,
        Centred,
        Linear,
    )
    from bayesmix.em.model import MaximumLikelihood
    from bayesmix.em.run import Aitken, Change
    from bayesmix.em.start import GivenNoise, Start
    from bayesmix.em.under_a_prior import MaximumAPosteriori, VariationalBayes
    from bayesmix.estimators.base import MixtureEstimator
    from bayesmix.estimators.search import MixtureSearch
    from bayesmix.estimators.searching.fitters import SourceFitter
    from bayesmix.estimators.searching.table_fitter import TableFitter
    from bayesmix.families.without_prior import BootstrapDraws
    from bayesmix.io.checkpoints import Checkpoint
    from bayesmix.numerics.arrays import Array
    from bayesmix.observation.instrument import Instrument
    from bayesmix.observation.missing import ObservedCells
    from bayesmix.posterior.predictions import Prediction
    from bayesmix.selection.tasks import Fitter, KeptFits
    from bayesmix.sources.dask_workers import DaskEngine
    from bayesmix.sources.devices import DeviceStep, OnDevice, Portable
    from bayesmix.sources.local_workers import Local
    from bayesmix.sources.memory import ArraySource
    from bayesmix.sources.partitions_of_rows import OnChosen, PartitionedSource
    from bayesmix.starts.chain_starts import ChainStart
    from bayesmix.starts.chosen_start import SearchedStart
    from bayesmix.starts.given_starts import StartAt, StartFrom, WarmStart
    from bayesmix.starts.labelled_starts import LabelledStart
    from bayesmix.starts.named_starts import NamedStart, StartOfMany
    from bayesmix.starts.noise_starts import NoiseOfFit
    from bayesmix.starts.restricted_starts import RestrictedStart

    def _point_weights(
        weights: PointWeights, draws: WeightDraws, twin: PointTwin, prior: FreeWeights
    ) -> None:
        _weights: WeightsOf[WeightDraws] = weights
        _draws: DrawnWeights = draws
        _twin: WeightsTwinOf[WeightDraws] = twin
        _at_a_point: WeightsAtAPoint = weights
        _prior: WeightsPriorOf[PointWeights, PointWeights, WeightDraws] = prior

    def _groups(counts: GroupCounts) -> None:
        _sums: AllocationSums = counts

    def _dirichlet(weights: Dirichlet, twin: DirichletTwin, prior: DirichletPrior) -> None:
        _weights: FactorisedWeightsOf[WeightDraws] = weights
        _twin: WeightsTwinOf[WeightDraws] = twin
        _prior: WeightsPriorOf[Dirichlet, PointWeights, WeightDraws] = prior

    def _stick_breaking(
        weights: StickBreaking, draws: StickDraws, twin: StickTwin, prior: StickBreakingPrior
    ) -> None:
        _weights: WeightsOf[StickDraws] = weights
        _draws: DrawnWeights = draws
        _twin: WeightsTwinOf[StickDraws] = twin
        _prior: OrderedWeightsPriorOf[StickBreaking, PointWeights, StickDraws] = prior

    def _engine(
        likelihood: MaximumLikelihood,
        mode: MaximumAPosteriori,
        bound: VariationalBayes,
        aitken: Aitken,
        change: Change,
    ) -> None:
        _objective: Objective = likelihood
        _bayesian: Bayesian = mode
        _bayesian = bound
        _rule: Stopping = aitken
        _rule = change

    def _arithmetics(centred: Centred, linear: Linear, seen: ObservedCells) -> None:
        _arithmetic: Arithmetic = centred
        _arithmetic = linear
        _arithmetic = seen

    def _observations(complete: Complete, missing: MissingCells, measured: Instrument) -> None:
        _observation: Observation = complete
        _observation = missing
        _measurement: Measurement = measured

    def _device_step(prediction: Prediction[Array]) -> None:
        _step: DeviceStep[object] = prediction

    def _selection(
        source: SourceFitter,
        table: TableFitter,
        kept: Checkpoint,
        estimator: MixtureEstimator,
        search: MixtureSearch,
    ) -> None:
        _fitter: Fitter = source
        _fitter = table
        _kept: KeptFits = kept
        _mixture: FittedMixture = estimator
        _procedure: Procedure = search

    def _sources(
        array: ArraySource,
        source: PartitionedSource,
        local: Local,
        cluster: DaskEngine,
        task: OnChosen[int],
    ) -> None:
        _rows: InMemory = array
        _source: Partitioned = source
        _engine: Engine = local
        _engine = cluster
        _task: PartitionTask[int] = task

    from bayesmix.families import categorical, rates, successes
    from bayesmix.families.beta import Betas, BetasWithMasses
    from bayesmix.families.categorical import LevelsTwin
    from bayesmix.families.dependent_categorical import (
        DependentCategorical,
        DependentCategoricals,
        DependentDraws,
    )
    from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers, ProjectedMoments
    from bayesmix.families.factor_analytic.family import FactorAnalytic
    from bayesmix.families.floor_guard import FloorGuard
    from bayesmix.families.gamma import Gamma, Gammas
    from bayesmix.families.gaussian.collapse import GaussianGuard, GaussianMixtures
    from bayesmix.families.gaussian.draws import GaussianDraws
    from bayesmix.families.gaussian.family import Gaussian, Gaussians
    from bayesmix.families.gaussian.given_prior import GaussianPrior
    from bayesmix.families.gaussian.moments import Moments, Quadratics
    from bayesmix.families.gaussian.prior import GaussianPosterior, NormalWishart
    from bayesmix.families.gaussian.students import Students
    from bayesmix.families.gaussian_twin import GaussianTwin
    from bayesmix.families.independent.columns import NoGuard
    from bayesmix.families.independent.factors import TotalsTwin
    from bayesmix.families.independent.linear import LinearInTotals, SeenColumns, SeenTotals, Sums
    from bayesmix.families.item_response import (
        AnswerCounts,
        AnswersGiven,
        Rasch,
        RaschItems,
        TwoParameterItems,
        TwoParameterLogistic,
    )
    from bayesmix.families.product.components import (
        LinearProduct,
        ProductDraws,
        Products,
    )
    from bayesmix.families.product.family import Product, ProductGuard, Resolutions, WholeRows
    from bayesmix.families.product.layout import ProductStatistics
    from bayesmix.families.product.prior import PartPriors, ProductPrior, ProductTwin
    from bayesmix.families.rates import (
        GammaPrior,
        GammaRates,
        NegativeBinomials,
        Poisson,
        PoissonDraws,
        Poissons,
    )
    from bayesmix.families.student_t.components import StudentComponents, WeightedMoments
    from bayesmix.families.student_t.family import StudentT
    from bayesmix.families.student_t.posterior import (
        MixedStudents,
        NormalWishartFreedom,
        StudentDraws,
        StudentPosterior,
        StudentPrior,
    )
    from bayesmix.families.successes import (
        Bernoulli,
        BernoulliDraws,
        Bernoullis,
        BetaPrior,
        BetaProbabilities,
    )
    from bayesmix.families.transformed import TransformedComponents
    from bayesmix.families.weibull import Weibulls
    from bayesmix.families.zero_or import ZeroOrGammas, ZeroOrLogNormals, ZeroOrWeibulls

    def _bernoulli(
        family: Bernoulli,
        point: Bernoullis,
        posterior: BetaProbabilities,
        draws: BernoulliDraws,
        prior: BetaPrior,
    ) -> None:
        _family: FamilyOf[Sums, Bernoullis] = family
        _point: PointComponents = point
        _linear: LinearComponents = point
        _linear = posterior
        _posterior: PosteriorOf[BernoulliDraws] = posterior
        _incomplete: Incomplete = point
        _incomplete = posterior
        _filling: Filling = point
        _filling = posterior
        _draws: DrawnComponents = draws
        _prior: SeparablePriorOf[Sums, Bernoullis, BetaProbabilities, BernoulliDraws] = prior
        _choice: PriorChoiceOf[BetaPrior] = prior

    def _poisson(
        family: Poisson,
        point: Poissons,
        posterior: GammaRates,
        predictive: NegativeBinomials,
        draws: PoissonDraws,
        prior: GammaPrior,
    ) -> None:
        _family: FamilyOf[Sums, Poissons] = family
        _point: PointComponents = point
        _linear: LinearComponents = point
        _linear = posterior
        _posterior: PosteriorOf[PoissonDraws] = posterior
        _predictive: Predictive = predictive
        _draws: DrawnComponents = draws
        _prior: SeparablePriorOf[Sums, Poissons, GammaRates, PoissonDraws] = prior
        _choice: PriorChoiceOf[GammaPrior] = prior

    def _exponential(
        family: rates.Exponential,
        point: rates.Exponentials,
        posterior: rates.ExponentialRates,
        predictive: rates.Lomaxes,
        draws: rates.ExponentialDraws,
        prior: rates.ExponentialPrior,
        choice: GammaPrior,
    ) -> None:
        _family: FamilyOf[Sums, rates.Exponentials] = family
        _point: PointComponents = point
        _posterior: PosteriorOf[rates.ExponentialDraws] = posterior
        _predictive: Predictive = predictive
        _draws: DrawnComponents = draws
        _prior: SeparablePriorOf[
            Sums,
            rates.Exponentials,
            rates.ExponentialRates,
            rates.ExponentialDraws,
        ] = prior
        _choice: PriorChoiceOf[rates.ExponentialPrior] = choice

    def _binomial(
        family: successes.Binomial,
        point: successes.Binomials,
        posterior: successes.BinomialProbabilities,
        predictive: successes.BetaBinomials,
        draws: successes.BinomialDraws,
        prior: successes.BinomialPrior,
        choice: BetaPrior,
    ) -> None:
        _family: FamilyOf[Sums, successes.Binomials] = family
        _point: PointComponents = point
        _posterior: PosteriorOf[successes.BinomialDraws] = posterior
        _predictive: Predictive = predictive
        _draws: DrawnComponents = draws
        _prior: SeparablePriorOf[
            Sums, successes.Binomials, successes.BinomialProbabilities, successes.BinomialDraws
        ] = prior
        _choice: PriorChoiceOf[successes.BinomialPrior] = choice

    def _categorical(
        family: categorical.Categorical,
        point: categorical.Categoricals,
        posterior: categorical.LevelProbabilities,
        draws: categorical.CategoricalDraws,
        twin: LevelsTwin,
        prior: categorical.CategoricalPrior,
    ) -> None:
        _family: FamilyOf[Sums, categorical.Categoricals] = family
        _point: PointComponents = point
        _posterior: PosteriorOf[categorical.CategoricalDraws] = posterior
        _draws: DrawnComponents = draws
        _twin: ComponentsTwin = twin
        _prior: SeparablePriorOf[
            Sums,
            categorical.Categoricals,
            categorical.LevelProbabilities,
            categorical.CategoricalDraws,
        ] = prior
        _choice: PriorChoiceOf[categorical.CategoricalPrior] = prior

    def _dependent_categorical(
        family: DependentCategorical, point: DependentCategoricals, draws: DependentDraws
    ) -> None:
        _family: FamilyOf[Sums, DependentCategoricals] = family
        _point: PointComponents = point
        _incomplete: Incomplete = point
        _filling: Filling = point
        _draws: DrawnComponents = draws

    def _item_response(
        rasch: Rasch,
        two: TwoParameterLogistic,
        statistics: AnswerCounts,
        point: RaschItems | TwoParameterItems,
        given: AnswersGiven,
    ) -> None:
        _family: FamilyOf[AnswerCounts, RaschItems] = rasch
        _other: FamilyOf[AnswerCounts, TwoParameterItems] = two
        _statistics: Statistics = statistics
        _point: PointComponents = point
        _incomplete: Incomplete = point
        _filling: Filling = point
        _predictive: Predictive = given

    def _independent_columns(
        statistics: Sums,
        linear: LinearInTotals,
        twin: TotalsTwin,
        guard: NoGuard,
        seen: SeenColumns,
        seen_totals: SeenTotals,
    ) -> None:
        _statistics: Statistics = statistics
        _linear: CompletingOf[Sums] = linear
        _components: LinearComponents = linear
        _incomplete: Incomplete = seen
        _incomplete = seen_totals
        _twin: ComponentsTwin = twin
        _guard: Guard = guard

    def _product(
        family: Product,
        statistics: ProductStatistics,
        linear: LinearProduct,
        components: Products,
        draws: ProductDraws,
        prior: PartPriors,
        choice: ProductPrior,
        guard: ProductGuard,
        whole: WholeRows,
        resolution: Resolutions,
        twin: ProductTwin,
    ) -> None:
        _resolution: Resolved = resolution
        _twin: ComponentsTwinOf[ProductDraws] = twin
        _family: FamilyOf[ProductStatistics, Products] = family
        _statistics: Statistics = statistics
        _linear: CompletingOf[ProductStatistics] = linear
        _incomplete: Incomplete = components
        _filling: Filling = components
        _point: PointComponents = components
        _posterior: PosteriorOf[ProductDraws] = components
        _far: FarDensities = components
        _draws: DrawnComponents = draws
        _prior: SeparablePriorOf[ProductStatistics, Products, Products, ProductDraws] = prior
        _choice: PriorChoiceOf[PartPriors] = choice
        _guard: Guard = guard
        _whole: Whole = whole

    def _one_column(
        normals: Gaussians,
        students: StudentComponents,
        transformed: TransformedComponents,
        exponentials: rates.Exponentials,
        positive: Gammas | Weibulls,
        shares: Betas | BetasWithMasses,
        zeros: ZeroOrGammas | ZeroOrLogNormals | ZeroOrWeibulls,
        product: Products,
    ) -> None:
        _column: OfOneColumn = normals
        _column = students
        _column = transformed
        _column = exponentials
        _column = positive
        _column = shares
        _column = zeros
        _column = product

    def _gaussian(
        family: Gaussian,
        statistics: Moments,
        linear: Quadratics,
        point: Gaussians,
        posterior: GaussianPosterior,
        predictive: Students,
        draws: GaussianDraws,
        twin: GaussianTwin,
        prior: NormalWishart,
        choice: GaussianPrior,
        guard: GaussianGuard,
    ) -> None:
        _family: FamilyOf[Moments, Gaussians] = family
        _statistics: Statistics = statistics
        _components: LinearComponents = linear
        _components = point
        _components = posterior
        _by_pattern: ByPatternOf[Moments] = linear
        _along: AlongSubspace = linear
        _portable: Portable = linear
        _portable = point
        _portable = posterior
        _on_device: OnDevice = linear.on_device
        _incomplete: Incomplete = point
        _incomplete = posterior
        _incomplete = predictive
        _filling: Filling = point
        _in_subspace: tuple[InSubspace, InSubspace] = (point, predictive)
        _filling = posterior
        _point: PointComponents = point
        _posterior: PosteriorOf[GaussianDraws] = posterior
        _predictive: Predictive = predictive
        _far: FarDensities = point
        _far = posterior
        _far = predictive
        _draws: DrawnComponents = draws
        _twin: ComponentsTwinOf[GaussianDraws] = twin
        _prior: SeparablePriorOf[Moments, Gaussians, GaussianPosterior, GaussianDraws] = prior
        _choice: PriorChoiceOf[NormalWishart] = choice
        _guard: GuardOf[GaussianMixtures] = guard

    def _factor_analytic(
        family: FactorAnalytic,
        statistics: ProjectedMoments,
        point: FactorAnalysers,
        guard: FloorGuard[FactorAnalysers],
    ) -> None:
        _family: FamilyOf[ProjectedMoments, FactorAnalysers] = family
        _statistics: Statistics = statistics
        _point: PointComponents = point
        _far: FarDensities = point
        _guard: Guard = guard

    def _gamma(family: Gamma, point: Gammas, draws: BootstrapDraws[Gammas]) -> None:
        _draws: DrawnComponents = draws
        _family: FamilyOf[Sums, Gammas] = family
        _point: PointComponents = point

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
        _posterior: PosteriorOf[StudentDraws] = posterior
        _predictive: Predictive = predictive
        _draws: DrawnComponents = draws
        _prior: PriorOf[WeightedMoments, StudentComponents, StudentPosterior, StudentDraws]
        _prior = prior
        _choice: PriorChoiceOf[NormalWishartFreedom] = choice
        _family: FamilyOf[WeightedMoments, StudentComponents] = family
        _statistics: Statistics = statistics
        _point: PointComponents = point
        _far: FarDensities = point
        _far = posterior
        _far = predictive

    def _starts(noise: NoiseOfFit, chain: ChainStart, mixture: StartAt, shares: StartFrom) -> None:
        _starts: tuple[Start, ...] = (noise, chain, mixture, shares, WarmStart(mixture))
        _starts = (SearchedStart(True), NamedStart("kmeans"), StartOfMany())
        _starts = (LabelledStart(), RestrictedStart())
        _noise: GivenNoise = noise
