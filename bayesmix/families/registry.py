"""Registry of families: names, public classes and records in saved files.

A new family needs a module, an entry here and a case in ``tests/laws/families.py``, and one in
``cases.py`` if it has a prior. Modules load on first use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

from bayesmix.core.families import AtAPoint
from bayesmix.core.parameters import Parameter, declared

# Records in saved files, by module.
Records: TypeAlias = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Entry:
    """A family: its ``public`` names, the class first, and its ``records`` by module.

    ``compared``: names and parameters of families that a search compares under this name.
    """

    public: tuple[str, ...]
    records: Records
    compared: tuple[tuple[str, Mapping[str, int]], ...] = ()

    @property
    def homes(self) -> dict[str, str]:
        """Modules of the public names, relative to the package."""
        return {
            name: f"families.{module}"
            for name in self.public
            for module, records in self.records.items()
            if name in records
        }

    @property
    def components(self) -> list[type[AtAPoint]]:
        """The records of components at a point, whose fields declare the parameters."""
        points = (record for record in self.classes() if issubclass(record, AtAPoint))
        return [record for record in points if declared(record)]

    def classes(self) -> Iterator[type]:
        """Yield the records in saved files."""
        for module, records in self.records.items():
            home = import_module(f"bayesmix.families.{module}")
            values = (getattr(home, name) for name in records)
            yield from (value for value in values if isinstance(value, type))

    def make(self, **parameters: Any) -> Any:
        """Return the family, by default with its default parameters."""
        name = self.public[0]
        return getattr(import_module(f"bayesmix.{self.homes[name]}"), name)(**parameters)


FAMILIES = {
    "gaussian": Entry(
        ("Gaussian", "GaussianPrior"),
        {
            "gaussian.family": ("Gaussian", "Gaussians"),
            "gaussian.moments": ("Moments",),
            "gaussian.given_prior": ("GaussianPrior",),
            "gaussian.background": ("Background", "BackgroundPrior"),
            "gaussian.prior": (
                "GaussianPosterior",
                "NormalWishart",
                "Wishart",
                "FixedScale",
                "LearnedScale",
            ),
        },
    ),
    "student_t": Entry(
        ("StudentT", "StudentPrior"),
        {
            "student_t.family": ("StudentT",),
            "student_t.components": (
                "StudentComponents",
                "WeightedMoments",
                "FreedomPrior",
                "FreedomFactor",
            ),
            "student_t.posterior": ("StudentPosterior", "NormalWishartFreedom", "StudentPrior"),
        },
    ),
    "factor_analytic": Entry(
        ("FactorAnalytic",),
        {
            "factor_analytic.family": ("FactorAnalytic",),
            "factor_analytic.factor_analysers": (
                "FactorModel",
                "FactorAnalysers",
                "ProjectedMoments",
                "SeenAlong",
            ),
        },
    ),
    "common_subspace": Entry(
        ("CommonSubspace",),
        {
            "gaussian.subspace": ("CommonSubspace",),
        },
    ),
    "transformed": Entry(
        ("Transformed", "YeoJohnson"),
        {
            "transformed": ("Transformed", "TransformedComponents", "TransformedPrior"),
            "monotone": ("Log", "Power", "Root", "Logit", "YeoJohnson", "Logarithms"),
        },
    ),
    "log_normal": Entry(
        ("LogNormal", "LogNormalPrior"),
        {
            "transformed": ("LogNormal", "LogNormalPrior"),
        },
    ),
    "bernoulli": Entry(
        ("Bernoulli", "BetaPrior"),
        {
            "successes": ("Bernoulli", "Bernoullis", "BetaProbabilities", "BetaPrior"),
        },
    ),
    "poisson": Entry(
        ("Poisson", "GammaPrior"),
        {
            "rates": ("Poisson", "Poissons", "GammaRates", "GammaPrior"),
        },
    ),
    "exponential": Entry(
        ("Exponential",),
        {
            "rates": ("Exponential", "Exponentials", "ExponentialRates", "ExponentialPrior"),
        },
    ),
    "gamma": Entry(
        ("Gamma",),
        {
            "gamma": ("Gamma", "Gammas"),
        },
    ),
    "weibull": Entry(
        ("Weibull",),
        {
            "weibull": ("Weibull", "Weibulls"),
        },
    ),
    "binomial": Entry(
        ("Binomial",),
        {
            "successes": (
                "Binomial",
                "Binomials",
                "BinomialProbabilities",
                "BinomialPrior",
                "Choices",
                "SharesOfTrials",
            ),
        },
    ),
    "categorical": Entry(
        ("Categorical", "CategoricalPrior"),
        {
            "categorical": (
                "Categorical",
                "Categoricals",
                "LevelProbabilities",
                "CategoricalPrior",
                "Levels",
            ),
        },
    ),
    "beta": Entry(("Beta",), {"beta": ("Beta", "Betas", "BetasWithMasses")}),
    "multinomial": Entry(
        ("Multinomial", "MultinomialPrior"),
        {
            "multinomial": ("Multinomial", "Multinomials", "DirichletShares", "MultinomialPrior"),
        },
    ),
    "ordinal": Entry(
        ("Ordinal", "OrdinalPrior"),
        {
            "ordinal": ("Ordinal", "Ordinals", "OrdinalPrior"),
        },
        (("ordinal", {"degree": 1}), ("ordinal", {}), ("categorical", {})),
    ),
    "negative_binomial": Entry(
        ("NegativeBinomial",),
        {
            "negative_binomial": ("NegativeBinomial", "OverdispersedCounts"),
            "count_posterior": ("CountPosterior", "SizePrior"),
        },
    ),
    "zero_inflated_poisson": Entry(
        ("ZeroInflatedPoisson",),
        {
            "zero_inflated": ("ZeroInflatedPoisson", "ZeroInflatedPoissons"),
        },
    ),
    "zero_or": Entry(
        ("ZeroOr",),
        {"zero_or": ("ZeroOr", "ZeroOrGammas", "ZeroOrWeibulls", "ZeroOrLogNormals")},
    ),
    "von_mises": Entry(
        ("VonMises",),
        {
            "von_mises": (
                "VonMises",
                "VonMisesColumns",
                "VonMisesPosterior",
                "VonMisesPrior",
                "Circle",
            ),
        },
    ),
    "von_mises_fisher": Entry(
        ("VonMisesFisher",),
        {
            "von_mises_fisher": ("VonMisesFisher", "VonMisesFishers"),
        },
    ),
    "dependent_categorical": Entry(
        ("DependentCategorical",),
        {
            "dependent_categorical": (
                "DependentCategorical",
                "DependentCategoricals",
                "DependentLevels",
            )
        },
    ),
    "rasch": Entry(("Rasch",), {"item_response": ("Rasch", "RaschItems")}),
    "two_parameter_logistic": Entry(
        ("TwoParameterLogistic",),
        {"item_response": ("TwoParameterLogistic", "TwoParameterItems")},
    ),
    "product": Entry(
        ("Product", "ProductPrior"),
        {
            "product.family": ("Product", "Part", "Resolutions"),
            "product.layout": ("Layout", "ProductStatistics"),
            "product.components": ("Products",),
            "product.prior": ("PartPriors", "ProductPrior"),
        },
    ),
}
# Families whose parameters have no default.
WITH_PARAMETERS = (
    "factor_analytic",
    "common_subspace",
    "transformed",
    "dependent_categorical",
    "product",
)
BY_NAME = tuple(name for name in FAMILIES if name not in WITH_PARAMETERS)


def saved_records() -> Iterator[type]:
    """Yield the records in saved files of all families."""
    for entry in FAMILIES.values():
        yield from entry.classes()


def parameters_of(family: Any) -> tuple[Parameter, ...]:
    """Return what the components of a registered family declare, () if their record does not."""
    records = FAMILIES[family.name].components if family.name in FAMILIES else []
    return declared(records[0]) if records else ()
