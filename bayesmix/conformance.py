"""Which class keeps which protocol: read by the type checker, and by nobody else.

A method of a protocol that a class loses, or has in another shape, is an error here, whoever would
have called it. A new source or prior of weights takes its place below, a new family or covariance
model in ``families.conformance``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesmix import protocols as p
    from bayesmix.engine.expectation import (
        Arithmetic,
        Assessment,
        AssessmentStep,
        Centred,
        ExpectationStep,
        Linear,
    )
    from bayesmix.engine.gapped_step import Seen
    from bayesmix.engine.objectives import MaximumAPosteriori, MaximumLikelihood, VariationalBayes
    from bayesmix.engine.stopping import Aitken, Change
    from bayesmix.estimators.base import MixtureEstimator
    from bayesmix.estimators.candidates.fitters import SourceFitter, TableFitter
    from bayesmix.estimators.search import MixtureSearch
    from bayesmix.io.saved.checkpoint import Checkpoint
    from bayesmix.io.saved.passes import Passes
    from bayesmix.records import ChunkSums
    from bayesmix.report.chosen import Search
    from bayesmix.selection.candidates.fitter import Fitter
    from bayesmix.selection.candidates.task import KeptFits
    from bayesmix.sources.in_memory.array import ArraySource, KeptHere
    from bayesmix.sources.partitions.partitioned import OnChosen, PartitionedSource
    from bayesmix.sources.workers.cluster import DaskEngine, KeptThere
    from bayesmix.sources.workers.local import KeptParts, Local
    from bayesmix.weights.dirichlet import Dirichlet, DirichletPrior, DirichletTwin
    from bayesmix.weights.point import FreeWeights, PointTwin, PointWeights, WeightDraws
    from bayesmix.weights.stick_breaking import (
        StickBreaking,
        StickBreakingPrior,
        StickDraws,
        StickTwin,
    )

    def _point_weights(
        weights: PointWeights, draws: WeightDraws, twin: PointTwin, prior: FreeWeights
    ) -> None:
        _weights: p.WeightsOf[WeightDraws] = weights
        _draws: p.DrawnWeights = draws
        _twin: p.WeightsTwinOf[WeightDraws] = twin
        _at_a_point: p.WeightsAtAPoint = weights
        _prior: p.WeightsPriorOf[PointWeights, PointWeights, WeightDraws] = prior

    def _dirichlet(weights: Dirichlet, twin: DirichletTwin, prior: DirichletPrior) -> None:
        _weights: p.FactorisedWeightsOf[WeightDraws] = weights
        _twin: p.WeightsTwinOf[WeightDraws] = twin
        _prior: p.WeightsPriorOf[Dirichlet, PointWeights, WeightDraws] = prior

    def _stick_breaking(
        weights: StickBreaking, draws: StickDraws, twin: StickTwin, prior: StickBreakingPrior
    ) -> None:
        _weights: p.VaryingWeightsOf[StickDraws] = weights
        _draws: p.DrawnWeights = draws
        _twin: p.WeightsTwinOf[StickDraws] = twin
        _prior: p.OrderedWeightsPriorOf[StickBreaking, PointWeights, StickDraws] = prior

    def _engine(
        likelihood: MaximumLikelihood,
        mode: MaximumAPosteriori,
        bound: VariationalBayes,
        aitken: Aitken,
        change: Change,
    ) -> None:
        _objective: p.Objective = likelihood
        _bayesian: p.Bayesian = mode
        _bayesian = bound
        _rule: p.Stopping = aitken
        _rule = change

    def _arithmetics(centred: Centred, linear: Linear, seen: Seen) -> None:
        _arithmetic: Arithmetic = centred
        _arithmetic = linear
        _arithmetic = seen

    def _device_steps(passes: ExpectationStep, assessment: AssessmentStep) -> None:
        _step: p.DeviceStep[ChunkSums] = passes
        _assessed: p.DeviceStep[Assessment] = assessment

    def _selection(
        source: SourceFitter,
        table: TableFitter,
        kept: Checkpoint,
        passes: Passes,
        estimator: MixtureEstimator,
        search: MixtureSearch,
    ) -> None:
        _fitter: Fitter = source
        _fitter = table
        _kept: KeptFits = kept
        _passes: p.PassesKept = passes
        _mixture: p.FittedMixture = estimator
        _search: Search = search
        _procedure: p.Procedure = search

    def _sources(
        array: ArraySource,
        here: KeptHere,
        source: PartitionedSource,
        local: Local,
        cluster: DaskEngine,
        kept: KeptParts,
        there: KeptThere,
        task: OnChosen[int],
    ) -> None:
        _rows: p.InMemory = array
        _source: p.Source = source
        _engine: p.Engine = local
        _engine = cluster
        _task: p.PartitionTask[int] = task
        _left: p.Kept = here
        _left = kept
        _left = there
