"""Formulas as MathML, made at build time by docutils: pages need no script and no server."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)
# The number of an equation, which docutils does not support.
TAG = re.compile(r"\\tag\{([^{}]*)\}")
# One half without braces, which docutils takes for twelve.
SHORT_FRACTION = re.compile(r"(\\[td]?frac)\s*(\d)\s*(\d)")
# Names of functions need space on both sides.
FUNCTION = re.compile(r"(<mi>\w{2,}</mi>\s*)<mo>&ApplyFunction;</mo>(?=\s*(<mo[^>]*>[(\[])?)")
# An accent with a subscript, which docutils puts under the letter.
ACCENT = re.compile(
    r"<munderover>\s*(<mi>[^<]*</mi>)(.*?)(<mo[^>]*>[ˉ¯ˆ^˜~_˙→]</mo>)\s*</munderover>", re.DOTALL
)
THIN = '<mspace width="0.17em"></mspace>'


def inline(translator: Any, node: nodes.math) -> None:
    """Inline formula."""
    translator.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """Display formula with its number; it scrolls on narrow screens."""
    numbers = TAG.findall(node.astext())
    number = "".join(f'<span class="number">({escape(n)})</span>' for n in numbers)
    formula = _mathml(node, as_block=True)
    translator.body.append(f'<div class="math-block"><div>{formula}</div>{number}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, as_block: bool) -> str:
    tex = SHORT_FRACTION.sub(r"\1{\2}{\3}", TAG.sub("", node.astext())).strip()
    try:
        formula = latex2mathml.tex2mathml(tex, as_block=as_block)
        formula = ACCENT.sub(r"<msub><mover>\1\3</mover>\2</msub>", formula)
        return FUNCTION.sub(lambda m: THIN + m[1] + ("" if m[2] else THIN), formula)
    except MathError as problem:
        logger.warning("formula not understood: %s", problem, location=node)
        return f"<code>{escape(tex)}</code>"


def setup(app: Any) -> dict[str, bool]:
    """Register MathML as the renderer of formulas in HTML."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
