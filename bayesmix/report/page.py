"""``write_report`` and ``write_fit_report``: a search or a fit as one HTML file."""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bayesmix import plots
from bayesmix.assess.goodness_of_fit import goodness_of_fit
from bayesmix.assess.merging import merge_components
from bayesmix.core.writing import file_to_write, try_to_write, write
from bayesmix.errors import UnsupportedError
from bayesmix.families.gaussian.covariance.models import label
from bayesmix.plots.selection import MOST_LINES
from bayesmix.plots.sequences import plot_transitions
from bayesmix.plots.style import pyplot
from bayesmix.report import assumptions, tables
from bayesmix.report import markup as rows_in_page
from bayesmix.report.assumptions import HEADING, in_lines, listing, reproduce
from bayesmix.report.markup import Markup, joined, number, paragraphs, section, table, tag, typeset
from bayesmix.report.subject import Subject, capital, listed, subject_of
from bayesmix.selection.criteria import RECORDS, record
from bayesmix.selection.summary_text import SUREST, counted
from bayesmix.version import __version__

WIDE = (6.6, 4.3)
NARROW = (4.4, 4.6)
# Screen width in CSS pixels below which the narrow figure is shown.
NARROW_BELOW = 560
# Above this number of points, clouds are drawn as pixels at this resolution.
MOST_POINTS = 500
DOTS_PER_INCH = 220
LOOK: Any = {
    # Reproducible output, and dollar signs in column names are not formulas.
    "svg.hashsalt": "bayesmix",
    "text.parse_math": False,
}


def figures(subject: Subject) -> Markup:
    """Return the figures: criterion over K, all criteria, and density of the best fit."""
    shown = (criterion_figure, structures_figure, criteria_figure, features_figure, density_figure)
    return joined(figure(subject) for figure in shown)


def criterion_figure(subject: Subject) -> Markup:
    """Return the figure of the criterion that chose, over the number of components."""
    name = subject.criterion_name
    numbers = sorted(set(subject.table["n_components"]))
    alt = (
        f"{capital(name)} over the number of {subject.noun}s "
        f"({listed([str(k) for k in numbers])}); "
        f"chosen: {subject.label(subject.search.best_index_)}."
    )
    caption = f"{capital(name)} of every candidate, relative to the best, in nats."
    return drawn(
        lambda ax: plots.plot_selection(subject.search, ax=ax, criterion=subject.criterion),
        caption,
        alt,
    )


def structures_figure(subject: Subject) -> Markup:
    """Return the figure of the criterion as a matrix, for many covariance structures."""
    table = subject.table
    if "covariance_type" not in table or table["covariance_type"].nunique() <= MOST_LINES:
        return Markup()
    search, name = subject.search, subject.criterion_name
    best = search.matrix(subject.criterion).attrs["best"]
    first = listed([f"{label(structure)} with {k}" for structure, k, _ in best])
    text = (
        f"{capital(name)} of every structure and number of {subject.noun}s, relative to the best, "
        f"in nats. The best three are {first}."
    )
    return drawn(lambda ax: plots.plot_structures(search, ax=ax, criterion=subject.criterion), text)


def criteria_figure(subject: Subject) -> Markup:
    """Return the figure of all criteria over the number of components, if it varies."""
    with_value = subject.table[subject.table[subject.criterion].notna()]
    if with_value["n_components"].nunique() == 1:
        return Markup()
    caption = (
        f"All criteria over the number of {subject.noun}s, rescaled to a common maximum. Marks "
        "show the best candidate of each criterion."
    )
    return drawn(lambda ax: plots.plot_selection(subject.search, ax=ax, criterion="all"), caption)


def features_figure(subject: Subject) -> Markup:
    """Return the figure of the evidence of each feature, if features were selected."""
    if not getattr(subject.search, "variable_selection", False):
        return Markup()
    caption = "Evidence of a difference between components, for at most 20 columns."
    return drawn(lambda ax: plots.plot_feature_evidence(subject.search, ax=ax), caption)


def density_figure(subject: Subject) -> Markup:
    """Return the figure of the best fit: its density, or the profile of a mixed table."""
    if subject.noun == "state":
        caption = "States with expected durations; areas are long-run shares, arrows transitions."
        return drawn(lambda ax: plot_transitions(subject.estimator, ax), caption)
    if not subject.result.family.drawn_columns:
        caption = "The best fit: means ± standard deviations, and probabilities of levels."
        return drawn(lambda ax: plots.plot_profile(subject.estimator, subject.rows, ax=ax), caption)
    columns = columns_to_draw(subject)
    try:
        return drawn(
            lambda ax: plots.plot_density(subject.estimator, subject.rows, ax=ax, columns=columns),
            _about_density(subject, columns),
            f"Density of the best fit: {counted(subject.result.n_components, 'component')} over "
            f"{counted(subject.result.n_features, 'column')} ({listed(subject.columns)}).",
        )
    except UnsupportedError as problem:
        return tag("p", f"No figure of the density: {problem}.", class_="note")


def columns_to_draw(subject: Subject) -> Any:
    """Return the columns to draw: for several counts, that with the most different rates."""
    result = subject.result
    if result.family.drawn_columns != 1 or result.n_features == 1:
        return None
    means = result.unframed.means
    weights = result.mixture.weights.mean()
    middle = weights @ means
    between = weights @ (means - middle) ** 2
    return int(np.argmax(between / np.maximum(middle, 1e-12)))


def _about_density(subject: Subject, columns: Any) -> str:
    parts = ["Density of the best fit and its components"]
    if subject.X is not None:
        parts[0] += ", with the data"
    if columns is not None:
        parts.append(f"over the column in which components differ most, {subject.columns[columns]}")
    elif subject.result.n_features > 2:
        parts.append("over the two columns in which components overlap least")
    if subject.steps is not None:
        parts.append("in the columns of the pipeline's output")
    if subject.result.variational:
        parts.append("averaged over the posterior")
    return "; ".join(parts) + "."


def drawn(draw: Callable[[Any], Any], caption: str, alt: str | None = None) -> Markup:
    """Return a figure with caption and alternative text, by default the caption."""
    narrow, wide = (
        "data:image/svg+xml;base64," + base64.b64encode(svg(draw, size)).decode("ascii")
        for size in (NARROW, WIDE)
    )
    picture = tag(
        "picture",
        tag("source", media=f"(max-width: {NARROW_BELOW}px)", srcset=narrow),
        tag("img", src=wide, alt=alt or caption),
    )
    return tag("figure", joined([picture, tag("figcaption", caption)]))


def svg(draw: Callable[[Any], Any], size: tuple[float, float]) -> bytes:
    """Return a panel as SVG, drawn without pyplot."""
    import matplotlib
    from matplotlib.figure import Figure

    stream = io.BytesIO()
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        # A long name is given more space below.
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        figure = Figure(figsize=size, layout="constrained")
        ax = figure.subplots()
        draw(ax)
        for cloud in ax.collections:
            if np.shape(cloud.get_offsets())[0] > MOST_POINTS:
                cloud.set_rasterized(True)
        figure.savefig(
            stream, format="svg", dpi=DOTS_PER_INCH, metadata={"Date": None}, bbox_inches="tight"
        )
    return stream.getvalue()


LEAST_SHOWN = 0.0005


def header(title: str, headline: str, sentences: Iterable[str]) -> Markup:
    """Return the title, the headline and the summary."""
    return tag(
        "header",
        tag("p", title, class_="eyebrow"),
        tag("h1", headline),
        joined(tag("p", typeset(line), class_="lede") for line in sentences),
    )


def _among(subject: Subject) -> str:
    numbers = sorted(set(subject.table["n_components"]))
    compared = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    components = subject.noun if numbers[-1] == 1 else f"{subject.noun}s"
    chosen = record(subject.search.criterion_).label
    rows = counted(subject.result.n_rows, "observation")
    columns = counted(subject.result.n_features, "variable")
    n, n_given = len(subject.table), len(subject.columns_given)
    selected = f" selected from {n_given:,}" if n_given > subject.result.n_features else ""
    if n == 1:
        return f"The only candidate, fitted to {rows} of {columns}{selected}; there was no choice."
    return (
        f"Chosen by {chosen} among {n} candidates of {compared} {components}, on {rows} of "
        f"{columns}{selected}."
    )


def criteria(subject: Subject) -> Markup:
    """Return the choice of each criterion, and further lines of the verbose summary."""
    rest = [line for line in subject.details if line not in subject.sentences]
    frame, criterion = subject.table, subject.search.criterion_
    choices = [(criterion, subject.search.best_index_, True)]  # the one in use first
    for name in RECORDS:
        if name != criterion and name in frame and frame[name].notna().any():
            choices.append((name, frame[name].dropna().idxmax(), False))
    rows = [
        (
            capital(record(name).label) + (" (used)" if used else ""),
            subject.label(place),
            record(name).question.format(subject.noun),
        )
        for name, place, used in choices
    ]
    return section(
        "Criteria",
        table(
            "Criteria, their best candidates, and what they estimate",
            ("criterion", "best candidate", "estimates"),
            rows,
            ("words", "words", "words"),
            [used for _, _, used in choices],
        ),
        paragraphs(map(typeset, rest)),
    )


def probabilities(subject: Subject) -> Markup:
    """Return P(K | data) as bars, if it is defined."""
    series = subject.probabilities
    if series is None:
        return Markup()
    prior = series.attrs["prior"]
    flat = len(set(prior.values())) == 1
    approximate = "approximation" in series.attrs["evidence"]

    def percent(p: float) -> str:
        if approximate and p > SUREST:
            return f"> {number(100 * SUREST, 0)} %"
        return f"{number(100 * p, 1)} %" if p >= LEAST_SHOWN else "< 0.1 %"

    bars = joined(
        tag(
            "tr",
            tag("th", str(k), scope="row", class_="number"),
            tag("td", percent(float(p)), class_="number"),
            tag(
                "td",
                tag("span", class_="bar", style=f"width:{max(100 * float(p), 0.0):.1f}%"),
                class_="bars",
                aria_hidden="true",
            ),
        )
        for k, p in series.items()
    )
    prior_text = "the same prior probability for each" if flat else "the prior over K below"
    caption = (
        f"Probability of each number of {subject.noun}s, with {prior_text}. It uses "
        f"{series.attrs['evidence']}."
    )
    heads = tag(
        "tr",
        tag("th", f"{subject.noun}s", scope="col", class_="number"),
        tag("th", "probability", scope="col", class_="number"),
        tag("td", aria_hidden="true"),
    )
    return tag(
        "figure",
        tag("figcaption", caption),
        tag("table", tag("thead", heads), tag("tbody", bars), aria_label=caption),
        class_="probabilities",
    )


TITLE = "Mixture model search"
# Browsers then load nothing and run no script but the page's own.
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
    """Write the report of a fitted search as one HTML file.

    It adapts to telephones, dark screens and paper. The file is written, or replaced, only when
    complete.

    Parameters
    ----------
    search : fitted MixtureSearch
    path : str or Path
        File to write, in an existing folder.
    X : array, frame or source (n, D), optional
        Data to show, which a search does not keep.
    title : str, optional
        Title above the answer, and of the page.
    command : sequence of str, optional
        Command line that was run; None: an equivalent one, if there is any.
    interactive : bool
        Whether to include up to 1,000 samples, in up to 8 columns, for an interactive figure.
        False: they are only drawn.

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
    subject = subject_of(search, X)
    text = page(subject, TITLE if title is None else str(title), command, interactive)
    write(place, text.encode("utf-8"))
    return Path(path)


def page(
    subject: Subject, title: str, command: Sequence[str] | None = None, interactive: bool = True
) -> str:
    """Return the page, the answer first."""
    return document(
        title,
        subject.headline(),
        header(title, subject.headline(), [*subject.sentences, _among(subject)]),
        tables.warnings(subject),
        criteria(subject),
        section("Figures", figures(subject), probabilities(subject)),
        rows_in_page.rows_one_by_one(subject) if interactive else Markup(),
        tables.components(subject),
        tables.candidates(subject),
        assumptions.assumptions(subject),
        reproduce(subject, command),
    )


def document(title: str, headline: str, *content: Markup) -> str:
    """Return a page, which loads nothing."""
    script = part("page.js")
    allowed = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = NOTHING_FROM_ELSEWHERE.format(script=allowed)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{headline} · {title}"),
        tag("style", Markup(part("page.css"))),
    )
    made = f"Made with bayesmix {__version__} on {date.today():%Y-%m-%d}."
    body = tag("main", *content, tag("footer", tag("p", made)))
    whole = tag("body", body, tag("script", Markup(script)))
    return "<!doctype html>\n" + tag("html", head, whole, lang="en") + "\n"


def part(name: str) -> str:
    """Return the style sheet or the script, from files of this package."""
    return files("bayesmix.report").joinpath(name).read_text("utf-8")


def report_place(path: Any) -> Path:
    """Return where to write the report, after checking that it can be made there."""
    pyplot()  # or raise the error that says what to install
    place = file_to_write(path)
    try_to_write(place.parent)
    return place


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
    """Write the report of a fitted mixture: goodness of fit, components, clusters.

    ``path`` is in an existing folder; ``command`` is the command line that was run;
    ``random_state`` seeds the simulated data sets of the test; ``interactive`` is as in
    ``write_report``.
    """
    place = report_place(path)
    subject = Subject(SimpleNamespace(best_estimator_=model), X)  # candidates are not mentioned
    fits = goodness_of_fit(model, X, n_jobs=n_jobs, random_state=random_state, progress=False)
    clusters = merge_components(model, X)
    headline = capital(counted(subject.result.n_components, "component"))
    events = [tag("li", event.text) for event in subject.result.events]
    text = document(
        title,
        headline,
        header(title, headline, [fits.summary()]),
        tables.listed_warnings(events) if events else Markup(),
        section("Figures", density_figure(subject)),
        rows_in_page.rows_one_by_one(subject) if interactive else Markup(),
        tables.components(subject),
        section("Clusters", paragraphs(clusters.summary().splitlines())),
        section(HEADING, listing(in_lines(command))) if command else Markup(),
    )
    write(place, text.encode("utf-8"))
    return Path(path)
