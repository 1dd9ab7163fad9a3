"""An agent kept the registry credentials of services that it no longer ran until it restarted."""

from __future__ import annotations

from pathlib import Path

from skep.agent.disk import Disk
from skep.agent.reporter import Reporter
from skep.agent.worker import Worker
from skep.model.states import TaskState
from skep.protocol.messages import Assignments, Statuses
from skep.testing import builders as b
from skep.testing.executor import FakeExecutor


async def test_credentials_go_with_the_last_task_that_needs_them(tmp_path: Path) -> None:
    async def hear(statuses: Statuses) -> None: ...

    disk = Disk(tmp_path / "agent.db")
    worker = Worker("n1", FakeExecutor(), disk, Reporter(disk, hear))
    await worker.load()
    web, db = b.service(name="web"), b.service(name="db")
    tasks = [
        b.task(task_id, of, state=TaskState.ASSIGNED)
        for task_id, of in (("w1", web), ("w2", web), ("d1", db))
    ]
    auths = {"web": "secret of web", "db": "secret of db"}
    await worker.assign(Assignments(results_in=1, tasks=tasks, registry_auths=auths))
    assert worker._auths == auths
    await worker.assign(Assignments(applies_to=1, results_in=2, removed_tasks=["w1"]))
    assert worker._auths == auths
    await worker.assign(Assignments(applies_to=2, results_in=3, removed_tasks=["w2"]))
    assert worker._auths == {"db": "secret of db"}
    await worker.close()
    await disk.close()
