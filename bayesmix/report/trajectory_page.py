"""The report of classes of trajectories: curves, numbers of classes, coefficients and GRoLTS."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any

from bayesmix.assess.trajectory_checks import trajectory_checklist
from bayesmix.assess.trajectory_tables import class_assignment, trajectory_table
from bayesmix.errors import UnsupportedError
from bayesmix.plots.trajectories import plot_trajectories
from bayesmix.report.figures import drawn
from bayesmix.report.tables import NO_VALUE, typeset

CAPTION = (
    "Mean curves with 90 % intervals, and a sample of units in the colour of their most probable "
    "class."
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
<header><p class="eyebrow">{title}</p><h1>{answer}</h1></header>
{body}
</main>
</body>
</html>
"""


def trajectory_page(search: Any, title: str) -> str:
    """Return the page of a search over regressions of units, the curves first."""
    model = search.best_estimator_
    if model._data.units is None:
        raise UnsupportedError(
            "reports do not support regressions without groups: use summary() and plot()"
        )
    answer, *sentences = search.summary().splitlines()
    picture = drawn(lambda ax: plot_trajectories(search, ax=ax), CAPTION)
    tables = {
        "Numbers of classes": trajectory_table(search).reset_index(),
        "Classes": class_assignment(search).reset_index(),
        "Coefficients": model.coefficients().reset_index(),
        "Checklist of van de Schoot et al. (2017)": trajectory_checklist(search).reset_index(),
    }
    image = f'<img src="{picture.wide}" alt="{CAPTION}">'
    parts = [f"<figure>{image}<figcaption>{CAPTION}</figcaption></figure>"]
    parts += [f"<p>{escape(typeset(line))}</p>" for line in sentences]
    for name, table in tables.items():
        cells = table.rename(columns=lambda name: name.replace("_", " ")).to_html(
            index=False, border=0, na_rep=NO_VALUE, float_format="{:.4g}".format, justify="left"
        )
        parts.append(
            f'<section><h2>{name}</h2><div class="scroll">{typeset(cells)}</div></section>'
        )
    css = files("bayesmix.report").joinpath("page.css").read_text("utf-8")
    return PAGE.format(
        title=escape(title), css=css, answer=escape(typeset(answer)), body="\n".join(parts)
    )
