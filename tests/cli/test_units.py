"""Sizes, times, ids and lists in docker's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.cli.show.live import LiveLines, bar
from skep.cli.show.table import align
from skep.cli.show.units import (
    binary_size,
    ellipsis,
    go_duration,
    go_time,
    human_duration,
    human_size,
    natural_key,
    short_id,
)
from skep.cli.show.words import container_ports, familiar_image, service_ports
from skep.kit.clock import parse_duration_ns

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (59 * 60, "59 minutes"),
        (HOUR, "About an hour"),
        (1.6 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (3 * DAY, "3 days"),
        (20 * DAY, "2 weeks"),
        (100 * DAY, "3 months"),
        (800 * DAY, "2 years"),
    ],
)
def test_a_time_span_is_told_coarsely(seconds: float, words: str) -> None:
    assert human_duration(seconds) == words


def test_sizes_have_three_or_four_digits() -> None:
    assert [human_size(size) for size in (0, 999, 1000, 1_984_000, 2.5e9)] == [
        "0B", "999B", "1kB", "1.984MB", "2.5GB",
    ]  # fmt: skip
    assert human_size(1_984_000, 3) == "1.98MB"
    assert [binary_size(size) for size in (364 * 1024, 23.54 * 1024**3)] == ["364KiB", "23.54GiB"]


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"),
        (5 * 10**9, "5s"),
        (1_500_000, "1.5ms"),
        (90 * 10**9, "1m30s"),
        (7_776_000 * 10**9, "2160h0m0s"),
        (-(10**9), "-1s"),
        (1_234_567_890, "1.23456789s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(duration_ns: int, text: str) -> None:
    assert go_duration(duration_ns) == text


@given(st.integers(min_value=0, max_value=10**13))
def test_a_duration_that_is_written_can_be_read(microseconds: int) -> None:
    assert parse_duration_ns(go_duration(microseconds * 1000)) == microseconds * 1000


def test_times_ids_and_cuts() -> None:
    assert go_time("2026-11-22T19:44:36.279040670Z") == "2026-11-22 19:44:36.27904067 +0000 UTC"
    assert short_id("sha256:bcfbe0bbb2ab0509d33ad65140") == "bcfbe0bbb2ab"
    assert [ellipsis("abcdef", limit) for limit in (6, 5)] == ["abcdef", "abcd…"]


def test_people_count_ten_after_two() -> None:
    assert sorted(["web.10", "web.2", "web.1"], key=natural_key) == ["web.1", "web.2", "web.10"]


def test_columns_are_ten_wide_or_three_more_than_their_widest_cell() -> None:
    assert align(["A\tB\tC", "long name\tx\t"]) == (
        "A           B         C\n"  # 9 + 3, then 10
        "long name   x         \n"
    )


@given(st.lists(st.lists(st.text(alphabet="abc", max_size=12), min_size=3, max_size=3)))
def test_cells_of_a_column_begin_in_the_same_place(rows: list[list[str]]) -> None:
    lines = align(["\t".join(["|" + cell for cell in row]) for row in rows]).splitlines()
    starts = {tuple(at for at, letter in enumerate(line) if letter == "|") for line in lines}
    assert len(starts) <= 1


def port(private: int, public: int = 0, ip: str = "", protocol: str = "tcp") -> dict[str, Any]:
    return {"PrivatePort": private, "PublicPort": public, "IP": ip, "Type": protocol}


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(80, 8080, "0.0.0.0"), port(80, 8080, "::")],
         "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        ([port(n, n, "0.0.0.0", "udp") for n in (9002, 9000, 9001)],
         "0.0.0.0:9000-9002->9000-9002/udp"),
        ([port(80), port(81), port(83)], "80-81/tcp, 83/tcp"),
    ],
)  # fmt: skip
def test_ports_of_a_container_are_joined_to_ranges(ports: list[Any], text: str) -> None:
    assert container_ports(ports) == text


def ingress(published: int, target: int, protocol: str = "tcp") -> dict[str, Any]:
    return {"PublishedPort": published, "TargetPort": target, "Protocol": protocol}


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([ingress(4000, 80)], "*:4000->80/tcp"),
        ([ingress(n, n - 7920) for n in (8001, 8000, 8002)], "*:8000-8002->80-82/tcp"),
        ([ingress(8000, 80), ingress(8001, 80)], "*:8000-8001->80/tcp"),
        ([ingress(8000, 80), ingress(8002, 82)], "*:8000->80/tcp, *:8002->82/tcp"),
        ([ingress(53, 53, "udp"), ingress(53, 53)], "*:53->53/tcp, *:53->53/udp"),
        ([{**ingress(80, 80), "PublishMode": "host"}], ""),
    ],
)
def test_ports_of_a_service_are_joined_to_ranges(ports: list[Any], text: str) -> None:
    assert service_ports(ports) == text


def test_an_image_is_shown_without_digest_and_default_registry() -> None:
    assert familiar_image("docker.io/library/web:1@sha256:abc") == "web:1"
    assert familiar_image("localhost:5000/web:1") == "localhost:5000/web:1"


def test_a_terminal_gets_lines_in_place_and_a_log_only_news() -> None:
    for terminal, text in (
        (True, "a: 1\nb: 1\n\x1b[2A\x1b[2K\ra: 2\r\x1b[2B"),
        (False, "a: 1\nb: 1\na: 2\n"),
    ):
        said: list[str] = []
        lines = LiveLines(said.append, terminal=terminal)
        for name, value in (("a", "1"), ("b", "1"), ("b", "1"), ("a", "2")):
            lines.set(name, value)
        assert "".join(said) == text


def test_a_bar_fills_from_the_left() -> None:
    assert [bar(now, 4, 8) for now in (0, 2, 4, 9)] == [
        "[>       ]", "[====>   ]", "[========]", "[========]",
    ]  # fmt: skip
