"""How Sphinx builds the documentation: `make docs`."""

import re
import sys
from pathlib import Path
from typing import Any

from bayesmix.version import __version__

_here = Path(__file__).parent
sys.path.insert(0, str(_here / "_ext"))

project = "bayesmix"
author = "bayesmix developers"
copyright = author
release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    # Local extensions in _ext/.
    "breakable",
    "command_help",
    "gallery",
    "mathml",
    "notebook_pages",
]
# No intersphinx and no MathJax: neither the build nor the pages depend on other servers.

exclude_patterns = ["_build", "_ext"]

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings write `name` for code.
default_role = "literal"
autosummary_generate = False
autodoc_member_order = "bysource"
# Docstrings describe types in words; annotations are for type checkers.
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
# Show attributes like parameters; other styles add a line per type or drop underscores.
napoleon_custom_sections = [("Attributes", "params_style")]
python_display_short_literal_types = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
add_module_names = False

html_theme = "furo"
html_title = f"bayesmix {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0072B2",
        "color-brand-content": "#005f94",
    },
    "dark_css_variables": {
        "color-brand-primary": "#56B4E9",
        "color-brand-content": "#7cc4ee",
    },
}


def _skipped(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the methods of scikit-learn's metadata routing."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Any) -> None:
    """Connect the filter of members."""
    app.connect("autodoc-skip-member", _skipped)
