"""Imports go downward only (DESIGN, section 3), read from the source with `ast`.

`breaches(root)` lists what breaks the rules under a package's folder. The package must have none;
made-up trees, each with one breach, show that every rule can fail.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Protocol

import pytest

from bayesmix.core import components, engines, families, measurement, priors, sources
from bayesmix.em import start
from bayesmix.families import registry
from bayesmix.sources import devices

PACKAGE = Path(__file__).parents[1] / "bayesmix"

LEVELS = {
    "errors": 0,
    "version": 2,
    "numerics": 1,
    "core": 1,
    "families": 2,
    "allocation": 2,
    "sources": 3,
    "em": 3,
    "observation": 3,
    "search": 3,
    "starts": 3,
    "posterior": 4,
    "relevance": 5,
    "selection": 5,
    "assess": 5,
    "data": 5,
    "io": 6,
    "plots": 6,
    "results": 7,
    "estimators": 7,
    "datasets": 7,
    "scverse": 7,
    # Additions, which the programme below never imports.
    "report": 8,
    "sequences": 8,
    "latent_class_analysis": 8,
    "regressions": 8,
    "classification": 8,
    "mcmc": 8,
    "shell": 8,
    # The package's own door, above all parts.
    "__init__": 9,
    "__main__": 9,
    "additions": 9,
}

ADDITIONS = {part for part, level in LEVELS.items() if level == 8}

# Parts of one level do not import one another, but for these.
SIDEWAYS = {
    "numerics": {"core"},  # threads and messages
    "core": {"numerics"},
    "em": {"sources", "observation"},
    "observation": {"em", "sources"},  # forms of the E-step; measured data
    "sources": {"em"},  # steps on devices
    "search": {"em", "sources", "starts"},  # a fit searches among runs from starts
    "starts": {"em", "sources", "search"},  # one start is the search; some fit other models
    "assess": {"selection"},
    "relevance": {"selection"},
    "scverse": {"estimators"},
    "latent_class_analysis": {"report", "sequences"},
    "regressions": {"report", "sequences", "latent_class_analysis"},
    "mcmc": {"regressions"},
    "__init__": {"additions"},
    "shell": {"report", "sequences", "latent_class_analysis", "regressions", "classification"}
    | {"mcmc"},
}

# Upwards, inside a function: the ``plot()`` of a result draws it with what stands above it.
DRAWN_BY = {"selection": {"plots"}, "assess": {"plots"}, "posterior": {"plots"}}

# Further down and refused all the same: what fits knows no concrete family.
REFUSED = {part: {"families"} for part in ("em", "search", "sources", "starts")}

# Additions that draw or write as soon as they are called; others load figures when they are asked.
DRAWING = {"report", "mcmc"}
# Modules of other additions that only figures and reports load.
DRAWINGS = ("_plots", "_report")

OPTIONAL = {"anndata", "arviz", "dask", "matplotlib", "nutpie", "pyarrow", "pymc"}
HEAVY = {"pandas", "sklearn"}
# MixtureSearch is an estimator of scikit-learn's kind, and its results are a frame, as data may be.
HEAVY_FROM_THE_START = {"selection", "assess", "data"}


@dataclass(frozen=True)
class Import:
    """One imported module, absolute: `lazy` inside a function, `typing` under TYPE_CHECKING."""

    module: str
    line: int
    lazy: bool
    typing: bool


@cache
def tree_of(path: Path) -> ast.Module:
    """A module of a package; many tests walk through all of them."""
    return ast.parse(path.read_text("utf-8"))


def breaches(root: Path) -> list[str]:
    """Every breach of the rules in the package that lies at `root`, as "file:line what"."""
    return sorted(
        f"{path.relative_to(root.parent).as_posix()}:{breach}"
        for path in root.rglob("*.py")
        for breach in breaches_of(path, root)
    )


def breaches_of(path: Path, root: Path) -> Iterator[str]:
    place = path.relative_to(root).with_suffix("").parts
    part = place[0]
    if part not in LEVELS:
        yield f"1 {part} has no level: give it one in the design and in this test"
        return
    folder = (root.name, *place[:-1])
    for each in imports_of(path, folder):
        top, *below = each.module.split(".")
        if top == root.name:
            fault = fault_between(place, below[0] if below else "__init__", each)
        else:
            fault = fault_outside(part, top, each)
        if fault:
            yield f"{each.line} {fault}"


def fault_between(place: tuple[str, ...], imported: str, each: Import) -> str | None:
    """What is wrong with a module at a place importing a part of the package, if anything is."""
    importer = place[0]
    if imported == importer:
        return None
    if imported not in LEVELS:
        # A name of the package itself, which its __init__ looks up in any part.
        imported = "__init__"
    mine, theirs = LEVELS[importer], LEVELS[imported]
    if theirs > mine and (each.lazy or each.typing) and imported in DRAWN_BY.get(importer, set()):
        return None
    if theirs > mine:
        return f"{importer} (level {mine}) imports {imported} (level {theirs}) above it"
    if theirs == mine and imported not in SIDEWAYS.get(importer, set()):
        return f"{importer} imports {imported} beside it"
    if imported in REFUSED.get(importer, set()):
        return f"{importer} must not know {imported}"
    draws = importer in DRAWING or place[-1].endswith(DRAWINGS)
    if mine in (7, 8) and theirs == 6 and not (draws or each.lazy or each.typing):
        return f"{importer} imports {imported} at module level: do so inside a function"
    return None


def fault_outside(importer: str, library: str, each: Import) -> str | None:
    """What is wrong with a part of the package importing a library, if anything is."""
    if each.lazy or each.typing:
        return None
    if library in OPTIONAL:
        return f"optional {library} at module level: import it inside a function"
    level = LEVELS[importer]
    from_the_start = level in (6, 7, 8) or importer in HEAVY_FROM_THE_START
    if library in HEAVY and not from_the_start:
        return f"{library} at module level of {importer}: import it inside a function"
    return None


@cache
def imports_of(path: Path, folder: tuple[str, ...]) -> list[Import]:
    """All imports of a module in `folder`, wherever they stand, `import_module("...")` included."""
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool, typing: bool) -> None:
        for module in modules_of(node, folder):
            found.append(Import(module, node.lineno, lazy, typing))
        if isinstance(node, ast.If) and is_type_checking(node.test):
            for child in node.body:
                visit(child, lazy, True)
            for child in node.orelse:
                visit(child, lazy, typing)
            return
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside, typing)

    visit(tree_of(path), lazy=False, typing=False)
    return found


def modules_of(node: ast.AST, folder: tuple[str, ...]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = folder[: len(folder) - level + 1] if level else ()
            origin = ".".join([*base, *([module] if module else [])])
            # What stands after "import" may be a part, a module or a name in one.
            return [f"{origin}.{name.name}" for name in names]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__")
            | ast.Attribute(attr="import_module" | "__import__"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            dots = len(module) - len(module.lstrip("."))
            base = folder[: len(folder) - dots + 1] if dots else ()
            return [".".join([*base, module.lstrip(".")])]
    return []


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def test_the_package_keeps_the_rules():
    assert list(PACKAGE.rglob("*.py"))
    assert breaches(PACKAGE) == []


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


SOUND = {
    "__init__.py": "import importlib\n",
    "errors.py": "import numpy as np\n",
    "numerics/__init__.py": "from pkg.numerics.moments import merge\n",
    "numerics/moments.py": "from ..errors import Refused\nfrom . import wishart\n",
    "families/gaussian.py": "import scipy\nfrom pkg import core, numerics\n",
    "em/run.py": "from .. import core\nimport pkg.numerics.moments\n",
    "selection/sweep.py": "import pandas as pd\nfrom sklearn.base import BaseEstimator\n",
    "plots/density.py": "def draw():\n    import matplotlib.pyplot as plt\n",
    "report/page.py": "from pkg.plots import density\n",
    "io.py": "import typing\nif typing.TYPE_CHECKING:\n    import pyarrow\n",
    "estimators/gaussian.py": "import sklearn\ndef plot():\n    from pkg.plots import density\n",
    "datasets/__init__.py": "def load():\n    import pandas\n",
}


def test_a_sound_tree_has_no_breach(tmp_path):
    assert breaches(write(tmp_path / "pkg", SOUND)) == []


@pytest.mark.parametrize(
    ("name", "text", "breach"),
    [
        (
            "numerics/up.py",
            "import pkg.em.run",
            "1 numerics (level 1) imports em (level 3)",
        ),
        ("em/up.py", "from pkg.selection import rule", "1 em (level 3) imports selection"),
        ("em/up.py", "from pkg import selection", "1 em (level 3) imports selection"),
        ("em/up.py", "from ..selection.rule import rule", "1 em (level 3) imports selection"),
        ("em/up.py", "from .. import selection", "1 em (level 3) imports selection"),
        ("em/a/up.py", "from ...selection import rule", "1 em (level 3) imports selection"),
        ("em/__init__.py", "from ..selection import rule", "1 em (level 3) imports selection"),
        # A function or TYPE_CHECKING hides no import upward.
        ("em/up.py", "def f():\n    from pkg import selection", "2 em (level 3) imports"),
        (
            "em/up.py",
            "if TYPE_CHECKING:\n    import pkg.selection",
            "2 em (level 3) imports",
        ),
        ("em/up.py", 'import_module("pkg.selection")', "1 em (level 3) imports selection"),
        ("em/up.py", 'il.import_module("..selection", "")', "1 em (level 3) imports sel"),
        ("selection/up.py", "from pkg import GaussianMixture", "1 selection (level 5) imports __"),
        ("selection/up.py", "import pkg", "1 selection (level 5) imports __init__ (level 9)"),
        ("families/rates.py", "from pkg.allocation import point", "1 families imports alloc"),
        (
            "allocation/up.py",
            "import pkg.sources",
            "1 allocation (level 2) imports sources",
        ),
        ("sources/beside.py", "from pkg import families", "1 sources must not know families"),
        (
            "errors.py",
            "from pkg.core import a",
            "1 errors (level 0) imports core (level 1) above it",
        ),
        (
            "plots/up.py",
            "from pkg.report import page",
            "1 plots (level 6) imports report (level 8)",
        ),
        ("estimators/up.py", "def f():\n    import pkg.sequences.data", "2 estimators (level 7)"),
        ("sequences/up.py", "from pkg.regressions import a", "1 sequences imports regressions be"),
        ("io.py", "from pkg.plots import twin", "1 io imports plots beside it"),
        ("em/known.py", "from pkg.families import Gaussian", "1 em must not know families"),
        ("shell/early.py", "import pkg.plots", "1 shell imports plots at module level"),
        ("sequences/early.py", "import pkg.io", "1 sequences imports io at module level"),
        ("plots/early.py", "import matplotlib", "1 optional matplotlib at module level"),
        ("plots/early.py", "try:\n    import pymc\nexcept ImportError: ...", "2 optional pymc"),
        ("plots/early.py", "class A:\n    import arviz", "2 optional arviz at module level"),
        ("io.py", "import pyarrow.parquet as pq", "1 optional pyarrow at module level"),
        ("io.py", "if TYPE_CHECKING: ...\nelse:\n    import nutpie", "3 optional nutpie at module"),
        ("sources/dask.py", "from dask.array import Array", "1 optional dask at module level"),
        ("search/early.py", "import sklearn.cluster", "1 sklearn at module level of search"),
        ("sources/early.py", "import pandas as pd", "1 pandas at module level of sources"),
        ("__init__.py", "import pandas", "1 pandas at module level of __init__"),
        ("helpers.py", "", "1 helpers has no level"),
    ],
)
def test_each_breach_is_found_and_named(tmp_path, name, text, breach):
    found = breaches(write(tmp_path / "pkg", {**SOUND, name: text}))
    assert len(found) == 1
    assert found[0].startswith(f"pkg/{name}:{breach}")


def test_every_protocol_is_bound_to_classes():
    """The type checker holds a protocol only where ``conformance`` names it, or one above it."""
    modules = (components, engines, families, measurement, devices, priors, sources, start)
    protocols = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and getattr(value, "_is_protocol", False)
        and value is not Protocol
    }
    text = (Path(__file__).parent / "conformance.py").read_text("utf-8")
    named = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    values = {name: value for module in modules for name, value in vars(module).items()}
    held = {base for name in named & set(values) for base in getattr(values[name], "__mro__", ())}
    assert len(protocols) > 20
    assert {each.__name__ for each in protocols - held} == set()


def untyped(tree: ast.Module) -> Iterator[str]:
    """Fields of records and signatures of protocols that say ``Any``."""
    for each in tree.body:
        if not isinstance(each, ast.ClassDef):
            continue
        protocol = any("Protocol" in ast.unparse(base) for base in each.bases)
        if not protocol and not any("dataclass" in ast.unparse(one) for one in each.decorator_list):
            continue
        for item in each.body:
            found: list[ast.expr | None] = []
            if isinstance(item, ast.AnnAssign):
                found = [item.annotation]
            elif protocol and isinstance(item, ast.FunctionDef):
                arguments = item.args.posonlyargs + item.args.args + item.args.kwonlyargs
                found = [item.returns, *(one.annotation for one in arguments)]
            names = {
                one.id
                for annotation in found
                if annotation is not None
                for one in ast.walk(annotation)
                if isinstance(one, ast.Name)
            }
            if "Any" in names and "ClassVar" not in names:
                yield f"{each.name}:{item.lineno}"


def test_records_and_protocols_say_what_they_hold():
    """``Any`` hides mistakes from the type checker; for what users hand in: core.sources."""
    assert list(untyped(ast.parse("@dataclass\nclass A:\n    b: dict[str, Any]"))) == ["A:3"]
    assert list(untyped(ast.parse("class A(Protocol):\n    def b(c: Any): ..."))) == ["A:2"]
    found = {path: list(untyped(tree_of(path))) for path in PACKAGE.rglob("*.py")}
    assert {path: classes for path, classes in found.items() if classes} == {}


def uses(root: Path) -> dict[str, set[str]]:
    """Which modules each module imports when it is loaded: not in functions, where plots are."""
    places = {}
    for path in root.rglob("*.py"):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        places[name.removesuffix(".__init__")] = path
    found: dict[str, set[str]] = {}
    for module, path in places.items():
        folder = path.relative_to(root.parent).parent.parts
        used = {
            next((name for name in prefixes(each.module) if name in places), root.name)
            for each in imports_of(path, folder)
            if not (each.typing or each.lazy)
        }
        found[module] = used - {module, root.name}  # the package's own door loads names when asked
    return found


def prefixes(name: str) -> list[str]:
    """For a.b.c itself, a.b and a."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def test_no_modules_import_one_another_in_a_circle(tmp_path):
    order = list(TopologicalSorter(uses(PACKAGE)).static_order())
    assert len(order) > 150
    write(tmp_path / "pkg", {"a.py": "from pkg import b", "b.py": "import pkg.a"})
    with pytest.raises(CycleError):
        TopologicalSorter(uses(tmp_path / "pkg")).prepare()


def test_no_two_classes_have_one_name():
    names = Counter(
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef)
    )
    assert names["FitResult"] == 1
    # What users fit, as scikit-learn names it, and what a fit holds.
    assert {name for name, times in names.items() if times > 1} == {"Mixture"}


# One role in several places: what families are made of, what floors read their subject from.
ROLES = {
    *("family", "components", "prior", "gaps"),
    "subject",
    "mixture",  # as the class
}


def test_a_file_name_stands_twice_only_for_one_role():
    """But figures and commands are named as the module whose answer they show."""
    shown = {PACKAGE / "plots", PACKAGE / "shell" / "commands"}
    names = Counter(
        path.stem for path in PACKAGE.rglob("*.py") if shown.isdisjoint({path, *path.parents})
    )
    assert names["select"] == 1
    assert {name for name, times in names.items() if times > 1} - {"__init__"} == ROLES


# The zones: what a fit of a Gaussian mixture needs, what extends it, the public classes, and the
# additions. The kernel names none of the others: not lazily, not for typing, not by a string,
# ``hasattr`` or a compared name. The door computes nothing, nor do the additions but for some.

KERNEL = {
    *("numerics", "core", "em", "search", "selection", "errors", "version"),
    *("families/gaussian", "sources/memory", "sources/chunks", "sources/condensed"),
    *("sources/cells_of_parts", "sources/column_sums", "sources/drawn_rows"),
    "observation/missing",
    *("allocation/point", "allocation/point_draws", "allocation/groups"),
    *("allocation/dirichlet", "allocation/stick_breaking"),
    *("starts/responsibilities", "starts/candidate_starts", "starts/chosen_start"),
    *("starts/given_starts", "starts/labelled_starts", "starts/named_starts"),
    "starts/restricted_starts",
}
DOOR = {"estimators", "models", "datasets", "results", "scverse"}
DOOR |= ADDITIONS | {"__init__", "__main__", "additions"}
# Modules of additions that compute statistics of fits and draws.
COMPUTING_ADDITIONS = {
    *("mcmc", "latent_class_analysis", "regressions/regression_vector"),
    *("regressions/trajectory_tables", "classification/thresholds"),
    "classification/class_probabilities",
}
# Names of families and allocations outside the kernel, which the kernel may not compare with.
FOREIGN_NAMES = {
    *("student_t", "factor_analytic", "transformed", "log_normal", "bernoulli", "poisson"),
    *("exponential", "gamma", "binomial", "categorical", "product", "state", "regression"),
}
# Functions of the kernel that pass over data, or compute densities or sums.
COMPUTES = {
    *("reduce", "allocate", "log_joint", "expected_log_density", "statistics", "logsumexp"),
    *("log_density", "entr", "assess"),
}


def zone_of(place: str) -> str:
    """Return the zone of a module, by its path from the package without suffix."""
    if is_in(place, KERNEL):
        return "kernel"
    return "door" if is_in(place, DOOR) else "extension"


def is_in(place: str, listed: set[str]) -> bool:
    """Whether a module or one of its folders is listed."""
    parts = place.split("/")
    return any("/".join(parts[:n]) in listed for n in range(1, len(parts) + 1))


def named_by(path: Path, folder: tuple[str, ...], root: Path) -> Iterator[str]:
    """Yield the modules of the package that a module names, by import or by string."""
    for each in imports_of(path, folder):
        yield each.module
    for node in ast.walk(tree_of(path)):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and text.startswith(f"{root.name}.") and " " not in text:
            yield text


def module_place(module: str, root: Path) -> str | None:
    """Return the path of a module, or of that which a name stands in, from the package."""
    top, *below = module.split(".")
    if top != root.name:
        return None
    while below:
        path = root.joinpath(*below)
        if path.is_dir() or path.with_suffix(".py").exists():
            return "/".join(below)
        below.pop()
    return "__init__"


def trespasses(root: Path) -> Counter[str]:
    """Count by file what breaks the rule of the zones."""
    found: Counter[str] = Counter()
    for path in root.rglob("*.py"):
        place = path.relative_to(root).with_suffix("").as_posix()
        zone, tree = zone_of(place), tree_of(path)
        folder = (root.name, *place.split("/")[:-1])
        if zone == "kernel":
            named = {module_place(module, root) for module in named_by(path, folder, root)}
            zones = [zone_of(other) for other in named if other and "/" in other]
            found[place] += sum(other != "kernel" for other in zones)
            found[place] += sum(map(asks_what_it_is, ast.walk(tree)))
        elif zone == "door":
            allowed = is_in(place, COMPUTING_ADDITIONS)
            found[place] += 0 if allowed else sum(map(computes, ast.walk(tree)))
        elif any(
            zone_of(module_place(module, root) or "errors") == "door"
            for module in named_by(path, folder, root)
        ):
            found[place] += 1
    return +found


def asks_what_it_is(node: ast.AST) -> bool:
    """Whether code asks an object for an attribute, or compares a foreign name."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "hasattr"
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    strings = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
    named = any(isinstance(side, ast.Attribute) and side.attr in ("name", "noun") for side in sides)
    return named and bool(strings & FOREIGN_NAMES)


def computes(node: ast.AST) -> bool:
    """Whether code of the door calls a function that computes."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in COMPUTES


def test_the_kernel_names_nothing_else_and_the_door_computes_nothing():
    assert trespasses(PACKAGE) == {}


def inward(root: Path) -> list[str]:
    """List where a module of the programme names an addition: it looks it up by entries."""
    found = []
    for path in root.rglob("*.py"):
        place = path.relative_to(root).with_suffix("").parts
        if place[0] in ADDITIONS | {"__init__", "__main__", "additions"}:
            continue
        named = {
            module_place(name, root) for name in named_by(path, (root.name, *place[:-1]), root)
        }
        parts = {other.partition("/")[0] for other in named if other}
        found += [f"{'/'.join(place)} {part}" for part in sorted(parts & ADDITIONS)]
    return sorted(found)


def test_the_programme_imports_no_addition(tmp_path):
    assert inward(PACKAGE) == []
    files = {
        "estimators/lazy.py": "def f():\n    from pkg.sequences.data import A\n",
        "plots/typed.py": "if TYPE_CHECKING:\n    from pkg.report import page\n",
        "io/string.py": "import_module('pkg.mcmc.draws')\n",
        "shell/app.py": "from pkg.report import page\n",
        "sequences/data.py": "class A: ...\n",
        "report/page.py": "",
        "mcmc/draws.py": "",
    }
    expected = ["estimators/lazy sequences", "io/string mcmc", "plots/typed report"]
    assert inward(write(tmp_path / "pkg", files)) == expected


@pytest.mark.slow
def test_the_kernel_runs_alone(tmp_path):
    """Its folders are copied without the others, and its tests pass on the copy."""
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).with_suffix("").as_posix()
        folder = path.name == "__init__.py" and any(
            each.startswith(place.removesuffix("__init__")) for each in KERNEL
        )
        if place != "__init__" and (folder or zone_of(place) == "kernel"):
            copy = tmp_path / "bayesmix" / path.relative_to(PACKAGE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    (tmp_path / "bayesmix" / "__init__.py").write_text("")
    assert not (tmp_path / "bayesmix" / "estimators").exists()
    tests = Path(__file__).parent / "kernel"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    run = subprocess.run(
        [*command, "--rootdir", str(tests), str(tests)],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2_000:]


def test_each_trespass_is_seen(tmp_path):
    files = {
        "em/run.py": "def f(x):\n    from pkg.posterior import draws\n    hasattr(x, 'a')\n",
        "em/string.py": "import_module('pkg.plots.density')\n",
        "em/name.py": "def f(x):\n    return x.name == 'product'\n",
        "core/rows.py": "if TYPE_CHECKING:\n    from pkg.allocation.gate import Gate\n",
        "estimators/base.py": "def f(source, step):\n    return source.reduce(step, 1)\n",
        "plots/density.py": "from pkg.estimators.base import f\n",
        "numerics/sound.py": "from pkg.core import rows\n",
        "posterior/draws.py": "from pkg.em import run\n",
        "allocation/gate.py": "class Gate: ...\n",
    }
    expected = {
        "em/run": 2, "em/string": 1, "em/name": 1, "core/rows": 1, "estimators/base": 1,
        "plots/density": 1,
    }  # fmt: skip
    assert trespasses(write(tmp_path / "pkg", files)) == expected


def assembled(tree: ast.Module) -> Iterator[int]:
    """Lines that run text as code or make a class from strings."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in {"exec", "eval", "make_dataclass"} or (name == "type" and len(node.args) == 3):
            yield node.lineno


def test_classes_are_classes():
    assert list(assembled(ast.parse("exec('a')\ntype('A', (), {})\ntype(a)"))) == [1, 2]
    assert {path: list(assembled(tree_of(path))) for path in PACKAGE.rglob("*.py")} == {
        path: [] for path in PACKAGE.rglob("*.py")
    }


# Files outside ``families/`` that name a concrete family or component, and why.
FAMILIES_BY_NAME = {
    "assess/discriminant_directions.py": "directions are defined for normal components",
    "assess/divergence.py": "closed forms of two normal mixtures",
    "assess/goodness_of_fit.py": "distances of normal components have a known distribution",
    "classification/classifier.py": "the estimator of normal classes has its own options",
    "data/coded_frames.py": "codes of frames by part of a product",
    "data/column_families.py": "families of the kinds of columns",
    "estimators/base.py": "attributes of GaussianMixture under scikit-learn's names",
    "estimators/gaussian.py": "priors of GaussianMixture",
    "estimators/inputs/given_parameters.py": "names and levels are those of the parts of a product",
    "estimators/inputs/held_parameters.py": "covariances are held as matrices, shares as rows",
    "estimators/inputs/incoming.py": "which families read frames of several kinds",
    "estimators/inputs/missing_rows.py": "the remedy names the argument of GaussianMixture",
    "estimators/mixture.py": "attributes under scikit-learn's names",
    "estimators/searching/feature_selection.py": "normal features are transformed to symmetry",
    "estimators/searching/powers.py": "powers are of normal columns",
    "estimators/searching/scatter.py": "noise and Student-t components compete with normal ones",
    "estimators/select.py": "kinds of columns, as users declare them",
    "latent_class_analysis/class_profiles.py": "profiles of answers are defined for latent classes",
    "latent_class_analysis/latent_classes.py": "classes of categorical components",
    "observation/instrument.py": "errors of measurement are convolved with normal components",
    "observation/true_values.py": "errors of measurement are convolved with normal components",
    "plots/subject.py": "the remedy of products",
    "regressions/regression_columns.py": "responses of regressions, not families",
    "regressions/regression_mixture.py": "responses of regressions, not families",
    "relevance/relevance_search.py": "nominal levels are split into indicators",
    "report/assumptions.py": "columns on the log scale are named apart from their prior",
    "shell/data.py": "options of the shell by the names that its user writes",
    "shell/fits.py": "which estimator a named family has",
}


@cache
def concrete_families() -> tuple[set[str], set[str]]:
    """Names of the classes of families, their components and priors; and names of families."""
    classes = {record.__name__ for record in registry.saved_records()}
    public = {name for entry in registry.FAMILIES.values() for name in entry.public}
    return classes | public, set(registry.FAMILIES)


def families_named(tree: ast.Module) -> Iterator[int]:
    """Lines that ask for a concrete family, a field that some families have, or a family's name."""
    classes, names = concrete_families()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            asked = node.func.id
            if asked in {"isinstance", "issubclass"} and identifiers(node.args[1]) & classes:
                yield node.lineno
            constant = asked in {"hasattr", "getattr"} and isinstance(node.args[1], ast.Constant)
            if constant and is_family(node.args[0]):
                yield node.lineno
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(
                isinstance(s, ast.Attribute) and s.attr == "name" and is_family(s.value)
                for s in sides
            ):
                yield node.lineno
        elif isinstance(node, ast.Dict):
            keys = [key for key in node.keys if key is not None]
            strings = {key.value for key in keys if isinstance(key, ast.Constant)}
            if strings & names or any(identifiers(key) & classes for key in keys):
                yield node.lineno


def identifiers(node: ast.AST) -> set[str]:
    """Names and last attributes in an expression."""
    inside = list(ast.walk(node))
    plain = {each.id for each in inside if isinstance(each, ast.Name)}
    return plain | {each.attr for each in inside if isinstance(each, ast.Attribute)}


def is_family(node: ast.AST) -> bool:
    """Whether an expression is named as a family or as components."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in {"family", "components", "part", "point"}


def test_families_are_known_by_name_where_there_is_a_reason():
    made_up = (
        "isinstance(a, Poisson)\nhasattr(x.family, 'rates')\nfamily.name == 'beta'\n{'gamma': 1}"
    )
    assert sorted(families_named(ast.parse(made_up))) == [1, 2, 3, 4]
    named = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "families" and any(families_named(tree_of(path)))
    }
    assert named == set(FAMILIES_BY_NAME)
