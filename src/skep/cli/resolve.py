"""Names for ids, asked for once each."""

from __future__ import annotations

from skep.cli.client.client import Client
from skep.cli.errors import ApiFailure


class Names:
    """Names of nodes and services; an id whose object is gone stays an id."""

    def __init__(self, client: Client, *, resolve: bool = True) -> None:
        self._client = client
        self._resolve = resolve
        self._known: dict[str, str] = {}

    def node(self, node_id: str) -> str:
        return self._name("nodes", node_id)

    def service(self, service_id: str) -> str:
        return self._name("services", service_id)

    def _name(self, kind: str, object_id: str) -> str:
        if not self._resolve or not object_id:
            return object_id
        if object_id not in self._known:
            self._known[object_id] = self._ask(kind, object_id)
        return self._known[object_id]

    def _ask(self, kind: str, object_id: str) -> str:
        try:
            found = self._client.get(f"/{kind}/{object_id}")
        except ApiFailure:
            return object_id
        if kind == "nodes":
            return str(
                (found["Spec"].get("Name") or found["Description"].get("Hostname")) or object_id
            )
        return str(found["Spec"]["Name"])
