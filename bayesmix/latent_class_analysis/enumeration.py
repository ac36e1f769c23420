"""Class enumeration: one table of fits with 1 to K classes, and the choice it suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.assess import LEVEL
from bayesmix.assess.apa import ApaTable, bounded, p_equals, p_text, plain, whole
from bayesmix.core import validation
from bayesmix.core.nouns import counted, plural
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.errors import BayesmixError, InvalidInputError, UnsupportedError, warn
from bayesmix.latent_class_analysis.class_fits import (
    REPLICATED,
    SAME_LIKELIHOOD,
    STARTS,
    Estimator,
    further_fit,
    grown_fit,
    thorough_fit,
)
from bayesmix.latent_class_analysis.class_tests import (
    ENTROPIES,
    BootstrapTest,
    described,
    entropy_of,
    vuong_lo_mendell_rubin,
)
from bayesmix.posterior.parameter_errors import ParameterScores
from bayesmix.selection.summary_text import phrase
from bayesmix.selection.tasks import Fitter


def ratio_text(value: float) -> str:
    """Return a Bayes factor, of which larger values are all decisive."""
    return "> 1,000" if value > 1000.0 else plain(value)


# Name of the model of categories, counts and mixed columns.
LOCAL_INDEPENDENCE = "local independence"
# Head in tables of papers, text of values, and words for the note, of every column.
CRITERIA = {
    "aic": "Akaike information criterion",
    "bic": "Bayesian information criterion",
    "sabic": "sample-size adjusted BIC",
    "caic": "consistent AIC",
    "awe": "approximate weight of evidence",
    "icl": "integrated completed likelihood",
    "sic": "Schwarz information criterion",
    "awe_classification": "approximate weight of evidence of the classification likelihood",
    "bf": "approximate Bayes factor against one {} more",
    "cmp": "approximate correct model probability",
}
HEADS = {"bf": "BF", "cmp": "cmP", "awe_classification": "AWE (classification)"}
TEXTS = {"bf": ratio_text, "cmp": bounded}
TESTS = ("vlmr", "vlmr_p", "lmr", "lmr_p", "blrt", "blrt_p")
COLUMNS = (
    *("model", "n_classes", "log_likelihood", "n_parameters", *CRITERIA, "entropy"),
    *("smallest", "largest", "min_probability", "max_probability", *TESTS),
    *("converged", "replicated"),
)
# Logarithm of the largest Bayes factor that is a number.
LARGEST_LOG = 700.0
# By ``benchmarks class_level``; the how-to page has the figures.
REJECTS_TOO_OFTEN = "they reject true numbers too often, so prefer the bootstrap test"
# Conventions that reviewers cite: smallest class and entropy (Weller, Bowen & Faubert 2020).
SMALL_CLASS, CLEAR_ENTROPY = 0.05, 0.8

ModelName: TypeAlias = int | str
Fitters: TypeAlias = Mapping[ModelName, Fitter]


@dataclass(frozen=True, eq=False)
class TableEntry:
    """Values of a row of the table, why values are missing, and the fit if there is one."""

    model: ModelName
    n_classes: int
    values: Mapping[str, object]  # by column of the table
    note: str = ""
    estimator: Estimator = None  # for a failed fit


@dataclass(frozen=True, eq=False)
class FitTask:
    """Fit a model with a number of classes; ``questions`` number all fits."""

    fitters: Fitters
    questions: tuple[tuple[ModelName, int], ...]
    seed: int
    kind: str = "fit"

    def __call__(self, number: int) -> TableEntry:
        name, K = self.questions[number]
        fitter: Any = self.fitters[name]
        try:
            with single_threaded_blas():
                thorough = thorough_fit(fitter, K, self.seed)
        except ValueError as problem:
            return TableEntry(name, K, {"converged": False}, f"failed: {problem}")
        entry = entry_of(name, K, fitter, thorough.estimator, thorough.n_replicated)
        return replace(entry, note=entry.note or thorough.spurious)


def entry_of(name: ModelName, K: int, fitter: Any, estimator: Any, n_replicated: int) -> TableEntry:
    """Return the entry of a fit."""
    result = estimator.result_
    values = described(result, fitter.source.in_memory()) | {
        "converged": result.converged and result.degenerate is None,
        "replicated": n_replicated,
    }
    note = "" if result.converged else "did not converge, so it is not suggested"
    if result.degenerate:
        note = f"a variance is at its floor ({result.degenerate})"
    return TableEntry(name, K, values, note, estimator)


@dataclass(frozen=True, eq=False)
class GrownTask:
    """Search from one class less; return the larger fit again if that is no better."""

    fitters: Fitters
    pairs: tuple[tuple[TableEntry, TableEntry], ...]
    kind: ClassVar[str] = "grown"

    @property
    def questions(self) -> list[tuple[ModelName, int]]:
        return [(larger.model, larger.n_classes) for _, larger in self.pairs]

    def __call__(self, number: int) -> TableEntry:
        smaller, larger = self.pairs[number]
        fitter: Any = self.fitters[larger.model]
        with single_threaded_blas():
            grown = grown_fit(fitter, smaller.estimator.result_, larger.estimator.result_)
        if grown is None:
            return larger
        # No random start has reached it: the best of them is the fit without it, or lower.
        return entry_of(larger.model, larger.n_classes, fitter, grown, 0)


@dataclass(frozen=True, eq=False)
class FurtherTask:
    """Search further for fits that hardly any random start has reached."""

    fitters: Fitters
    entries: tuple[TableEntry, ...]
    seed: int
    kind: ClassVar[str] = "further"

    @property
    def questions(self) -> list[tuple[ModelName, int]]:
        return [(one.model, one.n_classes) for one in self.entries]

    def __call__(self, number: int) -> TableEntry:
        entry = self.entries[number]
        fitter: Any = self.fitters[entry.model]
        with single_threaded_blas():
            better = further_fit(fitter, entry.estimator.result_, self.seed)
        if better is None:
            return entry
        return entry_of(entry.model, entry.n_classes, fitter, better, 0)


def hardly_replicated(fits: list[TableEntry]) -> tuple[TableEntry, ...]:
    """Return sound fits of several classes that too few random starts have reached."""
    return tuple(
        one
        for one in fits
        if one.n_classes > 1
        and one.estimator is not None
        and one.estimator.result_.degenerate is None
        and int(str(one.values["replicated"])) < REPLICATED
    )


@dataclass(frozen=True, eq=False)
class PairTask:
    """Test one class less against the classes of a fit; ``pairs`` number all tests."""

    fitters: Fitters
    pairs: tuple[tuple[TableEntry, TableEntry], ...]
    n_bootstrap: int
    early: bool
    seed: int
    reason: str  # why there is no bootstrap test, if there is none
    kind: ClassVar[str] = "test"

    @property
    def questions(self) -> list[tuple[ModelName, int]]:
        return [(larger.model, larger.n_classes) for _, larger in self.pairs]

    def __call__(self, number: int) -> TableEntry:
        name, K = self.questions[number]
        fitter: Any = self.fitters[name]
        results = [one.estimator.result_ for one in self.pairs[number]]
        values: dict[str, float] = {}
        note = self.reason
        if any(result.degenerate for result in results):
            return TableEntry(name, K, {}, "no tests: a variance is at its floor")
        source = fitter.source.in_memory()
        try:
            values = vuong_lo_mendell_rubin(*(ParameterScores(one, source) for one in results))
            if math.isnan(values["vlmr_p"]):
                note = note or "no VLMR test: a model is not identified"
        except BayesmixError as problem:
            note = note or f"no VLMR test: {str(problem).partition(': ')[0]}"
        if self.n_bootstrap:
            test = BootstrapTest(fitter, results[0], results[1], self.seed)
            values["blrt"] = test.statistic
            values["blrt_p"], _, failures = test.run(self.n_bootstrap, self.early)
            note = failures or note
        return TableEntry(name, K, values, note)


@dataclass(frozen=True)
class SuggestedClasses:
    """A suggestion and its reasons; a starting point for judgement and theory."""

    model: ModelName
    n_classes: int
    reasons: tuple[str, ...]
    noun: str = "class"
    words: str = ""  # the model, where there are several

    def __str__(self) -> str:
        of_model = f"model {self.model} ({self.words}) with " if self.words else ""
        head = f"Suggested: {of_model}{counted(self.n_classes, self.noun)}."
        return "\n".join([head, *self.reasons])

    __repr__ = __str__


@dataclass(frozen=True, repr=False, eq=False)
class Enumeration:
    """Fits with 1 to K classes; see ``enumerate_classes``.

    Attributes
    ----------
    table : DataFrame
        A row for each model and number of classes. Criteria have the sign of the field: smaller is
        better, but for ``sic``, which is -BIC / 2. ``awe`` is that of Masyn (2013), -2 log L +
        2 p (log n + 1.5); ``awe_classification`` has twice the entropy in addition (Banfield &
        Raftery 1993). ``bf`` is the approximate Bayes factor against one class more of the same
        model, exp of the difference of SIC; ``cmp`` the approximate probability of the model among
        the converged fits of the table, which count models that are the same once (NaN where a
        model stands above already, as equal and free covariances of one class). ``entropy`` is
        relative (1: certain assignment), NaN at one class. ``smallest`` and
        ``largest`` are shares of the assigned samples. ``min_probability`` and
        ``max_probability`` are mean posterior probabilities of the assigned class. ``vlmr`` and
        ``blrt`` are twice the log likelihood ratio to one class less, ``lmr`` is its adjusted value
        (Lo, Mendell & Rubin 2001). ``vlmr_p`` and ``lmr_p`` reject too often: prefer ``blrt_p``.
        ``replicated`` counts the starts, of 20, that reached the
        best likelihood within 0.001.
    models : dict
        Words for every model of the table.
    n_samples : float
        Number of samples, or sum of their weights.
    n_missing : int
        Number of missing cells.
    n_dropped : int
        Number of samples that were left out, as they have missing values.
    n_empty : int
        Number of these that have no value at all.
    n_bootstrap : int
        Bootstrap samples of each test.
    notes : DataFrame
        ``model``, ``n_classes`` and ``note``: why values are missing.
    taken_as : str
        Which integers are taken as categories; empty if there are none, or if they were named.
    rounded : str
        Columns whose rounded values can make a narrow class that is none; empty without them. The
        table then has ``bic_spread``, BIC of fits to values that are spread over their steps, and
        the suggestion goes by it.
    """

    table: pd.DataFrame
    models: dict[ModelName, str]
    fits: dict[tuple[ModelName, int], Estimator]
    n_samples: float
    n_missing: int
    n_dropped: int
    n_bootstrap: int
    notes: pd.DataFrame
    seed: int
    entropy_definition: str = "relative"
    n_empty: int = 0
    taken_as: str = ""
    rounded: str = ""

    def fit(self, model: Any = None, n_classes: int | None = None) -> Any:
        """Return the fitted estimator of a row, by default the suggested one."""
        key = self.key(model, n_classes)
        if self.fits.get(key) is None:
            raise InvalidInputError(
                f"model {key[0]!r} with {key[1]} classes has no fit: choose a row of table that "
                "has a log_likelihood"
            )
        return self.fits[key]

    def key(self, model: Any = None, n_classes: int | None = None) -> tuple[ModelName, int]:
        """Return model and number of classes of a row, by default those that are suggested."""
        if model is None or n_classes is None:
            suggested = self.suggested
            model = suggested.model if model is None else model
            n_classes = suggested.n_classes if n_classes is None else n_classes
        named = (name for name in self.models if str(name) == str(model))
        return next(named, model), validation.integer("n_classes", n_classes, 1)

    @property
    def noun(self) -> str:
        """What papers call a class: "profile" where all columns are continuous."""
        return "class" if LOCAL_INDEPENDENCE in self.models else "profile"

    @property
    def sizes(self) -> pd.DataFrame:
        """Shares of the samples assigned to every class, by model and number of classes."""
        fits = {key: fit.result_ for key, fit in self.fits.items() if fit is not None}
        shares = {key: pd.Series(fit.hard_counts / self.n_samples) for key, fit in fits.items()}
        frame = pd.DataFrame(shares).T.rename_axis(["model", "n_classes"])
        return frame.set_axis(range(1, frame.shape[1] + 1), axis="columns")

    @property
    def suggested(self) -> SuggestedClasses:
        """A model and number of classes, with reasons and objections in words."""
        # Of models that are the same, the first.
        bic = "bic_spread" if self.rounded else "bic"
        table = self.table[considered(self.table)].sort_values(bic, kind="stable")
        sound = table[table["smallest"] >= SMALL_CLASS]
        if not len(table):
            raise UnsupportedError("no fit of the enumeration converged: use fewer classes")
        best, overall = (sound if len(sound) else table).iloc[0], table.iloc[0]
        model, K = best["model"], int(best["n_classes"])
        n_models = len(table)
        rule = (
            f"smallest BIC of the {n_models} different models that converged, without "
            f"{plural(self.noun)} below {SMALL_CLASS:.0%} of the sample"
            if n_models > 1
            else "the one model that converged"
        )
        reasons = [f"Rule: {rule}", f"BIC: {best[bic]:.1f}" + ", the smallest" * (n_models > 1)]
        if self.rounded:
            given = table.sort_values("bic", kind="stable").iloc[0]
            reasons[0] += f". {self.rounded}, so BIC is that of values spread over their steps"
            if (given["model"], given["n_classes"]) != (model, K):
                named = f"model {given['model']} with " if len(self.models) > 1 else ""
                reasons[0] += (
                    f"; of the values as given it would be {named}"
                    f"{counted(int(given['n_classes']), self.noun)}, cut at such values"
                )
        if overall.name != best.name:
            reasons[1] += (
                f" of fits whose {plural(self.noun)} all hold {SMALL_CLASS:.0%} of the sample; "
                f"without that, model {overall['model']} with {overall['n_classes']} "
                f"({overall[bic]:.1f})"
            )
        elif len(table) > 1:
            second = table.iloc[1]
            named = f"model {second['model']} with " if len(self.models) > 1 else ""
            noun = self.noun if second["n_classes"] == 1 else plural(self.noun)
            further = second[bic] - best[bic]
            reasons[1] += f"; {named}{second['n_classes']} {noun}: {further:.2f} above"
        fits = table[table["model"] == model].set_index("n_classes").sort_index()
        chosen = {name: best_number(fits[name]) for name in ("aic", "sabic", "bic", "caic", "icl")}
        if len(table) > 1:
            odds = np.exp(0.5 * (table[bic].min() - table[bic].astype(float)))
            reasons.append(
                "Approximate probability among these models (cmP, from BIC): "
                f"{bounded(odds[best.name] / odds.sum())}"
            )
        reasons.append(
            "Within this model: " + ", ".join(f"{n.upper()} {k}" for n, k in chosen.items())
        )
        bend = fits["bic"].diff().diff().shift(-1)
        if bend.notna().any():
            reasons[-1] += f"; the elbow of BIC is at {best_number(-bend)}"
        reasons.append(_of_tests(fits["blrt_p"].dropna(), K, self.n_bootstrap, self.noun))
        if fits["vlmr_p"].notna().any():
            reasons.append(f"VLMR and LMR tests: {REJECTS_TOO_OFTEN}")
        if K > 1:
            entropy = self._entropy(model, K, "relative")
            overlap = f"below {CLEAR_ENTROPY}: {plural(self.noun)} overlap"
            clear = "clear" if entropy >= CLEAR_ENTROPY else overlap
            reasons.append(f"Relative entropy: {entropy:.3f} ({clear})")
        reasons.append(f"Smallest {self.noun}: {best['smallest']:.1%} of the sample")
        reasons.append(f"Best likelihood in {best['replicated']} of {STARTS} random starts")
        reasons.append(f"The number of {plural(self.noun)} also needs theory: compare its rivals")
        reasons += [self.taken_as] if self.taken_as else []
        words = self.models[model] if len(self.models) > 1 else ""
        return SuggestedClasses(model, K, tuple(f"{r}." for r in reasons), self.noun, words)

    def plot(self, axes: Any = None, **options: Any) -> Any:
        """Plot the criteria against the number of classes; see ``plot_enumeration``."""
        from bayesmix.latent_class_analysis.profile_plots import plot_enumeration

        return plot_enumeration(self, axes, **options)

    def to_apa(self, criteria: Sequence[str] | None = None, title: str | None = None) -> ApaTable:
        """Return the table in APA style, which prints and writes Markdown, LaTeX, CSV and Word.

        ``criteria`` are columns of the table, by default AIC, BIC, SABIC, CAIC and AWE; others are
        "icl", "sic", "bf", "cmp" and "awe_classification".
        """
        if criteria is None:
            criteria = ("aic", "bic", "sabic", "caic", "awe")
        elif "awe" in criteria:
            warn_of_awe()
        table, several = self.table, len(self.models) > 1
        sizes = {
            key: "/".join(plain(share, int(share < 10.0)) for share in row[: key[1]])
            for key, row in zip(self.sizes.index, 100.0 * self.sizes.to_numpy(), strict=True)
        }
        keys = zip(table["model"], table["n_classes"], strict=True)
        tested = {
            name: (f"{name.removesuffix('_p').upper()} p", p_text)
            for name in ("vlmr_p", "lmr_p", "blrt_p")
        }
        columns: dict[str, Any] = {
            **({"model": ("Model", str)} if several else {}),
            "n_classes": (plural(self.noun).title(), whole),
            "log_likelihood": ("LL", plain),
            "n_parameters": ("Parameters", whole),
            **{name: (HEADS.get(name, name.upper()), TEXTS.get(name, plain)) for name in criteria},
            "entropy": ("Entropy", bounded if self.entropy_definition == "relative" else plain),
            "min_probability": ("Lowest mean posterior", bounded),
            **{name: test for name, test in tested.items() if table[name].notna().any()},
            "replicated": ("Replications", whole),
            "sizes": (f"{self.noun.title()} sizes (%)", str),
        }
        words = "; ".join(
            f"{HEADS.get(name, name.upper())} = {CRITERIA[name].format(self.noun)}"
            for name in criteria
            if name in CRITERIA
        )
        note = [
            f"N = {self.n_samples:,.0f}. LL = log likelihood; {words}. Entropy is "
            f"{ENTROPIES[self.entropy_definition]}; lowest mean posterior: of the probabilities of "
            f"the assigned {self.noun}; {self.noun} sizes are shares by most likely {self.noun}, "
            f"in the order of the {plural(self.noun)}."
        ]
        note += [f"{self.left_out}."] if self.left_out else []
        if "cmp" in criteria:
            n_models = int(considered(table).sum())
            note.append(f"cmP is over the {n_models} different models that converged.")
        if self.covariates:
            note.append(f"All models regress {self.noun} membership on {phrase(self.covariates)}.")
        note.append(f"{'Models' if several else 'Model'}: {self.models_in_words}.")
        if self.n_bootstrap:
            note.append(
                f"BLRT = bootstrap likelihood ratio test of one {self.noun} less "
                f"({self.n_bootstrap} samples, so that p is at least "
                f"{bounded(1.0 / (1 + self.n_bootstrap), 3)})."
            )
        if "vlmr_p" in columns:
            note.append(
                "VLMR = Vuong-Lo-Mendell-Rubin test, LMR = the same with the adjusted statistic: "
                f"{REJECTS_TOO_OFTEN}."
            )
        alone = "; 0: the search alone found it" if (table["replicated"] == 0).any() else ""
        best = f"of {STARTS} random starts, those with the best likelihood"
        note.append(f"Replications: {best}{alone}.")
        note += [f"{remark}." for remark in self.remarks]
        note += [f"{self.taken_as}."] if self.taken_as else []
        title = title or f"Fit of Models With Different Numbers of {plural(self.noun).title()}"
        table = table.assign(sizes=[sizes.get(key, "") for key in keys])
        return ApaTable.of(table, columns, title, " ".join(note))

    def summary(self) -> str:
        """Return the suggestion with its reasons."""
        return str(self.suggested)

    def __repr__(self) -> str:
        lines = [f"<Enumeration of {len(self.table)} fits>", self.table.to_string(index=False)]
        if self.table["vlmr_p"].notna().any():
            lines.append(f"vlmr_p, lmr_p: {REJECTS_TOO_OFTEN}")
        return "\n".join([*lines, *self.remarks, *[self.taken_as] * bool(self.taken_as)])

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False, float_format="{:.3f}".format))

    @property
    def left_out(self) -> str:
        """Which observations were left out, in words; empty if there are none."""
        parts = []
        if self.n_empty:
            parts.append(f"{counted(self.n_empty, 'observation')} without any value")
        if self.n_dropped > self.n_empty:
            parts.append(
                f"{counted(self.n_dropped - self.n_empty, 'observation')} with missing values"
            )
        if not parts:
            return ""
        used = "; observations with some values were used" if self.n_missing else ""
        return f"{phrase(parts)} {'was' if self.n_dropped == 1 else 'were'} left out{used}"

    @property
    def models_in_words(self) -> str:
        """All models of the table, with their names if there are several."""
        if len(self.models) == 1:
            return next(iter(self.models.values()))
        return "; ".join(f"{name} = {words}" for name, words in self.models.items())

    @property
    def covariates(self) -> list[str]:
        """Covariates of class membership; none without."""
        designs = [fit.result_.side.design for fit in self.fits.values() if fit is not None]
        terms = [] if not designs or designs[-1] is None else designs[-1].terms
        return [term for term in terms if term != "intercept"]

    @property
    def remarks(self) -> list[str]:
        """Notes in words, one for each distinct note."""
        remarks, several = [], len(self.models) > 1
        for note, rows in self.notes.groupby("note", sort=False):
            words = str(note)
            places = [
                (f"model {name} " if several else "")
                + f"with {self.listed(of_model['n_classes'].tolist())}"
                for name, of_model in rows.groupby("model", sort=False)
            ]
            remarks.append(f"{words[:1].upper()}{words[1:]} ({phrase(places)})")
        return remarks

    def listed(self, numbers: list[int]) -> str:
        """Return ascending numbers of classes in words, such as "2 to 6 classes"."""
        every = numbers == list(range(numbers[0], numbers[-1] + 1))
        shown = [*map(str, numbers[:-1]), counted(numbers[-1], self.noun)]
        return f"{shown[0]} to {shown[-1]}" if len(numbers) > 2 and every else phrase(shown)

    def with_entropy(self, definition: str) -> Enumeration:
        """Return the enumeration with another definition of entropy: relative, sum or mean."""
        keys = zip(self.table["model"], self.table["n_classes"], strict=True)
        values = [self._entropy(name, K, definition) for name, K in keys]
        table = self.table.assign(entropy=values)
        return replace(self, table=table, entropy_definition=definition)

    def _entropy(self, model: ModelName, n_classes: int, definition: str) -> float:
        if (fit := self.fits.get((model, n_classes))) is None:
            return math.nan
        total = fit.result_.plug_in_sums.entropy
        return entropy_of(total, self.n_samples, n_classes, definition)


def warn_of_awe() -> None:
    """Warn that the meaning of "awe" has changed."""
    warn(
        "'awe' is -2 log L + 2 p (log n + 1.5) since version 0.3 (Masyn 2013); the former value, "
        "with twice the entropy, is 'awe_classification'",
        FutureWarning,
    )


def considered(table: pd.DataFrame) -> pd.Series[bool]:
    """Return which fits converged, and are no repetition of a model that stands above.

    Models that are the same, such as equal and free covariances of one class, have as many classes
    and parameters and the same likelihood.
    """
    first: list[tuple[int, int, float]] = []
    keep = []
    columns = ["converged", "n_classes", "n_parameters", "log_likelihood"]
    for converged, *size, likelihood in table[columns].itertuples(index=False):
        same = any(
            size == [K, p] and abs(likelihood - other) < SAME_LIKELIHOOD for K, p, other in first
        )
        keep.append(bool(converged) and not same)
        if keep[-1]:
            first.append((*size, likelihood))
    return pd.Series(keep, index=table.index, dtype=bool)


def best_number(values: pd.Series[float]) -> int:
    """Return the number of classes with the smallest value."""
    return int(values.index.tolist()[int(np.nanargmin(values.to_numpy(dtype=np.float64)))])


def _of_tests(p: pd.Series[float], n_classes: int, n_bootstrap: int, noun: str) -> str:
    """Return what the bootstrap tests say of a model, in words."""
    if not len(p):
        return "No bootstrap likelihood ratio test"
    accepted = p[p > LEVEL]
    if n_bootstrap < 1.0 / LEVEL - 1.0:
        return f"{n_bootstrap} bootstrap samples are too few for tests at the {LEVEL:.0%} level"
    if not len(accepted):
        return f"Bootstrap likelihood ratio tests reject every number below {int(p.index.max())}"
    first = int(accepted.index[0]) - 1
    agrees = "agreeing" if first == n_classes else "disagreeing"
    return (
        f"Bootstrap likelihood ratio tests stop at {counted(first, noun)} (p "
        f"{p_equals(accepted.iloc[0])} against one more), {agrees}"
    )


def table_of(
    fits: list[TableEntry], tests: list[TableEntry], n: float, tidylpa: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of an enumeration, and its notes.

    ``tidylpa`` adds tidyLPA's AWE, and its Lo-Mendell-Rubin p-value with three parameters a class,
    which published analyses report; the test rejects almost always.
    """
    of_tests = {(one.model, one.n_classes): one for one in tests}
    rows, notes = [], []
    for one in fits:
        key = {"model": one.model, "n_classes": one.n_classes}
        test = of_tests.get((one.model, one.n_classes), TableEntry(one.model, one.n_classes, {}))
        rows.append(key | dict(one.values) | dict(test.values))
        notes += [key | {"note": entry.note} for entry in (one, test) if entry.note]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table.astype({"n_parameters": "Int64", "replicated": "Int64"})
    sic = table["sic"].astype(float)
    table["bf"] = np.exp((sic - sic.groupby(table["model"]).shift(-1)).clip(upper=LARGEST_LOG))
    counts = considered(table)
    shares = np.exp(sic[counts] - sic[counts].max())
    table["cmp"] = shares / shares.sum()
    for row in np.flatnonzero(table["converged"].astype(bool) & ~counts):
        one = fits[row]
        key = {"model": one.model, "n_classes": one.n_classes}
        notes.append(key | {"note": "the same model as one above, so that it counts once"})
    if tidylpa:
        p, relative = table["n_parameters"].astype(float), table["entropy"].fillna(1.0)
        adjusted = table["vlmr"] / (1.0 + 1.0 / (3.0 * math.log(n)))
        more = p - p.groupby(table["model"]).shift()
        deviance = -2.0 * (table["log_likelihood"] + relative)
        table["awe_tidylpa"] = deviance + 2.0 * p * (1.5 + math.log(n))
        table["lmr_tidylpa_p"] = stats.chi2.sf(adjusted, more)
    return table, pd.DataFrame(notes, columns=["model", "n_classes", "note"])
