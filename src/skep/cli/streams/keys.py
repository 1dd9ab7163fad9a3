"""The keys that leave a terminal without ending what runs in it: ctrl-p ctrl-q, unless set."""

from __future__ import annotations

DEFAULT = "ctrl-p,ctrl-q"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """`ctrl-a,x` as the bytes that the keyboard sends for it."""
    return bytes(_key(name) for name in (text or DEFAULT).split(","))


def _key(name: str) -> int:
    if len(name) == 1 and name.isascii():
        return ord(name)
    control = name.lower().removeprefix("ctrl-")
    if control != name.lower() and len(control) == 1:
        if "a" <= control <= "z":
            return ord(control) - ord("a") + 1
        if control in _CONTROL:
            return _CONTROL[control]
    raise ValueError(
        f"invalid detach keys: unknown character: '{name}': write letters or ctrl-<letter>, "
        "with commas between"
    )


class DetachKeys:
    """Watches what is typed. Keys of a sequence are held back until it is clear what they are."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._held = b""

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What to send on, and whether the sequence is complete (nothing is sent after it)."""
        sent = bytearray()
        for position in range(len(typed)):
            key = typed[position : position + 1]
            if self._sequence.startswith(self._held + key):
                self._held += key
                if self._held == self._sequence:
                    return bytes(sent), True
                continue
            sent += self._held
            self._held = b""
            if self._sequence.startswith(key):
                self._held = key
            else:
                sent += key
        return bytes(sent), False
