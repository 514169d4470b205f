"""The same frames from others: npm's `ws` and Socket.IO, PyPI's `websockets` and `picows`.

They are installed here, into the run's own folder, as peers/ locks them. Their servers, also there,
count in memory and answer at once: nothing is stored, nothing counts once. They are given what
costs a library most to be without: totals are conflated to a frame an interval, as ours are.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtest.bench.fanout import FRAME_INTERVAL_MS, SUBJECT, watch
from loadtest.lib.client import HELLO, ID, text_frame
from loadtest.lib.figures import Figures
from loadtest.lib.paths import LOADTEST
from loadtest.lib.stand import Bench, Server, Stand, free_port

HOME = LOADTEST / "peers"
VIEWERS = (1_000, 5_000)
EVENTS_A_SECOND = 1_000
OURS = "Livetally"


def _emit(*message: object) -> bytes:
    """An event as Socket.IO's clients send it."""
    return text_frame(b"42" + json.dumps(message, separators=(",", ":")).encode())


#: Another hello, an answer to be awaited, and messages in an envelope.
SOCKET_IO = {
    "H": HELLO.replace(b"/v1/live", b"/socket.io/?EIO=4&transport=websocket"),
    "g": text_frame(b"40"),
    "s": b"",
    "S": _emit("subscribe", {"id": 0}),
    "r": _emit("track", {"ref": 1, "events": [{"id": ID, "type": "type-0", "subject": SUBJECT}]}),
}


class Peer(Server):
    """A server of somebody else's library."""

    def _ask(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()


def peers(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """1,000 events a second to 1,000 and 5,000 viewers, beside servers that store nothing."""
    commands = {**_install_npm(stand.folder), **_install_pypi(stand.folder)}
    with stand.database() as bench:
        stored = 0
        for _ in range(rounds):
            with bench.serve(frame_interval_ms=FRAME_INTERVAL_MS) as server:
                cost, accepted = _measure(figures, bench, server, OURS, seconds)
                stored += accepted
            for name, command in commands.items():
                with _served(stand.folder, command) as server:
                    theirs, _ = _measure(figures, bench, server, name, seconds)
                figures.add(f"CPU a frame, {name} : {OURS}", "", theirs / cost)
        bench.check(stored)


def _measure(
    figures: Figures, bench: Bench, server: Server, name: str, seconds: float
) -> tuple[float, int]:
    """(CPU microseconds a frame to the fewest viewers, events accepted)"""
    costs, stored = [], 0
    for viewers in VIEWERS:
        dialect = SOCKET_IO if name == "Socket.IO" else {}
        result, cpu_s = watch(bench, server, seconds, 1, EVENTS_A_SECOND, viewers, **dialect)
        stored += result["accepted_ever"]
        costs.append(cpu_s / result["frames"] * 1e6)
        about = f"{viewers:,} viewers of {name}"
        figures.add(f"{about}: frames", "frames/s", result["frames"] / seconds)
        figures.add(f"{about}: CPU a frame", "us", costs[-1])
        for quantile in ("p50", "p95", "p99"):
            delay = result["after_ack"][f"{quantile}_ms"]
            figures.add(f"{about}: answer to viewer, {quantile}", "ms", delay)
    return costs[0], stored


@contextmanager
def _served(folder: Path, command: list[str]) -> Iterator[Peer]:
    port = str(free_port())
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(folder / "pypi"),
        "LIVETALLY_PORT": port,
        "PEER_PORT": port,
        "PEER_INTERVAL_MS": str(FRAME_INTERVAL_MS),
    }
    peer = Peer(command, environ, folder / "peer.log")
    try:
        peer.wait_ready()
        yield peer
    finally:
        peer.stop()


def _install_npm(folder: Path) -> dict[str, list[str]]:
    """The programs have to be where their packages are."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return _left_out("ws and Socket.IO", "there is no npm")
    place = folder / "npm"
    place.mkdir(exist_ok=True)
    for name in (".npmrc", "package.json", "package-lock.json", "ws.js", "socketio.js"):
        shutil.copy(HOME / name, place)
    ran = subprocess.run([npm, "ci", "--ignore-scripts"], cwd=place, capture_output=True, text=True)
    if ran.returncode:
        return _left_out("ws and Socket.IO", ran.stderr)
    programs = {"ws": "ws.js", "Socket.IO": "socketio.js"}
    return {name: [node, str(place / program)] for name, program in programs.items()}


def _install_pypi(folder: Path) -> dict[str, list[str]]:
    command = [
        *(sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"),
        *("--require-hashes", "--only-binary", ":all:", "--no-deps"),
        *("--requirement", str(HOME / "requirements.txt"), "--target", str(folder / "pypi")),
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        return _left_out("websockets and picows", ran.stderr)
    programs = {"websockets": "broadcast.py", "picows": "picows_server.py"}
    return {name: [sys.executable, str(HOME / program)] for name, program in programs.items()}


def _left_out(names: str, why: str) -> dict[str, list[str]]:
    print(f"       {names} can't be installed, and are left out: {why}", file=sys.stderr)
    return {}
