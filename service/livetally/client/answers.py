"""What an answer means. It counts only if it is Livetally's.

Between a program and Livetally are boxes that answer in its stead: a login page says 200, a router
whose backends are being replaced 404, a firewall 403. None of that is about the request: it is as
if the server couldn't be reached.
"""

import re
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import aiohttp
import msgspec

from ..schema.http import Ack, Failure, NoneValid
from .errors import FINAL, ClientError, Redirected, Refused, Unavailable, may_pass

#: What an acknowledgement may take. 1,000 rejections are a quarter of it.
ACK_BYTES = 1024 * 1024
#: What may be asked for: 1,000 subjects of 1,024 characters, each of them escaped, are 6 MiB.
ANSWER_BYTES = 8 * 1024 * 1024
#: However long a server, or what stands before it, asks to be left alone.
LONGEST_WAIT_S = 60.0

_GZIP = 16 + zlib.MAX_WBITS
_UNTOUCHED = ("shutting_down", "overloaded", "rate_limited")

T = TypeVar("T")


async def read(response: aiohttp.ClientResponse, type: type[T], most_bytes: int) -> T:
    """The answer, of this type. Raises a ClientError."""
    wait_s = retry_after(response.headers)
    status = response.status
    if 300 <= status < 400:
        raise redirected(response)
    body = await _body(response, most_bytes)
    if body is not None:
        try:
            if status < 300:
                return msgspec.json.decode(body, type=type)
            raise _refusal(status, body, wait_s)
        except msgspec.MsgspecError:
            pass
    raise _not_ours(f"a {status} of {_kind(response)}", wait_s)


def redirected(response: aiohttp.ClientResponse) -> Redirected:
    to = str(response.headers.get("Location"))[:200]
    return Redirected(
        f"{response.url.origin()} sends us elsewhere, to {to!r}; the key doesn't go there. "
        "If that is Livetally's address, use it."
    )


def unaccounted(answer: object) -> Unavailable:
    """For an Ack, or a refusal, that isn't one of what was sent."""
    return _not_ours(f"{answer}", 0.0)


def retry_after(headers: Mapping[str, str]) -> float:
    """For how long a server wants to be left alone, in s: a number or a date."""
    given = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", given):
        return min(float(given), LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(given)
        wait_s = (until.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(wait_s, 0.0), LONGEST_WAIT_S)


async def _body(response: aiohttp.ClientResponse, most_bytes: int) -> bytes | None:
    """What was sent, unpacked; None if it is larger than any answer of ours, or packed oddly."""
    unpack = _unpacker(response.headers.get("Content-Encoding", "identity").strip().lower())
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            if unpack is None:
                return None
            body += unpack(chunk, most_bytes + 1 - len(body))
            if len(body) > most_bytes:
                return None
    except zlib.error:
        return None
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes] | None:
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(_GZIP).decompress
    return (lambda chunk, most: chunk[:most]) if encoding in ("", "identity") else None


def _refusal(status: int, body: bytes, wait_s: float) -> ClientError:
    """Raises MsgspecError if it isn't Livetally's, or isn't meant to last."""
    error = msgspec.json.decode(body, type=Failure).error
    kind = FINAL.get(error.code)
    if may_pass(status):
        untouched = error.code in _UNTOUCHED
        return Unavailable(error.message, error.code, wait_s=wait_s, untouched=untouched)
    if kind is None:
        raise msgspec.ValidationError("That is no word of Livetally's.")
    if kind is not Refused:
        return kind(error.message, error.code)
    return Refused(error.message, error.code, ack=_ack_of(body))


def _ack_of(body: bytes) -> Ack | None:
    """What became of the events, if it is said of each that it was refused."""
    try:
        found = msgspec.json.decode(body, type=NoneValid)
    except msgspec.ValidationError:
        return None
    return Ack(accepted=found.accepted, duplicates=found.duplicates, rejected=found.rejected)


def _not_ours(what: str, wait_s: float) -> Unavailable:
    return Unavailable(
        f"It isn't Livetally that answers, but {what}: is the address right?",
        "not_livetally",
        wait_s=wait_s,
    )


def _kind(response: aiohttp.ClientResponse) -> str:
    return re.sub(r"[^\w/+.-]", "?", response.content_type)[:60]
