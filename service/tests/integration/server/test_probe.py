"""`livetally health`, as a container's health check runs it."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from service.tests.support.process import Process, free_port


def health(port: int | str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "livetally", "health", *arguments],
        env={**kept, "LIVETALLY_PORT": str(port), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def answering(*parts: bytes, pause_s: float = 0) -> Iterator[int]:
    """A port that answers one request with these parts, a pause after each."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            server.settimeout(30)
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                with suppress(BrokenPipeError, ConnectionResetError):  # it was given up
                    for part in parts:
                        connection.sendall(part)
                        done.wait(pause_s)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        done.set()
        thread.join()


def test_a_running_service_is_well(spawn: Callable[..., Process]) -> None:
    """Status 0 and the service's own words, also where it listens everywhere; it needs no other
    setting than the port."""
    process = spawn(LIVETALLY_HOST="0.0.0.0").wait_ready()  # noqa: S104
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104
        asked = health(process.port, LIVETALLY_HOST=host)
        assert (asked.returncode, asked.stderr) == (0, "")
        assert '"status":"alive"' in asked.stdout
    assert '"status":' in health(process.port, "--path", "/readyz").stdout
    assert health(process.port, "--path", "/nothing").returncode == 1


def test_nobody_there() -> None:
    """Status 1 and one line that names the port."""
    port = free_port()
    asked = health(port)
    assert asked.returncode == 1
    assert asked.stderr.startswith(f"livetally: 127.0.0.1 port {port}: ")
    assert len(asked.stderr.splitlines()) == 1


def test_a_port_that_is_none() -> None:
    """A mistake in the setting is a line, too, not a trace."""
    asked = health("many")
    assert asked.returncode == 1
    assert len(asked.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b'HTTP/1.1 503 Stuck\r\n\r\n{"status":"stuck"}', '{"status":"stuck"}\n'),
        (b"SSH-2.0-OpenSSH\r\n", ""),
        (b"", ""),
    ],
)
def test_not_well(answer: bytes, says: str) -> None:
    """Anything but a 200 is status 1; what the service said of itself is passed on."""
    with answering(answer) as port:
        asked = health(port)
    assert (asked.returncode, asked.stdout) == (1, says)


def test_an_answer_that_trickles_in_is_given_up() -> None:
    """The deadline is for all of it: a byte now and then doesn't move it."""
    with answering(*[b"H"] * 1000, pause_s=0.05) as port:
        started = time.monotonic()
        asked = health(port, "--timeout", "0.5")
        assert asked.returncode == 1
        assert "timed out" in asked.stderr
        assert time.monotonic() - started < 20  # a thousand bytes would take 50 s


def test_it_loads_nothing_of_the_service() -> None:
    """A health check must not cost what a start of the service costs."""
    code = (
        'import sys; from livetally.ops.probe import run; run("/healthz", 1)\n'
        "print(*sorted(m for m in sys.modules if m.split('.')[0] in"
        " ('livetally', 'aiohttp', 'psycopg', 'msgspec')))"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "LIVETALLY_PORT": str(free_port())},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stdout.split())
    assert loaded == {"livetally", "livetally.ops", "livetally.ops.probe"}
