"""What the HTTP layer rejects before there is a request is our JSON, readable by any page, and no
traceback; and clients that leave are nobody's error."""

import asyncio
import gzip
import json
import logging
import socket
import struct
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from livetally.schema.keys import Role
from service.tests.support.postgres import totals_in
from service.tests.support.server import Service

RED = b'{"type":"click","subject":"red"}'
BOM = b"\xef\xbb\xbf"


async def raw(service: Service, request: bytes) -> tuple[int, dict[str, str], Any]:
    """(status, headers, JSON) of whatever bytes are sent."""
    address = urlsplit(service.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return int(lines[0].split()[1]), headers, json.loads(body)


def post(headers: str, body: bytes, key: str) -> bytes:
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01 nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nNo colon here\r\n\r\n", 400),
        (b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (post("Content-Encoding: br\r\nContent-Length: 2\r\n", b"{}", "k"), 415),
        (post("Content-Encoding: zstd\r\nContent-Length: 2\r\n", b"{}", "k"), 415),
        (post("Expect: a-miracle\r\nContent-Length: 2\r\n", b"{}", "k"), 400),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"PATCH /v1/events HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ],
)
async def test_what_is_no_http_is_told_as_json(
    service: Service, caplog: pytest.LogCaptureFixture, request_: bytes, status: int
) -> None:
    """Our error object, with CORS headers, and nothing in the log that calls for somebody."""
    caplog.set_level(logging.INFO)
    write = service.keys[Role.WRITE].encode()
    answer = await raw(service, request_.replace(b"x-api-key: k\r\n", b"x-api-key: %b\r\n" % write))
    assert answer[0] == status
    assert answer[1]["access-control-allow-origin"] == "*"
    assert answer[1]["content-type"].startswith("application/json")
    assert answer[2]["error"]["code"]
    assert answer[2]["error"]["message"].endswith(".")
    assert "Traceback" not in caplog.text
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_body_that_breaks_off_its_chunks_is_told(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Bad chunking in the middle of a body: 400, as JSON, without a traceback."""
    key = service.keys[Role.WRITE]
    request = post(
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        b'5\r\n[{"a"\r\nzz\r\n',
        key,
    )
    status, headers, body = await raw(service, request)
    assert (status, body["error"]["code"]) == (400, "bad_request")
    assert headers["access-control-allow-origin"] == "*"
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "charset",
    [
        "",
        "utf8mb4",
        "utf-8-sig",
        "utf8",
        "UTF8",
        "utf-8",
        "UTF_8",
        '"utf-8"',
        "unicode-1-1-utf-8",
        "us-ascii",
        "US-ASCII",
    ],
)
async def test_utf_8_by_any_of_its_names(service: Service, charset: str) -> None:
    """What people write for it is taken; another character set is not."""
    kind = {"content_type": f"application/json; charset={charset}"}
    status, answer = await service.post(RED, **kind)
    assert (status, answer["accepted"]) == (200, 1)
    assert (await service.post(RED, content_type="application/json; charset=utf-16"))[0] == 415


async def test_a_byte_order_mark_and_crlf_change_nothing(service: Service) -> None:
    """One event, an array, and lines with CRLF, each after a BOM; an item's value too."""
    lines = BOM + RED + b"\r\n" + RED + b"\r\n"
    for body, accepted in ((BOM + RED, 1), (BOM + b"[" + RED + b"]", 1), (lines, 2)):
        status, answer = await service.post(body)
        assert (status, answer["accepted"]) == (200, accepted), answer
    status, answer = await service.post(lines, content_type="application/x-ndjson")
    assert (status, answer["accepted"]) == (200, 2)
    headers = {"x-api-key": service.keys[Role.WRITE], "content-type": "application/json"}
    async with service.http.put("/v1/items/van/1", data=BOM + b"3", headers=headers) as response:
        assert response.status == 200


def bare(body: bytes) -> bytes:
    pack = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return pack.compress(body) + pack.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-Gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare),
    ],
)
async def test_what_is_packed_counts_whole_or_not_at_all(
    service: Service, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    """All members of what was joined; nothing of what was cut off anywhere, is something else, or
    unpacks to too much: that is told, and the connection goes on."""

    async def post(body: bytes) -> tuple[int, dict[str, Any]]:
        kind = {"content_encoding": encoding, "content_type": "application/x-ndjson"}
        return await service.post(body, **kind)

    joined = pack(RED + b"\n") + pack(RED)
    for body, accepted in ((pack(RED), 1), (joined, 2), (pack(RED) + bytes(3), 1)):
        status, answer = await post(body)
        assert (status, answer["accepted"]) == (200, accepted), answer
    packed = pack(b"\n".join([RED] * 500))
    for body in (packed[:-1], packed[: len(packed) // 2], packed + b"more", RED):
        status, answer = await post(body)
        assert (status, answer["error"]["code"]) == (400, "bad_request"), answer
    assert (await post(pack(b" " * 2_000_000)))[0] == 413
    assert (await post(pack(b"") * 2_000))[0] == 400
    assert (await post(b""))[0] == 422
    assert totals_in(service.database_url)["red"] == 4


async def test_one_cut_emoji_is_rejected_alone(service: Service) -> None:
    """An event with half a character is rejected by its index, in an array and in lines; the
    others count. An array with what isn't JSON at all stays an error."""
    good, cut = '{"type":"s","subject":"ok \\ud83d\\ude00"}', '{"type":"s","subject":"cut \\ud83d"}'
    for body in (f"[{good},{cut},{good}]", f"{cut}\n{good}\n{good}", f"[{good}, {cut} ,{good}]\n"):
        status, answer = await service.post(body.encode())
        assert (status, answer["accepted"]) == (200, 2), answer
        (rejection,) = answer["rejected"]
        assert rejection["error"]["code"] == "malformed_json"
        assert rejection["index"] == (0 if body.startswith("{") else 1)
        assert "half a character" in rejection["error"]["message"]
    assert (await service.post(f"[{good},NaN]".encode()))[0] == 400
    assert (await service.post(f"[{cut},NaN]".encode()))[0] == 400


async def test_one_cut_emoji_in_a_track_is_rejected_alone(service: Service) -> None:
    """The same over the live protocol."""
    good, cut = '{"type":"s","subject":"ok"}', '{"type":"s","subject":"cut \\ud83d"}'
    async with service.live(service.keys[Role.WRITE]) as live:
        await live.socket.send_str(f'{{"type":"track","ref":"a","events":[{good},{cut},{good}]}}')
        ack = await live.receive()
    assert (ack["type"], ack["accepted"], len(ack["rejected"])) == ("ack", 2, 1)
    assert ack["rejected"][0]["index"] == 1


async def test_any_header_may_be_sent_across_origins(service: Service) -> None:
    """Tracing tools add their own to a page's requests; what is no list of them is not echoed."""
    asked = "baggage,content-type,sentry-trace,x-api-key,x-datadog-trace-id,b3"
    headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    for given, echoed in ((asked, True), ("x" * 5000, False), ("a\tb", False)):
        async with service.http.options(
            "/v1/events", headers=headers | {"Access-Control-Request-Headers": given}
        ) as response:
            assert response.status == 204
            told = response.headers["Access-Control-Allow-Headers"]
            assert told.endswith(given) is echoed
            assert "X-Api-Key" in told


@pytest.mark.parametrize(
    "path", ["/ws", "/", "/dev", "/v1/live", "/v1/events/cable", "/v1/live/sse?totals=click"]
)
async def test_a_client_that_leaves_during_its_handshake_is_no_error(
    service: Service, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """Sockets reset at once after their request: no ERROR, no 500 in the metrics."""
    address = urlsplit(service.url)
    request = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"x-api-key: {service.keys[Role.READ_WRITE]}\r\n\r\n"
    )
    for _ in range(30):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(request.encode())
        writer.transport.abort()
    async with service.http.get("/metrics") as response:
        assert 'status="500"' not in await response.text()
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]
