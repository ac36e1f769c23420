"""Chains that take a step each in turn, so that an interrupt leaves all with as many draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bayesmix.errors import DegenerateFitError, InvalidInputError
from bayesmix.protocols import Posterior
from bayesmix.random import Purpose, stream
from bayesmix.records import Mixture
from bayesmix.workflow.progress import FitProgress

# Stream of parameters and of assignments; what else draws from posteriors has other numbers.
OF_PARAMETERS, OF_ASSIGNMENTS = 4, 5

# Where a chain is, its generator, the key of its assignments -> what is kept, where it is then.
State: TypeAlias = "Mixture[Posterior]"
Step: TypeAlias = Callable[[State, np.random.Generator, tuple[int, ...]], tuple[Any, State]]


@dataclass(frozen=True)
class Plan:
    """How many chains, sweeps left out and draws kept; and the seed of them all."""

    n_chains: int
    n_warm: int
    n_draws: int
    seed: int

    def generators(self) -> list[np.random.Generator]:
        """One of parameters for every chain."""
        return [
            stream(self.seed, Purpose.DRAW, OF_PARAMETERS, chain) for chain in range(self.n_chains)
        ]


def run_in_rounds(
    step: Step,
    states: Sequence[State],
    generators: Sequence[np.random.Generator],
    plan: Plan,
    bar: FitProgress,
) -> tuple[list[list[Any]], str]:
    """What every chain kept, draw by draw, and whether the run was "finished" or "interrupted"."""
    rounds: list[list[Any]] = []
    try:
        for sweep in range(plan.n_warm + plan.n_draws):
            kept, following = [], []
            for chain, (state, generator) in enumerate(zip(states, generators, strict=True)):
                key = (plan.seed, OF_ASSIGNMENTS, chain, sweep)
                one, state = _sampled(step, state, generator, key)
                kept.append(one)
                following.append(state)
            states = following
            if sweep >= plan.n_warm:
                rounds.append(kept)
            bar.advance("")
    except KeyboardInterrupt:
        if not rounds:
            raise
        return _by_chain(rounds), "interrupted"
    return _by_chain(rounds), "finished"


def _by_chain(rounds: list[list[Any]]) -> list[list[Any]]:
    return [list(chain) for chain in zip(*rounds, strict=True)]


def _sampled(
    step: Step, state: Mixture[Posterior], generator: np.random.Generator, key: tuple[int, ...]
) -> tuple[Any, Mixture[Posterior]]:
    try:
        return step(state, generator, key)
    except DegenerateFitError as problem:
        raise InvalidInputError(
            f"the posterior of model cannot be sampled where X has so many tied rows: {problem}"
        ) from problem
