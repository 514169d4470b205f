"""How format 1 says what the hub tells a viewer: whole lists, or cells for admins."""

from ...base.errors import MissingKey, UnknownKey
from ...live.frames import websocket_json
from ...schema.compat import ColorCell, ColorPush, ColorRejection
from ...schema.http import Reason
from ...schema.live import Error, Message, Snapshot, Update
from ..websocket import totals_in
from .http import listed


class Lists:
    """The encoder of the connections that are bound to a project: whole lists.

    They share it, so that each list is put together and encoded once. That is right because counts
    are absolute: what one of them was told is as true for the others.
    """

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def __call__(self, message: Message) -> bytes:
        if not isinstance(message, Snapshot | Update):
            return rejection(message)
        action = str(message.id)
        if isinstance(message, Snapshot):
            self._counts[action] = {}
        counts = self._counts.setdefault(action, {})
        counts |= totals_in(message)
        return websocket_json(ColorPush(listed(action, counts), action))


class Cells:
    """The encoder of an admin's connection: each cell that is new to it, a message each."""

    def __init__(self) -> None:
        self._counts: dict[int | str, dict[str, int]] = {}

    def __call__(self, message: Message) -> bytes:
        if not isinstance(message, Snapshot | Update):
            return rejection(message)
        project, _, action = str(message.id).partition(" ")
        known = self._counts.setdefault(message.id, {})
        new = {color: n for color, n in totals_in(message).items() if known.get(color) != n}
        known |= new
        return b"".join(
            websocket_json(ColorCell(project, action, color, str(n)))
            for color, n in sorted(new.items())
        )


def rejection(message: Message) -> bytes:
    """What is wrong; that totals are stale, or fresh again, can't be said in this format."""
    if not isinstance(message, Error):
        return b""
    unauthorized = message.code in (MissingKey.code, UnknownKey.code)
    text = f"Unauthorized: {message.message}" if unauthorized else message.message
    return websocket_json(ColorRejection(text, Reason(message.code, message.message)))
