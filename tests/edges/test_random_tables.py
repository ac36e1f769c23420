"""Random tables as people have them: fitted soundly or refused by name."""

import pytest

from benchmarks.tables import IN_SHELL, checked, problem

# Small problems in Python, so that all of them take less than a minute; the benchmark has others.
SEEDS = [
    seed
    for seed in range(2000, 2200)
    if seed % IN_SHELL and len((drawn := problem(seed)).table) <= 30 and drawn.task != "select"
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", SEEDS[:20])
def test_a_random_table_is_fitted_soundly_or_refused_by_name(seed):
    assert checked(problem(seed)).split(":")[0] in ("fitted", "refused")
