"""Latent class analysis: answers of each class, standard errors and tests of fit.

Standard errors are those of ``parameter_table``: from the observed information, of surveys from the
sandwich; at the posterior means of variational fits. Bivariate residuals: Vermunt & Magidson 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit, softmax, xlogy

from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.core.nouns import part_index
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.categorical import Categorical, Categoricals
from bayesmix.families.dependent_categorical import DependentCategorical, DependentCategoricals
from bayesmix.families.independent.levels import LevelColumns, Levels
from bayesmix.latent_class_analysis.dependent_pairs import dependence_tests, note_of
from bayesmix.numerics.arrays import Array, without_gaps
from bayesmix.numerics.gaps import seen
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.parameter_errors import ParameterScores, scores_at
from bayesmix.posterior.subject import rows_of_fit
from bayesmix.posterior.unit_scores import FitScores
from bayesmix.sequences.transition_errors import shares_of_states
from bayesmix.sources.survey_weights import are_sampling, weighted

# Expected count per cell below which G² and X² are not approximately chi-squared.
SPARSE = 1.0
# Expected counts below this make an estimate 0 or 1.
NO_ROW = 0.01
# Entries of the matrix whose rank gives the degrees of freedom; larger ones have full rank.
MOST_ENTRIES = 2**22


@dataclass(frozen=True, repr=False, eq=False)
class LatentClasses:
    """Answer probabilities of latent classes, and tests of fit.

    Attributes
    ----------
    probabilities, standard_errors, lower, upper : DataFrame
        Per column and level (rows) and class (columns): probability of the answer, standard error,
        and interval (computed on the log odds).
    sizes : DataFrame
        ``share``, ``standard_error`` and ``rows`` (expected observations) of every class.
    entropy : float
        Relative entropy: 1 if every observation is assigned with certainty, 0 if none is.
    g_squared, x_squared : float
        Likelihood ratio and Pearson statistics of the full contingency table, over complete
        observations.
    degrees_of_freedom : int
        Number of cells minus 1 minus the rank of their derivatives by the parameters, which is
        smaller than their number where a model is not identified (Goodman 1974). There is no test
        if it is not positive, or with covariates.
    p_value : float
        Chi-squared p-value of ``g_squared``; NaN without degrees of freedom.
    bivariate_residuals : DataFrame
        Pearson's statistic divided by its degrees of freedom for every pair of columns, over
        observations with both answers.
    dependent_pairs : DataFrame
        Score tests of the pairs with a residual above 10 that the fit treats as independent:
        ``statistic``, ``df`` and ``p_value`` of a log odds ratio that classes share, the expected
        ``gain`` in log likelihood, and the expected ``log_odds_ratio`` (of the first pair of
        levels). Empty for sequences and variational fits.
    notes : tuple of str
        Limits of the results.
    """

    probabilities: pd.DataFrame
    standard_errors: pd.DataFrame
    lower: pd.DataFrame
    upper: pd.DataFrame
    sizes: pd.DataFrame
    entropy: float
    g_squared: float
    x_squared: float
    degrees_of_freedom: int
    p_value: float
    bivariate_residuals: pd.DataFrame
    dependent_pairs: pd.DataFrame
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return class sizes, fit, and the largest bivariate residual."""
        shares = ", ".join(f"{share:.1%}" for share in self.sizes["share"])
        lines = [f"{len(self.sizes)} classes: {shares}. Relative entropy {self.entropy:.2f}."]
        fit = f"G² {self.g_squared:.1f}, X² {self.x_squared:.1f}"
        df = self.degrees_of_freedom
        tested = f" with {df} degrees of freedom (p = {self.p_value:.3g})" if df > 0 else ""
        lines.append(f"{fit}{tested}.")
        residuals = self.bivariate_residuals.to_numpy()
        if not np.isnan(residuals).all():
            first, second = np.unravel_index(np.nanargmax(residuals), residuals.shape)
            names, most = self.bivariate_residuals.index, np.nanmax(residuals)
            pair = f"columns {names[int(first)]} and {names[int(second)]}"
            lines.append(f"Largest bivariate residual: {most:.2f} ({pair}).")
        return "\n".join([*lines, *(f"{note}." for note in self.notes)])

    def plot(self, ax: Any = None) -> Any:
        """Plot the answers of every class with their intervals; see ``plot_latent_classes``."""
        from bayesmix.latent_class_analysis.response_plots import plot_latent_classes

        return plot_latent_classes(self, ax=ax)

    def __repr__(self) -> str:
        return f"<LatentClasses: {self.summary().splitlines()[0]}>"


def latent_classes(
    model: Any,
    X: Any,
    sample_weight: Any = None,
    level: float = 0.95,
    weight_type: str | None = None,
    covariates: Any = None,
) -> LatentClasses:
    """Return answer probabilities per class with standard errors, class sizes, and tests of fit.

    Parameters
    ----------
    model : fitted estimator or search
        With ``family=Categorical()`` or ``DependentCategorical()``.
    X : array or frame (n, D)
        The data of the fit. Observations with missing values contribute their observed answers.
    sample_weight : array (n,), optional
        Sample weights.
    level : float, default=0.95
        Level of the intervals.
    weight_type : {None, "frequency", "sampling"}, optional
        As in the fit. With "sampling", standard errors of likelihood fits use the sandwich. None:
        weights that are not whole numbers are those of a survey.
    covariates : array or frame (n, P), optional
        Covariates of the fit. Class sizes are then averages over the observations, and standard
        errors use the observed information of all parameters.

    Returns
    -------
    LatentClasses

    For a hidden Markov model classes are states, with the shares of samples in them before any
    answer is known, and standard errors from the observed information.

    Raises
    ------
    ValueError
        For another family, invalid data, or a level outside (0, 1).

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> often = rng.random((500, 1)) < 0.4
    >>> X = np.where(rng.random((500, 4)) < np.where(often, 0.9, 0.2), "yes", "no")
    >>> m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(X)
    >>> classes = bm.latent_classes(m, X)
    >>> classes.probabilities.loc[(0, "yes")].round(1).tolist()
    [0.2, 0.9]
    """
    estimator, X = fitted_mixture(model, X)
    result = estimator.result_
    if not isinstance(result.family, Categorical | DependentCategorical):
        raise UnsupportedError(
            f"latent_classes needs a categorical mixture, got {result.family.title}: fit "
            "Mixture(family=Categorical())"
        )
    gated = result.side.covariates is not None
    if covariates is not None and not gated:
        raise InvalidInputError("covariates must be left out: the fit had none")
    level = checked_level(level)
    X, sample_weight = weighted(X, sample_weight, weight_type)
    ordered = result.side.ordered
    source: Any = rows_of_fit(
        estimator,
        X,
        sample_weight,
        gaps=True,
        covariates=True,
        sequences={} if ordered else None,
    ).in_memory()
    values, weights = np.asarray(source.rows.values, dtype=float), source.rows.weights_or_ones
    point: Categoricals | DependentCategoricals = result.plug_in.components
    shares = result.plug_in.weights.mean()
    gaps = np.isnan(values).any(axis=1)
    survey = are_sampling(weights, weight_type)
    with single_threaded_blas():
        scores: Any
        if ordered:
            scores = scores_at(result, source)
            every = scores.errors("information").reshape(-1, len(shares))
            (shares, of_shares), errors = shares_of_states(scores), every[1 + len(shares) :].T
            errors = errors[:, : point.probabilities.shape[1]]
        else:
            scores = ParameterScores(result, source)
            every = scores.errors("sandwich" if survey else "information").reshape(-1, len(shares))
            of_shares, errors = every[0], every[1 : 1 + point.probabilities.shape[1]].T
    names = result.columns or range(values.shape[1])
    labels = zip(names, result.family.levels or (), strict=True)
    index = pd.MultiIndex.from_tuples(
        [(name, answer) for name, answers in labels for answer in answers],
        names=["column", "level"],
    )

    classes = part_index(result.class_noun, len(shares))

    def table(numbers: Array) -> pd.DataFrame:
        return pd.DataFrame(numbers.T, index=index, columns=classes)

    p, n = point.probabilities, float(weights.sum())
    inside = np.minimum(p, 1.0 - p) * (n * shares)[:, None] > NO_ROW
    safe = np.where(inside, p, 0.5)
    half = stats.norm.isf(0.5 * (1.0 - level)) * errors / (safe * (1.0 - safe))
    low, high = (np.where(inside, expit(logit(safe) + sign * half), p) for sign in (-1.0, 1.0))
    n_complete = float(weights[~gaps].sum())
    g_squared, x_squared, cells = _table_of_answers(point, shares, values[~gaps], weights[~gaps])
    df, notes = 0, []
    if gated or ordered:
        without = "covariates" if gated else "sequences"
        notes.append(f"With {without} there is no chi-squared test of the contingency table")
    elif cells < 2.0**53 and n_complete:
        parameters = result.n_parameters
        df = int(cells - 1.0) - _rank(point.reading, len(shares), parameters)
        of_polca = int(min(n, cells - 1.0)) - parameters
        if of_polca != df:
            notes.append(
                f"poLCA has {of_polca} degrees of freedom: the smaller of observations and cells - "
                f"1, minus {parameters} parameters; here they are cells - 1 minus the rank of the "
                "model"
            )
    if gaps.any():
        notes.append(
            f"G² and X² use the {n_complete:g} complete observations of {n:g}; each residual uses "
            "the observations with both answers. They are valid if answers are missing completely "
            "at random"
        )
    if n_complete < SPARSE * cells:
        notes.append(
            f"The contingency table is sparse ({n_complete:g} observations in {cells:.3g} cells), "
            "so the p-value is unreliable; use goodness_of_fit"
        )
    if not inside.all():
        notes.append("Probabilities of 0 or 1 have no standard error: use a prior to avoid them")
    residuals = bivariate_residuals(scores, shares)
    with single_threaded_blas():
        tested = residuals if not ordered and not result.variational else residuals * np.nan
        dependent = result.family if isinstance(result.family, DependentCategorical) else None
        tests = dependence_tests(scores, tested, dependent)
    notes += note_of(tests)
    K = len(shares)
    sizes = {"share": shares, "standard_error": of_shares, "rows": n * shares}
    return LatentClasses(
        table(p),
        table(errors),
        table(low),
        table(high),
        pd.DataFrame(sizes, index=classes),
        1.0 - result.entropy / (result.total_weight * np.log(K)) if K > 1 else 1.0,
        g_squared,
        x_squared,
        df,
        float(stats.chi2.sf(g_squared, df)) if df > 0 else np.nan,
        residuals,
        tests,
        tuple(notes),
    )


def _table_of_answers(
    point: Categoricals | DependentCategoricals, shares: Array, values: Array, weights: Array
) -> tuple[float, float, float]:
    """Return G², X², and the number of cells of the contingency table of all columns."""
    patterns, inverse = np.unique(values, axis=0, return_inverse=True)
    observed = np.bincount(inverse.reshape(-1), weights)
    joint = point.expected_log_density(patterns) + np.log(shares)
    expected = weights.sum() * np.exp(np.logaddexp.reduce(joint, axis=1))
    g_squared = 2.0 * (xlogy(observed, observed) - observed * np.log(expected)).sum()
    rest = max(weights.sum() - expected.sum(), 0.0)  # empty cells
    x_squared = ((observed - expected) ** 2 / expected).sum() + rest
    return float(g_squared), float(x_squared), float(np.prod(point.reading.sizes))


def _rank(reading: Levels, K: int, n_parameters: int) -> int:
    """Return the rank of the derivatives of all cell probabilities at a point in general position.

    At other points, such as estimates at a boundary, it may be smaller.
    """
    cells = int(np.prod(reading.numbers))
    if cells * n_parameters > MOST_ENTRIES:
        return min(n_parameters, cells - 1)
    answers = np.array(np.unravel_index(np.arange(cells), reading.numbers))
    # Fractions of square roots satisfy no equation with integers.
    general = iter(np.sqrt(np.arange(2.0, 2.0 + n_parameters + K)) % 1.0)
    # Probabilities are log-linear in indicators of levels, and of pairs of levels.
    indicators = [
        (answers[list(effect.columns)] == np.array(effect.levels)[:, None]).all(axis=0) * 1.0
        for effect in reading.effects
    ]
    logs = np.zeros((K, cells))
    for effect, indicator in zip(reading.effects, indicators, strict=True):
        number = 1 if effect.shared else K
        logs += np.array([[next(general)] for _ in range(number)]) * indicator
    p = softmax(logs, axis=1)
    columns = [own - p[0] for own in p[1:]]
    for effect, indicator in zip(reading.effects, indicators, strict=True):
        slopes = p * (indicator - (p @ indicator)[:, None])
        columns += [slopes.sum(axis=0)] if effect.shared else list(slopes)
    return int(np.linalg.matrix_rank(np.array(columns)))


def _answers(point: Any, values: Array, shares: Array) -> tuple[Any, Array, Array, Array]:
    """Return the levels of columns, their joint probabilities (L, L), those given and answered.

    The latter are (n, L). Columns of 0 and 1 have two levels.
    """
    if isinstance(point, LevelColumns):
        answered = point.reading.spread(seen(values))
        given = point.reading.totals(without_gaps(values)).T * answered
        return point.reading.pairs, point.products(shares), given, answered
    D, answered = values.shape[1], np.repeat(seen(values), 2, axis=1)
    both = np.stack([1.0 - point.probabilities, point.probabilities], axis=2)
    given = np.stack([1.0 - without_gaps(values), without_gaps(values)], axis=2)
    pairs = [(2 * d, 2 * d + 2) for d in range(D)]
    p = both.reshape(-1, 2 * D)
    return pairs, (p.T * shares) @ p, given.reshape(-1, 2 * D) * answered, answered


def bivariate_residuals(scores: FitScores, shares: Array) -> pd.DataFrame:
    """Return Pearson's statistic over its degrees of freedom for every pair of columns.

    ``shares`` (K,) are the sizes of the classes.
    """
    plug_in: Any = scores.result.plug_in
    values = np.asarray(scores.source.rows.values, dtype=np.float64)
    names = scores.result.columns or range(values.shape[1])
    pairs, joint, given, answered = _answers(plug_in.components, values, shares)
    observed = (given.T * scores.row_weights) @ given
    both = (answered.T * scores.row_weights) @ answered
    expected = both * joint
    residuals = pd.DataFrame(np.nan, index=names, columns=names)
    for first, second in combinations(range(len(names)), 2):
        (a, b), (c, d) = pairs[first], pairs[second]
        here, there = observed[a:b, c:d], expected[a:b, c:d]
        possible = there > 0.0
        total = ((here - there)[possible] ** 2 / there[possible]).sum()
        residuals.iloc[first, second] = total / max((b - a - 1) * (d - c - 1), 1)
    return residuals
