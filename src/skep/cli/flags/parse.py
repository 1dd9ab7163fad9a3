"""Words into flags and arguments, by the rules that docker's flags follow (spf13/pflag's).

`--name value`, `--name=value`, `-n value`, `-nvalue`, `-abc`; a switch takes a value only after
`=`; `--` ends the flags; a lone `-` is an argument. A command whose arguments are another
command's words (run, exec) stops looking for flags at the first argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from skep.cli.errors import UsageFailure
from skep.cli.flags.flag import Flag, Options, switch

HELP = switch("--help", "Print usage", hidden=True)


def parse(
    flags: Iterable[Flag], words: Sequence[str], *, interspersed: bool = True
) -> tuple[Options, list[str]]:
    """Read `words`; returns the options and the arguments that are left.

    Raises UsageFailure for a flag that is not known, lacks its value or has a wrong one.
    """
    parser = _Parser((*flags, HELP), interspersed)
    parser.run(words)
    return Options(parser.flags, parser.values), parser.arguments


class _Parser:
    def __init__(self, flags: Sequence[Flag], interspersed: bool) -> None:
        self.flags = flags
        self.values: dict[str, Any] = {}
        self.arguments: list[str] = []
        self._by_name = {flag.name: flag for flag in flags}
        self._by_short = {flag.short: flag for flag in flags if flag.short}
        self._interspersed = interspersed
        self._rest: list[str] = []

    def run(self, words: Sequence[str]) -> None:
        self._rest = list(words)
        while self._rest:
            word = self._rest.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and word != "-":
                self._shorts(word)
            else:
                self.arguments.append(word)
                if not self._interspersed:
                    break
        self.arguments += self._rest

    def _long(self, word: str) -> None:
        name, equals, text = word[2:].partition("=")
        flag = self._by_name.get(name)
        if flag is None:
            raise UsageFailure(f"unknown flag: --{name}{self._near(name)}")
        if equals:
            self._set(flag, text)
        elif flag.kind.switch:
            self._set(flag, "true")
        elif self._rest:
            self._set(flag, self._rest.pop(0))
        else:
            raise UsageFailure(f"flag needs an argument: --{name}")

    def _shorts(self, word: str) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._by_short.get(letter)
            if flag is None:
                raise UsageFailure(f"unknown shorthand flag: {letter!r} in {word}")
            if flag.kind.switch and not letters.startswith("="):
                self._set(flag, "true")
            elif letters:
                self._set(flag, letters.removeprefix("="))
                return
            elif self._rest:
                self._set(flag, self._rest.pop(0))
            else:
                raise UsageFailure(f"flag needs an argument: {letter!r} in {word}")

    def _set(self, flag: Flag, text: str) -> None:
        try:
            value = flag.kind.read(text)
        except ValueError as error:
            raise UsageFailure(
                f'invalid argument "{text}" for "{flag.label}" flag: {error}'
            ) from None
        if flag.kind.many:
            self.values.setdefault(flag.name, []).append(value)
        else:
            self.values[flag.name] = value

    def _near(self, name: str) -> str:
        from skep.cli.flags.near import did_you_mean

        visible = [flag.name for flag in self.flags if not flag.hidden]
        return did_you_mean(name, visible, prefix="--")
