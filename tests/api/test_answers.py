"""A long list goes out in slices; what arrives is the same."""

from __future__ import annotations

import pytest

from skep.api import answers
from skep.model.base import encode_json
from skep.testing import builders as b


@pytest.mark.parametrize("number", [3, 4, 5])
async def test_the_slices_of_a_list_are_its_json(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "_AT_ONCE", 2)
    nodes = b.nodes(number)
    slices = [part async for part in answers._in_slices(nodes)]
    assert b"".join(slices) == encode_json(nodes)
    assert len(slices) > number // 2
