"""From texts to the database: checked, and committed by the batcher like every other event.

What may pass (Postgres away, too much at once) is waited for here, so that a message is neither
lost nor driven to the dead-letter queue by an outage. Meanwhile `flowing` is unset, and no further
messages are received.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from ..base.backoff import Backoff
from ..base.errors import DatabaseUnavailable, MissingKey, Overloaded, UnstorableEvent, WrongRole
from ..db.database import Database
from ..ingest.batcher import Batcher, Result
from ..ingest.events import Parsed, Rejection
from ..live.announcer import Announcer
from ..ops.health import Health
from ..ops.metrics import Metrics
from ..schema.keys import Role
from ..web.auth import Auth
from .message import SECRET, Message
from .parser import ItemMessage, Read, read

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_PROJECT_ATTRIBUTE = "project"


class _Answer(msgspec.Struct):
    """What `put_sent_items` returns: one of them."""

    items: list[dict[str, str | int]] = []
    stale: list[str] = []


_answer = msgspec.json.Decoder(_Answer)
_encoder = msgspec.json.Encoder()


class Tally(msgspec.Struct):
    """What became of a message's texts, or of an object's lines."""

    taken: int = 0
    refused: int = 0
    #: the first ones that were refused, with the beginning of each
    rejections: list[tuple[Rejection, bytes]] = []

    def add(self, taken: int, rejected: Iterable[tuple[Rejection, bytes]], keep: int) -> None:
        self.taken += taken
        for each in rejected:
            self.refused += 1
            if len(self.rejections) < keep:
                self.rejections.append(each)


class Intake:
    """The queue's way into the database."""

    def __init__(
        self,
        database: Database,
        auth: Auth,
        batcher: Batcher,
        metrics: Metrics,
        health: Health,
        announcer: Announcer,
        *,
        project: str,
    ) -> None:
        self._database = database
        self._auth = auth
        self._batcher = batcher
        self._metrics = metrics
        self._health = health
        self._announcer = announcer
        self._project_name = project
        self._project: int | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` returns, however long Postgres is away. Raises its other errors."""
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            try:
                result = await attempt()
            except (DatabaseUnavailable, Overloaded) as error:
                self.flowing.clear()
                self._health.trouble("intake", f"messages wait: {error.message}")
                await asyncio.sleep(backoff.next_s())
            else:
                if not self.flowing.is_set():
                    self._health.trouble("intake", None)
                    self.flowing.set()
                return result

    async def project_of(self, message: Message) -> int:
        """The project that a message writes to: its key's, or else the queue's own.

        Raises MissingKey, UnknownKey, WrongRole or ForeignOrigin.
        """
        attributes = message.attributes
        given = next((attributes[n] for n in SECRET if attributes.get(n)), None)
        named = attributes.get(_PROJECT_ATTRIBUTE)
        if given is None:
            return await self._own(named)
        key = await self.insist(lambda: self._auth.find(given, None))
        key.require(Role.WRITE, None)
        if named and named != key.project_name:
            raise WrongRole(f"The key is of project {key.project_name!r}, not of {named!r}.")
        return key.project

    async def _own(self, named: str | None) -> int:
        own = self._project_name
        if not own:
            raise MissingKey("It has no key, and LIVETALLY_QUEUE_PROJECT names no project.")
        if named and named != own:
            raise MissingKey(f"The queue's own project is {own!r}: {named!r} needs its key.")
        if self._project is None:
            made = await self.insist(lambda: self._database.value("make_project", own))
            self._project = int(made)
        return self._project

    async def store(
        self,
        texts: list[tuple[int, bytes | None]],
        project: int,
        name: str,
        message: Message,
        tally: Tally,
        keep: int,
    ) -> None:
        """Commit what is good of some texts; returns when it is on disk.

        `name` makes ids; the tally keeps `keep` refusals. Raises ShuttingDown, or what is wrong
        inside Livetally.
        """
        found = read(texts, project, name)
        taken = await self._events(found)
        for key in {put.key for put in found.puts}:
            of_key = [put for put in found.puts if put.key == key]
            taken += await self._items(of_key, project, key, name, message.sent_ms, found)
        by_number = dict(texts)
        for rejection in found.rejected:
            self._metrics.events_rejected.labels(rejection.code).inc()
        heads = ((each, by_number[each.index] or b"") for each in found.rejected)
        tally.add(taken, heads, keep)

    async def _events(self, found: Read) -> int:
        parsed = Parsed(found.events, found.lines, [])  # those are counted once, by `store`
        try:
            result: Result = await self.insist(lambda: self._batcher.take(parsed))
        except UnstorableEvent as error:
            return await self._apart(found, error)
        return result.accepted + len(result.duplicates)

    async def _apart(self, found: Read, error: UnstorableEvent) -> int:
        """Find the one that Postgres doesn't take, so that it spoils nothing for the others."""
        if len(found.events) == 1:
            found.rejected.append(Rejection(found.lines[0], error.code, error.message))
            return 0
        middle, taken = len(found.events) // 2, 0
        for half in (slice(0, middle), slice(middle, None)):
            part = Read(found.events[half], found.lines[half], [], [])
            taken += await self._events(part)
            found.rejected += part.rejected
        return taken

    async def _items(
        self, puts: list[ItemMessage], project: int, key: str, name: str, sent_ms: int, found: Read
    ) -> int:
        """Store items of one key: those that demand a version each alone, since it may refuse."""
        plain = {put.id: put for put in puts if put.version is None}  # the last of each
        batches = [list(plain.values())] if plain else []
        batches += [[put] for put in puts if put.version is not None]
        taken = len(puts)
        for batch in batches:
            document = _encoder.encode(batch).decode()

            async def put_them(document: str = document) -> str:
                at = (project, key, name, sent_ms)
                return str(await self._database.value("put_sent_items", *at, document))

            answer = _answer.decode(await self.insist(put_them))
            if answer.stale:
                reason = f"The item {batch[0].id!r} has another version by now."
                found.rejected.append(Rejection(batch[0].line, "version_conflict", reason))
                taken -= 1
            elif answer.items:
                versions = [(str(each["id"]), int(each["version"])) for each in answer.items]
                self._announcer.items_changed(project, key, versions)
        return taken
