"""What goes over a websocket, as bytes: server frames are unmasked, so one serves every viewer.

Source: RFC 6455, section 5.2.
"""

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()

#: A ping without payload, ready to be written.
PING = b"\x89\x00"


def text_frame(payload: bytes) -> bytes:
    """One whole, unmasked text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def message(value: Any) -> bytes:
    """A message as JSON text."""
    return _encoder.encode(value)


def addressed(kind: str, subscription: int | str, rest: bytes) -> bytes:
    """A message of a subscription: `rest` (a JSON object) was encoded once for all viewers,
    the id is each viewer's own choice."""
    return b'{"type":"%b","id":%b,%b' % (kind.encode(), _encoder.encode(subscription), rest[1:])
