"""What client.c does, where that doesn't compile. It takes a good part of a core: say so."""

import argparse
import asyncio
import contextlib
import itertools
import json
import re
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import uvloop

ID = b"@" * 16
ANSWERS_S = 10.0
_ACCEPTED = re.compile(rb'"accepted":(\d+)')
_DUPLICATES = re.compile(rb'"duplicates":(\d+)')
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")


class Load:
    """The options, and what has been counted so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self._parts = itertools.cycle([request.split(ID) for request in options.r or [b""]])
        self._ids = itertools.count(options.d << 32)
        self.window = (float("inf"), float("inf"))
        self.counts = dict.fromkeys(
            ("requests", "accepted", "accepted_ever", "duplicates", "errors", "frames", "bytes"), 0
        )
        self.unanswered = self.ready = 0
        self.base: int | None = None
        self.sent_at: list[float] = []
        self.acked_at: list[float] = []
        self.times: dict[str, list[float]] = {"answer": [], "shown": [], "after_ack": []}

    def request(self) -> bytes:
        parts = next(self._parts)
        # Each number once, and spread like UUIDs: ids in order would flatter an index.
        ids = (b"%016x" % (next(self._ids) * 0x9E3779B97F4A7C15 % 2**64) for _ in parts[1:])
        return b"".join(itertools.chain(*zip(parts, ids), parts[-1:]))  # noqa: B905

    def measuring(self, at: float) -> bool:
        return self.window[0] <= at < self.window[1]


class Connection(asyncio.Protocol):
    """A sender or a viewer."""

    def __init__(self, load: Load, viewer: bool) -> None:
        self._load = load
        self._viewer = viewer
        self._held = b""
        self._sent_at: deque[float] = deque()
        self._snapshots = 0
        self.total = 0
        self.open = self.ready = not load.options.H

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        transport.write(self._load.options.H)

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False

    @property
    def under_way(self) -> int:
        return len(self._sent_at)

    def send(self, at: float) -> None:
        self._sent_at.append(at)
        self._load.sent_at.append(at)
        self._load.unanswered += 1
        self._transport.write(self._load.request())

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        if self._load.measuring(at):
            self._load.counts["bytes"] += len(data)
        if self._viewer and not self._load.options.H:
            return  # it only has to be read
        held, used = self._held + data, 0
        while size := (self._frame if self._load.options.H and self.open else self._http)(
            held[used:] if used else held, at
        ):
            used += size
        self._held = held[used:]

    def _http(self, held: bytes, at: float) -> int:
        head = held.find(b"\r\n\r\n") + 4
        if head < 4:
            return 0
        if self._load.options.H:
            assert held.startswith(b"HTTP/1.1 101"), held
            self.open = True
            if self._load.options.g:
                self._transport.write(self._load.options.g)
            else:
                self._set_up()
            return head
        length = _LENGTH.search(held, 0, head)
        size = head + int(length[1] if length else 0)
        if len(held) < size:
            return 0
        self._answered(held[head:size], at)
        return size

    def _set_up(self) -> None:
        self._transport.write(self._load.options.S if self._viewer else self._load.options.s)
        self._load.ready += self._viewer and not self._load.options.n
        self.ready = True

    def _frame(self, held: bytes, at: float) -> int:
        if len(held) < 10 and len(held) < 2 + (held[1:2] or b"\x7f")[0]:
            return 0
        size, head = held[1] & 127, 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(held[2:head], "big")
        if len(held) < head + size:
            return 0
        if held[0] & 15 == 9:
            self._transport.write(b"\x8a\x80\0\0\0\0")
        else:
            self._message(held[head : head + size], at)
        return head + size

    def _message(self, text: bytes, at: float) -> None:
        if self._load.options.g and text == b"2":
            self._transport.write(b"\x81\x81\0\0\0\x003")
        if self._load.options.g and not self.ready and text.startswith(b"40"):
            self._set_up()
            return
        kind = text[:36].partition(b'"type":"')[2].partition(b'"')[0]
        if kind == b"error":
            self._load.counts["errors"] += 1
            print("client:", text, file=sys.stderr)
        elif kind == b"ack":
            self._answered(text, at)
        elif kind in (b"snapshot", b"update"):
            self._shown(int(text[text.rindex(b":") + 1 :].rstrip(b"]}")), kind == b"snapshot", at)

    def _answered(self, text: bytes, at: float) -> None:
        load, sent_at = self._load, self._sent_at.popleft()
        load.unanswered -= 1
        accepted, duplicates = _ACCEPTED.search(text), _DUPLICATES.search(text)
        if not accepted or not duplicates:
            load.counts["errors"] += 1
            print("client:", text, file=sys.stderr)
            return
        load.acked_at.append(at)
        load.counts["accepted_ever"] += int(accepted[1])
        load.counts["duplicates"] += int(duplicates[1])
        if load.measuring(at):
            load.counts["requests"] += 1
            load.counts["accepted"] += int(accepted[1])
            load.times["answer"].append(at - sent_at)
        if not load.options.R and at < load.window[1]:
            self.send(at)

    def _shown(self, total: int, snapshot: bool, at: float) -> None:
        load, was, self.total = self._load, self.total, total
        if snapshot:
            load.base = total if load.base is None else load.base
            self._snapshots += 1
            load.ready += self._snapshots == load.options.n
            return
        load.counts["frames"] += load.measuring(at)
        if load.options.R and load.options.n == 1 and load.base is not None:
            for k in range(was - load.base, total - load.base):
                if load.measuring(load.sent_at[k]):
                    load.times["shown"].append(at - load.sent_at[k])
                    acked = load.acked_at[k] if k < len(load.acked_at) else at
                    load.times["after_ack"].append(at - acked)


async def main(options: argparse.Namespace) -> None:
    load = Load(options)
    loop = asyncio.get_running_loop()
    connections = []
    for number in range(options.c + options.v):
        connection = Connection(load, number >= options.c)
        await loop.create_connection(lambda c=connection: c, "127.0.0.1", options.port)
        connections.append(connection)
    senders, viewers = connections[: options.c], connections[options.c :]
    async with asyncio.timeout(60):
        # A poll: who is ready is counted by a thousand callbacks.
        while not _all_ready(load, connections):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    began = time.monotonic()
    load.window = (began + options.w, began + options.w + options.t)
    sending = asyncio.create_task(_send(load, senders, began))
    await asyncio.sleep(options.w)
    print("start", flush=True)
    before = time.process_time()
    await asyncio.sleep(max(0, load.window[1] - time.monotonic()))
    print("end", flush=True)
    cpu_s = time.process_time() - before
    await sending
    until = time.monotonic() + ANSWERS_S
    while load.unanswered and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5 if senders and viewers else 0)
    last = (load.base or 0) + load.counts["accepted_ever"]
    behind = sum(v.total != last for v in viewers) if options.n == 1 and options.R else 0
    times = {name: _quantiles(values) for name, values in load.times.items()}
    result = {"seconds": options.t, "unanswered": load.unanswered, "behind": behind, "cpu_s": cpu_s}
    print(json.dumps(result | load.counts | times), flush=True)


def _all_ready(load: Load, connections: list[Connection]) -> bool:
    return all(c.ready for c in connections) and (
        not load.options.H or load.ready >= load.options.v
    )


async def _send(load: Load, senders: list[Connection], began: float) -> None:
    """The first requests; with a rate, all of them, whether answered or not."""
    rate = load.options.R
    if not rate:
        for sender in senders * load.options.i:
            sender.send(began)
    while rate and (now := time.monotonic()) < load.window[1]:
        while len(load.sent_at) < (now - began) * rate:
            sender = senders[len(load.sent_at) % len(senders)]
            if sender.under_way >= 64:
                break
            sender.send(began + len(load.sent_at) / rate)
        await asyncio.sleep(0.001)


def _quantiles(values: list[float]) -> dict[str, float]:
    values.sort()
    found = {f"p{q}_ms": 0.0 for q in (50, 95, 99)} | {"max_ms": 0.0}
    if values:
        for q in (50, 95, 99):
            found[f"p{q}_ms"] = round(values[(len(values) * q - 1) // 100] * 1000, 2)
        found["max_ms"] = round(values[-1] * 1000, 2)
    return {"count": len(values), **found}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The options are client.c's.")
    parser.add_argument("port", type=int)
    for name in "civnd":
        parser.add_argument(f"-{name}", type=int, default=1 if name == "i" else 0)
    for name, default in {"R": 0.0, "w": 0.5, "t": 1.0}.items():
        parser.add_argument(f"-{name}", type=float, default=default)
    for name in "HgsS":
        parser.add_argument(f"-{name}", type=lambda p: Path(p).read_bytes(), default=b"")
    parser.add_argument("-r", type=lambda p: Path(p).read_bytes(), action="append")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(_options()))
