"""The table of commands: every line leads to a command whose help can be shown."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from skep.cli.app import load
from skep.cli.table import TABLE, Entry, all_names, children, find

COMMANDS = [entry for entry in TABLE if entry.home]
MOST_TIMES_PYTHON = 10


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.path)
def test_its_flags_have_names_of_their_own(entry: Entry) -> None:
    flags = load(entry).flags
    names = [flag.name for flag in flags]
    shorts = [flag.short for flag in flags if flag.short]
    assert len(set(names)) == len(names)
    assert len(set(shorts)) == len(shorts)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.path)
def test_its_help_names_its_usage_and_sentence(entry: Entry, skep: Callable[..., Any]) -> None:
    result = skep(*entry.path.split(), "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage:  skep {entry.path}")
    assert f"\n\n{entry.sentence}\n" in result.out


def test_a_command_is_found_by_its_aliases() -> None:
    for words in (["container", "ls"], ["container", "ps"], ["container", "list"]):
        entry, rest = find([*words, "-a"])
        assert (entry and entry.path, rest) == ("container ls", ["-a"])


def test_help_lists_every_way_to_call_a_command() -> None:
    entry, _ = find(["ps"])
    assert entry
    assert all_names(entry) == [
        "skep container ls",
        "skep container list",
        "skep container ps",
        "skep ps",
    ]


def test_every_group_has_commands() -> None:
    for group in TABLE:
        if group.is_group:
            assert list(children(group.path))


def test_an_unknown_command_gets_a_suggestion(skep: Callable[..., Any]) -> None:
    result = skep("servcie")
    assert result.code == 1
    assert "skep: unknown command: skep servcie\nDid you mean skep service?" in result.err


def test_no_daemon_is_said_with_what_to_do(skep: Callable[..., Any]) -> None:
    result = skep("-H", "unix:///nonexistent/skep.sock", "ps")
    assert result.code == 1
    assert result.err == (
        "Cannot connect to the skep daemon at unix:///nonexistent/skep.sock. "
        "Is it running? Start it with: skep daemon\n"
    )


def test_an_address_of_no_known_kind_is_refused(skep: Callable[..., Any]) -> None:
    assert "write unix:///path/to.sock or tcp://host:port" in skep("-H", "ftp://x", "ps").err


def test_completion_offers_commands_then_flags(skep: Callable[..., Any]) -> None:
    assert skep("completion", "words", "service", "c").out == "create\n"
    assert skep("completion", "words", "service", "ls", "--f").out == "--filter\n--format\n"
    assert "complete -o default -F _skep skep" in skep("completion", "bash").out


def test_help_answers_at_once_and_imports_little() -> None:
    code = "import sys; from skep.cli.app import run; run(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    for heavy in ("http.client", "asyncio", "msgspec", "aiohttp", "ssl", "skep.cli.commands"):
        assert f"'{heavy}'" not in loaded


def test_a_list_costs_a_few_times_what_python_costs(
    daemon: Any, program: tuple[list[str], dict[str, str]], answer: Callable[..., Any]
) -> None:
    """On an idle machine 15 ms and 75 ms; a busy one slows both."""
    daemon.answer("GET /services?status=true", answer({"json": [], "status": 200}))
    words, environment = program
    bare, whole = [], []
    for _ in range(4):
        bare.append(_processor_s([sys.executable, "-c", ""], environment))
        whole.append(_processor_s([*words, "service", "ls"], environment))
    assert min(whole) <= MOST_TIMES_PYTHON * min(bare)


def _processor_s(words: list[str], environment: dict[str, str]) -> float:
    """Processor seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    "words",
    [
        ("volume", "ls", "--cluster"),
        ("volume", "create", "--sharing", "all", "v"),
        ("volume", "create", "--limit-bytes", "1g", "v"),
        ("volume", "update", "--availability", "drain", "v"),
    ],
)
def test_what_is_for_cluster_volumes_is_refused_by_name(
    skep: Callable[..., Any], words: tuple[str, ...]
) -> None:
    result = skep(*words)
    assert result.code == 1
    assert "cluster volumes, which skep does not have" in result.err


def test_a_short_form_is_the_command_of_its_group() -> None:
    for words in (["rm"], ["tag"], ["events"], ["wait"]):
        entry, _ = find(words)
        assert entry
        assert entry.path == words[0]
        assert any(other.home == entry.home and other.parent for other in TABLE)
    assert find(["remove"]) == (None, ["remove"])
