"""The Engine API as a door on HTTP: its versions in front of paths, its form of a refusal."""

from __future__ import annotations

from skep.api.answers import error_answer
from skep.api.request import Request
from skep.api.versions import check_version, split_version
from skep.api.words import worded
from skep.http.router import Match, Router
from skep.http.web import BaseRequest, Response
from skep.kit.errors import SkepError
from skep.node import Node


class EngineApi:
    """Everything that may be asked of one node."""

    def __init__(self, node: Node, router: Router[Request]) -> None:
        self._node = node
        self._router = router

    def find(self, method: str, path: str) -> Match[Request] | None:
        return self._router.find(method, split_version(path)[1])

    def request(self, http: BaseRequest, match: Match[Request]) -> Request:
        """Raises InvalidArgument for a version that is not answered."""
        version = check_version(split_version(http.path)[0])
        return Request(http, self._node, version, match.params)

    def refusal(self, error: SkepError) -> Response:
        return error_answer(worded(error, lambda: self._node.swarm.info()), error.http_status)
