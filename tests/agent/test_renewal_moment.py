"""When a certificate is renewed: at a random moment between 50 and 80 percent of its life."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from skep.agent.identity import Expired, Identity
from skep.model.node import TLSInfo
from skep.protocol.messages import Certificate

BORN_S, LIFE_S = 1_000_000.0, 90 * 86_400.0


def identity(folder: Path, seed: int) -> Identity:
    made = Identity(folder, random.Random(seed))
    made._certificate = Certificate("pem", BORN_S, BORN_S + LIFE_S, TLSInfo())
    return made


def test_it_is_renewed_between_half_and_four_fifths_of_its_life(tmp_path: Path) -> None:
    moments = [identity(tmp_path, seed).renew_in_s(BORN_S) / LIFE_S for seed in range(40)]
    assert 0.5 <= min(moments) < 0.55
    assert 0.75 < max(moments) <= 0.8


def test_one_that_is_overdue_is_renewed_at_once(tmp_path: Path) -> None:
    assert identity(tmp_path, 1).renew_in_s(BORN_S + 0.81 * LIFE_S) == 0


def test_one_that_has_ended_is_of_no_use(tmp_path: Path) -> None:
    held = identity(tmp_path, 1)
    held.check_valid(BORN_S + LIFE_S)
    with pytest.raises(Expired, match="Swarm certificates have expired"):
        held.check_valid(BORN_S + LIFE_S + 1)
