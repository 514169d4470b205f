"""Frames out: to 1,000 viewers, one topic and many, beside a bare `send()` loop; and who waits."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

from loadtest.lib.client import HELLO, ID, client, frame
from loadtest.lib.figures import Figures
from loadtest.lib.stand import Bench, Server, Stand

VIEWERS = 1_000
IDLE_VIEWERS = 5_000
#: What a server does unless it is told otherwise.
FRAME_INTERVAL_MS = 40
#: A page's address: makes a frame about 256 bytes long.
SUBJECT = "https://shop.example/" + "a-page-with-a-long-name/" * 6 + "index.html"


def frames(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """What one message costs the server, when 1, 10 and 20 are due at once for each viewer."""
    with stand.database() as bench, bench.serve() as server:
        stored = 0
        for _ in range(rounds):
            for topics in (1, 10, 20):
                # Faster than the 25 frames a second: something is due at every tick.
                result, cpu_s = watch(bench, server, seconds, topics, rate=40)
                stored += result["accepted_ever"]
                count = result["frames"]
                cost = cpu_s / count * 1e6
                bare = _bare_loop(bench, result["bytes"] // count * topics, seconds / 2) / topics
                name = f"{topics} topic{'s' if topics > 1 else ''} a viewer"
                figures.add(f"frames to 1,000 viewers, {name}", "frames/s", count / seconds)
                figures.add(f"server CPU a message, {name}", "us", cost)
                figures.add(f"bare send() loop, the same bytes, {name}", "us", bare)
                figures.add(f"ratio server : bare loop, {name}", "", cost / bare)
                if topics > 1:
                    figures.add(
                        f"messages a core delivers, {name}", "/s", 1e6 / cost, aim=">= 250,000"
                    )
            figures.add("bytes a message", "", result["bytes"] / count)
            figures.add("client CPU, 20 topics a viewer", "cores", result["cpu_s"] / seconds)
        bench.check(stored)


def most_frames(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """How many frames a second leave when they are made as often as the server can."""
    with stand.database() as bench, bench.serve(frame_interval_ms=5) as server:
        stored = 0
        for _ in range(rounds):
            for topics in (1, 20):
                result, _ = watch(bench, server, seconds, topics, rate=250)
                stored += result["accepted_ever"]
                name = f"most frames to 1,000 viewers, {topics} topic{'s' if topics > 1 else ''}"
                figures.add(name, "frames/s", result["frames"] / seconds)
        bench.check(stored)


def delays(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """From an event's sending, and from its commit, to each of 1,000 viewers."""
    with stand.database() as bench, bench.serve() as server:
        stored = 0
        for _ in range(rounds):
            for rate in (200, 1_000):
                result, _ = watch(bench, server, seconds, 1, rate)
                stored += result["accepted_ever"]
                if result["behind"]:
                    raise RuntimeError(f"{result['behind']} viewers don't show the last total")
                for name, what in (("after_ack", "commit"), ("shown", "send")):
                    for quantile in ("p50", "p95", "p99"):
                        figures.add(
                            f"{what} to 1,000 viewers, {rate:,} events/s: {quantile}",
                            "ms",
                            result[name][f"{quantile}_ms"],
                            aim="< 50" if (what, quantile) == ("commit", "p99") else "",
                        )
        bench.check(stored)


def idle(stand: Stand, figures: Figures, seconds: float) -> None:
    """What a connection costs that has subscribed and hears nothing."""
    viewers = {"H": HELLO, "n": 1, "w": 0.1}
    # Pinged within the measured time, four times as often as is usual.
    with stand.database() as bench, bench.serve(ping_interval_s=5) as server:
        setup = _subscriptions(bench, 1)
        with client(bench.folder, server.port, v=100, S=setup, t=0.1, **viewers):
            time.sleep(0.5)  # what the first ones load is not a connection's
        before = server.rss_bytes
        with client(bench.folder, server.port, v=IDLE_VIEWERS, S=setup, t=seconds, **viewers) as c:
            time.sleep(0.5)
            cost = (server.rss_bytes - before) / IDLE_VIEWERS / 1024
            figures.add(f"memory of an idle viewer, of {IDLE_VIEWERS:,}", "KB", cost, aim="<= 14")
            cpu: list[float] = []
            c.run(lambda: cpu.append(server.cpu_s), lambda: cpu.append(server.cpu_s))
            used = (cpu[1] - cpu[0]) / seconds * 100
        figures.add(f"CPU of {IDLE_VIEWERS:,} idle viewers, pinged every 5 s", "% of a core", used)
        with bench.serve("loadtest.bench.bare") as bare:
            figures.add("memory of a bare aiohttp websocket", "KB", _bare_websocket(bare))


def _bare_websocket(server: Server) -> float:
    """KB of a connection that was accepted and is not spoken to."""
    with contextlib.ExitStack() as connections:

        def connect(count: int) -> None:
            for _ in range(count):
                sock = socket.create_connection(("127.0.0.1", server.port))
                connections.enter_context(sock)
                sock.sendall(HELLO)
                if not sock.recv(4096).startswith(b"HTTP/1.1 101"):
                    raise RuntimeError("the bare server does not accept a websocket")

        connect(100)
        before = server.rss_bytes
        connect(IDLE_VIEWERS)
        return (server.rss_bytes - before) / IDLE_VIEWERS / 1024


def watch(
    bench: Bench,
    server: Server,
    seconds: float,
    topics: int,
    rate: float,
    viewers: int = VIEWERS,
    **dialect: bytes,
) -> tuple[dict[str, Any], float]:
    """Viewers of these topics; `rate` times a second one event of each is tracked.

    What the client says, and the server's CPU seconds. `dialect` replaces what is sent to whom
    speaks another protocol.
    """
    events = [{"id": ID, "type": f"type-{n}", "subject": SUBJECT} for n in range(topics)]
    options = {
        "H": HELLO,
        "s": frame({"type": "auth", "key": bench.write_key}),
        "r": frame({"type": "track", "ref": 1, "events": events}),
        "S": _subscriptions(bench, topics),
        **dialect,
    }
    cpu: list[float] = []
    with client(
        bench.folder, server.port, c=2, v=viewers, n=topics, R=rate, w=0.5, t=seconds, **options
    ) as load:
        result = load.run(lambda: cpu.append(server.cpu_s), lambda: cpu.append(server.cpu_s))
    return result, cpu[1] - cpu[0]


def _subscriptions(bench: Bench, topics: int) -> bytes:
    messages: list[dict[str, object]] = [{"type": "auth", "key": bench.read_key}]
    messages += [
        {"type": "subscribe", "id": n, "topic": {"totals": f"type-{n}"}} for n in range(topics)
    ]
    return b"".join(map(frame, messages))


def _bare_loop(bench: Bench, size: int, seconds: float) -> float:
    """CPU microseconds of one `send` of so many bytes, over as many connections, from here.

    In bursts, 25 a second, as frames leave: then the kernel wakes the reader each time.
    """
    payload = b"x" * size
    with _readers(bench) as sockets:
        cpu_s, bursts, until = 0.0, 0, time.monotonic() + seconds
        while time.monotonic() < until:
            started = time.process_time()
            for sock in sockets:
                sock.send(payload)
            cpu_s += time.process_time() - started
            bursts += 1
            time.sleep(FRAME_INTERVAL_MS / 1000)
        return cpu_s / bursts / len(sockets) * 1e6


@contextlib.contextmanager
def _readers(bench: Bench) -> Iterator[list[socket.socket]]:
    """Loopback connections to a client that reads whatever comes."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=VIEWERS))
        port = listener.getsockname()[1]
        with client(bench.folder, port, v=VIEWERS, t=60) as load:
            accepted = [sockets.enter_context(listener.accept()[0]) for _ in range(VIEWERS)]
            load.go()
            yield accepted
