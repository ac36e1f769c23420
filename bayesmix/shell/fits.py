"""Commands that fit: demo, select, fit."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesmix.core.validation import one_of
from bayesmix.errors import InvalidInputError
from bayesmix.shell import options
from bayesmix.shell.screen import Screen

if TYPE_CHECKING:
    from bayesmix.assess.description import Description
    from bayesmix.core.sources import Source

INTERRUPTED = 130


@dataclass
class Work:
    """A running command: its data, screen and folder, and the warnings so far."""

    command: str
    screen: Screen
    path: str
    source: Source
    weight: str | None = None
    weight_type: options.WeightKind | None = None
    place: Path | None = None
    warnings: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    @classmethod
    def on(
        cls, command: str, screen: Screen, rows: options.Numbers, source: Source, out: str | None
    ) -> Work:
        """Return a command that names its data on the screen."""
        from bayesmix.shell.shown_tables import rows_sentences
        from bayesmix.sources.memory import coding_of

        screen.say(rows_sentences(rows.data, source, rows.weight))
        coding = coding_of(source)
        if coding is not None and coding.is_mixed:
            screen.told(f"columns: {coding.guesses()}")
        place = None if out is None else results_folder(out)
        return cls(command, screen, rows.data, source, rows.weight, rows.weight_type, place)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def noting(self, job: Callable[[], Any], note: Callable[[str], None] | None = None) -> Any:
        """Return the result of a job, with its warnings as notes."""
        with self.screen.noting_warnings(note) as messages:
            outcome = job()
        self.warnings += messages
        return outcome

    def fit(self, estimator: Any, **beside: Any) -> None:
        """Fit an estimator or a search, with a progress bar in a terminal and notes for the end."""
        estimator.set_params(progress=self.screen.progress)
        self.noting(lambda: estimator.fit(self.source, **beside), self.screen.postpone)

    def show_weights(self, model: Any) -> dict[str, Any]:
        """Print the coefficients of covariates or the transitions, and return them."""
        import pandas as pd

        from bayesmix.shell.shown_tables import frame_table

        values: dict[str, Any] = {}
        title = "Log odds of components against the first"
        if hasattr(model, "transmat_"):
            states = pd.RangeIndex(1, model.n_components_ + 1, name="from")
            moves = pd.DataFrame(model.transmat_, states, [f"to {k}" for k in states]).reset_index()
            moves["expected duration"] = model.expected_durations_
            elapsed = model.result_.side.elapsed
            over = "" if elapsed is None else f" over a time of {elapsed.unit:.3g}"
            self.screen.table(frame_table(f"Transition probabilities{over}", moves))
            values = {"transitions": moves.to_dict("records"), "startprob": model.startprob_}
            title = "Coefficients of first states and transitions (log odds"
            title += ")" if elapsed is None else ", log rates)"
        if not hasattr(model, "gate_coef_"):
            return values
        how = {"weight_type": self.weight_type and self.weight_type.value}
        table = self.noting(lambda: model.gate_coefficients(self.source, **how)).reset_index()
        self.screen.table(frame_table(title, table))
        return values | {"gate": table.to_dict("records")}

    def show_groups(
        self, model: Any, description: Description | None, sentences: bool = True
    ) -> None:
        """Print who the clusters of a search, or the classes of a model, are, if possible."""
        from bayesmix.shell.shown_tables import cluster_tables, description_tables

        if description is None:
            if self.command == "select":
                self.screen.table(*cluster_tables(model, self.screen.out.width))
            return
        if sentences:
            self.screen.say()
            self.screen.say("\n".join(description.sentences))
        self.screen.table(*description_tables(description, self.screen.out.width))

    def described(
        self, model: Any, beside: dict[str, Any], frame: Any = None
    ) -> Description | None:
        """Return the description of the groups of a model, if possible.

        ``frame`` has the data with further columns, if there are any.
        """
        from bayesmix.shell.shown_tables import described

        return described(model, self.source, beside, frame)

    def answer_search(self, search: Any, description: Description | None) -> None:
        """Print the answer of a search, with all of its clusters as they are described."""
        answer = search.answer_
        if description is not None:
            answer = replace(answer, sentences=description.sentences)
        self.screen.answer(answer.summary(most=None))

    def end_search(
        self,
        search: Any,
        description: Description | None,
        pages: list[str] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        """Write the files of a search and end the command."""
        from bayesmix.plots import plot_answer, plot_selection
        from bayesmix.plots.answer import PANELS, SIZE
        from bayesmix.shell import result_files
        from bayesmix.shell.data import csv_text

        source = self.source
        large = source.shape[0] > result_files.MOST_DRAWN
        shown = source.spread(result_files.MOST_DRAWN) if large else source
        values = result_files.search_values(search)
        values |= {"warnings": self.warnings, "interrupted": search.interrupted_}
        values |= {"seconds": self.seconds} | ({"files": pages} if pages else {}) | (more or {})
        values |= result_files.description_values(description)
        contents = {
            "model.bayesmix": search,
            **result_files.rows_content(search, self.source),
            "table.csv": csv_text(search.results_),
            **result_files.description_content(description),
            "clusters.png": result_files.Figure(
                lambda axes: plot_answer(search, shown, axes), SIZE, PANELS
            ),
            "selection.png": result_files.Figure(lambda ax: plot_selection(search, ax=ax)),
            **result_files.feature_contents(search),
            **result_files.density_figure(search, source),
        }
        self.end(values, contents, search.interrupted_)

    def end(
        self, values: dict[str, Any], contents: dict[str, Any], interrupted: bool = False
    ) -> None:
        """Write and name the files, print JSON if requested, and exit with 130 after Ctrl-C."""
        from bayesmix.shell import result_files

        self.screen.table()  # prints what was postponed
        rows = (self.command, self.path, self.source, self.weight)
        values = result_files.plain(result_files.header(*rows) | values)
        if self.place is not None:
            result_files.save(self.place, contents, values, self.screen.note)
            names = ", ".join(Path(path).name for path in values["files"])
            self.screen.say(f"\nWrote to {self.place}: {names}")
        elif values.get("files"):
            self.screen.say(f"\nWrote {', '.join(values['files'])}")
        if self.screen.machine:
            print(result_files.as_json(values))
        if interrupted:
            raise typer.Exit(INTERRUPTED)


def results_folder(path: str) -> Path:
    """Return the output folder, created if missing."""
    from bayesmix.sources.writing import folder_to_write

    folder_to_write(path, "--out", parents=True)
    return Path(path)


def command_line(context: typer.Context) -> list[str]:
    """Return the command as given, without options at their defaults."""
    words = ["bayesmix", str(context.info_name)]
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if parameter.param_type_name == "argument":
            words.append(str(value))
        elif value is True:
            words.append(max(parameter.opts, key=len))
        elif value != parameter.default and value is not False:
            words += [parameter.opts[0], str(value)]
    return words


def checkpoint_folder(restart: options.Restart) -> str | None:
    """Return the checkpoint folder: a new one, or with ``--resume`` an existing one."""
    checkpoint, resume = restart.checkpoint, restart.resume
    if checkpoint is None:
        if resume:
            raise InvalidInputError("--resume needs --checkpoint DIR")
        return None
    filled = Path(checkpoint).is_dir() and any(Path(checkpoint).iterdir())
    if filled and not resume:
        raise InvalidInputError(
            f"--checkpoint {checkpoint} contains files: add --resume to continue, or name a new "
            "folder"
        )
    if resume and not filled:
        raise InvalidInputError(f"--checkpoint {checkpoint} contains nothing to resume")
    return checkpoint


def for_survey(candidates: options.Candidates, table: options.Table) -> options.Candidates:
    """Return the candidates, by default compared by "design_bic" for weights of a survey."""
    survey = table.weight_type is options.WeightKind.SAMPLING
    if survey and candidates.criterion is None and candidates.method != "variational":
        return replace(candidates, criterion="design_bic")
    return candidates


def unfitted_search(
    candidates: options.Candidates,
    run: options.Run,
    missing: options.Missing | None = None,
    gated: bool = False,
    ordered: bool = False,
) -> Callable[[Source], tuple[Any, Source]]:
    """Return the unfitted search for data and these with their amounts on the log scale.

    The options are checked before any data are read.
    """
    from bayesmix.estimators.inputs.missing_rows import rows_with_missing
    from bayesmix.estimators.searching.column_masses import with_masses
    from bayesmix.estimators.select import chain, comparable, on_log_scale, procedure
    from bayesmix.selection.criteria import NAMES, POSTERIOR
    from bayesmix.shell.data import missing_for

    components = options.numbers(candidates.components)
    structures = options.structures(candidates.covariance)
    families = options.families(candidates.family)
    criterion = candidates.criterion and one_of("--criterion", candidates.criterion, NAMES)
    of_posterior = criterion is None or criterion in POSTERIOR
    method = candidates.method or ("variational" if of_posterior and not gated else "em")
    if method == "em" and criterion in POSTERIOR:
        raise InvalidInputError(
            f"--criterion {criterion} needs --method variational: a maximum likelihood fit has no "
            "posterior"
        )
    variational = partial(chain, family=None, variational=True) if ordered else comparable
    family: Any = families if families is None or len(families) > 1 else families[0]
    plain = method == "variational" and criterion in (None, "auto") and family is None
    plain = plain and not (gated or ordered or candidates.noise or candidates.variable_selection)

    def search_for(source: Source) -> tuple[Any, Source]:
        of_columns = family
        use = missing_for(
            missing, rows_with_missing(source), "--noise" if candidates.noise else None
        )
        if plain:
            source, _ = with_masses(source, None, "auto", use)
            source, of_columns = on_log_scale(source)
        search = procedure(
            source,
            components,
            structures,
            criterion or ("bic" if method == "em" else "auto"),
            run.seed,
            estimator=None if method == "em" or of_posterior else variational(source),
            ordered=ordered,
            noise=candidates.noise or "auto",
            missing=use,
            family=of_columns,
            n_jobs=run.jobs,
            variable_selection=candidates.variable_selection,
            irrelevant=candidates.irrelevant.value,
            clusters="gaps" if candidates.gaps else None,
        )
        return search, source

    return search_for


def demo(
    *,
    out: Annotated[str, options.option("DIR", "Folder for the results")] = "bayesmix-demo",
    run: options.Run,
) -> None:
    """Run an example with data on Old Faithful eruptions."""
    import numpy as np

    from bayesmix.datasets import load_faithful
    from bayesmix.shell.shown_tables import candidate_table
    from bayesmix.sources.memory import as_source

    screen, place = Screen(run), results_folder(out)
    frame = load_faithful()
    source = as_source(np.asarray(frame, dtype=np.float64), columns=tuple(map(str, frame.columns)))
    work = Work("demo", screen, "faithful (bundled)", source, place=place)
    screen.say(
        "Old Faithful, a geyser: the length of 272 eruptions and the waiting time until the next, "
        "in minutes."
    )
    search, work.source = unfitted_search(options.Candidates(), run)(source)
    work.fit(search)
    description = work.described(search, {})
    screen.heading("How many clusters, and which?")
    work.answer_search(search, description)
    work.show_groups(search, description, sentences=False)
    screen.heading("How certain?")
    screen.table(candidate_table(search))
    work.end_search(search, description)
    screen.say(f"Took {work.seconds:.1f} s. Your data: {program()} select data.csv")


def program() -> str:
    """Return how to call the program; its path, if the environment is not active."""
    path = Path(sys.argv[0])
    return str(path) if path.name == "bayesmix" and not shutil.which("bayesmix") else "bayesmix"


def select(
    *,
    context: typer.Context,
    table: options.Table,
    candidates: options.Candidates,
    sequences: options.Sequences,
    covariates: options.Covariates = None,
    out: options.Out = None,
    report: Annotated[
        bool,
        options.flag("report", "Also write report.html to the --out folder or the current folder"),
    ] = False,
    static: options.Static = False,
    restart: options.Restart,
    run: options.Run,
) -> None:
    """Select the number of components and the covariance structure.

    --out DIR saves result.json, description.csv with each cluster described by its columns,
    table.csv of the candidates, rows.csv with the component and cluster of each row, the search as
    model.bayesmix, and figures. --report writes all results to one HTML page.
    """
    gated, ordered = covariates is not None, bool(sequences.names)
    likelihood = gated or sequences.times is not None  # these have no variational fits
    candidates = for_survey(candidates, table)
    search_for = unfitted_search(candidates, run, table.missing, likelihood, ordered)
    checkpoint = checkpoint_folder(restart)
    from bayesmix.estimators.select import with_effects
    from bayesmix.report import report_place, write_report
    from bayesmix.sequences.search_of_sequences import effects_compared
    from bayesmix.shell.data import read_beside, with_excluded
    from bayesmix.shell.shown_tables import candidate_table

    screen = Screen(run)
    source, beside = read_beside(screen, table, covariates, sequences, candidates.family)
    given = source
    with screen.noting_warnings(screen.postpone):
        search, source = search_for(source)
        search.set_params(checkpoint=checkpoint)
    if ordered and gated:
        effects = effects_compared(beside["covariates"], None, beside["groups"], source.shape[0])
        search.set_params(param_grid=with_effects(search.param_grid, effects))
    work = Work.on("select", screen, table, given, out)
    work.source = source
    page = Path(out or "") / "report.html"
    if report:
        report_place(page)
    work.fit(search, **beside)
    if search.interrupted_ and checkpoint is not None:
        screen.note(f"to resume, repeat the command with --checkpoint {checkpoint} --resume")
    screen.say()
    frame = None if beside.keys() - {"weight_type"} else with_excluded(table, source)
    description = work.described(search, beside, frame)
    work.answer_search(search, description)
    work.show_groups(search, description, sentences=False)
    screen.table(candidate_table(search))
    gate = work.show_weights(search.best_estimator_)
    pages = []
    if report:
        words = command_line(context)
        title = Path(table.data).name
        file = write_report(search, page, source, title, words, not static, description)
        pages.append(str(file))
    work.end_search(search, description, pages, gate)


Effects = StrEnum("Effects", "FIRST TRANSITIONS ALL")


def fit(
    *,
    table: options.Table,
    components: Annotated[
        int,
        options.option("K", "Number of components; with --method variational, the maximum", min=1),
    ],
    covariance: options.Structure = "full",
    family: options.OneFamily = None,
    noise: options.Noise = False,
    covariates: options.Covariates = None,
    effects: Annotated[
        Effects,
        options.option(
            "NAME",
            "What depends on --covariates in sequences: first (states), transitions or all",
            "--covariate-effects",
        ),
    ] = Effects.ALL,
    sequences: options.Sequences,
    method: Annotated[
        options.Method,
        options.option(
            "NAME",
            "em (maximum likelihood), variational (variational Bayes) or map (maximum a "
            "posteriori)",
        ),
    ] = options.Method.EM,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Fit one mixture with K components.

    --out DIR saves result.json, model.bayesmix and a figure.
    """
    structure = options.structure(covariance)
    families = options.families(family) or []
    if len(families) > 1:
        raise InvalidInputError("--family must name one family: bayesmix select compares several")
    from bayesmix.estimators.inputs.missing_rows import rows_with_missing
    from bayesmix.families.gaussian.family import Gaussian
    from bayesmix.families.names import family_named
    from bayesmix.shell.data import missing_for, read_beside
    from bayesmix.shell.result_files import density_figure, model_values
    from bayesmix.shell.shown_tables import component_tables, fit_sentence

    screen, own = Screen(run), family_named(families[0] if families else None)
    source, beside = read_beside(screen, table, covariates, sequences, family)
    work = Work.on("fit", screen, table, source, out)
    if sequences.names and noise:
        raise InvalidInputError("--noise does not support sequences: leave it out")
    model = estimator_for(source, own, method, noise, bool(sequences.names)).set_params(
        n_components=components,
        covariance_type=structure if hasattr(own or Gaussian(), "covariance") else None,
        random_state=run.seed,
        n_jobs=run.jobs,
        missing=missing_for(table.missing, rows_with_missing(source), "--noise" if noise else None),
    )
    if sequences.names and covariates is not None:
        model.set_params(covariate_effects=effects.value)
    work.fit(model, **beside)
    interrupted = model.result_.status == "interrupted"
    screen.say()
    screen.answer(fit_sentence(model))
    screen.table(*component_tables(model, screen.out.width))
    values = {"model": model_values(model), "warnings": work.warnings, "interrupted": interrupted}
    values |= work.show_weights(model)
    work.end(values, {"model.bayesmix": model, **density_figure(model, source)}, interrupted)


def estimator_for(
    source: Source, family: Any, method: options.Method, noise: bool, ordered: bool
) -> Any:
    """Return the estimator of a fit: Gaussian, one family, or one family per column."""
    from bayesmix.em.under_a_prior import MaximumAPosteriori, VariationalBayes
    from bayesmix.estimators.bayesian import BayesianGaussianMixture
    from bayesmix.estimators.gaussian import GaussianMixture
    from bayesmix.estimators.mixture import Mixture
    from bayesmix.estimators.searching.fitters import is_mixed_table
    from bayesmix.families.gaussian.family import Gaussian
    from bayesmix.sequences.hidden_markov_model import HiddenMarkovModel

    uniform, mixed = "uniform" if noise else None, is_mixed_table(source)
    inference: Any = {"variational": VariationalBayes(), "map": MaximumAPosteriori()}.get(method)
    if ordered:
        family = "auto" if family is None and mixed else family
        return HiddenMarkovModel(family=family, inference=inference)
    if mixed or not isinstance(family or Gaussian(), Gaussian):
        return Mixture(family=family or "auto", inference=inference, noise=uniform)
    if method is options.Method.VARIATIONAL:
        return BayesianGaussianMixture(noise=uniform)
    return GaussianMixture(prior="auto" if method is options.Method.MAP else None, noise=uniform)
