"""From a JSON text to what it is: an event, an item, or a device's report, which is an item too."""

import re
from collections.abc import Iterable

import msgspec
from msgspec import Raw

from ..api.items import check_item
from ..base.errors import LivetallyError
from ..base.lines import MAX_LINE_BYTES
from ..base.validation import plainly
from ..ingest.events import NOT_JSON, BadEvent, CheckedEvent, Rejection, check_one
from ..schema.items import ItemId, ItemKey, VersionNumber


class ItemMessage(msgspec.Struct, omit_defaults=True):
    """An item to be stored, with the place in line that decides which of two is the later."""

    key: str
    id: str
    value: Raw
    line: int
    version: int | None = None


class Read(msgspec.Struct):
    """What some texts are; numbers say which text of the message or line of the object."""

    events: list[CheckedEvent]
    lines: list[int]
    puts: list[ItemMessage]
    rejected: list[Rejection]


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    key: ItemKey
    id: ItemId
    value: Raw
    version: VersionNumber | None = None


_item = msgspec.json.Decoder(_Item)
_fields = msgspec.json.Decoder(dict[str, Raw])
_id = msgspec.json.Decoder(ItemId | int)
_encoder = msgspec.json.Encoder()

#: The field that names a device; the first of these that a report has is its item's key.
_DEVICE = re.compile(r"(device|vehicle|sensor|thing|client)[-_]?(?:id|name)", re.IGNORECASE)
_KINDS = ("device", "vehicle", "sensor", "thing", "client")


def read(texts: Iterable[tuple[int, bytes | None]], project: int, name: str) -> Read:
    """Tell texts apart and check them. `name` and a text's number make the id of an event that has
    none. Never raises for what is in them."""
    found = Read([], [], [], [])
    for number, text in texts:
        try:
            if text is None:
                raise BadEvent("too_large", f"It is longer than {MAX_LINE_BYTES:,} bytes.")
            _read_one(found, bytes(text), number, project, name)
        except BadEvent as bad:
            found.rejected.append(Rejection(number, bad.code, str(bad)))
    return found


def _read_one(found: Read, text: bytes, number: int, project: int, name: str) -> None:
    try:
        event = check_one(text, project, f"{name}:{number}")
    except BadEvent:
        put = _put(text, number)
        if put is None:
            raise
        found.puts.append(put)
    else:
        found.events.append(event)
        found.lines.append(number)


def _put(text: bytes, number: int) -> ItemMessage | None:
    """The item that a text which is no event holds; None if it doesn't look like one either."""
    try:
        fields = _fields.decode(text)
    except NOT_JSON:
        return None
    if "type" in fields or "subject" in fields:
        return None
    if "key" in fields:
        try:
            item = _item.decode(text)
        except msgspec.ValidationError as error:
            raise BadEvent("invalid_item", plainly(str(error))) from None
        _check(bytes(item.value))
        return ItemMessage(item.key, item.id, item.value, number, item.version)
    return _report(text, fields, number)


def _report(text: bytes, fields: dict[str, Raw], number: int) -> ItemMessage | None:
    """A device's report: its item's value is whatever it says besides its own name."""
    named = {m[1].lower(): field for field in fields if (m := _DEVICE.fullmatch(field))}
    kind = next((kind for kind in _KINDS if kind in named), None)
    if kind is None or len(fields) < 2:
        return None
    try:
        id = str(_id.decode(fields.pop(named[kind])))
    except msgspec.ValidationError as error:
        raise BadEvent("invalid_item", f"`{named[kind]}`: {error}.") from None
    _check(text)  # `fields` doesn't show what is there twice
    return ItemMessage(f"{kind}-id", id, Raw(_encoder.encode(fields)), number)


def _check(value: bytes) -> None:
    try:
        check_item(value)
    except LivetallyError as error:
        raise BadEvent("invalid_item", error.message) from None
