"""What KernelNetwork works with: threads, sockets and processes at home in one host's namespace,
and what is known of its rules and ports. All of it is opened together, and closed."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from skep.network import netns
from skep.network.firewall import Firewall
from skep.network.host_links import HostLinks, HostThread
from skep.network.loopback import Loopback
from skep.network.names import Names
from skep.network.nft import Nft
from skep.network.ports import HostPorts
from skep.network.resolver import Resolvers
from skep.network.rule_changes import RuleChanges
from skep.network.rules import Family
from skep.network.translation import SandboxRules
from skep.network.upstream import Forwarder


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """
    home      the host's namespace.
    links     a thread of its own for links and namespaces.
    rules     the thread in which `nft` and `sandbox_rules` may be used.
    passage   the thread for the firewalls of other programs.
    changes   what others do to the host's rules.
    """

    home: int
    links: HostLinks
    rules: HostThread
    passage: HostThread
    nft: Nft
    changes: RuleChanges
    firewall: Firewall
    loopback: Loopback
    sandbox_rules: SandboxRules
    host_ports: HostPorts
    resolvers: Resolvers

    async def close(self) -> None:
        await self.resolvers.close_all()
        self.host_ports.release_others(())
        await self.links.close()
        self.passage.stop()
        await self.rules.run(self.nft.close)
        self.changes.close()
        self.rules.stop()
        os.close(self.home)


async def open_tools(
    directory: Path, resolv_conf: Path, names: Names, families: tuple[Family, ...], *, drops: bool
) -> Tools:
    """Those of the namespace that the caller's thread is in; see KernelNetwork for the words."""
    home = netns.open_own()
    links = HostLinks(home, directory, names)
    rules, passage = HostThread("rules", home), HostThread("passage", home)
    nft, _ = await asyncio.gather(rules.run(Nft, str(directory.parent)), links.open())
    changes = await rules.run(RuleChanges)

    async def run_nft(commands: str) -> str:
        return await rules.run(nft.run, commands)

    firewall = Firewall(families, names.table, run_nft, drops=drops)
    await firewall.recall_router()
    return Tools(
        home=home,
        links=links,
        rules=rules,
        passage=passage,
        nft=nft,
        changes=changes,
        firewall=firewall,
        loopback=Loopback(links.lead_loopback),
        sandbox_rules=SandboxRules(nft),
        host_ports=HostPorts(home),
        resolvers=Resolvers(Forwarder(home, resolv_conf)),
    )
