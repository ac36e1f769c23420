"""``enumerate_classes``: the table of fits with 1 to K classes that a paper reports."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, cast

import numpy as np

from bayesmix.assess.stability import collected, each_of
from bayesmix.core import validation
from bayesmix.core.parallel import resolve_jobs
from bayesmix.core.random import root_seed
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.estimators.gaussian import GaussianMixture
from bayesmix.estimators.inputs import constraints
from bayesmix.estimators.inputs.incoming import MISSING
from bayesmix.estimators.mixture import Mixture
from bayesmix.estimators.searching.fitters import coding_of_table
from bayesmix.estimators.searching.search_checks import real_columns
from bayesmix.families.categorical import Categorical
from bayesmix.families.coding import AS_REQUESTED, Coding, brief
from bayesmix.families.gaussian.covariance.models import NAMED
from bayesmix.latent_class_analysis.class_tests import ENTROPIES
from bayesmix.latent_class_analysis.enumeration import (
    LOCAL_INDEPENDENCE,
    Enumeration,
    FitTask,
    FurtherTask,
    GrownTask,
    PairTask,
    TableEntry,
    hardly_replicated,
    table_of,
)
from bayesmix.selection.data_checks import narrower, rounded_features
from bayesmix.selection.spread_values import spread_values
from bayesmix.selection.summary_text import phrase
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.survey_weights import type_of, weighted
from bayesmix.sources.writing import write

# tidyLPA's numbers of covariance structures (Rosenberg et al. 2018; models 4 and 5 are Mplus's).
STRUCTURES: dict[Any, Any] = {1: "EEI", 2: "VVI", 3: "EEE", 6: "VVV"}
WORDS = {
    "EEI": "equal variances, covariances zero",
    "VVI": "varying variances, covariances zero",
    "EVI": "varying variances, covariances zero",
    "VEI": "varying variances, covariances zero",
    "EEE": "equal variances and covariances",
    "VVV": "varying variances and covariances",
}


def enumerate_classes(
    X: Any,
    n_components: Any = range(1, 7),
    models: Any = None,
    *,
    n_bootstrap: int = 100,
    continuous: bool | Sequence[str] | None = None,
    columns: Any = None,
    sample_weight: Any = None,
    weight_type: str | None = None,
    clusters: Any = None,
    covariates: Any = None,
    hold: Any = None,
    equal: Any = None,
    missing: str = "use",
    random_state: Any = None,
    n_jobs: int | None = None,
    early_stopping: bool = True,
    entropy_definition: str = "relative",
    tidylpa: bool = False,
    progress: bool | None = None,
    checkpoint: Any = None,
) -> Enumeration:
    """Fit latent profiles or latent classes with several numbers of classes, and tabulate them.

    Every fit is by maximum likelihood with a full search, also from one class less. Each number of
    classes is tested against one less by the parametric bootstrap (McLachlan 1987; Nylund,
    Asparouhov & Muthén 2007). The statistic is twice the difference of the log likelihoods of the
    table, and simulated data get the search that the observed data need to reach it.

    Parameters
    ----------
    X : array or frame (n, D)
        Numbers are continuous. Frames may have text, categories, booleans, ratings and counts; the
        columns are then independent within classes.
    n_components : int or sequence of int, default=range(1, 7)
        Numbers of classes.
    models : int, str or sequence, optional
        For continuous columns: 1 (equal variances, covariances zero), 2 (varying variances,
        covariances zero), 3 (equal variances and covariances), 6 (varying variances and
        covariances), as in tidyLPA, or names of covariance structures. None: 1, 2, 3 and 6.
    n_bootstrap : int, default=100
        Simulated data sets of each test; 0: no tests.
    continuous : bool or list of str, optional
        Whether all columns are continuous (True) or categories (False), or the names of the
        continuous columns, all others being categories. None: by the types of the columns; integers
        on one scale, such as 1 to 5, are then ratings, which are categories.
    columns : mapping of name to kind, optional
        Kinds of columns of a frame, as in ``Mixture``.
    sample_weight : array (n,), optional
        Sample weights. There is then no bootstrap test.
    weight_type : {None, "sampling", "frequency"}, optional
        Weights of a survey, which are divided by their mean, or numbers of repetitions. None:
        fractions are weights of a survey, whole numbers are repetitions, with a warning.
    clusters : array (n,), optional
        Clusters of a survey. There are then no tests, which need independent samples.
    covariates : array or frame (n, P), optional
        Variables on which class membership depends by a multinomial logistic regression.
    hold, equal : mapping, optional
        Parameters that are held, or equal in several classes, as in ``Mixture``. Held values belong
        to the first classes.
    missing : {"use", "drop", "error"}, default="use"
        Missing values: full information maximum likelihood (missing at random), complete cases, or
        an error. Simulated data have the missing cells and covariates of the observed data.
    random_state : None, int, RandomState or Generator
    n_jobs : int, optional
        Number of worker processes (results do not depend on it); None: all cores.
    early_stopping : bool, default=True
        Whether tests end after ten simulated ratios as large as the observed one (Besag & Clifford
        1991). This saves time where the p-value is above .1, which is then ten divided by the
        number of samples.
    entropy_definition : {"relative", "sum", "mean"}, default="relative"
        "relative" is that of Mplus.
    tidylpa : bool, default=False
        Whether to add tidyLPA's ``awe_tidylpa`` and ``lmr_tidylpa_p``.
    progress : None or bool, default=None
        As in the estimators. Ctrl-C returns the fits and tests so far, with a warning.
    checkpoint : path, optional
        Folder where finished fits and tests are stored; the same call continues from there.

    Returns
    -------
    Enumeration

    Raises
    ------
    ValueError
        For invalid data or parameters.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_iris()
    >>> classes = bm.enumerate_classes(X, range(1, 4), 1, n_bootstrap=0, random_state=0)
    >>> classes.table[["n_classes", "log_likelihood", "n_parameters", "bic"]].round(1)
       n_classes  log_likelihood  n_parameters     bic
    0          1          -741.0             8  1522.1
    1          2          -488.9            13  1043.0
    2          3          -361.4            18   813.0
    """
    given = [n_components] if isinstance(n_components, Integral) else list(n_components)
    numbers = sorted({validation.integer("n_components", K, 1) for K in given})
    if not numbers:
        raise InvalidInputError("n_components must name at least one number of classes, got none")
    n_bootstrap = validation.integer("n_bootstrap", n_bootstrap, 0)
    validation.one_of("missing", missing, MISSING)
    validation.one_of("entropy_definition", entropy_definition, tuple(ENTROPIES))
    seed, seeded = root_seed(random_state), random_state is not None
    if sample_weight is not None and clusters is not None:
        weight_type = weight_type or "sampling"
    if checkpoint is not None:
        from bayesmix.io.checkpoints import open_checkpoint, search_identity

        settings: dict[str, Any] = {
            "n_components": numbers,
            "models": models,
            "n_bootstrap": n_bootstrap,
            "continuous": continuous,
            "columns": columns,
            "weight_type": weight_type,
            "covariates": None if covariates is None else np.asarray(covariates),
            "hold": hold,
            "equal": equal,
            "missing": missing,
            "early_stopping": early_stopping,
        }
        identity = search_identity(settings, X, sample_weight, None)
        folder, seed = open_checkpoint(checkpoint, identity, seed, seeded, "enumeration")
    if sample_weight is not None:
        weight_type = weight_type or type_of(sample_weight, X)
        sample_weight = weighted(X, sample_weight, weight_type)[1]
    X, described, estimators, taken_as = _estimators(X, models, continuous, columns)
    fitters: dict[Any, Any] = {}
    for name, estimator in estimators.items():
        estimator.set_params(missing=missing, random_state=seed, progress=False, n_jobs=1)
        estimator.set_params(hold=hold, equal=equal)
        # All models read the same columns, so the first says what they are.
        with warnings.catch_warnings(action="ignore" if fitters else None):
            fitter: Any = estimator._fitter(X, sample_weight)
        source = constraints.constrained(fitter.source, None, None, covariates)
        fitters[name] = replace(fitter, source=source)

    def done(task: Any, what: str) -> list[TableEntry]:
        n = len(task.questions)
        stored = task if checkpoint is None else Stored(task, folder.folder)
        workers = min(resolve_jobs(n_jobs), n)
        return collected(each_of(stored, n, workers), n, what, progress) if n else []

    questions = tuple((name, K) for name in fitters for K in numbers)
    fits = done(FitTask(fitters, questions, seed), "fits")
    complete, reason = len(fits) == len(questions), ""
    if complete:
        pairs = _pairs(fits)
        grown = done(GrownTask(fitters, pairs), "fits from one class less")
        complete = len(grown) == len(pairs)
        better = {(one.model, one.n_classes): one for one in grown}
        fits = [better.get((one.model, one.n_classes), one) for one in fits]
    if complete and (rare := hardly_replicated(fits)):
        further = done(FurtherTask(fitters, rare, seed), "further searches")
        complete = len(further) == len(rare)
        better = {(one.model, one.n_classes): one for one in further}
        fits = [better.get((one.model, one.n_classes), one) for one in fits]
    pairs = _pairs(fits) if complete else ()
    if sample_weight is not None and n_bootstrap:
        n_bootstrap, reason = 0, f"no bootstrap test with {weight_type} weights"
    if clusters is None:
        tests = done(PairTask(fitters, pairs, n_bootstrap, early_stopping, seed, reason), "tests")
    else:
        n_bootstrap, reason = 0, "no tests with clusters of a survey"
        tests = [TableEntry(larger.model, larger.n_classes, {}, reason) for _, larger in pairs]
    n, summary = fitters[questions[0][0]].source.total_weight, source.summary
    fits = [_with_narrow_classes(one, source) for one in fits]
    table, notes = table_of(fits, tests, n, tidylpa)
    rounded, spread = "", _spread(fitters, seed)
    if complete and spread is not None:
        source_of_spread, rounded = spread
        of_spread = {
            name: replace(one, source=replace(one.source, values=source_of_spread.values))
            for name, one in fitters.items()
        }
        found = done(FitTask(of_spread, questions, seed, "spread"), "fits to spread values")
        table["bic_spread"] = [float(str(one.values.get("bic", np.nan))) for one in found]
        if len(found) < len(questions) or table["bic_spread"].isna().all():
            table, rounded = table.drop(columns="bic_spread"), ""
    n_dropped = np.shape(X)[0] - source.shape[0]
    enumeration = Enumeration(
        table=table,
        models=described,
        fits={(one.model, one.n_classes): one.estimator for one in fits},
        n_samples=n,
        n_missing=summary.n_missing,
        n_dropped=n_dropped,
        n_empty=n_dropped if missing == "use" else 0,
        taken_as=taken_as,
        rounded=rounded,
        n_bootstrap=n_bootstrap if tests else 0,
        notes=notes,
        seed=seed,
    )
    if entropy_definition == "relative":
        return enumeration
    return enumeration.with_entropy(entropy_definition)


@dataclass(frozen=True, eq=False)
class Stored:
    """Do a task, or read what an earlier attempt stored in a folder, without code."""

    task: FitTask | GrownTask | PairTask
    folder: Path

    def __call__(self, number: int) -> TableEntry:
        from bayesmix.io import load

        name, K = self.task.questions[number]
        place = f"{self.task.kind}-{name}-{K}"
        record, model = (self.folder / f"{place}.{end}" for end in ("json", "bayesmix"))
        if record.exists():
            values, note = json.loads(record.read_text("utf-8"))
            return TableEntry(name, K, values, note, load(model) if model.exists() else None)
        entry = self.task(number)
        if entry.estimator is not None:
            entry.estimator.save(model)
        fields = [dict(entry.values), entry.note]
        write(record, json.dumps(fields, default=lambda value: value.item()).encode())
        return entry


def _spread(fitters: dict[Any, Any], seed: int) -> tuple[Any, str] | None:
    """Return data whose rounded values are spread, and which these are, if they may mislead."""
    fitter = next(iter(fitters.values()))
    source = fitter.source
    if not isinstance(source, ArraySource):
        return None
    spread, features = spread_values(source, real_columns(fitter.estimator, None, source), seed)
    if not features:
        return None
    named = phrase([feature.heaps or feature.name for feature in features])
    return spread, f"Many observations have the same rounded value of {named}"


def _with_narrow_classes(entry: TableEntry, source: Any) -> TableEntry:
    """Return the entry with a note on classes that are narrower than the rounding of a column."""
    if entry.estimator is None or entry.note:
        return entry
    found = narrower(entry.estimator.result_, rounded_features(source))
    if not found:
        return entry
    named = phrase(list(dict.fromkeys(feature.name for _, feature in found)))
    note = f"a class is narrower than the rounding of {named}, and may be no class"
    return replace(entry, note=note)


def _pairs(fits: list[TableEntry]) -> tuple[tuple[TableEntry, TableEntry], ...]:
    """Return fits that differ by one class, the longest tests first, so that workers end alike."""
    fitted = {(fit.model, fit.n_classes): fit for fit in fits if fit.estimator is not None}
    smaller = {key: fitted.get((key[0], key[1] - 1)) for key in fitted}
    pairs = [(fit, fitted[key]) for key, fit in smaller.items() if fit is not None]
    return tuple(sorted(pairs, key=lambda pair: -cast("int", pair[1].values["n_parameters"])))


def _estimators(
    X: Any, models: Any, continuous: bool | Sequence[str] | None, columns: Any
) -> tuple[Any, dict[Any, str], dict[Any, Any], str]:
    """Return the usable columns, words for each model, its unfitted estimator, and a note."""
    if isinstance(continuous, Sequence):
        names = list(map(str, getattr(X, "columns", ())))
        if absent := [name for name in continuous if name not in names]:
            raise InvalidInputError(
                f"continuous must name columns of X, which are {', '.join(names)}, got "
                f"{absent[0]!r}"
            )
        columns = {n: "continuous" if n in continuous else "categorical" for n in names}
    coding = None if isinstance(continuous, bool) else coding_of_table(X, columns)
    mixed = coding is not None and coding.is_mixed
    if mixed and models is not None:
        raise InvalidInputError(
            "models are for continuous columns only: leave models out, so that the columns are "
            "independent within classes, or set continuous=True for numbers of all kinds"
        )
    if continuous is False or (mixed and coding is not None and all(coding.levels)):
        if coding is not None:
            if guesses := coding.guesses(("exclude",)):
                warn(f"columns: {guesses}", BayesmixWarning)
            X = X[list(coding.names)]
        words, mixture = "categories, independent within classes", Mixture(family=Categorical())
        note = "" if coding is None else integers_as_categories(coding)
        return X, {LOCAL_INDEPENDENCE: words}, {LOCAL_INDEPENDENCE: mixture}, note
    if mixed and coding is not None:
        kinds: dict[str, list[str]] = {}
        for name, kind, *_ in coding.decisions:
            kinds.setdefault(kind, []).append(name)
        listed = (f"{kind}: {phrase(names)}" for kind, names in kinds.items() if kind != "exclude")
        words = f"independent within classes ({'; '.join(listed)})"
        mixture = Mixture(columns=columns, covariance_type="diag")
        note = integers_as_categories(coding)
        return X, {LOCAL_INDEPENDENCE: words}, {LOCAL_INDEPENDENCE: mixture}, note
    asked: Any = [models] if isinstance(models, int | str) else models
    if asked is None:
        n_columns = np.shape(X)[1:] if coding is None else (len(coding.names),)
        asked = (1, 2) if n_columns == (1,) else tuple(STRUCTURES)
    described, estimators = {}, {}
    for name in asked:
        structure = NAMED.get(STRUCTURES.get(name, name))
        if structure is None:
            raise InvalidInputError(
                f"models must be 1, 2, 3, 6 or covariance structures such as 'VVE', got {name!r}"
            )
        letters = structure.letters
        described[name] = WORDS.get(letters, f"covariance structure {letters}")
        estimators[name] = GaussianMixture(covariance_type=structure.name)
        if coding is not None:  # frames may have identifiers, and numbers in text
            estimators[name] = Mixture(columns=columns, covariance_type=structure.name)
    return X, described, estimators, ""


def integers_as_categories(coding: Coding) -> str:
    """Say which integers are taken as categories without being named, and how to change that."""
    guessed = {name for name, _, reason, _ in coding.decisions if reason != AS_REQUESTED}
    scales: dict[tuple[Any, ...], list[str]] = {}
    for name, levels in zip(coding.names, coding.levels, strict=True):
        if name in guessed and levels and all(type(level) is int for level in levels):
            scales.setdefault((levels[0], levels[-1]), []).append(name)
    if not scales:
        return ""
    listed = (f"{brief(names)} ({low} to {high})" for (low, high), names in scales.items())
    return (
        f"Integers are taken as categories: {phrase(list(listed))}; continuous=True takes them as "
        "measurements"
    )
