"""What a rule says, in the words that Swarm's clients know.

Source: swarmkit manager/controlapi/service.go; of mounts, moby's executor (validateMounts). A rule
that is not listed speaks for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skep.kit.errors import InvalidArgument
from skep.model.rules import Broken

_WORDS = {
    "memory": "invalid memory value {amount}: Must be at least {least}",
    "processors": "invalid cpu value {amount}: Must be at least {least}",
    "signal": "invalid stop signal: {text}",
    "variable": 'invalid environment variable: "{entry}"',
    "probe time": "ContainerSpec: {name} in HealthConfig cannot be less than 1ms",
    "probe kind": "ContainerSpec: the health check's Test must begin with NONE, CMD or CMD-SHELL, "
    'not "{kind}"',
    "no target": "invalid mount target, target must not be empty",
    "relative target": "invalid mount target, must be an absolute path: {target}",
    "no source": "invalid bind mount source, source must not be empty",
    "relative source": "invalid bind mount source, must be an absolute path: {source}",
    "tmpfs source": "invalid tmpfs source, source must be empty",
}


@contextmanager
def in_swarms_words() -> Iterator[None]:
    """What breaks a rule inside is refused in Swarm's words, where it has its own."""
    try:
        yield
    except Broken as broken:
        words = _WORDS.get(broken.rule)
        if words is None:
            raise
        raise InvalidArgument(words.format(**broken.values)) from None
