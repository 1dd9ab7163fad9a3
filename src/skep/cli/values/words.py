"""A command line in one text, split as a shell would."""

from __future__ import annotations

import shlex


def split_command(text: str) -> list[str]:
    """`service --entrypoint` and `--args`: words and quotes; raises ValueError when unbalanced."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f'invalid command "{text}": {str(error).lower()}') from None
