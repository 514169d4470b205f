"""Frames of clients are masked, or the connection ends: aiohttp takes both.

What a page can have a browser send, or a proxy remember, must never look like a frame of its own
making. Source: RFC 6455, sections 5.1 and 5.2.
"""

from typing import Any

#: By what stands for the length: the two bytes before, those of a longer length, and the mask.
_HEAD_SIZES = {126: 8, 127: 14}
_SHORT_HEAD, _LONGEST_HEAD = 6, 14
#: What the reader ends a connection for with 1002: reserved bits are set.
_BROKEN = b"\x70\x00"
#: The rest of an empty frame, whose first byte the reader has.
_EMPTY = b"\x00"


class MaskedOnly:
    """Stands before aiohttp's reader of frames, and looks at their heads."""

    __slots__ = ("_head", "_left", "_parser")

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        #: of a frame whose head isn't whole yet
        self._head = b""
        #: bytes of a frame's payload that are still to come
        self._left = 0

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        at = self._unmasked_in(data)
        if at is not None:
            data = (data[:at] if at >= 0 else _EMPTY) + _BROKEN
        fed: tuple[bool, bytes] = self._parser.feed_data(data)
        return fed

    def feed_eof(self) -> None:
        self._parser.feed_eof()

    def _unmasked_in(self, data: bytes) -> int | None:
        """Where the first frame without a mask begins; -1: with the data before."""
        at = 0
        while at < len(data):
            step = min(self._left, len(data) - at)
            self._left -= step
            at += step
            if self._left or at == len(data):
                break
            head = self._head + data[at : at + _LONGEST_HEAD - len(self._head)]
            if len(head) >= 2 and not head[1] & 0x80:
                return at - len(self._head)
            short = head[1] & 0x7F if len(head) >= 2 else 0
            size = _HEAD_SIZES.get(short, _SHORT_HEAD)
            if len(head) < size:
                self._head = head
                break
            self._left = int.from_bytes(head[2 : size - 4], "big") if short > 125 else short
            at += size - len(self._head)
            self._head = b""
        return None
