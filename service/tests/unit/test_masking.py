"""Frames without a mask end a connection, however they are cut."""

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from livetally.server.masking import MaskedOnly
from service.tests.support.clients.raw_socket import PING, TEXT, RawSocket


class Reader:
    """Keeps what it is fed."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return data.endswith(b"\x70\x00"), b""

    def feed_eof(self) -> None: ...


payloads = st.sampled_from([0, 1, 125, 126, 65_535, 65_536])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(payloads, max_size=4), payloads, st.lists(st.integers(1, 20), min_size=1))
def test_frames_are_masked(sizes: list[int], last: int, cuts: list[int]) -> None:
    """Masked ones pass as they are. Of the first without a mask the reader gets no byte of the
    payload, but what breaks the protocol at once."""
    with patch("os.urandom", bytes):  # nothing else looks like the end
        masked = b"".join(RawSocket.frame(TEXT, b"\x81" * size) for size in sizes)
    bad = RawSocket.frame(PING, b"\x81" * last, masked=False)
    for text in (masked, masked + bad):
        reader = Reader()
        checked = MaskedOnly(reader)
        at, ended = 0, False
        for size in (*cuts, len(text)):
            if not ended and at < len(text):
                ended, _ = checked.feed_data(text[at : at + size])
            at += size
        if text is masked:
            assert (reader.data, ended) == (masked, False)
        else:
            assert ended
            assert reader.data in (masked + b"\x70\x00", masked + bad[:1] + b"\x00\x70\x00")
