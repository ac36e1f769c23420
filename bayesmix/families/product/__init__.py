"""Products of families: different columns, different families, one mixture."""

from bayesmix.families.product.components import Products
from bayesmix.families.product.family import Part, Product
from bayesmix.families.product.layout import Layout
from bayesmix.families.product.prior import PartPriors, ProductPrior
from bayesmix.families.product.statistics import ProductStatistics

__all__ = [
    "Layout",
    "Part",
    "PartPriors",
    "Product",
    "ProductPrior",
    "ProductStatistics",
    "Products",
]
