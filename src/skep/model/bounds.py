"""Which numbers and times the nouns may hold.

Go's clients read a number as int64, or less, and fail on a whole listing for one that is more;
msgpack, and so the store, ends at 64 bits. A time without a zone cannot be compared with one that
has it. So every number and every time of a noun is one of these, and every text, list and map that
a node sends says how long it may be (`tests/model/test_bounds.py` holds it).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

MOST = 2**63 - 1

Int64 = Annotated[int, Meta(ge=-(2**63), le=MOST)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Count = Annotated[int, Meta(ge=0, le=MOST)]
"""Where Go has uint64 too: msgspec knows no bound beyond int64, and nobody counts so far."""
DurationNs = Annotated[int, Meta(ge=0, le=MOST)]
Port = Annotated[int, Meta(ge=0, le=65535)]
PID = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Name = Annotated[str, Meta(max_length=1_024)]
Text = Annotated[str, Meta(max_length=65_536)]
Moment = Annotated[datetime, Meta(tz=True)]
