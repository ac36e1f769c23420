"""Additions are found by one table; what the programme holds of them needs none of them."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from test_architecture import ADDITIONS

import bayesmix as bm
from bayesmix.additions import HOMES
from bayesmix.core import entries
from bayesmix.core.entries import entry
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.estimators.inputs.incoming import training_rows
from bayesmix.estimators.searching.search_subjects import SubjectOfSamples

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


SEARCH = f"""
import sys
import bayesmix as bm
from bayesmix.io import save
search = bm.select(bm.datasets.load_faithful(), n_components=(1, 2))
search.summary(), search._repr_html_(), search.results_
save(search, sys.argv[1])
print(bm.load(sys.argv[1]).predict(bm.datasets.load_faithful()).max())
print(sorted({{name.split(".")[1] for name in sys.modules if name.startswith("bayesmix.")}}
             & set({ADDITIONS!r})))
"""


def test_a_search_its_texts_and_its_file_need_no_addition(tmp_path):
    assert run(SEARCH, tmp_path / "search.bayesmix").splitlines() == ["1", "[]"]


class TreeMixture(bm.GaussianMixture):
    """A model of an addition that the package does not know."""

    noun = "tree"
    _dependent_data = "trees"


def test_a_model_of_another_kind_needs_a_line_in_the_table_only(monkeypatch):
    X = bm.datasets.load_faithful()
    search = bm.MixtureSearch(TreeMixture(), n_components=(1, 2), criterion="bic")
    with pytest.raises(LookupError, match="no subject is declared for 'tree'"):
        search.fit(X)
    trees = ModuleType("bayesmix.trees")
    trees.subject_of_trees = subject_of_trees
    monkeypatch.setitem(sys.modules, "bayesmix.trees", trees)
    monkeypatch.setitem(entries._HOMES, ("subject", "tree"), "trees:subject_of_trees")
    assert search.fit(X).best_estimator_.n_components == 2
    with pytest.raises(bm.errors.UnsupportedError, match="labels does not support trees: leave"):
        search.fit(X, labels=np.zeros(len(X), int))


def subject_of_trees(given):
    """Return samples as the subject of a search over trees."""
    given.refuse_independent({"labels": given.labels})
    source = training_rows(given.search, given.X, given.sample_weight, 1)
    return SubjectOfSamples(given.estimator, given.X, None, None, source)
