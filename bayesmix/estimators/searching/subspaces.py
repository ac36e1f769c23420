"""Whether a common subspace describes many columns better than components on all of them.

Components on all columns spend themselves on factors that tie columns together. A mixture in a
subspace wins if its held-out log density is better by four standard errors; the number of
directions is one of a few that the spectrum of the correlations proposes: by parallel analysis
(Horn 1965), by the hard threshold of Gavish & Donoho 2014, and between the two.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold

from bayesmix.core.random import Purpose, stream
from bayesmix.errors import BayesmixError
from bayesmix.estimators.searching.fitters import fitter_of
from bayesmix.families.gaussian.subspace import CommonSubspace
from bayesmix.numerics.arrays import Array

# Columns from which a subspace is tried, and rows per column up to which it is for fewer columns.
MANY, ROWS_PER_COLUMN = 20, 5
FEWEST_ROWS = 20
# Rows compared, folds, permutations of parallel analysis, and the largest number of directions.
MOST_ROWS, FOLDS, PERMUTATIONS, MOST_DIRECTIONS = 1_000, 3, 5, 20
# Numbers of components at which densities are compared, and passes of each fit.
NUMBERS, PASSES = (1, 2, 3, 5, 8), 20
ON_ALL, INSIDE = ("spherical", "diag", "tied"), ("diag", "tied")
# Of the best of several numbers of directions; groups in few of many columns reached 3.4.
STANDARD_ERRORS = 4.0


@dataclass(frozen=True)
class SubspaceChoice:
    """A number of directions, and the gain in held-out log density with its standard error."""

    n_directions: int
    n_columns: int
    gain: float
    standard_error: float

    def structures(self, names: Sequence[str]) -> list[CommonSubspace]:
        return [CommonSubspace(self.n_directions, name) for name in names]

    @property
    def sentence(self) -> str:
        """What was decided, and why."""
        return (
            f"Components differ in {self.n_directions} of {self.n_columns} directions: held-out "
            f"log density {self.gain:,.0f} ± {self.standard_error:,.0f} nats higher than on all "
            "columns."
        )


def worth_trying(n_rows: int, n_columns: int) -> bool:
    """Whether there are so many columns that a subspace may describe them better."""
    return n_columns > 2 and (n_columns >= MANY or n_rows < ROWS_PER_COLUMN * n_columns)


def better_subspace(values: Array, estimator: Any, seed: int) -> SubspaceChoice | None:
    """Return the number of directions of a better subspace, or None.

    ``values`` are (n, D); ``estimator`` is a Gaussian one, whose structure and number of components
    vary.
    """
    generator = stream(seed, Purpose.SUBSAMPLE)
    if len(values) > MOST_ROWS:
        values = values[np.sort(generator.choice(len(values), MOST_ROWS, replace=False))]
    values = values[~np.isnan(values).all(axis=1)]
    D = int((np.nanstd(values, axis=0) > 0.0).sum())
    splits = list(KFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(values))
    # A column that is constant in a fold would decide by its density elsewhere.
    vary = [np.nanstd(values[train], axis=0) > 0.0 for train, _ in splits]
    values = values[:, np.all(vary, axis=0)]
    n = len(values)
    if n < FEWEST_ROWS or not worth_trying(n, D):
        return None
    numbers = proposed_directions(values, generator)
    if not numbers:
        return None
    # With one number of jobs, sources keep their directions, which all candidates of a fold share.
    data = fitter_of(clone(estimator).set_params(n_jobs=1), values, None, None)
    folds = [(data.on(train), test) for train, test in splits]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = _best(values, folds, estimator, [name for name in ON_ALL if _estimable(name, n, D)])
        parts = {
            q: _best(values, folds, estimator, [CommonSubspace(q, name) for name in INSIDE])
            for q in numbers
        }
    sound = {q: density for q, density in parts.items() if density is not None}
    if not sound or whole is None:
        return None
    best = max(sound, key=lambda q: float(sound[q].sum()))
    gains = sound[best] - whole
    gain, error = float(gains.sum()), float(gains.std(ddof=1) * np.sqrt(n))
    return SubspaceChoice(best, D, gain, error) if gain > STANDARD_ERRORS * error else None


def _estimable(name: str, n: int, D: int) -> bool:
    """Whether a structure has more observations than it needs for its matrix."""
    return name != "tied" or n > 2 * D


def _best(
    values: Array, folds: Sequence[Any], estimator: Any, structures: Sequence[Any]
) -> Array | None:
    """Return the held-out log densities (n,) of the best candidate, None if all fail.

    The number of components of each structure grows until the density falls.
    """
    best: Array | None = None
    for structure in structures:
        before = -np.inf
        for K in NUMBERS:
            density = _held_out(values, folds, estimator, structure, K)
            if density is None or density.sum() <= before:
                break
            before = float(density.sum())
            best = density if best is None or before > best.sum() else best
    return best


def _held_out(
    values: Array, folds: Sequence[Any], estimator: Any, structure: Any, K: int
) -> Array | None:
    out = np.empty(len(values))
    model = clone(estimator).set_params(
        n_components=K, covariance_type=structure, search=None, max_passes=PASSES, n_jobs=1
    )
    try:
        for train, test in folds:
            train.fit(model)
            out[test] = model.score_samples(values[test])
    except (BayesmixError, ValueError):
        return None
    return out


def proposed_directions(values: Array, generator: np.random.Generator) -> list[int]:
    """Return numbers of directions that the spectrum of the correlations proposes."""
    n, D = values.shape
    most = min(MOST_DIRECTIONS, n // 5, D - 1)
    scaled = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    scaled[np.isnan(scaled)] = 0.0
    singular = _singular_values(scaled)
    chance = np.max(
        [_singular_values(shuffled) for shuffled in _permuted(scaled, generator)], axis=0
    )
    beyond = singular > chance
    parallel = int(np.argmin(beyond)) if not beyond.all() else len(beyond)
    beta = min(n, D) / max(n, D)
    # Gavish & Donoho (2014), eq. 5, for unknown noise.
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    hard = int((singular > omega * np.median(singular)).sum())
    found = {min(q, most) for q in (parallel, hard) if q > 0}
    if len(found) == 2 and max(found) > min(found) + 1:
        found.add(round(np.sqrt(min(found) * max(found))))
    return sorted(found) if most > 0 else []


def _singular_values(values: Array) -> Array:
    gram = values @ values.T if len(values) < values.shape[1] else values.T @ values
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))


def _permuted(values: Array, generator: np.random.Generator) -> Iterator[Array]:
    """Yield the values with each column permuted by itself."""
    for _ in range(PERMUTATIONS):
        yield generator.permuted(values, axis=0)
