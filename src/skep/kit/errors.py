"""What can go wrong, by whose fault it is.

    SkepError
      InvalidArgument    the request is wrong and changes nothing          400
        NotPossibleNow   the request is sound, what there is forbids it    400
      Unauthenticated    the caller is not who it must be                  401
      Forbidden          the caller may not do this                        403
      NotFound           the thing that was named does not exist           404
      Conflict           the state of the thing does not allow it          409
        NameTaken        another of its kind has the name                  409
      NotModified        it is already so (docker: "not modified")         304
      OutOfSequence      the writer read an older version                  500
      Unimplemented      docker knows it, this engine does not do it       501
        NeverAllowed     docker knows it and refuses it by design          501
      Unavailable        not now: no leader, shutting down                 503
        NoCluster        there is no cluster here                          503
      Internal           our fault                                         500

The message is for people: what was wrong, where, and what to do. The numbers are the HTTP status
codes that the Engine API answers with (reference: moby daemon/server/httpstatus).
"""

from __future__ import annotations


class SkepError(Exception):
    """Base of all errors that are shown to a person. `str(error)` is the sentence shown."""

    http_status: int = 500


class InvalidArgument(SkepError):
    http_status = 400


class NotPossibleNow(InvalidArgument):
    """The wish is sound; the state of the cluster does not allow it."""


class Unauthenticated(SkepError):
    http_status = 401


class Forbidden(SkepError):
    http_status = 403


class NotFound(SkepError):
    http_status = 404


class Conflict(SkepError):
    http_status = 409


class NameTaken(Conflict):
    """Names are unique among a kind (`service`, `network`, …)."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} already exists")
        self.kind = kind
        self.name = name


class NotModified(SkepError):
    http_status = 304


class OutOfSequence(SkepError):
    """A writer stated a version that is no longer the stored one."""

    def __init__(self, message: str = "update out of sequence") -> None:
        super().__init__(message)


class Unimplemented(SkepError):
    http_status = 501


class NeverAllowed(Unimplemented):
    """Nothing would be missing to do it: it is refused by design."""


class Unavailable(SkepError):
    http_status = 503


class NoCluster(Unavailable):
    def __init__(self) -> None:
        super().__init__("this node is no manager of a cluster")


class Internal(SkepError):
    pass


UNDECODABLE = (ValueError, OverflowError, RecursionError)
"""What msgspec raises for bytes that it cannot read as what they should be, or cannot write."""
