"""Templates of all reports: ``base.html`` is their frame, ``parts.html`` has tables and figures."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import date
from importlib.resources import files
from typing import Any

from bayesmix.core.nouns import counted, plural
from bayesmix.core.printed_numbers import probability
from bayesmix.report.subject import capital, listed
from bayesmix.report.tables import number, typeset
from bayesmix.version import __version__


def filled(template: str, **values: Any) -> str:
    """Return a template, ``"folder/name"``, with its values, which are escaped in pages."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("bayesmix", "."),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "capital": capital,
        "counted": counted,
        "plural": plural,
        "digest": lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
        # JSON for a script cannot end its element.
        "for_script": lambda value: Markup(
            json.dumps(value, allow_nan=False).replace("<", "\\u003c")
        ),
        "listed": listed,
        "number": number,
        "probability": probability,
        "typeset": typeset,
    }
    return environment.get_template(template).render(values)


def page(template: str, title: str, answer: str = "", lede: str = "", **values: Any) -> str:
    """Return a page with an answer, a sentence on it, and what ``template`` shows below."""
    frame = {"css": part("page.css"), "script": ""}
    frame["made"] = f"Made with bayesmix {__version__} on {date.today():%Y-%m-%d}."
    return filled(template, **(frame | values), title=title, answer=answer, lede=lede)


def part(name: str) -> str:
    """Return a file of this folder."""
    return files("bayesmix.report").joinpath(name).read_text("utf-8")
