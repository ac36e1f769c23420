"""The documents are true: their code runs as printed, and no name and no module is left out.

In README.md and docs/ a block of `python` with prompts is a doctest. Without prompts it is run, and
a block of `text` right after it is what it prints. Of a block of `console` every line that begins
with `$` is run in a shell, and what follows is what it prints. The blocks of a document share their
names and a folder, which is empty at its beginning. Warnings are printed, so that a document shows
them or has none. `...` stands for anything.
"""

import contextlib
import doctest
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import pytest

import bayesmix as bm

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"^(?P<ticks>`{3,})(?P<kind>\w+)[ ]*\n(?P<text>.*?)^(?P=ticks)[ ]*$", re.MULTILINE | re.DOTALL
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
KINDS = ("python", "console")


@dataclass(frozen=True)
class Block:
    """Code of a document, the line it begins at, and what it prints where that stands apart."""

    kind: str
    text: str
    line: int
    printed: str | None = None


def pages():
    """Every page that a person wrote."""
    made = ("_build", "generated")
    return [
        path
        for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
        if not any(part in made for part in path.relative_to(ROOT).parts)
    ]


def read(path):
    return path.read_text("utf-8")


def blocks_of(path):
    text = read(path)
    found = list(FENCE.finditer(text))
    for number, fence in enumerate(found):
        if fence["kind"] not in KINDS:
            continue
        after = found[number + 1] if number + 1 < len(found) else None
        beside = after is not None and not text[fence.end() : after.start()].strip()
        printed = after["text"] if beside and after["kind"] == "text" else None
        line = text.count("\n", 0, fence.start()) + 1
        yield Block(fence["kind"], fence["text"], line, printed)


WITH_CODE = [path for path in pages() if any(blocks_of(path))]


def named(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_CODE, ids=named)
def test_the_code_of_a_document_runs_as_printed(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("COLUMNS", "100")
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    # The program is that of this tree, wherever the environment has the package from.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = shown
        for block in blocks_of(path):
            if problems := RUN[block.kind](block, named(path), names):
                pytest.fail(problems, pytrace=False)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def shown(message, category, *place, **more):
    print(f"{category.__name__}: {message}")


def run_python(block, document, names):
    if ">>>" not in block.text:
        printed = io.StringIO()
        lines = "\n" * block.line + block.text
        with contextlib.redirect_stdout(printed):
            exec(compile(lines, document, "exec"), names)
        return difference(block.text, block.printed or "", printed.getvalue())
    test = doctest.DocTestParser().get_doctest(block.text, names, document, document, block.line)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS | doctest.REPORT_NDIFF)
    runner.run(test, out=report.write, clear_globs=False)
    names.update(test.globs)
    return report.getvalue() if runner.failures else ""


def run_console(block, document, names):
    problems = []
    for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = piece.partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command = command[:-1] + more.strip()
        problems.append(difference(command, expected, printed_by(command)))
    return "\n".join(filter(None, problems))


def printed_by(command):
    """What a command prints; the program runs here, since a process takes seconds."""
    if command.startswith("bayesmix ") and not set(command) & set("|;<>$&"):
        from bayesmix.shell import main

        printed = io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            contextlib.suppress(SystemExit),
        ):
            patch.setattr(sys, "argv", shlex.split(command))
            main()
        return printed.getvalue()
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


RUN = {"python": run_python, "console": run_console}


def difference(source, expected, found):
    """A report where what was printed is not what stands there."""
    example = doctest.Example(source, expected)
    checker = doctest.OutputChecker()
    # Elsewhere an empty line would have to be written <BLANKLINE>.
    if checker.check_output(expected, found, FLAGS):
        return ""
    return f"{source.strip()}\n{checker.output_difference(example, found, FLAGS)}"


# Commands in blocks of `sh` set an environment up: they are what make does, which CI runs. Of the
# blocks of `py` one compiles a model for most of a minute, as tests/test_sampling_nuts.py does; the
# other needs anndata, as tests/test_scverse.py does.
NOT_RUN_HERE = {"text", "sh"}
ELSEWHERE = {("docs/how-to/pymc.md", "py"), ("docs/how-to/embeddings.md", "py")}


def test_every_block_of_code_is_run():
    kinds = {
        (named(path), fence["kind"]) for path in pages() for fence in FENCE.finditer(read(path))
    }
    assert {kind for place, kind in kinds - ELSEWHERE} <= {*KINDS, *NOT_RUN_HERE}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_commands_that_set_up_are_those_that_make_runs():
    found = [
        line.partition("#")[0].strip()
        for path in pages()
        for fence in FENCE.finditer(read(path))
        if fence["kind"] == "sh"
        for line in fence["text"].splitlines()
    ]
    assert len(found) > 5
    stale = ("-W", "pyproject.toml")
    dry = subprocess.run(
        ["make", "-n", *stale, "demo", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    runs = dry.stdout.replace("--quiet --disable-pip-version-check ", "")
    of_make = {f"make {stage}" for stage in stages()}
    assert [line for line in found if line and line not in runs and line not in of_make] == []


def stages():
    """What CI asks of make."""
    script = read(ROOT / ".ci" / "run")
    calls = re.findall(r"^(?:run|one_after_the_other) ([a-z -]+)", script, re.MULTILINE)
    return " ".join(calls).split()


def test_commands_within_sentences_are_there():
    from typer.main import get_command

    from bayesmix.shell.app import app
    from benchmarks.__main__ import PARTS

    program, targets = get_command(app), read(ROOT / "Makefile")
    wrong = []
    for path in [*pages(), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for text in re.findall(r"`((?:bayesmix|make|python -m)\s[^`]+)`", read(path)):
            words = text.split()
            if words[0] == "make":
                known = all(re.search(rf"^{w}:", targets, re.M) for w in words[1:] if "=" not in w)
            elif words[0] == "python":
                module, *parts = words[2:]
                ours = find_spec(module) is not None
                named_parts = [w for w in parts if module == "benchmarks" and w[0] != "-"]
                known = ours and set(named_parts) <= set(PARTS)
            else:
                known = offered(program, words[1:])
            if not known:
                wrong.append((named(path), text))
    assert wrong == []


def offered(program, words):
    """Whether the program has this command, or option, and all options that are named."""
    command = program.commands.get(words[0])
    options = {name for one in (command or program).params for name in one.opts}
    options |= {"--help", "--install-completion"}
    return (command is not None or words[0] in options) and {
        word for word in words if word.startswith("--")
    } <= options


# Nothing is left out


def test_every_public_name_has_its_place_in_the_reference():
    text = "\n".join(path.read_text("utf-8") for path in sorted((DOCS / "reference").glob("*.md")))
    described = set(re.findall(r"(?:auto\w+::|Also) `*bayesmix\.(?:plots\.|results\.)?(\w+)", text))
    names = {*bm.__all__, *bm.plots.__all__, *bm.results.__all__} - {"plots", "results"}
    assert names - described == set()


def test_every_figure_has_an_example_and_its_picture_in_the_reference():
    figures = set(bm.plots.__all__)
    scripts = {path.stem: path.read_text("utf-8") for path in (ROOT / "examples").glob("*.py")}
    # `plot` of a region, and of what was found about K, is one of these functions.
    drawn = set(re.findall(r"bm\.(?:plots\.)?(plot_\w+)\(", "".join(scripts.values()))) | {
        "plot_region"
    }
    assert figures - drawn == set()
    page = (DOCS / "reference" / "plots.md").read_text("utf-8")
    name, image = r"bayesmix\.(?:plots\.)?(plot_\w+)", r"\.\. image:: \.\./generated/(\w+)\.png"
    shown = dict(re.findall(rf"autofunction:: {name}\n\n +{image}", page))
    assert set(shown) == figures
    for name, script in shown.items():
        assert name in scripts[script] or name == "plot_region"
        assert f"gallery.html#{script.replace('_', '-')}" in page


def test_the_page_on_results_names_every_field_of_a_result():
    page = (DOCS / "reference" / "results.md").read_text("utf-8")
    kinds = (property, cached_property)
    properties = {
        name for name, value in vars(bm.results.FitResult).items() if isinstance(value, kinds)
    }
    names = {field.name for field in fields(bm.results.FitResult)} | properties - {"log_volume"}
    assert sorted(name for name in names if f"`{name}`" not in page) == []


def test_the_page_on_the_design_names_every_part():
    page = (DOCS / "explanation" / "design.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| \d", page, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    parts = {path.stem for path in (ROOT / "bayesmix").iterdir() if path.suffix in ("", ".py")}
    assert listed == {name for name in parts if not name.startswith("_")}


def test_the_map_names_the_functions_that_a_fit_runs_once_and_in_order():
    page = (DOCS / "explanation" / "design.md").read_text("utf-8")
    walk = page.split("### From `fit` to the product and back")[1].split("###")[0]
    named = re.findall(r"`([a-z_]+)`", walk.split("1. ", 1)[1])
    entered: list[str] = []

    def note(frame, event, _):
        if event == "call" and "bayesmix" in frame.f_code.co_filename:
            entered.append(frame.f_code.co_name)

    X = bm.datasets.load_iris().select_dtypes("number").to_numpy()
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        bm.GaussianMixture(3, search=None, random_state=0).fit(X)
    finally:
        sys.setprofile(before)
    assert len(named) == len(set(named)) > 20
    calls = iter(entered)
    assert [name for name in named if name not in calls] == []  # each is called after the last


def test_the_code_that_the_page_on_notation_points_at_is_there():
    page = (DOCS / "explanation" / "notation.md").read_text("utf-8")
    homes = "allocation|core|em|families|numerics"
    places = re.findall(rf"`((?:{homes})\.[\w.]+)`", page)
    assert len(places) > 30
    assert [place for place in places if not is_there(place)] == []


def is_there(place):
    """Whether `module.Class.member` exists, fields of dataclasses included."""
    parts = place.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value = importlib.import_module("bayesmix." + ".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if part in getattr(value, "__annotations__", {}):
                return True
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def test_decisions_are_few_of_thirty_lines_at_most_and_all_are_listed():
    decisions = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in decisions]
    assert 0 < len(numbers) == len(set(numbers)) <= 30
    assert {
        named(p): n for p in decisions if (n := len(p.read_text("utf-8").splitlines())) > 30
    } == {}
    listed = (DOCS / "decisions" / "index.md").read_text("utf-8")
    assert [path.stem for path in decisions if path.stem not in listed] == []


MADE = ("gallery.md", *(f"{script.stem}.png" for script in (ROOT / "examples").glob("*.py")))
MADE_BY_THE_BUILD = {f"{up}generated/{name}" for up in ("", "../") for name in MADE}


def test_links_from_page_to_page_lead_somewhere():
    others = [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
    links = [
        (named(path), link)
        for path in [*pages(), *others]
        for link in re.findall(r"\]\((?!\w+:)([^)#\s]+)", path.read_text("utf-8"))
        if not (path.parent / link).exists() and link not in MADE_BY_THE_BUILD
    ]
    assert links == []


# The runner itself finds what is wrong


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("```python\n>>> 1 + 1\n2\n```\n", True),
        ("```python\n>>> 1 + 1\n3\n```\n", False),
        ("```python\nprint(1)\n```\n\n```text\n1\n```\n", True),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", False),
        ("```python\nprint(1)\n```\n", False),
        ("```python\n>>> import warnings; warnings.warn('no')\n```\n", False),
        ("```console\n$ echo a; echo b\na\nb\n```\n", True),
        ("```console\n$ echo a\n```\n", False),
        ("```python\n>>> a = 1\n```\nthen\n```python\n>>> a\n1\n```\n", True),
    ],
)
def test_code_that_does_not_run_as_printed_is_found(text, sound, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = shown
        names = {}
        problems = [RUN[block.kind](block, "page", names) for block in blocks_of(page)]
    assert (not any(problems)) == sound
