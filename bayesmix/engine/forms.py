"""The form of a run's E-steps: arithmetic, who executes it, which components a row knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bayesmix.engine.compiled_steps import Kernel, KernelStep, kernel_view
from bayesmix.engine.expectation import (
    Arithmetic,
    Densities,
    ExpectationStep,
    LocalRows,
    Step,
    each_by_itself,
)
from bayesmix.numerics.logsumexp import IMPOSSIBLE
from bayesmix.protocols import Components, Kept, Source, Statistics
from bayesmix.records import Expectation, Mixture, Rows

# Shares of Σ w (1 + |l|) that the linear form may lose by its bound. Where the centred form costs
# little more, no more than the objective may fall; of large problems what rounding in fact leaves.
MOST_LOSS = 1e-12
MOST_LOSS_OF_LARGE = 1e-11


class Form(Protocol):
    """How the E-steps of a run are made."""

    @property
    def name(self) -> str:
        """As ``result_.form`` has it."""

    @property
    def exact(self) -> bool:
        """Whether every row knows every component; otherwise passes are on a lower bound."""

    @property
    def watched(self) -> bool:
        """Whether it may lose digits, so that a pass has to show that it did not."""

    @property
    def surer(self) -> Form:
        """The form to go on in where this one lost digits."""

    @property
    def regrouped(self) -> Form:
        """The same for other components, of which nothing is known by their numbers."""

    @property
    def kernel(self) -> Kernel | None:
        """The compiled pass over rows that know some components; None where NumPy makes it."""

    @property
    def earlier(self) -> Kept | None:
        """What a pass asks of an earlier one, of every row."""

    def step(self, mixture: Mixture[Components]) -> Step:
        """What a pass does to a chunk; picklable, so that any source can run it."""

    def width(self, n_components: int) -> int:
        """How many components a row meets in a pass: what it costs."""

    def keeps_digits(self, mixture: Mixture[Components], expectation: Expectation) -> bool:
        """Whether a pass kept its digits: a proof, not an estimate."""

    def renewed(self, source: Source, mixture: Mixture[Components], passes: int) -> Form:
        """The form of the next pass, so many passes into a segment."""

    def joints(self, mixture: Mixture[Components], rows: Rows) -> Densities:
        """Log joints (n, K) of rows as stored, by NumPy."""

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        """One E-step of every part by itself: its statistics and its log normaliser."""

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        """The rows on which moves are looked for: none has gaps."""


@dataclass(frozen=True)
class Untruncated:
    """Every row knows every component."""

    arithmetic: Arithmetic
    kernel: Kernel | None = None  # that computes the same
    instead: Untruncated | None = None  # where digits are lost

    exact = True
    earlier = None

    @property
    def name(self) -> str:
        return self.arithmetic.name

    @property
    def watched(self) -> bool:
        return self.arithmetic.watched

    @property
    def surer(self) -> Untruncated:
        return self.instead or self

    @property
    def regrouped(self) -> Untruncated:
        return self

    def step(self, mixture: Mixture[Components]) -> Step:
        if self.kernel is None:
            return ExpectationStep(mixture, self.arithmetic)
        return KernelStep(kernel_view(mixture), self.kernel)

    def width(self, n_components: int) -> int:
        return n_components

    def keeps_digits(self, mixture: Mixture[Components], expectation: Expectation) -> bool:
        if not self.watched:
            return True
        share = MOST_LOSS if self.kernel is None else MOST_LOSS_OF_LARGE
        most = share * expectation.magnitude
        loss: float = mixture.linear.loss(expectation.statistics, most)
        return expectation.log_normaliser > IMPOSSIBLE and loss <= most

    def renewed(self, source: Source, mixture: Mixture[Components], passes: int) -> Untruncated:
        return self

    def joints(self, mixture: Mixture[Components], rows: Rows) -> Densities:
        return self.arithmetic.joints(mixture, rows)

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        if self.kernel is None:
            return self.arithmetic.of_parts(mixture, parts)
        return each_by_itself(self.step, mixture, parts)

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        return rows
