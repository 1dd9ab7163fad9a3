"""All routes, in the order in which they are tried within a noun."""

from __future__ import annotations

from skep.api.routes import (
    containers,
    execs,
    images,
    networks,
    nodes,
    refused,
    services,
    swarm,
    system,
    tasks,
    volumes,
)

ROUTES = (
    *system.ROUTES,
    *containers.ROUTES,
    *execs.ROUTES,
    *images.ROUTES,
    *volumes.ROUTES,
    *networks.ROUTES,
    *swarm.ROUTES,
    *nodes.ROUTES,
    *services.ROUTES,
    *tasks.ROUTES,
    *refused.ROUTES,
)
