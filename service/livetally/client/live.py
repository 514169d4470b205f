"""Watching a topic over a websocket that may be cut at any time.

What is read is what the caller takes: who is slow is not sent more, and misses nothing of a feed.
Nothing is kept between: after a cut, totals and items begin with a new snapshot, and a feed goes on
from the position of the last message that was handed over.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

import aiohttp
import msgspec
from msgspec import UNSET

from ..schema.http import Position
from ..schema.live import Error, Events, Fresh, Gap, Message, Ready, Snapshot, Stale, Update
from .answers import LONGEST_WAIT_S, retry_after
from .errors import FINAL, Redirected, Refused
from .wire import BROKEN, Wire, pause

#: A snapshot of 1,000 subjects of 1,024 characters, each of them escaped, is 6 MiB.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
#: Who hears nothing for this long asks (a server may ping as seldom as every 300 s); without an
#: answer it is gone.
SILENCE_S = 25.0
ANSWER_S = 10.0
#: A connection that held this long was a good one: the next pause is a short one again.
STEADY_S = 5.0

_PING = '{"type":"ping"}'
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
_encoder = msgspec.json.Encoder()


#: As the live protocol writes it.
Topic = Mapping[str, Any]


def totals(type: str, subjects: Sequence[str] | None = None) -> Topic:
    """Every total of a type (the 1,000 largest), or those of some subjects."""
    return {"totals": type} if subjects is None else {"totals": type, "subjects": list(subjects)}


def feed(type: str, subject: str | None = None) -> Topic:
    """Every event of a type, or of one of its subjects, in order, once."""
    return {"feed": type} if subject is None else {"feed": type, "subject": subject}


def item(key: str, id: str) -> Topic:
    """One item's latest value."""
    return {"item": [key, id]}


def items(key: str) -> Topic:
    """The latest values of all items of a key."""
    return {"items": key}


class Reconnecting(msgspec.Struct, frozen=True, tag="reconnecting"):
    """The connection was cut, or never came to be; it is tried again in `in_s`."""

    in_s: float
    reason: str


LiveMessage = Snapshot | Update | Events | Gap | Stale | Fresh | Reconnecting
State = Literal["connecting", "live", "stale", "reconnecting", "closed"]


class _Hint(msgspec.Struct):
    """The reason that a server gives when it restarts."""

    reconnect_after_ms: int = 0


class Cut(Exception):
    """The connection is no good any more; come back after `least_s` at the earliest."""

    def __init__(self, reason: str, least_s: float = 0.0) -> None:
        super().__init__(reason)
        self.least_s = least_s


class AsyncLive:
    """An async iterator of a topic's messages, and how it stands.

    Ends only when it is closed, or by raising Unauthorized, Forbidden or Refused. `state` is "live"
    while what was shown last is what the server has.
    """

    def __init__(self, wire: Wire, topic: Topic, since: Position | None) -> None:
        self._wire = wire
        self._topic = topic
        self.state: State = "connecting"
        #: A feed's: after the last message that was handed over.
        self.position = since
        self._attempt = 0
        self._messages = self._run()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LiveMessage:
        return await self._messages.__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self.state = "closed"
        await self._messages.aclose()

    async def _run(self) -> AsyncGenerator[LiveMessage, None]:
        while True:
            opened_at = None
            try:
                async with open_socket(
                    self._wire.session, self._wire.url, self._wire.key
                ) as socket:
                    await self._greeting(socket)
                    opened_at = time.monotonic()
                    await self._subscribe(socket)
                    while True:
                        if (message := await self._next(socket)) is not None:
                            yield message
            except Cut as error:
                cut = error
            except (*BROKEN, Redirected) as error:
                cut = Cut(str(error) or type(error).__name__)
            if opened_at is not None and time.monotonic() - opened_at >= STEADY_S:
                self._attempt = 0
            wait = cut.least_s + pause(self._attempt)
            self._attempt += 1
            self.state = "reconnecting"
            yield Reconnecting(wait, str(cut))
            await asyncio.sleep(wait)

    async def _greeting(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Wait for what only Livetally says. Raises Cut, TimeoutError, or what is final."""
        async with asyncio.timeout(ANSWER_S):
            while not isinstance(message := self._decode(socket, await socket.receive()), Ready):
                if isinstance(message, Error):
                    self._declined(message)

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        topic = dict(self._topic)
        if "feed" in topic and self.position is not None:
            topic["since"] = self.position
        message = {"type": "subscribe", "id": 1, "topic": topic}
        await socket.send_str(_encoder.encode(message).decode())

    async def _next(self, socket: aiohttp.ClientWebSocketResponse) -> LiveMessage | None:
        """The next message, if it is one for the caller. Raises Cut, or what is final."""
        message = self._decode(socket, await self._receive(socket))
        match message:
            case Error():
                self._declined(message)
            case Events() | Gap():
                self.position = message.position
                self._lively()
            case Snapshot() | Fresh():
                self.state = "live"
            case Stale():
                self.state = "stale"
            case Update():
                self._lively()
            case _:
                return None
        return message

    def _lively(self) -> None:
        if self.state != "stale":
            self.state = "live"

    def _decode(self, socket: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage) -> Message:
        if frame.type is not aiohttp.WSMsgType.TEXT:
            self._ended(socket, frame)
        try:
            return _decoder.decode(frame.data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            known = self.state in ("live", "stale") and isinstance(error, msgspec.ValidationError)
            if known:
                raise Refused(f"The server says what this version doesn't know: {error}") from None
            raise Cut(f"It isn't Livetally that answers: is the address right? {error}") from None

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
        # Not aiohttp's heartbeat: it would cut off a caller who takes long over a message.
        try:
            return await socket.receive(SILENCE_S)
        except TimeoutError:
            await socket.send_str(_PING)
        try:
            return await socket.receive(ANSWER_S)
        except TimeoutError:
            raise Cut(f"The server doesn't answer within {ANSWER_S:g} s.") from None

    def _ended(self, socket: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage) -> NoReturn:
        # A key that is no good was said before; whatever else ends a connection may pass.
        reason = str(frame.extra or "") if frame.type is aiohttp.WSMsgType.CLOSE else ""
        try:
            hint = msgspec.json.decode(reason, type=_Hint).reconnect_after_ms / 1000
        except msgspec.MsgspecError:
            hint = 0.0
        restarts = hint or socket.close_code == 1012
        why = "The server restarts." if restarts else "The connection ended."
        raise Cut(why, min(max(hint, 0.0), LONGEST_WAIT_S))

    def _declined(self, error: Error) -> NoReturn:
        if error.retry_after_s is not UNSET:
            raise Cut(error.message, min(max(error.retry_after_s, 0), LONGEST_WAIT_S))
        if error.code not in FINAL:
            raise Cut(error.message)
        raise FINAL[error.code](error.message, error.code)


@contextlib.asynccontextmanager
async def open_socket(
    session: aiohttp.ClientSession, url: str, key: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A websocket to /v1/live. The key is its first message: so it goes to a websocket only, and
    what is refused on the way there is never a refusal of the key. Raises Cut, or BROKEN."""
    timeout = aiohttp.ClientWSTimeout(ws_close=2.0)
    try:
        socket = await session.ws_connect(
            url + "/v1/live", max_msg_size=MAX_MESSAGE_BYTES, timeout=timeout
        )
    except aiohttp.WSServerHandshakeError as error:
        raise Cut(f"The server answers {error.status}.", retry_after(error.headers or {})) from None
    async with socket:
        await socket.send_str(_encoder.encode({"type": "auth", "key": key}).decode())
        yield socket
