"""Nouns with numbers, as texts, tables and figures print them: "class 2", "3 classes".

Names of parts count from 1, arrays from 0. A component is a density of a mixture; tables of what
components stand for call it a class, in hidden Markov models a state. Component k, class k and
state k are the same part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def part_name(noun: str, number: int | str) -> str:
    """Return the name of a part by its number from 0; "all" is what all parts share.

    Examples
    --------
    >>> from bayesmix.core.nouns import part_name
    >>> part_name("state", 0)
    'state 1'
    """
    return number if isinstance(number, str) else f"{noun} {number + 1}"


def part_names(noun: str, n_parts: int) -> list[str]:
    """Return the names of all parts."""
    return [part_name(noun, number) for number in range(n_parts)]


def parts_in_words(noun: str, numbers: Iterable[int]) -> str:
    """Return some parts by their numbers from 0: "component 1", "components 1, 3"."""
    shown = [str(number + 1) for number in numbers]
    return f"{noun if len(shown) == 1 else plural(noun)} {', '.join(shown)}"


def part_index(noun: str, n_parts: int) -> pd.Index[Any]:
    """Return the index of a table with a row for each part."""
    import pandas as pd

    return pd.Index(part_names(noun, n_parts), name=noun)


def ordered_index(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> pd.MultiIndex:
    """Return an index of these rows whose levels are in the order of the rows.

    Sorted levels would put "class 10" before "class 2" in ``unstack``.
    """
    import pandas as pd

    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    levels = [list(dict.fromkeys(column)) for column in columns]
    codes = [[*map(level.index, column)] for level, column in zip(levels, columns, strict=True)]
    return pd.MultiIndex(levels, codes, names=list(names))


def counted(n: int, noun: str) -> str:
    """Return a number with a noun: "1 row", "3,000 rows"."""
    return f"{n:,} {noun if n == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return the plural of a noun."""
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def capitalized(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
