"""How Sphinx makes the site; scripts/site calls it with the folder of pages that stage.py has written."""

from __future__ import annotations

import re
from typing import Any

from pygments.lexers.special import TextLexer

import neurosim

project = "neurosim"
author = "The neurosim authors"
copyright = "The neurosim authors, BSD 3-clause licence"
version = release = neurosim.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"neurosim {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True, "source_edit_link": "", "top_of_page_buttons": []}

myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 4
default_role = "code"
# An annotation says Population, and neurosim has one and neurosim.pynn another: it is shown without a link.
suppress_warnings = ["ref.python"]

# The modules of PyTorch are listed without it, so that the site is the same wherever it is built.
autodoc_mock_imports = ["torch", "snntorch", "safetensors", "triton"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
toc_object_entries = False  # they would be copied into the navigation of every page; api.py lists them
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False


_LITERAL = re.compile(r"(``.*?``|`[^`]*`)")


def escape(app: Any, what: str, name: str, made: Any, options: Any, lines: list[str]) -> None:
    """Take |x| and [B, *] in docstrings as they are meant: neither substitutions nor emphasis."""
    for k, line in enumerate(lines):
        parts = _LITERAL.split(line)
        parts[::2] = [re.sub(r"(?<![*\w])\*(?=[\w\s,\])])(?![^*\n]*\w\*)", r"\\*", part.replace("|", r"\|")) for part in parts[::2]]
        lines[k] = "".join(parts)


def setup(app: Any) -> None:
    """Add the language of the messages that blocks of code end with (tests/doc_blocks.py)."""
    app.add_lexer("error", TextLexer)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before napoleon, at 500
