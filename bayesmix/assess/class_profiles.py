"""The classes of a fit as papers describe them: sizes, profiles, covariates and outcomes.

Standard errors of profiles: ``parameter_table``. Covariates: odds ratios of all pairs of classes.
Outcomes: three-step estimates with Wald tests that all classes, and pairs of them, are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.allocation.designs import variable_of
from bayesmix.assess.apa import (
    MISSING,
    ApaTable,
    bounded,
    p_equals,
    p_text,
    plain,
    whole,
    with_errors,
)
from bayesmix.assess.class_criteria import entropy_of, mean_posteriors
from bayesmix.assess.distal import distal, wald_test
from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.core import validation
from bayesmix.errors import InvalidInputError
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.gate_errors import wald_errors
from bayesmix.posterior.parameter_errors import parameter_index, scores_of
from bayesmix.posterior.survey_design import SurveyDesign
from bayesmix.selection.summary_text import phrase
from bayesmix.sources.survey_weights import weighted

# Parameters that describe what a class answers; variances are in ``parameter_table``.
PROFILED = {"mean": "means", "probability": "item probabilities", "rate": "rates"}
# Odds ratios below this print as 0.00.
LEAST_RATIO = 0.005
# Numeric indicators whose correlations fit a page.
MOST_CORRELATIONS = 10
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
        By class: ``share``, ``standard_error``, ``n_assigned`` and ``assigned`` (its share).
    profiles : DataFrame
        By parameter, column, level and class: ``estimate``, ``standard_error``, ``lower``,
        ``upper``, ``sd`` (standard deviation within the class), and ``z``: the estimate in standard
        deviations from the mean of all samples.
    descriptives : DataFrame
        By column and level: ``n`` with a value, ``missing``, and ``mean`` and ``sd`` of numbers, or
        the ``share`` of a level.
    correlations : DataFrame
        Of the numeric columns, over samples with both values.
    classification : DataFrame
        Mean posterior probabilities of the columns among samples assigned to a row.
    entropy : float
        Relative entropy; NaN for one class.
    contrasts : DataFrame or None
        Effects of covariates by class, reference class and term, for all pairs of classes:
        ``estimate``, ``standard_error``, ``odds_ratio``, its interval and ``p``.
    covariate_tests : DataFrame or None
        Wald tests that a covariate has no effect at all; ``chi_squared``, ``df``, ``p``.
    outcomes : dict of DataFrame
        Three-step estimates of each outcome by class (and level).
    tests : DataFrame
        Wald tests of each outcome: all classes equal, and pairs; ``chi_squared``, ``df``, ``p``,
        and for numbers Cohen's ``d`` by the standard deviation within classes.
    standard_errors : str
        Kind of the standard errors of ``profiles``.
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

    @property
    def n_classes(self) -> int:
        return len(self.sizes)

    @property
    def covariates(self) -> pd.DataFrame | None:
        """Effects of covariates by class and term, against the reference class."""
        if self.contrasts is None:
            return None
        table: Any = self.contrasts.xs(self.reference, level="reference")
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
        wide: Any = self.profiles[["estimate", "sd"]].unstack("class")
        index: Any = self.profiles.index
        wide = wide.reindex(index.droplevel("class").unique())
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
        "outcomes" or "pairs" (of classes, by outcome).
        """
        tables = {
            "descriptives": self._descriptives,
            "profiles": self._profiles,
            "effect_sizes": self._effect_sizes,
            "covariates": self._covariates,
            "outcomes": self._outcomes,
            "pairs": self._pairs,
            "classification": self._classification,
        }
        return tables[validation.one_of("part", part, tuple(tables))]()

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Plot the profiles with their standard errors; see ``plot_class_profiles``."""
        from bayesmix.plots.profiles import plot_class_profiles

        return plot_class_profiles(self, ax=ax, **options)

    def _profiles(self) -> ApaTable:
        heads = [f"Class {k} ({share:.1%})" for k, share in self.sizes["share"].items()]
        rows = []
        for name, kind, estimates in self._indicators():
            if name is None:
                continue
            text = bounded if kind == "probability" else plain
            rows.append(
                (name, *with_errors(estimates["estimate"], estimates["standard_error"], text))
            )
            if kind == "mean":
                rows.append((f"{name}: SD", *map(plain, estimates["sd"])))
        shown = self.profiles.index.unique("parameter")
        kinds = phrase([PROFILED[kind] for kind in PROFILED if kind in shown])
        note = (
            f"N = {self.n_samples:,.0f}. Cells are {kinds}, with standard errors in parentheses "
            f"({KINDS[self.standard_errors]}). Percentages are estimated class sizes."
        )
        note += " SD = standard deviation within the class." if "mean" in shown else ""
        if self.profiles["standard_error"].isna().any():
            note += " A dash: at a boundary or not identified."
        title = f"Profiles of the {self.n_classes}-Class Model"
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
            columns |= {"mean": ("M", plain), "sd": ("SD", plain)}
        if table["share"].notna().any():
            columns["share"] = ("Share", bounded)
        note = "Share: of those with an answer." if "share" in columns else ""
        if 1 < len(numbers) <= MOST_CORRELATIONS:
            note += " Numbered columns are correlations."
            for place, name in enumerate(numbers[:-1], start=1):
                rows = {n: self.correlations.at[n, name] for n in numbers[place:]}
                table[f"r{place}"] = table["column"].map(rows)
                columns[f"r{place}"] = (str(place), correlation)
        return ApaTable.of(table, columns, "Descriptive Statistics of the Indicators", note.strip())

    def _effect_sizes(self) -> ApaTable:
        names: list[Any] = [name for name, _, _ in self._indicators()]
        sizes = self.effect_sizes.assign(name=names)
        columns: Any = {name: (name.replace("vs", "vs."), plain) for name in sizes.columns[:-1]}
        shown, notes = self.profiles.index.unique("parameter"), []
        if "mean" in shown:
            notes.append("Cohen's d of means, by the pooled standard deviation within classes")
        if "probability" in shown:
            notes.append("Cohen's h of probabilities, 2 asin √p − 2 asin √q")
        note = f"{'; '.join(notes)}. First class minus second."
        title = "Standardized Differences Between the Classes"
        return ApaTable.of(sizes.dropna(), {"name": ("Indicator", str)} | columns, title, note)

    def _covariates(self) -> ApaTable:
        if self.contrasts is None or self.covariate_tests is None:
            raise InvalidInputError("covariates were not part of the fit: fit(X, covariates=)")
        level = self.contrasts.attrs["level"]
        table = self.contrasts.reset_index()
        table["name"] = [f"Class {k} vs. {j}: {term}" for k, j, term in self.contrasts.index]
        limits = zip(table["lower"], table["upper"], strict=True)
        intervals = [f"[{ratio(low)}, {ratio(high)}]" for low, high in limits]
        table["interval"] = np.where(table["standard_error"].notna(), intervals, MISSING)
        odds = table["term"] == "intercept"  # not a ratio
        table.loc[odds, "odds_ratio"], table.loc[odds, "interval"] = np.nan, MISSING
        columns: Any = {
            "name": ("Classes and predictor", str),
            "estimate": ("b", plain),
            "standard_error": ("SE", plain),
            "odds_ratio": ("OR", ratio),
            "interval": (f"{level:.0%} CI of OR", str),
            "p": ("p", p_text),
        }
        tests = "; ".join(
            f"{term} {wald_text(test)}" for term, test in rows_by_key(self.covariate_tests)
        )
        note = (
            "Multinomial logistic regression of class membership: log odds (b) and odds ratio (OR) "
            f"of the first class against the second; CI = confidence interval. Overall: {tests}."
        )
        if table["standard_error"].isna().any():
            note += " A predictor with a dash separates the classes, so that no estimate is finite."
        return ApaTable.of(table, columns, "Predictors of Class Membership", note)

    def _outcomes(self) -> ApaTable:
        if not self.outcomes:
            raise InvalidInputError("no outcomes were given: class_profiles(m, X, outcomes=)")
        heads = ("Outcome", *(f"Class {k}" for k in self.sizes.index), "χ²", "df", "p", "Pairs")
        rows: list[tuple[str, ...]] = []
        for name, table in self.outcomes.items():
            tests: Any = self.tests.loc[name]
            pairs = [
                pair.replace("vs", "≠")
                for pair, row in rows_by_key(tests.drop(index="all"))
                if row["p"] < 1.0 - table.attrs["level"]
            ]
            overall: Any = tests.loc["all"]
            tested = [plain(overall["chi_squared"]), whole(overall["df"]), p_text(overall["p"])]
            tested.append(", ".join(pairs) or "none")
            levels = table.index.unique("level") if "level" in table.index.names else [None]
            for level in levels:
                outcome: Any = table if level is None else table.xs(level, level="level")
                cells = with_errors(
                    outcome.iloc[:, 0],
                    outcome["standard_error"],
                    plain if level is None else bounded,
                )
                rows.append((name if level is None else f"{name}: {level}", *cells, *tested))
                tested = [""] * len(tested)
        attributes = [outcome.attrs for outcome in self.outcomes.values()]
        counts = zip(self.outcomes, attributes, strict=True)
        sizes = ", ".join(f"{name} {outcome['n']:,}" for name, outcome in counts)
        note = (
            f"Three-step estimates ({attributes[0]['correction'] or 'no'} correction), standard "
            "errors in parentheses; Wald tests that all classes are equal. Pairs: classes that "
            f"differ at the {1.0 - attributes[0]['level']:.0%} level, not adjusted for their "
            f"number. Numbers of observations: {sizes}."
        )
        return ApaTable("Outcomes by Class", heads, tuple(rows), note)

    def _pairs(self) -> ApaTable:
        table = self.tests.drop(index="all", level="test").reset_index()
        table["name"] = [
            f"{outcome}: {pair.replace('vs', 'vs.')}"
            for outcome, pair in zip(table["outcome"], table["test"], strict=True)
        ]
        columns: Any = {
            "name": ("Outcome and classes", str),
            "chi_squared": ("χ²", plain),
            "df": ("df", whole),
            "p": ("p", p_text),
        }
        note = "Wald tests that two classes are equal; p is not adjusted for their number."
        if table["d"].notna().any():
            columns["d"] = ("d", plain)
            note += (
                " d = Cohen's d, first class minus second, by the standard deviation within "
                "classes."
            )
        return ApaTable.of(table, columns, "Pairwise Comparisons of the Outcomes", note)

    def _classification(self) -> ApaTable:
        table = self.classification.assign(n=self.sizes["n_assigned"].to_numpy())
        columns: dict[Any, Any] = {"assigned class": ("Assigned class", "Class {}".format)}
        columns |= {"n": ("n", whole)}
        columns |= {k: (f"Class {k}", bounded) for k in self.sizes.index}
        note = f"Mean posterior probabilities. Relative entropy = {bounded(self.entropy)}."
        return ApaTable.of(table, columns, "Classification of the Sample", note)

    def summary(self) -> str:
        """Return the sizes of the classes, entropy, and the tests of covariates and outcomes."""
        shares = ", ".join(f"{share:.1%}" for share in self.sizes["share"])
        lines = [f"{self.n_classes} classes: {shares}."]
        if self.n_classes > 1:
            lines.append(f"Relative entropy {self.entropy:.2f}.")
        for tests in (self.covariate_tests, self.overall):
            if tests is not None:
                lines += [f"{name}: {wald_text(test)}." for name, test in rows_by_key(tests)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self.to_apa())

    def _repr_html_(self) -> str:
        return self.to_apa().to_html()


def correlation(value: float) -> str:
    """Return a correlation; nothing where there is none."""
    return "" if value != value else bounded(value)


def ratio(value: float) -> str:
    """Return an odds ratio, which is not 0."""
    return "< 0.01" if value < LEAST_RATIO else plain(value)


def wald_text(test: Any) -> str:
    """Return a chi-squared test in words."""
    statistic = f"χ²({test['df']:.0f}) = {plain(test['chi_squared'])}"
    return f"{statistic}, p {p_equals(test['p'])}"


def class_profiles(
    model: Any,
    X: Any,
    outcomes: Any = None,
    *,
    standard_errors: str | None = None,
    reference: int = 1,
    correction: str | None = "ML",
    covariates: Any = None,
    sample_weight: Any = None,
    weight_type: str = "sampling",
    clusters: Any = None,
    strata: Any = None,
    level: float = 0.95,
    n_draws: int = 100,
    random_state: Any = 0,
) -> ClassProfiles:
    """Return sizes and profiles of classes, effects of covariates, and outcomes, with errors.

    Parameters
    ----------
    model : fitted estimator or search
        By maximum likelihood: latent profiles, latent classes, counts or mixed columns.
    X : array or frame (n, D)
        The data of the fit.
    outcomes : mapping, frame or series, optional
        Distal outcomes by name, with a value for each sample (missing where unknown).
    standard_errors : {"information", "sandwich", "bootstrap"}, optional
        As in ``parameter_table``. None: "sandwich" for surveys (sampling weights, clusters or
        strata), else "information".
    reference : int, default=1
        Reference class of ``covariates``, from 1; ``contrasts`` has all pairs.
    correction : {"ML", "BCH"} or None, default="ML"
        Correction for classification errors, as in ``distal``.
    covariates : array or frame, optional
        Covariates of the fit, if there are any and outcomes are given.
    sample_weight : array (n,), optional
        Sample weights of the fit.
    weight_type : {"sampling", "frequency"}, default="sampling"
        As in ``enumerate_classes``.
    clusters, strata : array (n,), optional
        Design of a survey.
    level : float, default=0.95
    n_draws : int, default=100
        Refits for the errors of outcomes, as in ``distal``.
    random_state : default=0

    Returns
    -------
    ClassProfiles

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_iris()
    >>> m = bm.GaussianMixture(2, random_state=0).fit(X)
    >>> print(bm.class_profiles(m, X).to_apa("classification").to_markdown().splitlines()[6])
    | Class 1 | 100 | 1.00 | .00 |
    """
    estimator, X = fitted_mixture(model, X)
    level = checked_level(level)
    result = estimator.result_
    if result.columns and set(result.columns) < set(getattr(X, "columns", ())):
        X = X[list(result.columns)]  # an enumeration leaves out columns such as identifiers
    K, n = result.n_components, result.total_weight
    reference = validation.integer("reference", reference, 1)
    if reference > K:
        raise InvalidInputError(f"reference must be a class from 1 to {K}, got {reference}")
    surveyed = not (clusters is None and strata is None)
    if sample_weight is not None:
        sample_weight = weighted(X, sample_weight, weight_type)[1]
        surveyed |= weight_type == "sampling"
    if standard_errors is None:
        standard_errors = "sandwich" if surveyed else "information"
    options = {"strata": strata, "sample_weight": sample_weight, "level": level}
    options |= {"n_draws": n_draws, "random_state": random_state}
    parameters = estimator.parameter_table(X, standard_errors, clusters=clusters, **options)
    scores = scores_of(estimator, X, sample_weight)
    survey = SurveyDesign.of(len(scores.weights), clusters, strata)
    index: Any = pd.RangeIndex(1, K + 1, name="class")
    counts = {"n_assigned": result.hard_counts, "assigned": result.hard_counts / n}
    share = parameters.loc["share"][["estimate", "standard_error"]].set_index(index)
    sizes = share.set_axis(["share", "standard_error"], axis="columns").assign(**counts)
    tables, tests = {}, []
    options |= {"covariates": covariates, "clusters": clusters}
    options["weight_type"] = None if sample_weight is None else weight_type
    outcomes = outcomes.to_frame() if isinstance(outcomes, pd.Series) else outcomes
    for name, outcome in ({} if outcomes is None else dict(outcomes)).items():
        table = distal(estimator, X, outcome, correction, **options)
        table.attrs |= {"level": level, "correction": correction}
        tables[str(name)] = table
        shares, means = sizes["share"].to_numpy(), table.iloc[:, 0].to_numpy()
        within = np.nan
        if "mean" in table:
            within = table.attrs["variance"] - shares @ (means - shares @ means) ** 2
        for test, values in table.attrs["tests"].items():
            d = np.nan
            if test != "all" and within > 0.0:
                first, second = (int(k) - 1 for k in test.split(" vs "))
                d = (means[first] - means[second]) / np.sqrt(within)
            tests.append((str(name), test, *values.values(), d))
    columns = ["outcome", "test", "chi_squared", "df", "p", "d"]
    degrees = np.inf if survey is None else survey.degrees_of_freedom
    kind = "information" if standard_errors == "bootstrap" else standard_errors
    contrasts, effects = _odds_ratios(scores, kind, survey, reference, level, degrees)
    return ClassProfiles(
        sizes,
        _described(parameters, scores),
        *_sample(scores),
        mean_posteriors(scores.responsibilities, scores.weights),
        entropy_of(result.plug_in_sums.entropy, n, K),
        contrasts,
        effects,
        tables,
        pd.DataFrame(tests, columns=columns).set_index(["outcome", "test"]),
        standard_errors,
        n,
        reference,
    )


def rows_by_key(table: pd.DataFrame) -> list[tuple[Any, dict[Any, Any]]]:
    """Return the rows of a frame with their keys."""
    keys: list[Any] = table.index.tolist()
    return list(zip(keys, table.to_dict("records"), strict=True))


def _described(parameters: pd.DataFrame, scores: Any) -> pd.DataFrame:
    """Return profiles in the order of the columns, with deviations within classes and z values."""
    profiles = parameters[parameters.index.get_level_values("parameter").isin(PROFILED)]
    names = pd.Index(scores.result.columns or range(scores.result.n_features))
    columns = names.get_indexer(profiles.index.get_level_values("column"))
    order = np.argsort(columns, kind="stable")
    profiles, columns = profiles.iloc[order], columns[order]
    values = np.ma.masked_invalid(np.asarray(scores.source.rows.values, dtype=np.float64))
    means = np.ma.average(values, axis=0, weights=scores.weights)
    spread = np.sqrt(np.ma.average((values - means) ** 2, axis=0, weights=scores.weights))
    of_means = profiles.index.get_level_values("parameter") == "mean"
    divisor = np.where(of_means, np.ma.filled(spread, np.nan)[columns], np.nan)
    divisor[divisor == 0.0] = np.nan
    keys = pd.MultiIndex.from_tuples([("variance", *key[1:]) for key in profiles.index])
    return profiles.assign(
        sd=np.sqrt(parameters["estimate"].reindex(keys).to_numpy()),
        z=(profiles["estimate"] - np.ma.filled(means, np.nan)[columns]) / divisor,
        z_error=profiles["standard_error"] / divisor,
    )


def _sample(scores: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return descriptive statistics of the columns, and correlations of those with numbers."""
    result, numbers = scores.result, []
    values = pd.DataFrame(np.asarray(scores.source.rows.values, dtype=np.float64))
    values.columns = pd.Index(result.columns or range(values.shape[1]))
    weights, rows = pd.Series(scores.weights), {}
    parameters = [own for own in scores.parameters if own.parameter in PROFILED]
    for own in sorted(parameters, key=lambda own: own.column):
        _, column, level, _ = parameter_index([own], result)[0]
        x = values[column].dropna()
        w = weights[x.index]
        row = {"n": w.sum(), "missing": weights.sum() - w.sum()}
        if own.level is not None:
            row["share"] = np.average(x == own.level, weights=w)
        else:
            numbers.append(column)
            row["mean"] = np.average(x, weights=w)
            squares = float(w.to_numpy() @ (x.to_numpy() - row["mean"]) ** 2)
            row["sd"] = np.sqrt(squares / max(w.sum() - 1.0, 1.0))
        rows[column, level] = row
    index = pd.MultiIndex.from_tuples(rows, names=["column", "level"])
    table = pd.DataFrame(
        list(rows.values()), index, columns=["n", "missing", "mean", "sd", "share"]
    )
    correlations = pd.DataFrame(np.eye(len(numbers)), numbers, numbers)
    for first, second in combinations(numbers, 2):
        both = values[[first, second]].dropna()
        covariance = np.cov(both.to_numpy().T, aweights=weights[both.index])
        r = float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
        correlations.loc[first, second] = correlations.loc[second, first] = r
    return table, correlations


def _odds_ratios(
    scores: Any,
    kind: str,
    survey: SurveyDesign | None,
    reference: int,
    level: float,
    degrees: float,
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Return odds ratios of covariates for all pairs of classes, and tests of every term."""
    design = scores.result.side.design
    if design is None:
        return None, None
    K, P = scores.result.n_components, len(design.terms)
    back = np.kron(np.eye(K), design.back)
    coefficients = (back @ scores.result.mixture.weights.coefficients.ravel()).reshape(K, P)
    size = (K - 1) * P
    by_class = back[:, P:].reshape(K, P, size)
    information, n = scores.information[:size, :size], float(scores.weights.sum())
    covariance = scores.covariance(kind, survey)[:size, :size]
    compared = [k for k in range(K) if k != reference - 1]
    pairs = [(k, reference - 1) for k in compared]
    pairs += [(second, first) for first, second in combinations(compared, 2)]
    half, rows, infinite = float(stats.t.isf(0.5 * (1.0 - level), degrees)), [], np.zeros(P, bool)
    for k, j in pairs:
        b, contrast = coefficients[k] - coefficients[j], by_class[k] - by_class[j]
        variances = np.einsum("pa,ab,pb->p", contrast, covariance, contrast)
        # Where classes are separated, coefficients have no finite estimate.
        finite = ~np.isnan(wald_errors(information, contrast, n))
        infinite |= ~finite
        errors = np.where(finite, np.sqrt(np.maximum(variances, 0.0)), np.nan)
        p = 2.0 * stats.t.sf(np.abs(b) / errors, degrees)
        ratio, limits = np.where(finite, b, np.nan), (b - half * errors, b + half * errors)
        columns = (b, errors, *map(np.exp, (ratio, *limits)), p)
        keys = ((k + 1, j + 1, term) for term in design.terms)
        rows += [(*key, *values) for key, *values in zip(keys, *columns, strict=True)]
    names = ["class", "reference", "term", "estimate", "standard_error", "odds_ratio"]
    table = pd.DataFrame(rows, columns=[*names, "lower", "upper", "p"])
    table = table.set_index(["class", "reference", "term"])
    table.attrs["level"] = level
    tests: dict[str, Any] = {}
    variables: dict[str, list[int]] = {}
    for p, term in enumerate(design.terms):
        # The levels of text are tested together.
        variables.setdefault(variable_of(term), []).append(p)
    for name, terms in variables.items():
        if name != "intercept":
            contrast = (by_class[1:, terms] - by_class[0, terms]).reshape(
                (K - 1) * len(terms), size
            )
            differences = (coefficients[1:, terms] - coefficients[0, terms]).ravel()
            test = wald_test(differences, contrast @ covariance @ contrast.T)
            tests[name] = (np.nan, len(contrast), np.nan) if infinite[terms].any() else test
    names = ["chi_squared", "df", "p"]
    return table, pd.DataFrame.from_dict(tests, orient="index", columns=names).rename_axis("term")
