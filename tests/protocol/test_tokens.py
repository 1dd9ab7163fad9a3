"""Join tokens in Swarm's form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kit.errors import InvalidArgument
from skep.model.cluster import ClusterSecrets
from skep.protocol.tokens import join_tokens, new_secret, parse, role_of, root_digest

SECRETS = ClusterSecrets(
    id="c",
    root_certificate="a root",
    root_key="its key",
    worker_secret=new_secret(),
    manager_secret=new_secret(),
)
TOKENS = join_tokens(SECRETS)
_LETTERS = set("0123456789abcdefghijklmnopqrstuvwxyz")


def test_a_token_names_the_root_and_gives_a_role() -> None:
    assert TOKENS.worker.startswith("SWMTKN-1-")
    assert len(TOKENS.worker) == len("SWMTKN-1-") + 50 + 1 + 25
    for token, role in ((TOKENS.worker, "worker"), (TOKENS.manager, "manager")):
        parsed = parse(token)
        assert parsed.root_digest == root_digest("a root")
        assert role_of(parsed, SECRETS) == role


def test_a_wrong_secret_gives_no_role() -> None:
    assert role_of(parse(TOKENS.worker[:-25] + new_secret()), SECRETS) is None


@given(st.text(max_size=90), st.integers(0, 85))
def test_what_is_no_token_is_refused_at_the_door(text: str, at: int) -> None:
    """Letters of other scripts too: they would fail later, where secrets are compared."""
    for broken in (text, TOKENS.worker[:at] + text, TOKENS.worker[:at] + text + TOKENS.worker[at:]):
        if len(broken) == len(TOKENS.worker) and set(text) <= _LETTERS:
            continue  # that is one, perhaps of another cluster
        with pytest.raises(InvalidArgument, match="invalid join token"):
            parse(broken)


@pytest.mark.parametrize("letter", ["é", "A", "٣", "-", "\n"])
def test_a_secret_has_small_letters_and_digits_only(letter: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid join token"):
        parse(TOKENS.worker[:-25] + letter * 25)
    with pytest.raises(InvalidArgument, match="invalid join token"):
        parse(TOKENS.worker + letter)
