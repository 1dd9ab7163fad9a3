"""HTTP for any door: sockets, TLS, routes, streams, connections that are taken over.

    server = Server(door, ["unix:///run/skep.sock"], group="docker")
    await server.start()

It knows nothing of what is asked through it. A door (`dispatch.Door`; the Engine API's stands in
`skep.api`) has a table of routes, handlers, and the words of its refusals. In reading order:

    web        what is used of aiohttp
    router     from method and path to a handler
    request    one request: parameters, a body within its bounds
    streams    answers that are written while they are made
    protocol   a connection, as long as it speaks HTTP
    hijack     a connection that speaks HTTP no more
    browsers   pages of other sites
    dispatch   what every request passes through
    sockets    where a server listens
    server     all of it, started and stopped
"""

from skep.http.server import Server

__all__ = ["Server"]
