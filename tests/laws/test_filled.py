"""Records that are filled at once are the frozen dataclasses that they were."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from bayesmix.core.mixture import Expectation
from bayesmix.em.run import State
from bayesmix.numerics.memo import filled_at_once


@dataclass(frozen=True)
class Plain:
    first: int
    second: tuple[int, ...]
    third: str = "c"
    fourth: tuple[int, ...] = ()


@filled_at_once
@dataclass(frozen=True)
class Filled:
    first: int
    second: tuple[int, ...]
    third: str = "c"
    fourth: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("arguments", "named"), [((1, (2,)), {}), ((1,), {"fourth": (3,), "second": (2,)})]
)
def test_fields_are_those_of_the_frozen_dataclass(arguments, named):
    plain, filled = Plain(*arguments, **named), Filled(*arguments, **named)
    assert vars(filled) == vars(plain)
    assert list(vars(filled)) == list(vars(plain))
    assert repr(filled) == repr(plain).replace("Plain", "Filled")
    assert filled == Filled(*arguments, **named)
    assert hash(filled) == hash(plain)
    assert vars(replace(filled, third="d")) == vars(replace(plain, third="d"))
    assert pickle.loads(pickle.dumps(filled)) == filled
    assert copy.copy(filled) == filled


def test_they_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Filled(1, (2,)).first = 3


def test_an_argument_too_few_is_named():
    with pytest.raises(TypeError, match=r"Filled\.__init__\(\) missing 1 required .* 'second'"):
        Filled(1)


@pytest.mark.parametrize("record", [Filled, State, Expectation])
def test_arguments_are_the_fields_in_their_order(record):
    assert list(inspect.signature(record).parameters) == list(record.__dataclass_fields__)
