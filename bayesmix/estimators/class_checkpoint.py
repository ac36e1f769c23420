"""Checkpoints of class enumeration: finished fits and tests in a folder, without code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayesmix.assess.enumeration import ClassFit, FitTask, PairTask
from bayesmix.core.writing import write


def opened(path: Any, X: Any, sample_weight: Any, seed: int, seeded: bool, **settings: Any) -> Any:
    """Return the folder of an earlier attempt at the same enumeration, and its seed."""
    from bayesmix.io.checkpoints import open_checkpoint, search_identity

    identity = search_identity(settings, X, sample_weight, None)
    checkpoint, seed = open_checkpoint(path, identity, seed, seeded, "enumeration")
    return checkpoint.folder, seed


@dataclass(frozen=True, eq=False)
class StoredFits:
    """Fit as the task does, or read what an earlier attempt stored."""

    task: FitTask
    folder: Path

    def __call__(self, number: int) -> ClassFit:
        from bayesmix.io import load

        name, K = self.task.questions[number]
        record, model = (self.folder / f"fit-{number}.{end}" for end in ("json", "bayesmix"))
        if record.exists():
            row, n, note, fitted = json.loads(record.read_text("utf-8"))
            return ClassFit(name, K, load(model) if fitted else None, row, n, note)
        one = self.task(number)
        if one.estimator is not None:
            one.estimator.save(model)
        fields = [dict(one.row), one.n_samples, one.note, one.estimator is not None]
        write(record, json.dumps(fields, default=_plain).encode())
        return one


@dataclass(frozen=True, eq=False)
class StoredTests:
    """Test as the task does, or read what an earlier attempt stored."""

    task: PairTask
    folder: Path

    def __call__(self, number: int) -> tuple[Any, int, dict[str, float], str]:
        larger = self.task.pairs[number][1]
        record = self.folder / f"test-{larger.model}-{larger.n_classes}.json"
        if record.exists():
            values, note = json.loads(record.read_text("utf-8"))
            return larger.model, larger.n_classes, values, note
        answer = self.task(number)
        write(record, json.dumps(answer[2:], default=_plain).encode())
        return answer


def _plain(value: Any) -> Any:
    return value.item()
