"""Conversion of fitted mixtures to JSON with arrays, and back, for listed types only.

Files do not name code to run. A record is a name from ``RECORDS`` with values of its fields, whose
types are checked against the class's annotations before it is created.

A fitted mixture as records and arrays, and back.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from bayesmix.allocation.adapted_weights import AdaptedWeights, SteppedWeights
from bayesmix.allocation.chain import DirichletChain, DirichletChainPrior, MarkovChain
from bayesmix.allocation.designs import CodedColumn, Standardised, TimeColumns
from bayesmix.allocation.dirichlet import Dirichlet, DirichletPrior
from bayesmix.allocation.formulas import FormulaDesign
from bayesmix.allocation.gate import Gate, GatePrior
from bayesmix.allocation.gated_chain import (
    CovariateChain,
    CovariateChainPrior,
    GatedChain,
    GatedChainPrior,
)
from bayesmix.allocation.noise import Noise, UniformNoise, WithNoise
from bayesmix.allocation.outcome_rows import OutcomeColumns
from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.allocation.stick_breaking import StickBreaking, StickBreakingPrior
from bayesmix.allocation.timed_chain import Elapsed, TimedChain, TimedChainPrior
from bayesmix.allocation.timed_covariate_chain import (
    TimedCovariateChain,
    TimedCovariateChainPrior,
)
from bayesmix.core import (
    components,
    engines,
    families,
    measurement,
    priors,
    protocols,
    sources,
)
from bayesmix.core.entries import estimator_class
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import NOT_NEGATIVE, POSITIVE, REAL, Domain, declared
from bayesmix.core.protocols import NoiseDensity
from bayesmix.core.restrictions import HeldValues, Restriction
from bayesmix.core.rows import Event, Frame, SideInformation
from bayesmix.em import model, under_a_prior
from bayesmix.em.restricted import Restricted
from bayesmix.em.result import DensitySums, FitResult, SearchRecord
from bayesmix.errors import BayesmixWarning, DamagedFileError, UnsupportedError, warn
from bayesmix.families import transformed
from bayesmix.families.bayesian_regression import (
    BayesianRegressionFamily,
    RegressionPosterior,
    RegressionPrior,
)
from bayesmix.families.coding import Coding, Mass
from bayesmix.families.gaussian.covariance.diagonal import AXES
from bayesmix.families.gaussian.covariance.models import DENSE, STRUCTURES
from bayesmix.families.independent.linear import Sums
from bayesmix.families.monotone import LOG, Logarithms
from bayesmix.families.random_effects import (
    EffectCovariance,
    RandomEffectFamily,
    RandomEffectRegressions,
    RandomEffects,
)
from bayesmix.families.registry import saved_records
from bayesmix.families.regressions import RegressionFamily, Regressions
from bayesmix.families.residual_structure import OfSteps, OfTime, ResidualStructure
from bayesmix.families.several_outcomes import SeveralOutcomes
from bayesmix.families.trajectory_responses import (
    RESPONSES,
    CensoredNormalResponse,
    OrdinalResponse,
    ZeroInflatedPoissonResponse,
)
from bayesmix.io.container import Bits, storable
from bayesmix.selection.answer import Answer
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.clusters import Hierarchy, Join
from bayesmix.selection.scores import HeldOut, Score
from bayesmix.sources.streaming import BatchSums, NamedBatches, Stream

# Frozen dataclasses, saved field by field; names in files never change.
RECORDS: dict[str, type] = {
    record.__name__: record
    for record in (
        *(FitResult, SearchRecord, Event, Mixture, Frame, Coding, Mass, Score, HeldOut),
        *(PointWeights, FreeWeights, Dirichlet, DirichletPrior, StickBreaking, StickBreakingPrior),
        *(MarkovChain, DirichletChain, DirichletChainPrior, Gate, GatePrior),
        *(GatedChain, GatedChainPrior, CovariateChain, CovariateChainPrior),
        *(Elapsed, TimedChain, TimedChainPrior),
        *(TimedCovariateChain, TimedCovariateChainPrior),
        *(model.MaximumLikelihood, under_a_prior.MaximumAPosteriori),
        *(under_a_prior.VariationalBayes, WithNoise, Noise, UniformNoise),
        *(Restricted, Restriction, HeldValues, AdaptedWeights, SteppedWeights),
        *(Stream, NamedBatches, BatchSums, SideInformation, Standardised),
        *(TimeColumns, CodedColumn, FormulaDesign),
        *(Regressions, RegressionFamily, RegressionPrior, RegressionPosterior),
        BayesianRegressionFamily,
        *(RandomEffects, RandomEffectFamily, RandomEffectRegressions),
        *(EffectCovariance, ResidualStructure, OfSteps, OfTime),
        *(CensoredNormalResponse, OrdinalResponse, ZeroInflatedPoissonResponse),
        *(SeveralOutcomes, OutcomeColumns),
    )
}
RECORDS |= {"Hierarchy": Hierarchy, "Join": Join, "Answer": Answer}
RECORDS["Sums"] = DensitySums
RECORDS["Row"] = Candidate  # name in files
RECORDS["Totals"] = Sums
RECORDS |= {record.__name__: record for record in saved_records()}

# Records of version 0.2.0 that were replaced, built from their fields.
REPLACED: dict[str, Callable[..., object]] = {
    "LogNormal": transformed.LogNormal,
    "LogNormals": lambda normals: transformed.TransformedComponents(LOG, normals),
    "LogNormalPosterior": lambda normals: transformed.TransformedComponents(LOG, normals),
    "LogNormalGamma": lambda normals: transformed.TransformedPrior(LOG, normals),
    "LogNormalPrior": transformed.LogNormalPrior,
}

# Domains of the numbers in a fit's arrays: invalid values give NaN results. Infinity is never
# allowed.
DOMAINS: dict[str, Domain] = {
    **dict.fromkeys(
        (
            *("HeldValues.values", "HeldValues.held", "HeldValues.groups"),
            *("HeldValues.columns", "HeldValues.cells"),
            *("Frame.centre", "Frame.basis", "Frame.flat", "Standardised.centre"),
            *("UniformNoise.origin", "UniformNoise.lower", "UniformNoise.upper"),
            *("UniformNoise.axes", "Totals.totals", "BatchSums.entropies"),
            *("Gate.coefficients", "GatePrior.moments", "Regressions.coefficients"),
            *("RegressionPosterior.means", "RegressionPosterior.precisions"),
            *("RandomEffects.matrix", "RandomEffects.back", "RandomEffectFamily.effects"),
            *("RandomEffectFamily.origin", "RandomEffectRegressions.coefficients"),
            *("RandomEffectFamily.time", "ResidualStructure.times", "ResidualStructure.unknowns"),
            *("RandomEffectRegressions.covariances", "TimedChain.rates"),
            *("TimedCovariateChain.log_rates", "TimedCovariateChain.allowed", "Elapsed.exact"),
        ),
        REAL,
    ),
    **dict.fromkeys(
        (
            *("FitResult.counts", "FitResult.hard_counts", "BatchSums.hard_counts"),
            *("PointWeights.probabilities", "MarkovChain.initial", "MarkovChain.transition"),
            *("HeldValues.counted", "AdaptedWeights.weights", "SteppedWeights.probabilities"),
            *("Totals.counts", "Gate.shares", "Gate.precisions", "GatePrior.precisions"),
            *("GatedChain.transition", "TimedChain.initial", "Elapsed.distinct", "Elapsed.codes"),
            *("Regressions.dispersion", "RegressionFamily.fixed", "RandomEffectFamily.fixed"),
            "RandomEffectRegressions.dispersion",
        ),
        NOT_NEGATIVE,
    ),
    **dict.fromkeys(
        (
            *("Frame.scale", "Standardised.scale", "Dirichlet.concentration"),
            *("DirichletChain.initial", "DirichletChain.transitions"),
            *("StickBreaking.first", "StickBreaking.rest"),
            *("RegressionPosterior.shape", "RegressionPosterior.rate"),
        ),
        POSITIVE,
    ),
    **{f"SideInformation.{name}": REAL for name in ("labels", "begins", "covariates", "order")},
    **{
        f"{name}.{own.field}": own.domain
        for name, record in RECORDS.items()
        for own in declared(record)
    },
}

# Parameters of estimators and fields of records of version 0.2.0 that were removed.
REMOVED = {"checkpoint", "StudentPosterior.renewed"}

# Objects without state, saved by name.
NAMED: dict[str, object] = {
    "dense": DENSE,
    "axes": AXES,
    **{f"covariance {name}": structure for name, structure in STRUCTURES.items()},
    **{
        f"response {name}": response
        for name, response in RESPONSES.items()
        if type(response) not in RECORDS.values()
    },
}
NAMES = {value: name for name, value in NAMED.items()}
NAMED_TYPES = {type(value) for value in NAMES}
# Annotations that are not runtime types.
PROTOCOLS: dict[str, object] = {
    name: value
    for module in (components, engines, families, measurement, priors, protocols, sources)
    for name, value in vars(module).items()
}
PROTOCOLS |= {"Mixture": Mixture, "Stream": Stream, "Noise": Noise, "NoiseDensity": NoiseDensity}
PROTOCOLS |= {"Coding": Coding, "Standardised": Standardised, "Logarithms": Logarithms}
PROTOCOLS |= {"Dense": type(DENSE), "Axes": type(AXES)}
RECORD_NAMES = {record: name for name, record in RECORDS.items()}


Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


class Writer:
    """Converts values to JSON and collects arrays."""

    def __init__(self) -> None:
        self.arrays: list[Bits] = []

    def value(self, value: Any) -> Json:
        """Return JSON for a value; raise ``UnsupportedError`` for other types."""
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if kind is list:
            return [self.value(each) for each in value]
        if kind is tuple:
            return {"tuple": [self.value(each) for each in value]}
        if kind is dict and all(type(key) is str for key in value):
            return {"dict": {key: self.value(each) for key, each in value.items()}}
        if kind is dict and all(type(key) is int for key in value):
            return {"numbered": [[key, self.value(each)] for key, each in value.items()]}
        if kind in NAMED_TYPES:
            return {"named": NAMES[value]}
        if kind in RECORD_NAMES:
            name = RECORD_NAMES[kind]
            return {"record": name, "fields": self._fields(name, value)}
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value))}
        if hasattr(value, "__array__"):
            return {"array": self._array(np.asarray(value))}
        raise UnsupportedError(
            f"{kind.__name__} cannot be saved, only what the package lists (families in "
            "bayesmix/families/registry.py): use pickle"
        )

    def _fields(self, name: str, record: object) -> dict[str, Json]:
        fields = {}
        for key, hint in _hints(name).items():
            value = getattr(record, key)
            # Raise this now, not when the file is read and the model is gone.
            if not fits(value, hint):
                raise UnsupportedError(
                    f"{name}.{key} should be {_said(hint)} and is {type(value).__name__}"
                )
            fields[key] = self.value(value)
        return fields

    def _array(self, array: Bits) -> int:
        if not storable(array):
            raise UnsupportedError(f"an array of {array.dtype} cannot be saved, only numbers can")
        self.arrays.append(array)
        return len(self.arrays) - 1


class Reader:
    """Converts JSON and arrays of a ``Writer`` back to values."""

    def __init__(self, arrays: list[Bits]) -> None:
        self.arrays = arrays

    def value(self, value: object) -> Any:
        """Return a value; raise ``DamagedFileError`` for JSON that no ``Writer`` produces."""
        match value:
            case None | bool() | int() | float() | str():
                return value
            case list():
                return [self.value(each) for each in value]
            case {"float": "nan" | "inf" | "-inf" as number, **rest} if not rest:
                return float(number)
            case {"tuple": list(items), **rest} if not rest:
                return tuple(self.value(each) for each in items)
            case {"dict": dict(items), **rest} if not rest:
                return {key: self.value(each) for key, each in items.items()}
            case {"numbered": list(items), **rest} if not rest:
                return {int(key): self.value(each) for key, each in items}
            case {"named": str(name), **rest} if not rest:
                if name not in NAMED:
                    raise DamagedFileError(f"contains {name!r}, unknown to this bayesmix")
                return NAMED[name]
            case {"record": str(name), "fields": dict(fields), **rest} if not rest:
                return self._record(name, fields)
            case {"scalar": int(index), **rest} if not rest:
                return self._array(index)[()]
            case {"array": int(index), **rest} if not rest:
                return self._array(index)
        raise DamagedFileError(f"is damaged: it contains {str(value)[:60]} instead of a value")

    def _array(self, index: int) -> Bits:
        if not 0 <= index < len(self.arrays):
            raise DamagedFileError(f"is damaged: it contains no array {index}")
        return self.arrays[index]

    def _record(self, name: str, fields: dict[str, Json]) -> object:
        values = {
            key: self.value(each) for key, each in fields.items() if f"{name}.{key}" not in REMOVED
        }
        if name not in REPLACED:
            self._check(name, values)
        try:
            return (RECORDS | REPLACED)[name](**values)
        except (TypeError, ValueError) as problem:
            raise DamagedFileError(f"is damaged: it has no valid {name} ({problem})") from None

    def _check(self, name: str, fields: dict[str, Any]) -> None:
        if name not in RECORDS:
            raise DamagedFileError(f"contains a {name!r}, unknown to this version of bayesmix")
        hints = _hints(name)
        if unknown := sorted(fields.keys() - hints.keys()):
            raise DamagedFileError(
                f"contains a {name} with {', '.join(map(repr, unknown))}, unknown to this "
                "version of bayesmix"
            )
        for key, each in fields.items():
            if not fits(each, hints[key]):
                raise DamagedFileError(
                    f"is damaged: {name}.{key} should be {_said(hints[key])}, got "
                    f"{type(each).__name__}"
                )
            domain = DOMAINS.get(field := f"{name}.{key}")
            if domain is None or each is None:
                continue
            low, high = domain.low, domain.high
            if not bool(((each >= low) & (each <= high) & np.isfinite(each)).all()):
                raise DamagedFileError(f"is damaged: {field} has invalid values")


@cache
def _hints(name: str) -> dict[str, Any]:
    """Return the types of a record's fields, without class attributes."""
    record = RECORDS[name]
    hints = typing.get_type_hints(record, localns=PROTOCOLS)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def fits(value: object, hint: Any) -> bool:
    """Whether a value has the declared type of a field."""
    hint = _without_aliases(hint)
    origin = typing.get_origin(hint)
    if hint is Any or isinstance(hint, typing.TypeVar):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, each) for each in typing.get_args(hint))
    if origin in (tuple, list):
        item = typing.get_args(hint)[0]
        return isinstance(value, origin) and all(fits(each, item) for each in value)
    if origin is dict:
        item = typing.get_args(hint)[1]
        return isinstance(value, dict) and all(fits(each, item) for each in value.values())
    if hint in (int, float):
        numbers: Any = (int, np.integer) if hint is int else (int, float, np.number)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if getattr(hint, "_is_protocol", False):
        # Protocols describe behaviour, which the trial of the loaded model checks.
        return type(value) in RECORD_NAMES or type(value) in NAMED_TYPES
    return isinstance(value, origin or hint)


def _without_aliases(hint: Any) -> Any:
    """Return the type that a ``TypeAliasType`` stands for, and other types as they are.

    From NumPy 2.5 on, ``NDArray`` is such an alias on Pythons that have them.
    """
    alias = typing.get_origin(hint) or hint
    if not hasattr(alias, "__value__"):
        return hint
    given = dict(zip(alias.__type_params__, typing.get_args(hint), strict=False))
    value = alias.__value__
    if value in alias.__type_params__:
        value = given.get(value, Any)
    elif open_parameters := getattr(value, "__parameters__", ()):
        value = value[tuple(given.get(each, Any) for each in open_parameters)]
    return _without_aliases(value)


def _said(hint: Any) -> str:
    if getattr(hint, "_is_protocol", False):
        hint = typing.get_origin(hint) or hint
    return hint.__name__ if isinstance(hint, type) else str(hint)


# A file names the class of an estimator, which is in a higher level.
ESTIMATORS = (
    *("GaussianMixture", "BayesianGaussianMixture", "Mixture", "HiddenMarkovModel"),
    "RegressionMixture",
)
SAVED = {*ESTIMATORS, "MixtureSearch", "MixtureClassifier"}
# Their fits have no ``FitResult``; they hold their data, which standard errors need.
REGRESSIONS = ("RegressionMixture",)


def described(model: Any, writer: Writer) -> dict[str, Json]:
    """Describe a fitted mixture: class, parameters, feature names, result."""
    name = class_name(model)
    regression = name in REGRESSIONS
    if not hasattr(model, "log_likelihood_" if regression else "result_"):
        raise UnsupportedError(f"this {name} is not fitted: call fit before save")
    return {
        "class": name,
        "parameters": parameters(model, writer, None if regression else model.result_.seed),
        "features": list(map(str, getattr(model, "feature_names_in_", ()))),
        "result": writer.value(model.to_record() if regression else model.result_),
    }


def class_name(model: Any) -> str:
    """Return the class name of a mixture; raise ``UnsupportedError`` for other classes."""
    name = type(model).__name__
    if name in ESTIMATORS and type(model) is estimator_class(name):
        return name
    raise UnsupportedError(
        f"only {', '.join(ESTIMATORS)} and a MixtureSearch of them can be saved, got "
        f"{type(model).__module__}.{name}"
    )


def parameters(model: Any, writer: Writer, seed: int | None) -> dict[str, Json]:
    """Return constructor parameters; generators become seeds, functions become defaults."""
    saved = {}
    defaults = type(model)().get_params(deep=False)
    for name, value in model.get_params(deep=False).items():
        if isinstance(value, np.random.Generator | np.random.RandomState):
            value = seed
        elif isinstance(value, range):
            value = tuple(value)
        elif callable(value):
            value = defaults[name]
            warn(
                f"{name} is a function and is not saved: the loaded model has {name}={value!r}",
                BayesmixWarning,
            )
        try:
            saved[name] = writer.value(value)
        except UnsupportedError as problem:
            raise UnsupportedError(f"{name} cannot be saved: {problem}") from None
    return saved


def restored(described: dict[str, Any], reader: Reader) -> Any:
    """Return the fitted mixture of a description."""
    model = unfitted(described, reader)
    result, features = reader.value(described["result"]), described["features"]
    if described["class"] not in REGRESSIONS:
        adopt(model, result, features)
        return model
    try:
        model.from_record(result)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise DamagedFileError(f"is damaged: it has no regressions ({problem!r:.100})") from None
    if features:
        model.feature_names_in_ = np.array(features, dtype=object)
    return model


def unfitted(described: dict[str, Any], reader: Reader) -> Any:
    """Return the unfitted estimator of a description."""
    name = described["class"]
    if name not in SAVED:
        raise DamagedFileError(f"contains a {name!r}, unknown to this version of bayesmix")
    kind = estimator_class(name)
    values = {name: reader.value(value) for name, value in described["parameters"].items()}
    known = kind().get_params(deep=False).keys()
    values = {name: value for name, value in values.items() if name in known or name not in REMOVED}
    if unknown := sorted(values.keys() - known):
        raise DamagedFileError(
            f"contains a {name} with {', '.join(map(repr, unknown))}, unknown to this version of "
            "bayesmix"
        )
    return kind(**values)


def adopt(model: Any, result: object, features: list[str]) -> None:
    """Make an estimator fitted; raise ``DamagedFileError`` for an inconsistent result."""
    result = _checked(result, features)
    model._adopt(result)
    if features:
        model.feature_names_in_ = np.array(features, dtype=object)
    # Predict one sample, so that inconsistent parts raise an error here; it may be impossible.
    trial = result.mixture.frame.centre[None]
    shares = result.n_components + (result.mixture.noise is not None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)
        found = result.shares(trial), result.responsibilities(trial)
    if result.log_density(trial).shape != (1,) or any(each.shape != (1, shares) for each in found):
        raise DamagedFileError("is damaged: its parts do not fit together")


def _checked(result: object, features: list[str]) -> FitResult:
    """Return a result whose sizes agree."""
    if not isinstance(result, FitResult):
        raise DamagedFileError("is damaged: it contains no result")
    if not fits(features, list[str]) or len(features) not in (0, result.n_features):
        raise DamagedFileError(f"is damaged: it has {result.n_features} features, named {features}")
    K, D, directions = result.n_components, result.n_features, result.mixture.frame.n_directions
    sizes = {
        "components": (result.mixture.components.means.shape, (K, directions)),
        "weights": (result.mixture.weights.mean().shape, (K,)),
        "centre": (result.mixture.frame.centre.shape, (D,)),
        "scale": (result.mixture.frame.scale.shape, (D,)),
        "counts": (result.counts.shape, (K,)),
        "hard counts": (result.hard_counts.shape, (K,)),
    }
    if isinstance(result.stream, Stream):
        total = result.stream.total
        sizes["sums"] = (total.statistics.counts.shape, (K,))
        sizes["entropies"] = (total.entropies.shape, (K,))
    for part, (found, expected) in sizes.items():
        if found != expected:
            raise DamagedFileError(
                f"is damaged: its {part} should have the shape {expected} and have {found}"
            )
    return result
