"""The Docker Engine API over HTTP, versions 1.24 to 1.50: reads, writes, streams; decides nothing.

    server = Server(node, ["unix:///run/skep.sock"])
    await server.start()

`routes/` has a module for each noun. `versions.py` and `older.py` say what each version means,
`filters.py` and `choices.py` what docker's filters ask of a list, `words.py` how refusals are
worded. HTTP itself is `skep.http`'s affair, what a node offers `skep.node`'s.
"""

from skep.api.server import Server
from skep.node import Node

__all__ = ["Node", "Server"]
