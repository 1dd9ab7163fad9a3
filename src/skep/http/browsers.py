"""Web pages that would speak to this API through their visitor's browser.

A page of any site may make a browser send a request without a body to an address that the browser
reaches, though not read the answer: enough to stop a container. Browsers say by themselves where
such a request comes from. Docker's clients say nothing of the kind, and no page reaches a unix
socket; a dashboard's server that hands on what browsers asked of it adds `X-Forwarded-For`, which a
page cannot add without asking us before.
"""

from __future__ import annotations

from collections.abc import Mapping

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_OTHERS = frozenset({"cross-site", "same-site"})


def comes_from_another_site(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a page of another site wants to change something."""
    if method in _READING:
        return False
    if site := headers.get("Sec-Fetch-Site"):
        return site.lower() in _OF_OTHERS
    origin = headers.get("Origin")
    if origin is None or "X-Forwarded-For" in headers:
        return False
    return origin.partition("://")[2].lower() != headers.get("Host", "").lower()
