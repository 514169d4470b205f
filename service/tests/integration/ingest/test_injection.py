"""What a client says stays what it says: no log line can be made of it, and nothing is fetched."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import aiohttp

from livetally.schema.keys import Role
from service.tests.support.aws import Account, ndjson
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process
from service.tests.support.server import Service, serving

FORGED = '\r\n{"level":"ERROR","logger":"forged","message":"all is lost"}\r\n'
#: To clear a terminal that shows the log, to write over a line of it, and to end one.
CONTROLS = "\x1b[2J\x08\x00\x85\u2028"
HOSTILE = f"x{FORGED}{CONTROLS}"


def s3_news(bucket: str, key: str) -> dict[str, Any]:
    """What S3 says of a new object."""
    about = {"bucket": {"name": bucket}, "object": {"key": key, "eTag": "e"}}
    return {"Records": [{"eventName": "ObjectCreated:Put", "s3": about}]}


async def say_everywhere(url: str, keys: dict[Role, str], text: str) -> None:
    """Every kind of place in which a client may write what it likes."""
    written = quote(text, safe="")
    read, write = {"x-api-key": keys[Role.READ]}, {"x-api-key": keys[Role.WRITE]}
    admin = {"x-api-key": keys[Role.ADMIN]}
    event = dict.fromkeys(("type", "subject", "id", "session"), text) | {"properties": {text: text}}
    async with aiohttp.ClientSession(url) as http:
        for method, path, options in (
            ("GET", f"/{written}", {}),
            ("GET", f"/js/{written}", {}),
            ("GET", f"/v1/stats?type={written}&from={written}", {"headers": read}),
            ("GET", f"/v1/stats?api_key={written}", {}),
            ("PUT", f"/v1/items/{written}/{written}", {"headers": write, "json": text}),
            ("POST", "/v1/events", {"headers": write, "json": event}),
            ("POST", "/v1/events", {"headers": write, "json": {"type": text, "color": text}}),
            ("POST", "/v1/events", {"headers": write, "data": text.encode()}),
            ("POST", "/web/page_view", {"headers": write, "json": {"session_id": text}}),
            ("POST", "/admin/v1/projects", {"headers": admin, "json": {"name": text}}),
            ("POST", "/admin/v1/dead-letters/replay", {"headers": admin, "json": [text]}),
        ):  # fmt: skip
            async with http.request(method, path, **options) as answer:
                assert answer.status != 500, (method, path)
        view = {"message": "views", "articleId": text, "currentPage": text, "referrer": text}
        for path, message in (
            (f"/v1/live?api_key={keys[Role.READ]}", {"type": text}),
            (f"/v1/live?api_key={keys[Role.READ]}", {"type": "subscribe", "id": 1, "topic": text}),
            ("/v1/live", {"type": "auth", "key": text}),
            (f"/ws?api_key={keys[Role.WRITE]}", view),
            ("/ws", {"action": "add_api_key", "api_key": text}),
            (
                f"/v1/events/cable?api_key={keys[Role.READ]}",
                {"command": "subscribe", "identifier": json.dumps({"channel": text})},
            ),
        ):
            async with http.ws_connect(path) as socket:
                await socket.send_json(message)
                await socket.send_bytes(b"the end")
                async for _ in socket:
                    pass


async def say_in_headers(service_url: str, value: bytes) -> None:
    """As no client library would: what a header's value must not have."""
    port = int(service_url.rpartition(":")[2])
    for name in (
        b"X-Request-Id",
        b"Origin",
        b"Host",
        b"User-Agent",
        b"X-Forwarded-For",
        b"Referer",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /nothing HTTP/1.1\r\n%b: %b\r\nConnection: close\r\n\r\n" % (name, value)
        )
        await reader.read()
        writer.close()


async def test_no_log_line_is_forged(
    spawn: Callable[..., Process], account: Account, database_url: str
) -> None:
    """Line ends and a terminal's controls in every place, also of messages and objects: the log has
    one object a line, none of them a client's, and no other control character."""
    keys = await make_keys(database_url)
    server = spawn(LIVETALLY_LOG_LEVEL="debug").wait_ready()
    worker = spawn("--queue", command="worker", **account.settings, LIVETALLY_LOG_LEVEL="debug")
    await say_everywhere(server.url, keys, HOSTILE)
    await say_in_headers(server.url, b"a\x1b[2J\x85\xe2\x80\xa8b")
    account.send({"type": HOSTILE, "subject": 5})
    account.send(s3_news(f"no-such-bucket{FORGED}", HOSTILE))
    account.send(s3_news(account.made.bucket, HOSTILE))
    account.put("inbox/a.ndjson", ndjson([{"type": "click", "subject": "red"}, {HOSTILE: 1}]))
    await account.until_empty()
    assert (server.stop(), worker.stop()) == (0, 0)
    for process, told in ((server, "/x\r\n{"), (worker, FORGED)):
        lines = process.log.read_bytes().splitlines()
        records = [json.loads(line) for line in lines]
        assert any(told in each["message"] for each in records), "nothing of it was logged"
        for line, record in zip(lines, records, strict=True):
            assert record.keys() >= {"level", "logger", "message", "time"}
            assert record["logger"] != "forged"
            assert not any(byte < 32 or byte > 126 for byte in line), line


class Canary:
    """A server that nobody has any business with."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.address = ""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Canary"]:
        server = await asyncio.start_server(self._hear, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read(1_000))
        writer.close()


async def test_nothing_is_fetched_for_a_client(
    account: Account,
    database_url: str,
    redis_url: str,
    work: Callable[..., Awaitable[None]],
) -> None:
    """An address in any field, header, target, or message of the queue (also where SNS and S3 put
    theirs) is never called."""
    keys = await make_keys(database_url, "canary")
    async with (
        Canary().listening() as canary,
        serving(database_url, redis_url, keys) as service,
    ):
        url = f"http://{canary.address}/x"
        await say_everywhere(service.url, keys, url)
        await say_in_headers(service.url, canary.address.encode())
        await _ask_as_a_proxy(service, url)
        confirmation = dict.fromkeys(
            ("SubscribeURL", "UnsubscribeURL", "SigningCertURL", "Message", "TopicArn"), url
        )
        account.send(
            confirmation
            | {"Type": "SubscriptionConfirmation", "MessageId": "m", "Token": "t"}
            | {"Timestamp": "2026-11-21T10:00:00Z"}
        )
        for bucket in (
            canary.address,
            url,
            f"x@{canary.address}",
            f"arn:aws:s3:us-east-1:123456789012:accesspoint/{canary.address}",
            f"arn:aws:s3:{canary.address}/:123456789012:accesspoint/x",
            f"arn:aws:s3-object-lambda:{canary.address}#:123456789012:accesspoint/x",
        ):
            account.send(s3_news(bucket, url))
        await work()
        assert canary.heard == []
        async with aiohttp.ClientSession() as http:  # it would have heard
            with contextlib.suppress(aiohttp.ClientError):
                await http.get(url)
        assert canary.heard


async def _ask_as_a_proxy(service: Service, url: str) -> None:
    """A whole address as the target, and CONNECT, as proxies take them."""
    port = int(service.url.rpartition(":")[2])
    host = url.split("/")[2]
    for target in (f"GET {url}", f"CONNECT {host}"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.read()).split()[1] in (b"400", b"404", b"405")
        writer.close()
