"""What an import loads: names load lazily, so the first import stays quick.

The modules are counted, not the seconds: a clock on a busy machine says little.
"""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

from test_architecture import ADDITIONS

from bayesmix.families.registry import FAMILIES

ROOT = Path(__file__).parents[1]

HEAVY = {"arviz", "matplotlib", "nutpie", "pandas", "pyarrow", "pymc", "scipy", "sklearn"}

# What the interpreter's own start-up loads (a .pth file of some package) does not count.
LOADED = """
import json, sys
before = set(sys.modules)
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""

FIRST_FIT = """
import bayesmix
bayesmix.GaussianMixture(2, random_state=0).fit([[0.0], [0.1], [0.3], [4.0], [4.2], [4.5]])
"""


@cache
def loaded_by(statement):
    """The modules that `statement` loads in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(statement=statement)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_import_of_the_package_loads_nothing_heavy():
    # __file__ is None for a folder without __init__.py, which would load nothing and prove nothing.
    loaded = loaded_by("import bayesmix; assert bayesmix.__file__ is not None")
    assert "bayesmix" in loaded
    assert not loaded & HEAVY


def test_import_of_the_data_sets_loads_nothing_heavy():
    loaded = loaded_by("import bayesmix.datasets")
    assert "bayesmix.datasets" in loaded
    assert not loaded & HEAVY


def test_a_first_maximum_likelihood_fit_loads_only_what_it_needs():
    loaded = loaded_by(FIRST_FIT)
    assert "bayesmix.search.fit" in loaded
    assert not loaded & {"sklearn.mixture", "sklearn.cluster", "matplotlib"}
    ours = {name.removeprefix("bayesmix.") for name in loaded if name.startswith("bayesmix.")}
    assert not {name for name in ours if name.startswith(("sampling.", "plots", "io"))}


def test_a_first_fit_loads_no_addition_and_no_family_but_its_own():
    loaded = {name.removeprefix("bayesmix.") for name in loaded_by(FIRST_FIT)}
    parts = {name.partition(".")[0] for name in loaded}
    assert {"estimators", "families"} <= parts
    assert not parts & ADDITIONS
    families = {name: set(entry.homes.values()) for name, entry in FAMILIES.items()}
    assert {name for name, homes in families.items() if homes & loaded} == {"gaussian"}


def test_a_heavy_import_would_be_seen():
    assert "pandas" in loaded_by("import pandas") & HEAVY
