"""Order of answers in words, such as "never" to "always", and of labels such as "1 = never"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bayesmix.families.coding import Level

# From the least to the most; "neutral" is also "neither agree nor disagree".
SCALES = (
    "never, hardly ever, almost never, rarely, seldom, occasionally, sometimes, often, frequently, "
    "usually, very often, almost always, always",
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
# Between labels of both ends of a scale, numbers may stand alone.
LABEL = re.compile(r"(-?\d+)(\D.*)?")
UNORDERED = "give it by an ordered category, or as ratings with labels like '1 = never'"


def plain_words(level: Level) -> str:
    """Return the words of an answer such as "2 - Strongly_agree" or "StronglyAgree"."""
    words = re.sub(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])", " ", str(level)).strip().lower()
    return "neutral" if words.startswith("neither ") else words


def ranked(levels: Sequence[Level]) -> tuple[int | None, dict[int, Level]]:
    """Return the number of a scale in words, if any, and the levels by their ranks.

    Ranks are the numbers of labels, or those of words; there are none without an order.
    """
    words = [*map(plain_words, levels)]
    scale = next((i for i, ranks in enumerate(RANKS) if ranks.keys() >= {*words}), None)
    labels = [LABEL.fullmatch(level) for level in levels if isinstance(level, str)]
    numbers = [int(label[1]) for label in labels if label]
    if len(numbers) < len(levels) and scale is not None:
        numbers = [RANKS[scale][word] for word in words]
    by_rank = dict(sorted(zip(numbers, levels, strict=False)))
    return scale, by_rank if len(by_rank) == len(levels) else {}


def except_for(levels: Sequence[Level]) -> list[str]:
    """Return the levels beside a majority that is on a scale or has numbers, if there is one."""
    texts = {str(level): plain_words(level) for level in levels}
    on_scale = [[text for text, words in texts.items() if words in ranks] for ranks in RANKS]
    on_scale.append([text for text in texts if re.fullmatch(r"-?\d+", text)])
    majority = max(on_scale, key=len)
    beside = [text for text in texts if text not in majority]
    return beside if 2 * len(beside) < len(texts) else []
