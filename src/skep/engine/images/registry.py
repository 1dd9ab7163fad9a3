"""The one door to registries: skopeo(1), a process for each request.

Credentials go through an anonymous file in memory, never over the command line or the disk.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from skep.kit.errors import (
    Forbidden,
    InvalidArgument,
    NotFound,
    SkepError,
    Unauthenticated,
    Unavailable,
)
from skep.kit.numbers import shortened
from skep.kit.process import Child, find_program
from skep.model.image import AuthConfig
from skep.model.reference import DEFAULT_DOMAIN, Reference, is_registry

_REQUEST_TIMEOUT_S = 60
_MAX_DOCUMENT_BYTES = 8 << 20
_MAX_NAME_CHARS = 1024
_MAX_COMPLAINT_BYTES = 16 << 10
_HUB_AUTH_KEYS = (DEFAULT_DOMAIN, "https://index.docker.io/v1/")
_HUB_HOSTS = ("", DEFAULT_DOMAIN, "index.docker.io")
_IN_MEMORY = "/dev/shm"


class RegistryError(SkepError):
    """A registry could not be reached or made no sense; docker answers 500 for it."""


class Registries:
    """What this node asks of registries. `tmp` is for skopeo's own scratch files."""

    def __init__(self, tmp: Path, insecure: Collection[str] = ()) -> None:
        self._tmp = tmp
        self._insecure = frozenset(insecure)

    async def manifest(self, reference: Reference, auth: AuthConfig | None) -> bytes:
        """The manifest or manifest list of a name, byte for byte."""
        return await self._read(reference, auth, "--raw")

    async def config(self, reference: Reference, auth: AuthConfig | None) -> bytes:
        """The config document of an image (`repo@digest` of a manifest), byte for byte."""
        return await self._read(reference, auth, "--raw", "--config")

    async def login(self, auth: AuthConfig) -> None:
        """Ask the registry at `auth.server_address` (Docker Hub when empty) whether it takes these
        credentials. Raises Unauthenticated when not, RegistryError when it cannot be asked."""
        host = re.sub(r"^https?://|/.*$", "", auth.server_address)
        domain = DEFAULT_DOMAIN if host in _HUB_HOSTS else host
        if not is_registry(domain):  # it could be an option of skopeo's
            raise InvalidArgument(f"invalid registry address: {shortened(auth.server_address)}")
        name, password = _name_and_password(auth)
        if len(name) > _MAX_NAME_CHARS:
            raise InvalidArgument(f"the user's name has more than {_MAX_NAME_CHARS} letters")
        with (
            tempfile.TemporaryDirectory(dir=_IN_MEMORY) as folder,  # skopeo insists on a file
            _memory_file(password.encode()) as said,
        ):
            os.lseek(said, 0, os.SEEK_SET)
            arguments = [
                "login", f"--tls-verify={self._tls(domain)}", f"--authfile={folder}/auth.json",
                f"--username={name}", "--password-stdin", "--", domain,
            ]  # fmt: skip
            async with self._answering(domain), _running(arguments, _explain_login, said) as skopeo:
                await skopeo.success()

    @asynccontextmanager
    async def copying(
        self, reference: Reference, auth: AuthConfig | None, layout: Path, blobs: Path
    ) -> AsyncIterator[Skopeo]:
        """A running transfer of an image into an OCI layout with its blobs in `blobs`/sha256/.

        Blobs that are there already are not transferred. Each new one appears there whole and
        checked against its digest. The process is killed when the block ends.
        """
        arguments = [
            f"--tmpdir={self._tmp}", "copy", "--quiet",
            f"--src-tls-verify={self._tls(reference.domain)}",
            "--dest-oci-accept-uncompressed-layers", f"--dest-shared-blob-dir={blobs}",
            _url(reference), f"oci:{layout}",
        ]  # fmt: skip
        async with _speaking_of(reference, auth, arguments) as skopeo:
            yield skopeo

    async def _read(self, reference: Reference, auth: AuthConfig | None, *options: str) -> bytes:
        tls = f"--tls-verify={self._tls(reference.domain)}"
        arguments = ["inspect", tls, *options, _url(reference)]
        async with (
            self._answering(reference.domain),
            _speaking_of(reference, auth, arguments) as skopeo,
        ):
            return await skopeo.document()

    @asynccontextmanager
    async def _answering(self, domain: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                yield
        except TimeoutError:
            raise RegistryError(f"{domain} did not answer in {_REQUEST_TIMEOUT_S} s") from None

    def _tls(self, domain: str) -> str:
        return "false" if is_loopback(domain) or domain in self._insecure else "true"


class Skopeo:
    """A running skopeo. It writes into memory, so it never waits for us to read. `explain` makes
    an error of its complaint."""

    def __init__(
        self, child: Child, output: int, complaints: int, explain: Callable[[str], SkepError]
    ) -> None:
        self._child = child
        self._output = output
        self._complaints = complaints
        self._explain = explain

    async def success(self) -> None:
        """Wait for its end; raises its failure in docker's words."""
        if await self._child.ended():
            complaint = os.pread(self._complaints, _MAX_COMPLAINT_BYTES, 0)
            raise self._explain(complaint.decode(errors="replace"))

    async def document(self) -> bytes:
        """Wait for its end; what it printed. Registries' documents are of 4 MiB at most."""
        await self.success()
        return os.pread(self._output, _MAX_DOCUMENT_BYTES, 0)


@asynccontextmanager
async def _speaking_of(
    reference: Reference, auth: AuthConfig | None, arguments: Sequence[str]
) -> AsyncIterator[Skopeo]:
    """skopeo at work on one image, with the credentials for its registry."""

    def explained(complaint: str) -> SkepError:
        return explain(complaint, reference, auth is not None)

    with _memory_file(_auth_file(reference, auth)) as credentials:
        argv = [*arguments, f"--authfile=/proc/self/fd/{credentials}"]
        async with _running(argv, explained, keep_fds=[credentials]) as skopeo:
            yield skopeo


@asynccontextmanager
async def _running(
    arguments: Sequence[str],
    explained: Callable[[str], SkepError],
    stdin: int | None = None,
    keep_fds: Sequence[int] = (),
) -> AsyncIterator[Skopeo]:
    with _memory_file() as output, _memory_file() as complaints:
        child = Child(
            [*_skopeo(), *arguments],
            os.environ,  # proxies
            keep_fds=keep_fds,
            stdin=stdin,
            stdout=output,
            stderr=complaints,
        )
        try:
            yield Skopeo(child, output, complaints, explained)
        finally:
            await child.end()


def _skopeo() -> list[str]:
    """skopeo, tied to this process's life: no transfer outlives a daemon that was killed."""
    programs = [find_program(name) for name in ("setpriv", "skopeo")]
    if None in programs:
        raise Unavailable("pulling needs the programs skopeo and setpriv: install skopeo")
    setpriv, skopeo = map(str, programs)
    return [setpriv, "--pdeathsig", "KILL", skopeo, "--insecure-policy"]


def is_loopback(domain: str) -> bool:
    """Whether a registry is on this machine, where docker allows plain HTTP."""
    host = re.sub(r":\d+$", "", domain)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def explain(complaint: str, reference: Reference, with_auth: bool) -> SkepError:
    """skopeo's last words as an error with docker's words and status."""
    cause = _cause(complaint)
    name, repository = reference.familiar, reference.familiar_repository
    if "manifest unknown" in cause:
        return NotFound(f"manifest for {name} not found: manifest unknown: manifest unknown")
    if "name unknown" in cause or "repository name not known" in cause:
        return NotFound(f"repository {repository} not found: name unknown: {cause}")
    if "denied:" in cause or "resource is denied" in cause:
        return NotFound(
            f"pull access denied for {repository}, repository does not exist or may require "
            "'docker login': denied: requested access to the resource is denied"
        )
    if re.search(r"unauthorized|authentication required|\b401\b", cause):
        reason = "unauthorized: authentication required"
        hint = "check the user name and password" if with_auth else f"log in to {reference.domain}"
        return Forbidden(f"{name}: {reason} ({hint})")
    if "Digest did not match" in cause or "content digest" in cause.lower():
        return InvalidArgument(f"filesystem layer verification failed for {name}: {cause}")
    if "server gave HTTP response to HTTPS client" in cause:
        return RegistryError(
            f"{cause}; list {reference.domain} as an insecure registry to allow it"
        )
    return RegistryError(cause)


def _explain_login(complaint: str) -> SkepError:
    cause = _cause(complaint)
    if re.search(r"invalid username/password|unauthorized|\b40[13]\b", cause):
        return Unauthenticated("unauthorized: incorrect username or password")
    return RegistryError(cause)


def _cause(complaint: str) -> str:
    """The end of skopeo's chain of messages, from the HTTP request on where there is one."""
    fatal = re.search(r'level=fatal msg="((?:[^"\\]|\\.)*)"', complaint)
    text = fatal[1].replace('\\"', '"').replace("\\\\", "\\") if fatal else complaint.strip()
    request = re.search(r'(?:Get|Head|Post) "http.*', text, re.DOTALL)
    text = request[0] if request else re.sub(r'^Error [^"]*"[^"]*": ', "", text)
    return text or "skopeo failed without a word"


def _url(reference: Reference) -> str:
    return f"docker://{reference}"


def _auth_file(reference: Reference, auth: AuthConfig | None) -> bytes:
    """An authfile's content. Without credentials it is empty: skopeo must not take root's own."""
    entry = {}
    if auth and (auth.username or auth.auth):
        plain = f"{auth.username}:{auth.password}".encode()
        entry["auth"] = auth.auth or base64.b64encode(plain).decode()
    if auth and auth.identity_token:
        entry["identitytoken"] = auth.identity_token
    keys = _HUB_AUTH_KEYS if reference.domain == DEFAULT_DOMAIN else (reference.domain,)
    return msgspec.json.encode({"auths": dict.fromkeys(keys, entry) if entry else {}})


def _name_and_password(auth: AuthConfig) -> tuple[str, str]:
    name, password = auth.username, auth.password
    if auth.auth:
        try:
            name, _, password = base64.b64decode(auth.auth).decode().partition(":")
        except ValueError:
            raise InvalidArgument("auth is not base64 of user name, colon, password") from None
    if not name or not password:
        raise InvalidArgument("logging in needs a user name and a password")
    return name, password


@contextmanager
def _memory_file(content: bytes = b"") -> Iterator[int]:
    """A nameless file in memory, by its descriptor."""
    descriptor = os.memfd_create("skopeo")
    try:
        os.write(descriptor, content)
        yield descriptor
    finally:
        os.close(descriptor)
