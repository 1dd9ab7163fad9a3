"""Image names: docker's grammar, the canonical form and the familiar one.

    reference = [domain "/"] path [":" tag] ["@" digest]

`nginx` is `docker.io/library/nginx:latest` in full; people are shown `nginx:latest`. The first part
is a registry only when it could not be a user's name: it has a dot or a port, is `localhost`, or
has capitals. Source of the rules: github.com/distribution/reference.
"""

from __future__ import annotations

import re

import msgspec

from skep.kit.errors import InvalidArgument

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"

_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL_USER = "library"
_NAME_MAX_CHARS = 255

_DOMAIN_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REGISTRY = re.compile(_DOMAIN, re.ASCII)
_NAME = re.compile(rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH_PART}(?:/{_PATH_PART})*)", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


def is_registry(text: str) -> bool:
    """Whether it can be the address of a registry: a host, and perhaps a port."""
    return len(text) <= _NAME_MAX_CHARS and _REGISTRY.fullmatch(text) is not None


class Reference(msgspec.Struct, frozen=True, order=True):
    """A checked image name. `str()` is its canonical form, `familiar` what people are shown."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return self.repository + self._suffix

    @property
    def repository(self) -> str:
        """`docker.io/library/nginx`: the name without tag and digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """`nginx`: the repository as people write it, in full where short would mean another."""
        first, _, rest = self.path.partition("/")
        if self.domain != DEFAULT_DOMAIN or _is_domain(first):
            return self.repository
        return rest if first == _OFFICIAL_USER and "/" not in rest else self.path

    @property
    def familiar(self) -> str:
        """`nginx:latest`: the whole reference as people write it."""
        return self.familiar_repository + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> Reference:
        """The same name, tagged `latest` when it has neither tag nor digest."""
        return self if self.tag or self.digest else self.with_tag(DEFAULT_TAG)

    def sought(self) -> Reference:
        """What says which image is meant: the digest, whatever tag stands by it; else the tag."""
        return self.with_digest(self.digest) if self.digest else self.with_default_tag()

    def with_tag(self, tag: str) -> Reference:
        """The repository of this name with `tag`; raises InvalidArgument for a malformed tag."""
        if not _TAG.fullmatch(tag):
            raise InvalidArgument("invalid tag format")
        return Reference(self.domain, self.path, tag)

    def with_digest(self, digest: str) -> Reference:
        """The repository of this name pinned to `digest` (`sha256:…`), without its tag."""
        if not is_digest(digest):
            raise InvalidArgument("invalid digest format")
        return Reference(self.domain, self.path, digest=digest)


def is_digest(text: str) -> bool:
    """Whether `text` is a whole `sha256:<64 hex>` or `sha512:<128 hex>`."""
    return _DIGEST.fullmatch(text) is not None


def parse_reference(text: str) -> Reference:
    """Read a name as people write it; the tag stays empty when none was given.

    Raises InvalidArgument in docker's words.
    """
    if _IMAGE_ID.fullmatch(text):
        raise InvalidArgument(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    name, _, digest = text.partition("@")
    name, tag = _split_tag(name)
    domain, path = _split_domain(name)
    if path != path.lower():
        raise InvalidArgument(
            f"invalid reference format: repository name ({path}) must be lowercase"
        )
    if not _NAME.fullmatch(f"{domain}/{path}"):
        raise InvalidArgument("invalid reference format")
    if tag is not None and not _TAG.fullmatch(tag):
        raise InvalidArgument("invalid reference format")
    if "@" in text and not is_digest(digest):
        raise InvalidArgument("invalid reference format")
    if len(path) > _NAME_MAX_CHARS:
        raise InvalidArgument(f"repository name must not be more than {_NAME_MAX_CHARS} characters")
    return Reference(domain, path, tag or "", digest)


def _split_tag(name: str) -> tuple[str, str | None]:
    """A colon after the last slash starts the tag; before it, it is a registry's port."""
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, None
    return head, tag


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not _is_domain(first):
        domain, path = DEFAULT_DOMAIN, name
    else:
        domain, path = first, rest
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"{_OFFICIAL_USER}/{path}"
    return domain, path


def _is_domain(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first != first.lower()
