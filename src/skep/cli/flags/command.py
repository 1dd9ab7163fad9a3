"""A command as a value: what it is called with, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from skep.cli.errors import Failure
from skep.cli.flags.flag import Flag, Options

if TYPE_CHECKING:
    from skep.cli.session import Session

Run = Callable[["Session", Options, list[str]], int | None]


class Arity(NamedTuple):
    """How many arguments; `most` is None when there is no limit."""

    least: int = 0
    most: int | None = 0

    def complaint(self, count: int) -> str | None:
        """What is wrong with `count` arguments, in docker's words; None when it is right."""
        if count >= self.least and (self.most is None or count <= self.most):
            return None
        if self.most == 0:
            return "accepts no arguments"
        if self.most is None:
            return f"requires at least {_arguments(self.least)}"
        if self.least == self.most:
            return f"requires {_arguments(self.least)}"
        if self.least == 0:
            return f"requires at most {_arguments(self.most)}"
        return f"requires at least {self.least} and at most {_arguments(self.most)}"


def _arguments(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"


NONE = Arity()
ONE = Arity(1, 1)
TWO = Arity(2, 2)
AT_MOST_ONE = Arity(0, 1)
SOME = Arity(1, None)
ANY = Arity(0, None)


class Command(NamedTuple):
    """`words` is what follows the command's name in its usage line, without [OPTIONS].

    `interspersed` is false where everything after the first argument belongs to another program.
    """

    words: str
    run: Run
    arity: Arity = NONE
    flags: tuple[Flag, ...] = ()
    interspersed: bool = True
    notes: str = ""

    def usage(self, path: str) -> str:
        options = "[OPTIONS]" if any(not flag.hidden for flag in self.flags) else ""
        return " ".join(part for part in ("Usage: ", path, options, self.words) if part)

    def check_arity(self, path: str, arguments: list[str]) -> None:
        complaint = self.arity.complaint(len(arguments))
        if complaint:
            raise Failure(
                f"skep: '{path}' {complaint}\n\n{self.usage(path)}\n\n"
                f"Run '{path} --help' for more information"
            )
