"""Lists: rows with named fields, shown as a table, through a template, or as JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from skep.cli.errors import Failure
from skep.cli.show.functions import FORMAT_FUNCTIONS
from skep.cli.show.table import align
from skep.template import Template, TemplateError, compile_template

_TABLE = "table"
_JSON = "json"


class Field(NamedTuple):
    """`header` is the column's; `get` reads the field from a row.

    A field that takes an argument in templates (`.Label "x"`) has functions for both.
    """

    header: str | Callable[..., str]
    get: Callable[[Any], Any]


Fields = Mapping[str, Field]


class RowView(Mapping[str, Any]):
    """A row as templates see it: fields are read when they are asked for."""

    def __init__(self, fields: Fields, row: Any) -> None:
        self._fields = fields
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._fields[name].get(self._row)

    def __iter__(self) -> Iterator[str]:
        """The fields that JSON shows: those that are values."""
        return iter(
            name for name in sorted(self._fields) if not callable(self._fields[name].header)
        )

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __len__(self) -> int:
        return sum(1 for _ in self)


def render(text: str, table: str, fields: Fields, rows: Sequence[Any]) -> str:
    """`rows` in the form that `--format` asks for.

    `text` is the flag's value (empty: a table); `table` the noun's own table, a template with
    tabs. Raises Failure for a template that cannot be parsed or executed.
    """
    layout = text or _TABLE
    if layout == _JSON:
        return "".join(_execute(compile_format("{{json .}}"), fields, row) for row in rows)
    if layout != _TABLE and not layout.startswith(_TABLE + " "):
        template = compile_format(layout)
        return "".join(_execute(template, fields, row) for row in rows)
    template = compile_format(layout.removeprefix(_TABLE).strip() or table)
    headers = {name: field.header for name, field in fields.items()}
    lines = _lines(template.execute(headers))
    for row in rows:
        lines += _lines(_execute(template, fields, row))
    return align(lines)


def compile_format(text: str) -> Template:
    r"""A template from a flag, in which \t and \n stand for what they say."""
    try:
        return compile_template(text.replace("\\t", "\t").replace("\\n", "\n"), FORMAT_FUNCTIONS)
    except TemplateError as error:
        raise Failure(f"failed to parse template: {error}") from None


def _execute(template: Template, fields: Fields, row: Any) -> str:
    try:
        return template.execute(RowView(fields, row), missing="unprintable") + "\n"
    except TemplateError as error:
        known = ", ".join(f".{name}" for name in sorted(fields))
        raise Failure(f"failed to execute template: {error} (there is {known})") from None


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")
