"""How a refusal is worded.

Docker's daemon passes on its cluster's gRPC errors as text, "rpc error: code = C desc = D", and
tools around it (terraform, ansible, portainer, docker's own tests) search for that text. Where they
do, we write the same; everywhere else a plain sentence.
"""

from __future__ import annotations

from skep.kit.errors import Conflict, InvalidArgument, OutOfSequence, Unimplemented


def out_of_sequence() -> OutOfSequence:
    """The caller read an older version than the one stored: read again, then write again."""
    return OutOfSequence("rpc error: code = Unknown desc = update out of sequence")


def name_taken(kind: str, name: str) -> Conflict:
    return Conflict(
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: "
        f"{kind} {name} already exists"
    )


def not_possible_now(sentence: str) -> InvalidArgument:
    """The request is sound, the cluster's state does not allow it (docker answers 400)."""
    return InvalidArgument(f"rpc error: code = FailedPrecondition desc = {sentence}")


def never_allowed(sentence: str) -> Unimplemented:
    """Docker knows the wish and refuses it by design (docker answers 501)."""
    return Unimplemented(f"rpc error: code = Unimplemented desc = {sentence}")
