"""Hard inputs: a right answer, an error that says what to do, or an answer with a warning.

Two cells of every input here; ``python -m tests.hunts.hard`` looks at all twelve.
"""

from itertools import product

import pytest
from hunts.hard import INFERENCES, STRUCTURES, cell, inputs

KINDS = tuple(product(STRUCTURES, INFERENCES))
CELLS = [
    (hard, *KINDS[place % 12])
    for number, hard in enumerate(inputs())
    for place in (5 * number, 5 * number + 7)
]


def test_there_are_inputs_enough_of_every_kind():
    assert len({hard.name for hard in inputs()}) == len(inputs()) >= 80
    assert {(structure, inference) for _, structure, inference in CELLS} == set(KINDS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("structure", STRUCTURES)
def test_points_that_no_prior_tells_apart_are_said(structure):
    (hard,) = [hard for hard in inputs() if hard.name == "two distinct rows"]
    assert cell(hard, structure, "vb") == "warned"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("hard", "structure", "inference"), CELLS, ids=lambda value: getattr(value, "name", value)
)
@pytest.mark.slow
def test_a_hard_input_is_answered_or_refused_by_name(hard, structure, inference):
    assert cell(hard, structure, inference) in ("right", "warned", "refused")
