"""The topic `pointers`: everybody who points at something on a page now, and where.

Each pointer is a session's latest event of the type `pointer` whose subject is the page. Conflated:
between two frames only the last position counts. Who says nothing for `SILENT_S` is gone.
"""

import asyncio
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from ...schema.http import Position
from ...schema.live import Pointer, Snapshot, Update
from ..frames import NO_ID, Broadcast
from .base import TopicContext, TopicId
from .log import LogTopic

#: A pointer that hasn't moved for this long is gone.
SILENT_S = 10.0
#: Pointers of a page that are shown; who comes later waits until another is gone.
MAX_POINTERS = 200
#: Events of a slot that are looked at in one read, the newest.
READ_EVENTS = 5_000

_Fraction = Annotated[float, Meta(ge=0, le=1)]


class PointersTopicId(TopicId, frozen=True):
    """The pointers on a page."""

    page: str

    def make(self, context: TopicContext) -> "PointersTopic":
        return PointersTopic(self, context)


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


class _Present(msgspec.Struct):
    """A pointer that is there; `until` is when it is gone, by the loop's clock."""

    shown: Pointer
    until: float


_read = msgspec.json.Decoder(_Read)
_encoder = msgspec.json.Encoder()
_at = msgspec.json.Decoder(_At)


class PointersTopic(LogTopic):
    """The pointers on a page, as their viewers have been told of them."""

    id: PointersTopicId

    def __init__(self, id: PointersTopicId, context: TopicContext) -> None:
        super().__init__(context, id, "pointer", id.page)
        self._pointers: dict[str, _Present] = {}
        self._next_gone: asyncio.TimerHandle | None = None

    async def load(self) -> None:
        self._take(await self._read())
        self._expect_silence()

    def stop(self) -> None:
        super().stop()
        if self._next_gone is not None:
            self._next_gone.cancel()

    async def send_updates(self) -> None:
        self._reading = True
        try:
            read = await self._read()
        finally:
            self._reading = False
        gone = self._forget_silent()
        moved = self._take(read)
        self._expect_silence()
        if moved or gone:
            pointers = [self._pointers[session].shown for session in moved]
            gone = [session for session in gone if session not in moved]
            self.put_to_all(Broadcast(Update(id=NO_ID, pointers=pointers, gone=gone)))

    async def catch_up(self) -> None:
        """Whoever is new or was too slow gets all of them."""
        pointers = [present.shown for present in self._pointers.values()]
        self.catch_up_with(Snapshot(id=NO_ID, pointers=pointers))

    async def _read(self) -> _Read:
        """What came after the head. Raises DatabaseUnavailable."""
        document = await self._database.value(
            "pointers",
            self.id.project,
            self.id.page,
            _encoder.encode(self._head).decode(),
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
            if known is not None and moved.at < known.shown.at:
                continue  # it was held up on its way
            try:
                at = _at.decode(moved.properties)
            except msgspec.DecodeError:
                continue  # a write key may be public: properties are whatever somebody sent
            until = now + SILENT_S - moved.silent_s
            shown = Pointer(moved.session, at.x, at.y, moved.at)
            self._pointers[moved.session] = _Present(shown, until)
            taken.append(moved.session)
        return taken

    def _forget_silent(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        gone = [session for session, each in self._pointers.items() if each.until <= now]
        for session in gone:
            del self._pointers[session]
        return gone

    def _expect_silence(self) -> None:
        if self._next_gone is not None:
            self._next_gone.cancel()
            self._next_gone = None
        if self._pointers and not self._stopped:
            soonest = min(present.until for present in self._pointers.values())
            self._next_gone = asyncio.get_running_loop().call_at(soonest, self.has_updates)
