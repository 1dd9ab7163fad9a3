"""What the cluster is to run."""

from __future__ import annotations

from typing import cast, get_args

from skep.api import choices, older
from skep.api.answers import empty, json_answer
from skep.api.logs import answer_logs
from skep.api.request import Request
from skep.http.router import Route
from skep.http.web import Response, StreamResponse
from skep.kit.errors import InvalidArgument
from skep.manager.control.services import AuthFrom, Rollback
from skep.model.logs import LogSelector
from skep.model.service import Service, ServiceSpec


async def find(request: Request) -> Response:
    services = request.control.services
    where = choices.services(request.filters())
    return json_answer(services.find(where, status=request.flag("status")))


async def create(request: Request) -> Response:
    services = request.control.services
    spec = older.service(await request.json(ServiceSpec), request.version)
    service_id = await services.create(spec, registry_auth=request.registry_auth_text())
    return json_answer({"ID": service_id, "Warnings": None}, 201)


async def inspect(request: Request) -> Response:
    insert_defaults = request.flag("insertDefaults")
    return json_answer(
        request.control.services.get(request.params["id"], insert_defaults=insert_defaults)
    )


async def update(request: Request) -> Response:
    services = request.control.services
    await services.update(
        request.params["id"],
        request.object_version(),
        older.service(await request.json(ServiceSpec), request.version),
        registry_auth=request.registry_auth_text(),
        registry_auth_from=cast(AuthFrom, _one_of(request, "registryAuthFrom", AuthFrom)),
        rollback=cast(Rollback, _one_of(request, "rollback", Rollback)),
    )
    return json_answer({"Warnings": None})


async def remove(request: Request) -> Response:
    await request.control.services.remove(request.params["id"])
    return empty(200)


async def logs(request: Request) -> StreamResponse:
    service = request.control.services.get(request.params["id"])
    selector = LogSelector(service_ids=(service.id,))
    return await answer_logs(request, selector, terminal=_has_terminal(service))


def _has_terminal(service: Service) -> bool:
    container = service.spec.task_template.container_spec
    return container is not None and container.tty


def _one_of(request: Request, name: str, words: object) -> str:
    """A parameter that is one of a Literal's words."""
    text = request.text(name)
    allowed: tuple[str, ...] = get_args(words)
    if text not in allowed:
        known = ", ".join(word for word in allowed if word)
        raise InvalidArgument(f'invalid value for {name}: "{text}" is none of {known}')
    return text


ROUTES = (
    Route("GET", "/services", find),
    Route("POST", "/services/create", create),
    Route("GET", "/services/{id}", inspect),
    Route("POST", "/services/{id}/update", update),
    Route("DELETE", "/services/{id}", remove),
    Route("GET", "/services/{id}/logs", logs, streams=True),
)
