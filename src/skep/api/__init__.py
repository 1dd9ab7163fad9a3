"""The Docker Engine API over HTTP, versions 1.41 to 1.50: reads, writes, streams; decides nothing.

    server = Server(node, ["unix:///run/skep.sock"])
    await server.start()

`node.py` says what a node must offer, `routes/` has a module for each noun, `dispatch.py` is what
every request passes through.
"""

from skep.api.server import Server
from skep.node import Node

__all__ = ["Node", "Server"]
