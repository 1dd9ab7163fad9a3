"""Our packets' way through other programs' firewalls.

A packet must be accepted by every chain at the FORWARD hook, whoever owns it: our own table cannot
overrule dockerd, ufw or an administrator whose FORWARD chain drops by default. So, where an
iptables filter table exists (legacy or nft, IPv4 or IPv6), two rules at the top of its FORWARD
chain accept what comes from and goes to our bridges. That is safe because our own table decides
about these packets too (`rules.py`), and a drop there is final. Other tables are left alone: who
drops in an nftables chain of his own must let the links `sb…` through himself.
"""

from __future__ import annotations

import functools
import logging
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from skep.kit.errors import Internal

_log = logging.getLogger(__name__)
_TIMEOUT_S = 10
_LOCK_WAIT_S = "5"


@dataclass(frozen=True, slots=True)
class Table:
    """A filter table of somebody else: the program that edits it, and how to see that it exists."""

    program: str
    names_file: str = ""
    nft_chain: str = ""


_TABLES = (
    Table("iptables-legacy", names_file="ip_tables_names"),
    Table("ip6tables-legacy", names_file="ip6_tables_names"),
    Table("iptables-nft", nft_chain="ip filter FORWARD"),
    Table("ip6tables-nft", nft_chain="ip6 filter FORWARD"),
)


def open_passage(links: Iterable[str], comment: str, nft: Callable[[str], str]) -> None:
    """Let packets from and to `links` through, wherever that is not so yet; drop stale rules.

    links     names of links; a trailing + stands for any ending, as iptables has it.
    comment   marks our rules; nothing without it is ever touched.
    nft       runs nft commands in the namespace of the calling thread.
    Blocks for a few child processes when there are such tables: call it in a worker thread.
    """
    wanted = [rule for link in links for rule in _rules(link, comment)]
    for table in _TABLES:
        if not _exists(table, nft):
            continue
        if shutil.which(table.program) is None:
            _warn_missing(table.program)
            continue
        present = _present(table, comment)
        for rule in wanted:
            if rule not in present:
                _iptables(table, "-I", *rule.split())
        for rule in present:
            if rule not in wanted:
                _iptables(table, "-D", *rule.split())


@functools.cache
def _warn_missing(program: str) -> None:
    """Once is enough."""
    _log.warning("another program's firewall may stop containers: %s is not installed", program)


def close_passage(comment: str, nft: Callable[[str], str]) -> None:
    """Take our rules out of every table."""
    open_passage((), comment, nft)


def _rules(link: str, comment: str) -> list[str]:
    """As `iptables -S` prints them, without the -A."""
    end = f"-m comment --comment {comment} -j ACCEPT"
    return [f"FORWARD -i {link} {end}", f"FORWARD -o {link} {end}"]


def _exists(table: Table, nft: Callable[[str], str]) -> bool:
    if table.names_file:
        try:
            names = Path("/proc/thread-self/net", table.names_file).read_text()
        except OSError:
            return False
        return "filter" in names.split()
    try:
        nft(f"list chain {table.nft_chain}")
    except Internal:
        return False
    return True


def _present(table: Table, comment: str) -> list[str]:
    """Our rules in the FORWARD chain."""
    rules = _iptables(table, "-S", "FORWARD").replace('"', "").splitlines()
    return [rule.removeprefix("-A ") for rule in rules if f"--comment {comment} " in rule]


def _iptables(table: Table, *words: str) -> str:
    command = [table.program, "-w", _LOCK_WAIT_S, *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        raise Internal(f"{' '.join(command)}: {error.stderr.strip()}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Internal(f"{' '.join(command)}: {error}") from None
    return done.stdout
