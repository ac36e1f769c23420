"""Hidden Markov models with known parameters, without data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any, Self

import numpy as np

from bayesmix.allocation.chain import DirichletChainPrior, MarkovChain, stationary_distribution
from bayesmix.core.given_arrays import finite_array
from bayesmix.core.parameters import POSITIVE, declared
from bayesmix.em.model import MaximumLikelihood
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.attributes.gaussian_parameters import covariance_type_of, point_result
from bayesmix.families.coding import Coding
from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers
from bayesmix.families.factor_analytic.family import FactorAnalytic
from bayesmix.families.gaussian.covariance.models import NAMED, Structure
from bayesmix.families.gaussian.family import Gaussian, Gaussians
from bayesmix.families.independent.levels import LevelsFamily
from bayesmix.families.names import family_named
from bayesmix.families.product.components import Products
from bayesmix.families.product.family import Product
from bayesmix.families.registry import FAMILIES
from bayesmix.families.student_t.components import StudentComponents
from bayesmix.families.student_t.family import StudentT
from bayesmix.families.transformed import Transformed, TransformedComponents
from bayesmix.numerics.arrays import Array

# Rounding of probabilities that sum to 1.
ROUNDING = 1e-8
Given = Mapping[str, Any]


class GivenParameters:
    """Hidden Markov models with given parameters."""

    @classmethod
    def from_parameters(
        cls, startprob: Any, transmat: Any, family: Any = None, **parameters: Any
    ) -> Self:
        """Return a fitted model with given parameters.

        Parameters
        ----------
        startprob : array (K,) or None
            None: the stationary distribution.
        transmat : array (K, K)
        family : Family, optional
            None: Gaussian; the shape of ``covariances`` determines the structure.
        **parameters
            Arrays with first axis K, such as ``means`` and ``covariances``, ``rates``, or
            ``probabilities`` (K, sum of levels); for products ``parts``, a mapping from keys of the
            product to such arrays by name.

        Examples
        --------
        >>> import bayesmix as bm
        >>> A, rates = [[0.9, 0.1], [0.3, 0.7]], [[2.0], [9.0]]
        >>> hmm = bm.HiddenMarkovModel.from_parameters(None, A, "poisson", rates=rates)
        >>> hmm.predict([[1], [2], [11], [8]])
        array([0, 0, 1, 1])
        """
        model: Self = given_chain(cls, startprob, transmat, family, parameters)
        return model


def given_chain(kind: Any, startprob: Any, transmat: Any, family: Any, given: Given) -> Any:
    """Return a hidden Markov model, of class ``kind``, with given parameters."""
    K, family = len(transmat), _known(family, given)
    moves = _distributions("transmat", transmat, (K, K))
    first = stationary_distribution(moves)
    if startprob is not None:
        first = _distributions("startprob", startprob, (K,))
    components = components_of(family, given, K)
    result = point_result(family, stationary_distribution(moves), components)
    chain: Any = MarkovChain(first, moves)
    prior: Any = DirichletChainPrior()
    mixture = replace(result.mixture, weights=chain)
    inference = MaximumLikelihood(family, prior)
    names = getattr(family, "names", None)
    model = kind(K, family=family)
    model._adopt(replace(result, mixture=mixture, inference=inference, columns=names))
    if names is not None:
        model.feature_names_in_ = np.array(names, dtype=object)
    return model


def _known(family: Any, given: Given) -> Any:
    """Return the family: Gaussians of the shape of covariances, products with names and levels."""
    if family is None:
        _expect(Gaussian(), given, ("means", "covariances"))
        arrays = (np.array(given[name], dtype=np.float64) for name in ("covariances", "means"))
        return Gaussian(covariance_type_of(*arrays))
    family = family_named(family)
    if family.name != "product":
        return family
    named = [name for part in family.parts for name in part.columns]
    if not all(isinstance(name, str) for name in named):
        return family.over(None, len(named))
    levels = [one for part in family.parts for one in _levels(part)]
    coding = Coding(tuple(named), tuple(levels)) if any(levels) else None
    return family.over(named, len(named), coding)


def _levels(part: Any) -> Any:
    return getattr(part.family, "levels", None) or [None] * len(part.columns)


def _distributions(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    shares = finite_array(name, value, shape)
    if shares.min() < 0 or np.abs(shares.sum(axis=-1) - 1.0).max() > ROUNDING:
        raise InvalidInputError(f"{name} must not be negative, and must sum to 1 in each row")
    return shares


def _expect(family: Any, given: Given, names: tuple[str, ...]) -> None:
    if set(given) != set(names):
        raise InvalidInputError(
            f"the parameters of {type(family).__name__} are {', '.join(names)}, got "
            f"{', '.join(given) or 'none'}"
        )


def _means(name: str, value: Any, K: int) -> Array:
    shape = np.shape(value)
    return finite_array(name, value, (K, shape[-1] if len(shape) == 2 else 1))


def _blocks(name: str, value: Any, structure: Structure, means: Array) -> Array:
    shape = structure.blocks.covariance_shape(*means.shape)
    return structure.blocks.from_covariances(finite_array(name, value, shape))


def _normals(covariance: str, names: tuple[str, str], given: Given, K: int) -> Gaussians:
    structure = NAMED[covariance]
    means = _means(names[0], given[names[0]], K)
    normals = Gaussians(structure, means, _blocks(names[1], given[names[1]], structure, means))
    normals.precision_root  # noqa: B018  (raises where a covariance is not positive definite)
    return normals


@singledispatch
def components_of(family: Any, given: Given, K: int) -> Any:
    """Return the components of a family from its parameters, named as in ``components_``.

    By default those are arrays (K, D).
    """
    records = FAMILIES[family.name].components if family.name in FAMILIES else []
    if not records:
        raise InvalidInputError(
            f"from_parameters does not support {type(family).__name__}, which has no entry with "
            "parameters in bayesmix/families/registry.py"
        )
    # Beta densities with and without masses have other parameters.
    named = (one for one in records if {own.label for own in declared(one)} == set(given))
    return _of_columns(next(named, records[0]), family, given, K)


@components_of.register(Gaussian)
def _gaussian(family: Any, given: Given, K: int) -> Any:
    names = ("means", "covariances")
    _expect(family, given, names)
    return _normals(family.covariance, names, given, K)


@components_of.register(StudentT)
def _student(family: Any, given: Given, K: int) -> Any:
    _expect(family, given, ("means", "scales", "degrees_of_freedom"))
    normals = _normals(family.covariance, ("means", "scales"), given, K)
    freedom = _domain("degrees_of_freedom", np.broadcast_to(given["degrees_of_freedom"], (K,)))
    return StudentComponents(normals.structure, normals.means, normals.blocks, freedom)


@components_of.register(Transformed)
def _transformed(family: Any, given: Given, K: int) -> Any:
    inner, prefix = family.family, f"{family.function.prefix}_"
    dense = NAMED[inner.covariance].blocks.dense
    names = (f"{prefix}means", f"{prefix}{'covariances' if dense else 'variances'}")
    _expect(family, given, names)
    of_inner = dict(zip(("means", "covariances"), map(given.get, names), strict=True))
    return TransformedComponents(family.function, components_of(inner, of_inner, K))


@components_of.register(FactorAnalytic)
def _factors(family: Any, given: Given, K: int) -> Any:
    _expect(family, given, ("means", "loadings", "noise_variances"))
    means, model = _means("means", given["means"], K), family.model
    shape = (*means.shape, model.n_factors)
    given_shape = shape[1:] if model.shared_loadings else shape
    loadings = finite_array("loadings", given["loadings"], given_shape)
    noise_shape = (K,) if model.isotropic_noise else means.shape
    noise = finite_array("noise_variances", given["noise_variances"], noise_shape)
    noise = np.broadcast_to(noise[:, None] if model.isotropic_noise else noise, means.shape)
    return FactorAnalysers(
        model, means, np.array(np.broadcast_to(loadings, shape)), _domain("noise_variances", noise)
    )


def _domain(name: str, values: Any, low: float = POSITIVE.low, high: float = POSITIVE.high) -> Any:
    values = np.array(values, dtype=np.float64)
    if not ((values >= low) & (values <= high)).all():
        raise InvalidInputError(
            f"{name} must lie between {low:g} and {high:g}, got {values.min():g} to "
            f"{values.max():g}"
        )
    return values


def _of_columns(kind: Any, family: Any, given: Given, K: int) -> Any:
    parameters = declared(kind)
    _expect(family, given, tuple(own.label for own in parameters))
    values = {}
    for own in parameters:
        name = own.label
        value = np.asarray(given[name], dtype=np.float64)
        if name != "intercepts" and len(np.atleast_1d(value)) != K:
            raise InvalidInputError(f"{name} must have a row for each of {K} states, got {value!r}")
        values[own.field] = _domain(name, value, own.domain.low, own.domain.high)
    reading = {"reading": family.reading} if "reading" in kind.__dataclass_fields__ else {}
    components = kind(**values, **reading)
    if isinstance(family, LevelsFamily) and not np.allclose(
        family.reading.sums(components.expected_totals), 1.0, rtol=0.0, atol=ROUNDING
    ):
        raise InvalidInputError("probabilities must sum to 1 over the levels of each column")
    return components


@components_of.register(Product)
def _product(family: Any, given: Given, K: int) -> Any:
    _expect(family, given, ("parts",))
    keys = [part.columns if len(part.columns) > 1 else part.columns[0] for part in family.parts]
    if set(keys) != set(given["parts"]):
        raise InvalidInputError(f"parts must have the keys {', '.join(map(repr, keys))}")
    own = (given["parts"][key] for key in keys)
    pairs = zip(family.families, own, strict=True)
    return Products(family.layout, tuple(components_of(part, one, K) for part, one in pairs))
