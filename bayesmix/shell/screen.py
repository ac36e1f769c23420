"""Standard output and standard error: answer, tables, notes, and messages for the shell."""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.table import Table

    from bayesmix.shell.options import Print


def _kinds_as_options(match: re.Match[str]) -> str:
    """Return kinds of columns, as ``columns`` has them, as options."""
    kinds: dict[str, list[str]] = {}
    for name, kind in ast.literal_eval(match[1]).items():
        kinds.setdefault(kind, []).append(name)
    return "give " + " ".join(f"--{kind} {','.join(names)!r}" for kind, names in kinds.items())


# Messages name arguments of functions; the shell has options instead.
WORDS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\bprior='auto'", "--method map"),
    (r"^times of the samples are needed, as the fit had times", "the fit had --times: give them"),
    (r"\bcovariance_type='(\w+)'", r"--covariance \1"),
    (r"\bn_components=(\d+)", r"--components \1"),
    (r"\bn_components\b", "--components"),
    (r"\bn_samples = 1\b", "1 row"),
    (r"\bn_samples = (\d+)", r"\1 rows"),
    (r"\brandom_state\b", "--seed"),
    (r"\bn_jobs\b", "--jobs"),
    (r"\bclass_predictors\b", "--gate"),
    (r"\bn_clusters\b", "--clusters"),
    (r'(?:\bset )?\bclusters="gaps"', "--gaps"),
    (r"(?:\bset )?\bclusters=None", "no --gaps"),
    (r"\bsample_weight\b", "--weight"),
    (r"\bset weight_type=", "give weight_type="),
    (r"\bweight_type='(\w+)'", r"--weight-type \1"),
    (r"\bbayesmix\.merge_components\b", "bayesmix merge"),
    (r"or read with missing='keep'", "or fit with --missing use where the model supports it"),
    (r"\bset missing='use' \(integrate them out\) or missing='drop'", "give --missing use or drop"),
    (r"\b(?:set )?missing='(\w+)'", r"--missing \1"),
    (r"\bvariable_selection=True", "--variable-selection"),
    (r"\(exclude\)", "(--exclude)"),
    (r"leave them out, or use Mixture\(family=\"auto\"\)", "give --exclude, or no --family"),
    (r"\bset noise=True", "use --noise"),
    (r"\b(?:use |set )?variable_selection=False", "leave out --variable-selection"),
    (r"\b(?:use |set )?noise=(?:None|False)", "leave out --noise"),
    (r"(?<!-)\bnoise(?:='uniform'| (?=needs|does not))", "--noise "),
    (r"\binference=bayesmix\.VariationalBayes\(\), or ", ""),  # of a classifier
    (r"\b(?:inference=)?VariationalBayes\(\)", "--method variational"),
    (r"\b(?:inference=)?MaximumAPosteriori\(\)", "--method map"),
    (r"\b(?:inference=)?MaximumLikelihood\(\)", "--method em"),
    (r"\b(criterion|family|response|irrelevant)='(\w+)'", r"--\1 \2"),
    (r"\bnovelty=True", "--novelty"),
    (r"\bencoding='", "--encoding '"),
    (r"\bset sep='", "give --sep '"),
    (r"(?<=\d)', '(?=[^\[]*'\], or replace)", ","),
    (r"\bread the file with na=\['(.*?)'\](, or replace them by NaN)?", r"give --na '\1'"),
    (r"\bdecimal=','", "--decimal ,"),
    (
        r"set columns=(\{['\"].*?': '(?:continuous|categorical|exclude)'\})(?=[;)]|$)",
        _kinds_as_options,
    ),
    (r"pass trials=\.\.\., one for each cell, row or column of X", "give --trials"),
    (r"^trials must", "--trials must"),
    (r"fit bm\.Measured\(X\)", "bayesmix select takes them"),
    (r"^path must name a saved model", "MODEL must name a saved model"),
    (r"^path must", "DATA must"),
    (
        r"^(columns|weight|exclude|categorical|continuous|counts|ratings|keep|sep|decimal|encoding|na"
        r"|fixed|random|limits|inflation|missing|sequence|order|times|covariates) must",
        r"--\1 must",
    ),
    (r"\b[Vv]alue error, ", ""),
)


def worded(text: str) -> str:
    """Return a message with options instead of arguments, without control characters."""
    for pattern, words in WORDS:
        text = re.sub(pattern, words, text)
    return printable(text)


def printable(text: str) -> str:
    r"""Return text without control characters, since a column name may contain some."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode()
        for sign in text
    )


def discard_output() -> None:
    """Discard further standard output, after its reader (as `head`) closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Terminal(Console):
    """Standard output; the work continues silently if its reader closes the pipe."""

    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True
        discard_output()


class Screen:
    """Sentences and tables on standard output, notes on standard error.

    ``--quiet`` prints the answer and the notes, ``--json`` (``machine``) only the notes.
    """

    def __init__(self, options: Print) -> None:
        self.out = Terminal(file=sys.stdout, highlight=False)
        self.quiet = options.quiet
        self.machine = options.json
        self.noted: set[str] = set()
        self.printed = ""
        self.postponed: list[str] = []

    @property
    def progress(self) -> bool | None:
        """``progress`` of estimators: a bar in a terminal."""
        return False if self.quiet or self.machine else None

    def answer(self, text: str) -> None:
        """Print the answer, wrapped in a terminal; in a pipe each sentence is a line."""
        if not self.machine:
            self.printed += " ".join(worded(text).split()) + "\n"
            self.out.print(worded(text), markup=False, soft_wrap=not self.out.is_terminal)

    def say(self, text: str = "") -> None:
        """Print text that ``--quiet`` omits."""
        if not self.quiet:
            self.answer(text)

    def heading(self, text: str) -> None:
        """Print a question that the next lines answer."""
        if not (self.quiet or self.machine):
            self.out.print(f"\n[bold]{text}[/]")

    def table(self, *tables: Table) -> None:
        """Print tables with captions, unless only the answer is wanted."""
        for text in self.postponed:
            self.note(text)
        self.postponed.clear()
        if self.quiet or self.machine:
            return
        for table in tables:
            title, table.title = table.title, None
            caption, table.caption = table.caption, None
            self.out.print()
            if title:
                self.out.print(title, style="bold")
            self.out.print(table)
            if caption:
                self.out.print(caption, style="dim")

    def postpone(self, text: str) -> None:
        """Keep a note for the results, because a command that fails prints one line only."""
        self.postponed.append(text)

    def told(self, text: str) -> None:
        """Skip a note whose content ``say`` has printed."""
        if not (self.quiet or self.machine):
            self.noted.add(worded(" ".join(text.split())))

    def note(self, text: str) -> None:
        """Print a note on standard error, once, unless an answer has said it."""
        text = worded(" ".join(text.split()))
        if text not in self.noted and text not in self.printed:
            self.noted.add(text)
            print(f"note: {text}", file=sys.stderr)

    @contextmanager
    def noting_warnings(self, note: Callable[[str], None] | None = None) -> Iterator[list[str]]:
        """Convert warnings to notes, or postpone them; the yielded list has them at the end."""
        messages: list[str] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield messages
        for warning in caught:
            if issubclass(warning.category, UserWarning):
                messages.append(str(warning.message))
                (note or self.note)(messages[-1])
