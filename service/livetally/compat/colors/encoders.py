"""How format 1 shows what the hub tells a viewer: whole lists, or cells for admins."""

from ...base.errors import MissingKey, UnknownKey
from ...live.frames import message, websocket_text
from ..websocket import Native, native
from .http import listed


class Lists:
    """The wire of the connections that are bound to a project: whole lists.

    They share it, so that each list is put together and encoded once. That is right because counts
    are absolute: what one of them was told is as true for the others.
    """

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def frame(self, payload: bytes, position: bytes | None = None) -> bytes:
        told = native.decode(payload)
        if told.type not in ("snapshot", "update"):
            return _other(told)
        action = str(told.id)
        if told.type == "snapshot":
            self._counts[action] = {}
        counts = self._counts.setdefault(action, {})
        counts |= told.totals
        return websocket_text(message({"stats": listed(action, counts), "event_type": action}))


class Cells:
    """The wire of an admin's connection: each cell that is new to it, a message each."""

    def __init__(self) -> None:
        self._counts: dict[int | str, dict[str, int]] = {}

    def frame(self, payload: bytes, position: bytes | None = None) -> bytes:
        told = native.decode(payload)
        if told.type not in ("snapshot", "update"):
            return _other(told)
        project, _, action = str(told.id).partition(" ")
        known = self._counts.setdefault(told.id, {})
        new = {color: n for color, n in told.totals.items() if known.get(color) != n}
        known |= new
        return b"".join(
            websocket_text(
                message({"api_key": project, "action": action, "color": color, "count": str(n)})
            )
            for color, n in sorted(new.items())
        )


def refusal(payload: bytes, position: bytes | None = None) -> bytes:
    """The wire of a connection that isn't bound yet."""
    return _other(native.decode(payload))


def _other(told: Native) -> bytes:
    """A refusal; that totals are stale, or fresh again, can't be said in this format."""
    if told.type != "error":
        return b""
    unauthorized = told.code in (MissingKey.code, UnknownKey.code)
    text = f"Unauthorized: {told.message}" if unauthorized else told.message
    error = {"code": told.code, "message": told.message}
    return websocket_text(message({"message": text, "error": error}))
