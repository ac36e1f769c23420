"""``write_report`` and ``write_fit_report``: a search or a fit as one HTML file.

``page.html`` is the page; this module gathers the values that it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bayesmix.assess.goodness_of_fit import goodness_of_fit
from bayesmix.assess.merging import merge_components
from bayesmix.core.entries import page_maker
from bayesmix.core.procedures import noun_of
from bayesmix.em import display
from bayesmix.plots.style import pyplot
from bayesmix.report import figures, reproduce, tables, template
from bayesmix.report.assumptions import components_prior, documented, weights_prior
from bayesmix.report.subject import Subject, capital, subject_of
from bayesmix.selection.criteria import record
from bayesmix.sources.writing import file_to_write, try_to_write, write

if TYPE_CHECKING:
    from bayesmix.assess.description import Description

MOST_COMPONENTS, MOST_COLUMNS = 100, 100


def write_report(
    search: Any,
    path: Any,
    X: Any = None,
    title: str | None = None,
    command: Sequence[str] | None = None,
    interactive: bool = True,
    described: Description | None = None,
) -> Path:
    """Write the report of a fitted search, or of a fit of trajectories, as one HTML file.

    That of trajectories has the GRoLTS checklist.

    It adapts to telephones, dark screens and paper. The file is written, or replaced, only when
    complete.

    Parameters
    ----------
    search : fitted MixtureSearch
    path : str or Path
        File to write, in an existing folder.
    X : array, frame or source (n, D), optional
        Data to show, which a search does not keep; of a weighted fit, a source with its weights.
    title : str, optional
        Title above the answer, and of the page.
    command : sequence of str, optional
        Command line that was run, to show.
    interactive : bool
        Whether to include up to 1,000 samples, in up to 8 columns, for an interactive figure.
        False: they are only drawn.
    described : Description, optional
        Clusters described by further columns than those of ``X``. Default: by those of ``X``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the search is not fitted or kept no model, data do not fit it, or the path cannot be
        written.
    ImportError
        If Matplotlib is not installed.

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
    if noun_of(search) == "regression":
        titled = "Trajectories" if title is None else str(title)
        text = page_maker("regression")(search, titled)
    else:
        subject = subject_of(search, X, described)
        title = "Mixture model search" if title is None else str(title)
        text = page(subject, title, command, interactive)
    write(place, text.encode("utf-8"))
    return Path(path)


def page(
    subject: Subject, title: str, command: Sequence[str] | None = None, interactive: bool = True
) -> str:
    """Return the page of a search, the clusters first."""
    search, result = subject.search, subject.result
    seconds = float(subject.table["seconds"].sum())
    if len(search.folds_):
        seconds += float(search.folds_["seconds"].sum())
    priors = result.inference.name != "maximum_likelihood"
    told, of_others = tables.warnings(subject)
    return rendered(
        subject,
        title,
        interactive,
        search=search,
        answer=search.answer_.headline,
        lede="",
        sentences=subject.sentences,
        details=subject.details,
        warnings=told,
        of_others=of_others,
        criteria=tables.criteria(subject),
        candidates=tables.candidates(subject),
        numbers=sorted(set(subject.table["n_components"])),
        chosen_by=record(search.criterion_).label,
        behind_name=subject.criterion_name.removeprefix("the "),
        pictures=figures.pictures(subject),
        probabilities=subject.probabilities,
        documented=documented(search),
        of_components=components_prior(result) if priors else "",
        of_weights=weights_prior(subject) if priors else "",
        n_folds=int(search.folds_["fold"].nunique()) if len(search.folds_) else 0,
        folds_by="" if isinstance(search.cv, int) else type(search.cv).__name__,
        seconds=seconds,
        python=reproduce.script(subject),
        command=reproduce.in_lines(command or ()),
    )


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
    """Write the report of a fitted mixture: clusters by their columns, goodness of fit, components.

    ``path`` is in an existing folder; ``command`` is the command line that was run;
    ``random_state`` seeds the simulated data sets of the test; ``interactive`` is as in
    ``write_report``.
    """
    place = report_place(path)
    clusters = merge_components(model, X)
    stand_in = SimpleNamespace(
        best_estimator_=model,
        answer_=clusters.answer(X),
        describe=partial(model.describe, by="clusters"),
    )
    # Candidates are not mentioned.
    subject = Subject(stand_in, X, getattr(X, "index", None), given=X)
    fits = goodness_of_fit(model, X, n_jobs=n_jobs, random_state=random_state, progress=False)
    text = rendered(
        subject,
        title,
        interactive,
        search=None,
        answer=stand_in.answer_.headline,
        lede=capital(display.sentence(subject.result)) + ".",
        sentences=[fits.summary(), *clusters.summary().splitlines()],
        warnings=[("", event.in_words(subject.result.noun)) for event in subject.result.events],
        of_others=[],
        pictures=figures.density_figure(subject),
        command=reproduce.in_lines(command or ()),
    )
    write(place, text.encode("utf-8"))
    return Path(path)


def rendered(subject: Subject, title: str, interactive: bool, **values: Any) -> str:
    """Return the page, which loads nothing and runs no script but its own."""
    family: Any = subject.result.family
    beside = figures.clusters_figure(subject)
    if beside is None:
        # Nothing tells the clusters apart, so that the density stands beside them.
        beside, *values["pictures"] = values["pictures"]
    return template.page(
        "report/page.html",
        title,
        **values,
        subject=subject,
        result=subject.result,
        noun=subject.noun,
        beside=beside,
        covariates=tables.covariates(subject),
        components=display.component_table(subject.result, MOST_COMPONENTS, MOST_COLUMNS),
        fitted=display.sentence(subject.result),
        family=capital(family.title),
        has_levels=family.coding is not None and family.coding.has_levels,
        rows=figures.individual_rows(subject) if interactive else None,
        script=template.part("page.js"),
    )


def report_place(path: Any) -> Path:
    """Return where to write the report, after checking that it can be made there."""
    pyplot()  # or raise the error that says what to install
    place = file_to_write(path)
    try_to_write(place.parent)
    return place
