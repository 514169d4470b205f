"""Events: from bytes somebody sent to `CheckedEvent`s, each refusal with its reason.

A body is one event, a JSON array of events, or NDJSON; the content decides, not the header. What
isn't JSON at all is refused whole; an event that is wrong is refused alone, by its index.
"""

import json
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ..base.config import MAX_EVENTS
from ..base.errors import MalformedJson, TooManyEvents, Unprocessable
from ..base.validation import MAX_QUOTED, as_written, has_nul, plainly, whole_characters

MAX_PROPERTIES_BYTES = 16 * 1024
MAX_DEPTH = 32

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Subject = Annotated[str, Meta(min_length=1, max_length=1024)]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
Moment = Annotated[datetime, Meta(tz=True)]


class Sent(msgspec.Struct, forbid_unknown_fields=True):
    """An event as a client sends it, or as an export or a feed has it: what was added there is
    taken, and is not kept."""

    type: Name
    subject: Subject
    id: Id | UnsetType | None = UNSET
    session: Id | UnsetType | None = UNSET
    occurred_at: Moment | UnsetType | None = UNSET
    properties: Raw | UnsetType = UNSET
    # An export's and a feed's.
    project: str | UnsetType = UNSET
    received_at: Moment | UnsetType = UNSET
    slot: int | UnsetType = UNSET
    seq: int | UnsetType = UNSET


class CheckedEvent(msgspec.Struct, omit_defaults=True):
    """An event as the store takes it: checked, with an id and its project."""

    project: int
    id: str
    type: str
    subject: str
    session: str | UnsetType | None = UNSET
    occurred_at: datetime | UnsetType | None = UNSET
    properties: Raw | UnsetType = UNSET


class Rejection(msgspec.Struct):
    """Why the event at `index` of a request was refused."""

    index: int
    code: str
    message: str


class Parsed(msgspec.Struct):
    """A request's events: the good ones, the index of each in the request, and the refused ones."""

    events: list[CheckedEvent]
    indexes: list[int]
    rejected: list[Rejection]


class BadEvent(Exception):
    """An event is refused; `code` is the cause it is counted under."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_sent = msgspec.json.Decoder(Sent)
_array = msgspec.json.Decoder(list[Raw])
_value = msgspec.json.Decoder(Any)

# What decoding a hostile text can raise, all told.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse(
    body: bytes,
    project: int,
    *,
    ndjson: bool = False,
) -> Parsed:
    """Check a body of one event, a JSON array of events, or NDJSON.

    Without `ndjson` (said by the content type) the content decides: lines are taken for events if
    the first one is JSON by itself. Raises
    MalformedJson, TooManyEvents, or Unprocessable if there is no event at all.
    """
    return check(split(body, ndjson), project)


def check(texts: Sequence[Raw | bytes], project: int) -> Parsed:
    """Check events, each a JSON text. Raises TooManyEvents, or Unprocessable if there is none."""
    if not texts:
        raise Unprocessable("There is no event in the request.")
    if len(texts) > MAX_EVENTS:
        raise TooManyEvents
    parsed = Parsed([], [], [])
    for index, text in enumerate(texts):
        try:
            event = check_one(bytes(text), project)
        except BadEvent as bad:
            parsed.rejected.append(Rejection(index, bad.code, str(bad)))
        else:
            parsed.events.append(event)
            parsed.indexes.append(index)
    return parsed


def check_value(text: bytes, max_bytes: int) -> None:
    """Refuse a JSON value that Postgres wouldn't keep as it was sent.

    Raises MalformedJson, or Unprocessable: too large, too deep, a key twice, U+0000.
    """
    if len(text) > max_bytes:
        raise Unprocessable(f"The value takes {len(text):,} bytes; {max_bytes:,} is the limit.")
    value = _decode_body(_value, text)
    if value is None and text.strip() != b"null":
        raise Unprocessable("A number is out of range.")
    try:
        keys = _count_keys(value, 1)
        _check_key_count(text, keys)
        _check_nul(text)
    except BadEvent as bad:
        raise Unprocessable(str(bad)) from None


def new_id() -> str:
    """An id for an event that came without one."""
    return secrets.token_hex(16)


def split(body: bytes, ndjson: bool = False) -> Sequence[Raw | bytes]:
    """A body's parts, each a JSON text. Raises MalformedJson, or Unprocessable for an empty one."""
    body = body.strip(b" \t\r\n")
    if not body:
        raise Unprocessable("The body is empty.")
    if not ndjson:
        if body.startswith(b"["):
            return _values_of(body)
        first, newline, _ = body.partition(b"\n")
        if not newline or not _is_json(first):
            _decode_body(_value, body)
            return [body]
    return [line for line in body.split(b"\n") if line and not line.isspace()]


def _values_of(body: bytes) -> Sequence[Raw | bytes]:
    """An array's values. One that has half a character is rejected alone, by who checks it."""
    try:
        return _array.decode(body)
    except msgspec.DecodeError:
        whole = whole_characters(body)
        return as_written(_decode_body(_array, whole) or [], whole, body)
    except NOT_JSON as error:
        raise MalformedJson(_why_not_json(body, error)) from None


def _decode_body(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        return None  # it is JSON, but a number in it is out of range: its event is refused alone
    except NOT_JSON as error:
        raise MalformedJson(_why_not_json(body, error)) from None


def _is_json(text: bytes) -> bool:
    try:
        _value.decode(whole_characters(text))
    except msgspec.ValidationError:
        return True  # a number is out of range
    except NOT_JSON:
        return False
    return True


def check_one(text: bytes, project: int, id: str | None = None) -> CheckedEvent:
    """Check an event's JSON text; `id` is for one that has none. Raises BadEvent."""
    try:
        sent = _sent.decode(text)
        keys = 0 if sent.properties is UNSET else _check_properties(sent.properties)
    except msgspec.ValidationError as error:
        raise BadEvent("invalid_event", plainly(str(error))) from None
    except NOT_JSON as error:
        raise BadEvent("malformed_json", _why_not_json(text, error)) from None
    _check_duplicate_keys(text, sent, keys)
    _check_nul(text)
    return CheckedEvent(
        project,
        sent.id or id or new_id(),
        sent.type,
        sent.subject,
        sent.session,
        _in_utc(sent.occurred_at),
        sent.properties,
    )


def _in_utc(moment: datetime | UnsetType | None) -> datetime | UnsetType | None:
    """The same moment in UTC: Postgres takes offsets up to 15:59 only, RFC 3339 up to 23:59."""
    if not isinstance(moment, datetime):
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise BadEvent("invalid_event", "`occurred_at`: That time is too far away.") from None


def _check_properties(raw: Raw) -> int:
    """Refuse properties that are no object, too large or too deep; return how many keys they have.

    They are stored as the text that was sent, so that numbers stay as they were written.
    """
    size = memoryview(raw).nbytes
    if size > MAX_PROPERTIES_BYTES:
        raise BadEvent(
            "properties_too_large", f"`properties` takes {size:,} bytes; 16 KiB is the limit."
        )
    try:
        properties = _value.decode(raw)
    except msgspec.ValidationError:
        raise BadEvent("invalid_event", "`properties`: A number is out of range.") from None
    if not isinstance(properties, dict):
        raise BadEvent("invalid_event", "`properties` must be an object.")
    return _count_keys(properties, 1)


def _count_keys(value: Any, depth: int) -> int:
    if isinstance(value, dict):
        count, inner = len(value), value.values()
    elif isinstance(value, list):
        count, inner = 0, value  # type: ignore[assignment]
    else:
        return 0
    if depth > MAX_DEPTH:
        raise BadEvent("too_deep", f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    for each in inner:
        count += _count_keys(each, depth + 1)
    return count


_SPACE_BEFORE_COLON = re.compile(rb'"\s+:')


def _check_duplicate_keys(text: bytes, sent: Sent, keys: int) -> None:
    """Refuse a key that is given twice: one of its values would be lost silently.

    The decoder keeps the last and says nothing, so the keys it kept are counted against the text.
    Only where counting can't tell (a string with a quote and a colon, white space before a colon,
    an export's fields) does a slower parser look at every pair.
    """
    keys += 2 + (sent.id is not UNSET) + (sent.session is not UNSET)
    keys += (sent.occurred_at is not UNSET) + (sent.properties is not UNSET)
    _check_key_count(text, keys)


def _check_key_count(text: bytes, keys: int) -> None:
    if text.count(b'":') != keys or _SPACE_BEFORE_COLON.search(text):
        json.loads(text, object_pairs_hook=_refuse_duplicates)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise BadEvent("duplicate_key", f"The key `{name[:MAX_QUOTED]}` is given twice.")
        seen.add(name)


def _check_nul(text: bytes) -> None:
    """Postgres' text can't hold U+0000; one bad event must not fail the batch that it shares."""
    if b"\\u0000" in text and has_nul(_value.decode(text)):
        raise BadEvent("nul_character", "The character U+0000 can't be stored.")


def _why_not_json(text: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The JSON is nested too deeply."
    if isinstance(error, UnicodeDecodeError):
        return "The JSON is not valid UTF-8."
    if whole_characters(text) != text:
        return "The JSON has half a character: a \\uD800-\\uDFFF escape without its other half."
    return f"{error}."
