"""What a version is to those who install it: one number, and public names alone."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import bayesmix as bm

ROOT = Path(__file__).parents[1]


def found(pattern, name):
    return re.search(pattern, (ROOT / name).read_text("utf-8"), re.MULTILINE)[1]


def test_the_version_is_the_same_everywhere():
    assert found(r"^version: (\S+)$", "CITATION.cff") == bm.__version__
    assert found(r"^## ([0-9.]+)", "CHANGELOG.md") == bm.__version__
    assert found(r"Version ([0-9.]+) is", "README.md") == bm.__version__


def test_dir_shows_public_names_only():
    assert sorted(dir(bm)) == sorted([*bm.__all__, "__version__"])
    assert all(getattr(bm, name) is not None for name in dir(bm))


def test_the_stub_names_what_the_package_names():
    stub = ast.parse((ROOT / "bayesmix" / "__init__.pyi").read_text("utf-8"))
    names = {
        alias.asname
        for node in ast.walk(stub)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    } | {ast.unparse(node.targets[0]) for node in ast.walk(stub) if isinstance(node, ast.Assign)}
    assert names - {None} == {*bm.__all__, "__version__"}


def test_no_results_of_examples_lie_beside_the_package():
    listed = subprocess.run(
        ["git", "ls-files", "--", ":(top)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a clone")
    of_the_project = {"LICENSE", "Makefile", "pyproject.toml", "conftest.py", ".gitattributes"}
    documents = {"README", "CHANGELOG", "CONTRIBUTING", "CODE_OF_CONDUCT", "SECURITY"}
    of_the_project |= {f"{name}.md" for name in documents} | {"CITATION.cff", ".gitignore"}
    of_the_project |= {"bayesmix", "benchmarks", "conda", "docs", "examples", "notebooks", "paper"}
    of_the_project |= {"tests", ".ci", ".github"}
    assert {Path(name).parts[0] for name in listed.stdout.splitlines()} <= of_the_project
