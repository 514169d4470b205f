"""Watching a topic over a websocket that may be cut at any time.

What is read is what the caller takes: who is slow is not sent more, and misses nothing of a feed.
Nothing is kept between: after a cut, totals and items begin with a new snapshot, and a feed goes on
from the position of the last message that was handed over.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Literal, NoReturn, Self

import aiohttp
import msgspec
from msgspec import UNSET

from ..schema.http import Position
from ..schema.live import Error, Events, Fresh, Gap, Message, Snapshot, Stale, Update
from .errors import Refused, Unauthorized, may_pass, refusal
from .topics import Topic
from .wire import BROKEN, MAX_MESSAGE_BYTES, Wire, pause, retry_after

#: The server pings every 20 s. Who hears nothing for this long asks; without an answer it is gone.
SILENCE_S = 25.0
ANSWER_S = 10.0
#: A connection that held this long was a good one: the next pause is a short one again.
STEADY_S = 5.0

_POLICY_VIOLATION = 1008
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
_encoder = msgspec.json.Encoder()


class Reconnecting(msgspec.Struct, frozen=True, tag="reconnecting"):
    """The connection was cut, or never came to be; it is tried again in `in_s`."""

    in_s: float
    reason: str


LiveMessage = Snapshot | Update | Events | Gap | Stale | Fresh | Reconnecting
State = Literal["connecting", "live", "stale", "reconnecting", "closed"]


class _Hint(msgspec.Struct):
    """The reason that a server gives when it restarts."""

    reconnect_after_ms: int = 0


class _Cut(Exception):
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
                async with self._connect() as socket:
                    opened_at = time.monotonic()
                    await self._subscribe(socket)
                    while True:
                        if (message := await self._next(socket)) is not None:
                            yield message
            except aiohttp.WSServerHandshakeError as error:
                cut = _handshake(error)
            except _Cut as error:
                cut = error
            except BROKEN as error:
                cut = _Cut(str(error) or type(error).__name__)
            if opened_at is not None and time.monotonic() - opened_at >= STEADY_S:
                self._attempt = 0
            wait = cut.least_s + pause(self._attempt)
            self._attempt += 1
            self.state = "reconnecting"
            yield Reconnecting(wait, str(cut))
            await asyncio.sleep(wait)

    def _connect(
        self,
    ) -> "aiohttp.client._BaseRequestContextManager[aiohttp.ClientWebSocketResponse]":
        return self._wire.session.ws_connect(
            self._wire.url + "/v1/live",
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
        )

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        topic = dict(self._topic)
        if "feed" in topic and self.position is not None:
            topic["since"] = self.position
        message = {"type": "subscribe", "id": 1, "topic": topic}
        await socket.send_str(_encoder.encode(message).decode())

    async def _next(self, socket: aiohttp.ClientWebSocketResponse) -> LiveMessage | None:
        """The next message, if it is one for the caller. Raises _Cut, or what is final."""
        frame = await self._receive(socket)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            self._ended(socket, frame)
        try:
            message = _decoder.decode(frame.data)
        except msgspec.ValidationError as error:
            raise Refused(f"The server says what this version doesn't know: {error}") from None
        except msgspec.DecodeError as error:
            raise _Cut(f"The server sends no JSON: {error}") from None
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

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
        # Not aiohttp's heartbeat: it would cut off a caller who takes long over a message.
        try:
            return await socket.receive(SILENCE_S)
        except TimeoutError:
            raise _Cut(f"Nothing was heard for {SILENCE_S:g} s.") from None

    def _ended(self, socket: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage) -> NoReturn:
        reason = str(frame.extra or "") if frame.type is aiohttp.WSMsgType.CLOSE else ""
        if socket.close_code == _POLICY_VIOLATION:
            raise Unauthorized(reason)
        try:
            hint = msgspec.json.decode(reason, type=_Hint).reconnect_after_ms / 1000
        except msgspec.MsgspecError:
            hint = 0.0
        why = (
            "The server restarts." if hint or socket.close_code == 1012 else "The connection ended."
        )
        raise _Cut(why, hint)

    def _declined(self, error: Error) -> NoReturn:
        if error.retry_after_s is not UNSET:
            raise _Cut(error.message, error.retry_after_s)
        status = {"missing_key": 401, "unknown_key": 401, "wrong_role": 403, "foreign_origin": 403}
        raise refusal(status.get(error.code, 400), error.code, error.message)


def _handshake(error: aiohttp.WSServerHandshakeError) -> _Cut:
    """What the refusal of a connection means. Raises what is final."""
    if may_pass(error.status):
        return _Cut(f"The server answers {error.status}.", retry_after(error.headers or {}))
    raise refusal(error.status, "refused", f"The server answers {error.status} to this key.")
