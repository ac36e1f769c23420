"""Allow line breaks in long names in tables: after dots and underscores, before capitals."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

SHORT = 12
PLACES = re.compile(r"(?<=\.)(?=\w)|(?<=_)(?=[a-z])|(?<=[a-z])(?=[A-Z])")


class BreakableNames(SphinxPostTransform):
    """Insert `<wbr>`, which is not copied with the name, unlike a zero-width space."""

    default_priority = 800
    formats = ("html",)

    def run(self, **options: Any) -> None:
        """Visit every literal of every table."""
        for table in self.document.findall(nodes.table):
            for literal in list(table.findall(nodes.literal)):
                text = literal.astext()
                if len(text) > SHORT and PLACES.search(text):
                    pieces = "<wbr>".join(map(escape, PLACES.split(text)))
                    html = f'<code class="docutils literal notranslate">{pieces}</code>'
                    literal.replace_self(nodes.raw("", html, format="html"))


def setup(app: Any) -> dict[str, bool]:
    """Add the transform."""
    app.add_post_transform(BreakableNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
