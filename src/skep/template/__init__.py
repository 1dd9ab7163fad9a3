"""Go's text/template as far as docker and Swarm need it: text in, tree, text out. Pure.

lexer    template text -> tokens
parser   tokens -> a tree of nodes
values   how Go writes, compares and measures values
calls    the functions that Go's templates may call
budget   how much a template of somebody else may cost
render   tree and data -> text

Docker's `--format` adds its own functions (`cli/show/functions.py`), a service's templates theirs
(`model/template.py`).
"""

from __future__ import annotations

from skep.template.budget import UNLIMITED, Budget
from skep.template.calls import GO_FUNCTIONS, Functions
from skep.template.errors import TemplateError
from skep.template.parser import parse
from skep.template.render import Template
from skep.template.values import GoStruct

__all__ = [
    "GO_FUNCTIONS",
    "UNLIMITED",
    "Budget",
    "Functions",
    "GoStruct",
    "Template",
    "TemplateError",
    "compile_template",
]


def compile_template(
    text: str, functions: Functions = GO_FUNCTIONS, budget: Budget = UNLIMITED
) -> Template:
    """A template ready to be executed; raises TemplateError when `text` is not one."""
    budget.write(text)
    return Template(parse(text, functions, budget), functions)
