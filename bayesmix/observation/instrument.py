"""How values were measured: errors, intervals that hold them, and bounds of recorded values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from bayesmix.core.families import Family
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Event, Frame, Rows, SideInformation
from bayesmix.core.sources import Source
from bayesmix.em.model import side_of
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers

if TYPE_CHECKING:
    from bayesmix.core.components import Densities
    from bayesmix.em.expectation import Form
    from bayesmix.families.gaussian.covariance.models import Structure

REAL, ALONE = "gaussian", {"diag", "spherical"}


def refuse_measured(
    source: Source, what: str = "this analysis", remedy: str = "pass values"
) -> None:
    """Raise an error if values were measured with errors, limits or rounding."""
    if side_of(source).measurement is not None:
        raise UnsupportedError(f"{what} does not support measured data: {remedy}")


def instrument_of(rows: Rows) -> Instrument:
    """Return the measurement of samples."""
    return cast("Instrument", rows.side.measurement)


def separable(structure: Structure, n_features: int) -> bool:
    """Whether the columns of a component are independent, so that each interval stands alone."""
    return not structure.blocks.dense or n_features == 1


def _names(columns: Sequence[str] | None, n_features: int) -> list[str]:
    """Return columns as messages name them."""
    return [repr(name) for name in columns or ()] or [f"column {d}" for d in range(n_features)]


class Hidden(NamedTuple):
    """Values that are known to an interval, in a frame: places, bounds and log steps (m,)."""

    columns: Indices
    samples: Indices
    lower: Array
    upper: Array
    log_steps: Array  # 0 where the interval contributes a probability


@dataclass(frozen=True)
class Instrument:
    """Measurement of samples, in data units.

    ``errors`` are the distinct variances (G, D) or covariances (G, D, D), ``groups`` (n,) the
    numbers of those of samples. Values lie between ``lower`` and ``upper`` (n, D), NaN where they
    are exact or missing. Intervals of rounded values are as wide as ``steps`` (n, D) and contribute
    a density, others (0) a probability. Values beyond ``least`` and ``most``, (1, D) or (n, D),
    were not recorded.
    """

    errors: Array
    groups: Integers
    lower: Array
    upper: Array
    steps: Array
    least: Array
    most: Array

    has_posterior = False

    def __getitem__(self, rows: Any) -> Instrument:
        parts = (self.groups, self.lower, self.upper, self.steps)
        bounds = (b if len(b) == 1 else b[rows] for b in (self.least, self.most))
        return Instrument(self.errors, *(part[rows] for part in parts), *bounds)

    @property
    def full(self) -> bool:
        """Whether errors of a sample may be correlated."""
        return self.errors.ndim == 3

    @property
    def hidden(self) -> Booleans:
        """Which values (n, D) are known to an interval."""
        return ~np.isnan(self.lower)

    @property
    def censored(self) -> Booleans:
        """Which values (n, D) contribute the probability of an interval."""
        return self.hidden & ~(self.steps > 0.0)

    @property
    def truncated(self) -> Booleans:
        """Which columns (D,) have bounds of recorded values."""
        return np.any(np.isfinite(self.least) | np.isfinite(self.most), axis=0)

    @property
    def middle(self) -> Array:
        """Middles (n, D) of intervals, NaN elsewhere; the bound of intervals with an open end."""
        low, high = self.lower, self.upper
        return 0.5 * (np.where(np.isinf(low), high, low) + np.where(np.isinf(high), low, high))

    def apart(self, structure: Structure) -> bool:
        """Whether columns are independent given the component, after errors."""
        return not self.full and separable(structure, self.errors.shape[1])

    def cells(self, apart: bool) -> Booleans:
        """Return which values (n, D) are treated as intervals.

        Where columns depend on each other and more than two values of a sample are known to one,
        the rounded ones are values with an error instead.
        """
        hidden = self.hidden
        if apart or not hidden.any():
            return hidden
        return hidden & (self.censored | (hidden.sum(axis=1) <= 2)[:, None])

    def approximate(self, apart: bool) -> Booleans:
        """Return which values (n, D) are rounded and treated as values with an error."""
        return self.hidden & ~self.cells(apart)

    def regions(self) -> tuple[Rows, Rows] | None:
        """Return samples known to be recorded only, and one that may have any value.

        The first is one sample if that is equal for all. The result is None without truncation.
        """
        if not self.truncated.any():
            return None
        alike = len(self.least) == 1 and (self.groups == self.groups[:1]).all()
        open_ends = np.full((2, 1, len(self.truncated)), [[[-np.inf]], [[np.inf]]])

        def within(part: Instrument, least: Array, most: Array) -> Rows:
            none = np.zeros(part.steps.shape)
            low, high = (np.where(self.truncated, bound, np.nan) + none for bound in (least, most))
            only = Instrument(self.errors, part.groups, low, high, none, *open_ends)
            return Rows(none + np.nan, side=SideInformation(measurement=only))

        recorded = within(self[: 1 if alike else None], self.least, self.most)
        return recorded, within(self[:1], *open_ends)

    def framed(self, frame: Frame) -> Array:
        """Return the errors (D, n) or (D, D, n) in a frame."""
        scale = frame.inverse_scale
        factors = np.outer(scale, scale) if self.full else scale * scale
        return np.multiply(self.errors[self.groups].T, factors[..., None], order="C")

    def hidden_in(self, frame: Frame, hidden: Booleans) -> Hidden:
        """Return the hidden values (n, D) in a frame."""
        columns, samples = np.nonzero(np.ascontiguousarray(hidden.T))  # many times as fast
        scale, steps = frame.inverse_scale[columns], self.steps[samples, columns]
        bounds = np.array([self.lower, self.upper])[:, samples, columns]
        lower, upper = (bounds - frame.centre[columns]) * scale
        log_steps = np.log(np.where(steps > 0.0, steps * scale, 1.0))
        return Hidden(columns, samples, lower, upper, log_steps)

    def form(self, family: Family, variational: bool, seed: int) -> Form:
        if variational:
            raise UnsupportedError(
                "measured data need a point estimate, as the bound has no closed form: use "
                "GaussianMixture, with prior='auto' for posterior modes, or "
                "inference=MaximumLikelihood()"
            )
        from bayesmix.observation.true_values import Measuring

        return Measuring(seed)

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        from bayesmix.observation.true_values import views_of

        joint = np.empty((len(rows), mixture.n_components))
        for indices, view in views_of(mixture, rows):
            joint[indices] = view.joint
        return joint

    def moments(self, mixture: Mixture[Any], rows: Rows, shares: Array) -> tuple[Array, Array]:
        from bayesmix.observation.true_values import moments

        return moments(mixture, rows, shares)

    def drawn(self, mixture: Mixture[Any], rows: Rows, generator: np.random.Generator) -> Array:
        from bayesmix.observation.true_values import drawn

        return drawn(mixture, rows, generator)

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return the log volumes of the columns with a density."""
        seen = ~np.isnan(np.asarray(rows.values)) & ~self.censored
        return seen @ np.log(mixture.frame.scale)

    def spans(self, rows: Rows) -> tuple[Array, Array]:
        """Return values, those in intervals at their bound or middle, and error bars of them."""
        values = np.array(rows.values, dtype=np.float64)
        variances = np.diagonal(self.errors, axis1=1, axis2=2) if self.full else self.errors
        bars = values + np.multiply.outer([-1.0, 1.0], np.sqrt(variances[self.groups]))
        bars = np.where(self.hidden, [self.lower, self.upper], bars)
        return np.where(self.hidden, self.middle, values), bars

    def least_errors(self, rows: Rows) -> Array:
        """Return the smallest variances (D,) of errors of values, of exact ones if there are any.

        They are 0 for columns with a value without error.
        """
        of_groups = np.linalg.eigvalsh(self.errors)[:, :1] if self.full else self.errors
        seen = ~np.isnan(np.asarray(rows.values))
        exact = seen & ~self.hidden
        counted = np.where(exact.any(axis=0), exact, seen)
        least = np.where(counted, of_groups[self.groups], np.inf).min(axis=0)
        return np.where(counted.any(axis=0), np.maximum(least, 0.0), 0.0)

    def check(self, family: Family, columns: Sequence[str] | None) -> None:
        """Raise an error for an interval without any value that the family allows."""
        n_features = self.lower.shape[1]
        for places, part in family.families_of_columns(n_features):
            low, high = self.lower[:, places], self.upper[:, places]
            none = (high <= 0.0) & (part.takes_intervals and part.least >= 0.0)
            if part.takes_intervals and not part.continuous:
                none = np.floor(high) < np.maximum(np.ceil(low), 0.0)
                if self.steps[:, places].any():
                    raise InvalidInputError(
                        f"{part!r} has whole numbers without steps: pass step=0 for its columns, "
                        "or lower and upper for rounded counts"
                    )
            if none.any():
                place = row, column = tuple(np.argwhere(none)[0].tolist())
                raise InvalidInputError(
                    f"the interval from {low[place]:g} to {high[place]:g} in row {row}, "
                    f"{_names(columns, n_features)[places[column]]} holds no value of "
                    f"{part!r}: correct the bounds, leave out that row, or use a Gaussian family"
                )

    def _refuse(self, family: Family, apart: bool) -> None:
        """Raise an error for a measurement that the family does not support."""
        normal, celled = family.name == REAL, self.truncated | self.hidden.any(axis=0)
        if self.errors.any() and not normal:
            raise UnsupportedError(
                f"errors of measured data need a Gaussian family, got {family!r}: use "
                "GaussianMixture, or leave out error"
            )
        for columns, part in [] if normal else family.families_of_columns(len(celled)):
            structures = (own for own, _ in part.structures(len(columns)))
            alone = len(columns) == 1 or ALONE.issuperset(structures)
            if celled[columns].any() and not (alone and part.takes_intervals):
                raise UnsupportedError(
                    f"limits, intervals, steps and truncation do not support {part!r}: use "
                    "Exponential(), Gamma(), LogNormal(), NegativeBinomial(), Poisson(), "
                    "Weibull(), Gaussian(covariance='diag'), or a Product of them"
                )
        numbers, n_truncated = self.censored.sum(axis=1), self.truncated.sum()
        remedy = "use GaussianMixture(covariance_type='diag'), without covariances of errors"
        if not apart and numbers.max() > 2:
            raise UnsupportedError(
                "dependent columns allow two censored values in a sample, but row "
                f"{np.argmax(numbers > 2)} has {numbers[numbers > 2][0]}: {remedy}"
            )
        if n_truncated > 1 and not (normal and apart):
            what = "dependent columns allow" if normal else f"{family!r} allows"
            raise UnsupportedError(f"{what} truncation of one column, got {n_truncated}: {remedy}")

    def notes(self, family: Family, columns: Sequence[str] | None) -> tuple[Event, ...]:
        """Return events that tell how the data of a fit were measured; refuse useless columns."""
        apart = family.name != REAL or self.apart(cast("Any", family).structure)
        self._refuse(family, apart)
        (n, n_features), censored, events = self.lower.shape, self.censored, []
        names, numbers = _names(columns, n_features), censored.sum(axis=0)
        one_side = np.isneginf(self.lower).all(axis=0) | np.isposinf(self.upper).all(axis=0)
        if one_side.any():
            raise InvalidInputError(
                f"all {n} values of {names[int(np.argmax(one_side))]} are censored on the same "
                "side: leave out that column"
            )
        if numbers.any():
            parts = [f"{numbers[d]:,} of {names[d]}" for d in np.flatnonzero(numbers)]
            text = (
                f"censored values among {n:,} samples: {', '.join(parts)}; samples without "
                f"any (events): {np.count_nonzero(~censored.any(axis=1)):,}"
            )
            events.append(Event("censored", text, n_rows=int(numbers.sum())))
        steps = self.steps.max(axis=0)
        if steps.any():
            parts = [f"{names[d]} in steps of {steps[d]:g}" for d in np.flatnonzero(steps)]
            exact = (self.cells(apart) == self.hidden).all()
            how = "as intervals" if exact else "approximately, as errors of variance step²/12"
            events.append(Event("rounded", f"rounded values {how}: {', '.join(parts)}"))
        if self.truncated.any():
            text = (
                "samples beyond the bounds of truncated were not recorded: weights in this table "
                "are those before truncation, n is of recorded samples"
            )
            events.append(Event("truncated", text))
        return tuple(events)

    def undetermined(self, mixture: Mixture[Densities], source: Source) -> tuple[Event, ...]:
        """Return events for components whose values in a column are all censored with open ends."""
        open_ends = np.isinf(self.lower) | np.isinf(self.upper)
        if not open_ends.any():
            return ()
        rows = source.in_memory().rows
        shares, _ = mixture.responsibilities(rows)
        weighted = shares * rows.weights_or_ones[:, None]
        bounded = ~(open_ends | np.isnan(np.asarray(rows.values)))
        none = (bounded.T @ weighted < 0.5) & (weighted.sum(axis=0) >= 0.5)
        events = []
        for d, k in np.argwhere(none).tolist():
            name, row = _names(source.columns, len(none))[d], int(shares[:, k].argmax())
            text = (
                f"{{which}} holds only censored values of {name}, such as that of "
                f"{source.row_text(row)}, which do not determine its parameters: use fewer "
                "components, or a prior"
            )
            events.append(Event("undetermined", text, components=(k,)))
        return tuple(events)
