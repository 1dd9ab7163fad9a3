"""Go's text/template as far as docker's `--format` needs it: text in, tree, text out. Pure.

lexer    template text -> tokens
parser   tokens -> a tree of nodes
values   how Go writes, compares and measures values
calls    the functions that pipelines may call
render   tree and data -> text
"""

from __future__ import annotations

from skep.cli.template.errors import TemplateError
from skep.cli.template.parser import parse
from skep.cli.template.render import Template

__all__ = ["Template", "TemplateError", "compile_template"]


def compile_template(text: str) -> Template:
    """A template ready to be executed; raises TemplateError when `text` is not one."""
    return Template(parse(text))
