"""What stands on the command line as text, as the values that it means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bayesmix.errors import InvalidInputError


class Method(StrEnum):
    """How a mixture is fitted."""

    EM = "em"
    VARIATIONAL = "variational"
    MAP = "map"


class Missing(StrEnum):
    """What missing values mean."""

    ERROR = "error"
    USE = "use"
    DROP = "drop"


class SearchMethod(StrEnum):
    """How the candidates of a search are fitted."""

    EM = "em"
    VARIATIONAL = "variational"


class Sampler(StrEnum):
    """What a fit is checked against."""

    AUTO = "auto"
    NUTS = "nuts"
    GIBBS = "gibbs"


class Parts(StrEnum):
    """Which parts of the rows a search is repeated on."""

    HALF = "half"
    BOOTSTRAP = "bootstrap"


class Criterion(StrEnum):
    """What candidates are compared by."""

    AUTO = "auto"
    EVIDENCE_FOLDS = "evidence_folds"
    BIC = "bic"
    SABIC = "sabic"
    AIC = "aic"
    AICC = "aicc"
    ICL = "icl"
    ICL_SOFT = "icl_soft"
    ELBO = "elbo"
    ELBO_LOG_K = "elbo_log_k"
    EVIDENCE = "evidence"
    LOO = "loo"
    CV = "cv"
    CV_1SE = "cv_1se"


def names(text: str | None) -> list[str] | None:
    """Names separated by commas; None where nothing is given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def numbers(text: str | None) -> list[int] | None:
    """Numbers of components: "3", "1:10" (both ends), "1,2,5", or several of these; None: none."""
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,6})\s*(?::\s*(\d{1,6})\s*)?", part)
        if ends is None:
            break
        first = int(ends[1])
        last = first if ends[2] is None else int(ends[2])
        found += range(first, last + 1)
        if first < 1 or last < first:
            break
    else:
        return sorted(set(found))
    raise InvalidInputError(
        f"--components must be numbers of at least 1, such as 3, 1:10 or 1,2,5, got {text!r}"
    )


def structures(text: str | None) -> list[str] | None:
    """Covariance structures separated by commas; None where nothing is given."""
    from bayesmix.families.gaussian.covariance.models import NAMED
    from bayesmix.selection.candidates.structures_asked import ALL

    if text is None:
        return None
    found = names(text) or []
    unknown = [name for name in found if name not in (*NAMED, ALL)]
    if unknown or not found:
        got = ", ".join(unknown) or repr(text)
        raise InvalidInputError(f"--covariance must be among {', '.join(NAMED)}, got {got}")
    return list(dict.fromkeys(found))


def structure(text: str) -> str:
    """One covariance structure."""
    found = structures(text) or []
    if len(found) > 1 or "all" in found:
        raise InvalidInputError(
            f"--covariance must be one structure for a fit, got {text!r}: "
            "bayesmix select compares several"
        )
    return found[0]


@dataclass(frozen=True)
class Searched:
    """A search as it was asked for; None: as the search has it by itself."""

    components: list[int] | None
    structures: list[str] | None
    criterion: str | None
    method: str | None
    seed: int
    jobs: int | None
    missing: str = "error"
    noise: bool = False
