"""A million events through SQS messages and S3 objects into the archive, workers killed at random.

    make queue-load                                    1,000,000 events, 2 workers
    make queue-load ARGS="--events 50000 --kills 3"
    make queue-load ARGS="--object-mb 1000"            one object of a gigabyte: how much memory?

Half of the events come in messages of 1,000 with ids of their own, each message sent twice; half in
objects of 20,000 lines without ids, each told of twice. Among them are bad messages and bad lines.
At the end the totals must be the number of distinct events, the archive must equal Postgres, and
the dead letters the bad messages: else this ends with status 1, and no figure is worth anything.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from livetally.dev.aws import LocalAws
from loadtest.lib.figures import keep, machine
from loadtest.lib.stand import Bench, Wrong, free_port, stand
from loadtest.worker.archive_load import compare, until_archived
from loadtest.worker.workers import Workers, working

PROJECT = "bench"
BUCKET = "livetally"
SUBJECTS = ("red", "blue", "green", "yellow")
EVENTS_A_MESSAGE = 1_000
LINES_AN_OBJECT = 20_000
BAD_LINES_AN_OBJECT = 3
BAD_MESSAGES = 20
VISIBILITY_S = 10
#: A fat line: properties near their limit make a gigabyte of 100,000 events.
PADDING = "x" * 10_000


class Aws:
    """Moto's server, set up by `livetally aws-setup`."""

    def __init__(self, server: LocalAws, receives: int) -> None:
        environ = {
            **{k: os.environ[k] for k in ("PATH", "HOME", "PYTHONPATH") if k in os.environ},
            **server.environ,
        }
        command = [sys.executable, "-m", "livetally", "aws-setup", "--bucket", BUCKET]
        command += ["--visibility-s", str(VISIBILITY_S), "--receives", str(receives)]
        made = subprocess.run(command, env=environ, check=True, text=True, capture_output=True)
        told = dict(line.split("=", 1) for line in made.stdout.split())
        self.settings = {**server.environ, **told, "LIVETALLY_QUEUE_PROJECT": PROJECT}
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
        etag = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"].strip('"')
        s3 = {"bucket": {"name": BUCKET}, "object": {"key": key, "eTag": etag}}
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

    def archive(self, to: Path) -> Path:
        """The archive's objects as files below `to`."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix="archive/project="
        ):
            for found in page["Contents"]:
                file = to / found["Key"].removeprefix("archive/")
                file.parent.mkdir(parents=True, exist_ok=True)
                self.s3.download_file(BUCKET, found["Key"], str(file))
        return to


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20, help="of workers, at random moments")
    parser.add_argument("--receives", type=int, default=7, help="then a message is dead")
    parser.add_argument("--object-mb", type=int, help="instead: one object of this size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", default="", help="folder for queue.md, or object.md, and JSON")
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
                run = one_object if arguments.object_mb else million
                run(bench, Aws(server, arguments.receives), arguments)
            except Wrong as wrong:
                print(f"WRONG: {wrong}", file=sys.stderr)
                return 1
    return 0


def million(bench: Bench, aws: Aws, arguments: argparse.Namespace) -> None:
    """Fill the queue, have it worked on through kills, and compare."""
    print(f"{arguments.events:,} events into the queue…", file=sys.stderr, flush=True)
    on = machine()
    bad, bad_lines = fill(aws, arguments.events)
    count, kills = arguments.workers, arguments.kills
    settings = aws.settings | {"LIVETALLY_ARCHIVE_INTERVAL_S": "1"}
    with working(
        bench, count, kills, arguments.seed, "--queue", "--archive", **settings
    ) as workers:
        seconds = work(bench, aws, workers, arguments.events)
        until_archived(bench, workers)
    bench.check(arguments.events)
    compare(bench, aws.archive(bench.folder / "archive"))
    dead = aws.dead()
    if dead != bad:
        raise Wrong(f"{len(bad)} messages were bad, but {len(dead)} are dead: {dead ^ bad}")
    ((recorded,),) = bench.query("SELECT count(*) FROM queue_refusals WHERE line > 0")
    # An object that was told of twice has its bad lines on record for both messages.
    if recorded != 2 * bad_lines:
        raise Wrong(f"{2 * bad_lines} bad lines, but {recorded} on record")
    facts = {
        "distinct events, each counted once, and once in the archive": arguments.events,
        "as many again came as duplicates, events": arguments.events,
        "workers": count,
        "kills (-9)": workers.killed,
        "bad messages, each a dead letter": len(dead),
        "bad lines of objects, each on record": bad_lines,
        "distinct events/s, kills included": arguments.events / seconds,
        "largest size of a worker, MiB": workers.peak_mib,
    }
    command = f'make queue-load ARGS="--events {arguments.events} --kills {kills}"'
    keep(arguments.results, "queue", command, on, facts)


def fill(aws: Aws, events: int) -> tuple[set[str], int]:
    """All of it; the bad messages, which take longest to die, and how many bad lines there are."""
    bad = {aws.send(f"bad {n}") for n in range(BAD_MESSAGES)}
    half, bad_lines = events // 2, 0
    for start in range(0, half, EVENTS_A_MESSAGE):
        numbers = range(start, min(start + EVENTS_A_MESSAGE, half))
        aws.send([event(n) | {"id": f"m{n}"} for n in numbers], times=2)
    for start in range(half, events, LINES_AN_OBJECT):
        lines = [json.dumps(event(n)) for n in range(start, min(start + LINES_AN_OBJECT, events))]
        for n in range(BAD_LINES_AN_OBJECT):
            lines.insert(len(lines) * n // BAD_LINES_AN_OBJECT, f'{{"type":"click","bad":{n}}}')
        bad_lines += BAD_LINES_AN_OBJECT
        aws.put(f"inbox/{start}.ndjson", "\n".join(lines).encode())
    return bad, bad_lines


def event(n: int) -> dict[str, str]:
    return {"type": "click", "subject": SUBJECTS[n % len(SUBJECTS)]}


def work(bench: Bench, aws: Aws, workers: Workers, distinct: int) -> float:
    """Until the queue is empty; the seconds until every event was counted."""
    started = counted_at = told = time.monotonic()
    count = 0
    while (left := aws.left()) or count < distinct:
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"  {count:,} of {distinct:,}; {left} messages", file=sys.stderr, flush=True)
        if (now := counted(bench)) > count:
            count, counted_at = now, time.monotonic()
        if time.monotonic() - counted_at > 300:
            raise Wrong(f"no progress at {count:,} of {distinct:,}; {left} messages left")
        workers.turn(count / distinct)
        time.sleep(0.2)
    return counted_at - started


def counted(bench: Bench) -> int:
    ((n,),) = bench.query("SELECT coalesce(sum(n), 0)::bigint FROM totals WHERE subject <> ''")
    return int(str(n))


def one_object(bench: Bench, aws: Aws, arguments: argparse.Namespace) -> None:
    """Stream one large object, and see how large the worker grows."""
    on, file, lines = machine(), bench.folder / "object.ndjson", 0
    with file.open("w") as to:
        while to.tell() < arguments.object_mb * 1_000_000:
            lines += 1
            to.write(json.dumps(event(lines) | {"properties": {"padding": PADDING}}) + "\n")
    size = file.stat().st_size
    aws.s3.upload_file(str(file), BUCKET, "inbox/large.ndjson")
    file.unlink()
    with working(bench, 1, 0, arguments.seed, "--queue", **aws.settings) as workers:
        seconds = work(bench, aws, workers, lines)
    bench.check(lines)
    facts = {
        "size of the object, MB": size / 1e6,
        "its lines, each an event counted once": lines,
        "MB/s": size / 1e6 / seconds,
        "largest size of the worker, MiB": workers.peak_mib,
    }
    command = f'make queue-load ARGS="--object-mb {arguments.object_mb}"'
    keep(arguments.results, "object", command, on, facts)


if __name__ == "__main__":
    sys.exit(main())
