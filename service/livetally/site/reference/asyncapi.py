"""/asyncapi.json: the live protocol, as AsyncAPI 3.0, from the code's own types."""

from typing import Any, get_args

import msgspec

from ... import __version__
from ...live import subscriptions, websocket
from ...schema import live as messages
from .openapi import REF

_ABOUT = """Text messages of JSON. Numbers are absolute: show what came last. A snapshot
replaces all.
A key comes with the request or in the first message. Close codes: 1012 the server restarts (the
reason may hold `{"reconnect_after_ms":n}`), 1008 the key is no good, 1009 a message over 1 MiB,
1003 a binary message."""

_TO_SERVER: dict[Any, dict[str, Any]] = {
    websocket.AuthMessage: {"type": "auth", "key": "lt_read_…"},
    websocket.SubscribeMessage: {"type": "subscribe", "id": 1, "topic": {"totals": "click"}},
    websocket.UnsubscribeMessage: {"type": "unsubscribe", "id": 1},
    websocket.TrackMessage: {
        "type": "track",
        "ref": "a",
        "events": [{"type": "click", "subject": "red", "id": "4f1c"}],
    },
    websocket.PingMessage: {"type": "ping"},
}


def document() -> dict[str, Any]:
    """The whole document."""
    theirs, ours = get_args(websocket.Message), get_args(messages.Message)
    kinds = subscriptions.kinds()
    types = (*theirs, *ours, *kinds)
    found, schemas = msgspec.json.schema_components(types, ref_template=REF)
    refs = dict(zip(types, found, strict=True))
    subscribe = schemas[websocket.SubscribeMessage.__name__]
    subscribe["properties"]["topic"] = {"anyOf": [refs[kind] for kind in kinds]}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Livetally, live",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "live": {
                "address": "/v1/live",
                "bindings": {"ws": {"method": "GET"}},
                "messages": {
                    _name(each): {"$ref": f"#/components/messages/{_name(each)}"}
                    for each in (*theirs, *ours)
                },
            }
        },
        "operations": {
            "receive": _operation("receive", "What clients say.", theirs),
            "send": _operation("send", "What the server says.", ours),
        },
        "components": {
            "messages": {_name(each): _message(each, refs[each]) for each in (*theirs, *ours)},
            "schemas": schemas,
        },
    }


def _operation(action: str, says: str, types: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": says,
        "channel": {"$ref": "#/channels/live"},
        "messages": [{"$ref": f"#/channels/live/messages/{_name(each)}"} for each in types],
    }


def _name(type: Any) -> str:
    return str(type.__struct_config__.tag)


def _message(type: Any, schema: dict[str, Any]) -> dict[str, Any]:
    message = {
        "name": _name(type),
        "summary": (type.__doc__ or "").strip().partition("\n")[0],
        "payload": schema,
    }
    if type in _TO_SERVER:
        message["examples"] = [{"payload": _TO_SERVER[type]}]
    return message
