"""All kernels compiled ahead of the first large fit, side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from multiprocessing import get_context
from typing import Any

import numba as nb

from bayesmix.numerics.kernel_cache import COMPILER

KERNELS = {"linear_pass": "linear form", "centred_pass": "centred form"}
DOUBLES = ("float64",)
VALUES = (*DOUBLES, "float32")


@dataclass(frozen=True)
class Compiled:
    """A kernel that is ready."""

    name: str
    seconds: float
    cached: bool  # it was on disk before


def compile_all(values: tuple[str, ...]) -> Iterator[Compiled]:
    """Every kernel for these types of numbers, as each is ready; a process a core."""
    wanted = list(product(KERNELS, values))
    workers = min(len(wanted), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(compile_one, *each) for each in wanted]):
            yield done.result()


def compile_one(kernel: str, values: str) -> Compiled:
    """One kernel, into the cache."""
    COMPILER.disabled = True  # whoever asked for it knows
    began = time.perf_counter()
    dispatcher = getattr(import_module("bayesmix.numerics.compiled"), kernel)
    types = signature(kernel, values)
    dispatcher.compile(types)
    name = f"{KERNELS[kernel]}, {values}"
    return Compiled(name, time.perf_counter() - began, types in dispatcher.stats.cache_hits)


def signature(kernel: str, values: str) -> tuple[Any, ...]:
    """The types that ``warming.call_kernel`` calls a kernel with."""

    def array(n_dims: int, kind: Any = nb.float64) -> Any:
        return nb.types.Array(kind, n_dims, "C")

    rows = nb.types.Array(getattr(nb, values), 2, "C", readonly=True), array(1), array(1), array(1)
    groups = array(1, nb.int64), array(1, nb.int64), array(2, nb.int64)
    own = {
        "linear_pass": (array(2), nb.int64, array(2)),
        "centred_pass": (array(1), array(2), array(3), nb.boolean, array(1), array(2), array(3)),
    }
    of_rows = array(2), array(1, nb.int32), array(1), array(1)
    return (*rows, *groups, *own[kernel], *of_rows)
