"""JSON objects out of a stream, as people have them: one a line, pretty-printed, in arrays, one
after another; packed by gzip or not, with a byte order mark or in Windows' UTF-16.

What is broken is one refusal with its line, and the next object is found again. Memory stays
bounded: nothing is kept but the object that isn't whole yet.
"""

import asyncio
import codecs
import concurrent.futures
import contextlib
import os
import re
import threading
from collections.abc import AsyncGenerator
from typing import BinaryIO, NamedTuple

import msgspec

from ...base.errors import MalformedObject
from ...base.lines import unpacked
from ..command import CommandError

CHUNK_BYTES = 256 * 1024
#: No event or item that is taken is near it.
MAX_VALUE_BYTES = 256 * 1024
#: Lines up to this are tried as they are.
LINE_BYTES = 64 * 1024

_BETWEEN = re.compile(rb"[ \t\r\n,\[\]]*")
_REST_OF_LINE = re.compile(rb"[ \t\r,\]]*\n")
_STRING = rb'"[^"\\\n]*(?:\\.[^"\\\n]*)*'
#: A string, one that breaks off at its line's end, one that may go on in the next chunk, or a sign.
_TOKEN = re.compile(_STRING + rb'"|' + _STRING + rb"\\?(?P<torn>\n)|(?P<open>\"[^\n]*\Z)|[{}\n]")
_SCALAR = re.compile(_STRING + rb'"|[^\s,\[\]{}"]+')


class Value(NamedTuple):
    """An object's text; or why there is none at this line."""

    line: int
    #: So many lines are done with once this is.
    done: int
    text: bytes
    why_not: str = ""


class _Object(msgspec.Struct):
    """Any."""


class _Typed(msgspec.Struct):
    """One that is an event's, by its looks."""

    type: str


class Values:
    """Finds the objects of a stream that comes in pieces."""

    def __init__(self) -> None:
        #: What isn't whole yet.
        self.rest = b""
        self._line = 1
        self._arrays = 0

    def feed(self, chunk: bytes, *, last: bool = False) -> list[Value]:
        """Those that are whole by now."""
        data = self.rest + chunk
        found = []
        at = self._skip(data, 0)
        while at < len(data):
            value = self._next(data, at, last)
            if value is None:
                break
            end, why_not = value
            lines = data.count(b"\n", at, end)
            done = self._line + lines - (0 if _REST_OF_LINE.match(data, end) else 1)
            found.append(Value(self._line, done, data[at:end], why_not))
            self._line += lines
            at = self._skip(data, end)
        self.rest = data[at:]
        if last and self._arrays > 0:
            found.append(Value(self._line, self._line, b"", "The array never ends."))
        return found

    def _skip(self, data: bytes, at: int) -> int:
        between = _BETWEEN.match(data, at)
        end = between.end() if between else at
        self._line += data.count(b"\n", at, end)
        self._arrays += data.count(b"[", at, end) - data.count(b"]", at, end)
        return end

    def _next(self, data: bytes, at: int, last: bool) -> tuple[int, str] | None:
        """Where what begins here ends, and what is wrong with it; None: more must come."""
        line_end = data.find(b"\n", at)
        if line_end < 0 and last:
            line_end = len(data)
        if 0 <= line_end - at <= LINE_BYTES and _is(data[at:line_end], _Object):
            return line_end, ""  # the usual case
        if data[at : at + 1] == b"{":
            end = self._end_of_object(data, at, last)
        else:
            end = self._end_of_other(data, at, line_end)
        if end is None and len(data) - at > MAX_VALUE_BYTES:
            return len(data), "It is too large."
        return end

    def _end_of_object(self, data: bytes, at: int, last: bool) -> tuple[int, str] | None:
        depth = 0
        for token in _TOKEN.finditer(data, at):
            sign = token[0]
            if token["open"] is not None:
                break
            if token["torn"] is not None:
                return token.end() - 1, "A text breaks off at the line's end."
            if sign == b"\n":
                anew = self._begins_anew(data, token.end(), last)
                if anew is None:
                    return None
                if anew:
                    return token.start(), "It breaks off."
            depth += {b"{": 1, b"}": -1}.get(sign, 0)
            if depth == 0:
                return token.end(), ""
        return (len(data), "It breaks off.") if last else None

    def _begins_anew(self, data: bytes, at: int, last: bool) -> bool | None:
        """Whether the next line is an event by itself: then the object before it is torn."""
        if at < len(data) and data[at : at + 1] != b"{":
            return False
        line_end = data.find(b"\n", at)
        if line_end < 0 and not last:
            return None
        return _is(data[at:line_end] if line_end >= 0 else data[at:], _Typed)

    def _end_of_other(self, data: bytes, at: int, line_end: int) -> tuple[int, str] | None:
        if self._arrays > 0 and (scalar := _SCALAR.match(data, at)):
            if scalar.end() < len(data):
                return scalar.end(), "It is no object."
            return None if line_end < 0 else (line_end, "It is no object.")
        return (line_end, "It is no object.") if line_end >= 0 else None


def _is(text: bytes, kind: type) -> bool:
    try:
        msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


async def values(file: BinaryIO) -> AsyncGenerator[list[Value], None]:
    """The objects of a file, as they come. Raises CommandError if it can't be read to its end."""
    found = Values()
    try:
        async for chunk in _utf8(unpacked(_chunks(file))):
            yield found.feed(chunk)
    except MalformedObject as error:
        raise CommandError(f"{error} It can't be read on from there.") from None
    yield found.feed(b"", last=True)


async def _utf8(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same text in UTF-8, without its byte order mark."""
    start = b""
    async for chunk in chunks:
        start += chunk
        if len(start) >= len(codecs.BOM_UTF8):
            break
    if not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield start.removeprefix(codecs.BOM_UTF8)
        async for chunk in chunks:
            yield chunk
        return
    decode = codecs.getincrementaldecoder("utf-16")("replace").decode
    yield decode(start).encode()
    async for chunk in chunks:
        yield decode(chunk).encode()


async def _chunks(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    chunks: asyncio.Queue[bytes] = asyncio.Queue(4)
    loop = asyncio.get_running_loop()

    def read() -> None:
        # A thread that nobody waits for, and no buffer that it could lock: Ctrl-C ends the program
        # also while nothing comes.
        with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):
            more = True
            while more:
                chunk = os.read(file.fileno(), CHUNK_BYTES)
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
                more = bool(chunk)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while chunk := await chunks.get():
        yield chunk
