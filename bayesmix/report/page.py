"""``write_report``: a search as one HTML file, which loads nothing and reads without its script.

``write_fit_report``: one fitted mixture and its rows as one HTML file, which loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from bayesmix.assess.goodness_of_fit import goodness_of_fit
from bayesmix.assess.merging import merge_components
from bayesmix.core.sources import FittedMixture
from bayesmix.core.writing import file_to_write, try_to_write, write
from bayesmix.report import answer, assumptions, figures, reproduce, tables
from bayesmix.report import markup as rows_in_page
from bayesmix.report.markup import Markup, joined, paragraphs, section, tag
from bayesmix.report.reproduce import in_lines
from bayesmix.report.subject import Search, Subject, capital, counted, subject_of
from bayesmix.version import __version__

TITLE = "Mixture model search"
# A browser that heeds this loads nothing and runs no script but the page's own, whatever it says.
NOTHING_FROM_ELSEWHERE = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
)


def write_report(
    search: Any,
    path: Any,
    X: Any = None,
    title: str | None = None,
    command: Sequence[str] | None = None,
    interactive: bool = True,
) -> Path:
    """Write the report of a fitted search: the answer first, then all that it rests on.

    One file that reads on a telephone, on a screen light or dark, and on paper. Nothing is written
    unless all of it can be; a file that was there is replaced at once.

    Parameters
    ----------
    search : fitted MixtureSearch
    path : str or Path
        The file to write, in a folder that is there.
    X : array, frame or source (n, D), optional
        Rows to show: a search keeps none.
    title : str, optional
        Stands above the answer, and names the page.
    command : sequence of str, optional
        The command line that was run, in words; None: one that does the same, if there is one.
    interactive : bool
        Whether up to 1,000 of the rows stand in the file, in up to 8 columns, for a figure that
        tells of each row under the pointer. False: they are only drawn.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        For a search that is not fitted or has kept no model, rows that do not fit it, and a path
        that cannot be written, before anything is made.
    ImportError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import tempfile, bayesmix as bm
    >>> from bayesmix.report import write_report
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.select(X, n_components=(1, 2, 3))
    >>> write_report(search, tempfile.mkdtemp() + "/report.html", X).name
    'report.html'
    """
    place = report_place(path)
    subject = subject_of(search, X)
    text = page(subject, TITLE if title is None else str(title), command, interactive)
    write(place, text.encode("utf-8"))
    return Path(path)


def page(
    subject: Subject, title: str, command: Sequence[str] | None = None, interactive: bool = True
) -> str:
    """The whole page, the answer first."""
    body = tag(
        "main",
        answer.header(subject, title),
        tables.warnings(subject),
        answer.criteria(subject),
        section("In pictures", figures.figures(subject), answer.probabilities(subject)),
        rows_in_page.rows_one_by_one(subject) if interactive else Markup(),
        tables.components(subject),
        tables.candidates(subject),
        assumptions.assumptions(subject),
        reproduce.reproduce(subject, command),
        tag("footer", tag("p", f"Made with bayesmix {__version__} on {date.today():%Y-%m-%d}.")),
    )
    return document(f"{subject.headline()} · {title}", body)


def document(name: str, body: Markup) -> str:
    """A page of this name, which loads nothing."""
    script = part("page.js")
    allowed = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = NOTHING_FROM_ELSEWHERE.format(script=allowed)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", name),
        tag("style", Markup(part("page.css"))),
    )
    whole = tag("body", body, tag("script", Markup(script)))
    return "<!doctype html>\n" + tag("html", head, whole, lang="en") + "\n"


def part(name: str) -> str:
    """How the page looks, or what it does: a file of this package."""
    return files("bayesmix.report").joinpath(name).read_text("utf-8")


def report_place(path: Any) -> Path:
    """Where a report will stand, once it is known that one can be made and written there."""
    figures.require_matplotlib()
    place = file_to_write(path)
    try_to_write(place.parent)
    return place


@dataclass(frozen=True)
class Fitted:
    """A fit in the place of a search that chose it."""

    best_estimator_: FittedMixture


def write_fit_report(
    model: Any,
    path: Any,
    X: Any,
    title: str = "Mixture model",
    command: Sequence[str] | None = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
    interactive: bool = True,
) -> Path:
    """Write the report of a fitted mixture: how well it fits these rows, components, clusters.

    Parameters
    ----------
    model : fitted estimator
    path : str or Path
        The file to write, in a folder that is there.
    X : array, frame or source (n, D)
        The rows to judge it by, and to show.
    title : str
        Stands above the answer, and names the page.
    command : sequence of str, optional
        The command line that was run, in words.
    random_state : None, int, RandomState or Generator
        Of the data sets that the fit is compared with.
    n_jobs : int, optional
        Worker processes. None: all cores. Changes no number.
    interactive : bool
        As ``write_report`` takes it.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> import tempfile, bayesmix as bm
    >>> from bayesmix.report.page import write_fit_report
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> write_fit_report(gm, tempfile.mkdtemp() + "/report.html", X).name
    'report.html'
    """
    place = report_place(path)
    subject = Subject(cast("Search", Fitted(model)), X)  # nothing is said of candidates
    fits = goodness_of_fit(model, X, n_jobs=n_jobs, random_state=random_state, progress=False)
    clusters = merge_components(model, X)
    headline = capital(f"{counted(subject.result.n_components, 'component')}")
    events = [tag("li", event.text) for event in subject.result.events]
    body = tag(
        "main",
        tag(
            "header",
            tag("p", title, class_="eyebrow"),
            tag("h1", headline),
            tag("p", fits.summary(), class_="lede"),
        ),
        section("Worth acting on", tag("ul", joined(events), class_="warnings"))
        if events
        else Markup(),
        section("In pictures", figures.density_figure(subject)),
        rows_in_page.rows_one_by_one(subject) if interactive else Markup(),
        tables.components(subject),
        section("Clusters", paragraphs(clusters.summary().splitlines())),
        section("How to do it again", tag("pre", tag("code", in_lines(command)), tabindex="0"))
        if command
        else Markup(),
        tag("footer", tag("p", f"Made with bayesmix {__version__} on {date.today():%Y-%m-%d}.")),
    )
    write(place, document(f"{headline} · {title}", body).encode("utf-8"))
    return Path(path)
