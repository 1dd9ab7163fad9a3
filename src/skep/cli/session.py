"""What a command is given: the way to the daemon, the terminal, the person's settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from skep.cli.client.address import DEFAULT, parse_address
from skep.cli.client.client import Client
from skep.cli.errors import Failure
from skep.cli.show.printable import printable

if TYPE_CHECKING:
    from datetime import datetime

    from skep.cli.settings import Settings

_NARROW = 80


def complain(text: str) -> None:
    """A line on standard error, after all that was said before it."""
    sys.stdout.flush()
    sys.stderr.write((printable(text) if sys.stderr.isatty() else text) + "\n")


class Session:
    """One run of the program. Nothing is opened before it is asked for."""

    def __init__(self, host: str = "", config_folder: str = "") -> None:
        self.host = host or os.environ.get("SKEP_HOST", "") or DEFAULT
        self._config_folder = config_folder

    @cached_property
    def client(self) -> Client:
        return Client(parse_address(self.host))

    def close(self) -> None:
        """Hang up, if there was a call at all."""
        if "client" in self.__dict__:
            self.client.close()

    @cached_property
    def settings(self) -> Settings:
        """The person's docker config file: credentials, detach keys, formats."""
        from skep.cli.settings import Settings, default_folder

        return Settings(self._config_folder or default_folder())

    @cached_property
    def now(self) -> datetime:
        """When this run was, for all that it calls old or new."""
        from skep.kit.clock import utc_now

        return utc_now()

    @property
    def out(self) -> BinaryIO:
        """Standard output for bytes that are not ours to decode."""
        return sys.stdout.buffer

    @property
    def err(self) -> BinaryIO:
        return sys.stderr.buffer

    @property
    def out_is_terminal(self) -> bool:
        return sys.stdout.isatty()

    @property
    def in_is_terminal(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty()

    @property
    def width(self) -> int:
        """Columns of the terminal, 80 where there is none."""
        try:
            return os.get_terminal_size(sys.stdout.fileno()).columns or _NARROW
        except (OSError, ValueError):
            return _NARROW

    def say(self, text: str) -> None:
        """A line on standard output."""
        self.write(text + "\n")

    def write(self, text: str) -> None:
        """Text that may be anybody's: a terminal obeys none of it."""
        sys.stdout.write(printable(text) if self.out_is_terminal else text)

    def write_now(self, text: str) -> None:
        """Text that shall be seen at once."""
        self.write(text)
        sys.stdout.flush()

    def draw(self, text: str) -> None:
        """Text that a terminal shall obey: what is others' in it went through `printable`."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def flush(self) -> None:
        sys.stdout.flush()

    def complain(self, text: str) -> None:
        complain(text)

    def confirm(self, question: str) -> bool:
        """Ask on standard output; only a y is yes, as docker's prompts have it."""
        sys.stdout.write(f"{question} [y/N] ")
        sys.stdout.flush()
        return sys.stdin.readline().strip().lower() == "y"

    def ask_secret(self, question: str) -> str:
        """A line that is not shown while it is typed; read as it is where there is no terminal."""
        if not self.in_is_terminal:
            return sys.stdin.readline().rstrip("\n")
        import getpass

        return getpass.getpass(question)

    def each(self, names: list[str], action: Callable[[str], str | None]) -> int:
        """Do `action` for every name, say what it returns, complain of each that fails.

        The exit code: 1 when any failed.
        """
        failed = 0
        for name in names:
            try:
                line = action(name)
            except Failure as error:
                self.complain(str(error))
                failed = 1
            else:
                if line is not None:
                    self.say(line)
        return failed
