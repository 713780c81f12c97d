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
smartquotes = False
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


_MATH = re.compile(r":math:`([^`]*)`")
_LETTERS = {"alpha": "α", "eta": "η", "theta": "θ", "lambda": "λ", "nabla": "∇", "ell": "ℓ"}


def plain(formula: str, where: str) -> str:
    """Return a formula in plain text: what typesets formulas in a browser would have to be loaded from elsewhere."""
    unknown = set(re.findall(r"\\([a-z]+)", formula)) - set(_LETTERS)
    if unknown:
        raise ValueError(f"{where}: the site has no letter for {', '.join(sorted(unknown))}: add it to conf.py")
    return re.sub(r"\\([a-z]+) ?", lambda found: _LETTERS[found[1]], formula)


_LITERAL = re.compile(r"(``.*?``|`[^`]*`)")


def escape(app: Any, what: str, name: str, made: Any, options: Any, lines: list[str]) -> None:
    """Take formulas, |x| and [B, *] in docstrings as they are meant: neither substitutions nor emphasis."""
    lines[:] = _MATH.sub(lambda found: f"``{plain(found[1], name)}``", "\n".join(lines)).split("\n")
    for k, line in enumerate(lines):
        if line.lstrip().startswith((">>>", "...")):
            continue
        parts = _LITERAL.split(line)
        parts[::2] = [
            re.sub(r"(?<![*\w])\*(?=[\w\s,\])])(?![^*\n]*\w\*)", r"\\*", part.replace("|", r"\|"))
            for part in parts[::2]
        ]
        lines[k] = "".join(parts)


def without_returns(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Leave out the links from code back to the reference, which are wrong where a name has several homes."""
    if page.startswith("_modules/") and "body" in context:
        context["body"] = re.sub(r'<a class="viewcode-back".*?</a>', "", context["body"])


def setup(app: Any) -> None:
    """Add the language of the messages that blocks of code end with (tests/doc_blocks.py)."""
    app.add_lexer("error", TextLexer)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before napoleon, at 500
    app.connect("html-page-context", without_returns)
