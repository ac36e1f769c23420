"""Order of answers in words, such as "never" to "always", and of labels such as "1 = never"."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from bayesmix.families.coding import Level

# From the least to the most; "neutral" is also "neither agree nor disagree".
SCALES = (
    "never, hardly ever, almost never, rarely, seldom, occasionally, sometimes, often, frequently, "
    "usually, very often, most of time, most of the time, almost always, always",
    "not at all, several days, more than half the days, nearly every day",
    "not at all, a little, a little bit, slightly, somewhat, moderately, quite a bit, a lot, very, "
    "very much, extremely",
    "strongly disagree, disagree, somewhat disagree, slightly disagree, neutral, undecided, "
    "slightly agree, somewhat agree, agree, strongly agree",
    "very dissatisfied, dissatisfied, somewhat dissatisfied, neutral, somewhat satisfied, "
    "satisfied, very satisfied",
    "very unlikely, unlikely, neutral, likely, very likely",
    "very poor, poor, bad, fair, average, good, very good, excellent",
    "none, normal, mild, moderate, severe, very severe",
    "none, very low, low, normal, average, medium, mid, middle, moderate, high, very high",
    "no, none, weak, moderate, strong, very strong",
    "extra small, small, medium, large, extra large",
)
RANKS = [{word: rank for rank, word in enumerate(scale.split(", "))} for scale in SCALES]
# Between labels of both ends of a scale, numbers may stand alone. Classes of numbers begin with
# their lower end, "2,600 to 5,200", or are open: "<5", "under 2,600", "10+", "above 36,400".
LABEL = re.compile(
    r"(?P<below><=?|(?:under|below|less than|up to)\b)?(?P<above>>=?|(?:over|above|more than)\b)?"
    r" ?[$€£]?(?P<number>-?\d{1,3}(?:,\d{3})+|-?\d+)(?P<rest>\D.*)?",
    re.IGNORECASE,
)
# What follows the number of a class.
OF_A_CLASS = re.compile(r"\s*(?:[-+–]|to\b|or\b|and\b).*", re.IGNORECASE)
UNORDERED = "give it by an ordered category, or as ratings with labels like '1 = never'"


def plain_words(level: Level) -> str:
    """Return the words of an answer such as "2 - Strongly_agree" or "StronglyAgree"."""
    words = re.sub(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])", " ", str(level)).strip().lower()
    return "neutral" if words.startswith("neither ") else words


def ranked(levels: Sequence[Level]) -> tuple[int | None, dict[float, Level]]:
    """Return the number of a scale in words, if any, and the levels by their ranks.

    Ranks are the numbers of labels, or those of words; there are none without an order.
    """
    words = [*map(plain_words, levels)]
    scale = next((i for i, ranks in enumerate(RANKS) if ranks.keys() >= {*words}), None)
    numbers = [number for level in levels if (number := number_of(level)) is not None]
    if len(numbers) < len(levels) and scale is not None:
        numbers = [RANKS[scale][word] for word in words]
    by_rank = dict(sorted(zip(numbers, levels, strict=False)))
    return scale, by_rank if len(by_rank) == len(levels) else {}


def number_of(level: Level, class_only: bool = False) -> float | None:
    """Return the number of a label, or None; open classes are below or above their end.

    ``class_only``: None for labels with other words, such as "2 doors".
    """
    label = LABEL.fullmatch(level.strip()) if isinstance(level, str) else None
    if label is None:
        return None
    below, above, rest = bool(label["below"]), bool(label["above"]), label["rest"]
    if class_only and not (below or above or rest is None or OF_A_CLASS.fullmatch(rest)):
        return None
    return int(label["number"].replace(",", "")) + 0.5 * (above - below)


def except_for(levels: Sequence[Level]) -> list[str]:
    """Return the levels beside a majority that is on a scale or has numbers, if there is one."""
    texts = {str(level): plain_words(level) for level in levels}
    on_scale = [[text for text, words in texts.items() if words in ranks] for ranks in RANKS]
    on_scale.append([text for text in texts if number_of(text, class_only=True) is not None])
    majority = max(on_scale, key=len)
    beside = [text for text in texts if text not in majority]
    return beside if 2 * len(beside) < len(texts) else []


def in_order(levels: Collection[Level]) -> list[Level]:
    """Return levels that are not text first, then those on a scale, then the others, sorted."""
    words = {level: plain_words(level) for level in levels}
    scale = max(RANKS, key=lambda ranks: sum(word in ranks for word in words.values()))
    on_scale = 2 * sum(word in scale for word in words.values()) > len(words)

    def place(level: Level) -> tuple[bool, bool, float, Any]:
        number = number_of(level)
        if number is None and on_scale:
            number = scale.get(words[level])
        return isinstance(level, str), number is None, number or 0.0, level

    return sorted(levels, key=place)
