"""Profiles of classes, and their tables as papers print them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.assess.apa import (
    MISSING,
    ApaTable,
    bounded,
    digits_of,
    p_equals,
    p_text,
    plain,
    rounded,
    whole,
    with_errors,
)
from bayesmix.core import validation
from bayesmix.core.nouns import counted, part_name, part_names, plural
from bayesmix.errors import InvalidInputError
from bayesmix.selection.summary_text import phrase

# Parameters that describe what a class answers; variances are in ``parameter_table``.
PROFILED = {"mean": "means", "probability": "item probabilities", "rate": "rates"}
# Numeric indicators whose correlations fit a page, and pairs of items.
MOST_SHOWN = 10
# Upper 5 % point of chi-squared with one degree of freedom.
LARGE_RESIDUAL = 3.84
KINDS = {
    "information": "observed information",
    "sandwich": "robust sandwich estimator",
    "bootstrap": "bootstrap",
}


@dataclass(frozen=True, repr=False, eq=False)
class ClassProfiles:
    """Profiles of the classes of a fit; see ``class_profiles``.

    Attributes
    ----------
    sizes : DataFrame
        By class: ``share``, ``standard_error``, ``n_assigned`` and ``assigned`` (its share). Those
        of states are averages over the samples.
    profiles : DataFrame
        By parameter, column, level and class: ``estimate``, ``standard_error``, ``lower``,
        ``upper``, ``sd`` (standard deviation within the class) with ``sd_error``, and ``z``: the
        estimate in standard deviations from the mean of all samples.
    descriptives : DataFrame
        By column and level: ``n`` with a value, ``missing``, and ``mean`` and ``sd`` of numbers, or
        the ``share`` of a level.
    correlations : DataFrame
        Of the numeric columns, over samples with both values; NaN without any.
    classification : DataFrame
        Mean posterior probabilities of the columns among samples assigned to a row.
    entropy : float
        Relative entropy; NaN for one class.
    contrasts : DataFrame or None
        Effects of covariates by class, reference class and term, for all pairs of classes:
        ``estimate``, ``standard_error``, ``odds_ratio``, its interval and ``p``.
    covariate_tests : DataFrame or None
        Wald tests that a covariate has no effect at all; ``chi_squared``, ``df``,
        ``df_denominator`` (infinite without the design of a survey), ``f`` (with it), ``p``.
    outcomes : dict of DataFrame
        Three-step estimates of each outcome by class (and level).
    tests : DataFrame
        Such tests of each outcome: all classes equal, and pairs; for numbers also Cohen's ``d``,
        divided by the root of the mean of both variances.
    standard_errors : str
        Kind of the standard errors of ``profiles``.
    residuals : Series or None
        Bivariate residuals of all pairs of items, the largest first, as in ``latent_classes``:
        large values contradict independence within classes. None for other families.
    design : str
        Design of a survey in words, such as "sampling weights and 60 clusters"; "" without.
    transitions : DataFrame or None
        Transition probabilities of a hidden Markov model by state before and after, with standard
        errors; with covariates averages, as in ``parameter_table``.
    left_out : dict of str
        Why outcomes could not be computed, by name.
    waves : DataFrame or None
        Sizes of the states of a panel by wave: ``share`` of the persons and ``standard_error``.
    sample : str
        N in words: of panels persons and person-waves.
    wave_transitions : DataFrame or None
        Transitions of a panel between consecutive waves, with standard errors; None if they are the
        same at all waves.
    """

    sizes: pd.DataFrame
    profiles: pd.DataFrame
    descriptives: pd.DataFrame
    correlations: pd.DataFrame
    classification: pd.DataFrame
    entropy: float
    contrasts: pd.DataFrame | None
    covariate_tests: pd.DataFrame | None
    outcomes: dict[str, pd.DataFrame]
    tests: pd.DataFrame
    standard_errors: str
    n_samples: float
    reference: int
    residuals: pd.Series | None
    design: str = ""
    transitions: pd.DataFrame | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    waves: pd.DataFrame | None = None
    sample: str = ""
    wave_transitions: pd.DataFrame | None = None

    @property
    def n_classes(self) -> int:
        return len(self.sizes)

    @property
    def noun(self) -> str:
        """What papers call a class: "profile" where all indicators are continuous."""
        return noun_of(self.profiles) if self.transitions is None else "state"

    @property
    def _of_transitions(self) -> bool:
        """Whether transitions of states depend on covariates."""
        terms = () if self.contrasts is None else self.contrasts.index.unique("term")
        return self.transitions is not None and any("(from state " in term for term in terms)

    @property
    def plural(self) -> str:
        """The plural of ``noun``."""
        return plural(self.noun)

    @property
    def errors_in_words(self) -> str:
        """Kind of the standard errors, and the design of the survey if there is one."""
        return KINDS[self.standard_errors] + (f" with {self.design}" if self.design else "")

    @property
    def heads(self) -> list[str]:
        """Names of the classes in tables."""
        return part_names(self.noun.title(), self.n_classes)

    @property
    def covariates(self) -> pd.DataFrame | None:
        """Effects of covariates by class and term, against the reference class."""
        if self.contrasts is None:
            return None
        name = part_name(str(self.sizes.index.name), self.reference - 1)
        table: Any = self.contrasts.xs(name, level="reference")
        return table

    @property
    def overall(self) -> pd.DataFrame:
        """Tests that all classes have equal outcomes, by outcome."""
        every = self.tests.index.get_level_values("test") == "all"
        return self.tests[every].droplevel("test")

    @property
    def effect_sizes(self) -> pd.DataFrame:
        """Differences of pairs of classes: Cohen's d of means, Cohen's h of probabilities.

        d divides by the root of the mean of both variances; h is 2 asin √p - 2 asin √q (Cohen 1988,
        ch. 2 and 6).
        """
        index: Any = self.profiles.index
        wide: Any = self.profiles[["estimate", "sd"]].unstack(level=-1)
        wide = wide.reindex(index.droplevel(-1).unique())
        m, variances = wide["estimate"].to_numpy(), wide["sd"].to_numpy() ** 2
        kinds, sizes = wide.index.get_level_values("parameter").to_numpy(dtype=object), {}
        angles = 2.0 * np.arcsin(np.sqrt(np.where(kinds[:, None] == "probability", m, np.nan)))
        for i, j in combinations(range(self.n_classes), 2):
            d = (m[:, i] - m[:, j]) / np.sqrt(0.5 * (variances[:, i] + variances[:, j]))
            sizes[f"{i + 1} vs {j + 1}"] = np.where(kinds == "mean", d, angles[:, i] - angles[:, j])
        return pd.DataFrame(sizes, index=wide.index)

    def to_apa(self, part: str = "profiles") -> ApaTable:
        """Return a table in APA style.

        ``part`` is "profiles", "descriptives", "effect_sizes", "classification", "covariates",
        "residuals" (of pairs of items), "outcomes", "pairs" (of classes, by outcome),
        "transitions" (of states) or "waves" (sizes of the states of a panel by wave).
        """
        tables = {
            "descriptives": self._descriptives,
            "profiles": self._profiles,
            "effect_sizes": self._effect_sizes,
            "covariates": self._covariates,
            "outcomes": self._outcomes,
            "pairs": self._pairs,
            "classification": self._classification,
            "residuals": self._residuals,
            "transitions": self._transitions,
            "waves": self._waves,
        }
        return tables[validation.one_of("part", part, tuple(tables))]()

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Plot the profiles with their standard errors; see ``plot_class_profiles``."""
        from bayesmix.latent_class_analysis.profile_plots import plot_class_profiles

        return plot_class_profiles(self, ax=ax, **options)

    def _profiles(self) -> ApaTable:
        shares = zip(self.heads, self.sizes["share"], strict=True)
        heads = [f"{head} ({share:.1%})" for head, share in shares]
        rows: list[tuple[str, ...]] = []
        for name, kind, estimates in self._indicators():
            if name is not None:
                rows += estimate_rows(name, estimates, kind == "probability", "held")
        shown = self.profiles.index.unique("parameter")
        kinds = phrase([PROFILED[kind] for kind in PROFILED if kind in shown])
        note = (
            f"N = {self.sample}. Cells are {kinds}, with standard errors in parentheses "
            f"({self.errors_in_words}). Percentages are estimated {self.noun} sizes"
            f"{', averages over the waves' * (self.waves is not None)}."
        )
        note += f" SD = standard deviation within the {self.noun}." if "mean" in shown else ""
        if self.profiles["standard_error"].isna().any():
            note += " A dash: at a boundary or not identified."
        title = f"Estimates of the {self.n_classes}-{self.noun.title()} Model"
        return ApaTable(title, ("Indicator", *heads), tuple(rows), note)

    def _indicators(self) -> list[tuple[str | None, Any, pd.DataFrame]]:
        """Return name, kind of parameter and values by class of every row of the profiles.

        The first answer of items with two has no name: tables show the second alone.
        """
        groups = self.profiles.groupby(level=["parameter", "column", "level"], sort=False)
        levels = groups.first().groupby(level=["parameter", "column"], sort=False)
        firsts = {estimates.index[0] for _, estimates in levels if len(estimates) == 2}
        names = {key: f"{key[1]}: {key[2]}" if key[2] != "" else str(key[1]) for key, _ in groups}
        return [
            (None if key in firsts else names[key], key[0], estimates) for key, estimates in groups
        ]

    def _descriptives(self) -> ApaTable:
        table, numbers = self.descriptives.reset_index(), list(self.correlations.columns)
        firsts = [key[1:3] for name, _, rows in self._indicators() if name is None
                  for key in rows.index[:1]]  # fmt: skip
        table = table[~self.descriptives.index.isin(firsts)].copy()
        order = {name: f"{place}. {name}" for place, name in enumerate(numbers, start=1)}
        pairs = zip(table["column"], table["level"], strict=True)
        table["name"] = [order.get(c, f"{c}: {v}" if v != "" else c) for c, v in pairs]
        columns: Any = {
            "name": ("Indicator", str),
            "n": ("n", whole),
            "missing": ("Missing", whole),
        }
        if numbers:
            table = rounded(table, "mean", "sd", 2)
            columns |= {"mean": ("M", str), "sd": ("SD", str)}
        if table["share"].notna().any():
            columns["share"] = ("Share", bounded)
        note = "Share: of those with an answer." if "share" in columns else ""
        if 1 < len(numbers) <= MOST_SHOWN:
            note += " Numbered columns are correlations."
            for place, name in enumerate(numbers[:-1], start=1):
                rows = {n: self.correlations.at[n, name] for n in numbers[place:]}
                table[f"r{place}"] = table["column"].map(rows)
                columns[f"r{place}"] = (str(place), lambda r: bounded(r) if r == r else "")
        return ApaTable.of(table, columns, "Descriptive Statistics of the Indicators", note.strip())

    def _effect_sizes(self) -> ApaTable:
        names: list[Any] = [name for name, _, _ in self._indicators()]
        sizes = self.effect_sizes.assign(name=names)
        columns: Any = {name: (name.replace("vs", "vs."), plain) for name in sizes.columns[:-1]}
        shown, notes = self.profiles.index.unique("parameter"), []
        if "mean" in shown:
            notes.append(
                f"Cohen's d of means, by the pooled standard deviation within {self.plural}"
            )
        if "probability" in shown:
            notes.append("Cohen's h of probabilities, 2 asin √p − 2 asin √q")
        note = f"{'; '.join(notes)}. First {self.noun} minus second."
        title = f"Standardized Differences Between the {self.plural.title()}"
        return ApaTable.of(sizes.dropna(), {"name": ("Indicator", str)} | columns, title, note)

    def _covariates(self) -> ApaTable:
        if self.contrasts is None or self.covariate_tests is None:
            raise InvalidInputError("covariates were not part of the fit: fit(X, covariates=)")
        level = self.contrasts.attrs["level"]
        table = self.contrasts.reset_index()
        heads = dict(zip(self.sizes.index, self.heads, strict=True))
        table["name"] = [
            f"{heads[k]} vs. {j.split()[-1]}: {term}" for k, j, term in self.contrasts.index
        ]
        limits = zip(table["lower"], table["upper"], strict=True)
        intervals = [f"[{ratio(low)}, {ratio(high)}]" for low, high in limits]
        table["interval"] = np.where(table["standard_error"].notna(), intervals, MISSING)
        odds = [is_intercept(term) for term in table["term"]]  # not ratios
        table.loc[odds, "odds_ratio"], table.loc[odds, "interval"] = np.nan, MISSING
        columns: Any = {
            "name": (f"{self.plural.title()} and predictor", str),
            "estimate": ("b", str),
            "standard_error": ("SE", str),
            "odds_ratio": ("OR", ratio),
            "interval": (f"{level:.0%} CI of OR", str),
            "p": ("p", p_text),
        }
        tests = "; ".join(
            f"{term} {wald_text(test)}"
            for term, test in rows_by_key(self.covariate_tests.dropna(subset="p"))
        )
        note = (
            f"Multinomial logistic regression of {self.noun} membership"
            f"{' given the state before' * self._of_transitions}: log odds (b) and odds "
            f"ratio (OR) of the first {self.noun} against the second; CI = confidence interval."
        )
        of_rates = [term.endswith("(rate)") for term in table["term"]]
        if any(of_rates):
            rates = (
                f"Rates: log rate (b) of entering the first {self.noun} from the second, and "
                "hazard ratio instead of OR."
            )
            interval = "CI = confidence interval."
            note = f"{rates[:-1]}; {interval}" if all(of_rates) else f"{note} {rates}"
        if np.isfinite(degrees := self.contrasts.attrs["degrees_of_freedom"]):
            note += f" Tests of b by Student's t with {degrees:.0f} degrees of freedom."
        note += f" Overall: {tests}." if tests else ""
        if self.contrasts["standard_error"].isna().any():
            note += (
                f" A predictor with a dash separates the {self.plural}, so that no estimate is "
                "finite."
            )
        title = f"Predictors of {self.noun.title()} Membership"
        table = rounded(table, "estimate", "standard_error")
        return ApaTable.of(table, columns, title, note)

    def _outcomes(self) -> ApaTable:
        if not self.outcomes:
            raise InvalidInputError("no outcomes were given: class_profiles(m, X, outcomes=)")
        rows: list[tuple[str, ...]] = []
        heads, tested = ["Outcome", *self.heads], []
        if self.n_classes > 1:
            heads += [statistic(self.tests.iloc[0])[0], "df", "p", "Pairs"]
        for name, table in self.outcomes.items():
            if self.n_classes > 1:
                tests: Any = self.tests.loc[name]
                pairs = [
                    pair.replace("vs", "≠")
                    for pair, row in rows_by_key(tests.drop(index="all"))
                    if row["p"] < 1.0 - table.attrs["level"]
                ]
                overall: Any = tests.loc["all"]
                tested = [*statistic(overall)[1:], p_text(overall["p"]), ", ".join(pairs) or "none"]
            levels = table.index.unique("level") if "level" in table.index.names else [None]
            for level in levels:
                outcome: Any = table if level is None else table.xs(level, level="level")
                full_name = name if level is None else f"{name}: {level}"
                for row in estimate_rows(full_name, outcome, level is not None):
                    rows.append((*row, *tested))
                    tested = [""] * len(tested)
        attributes = [outcome.attrs for outcome in self.outcomes.values()]
        counts = zip(self.outcomes, attributes, strict=True)
        sizes = ", ".join(f"{name} {outcome['n']:,}" for name, outcome in counts)
        note = (
            f"Three-step estimates ({attributes[0]['correction'] or 'no'} correction), standard "
            f"errors in parentheses. Numbers of observations: {sizes}."
        )
        if self.n_classes > 1:
            note += (
                f" Wald tests that all {self.plural} are equal. Pairs: {self.plural} that differ "
                f"at the {1.0 - attributes[0]['level']:.0%} level, not adjusted for their number."
            )
        if any("sd" in outcome for outcome in self.outcomes.values()):
            note += f" SD = standard deviation within the {self.noun}."
        for name, problem in self.left_out.items():
            note += f" {name} is left out: {problem.partition(': use ')[0]}."
        return ApaTable(f"Outcomes by {self.noun.title()}", tuple(heads), tuple(rows), note)

    def _pairs(self) -> ApaTable:
        table = self.tests.drop(index="all", level="test").reset_index()
        table["name"] = [
            f"{outcome}: {pair.replace('vs', 'vs.')}"
            for outcome, pair in zip(table["outcome"], table["test"], strict=True)
        ]
        tests = [statistic(test) for test in table.to_dict("records")]
        table["value"], table["degrees"] = ([test[place] for test in tests] for place in (1, 2))
        columns: Any = {
            "name": (f"Outcome and {self.plural}", str),
            "value": (tests[0][0] if tests else "χ²", str),
            "degrees": ("df", str),
            "p": ("p", p_text),
        }
        note = f"Wald tests that two {self.plural} are equal; p is not adjusted for their number."
        if table["d"].notna().any():
            columns["d"] = ("d", plain)
            note += (
                f" d = Cohen's d, first {self.noun} minus second, divided by the root of the "
                "mean of both variances."
            )
        return ApaTable.of(table, columns, "Pairwise Comparisons of the Outcomes", note)

    def _classification(self) -> ApaTable:
        table = self.classification.set_axis(pd.Index(self.heads, name="assigned"))
        table = table.assign(n=self.sizes["n_assigned"].to_numpy())
        columns: dict[Any, Any] = {
            "assigned": (f"Assigned {self.noun}", str),
            "n": ("n", whole),
        }
        heads = zip(self.sizes.index, self.heads, strict=True)
        columns |= {k: (head, bounded) for k, head in heads}
        note = "Mean posterior probabilities."
        note += f" Relative entropy = {bounded(self.entropy)}." if self.n_classes > 1 else ""
        return ApaTable.of(table, columns, "Classification of the Sample", note)

    def _transitions(self) -> ApaTable:
        if self.transitions is None:
            raise InvalidInputError("transitions are those of a hidden Markov model")
        rows = self._rows_of_moves(self.transitions)
        if self.wave_transitions is not None:
            rows = []
            for waves, own in self.wave_transitions.groupby(level="waves", sort=False):
                name = str(waves).capitalize()
                rows += [(f"{name}: {row[0]}", *row[1:]) for row in self._rows_of_moves(own)]
        note = f"Standard errors in parentheses ({self.errors_in_words})."
        if self._of_transitions:
            over = "samples" if self.wave_transitions is None else "persons"
            note += f" Averages over the {over}, weighted by the probability of the state before."
        title, heads = "Transition Probabilities", [f"To {head}" for head in self.heads]
        return ApaTable(title, ("", *heads), tuple(rows), note)

    def _rows_of_moves(self, transitions: Any) -> list[tuple[str, ...]]:
        """Return a row of transition probabilities with errors for each state before."""
        moves = transitions.groupby(level="from", sort=False)
        return [
            (f"From {head}", *with_errors(row["estimate"], row["standard_error"], bounded, "held"))
            for head, (_, row) in zip(self.heads, moves, strict=True)
        ]

    def _waves(self) -> ApaTable:
        if self.waves is None:
            raise InvalidInputError("waves are those of a panel: fit(X, groups=) of many persons")
        rows = [
            (str(wave).capitalize(), *with_errors(row["share"], row["standard_error"], bounded))
            for wave, row in self.waves.groupby(level="wave", sort=False)
        ]
        note = f"N = {self.sample}. Shares of the persons, with standard errors in parentheses "
        note += f"({self.errors_in_words})."
        return ApaTable("State Sizes by Wave", ("", *self.heads), tuple(rows), note)

    def _residuals(self) -> ApaTable:
        if self.residuals is None:
            raise InvalidInputError("residuals are those of categories: give a latent class model")
        largest: Any = self.residuals.head(MOST_SHOWN)
        rows = tuple((f"{first} and {second}", plain(value)) for (first, second), value in
                     largest.items())  # fmt: skip
        n = len(self.residuals)
        shown = f"the {len(rows)} largest of {n}" if len(rows) < n else "of all pairs"
        note = (
            "Pearson's chi-squared of the table of two items divided by its degrees of freedom "
            f"(Vermunt & Magidson, 2016), {shown}. Values above {LARGE_RESIDUAL} suggest "
            "that items depend on one another within classes."
        )
        return ApaTable("Bivariate Residuals", ("Items", "Residual"), rows, note)

    def summary(self) -> str:
        """Return the sizes of the classes, entropy, and the tests of covariates and outcomes."""
        shares = ", ".join(f"{share:.1%}" for share in self.sizes["share"])
        lines = [f"{counted(self.n_classes, self.noun)}: {shares}."]
        if self.n_classes > 1:
            lines.append(f"Relative entropy {self.entropy:.2f}.")
        for tests in (self.covariate_tests, self.overall):
            if tests is not None:
                lines += [f"{name}: {wald_text(test)}." for name, test in rows_by_key(tests)]
        if self.left_out:
            lines.append(f"Outcomes left out: {', '.join(self.left_out)}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self.to_apa())

    def _repr_html_(self) -> str:
        return self.to_apa().to_html()


def estimate_rows(
    name: str, estimates: Any, bounded_by_1: bool, of_zero: str | None = None
) -> list[tuple[str, ...]]:
    """Return a row of estimates by class with errors, and one of deviations within classes.

    ``of_zero`` stands for errors of 0.
    """
    errors, text = estimates["standard_error"], bounded if bounded_by_1 else None
    rows = [(name, *with_errors(estimates.iloc[:, 0], errors, text, of_zero))]
    if "sd" in estimates and estimates["sd"].notna().any():
        deviations = [plain(sd, digits_of(errors)) for sd in estimates["sd"]]
        if of_zero is not None:
            held = estimates["sd_error"] == 0.0
            deviations = [
                f"{text} ({of_zero})" if at_zero else text
                for text, at_zero in zip(deviations, held, strict=True)
            ]
        rows.append((f"{name}: SD", *deviations))
    return rows


def noun_of(estimates: Any) -> str:
    """Return what papers call a class: "profile" if its parameters are those of numbers."""
    noun, kinds = estimates.index.names[-1], estimates.index.unique("parameter")
    if noun != "class":
        return str(noun)
    return "profile" if [kind for kind in kinds if kind in PROFILED] == ["mean"] else "class"


def is_intercept(term: str) -> bool:
    """Whether a term is an intercept, that of any gate of a chain."""
    return term.split(" (")[0] == "intercept"


def ratio(value: float) -> str:
    """Return an odds ratio, which is not 0."""
    text = plain(value)
    return "< 0.01" if text == "0.00" else text


def statistic(test: Any) -> tuple[str, str, str]:
    """Return symbol, value and degrees of freedom of a chi-squared or F test."""
    df, denominator = f"{test['df']:.0f}", test.get("df_denominator", np.inf)
    if np.isinf(denominator):
        return "χ²", plain(test["chi_squared"]), df
    return "F", plain(test["f"]), f"{df}, {denominator:,.0f}"


def wald_text(test: Any) -> str:
    """Return a chi-squared or F test in words."""
    symbol, value, degrees = statistic(test)
    return f"{symbol}({degrees}) = {value}, p {p_equals(test['p'])}"


def rows_by_key(table: pd.DataFrame) -> list[tuple[Any, dict[Any, Any]]]:
    """Return the rows of a frame with their keys."""
    keys: list[Any] = table.index.tolist()
    return list(zip(keys, table.to_dict("records"), strict=True))
