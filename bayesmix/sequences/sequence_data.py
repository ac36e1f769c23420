"""Sequences: ``lengths`` and ``groups``, held-out sequences and blocks, and their order.

One long sequence is held out in blocks. Fits leave a gap around the block, as samples on both sides
of its ends are dependent (Burman, Chow & Nolan 1994).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold
from sklearn.utils.validation import _num_samples

from bayesmix.allocation.chain import DirichletChainPrior
from bayesmix.allocation.gated_chain import WAVE, CovariateChainPrior
from bayesmix.allocation.timed_chain import Elapsed
from bayesmix.core import validation
from bayesmix.core.given_arrays import finite_array
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.nouns import part_names
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.printed_numbers import probability
from bayesmix.core.rows import SideInformation
from bayesmix.core.sources import Chosen, Source
from bayesmix.em.display import columns_of, shortened
from bayesmix.em.model import side_of
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.estimators.inputs.constraints import group_codes, of_samples, place_in_sequence
from bayesmix.estimators.searching.fitters import SourceFitter
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.observation.instrument import refuse_measured
from bayesmix.selection.scores import Fold, make_splits, n_rows_of
from bayesmix.sources.containers import tabular
from bayesmix.sources.memory import MOST_SORTED, ArraySource, is_collection
from bayesmix.sources.partitions_of_rows import MOST_AT_HAND, PartitionedSource
from bayesmix.sources.sample_weights import row_weights, unless_equal
from bayesmix.starts.chain_starts import STICKY, sums_of_assignment

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters

# Width of the gap beside a block that is held out, as a share of the block.
GAP = 0.1
# Module in which scikit-learn fits the samples ``train`` of a fold.
CROSS_VALIDATION = "sklearn.model_selection._validation"

InSequences: TypeAlias = ArraySource | PartitionedSource

# Variables of first states, and of transitions.
Named: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]

# What information criteria count.
COUNTED = ("auto", "rows", "persons")
# Parameters of covariates; those of the effects that include transitions.
EFFECTS, TIMINGS = ("first", "transitions", "all", "none"), ("entered", "left")
WHOLE = ("transitions", "all")


class GivenSequences(NamedTuple):
    """Arguments of methods that tell what sequences the samples are."""

    lengths: Any = None
    groups: Any = None
    covariates: Any = None
    times: Any = None
    exact_times: Any = None


def without_times(source: Any, exact_times: Any) -> Any:
    """Return the source, or raise an error for exact times without times."""
    if exact_times is not None:
        raise InvalidInputError("exact_times needs times: give both, or neither")
    return source


def without_exact_times(source: Any) -> Any:
    """Return the source with times none of which is exact, as starts need no absorbing state."""
    elapsed = source.side.elapsed
    if elapsed is None or elapsed.exact is None:
        return source
    return replace(source, side=replace(source.side, elapsed=elapsed.inexact))


def at_times(
    source: InSequences, times: Any, exact_times: Any = None, unit: float | None = None
) -> InSequences:
    """Return sequences with the times (n,) of their samples, numbers or dates (then in days).

    ``exact_times`` (n,) are those at which the chain entered an absorbing state.
    """
    if not isinstance(source, ArraySource):
        raise UnsupportedError("times need X in memory, got X in parts: pass an array")
    elapsed = elapsed_times(times, source.side, exact_times, unit)
    return replace(source, side=replace(source.side, elapsed=elapsed))


def elapsed_times(
    times: Any, side: SideInformation, exact_times: Any = None, unit: float | None = None
) -> Elapsed:
    """Return the times between samples of sequences, from those (n,) of the samples."""
    begins = cast("Booleans", side.begins)
    given = times_as_numbers(times)
    absent = np.isnan(given) if given.dtype.kind == "f" else np.zeros(given.shape, dtype=bool)
    if absent.shape == begins.shape and absent.any():
        raise InvalidInputError(
            f"times must have no missing values, got one for "
            f"{place_in_sequence(int(np.argmax(absent)), side)}: leave such samples out"
        )
    values: Array = finite_array("times", given, begins.shape)
    wrong = (np.diff(values, prepend=-np.inf) <= 0.0) & ~begins
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidInputError(
            "times must increase within a sequence, but "
            f"{place_in_sequence(row, side)} has {values[row]:g} after {values[row - 1]:g}: "
            "sort samples by time, and merge those at the same time"
        )
    exact = None
    if exact_times is not None:
        exact = np.asarray(exact_times)
        if exact.shape != values.shape or exact.dtype.kind != "b":
            raise InvalidInputError(
                f"exact_times must have True or False for each of the {len(values)} samples, got "
                f"{exact.dtype} of shape {exact.shape}"
            )
    return Elapsed.of(values, begins, unit, exact)


def times_as_numbers(times: Any) -> Any:
    """Return times as an array of numbers, those of dates and durations in days."""
    validation.unmasked("times", times)
    given = np.asarray(times.to_numpy() if hasattr(times, "to_numpy") else times)
    if given.dtype.kind in "OUST":
        present = [each for each in given.flat if not pd.isna(each)]
        dated = bool(present) and isinstance(present[0], date | np.datetime64)  # with time zones
        if present and not dated and not isinstance(present[0], Real | np.timedelta64 | timedelta):
            got = str(present[0])
            raise InvalidInputError(
                f"times must be numbers or dates, got {got!r:.40}: convert them, for example with "
                "pandas.to_datetime"
            )
        if dated:
            given = pd.to_datetime(given, utc=True).tz_localize(None).to_numpy()
        else:
            given = pd.Series(given).infer_objects().to_numpy()
    if given.dtype.kind == "M":
        given = given - np.datetime64("2000-01-01")
    if given.dtype.kind == "m":
        given = given / np.timedelta64(1, "D")
    return given


def chain_prior(
    inference: Any,
    initial: str,
    covariate_effects: Any,
    covariate_timing: str,
    transition_prior: float | None = None,
) -> DirichletChainPrior | CovariateChainPrior:
    """Return the prior of a chain by parameters of an estimator, or raise where they do not fit."""
    stationary = validation.one_of("initial", initial, ("free", "stationary")) == "stationary"
    effects, named = effects_of(covariate_effects)
    timing = validation.one_of("covariate_timing", covariate_timing, TIMINGS)
    concentration = 1.0
    if transition_prior is not None:
        concentration = validation.number("transition_prior", transition_prior, 0.0, True)
        if inference.name == "maximum_likelihood":
            raise InvalidInputError(
                "transition_prior needs a fit with a prior: use inference=MaximumAPosteriori() or "
                "VariationalBayes()"
            )
    if stationary and inference.variational:
        raise UnsupportedError(
            "initial='stationary' has no conjugate prior: use initial='free' with "
            "VariationalBayes()"
        )
    if effects not in WHOLE:
        return DirichletChainPrior(concentration, stationary)
    if stationary or transition_prior is not None:
        replaced = "initial='stationary'" if stationary else "transition_prior"
        raise InvalidInputError(
            f"covariate_effects={covariate_effects!r} replaces {replaced}: leave it out"
        )
    return CovariateChainPrior(effects=effects, timing=timing, named=named)


def effects_of(given: Any) -> tuple[str, Named | None]:
    """Return the effects of covariates, and the variables of each part if these are named.

    ``given`` is a name of effects, or a mapping of "first" and "transitions" to variables.
    """
    if not isinstance(given, Mapping):
        return validation.one_of("covariate_effects", given, EFFECTS), None
    if wrong := sorted(set(map(str, given)) - {"first", "transitions"}):
        raise InvalidInputError(
            f"covariate_effects must name variables of 'first' and 'transitions', got {wrong[0]!r}"
        )
    of_first, of_moves = (
        (names,) if isinstance(names, str) else tuple(map(str, names))
        for names in (given.get("first", ()), given.get("transitions", ()))
    )
    if WAVE in of_first:
        raise InvalidInputError(
            "covariate_effects: first states have no wave but the first: name 'wave' among the "
            "variables of transitions"
        )
    return "all" if of_first else "transitions", (of_first, of_moves)


def with_waves(
    covariates: Any, effects: Any, timing: str, side: SideInformation, design: Any = None
) -> Any:
    """Return covariates with indicators of the waves, where ``covariate_effects`` name them.

    The first transition is the reference: indicators are those of later waves that are entered, or
    left. ``design`` is that of the fit, for predictions.
    """
    named = effects_of(effects)[1]
    if named is None or WAVE not in named[1] or WAVE in getattr(covariates, "columns", ()):
        return covariates
    n_waves = int(side.waves.max()) + 1
    first, last = (2, n_waves) if timing == "left" else (3, n_waves + 1)
    if design is not None:
        known = [int(name.split()[1]) for name in design.names if name.startswith(f"{WAVE} ")]
        if last - 1 > max(known):
            raise InvalidInputError(
                f"sequences must have no more waves than those of the fit, got {n_waves}"
            )
        last = max(known) + 1
    if last <= first:
        raise InvalidInputError(
            "covariate_effects: transitions by wave need three waves or more: leave out 'wave'"
        )
    frame = pd.DataFrame(index=range(len(side.waves)))
    if covariates is not None:
        table = of_samples(covariates, side)
        if not isinstance(table, pd.DataFrame):
            table = pd.DataFrame(np.asarray(table)).add_prefix("covariates")
        frame = table.reset_index(drop=True)
    waves = {f"{WAVE} {k}": 1.0 * (side.waves == k - 1) for k in range(first, last)}
    return frame.assign(**waves)


def sequences_to_fit(source: Source, lengths: Any, groups: Any, n: str = "auto") -> InSequences:
    """Return the source in sequences; raise an error if there are no transitions.

    ``n`` is what information criteria count: "rows", "persons", or, by "auto", persons of a panel.
    """
    ordered = in_sequences(source, lengths, groups)
    ordered = counting_persons(ordered, are_persons(n, ordered.side, groups is not None))
    warn_of_joined_folds(ordered)
    if len(ordered.side.starts) == source.shape[0]:
        raise InvalidInputError(
            "every sequence has one sample, so there are no transitions: use Mixture"
        )
    return ordered


def lengths_given(X: Any, y: Any, lengths: Any) -> Any:
    """Return the lengths of sequences, which came second before y did.

    ``y`` has one value for each sample and is ignored.
    """
    shape = np.shape(tabular(y, "y"))
    if y is None or shape[:1] == (n_rows_of(tabular(X)),):
        return lengths
    if lengths is not None:
        raise InvalidInputError(
            f"y must have one value for each sample, or be left out, got shape {shape}"
        )
    warn(
        "lengths of sequences are passed by name, lengths=...: the second argument is y, which is "
        "ignored, as in scikit-learn",
        FutureWarning,
    )
    return y


def warn_of_joined_folds(source: InSequences) -> None:
    """Warn if scikit-learn's cross-validation made neighbours of samples that are none.

    It fits the samples of a fold as they are, and only its own frames know their numbers.
    """
    numbers, frame = np.arange(source.shape[0]), sys._getframe().f_back
    while frame is not None:
        train = frame.f_locals.get("train")
        if frame.f_globals.get("__name__") == CROSS_VALIDATION and train is not None:
            numbers = np.arange(_num_samples(frame.f_locals["X"]))[train][numbers]
        frame = frame.f_back
    joined = (np.diff(numbers) != 1) & ~cast("Booleans", source.side.begins)[1:]
    if joined.any():
        places = f"{joined.sum()} place{'s' if joined.sum() > 1 else ''}"
        warn(
            f"cross-validation joins training samples that are no neighbours, in {places}: use "
            "MixtureSearch, whose folds keep sequences and leave gaps, or pass groups with the "
            "sequence of each sample to both the splitter and fit",
            BayesmixWarning,
        )


def in_sequences(source: Source, lengths: Any, groups: Any) -> InSequences:
    """Return the source with the starts of its sequences; by default all samples are one."""
    groups = groups.compute() if is_collection(groups) else groups
    begins = starts_of_sequences(lengths, groups, source.shape[0])
    if isinstance(source, PartitionedSource) and not getattr(source.engine, "alone", False):
        return source.in_sequences(begins)
    if not isinstance(source, ArraySource):
        raise UnsupportedError(
            "a hidden Markov model needs X in main memory, got X on a device: give a NumPy array"
        )
    refuse_measured(source, "a hidden Markov model")
    ordered = replace(source, side=SideInformation(begins=begins))
    return ordered if source.weights is None else with_weights(ordered, source.weights)


def with_weights(source: InSequences, sample_weight: Any) -> InSequences:
    """Return sequences with a weight for each: of its samples (n,), or of the sequences (S,)."""
    if sample_weight is None:
        return source
    if not isinstance(source, ArraySource):
        raise UnsupportedError("sample_weight of sequences needs X in memory: pass an array")
    side, n = source.side, source.shape[0]
    sample_weight = np.asarray(sample_weight)
    each = sample_weight.ndim == 1 and len(sample_weight) == len(side.starts) != n
    weights = row_weights(sample_weight, len(side.starts) if each else n)
    weights = np.repeat(weights, side.group_sizes) if each else weights
    differs = weights != np.repeat(weights[side.starts], side.group_sizes)
    if differs.any():
        row = int(np.argmax(differs))
        raise InvalidInputError(
            f"sample_weight must be equal within a sequence, but {place_in_sequence(row, side)} "
            f"has {weights[row]:g} and the first {weights[row - 1]:g}: use one weight for each "
            "person, such as that of the first wave"
        )
    return replace(source, weights=unless_equal(weights))


def are_persons(n: str, side: SideInformation, grouped: bool) -> bool:
    """Whether information criteria count sequences as persons, by the parameter ``n``.

    By "auto" they do in a panel: sequences by ``groups``, of which there are more than waves. Of
    few long series they count rows, as the logarithm of their number would be no penalty.
    """
    validation.one_of("n", n, COUNTED)
    if n != "auto":
        return n == "persons"
    return grouped and len(side.starts) > int(side.group_sizes.max())


def counting_persons(source: InSequences, of_persons: bool) -> InSequences:
    """Return sequences of which information criteria count persons, or samples."""
    return replace(source, side=replace(source.side, of_persons=of_persons))


def sequences_at_hand(source: InSequences) -> ArraySource:
    """Return sequences in memory: all of them, or evenly spaced ones of data that are too large."""
    n_rows, n_features = source.shape
    if n_rows * n_features <= MOST_AT_HAND:
        return source.in_memory()
    numbers = np.cumsum(cast("Booleans", source.side.begins)) - 1
    return source.in_memory(np.flatnonzero(numbers % -(-n_rows // MOST_SORTED) == 0))


def starts_of_sequences(lengths: Any, groups: Any, n_rows: int, name: str = "groups") -> Booleans:
    """Return where sequences begin (n,); ``name`` is that of the argument ``groups``."""
    if lengths is not None and groups is not None:
        raise InvalidInputError(f"give lengths or {name}, not both")
    if groups is not None:
        codes = group_codes(groups, n_rows, n_rows, name)
        begins: Booleans = np.append(True, np.diff(codes) != 0)
        again = np.flatnonzero(begins)[1:]
        again = again[np.diff(codes[begins]) < 0]
        if len(again):
            raise InvalidInputError(
                f"{name} must be contiguous, each a sequence in order of time, but that of sample "
                f"{again[0]} appeared before: sort X by {name} and time"
            )
        return begins
    begins = np.zeros(n_rows, dtype=bool)
    begins[0] = True
    if lengths is None:
        return begins
    sizes = np.atleast_1d(lengths)
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu":
        raise InvalidInputError(
            f"lengths must be a sequence of integers, the number of samples of each sequence, got "
            f"{lengths!r:.60}"
        )
    if (sizes < 1).any():
        raise InvalidInputError(
            f"lengths must be at least 1, got {sizes.min()}: leave out empty sequences"
        )
    if sizes.sum() != n_rows:
        raise InvalidInputError(
            f"lengths must sum to the number of samples, {n_rows}, got a sum of {sizes.sum()}"
        )
    begins[np.cumsum(sizes)[:-1]] = True
    return begins


def sequence_folds(cv: Any, source: ArraySource, seed: int) -> tuple[Fold, ...]:
    """Return folds of whole sequences; with fewer sequences than folds, blocks with gaps."""
    begins = source.side.begins
    assert begins is not None
    sequences: Integers = np.cumsum(begins) - 1
    if not isinstance(cv, int) or not sequences[-1] + 1 < cv <= len(sequences):
        groups = None if isinstance(cv, int) else sequences
        return make_splits(cv, source, seed, groups, sequences)
    gap = math.ceil(GAP * len(sequences) / cv)
    blocks = [(fold.train, fold.test) for fold in make_splits(KFold(cv), source, seed)]
    return tuple(
        Fold(train[(train < test[0] - gap) | (train > test[-1] + gap)], test)
        for train, test in blocks
    )


def parts_of_sequences(begins: Booleans, rows: Chosen) -> tuple[Booleans, bool]:
    """Return where parts of sequences begin among some rows, and whether all are whole.

    Where samples before are left out, a part begins.
    """
    numbers = np.arange(len(begins))[rows]
    first = np.append(True, np.diff(numbers) > 1)
    last, ends = np.append(first[1:], True), np.append(begins[1:], True)
    whole = bool(begins[numbers[first]].all() and ends[numbers[last]].all())
    return begins[numbers] | first, whole


@dataclass(frozen=True)
class SequenceFitter(SourceFitter):
    """Fits hidden Markov models to sequences, or to parts of them.

    ``whole``: whether the samples are whole sequences. The first state of a part has the
    stationary distribution.
    """

    whole: bool = True

    def on(self, rows: Chosen) -> SequenceFitter:
        """Return the fitter of some samples; where samples before are left out, a part begins."""
        part: Any = self.source.subset(rows)
        begins, whole = parts_of_sequences(self.source.side.begins, rows)  # type: ignore[attr-defined]  # in memory
        side = replace(part.side, begins=begins)
        return replace(self, source=replace(part, side=side), whole=whole)

    def on_cells(self, n_cells: int, chains: Sequence[Parameters]) -> None:
        """Return None: samples of a sequence are not independent."""

    def allocated(self, expectation: Expectation, shares: Array) -> Expectation:
        begins = side_of(self.source).begins
        assert begins is not None  # of sequences
        return replace(expectation, allocation=sums_of_assignment(shares, begins, STICKY))

    def fit(self, candidate: Any, warm_starts: tuple[Mixture, ...] = ()) -> FitResult:
        fitter = SourceFitter(self.estimator, self.source_of(candidate), self.prefix)
        return fitter.fit(candidate, warm_starts)

    def source_of(self, candidate: Any) -> Source:
        """Return the sequences with the covariates that a candidate uses."""
        source = cast("ArraySource", self.source)
        if candidate.covariate_effects != "none" or source.side.covariates is None:
            return self.source
        return replace(source, side=replace(source.side, covariates=None, design=None))

    def shares(self, candidate: Any) -> Array:
        """Return the probabilities of the states (n, K) given whole sequences."""
        with single_threaded_blas():
            states = candidate._states(smooth=True)(cast("ArraySource", self.source).rows)
        return np.asarray(states[:, :-1])

    def log_density(self, candidate: Any) -> Array:
        """Return the log density (n,) of each sample given those before it."""
        initial = None if self.whole else candidate.stationary_distribution_
        with single_threaded_blas():
            return candidate._states(initial=initial)(cast("ArraySource", self.source).rows)[:, -1]


@dataclass(frozen=True, repr=False)
class Forecast:
    """States and values of the samples that follow a sequence, one row per step.

    Attributes
    ----------
    state_probabilities : array (steps, K)
    mean, lower, upper : array (steps, D)
        Mean and limits of the central interval of each column; NaN if it is categorical.
    level : float
        Probability of the intervals.
    columns : tuple of str
    """

    state_probabilities: Array
    mean: Array
    lower: Array
    upper: Array
    level: float
    columns: tuple[str, ...]

    def summary(self) -> str:
        """Return state probabilities, and mean with interval of each column, step by step."""
        states = part_names("state", self.state_probabilities.shape[1])
        rows = [("step", *(f"P({name})" for name in states), *self.columns)]
        for step, shares in enumerate(self.state_probabilities):
            values = zip(self.mean[step], self.lower[step], self.upper[step], strict=True)
            cells = ("-" if math.isnan(m) else f"{m:.4g} [{a:.4g}, {b:.4g}]" for m, a, b in values)
            rows.append((str(step + 1), *map(probability, shares), *cells))
        return "\n".join([f"{self._headline}:", *columns_of(rows, 1)])

    @property
    def _headline(self) -> str:
        steps = f"{len(self.mean)} step{'s' if len(self.mean) > 1 else ''}"
        return f"Forecast of {steps}, means and {100 * self.level:g} % intervals"

    def __repr__(self) -> str:
        return shortened([f"<{self._headline}>", *self.summary().splitlines()[1:]])
