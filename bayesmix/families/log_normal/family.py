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
from bayesmix.families.independent.columns import refuse_constant, refuse_not_positive
from bayesmix.families.log_normal.components import LogNormalDraws, LogNormals
from bayesmix.families.log_normal.guard import LogGuard
from bayesmix.families.log_normal.logs import (
    SMALLEST,
    frame_over,
    summary_of_logs,
)
from bayesmix.numerics.arrays import Array, Integers, Stored
from bayesmix.protocols import Components, Source
from bayesmix.records import Event, Frame, Summary

if TYPE_CHECKING:
    from bayesmix.families.log_normal.prior import LogNormalGamma

NORMAL = Gaussian("diag")


@dataclass(frozen=True)
class LogNormal:
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
    continuous = True
    any_real = False
    drawn_columns = 1
    least = SMALLEST
    linear = True
    far_densities = False
    centred_kernel = False
    linear_kernel = False
    rearranged = True
    coding = None
    heavy_tails = False
    keeps_zeros = False
    takes_gaps = True

    def made(self, components: Components) -> bool:
        return True

    def marginal(self, columns: Integers) -> LogNormal:
        """Itself: it is the same over any columns."""
        return self

    def linear_is_faster(self, n_features: int) -> bool:
        return True

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise where a value is not positive: zero has no logarithm."""
        refuse_not_positive(values, first, "a log-normal")

    def frame(self, summary: Summary) -> Frame:
        """Powers of two near the medians."""
        return frame_over(summary)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Nothing; constant columns are refused."""
        refuse_constant(source, "a log-normal")
        return frame, ()

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

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Two a column."""
        return 2 * n_components * n_features

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """No limit but that of the guard."""
        return NORMAL.max_components(n_distinct, n_features)

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> LogGuard:
        """Collapse is watched for as among Gaussians."""
        logs = summary_of_logs(summary, frame)
        identity = Frame.identity(logs.n_features)
        return LogGuard(GaussianGuard(NORMAL.structure, source, identity, logs, repair))
