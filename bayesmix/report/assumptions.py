"""Assumptions of a search, and the Python code and command that repeat it."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import singledispatch
from numbers import Integral
from textwrap import indent
from typing import Any

import numpy as np

from bayesmix.families.categorical import CategoricalPrior
from bayesmix.families.gaussian.covariance.models import NAMED
from bayesmix.families.gaussian.prior import NormalWishart
from bayesmix.families.product.prior import PartPriors
from bayesmix.families.rates import RatePrior
from bayesmix.families.student_t.posterior import NormalWishartFreedom
from bayesmix.families.successes import SuccessPrior
from bayesmix.families.transformed import TransformedPrior
from bayesmix.report.markup import Markup, joined, section, tag
from bayesmix.report.subject import Subject, capital, family_title, listed
from bayesmix.selection.candidates import last_step
from bayesmix.selection.criteria import NAMES, OF_DRAWS, PLUG_IN, POSTERIOR, record
from bayesmix.selection.summary_text import counted

MOST_NUMBERS = 6
HOW = {
    "maximum_likelihood": "maximum likelihood (EM)",
    "maximum_a_posteriori": "maximum a posteriori (EM)",
    "variational_bayes": "variational Bayes with the exact bound",
}
WEIGHT_PRIORS = {
    "dirichlet_distribution": "weights ~ Dirichlet({0:g}, ..., {0:g})",
    "dirichlet_process": "weights by stick-breaking, concentration {0:g} (Blei & Jordan 2006)",
    "dirichlet_chain": "first state and rows of transitions ~ Dirichlet({0:g}, ..., {0:g})",
    "gate": "weights by logistic regression on covariates, normal prior of the coefficients",
    "gated_chain": (
        "first state by logistic regression on covariates, normal prior of the coefficients; rows "
        "of transitions ~ Dirichlet"
    ),
    "type2_ml": "weights without a prior, by type-II maximum likelihood",
}
# Criteria that are not functions with a docstring.
MEANINGS = {
    "evidence_folds": (
        "Cross-validation compares covariance structures, each at its best K. Structures that are "
        "worse than the best by more than one standard error of the paired difference are "
        "excluded. The log evidence (bound + log K!) and the prior over K choose among the "
        "others. It assumes the prior below, and tends to choose too many {0}s if clusters are "
        "not normal."
    ),
    "elbo": (
        "The exact evidence lower bound of a variational fit, without log K! for relabelled "
        "{0}s. It estimates the number of {0}s that generated the data, and depends on "
        "the prior as the exact evidence does."
    ),
    "elbo_log_k": (
        "The evidence lower bound plus log K! for relabelled {0}s. It estimates the number "
        "of {0}s that generated the data; it is approximate, since modes overlap, and "
        "depends on the prior as the exact evidence does."
    ),
    "cv": (
        "The sum of held-out log densities. It finds the density that predicts new observations "
        "best, and tends to choose too many clusters. Differences of candidates are far more "
        "precise than their values, because they share the folds."
    ),
}
MEANINGS["cv_1se"] = (
    MEANINGS["cv"] + " The one-standard-error rule chooses the fewest parameters within one "
    "standard error of the paired difference to the best."
)


def assumptions(subject: Subject) -> Markup:
    """Return all assumptions as terms and descriptions."""
    made_by, n_given = ".", len(subject.columns_given)
    if subject.steps is not None:
        names = ", ".join(type(step).__name__ for _, step in subject.steps.steps)
        made_by = f"; output of {names}. Criteria refer to these columns."
    elif n_given > len(subject.columns):
        made_by = f"; selected from {n_given:,} columns."
    table, result = subject.search.folds_, subject.result
    seconds = float(subject.table["seconds"].sum())
    folds = []
    if len(table):
        cv = subject.search.cv
        how = "shuffled by the seed" if isinstance(cv, int) else f"by {type(cv).__name__}"
        n_folds = int(table["fold"].nunique())
        folds.append(("Folds", f"{n_folds}, {how}, the same for every candidate."))
        seconds += float(table["seconds"].sum())
    models = "hidden Markov models" if subject.noun == "state" else "mixtures"
    candidates = (
        f"{counted(len(subject.table), 'candidate')} ({family_title(result.family)} {models}), "
        f"fitted by {HOW[result.inference.name]}. Starts include the fit with fewer "
        f"{subject.noun}s."
    )
    entries = [
        ("Rows", _rows(subject)),
        ("Columns", listed(subject.columns) + made_by),
        ("Candidates", candidates),
        (capital(record(subject.search.criterion_).label), meaning(subject.search, subject.noun)),
        *folds,
        *_priors(subject),
        ("Local optima", f"Chosen fit: {result.search_summary}."),
        ("Scale", "Log densities and criteria are totals in nats, and greater is better. BIC and "
                  "AIC are half the usual values, with the opposite sign."),
        ("Seed", f"{result.seed}; the same seed gives the same numbers on any number of "
         "cores."),
        ("Time", f"{seconds:.1f} s in total over all fits."),
        ("Versions", ", ".join(f"{k} {v}" for k, v in result.versions.items())),
    ]  # fmt: skip
    return section(
        "Assumptions",
        tag("dl", joined(joined([tag("dt", term), tag("dd", text)]) for term, text in entries)),
    )


def _rows(subject: Subject) -> str:
    result = subject.result
    text = counted(result.n_rows, "row")
    if result.total_weight != result.n_rows:
        text += (
            f" with weights that sum to {result.total_weight:,g}: weight 2 counts as two rows in "
            "every criterion"
        )
    if subject.noun == "state":
        n_sequences = counted(len(result.side.starts), "sequence")
        text += f" in {n_sequences}, in order of time, assumed to follow a Markov chain of states."
    else:
        text += ", assumed independent and identically distributed."
    if result.n_missing:
        cells = result.n_rows * result.n_features
        text += f" {result.n_missing:,} of {cells:,} values are missing, assumed missing at random."
    return text


def meaning(search: Any, noun: str) -> str:
    """Return what a criterion measures and when it misleads, from its docstring."""
    name, given = search.criterion_, search.criterion
    if name in MEANINGS and not callable(given):
        return MEANINGS[name].format(noun)
    function = given if callable(given) else {**PLUG_IN, **OF_DRAWS}[name]
    written = inspect.getdoc(function) if inspect.isroutine(function) else None
    if not written:
        return "A user-defined function without documentation."
    return " ".join(written.replace("``", "").split())


def _priors(subject: Subject) -> list[tuple[str, str]]:
    result = subject.result
    if result.inference.name == "maximum_likelihood":
        return [("Priors", "None: maximum likelihood.")]
    weights = result.inference.weights_prior
    concentration = float(getattr(getattr(weights, "of_row", weights), "concentration", 0.0))
    of_components = prior_in_words(result.prior, result.unframed, result.variational)
    entries = [
        (f"Prior of {subject.noun}s", of_components),
        ("Prior of weights", capital(WEIGHT_PRIORS[weights.name].format(concentration)) + "."),
    ]
    series = subject.probabilities
    if series is not None:
        prior = series.attrs["prior"]
        pairs = listed([f"{k}: {p:.2g}" for k, p in prior.items()])
        entries.append(("Prior over K", f"{pairs}. P(K | data) uses {series.attrs['evidence']}."))
    if result.variational:
        about = "The posterior factorises into assignments and parameters. Its standard deviations "
        entries.append(("The approximation", about + "are therefore too small."))
    return entries


@singledispatch
def prior_in_words(prior: Any, q: Any, variational: bool) -> str:
    """Describe the prior of a component's parameters in data units; ``q`` is the fit under it."""
    return f"{prior!r}."


@prior_in_words.register
def _(prior: NormalWishart, q: Any, variational: bool) -> str:
    learned = variational and prior.scale.learned
    scale: Any = q.scale if variational else prior.scale
    precision = q.prior_mean_precision if variational else prior.mean_precision
    variances = prior.structure.algebra.spread(scale.mean, 1, len(prior.mean))[0]
    by_rows = " (learned)" if prior.learns_mean_precision and variational else ""
    text = (
        f"μ | Λ ~ N(m0, (β0 Λ)⁻¹) and Λ ~ Wishart(W0, ν0), in the structure of the covariance: m0 "
        f"= {_numbers(prior.mean)}, β0 = {precision:.3g}{by_rows}, "
        f"ν0 = {prior.degrees_of_freedom:g}, diagonal of W0⁻¹ = {_numbers(variances)}"
    )
    return text + (" (mean of the learned scale that components share)." if learned else ".")


@prior_in_words.register
def _(prior: TransformedPrior, q: Any, variational: bool) -> str:
    of_normals = prior_in_words(prior.normals, q.normals, variational)
    return f"{capital(prior.function.plural)}: {of_normals}"


@prior_in_words.register
def _(prior: NormalWishartFreedom, q: Any, variational: bool) -> str:
    values = prior.freedom.values
    freedom = f"each of {_numbers(values)} as probable" if variational else "all as probable"
    if len(values) == 1:
        freedom = f"{values[0]:g}"
    of_normals = prior_in_words(prior.normals, q.normals, variational)
    return f"{of_normals} Degrees of freedom: {freedom}."


@prior_in_words.register
def _(prior: PartPriors, q: Any, variational: bool) -> str:
    parts = zip(prior.layout.labels, prior.parts, q.parts, strict=True)
    return " ".join(
        f"{label}: {prior_in_words(prior, q, variational)}" for label, prior, q in parts
    )


@prior_in_words.register
def _(prior: RatePrior, q: Any, variational: bool) -> str:
    return f"Rates ~ Gamma(shape {prior.shape:g}, rate {_numbers(prior.rate)}), by column."


@prior_in_words.register
def _(prior: CategoricalPrior, q: Any, variational: bool) -> str:
    least = f"{prior.least:g} + " if prior.least else ""
    return (
        f"Probabilities of levels ~ Dirichlet({least}{prior.mass:g} / L), where L is the number "
        "of levels of the column."
    )


@prior_in_words.register
def _(prior: SuccessPrior, q: Any, variational: bool) -> str:
    return f"Probabilities ~ Beta({prior.successes:g}, {prior.failures:g})."


def _numbers(values: Any) -> str:
    flat = np.ravel(np.asarray(values, dtype=np.float64))
    text = ", ".join(f"{value:.4g}" for value in flat[:MOST_NUMBERS]).replace("-", "−")
    if len(flat) == 1:
        return text
    return f"({text}{', ...' if len(flat) > MOST_NUMBERS else ''})"


HEADING = "How to reproduce"
WIDTH = 72
LINE = "\n"
# Estimators of `bayesmix select`: quick searches, the best refitted.
OF_THE_SHELL = {
    "weight_concentration_prior_type": "dirichlet_distribution",
    "weight_concentration_prior": 1.0,
    "prune": False,
    "search": "short",
}
POLISH = 6.0
NO_MATTER = ("checkpoint", "n_jobs", "progress")


def reproduce(subject: Subject, command: Sequence[str] | None) -> Markup:
    """Return a section with code and command; ``command`` is the command that was run, if known."""
    words = command or shell_command(subject)
    code = [tag("p", "In Python:"), listing(script(subject))]
    shell = [] if words is None else [tag("p", "At the shell:"), listing(in_lines(words))]
    return section(HEADING, *code, *shell)


def listing(text: str) -> Markup:
    """Return lines of code, which scroll on narrow pages."""
    return tag("pre", tag("code", text), tabindex="0")


def script(subject: Subject) -> str:
    """Return Python code that repeats the search, without defaults."""
    search, result = subject.search, subject.result
    modules: set[str] = set()
    given = _changed(search)
    parameters = {name: value for name, value in given.items() if name not in NO_MATTER}
    unseeded = getattr(last_step(search.estimator), "random_state", None) is None
    if unseeded and not isinstance(search.random_state, Integral):
        parameters["random_state"] = result.seed
    body = _call("bm.MixtureSearch", parameters, modules)
    rows = f"X = ...  # {counted(result.n_rows, 'row')}"
    if subject.steps is None:
        # A name may contain a line break, which would end the line of code.
        rows += f"; columns {' '.join(listed(subject.columns_given).split())}"
    weighted = result.total_weight != result.n_rows
    fit = "fit(X, sample_weight=sample_weight)" if weighted else "fit(X)"
    plain = [value for value in parameters.values() if not hasattr(value, "get_params")]
    functions = dict.fromkeys(_name_of(value) for value in plain if callable(value))
    lines = [
        *sorted(modules),
        "import bayesmix as bm",
        "",
        rows,
        *(["sample_weight = ...  # weight of each row"] if weighted else []),
        *(f"{name} = ...  # your function" for name in functions),
        f"search = {body}.{fit}",
        "print(search.summary())",
        'search.report("report.html", X)',
    ]
    return "\n".join(lines)


def _changed(thing: Any) -> dict[str, Any]:
    """Return parameters that differ from their defaults, in the order of the signature."""
    values = thing.get_params(deep=False)
    return {
        name: values[name]
        for name, parameter in inspect.signature(type(thing)).parameters.items()
        if name in values and repr(values[name]) != repr(parameter.default)
    }


def _call(name: str, parameters: dict[str, Any], modules: set[str]) -> str:
    written = [f"{key}={code(value, modules)}" for key, value in parameters.items()]
    line = f"{name}({', '.join(written)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return f"{name}(\n{indent(''.join(f'{part},{LINE}' for part in written), '    ')})"


def code(value: Any, modules: set[str]) -> str:
    """Return a value as Python code; required imports are added to ``modules``."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return _call(_imported(type(value), modules), _changed(value), modules)
    if is_dataclass(value) and not isinstance(value, type):
        own = {field: getattr(value, field.name) for field in fields(value) if field.init}
        shown = {f.name: each for f, each in own.items() if repr(each) != repr(f.default)}
        return _call(_imported(type(value), modules), shown, modules)
    if isinstance(value, np.ndarray):
        modules.add("import numpy as np")
        return f"np.array({value.tolist()!r})"
    if isinstance(value, np.generic):
        return code(value.item(), modules)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple) and _consecutive(value):
        return f"range({value[0]}, {value[-1] + 1})"
    if isinstance(value, list | tuple):
        inside = ", ".join(code(each, modules) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if isinstance(value, dict):
        pairs = (f"{code(k, modules)}: {code(v, modules)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    if callable(value):
        return _name_of(value)
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return "..."
    return repr(value)


def _name_of(function: Any) -> str:
    name = str(getattr(function, "__name__", "function"))
    return name if name.isidentifier() else "function"


def _imported(kind: type, modules: set[str]) -> str:
    package = kind.__module__.split(".")
    if package[0] == "bayesmix":
        return f"bm.{kind.__name__}"
    public = [part for part in package if not part.startswith("_")]
    modules.add(f"from {'.'.join(public)} import {kind.__name__}")
    return kind.__name__


def _consecutive(values: Sequence[Any]) -> bool:
    whole = all(isinstance(each, Integral) for each in values)
    return len(values) > 3 and whole and list(values) == [values[0] + i for i in range(len(values))]


def shell_command(subject: Subject) -> list[str] | None:
    """Return the equivalent command, or None if there is none."""
    search, result = subject.search, subject.result
    given = _changed(search)
    said = ("estimator", "n_components", "covariance_type", "criterion", "random_state")
    variational = result.variational
    structures = given.get("covariance_type", "full")
    structures = [structures] if isinstance(structures, str) else list(structures)
    fits = (
        set(given) <= {*said, *NO_MATTER, "polish"}
        and search.polish == POLISH
        and search.criterion in NAMES
        and (search.random_state is None or isinstance(search.random_state, Integral))
        and result.total_weight == result.n_rows
        and all(structure in NAMED for structure in structures)
        and _of_the_shell(search.estimator)
    )
    if not fits:
        return None
    parts = ["bayesmix", "select", "data.csv"]
    if search.n_components is not None:
        asked = search.n_components
        listed_numbers = [int(k) for k in ([asked] if isinstance(asked, Integral) else asked)]
        whole = f"{listed_numbers[0]}:{listed_numbers[-1]}"
        commas = ",".join(map(str, listed_numbers))
        parts += ["--components", whole if _consecutive(listed_numbers) else commas]
    parts += ["--covariance", ",".join(structures), "--criterion", str(search.criterion)]
    if variational and search.criterion not in POSTERIOR:
        parts += ["--method", "variational"]
    return [*parts, "--seed", str(result.seed), "--report"]


def in_lines(words: Sequence[str]) -> str:
    """Return a command for the shell, broken before options if long."""
    lines = [""]
    for word in map(shlex.quote, words):
        if word.startswith("--") and len(lines[-1]) > WIDTH // 2:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n".join(lines)


def _of_the_shell(estimator: Any) -> bool:
    made = {"GaussianMixture": {"search": "short"}, "BayesianGaussianMixture": OF_THE_SHELL}
    expected = made.get(type(estimator).__name__)
    return expected is not None and repr(_changed(estimator)) == repr(expected)
