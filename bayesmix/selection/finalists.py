"""Candidates of large data: all are compared on a random sample, and the best are fitted to all.

From the best of the sample, K grows while the criterion on all data improves, since more data
support more components. A richer structure, for which the sample was too small, is fitted too if
its predicted value on all data is better. A larger K is not fitted if its predicted value is three
standard errors behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import ON_SAMPLE
from bayesmix.selection.scores import Score
from bayesmix.selection.sweep import FAR_BEHIND
from bayesmix.selection.tasks import ALL_DATA, Question, Task

STANDARD_ERRORS = 3.0  # beyond which a difference is hardly chance, also among several candidates


@dataclass
class Finalists:
    """Fits to all data, by the index of the candidate.

    ``rows`` are the fits to the sample by the task ``compared``, ``column`` is the criterion that
    compares them.
    """

    task: Task
    compared: Task
    rows: Sequence[Candidate]
    column: str
    fits: dict[int, Candidate] = field(default_factory=dict)

    def fit_all(self) -> Iterator[Candidate]:
        """Yield all fits, the best of the sample first; may be stopped at any time."""
        leading = self._leading()
        first = max(leading, key=self._on_sample)
        yield self._fit(first)
        other = max(leading, key=self._predicted)
        if other != first:
            yield self._fit(other)
        best = max(first, other, key=self._on_all)
        while (more := self._beside(best, 1)) is not None and self._may_win(more, best):
            yield self._fit(more)
            if not self._on_all(more) > self._on_all(best):
                break
            best = more
        fewer = self._beside(best, -1)
        if fewer is not None and self._on_sample(fewer) > self._on_sample(best) - FAR_BEHIND:
            yield self._fit(fewer)

    def candidates(self) -> list[Candidate]:
        """Return all candidates, those of the sample alone without fit and other scores."""
        rows = []
        for i, row in enumerate(self.rows):
            fit = self.fits.get(i, row)
            score = {ON_SAMPLE: Score(row.value(self.column))}
            if fit is not row:
                fit = replace(fit, scores=fit.scores | score)
            elif row.sound is not None:
                text = f"compared on {row.sound.total_weight:,.10g} observations alone"
                fit = replace(row, scores=score, estimator=None, begin=None, note=text)
            rows.append(fit)
        return rows

    def _leading(self) -> list[int]:
        """Return the best candidate of each structure."""
        best: dict[str, int] = {}
        for i, row in enumerate(self.rows):
            if math.isfinite(row.value(self.column)):
                best[row.structure] = max(best.get(row.structure, i), i, key=self._on_sample)
        return list(best.values())

    def _on_sample(self, i: int) -> float:
        return self.rows[i].comparable(self.column)

    def _on_all(self, i: int) -> float:
        return self.fits[i].comparable(self.column)

    def _predicted(self, i: int) -> float:
        """Return -BIC/2 on all data; the fit to the sample gains p/2 by chance (Akaike 1973)."""
        result = self.rows[i].result
        assert result is not None  # it has a value
        n, p = self.task.fitter.source.total_weight, result.n_parameters
        expected = n / result.total_weight * (result.log_likelihood - 0.5 * p)
        return expected - 0.5 * p * math.log(n)

    def _may_win(self, i: int, best: int) -> bool:
        """Whether a candidate is predicted less than three standard errors behind the best one."""
        ours, theirs = (
            np.asarray(self.compared.fitter.log_density(self.rows[j].estimator))  # type: ignore[arg-type]
            for j in (i, best)
        )
        difference = ours - theirs
        scale = self.task.fitter.source.total_weight / len(difference)
        error = scale * math.sqrt(len(difference)) * float(difference.std())
        behind = self._predicted(best) - self._predicted(i)
        return not behind > STANDARD_ERRORS * error

    def _beside(self, i: int, step: int) -> int | None:
        """Return the candidate with the next larger or smaller K of the same structure."""
        row, distance = self.rows[i], dict[int, int]()
        for j, other in enumerate(self.rows):
            further = (other.asked - row.asked) * step
            valued = other.structure == row.structure and math.isfinite(other.value(self.column))
            if further > 0 and valued:
                distance[j] = further
        return min(distance, key=distance.__getitem__, default=None)

    def _fit(self, i: int) -> Candidate:
        """Fit a candidate to all data, from its fit to the sample."""
        row = self.rows[i]
        warm_starts = () if row.begin is None else (row.begin,)
        fit = self.task.fit_or_load(Question(row.parameters, i, ALL_DATA, warm_starts))
        self.task.repeat_warnings(fit)
        if not fit.interrupted or fit.estimator is not None:
            self.fits[i] = fit
        if fit.interrupted:
            raise KeyboardInterrupt
        return fit
