"""The command `simulate`: users with real sockets who send real events, at a rate that is kept.

Events are due one after another, `rate` a second, each to the next user in turn. When the server,
or this machine, can't keep up, what is late is put off: there is never a burst to catch up with.
Everything sent is answered, or reported as unanswered.
"""

import argparse
import asyncio
import contextlib
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiohttp
import msgspec

from ...client import AsyncClient, Forbidden, Reconnecting, Redirected, totals
from ...client.live import Cut, open_socket
from ...client.wire import BROKEN, open_session, pause
from ...schema.live import Acknowledged, Error, Message, Ready, Snapshot, Update
from ..command import CommandError, number
from .server import add_remote, address, as_json, note

_EXAMPLES = """
livetally simulate --users 100 --rate 50
livetally simulate --users 1000 --rate 200 --seconds 60 --type click --subject red --subject blue
"""

#: Events of one user that wait for their answer; then the user is passed over.
MAX_WAITING = 20
#: What is later than this is put off.
PATIENCE_S = 0.5
#: How long the end waits for answers.
ANSWERS_S = 10.0
#: Connections that are opened at once.
OPENING = 20

COLOURS = ("red", "orange", "yellow", "green", "teal", "blue", "navy", "purple", "pink", "grey")

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def add(commands: Any) -> None:
    command = add_remote(
        commands,
        "simulate",
        _simulate,
        "be N users with real sockets, who send real events",
        _EXAMPLES,
    )
    command.add_argument("--users", type=number(1, 10_000), default=10, metavar="N", help="(10)")
    command.add_argument(
        "--rate",
        type=number(1, 100_000),
        default=10,
        metavar="N",
        help="events a second in all (10)",
    )
    command.add_argument(
        "--seconds", type=number(1, 86_400), default=10, metavar="N", help="how long (10)"
    )
    command.add_argument("--type", default="click", help="(click)")
    command.add_argument(
        "--subject", action="append", metavar="NAME", help="one of these each time (ten colours)"
    )


class _Tally:
    """What became of everything that was sent."""

    def __init__(self) -> None:
        self.sent = self.accepted = self.duplicates = self.refused = self.updates = self.cuts = 0
        self.seconds: list[float] = []
        self.reasons: dict[str, int] = {}

    @property
    def answered(self) -> int:
        return self.accepted + self.duplicates + self.refused

    def refuse(self, code: str) -> None:
        self.refused += 1
        self.reasons[code] = self.reasons.get(code, 0) + 1


class _User:
    """One user: a socket that watches and tracks, and comes back when it is cut."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, key: str, type: str, tally: _Tally
    ) -> None:
        self._session = session
        self._url = url
        self._key = key
        self._type = type
        self._tally = tally
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._attempt = 0
        #: Not answered yet: sent again with the same ids after a cut.
        self.waiting: dict[str, tuple[float, dict[str, str]]] = {}

    @property
    def ready(self) -> bool:
        return self._socket is not None and len(self.waiting) < MAX_WAITING

    async def live(self, opening: asyncio.Semaphore, opened: Callable[[], None]) -> None:
        while True:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    async with opening:
                        socket = await stack.enter_async_context(
                            open_socket(self._session, self._url, self._key)
                        )
                    await socket.send_json(
                        {"type": "subscribe", "id": 1, "topic": {"totals": self._type}}
                    )
                    for id, (_, event) in list(self.waiting.items()):
                        await self._put(socket, id, event)
                    self._socket = socket
                    opened()
                    async for frame in socket:
                        self._take(_decoder.decode(frame.data))
            except (*BROKEN, Cut, Redirected, msgspec.MsgspecError, TypeError):
                pass
            finally:
                self._socket = None
            self._tally.cuts += 1
            await asyncio.sleep(pause(self._attempt))
            self._attempt += 1

    async def track(self, subject: str) -> None:
        id = secrets.token_hex(16)
        event = {"id": id, "type": self._type, "subject": subject}
        self.waiting[id] = time.monotonic(), event
        self._tally.sent += 1
        if self._socket is not None:
            with contextlib.suppress(*BROKEN):
                await self._put(self._socket, id, event)

    async def _put(
        self, socket: aiohttp.ClientWebSocketResponse, id: str, event: dict[str, str]
    ) -> None:
        await socket.send_json({"type": "track", "ref": id, "events": [event]})

    def _take(self, message: Message) -> None:
        match message:
            case Ready():
                self._attempt = 0
            case Acknowledged():
                sent_at, _ = self.waiting.pop(str(message.ref), (0.0, {}))
                if sent_at:
                    self._tally.seconds.append(time.monotonic() - sent_at)
                self._tally.accepted += message.accepted
                self._tally.duplicates += message.duplicates
                for each in message.rejected:
                    self._tally.refuse(each.error.code)
            case Error(ref=str(ref)) if ref in self.waiting:
                del self.waiting[ref]
                self._tally.refuse(message.code)
            case Snapshot() | Update():
                self._tally.updates += 1


async def _simulate(client: AsyncClient, arguments: argparse.Namespace) -> int:
    url, key = address(arguments)
    await _is_there(client, arguments.type)
    tally = _Tally()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    subjects = arguments.subject or COLOURS
    async with open_session() as session:
        users = [_User(session, url, key, arguments.type, tally) for _ in range(arguments.users)]
        began = time.monotonic()
        lives = await _open(users, stop)
        with _shown(arguments, tally) as show:
            await _send(users, subjects, arguments, stop, show)
        await _settle(users)
        _report(users, tally, time.monotonic() - began)
        for life in lives:
            life.cancel()
        await asyncio.wait(lives)
    if stop.is_set():
        return 130
    return 0 if tally.accepted == tally.sent else 1


async def _is_there(client: AsyncClient, type: str) -> None:
    """Raises CommandError or Unauthorized: thousands of sockets would only say the same."""
    with contextlib.suppress(Forbidden):  # a key that only writes will do
        async with client.live(totals(type)) as live:
            match await anext(live):
                case Reconnecting() as cut:
                    raise CommandError(cut.reason)


async def _open(users: list[_User], stop: asyncio.Event) -> list[asyncio.Task[None]]:
    """Connect them, a few at a time; returns when all are there, or nothing moves any more."""
    opening, there = asyncio.Semaphore(OPENING), asyncio.Semaphore(0)
    lives = [asyncio.create_task(user.live(opening, there.release)) for user in users]
    for _ in users:
        if stop.is_set():
            break
        try:
            async with asyncio.timeout(10):
                await there.acquire()
        except TimeoutError:
            note(f"{sum(user.ready for user in users)} of {len(users)} users could connect.")
            break
    return lives


async def _send(
    users: list[_User],
    subjects: Sequence[str],
    arguments: argparse.Namespace,
    stop: asyncio.Event,
    show: Callable[[], None],
) -> None:
    due = time.monotonic()
    until = due + arguments.seconds
    turn = 0
    while not stop.is_set() and due < until:
        now = time.monotonic()
        if now - due > PATIENCE_S:
            due = now  # put off, not made up for
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - now)):
                await stop.wait()
        for _ in users:
            turn = (turn + 1) % len(users)
            if users[turn].ready:
                await users[turn].track(random.choice(subjects))
                break
        due += 1 / arguments.rate
        show()


async def _settle(users: list[_User]) -> None:
    """Wait for the answers that are still to come, but not for ever."""
    until = time.monotonic() + ANSWERS_S
    while any(user.waiting for user in users) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


@contextlib.contextmanager
def _shown(arguments: argparse.Namespace, tally: _Tally) -> Iterator[Callable[[], None]]:
    """A progress bar, for people."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} acknowledged"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(
            f"{arguments.users} users", total=arguments.rate * arguments.seconds
        )
        yield lambda: progress.update(task, completed=tally.accepted)


def _report(users: list[_User], tally: _Tally, seconds: float) -> None:
    waits = sorted(tally.seconds)
    found = {
        "users": len(users),
        "seconds": round(seconds, 1),
        "sent": tally.sent,
        "accepted": tally.accepted,
        "duplicates": tally.duplicates,
        "refused": tally.refused,
        "refused_because": tally.reasons,
        "unanswered": sum(len(user.waiting) for user in users),
        "updates_received": tally.updates,
        "reconnects": tally.cuts,
        "ack_ms": {
            name: round(1000 * waits[int(part * (len(waits) - 1))], 1)
            for name, part in (("p50", 0.5), ("p99", 0.99))
            if waits
        },
    }
    print(as_json(found), flush=True)
