"""`skep pull`, `load`, `save`, `import`: images in and out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from skep.cli.client.client import json_stream
from skep.cli.client.wire import Response
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, ONE, SOME, Arity, Command
from skep.cli.flags.flag import Options, switch, text, texts
from skep.cli.session import Session
from skep.cli.settings import registry_of
from skep.cli.show.live import LiveLines, bar
from skep.cli.show.units import human_size

_PIECE = 256 * 1024


def pull_image(
    session: Session,
    image: str,
    *,
    platform: str = "",
    quiet: bool = False,
    to_stderr: bool = False,
    all_tags: bool = False,
) -> None:
    """POST /images/create and show how it goes; raises Failure when it does not."""
    name, tag = split_reference(image)
    query = {"fromImage": name, "tag": "" if all_tags else tag, "platform": platform or None}
    headers = {"X-Registry-Auth": session.settings.header(registry_of(image))}
    response = session.client.stream("POST", "/images/create", query, headers=headers)
    show_progress(session, response, quiet=quiet, to_stderr=to_stderr)


def split_reference(image: str) -> tuple[str, str]:
    """Name and tag (or digest) of a reference; the tag is latest when it has none."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    folder, slash, last = image.rpartition("/")
    name, colon, tag = last.partition(":")
    return folder + slash + name, tag if colon else "latest"


def show_progress(
    session: Session, response: Response, *, quiet: bool = False, to_stderr: bool = False
) -> None:
    """The messages of a long image operation; the last may be an error, raised as Failure."""
    stream = sys.stderr if to_stderr else sys.stdout

    def write(line: str) -> None:
        if not quiet:
            stream.write(line)
            stream.flush()

    lines = LiveLines(write, terminal=stream.isatty())
    for message in json_stream(response):
        if message.get("error") or message.get("errorDetail"):
            detail = (message.get("errorDetail") or {}).get("message")
            raise Failure(detail or message["error"])
        _show_message(lines, write, message, terminal=stream.isatty())


def _show_message(lines: LiveLines, write: Any, message: dict[str, Any], *, terminal: bool) -> None:
    if "stream" in message:
        write(message["stream"])
        return
    status, name = message.get("status", ""), message.get("id", "")
    detail = message.get("progressDetail") or {}
    if detail.get("total") and not terminal:
        return
    if detail.get("total"):
        current, total = detail.get("current", 0), detail["total"]
        status = f"{status} {bar(current, total)} {human_size(current)}/{human_size(total)}"
    if name:
        lines.set(name, status)
    elif status:
        lines.say(status)


def _pull(session: Session, options: Options, arguments: list[str]) -> None:
    image = arguments[0]
    name, tag = split_reference(image)
    every = options.yes("all-tags")
    if every and image != name:
        raise Failure("tag can't be used with --all-tags/-a")
    quiet = options.yes("quiet")
    if not quiet and image == name and not every:
        session.say(f"Using default tag: {tag}")
    session.flush()
    pull_image(session, image, platform=options.text("platform"), quiet=quiet, all_tags=every)
    if not every:
        separator = "@" if "@" in image else ":"
        session.say(f"{_full_name(name)}{separator}{tag}")


def _full_name(name: str) -> str:
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"


def pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


def _load(session: Session, options: Options, _: list[str]) -> None:
    quiet = options.yes("quiet") or not session.out_is_terminal
    query = {"quiet": quiet, "platform": options.text("platform") or None}
    headers = {"Content-Type": "application/x-tar"}
    path = options.text("input")
    if not path and session.in_is_terminal:
        raise Failure("requested load from stdin, but stdin is empty: give a file with -i")
    with _open(path) if path else sys.stdin.buffer as source:
        response = session.client.stream("POST", "/images/load", query, pieces(source), headers)
        show_progress(session, response)


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise Failure(f"open {path}: {(error.strerror or '').lower()}") from None


def _save(session: Session, options: Options, arguments: list[str]) -> None:
    path = options.text("output")
    if not path and session.out_is_terminal:
        raise Failure("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    query = {"names": arguments, "platform": options.text("platform") or None}
    response = session.client.stream("GET", "/images/get", query)
    if not path:
        for piece in response.chunks():
            session.out.write(piece)
        return
    save_as(path, response.chunks())


def save_as(path: str, content: Iterator[bytes]) -> None:
    """Write a file whole or not at all."""
    target = Path(path)
    draft = target.with_name(f"{target.name}.tmp{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.writelines(content)
        draft.replace(target)
    except OSError as error:
        raise Failure(f"cannot write {path}: {(error.strerror or '').lower()}") from None
    finally:
        draft.unlink(missing_ok=True)


def _import(session: Session, options: Options, arguments: list[str]) -> None:
    source, *reference = arguments
    remote = source.startswith(("http://", "https://"))
    name, tag = split_reference(reference[0]) if reference else ("", "")
    query = {
        "fromSrc": source if remote else "-",
        "repo": name or None,
        "tag": (tag if reference and reference[0] != name else None),
        "message": options.text("message") or None,
        "changes": options.items("change"),
        "platform": options.text("platform") or None,
    }
    if remote:
        show_progress(session, session.client.stream("POST", "/images/create", query))
        return
    headers = {"Content-Type": "application/x-tar"}
    with sys.stdin.buffer if source == "-" else _open(source) as file:
        response = session.client.stream("POST", "/images/create", query, pieces(file), headers)
        show_progress(session, response)


_PLATFORM = text("--platform", "Set platform if server is multi-platform capable")

PULL = Command(
    "NAME[:TAG|@DIGEST]",
    _pull,
    ONE,
    (
        switch("-a --all-tags", "Download all tagged images in the repository"),
        _PLATFORM,
        switch("-q --quiet", "Suppress verbose output"),
    ),
)
LOAD = Command(
    "",
    _load,
    NONE,
    (
        text("-i --input", "Read from tar archive file, instead of STDIN"),
        _PLATFORM,
        switch("-q --quiet", "Suppress the load output"),
    ),
)
SAVE = Command(
    "IMAGE [IMAGE...]",
    _save,
    SOME,
    (text("-o --output", "Write to a file, instead of STDOUT"), _PLATFORM),
)
IMPORT = Command(
    "file|URL|- [REPOSITORY[:TAG]]",
    _import,
    Arity(1, 2),
    (
        texts("-c --change", "Apply Dockerfile instruction to the created image"),
        text("-m --message", "Set commit message for imported image"),
        _PLATFORM,
    ),
)
