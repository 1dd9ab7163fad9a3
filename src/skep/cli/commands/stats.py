"""`skep stats`: a table that is drawn anew as the containers' samples come in."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

from skep.cli.client.client import Client, json_stream
from skep.cli.errors import Failure
from skep.cli.flags.command import ANY, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields, render
from skep.cli.show.lists import list_format
from skep.cli.show.printable import printable
from skep.cli.show.units import binary_size, human_size, short_id
from skep.cli.show.usage import Use, use_of

_TABLE = (
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}"
    "\t{{.PIDs}}"
)
_REDRAW_S = 0.5
_FIRST_SAMPLES_S = 10.0
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
_UNKNOWN = "--"


class Row(NamedTuple):
    """A container and its last sample, None while none has come."""

    asked: str
    container_id: str
    name: str
    use: Use | None
    truncate: bool = True


def _id(row: Row) -> str:
    return (short_id(row.container_id) if row.truncate else row.container_id) or _UNKNOWN


def _memory(row: Row) -> str:
    if row.use is None:
        return f"{_UNKNOWN} / {_UNKNOWN}"
    return f"{binary_size(row.use.memory)} / {binary_size(row.use.memory_limit)}"


def _net(row: Row) -> str:
    if row.use is None:
        return _UNKNOWN
    return f"{human_size(row.use.net_in, 3)} / {human_size(row.use.net_out, 3)}"


def _block(row: Row) -> str:
    if row.use is None:
        return _UNKNOWN
    return f"{human_size(row.use.block_in, 3)} / {human_size(row.use.block_out, 3)}"


def _percent(name: str) -> Any:
    def get(row: Row) -> str:
        return _UNKNOWN if row.use is None else f"{getattr(row.use, name):.2f}%"

    return get


FIELDS: Fields = {
    "Container": Field("CONTAINER", lambda row: row.asked),
    "ID": Field("CONTAINER ID", _id),
    "Name": Field("NAME", lambda row: row.name or _UNKNOWN),
    "CPUPerc": Field("CPU %", _percent("cpu_percent")),
    "MemUsage": Field("MEM USAGE / LIMIT", _memory),
    "MemPerc": Field("MEM %", _percent("memory_percent")),
    "NetIO": Field("NET I/O", _net),
    "BlockIO": Field("BLOCK I/O", _block),
    "PIDs": Field("PIDS", lambda row: _UNKNOWN if row.use is None else str(row.use.pids)),
}


class _Watched:
    """Reads one container's samples in a thread of its own; `row` is always the newest."""

    def __init__(self, client: Client, asked: str, *, stream: bool, truncate: bool) -> None:
        self.row = Row(asked, "", "", None, truncate)
        self.failure: Failure | None = None
        self.first = threading.Event()
        self.ended = False
        # A connection of its own: the client's is not shared between threads.
        self._client = Client(client.address)
        self._stream = stream
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            path = f"/containers/{self.row.asked}/stats"
            for sample in json_stream(self._client.stream("GET", path, {"stream": self._stream})):
                name = str(sample.get("name", "")).removeprefix("/")
                alive = bool(sample.get("cpu_stats", {}).get("cpu_usage"))
                self.row = self.row._replace(
                    container_id=sample.get("id", self.row.asked),
                    name=name,
                    use=use_of(sample) if alive else None,
                )
                self.first.set()
        except Failure as error:
            self.failure = error
        finally:
            self.ended = True
            self.first.set()


def _stats(session: Session, options: Options, names: list[str]) -> int:
    watch = _Watch(session, options, names)
    if options.yes("no-stream"):
        return watch.once()
    try:
        watch.live()
    except KeyboardInterrupt:
        session.say("")
    return 0


class _Watch:
    """The containers that are shown: those named, or all that run from time to time."""

    def __init__(self, session: Session, options: Options, names: list[str]) -> None:
        self._session = session
        self._options = options
        self._names = names
        self._watched: dict[str, _Watched] = {}

    def once(self) -> int:
        self._find(stream=False)
        deadline = time.monotonic() + _FIRST_SAMPLES_S
        for each in self._watched.values():
            each.first.wait(max(deadline - time.monotonic(), 0))
        failures = [each.failure for each in self._watched.values() if each.failure]
        for failure in failures:
            self._session.complain(str(failure))
        if failures and self._names:
            return 1
        self._session.write(self._text())
        return 0

    def live(self) -> None:
        """Until Ctrl-C, or until the containers that were named have ended."""
        while True:
            self._find(stream=True)
            for each in self._watched.values():
                if self._names and each.failure:
                    raise each.failure
            self._draw()
            if self._names and all(each.ended for each in self._watched.values()):
                return
            time.sleep(_REDRAW_S)

    def _find(self, *, stream: bool) -> None:
        truncate = not self._options.yes("no-trunc")
        client = self._session.client
        wanted = self._names or self._listed(client)
        for name in wanted:
            if name not in self._watched:
                self._watched[name] = _Watched(client, name, stream=stream, truncate=truncate)
        for gone in self._watched.keys() - set(wanted):
            del self._watched[gone]

    def _listed(self, client: Client) -> list[str]:
        everything = self._options.yes("all") or None
        found = client.get("/containers/json", {"all": everything})
        return [short_id(container["Id"]) for container in found]

    def _text(self) -> str:
        rows = [each.row for each in self._watched.values() if not each.failure]
        layout = self._options.text("format") or self._session.settings.text("statsFormat")
        return render(layout, _TABLE, FIELDS, rows)

    def _draw(self) -> None:
        text = self._text()
        if not self._session.out_is_terminal:
            self._session.write_now(text)
            return
        lines = "".join(f"{printable(line)}{_CLEAR_LINE}\n" for line in text.splitlines())
        self._session.draw(f"{_HOME}{lines}{_CLEAR_REST}")


STATS = Command(
    "[CONTAINER...]",
    _stats,
    ANY,
    (
        switch("-a --all", "Show all containers (default shows just running)"),
        list_format(),
        switch("--no-stream", "Disable streaming stats and only pull the first result"),
        switch("--no-trunc", "Do not truncate output"),
    ),
)
