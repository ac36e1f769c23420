"""Formulas as MathML, made at build time by docutils: pages need no script and no server."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)
# The number of an equation, which docutils does not know.
TAG = re.compile(r"\\tag\{([^{}]*)\}")


def inline(translator: Any, node: nodes.math) -> None:
    """A formula within a line."""
    translator.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """A formula of its own, with its number; it scrolls by itself where the screen is narrow."""
    numbers = TAG.findall(node.astext())
    number = "".join(f'<span class="number">({escape(n)})</span>' for n in numbers)
    formula = _mathml(node, as_block=True)
    translator.body.append(f'<div class="math-block"><div>{formula}</div>{number}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, as_block: bool) -> str:
    tex = TAG.sub("", node.astext()).strip()
    try:
        return latex2mathml.tex2mathml(tex, as_block=as_block)
    except MathError as problem:
        logger.warning("formula not understood: %s", problem, location=node)
        return f"<code>{escape(tex)}</code>"


def setup(app: Any) -> dict[str, bool]:
    """Make it the way in which HTML shows formulas."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
