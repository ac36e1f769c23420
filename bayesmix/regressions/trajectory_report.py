"""The report of trajectories: curves, classes, coefficients and the GRoLTS checklist."""

from __future__ import annotations

from typing import Any

from bayesmix.regressions.regression_plots import plot_trajectories
from bayesmix.regressions.trajectory_tables import (
    class_assignment,
    fitted_units,
    trajectory_checklist,
    trajectory_table,
)
from bayesmix.report import figures, tables, template

# Answer to items that only the authors of a study know.
AUTHOR = "to be stated by the author"
CURVES = (
    "Mean curves with 90 % intervals, and a sample of units in the colour of their most probable "
    "class."
)


def trajectory_page(search: Any, title: str) -> str:
    """Return the page of regressions of units, or a search over them, the curves first."""
    model, _ = fitted_units(search)
    # Coefficients have a table of their own.
    answer, *sentences = model._sentences() if search is model else search.summary().splitlines()
    numbers = trajectory_table(search).reset_index().rename(columns={"bic_visits": "BIC (visits)"})
    chosen = (numbers["classes"] == model.n_components_).tolist()
    frames = {
        "Classes": class_assignment(search),
        "Coefficients": model.coefficients(),
        "Checklist of van de Schoot et al. (2017)": trajectory_checklist(search).replace(
            "", AUTHOR
        ),
    }
    return template.page(
        "regressions/trajectories.html",
        title,
        answer,
        curves=figures.drawn(lambda ax: plot_trajectories(search, ax=ax), CURVES),
        sentences=sentences,
        tables={"Numbers of classes": tables.of_frame(numbers) | {"best": chosen}}
        | {name: tables.of_frame(frame.reset_index()) for name, frame in frames.items()},
    )
