"""A cloud of one's own: moto's server, with what it lacks, on a free port of this machine."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).parents[1]
MOTO_SERVER = "terraform.tests.moto_server"

#: Where the applied environments' states are.
STATE_BUCKET = "livetally-terraform-test"
#: It reads all of AWS's models first: seconds of one core, minutes where others want it too.
START_S = 300


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Moto:
    """A cloud of one's own: moto's server, with what it lacks, on a free port of this machine."""

    def __init__(self, log: Path, start_s: float = START_S) -> None:
        self._start_s = start_s
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = log
        self._calls = log.with_suffix(".calls")

    def __enter__(self) -> "Moto":
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", MOTO_SERVER, "-H", "127.0.0.1", "-p", str(self._port)],
                cwd=ROOT.parent,
                env={**os.environ, "MOTO_CALLS": str(self._calls)},
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(60)

    def _wait(self) -> None:
        """Return once it answers; raises with what it said if it has ended, or takes too long."""
        deadline = time.monotonic() + self._start_s
        while not self._answers():
            if (status := self.process.poll()) is not None:
                raise RuntimeError(f"moto's server ended with {status}: {self._log.read_text()}")
            if time.monotonic() > deadline:
                said = self._log.read_text()
                raise TimeoutError(f"moto's server wasn't there in {self._start_s} s: {said!r}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/", timeout=5):  # noqa: S310
                return True
        except (urllib.error.URLError, OSError):
            return False

    @contextmanager
    def calls(self) -> Iterator[set[str]]:
        """What is called meanwhile, as IAM names actions; known at the end."""
        called: set[str] = set()
        begin = self._calls.stat().st_size
        yield called
        with self._calls.open(encoding="utf-8") as file:
            file.seek(begin)
            called |= set(file.read().split())

    def client(self, service: str, region: str = "eu-central-1") -> Any:
        """boto3's client: what AWS itself says there is."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def make_hosted_zone(self, name: str) -> None:
        """The domain: the one thing that must be there before the first apply."""
        self.client("route53").create_hosted_zone(Name=name, CallerReference=name)

    def make_state_bucket(self) -> None:
        self.client("s3").create_bucket(
            Bucket=STATE_BUCKET,
            CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
        )

    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
