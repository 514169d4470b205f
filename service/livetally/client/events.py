"""Events as they are sent, each with an id that is given once; and what became of them."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ..schema.http import Ack, Reason, Rejected
from .answers import ACK_BYTES, unaccounted
from .errors import ANYBODYS, Refused
from .wire import Wire

#: A request takes 1,000 events and 1 MiB; one event at most 16 KiB of properties and a subject.
BATCH_EVENTS = 500
BATCH_BYTES = 512 * 1024
MAX_EVENT_BYTES = 64 * 1024

_encoder = msgspec.json.Encoder()


def new_id() -> str:
    return secrets.token_hex(16)


def now() -> datetime:
    return datetime.now(UTC)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened: `type` is what, `subject` to what.

    Its id is made with it, so that the same Event counts once, however often it is sent.
    """

    type: str
    subject: str
    id: str = msgspec.field(default_factory=new_id)
    session: str | UnsetType | None = UNSET
    occurred_at: datetime | UnsetType | None = UNSET
    properties: Mapping[str, Any] | UnsetType | None = UNSET


class Sealed(msgspec.Struct, frozen=True):
    """An event as it is sent, every time."""

    id: str
    text: bytes


Post = Callable[[Sequence[Sealed]], Awaitable[Ack]]


def seal(event: Event | Mapping[str, Any]) -> Sealed:
    """Give it an id, and encode it. Raises Refused for what is no JSON, or too large."""
    given = msgspec.structs.asdict(event) if isinstance(event, Event) else event
    fields = {name: value for name, value in given.items() if value is not None}
    fields = {name: value for name, value in fields.items() if value is not UNSET}
    id = str(fields.setdefault("id", new_id()))
    try:
        text = _encoder.encode(fields)
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
        raise Refused(f"The event is no JSON: {error}", "invalid_event") from None
    return _checked(Sealed(id, text))


def seal_text(text: bytes, id: str) -> Sealed:
    """The same for an event that is JSON already: it is sent as it was written, with `id` if it has
    none. Raises Refused."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        code = "invalid_event" if isinstance(error, msgspec.ValidationError) else "malformed_json"
        raise Refused(str(error), code) from None
    if "id" not in fields:
        comma = b"," if fields else b""
        rest = text.lstrip()[1:]
        return _checked(Sealed(id, b'{"id":' + _encoder.encode(id) + comma + rest))
    if fields["id"] is None:
        return seal(fields | {"id": id})
    return _checked(Sealed(str(fields["id"]), text))


def _checked(event: Sealed) -> Sealed:
    if len(event.text) > MAX_EVENT_BYTES:
        size = f"{len(event.text):,} bytes"
        raise Refused(f"The event takes {size}: too large.", "properties_too_large")
    return event


def batches(events: Sequence[Sealed]) -> list[Sequence[Sealed]]:
    """The same events in the same order, in parts that fit into a request."""
    parts, start, size = [], 0, 0
    for index, event in enumerate(events):
        if index - start >= BATCH_EVENTS or size + len(event.text) > BATCH_BYTES:
            parts.append(events[start:index])
            start, size = index, 0
        size += len(event.text) + 1
    return [*parts, events[start:]] if start < len(events) else parts


async def post(wire: Wire, events: Sequence[Sealed]) -> Ack:
    """Send events that fit into a request, once. Raises a ClientError; Refused if no event is
    named that is no good."""
    body = b"[%b]" % b",".join(event.text for event in events)
    try:
        ack = await wire.ask("POST", "/v1/events", Ack, body=body, most_bytes=ACK_BYTES)
    except Refused as error:
        if error.ack is None:
            if len(events) == 1 and error.code in ANYBODYS:
                raise unaccounted(error) from None
            raise
        ack = error.ack
    if not _accounts_for(ack, len(events)):
        raise unaccounted(ack)
    return ack


async def deliver(post: Post, events: Sequence[Sealed]) -> Ack:
    """Have them sent. Refused events are in the Ack. When the server refuses all of them together,
    halves are sent apart until it is clear which it is."""
    try:
        return await post(events)
    except Refused as error:
        if len(events) == 1:
            return Ack(accepted=0, duplicates=0, rejected=[_rejected(0, error)])
    half = len(events) // 2
    parts = [(0, await deliver(post, events[:half])), (half, await deliver(post, events[half:]))]
    return join(parts)


def join(parts: Sequence[tuple[int, Ack]]) -> Ack:
    """The Ack of all parts; each begins with the event of this index."""
    return Ack(
        accepted=sum(ack.accepted for _, ack in parts),
        duplicates=sum(ack.duplicates for _, ack in parts),
        rejected=[
            Rejected(start + each.index, each.error)
            for start, ack in parts
            for each in ack.rejected
        ],
    )


def _accounts_for(ack: Ack, events: int) -> bool:
    """Whether it says of all of them what became of them."""
    rejected = {each.index for each in ack.rejected}
    in_range = all(index < events for index in rejected)
    return in_range and ack.accepted + ack.duplicates + len(rejected) == events


def _rejected(index: int, error: Refused) -> Rejected:
    return Rejected(index, Reason(error.code, str(error)))
