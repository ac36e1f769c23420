"""Similarity of classes across known groups: four nested models of increasing constraint.

Configural: as many classes in every group. Structural: equal means, item probabilities or rates.
Dispersion: equal variances too. Distributional: equal class sizes too (Morin, Meyer, Creusier &
Biétry 2016). Likelihood ratios are scaled for misspecification (Satorra & Bentler 2001).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp

from bayesmix.allocation.point import PointWeights
from bayesmix.assess.apa import ApaTable, p_text, plain
from bayesmix.assess.class_criteria import information_criteria
from bayesmix.assess.stability import no_starts, quiet, to_refit
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import root_seed
from bayesmix.core.rows import NO_SIDE_INFORMATION, Frame
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans
from bayesmix.posterior.parameter_errors import ParameterScores, parameter_index

# What groups share in each model, from the least to the most constrained.
MODELS: dict[str, frozenset[str]] = {
    "configural": frozenset(),
    "structural": frozenset({"location"}),
    "dispersion": frozenset({"location", "spread"}),
    "distributional": frozenset({"location", "spread", "share"}),
}
# Newton steps, halvings of a step, and the expected gain in nats at which they end.
MOST_STEPS, HALVINGS, GAIN = 200, 30, 1e-7
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
        frame = Frame.identity(result.n_features)
        groups = []
        for (weights, components), source in zip(mixtures, sources, strict=True):
            mixture: Any = Mixture(PointWeights(weights), components, frame)
            own = replace(result, mixture=mixture, side=NO_SIDE_INFORMATION)
            groups.append(ParameterScores(own, source))
        return cls(tuple(groups), shared)

    @property
    def mixtures(self) -> list[tuple[Array, Any]]:
        return [(own.result.mixture.weights.mean(), own.components) for own in self.groups]

    @cached_property
    def log_likelihood(self) -> float:
        """Log likelihood in data units; -inf where a covariance is not positive definite."""
        total = 0.0
        for own in self.groups:
            try:
                joint = own.log_densities(own.components) + np.log(own.shares)
            except (ValueError, np.linalg.LinAlgError):
                return -np.inf
            total += float(own.weights @ logsumexp(joint, axis=1))
        return total if np.isfinite(total) else -np.inf

    @cached_property
    def maps(self) -> list[Array]:
        """Derivatives (p_g, p) of each group's parameters, in their units, by the free ones."""
        first = self.groups[0]
        kinds = ["share"] * (first.n_components - 1)
        for each in first.coordinates:
            own = 1 if each.shared else first.n_components
            kinds += ["spread" if each.spread else "location"] * own
        common: Booleans = np.array([kind in self.shared for kind in kinds])
        n_common, n_own = int(common.sum()), int((~common).sum())
        maps = []
        for g, scores in enumerate(self.groups):
            units = np.ones(len(kinds))
            for place, each in zip(scores.places[1], scores.coordinates, strict=True):
                units[place] = each.units
            own_map = np.zeros((len(kinds), n_common + n_own * len(self.groups)))
            own_map[common, :n_common] = np.diag(1.0 / units[common])
            columns = slice(n_common + g * n_own, n_common + (g + 1) * n_own)
            own_map[~common, columns] = np.diag(1.0 / units[~common])
            maps.append(own_map)
        return maps

    @property
    def n_parameters(self) -> int:
        return int(self.maps[0].shape[1])

    @cached_property
    def derivatives(self) -> tuple[Array, Array, Array]:
        """Gradient (p,), information (p, p), and outer products (p, p) of the scores."""
        size = self.n_parameters
        total, outer, information = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
        for own, at in zip(self.groups, self.maps, strict=True):
            scores = own.weights[:, None] * own.scores @ at
            total += scores.sum(axis=0)
            outer += scores.T @ scores
            information += at.T @ own.information @ at
        return total, information, outer

    @cached_property
    def newton(self) -> tuple[Array, float]:
        """Newton step (p,) uphill in every direction, and the gain it expects."""
        gradient, information, _ = self.derivatives
        scale = np.sqrt(np.maximum(np.abs(information.diagonal()), 1e-300))
        values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
        along = vectors.T @ (gradient / scale)
        sizes = np.abs(values)
        steps = np.where(sizes > FLAT, along / np.maximum(sizes, FLAT), 0.0)
        return vectors @ steps / scale, 0.5 * float(along @ steps)

    def moved(self, step: Array) -> GroupedMixture:
        """Add a step (p,) to the free parameters."""
        mixtures = []
        for own, at in zip(self.groups, self.maps, strict=True):
            steps, components = at @ step, own.components
            logs = np.log(own.result.mixture.weights.mean())
            logs[1:] += steps[: own.n_components - 1]
            for place, each in zip(own.places[1], own.coordinates, strict=True):
                components = each.moved(components, steps[place] * each.units)
            mixtures.append((np.exp(logs - logsumexp(logs)), components))
        sources = [own.source for own in self.groups]
        return GroupedMixture.of(mixtures, self.groups[0].result, sources, self.shared)

    def maximised(self) -> GroupedMixture:
        """Return the local maximum of the likelihood that Newton steps reach."""
        here = self
        for _ in range(MOST_STEPS):
            step, gain = here.newton
            if gain < GAIN:
                return here
            for _ in range(HALVINGS):
                there = here.moved(step)
                if there.log_likelihood > here.log_likelihood:
                    here = there
                    break
                step = 0.5 * step
            else:
                return here
        return here

    @property
    def scaling(self) -> float:
        """Mean eigenvalue of the inverse information times the outer products: 1 if specified."""
        _, information, outer = self.derivatives
        inverse = np.linalg.pinv(information, hermitian=True)
        return float(np.trace(inverse @ outer) / self.n_parameters)


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
        heads = ("Similarity", "LL", "Parameters", "Scaling", "AIC", "BIC", "Δχ²", "Δdf", "p")
        rows = tuple(
            (
                str(name).capitalize(),
                plain(row["log_likelihood"]),
                f"{row['n_parameters']:.0f}",
                plain(row["scaling"]),
                plain(row["aic"]),
                plain(row["bic"]),
                plain(row["chi_squared"]),
                plain(row["df"], 0),
                p_text(row["p"]),
            )
            for name, row in self.table.iterrows()
        )
        groups = ", ".join(f"{name} (n = {n:,})" for name, n in self.n_samples.items())
        note = (
            f"Groups: {groups}. LL = log likelihood. Scaling = correction factor for nonnormality. "
            "Δχ² = scaled likelihood ratio test against the model above (Satorra & Bentler, 2001)."
        )
        return ApaTable("Similarity of the Classes Across Groups", heads, rows, note)

    def summary(self) -> str:
        """Return the model with the smallest BIC, and the tests."""
        lines = [f"Smallest BIC: {self.suggested} similarity."]
        for name, row in list(self.table.iterrows())[1:]:
            test = f"χ²({row['df']:.0f}) = {row['chi_squared']:.2f}, p {_equals(row['p'])}"
            lines.append(f"{str(name).capitalize()} against the model above: {test}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self.to_apa())

    def _repr_html_(self) -> str:
        return self.to_apa().to_html()


def _equals(p: float) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def group_similarity(
    model: Any, X: Any, group: Any, *, random_state: Any = None
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
    estimator = to_refit(model, root_seed(random_state), 1, **no_starts(model), warm_start=False)
    fitter: Any = estimator._fitter(X, None)
    source = fitter.source.in_memory()
    codes, names = pd.factorize(np.asarray(group, dtype=object), sort=True)
    if len(codes) != source.shape[0] or len(names) < 2 or (codes < 0).any():
        raise InvalidInputError(
            f"group must have one value for each of the {source.shape[0]} samples, and at least "
            f"two values, got {len(codes)} values and {len(names)} groups"
        )
    K = validation.integer("n_components", estimator.n_components, 1)
    candidate = {"n_components": K}
    with single_threaded_blas():
        whole = _fitted(fitter, candidate, ())
        rows = [np.flatnonzero(codes == g) for g in range(len(names))]
        sources = [fitter.on(own).source.in_memory() for own in rows]
        mixtures = [(whole.mixture.weights.mean(), whole.unframed)] * len(names)
        models: dict[str, GroupedMixture] = {}
        for name in reversed(MODELS):
            if name == "dispersion" and not _has_spread(models["distributional"]):
                continue
            own = GroupedMixture.of(mixtures, whole, sources, MODELS[name]).maximised()
            models[name], mixtures = own, own.mixtures
        best = []
        for g, at in enumerate(rows):
            alone = _fitted(fitter.on(at), candidate, ())
            known = GroupedMixture((models["configural"].groups[g],), frozenset()).log_likelihood
            aligned = _aligned(alone, models["structural"].groups[g])
            best.append(aligned if alone.log_likelihood > known + BETTER else mixtures[g])
        models["configural"] = GroupedMixture.of(best, whole, sources, MODELS["configural"])
        names_of_models = [name for name in MODELS if name in models]
        table = _table({name: models[name] for name in names_of_models}, source.total_weight)
    classes = pd.RangeIndex(1, K + 1, name="class")
    sizes, estimates = {}, {}
    for name in names_of_models:
        for label, own_scores in zip(names, models[name].groups, strict=True):
            parameters = own_scores.parameters
            sizes[name, label] = parameters[0].values
            index = parameter_index(parameters, whole)
            values = np.array([one.values for one in parameters]).ravel()
            estimates[name, label] = pd.Series(values, index)
    of_groups = pd.DataFrame(sizes, index=classes).T.rename_axis(index=["model", "group"])
    return GroupSimilarity(
        table,
        of_groups,
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


def _aligned(alone: FitResult, structural: ParameterScores) -> tuple[Array, Any]:
    """Return the fit of a group with its classes in the order of those that groups share."""
    known: Any = alone.mixture
    shares, _ = known.responsibilities(structural.source.rows)
    _, order = linear_sum_assignment(-structural.responsibilities.T @ shares)
    components: Any = alone.unframed
    return known.weights.mean()[order], components.subset(order)


def _has_spread(model: GroupedMixture) -> bool:
    return any(each.spread for each in model.groups[0].coordinates)


def _table(models: dict[str, GroupedMixture], n: float) -> pd.DataFrame:
    """Return log likelihoods, criteria and scaled tests of nested models."""
    rows: dict[str, dict[str, float]] = {}
    before: dict[str, float] | None = None
    for name, own in models.items():
        p = own.n_parameters
        criteria = information_criteria(own.log_likelihood, p, n, 0.0, 0.0)
        row = {
            "log_likelihood": own.log_likelihood,
            "n_parameters": p,
            "scaling": own.scaling,
            **{key: criteria[key] for key in ("aic", "bic", "sabic")},
            **dict.fromkeys(("chi_squared", "df", "p"), np.nan),
        }
        df = 0.0 if before is None else before["n_parameters"] - p
        if before is not None and df > 0.0:  # one class has no sizes to compare
            factor = (before["n_parameters"] * before["scaling"] - p * row["scaling"]) / df
            ratio = 2.0 * (before["log_likelihood"] - own.log_likelihood)
            # The difference of the corrections is an estimate, and may fail to be positive.
            statistic = ratio / factor if factor > 0.0 else np.nan
            row |= {"chi_squared": statistic, "df": df, "p": stats.chi2.sf(statistic, df)}
        rows[name] = before = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
