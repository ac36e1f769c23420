"""``write_fit_report``: one fitted mixture and its rows as one HTML file, which loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from bayesmix.protocols import FittedMixture
from bayesmix.report import figures, rows_in_page, tables
from bayesmix.report.chosen import Search
from bayesmix.report.markup import Markup, joined, paragraphs, section, tag
from bayesmix.report.reproduce import in_lines
from bayesmix.report.subject import Subject, capital, counted
from bayesmix.report.write import document, report_place
from bayesmix.selection.checks.goodness_of_fit import goodness_of_fit
from bayesmix.selection.clustering.merging import merge_components
from bayesmix.version import __version__
from bayesmix.writing import write


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
    >>> from bayesmix.report.of_fit import write_fit_report
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
