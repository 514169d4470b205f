"""What tests of the queue stand on: moto's server, a queue with its dead letters, a bucket, and a
gate before them that fails as AWS does."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiohttp
import boto3
import botocore.config
from aiohttp import web

from livetally.base.config import Config
from livetally.dev.aws import LocalAws
from livetally.queue import setup as aws_setup
from livetally.server.process import listen, make_runner
from livetally.worker import app as worker


class Account:
    """A queue, its dead letters, a topic and a bucket of one test's own, and clients for them."""

    def __init__(self, server: LocalAws, made: aws_setup.Made) -> None:
        self.server = server
        self.made = made
        config = botocore.config.Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}
        )
        options: dict[str, Any] = {
            "endpoint_url": server.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": config,
        }
        self.sqs = boto3.client("sqs", **options)
        self.s3 = boto3.client("s3", **options)
        self.sns = boto3.client("sns", **options)

    @property
    def settings(self) -> dict[str, str]:
        """What a worker needs to know."""
        return {
            **self.server.environ,
            "LIVETALLY_QUEUE_URL": self.made.queue_url,
            "LIVETALLY_DEAD_LETTER_QUEUE_URL": self.made.dead_letter_queue_url,
            "LIVETALLY_QUEUE_PROJECT": "demo",
        }

    def send(self, body: object, **attributes: str) -> str:
        """Send a message, JSON unless it is text; returns its id."""
        text = body if isinstance(body, str) else json.dumps(body)
        given = {n: {"DataType": "String", "StringValue": v} for n, v in attributes.items()}
        answer = self.sqs.send_message(
            QueueUrl=self.made.queue_url, MessageBody=text, MessageAttributes=given
        )
        return str(answer["MessageId"])

    def put(self, key: str, body: bytes, **options: Any) -> None:
        """Store an object; under inbox/ the bucket tells the queue of it."""
        self.s3.put_object(Bucket=self.made.bucket, Key=key, Body=body, **options)

    def counts(self, url: str = "") -> tuple[int, int]:
        """Messages that wait, and that are in somebody's hand."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(
            QueueUrl=url or self.made.queue_url, AttributeNames=names
        )["Attributes"]
        return int(told[names[0]]), int(told[names[1]])

    def dead(self) -> list[dict[str, Any]]:
        """The dead letters; they can be read again at once."""
        found: dict[str, dict[str, Any]] = {}
        while batch := self.sqs.receive_message(
            QueueUrl=self.made.dead_letter_queue_url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=1,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", []):
            if all(each["MessageId"] in found for each in batch):
                break
            found |= {each["MessageId"]: each for each in batch}
        return list(found.values())

    async def until_empty(self, timeout_s: float = 60) -> None:
        """Wait until every message is deleted, or with the dead letters."""
        deadline = time.monotonic() + timeout_s
        # Those to be seen and those hidden are counted one after the other: between the two, one
        # that is seen again is in neither. It is in the next count.
        empty = 0
        while (empty := empty + 1 if await asyncio.to_thread(self.counts) == (0, 0) else 0) < 2:
            assert time.monotonic() < deadline, f"left: {self.counts()}"
            await asyncio.sleep(0.05)


def make_account(server: LocalAws, name: str, **options: int) -> Account:
    """Set up by the command's own code."""
    made = asyncio.run(
        aws_setup.set_up(queue=name, topic=name, bucket=f"bucket-{name}", inbox="inbox/", **options)
    )
    return Account(server, made)


def ndjson(records: Iterable[object]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@contextlib.asynccontextmanager
async def working(
    account: Account, database_url: str, redis_url: str, **settings: Any
) -> AsyncIterator[str]:
    """A worker on the account's queue, in this loop; gives its address."""
    config = Config(
        database_url=database_url,
        redis_url=redis_url,
        **{
            "queue_url": account.made.queue_url,
            "dead_letter_queue_url": account.made.dead_letter_queue_url,
            "queue_project": "demo",
            **settings,
        },
    )
    sock = listen("127.0.0.1", 0)
    runner = make_runner(worker.create_worker(config, frozenset({"queue"})))
    await runner.setup()
    await web.SockSite(runner, sock).start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        await runner.cleanup()


#: Breaks the connection instead of answering.
BREAK = web.Response()
Spoil = Callable[[web.Request], web.Response | None]


class Gate:
    """Stands before AWS; `spoil` may answer in its place, or break the connection (BREAK)."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        self.spoil: Spoil = lambda request: None
        #: of the next object read, only so many bytes come through
        self.cut_at: int | None = None
        self.url = ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Gate"]:
        async with aiohttp.ClientSession(auto_decompress=False) as self._http:
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, shutdown_timeout=0)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        answer = self.spoil(request)
        if answer is BREAK and request.transport:
            request.transport.abort()
        if answer is not None:
            return answer
        headers = {n: v for n, v in request.headers.items() if n.lower() != "host"}
        async with self._http.request(
            request.method,
            self._behind + request.raw_path,
            headers=headers,
            data=await request.read(),
        ) as response:
            body = await response.read()
            kept = ("content-type", "etag", "content-range")
            told = {n: v for n, v in response.headers.items() if n.lower() in kept}
            if self.cut_at is not None and is_object(request):
                return await self._cut(request, response.status, told, body)
            return web.Response(status=response.status, headers=told, body=body)

    async def _cut(
        self, request: web.Request, status: int, headers: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        size, self.cut_at = self.cut_at, None
        answer = web.StreamResponse(status=status, headers=headers)
        answer.content_length = len(body)
        await answer.prepare(request)
        await answer.write(body[:size])
        await asyncio.sleep(0.05)  # so that they are read before the connection breaks
        if request.transport:
            request.transport.abort()
        return answer


def is_object(request: web.Request) -> bool:
    """Whether it asks for an object that a message may tell of."""
    return request.method == "GET" and "/inbox/" in request.path


def s3_refusing(code: str, status: int) -> Callable[[web.Request], web.Response]:
    """Answers as S3 refuses."""
    text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    return lambda request: web.Response(status=status, text=text, content_type="application/xml")
