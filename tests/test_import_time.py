"""What an import loads: names load lazily, so the first import stays quick.

The modules are counted, not the seconds: a clock on a busy machine says little.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

HEAVY = {"arviz", "matplotlib", "numba", "nutpie", "pandas", "pyarrow", "pymc", "scipy", "sklearn"}

# What the interpreter's own start-up loads (a .pth file of some package) does not count.
LOADED = """
import json, sys
before = set(sys.modules)
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


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


@pytest.mark.parametrize("name", ["pandas", "sklearn"])
def test_a_heavy_import_would_be_seen(name):
    assert name in loaded_by(f"import {name}") & HEAVY
