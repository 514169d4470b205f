"""ActionCable's channels of one connection: what was subscribed, and how it is told.

An identifier is a JSON text, and it is echoed byte for byte:

    {"channel":"ClicksChannel"}                         or HoversChannel
    {"channel":"ClicksChannel","api_key":"…"}           brings its key
    {"channel":"ClicksChannel","cable_ready":true}      as cable_ready's operation consoleLog
"""

import msgspec
from msgspec import Raw

from ...base.client_address import Peer
from ...live.frames import websocket_json
from ...live.upgrade import Websocket
from ...live.viewer import Viewer
from ...schema.compat import (
    CableAnswer,
    CableDisconnect,
    CableMessage,
    CableOperations,
    CablePing,
    CableReady,
    CableReadyMessage,
    CableWelcome,
    ConsoleLog,
)
from ...schema.live import Error, Message, Snapshot, Update
from ..websocket import Socket, totals_in
from .results import results

#: An identifier comes back with every push.
MAX_IDENTIFIER_BYTES = 2_048

_CHANNELS = {"ClicksChannel": "click", "HoversChannel": "hover"}


class Identifier(msgspec.Struct):
    """What an identifier says."""

    channel: str
    api_key: str | None = None
    cable_ready: bool = False

    @property
    def action(self) -> str | None:
        return _CHANNELS.get(self.channel)


_text = msgspec.json.Decoder(str)
_identifier = msgspec.json.Decoder(Identifier)

_NOT_ONE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def text_of(raw: Raw) -> str | None:
    """The identifier that a command names, if it is a text."""
    try:
        return _text.decode(raw)
    except _NOT_ONE:
        return None


def parse(text: str) -> Identifier | None:
    """What the identifier says, if it names a channel that there is."""
    try:
        asked = _identifier.decode(text)
    except (*_NOT_ONE, UnicodeEncodeError):
        return None
    return asked if asked.action and len(text) <= MAX_IDENTIFIER_BYTES else None


class Channel:
    """A subscription, with all that it was told."""

    def __init__(self, identifier: Raw, asked: Identifier, cable_ready: bool = False) -> None:
        self._identifier = identifier
        self._cable_ready = asked.cable_ready or cable_ready
        self._action = asked.action
        self.counts: dict[str, int] = {}

    def frame(self) -> bytes:
        told = results(self._action or "", self.counts)
        if not self._cable_ready:
            return websocket_json(CableMessage(self._identifier, told))
        ready = CableReady(True, CableOperations([ConsoleLog(told)]))
        return websocket_json(CableReadyMessage(self._identifier, ready))


class CableSocket(Socket):
    """A connection with its channels by number, and their numbers by identifier."""

    def __init__(self, response: Websocket, viewer: Viewer, peer: Peer) -> None:
        super().__init__(response, viewer, peer)
        viewer.encode = self._encode
        self.channels: dict[int | str, Channel] = {}
        self.numbers: dict[str, int] = {}
        self.last_number = 0
        #: asked for in the address: `createConsumer(URL)` lets nothing else be said
        self.cable_ready = False

    def say(self, message: CableWelcome | CablePing | CableAnswer | CableDisconnect) -> None:
        self.viewer.send_frame(websocket_json(message))

    async def close(self, code: int, reason: str) -> None:
        if code == 1012:
            self.say(CableDisconnect("server_restart", reconnect=True))
        await super().close(code, reason)

    def _encode(self, message: Message) -> bytes:
        """What the hub, or who watches over connections, tells a viewer: in this format."""
        if isinstance(message, Error):
            return websocket_json(CableDisconnect("unauthorized", reconnect=False))
        if not isinstance(message, Snapshot | Update):
            return b""  # that totals are stale, or fresh again, can't be said in this format
        channel = self.channels.get(message.id)
        if channel is None:
            return b""
        if isinstance(message, Snapshot):
            channel.counts = {}
        channel.counts |= totals_in(message)
        return channel.frame()
