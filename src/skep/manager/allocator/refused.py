"""Why something cannot be allocated, as a sentence for the person who waits for it."""

from __future__ import annotations


class CannotAllocate(Exception):
    """Raised inside one plan and caught there; the sentence goes to `status.err`."""
