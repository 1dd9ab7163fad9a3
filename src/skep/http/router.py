"""From method and path to the handler. Patterns are `/containers/{id}/json`; a part may match more
than one segment by `{name:.*}`, as image names have slashes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from skep.http.request import HttpRequest
from skep.http.web import StreamResponse

R = TypeVar("R", bound=HttpRequest)
"""A door's own request."""

Handler: TypeAlias = Callable[[R], Awaitable[StreamResponse]]

_PARAMETER = re.compile(r"\{(\w+)(?::([^}]+))?\}")


class Route(NamedTuple, Generic[R]):
    """One line of the table.

    A `streams` route ends when its caller hangs up. All others that change something are finished
    whether or not the caller is still there to hear of it. A `takes_over` route may make the
    connection one that speaks no HTTP any more.
    """

    method: str
    pattern: str
    handler: Handler[R]
    streams: bool = False
    takes_over: bool = False


class Match(NamedTuple, Generic[R]):
    route: Route[R]
    params: dict[str, str]


class Router(Generic[R]):
    """Finds the first route of the table that fits. Routes are grouped by their first segment."""

    def __init__(self, routes: Iterable[Route[R]]) -> None:
        self._groups: dict[tuple[str, str], list[tuple[re.Pattern[str], Route[R]]]] = {}
        for route in routes:
            key = route.method, _first_segment(route.pattern)
            self._groups.setdefault(key, []).append((_compile(route.pattern), route))

    def find(self, method: str, path: str) -> Match[R] | None:
        for pattern, route in self._groups.get((method, _first_segment(path)), ()):
            if match := pattern.fullmatch(path):
                return Match(route, match.groupdict())
        return None


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _compile(pattern: str) -> re.Pattern[str]:
    parts = []
    end = 0
    for parameter in _PARAMETER.finditer(pattern):
        parts.append(re.escape(pattern[end : parameter.start()]))
        parts.append(f"(?P<{parameter[1]}>{parameter[2] or '[^/]+'})")
        end = parameter.end()
    return re.compile("".join(parts) + re.escape(pattern[end:]))
