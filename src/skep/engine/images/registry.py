"""The one door to registries: skopeo(1), a process for each request.

Credentials go through an anonymous file in memory, never over the command line or the disk.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec

from skep.kit.errors import Forbidden, InvalidArgument, NotFound, SkepError
from skep.model.image import RegistryAuth
from skep.model.reference import Reference

_REQUEST_TIMEOUT_S = 60
_MAX_DOCUMENT_BYTES = 8 << 20
_MAX_COMPLAINT_BYTES = 16 << 10
# setpriv: a transfer must not outlive a daemon that was killed.
_SKOPEO = ("setpriv", "--pdeathsig", "KILL", "skopeo", "--insecure-policy")
_HUB_AUTH_KEYS = ("docker.io", "https://index.docker.io/v1/")


class RegistryError(SkepError):
    """A registry could not be reached or made no sense; docker answers 500 for it."""


class Registries:
    """What this node asks of registries. `tmp` is for skopeo's own scratch files."""

    def __init__(self, tmp: Path, insecure: Collection[str] = ()) -> None:
        self._tmp = tmp
        self._insecure = frozenset(insecure)

    async def manifest(self, reference: Reference, auth: RegistryAuth | None) -> bytes:
        """The manifest or manifest list of a name, byte for byte."""
        return await self._read(reference, auth, "--raw")

    async def config(self, reference: Reference, auth: RegistryAuth | None) -> bytes:
        """The config document of an image (`repo@digest` of a manifest), byte for byte."""
        return await self._read(reference, auth, "--raw", "--config")

    @asynccontextmanager
    async def copying(
        self, reference: Reference, auth: RegistryAuth | None, layout: Path, blobs: Path
    ) -> AsyncIterator[Process]:
        """A running transfer of an image into an OCI layout with its blobs in `blobs`/sha256/.

        Blobs that are there already are not transferred. Each new one appears there whole and
        checked against its digest. The process is killed when the block ends; `verdict` judges it.
        """
        arguments = [
            f"--tmpdir={self._tmp}", "copy", "--quiet", f"--src-tls-verify={self._tls(reference)}",
            "--dest-oci-accept-uncompressed-layers", f"--dest-shared-blob-dir={blobs}",
            _url(reference), f"oci:{layout}",
        ]  # fmt: skip
        with _auth_file(reference, auth) as (path, descriptor):
            process = await asyncio.create_subprocess_exec(
                *_SKOPEO, *arguments, f"--authfile={path}",
                stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, pass_fds=[descriptor],
            )  # fmt: skip
        try:
            yield process
        finally:
            await _end(process)

    async def _read(self, reference: Reference, auth: RegistryAuth | None, *options: str) -> bytes:
        arguments = ["inspect", f"--tls-verify={self._tls(reference)}", *options, _url(reference)]
        with _auth_file(reference, auth) as (path, descriptor):
            process = await asyncio.create_subprocess_exec(
                *_SKOPEO, *arguments, f"--authfile={path}",
                stdin=DEVNULL, stdout=PIPE, stderr=PIPE, pass_fds=[descriptor],
                limit=_MAX_DOCUMENT_BYTES,
            )  # fmt: skip
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                assert process.stdout is not None
                document, _ = await asyncio.gather(
                    _read_bounded(process.stdout, _MAX_DOCUMENT_BYTES),
                    verdict(process, reference, auth),
                )
        except TimeoutError:
            raise RegistryError(
                f"{reference.domain} did not answer in {_REQUEST_TIMEOUT_S} s"
            ) from None
        finally:
            await _end(process)
        return document

    def _tls(self, reference: Reference) -> str:
        plain = is_loopback(reference.domain) or reference.domain in self._insecure
        return "false" if plain else "true"


async def verdict(process: Process, reference: Reference, auth: RegistryAuth | None) -> None:
    """Wait for skopeo's end; raises its failure in docker's words."""
    assert process.stderr is not None
    complaint = await _read_bounded(process.stderr, _MAX_COMPLAINT_BYTES)
    if await process.wait():
        raise explain(complaint.decode(errors="replace"), reference, auth is not None)


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
    if "denied" in cause:
        return NotFound(
            f"pull access denied for {repository}, repository does not exist or may require "
            "'docker login': denied: requested access to the resource is denied"
        )
    if "unauthorized" in cause or "authentication required" in cause or "401" in cause:
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


def _cause(complaint: str) -> str:
    """The end of skopeo's chain of messages, from the HTTP request on where there is one."""
    fatal = re.search(r'level=fatal msg="((?:[^"\\]|\\.)*)"', complaint)
    text = fatal[1].replace('\\"', '"').replace("\\\\", "\\") if fatal else complaint.strip()
    request = re.search(r'(?:Get|Head|Post) "http.*', text, re.DOTALL)
    text = request[0] if request else re.sub(r'^Error [^"]*"[^"]*": ', "", text)
    return text or "skopeo failed without a word"


def _url(reference: Reference) -> str:
    return f"docker://{reference}"


@contextmanager
def _auth_file(reference: Reference, auth: RegistryAuth | None) -> Iterator[tuple[str, int]]:
    """An authfile for a child process: its path there and the descriptor to pass on.

    Without credentials it is empty, so that skopeo does not take root's own.
    """
    entry = {}
    if auth and (auth.username or auth.auth):
        plain = f"{auth.username}:{auth.password}".encode()
        entry["auth"] = auth.auth or base64.b64encode(plain).decode()
    if auth and auth.identity_token:
        entry["identitytoken"] = auth.identity_token
    hub = reference.domain == _HUB_AUTH_KEYS[0]
    keys = _HUB_AUTH_KEYS if hub else (reference.domain,)
    content = msgspec.json.encode({"auths": dict.fromkeys(keys, entry) if entry else {}})
    descriptor = os.memfd_create("registry-auth")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}", descriptor
    finally:
        os.close(descriptor)


async def _read_bounded(stream: asyncio.StreamReader, limit: int) -> bytes:
    """Read to the end, keep the first `limit` bytes."""
    kept = bytearray()
    while chunk := await stream.read(1 << 16):
        kept += chunk[: limit - len(kept)]
    return bytes(kept)


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
