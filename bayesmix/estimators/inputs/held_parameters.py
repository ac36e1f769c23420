"""Parameters that users hold, or want equal in several components: ``hold`` and ``equal``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.allocation.chain import DirichletChainPrior
from bayesmix.allocation.designs import Standardised
from bayesmix.core.parameters import NOT_NEGATIVE, POSITIVE, REAL, SHARE, Domain
from bayesmix.core.restrictions import HeldValues, Restriction
from bayesmix.core.rows import SideInformation
from bayesmix.core.sources import Source
from bayesmix.em.model import MaximumLikelihood, Model, side_of
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.covariance.models import averaged
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.independent.levels import LevelsFamily
from bayesmix.families.registry import parameters_of
from bayesmix.numerics.arrays import Array, Booleans, Integers

DESCRIBED: Mapping[Domain, str] = {
    REAL: "finite",
    POSITIVE: "positive and finite",
    NOT_NEGATIVE: "at least 0 and finite",
}
# Rounding of probabilities that sum to 1, and of symmetric matrices.
ROUNDING = 1e-8


def restricted(model: Model, source: Source, hold: Any, equal: Any) -> Model:
    """Return the model with the parameters that are held or equal, if any are."""
    elapsed = side_of(source).elapsed
    if elapsed is not None and elapsed.exact is not None and "generator" not in (hold or {}):
        raise InvalidInputError(
            "exact_times needs absorbing states: hold={'generator': ...} with a row of zeros for "
            "each"
        )
    if not hold and not equal:
        for name, value in (("hold", hold), ("equal", equal)):
            if value is not None and not isinstance(value, Mapping):
                raise _no_mapping(name, value)
        return model
    if not isinstance(model.inference, MaximumLikelihood):
        raise UnsupportedError(
            "hold and equal need maximum likelihood, because priors and posteriors would have to "
            "leave the held parameters out: use GaussianMixture(prior=None) or "
            "inference=MaximumLikelihood()"
        )
    names = getattr(source, "columns", None) or tuple(map(str, range(source.shape[1])))
    table = GivenRestriction(model, tuple(names), side_of(source), hold or {}, equal or {})
    restriction = Restriction(table.parameters())  # of one component, columns have no equals
    return replace(model, restriction=restriction) if restriction else model


def held_coefficients(
    estimator: Any, design: Standardised, shared: Integers, n_further: int
) -> HeldValues | None:
    """Return the coefficients of a design that a mixture of regressions holds.

    ``shared`` are the places of columns with the same coefficient in all components, and
    ``n_further`` coefficients of the response, which are free, follow those of the design.
    """
    hold = estimator.hold
    if hold is None:
        return None
    if not isinstance(hold, Mapping) or set(hold) - {"coef"}:
        raise InvalidInputError(
            "hold must map 'coef' to an array with a row for each component and a column for each "
            f"column of X, NaN where coefficients are free, got {hold!r:.80}"
        )
    if "coef" not in hold:
        return None
    if not isinstance(estimator.inference, MaximumLikelihood | None):
        raise UnsupportedError("VariationalBayes() does not support hold: use inference=None")
    K, first = int(estimator.n_components), int(design.intercept)
    values = checked_values("hold['coef']", hold["coef"], (K, len(design.names)), REAL, K)
    given: Any = (~np.isnan(values)).any(axis=0)
    both = [place for place in shared if place < len(design.terms) and given[place - first]]
    if both:
        raise InvalidInputError(
            f"hold['coef'] has values of column {design.terms[both[0]]!r}, which is fixed: leave "
            "it out of fixed"
        )
    values = np.pad(values * design.scale, ((0, 0), (first, n_further)), constant_values=np.nan)
    held: Booleans = ~np.isnan(values)
    filled = np.where(held, values, 0.0)
    return HeldValues("coef", filled, held, np.arange(K), np.ones(values.shape[1]))


def _no_mapping(name: str, value: Any) -> InvalidInputError:
    example = "{'means': [[0.0], [nan]]}" if name == "hold" else "{'means': [0, 0, 1]}"
    return InvalidInputError(
        f"{name} must map names of parameters to values, such as {example}, got {value!r:.80}"
    )


def checked_values(
    label: str, value: Any, shape: tuple[int, ...], domain: Domain, n_components: int
) -> Array:
    """Return held values of a shape, NaN where free, or raise an error that names the cell.

    Of K components, missing last ones are free.
    """
    try:
        values = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"{label} must be numbers of shape {shape}, NaN where free, got {value!r:.80}"
        ) from None
    if values.ndim == len(shape) and values.shape[1:] == shape[1:]:
        if len(values) > shape[0] == n_components:
            raise InvalidInputError(
                f"{label} has {len(values)} rows, but n_components={n_components}: hold at most "
                "one row per component"
            )
        if shape[0] == n_components:
            free = np.full((n_components - len(values), *shape[1:]), np.nan)
            values = np.concatenate([values, free])
    if values.shape != shape:
        raise InvalidInputError(
            f"{label} must have shape {shape}, NaN where free, got shape {values.shape}"
        )
    low, high = domain.low, domain.high
    wrong = (values < low) | (values > high) | np.isinf(values)
    if wrong.any():
        cell = tuple(np.argwhere(wrong)[0].tolist())
        limits = DESCRIBED.get(domain, f"between {low:g} and {high:g}")
        raise InvalidInputError(
            f"{label}{list(cell)} must be {limits}, or NaN where free, got {values[cell]:g}"
        )
    return values


@dataclass(frozen=True)
class GivenRestriction:
    """What a user holds and wants equal, for a model of data with columns of these names."""

    model: Model
    columns: tuple[str, ...]
    side: SideInformation
    hold: Mapping[str, object]
    equal: Mapping[str, object]

    @property
    def K(self) -> int:
        return self.model.n_components

    @property
    def n_features(self) -> int:
        return len(self.columns)

    def parameters(self) -> tuple[HeldValues, ...]:
        """Return the parameters after checks, or raise an error that names the wrong cell."""
        for name, value in (("hold", self.hold), ("equal", self.equal)):
            if not isinstance(value, Mapping):
                raise _no_mapping(name, value)
            if unknown := [key for key in value if key not in self.names]:
                raise InvalidInputError(
                    f"{name} has no parameter {unknown[0]!r} in this model, only "
                    f"{' and '.join(self.names)}: parameters of components are those of Gaussian, "
                    "Poisson, Exponential, Bernoulli, Binomial and Categorical"
                )
        given = [name for name in self.names if name in self.hold or name in self.equal]
        return tuple(own for name in given for own in self._parameter(name))

    @property
    def of_allocation(self) -> tuple[str, ...]:
        """Parameters of the mixing weights or of the chain; none where they have covariates."""
        inference: Any = self.model.inference
        gated = self.side.covariates is not None
        if self.side.elapsed is not None:
            follows = getattr(inference.weights, "stationary", False)
            return ("generator",) if gated or follows else ("startprob", "generator")
        if isinstance(inference.weights, DirichletChainPrior):
            return ("transmat",) if inference.weights.stationary else ("startprob", "transmat")
        return ("weights",) if inference.weights is None and not gated else ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that may be held."""
        family = self.model.family
        own = ("means", "covariances") if isinstance(family, Gaussian) else tuple(self.domains)
        return (*self.of_allocation, *own)

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Domains of the parameter (K, D) of a family of independent columns that has only one."""
        family = self.model.family
        found = parameters_of(family)
        if len(found) != 1 or not hasattr(family, "at_means"):
            return {}
        return {own.label: own.domain for own in found}

    def _parameter(self, name: str) -> list[HeldValues]:
        if name == "generator":
            return self._generator()
        if name in self.of_allocation:
            return self._probabilities(name)
        if name == "covariances":
            return self._covariances()
        if isinstance(self.model.family, LevelsFamily):
            return self._levels(name)
        from bayesmix.families.multinomial import Multinomial

        if isinstance(self.model.family, Multinomial):
            return self._shares(name)
        shape = (self.K, self.n_features)
        domain = REAL if name == "means" else self.domains[name]
        values = self._values(name, shape, domain)
        cells = [(d, d + 1) for d in range(self.n_features)]
        family: Any = self.model.family
        if isinstance(family, Gaussian) and family.structure.blocks.dense:
            cells = []
        return self._grouped(name, values, np.ones(shape[1]), cells=cells)

    def _values(self, name: str, shape: tuple[int, ...], domain: Domain = REAL) -> Array:
        """Return held values, NaN where free; missing last components are free."""
        if name not in self.hold:
            return np.full(shape, np.nan)
        return self._checked(f"hold[{name!r}]", self.hold[name], shape, domain)

    def _checked(self, label: str, value: Any, shape: tuple[int, ...], domain: Domain) -> Array:
        return checked_values(label, value, shape, domain, self.K)

    def _groups(self, label: str, value: object) -> Integers:
        """Return labels (K,) of components that share a parameter, or a column of it."""
        if value is None:
            return np.arange(self.K)
        if value is True:
            return np.zeros(self.K, dtype=int)
        labels = np.asarray(value)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) > self.K:
            raise InvalidInputError(
                f"{label} must be True, or a label for each of n_components={self.K} "
                f"components, such as [0, 0, 1], got {value!r:.80}"
            )
        after = labels.max(initial=0) + 1
        longer = np.append(labels, np.arange(after, after + self.K - len(labels)))
        return np.asarray(np.unique(longer, return_inverse=True)[1])

    def _grouped(
        self,
        name: str,
        values: Array,
        counted: Array,
        simplex: bool = False,
        cells: list[tuple[int, int]] | None = None,
    ) -> list[HeldValues]:
        """Return a parameter whose held values hold in all components of a group.

        ``cells`` of columns that are independent within components may be equal column by column,
        or to other columns of a component.
        """
        value, counted = self.equal.get(name), np.asarray(counted, float)
        by_cell = not simplex and isinstance(value, (list, tuple, np.ndarray)) and of_rows(value)
        if simplex or not (by_cell or isinstance(value, Mapping)):
            groups = self._groups(f"equal[{name!r}]", value)
            alike = self._alike(name, values, groups, counted, simplex)
            if simplex and alike.grouped:
                shares = np.where(alike.held, alike.values, np.nan)
                _check_sum(f"hold[{name!r}] with equal[{name!r}]", shares)
            return [alike]
        if not cells:
            raise UnsupportedError(
                f"equal[{name!r}] cannot name columns, which must be independent within components "
                "(means need covariance_type='diag' or 'spherical', covariances 'diag'): use True "
                "or a label for each component"
            )
        if not isinstance(value, Mapping):
            return [self._equal_cells(name, values, counted, cells)]
        if name == "covariances":
            raise UnsupportedError(
                "equal['covariances'] cannot name single columns: use labels of shape "
                "(n_components, n_features), which are the same where variances are equal"
            )
        of_groups = {tuple(range(self.K)): np.ones(len(counted), dtype=bool)}
        free = of_groups[tuple(range(self.K))]
        named: set[int] = set()
        for column, labels in value.items():
            place = self._place(name, column)
            if place in named:
                raise InvalidInputError(f"equal[{name!r}] has column {column!r} more than once")
            named.add(place)
            groups = self._groups(f"equal[{name!r}][{column!r}]", labels)
            own = slice(*cells[place])
            free[own] = False
            of_groups.setdefault(tuple(groups.tolist()), np.zeros_like(free))[own] = True
        out = []
        for labels, mask in of_groups.items():
            chosen = np.where(mask, values, np.nan)
            if mask is free and np.isnan(chosen).all():
                continue
            found = self._alike(name, chosen, np.array(labels), counted * mask, simplex)
            out.append(replace(found, columns=mask))
        return out

    def _equal_cells(
        self, name: str, values: Array, counted: Array, cells: list[tuple[int, int]]
    ) -> HeldValues:
        """Return a parameter whose values are equal where labels (K, D) are the same.

        Equal columns of levels are equal level by level.
        """
        label, value = f"equal[{name!r}]", self.equal[name]
        try:
            labels = np.array(value)
        except ValueError:  # rows of unlike lengths
            labels = np.empty(0)
        D, whole = self.n_features, labels.dtype.kind in "iu" and labels.ndim == 2
        if not whole or labels.shape[1] != D or len(labels) > self.K:
            raise InvalidInputError(
                f"{label} must have a row of {D} labels, one for each column, for each of "
                f"n_components={self.K} components (or the first ones), and cells with the same "
                f"label are equal, got {value!r:.80}"
            )
        after, left = labels.max(initial=-1) + 1, self.K - len(labels)
        labels = np.vstack([labels, np.arange(after, after + left * D).reshape(left, D)])
        labels = np.unique(labels, return_inverse=True)[1].reshape(self.K, D)
        out = np.empty(values.shape, dtype=np.intp)
        longest = max(end - start for start, end in cells)
        for d, (start, end) in enumerate(cells):
            out[:, start:end] = labels[:, [d]] * longest + np.arange(end - start)
        levels = getattr(self.model.family, "levels", None)
        for number in np.unique(labels):
            equals = np.argwhere(labels == number).tolist()
            leader, first = equals[0]
            shared = values[leader, slice(*cells[first])]
            for k, d in equals:
                if levels is not None and levels[d] != levels[first]:
                    raise InvalidInputError(
                        f"{label} makes columns {self.columns[first]!r} and {self.columns[d]!r} "
                        f"equal, whose levels {list(levels[first])} and {list(levels[d])} differ: "
                        "name the same levels in the family, or do not make them equal"
                    )
                own = values[k, slice(*cells[d])]
                if (own != shared)[~np.isnan(own) & ~np.isnan(shared)].any():
                    raise InvalidInputError(
                        f"hold[{name!r}] has different values for column "
                        f"{self.columns[first]!r} of component {leader} and column "
                        f"{self.columns[d]!r} of component {k}, which {label} makes equal: leave "
                        "one of them NaN"
                    )
                shared[:] = np.where(np.isnan(shared), own, shared)
        _, leaders, place = np.unique(out, return_index=True, return_inverse=True)
        values = values.ravel()[leaders[place]].reshape(values.shape)
        held: Booleans = ~np.isnan(values)
        filled = np.where(held, values, 0.0)
        return HeldValues(name, filled, held, np.arange(self.K), counted, cells=out)

    def _place(self, name: str, column: object) -> int:
        """Return the number of a column that is given by name or number."""
        if isinstance(column, str) and column in self.columns:
            return self.columns.index(column)
        if isinstance(column, (int, np.integer)) and int(column) in range(self.n_features):
            return int(column)
        raise InvalidInputError(
            f"equal[{name!r}] has no column {column!r}, only {', '.join(self.columns)}"
        )

    def _alike(
        self, name: str, values: Array, groups: Integers, counted: Array, simplex: bool
    ) -> HeldValues:
        """Return a parameter with the held values of a group in all of its components."""
        if len(groups) != len(values):  # one covariance for all components
            groups = np.arange(len(values))
        for label in np.unique(groups):
            members = np.flatnonzero(groups == label)
            for k in members[1:]:
                first, other = values[members[0]], values[k]
                both = ~np.isnan(first) & ~np.isnan(other)
                if (first != other)[both].any():
                    raise InvalidInputError(
                        f"hold[{name!r}] has different values for components {members[0]} and "
                        f"{k}, which equal[{name!r}] makes equal: leave one of them NaN"
                    )
                values[members[0]] = np.where(np.isnan(first), other, first)
            values[members] = values[members[0]]
        held: Booleans = ~np.isnan(values)
        return HeldValues(name, np.where(held, values, 0.0), held, groups, counted, simplex)

    def _probabilities(self, name: str) -> list[HeldValues]:
        shape = (self.K, self.K) if name == "transmat" else (self.K,)
        values = self._values(name, shape, SHARE)
        if name == "transmat" and name in self.equal:
            raise UnsupportedError("equal has no 'transmat': hold its rows instead")
        label = f"hold[{name!r}]"
        for place, row in enumerate(np.atleast_2d(values)):
            own = label if values.ndim == 1 else f"{label}[{place}]"
            _check_sum(own, row)
        if name == "transmat":
            self._refuse_absorbing((values.diagonal() == 1.0).any(), "transmat")
        return self._grouped(name, values, np.ones(values.shape[1:]), simplex=True)

    def _refuse_absorbing(self, absorbing: bool, name: str) -> None:
        """Refuse states that are never left, in which stationary chains would all begin."""
        inference: Any = self.model.inference
        if absorbing and self.K > 1 and getattr(inference.weights, "stationary", False):
            raise UnsupportedError(
                f"initial='stationary' needs states that are left, but hold[{name!r}] has one that "
                "is never left: use initial='free'"
            )

    def _generator(self) -> list[HeldValues]:
        """Return rates per mean time between samples, without the diagonal.

        With covariates only rates of 0 can be held, as others vary.
        """
        if "generator" in self.equal:
            raise UnsupportedError("equal has no 'generator': hold rates, or leave it out")
        values, elapsed = self._values("generator", (self.K, self.K)), self.side.elapsed
        assert elapsed is not None
        np.fill_diagonal(values, np.nan)
        constant = self.side.covariates is not None and (values > 0.0)
        if (wrong := np.argwhere((values < 0.0) | constant)).size:
            which = "0" if constant is not False else "at least 0"
            raise InvalidInputError(
                f"hold['generator']{wrong[0].tolist()} must be {which}, or NaN where free, got "
                f"{values[tuple(wrong[0])]:g}"
            )
        absorbing = (values == 0.0).sum(axis=1) == self.K - 1
        self._refuse_absorbing(absorbing.any(), "generator")
        if elapsed.exact is not None and not absorbing.any():
            raise InvalidInputError(
                "exact_times needs absorbing states, but hold['generator'] has no row of zeros"
            )
        counted = np.full(self.K, self.side.n_covariates)
        return self._grouped("generator", values * elapsed.unit, counted)

    def _levels(self, name: str) -> list[HeldValues]:
        """Return probabilities of levels, whole rows of a column or none."""
        reading: Any = self.model.family.reading  # type: ignore[attr-defined]  # of levels
        sizes = reading.numbers
        values = np.full((self.K, sum(sizes)), np.nan)
        if name in self.hold:
            given = self.hold[name]
            if not isinstance(given, (list, tuple)) or len(given) != len(sizes):
                raise InvalidInputError(
                    f"hold[{name!r}] must be a list with an array (n_components, levels), or None, "
                    f"for each of {len(sizes)} columns, got {given!r:.80}"
                )
            for d, ((start, end), own) in enumerate(zip(reading.pairs, given, strict=True)):
                if own is None:
                    continue
                label = f"hold[{name!r}][{d}]"
                rows = self._checked(label, own, (self.K, end - start), SHARE)
                _check_whole_rows(label, rows)
                values[:, start:end] = rows
        counted = np.ones(sum(sizes))
        counted[reading.starts] = 0.0
        return self._grouped(name, values, counted, cells=reading.pairs)

    def _shares(self, name: str) -> list[HeldValues]:
        """Return shares (K, D) that sum to 1, whole rows or none."""
        values = self._values(name, (self.K, self.n_features), SHARE)
        _check_whole_rows(f"hold[{name!r}]", values)
        return self._grouped(name, values, np.append(0.0, np.ones(self.n_features - 1)))

    def _covariances(self) -> list[HeldValues]:
        family: Any = self.model.family
        structure = family.structure
        if structure.estimate is not averaged:
            raise UnsupportedError(
                f"covariances of covariance_type={family.covariance!r} cannot be held or equal: "
                "use 'full', 'tied', 'diag' or 'spherical'"
            )
        if structure.shared and "covariances" in self.equal:
            raise InvalidInputError(
                f"equal['covariances'] is not needed: covariance_type={family.covariance!r} has "
                "one covariance for all components"
            )
        shape = structure.blocks.covariance_shape(self.K, self.n_features)
        dense = structure.blocks.dense
        values = self._values("covariances", shape, REAL if dense else POSITIVE)
        whole = values[None] if structure.shared else values
        if dense:
            for k, matrix in enumerate(whole):
                own = "" if structure.shared else f"[{k}]"
                _check_matrix(f"hold['covariances']{own}", matrix)
            counted = np.tril(np.ones(whole.shape[1:]))
        else:
            counted = np.ones(whole.shape[1:])
        cells = [(d, d + 1) for d in range(whole.shape[1])] if whole.ndim == 2 else []
        return self._grouped("covariances", whole, counted, cells=cells)


def of_rows(value: Any) -> bool:
    """Whether labels have rows."""
    return any(isinstance(row, (list, tuple, np.ndarray)) for row in value) or np.ndim(value) > 1


def _check_whole_rows(label: str, rows: Array) -> None:
    """Raise an error unless rows of probabilities are held as a whole, with a sum of 1, or free."""
    for k, row in enumerate(rows):
        free = np.isnan(row)
        if free.any() and not free.all():
            raise UnsupportedError(f"{label}[{k}] must hold all probabilities of the row, or none")
        _check_sum(f"{label}[{k}]", row)


def _check_sum(label: str, row: Array) -> None:
    """Raise an error for held probabilities that leave nothing, or too much, to the others."""
    held, total = ~np.isnan(row), float(np.nansum(row))
    if held.all() and abs(total - 1.0) > ROUNDING:
        raise InvalidInputError(f"{label} must sum to 1, got a sum of {total:.6g}")
    if total > 1.0 + ROUNDING or (not held.all() and total >= 1.0 and held.any()):
        free = np.flatnonzero(~held)
        left = f", which leaves nothing for component {free[0] + 1}" if len(free) else ""
        raise InvalidInputError(f"{label} sums to {total:.6g}{left}: hold smaller values")


def _check_matrix(label: str, matrix: Array) -> None:
    """Raise an error unless a covariance matrix is NaN, or symmetric and positive definite."""
    free = np.isnan(matrix)
    if free.all():
        return
    if free.any():
        cell = np.argwhere(free)[0].tolist()
        raise UnsupportedError(
            f"{label} must be a whole matrix, or NaN in all cells, got NaN in cell {cell}"
        )
    uneven = np.abs(matrix - matrix.T) > ROUNDING * np.abs(matrix).max()
    if uneven.any():
        cell = np.argwhere(uneven)[0].tolist()
        raise InvalidInputError(
            f"{label} must be symmetric, but cell {cell} is not equal to cell {cell[::-1]}"
        )
    least = float(np.linalg.eigvalsh(matrix)[0])
    if not least > 0.0:
        raise InvalidInputError(
            f"{label} must be positive definite, but its smallest eigenvalue is {least:.3g}"
        )
