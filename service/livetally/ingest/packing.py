"""What a body's Content-Encoding says: it is unpacked whole, or refused, in bounds.

aiohttp would take a stream that was cut off for all that was sent, and events would be missing.
"""

import zlib

from ..base.config import MAX_BODY_BYTES, MAX_EVENTS
from ..base.errors import BadRequest, TooLarge, UnsupportedMediaType

_GZIP = ("gzip", "x-gzip")
_AUTO_GZIP = 16 + zlib.MAX_WBITS

UNDECODABLE = "The body can't be decoded: it is not what its Content-Encoding says."


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body as it was before it was packed."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in (*_GZIP, "deflate"):
        raise UnsupportedMediaType("Content-Encoding must be gzip, deflate or identity.")
    return _joined(body, _AUTO_GZIP if encoding in _GZIP else _deflate(body)) if body else b""


def _joined(packed: bytes, wbits: int) -> bytes:
    """All members, as appending to a file makes them: no more than there may be events."""
    found = bytearray()
    for _ in range(MAX_EVENTS):
        unpack = zlib.decompressobj(wbits)
        try:
            found += unpack.decompress(packed, MAX_BODY_BYTES + 1 - len(found))
        except zlib.error:
            break
        if len(found) > MAX_BODY_BYTES:
            raise TooLarge
        if not unpack.eof:
            break
        packed = unpack.unused_data.lstrip(b"\0")
        if not packed:
            return bytes(found)
    raise BadRequest(UNDECODABLE)


def _deflate(body: bytes) -> int:
    """It means zlib; some send it bare."""
    is_zlib = body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2]) % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
