"""ActionCable's channels of one connection: what was subscribed, and how it is told.

An identifier is a JSON text, and it is echoed byte for byte:

    {"channel":"ClicksChannel"}                         or HoversChannel
    {"channel":"ClicksChannel","api_key":"…"}           brings its key
    {"channel":"ClicksChannel","cable_ready":true}      as cable_ready's operation consoleLog
"""

from typing import Any

import msgspec
from msgspec import Raw

from ...live.frames import message, websocket_text
from ...live.upgrade import Websocket
from ...live.viewer import Viewer
from ..websocket import Socket, native
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
        if self._cable_ready:
            told = {"cableReady": True, "operations": {"consoleLog": [{"message": told}]}}
        return websocket_text(message({"identifier": self._identifier, "message": told}))


class CableSocket(Socket):
    """A connection with its channels by number, and their numbers by identifier."""

    def __init__(self, response: Websocket, viewer: Viewer, origin: str | None) -> None:
        super().__init__(response, viewer, origin)
        viewer.wire = self._frame
        self.channels: dict[int | str, Channel] = {}
        self.numbers: dict[str, int] = {}
        self.last_number = 0
        #: asked for in the address: `createConsumer(URL)` lets nothing else be said
        self.cable_ready = False

    def say(self, **fields: Any) -> None:
        self.viewer.send_frame(websocket_text(message(fields)))

    async def close(self, code: int, reason: str) -> None:
        if code == 1012:
            self.say(type="disconnect", reason="server_restart", reconnect=True)
        await super().close(code, reason)

    def _frame(self, payload: bytes, position: bytes | None = None) -> bytes:
        """What the hub, or who watches over connections, tells a viewer: in this format."""
        told = native.decode(payload)
        channel = self.channels.get(told.id)
        match told.type:
            case "error":
                leave = {"type": "disconnect", "reason": "unauthorized", "reconnect": False}
                return websocket_text(message(leave))
            case "snapshot" if channel:
                channel.counts = told.totals
                return channel.frame()
            case "update" if channel:
                channel.counts |= told.totals
                return channel.frame()
        return b""  # that totals are stale, or fresh again, can't be said in this format
