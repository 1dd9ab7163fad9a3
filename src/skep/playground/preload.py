"""What every node's daemon will use, imported once, so that the nodes share the memory of it.

The daemon imports late what it may not need; here many of it will, and each would read the same
modules for itself: a tenth of a second and 10 MiB a node.
"""

from __future__ import annotations

import gc
import importlib

_MODULES = (
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.serialization",
    "cryptography.x509",
    "skep.agent.containers",
    "skep.api.routes.table",
    "skep.daemon.main",
    "skep.engine.engine",
    "skep.manager.manager",
    "skep.network.kernel",
    "skep.runtime.conmon",
)


def preload() -> None:
    """Import them, and keep the garbage collector from touching, and so copying, what is shared."""
    for name in _MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
