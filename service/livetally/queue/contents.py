"""One message's contents, all the way: its records, or every line of every object it tells of."""

import asyncio
import hashlib
import logging
from contextlib import aclosing
from typing import Any

from ..base.errors import LivetallyError, RefusedInPart, ShuttingDown
from ..base.lines import Lines, unpacked
from ..ops.metrics import Metrics
from .message import Message, Ref, S3Objects, content
from .rejections import KEEP_LINES, Refusals
from .s3_reader import read
from .writer import Intake, Tally

log = logging.getLogger(__name__)

#: What is committed together: so many texts, or so many bytes of them.
CHUNK_TEXTS = 1_000
CHUNK_BYTES = 2 * 1024 * 1024
#: Objects that are read at the same time; each may hold two chunks in memory.
OBJECTS_AT_ONCE = 4


class Contents:
    """Takes messages apart and hands what is in them to the intake."""

    def __init__(self, intake: Intake, refusals: Refusals, metrics: Metrics) -> None:
        self._intake = intake
        self._refusals = refusals
        self._metrics = metrics
        self._reading = asyncio.Semaphore(OBJECTS_AT_ONCE)

    async def take(self, message: Message, s3: Any) -> str:
        """Commit all that is good in the message; returns its kind, "records" or "objects".

        Raises a LivetallyError if it is to be refused: whole, or RefusedInPart, carrying the
        `Tally`. What was good is counted then too.
        """
        found = content(message.body)
        if found == S3Objects([]):  # news of no object: it needs no key
            return "objects"
        project = await self._intake.project_of(message)
        if isinstance(found, S3Objects):
            for ref in found.refs:
                async with self._reading:
                    await self._object(ref, project, message, s3)
            return "objects"
        tally = Tally()
        for start in range(0, len(found.texts), CHUNK_TEXTS):
            texts = found.texts[start : start + CHUNK_TEXTS]
            numbered: list[tuple[int, bytes | None]] = [
                (n, bytes(text)) for n, text in enumerate(texts, start + 1)
            ]
            await self._intake.store(numbered, project, message.id, message, tally, KEEP_LINES)
        if tally.refused:
            # Nothing else holds what was refused: the message goes to the dead letters whole.
            raise PartlyRefused(tally)
        return "records"

    async def _object(self, ref: Ref, project: int, message: Message, s3: Any) -> None:
        tally, name, lines = Tally(), _name(ref), Lines()
        texts: list[tuple[int, bytes | None]] = []
        size = 0

        async def store() -> None:
            nonlocal texts, size
            chunk, texts, size = texts, [], 0
            for start in range(0, len(chunk), CHUNK_TEXTS):
                part = chunk[start : start + CHUNK_TEXTS]
                await self._intake.store(part, project, name, message, tally, KEEP_LINES)

        try:
            async with (
                aclosing(read(s3, ref, self._metrics)) as chunks,
                aclosing(unpacked(chunks)) as steps,
            ):
                async for step in steps:
                    texts += lines.feed(step)
                    size += len(step)
                    if len(texts) >= CHUNK_TEXTS or size >= CHUNK_BYTES:
                        await store()
                    await asyncio.sleep(0)  # a bomb may have nothing to store for minutes
            texts += lines.end()
            await store()
        except ShuttingDown:
            raise
        except LivetallyError as error:
            await store()  # the lines before it are good
            raise PartlyRefused(tally, ref, error) from None
        if tally.refused:
            await self._report(ref, tally, message)

    async def _report(self, ref: Ref, tally: Tally, message: Message) -> None:
        """Some lines were bad. The object still holds them: the message is done all the same,
        unless none was good, which is no way to read a file of another kind."""
        refused = PartlyRefused(tally, ref)
        if not tally.taken:
            raise refused
        log.warning("%s (message %s): %s", ref, message.sqs_id, refused.message)
        await self._intake.insist(
            lambda: self._refusals.record(
                message, refused.code, refused.message, tally.rejections, str(ref)
            )
        )


class PartlyRefused(RefusedInPart):
    """Some of the message was refused; the rest is counted."""

    def __init__(
        self,
        tally: Tally | None = None,
        ref: Ref | None = None,
        error: LivetallyError | None = None,
    ) -> None:
        self.tally = tally or Tally()
        self.ref = ref
        if error is not None:
            super().__init__(f"{error.message} {self.tally.taken} lines of it are counted.")
            self.code = error.code
            self.status = error.status
            return
        whole, what = self.tally.taken + self.tally.refused, "lines" if ref else "records"
        first = ""
        if self.tally.rejections:
            rejection, _ = self.tally.rejections[0]
            first = f" The first is number {rejection.index}: {rejection.message}"
        super().__init__(f"{self.tally.refused} of {whole} {what} were refused.{first}")


def _name(ref: Ref) -> str:
    """What an object's lines are named by: the same however often it is told of, and another for
    the next version of it."""
    parts = "\0".join((ref.bucket, ref.key, ref.version or ref.etag))
    return "s3-" + hashlib.sha256(parts.encode()).hexdigest()[:40]
