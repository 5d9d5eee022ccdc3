"""What scripted customers and agents did and saw, as JSON lines: each call is `invoke`d and then ends `ok`, `fail` or
`info`. `info` means that nobody can say: it counts as done or as not done, never as failed."""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

Kind = Literal["invoke", "ok", "fail", "info"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line. `call` joins an invocation with its end; `at` is monotonic, in seconds.

    Operations: `write` (id: the contact's own id), `see` (id: a reply, or a mail's Message-ID), `claim` and
    `complete` (id: the work item), `lease` (id: the lease's name, as looked at from outside).
    """

    at: float
    who: str
    op: str
    kind: Kind
    id: str
    call: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)


class Call:
    """An invocation that has not ended yet. Without an end it counts as `info`."""

    def __init__(self, history: "History", who: str, op: str, id_: str, call: int) -> None:
        self._history, self._who, self._op, self._id, self._call = history, who, op, id_, call

    def ok(self, **more: Any) -> None:
        self._history.note(self._who, self._op, "ok", more.pop("id", self._id), call=self._call, **more)

    def fail(self, **more: Any) -> None:
        """It certainly had no effect."""
        self._history.note(self._who, self._op, "fail", self._id, call=self._call, **more)

    def info(self, **more: Any) -> None:
        """It may have had its effect."""
        self._history.note(self._who, self._op, "info", self._id, call=self._call, **more)


class History:
    """The one writer of a run's history: kept in memory, and written to `path` as it happens."""

    def __init__(self, path: Path | None = None) -> None:
        self.events: list[Event] = []
        self._calls = itertools.count(1)
        self._file: BinaryIO | None = path.open("wb") if path is not None else None

    def invoke(self, who: str, op: str, id_: str, **more: Any) -> Call:
        call = next(self._calls)
        self.note(who, op, "invoke", id_, call=call, **more)
        return Call(self, who, op, id_, call)

    def note(self, who: str, op: str, kind: Kind, id_: str, *, call: int = 0, **more: Any) -> None:
        event = Event(time.monotonic(), who, op, kind, id_, call, more)
        self.events.append(event)
        if self._file is not None:
            self._file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def read(paths: Iterable[Path]) -> list[Event]:
    """The events of several actors' files, by time. A last line that was cut off is left out."""
    return sorted((event for path in paths for event in _lines(path)), key=lambda event: event.at)


def _lines(path: Path) -> Iterator[Event]:
    for line in path.read_bytes().splitlines():
        try:
            yield Event(**orjson.loads(line))
        except orjson.JSONDecodeError:
            return
