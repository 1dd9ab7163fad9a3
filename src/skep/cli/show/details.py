"""Inspect: whole objects as indented JSON or through a template, what is missing named last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from skep.cli.errors import Failure
from skep.cli.flags.flag import Options
from skep.cli.session import Session
from skep.cli.show.functions import FORMAT_FUNCTIONS
from skep.template import Template, TemplateError, compile_template

_JSON = "json"
_BAD_TEMPLATE = 64
"""docker's exit code for it."""


def inspect_or_pretty(
    session: Session,
    options: Options,
    names: list[str],
    find: Callable[[str], Any],
    show: Callable[[Any], str],
) -> int:
    """What an `inspect` that also knows --pretty does; `show` writes an object for people."""
    layout = options.text("format")
    if not options.yes("pretty"):
        return inspect_each(session, names, layout, find)
    if layout:
        raise Failure("--format is incompatible with human friendly format")
    return _pretty_each(session, names, find, show)


def inspect_each(
    session: Session, names: list[str], layout: str, find: Callable[[str], Any]
) -> int:
    """Show what `find` gives for each name; complain of those it cannot find, exit code 1."""
    template = compile_details(layout)
    found: list[Any] = []
    failures: list[str] = []
    for name in names:
        try:
            found.append(find(name))
        except Failure as error:
            failures.append(str(error))
    session.write(render_details(found, template))
    if failures:
        session.complain("\n".join(failures))
    return 1 if failures else 0


def compile_details(layout: str) -> Template | None:
    if not layout:
        return None
    try:
        return compile_template("{{json .}}" if layout == _JSON else layout, FORMAT_FUNCTIONS)
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}", _BAD_TEMPLATE) from None


def render_details(objects: list[Any], template: Template | None) -> str:
    """A JSON array, or a line for each object."""
    if template is None:
        return json.dumps(objects, indent=4, ensure_ascii=False) + "\n"
    try:
        return "".join(template.execute(each, missing="unprintable") + "\n" for each in objects)
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}") from None


def _pretty_each(
    session: Session,
    names: list[str],
    find: Callable[[str], Any],
    show: Callable[[Any], str],
) -> int:
    """As inspect_each, but each is written as it is found."""
    code = 0
    for position, name in enumerate(names):
        try:
            found = find(name)
        except Failure as error:
            session.complain(str(error))
            code = 1
        else:
            session.write(("\n" if position else "") + show(found) + "\n")
    return code
