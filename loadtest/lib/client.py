"""Runs the load in a process of its own: client.c where that compiles, else slow_client.py."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
#: The client puts a new id here.
ID = "@" * 16


@cache
def command(folder: Path) -> list[str]:
    """How the client is started."""
    compiler = shutil.which("cc")
    if sys.platform == "linux" and compiler and not os.environ.get("SLOW_CLIENT"):
        program = folder / "client"
        built = subprocess.run([compiler, "-O2", "-o", program, HERE / "client.c"], check=False)
        if built.returncode == 0:
            return [str(program)]
    return [sys.executable, "-m", "loadtest.lib.slow_client"]


class Client:
    """A load that is connected and waits for its word."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, at_start: Callable[[], None], at_end: Callable[[], None]) -> dict[str, Any]:
        """Send the load. The two are called when the measured time begins and ends."""
        self.go()
        self._expect("start")
        at_start()
        self._expect("end")
        at_end()
        result: dict[str, Any] = json.loads(self._line())
        if result["errors"] or result["unanswered"]:
            raise RuntimeError(f"the client met errors: {result}")
        return result

    def go(self) -> None:
        """Give the word."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def _expect(self, word: str) -> None:
        if (line := self._line()) != word:
            raise RuntimeError(f"the client says {line!r}, not {word!r}")

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"the client ended with status {self._process.wait()}")
        return line


@contextlib.contextmanager
def client(folder: Path, port: int, **options: object) -> Iterator[Client]:
    """Start a client; bytes among the options are handed over in files, a list
    gives an option several times. See client.c."""
    words = [*command(folder), str(port), "-d", str(random.randrange(1, 2**31))]
    for name, values in options.items():
        for number, value in enumerate(values if isinstance(values, list) else [values]):
            if isinstance(value, bytes):
                path = folder / f"client-{name}-{number}"
                path.write_bytes(value)
                words += [f"-{name}", str(path)]
            else:
                words += [f"-{name}", str(value)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        started = Client(process)
        started._expect("ready")
        yield started
    finally:
        process.kill()
        process.wait()


def post(body: bytes, key: str) -> bytes:
    """A whole request."""
    return (
        b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"X-Api-Key: %b\r\nContent-Length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
    )


#: The start of a websocket.
HELLO = (
    b"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def frame(message: object) -> bytes:
    return text_frame(json.dumps(message, separators=(",", ":")).encode())


def text_frame(payload: bytes) -> bytes:
    """A client's text frame, under a mask of zeros: the ids in it can be replaced as they are."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + bytes(4) + payload
    if size < 65536:
        return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + payload
    return b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + payload
