"""Options that go together: a command takes a group, and typer sees each of its options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, get_type_hints

from bayesmix.cli.inputs import arguments, options
from bayesmix.cli.inputs.arguments import Missing, Searched
from bayesmix.cli.inputs.options import rows_of, screen_of, table_of

if TYPE_CHECKING:
    from bayesmix.cli.outputs.show import Screen
    from bayesmix.protocols import Source


@dataclass(frozen=True)
class RowOptions:
    """Which columns of DATA, numbers alone."""

    columns: options.Columns = None
    weight: options.Weight = None

    def read(self, path: str) -> Source:
        """The rows of DATA."""
        return rows_of(path, self.columns, self.weight)


@dataclass(frozen=True)
class TableOptions:
    """Which columns of DATA, levels as well."""

    columns: options.Columns = None
    exclude: options.Exclude = None
    categorical: options.Categorical = None
    weight: options.Weight = None

    def read(
        self,
        screen: Screen,
        path: str,
        missing: Missing = Missing.ERROR,
        scheduler: str | None = None,
    ) -> Source:
        """The rows of DATA; see ``table_of``."""
        own = self.columns, self.weight, self.exclude, self.categorical
        return table_of(screen, path, *own, missing, scheduler)


@dataclass(frozen=True)
class RunOptions:
    """Where randomness and processors are from."""

    seed: options.Seed = 0
    jobs: options.Jobs = None


@dataclass(frozen=True)
class SearchOptions:
    """Which candidates, and how they are compared."""

    components: options.Components = None
    covariance: options.Structures = None
    criterion: options.Criteria = None
    method: options.SearchMethods = None

    def searched(
        self, run: RunOptions, missing: Missing = Missing.ERROR, noise: bool = False
    ) -> Searched:
        """The search that they ask for."""
        return Searched(
            arguments.numbers(self.components),
            arguments.structures(self.covariance),
            None if self.criterion is None else self.criterion.value,
            None if self.method is None else self.method.value,
            run.seed,
            run.jobs,
            missing.value,
            noise,
        )


@dataclass(frozen=True)
class PrintOptions:
    """What is printed."""

    quiet: options.Quiet = False
    json: options.Json = False

    @property
    def screen(self) -> Screen:
        return screen_of(self.quiet, self.json)


def spelled_out(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer reads it: every option of its groups a parameter by itself."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        of_group = signature(groups[name], eval_str=True).parameters if name in groups else {}
        parameters += of_group.values() or [parameter.replace(annotation=hints[name])]

    def run(**given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**made, **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    ordered = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = Signature(ordered)  # type: ignore[attr-defined]
    return run
