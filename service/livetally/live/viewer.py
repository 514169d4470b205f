"""A viewer: one live connection, as the hub sees it."""

import asyncio

from ..schema.live import Message
from .frames import Encoder

#: A client that makes us answer (errors, acks) but reads nothing is cut off here: beyond the
#: largest snapshot, 1,000 subjects of 6 KiB each in JSON.
ABORT_BYTES = 8 * 1024 * 1024


class Viewer:
    """Writes to a connection's transport, past aiohttp's own writer.

    A broadcast that awaits each viewer waits for the slowest, and costs twice the CPU; a frame that
    was encoded once can be handed to every transport as it is. Bounding what waits in a transport
    is then up to us: see `backpressured`.
    """

    __slots__ = (
        "_buffer_bytes",
        "_corked",
        "_outbox",
        "_outbox_bytes",
        "_transport",
        "encode",
        "heard_at",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        encode: Encoder,
        buffer_bytes: int,
        now: float,
        *,
        corked: bool = False,
    ) -> None:
        self._transport = transport
        self._corked = corked
        self.encode = encode
        self._buffer_bytes = buffer_bytes
        #: None while nothing waits: most viewers, most of the time.
        self._outbox: list[bytes] | None = None
        self._outbox_bytes = 0
        #: When its peer last gave a sign of life (the loop's clock).
        self.heard_at = now

    @property
    def closing(self) -> bool:
        return self._transport.is_closing()

    @property
    def backpressured(self) -> bool:
        """Its peer reads slower than we write: it is to be told nothing until it has caught up."""
        unsent = self._transport.get_write_buffer_size() + self._outbox_bytes
        return unsent > self._buffer_bytes

    @property
    def written(self) -> bool:
        """Its peer (or at least its kernel) has taken all that was written."""
        return self._transport.get_write_buffer_size() == 0

    def put(self, frame: bytes) -> None:
        """Line a frame up for the next `flush`, so that all that is due goes in one write."""
        if self._outbox is None:
            self._outbox = [frame]
        else:
            self._outbox.append(frame)
        self._outbox_bytes += len(frame)

    def flush(self) -> int:
        """Write what was put, in one go; the number of frames. Never waits, never raises."""
        outbox = self._outbox
        if outbox is None or self._corked:
            return 0
        self._outbox, self._outbox_bytes = None, 0
        if self._transport.is_closing():
            return 0
        self._transport.write(outbox[0] if len(outbox) == 1 else b"".join(outbox))
        return len(outbox)

    def uncork(self) -> None:
        """Its connection is ready to be written to: write what has gathered."""
        self._corked = False
        self.flush()

    def send(self, message: Message) -> None:
        """Write a message to this viewer alone, at once."""
        self.send_frame(self.encode(message))

    def send_frame(self, frame: bytes) -> None:
        """The same with a message that is encoded already."""
        self.put(frame)
        self.flush()
        if self._transport.get_write_buffer_size() > ABORT_BYTES:
            self._transport.abort()

    def abort(self) -> None:
        """End the connection without a closing handshake, for a peer that is gone."""
        self._transport.abort()
