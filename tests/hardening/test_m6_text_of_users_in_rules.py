"""A bridge's name with `"` or `*` in it came into nft's language as it was: all networks of the
host were broken until a restart."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skep.kit.errors import InvalidArgument, SkepError
from skep.network import words
from skep.network.values import Backend, PublishedPort, Subnet, VirtualAddress
from skep.testing.daemon import DaemonHost
from skep.testing.netlab import bridge, laboratory, sandbox

BAD = ['a"b', "x*", 'a","lo', "a b", "a/b", "a\nb", "-i", "..", "br+", "x" * 16, "ä", "a;b", "{a}"]
_OPTION = "com.docker.network.bridge.name"
_LETTERS = st.sampled_from(string.ascii_letters + string.digits + string.punctuation + " \t\n\0ä%²")
TEXT = st.text(_LETTERS, max_size=20) | st.text(max_size=20)


def _create(host: DaemonHost, name: str, link: str = "") -> int:
    options = {_OPTION: link} if link else {}
    return host.api("POST", "/networks/create", {"Name": name, "Options": options}).status


def test_such_a_name_is_refused_and_other_networks_are_made(host: DaemonHost) -> None:
    for link in BAD:
        assert _create(host, "bad", link) == 400, link
        assert _create(host, "good") == 201, f"after {link}"
        host.ok("network", "rm", "good")
    assert _create(host, "named", "plain-0.x_y") == 201


@pytest.mark.parametrize("link", ['a"b', "x*"])
async def test_what_the_rules_refuse_is_not_remembered(tmp_path: Path, link: str) -> None:
    async with laboratory(tmp_path) as lab:
        with pytest.raises(SkepError):
            await lab.network.ensure_bridge(bridge(17, link=link))
        await lab.network.ensure_bridge(bridge(18))
        assert '"x' not in lab.run("nft", "list", "ruleset")


async def test_neither_is_what_only_the_firewall_refuses(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        subnets = (*bridge(17).subnets, Subnet(subnet="10.0.0.0/8 } drop"))
        wrong = bridge(17, subnets=subnets)
        with pytest.raises(SkepError):
            await lab.network.ensure_bridge(wrong)
        await lab.network.ensure_bridge(bridge(18))
        await lab.network.ensure_bridge(bridge(17))


async def test_an_address_that_is_none_reaches_no_rule(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await lab.network.ensure_bridge(bridge())
        await lab.network.create_sandbox(sandbox(2))
        for text in ("172.17.0.2 drop", "fe80::1%x } ; flush ruleset", ""):
            port = PublishedPort(host_port=8080, backends=(Backend(address=text, port=80),))
            with pytest.raises(InvalidArgument):
                await lab.network.publish("web", (port,))
            with pytest.raises(InvalidArgument):
                virtual = VirtualAddress(address="10.0.0.2", backends=(text,))
                await lab.network.set_virtual_addresses("box17-2", (virtual,))
        assert lab.network._tools.host_ports._held == {}


@given(TEXT)
@example("fe80::1%a drop")
@example("1.1.1.1\n")
@example("²")
def test_whatever_is_said_is_one_word_or_refused(text: str) -> None:
    for word, shape in (
        (words.link, r'"[a-zA-Z0-9_.-]{1,15}"'),
        (words.address, r"[0-9a-f.:]+"),
        (words.subnet, r"[0-9a-f.:]+/[0-9]+"),
    ):
        try:
            said = word(text)
        except InvalidArgument:
            continue
        assert re.fullmatch(shape, said)


async def test_nft_reads_each_as_one_word_and_gives_it_back(tmp_path: Path) -> None:
    names = ["a", "9", "_", "x" * 15, "a.b", "a-b", "ip", "drop", "0x1", "1-2", "1.2.3.4"]
    elements = ", ".join(words.link(name) for name in names)
    async with laboratory(tmp_path) as lab:
        nft = lab.network._tools.nft
        nft.run(f"table ip t {{ set s {{ type ifname; elements = {{ {elements} }}; }}; }}")
        said = nft.run("list set ip t s")
        nft.run("delete table ip t")
    assert sorted(re.findall('"(.*?)"', said)) == sorted(names)
