"""Hard inputs: a right answer, an error that says what to do, or an answer with a warning.

One cell of every input here, another each night; ``python -m tests.hunts.hard`` looks at twelve.
"""

from itertools import product

import pytest
from hunts.hard import INFERENCES, STRUCTURES, cell, inputs

KINDS = tuple(product(STRUCTURES, INFERENCES))
EVERY_DAY, OTHERS = (
    [(hard, *KINDS[(5 * number + shift) % 12]) for number, hard in enumerate(inputs())]
    for shift in (0, 7)
)
NIGHTLY = [pytest.param(*cell_of, marks=pytest.mark.nightly) for cell_of in OTHERS]


def test_there_are_inputs_enough_of_every_kind():
    assert len({hard.name for hard in inputs()}) == len(inputs()) >= 80
    assert {(structure, inference) for _, structure, inference in EVERY_DAY} == set(KINDS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("structure", STRUCTURES)
def test_points_that_no_prior_tells_apart_are_said(structure):
    (hard,) = [hard for hard in inputs() if hard.name == "two distinct rows"]
    assert cell(hard, structure, "vb") == "warned"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("hard", "structure", "inference"),
    [*EVERY_DAY, *NIGHTLY],
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.slow
def test_a_hard_input_is_answered_or_refused_by_name(hard, structure, inference):
    assert cell(hard, structure, inference) in ("right", "warned", "refused")
