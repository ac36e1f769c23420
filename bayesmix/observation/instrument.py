"""How values were measured: errors, intervals that hold them, and the region of recorded values.

Records are in data units; ``Instrument`` answers the kernel's questions with all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.families import Family
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Event, Frame, Rows
from bayesmix.core.sources import Source
from bayesmix.em.model import side_of
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.numerics.arrays import AXES, Array, Booleans, Integers

if TYPE_CHECKING:
    from bayesmix.core.components import Densities
    from bayesmix.em.expectation import Form
    from bayesmix.families.gaussian.covariance.models import Structure

# Families with intervals: log-concave densities of log x, and counts with one mode.
POSITIVE = ("exponential", "gamma", "log_normal", "weibull")
COUNTS = ("negative_binomial", "poisson")
REAL, ALONE = "gaussian", ("diag", "spherical")


def refuse_measured(
    source: Source, what: str = "this analysis", remedy: str = "pass values"
) -> None:
    """Raise an error if values were measured with errors, limits or rounding."""
    if side_of(source).measurement is not None:
        raise UnsupportedError(f"{what} does not support measured data: {remedy}")


def separable(structure: Structure, n_features: int) -> bool:
    """Whether the columns of a component are independent, so that each interval stands alone."""
    return structure.algebra.kind == AXES or n_features == 1


def _names(columns: Sequence[str] | None, n_features: int) -> list[str]:
    """Return columns as messages name them."""
    return [repr(name) for name in columns or ()] or [f"column {d}" for d in range(n_features)]


def _parts(family: Any, n_features: int) -> list[tuple[list[int], Any]]:
    """Return columns and families of the parts of a product, or of a family as one part."""
    if family.name != "product":
        return [(list(range(n_features)), family)]
    return list(zip(map(list, family.layout.columns), family.families, strict=True))


@dataclass(frozen=True)
class Errors:
    """Distinct variances (G, D) or covariances (G, D, D) of errors, and their numbers (n,)."""

    distinct: Array
    numbers: Integers

    def __getitem__(self, rows: Any) -> Errors:
        return replace(self, numbers=self.numbers[rows])

    @property
    def full(self) -> bool:
        """Whether errors of a sample may be correlated."""
        return self.distinct.ndim == 3

    def framed(self, frame: Frame, samples: Any) -> Array:
        """Return the errors (D, n) or (D, D, n) of samples in a frame."""
        scale = frame.inverse_scale
        factors = np.outer(scale, scale).ravel() if self.full else scale * scale
        own = self.distinct[self.numbers[samples]].reshape(-1, len(factors))
        return np.multiply(own.T, factors[:, None], order="C").reshape(*self.distinct.shape[1:], -1)


@dataclass(frozen=True)
class Intervals:
    """Bounds (n, D) of values that are known to an interval, NaN elsewhere.

    ``rounded`` (n, D) intervals are as wide as the ``steps`` (D,) of their columns and contribute
    a density; the others contribute a probability.
    """

    lower: Array
    upper: Array
    rounded: Booleans
    steps: Array

    def __getitem__(self, rows: Any) -> Intervals:
        own = {name: getattr(self, name)[rows] for name in ("lower", "upper", "rounded")}
        return replace(self, **own)

    @property
    def approximated(self) -> Booleans:
        """Which rounded values (n, D) have a normal error instead if columns are dependent."""
        several = (~np.isnan(self.lower)).sum(axis=1) > 2
        return self.rounded & several[:, None]

    @property
    def censored(self) -> Booleans:
        """Which values (n, D) contribute a probability."""
        return ~np.isnan(self.lower) & ~self.rounded


@dataclass(frozen=True)
class Region:
    """Bounds (1, D) or (n, D) of values that could be recorded."""

    low: Array
    high: Array

    def __getitem__(self, rows: Any) -> Region:
        return self if len(self.low) == 1 else Region(self.low[rows], self.high[rows])

    @property
    def truncated(self) -> Booleans:
        """Which columns (D,) have a bound."""
        return np.any(np.isfinite(self.low) | np.isfinite(self.high), axis=0)


@dataclass(frozen=True)
class Instrument:
    """Measurement of samples with errors, and with intervals and a region if there are any."""

    errors: Errors
    intervals: Intervals | None = None
    region: Region | None = None

    def __getitem__(self, rows: Any) -> Instrument:
        intervals = None if self.intervals is None else self.intervals[rows]
        region = None if self.region is None else self.region[rows]
        return Instrument(self.errors[rows], intervals, region)

    def form(self, family: Family, variational: bool, seed: int) -> Form:
        if variational:
            raise UnsupportedError(
                "measured data need a point estimate, as the bound has no closed form: use "
                "GaussianMixture, with prior='auto' for posterior modes, or "
                "inference=MaximumLikelihood()"
            )
        if family.name != REAL:
            from bayesmix.observation.cells import Celled

            return Celled(seed)
        from bayesmix.observation.deconvolution import Deconvolution

        structure: Structure = family.structure  # type: ignore[attr-defined]  # of Gaussians
        if self.errors.full or not separable(structure, self.errors.distinct.shape[1]):
            self.refuse_several()
        return Deconvolution(seed)

    def refuse_errors_and_others(self, family: Family) -> None:
        """Raise an error unless Gaussian columns, positive ones or counts have the cells."""
        if self.errors.distinct.any():
            raise UnsupportedError(
                f"errors of measured data need a Gaussian family, got {family!r}: use "
                "GaussianMixture, or leave out error"
            )
        if self.region is not None and self.region.truncated.sum() > 1:
            raise UnsupportedError(
                f"{family!r} allows truncation of one column, got {self.region.truncated.sum()}: "
                "use GaussianMixture(covariance_type='diag')"
            )
        celled = self.celled
        for columns, part in _parts(family, len(celled)):
            apart = len(columns) == 1 or getattr(part, "covariance", "diag") in ALONE
            if celled[columns].any() and not (apart and part.name in (*POSITIVE, *COUNTS, REAL)):
                raise UnsupportedError(
                    f"limits, intervals, steps and truncation do not support {part!r}: use "
                    "Exponential(), Gamma(), LogNormal(), NegativeBinomial(), Poisson(), "
                    "Weibull(), Gaussian(covariance='diag'), or a Product of them"
                )

    @property
    def celled(self) -> Booleans:
        """Which columns (D,) have intervals, steps or truncation."""
        celled = np.zeros(self.errors.distinct.shape[1], dtype=bool)
        if self.intervals is not None:
            celled |= ~np.isnan(self.intervals.lower).all(axis=0)
        return celled if self.region is None else celled | self.region.truncated

    def check(self, family: Family, columns: Sequence[str] | None) -> None:
        """Raise an error for an interval without any value that the family allows."""
        if self.intervals is None:
            return
        for places, part in _parts(family, len(self.celled)):
            low, high = self.intervals.lower[:, places], self.intervals.upper[:, places]
            none = (high <= 0.0) & (part.name in POSITIVE)
            if part.name in COUNTS:
                none = np.floor(high) < np.maximum(np.ceil(low), 0.0)
            if none.any():
                place = row, column = tuple(np.argwhere(none)[0].tolist())
                raise InvalidInputError(
                    f"the interval from {low[place]:g} to {high[place]:g} in row {row}, "
                    f"{_names(columns, len(self.celled))[places[column]]} holds no value of "
                    f"{part!r}: correct the bounds, leave out that row, or use a Gaussian family"
                )

    def refuse_several(self) -> None:
        """Raise an error for three intervals in a sample, or a region of several columns."""
        remedy = "use covariance_type='diag' or 'spherical', without covariances of errors"
        if self.intervals is not None:
            several = np.flatnonzero(self.intervals.censored.sum(axis=1) > 2)
            if len(several):
                raise UnsupportedError(
                    "dependent columns allow two censored values in a sample, but row "
                    f"{several[0]} has {self.intervals.censored[several[0]].sum()}: {remedy}"
                )
        if self.region is not None and self.region.truncated.sum() > 1:
            raise UnsupportedError(
                "dependent columns allow truncation of one column, got "
                f"{self.region.truncated.sum()}: {remedy}"
            )

    def notes(self, family: Family, columns: Sequence[str] | None) -> tuple[Event, ...]:
        """Return events that tell how the data of a fit were measured; refuse useless columns."""
        if family.name != REAL:
            self.refuse_errors_and_others(family)
        events = []
        names = _names(columns, self.errors.distinct.shape[1])
        if self.intervals is not None:
            n, numbers = len(self.intervals.lower), self.intervals.censored.sum(axis=0)
            one_side = np.isneginf(self.intervals.lower).all(axis=0)
            one_side |= np.isposinf(self.intervals.upper).all(axis=0)
            if one_side.any():
                raise InvalidInputError(
                    f"all {n} values of {names[int(np.argmax(one_side))]} are censored on the same "
                    "side: leave out that column"
                )
            parts = [f"{numbers[d]:,} of {names[d]}" for d in np.flatnonzero(numbers)]
            if parts:
                n_events = int((~self.intervals.censored.any(axis=1)).sum())
                text = (
                    f"censored values among {n:,} samples: {', '.join(parts)}; samples without "
                    f"any (events): {n_events:,}"
                )
                events.append(Event("censored", text, n_rows=int(numbers.sum())))
            steps, rounded = self.intervals.steps, self.intervals.rounded.any(axis=0)
            parts = [f"{names[d]} in steps of {steps[d]:g}" for d in np.flatnonzero(rounded)]
            if parts:
                apart = family.name != REAL or separable(family.structure, len(names))  # type: ignore[attr-defined]
                exact = apart and not self.errors.full
                exact = exact or not self.intervals.approximated.any()
                how = "as intervals" if exact else "approximately, as errors of variance step²/12"
                events.append(Event("rounded", f"rounded values {how}: {', '.join(parts)}"))
        if self.region is not None:
            text = (
                "samples beyond the bounds of truncated were not recorded: weights in this table "
                "are those before truncation, n is of recorded samples"
            )
            events.append(Event("truncated", text))
        return tuple(events)

    def undetermined(self, mixture: Mixture[Densities], source: Source) -> tuple[Event, ...]:
        """Return events for components whose values in a column are all censored with open ends."""
        if self.intervals is None:
            return ()
        rows = source.in_memory().rows
        shares, _ = mixture.responsibilities(rows)
        weighted = shares * rows.weights_or_ones[:, None]
        bounded = ~(np.isinf(self.intervals.lower) | np.isinf(self.intervals.upper))
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

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        if isinstance(mixture.components, Gaussians):
            from bayesmix.observation.deconvolution import log_joint
        else:
            from bayesmix.observation.cells import log_joint
        return log_joint(mixture, rows)

    def spans(self, rows: Rows) -> tuple[Array, Array]:
        """Return values, those in intervals at their bound or middle, and error bars of them."""
        values, own = np.array(rows.values, dtype=np.float64), self.errors.distinct
        variances = np.diagonal(own, axis1=1, axis2=2) if self.errors.full else own
        bars = values + np.multiply.outer([-1.0, 1.0], np.sqrt(variances[self.errors.numbers]))
        if self.intervals is not None:
            low, high = self.intervals.lower, self.intervals.upper
            inside = ~np.isnan(low)
            first, last = (np.where(np.isinf(a), b, a) for a, b in ((low, high), (high, low)))
            values[inside] = (0.5 * (first + last))[inside]
            bars = np.where(inside, [low, high], bars)
        return values, bars

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return the log volumes of the columns with a density."""
        seen = ~np.isnan(np.asarray(rows.values))
        if self.intervals is not None:
            seen &= ~self.intervals.censored
        return seen @ np.log(mixture.frame.scale)
