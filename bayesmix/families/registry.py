"""Registry of families: names, public classes and records in saved files.

A new family needs a module, an entry here and a case in ``tests/laws/cases.py``. Modules load on
first use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

# Smallest and largest value in the arrays of a saved fit; all are finite.
Domain: TypeAlias = tuple[float, float]
INFINITY = float("inf")
ANY: Domain = (-INFINITY, INFINITY)
POSITIVE: Domain = (5e-324, INFINITY)  # from the smallest double
NOT_NEGATIVE: Domain = (0.0, INFINITY)
SHARES: Domain = (0.0, 1.0)
# Records of a module in saved files, with the domains of their arrays by field.
Records: TypeAlias = Mapping[str, Mapping[str, Domain]]


@dataclass(frozen=True)
class Entry:
    """A family: its ``public`` names, the class first, and its ``records`` by module.

    ``compared``: names and parameters of families that a search compares under this name.
    """

    public: tuple[str, ...]
    records: Mapping[str, Records]
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

    def make(self, **parameters: Any) -> Any:
        """Return the family, by default with its default parameters."""
        name = self.public[0]
        return getattr(import_module(f"bayesmix.{self.homes[name]}"), name)(**parameters)


FAMILIES = {
    "gaussian": Entry(
        ("Gaussian", "GaussianPrior"),
        {
            "gaussian.family": {"Gaussian": {}, "Gaussians": {"means": ANY, "blocks": ANY}},
            "gaussian.moments": {"Moments": {"counts": NOT_NEGATIVE, "means": ANY, "scatter": ANY}},
            "gaussian.given_prior": {"GaussianPrior": {}},
            "gaussian.prior": {
                "GaussianPosterior": {"means": ANY, "mean_precision": POSITIVE},
                "NormalWishart": {"mean": ANY},
                "Wishart": {"degrees_of_freedom": POSITIVE, "scale_inverse": ANY},
                "FixedScale": {"mean": ANY},
                "LearnedScale": {},
            },
        },
    ),
    "student_t": Entry(
        ("StudentT", "StudentPrior"),
        {
            "student_t.family": {"StudentT": {}},
            "student_t.components": {
                "StudentComponents": {"means": ANY, "blocks": ANY, "degrees_of_freedom": POSITIVE},
                "WeightedMoments": {"counts": NOT_NEGATIVE, "tails": ANY},
                "FreedomPrior": {"values": POSITIVE},
                "FreedomFactor": {"values": POSITIVE, "probabilities": SHARES},
            },
            "student_t.posterior": {
                "StudentPosterior": {},
                "NormalWishartFreedom": {},
                "StudentPrior": {},
            },
        },
    ),
    "factor_analytic": Entry(
        ("FactorAnalytic",),
        {
            "factor_analytic.family": {"FactorAnalytic": {}},
            "factor_analytic.factor_analysers": {
                "FactorModel": {},
                "FactorAnalysers": {"means": ANY, "loadings": ANY, "noise": POSITIVE},
                "ProjectedMoments": {"counts": NOT_NEGATIVE, "means": ANY},
                "SeenAlong": {"squares": NOT_NEGATIVE, "directions": ANY, "projected": ANY},
            },
        },
    ),
    "common_subspace": Entry(("CommonSubspace",), {"gaussian.subspace": {"CommonSubspace": {}}}),
    "transformed": Entry(
        ("Transformed", "YeoJohnson"),
        {
            "transformed": {"Transformed": {}, "TransformedComponents": {}, "TransformedPrior": {}},
            "monotone": {
                "Log": {},
                "Power": {},
                "Root": {},
                "Logit": {},
                "YeoJohnson": {},
                "Logarithms": {},
            },
        },
    ),
    "log_normal": Entry(
        ("LogNormal", "LogNormalPrior"), {"transformed": {"LogNormal": {}, "LogNormalPrior": {}}}
    ),
    "bernoulli": Entry(
        ("Bernoulli", "BetaPrior"),
        {
            "successes": {
                "Bernoulli": {},
                "Bernoullis": {"probabilities": SHARES},
                "BetaProbabilities": {"successes": POSITIVE, "failures": POSITIVE},
                "BetaPrior": {},
            }
        },
    ),
    "poisson": Entry(
        ("Poisson", "GammaPrior"),
        {
            "rates": {
                "Poisson": {},
                "Poissons": {"rates": NOT_NEGATIVE},
                "GammaRates": {"shape": POSITIVE, "rate": POSITIVE},
                "GammaPrior": {"rate": POSITIVE},
            }
        },
    ),
    "exponential": Entry(
        ("Exponential",),
        {
            "rates": {
                "Exponential": {},
                "Exponentials": {"rates": POSITIVE},
                "ExponentialRates": {"shape": POSITIVE, "rate": POSITIVE},
                "ExponentialPrior": {"rate": POSITIVE},
            }
        },
    ),
    "gamma": Entry(
        ("Gamma",), {"gamma": {"Gamma": {}, "Gammas": {"shapes": POSITIVE, "rates": POSITIVE}}}
    ),
    "weibull": Entry(
        ("Weibull",),
        {"weibull": {"Weibull": {}, "Weibulls": {"shapes": POSITIVE, "scales": POSITIVE}}},
    ),
    "binomial": Entry(
        ("Binomial",),
        {
            "successes": {
                "Binomial": {},
                "Binomials": {"probabilities": SHARES},
                "BinomialProbabilities": {"successes": POSITIVE, "failures": POSITIVE},
                "BinomialPrior": {},
                "Choices": {},
            }
        },
    ),
    "categorical": Entry(
        ("Categorical", "CategoricalPrior"),
        {
            "categorical": {
                "Categorical": {},
                "Categoricals": {"probabilities": SHARES},
                "LevelProbabilities": {"concentration": POSITIVE},
                "CategoricalPrior": {},
                "Levels": {},
            }
        },
    ),
    "multinomial": Entry(
        ("Multinomial", "MultinomialPrior"),
        {
            "multinomial": {
                "Multinomial": {},
                "Multinomials": {"probabilities": SHARES},
                "DirichletShares": {"concentration": POSITIVE},
                "MultinomialPrior": {},
            }
        },
    ),
    "ordinal": Entry(
        ("Ordinal", "OrdinalPrior"),
        {
            "ordinal": {
                "Ordinal": {},
                "Ordinals": {"intercepts": ANY, "slopes": ANY, "curvatures": ANY},
                "OrdinalPrior": {},
            }
        },
        (("ordinal", {"degree": 1}), ("ordinal", {}), ("categorical", {})),
    ),
    "negative_binomial": Entry(
        ("NegativeBinomial",),
        {
            "negative_binomial": {
                "NegativeBinomial": {},
                "OverdispersedCounts": {"rates": NOT_NEGATIVE, "sizes": POSITIVE},
            },
            "count_posterior": {
                "CountPosterior": {"successes": POSITIVE, "failures": POSITIVE, "sizes": POSITIVE},
                "SizePrior": {"means": POSITIVE},
            },
        },
    ),
    "zero_inflated_poisson": Entry(
        ("ZeroInflatedPoisson",),
        {
            "zero_inflated": {
                "ZeroInflatedPoisson": {},
                "ZeroInflatedPoissons": {"extra_zeros": SHARES, "rates": NOT_NEGATIVE},
            }
        },
    ),
    "von_mises_fisher": Entry(
        ("VonMisesFisher",),
        {
            "von_mises_fisher": {
                "VonMisesFisher": {},
                "VonMisesFishers": {"directions": (-1.0, 1.0), "concentrations": NOT_NEGATIVE},
            }
        },
    ),
    "product": Entry(
        ("Product", "ProductPrior"),
        {
            "product.family": {"Product": {}, "Part": {}, "Resolutions": {}},
            "product.layout": {"Layout": {}, "ProductStatistics": {}},
            "product.components": {"Products": {}},
            "product.prior": {"PartPriors": {}, "ProductPrior": {}},
        },
    ),
}
# Families whose parameters have no default.
WITH_PARAMETERS = ("factor_analytic", "common_subspace", "transformed", "binomial", "product")
BY_NAME = tuple(name for name in FAMILIES if name not in WITH_PARAMETERS)


def saved_records() -> Iterator[tuple[str, Any, Mapping[str, Domain]]]:
    """Yield name, class and domains of each record in saved files."""
    for entry in FAMILIES.values():
        for module, records in entry.records.items():
            home = import_module(f"bayesmix.families.{module}")
            for name, domains in records.items():
                if isinstance(getattr(home, name), type):
                    yield name, getattr(home, name), domains
