"""`key=value`, alone, in comma-separated rows, in files, and completed from the environment."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def csv_row(text: str) -> list[str]:
    """One row of comma-separated fields; a field in double quotes may hold commas."""
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"parse error: {error}") from None


def csv_pairs(text: str, switches: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """The `key=value` fields of a row, keys in lower case; `switches` may stand without a value."""
    alone = frozenset(switches)
    for field in csv_row(text):
        key, equals, value = field.partition("=")
        name = key.strip().lower()
        if not equals and name not in alone:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        yield name, value if equals else "true"


def mapping(texts: Iterable[str]) -> dict[str, str]:
    """Labels and options: `key=value` or `key` alone, which has an empty value; the last wins."""
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def required_mapping(texts: Iterable[str], what: str) -> dict[str, str]:
    """As `mapping`, where a key alone is an error."""
    for text in texts:
        if "=" not in text:
            raise ValueError(f'invalid {what} "{text}": write key=value')
    return mapping(texts)


def environment(texts: Iterable[str], own: Mapping[str, str]) -> list[str]:
    """Variables as `NAME=value`; one without a value takes that of `own`, if it has one there."""
    found = []
    for text in texts:
        name, equals, _ = text.partition("=")
        if equals:
            found.append(text)
        elif name in own:
            found.append(f"{name}={own[name]}")
    return found


def check_variable(text: str) -> str:
    """A reader for --env."""
    if not text or text.startswith("="):
        raise ValueError(f"invalid environment variable: {text}")
    return text


def check_label(text: str) -> str:
    """A reader for --label."""
    if text.startswith("=") or not text:
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def key_value_lines(content: str) -> list[str]:
    """The lines of an env file or label file, `NAME=value` or `NAME`; blanks and # are passed."""
    lines = []
    for line in content.removeprefix("\ufeff").splitlines():
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        if not name.strip():
            raise ValueError(f"no variable name on line '{stripped}'")
        if any(character.isspace() for character in (name.rstrip() if not equals else name)):
            raise ValueError(f"variable '{name}' contains whitespaces")
        lines.append(f"{name}={value}" if equals else name.rstrip())
    return lines


def key_value_files(paths: Iterable[str]) -> list[str]:
    """The lines of several files, in order."""
    lines: list[str] = []
    for path in paths:
        try:
            content = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"open {path}: {(error.strerror or '').lower()}") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text at byte {error.start}") from None
        try:
            lines += key_value_lines(content)
        except ValueError as error:
            raise ValueError(f"invalid env file ({path}): {error}") from None
    return lines
