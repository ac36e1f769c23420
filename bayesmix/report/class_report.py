"""Report of a latent profile or latent class analysis: methods, results, checklist, references.

The checklist follows SMART-LCA (Van Lissa, Garnier-Villarreal & Anadria 2024). What software can
know is filled in from the analysis; the rest is listed for the author.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

from bayesmix.assess.apa import ApaTable, bounded, p_text, plain
from bayesmix.assess.class_profiles import ClassProfiles, rows_by_key
from bayesmix.assess.enumeration import LEVEL, STARTS, Enumeration
from bayesmix.core.writing import file_to_write, write
from bayesmix.errors import InvalidInputError
from bayesmix.version import __version__

REFERENCES = {
    "em": "Dempster, A. P., Laird, N. M., & Rubin, D. B. (1977). Maximum likelihood from "
    "incomplete data via the EM algorithm. *Journal of the Royal Statistical Society: Series B*, "
    "*39*(1), 1–38.",
    "bic": "Schwarz, G. (1978). Estimating the dimension of a model. *The Annals of Statistics*, "
    "*6*(2), 461–464.",
    "sabic": "Sclove, S. L. (1987). Application of model-selection criteria to some problems in "
    "multivariate analysis. *Psychometrika*, *52*(3), 333–343.",
    "blrt": "McLachlan, G. J. (1987). On bootstrapping the likelihood ratio test statistic for the "
    "number of components in a normal mixture. *Applied Statistics*, *36*(3), 318–324.",
    "nylund": "Nylund, K. L., Asparouhov, T., & Muthén, B. O. (2007). Deciding on the number of "
    "classes in latent class analysis and growth mixture modeling. *Structural Equation Modeling*, "
    "*14*(4), 535–569.",
    "three_step": "Vermunt, J. K. (2010). Latent class modeling with covariates: Two improved "
    "three-step approaches. *Political Analysis*, *18*(4), 450–469.",
    "smart": "Van Lissa, C. J., Garnier-Villarreal, M., & Anadria, D. (2024). Recommended "
    "practices in latent class analysis using the open-source R-package tidySEM. *Structural "
    "Equation Modeling*, *31*(3), 526–534.",
}
FOR_THE_AUTHOR = "**to be stated by the author**"
Block: TypeAlias = "str | ApaTable"


@dataclass(frozen=True)
class ClassReport:
    """Sections of a report: headings with paragraphs and tables."""

    sections: tuple[tuple[str, tuple[Block, ...]], ...]

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        parts = []
        for heading, blocks in self.sections:
            parts.append(f"## {heading}\n")
            parts += [b.to_markdown() if isinstance(b, ApaTable) else f"{b}\n" for b in blocks]
        return "\n".join(parts)

    def to_html(self) -> str:
        """Return the report as a page."""
        parts = ['<!doctype html><meta charset="utf-8"><title>Latent classes</title>']
        parts.append('<body style="max-width:48em;margin:2em auto;font-family:serif">')
        for heading, blocks in self.sections:
            parts.append(f"<h2>{escape(heading)}</h2>")
            parts += [b.to_html() if isinstance(b, ApaTable) else _paragraph(b) for b in blocks]
        return "\n".join(parts)

    def save(self, path: Any) -> Path:
        """Write the report to a file that ends in .md or .html."""
        place = file_to_write(path)
        kinds = {".md": self.to_markdown, ".html": self.to_html}
        if place.suffix not in kinds:
            raise InvalidInputError(f"path must end in .md or .html, got {str(path)!r}")
        write(place, kinds[place.suffix]().encode("utf-8"))
        return place

    __repr__ = __str__ = to_markdown

    def _repr_html_(self) -> str:
        return self.to_html()


def _paragraph(text: str) -> str:
    """Return a paragraph of Markdown with emphasis, or a list, as HTML."""

    def inline(line: str) -> str:
        for mark, tag in (("**", "strong"), ("*", "em")):
            pieces = line.split(mark)
            line = "".join(
                piece if place % 2 == 0 else f"<{tag}>{piece}</{tag}>"
                for place, piece in enumerate(pieces)
            )
        return line

    lines = escape(text).splitlines()
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{inline(' '.join(lines))}</p>"


def class_report(
    enumeration: Enumeration,
    profiles: ClassProfiles,
    model: Any = None,
    n_classes: int | None = None,
) -> ClassReport:
    """Return a report with methods, results, the SMART-LCA checklist and references.

    Parameters
    ----------
    enumeration : Enumeration
    profiles : ClassProfiles
        Of the chosen fit.
    model, n_classes : optional
        The chosen row of the enumeration, by default the suggested one.

    Returns
    -------
    ClassReport

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_iris()
    >>> classes = bm.enumerate_classes(X, range(1, 4), 1, n_bootstrap=0, random_state=0)
    >>> report = bm.class_report(classes, bm.class_profiles(classes.fit(1, 3), X), 1, 3)
    >>> report.to_markdown().splitlines()[0]
    '## Methods'
    """
    if model is None or n_classes is None:
        suggested = enumeration.suggested
        model = suggested.model if model is None else model
        n_classes = suggested.n_classes if n_classes is None else n_classes
    model = enumeration.named(model)
    table = enumeration.table
    chosen = table[(table["model"] == model) & (table["n_classes"] == n_classes)]
    if len(chosen) != 1 or profiles.n_classes != n_classes:
        raise InvalidInputError(
            f"profiles must be those of the chosen fit with {n_classes} classes, got "
            f"{profiles.n_classes} classes"
        )
    row = chosen.iloc[0]
    results: list[Block] = [_of_choice(enumeration, row), enumeration.to_apa()]
    results += [profiles.to_apa(), profiles.to_apa("classification")]
    if profiles.covariates is not None:
        results += [_of_covariates(profiles), profiles.to_apa("covariates")]
    if profiles.outcomes:
        results += [_of_outcomes(profiles), profiles.to_apa("outcomes")]
    numbered: list[Block] = []
    for block in results:
        if isinstance(block, ApaTable):
            number = 1 + sum(isinstance(other, ApaTable) for other in numbered)
            block = ApaTable(block.title, block.columns, block.rows, block.note, number)
        numbered.append(block)
    cited = ["em", "bic", "sabic", "smart"]
    cited += ["blrt", "nylund"] if enumeration.n_bootstrap else []
    cited += ["three_step"] if profiles.outcomes else []
    references = "\n".join(f"- {text}" for text in sorted(REFERENCES[name] for name in cited))
    return ClassReport(
        (
            ("Methods", (_of_methods(enumeration, profiles),)),
            ("Results", tuple(numbered)),
            ("SMART-LCA checklist", (_checklist(enumeration, profiles, row),)),
            ("References", (references,)),
        )
    )


def _of_methods(enumeration: Enumeration, profiles: ClassProfiles) -> str:
    numbers = sorted(set(enumeration.table["n_classes"]))
    models = "; ".join(enumeration.models.values())
    missing = "There were no missing values."
    if enumeration.n_missing:
        missing = (
            f"The data had {enumeration.n_missing:,} missing values, which were treated by full "
            "information maximum likelihood under the assumption that they are missing at random."
        )
    effects = tests = ""
    if profiles.covariates is not None:
        effects = (
            " Class membership depended on the covariates by a multinomial logistic regression, "
            "estimated together with the classes."
        )
    if enumeration.n_bootstrap:
        tests = (
            " Each number of classes was tested against one less by the bootstrap likelihood ratio "
            f"test (McLachlan, 1987; Nylund et al., 2007) with {enumeration.n_bootstrap} samples; "
            "observed and simulated data received the same search."
        )
    return (
        f"Mixture models with {numbers[0]} to {numbers[-1]} classes were fitted to "
        f"*N* = {enumeration.n_samples:,.0f} observations by maximum likelihood with the EM "
        f"algorithm (Dempster et al., 1977), in bayesmix {__version__}. Within classes the models "
        f"had: {models}. Every fit used several starts and moves between local optima. In "
        f"addition, {STARTS} random "
        f"starts were run to convergence to count how often the best likelihood was replicated. "
        f"{missing}{effects} Solutions were compared by the Bayesian information criterion (BIC; "
        f"Schwarz, "
        f"1978), the sample-size adjusted BIC (Sclove, 1987), relative entropy, the size of the "
        f"smallest class and mean posterior probabilities of the assigned class.{tests} Standard "
        f"errors of the profiles are based on the {profiles._kind_in_words}."
    )


def _of_choice(enumeration: Enumeration, row: Any) -> str:
    model = f"Model {row['model']} ({enumeration.models[row['model']]}) with "
    if len(enumeration.models) == 1:
        model = "The model with "
    text = (
        f"{model}{row['n_classes']} classes had a log likelihood of {plain(row['log_likelihood'])} "
        f"with {row['n_parameters']} parameters, BIC = {plain(row['bic'])}, and relative entropy "
        f"of {bounded(row['entropy'])}. The smallest class holds {row['smallest']:.1%} of the "
        f"sample; mean posterior probabilities of the assigned class are at least "
        f"{bounded(row['min_probability'])}."
    )
    table = enumeration.table[enumeration.table["model"] == row["model"]].set_index("n_classes")
    K = row["n_classes"]
    for number in (K, K + 1):
        if number in table.index and table["blrt_p"].notna()[number]:
            p = table["blrt_p"][number]
            verdict = "fits better" if p <= LEVEL else "does not fit better"
            text += f" The model with {number} classes {verdict} than that with {number - 1}"
            text += f" (BLRT, *p* {_equals(p)})."
    return text


def _equals(p: float) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def _of_covariates(profiles: ClassProfiles) -> str:
    assert profiles.covariates is not None
    clear = [
        f"the odds of class {k} rather than class {profiles.reference} "
        f"{'rose' if row['estimate'] > 0 else 'fell'} with {term} (OR = "
        f"{plain(row['odds_ratio'])}, *p* {_equals(row['p'])})"
        for (k, term), row in rows_by_key(profiles.covariates)
        if term != "intercept" and row["p"] <= LEVEL
    ]
    if not clear:
        return "No covariate was related to class membership at the 5% level."
    text = "; ".join(clear)
    return f"{text[0].upper()}{text[1:]}."


def _of_outcomes(profiles: ClassProfiles) -> str:
    sentences = []
    for name, test in rows_by_key(profiles.overall):
        verdict = "differed" if test["p"] <= LEVEL else "did not differ"
        sentences.append(
            f"{name} {verdict} between classes, χ²({test['df']:.0f}) = "
            f"{plain(test['chi_squared'])}, *p* {_equals(test['p'])}."
        )
    return "Outcomes were estimated in three steps (Vermunt, 2010). " + " ".join(sentences)


def _checklist(enumeration: Enumeration, profiles: ClassProfiles, row: Any) -> str:
    table = enumeration.table
    least = table["replicated"].min()
    items = {
        "Research question, design, exploratory or confirmatory": FOR_THE_AUTHOR,
        "Choice, validity and measurement level of the indicators": FOR_THE_AUTHOR,
        "Sample size and its justification": (
            f"N = {enumeration.n_samples:,.0f}; justification {FOR_THE_AUTHOR}"
        ),
        "Preregistration, availability of data and code": FOR_THE_AUTHOR,
        "Distributions of the indicators, recoding and rescaling": FOR_THE_AUTHOR,
        "Missing data": (
            f"{enumeration.n_missing:,} missing cells, integrated out by maximum likelihood; "
            f"plausibility of missing at random {FOR_THE_AUTHOR}"
            if enumeration.n_missing
            else "no missing cells"
        ),
        "Software and version": f"bayesmix {__version__}, random seed {enumeration.seed}",
        "Estimation": (
            f"maximum likelihood by EM; {STARTS} random starts; "
            f"{int(table['converged'].astype(bool).sum())} of {len(table)} fits converged; the "
            f"best likelihood was reached by {least} or more random starts (Table 1)"
        ),
        "Models and numbers of classes": (
            f"{', '.join(enumeration.models.values())}; {table['n_classes'].min()} to "
            f"{table['n_classes'].max()} classes"
        ),
        "Fit of all models (log likelihood, parameters, criteria, tests)": "Table 1",
        "Criteria of the choice": (
            f"{row['n_classes']} classes; BIC, tests and entropy in the text; theory "
            f"{FOR_THE_AUTHOR}"
        ),
        "Classification: entropy, smallest class, posterior probabilities": (
            f"{bounded(row['entropy'])}, {row['smallest']:.1%}, from "
            f"{bounded(row['min_probability'])} to {bounded(row['max_probability'])}; Table 3"
        ),
        "Estimates of the classes with standard errors": "Table 2",
        "Figure of the classes with raw data or uncertainty": "profiles with standard errors",
        "Names of the classes and their basis": FOR_THE_AUTHOR,
        "Auxiliary variables and their method": (
            "covariates in one step, outcomes in three steps with correction"
            if profiles.outcomes or profiles.covariates is not None
            else "none"
        ),
    }
    return "\n".join(f"- {item}: {answer}." for item, answer in items.items())
