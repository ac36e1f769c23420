"""Commands for tables with a target column: classify, regress and trajectories."""

from __future__ import annotations

import re
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from bayesmix.shell import options
from bayesmix.shell.fits import Work
from bayesmix.shell.screen import Screen

if TYPE_CHECKING:
    import pandas as pd


def classify(
    *,
    rows: options.Numbers,
    kinds: options.Kinds,
    target: Annotated[str, options.option("COLUMN", "Column with the class of each row")],
    predict: Annotated[
        str | None, options.option("FILE", "File of new samples to classify")
    ] = None,
    missing: options.MissingValues = None,
    components: Annotated[
        str, options.option("K", "Number of components per class, or auto to select it")
    ] = "1",
    covariance: Annotated[
        str | None,
        options.option(
            "LIST", "Covariance structures to compare, as for bayesmix select. Default: auto"
        ),
    ] = None,
    novelty: Annotated[
        bool, options.flag("novelty", "Allow samples that belong to no known class")
    ] = False,
    folds: Annotated[
        int, options.option("N", "Folds to estimate the error rate; 0 for no estimate", min=0)
    ] = 5,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Train a classifier: one mixture per class.

    Rows without a class are used as unlabelled data. --out DIR saves result.json, model.bayesmix,
    predictions.csv and a figure.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    from bayesmix.classification.classifier import MixtureClassifier
    from bayesmix.plots import plot_classes
    from bayesmix.shell.data import (
        csv_text,
        features_of,
        gaps_sentence,
        missing_for,
        say_left_out,
        whole_table,
    )
    from bayesmix.shell.result_files import Figure
    from bayesmix.sources.memory import ArraySource

    screen, beside = Screen(run), (target, rows.weight)
    with screen.noting_warnings(screen.postpone):
        table = whole_table(rows, [*beside, *(options.names(rows.columns) or [])])
    numbers = None if components == "auto" else options.numbers(components)
    if numbers is not None and len(numbers) > 1:
        raise InvalidInputError(f"--components must be one number or auto, got {components!r}")
    if target in (options.names(rows.columns) or []):
        raise InvalidInputError(f"--columns must not include the target {target!r}")
    X, decided = features_of(screen, table, rows, kinds, beside)
    present = X.notna().any(axis=1).to_numpy()
    say_left_out(screen.postpone, present, "without any value")
    X, table = X[present], table[present]
    features, y = list(decided), table[target]
    with screen.noting_warnings(screen.postpone):
        new = None if predict is None else whole_table(rows, features, predict)[features]
    n_with_gaps = sum(int(one.isna().any(axis=1).sum()) for one in (X, new) if one is not None)
    if n_with_gaps and missing is None:
        screen.postpone(gaps_sentence(n_with_gaps))
    classifier = MixtureClassifier(
        "auto" if numbers is None else numbers[0],
        covariance_type=options.structures(covariance) or "auto",
        columns=decided,
        novelty=novelty,
        missing=missing_for(missing, n_with_gaps, "--novelty" if novelty else None),
        random_state=run.seed,
        n_jobs=run.jobs,
    )
    weights = None if rows.weight is None else table[rows.weight]
    with screen.noting_warnings(screen.postpone):
        classifier.fit(X, y, sample_weight=weights, weight_type=weight_type(rows))
    columns = tuple(map(str, X.columns))
    source = ArraySource(classifier._values(X), columns=columns)
    work = Work.on("classify", screen, rows, source, out)
    screen.answer(classifier.summary())
    values: dict[str, Any] = {
        "target": target,
        "classes": classifier.classes_,
        "structures": classifier.structures_.to_dict("records"),
        "log_likelihood": classifier.log_likelihood_,
        "n_parameters": classifier.n_parameters_,
    }
    labelled = y.notna().to_numpy()
    if folds > 1 and y[labelled].value_counts().min() >= folds:
        splits = StratifiedKFold(folds, shuffle=True, random_state=run.seed)

        def fold_scores() -> Any:
            with warnings.catch_warnings(action="ignore", category=BayesmixWarning):  # told before
                return cross_val_score(classifier, X[labelled], y[labelled], cv=splits, n_jobs=1)

        scores = work.noting(fold_scores)
        error = 1.0 - scores.mean()
        spread = scores.std(ddof=1) / folds**0.5
        shares = y[labelled].value_counts(normalize=True)
        always = f"always {shares.index[0]}: {1.0 - shares.iloc[0]:.3f}"
        screen.answer(
            f"Cross-validated error: {error:.3f} ± {spread:.3f} ({folds} folds; {always})."
        )
        values["error"], values["error_standard_error"] = error, spread
        values["error_of_largest_class"] = 1.0 - shares.iloc[0]
    contents: dict[str, Any] = {"model.bayesmix": classifier}
    if X.shape[1] > 1:
        contents["classes.png"] = Figure(lambda ax: plot_classes(classifier, X, y, ax=ax))
    if new is not None:
        answers = work.noting(lambda: class_predictions(classifier, new))
        if out is None and not screen.machine:
            screen.answer(csv_text(answers).rstrip("\n"))
        contents["predictions.csv"] = csv_text(answers)
        values["predictions"] = answers["class"].value_counts().to_dict()
    work.end(values | {"warnings": work.warnings}, contents)


def weight_type(rows: options.Numbers) -> str | None:
    """Return the type of the weights as functions name it."""
    return None if rows.weight_type is None else rows.weight_type.value


Response = StrEnum("Response", "NORMAL POISSON BINOMIAL GAMMA NEGATIVE_BINOMIAL")
Column = str | None
MissingRows = Annotated[
    options.Missing | None,
    options.option("NAME", "Rows with missing values: drop or error (default)"),
]


def regress(
    *,
    rows: options.Numbers,
    kinds: options.Kinds,
    target: Annotated[str, options.option("COLUMN", "Column of the response")],
    missing: MissingRows = None,
    components: Annotated[str, options.option("K", options.NUMBERS)] = "1:4",
    response: Annotated[
        Response, options.option("NAME", "normal, poisson, binomial, gamma or negative_binomial")
    ] = Response.NORMAL,
    gate: Annotated[Column, options.option("A,B", "Covariates of the mixing weights")] = None,
    groups: Annotated[
        Column,
        options.option("COLUMN", "Column of group names; rows of a group share their component"),
    ] = None,
    offset: Annotated[
        Column, options.option("COLUMN", "Column of offsets in the linear predictor")
    ] = None,
    trials: Annotated[
        Column,
        options.option("COLUMN", "Column with the number of trials, for --response binomial"),
    ] = None,
    sequences: options.Sequences,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Fit mixtures of regressions, or switching regressions.

    The number of components, or of states, is selected by BIC. --out DIR saves result.json,
    table.csv with the coefficients, model.bayesmix and a figure.
    """
    import numpy as np

    from bayesmix.data.column_kinds import kind_of
    from bayesmix.data.numbers_in_text import as_numbers
    from bayesmix.data.table_columns import is_numeric
    from bayesmix.estimators.search import MixtureSearch
    from bayesmix.regressions.regression_mixture import RegressionMixture
    from bayesmix.shell.data import (
        checked_covariates,
        complete,
        csv_text,
        features_of,
        rows_in_time,
        whole_table,
    )
    from bayesmix.shell.result_files import Figure
    from bayesmix.shell.shown_tables import candidate_table, frame_table
    from bayesmix.sources.memory import as_source

    screen, gated = Screen(run), options.names(gate) or []
    roles = {"groups": groups, "offset": offset, "trials": trials, "sample_weight": rows.weight}
    used = [target, *gated, *filter(None, roles.values()), *sequences.names]
    with screen.noting_warnings(screen.postpone):
        frame = whole_table(rows, [*used, *(options.names(rows.columns) or [])])
    if not is_numeric(frame[target].dtype):
        if (amounts := as_numbers(frame[target])) is None:
            why = kind_of(target, frame[target]).why or "text"
            raise InvalidInputError(f"--target must be numbers, but {target!r} is not: {why}")
        frame[target] = amounts
    X, decided = features_of(screen, frame, rows, kinds, used)
    frame[X.columns] = X
    frame = complete(screen, frame, [*decided, *used], target, missing)
    in_time: dict[str, Any] = {}
    if sequences.names:
        columns = {name: frame[name].tolist() for name in sequences.names}
        order, in_time = rows_in_time(columns, sequences, len(frame))
        in_time["sequences"] = in_time.pop("groups")
        frame = frame.iloc[order]
    X = X.loc[frame.index]
    weights = None if rows.weight is None else frame[rows.weight].to_numpy(dtype=float)
    source = as_source(np.empty(X.shape), weights, columns=tuple(decided))
    work = Work.on("regress", screen, rows, source, out)
    search = MixtureSearch(
        RegressionMixture(response=response.value, columns=decided),
        options.numbers(components) or 1,
        random_state=run.seed,
        n_jobs=run.jobs,
        progress=screen.progress,
    )
    data: dict[str, Any] = {"weight_type": weight_type(rows)}
    data |= {name: frame[key] for name, key in roles.items() if key is not None}
    data |= in_time
    if gated:
        data["gate"] = checked_covariates(frame[gated], "--gate")
    work.noting(lambda: search.fit(X, frame[target], **data))
    model = search.best_estimator_
    table = model.coefficients().reset_index()
    screen.table(candidate_table(search))
    screen.say()
    screen.answer("\n".join(model._sentences()))
    screen.table(frame_table("Coefficients", table))
    values = {
        "response": response.value,
        "n_components": model.n_components_,
        "weights": model.weights_,
        "log_likelihood": model.log_likelihood_,
        "bic": -0.5 * model.bic(),
        "candidates": search.results_.to_dict("records"),
        "coefficients": table.to_dict("records"),
        "warnings": work.warnings,
        "seconds": work.seconds,
    }
    contents = {
        "model.bayesmix": model,
        "table.csv": csv_text(table),
        "regression.png": Figure(lambda ax: model.plot(ax=ax)),
    }
    work.end(values, contents)


def class_predictions(classifier: Any, X: pd.DataFrame) -> pd.DataFrame:
    """Return the class, the probabilities of all classes and the log density of each row."""
    import pandas as pd

    names = [f"p_{name}" for name in classifier._all_classes]
    answers = pd.DataFrame(classifier.predict_proba(X), columns=names)
    answers.insert(0, "class", classifier.predict(X))
    return answers.assign(log_density=classifier.score_samples(X))


def response_predictions(model: Any, X: pd.DataFrame) -> pd.DataFrame:
    """Return the mean response, and that of each component, of each row."""
    import pandas as pd

    if model._data.gate is not None or model._data.values[:, 1].any():
        raise UnsupportedError(
            "predict does not support --gate and --offset of a regression: use Python, "
            "bayesmix.load(path).predict(X, gate=, offset=)"
        )
    first = int(model._time is not None)  # classes of trajectories count from 1
    names = [f"mean_{first + k}" for k in range(model.n_components_)]
    answers = pd.DataFrame(model.predict_components(X), columns=names)
    answers.insert(0, "mean", model.predict(X))
    return answers


PREDICTIONS = {"MixtureClassifier": class_predictions, "RegressionMixture": response_predictions}


def predict_table(
    screen: Screen, model: Any, path: str, rows: options.Numbers, keep: str | None, out: Path | None
) -> None:
    """Predict with a saved classifier or regression, as CSV."""
    import numpy as np

    from bayesmix.shell.data import answers_by_row, say_left_out, whole_table, written
    from bayesmix.sources.memory import ArraySource

    coding = getattr(model, "_coding", None)
    fitted = getattr(model, "feature_names_in_", None) if coding is None else coding.names
    if getattr(model, "_time", None) is not None:
        fitted = model._time.names
    used = options.names(rows.columns) or ([] if fitted is None else [str(one) for one in fitted])
    with screen.noting_warnings(screen.postpone):
        table = whole_table(rows, used)
    X = table[used] if used else table
    if fitted is not None and len(fitted) == X.shape[1]:
        X = X.set_axis(list(fitted), axis=1)
    present = X.notna().any(axis=1).to_numpy()
    say_left_out(screen.note, present, "without any value")
    if not getattr(model, "novelty", True):
        for of_class in model.models_.values():
            of_class.set_params(missing="use")
    with screen.noting_warnings():
        predicted = PREDICTIONS[type(model).__name__](model, X[present])
    if getattr(model, "_time", None) is not None:
        screen.note(
            "these are mean responses; for the classes of new units use Python: "
            "bayesmix.load(path).predict_proba(frame, frame[y], groups=frame[unit])"
        )
    answers = answers_by_row(rows, keep, predicted, present)
    if not written(screen, answers, out):
        return
    values: dict[str, Any] = {"model": path, "files": [] if out is None else [str(out)]}
    if "class" in answers:
        values["predictions"] = answers["class"].value_counts().to_dict()
    screen.answer(f"{present.sum():,} rows predicted.")
    source = ArraySource(np.zeros(X.shape), columns=tuple(map(str, X)))
    Work("predict", screen, rows.data, source).end(values, {})


CourseResponse = StrEnum(
    "CourseResponse",
    "NORMAL POISSON BINOMIAL GAMMA NEGATIVE_BINOMIAL ZERO_INFLATED_POISSON CENSORED_NORMAL ORDINAL",
)


def degrees(text: str) -> int | list[int]:
    """Return the degree of all classes from "2", or that of each from "2,1,0"."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,2}", part) for part in parts):
        raise InvalidInputError(f"--degree must be numbers such as 2 or 2,1,0, got {text!r}")
    return int(parts[0]) if len(parts) == 1 else [int(part) for part in parts]


def trajectories(
    *,
    rows: options.Numbers,
    target: Annotated[str, options.option("COLUMN", "Column of the response")],
    time: Annotated[str, options.option("COLUMN", "Column of the time of each visit")],
    unit: Annotated[str, options.option("COLUMN", "Column of the identifier of the unit")],
    components: Annotated[
        str | None,
        options.option(
            "K",
            "Numbers of classes: 3, 1:6 or 1,2,5; by default 1:5, or as many as degrees",
            "--components",
            "--classes",
        ),
    ] = None,
    degree: Annotated[
        str, options.option("N", "Degree of the polynomial in time, or of each class: 2,1,0")
    ] = "1",
    random: Annotated[
        str,
        options.option(
            "A,B",
            "Random effects of a normal response: intercept, such columns as the time, or none",
        ),
    ] = "intercept",
    fixed: Annotated[
        str | None, options.option("A,B", "Columns with one coefficient for all classes")
    ] = None,
    gate: Annotated[
        str | None,
        options.option(
            "A,B", "Columns that predict class membership", "--gate", "--class-predictors"
        ),
    ] = None,
    response: Annotated[
        CourseResponse,
        options.option(
            "NAME", "As for bayesmix regress, or zero_inflated_poisson, censored_normal or ordinal"
        ),
    ] = CourseResponse.NORMAL,
    limits: Annotated[
        str | None,
        options.option("LOW,HIGH", "Limits of --response censored_normal, such as 0,10 or 0,"),
    ] = None,
    missing: MissingRows = None,
    inflation: Annotated[
        str | None,
        options.option("A,B", "Columns of time that change the odds of extra zeros"),
    ] = None,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Find classes of courses over time, one class per unit.

    The number of classes is selected by BIC over units. --out DIR saves result.json, table.csv with
    the coefficients, units.csv with the class of each unit, report.html with the items of GRoLTS
    (2017), which are also in checklist.csv, model.bayesmix and a figure.
    """
    import numpy as np

    from bayesmix.regressions.regression_plots import plot_trajectories
    from bayesmix.regressions.trajectories import trajectories as search_trajectories
    from bayesmix.regressions.trajectory_report import trajectory_page
    from bayesmix.regressions.trajectory_tables import (
        class_assignment,
        trajectory_checklist,
        trajectory_table,
        unit_table,
    )
    from bayesmix.shell.data import csv_text, whole_table
    from bayesmix.shell.result_files import Figure
    from bayesmix.shell.shown_tables import frame_table
    from bayesmix.sources.memory import as_source

    screen = Screen(run)
    if rows.columns is not None:
        screen.postpone("--columns is not used: name covariates in --fixed and --gate")
    covariates = [*(options.names(fixed) or []), *(options.names(gate) or [])]
    with screen.noting_warnings(screen.postpone):
        table = whole_table(rows, [target, time, unit, *covariates, rows.weight])
    source = as_source(np.empty((len(table), 1)), columns=(time,))
    work = Work.on("trajectories", screen, rows, source, out)
    search: Any = work.noting(
        lambda: search_trajectories(
            table,
            y=target,
            time=time,
            unit=unit,
            n_components=options.numbers(components),
            degree=degrees(degree),
            random=None if random == "none" else tuple(options.names(random) or ()),
            limits=options.pair("limits", limits),
            inflation=options.names(inflation),
            fixed=options.names(fixed) or (),
            class_predictors=options.names(gate) or (),
            response=response.value,
            sample_weight=rows.weight,
            weight_type=weight_type(rows),
            missing="error" if missing is None else missing.value,
            random_state=run.seed,
            n_jobs=run.jobs,
            progress=screen.progress,
        )
    )
    model = search.best_estimator_
    enumeration = trajectory_table(search).reset_index()
    coefficients = model.coefficients().reset_index()
    classes = class_assignment(model).reset_index()
    few = ["classes", "log_likelihood", "bic", "relative_entropy", "smallest_share"]
    screen.table(frame_table("Numbers of classes", enumeration[few]))
    screen.say()
    screen.answer("\n".join(model._sentences()))
    short = {"odds_of_correct_classification": "odds_correct"}
    screen.table(frame_table("Classes", classes.rename(columns=short)))
    screen.table(frame_table("Coefficients", coefficients))
    values = {
        "n_components": model.n_components_,
        "weights": model.weights_,
        "log_likelihood": model.log_likelihood_,
        "candidates": enumeration.to_dict("records"),
        "classes": classes.to_dict("records"),
        "coefficients": coefficients.to_dict("records"),
        "warnings": work.warnings,
        "seconds": work.seconds,
    }
    contents = {
        "model.bayesmix": model,
        "table.csv": csv_text(coefficients),
        "units.csv": csv_text(unit_table(model), True, unit),
        "report.html": trajectory_page(search, "Trajectories"),
        "checklist.csv": trajectory_checklist(search).to_csv(),
        "trajectories.png": Figure(lambda ax: plot_trajectories(model, ax=ax)),
    }
    work.end(values, contents)
