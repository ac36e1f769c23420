"""Data of a fit of regressions from frames: indicators, designs, responses and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from bayesmix.allocation.designs import (
    CodedColumn,
    Standardised,
    columns_of,
    indicator_names,
    row_label,
)
from bayesmix.allocation.timed_chain import Elapsed
from bayesmix.core import validation
from bayesmix.core.rows import SideInformation
from bayesmix.data.coded_frames import looked_at
from bayesmix.em.model import MaximumLikelihood
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.estimators.inputs.constraints import group_codes, of_samples, unequal
from bayesmix.estimators.inputs.held_parameters import held_coefficients
from bayesmix.families.coding import Coding
from bayesmix.families.regressions import RegressionFamily, Response
from bayesmix.families.several_outcomes import SeveralOutcomes
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.regressions import regression_data
from bayesmix.regressions.random_effect_data import COVARIANCES, RandomEffectData
from bayesmix.regressions.regression_data import Data, arranged
from bayesmix.sequences.sequence_data import (
    EFFECTS,
    chain_prior,
    elapsed_times,
    starts_of_sequences,
)
from bayesmix.sources.memory import ArraySource, is_collection, is_source
from bayesmix.sources.sample_weights import row_weights

# Smallest standard deviation of a residual, in that of the response.
RELATIVE_FLOOR = 1e-4
# Levels of an ordinal response, whose probabilities are kept for each row and component.
MOST_LEVELS = 50
# Rows of a response by which its kind is guessed.
MOST_LOOKED_AT = 100_000
# Residual variances of components; None: shared with random effects, free otherwise.
VARIANCES = (None, "shared", "free", "time", "free_time")
# Responses of a kind that another distribution suits.
SUITABLE = {"counts": "poisson", "categorical": "binomial"}


def explanatory(X: Any, columns: Any) -> Coding | None:
    """Return what the columns of a frame are, as decided before or now; None for other data."""
    if isinstance(columns, Coding):
        return columns
    if _without_columns(X):
        return None
    # Counts and ratings are numbers here: only what is left out changes the design.
    return looked_at(X, columns, said=("exclude",))[1]


def _without_columns(X: Any) -> bool:
    """Whether X is a frame without columns, for intercepts alone."""
    names = getattr(X, "columns", None)
    return names is not None and len(names) == 0


def coding_of_design(
    coding: Coding | None, features: Sequence[str] = ()
) -> tuple[CodedColumn, ...]:
    """Return the columns of the design that each column of a frame makes.

    Text and codes are indicators of all levels but the first. Codes that are a column of their own
    among the ``features`` of a saved fit remain numbers.
    """
    if coding is None:
        return ()
    columns, taken = [], list(coding.names)
    for name, levels in zip(coding.names, coding.levels, strict=True):
        # Two numbers and ratings are levels of a mixture, but numbers here; codes are not.
        numbers = levels is None or isinstance(levels[0], bool)
        if levels is not None and not isinstance(levels[0], str):
            numbers |= len(levels) == 2 or name in coding.ratings or name in features
        if levels is not None and not numbers:
            terms = indicator_names(name, levels, taken)
            columns.append(CodedColumn(name, terms, tuple(map(str, levels))))
            continue
        columns.append(CodedColumn(name, (name,)))
    return tuple(columns)


def as_design(X: Any, coding: Coding | None, columns: tuple[CodedColumn, ...]) -> Any:
    """Return a frame as numbers; text and codes as indicators of all levels but the first.

    ``columns`` are those of the design that each column of the frame makes.
    """
    from bayesmix.data.table_columns import is_frame, recoded

    if _without_columns(X):  # which scikit-learn does not take
        return np.empty((len(X), 0))
    if coding is None or is_source(X) or is_collection(X) or not is_frame(X):
        return X
    # Truth values are codes of their two levels, as they would be in a mixture.
    levels = tuple(
        found if column.levels or (found is not None and isinstance(found[0], bool)) else None
        for column, found in zip(columns, coding.levels, strict=True)
    )
    plain = list(coding.names) == list(map(str, X.columns)) and not any(levels)
    if plain and all(str(dtype) == "float64" for dtype in X.dtypes):
        return X  # large data are not copied
    codes = recoded(X, replace(coding, levels=levels))
    columns_of("X", codes, len(codes))  # missing values are named by the columns of the user
    made: dict[str, Any] = {}
    for column in columns:
        indicators = {term: codes[column.name] == k for k, term in enumerate(column.terms, 1)}
        made |= indicators if column.levels else {column.name: codes[column.name]}
    return pd.DataFrame(made, index=codes.index).astype(np.float64)


def look_at_response(y: Any, response: str) -> Any:
    """Return the response, a series of amounts such as "12 %" as numbers.

    Warns about a normal response that another distribution would suit, or that numbers rows.
    """
    if not hasattr(y, "iloc") or getattr(y, "ndim", 1) != 1:
        return y
    from bayesmix.data.column_kinds import LEFT_OUT, kinds_of
    from bayesmix.data.numbers_in_text import as_numbers

    amounts = None if pd.api.types.is_numeric_dtype(y.dtype) else as_numbers(y)
    if response != "normal":
        return y if amounts is None else amounts
    name = str(y.name if y.name is not None else "y")
    kind = kinds_of(pd.DataFrame({name: y.iloc[:MOST_LOOKED_AT]}), {})[name]
    if kind.kind == LEFT_OUT and not kind.reason.startswith(("empty", "dates", "one value")):
        warn(f"the response {name!r} may be no measurement: {kind.why}", BayesmixWarning)
    elif suitable := SUITABLE.get(kind.kind):
        suitable = "ordinal" if suitable == "binomial" and len(kind.levels or ()) > 2 else suitable
        reason = f" ({kind.reason})" if kind.reason else ""
        warn(
            f"the response {name!r} looks like {kind.kind}{reason}: consider response={suitable!r}",
            BayesmixWarning,
        )
    if kind.doubt:
        warn(f"the response {name!r}: {kind.doubt}", BayesmixWarning)
    return y if amounts is None else amounts


def training_data(
    estimator: Any,
    response: Any,
    X: Array,
    y: Array,
    names: tuple[str, ...],
    y_given: Any,
    weight: Any,
    gate: Any = None,
    groups: Any = None,
    offset: Any = None,
    trials: Any = None,
    lengths: Any = None,
    sequences: Any = None,
    times: Any = None,
    coding: tuple[CodedColumn, ...] = (),
) -> Data | RandomEffectData:
    """Return the data of a fit of an estimator, ordered by unit, or in sequences.

    ``y_given`` is the response as the user gave it, whose index names rows, and ``coding`` tells
    which columns of a frame those of X come from.
    """
    n, bayes = len(y), None
    intercept = validation.flag("fit_intercept", estimator.fit_intercept)
    weights: Any = None if weight is None else row_weights(weight, n)
    design = Standardised.of("X", X, names, intercept, coding)
    if trials is not None and response.name != "binomial":
        raise InvalidInputError("trials need response='binomial': leave them out")
    trials = regression_data.trial_numbers(trials, n)
    offset = regression_data.offsets(offset, n)
    response, inflation = configured(estimator, response, y, X, design)
    regression_data.check_response(response, y, trials, y_given)
    begins, gate = in_sequences(estimator, n, weight, groups, lengths, sequences, gate)
    places, floor = shared_places(estimator.fixed, design), 0.0
    if inflation is not None and response.name == "ordinal":
        # All components share the coefficients of levels.
        places = np.append(places, len(design.terms) + np.arange(len(inflation.names)))
    further = 0 if inflation is None else len(inflation.terms)
    held = held_coefficients(estimator, design, places, further)
    if response.gaussian:
        floor = max((RELATIVE_FLOOR * float(y.std())) ** 2, 1e-300)
    of_bayes = not isinstance(estimator.inference, MaximumLikelihood | None)
    units: Any = None if groups is None else group_codes(groups, n, n)
    firsts = np.arange(n) if units is None else regression_data.first_rows(units)
    covariates: Any = None
    gate_design, labels = None, tuple[str | float, ...]()
    if gate is not None:
        argument = getattr(gate, "attrs", {}).get("argument", "gate")
        table, gate_names, gate_coding = columns_of(argument, gate, n)
        gate_design = Standardised.of(argument, table, gate_names, True, gate_coding)
        covariates = gate_design.apply(table)
    chain = elapsed = None
    if begins is None and times is not None:
        raise InvalidInputError("times need lengths or sequences: give both, or neither")
    if begins is not None:
        side = SideInformation(begins=begins, covariates=covariates, design=gate_design)
        if times is not None:
            elapsed = elapsed_times(times, side)
        if gate_design is not None and estimator.covariate_effects == "first":
            firsts = np.repeat(side.starts, side.group_sizes)
            if found := unequal(gate_design.terms, covariates, firsts):
                raise InvalidInputError(
                    f"{argument} must be equal within a sequence if only first states depend on "
                    f"it, but column {found[0]!r} differs in row {row_label(gate, found[1])}: use "
                    "covariate_effects='transitions'"
                )
        chain = chain_of(estimator, X, side, elapsed)
    if units is not None:
        if weights is not None and (weights != weights[firsts][units]).any():
            place = int(np.argmax(weights != weights[firsts][units]))
            raise InvalidInputError(
                "sample_weight must be equal within a unit, but differs in row "
                f"{row_label(y_given, place)}: use one value for each unit"
            )
        if gate_design is not None and (
            found := unequal(gate_design.terms, covariates, firsts[units])
        ):
            raise InvalidInputError(
                f"{argument} must be equal within a unit, but column {found[0]!r} differs in row "
                f"{row_label(gate, found[1])}: use one value for each unit, such as its mean"
            )
        y, offset, trials, X = regression_data.ordered(units, y, offset, trials, X)
        labels = tuple(each if isinstance(each, int | float) else str(each)
                       for each in np.asarray(groups)[firsts].tolist())  # fmt: skip
    if estimator.random is not None:
        check_random(estimator, of_bayes, units is not None)
        weights, covariates = (
            None if each is None else each[firsts] for each in (weights, covariates)
        )
        return RandomEffectData.of(
            estimator, y, offset, X, np.bincount(units), design, places, floor, held,
            weights=weights, covariates=covariates, gate=gate_design, labels=labels,
        )  # fmt: skip
    common = validation.one_of("residual_variance", estimator.residual_variance, VARIANCES)
    if common in ("time", "free_time") or estimator.residual_correlation is not None:
        raise UnsupportedError(
            "residual variances by time and residual_correlation need random effects: use "
            "random=() for none, with a normal response"
        )
    if common == "shared" and not (response.dispersed and not of_bayes):
        raise UnsupportedError(
            "residual_variance='shared' needs a response with a dispersion and maximum likelihood: "
            "leave it out"
        )
    family = RegressionFamily(response, places, floor, common == "shared", held)
    values = arranged(design, inflation, y, offset, trials, X)
    if units is not None:
        weights, covariates = regression_data.ordered(units, weights, covariates)
        units = np.sort(units)
    if of_bayes:
        bayes = regression_data.variational_inference(
            estimator.inference, family, gate, intercept, values, weights
        )
    return Data(
        values, weights, units, covariates, family, design, gate_design, bayes, inflation, labels,
        begins, chain, elapsed,
    )  # fmt: skip


def in_sequences(
    estimator: Any, n: int, weight: Any, groups: Any, lengths: Any, sequences: Any, gate: Any
) -> tuple[Booleans | None, Any]:
    """Return where sequences begin (n,), None without any, and covariates with a row per sample."""
    if lengths is None and sequences is None:
        return None, gate
    for name, given in (("groups", groups), ("sample_weight", weight)):
        if given is not None:
            remedy = ": sequences are given by sequences=" if name == "groups" else ""
            raise InvalidInputError(f"sequences do not support {name}, leave it out{remedy}")
    if estimator.random is not None:
        raise UnsupportedError("random effects do not support sequences: use random=None")
    begins = starts_of_sequences(lengths, sequences, n, "sequences")
    if begins.all():
        raise InvalidInputError(
            "every sequence has one sample, so there are no transitions: leave out sequences"
        )
    if gate is not None and estimator.covariate_effects == "none":
        gate = None
    return begins, gate if gate is None else of_samples(
        gate, SideInformation(begins=begins), "gate"
    )


def chain_of(
    estimator: Any, X: Array, side: SideInformation, elapsed: Elapsed | None = None
) -> Any:
    """Return the prior of the chain of sequences, which may depend on covariates."""
    inference = MaximumLikelihood() if estimator.inference is None else estimator.inference
    effects = estimator.covariate_effects
    validation.one_of("covariate_effects", effects, EFFECTS)
    effects = "none" if side.design is None else effects
    prior = chain_prior(inference, estimator.initial, effects, estimator.covariate_timing)
    chained: Any = replace(inference, weights=prior)
    if side.design is not None:
        source = ArraySource(np.empty((len(X), 1)), side=replace(side, elapsed=elapsed))
        chained = side.design.gated(chained, source, 1)
    return (chained if elapsed is None else elapsed.timed(chained)).weights


def check_random(estimator: Any, of_bayes: bool, of_units: bool) -> None:
    """Raise an error for settings that do not go with random effects."""
    validation.one_of("random_covariance", estimator.random_covariance, tuple(COVARIANCES))
    validation.one_of("residual_variance", estimator.residual_variance, VARIANCES)
    plain = estimator.response == "normal"
    if of_bayes or not plain:
        name = "VariationalBayes()" if plain else f"response={estimator.response!r}"
        raise UnsupportedError(f"random effects do not support {name}: use random=None")
    if not of_units:
        raise InvalidInputError("random effects need units: give groups= with the unit of each row")


def shared_places(fixed: Any, design: Standardised, argument: str = "fixed") -> Integers:
    """Return the places in the design of columns with shared coefficients."""
    given = [fixed] if isinstance(fixed, (str, int)) else () if fixed is None else fixed
    places = [design.place(column, f"{argument} must contain names or indices") for column in given]
    return np.unique(np.array(places, dtype=int)) + int(design.intercept)


def configured(
    estimator: Any, response: Response, y: Array, X: Array, design: Standardised
) -> tuple[Response, Standardised | None]:
    """Return a response with the settings of an estimator, and the design of its further part."""
    limits, inflation = estimator.limits, estimator.inflation
    if limits is not None and response.name not in ("censored_normal", "ordinal"):
        raise InvalidInputError(
            "limits need response='censored_normal' or 'ordinal': leave them out"
        )
    if inflation and response.name != "zero_inflated_poisson":
        raise InvalidInputError("inflation needs response='zero_inflated_poisson': leave it out")
    if response.name == "censored_normal":
        lower, upper = pair_of(limits)
        return replace(cast("Any", response), lower=lower, upper=upper), None
    n_means = len(design.terms)
    if isinstance(response, SeveralOutcomes):
        return outcomes_of(response, list(estimator.response), y, X, design)
    if response.name == "ordinal":
        lowest, highest = pair_of((y.min(), y.max()) if limits is None else limits)
        if not highest - lowest < MOST_LEVELS:
            raise InvalidInputError(
                f"response='ordinal' is for at most {MOST_LEVELS} levels, got y from {lowest:g} to "
                f"{highest:g}: use response='normal'"
            )
        n_levels = int(highest - lowest) + 1
        names = tuple(f"{lowest + level:g}" for level in range(1, n_levels - 1))
        levels = Standardised(names, np.zeros(len(names)), np.ones(len(names)), intercept=False)
        found = {"lowest": lowest, "n_levels": n_levels, "n_means": n_means}
        return replace(cast("Any", response), **found), levels
    if response.name != "zero_inflated_poisson":
        return response, None
    places = shared_places(inflation, design, "inflation") - design.intercept
    names = tuple(design.names[place] for place in places)
    columns = Standardised.of("inflation", X[:, places], names, True)
    return replace(cast("Any", response), n_means=n_means), columns


def outcomes_of(
    response: SeveralOutcomes, names: list[Any], y: Array, X: Array, design: Standardised
) -> tuple[Response, Standardised]:
    """Return several outcomes with their columns, and the design of their further parameters."""
    if design.intercept:
        raise InvalidInputError(
            "fit_intercept must be False with several outcomes, whose columns of X are intercepts"
        )
    places = [design.place(name, "response must have names or indices") for name in names]
    marked = X[:, places] != 0.0
    if (wrong := marked.sum(axis=1) != 1).any():
        raise InvalidInputError(
            f"each row must belong to one outcome, but row {int(np.argmax(wrong))} has "
            f"{int(marked[np.argmax(wrong)].sum())} columns of {', '.join(map(str, names))} that "
            "are not 0"
        )
    starts, limits, variances = [], [], []
    for name, own, outcome in zip(names, marked.T, response.outcomes, strict=True):
        if (wrong := outcome.wrong(y[own])).any():
            value = y[own][np.argmax(wrong)]
            raise InvalidInputError(f"{name!r} must be {outcome.support}, got {value:g}")
        start, limit = outcome.first_further(y[own])
        starts.append(start)
        limits.append(limit)
        variances.append(max(float(outcome.first_predictor(y[own]).var()), 1e-300))
    further = [
        f"{outcome.further} of {name}"
        for name, outcome in zip(names, response.outcomes, strict=True)
        if outcome.further is not None
    ]
    found = {"places": tuple(places), "n_means": len(design.terms), "starts": tuple(starts)}
    found |= {"limits": tuple(limits), "variances": tuple(variances)}
    zeros, ones = np.zeros(len(further)), np.ones(len(further))
    columns = Standardised(tuple(further), zeros, ones, intercept=False)
    return replace(cast("Any", response), **found), columns


def pair_of(limits: Any) -> tuple[float, float]:
    """Return the limits of a response, infinite if None."""
    pair = () if limits is None else tuple(limits)
    if len(pair) != 2 or pair == (None, None):
        raise InvalidInputError(
            f"limits must be (lower, upper), one of which may be None, got {limits!r}"
        )
    lower, upper = (
        end if given is None else validation.number("limits", given, -np.inf)
        for given, end in zip(pair, (-np.inf, np.inf), strict=True)
    )
    if not lower < upper:
        raise InvalidInputError(f"limits must be (lower, upper) with lower < upper, got {limits!r}")
    return lower, upper
