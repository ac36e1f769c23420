"""Log-normal family: independent positive columns, by the Gaussian machinery over their logarithms.

log p(x) = log N(log x | μ, σ²) - log x. Moments of logarithms are the statistics, their conjugate
prior is the normal's, and no constant is dropped, so that bounds and evidence are of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.families.gaussian.collapse.collapse_guard import GaussianGuard
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.independent.positive import PositiveColumns
from bayesmix.families.log_normal.components import LogNormalDraws, LogNormals
from bayesmix.families.log_normal.guard import LogGuard
from bayesmix.families.log_normal.logs import summary_of_logs
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Source
from bayesmix.records import Frame, Summary

if TYPE_CHECKING:
    from bayesmix.families.log_normal.prior import LogNormalGamma

NORMAL = Gaussian("diag")


@dataclass(frozen=True)
class LogNormal(PositiveColumns):
    """Positive columns with long tails to the right, such as incomes: their logarithms are normal.

    Columns are independent within a component.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).lognormal([0.0, 3.0], 0.5, (200, 2))
    >>> m = bm.Mixture(1, family=bm.LogNormal()).fit(rows)
    >>> m.result_.unframed.log_means.round(1)
    array([[-0.,  3.]])
    """

    name = "log_normal"
    with_article = "a log-normal"
    linear = True
    takes_gaps = True

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        """Centred moments of logarithms."""
        return NORMAL.statistics(np.log(values), responsibilities)

    def maximum_likelihood(
        self,
        statistics: Moments,
        previous: LogNormals | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> LogNormals:
        """Means and variances of logarithms."""
        before = None if previous is None else previous.normals
        return LogNormals(NORMAL.maximum_likelihood(statistics, before, resolution))

    def feasible(self, statistics: Moments) -> bool:
        """No variance or count is negative."""
        return NORMAL.feasible(statistics)

    def reference_prior(self, summary: Summary, frame: Frame) -> LogNormalGamma:
        """The learned prior of Gaussians over logarithms."""
        from bayesmix.families.log_normal.prior import LogNormalGamma

        logs = summary_of_logs(summary, frame)
        return LogNormalGamma(NORMAL.reference_prior(logs, Frame.identity(logs.n_features)))

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> LogNormalGamma:
        """The fixed prior of ``prior="auto"`` over logarithms: W0⁻¹ = scale² / K^(2/D)."""
        from bayesmix.families.gaussian.prior.normal_wishart import NormalWishart
        from bayesmix.families.gaussian.prior.wishart_scale import FixedScale
        from bayesmix.families.log_normal.prior import LogNormalGamma

        logs, structure = summary_of_logs(source.summary, frame), NORMAL.structure
        block = (logs.scale * logs.scale)[None] / n_components ** (2.0 / logs.n_features)
        scale = FixedScale(structure.algebra, block)
        return LogNormalGamma(NormalWishart(structure, logs.centre, 0.01, 3.0, scale))

    def as_draws(self, points: Sequence[LogNormals]) -> LogNormalDraws:
        """Mixtures at points as draws."""
        return LogNormalDraws(NORMAL.as_draws([one.normals for one in points]))

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """No limit but that of the guard."""
        return NORMAL.max_components(n_distinct, n_features)

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> LogGuard:
        """Collapse is watched for as among Gaussians."""
        logs = summary_of_logs(summary, frame)
        identity = Frame.identity(logs.n_features)
        return LogGuard(GaussianGuard(NORMAL.structure, source, identity, logs, repair))
