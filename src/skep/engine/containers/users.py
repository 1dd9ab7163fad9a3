"""Who a process runs as: docker's `user[:group]`, looked up in the container's own files.

The lookup (`resolve_user`) is a function of the files' text; `read_in_rootfs` is the one look into
a root filesystem, and it cannot be led out of it by links.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from skep.kit.errors import InvalidArgument
from skep.kit.numbers import parse_int
from skep.runtime.bundle import User

MAX_FILE_BYTES = 4 * 1024 * 1024
_MAX_ID = 2**31 - 1


class Identity(msgspec.Struct, frozen=True):
    """Who the process is, and where it is at home."""

    user: User
    home: str


class _Account(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str


class _Group(msgspec.Struct, frozen=True):
    name: str
    gid: int
    members: frozenset[str]


def resolve_user(text: str, passwd: str, group: str, additional: Iterable[str] = ()) -> Identity:
    """`text` is "", "name", "uid", "name:group", "uid:gid"…; `additional` are --group-add's.

    Numbers need no entry; a name must have one. Raises InvalidArgument in docker's words.
    """
    user_text, _, group_text = text.partition(":")
    groups = list(_groups(group))
    account = _account(user_text or "0", list(_accounts(passwd)))
    if group_text:
        gid, more = _gid(group_text, groups), set[int]()
    else:
        gid = account.gid
        more = {entry.gid for entry in groups if account.name in entry.members}
    more |= {_gid(word, groups) for word in additional}
    return Identity(
        User(uid=account.uid, gid=gid, additional_gids=tuple(sorted(more | {gid}))),
        account.home or "/",
    )


def _account(text: str, accounts: list[_Account]) -> _Account:
    try:
        number = _id(text)
    except ValueError:
        number = None
    for account in accounts:
        if text == account.name or number == account.uid:
            return account
    uid = _number(text)
    if uid is None:
        raise InvalidArgument(f"unable to find user {text}: no matching entries in passwd file")
    return _Account("", uid, 0, "/root" if uid == 0 else "/")


def _gid(text: str, groups: list[_Group]) -> int:
    for entry in groups:
        if entry.name == text:
            return entry.gid
    gid = _number(text)
    if gid is None:
        raise InvalidArgument(f"Unable to find group {text}: no matching entries in group file")
    return gid


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    try:
        return parse_int(text, 0, _MAX_ID)
    except ValueError:
        raise InvalidArgument("uids and gids must be in range 0-2147483647") from None


def _accounts(passwd: str) -> Iterator[_Account]:
    for fields in _rows(passwd, 7):
        with suppress(ValueError):
            yield _Account(fields[0], _id(fields[2]), _id(fields[3]), fields[5])


def _groups(group: str) -> Iterator[_Group]:
    for fields in _rows(group, 4):
        with suppress(ValueError):
            yield _Group(fields[0], _id(fields[2]), frozenset(filter(None, fields[3].split(","))))


def _id(text: str) -> int:
    return parse_int(text, 0, _MAX_ID)


def _rows(text: str, width: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            fields = line.strip().split(":")
            yield fields + [""] * (width - len(fields))
