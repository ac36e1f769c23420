"""Factor analysers: covariances of a few factors and a noise a column, linear in the columns."""

from typing import TYPE_CHECKING

from bayesmix import lazy

if TYPE_CHECKING:
    from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers
    from bayesmix.families.factor_analytic.factor_model import FactorModel
    from bayesmix.families.factor_analytic.factors import FactorAnalytic

__all__ = ["FactorAnalysers", "FactorAnalytic", "FactorModel"]

__getattr__ = lazy.names(
    __name__,
    {
        "FactorAnalysers": "factor_analysers",
        "FactorAnalytic": "factors",
        "FactorModel": "factor_model",
    },
)
