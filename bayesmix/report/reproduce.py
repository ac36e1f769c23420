"""The Python code that repeats a search, and commands in lines."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral
from textwrap import indent
from typing import Any

import numpy as np

from bayesmix.core.nouns import counted
from bayesmix.core.procedures import last_step
from bayesmix.report.subject import Subject, listed

WIDTH = 72
LINE = "\n"
NO_MATTER = ("checkpoint", "n_jobs", "progress")


def script(subject: Subject) -> str:
    """Return Python code that repeats the search, without defaults."""
    search, result = subject.search, subject.result
    modules: set[str] = set()
    given = _changed(search)
    parameters = {name: value for name, value in given.items() if name not in NO_MATTER}
    unseeded = getattr(last_step(search.estimator), "random_state", None) is None
    if unseeded and not isinstance(search.random_state, Integral):
        parameters["random_state"] = result.seed
    body = _call("bm.MixtureSearch", parameters, modules)
    rows = f"X = ...  # {counted(result.n_rows, 'row')}"
    if subject.steps is None:
        # A name may contain a line break, which would end the line of code.
        rows += f"; columns {' '.join(listed(subject.columns_given).split())}"
    weighted = result.total_weight != result.n_rows
    fit = "fit(X, sample_weight=sample_weight)" if weighted else "fit(X)"
    plain = [value for value in parameters.values() if not hasattr(value, "get_params")]
    functions = dict.fromkeys(_name_of(value) for value in plain if callable(value))
    lines = [
        *sorted(modules),
        "import bayesmix as bm",
        "",
        rows,
        *(["sample_weight = ...  # weight of each row"] if weighted else []),
        *(f"{name} = ...  # your function" for name in functions),
        f"search = {body}.{fit}",
        "print(search.summary())",
        'search.report("report.html", X)',
    ]
    return "\n".join(lines)


def _changed(thing: Any) -> dict[str, Any]:
    """Return parameters that differ from their defaults, in the order of the signature."""
    values = thing.get_params(deep=False)
    return {
        name: values[name]
        for name, parameter in inspect.signature(type(thing)).parameters.items()
        if name in values and repr(values[name]) != repr(parameter.default)
    }


def _call(name: str, parameters: dict[str, Any], modules: set[str]) -> str:
    written = [f"{key}={code(value, modules)}" for key, value in parameters.items()]
    line = f"{name}({', '.join(written)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return f"{name}(\n{indent(''.join(f'{part},{LINE}' for part in written), '    ')})"


def code(value: Any, modules: set[str]) -> str:
    """Return a value as Python code; required imports are added to ``modules``."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return _call(_imported(type(value), modules), _changed(value), modules)
    if is_dataclass(value) and not isinstance(value, type):
        own = {field: getattr(value, field.name) for field in fields(value) if field.init}
        shown = {f.name: each for f, each in own.items() if repr(each) != repr(f.default)}
        return _call(_imported(type(value), modules), shown, modules)
    if isinstance(value, np.ndarray):
        modules.add("import numpy as np")
        return f"np.array({value.tolist()!r})"
    if isinstance(value, np.generic):
        return code(value.item(), modules)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple) and _consecutive(value):
        return f"range({value[0]}, {value[-1] + 1})"
    if isinstance(value, list | tuple):
        inside = ", ".join(code(each, modules) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if isinstance(value, dict):
        pairs = (f"{code(k, modules)}: {code(v, modules)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    if callable(value):
        return _name_of(value)
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return "..."
    return repr(value)


def _name_of(function: Any) -> str:
    name = str(getattr(function, "__name__", "function"))
    return name if name.isidentifier() else "function"


def _imported(kind: type, modules: set[str]) -> str:
    package = kind.__module__.split(".")
    if package[0] == "bayesmix":
        return f"bm.{kind.__name__}"
    public = [part for part in package if not part.startswith("_")]
    modules.add(f"from {'.'.join(public)} import {kind.__name__}")
    return kind.__name__


def _consecutive(values: Sequence[Any]) -> bool:
    whole = all(isinstance(each, Integral) for each in values)
    return len(values) > 3 and whole and list(values) == [values[0] + i for i in range(len(values))]


def in_lines(words: Sequence[str]) -> str:
    """Return a command for the shell, broken before options if long."""
    lines = [""]
    for word in map(shlex.quote, words):
        if word.startswith("--") and len(lines[-1]) > WIDTH // 2:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n".join(lines)
