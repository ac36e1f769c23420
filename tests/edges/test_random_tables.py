"""Random tables as people have them: fitted soundly or refused by name."""

from itertools import count, islice

import pytest
from hunts.tables import IN_SHELL, outcome, problem

IN_A_BLOCK = 25
BLOCKS = [*range(3), *(pytest.param(block, marks=pytest.mark.nightly) for block in range(3, 8))]


def small(block):
    """Yield seeds of small problems in Python with few starts; the benchmark has others."""
    for seed in count(3000 + 1000 * block):
        drawn = problem(seed)
        quick = drawn.task != "select" and drawn.options.get("search") != "auto"
        if quick and len(drawn.table) <= 12 and seed % IN_SHELL:
            yield seed


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_random_tables_are_fitted_soundly_or_refused_by_name(block):
    lines = [outcome(seed) for seed in islice(small(block), IN_A_BLOCK)]
    assert [line for line in lines if line["became"].startswith("FAILURE")] == []
    assert sum(line["became"] == "fitted" for line in lines) > IN_A_BLOCK / 2
