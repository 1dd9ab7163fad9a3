"""One node's images, and what registries say of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.api import choices, filters, older, streams
from skep.api.answers import empty, json_answer
from skep.api.query import parse_platform
from skep.api.request import Request
from skep.http.router import Route
from skep.http.streams import octets
from skep.http.web import Response, StreamResponse
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument, Unimplemented

if TYPE_CHECKING:
    from skep.engine.images import LoadedImage

_TAR = "application/x-tar"


async def find(request: Request) -> Response:
    wanted = older.image_filters(request.filters(), request.text("filter"), request.version)
    images = await request.node.engine.images.summaries(
        choices.images(wanted, utc_now()), shared_size=request.flag("shared-size")
    )
    return json_answer(older.image_rows(images, request.version))


async def create(request: Request) -> StreamResponse:
    """Pull (`fromImage`) or import (`fromSrc`)."""
    if request.text("fromImage"):
        return await _pull(request)
    if request.text("fromSrc"):
        return await _import(request)
    raise InvalidArgument("neither fromImage nor fromSrc says where the image comes from")


async def _pull(request: Request) -> StreamResponse:
    reference = pull_reference(request.text("fromImage"), request.text("tag"))
    platform = parse_platform(request.text("platform"))
    news = request.node.engine.images.pull(reference, request.registry_auth(), platform)
    return await streams.progress(request, news)


def pull_reference(name: str, tag: str) -> str:
    """`tag` may be a digest, and overrides nothing when it is empty."""
    if not tag:
        return name
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"


async def _import(request: Request) -> Response:
    if request.text("fromSrc") != "-":
        raise Unimplemented(
            "importing from an address is not supported: fetch the archive and send it with -"
        )
    repository, tag = request.text("repo"), request.text("tag")
    image_id = await request.node.engine.images.import_(
        request.chunks(),
        f"{repository}:{tag}" if repository and tag else repository,
        changes=request.texts("changes"),
        message=request.text("message"),
        platform=parse_platform(request.text("platform")),
    )
    return json_answer({"status": image_id})


async def load(request: Request) -> Response:
    loaded = await request.node.engine.images.load(request.chunks())
    return json_answer({"stream": "".join(_loaded_lines(image) for image in loaded)})


def _loaded_lines(image: LoadedImage) -> str:
    if not image.names:
        return f"Loaded image ID: {image.id}\n"
    return "".join(f"Loaded image: {name}\n" for name in image.names)


async def save(request: Request) -> StreamResponse:
    archive = await request.node.engine.images.save(request.texts("names"))
    return await octets(request, archive, _TAR)


async def save_one(request: Request) -> StreamResponse:
    archive = await request.node.engine.images.save([request.params["name"]])
    return await octets(request, archive, _TAR)


async def inspect(request: Request) -> Response:
    found = await request.node.engine.images.inspect(request.params["name"])
    return json_answer(older.image(found, request.version))


async def history(request: Request) -> Response:
    return json_answer(await request.node.engine.images.history(request.params["name"]))


async def tag(request: Request) -> Response:
    repository, name = request.text("repo"), request.text("tag")
    new_name = f"{repository}:{name}" if name else repository
    await request.node.engine.images.tag(request.params["name"], new_name)
    return empty(201)


async def remove(request: Request) -> Response:
    deleted = await request.node.engine.images.remove(
        request.params["name"], force=request.flag("force")
    )
    return json_answer(deleted)


async def prune(request: Request) -> Response:
    """Dangling ones, or with `dangling=false` all that nobody uses."""
    wanted = request.filters()
    filters.check_keys(wanted, ("dangling", "label", "label!", "until"))
    pruned = await request.node.engine.images.prune(
        filters.labels(wanted),
        filters.until(wanted, utc_now()),
        tagged_too=filters.boolean(wanted, "dangling") is False,
    )
    return json_answer(
        {"ImagesDeleted": pruned.images_deleted or None, "SpaceReclaimed": pruned.space_reclaimed}
    )


async def distribution(request: Request) -> Response:
    """What the registry has: docker's client asks before it creates a service."""
    images = request.node.engine.images
    found = await images.distribution_inspect(request.params["name"], request.registry_auth())
    return json_answer(found)


ROUTES = (
    Route("GET", "/images/json", find),
    Route("POST", "/images/create", create, streams=True),
    Route("POST", "/images/load", load),
    Route("GET", "/images/get", save, streams=True),
    Route("POST", "/images/prune", prune),
    Route("GET", "/images/{name:.+}/get", save_one, streams=True),
    Route("GET", "/images/{name:.+}/json", inspect),
    Route("GET", "/images/{name:.+}/history", history),
    Route("POST", "/images/{name:.+}/tag", tag),
    Route("DELETE", "/images/{name:.+}", remove),
    Route("GET", "/distribution/{name:.+}/json", distribution),
)
