"""An agent kept the registry credentials of services that it no longer ran until it restarted."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from skep.agent.disk import Disk
from skep.agent.reporter import Reporter
from skep.agent.worker import Worker
from skep.manager.dispatcher.assignments import Told, difference, in_parts
from skep.model.service import RegistryAuth
from skep.model.states import TaskState
from skep.model.task import Task
from skep.protocol.messages import Statuses
from skep.testing import builders as b
from skep.testing.executor import FakeExecutor


async def test_credentials_go_with_the_last_task_that_needs_them(tmp_path: Path) -> None:
    """A manager counts who needs them; what it says may be forgotten is forgotten."""

    async def hear(statuses: Statuses) -> None: ...

    disk = Disk(tmp_path / "agent.db")
    worker = Worker("n1", FakeExecutor(), disk, Reporter(disk, hear))
    await worker.load()
    web, db = b.service(name="web"), b.service(name="db")
    w1, w2, d1 = (
        b.task(task_id, of, state=TaskState.ASSIGNED)
        for task_id, of in (("w1", web), ("w2", web), ("d1", db))
    )
    auths = [RegistryAuth(id=name, current=f"secret of {name}") for name in ("web", "db")]

    async def tell(told: Told, *tasks: Task) -> Told:
        news, told = difference(b.view(*tasks, *auths), "n1", told, ["w1", "w2", "d1"])
        assert news is not None
        for part in in_parts(news):
            await worker.assign(replace(part, applies_to=1))
        return told

    def known() -> list[str]:
        return sorted(worker._supplies.of_kind("registry-auth"))

    told = await tell(Told(), w1, w2, d1)
    assert known() == ["secret of db", "secret of web"]
    told = await tell(told, w2, d1)
    assert known() == ["secret of db", "secret of web"]
    told = await tell(told, d1)
    assert known() == ["secret of db"]
    await worker.close()
    await disk.close()
    assert b"secret of" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
