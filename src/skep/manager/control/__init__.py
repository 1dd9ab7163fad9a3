"""What doors (the Engine API, later others) ask of a cluster: checked wishes become commits.

    control = Control(store, ca)
    control.services.find(lambda service: service.spec.name.startswith("web"), status=True)
    service_id = await control.services.create(spec, registry_auth=header)

Readers are plain functions of the store's view; writers check, commit one change set, return.
Refusals are the errors of `skep.kit.errors`, each with a plain sentence: how a door words them, and
in which form it is told what to list, is the door's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from skep.kit.clock import utc_now
from skep.kit.ids import new_id
from skep.manager.control.cluster import CertificateAuthority, ClusterControl
from skep.manager.control.networks import Networks
from skep.manager.control.nodes import Nodes
from skep.manager.control.services import Services
from skep.manager.control.tasks import Tasks
from skep.manager.room import NewId
from skep.manager.story import Story
from skep.store.store import Store
from skep.store.watch import Watch


class Control:
    """One noun, one attribute; `story` tells what happened, `watch` what is stored."""

    def __init__(
        self,
        store: Store,
        ca: CertificateAuthority,
        ids: NewId = new_id,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self.story = Story(store)
        self.services = Services(store, ids, clock)
        self.tasks = Tasks(store)
        self.nodes = Nodes(store)
        self.networks = Networks(store, ids)
        self.cluster = ClusterControl(store, ca)

    def watch(self) -> Watch:
        """Commits from now on, for doors that follow the objects themselves. Whoever asks closes
        it."""
        return self._store.watch()
