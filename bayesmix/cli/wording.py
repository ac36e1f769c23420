"""Messages in the shell's own words: options instead of arguments, and nothing that is no text."""

from __future__ import annotations

import re
from collections.abc import Sequence

# What the functions below call things, and what they are called here.
WORDS = (
    (r"\bprior='auto'", "--method map"),
    (r"\bcovariance_type='(\w+)'", r"--covariance \1"),
    (r"\bn_components=(\d+)", r"--components \1"),
    (r"\bn_components\b", "--components"),
    (r" \(of n_samples = \d+\)", ""),
    (r"\bn_samples = (\d+)", r"\1 rows"),
    (r"\brandom_state\b", "--seed"),
    (r"\bn_jobs\b", "--jobs"),
    (r"\bn_clusters\b", "--clusters"),
    (r"\bsample_weight\b", "--weight"),
    (r"\bbayesmix\.merge_components\b", "bayesmix merge"),
    (r"or read with missing='keep'", "or give --missing use"),
    (
        r"treat such columns as categories or counts",
        "take them as categories (--categorical a,b), leave them out (--exclude a,b)",
    ),
    (r"^path must name a saved model", "MODEL must name a saved model"),
    (r"^path must", "DATA must"),
    (r"^(columns|weight|exclude|categorical|keep) must", r"--\1 must"),
    (r"\b[Vv]alue error, ", ""),
)


def worded(text: str) -> str:
    """A message as it is shown: in words of the command line, one that no terminal obeys."""
    for pattern, words in WORDS:
        text = re.sub(pattern, words, text)
    return printable(text)


def printable(text: str) -> str:
    r"""Text without control characters: a column called ``\x1b[31m`` colours nothing."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode()
        for sign in text
    )


def left_out_sentence(left: Sequence[tuple[str, str]]) -> str:
    """Which columns are not used, why, and how text could be."""
    text = [name for name, why in left if why == "text"]
    how = f" (--categorical {','.join(text)} takes text as categories)" if text else ""
    return f"left out: {', '.join(f'{name} ({why})' for name, why in left)}{how}"
