"""Class enumeration: one table of fits with 1 to K classes, and the choice it suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.assess import LEVEL
from bayesmix.assess.apa import ApaTable, bounded, p_equals, p_text, plain, whole
from bayesmix.assess.class_tests import (
    ENTROPIES,
    BootstrapTest,
    described,
    entropy_of,
    from_start,
    vuong_lo_mendell_rubin,
)
from bayesmix.assess.stability import quiet
from bayesmix.core import validation
from bayesmix.core.nouns import counted, plural
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.em.result import FitResult
from bayesmix.em.run import Aitken
from bayesmix.errors import BayesmixError, InvalidInputError, UnsupportedError
from bayesmix.posterior.parameter_errors import ParameterScores
from bayesmix.search.named_starts import named_start
from bayesmix.selection.summary_text import phrase
from bayesmix.selection.tasks import Fitter

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
}
TESTS = ("vlmr", "vlmr_p", "blrt", "blrt_p")
COLUMNS = (
    *("model", "n_classes", "log_likelihood", "n_parameters", *CRITERIA, "entropy"),
    *("smallest", "largest", "min_probability", "max_probability", *TESTS),
    *("converged", "replicated"),
)
# Starts run to convergence to count replications of the best likelihood, as papers report.
STARTS, START_KINDS = 20, ("k-means++", "random_from_data")
# Nats within which a likelihood counts as replicated.
SAME_LIKELIHOOD = 1e-3
# Conventions that reviewers cite: smallest class and entropy (Weller, Bowen & Faubert 2020).
SMALL_CLASS, CLEAR_ENTROPY = 0.05, 0.8

ModelName: TypeAlias = int | str
# A fitted estimator, which stands above this part; None for a failed fit.
Estimator: TypeAlias = Any
Fitters: TypeAlias = Mapping[ModelName, Fitter]


@dataclass(frozen=True, eq=False)
class TableEntry:
    """Values of a row of the table, why values are missing, and the fit if there is one."""

    model: ModelName
    n_classes: int
    values: Mapping[str, object]  # by column of the table
    note: str = ""
    estimator: Estimator = None


@dataclass(frozen=True, eq=False)
class FitTask:
    """Fit a model with a number of classes; ``questions`` number all fits."""

    fitters: Fitters
    questions: tuple[tuple[ModelName, int], ...]
    seed: int

    def __call__(self, number: int) -> TableEntry:
        name, K = self.questions[number]
        fitter: Any = self.fitters[name]
        try:
            with single_threaded_blas():
                estimator = fitter.candidate({"n_components": K})
                result = quiet(fitter.fit)(estimator)
                # With one class all starts are the same.
                ends: list[FitResult | None] = [result] * STARTS
                if K > 1:
                    ends = [self._end(result, fitter.source, run) for run in range(STARTS)]
                sound = [end for end in ends if end is not None and end.degenerate is None]
                best = max(sound, key=lambda end: end.log_likelihood, default=result)
                if best.log_likelihood > result.log_likelihood + SAME_LIKELIHOOD:
                    estimator = fitter.candidate({"n_components": K})
                    result = quiet(fitter.fit)(estimator, (best.mixture,))
        except ValueError as problem:
            return TableEntry(name, K, {"converged": False}, f"failed: {problem}")
        least = result.log_likelihood - SAME_LIKELIHOOD
        values = described(result, fitter.source.in_memory()) | {
            "converged": result.converged and result.degenerate is None,
            "replicated": sum(end.log_likelihood > least for end in sound),
        }
        note = "" if result.converged else "did not converge, so it is not suggested"
        if result.degenerate:
            note = f"a variance is at its floor ({result.degenerate})"
        return TableEntry(name, K, values, note, estimator)

    def _end(self, result: FitResult, source: Any, run: int) -> FitResult | None:
        """Return the optimum that a random start reaches; None if its fit fails."""
        kind, K = START_KINDS[run % len(START_KINDS)], result.n_components
        start = named_start(kind, source, source.summary, K, self.seed, run, result.family)
        # A tenth of what tells likelihoods apart may remain: gates without a finite optimum creep.
        remaining = 0.1 * SAME_LIKELIHOOD / source.total_weight
        with suppress(ValueError):
            return from_start(result, source, start, Aitken(remaining))
        return None


@dataclass(frozen=True, eq=False)
class PairTask:
    """Test one class less against the classes of a fit; ``pairs`` number all tests."""

    fitters: Fitters
    pairs: tuple[tuple[TableEntry, TableEntry], ...]
    n_bootstrap: int
    early: bool
    seed: int
    reason: str  # why there is no bootstrap test, if there is none

    @property
    def questions(self) -> list[tuple[ModelName, int]]:
        return [(larger.model, larger.n_classes) for _, larger in self.pairs]

    def __call__(self, number: int) -> TableEntry:
        name, K = self.questions[number]
        fitter: Any = self.fitters[name]
        results = [one.estimator.result_ for one in self.pairs[number]]
        values = {"vlmr": 2.0 * (results[1].log_likelihood - results[0].log_likelihood)}
        note = self.reason
        if any(result.degenerate for result in results):
            return TableEntry(name, K, {}, "no tests: a variance is at its floor")
        source = fitter.source.in_memory()
        try:
            scores = (ParameterScores(result, source) for result in results)
            values["vlmr_p"] = vuong_lo_mendell_rubin(*scores)
            if math.isnan(values["vlmr_p"]):
                note = note or "no VLMR test: a model is not identified"
        except BayesmixError:
            note = note or "no VLMR test: a covariance is almost singular, or data are too large"
        if self.n_bootstrap:
            test = BootstrapTest(fitter, results[0], K, self.seed)
            values["blrt"], values["blrt_p"], _, failures = test.run(self.n_bootstrap, self.early)
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
        better. ``entropy`` is relative (1: certain assignment), NaN at one class. ``smallest`` and
        ``largest`` are shares of the assigned samples. ``min_probability`` and
        ``max_probability`` are mean posterior probabilities of the assigned class. ``vlmr`` is
        twice the log likelihood ratio to one class less, ``blrt`` the same after the quick search
        that the bootstrap samples get. ``replicated`` counts the starts, of 20, that reached the
        best likelihood within 0.001.
    models : dict
        Words for every model of the table.
    n_samples : float
        Number of samples, or sum of their weights.
    n_missing : int
        Number of missing cells.
    n_dropped : int
        Number of samples that were left out, as they have missing values.
    n_bootstrap : int
        Bootstrap samples of each test.
    notes : DataFrame
        ``model``, ``n_classes`` and ``note``: why values are missing.
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
        table = self.table[self.table["converged"].astype(bool)].sort_values("bic")
        sound = table[table["smallest"] >= SMALL_CLASS]
        if not len(table):
            raise UnsupportedError("no fit of the enumeration converged: use fewer classes")
        best, overall = (sound if len(sound) else table).iloc[0], table.iloc[0]
        model, K = best["model"], int(best["n_classes"])
        reasons = [f"BIC: {best['bic']:.1f}, the smallest"]
        if overall.name != best.name:
            reasons[0] += (
                f" of fits whose {plural(self.noun)} all hold {SMALL_CLASS:.0%} of the sample; "
                f"without that, model {overall['model']} with {overall['n_classes']} "
                f"({overall['bic']:.1f})"
            )
        elif len(table) > 1:
            second = table.iloc[1]
            named = f"model {second['model']} with " if len(self.models) > 1 else ""
            noun = self.noun if second["n_classes"] == 1 else plural(self.noun)
            further = second["bic"] - best["bic"]
            reasons[0] += f"; {named}{second['n_classes']} {noun}: {further:.2f} above"
        fits = table[table["model"] == model].set_index("n_classes").sort_index()
        chosen = {name: best_number(fits[name]) for name in ("aic", "sabic", "bic", "caic", "icl")}
        reasons.append(
            "Within this model: " + ", ".join(f"{n.upper()} {k}" for n, k in chosen.items())
        )
        bend = fits["bic"].diff().diff().shift(-1)
        if bend.notna().any():
            reasons[-1] += f"; the elbow of BIC is at {best_number(-bend)}"
        reasons.append(_of_tests(fits["blrt_p"].dropna(), K, self.n_bootstrap, self.noun))
        if K > 1:
            entropy = self._entropy(model, K, "relative")
            overlap = f"below {CLEAR_ENTROPY}: {plural(self.noun)} overlap"
            clear = "clear" if entropy >= CLEAR_ENTROPY else overlap
            reasons.append(f"Relative entropy: {entropy:.3f} ({clear})")
        reasons.append(f"Smallest {self.noun}: {best['smallest']:.1%} of the sample")
        reasons.append(f"Best likelihood in {best['replicated']} of {STARTS} random starts")
        reasons.append(f"The number of {plural(self.noun)} also needs theory: compare its rivals")
        words = self.models[model] if len(self.models) > 1 else ""
        return SuggestedClasses(model, K, tuple(f"{r}." for r in reasons), self.noun, words)

    def plot(self, axes: Any = None, **options: Any) -> Any:
        """Plot the criteria against the number of classes; see ``plot_enumeration``."""
        from bayesmix.plots.profiles import plot_enumeration

        return plot_enumeration(self, axes, **options)

    def to_apa(
        self, criteria: Sequence[str] = ("aic", "bic", "sabic"), title: str | None = None
    ) -> ApaTable:
        """Return the table in APA style, which prints and writes Markdown, LaTeX, CSV and Word."""
        table, several = self.table, len(self.models) > 1
        sizes = {
            key: "/".join(plain(share, int(share < 10.0)) for share in row[: key[1]])
            for key, row in zip(self.sizes.index, 100.0 * self.sizes.to_numpy(), strict=True)
        }
        keys = zip(table["model"], table["n_classes"], strict=True)
        tested = {"vlmr_p": ("VLMR p", p_text), "blrt_p": ("BLRT p", p_text)}
        columns: dict[str, Any] = {
            **({"model": ("Model", str)} if several else {}),
            "n_classes": (plural(self.noun).title(), whole),
            "log_likelihood": ("LL", plain),
            "n_parameters": ("Parameters", whole),
            **{name: (name.upper(), plain) for name in criteria},
            "entropy": ("Entropy", bounded if self.entropy_definition == "relative" else plain),
            "min_probability": ("Lowest mean posterior", bounded),
            **{name: test for name, test in tested.items() if table[name].notna().any()},
            "replicated": ("Replications", whole),
            "sizes": (f"{self.noun.title()} sizes (%)", str),
        }
        words = "; ".join(f"{c.upper()} = {CRITERIA[c]}" for c in criteria if c in CRITERIA)
        note = [
            f"N = {self.n_samples:,.0f}. LL = log likelihood; {words}. Entropy is "
            f"{ENTROPIES[self.entropy_definition]}; lowest mean posterior: of the probabilities of "
            f"the assigned {self.noun}; {self.noun} sizes are shares by most likely {self.noun}, "
            f"in the order of the {plural(self.noun)}."
        ]
        if self.n_dropped:
            note.append(f"{self.n_dropped:,} observations with missing values were left out.")
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
            note.append("VLMR = Vuong-Lo-Mendell-Rubin test.")
        alone = "; 0: the search alone found it" if (table["replicated"] == 0).any() else ""
        best = f"of {STARTS} random starts, those with the best likelihood"
        note.append(f"Replications: {best}{alone}.")
        note += [f"{remark}." for remark in self.remarks]
        title = title or f"Fit of Models With Different Numbers of {plural(self.noun).title()}"
        table = table.assign(sizes=[sizes.get(key, "") for key in keys])
        return ApaTable.of(table, columns, title, " ".join(note))

    def summary(self) -> str:
        """Return the suggestion with its reasons."""
        return str(self.suggested)

    def __repr__(self) -> str:
        lines = [f"<Enumeration of {len(self.table)} fits>", self.table.to_string(index=False)]
        return "\n".join([*lines, *self.remarks])

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False, float_format="{:.3f}".format))

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
                + f"with {self._listed(of_model['n_classes'].tolist())}"
                for name, of_model in rows.groupby("model", sort=False)
            ]
            remarks.append(f"{words[:1].upper()}{words[1:]} ({phrase(places)})")
        return remarks

    def _listed(self, numbers: list[int]) -> str:
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
    if tidylpa:
        p, relative = table["n_parameters"].astype(float), table["entropy"].fillna(1.0)
        adjusted = table["vlmr"] / (1.0 + 1.0 / (3.0 * math.log(n)))
        more = p - p.groupby(table["model"]).shift()
        deviance = -2.0 * (table["log_likelihood"] + relative)
        table["awe_tidylpa"] = deviance + 2.0 * p * (1.5 + math.log(n))
        table["lmr_tidylpa_p"] = stats.chi2.sf(adjusted, more)
    return table, pd.DataFrame(notes, columns=["model", "n_classes", "note"])
