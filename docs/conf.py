"""The site: Sphinx reads the Markdown pages and the docstrings. Nothing in it needs a network, to build or to read."""

from __future__ import annotations

from docutils import nodes
from math_core import LatexToMathML
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.writers.html5 import HTML5Translator

import fastembed

project = "fastembed"
author = project_copyright = "The fastembed developers"
version = release = fastembed.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_argparse_cli",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]  # in which an example comes before the parameters
nitpicky = True

html_theme = "furo"
html_title = "fastembed"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"  # the prompts of sessions, and their output

myst_enable_extensions = ["dollarmath", "attrs_block"]
myst_fence_as_directive = ["math"]  # code hosts render such a block as a formula, too
myst_heading_anchors = 3

default_role = "obj"  # `name` in a docstring links to what it names; see find_name
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections give types, with shapes and dtypes
numpydoc_show_class_members = False

MATHML = LatexToMathML()


def visit_inline_math(translator: HTML5Translator, node: nodes.math) -> None:
    """Write an inline formula as MathML, which browsers show without a script."""
    _write(translator, node, displaystyle=False)


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula as MathML."""
    _write(translator, node, displaystyle=True)


def _write(translator: HTML5Translator, node: nodes.math | nodes.math_block, *, displaystyle: bool) -> None:
    translator.body.append(MATHML.convert_with_local_state(node.astext(), displaystyle=displaystyle))
    raise nodes.SkipNode


def find_name(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Link a role's target by the end of its name; leave names that have no page entry as code.

    Most names in single backticks are parameters; attributes are documented in the list of their class.
    """
    if node["reftype"] in ("obj", "attr"):
        return content
    if node.get("refdomain") != "py":
        return None
    node["refspecific"] = True
    return environment.domains["py"].resolve_xref(
        environment, node["refdoc"], app.builder, node["reftype"], node["reftarget"], node, content
    )


def format_help(app: Sphinx, document: nodes.document) -> None:
    """Split the descriptions of commands, which are plain text, into paragraphs; show text in backticks as code."""
    if app.env.docname != "command-line":
        return
    for node in list(document.findall(nodes.paragraph)):
        if all(isinstance(child, nodes.Text | nodes.inline) for child in node):
            paragraphs = []
            for text in node.astext().split("\n\n"):
                pieces = enumerate(text.split("`"))
                parts = [nodes.literal(text=piece) if i % 2 else nodes.Text(piece) for i, piece in pieces]
                paragraphs.append(nodes.paragraph("", "", *parts))
            node.replace_self(paragraphs)


def setup(app: Sphinx) -> None:
    """Connect the functions above. Sphinx' own renderers of formulas need a network, LaTeX, or a script."""
    app.connect("missing-reference", find_name)
    app.connect("doctree-read", format_help)
    app.add_html_math_renderer("mathml", (visit_inline_math, None), (visit_math_block, None))
    app.config.html_math_renderer_name = "mathml"
