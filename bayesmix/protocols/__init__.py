"""L1: the vocabulary of the core, as protocols.

A mixture is fitted by one loop: rows -> expected log density -> responsibilities -> statistics ->
ordered sum -> update. These are the nouns of that sentence that come in several kinds; DESIGN
section 3 says what each can do. The records that they exchange are in ``records``; which class is
which is in ``conformance``.
"""

from __future__ import annotations

from bayesmix.protocols.components import (
    Additive,
    CompiledCentred,
    CompiledCentredOf,
    Components,
    Coordinates,
    CoordinatesOf,
    Densities,
    DrawnComponents,
    FarDensities,
    FittedComponents,
    Linear,
    LinearComponents,
    LinearOf,
    Named,
    PointComponents,
    Posterior,
    PosteriorOf,
    Predictive,
    Statistics,
)
from bayesmix.protocols.engine import (
    Bayesian,
    Guard,
    GuardOf,
    Objective,
    Stopping,
    Whole,
)
from bayesmix.protocols.family import (
    Family,
    FamilyOf,
)
from bayesmix.protocols.outside import (
    FittedMixture,
    Parameters,
    Procedure,
    UserRows,
)
from bayesmix.protocols.partitions import (
    Engine,
    Loader,
    Part,
    Task,
)
from bayesmix.protocols.priors import (
    OrderedWeightsPrior,
    OrderedWeightsPriorOf,
    Prior,
    PriorChoice,
    PriorChoiceOf,
    PriorOf,
    WeightsPrior,
    WeightsPriorOf,
)
from bayesmix.protocols.source import (
    Chosen,
    InMemory,
    Kept,
    Source,
)
from bayesmix.protocols.twins import (
    ComponentsTwin,
    ComponentsTwinOf,
    NamedTensors,
    Pymc,
    PymcModel,
    Tensor,
    WeightsTwin,
    WeightsTwinOf,
)
from bayesmix.protocols.weights import (
    DrawnWeights,
    FactorisedWeights,
    FactorisedWeightsOf,
    VaryingWeights,
    VaryingWeightsOf,
    Weights,
    WeightsOf,
)

__all__ = [
    "Additive",
    "Bayesian",
    "Chosen",
    "CompiledCentred",
    "CompiledCentredOf",
    "Components",
    "ComponentsTwin",
    "ComponentsTwinOf",
    "Coordinates",
    "CoordinatesOf",
    "Densities",
    "DrawnComponents",
    "DrawnWeights",
    "Engine",
    "FactorisedWeights",
    "FactorisedWeightsOf",
    "Family",
    "FamilyOf",
    "FarDensities",
    "FittedComponents",
    "FittedMixture",
    "Guard",
    "GuardOf",
    "InMemory",
    "Kept",
    "Linear",
    "LinearComponents",
    "LinearOf",
    "Loader",
    "Named",
    "NamedTensors",
    "Objective",
    "OrderedWeightsPrior",
    "OrderedWeightsPriorOf",
    "Parameters",
    "Part",
    "PointComponents",
    "Posterior",
    "PosteriorOf",
    "Predictive",
    "Prior",
    "PriorChoice",
    "PriorChoiceOf",
    "PriorOf",
    "Procedure",
    "Pymc",
    "PymcModel",
    "Source",
    "Statistics",
    "Stopping",
    "Task",
    "Tensor",
    "UserRows",
    "VaryingWeights",
    "VaryingWeightsOf",
    "Weights",
    "WeightsOf",
    "WeightsPrior",
    "WeightsPriorOf",
    "WeightsTwin",
    "WeightsTwinOf",
    "Whole",
]
