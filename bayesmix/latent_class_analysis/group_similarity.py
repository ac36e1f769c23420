"""Similarity of classes across known groups: four nested models of increasing constraint.

Configural: as many classes in every group. Structural: equal means, item probabilities or rates.
Dispersion: equal variances too. Distributional: equal class sizes too (Morin, Meyer, Creusier &
Biétry 2016). Likelihood ratios are scaled for misspecification (Satorra & Bentler 2001).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp, softmax
from sklearn.base import clone

from bayesmix.allocation.point import PointWeights
from bayesmix.assess.apa import ApaTable, p_text, plain, whole
from bayesmix.assess.stability import no_starts, quiet, to_refit
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import part_index, plural
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import root_seed
from bayesmix.core.rows import NO_SIDE_INFORMATION, Frame
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.latent_class_analysis.class_tests import information_criteria
from bayesmix.latent_class_analysis.profile_tables import noun_of, rows_by_key, wald_text
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.parameter_errors import ParameterScores, parameter_index
from bayesmix.posterior.survey_design import SurveyDesign
from bayesmix.sources.survey_weights import weighted

# What groups share in each model, from the least to the most constrained.
MODELS: dict[str, frozenset[str]] = {
    "configural": frozenset(),
    "structural": frozenset({"location"}),
    "dispersion": frozenset({"location", "spread"}),
    "distributional": frozenset({"location", "spread", "share"}),
}
# Newton steps, halvings of a step, and the expected gain in nats at which they end.
MOST_STEPS, HALVINGS, GAIN = 200, 30, 1e-7
# Starts at random samples, steps of a short climb, and climbs that are continued. From one start,
# models of 2 of 7 data sets ended 6 and 10 nats below EM runs from random centres; not from these.
N_RANDOM, SHORT_CLIMB, CONTINUED = 5, 10, 3
# Nats by which the search of a group alone must exceed the optimum next to the other models.
BETTER = 1e-4
# Eigenvalue of the scaled information below which a direction is not moved.
FLAT = 1e-9


@dataclass(frozen=True, eq=False)
class GroupedMixture:
    """A mixture for each group; ``shared`` names the parameters that are equal in all groups."""

    groups: tuple[ParameterScores, ...]
    shared: frozenset[str]

    @classmethod
    def of(cls, mixtures: Any, result: FitResult, sources: Any, shared: frozenset[str]) -> Any:
        """Return weights and components of each group with the data of the group."""
        groups = []
        for (weights, components), source in zip(mixtures, sources, strict=True):
            frame = Frame.identity(result.n_features)
            mixture: Any = Mixture(PointWeights(weights), components, frame)
            of_group = replace(result, mixture=mixture, side=NO_SIDE_INFORMATION)
            groups.append(ParameterScores(of_group, source))
        return cls(tuple(groups), shared)

    @property
    def mixtures(self) -> list[tuple[Array, Any]]:
        return [(group.result.mixture.weights.mean(), group.components) for group in self.groups]

    @cached_property
    def log_likelihood(self) -> float:
        """Log likelihood in data units; -inf where a covariance is not positive definite."""
        try:
            total = sum(group.weights @ logsumexp(group.joint, axis=1) for group in self.groups)
        except (ValueError, np.linalg.LinAlgError):
            return -np.inf
        return float(total) if np.isfinite(total) else -np.inf

    @cached_property
    def maps(self) -> list[Array]:
        """Derivatives (p_g, p) of each group's parameters, in their units, by the free ones."""
        G, first = len(self.groups), self.groups[0]
        K = first.result.n_components
        kinds = ["share"] * (K - 1)
        for coordinate in first.coordinates:
            kind = "spread" if coordinate.spread else "location"
            kinds += [kind] * (1 if coordinate.shared else K)
        common = np.isin(kinds, list(self.shared))
        n, n_common, maps = len(kinds), int(common.sum()), []
        for g, scores in enumerate(self.groups):
            units = np.ones(n)
            for place, coordinate in zip(scores.places[1], scores.coordinates, strict=True):
                units[place] = coordinate.units
            places = np.where(
                common, common.cumsum() - 1, n_common + g * (n - n_common) + (~common).cumsum() - 1
            )
            to_group = np.zeros((n, n_common + G * (n - n_common)))
            to_group[np.arange(n), places] = 1.0 / units
            maps.append(to_group)
        return maps

    @property
    def n_parameters(self) -> int:
        return int(self.maps[0].shape[1])

    @cached_property
    def scores(self) -> list[Array]:
        """Weighted scores (n_g, p) of each group."""
        groups = zip(self.groups, self.maps, strict=True)
        return [group.weights[:, None] * (group.scores @ mapping) for group, mapping in groups]

    @cached_property
    def information(self) -> Array:
        pairs = zip(self.groups, self.maps, strict=True)
        return np.sum([mapping.T @ group.information @ mapping for group, mapping in pairs], axis=0)

    @property
    def newton(self) -> tuple[Array, float]:
        """Ascent step (p,), and the gain of log likelihood that it promises."""
        gradient = sum(of_group.sum(axis=0) for of_group in self.scores)
        scale = np.sqrt(np.maximum(np.abs(self.information.diagonal()), FLAT))
        values, vectors = np.linalg.eigh(self.information / np.outer(scale, scale))
        along, sizes = vectors.T @ (gradient / scale), np.abs(values)
        steps = np.where(sizes > FLAT, along / np.maximum(sizes, FLAT), 0.0)
        return vectors @ steps / scale, 0.5 * float(along @ steps)

    def moved(self, step: Array) -> GroupedMixture:
        """Add a step (p,) to the free parameters."""
        mixtures = []
        for group, mapping in zip(self.groups, self.maps, strict=True):
            steps, components = mapping @ step, group.components
            logs = np.log(group.result.mixture.weights.mean())
            logs[1:] += steps[: len(logs) - 1]
            for place, coordinate in zip(group.places[1], group.coordinates, strict=True):
                components = coordinate.moved(components, steps[place] * coordinate.units)
            mixtures.append((softmax(logs), components))
        sources = [group.source for group in self.groups]
        return GroupedMixture.of(mixtures, self.groups[0].result, sources, self.shared)

    def maximised(self, most_steps: int = MOST_STEPS) -> GroupedMixture:
        """Return the local maximum of the likelihood that Newton steps reach."""
        here = self
        for _ in range(most_steps):
            step, gain = here.newton
            there = (here.moved(0.5**halving * step) for halving in range(HALVINGS))
            better = next((one for one in there if one.log_likelihood > here.log_likelihood), None)
            if gain < GAIN or better is None:
                return here
            here = better
        return here

    def scaling(self, rows: list[Integers], survey: SurveyDesign | None) -> float:
        """Return the mean eigenvalue of inverse information times the variance of scores.

        It is 1 for a specified model and a simple random sample. ``rows`` number the samples.
        """
        scores = np.zeros((sum(map(len, rows)), self.n_parameters))
        scores[np.concatenate(rows)] = np.vstack(self.scores)
        spread = scores.T @ scores if survey is None else survey.variance_of_total(scores)
        inverse = np.linalg.pinv(self.information, hermitian=True)
        return float(np.trace(inverse @ spread) / self.n_parameters)


@dataclass(frozen=True, repr=False, eq=False)
class GroupSimilarity:
    """Models of increasing similarity of groups; see ``group_similarity``.

    Attributes
    ----------
    table : DataFrame
        By model: ``log_likelihood``, ``n_parameters``, ``scaling``, ``aic``, ``bic``, ``sabic``;
        ``chi_squared``, ``df`` and ``p`` of the scaled test against the model above.
    sizes : DataFrame
        Class sizes by model and group.
    estimates : Series
        By model, group, parameter, column, level and class.
    n_samples : dict
        Number of samples by group.
    """

    table: pd.DataFrame
    sizes: pd.DataFrame
    estimates: pd.Series
    n_samples: dict[Hashable, int]

    @property
    def suggested(self) -> str:
        """The model with the smallest BIC."""
        return str(self.table["bic"].idxmin())

    def to_apa(self) -> ApaTable:
        """Return the table in APA style."""
        columns: dict[str, Any] = {
            "model": ("Similarity", str.capitalize),
            "log_likelihood": ("LL", plain),
            "n_parameters": ("Parameters", whole),
            "scaling": ("Scaling", plain),
            "aic": ("AIC", plain),
            "bic": ("BIC", plain),
            "chi_squared": ("Δχ²", plain),
            "df": ("Δdf", whole),
            "p": ("p", p_text),
        }
        groups = ", ".join(f"{name} (n = {n:,})" for name, n in self.n_samples.items())
        noun = noun_of(self.estimates)
        note = (
            f"Groups: {groups}. Equal in all groups: structural, means, probabilities and rates; "
            f"dispersion, also variances; distributional, also {noun} sizes. LL = log likelihood. "
            "Scaling = correction factor of the likelihood ratio. Δχ² = scaled likelihood ratio "
            "test against the model above (Satorra & Bentler, 2001)."
        )
        title = f"Similarity of the {plural(noun).title()} Across Groups"
        return ApaTable.of(self.table, columns, title, note)

    def summary(self) -> str:
        """Return the model with the smallest BIC, and the tests."""
        lines = [f"Smallest BIC: {self.suggested} similarity."]
        for name, row in rows_by_key(self.table)[1:]:
            lines.append(f"{name.capitalize()} against the model above: {wald_text(row)}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self.to_apa())

    def _repr_html_(self) -> str:
        return self.to_apa().to_html()


def group_similarity(
    model: Any,
    X: Any,
    group: Any,
    *,
    sample_weight: Any = None,
    weight_type: str = "sampling",
    clusters: Any = None,
    strata: Any = None,
    random_state: Any = None,
) -> GroupSimilarity:
    """Compare classes across known groups, such as sexes or countries.

    Parameters
    ----------
    model : estimator
        Its number of classes, family and structure; it need not be fitted. Maximum likelihood.
    X : array or frame (n, D)
    group : str or array (n,)
        Name of a column of the frame, which is then no variable of the classes; or a value for each
        sample.
    sample_weight : array (n,), optional
    weight_type : {"sampling", "frequency"}, default="sampling"
        As in ``enumerate_classes``.
    clusters, strata : array (n,), optional
        Design of a survey, for which the tests are scaled.
    random_state : None, int, RandomState or Generator

    Returns
    -------
    GroupSimilarity

    Raises
    ------
    ValueError
        For fewer than two groups, and where a fit has a variance at its floor.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> sex = np.repeat(["f", "m"], 150)
    >>> second = rng.random(300) < np.where(sex == "f", 0.7, 0.3)
    >>> X = rng.normal(size=(300, 2)) + 4.0 * second[:, None]
    >>> similarity = bm.group_similarity(bm.GaussianMixture(2, covariance_type="diag"), X, sex)
    >>> similarity.suggested
    'dispersion'
    """
    if isinstance(group, str):
        if group not in getattr(X, "columns", ()):
            raise InvalidInputError(f"group must be a column of X or an array, got {group!r}")
        X, group = X.drop(columns=group), X[group]
    seed = root_seed(random_state)
    estimator = to_refit(model, seed, 1, **no_starts(model), warm_start=False)
    if sample_weight is not None:
        sample_weight = weighted(X, sample_weight, weight_type)[1]
    fitter: Any = estimator._fitter(X, sample_weight)
    source = fitter.source.in_memory()
    codes, names = pd.factorize(np.asarray(group, dtype=object), sort=True)
    if len(codes) != source.shape[0] or len(names) < 2 or (codes < 0).any():
        raise InvalidInputError(
            f"group must have one value for each of the {source.shape[0]} samples, and at least "
            f"two values, got {len(codes)} values and {len(names)} groups"
        )
    survey = SurveyDesign.of(len(codes), clusters, strata)
    candidate = {"n_components": validation.integer("n_components", estimator.n_components, 1)}
    rows = [np.flatnonzero(codes == g) for g in range(len(names))]
    with single_threaded_blas():
        whole_fit = _fitted(fitter, candidate, ())
        alone = [_fitted(fitter.on(own), candidate, ()) for own in rows]
        sources = [fitter.on(own).source.in_memory() for own in rows]
        random = _random_starts(estimator, X, sample_weight, candidate, seed)
        equal = [*map(_mixture_of, (whole_fit, *alone)), *random]
        starts = [[mixture] * len(names) for mixture in equal]
        models: dict[str, GroupedMixture] = {}
        for name in reversed(MODELS):
            begun = [GroupedMixture.of(each, whole_fit, sources, MODELS[name]) for each in starts]
            if name == "dispersion" and not any(c.spread for c in begun[0].groups[0].coordinates):
                continue
            models[name] = _best_maximum(begun)
            starts[0] = models[name].mixtures  # which the next model contains
        mixtures = starts[0]
        for g, fit in enumerate(alone):
            configural = GroupedMixture((models["configural"].groups[g],), frozenset())
            if fit.log_likelihood > configural.log_likelihood + BETTER:
                mixtures[g] = _aligned(fit, models["structural"].groups[g])
        models["configural"] = GroupedMixture.of(mixtures, whole_fit, sources, MODELS["configural"])
        models = {name: models[name] for name in MODELS if name in models}
        scalings = {name: model.scaling(rows, survey) for name, model in models.items()}
    sizes, estimates = {}, {}
    for name, own in models.items():
        for label, scores in zip(names, own.groups, strict=True):
            parameters = scores.parameters
            sizes[name, label] = parameters[0].values
            index = parameter_index(parameters, whole_fit)
            estimates[name, label] = pd.Series(np.ravel([one.values for one in parameters]), index)
    classes = part_index(whole_fit.class_noun, whole_fit.n_components)
    return GroupSimilarity(
        _table(models, scalings, source.total_weight),
        pd.DataFrame(sizes, index=classes).T.rename_axis(index=["model", "group"]),
        pd.concat(estimates, names=["model", "group"]),
        {label: len(own) for label, own in zip(names, rows, strict=True)},
    )


def _fitted(fitter: Any, candidate: Any, near: Any) -> FitResult:
    result = quiet(fitter.fit)(fitter.candidate(candidate), near)
    if result.inference.name != "maximum_likelihood":
        raise UnsupportedError("group_similarity needs maximum likelihood: use inference=None")
    if result.degenerate is not None:
        raise UnsupportedError(
            f"a variance is at its floor ({result.degenerate}): use fewer classes or a simpler "
            "structure"
        )
    return result


def _mixture_of(fit: FitResult) -> tuple[Array, Any]:
    mixture: Any = fit.mixture
    return mixture.weights.mean(), fit.unframed


def _best_maximum(begun: Sequence[GroupedMixture]) -> GroupedMixture:
    """Return the best maximum that starts reach; the first counts also if it reaches none.

    Other climbs that do not end approach a component without variance.
    """
    best = begun[0].maximised()
    short = [start.maximised(SHORT_CLIMB) for start in begun[1:]]
    n_ended = 0
    for start in sorted(short, key=lambda one: -one.log_likelihood):
        end = start.maximised()
        if end.newton[1] >= GAIN:
            continue
        n_ended += 1
        best = max(best, end, key=lambda one: one.log_likelihood)
        if n_ended == CONTINUED:
            break
    return best


def _random_starts(estimator: Any, X: Any, sample_weight: Any, candidate: Any, seed: int) -> Any:
    """Return weights and components after one pass from random samples, without degenerate ones."""
    once = {"init_params": "random_from_data", "search": None, "n_init": 1, "max_iter": 1}
    known = estimator.get_params(deep=False)
    starts = []
    for place in range(N_RANDOM if set(once) <= set(known) else 0):
        other = clone(estimator).set_params(**once, random_state=seed + place)
        try:
            starts.append(_mixture_of(_fitted(other._fitter(X, sample_weight), candidate, ())))
        except UnsupportedError:
            continue
    return starts


def _aligned(alone: FitResult, structural: ParameterScores) -> tuple[Array, Any]:
    """Return the fit of a group with its classes in the order of those that groups share."""
    fitted: Any = alone.mixture
    shares, _ = fitted.responsibilities(structural.source.rows)
    _, order = linear_sum_assignment(-structural.responsibilities.T @ shares)
    components: Any = alone.unframed
    return fitted.weights.mean()[order], components.subset(order)


def _table(models: dict[str, GroupedMixture], scalings: dict[str, float], n: float) -> pd.DataFrame:
    """Return log likelihoods, criteria and scaled tests of nested models."""
    rows = []
    for name, model in models.items():
        p, likelihood = model.n_parameters, model.log_likelihood
        criteria = information_criteria(DensitySums(likelihood, 0.0, 0.0, n), p)
        row = {"model": name, "log_likelihood": likelihood, "n_parameters": p}
        rows.append(row | {key: criteria[key] for key in ("aic", "bic", "sabic")})
    table = pd.DataFrame(rows).set_index("model")
    table.insert(2, "scaling", pd.Series(scalings))
    before, sizes = table.shift(), table["n_parameters"]
    df = (before["n_parameters"] - sizes).where(lambda df: df > 0.0)  # one class has no sizes
    ratio = 2.0 * (before["log_likelihood"] - table["log_likelihood"])
    factor = (before["n_parameters"] * before["scaling"] - sizes * table["scaling"]) / df
    # The difference of the corrections is an estimate, and may fail to be positive.
    statistic = ratio / factor.where(factor > 0.0)
    return table.assign(chi_squared=statistic, df=df, p=stats.chi2.sf(statistic, df))
