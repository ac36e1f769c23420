"""Options of all commands, each declared once, in groups."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer

from bayesmix.errors import InvalidInputError

Method = StrEnum("Method", "EM VARIATIONAL MAP")
SearchMethod = StrEnum("SearchMethod", "EM VARIATIONAL")
Missing = StrEnum("Missing", "ERROR USE DROP")
Sampler = StrEnum("Sampler", "AUTO NUTS GIBBS")
Parts = StrEnum("Parts", "HALF BOOTSTRAP")
Dependence = StrEnum("Dependence", "INDEPENDENT REGRESSION")
Criterion = StrEnum(
    "Criterion",
    "AUTO EVIDENCE_FOLDS BIC SABIC AIC AICC ICL ICL_SOFT ELBO ELBO_LOG_K EVIDENCE LOO CV CV_1SE",
)


def _option(metavar: str, text: str, **bounds: Any) -> Any:
    return typer.Option(metavar=metavar, help=text, **bounds)


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Table: .csv, .tsv, .txt, .xlsx, .parquet, .npy, a folder; - for standard input",
    ),
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Saved model")]
Columns = Annotated[str | None, _option("A,B", "Columns to use. Default: all")]
Sep = Annotated[str | None, _option("SIGN", "Separator of columns in text. Default: detected")]
Decimal = Annotated[str | None, _option("SIGN", "Decimal sign in text: . or ,. Default: detected")]
Encoding = Annotated[str | None, _option("NAME", "Encoding of text. Default: utf-8")]
Weight = Annotated[str | None, _option("COLUMN", "Column of sample weights")]
MissingValues = Annotated[
    Missing, _option("NAME", "Missing values: error, use (integrate them out), or drop the rows")
]
Noise = Annotated[bool, typer.Option("--noise", help="Add a uniform noise component for outliers")]
Covariates = Annotated[str | None, _option("A,B", "Covariates of the mixing weights")]
Out = Annotated[str | None, _option("DIR", "Folder for the results")]
Static = Annotated[bool, typer.Option("--static", help="Report with images only, without the data")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the answer")]
Json = Annotated[bool, typer.Option("--json", help="Print only the result, as JSON")]
Components = Annotated[
    str | None, _option("K", "Numbers of components: 3, 1:10 or 1,2,5. Default: from 1 until worse")
]
Structure = Annotated[str, _option("NAME", "full, tied, diag, spherical, factors:2, ...")]
Structures = Annotated[
    str | None,
    _option(
        "LIST",
        "Covariances: full,tied,diag,spherical (the default), mclust's letters, factors:2, all",
    ),
]
Families = Annotated[
    str | None,
    _option("LIST", "Families of components: gaussian, student_t, poisson, ... Default: by column"),
]


@dataclass(frozen=True)
class Numbers:
    """DATA and its numeric columns."""

    data: Data
    columns: Columns = None
    weight: Weight = None
    sep: Sep = None
    decimal: Decimal = None
    encoding: Encoding = None


@dataclass(frozen=True)
class Table:
    """DATA and its columns of all types."""

    data: Data
    columns: Columns = None
    exclude: Annotated[str | None, _option("A,B", "Columns to leave out")] = None
    categorical: Annotated[str | None, _option("A,B", "Columns that are categories")] = None
    continuous: Annotated[str | None, _option("A,B", "Columns that are continuous")] = None
    counts: Annotated[str | None, _option("A,B", "Columns that are counts")] = None
    weight: Weight = None
    sep: Sep = None
    decimal: Decimal = None
    encoding: Encoding = None
    missing: MissingValues = Missing.ERROR
    scheduler: Annotated[
        str | None, _option("ADDRESS", "Dask scheduler, such as tcp://host:8786")
    ] = None


@dataclass(frozen=True)
class Candidates:
    """Candidates of a search, and their comparison."""

    components: Components = None
    covariance: Structures = None
    criterion: Annotated[
        Criterion | None,
        _option("NAME", "bic, icl, aicc, cv, elbo, ... Default: auto; bic with --method em"),
    ] = None
    method: Annotated[
        SearchMethod | None, _option("NAME", "em or variational. Default: by criterion")
    ] = None
    family: Families = None
    noise: Noise = False
    variable_selection: Annotated[
        bool,
        typer.Option(
            "--variable-selection", help="Choose the columns that distinguish the clusters"
        ),
    ] = False
    irrelevant: Annotated[
        Dependence,
        _option("NAME", "With --variable-selection: how other columns depend on the chosen ones"),
    ] = Dependence.INDEPENDENT


@dataclass(frozen=True)
class Sequences:
    """Sequences of a hidden Markov model, and the order of their rows."""

    sequence: Annotated[
        str | None, _option("COLUMN", "Column that names the sequence of each row")
    ] = None
    order: Annotated[str | None, _option("COLUMN", "Column of times, by which rows are sorted")] = (
        None
    )

    @property
    def names(self) -> list[str]:
        """The columns that are named."""
        return [name for name in (self.sequence, self.order) if name is not None]


@dataclass(frozen=True)
class Restart:
    """Checkpoints."""

    checkpoint: Annotated[str | None, _option("DIR", "Folder for finished work, for --resume")] = (
        None
    )
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume from the --checkpoint folder")
    ] = False


@dataclass(frozen=True)
class Run:
    """Randomness, workers and output."""

    seed: Annotated[int, _option("S", "Seed of the random numbers", min=0)] = 0
    jobs: Annotated[
        int | None,
        _option(
            "N", "Number of parallel workers (results do not depend on it). Default: all cores"
        ),
    ] = None
    quiet: Quiet = False
    json: Json = False


@dataclass(frozen=True)
class Print:
    """Output."""

    quiet: Quiet = False
    json: Json = False


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
    from bayesmix.selection.candidates import ALL

    if text is None:
        return None
    listed: list[Any] = []
    for name in dict.fromkeys(names(text) or [""]):
        factors = re.fullmatch(r"factors:([1-9]\d{0,3})", name)
        if not factors and name not in (*NAMED, ALL):
            raise InvalidInputError(
                f"--covariance must be among {', '.join(NAMED)} and factors:2, got {name!r}"
            )
        listed.append(FactorAnalytic(int(factors[1])) if factors else name)
    return listed


def structure(text: str) -> Any:
    """Return a single covariance structure."""
    listed = structures(text) or []
    if len(listed) > 1 or "all" in listed:
        raise InvalidInputError(
            f"--covariance must be one structure for a fit, got {text!r}: "
            "bayesmix select compares several"
        )
    return listed[0]


def families(text: str | None) -> list[Any] | None:
    """Return families separated by commas; None if the option is not given."""
    from bayesmix.families.bernoulli import Bernoulli
    from bayesmix.families.categorical import Categorical
    from bayesmix.families.exponential import Exponential
    from bayesmix.families.gamma import Gamma
    from bayesmix.families.gaussian.family import Gaussian
    from bayesmix.families.poisson import Poisson
    from bayesmix.families.student_t.family import StudentT
    from bayesmix.families.transformed import LogNormal

    if text is None:
        return None
    kinds: tuple[Any, ...] = (
        *(Gaussian, StudentT, LogNormal, Gamma, Exponential),
        *(Poisson, Bernoulli, Categorical),
    )
    families = {kind().name: kind() for kind in kinds}
    asked = names(text) or [""]
    if unknown := [name for name in asked if name not in families]:
        raise InvalidInputError(f"--family must be among {', '.join(families)}, got {unknown[0]!r}")
    return [families[name] for name in dict.fromkeys(asked)]
