"""Gallery page: every script of `examples/` with its figure, and thumbnails as links."""

from __future__ import annotations

import ast
import runpy
import warnings
from pathlib import Path
from typing import Any

HEAD = """# Gallery

All figures of bayesmix with their code: the scripts in `examples/`, run when the pages are built.

"""


def write_gallery(app: Any) -> None:
    """Write the page and its pictures before Sphinx collects pages."""
    source = Path(app.srcdir)
    folder = source / "generated"
    folder.mkdir(exist_ok=True)
    scripts = sorted((source.parent / "examples").glob("*.py"))
    for script in scripts:
        picture = folder / f"{script.stem}.png"
        if not picture.exists() or picture.stat().st_mtime < script.stat().st_mtime:
            draw(script, picture)
    text = HEAD + _thumbnails(scripts) + "".join(_section(script) for script in scripts)
    page = folder / "gallery.md"
    if not page.exists() or page.read_text("utf-8") != text:
        page.write_text(text, "utf-8")


def draw(script: Path, picture: Path) -> None:
    """Run a script and save the figure that it ends with."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(script))
    plt.gcf().savefig(picture, dpi=120)
    plt.close("all")


def _thumbnails(scripts: list[Path]) -> str:
    cards = [
        f'<a href="#{_anchor(script)}"><img alt="" loading="lazy" '
        f'src="../_images/{script.stem}.png"><span>{_said(script)[0]}</span></a>'
        for script in scripts
    ]
    return '```{raw} html\n<div class="gallery">\n' + "\n".join(cards) + "\n</div>\n```\n\n"


def _section(script: Path) -> str:
    title, about = _said(script)
    code = script.read_text("utf-8").split('"""', 2)[2].strip()
    return (
        f"({_anchor(script)})=\n## {title}\n\n{about}\n\n"
        f"```{{image}} {script.stem}.png\n:alt: {title}\n```\n\n"
        f"```{{code-block}} python\n{code}\n```\n\n"
    )


def _anchor(script: Path) -> str:
    return script.stem.replace("_", "-")


def _said(script: Path) -> tuple[str, str]:
    """Return the first line of a script's docstring, and the rest."""
    title, _, about = (ast.get_docstring(ast.parse(script.read_text("utf-8"))) or "").partition(
        "\n"
    )
    return title.rstrip("."), about.strip()


def setup(app: Any) -> dict[str, bool]:
    """For Sphinx."""
    app.connect("builder-inited", write_gallery)
    return {"parallel_read_safe": True}
