"""The program: global flags, the command that is meant, its run, its exit code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import cast

from skep.cli.errors import Failure, SilentExit, UsageFailure
from skep.cli.flags.command import Command
from skep.cli.flags.flag import Options, switch, text
from skep.cli.flags.parse import parse
from skep.cli.session import Session, complain
from skep.cli.table import PLAIN, SECTIONS, Entry, all_names, children, find

GLOBAL_FLAGS = (
    text("--config", "Location of client config files (default ~/.docker)"),
    switch("-D --debug", "Show where an error comes from"),
    text("-H --host", "Daemon socket to connect to (default $SKEP_HOST or unix:///run/skep.sock)"),
    switch("-v --version", "Print version information and quit"),
)
_INTERRUPTED = 130


def run(words: list[str]) -> int:
    """Do what `words` say; the exit code. Whatever goes wrong ends here as a sentence."""
    try:
        options, rest = parse(GLOBAL_FLAGS, words, interspersed=False)
    except UsageFailure as error:
        return _complain(f"{error}\n\nUsage:  skep [OPTIONS] COMMAND\n\n{_see('skep')}", error.code)
    session = Session(options.text("host"), options.text("config"))
    try:
        return _flushed(_dispatch(session, options, rest))
    except SilentExit as end:
        return _flushed(end.code)
    except Failure as error:
        if options.yes("debug"):
            raise
        return _complain(str(error), error.code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        session.close()


def _dispatch(session: Session, options: Options, words: list[str]) -> int:
    if options.yes("version"):
        return _print_version(session)
    entry, rest = find(words)
    if entry is None or entry.is_group:
        return _group(session, entry, rest)
    command = load(entry)
    path = f"skep {entry.path}"
    try:
        given, arguments = parse(command.flags, rest, interspersed=command.interspersed)
    except UsageFailure as error:
        return _complain(f"{error}\n\n{command.usage(path)}\n\n{_see(path)}", error.code)
    if given.yes("help"):
        from skep.cli.flags.usage import command_help

        session.write(command_help(path, entry.sentence, command, all_names(entry), session.width))
        return 0
    command.check_arity(path, arguments)
    return command.run(session, given, arguments) or 0


def load(entry: Entry) -> Command:
    """Import the one module that holds the command."""
    module, _, name = entry.home.partition(":")
    found = getattr(importlib.import_module(f"skep.cli.commands.{module}"), name)
    return cast("Command", found)


def _group(session: Session, entry: Entry | None, rest: list[str]) -> int:
    path = f"skep {entry.path}" if entry else "skep"
    words = [word for word in rest if not word.startswith("-")]
    if words and rest[0] == words[0]:
        return _unknown(entry, path, words[0])
    parse((), rest)
    session.write(program_help(session.width) if entry is None else group_help(entry))
    return 0


def _unknown(entry: Entry | None, path: str, word: str) -> int:
    from skep.cli.flags.near import did_you_mean

    known = [child.name for child in children(entry.path if entry else "")]
    suggestion = did_you_mean(word, known, prefix=f"{path} ")
    return _complain(f"skep: unknown command: {path} {word}{suggestion}\n\n{_see(path)}", 1)


def program_help(width: int) -> str:
    """What `skep --help` prints."""
    from skep.cli.flags.usage import command_lines, option_lines

    parts = [
        "Usage:  skep [OPTIONS] COMMAND",
        "Containers on one machine, services on many",
    ]
    for section in SECTIONS:
        entries = [(e.name, e.sentence) for e in children("") if e.section == section]
        lines = command_lines(sorted(entries) if section == PLAIN else entries)
        parts.append(f"{section}:\n{lines}")
    parts.append("Global Options:\n" + option_lines(GLOBAL_FLAGS, width))
    parts.append("Run 'skep COMMAND --help' for more information on a command.")
    return "\n\n".join(parts) + "\n"


def group_help(entry: Entry) -> str:
    from skep.cli.flags.usage import command_lines

    lines = command_lines((child.name, child.sentence) for child in children(entry.path))
    return (
        f"Usage:  skep {entry.path} COMMAND\n\n{entry.sentence}\n\nCommands:\n{lines}\n\n"
        f"Run 'skep {entry.path} COMMAND --help' for more information on a command.\n"
    )


def _print_version(session: Session) -> int:
    from skep import __version__

    session.say(f"skep version {__version__}")
    return 0


def _see(path: str) -> str:
    return f"Run '{path} --help' for more information"


def _flushed(code: int) -> int:
    sys.stdout.flush()
    return code


def _complain(sentence: str, code: int) -> int:
    complain(sentence)
    return code
