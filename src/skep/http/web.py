"""What the API uses of aiohttp's server.

From where it lies, not from `aiohttp.web`, which loads applications, routes and files with it:
1.3 MiB of a daemon that has 60.
"""

from __future__ import annotations

from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server

__all__ = [
    "BaseRequest",
    "HTTPException",
    "RequestHandler",
    "Response",
    "Server",
    "StreamResponse",
]
