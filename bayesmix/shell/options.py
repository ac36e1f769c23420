"""Options of all commands, each declared once, in groups."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer

from bayesmix.core.validation import meant
from bayesmix.errors import InvalidInputError

Method = StrEnum("Method", "EM VARIATIONAL MAP")
SearchMethod = StrEnum("SearchMethod", "EM VARIATIONAL")
Missing = StrEnum("Missing", "ERROR USE DROP")
Sampler = StrEnum("Sampler", "AUTO NUTS GIBBS")
Parts = StrEnum("Parts", "HALF BOOTSTRAP")
Dependence = StrEnum("Dependence", "INDEPENDENT REGRESSION")


def option(metavar: str, text: str, *names: str, **bounds: Any) -> Any:
    """Return an option of a command that takes a value; ``names`` if it has several."""
    return typer.Option(*names, metavar=metavar, help=text, **bounds)


def flag(name: str, text: str) -> Any:
    """Return an option of a command that takes no value."""
    return typer.Option(f"--{name}", help=text)


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A .csv, .tsv, .txt, .xlsx, .parquet or .npy file, a folder of such files, or - for "
        "standard input",
    ),
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Saved model")]
Columns = Annotated[str | None, option("A,B", "Columns to use. Default: all")]
Sep = Annotated[str | None, option("CHAR", "Column separator in text files. Default: detected")]
Decimal = Annotated[
    str | None, option("CHAR", "Decimal point or comma in text files. Default: detected")
]
Encoding = Annotated[str | None, option("NAME", "Encoding of text files. Default: utf-8")]
Na = Annotated[
    str | None,
    option("A,B", "Cells that mean missing values, besides NA, n/a, NULL, ., ? and -"),
]
WeightKind = StrEnum("WeightKind", "FREQUENCY SAMPLING")
MissingValues = Annotated[
    Missing | None,
    option(
        "NAME",
        "Missing values: use (integrate them out), drop (omit the row) or error (stop). Default: "
        "use, except with --noise",
    ),
]
Noise = Annotated[bool, flag("noise", "Add a uniform noise component for outliers")]
Gaps = Annotated[
    bool, flag("gaps", "Count groups between which the density has a gap, such as curved ones")
]
Covariates = Annotated[
    str | None,
    option("A,B", "Covariates of the mixing weights, or of first states and transitions"),
]
Out = Annotated[str | None, option("DIR", "Folder for the results")]
Static = Annotated[
    bool, flag("static", "Use images instead of interactive figures, which contain the data")
]
NUMBERS = "Numbers of components to compare: 3, 1:10 or 1,2,5"
Components = Annotated[
    str | None,
    option("K", f"{NUMBERS}. Default: 1, 2, ... until the criterion gets clearly worse"),
]
Structure = Annotated[
    str,
    option(
        "NAME",
        "Covariance structure: full, tied, diag, spherical, a name from mclust such as VVE, or "
        "factors:2 (2 factors)",
    ),
]
Structures = Annotated[
    str | None,
    option(
        "LIST",
        "Covariance structures to compare: full, tied, diag, spherical, names from mclust such as "
        "VVE, factors:2 (2 factors), or all. Default: full,tied,diag,spherical",
    ),
]
FAMILIES = (
    "gaussian, student_t, log_normal, bernoulli, poisson, exponential, gamma, weibull, "
    "beta, binomial (with --trials), categorical, ordinal, multinomial, negative_binomial, "
    "zero_inflated_poisson, zero_or (gamma amounts with zeros), von_mises "
    "(hours on a circle), von_mises_fisher, rasch or two_parameter_logistic. "
    "Default: chosen by the type of each column"
)
Families = Annotated[str | None, option("LIST", f"Families of components to compare: {FAMILIES}")]
OneFamily = Annotated[str | None, option("NAME", f"Family of components: {FAMILIES}")]


@dataclass(frozen=True)
class Numbers:
    """DATA and its numeric columns."""

    data: Data
    columns: Columns = None
    weight: Annotated[str | None, option("COLUMN", "Column of sample weights")] = None
    sep: Sep = None
    decimal: Decimal = None
    encoding: Encoding = None
    na: Na = None
    weight_type: Annotated[
        WeightKind | None,
        option("NAME", "Weights: frequency (numbers of repetitions) or sampling (survey weights)"),
    ] = None


@dataclass(frozen=True)
class MeasuredAs:
    """How the values of DATA were measured."""

    error_columns: Annotated[
        str | None,
        option("A,B", "Columns of standard errors of --columns, or pairs such as x=x_error"),
    ] = None
    limit: Annotated[
        str | None,
        option(
            "LIST", "Limits of detection, such as 'lead<0.5,hours>100'; cells may be <0.5 as well"
        ),
    ] = None
    censored: Annotated[
        str | None,
        option(
            "LIST",
            "Times that may not have ended, with columns of events (1: ended, 0: only known to be "
            "longer), such as time:delta",
        ),
    ] = None
    trials: Annotated[
        str | None,
        option(
            "LIST",
            "Columns count successes in so many trials: a number, a column, or pairs such as "
            "hits=shots (--family binomial)",
        ),
    ] = None

    @property
    def is_given(self) -> bool:
        """Whether any option is."""
        parts = (self.error_columns, self.limit, self.censored, self.trials)
        return any(part is not None for part in parts)


@dataclass(frozen=True)
class Kinds:
    """Kinds of columns, where they do not follow from names and values."""

    exclude: Annotated[str | None, option("A,B", "Columns to leave out")] = None
    categorical: Annotated[str | None, option("A,B", "Columns to treat as categorical")] = None
    continuous: Annotated[str | None, option("A,B", "Columns to treat as continuous")] = None
    counts: Annotated[str | None, option("A,B", "Columns to treat as counts")] = None
    ratings: Annotated[
        str | None, option("A,B", "Columns to treat as ratings, whose levels are ordered")
    ] = None


@dataclass(frozen=True)
class Table(MeasuredAs, Kinds, Numbers):
    """DATA and its columns of all types."""

    missing: MissingValues = None
    scheduler: Annotated[
        str | None, option("ADDRESS", "Address of a Dask scheduler, such as tcp://host:8786")
    ] = None


@dataclass(frozen=True)
class Candidates:
    """Candidates of a search, and their comparison."""

    components: Components = None
    covariance: Structures = None
    criterion: Annotated[
        str | None,
        option(
            "NAME",
            "auto (log evidence and clusters), bic, sabic, hqc, icl, icl_soft, aic, aicc, "
            "design_bic, elbo, elbo_log_k, elbo_prior, evidence, loo, cv or cv_1se. Default: auto, "
            "or bic if --method is em",
        ),
    ] = None
    method: Annotated[
        SearchMethod | None,
        option(
            "NAME",
            "em (maximum likelihood) or variational (variational Bayes). Default: "
            "em with --criterion bic, icl, aic or cv, otherwise variational",
        ),
    ] = None
    family: Families = None
    noise: Noise = False
    variable_selection: Annotated[
        bool, flag("variable-selection", "Select the columns that distinguish the clusters")
    ] = False
    irrelevant: Annotated[
        Dependence,
        option(
            "NAME",
            "How --variable-selection models the columns that it does not select: independent, "
            "or regression on the selected ones",
        ),
    ] = Dependence.INDEPENDENT
    gaps: Gaps = False


@dataclass(frozen=True)
class Sequences:
    """Sequences of a hidden Markov model, and the order of their rows."""

    sequence: Annotated[
        str | None,
        option("COLUMN", "Column of sequence names, for hidden Markov chains"),
    ] = None
    order: Annotated[
        str | None,
        option("COLUMN", "Column of times to sort by, for hidden Markov chains"),
    ] = None
    times: Annotated[
        str | None,
        option("COLUMN", "The same for uneven times, for chains in continuous time"),
    ] = None

    @property
    def by_option(self) -> dict[str, list[str]]:
        """The columns that are named, by option."""
        if self.order is not None and self.times is not None:
            raise InvalidInputError("--order and --times must not both be given: leave --order out")
        return {option: [name] for option, name in vars(self).items() if name is not None}

    @property
    def names(self) -> list[str]:
        """The columns that are named."""
        return [name for of_option in self.by_option.values() for name in of_option]


@dataclass(frozen=True)
class Restart:
    """Checkpoints."""

    checkpoint: Annotated[
        str | None, option("DIR", "Folder for intermediate results, from which --resume continues")
    ] = None
    resume: Annotated[
        bool, flag("resume", "Continue an interrupted run from the --checkpoint folder")
    ] = False


@dataclass(frozen=True)
class Print:
    """Output."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the summary")] = False
    json: Annotated[bool, flag("json", "Print only JSON")] = False


@dataclass(frozen=True)
class Run(Print):
    """Randomness, workers and output."""

    seed: Annotated[int, option("S", "Random seed", min=0)] = 0
    jobs: Annotated[
        int | None,
        option("N", "Number of parallel workers; does not change results. Default: all cores"),
    ] = None


def spelled_out(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command for typer, with each option of its groups as a parameter."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        of_group = signature(groups[name], eval_str=True).parameters if name in groups else {}
        parameters += of_group.values() or [parameter.replace(annotation=hints[name])]

    def run(**given: Any) -> None:
        records = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**records, **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    ordered = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = Signature(ordered)  # type: ignore[attr-defined]
    return run


def names(text: str | None) -> list[str] | None:
    """Return names separated by commas; None if the option is not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def pair(name: str, text: str | None) -> tuple[float | None, float | None] | None:
    """Return two numbers separated by a comma, one of which may be left out."""
    if text is None:
        return None
    try:
        low, high = (float(part) if part.strip() else None for part in text.split(","))
    except ValueError:
        raise InvalidInputError(
            f"--{name} must be two numbers such as 0,10 or 0, for no upper limit, got {text!r}"
        ) from None
    return low, high


def numbers(text: str | None) -> list[int] | None:
    """Return numbers of components from "3", "1:10" (ends included), "1,2,5", or a combination."""
    if text is None:
        return None
    listed: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,6})\s*(?::\s*(\d{1,6})\s*)?", part)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (0, 0)
        if not 1 <= first <= last:
            raise InvalidInputError(
                "--components must be numbers of at least 1, such as 3, 1:10 or 1,2,5, "
                f"got {text!r}"
            )
        listed += range(first, last + 1)
    return sorted(set(listed))


def structures(text: str | None) -> list[Any] | None:
    """Return covariance structures separated by commas; None if the option is not given."""
    from bayesmix.families.factor_analytic.family import FactorAnalytic
    from bayesmix.families.gaussian.covariance.models import NAMED
    from bayesmix.selection.structures import ALL

    listed: list[Any] = []
    for name in () if text is None else dict.fromkeys(names(text) or [""]):
        factors = re.fullmatch(r"factors:([1-9]\d{0,3})", name)
        if not factors and name not in (*NAMED, ALL):
            raise InvalidInputError(
                f"--covariance must be among {', '.join(NAMED)} and factors:2, got {name!r}"
                f"{meant(name, list(NAMED))}"
            )
        listed.append(FactorAnalytic(int(factors[1])) if factors else name)
    return listed or None


def structure(text: str) -> Any:
    """Return a single covariance structure."""
    listed = structures(text) or []
    if len(listed) > 1 or "all" in listed:
        raise InvalidInputError(
            f"--covariance must be one structure for a fit, got {text!r}: "
            "bayesmix select compares several"
        )
    return listed[0]


def families(text: str | None) -> list[str] | None:
    """Return names of families separated by commas; None if the option is not given."""
    from bayesmix.families.registry import BY_NAME

    if text is None:
        return None
    asked = names(text) or [""]
    if unknown := [name for name in asked if name not in BY_NAME]:
        raise InvalidInputError(
            f"--family must be among {', '.join(BY_NAME)}, got {unknown[0]!r}"
            f"{meant(unknown[0], list(BY_NAME))}"
        )
    return list(dict.fromkeys(asked))
