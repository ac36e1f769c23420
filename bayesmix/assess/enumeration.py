"""Class enumeration: one table of fits with 1 to K classes, and the choice it suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.assess.apa import p_text
from bayesmix.assess.class_criteria import described, entropy_of, mean_posteriors
from bayesmix.assess.class_tests import BootstrapTest, vuong_lo_mendell_rubin
from bayesmix.assess.stability import quiet
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.em.model import Model, Settings
from bayesmix.em.result import FitResult
from bayesmix.em.run import Aitken
from bayesmix.errors import BayesmixError, InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.parameter_errors import ParameterScores
from bayesmix.search.fit import fit
from bayesmix.search.named_starts import named_start
from bayesmix.selection.tasks import Fitter

COLUMNS = (
    "model",
    "n_classes",
    "log_likelihood",
    "n_parameters",
    "aic",
    "bic",
    "sabic",
    "caic",
    "awe",
    "icl",
    "entropy",
    "smallest",
    "largest",
    "min_probability",
    "max_probability",
    "vlmr",
    "vlmr_p",
    "blrt",
    "blrt_p",
    "converged",
    "replicated",
)
# Starts run to convergence to count replications of the best likelihood, as papers report, and
# their largest number of passes.
STARTS, MOST_PASSES = 20, 1000
# Nats within which a likelihood counts as replicated.
SAME_LIKELIHOOD = 1e-3
START_KINDS = ("k-means++", "random_from_data")
# Conventions that reviewers cite: level of the tests, smallest class and entropy (Weller, Bowen &
# Faubert 2020).
LEVEL, SMALL_CLASS, CLEAR_ENTROPY = 0.05, 0.05, 0.8

ModelName: TypeAlias = int | str
# A fitted estimator, which stands above this part; None for a failed fit.
Estimator: TypeAlias = Any
# Values of a row of the table by column.
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ClassFit:
    """A fit of the enumeration, its row of the table, and its information for tests."""

    model: ModelName
    n_classes: int
    estimator: Estimator
    row: Row
    n_samples: float
    note: str = ""
    information: Array | None = None


@dataclass(frozen=True, eq=False)
class FitTask:
    """Fit a model with a number of classes; ``questions`` number all fits."""

    fitters: Mapping[ModelName, Fitter]
    questions: tuple[tuple[ModelName, int], ...]
    seed: int
    entropy_definition: str

    def __call__(self, number: int) -> ClassFit:
        name, K = self.questions[number]
        fitter: Any = self.fitters[name]
        candidate, n = fitter.candidate({"n_components": K}), fitter.source.total_weight
        try:
            with single_threaded_blas():
                result = quiet(fitter.fit)(candidate)
                ends: list[FitResult | None] = [
                    result
                ] * STARTS  # with one class all starts are the same
                if K > 1:
                    ends = [self._from_start(result, fitter.source, run) for run in range(STARTS)]
                sound = [end for end in ends if end is not None and end.degenerate is None]
                best = max(sound, key=lambda end: end.log_likelihood, default=None)
                if best is not None and best.log_likelihood > result.log_likelihood + (
                    SAME_LIKELIHOOD
                ):
                    candidate = fitter.candidate({"n_components": K})
                    result = quiet(fitter.fit)(candidate, (best.mixture,))
        except ValueError as problem:
            return ClassFit(name, K, None, {"converged": False}, n, f"failed: {problem}")
        least = result.log_likelihood - SAME_LIKELIHOOD
        row = described(result, self.entropy_definition) | {
            "converged": result.converged and result.degenerate is None,
            "replicated": sum(end.log_likelihood > least for end in sound),
        }
        source = fitter.source.in_memory()
        shares, _ = result.mixture.responsibilities(source.rows)
        certain = mean_posteriors(shares, source.rows.weights_or_ones).to_numpy().diagonal()
        known = certain[~np.isnan(certain)]
        row |= {"min_probability": known.min(), "max_probability": known.max()}
        note = f"a variance is at its floor ({result.degenerate})" if result.degenerate else ""
        return ClassFit(name, K, candidate, row, n, note, self._information(result, source))

    def _from_start(self, result: FitResult, source: Any, run: int) -> FitResult | None:
        """Return the optimum that a random start reaches; None if its fit fails."""
        kind, K = START_KINDS[run % len(START_KINDS)], result.n_components
        start = named_start(kind, source, source.summary, K, self.seed, run, result.family)
        settings = Settings(Aitken(), MOST_PASSES, init=start, search=False, sort=False)
        inference: Any = result.inference
        if source.side.covariates is not None:
            inference = replace(inference, weights=None)
        model = Model(K, result.family, inference)
        try:
            return quiet(lambda model, _: fit(model, source, settings))(model)
        except ValueError:
            return None

    @staticmethod
    def _information(result: FitResult, source: Any) -> Array | None:
        try:
            return ParameterScores(result, source).information
        except BayesmixError:  # families without scores, and covariances next to singular ones
            return None


@dataclass(frozen=True, eq=False)
class PairTask:
    """Test one class less against the classes of a fit; ``pairs`` number all tests."""

    fitters: Mapping[ModelName, Fitter]
    pairs: tuple[tuple[ClassFit, ClassFit], ...]
    n_bootstrap: int
    early: bool
    seed: int
    reason: str  # why there is no bootstrap test, if there is none

    def __call__(self, number: int) -> tuple[Any, int, dict[str, float], str]:
        smaller, larger = self.pairs[number]
        fitter: Any = self.fitters[larger.model]
        results = [one.estimator.result_ for one in (smaller, larger)]
        values = {"vlmr": 2.0 * (results[1].log_likelihood - results[0].log_likelihood)}
        note = self.reason
        if any(result.degenerate for result in results):
            return larger.model, larger.n_classes, {}, "no tests: a variance is at its floor"
        source = fitter.source.in_memory()
        scores = [
            ParameterScores(result, source, one.information)
            for result, one in zip(results, (smaller, larger), strict=True)
        ]
        with suppress(BayesmixError):  # as for the information
            values["vlmr_p"] = vuong_lo_mendell_rubin(*scores)
            if math.isnan(values["vlmr_p"]):
                note = note or "no VLMR test: a model is not identified, or has a limit as estimate"
        if self.n_bootstrap:
            test = BootstrapTest(fitter, results[0], larger.n_classes, self.seed)
            blrt, p_value, _, failures = test.run(self.n_bootstrap, self.early)
            note = failures or note
            values |= {"blrt": blrt, "blrt_p": p_value}
        return larger.model, larger.n_classes, values, note


@dataclass(frozen=True)
class SuggestedClasses:
    """A suggestion and its reasons; a starting point for judgement and theory."""

    model: ModelName
    n_classes: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(
            [f"Suggested: model {self.model} with {self.n_classes} classes.", *self.reasons]
        )

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
    n_bootstrap: int
    notes: pd.DataFrame
    seed: int

    def fit(self, model: Any = None, n_classes: int | None = None) -> Any:
        """Return the fitted estimator of a row, by default the suggested one."""
        suggested = self.suggested if model is None or n_classes is None else None
        key = (
            self.named(model) if model is not None else suggested.model,  # type: ignore[union-attr]
            n_classes if n_classes is not None else suggested.n_classes,  # type: ignore[union-attr]
        )
        if self.fits.get(key) is None:
            raise InvalidInputError(
                f"model {key[0]!r} with {key[1]} classes has no fit: choose a row of table that "
                "has a log_likelihood"
            )
        return self.fits[key]

    def named(self, model: Any) -> Any:
        """Return the name of a model in the table."""
        return next((name for name in self.models if str(name) == str(model)), model)

    @property
    def suggested(self) -> SuggestedClasses:
        """A model and number of classes, with reasons and objections in words."""
        table = self.table[self.table["converged"].astype(bool)]
        sound = table[table["smallest"] >= SMALL_CLASS]
        candidates = sound if len(sound) else table
        if not len(candidates):
            raise UnsupportedError("no fit of the enumeration converged: use fewer classes")
        best = candidates.sort_values("bic").iloc[0]
        model, K = best["model"], int(best["n_classes"])
        overall = table.sort_values("bic").iloc[0]
        reasons = [f"BIC: {best['bic']:.1f}, the smallest"]
        if overall.name != best.name:
            reasons[0] += (
                f" of fits whose classes all hold {SMALL_CLASS:.0%} of the sample; without that, "
                f"model {overall['model']} with {overall['n_classes']} ({overall['bic']:.1f})"
            )
        own = table[table["model"] == model].set_index("n_classes")
        reasons.append(self._of_criteria(own))
        reasons.append(_of_tests(own, K))
        if K > 1:
            clear = "clear" if best["entropy"] >= CLEAR_ENTROPY else "below 0.8: classes overlap"
            reasons.append(f"Relative entropy: {best['entropy']:.2f} ({clear}).")
        reasons.append(f"Smallest class: {best['smallest']:.1%} of the sample.")
        reasons.append(f"Best likelihood in {best['replicated']} of {STARTS} random starts.")
        reasons.append(
            "The number of classes also needs theory: compare the profiles of its rivals."
        )
        return SuggestedClasses(model, K, tuple(f"{reason.rstrip('.')}." for reason in reasons))

    @staticmethod
    def _of_criteria(own: pd.DataFrame) -> str:
        """Return which numbers of classes the criteria choose within a model, and BIC's elbow."""
        chosen = {name: _least(own[name]) for name in ("aic", "sabic", "bic", "caic", "icl")}
        text = "Within this model: " + ", ".join(f"{n.upper()} {K}" for n, K in chosen.items())
        bend = own["bic"].diff().diff().shift(-1)
        if bend.notna().any():
            text += f"; BIC bends most at {_least(-bend)}"
        return text

    def plot(self, axes: Any = None, **options: Any) -> Any:
        """Plot the criteria against the number of classes; see ``plot_enumeration``."""
        from bayesmix.plots.profiles import plot_enumeration

        return plot_enumeration(self, axes, **options)

    def to_apa(self, criteria: Any = ("aic", "bic", "sabic"), title: str | None = None) -> Any:
        """Return the table in APA style, which prints and writes Markdown, LaTeX, CSV and Word."""
        from bayesmix.assess.apa import enumeration_table

        return enumeration_table(self, criteria, title)

    def summary(self) -> str:
        """Return the suggestion with its reasons."""
        return str(self.suggested)

    def __repr__(self) -> str:
        lines = [f"<Enumeration of {len(self.table)} fits>", self.table.to_string(index=False)]
        return "\n".join([*lines, *(f"{note}" for note in self.remarks)])

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False, float_format="{:.3f}".format))

    @property
    def covariates(self) -> list[str]:
        """Covariates of class membership; none without."""
        designs = [fit.result_.side.design for fit in self.fits.values() if fit is not None]
        terms = [] if not designs or designs[-1] is None else designs[-1].terms
        return [term for term in terms if term != "intercept"]

    @property
    def remarks(self) -> list[str]:
        """Notes in words, one for each distinct note."""
        remarks = []
        for note, rows in self.notes.groupby("note", sort=False):
            places = ", ".join(
                f"model {m} with {k}" for m, k in rows[["model", "n_classes"]].values
            )
            remarks.append(f"{note}: {places}")
        return remarks

    def with_entropy(self, definition: str) -> Enumeration:
        """Return the enumeration with another definition of entropy: relative, sum or mean."""
        values = [
            math.nan
            if (model := self.fits.get((name, K))) is None
            else entropy_of(
                model.result_.plug_in_sums.entropy, model.result_.total_weight, K, definition
            )
            for name, K in self.table[["model", "n_classes"]].values
        ]
        return replace(self, table=self.table.assign(entropy=values))


def _least(values: pd.Series[float]) -> int:
    """Return the number of classes with the smallest value."""
    return int(values.index.tolist()[int(np.nanargmin(values.to_numpy(dtype=np.float64)))])


def _of_tests(own: pd.DataFrame, n_classes: int) -> str:
    """Return what the bootstrap tests say of a model, in words."""
    p = own["blrt_p"]
    if p.notna().sum() == 0:
        return "No bootstrap likelihood ratio test"
    accepted = [int(K) - 1 for K in p.index.tolist() if p[K] > LEVEL]
    if not accepted:
        return f"Bootstrap likelihood ratio tests reject every number below {int(p.index.max())}"
    agrees = "agreeing" if accepted[0] == n_classes else "disagreeing"
    return (
        f"Bootstrap likelihood ratio tests stop at {accepted[0]} classes (p "
        f"= {p_text(p[accepted[0] + 1])} against one more), {agrees}"
    )


def table_of(
    fits: list[ClassFit],
    tests: list[tuple[Any, int, dict[str, float], str]],
    tidylpa: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of an enumeration, and its notes."""
    of_tests = {(name, K): (values, note) for name, K, values, note in tests}
    rows, notes = [], []
    for one in fits:
        values, note = of_tests.get((one.model, one.n_classes), ({}, ""))
        row = {"model": one.model, "n_classes": one.n_classes, **one.row, **values}
        rows.append(row)
        notes += [
            {"model": one.model, "n_classes": one.n_classes, "note": text}
            for text in (one.note, note)
            if text
        ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    counts = ("n_parameters", "replicated")
    table = table.astype(dict.fromkeys(counts, "Int64"))
    if tidylpa and fits:
        table = table.assign(**_of_tidylpa(table, fits[0].n_samples))
    return table, pd.DataFrame(notes, columns=["model", "n_classes", "note"])


def _of_tidylpa(table: pd.DataFrame, n: float) -> dict[str, Any]:
    """Return tidyLPA's AWE, and its Lo-Mendell-Rubin p-value with three parameters a class.

    Published analyses report them; the test rejects almost always.
    """
    relative = table["entropy"].fillna(1.0)
    likelihood, p = table["log_likelihood"], table["n_parameters"].astype(float)
    more = p - p.groupby(table["model"]).shift()
    adjusted = table["vlmr"] / (1.0 + 1.0 / (3.0 * math.log(n)))
    return {
        "awe_tidylpa": -2.0 * (likelihood + relative) + 2.0 * p * (1.5 + math.log(n)),
        "lmr_tidylpa_p": stats.chi2.sf(adjusted, more),
    }
