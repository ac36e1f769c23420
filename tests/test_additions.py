"""Additions are found by one table; what the programme holds of them needs none of them."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_architecture import ADDITIONS

import bayesmix as bm
from bayesmix.additions import HOMES
from bayesmix.core.entries import entry
from bayesmix.core.rows import Rows, SideInformation

ROOT = Path(__file__).parents[1]


def run(code, *arguments):
    """Return what Python code prints in a new process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


OPEN = """
from bayesmix.additions import HOMES
from bayesmix.core.entries import entry
print([entry(kind, key).__name__ for kind, key in HOMES])
"""


def test_every_entry_opens_in_a_new_process():
    assert ast.literal_eval(run(OPEN)) == [home.partition(":")[2] for home in HOMES.values()]


def test_no_entry_is_unused():
    """Every kind is asked for, and every key is a name that the package says elsewhere."""
    kinds, names = set(), set()
    for path in (ROOT / "bayesmix").rglob("*.py"):
        if path.name == "additions.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "entry":
                kinds.add(node.args[0].value)
            elif isinstance(node, ast.Constant):
                names.add(node.value)
    assert kinds == {kind for kind, _ in HOMES}
    assert {key for _, key in HOMES} <= names


def test_a_miss_says_what_is_declared():
    with pytest.raises(LookupError, match=r"no subject is declared for 'tree', only for 'regres"):
        entry("subject", "tree")
    with pytest.raises(LookupError, match="no tree is declared for 'state', only for nothing: add"):
        entry("tree", "state")


READ = f"""
import pickle, sys
from pathlib import Path
mixture, rows = pickle.loads(Path(sys.argv[1]).read_bytes())
print(mixture.responsibilities(rows)[0].sum())
print(sorted({{name.split(".")[1] for name in sys.modules if name.startswith("bayesmix.")}}
             & set({ADDITIONS!r})))
"""


def test_a_worker_that_unpickles_only_leaves_needs_no_addition(tmp_path):
    X = np.r_[np.zeros(20), np.full(20, 5.0)][:, None] + np.random.default_rng(0).normal(
        size=(40, 1)
    )
    mixture = bm.HiddenMarkovModel(2, random_state=0).fit(X).result_.mixture
    rows = Rows(X, np.ones(40), SideInformation(begins=np.arange(40) == 0))
    (tmp_path / "leaf").write_bytes(pickle.dumps((mixture, rows)))
    total, additions = run(READ, tmp_path / "leaf").splitlines()
    assert float(total) == pytest.approx(40.0)
    assert additions == "[]"
