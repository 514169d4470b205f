"""`make run-aws`: beside the rest an AWS of one's own, set up, and a worker on its queue."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..queue.setup import Made, set_up
from ..server.process import STOP_TIMEOUT_S
from .aws import LocalAws

NAME = "livetally"


@contextlib.contextmanager
def local_aws(data_dir: Path) -> Iterator[dict[str, str]]:
    """Moto's server with a queue, a topic and a bucket; gives the settings that lead there.

    It keeps all in memory: what lies in the queue or the bucket is gone at the end. Raises
    LocalServerError.
    """
    with LocalAws(_free_port(), data_dir / "aws.log") as server:
        os.environ.update(server.environ)  # for this process's own calls
        made: Made = asyncio.run(set_up(queue=NAME, topic=NAME, bucket=NAME, inbox="inbox/"))
        yield {
            **server.environ,
            "LIVETALLY_QUEUE_URL": made.queue_url,
            "LIVETALLY_DEAD_LETTER_QUEUE_URL": made.dead_letter_queue_url,
            "LIVETALLY_ARCHIVE_URL": f"s3://{made.bucket}/archive",
        }


@contextlib.contextmanager
def worker(settings: Mapping[str, str], project: str) -> Iterator[None]:
    """`livetally worker` as a process of its own; it ends with us, even by kill -9."""
    process = subprocess.Popen(
        [sys.executable, "-m", "livetally", "worker", "--supervised"],
        env={**os.environ, **settings, "LIVETALLY_QUEUE_PROJECT": project, "LIVETALLY_PORT": "0"},
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches it through us, once what serves has ended
    )
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
