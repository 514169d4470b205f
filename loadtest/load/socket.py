"""A websocket client for gevent, which Locust lacks: small, and cheap enough for 1,000 viewers.

Only what a load test needs of RFC 6455: text both ways, fragments, pings answered, a close told
from a cut. Locust has patched `socket` before this is imported, so waiting lets others run.
"""

import base64
import contextlib
import hashlib
import os
import socket
import ssl
from urllib.parse import urlsplit

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAX_HEAD_BYTES = 65_536


class Closed(Exception):
    """The connection is over; `code` is 1006 if nobody said so."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class WebSocket:
    """One open connection. For one reading and any number of sending greenlets."""

    def __init__(
        self, url: str, headers: dict[str, str] | None = None, timeout_s: float = 30
    ) -> None:
        """Connects. `timeout_s` is for that and for every wait of `receive`.

        Raises OSError, or Closed with the HTTP status if the server refuses.
        """
        parts = urlsplit(url)
        tls = parts.scheme == "wss"
        address = (parts.hostname or "", parts.port or (443 if tls else 80))
        self._socket = socket.create_connection(address, timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.create_default_context()
            self._socket = context.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._timeout_s = timeout_s
        self._buffer = bytearray()
        self._fragments = bytearray()
        try:
            self._shake_hands(
                parts.path + (f"?{parts.query}" if parts.query else ""), parts.netloc, headers or {}
            )
        except BaseException:
            self._socket.close()
            raise

    def send(self, text: str) -> None:
        """Raises OSError if the connection is gone."""
        self._send(TEXT, text.encode())

    def receive(self, timeout_s: float | None = None) -> str:
        """The next text. Raises Closed, or TimeoutError (none named: that of the connection)."""
        self._socket.settimeout(timeout_s or self._timeout_s)
        while True:
            while (frame := take_frame(self._buffer)) is None:
                self._read_more()
            final, opcode, payload = frame
            if opcode == PING:
                self._send(PONG, payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2]) if payload else 1005
                self.close(code)
                raise Closed(code, payload[2:].decode(errors="replace"))
            elif opcode <= BINARY:
                self._fragments += payload
                if final:
                    text = self._fragments.decode()
                    self._fragments.clear()
                    return text

    def close(self, code: int = 1000) -> None:
        """Says goodbye, and doesn't wait for the answer."""
        with contextlib.suppress(OSError):  # it is gone, as it should be
            self._send(CLOSE, code.to_bytes(2) if code != 1005 else b"")
        self._socket.close()

    def cut(self) -> None:
        """Ends the connection as a network does: without a word, for a reader that waits too."""
        with contextlib.suppress(OSError):  # cut already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _shake_hands(self, target: str, host: str, headers: dict[str, str]) -> None:
        key = base64.b64encode(os.urandom(16))
        lines = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        head = f"GET {target or '/'} HTTP/1.1\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in lines.items()
        )
        self._socket.sendall(f"{head}\r\n".encode())
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise Closed(1002, "the answer's head never ends")
            self._read_more()
        status, *answer = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        if status.split(b" ")[1:2] != [b"101"]:
            code = int(status.split(b" ")[1]) if status.count(b" ") else 1002
            raise Closed(code, status.decode(errors="replace"))
        accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
        if not any(_is_accept(line, accept) for line in answer):
            raise Closed(1002, "the server's answer is not to our handshake")

    def _read_more(self) -> None:
        try:
            data = self._socket.recv(65_536)
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(1006, str(error)) from None
        if not data:
            raise Closed(1006)
        self._buffer += data

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes((128 | opcode, 128 | size))
        elif size < 65_536:
            head = bytes((128 | opcode, 254)) + size.to_bytes(2)
        else:
            head = bytes((128 | opcode, 255)) + size.to_bytes(8)
        mask = os.urandom(4)
        # One operation on one long number: forty times as fast as a loop over bytes.
        long = int.from_bytes((mask * (size // 4 + 1))[:size])
        masked = (int.from_bytes(payload) ^ long).to_bytes(size)
        self._socket.sendall(head + mask + masked)


def take_frame(buffer: bytearray) -> tuple[bool, int, bytes] | None:
    """Takes (final, opcode, payload) out of it if a whole frame is there.

    Raises Closed for one that is masked: a server's are not.
    """
    if len(buffer) < 2:
        return None
    size, start = buffer[1], 2
    if size >= 128:
        raise Closed(1002, "the server masks its frames")
    if size == 126:
        size, start = int.from_bytes(buffer[2:4]), 4
    elif size == 127:
        size, start = int.from_bytes(buffer[2:10]), 10
    if len(buffer) < start + size:
        return None
    frame = buffer[0] >= 128, buffer[0] & 15, bytes(buffer[start : start + size])
    del buffer[: start + size]
    return frame


def _is_accept(line: bytes, accept: bytes) -> bool:
    name, _, value = line.partition(b":")
    return name.strip().lower() == b"sec-websocket-accept" and value.strip() == accept
