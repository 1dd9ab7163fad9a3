"""How a command ends when it does not end well: a sentence for people and an exit code.

Failure           a sentence on stderr, exit 1 unless said otherwise
  UsageFailure    the words of the command line are wrong, exit 125 as docker's
  Unreachable     no daemon answers at the address
  ApiFailure      the daemon answered with an error status
Exit              no sentence, only an exit code (a container's, for one)
"""

from __future__ import annotations


class Failure(Exception):
    """`str(error)` is what stderr shows; `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class UsageFailure(Failure):
    """A flag or word that cannot be understood; the usage line of the command is shown after it."""

    def __init__(self, message: str, code: int = 125) -> None:
        super().__init__(message, code)


class Unreachable(Failure):
    """Nothing listens at the daemon's address, or it went away in the middle."""


class ApiFailure(Failure):
    """The daemon refused: `status` is HTTP's, `reason` the daemon's own sentence."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"Error response from daemon: {reason}")
        self.status = status
        self.reason = reason


class SilentExit(Exception):
    """Ends the program with `code` and no words."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def ask_for_help(message: str, command: str) -> str:
    """`message`, and where to read how `command` is used (docker's form for run and create)."""
    return f"skep: {message}\n\nRun '{command} --help' for more information"
