"""The topic `pointers`: everybody who points at something on a page now, and where.

Each pointer is a session's latest event of the type `pointer` whose subject is the page. Conflated:
between two frames only the last position counts. Who says nothing for `SILENT_S` is gone.
"""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from ..frames import Message, message
from .base import Position
from .log import LogTopic

#: A pointer that hasn't moved for this long is gone.
SILENT_S = 10.0
#: Pointers of a page that are shown; who comes later waits until another is gone.
MAX_POINTERS = 200
#: Events of a slot that are looked at in one read, the newest.
READ_EVENTS = 5_000

_Fraction = Annotated[float, Meta(ge=0, le=1)]


class PointersKey(msgspec.Struct, frozen=True):
    """The pointers on a page."""

    project: int
    page: str

    @property
    def type(self) -> str:
        return "pointer"

    @property
    def subject(self) -> str:
        return self.page


class _At(msgspec.Struct):
    """What of an event's properties is shown."""

    x: _Fraction
    y: _Fraction


class _Moved(msgspec.Struct, array_like=True):
    """A session's latest event, as the query `pointers` returns it."""

    session: str
    at: datetime
    silent_s: float
    properties: Raw


class _Read(msgspec.Struct):
    position: Position
    moved: list[_Moved]


class _Pointer(msgspec.Struct):
    """A pointer as it is shown; `until` is when it is gone, by the loop's clock."""

    at: datetime
    x: float
    y: float
    until: float

    def as_json(self, session: str) -> dict[str, Any]:
        return {"session": session, "x": self.x, "y": self.y, "at": self.at}


_read = msgspec.json.Decoder(_Read)
_at = msgspec.json.Decoder(_At)


class PointersTopic(LogTopic):
    """The pointers on a page, as their viewers have been told of them."""

    key: PointersKey

    def __init__(self, key: PointersKey, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.key = key
        self._pointers: dict[str, _Pointer] = {}
        self._next_gone: asyncio.TimerHandle | None = None

    async def load(self) -> None:
        self._take(await self._read())
        self._expect_silence()

    def stop(self) -> None:
        super().stop()
        if self._next_gone is not None:
            self._next_gone.cancel()

    async def send_news(self) -> None:
        self._reading = True
        try:
            read = await self._read()
        finally:
            self._reading = False
        gone = self._forget_silent()
        moved = self._take(read)
        self._expect_silence()
        if moved or gone:
            pointers = [self._pointers[session].as_json(session) for session in moved]
            gone = [session for session in gone if session not in moved]
            self.put_to_all(Message("update", message({"pointers": pointers, "gone": gone})))

    async def catch_up(self) -> None:
        """Whoever is new or was skipped gets all of them."""
        pointers = [pointer.as_json(session) for session, pointer in self._pointers.items()]
        snapshot = Message("snapshot", message({"pointers": pointers}))
        for subscription in self.ready_laggards():
            self.put(subscription, snapshot)
            del self.behind[subscription]

    async def _read(self) -> _Read:
        """What came after the head. Raises DatabaseUnavailable."""
        document = await self._database.value(
            "pointers",
            self.key.project,
            self.key.page,
            message({str(slot): seq for slot, seq in self._head.items()}).decode(),
            SILENT_S,
            READ_EVENTS,
        )
        return _read.decode(document)

    def _take(self, read: _Read) -> list[str]:
        """Note who moved, the latest first while there is room; returns their sessions."""
        self._head = read.position
        now = asyncio.get_running_loop().time()
        taken = []
        for moved in read.moved:
            known = self._pointers.get(moved.session)
            if known is None and len(self._pointers) >= MAX_POINTERS:
                continue
            if known is not None and moved.at < known.at:
                continue  # it was held up on its way
            try:
                at = _at.decode(moved.properties)
            except msgspec.DecodeError:
                continue  # a write key may be public: properties are whatever somebody sent
            until = now + SILENT_S - moved.silent_s
            self._pointers[moved.session] = _Pointer(moved.at, at.x, at.y, until)
            taken.append(moved.session)
        return taken

    def _forget_silent(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        gone = [session for session, pointer in self._pointers.items() if pointer.until <= now]
        for session in gone:
            del self._pointers[session]
        return gone

    def _expect_silence(self) -> None:
        if self._next_gone is not None:
            self._next_gone.cancel()
            self._next_gone = None
        if self._pointers and not self._stopped:
            soonest = min(pointer.until for pointer in self._pointers.values())
            self._next_gone = asyncio.get_running_loop().call_at(soonest, self.has_news)
