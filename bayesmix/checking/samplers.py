"""The two programs that run NUTS on a PyMC model: nutpie, and PyMC itself."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans
from bayesmix.protocols import PymcModel

# What chain or stream number -> values of the variables of the model
Beginning: TypeAlias = Callable[[int], dict[str, Array]]


@dataclass(frozen=True)
class Job:
    """A model, which of its quantities are kept, where chains begin, and how much of it.

    ``begin`` takes any whole number and returns a beginning that belongs to it.
    """

    model: PymcModel
    names: tuple[str, ...]
    begin: Beginning
    n_chains: int
    n_warm: int
    n_draws: int
    seed: int
    cores: int
    shown: bool


@dataclass(frozen=True)
class NutsRun:
    """Values (C, S, ...) by name, divergences (C, S), and how long it took."""

    values: dict[str, Array]
    diverging: Booleans
    compile_seconds: float
    seconds: float


def by_nutpie(job: Job) -> NutsRun:
    """Sampled by nutpie; interrupted, the draws so far."""
    import nutpie

    began = time.perf_counter()
    with _quietly():
        compiled = nutpie.compile_pymc_model(job.model, var_names=job.names)
        unconstrained = _unconstrained(job.model)

        def beginning(seed: Any) -> Array:
            # Chains ask in any order, each with a seed of its own.
            number = int.from_bytes(np.asarray(seed).tobytes(), "little")
            return unconstrained(job.begin(number))

        compiled = replace(compiled, initial_point_func=beginning)
    compiled_at = time.perf_counter()
    with _quietly():
        sampler = nutpie.sample(
            compiled,
            draws=job.n_draws,
            tune=job.n_warm,
            chains=job.n_chains,
            cores=job.cores,
            seed=job.seed,
            save_warmup=False,
            progress_bar=job.shown,
            blocking=False,
        )
        try:
            trace = sampler.wait()
        except KeyboardInterrupt:
            trace = sampler.abort()
        except BaseException:
            sampler.cancel()
            raise
    posterior, statistics = trace["posterior"], trace["sample_stats"]
    values = [np.asarray(posterior[name].values) for name in job.names]
    chains, diverging = [], []
    for *each, divergent in zip(*values, statistics["diverging"].values, strict=True):
        length = _length(each)
        chains.append({name: one[:length] for name, one in zip(job.names, each, strict=True)})
        diverging.append(divergent[:length])
    return arranged(chains, diverging, compiled_at - began, time.perf_counter() - compiled_at)


def by_pymc(job: Job) -> NutsRun:
    """Sampled by PyMC; interrupted, the draws so far."""
    import pymc as pm

    began = time.perf_counter()
    beginnings = [job.begin(chain) for chain in range(job.n_chains)]
    seeds = [int(seed) for seed in np.random.SeedSequence(job.seed).generate_state(job.n_chains)]
    with job.model, _quietly():
        _, step = pm.init_nuts(
            init="adapt_diag",
            chains=job.n_chains,
            initvals=beginnings,
            random_seed=seeds,
            progressbar=False,
            quiet=True,
            tune=job.n_warm,
        )
        compiled_at = time.perf_counter()
        try:
            trace = pm.sample(
                draws=job.n_draws,
                tune=job.n_warm,
                chains=job.n_chains,
                cores=min(job.cores, job.n_chains),
                step=step,
                initvals=beginnings,
                random_seed=seeds,
                progressbar=job.shown,
                quiet=not job.shown,
                compute_convergence_checks=False,
                return_inferencedata=False,
            )
        except ValueError as problem:
            # What PyMC says where it was interrupted before there was a draw to keep.
            if "Not enough samples" in str(problem):
                raise KeyboardInterrupt from None
            raise
    numbers = trace.chains
    chains = [
        {name: trace.get_values(name, chains=[number]) for name in job.names} for number in numbers
    ]
    diverging = [trace.get_sampler_stats("diverging", chains=[number]) for number in numbers]
    return arranged(chains, diverging, compiled_at - began, time.perf_counter() - compiled_at)


def arranged(
    chains: list[dict[str, Array]], diverging: list[Any], compile_seconds: float, seconds: float
) -> NutsRun:
    """Chains of equal length: of an interrupted run those, and so much of them, as keep most."""
    lengths = np.array([len(chain) for chain in diverging])
    longest_first = np.argsort(-lengths, kind="stable")
    kept = lengths[longest_first] * np.arange(1, len(lengths) + 1)
    n_chains = int(np.argmax(kept)) + 1
    if not kept[n_chains - 1]:
        # Before there was anything to keep.
        raise KeyboardInterrupt
    numbers = np.sort(longest_first[:n_chains])
    n_draws = int(lengths[numbers].min())
    values = {
        name: np.stack([chains[number][name][:n_draws] for number in numbers]) for name in chains[0]
    }
    divergences = np.stack([diverging[number][:n_draws] for number in numbers]).astype(bool)
    return NutsRun(values, divergences, compile_seconds, seconds)


def _length(values: list[Array]) -> int:
    """How many draws of a chain there are: where it was interrupted, NaN takes their places."""
    there = [~np.isnan(value.reshape(len(value), -1)).any(axis=1) for value in values]
    missing = np.flatnonzero(~np.all(there, axis=0))
    return int(missing[0]) if len(missing) else len(values[0])


def _unconstrained(model: Any) -> Callable[[dict[str, Array]], Array]:
    """What takes values of the variables to the one vector in which a sampler moves."""
    import pytensor
    from pytensor import tensor as pt

    given, moved = [], []
    for variable in model.free_RVs:
        transform = model.rvs_to_transforms[variable]
        value = variable.type()
        given.append(value)
        free = value if transform is None else transform.forward(value, *variable.owner.inputs)
        moved.append(free.ravel())
    function = pytensor.function(
        given, pt.concatenate(moved), mode="FAST_COMPILE", on_unused_input="ignore"
    )
    names = [variable.name for variable in model.free_RVs]

    def flattened(point: dict[str, Array]) -> Array:
        vector: Array = np.ascontiguousarray(function(*(point[name] for name in names)))
        return vector

    return flattened


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of other programs that a person can do nothing about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
