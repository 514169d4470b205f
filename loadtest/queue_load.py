"""A million events through SQS messages and S3 objects, while workers are killed at random.

    make queue-load                                    1,000,000 events, 2 workers
    make queue-load ARGS="--events 50000 --kills 3"
    make queue-load ARGS="--object-mb 1000"            one object of a gigabyte: how much memory?

Half of the events come in messages of 1,000 with ids of their own, each message sent twice; half in
objects of 50,000 lines without ids, each told of twice. Among them are bad messages and bad lines.
At the end the totals must be the number of distinct events, and the dead letters the bad messages:
else this ends with status 1, and no figure is worth anything.
"""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from stand import Bench, Wrong, free_port, stand

from livetally.local_aws import LocalAws

PROJECT = "bench"
SUBJECTS = ("red", "blue", "green", "yellow")
EVENTS_A_MESSAGE = 1_000
LINES_AN_OBJECT = 50_000
BAD_LINES_AN_OBJECT = 3
BAD_MESSAGES = 20
VISIBILITY_S = 10
#: A message survives so many deaths of its worker; a bad one comes as often, for a minute.
RECEIVES = 6
#: A fat line: properties near their limit make a gigabyte of 100,000 events.
PADDING = "x" * 10_000


class Aws:
    """Moto's server, set up by `livetally aws-setup`."""

    def __init__(self, server: LocalAws) -> None:
        self.environ = {
            **{k: os.environ[k] for k in ("PATH", "HOME", "PYTHONPATH") if k in os.environ},
            **server.environ,
        }
        command = [sys.executable, "-m", "livetally", "aws-setup", "--bucket", "livetally"]
        command += ["--visibility-s", str(VISIBILITY_S), "--receives", str(RECEIVES)]
        made = subprocess.run(command, env=self.environ, check=True, text=True, capture_output=True)
        self.settings = dict(line.split("=", 1) for line in made.stdout.split())
        options: dict[str, Any] = {
            "endpoint_url": server.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": Config(s3={"addressing_style": "path"}),
        }
        self.sqs = boto3.client("sqs", **options)
        self.s3 = boto3.client("s3", **options)
        self.url = self.settings["LIVETALLY_QUEUE_URL"]
        self.dead_url = self.settings["LIVETALLY_DEAD_LETTER_QUEUE_URL"]

    def send(self, body: object, times: int = 1) -> str:
        text = body if isinstance(body, str) else json.dumps(body)
        for _ in range(times):
            answer = self.sqs.send_message(QueueUrl=self.url, MessageBody=text)
        return str(answer["MessageId"])

    def put(self, key: str, body: bytes) -> None:
        """Store an object, of which the bucket tells, and tell of it once more."""
        etag = self.s3.put_object(Bucket="livetally", Key=key, Body=body)["ETag"].strip('"')
        s3 = {"bucket": {"name": "livetally"}, "object": {"key": key, "eTag": etag}}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}
        self.send({"Records": [record]})

    def left(self) -> int:
        """Messages that wait, or are in a worker's hand."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(told["Attributes"][name]) for name in names)

    def dead(self) -> set[str]:
        found: set[str] = set()
        while batch := self.sqs.receive_message(
            QueueUrl=self.dead_url, MaxNumberOfMessages=10, VisibilityTimeout=600
        ).get("Messages", []):
            found |= {message["MessageId"] for message in batch}
        return found


class Worker:
    """`livetally worker --queue` as a process that may be killed, and its largest size."""

    def __init__(self, bench: Bench, aws: Aws, log: Path) -> None:
        self._log = log
        self._environ = {
            **aws.environ,
            **aws.settings,
            "LIVETALLY_DATABASE_URL": bench.database_url,
            "LIVETALLY_REDIS_URL": bench.redis_url,
            "LIVETALLY_QUEUE_PROJECT": PROJECT,
            "LIVETALLY_LOG_LEVEL": "warning",
            "LIVETALLY_PORT": str(free_port()),
        }
        self.peak_bytes = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "livetally", "worker", "--queue"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environ, stderr=log)

    def look(self) -> None:
        """Note how large it is; raises Wrong if it has ended by itself."""
        if self._process.poll() is not None:
            raise Wrong(f"a worker ended with status {self._process.returncode}: see {self._log}")
        with contextlib.suppress(psutil.NoSuchProcess):
            self.peak_bytes = max(
                self.peak_bytes, psutil.Process(self._process.pid).memory_info().rss
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20, help="of workers, at random moments")
    parser.add_argument("--object-mb", type=int, help="instead: one object of this size")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="livetally-queue-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may be another user's
        with (
            stand(folder) as here,
            here.database() as bench,
            LocalAws(free_port(), folder / "aws.log") as server,
        ):
            try:
                if arguments.object_mb:
                    one_object(bench, Aws(server), arguments.object_mb)
                else:
                    million(bench, Aws(server), arguments)
            except Wrong as wrong:
                print(f"WRONG: {wrong}", file=sys.stderr)
                return 1
    return 0


def million(bench: Bench, aws: Aws, arguments: argparse.Namespace) -> None:
    """Fill the queue, have it worked on through kills, and compare."""
    print(f"{arguments.events:,} events into the queue…", flush=True)
    distinct, bad, bad_lines = fill(aws, arguments.events)
    chance = random.Random(arguments.seed)
    with working(bench, aws, arguments.workers) as workers:
        seconds = work(bench, aws, workers, distinct, arguments.kills, chance)
    bench.check(distinct)
    dead = aws.dead()
    if dead != bad:
        raise Wrong(f"{len(bad)} messages were bad, but {len(dead)} are dead: {dead ^ bad}")
    ((recorded,),) = bench.query("SELECT count(*) FROM queue_refusals WHERE line > 0")
    # An object that was told of twice has its bad lines on record for both messages.
    if recorded != 2 * bad_lines:
        raise Wrong(f"{2 * bad_lines} bad lines, but {recorded} on record")
    ((again,),) = bench.query("SELECT count(*) FROM queue_refusals WHERE line = 0")
    print(
        f"{distinct:,} events once each, {len(dead)} dead letters, {again} refusals on record;"
        f" {arguments.kills} kills\n{distinct / seconds:,.0f} events/s ({seconds:.1f} s, kills"
        f" included; as many again came as duplicates)\n{peak(workers)}"
    )


def fill(aws: Aws, events: int) -> tuple[int, set[str], int]:
    """All of it; how many distinct events there are, the bad messages, and how many bad lines."""
    half, bad, bad_lines = events // 2, set(), 0
    for start in range(0, half, EVENTS_A_MESSAGE):
        numbers = range(start, min(start + EVENTS_A_MESSAGE, half))
        aws.send([event(n) | {"id": f"m{n}"} for n in numbers], times=2)
    for start in range(half, events, LINES_AN_OBJECT):
        lines = [json.dumps(event(n)) for n in range(start, min(start + LINES_AN_OBJECT, events))]
        for n in range(BAD_LINES_AN_OBJECT):
            lines.insert(len(lines) * n // BAD_LINES_AN_OBJECT, f'{{"type":"click","bad":{n}}}')
        bad_lines += BAD_LINES_AN_OBJECT
        aws.put(f"inbox/{start}.ndjson", "\n".join(lines).encode())
    for n in range(BAD_MESSAGES):
        bad.add(aws.send(f"bad {n}"))
    return events, bad, bad_lines


def event(n: int) -> dict[str, str]:
    return {"type": "click", "subject": SUBJECTS[n % len(SUBJECTS)]}


def work(
    bench: Bench,
    aws: Aws,
    workers: list[Worker],
    distinct: int,
    kills: int,
    chance: random.Random,
) -> float:
    """Kill at random moments, spread over the whole; the seconds until every event was counted."""
    started = counted_at = time.monotonic()
    due = sorted(chance.uniform(0.02, 0.95) * distinct for _ in range(kills))
    count, last, told = 0, started, started
    while (left := aws.left()) or count < distinct:
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"  {count:,} of {distinct:,}; {left} messages", file=sys.stderr, flush=True)
        for worker in workers:
            worker.look()
        before, count = count, counted(bench)
        if count > before:
            last = counted_at = time.monotonic()
        if time.monotonic() - last > 300:
            raise Wrong(f"no progress at {count:,} of {distinct:,}; {left} messages left")
        while due and count >= due[0]:
            due.pop(0)
            victim = chance.choice(workers)
            victim.kill()
            victim.start()
        time.sleep(0.2)
    return counted_at - started


def counted(bench: Bench) -> int:
    ((n,),) = bench.query("SELECT coalesce(sum(n), 0)::bigint FROM totals WHERE subject <> ''")
    return int(str(n))


def one_object(bench: Bench, aws: Aws, megabytes: int) -> None:
    """Stream one large object, and see how large the worker grows."""
    file, lines = bench.folder / "object.ndjson", 0
    with file.open("w") as to:
        while to.tell() < megabytes * 1_000_000:
            lines += 1
            to.write(json.dumps(event(lines) | {"properties": {"padding": PADDING}}) + "\n")
    aws.s3.upload_file(str(file), "livetally", "inbox/large.ndjson")
    print(f"an object of {file.stat().st_size / 1e6:,.0f} MB, {lines:,} lines…", flush=True)
    file.unlink()
    with working(bench, aws, 1) as workers:
        seconds = work(bench, aws, workers, lines, 0, random.Random())
    bench.check(lines)
    print(f"{megabytes / seconds:,.0f} MB/s, {lines / seconds:,.0f} events/s\n{peak(workers)}")


def peak(workers: list[Worker]) -> str:
    largest = max(worker.peak_bytes for worker in workers)
    return f"a worker's largest size: {largest / 2**20:,.0f} MiB"


@contextlib.contextmanager
def working(bench: Bench, aws: Aws, count: int) -> Iterator[list[Worker]]:
    workers = [Worker(bench, aws, bench.folder / f"worker-{n}.log") for n in range(count)]
    try:
        yield workers
        for worker in workers:
            worker.stop()
    finally:
        for worker in workers:
            worker.kill()


if __name__ == "__main__":
    sys.exit(main())
