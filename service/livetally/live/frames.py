"""What goes over a live connection, as bytes: encoded once, written to many.

Sources: RFC 6455, section 5.2 (websocket frames; a server's are unmasked, so one serves every
viewer); the HTML standard, "Server-sent events"; RFC 9112, section 7.1 (chunks).
"""

from collections.abc import Callable

import msgspec

from ..schema.live import Events, Gap, Message, TopicMessage

_json = msgspec.json.Encoder()

#: How a connection says a message, as bytes to be written. Connections that say all things alike
#: share one, and with it the bytes.
Encoder = Callable[[Message], bytes]

#: Pings without payload, ready to be written.
WEBSOCKET_PING = b"\x89\x00"
SSE_PING = b"8\r\n: ping\n\n\r\n"

#: In the messages of topics, until it is said whom they go to.
NO_ID = 0
#: Clients choose small ids, most of them the same: a broadcast keeps this many of its frames.
_KEPT_FRAMES = 8


def websocket_text(payload: bytes) -> bytes:
    """One whole, unmasked text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def websocket_json(value: object) -> bytes:
    """The same of a value as JSON: a message of the live protocol, or of another one."""
    return websocket_text(_json.encode(value))


def sse_json(message: Message) -> bytes:
    """A server-sent event in a chunk of its own; a position comes back as Last-Event-ID."""
    # Line breaks in JSON are only white space, and would end the field here.
    lines = b"data: %b\n\n" % _json.encode(message).translate(_BREAKS_TO_SPACES)
    if isinstance(message, Events | Gap):
        lines = b"id: %b\n%b" % (_json.encode(message.position), lines)
    return b"%x\r\n%b\r\n" % (len(lines), lines)


_BREAKS_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")


class Broadcast:
    """A message to all viewers of a topic. Only its subscription's id is each viewer's own."""

    __slots__ = ("_frames", "message")

    def __init__(self, message: TopicMessage) -> None:
        self.message = message
        self._frames: dict[tuple[Encoder, int | str], bytes] = {}

    def frame(self, encode: Encoder, subscription: int | str) -> bytes:
        """Its bytes for the subscriptions of this id whose connections encode like this."""
        frame = self._frames.get((encode, subscription))
        if frame is None:
            frame = encode(msgspec.structs.replace(self.message, id=subscription))
            if len(self._frames) < _KEPT_FRAMES:
                self._frames[encode, subscription] = frame
        return frame
