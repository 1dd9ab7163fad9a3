"""A flag as a value, and what a command line gave for the flags of one command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from skep.cli.flags import kinds
from skep.cli.flags.kinds import Kind, Reader


class Flag(NamedTuple):
    """`shown` is the default as help writes it; `hidden` flags are understood but not listed."""

    name: str
    short: str
    kind: Kind
    help: str
    default: Any
    shown: str = ""
    hidden: bool = False

    @property
    def label(self) -> str:
        """`-n, --last`: how messages name it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def _flag(names: str, kind: Kind, help_text: str, default: Any, shown: str, hidden: bool) -> Flag:
    *shorts, name = names.split()
    short = shorts[0].removeprefix("-") if shorts else ""
    return Flag(name.removeprefix("--"), short, kind, help_text, default, shown, hidden)


def switch(names: str, help_text: str, *, default: bool = False, hidden: bool = False) -> Flag:
    """On or off; `names` is written `-a --all`. `--all=false` turns it off, as docker's do."""
    return _flag(names, kinds.SWITCH, help_text, default, "true" if default else "", hidden)


def text(names: str, help_text: str, *, default: str = "", hidden: bool = False) -> Flag:
    return _flag(names, kinds.TEXT, help_text, default, f'"{default}"' if default else "", hidden)


def texts(names: str, help_text: str, read: Reader = str, word: str = "list") -> Flag:
    """A flag that may be given again and again; `read` checks each use as it comes."""
    return _flag(names, Kind(word, read, many=True), help_text, (), "", False)


def value(names: str, kind: Kind, help_text: str, *, default: Any = None, shown: str = "") -> Flag:
    """A flag of a kind of its own; `default` is what the command sees when it was not given."""
    return _flag(names, kind, help_text, default, shown, False)


def number(names: str, help_text: str, *, default: int = 0) -> Flag:
    return value(
        names, kinds.INT, help_text, default=default, shown=str(default) if default else ""
    )


def filters() -> Flag:
    return _flag(
        "-f --filter",
        kinds.FILTERS,
        "Filter output based on conditions provided",
        (),
        "",
        False,
    )


class Options:
    """The values of a command's flags: what was given, else the defaults."""

    def __init__(self, flags: Iterable[Flag], values: Mapping[str, Any]) -> None:
        self._defaults = {flag.name: flag.default for flag in flags}
        self._values = values

    def given(self, name: str) -> bool:
        """Whether the command line named the flag (docker: "changed")."""
        if name not in self._defaults:
            raise KeyError(name)
        return name in self._values

    def any_given(self, *names: str) -> bool:
        return any(self.given(name) for name in names)

    def value(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._defaults[name]

    def yes(self, name: str) -> bool:
        return bool(self.value(name))

    def text(self, name: str) -> str:
        return str(self.value(name))

    def number(self, name: str) -> int:
        return int(self.value(name))

    def items(self, name: str) -> list[Any]:
        return list(self.value(name))

    def has(self, name: str) -> bool:
        """Whether this command has such a flag at all (several share their code)."""
        return name in self._defaults


def given_fields(
    options: Options, fields: Iterable[tuple[str, str]], prefix: str = ""
) -> dict[str, Any]:
    """The API fields (second of each pair) whose flags (first) were given, with their values."""
    return {
        field: options.value(prefix + flag)
        for flag, field in fields
        if options.given(prefix + flag)
    }
