"""What goes over a live connection, as bytes: encoded once, written to many.

Sources: RFC 6455, section 5.2 (websocket frames; a server's are unmasked, so one serves every
viewer); the HTML standard, "Server-sent events"; RFC 9112, section 7.1 (chunks).
"""

from collections.abc import Callable
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()

#: How a viewer gets a message: from a JSON text, and the position it leads to (feeds), to bytes.
Wire = Callable[[bytes, bytes | None], bytes]

#: Pings without payload, ready to be written.
WEBSOCKET_PING = b"\x89\x00"
SSE_PING = b"8\r\n: ping\n\n\r\n"

#: Clients choose small ids, most of them the same: a message keeps this many of its frames.
_KEPT_FRAMES = 8


def websocket_text(payload: bytes, position: bytes | None = None) -> bytes:
    """One whole, unmasked text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def sse_message(payload: bytes, position: bytes | None = None) -> bytes:
    """A server-sent event in a chunk of its own; the position comes back as Last-Event-ID."""
    # Line breaks in JSON are only white space, and would end the field here.
    data = payload.translate(_BREAKS_TO_SPACES)
    lines = (
        b"data: %b\n\n" % data if position is None else b"id: %b\ndata: %b\n\n" % (position, data)
    )
    return b"%x\r\n%b\r\n" % (len(lines), lines)


_BREAKS_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")


def message(value: Any) -> bytes:
    """A message as JSON text."""
    return _encoder.encode(value)


class Message:
    """A message of a topic. Only its subscription's id is each viewer's own choice.

    `rest` is a JSON object with the other fields.
    """

    __slots__ = ("_frames", "_kind", "_position", "rest")

    def __init__(self, kind: str, rest: bytes, position: bytes | None = None) -> None:
        self._kind = kind.encode()
        self._position = position
        self._frames: dict[tuple[Wire, int | str], bytes] = {}
        self.rest = rest

    def frame(self, wire: Wire, subscription: int | str) -> bytes:
        """Its bytes for the subscriptions of this id on this wire."""
        frame = self._frames.get((wire, subscription))
        if frame is None:
            id = _encoder.encode(subscription)
            payload = b'{"type":"%b","id":%b,%b' % (self._kind, id, self.rest[1:])
            frame = wire(payload, self._position)
            if len(self._frames) < _KEPT_FRAMES:
                self._frames[wire, subscription] = frame
        return frame
