"""An action on a color, in the ways that two older systems send it, as a native event.

{"action":"hover","color":"red",…}                              format 1; the rest: properties
{"action_color":{"action_name":"hover","color_name":"red"}}     format 2; or as a form:
action_color[action_name]=hover&action_color[color_name]=red
"""

from collections.abc import Mapping, Sequence
from email import message_from_bytes
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from msgspec import Raw

from ..base.errors import BadRequest

#: How pages send forms; the second is a FormData's way.
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
#: More fields than any page's form has.
MAX_FIELDS = 1_000
#: Parts are read like mails, a hundred times slower than JSON.
MAX_PARTS_BYTES = 64 * 1024

_fields = msgspec.json.Decoder(dict[str, Raw])
_encoder = msgspec.json.Encoder()

_NOT_AN_OBJECT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Shape(Enum):
    """Whose event, request or answer it is."""

    NATIVE = 0
    COLOR = 1  # format 1
    RAILS = 2  # format 2


def is_json(body: bytes) -> bool:
    """As against a form."""
    return body.lstrip()[:1] in (b"{", b"[")


def in_order(counts: Mapping[str, int], first: Sequence[str]) -> list[str]:
    """The colors: `first` these, in this order (old pages fill their slices by place), then the
    others by name."""
    return [*filter(counts.__contains__, first), *sorted(counts.keys() - set(first))]


def may_be_older(body: bytes) -> bool:
    """A look that costs native events nothing."""
    return b'"action' in body


def fields_of(text: bytes) -> dict[str, Raw]:
    """The fields of one JSON object, each as it was written; none if it is anything else."""
    try:
        return _fields.decode(text)
    except _NOT_AN_OBJECT:
        return {}


def shape_of(fields: dict[str, Raw]) -> Shape:
    if "action_color" in fields or "action_name" in fields:
        return Shape.RAILS
    return Shape.COLOR if "action" in fields and "color" in fields else Shape.NATIVE


def as_native(text: bytes) -> bytes:
    """An event of either system as a native one; anything else as it is.

    Values stay as they were written: whether they are any good is checked where all events are.
    """
    if not may_be_older(text):
        return text
    fields = fields_of(text)
    match shape_of(fields):
        case Shape.COLOR:
            return _event(fields, "action", "color")
        case Shape.RAILS:
            return from_rails(fields)
    return text


def from_rails(fields: dict[str, Raw]) -> bytes:
    """Format 2's parameters as a native event; `action_name` may also stand beside."""
    inner = fields_of(bytes(fields.get("action_color", b"")))
    if "action_name" in fields:
        inner.setdefault("action_name", fields["action_name"])
    return _event(inner, "action_name", "color_name")


def _event(fields: dict[str, Raw], action: str, color: str) -> bytes:
    event: dict[str, Any] = {}
    if action in fields:
        event["type"] = fields.pop(action)
    if color in fields:
        event["subject"] = fields.pop(color)
    if fields:
        event["properties"] = fields
    return _encoder.encode(event)


def is_form(request: web.BaseRequest, body: bytes) -> bool:
    """Not by its type alone: old pages send JSON under a form's too."""
    return request.content_type in (FORM, MULTIPART) and not is_json(body)


def params(request: web.BaseRequest, body: bytes) -> dict[str, Raw]:
    """What a form or a JSON object says. Raises BadRequest."""
    if is_form(request, body):
        return form_fields(body, request.headers.get("Content-Type", FORM))
    return fields_of(body)


def form_fields(body: bytes, content_type: str = FORM) -> dict[str, Raw]:
    """The same from a form, as Rails reads one. Raises BadRequest."""
    is_multipart = content_type.lower().startswith(MULTIPART)
    try:
        pairs = _parts(body, content_type) if is_multipart else _pairs(body)
    except (ValueError, UnicodeDecodeError):
        raise BadRequest("The form can't be decoded.") from None
    fields: dict[str, Any] = {}
    inner: dict[str, str] = {}
    for name, value in pairs:
        outer, bracket, rest = name.partition("[")
        if outer == "action_color" and bracket and rest.endswith("]"):
            inner[rest[:-1]] = value
        else:
            fields[name] = Raw(_encoder.encode(value))
    if inner:
        fields["action_color"] = Raw(_encoder.encode(inner))
    return fields


def _pairs(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(
        body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
    )


def _parts(body: bytes, content_type: str) -> list[tuple[str, str]]:
    # No page nests them, and a line costs a look for each that it is in.
    if len(body) > MAX_PARTS_BYTES:
        raise ValueError
    if body.count(b"\n--") > MAX_FIELDS or b"multipart/" in body.lower():
        raise ValueError
    whole = message_from_bytes(b"Content-Type: %b\r\n\r\n%b" % (content_type.encode(), body))
    return [
        (str(name), value.decode())
        for part in whole.walk()
        if (name := part.get_param("name", header="Content-Disposition"))
        and isinstance(value := part.get_payload(decode=True), bytes)
    ]


def in_their_words(message: str, shape: Shape) -> str:
    """What is wrong with an event, with its fields named as the sender named them."""
    if shape is Shape.NATIVE:
        return message
    action, color = ("action", "color") if shape is Shape.COLOR else ("action_name", "color_name")
    return message.replace("`type`", f"`{action}`").replace("`subject`", f"`{color}`")
