"""The report of classes of trajectories: curves, numbers of classes, coefficients and GRoLTS."""

from __future__ import annotations

from typing import Any

from bayesmix.assess.trajectory_checks import trajectory_checklist
from bayesmix.assess.trajectory_tables import class_assignment, trajectory_table
from bayesmix.errors import UnsupportedError
from bayesmix.plots.trajectories import plot_trajectories
from bayesmix.report import template
from bayesmix.report.figures import drawn
from bayesmix.report.tables import of_frame

CAPTION = (
    "Mean curves with 90 % intervals, and a sample of units in the colour of their most probable "
    "class."
)


def trajectory_page(search: Any, title: str) -> str:
    """Return the page of a search over regressions of units, the curves first."""
    model = search.best_estimator_
    if model._data.units is None:
        raise UnsupportedError(
            "reports do not support regressions without groups: use summary() and plot()"
        )
    answer, *sentences = search.summary().splitlines()
    numbers = trajectory_table(search).reset_index()
    chosen = (numbers["classes"] == model.n_components_).tolist()
    tables = {
        "Classes": class_assignment(search),
        "Coefficients": model.coefficients(),
        "Checklist of van de Schoot et al. (2017)": trajectory_checklist(search),
    }
    return template.page(
        "trajectories.html",
        title,
        answer,
        curves=drawn(lambda ax: plot_trajectories(search, ax=ax), CAPTION),
        sentences=sentences,
        tables={"Numbers of classes": of_frame(numbers) | {"best": chosen}}
        | {name: of_frame(frame.reset_index()) for name, frame in tables.items()},
    )
