"""Values as JSON with arrays beside it, and back: only the types that the tables below name.

Nothing in a file says what to call: a record is a name from ``RECORDS`` and values for its fields,
whose types are checked against the class's annotations before it is made.

A fitted mixture as records and arrays, and back.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import types
import typing
from functools import cache
from typing import Any

import numpy as np

from bayesmix.allocation.chain import (
    DirichletChain,
    DirichletChainPrior,
    FreeChain,
    MarkovChain,
)
from bayesmix.allocation.dirichlet import Dirichlet, DirichletPrior
from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.allocation.stick_breaking import StickBreaking, StickBreakingPrior
from bayesmix.core import components, engines, families, portable, priors, sources
from bayesmix.core.coding import Coding
from bayesmix.core.mixture import Mixture
from bayesmix.core.noise import Noise, NoiseDensity, UniformNoise
from bayesmix.core.rows import Event, Frame, SideInformation
from bayesmix.em import objectives
from bayesmix.em.objectives import WithNoise
from bayesmix.em.result import DensitySums, FitResult, SearchRecord
from bayesmix.em.streaming import BatchSums, NamedBatches, Stream
from bayesmix.errors import BayesmixWarning, DamagedFileError, UnsupportedError, warn
from bayesmix.families import transformed
from bayesmix.families.gaussian.covariance.dense import DENSE
from bayesmix.families.gaussian.covariance.diagonal import AXES
from bayesmix.families.gaussian.covariance.models import STRUCTURES
from bayesmix.families.independent.linear import Sums
from bayesmix.families.monotone import LOG
from bayesmix.families.registry import ANY, NOT_NEGATIVE, POSITIVE, saved_records
from bayesmix.io.container import Bits, storable
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.scores import HeldOut, Score

# Frozen dataclasses, saved field by field. A name stays what it is once files hold it.
RECORDS: dict[str, Any] = {
    record.__name__: record
    for record in (
        FitResult,
        SearchRecord,
        Event,
        Mixture,
        Frame,
        PointWeights,
        FreeWeights,
        Dirichlet,
        DirichletPrior,
        StickBreaking,
        StickBreakingPrior,
        MarkovChain,
        DirichletChain,
        FreeChain,
        DirichletChainPrior,
        objectives.MaximumLikelihood,
        objectives.MaximumAPosteriori,
        objectives.VariationalBayes,
        Coding,
        Score,
        HeldOut,
        Stream,
        NamedBatches,
        BatchSums,
        Noise,
        UniformNoise,
        WithNoise,
        SideInformation,
    )
}
RECORDS["Sums"] = DensitySums
RECORDS["Row"] = Candidate  # its name in files
RECORDS["Totals"] = Sums
RECORDS |= {name: record for name, record, _ in saved_records()}

# Records of version 0.2.0 that others have replaced, made from their fields.
REPLACED: dict[str, Any] = {
    "LogNormal": transformed.LogNormal,
    "LogNormals": lambda normals: transformed.TransformedComponents(LOG, normals),
    "LogNormalPosterior": lambda normals: transformed.TransformedComponents(LOG, normals),
    "LogNormalGamma": lambda normals: transformed.TransformedPrior(LOG, normals),
    "LogNormalPrior": transformed.LogNormalPrior,
}

# What the numbers of a fit's arrays must be: others are answered with nan. Infinite ones never are.
DOMAINS = {
    **dict.fromkeys(("Frame.centre", "Frame.basis", "Frame.flat"), ANY),
    "Frame.scale": POSITIVE,
    "PointWeights.probabilities": NOT_NEGATIVE,
    "Dirichlet.concentration": POSITIVE,
    "MarkovChain.initial": NOT_NEGATIVE,
    "MarkovChain.transition": NOT_NEGATIVE,
    "DirichletChain.initial": POSITIVE,
    "DirichletChain.transitions": POSITIVE,
    "StickBreaking.first": POSITIVE,
    "StickBreaking.rest": POSITIVE,
    "Totals.counts": NOT_NEGATIVE,
    "Totals.totals": ANY,  # of logarithms
    "BatchSums.entropies": ANY,
    "BatchSums.hard_counts": NOT_NEGATIVE,
    **dict.fromkeys((f"UniformNoise.{name}" for name in ("origin", "lower", "upper", "axes")), ANY),
    "FitResult.counts": NOT_NEGATIVE,
    "FitResult.hard_counts": NOT_NEGATIVE,
    **{f"SideInformation.{name}": ANY for name in ("labels", "begins", "covariates")},
    **{f"{name}.{key}": own for name, _, of in saved_records() for key, own in of.items()},
}

# Objects without content of their own, saved by name alone.
NAMED: dict[str, Any] = {
    "dense": DENSE,
    "axes": AXES,
    **{f"covariance {name}": structure for name, structure in STRUCTURES.items()},
}
NAMES = {value: name for name, value in NAMED.items()}
NAMED_TYPES = {type(value) for value in NAMES}
# What annotations name that is no type at run time.
PROTOCOLS: dict[str, Any] = {
    name: value
    for module in (components, engines, families, portable, priors, sources)
    for name, value in vars(module).items()
}
PROTOCOLS |= {
    "Mixture": Mixture,
    "Stream": Stream,
    "NoiseDensity": NoiseDensity,
}
RECORD_NAMES = {record: name for name, record in RECORDS.items()}


class Writer:
    """Turns values into JSON and gathers the arrays that stand beside it."""

    def __init__(self) -> None:
        self.arrays: list[Bits] = []

    def value(self, value: Any) -> Any:
        """JSON for one value; ``UnsupportedError`` for types that the tables do not name."""
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
        raise UnsupportedError(f"{kind.__name__} is not among the types that a file can hold")

    def _fields(self, name: str, record: Any) -> dict[str, Any]:
        fields = {}
        for key, hint in _hints(name).items():
            value = getattr(record, key)
            # Said here, and not when the file is read and the model is gone.
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
    """Turns the JSON of a ``Writer`` and its arrays back into values."""

    def __init__(self, arrays: list[Bits]) -> None:
        self.arrays = arrays

    def value(self, value: Any) -> Any:
        """One value; ``DamagedFileError`` for anything that a ``Writer`` would not have written."""
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
                    raise DamagedFileError(f"names {name!r}, which this bayesmix does not know")
                return NAMED[name]
            case {"record": str(name), "fields": dict(fields), **rest} if not rest:
                return self._record(name, fields)
            case {"scalar": int(index), **rest} if not rest:
                return self._array(index)[()]
            case {"array": int(index), **rest} if not rest:
                return self._array(index)
        raise DamagedFileError(f"is damaged: it holds {str(value)[:60]} where a value should be")

    def _array(self, index: int) -> Any:
        if not 0 <= index < len(self.arrays):
            raise DamagedFileError(f"is damaged: it holds no array {index}")
        return self.arrays[index]

    def _record(self, name: str, fields: dict[str, Any]) -> Any:
        if name in REPLACED:
            values = {key: self.value(each) for key, each in fields.items()}
            try:
                return REPLACED[name](**values)
            except TypeError as problem:
                raise DamagedFileError(f"is damaged: it holds no {name} ({problem})") from None
        if name not in RECORDS:
            raise DamagedFileError(f"holds a {name!r}, which this bayesmix does not know")
        hints = _hints(name)
        if unknown := sorted(fields.keys() - hints.keys()):
            raise DamagedFileError(
                f"holds a {name} with {', '.join(map(repr, unknown))}, which this bayesmix does "
                "not know"
            )
        values = {key: self.value(each) for key, each in fields.items()}
        for key, each in values.items():
            if not fits(each, hints[key]):
                raise DamagedFileError(
                    f"is damaged: {name}.{key} should be {_said(hints[key])} and is "
                    f"{type(each).__name__}"
                )
            _check_domain(f"{name}.{key}", each)
        try:
            return RECORDS[name](**values)
        except (TypeError, ValueError) as problem:
            raise DamagedFileError(f"is damaged: it holds no {name} ({problem})") from None


def _check_domain(field: str, value: Any) -> None:
    if field not in DOMAINS or value is None:
        return
    least, most = DOMAINS[field]
    if not bool(((value >= least) & (value <= most) & np.isfinite(value)).all()):
        raise DamagedFileError(f"is damaged: {field} holds numbers that it cannot have")


@cache
def _hints(name: str) -> dict[str, Any]:
    """Types of a record's fields; class attributes that are no fields are left out."""
    record = RECORDS[name]
    hints = typing.get_type_hints(record, localns=PROTOCOLS)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that a field declares."""
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
        # What a protocol promises is behaviour; the trial of the loaded model sees to that.
        return type(value) in RECORD_NAMES or type(value) in NAMED_TYPES
    return isinstance(value, origin or hint)


def _said(hint: Any) -> str:
    if getattr(hint, "_is_protocol", False):
        hint = typing.get_origin(hint) or hint
    return hint.__name__ if isinstance(hint, type) else str(hint)


# Estimators lie above this layer: the file names the class, and its home is looked up here.
ESTIMATORS = {
    "GaussianMixture": "bayesmix.estimators.gaussian",
    "BayesianGaussianMixture": "bayesmix.estimators.bayesian",
    "Mixture": "bayesmix.estimators.mixture",
    "HiddenMarkovModel": "bayesmix.estimators.hidden_markov_model",
}


def described(model: Any, writer: Writer) -> dict[str, Any]:
    """A fitted mixture: its class, its parameters, the names of its columns, its result."""
    name = class_name(model)
    if not hasattr(model, "result_"):
        raise UnsupportedError(f"this {name} is not fitted yet: fit it before saving it")
    return {
        "class": name,
        "parameters": parameters(model, writer, model.result_.seed),
        "features": list(map(str, getattr(model, "feature_names_in_", ()))),
        "result": writer.value(model.result_),
    }


def class_name(model: Any) -> str:
    """The name of a class of mixtures; ``UnsupportedError`` for others."""
    name = type(model).__name__
    if ESTIMATORS.get(name) == type(model).__module__:
        return name
    raise UnsupportedError(
        f"only {', '.join(ESTIMATORS)} and a MixtureSearch of them can be saved, got "
        f"{type(model).__module__}.{name}"
    )


def parameters(model: Any, writer: Writer, seed: int | None) -> dict[str, Any]:
    """Constructor parameters: a generator becomes its seed, and a function the default, aloud."""
    saved = {}
    defaults = type(model)().get_params(deep=False)
    for name, value in model.get_params(deep=False).items():
        if isinstance(value, np.random.Generator | np.random.RandomState):
            value = seed
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
    """The fitted mixture that was described."""
    model = unfitted(described, reader)
    adopt(model, reader.value(described["result"]), described["features"])
    return model


def unfitted(described: dict[str, Any], reader: Reader) -> Any:
    """The estimator with the parameters that were described."""
    name = described["class"]
    if name not in ESTIMATORS:
        raise DamagedFileError(f"holds a {name!r}, which this bayesmix does not know")
    return made(getattr(importlib.import_module(ESTIMATORS[name]), name), described, reader)


def made(kind: Any, described: dict[str, Any], reader: Reader) -> Any:
    """An estimator of this class with the parameters that were described."""
    values = {name: reader.value(value) for name, value in described["parameters"].items()}
    if unknown := sorted(values.keys() - kind().get_params(deep=False).keys()):
        raise DamagedFileError(
            f"holds a {kind.__name__} with {', '.join(map(repr, unknown))}, which this bayesmix "
            "does not know"
        )
    return kind(**values)


def adopt(model: Any, result: Any, features: Any) -> None:
    """Make an estimator a fitted one; ``DamagedFileError`` for a result that does not hold up."""
    _check(result, features)
    model._adopt(result)
    if features:
        model.feature_names_in_ = np.array(features, dtype=object)
    # A trial row: what does not fit together fails here, not in the user's hands.
    trial = result.mixture.frame.centre[None]
    shares = result.n_components + (result.mixture.noise is not None)
    if (
        result.log_density(trial).shape != (1,)
        or result.probabilities(trial).shape != (1, shares)
        or result.responsibilities(trial).shape != (1, shares)
    ):
        raise DamagedFileError("is damaged: its parts do not fit together")


def _check(result: Any, features: Any) -> None:
    """The sizes that must agree, before anything is computed with them."""
    if not isinstance(result, FitResult):
        raise DamagedFileError("is damaged: it holds no result")
    if not fits(features, list[str]) or len(features) not in (0, result.n_features):
        raise DamagedFileError(f"is damaged: it has {result.n_features} features, named {features}")
    K, D = result.n_components, result.n_features
    sizes = {
        "components": (result.mixture.components.means.shape, (K, D)),
        "weights": (result.mixture.weights.mean().shape, (K,)),
        "centre": (result.mixture.frame.centre.shape, (D,)),
        "scale": (result.mixture.frame.scale.shape, (D,)),
        "counts": (result.counts.shape, (K,)),
        "hard counts": (result.hard_counts.shape, (K,)),
    }
    if result.stream is not None:
        total = result.stream.total
        sizes["sums"] = (total.statistics.counts.shape, (K,))
        sizes["entropies"] = (total.entropies.shape, (K,))
    for part, (found, expected) in sizes.items():
        if found != expected:
            raise DamagedFileError(
                f"is damaged: its {part} should have the shape {expected} and have {found}"
            )
