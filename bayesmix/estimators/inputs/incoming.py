"""Checks of incoming data, weights and parameters; an error says what was given and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from bayesmix.allocation.noise import given_noise
from bayesmix.core import validation
from bayesmix.core.procedures import last_step, takes_sequences
from bayesmix.core.validation import unmasked, written_out
from bayesmix.data.coded_frames import coded_for
from bayesmix.errors import (
    InvalidInputError,
    InvalidTypeError,
)
from bayesmix.estimators.inputs.missing_rows import nan_for_gaps, without_gaps
from bayesmix.estimators.inputs.numeric_tables import numeric_table
from bayesmix.families.gaussian.covariance.models import NAMED
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.independent.levels import LevelsFamily
from bayesmix.families.names import family_named
from bayesmix.numerics.arrays import Array, is_elsewhere
from bayesmix.numerics.sparse import is_sparse
from bayesmix.selection.structures import OTHERS
from bayesmix.sources.containers import tabular
from bayesmix.sources.memory import as_source, coding_of, is_collection, is_source, with_sparse_rows
from bayesmix.sources.sample_weights import row_weights, unless_equal
from bayesmix.starts.noise_starts import NoiseOfFit

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.core.sources import Source
    from bayesmix.em.start import GivenNoise
    from bayesmix.families.coding import Coding

MISSING = ("error", "use", "drop")


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Restore all attributes of an estimator if its fit raises an error or is interrupted."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def training_rows(estimator: Any, X: Any, sample_weight: Any, n_jobs: int | None) -> Source:
    """Return the data to fit as a source; samples of weight zero are left out."""
    mixed, coding = reads_levels(estimator), None
    missing = missing_of(estimator)
    X = tabular(with_sparse_rows(X))
    if not isinstance(X, np.ndarray) and (is_source(X) or is_collection(X) or is_elsewhere(X)):
        from bayesmix.estimators.inputs.given_sources import training_source

        source = training_source(estimator, X, sample_weight, n_jobs, mixed is not None)
        missing = _missing_or_marked(estimator, missing, coding_of(source))
    else:
        written_out("X", X)
        if mixed is not None:
            X, coding = mixed(X)
        missing = _missing_or_marked(estimator, missing, coding)
        values = validated(estimator, X, missing != "error", reset=True, ensure_min_samples=2)
        names = getattr(estimator, "feature_names_in_", None)
        columns = None if names is None else tuple(map(str, names))
        source = as_source(
            values, weights_of_fit(sample_weight, len(values)), n_jobs, columns, coding
        )
    refuse_sparse(source, estimator)
    if missing != "error":
        source = without_gaps(source, missing, takes_sequences(estimator))
    refuse(source, estimator, large=True, gaps=missing == "use")
    return source.present()


def _missing_or_marked(estimator: Any, missing: str, coding: Coding | None) -> str:
    """Return what to do with missing values: marks, of which a warning told, are integrated out."""
    if missing != "error" or coding is None or not coding.marks_only:
        return missing
    from bayesmix.estimators.inputs.data_errors import integrates_out_missing

    return "use" if integrates_out_missing(estimator) else missing


def refuse_sparse(source: Source, estimator: Any) -> None:
    """Raise an error for sparse rows if the family of an estimator, or of a search, needs dense."""
    values = getattr(source, "values", None)
    if is_sparse(values):
        inner = last_step(getattr(estimator, "estimator", estimator))
        family: Any = getattr(inner, "family", None)
        chosen = Gaussian() if family in (None, "auto") else family_named(family)
        chosen.check_sparse(values)


def weights_of_fit(sample_weight: Any, n_rows: int) -> Array | None:
    """Return checked sample weights of a fit; None if all are 1."""
    if sample_weight is None:
        return None
    return unless_equal(row_weights(sample_weight, n_rows))


def refuse(source: Source, model: Any = None, large: bool = False, gaps: bool = False) -> None:
    """Raise an error that names the first unusable value; ``large`` values only matter in a fit.

    ``gaps``: values may be missing, but not a whole sample, except in sequences, nor, in a fit, a
    whole column. ``model``: the estimator that the error advises on.
    """
    if source.faults or source.total_weight != source.shape[0]:
        from bayesmix.estimators.inputs.data_errors import refuse_first

        refuse_first(source, model, large, gaps)


def missing_of(estimator: Any) -> str:
    """Return how an estimator, or the estimator of a search, treats missing values."""
    inner = last_step(getattr(estimator, "estimator", estimator))
    return validation.one_of("missing", getattr(inner, "missing", "error"), MISSING)


def same_rows(estimator: Any, source: Source, n_jobs: int | None) -> Source:
    """Return data that were checked before, for another estimator."""
    adopt_columns(estimator, source)
    return source.with_jobs(n_jobs)


def validated(estimator: Any, X: Any, gaps: bool = False, **options: Any) -> Any:
    """Return X validated by scikit-learn as float32 or float64; ``gaps`` allows missing values."""
    if gaps:
        X, options = nan_for_gaps(X), {**options, "ensure_all_finite": "allow-nan"}
    remedy = ""
    if np.ma.is_masked(X):
        from bayesmix.estimators.inputs.data_errors import missing_remedy

        remedy = missing_remedy(estimator, options["reset"])
    unmasked("X", X, remedy)
    try:
        if getattr(getattr(X, "dtype", None), "kind", "O") not in "fiub":
            X = numeric_table(X)
        with np.errstate(invalid="ignore"):  # it adds infinities of both signs
            return validate_data(estimator, X, dtype=[np.float64, np.float32], **options)
    except (InvalidInputError, InvalidTypeError):
        raise
    except OverflowError as problem:
        raise InvalidInputError(f"X must be numbers in the range of a double: {problem}") from None
    except (TypeError, ValueError) as problem:
        from bayesmix.estimators.inputs.data_errors import explained

        kind = InvalidTypeError if isinstance(problem, TypeError) else InvalidInputError
        raise kind(explained(estimator, X, problem, options["reset"])) from None


def store_parameters(estimator: Any, given: Mapping[str, Any]) -> None:
    """Store the arguments of ``__init__``, its ``locals()``, unchanged as attributes."""
    vars(estimator).update((name, value) for name, value in given.items() if name != "self")


def one_number(estimator: Any) -> None:
    """Raise an error for several numbers of components, which a search compares."""
    value = estimator.n_components
    if isinstance(value, Iterable) and not isinstance(value, str):
        raise InvalidInputError(
            f"n_components must be one number, got {value!r}: to choose among several, use "
            f"bayesmix.MixtureSearch({type(estimator).__name__}(), n_components={[*value]})"
        )


def family_of(covariance_type: Any, reg_covar: Any, precisions_init: Any = None) -> Family:
    """Return the family, after a check of ``reg_covar`` and options of certain structures."""
    ridge = validation.auto_or_number("reg_covar", reg_covar, 0.0)
    if not hasattr(covariance_type, "n_extended_directions"):
        validation.one_of("covariance_type", covariance_type, tuple(NAMED), OTHERS)
        return Gaussian(covariance_type, ridge)
    if ridge is not None:
        raise InvalidInputError(
            f"reg_covar must be 'auto' with {covariance_type!r}, got {reg_covar!r}: its "
            "variances have a floor already"
        )
    if precisions_init is not None:
        raise InvalidInputError(
            f"precisions_init must be None with {covariance_type!r}, which has no such matrices: "
            "use means_init or init_params"
        )
    return covariance_type


def noise_density(value: Any) -> GivenNoise | None:
    """Return the noise; that of "uniform" is determined from the data of the fit."""
    if value is None or value is False:
        return None
    uniform = value is True or (isinstance(value, str) and value == "uniform")
    return NoiseOfFit(None if uniform else given_noise(value))


def adopt_columns(estimator: Any, source: Source) -> None:
    """Set on an estimator what ``validate_data`` sets, for data from a source."""
    estimator.n_features_in_ = source.shape[1]
    if source.columns is not None:
        estimator.feature_names_in_ = np.array(source.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def is_mixed(family: Any) -> bool:
    """Whether a family may be fitted to tables with non-numeric columns."""
    if family is None or isinstance(family, Gaussian):
        return False
    from bayesmix.families.product.family import Product

    by_name = ("auto", "categorical", "ordinal")
    return isinstance(family, Product | LevelsFamily) or family in by_name


def reads_levels(estimator: Any) -> Callable[[Any], tuple[Any, Coding | None]] | None:
    """Return the family or estimator that codes levels as numbers; None if there is none."""
    inner = getattr(estimator, "estimator", estimator)
    family = getattr(inner, "family", None)
    if family is not None:
        family = family_named(family)
    looks = family is None and hasattr(inner, "columns")
    if not looks and not is_mixed(family):
        return None
    return partial(coded_for, family, columns=getattr(inner, "columns", None))
