"""A service's address, balanced in the sandbox of the client."""

from __future__ import annotations

import asyncio

import pytest

from skep.network.values import Resolver, Sandbox, VirtualAddress
from skep.testing.netlab import Lab, attachment, bridge, call_tcp, sandbox

VIP = "172.17.9.9"


def leads_to(*lasts: int) -> VirtualAddress:
    return VirtualAddress(address=VIP, backends=tuple(f"172.17.0.{last}" for last in lasts))


@pytest.fixture
async def service(lab: Lab) -> Lab:
    """Three tasks on a network; box17-9 is a client."""
    await lab.network.ensure_bridge(bridge())
    for last in (2, 3, 4, 9):
        await lab.network.create_sandbox(sandbox(last))
        with lab.inside(f"box17-{last}"):
            await lab.serve_tcp(f"172.17.0.{last}", 80, str(last))
    return lab


async def calls(lab: Lab, sandbox_id: str = "box17-9", count: int = 30) -> set[str]:
    with lab.inside(sandbox_id):
        made = [call_tcp(VIP, 80) for _ in range(count)]
    return set(await asyncio.gather(*made))


async def test_each_connection_goes_to_one_of_the_backends_which_see_the_caller(
    service: Lab,
) -> None:
    await service.network.set_virtual_addresses("box17-9", (leads_to(2, 3, 4),))
    assert await calls(service) == {f"{n} 172.17.0.9" for n in (2, 3, 4)}


async def test_backends_come_and_go(service: Lab) -> None:
    for lasts in ((2,), (2, 3), (4,)):
        await service.network.set_virtual_addresses("box17-9", (leads_to(*lasts),))
        assert await calls(service) == {f"{n} 172.17.0.9" for n in lasts}


async def test_a_backend_reaches_itself_through_its_service(service: Lab) -> None:
    await service.network.set_virtual_addresses("box17-2", (leads_to(2),))
    assert [each.split()[0] for each in await calls(service, "box17-2", 1)] == ["2"]


async def test_without_backends_it_is_refused_at_once(service: Lab) -> None:
    for lasts in ((), (2,), ()):
        await service.network.set_virtual_addresses("box17-9", (leads_to(*lasts),))
    with pytest.raises(ConnectionRefusedError):
        await calls(service, count=1)


async def test_a_restart_starts_from_what_is_said_then(service: Lab) -> None:
    await service.network.set_virtual_addresses("box17-9", (leads_to(2),))
    await service.restart()
    boxes = [sandbox(last) for last in (2, 3, 4, 9)]
    assert await service.network.repair([bridge()], boxes, {}) == {}
    assert await calls(service) == {"2 172.17.0.9"}, "they work while nobody says anything"
    await service.network.set_virtual_addresses("box17-9", (leads_to(3),))
    assert await calls(service) == {"3 172.17.0.9"}


async def test_they_stand_beside_the_resolver(service: Lab) -> None:
    box = Sandbox(id="both", attachments=(attachment(7),), resolver=Resolver())
    await service.network.create_sandbox(box)
    await service.network.set_virtual_addresses("both", (leads_to(2),))
    await service.network.create_sandbox(box)
    assert await calls(service, "both") == {"2 172.17.0.7"}
