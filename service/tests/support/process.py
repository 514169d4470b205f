"""The server as a process of its own."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def hear_interrupts() -> None:
    """Programs that are started from here on end when they are interrupted, as at a terminal.

    Who starts this in the background (`make test &`) has SIGINT ignored, which children inherit.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Process:
    """`livetally serve` (or `worker`) as a process of its own, which a test may kill."""

    def __init__(
        self, environ: dict[str, str], log: Path, *arguments: str, command: str = "serve"
    ) -> None:
        self._command = command
        self.port = int(environ["LIVETALLY_PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environ = environ
        self._arguments = arguments
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "livetally", self._command, *self._arguments],
                env=self._environ,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def wait_ready(self, timeout_s: float = 30) -> "Process":
        """Return once /readyz says so."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5):  # noqa: S310
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> "Process":
        """Start again on the same port, after `kill` or `stop`."""
        self.process = self._start()
        return self

    def stop(self, timeout_s: float = 35) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(timeout_s)


@contextlib.contextmanager
def paused(server: Any) -> Iterator[None]:
    """SIGSTOP all of a local server's processes: it hangs, but its connections stay."""
    processes = server._processes()
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def on_a_terminal(database_url: str, *arguments: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environ = os.environ | {
        "LIVETALLY_DATABASE_URL": database_url,
        "LIVETALLY_REDIS_URL": "redis://unused",
        "TERM": "xterm",
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "livetally", *arguments], env=environ, stderr=theirs
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # as a terminal's end is told
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    assert running.wait(30) == 0
    return said.decode()
