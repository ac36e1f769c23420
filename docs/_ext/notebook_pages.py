"""Notebooks as pages: `notebooks/*.ipynb`, as executed, become `tutorials/generated/*.md`.

Text stays text, code becomes a block of code, and of every output the richest form that a page can
show is taken. Nothing is executed here: `make notebook` does that.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

ENDS_OF_IMAGES = {"image/png": "png", "image/svg+xml": "svg"}
FORMULA = re.compile(r"(?<![$\\])\$(?!\$)[^$]+\$(?!\$)")
COLOURS_OF_TERMINALS = re.compile(r"\x1b\[[0-9;]*m")


def write_pages(app: Any) -> None:
    """Write one page per notebook before Sphinx collects pages."""
    source = Path(app.srcdir)
    folder = source / "tutorials" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    notebooks = sorted((source.parent / "notebooks").glob("*.ipynb"))
    for page in folder.glob("*.md"):
        if page.stem not in [path.stem for path in notebooks]:
            page.unlink()
    for path in notebooks:
        page = folder / f"{path.stem}.md"
        text = _page(path, folder)
        # An unchanged page keeps its time, so that Sphinx does not build it again.
        if not page.exists() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")


def _page(path: Path, folder: Path) -> str:
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    parts: list[str] = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            # As in Jupyter, a formula is not Markdown: a line of it may begin with a plus sign.
            parts.append(FORMULA.sub(lambda m: re.sub(r"\n[> ]*", " ", m[0]), cell.source))
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(_fenced("python", cell.source))
            for place, output in enumerate(cell.outputs):
                parts.append(_shown(output, folder, f"{path.stem}-{number}-{place}"))
    return "\n\n".join(part for part in parts if part) + "\n"


def _fenced(kind: str, text: str) -> str:
    ticks = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{ticks}{kind}\n{text.rstrip()}\n{ticks}"


def _shown(output: Any, folder: Path, name: str) -> str:
    if output.output_type == "stream":
        return _fenced("{code-block} text\n:class: output\n", _plain(output.text))
    if output.output_type == "error":
        return _fenced("{code-block} text\n:class: output\n", f"{output.ename}: {output.evalue}")
    for kind, end in ENDS_OF_IMAGES.items():
        if kind in output.data:
            content = output.data[kind]
            raw = base64.b64decode(content) if end == "png" else content.encode("utf-8")
            (folder / f"{name}.{end}").write_bytes(raw)
            return f"```{{image}} {name}.{end}\n:class: output\n:alt: {_alternative(output)}\n```"
    if "text/html" in output.data:
        html = f'<div class="output table-wrapper">{output.data["text/html"]}</div>'
        return _fenced("{raw} html", html)
    if "text/plain" in output.data:
        return _fenced("{code-block} text\n:class: output\n", _plain(output.data["text/plain"]))
    return ""


def _plain(text: str) -> str:
    return COLOURS_OF_TERMINALS.sub("", text)


def _alternative(output: Any) -> str:
    return str(output.get("metadata", {}).get("alt", "figure that the code above draws"))


def setup(app: Any) -> dict[str, bool]:
    """Connect to the start of the build."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
