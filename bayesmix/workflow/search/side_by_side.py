"""EM of many mixtures at once over the same rows, extrapolated: passes that they share.

A mixture is known by the sums that its parameters are made of. Sums are extrapolated by Anderson's
rule (Walker & Ni 2011), mixture by mixture; where a log likelihood falls by that the plain sums are
gone on from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.families.gaussian.together.many_mixtures import Bundle, SharedRows
from bayesmix.numerics.arrays import Array, Booleans, Integers

# How many differences are remembered, after how many plain passes they are used.
REMEMBERED, PLAIN = 3, 2
# What is solved stays regular by this share of its trace.
RIDGE = 1e-10
# A mixture has come to rest after so many gains in a row below this many nats a row.
RESTED, LITTLE = 3, 1e-7


@dataclass(frozen=True)
class Ends:
    """Where runs ended: log likelihoods (C,), -inf where one collapsed, and sums (M, F)."""

    values: Array
    sums: Array


def run(rows: SharedRows, bundle: Bundle, sums: Array, passes: int) -> Ends:
    """At most so many passes of every mixture."""
    ended = Ends(np.full(len(bundle.sizes), -np.inf), sums.copy())
    left = np.arange(len(bundle.sizes))
    now = _Pass(bundle, sums)
    for _ in range(passes):
        coefficients, sound, kept = rows.maximised(now.bundle, now.sums, now.kept)
        values, after = rows.expected(now.bundle, coefficients)
        values = np.where(sound & np.isfinite(values), values, -np.inf)
        done = now.judged(values, after, kept, LITTLE * rows.total)
        if done.any():
            lines = now.bundle.division.spread(done)
            ended.values[left[done]] = now.values[done]
            ended.sums[_lines(bundle, left[done])] = now.plain[lines]
            left = left[~done]
            if not len(left):
                return ended
            now.without(done)
        now.go_on()
    ended.values[left] = now.values
    ended.sums[_lines(bundle, left)] = now.plain
    return ended


def _lines(bundle: Bundle, mixtures: Integers) -> Booleans:
    """Which components are of some mixtures."""
    chosen = np.zeros(len(bundle.sizes), dtype=np.bool_)
    chosen[mixtures] = True
    return bundle.division.spread(chosen)


class _Pass:
    """Where the mixtures that are left stand.

    ``sums`` are those that parameters are made of next, ``plain`` those to go on from where these
    were extrapolated in vain; of ``taken`` passes in a row differences are remembered.
    """

    def __init__(self, bundle: Bundle, sums: Array) -> None:
        n_mixtures = len(bundle.sizes)
        self.bundle = bundle
        self.sums = self.plain = sums
        self.kept: dict[str, Array] = {}
        self.values = np.full(n_mixtures, -np.inf)
        self.jumped = np.zeros(n_mixtures, dtype=np.bool_)
        self.rested = np.zeros(n_mixtures, dtype=np.int64)
        self.taken = np.zeros(n_mixtures, dtype=np.int64)
        self.residual = np.zeros_like(sums)
        self.of_sums = np.zeros((REMEMBERED, *sums.shape))
        self.of_residuals = np.zeros((REMEMBERED, *sums.shape))
        self.place = 0

    def judged(
        self, values: Array, after: Array, kept: dict[str, Array], little: float
    ) -> Booleans:
        """Take what a pass found; which mixtures are done with."""
        spread = self.bundle.division.spread
        back = self.jumped & ~(values >= self.values)
        gained = np.where(values > self.values + little, True, back)
        self.rested = np.where(gained, 0, self.rested + 1)
        self.values = np.where(back, self.values, values)
        again = spread(back)[:, None]
        fresh = spread((self.taken > 0) & ~back)[:, None]
        residual = after - self.sums
        self.of_sums[self.place] = np.where(fresh, after - self.plain, 0.0)
        self.of_residuals[self.place] = np.where(fresh, residual - self.residual, 0.0)
        self.place = (self.place + 1) % REMEMBERED
        if back.any():
            self.of_sums[:, again[:, 0]] = self.of_residuals[:, again[:, 0]] = 0.0
        self.plain = np.where(again, self.plain, after)
        self.residual = residual
        self.taken = np.where(back, 0, self.taken + 1)
        for name, mixtures, _, _ in self.bundle.alike:
            if name in self.kept and (own := back[mixtures]).any():
                kept[name][own] = self.kept[name][own]
        self.kept = kept
        done: Booleans = ~np.isfinite(self.values) | (self.rested >= RESTED)
        return done

    def without(self, done: Booleans) -> None:
        """Leave out what is done with."""
        lines = ~self.bundle.division.spread(done)
        for name, mixtures, _, _ in self.bundle.alike:
            if name in self.kept:
                self.kept[name] = self.kept[name][~done[mixtures]]
        self.bundle = self.bundle.subset(~done)
        self.values, self.rested, self.taken = (
            each[~done] for each in (self.values, self.rested, self.taken)
        )
        self.plain, self.residual = self.plain[lines], self.residual[lines]
        self.of_sums, self.of_residuals = self.of_sums[:, lines], self.of_residuals[:, lines]

    def go_on(self) -> None:
        """Extrapolate where there is something to go by."""
        total, spread = self.bundle.division.total, self.bundle.division.spread
        wanted = self.taken > PLAIN
        self.sums, self.jumped = self.plain, np.zeros(len(wanted), dtype=np.bool_)
        if not wanted.any():
            return
        lines = np.concatenate([self.of_residuals, self.residual[None]])
        products = total(np.einsum("imf,jmf->mij", lines, lines))
        gram, right = products[:, :REMEMBERED, :REMEMBERED], products[:, :REMEMBERED, REMEMBERED]
        ridge = RIDGE * np.trace(gram, axis1=1, axis2=2) + np.finfo(float).tiny
        gram = gram + ridge[:, None, None] * np.eye(REMEMBERED)
        shares = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
        wanted &= np.isfinite(shares).all(axis=1)
        moved = self.plain - np.einsum("mi,imf->mf", spread(shares), self.of_sums)
        self.jumped = wanted & (total((moved[:, 0] <= 0.0).astype(np.int64)) == 0)
        self.sums = np.where(spread(self.jumped)[:, None], moved, self.plain)
